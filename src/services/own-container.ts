import { readFile } from 'node:fs/promises';

/**
 * The container that this process runs in. Where the network of another one is joined, the engine mounts that one's
 * files: an id that only they tell may be that one's, and is not certain.
 */
export type OwnContainer = { id: string; isCertain: boolean };

const id = '[0-9a-f]{64}';

/** Names of control groups: Docker and Podman, with and without systemd. */
const groups = new RegExp(`/(?:docker|libpod)[-/](${id})(?:\\.scope)?(?:/|$)`, 'm');

/** Files that an engine mounts into its containers. */
const files = new RegExp(
  `/(?:containers|overlay-containers)/(${id})/(?:userdata/)?(?:resolv\\.conf|hostname|hosts)\\b`,
);

/**
 * Finds this process's container in the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`; null where it runs in
 * none. In cgroup v2 the first mostly tells nothing.
 */
export function ownContainer(mountinfo: string, cgroup: string): OwnContainer | null {
  const grouped = groups.exec(cgroup)?.[1];
  if (grouped) return { id: grouped, isCertain: true };
  const mounted = files.exec(mountinfo)?.[1];
  return mounted ? { id: mounted, isCertain: false } : null;
}

/** The container that this process runs in; null where it runs in none, or where nothing tells. */
export async function readOwnContainer(): Promise<OwnContainer | null> {
  const [mountinfo, cgroup] = await Promise.all(['mountinfo', 'cgroup'].map(readProc));
  return ownContainer(mountinfo ?? '', cgroup ?? '');
}

const readProc = (name: string) => readFile(`/proc/self/${name}`, 'utf8').catch(() => '');
