import { setTimeout as sleep } from 'node:timers/promises';
import { createDocker } from '../../src/services/docker.ts';
import { createLogs, type LogFilter, type LogLine } from '../../src/services/logs.ts';
import { mergedCursor, parsePlaces } from '../../src/services/merged-cursor.ts';
import { createMergedLogs, type MergedEntry, type MergedState } from '../../src/services/merged-logs.ts';
import { endOfLogs } from '../../src/services/merged-slices.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';

export const signal = new AbortController().signal;
export const base = BigInt(Date.now() - 60_000) * 1_000_000n;

type Teardown = { teardown(end: () => unknown): void };

/** Resolves as soon as a condition holds; throws with its name after 10 s. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what} did not come true within 10 s`);
    await sleep(2);
  }
}

/** Logs of a simulated engine and their merging. */
export async function startMerged(t: Teardown) {
  const engine = await createSimulatedEngine({ maxLogBytes: 64e6 });
  const docker = createDocker({ kind: 'unix', path: engine.socketPath, text: engine.host });
  const logs = createLogs(docker, {
    minRetryMs: 5,
    maxRetryMs: 40,
    isRunning: (id) => engine.containers().some((container) => container.id === id && container.state === 'running'),
  });
  const merged = createMergedLogs(logs, { holdMs: 30, retryMs: 20, steadyMs: 20 });
  t.teardown(async () => {
    logs.close();
    docker.close();
    await engine.close();
  });
  let written = 0;
  /** Writes a line of its own time, later than all before. */
  const write = (id: string, text = `line ${written}`) => {
    engine.writeLog(id, text, { at: base + BigInt(written) });
    written += 1;
  };
  const add = (name: string) => engine.addContainer({ name }).id;
  return { engine, logs, merged, write, add };
}

export const isLine = (entry: MergedEntry): entry is LogLine => 'cursor' in entry;

export type Merged = ReturnType<typeof createMergedLogs>;
type Wanted = LogFilter & { tail?: number; since?: readonly string[] };

/** The newest lines. */
export const readNewest = ({ slices }: Merged, ids: string[], { tail = 5_000, since = [], ...filter }: Wanted = {}) =>
  slices.before(ids, { ...filter, count: tail, place: endOfLogs, since: parsePlaces(since)?.of }, signal);

/** A viewer that keeps all it was given. */
export function watch(
  merged: Merged,
  ids: string[],
  { tail = 100, since = [], ...filter }: Wanted = {},
  hasRoom?: () => boolean,
) {
  const entries: MergedEntry[] = [];
  const batches = new Set<readonly MergedEntry[]>();
  const told: MergedState[] = [];
  const faults: unknown[] = [];
  const view = merged.follow(
    ids,
    { ...filter, tail, places: parsePlaces(since) },
    (batch) => {
      batches.add(batch);
      entries.push(...batch);
    },
    (state) => void told.push(state),
    (error) => void faults.push(error),
    hasRoom,
  );
  const lines = () => entries.filter(isLine);
  /** The last place of each container, as a page keeps them. */
  const places = () => [...new Map(lines().map((line) => [line.container, mergedCursor(line)])).values()];
  const states = () => told.map(({ state }) => state);
  return {
    ...view,
    entries,
    batches,
    told,
    states,
    faults,
    lines,
    places,
    texts: () => lines().map(({ text }) => text),
  };
}

export const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `line ${from + n}`);
