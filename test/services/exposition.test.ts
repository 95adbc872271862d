import t from 'tap';
import { type Metric, toLabels, writeMetrics } from '../../src/services/exposition.ts';
import { createHistogram } from '../../src/services/histogram.ts';

const restarts: Metric = {
  name: 'a_restarts_total',
  kind: 'counter',
  help: 'Starts.',
  samples: [
    { labels: toLabels({ name: 'web', project: '' }), value: 3 },
    { labels: '', value: 0.25 },
  ],
};

t.test('the text of Prometheus, and OpenMetrics, to the letter', async (t) => {
  const samples = 'a_restarts_total{name="web",project=""} 3\na_restarts_total 0.25\n';
  t.equal(
    writeMetrics([restarts], 'text'),
    `# HELP a_restarts_total Starts.\n# TYPE a_restarts_total counter\n${samples}`,
  );
  t.equal(
    writeMetrics([restarts], 'openmetrics'),
    `# HELP a_restarts Starts.\n# TYPE a_restarts counter\n${samples}# EOF\n`,
  );
  t.equal(writeMetrics([], 'openmetrics'), '# EOF\n');
});

t.test('labels are escaped and cut', async (t) => {
  t.equal(toLabels({}), '');
  t.equal(
    toLabels({ a: '\\', b: '"', c: '\n', d: '\0', e: '{},= ü' }),
    'a="\\\\",b="\\"",c="\\n",d="\ufffd",e="{},= ü"',
  );
  t.equal(toLabels({ a: '\n'.repeat(2_000) }).length, 'a=""'.length + 2 * 1_024, 'cut before it is escaped');
});

t.test('a histogram counts into cumulative buckets, for each of its labels', async (t) => {
  const { observe, samples } = createHistogram([0.1, 1]);
  t.strictSame(samples(), [], 'nothing before the first value');
  for (const value of [0.05, 0.1, 0.5, 2]) observe(value);
  observe(5, 'route="/"');
  t.strictSame(
    samples().map(({ suffix, labels, value }) => [suffix, labels, value]),
    [
      ['_bucket', 'le="0.1"', 2],
      ['_bucket', 'le="1"', 3],
      ['_bucket', 'le="+Inf"', 4],
      ['_sum', '', 2.65],
      ['_count', '', 4],
      ['_bucket', 'route="/",le="0.1"', 0],
      ['_bucket', 'route="/",le="1"', 0],
      ['_bucket', 'route="/",le="+Inf"', 1],
      ['_sum', 'route="/"', 5],
      ['_count', 'route="/"', 1],
    ],
  );
});
