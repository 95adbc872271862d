import { isProblem } from '../errors.ts';
import { cursorTime } from './log-cursor.ts';
import type { LogFilter, LogLine } from './log-lines.ts';
import type { Logs } from './logs.ts';
import type { MergedEntry } from './merge-queue.ts';
import { compareMerged, type Places } from './merged-cursor.ts';
import { createMergedFollower, type MergedFollower, type MergedState } from './merged-follower.ts';
import { createMergedShares } from './merged-shares.ts';
import { createMergedSlices } from './merged-slices.ts';

export type { MergedEntry } from './merge-queue.ts';
export type { MergedFollower, MergedState } from './merged-follower.ts';
export type { MergedSlice } from './merged-slices.ts';

/** A range of a merged log, from its first line on where there are no places. */
export type MergedRange = LogFilter & { places?: Places | undefined; until?: string | undefined };

/** What is wanted of a followed merged log: the newest `tail` lines, or all behind some places. */
export type MergedQuery = LogFilter & { tail: number; places?: Places | undefined };

/**
 * Bounds that tests shorten, in ms: how long a line waits for earlier ones of other logs, until the next try, and how long
 * all has to go well until those who follow the same do it together.
 */
export type MergedOptions = { holdMs?: number; retryMs?: number; steadyMs?: number };

/** Both outputs of a container, and the engine's copies of several, are some milliseconds apart. */
const defaultHoldMs = 150;

/** The merged logs of several containers. */
export type MergedLogs = ReturnType<typeof createMergedLogs>;

/** Creates the merging of logs, over the shared followers of single ones: a second viewer costs the engine no stream. */
export function createMergedLogs(
  logs: Pick<Logs, 'slices' | 'lines' | 'follow' | 'heldBehind'>,
  { holdMs = defaultHoldMs, retryMs = 1_000, steadyMs = 1_000 }: MergedOptions = {},
) {
  const slices = createMergedSlices(logs.slices, logs.heldBehind);
  const shares = createMergedShares(logs, holdMs);

  /**
   * Streams a range of several logs as one, in order, at the pace of who reads it and with constant memory; each costs
   * the engine a stream. `onFailure` is told, before the first line comes, of one that can't be read at all and is left out.
   * @throws Problem `invalid`, or the engine's where a log breaks off
   */
  async function* lines(
    ids: readonly string[],
    { places, ...query }: MergedRange,
    signal: AbortSignal,
    onFailure: (id: string, error: unknown) => void,
  ): AsyncGenerator<LogLine> {
    const reading = new AbortController();
    const both = AbortSignal.any([signal, reading.signal]);
    const sources = ids.map((id) =>
      createHead(logs.lines(id, { ...query, since: places?.of(id) }, both), id, onFailure),
    );
    try {
      yield* mergeSorted(sources);
    } finally {
      // One that is still being waited for ends at once, too.
      reading.abort();
      await Promise.allSettled(sources.map((source) => source.close()));
    }
  }

  /**
   * Follows several logs as one: the newest `tail` lines, or all behind `places`, then every new one, in order, in batches
   * of at most 500. Of a flood, and while there is no room, the newest 5,000 lines or 1 MB are kept, and it is told how many
   * are missing.
   * `fail` is told what kept it from beginning.
   * @throws Problem `invalid` for a wrong filter
   */
  function follow(
    ids: readonly string[],
    { tail, places, ...filter }: MergedQuery,
    onBatch: (entries: readonly MergedEntry[]) => void,
    onState: (state: MergedState) => void,
    fail: (error: unknown) => void,
    hasRoom?: () => boolean,
  ): MergedFollower {
    const parts = { logs, slices, shares, holdMs, retryMs, steadyMs };
    return createMergedFollower(parts, { ids, filter, tail, places }, onBatch, onState, fail, hasRoom);
  }

  return { slices, lines, follow };
}

type Head = ReturnType<typeof createHead>;

/** One of the logs that are merged, with its next line. */
function createHead(source: AsyncGenerator<LogLine>, id: string, onFailure: (id: string, error: unknown) => void) {
  let line: LogLine | undefined;
  let time = '';
  let hasBegun = false;

  async function next(): Promise<void> {
    line = await read();
    hasBegun = true;
    time = line ? cursorTime(line.cursor) : '';
  }

  async function read(): Promise<LogLine | undefined> {
    try {
      const { done, value } = await source.next();
      return done ? undefined : value;
    } catch (error) {
      if (hasBegun || !isProblem(error) || error.code === 'invalid') throw error;
      onFailure(id, error);
      return undefined;
    }
  }

  return { next, close: () => source.return(undefined), line: () => line, time: () => time };
}

/** Merges sources that are in order each; all heads are compared, as they are a hundred at most. */
async function* mergeSorted(sources: readonly Head[]): AsyncGenerator<LogLine> {
  await Promise.all(sources.map((source) => source.next()));
  for (;;) {
    let first: Head | undefined;
    for (const head of sources) if (head.line() && (!first || isBefore(head, first))) first = head;
    const line = first?.line();
    if (!first || !line) return;
    yield line;
    await first.next();
  }
}

function isBefore(a: Head, b: Head): boolean {
  if (a.time() !== b.time()) return a.time() < b.time();
  const [lineA, lineB] = [a.line(), b.line()];
  return lineA !== undefined && lineB !== undefined && compareMerged(lineA, lineB) < 0;
}
