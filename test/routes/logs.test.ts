import { request } from 'node:http';
import t, { type Test } from 'tap';
import { createReaderLimit } from '../../src/routes/reader-limit.ts';
import { type AppOptions, startApp, type TestApp, until } from '../support/app.ts';
import { byId, type Element, findAll, parseHtml, textOf } from '../support/page.ts';
import { openViewer } from '../support/viewer.ts';

const linesOf = (html: string | Element) =>
  findAll(typeof html === 'string' ? parseHtml(html) : html, ({ attributes }) =>
    (attributes.class ?? '').split(' ').includes('log-line'),
  );

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

t.test('of a log that was empty when its page was made, all that came since is there', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { page, connect } = await openViewer(app, '/containers/web/logs', 'logs:');
  for (let n = 0; n < 300; n++) app.engine.writeLog('web', `line ${n}`);
  const shown = () => linesOf(page.part('log-lines') ?? '').map(numberOf);
  await connect();
  await until(() => shown().at(-1) === 299, 'the last line');
  t.strictSame(shown(), range(0, 300), 'the first line too, though a view begins with a hundred');
  t.notMatch(textOf(page.root), /missing/, 'and nothing is said to be missing');
});

/** A container of 1,800 lines, one a second. */
async function startLong(t: Test, env: Record<string, string> = {}) {
  const start = Date.UTC(2026, 0, 2, 3, 0, 0);
  const prepare: AppOptions['prepare'] = (engine) => {
    engine.addContainer({ name: 'web' });
    for (let n = 0; n < 1_800; n++) {
      const at = BigInt(start + n * 1_000) * 1_000_000n;
      engine.writeLog('web', `line ${n}`, { at, stream: n % 2 ? 'stderr' : 'stdout' });
    }
  };
  return startApp(t, { prepare, env });
}

const numberOf = (line: Element) => Number(/line (\d+)/.exec(textOf(line))?.[1]);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n);

t.test('links lead from the newest line back to the first and on again, without a script', async (t) => {
  const app = await startLong(t, { BASE_PATH: '/sub' });
  const follow = async (link: string) => {
    const seen: number[][] = [];
    let path = '/containers/web/logs';
    for (let n = 0; n < 10; n++) {
      const page = parseHtml((await app.get(path)).text);
      const anchor = byId(page, link);
      seen.push(linesOf(page).map(numberOf));
      if (!anchor || 'hidden' in anchor.attributes) return { seen, page };
      t.match(anchor.attributes.href, /^\/sub\/containers\//);
      path = (anchor.attributes.href ?? '').slice('/sub'.length);
    }
    throw new Error('there is no end');
  };
  const { seen, page } = await follow('log-earlier');
  t.strictSame(
    seen.map((numbers) => numbers.length),
    [100, 500, 500, 500, 200],
  );
  t.strictSame(seen.toReversed().flat(), range(0, 1_800), 'every line once');
  t.match(textOf(page), 'The log begins here.');
  t.match(textOf(page), 'This page does not follow the log.');
  t.equal(byId(page, 'log-live'), undefined);
  const newest = byId(page, 'log-newest')?.attributes.href ?? '';
  t.equal(
    linesOf((await app.get(newest.slice('/sub'.length))).text)
      .map(numberOf)
      .at(-1),
    1_799,
  );
  let path = byId(page, 'log-later')?.attributes.href ?? '';
  const on: number[] = [];
  while (path) {
    const later = parseHtml((await app.get(path.slice('/sub'.length))).text);
    on.push(...linesOf(later).map(numberOf));
    const link = byId(later, 'log-later');
    path = link && !('hidden' in link.attributes) ? (link.attributes.href ?? '') : '';
  }
  t.strictSame(on, range(200, 1_800), 'and on again to the newest');
});

t.test('what is followed goes on behind the last line of the log, however old the last find is', async (t) => {
  const prepare: AppOptions['prepare'] = (engine) => {
    engine.addContainer({ name: 'web' });
    engine.writeLog('web', 'needle');
    for (let n = 0; n < 8_000; n++) engine.writeLog('web', `line ${n}`);
  };
  const app = await startApp(t, { prepare });
  const [last] = parseLines((await app.get('/api/containers/web/logs?tail=1')).text);
  const page = parseHtml((await app.get('/containers/web/logs?q=needle')).text);
  t.equal(linesOf(page).length, 1);
  t.equal(byId(page, 'log-lines')?.attributes['data-last'], last?.cursor);
  const live = byId(page, 'log-live')?.attributes['hx-ws:connect'] ?? '';
  t.match(live, `since=${last?.cursor}`);
  const socket = app.live(live);
  t.equal(await socket.opened, 101);
  app.engine.writeLog('web', 'a new needle');
  await until(() => socket.text().includes('a new <mark'), 'the new find comes');
  t.notMatch(socket.text(), 'log-gap', 'nothing is said to be missing');
});

t.test('a page may lie before, after or at a line or a moment, in each form', async (t) => {
  const app = await startLong(t);
  const path = '/containers/web/logs';
  const numbersAt = async (query: string) => {
    const lines = parseLines((await app.get(`/api${path}?${query}`)).text);
    const cursors = lines.map(({ cursor }) => cursor);
    for (const prefix of ['', '/fragments']) {
      const shown = linesOf((await app.get(`${prefix}${path}?${query}`)).text);
      t.strictSame(
        shown.map(({ attributes }) => attributes['data-cursor']),
        cursors,
        `${prefix} agrees on ${query}`,
      );
    }
    return lines.map(({ text }) => Number(text.split(' ')[1]));
  };
  t.strictSame(await numbersAt('before=2026-01-02T03:10'), range(100, 600), 'without seconds and zone, as UTC');
  t.strictSame(await numbersAt('after=2026-01-02T03:10:00Z&tail=3'), [600, 601, 602]);
  t.strictSame(await numbersAt('at=2026-01-02T04:10:00%2B01:00&tail=4'), [598, 599, 600, 601]);
  t.strictSame(await numbersAt(`at=${Date.UTC(2026, 0, 2, 3, 10) / 1000}&stream=stderr&tail=4`), [597, 599, 601, 603]);
  t.strictSame(await numbersAt('before=2026-01-02T03:10:00Z&q=line+5&tail=2'), [598, 599]);
  t.strictSame(await numbersAt('at=2020-01-01T00:00&tail=4'), [0, 1]);
  t.strictSame(await numbersAt('since=2026-01-02T03:10&until=2026-01-02T03:10:02'), [600, 601, 602]);

  const page = parseHtml((await app.get(`${path}?at=2026-01-02T03:10:00.5Z`)).text);
  const marked = findAll(page, ({ attributes }) => attributes['aria-current'] === 'location');
  t.strictSame(marked.map(numberOf), [601], 'the first line at or behind the moment is marked');
  t.equal(marked[0]?.attributes.id, 'log-at');
  t.equal(linesOf(page).length, 500);
  const link = findAll(marked[0] as Element, ({ tag }) => tag === 'a')[0]?.attributes.href ?? '';
  t.match(link, /^\/containers\/[0-9a-f]{12}\/logs\?at=\d{19}\.0#log-at$/);
  const linked = parseHtml((await app.get(link.split('#')[0] ?? '')).text);
  t.equal(numberOf(byId(linked, 'log-at') as Element), 601, 'its time leads to itself');

  const api = await app.get(`/api${path}?at=2026-01-02T03:10:00Z&tail=2&q=line`);
  const id = app.engine.container('web').id;
  t.equal(
    api.headers.link,
    `</api/containers/${id}/logs?q=line&tail=2&before=${Date.UTC(2026, 0, 2, 3, 9, 59)}000000.0>; rel="prev", ` +
      `</api/containers/${id}/logs?q=line&tail=2&after=${Date.UTC(2026, 0, 2, 3, 10, 0)}000000.0>; rel="next"`,
  );
  for (const [query, field] of [
    ['before=yesterday', 'before'],
    ['after=-', 'after'],
    ['at=2026-01-02', 'at'],
    [`at=${'9'.repeat(65)}`, 'at'],
    ['at=1&before=1', 'at'],
    ['after=1&before=1', 'after'],
    ['before=1&since=1', 'since'],
    ['at=1&until=1', 'until'],
    ['after=1&follow=1', 'follow'],
  ] as const) {
    const answer = await app.get(`/api${path}?${query}`);
    t.match(JSON.parse(answer.text), { status: 400, code: 'invalid', detail: new RegExp(`^${field}: `) }, query);
    t.equal((await app.get(`${path}?${query}`)).status, 400, `the page of ${query}`);
  }
});

t.test('a search looks through the whole log, by text or expression, and is marked', async (t) => {
  const app = await startLong(t);
  app.engine.writeLog('web', '\u001b[31mERROR\u001b[0m: disk \u001b[1mfu\u001b[0mll', { stream: 'stderr' });
  app.engine.writeLog('web', 'WARN: disk slow');
  const path = '/containers/web/logs';
  const textsAt = async (query: string) => {
    const texts = parseLines((await app.get(`/api${path}?${query}`)).text).map(({ text }) => text);
    t.equal(linesOf((await app.get(`${path}?${query}`)).text).length, texts.length, `page and API agree on ${query}`);
    return texts;
  };
  const regex = (pattern: string) => `regex=1&q=${encodeURIComponent(pattern)}`;
  t.strictSame(await textsAt(regex('^line 1[05]$')), ['line 10', 'line 15'], 'also in the oldest lines');
  t.strictSame(await textsAt('q=LINE+17&case=1'), []);
  t.equal((await textsAt(`${regex('^line')}&invert=1`)).length, 2);
  t.equal((await textsAt('level=error')).length, 1);
  t.equal((await textsAt('level=warn')).length, 2);
  t.strictSame(await textsAt(`${regex('^line \\d$')}&stream=stderr&tail=2`), ['line 7', 'line 9']);

  const page = parseHtml((await app.get(`${path}?${regex('error.*l')}&level=warn&case=0`)).text);
  const marks = findAll(page, ({ tag }) => tag === 'mark');
  t.equal(marks.map(textOf).join(''), 'ERROR: disk full', 'a find is marked over its colours');
  t.equal(
    marks.some(({ attributes }) => /ansi-red/.test(attributes.class ?? '')),
    true,
    'and keeps them',
  );
  const live = byId(page, 'log-live')?.attributes['hx-ws:connect'] ?? '';
  t.match(live, /&q=error\.\*l&regex=1&level=warn/, 'what is followed is filtered alike');
  const socket = app.live(live);
  t.equal(await socket.opened, 101);
  app.engine.writeLog('web', 'error: nothing');
  app.engine.writeLog('web', 'ERROR: all');
  await until(() => socket.text().includes('<mark class="">ERROR: all</mark>'), 'the new find comes, marked');
  t.notMatch(socket.text(), 'nothing');
  const inverse = await app.get(`${path}?q=line&invert=1`);
  t.notMatch(inverse.text, '<mark');

  for (const [query, field] of [
    [regex('(a'), 'q'],
    [`q=${'x'.repeat(201)}`, 'q'],
    ['level=loud', 'level'],
    ['regex=maybe', 'regex'],
  ] as const) {
    const answer = await app.get(`/api${path}?${query}`);
    t.match(JSON.parse(answer.text), { status: 400, code: 'invalid', detail: new RegExp(`^${field}: `) }, query);
    t.equal((await app.get(`${path}?${query}`)).status, 400, `the page of ${query}`);
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
  for (const place of ['before', 'after', 'at']) {
    t.equal((await app.get(`/containers/web/logs?${place}=1`)).status, 200, place);
    const part = await app.get(`/fragments/containers/web/logs?${place}=1`);
    t.equal(part.status, 502, `${place}: lines for a view are refused, or it would seem to have come to its end`);
  }
});

t.test('the reading for a page ends with who asked for it', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  app.engine.writeLog('web', 'x');
  app.engine.faults.hang({ path: /\/logs$/ });
  const open = () => app.engine.requestsTo('GET', /\/logs$/).filter(({ closedAt }) => closedAt === null).length;
  for (const path of ['/containers/web', '/containers/web/logs?q=y', '/fragments/containers/web/logs?before=1']) {
    const sent = request(app.url + path);
    sent.on('error', () => {});
    sent.end();
    await until(() => open() === 1, `${path} is being read`);
    sent.destroy();
    await until(() => open() === 0, `${path} is read no further`, 5_000);
    t.pass(path);
  }
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
