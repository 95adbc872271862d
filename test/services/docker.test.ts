import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { isProblem, type Problem } from '../../src/errors.ts';
import { createDocker, type EngineTimeouts } from '../../src/services/docker.ts';
import { checkContainerRef, checkImageRef } from '../../src/services/docker-gate.ts';
import { createSimulatedEngine, type SimulatedEngineOptions } from '../simulated/engine.ts';
import { until } from '../support/app.ts';

const bounds = { ping: 200, list: 300, action: 600 };

async function open(t: Test, options: SimulatedEngineOptions & { timeouts?: Partial<EngineTimeouts> } = {}) {
  const engine = await createSimulatedEngine(options);
  const address = { kind: 'unix', path: engine.socketPath, text: engine.host } as const;
  const docker = createDocker(address, options.timeouts ?? bounds);
  t.teardown(async () => {
    docker.close();
    await engine.close();
  });
  return { engine, docker };
}

/** What a call failed with. */
async function failure(call: Promise<unknown>): Promise<Problem> {
  try {
    await call;
  } catch (error) {
    if (isProblem(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

const nobody = new AbortController().signal;

t.test('ids and references are checked before anything leaves', async (t) => {
  const { engine, docker } = await open(t);
  const bad = [
    '../version?x=',
    '%2e%2e',
    '..',
    '.',
    '',
    'a b',
    'a/b',
    'a?b',
    'a\0',
    'a\n',
    '-a',
    'a'.repeat(10_000),
    'ä',
  ];
  for (const ref of bad) {
    t.throws(() => checkContainerRef(ref), { code: 'invalid', message: /^id: / }, JSON.stringify(ref.slice(0, 20)));
    for (const call of [
      docker.inspectContainer(ref),
      docker.actOnContainer(ref, 'stop'),
      docker.actOnContainer(ref, 'remove'),
      docker.containerStats(ref),
    ])
      t.equal((await failure(call)).code, 'invalid');
    t.throws(() => docker.followStats(ref, nobody), { code: 'invalid' });
    t.throws(() => docker.containerLogs(ref, { follow: false }, nobody), { code: 'invalid' });
  }
  for (const ref of [
    '../version?x=',
    '%2e%2e',
    'a/../b',
    'a//b',
    '/a',
    'a/',
    'a/./b',
    '',
    'a?b',
    'a#b',
    'a'.repeat(256),
  ]) {
    t.throws(() => checkImageRef(ref), { code: 'invalid' }, ref.slice(0, 20));
    t.equal((await failure(docker.inspectImage(ref))).code, 'invalid');
    t.throws(() => docker.removeImage(ref, false), { code: 'invalid' });
  }
  t.equal(engine.requests.length, 0, 'the engine was never asked');
  for (const ref of ['a', 'web_1.x-2', 'f'.repeat(64)]) t.equal(checkContainerRef(ref), ref);
  for (const ref of ['nginx', 'nginx:1.27', 'reg.example:5000/team/app@sha256:abc', `sha256:${'f'.repeat(64)}`])
    t.equal(checkImageRef(ref), ref);
});

t.test('a reference with slashes arrives as one', async (t) => {
  const { engine, docker } = await open(t);
  engine.addImage({ tags: ['registry.example:5000/team/app:1'] });
  t.match(await docker.inspectImage('registry.example:5000/team/app:1'), {
    RepoTags: ['registry.example:5000/team/app:1'],
  });
});

t.test('each call does what its name says', async (t) => {
  const { engine, docker } = await open(t);
  const one = engine.addContainer({ name: 'one', env: { A: 'b' } });
  const two = engine.addContainer({ name: 'two', state: 'exited' });
  t.match(await docker.version(), { Version: '28.5.2+dfsg4', ApiVersion: '1.51' });
  t.match(await docker.info(), { NCPU: 2 });
  t.equal((await docker.listContainers()).length, 2, 'stopped ones too');
  t.strictSame(
    (await docker.listContainers([two.id])).map(({ Id }) => Id),
    [two.id],
  );
  t.match(await docker.inspectContainer('one'), { Id: one.id, Config: { Env: ['A=b'] } });
  await docker.actOnContainer('one', 'pause');
  await docker.actOnContainer('one', 'unpause');
  await docker.actOnContainer('one', 'stop');
  t.equal(one.state, 'exited');
  await docker.actOnContainer('one', 'stop');
  t.pass('already stopped (304) is a success');
  await docker.actOnContainer('one', 'start');
  await docker.actOnContainer('one', 'start');
  t.equal(one.state, 'running');
  await docker.actOnContainer('one', 'remove', 'one', { force: true, volumes: true });
  t.match(engine.requestsTo('DELETE', /containers/)[0]?.query, { force: 'true', v: 'true' });
  t.match(await docker.containerStats(two.id), { read: /./ });
  t.equal((await docker.listImages()).length, 1);
  t.ok((await docker.imageHistory('lab/busybox')).length > 0);
});

t.test('a slow engine is a timeout, whatever part of it is slow', async (t) => {
  const { engine, docker } = await open(t);
  engine.addContainer({ name: 'web' });
  const hung = engine.faults.hang();
  const calls = [docker.ping(), docker.version(), docker.listContainers(), docker.actOnContainer('web', 'stop')];
  const startedAt = performance.now();
  for (const call of calls) t.match(await failure(call), { code: 'engine_timeout', status: 504 });
  t.ok(performance.now() - startedAt < 1_500, 'each within its bound');
  const stream = await failure(docker.events(nobody));
  t.match(stream, { code: 'engine_timeout', message: /did not answer GET \/events within 0\.3 s/ });
  hung.remove();
  t.ok(await docker.version(), 'and then all is well');
});

t.test('an answer that stops in its middle is an error in bounded time', async (t) => {
  const { engine, docker } = await open(t);
  engine.addContainer({ name: 'web' });
  engine.faults.cut({ path: /json/ });
  t.match(await failure(docker.listContainers()), { code: 'engine_unreachable' });
  t.match(await failure(docker.inspectContainer('web')), { code: 'engine_unreachable' });
  const { server, port } = await serve(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('[{"Id":');
  });
  const slow = createDocker({ kind: 'tcp', host: '127.0.0.1', port, tls: undefined, text: 'tcp://x' }, bounds);
  t.teardown(() => slow.close());
  t.match(await failure(slow.listContainers()), { code: 'engine_timeout' }, 'one that goes on for ever too');
  t.ok(server.listening);
});

function serve(t: Test, handle: Parameters<typeof createServer>[1]): Promise<{ server: Server; port: number }> {
  const server = createServer(handle as NonNullable<typeof handle>);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({ server, port: (server.address() as AddressInfo).port }));
  });
}

t.test('an answer that is not what was asked for is a fault of the engine', async (t) => {
  const { engine, docker } = await open(t);
  const answers = [
    [200, '{"broken":', 'application/json'],
    [200, '<html>login</html>', 'text/html'],
    [200, '{"not":"a list"}', 'application/json'],
    [200, '"text"', 'application/json'],
    [200, '', 'application/json'],
    [500, 'just words', 'text/plain'],
    [502, '<html>bad gateway</html>', 'text/html'],
    [400, '{"message":"client version 1.99 is too new"}', 'application/json'],
  ] as const;
  for (const [status, body, type] of answers) {
    const fault = engine.faults.status(status, body, type);
    t.match(await failure(docker.listContainers()), { code: 'engine_error', status: 502 }, `${status} ${body}`);
    fault.remove();
  }
  engine.faults.status(500, '{"message":"<b>why</b>"}', 'application/json');
  t.match(
    await failure(docker.listImages()),
    { message: '<b>why</b>', engineMessage: '<b>why</b>' },
    "the engine's own words",
  );
});

t.test('odd but valid answers are read', async (t) => {
  const { engine, docker } = await open(t);
  const fault = engine.faults.status(200, 'null', 'application/json');
  t.strictSame(await docker.listContainers(), [], 'null is an empty list');
  fault.remove();
  const items = engine.faults.status(200, '[null,{"Id":"a"},7]', 'application/json');
  t.strictSame(await docker.listContainers(), [{ Id: 'a' }], 'what is no object is passed over');
  items.remove();
  const podman = '{"cause":"container is stopped","message":"container is stopped","response":500}';
  engine.faults.status(200, podman, 'application/json', { path: /stats/ });
  t.match(await failure(docker.containerStats('web')), { code: 'engine_error', message: 'container is stopped' });
  engine.faults.clear();
  engine.faults.status(201, '{"Id":"x"}', 'application/json', { path: /web\/json/ });
  t.match(await docker.inspectContainer('web'), { Id: 'x' }, 'a 201 where 200 was expected is a success');
});

t.test('where nobody listens is told with the address', async (t) => {
  const { engine, docker } = await open(t);
  await engine.refuse();
  t.match(await failure(docker.ping()), {
    code: 'engine_unreachable',
    status: 503,
    message: new RegExp(engine.socketPath),
  });
  await engine.listen();
  await engine.refuse({ keepsPath: false });
  t.match(await failure(docker.listContainers()), { message: /There is no such socket/ });
  const tcp = createDocker(
    { kind: 'tcp', host: '127.0.0.1', port: 1, tls: undefined, text: 'tcp://127.0.0.1:1' },
    bounds,
  );
  t.match(await failure(tcp.ping()), {
    code: 'engine_unreachable',
    message: /tcp:\/\/127\.0\.0\.1:1\. Is the daemon running/,
  });
  tcp.close();
});

t.test('DOCKER_HOST of the environment has no say', async (t) => {
  const { engine, docker } = await open(t);
  const before = process.env.DOCKER_HOST;
  process.env.DOCKER_HOST = 'tcp://127.0.0.1:1';
  t.teardown(() => {
    if (before === undefined) delete process.env.DOCKER_HOST;
    else process.env.DOCKER_HOST = before;
  });
  const fresh = createDocker({ kind: 'unix', path: engine.socketPath, text: engine.host }, bounds);
  t.teardown(() => fresh.close());
  t.ok(await fresh.version());
  t.ok(await docker.version());
});

t.test('an engine over TCP is reached too', async (t) => {
  const { port } = await serve(t, (request, response) => response.end(JSON.stringify({ Version: request.url })));
  const docker = createDocker({ kind: 'tcp', host: '127.0.0.1', port, tls: undefined, text: 'tcp://x' }, bounds);
  t.teardown(() => docker.close());
  t.match(await docker.version(), { Version: /\/version$/ });
});

t.test('a redirect is not followed', async (t) => {
  let followed = 0;
  const target = await serve(t, (_request, response) => {
    followed++;
    response.end('[]');
  });
  for (const location of ['http://no-such-host.invalid/', `http://127.0.0.1:${target.port}/`, 'nonsense:x', '/']) {
    const { port } = await serve(t, (_request, response) => {
      response.writeHead(301, { location }).end();
    });
    const docker = createDocker({ kind: 'tcp', host: '127.0.0.1', port, tls: undefined, text: 'tcp://x' }, bounds);
    t.teardown(() => docker.close());
    for (const call of [docker.listContainers(), docker.actOnContainer('web', 'stop'), docker.events(nobody)])
      t.match(await failure(call), { code: 'engine_error', message: /301/ }, location);
  }
  t.equal(followed, 0);
});

t.test('calls share 16 connections, and a ping does not wait for them', async (t) => {
  const { engine, docker } = await open(t, { timeouts: { ping: 1_000, list: 5_000, action: 5_000 } });
  for (let n = 0; n < 40; n++) engine.addContainer({ name: `c${n}` });
  const hung = engine.faults.hang({ path: /json$/ });
  const calls = Array.from({ length: 40 }, (_, n) => docker.inspectContainer(`c${n}`));
  await until(() => engine.requestsTo('GET', /json$/).length === 16, 'sixteen at once');
  await docker.ping();
  t.equal(engine.requestsTo('GET', /json$/).length, 16, 'never more');
  hung.remove();
  t.equal((await Promise.all(calls)).length, 40, 'the others follow');
});

t.test('a stream is ended by its signal, and nothing is left open', async (t) => {
  const { engine, docker } = await open(t);
  engine.addContainer({ name: 'web' });
  const ending = new AbortController();
  const streams = [
    await docker.events(ending.signal),
    await docker.containerLogs('web', { follow: true, tail: 5, since: '1.000000000' }, ending.signal),
    await docker.followStats('web', ending.signal),
  ];
  for (const stream of streams) stream.on('error', () => {}).resume();
  await until(() => engine.openStreams().length === 3, 'three streams');
  t.match(engine.openStreams('logs')[0]?.query, { follow: '1', tail: '5', timestamps: '1', since: '1.000000000' });
  ending.abort();
  await until(() => engine.openStreams().length === 0, 'all are ended');
  const refused = await failure(docker.containerLogs('nobody', { follow: true }, nobody));
  t.match(refused, { code: 'not_found', message: 'Container nobody not found' });
});

t.test('a caller who gives up gets his own reason', async (t) => {
  const { engine, docker } = await open(t);
  engine.faults.hang();
  const giving = new AbortController();
  const call = docker.listContainers(undefined, giving.signal);
  giving.abort();
  await t.rejects(call, { name: 'AbortError' });
});

t.test('the answers of every recorded engine are read', async (t) => {
  const engines: Record<string, { list: unknown; inspect: unknown; images: unknown }> = JSON.parse(
    readFileSync(new URL('../fixtures/engines.json', import.meta.url), 'utf8'),
  );
  const { engine, docker } = await open(t);
  for (const [name, recorded] of Object.entries(engines)) {
    using _list = engine.faults.status(200, JSON.stringify(recorded.list), 'application/json', {
      path: /containers\/json/,
    });
    using _one = engine.faults.status(200, JSON.stringify(recorded.inspect), 'application/json', { path: /x\/json/ });
    // What is read is a part of what was recorded: the fields that are known, as they are.
    t.match(recorded.list, await docker.listContainers(), name);
    t.match(recorded.inspect, await docker.inspectContainer('x'));
  }
});

t.test('a field of the wrong type is as if it were not there', async (t) => {
  const { engine, docker } = await open(t);
  const answering = (value: unknown) => engine.faults.status(200, JSON.stringify(value), 'application/json');
  const id = 'a'.repeat(64);
  const item = { Id: id, Names: [5, '/web'], Image: 5, Labels: { a: 5, b: 'c' }, Ports: [null, 5], Status: {} };
  const list = answering([null, 5, item]);
  t.strictSame(await docker.listContainers(), [{ Id: id, Names: ['/web'], Labels: { b: 'c' }, Ports: [] }]);
  list.remove();
  const networks = { Networks: { a: null, b: { Gateway: 'g' } } };
  const detail = answering({ Id: id, Config: { Env: 'x', Cmd: ['a', 5] }, NetworkSettings: networks });
  t.strictSame(await docker.inspectContainer(id), {
    Id: id,
    Config: { Cmd: ['a'] },
    NetworkSettings: { Networks: { b: { Gateway: 'g' } } },
  });
  detail.remove();
  const nothing = answering(null);
  t.strictSame(await docker.version(), {}, 'an answer that is none tells nothing');
  nothing.remove();
});

t.test('a call that waits for a free connection keeps its bound, and actions hold up no list', async (t) => {
  const { engine, docker } = await open(t);
  engine.addImage({ tags: ['nginx:1'] });
  engine.addContainer({ name: 'web', image: 'nginx:1', state: 'running' });
  const hang = engine.faults.hang({ path: /\/(stop|json)$/, method: 'POST' });
  const stops = Array.from({ length: 40 }, () => failure(docker.actOnContainer('web', 'stop')));
  await engine.waitFor(() => engine.requestsTo('POST', /stop/).length >= 16);
  t.equal((await docker.listContainers()).length, 1, 'the inventory still sees');
  t.equal((await docker.inspectContainer('web')).Name, '/web', 'and so does a page');
  const began = performance.now();
  for (const stop of await Promise.all(stops)) t.equal(stop.code, 'engine_timeout');
  t.ok(performance.now() - began < 5 * bounds.action, 'those that never got a connection too');
  hang.remove();
});

t.test('calls are counted by endpoint, and those without a good answer', async (t) => {
  const { engine, docker } = await open(t);
  const { id } = engine.addContainer({ name: 'web' });
  engine.addImage({ tags: ['shop/web:1'] });
  t.strictSame(docker.callCounts(), []);
  await docker.listContainers();
  await docker.listContainers([id]);
  await docker.inspectContainer(id);
  await failure(docker.inspectContainer('none'));
  await docker.inspectImage('shop/web:1');
  await docker.actOnContainer('web', 'stop');
  engine.faults.drop({ path: /_ping/ });
  await failure(docker.ping());
  const gone = AbortSignal.abort(new Error('nobody waits'));
  await t.rejects(docker.ping(gone), { message: 'nobody waits' }, 'what its caller ended is no failure');
  t.strictSame(
    docker.callCounts().map(({ method, endpoint, calls, failures }) => [method, endpoint, calls, failures]),
    [
      ['GET', '/containers/json', 2, 0],
      ['GET', '/containers/:id/json', 2, 1],
      ['GET', '/images/:id/json', 1, 0],
      ['POST', '/containers/:id/stop', 1, 0],
      ['GET', '/_ping', 2, 1],
    ],
  );
});
