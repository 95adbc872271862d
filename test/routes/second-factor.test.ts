import { join } from 'node:path';
import SQLite from 'better-sqlite3';
import { Secret, TOTP } from 'otpauth';
import t, { type Test } from 'tap';
import { closeCode, startApp, type TestApp } from '../support/app.ts';
import { createPerson } from '../support/people.ts';

const password = 'correct horse battery';
const env = { AUTH: 'password', ADMIN_PASSWORD: password };
const start = (t: Test, more: Record<string, string> = {}) => startApp(t, { env: { ...env, ...more } });

type Person = ReturnType<typeof createPerson>;

async function signedIn(app: TestApp, name = 'admin'): Promise<Person> {
  const person = createPerson(app);
  const answer = await person.signIn(name, password);
  if (answer.headers.location !== '/containers') throw new Error(`${answer.status} ${answer.headers.location}`);
  return person;
}

/** The code of an app so many steps of time from now. */
const codeOf = (secret: string, steps = 0) =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + steps * 30_000 });

const ticketOf = (text: string) => /name="ticket" value="([^"]+)"/.exec(text)?.[1] ?? '';

/** Sets up an app; gives its secret and the recovery codes. The code of the step before is used by that. */
async function setUp(person: Person) {
  const page = await person.form('/account/second-factor', { current: password });
  const secret = (/id="factor-secret">([^<]+)</.exec(page.text)?.[1] ?? '').replaceAll(' ', '');
  const done = await person.form('/account/second-factor/confirm', {
    ticket: ticketOf(page.text),
    code: codeOf(secret, -1),
  });
  const codes = [...done.text.matchAll(/<li><code>([0-9a-f-]+)<\/code>/g)].map(([, code = '']) => code);
  return { secret, codes, page, done };
}

t.test('with an app the password alone lets nobody in', async (t) => {
  const app = await start(t);
  const owner = await signedIn(app);
  const { secret, codes, page, done } = await setUp(owner);
  t.match(page.text, /<svg class="qr"/, 'the key is shown as a picture, too');
  t.equal(done.status, 200);
  t.equal(new Set(codes).size, 10, 'ten recovery codes are told');

  const person = createPerson(app);
  const first = await person.signIn('admin', password);
  t.equal(first.headers.location, '/login/second');
  t.notOk(person.cookies.has('fairlead_session'), 'there is no session yet');
  for (const path of ['/api/containers', '/api/users']) t.equal((await person.get(path)).status, 401, path);
  t.equal((await person.form('/account/password', { current: password, password: 'another one' })).status, 401);
  t.equal(await app.live('/live?topic=containers', { headers: person.headers() }).opened, 401);
  t.match((await person.get('/login/second')).text, 'name="code"');

  const wrong = await person.form('/login/second', { code: '000000' });
  t.equal(wrong.status, 401);
  t.match(wrong.text, 'Wrong code, or one that was used already.');
  const right = await person.form('/login/second', { code: codeOf(secret), to: '/images?q=1' });
  t.same([right.status, right.headers.location], [303, '/images?q=1']);
  t.equal((await person.get('/api/containers')).status, 200);
});

t.test('a code of the app is good once, and so is what waits for it', async (t) => {
  const app = await start(t);
  const { secret } = await setUp(await signedIn(app));
  const first = createPerson(app);
  const second = createPerson(app);
  for (const person of [first, second]) await person.signIn('admin', password);
  const waiting = first.cookies.get('fairlead_pending') ?? '';
  const code = codeOf(secret);
  t.equal((await first.form('/login/second', { code })).status, 303);
  t.equal((await second.form('/login/second', { code })).status, 401, 'the same code from somebody else');
  t.equal((await second.form('/login/second', { code: codeOf(secret, -1) })).status, 401, 'and the one before it');

  const thief = createPerson(app);
  thief.cookies.set('fairlead_pending', waiting);
  const again = await thief.form('/login/second', { code: codeOf(secret, 1) });
  t.match(again.headers.location, /^\/login\?/, 'the ticket has ended with the sign-in');
  const nobody = await createPerson(app).form('/login/second', { code: codeOf(secret, 1) });
  t.match(nobody.headers.location, /^\/login\?/);
});

t.test('the same code at once lets one in', async (t) => {
  const app = await start(t);
  const { secret } = await setUp(await signedIn(app));
  const people = [1, 2, 3, 4].map(() => createPerson(app));
  for (const person of people) await person.signIn('admin', password);
  const code = codeOf(secret);
  const answers = await Promise.all(people.map((person) => person.form('/login/second', { code })));
  t.equal(answers.filter(({ status }) => status === 303).length, 1);
});

t.test('codes of another minute are wrong', async (t) => {
  const app = await start(t);
  const { secret } = await setUp(await signedIn(app));
  const person = createPerson(app);
  await person.signIn('admin', password);
  for (const steps of [-3, 3]) {
    t.equal((await person.form('/login/second', { code: codeOf(secret, steps) })).status, 401, `${steps} steps`);
  }
});

t.test('a recovery code lets in once, in any spelling, and tells when few are left', async (t) => {
  const app = await start(t);
  const { secret, codes } = await setUp(await signedIn(app));
  const [one = '', ...others] = codes;
  const enter = async (code: string) => {
    const person = createPerson(app);
    await person.signIn('admin', password);
    return { person, answer: await person.form('/login/second', { code }) };
  };
  t.equal((await enter(` ${one.replaceAll('-', ' ').toUpperCase()} `)).answer.status, 303);
  t.equal((await enter(one)).answer.status, 401);
  for (const code of others.slice(0, 6)) t.equal((await enter(code)).answer.status, 303);
  const { person } = await enter(others[6] ?? '');
  t.match((await person.get('/account')).text, '2 of your recovery codes are left');

  t.equal((await person.form('/account/recovery-codes', { current: password })).status, 401, 'not without a code');
  const renewed = await person.form('/account/recovery-codes', { current: password, code: codeOf(secret, 1) });
  t.equal([...renewed.text.matchAll(/<li><code>/g)].length, 10);
  t.equal((await enter(others[7] ?? '')).answer.status, 401, 'the old ones are void');
});

t.test('who has the password can not try code after code, from one address or from many', async (t) => {
  const app = await start(t, { TRUST_PROXY: '127.0.0.1' });
  const owner = await signedIn(app);
  const { secret } = await setUp(owner);
  const tryFrom = async (address: string, code: string) => {
    const person = createPerson(app);
    const from = { 'x-forwarded-for': address };
    await person.form('/login', { username: 'admin', password }, from);
    return (await person.form('/login/second', { code }, from)).status;
  };
  for (let n = 0; n < 5; n += 1) t.equal(await tryFrom('192.0.2.1', '000000'), 401);
  t.equal(await tryFrom('192.0.2.1', codeOf(secret)), 429, 'a right one is too late');
  let refused = 0;
  for (let n = 0; n < 20; n += 1) if ((await tryFrom(`192.0.2.${n + 2}`, '000000')) === 429) refused += 1;
  t.ok(refused >= 4, 'other addresses wait, too');
  await owner.form('/login', { username: 'admin', password });
  t.equal((await owner.form('/login/second', { code: codeOf(secret) })).status, 303, 'the own browser does not');
});

t.test('browsers that had the password alone, before there was an app, are not known for codes', async (t) => {
  const app = await start(t, { TRUST_PROXY: '127.0.0.1' });
  const thieves = await Promise.all(Array.from({ length: 5 }, () => signedIn(app)));
  await setUp(await signedIn(app));
  const statuses: number[] = [];
  for (const [n, thief] of thieves.entries()) {
    const from = { 'x-forwarded-for': `192.0.2.${n}` };
    await thief.form('/login', { username: 'admin', password }, from);
    for (let k = 0; k < 5; k += 1) statuses.push((await thief.form('/login/second', { code: '000000' }, from)).status);
  }
  t.same(statuses, [...Array<number>(20).fill(401), ...Array<number>(5).fill(429)], 'all together have 20');
});

t.test('who has the password and a session can not put another app in the place of one', async (t) => {
  const app = await start(t);
  const owner = await signedIn(app);
  const early = await owner.form('/account/second-factor', { current: password });
  const { codes } = await setUp(owner);
  t.equal((await owner.form('/account/second-factor', { current: password })).status, 409);
  const secret = (/id="factor-secret">([^<]+)</.exec(early.text)?.[1] ?? '').replaceAll(' ', '');
  const late = { ticket: ticketOf(early.text), code: codeOf(secret) };
  t.equal((await owner.form('/account/second-factor/confirm', late)).status, 409, 'nor what was begun before');
  const person = createPerson(app);
  await person.signIn('admin', password);
  await person.form('/login/second', { code: codes[0] ?? '' });
  t.match((await person.get('/api/audit')).text, '"admin, by a recovery code"', 'its use is in the audit');
});

t.test('what waits ends when the user is locked or gets another password', async (t) => {
  const app = await start(t);
  const admin = await signedIn(app);
  const made = await admin.json('POST', '/api/users', { username: 'ann', password, role: 'viewer' });
  const { id } = JSON.parse(made.text) as { id: number };
  const { secret } = await setUp(await signedIn(app, 'ann'));
  for (const change of [{ password: 'another password' }, { locked: true }]) {
    const person = createPerson(app);
    const used = 'password' in change ? password : 'another password';
    await person.signIn('ann', used);
    t.equal((await person.get('/login/second')).status, 200);
    await admin.json('POST', `/api/users/${id}`, change);
    const answer = await person.form('/login/second', { code: codeOf(secret) });
    t.match(answer.headers.location, /^\/login\?/, JSON.stringify(change));
  }
});

t.test('setting up and removing asks for the password and a code, and ends all other sessions', async (t) => {
  const app = await start(t);
  const owner = await signedIn(app);
  const other = await signedIn(app);
  t.equal((await owner.form('/account/second-factor', { current: 'wrong password' })).status, 401);
  const proposed = await owner.form('/account/second-factor', { current: password });
  const wrong = await owner.form('/account/second-factor/confirm', { ticket: ticketOf(proposed.text), code: '000000' });
  t.equal(wrong.status, 400);
  t.equal((await createPerson(app).signIn('admin', password)).headers.location, '/containers', 'nothing is set up yet');
  const socket = app.live('/live?topic=containers', { headers: other.headers() });
  t.equal(await socket.opened, 101);
  const { secret, codes } = await setUp(owner);
  t.equal(await closeCode(socket), 1008);
  t.equal((await other.get('/api/containers')).status, 401);
  t.equal((await owner.get('/api/containers')).status, 200);

  const remove = (fields: Record<string, string>) => owner.form('/account/second-factor/remove', fields);
  t.equal((await remove({ current: 'wrong password', code: codeOf(secret) })).status, 401);
  t.equal((await remove({ current: password, code: '000000' })).status, 401);
  t.equal((await remove({ current: password, code: codes[0] ?? '' })).status, 303);
  t.equal((await createPerson(app).signIn('admin', password)).headers.location, '/containers');
  t.equal((await owner.form('/account/recovery-codes', { current: password })).status, 409);
});

t.test('the ticket of somebody else sets nothing up', async (t) => {
  const app = await start(t);
  const admin = await signedIn(app);
  await admin.json('POST', '/api/users', { username: 'ann', password, role: 'viewer' });
  const page = await (await signedIn(app, 'ann')).form('/account/second-factor', { current: password });
  const secret = (/id="factor-secret">([^<]+)</.exec(page.text)?.[1] ?? '').replaceAll(' ', '');
  const fields = { ticket: ticketOf(page.text), code: codeOf(secret) };
  t.equal((await admin.form('/account/second-factor/confirm', fields)).status, 400);
});

t.test('an admin takes away what a user has lost', async (t) => {
  const app = await start(t);
  const admin = await signedIn(app);
  const made = await admin.json('POST', '/api/users', { username: 'ann', password, role: 'viewer' });
  const { id } = JSON.parse(made.text) as { id: number };
  const ann = await signedIn(app, 'ann');
  await setUp(ann);
  const list = JSON.parse((await admin.get('/api/users')).text) as { username: string; secondFactor: boolean }[];
  t.same(
    list.map(({ username, secondFactor }) => [username, secondFactor]),
    [
      ['admin', false],
      ['ann', true],
    ],
  );
  t.match((await admin.get(`/users/${id}`)).text, 'Remove their second factor');
  t.equal((await ann.json('DELETE', `/api/users/${id}/second-factor`)).status, 403);
  t.match(JSON.parse((await admin.json('DELETE', `/api/users/${id}/second-factor`)).text), { secondFactor: false });
  t.equal((await ann.get('/api/containers')).status, 401, 'their sessions end');
  await signedIn(app, 'ann');
});

t.test('a copy of the database holds no secret of it, and the audit none of its codes', async (t) => {
  const app = await start(t);
  const owner = await signedIn(app);
  const { secret, codes } = await setUp(owner);
  await owner.form('/account/second-factor/remove', { current: password, code: '123456' });
  const database = new SQLite(join(app.dataDir, 'fairlead.db'), { readonly: true });
  const kept = ['second_factors', 'recovery_codes', 'audit', 'sessions']
    .map((table) => JSON.stringify(database.prepare(`select * from ${table}`).all()))
    .join();
  database.close();
  for (const text of [secret, ...codes, ...codes.map((code) => code.replaceAll('-', '')), '123456']) {
    t.notOk(kept.includes(text), 'nothing of it is there');
  }
  t.match(kept, 'POST /account/second-factor/confirm');
  t.match(kept, 'POST /account/second-factor/remove');
});

t.test('a browser that is known is one client, however its cookie is spelled', async (t) => {
  const app = await start(t);
  const owner = await signedIn(app);
  const { secret } = await setUp(owner);
  await owner.form('/logout');
  await owner.signIn('admin', password);
  await owner.form('/login/second', { code: codeOf(secret) });
  const device = owner.cookies.get('fairlead_device') ?? '';
  const statuses: number[] = [];
  for (let n = 0; n < 7; n += 1) {
    const person = createPerson(app);
    person.cookies.set('fairlead_device', device + '!'.repeat(n));
    await person.signIn('admin', password);
    statuses.push((await person.form('/login/second', { code: '000000' })).status);
  }
  t.equal(statuses.at(-1), 429, statuses.join());
});

t.test('an admin does not take away their own without a code', async (t) => {
  const app = await start(t);
  const admin = await signedIn(app);
  await setUp(admin);
  const [{ id }] = JSON.parse((await admin.get('/api/users')).text) as [{ id: number }];
  t.equal((await admin.json('DELETE', `/api/users/${id}/second-factor`)).status, 409);
  t.equal((await createPerson(app).signIn('admin', password)).headers.location, '/login/second');
});
