import { setImmediate } from 'node:timers/promises';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Clock } from './clock.ts';
import type { Schema } from './database.ts';
import type { Figures } from './figures.ts';
import { createReadWriteLock } from './read-write-lock.ts';
import { joinSteps, type StatsSample, type Step, stepStart, toSample } from './stats-steps.ts';
import { createStatsTiers, longTier, minuteTier, quarterTier, rawTier, rowsOf, type Tier } from './stats-tiers.ts';
import { machineSeries, projectSeries, type Traffic } from './stats-totals.ts';
import { firstStep, type StatsRange, type StatsSpan, type StatsWindow, toWindow } from './stats-windows.ts';

/** One container's figures, to be kept. */
export type NamedFigures = { id: string; name: string; figures: Figures };

/** A container's figures over a span of time; steps without a sample are absent. */
export type StatsHistory = { id: string; range: StatsWindow['range']; stepSeconds: number; samples: StatsSample[] };

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
// Every call blocks the event loop: this takes some 5 ms (bench/stats.ts).
const rowsPerRead = 20_000;
const momentsPerRead = 2_000;

/** The keeper of figures in the database. */
export type StatsStore = ReturnType<typeof createStatsStore>;

/** Creates the keeper of figures in the database. */
export function createStatsStore(db: Kysely<Schema>, clock: Clock) {
  const series = new Map<string, { id: number; name: string }>();
  const seen = new Set<string>();
  const lock = createReadWriteLock();
  const tiers = createStatsTiers(db, clock, lock);

  /** Where a slice of so many rows from a moment on ends, in ms. */
  async function sliceEnd(from: number, to: number): Promise<number> {
    const next = await db
      .selectFrom('samples')
      .select('at')
      .where('at', '>=', from)
      .where('at', '<', to)
      .orderBy('at')
      .limit(1)
      .offset(rowsPerRead)
      .executeTakeFirst();
    return next ? Math.max(next.at, from + 1) : to;
  }

  /** Reads a span of time in slices of some rows, with time for others in between. */
  async function inSlices(from: number, to: number, read: (from: number, to: number) => Promise<void>) {
    for (let at = from; at < to; ) {
      const end = await sliceEnd(at, to);
      await setImmediate();
      await read(at, end);
      await setImmediate();
      at = end;
    }
  }

  /** All steps of a series in a span of time (ms), those of the coarsest tier first, which are the oldest. */
  const readSeries = (id: number, from: number, to: number): Promise<Step[]> =>
    lock.read(async () => {
      const steps: Step[] = [];
      for (const tier of [longTier, quarterTier, minuteTier]) steps.push(...(await readTier(id, tier, from, to)));
      await inSlices(from, to + 1, async (from, to) => {
        const { rows } = await sql<Step>`select * from ${rowsOf(rawTier)}
          where at >= ${from} and at < ${to} and series = ${id} order by at`.execute(db);
        steps.push(...rows);
      });
      return steps;
    });

  /** A tier's steps of one series: each moment is looked up, which passes over nobody else's rows. */
  async function readTier(id: number, tier: Tier, from: number, to: number): Promise<Step[]> {
    const { rows } = await sql<{ oldest: number | null }>`select min(at) as oldest from ${rowsOf(tier)}`.execute(db);
    const oldest = rows[0]?.oldest ?? Number.POSITIVE_INFINITY;
    const sliceMs = momentsPerRead * tier.stepMs;
    const steps: Step[] = [];
    for (let at = Math.max(stepStart(from - 1, tier.stepMs) + tier.stepMs, oldest); at <= to; at += sliceMs) {
      steps.push(...(await readMoments(db, id, tier, at, Math.min(at + sliceMs, to + 1))));
      await setImmediate();
    }
    return steps;
  }

  /** Forgets containers of which nothing is kept. A day of grace: a sample can be younger than its series' mark. */
  async function forgetSeries(before: number): Promise<void> {
    const gone = await db
      .deleteFrom('series')
      .where('seen_at', '<', before - dayMs)
      .returning('container')
      .execute();
    for (const { container } of gone) series.delete(container);
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
    recent: (since: number, count: number): Promise<Map<string, number[]>> =>
      lock.read(async () => {
        const found = new Map<string, number[]>();
        const keep = (rows: readonly { container: string; cpu: number }[]) => {
          for (const { container, cpu } of rows) append(found, container, cpu / 100, count);
        };
        // At long intervals most of them are in steps of a minute already, one in each.
        const oldest = Math.max(since, stepStart(clock.now() - minuteTier.keptMs, hourMs));
        for (let at = oldest; at <= clock.now(); at += hourMs) keep(await readCpu(db, minuteTier, at, at + hourMs));
        await inSlices(since, clock.now() + 1, async (from, to) => keep(await readCpu(db, rawTier, from, to)));
        return found;
      }),

    /** A container's figures over a range or a span, in at most 360 steps that are no shorter than the interval. */
    history: async (id: string, wanted: StatsRange | StatsSpan, intervalSeconds: number): Promise<StatsHistory> => {
      const window = toWindow(wanted, clock.now(), intervalSeconds);
      const { range, stepSeconds } = window;
      const known = await db.selectFrom('series').select('id').where('container', '=', id).executeTakeFirst();
      const to = Math.min(window.to, clock.now());
      const steps = known ? await readSeries(known.id, firstStep(window), to) : [];
      return { id, range, stepSeconds, samples: joinSteps(steps, stepSeconds * 1_000).map(toSample) };
    },

    /** What the last sums had counted, by their series, where those are no older than a moment (ms). */
    lastSums: async (since: number): Promise<Map<string, Traffic>> => {
      const { rows } = await sql<Traffic & { container: string }>`
        select container, network_rx as networkRxBytes, network_tx as networkTxBytes,
          block_read as blockReadBytes, block_write as blockWriteBytes
        from samples join series on series.id = samples.series
        where at = (select at from samples join series on series.id = samples.series
            where at >= ${since} and container = ${machineSeries} order by at desc limit 1)
          -- A container may have been read in the same millisecond.
          and (container = ${machineSeries} or instr(container, ${projectSeries('')}) = 1)`.execute(db);
      return new Map(rows.map(({ container, ...traffic }) => [container, traffic]));
    },

    /** Whether anything is kept of a container or a sum. */
    keeps: async (id: string): Promise<boolean> =>
      (await db.selectFrom('series').select('id').where('container', '=', id).executeTakeFirst()) !== undefined,

    /**
     * Deletes what is older than a moment (ms), and moves the rest to the tiers that their age asks for, in slices with
     * a pause after each; ends early when aborted.
     */
    tidy: async (before: number, signal: AbortSignal): Promise<void> => {
      await sql`update series set seen_at = ${clock.now()}
        where container in (select value from json_each(${JSON.stringify([...seen])}))`.execute(db);
      seen.clear();
      await tiers.prune(before, signal);
      await tiers.rollUp(signal);
      if (!signal.aborted) await forgetSeries(before);
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

/** The steps of one series at all moments of a tier in a span of time, ms. */
async function readMoments(db: Kysely<Schema>, series: number, tier: Tier, from: number, to: number): Promise<Step[]> {
  const { rows } = await sql<Step>`
    with recursive moments (moment) as (
      select cast(${from} as integer)
      union all select moment + cast(${tier.stepMs} as integer) from moments where moment + ${tier.stepMs} < ${to})
    select tier.* from moments cross join ${rowsOf(tier)} as tier on tier.at = moment and tier.series = ${series}
    order by moment`.execute(db);
  return rows;
}

/** The CPU figures of all containers in a tier and a span of time (ms), oldest first. */
async function readCpu(db: Kysely<Schema>, tier: Tier, from: number, to: number) {
  const { rows } = await sql<{ container: string; cpu: number }>`
    select container, cpu from ${rowsOf(tier)} as tier join series on series.id = tier.series
    where at >= ${from} and at < ${to} and cpu is not null order by at`.execute(db);
  return rows;
}

/** Adds to a list that keeps its newest values only. */
function append(lists: Map<string, number[]>, key: string, value: number, most: number): void {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  list.push(value);
  if (list.length > most) list.shift();
}
