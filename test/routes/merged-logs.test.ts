import t from 'tap';
import { createSource } from '../../src/routes/merged-log-lines.ts';
import type { Inventory } from '../../src/services/inventory.ts';
import { startApp, until } from '../support/app.ts';
import { byId, type Element, findAll, openPage, parseHtml, textOf } from '../support/page.ts';
import { openViewer } from '../support/viewer.ts';

const hasClass = (name: string) => (element: Element) => (element.attributes.class ?? '').split(' ').includes(name);
const linesOf = (element: Element) => findAll(element, hasClass('log-line'));
const cursorsOf = (html: string) => linesOf(parseHtml(html)).map(({ attributes }) => attributes['data-cursor'] ?? '');

type Line = { cursor: string; text: string; service: string };
const parseLines = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `line ${from + n}`);
const base = BigInt(Date.now() - 60_000) * 1_000_000n;

/** A program with a project of three services, and a way to let them write in turn. */
async function startShop(t: Parameters<typeof startApp>[0], lines: number) {
  const app = await startApp(t);
  let written = 0;
  const write = (name: string) => {
    app.engine.writeLog(name, `line ${written}`, { at: base + BigInt(written) });
    written += 1;
  };
  const add = (service: string) =>
    app.engine.addContainer({
      name: `shop-${service}-1`,
      labels: { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': service },
    });
  const names = ['web', 'api', 'db'];
  for (const service of names) add(service);
  app.engine.addContainer({ name: 'other' });
  await until(async () => (await app.api<unknown[]>('/containers')).length === 4, 'all containers');
  const writeInTurn = (count: number) => {
    for (let n = 0; n < count; n++) write(`shop-${names[written % 3]}-1`);
  };
  writeInTurn(lines);
  return { app, add, write, writeInTurn };
}

t.test('the log of a project has three forms, in the order of time', async (t) => {
  const { app } = await startShop(t, 150);
  app.engine.writeLog('other', 'of nobody here');
  const page = await app.get('/projects/shop/logs');
  const fragment = await app.get('/fragments/projects/shop/logs');
  t.ok(page.text.includes(fragment.text.trim()), 'the page holds the fragment as it is');
  const shown = linesOf(parseHtml(page.text));
  t.strictSame(
    shown.map((line) => textOf(findAll(line, hasClass('msg'))[0] as Element)),
    numbers(50, 150),
    'the newest hundred of all',
  );
  const who = shown.slice(0, 3).map((line) => findAll(line, hasClass('who'))[0]);
  t.strictSame(
    new Set(who.map((element) => element && textOf(element).trim())),
    new Set(['web', 'api', 'db']),
    'each with its service',
  );
  t.equal(new Set(who.map((element) => element?.attributes['data-who'])).size, 3, 'in a colour of its own');
  t.equal(linesOf(parseHtml((await app.get('/projects/shop')).text)).length, 100, "the project's page has them too");

  const api = await app.get('/api/projects/shop/logs');
  t.match(api.headers['content-type'], 'application/x-ndjson');
  const lines = parseLines(api.text);
  t.strictSame(
    lines.map(({ cursor }) => cursor),
    cursorsOf(page.text),
    'page and API agree',
  );
  t.match(lines.at(-1), { text: 'line 149', service: 'db' });
  const plain = await app.get('/api/projects/shop/logs?tail=2', { accept: 'text/plain' });
  t.equal(plain.text, 'api | line 148\ndb | line 149\n');
  const rest = parseLines((await app.get(`/api/projects/shop/logs?since=${lines[97]?.cursor}`)).text);
  t.strictSame(
    rest.map(({ text }) => text),
    numbers(148, 150),
    'goes on behind any line',
  );
  const found = await app.get('/projects/shop/logs?q=line%2014%5B0-3%5D&regex=1');
  t.equal(linesOf(parseHtml(found.text)).length, 4);
  t.equal(findAll(parseHtml(found.text), ({ tag }) => tag === 'mark').length, 4, 'finds are marked');
});

t.test('a log of no project, or from nowhere, is refused in words', async (t) => {
  const { app } = await startShop(t, 3);
  t.equal((await app.get('/projects/nothing/logs')).status, 404);
  t.equal((await app.get('/api/projects/nothing/logs')).status, 404);
  for (const [query, detail] of [
    ['since=x', /^since: /],
    ['since=x&since=y', /^since: /],
    ['until=x', /^until: /],
    ['tail=5001', /^tail: /],
    ['q=(&regex=1', /^q: /],
    ['follow=1&before=1', /^follow: /],
    ['follow=1&until=1', /^until: /],
    ['follow=1&download=1', /^download: /],
  ] as const) {
    const answer = await app.get(`/api/projects/shop/logs?${query}`);
    t.equal(answer.status, 400, query);
    t.match(JSON.parse(answer.text), { code: 'invalid', detail });
  }
});

t.test('what can not be read of one container is said, beside the lines of the others', async (t) => {
  const { app } = await startShop(t, 30);
  const { id } = app.engine.container('shop-db-1');
  const said = JSON.stringify({ message: 'configured logging driver does not support reading' });
  app.engine.faults.status(500, said, undefined, { path: new RegExp(`${id}/logs`) });
  const page = parseHtml((await app.get('/projects/shop/logs')).text);
  t.equal(linesOf(page).length, 20);
  const notes = byId(page, 'log-notes') as Element;
  t.match(textOf(notes), /^db: .*does not support reading/);
  const [list] = findAll(notes, ({ tag }) => tag === 'ul');
  t.equal(notes.attributes.role, 'status');
  t.equal(list?.attributes.role, undefined, 'a list with another role would have no items');
  t.equal(findAll(list as Element, ({ tag }) => tag === 'li').length, 1);
});

t.test('the log of a project is followed behind its page, and by who comes', async (t) => {
  const { app, add, write, writeInTurn } = await startShop(t, 30);
  const page = (await app.get('/projects/shop/logs')).text;
  const address = findAll(parseHtml(page), ({ attributes }) => 'hx-ws:connect' in attributes)
    .map(({ attributes }) => attributes['hx-ws:connect'] ?? '')
    .find((url) => url.includes('logs%3Aproject'));
  writeInTurn(6);
  const live = app.live(address ?? '');
  const view = openPage(page);
  live.socket.on('message', (data) => view.apply(data.toString()));
  const shown = () => {
    const list = view.part('log-lines');
    return list ? linesOf(list).map((line) => textOf(findAll(line, hasClass('msg'))[0] as Element)) : [];
  };
  await until(() => shown().length === 36, 'what came between page and socket');
  add('worker');
  write('shop-worker-1');
  await until(() => shown().length === 37, 'who has come');
  app.engine.removeContainer('shop-web-1');
  add('web');
  write('shop-web-1');
  await until(() => shown().length === 38, 'one that was made anew under its name');
  t.strictSame(shown(), numbers(0, 38), 'each line once, and in order');
  t.equal(byId(parseHtml(page), 'log-lines')?.attributes.class, 'log merged');
  live.socket.terminate();
  await until(() => app.engine.openStreams('logs').length === 0, 'nothing is followed when nobody looks');
});

t.test('of logs that were empty when their page was made, all that came since is there', async (t) => {
  const { app, writeInTurn } = await startShop(t, 0);
  const { page, connect } = await openViewer(app, '/projects/shop/logs', 'logs:');
  writeInTurn(300);
  const shown = () =>
    linesOf(page.part('log-lines') as Element).map((line) => textOf(findAll(line, hasClass('msg'))[0] as Element));
  await connect();
  await until(() => shown().at(-1) === 'line 299', 'the last line');
  t.strictSame(shown(), numbers(0, 300), 'the first line too, though a view begins with a hundred');
});

t.test('the topic of a project goes on from the cursors of all its lines, or of one', async (t) => {
  const { app, writeInTurn } = await startShop(t, 60);
  const cursors = cursorsOf((await app.get('/projects/shop/logs')).text);
  writeInTurn(3);
  const last = new Map(cursors.slice(0, 50).map((cursor) => [cursor.slice(-12), cursor]));
  for (const since of [[...last.values()], [cursors[49] ?? '']]) {
    const live = app.live(`/live?topic=logs:project:shop${since.map((cursor) => `&since=${cursor}`).join('')}`);
    await until(() => cursorsOf(live.text()).length >= 13, 'the rest');
    t.strictSame(cursorsOf(live.text()).slice(0, 10), cursors.slice(50), `from ${since.length}`);
    live.socket.terminate();
  }
  const tail = app.live('/live?topic=logs:project:shop&tail=5');
  await until(() => cursorsOf(tail.text()).length >= 5, 'the newest');
  t.equal(cursorsOf(tail.text()).length, 5);
});

const hrefOf = (page: Element, id: string) => {
  const link = byId(page, id);
  return link && !('hidden' in link.attributes) ? link.attributes.href : undefined;
};
const messagesOf = (page: Element) => linesOf(page).map((line) => textOf(findAll(line, hasClass('msg'))[0] as Element));

t.test('the log of a project is read back and on by links, from any line or time', async (t) => {
  const { app } = await startShop(t, 1_400);
  let page = parseHtml((await app.get('/projects/shop/logs')).text);
  let read = messagesOf(page);
  for (let href = hrefOf(page, 'log-earlier'); href; href = hrefOf(page, 'log-earlier')) {
    page = parseHtml((await app.get(href)).text);
    read = [...messagesOf(page), ...read];
  }
  t.strictSame(read, numbers(0, 1_400), 'back to the first line');
  t.match(textOf(page), /The log begins here/);
  for (let href = hrefOf(page, 'log-later'); href; href = hrefOf(page, 'log-later')) {
    page = parseHtml((await app.get(href)).text);
    read = [...read, ...messagesOf(page)];
  }
  t.strictSame(read.slice(-numbers(0, 1_400).length + 400), numbers(400, 1_400), 'and on to the last');
  const fragment = byId(parseHtml((await app.get('/projects/shop/logs')).text), 'log-earlier')?.attributes['hx-get'];
  t.match(fragment, /^\/fragments\/projects\/shop\/logs\?before=\d{19}\.\d+\.[0-9a-f]{12}$/);

  const [line] = linesOf(parseHtml((await app.get('/projects/shop/logs?at=2000-01-01T00:00:00Z&tail=20')).text));
  const [time, who] = findAll(line as Element, ({ tag }) => tag === 'a');
  t.match(time?.attributes.href, /^\/projects\/shop\/logs\?at=[\d.a-f]+#log-at$/, 'each line has a link to its place');
  t.match(who?.attributes.href, /^\/containers\/[0-9a-f]{12}\/logs\?at=[\d.]+#log-at$/, 'and to its own log');
  const at = parseHtml((await app.get((time?.attributes.href ?? '').replace(/#.*/, ''))).text);
  t.equal(textOf(findAll(byId(at, 'log-at') as Element, hasClass('msg'))[0] as Element), 'line 0');
  t.equal(byId(at, 'log-live'), undefined, 'such a page is not followed');
  const until = await app.get(`/projects/shop/logs?until=${new Date(Number(base / 1_000_000n) - 1_000).toISOString()}`);
  t.equal(linesOf(parseHtml(until.text)).length, 0);
  t.equal((await app.get('/projects/shop/logs?before=x')).status, 400);
  t.equal((await app.get('/projects/shop/logs?before=1&after=2')).status, 400);
});

t.test('the lines of a project come in pages, whose neighbours are told', async (t) => {
  const { app } = await startShop(t, 300);
  let path: string | undefined = '/api/projects/shop/logs?tail=100&q=line&stream=stdout';
  let read: string[] = [];
  for (let requests = 0; path; requests += 1) {
    t.ok(requests < 4);
    const answer = await app.get(path);
    read = [...parseLines(answer.text).map(({ text }) => text), ...read];
    path = /<([^>]+)>; rel="prev"/.exec(answer.headers.link ?? '')?.[1];
    if (path) t.match(path, /[?&]q=line&stream=stdout&tail=100&before=/, 'with the filter');
  }
  t.strictSame(read, numbers(0, 300));
  const first = await app.get('/api/projects/shop/logs?after=2000-01-01T00:00:00Z&tail=10');
  t.strictSame(
    parseLines(first.text).map(({ text }) => text),
    numbers(0, 10),
  );
  const next = /<([^>]+)>; rel="next"/.exec(first.headers.link ?? '')?.[1] ?? '';
  t.strictSame(
    parseLines((await app.get(next)).text).map(({ text }) => text),
    numbers(10, 20),
  );
});

t.test('the logs of chosen containers are one, and no other has a line in it', async (t) => {
  const { app } = await startShop(t, 30);
  app.engine.writeLog('other', 'of the other', { at: base + 1_000n });
  const query = 'container=shop-web-1&container=other&container=other';
  const page = parseHtml((await app.get(`/logs?${query}`)).text);
  const fragment = (await app.get(`/fragments/logs?${query}`)).text;
  t.ok((await app.get(`/logs?${query}`)).text.includes(fragment.trim().slice(0, 200)), 'in three forms');
  t.equal(linesOf(page).length, 11);
  t.equal(messagesOf(page).at(-1), 'of the other');
  const who = findAll(page, hasClass('who')).map(textOf);
  t.strictSame(new Set(who), new Set(['shop-web-1', 'other']), 'each by its name');
  const answer = await app.get(`/api/logs?${query}&tail=2`, { accept: 'text/plain' });
  t.equal(answer.text, 'shop-web-1 | line 27\nother | of the other\n');
  const back = hrefOf(parseHtml((await app.get(`/logs?${query}&tail=5`)).text), 'log-earlier') ?? '';
  t.match(back, /^\/logs\?container=shop-web-1&container=other&before=/);
  t.equal(linesOf(parseHtml((await app.get(back)).text)).length, 6);
  const hidden = findAll(page, ({ tag, attributes }) => tag === 'input' && attributes.type === 'hidden');
  t.equal(hidden.filter(({ attributes }) => attributes.name === 'container').length, 6, 'every form carries them on');
  t.match((await app.get(`/api/logs?${query}&download=1`)).headers['content-disposition'], /^attachment; .*other/);
});

t.test('containers are chosen in a form that needs no script', async (t) => {
  const { app } = await startShop(t, 3);
  const page = parseHtml((await app.get('/logs')).text);
  const boxes = findAll(page, ({ attributes }) => attributes.type === 'checkbox');
  t.strictSame(
    boxes.map(({ attributes }) => attributes.value),
    ['shop-api-1', 'shop-db-1', 'shop-web-1', 'other'],
  );
  t.ok(boxes.every(({ attributes }) => attributes.name === 'container' && !('checked' in attributes)));
  const groups = findAll(page, ({ tag }) => tag === 'legend').map(textOf);
  t.strictSame(groups, ['Docker Compose: Shop', 'Standalone Containers']);
  t.ok(findAll(page, ({ attributes }) => attributes.href === '/projects/shop/logs').length, 'or all of a project');
  t.match((await app.get('/fragments/logs')).text, /^<form class="log-choices" method="get" action="\/logs"/);
  t.match((await app.get('/containers')).text, /<a href="\/logs">Logs<\/a>/, 'every page leads there');
  const chosen = parseHtml((await app.get('/logs?container=other&container=gone')).text);
  const ticked = findAll(chosen, ({ attributes }) => attributes.type === 'checkbox' && 'checked' in attributes);
  t.strictSame(
    ticked.map(({ attributes }) => attributes.value),
    ['gone', 'other'],
    'who reads can choose anew',
  );
});

t.test('who can not be chosen is said in words', async (t) => {
  const { app } = await startShop(t, 3);
  for (const prefix of ['', '/fragments', '/api']) {
    for (const name of ['../version', 'a b', '<script>', '-x', 'a,b']) {
      const answer = await app.get(`${prefix}/logs?container=${encodeURIComponent(name)}`);
      t.equal(answer.status, 400, name);
      t.match(answer.text, /container: must be names of containers/);
    }
    const many = Array.from({ length: 101 }, (_, n) => `container=c${n}`).join('&');
    const answer = await app.get(`${prefix}/logs?${many}`);
    t.equal(answer.status, 400);
    t.match(answer.text, /container: the logs of 100 containers at most can be read as one; 101 were chosen\./);
  }
  t.match(JSON.parse((await app.get('/api/logs')).text), { code: 'invalid', detail: 'container: name at least one.' });
  t.match(JSON.parse((await app.get('/api/logs?container=gone')).text), { code: 'not_found' });
  const partly = await app.get('/api/logs?container=gone&container=other');
  t.equal(partly.headers['x-left-out'], 'gone');
  for (const topic of [
    'logs:names:',
    'logs:names:a,..',
    `logs:names:${Array.from({ length: 101 }, (_, n) => `c${n}`)}`,
  ]) {
    t.equal(await app.live(`/live?topic=${encodeURIComponent(topic)}`).opened, 400, topic.slice(0, 20));
  }
});

t.test('chosen containers are followed by their names: who comes, who is made anew, who takes a name', async (t) => {
  const { app, write } = await startShop(t, 30);
  const page = (await app.get('/logs?container=shop-web-1&container=late')).text;
  const view = openPage(page);
  const notes = () => textOf(view.part('log-notes') as Element);
  t.match(notes(), /There is no container late now: its lines come when it does\./);
  const address = findAll(view.root, ({ attributes }) => attributes.id === 'log-live')[0]?.attributes['hx-ws:connect'];
  t.match(address, /topic=logs%3Anames%3Ashop-web-1%2Clate/);
  const live = app.live(address ?? '');
  live.socket.on('message', (data) => view.apply(data.toString()));
  const shown = () => messagesOf(view.part('log-lines') as Element);
  await until(() => /following/.test(textOf(view.part('log-state') as Element)), 'it follows');
  app.engine.addContainer({ name: 'late' });
  write('late');
  await until(() => shown().length === 11, 'who has come');
  await until(() => notes() === '', 'and is there');
  app.engine.removeContainer('shop-web-1');
  await until(() => /no container shop-web-1 now/.test(notes()), 'who has gone is told');
  app.engine.addContainer({ name: 'shop-web-1' });
  write('shop-web-1');
  await until(() => shown().length === 12, 'one that was made anew under its name');
  app.engine.rename('late', 'early');
  await until(() => /no container late now/.test(notes()), 'one that has lost its name');
  await until(() => app.engine.openStreams('logs').length === 1, 'has left');
  write('early');
  app.engine.rename('early', 'late');
  await until(() => shown().length === 13, 'and goes on when it has it again');
  t.strictSame(shown().slice(-3), numbers(30, 33), 'with each line once');
  live.socket.terminate();
  await until(() => app.engine.openStreams('logs').length === 0, 'nothing is followed when nobody looks');
});

t.test('a log that can not be read is named by the socket too, and stops no other', async (t) => {
  const { app, write } = await startShop(t, 30);
  const said = JSON.stringify({ message: 'configured logging driver does not support reading' });
  const fault = app.engine.faults.status(500, said, undefined, {
    path: new RegExp(`${app.engine.container('shop-db-1').id}/logs`),
  });
  const api = await app.get('/api/projects/shop/logs');
  t.strictSame([parseLines(api.text).length, api.headers['x-left-out']], [20, 'db'], 'nor for scripts');
  const range = await app.get('/api/projects/shop/logs?since=2000-01-01T00:00:00Z');
  t.strictSame([parseLines(range.text).length, range.headers['x-left-out']], [20, 'db']);
  const page = (await app.get('/projects/shop/logs')).text;
  const view = openPage(page);
  const address = findAll(view.root, ({ attributes }) => attributes.id === 'log-live')[0]?.attributes['hx-ws:connect'];
  const live = app.live(address ?? '');
  live.socket.on('message', (data) => view.apply(data.toString()));
  const notes = () => textOf(view.part('log-notes') as Element);
  await until(() => live.text().includes('log-notes'), 'it is told');
  t.match(notes(), /^db: .*does not support reading/);
  t.equal(textOf(view.part('log-state') as Element), 'following');
  write('shop-web-1');
  await until(() => linesOf(view.part('log-lines') as Element).length === 21, 'a line of another');
  fault.remove();
  await until(() => notes() === '', 'it can be read again');
  write('shop-db-1');
  await until(() => messagesOf(view.part('log-lines') as Element).includes('line 31'), 'and its lines come');
  live.socket.terminate();
});

/** An answer that goes on, read line by line. */
async function openAnswer(url: string, headers: Record<string, string> = {}) {
  const ended = new AbortController();
  const answer = await fetch(url, { headers, signal: ended.signal });
  let text = '';
  const reading = (async () => {
    for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString();
  })().catch(() => {});
  return {
    answer,
    lines: () => text.split('\n').filter(Boolean),
    async end() {
      ended.abort();
      await reading;
    },
  };
}

t.test('a script follows a project, or chosen containers, with who comes', async (t) => {
  const { app, add, write, writeInTurn } = await startShop(t, 30);
  const json = await openAnswer(`${app.url}/api/projects/shop/logs?follow=1&tail=5`);
  const text = await openAnswer(`${app.url}/api/logs?container=shop-web-1&container=late&follow=1`, {
    accept: 'text/plain',
  });
  t.match(json.answer.headers.get('content-type'), 'application/x-ndjson');
  t.equal(text.answer.headers.get('x-left-out'), 'late');
  await until(() => json.lines().length === 5 && text.lines().length === 10, 'what there is');
  writeInTurn(3);
  add('worker');
  write('shop-worker-1');
  app.engine.addContainer({ name: 'late' });
  app.engine.writeLog('late', 'is here');
  await until(() => json.lines().length === 9 && text.lines().length === 12, 'what comes');
  const lines = json.lines().map((line) => JSON.parse(line) as Line);
  t.strictSame(
    lines.map((line) => line.text),
    numbers(25, 34),
  );
  t.equal(lines.at(-1)?.service, 'worker');
  t.strictSame(text.lines().slice(-2), ['shop-web-1 | line 30', 'late | is here']);
  const again = await openAnswer(`${app.url}/api/projects/shop/logs?follow=1&since=${lines[6]?.cursor}`);
  await until(() => again.lines().length === 2, 'what came behind a line');
  const silent = await openAnswer(`${app.url}/api/logs?container=nobody&follow=1`);
  t.equal(silent.answer.status, 200, 'the answer begins before there is a line');
  for (const each of [json, text, again, silent]) await each.end();
  await until(() => app.engine.openStreams('logs').length === 0, 'nothing is followed when nobody reads');
});

t.test('a page that could not read any log says so once, and knows no place to go on from', async (t) => {
  const { app } = await startShop(t, 30);
  const fault = app.engine.faults.status(500, '{"message":"the disk is gone"}', undefined, { path: /logs$/ });
  const page = parseHtml((await app.get('/projects/shop/logs')).text);
  t.match(byId(page, 'log-lines')?.attributes['data-placeholder'], /the disk is gone/);
  t.equal(textOf(byId(page, 'log-notes') as Element), '');
  for (const path of ['/projects/shop', '/logs?container=shop-db-1']) {
    const address = path.includes('?')
      ? `/fragments${path}&before=2100-01-01T00:00:00Z`
      : `/fragments${path}/logs?before=2100-01-01T00:00:00Z`;
    t.equal((await app.get(address)).status, 502, 'nor is it the beginning of the log, of one or of several');
  }
  t.notMatch(byId(page, 'log-live')?.attributes['hx-ws:connect'], /since=/);
  fault.remove();
});

t.test('ranges of merged logs are read by few at a time, as each takes a stream a container', async (t) => {
  const { app, add } = await startShop(t, 3);
  for (let n = 0; n < 67; n += 1) add(`more${n}`);
  await until(async () => (await app.api<unknown[]>('/containers')).length === 71, 'all containers');
  const hang = app.engine.faults.hang({ path: /logs$/ });
  const range = '/api/projects/shop/logs?since=2020-01-01T00:00:00Z';
  const slow = [app.get(range), app.get(range)];
  await until(() => app.engine.requestsTo('GET', /logs$/).length >= 100, 'two read');
  const refused = await app.get(range);
  t.equal(refused.status, 429);
  t.match(JSON.parse(refused.text).detail, /^At most 200 logs /);
  t.ok(refused.headers['retry-after']);
  hang.remove();
  for (const answer of await Promise.all(slow)) t.equal(answer.status, 200);
  t.equal((await app.get(range)).status, 200, 'and the next when they have gone');
});

t.test('a page of older lines marks in place whose lines could not be read', async (t) => {
  const { app } = await startShop(t, 30);
  const said = JSON.stringify({ message: 'the disk is gone' });
  const { id } = app.engine.container('shop-db-1');
  app.engine.faults.status(500, said, undefined, { path: new RegExp(`${id}/logs`) });
  const page = parseHtml((await app.get('/fragments/projects/shop/logs?before=2100-01-01T00:00:00Z')).text);
  const list = byId(page, 'log-lines') as Element;
  t.equal(linesOf(list).length, 20);
  t.match(findAll(list, hasClass('log-gap')).map(textOf), [/^db: lines are missing here\. .*the disk is gone/]);
  t.notMatch(textOf(page), /The log begins here/, 'since nobody knows');
});

t.test('a script that follows is told whose lines can not be read', async (t) => {
  const { app } = await startShop(t, 30);
  const { id } = app.engine.container('shop-db-1');
  app.engine.faults.status(500, '{"message":"not readable"}', undefined, { path: new RegExp(`${id}/logs`) });
  const answer = await openAnswer(`${app.url}/api/projects/shop/logs?follow=1`);
  t.equal(answer.answer.headers.get('x-left-out'), 'db');
  await until(() => answer.lines().length === 20, 'the lines of the others');
  await answer.end();
});

t.test('a hundred containers are chosen, followed and paged back, whatever their names', async (t) => {
  const { app } = await startShop(t, 3);
  const names = Array.from({ length: 100 }, (_, n) => `c${String(n).padStart(3, '0')}-`.padEnd(60, 'x'));
  for (const name of names) app.engine.addContainer({ name });
  await until(async () => (await app.api<unknown[]>('/containers')).length === 104, 'all containers');
  for (let n = 0; n < 300; n += 1) app.engine.writeLog(names[n % 100] as string, `more ${n}`, { at: base + BigInt(n) });
  const path = `/logs?${names.map((name) => `container=${name}`).join('&')}`;
  const from = { referer: app.url + path, 'hx-current-url': app.url + path };
  const answer = await app.get(path, from);
  t.equal(answer.status, 200);
  const page = parseHtml(answer.text);
  t.equal(linesOf(page).length, 100);
  const earlier = await app.get(byId(page, 'log-earlier')?.attributes['hx-get'] ?? '', from);
  t.equal(earlier.status, 200);
  t.equal(linesOf(parseHtml(earlier.text)).length, 200);
  const live = app.live(byId(page, 'log-live')?.attributes['hx-ws:connect'] ?? '');
  t.equal(await live.opened, 101);
  live.socket.terminate();
  const long = names.map((name) => `container=${name.padEnd(125, 'y')}`).join('&');
  const refused = await app.get(`/api/logs?${long}`);
  t.equal(refused.status, 400);
  t.match(JSON.parse(refused.text).detail, /^container: the names .* 12,000 characters/);
});

t.test('who reads on looks once for many changes, as a view does', async (t) => {
  let looks = 0;
  type Change = Parameters<Parameters<Inventory['onChange']>[0]>[0];
  let tell = (_: Change) => {};
  const change = () => tell({ ids: [] } as unknown as Change);
  const inventory = {
    containers: () => {
      looks += 1;
      return [];
    },
    container: () => undefined,
    onChange(listener: typeof tell) {
      tell = listener;
      return () => {
        tell = () => {};
      };
    },
  };
  const source = createSource(inventory, { selection: { project: 'shop' } }, new Map());
  const stop = source.onChange(() => void source.ids());
  for (let n = 0; n < 100; n += 1) change();
  await until(() => looks > 0, 'a look');
  for (let n = 0; n < 100; n += 1) change();
  await until(() => looks > 1, 'one more');
  t.equal(looks, 2);
  stop();
});

t.test('a name has one colour in every page, whoever else is there', async (t) => {
  const { app, add } = await startShop(t, 30);
  const colours = async () => {
    const who = findAll(parseHtml((await app.get('/projects/shop/logs')).text), hasClass('who'));
    return new Map(who.map((element) => [textOf(element).trim(), element.attributes['data-who']]));
  };
  const before = await colours();
  add('aaa');
  app.engine.writeLog('shop-aaa-1', 'first by name');
  await until(async () => (await colours()).has('aaa'), 'who has come');
  const after = await colours();
  for (const [name, colour] of before) t.equal(after.get(name), colour, name);
});
