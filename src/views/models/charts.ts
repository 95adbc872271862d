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

type Point = { at: number; value: number | null };
type Series = { label: string; points: Point[] };

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
    from: now - seconds * 1000,
    to: now,
    gap: Math.max(stats.stepSeconds, 1) * 2500,
    range: rangeLabels[range] ?? '1 hour',
  };
  const samples = stats.samples.map((sample) => ({ ...sample, at: toMs(sample.at) }));
  const href = `${context.base}/containers/${stats.id}/stats`;
  return {
    ...toShared(context),
    stats: {
      id: stats.id,
      ranges: Object.keys(ranges).map((value) => ({
        href: toHref(href, { range: value }),
        label: value,
        current: value === range,
      })),
      charts: samples.length > 0 ? toCharts(samples, frame) : [],
      empty: samples.length > 0 ? '' : 'No figures yet: they are taken while it runs.',
    },
  };
}

type Frame = { from: number; to: number; gap: number; range: string };
type Sample = Omit<StatsSample, 'at'> & { at: number };

const toMs = (at: string | number) => (typeof at === 'number' ? at : Date.parse(at));

function toCharts(samples: Sample[], frame: Frame): ChartModel[] {
  const pick = (key: (sample: Sample) => number | null | undefined): Point[] =>
    samples.map((sample) => ({ at: sample.at, value: key(sample) ?? null }));
  const limit = samples.findLast((sample) => sample.memoryLimitBytes !== null)?.memoryLimitBytes ?? null;
  return [
    toChart(frame, {
      title: 'CPU',
      series: [{ label: 'CPU', points: pick((sample) => sample.cpuPercent) }],
      peak: pick((sample) => sample.cpuPercentMax),
      format: percent,
      of: '100% is one core',
      least: 10,
    }),
    toChart(frame, {
      title: 'Memory',
      series: [{ label: 'memory', points: pick((sample) => sample.memoryBytes) }],
      peak: pick((sample) => sample.memoryBytesMax),
      format: bytes,
      of: limit === null ? 'no limit' : `of ${bytes(limit)}`,
      limit,
      least: 1e6,
    }),
    toChart(frame, {
      title: 'Network',
      series: [
        {
          label: 'in',
          points: toRates(
            pick((sample) => sample.networkRxBytes),
            frame.gap,
          ),
        },
        {
          label: 'out',
          points: toRates(
            pick((sample) => sample.networkTxBytes),
            frame.gap,
          ),
        },
      ],
      format: rate,
      of: 'in',
      least: 1000,
    }),
    toChart(frame, {
      title: 'Block I/O',
      series: [
        {
          label: 'read',
          points: toRates(
            pick((sample) => sample.blockReadBytes),
            frame.gap,
          ),
        },
        {
          label: 'written',
          points: toRates(
            pick((sample) => sample.blockWriteBytes),
            frame.gap,
          ),
        },
      ],
      format: rate,
      of: 'read',
      least: 1000,
    }),
    toChart(frame, {
      title: 'Processes',
      series: [{ label: 'processes', points: pick((sample) => sample.pids) }],
      format: count,
      of: 'processes and threads',
      least: 4,
    }),
  ];
}

/** Totals as rates per second; a total that shrank began anew, so that point has none. */
function toRates(points: Point[], gap: number): Point[] {
  return points.map((point, index) => {
    const before = points[index - 1];
    if (!before || before.value === null || point.value === null || point.at - before.at > gap) {
      return { at: point.at, value: null };
    }
    const grown = point.value - before.value;
    return { at: point.at, value: grown < 0 ? null : (grown / (point.at - before.at)) * 1000 };
  });
}

type ChartInput = {
  title: string;
  series: Series[];
  peak?: Point[];
  format: (value: number) => string;
  of: string;
  limit?: number | null;
  /** The scale never gets finer than this. */
  least: number;
};

function toChart(frame: Frame, input: ChartInput): ChartModel {
  const [first, second] = input.series;
  const points = first?.points ?? [];
  const peak = input.peak ?? [];
  const values = [...points, ...(second?.points ?? []), ...peak].flatMap((point) => point.value ?? []);
  const highest = values.reduce((most, value) => Math.max(most, value), 0);
  // A limit that is far away would press the line to the floor: then it is only told in words.
  const limit = input.limit && input.limit <= highest * 4 ? input.limit : null;
  const top = limit === null ? niceMax(Math.max(highest, input.least)) : limit * 1.04;
  const last = points.findLast((point) => point.value !== null)?.value ?? null;
  const now = last === null ? '–' : input.format(last);
  const hasPeak = peak.some((point, index) => (point.value ?? 0) > (points[index]?.value ?? 0));
  const line = toPath(points, frame, top);
  return {
    chart: {
      title: input.title,
      now,
      of: input.of,
      label: `${input.title}, last ${frame.range}. Newest ${now} ${input.of}.`,
      top: limit === null ? input.format(top) : `${input.format(limit)} limit`,
      area: toArea(points, frame, top),
      line,
      second: second ? toPath(second.points, frame, top) : '',
      peak: hasPeak ? toPath(peak, frame, top) : '',
      legend: input.series.length > 1 ? input.series.map(({ label }, index) => ({ label, dashed: index > 0 })) : [],
      limitY: limit === null ? null : plotTop + height - (limit / top) * height,
      ticks: toTicks(frame),
      tips: toTips(input, frame),
      empty: line === '',
    },
  };
}

/** A round number just above: 1, 2 or 5 with zeros. */
function niceMax(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 3, 5, 7.5, 10].find((factor) => factor * power >= value * 1.02) ?? 10;
  return step * power;
}

const xOf = (at: number, { from, to }: Frame) => ((at - from) / (to - from)) * width;
const yOf = (value: number, top: number) => height - (Math.min(value, top) / top) * height;
const short = (value: number) => String(Number(value.toFixed(1)));

/** Runs of points without a hole between them. */
function toRuns(points: Point[], frame: Frame): { at: number; value: number }[][] {
  const runs: { at: number; value: number }[][] = [];
  let last: number | null = null;
  for (const { at, value } of points) {
    if (value === null || at < frame.from || at > frame.to + 1000) continue;
    if (last === null || at - last > frame.gap) runs.push([]);
    runs.at(-1)?.push({ at, value });
    last = at;
  }
  return runs;
}

function toPath(points: Point[], frame: Frame, top: number): string {
  return toRuns(points, frame)
    .map((run) => {
      // A lone point would be invisible as a line of no length.
      const shown = run.length === 1 && run[0] ? [run[0], { at: run[0].at + frame.gap / 5, value: run[0].value }] : run;
      return shown
        .map(
          (point, index) => `${index === 0 ? 'M' : 'L'}${short(xOf(point.at, frame))} ${short(yOf(point.value, top))}`,
        )
        .join('');
    })
    .join('');
}

function toArea(points: Point[], frame: Frame, top: number): string {
  return toRuns(points, frame)
    .map((run) => {
      const [first] = run;
      const last = run.at(-1);
      if (!first || !last) return '';
      return `${toPath(run, frame, top)}L${short(xOf(last.at, frame))} ${height}L${short(xOf(first.at, frame))} ${height}Z`;
    })
    .join('');
}

const day = 24 * 3600 * 1000;

function toTicks({ from, to }: Frame): ChartModel['chart']['ticks'] {
  const text = (at: number) => (to - from > 2 * day ? dayMonth(at) : clock(at).slice(0, 5));
  return [0, 1, 2, 3].map((index) => ({
    x: `${short((index * 100) / 3)}%`,
    text: text(from + ((to - from) * index) / 3),
    anchor: index === 0 ? 'start' : index === 3 ? 'end' : 'middle',
  }));
}

const tipCount = 48;

/** Strips over the plot that tell their values when pointed at; a browser shows a `title` without any script. */
function toTips(input: ChartInput, frame: Frame): ChartModel['chart']['tips'] {
  const step = (frame.to - frame.from) / tipCount;
  const newest: { at: number; texts: string[] }[] = [];
  for (const [order, { label, points }] of input.series.entries()) {
    for (const { at, value } of points) {
      const index = Math.min(tipCount - 1, Math.floor((at - frame.from) / step));
      if (value === null || index < 0) continue;
      const strip = newest[index] ?? { at, texts: [] };
      strip.at = at;
      strip.texts[order] = input.series.length > 1 ? `${label} ${input.format(value)}` : input.format(value);
      newest[index] = strip;
    }
  }
  return newest.flatMap((strip, index) => {
    if (!strip) return [];
    const time = frame.to - frame.from > 2 * day ? `${dayMonth(strip.at)} ` : '';
    return [
      {
        x: `${short((index * 100) / tipCount)}%`,
        width: `${short(100 / tipCount)}%`,
        text: `${time}${clock(strip.at).slice(0, 5)} UTC: ${strip.texts.filter(Boolean).join(', ')}`,
      },
    ];
  });
}
