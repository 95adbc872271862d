import { type Kysely, sql } from 'kysely';

/**
 * The figures of containers over time.
 *
 * Samples are keyed by time first: a tick's rows then stand side by side, and a tick of 1,000 containers writes some
 * 50 KiB instead of several MiB. The price: reads of one series pass over the others' rows, so they are always bounded
 * by time. There is no foreign key: it would ask for an index by series on the largest table, only to guard rows
 * that one statement writes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table series (
      id integer primary key,
      container text not null unique, -- full id
      name text not null,
      seen_at integer not null        -- ms since 1970, renewed once an hour
    ) strict`.execute(db);
  await sql`
    create table samples (
      at integer not null,            -- ms since 1970
      series integer not null,
      cpu integer,                    -- hundredths of a percent of one core
      memory integer not null,        -- bytes, as all below
      memory_limit integer,
      network_rx integer not null,
      network_tx integer not null,
      block_read integer not null,
      block_write integer not null,
      pids integer not null,
      primary key (at, series)
    ) strict, without rowid`.execute(db);
}
