import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import type { Deps } from '../src/deps.ts';
import { openContainer } from '../src/feeds/container.ts';
import { createRowCaches, openContainerList } from '../src/feeds/containers.ts';
import { openDashboard } from '../src/feeds/dashboard.ts';
import { openOperation } from '../src/feeds/operations.ts';
import { createEta } from '../src/render.ts';
import type { Container } from '../src/services/containers.ts';
import type { InventoryChange } from '../src/services/inventory.ts';
import { createLive } from '../src/services/live.ts';
import type { ViewContext } from '../src/views/models/context.ts';
import { startApp, until } from './support/app.ts';
import { byId, findAll, parseHtml, textOf } from './support/page.ts';
import { openViewer } from './support/viewer.ts';

const missing = 'f'.repeat(64);
const eta = createEta();

const context = (): ViewContext => ({
  now: Date.now(),
  host: 'localhost',
  base: '',
  can: {
    all: true,
    control: true,
    remove: true,
    images: true,
    rebuild: true,
    alerts: true,
    admin: true,
    reveal: true,
    refused: [],
  },
});

const container: Container = {
  id: 'a'.repeat(64),
  name: 'web',
  image: 'lab/web:1',
  imageId: `sha256:${'b'.repeat(64)}`,
  state: 'running',
  words: { text: '', state: 'running', health: null, exitCode: null, since: Date.now(), slack: 0, exact: true },
  health: null,
  exitCode: null,
  oomKilled: false,
  createdAt: Date.now(),
  startedAt: Date.now(),
  ports: [],
  portsText: '',
  project: null,
  projectTitle: 'Standalone Containers',
  service: null,
  networks: [],
  labels: {},
} as unknown as Container;

/** What feeds work with, in the test's hands. */
function createWorld() {
  const listeners = new Set<(change: InventoryChange) => void>();
  const ticks = new Set<(ids: string[]) => void>();
  const others = new Set<() => void>();
  const world = { inspects: 0, health: 'healthy', memory: 1_000_000, fails: false };
  const listen = <T>(all: Set<T>, one: T) => {
    all.add(one);
    return () => void all.delete(one);
  };
  const deps = {
    render: (name: string, data: object) => {
      if (world.fails) throw new Error('a template failed');
      return eta.render(name, data);
    },
    rowFigures: () => ({
      cpuPercent: 1,
      memoryBytes: world.memory,
      memoryLimitBytes: null,
      spark: { line: '', area: '' },
    }),
    config: { statsInterval: 10 },
    docker: {
      inspectContainer: async (Id: string) => {
        world.inspects++;
        return {
          Id,
          State: { StartedAt: new Date(Date.now() - 5_000).toISOString(), Health: { Status: world.health } },
        };
      },
    },
    inventory: {
      containers: () => [container],
      container: (id: string) => (id === container.id ? container : undefined),
      findContainer: () => undefined,
      findImage: () => undefined,
      engine: () => ({ status: 'connected', version: '28' }),
      onChange: (listener: (change: InventoryChange) => void) => listen(listeners, listener),
    },
    stats: { onTick: (listener: (ids: string[]) => void) => listen(ticks, listener) },
    operations: { holder: () => undefined, onClaims: (listener: () => void) => listen(others, listener) },
    updates: {
      referenceOf: () => undefined,
      ofContainer: () => ({ state: 'local', checkedAt: null, error: '' }),
      onChange: (listener: () => void) => listen(others, listener),
    },
  } as unknown as Deps;
  const none = new Set<string>();
  const nothing = { changed: none, removed: none, started: none, touched: none, images: false, engine: false };
  return Object.assign(world, {
    deps,
    /** Who listens to anything. */
    listeners: () => listeners.size + ticks.size + others.size,
    tell: (change: Partial<InventoryChange>) => {
      for (const listener of [...listeners]) listener({ ...nothing, ...change });
    },
    tick: (ids: string[]) => {
      for (const listener of [...ticks]) listener(ids);
    },
  });
}

const slow = { inspect: 5, head: 60_000, detail: 60_000, health: 60_000, firstRetry: 60_000, lastRetry: 60_000 };
const failTest = (error: unknown) => {
  throw error;
};

t.test('a container page that is opened while the engine is away says nothing that it can not know', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => engine.addContainer({ name: 'web', env: { COLOUR: 'blue' }, labels: { tier: 'front' } }),
  });
  await app.engine.refuse();
  await until(async () => (await app.get('/readyz')).status !== 200, 'the loss is noticed');
  const viewer = await openViewer(app, '/containers/web');
  const detail = () => viewer.part('container-detail');
  t.match(detail(), /Not known while the engine is away/);
  t.match(detail(), 'front', 'what the list told is known');
  t.notMatch(detail(), /user root|Restart policy|is not started again|Environmentnone|none: it may/);
  const { status } = await viewer.connect();
  t.equal(status, 101);
  await setTimeout(100);
  t.match(detail(), /Not known while/, 'the join invents nothing either');
  await app.engine.listen();
  await until(() => detail().includes('COLOUR') && detail().includes('Restart policy'), 'it is told when it is back');
  t.notMatch(detail(), /Not known/);
  t.strictSame(viewer.page.missed, []);
});

t.test('a detail stays while the engine is away, and is asked for anew when it is back', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web', env: { COLOUR: 'blue' } }) });
  const viewer = await openViewer(app, '/containers/web');
  await viewer.connect();
  const detail = () => viewer.part('container-detail');
  await app.engine.refuse();
  await until(() => viewer.page.part('engine-status')?.attributes['data-status'] === 'unreachable', 'the loss');
  await viewer.connect();
  await setTimeout(100);
  t.match(detail(), 'COLOUR');
  app.engine.forgetRequests();
  await app.engine.listen();
  const { id } = app.engine.container('web');
  await until(() => app.engine.requestsTo('GET', new RegExp(`${id}/json`)).length > 0, 'it is asked');
  t.match(detail(), 'COLOUR');
});

t.test('what only an inspect shows is asked for when something happened to the container', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const viewer = await openViewer(app, '/containers/web');
  await viewer.connect();
  const web = app.engine.container('web');
  const detail = () => viewer.part('container-detail');
  t.match(detail(), 'is not started again');
  Object.assign(web.body, { HostConfig: { ...web.body.HostConfig, RestartPolicy: { Name: 'always' } } });
  app.engine.emit({ type: 'container', action: 'update', id: web.id, attributes: { name: 'web' } });
  await until(() => detail().includes('is always started again'), 'the new policy');
});

t.test('an inspect that failed is tried again', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const viewer = await openViewer(app, '/containers/web');
  await viewer.connect();
  const web = app.engine.container('web');
  app.engine.faults.status(500, '{"message":"busy"}', 'application/json', { path: /[0-9a-f]{64}\/json/, times: 1 });
  Object.assign(web.body, { HostConfig: { ...web.body.HostConfig, RestartPolicy: { Name: 'always' } } });
  app.engine.emit({ type: 'container', action: 'update', id: web.id, attributes: { name: 'web' } });
  await until(() => viewer.part('container-detail').includes('is always started again'), 'the new policy', 5_000);
});

t.test('a fault in a render ends its own view only', async (t) => {
  const world = createWorld();
  const logged: string[] = [];
  const hub = createLive(undefined, { warn: (_details, message) => logged.push(message) });
  const closes: number[] = [];
  const frames: string[] = [];
  const end = (isOther: boolean) => ({
    send: (frame: string) => void (isOther && frames.push(frame)),
    buffered: () => 0,
    close: (code: number) => void (isOther ? t.fail('the other is closed') : closes.push(code)),
  });
  const audience = { query: { q: '', state: '', project: '', sort: '' }, host: 'localhost', around: 'list' as const };
  const openList = openContainerList(world.deps, createRowCaches(world.deps), audience, context);
  const pushes: ((frame: string) => void)[] = [];
  hub.join(end(false), [{ key: 'list', open: openList }]);
  hub.join(end(false), [{ key: 'container', open: openContainer(world.deps, container.id, context, slow) }]);
  hub.join(end(true), [
    {
      key: 'other',
      open: (push) => {
        pushes.push(push);
        return { snapshot: () => 'other', close() {} };
      },
    },
  ]);
  await until(() => hub.figures().feeds === 3, 'all are open');
  await setTimeout(20);
  world.fails = true;
  world.tick([container.id]);
  world.tell({ changed: new Set([container.id]) });
  await until(() => closes.length === 2, 'who looks at what failed is closed');
  t.strictSame(closes, [1013, 1013], 'so that it comes back');
  t.strictSame(logged, Array(2).fill('a view failed: who looks at it comes back'));
  t.equal(hub.figures().feeds, 1);
  t.equal(world.listeners(), 0, 'nothing of it is left');
  pushes[0]?.('still here');
  t.strictSame(frames, ['other', 'still here']);
});

t.test('a container that was removed while nobody looked is told as removed', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const viewer = await openViewer(app, '/containers/web');
  app.engine.removeContainer('web');
  await until(async () => (await app.get('/containers/web')).status === 404, 'the removal is known');
  const { live, status } = await viewer.connect();
  t.equal(status, 101);
  await until(() => /removed/.test(viewer.part('container-head')), 'the page says so');
  t.match(viewer.part('container-head'), 'web', 'and keeps its name');
  const head = viewer.page.part('container-head');
  t.strictSame(
    head && findAll(head, ({ tag, attributes }) => tag === 'button' || /\/remove$/.test(attributes.href ?? '')),
    [],
  );
  t.strictSame(viewer.page.missed, []);
  live.socket.terminate();
  const log = app.live(`/live?topic=logs:${missing}`);
  t.equal(await log.opened, 101);
  await until(() => log.text().includes('ended with the container'), 'its log has ended');
  for (const topic of [`container:${missing.slice(1)}`, `container:${missing}0`, 'container:nobody'])
    t.equal(await app.live(`/live?topic=${topic}`).opened, 404, topic);
});

t.test('a removal that is looked at leaves no actions', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const viewer = await openViewer(app, '/containers/web');
  await viewer.connect();
  app.engine.removeContainer('web');
  await until(() => /removed/.test(viewer.part('container-head')), 'the page says so');
  const head = viewer.page.part('container-head') ?? parseHtml('');
  t.strictSame(
    findAll(head, ({ tag }) => tag === 'button'),
    [],
  );
  t.notMatch(textOf(head), /\bup\b|ago/, 'nothing goes on');
});

t.test('the words of a detail are made anew without asking the engine', async (t) => {
  const world = createWorld();
  const frames: string[] = [];
  const open = openContainer(world.deps, container.id, context, { ...slow, detail: 50 });
  const feed = open((frame) => frames.push(frame), failTest);
  t.teardown(() => feed.close());
  await feed.ready;
  t.equal(world.inspects, 1);
  const age = /<small>(\d+ s) ago/.exec(feed.snapshot())?.[1];
  await until(() => /<small>(\d+ s) ago/.exec(feed.snapshot())?.[1] !== age, 'it is older', 3_000);
  world.memory = 7_000_000;
  world.tick([container.id]);
  t.match(frames.at(-1), '7 MB', 'a new sample is shown at once');
  t.equal(world.inspects, 1, 'the engine was asked once');
});

t.test('a health check is looked at again while somebody looks, anything else is not', async (t) => {
  const world = createWorld();
  const open = openContainer(world.deps, container.id, context, { ...slow, health: 20 });
  const probed = open(() => {}, failTest);
  await probed.ready;
  await until(() => world.inspects > 2, 'it is inspected again');
  probed.close();
  const before = world.inspects;
  await setTimeout(60);
  t.equal(world.inspects, before, 'not when nobody looks');
  world.health = 'none';
  const plain = open(() => {}, failTest);
  await plain.ready;
  await setTimeout(100);
  t.equal(world.inspects, before + 1, 'once, where nothing is probed');
  plain.close();
});

t.test('the rows of a host name go with the last who looks under it', (t) => {
  const world = createWorld();
  const caches = createRowCaches(world.deps);
  const query = { q: '', state: '', project: '', sort: '' };
  for (let n = 0; n < 40; n++) {
    const audience = { query, host: `host-${n}`, around: 'list' as const };
    const open = openContainerList(world.deps, caches, audience, context);
    const feeds = [open(() => {}, failTest), open(() => {}, failTest)];
    t.equal(caches.size(), 1, 'shared');
    for (const feed of feeds) feed.close();
  }
  t.equal(caches.size(), 0);
  t.equal(world.listeners(), 0, 'nobody listens to anything any more');
  t.end();
});

t.test('the choice of projects and the filters of images follow the engine', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const list = await openViewer(app, '/containers');
  const images = await openViewer(app, '/images');
  await list.connect();
  await images.connect();
  const before = images.part('images-filters');
  app.engine.addContainer({ name: 'shop', labels: { 'com.docker.compose.project': 'shop' } });
  await until(() => /shop/i.test(list.part('containers-projects')), 'a project that came');
  t.equal(byId(list.page.root, 'containers-projects')?.attributes.hidden, undefined);
  app.engine.removeContainer('shop');
  await until(() => !/shop/i.test(list.part('containers-projects')), 'and went');
  app.engine.addImage({ tags: ['lab/new:1'] });
  await until(() => images.part('images-filters') !== before, 'the counts');
  t.strictSame([...list.page.missed, ...images.page.missed], []);
});

t.test('the page of an image follows it, and its end', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addImage({ tags: ['lab/web:1'] }) });
  const viewer = await openViewer(app, '/images/lab/web:1'.replace('lab/', 'lab%2F'));
  const { live, status } = await viewer.connect();
  t.equal(status, 101);
  const image = app.engine.image('lab/web:1');
  app.engine.addContainer({ name: 'user', image: 'lab/web:1' });
  await until(() => viewer.part('image-detail').includes('user'), 'who uses it');
  app.engine.tagImage('lab/web:1', 'lab/front:2');
  await until(() => viewer.part('image-detail').includes('front'), 'a new tag');
  app.engine.removeContainer('user');
  app.engine.removeImage(image.id, true);
  await until(() => viewer.part('image-state').includes('removed'), 'its removal');
  t.match(viewer.part('image-detail'), 'front', 'what was known stays');
  t.equal(viewer.part('image-actions').trim(), '');
  t.strictSame(viewer.page.missed, []);
  live.socket.terminate();
  const late = await openViewer(app, '/images');
  const again = app.live(viewer.address);
  t.equal(await again.opened, 101, 'who comes back is told too');
  await until(() => again.text().includes('removed'), 'as removed');
  t.equal(await app.live('/live?topic=image:lab/web:1').opened, 400);
  t.match(late.address, 'topic=images');
});

t.test('charts of every range are followed, with the head above them', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const viewer = await openViewer(app, '/containers/web/stats?range=24h');
  const { live } = await viewer.connect();
  await until(() => live.text().includes('id="stats"'), 'the charts');
  const [current] = findAll(parseHtml(live.text()), ({ attributes }) => attributes['aria-current'] === 'true');
  t.equal(current && textOf(current), '24h', 'of the same range');
  app.engine.die('web', 3);
  await until(() => viewer.part('container-head').includes('exited'), 'the head');
  t.strictSame(viewer.page.missed, []);
  t.equal(await app.live('/live?topic=stats:web&range=2y').opened, 400);
});

t.test('a page that follows nothing but the engine says so to its script', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web', env: { DB_PASSWORD: 'hunter2' } });
      engine.addImage({ tags: ['web:1'] });
    },
  });
  const isFollowing = (html: string) => !/data-follows="engine"/.test(html);
  for (const path of ['/containers', '/containers/web', '/containers/web/stats?range=7d', '/images', '/images/web:1'])
    t.ok(isFollowing((await app.get(path)).text), path);
  for (const path of ['/containers/web/remove', '/images/web:1/remove', '/containers/nobody'])
    t.notOk(isFollowing((await app.get(path)).text), path);
  t.notOk(isFollowing((await app.form('/containers/web/reveal')).text), 'with secrets shown');
});

t.test('one client does not take the sockets of all', async (t) => {
  const app = await startApp(t, { env: { TRUST_PROXY: '127.0.0.1' } });
  const from = (address: string) => app.live('/live?topic=images', { headers: { 'x-forwarded-for': address } });
  const greedy = Array.from({ length: 50 }, () => from('192.0.2.1'));
  t.ok((await Promise.all(greedy.map(({ opened }) => opened))).every((status) => status === 101));
  t.equal(await from('192.0.2.1').opened, 429, 'one too many');
  t.equal(await from('192.0.2.2').opened, 101, 'another client is served');
  greedy[0]?.socket.terminate();
  await until(async () => (await from('192.0.2.1').opened) === 101, 'a place that is free again is given');
});

t.test('why there are no figures is told', async (t) => {
  const off = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  t.match((await off.get('/containers')).text, 'figures are switched off');
  t.match((await off.get('/containers/web/stats')).text, 'figures are switched off');
  const on = await startApp(t, {
    env: { STATS_INTERVAL: '10' },
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      engine.pause('web');
    },
  });
  const { text } = await on.get('/containers');
  t.match(text, /class="cpu none"><span class="sr">paused</);
  t.match(text, /class="mem none"><span class="sr">paused</);
  t.notMatch(text, 'not measured yet');
});

t.test('an operation that has ended gets older for whoever joins, as its page does', async (t) => {
  const ended = { finishedAt: Date.now(), startedAt: Date.now(), queuedAt: Date.now(), state: 'succeeded' };
  const told = { kind: 'pull', target: 'lab/web:1', actor: '', message: '', error: null, steps: [], details: {} };
  const deps = {
    render: (name: string, data: object) => eta.render(name, data),
    operations: { find: async () => ({ id: 1, progress: 1, ...told, ...ended }), onChange: () => () => {} },
  } as unknown as Deps;
  let now = Date.now();
  const feed = openOperation(deps, 1, () => ({ ...context(), now }))(() => {}, failTest);
  t.teardown(() => feed.close());
  await feed.ready;
  t.match(feed.snapshot(), '0 s ago');
  now += 90_000;
  t.match(feed.snapshot(), '1 min ago');
});

t.test('a dashboard lets the disk be measured while somebody looks, and pushes only what is different', async (t) => {
  const world = createWorld();
  const disk = { looks: 0, listeners: new Set<() => void>(), readAt: null as number | null };
  const figures = { at: 1, cpuPercent: 5, memoryLimitBytes: null, pids: 1 };
  Object.assign(world.deps, {
    diskUsage: {
      state: () => ({ isReading: false, readAt: disk.readAt, usage: null, failure: '' }),
      look: async () => void disk.looks++,
      onChange: (listener: () => void) => {
        disk.listeners.add(listener);
        return () => disk.listeners.delete(listener);
      },
    },
  });
  Object.assign(world.deps.stats, {
    latest: () => ({ ...figures, memoryBytes: world.memory }),
    rates: () => undefined,
    recent: () => [1, 2],
    trend: () => [],
  });
  const frames: string[] = [];
  const feed = openDashboard(world.deps, null, context, undefined)((frame) => frames.push(frame), failTest);
  t.equal(disk.looks, 1);
  t.match(feed.snapshot(), /dashboard-now.*dashboard-top.*dashboard-disk/s);
  world.tick([container.id]);
  await setTimeout(50);
  t.strictSame(frames, [], 'figures that are the same are no frame');
  world.memory = 7_000_000;
  world.tick([container.id]);
  await until(() => frames.length > 0, 'what is new');
  t.match(frames[0], '7 MB');
  t.notMatch(frames[0], 'dashboard-disk');
  disk.readAt = Date.now();
  for (const listener of disk.listeners) listener();
  t.match(frames[1], /^<hx-partial hx-target="#dashboard-disk"/);
  t.equal(frames.length, 2);
  world.tell({ engine: true });
  t.equal(disk.looks, 2, 'an engine that is back may have something else');
  feed.close();
  t.equal(world.listeners() + disk.listeners.size, 0, 'nothing of it is left');
  world.tell({ engine: true });
  t.equal(disk.looks, 2, 'nobody looks, nobody asks');
});
