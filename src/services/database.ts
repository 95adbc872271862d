import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import SQLite from 'better-sqlite3';
import { type Generated, Kysely, type LogEvent, SqliteAdapter, SqliteDialect, sql } from 'kysely';
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

/** Samples rolled up into one step; units stand in the migration that made the table. */
export type RollupsTable = {
  step: number;
  at: number;
  series: number;
  count: number;
  cpu_count: number;
  cpu: number | null;
  cpu_max: number | null;
  memory: number;
  memory_max: number;
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

/** One thing that happened, see event-types.ts; `at` in µs since 1970, `details` is JSON. */
export type EventsTable = {
  id: Generated<number>;
  at: number;
  type: string;
  action: string;
  subject: string;
  name: string;
  timeline: string;
  former: string;
  trouble: string;
  details: string;
};

/** What is kept of a container's death; `lines` and `figures` are JSON. */
export type DeathsTable = {
  at: number;
  container: string;
  timeline: string;
  lines: string;
  note: string;
  figures: string | null;
};

/** How far the engine's events are known: one row, times in µs, `full_at` in ms since 1970. */
export type EventStreamTable = { id: number; last_at: number; alive_at: number; full_at: number | null };

/** Where notifications go; `settings` is JSON, `sealed` is encrypted. */
export type AlertChannelsTable = {
  id: Generated<number>;
  name: string;
  kind: string;
  settings: string;
  sealed: string | null;
  created_at: number;
};

/** What is watched; `settings` is JSON. */
export type AlertRulesTable = {
  id: Generated<number>;
  name: string;
  kind: string;
  enabled: number;
  settings: string;
  created_at: number;
};

/** How a rule stands for a subject; `state` is JSON. */
export type AlertStatesTable = { rule: number; subject: string; state: string };

/** Up to which event the rules stand as they do: one row, `last_at` in µs since 1970. */
export type AlertPlaceTable = { id: number; last_at: number };

/** What was told, or is still to be; `content` is JSON, times in ms since 1970. */
export type AlertNotificationsTable = {
  id: Generated<number>;
  rule: string;
  channel: number;
  channel_name: string;
  content: string;
  state: string;
  attempts: number;
  due_at: number;
  created_at: number;
  finished_at: number | null;
  result: string;
};

/** A user; `scope` is JSON, null for everything; `origin` and `subject` are of who is kept elsewhere. */
export type UsersTable = {
  id: Generated<number>;
  name: string;
  role: string;
  password: string;
  scope: string | null;
  locked: number;
  created_at: number;
  password_at: number;
  origin: string | null;
  subject: string | null;
};

/** A session by the hash of its id; `data` is JSON. */
export type SessionsTable = {
  id: string;
  user: number;
  data: string;
  client: string;
  started_at: number;
  seen_at: number;
  ends_at: number;
};

/** A program's token by its hash; `capabilities` and `scope` are JSON. */
export type TokensTable = {
  id: Generated<number>;
  name: string;
  hash: string;
  capabilities: string;
  scope: string | null;
  owner: string;
  created_at: number;
  expires_at: number | null;
  used_at: number | null;
};

/** The app that a user has codes of; `secret` is sealed, `last_step` the newest step of time whose code was used. */
export type SecondFactorsTable = { user: number; secret: string; last_step: number; created_at: number };

/** A passkey; `credential` is its id in base64url, `transports` is JSON. */
export type PasskeysTable = {
  id: Generated<number>;
  user: number;
  credential: string;
  public_key: Buffer;
  counter: number;
  transports: string;
  name: string;
  created_at: number;
  used_at: number | null;
};

/** Links that show one view in pages of other sites; `origins` is JSON. */
export type EmbedsTable = {
  id: Generated<number>;
  hash: string;
  view: string;
  origins: string;
  owner: string;
  created_at: number;
  expires_at: number | null;
  used_at: number | null;
};

/** What somebody did here, or was refused. */
export type AuditTable = {
  id: Generated<number>;
  at: number;
  actor: string;
  client: string;
  action: string;
  target: string;
  result: string;
  detail: string;
  container: Generated<string>;
};

/** All tables, as the newest migration leaves them. */
export type Schema = {
  series: SeriesTable;
  samples: SamplesTable;
  rollups: RollupsTable;
  operations: OperationsTable;
  rebuilds: RebuildsTable;
  registry_digests: RegistryDigestsTable;
  events: EventsTable;
  deaths: DeathsTable;
  event_stream: EventStreamTable;
  alert_channels: AlertChannelsTable;
  alert_rules: AlertRulesTable;
  alert_rule_channels: { rule: number; channel: number };
  alert_states: AlertStatesTable;
  alert_place: AlertPlaceTable;
  alert_notifications: AlertNotificationsTable;
  users: UsersTable;
  sessions: SessionsTable;
  tokens: TokensTable;
  embeds: EmbedsTable;
  audit: AuditTable;
  second_factors: SecondFactorsTable;
  recovery_codes: { user: number; hash: string };
  passkeys: PasskeysTable;
  passkey_handles: { user: number; handle: string };
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
  let failures = 0;
  function countFailures({ level }: LogEvent): void {
    if (level === 'error') failures += 1;
  }

  const db = new Kysely<Schema>({ dialect: createDialect(file), log: countFailures });
  try {
    await migrate(dataDir, db, migrations);
  } catch (error) {
    await db.destroy();
    throw error;
  }
  await compact(db);
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

    /** How large the database and its write-ahead log are, bytes; 0 for one that is not there. */
    sizes: async () => ({ main: await sizeOf(path), wal: await sizeOf(`${path}-wal`) }),

    /** How many statements could not be carried out: a full disk, a damaged file, a lock. */
    failures: () => failures,

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

// How long a statement waits for another process that has the file, such as a backup.
const busyMs = 5_000;
// The same for what the next start can do as well: an end that waits longer would be killed.
const shortBusyMs = 250;

function openFile(dataDir: string, path: string): SQLite.Database {
  makeWritable(dataDir, path);
  const file = new SQLite(path, { timeout: busyMs });
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

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

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

// 4 MB in pages of 4 KiB: less than that is soon used again.
const worthPages = 1_000;

/**
 * Gives space back to the disk where most of the file is free. What is deleted is used again while the program runs, so
 * the file is never larger than it once had to be; only here nobody waits for the rewrite. A disk too full for it, or
 * somebody else who reads, does not keep the program from starting.
 */
async function compact(db: Kysely<Schema>): Promise<void> {
  const { rows } = await sql<{ free: number; pages: number }>`
    select freelist_count as free, page_count as pages from pragma_freelist_count, pragma_page_count`.execute(db);
  const { free = 0, pages = 0 } = rows[0] ?? {};
  if (free < worthPages || free < pages / 2) return;
  try {
    await waitAtMost(db, shortBusyMs);
    await sql`vacuum`.execute(db);
    await sql`pragma wal_checkpoint(truncate)`.execute(db);
  } catch {
    // The next start tries again.
  } finally {
    await waitAtMost(db, busyMs);
  }
}

async function checkpointAndClose(db: Kysely<Schema>): Promise<void> {
  try {
    await waitAtMost(db, shortBusyMs);
    await sql`pragma wal_checkpoint(truncate)`.execute(db);
  } finally {
    await db.destroy();
  }
}

const waitAtMost = (db: Kysely<Schema>, ms: number) => sql`pragma busy_timeout = ${sql.lit(ms)}`.execute(db);
