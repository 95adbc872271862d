/** Two SVG paths: the line, and the area under it. Both are empty where there is nothing to draw. */
export type Paths = { line: string; area: string };

/** The box of a sparkline; without `max` the scale ends at the highest value, at 10 at least. */
export type SparkBox = { width?: number; height?: number; max?: number };

/** The box of a chart and the time it shows, ms since 1970. */
export type ChartBox = {
  from: number;
  to: number;
  stepSeconds: number;
  max: number;
  width?: number;
  height?: number;
};

/** A mark on the time axis. */
export type TimeTick = { at: number; x: number };

/** A point in tenths of a unit: whole numbers, so that relative steps never add up rounding errors. */
type Point = readonly [x: number, y: number];

const sparkSlots = 60;
const sparkFloor = 10;
/** Samples that are further apart than so many steps have a gap between them. */
export const gapSteps = 2.5;
const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const tickSteps = [
  10 * second,
  30 * second,
  minute,
  5 * minute,
  15 * minute,
  hour,
  3 * hour,
  6 * hour,
  12 * hour,
  day,
  2 * day,
  7 * day,
];

/**
 * The last 60 values as a sparkline that grows from the right. Whole x, relative steps and merged level runs keep it
 * at some 5 bytes a value, since it is pushed with every row.
 */
export function sparkPath(values: readonly number[], { width = 64, height = 20, max }: SparkBox = {}): Paths {
  const shown = values.slice(-sparkSlots);
  const top = max ?? Math.max(sparkFloor, ...shown);
  const xOf = (index: number) => Math.round(width - ((shown.length - 1 - index) * width) / (sparkSlots - 1)) * 10;
  return toPaths([shown.map((value, index) => [xOf(index), tenthsDown(value, top, height)])], height);
}

/**
 * A series as a chart: one piece of line for each run of samples; a gap of more than 2.5 steps, or a value of null,
 * ends a run. Values above `max` are cut off at the top edge.
 */
export function chartPaths<Sample extends { at: string | number }>(
  samples: readonly Sample[],
  accessor: (sample: Sample, index: number) => number | null,
  { from, to, stepSeconds, max, width = 300, height = 92 }: ChartBox,
): Paths {
  const runs: Point[][] = [];
  let endsAt = Number.NEGATIVE_INFINITY;
  for (const [index, sample] of samples.entries()) {
    const at = toMs(sample.at);
    const value = accessor(sample, index);
    if (value === null || at < from || at > to) continue;
    if (at > endsAt) runs.push([]);
    runs.at(-1)?.push([Math.round(((at - from) / (to - from)) * width * 10), tenthsDown(value, max, height)]);
    endsAt = at + gapSteps * stepSeconds * second;
  }
  return toPaths(runs, height);
}

/**
 * Totals as an accessor of rates per second, for `chartPaths`: null where a total shrank, which is a restart, or where
 * the sample before is missing.
 */
export function toRate<Sample extends { at: string | number }>(
  samples: readonly Sample[],
  total: (sample: Sample) => number | null,
  stepSeconds: number,
): (sample: Sample, index: number) => number | null {
  return (sample, index) => {
    const before = samples[index - 1];
    if (!before) return null;
    const [earlier, later] = [total(before), total(sample)];
    const seconds = (toMs(sample.at) - toMs(before.at)) / second;
    if (earlier === null || later === null || later < earlier) return null;
    return seconds > 0 && seconds <= gapSteps * stepSeconds ? (later - earlier) / seconds : null;
  };
}

/** The end of an axis that holds a value: 1, 2 or 5 times a power of ten, or a power of two for bytes (`base` 1024). */
export function niceMax(value: number, base: 1000 | 1024 = 1000): number {
  if (!(value > 0)) return 1;
  if (base === 1024) return 2 ** Math.ceil(Math.log2(value));
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((factor) => factor * power >= value) ?? 10) * power;
}

/** At most so many marks on round moments of UTC, with their places on the axis. */
export function timeTicks(from: number, to: number, { width = 300, count = 6 } = {}): TimeTick[] {
  const step = tickSteps.find((candidate) => (to - from) / candidate <= count) ?? Math.ceil((to - from) / count);
  const first = Math.ceil(from / step) * step;
  const marks = Array.from(
    { length: Math.max(0, Math.floor((to - first) / step) + 1) },
    (_, index) => first + index * step,
  );
  return marks.map((at) => ({ at, x: Math.round(((at - from) / (to - from)) * width * 10) / 10 }));
}

const toMs = (at: string | number) => (typeof at === 'number' ? at : Date.parse(at));

/** How far below the top edge a value stands, in tenths. */
function tenthsDown(value: number, max: number, height: number): number {
  const part = Math.min(Math.max(value / max, 0), 1);
  return Math.round(height * 10 * (1 - (part || 0)));
}

function toPaths(runs: readonly (readonly Point[])[], height: number): Paths {
  const pieces = runs.map(widen).map((run) => ({ line: toLine(run), run }));
  return {
    line: pieces.map(({ line }) => line).join(''),
    area: pieces.map(({ line, run }) => close(line, run, height * 10)).join(''),
  };
}

/** A lone point would be a line without length, which nobody sees. */
function widen(run: readonly Point[]): readonly Point[] {
  const [only] = run;
  return only && run.length === 1 ? [[only[0] - 10, only[1]], only] : run;
}

function close(line: string, run: readonly Point[], floor: number): string {
  const [first] = run;
  return first ? `${line}V${tenths(floor)}H${tenths(first[0])}z` : '';
}

/** Relative steps; points on one level become one step. */
function toLine(run: readonly Point[]): string {
  const [first] = run;
  if (!first) return '';
  let path = `M${tenths(first[0])}${joined(first[1])}`;
  let [x, y] = first;
  for (const [index, [nextX, nextY]] of run.entries()) {
    if (nextY === y && run[index + 1]?.[1] === y) continue;
    if (nextX === x && nextY === y) continue;
    path += nextY === y ? `h${tenths(nextX - x)}` : `l${tenths(nextX - x)}${joined(nextY - y)}`;
    [x, y] = [nextX, nextY];
  }
  return path;
}

/** Tenths as SVG's shortest number: `.5`, `-1.2`, `3`. */
const tenths = (value: number) => String(value / 10).replace(/^(-?)0\./, '$1.');

/** A second number after a first one: a minus separates by itself. */
const joined = (value: number) => (value < 0 ? tenths(value) : ` ${tenths(value)}`);
