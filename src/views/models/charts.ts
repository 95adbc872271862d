import { chartPaths, niceMax, timeTicks, toRate } from '../../charts.ts';
import type { Mark } from '../../services/event-types.ts';
import { bytes, count, dayMonth, percent, plural, rate } from '../format.ts';
import { type MarkModel, marksAt, toMarks } from './chart-marks.ts';
import { momentIn, type Shown, toMs, toStrips } from './chart-strips.ts';
import { gapsInWords, marksInWords, seriesInWords } from './chart-words.ts';
import { type ChartsWindow, toZoom, type ZoomModel } from './chart-zoom.ts';
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

/** The samples of a container, or of a sum of them, with the length of their steps. */
export type Stats = { stepSeconds: number; samples: readonly StatsSample[] };

/** What its charts show, the address of the page with them alone, and how much memory and CPU there are where it is known. */
export type ChartsView = { path: string; window: ChartsWindow; cpus?: number };

type Accessor = (sample: StatsSample, index: number) => number | null;
type Series = { label: string; value: Accessor };

/** One chart: paths in a box of 300 by 92, everything else placed in percent, so that nothing distorts. */
export type ChartModel = {
  chart: {
    id: string;
    title: string;
    /** The newest value, and what it is part of. */
    now: string;
    of: string;
    label: string;
    /** The same and more in whole sentences, for those who do not see it. */
    words: string;
    /** Values on the axis, from the top: where their line is, and where their text. */
    levels: { y: string; textY: string; text: string }[];
    area: string;
    line: string;
    second: string;
    peak: string;
    legend: { label: string; line: 'l' | 'l2' | 'p' }[];
    limitY: string | null;
    ticks: { x: string; text: string; anchor: 'start' | 'middle' | 'end' }[];
    tips: { x: string; width: string; text: string }[];
    marks: MarkModel[];
    empty: boolean;
  };
};

/** The data of `fragments/stats/charts`. */
export type ChartsModel = Shared & {
  stats: {
    ranges: { href: string; label: string; current: boolean }[];
    zoom: ZoomModel;
    charts: ChartModel[];
    /** The same values as text: a row each piece of time, a column each chart. */
    table: { columns: string[]; rows: { time: string; cells: string[] }[] };
    empty: string;
  };
};

const rangeLabels: Record<string, string> = { '1h': '1 hour', '24h': '24 hours', '7d': '7 days', '30d': '30 days' };

const width = 300;
const height = 92;
const plotTop = 12;

/** The charts of a window, with marks on their time: CPU, memory against its limit, network, block I/O, processes. */
export function chartsModel(
  stats: Stats,
  { path, window, cpus }: ChartsView,
  context: ViewContext,
  marks: readonly Mark[] = [],
): ChartsModel {
  const { range, from, to } = window;
  const href = `${context.base}${path}`;
  const zoom = toZoom(href, window, context.now);
  const frame: Frame = {
    samples: stats.samples,
    box: { from, to, stepSeconds: stats.stepSeconds, width, height },
    time: zoom.words || `last ${rangeLabels[range] ?? range}`,
    marks,
    cpus,
  };
  const isEmpty = stats.samples.length === 0;
  const inputs = isEmpty ? [] : toInputs(frame);
  return {
    ...toShared(context),
    stats: {
      ranges: Object.keys(rangeLabels).map((value) => ({
        href: toHref(href, { range: value }),
        label: value,
        current: value === range,
      })),
      zoom,
      charts: inputs.map((input) => toChart(frame, input)),
      table: toTable(frame, inputs),
      empty: isEmpty ? [whyEmpty(context, zoom.words !== ''), marksInWords(marks, window)].join(' ').trim() : '',
    },
  };
}

function whyEmpty({ figuresOff }: ViewContext, isOwn: boolean): string {
  if (figuresOff) return 'No figures: figures are switched off (STATS_INTERVAL=0).';
  return isOwn ? 'No figures of this time.' : 'No figures yet: they are taken of what runs.';
}

type Frame = {
  samples: readonly StatsSample[];
  box: { from: number; to: number; stepSeconds: number; width: number; height: number };
  /** The time that is shown, in words. */
  time: string;
  marks: readonly Mark[];
  cpus: number | undefined;
};

function toInputs(frame: Frame): ChartInput[] {
  const { samples, box } = frame;
  const limit = samples.findLast((sample) => sample.memoryLimitBytes !== null)?.memoryLimitBytes ?? null;
  const ratesOf = (total: (sample: StatsSample) => number | null) =>
    whereOver(toRate(samples, total, box.stepSeconds), box);
  return [
    {
      title: 'CPU',
      series: [{ label: 'CPU', value: (sample) => sample.cpuPercent }],
      peak: (sample) => sample.cpuPercentMax ?? null,
      format: percent,
      of: frame.cpus ? `100% is one of ${plural(frame.cpus, 'core')}` : '100% is one core',
      least: 10,
    },
    {
      title: 'Memory',
      series: [{ label: 'memory', value: (sample) => sample.memoryBytes }],
      peak: (sample) => sample.memoryBytesMax ?? null,
      format: bytes,
      of: limit === null ? 'no limit' : `of ${bytes(limit)}`,
      limit,
      least: 1e6,
    },
    {
      title: 'Network',
      series: [
        { label: 'in', value: ratesOf((sample) => sample.networkRxBytes) },
        { label: 'out', value: ratesOf((sample) => sample.networkTxBytes) },
      ],
      format: rate,
      of: 'in',
      least: 1000,
    },
    {
      title: 'Block I/O',
      series: [
        { label: 'read', value: ratesOf((sample) => sample.blockReadBytes) },
        { label: 'written', value: ratesOf((sample) => sample.blockWriteBytes) },
      ],
      format: rate,
      of: 'read',
      least: 1000,
    },
    {
      title: 'Processes',
      series: [{ label: 'processes', value: (sample) => sample.pids }],
      format: count,
      of: 'processes and threads',
      least: 5,
    },
  ];
}

/** A step under way holds a part of its traffic only, which may be far too little: it has no rate yet. */
function whereOver(rateOf: Accessor, { to, stepSeconds }: Frame['box']): Accessor {
  return (sample, index) => (toMs(sample.at) + stepSeconds * 1_000 <= to ? rateOf(sample, index) : null);
}

type ChartInput = {
  title: string;
  series: readonly [Series] | readonly [Series, Series];
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
      id: `chart-${input.title.toLowerCase().replace(/[^a-z]/g, '')}`,
      title: input.title,
      now,
      of: input.of,
      label: `${input.title}, ${frame.time}. Newest ${now} ${input.of}.`,
      words: inWords(frame, { ...input, peak }),
      levels: toLevels(limit ?? max, max, limit === null ? input.format : (value) => limitText(input, value, limit)),
      area,
      line,
      second: draw(second?.value).line,
      peak: draw(peak).line,
      legend: toLegend(input, peak !== undefined),
      limitY: limit === null ? null : short(yOf(limit, max)),
      ticks: toTicks(frame),
      tips: toTips(input, frame),
      marks: toMarks(frame.marks, frame.box),
      empty: line === '',
    },
  };
}

/** What a chart says to those who do not see it, in whole sentences. */
const inWords = ({ samples, box, marks }: Frame, shown: Shown<StatsSample>) =>
  [...seriesInWords(samples, shown), gapsInWords(samples, box), marksInWords(marks, box)].filter(Boolean).join(' ');

const yOf = (value: number, max: number) => plotTop + height - (value / max) * height;

const limitText = ({ format }: ChartInput, value: number, limit: number) =>
  value === limit ? `${format(value)} limit` : format(value);

/** The top of the scale, its middle and its floor; each text stands on its line. */
function toLevels(top: number, max: number, format: (value: number) => string): ChartModel['chart']['levels'] {
  return [top, top / 2, 0].map((value) => {
    const y = yOf(value, max);
    return { y: short(y), textY: short(y - 3), text: format(value) };
  });
}

function toLegend({ series }: ChartInput, hasPeak: boolean): ChartModel['chart']['legend'] {
  const [first, second] = series;
  if (second)
    return [
      { label: first.label, line: 'l' },
      { label: second.label, line: 'l2' },
    ];
  if (!hasPeak) return [];
  return [
    { label: 'average', line: 'l' },
    { label: 'highest', line: 'p' },
  ];
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
    text: isDays ? dayMonth(at) : momentIn(box, at),
    anchor: x < 6 ? 'start' : x > 94 ? 'end' : 'middle',
  }));
}

const tipCount = 60;
const tableRows = 24;

/**
 * Strips over the plot that tell their values and what is marked in them when pointed at; a browser shows a `title`
 * without any script. What is marked where nothing is known has its strip as well, so that keys reach it.
 */
function toTips(input: ChartInput, { samples, box, marks }: Frame): ChartModel['chart']['tips'] {
  const strips = new Map(toStrips(samples, input, box, tipCount).map((strip) => [strip.index, strip]));
  const marked = marksAt(marks, box, tipCount);
  return [...new Set([...strips.keys(), ...marked.keys()])]
    .sort((a, b) => a - b)
    .map((index) => {
      const { at, text } = strips.get(index) ?? { at: marked.get(index)?.at ?? 0, text: 'no figures' };
      return {
        x: `${short((index * 100) / tipCount)}%`,
        width: `${short(100 / tipCount)}%`,
        text: [`${momentIn(box, at)} UTC: ${text}`, ...(marked.get(index)?.titles ?? [])].join('\n'),
      };
    });
}

function toTable({ samples, box }: Frame, inputs: readonly ChartInput[]): ChartsModel['stats']['table'] {
  const columns = inputs.map((input) => new Map(toStrips(samples, input, box, tableRows).map((it) => [it.index, it])));
  const rows = Array.from({ length: tableRows }, (_, index) => {
    const cells = columns.map((column) => column.get(index)?.text ?? 'none');
    const begun = box.from + ((box.to - box.from) / tableRows) * index;
    return { time: momentIn(box, begun), cells };
  });
  return { columns: inputs.map(({ title }) => title), rows: inputs.length > 0 ? rows : [] };
}
