import { mock } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createAttention } from '../../src/services/attention.ts';
import { createDocker } from '../../src/services/docker.ts';
import type { EventReader } from '../../src/services/engine-link.ts';
import {
  createInventory,
  type Inventory,
  type InventoryChange,
  type InventoryTimings,
} from '../../src/services/inventory.ts';
import { readJsonLines } from '../../src/services/lines.ts';
import { createRefresher } from '../../src/services/refresher.ts';
import { createSimulatedEngine, type SimulatedEngine, type SimulatedEngineOptions } from '../simulated/engine.ts';
import { until } from '../support/app.ts';
import { createRandom } from '../support/random.ts';

const quick: InventoryTimings = {
  firstRetry: 20,
  lastRetry: 100,
  ping: 50,
  reconcile: 60_000,
  coalesce: 50,
  doubt: 2_000,
};

const silentLog = { info() {}, warn() {} };

type Setting = SimulatedEngineOptions & {
  timings?: Partial<InventoryTimings>;
  prepare?: (engine: SimulatedEngine) => unknown;
  waits?: boolean;
  callMs?: number;
  keeper?: EventReader;
};

/** An inventory that follows a simulated engine, with all that it published. */
async function follow(t: Test, { timings, prepare, waits = true, callMs = 5_000, keeper, ...options }: Setting = {}) {
  const engine = await createSimulatedEngine(options);
  t.teardown(() => engine.close());
  await prepare?.(engine);
  const address = { kind: 'unix', path: engine.socketPath, text: engine.host } as const;
  const docker = createDocker(address, { ping: Math.min(2_000, callMs), list: callMs, action: callMs });
  const attention = createAttention(50);
  const inventory = createInventory(docker, silentLog, attention, { ...quick, ...timings });
  const changes: InventoryChange[] = [];
  const lookAway = attention.hold();
  inventory.onChange((change) => changes.push(change));
  t.teardown(() => {
    inventory.close();
    docker.close();
  });
  if (keeper) inventory.keepEvents(keeper);
  inventory.start();
  if (waits) await until(() => inventory.engine().status === 'connected', 'the inventory is connected');
  const named = (name: string) => inventory.containers().find((container) => container.name === name);
  const lists = () => engine.requestsTo('GET', /^\/containers\/json$/);
  return { engine, docker, inventory, attention, lookAway, changes, named, lists };
}

const states = (inventory: Inventory) =>
  inventory
    .containers()
    .map(({ name, state }) => `${name} ${state}`)
    .sort();

t.test('one list at the start, then nothing is asked while nothing happens', async (t) => {
  const { engine, inventory, lists } = await follow(t, {
    prepare: (engine) => {
      for (let n = 0; n < 200; n++) engine.addContainer({ name: `c${n}` });
    },
  });
  t.equal(inventory.containers().length, 200);
  t.equal(lists().length, 1);
  t.equal(engine.requestsTo('GET', /^\/containers\/[^/]+\/json$/).length, 0, 'no container is inspected');
  const pings = () => engine.requestsTo('GET', /^\/_ping$/).length;
  const before = pings();
  await until(() => pings() > before + 3, 'some pings later');
  t.equal(lists().length, 1, 'a ping beside the stream is all that is asked');
  t.match(inventory.engine(), { version: '28.5.2+dfsg4', apiVersion: '1.51', cpus: 2, isPodman: false });
});

t.test(
  'while nobody looks, the engine is asked for nothing beside its stream, and what it tells is true all the same',
  async (t) => {
    const timings = { doubt: 20, reconcile: 60 };
    const { engine, lookAway, attention, inventory, named, lists } = await follow(t, { timings });
    lookAway();
    const settled = async () => {
      engine.forgetRequests();
      await setTimeout(300);
      return engine.requests.length === 0;
    };
    await until(settled, 'six pings and five lists are left out');
    engine.addContainer({ name: 'web' });
    await until(() => named('web')?.state === 'running', 'what an event tells of is asked for');
    await until(settled, 'and no more');
    attention.glance();
    await inventory.checked();
    t.equal(engine.requestsTo('GET', /^\/_ping$/).length, 1, 'who looks waits for a ping');
    await until(() => lists().length > 0, 'and has everything read anew');
    await until(settled, 'and a while later nobody looks any more');
  },
);

t.test('an engine that came to hang while nobody looked is told to the first who looks', async (t) => {
  const { engine, lookAway, attention, inventory } = await follow(t, { callMs: 200 });
  lookAway();
  engine.faults.hang();
  await setTimeout(300);
  t.equal(inventory.engine().status, 'connected', 'nobody has asked');
  attention.glance();
  await inventory.checked();
  t.equal(inventory.engine().status, 'unreachable');
});

t.test('what the engine tells of the past is kept, and changes nothing that is', async (t) => {
  const told: string[] = [];
  const { inventory, named, changes, engine } = await follow(t, {
    keeper: { since: () => '1', opened() {}, lost() {}, event: ({ Action }) => void told.push(Action ?? '') },
    async prepare(engine) {
      engine.addContainer({ name: 'web' });
      engine.pause('web');
      engine.silently(() => engine.unpause('web'));
      const second = Math.floor(Date.now() / 1_000);
      await until(() => Math.floor(Date.now() / 1_000) > second, 'the next second');
    },
  });
  await until(() => told.includes('pause'), 'the past');
  t.same(states(inventory), ['web running']);
  t.notOk(changes.some(({ touched }) => touched.size > 0));
  engine.pause('web');
  await until(() => named('web')?.state === 'paused', 'what comes is taken over');
});

for (const version of ['20.10', '28', 'podman'] as const) {
  t.test(`${version}: every kind of event is right at once`, async (t) => {
    const { engine, inventory, named } = await follow(t, {
      version,
      prepare: (engine) => {
        engine.addContainer({ name: 'web', health: 'starting', ports: ['8080:80'] });
        engine.addContainer({ name: 'job', restart: 'no' });
      },
    });
    const shows = (name: string, expected: object, what: string) =>
      until(() => isLike(named(name), expected), `${name} ${what}`, 2_000).then(
        () => t.pass(what),
        () => t.match(named(name), expected, what),
      );

    if (version !== 'podman') {
      engine.health('web', 'healthy');
      await shows('web', { state: 'running', health: 'healthy' }, 'is healthy');
      engine.health('web', 'unhealthy');
      await shows('web', { state: 'running', health: 'unhealthy' }, 'is unhealthy');
    }
    engine.pause('web');
    await shows('web', { state: 'paused' }, 'is paused');
    engine.unpause('web');
    await shows('web', { state: 'running' }, 'runs again');
    await engine.stop('web');
    await shows('web', { state: 'exited', exitCode: 0, health: null, portsText: '' }, 'is stopped').catch(() => {});
    engine.start('web');
    await shows('web', { state: 'running', exitCode: null, portsText: '8080->80/tcp' }, 'is started');
    engine.kill('web');
    await shows('web', { state: 'exited', exitCode: 137 }, 'is killed');
    await engine.restartContainer('web');
    await shows('web', { state: 'running' }, 'is restarted');
    engine.rename('web', 'front');
    await shows('front', { state: 'running' }, 'has its new name');
    t.equal(named('web'), undefined);
    engine.oom('job');
    await shows('job', { state: 'exited', exitCode: 137, oomKilled: true }, 'ran out of memory');
    engine.start('job');
    await shows('job', { state: 'running', oomKilled: false }, 'runs after it ran out of memory');
    engine.die('job', 3);
    await shows('job', { state: 'exited', exitCode: 3 }, 'ended by itself');
    const added = engine.addContainer({ name: 'new', state: 'created' });
    await shows('new', { id: added.id, state: 'created' }, 'is created');
    engine.removeContainer('new');
    await until(() => !named('new'), 'it is removed');
    engine.removeContainer('front');
    await until(() => !named('front'), 'a running one is removed by force');
    t.strictSame(states(inventory), ['job exited']);
  });
}

function isLike(actual: object | undefined, expected: object): boolean {
  if (!actual) return false;
  const fields = actual as Record<string, unknown>;
  return Object.entries(expected).every(([key, value]) => fields[key] === value);
}

t.test('how late events come is counted', async (t) => {
  const { engine, inventory } = await follow(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const read = (suffix: string) => inventory.eventLag().find((sample) => sample.suffix === suffix)?.value ?? 0;
  t.equal(read('_count'), 0);
  engine.pause('web');
  engine.unpause('web');
  await until(() => read('_count') === 2, 'two events');
  t.ok(read('_sum') >= 0 && read('_sum') < 2, `${read('_sum')} s`);
});

t.test('an event shows before any list confirms it', async (t) => {
  const { engine, named } = await follow(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  engine.faults.hang({ path: /^\/containers\/json$/ });
  engine.die('web', 7);
  await until(() => named('web')?.state === 'exited', 'it is exited', 1_000);
  t.equal(named('web')?.exitCode, 7);
  engine.start('web');
  await until(() => named('web')?.state === 'running', 'it runs', 1_000);
  t.pass('both without a list');
});

t.test('the first change of a burst is asked for at once, the rest in one list for all', async (t) => {
  const { engine, inventory, lists } = await follow(t, {
    prepare: (engine) => {
      for (let n = 0; n < 30; n++) engine.addContainer({ name: `c${n}`, state: 'exited' });
    },
  });
  engine.forgetRequests();
  for (let n = 0; n < 30; n++) engine.start(`c${n}`);
  await until(
    () => inventory.containers().every(({ portsText, state }) => portsText === '' && state === 'running'),
    'all run',
  );
  await until(() => lists().length > 0, 'a list');
  for (let round = 0; round < 5; round++) for (let n = 0; n < 30; n++) engine.emit(update(engine, `c${n}`));
  await until(() => lists().length >= 2, 'a second list');
  const asked = lists();
  t.ok(asked.length <= 4, `180 events and 30 starts: ${asked.length} lists`);
  for (const { query } of asked) t.ok(JSON.parse(query.filters ?? '{}').id, 'each is filtered by id');
  const largest = Math.max(...asked.map(({ query }) => JSON.parse(query.filters ?? '{}').id.length));
  t.equal(largest, 30, 'one call for all that changed');
  t.equal(engine.requestsTo('GET', /^\/containers\/[^/]+\/json$/).length, 0, 'never an inspect');
});

const update = (engine: SimulatedEngine, name: string) => ({
  type: 'container',
  action: 'update',
  id: engine.container(name).id,
  attributes: { name },
});

t.test('a container that changes all the time is listed at most once each 50 ms', async (t) => {
  const { engine, lists } = await follow(t, { prepare: (engine) => engine.addContainer({ name: 'busy' }) });
  engine.forgetRequests();
  const startedAt = performance.now();
  await engine.storm({ count: 300, perSecond: 1_000, make: () => update(engine, 'busy') });
  await until(() => lists().length > 1, 'it was listed');
  const ms = performance.now() - startedAt;
  t.ok(
    lists().every(({ query }) => query.filters?.includes(engine.container('busy').id)),
    'each for it alone',
  );
  t.ok(lists().length <= ms / 50 + 2, `${lists().length} lists in ${Math.round(ms)} ms`);
});

t.test('a health check and a top cause no call', async (t) => {
  const { engine, changes, lists, named } = await follow(t, {
    prepare: (engine) => engine.addContainer({ name: 'web' }),
  });
  engine.forgetRequests();
  changes.length = 0;
  const { id } = engine.container('web');
  for (const action of [
    'exec_create: sh -c true',
    'exec_start: sh -c true',
    'exec_die',
    'exec_detach',
    'top',
    'attach',
  ])
    engine.emit({ type: 'container', action, id, attributes: { name: 'web' } });
  // What comes behind them on the same stream has been read when they have.
  engine.rename('web', 'last');
  await until(() => named('last') !== undefined, 'the event behind them');
  t.equal(changes.filter(({ changed }) => changed.has(id)).length, 1, 'only the rename is a change');
  await until(() => lists().length > 0, 'its list');
  t.equal(lists().length, 1, 'only the rename is a reason to ask');
});

t.test('a list that still shows the state before a death does not bring it back', async (t) => {
  const { engine, changes, named } = await follow(t, {
    staleListMs: 300,
    prepare: (engine) => engine.addContainer({ name: 'web', ports: ['8080:80'] }),
  });
  const { id } = engine.container('web');
  const seen: string[] = [];
  changes.length = 0;
  engine.die('web', 5);
  await until(() => {
    const state = named('web')?.state ?? 'gone';
    if (seen.at(-1) !== state) seen.push(state);
    return state === 'exited' && named('web')?.exitCode === 5 && engine.container('web').stale === null;
  }, 'the list agrees with the event');
  t.same(
    seen.filter((state, index) => state !== 'running' || index > 0),
    ['exited'],
    'it never runs again',
  );
  engine.start('web');
  await until(() => named('web')?.state === 'running', 'it runs');
  seen.length = 0;
  engine.pause('web');
  await until(() => named('web')?.state === 'paused', 'it is paused');
  await until(() => {
    seen.push(named('web')?.state ?? 'gone');
    return engine.container('web').stale === null;
  }, 'the list agrees');
  t.ok(
    seen.every((state) => state === 'paused'),
    'a pause does not flicker',
  );
  t.ok(changes.some(({ changed }) => changed.has(id)));
});

t.test('an event that comes during a list wins over the list', async (t) => {
  const { engine, docker, inventory, named } = await follow(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'gone' });
      engine.addContainer({ name: 'web', state: 'exited' });
    },
  });
  const ids = engine.containers().map(({ id }) => id);
  const old = JSON.stringify(await docker.listContainers());
  const lists = () => engine.requestsTo('GET', /^\/containers\/json$/).length;
  const before = lists();
  // An answer that was made before the events and arrives behind them.
  engine.faults.delay(150, { path: /^\/containers\/json$/, times: 1 });
  engine.faults.status(200, old, 'application/json', { path: /^\/containers\/json$/, times: 1 });
  const asked = inventory.refresh(ids);
  await until(() => lists() === before + 1, 'the list is asked');
  engine.faults.hang({ path: /^\/containers\/json$/ });
  engine.removeContainer('gone');
  engine.start('web');
  await until(() => !named('gone') && named('web')?.state === 'running', 'the events are seen');
  await asked;
  t.equal(named('gone'), undefined, 'an older list does not bring it back');
  t.equal(named('web')?.state, 'running', 'nor stop what was started');
});

t.test('events that were lost are healed by the next reconcile', async (t) => {
  const { engine, inventory, changes } = await follow(t, {
    timings: { reconcile: 200 },
    prepare: (engine) => {
      for (const name of ['aa', 'bb', 'cc']) engine.addContainer({ name });
    },
  });
  changes.length = 0;
  engine.silently(() => {
    engine.die('aa', 1);
    engine.removeContainer('bb');
    engine.addContainer({ name: 'dd' });
  });
  await until(() => states(inventory).join() === 'aa exited,cc running,dd running', 'all is true again');
  const changed = new Set(changes.flatMap((change) => [...change.changed]));
  t.notOk(changed.has(engine.container('cc').id), 'what did not differ is not published');
  t.equal(changes.filter((change) => change.removed.size > 0).length, 1);
  t.equal(changes.filter((change) => change.engine).length, 0, 'nobody was told that the engine was away');
});

t.test('a stream that is cut is opened again, and only what differs is published', async (t) => {
  const { engine, inventory, changes } = await follow(t, {
    prepare: (engine) => {
      for (const name of ['aa', 'bb']) engine.addContainer({ name });
    },
  });
  changes.length = 0;
  engine.silently(() => engine.die('aa', 1));
  engine.faults.dropStreams({ path: /events/ });
  await until(() => changes.some((change) => change.engine), 'the loss is told');
  await until(() => inventory.engine().status === 'connected' && states(inventory)[0] === 'aa exited', 'it is back');
  const changed = new Set(changes.flatMap((change) => [...change.changed]));
  t.strictSame([...changed], [engine.container('aa').id]);
  await until(() => engine.openStreams('events').length === 1, 'one stream');
  engine.addContainer({ name: 'cc' });
  await until(() => states(inventory).length === 3, 'events come again');
  t.pass('and later events come over the new stream');
});

t.test('an engine that is away is asked again with a growing pause', async (t) => {
  const { engine, inventory, named } = await follow(t, {
    timings: { firstRetry: 20, lastRetry: 80 },
    prepare: (engine) => engine.addContainer({ name: 'web' }),
  });
  await engine.refuse();
  await until(() => inventory.engine().status === 'unreachable', 'the loss is noticed', 1_000);
  t.match(inventory.engine().detail, /^Cannot connect to the Docker daemon at unix:\/\//);
  t.equal(inventory.engine().version, '28.5.2+dfsg4', 'who it was is remembered');
  t.ok(named('web'), 'what it had is remembered');
  engine.silently(() => engine.removeContainer('web'));
  await engine.listen();
  await until(() => inventory.engine().status === 'connected', 'it is back', 1_000);
  t.equal(named('web'), undefined);
});

t.test('whoever waits for the first look at the engine waits no longer than it takes', async (t) => {
  const { inventory } = await follow(t, { waits: false, prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const won = await Promise.race([inventory.ready.then(() => 'ready'), setTimeout(1_500, 'late')]);
  t.equal(won, 'ready');
  t.strictSame(states(inventory), ['web running']);
});

t.test('an engine that starts later than the program is found', async (t) => {
  const { engine, inventory } = await follow(t, { waits: false, prepare: (engine) => engine.refuse() });
  await inventory.ready;
  t.equal(inventory.engine().status, 'unreachable');
  engine.addContainer({ name: 'web' });
  await engine.listen();
  await until(() => states(inventory).length === 1, 'it is found', 2_000);
  t.equal(inventory.engine().status, 'connected');
});

t.test('an engine that hangs with every stream open is noticed, and what it did meanwhile is seen', async (t) => {
  const { engine, inventory } = await follow(t, {
    callMs: 300,
    prepare: (engine) => engine.addContainer({ name: 'web' }),
  });
  const frozen = engine.faults.hang();
  await until(() => inventory.engine().status === 'unreachable', 'the silence is noticed', 3_000);
  t.match(inventory.engine().detail, /did not answer GET \/_ping within/);
  engine.die('web', 9);
  frozen.remove();
  await until(() => inventory.engine().status === 'connected', 'it is back', 3_000);
  t.strictSame(states(inventory), ['web exited']);
  await until(() => engine.openStreams('events').length === 1, 'the old stream was given up', 3_000);
});

t.test('with the bounds that people get, an engine that hangs is noticed within 5 s', async (t) => {
  const { engine, inventory } = await follow(t, { timings: { ping: 2_000 }, callMs: 10_000 });
  const frozen = engine.faults.hang();
  const startedAt = performance.now();
  await until(() => inventory.engine().status === 'unreachable', 'the silence is noticed', 8_000);
  const ms = performance.now() - startedAt;
  t.ok(ms < 5_000, `${Math.round(ms)} ms`);
  frozen.remove();
});

t.test('a restart that accepts connections and stays silent ends well', async (t) => {
  const { engine, inventory } = await follow(t, {
    callMs: 200,
    prepare: (engine) => {
      engine.addContainer({ name: 'once' });
      engine.addContainer({ name: 'always', restart: 'always' });
    },
  });
  await engine.restart({ downMs: 50, silentMs: 700, containers: 'exited' });
  await until(() => inventory.engine().status === 'connected', 'it is back', 3_000);
  await until(() => states(inventory).join() === 'always running,once exited', 'all is true', 3_000);
  t.equal(inventory.containers().find(({ name }) => name === 'once')?.exitCode, 137);
});

t.test('what happens between the stream and the first list is not lost', async (t) => {
  const { engine, inventory } = await follow(t, {
    waits: false,
    prepare: (engine) => {
      engine.addContainer({ name: 'aa' });
      engine.faults.delay(120, { path: /^\/containers\/json$/, times: 1 });
    },
  });
  await until(() => engine.openStreams('events').length === 1, 'the stream is open');
  const late = engine.addContainer({ name: 'bb' });
  engine.die('aa', 4);
  await until(() => states(inventory).join() === 'aa exited,bb running', 'both are seen');
  t.ok(inventory.container(late.id));
});

t.test('a death just before the stream was open, which the first list does not show yet, is seen soon', async (t) => {
  const { engine, named } = await follow(t, {
    staleListMs: 200,
    timings: { doubt: 300 },
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      engine.die('web', 1);
    },
  });
  t.equal(named('web')?.state, 'running', 'so says the list');
  t.equal(engine.container('web').state, 'exited');
  await until(() => named('web')?.state === 'exited', 'it is right without an event', 2_000);
  t.pass('a second look heals it');
});

t.test('images follow their events', async (t) => {
  const { engine, inventory, changes } = await follow(t, {
    prepare: (engine) => engine.addImage({ tags: ['lab/web:1'], size: 10 }),
  });
  const tags = () =>
    inventory
      .images()
      .flatMap((image) => image.tags)
      .sort()
      .join();
  t.equal(tags(), 'lab/web:1');
  engine.addImage({ tags: ['lab/db:2'] });
  await until(() => tags() === 'lab/db:2,lab/web:1', 'a new one');
  engine.tagImage('lab/web:1', 'lab/web:2');
  await until(() => tags() === 'lab/db:2,lab/web:1,lab/web:2', 'a new tag');
  engine.removeImage('lab/db:2');
  await until(() => tags() === 'lab/web:1,lab/web:2', 'one is removed');
  t.ok(
    changes.every((change) => change.changed.size === 0),
    'no container changed by that',
  );
});

t.test('a container is found by id, by name, and by a prefix of 12 that is not ambiguous', async (t) => {
  const twin = 'ab'.repeat(10);
  const { inventory } = await follow(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'one', id: `${twin}1${'0'.repeat(43)}` });
      engine.addContainer({ name: 'two', id: `${twin}2${'0'.repeat(43)}` });
      // A name may look like the beginning of another container's id.
      engine.addContainer({ name: `${twin}1`, id: 'f'.repeat(64) });
    },
  });
  t.equal(inventory.findContainer('one')?.name, 'one');
  t.equal(inventory.findContainer(`${twin}2`)?.name, 'two');
  t.equal(inventory.findContainer(`${twin}1`)?.id, 'f'.repeat(64), 'a name wins over a prefix, as with Docker');
  t.equal(inventory.findContainer(twin), undefined, 'an ambiguous prefix is nobody');
  t.equal(inventory.findContainer('f'.repeat(11)), undefined, 'eleven characters are too few');
  t.equal(inventory.findContainer('f'.repeat(12))?.id, 'f'.repeat(64));
});

t.test('the state of a long storm is the state of the engine', async (t) => {
  const random = createRandom(7);
  const { engine, inventory } = await follow(t, {
    staleListMs: 20,
    restartDelayMs: 10,
    timings: { doubt: 500 },
    prepare: (engine) => {
      for (let n = 0; n < 20; n++) engine.addContainer({ name: `c${n}`, ...(n % 5 === 0 && { restart: 'always' }) });
    },
  });
  for (let step = 0; step < 600; step++) {
    stir(engine, random, step);
    if (step % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (step % 150 === 149) engine.faults.dropStreams({ path: /events/ });
  }
  const truth = () =>
    engine
      .containers()
      .map(({ name, state }) => `${name} ${state}`)
      .sort()
      .join();
  await until(() => states(inventory).join() === truth(), 'they agree', 5_000).catch(() => {});
  t.equal(states(inventory).join(), truth());
});

/** Something that may happen to some container; what can't happen now is passed over. */
function stir(engine: SimulatedEngine, random: () => number, step: number) {
  const all = engine.containers();
  const one = all[Math.floor(random() * all.length)];
  const doings = [
    () => one && engine.start(one.id),
    () => one && engine.die(one.id, Math.floor(random() * 3)),
    () => one && engine.pause(one.id),
    () => one && engine.unpause(one.id),
    () => one && engine.rename(one.id, `r${step}`),
    () => one && all.length > 5 && engine.removeContainer(one.id),
    () => engine.addContainer({ name: `n${step}` }),
    () => one && engine.kill(one.id),
  ];
  try {
    doings[Math.floor(random() * doings.length)]?.();
  } catch {}
}

t.test('the words of a status stay as old as they are', async (t) => {
  const { inventory, named, engine } = await follow(t, {
    prepare: (engine) => engine.addContainer({ name: 'old', startedAt: Date.now() - 3 * 3_600_000 }),
  });
  const first = named('old')?.words.since ?? 0;
  t.ok(Math.abs(first - (Date.now() - 3 * 3_600_000)) < 3_600_000, 'three hours, as far as the words tell');
  await inventory.refresh([engine.container('old').id]);
  t.equal(named('old')?.words.since, first, 'a later list of the same run changes nothing');
  engine.die('old', 0);
  await until(() => named('old')?.words.state === 'exited', 'it ends');
  t.ok(Date.now() - (named('old')?.words.since ?? 0) < 2_000, 'an event tells the moment itself');
});

t.test('events are read one by one whatever their chunks are', async (t) => {
  const { Readable } = await import('node:stream');
  const seen: string[] = [];
  const text = `{"Action":"ä"}\n\nnot json\nnull\n5\n{"Action":"b"}\n{"Action":"c"`;
  const bytes = [...Buffer.from(text)].map((byte) => Buffer.from([byte]));
  await readJsonLines(Readable.from(bytes), (event) => seen.push(String(event.Action)));
  t.strictSame(seen, ['ä', 'b'], 'split characters and broken lines do no harm');
  const endless = readJsonLines(Readable.from(['x'.repeat(2_000)]), () => {}, 1_000);
  await t.rejects(endless, /line without end/);
});

t.test('a timer that fires too early asks for nothing', async (t) => {
  const asked: string[][] = [];
  const refresher = createRefresher<string>(async (keys) => void asked.push([...keys]), 25);
  for (let round = 0; round < 40; round++) {
    refresher.add('a');
    await setTimeout(10);
  }
  refresher.clear();
  t.ok(asked.length > 5);
  t.ok(
    asked.every((keys) => keys.length === 1),
    'no call names nobody, which an engine reads as everybody',
  );
});

t.test('what a failed call asked for is asked again, and one call runs at a time', async (t) => {
  let running = 0;
  let most = 0;
  const asked: string[] = [];
  const refresher = createRefresher<string>(async (keys) => {
    most = Math.max(most, ++running);
    asked.push(keys.join());
    await setTimeout(20);
    running--;
    if (asked.length === 1) throw new Error('not now');
  }, 10);
  refresher.add('a');
  await until(() => asked.length === 1, 'the first call');
  refresher.add('b');
  await until(() => asked.includes('b') && asked.filter((keys) => keys === 'a').length === 2, 'both');
  refresher.clear();
  t.equal(most, 1);
});

t.test('a call that hangs holds up for a moment what others ask for, and two run at most', async (t) => {
  const hung = Promise.withResolvers<void>();
  const asked: string[] = [];
  const refresher = createRefresher<string>(
    (keys) => {
      asked.push(keys.join());
      return keys.includes('quick') ? Promise.resolve() : hung.promise;
    },
    10,
    50,
  );
  refresher.add('slow');
  await until(() => asked.length === 1, 'the first call');
  refresher.add('quick');
  await until(() => asked.length === 2, 'another beside it');
  refresher.add('slower');
  await until(() => asked.length === 3, 'and another, because that one has its answer');
  refresher.add('quick');
  await setTimeout(150);
  t.same(asked, ['slow', 'quick', 'slower'], 'not a third');
  hung.resolve();
  await until(() => asked.length === 4, 'after them');
  t.equal(asked.at(-1), 'quick');
  refresher.clear();
});

t.test('a clock that is set back holds nothing up', async (t) => {
  mock.timers.enable({ apis: ['Date'], now: Date.UTC(2030, 0, 2) });
  t.teardown(() => mock.timers.reset());
  let asked = 0;
  const refresher = createRefresher<string>(async () => void asked++, 10);
  refresher.add('a');
  await until(() => asked === 1, 'asked for once');
  mock.timers.setTime(Date.UTC(2030, 0, 1));
  refresher.add('a');
  await until(() => asked === 2, 'and again', 2_000);
  refresher.clear();
});

t.test('a container of which an event tells before the list does is asked for until it is there', async (t) => {
  const { engine, named } = await follow(t);
  engine.faults.status(200, '[]', 'application/json', { path: /containers\/json/, times: 2 });
  engine.addContainer({ name: 'web' });
  await until(() => named('web')?.state === 'running', 'it is there', 2_000);
  t.pass('without another event');
});

t.test('a container that no list ever shows is not asked for without end', async (t) => {
  const { engine, lists } = await follow(t, { timings: { doubt: 200, reconcile: 60_000 } });
  await until(() => lists().length >= 2, 'the second look has been');
  engine.forgetRequests();
  engine.emit({ type: 'container', action: 'create', id: 'f'.repeat(64), attributes: { name: 'ghost' } });
  await until(() => lists().length > 1, 'it is asked for again');
  const settled = async () => {
    const before = lists().length;
    await setTimeout(200);
    return lists().length === before;
  };
  await until(settled, 'the asking ends', 5_000);
  t.ok(lists().length <= 8, `asked ${lists().length} times`);
});

t.test('a closed inventory asks nothing and holds no stream', async (t) => {
  const { engine, inventory } = await follow(t);
  inventory.close();
  await until(() => engine.openStreams('events').length === 0, 'the stream ends');
  engine.forgetRequests();
  await setTimeout(150);
  t.equal(engine.requests.length, 0);
});

t.test('nonsense in events and lists ends nothing and hides nothing', async (t) => {
  const { engine, inventory, named } = await follow(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  for (const action of [5, null, {}]) engine.emit({ type: 'container', action: action as string, id: 'x' });
  engine.emit({
    type: 'container',
    action: 'rename',
    id: engine.container('web').id,
    attributes: { name: 5 as never },
  });
  engine.addContainer({ name: 'later', state: 'running' });
  await until(() => named('later')?.state === 'running', 'events are still read');
  t.equal(named('web')?.name, 'web');
  t.equal(inventory.engine().status, 'connected');

  const list = [
    { Id: 'x"><img src=x id="', Names: ['/evil'] },
    { Id: 'b'.repeat(64), Names: 'x', Image: 5, Labels: { 'com.docker.compose.project': 5 }, Status: 5, Created: 1e20 },
    null,
  ];
  engine.faults.status(200, JSON.stringify(list), 'application/json', { path: /containers\/json/ });
  await inventory.refresh(['b'.repeat(64)]);
  t.match(named('b'.repeat(12)), { createdAt: 0, project: null, image: '' }, 'what can be read of it is shown');
  t.notOk(named('evil'), 'what has no proper id is not');
});

t.test('a kill for want of memory is remembered, however long the death takes', async (t) => {
  const { engine, inventory, named } = await follow(t, {
    prepare: (engine) => engine.addContainer({ name: 'web', state: 'running' }),
  });
  const { id } = engine.container('web');
  engine.emit({ type: 'container', action: 'oom', id });
  await until(() => named('web')?.oomKilled === true, 'it is seen');
  await inventory.refresh([id]);
  t.equal(named('web')?.oomKilled, true, 'a list that still says running does not undo it');
  engine.die('web', 137);
  await until(() => named('web')?.state === 'exited', 'it ends');
  await inventory.refresh([id]);
  t.equal(named('web')?.oomKilled, true);
  engine.start('web');
  await until(() => named('web')?.state === 'running', 'it runs again');
  t.equal(named('web')?.oomKilled, false, 'a new run does');
});

t.test('a late answer about some never brings back what is gone', async (t) => {
  const { engine, inventory, named } = await follow(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web', state: 'running' });
      engine.addContainer({ name: 'two', state: 'running' });
    },
  });
  const { id } = engine.container('two');
  const filtered = { path: /containers\/json/, times: 1 };
  const items = [{ Id: id, Names: ['/two'], State: 'running', Status: 'Up 2 minutes' }];
  engine.faults.status(200, JSON.stringify(items), 'application/json', filtered);
  engine.faults.delay(200, filtered);
  const late = inventory.refresh([id]);
  engine.removeContainer('two');
  await until(() => named('two') === undefined, 'it is gone');
  await late;
  t.equal(named('two'), undefined, 'and stays so');
});

t.test('what only an inspect shows is said to be touched', async (t) => {
  const { engine, changes } = await follow(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { id } = engine.container('web');
  engine.emit({ type: 'container', action: 'update', id });
  await until(() => changes.some((change) => change.touched.has(id)), 'an update touches');
});

t.test("a listener's fault is its own", async (t) => {
  const { engine, inventory, named } = await follow(t);
  inventory.onChange(() => {
    throw new Error('a fault of a listener');
  });
  engine.addContainer({ name: 'web', state: 'running' });
  await until(() => named('web')?.state === 'running', 'the inventory goes on');
});

t.test('a container that somebody stopped is told from one that failed', async (t) => {
  const { engine, named, lists } = await follow(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'stopped', state: 'running' });
      engine.addContainer({ name: 'failed', state: 'running' });
    },
  });
  const before = lists().length;
  engine.emit({ type: 'container', action: 'kill', id: engine.container('stopped').id, attributes: { signal: '1' } });
  engine.emit({ type: 'container', action: 'kill', id: engine.container('stopped').id, attributes: { signal: '9' } });
  await until(() => named('stopped')?.isStopAsked === true, 'a kill says that it was asked to end');
  t.equal(lists().length, before, 'and asks the engine nothing');
  engine.die('stopped', 137);
  engine.die('failed', 137);
  await until(() => named('failed')?.state === 'exited' && named('stopped')?.state === 'exited', 'both end');
  t.equal(named('failed')?.isStopAsked, false);
  t.equal(named('stopped')?.isStopAsked, true);
  engine.start('stopped');
  await until(() => named('stopped')?.isStopAsked === false, 'a new run knows nothing of it');
});
