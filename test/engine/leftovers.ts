import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { tryNow } from './commands.ts';
import { type Place, placeOf, placesFolder } from './place.ts';
import { familyOf, isAlive, kill, type ProcessIdentity } from './processes.ts';

const rounds = 500;
const roundMs = 20;

/**
 * Ends and removes all that a private engine has on this machine: its processes, mounts, network, control groups and
 * files. It needs no handle and nothing of the engine to work, and doing it twice does no harm. Synchronous, so that
 * a process can do it while it exits.
 */
export function clear(place: Place): void {
  endAll(place);
  for (const path of mountsUnder(place.folder)) tryNow('umount', ['-l', path]);
  removeNetwork(place);
  removeControlGroups(place);
  rmSync(place.folder, { recursive: true, force: true, maxRetries: 5 });
}

/** Clears every private engine whose owner is gone, for instance because it was killed. */
export function clearLeftovers(): void {
  if (process.getuid?.() !== 0 || !existsSync(placesFolder)) return;
  for (const name of readdirSync(placesFolder)) {
    const folder = join(placesFolder, name);
    if (hasOwner(folder)) continue;
    if (/^\d+$/.test(name)) clear(placeOf(Number(name)));
    else rmSync(folder, { recursive: true, force: true });
  }
}

/** Only processes of the engine itself name its exec root: a client names the socket at most and is left alone. */
function endAll({ exec }: Place): void {
  for (let round = 0; round < rounds; round += 1) {
    const family = familyOf(exec);
    if (family.length === 0) return;
    family.forEach(kill);
    pause(roundMs);
  }
  throw new Error(`The processes under ${exec} do not end`);
}

function hasOwner(folder: string): boolean {
  try {
    return isAlive(JSON.parse(readFileSync(join(folder, 'owner.json'), 'utf8')) as ProcessIdentity);
  } catch {
    // A claim is without an owner for a moment, a place never: what is being claimed right now stays.
    return !/^\d+$/.test(folder.split('/').at(-1) ?? '');
  }
}

/** The mounted paths under a folder, the innermost first. */
function mountsUnder(folder: string): string[] {
  const paths = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  return paths.filter((path) => path.startsWith(`${folder}/`)).reverse();
}

function removeNetwork({ namespace, link, bridge }: Place): void {
  if (existsSync(`/sys/class/net/${link}`)) tryNow('ip', ['link', 'del', link]);
  if (existsSync(`/sys/class/net/${bridge}`)) tryNow('ip', ['link', 'del', bridge]);
  if (existsSync(`/run/netns/${namespace}`)) tryNow('ip', ['netns', 'del', namespace]);
}

/** In cgroup v1 each controller has a tree of its own, in v2 there is one. */
function removeControlGroups({ cgroup }: Place): void {
  const root = '/sys/fs/cgroup';
  for (const tree of ['', ...readdirSync(root)]) removeGroup(join(root, tree, cgroup));
}

/** Removes a control group and those in it; its files go with the folder and can't be removed before. */
function removeGroup(path: string): void {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) removeGroup(join(path, entry.name));
    }
    rmdirSync(path);
  } catch {
    // Not there, or still in use: an empty control group that stays does no harm.
  }
}

/** Waits without the event loop, which does not turn any more while a process exits. */
const pause = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
