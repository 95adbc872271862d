import { setImmediate } from 'node:timers/promises';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Clock } from './clock.ts';
import type { Schema } from './database.ts';
import type { Figures } from './figures.ts';

/** One container's figures, to be kept. */
export type NamedFigures = { id: string; name: string; figures: Figures };

/** The spans of time that can be asked for. */
export const statsRanges = { '1h': 3_600, '24h': 86_400, '7d': 604_800, '30d': 2_592_000 } as const;
export type StatsRange = keyof typeof statsRanges;

/** The figures of one step of time: averages and maxima, totals and limits as they were at its end. */
export type StatsSample = {
  /** When the step began, RFC 3339. */
  at: string;
  cpuPercent: number | null;
  cpuPercentMax: number | null;
  memoryBytes: number;
  memoryBytesMax: number;
  memoryLimitBytes: number | null;
  networkRxBytes: number;
  networkTxBytes: number;
  blockReadBytes: number;
  blockWriteBytes: number;
  pids: number;
};

/** A container's figures over a span of time; steps without a sample are absent. */
export type StatsHistory = { id: string; range: StatsRange; stepSeconds: number; samples: StatsSample[] };

/** What one slice of rows says about one step. */
type StepRow = {
  step: number;
  count: number;
  cpuCount: number;
  cpuSum: number | null;
  cpuMax: number | null;
  memorySum: number;
  memoryMax: number;
  limit: number | null;
  rx: number;
  tx: number;
  read: number;
  write: number;
  pids: number;
};

const maxSteps = 360;
const dayMs = 86_400_000;
// Every call blocks the event loop: these take some 5 ms (bench/stats.ts).
const rowsPerRead = 20_000;
const rowsPerDelete = 2_000;
const pauseMs = 50;

/** The keeper of figures in the database. */
export type StatsStore = ReturnType<typeof createStatsStore>;

/** Creates the keeper of figures in the database. */
export function createStatsStore(db: Kysely<Schema>, clock: Clock) {
  const series = new Map<string, { id: number; name: string }>();
  const seen = new Set<string>();

  /** Where a slice of so many rows from a moment on ends, in ms. */
  async function sliceEnd(from: number, to: number, rows: number): Promise<number> {
    const next = await db
      .selectFrom('samples')
      .select('at')
      .where('at', '>=', from)
      .where('at', '<', to)
      .orderBy('at')
      .limit(1)
      .offset(rows)
      .executeTakeFirst();
    return next ? Math.max(next.at, from + 1) : to;
  }

  /** Reads a span of time in slices of some rows, with time for others in between. */
  async function inSlices(from: number, to: number, read: (from: number, to: number) => Promise<void>) {
    for (let at = from; at < to; ) {
      const end = await sliceEnd(at, to, rowsPerRead);
      await setImmediate();
      await read(at, end);
      await setImmediate();
      at = end;
    }
  }

  /** Gives ids to new containers and new names to renamed ones. */
  async function nameSeries(trx: Transaction<Schema>, samples: readonly NamedFigures[]) {
    const changed = samples.filter(({ id, name }) => series.get(id)?.name !== name);
    if (changed.length === 0) return [];
    const named = changed.map(({ id, name }) => [id, name]);
    const result = await sql<{ id: number; container: string; name: string }>`
      insert into series (container, name, seen_at)
      select value ->> 0, value ->> 1, ${clock.now()} from json_each(${JSON.stringify(named)}) where true
      on conflict (container) do update set name = excluded.name, seen_at = excluded.seen_at
      returning id, container, name`.execute(trx);
    return result.rows;
  }

  return {
    /** Keeps the figures of a tick, in one transaction. */
    write: async (samples: readonly NamedFigures[]): Promise<void> => {
      const fresh = await db.transaction().execute(async (trx) => {
        const named = await nameSeries(trx, samples);
        const ids = new Map(named.map(({ container, id }) => [container, id]));
        await insert(
          trx,
          samples.map(({ id, figures }) => toRow(ids.get(id) ?? series.get(id)?.id, figures)),
        );
        return named;
      });
      for (const { container, id, name } of fresh) series.set(container, { id, name });
      for (const { id } of samples) seen.add(id);
    },

    /** The last CPU percents of each container since a moment (ms), oldest first. */
    recent: async (since: number, count: number): Promise<Map<string, number[]>> => {
      const found = new Map<string, number[]>();
      await inSlices(since, clock.now() + 1, async (from, to) => {
        const rows = await db
          .selectFrom('samples')
          .innerJoin('series', 'series.id', 'samples.series')
          .select(['container', 'cpu'])
          .where('at', '>=', from)
          .where('at', '<', to)
          .orderBy('at')
          .execute();
        for (const { container, cpu } of rows) if (cpu !== null) append(found, container, cpu / 100);
      });
      return new Map([...found].map(([id, values]) => [id, values.slice(-count)]));
    },

    /** A container's figures over a range, in at most 360 steps that are no shorter than the interval. */
    history: async (id: string, range: StatsRange, intervalSeconds: number): Promise<StatsHistory> => {
      const stepSeconds = Math.max(statsRanges[range] / maxSteps, Math.ceil(intervalSeconds));
      const stepMs = stepSeconds * 1_000;
      const steps = Math.ceil(statsRanges[range] / stepSeconds);
      const last = Math.floor(clock.now() / stepMs);
      const known = await db.selectFrom('series').select('id').where('container', '=', id).executeTakeFirst();
      const rows = new Map<number, StepRow>();
      if (known) {
        await inSlices((last - steps + 1) * stepMs, clock.now() + 1, async (from, to) => {
          for (const row of await readSteps(db, known.id, stepMs, from, to)) {
            rows.set(row.step, merge(rows.get(row.step), row));
          }
        });
      }
      return { id, range, stepSeconds, samples: [...rows.values()].map((row) => toSample(row, stepMs)) };
    },

    /** Deletes what is older than a moment (ms), in slices with a pause after each; ends early when aborted. */
    prune: async (before: number, signal: AbortSignal): Promise<void> => {
      await sql`update series set seen_at = ${clock.now()}
        where container in (select value from json_each(${JSON.stringify([...seen])}))`.execute(db);
      seen.clear();
      let done = false;
      while (!done && !signal.aborted) {
        const end = await sliceEnd(0, before, rowsPerDelete);
        await db.deleteFrom('samples').where('at', '<', end).execute();
        done = end === before;
        if (!done) await pause(clock, pauseMs, signal);
      }
      // A day of grace: a sample can be up to an hour younger than its series' mark.
      const gone = await db
        .deleteFrom('series')
        .where('seen_at', '<', before - dayMs)
        .returning('container')
        .execute();
      for (const { container } of gone) series.delete(container);
    },
  };
}

type Row = readonly (number | null)[];

function toRow(series: number | undefined, figures: Figures): Row {
  const { cpuPercent } = figures;
  return [
    figures.at,
    series ?? null,
    cpuPercent === null ? null : toInteger(cpuPercent * 100),
    toInteger(figures.memoryBytes),
    figures.memoryLimitBytes === null ? null : toInteger(figures.memoryLimitBytes),
    toInteger(figures.networkRxBytes),
    toInteger(figures.networkTxBytes),
    toInteger(figures.blockReadBytes),
    toInteger(figures.blockWriteBytes),
    toInteger(figures.pids),
  ];
}

/** Beyond this a number is no integer for SQLite, and one absurd counter would refuse the whole tick. */
const toInteger = (value: number) => Math.min(Math.round(value), Number.MAX_SAFE_INTEGER);

/** All rows in one parameter: a statement of constant text, whatever their number, far from the parameter limit. */
async function insert(trx: Transaction<Schema>, rows: readonly Row[]): Promise<void> {
  await sql`
    insert or replace into samples
      (at, series, cpu, memory, memory_limit, network_rx, network_tx, block_read, block_write, pids)
    select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
      value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9
    from json_each(${JSON.stringify(rows)})`.execute(trx);
}

/** The steps of one series within a slice of time; the cast keeps the division whole, as numbers are bound as reals. */
async function readSteps(db: Kysely<Schema>, series: number, stepMs: number, from: number, to: number) {
  const { rows } = await sql<StepRow>`
    select step, count, cpuCount, cpuSum, cpuMax, memorySum, memoryMax, memory_limit as "limit",
      network_rx as rx, network_tx as tx, block_read as "read", block_write as "write", pids
    from (
      select at / cast(${stepMs} as integer) as step, max(at) as newest, count(*) as count, count(cpu) as cpuCount,
        sum(cpu) as cpuSum, max(cpu) as cpuMax, sum(memory) as memorySum, max(memory) as memoryMax
      from samples where at >= ${from} and at < ${to} and series = ${series} group by step
    ) join samples on samples.at = newest and samples.series = ${series}
    order by step`.execute(db);
  return rows;
}

/** One step of what two slices say about it; the later one knows how it ended. */
function merge(earlier: StepRow | undefined, later: StepRow): StepRow {
  if (!earlier) return later;
  return {
    ...later,
    count: earlier.count + later.count,
    cpuCount: earlier.cpuCount + later.cpuCount,
    cpuSum: (earlier.cpuSum ?? 0) + (later.cpuSum ?? 0),
    cpuMax: Math.max(earlier.cpuMax ?? 0, later.cpuMax ?? 0),
    memorySum: earlier.memorySum + later.memorySum,
    memoryMax: Math.max(earlier.memoryMax, later.memoryMax),
  };
}

function toSample(row: StepRow, stepMs: number): StatsSample {
  const hasCpu = row.cpuCount > 0;
  return {
    at: new Date(row.step * stepMs).toISOString(),
    cpuPercent: hasCpu ? Math.round((row.cpuSum ?? 0) / row.cpuCount) / 100 : null,
    cpuPercentMax: hasCpu ? (row.cpuMax ?? 0) / 100 : null,
    memoryBytes: Math.round(row.memorySum / row.count),
    memoryBytesMax: row.memoryMax,
    memoryLimitBytes: row.limit,
    networkRxBytes: row.rx,
    networkTxBytes: row.tx,
    blockReadBytes: row.read,
    blockWriteBytes: row.write,
    pids: row.pids,
  };
}

function append(lists: Map<string, number[]>, key: string, value: number): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

/** Waits some ms, or until aborted. */
function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(ms, end);
    signal.addEventListener('abort', end);
  });
}
