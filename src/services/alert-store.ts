import { type Kysely, sql } from 'kysely';
import type { StateChange } from './alert-evaluation.ts';
import type { AlertState, ChannelSettings, Rule, RuleKind, RuleSettings } from './alert-types.ts';
import type { Schema } from './database.ts';

/** A channel as it is kept: its secrets are sealed. */
export type KeptChannel = { id: number; settings: ChannelSettings; sealed: string | null };

/** Rules, channels and what fires, as SQLite keeps them. */
export type AlertStore = ReturnType<typeof createAlertStore>;

/** Creates the store over the open database. */
export function createAlertStore(db: Kysely<Schema>) {
  async function linkChannels(trx: Kysely<Schema>, rule: number, channels: readonly number[]) {
    await trx.deleteFrom('alert_rule_channels').where('rule', '=', rule).execute();
    for (const channel of channels) await trx.insertInto('alert_rule_channels').values({ rule, channel }).execute();
  }

  return {
    async rules(): Promise<Rule[]> {
      const rows = await db.selectFrom('alert_rules').selectAll().orderBy('id').execute();
      const links = await db.selectFrom('alert_rule_channels').selectAll().orderBy('channel').execute();
      return rows.map(({ id, enabled, settings }) => ({
        ...(JSON.parse(settings) as Omit<RuleSettings, 'channels'>),
        channels: links.filter(({ rule }) => rule === id).map(({ channel }) => channel),
        id,
        enabled: enabled === 1,
      }));
    },

    /** Adds a rule and gives its id. */
    addRule: (rule: RuleSettings, enabled: boolean, now: number): Promise<number> =>
      db.transaction().execute(async (trx) => {
        const row = { ...toRow(rule), enabled: enabled ? 1 : 0, created_at: now };
        const { id } = await trx.insertInto('alert_rules').values(row).returning('id').executeTakeFirstOrThrow();
        await linkChannels(trx, id, rule.channels);
        return id;
      }),

    changeRule: (id: number, rule: RuleSettings, enabled: boolean): Promise<void> =>
      db.transaction().execute(async (trx) => {
        const row = { ...toRow(rule), enabled: enabled ? 1 : 0 };
        await trx.updateTable('alert_rules').set(row).where('id', '=', id).execute();
        await linkChannels(trx, id, rule.channels);
      }),

    async removeRule(id: number): Promise<void> {
      await db.deleteFrom('alert_rules').where('id', '=', id).execute();
    },

    async channels(): Promise<KeptChannel[]> {
      const rows = await db.selectFrom('alert_channels').selectAll().orderBy('id').execute();
      return rows.map(({ id, settings, sealed }) => ({
        id,
        sealed,
        settings: JSON.parse(settings) as ChannelSettings,
      }));
    },

    /** Adds a channel and gives its id. */
    async addChannel(settings: ChannelSettings, sealed: string | null, now: number): Promise<number> {
      const { name, kind } = settings;
      const row = { name, kind, settings: JSON.stringify(settings), sealed, created_at: now };
      const { id } = await db.insertInto('alert_channels').values(row).returning('id').executeTakeFirstOrThrow();
      return id;
    },

    async changeChannel(id: number, settings: ChannelSettings, sealed: string | null): Promise<void> {
      const row = { name: settings.name, settings: JSON.stringify(settings), sealed };
      await db.updateTable('alert_channels').set(row).where('id', '=', id).execute();
    },

    async removeChannel(id: number): Promise<void> {
      await db.deleteFrom('alert_channels').where('id', '=', id).execute();
    },

    async states(): Promise<StateChange[]> {
      const rows = await db.selectFrom('alert_states').selectAll().execute();
      return rows.map(({ rule, subject, state }) => ({ rule, subject, state: JSON.parse(state) as AlertState }));
    },

    /** Up to which event, µs since 1970, the rules stand as they do; undefined before the first start. */
    async place(): Promise<number | undefined> {
      return (await db.selectFrom('alert_place').select('last_at').executeTakeFirst())?.last_at;
    },

    async keepPlace(lastAt: number, trx: Kysely<Schema> = db): Promise<void> {
      await sql`
        insert into alert_place (id, last_at) values (1, ${lastAt})
        on conflict (id) do update set last_at = excluded.last_at`.execute(trx);
    },

    /** Keeps how rules stand. One of a rule that was removed meanwhile is passed over. */
    async keepStates(changes: readonly StateChange[], trx: Kysely<Schema> = db): Promise<void> {
      const kept = changes.filter(({ state }) => state).map(({ rule, subject, state }) => [rule, subject, state]);
      const gone = changes.filter(({ state }) => !state).map(({ rule, subject }) => [rule, subject]);
      await sql`
        delete from alert_states where (rule, subject) in (
          select value ->> 0, value ->> 1 from json_each(${JSON.stringify(gone)}))`.execute(trx);
      await sql`
        insert into alert_states (rule, subject, state)
        select value ->> 0, value ->> 1, value -> 2 from json_each(${JSON.stringify(kept)})
        where value ->> 0 in (select id from alert_rules)
        on conflict (rule, subject) do update set state = excluded.state`.execute(trx);
    },
  };
}

const toRow = ({ channels: _, ...rule }: RuleSettings) => ({
  name: rule.name,
  kind: rule.watch.kind satisfies RuleKind,
  settings: JSON.stringify(rule),
});
