import t from 'tap';
import { Problem } from '../../src/errors.ts';
import type { Container } from '../../src/services/containers.ts';
import type { EventDetails, KeptEvent } from '../../src/services/event-types.ts';
import type { History } from '../../src/services/history.ts';
import type { Inventory, InventoryChange } from '../../src/services/inventory.ts';
import type { Operation } from '../../src/services/operation-types.ts';
import { BusyProblem, type Operations } from '../../src/services/operations.ts';
import { scopeInventory, sees } from '../../src/services/scope.ts';
import { scopeHistory } from '../../src/services/scoped-history.ts';
import { scopeOperations } from '../../src/services/scoped-operations.ts';
import { scopeStats } from '../../src/services/scoped-reading.ts';
import type { Stats } from '../../src/services/stats.ts';

const idOf = (digit: string) => digit.repeat(64);

t.test('a pattern is a name or a project, with * for anything', async (t) => {
  const cases: [readonly string[] | null, string, string | null, boolean][] = [
    [null, 'web', null, true],
    [[], 'web', 'shop', false],
    [['web'], 'web', null, true],
    [['web'], 'web2', null, false],
    [['web'], 'my-web', null, false],
    [['WEB'], 'web', null, false],
    [['shop'], 'web', 'shop', true],
    [['shop'], 'web', 'shop2', false],
    [['shop*'], 'web', 'shop2', true],
    [['*'], 'web', null, true],
    [['*-db'], 'shop-db', null, true],
    [['*-db'], 'shop-db-1', null, false],
    [['w*b'], 'wb', null, true],
    [['w*b'], 'w', null, false],
    [['ab*ba'], 'aba', null, false],
    [['a*b*c'], 'a-b-b-c', null, true],
    [['a*c*b'], 'a-b-c', null, false],
    [['a**b'], 'ab', null, true],
    [['w.b'], 'web', null, false],
    [['.*'], 'web', null, false],
    [['other', 'web'], 'web', null, true],
    [['*'], '', '', false],
    [['web'], 'web.new-0a1b2c3d', null, true],
    [['web'], 'web.new-zzzz', null, false],
  ];
  for (const [scope, name, project, expected] of cases) {
    t.equal(sees(scope, { name, project }), expected, `${JSON.stringify(scope)} ${name} ${project}`);
  }
});

t.test('a pattern of many stars takes no time', async (t) => {
  const pattern = `${'a*'.repeat(120)}b`;
  for (let n = 0; n < 1_000; n++) {
    if (sees([pattern], { name: 'a'.repeat(255) })) t.fail('it does not end with b');
  }
  t.pass('none went back and tried again');
});

const container = (digit: string, name: string, project: string | null) =>
  ({ id: idOf(digit), name, project, imageId: 'sha256:1' }) as Container;

/** An inventory that a test changes by hand. */
function createWorld(...given: Container[]) {
  const containers = new Map(given.map((each) => [each.id, each]));
  const listeners = new Set<(change: InventoryChange) => void>();
  const none = new Set<string>();
  const nothing = { changed: none, removed: none, started: none, touched: none, images: false, engine: false };
  const inventory = {
    containers: () => [...containers.values()],
    container: (id: string) => containers.get(id),
    images: () => [{ id: 'sha256:1' }],
    findImage: () => ({ id: 'sha256:1' }),
    onChange(listener: (change: InventoryChange) => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  } as unknown as Inventory;
  return {
    inventory,
    listeners,
    tell(change: Partial<InventoryChange>) {
      for (const listener of listeners) listener({ ...nothing, ...change });
    },
    set(next: Container) {
      containers.set(next.id, next);
      this.tell({ changed: new Set([next.id]), touched: new Set([next.id]) });
    },
    remove(id: string) {
      containers.delete(id);
      this.tell({ removed: new Set([id]) });
    },
  };
}

t.test('an inventory shows no more than may be seen, by whatever it is asked for', async (t) => {
  const hidden = { ...container('b', 'vault', 'treasury'), id: `${'a'.repeat(20)}${'b'.repeat(44)}` };
  const world = createWorld(container('a', 'web', 'shop'), hidden);
  const seen = scopeInventory(world.inventory, ['shop']);
  t.strictSame(
    seen.containers().map(({ name }) => name),
    ['web'],
  );
  for (const ref of [hidden.id, hidden.id.slice(0, 30), 'vault']) t.equal(seen.findContainer(ref), undefined, ref);
  t.equal(seen.container(hidden.id), undefined);
  t.equal(seen.container(idOf('a'))?.name, 'web');
  t.equal(seen.findContainer('web')?.name, 'web');
  t.equal(seen.findContainer('a'.repeat(12))?.name, 'web', 'what is hidden makes no prefix ambiguous');
  t.strictSame([seen.images(), seen.findImage('sha256:1')], [[], undefined], 'images are of all containers');
});

t.test('of what becomes different only theirs is told, and the end of what they saw', async (t) => {
  const world = createWorld(container('a', 'web', null), container('b', 'vault', null));
  const told: string[] = [];
  const stop = scopeInventory(world.inventory, ['web*']).onChange(({ changed, removed, touched, images, engine }) => {
    const ids = [changed, removed, touched].map((each) => [...each].map((id) => id[0]).join('')).join('/');
    told.push([ids, images && 'images', engine && 'engine'].filter(Boolean).join(' '));
  });
  world.set(container('b', 'vault', null));
  world.tell({ started: new Set([idOf('b')]) });
  world.tell({ images: true });
  t.strictSame(told, [], 'nothing of others');
  world.set(container('a', 'web', null));
  world.tell({ engine: true });
  world.set(container('b', 'web-2', null));
  world.set(container('a', 'gone', null));
  world.remove(idOf('a'));
  world.remove(idOf('b'));
  world.remove(idOf('b'));
  t.strictSame(told, ['a//a', '// engine', 'b//b', '/a/', '/b/'], 'a new name shows or hides');
  stop();
  t.equal(world.listeners.size, 0);
});

let nextId = 1;

function event(name: string, subject: string, details: EventDetails, different: Partial<KeptEvent> = {}): KeptEvent {
  const id = nextId++;
  return {
    id,
    at: id,
    type: 'container',
    action: 'start',
    subject,
    name,
    timeline: name,
    former: '',
    trouble: '',
    details,
    ...different,
  };
}

/** A history that answers from these events, as the real one does. */
function createPast(given: KeptEvent[]): History {
  const newest = [...given].sort((one, other) => other.id - one.id);
  const list = (name: string, { limit, before }: { limit: number; before?: { id: number } | undefined }) =>
    newest
      .filter(({ timeline, former, subject }) => [timeline, former].includes(name) || subject.startsWith(name))
      .filter(({ id }) => before === undefined || id < before.id)
      .slice(0, limit);
  return {
    list: async (query: { container: string; limit: number }) => list(query.container, query),
    timeline: async (name: string, query: { limit: number }) => {
      const events = list(name, query);
      const deaths = new Map(
        events.filter(({ action }) => action === 'die').map((each) => [`${each.subject}@${each.at}`, each.id]),
      );
      return { events, deaths };
    },
    nameOf: async (ref: string) => list(ref, { limit: 1 })[0]?.timeline,
  } as unknown as History;
}

const nobody = { container: () => undefined, findContainer: () => undefined };
const limit = 100;

t.test('a timeline tells what happened to a container that may be seen, though another had its name', async (t) => {
  const [ours, theirs] = [idOf('a'), idOf('b')];
  const past = createPast([
    event('web', theirs, { project: 'treasury' }),
    event('web', theirs, { project: 'treasury' }, { action: 'die' }),
    event('web', ours, { project: 'shop', imageBefore: { image: 'goldmine' } }, { action: 'create' }),
    event('web', ours, { project: 'shop', actor: 'alice', operation: 7, message: 'vault' }),
    event('web', ours, { project: 'shop', actor: 'bob', operation: 8, message: 'mine' }, { action: 'die' }),
    event('web', 'operation:7', { actor: 'alice', operation: 7 }, { type: 'operation', action: 'rebuild' }),
    event('web', 'net', { container: { id: theirs, name: 'web' } }, { type: 'network', action: 'connect' }),
    event('front', ours, { project: 'shop' }, { action: 'rename', former: 'vault' }),
  ]);
  const history = scopeHistory(past, nobody, ['shop'], 'bob');
  const { events, deaths } = await history.timeline('web', { limit });
  t.strictSame(
    events.map(({ subject, action, details }) => [subject[0], action, details]),
    [
      ['a', 'die', { project: 'shop', actor: 'bob', operation: 8, message: 'mine' }],
      ['a', 'start', { project: 'shop', actor: 'alice' }],
      ['a', 'create', { project: 'shop' }],
    ],
    'without what somebody else asked for, and what had the name before',
  );
  t.strictSame([...deaths.keys()], [`${ours}@${events[0]?.at}`]);
  t.equal((await history.timeline('front', { limit })).events[0]?.former, 'vault', 'a name that it had itself');
  const byName = scopeHistory(past, nobody, ['front'], 'bob');
  t.strictSame((await byName.timeline('front', { limit })).events[0]?.former, '', 'but none that is hidden');
  t.strictSame((await byName.timeline('vault', { limit })).events, []);
  t.equal(await byName.nameOf('vault'), undefined);
  t.equal(await history.nameOf('web'), 'web');
  t.equal(await history.nameOf(ours), 'front');
  t.equal(await history.nameOf(theirs), undefined, 'an id leads to its own container');
  t.strictSame(
    [await history.list({ limit, container: 'web' }), await history.marksOf(['web'], 0, 1e9)],
    [[], []],
    'of all containers nothing',
  );
});

t.test('what may be told is found behind any number of events that may not', async (t) => {
  const [ours, theirs] = [idOf('a'), idOf('b')];
  const past = createPast([
    ...Array.from({ length: 5 }, () => event('web', ours, { project: 'shop' })),
    ...Array.from({ length: 1_200 }, () => event('web', theirs, { project: 'treasury' })),
    event('web', ours, { project: 'shop' }),
  ]);
  const history = scopeHistory(past, nobody, ['shop'], 'bob');
  const first = (await history.timeline('web', { limit: 3 })).events;
  t.strictSame(
    first.map(({ subject }) => subject[0]),
    ['a', 'a', 'a'],
  );
  const rest = (await history.timeline('web', { limit: 10, before: first.at(-1) })).events;
  t.equal(rest.length, 3, 'and goes on where a page ended');
  t.equal(new Set([...first, ...rest].map(({ id }) => id)).size, 6);
});

t.test('of operations one sees what one asked for, and refusals tell of no other', async (t) => {
  const operation = (id: number, actor: string) => ({ id, actor }) as Operation;
  const all = [operation(1, 'alice'), operation(2, 'bob')];
  const done: string[] = [];
  const operations = {
    find: async (id: number) => all.find((each) => each.id === id),
    list: async ({ actor }: { actor?: string }) => all.filter((each) => each.actor === actor),
    current: () => all,
    active: () => all,
    holder: (claim: string) => all[Number(claim)],
    cancel: async (id: number) => void done.push(`cancel ${id}`),
    dismiss: async (id: number) => void done.push(`dismiss ${id}`),
    visit: async (keys: readonly string[]) => {
      throw keys[0] === 'own'
        ? new BusyProblem('Operation 2: web', 'bob')
        : new BusyProblem('Operation 1: vault', 'alice');
    },
    onChange: (listener: (each: Operation) => void) => {
      for (const each of all) listener(each);
      return () => {};
    },
  } as unknown as Operations;
  const own = scopeOperations(operations, 'bob');
  const told: number[] = [];
  own.onChange(({ id }) => told.push(id));
  t.strictSame(told, [2]);
  for (const found of [own.current(), own.active(), await own.list({ limit: 9 })]) {
    t.strictSame(
      found.map(({ id }) => id),
      [2],
    );
  }
  t.strictSame([await own.find(1), own.holder('0')], [undefined, undefined]);
  t.strictSame([(await own.find(2))?.id, own.holder('1')?.id], [2, 2]);
  const unknown = { code: 'not_found', message: 'Operation 1 not found' };
  await t.rejects(own.cancel(1), unknown);
  await t.rejects(own.dismiss(1), unknown);
  await own.cancel(2);
  await own.dismiss(2);
  t.strictSame(done, ['cancel 2', 'dismiss 2']);
  await t.rejects(
    own.visit(['own'], async () => {}),
    { message: 'Operation 2: web' },
  );
  await t.rejects(
    own.visit(['other'], async () => {}),
    new Problem('conflict', 'Somebody else works on it already. Try again when that has ended.'),
  );
});

t.test('figures are those of containers that may be seen, not of others and not of sums', async (t) => {
  const world = createWorld(container('a', 'web', 'shop'), container('b', 'vault', 'treasury'));
  const stats = {
    history: async (id: string) => ({ id, samples: id === '' ? [] : [{ memoryBytes: 7 }] }),
  } as unknown as Stats;
  const seen = scopeStats(stats, scopeInventory(world.inventory, ['shop']));
  t.equal((await seen.history(idOf('a'), '1h')).samples.length, 1);
  for (const id of [idOf('b'), 'machine', 'project:shop', idOf('c')]) {
    t.strictSame(await seen.history(id, '1h'), { id, samples: [] }, id);
  }
});
