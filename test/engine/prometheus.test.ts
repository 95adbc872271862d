import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startApp, until } from '../support/app.ts';
import { createPerson } from '../support/people.ts';
import { unlessMissing } from './missing.ts';
import { prometheusPrograms, runPromtool, startPrometheus } from './prometheus.ts';

const megabyte = 1024 ** 2;
const password = 'correct horse battery';
const read = (file: string) => readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8');

const docs = read('metrics.md');
const blockOf = (first: string) =>
  [...docs.matchAll(/```yaml\n(.*?)```/gs)].find(([, text]) => text?.startsWith(first));
const scrapeExample = blockOf('scrape_configs:')?.[1] ?? '';
const ruleExample = blockOf('groups:')?.[1] ?? '';

t.test('a real Prometheus reads what the API tells', async (t) => {
  const programs = await unlessMissing(t, prometheusPrograms);
  if (!programs) return;
  const project = 'a"b\\c\nd\re';
  const app = await startApp(t, {
    engine: { cgroup: 2 },
    env: { STATS_INTERVAL: '1', AUTH: 'password', ADMIN_PASSWORD: password },
    prepare: (engine) => {
      engine.addContainer({
        name: 'web',
        image: 'nginx:1.27',
        memory: 512 * megabyte,
        health: 'unhealthy',
        labels: { 'com.docker.compose.project': project, 'com.docker.compose.service': 'web' },
      });
      engine.addContainer({ name: 'nul', labels: { 'com.docker.compose.project': 'x\0y' } });
      engine.addContainer({ name: 'failed', state: 'exited', exitCode: 3 });
      engine.setStats('web', { cpuPercent: 50, memoryBytes: 500 * megabyte, pids: 7, networkRxBytes: 1_000 });
    },
  });

  const admin = createPerson(app);
  await admin.signIn('admin', password);
  const made = await admin.json('POST', '/api/tokens', { name: 'Prometheus', capabilities: ['read'] });
  const { token } = JSON.parse(made.text) as { token: string };
  const authorization = `Bearer ${token}`;
  const scraped = (await app.get('/metrics', { authorization })).text;
  const verdict = await runPromtool(programs, ['check', 'metrics'], scraped);
  t.strictSame(verdict, { isGood: true, output: '' }, 'promtool finds nothing to complain of');
  const fault = await runPromtool(programs, ['check', 'metrics'], scraped.replaceAll('_bytes', '_megabytes'));
  t.equal(fault.isGood, false, 'which it would');

  const address = new URL(app.url).host;
  const tokenFile = join(t.testdirName, 'token');
  const settings = scrapeExample
    .replace('127.0.0.1:3000', address)
    .replace('15s', '1s')
    .replace('/etc/prometheus/fairlead.token', tokenFile);
  t.match(settings, address);
  t.match(settings, tokenFile);
  const files = t.testdir({ 'prometheus.yml': settings, 'rules.yml': ruleExample, token: `${token}\n` });
  const config = await runPromtool(programs, ['check', 'config', join(files, 'prometheus.yml')]);
  t.ok(config.isGood, config.output);
  const rules = await runPromtool(programs, ['check', 'rules', join(files, 'rules.yml')]);
  t.ok(rules.isGood, rules.output);
  t.match(rules.output, /SUCCESS: 10 rules/);

  const prometheus = await startPrometheus(programs, settings);
  t.teardown(prometheus.stop);
  const value = async (expression: string) => {
    const series = await prometheus.query(expression);
    return series.length === 1 ? series[0]?.value : undefined;
  };
  const ofWeb = (metric: string) => value(`fairlead_container_${metric}{name="web"}`);
  await until(async () => (await ofWeb('memory_usage_bytes')) !== undefined, 'it has scraped', 15_000);
  t.equal(await value('up{job="fairlead"}'), 1);
  t.equal(await value('count(fairlead_container_state{state="exited"} == 1)'), 1);

  const stats = JSON.parse((await admin.get('/api/containers/web/stats')).text) as {
    samples: Record<string, number>[];
  };
  const sample = stats.samples.at(-1) ?? {};
  t.equal(sample.memoryBytes, 500 * megabyte);
  t.equal(await ofWeb('memory_usage_bytes'), sample.memoryBytes);
  t.equal(await ofWeb('memory_limit_bytes'), sample.memoryLimitBytes);
  t.equal(await ofWeb('network_receive_bytes_total'), sample.networkRxBytes);
  t.equal(await ofWeb('pids'), sample.pids);
  const [web] = await prometheus.query('fairlead_container_pids{name="web"}');
  t.match(web?.labels, {
    name: 'web',
    project,
    service: 'web',
    image: 'nginx:1.27',
    job: 'fairlead',
    instance: address,
  });
  t.match((await prometheus.query('fairlead_container_pids{name="nul"}'))[0]?.labels, { project: 'x\ufffdy' });
  t.equal(await value('count(fairlead_http_request_duration_seconds_count{route="/metrics"})'), 1);

  const cores = () => value('deriv(fairlead_container_cpu_seconds_total{name="web"}[20s])');
  await until(async () => Math.abs(((await cores()) ?? 0) - 0.5) < 0.1, 'its CPU grows as the engine says', 10_000);

  const expressions = [...ruleExample.matchAll(/expr: (.*)/g)].map(([, expression = '']) => expression);
  t.equal(expressions.length, 10);
  const firing = new Set<string>();
  for (const expression of expressions) if ((await prometheus.query(expression)).length > 0) firing.add(expression);
  t.strictSame(
    [...firing].map((expression) => /fairlead_container_\w+/.exec(expression)?.[0]),
    ['fairlead_container_last_exit_code', 'fairlead_container_health', 'fairlead_container_memory_usage_bytes'],
    'and the rules see what is wrong, and nothing else',
  );
  const dashboard = JSON.parse(read('grafana-dashboard.json')) as { panels: { targets?: { expr: string }[] }[] };
  for (const { expr } of dashboard.panels.flatMap(({ targets = [] }) => targets)) {
    const asked = expr.replace(/\$(instance|project|container|job)/g, '.*').replaceAll('$__rate_interval', '1m');
    await t.resolves(prometheus.query(asked), asked);
  }
});
