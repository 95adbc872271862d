import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openDatabase } from '../../src/services/database.ts';
import { createTokens } from '../../src/services/tokens.ts';

const minute = 60_000;
const wanted = { name: 'ci', capabilities: ['read'], scope: null, owner: 'admin', expiresAt: null } as const;

/** The tokens of a database, with time that only the test moves; `again` is what the next start finds. */
async function start(t: Test) {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-test-'));
  const database = await openDatabase(dataDir);
  const clock = { now: Date.UTC(2026, 0, 1) };
  const again = () => createTokens(database, () => clock.now);
  t.teardown(async () => {
    await database.close();
    rmSync(dataDir, { recursive: true });
  });
  return { tokens: await again(), again, clock };
}

t.test('a token ends at its moment, also for what it has open', async (t) => {
  const { tokens, clock } = await start(t);
  const { text, token } = await tokens.add({ ...wanted, expiresAt: clock.now + minute });
  clock.now += minute - 1;
  t.match(await tokens.identify(text), { kind: 'token', name: 'token ci', userId: null });
  t.equal(tokens.isGood(token.id), true);
  clock.now += 1;
  t.equal(await tokens.identify(text), undefined);
  t.equal(tokens.isGood(token.id), false);
  await t.rejects(tokens.add({ ...wanted, expiresAt: clock.now }), { code: 'invalid' });
});

t.test('its last use is written down once a minute at most', async (t) => {
  const { tokens, again, clock } = await start(t);
  const { text } = await tokens.add(wanted);
  const first = clock.now;
  await tokens.identify(text);
  clock.now += minute;
  await tokens.identify(text);
  t.equal((await again()).list()[0]?.usedAt, first);
  clock.now += 1;
  await tokens.identify(text);
  t.equal((await again()).list()[0]?.usedAt, clock.now);
});

t.test('it is still good after a restart, and what was revoked is not', async (t) => {
  const { tokens, again } = await start(t);
  const [stays, gone] = [await tokens.add(wanted), await tokens.add(wanted)];
  const told: number[] = [];
  const stop = tokens.onRemove((id) => told.push(id));
  await tokens.remove(gone.token.id);
  stop();
  t.strictSame(told, [gone.token.id]);
  const next = await again();
  t.match(await next.identify(stays.text), { name: 'token ci' });
  t.equal(await next.identify(gone.text), undefined);
  await t.rejects(next.remove(gone.token.id), { code: 'not_found' });
});
