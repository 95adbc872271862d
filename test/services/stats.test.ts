import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import t, { type Test } from 'tap';
import type { Clock } from '../../src/services/clock.ts';
import { type Database, openDatabase } from '../../src/services/database.ts';
import type { EngineStats } from '../../src/services/docker-types.ts';
import type { Figures } from '../../src/services/figures.ts';
import { createStats, type Stats, type StatsOptions } from '../../src/services/stats.ts';
import { createStatsStore, type StatsHistory } from '../../src/services/stats-store.ts';

const start = Date.UTC(2026, 10, 23, 12);

/** Time that passes only when told to; `advance` runs what falls due, in order, and lets promises settle after each. */
function createFakeClock() {
  let now = start;
  let count = 0;
  const timers = new Map<number, { at: number; run: () => void }>();
  const clock: Clock = {
    now: () => now,
    after: (ms, run) => {
      const id = ++count;
      timers.set(id, { at: now + ms, run });
      return () => timers.delete(id);
    },
  };
  return {
    clock,
    timers,
    /** Sets the clock; what waits for some ms waits as long as before. */
    jump(ms: number) {
      now += ms;
      for (const timer of timers.values()) timer.at += ms;
    },
    async advance(ms: number) {
      const until = now + ms;
      await settle();
      for (;;) {
        const [next] = [...timers].filter(([, { at }]) => at <= until).sort(([, a], [, b]) => a.at - b.at);
        if (!next) break;
        timers.delete(next[0]);
        now = Math.max(now, next[1].at);
        next[1].run();
        await settle();
      }
      now = until;
      await settle();
    },
  };
}

/** Lets everything that is ready happen: promises, and the database's turns of the event loop. */
async function settle() {
  for (let turn = 0; turn < 12; turn++) await setImmediate();
}

type Answer = (id: string, at: number) => EngineStats | Promise<EngineStats>;

/** A sample of a container that has used `percent` of a core since the epoch of these tests, on two CPUs. */
function toSample(at: number, percent: number, memory = 1_000_000): EngineStats {
  const elapsed = at - start + 60_000;
  return {
    read: new Date(at).toISOString(),
    cpu_stats: {
      cpu_usage: { total_usage: elapsed * 1e4 * percent },
      system_cpu_usage: elapsed * 2e6,
      online_cpus: 2,
    },
    memory_stats: { usage: memory, limit: 64_000_000 },
    networks: { eth0: { rx_bytes: elapsed, tx_bytes: 5 } },
    pids_stats: { current: 3 },
  };
}

/** An engine whose answers, delays and streams are in the test's hands. */
function createFakeDocker(clock: Clock) {
  const calls: { id: string; at: number; signal: AbortSignal }[] = [];
  const streams: { id: string; signal: AbortSignal; send: (text: string) => void; end: () => void }[] = [];
  let busy = 0;
  const fake = {
    calls,
    streams,
    most: 0,
    answer: ((_id, at) => toSample(at, 25)) as Answer,
    callsOf: (id: string) => calls.filter((call) => call.id === id).length,
    containerStats: async (id: string, signal: AbortSignal) => {
      calls.push({ id, at: clock.now(), signal });
      busy += 1;
      fake.most = Math.max(fake.most, busy);
      try {
        return await Promise.race([fake.answer(id, clock.now()), aborted(signal)]);
      } finally {
        busy -= 1;
      }
    },
    followStats: async (id: string, signal: AbortSignal) => {
      const stream = new TransformStream<Uint8Array, Uint8Array>();
      const writer = stream.writable.getWriter();
      signal.addEventListener('abort', () => writer.abort(signal.reason).catch(() => {}));
      const send = (text: string) => void writer.write(new TextEncoder().encode(text)).catch(() => {});
      streams.push({ id, signal, send, end: () => void writer.close() });
      return stream.readable;
    },
  };
  return fake;
}

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

const containers = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ id: `id${index}`, name: `web-${index}` }));

type World = Awaited<ReturnType<typeof createWorld>>;

/** A sampler over a database of its own, a fake engine and a clock that stands still. */
async function createWorld(
  t: Test,
  choices: Partial<StatsOptions> & { database?: Database } = {},
  time = createFakeClock(),
) {
  const database = choices.database ?? (await openDatabase(t.testdir()));
  const docker = createFakeDocker(time.clock);
  const world = { ...time, database, docker, list: containers(1), stats: undefined as unknown as Stats };
  world.stats = createStats({
    docker,
    database,
    intervalSeconds: 10,
    retentionDays: 30,
    running: () => world.list,
    clock: time.clock,
    ...choices,
  });
  t.teardown(async () => {
    await world.stats.close();
    await database.close();
  });
  return world;
}

/** The samples of containers; what is summed over them is kept beside. */
const rows = ({ database: { db } }: World) =>
  db
    .selectFrom('samples')
    .selectAll()
    .where('series', 'in', (all) => all.selectFrom('series').select('id').where('container', 'like', 'id%'))
    .orderBy('at')
    .execute();

t.test('each running container is sampled once an interval', async (t) => {
  const world = await createWorld(t);
  world.list = containers(3);
  await world.stats.start();
  await world.advance(60_000);
  const times = world.docker.calls.filter(({ id }) => id === 'id1').map(({ at }) => (at - start) / 1000);
  t.same(times, [0, 1, 10, 20, 30, 40, 50, 60], 'and once more after the first second, for the CPU');
  t.match(world.stats.latest('id1'), { cpuPercent: 25, memoryBytes: 1_000_000, memoryLimitBytes: 64_000_000, pids: 3 });
  t.same(world.stats.recent('id1'), Array(7).fill(25), 'the first sample has no CPU yet');
  t.equal((await rows(world)).length, 24);
});

t.test('sampling goes on when the clock is set back', async (t) => {
  const world = await createWorld(t);
  await world.stats.start();
  await world.advance(60_000);
  world.jump(-3_600_000);
  const before = world.docker.calls.length;
  await world.advance(60_000);
  t.equal(world.docker.calls.length - before, 6, 'each ten seconds as before');
  t.ok((world.stats.latest('id0')?.at ?? Number.POSITIVE_INFINITY) <= world.clock.now(), 'by the new time');
});

t.test('the first CPU figure comes a second after the start, and listeners are told', async (t) => {
  const world = await createWorld(t);
  const told: (readonly string[])[] = [];
  const stop = world.stats.onTick((ids) => told.push(ids));
  await world.stats.start();
  await world.advance(0);
  t.equal(world.stats.latest('id0')?.cpuPercent, null);
  await world.advance(1_000);
  t.equal(world.stats.latest('id0')?.cpuPercent, 25);
  t.same(told, [['id0'], ['id0', 'machine']], 'the first sum waits for the CPU');
  stop();
  await world.advance(20_000);
  t.equal(told.length, 2, 'none after it has stopped listening');
});

t.test('a container that starts between two rounds is seen within a second', async (t) => {
  const world = await createWorld(t);
  await world.stats.start();
  await world.advance(3_000);
  world.list = containers(2);
  await world.advance(2_000);
  t.equal(world.stats.latest('id1')?.cpuPercent, 25);
  t.equal(world.docker.callsOf('id0'), 2, 'the others are not asked for that');
});

t.test('a start before the list of containers is known costs no interval', async (t) => {
  const world = await createWorld(t);
  world.list = [];
  await world.stats.start();
  await world.advance(2_500);
  t.equal(world.docker.calls.length, 0);
  world.list = containers(1);
  await world.advance(1_000);
  t.equal(world.docker.calls.length, 1);
});

t.test('eight calls at a time', async (t) => {
  const world = await createWorld(t);
  world.list = containers(50);
  const release: (() => void)[] = [];
  world.docker.answer = (_id, at) => new Promise((resolve) => release.push(() => resolve(toSample(at, 10))));
  await world.stats.start();
  await world.advance(0);
  t.equal(world.docker.calls.length, 8);
  while (world.docker.calls.length < 50 || release.length > 0) {
    release.shift()?.();
    await settle();
  }
  t.equal(world.docker.most, 8);
  t.equal(new Set(world.docker.calls.map(({ id }) => id)).size, 50, 'each once');
});

t.test('a slow container delays no other and is not asked again while it is', async (t) => {
  const world = await createWorld(t);
  world.list = containers(4);
  const never = new Promise<EngineStats>(() => {});
  world.docker.answer = (id, at) => (id === 'id2' ? never : toSample(at, 30));
  const told: string[] = [];
  world.stats.onTick((ids) => told.push(...ids));
  await world.stats.start();
  await world.advance(1_500);
  t.match(world.stats.latest('id0'), { cpuPercent: 30 });
  t.ok(told.includes('id3'), 'the others are told after a second at the latest');
  await world.advance(40_000);
  t.equal(world.docker.callsOf('id2'), 1);
  t.equal(world.docker.callsOf('id3'), 6);
  t.equal(world.stats.latest('id2'), undefined);
  t.equal((await rows(world)).length, 18, 'and written');
});

t.test('how far the figures are behind is known', async (t) => {
  const world = await createWorld(t);
  world.list = containers(2);
  const lag = () => world.stats.status().lagMs;
  await world.stats.start();
  await world.advance(25_000);
  t.equal(lag(), 0);
  world.docker.answer = (id, at) => (id === 'id1' ? new Promise(() => {}) : toSample(at, 30));
  await world.advance(20_000);
  t.equal(lag(), 15_000, 'id1 was read last at 20 s, and it is 45 s');
  world.list = containers(1);
  await world.advance(1_000);
  t.equal(lag(), 0, 'one that does not run any more is not waited for');
});

t.test('rounds that take longer than the interval are not stacked', async (t) => {
  const world = await createWorld(t);
  world.list = containers(20);
  world.docker.answer = (_id, at) =>
    new Promise((resolve) => world.clock.after(12_000, () => resolve(toSample(at, 10))));
  await world.stats.start();
  await world.advance(120_000);
  t.ok(world.docker.calls.length <= 8 * 11, `${world.docker.calls.length} calls: eight at a time, all the time`);
  t.equal(world.docker.most, 8);
});

t.test('a stopped container costs nothing and its newest figures go at once', async (t) => {
  const world = await createWorld(t);
  world.list = containers(2);
  await world.stats.start();
  await world.advance(12_000);
  world.list = containers(1);
  world.stats.forget('id1');
  t.equal(world.stats.latest('id1'), undefined);
  t.same(world.stats.recent('id1'), []);
  const before = world.docker.callsOf('id1');
  await world.advance(30_000);
  t.equal(world.docker.callsOf('id1'), before);
  t.equal((await world.stats.history('id1', '1h')).samples.length, 2, 'its history stays');
});

t.test('an answer that comes after the stop brings nothing back', async (t) => {
  const world = await createWorld(t);
  let release = () => {};
  world.docker.answer = (_id, at) =>
    new Promise((resolve) => {
      release = () => resolve(toSample(at, 10));
    });
  await world.stats.start();
  await world.advance(0);
  world.list = [];
  world.stats.forget('id0');
  t.ok(world.docker.calls[0]?.signal.aborted, 'its call is ended');
  release();
  await settle();
  t.equal(world.stats.latest('id0'), undefined);
  t.equal(world.stats.status().failures, 0, 'and not counted as a failure');
});

t.test('the zero answer of a container that has just stopped is no figure', async (t) => {
  const world = await createWorld(t);
  world.docker.answer = () => ({ read: '0001-01-01T00:00:00Z', memory_stats: {} });
  await world.stats.start();
  await world.advance(25_000);
  t.equal(world.stats.latest('id0'), undefined);
  t.same(await rows(world), []);
});

t.test('failures are counted and the next round tries again', async (t) => {
  const world = await createWorld(t);
  world.list = containers(3);
  world.docker.answer = (id, at) => {
    if (id === 'id1') throw new Error('No such container');
    return toSample(at, 10);
  };
  await world.stats.start();
  await world.advance(11_000);
  t.equal(world.stats.status().failures, 3);
  t.equal(world.docker.callsOf('id1'), 3, 'twice at its start, then once an interval');
  world.docker.answer = () => ({ read: '2026-11-23T12:00:00Z', networks: 5 }) as unknown as EngineStats;
  await world.advance(10_000);
  world.docker.answer = () =>
    ({ read: '2026-11-23T12:00:00Z', blkio_stats: { io_service_bytes_recursive: {} } }) as unknown as EngineStats;
  await world.advance(10_000);
  t.equal(world.stats.latest('id0'), undefined, 'an answer of no known shape is a failure too');
  world.docker.answer = (_id, at) => toSample(at, 10);
  await world.advance(21_000);
  t.equal(world.stats.latest('id1')?.cpuPercent, 10, 'the loop lives on');
});

t.test('a listener that throws stops neither the others nor the loop', async (t) => {
  const warned: string[] = [];
  const world = await createWorld(t, { log: { warn: (_details, message) => warned.push(message) } });
  let told = 0;
  world.stats.onTick(() => {
    throw new Error('broken');
  });
  world.stats.onTick(() => {
    told += 1;
  });
  await world.stats.start();
  await world.advance(21_000);
  t.equal(told, 4);
  t.match(warned[0], /listener/);
});

t.test('a database that cannot be written loses samples, not the loop, and is told once an hour', async (t) => {
  const warned: string[] = [];
  const world = await createWorld(t, { log: { warn: (_details, message) => warned.push(message) } });
  await world.stats.start();
  await world.advance(0);
  await world.database.db.schema.alterTable('samples').renameTo('hidden').execute();
  await world.advance(30_000);
  t.ok(world.stats.status().writeFailures >= 3);
  t.same(warned, ['figures could not be written']);
  t.equal(world.stats.latest('id0')?.cpuPercent, 25);
  await world.database.db.schema.alterTable('hidden').renameTo('samples').execute();
  await world.advance(10_000);
  t.equal((await rows(world)).length, 2, 'the first, and the one after it was there again');
});

t.test('an absurd counter does not cost the others their row', async (t) => {
  const world = await createWorld(t);
  world.list = containers(2);
  world.docker.answer = (id, at) =>
    id === 'id0' ? { ...toSample(at, 1), networks: { eth0: { rx_bytes: 1.8446744073709552e19 } } } : toSample(at, 1);
  await world.stats.start();
  await world.advance(0);
  t.equal((await rows(world)).length, 2);
});

t.test('an interval of 0 asks the engine nothing', async (t) => {
  const world = await createWorld(t, { intervalSeconds: 0 });
  await world.stats.start();
  await world.advance(7_200_000);
  t.equal(world.docker.calls.length + world.docker.streams.length, 0);
  t.equal(world.stats.status().mode, 'off');
  t.same((await world.stats.history('id0', '1h')).samples, []);
});

t.test('a restarted container has no CPU figure until the next sample, never a negative one', async (t) => {
  const world = await createWorld(t);
  await world.stats.start();
  await world.advance(12_000);
  const since = world.clock.now();
  world.docker.answer = (_id, at) => ({
    ...toSample(at, 50),
    cpu_stats: {
      ...toSample(at - since + start, 50).cpu_stats,
      system_cpu_usage: at * 2e6,
      cpu_usage: { total_usage: (at - since) * 5e5 },
    },
  });
  await world.advance(9_000);
  t.equal(world.stats.latest('id0')?.cpuPercent, null);
  await world.advance(10_000);
  t.equal(Math.round(world.stats.latest('id0')?.cpuPercent ?? -1), 50);
});

t.test('Podman is counted by wall time', async (t) => {
  const world = await createWorld(t, { isPodman: () => true });
  world.docker.answer = (_id, at) => {
    const sample = toSample(at, 40);
    return { ...sample, cpu_stats: { ...sample.cpu_stats, system_cpu_usage: 1e12 + at } };
  };
  await world.stats.start();
  await world.advance(10_000);
  t.equal(Math.round(world.stats.latest('id0')?.cpuPercent ?? -1), 40);
});

t.test('the sparkline keeps sixty points and survives a restart of the program', async (t) => {
  const time = createFakeClock();
  const database = await openDatabase(t.testdir());
  const world = await createWorld(t, { database }, time);
  await world.stats.start();
  await world.advance(700_000);
  t.equal(world.stats.recent('id0').length, 60);
  await world.stats.close();
  await time.advance(5_000);
  const next = await createWorld(t, { database }, time);
  await next.stats.start();
  await next.advance(0);
  t.equal(next.stats.recent('id0').length, 60, 'those of the last ten minutes');
  t.equal(next.stats.latest('id0')?.cpuPercent, null, 'the newest figures are measured anew');
  await next.advance(1_000);
  t.same(new Set(next.stats.recent('id0')), new Set([25]));
});

/** Answers that take a second, as on an engine whose calls wait for its own tick. */
function slow(world: World) {
  world.docker.answer = (_id, at) =>
    new Promise((resolve) => world.clock.after(1_000, () => resolve(toSample(at, 10))));
}

t.test('where calls are slow, streams are used once the calls would not fit into the interval', async (t) => {
  const world = await createWorld(t);
  slow(world);
  world.list = containers(40);
  await world.stats.start();
  await world.advance(45_000);
  t.equal(world.stats.status().mode, 'one-shot', '40 in 10 s fit');
  world.list = containers(100);
  await world.advance(20_000);
  t.equal(world.stats.status().mode, 'stream');
  const open = () => world.docker.streams.filter(({ signal }) => !signal.aborted);
  t.equal(open().length, 100);
  await world.advance(3_000);
  const before = world.docker.calls.length;
  for (const { id, send } of open()) send(`${JSON.stringify(toSample(world.clock.now(), id === 'id7' ? 80 : 10))}\n`);
  await world.advance(4_000);
  for (const { send } of open()) send(`${JSON.stringify(toSample(world.clock.now(), 10))}\n`);
  await world.advance(4_000);
  t.equal(world.docker.calls.length, before, 'no call beside the streams');
  t.ok((world.stats.latest('id99')?.at ?? 0) > world.clock.now() - 10_000);
  world.list = containers(30);
  await world.advance(11_000);
  t.equal(world.stats.status().mode, 'one-shot', 'and back, when they fit again');
  t.ok(world.docker.streams.every(({ signal }) => signal.aborted));
});

t.test('a stream tells its newest sample; cut lines are joined, silent and ended ones opened again', async (t) => {
  const world = await createWorld(t, { intervalSeconds: 2 });
  slow(world);
  await world.stats.start();
  await world.advance(5_500);
  t.equal(world.stats.status().mode, 'stream', 'slow calls at an interval of 2 s');
  const [first] = world.docker.streams;
  const line = JSON.stringify({ ...toSample(world.clock.now(), 10, 7_000_000), name: 'wéb' });
  const half = line.indexOf('read') + 2;
  first?.send(`${JSON.stringify(toSample(world.clock.now(), 10, 1))}\n${line.slice(0, half)}`);
  await settle();
  first?.send(`${line.slice(half)}\nnot json`);
  await world.advance(2_000);
  t.equal(world.stats.latest('id0')?.memoryBytes, 7_000_000);
  first?.send('\n');
  await world.advance(2_000);
  t.equal(world.stats.latest('id0')?.memoryBytes, 7_000_000, 'a broken line is passed over');
  first?.end();
  await settle();
  await world.advance(2_000);
  t.equal(world.docker.streams.length, 2, 'an ended stream is opened again');
  await world.advance(8_000);
  t.ok(world.docker.streams[1]?.signal.aborted, 'a silent one is given up');
  t.equal(world.docker.streams.length, 3);
});

t.test('closing ends calls, streams and timers, and writes what was sampled', async (t) => {
  const world = await createWorld(t);
  world.list = containers(2);
  const never = new Promise<EngineStats>(() => {});
  world.docker.answer = (id, at) => (id === 'id1' ? never : toSample(at, 10));
  await world.stats.start();
  await world.advance(0);
  t.same(await rows(world), [], 'still waiting for the slow one');
  await world.stats.close();
  t.equal((await rows(world)).length, 1);
  t.ok(world.docker.calls.every(({ id, signal }) => signal.aborted || id === 'id0'));
  t.equal(world.timers.size, 0);
  await world.advance(100_000);
  t.equal(world.docker.calls.length, 2);
});

t.test('a renamed container keeps its series under the new name', async (t) => {
  const world = await createWorld(t);
  await world.stats.start();
  await world.advance(0);
  world.list = [{ id: 'id0', name: 'renamed' }];
  await world.advance(11_000);
  const series = await world.database.db.selectFrom('series').selectAll().execute();
  t.match(series, [{ container: 'id0', name: 'renamed' }]);
  t.equal((await world.stats.history('id0', '1h')).samples.length, 2);
});

const figures = (at: number, cpuPercent: number | null, memoryBytes = 1000, total = 0): Figures => ({
  at,
  cpuPercent,
  memoryBytes,
  memoryLimitBytes: null,
  networkRxBytes: total,
  networkTxBytes: total,
  blockReadBytes: total,
  blockWriteBytes: total,
  pids: 1,
});

async function createStore(t: Test) {
  const time = createFakeClock();
  const { db, close } = await openDatabase(t.testdir());
  t.teardown(close);
  return { ...time, db, store: createStatsStore(db, time.clock) };
}

t.test('history has the average and the maximum of each step, and the totals at its end', async (t) => {
  const { store } = await createStore(t);
  const step = start - 240_000;
  await store.write([
    { id: 'a', name: 'a', figures: figures(step, 10, 1000, 5) },
    { id: 'b', name: 'b', figures: figures(step, 99, 9999, 9) },
  ]);
  await store.write([{ id: 'a', name: 'a', figures: figures(step + 10_000, 40.126, 3000, 6) }]);
  await store.write([{ id: 'a', name: 'a', figures: figures(step + 20_000, null, 2000, 1) }]);
  t.same(await store.history('a', '24h', 10), {
    id: 'a',
    range: '24h',
    stepSeconds: 240,
    samples: [
      {
        at: new Date(step).toISOString(),
        cpuPercent: 25.07,
        cpuPercentMax: 40.13,
        memoryBytes: 2000,
        memoryBytesMax: 3000,
        memoryLimitBytes: null,
        networkRxBytes: 1,
        networkTxBytes: 1,
        blockReadBytes: 1,
        blockWriteBytes: 1,
        pids: 1,
      },
    ],
  });
});

t.test('a range has at most 360 steps, no shorter than the interval, and gaps are absent', async (t) => {
  const { store } = await createStore(t);
  const at = [3_500, 3_490, 1_000, 10, 0].map((seconds) => start - seconds * 1000);
  for (const moment of at) await store.write([{ id: 'a', name: 'a', figures: figures(moment, 1) }]);
  const hour = await store.history('a', '1h', 10);
  t.equal(hour.stepSeconds, 10);
  t.same(
    hour.samples.map((sample) => Date.parse(sample.at)),
    at,
  );
  t.equal((await store.history('a', '1h', 60)).stepSeconds, 60);
  t.equal((await store.history('a', '7d', 10)).stepSeconds, 1800);
  t.equal((await store.history('a', '30d', 10)).stepSeconds, 7200);
  t.same((await store.history('nobody', '1h', 10)).samples, []);
});

t.test('a step whose rows are read in several slices counts them all', async (t) => {
  const { store } = await createStore(t);
  const ids = containers(3_000);
  for (let second = 100; second > 0; second -= 10) {
    await store.write(ids.map(({ id, name }) => ({ id, name, figures: figures(start - second * 1000, second) })));
  }
  const { samples } = await store.history('id2999', '24h', 10);
  t.match(samples, [{ cpuPercent: 55, cpuPercentMax: 100 }]);
});

t.test('samples older than the retention go, in slices, and their series with them', async (t) => {
  const { store, db, clock, advance } = await createStore(t);
  const ids = containers(1_000);
  for (let tick = 0; tick < 12; tick++) {
    await store.write(ids.map(({ id, name }) => ({ id, name, figures: figures(start - 31 * day + tick, 1) })));
  }
  await store.write([{ id: 'id5', name: 'web-5', figures: figures(start - 29 * day, 7) }]);
  await db
    .updateTable('series')
    .set({ seen_at: start - 40 * day })
    .where('container', '!=', 'id5')
    .execute();
  const count = async () =>
    Number((await db.selectFrom('samples').select(db.fn.countAll().as('n')).executeTakeFirstOrThrow()).n);
  let isDone = false;
  const pruned = createStatsStore(db, clock)
    .tidy(start - 30 * day, new AbortController().signal)
    .then(() => {
      isDone = true;
    });
  await settle();
  t.ok((await count()) < 12_001 && (await count()) >= 9_001, 'some at a time');
  while (!isDone) await advance(50);
  await pruned;
  t.equal(await count(), 0);
  t.match(await db.selectFrom('rollups').selectAll().execute(), [{ cpu: 700 }], 'the rest is rolled up');
  t.match(await db.selectFrom('series').selectAll().execute(), [{ container: 'id5' }]);
});

t.test('pruning ends early when the program does', async (t) => {
  const { store, db } = await createStore(t);
  const ids = containers(3_000);
  for (let tick = 0; tick < 4; tick++) {
    await store.write(ids.map(({ id, name }) => ({ id, name, figures: figures(tick + 1, 1) })));
  }
  const closing = new AbortController();
  const pruned = store.tidy(start, closing.signal);
  await settle();
  closing.abort();
  await t.resolves(pruned);
  const left = await db.selectFrom('samples').select(db.fn.countAll().as('n')).executeTakeFirstOrThrow();
  t.ok(Number(left.n) > 0);
});

t.test('the sampler prunes by itself, a quarter of an hour apart', async (t) => {
  const world = await createWorld(t, { retentionDays: 1, intervalSeconds: 600 });
  const store = createStatsStore(world.database.db, world.clock);
  await store.write([{ id: 'old', name: 'old', figures: figures(start - 90_000_000, 1) }]);
  await world.stats.start();
  await world.advance(61_000);
  const old = () =>
    world.database.db
      .selectFrom('samples')
      .selectAll()
      .where('at', '<', start - 86_000_000)
      .execute();
  t.same(await old(), []);
  await store.write([{ id: 'old', name: 'old', figures: figures(start - 90_000_000, 1) }]);
  await world.advance(900_000);
  await settle();
  t.same(await old(), []);
});

/** A clock that is set by hand and makes nobody wait. */
function createRunningClock(now = start) {
  const time = { now };
  const clock: Clock = {
    now: () => time.now,
    after: (_ms, run) => {
      const next = globalThis.setImmediate(run);
      return () => clearImmediate(next);
    },
  };
  return { time, clock };
}

const day = 86_400_000;
const open = () => new AbortController().signal;

/** A month of samples, more than a slice in each tier, as a version without tiers left them. */
async function createMonth(t: Test, days = 30) {
  const { time, clock } = createRunningClock();
  const { db, path, close } = await openDatabase(t.testdir());
  t.teardown(close);
  const store = createStatsStore(db, clock);
  const samples = [];
  for (let at = start - days * day, n = 0; at < start; at += 150_000, n++) {
    samples.push({ id: 'a', name: 'a', figures: figures(at, n % 7, 1_000 + (n % 11), n) });
  }
  await store.write(samples);
  return { time, clock, db, path, store, samples };
}

type Db = Awaited<ReturnType<typeof createMonth>>['db'];

/** How many samples are kept, in whichever tier, and how many rows each takes. */
async function countKept(db: Db) {
  const raw = await db.selectFrom('samples').select(db.fn.countAll<number>().as('n')).executeTakeFirstOrThrow();
  const rolled = await db
    .selectFrom('rollups')
    .select(['step', db.fn.countAll<number>().as('rows'), db.fn.sum<number>('count').as('n')])
    .groupBy('step')
    .orderBy('step')
    .execute();
  return { raw: raw.n, rolled, all: rolled.reduce((sum, { n }) => sum + n, raw.n) };
}

/** Averages may differ by what rounding takes, nothing else may. */
function sameHistory(t: Test, found: StatsHistory, wanted: StatsHistory, message: string): void {
  const rounded = ({ samples, ...rest }: StatsHistory) => ({
    ...rest,
    samples: samples.map(({ cpuPercent, memoryBytes, ...sample }) => sample),
  });
  t.same(rounded(found), rounded(wanted), message);
  for (const [index, { cpuPercent, memoryBytes }] of found.samples.entries()) {
    const other = wanted.samples[index];
    const isNear =
      Math.abs((cpuPercent ?? -1) - (other?.cpuPercent ?? -1)) < 0.02 &&
      Math.abs(memoryBytes - (other?.memoryBytes ?? 0)) < 2;
    if (!isNear) t.fail(`${message}: ${cpuPercent}, ${memoryBytes} at ${other?.at}`);
  }
}

const ranges = ['1h', '24h', '7d', '30d'] as const;

t.test('samples move from tier to tier by their age, and every chart stays as it was', async (t) => {
  const { db, store, samples } = await createMonth(t);
  const before = await Promise.all(ranges.map((range) => store.history('a', range, 10)));
  await store.tidy(start - 31 * day, open());
  const { raw, rolled, all } = await countKept(db);
  t.equal(raw, 24, 'an hour as taken');
  t.match(rolled, [
    { step: 60, rows: 24 * 24 },
    { step: 900, rows: Math.floor((7 * 24 - 1) * 4) },
    { step: 7200, rows: 22 * 12 },
  ]);
  t.equal(all, samples.length, 'each sample is somewhere, and once');
  for (const [index, range] of ranges.entries()) {
    const after = await store.history('a', range, 10);
    if (before[index]) sameHistory(t, after, before[index], range);
    t.ok(after.samples.length <= 360, `${after.samples.length} steps`);
  }
  t.equal((await store.history('a', '30d', 10)).samples.length, 359, 'none but the step that begins now');
});

t.test('samples of a version without tiers are shown at once, and rolled up in the background', async (t) => {
  const folder = t.testdir({ data: {}, steps: {} });
  const steps = join(import.meta.dirname, '../../migrations');
  for (const step of ['0001-figures.ts', '0002-operations.ts'])
    copyFileSync(join(steps, step), join(folder, 'steps', step));
  const old = await openDatabase(join(folder, 'data'), join(folder, 'steps'));
  const rows = Array.from({ length: 30 * 24 * 4 }, (_, n) => [start - (n + 1) * 900_000, n % 50]);
  await sql`insert into series values (1, 'a', 'a', ${start})`.execute(old.db);
  await sql`insert into samples select value ->> 0, 1, value ->> 1, 5, null, 1, 1, 1, 1, 1
    from json_each(${JSON.stringify(rows)})`.execute(old.db);
  await old.close();
  const { clock } = createRunningClock();
  const { db, close } = await openDatabase(join(folder, 'data'));
  t.teardown(close);
  const store = createStatsStore(db, clock);
  const wanted = await store.history('a', '30d', 10);
  t.equal(wanted.samples.length, 359);
  await store.tidy(start - 30 * day, open());
  sameHistory(t, await store.history('a', '30d', 10), wanted, 'the chart is as it was');
  t.match(await countKept(db), { raw: 4, all: rows.length });
});

t.test('tidying again changes nothing, and what comes later is added', async (t) => {
  const { db, store, samples, time } = await createMonth(t, 2);
  await store.tidy(0, open());
  const first = await db.selectFrom('rollups').selectAll().execute();
  await store.tidy(0, open());
  t.same(await db.selectFrom('rollups').selectAll().execute(), first);
  time.now += 10 * 60_000;
  await store.write([{ id: 'a', name: 'a', figures: figures(time.now - 3 * 3_600_000, 300, 5, 1) }]);
  await store.tidy(0, open());
  t.equal((await countKept(db)).all, samples.length + 1);
  const found = (await store.history('a', '24h', 10)).samples.find(({ cpuPercentMax }) => cpuPercentMax === 300);
  t.match(found, { cpuPercentMax: 300, networkRxBytes: Number }, 'a late sample counts in the step it belongs to');
});

t.test('a clock that was set back loses nothing and counts nothing twice', async (t) => {
  const { db, store, time, samples } = await createMonth(t, 1);
  await store.tidy(0, open());
  time.now -= 5 * 3_600_000;
  for (let n = 0; n < 50; n++) {
    await store.write([{ id: 'a', name: 'a', figures: figures(time.now + n * 150_000 + 7, 90, 1_000, 1) }]);
  }
  time.now = start + 3_600_000;
  await store.tidy(0, open());
  t.equal((await countKept(db)).all, samples.length + 50);
  const steps = (await store.history('a', '24h', 10)).samples;
  t.equal(new Set(steps.map(({ at }) => at)).size, steps.length, 'each moment once');
});

t.test('a slice that fails is not done by half, and the next time goes on', async (t) => {
  const { db, store, samples } = await createMonth(t, 3);
  await sql`create trigger full_disk before delete on samples when old.at > ${sql.lit(start - day)}
    begin select raise(abort, 'disk is full'); end`.execute(db);
  await t.rejects(store.tidy(0, open()), { message: 'disk is full' });
  const { raw, all } = await countKept(db);
  t.ok(raw > 24 && raw < samples.length, 'some slices were done');
  t.equal(all, samples.length);
  await sql`drop trigger full_disk`.execute(db);
  await store.tidy(0, open());
  t.match(await countKept(db), { raw: 24, all: samples.length });
});

t.test('a process that is killed while it rolls up loses nothing and counts nothing twice', async (t) => {
  const { db, path, samples, store } = await createMonth(t, 10);
  const wanted = await store.history('a', '30d', 10);
  const left = async () => (await countKept(db)).raw;
  for (let kill = 1; kill <= 3; kill++) {
    const before = await left();
    const tidy = join(import.meta.dirname, '../support/tidy.ts');
    const child = spawn(process.execPath, [tidy, dirname(path), String(start)]);
    const ended = once(child, 'exit');
    while ((await left()) === before && child.exitCode === null) await setImmediate();
    child.kill('SIGKILL');
    await ended;
    t.equal(child.signalCode, 'SIGKILL', 'it was not done');
    const { raw, all } = await countKept(db);
    t.ok(raw < before, `${before - raw} samples were moved`);
    t.equal(all, samples.length);
  }
  await store.tidy(0, open());
  sameHistory(t, await store.history('a', '30d', 10), wanted, 'the chart is as it was');
});

t.test('a chart drawn while samples move shows each once', async (t) => {
  const { store } = await createMonth(t, 10);
  const wanted = await store.history('a', '30d', 10);
  let isDone = false;
  const tidied = store.tidy(0, open()).then(() => {
    isDone = true;
  });
  let drawn = 0;
  for (; !isDone; drawn++) sameHistory(t, await store.history('a', '30d', 10), wanted, `drawn ${drawn} times`);
  await tidied;
  t.ok(drawn > 3, `${drawn} times`);
});

t.test('a retention that is shorter than a tier ends that too', async (t) => {
  const { db, store } = await createMonth(t, 3);
  await store.tidy(0, open());
  await store.tidy(start - 0.5 * day, open());
  const { raw, rolled } = await countKept(db);
  t.equal(raw, 24);
  t.match(rolled, [{ step: 60, rows: 11 * 24 }]);
});

t.test('containers that come and go have steps of their own time only', async (t) => {
  const { store } = await createMonth(t, 0);
  const at = (hours: number) => start - hours * 3_600_000;
  await store.write([{ id: 'short', name: 'short', figures: figures(at(30), 5) }]);
  await store.write([{ id: 'later', name: 'later', figures: figures(at(29.9), 6) }]);
  await store.write([{ id: 'short', name: 'short', figures: figures(at(4), 7) }]);
  await store.tidy(0, open());
  const moments = async (id: string) =>
    (await store.history(id, '7d', 10)).samples.map(({ at, cpuPercent }) => [start - Date.parse(at), cpuPercent]);
  t.same(await moments('short'), [
    [30 * 3_600_000, 5],
    [4 * 3_600_000, 7],
  ]);
  t.same(await moments('later'), [[30 * 3_600_000, 6]]);
});

t.test('absurd sizes do not stop the roll-up', async (t) => {
  const { db, store } = await createMonth(t, 0);
  for (let n = 0; n < 3_000; n++) {
    if (n % 500 === 0)
      await store.write(
        Array.from({ length: 500 }, (_, i) => ({
          id: 'a',
          name: 'a',
          figures: figures(start - 5 * day + (n + i) * 1_000, 1e300, Number.MAX_SAFE_INTEGER, 1e300),
        })),
      );
  }
  await store.tidy(0, open());
  t.equal((await countKept(db)).all, 3_000);
  t.match((await store.history('a', '7d', 10)).samples, [{ memoryBytes: Number.MAX_SAFE_INTEGER }, {}]);
});

t.test('the sparkline comes back from steps of a minute where the interval is long', async (t) => {
  const { store } = await createMonth(t, 0);
  for (let n = 60; n > 0; n--) await store.write([{ id: 'a', name: 'a', figures: figures(start - n * 300_000, n) }]);
  await store.tidy(0, open());
  t.same(
    (await store.recent(start - 60 * 300_000, 60)).get('a'),
    Array.from({ length: 60 }, (_, n) => 60 - n),
  );
});

t.test('sums are kept once an interval, and go on where an earlier run has ended', async (t) => {
  const world = await createWorld(t);
  world.list = [
    { id: 'id0', name: 'web-0', project: 'shop' } as (typeof world.list)[number],
    ...containers(3).slice(1),
  ];
  await world.stats.start();
  await world.advance(60_000);
  const machine = (await world.stats.history('machine', '1h')).samples;
  t.equal(machine.length, 7, 'the second samples after a second are no round of their own');
  t.match(machine.at(-1), { cpuPercent: 75, memoryBytes: 3_000_000, memoryLimitBytes: null, pids: 9 });
  t.equal(machine.at(-1)?.networkRxBytes, 3 * 60_000, 'what was received since the first samples');
  const shop = (await world.stats.history('project:shop', '1h')).samples;
  t.match(shop.at(-1), { cpuPercent: 25, memoryBytes: 1_000_000, networkRxBytes: 60_000 });
  t.match(world.stats.rates('id1'), { networkRxBytes: 1_000, networkTxBytes: 0 });
  t.equal(world.stats.trend('id1', 'memory').length, 8);
  t.ok(world.stats.trend('id1', 'network').every((value) => value === 1_000));
  await world.stats.close();

  const next = await createWorld(t, { database: world.database }, world);
  next.list = world.list;
  await next.advance(10_000);
  await next.stats.start();
  await next.advance(20_000);
  const all = (await next.stats.history('machine', '1h')).samples.map(({ networkRxBytes }) => networkRxBytes);
  t.same(
    all.toSorted((a, b) => a - b),
    all,
    'no restart of this program is a reset of its counters',
  );
  t.ok((all.at(-1) ?? 0) > 3 * 60_000);
  next.list = next.list.slice(0, 1);
  await next.advance(20_000);
  t.match((await next.stats.history('machine', '1h')).samples.at(-1), { cpuPercent: 25 }, 'who is gone is not summed');
  next.list = [];
  const { length } = (await next.stats.history('machine', '1h')).samples;
  await next.advance(30_000);
  t.equal((await next.stats.history('machine', '1h')).samples.length, length, 'where nothing runs there is a gap');
});

/** Containers that answer after some ms, each of a project of its own. */
function answerAfter(world: World, delays: readonly number[]) {
  world.list = delays.map((_, n) => ({ id: `id${n}`, name: `web-${n}`, project: `p${n}` }));
  world.docker.answer = (id, at) =>
    new Promise((resolve) => {
      const ms = delays[Number(id.slice(2))] ?? 0;
      world.clock.after(ms, () => resolve(toSample(at + ms, 25)));
    });
}

t.test('each project goes on where it ended, whichever of them was read last', async (t) => {
  const world = await createWorld(t);
  answerAfter(world, [10, 300]);
  await world.stats.start();
  await world.advance(61_000);
  const received = async ({ stats }: World, series: string) =>
    (await stats.history(series, '1h')).samples.map(({ networkRxBytes }) => networkRxBytes ?? 0);
  const before = (await received(world, 'project:p0')).at(-1) ?? 0;
  t.ok(before >= 50_000);
  await world.stats.close();

  const next = await createWorld(t, { database: world.database }, world);
  answerAfter(next, [10, 300]);
  await next.advance(10_000);
  await next.stats.start();
  await next.advance(21_000);
  for (const series of ['machine', 'project:p0', 'project:p1']) {
    const all = await received(next, series);
    t.same(
      all.toSorted((a, b) => a - b),
      all,
      `no restart of this program is a reset of ${series}`,
    );
    t.ok((all.at(-1) ?? 0) > before);
  }
});

t.test('the first answers of a slow engine are no sum: that would be a dip that never was', async (t) => {
  const world = await createWorld(t);
  answerAfter(world, Array(40).fill(1_000));
  await world.stats.start();
  await world.advance(60_000);
  const { answer } = world.docker;
  world.docker.answer = () => Promise.reject(new Error('the engine is away'));
  await world.advance(180_000);
  world.docker.answer = answer;
  const { length } = (await world.stats.history('machine', '1h')).samples;
  await world.advance(60_000);
  const { samples } = await world.stats.history('machine', '1h');
  t.ok(length >= 4, `${length} sums`);
  t.ok(samples.length >= length + 4, `${samples.length} sums with those after a pause`);
  for (const { cpuPercent, memoryBytes } of samples)
    t.match({ cpuPercent, memoryBytes }, { cpuPercent: 1_000, memoryBytes: 40_000_000 });
});

t.test('one that never answers holds the sums up for two intervals', async (t) => {
  const world = await createWorld(t);
  world.list = containers(2);
  world.docker.answer = (id, at) => (id === 'id1' ? Promise.reject(new Error('gone')) : toSample(at, 25));
  await world.stats.start();
  await world.advance(19_000);
  t.same((await world.stats.history('machine', '1h')).samples, []);
  await world.advance(2_000);
  t.match((await world.stats.history('machine', '1h')).samples, [{ cpuPercent: 25, memoryBytes: 1_000_000 }]);
});

t.test('a span of time has only what is within, in steps as fine as they are kept', async (t) => {
  const { store } = await createStore(t);
  const at = [3_000, 2_990, 2_000, 1_990, 100].map((seconds) => start - seconds * 1_000);
  for (const moment of at) await store.write([{ id: 'a', name: 'a', figures: figures(moment, 1) }]);
  const found = await store.history('a', { from: start - 2_995_000, to: start - 1_990_000 }, 10);
  t.match(found, { range: 'custom', stepSeconds: 10 });
  t.same(
    found.samples.map((sample) => Date.parse(sample.at)),
    at.slice(1, 4),
  );
  t.same((await store.history('a', { from: start + day, to: start + 2 * day }, 10)).samples, [], 'the future is empty');
});
