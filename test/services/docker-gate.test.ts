import t, { type Test } from 'tap';
import { isProblem } from '../../src/errors.ts';
import { changing } from '../../src/services/capabilities.ts';
import { createDocker } from '../../src/services/docker.ts';
import { createDockerConnection } from '../../src/services/docker-connection.ts';
import { checkCall, type GateCall, gateLines } from '../../src/services/docker-gate.ts';
import { readReference } from '../../src/services/references.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';
import { createRandom, runSeed } from '../support/random.ts';

const container = '[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}';
const network = '[a-zA-Z0-9](?:[a-zA-Z0-9_.-]|%20){0,254}';
const image = '(?:[a-zA-Z0-9_.-]|%3A|%40|%2F)+';

/** The table once more, written as an engine reads it. */
const table: [method: string, path: RegExp][] = [
  ['GET', /^\/(_ping|version|info|events|system\/df|containers\/json|images\/json)$/],
  ['GET', new RegExp(`^/containers/${container}/(json|logs|stats)$`)],
  ['POST', new RegExp(`^/containers/${container}/(start|stop|restart|pause|unpause|kill|rename)$`)],
  ['DELETE', new RegExp(`^/containers/${container}$`)],
  ['POST', /^\/(containers\/create|images\/create|images\/prune)$/],
  ['GET', new RegExp(`^/images/(${image})/(json|history)$`)],
  ['GET', new RegExp(`^/distribution/(${image})/json$`)],
  ['POST', new RegExp(`^/images/(${image})/tag$`)],
  ['DELETE', new RegExp(`^/images/(${image})$`)],
  ['POST', new RegExp(`^/networks/${network}/(connect|disconnect)$`)],
];

function isImage(segment: string): boolean {
  const ref = decodeURIComponent(segment);
  const isPlain = ref.split('/').every((step) => !['', '.', '..'].includes(step));
  return isPlain && /^[a-zA-Z0-9]/.test(ref) && ref.length <= 255;
}

const isInTable = (method: string, path: string) =>
  table.some(([allowed, pattern]) => {
    const match = allowed === method ? pattern.exec(path) : null;
    return match !== null && (!pattern.source.includes('%3A') || isImage(match[1] ?? ''));
  });

const refs = [
  'web',
  'f'.repeat(64),
  'lab/web:1',
  'reg.example:5000/team/app@sha256:abc',
  'my net',
  '..',
  '../..',
  'json',
];
const methods = ['GET', 'POST', 'DELETE', 'PUT', 'HEAD', 'PATCH', 'OPTIONS', 'get', 'Post', ''];
const pieces = [
  ...['.', '..', '/', '//', '/../', '/./', '\\', '%2e', '%2E%2e', '%2f', '%2F', '%252e%252e', '%5c', '%00', '\0', '%'],
  ...['\n', '\r\nHost: evil', ' ', '%20', '\t', '?', '?x=1', '#', '#x', ';', ';x=1', ':', '@', '@evil', '&', '*', '~'],
  ...['．．', '／', 'ä', '%C3%A4', '%c0%ae', '\u202e', '\u2024', '😀', '%u002e', '/json', '/start', '/v1.40', 'exec'],
];

/** A call of the table, bent up to three times. */
function bend(random: () => number): { method: string; path: string } {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const line = pick(gateLines);
  const ref = pick(refs);
  let path = line.path.replace(/:\w+/, random() < 0.8 ? encodeURIComponent(ref) : ref);
  for (let times = Math.floor(random() * 4); times > 0; times--) path = pick(bends)(path, random, pick(pieces));
  return { method: random() < 0.85 ? line.method : pick(methods), path };
}

type Bend = (path: string, random: () => number, piece: string) => string;

const at = (path: string, random: () => number) => Math.floor(random() * (path.length + 1));

const bends: Bend[] = [
  (path, random, piece) => {
    const place = at(path, random);
    return path.slice(0, place) + piece + path.slice(place);
  },
  (path, random, piece) => {
    const place = at(path, random);
    return path.slice(0, place) + piece + path.slice(place + 1);
  },
  (path, random) => {
    const place = at(path, random);
    const code = (path.charCodeAt(place) || 0).toString(16).padStart(2, '0');
    return `${path.slice(0, place)}%${random() < 0.5 ? code : code.toUpperCase()}${path.slice(place + 1)}`;
  },
  (path, random) => {
    const place = at(path, random);
    return path.slice(0, place) + path.slice(place, place + 1).toUpperCase() + path.slice(place + 1);
  },
  (path) => path.toUpperCase(),
  (path) => `${path}/`,
  (path) => path.slice(1),
  (path) => `http://evil.example${path}`,
  (path) => `//evil.example${path}`,
  (path, _random, piece) => `/${piece}${path}`,
  (path, _random, piece) => path + piece,
  (path) => path.replace(/\/[^/]*/, ''),
  (path) => path.replace(/(\/[^/]*)/, '$1$1'),
  (path) => path + 'a'.repeat(300),
  (path) => encodeURI(path),
  (path) => decodeURI(path.replace(/%(?![0-9a-f]{2})/gi, '%25')),
];

function isLetOut(call: { method: string; path: string }): boolean {
  try {
    checkCall(call as GateCall);
    return true;
  } catch (error) {
    if (isProblem(error, 'forbidden')) return false;
    throw error;
  }
}

/** Bends that fail, such as to decode what is no text, are left out. */
function* bentCalls(seed: number, count: number) {
  const random = createRandom(seed);
  for (let made = 0; made < count; ) {
    try {
      yield bend(random);
      made += 1;
    } catch (error) {
      if (!(error instanceof URIError)) throw error;
    }
  }
}

t.test('of twenty thousand bent paths, those get through that are in the table', async (t) => {
  t.comment(`FAIRLEAD_TEST_SEED=${runSeed}`);
  const wrong: string[] = [];
  let through = 0;
  for (const { method, path } of bentCalls(runSeed, 20_000)) {
    const isOut = isLetOut({ method, path });
    through += isOut ? 1 : 0;
    // What a reader of addresses would make something else of must not be let out, whatever the table says.
    const isAsRead = !isOut || new URL(`http://engine${path}`).pathname === path;
    if (isOut !== isInTable(method, path) || !isAsRead) wrong.push(`${method} ${JSON.stringify(path)}: ${isOut}`);
  }
  t.strictSame(wrong, []);
  t.ok(through > 1_000 && through < 10_000, `${through} got through`);
});

async function open(t: Test) {
  const engine = await createSimulatedEngine();
  const address = { kind: 'unix', path: engine.socketPath, text: engine.host } as const;
  t.teardown(() => engine.close());
  return { engine, address };
}

t.test('and the engine sees those and no others', async (t) => {
  const { engine, address } = await open(t);
  const connection = createDockerConnection(address);
  t.teardown(() => connection.close());
  const sent: string[] = [];
  for (const call of bentCalls(runSeed, 1_000)) {
    // A stream goes on, and a create call is measured: both have their own tests.
    if (/\/(events|logs|stats|containers\/create)$/.test(call.path)) continue;
    if (isInTable(call.method, call.path)) sent.push(`${call.method} ${decodeURIComponent(call.path)}`);
    await connection.request({ ...(call as GateCall), timeout: 2_000 }).catch((error: unknown) => {
      if (!isProblem(error)) throw error;
    });
  }
  t.ok(sent.length > 50, `${sent.length} were sent`);
  t.strictSame(
    engine.requests.map(({ method, path }) => `${method} ${path}`),
    sent,
  );
});

t.test('a call carries the parameters that are in the table, and no others', async (t) => {
  for (const { method, path, query } of gateLines) {
    const asked = path.replace(/:\w+/, 'web');
    for (const name of query) t.doesNotThrow(() => checkCall({ method, path: asked, query: { [name]: 'x' } }));
    for (const name of ['signal', 'Force', 'link', 'fromSrc', 'message', '', '__proto__']) {
      const refused = { code: 'forbidden', message: `has no parameter ${name}` };
      const parameters = Object.fromEntries([[name, 'x']]);
      t.throws(() => checkCall({ method, path: asked, query: parameters }), refused, `${method} ${path}?${name}`);
    }
  }
});

t.test('a call has no body but where it needs one', async (t) => {
  for (const { method, path } of gateLines) {
    if (/\/(create|connect|disconnect)$/.test(path) && !path.startsWith('/images')) continue;
    const refused = { code: 'forbidden', message: /has no body/ };
    t.throws(() => checkCall({ method, path: path.replace(/:\w+/, 'web'), body: {} }), refused, `${method} ${path}`);
  }
});

t.test('a create call that nothing measures does not leave', async (t) => {
  const { engine, address } = await open(t);
  engine.addImage({ tags: ['lab/web:1'] });
  const connection = createDockerConnection(address);
  t.teardown(() => connection.close());
  const body = { Image: 'lab/web:1', HostConfig: { Privileged: true } };
  const call = { method: 'POST', path: '/containers/create', body, timeout: 1_000 } as const;
  await t.rejects(connection.request(call), { code: 'forbidden', message: /in the place of another container/ });
  const rules = { basis: { HostConfig: {} }, allowsPrivileged: true };
  await t.rejects(connection.request({ ...call, rules }), { code: 'forbidden', message: /HostConfig\.Privileged/ });
  t.equal(engine.requests.length, 0);
});

t.test('what is said of a container in a network is what a rebuild says', async (t) => {
  const path = (verb: string) => ({ method: 'POST', path: `/networks/shop/${verb}` }) as const;
  const own = {
    IPAMConfig: { IPv4Address: '10.0.0.7' },
    Links: ['a:b'],
    Aliases: ['db'],
    DriverOpts: { a: 'b' },
    GwPriority: 1,
    MacAddress: '02:42:0a:00:00:07',
  };
  t.doesNotThrow(() => checkCall({ ...path('connect'), body: { Container: 'web', EndpointConfig: own } }));
  t.doesNotThrow(() => checkCall({ ...path('disconnect'), body: { Container: 'web' } }));
  for (const [verb, body, field] of [
    ['connect', { Container: 'web', EndpointConfig: own, Force: true }, 'Force'],
    ['connect', { container: 'web', EndpointConfig: own }, 'container'],
    ['connect', { Container: 'web' }, 'EndpointConfig'],
    ['connect', { Container: 'web', EndpointConfig: [] }, 'EndpointConfig'],
    ['connect', { Container: 'web', EndpointConfig: { ...own, NetworkID: 'x' } }, 'EndpointConfig.NetworkID'],
    ['connect', { Container: 'web', EndpointConfig: { aliases: ['db'] } }, 'EndpointConfig.aliases'],
    ['disconnect', { Container: 'web', Force: true }, 'Force'],
  ] as const) {
    const refused = { code: 'forbidden', message: `${field}: is nothing that this program sends.` };
    t.throws(() => checkCall({ ...path(verb), body }), refused, `${verb}: ${field}`);
  }
});

t.test('what is closed does not leave, whoever asks for it', async (t) => {
  const { engine, address } = await open(t);
  engine.addContainer({ name: 'web' });
  const docker = createDocker(address, {}, changing);
  t.teardown(() => docker.close());
  const signal = new AbortController().signal;
  const rules = { basis: { HostConfig: {} }, allowsPrivileged: true };
  const image = readReference('lab/web:1');
  if (!image) throw new Error('no reference');
  const recreation = { body: { Image: 'lab/web:1', HostConfig: {} }, platform: null, connects: [], disconnects: [] };
  const calls: Record<string, () => Promise<unknown>> = {
    ...Object.fromEntries(
      (['start', 'stop', 'restart', 'pause', 'unpause', 'kill', 'remove'] as const).map((action) => [
        action,
        () => docker.actOnContainer('web', action),
      ]),
    ),
    rename: () => docker.renameContainer('web', 'other'),
    create: () => docker.createContainer('other', recreation, rules),
    connect: () => docker.connectNetwork('shop', 'web', {}),
    disconnect: () => docker.disconnectNetwork('shop', 'web'),
    pull: () => docker.pullImage(image, {}, null, signal),
    tag: () => docker.tagImage('a', image),
    prune: () => docker.pruneImages(true),
    untag: () => docker.removeImage('lab/web:1', false),
  };
  for (const [name, call] of Object.entries(calls)) {
    await t.rejects(call(), { code: 'disabled', status: 403, message: /READ_ONLY is on/ }, name);
  }
  t.equal((await docker.listContainers()).length, 1, 'while reading goes on');
  t.strictSame(
    engine.requests.map(({ method }) => method),
    ['GET'],
  );
  const told = gateLines.filter(({ method }) => method !== 'GET').length;
  t.equal(Object.keys(calls).length, told, 'each changing call of the table was tried');
});

t.test('a call is open as long as one of those that need it is', async (t) => {
  const stop = { method: 'POST', path: '/containers/web/stop' } as const;
  t.doesNotThrow(() => checkCall(stop, new Set(['control'])));
  t.doesNotThrow(() => checkCall(stop, new Set(['rebuild'])));
  t.throws(() => checkCall(stop, new Set(['control', 'rebuild'])), { code: 'disabled' });
  for (const { method, needs } of gateLines) {
    t.ok(needs.length > 0, 'each is for something');
    t.equal(method === 'GET', needs.includes('read'), 'what changes nothing is for reading');
  }
});
