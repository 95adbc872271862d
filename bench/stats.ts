/**
 * What figures cost: a tick of 1,000 containers written, against the floor of one plain transaction of prepared inserts
 * into the same table in the same run; 30 days of 50 containers, sampled every 10 s and tidied every 15 minutes of a
 * clock that runs ahead, with the sums of the machine and of ten projects: the file's size, each chart's query, and the
 * longest block of the event loop; the same blocks where 1,000 containers are rolled up.
 * Run with `npm run bench -- stats`, which starts it with the program's own flags; it takes some minutes.
 */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate, setTimeout } from 'node:timers/promises';
import SQLite from 'better-sqlite3';
import { sql } from 'kysely';
import { type Clock, systemClock } from '../src/services/clock.ts';
import { type Database, openDatabase } from '../src/services/database.ts';
import type { Figures } from '../src/services/figures.ts';
import { createStatsStore, type NamedFigures } from '../src/services/stats-store.ts';
import { machineSeries, projectSeries } from '../src/services/stats-totals.ts';
import type { StatsRange } from '../src/services/stats-windows.ts';
import { inMegabytes, inQuantiles, print } from './support.ts';

const ticks = 60;
const folder = mkdtempSync(join(tmpdir(), 'fairlead-bench-'));

async function benchWrites({ db, path }: Database, containers: number): Promise<void> {
  const store = createStatsStore(db, systemClock);
  const floor = createFloor(path);
  await store.write(toTick(containers, Date.now()));
  const written: Cost[] = [];
  const least: Cost[] = [];
  for (let tick = 0; tick < ticks; tick++) {
    const at = Date.now() + tick * 10_000;
    await sql`pragma wal_checkpoint(truncate)`.execute(db);
    written.push(await measure(path, () => store.write(toTick(containers, at))));
    floor.checkpoint();
    least.push(await measure(floor.path, () => floor.write(toTick(containers, at))));
  }
  floor.close();
  printCosts(`write ${containers} samples in one tick`, written);
  printCosts('  floor: prepared inserts', least);
}

const dayMs = 86_400_000;
const quarterMs = 900_000;
const most = { bytes: 25e6, queryMs: 50, blockMs: 20 };

/** A clock that is set by hand, and never makes anybody wait. */
function createBenchClock(start: number) {
  const time = { now: start };
  const clock: Clock = {
    now: () => time.now,
    after: (_ms, run) => {
      const next = globalThis.setImmediate(run);
      return () => clearImmediate(next);
    },
  };
  return { time, clock };
}

/** Lets some days pass in quarters of an hour, each written and then tidied; gives the blocks of each time, and of idle time between. */
async function passDays(db: Database['db'], containers: number, days: number) {
  const { time, clock } = createBenchClock(Date.now() - days * dayMs);
  const store = createStatsStore(db, clock);
  const blocks: Blocks[] = [];
  const idle: Blocks[] = [];
  for (let quarter = 0; quarter < (days * dayMs) / quarterMs; quarter++) {
    for (let tick = 0; tick < 90; tick += 15)
      await store.write(withSums(toTick(containers, time.now + tick * 10_000, 15)));
    time.now += quarterMs;
    const tidied = await watchBlocks(() => store.tidy(time.now - 30 * dayMs, new AbortController().signal));
    blocks.push(tidied);
    if (quarter % 10 === 0) idle.push(await watchBlocks(() => setTimeout(tidied.ms)));
  }
  return { store, blocks, idle };
}

/** What people see of 30 days: how large they are, and how long each chart takes. */
async function benchMonth({ db, path }: Database, containers: number): Promise<void> {
  const { store, blocks, idle } = await passDays(db, containers, 30);
  await sql`pragma wal_checkpoint(truncate)`.execute(db);
  const bytes = statSync(path).size;
  print(`${containers} containers over 30 days, the file`, inMegabytes(bytes), bytes < most.bytes);
  printBlocks('  roll-up and prune, each quarter of an hour', blocks);
  print('  floor: nothing, for as long', inBlocks(idle));
  for (const range of ['1h', '24h', '7d', '30d'] satisfies StatsRange[]) {
    const times: number[] = [];
    for (let n = 0; n < 20; n++) {
      times.push((await watchBlocks(() => store.history(`container-${n}`, range, 10))).ms);
    }
    print(`  chart of ${range}`, inQuantiles(times, 1), Math.max(...times) < most.queryMs);
  }
  await benchDashboard(store);
  const recent = await watchBlocks(() => store.recent(Date.now() - 600_000, 60));
  print('  sparklines read back at a start', `${recent.ms.toFixed(1)} ms`);
}

/** The charts of the machine and of a project, whose sums are kept as series of their own, and one that is zoomed. */
async function benchDashboard(store: ReturnType<typeof createStatsStore>): Promise<void> {
  const now = Date.now();
  const spans = [
    ['1h', '1h'],
    ['24h', '24h'],
    ['7d', '7d'],
    ['30d', '30d'],
    ['a day 3 weeks ago', { from: now - 21 * dayMs, to: now - 20 * dayMs }],
  ] as const;
  for (const [what, span] of spans) {
    const times: number[] = [];
    for (let n = 0; n < 10; n++) {
      times.push((await watchBlocks(() => store.history(machineSeries, span, 10))).ms);
      times.push((await watchBlocks(() => store.history(projectSeries(`project-${n}`), span, 10))).ms);
    }
    print(`  dashboard of ${what}`, inQuantiles(times, 1), Math.max(...times) < most.queryMs);
  }
}

/** With the sums of each moment: of the machine and of ten projects. */
function withSums(samples: readonly NamedFigures[]): NamedFigures[] {
  const moments = [...new Set(samples.map(({ figures }) => figures.at))];
  const series = [machineSeries, ...Array.from({ length: 10 }, (_, n) => projectSeries(`project-${n}`))];
  return [...samples, ...moments.flatMap((at) => series.map((id) => ({ id, name: id, figures: toFigures(at) })))];
}

/** What a database of an earlier version asks for: samples of many hours, rolled up at once. */
async function benchRollUp({ db }: Database, containers: number, hours: number): Promise<void> {
  const { time, clock } = createBenchClock(Date.now() - hours * 3_600_000);
  const store = createStatsStore(db, clock);
  for (; time.now < Date.now(); time.now += 10_000) await store.write(toTick(containers, time.now));
  const tidied = await watchBlocks(() => store.tidy(0, new AbortController().signal));
  print(`${containers} containers, ${hours} h rolled up at once`, `${tidied.ms.toFixed(0)} ms`);
  printBlocks('  its blocks', [tidied]);
}

const inBlocks = (blocks: readonly Blocks[]) =>
  `longest block ${inQuantiles(
    blocks.map(({ longest }) => longest),
    1,
  )}`;

function printBlocks(what: string, blocks: readonly Blocks[]): void {
  print(what, inBlocks(blocks));
  const work = blocks.map(({ longestWork }) => longestWork);
  print('    of which work', inQuantiles(work, 1));
  const own = blocks.map(({ longestOwn }) => longestOwn);
  print('    without the collector', inQuantiles(own, 1), Math.max(...own) < most.blockMs);
}

type Cost = { ms: number; walBytes: number };

async function measure(path: string, write: () => void | Promise<void>): Promise<Cost> {
  const begun = performance.now();
  await write();
  return { ms: performance.now() - begun, walBytes: existsSync(`${path}-wal`) ? statSync(`${path}-wal`).size : 0 };
}

/** The same table, keyed alike, in a file of its own, filled in the plainest way. */
function createFloor(model: string) {
  const path = join(folder, 'floor.db');
  const file = new SQLite(path);
  file.pragma('journal_mode = wal');
  file.pragma('synchronous = normal');
  const source = new SQLite(model, { readonly: true });
  file.exec(
    source.prepare<[], { sql: string }>(`select sql from sqlite_master where name = 'samples'`).get()?.sql ?? '',
  );
  source.close();
  const insert = file.prepare('insert into samples values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const insertAll = file.transaction((samples: readonly NamedFigures[]) => {
    for (const [index, { figures }] of samples.entries()) insert.run(...toColumns(index, figures));
  });
  return {
    path,
    write: (samples: readonly NamedFigures[]) => insertAll(samples),
    checkpoint: () => file.pragma('wal_checkpoint(truncate)'),
    close: () => file.close(),
  };
}

function toColumns(series: number, figures: Figures): (number | null)[] {
  const { at, cpuPercent, memoryBytes, memoryLimitBytes, networkRxBytes, networkTxBytes } = figures;
  const cpu = cpuPercent === null ? null : Math.round(cpuPercent * 100);
  const { blockReadBytes, blockWriteBytes, pids } = figures;
  const rest = [networkRxBytes, networkTxBytes, blockReadBytes, blockWriteBytes, pids];
  return [at, series, cpu, memoryBytes, memoryLimitBytes, ...rest];
}

/** The samples of some containers, at one moment or at several, ten seconds apart. */
function toTick(containers: number, at: number, times = 1): NamedFigures[] {
  return Array.from({ length: containers * times }, (_, index) => ({
    id: `container-${index % containers}`,
    name: `web-${index % containers}`,
    figures: toFigures(at + Math.floor(index / containers) * 10_000),
  }));
}

const random = (most: number) => Math.floor(Math.random() * most);

const toFigures = (at: number): Figures => ({
  at,
  cpuPercent: random(20_000) / 100,
  memoryBytes: random(2 ** 30),
  memoryLimitBytes: 2 ** 30,
  networkRxBytes: random(2 ** 36),
  networkTxBytes: random(2 ** 36),
  blockReadBytes: random(2 ** 34),
  blockWriteBytes: random(2 ** 34),
  pids: random(50),
});

/**
 * How long something took in all, and the longest time in which nothing else could run; how much of such a time was work,
 * and the same without what the collector took, which clears away what this bench leaves behind.
 */
type Blocks = { ms: number; longest: number; longestWork: number; longestOwn: number };

/** When the collector ran, ms of this process; the newest that can matter. */
const collections: { from: number; to: number }[] = [];
new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries()) {
    collections.push({ from: startTime, to: startTime + duration });
  }
  collections.splice(0, collections.length - 1_000);
}).observe({ entryTypes: ['gc'] });

/** Runs something and watches the event loop meanwhile. A machine that others share takes time away that is no work. */
async function watchBlocks(run: () => Promise<unknown>): Promise<Blocks> {
  const turns: { from: number; to: number; work: number }[] = [];
  let last = performance.now();
  let lastWork = workMs();
  let isDone = false;
  const watch = (async () => {
    while (!isDone) {
      await setImmediate();
      const [now, nowWork] = [performance.now(), workMs()];
      turns.push({ from: last, to: now, work: nowWork - lastWork });
      [last, lastWork] = [now, nowWork];
    }
  })();
  const begun = performance.now();
  await run();
  const ms = performance.now() - begun;
  isDone = true;
  await watch;
  // The observer is told of collections a turn later.
  await setImmediate();
  const longestOf = (lengths: number[]) => lengths.reduce((a, b) => Math.max(a, b), 0);
  return {
    ms,
    longest: longestOf(turns.map(({ from, to }) => to - from)),
    longestWork: longestOf(turns.map(({ work }) => work)),
    longestOwn: longestOf(turns.map((turn) => Math.max(0, turn.work - collectedIn(turn)))),
  };
}

/** How long the collector ran within a turn of the loop, ms. */
function collectedIn(turn: { from: number; to: number }): number {
  return collections.reduce(
    (sum, { from, to }) => sum + Math.max(0, Math.min(to, turn.to) - Math.max(from, turn.from)),
    0,
  );
}

/** The time that the main thread has had on a CPU, ms. */
function workMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

const toKiB = (bytes: number) => Math.round(bytes / 1024);

function printCosts(what: string, costs: readonly Cost[]): void {
  const wal = costs.reduce((total, { walBytes }) => total + walBytes, 0) / costs.length;
  const times = costs.map(({ ms }) => ms);
  print(what, `${inQuantiles(times, 2)}, ${toKiB(wal)} KiB of WAL a tick`);
}

const databases: Database[] = [];

async function openFresh(name: string): Promise<Database> {
  const database = await openDatabase(join(folder, name));
  databases.push(database);
  return database;
}

try {
  await benchWrites(await openFresh('writes'), 1_000);
  await benchRollUp(await openFresh('roll-up'), 1_000, 3);
  await benchMonth(await openFresh('month'), 50);
} finally {
  for (const database of databases) await database.close();
  rmSync(folder, { recursive: true });
}
