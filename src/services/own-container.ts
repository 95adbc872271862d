import { readFile } from 'node:fs/promises';

const id = '[0-9a-f]{64}';

/** Where Docker and Podman let a container see its own id: files they mount into it, and the names of control groups. */
const traces = [
  new RegExp(`/(?:containers|overlay-containers)/(${id})/(?:userdata/)?(?:resolv\\.conf|hostname|hosts)\\b`),
  new RegExp(`/(?:docker|libpod)[-/](${id})(?:\\.scope)?(?:/|$)`, 'm'),
];

/**
 * The id of the container that this process runs in, read from `/proc/self/mountinfo` and `/proc/self/cgroup`; null
 * where it runs in none.
 */
export function ownContainerId(mountinfo: string, cgroup: string): string | null {
  for (const trace of traces) {
    const found = trace.exec(mountinfo)?.[1] ?? trace.exec(cgroup)?.[1];
    if (found) return found;
  }
  return null;
}

/** The id of the container that this process runs in; null where it runs in none, or where nothing tells. */
export async function readOwnContainerId(): Promise<string | null> {
  const [mountinfo, cgroup] = await Promise.all(['mountinfo', 'cgroup'].map(readProc));
  return ownContainerId(mountinfo ?? '', cgroup ?? '');
}

const readProc = (name: string) => readFile(`/proc/self/${name}`, 'utf8').catch(() => '');
