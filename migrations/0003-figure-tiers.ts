import { type Kysely, sql } from 'kysely';

/**
 * The figures of containers over longer times: samples rolled up into steps of 1 minute, 15 minutes and 2 hours.
 *
 * Steps are keyed by time first, as samples are: a roll-up then writes rows that stand side by side, whatever the number
 * of containers. A series is read by naming its moments, which are all known: they are multiples of the step. The
 * samples of an earlier version stay where they are until the next roll-up moves them, so that this takes no time.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table rollups (
      step integer not null,          -- seconds: 60, 900 or 7200
      at integer not null,            -- when the step began, ms since 1970
      series integer not null,
      count integer not null,         -- samples in it
      cpu_count integer not null,     -- those of them that have a CPU figure
      cpu integer,                    -- average, hundredths of a percent of one core
      cpu_max integer,
      memory integer not null,        -- average, bytes, as all below
      memory_max integer not null,
      memory_limit integer,           -- as at the end of the step, as all below
      network_rx integer not null,
      network_tx integer not null,
      block_read integer not null,
      block_write integer not null,
      pids integer not null,
      primary key (step, at, series)
    ) strict, without rowid`.execute(db);
}
