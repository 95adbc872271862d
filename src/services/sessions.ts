import { createHash } from 'node:crypto';
import type { Database } from './database.ts';

/** What is kept of a session beside its id; `data` is whatever has to come back, times in ms since 1970. */
export type Session = { user: number; data: object; client: string; startedAt: number; endsAt: number };

/** A session as its user is shown it. */
export type SessionInfo = { id: string; client: string; startedAt: number; seenAt: number };

/** Without a request for so long it ends, ms. */
export const idleMs = 3 * 86_400_000;
/** It ends so long after the sign-in, whatever happens, ms. */
export const longestMs = 30 * 86_400_000;
const maxPerUser = 50;

/** The sessions of those who signed in. */
export type Sessions = ReturnType<typeof createSessions>;

/** Creates the keeper of sessions, which are known by the hashes of their ids alone: a copy of the database opens none. */
export function createSessions({ db }: Database, now: () => number = Date.now) {
  const listeners = new Map<string, Set<() => void>>();

  function listen(key: string, listener: () => void): () => void {
    const known = listeners.get(key) ?? new Set();
    listeners.set(key, known.add(listener));
    return () => {
      known.delete(listener);
      if (known.size === 0 && listeners.get(key) === known) listeners.delete(key);
    };
  }

  async function end(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await db.deleteFrom('sessions').where('id', 'in', ids).execute();
    for (const id of ids) for (const listener of listeners.get(id) ?? []) listener();
  }

  /** Ends what has outlived its time, and the oldest of a user who has very many. */
  async function prune(user: number): Promise<void> {
    const ended = await db.selectFrom('sessions').select('id').where('ends_at', '<=', now()).execute();
    const own = await db
      .selectFrom('sessions')
      .select('id')
      .where('user', '=', user)
      .orderBy('seen_at', 'desc')
      .offset(maxPerUser)
      .limit(1_000)
      .execute();
    await end([...ended, ...own].map(({ id }) => id));
  }

  return {
    /** The session of an id that has not ended. */
    async find(id: string): Promise<Session | undefined> {
      const row = await db.selectFrom('sessions').selectAll().where('id', '=', keyOf(id)).executeTakeFirst();
      if (!row || row.ends_at <= now()) return undefined;
      const { user, client, started_at: startedAt, ends_at: endsAt } = row;
      return { user, client, startedAt, endsAt, data: JSON.parse(row.data) as object };
    },

    /** Keeps a new session, for the idle time. */
    async open(id: string, { user, data, client }: Pick<Session, 'user' | 'data' | 'client'>): Promise<void> {
      const times = { started_at: now(), seen_at: now(), ends_at: now() + idleMs };
      await db
        .insertInto('sessions')
        .values({ id: keyOf(id), user, data: JSON.stringify(data), client, ...times })
        .execute();
      await prune(user);
    },

    /** Lets one go on for the idle time from now, and no longer than the longest; one that has ended stays so. */
    async renew(id: string, data: object): Promise<void> {
      const row = await db.selectFrom('sessions').select('started_at').where('id', '=', keyOf(id)).executeTakeFirst();
      if (!row) return;
      const ends_at = Math.min(now() + idleMs, row.started_at + longestMs);
      await db
        .updateTable('sessions')
        .set({ data: JSON.stringify(data), seen_at: now(), ends_at })
        .where('id', '=', keyOf(id))
        .execute();
    },

    /** Ends one by its id, at once. */
    end: (id: string) => end([keyOf(id)]),

    /** Ends all of a user, but for one. */
    async endAll(user: number, except?: string): Promise<void> {
      const rows = await db.selectFrom('sessions').select('id').where('user', '=', user).execute();
      const kept = except === undefined ? undefined : keyOf(except);
      await end(rows.map(({ id }) => id).filter((id) => id !== kept));
      for (const listener of listeners.get(userKey(user)) ?? []) listener();
    },

    /** What a user has open, the one seen last first. */
    async ofUser(user: number): Promise<SessionInfo[]> {
      const rows = await db
        .selectFrom('sessions')
        .selectAll()
        .where('user', '=', user)
        .where('ends_at', '>', now())
        .orderBy('seen_at', 'desc')
        .execute();
      return rows.map(({ id, client, started_at, seen_at }) => ({
        id,
        client,
        startedAt: started_at,
        seenAt: seen_at,
      }));
    },

    /** Calls back when a session ends by somebody's doing. Returns how to stop. */
    onEnd: (id: string, listener: () => void) => listen(keyOf(id), listener),

    /** Calls back when all of a user's end, also for who has none, as a proxy signs them in. Returns how to stop. */
    onEndAll: (user: number, listener: () => void) => listen(userKey(user), listener),
  };
}

const userKey = (user: number) => `user ${user}`;

/** Under which a session is kept and shown. Its 256 random bits need no slow hash. */
export const keyOf = (id: string) => createHash('sha256').update(id).digest('hex');
