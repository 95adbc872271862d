import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import SQLite from 'better-sqlite3';
import { type Generated, Kysely, SqliteAdapter, SqliteDialect, sql } from 'kysely';
import { FileMigrationProvider, Migrator } from 'kysely/migration';

/** One container whose figures are kept; its small id keeps the samples small. */
export type SeriesTable = { id: number; container: string; name: string; seen_at: number };

/** One sample; units stand in the migration that made the table. */
export type SamplesTable = {
  at: number;
  series: number;
  cpu: number | null;
  memory: number;
  memory_limit: number | null;
  network_rx: number;
  network_tx: number;
  block_read: number;
  block_write: number;
  pids: number;
};

/** A piece of long work, see operation-types.ts; `steps` and `details` are JSON. */
export type OperationsTable = {
  id: Generated<number>;
  kind: string;
  target: string;
  actor: string;
  state: string;
  progress: number | null;
  message: string;
  error: string | null;
  error_code: string | null;
  steps: string;
  details: string;
  seen: number;
  queued_at: number;
  started_at: number | null;
  finished_at: number | null;
};

/** A rebuild under way; `plan` is JSON. */
export type RebuildsTable = { id: Generated<number>; operation: number; phase: string; plan: string };

/** What a registry had under a reference when it was last asked. */
export type RegistryDigestsTable = {
  reference: string;
  digest: string | null;
  error: string | null;
  checked_at: number;
};

/** All tables, as the newest migration leaves them. */
export type Schema = {
  series: SeriesTable;
  samples: SamplesTable;
  operations: OperationsTable;
  rebuilds: RebuildsTable;
  registry_digests: RegistryDigestsTable;
};

/** The open database: queries, a check that it answers, and its end. */
export type Database = Awaited<ReturnType<typeof openDatabase>>;

/** The database can't be used; the message names `DATA_DIR`, its value and the reason. */
export class DatabaseError extends Error {
  constructor(dataDir: string, reason: string, cause?: unknown) {
    super(`DATA_DIR=${dataDir}: ${reason}`, { cause });
    this.name = 'DatabaseError';
  }
}

const migrationFolder = join(import.meta.dirname, '../../migrations');

/**
 * Opens `fairlead.db` in a folder, makes both where they are missing (readable by their owner only), and brings the
 * tables up to date; a step that fails leaves the database as it was.
 * @throws DatabaseError where the folder can't be written, or the file is no database, is damaged, or was made by a
 *   newer version
 */
export async function openDatabase(dataDir: string, migrations: string = migrationFolder) {
  const path = join(dataDir, 'fairlead.db');
  const file = openFile(dataDir, path);
  const db = new Kysely<Schema>({ dialect: createDialect(file) });
  try {
    await migrate(dataDir, db, migrations);
  } catch (error) {
    await db.destroy();
    throw error;
  }
  let closed: Promise<void> | undefined;
  return {
    /** The query builder. Calls block the event loop: bound every read and write. */
    db,

    /**
     * Runs writes that have to be on the disk before this resolves, also should the machine lose its power: usual writes
     * survive the end of this process only.
     */
    durably: <T>(write: (db: Kysely<Schema>) => Promise<T>): Promise<T> =>
      db.connection().execute(async (connection) => {
        await sql`pragma synchronous = full`.execute(connection);
        try {
          return await write(connection);
        } finally {
          await sql`pragma synchronous = normal`.execute(connection);
        }
      }),

    /** The file, for messages. */
    path,

    /** Asks the database for nothing; throws where it can't answer. */
    check: async () => {
      await sql`select 1`.execute(db);
    },

    /** Writes everything into the one file and closes it; further calls wait for the first. */
    close: () => {
      closed ??= checkpointAndClose(db);
      return closed;
    },
  };
}

function openFile(dataDir: string, path: string): SQLite.Database {
  makeWritable(dataDir, path);
  const file = new SQLite(path, { timeout: 5_000 });
  try {
    file.pragma('journal_mode = wal');
    file.pragma('synchronous = normal');
    file.pragma('foreign_keys = on');
    // The journal of a rebuild holds a container's environment: what is deleted does not stay in the file.
    file.pragma('secure_delete = on');
    // Every 0.8 MB instead of 4 MB: the write that folds the log in blocked the event loop for 20-30 ms at a time.
    file.pragma('wal_autocheckpoint = 200');
    return file;
  } catch (error) {
    file.close();
    throw new DatabaseError(dataDir, sqliteReason(error), error);
  }
}

/** SQLite gives its side files the mode of the first, so the file is made here, for its owner only. */
function makeWritable(dataDir: string, path: string): void {
  try {
    makeFolder(resolve(dataDir));
    closeSync(openSync(path, 'a', 0o600));
  } catch (error) {
    throw new DatabaseError(dataDir, `must be a folder that this process can write to (${codeOf(error)}).`, error);
  }
}

/** Not by `recursive`: that never returns where the parent refuses with ENOENT, as in /proc. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

function sqliteReason(error: unknown): string {
  const code = codeOf(error);
  if (code === 'SQLITE_NOTADB') return 'fairlead.db in it is not a database; move it away or give another folder.';
  if (code.startsWith('SQLITE_CORRUPT')) return 'fairlead.db in it is damaged; move it away or restore a copy.';
  if (code.startsWith('SQLITE_BUSY')) return 'fairlead.db in it is in use by another process.';
  return `fairlead.db in it cannot be used (${code}).`;
}

const codeOf = (error: unknown) =>
  error instanceof Error ? ('code' in error ? String(error.code) : error.message) : String(error);

/** SQLite does roll back changes of tables, but the stock adapter says it does not. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class TransactionalDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter();
  }
}

const createDialect = (database: SQLite.Database) => new TransactionalDialect({ database });

async function migrate(dataDir: string, db: Kysely<Schema>, folder: string): Promise<void> {
  const provider = new FileMigrationProvider({
    fs: { readdir },
    path: { join },
    migrationFolder: folder,
    import: (path) => import(pathToFileURL(path).href),
  });
  const known = await provider.getMigrations();
  const migrator = new Migrator({ db, provider: { getMigrations: async () => known } });
  try {
    await refuseNewer(dataDir, db, Object.keys(known));
    const { error } = await migrator.migrateToLatest();
    if (error) throw error;
  } catch (error) {
    throw error instanceof DatabaseError ? error : new DatabaseError(dataDir, sqliteReason(error), error);
  }
}

async function refuseNewer(dataDir: string, db: Kysely<Schema>, known: readonly string[]): Promise<void> {
  const tables = await sql`select 1 from sqlite_master where name = 'kysely_migration'`.execute(db);
  if (tables.rows.length === 0) return;
  const done = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  const unknown = done.rows.find(({ name }) => !known.includes(name));
  if (!unknown) return;
  throw new DatabaseError(
    dataDir,
    `fairlead.db in it was made by a newer version of Fairlead (step ${unknown.name}); ` +
      'start that version, or give another folder.',
  );
}

async function checkpointAndClose(db: Kysely<Schema>): Promise<void> {
  try {
    await sql`pragma wal_checkpoint(truncate)`.execute(db);
  } finally {
    await db.destroy();
  }
}
