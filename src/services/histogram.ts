import type { MetricSample } from './exposition.ts';

type Series = { counts: number[]; sum: number };

/** Counts values by their size, for Prometheus. */
export type Histogram = ReturnType<typeof createHistogram>;

/**
 * Creates a histogram over upper bounds in ascending order. Each different text of labels (see `toLabels`) costs memory
 * for good: whoever observes bounds how many there are.
 */
export function createHistogram(bounds: readonly number[]) {
  const all = new Map<string, Series>();

  function seriesOf(labels: string): Series {
    const known = all.get(labels);
    if (known) return known;
    const series = { counts: Array<number>(bounds.length + 1).fill(0), sum: 0 };
    all.set(labels, series);
    return series;
  }

  function toSamples(labels: string, { counts, sum }: Series): MetricSample[] {
    const before = labels && `${labels},`;
    let total = 0;
    const buckets = counts.map((count, index): MetricSample => {
      total += count;
      return { suffix: '_bucket', labels: `${before}le="${bounds[index] ?? '+Inf'}"`, value: total };
    });
    return [...buckets, { suffix: '_sum', labels, value: sum }, { suffix: '_count', labels, value: total }];
  }

  return {
    /** Counts one value. */
    observe(value: number, labels = ''): void {
      const series = seriesOf(labels);
      const index = bounds.findIndex((bound) => value <= bound);
      const slot = index < 0 ? bounds.length : index;
      series.counts[slot] = (series.counts[slot] ?? 0) + 1;
      series.sum += value;
    },

    /** What was counted, as cumulative buckets, sum and count. */
    samples: (): MetricSample[] => [...all].flatMap(([labels, series]) => toSamples(labels, series)),
  };
}
