import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Problem } from '../../src/errors.ts';
import { openDatabase } from '../../src/services/database.ts';
import { type Outcome, Unfinished } from '../../src/services/operation-outcomes.ts';
import type { Operation, OperationState } from '../../src/services/operation-types.ts';
import { createOperations, type OperationBounds, type Run, type Wanted } from '../../src/services/operations.ts';
import { until } from '../support/app.ts';

const silent = { info() {}, warn() {} };
const nothing = () => Promise.resolve();

/** Operations over a database of their own; `reopen` is what a new process sees of them. */
async function open(t: Test, bounds: Partial<OperationBounds> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-operations-'));
  let database = await openDatabase(folder);
  let operations = await createOperations(database, silent, new Map(), bounds);
  t.teardown(async () => {
    await operations.close();
    await database.close();
    rmSync(folder, { recursive: true });
  });
  return {
    get operations() {
      return operations;
    },
    /** As after a kill: nothing is closed in order. */
    async reopen(unfinished: Record<number, string[]> = {}) {
      await database.close();
      database = await openDatabase(folder);
      operations = await createOperations(
        database,
        silent,
        new Map(Object.entries(unfinished).map(([id, keys]) => [Number(id), keys])),
        bounds,
      );
      return operations;
    },
  };
}

const wanted = (changes: Partial<Wanted> = {}): Wanted => ({
  kind: 'pull',
  target: 'lab/web:1',
  actor: '127.0.0.1',
  claims: ['image:lab/web:1'],
  canCancel: true,
  ...changes,
});

/** Work that waits to be told how to end. */
function held() {
  const gate = Promise.withResolvers<Outcome>();
  let run: Run | undefined;
  const began = Promise.withResolvers<Run>();
  return {
    work: (given: Run) => {
      run = given;
      began.resolve(given);
      return gate.promise;
    },
    began: began.promise,
    isBegun: () => run !== undefined,
    end: gate.resolve,
    fail: gate.reject,
  };
}

type Operations = Awaited<ReturnType<typeof createOperations>>;
const isIn = (operations: Operations, id: number, state: OperationState) => async () =>
  (await operations.find(id))?.state === state;

t.test('an operation is a row from its first moment, and goes on whoever looks', async (t) => {
  const { operations } = await open(t);
  const { work, began, end } = held();
  const started = await operations.start(wanted(), work);
  t.match(started, { id: 1, kind: 'pull', target: 'lab/web:1', actor: '127.0.0.1', state: 'running', progress: null });
  const run = await began;
  run.plan(['Find it', 'Load it']);
  run.step('Find it');
  run.step('Load it', 'layer by layer');
  run.report({ progress: 0.5, message: '1 of 2 layers', details: { lastLines: ['x'] } });
  t.match(await operations.find(1), {
    progress: 0.5,
    message: '1 of 2 layers',
    steps: [
      { name: 'Find it', state: 'done' },
      { name: 'Load it', state: 'running', detail: 'layer by layer' },
    ],
    details: { lastLines: ['x'] },
    canCancel: true,
  });
  end({ message: 'Loaded.' });
  await until(isIn(operations, 1, 'succeeded'), 'it succeeded');
  const done = await operations.find(1);
  t.match(done, { progress: 1, message: 'Loaded.', error: null, canCancel: false });
  t.ok(done?.steps.every((step) => step.state === 'done' && step.startedAt && step.finishedAt));
  t.ok((done?.startedAt ?? 0) >= (done?.queuedAt ?? 1) && (done?.finishedAt ?? 0) >= (done?.startedAt ?? 1));
});

t.test('what it tells is kept, and read again by a later process', async (t) => {
  const opened = await open(t, { saveMs: 1 });
  const { work, began, end } = held();
  await opened.operations.start(wanted(), work);
  (await began).step('Load it');
  end({ message: 'Loaded.', details: { results: [{ id: 'a', name: 'a', ok: true, detail: '' }] } });
  await until(async () => (await opened.operations.list({ limit: 5 }))[0]?.state === 'succeeded', 'it is kept');
  const later = await opened.reopen();
  t.match(await later.find(1), { state: 'succeeded', message: 'Loaded.', steps: [{ name: 'Load it', state: 'done' }] });
  t.match((await later.find(1))?.details.results, [{ name: 'a', ok: true }]);
  t.equal((await later.start(wanted(), async () => ({ message: '' }))).id, 2, 'no number is given twice');
});

t.test('a failure says why in words, and stays in sight until it was read', async (t) => {
  const opened = await open(t, { shownMs: 5 });
  const { operations } = opened;
  const fails = async (run: Run) => {
    run.step('Ask the registry');
    throw new Problem('not_found', 'There is no such tag.', 'manifest unknown');
  };
  const { id } = await operations.start(wanted(), fails);
  await until(isIn(operations, id, 'failed'), 'it failed');
  t.match(await operations.find(id), {
    error: 'There is no such tag.',
    errorCode: 'not_found',
    message: 'There is no such tag.',
    steps: [{ state: 'failed' }],
    details: { engineMessage: 'manifest unknown' },
    isSeen: false,
  });
  const { id: fine } = await operations.start(wanted(), async () => ({ message: 'Loaded.' }));
  await until(isIn(operations, fine, 'succeeded'), 'the second try');
  await until(() => operations.current().length === 1, 'a success is shown for a while only');
  const later = await opened.reopen();
  t.match(
    later.current().map((item: Operation) => item.id),
    [id],
    'also by a later process',
  );
  await later.dismiss(id);
  t.strictSame(later.current(), []);
  t.strictSame((await opened.reopen()).current(), []);
});

t.test('what nobody foresaw tells no more than that', async (t) => {
  const { operations } = await open(t);
  const { id } = await operations.start(wanted(), async () => {
    throw new TypeError('/srv/secret/path is undefined');
  });
  await until(isIn(operations, id, 'failed'), 'it failed');
  const failed = await operations.find(id);
  t.equal(failed?.errorCode, 'internal');
  t.notMatch(JSON.stringify(failed), /secret/);
});

t.test('two operations never work on one thing, and the second is told of the first', async (t) => {
  const { operations } = await open(t);
  const first = held();
  await operations.start(wanted({ claims: ['project:shop', 'container:a'] }), first.work);
  const twice = [
    operations.start(wanted({ claims: ['container:a'] }), async () => ({ message: '' })),
    operations.start(wanted({ claims: ['container:b', 'project:shop'] }), async () => ({ message: '' })),
  ];
  for (const refused of twice)
    await t.rejects(refused, { code: 'conflict', message: /Operation 1 works on it already: pull lab\/web:1/ });
  await t.rejects(operations.visit(['container:a'], nothing), { code: 'conflict' });
  t.equal(operations.holder('container:a')?.id, 1);
  await t.resolves(operations.visit(['container:b'], nothing), 'a refused one holds nothing');
  first.end({ message: '' });
  await until(() => operations.active().length === 0, 'the first has ended');
  await t.resolves(operations.visit(['container:a', 'project:shop'], nothing));
});

t.test('two that are asked for in the same moment are still one', async (t) => {
  const { operations } = await open(t);
  const { work, end } = held();
  const both = await Promise.allSettled([operations.start(wanted(), work), operations.start(wanted(), work)]);
  t.strictSame(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  end({ message: '' });
});

t.test('no more run at once than the bound, the others wait in their order, and not without end', async (t) => {
  const { operations } = await open(t, { running: 2, waiting: 2 });
  const works = Array.from({ length: 4 }, held);
  const start = (n: number) => operations.start(wanted({ claims: [`image:${n}`] }), (works[n] ?? held()).work);
  const started = [await start(0), await start(1), await start(2), await start(3)];
  t.strictSame(
    started.map(({ state }) => state),
    ['running', 'running', 'queued', 'queued'],
  );
  await t.rejects(start(9), { code: 'rate_limited', message: /2 operations wait already/ });
  t.strictSame(
    works.map((work) => work.isBegun()),
    [true, true, false, false],
  );
  works[1]?.end({ message: '' });
  await until(() => works[2]?.isBegun() === true, 'the first that waits begins');
  t.equal(works[3]?.isBegun(), false);
  for (const work of works) work.end({ message: '' });
  await until(() => operations.active().length === 0, 'all end');
});

t.test('cancelling aborts the work, where it says that it can be', async (t) => {
  const { operations } = await open(t, { running: 1 });
  const { work, began } = held();
  const cancellable = async (run: Run) => {
    void work(run);
    await new Promise((_, reject) => run.signal.addEventListener('abort', () => reject(run.signal.reason)));
    return { message: '' };
  };
  const { id } = await operations.start(wanted(), cancellable);
  const queued = await operations.start(wanted({ claims: ['image:other'] }), cancellable);
  await began;
  t.match(await operations.cancel(queued.id), { state: 'interrupted', message: 'Cancelled.' }, 'one that waits');
  await operations.cancel(id);
  await until(isIn(operations, id, 'interrupted'), 'the work was aborted');
  t.match(await operations.find(id), { message: 'Cancelled.', error: null, isSeen: true });
  await t.rejects(operations.cancel(id), { code: 'conflict', message: /has ended already/ });
  await t.rejects(operations.cancel(99), { code: 'not_found', message: 'Operation 99 not found' });

  const second = held();
  const { id: protectedId } = await operations.start(wanted(), second.work);
  (await second.began).hold();
  await t.rejects(operations.cancel(protectedId), { code: 'conflict', message: /can't be cancelled any more/ });
  second.end({ message: '' });
});

t.test('what ran when the process died is marked, what a journal knows stays to be taken up', async (t) => {
  const opened = await open(t, { running: 2 });
  const { operations } = opened;
  for (const n of [1, 2, 3]) await operations.start(wanted({ claims: [`image:${n}`] }), held().work);
  const later = await opened.reopen({ 2: ['image:2'] });
  t.match(await later.find(1), { state: 'interrupted', error: 'Fairlead ended while it ran.', isSeen: false });
  t.match(await later.find(2), { state: 'running' });
  t.match(await later.find(3), { state: 'interrupted', error: 'Fairlead ended before it began.' });
  t.same(
    later.active().map(({ id }) => id),
    [2],
    'until then pages show that it goes on',
  );
  t.equal(later.holder('image:2')?.id, 2);
  const second = later.start(wanted({ claims: ['image:2'] }), held().work);
  await t.rejects(second, { code: 'conflict', message: 'Operation 2 works on it already: pull lab/web:1.' });
  await t.rejects(later.cancel(2), { code: 'conflict', message: /waits for the engine, to be finished or undone/ });
  await t.rejects(later.dismiss(2), { code: 'conflict', message: /still runs/ });
  later.resume(2, async () => ({
    state: 'rolled_back',
    message: 'Undone.',
    error: new Problem('conflict', 'It ended.'),
  }));
  await until(isIn(later, 2, 'rolled_back'), 'it was taken up');
  t.match(await later.find(2), { message: 'Undone.', error: 'It ended.', isSeen: false });
});

t.test('what could neither be finished nor undone holds what it works on until it is', async (t) => {
  const opened = await open(t);
  const { operations } = opened;
  const { id } = await operations.start(wanted({ claims: ['container:a'] }), async (run) => {
    run.claim(['container:b']);
    return { state: 'failed', message: 'Not undone yet.', error: new Problem('conflict', 'No.'), isUnfinished: true };
  });
  await until(isIn(operations, id, 'failed'), 'it ended');
  for (const key of ['container:a', 'container:b']) {
    const other = operations.start(wanted({ claims: [key] }), held().work);
    await t.rejects(other, {
      code: 'conflict',
      message: `Operation ${id} still has to be finished or undone: pull lab/web:1.`,
    });
  }
  await t.rejects(operations.cancel(id), { code: 'conflict', message: /to be finished or undone/ });
  await operations.dismiss(id);
  t.match(await operations.find(id), { state: 'failed', isSeen: true });
  t.same(operations.current(), [], 'it was read, and nothing of it runs');

  const again = held();
  operations.resume(id, again.work);
  const twice: string[] = [];
  const never = async () => ({ message: String(twice.push('taken up again')) });
  operations.resume(id, never);
  await again.began;
  t.match(await operations.find(id), { state: 'running', error: null, canCancel: false });
  t.match(operations.holder('container:b'), { id });
  again.end({ message: 'Undone.' });
  await until(isIn(operations, id, 'succeeded'), 'it was finished');
  await t.resolves(operations.visit(['container:a', 'container:b'], nothing));
  operations.resume(id, never);
  t.same(twice, [], 'once, and not when nothing is left of it');
});

t.test('the end of the program ends what can be ended, and leaves the rest for the next start', async (t) => {
  const opened = await open(t, { closeMs: 200 });
  const { operations } = opened;
  const { id } = await operations.start(wanted(), async (run) => {
    run.step('Load it');
    await new Promise((_, reject) => run.signal.addEventListener('abort', () => reject(new Error('aborted'))));
    return { message: '' };
  });
  const { id: left } = await operations.start(wanted({ claims: ['container:a'] }), async (run) => {
    await new Promise((resolve) => run.closing.addEventListener('abort', resolve));
    throw new Unfinished();
  });
  await operations.start(wanted({ claims: ['container:b'] }), held().work);
  await operations.close();
  await t.rejects(operations.start(wanted(), held().work), { code: 'conflict', message: /is ending/ });
  const later = await opened.reopen({ [left]: ['container:a'] });
  t.match(await later.find(id), { state: 'interrupted', error: 'Fairlead ended while it ran.' });
  t.match(await later.find(left), { state: 'running' });
  t.match(await later.find(3), { state: 'interrupted' }, 'also what does not listen');
});

t.test('the oldest are forgotten above a thousand', async (t) => {
  const { operations } = await open(t, { running: 50 });
  const quick = async () => ({ message: '' });
  for (let n = 0; n < 1_005; n++) await operations.start(wanted({ claims: [`image:${n}`] }), quick);
  await until(() => operations.active().length === 0, 'all ended');
  await until(async () => (await operations.find(5)) === undefined, 'the oldest are gone');
  t.equal((await operations.list({ limit: 5_000 })).length, 1_000);
  t.match(await operations.list({ limit: 2, before: 1_000 }), [{ id: 999 }, { id: 998 }], 'in pages');
});
