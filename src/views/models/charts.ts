import { chartPaths, niceMax, timeTicks, toRate } from '../../charts.ts';
import { bytes, clock, count, dayMonth, percent, rate } from '../format.ts';
import { type Shared, toHref, toShared, type ViewContext } from './context.ts';

/** One sample as the contract tells it; `at` in RFC 3339 or ms. */
export type StatsSample = {
  at: string | number;
  cpuPercent: number | null;
  cpuPercentMax?: number | null | undefined;
  memoryBytes: number | null;
  memoryBytesMax?: number | null | undefined;
  memoryLimitBytes: number | null;
  networkRxBytes: number | null;
  networkTxBytes: number | null;
  blockReadBytes: number | null;
  blockWriteBytes: number | null;
  pids: number | null;
};

/** A container's samples over a range. */
export type Stats = { id: string; range: string; stepSeconds: number; samples: readonly StatsSample[] };

type Accessor = (sample: StatsSample, index: number) => number | null;
type Series = { label: string; value: Accessor };

/** One chart: paths in a box of 300 by 92, everything else placed in percent, so that nothing distorts. */
export type ChartModel = {
  chart: {
    title: string;
    /** The newest value, and what it is part of. */
    now: string;
    of: string;
    label: string;
    top: string;
    area: string;
    line: string;
    second: string;
    peak: string;
    legend: { label: string; dashed: boolean }[];
    limitY: number | null;
    ticks: { x: string; text: string; anchor: 'start' | 'middle' | 'end' }[];
    tips: { x: string; width: string; text: string }[];
    empty: boolean;
  };
};

/** The data of `fragments/stats/charts`. */
export type ChartsModel = Shared & {
  stats: {
    id: string;
    ranges: { href: string; label: string; current: boolean }[];
    charts: ChartModel[];
    empty: string;
  };
};

const ranges = { '1h': 3600, '24h': 24 * 3600, '7d': 7 * 24 * 3600, '30d': 30 * 24 * 3600 } as const;
const rangeLabels: Record<string, string> = { '1h': '1 hour', '24h': '24 hours', '7d': '7 days', '30d': '30 days' };

const width = 300;
const height = 92;
const plotTop = 12;

/** The charts of one container: CPU, memory against its limit, network, block I/O and processes. */
export function chartsModel(stats: Stats, range: string, now: number, context: ViewContext): ChartsModel {
  const seconds = range in ranges ? ranges[range as keyof typeof ranges] : ranges['1h'];
  const frame: Frame = {
    samples: stats.samples,
    box: { from: now - seconds * 1000, to: now, stepSeconds: stats.stepSeconds, width, height },
    range: rangeLabels[range] ?? '1 hour',
  };
  const href = `${context.base}/containers/${stats.id}/stats`;
  const isEmpty = stats.samples.length === 0;
  return {
    ...toShared(context),
    stats: {
      id: stats.id,
      ranges: Object.keys(ranges).map((value) => ({
        href: toHref(href, { range: value }),
        label: value,
        current: value === range,
      })),
      charts: isEmpty ? [] : toCharts(frame),
      empty: isEmpty ? whyEmpty(context) : '',
    },
  };
}

const whyEmpty = ({ figuresOff }: ViewContext) =>
  figuresOff ? 'No figures: figures are switched off.' : 'No figures yet: they are taken while it runs.';

type Frame = {
  samples: readonly StatsSample[];
  box: { from: number; to: number; stepSeconds: number; width: number; height: number };
  range: string;
};

function toCharts(frame: Frame): ChartModel[] {
  const { samples, box } = frame;
  const limit = samples.findLast((sample) => sample.memoryLimitBytes !== null)?.memoryLimitBytes ?? null;
  const ratesOf = (total: (sample: StatsSample) => number | null) => toRate(samples, total, box.stepSeconds);
  return [
    toChart(frame, {
      title: 'CPU',
      series: [{ label: 'CPU', value: (sample) => sample.cpuPercent }],
      peak: (sample) => sample.cpuPercentMax ?? null,
      format: percent,
      of: '100% is one core',
      least: 10,
    }),
    toChart(frame, {
      title: 'Memory',
      series: [{ label: 'memory', value: (sample) => sample.memoryBytes }],
      peak: (sample) => sample.memoryBytesMax ?? null,
      format: bytes,
      of: limit === null ? 'no limit' : `of ${bytes(limit)}`,
      limit,
      least: 1e6,
    }),
    toChart(frame, {
      title: 'Network',
      series: [
        { label: 'in', value: ratesOf((sample) => sample.networkRxBytes) },
        { label: 'out', value: ratesOf((sample) => sample.networkTxBytes) },
      ],
      format: rate,
      of: 'in',
      least: 1000,
    }),
    toChart(frame, {
      title: 'Block I/O',
      series: [
        { label: 'read', value: ratesOf((sample) => sample.blockReadBytes) },
        { label: 'written', value: ratesOf((sample) => sample.blockWriteBytes) },
      ],
      format: rate,
      of: 'read',
      least: 1000,
    }),
    toChart(frame, {
      title: 'Processes',
      series: [{ label: 'processes', value: (sample) => sample.pids }],
      format: count,
      of: 'processes and threads',
      least: 5,
    }),
  ];
}

type ChartInput = {
  title: string;
  series: readonly [Series, Series?];
  /** The highest value within each step, where steps hold several. */
  peak?: Accessor;
  format: (value: number) => string;
  of: string;
  limit?: number | null;
  /** The scale never gets finer than this. */
  least: number;
};

function toChart(frame: Frame, input: ChartInput): ChartModel {
  const { samples } = frame;
  const [first, second] = input.series;
  const peak = hasPeaks(samples, first.value, input.peak) ? input.peak : undefined;
  const values = [first.value, second?.value, peak].flatMap((value) => (value ? known(samples, value) : []));
  const highest = values.reduce((most, value) => Math.max(most, value), input.least);
  // A limit that is far away would press the line to the floor: then it is only told in words.
  const limit = input.limit && input.limit <= highest * 4 ? input.limit : null;
  const max = limit === null ? niceMax(highest) : limit * 1.04;
  const newest = known(samples, first.value).at(-1);
  const now = newest === undefined ? '–' : input.format(newest);
  const draw = (value: Accessor | undefined) =>
    value ? chartPaths(samples, value, { ...frame.box, max }) : { line: '', area: '' };
  const { line, area } = draw(first.value);
  return {
    chart: {
      title: input.title,
      now,
      of: input.of,
      label: `${input.title}, last ${frame.range}. Newest ${now} ${input.of}.`,
      top: limit === null ? input.format(max) : `${input.format(limit)} limit`,
      area,
      line,
      second: draw(second?.value).line,
      peak: draw(peak).line,
      legend: second ? [first, second].map(({ label }, index) => ({ label, dashed: index > 0 })) : [],
      limitY: limit === null ? null : plotTop + height - (limit / max) * height,
      ticks: toTicks(frame),
      tips: toTips(input, frame),
      empty: line === '',
    },
  };
}

const known = (samples: readonly StatsSample[], value: Accessor) =>
  samples.flatMap((sample, index) => value(sample, index) ?? []);

const hasPeaks = (samples: readonly StatsSample[], value: Accessor, peak: Accessor | undefined) =>
  peak !== undefined && samples.some((sample, index) => (peak(sample, index) ?? 0) > (value(sample, index) ?? 0));

const short = (value: number) => String(Number(value.toFixed(1)));
const day = 24 * 3600 * 1000;

function toTicks({ box }: Frame): ChartModel['chart']['ticks'] {
  const { from, to } = box;
  const isDays = to - from > 2 * day;
  return timeTicks(from, to, { width: 100, count: 5 }).map(({ at, x }) => ({
    x: `${short(x)}%`,
    text: isDays ? dayMonth(at) : clock(at).slice(0, 5),
    anchor: x < 6 ? 'start' : x > 94 ? 'end' : 'middle',
  }));
}

const tipCount = 48;

/** Strips over the plot that tell their values when pointed at; a browser shows a `title` without any script. */
function toTips(input: ChartInput, { samples, box }: Frame): ChartModel['chart']['tips'] {
  const { from, to } = box;
  const step = (to - from) / tipCount;
  const strips = new Map<number, { at: number; texts: string[] }>();
  for (const [order, series] of input.series.entries()) {
    for (const [index, sample] of samples.entries()) {
      const value = series?.value(sample, index) ?? null;
      const at = toMs(sample.at);
      if (series === undefined || value === null || at < from || at > to) continue;
      const strip = strips.get(Math.min(tipCount - 1, Math.floor((at - from) / step))) ?? { at, texts: [] };
      strip.at = at;
      strip.texts[order] = input.series.length > 1 ? `${series.label} ${input.format(value)}` : input.format(value);
      strips.set(Math.min(tipCount - 1, Math.floor((at - from) / step)), strip);
    }
  }
  const dayOf = (at: number) => (to - from > 2 * day ? `${dayMonth(at)} ` : '');
  return [...strips].map(([index, { at, texts }]) => ({
    x: `${short((index * 100) / tipCount)}%`,
    width: `${short(100 / tipCount)}%`,
    text: `${dayOf(at)}${clock(at).slice(0, 5)} UTC: ${texts.filter(Boolean).join(', ')}`,
  }));
}

const toMs = (at: string | number) => (typeof at === 'number' ? at : Date.parse(at));
