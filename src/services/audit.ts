import type { Selectable } from 'kysely';
import type { AuditTable, Database } from './database.ts';

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
};

/** Which entries are wanted; `before` continues behind an id. */
export type AuditQuery = {
  actor?: string | undefined;
  target?: string | undefined;
  result?: AuditResult | undefined;
  before?: number | undefined;
  limit: number;
};

const keptDays = 365;
const maxKept = 200_000;
const pruneEvery = 500;
const maxText = 300;
const dayMs = 86_400_000;

type Log = { error(details: object, message: string): void };

/** What everybody did here. */
export type Audit = ReturnType<typeof createAudit>;

/**
 * Creates the keeper of what was done and what was refused. Nothing in it can be changed; it is kept for a year, 200,000
 * entries at most.
 */
export function createAudit({ db }: Database, log: Log) {
  let written = 0;

  async function write(entry: Omit<AuditEntry, 'id' | 'at'>): Promise<void> {
    const texts = Object.fromEntries(Object.entries(entry).map(([name, text]) => [name, text.slice(0, maxText)]));
    await db
      .insertInto('audit')
      .values({ ...(texts as typeof entry), at: Date.now() })
      .execute();
    written += 1;
    if (written % pruneEvery === 1) await prune();
  }

  async function prune(): Promise<void> {
    await db
      .deleteFrom('audit')
      .where((where) =>
        where.or([
          where('at', '<', Date.now() - keptDays * dayMs),
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
    /** Writes one down; a database that can't is told to the log. */
    note: (entry: Omit<AuditEntry, 'id' | 'at'>): Promise<void> =>
      write(entry).catch((error: unknown) => log.error({ err: error, ...entry }, 'the audit could not be written')),

    /** The newest entries that match, the newest first. */
    async find({ actor, target, result, before, limit }: AuditQuery): Promise<AuditEntry[]> {
      let query = db.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(limit);
      if (actor) query = query.where('actor', '=', actor);
      if (target) query = query.where('target', '=', target);
      if (result) query = query.where('result', '=', result);
      if (before !== undefined) query = query.where('id', '<', before);
      return (await query.execute()).map(toEntry);
    },
  };
}

const toEntry = (row: Selectable<AuditTable>): AuditEntry => ({
  ...row,
  result: auditResults.find((result) => result === row.result) ?? 'failed',
});
