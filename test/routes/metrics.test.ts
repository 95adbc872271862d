import { readFileSync } from 'node:fs';
import t from 'tap';
import { startApp, type TestApp, until } from '../support/app.ts';
import { readScrape, type Scrape } from '../support/metrics.ts';

const megabyte = 1024 ** 2;
const openMetrics = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';

const scrape = async (app: TestApp): Promise<Scrape> => readScrape((await app.get('/metrics')).text);

t.test('each container is told as the API tells it', async (t) => {
  const app = await startApp(t, {
    engine: { cgroup: 2 },
    env: { STATS_INTERVAL: '1' },
    prepare: (engine) => {
      const labels = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web' };
      engine.addContainer({
        name: 'shop-web-1',
        image: 'nginx:1.27',
        labels,
        memory: 512 * megabyte,
        health: 'healthy',
      });
      engine.addContainer({ name: 'idle' });
      engine.addContainer({ name: 'failed', state: 'exited', exitCode: 3 });
      engine.setStats('shop-web-1', {
        cpuPercent: 150,
        memoryBytes: 200 * megabyte,
        pids: 7,
        networkRxBytes: 1_000,
        networkTxBytes: 2_000,
        blockReadBytes: 3_000,
        blockWriteBytes: 4_000,
      });
    },
  });
  const web = { name: 'shop-web-1', project: 'shop', service: 'web', image: 'nginx:1.27' };
  const name = 'fairlead_container_cpu_usage_ratio';
  await until(async () => (await scrape(app)).value(name, web) !== undefined, 'two samples');

  const all = await scrape(app);
  const stats = await app.api<{ samples: Record<string, number>[] }>('/containers/shop-web-1/stats');
  const sample = stats.samples.at(-1) ?? {};
  const figures = {
    memory_usage_bytes: sample.memoryBytes,
    memory_limit_bytes: sample.memoryLimitBytes,
    network_receive_bytes_total: sample.networkRxBytes,
    network_transmit_bytes_total: sample.networkTxBytes,
    block_read_bytes_total: sample.blockReadBytes,
    block_written_bytes_total: sample.blockWriteBytes,
    pids: sample.pids,
  };
  for (const [name, value] of Object.entries(figures)) {
    t.type(value, 'number');
    t.equal(all.value(`fairlead_container_${name}`, web), value, name);
  }
  t.strictSame(
    all.all('fairlead_container_network_receive_bytes_total', web).map(({ labels }) => labels.interface),
    ['eth0'],
    'each interface by itself',
  );
  t.ok(Math.abs((all.value('fairlead_container_cpu_usage_ratio', web) ?? 0) - 1.5) < 0.15, '1 is one core');
  t.equal(all.value('fairlead_container_memory_limit_bytes', { name: 'idle' }), undefined, 'no limit, no value');
  t.equal(all.value('fairlead_container_pids_limit', web), undefined);
  t.equal(all.value('fairlead_container_pids', { name: 'failed' }), undefined, 'no figures of what does not run');
  const age = Date.now() / 1_000 - (all.value('fairlead_container_sample_timestamp_seconds', web) ?? 0);
  t.ok(age >= 0 && age < 5, `read ${age} s ago`);

  const cpu = (read: Scrape) => read.value('fairlead_container_cpu_seconds_total', web) ?? 0;
  t.ok(cpu(all) > 0);
  await until(async () => cpu(await scrape(app)) > cpu(all) + 1, 'seconds of CPU add up');

  t.equal(all.value('fairlead_container_state', { ...web, state: 'running' }), 1);
  t.equal(all.value('fairlead_container_state', { name: 'failed', state: 'exited' }), 1);
  t.equal(all.all('fairlead_container_state').filter(({ value }) => value === 1).length, 3, 'one state each');
  t.equal(all.value('fairlead_container_health', { ...web, health: 'healthy' }), 1);
  t.equal(all.value('fairlead_container_health', { ...web, health: 'unhealthy' }), 0);
  t.equal(all.all('fairlead_container_health', { name: 'idle' }).length, 0, 'no check, no health');
  t.equal(all.value('fairlead_container_last_exit_code', { name: 'failed' }), 3);
  t.equal(all.value('fairlead_container_last_exit_code', web), undefined);

  t.ok((all.value('fairlead_sampler_samples_total') ?? 0) >= 4);
  t.equal(all.value('fairlead_sampler_interval_seconds'), 1);
  t.ok((all.value('fairlead_sampler_lag_seconds') ?? 9) < 2);
  const statsCalls = all.value('fairlead_engine_requests_total', { endpoint: '/containers/:id/stats' });
  t.ok((statsCalls ?? 0) >= 4, 'calls are told by their endpoint, not by container');
  t.equal(new Set(all.samples.map(({ name, labels }) => JSON.stringify([name, labels]))).size, all.samples.length);

  app.engine.faults.hang({ path: /stats$/ });
  await until(
    async () => ((await scrape(app)).value('fairlead_sampler_lag_seconds') ?? 0) > 1,
    'a silent engine',
    9_000,
  );
});

t.test('a network that is left takes nothing from the counters of the others', async (t) => {
  const networks = (names: Record<string, number>) => ({
    raw: { networks: Object.fromEntries(Object.entries(names).map(([name, bytes]) => [name, { rx_bytes: bytes }])) },
  });
  const app = await startApp(t, {
    env: { STATS_INTERVAL: '1' },
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      engine.setStats('web', networks({ eth0: 5_000, 'e"th1': 7_000_000 }));
    },
  });
  const received = async () => {
    const all = (await scrape(app)).all('fairlead_container_network_receive_bytes_total', { name: 'web' });
    return Object.fromEntries(all.map(({ labels, value }) => [labels.interface, value]));
  };
  await until(async () => (await received()).eth0 === 5_000, 'its interfaces');
  t.strictSame(await received(), { eth0: 5_000, 'e"th1': 7_000_000 });
  app.engine.setStats('web', networks({ eth0: 5_100 }));
  await until(async () => (await received()).eth0 !== 5_000, 'the next sample');
  t.strictSame(await received(), { eth0: 5_100 }, 'it goes on');
});

t.test('names and labels may be anything', async (t) => {
  const project = 'a"b\\c\nd\\"e\r\u2028ü';
  const app = await startApp(t, {
    prepare: (engine) => {
      const labels = { 'com.docker.compose.project': project, 'com.docker.compose.service': '"} 1\nup 0\n' };
      engine.addContainer({ name: 'odd', labels });
      engine.addContainer({ name: 'nul', labels: { 'com.docker.compose.project': 'x\0y' } });
      engine.addContainer({ name: 'long', labels: { 'com.docker.compose.project': 'p'.repeat(100_000) } });
    },
  });
  const all = await scrape(app);
  t.match(all.all('fairlead_container_state', { name: 'odd' })[0]?.labels, { project, service: '"} 1\nup 0\n' });
  t.equal(all.all('up').length, 0);
  t.equal(all.all('fairlead_container_state', { name: 'nul' })[0]?.labels.project, 'x\ufffdy');
  t.equal(all.all('fairlead_container_state', { name: 'long' })[0]?.labels.project?.length, 1_024);
});

t.test('restarts and want of memory are counted from what was seen', async (t) => {
  const app = await startApp(t, {
    engine: { restartDelayMs: 20 },
    prepare: (engine) => {
      engine.addContainer({ name: 'looping', restart: 'always' });
      engine.addContainer({ name: 'fresh', state: 'created' });
    },
  });
  const count = async (name: string, metric = 'restarts') =>
    (await scrape(app)).value(`fairlead_container_${metric}_total`, { name });
  const isRunning = async (name: string) =>
    (await scrape(app)).value('fairlead_container_state', { name, state: 'running' }) === 1;
  t.equal(await count('looping'), 0);
  for (const times of [1, 2, 3]) {
    app.engine.die('looping', 1);
    await until(async () => (await count('looping')) === times, `restart ${times}`);
  }
  app.engine.start('fresh');
  await until(() => isRunning('fresh'), 'the first start');
  t.equal(await count('fresh'), 0, 'is no restart');
  app.engine.restartContainer('fresh');
  await until(async () => (await count('fresh')) === 1, 'a restart by hand');
  app.engine.oom('fresh');
  await until(async () => (await count('fresh', 'out_of_memory')) === 1, 'want of memory');
  app.engine.stop('looping');
  await until(async () => !(await isRunning('looping')), 'the end');
  t.equal(await count('looping'), 3, 'an end is none');
  app.engine.removeContainer('looping');
  await until(async () => (await count('looping')) === undefined, 'what is gone has no series');
  t.pass();
});

t.test('OpenMetrics for whoever asks for it, else the text of Prometheus', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const typeOf = async (accept?: string) =>
    (await app.get('/metrics', accept === undefined ? {} : { accept })).headers['content-type'];
  const text = 'text/plain; version=0.0.4; charset=utf-8';
  const open = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
  t.equal(await typeOf(), text);
  t.equal(await typeOf('*/*'), text);
  t.equal(await typeOf('text/html,application/xhtml+xml;q=0.9,*/*;q=0.8'), text);
  t.equal(await typeOf('application/openmetrics-text;q=0.2, text/plain;q=0.5'), text);
  t.equal(await typeOf('application/openmetrics-text;q=0'), text);
  t.equal(await typeOf(';;,=,'), text);
  t.equal(await typeOf(openMetrics), open);
  t.equal(await typeOf('Application/OpenMetrics-Text'), open);

  const answer = await app.get('/metrics', { accept: openMetrics });
  t.match(answer.text, /\n# EOF\n$/);
  t.match(answer.text, '# TYPE fairlead_container_restarts counter\nfairlead_container_restarts_total{');
  t.match(answer.headers, { vary: 'accept', 'cache-control': 'no-store' });
  t.match((await app.get('/metrics')).text, '# TYPE fairlead_container_restarts_total counter\n');
});

t.test('a scrape asks the engine for nothing: without sampling figures are absent, the rest is there', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web', health: 'unhealthy' }) });
  const all = await scrape(app);
  app.engine.forgetRequests();
  for (let n = 0; n < 40; n++) await scrape(app);
  const calls = app.engine.requests.map(({ path }) => path);
  t.strictSame(
    calls.filter((path) => !['/_ping', '/containers/json', '/images/json'].includes(path)),
    [],
    'none but what keeps the inventory true',
  );
  t.ok(calls.length < 8, `${calls.length} calls during 40 scrapes`);
  t.equal(all.all('fairlead_container_memory_usage_bytes').length, 0);
  t.equal(all.all('fairlead_container_cpu_seconds_total').length, 0);
  t.equal(all.value('fairlead_sampler_interval_seconds'), 0);
  t.equal(all.value('fairlead_container_health', { name: 'web', health: 'unhealthy' }), 1);
  t.equal(all.value('fairlead_container_restarts_total', { name: 'web' }), 0);
});

t.test('of an engine that is away no container is told, and that it is away', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  t.match(
    await scrape(app).then((all) => [all.value('fairlead_engine_up'), all.value('fairlead_engine_cpus')]),
    [1, 2],
  );
  await app.engine.refuse();
  await until(async () => (await scrape(app)).value('fairlead_engine_up') === 0, 'away');
  const all = await scrape(app);
  t.equal(all.samples.filter(({ name }) => name.startsWith('fairlead_container_')).length, 0);
  const failed = async () =>
    (await scrape(app)).value('fairlead_engine_request_failures_total', { endpoint: '/_ping' });
  await until(async () => ((await failed()) ?? 0) > 0, 'its calls fail');
  await app.engine.listen();
  await until(async () => (await scrape(app)).all('fairlead_container_state').length > 0, 'back');
  t.pass();
});

t.test('the program tells of its own requests, sockets, events and database', async (t) => {
  const app = await startApp(t, {
    env: { BASE_PATH: '/docker' },
    prepare: (engine) => engine.addContainer({ name: 'web' }),
  });
  for (const path of ['/containers', '/containers', '/containers/web', '/nothing/at/all', '/containers/none'])
    await app.get(path);
  t.equal((await app.send('GET', '/docker/containers/%zz')).status, 400);
  await app.post('/api/containers/web/stop');
  const { opened } = app.live('/live?topic=containers');
  t.equal(await opened, 101);
  await until(async () => (await scrape(app)).value('fairlead_live_connections') === 1, 'the socket');
  const all = await scrape(app);
  const requests = (method: string, route: string, status: string) =>
    all.value('fairlead_http_request_duration_seconds_count', { method, route, status });
  t.equal(requests('GET', '/containers', '200'), 2, 'by the route, without the base path');
  t.equal(requests('GET', '/containers/:id', '200'), 1);
  t.equal(requests('GET', '/containers/:id', '404'), 1);
  t.equal(requests('GET', '', '404'), 1, 'an address that does not exist makes no series of its own');
  t.equal(requests('POST', '/api/containers/:id/:action', '200'), 1);
  const buckets = all.all('fairlead_http_request_duration_seconds_bucket', { route: '/containers', status: '200' });
  t.strictSame(
    buckets.map(({ labels }) => labels.le),
    ['0.005', '0.025', '0.1', '0.5', '2.5', '10', '+Inf'],
  );
  t.strictSame(
    buckets.map(({ value }) => value),
    buckets.map(({ value }) => value).sort((a, b) => a - b),
    'each holds those before it',
  );
  t.equal(buckets.at(-1)?.value, 2);

  t.ok((all.value('fairlead_engine_event_lag_seconds_count') ?? 0) >= 2, 'kill and die');
  t.ok((all.value('fairlead_engine_event_lag_seconds_sum') ?? 99) < 10);
  t.ok((all.value('fairlead_live_frames_total') ?? 0) >= 1);
  t.equal(all.value('fairlead_live_frames_dropped_total'), 0);
  t.ok((all.value('fairlead_live_feeds') ?? 0) >= 1);
  t.ok((all.value('fairlead_database_size_bytes', { file: 'main' }) ?? 0) > 0);
  t.ok((all.value('fairlead_database_size_bytes', { file: 'wal' }) ?? 0) > 0);
  t.equal(all.value('fairlead_database_failures_total'), 0);
  t.ok((all.value('process_resident_memory_bytes') ?? 0) > 10 * megabyte);
  t.ok((all.value('process_cpu_seconds_total') ?? 0) > 0.01);
  t.ok((all.value('process_open_fds') ?? 0) > 5);
  t.ok(Math.abs(Date.now() / 1_000 - (all.value('process_start_time_seconds') ?? 0)) < 300);
  t.match(all.all('fairlead_build_info')[0]?.labels, { version: /^\d+\.\d+\.\d+$/, node: process.version });

  const outside = await app.send('GET', '/metrics');
  t.equal(outside.status, 200, 'also for a Prometheus that does not come through the proxy');
  t.match(outside.text, 'fairlead_engine_up 1');
});

t.test('it counts for the limit of requests, as health checks do not', async (t) => {
  const app = await startApp(t, { env: { MAX_REQUESTS_PER_MINUTE: '3' } });
  const statuses = [];
  for (let n = 0; n < 5; n++) statuses.push((await app.get('/metrics')).status);
  t.strictSame(statuses, [200, 200, 200, 429, 429]);
  t.equal((await app.get('/healthz')).status, 200);
});

t.test('the docs, the dashboard and the scrape know the same metrics', async (t) => {
  const read = (file: string) => readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8');
  const app = await startApp(t);
  const { kinds, text } = await scrape(app);
  const known = [...kinds.keys()].sort();
  t.ok(known.length > 40, `${known.length} metrics`);

  const named = (of: string) => {
    const found = of.match(/\b(?:fairlead|process|nodejs)_[a-z0-9_]*[a-z0-9]/g) ?? [];
    return [
      ...new Set(found.map((name) => (kinds.has(name) ? name : name.replace(/_(bucket|count|sum)$/, '')))),
    ].sort();
  };
  const docs = read('metrics.md');
  const table = [...docs.matchAll(/^\| `([a-z0-9_]+)` \| (\w+) \|/gm)].map(([, name = '', kind = '']) => [name, kind]);
  t.strictSame(table.sort(), [...kinds].sort(), 'the tables have each with its kind');
  t.strictSame(named(docs), known, 'its text names no other');

  const dashboard = JSON.parse(read('grafana-dashboard.json')) as {
    panels: { targets?: { expr: string }[]; gridPos: { y: number } }[];
    templating: { list: { query: unknown }[] };
  };
  const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join('\n');
  t.strictSame(named(expressions), known, 'the dashboard shows each, and no other');
  t.strictSame(
    named(JSON.stringify(dashboard.templating.list)).filter((name) => !kinds.has(name)),
    [],
  );
  for (const name of known) t.match(text, new RegExp(`^# HELP ${name} [A-Z].*\\.$`, 'm'), `${name} is explained`);
});
