import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import SQLite from 'better-sqlite3';
import { sql } from 'kysely';
import t from 'tap';
import { type Database, DatabaseError, openDatabase } from '../../src/services/database.ts';

const stepFile = (body: string) => `import { sql } from ${JSON.stringify(import.meta.resolve('kysely'))};\n${body}\n`;

t.test('a missing folder is made, for its owner only', async (t) => {
  const folder = join(t.testdir(), 'a/b');
  const database = await openDatabase(folder);
  t.teardown(database.close);
  t.equal(statSync(folder).mode & 0o777, 0o700);
  t.equal(statSync(database.path).mode & 0o777, 0o600);
  t.equal(database.path, join(folder, 'fairlead.db'));
  await t.resolves(database.check());
});

t.test('it writes ahead, waits for others and keeps foreign keys', async (t) => {
  const { db, close } = await openDatabase(t.testdir());
  t.teardown(close);
  const pragma = async (name: string) =>
    Object.values((await sql.raw<object>(`pragma ${name}`).execute(db)).rows[0] ?? {})[0];
  t.equal(await pragma('journal_mode'), 'wal');
  t.equal(await pragma('synchronous'), 1, 'NORMAL');
  t.equal(await pragma('foreign_keys'), 1);
  t.equal(await pragma('busy_timeout'), 5000);
});

t.test('what was written is there after closing, in one file', async (t) => {
  const folder = t.testdir();
  const first = await openDatabase(folder);
  await first.db.insertInto('series').values({ id: 1, container: 'a', name: 'web', seen_at: 1 }).execute();
  await Promise.all([first.close(), first.close()]);
  t.equal(
    await access(`${first.path}-wal`).then(
      () => 'left',
      () => 'gone',
    ),
    'gone',
    'the log of writes is folded in',
  );
  await t.rejects(first.check());
  const second = await openDatabase(folder);
  t.teardown(second.close);
  t.match(await second.db.selectFrom('series').selectAll().execute(), [{ id: 1, name: 'web' }]);
});

t.test(
  'who reads the file meanwhile, such as a backup, does not hold up its closing, and nothing is lost',
  async (t) => {
    const folder = t.testdir();
    const first = await openDatabase(folder);
    await first.db.insertInto('series').values({ id: 1, container: 'a', name: 'web', seen_at: 1 }).execute();
    const other = new SQLite(first.path);
    t.teardown(() => other.close());
    other.exec('begin; select * from series');
    await first.db.insertInto('series').values({ id: 2, container: 'b', name: 'db', seen_at: 1 }).execute();
    const began = performance.now();
    await first.close();
    t.ok(performance.now() - began < 2_500, 'of the 5 s that an end may take most are left');
    const second = await openDatabase(folder);
    t.teardown(second.close);
    t.equal((await second.db.selectFrom('series').selectAll().execute()).length, 2);
  },
);

t.test('a folder that cannot be written is told by name', async (t) => {
  const folder = t.testdir({ file: 'text' });
  for (const path of [join(folder, 'file'), join(folder, 'file/below'), '/proc/fairlead']) {
    const error = await openDatabase(path).catch((error) => error);
    t.ok(error instanceof DatabaseError);
    t.match(error.message, `DATA_DIR=${path}: must be a folder that this process can write to`);
  }
});

t.test('a file that is no database is told, and left alone', async (t) => {
  const folder = t.testdir({ 'fairlead.db': 'These are the notes of somebody, not a database at all.\n'.repeat(50) });
  await t.rejects(openDatabase(folder), {
    name: 'DatabaseError',
    message: /DATA_DIR=.*fairlead\.db in it is not a database/,
  });
  t.match(readFileSync(join(folder, 'fairlead.db'), 'utf8'), /^These are the notes/);
});

t.test('a damaged database is told', async (t) => {
  const folder = t.testdir();
  const { close, path } = await openDatabase(folder);
  await close();
  const bytes = readFileSync(path);
  bytes.fill(0xff, 100);
  writeFileSync(path, bytes);
  await t.rejects(openDatabase(folder), { message: /DATA_DIR=.*is damaged/ });
});

t.test('a database of a newer version is refused in words', async (t) => {
  const folder = t.testdir();
  const { close, path } = await openDatabase(folder);
  await close();
  const file = new SQLite(path);
  file.exec(`insert into kysely_migration values ('0999-later', '2099-01-01T00:00:00Z')`);
  file.close();
  await t.rejects(openDatabase(folder), {
    message: /DATA_DIR=.*made by a newer version of Fairlead \(step 0999-later\)/,
  });
});

t.test('a step that fails leaves the database as it was', async (t) => {
  const folder = t.testdir({
    data: {},
    steps: {
      '0001-good.ts': stepFile('export const up = (db) => sql`create table good (a)`.execute(db);'),
      '0002-bad.ts': stepFile(`export async function up(db) {
        await sql\`create table half (a)\`.execute(db);
        await sql\`create table half (a)\`.execute(db);
      }`),
    },
  });
  const data = join(folder, 'data');
  await t.rejects(openDatabase(data, join(folder, 'steps')), { name: 'DatabaseError' });
  const file = new SQLite(join(data, 'fairlead.db'));
  t.teardown(() => file.close());
  t.same(file.prepare(`select name from sqlite_master where name in ('good', 'half')`).all(), [], 'no table is left');
});

t.test('steps run once and in order, also when a later one is added', async (t) => {
  const folder = t.testdir({
    data: {},
    old: { '0001-a.ts': stepFile('export const up = (db) => sql`create table a (x)`.execute(db);') },
    new: {
      '0001-a.ts': stepFile('export const up = (db) => sql`create table a (x)`.execute(db);'),
      '0002-b.ts': stepFile('export const up = (db) => sql`alter table a add column y`.execute(db);'),
    },
  });
  const data = join(folder, 'data');
  await (await openDatabase(data, join(folder, 'old'))).close();
  const { db, close } = await openDatabase(data, join(folder, 'new'));
  t.teardown(close);
  t.match((await sql`select name from kysely_migration order by name`.execute(db)).rows, [
    { name: '0001-a' },
    { name: '0002-b' },
  ]);
  await t.resolves(sql`select x, y from a`.execute(db));
  await close();
  await t.rejects(
    openDatabase(data, join(folder, 'old')),
    { message: /newer version/ },
    'and the old program refuses it',
  );
});

t.test('what was deleted is not left in the file', async (t) => {
  const folder = t.testdir();
  const { db, path, close } = await openDatabase(folder);
  const plan = JSON.stringify({ env: `PASSWORD=${'not for anybody '.repeat(20)}` });
  await db.insertInto('rebuilds').values({ operation: 1, phase: 'creating', plan }).execute();
  await db.deleteFrom('rebuilds').execute();
  await close();
  t.notMatch(readFileSync(path, 'latin1'), /not for anybody/);
});

t.test('its size and the statements that failed are known', async (t) => {
  const { db, sizes, failures, close } = await openDatabase(t.testdir());
  t.teardown(close);
  const { main, wal } = await sizes();
  t.ok(main > 0 && wal > 0, `${main} and ${wal} bytes`);
  t.equal(failures(), 0);
  await t.rejects(sql`insert into nowhere values (1)`.execute(db));
  const twice = { id: 1, container: 'a', name: 'web', seen_at: 1 };
  await t.rejects(db.insertInto('series').values([twice, twice]).execute());
  t.equal(failures(), 2);
  await close();
  t.equal((await sizes()).wal, 0, 'a log that is not there has no size');
});

t.test('a file that is mostly free space is made smaller at the next start, and used again until then', async (t) => {
  const folder = t.testdir();
  const row = (id: number) => ({ id, container: `${id}${'x'.repeat(10_000)}`, name: 'web', seen_at: 1 });
  const fill = async ({ db }: Database) => {
    for (let id = 1; id <= 800; id++) await db.insertInto('series').values(row(id)).execute();
  };
  const first = await openDatabase(folder);
  await fill(first);
  await first.db.deleteFrom('series').where('id', '>', 3).execute();
  await first.db.deleteFrom('series').execute();
  await fill(first);
  await first.db.deleteFrom('series').where('id', '>', 3).execute();
  await first.close();
  const full = statSync(first.path).size;
  t.ok(full > 8e6 && full < 20e6, `${full} bytes: not twice`);
  const second = await openDatabase(folder);
  t.teardown(second.close);
  t.ok(statSync(second.path).size < 1e6, `${statSync(second.path).size} bytes`);
  t.match(await second.db.selectFrom('series').select('id').orderBy('id').execute(), [{ id: 1 }, { id: 2 }, { id: 3 }]);
});
