import { clock, dayMonth } from '../format.ts';

/** One piece of a chart's time, and its values in words; `at` is its newest sample's time, ms since 1970. */
export type Strip = { index: number; at: number; text: string };

/** What a chart shows of its samples: each series with its name, and the highest values within its steps. */
export type Shown<Sample> = {
  series: readonly { label: string; value: (sample: Sample, index: number) => number | null }[];
  peak?: ((sample: Sample, index: number) => number | null) | undefined;
  format: (value: number) => string;
};

type Span = { from: number; to: number };

/** Cuts a span of time into pieces and tells the average of each, and the highest where it is more. */
export function toStrips<Sample extends { at: string | number }>(
  samples: readonly Sample[],
  { series, peak, format }: Shown<Sample>,
  { from, to }: Span,
  count: number,
): Strip[] {
  const pieces = new Map<number, { at: number; members: [Sample, number][] }>();
  for (const [order, sample] of samples.entries()) {
    const at = toMs(sample.at);
    if (at < from || at > to) continue;
    const index = Math.min(count - 1, Math.floor(((at - from) * count) / (to - from)));
    const piece = pieces.get(index) ?? { at, members: [] };
    piece.at = at;
    piece.members.push([sample, order]);
    pieces.set(index, piece);
  }
  return [...pieces].flatMap(([index, { at, members }]) => {
    const read = (value: (sample: Sample, index: number) => number | null) =>
      members.flatMap(([sample, order]) => value(sample, order) ?? []);
    const means = series.flatMap(({ label, value }) => {
      const values = read(value);
      return values.length > 0 ? [{ label, text: format(mean(values)), mean: mean(values) }] : [];
    });
    if (means.length === 0) return [];
    const texts = means.map(({ label, text }) => (series.length > 1 ? `${label} ${text}` : text));
    const highest = Math.max(...(peak ? read(peak) : []));
    if (highest > (means[0]?.mean ?? 0) && format(highest) !== means[0]?.text) texts.push(`highest ${format(highest)}`);
    return [{ index, at, text: texts.join(', ') }];
  });
}

/** A moment of a span as its axis tells it, in UTC: with the day where there are several, with seconds in a short one. */
export function momentIn({ from, to }: Span, at: number): string {
  if (to - from <= shortSpan) return clock(at);
  return `${to - from > 2 * day ? `${dayMonth(at)} ` : ''}${clock(at).slice(0, 5)}`;
}

/** Any time as ms since 1970. */
export const toMs = (at: string | number) => (typeof at === 'number' ? at : Date.parse(at));

const day = 86_400_000;
const shortSpan = 600_000;

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
