import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { startApp, until } from '../support/app.ts';
import { findAll, openPage, parseHtml, rowsOf } from '../support/page.ts';

t.test('an upgrade from another site, or for nothing that exists, gets no frame', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const refused: [string, object, number][] = [
    ['/live?topic=containers', { origin: 'https://evil.example' }, 403],
    ['/live?topic=containers', { origin: 'null' }, 403],
    ['/live?topic=containers', { origin: app.url.replace(/:\d+$/, ':1') }, 403],
    ['/live?topic=containers', { headers: { host: 'evil.example' } }, 421],
    ['/containers', {}, 400],
    ['/nowhere', {}, 400],
    ['/live?topic=nonsense', {}, 400],
    ['/live?topic=__proto__', {}, 400],
    ['/live?topic=container', {}, 400],
    ['/live?topic=containers:web', {}, 400],
    ['/live?topic=container:..%2Fversion%3Fx=', {}, 400],
    ['/live?topic=logs:%2e%2e', {}, 400],
    ['/live?topic=container:nobody', {}, 404],
    ['/live?topic=containers&state=dancing', {}, 400],
    ['/live?topic=containers&sort=colour', {}, 400],
    ['/live?topic=images&dangling=perhaps', {}, 400],
    ['/live?topic=logs:web&tail=-1', {}, 400],
    ['/live?topic=logs:web&since=yesterday', {}, 400],
    [`/live?${'topic=containers&'.repeat(9)}`, {}, 400],
  ];
  for (const [path, options, status] of refused) {
    const live = app.live(path, options);
    t.equal(await live.opened, status, `${path} ${JSON.stringify(options)}`);
    t.strictSame(live.frames, []);
  }
  const own = app.live('/live?topic=containers', { origin: app.url });
  t.equal(await own.opened, 101);
  t.equal((await app.get('/live?topic=containers')).status, 400, 'a plain request is told that it is a socket');
});

t.test('a refused upgrade leaves no connection behind', async (t) => {
  const app = await startApp(t, { env: { MAX_REQUESTS_PER_MINUTE: '10' } });
  const refusals = [{ headers: { host: 'evil.example' } }, { origin: 'https://evil.example' }];
  for (const options of refusals) await app.live('/live?topic=containers', options).opened;
  const statuses: number[] = [];
  for (let n = 0; n < 10; n++) statuses.push(await app.live('/live?topic=containers').opened);
  t.equal(statuses.at(-1), 429, 'too many are refused as well');
  const startedAt = performance.now();
  await app.close();
  t.ok(performance.now() - startedAt < 3_000, 'none holds up the end');
});

t.test('a page asks for the topics that keep it true, with its own parameters', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web', labels: { 'com.docker.compose.project': 'shop' } });
    },
  });
  const { id } = app.engine.container('web');
  const topicsOf = async (path: string) =>
    findAll(parseHtml((await app.get(path)).text), ({ attributes }) => 'hx-ws:connect' in attributes).map(
      ({ attributes }) => attributes['hx-ws:connect'],
    );
  t.strictSame(await topicsOf('/containers?state=running&sort=-name&q='), [
    '/live?topic=containers&state=running&sort=-name',
  ]);
  t.strictSame(await topicsOf('/containers?topic=logs:x&foo=bar'), ['/live?topic=containers'], 'and nothing else');
  t.match((await topicsOf('/containers/web'))[0], `/live?topic=container%3A${id}&topic=stats%3A${id}`);
  const { id: ofShop } = app.engine.containers().find(({ labels }) => Object.values(labels).includes('shop')) ?? {
    id: '',
  };
  t.strictSame(await topicsOf('/projects/shop'), [
    '/live?topic=project%3Ashop&actions=true',
    `/live?topic=logs%3Aproject%3Ashop&tail=100&since=0000000000000000000.0.${ofShop.slice(0, 12)}`,
  ]);
  t.strictSame(await topicsOf('/images?dangling=true'), ['/live?topic=images&dangling=true']);
  t.match((await topicsOf('/containers/web/logs')).at(-1), `topic=logs%3A${id}`);
});

t.test('several topics share one socket', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { id } = app.engine.container('web');
  const live = app.live(`/live?topic=container:${id}&topic=images&topic=containers`);
  for (const part of [
    'id="container-head"',
    'id="container-detail"',
    'id="images"',
    'id="containers"',
    'id="engine-status"',
  ])
    await until(() => live.text().includes(part), part);
  t.pass('each sent its present state');
});

t.test('an upgrade that failed keeps no feed open', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { id } = app.engine.container('web');
  const live = app.live(`/live?topic=logs:${id}&topic=container:nobody`);
  t.equal(await live.opened, 404);
  await setTimeout(50);
  t.equal(app.engine.openStreams('logs').length, 0);
});

t.test('a log is followed as long as somebody looks, over one engine stream', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { id } = app.engine.container('web');
  app.engine.writeLog('web', 'first');
  const one = app.live(`/live?topic=logs:${id}`);
  const two = app.live(`/live?topic=logs:${id}&q=<b>`);
  await until(() => one.text().includes('first'), 'the line that was there');
  app.engine.writeLog('web', 'second <b>bold</b>', { stream: 'stderr' });
  await until(() => one.text().includes('second') && two.text().includes('second'), 'the new line');
  t.match(one.text(), /data-stream="stderr"/);
  t.match(one.text(), '&lt;b&gt;bold');
  t.notMatch(two.text(), 'first', 'a search of its own');
  t.equal(app.engine.openStreams('logs').length, 1);
  one.socket.close();
  await one.closed;
  app.engine.writeLog('web', 'third <b>');
  await until(() => two.text().includes('third'), 'the other still sees');
  t.equal(app.engine.openStreams('logs').length, 1);
  two.socket.close();
  const startedAt = performance.now();
  await until(() => app.engine.openStreams('logs').length === 0, 'the stream ends', 1_000);
  t.ok(performance.now() - startedAt < 1_000, 'within a second, of a container that is silent');
});

t.test('between the page and the join, and over a reconnect, no line is lost or doubled', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  let written = 0;
  const write = (count: number) => {
    for (let n = 0; n < count; n++) app.engine.writeLog('web', `line-${written++};`);
  };
  write(30);
  const page = openPage((await app.get('/containers/web/logs')).text);
  const address =
    findAll(page.root, ({ attributes }) => attributes.id === 'log-live')[0]?.attributes['hx-ws:connect'] ?? '';
  const lines = () => findAll(page.root, ({ attributes }) => (attributes.class ?? '').split(' ').includes('log-line'));
  const numbers = () =>
    lines()
      .map((node) =>
        Number(
          /line-(\d+);/.exec(JSON.stringify(node.children.map((child) => child.children.map(({ text }) => text))))?.[1],
        ),
      )
      .join();
  t.equal(lines().length, 30);
  write(20);
  for (let round = 0; round < 4; round++) {
    const cursor = lines().at(-1)?.attributes['data-cursor'] ?? '';
    const live = app.live(round === 0 ? address : address.replace(/since=[^&]*/, `since=${cursor}`));
    live.socket.on('message', (data) => page.apply(data.toString()));
    await live.opened;
    write(10);
    const all = Array.from({ length: written }, (_, n) => n).join();
    await until(() => numbers() === all, `all lines in round ${round}`, 3_000).catch(() => t.equal(numbers(), all));
    live.socket.terminate();
    await live.closed;
    write(5);
    if (round === 2) app.engine.faults.dropStreams({ path: /logs/ });
  }
  t.equal(lines().length, written - 5);
  const times = lines().map(({ attributes }) => attributes['data-ts'] ?? '');
  t.ok(
    times.every((time) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/.test(time)),
    'nanoseconds in RFC 3339',
  );
});

t.test('a slow reader is closed and heals; the others do not feel it', async (t) => {
  const app = await startApp(t, {
    engine: { maxLogBytes: 64 * 1024 * 1024 },
    prepare: (engine) => {
      engine.addContainer({ name: 'loud' });
      engine.addContainer({ name: 'web' });
    },
  });
  const { id } = app.engine.container('loud');
  const slow = app.live(`/live?topic=logs:${id}`);
  await slow.opened;
  slow.socket.pause();
  const other = app.live('/live?topic=containers');
  await until(() => other.text().includes('id="containers"'), 'the other has its list');
  other.frames.length = 0;
  let isFlooding = true;
  const flood = (async () => {
    while (isFlooding) await app.engine.firehose('loud', 500, { make: (n) => `${n} ${'x'.repeat(8_000)}` });
  })();
  await setTimeout(500);
  app.engine.rename('web', 'front');
  await until(() => other.text().includes('front'), 'the other sees a change at once', 1_500);
  await until(() => app.engine.openStreams('logs').length === 0, 'the slow one is given up', 20_000).finally(() => {
    isFlooding = false;
  });
  slow.socket.resume();
  const { code } = await slow.closed;
  t.equal(code, 1013);
  const again = app.live(`/live?topic=logs:${id}`);
  await until(() => again.text().includes('log-line'), 'it comes back and sees');
  await app.close();
  await flood;
});

t.test('who joins a log that others follow is told that it is followed', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { id } = app.engine.container('web');
  for (const who of ['the first', 'the second', 'the third']) {
    const live = app.live(`/live?topic=logs:${id}`);
    await until(() => /id="log-state"[\s\S]*following/.test(live.text()), `${who} is told`);
  }
  t.equal(app.engine.openStreams('logs').length, 1, 'over one stream');
});

t.test('a client that goes without a word leaves no feed', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { id } = app.engine.container('web');
  const lives = Array.from({ length: 20 }, () =>
    app.live(`/live?topic=logs:${id}&topic=container:${id}&topic=containers`),
  );
  await Promise.all(lives.map((live) => live.opened));
  for (const live of lives) live.socket.terminate();
  await until(() => app.engine.openStreams('logs').length === 0, 'the stream ends', 1_000);
  t.pass();
});

t.test('a change is rendered once for all who look at the same', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const lives = Array.from({ length: 10 }, () => app.live('/live?topic=containers'));
  for (const live of lives) await until(() => live.text().includes('id="containers"'), 'the list');
  for (const live of lives) live.frames.length = 0;
  app.engine.forgetRequests();
  app.engine.rename('web', 'front');
  for (const live of lives) await until(() => live.text().includes('front'), 'the change');
  t.equal(new Set(lives.map((live) => live.frames.find((frame) => frame.includes('front')))).size, 1, 'the same bytes');
  t.ok(app.engine.requests.filter(({ path }) => path !== '/_ping').length <= 1, 'one call, however many look');
  const rows = rowsOf(parseHtml(lives[0]?.frames.find((frame) => frame.includes('front')) ?? ''));
  t.equal(rows.length, 1);
});

t.test('at the end every socket is closed with 1012', async (t) => {
  const app = await startApp(t);
  const lives = [app.live('/live?topic=containers'), app.live('/live?topic=images')];
  await Promise.all(lives.map((live) => live.opened));
  const frozen = app.live('/live?topic=containers');
  await frozen.opened;
  frozen.socket.pause();
  const startedAt = performance.now();
  await app.app.close();
  t.ok(performance.now() - startedAt < 4_000, 'a frozen browser does not hold it up');
  for (const live of lives) t.equal((await live.closed).code, 1012);
});

t.test('what a client sends is not listened to, and too much of it ends the socket', async (t) => {
  const app = await startApp(t);
  const live = app.live('/live?topic=containers');
  await live.opened;
  live.socket.send('{"HEADERS":{}}');
  live.socket.send('x'.repeat(100_000));
  t.equal((await live.closed).code, 1009);
});
