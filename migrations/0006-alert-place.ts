import { type Kysely, sql } from 'kysely';

/**
 * Up to which event alerts have been told what happened, and how many notifications wait for a channel.
 *
 * Events are kept before how rules stand is: what lies between was never told where the program was killed there. The
 * index holds all that is asked of what waits, so that its content stays unread.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table alert_place (
      id integer primary key check (id = 1),
      last_at integer not null        -- µs since 1970
    ) strict`.execute(db);
  await sql`drop index alert_notifications_due`.execute(db);
  await sql`
    create index alert_notifications_due on alert_notifications (due_at, created_at, channel)
    where state = 'waiting'`.execute(db);
}
