import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A process that can be told from a later one with the same number: `since` is its start in clock ticks after boot. */
export type ProcessIdentity = { pid: number; since: string };

type Entry = { pid: number; parent: number; command: string };

/** This process, or another one by its number; undefined when there is none. */
export function identify(pid: number): ProcessIdentity | undefined {
  const since = statOf(pid)?.[19];
  return since ? { pid, since } : undefined;
}

/** Whether that very process still runs. */
export const isAlive = ({ pid, since }: ProcessIdentity): boolean => identify(pid)?.since === since;

/** The numbers of all processes whose command line holds `text`, and of all that descend from them. */
export function familyOf(text: string): number[] {
  const all = readdirSync('/proc').filter(isNumber).flatMap(read);
  const family = new Set(all.filter(({ command }) => command.includes(text)).map(({ pid }) => pid));
  for (let size = -1; size !== family.size; ) {
    size = family.size;
    for (const { pid, parent } of all) if (family.has(parent)) family.add(pid);
  }
  family.delete(process.pid);
  return [...family];
}

/** Ends a process at once; one that is gone already is fine. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether a child of this process has ended. */
export const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** Ends a child of this process at once and waits until it is gone; one that is gone already is fine. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  child.ref();
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Waits until a process has ended, with its parent knowing it or not; throws after `boundMs` ms. */
export async function ended(pid: number, boundMs: number): Promise<void> {
  const end = performance.now() + boundMs;
  while (read(String(pid)).length > 0) {
    if (performance.now() > end) throw new Error(`Process ${pid} does not end`);
    await delay(10);
  }
}

const isNumber = (name: string): boolean => /^\d+$/.test(name);

function read(name: string): Entry[] {
  const stat = statOf(Number(name));
  const command = textOf(`/proc/${name}/cmdline`);
  const isZombie = stat?.[0] === 'Z';
  return stat && command && !isZombie ? [{ pid: Number(name), parent: Number(stat[1]), command }] : [];
}

/** The fields of /proc/PID/stat after the name, which is in parentheses and may hold spaces. */
function statOf(pid: number): string[] | undefined {
  const stat = textOf(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** A file's text, or undefined when its process ended meanwhile. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
