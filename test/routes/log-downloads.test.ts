import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { attachment } from '../../src/routes/log-downloads.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';
import { startApp, type TestApp, until } from '../support/app.ts';
import { findAll, parseHtml, textOf } from '../support/page.ts';

const megabyte = 1024 * 1024;
const start = Date.UTC(2026, 0, 2, 3, 4, 5);
const path = '/api/containers/web/logs?download=1';

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => `line ${from + n}\n`).join('');

/** A program with a container of 6,000 lines, one a second, every second one an error's. */
function startWeb(t: Test, env: Record<string, string> = {}) {
  return startApp(t, {
    env,
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      for (let n = 0; n < 6_000; n++) {
        const at = BigInt(start + n * 1_000) * 1_000_000n;
        engine.writeLog('web', `line ${n}`, { at, stream: n % 2 ? 'stderr' : 'stdout' });
      }
    },
  });
}

/** Asks for a download and gives its answer unread. */
async function open(t: Test, app: TestApp, target = path, method = 'GET'): Promise<IncomingMessage> {
  const sent = request(app.url + target, { method, agent: false }).end();
  t.teardown(() => sent.destroy());
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return answer;
}

const hasEnded = (app: TestApp) => until(() => app.engine.openStreams('logs').length === 0, "the engine's stream ends");

t.test('a download is the whole log as a file, from its first line', async (t) => {
  for (const env of [{}, { READ_ONLY: 'true' }]) {
    const app = await startWeb(t, env);
    const file = await app.get(path);
    t.equal(file.text, numbers(0, 6_000), 'more lines than any page has');
    t.equal(file.headers['content-type'], 'text/plain; charset=utf-8');
    t.match(
      file.headers['content-disposition'],
      /^attachment; filename="web-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.log"$/,
      'named after the container and the moment',
    );
    t.equal(file.headers['x-content-type-options'], 'nosniff');
    t.equal((await app.get(path, { accept: 'application/x-ndjson' })).text, file.text, 'whatever is accepted');
  }
});

t.test('a number, a range, a place and filters narrow a download, and each line may have its time', async (t) => {
  const app = await startWeb(t);
  const read = async (query: string) => (await app.get(`${path}&${query}`)).text;
  t.equal(await read('tail=3'), numbers(5_997, 6_000));
  t.equal(await read('since=2026-01-02T04:44:03Z'), numbers(5_998, 6_000));
  t.equal(await read('until=2026-01-02T03:04:07Z'), numbers(0, 3));
  t.equal(await read('before=2026-01-02T03:04:07Z'), numbers(0, 2));
  t.equal((await read('stream=stderr')).match(/\n/g)?.length, 3_000, 'all lines that a filter leaves');
  t.equal(await read('q=%5Eline+1%5B05%5D%24&regex=1'), 'line 10\nline 15\n');
  t.equal(
    await read('until=2026-01-02T03:04:06Z&timestamps=1'),
    '2026-01-02T03:04:05.000000000Z line 0\n2026-01-02T03:04:06.000000000Z line 1\n',
  );
  const plain = await app.get('/api/containers/web/logs?tail=1&timestamps=1', { accept: 'text/plain' });
  t.equal(plain.text, '2026-01-02T04:44:04.000000000Z line 5999\n', 'what is read as text, too');
  for (const [query, detail] of [
    ['follow=1', /^download: /],
    ['q=(&regex=1', /^q: /],
    ['since=x', /^since: /],
  ] as const) {
    const refused = await app.get(`${path}&${query}`);
    t.match(JSON.parse(refused.text), { status: 400, code: 'invalid', detail }, query);
    t.equal(refused.headers['content-disposition'], undefined, 'a refusal is no file');
  }
  t.equal((await app.get('/api/containers/nobody/logs?download=1')).status, 404);
});

t.test('the viewer has a link to what it shows, as a file', async (t) => {
  const app = await startWeb(t, { BASE_PATH: '/sub' });
  for (const page of ['/containers/web', '/containers/web/logs?q=line+1&stream=stderr&since=2026-01-02T03:04:30Z']) {
    const [link] = findAll(parseHtml((await app.get(page)).text), ({ attributes }) =>
      /download=1/.test(attributes.href ?? ''),
    );
    t.match(link && textOf(link), 'Download');
    const href = (link?.attributes.href ?? '').slice('/sub'.length);
    const lines = (await app.get(href)).text.split('\n').slice(0, -1);
    if (page.includes('?')) t.ok(lines[0] === 'line 101' && lines.every((line) => /^line 1\d*[13579]$/.test(line)));
    else t.equal(lines.length, 6_000);
  }
});

t.test('names from the engine make neither another header nor another path', async (t) => {
  const at = new Date('2026-01-02T03:04:05.678Z');
  const time = '-2026-01-02T03-04-05Z.log';
  for (const [name, header] of [
    ['web', `"web${time}"`],
    ['a"b\\c\r\nset-cookie: x=1', `"a_b_c__set-cookie_ x=1${time}"`],
    ['../../etc/passwd', `"_.._etc_passwd${time}"`],
    ['..', `"log${time}"`],
    ['', `"log${time}"`],
    ['Größe (1)', `"Gr__e (1)${time}"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%281%29${time}`],
    ['gnp.\u202Egol', `"gnp._gol${time}"`],
    ['\uD800', `"_${time}"; filename*=UTF-8''%EF%BF%BD${time}`],
    ['x'.repeat(300), `"${'x'.repeat(100)}${time}"`],
  ] as const) {
    t.equal(attachment(name, at), `attachment; filename=${header}`, JSON.stringify(name.slice(0, 40)));
  }
});

t.test('the log of a project can be downloaded too, whatever its services are called', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      for (const [n, service] of ['web', 'd\nb'].entries()) {
        const labels = { 'com.docker.compose.project': 'größe', 'com.docker.compose.service': service };
        engine.addContainer({ name: `shop-${n}`, labels });
      }
      for (let n = 0; n < 300; n++) {
        engine.writeLog(`shop-${n % 2}`, `line ${n}`, { at: BigInt(start + n) * 1_000_000n });
      }
    },
  });
  const target = `/api/projects/${encodeURIComponent('größe')}/logs?download=1`;
  const file = await app.get(target);
  const lines = file.text.split('\n').slice(0, -1);
  t.equal(lines.length, 300, 'all of it');
  t.same(lines.slice(0, 2), ['web | line 0', 'd b | line 1'], 'a line is a line');
  t.match(
    file.headers['content-disposition'],
    /^attachment; filename="gr__e-[^"]+"; filename\*=UTF-8''gr%C3%B6%C3%9Fe-/,
  );
  t.match((await app.get(`${target}&tail=1&timestamps=1`)).text, 'd b | 2026-01-02T03:04:05.299000000Z line 299\n');
  const head = await app.send('HEAD', target);
  t.match(head, { status: 200, text: '', headers: { 'content-disposition': /^attachment/ } });
  await hasEnded(app);
  const chosen = parseHtml((await app.get('/logs?container=shop-0&container=shop-1&q=line+1')).text);
  const [link] = findAll(chosen, ({ attributes }) => /download=1/.test(attributes.href ?? ''));
  const found = (await app.get(link?.attributes.href ?? '')).text.split('\n');
  t.equal(found.length - 1, 111, 'and those of any containers, as far as the filter leaves them');
  t.equal(found[0], 'shop-1 | line 1');
});

t.test('HEAD tells what a download would be, and reads no log for it', async (t) => {
  const app = await startWeb(t);
  const head = await app.send('HEAD', path);
  t.match(head, { status: 200, text: '', headers: { 'content-disposition': /^attachment/ } });
  t.equal(head.headers['content-length'], undefined, 'how long it is, nobody knows');
  await until(
    () => app.engine.requestsTo('GET', /logs$/).every(({ closedAt }) => closedAt !== null),
    'nothing is read',
  );
});

/** An address that leads to an engine, and counts what comes from there. */
async function startCounter(t: Test, socketPath: string) {
  let bytes = 0;
  const server = createServer((near) => {
    const far = connect(socketPath);
    far.on('data', (data) => {
      bytes += data.length;
    });
    for (const [socket, other] of [[near, far] as const, [far, near] as const]) {
      socket.on('error', () => other.destroy());
      socket.on('close', () => other.destroy());
    }
    near.pipe(far).pipe(near);
  });
  const address = `${socketPath}.counted`;
  server.listen(address);
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { host: `unix://${address}`, bytes: () => bytes };
}

t.test('a log of 200 MB is handed on at the pace of a slow reader, with little of it under way', async (t) => {
  const engine = await createSimulatedEngine({ maxLogBytes: 400 * megabyte });
  t.teardown(engine.close);
  const lineCount = 12_800;
  const line = 'x'.repeat(16_000);
  engine.addContainer({ name: 'web' });
  for (let n = 0; n < lineCount; n++) engine.writeLog('web', line);
  const counter = await startCounter(t, engine.socketPath);
  const app = await startApp(t, { engine, env: { DOCKER_HOST: counter.host } });
  const answer = await open(t, app);
  let read = 0;
  let chunks = 0;
  let most = 0;
  for await (const chunk of answer) {
    read += (chunk as Buffer).length;
    most = Math.max(most, counter.bytes() - read);
    if (chunks++ < 300) await sleep(2);
  }
  t.equal(read, lineCount * (line.length + 1), 'all of it comes');
  // The buffers of the kernel are several megabytes already.
  t.ok(most < 20 * megabyte, `${(most / megabyte).toFixed(1)} MB were under way at most`);
});

t.test("a download that is given up ends the engine's reading", async (t) => {
  const engine = await createSimulatedEngine({ maxLogBytes: 400 * megabyte });
  t.teardown(engine.close);
  engine.addContainer({ name: 'web' });
  const line = 'x'.repeat(16_000);
  for (let n = 0; n < 5_000; n++) engine.writeLog('web', line);
  const app = await startApp(t, { engine });
  const answer = await open(t, app);
  const isRead = () => engine.requestsTo('GET', /logs$/).some(({ closedAt }) => closedAt === null);
  t.ok(isRead(), 'it is being read');
  answer.on('error', () => {});
  answer.destroy();
  await until(() => !isRead(), 'it is read no further');
});

t.test('a download whose log breaks off is cut, so that half a file is not taken for a whole', async (t) => {
  const app = await startWeb(t);
  app.engine.faults.cut({ path: /logs$/ });
  for (const target of [path, '/api/containers/web/logs?since=1']) {
    const answer = await open(t, app, target);
    t.equal(answer.statusCode, 200);
    let text = '';
    const reading = (async () => {
      for await (const chunk of answer) text += chunk;
    })();
    await t.rejects(reading, { code: 'ECONNRESET' }, target);
    t.match(text, 'line 100', 'what was read before comes');
    t.equal(answer.complete, false, 'it has no end');
  }
});

t.test('a download of a log that can not be read is an error as any other, and no file', async (t) => {
  const app = await startWeb(t);
  app.engine.faults.status(500, '{"message":"no such driver"}', 'application/json', { path: /logs$/ });
  const refused = await app.get(path);
  t.match(JSON.parse(refused.text), { status: 502, code: 'engine_error', detail: 'no such driver' });
  t.equal(refused.headers['content-disposition'], undefined);
});

t.test('downloads are counted among those who follow, as each may take its time', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      engine.writeLog('web', 'line');
    },
  });
  const hang = app.engine.faults.hang({ path: /logs$/ });
  const slow = Array.from({ length: 20 }, () => app.get(path));
  await until(() => app.engine.requestsTo('GET', /logs$/).length >= 20, 'twenty are read');
  const refused = await app.get(path);
  t.match(JSON.parse(refused.text), { status: 429, detail: /At most 20 logs can be followed or downloaded/ });
  hang.remove();
  for (const { status } of await Promise.all(slow)) t.equal(status, 200);
  t.equal((await app.get(path)).status, 200, 'and the next when they have gone');
});

t.test("a project's download is cut with any of its logs, and ends all readings with its reader", async (t) => {
  const engine = await createSimulatedEngine({ maxLogBytes: 400 * megabyte });
  t.teardown(engine.close);
  const line = 'x'.repeat(16_000);
  for (const service of ['web', 'db']) {
    const labels = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': service };
    engine.addContainer({ name: service, labels });
    for (let n = 0; n < 3_000; n++) engine.writeLog(service, line);
  }
  const app = await startApp(t, { engine });
  const target = '/api/projects/shop/logs?download=1';
  const readings = () => engine.requestsTo('GET', /logs$/).filter(({ closedAt }) => closedAt === null).length;
  const given = await open(t, app, target);
  t.equal(readings(), 2, 'both are being read');
  given.on('error', () => {});
  given.destroy();
  await until(() => readings() === 0, 'they are read no further');
  const { id } = engine.container('db');
  engine.faults.cut({ path: new RegExp(`${id}/logs$`) });
  const answer = await open(t, app, target);
  answer.resume();
  const [error] = await once(answer, 'error');
  t.match(error, { code: 'ECONNRESET' });
  await until(() => readings() === 0, 'the other is read no further');
});

t.test('ranges and filtered readings are counted with them: they may go over the whole log', async (t) => {
  const app = await startWeb(t);
  const hang = app.engine.faults.hang({ path: /logs$/ });
  const long = ['since=0', 'tail=5&q=zzz', 'until=2030-01-01T00:00:00Z', 'tail=5&level=error'];
  const plain = '/api/containers/web/logs';
  const slow = Array.from({ length: 20 }, (_, n) => app.get(`${plain}?${long[n % long.length]}`));
  await until(() => app.engine.requestsTo('GET', /logs$/).length >= 20, 'twenty are read');
  for (const query of long) t.equal((await app.get(`${plain}?${query}`)).status, 429, query);
  const newest = app.get(`${plain}?tail=5`);
  await until(() => app.engine.requestsTo('GET', /logs$/).length >= 21, 'the newest lines alone are not counted');
  hang.remove();
  for (const { status } of await Promise.all([...slow, newest])) t.equal(status, 200);
});
