import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { startMerged, until, watch } from '../support/merged-logs.ts';
import { createRandom, runSeed } from '../support/random.ts';

type View = ReturnType<typeof watch>;
type Started = Awaited<ReturnType<typeof startMerged>>;

/** Containers that write numbered lines, each its own in turn. */
function startWriters({ write, add }: Started, names: readonly string[]) {
  const ids = names.map(add);
  const written = new Map<string, string[]>();
  let count = 0;

  function writeTo(id: string): void {
    write(id);
    written.set(id, [...(written.get(id) ?? []), `line ${count}`]);
    count += 1;
  }

  return {
    ids,
    writeTo,
    count: () => count,
    /** What is amiss in what a view was given: of each container its lines one after the other, to the last if it is whole. */
    faultsOf({ lines, entries }: View, isWhole: boolean): string[] {
      const byContainer = Map.groupBy(lines(), ({ container }) => container);
      const faults = entries.length === lines().length ? [] : ['a gap'];
      for (const [id, own] of byContainer) {
        const texts = own.map(({ text }) => text);
        const all = written.get(id) ?? [];
        const begin = all.indexOf(texts[0] ?? '');
        const due = isWhole ? all.slice(begin) : all.slice(begin, begin + texts.length);
        if (texts.join() !== due.join()) faults.push(`${ids.indexOf(id)}: ${texts} where ${due} were due`);
      }
      return faults;
    },
  };
}

/** Writes line after line until some views are given the same batches. */
async function untilShared(views: readonly View[], write: () => void): Promise<void> {
  const [first, ...others] = views as [View, ...View[]];
  const isShared = () => {
    write();
    const newest = [...first.batches].at(-1);
    return newest !== undefined && others.every(({ batches }) => batches.has(newest));
  };
  await until(isShared, 'they are given the same');
}

async function untilClosed(t: Test, { engine }: Started, views: readonly View[]): Promise<void> {
  for (const view of views) view.close();
  await until(() => engine.openStreams('logs').length === 0, 'every stream is closed');
  t.pass('every stream is closed');
}

t.test('A merged log that several follow', async (t) => {
  await t.test('is put in order once, and all are given the same batches', async (t) => {
    const started = await startMerged(t);
    const { ids, writeTo, count, faultsOf } = startWriters(started, ['web', 'api', 'cache']);
    const writeOne = () => writeTo(ids[count() % 3] as string);
    while (count() < 90) writeOne();
    const views = [10, 20, 90].map((tail) => watch(started.merged, ids, { tail }));
    await until(() => views.every(({ lines }) => lines().length > 0), 'their first lines');
    await untilShared(views, writeOne);
    t.equal(started.engine.openStreams('logs').length, 3, 'by one stream each');
    const isWhole = ({ lines }: View, n: number) => lines().length === count() - ([80, 70, 0][n] ?? 0);
    await until(() => views.every(isWhole), 'all lines');
    for (const view of views) t.same(faultsOf(view, true), []);
    await untilClosed(t, started, views);
  });

  await t.test('is followed alone by who searches it', async (t) => {
    const started = await startMerged(t);
    const { ids, writeTo, count } = startWriters(started, ['web', 'api']);
    const writeOne = () => writeTo(ids[count() % 2] as string);
    const views = [watch(started.merged, ids), watch(started.merged, ids), watch(started.merged, ids, { q: '7' })];
    await until(() => views.every(({ told }) => told.length > 0), 'all follow');
    await untilShared(views.slice(0, 2), writeOne);
    const wanted = Array.from({ length: count() }, (_, n) => `line ${n}`).filter((text) => text.includes('7'));
    await until(() => (views[2]?.lines().length ?? 0) >= wanted.length, 'what is searched for');
    t.same(views[2]?.texts(), wanted);
    await untilClosed(t, started, views);
  });

  await t.test('goes on for each where a container ends, comes or goes', async (t) => {
    const started = await startMerged(t);
    const { ids, writeTo, count, faultsOf } = startWriters(started, ['web', 'api', 'cache', 'late']);
    const [web, api, cache, late] = ids as [string, string, string, string];
    let now = [web, api, cache];
    const views = [1, 2, 3].map(() => watch(started.merged, now));
    await until(() => views.every(({ told }) => told.length > 0), 'all follow');
    const writeOne = () => writeTo(now[count() % now.length] as string);
    await untilShared(views, writeOne);
    await started.engine.stop(cache);
    now = [web, api];
    await untilShared(views, writeOne);
    for (const view of views) view.update([web, api, cache, late]);
    now = [web, api, late];
    await untilShared(views, writeOne);
    for (const view of views) view.update([web, api, late], () => true);
    await untilShared(views, writeOne);
    await until(() => views.every(({ lines }) => lines().length >= count()), 'all lines').catch(() => {});
    for (const view of views) t.same(faultsOf(view, true), []);
    await untilClosed(t, started, views);
  });

  await t.test('loses and doubles no line, whoever comes, goes, or has no room for a while', async (t) => {
    const started = await startMerged(t);
    const { ids, writeTo, faultsOf } = startWriters(started, ['web', 'api', 'cache', 'db']);
    const random = createRandom(runSeed);
    const below = (count: number) => Math.floor(random() * count);
    t.comment(`FAIRLEAD_TEST_SEED=${runSeed}`);
    const writeSome = (most: number) => {
      for (let n = below(most); n >= 0; n -= 1) writeTo(ids[below(4)] as string);
    };
    writeSome(40);
    const isFull = [false, false, false];
    const open = (at: number) => watch(started.merged, ids, { tail: 15 }, () => !isFull[at]);
    const views = isFull.map((_, at) => open(at));
    const left: View[] = [];
    const shared = new Set<readonly unknown[]>();
    for (let round = 0; round < 120 || (shared.size === 0 && round < 1_000); round += 1) {
      writeSome(25);
      const at = below(3);
      isFull[at] = below(3) === 0;
      if (below(8) === 0) {
        const [view] = views.splice(at, 1, open(at));
        view?.close();
        left.push(view as View);
      }
      for (const batch of views[0]?.batches ?? []) if (views[1]?.batches.has(batch)) shared.add(batch);
      await sleep(below(20));
    }
    isFull.fill(false);
    const isWhole = (view: View) => faultsOf(view, true).length === 0;
    await until(() => views.every(isWhole), 'all lines').catch(() => {});
    t.ok(shared.size > 0, 'they were given the same at times');
    for (const view of views) t.same(faultsOf(view, true), []);
    for (const view of left) t.same(faultsOf(view, false), []);
    await untilClosed(t, started, views);
  });

  await t.test('tells who had no room how many lines are missing', async (t) => {
    const started = await startMerged(t);
    const { ids, writeTo, count } = startWriters(started, ['web', 'api']);
    const writeOne = () => writeTo(ids[count() % 2] as string);
    let hasRoom = true;
    const views = [watch(started.merged, ids), watch(started.merged, ids, {}, () => hasRoom)] as const;
    await until(() => views.every(({ told }) => told.length > 0), 'both follow');
    await untilShared(views, writeOne);
    hasRoom = false;
    for (const end = count() + 7_000; count() < end; ) {
      for (let n = 0; n < 100; n += 1) writeOne();
      await until(() => views[0].lines().length === count(), 'who has room is given all');
    }
    hasRoom = true;
    await until(() => views[1].texts().at(-1) === `line ${count() - 1}`, 'the newest line');
    t.equal(views[0].entries.length, count(), 'who had room misses nothing');
    const missing = views[1].entries.flatMap((entry) =>
      'gap' in entry && 'lines' in entry.gap ? entry.gap.lines : [],
    );
    t.equal(missing.length, 1);
    t.equal(views[1].lines().length + (missing[0] ?? 0), count());
    await untilClosed(t, started, views);
  });
});
