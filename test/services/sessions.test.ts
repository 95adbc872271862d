import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openDatabase } from '../../src/services/database.ts';
import { createPasswords } from '../../src/services/passwords.ts';
import { createSessions } from '../../src/services/sessions.ts';
import { createUsers } from '../../src/services/users.ts';

const day = 86_400_000;

/** The sessions of one user, with time that only the test moves. */
async function start(t: Test) {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-test-'));
  const database = await openDatabase(dataDir);
  const users = await createUsers(database, createPasswords());
  const user = await users.add({ name: 'olga', password: 'correct horse', role: 'viewer', scope: null });
  const clock = { now: Date.UTC(2026, 0, 1) };
  const sessions = createSessions(database, () => clock.now);
  t.teardown(async () => {
    await database.close();
    rmSync(dataDir, { recursive: true });
  });
  const open = (id: string) => sessions.open(id, { user: user.id, data: { userId: user.id }, client: `browser ${id}` });
  const isOpen = async (id: string) => (await sessions.find(id)) !== undefined;
  return { sessions, clock, database, user, open, isOpen };
}

t.test('a session that nobody uses ends after three days', async (t) => {
  const { clock, open, isOpen, sessions, user } = await start(t);
  await open('one');
  clock.now += 3 * day - 1;
  t.equal(await isOpen('one'), true);
  clock.now += 1;
  t.equal(await isOpen('one'), false);
  t.strictSame(await sessions.ofUser(user.id), []);
});

t.test('one that is used ends after thirty days all the same', async (t) => {
  const { clock, open, isOpen, sessions } = await start(t);
  await open('one');
  for (let n = 0; n < 15; n++) {
    clock.now += 2 * day - 1;
    await sessions.renew('one', { n });
    t.equal(await isOpen('one'), true, `${n}`);
  }
  t.match(await sessions.find('one'), { data: { n: 14 } });
  clock.now += 15;
  t.equal(await isOpen('one'), false);
});

t.test('one that has ended does not come back by what was under way', async (t) => {
  const { open, isOpen, sessions } = await start(t);
  await open('one');
  await sessions.end('one');
  await sessions.renew('one', {});
  t.equal(await isOpen('one'), false);
});

t.test('who watches a session is told of its end, once and of no other', async (t) => {
  const { open, sessions, user } = await start(t);
  const ended: string[] = [];
  for (const id of ['one', 'two', 'three']) {
    await open(id);
    sessions.onEnd(id, () => ended.push(id));
  }
  const stop = sessions.onEnd('one', () => ended.push('nobody'));
  stop();
  await sessions.end('one');
  t.strictSame(ended, ['one']);
  await sessions.endAll(user.id, 'three');
  t.strictSame(ended, ['one', 'two']);
  await sessions.endAll(user.id);
  t.strictSame(ended, ['one', 'two', 'three']);
});

t.test('ids are kept as hashes alone', async (t) => {
  const { open, database, sessions } = await start(t);
  await open('a secret id');
  const rows = await database.db.selectFrom('sessions').selectAll().execute();
  t.equal(rows.length, 1);
  t.notOk(rows[0]?.id.includes('secret'));
  t.equal(await sessions.find(rows[0]?.id ?? ''), undefined, 'and what is kept opens nothing');
});

t.test('of very many the ones seen last stay, and what is over is cleared away', async (t) => {
  const { clock, open, isOpen, database } = await start(t);
  for (let n = 0; n < 51; n++) {
    clock.now += 1;
    await open(`${n}`);
  }
  t.equal(await isOpen('0'), false);
  t.equal(await isOpen('1'), true);
  clock.now += 3 * day;
  await open('new');
  t.equal((await database.db.selectFrom('sessions').select('id').execute()).length, 1);
});

t.test('the sessions of a user go with the user', async (t) => {
  const { open, isOpen, database, user } = await start(t);
  await open('one');
  await database.db.deleteFrom('users').where('id', '=', user.id).execute();
  t.equal(await isOpen('one'), false);
});
