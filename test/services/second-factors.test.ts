import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret, TOTP } from 'otpauth';
import t, { type Test } from 'tap';
import { openDatabase } from '../../src/services/database.ts';
import { createSecondFactors } from '../../src/services/second-factors.ts';
import { createSecretBox } from '../../src/services/secret-box.ts';
import { createUsers } from '../../src/services/users.ts';

const step = 30_000;

/** Second factors of two users, with time that only the test moves; `again` is what the next start finds. */
async function start(t: Test) {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-test-'));
  const database = await openDatabase(dataDir);
  t.teardown(async () => {
    await database.close();
    rmSync(dataDir, { recursive: true });
  });
  const users = await createUsers(database, {
    hash: async (password) => password,
    verify: async (password, kept) => password === kept,
  });
  const add = (name: string) => users.add({ name, password: 'correct horse', role: 'viewer', scope: null });
  const clock = { now: Date.UTC(2026, 0, 1) };
  const again = () => createSecondFactors(database, createSecretBox({ dataDir, secretKey: '' }), () => clock.now);
  const factors = await again();
  const ann = await add('ann');
  const { secret } = factors.propose(ann);
  const app = new TOTP({ secret: Secret.fromBase32(secret) });
  const codeAt = (steps: number) => app.generate({ timestamp: clock.now + steps * step });
  return { database, factors, again, clock, ann, bob: await add('bob'), secret, codeAt };
}

t.test('the codes of one step before and after are taken, and no other', async (t) => {
  const { factors, ann, secret, codeAt, clock } = await start(t);
  await t.rejects(factors.setUp(ann, secret, codeAt(-2)), { code: 'invalid' });
  t.equal(factors.hasApp(ann.id), false);
  await factors.setUp(ann, secret, codeAt(-1));
  for (const steps of [-2, 2]) t.equal(await factors.take(ann, codeAt(steps)), undefined, `${steps} steps`);
  t.equal(await factors.take(ann, codeAt(0)), 'app');
  t.equal(await factors.take(ann, codeAt(1)), 'app');
  clock.now += step;
  t.equal(await factors.take(ann, codeAt(0)), undefined, 'it was used a step ago');
  clock.now += step;
  t.equal(await factors.take(ann, codeAt(0)), 'app');
});

t.test('a used code stays used at the next start, also the one that set the app up', async (t) => {
  const { factors, again, ann, secret, codeAt } = await start(t);
  await factors.setUp(ann, secret, codeAt(0));
  const later = await again();
  t.equal(later.hasApp(ann.id), true);
  t.equal(await later.take(ann, codeAt(0)), undefined);
  t.equal(await later.take(ann, codeAt(1)), 'app');
});

t.test('no other app takes the place of one without it being removed', async (t) => {
  const { factors, ann, secret, codeAt } = await start(t);
  await factors.setUp(ann, secret, codeAt(-1));
  await t.rejects(factors.setUp(ann, secret, codeAt(0)), { code: 'conflict' });
  await factors.removeApp(ann.id);
  await factors.setUp(ann, secret, codeAt(0));
});

t.test('a recovery code is good once, for its user, and of many at once one counts', async (t) => {
  const { factors, again, ann, bob } = await start(t);
  const codes = await factors.renewCodes(ann.id);
  const [one = '', two = ''] = codes;
  t.equal(await factors.take(bob, one), undefined);
  const answers = await Promise.all([1, 2, 3].map(() => factors.take(ann, one)));
  t.same(answers.filter(Boolean), ['recovery']);
  const later = await again();
  t.equal(await later.take(ann, one), undefined);
  t.equal(await later.take(ann, two), 'recovery');
  t.equal((await later.infoOf(ann.id)).codesLeft, 8);
});

t.test('a sealed secret is of no use to another user', async (t) => {
  const { database, factors, ann, bob, secret, codeAt } = await start(t);
  await factors.setUp(ann, secret, codeAt(-1));
  await database.db.updateTable('second_factors').set({ user: bob.id }).execute();
  await t.rejects(factors.take(bob, codeAt(0)), { code: 'conflict' });
});
