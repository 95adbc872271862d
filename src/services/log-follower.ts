import type { Problem } from '../errors.ts';
import type { LogRequest } from './docker.ts';
import { compareCursors, cursorDate, cursorTime, toEngineTime } from './log-cursor.ts';
import {
  afterCursor,
  createWindow,
  isFiltered,
  type LogFilter,
  type LogLine,
  maxHeldText,
  maxLines,
  newest,
} from './log-lines.ts';
import { type LogSource, toProblem } from './log-source.ts';
import type { FollowQuery, LogState, LogViewer } from './log-viewer.ts';

/** Reads a page of the log with one engine call, to fill in what the shared stream does not hold. */
export type ReadOlder = (
  id: string,
  query: LogFilter & { tail?: number; since?: string },
  signal: AbortSignal,
) => Promise<{ lines: LogLine[]; cut: boolean }>;

/** One followed log. */
export type LogFollower = ReturnType<typeof createFollower>;

/** Both outputs are stamped before they are written, so a log is out of order by some milliseconds. */
export const disorderMs = 100;
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
  const ring = createWindow(maxLines, maxHeldText);
  const viewers = new Set<LogViewer>();
  const ended = new AbortController();
  let last: string | undefined;
  let uncertainTime: string | undefined;
  let wasOpen = false;
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
    const after = last;
    const stream = new AbortController();
    const stop = () => stream.abort();
    ended.signal.addEventListener('abort', stop, { once: true });
    try {
      const opened = source.open(id, nextRequest(), stream.signal, () => {
        wasOpen = true;
        tell('following');
        if (after !== undefined) for (const viewer of viewers) viewer.catchUp();
      });
      for await (const lines of opened.lines) {
        if (last === undefined) uncertainTime = opened.uncertainTime();
        receive(after === undefined ? lines : afterCursor(lines, after));
      }
    } finally {
      ended.signal.removeEventListener('abort', stop);
    }
  }

  /** Where to go on: after the last line seen, or at the start of a log that was empty when it was first followed. */
  function nextRequest(): LogRequest {
    if (last !== undefined) return { follow: true, since: toEngineTime(last, disorderMs) };
    return wasOpen && openedTail > 0 ? { follow: true } : { follow: true, tail: openedTail };
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
    const { since, tail } = viewer.query;
    const wanted = held.filter(viewer.wants);
    viewer.start(since === undefined ? newest(wanted, tail) : wanted);
    const isCovered = since === undefined ? hasTail(viewer.query, wanted.length) : reachesBackTo(since, head);
    if (isCovered) viewer.goLive();
    else void fill(viewer, head);
  }

  function hasTail(query: FollowQuery, found: number): boolean {
    const isWhole = query.tail <= openedTail && ring.dropped() === 0 && !isFiltered(query);
    return query.tail <= found || isWhole;
  }

  function reachesBackTo(cursor: string, head: LogLine | undefined): boolean {
    if (cursorTime(cursor) === uncertainTime) return false;
    const oldest = ring.lastDropped()?.cursor ?? head?.cursor;
    return oldest !== undefined && compareCursors(oldest, cursor) <= 0;
  }

  /** Reads what lies before the first line a viewer has from here, and puts it in front. */
  async function fill(viewer: LogViewer, head: LogLine | undefined): Promise<void> {
    const { since, tail, stream, q } = viewer.query;
    const found = viewer.held();
    viewer.expect(head);
    try {
      const page = await read(id, since === undefined ? { tail, stream, q } : { since, stream, q }, ended.signal);
      const isGap = since !== undefined && page.cut;
      viewer.fill(page.lines, uncertainTime, isGap ? { since: cursorDate(since) } : undefined);
    } catch {
      const missing = Math.max(0, tail - found);
      viewer.fill([], uncertainTime, since === undefined ? { atMost: missing } : { since: cursorDate(since) });
    }
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
