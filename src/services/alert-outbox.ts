import { type Kysely, sql } from 'kysely';
import type { AlertNotice, Notification, NotificationState } from './alert-types.ts';
import type { AlertNotificationsTable, Schema } from './database.ts';

/** A notification that is to be sent. */
export type Outgoing = { channel: number; channelName: string; notice: AlertNotice };

/** How many wait at most, of each channel; and how many that are over are kept, for so many days. */
export type OutboxBounds = { waiting: number; kept: number; days: number };

const defaultBounds: OutboxBounds = { waiting: 1_000, kept: 1_000, days: 30 };
const fullResult = 'Not sent: 1,000 notifications are waiting for this channel already.';

/** The notifications that wait, and those that are over. */
export type AlertOutbox = ReturnType<typeof createAlertOutbox>;

/** Creates the outbox over the open database: what is put in stays until it was sent or given up. */
export function createAlertOutbox(db: Kysely<Schema>, bounds: OutboxBounds = defaultBounds) {
  const waiting = () => db.selectFrom('alert_notifications').selectAll().where('state', '=', 'waiting');

  async function countWaiting(trx: Kysely<Schema>, channel: number): Promise<number> {
    const { count } = await trx
      .selectFrom('alert_notifications')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('state', '=', 'waiting')
      .where('channel', '=', channel)
      .executeTakeFirstOrThrow();
    return count;
  }

  return {
    /** Puts notifications in and gives their ids; what is above the bound is kept as failed, which says so. */
    async add(notices: readonly Outgoing[], now: number, trx: Kysely<Schema> = db): Promise<number[]> {
      const ids: number[] = [];
      for (const { channel, channelName, notice } of notices) {
        const isFull = (await countWaiting(trx, channel)) >= bounds.waiting;
        const row = {
          rule: notice.rule.name,
          channel,
          channel_name: channelName,
          content: JSON.stringify(notice),
          state: isFull ? 'failed' : 'waiting',
          attempts: 0,
          due_at: now,
          created_at: now,
          finished_at: isFull ? now : null,
          result: isFull ? fullResult : '',
        };
        ids.push(
          (await trx.insertInto('alert_notifications').values(row).returning('id').executeTakeFirstOrThrow()).id,
        );
      }
      return ids;
    },

    /**
     * Those that are due, of channels that are not busy, the oldest first; also those that a clock that was set back has
     * put into the future: made then, or due later than after the longest wait (ms).
     */
    async due(now: number, longest: number, busy: readonly number[], limit: number): Promise<Notification[]> {
      let query = waiting()
        .where(({ eb, or }) =>
          or([eb('due_at', '<=', now), eb('due_at', '>', now + longest), eb('created_at', '>', now)]),
        )
        .orderBy('due_at')
        .orderBy('id')
        .limit(limit);
      if (busy.length > 0) query = query.where('channel', 'not in', busy);
      return (await query.execute()).map(toNotification);
    },

    /** When the next one is due, of channels that are not busy; undefined where none waits. */
    async nextDueAt(busy: readonly number[]): Promise<number | undefined> {
      let query = waiting().orderBy('due_at').limit(1);
      if (busy.length > 0) query = query.where('channel', 'not in', busy);
      return (await query.executeTakeFirst())?.due_at;
    },

    async finish(id: number, state: NotificationState, result: string, attempts: number, now: number): Promise<void> {
      const change = { state, result, attempts, finished_at: now };
      await db.updateTable('alert_notifications').set(change).where('id', '=', id).execute();
    },

    /** Lets one wait; what was made before the clock was set back was made now, else it would not wait at all. */
    async postpone(id: number, wait: number, result: string, attempts: number, now: number): Promise<void> {
      const created_at = sql<number>`min(created_at, ${now})`;
      const change = { due_at: now + wait, created_at, result, attempts };
      await db.updateTable('alert_notifications').set(change).where('id', '=', id).execute();
    },

    /** Gives up all that wait for a channel. */
    async giveUp(channel: number, result: string, now: number): Promise<void> {
      await db
        .updateTable('alert_notifications')
        .set({ state: 'failed', result, finished_at: now })
        .where('state', '=', 'waiting')
        .where('channel', '=', channel)
        .execute();
    },

    async find(id: number): Promise<Notification | undefined> {
      const row = await db.selectFrom('alert_notifications').selectAll().where('id', '=', id).executeTakeFirst();
      return row && toNotification(row);
    },

    /** The newest first; `before` continues behind an id. */
    async list({ before, limit }: { before?: number | undefined; limit: number }): Promise<Notification[]> {
      let query = db.selectFrom('alert_notifications').selectAll().orderBy('id', 'desc').limit(limit);
      if (before !== undefined) query = query.where('id', '<', before);
      return (await query.execute()).map(toNotification);
    },

    /** Deletes what is over and too old or too much. */
    async prune(now: number): Promise<void> {
      const old = now - bounds.days * 86_400_000;
      const over = () => db.deleteFrom('alert_notifications').where('state', '<>', 'waiting');
      await over().where('created_at', '<', old).execute();
      const oldest = await db
        .selectFrom('alert_notifications')
        .select('id')
        .where('state', '<>', 'waiting')
        .orderBy('id', 'desc')
        .offset(bounds.kept)
        .limit(1)
        .executeTakeFirst();
      if (oldest) await over().where('id', '<=', oldest.id).execute();
    },
  };
}

type Row = Omit<AlertNotificationsTable, 'id'> & { id: number };

const toNotification = (row: Row): Notification => ({
  id: row.id,
  rule: row.rule,
  channel: row.channel,
  channelName: row.channel_name,
  notice: JSON.parse(row.content) as AlertNotice,
  state: row.state as NotificationState,
  attempts: row.attempts,
  dueAt: row.due_at,
  createdAt: row.created_at,
  finishedAt: row.finished_at,
  result: row.result,
});
