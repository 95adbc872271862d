import { type Kysely, sql } from 'kysely';

/**
 * Alerts: where they go, what they watch, what fires, and what was told.
 *
 * `sealed` holds a channel's secrets, encrypted with a key that is not in this file. A notification keeps the names of
 * its rule and channel, so that it can be read when both are gone; while it is `waiting` it is the queue.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table alert_channels (
      id integer primary key autoincrement,
      name text not null,
      kind text not null,
      settings text not null,         -- JSON: what may be shown
      sealed text,                    -- what may not
      created_at integer not null     -- ms since 1970
    ) strict`.execute(db);
  await sql`
    create table alert_rules (
      id integer primary key autoincrement,
      name text not null,
      kind text not null,
      enabled integer not null,
      settings text not null,         -- JSON: bounds, times, pattern, scope
      created_at integer not null     -- ms since 1970
    ) strict`.execute(db);
  await sql`
    create table alert_rule_channels (
      rule integer not null references alert_rules on delete cascade,
      channel integer not null references alert_channels on delete cascade,
      primary key (rule, channel)
    ) strict, without rowid`.execute(db);
  await sql`
    create table alert_states (
      rule integer not null references alert_rules on delete cascade,
      subject text not null,          -- a container's name; '' for the machine
      state text not null,            -- JSON, see alert-types.ts
      primary key (rule, subject)
    ) strict, without rowid`.execute(db);
  await sql`
    create table alert_notifications (
      id integer primary key autoincrement,
      rule text not null,             -- its name then
      channel integer not null,       -- may be gone
      channel_name text not null,
      content text not null,          -- JSON, see alert-types.ts
      state text not null,            -- waiting, sent, failed
      attempts integer not null,
      due_at integer not null,        -- ms since 1970: when it is tried next
      created_at integer not null,
      finished_at integer,
      result text not null            -- a sentence; '' before the first attempt
    ) strict`.execute(db);
  await sql`create index alert_notifications_due on alert_notifications (due_at) where state = 'waiting'`.execute(db);
}
