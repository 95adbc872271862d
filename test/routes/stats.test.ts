import t from 'tap';
import { startApp, until } from '../support/app.ts';
import { byId, openPage, parseHtml, textOf, toHtml } from '../support/page.ts';

type Stats = { id: string; range: string; stepSeconds: number; samples: Record<string, number | string | null>[] };

t.test('figures have three forms, and rows show the newest', async (t) => {
  const app = await startApp(t, {
    engine: { cgroup: 2 },
    env: { STATS_INTERVAL: '1' },
    prepare: (engine) => {
      engine.addContainer({ name: 'busy', memory: 512 * 1024 ** 2 });
      engine.addContainer({ name: 'idle' });
      engine.addContainer({ name: 'off', state: 'exited' });
      engine.setStats('busy', { cpuPercent: 150, memoryBytes: 200 * 1024 ** 2, pids: 7, networkRxBytes: 1_000 });
      engine.setStats('idle', { cpuPercent: 1, memoryBytes: 5 * 1024 ** 2, pids: 1 });
    },
  });
  const { id } = app.engine.container('busy');
  const off = app.engine.container('off').id;
  const read = () => app.api<Stats>('/containers/busy/stats');
  await until(async () => typeof (await read()).samples.at(-1)?.cpuPercent === 'number', 'a sample', 15_000);
  const stats = await read();
  t.match(stats, { id, range: '1h', stepSeconds: Number });
  const sample = stats.samples.findLast(({ cpuPercent }) => cpuPercent !== null) ?? {};
  t.strictSame(Object.keys(sample).sort(), [
    'at',
    'blockReadBytes',
    'blockWriteBytes',
    'cpuPercent',
    'cpuPercentMax',
    'memoryBytes',
    'memoryBytesMax',
    'memoryLimitBytes',
    'networkRxBytes',
    'networkTxBytes',
    'pids',
  ]);
  t.match(sample, { at: /^\d{4}-.*Z$/, memoryBytes: 200 * 1024 ** 2, memoryLimitBytes: 512 * 1024 ** 2, pids: 7 });
  t.ok(Math.abs(Number(sample.cpuPercent) - 150) < 10, `100 is one core: ${sample.cpuPercent}`);

  const row = async () => textOf(byId(parseHtml((await app.get('/containers')).text), `cpu-${id}`) ?? parseHtml(''));
  t.match(await row(), /1[45]\d/);
  const names = (await app.api<{ name: string }[]>('/containers?sort=-cpu')).map(({ name }) => name);
  t.strictSame(names, ['busy', 'idle', 'off'], 'sorted by it');
  const page = await app.get('/containers/busy/stats');
  const fragment = await app.get('/fragments/containers/busy/stats');
  t.equal(page.status, 200);
  t.ok(byId(parseHtml(fragment.text), 'stats'));
  t.notMatch(fragment.text, '<html');
  t.strictSame((await app.api<Stats>('/containers/off/stats')).samples, [], 'one that is stopped has none');
  t.equal(
    app.engine.requestsTo('GET', /stats$/).filter(({ containerId }) => containerId === off).length,
    0,
    'and is not asked',
  );
  for (const range of ['1h', '24h', '7d', '30d'])
    t.match(await app.api(`/containers/busy/stats?range=${range}`), { range });
  t.match(JSON.parse((await app.get('/api/containers/busy/stats?range=2y')).text), {
    code: 'invalid',
    detail: /^range: /,
  });

  const live = app.live(`/live?topic=stats:${id}&topic=containers`);
  const view = openPage(`<div id="stats"></div>${(await app.get('/containers')).text}`);
  live.socket.on('message', (data) => view.apply(data.toString()));
  await until(() => live.text().includes('id="stats"'), 'the charts');
  const memory = () => textOf(view.part(`memory-${id}`) ?? parseHtml(''));
  const before = memory();
  t.match(before, /^\D*(200|210)\b/);
  app.engine.setStats('busy', { cpuPercent: 20, memoryBytes: 300 * 1024 ** 2 });
  await until(() => /^\D*(300|315)\b/.test(memory()), 'a new figure in the row', 8_000);
  await until(
    () => live.frames.filter((frame) => frame.includes('hx-target="#stats"')).length > 1,
    'the charts follow',
  );
  await until(() => toHtml(view.part('stats') ?? parseHtml('')).includes('<svg'), 'the charts are drawn');
  app.engine.die('busy');
  await until(async () => !/\d/.test(await row()), 'a stopped one shows no figure');
  const drawn = () => toHtml(view.part('stats') ?? parseHtml(''));
  await until(() => /class="mark[^>]*>\s*<title>[^<]*Ended with code/.test(drawn()), 'its death is marked on the axis');
  t.match((await app.get('/containers/busy/stats')).text, /Ended with code/, 'on the page, too');
});

t.test('STATS_INTERVAL=0 asks for no figures', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  t.equal((await app.get('/containers/web/stats')).status, 200);
  t.strictSame((await app.api<Stats>('/containers/web/stats')).samples, []);
  t.equal(app.engine.requestsTo('GET', /stats$/).length, 0);
});
