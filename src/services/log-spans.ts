import { compareCursors, moveCursor } from './log-cursor.ts';
import { disorderMs } from './log-follower.ts';

/** How far back the first span of a log goes. */
export const firstSpanMs = 60_000;
/** From one span to the next at most: 1 min, 30 min, 15 h, 18 days, then the whole. */
const spanGrowth = 30;
const widestSpanMs = firstSpanMs * spanGrowth ** 3;
/** A span of this length is read however many lines it has. */
export const shortestSpanMs = firstSpanMs / spanGrowth;
const spanLines = 50_000;
/** How many lines show that a span is too wide; so many are tried however few are left to be looked at. */
const maxSpanLines = 2 * spanLines;
const leastSpanLines = 5_000;

/** What one request may cost: lines looked at, and ms. */
export const maxSearchedLines = 400_000;
export const maxSearchMs = 5_000;
const nanosecondsPerMs = 1_000_000n;

/**
 * What one slice may cost where several make up a page: so many lines looked at, until a time (`performance.now()`), and
 * whether it goes on where another one was given up, far from the log's end.
 */
export type SearchEffort = { lines: number; endsAt: number; isDeep: boolean };

/** What a slice may still cost. */
export type Budget = ReturnType<typeof createBudget>;

/** Counts what a slice costs: where nothing else is said, 400,000 lines looked at, or 5 s. */
export function createBudget(effort?: SearchEffort) {
  const end = effort?.endsAt ?? performance.now() + maxSearchMs;
  let left = effort?.lines ?? maxSearchedLines;
  return {
    spend: (lines: number) => {
      left -= lines;
    },
    left: () => left,
    isSpent: () => left < 0 || performance.now() > end,
  };
}

/** Behind how many lines a span is given up for a shorter one. */
export const spanBound = (budget: Budget) => Math.min(maxSpanLines, Math.max(leastSpanLines, budget.left()));

/** Where a reading has to begin for the lines behind a cursor to be sure. */
export const floorOf = (since: string) => moveCursor(since, -2n * BigInt(disorderMs) * nanosecondsPerMs - 1n);

/** The first cursor that every reading agrees on, in one that begins with a cursor. */
export const firstSure = (begin: string) => moveCursor(begin, BigInt(disorderMs) * nanosecondsPerMs + 1n);

/** How long the next span is, in ms, by how many lines this one had. */
export function nextSpan(spanMs: number, { searched, wasGivenUp }: { searched: number; wasGivenUp: boolean }): number {
  const factor = wasGivenUp ? 1 / spanGrowth : Math.min(spanGrowth, spanLines / Math.max(1, searched));
  return Math.max(shortestSpanMs, Math.round(spanMs * factor));
}

/** Where a span before a cursor begins, which is no further back than `since` asks for; none where the log is read whole. */
export function beginOfSpan(end: string, spanMs: number, since: string | undefined): string | undefined {
  const begin = spanMs > widestSpanMs ? undefined : moveCursor(end, -BigInt(spanMs) * nanosecondsPerMs);
  if (since === undefined) return begin;
  const floor = floorOf(since);
  return begin === undefined || compareCursors(begin, floor) < 0 ? floor : begin;
}
