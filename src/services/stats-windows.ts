/** The spans of time up to now that can be asked for, in seconds. */
export const statsRanges = { '1h': 3_600, '24h': 86_400, '7d': 604_800, '30d': 2_592_000 } as const;
export type StatsRange = keyof typeof statsRanges;

/** A span of time of one's own choice, ms since 1970. */
export type StatsSpan = { from: number; to: number };

/** A span of time with the length of its steps; `range` is `custom` for one of one's own choice. */
export type StatsWindow = StatsSpan & { range: StatsRange | 'custom'; stepSeconds: number };

/** No chart is wider than its dots. */
const mostSteps = 360;

/** How long figures are kept in steps of which length, both in seconds; older ones are in steps of two hours. */
const tiers = [
  { keptSeconds: 3_600, stepSeconds: 1 },
  { keptSeconds: 25 * 3_600, stepSeconds: 60 },
  { keptSeconds: 8 * 86_400, stepSeconds: 900 },
] as const;
const longStepSeconds = 7_200;

/** Lengths of steps, each a multiple of those of every tier that it is longer than. */
const stepLengths = [1, 2, 5, 10, 20, 30, 60, 120, 240, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];
const leastStepSeconds = { '1h': 10, '24h': 240, '7d': 1_800, '30d': 7_200 } as const;

/**
 * What to read for a range up to now, or a span: at most 360 steps, which are no shorter than the interval between
 * samples nor than those that the oldest figures in it are kept in.
 */
export function toWindow(wanted: StatsRange | StatsSpan, now: number, intervalSeconds: number): StatsWindow {
  const interval = Math.ceil(intervalSeconds);
  if (typeof wanted === 'string') {
    const stepSeconds = Math.max(leastStepSeconds[wanted], interval);
    return { range: wanted, from: now - statsRanges[wanted] * 1_000, to: now, stepSeconds };
  }
  const { from, to } = wanted;
  const age = (now - from) / 1_000;
  const kept = tiers.find(({ keptSeconds }) => age < keptSeconds)?.stepSeconds ?? longStepSeconds;
  const least = Math.max(kept, interval, (to - from) / 1_000 / mostSteps);
  return { range: 'custom', from, to, stepSeconds: stepLengths.find((length) => length >= least) ?? Math.ceil(least) };
}

/** When the first of a window's steps begins, ms since 1970: of a range up to now the last one is under way. */
export function firstStep({ range, from, to, stepSeconds }: StatsWindow): number {
  const stepMs = stepSeconds * 1_000;
  if (range === 'custom') return Math.ceil(from / stepMs) * stepMs;
  return Math.floor(to / stepMs) * stepMs - (Math.ceil(statsRanges[range] / stepSeconds) - 1) * stepMs;
}
