import { request } from 'node:http';
import t, { type Test } from 'tap';
import { createReaderLimit } from '../../src/routes/reader-limit.ts';
import { startApp, type TestApp, until } from '../support/app.ts';
import { byId, findAll, parseHtml, textOf } from '../support/page.ts';

const linesOf = (html: string) =>
  findAll(parseHtml(html), ({ attributes }) => (attributes.class ?? '').split(' ').includes('log-line'));

type Line = { at: string; cursor: string; stream: string; text: string; container: string };
const parseLines = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);

t.test('a log has three forms', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      for (let n = 0; n < 150; n++) engine.writeLog('web', `line ${n}`, { stream: n % 2 ? 'stderr' : 'stdout' });
    },
  });
  const { id } = app.engine.container('web');
  const page = await app.get('/containers/web/logs');
  const fragment = await app.get('/fragments/containers/web/logs');
  t.ok(page.text.includes(fragment.text.trim()), 'the page holds the fragment as it is');
  const shown = linesOf(page.text);
  t.equal(shown.length, 100, 'the newest hundred');
  t.match(shown[0]?.attributes, {
    'data-ts': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/,
    'data-cursor': /./,
    'data-stream': 'stdout',
  });
  t.equal(byId(parseHtml(page.text), 'log-lines')?.attributes.role, 'log');
  t.equal(linesOf((await app.get('/containers/web')).text).length, 100, "the container's page has them too");

  const api = await app.get('/api/containers/web/logs');
  t.match(api.headers['content-type'], 'application/x-ndjson');
  const lines = parseLines(api.text);
  t.equal(lines.length, 100);
  t.match(lines.at(-1), { at: /\.\d{9}Z$/, stream: 'stderr', text: 'line 149', container: id });
  t.strictSame(Object.keys(lines[0] ?? {}).sort(), ['at', 'container', 'cursor', 'stream', 'text']);
  t.equal(lines.at(-1)?.cursor, shown.at(-1)?.attributes['data-cursor'], 'one cursor for one line');
  const plain = await app.get('/api/containers/web/logs?tail=2', { accept: 'text/plain' });
  t.match(plain.headers['content-type'], 'text/plain');
  t.equal(plain.text, 'line 148\nline 149\n');
});

t.test('tail, since, until, search and output narrow a log, in each form', async (t) => {
  const start = Date.UTC(2026, 0, 2, 3, 4, 5);
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      for (let n = 0; n < 20; n++) {
        const at = BigInt(start + n * 1_000) * 1_000_000n + 5n;
        engine.writeLog('web', `line ${n}${n % 5 ? '' : ' Fünf'}`, { stream: n % 2 ? 'stderr' : 'stdout', at });
      }
    },
  });
  const numbers = async (query: string) => {
    const lines = parseLines((await app.get(`/api/containers/web/logs?${query}`)).text);
    const shown = linesOf((await app.get(`/containers/web/logs?${query}`)).text);
    t.strictSame(
      shown.map(({ attributes }) => attributes['data-cursor']),
      lines.map(({ cursor }) => cursor),
      `page and API agree on ${query}`,
    );
    return lines.map(({ text }) => text.split(' ')[1]).join();
  };
  t.equal(await numbers('tail=3'), '17,18,19');
  t.equal(await numbers('tail=0'), '');
  t.equal(await numbers('since=2026-01-02T03:04:22Z'), '17,18,19');
  t.equal(await numbers(`since=${start / 1000 + 18}`), '18,19');
  t.equal(await numbers('until=2026-01-02T03:04:07Z'), '0,1');
  t.equal(await numbers('since=2026-01-02T03:04:07Z&until=2026-01-02T03:04:09Z'), '2,3');
  t.equal(await numbers(`q=${encodeURIComponent('FÜNF')}`), '0,5,10,15', 'whatever the case');
  t.equal(await numbers('stream=stderr&tail=2'), '17,19');
  const [, second] = parseLines((await app.get('/api/containers/web/logs?tail=3')).text);
  t.equal(await numbers(`since=${second?.cursor}`), '19', 'a cursor continues right behind its line');
  for (const [query, field] of [
    ['tail=many', 'tail'],
    ['tail=-1', 'tail'],
    ['tail=100000', 'tail'],
    ['since=yesterday', 'since'],
    ['until=2026-13-99', 'until'],
    ['stream=stdin', 'stream'],
  ] as const) {
    const api = await app.get(`/api/containers/web/logs?${query}`);
    t.match(JSON.parse(api.text), { status: 400, code: 'invalid', detail: new RegExp(`^${field}: `) }, query);
    t.equal((await app.get(`/containers/web/logs?${query}`)).status, 400, `the page of ${query}`);
  }
});

t.test('a viewer without lines still goes on from the time it was asked for', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const since = new Date(Date.now() - 60_000).toISOString();
  const page = await app.get(`/containers/web/logs?since=${since}`);
  const address = byId(parseHtml(page.text), 'log-live')?.attributes['hx-ws:connect'] ?? '';
  const live = app.live(address);
  t.equal(await live.opened, 101);
  app.engine.writeLog('web', 'the first word');
  await until(() => live.text().includes('the first word'), 'it comes');
  t.match(page.text, /data-placeholder="[^"]+"/, 'meanwhile something is said');
});

t.test('following a log ends its engine stream within a second of its reader', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  app.engine.writeLog('web', 'before');
  for (const isSilent of [false, true]) {
    let text = '';
    const sent = request(`${app.url}/api/containers/web/logs?follow=1&tail=${isSilent ? 0 : 1}`, (answer) => {
      answer.on('data', (chunk) => {
        text += chunk;
      });
      answer.on('error', () => {});
    });
    sent.on('error', () => {});
    sent.end();
    await until(() => app.engine.openStreams('logs').length === 1, 'the stream is open');
    if (!isSilent) {
      await until(() => text.includes('before'), 'the line before');
      app.engine.writeLog('web', 'after');
      await until(() => text.includes('after'), 'the line after, at once');
    }
    sent.destroy();
    const startedAt = performance.now();
    await until(() => app.engine.openStreams('logs').length === 0, 'the stream ends', 2_000);
    t.ok(performance.now() - startedAt < 1_000, isSilent ? 'of a silent container too' : 'within a second');
  }
});

t.test('who asks from a time on gets every line since, the newest hundred only who asks for nothing', async (t) => {
  const start = Date.UTC(2026, 0, 2, 3, 4, 5);
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      for (let n = 0; n < 300; n++) engine.writeLog('web', `line ${n}`, { at: BigInt(start + n * 1000) * 1_000_000n });
    },
  });
  const count = async (query: string) => {
    const lines = parseLines((await app.get(`/api/containers/web/logs?${query}`)).text);
    const shown = linesOf((await app.get(`/containers/web/logs?${query}`)).text);
    t.equal(shown.length, lines.length, `page and API agree on ${query}`);
    return lines.length;
  };
  t.equal(await count(''), 100);
  t.equal(await count('since=2026-01-02T03:04:05Z'), 300);
  t.equal(await count(`until=${start / 1000 + 249.5}`), 250);
  t.equal(await count('since=2026-01-02T03:04:05Z&tail=7'), 7, 'a number that is given counts');
  const [first] = parseLines((await app.get('/api/containers/web/logs?tail=250')).text);
  t.equal(await count(`since=${first?.cursor}`), 249, 'after a cursor too');
  const page = await app.get('/containers/web/logs?since=2026-01-02T03:04:05Z');
  t.match(page.text, /<option value="5000" selected/, 'the page says how many it shows at most');
});

/** Opens a followed log and tells its status as soon as the headers are there. */
function openFollow(t: Test, app: TestApp, path: string) {
  const status = Promise.withResolvers<number>();
  const sent = request(`${app.url}${path}`, (answer) => {
    status.resolve(answer.statusCode ?? 0);
    answer.on('error', () => {});
    answer.resume();
  });
  sent.on('error', () => status.resolve(0));
  sent.end();
  t.teardown(() => sent.destroy());
  return { status: status.promise, end: () => sent.destroy() };
}

t.test('a followed log is answered as soon as it is open, and refused as everything else', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const silent = openFollow(t, app, '/api/containers/web/logs?follow=1');
  t.equal(await silent.status, 200, 'the headers of a silent one');
  silent.end();
  using _refusal = app.engine.faults.status(500, '{"message":"no such driver"}', 'application/json', { path: /logs/ });
  const refused = await app.get('/api/containers/web/logs?follow=1');
  t.match(JSON.parse(refused.text), { status: 502, code: 'engine_error', detail: 'no such driver' });
});

t.test('followed logs are bounded, and one that ends makes room', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const path = '/api/containers/web/logs?follow=1';
  const open = Array.from({ length: 20 }, () => openFollow(t, app, path));
  for (const { status } of open) t.equal(await status, 200);
  const refused = await app.get(path);
  t.match(JSON.parse(refused.text), { status: 429, code: 'rate_limited', detail: /At most 20 logs/ });
  t.match(refused.headers['retry-after'], /^\d+$/);
  t.equal((await app.get('/api/containers/web/logs')).status, 200, 'what ends by itself is not counted');
  open[0]?.end();
  await until(() => app.engine.openStreams('logs').length === 19, 'one has ended');
  t.equal(await openFollow(t, app, path).status, 200);
});

t.test('a follow ends with its container', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const answer = app.get('/api/containers/web/logs?follow=true', { accept: 'text/plain' });
  await until(() => app.engine.openStreams('logs').length === 1, 'the stream is open');
  app.engine.writeLog('web', 'last words');
  app.engine.die('web', 0);
  t.equal((await answer).text, 'last words\n');
});

t.test('a TTY, colours, broken UTF-8, NUL and hostile text do no harm', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'term', tty: true });
      engine.writeLog('term', '\u001b[31mred\u001b[0m <script>alert(1)</script> \u202eevil');
      engine.addContainer({ name: 'raw' });
      engine.writeRawLog('raw', Buffer.from([0x61, 0xff, 0xfe, 0x00, 0x62, 0x0a]));
      engine.writeLog('raw', 'ünïcödé 🐳');
    },
  });
  const page = await app.get('/containers/term/logs');
  t.match(page.text, '&lt;script&gt;alert(1)');
  t.notMatch(page.text, '<script>alert');
  t.notMatch(page.text, '\u001b');
  t.match(page.text, /<span class="[^"]*red[^"]*">red<\/span>|<span class="[^"]+">red<\/span>/, 'colours are classes');
  const raw = linesOf((await app.get('/containers/raw/logs')).text).map(textOf);
  t.match(raw[0], /a\ufffd\ufffd.?b/u);
  t.match(raw[1], 'ünïcödé 🐳');
  t.match(parseLines((await app.get('/api/containers/raw/logs')).text)[1], { text: 'ünïcödé 🐳' });
});

t.test('a log that the engine can not tell leaves the page whole', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  app.engine.faults.status(
    500,
    '{"message":"configured logging driver does not support reading"}',
    'application/json',
    {
      path: /logs/,
    },
  );
  const page = await app.get('/containers/web');
  t.equal(page.status, 200);
  t.match(page.text, 'configured logging driver does not support reading');
  const api = await app.get('/api/containers/web/logs');
  t.match(JSON.parse(api.text), { status: 502, code: 'engine_error', detail: /logging driver/ });
});

t.test('readers are counted by client and in all, and leave once', async (t) => {
  const limit = createReaderLimit(2, 3);
  const leave = limit.enter('a');
  limit.enter('a');
  t.throws(() => limit.enter('a'), { code: 'rate_limited', message: /At most 2 .* one address/ });
  limit.enter('b');
  t.throws(() => limit.enter('c'), { code: 'rate_limited', message: /At most 3 .* at a time/ });
  leave();
  leave();
  limit.enter('c');
  t.throws(() => limit.enter('d'), { code: 'rate_limited' });
});
