import type { Problem } from '../errors.ts';
import type { LogRequest } from './docker.ts';
import { compareCursors, cursorDate, cursorTime, toEngineTime } from './log-cursor.ts';
import {
  afterCursor,
  createWindow,
  isFiltered,
  isTornFrom,
  type LogFilter,
  type LogLine,
  maxLines,
} from './log-lines.ts';
import { type LogSource, toProblem } from './log-source.ts';
import type { FollowQuery, LogState, LogViewer } from './log-viewer.ts';

/** Reads a page of the log, to fill in what the shared stream does not hold; with `lead` so many lines up to `since` too. */
export type ReadOlder = (
  id: string,
  query: LogFilter & { tail?: number; since?: string; lead?: number },
  signal: AbortSignal,
) => Promise<{ lines: LogLine[]; cut: boolean; isTorn: boolean }>;

/** One followed log. */
export type LogFollower = ReturnType<typeof createFollower>;

/** Both outputs are stamped before they are written, so a log is out of order by some milliseconds. */
export const disorderMs = 100;
/**
 * What is kept of a followed log, for who joins: with each line's markup it is less than 1 MB. Of who wants more, the
 * rest is read from the engine.
 */
const mostHeld = { lines: 750, text: 250_000 };
/** So many lines tell where a log ends: among fewer the last one may be numbered too early, as they are out of order. */
const endLines = 100;
/** A stream that was open so long was whole: the next failure is a new one. */
const steadyMs = 5_000;

/**
 * Creates the follower of one container's log: its one engine stream, its newest lines, and who looks.
 * A stream that ends by itself while `isRunning` says that the container runs is opened anew.
 */
export function createFollower(
  id: string,
  openedTail: number,
  source: LogSource,
  read: ReadOlder,
  retry: { min: number; max: number },
  isRunning: () => boolean,
) {
  const ring = createWindow(mostHeld.lines, mostHeld.text);
  const viewers = new Set<LogViewer>();
  const ended = new AbortController();
  let last: string | undefined;
  /** Where nothing older is wanted, the last line before it was first followed. */
  let begin: string | undefined;
  let uncertainTime: string | undefined;
  let hasBegun = false;
  let state: { name: LogState; reason: Problem | undefined } | undefined;
  let wake: (() => void) | undefined;
  let resumed = false;

  async function run(): Promise<void> {
    for (let failures = 0; !ended.signal.aborted; ) {
      const before = last;
      const started = performance.now();
      const end = await endOfStream();
      if (ended.signal.aborted) return;
      if (end.isFinal) {
        failures = 0;
        tell('ended', end.problem);
        await pause();
        continue;
      }
      if (last !== before || performance.now() - started > steadyMs) failures = 0;
      // A stream often ends just before the events tell the end of its container: that is no fault yet.
      if (end.problem || failures > 0) tell('retrying', end.problem);
      await pause(Math.min(retry.min * 2 ** failures, retry.max));
      failures = Math.min(failures + 1, 16);
    }
  }

  /** Follows until the stream ends; `isFinal` where the log goes on only with a new start of its container. */
  async function endOfStream(): Promise<{ isFinal: boolean; problem?: Problem }> {
    try {
      await followOnce();
      return { isFinal: !isRunning() };
    } catch (error) {
      const problem = toProblem(error);
      return { isFinal: problem.code === 'not_found', problem };
    }
  }

  async function followOnce(): Promise<void> {
    const isNew = !hasBegun;
    if (isNew && openedTail === 0) await findBegin();
    const after = isNew ? undefined : (last ?? begin);
    const stream = new AbortController();
    const stop = () => stream.abort();
    ended.signal.addEventListener('abort', stop, { once: true });
    try {
      const opened = source.open(id, nextRequest(isNew, after), stream.signal, () => {
        hasBegun = true;
        tell('following');
        if (after !== undefined) for (const viewer of viewers) viewer.catchUp();
      });
      let isFirst = true;
      for await (const lines of opened.lines) {
        if (last === undefined) uncertainTime = opened.uncertainTime();
        if (isFirst && isTornFrom(after, lines[0])) tear(after);
        isFirst = false;
        receive(after === undefined ? lines : afterCursor(lines, after));
      }
    } finally {
      ended.signal.removeEventListener('abort', stop);
    }
  }

  /** The line that it goes on after is gone, so what is held before it is as well. */
  function tear(after: string | undefined): void {
    for (const viewer of viewers) if (after !== undefined) viewer.miss(cursorDate(after));
    ring.clear();
  }

  /**
   * Finds where this begins, for a stream that breaks before its first line: what is written meanwhile would be passed
   * over with the same tail. A line says it, and no clock: the engine's may be another one.
   */
  async function findBegin(): Promise<void> {
    const { lines } = await read(id, { tail: endLines }, ended.signal);
    begin = lines.at(-1)?.cursor;
    hasBegun = true;
  }

  /** Where to go on: after the last line seen or the one before, or at the start of a log that was empty at first. */
  function nextRequest(isNew: boolean, after: string | undefined): LogRequest {
    if (after !== undefined) return { follow: true, since: toEngineTime(after, disorderMs) };
    return isNew ? { follow: true, tail: openedTail } : { follow: true };
  }

  function receive(lines: LogLine[]): void {
    const newest = lines.at(-1);
    if (!newest || ended.signal.aborted) return;
    last = newest.cursor;
    for (const viewer of viewers) {
      if (viewer.isWaiting()) decide(viewer, [], lines[0]);
      viewer.take(lines);
    }
    for (const line of lines) ring.push(line);
  }

  function join(viewer: LogViewer): void {
    viewers.add(viewer);
    if (state) viewer.tell(state.name, state.reason);
    const held = ring.list();
    if (held.length > 0 || openedTail === 0) decide(viewer, held, held[0]);
  }

  /** Whether the lines held, or the stream's first line, answer what a viewer wants; else reads the rest. */
  function decide(viewer: LogViewer, held: LogLine[], head: LogLine | undefined): void {
    const { since } = viewer.query;
    const found = viewer.start(held);
    const isCovered = since === undefined ? hasTail(viewer.query, found) : isReached(since, viewer.around, held, head);
    if (isCovered) viewer.goLive();
    else void fill(viewer, head);
  }

  function hasTail(query: FollowQuery, found: number): boolean {
    const isWhole = query.tail <= openedTail && ring.dropped() === 0 && !isFiltered(query);
    return query.tail <= found || isWhole;
  }

  /** Whether all lines behind a cursor are held, and so many up to it, as they decide about those behind it. */
  function isReached(cursor: string, around: number, held: LogLine[], head: LogLine | undefined): boolean {
    if (cursorTime(cursor) === uncertainTime) return false;
    if (around > 0) return reachesBack(held.slice(around), cursor);
    const oldest = ring.lastDropped() ?? head;
    return oldest !== undefined && reachesBack([oldest], cursor);
  }

  /** Reads what lies before the first line a viewer has from here, and puts it in front. */
  async function fill(viewer: LogViewer, head: LogLine | undefined): Promise<void> {
    const { since, tail, isSeen } = viewer.query;
    const found = viewer.held();
    viewer.expect(head);
    try {
      const page = await read(id, wantedOf(viewer), ended.signal);
      const isGap = since !== undefined && (page.cut || (isSeen === true && page.isTorn));
      viewer.fill(page.lines, uncertainTime, isGap ? { since: cursorDate(since) } : undefined);
    } catch {
      const missing = Math.max(0, tail - found);
      viewer.fill([], uncertainTime, since === undefined ? { atMost: missing } : { since: cursorDate(since) });
    }
  }

  /** Lines around matches are found among all lines. */
  function wantedOf({ query: { since, tail, isSeen: _, ...filter }, around }: LogViewer) {
    if (around > 0) return since === undefined ? { tail: maxLines } : { since, lead: around + 1 };
    return since === undefined ? { ...filter, tail } : { ...filter, since };
  }

  function tell(name: LogState, reason?: Problem): void {
    if (ended.signal.aborted || (state?.name === name && state.reason?.message === reason?.message)) return;
    state = { name, reason };
    for (const viewer of viewers) viewer.tell(name, reason);
  }

  /** Waits for `resume`, or so many ms; not at all where it was called while the stream was still open. */
  async function pause(ms?: number): Promise<void> {
    if (!resumed && !ended.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms).unref();
      wake = resolve;
      await promise;
      clearTimeout(timer);
      wake = undefined;
    }
    resumed = false;
  }

  function resume(): void {
    // A container can be up again before the end of its old stream was read: the end then finds this mark.
    resumed = true;
    wake?.();
  }

  void run();
  return {
    id,
    join,
    resume,
    /** The lines behind a cursor, where those that are held reach back to it. */
    heldBehind: (cursor: string): LogLine[] | undefined => {
      const held = ring.list();
      return isReached(cursor, 0, held, held[0]) ? afterCursor(held, cursor) : undefined;
    },
    /** Takes a viewer out and says how many are left. */
    leave: (viewer: LogViewer) => {
      viewers.delete(viewer);
      return viewers.size;
    },
    close: () => {
      ended.abort();
      wake?.();
      for (const viewer of viewers) viewer.close();
    },
  };
}

/** Whether lines begin at a cursor or before it. */
const reachesBack = ([first]: readonly LogLine[], cursor: string) =>
  first !== undefined && compareCursors(first.cursor, cursor) <= 0;
