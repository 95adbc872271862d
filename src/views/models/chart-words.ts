import { gapSteps } from '../../charts.ts';
import type { Mark } from '../../services/event-types.ts';
import { plural } from '../format.ts';
import { markInWords, marksWithin } from './chart-marks.ts';
import { momentIn, type Shown, toMs } from './chart-strips.ts';

type Span = { from: number; to: number };

const gapsInSentence = 5;
const titlesInWords = 5;

/** Average and highest of each series, a sentence each. */
export function seriesInWords<Sample>(samples: readonly Sample[], { series, peak, format }: Shown<Sample>): string[] {
  const known = (value: (sample: Sample, index: number) => number | null) =>
    samples.flatMap((sample, index) => value(sample, index) ?? []);
  return series.flatMap(({ label, value }) => {
    const values = known(value);
    if (values.length === 0) return [];
    const average = values.reduce((sum, each) => sum + each, 0) / values.length;
    const highest = Math.max(...values, ...(peak ? known(peak) : []));
    return [`${series.length > 1 ? `${label}: ` : ''}average ${format(average)}, highest ${format(highest)}.`];
  });
}

/** When nothing is known: before the first sample, between two of them, and since the last one; empty where it always is. */
export function gapsInWords(
  samples: readonly { at: string | number }[],
  { stepSeconds, ...span }: Span & { stepSeconds: number },
): string {
  const times = samples.map(({ at }) => toMs(at)).filter((at) => at >= span.from && at <= span.to);
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined) return '';
  const isGap = (from: number, to: number) => to - from > gapSteps * stepSeconds * 1_000;
  const between = times.flatMap((at, index) => {
    const before = times[index - 1];
    return before !== undefined && isGap(before, at) ? [`from ${momentIn(span, before)} to ${momentIn(span, at)}`] : [];
  });
  const rest = between.length - gapsInSentence;
  const told = [
    ...(isGap(span.from, first) ? [`before ${momentIn(span, first)}`] : []),
    ...between.slice(0, gapsInSentence),
    ...(rest > 0 ? [`and ${plural(rest, 'more time')}`] : []),
    ...(isGap(last, span.to) ? [`since ${momentIn(span, last)}`] : []),
  ];
  return told.length > 0 ? `No figures ${told.join(', ')} (UTC).` : '';
}

/** What is marked, in words: the newest few, and how many there were before. */
export function marksInWords(marks: readonly Mark[], span: Span): string {
  const shown = marksWithin(marks, span);
  if (shown.length === 0) return '';
  const newest = shown.slice(-titlesInWords).map((mark) => markInWords(mark, span));
  const earlier = shown.length - newest.length;
  return `Marked: ${[...(earlier > 0 ? [`${earlier} earlier`] : []), ...newest].join('; ')}.`;
}
