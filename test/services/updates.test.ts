import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Problem } from '../../src/errors.ts';
import type { Clock } from '../../src/services/clock.ts';
import type { Container } from '../../src/services/containers.ts';
import type { CredentialStore } from '../../src/services/credentials.ts';
import { openDatabase } from '../../src/services/database.ts';
import type { DockerPort } from '../../src/services/docker.ts';
import type { Image } from '../../src/services/images.ts';
import type { Inventory, InventoryChange } from '../../src/services/inventory.ts';
import { createOperations } from '../../src/services/operations.ts';
import { parseReference, type Reference } from '../../src/services/references.ts';
import { createUpdates } from '../../src/services/updates.ts';
import { until } from '../support/app.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** Time that only the test moves. */
function createHeldClock() {
  let now = Date.UTC(2026, 0, 1);
  const timers = new Set<{ at: number; run: () => void }>();
  const clock: Clock = {
    now: () => now,
    after(ms, run) {
      const timer = { at: now + ms, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };
  const next = (until: number) => [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
  return {
    clock,
    waiting: () => timers.size,
    /** The next wait, ms. */
    wait: () => Math.min(...[...timers].map(({ at }) => at)) - now,
    /** Lets time pass, timer by timer; what each began has the turns to end before the next. */
    async pass(ms: number, settle: () => Promise<void>) {
      const end = now + ms;
      for (let timer = next(end); timer; timer = next(end)) {
        timers.delete(timer);
        now = Math.max(now, timer.at);
        timer.run();
        await settle();
      }
      now = end;
    },
  };
}

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

const image = (tag: string, ...digests: string[]): Image => ({
  id: `sha256:${tag.charCodeAt(4).toString(16).padStart(64, '0')}`,
  tags: [tag],
  size: 1,
  createdAt: 0,
  repoDigests: digests,
  parentId: '',
  labels: {},
  dangling: false,
});

type Options = { intervalHours?: number; images?: Image[]; folder?: string; held?: ReturnType<typeof createHeldClock> };

/** The service on a held clock, with registries and an engine in the test's hands. */
async function open(t: Test, { intervalHours = 24, images, folder: kept, held = createHeldClock() }: Options = {}) {
  const folder = kept ?? mkdtempSync(join(tmpdir(), 'fairlead-updates-'));
  const database = await openDatabase(folder);
  const operations = await createOperations(database, { info() {}, warn() {} });
  const listeners = new Set<(change: InventoryChange) => void>();
  const registry = new Map<string, string>([['lab/web:1', digest('a')]]);
  const world = {
    images: images ?? [image('lab/web:1', `lab/web@${digest('a')}`)],
    containers: [] as Container[],
    status: 'connected',
    asked: [] as string[],
    inspected: [] as string[],
    warned: [] as string[],
    note: '',
  };
  const docker = {
    async registryDigest({ text }: Reference) {
      world.asked.push(text);
      await nextTurn();
      const found = registry.get(text);
      if (found === undefined) throw new Problem('registry_unreachable', `The registry can't be reached for ${text}.`);
      return found;
    },
    async inspectContainer(id: string) {
      world.inspected.push(id);
      return { Id: id, Config: { Image: 'lab/web:1' } };
    },
  } as unknown as DockerPort;
  const inventory = {
    images: () => world.images,
    containers: () => world.containers,
    findImage: (ref: string) => world.images.find(({ tags, id }) => tags.includes(ref) || id === ref),
    engine: () => ({ status: world.status }),
    onChange(listener: (change: InventoryChange) => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  } as unknown as Inventory;
  const credentials = { find: async () => ({ credentials: undefined, note: world.note }) } as CredentialStore;
  const log = { warn: (_details: object, message: string) => void world.warned.push(message) };
  const parts = { docker, database, inventory, operations, credentials, intervalHours, log, clock: held.clock };
  const updates = await createUpdates(parts);
  let isClosed = false;
  async function close() {
    if (isClosed) return;
    isClosed = true;
    updates.close();
    await operations.close();
    await database.close();
    if (kept === undefined) rmSync(folder, { recursive: true });
  }
  t.teardown(close);
  /** Lets what a timer began come to its end. */
  async function settle() {
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    await until(() => operations.active().length === 0, 'what was begun has ended');
    for (let turn = 0; turn < 10; turn++) await nextTurn();
  }
  const checks = async () => (await operations.list({ limit: 200 })).filter(({ kind }) => kind === 'update_check');
  return Object.assign(world, {
    updates,
    operations,
    registry,
    held,
    listeners,
    close,
    settle,
    checks,
    pass: (ms: number) => held.pass(ms, settle),
    tell: (change: Partial<InventoryChange>) => {
      const none = new Set<string>();
      const nothing = { changed: none, removed: none, started: none, touched: none, images: false, engine: false };
      for (const listener of [...listeners]) listener({ ...nothing, ...change });
    },
  });
}

t.test('a new installation is left alone for ten minutes, and is then asked for once', async (t) => {
  const world = await open(t);
  await world.pass(day);
  t.strictSame(await world.checks(), [], 'nothing before it is started');
  world.updates.start();
  await world.pass(9 * minute);
  t.strictSame(await world.checks(), [], 'not before it is due');
  await world.pass(minute);
  const [check] = await world.checks();
  t.match(check, { kind: 'update_check', target: 'images', actor: 'daily check', state: 'succeeded' });
  t.strictSame(world.asked, ['lab/web:1']);
  await world.pass(23 * hour);
  t.strictSame(world.asked, ['lab/web:1'], 'once, and not again before the next day');
});

t.test('it is asked again after the interval, and after each', async (t) => {
  const world = await open(t);
  world.updates.start();
  await world.pass(10 * minute);
  t.equal(world.asked.length, 1);
  for (const expected of [2, 3, 4]) {
    await world.pass(23 * hour);
    t.equal(world.asked.length, expected - 1, `not before check ${expected} is due`);
    await world.pass(hour);
    t.equal(world.asked.length, expected, `check ${expected}`);
  }
  t.equal((await world.checks()).length, 4);
});

t.test('the interval is what was set, be it an hour or a year', async (t) => {
  const hourly = await open(t, { intervalHours: 1 });
  hourly.updates.start();
  await hourly.pass(10 * minute + 5 * hour);
  t.equal(hourly.asked.length, 6);
  const yearly = await open(t, { intervalHours: 8_760 });
  yearly.updates.start();
  await yearly.pass(10 * minute);
  t.equal(yearly.asked.length, 1);
  t.ok(yearly.held.wait() < 2 ** 31, 'no wait is longer than a timer can be');
  await yearly.pass(364 * day);
  t.equal(yearly.asked.length, 1, 'waits that are cut are no checks');
  await yearly.pass(day);
  t.equal(yearly.asked.length, 2);
});

t.test('with 0 it is never asked by itself', async (t) => {
  const world = await open(t, { intervalHours: 0 });
  world.updates.start();
  t.equal(world.held.waiting(), 0);
  await world.pass(1_000 * day);
  t.strictSame([world.asked, await world.checks()], [[], []]);
  await world.updates.check('127.0.0.1');
  await world.settle();
  t.strictSame(world.asked, ['lab/web:1'], 'by hand it is');
  await world.pass(1_000 * day);
  t.equal(world.asked.length, 1, 'and begins nothing');
});

t.test('nothing is asked while the engine is away, and soon after it is back', async (t) => {
  const world = await open(t);
  world.status = 'unreachable';
  world.updates.start();
  await world.pass(3 * day);
  t.strictSame([world.asked, await world.checks()], [[], []], 'no operation fails because of that');
  world.status = 'connected';
  await world.pass(10 * minute);
  t.equal(world.asked.length, 1);
});

t.test('where there is nobody to be asked, there is no operation', async (t) => {
  const world = await open(t, { images: [image('lab/local:1'), { ...image('lab/none:1'), tags: [], dangling: true }] });
  world.updates.start();
  await world.pass(2 * day);
  t.strictSame(await world.checks(), []);
  world.images = [...world.images, image('lab/web:1', `lab/web@${digest('a')}`)];
  await world.pass(10 * minute);
  t.equal((await world.checks()).length, 1, 'as soon as something was pulled');
});

t.test('a start of the program is no reason to ask: what is known counts', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-updates-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const first = await open(t, { folder });
  first.updates.start();
  await first.pass(10 * minute);
  await first.pass(20 * hour);
  await first.close();
  const second = await open(t, { folder, held: first.held });
  t.match(second.updates.ofTag('lab/web:1'), { state: 'current' }, 'what was found is known');
  second.updates.start();
  await second.pass(3 * hour);
  t.strictSame(second.asked, [], 'not due yet');
  await second.pass(hour);
  t.equal(second.asked.length, 1, '24 hours after the last');
  await second.close();
  await first.held.pass(30 * hour, async () => {});
  const third = await open(t, { folder, held: first.held });
  third.updates.start();
  await third.pass(9 * minute);
  t.strictSame(third.asked, [], 'what is overdue waits until the start is over');
  await third.pass(minute);
  t.equal(third.asked.length, 1);
});

t.test('pulls do not put the check off', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-updates-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const images = [image('lab/web:1', `lab/web@${digest('a')}`), image('lab/db:1', `lab/db@${digest('b')}`)];
  const first = await open(t, { folder, images });
  first.registry.set('lab/db:1', digest('b'));
  first.updates.start();
  await first.pass(10 * minute);
  t.equal(first.asked.length, 2);
  await first.pass(23 * hour);
  await first.updates.pulled(parseReference('lab/db:1'), digest('b'));
  await first.close();
  const second = await open(t, { folder, images, held: first.held });
  second.registry.set('lab/db:1', digest('b'));
  second.updates.start();
  await second.pass(hour);
  t.strictSame(second.asked.sort(), ['lab/db:1', 'lab/web:1'], 'the others were asked a day ago');
});

t.test('a check by hand that is under way is not begun twice, and the next comes in its time', async (t) => {
  const world = await open(t);
  const gate = Promise.withResolvers<void>();
  await world.operations.start(
    { kind: 'update_check', target: 'images', actor: '127.0.0.1', claims: ['images:check'], canCancel: true },
    async () => {
      await gate.promise;
      return { message: '' };
    },
  );
  world.updates.start();
  const passing = world.pass(10 * minute);
  await until(() => world.warned.length > 0, 'that it could not be started is in the log');
  t.strictSame(world.asked, []);
  gate.resolve();
  await passing;
  await world.pass(day);
  t.equal((await world.checks()).length, 2, 'the next one comes');
});

t.test('when it is closed, nothing waits or listens any more', async (t) => {
  const world = await open(t);
  world.updates.start();
  t.equal(world.held.waiting(), 1);
  t.equal(world.listeners.size, 1);
  await world.close();
  t.equal(world.held.waiting(), 0);
  t.equal(world.listeners.size, 0);
});

t.test('an outage does not make what is known unknown: a newer image stays newer', async (t) => {
  const images = ['lab/new:1', 'lab/old:1'].map((tag) => image(tag, `${tag.slice(0, 7)}@${digest('a')}`));
  const world = await open(t, { images });
  world.registry.set('lab/new:1', digest('b')).set('lab/old:1', digest('a'));
  const check = async () => {
    const { id } = await world.updates.check('127.0.0.1');
    await world.settle();
    return world.operations.find(id);
  };
  await check();
  t.equal(world.updates.ofTag('lab/old:1').state, 'current');
  const { checkedAt } = world.updates.ofTag('lab/new:1');
  world.registry.clear();
  world.note = 'The credential helper lab could not be started: no credentials were taken from it.';
  await world.pass(hour);
  t.match((await check())?.details.results, [
    { name: 'lab/new:1', ok: false, detail: /can't be reached for lab\/new:1\. The credential helper lab could not/ },
    { name: 'lab/old:1', ok: false },
  ]);
  t.match(world.updates.ofTag('lab/new:1'), { state: 'newer', checkedAt, error: /can't be reached/ }, 'as of then');
  t.match(world.updates.ofTag('lab/old:1'), { state: 'failed', error: /can't be reached/ }, 'there may be one by now');
  world.registry.set('lab/new:1', digest('a'));
  await check();
  t.match(world.updates.ofTag('lab/new:1'), { state: 'current', error: '' });
});

t.test('what is known of a tag: newer, current, failed, not asked, or of nowhere', async (t) => {
  const images = [
    image('lab/web:1', `lab/web@${digest('a')}`),
    image('lab/new:1', `lab/new@${digest('a')}`),
    image('lab/off:1', `lab/off@${digest('a')}`),
    image('lab/box:1'),
    image('lab/any:1', `lab/any@${digest('a')}`, `other/any@${digest('c')}`),
  ];
  const world = await open(t, { images });
  const states = () => images.map((item) => world.updates.ofImage(item).state).join();
  t.equal(states(), 'unchecked,unchecked,unchecked,local,unchecked');
  world.registry.set('lab/new:1', digest('b')).set('lab/any:1', digest('c'));
  let told = 0;
  world.updates.onChange(() => told++);
  const { id } = await world.updates.check('127.0.0.1');
  await world.settle();
  t.ok(told > 0, 'who listens is told');
  t.equal(states(), 'current,newer,failed,local,newer', 'the same digest in another repository is no sign');
  t.strictSame(world.asked.sort(), ['lab/any:1', 'lab/new:1', 'lab/off:1', 'lab/web:1']);
  t.match(world.updates.ofTag('lab/off:1'), { state: 'failed', error: "The registry can't be reached for lab/off:1." });
  t.match(await world.operations.find(id), {
    state: 'succeeded',
    message: '2 of 4 images have an update, 1 could not be asked.',
    details: {
      results: [
        { name: 'lab/web:1', ok: true, detail: 'up to date' },
        { name: 'lab/new:1', ok: true, detail: 'update available' },
        { name: 'lab/off:1', ok: false },
        { name: 'lab/any:1', ok: true },
      ],
    },
  });
  t.match(world.updates.ofTag('lab/nobody:1'), { state: 'local' }, 'what is not here');

  await world.updates.pulled(parseReference('lab/new:1'), digest('b'));
  world.images = world.images.map((item) =>
    item.tags.includes('lab/new:1') ? { ...item, repoDigests: [`lab/new@${digest('b')}`] } : item,
  );
  t.match(world.updates.ofTag('lab/new:1'), { state: 'current' }, 'a pull is a check, too');
});

t.test('a container runs an older image where its tag means another one now, or has a newer one', async (t) => {
  const world = await open(t);
  const web = world.images[0] as Image;
  const old = `sha256:${'e'.repeat(64)}`;
  const container = (id: string, name: string, imageId: string) =>
    ({ id: id.repeat(64), name, image: name, imageId }) as unknown as Container;
  const state = (item: Container) => world.updates.ofContainer(item).state;
  t.equal(state(container('1', 'lab/web:1', web.id)), 'unchecked');
  t.equal(state(container('2', 'lab/web:1', old)), 'newer', 'the tag was pulled since: nobody has to be asked');
  t.equal(state(container('3', `lab/web@${digest('a')}`, web.id)), 'local', 'a digest has nothing newer');
  t.equal(state(container('4', 'lab/local:1', old)), 'local');
  world.registry.set('lab/web:1', digest('b'));
  await world.updates.check('127.0.0.1');
  await world.settle();
  t.equal(state(container('5', 'lab/web:1', web.id)), 'newer');

  const named = container('6', old, old);
  t.equal(state(named), 'local', 'the list tells an id alone');
  world.containers = [named];
  world.tell({ changed: new Set([named.id]) });
  await until(() => state(named) === 'newer', 'what it was made from is asked for');
  world.tell({ changed: new Set([named.id]) });
  await world.settle();
  t.strictSame(world.inspected, [named.id], 'once');
});
