/** The formats that Prometheus reads: its own text, and OpenMetrics. */
export type ExpositionFormat = 'text' | 'openmetrics';

/** One value; `labels` as `toLabels` writes them, `suffix` is that of a histogram's parts. */
export type MetricSample = { labels: string; value: number; suffix?: '_bucket' | '_count' | '_sum' };

/** All values of one name; a counter's name ends in `_total`, `help` is one line without backslashes and quotes. */
export type Metric = {
  name: string;
  kind: 'counter' | 'gauge' | 'histogram';
  help: string;
  samples: readonly MetricSample[];
};

/** What an answer in each format says that it is. */
export const contentTypes: Record<ExpositionFormat, string> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** Longer than any name that the engine takes; a label somebody made may be of any length. */
const maxValueLength = 1_024;
const escapes: Record<string, string> = { '\\': '\\\\', '"': '\\"', '\n': '\\n', '\0': '\ufffd' };

/**
 * Labels as both formats write them: `name="web",project="shop"`. Values may be anything: they are escaped, and cut after
 * 1,024 characters. Prometheus takes a NUL for the end of all, so it is replaced.
 */
export function toLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value.slice(0, maxValueLength))}"`)
    .join(',');
}

const escaped = (value: string) => value.replace(/[\\"\n\0]/g, (character) => escapes[character] ?? '');

/**
 * Writes metrics in a format of Prometheus.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 * @see https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
 */
export function writeMetrics(metrics: readonly Metric[], format: ExpositionFormat): string {
  return metrics.map((metric) => writeMetric(metric, format)).join('') + (format === 'openmetrics' ? '# EOF\n' : '');
}

function writeMetric({ name, kind, help, samples }: Metric, format: ExpositionFormat): string {
  const family = format === 'openmetrics' ? name.replace(/_total$/, '') : name;
  const lines = samples.map(({ suffix = '', labels, value }) => {
    const braced = labels ? `{${labels}}` : '';
    return `${name}${suffix}${braced} ${value}\n`;
  });
  return `# HELP ${family} ${help}\n# TYPE ${family} ${kind}\n${lines.join('')}`;
}
