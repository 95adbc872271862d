import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createAudit, ofProject } from '../../src/services/audit.ts';
import { openDatabase } from '../../src/services/database.ts';

const minute = 60_000;
const refusal = {
  actor: '',
  client: '192.0.2.1',
  action: 'POST /login',
  target: '',
  result: 'refused',
  detail: '401',
} as const;

/** An audit with time that only the test moves. */
async function start(t: Test) {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-test-'));
  const database = await openDatabase(dataDir);
  const clock = { now: Date.UTC(2026, 0, 1) };
  const errors: string[] = [];
  const audit = createAudit(database, { error: (_details, message) => errors.push(message) }, () => clock.now);
  t.teardown(async () => {
    await database.close().catch(() => {});
    rmSync(dataDir, { recursive: true });
  });
  const details = async () => (await audit.find({ limit: 1_000 })).map(({ detail }) => detail).reverse();
  return { audit, clock, database, details, errors };
}

t.test('refusals within a minute are one entry, and another one tells how many more there were', async (t) => {
  const { audit, clock, details } = await start(t);
  for (let n = 0; n < 20; n++) await audit.note(refusal);
  t.strictSame(await details(), ['401']);
  clock.now += minute - 1;
  await audit.note(refusal);
  t.strictSame(await details(), ['401']);
  clock.now += 1;
  await audit.note(refusal);
  t.strictSame(await details(), ['401', '401, and 20 more within a minute', '401']);
  clock.now += minute;
  t.equal((await details()).length, 3, 'where there was one, nothing more is told');
});

t.test('what was counted is told to who looks, and at the end', async (t) => {
  const { audit, clock, details } = await start(t);
  for (let n = 0; n < 3; n++) await audit.note(refusal);
  clock.now += minute;
  t.strictSame(await details(), ['401', '401, and 2 more within a minute']);
  for (let n = 0; n < 2; n++) await audit.note(refusal);
  await audit.close();
  t.equal((await details()).at(-1), '401, and 1 more within a minute');
});

t.test('what differs in who, from where, what or how is told apart', async (t) => {
  const { audit, details } = await start(t);
  for (let n = 0; n < 2; n++) {
    await audit.note(refusal);
    await audit.note({ ...refusal, client: '192.0.2.2' });
    await audit.note({ ...refusal, actor: 'olga' });
    await audit.note({ ...refusal, action: 'GET /users' });
    await audit.note({ ...refusal, detail: '429' });
    await audit.note({ ...refusal, target: 'admin' }, 'admin');
    await audit.note({ ...refusal, target: `any ${n}` });
  }
  t.equal((await details()).length, 6, 'but not in what a client makes up');
});

t.test('what was done is always written down, and what somebody known did wrong', async (t) => {
  const { audit, details } = await start(t);
  for (let n = 0; n < 3; n++) {
    await audit.note({ ...refusal, actor: 'olga', result: 'done', detail: '200' });
    await audit.note({ ...refusal, actor: 'olga', result: 'failed', detail: '409' });
    await audit.note({ ...refusal, result: 'failed', detail: '404' });
  }
  t.strictSame((await details()).sort(), ['200', '200', '200', '404', '409', '409', '409']);
});

t.test('very many clients are counted in a bounded room, and none is lost', async (t) => {
  const { audit } = await start(t);
  for (let n = 0; n < 5_010; n++) {
    await audit.note({ ...refusal, client: `client ${n}` });
    if (n === 0) await audit.note({ ...refusal, client: `client ${n}` });
  }
  const [told] = (await audit.find({ limit: 10_000 })).filter(({ detail }) => detail !== '401');
  t.match(told, { client: 'client 0', detail: '401, and 1 more within a minute' }, 'before its minute was over');
});

t.test('texts are cut, old entries go after a year', async (t) => {
  const { audit, clock } = await start(t);
  await audit.note({ ...refusal, result: 'done', target: 'x'.repeat(1_000) });
  t.equal((await audit.find({ limit: 1 }))[0]?.target.length, 300);
  clock.now += 366 * 24 * 60 * minute;
  for (let n = 0; n < 500; n++) await audit.note({ ...refusal, result: 'done', target: `${n}` });
  t.equal((await audit.find({ limit: 1_000 })).length, 500);
});

t.test('a database that can not write is told to the log and fails nothing', async (t) => {
  const { audit, database, errors } = await start(t);
  await database.close();
  await audit.note(refusal);
  t.strictSame(errors, ['the audit could not be written']);
});

t.test('what was done to a container is found page by page, behind events of the same moment', async (t) => {
  const { audit, clock } = await start(t);
  const note = (actor: string, container: string) =>
    audit.note({ ...refusal, actor, container, result: 'done', detail: '200' });
  for (const actor of ['one', 'two']) await note(actor, 'web');
  await note('three', ofProject('shop'));
  await note('four', 'db');
  await note('five', '');
  clock.now += 1;
  await note('six', 'web');
  const at = (clock.now - 1) * 1_000;
  const containers = ['web', ofProject('shop'), ''];
  const found = async (query: object) =>
    (await audit.timeline({ containers, limit: 10, ...query })).map(({ actor }) => actor);
  t.strictSame(await found({}), ['six', 'three', 'two', 'one'], 'and nothing of what is about no container');
  t.strictSame(await found({ limit: 2 }), ['six', 'three']);
  t.strictSame(await found({ before: { at, id: 7 } }), ['three', 'two', 'one'], 'an event stands before them');
  t.strictSame(await found({ before: { at, id: 0, audit: 3 } }), ['two', 'one']);
  t.strictSame(await found({ before: { at, id: 0, audit: 1 } }), []);
  t.strictSame(await found({ since: at + 1 }), ['six']);
  t.strictSame(await found({ until: at + 1 }), ['three', 'two', 'one']);
  t.strictSame(await found({ until: at }), []);
});
