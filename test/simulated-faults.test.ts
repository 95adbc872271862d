import t from 'tap';
import type { RecordedRequest } from './simulated/engine.ts';
import { ask, askJson, failure, follow, start } from './simulated/testing.ts';

const creation = { method: 'POST', path: /^\/containers\/create$/ };
const body = { Image: 'lab/busybox' };

t.test('a dropped request finds its connection closed, and nothing done', async (t) => {
  const { engine } = await start(t);
  engine.addImage({ tags: ['lab/busybox'] });
  engine.faults.drop({ ...creation, times: 1 });
  t.match(await failure(ask(engine, '/containers/create?name=web', 'POST', { body })), { code: 'ECONNRESET' });
  t.equal(engine.containers().length, 0);
  t.equal((await ask(engine, '/containers/create?name=web', 'POST', { body })).status, 201, 'once');
});

t.test('a cut answer without a body is a connection that ends, after the effect', async (t) => {
  const { engine } = await start(t);
  engine.addContainer({ name: 'web' });
  engine.faults.cut({ path: /rename/, times: 1 });
  t.match(await failure(ask(engine, '/containers/web/rename?name=www', 'POST')), { code: 'ECONNRESET' });
  t.ok(engine.container('www'), 'it was done');
  t.equal((await ask(engine, '/containers/www/rename?name=web', 'POST')).status, 204, 'once');
});

t.test('a late request says nothing, and is done after its client has left', async (t) => {
  const { engine } = await start(t);
  engine.addImage({ tags: ['lab/busybox'] });
  engine.faults.late(5, { ...creation, times: 1 });
  const client = new AbortController();
  const seen: number[] = [];
  const asked = ask(engine, '/containers/create?name=web', 'POST', { body, signal: client.signal });
  await engine.waitFor(() => engine.requestsTo('POST', /create/).length === 1);
  t.equal((await ask(engine, '/containers/create?name=other', 'POST', { body })).status, 201, 'others are answered');
  seen.push(engine.containers().length);
  client.abort();
  t.match(await failure(asked), { name: 'AbortError' });
  await engine.waitFor(() => engine.requestsTo('POST', /create/)[0]?.closedAt !== null, 'its connection is closed');
  seen.push(engine.containers().length);
  await engine.waitFor(() => engine.containers().length === 2, 'the effect');
  t.same(seen, [1, 1], 'not before');
  t.match(engine.container('web'), { image: 'lab/busybox', state: 'created' }, 'with all that was asked for');
  t.equal((await ask(engine, '/containers/web/start', 'POST')).status, 204);
});

t.test('what is late may fail, and a late pull has ended with its client', async (t) => {
  const { engine } = await start(t);
  engine.faults.late(0, { times: 2 });
  const client = new AbortController();
  const asked = [
    ask(engine, '/containers/none/start', 'POST', { signal: client.signal }),
    ask(engine, '/images/create?fromImage=lab/web&tag=1', 'POST', { signal: client.signal }),
  ];
  await engine.waitFor(() => engine.requests.length === 2);
  client.abort();
  for (const answer of asked) t.match(await failure(answer), { name: 'AbortError' });
  await engine.waitFor(() => engine.requests.every(({ status }) => status !== null), 'both were looked at');
  t.same(
    engine.requests.map(({ status }) => status),
    [404, 200],
  );
  t.equal(engine.images().length, 0);
});

t.test('a muted request is done, and answered when the fault goes', async (t) => {
  const { engine } = await start(t);
  engine.addImage({ tags: ['lab/busybox'] });
  const mute = engine.faults.mute(creation);
  const waiting = askJson(engine, '/containers/create?name=web', 'POST', { body });
  await engine.waitFor(() => engine.containers().length === 1);
  t.equal(engine.requestsTo('POST', /create/)[0]?.status, null, 'done and not answered');
  mute.remove();
  t.match(await waiting, { status: 201, json: { Id: engine.container('web').id } });
});

t.test('a muted failure and a muted stream say nothing either', async (t) => {
  const { engine } = await start(t);
  engine.addContainer({ name: 'web' });
  const mute = engine.faults.mute();
  const refused = ask(engine, '/containers/none/start', 'POST');
  const logs = follow(engine, '/containers/web/logs?stdout=1&follow=1');
  await engine.waitFor(() => engine.openStreams('logs').length === 1);
  engine.writeLog('web', 'early');
  mute.remove();
  t.equal((await refused).status, 404);
  const follower = await logs;
  await engine.waitFor(() => follower.lines.length === 1);
});

t.test('a muted pull brings the image without a word', async (t) => {
  const { engine } = await start(t);
  const mute = engine.faults.mute({ path: /images/ });
  const pull = ask(engine, '/images/create?fromImage=lab/web&tag=1', 'POST');
  await engine.waitFor(() => engine.images().length === 1);
  mute.remove();
  const lines = (await pull).body.toString().split('\r\n');
  t.equal(lines[0], '{"status":"Pulling from lab/web","id":"1"}');
  t.match(lines.at(-2), /Downloaded newer image/);
});

t.test('a hook before the effect: who loses its client there does nothing', async (t) => {
  const { engine } = await start(t);
  engine.addImage({ tags: ['lab/busybox'] });
  const client = new AbortController();
  const seen: number[] = [];
  engine.faults.hook({ ...creation, times: 1 }, { when: 'before' }, async (request: RecordedRequest) => {
    seen.push(engine.containers().length);
    client.abort();
    await engine.waitFor(() => request.closedAt !== null);
  });
  await failure(ask(engine, '/containers/create?name=web', 'POST', { body, signal: client.signal }));
  await engine.waitFor(() => engine.requestsTo('POST', /create/)[0]?.closedAt !== null);
  t.equal((await ask(engine, '/_ping')).status, 200);
  t.same([seen, engine.containers().length], [[0], 0]);
});

t.test('a hook after the effect: it stays, whether the client lives or not', async (t) => {
  const { engine } = await start(t);
  engine.addImage({ tags: ['lab/busybox'] });
  const client = new AbortController();
  const seen: string[] = [];
  const hook = engine.faults.hook(creation, { when: 'after' }, (request) => {
    seen.push(`${request.method} ${request.status} ${engine.containers().length}`);
    client.abort();
  });
  await t.rejects(ask(engine, '/containers/create?name=web', 'POST', { body, signal: client.signal }));
  t.equal(
    (await ask(engine, '/containers/create?name=web', 'POST', { body })).status,
    409,
    'a refusal waits for it, too',
  );
  hook.remove();
  t.same(seen, ['POST null 1', 'POST null 1']);
  t.ok(engine.container('web'));
});

t.test('a hook after a pull comes when the image is there, and before that is said', async (t) => {
  const { engine } = await start(t);
  const gate = Promise.withResolvers<void>();
  engine.faults.hook({ path: /images\/create/ }, { when: 'after' }, () => gate.promise);
  const pull = await follow(engine, '/images/create?fromImage=lab/web&tag=1', 'POST');
  await engine.waitFor(() => engine.images().length === 1);
  t.match(JSON.parse(pull.lines.at(-1) ?? ''), { status: 'Pull complete' });
  gate.resolve();
  await engine.waitFor(pull.isOver);
  t.match(JSON.parse(pull.lines.at(-1) ?? ''), { status: 'Status: Downloaded newer image for lab/web:1' });
});

t.test('a fault can let requests pass first, to hit the nth call of a flow', async (t) => {
  const { engine } = await start(t);
  engine.faults.status(500, '{}', 'application/json', { path: /_ping/, skip: 2, times: 1 });
  const hooked: string[] = [];
  engine.faults.hook({ skip: 3 }, { when: 'before' }, ({ path }) => {
    hooked.push(path);
  });
  const statuses: number[] = [];
  for (const path of ['/_ping', '/_ping', '/_ping', '/_ping', '/version'])
    statuses.push((await ask(engine, path)).status);
  t.same(statuses, [200, 200, 500, 200, 200]);
  t.same(hooked, ['/_ping', '/version']);
});

t.test('what is cleared waits for nothing any more', async (t) => {
  const { engine } = await start(t);
  engine.faults.mute();
  const waiting = ask(engine, '/_ping');
  await engine.waitFor(() => engine.requestsTo('GET', /_ping/).length === 1);
  engine.faults.clear();
  t.equal((await waiting).status, 200);
});
