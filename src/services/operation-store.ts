import type { Kysely } from 'kysely';
import type { ErrorCode } from '../errors.ts';
import type { OperationsTable, Schema } from './database.ts';
import type { Details, Operation, OperationKind, OperationState, Step } from './operation-types.ts';

/** Operations that are kept: the newest, and those that still run. */
const maxKept = 1_000;

/** Which operations a list names: those with smaller ids than `before`, of these states, of one actor; the newest first. */
export type OperationQuery = {
  before?: number | undefined;
  states?: readonly OperationState[];
  actor?: string | undefined;
  limit: number;
};

type Row = Omit<OperationsTable, 'id'> & { id: number };
type Db = Pick<Kysely<Schema>, 'selectFrom' | 'insertInto' | 'updateTable' | 'deleteFrom'>;

/** The operations as SQLite keeps them. */
export type OperationStore = ReturnType<typeof createOperationStore>;

/** Creates the store over the open database. */
export function createOperationStore(db: Db) {
  return {
    /** Keeps a new operation and gives its id. */
    async insert(operation: Omit<Operation, 'id'>): Promise<number> {
      const { id } = await db
        .insertInto('operations')
        .values(toRow(operation))
        .returning('id')
        .executeTakeFirstOrThrow();
      return id;
    },

    /** Keeps an operation as it is now. */
    update: (operation: Operation) =>
      db.updateTable('operations').set(toRow(operation)).where('id', '=', operation.id).execute(),

    async find(id: number): Promise<Operation | undefined> {
      const row = await db.selectFrom('operations').selectAll().where('id', '=', id).executeTakeFirst();
      return row && toOperation(row);
    },

    async list({ before, states, actor, limit }: OperationQuery): Promise<Operation[]> {
      let query = db.selectFrom('operations').selectAll().orderBy('id', 'desc').limit(limit);
      if (before !== undefined) query = query.where('id', '<', before);
      if (states && states.length > 0) query = query.where('state', 'in', [...states]);
      if (actor !== undefined) query = query.where('actor', '=', actor);
      return (await query.execute()).map(toOperation);
    },

    /** The failures that nobody has read, the newest first. */
    async unseen(limit: number): Promise<Operation[]> {
      const rows = await db
        .selectFrom('operations')
        .selectAll()
        .where('seen', '=', 0)
        .where('state', 'in', ['failed', 'rolled_back', 'interrupted'])
        .orderBy('id', 'desc')
        .limit(limit)
        .execute();
      return rows.map(toOperation);
    },

    /** Forgets the oldest above the 1,000 that are kept. */
    async prune(): Promise<void> {
      const oldest = await db
        .selectFrom('operations')
        .select('id')
        .orderBy('id', 'desc')
        .offset(maxKept)
        .limit(1)
        .executeTakeFirst();
      if (!oldest) return;
      await db
        .deleteFrom('operations')
        .where('id', '<=', oldest.id)
        .where('state', 'not in', ['queued', 'running'])
        // A rebuild that has to be taken up again needs its operation.
        .where('id', 'not in', (query) => query.selectFrom('rebuilds').select('operation'))
        .execute();
    },
  };
}

function toRow(operation: Omit<Operation, 'id'>): Omit<Row, 'id'> {
  return {
    kind: operation.kind,
    target: operation.target,
    actor: operation.actor,
    state: operation.state,
    progress: operation.progress,
    message: operation.message,
    error: operation.error,
    error_code: operation.errorCode,
    steps: JSON.stringify(operation.steps),
    details: JSON.stringify(operation.details),
    seen: operation.isSeen ? 1 : 0,
    queued_at: operation.queuedAt,
    started_at: operation.startedAt,
    finished_at: operation.finishedAt,
  };
}

function toOperation(row: Row): Operation {
  return {
    id: row.id,
    kind: row.kind as OperationKind,
    target: row.target,
    actor: row.actor,
    state: row.state as OperationState,
    progress: row.progress,
    message: row.message,
    error: row.error,
    errorCode: row.error_code as ErrorCode | null,
    steps: JSON.parse(row.steps) as Step[],
    details: JSON.parse(row.details) as Details,
    canCancel: false,
    isUnfinished: false,
    isSeen: row.seen === 1,
    queuedAt: row.queued_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}
