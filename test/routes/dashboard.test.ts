import t from 'tap';
import { composeLabels } from '../simulated/compose.ts';
import type { SimulatedEngine } from '../simulated/engine.ts';
import { startApp, until } from '../support/app.ts';
import { byId, findAll, openPage, parseHtml, textOf, toHtml } from '../support/page.ts';

const MIB = 1024 ** 2;

type Share = { count: number; active: number; bytes: number; reclaimableBytes: number } | null;
type Disk = {
  readAt: string | null;
  isReading: boolean;
  failure: string;
  images: Share;
  containers: Share;
  volumes: Share;
  buildCache: Share;
};
type Top = { id: string; name: string; value: number }[];
type Dashboard = {
  project: string | null;
  machine: { cpus: number; memoryBytes: number };
  sampling: boolean;
  containers: { total: number; states: Record<string, number>; health: Record<string, number> };
  totals: Record<string, number | null>;
  top: { cpu: Top; memory: Top; network: Top; block: Top };
  disk: Disk;
  range: string;
  stepSeconds: number;
  samples: Record<string, number | string | null>[];
};

function addContainers(engine: SimulatedEngine) {
  const labels = (service: string) => composeLabels({ project: 'shop', service });
  engine.addContainer({ name: 'shop-web-1', labels: labels('web'), health: 'healthy' });
  engine.addContainer({ name: 'shop-db-1', labels: labels('db'), mounts: ['shop_data:/data'], health: 'unhealthy' });
  engine.addContainer({ name: 'shop-job-1', labels: labels('job'), state: 'exited' });
  engine.addContainer({ name: 'loner', mounts: ['other:/data'] });
  engine.setStats('shop-web-1', { cpuPercent: 150, memoryBytes: 200 * MIB, pids: 7 });
  engine.setStats('shop-db-1', { cpuPercent: 20, memoryBytes: 400 * MIB, pids: 3 });
  engine.setStats('loner', { cpuPercent: 5, memoryBytes: 50 * MIB, pids: 1 });
}

const dfCalls = (engine: SimulatedEngine) => engine.requestsTo('GET', /\/system\/df$/).length;
const names = (top: Top) => top.map(({ name }) => name);

t.test('a dashboard has three forms, sums what runs and lists who uses most', async (t) => {
  const app = await startApp(t, {
    engine: { cgroup: 2, cpus: 4, memoryBytes: 8_192 * MIB },
    env: { STATS_INTERVAL: '1' },
    prepare: addContainers,
  });
  t.equal(dfCalls(app.engine), 0, 'the disk is not measured while nobody looks');
  const read = () => app.api<Dashboard>('/dashboard');
  const isSummed = ({ samples }: Dashboard) => samples.some(({ cpuPercent }) => typeof cpuPercent === 'number');
  await until(async () => isSummed(await read()), 'a sum', 15_000);
  const whole = await read();
  t.match(whole, {
    project: null,
    machine: { cpus: 4, memoryBytes: 8_192 * MIB },
    sampling: true,
    containers: {
      total: 4,
      states: { running: 3, exited: 1 },
      health: { healthy: 1, unhealthy: 1, none: 1 },
    },
    totals: { sampled: 3, memoryBytes: 650 * MIB, pids: 11, networkRxBytesPerSecond: 0 },
    range: '1h',
    stepSeconds: 10,
  });
  t.ok(Math.abs(Number(whole.totals.cpuPercent) - 175) < 20, `${whole.totals.cpuPercent}`);
  t.strictSame(names(whole.top.cpu), ['shop-web-1', 'shop-db-1', 'loner']);
  t.strictSame(names(whole.top.memory), ['shop-db-1', 'shop-web-1', 'loner']);
  t.match(whole.samples.at(-1), { memoryBytes: 650 * MIB, memoryLimitBytes: 8_192 * MIB });
  t.match(whole.disk, { isReading: false, failure: '', readAt: /Z$/, volumes: { count: 2, active: 2 } });
  t.equal(dfCalls(app.engine), 1, 'once, however often somebody looks');

  const page = parseHtml((await app.get('/dashboard')).text);
  t.match(textOf(byId(page, 'dashboard-now') ?? page), /CPU.*of 4 cores.*Memory.*of 8\.59 GB.*3 running.*1 exited/s);
  const [first] = findAll(byId(page, 'top-memory') ?? page, ({ tag }) => tag === 'a');
  t.equal(first?.attributes.href, `/containers/${app.engine.container('shop-db-1').id}/stats`);
  t.match(textOf(byId(page, 'dashboard-disk') ?? page), /Images.*Volumes.*Build cache.*Together/s);
  t.ok(findAll(page, ({ attributes }) => attributes.href === '/dashboard' && 'aria-current' in attributes).length);
  const fragment = (await app.get('/fragments/dashboard')).text;
  t.notMatch(fragment, '<html');
  t.ok(byId(parseHtml(fragment), 'chart-cpu'), 'with its charts');

  const project = await app.api<Dashboard>('/projects/shop/stats');
  t.match(project, {
    project: 'shop',
    containers: { total: 3, states: { running: 2, exited: 1 } },
    totals: { sampled: 2, memoryBytes: 600 * MIB },
    disk: { images: null, buildCache: null, containers: { count: 3 }, volumes: { count: 1 } },
  });
  t.match(project.samples.at(-1), { memoryBytes: 600 * MIB });
  t.match((await app.get('/projects/shop/stats')).text, /<h1>shop<\/h1>/);
  t.ok(byId(parseHtml((await app.get('/fragments/projects/shop/stats')).text), 'dashboard-top'));
  t.match((await app.get('/projects/shop')).text, 'href="/projects/shop/stats"', 'its page leads there');
  t.equal((await app.get('/projects/nobody/stats')).status, 404);
  t.equal(dfCalls(app.engine), 1);
});

t.test('a dashboard follows by its topic, and the disk is measured anew by its button', async (t) => {
  const bounds = { diskRestMs: 100 };
  const app = await startApp(t, { env: { STATS_INTERVAL: '1' }, bounds, prepare: addContainers });
  const live = app.live('/live?topic=dashboard');
  const view = openPage((await app.get('/fragments/dashboard')).text);
  live.socket.on('message', (data) => view.apply(data.toString()));
  const now = () => textOf(view.part('dashboard-now') ?? parseHtml(''));
  await until(() => /3 running/.test(now()), 'the states');
  await until(() => /682 MB/.test(now()), 'the sums', 15_000);
  app.engine.setStats('loner', { cpuPercent: 5, memoryBytes: 1_000 * MIB, pids: 1 });
  await until(() => /1\.68 GB/.test(now()), 'a new sum');
  const top = () => textOf(view.part('top-memory') ?? parseHtml(''));
  await until(() => /^Most memory\s*loner/.test(top()), 'who uses most now');
  await until(() => toHtml(view.part('stats') ?? parseHtml('')).includes('<svg'), 'the charts');
  app.engine.die('loner');
  await until(() => /2 running/.test(now()) && !/loner/.test(top()), 'who is gone uses nothing');

  const calls = dfCalls(app.engine);
  t.equal(calls, 1);
  const mute = app.engine.faults.mute({ path: /\/system\/df$/ });
  // A moment after the last answer it would be the same.
  await until(async () => {
    await app.htmx('/dashboard/disk');
    return dfCalls(app.engine) > calls;
  }, 'it is asked again');
  const disk = () => textOf(view.part('dashboard-disk') ?? parseHtml(''));
  await until(() => disk().includes('Measuring…'), 'it is told that it is measured');
  const plain = await app.form('/dashboard/disk', {}, { referer: `${app.url}/dashboard` });
  t.match(plain, { status: 303, headers: { location: '/dashboard' } });
  t.match(await app.post('/api/dashboard/disk').then(({ text }) => JSON.parse(text)), { isReading: true });
  t.equal(dfCalls(app.engine), calls + 1, 'and not twice at a time');
  mute.remove();
  await until(() => disk().includes('Measure again'), 'it is over');
  const part = await app.htmx('/dashboard/disk', { project: 'shop' });
  t.match(part.text, /shared with others/, 'of a project, what is its own');
  t.notMatch(part.text, 'Build cache<');
  t.equal((await app.htmx('/dashboard/disk', { project: 'nobody' })).status, 404);

  const shop = app.live('/live?topic=dashboard:shop');
  await until(() => shop.text().includes('id="dashboard-now"'), 'a project has its own');
  t.notMatch(shop.text(), 'loner');
});

t.test('a refusal of the disk use is told, and all else stays', async (t) => {
  const app = await startApp(t, {
    env: { STATS_INTERVAL: '1' },
    prepare: (engine) => {
      addContainers(engine);
      engine.faults.status(403, '<html>403 Forbidden</html>', 'text/html', { path: /\/system\/df$/ });
    },
  });
  const page = await app.get('/dashboard');
  t.equal(page.status, 200);
  t.match(
    textOf(byId(parseHtml(page.text), 'dashboard-disk') ?? parseHtml('')),
    /refuses to tell it\. A socket proxy has to allow GET \/system\/df/s,
  );
  t.match(textOf(byId(parseHtml(page.text), 'dashboard-now') ?? parseHtml('')), /3 running/);
  t.match((await app.api<Dashboard>('/dashboard')).disk, { failure: /refuses/, images: null, readAt: null });
  t.equal(dfCalls(app.engine), 1, 'it is not asked again by who only looks');
});

t.test('without sampling, or without an engine, a dashboard says so', async (t) => {
  const app = await startApp(t, { prepare: addContainers });
  const now = async () => textOf(byId(parseHtml((await app.get('/dashboard')).text), 'dashboard-now') ?? parseHtml(''));
  t.match(await now(), /Figures are switched off \(STATS_INTERVAL=0\).*3 running/s);
  t.match(await app.api<Dashboard>('/dashboard'), { sampling: false, totals: { cpuPercent: null }, top: { cpu: [] } });
  t.equal(app.engine.requestsTo('GET', /stats$/).length, 0);
  await app.engine.refuse();
  await until(async () => (await app.get('/readyz')).status !== 200, 'the engine is gone');
  t.match(await now(), /3 running/, 'as last seen');
  t.equal((await app.get('/api/dashboard')).status, 503);
  t.equal((await app.form('/dashboard/disk')).status, 503);
  t.match((await app.get('/dashboard')).text, /Cannot connect to the Docker daemon/);
});

t.test('an engine that is gone leaves no figures that pass for those of now', async (t) => {
  const app = await startApp(t, { env: { STATS_INTERVAL: '1' }, prepare: addContainers });
  const now = async () => textOf(byId(parseHtml((await app.get('/dashboard')).text), 'dashboard-now') ?? parseHtml(''));
  await until(async () => /682 MB/.test(await now()), 'figures', 15_000);
  await app.engine.refuse();
  await until(async () => /The engine does not answer/.test(await now()), 'it says so');
  t.notMatch(await now(), '682 MB');
});

t.test('the charts of a project tell what happened to its containers', async (t) => {
  const app = await startApp(t, { env: { STATS_INTERVAL: '1' }, prepare: addContainers });
  const live = app.live('/live?topic=dashboard:shop');
  const view = openPage((await app.get('/fragments/projects/shop/stats')).text);
  live.socket.on('message', (data) => view.apply(data.toString()));
  const charts = () => toHtml(view.part('stats') ?? parseHtml(''));
  await until(() => charts().includes('<svg'), 'the charts', 15_000);
  app.engine.die('shop-db-1', 3);
  app.engine.die('loner', 4);
  await until(() => /shop-db-1: Ended with code 3/.test(charts()), 'it is marked');
  t.match((await app.get('/projects/shop/stats')).text, /shop-db-1: Ended with code 3/);
  t.notMatch(charts(), 'loner', 'nothing of others');
  t.notMatch((await app.get('/dashboard')).text, /Ended with code/, 'that of the whole machine would be too much');
});

t.test('a project without containers has its figures as long as they are kept', async (t) => {
  const app = await startApp(t, { env: { STATS_INTERVAL: '1' }, prepare: addContainers });
  const read = () => app.api<Dashboard>('/projects/shop/stats');
  await until(async () => (await read()).samples.length > 0, 'a sum', 15_000);
  for (const name of ['shop-web-1', 'shop-db-1', 'shop-job-1']) app.engine.removeContainer(name);
  await until(async () => (await read()).containers.total === 0, 'they are gone');
  t.ok((await read()).samples.length > 0);
  const page = await app.get('/projects/shop/stats');
  t.equal(page.status, 200);
  t.match(page.text, 'This project has no containers now.');
  t.match(page.text, 'id="chart-cpu"');
  t.notMatch(page.text, 'href="/projects/shop"', 'its own page is no more');
  t.equal((await app.get('/fragments/projects/shop/stats')).status, 200);
  t.equal((await app.get('/projects/nobody/stats')).status, 404);
});

t.test('charts zoom by their address', async (t) => {
  const app = await startApp(t, {
    engine: { cgroup: 2 },
    env: { STATS_INTERVAL: '1' },
    prepare: (engine) => engine.addContainer({ name: 'web' }),
  });
  const { id } = app.engine.container('web');
  const begun = Date.now();
  const read = (query: string) => app.api<Dashboard & { from: string; to: string }>(`/containers/web/stats?${query}`);
  await until(async () => (await read('')).samples.length > 0, 'a sample', 15_000);
  const from = Math.floor(begun / 1_000) - 120;
  const found = await read(`from=${from}&to=${from + 300}`);
  t.match(found, {
    range: 'custom',
    stepSeconds: 1,
    from: new Date(from * 1_000).toISOString(),
    to: new Date((from + 300) * 1_000).toISOString(),
    samples: [{ at: String }],
  });
  const before = await read(`from=${new Date((from - 3_600) * 1_000).toISOString()}&to=${from}`);
  t.match(before, { samples: [], stepSeconds: 60 });
  t.match(await read(`from=${from}`), { range: 'custom' }, 'up to now');
  t.match(await read(`to=${from}&range=24h`), { from: new Date((from - 86_400) * 1_000).toISOString() });
  for (const [query, detail] of [
    ['from=yesterday', /^from: must be a date/],
    ['to=1e5', /^to: must be a date/],
    [`from=${from}&to=${from + 59}`, /^to: must be at least a minute after from/],
    [`from=${from}&to=${from - 500}`, /^to: /],
    ['from=0&to=99999999', /^from: must be at most 366 days/],
    [`from=${'1'.repeat(65)}`, /^from: /],
  ] as const)
    t.match(await read(query), { code: 'invalid', detail }, query);

  for (const [path, topic] of [
    [`/containers/${id}/stats`, `stats%3A${id}`],
    ['/dashboard', 'topic=dashboard'],
  ] as const) {
    const page = (await app.get(`${path}?from=${from}&to=${from + 300}`)).text;
    const stats = byId(parseHtml(page), 'stats') ?? parseHtml('');
    t.match(stats.attributes, { 'data-from': String(from), 'data-to': String(from + 300) });
    t.match(toHtml(stats), `href="${path}"`, 'the way back');
    t.match(toHtml(stats), /Zoom in.*Zoom out/s);
    t.equal(page.includes(topic), path === '/dashboard', 'a span of its own is not followed, what is around it is');
    t.equal((await app.get(`/fragments${path}?from=${from}`)).status, 200);
    t.equal((await app.get(`${path}?from=x`)).status, 400);
  }
  const live = app.live(`/live?topic=dashboard&from=${from}&to=${from + 300}`);
  await until(() => live.text().includes('id="dashboard-now"'), 'the sums');
  t.notMatch(live.text(), 'hx-target="#stats"', 'its charts stay as they are');
});
