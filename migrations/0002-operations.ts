import { type Kysely, sql } from 'kysely';

/**
 * Work that takes longer than a click, the journal of rebuilds under way, and what registries have.
 *
 * What an operation shows (steps, layers, results) is JSON: it is read whole with its row, and never asked for by its
 * parts. A journal's row lives as long as its rebuild can still be finished or undone, and no longer.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table operations (
      id integer primary key autoincrement, -- never given twice: it is in addresses
      kind text not null,
      target text not null,
      actor text not null,
      state text not null,
      progress real,                        -- 0 to 1, null where nobody can tell
      message text not null,
      error text,
      error_code text,
      steps text not null,                  -- JSON
      details text not null,                -- JSON
      seen integer not null,                -- 1 when a failure was read, or is none
      queued_at integer not null,           -- ms since 1970, as all below
      started_at integer,
      finished_at integer
    ) strict`.execute(db);
  await sql`create index operations_by_state on operations (state, seen)`.execute(db);
  await sql`
    create table rebuilds (
      id integer primary key autoincrement,
      operation integer not null,           -- one of a project has several
      phase text not null,
      plan text not null                    -- JSON: what is needed to finish it or to undo it
    ) strict`.execute(db);
  await sql`
    create table registry_digests (
      reference text primary key,
      digest text,                          -- null where the registry could not tell
      error text,
      checked_at integer not null           -- ms since 1970
    ) strict, without rowid`.execute(db);
}
