import { setImmediate } from 'node:timers/promises';
import { type Kysely, type SelectQueryBuilder, sql } from 'kysely';
import type { EventsTable, Schema } from './database.ts';
import type { StreamPlace } from './event-stream.ts';
import type { EventDetails, EventQuery, EventType, HistoryEvent, KeptEvent, Trouble } from './event-types.ts';

/** How much is kept. */
export type EventBounds = { days: number; rows: number };

/** The history's rows, how far back they go (µs), and when some last had to go because there were too many (ms). */
export type EventExtent = { oldestAt: number | null; fullAt: number | null };

type Row = Omit<EventsTable, 'id'> & { id: number };
type Query = SelectQueryBuilder<Schema, 'events', Row>;

// Every call blocks the event loop: these take some 5 ms.
const rowsPerDelete = 1_000;
const dayMicros = 86_400_000_000;

/** The events as SQLite keeps them. */
export type EventStore = ReturnType<typeof createEventStore>;

/** Creates the store over the open database. */
export function createEventStore(db: Kysely<Schema>, bounds: EventBounds) {
  /** The rows of one container, by each of the ways in which one can be meant. */
  const ways: readonly ((query: Query, container: string) => Query)[] = [
    (query, container) => query.where('timeline', '=', container).where('timeline', '<>', ''),
    (query, container) => query.where('former', '=', container).where('former', '<>', ''),
    (query, container) => query.where('subject', '=', container),
  ];

  function select({ type, action, trouble, since, until, before, limit }: EventQuery): Query {
    let query = db.selectFrom('events').selectAll().orderBy('at', 'desc').orderBy('id', 'desc').limit(limit) as Query;
    if (type) query = query.where('type', '=', type);
    if (action) query = query.where('action', '=', action);
    if (trouble === 'any') query = query.where('trouble', '<>', '');
    else if (trouble) query = query.where('trouble', '=', trouble);
    if (since !== undefined) query = query.where('at', '>=', since);
    if (until !== undefined) query = query.where('at', '<', until);
    if (before) {
      const { at, id } = before;
      query = query.where(({ and, eb, or }) => or([eb('at', '<', at), and([eb('at', '=', at), eb('id', '<', id)])]));
    }
    return query;
  }

  /** What the container of that name before was made of. */
  async function imageBefore({ timeline, subject, at }: HistoryEvent): Promise<EventDetails['imageBefore']> {
    const row = await db
      .selectFrom('events')
      .select('details')
      .where('timeline', '=', timeline)
      .where('at', '<', at)
      .where('subject', '<>', subject)
      .where('type', '=', 'container')
      .where('action', 'in', ['create', 'start'])
      .orderBy('at', 'desc')
      .limit(1)
      .executeTakeFirst();
    const { image, imageId } = row ? (JSON.parse(row.details) as EventDetails) : {};
    return image === undefined ? undefined : { image, ...(imageId && { imageId }) };
  }

  async function withImageBefore(event: HistoryEvent): Promise<HistoryEvent> {
    const before = await imageBefore(event);
    const { image, imageId } = event.details;
    const isSame = before?.image === image && (!before?.imageId || !imageId || before.imageId === imageId);
    return before && !isSame ? { ...event, details: { ...event.details, imageBefore: before } } : event;
  }

  /** The last container whose id lies between two texts, by its newest row: one is read, however many there are. */
  async function lastBetween(from: string, to: string): Promise<{ id: string; name: string } | undefined> {
    const row = await db
      .selectFrom('events')
      .select(['subject', 'timeline'])
      .where('subject', '>=', from)
      .where('subject', '<', to)
      .where('timeline', '<>', '')
      // The subject of a connection is a network.
      .where('type', 'in', ['container', 'action'])
      .orderBy('subject', 'desc')
      .orderBy('at', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row && { id: row.subject, name: row.timeline };
  }

  /** All rows in one parameter: a statement of constant text, whatever their number. */
  async function write(events: readonly HistoryEvent[]): Promise<void> {
    if (events.length === 0) return;
    const rows = events.map(({ at, type, action, subject, name, timeline, former, trouble, details }) => [
      ...[at, type, action, subject, name, timeline, former, trouble],
      JSON.stringify(details),
    ]);
    await sql`
      insert into events (at, type, action, subject, name, timeline, former, trouble, details)
      select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
        value ->> 7, value ->> 8
      from json_each(${JSON.stringify(rows)}) where true
      on conflict (at, type, action, subject, name) do update
        set details = excluded.details, trouble = excluded.trouble where excluded.type = 'operation'`.execute(db);
  }

  return {
    /** Keeps events; one that is kept already stays as it is, but for an operation, which is kept as it is now. */
    async insert(events: readonly HistoryEvent[]): Promise<void> {
      let rows: HistoryEvent[] = [];
      for (const event of events) {
        if (isCreate(event)) {
          // What the container before was made of may be among those that are about to be kept.
          await write(rows);
          rows = [];
        }
        rows.push(isCreate(event) ? await withImageBefore(event) : event);
      }
      await write(rows);
    },

    /** Events, the newest first. */
    async list(query: EventQuery): Promise<KeptEvent[]> {
      const { container } = query;
      if (!container) return (await select(query).execute()).map(toEvent);
      const found = new Map<number, Row>();
      for (const way of ways) for (const row of await way(select(query), container).execute()) found.set(row.id, row);
      const newest = [...found.values()].sort((one, other) => other.at - one.at || other.id - one.id);
      return newest.slice(0, query.limit).map(toEvent);
    },

    /** Events of several names together, the newest first; times in µs, `until` is not included. */
    async listOf(names: readonly string[], since: number, until: number, limit: number): Promise<KeptEvent[]> {
      // The newest are found by the index alone, however many events there are.
      const { rows } = await sql<Row>`
        select * from events where id in (
          select id from events
          where timeline in (select value from json_each(${JSON.stringify(names)})) and timeline <> ''
            and at >= ${since} and at < ${until}
          order by at desc, id desc limit ${limit})
        order by at desc, id desc`.execute(db);
      return rows.map(toEvent);
    },

    /** Whether anything is known of a container's name. */
    async knows(name: string): Promise<boolean> {
      if (name === '') return false;
      const row = await db.selectFrom('events').select('id').where('timeline', '=', name).limit(1).executeTakeFirst();
      if (row) return true;
      return (
        (await db.selectFrom('events').select('id').where('former', '=', name).limit(1).executeTakeFirst()) !==
        undefined
      );
    },

    /** The only container whose id begins so, with its last name; undefined where there is none or more than one. */
    async find(idPrefix: string): Promise<{ id: string; name: string } | undefined> {
      const last = await lastBetween(idPrefix, `${idPrefix}g`);
      return last && !(await lastBetween(idPrefix, last.id)) ? last : undefined;
    },

    /** Operations that were kept as running, by their ids. */
    async runningOperations(): Promise<number[]> {
      const rows = await db
        .selectFrom('events')
        .select('details')
        .where('subject', '>=', 'operation:')
        .where('subject', '<', 'operation;')
        .where('details', 'like', '%"state":"running"%')
        .orderBy('id', 'desc')
        .limit(200)
        .execute();
      return rows.flatMap(({ details }) => (JSON.parse(details) as EventDetails).operation ?? []);
    },

    /** How far the engine's stream was known when that was last kept. */
    async place(): Promise<StreamPlace> {
      const row = await db.selectFrom('event_stream').selectAll().executeTakeFirst();
      return row ? { lastAt: row.last_at, aliveAt: row.alive_at } : null;
    },

    async keepPlace({ lastAt, aliveAt }: NonNullable<StreamPlace>): Promise<void> {
      await sql`
        insert into event_stream (id, last_at, alive_at) values (1, ${lastAt}, ${aliveAt})
        on conflict (id) do update set last_at = excluded.last_at, alive_at = excluded.alive_at`.execute(db);
    },

    async extent(): Promise<EventExtent> {
      const oldest = await db.selectFrom('events').select('at').orderBy('at').limit(1).executeTakeFirst();
      const stream = await db.selectFrom('event_stream').select('full_at').executeTakeFirst();
      return { oldestAt: oldest?.at ?? null, fullAt: stream?.full_at ?? null };
    },

    /** Deletes what is too old and the oldest above the bound, in slices; `nowMs` since 1970. */
    async prune(nowMs: number): Promise<void> {
      const limit = nowMs * 1_000 - bounds.days * dayMicros;
      await inSlices((from) => from.where('at', '<', limit));
      const oldest = await db
        .selectFrom('events')
        .select('id')
        .orderBy('id', 'desc')
        .offset(bounds.rows)
        .limit(1)
        .executeTakeFirst();
      if (!oldest) return;
      await inSlices((from) => from.where('id', '<=', oldest.id));
      await sql`
        insert into event_stream (id, last_at, alive_at, full_at) values (1, 0, 0, ${nowMs})
        on conflict (id) do update set full_at = excluded.full_at`.execute(db);
    },
  };

  async function inSlices(old: (query: Query) => Query): Promise<void> {
    for (let left = rowsPerDelete; left === rowsPerDelete; ) {
      const rows = await old(db.selectFrom('events').selectAll().limit(rowsPerDelete) as Query).execute();
      const ids = JSON.stringify(rows.map(({ id }) => id));
      await sql`delete from events where id in (select value from json_each(${ids}))`.execute(db);
      left = rows.length;
      await setImmediate();
    }
  }
}

const isCreate = ({ type, action }: HistoryEvent) => type === 'container' && action === 'create';

function toEvent({ id, at, type, action, subject, name, timeline, former, trouble, details }: Row): KeptEvent {
  return {
    id,
    at,
    type: type as EventType,
    action,
    subject,
    name,
    timeline,
    former,
    trouble: trouble as Trouble | '',
    details: JSON.parse(details) as EventDetails,
  };
}
