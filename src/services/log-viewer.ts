import { isProblem, type Problem } from '../errors.ts';
import { contextOf, createFilterPicker } from './log-context.ts';
import { compareCursors, cursorTime } from './log-cursor.ts';
import { createWindow, isAtOrAfter, type LogFilter, type LogLine, maxHeldText, maxLines, newest } from './log-lines.ts';

/** What is missing before a batch: so many lines, all since a time, or up to so many when nobody could count. */
export type LogGap = { lines: number } | { since: string } | { atMost: number };

/** New lines for a viewer, at most 500, the same objects for all viewers. */
export type LogBatch = { lines: readonly LogLine[]; gap?: LogGap };

/**
 * How a followed log does: its stream is open, has ended with its container, or broke and is tried again; or one who looks
 * at it is no longer served, because the search takes too long.
 */
export type LogState = 'following' | 'ended' | 'retrying' | 'stopped';

/** What a viewer wants: the newest `tail` lines, or all after the cursor `since`, then every new one. */
export type FollowQuery = LogFilter & {
  tail: number;
  since?: string | undefined;
  /** Whether `since` is of a line that the viewer has: where the log no longer holds that one, lines may be missing. */
  isSeen?: boolean;
};

/** One who looks at a log. */
export type LogViewer = ReturnType<typeof createViewer>;

const maxBatchLines = 500;
/** Characters: a batch becomes one frame, which the slowest reader has to take at once. */
const maxBatchText = 262_144;
/** Ticks left out after a batch with a gap: a browser takes 150 ms to draw one, and would fall ever further behind. */
const restTicks = 3;
/** The engine sends what was missed in this time, 15,000 lines a second. */
const catchUpMs = 1_000;

/**
 * Creates one who looks: what it wants, what waits for it, and how far the join with older lines has come. While it has no
 * room its lines wait here, where they have a bound.
 */
export function createViewer(
  query: FollowQuery,
  ticker: LogTicker,
  onBatch: (batch: LogBatch) => void,
  onState: (state: LogState, reason?: Problem) => void,
  leave: () => void,
  hasRoom: () => boolean,
) {
  const around = contextOf(query);
  let picker = createFilterPicker(query);
  /** The last line that the picker has seen. */
  let seen: string | undefined;
  /** Lines around matches that are read later belong before those that come meanwhile, and decide about them. */
  let held: LogLine[] = [];
  const early = createWindow(maxLines, maxHeldText);
  const pending = createWindow(maxBatchLines, maxHeldText);
  let phase: 'waiting' | 'filling' | 'live' | 'closed' = 'waiting';
  let after = query.since;
  let backlog: LogLine[] = [];
  let backlogGap: LogGap | undefined;
  let pendingGap: LogGap | undefined;
  let head: LogLine | undefined;
  let caughtUpAt = 0;
  let rest = 0;
  let ending: { reason: Problem | undefined } | undefined;

  /** Begins with the lines that are held already, and says how many of them are wanted. */
  function start(lines: LogLine[]): number {
    held = around > 0 ? lines : [];
    backlog = newestOf(pick(lines));
    return backlog.length;
  }

  const newestOf = (lines: LogLine[]) => (query.since === undefined ? newest(lines, query.tail) : lines);

  /** What is wanted of the next lines. A search that takes too long ends this view, and must not reach the others. */
  function pick(lines: readonly LogLine[]): LogLine[] {
    try {
      return pickWanted(lines);
    } catch (error) {
      if (!isProblem(error)) throw error;
      call(() => onState('stopped', error));
      leave();
      return [];
    }
  }

  /** What is wanted of the next lines; of those that the viewer has already only what they tell of others. */
  function pickWanted(lines: readonly LogLine[]): LogLine[] {
    const picked: LogLine[] = [];
    const show = (line: LogLine) => picked.push(line);
    for (const line of lines) {
      const isKnown = after !== undefined && compareCursors(line.cursor, after) <= 0;
      if (!isKnown) after = undefined;
      if (around === 0) {
        if (!isKnown) picker.push(line, show);
      } else if (seen === undefined || compareCursors(line.cursor, seen) > 0) {
        seen = line.cursor;
        picker.push(line, isKnown ? ignore : show);
      }
    }
    return picked;
  }

  /**
   * Keeps more than a batch for a while from the next line on: lines that were missed are wanted, and come at once.
   * Where even that is too much, it is a flood as any other.
   */
  function catchUp(): void {
    pending.limit({ lines: maxLines, text: maxHeldText });
    caughtUpAt = Number.POSITIVE_INFINITY;
  }

  function expect(first: LogLine | undefined): void {
    if (phase === 'closed') return;
    phase = 'filling';
    catchUp();
    head = first;
  }

  function take(lines: readonly LogLine[]): void {
    if (phase === 'closed') return;
    if (phase === 'filling') head ??= lines[0];
    const isEarly = phase === 'filling' && around > 0;
    const window = isEarly ? early : pending;
    for (const line of isEarly ? lines : pick(lines)) window.push(line);
    if (caughtUpAt === Number.POSITIVE_INFINITY) caughtUpAt = performance.now() + catchUpMs;
    if (pending.dropped() > 0) pending.limit({ lines: maxBatchLines });
    schedule();
  }

  function fill(older: LogLine[], uncertainTime: string | undefined, gap: LogGap | undefined): void {
    if (phase === 'closed') return;
    const before = head ? olderThan(head, older, uncertainTime) : older;
    const missed = early.dropped();
    if (around > 0) fillAround(before);
    else {
      if (!head) after = older.at(-1)?.cursor ?? after;
      backlog = newestOf([...before, ...backlog]);
    }
    backlogGap = gap ?? (missed > 0 ? { atMost: missed } : undefined);
    goLive();
  }

  /** Looks at everything again, now that it is known what lies before it. */
  function fillAround(before: LogLine[]): void {
    picker = createFilterPicker(query);
    seen = undefined;
    after = query.since;
    backlog = newestOf(pick([...before, ...held]));
    for (const line of pick(early.list())) pending.push(line);
    held = [];
    early.clear();
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
    tellEnding();
  }

  function schedule(): void {
    if (phase === 'live' && hasMore()) ticker.add(flush);
  }

  const hasMore = () => backlog.length > 0 || backlogGap !== undefined || pending.size() > 0;

  /** Says that lines are missing behind those that it was given. */
  function miss(since: string): void {
    if (phase === 'closed') return;
    backlog.push(...pending.take(pending.size()));
    pendingGap = { since };
  }

  /** Hands on one batch; older lines come first and apart, so that a gap stands where lines are missing. */
  function flush(): void {
    if (phase !== 'live' || !hasMore()) return;
    if (rest > 0) {
      rest -= 1;
      schedule();
      return;
    }
    if (!hasRoom()) {
      pending.limit({ text: maxBatchText });
      schedule();
      return;
    }
    const batch = backlog.length > 0 || backlogGap ? nextOfBacklog() : nextOfPending();
    call(() => onBatch(batch));
    schedule();
    tellEnding();
  }

  /** The end is told behind the last line: who leaves with it has them all. */
  function tellNow(state: LogState, reason: Problem | undefined): void {
    if (phase === 'closed') return;
    ending = state === 'ended' ? { reason } : undefined;
    if (ending) tellEnding();
    else call(() => onState(state, reason));
  }

  function tellEnding(): void {
    if (!ending || phase === 'filling' || hasMore()) return;
    const { reason } = ending;
    ending = undefined;
    call(() => onState('ended', reason));
  }

  function nextOfBacklog(): LogBatch {
    const gap = backlogGap;
    backlogGap = undefined;
    const lines = backlog.splice(0, fittingBatch(backlog));
    return gap ? { lines, gap } : { lines };
  }

  function nextOfPending(): LogBatch {
    const skipped = pending.dropped();
    const lines = pending.take(fittingBatch(pending.list()));
    if (pending.size() === 0 && performance.now() > caughtUpAt)
      pending.limit({ lines: maxBatchLines, text: maxHeldText });
    const torn = pendingGap;
    pendingGap = undefined;
    if (skipped > 0) rest = restTicks;
    const gap = torn ?? (skipped > 0 ? { lines: skipped } : undefined);
    return gap ? { lines, gap } : { lines };
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
    ending = undefined;
    backlog = [];
    held = [];
    backlogGap = undefined;
    early.clear();
    pending.clear();
    ticker.remove(flush);
  }

  return {
    query,
    /** How many lines are shown before and after each match. */
    around,
    start,
    catchUp,
    expect,
    take,
    miss,
    fill,
    goLive,
    close,
    /** How many lines it was started with and has not handed on yet. */
    held: () => backlog.length,
    isWaiting: () => phase === 'waiting',
    /** Not before its caller has what it follows with: who joins a view is sent nothing until then. */
    tell: (state: LogState, reason?: Problem) => void setImmediate(tellNow, state, reason),
  };
}

/** How many of some lines make a batch: one at least. */
function fittingBatch(lines: readonly LogLine[]): number {
  let text = 0;
  let count = 0;
  for (const line of lines) {
    text += line.text.length;
    if (count > 0 && (count === maxBatchLines || text > maxBatchText)) break;
    count += 1;
  }
  return count;
}

const ignore = () => {};

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
