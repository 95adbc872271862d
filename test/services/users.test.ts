import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openDatabase } from '../../src/services/database.ts';
import type { Passwords } from '../../src/services/passwords.ts';
import { createUsers } from '../../src/services/users.ts';

const client = { key: '192.0.2.1', isKnown: false };

/** The users of a database; passwords are kept as they are, and checked when the test lets them be. */
async function start(t: Test) {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-test-'));
  const database = await openDatabase(dataDir);
  const verified: (string | undefined)[] = [];
  const gate = { opened: Promise.resolve() };
  const passwords: Passwords = {
    hash: async (password) => password,
    async verify(password, kept) {
      verified.push(kept);
      await gate.opened;
      return password === kept;
    },
  };
  t.teardown(async () => {
    await database.close();
    rmSync(dataDir, { recursive: true });
  });
  const again = () => createUsers(database, passwords);
  const users = await again();
  const add = (name: string, role: 'viewer' | 'admin' = 'viewer') =>
    users.add({ name, password: 'correct horse', role, scope: null });
  return { users, again, add, verified, gate };
}

t.test('a name that nobody has is checked as one that there is', async (t) => {
  const { users, add, verified } = await start(t);
  await add('olga');
  t.equal(await users.verify('olga', 'wrong horse', client), undefined);
  t.equal(await users.verify('nobody', 'wrong horse', client), undefined);
  t.strictSame(verified, ['correct horse', undefined]);
});

t.test('who was locked, removed or given another password meanwhile does not get in', async (t) => {
  const { users, add, gate } = await start(t);
  const changes = {
    locked: (id: number) => users.change(id, { locked: true }),
    removed: (id: number) => users.remove(id),
    renewed: (id: number) => users.setPassword(id, 'another horse'),
  };
  for (const [name, change] of Object.entries(changes)) {
    const { id } = await add(name);
    const { promise, resolve } = Promise.withResolvers<void>();
    gate.opened = promise;
    const entering = users.verify(name, 'correct horse', client);
    await change(id);
    resolve();
    t.equal(await entering, undefined, name);
  }
});

t.test('of two admins who are changed at once, one stays', async (t) => {
  const { users, again, add } = await start(t);
  const ids = [(await add('one', 'admin')).id, (await add('two', 'admin')).id];
  const results = await Promise.allSettled(ids.map((id) => users.change(id, { role: 'viewer' })));
  t.strictSame(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  t.equal((await again()).list().filter(({ role }) => role === 'admin').length, 1);
});

t.test('what one change writes, another one at the same time does not undo', async (t) => {
  const { users, again, add } = await start(t);
  await add('admin', 'admin');
  const { id } = await add('olga');
  await Promise.all([users.change(id, { role: 'operator' }), users.change(id, { locked: true })]);
  t.match(users.get(id), { role: 'operator', locked: true });
  t.strictSame((await again()).get(id), users.get(id), 'and the next start finds the same');
  await Promise.allSettled([users.remove(id), users.setPassword(id, 'another horse')]);
  t.equal(users.find(id), undefined);
});
