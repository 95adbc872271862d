import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import SQLite from 'better-sqlite3';
import { sql } from 'kysely';
import t from 'tap';
import { DatabaseError, openDatabase } from '../../src/services/database.ts';

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
