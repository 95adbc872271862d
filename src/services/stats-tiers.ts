import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import type { Clock } from './clock.ts';
import type { Schema } from './database.ts';
import type { ReadWriteLock } from './read-write-lock.ts';
import { mergeSteps, type Step, stepStart } from './stats-steps.ts';

/** One step of one series, as a tier holds it. */
export type TierRow = Step & { series: number };

/** How finely figures are kept, and for how long before the next tier takes them; `stepMs` is 0 for samples as taken. */
export type Tier = { stepMs: number; keptMs: number };

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** Samples as they were taken. */
export const rawTier: Tier = { stepMs: 0, keptMs: hourMs };
/** Serves 24 hours, with an hour of grace. */
export const minuteTier: Tier = { stepMs: minuteMs, keptMs: 25 * hourMs };
/** Serves 7 days, with a day of grace. */
export const quarterTier: Tier = { stepMs: 15 * minuteMs, keptMs: 8 * dayMs };
/** Kept until the retention ends. */
export const longTier: Tier = { stepMs: 2 * hourMs, keptMs: Number.POSITIVE_INFINITY };

/** From the finest on: each gives what is older than it keeps to the next, so that a sample is in one of them only. */
export const tiers = [rawTier, minuteTier, quarterTier, longTier] as const;

// A slice blocks the event loop for some 3 ms (bench/stats.ts).
const rowsPerSlice = 125;
const pauseMs = 50;

/** The rows of a tier, all in the same columns. */
export function rowsOf({ stepMs }: Tier): RawBuilder<TierRow> {
  if (stepMs === 0)
    return sql<TierRow>`(select at, series, 1 as count, cpu is not null as cpuCount, cpu, cpu as cpuMax, memory,
      memory as memoryMax, memory_limit as "limit", network_rx as rx, network_tx as tx, block_read as "read",
      block_write as "write", pids from samples)`;
  return sql<TierRow>`(select at, series, count, cpu_count as cpuCount, cpu, cpu_max as cpuMax, memory,
    memory_max as memoryMax, memory_limit as "limit", network_rx as rx, network_tx as tx, block_read as "read",
    block_write as "write", pids from rollups where step = ${stepMs / 1_000})`;
}

/** What can be deleted from: the table, and the rows of it that are a tier's. */
const placeOf = ({ stepMs }: Tier) =>
  stepMs === 0 ? sql`samples where true` : sql`rollups where step = ${stepMs / 1_000}`;

/** What becomes of rows that leave their tier, in the same transaction. */
type Keep = (trx: Transaction<Schema>, rows: readonly TierRow[]) => Promise<void>;

/** Deletes and moves figures in slices, so that nobody waits for long. */
export type StatsTiers = ReturnType<typeof createStatsTiers>;

/** Creates the mover of figures between the tiers; whoever reads several tiers does so under the lock. */
export function createStatsTiers(db: Kysely<Schema>, clock: Clock, lock: ReadWriteLock) {
  /**
   * Takes a slice of a tier's oldest rows before a moment (ms) away, in one transaction with what becomes of them: it is
   * done or not begun, whenever this is interrupted. Tells whether there may be more.
   */
  const takeSlice = (tier: Tier, before: number, keep: Keep) =>
    db.transaction().execute(async (trx) => {
      const { rows } = await sql<TierRow>`select * from ${rowsOf(tier)} where at < ${before}
        order by at, series limit ${rowsPerSlice}`.execute(trx);
      const last = rows.at(-1);
      if (!last) return false;
      await keep(trx, rows);
      await sql`delete from ${placeOf(tier)} and (at, series) <= (${last.at}, ${last.series})`.execute(trx);
      return rows.length === rowsPerSlice;
    });

  /** Takes all rows of a tier before a moment (ms) away, with a pause after each slice; ends early when aborted. */
  async function take(tier: Tier, before: number, signal: AbortSignal, keep: Keep): Promise<void> {
    while (!signal.aborted && (await lock.write(() => takeSlice(tier, before, keep)))) {
      await pause(clock, pauseMs, signal);
    }
  }

  /** Gives what a tier no longer keeps to the next, in whole steps of that. */
  const moveUp = (from: Tier, to: Tier, signal: AbortSignal) =>
    take(from, stepStart(clock.now() - from.keptMs, to.stepMs), signal, (trx, rows) => addTo(trx, to, rows));

  return {
    /** Rolls up what each tier no longer keeps, from the finest on; ends early when aborted. */
    rollUp: async (signal: AbortSignal): Promise<void> => {
      await moveUp(rawTier, minuteTier, signal);
      await moveUp(minuteTier, quarterTier, signal);
      await moveUp(quarterTier, longTier, signal);
    },

    /** Deletes what is older than a moment (ms) from every tier; ends early when aborted. */
    prune: async (before: number, signal: AbortSignal): Promise<void> => {
      for (const tier of tiers) await take(tier, before, signal, async () => {});
    },
  };
}

/** Adds rows to a tier, to what its steps hold already. */
async function addTo(trx: Transaction<Schema>, tier: Tier, rows: readonly TierRow[]): Promise<void> {
  const steps = new Map<string, TierRow>();
  for (const row of rows) {
    const at = stepStart(row.at, tier.stepMs);
    const key = `${at} ${row.series}`;
    steps.set(key, { ...mergeSteps(steps.get(key), { ...row, at }), series: row.series });
  }
  for (const row of await readSteps(trx, tier, [...steps.values()])) {
    const key = `${row.at} ${row.series}`;
    const added = steps.get(key);
    if (added) steps.set(key, { ...mergeSteps(row, added), series: row.series });
  }
  await writeSteps(trx, tier, [...steps.values()]);
}

async function readSteps(trx: Transaction<Schema>, tier: Tier, steps: readonly TierRow[]): Promise<TierRow[]> {
  const { rows } = await sql<TierRow>`
    select tier.* from json_each(${JSON.stringify(steps.map(({ at, series }) => [at, series]))}) as wanted
    cross join ${rowsOf(tier)} as tier on tier.at = wanted.value ->> 0 and tier.series = wanted.value ->> 1`.execute(
    trx,
  );
  return rows;
}

/** All rows in one parameter, as JSON; averages are rounded here, when they are written. */
async function writeSteps(trx: Transaction<Schema>, tier: Tier, steps: readonly TierRow[]): Promise<void> {
  const rows = steps.map((step) => [
    ...[tier.stepMs / 1_000, step.at, step.series, step.count, step.cpuCount],
    ...[step.cpu === null ? null : Math.round(step.cpu), step.cpuMax, Math.round(step.memory), step.memoryMax],
    ...[step.limit, step.rx, step.tx, step.read, step.write, step.pids],
  ]);
  await sql`
    insert or replace into rollups
      (step, at, series, count, cpu_count, cpu, cpu_max, memory, memory_max,
      memory_limit, network_rx, network_tx, block_read, block_write, pids)
    select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
      value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14
    from json_each(${JSON.stringify(rows)})`.execute(trx);
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
