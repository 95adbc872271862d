/**
 * What figures cost: a tick of 1,000 containers written, against the floor of one plain transaction of prepared inserts
 * into the same table in the same run; reading and pruning a day of 100 containers, with the longest block of the event
 * loop. Run with `node bench/stats.ts`.
 */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import SQLite from 'better-sqlite3';
import { sql } from 'kysely';
import { systemClock } from '../src/services/clock.ts';
import { type Database, openDatabase } from '../src/services/database.ts';
import type { Figures } from '../src/services/figures.ts';
import { createStatsStore, type NamedFigures, type StatsRange } from '../src/services/stats-store.ts';

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
  print(`write ${containers} samples in one tick`, written);
  print('  floor: prepared inserts', least);
  await sql`delete from samples`.execute(db);
}

async function benchReads({ db }: Database, containers: number): Promise<void> {
  const store = createStatsStore(db, systemClock);
  const now = Date.now();
  for (let at = now - 86_400_000; at < now; at += 600_000) await store.write(toTick(containers, at, 60));
  console.log(`${containers} containers over 24 h: ${containers * 8_640} rows, ${toKiB(await size(db))} KiB`);
  await printBlock('  floor: nothing, for 5 s', () => setTimeout(5_000));
  for (const range of ['1h', '24h', '30d'] satisfies StatsRange[]) {
    await printBlock(`  history over ${range}`, () => store.history('container-7', range, 10));
  }
  await printBlock('  sparklines read back at a start', () => store.recent(now - 600_000, 60));
  await printBlock('  12 h pruned', () => store.prune(now - 43_200_000, new AbortController().signal));
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

/** Runs something and tells how long it took in all, and the longest time in which nothing else could run. */
async function printBlock(what: string, run: () => Promise<unknown>): Promise<void> {
  let longest = 0;
  let last = performance.now();
  let isDone = false;
  const watch = (async () => {
    while (!isDone) {
      await setImmediate();
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }
  })();
  const begun = performance.now();
  await run();
  const ms = performance.now() - begun;
  isDone = true;
  await watch;
  console.log(`${what.padEnd(34)} ${ms.toFixed(1)} ms, longest block ${longest.toFixed(1)} ms`);
}

async function size(db: Database['db']): Promise<number> {
  const { rows } = await sql<{ bytes: number }>`
    select page_count * page_size as bytes from pragma_page_count, pragma_page_size`.execute(db);
  return rows[0]?.bytes ?? 0;
}

const toKiB = (bytes: number) => Math.round(bytes / 1024);

function print(what: string, costs: readonly Cost[]): void {
  const sorted = costs.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (part: number) => (sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(2);
  const wal = costs.reduce((total, { walBytes }) => total + walBytes, 0) / costs.length;
  console.log(`${what.padEnd(34)} median ${at(0.5)} ms, p95 ${at(0.95)} ms, ${toKiB(wal)} KiB of WAL a tick`);
}

const database = await openDatabase(folder);
try {
  await benchWrites(database, 1_000);
  await benchReads(database, 100);
} finally {
  await database.close();
  rmSync(folder, { recursive: true });
}
