import { cursorTime } from './log-cursor.ts';
import { type LogLine, maxHeldText, maxLines } from './log-lines.ts';
import type { LogBatch, LogGap } from './logs.ts';
import { compareMerged } from './merged-cursor.ts';

/** What is missing in a merged log, of one container, or of any where none is named. */
export type MergedGap = { gap: LogGap; container: string | undefined };

/** A line, or what is missing where it stands. */
export type MergedEntry = LogLine | MergedGap;

/**
 * What waits: a line, with what is missing right before it; `isRead` where it was read, and did not just come. `time` is
 * its time in nanoseconds as near as a number can tell it, which compares ten times as fast as its digits.
 */
type Held = { line: LogLine; time: number; gap: LogGap | undefined; due: number; isRead: boolean };

const maxBatch = 500;
const tickMs = 75;
/** While nothing is left out, so many batches may come at once: 50 busy containers write as much as one batch a tick. */
const maxBatches = 3;
/** Ticks left out after a batch with a gap: a browser takes 150 ms to draw one, and would fall ever further behind. */
const restTicks = 3;
/** Lines beyond the bound that may come before the oldest are taken out, so that this is seldom done. */
const slack = 500;

/**
 * Creates the queue in which lines of several logs wait `holdMs` for earlier ones, and are put in order. It hands on
 * batches of at most 500, three a tick, and holds at most 5,000 lines or 1 MB of text: of more the oldest are left out,
 * counted, and the rest comes more slowly. It waits for room, too. What was read to begin with, a page, lies beside that bound and comes whole.
 */
export function createMergeQueue(
  holdMs: number,
  onBatch: (entries: readonly MergedEntry[]) => void,
  hasRoom: () => boolean = () => true,
) {
  let held: Held[] = [];
  /** How many lines and how much text have come and wait; those that were read are not counted. */
  let fresh = 0;
  let text = 0;
  let skipped = 0;
  /** What is missing before all that was read. */
  let opening: LogGap | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isSorted = true;
  const gaps = new Map<string, { gap: LogGap; due: number }>();

  function begin(lines: readonly LogLine[], gap?: LogGap): void {
    opening = gap;
    hold(lines, performance.now() + holdMs, true);
    wind(holdMs);
  }

  function push(container: string, { lines, gap }: LogBatch): void {
    const due = performance.now() + holdMs;
    if (gap) gaps.set(container, { gap: joinGaps(gaps.get(container)?.gap, gap), due });
    hold(lines, due, false);
    if (fresh > maxLines + slack || text > maxHeldText) trim();
    wind(holdMs);
  }

  function hold(lines: readonly LogLine[], due: number, isRead: boolean): void {
    for (const line of lines) {
      held.push({ line, time: Number(cursorTime(line.cursor)), gap: takeGap(line.container), due, isRead });
      if (!isRead) count(line, 1);
    }
    isSorted = false;
  }

  function count(line: LogLine, sign: 1 | -1): void {
    fresh += sign;
    text += sign * line.text.length;
  }

  /** Stands before the next line of its container, if that comes in time. */
  function takeGap(container: string): LogGap | undefined {
    const found = gaps.get(container);
    if (found) gaps.delete(container);
    return found?.gap;
  }

  function sort(): void {
    if (!isSorted) held.sort(compareHeld);
    isSorted = true;
  }

  function trim(): void {
    sort();
    const kept: Held[] = [];
    const lost = new Map<string, LogGap>();
    for (const each of held) {
      const { container } = each.line;
      if (each.isRead || (fresh <= maxLines && text <= maxHeldText)) {
        const gap = lost.get(container);
        lost.delete(container);
        kept.push(gap ? { ...each, gap: each.gap ? joinGaps(gap, each.gap) : gap } : each);
        continue;
      }
      count(each.line, -1);
      skipped += 1;
      // What could be counted is counted with its line; what could not is told before the next one.
      if (each.gap && 'lines' in each.gap) skipped += each.gap.lines;
      else if (each.gap) lost.set(container, joinGaps(lost.get(container), each.gap));
    }
    held = kept;
    const due = performance.now() + holdMs;
    for (const [container, gap] of lost) {
      const next = gaps.get(container)?.gap;
      gaps.set(container, { gap: next ? joinGaps(gap, next) : gap, due });
    }
  }

  function wind(ms: number): void {
    timer ??= setTimeout(flush, ms).unref();
  }

  function flush(): void {
    timer = undefined;
    const isFlood = skipped > 0;
    const most = isFlood ? 1 : maxBatches;
    for (let batch = 0; batch < most && hasRoom() && handOn(); batch += 1);
    if (held.length > 0 || gaps.size > 0 || opening) wind(isFlood ? tickMs * (1 + restTicks) : tickMs);
  }

  /** Hands on one batch of what is due, if there is any, and says whether it was a full one. */
  function handOn(): boolean {
    sort();
    const now = performance.now();
    // What came before a line that is due goes with it, though it came later.
    const ready = held.splice(0, Math.min(held.findLastIndex(({ due }) => due <= now) + 1, maxBatch));
    for (const { line, isRead } of ready) if (!isRead) count(line, -1);
    const entries = [...takeOpening(), ...withSkipped(ready), ...takeOverdue(now)];
    if (entries.length > 0) onBatch(entries);
    return ready.length === maxBatch;
  }

  function takeOpening(): MergedEntry[] {
    const gap = opening;
    opening = undefined;
    return gap ? [{ gap, container: undefined }] : [];
  }

  /** How many are missing stands before the first of those that have come, and behind what was read. */
  function withSkipped(ready: readonly Held[]): MergedEntry[] {
    const first = ready.findIndex(({ isRead }) => !isRead);
    if (skipped === 0 || (first < 0 && held.length > 0)) return ready.flatMap(toEntries);
    const gap = { gap: { lines: skipped }, container: undefined };
    skipped = 0;
    const at = first < 0 ? ready.length : first;
    return [...ready.slice(0, at).flatMap(toEntries), gap, ...ready.slice(at).flatMap(toEntries)];
  }

  /** What is missing of containers that have said nothing since. */
  function takeOverdue(now: number): MergedEntry[] {
    const overdue = [...gaps].filter(([, { due }]) => due <= now);
    for (const [container] of overdue) gaps.delete(container);
    return overdue.map(([container, { gap }]) => ({ gap, container }));
  }

  function clear(): void {
    clearTimeout(timer);
    timer = undefined;
    held = [];
    [fresh, text, skipped] = [0, 0, 0];
    opening = undefined;
    gaps.clear();
  }

  return {
    /** Takes the page that was read before anything came, in order, and what is missing before it. */
    begin,
    push,
    /** Whether all that waits has just come, from some containers alone, and nothing is missing of it. */
    isEven: (containers: ReadonlySet<string>) =>
      skipped === 0 && gaps.size === 0 && held.every(({ line, isRead }) => !isRead && containers.has(line.container)),
    /** Lets go of all that waits. */
    clear,
  };
}

/** Numbers that differ stand in the order of the digits; where they don't, these tell. */
const compareHeld = (a: Held, b: Held): number => a.time - b.time || compareMerged(a.line, b.line);

/** Two gaps of one place as one: what can be counted is, else it is said since when, by the earlier one. */
function joinGaps(before: LogGap | undefined, gap: LogGap): LogGap {
  if (!before) return gap;
  if ('lines' in before && 'lines' in gap) return { lines: before.lines + gap.lines };
  return 'since' in gap && !('since' in before) ? gap : before;
}

const toEntries = ({ line, gap }: Held): MergedEntry[] => (gap ? [{ gap, container: line.container }, line] : [line]);
