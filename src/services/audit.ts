import type { ExpressionBuilder, Selectable } from 'kysely';
import type { AuditTable, Database, Schema } from './database.ts';
import type { EventPlace } from './event-types.ts';
import { createListeners } from './listeners.ts';

/** How a try ended: it was done, was not allowed, or went wrong. */
export const auditResults = ['done', 'refused', 'failed'] as const;
export type AuditResult = (typeof auditResults)[number];

/** What somebody did here or tried to; `at` in ms since 1970. */
export type AuditEntry = {
  id: number;
  at: number;
  actor: string;
  client: string;
  /** Method and route, such as `POST /containers/:id/:action`. */
  action: string;
  /** What it was done to, as the address names it. */
  target: string;
  result: AuditResult;
  detail: string;
  /** The name of the container that it was done to, or `project:` and that of a project; empty where it is neither. */
  container: string;
};

/** Which entries are wanted; `before` continues behind an id. */
export type AuditQuery = {
  actor?: string | undefined;
  target?: string | undefined;
  result?: AuditResult | undefined;
  before?: number | undefined;
  limit: number;
};

/**
 * Which entries of a container's timeline are wanted, the newest first; times in µs, `until` is not included. `before` is
 * where a page ended.
 */
export type AuditTimelineQuery = {
  containers: readonly string[];
  since?: number | undefined;
  until?: number | undefined;
  before?: EventPlace | undefined;
  limit: number;
};

/** How an entry names a project, which no container can be called. */
export const ofProject = (project: string): string => `project:${project}`;

const keptDays = 365;
const maxKept = 200_000;
const pruneEvery = 500;
const maxText = 300;
const dayMs = 86_400_000;
const usPerMs = 1_000;
/** What is refused again within this time is counted and not written, ms. */
const repeatMs = 60_000;
const maxRepeated = 5_000;

type Note = Omit<AuditEntry, 'id' | 'at' | 'container'> & { container?: string };
type Repeated = { entry: Note; endsAt: number; more: number };
type Log = { error(details: object, message: string): void };

/** What everybody did here. */
export type Audit = ReturnType<typeof createAudit>;

/**
 * Creates the keeper of what was done and what was refused. Nothing in it can be changed; it is kept for a year, 200,000
 * entries at most. So that nobody can push everything else out, what one client is refused again and again is one entry
 * at first, and another one after a minute that tells how often.
 */
export function createAudit({ db }: Database, log: Log, now: () => number = Date.now) {
  let written = 0;
  const listeners = createListeners({ warn: (details, message) => log.error(details, message) }, 'the audit');
  /** By who was refused what; the one whose minute ends first stands first. */
  const repeated = new Map<string, Repeated>();

  async function note(entry: Note, about: string): Promise<void> {
    await tellRepeated();
    if (!isRepeated(entry, about)) await write(entry);
  }

  /** What somebody who is known does wrong is not many; the rest can be. */
  function isRepeated(entry: Note, about: string): boolean {
    const { actor, client, action, result, detail } = entry;
    if (result === 'done' || (result === 'failed' && actor !== '')) return false;
    const key = JSON.stringify([actor, client, action, detail, about]);
    const before = repeated.get(key);
    if (before) before.more += 1;
    else repeated.set(key, { entry, endsAt: now() + repeatMs, more: 0 });
    return before !== undefined;
  }

  /** Writes down how often it was, for those whose minute is over, and for the oldest where there are very many. */
  async function tellRepeated(moment = now()): Promise<void> {
    const over: Repeated[] = [];
    for (const [key, each] of repeated) {
      if (each.endsAt > moment && repeated.size < maxRepeated) break;
      repeated.delete(key);
      if (each.more > 0) over.push(each);
    }
    for (const { entry, more } of over) {
      await write({ ...entry, detail: `${entry.detail}, and ${more} more within a minute` });
    }
  }

  /** Writes one down; a database that can't is told to the log. */
  const write = (entry: Note): Promise<void> =>
    insert(entry).catch((error: unknown) => log.error({ err: error, ...entry }, 'the audit could not be written'));

  async function insert(entry: Note): Promise<void> {
    const texts = Object.fromEntries(Object.entries(entry).map(([name, text]) => [name, text.slice(0, maxText)]));
    await db
      .insertInto('audit')
      .values({ ...(texts as typeof entry), at: now() })
      .execute();
    listeners.tell();
    written += 1;
    if (written % pruneEvery === 1) await prune();
  }

  async function prune(): Promise<void> {
    await db
      .deleteFrom('audit')
      .where((where) =>
        where.or([
          where('at', '<', now() - keptDays * dayMs),
          where(
            'id',
            '<=',
            where.selectFrom('audit').select(({ fn, lit }) => where(fn.max('id'), '-', lit(maxKept)).as('n')),
          ),
        ]),
      )
      .execute();
  }

  return {
    /**
     * Writes one down, unless it only repeats another. `about` tells apart what would be the same refusal; it must not
     * be of a client's making.
     */
    note: (entry: Note, about = ''): Promise<void> => note(entry, about),

    /** The newest entries that match, the newest first. */
    async find({ actor, target, result, before, limit }: AuditQuery): Promise<AuditEntry[]> {
      await tellRepeated();
      let query = db.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(limit);
      if (actor) query = query.where('actor', '=', actor);
      if (target) query = query.where('target', '=', target);
      if (result) query = query.where('result', '=', result);
      if (before !== undefined) query = query.where('id', '<', before);
      return (await query.execute()).map(toEntry);
    },

    /** What was done to a container and refused, the newest first. */
    async timeline({ containers, since, until, before, limit }: AuditTimelineQuery): Promise<AuditEntry[]> {
      await tellRepeated();
      let query = db
        .selectFrom('audit')
        .selectAll()
        .where('container', 'in', containers)
        .where('container', '<>', '')
        .orderBy('at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit);
      if (since !== undefined) query = query.where('at', '>=', since / usPerMs);
      if (until !== undefined) query = query.where('at', '<', until / usPerMs);
      if (before) query = query.where((where) => isBefore(where, before));
      return (await query.execute()).map(toEntry);
    },

    /** Calls back when something was written down; returns how to stop that. */
    onChange: listeners.add,

    /** Writes down what is still counted. */
    close: () => tellRepeated(Number.POSITIVE_INFINITY),
  };
}

/** Of the same moment, an event stands before what is written down here. */
function isBefore({ and, eb, or }: ExpressionBuilder<Schema, 'audit'>, { at, audit }: EventPlace) {
  const ms = at / usPerMs;
  const isSame = audit === undefined ? [eb('at', '=', ms)] : [eb('at', '=', ms), eb('id', '<', audit)];
  return or([eb('at', '<', ms), and(isSame)]);
}

const toEntry = (row: Selectable<AuditTable>): AuditEntry => ({
  ...row,
  result: auditResults.find((result) => result === row.result) ?? 'failed',
});
