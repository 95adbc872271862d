import { type Kysely, sql } from 'kysely';

/**
 * What happened on the machine, and what containers said before they died.
 *
 * `at` is in µs, since nanoseconds have no room in a JavaScript number; the unique key is how an event that the engine
 * tells twice, after a reconnect or a restart, is kept once. `timeline` is the name whose timeline a row belongs to: a
 * rebuild's new and old containers have names of their own for a while. What only is shown, and never asked for, is
 * JSON.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table events (
      id integer primary key autoincrement,
      at integer not null,            -- µs since 1970
      type text not null,
      action text not null,
      subject text not null,          -- the engine's id or name of what it happened to
      name text not null,             -- as people know it
      timeline text not null,         -- '' where it is no container's
      former text not null,           -- the name before a rename, '' elsewhere
      trouble text not null,          -- '' where it is none
      details text not null           -- JSON
    ) strict`.execute(db);
  await sql`create unique index events_once on events (at, type, action, subject, name)`.execute(db);
  await sql`create index events_by_timeline on events (timeline, at) where timeline <> ''`.execute(db);
  await sql`create index events_by_former on events (former, at) where former <> ''`.execute(db);
  await sql`create index events_by_subject on events (subject, at)`.execute(db);
  await sql`create index events_by_trouble on events (trouble, at) where trouble <> ''`.execute(db);
  await sql`
    create table deaths (
      at integer not null,            -- µs since 1970, as in its event
      container text not null,        -- full id
      timeline text not null,
      lines text not null,            -- JSON: the last ones of its log, the oldest first
      note text not null,             -- why there are none, or not all
      figures text,                   -- JSON: the last ones of the sampler
      primary key (container, at)
    ) strict, without rowid`.execute(db);
  await sql`create index deaths_by_timeline on deaths (timeline, at)`.execute(db);
  await sql`create index deaths_by_time on deaths (at)`.execute(db);
  await sql`
    create table event_stream (
      id integer primary key check (id = 1),
      last_at integer not null,       -- µs: the newest event that was told, kept or not
      alive_at integer not null,      -- µs: until when nothing was missed
      full_at integer                 -- ms: when rows last had to go because there were too many
    ) strict`.execute(db);
}
