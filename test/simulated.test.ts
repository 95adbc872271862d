import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import t from 'tap';
import { startDemoEngine } from './simulated/demo-engine.ts';
import { ask, failure, follow, followEvents, start } from './simulated/testing.ts';

type Shapes = Record<string, Record<string, string>>;

const shapes: Shapes = JSON.parse(readFileSync(new URL('./simulated/shapes.json', import.meta.url), 'utf8'));

interface Frame {
  stream: number;
  text: string;
}

function toFrames(body: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < body.length; ) {
    const size = body.readUInt32BE(at + 4);
    frames.push({ stream: body[at] ?? 0, text: body.toString('utf8', at + 8, at + 8 + size) });
    at += 8 + size;
  }
  return frames;
}

/** Every key path of a document, maps by `*`. */
function toPaths(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.length ? value.flatMap((item) => toPaths(item, `${path}[]`)) : [path];
  if (typeof value !== 'object' || value === null) return [path];
  const entries = Object.entries(value);
  if (entries.length === 0) return [path];
  return entries.flatMap(([key, inner]) => toPaths(inner, `${path}.${key.replaceAll(' ', '_')}`));
}

function toShape(document: unknown): string[] {
  const paths = toPaths(document).map((path) =>
    path
      .replace(/\.Networks\.[^.]+/, '.Networks.*')
      .replace(/\.Labels\..*/, '.Labels')
      .replace(/(\.Ports|PortBindings|ExposedPorts)\.\d+\/tcp/, '$1.*')
      .replace(/\.networks\.[^.]+/, '.networks.*')
      .replace(/^\.HostConfig\.(Mounts|Binds).*/, ''),
  );
  return [...new Set(paths)].filter((path) => path !== '').sort();
}

/** The parts of an address that only one of two shapes has, shortened to what differs. */
function differences(actual: string[], recorded: string): string[] {
  const wanted = recorded.split(' ').filter((path) => path !== '');
  const isCovered = (path: string, by: string[]) =>
    by.some(
      (other) =>
        other === path ||
        other.startsWith(`${path}[`) ||
        other.startsWith(`${path}.`) ||
        path.startsWith(`${other}[`) ||
        path.startsWith(`${other}.`),
    );
  const missing = wanted.filter((path) => !isCovered(path, actual)).map((path) => `missing ${path}`);
  const extra = actual.filter((path) => !isCovered(path, wanted)).map((path) => `extra ${path}`);
  return [...missing, ...extra];
}

t.test('answers have the shapes of recorded engines', async (t) => {
  for (const version of ['28', '20.10'] as const) {
    const { engine, docker } = await start(t, { version, statsIntervalMs: 5 });
    engine.addImage({ tags: ['lab/busybox'], labels: { lab: '1' } });
    const { id } = engine.addContainer({
      name: 'probe',
      ports: ['18080:80'],
      labels: { lab: '1' },
      mounts: ['lab-vol:/data'],
      health: 'healthy',
      memory: 67_108_864,
      pidsLimit: 50,
    });
    const container = docker.getContainer(id);
    const documents: Record<string, unknown> = {
      'list.all': await docker.listContainers({ all: true }),
      inspect: await container.inspect(),
      images: await docker.listImages(),
      'image.inspect': await docker.getImage('lab/busybox').inspect(),
      'image.history': await docker.getImage('lab/busybox').history(),
      'stats.oneshot': await container.stats({ stream: false, 'one-shot': true }),
      'stats.nostream': await container.stats({ stream: false }),
    };
    for (const [name, document] of Object.entries(documents)) {
      t.same(differences(toShape(document), shapes[version]?.[name] ?? ''), [], `${version} ${name}`);
    }
  }
});

t.test('cgroup v2 has its own stats', async (t) => {
  const { engine, docker } = await start(t, { cgroup: 2 });
  const { id } = engine.addContainer({ name: 'web', memory: 67_108_864, pidsLimit: 50 });
  const stats = await docker.getContainer(id).stats({ stream: false, 'one-shot': true });
  t.same(differences(toShape(stats), shapes['28 cgroup 2']?.['stats.oneshot'] ?? ''), []);
});

t.test('Podman has its own list, stats, errors and events', async (t) => {
  const { engine, docker } = await start(t, { version: 'podman' });
  const events = await followEvents(engine);
  const { id } = engine.addContainer({
    name: 'web',
    ports: ['127.0.0.1:18080:80'],
    mounts: ['lab-vol:/data'],
    memory: 1e8,
  });
  t.same(differences(toShape(await docker.listContainers()), shapes.podman?.['list.all'] ?? ''), []);
  const stats = await docker.getContainer(id).stats({ stream: false });
  t.equal(stats.precpu_stats.cpu_usage.total_usage, 0, 'even without one-shot');
  t.same(JSON.parse((await ask(engine, '/containers/nope/json')).body.toString()), {
    cause: 'no such container',
    message: 'no container with name or ID "nope" found: no such container',
    response: 404,
  });
  await docker.getContainer(id).stop();
  await docker.getContainer(id).remove();
  await engine.waitFor(() => events.told().includes('container remove'));
  t.same(
    events.told().filter((event) => event.startsWith('container')),
    ['container create', 'container init', 'container start', 'container die', 'container cleanup', 'container remove'],
  );
  t.equal(events.documents().at(-1).Actor.Attributes.containerExitCode, '0');
  const again = await docker.createContainer({ name: 'x-1', Image: 'lab/busybox' });
  t.ok(again.id);
  t.match(await failure(docker.createContainer({ name: 'x-1', Image: 'lab/busybox' })), { statusCode: 500 }, 'not 409');
});

t.test('a container lives: states, codes and the order of events on 28', async (t) => {
  const { engine, docker } = await start(t);
  const events = await followEvents(engine);
  engine.addImage({ tags: ['lab/web:1'], labels: { from: 'image' } });
  const created = await docker.createContainer({
    name: 'web',
    Image: 'lab/web:1',
    Labels: { a: 'b' },
    HostConfig: { Binds: ['data:/data'] },
  });
  t.equal((await created.inspect()).State.Status, 'created');
  await created.start();
  t.match(await failure(created.start()), { statusCode: 304 });
  await created.pause();
  t.match(await failure(created.pause()), { statusCode: 409 });
  t.equal((await docker.listContainers())[0]?.Status, 'Up Less than a second (Paused)');
  await created.unpause();
  await created.rename({ name: 'site' });
  await created.stop();
  t.match(await failure(created.stop()), { statusCode: 304 });
  t.match(await failure(created.kill()), {
    statusCode: 409,
    json: { message: /^cannot kill container: .* is not running$/ },
  });
  await created.restart();
  t.match(await failure(created.remove()), { statusCode: 409 });
  await created.remove({ force: true });
  t.match(await failure(created.inspect()), { statusCode: 404, json: { message: `No such container: ${created.id}` } });
  await engine.waitFor(() => events.told().includes('container destroy'));
  t.same(events.told().slice(1), [
    ...['volume create', 'container create'],
    ...['volume mount', 'network connect', 'container start'],
    'container pause',
    'container unpause',
    'container rename',
    ...['container kill', 'network disconnect', 'volume unmount', 'container stop', 'container die'],
    ...['volume mount', 'network connect', 'container start', 'container restart'],
    ...['container kill', 'network disconnect', 'volume unmount', 'container die', 'container destroy'],
  ]);
  const rename = events.documents().find((event) => event.Action === 'rename');
  t.match(rename.Actor.Attributes, { name: 'site', oldName: '/web', a: 'b', from: 'image', image: 'lab/web:1' });
  const die = events.documents().find((event) => event.Action === 'die');
  t.match(die, {
    status: 'die',
    id: created.id,
    from: 'lab/web:1',
    scope: 'local',
    Actor: { ID: created.id, Attributes: { exitCode: '0', execDuration: '0' } },
  });
  t.match(
    events.lines.at(-1),
    new RegExp(`"time":${events.documents().at(-1).time},"timeNano":\\d{19}}`),
    'all digits',
  );
});

t.test('20.10 tells a death before the stop', async (t) => {
  const { engine, docker } = await start(t, { version: '20.10' });
  const { id } = engine.addContainer({ name: 'web', behaviour: { ignoresTerm: true } });
  const events = await followEvents(engine);
  await docker.getContainer(id).stop();
  await engine.waitFor(() => events.told().includes('container stop'));
  t.same(events.told(), ['container kill', 'container kill', 'container die', 'network disconnect', 'container stop']);
  t.same(
    events
      .documents()
      .map((event) => event.Actor.Attributes.signal)
      .slice(0, 2),
    ['15', '9'],
  );
  t.equal((await docker.getContainer(id).inspect()).State.ExitCode, 137);
});

t.test('a death is followed by the restart policy, or by --rm', async (t) => {
  const { engine, docker } = await start(t, { restartDelayMs: 1 });
  const keeper = engine.addContainer({ name: 'keeper', restart: 'on-failure:1' });
  const passing = engine.addContainer({ name: 'passing', autoRemove: true });
  const events = await followEvents(engine, `?filters=${encodeURIComponent('{"type":["container"]}')}`);
  engine.die('keeper', 1);
  t.equal((await docker.getContainer(keeper.id).inspect()).State.Restarting || keeper.state === 'running', true);
  await engine.waitFor(() => keeper.state === 'running');
  t.equal((await docker.getContainer(keeper.id).inspect()).RestartCount, 1);
  engine.oom('keeper');
  engine.die('passing', 3);
  t.match((await docker.getContainer(keeper.id).inspect()).State, { OOMKilled: true, ExitCode: 137, Status: 'exited' });
  t.match(await failure(docker.getContainer(passing.id).inspect()), { statusCode: 404 });
  await engine.waitFor(() => events.told().includes('container destroy'));
  t.same(
    events.told(),
    ['die', 'start', 'oom', 'die', 'die', 'destroy'].map((action) => `container ${action}`),
  );
});

t.test('a taken port and a missing command fail at the start', async (t) => {
  const { engine, docker } = await start(t);
  engine.addContainer({ name: 'first', ports: ['8080:80'] });
  const second = engine.addContainer({ name: 'second', state: 'created', ports: ['8080:80'] });
  const message = /^failed to set up container networking: .* Bind for 0.0.0.0:8080 failed: port is already allocated$/;
  t.match(await failure(docker.getContainer(second.id).start()), { statusCode: 500, json: { message } });
  t.match((await docker.getContainer(second.id).inspect()).State, { Status: 'created', ExitCode: 128, Error: message });
  const third = engine.addContainer({ name: 'third', state: 'created', behaviour: { failsToStart: 'exec: "/nope"' } });
  t.match(await failure(docker.getContainer(third.id).start()), { statusCode: 400 });
  const conflict = `Conflict. The container name "/first" is already in use by container "${engine.container('first').id}".`;
  t.match(await failure(docker.createContainer({ name: 'first', Image: 'lab/busybox' })), {
    statusCode: 409,
    json: { message: `${conflict} You have to remove (or rename) that container to be able to reuse that name.` },
  });
  engine.stop('first');
  await docker.getContainer(second.id).start();
});

t.test('the list: references, filters, ports, states', async (t) => {
  const { engine, docker } = await start(t);
  const id = (first: string) => first.padEnd(64, '0');
  engine.addContainer({
    name: 'web',
    id: id('aaaa1'),
    labels: { app: 'x' },
    ports: ['[::1]:8443:443', '80', '53:53/udp'],
    expose: ['9000/tcp'],
  });
  engine.addContainer({
    name: 'db',
    id: id('aaaa2'),
    state: 'exited',
    exitCode: 3,
    health: 'healthy',
    finishedAt: Date.now() - 180_000,
  });
  engine.addContainer({ name: 'loop', id: id('bbbb1'), state: 'restarting', exitCode: 1 });
  t.equal((await docker.getContainer('aaaa1').inspect()).Name, '/web');
  t.equal((await docker.getContainer('web').inspect()).Id, id('aaaa1'));
  t.match(await failure(docker.getContainer('aaaa').inspect()), { statusCode: 400 }, 'ambiguous');
  const names = async (options: object) => (await docker.listContainers(options)).map(({ Names }) => Names[0]);
  t.same(await names({}), ['/loop', '/web']);
  t.same(await names({ all: true }), ['/loop', '/db', '/web']);
  t.same(await names({ limit: 1 }), ['/loop']);
  t.same(await names({ filters: { status: ['exited'] } }), ['/db']);
  t.same(await names({ filters: { label: ['app=x'] } }), ['/web']);
  t.same(await names({ all: true, filters: { name: ['^/?d'] } }), ['/db']);
  t.match(await failure(docker.listContainers({ filters: { nope: ['x'] } })), { statusCode: 400 });
  const [loop, db, web] = await docker.listContainers({ all: true });
  t.equal(db?.Status, 'Exited (3) 3 minutes ago');
  t.equal(loop?.Status, 'Restarting (1) Less than a second ago');
  t.same(web?.Ports, [
    { PrivatePort: 9000, Type: 'tcp' },
    { IP: '::1', PrivatePort: 443, PublicPort: 8443, Type: 'tcp' },
    { IP: '0.0.0.0', PrivatePort: 80, PublicPort: 32769, Type: 'tcp' },
    { IP: '::', PrivatePort: 80, PublicPort: 32769, Type: 'tcp' },
    { IP: '0.0.0.0', PrivatePort: 53, PublicPort: 53, Type: 'udp' },
    { IP: '::', PrivatePort: 53, PublicPort: 53, Type: 'udp' },
  ]);
});

t.test('the list can be late after a death', async (t) => {
  const { engine, docker } = await start(t, { staleListMs: 60_000 });
  engine.addContainer({ name: 'web' });
  engine.die('web', 1);
  t.equal((await docker.listContainers())[0]?.State, 'running');
  t.equal((await docker.getContainer('web').inspect()).State.Status, 'exited');
});

t.test('logs: frames, tail, since, until, streams', async (t) => {
  const { engine } = await start(t);
  const { id } = engine.addContainer({ name: 'web', state: 'exited' });
  const second = 1_000_000_000n;
  for (let n = 0n; n < 5n; n++) {
    engine.writeLog(id, `line ${n}`, { at: 1_700_000_000n * second + n, stream: n % 2n ? 'stderr' : 'stdout' });
  }
  const read = async (query: string) => toFrames((await ask(engine, `/containers/web/logs?${query}`)).body);
  t.same(await read('stdout=1&stderr=1&tail=2&timestamps=1'), [
    { stream: 2, text: '2023-11-14T22:13:20.000000003Z line 3\n' },
    { stream: 1, text: '2023-11-14T22:13:20.000000004Z line 4\n' },
  ]);
  const texts = async (query: string) => (await read(query)).map(({ text }) => text.trim());
  t.same(await texts('stdout=1'), ['line 0', 'line 2', 'line 4']);
  t.same(await texts('stdout=1&stderr=1&since=1700000000.000000003'), ['line 3', 'line 4'], 'since is inclusive');
  t.same(await texts('stdout=1&stderr=1&until=1700000000.000000001'), ['line 0', 'line 1']);
  t.same(await texts('stdout=1&stderr=1&tail=0'), []);
  t.same(await texts('stdout=1&stderr=1&follow=1&tail=1'), ['line 4'], 'a stopped one is not followed');
  t.equal((await ask(engine, '/containers/web/logs')).status, 400);
});

t.test('a line over 16 KiB comes in parts, each with its time', async (t) => {
  const { engine } = await start(t);
  engine.addContainer({ name: 'web', state: 'exited' });
  engine.writeLog('web', `${'é'.repeat(20_000)}`);
  const frames = toFrames((await ask(engine, '/containers/web/logs?stdout=1&timestamps=1')).body);
  t.same(
    frames.map(({ text }) => text.length > 31 && text[30]),
    [' ', ' ', ' '],
  );
  t.same(new Set(frames.map(({ text }) => text.slice(0, 30))).size, 1, 'of one time, as engines stamp parts');
  const { body } = await ask(engine, '/containers/web/logs?stdout=1');
  t.equal(
    Buffer.concat([body.subarray(8, 16392), body.subarray(16400, 32784), body.subarray(32792)]).toString(),
    `${'é'.repeat(20_000)}\n`,
  );
});

t.test('a TTY has no frames; followers end with the process', async (t) => {
  const { engine } = await start(t);
  engine.addContainer({ name: 'shell', tty: true });
  engine.writeLog('shell', 'one\r\n');
  const follower = await follow(engine, '/containers/shell/logs?stdout=1&stderr=1&follow=1&tail=all');
  await engine.waitFor(() => follower.lines.length === 1);
  engine.writeRawLog('shell', Buffer.from('tw'));
  engine.writeRawLog('shell', Buffer.from('o\r\n'));
  await engine.waitFor(() => follower.lines.length === 2);
  t.same(follower.lines, ['one\r\n', 'two\r\n']);
  t.equal(engine.openStreams('logs', 'shell').length, 1);
  engine.die('shell');
  await engine.waitFor(follower.isOver);
  t.equal(follower.error(), null, 'a clean end');
  t.equal(engine.openStreams('logs').length, 0);
  t.ok(engine.requestsTo('GET', /logs/)[0]?.closedAt);
});

t.test('a log forgets its oldest lines; a flood loses none to its follower', async (t) => {
  const { engine } = await start(t, { maxLogBytes: 1_000_000 });
  engine.addContainer({ name: 'web' });
  await engine.firehose('web', 50_000);
  const kept = toFrames((await ask(engine, '/containers/web/logs?stdout=1')).body);
  t.ok(kept.length < 6000);
  t.match(kept.at(-1)?.text, /^line 49999 /);
  let bytes = 0;
  const docker = new Docker({ socketPath: engine.socketPath });
  const stream = await docker.getContainer('web').logs({ follow: true, stdout: true, stderr: true, tail: 0 });
  const line = `line 0 ${'.'.repeat(88)}`;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  stream.on('error', () => {});
  await engine.firehose('web', 20_000, { make: () => line });
  await engine.waitFor(() => bytes === 20_000 * (8 + line.length + 1));
  t.pass();
});

t.test('stats: counters that move as they are told', async (t) => {
  const { engine, docker } = await start(t, { statsIntervalMs: 5 });
  engine.addContainer({ name: 'web', memory: 1000 });
  engine.setStats('web', (elapsed) => ({
    cpuPercent: 50,
    memoryBytes: 600,
    memoryCacheBytes: 100,
    networkRxBytes: elapsed,
  }));
  const stats = await docker.getContainer('web').stats({ stream: false });
  const cpu = stats.cpu_stats.cpu_usage.total_usage - stats.precpu_stats.cpu_usage.total_usage;
  const system = stats.cpu_stats.system_cpu_usage - stats.precpu_stats.system_cpu_usage;
  t.ok(Math.abs((cpu / system) * stats.cpu_stats.online_cpus * 100 - 50) < 1);
  t.match(stats.memory_stats, { usage: 600, limit: 1000, stats: { total_inactive_file: 100 } });
  const stream = await follow(engine, '/containers/web/stats');
  await engine.waitFor(() => stream.lines.length >= 2);
  engine.die('web');
  await engine.waitFor(stream.isOver);
  t.match(await docker.getContainer('web').stats({ stream: false, 'one-shot': true }), {
    read: '0001-01-01T00:00:00Z',
    memory_stats: {},
  });
  t.match(JSON.parse(stream.lines[1] ?? ''), { name: '/web' });
});

t.test('events: the past since, the end until, filters', async (t) => {
  const { engine } = await start(t);
  const since = (Date.now() - 1000) / 1000;
  const { id } = engine.addContainer({ name: 'web', labels: { app: 'x' } });
  engine.addContainer({ name: 'db' });
  engine.health('web', 'unhealthy');
  const read = async (filters: object) => {
    const query = `since=${since}&until=${(Date.now() + 2) / 1000}&filters=${encodeURIComponent(JSON.stringify(filters))}`;
    const { body } = await ask(engine, `/events?${query}`);
    return body
      .toString()
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).Action);
  };
  t.same(await read({ container: [id.slice(0, 12)] }), ['create', 'start', 'health_status: unhealthy']);
  t.same(await read({ container: ['db'], event: ['start'] }), ['start']);
  t.same(await read({ event: { health_status: true } }), ['health_status: unhealthy']);
  t.same(await read({ label: ['app=x'], event: ['create'] }), ['create']);
});

t.test('images: conflicts, names, forced removal, dangling ones', async (t) => {
  const { engine, docker } = await start(t);
  const base = engine.addImage({ tags: ['lab/base:1'] });
  const child = engine.addImage({ tags: ['lab/app:1', 'registry.local:5000/lab/app:1'], parent: base.id });
  const used = engine.addImage({ tags: ['lab/used:1'] });
  engine.addContainer({ name: 'web', image: 'lab/used:1' });
  const short = (text: string) => text.replace('sha256:', '').slice(0, 12);
  const web = short(engine.container('web').id);
  const fails = async (reference: string, message: string, options = {}) =>
    t.match(await failure(docker.getImage(reference).remove(options)), {
      statusCode: 409,
      json: { message: `conflict: ${message}` },
    });
  await fails(base.id, `unable to delete ${short(base.id)} (cannot be forced) - image has dependent child images`, {
    force: true,
  });
  await fails(
    child.id,
    `unable to delete ${short(child.id)} (must be forced) - image is referenced in multiple repositories`,
  );
  await fails(
    used.id,
    `unable to delete ${short(used.id)} (cannot be forced) - image is being used by running container ${web}`,
  );
  await fails(
    'lab/used:1',
    `unable to remove repository reference "lab/used:1" (must force) - container ${web} is using its referenced image ${short(used.id)}`,
  );
  await engine.stop('web');
  await fails(
    used.id,
    `unable to delete ${short(used.id)} (must be forced) - image is being used by stopped container ${web}`,
  );
  t.same(await docker.getImage('registry.local:5000/lab/app:1').remove(), [
    { Untagged: 'registry.local:5000/lab/app:1' },
  ]);
  t.equal((await docker.getImage('lab/app:1').inspect()).Id, child.id);
  engine.tagImage(base.id, 'lab/app:1');
  t.same(
    (await docker.listImages({ filters: { dangling: ['true'] } })).map(({ Id }) => Id),
    [child.id],
  );
  t.same(await docker.getImage(used.id).remove({ force: true }), [{ Untagged: 'lab/used:1' }, { Deleted: used.id }]);
  t.match(await failure(docker.getImage('lab/none').inspect()), {
    statusCode: 404,
    json: { message: 'No such image: lab/none:latest' },
  });
});

t.test('a pull tells its layers and leaves an image', async (t) => {
  const { engine, docker } = await start(t);
  const stream = await docker.pull('lab/new:2');
  const messages: { status: string }[] = await new Promise((resolve, reject) =>
    docker.modem.followProgress(stream, (error, output) => (error ? reject(error) : resolve(output))),
  );
  t.match(messages.at(-1), { status: 'Status: Downloaded newer image for lab/new:2' });
  t.ok(engine.image('lab/new:2'));
  t.match(await failure(docker.pull('lab/missing:1')), { statusCode: 404 });
});

t.test('faults by request: wrong status, broken JSON, cut, late, silent', async (t) => {
  const { engine } = await start(t);
  engine.addContainer({ name: 'web' });
  const path = /^\/containers\/json/;
  const wrong = engine.faults.status(500, 'not JSON {', 'text/plain', { method: 'GET', path, times: 1 });
  t.match(await ask(engine, '/v1.41/containers/json'), {
    status: 500,
    type: 'text/plain',
    body: Buffer.from('not JSON {'),
  });
  t.equal((await ask(engine, '/containers/json')).status, 200, 'once');
  wrong.remove();
  {
    using _cut = engine.faults.cut({ path });
    const { body, error } = await ask(engine, '/containers/json');
    t.equal(error, 'ECONNRESET');
    t.throws(() => JSON.parse(body.toString()));
  }
  t.equal((await ask(engine, '/containers/json')).error, null);
  using _late = engine.faults.delay(30, { path: /_ping/ });
  const before = performance.now();
  await ask(engine, '/_ping');
  t.ok(performance.now() - before >= 29);
});

t.test('a silent engine accepts, and goes on later', async (t) => {
  const { engine } = await start(t);
  engine.addContainer({ name: 'web' });
  const events = await followEvents(engine);
  const logs = await follow(engine, '/containers/web/logs?follow=1&stdout=1');
  const hang = engine.faults.hang();
  const waiting = ask(engine, '/containers/json');
  await engine.waitFor(() => engine.requestsTo('GET', /json/).length === 1);
  engine.writeLog('web', 'late');
  engine.health('web', 'healthy');
  t.equal(engine.requestsTo('GET', /json/)[0]?.status, null);
  t.same([events.lines, logs.lines], [[], []]);
  hang.remove();
  t.equal((await waiting).status, 200);
  await engine.waitFor(() => events.lines.length === 1 && logs.lines.length === 1);
});

t.test('refused, dropped, restarted', async (t) => {
  const { engine } = await start(t);
  const always = engine.addContainer({ name: 'always', restart: 'always' });
  const plain = engine.addContainer({ name: 'plain' });
  const events = await followEvents(engine);
  t.equal(engine.faults.dropStreams({ path: /events/ }), 1);
  await engine.waitFor(events.isOver);
  t.equal(events.error(), 'ECONNRESET');
  await engine.refuse();
  await t.rejects(ask(engine, '/_ping'), { code: 'ECONNREFUSED' });
  await engine.listen();
  t.equal((await ask(engine, '/_ping')).body.toString(), 'OK');
  await engine.refuse({ keepsPath: false });
  await t.rejects(ask(engine, '/_ping'), { code: 'ENOENT' });
  await engine.listen();
  const logs = await follow(engine, '/containers/plain/logs?follow=1&stdout=1');
  await engine.restart({ downMs: 1, silentMs: 1, containers: 'exited' });
  await engine.waitFor(logs.isOver);
  t.equal((await ask(engine, '/_ping')).status, 200);
  t.match([always.state, plain.state, plain.exitCode], ['running', 'exited', 137]);
  t.equal((await ask(engine, `/events?since=1&until=${Date.now() / 1000}`)).body.length, 0, 'the past is forgotten');
});

t.test('events can be lost, or flood', async (t) => {
  const { engine } = await start(t);
  const events = await followEvents(engine);
  engine.loseEvents(1);
  engine.silently(() => engine.addContainer({ name: 'ghost' }));
  engine.emit({ type: 'container', action: 'lost', id: 'x' });
  await engine.storm({ count: 500 });
  await engine.storm({
    count: 20,
    perSecond: 1000,
    make: (n) => ({ type: 'container', action: `exec_start: ${n}`, id: 'x' }),
  });
  await engine.waitFor(() => events.lines.length === 520);
  t.equal(events.told()[0], 'volume create');
  t.equal(events.told().at(-1), 'container exec_start: 19');
});

t.test('a stream can be cut; what is removed is no longer followed', async (t) => {
  const { engine } = await start(t);
  const { id } = engine.addContainer({ name: 'web', mounts: ['/anonymous'] });
  engine.writeLog('web', '0123456789');
  const cut = engine.faults.cut({ path: /logs/ });
  const { body, error } = await ask(engine, '/containers/web/logs?stdout=1&follow=1');
  t.match({ error, bytes: body.length }, { error: 'ECONNRESET', bytes: 10 });
  cut.remove();
  const events = await followEvents(engine);
  const follower = await follow(engine, '/containers/web/logs?stdout=1&follow=1');
  t.equal(engine.openStreams('logs', 'web').length, 1);
  await ask(engine, '/containers/web?force=1&v=1', 'DELETE');
  await engine.waitFor(follower.isOver);
  await engine.waitFor(() => engine.openStreams('logs', id).length === 0);
  await engine.waitFor(() => events.told().includes('volume destroy'));
});

t.test('the demo shows every state, goes on, and keeps no process alive', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'demo-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const engine = await startDemoEngine(`${folder}/engine.sock`);
  t.teardown(() => engine.close());
  const docker = new Docker({ socketPath: engine.socketPath });
  const containers = await docker.listContainers({ all: true });
  t.ok(containers.length >= 12);
  t.same([...new Set(containers.map(({ State }) => State))].sort(), [
    'created',
    'exited',
    'paused',
    'restarting',
    'running',
  ]);
  const statuses = containers.map(({ Status }) => Status).join();
  for (const part of ['(healthy)', '(unhealthy)', 'Exited (0)', 'Exited (1)', 'Exited (137)'])
    t.ok(statuses.includes(part), part);
  const projects = containers.map(({ Labels }) => Labels['com.docker.compose.project']);
  t.same([...new Set(projects)].sort(), ['home-media', 'monitoring', 'webshop', undefined]);
  const images = await docker.listImages();
  t.ok(images.some(({ RepoTags }) => RepoTags?.length === 0));
  t.ok(images.some(({ RepoTags }) => (RepoTags?.length ?? 0) > 1));
  const frames = toFrames((await ask(engine, '/containers/webshop-worker-1/logs?stdout=1&stderr=1')).body);
  t.ok(frames.length > 20);
  const module = new URL('./simulated/demo-engine.ts', import.meta.url);
  const script = `const { startDemoEngine } = await import('${module}'); await startDemoEngine('${folder}/other.sock');`;
  await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
});

t.test('the demo says which Node it needs', async (t) => {
  const entry = fileURLToPath(new URL('./simulated/demo.js', import.meta.url));
  const old = "Object.defineProperty(process.versions, 'node', { value: '20.1.0' });";
  const preload = `data:text/javascript,${encodeURIComponent(old)}`;
  const error = await failure(promisify(execFile)(process.execPath, ['--import', preload, entry]));
  t.match(error, { code: 1, stderr: /^The demo needs Node 24 or later, this is 20\.1\.0\..*\n$/ });
});

t.test('other client versions and unknown paths', async (t) => {
  const { engine } = await start(t, { minApiVersion: '1.44' });
  t.match(
    (await ask(engine, '/v1.41/version')).body.toString(),
    /client version 1.41 is too old. Minimum supported API version is 1.44/,
  );
  t.match((await ask(engine, '/v1.99/version')).body.toString(), /client version 1.99 is too new/);
  t.equal((await ask(engine, '/nowhere')).status, 404);
  t.match(await ask(engine, '/_ping', 'HEAD'), { status: 200, body: Buffer.alloc(0) });
  t.match(JSON.parse((await ask(engine, '/info')).body.toString()), { NCPU: 2, ServerVersion: /^28/ });
});

t.test('an answer is stamped with its own second, as engines do, also right behind the turn of one', async (t) => {
  const { engine } = await start(t);
  const stamp = async () => (await ask(engine, '/_ping')).date;
  await stamp();
  mock.timers.enable({ apis: ['Date'], now: Date.UTC(2030, 0, 1, 12, 30, 59) });
  t.teardown(() => mock.timers.reset());
  t.equal(await stamp(), 'Tue, 01 Jan 2030 12:30:59 GMT');
});
