import t, { type Test } from 'tap';
import { createEngineRights } from '../../src/services/engine-rights.ts';
import type { EngineState, InventoryChange } from '../../src/services/inventory.ts';
import type { FaultMatch } from '../simulated/engine.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';
import { type AppOptions, startApp, type TestApp, until } from '../support/app.ts';
import { operation, untilOperation } from '../support/operations.ts';
import { findAll, parseHtml } from '../support/page.ts';

const whole = 'Nothing can be changed: ';
const proxyNotice = `${whole}what is in front of the engine refuses it.`;

/** An application whose engine has something in front of it that refuses calls. */
async function startBehind(
  t: Test,
  match: FaultMatch | undefined,
  by: 'status' | 'hanging up' = 'status',
  options: AppOptions = {},
) {
  const engine = await createSimulatedEngine();
  engine.addContainer({ name: 'web', image: 'lab/web:1', labels: { 'com.docker.compose.project': 'shop' } });
  engine.addImage({ tags: ['lab/spare:1'] });
  const fault = engine.faults.refuses(match, by);
  const app = await startApp(t, { ...options, engine });
  t.teardown(() => engine.close());
  return { app, engine, fault };
}

const pages = ['/containers', '/containers/web', '/projects/shop', '/images', '/operations'];

const notice = async (app: TestApp, path = '/containers') =>
  /<div id="limits">(.*?)<\/div>/s
    .exec((await app.get(path)).text)?.[1]
    ?.replace(/<.*?>/gs, '')
    .trim();

/** What a page offers that would change the engine, by the last word of its address. */
async function offered(app: TestApp, path: string): Promise<string[]> {
  const targets = findAll(parseHtml((await app.get(path)).text), () => true).map(
    ({ attributes: { action, formaction, href } }) => formaction ?? action ?? href ?? '',
  );
  const verbs = targets.map(
    (target) => /\/(start|stop|restart|pause|unpause|kill|remove|rebuild|pull|prune|check)$/.exec(target)?.[1] ?? '',
  );
  return [...new Set(verbs.filter(Boolean))].sort();
}

const changes = [
  '/containers/web/stop',
  '/containers/web/remove',
  '/containers/web/rebuild',
  '/projects/shop/stop',
  '/projects/shop/rebuild',
  '/images/lab%2Fspare:1/remove',
  '/images/prune',
  '/images/check',
];

for (const [name, reason, start] of [
  [
    'READ_ONLY',
    `${whole}READ_ONLY is on.`,
    (t: Test) => startBehind(t, { times: 0 }, 'status', { env: { READ_ONLY: 'true' } }),
  ],
  ['a proxy that refuses every change', proxyNotice, (t: Test) => startBehind(t, undefined)],
  ['a proxy that hangs up at every change', proxyNotice, (t: Test) => startBehind(t, undefined, 'hanging up')],
] as const) {
  t.test(`${name}: pages say why nothing can be changed, and offer nothing`, async (t) => {
    const { app, engine } = await start(t);
    for (const path of pages) {
      t.equal(await notice(app, path), reason, `${path} says so`);
      t.strictSame(await offered(app, path), [], `${path} offers nothing`);
    }
    for (const path of changes) {
      const problem = { status: 403, code: 'disabled', detail: reason };
      t.match(JSON.parse((await app.post(`/api${path}`, {})).text), problem, path);
      t.match(await app.form(path), { status: 403, text: reason }, `${path} as a form`);
    }
    for (const path of ['/containers/web/rebuild', '/containers/web/remove', '/images/pull', '/images/prune'])
      t.equal((await app.get(path)).status, 403, path);
    t.strictSame(
      engine.requests.filter(({ method }) => method !== 'GET'),
      [],
      'nothing was sent',
    );
    t.equal(engine.probes.length > 0, name !== 'READ_ONLY', 'where it is known, nothing is asked');
    t.equal(engine.container('web').state, 'running');
    t.equal(
      (await app.get('/alerts/rules/new?kind=died')).status,
      name === 'READ_ONLY' ? 403 : 200,
      'alerts are not of the engine',
    );
  });
}

t.test('an engine that allows all is asked without a change, and offers all', async (t) => {
  const { app, engine } = await startBehind(t, { times: 0 });
  const before = JSON.stringify([engine.containers().map(({ name, state }) => [name, state]), engine.images().length]);
  t.equal(engine.probes.length, 14);
  t.ok(
    engine.probes.every(({ status }) => status !== null && [400, 404].includes(status)),
    engine.probes.map(({ method, path, status }) => `${method} ${path}: ${status}`).join('\n'),
  );
  t.equal(
    JSON.stringify([engine.containers().map(({ name, state }) => [name, state]), engine.images().length]),
    before,
  );
  t.equal(await notice(app), '');
  t.strictSame(await offered(app, '/containers/web'), ['kill', 'pause', 'rebuild', 'remove', 'restart', 'stop']);
});

const partly = 'Not everything can be done: what is in front of the engine refuses';

t.test('what is refused in part is left out in part', async (t) => {
  const cases: [string, FaultMatch, string, Record<string, string[]>][] = [
    [
      'control',
      { path: /^\/containers\/[^/]+\/(start|stop|restart|pause|unpause|kill)$/ },
      // A rebuild stops one and starts another.
      `${partly} starting and stopping containers and rebuilding containers.`,
      { '/containers/web': ['remove'], '/projects/shop': ['remove'], '/images': ['check', 'prune', 'pull', 'remove'] },
    ],
    [
      'creation',
      { path: /^\/containers\/create$/ },
      `${partly} rebuilding containers.`,
      { '/containers/web': ['kill', 'pause', 'remove', 'restart', 'stop'] },
    ],
    [
      'killing',
      { path: /\/kill$/ },
      `${partly} killing containers.`,
      { '/containers/web': ['pause', 'rebuild', 'remove', 'restart', 'stop'] },
    ],
    [
      'images',
      { path: /^\/images\//, isWrite: true },
      `${partly} pulling and removing images and rebuilding containers.`,
      { '/images': [] },
    ],
    [
      'removal',
      { method: 'DELETE', path: /^\/images\// },
      `${partly} removing images.`,
      { '/images': ['check', 'prune', 'pull'] },
    ],
  ];
  for (const [name, match, words, left] of cases) {
    await t.test(name, async (t) => {
      const { app } = await startBehind(t, match);
      t.equal(await notice(app), words);
      for (const [path, verbs] of Object.entries(left)) t.strictSame(await offered(app, path), verbs, path);
    });
  }
  const { app } = await startBehind(t, { path: /^\/containers\/create$/ });
  const detail = 'Rebuilding containers is not possible: what is in front of the engine refuses it.';
  t.match(JSON.parse((await app.post('/api/containers/web/rebuild')).text), { status: 403, code: 'disabled', detail });
  t.equal((await app.post('/api/containers/web/stop')).status, 200, 'the rest can be done');
});

t.test('a refusal that comes later is told in words, and learned', async (t) => {
  const { app, engine } = await startBehind(t, { times: 0 });
  const live = app.live('/live');
  t.equal(await live.opened, 101);
  const fault = engine.faults.refuses();
  t.match(JSON.parse((await app.post('/api/containers/web/stop')).text), {
    status: 403,
    code: 'disabled',
    detail: 'What is in front of the engine refuses this: POST /containers/:id/stop (403).',
  });
  await until(() => live.text().includes(proxyNotice), 'pages that are open are told');
  t.equal(await notice(app), proxyNotice);
  fault.remove();
  await engine.restart();
  await until(async () => (await notice(app)) === '', 'and told when an engine came back that allows it');
  await until(() => /<div id="limits"><\/div>/.test(live.frames.at(-1) ?? ''), 'so are open pages');
});

t.test('long work that is refused on its way says so', async (t) => {
  const { app, engine } = await startBehind(t, { times: 0 });
  engine.publish('registry.test/lab/new:1');
  engine.faults.refuses({ path: /^\/images\/create$/ });
  const { id } = JSON.parse((await app.post('/api/images/pull', { reference: 'registry.test/lab/new:1' })).text) as {
    id: number;
  };
  const done = await untilOperation(app, id, ({ state }) => state === 'failed', 'it fails');
  t.match(done, { error: 'What is in front of the engine refuses this: POST /images/create (403).' });
  t.match(await operation(app, id), { state: 'failed' });
});

t.test('a 403 that the engine itself means is not taken for a refusal in front of it', async (t) => {
  const { app, engine } = await startBehind(t, { times: 0 });
  const words = '{"message":"container web is a part of a swarm"}';
  const own = engine.faults.status(403, words, 'application/json', { path: /\/stop$/ });
  t.match(JSON.parse((await app.post('/api/containers/web/stop')).text), { status: 502, code: 'engine_error' });
  own.remove();
  const plugin = '{"message":"authorization denied by plugin lab: not today"}';
  engine.faults.status(403, plugin, 'application/json', { path: /\/stop$/ });
  t.match(JSON.parse((await app.post('/api/containers/web/stop')).text), {
    status: 403,
    code: 'disabled',
    engineMessage: 'authorization denied by plugin lab: not today',
  });
  t.equal(await notice(app), '', 'probes are answered by the engine as ever');
});

t.test('an engine that goes away while it is asked is not taken for one that refuses', async (t) => {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  engine.faults.refuses(undefined, 'hanging up');
  // The first finds the engine, the next one is asked once calls were hung up on.
  engine.faults.drop({ path: /^\/_ping$/, skip: 1, times: 1 });
  const app = await startApp(t, { engine });
  t.equal(await notice(app), '');
});

t.test('while anything is refused it is asked again by itself, and not when nothing is or after the end', async (t) => {
  const answers: ReadonlySet<'kill'>[] = [new Set(['kill']), new Set(['kill']), new Set()];
  let asked = 0;
  const rights = createEngineRights({
    docker: { findRefused: async () => answers[asked++] ?? new Set(), onRefused: () => () => {} },
    inventory: {
      engine: () => ({ status: 'connected', since: 1 }) as EngineState,
      onChange(listener) {
        listener({ engine: true } as InventoryChange);
        return () => {};
      },
    },
    isReadOnly: false,
    log: { info: () => {}, warn: () => {} },
    recheckMs: 5,
  });
  await rights.settled();
  t.strictSame(rights.limits().refused, ['kill']);
  await until(() => rights.limits().notice === null, 'it is allowed again');
  t.equal(asked, 3);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(asked, 3, 'then nobody asks any more');
  rights.close();
});
