import type { Problem } from '../errors.ts';
import { compareCursors, cursorTime } from './log-cursor.ts';
import {
  afterCursor,
  createFilter,
  createWindow,
  isAtOrAfter,
  type LogFilter,
  type LogLine,
  maxHeldText,
  maxLines,
  newest,
} from './log-lines.ts';

/** What is missing before a batch: so many lines, all since a time, or up to so many when nobody could count. */
export type LogGap = { lines: number } | { since: string } | { atMost: number };

/** New lines for a viewer, at most 500, the same objects for all viewers. */
export type LogBatch = { lines: readonly LogLine[]; gap?: LogGap };

/** How a followed log does: its stream is open, has ended with its container, or broke and is tried again. */
export type LogState = 'following' | 'ended' | 'retrying';

/** What a viewer wants: the newest `tail` lines, or all after the cursor `since`, then every new one. */
export type FollowQuery = LogFilter & { tail: number; since?: string | undefined };

/** One who looks at a log. */
export type LogViewer = ReturnType<typeof createViewer>;

const maxBatchLines = 500;
/** Ticks left out after a batch with a gap: a browser takes 150 ms to draw one, and would fall ever further behind. */
const restTicks = 3;
/** The engine sends what was missed in this time, 15,000 lines a second. */
const catchUpMs = 1_000;

/** Creates one who looks: what it wants, what waits for it, and how far the join with older lines has come. */
export function createViewer(
  query: FollowQuery,
  ticker: LogTicker,
  onBatch: (batch: LogBatch) => void,
  onState: (state: LogState, reason?: Problem) => void,
  leave: () => void,
) {
  const wants = createFilter(query);
  const pending = createWindow(maxBatchLines, maxHeldText);
  let phase: 'waiting' | 'filling' | 'live' | 'closed' = 'waiting';
  let after = query.since;
  let backlog: LogLine[] = [];
  let backlogGap: LogGap | undefined;
  let head: LogLine | undefined;
  let caughtUpAt = 0;
  let rest = 0;

  function start(lines: LogLine[]): void {
    backlog = after === undefined ? lines : afterCursor(lines, after);
  }

  /**
   * Keeps more than a batch for a while from the next line on: lines that were missed are wanted, and come at once.
   * Where even that is too much, it is a flood as any other.
   */
  function catchUp(): void {
    pending.limit(maxLines);
    caughtUpAt = Number.POSITIVE_INFINITY;
  }

  function expect(first: LogLine | undefined): void {
    phase = 'filling';
    catchUp();
    head = first;
  }

  function take(lines: readonly LogLine[]): void {
    if (phase === 'closed') return;
    if (phase === 'filling') head ??= lines[0];
    for (const line of lines) {
      if (after !== undefined && compareCursors(line.cursor, after) <= 0) continue;
      after = undefined;
      if (wants(line)) pending.push(line);
    }
    if (caughtUpAt === Number.POSITIVE_INFINITY) caughtUpAt = performance.now() + catchUpMs;
    if (pending.dropped() > 0) pending.limit(maxBatchLines);
    schedule();
  }

  function fill(older: LogLine[], uncertainTime: string | undefined, gap: LogGap | undefined): void {
    const before = head ? olderThan(head, older, uncertainTime) : older;
    if (!head) after = older.at(-1)?.cursor ?? after;
    const joined = [...before, ...backlog];
    backlog = query.since === undefined ? newest(joined, query.tail) : joined;
    backlogGap = gap;
    goLive();
  }

  /**
   * The lines that lie before the head. Where nobody knows how many lines of the head's time there are, it is the last
   * of them; a viewer whose cursor has that time gets them all from here, as its cursor already leaves out the head.
   */
  function olderThan(first: LogLine, lines: LogLine[], uncertainTime: string | undefined): LogLine[] {
    const time = cursorTime(first.cursor);
    if (time !== uncertainTime) return lines.filter((line) => !isAtOrAfter(line, first));
    const group = lines.filter((line) => cursorTime(line.cursor) === time);
    const isSeen = query.since !== undefined && cursorTime(query.since) === time;
    return [...lines.filter((line) => cursorTime(line.cursor) < time), ...(isSeen ? group : group.slice(0, -1))];
  }

  function goLive(): void {
    if (phase === 'closed') return;
    phase = 'live';
    schedule();
  }

  function schedule(): void {
    if (phase === 'live' && hasMore()) ticker.add(flush);
  }

  const hasMore = () => backlog.length > 0 || backlogGap !== undefined || pending.size() > 0;

  /** Hands on one batch; older lines come first and apart, so that a gap stands where lines are missing. */
  function flush(): void {
    if (phase !== 'live' || !hasMore()) return;
    if (rest > 0) {
      rest -= 1;
      schedule();
      return;
    }
    const batch = backlog.length > 0 || backlogGap ? nextOfBacklog() : nextOfPending();
    call(() => onBatch(batch));
    schedule();
  }

  function nextOfBacklog(): LogBatch {
    const gap = backlogGap;
    backlogGap = undefined;
    const lines = backlog.splice(0, maxBatchLines);
    return gap ? { lines, gap } : { lines };
  }

  function nextOfPending(): LogBatch {
    const skipped = pending.dropped();
    const lines = pending.take(maxBatchLines);
    if (pending.size() === 0 && performance.now() > caughtUpAt) pending.limit(maxBatchLines);
    if (skipped === 0) return { lines };
    rest = restTicks;
    return { lines, gap: { lines: skipped } };
  }

  /** A listener's fault ends its own view; it must not reach the follower that the others share. */
  function call(listener: () => void): void {
    try {
      listener();
    } catch {
      leave();
    }
  }

  function close(): void {
    phase = 'closed';
    backlog = [];
    backlogGap = undefined;
    pending.clear();
    ticker.remove(flush);
  }

  return {
    query,
    wants,
    start,
    catchUp,
    expect,
    take,
    fill,
    goLive,
    close,
    /** How many lines it was started with and has not handed on yet. */
    held: () => backlog.length,
    isWaiting: () => phase === 'waiting',
    tell: (state: LogState, reason?: Problem) =>
      queueMicrotask(() => {
        if (phase !== 'closed') call(() => onState(state, reason));
      }),
  };
}

/** The clock that all viewers share. */
export type LogTicker = ReturnType<typeof createTicker>;

/**
 * Creates the clock of batches: runs what was added, each once: at once where it was never run before, else with the next tick. One timer for all,
 * only while something waits.
 */
export function createTicker(tickMs: number) {
  const due = new Set<() => void>();
  const known = new WeakSet<() => void>();
  let timer: NodeJS.Timeout | undefined;
  let lastTick = Number.NEGATIVE_INFINITY;

  function add(task: () => void): void {
    if (!known.has(task)) {
      known.add(task);
      setImmediate(runFirst, task).unref();
      return;
    }
    due.add(task);
    wind();
  }

  function runFirst(task: () => void): void {
    lastTick = performance.now();
    task();
  }

  function wind(): void {
    timer ??= setTimeout(tick, Math.max(0, lastTick + tickMs - performance.now())).unref();
  }

  function tick(): void {
    timer = undefined;
    lastTick = performance.now();
    const tasks = [...due];
    due.clear();
    for (const task of tasks) task();
  }

  return {
    add,
    remove: (task: () => void) => due.delete(task),
    close: () => {
      due.clear();
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
