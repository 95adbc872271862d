import t, { type Test } from 'tap';
import { startApp, type TestApp } from '../support/app.ts';
import { type Authenticator, createAuthenticator } from '../support/authenticator.ts';
import { createPerson } from '../support/people.ts';

const password = 'correct horse battery';
const origin = 'http://localhost:3000';
const env = { AUTH: 'password', ADMIN_PASSWORD: password, PUBLIC_URL: origin };

type Person = ReturnType<typeof createPerson>;
type Begun = { ticket: string; options: { challenge: string } };

const start = (t: Test, more: Record<string, string> = {}) => startApp(t, { env: { ...env, ...more } });

async function signedIn(app: TestApp, name = 'admin'): Promise<Person> {
  const person = createPerson(app);
  await person.signIn(name, password);
  return person;
}

async function add(person: Person, device: Authenticator, name = 'phone') {
  const begun = await person.json('POST', '/api/account/passkeys/options', { current: password });
  const { ticket, options } = JSON.parse(begun.text) as Begun;
  return person.form('/account/passkeys', { ticket, response: device.create(options), name });
}

const begin = async (person: Person) => JSON.parse((await person.get('/api/login/passkey/options')).text) as Begun;

async function enter(app: TestApp, device: Authenticator, to = '') {
  const person = createPerson(app);
  const { ticket, options } = await begin(person);
  return { person, answer: await person.form('/login/passkey', { ticket, response: device.get(options), to }) };
}

t.test('a passkey lets in without a password', async (t) => {
  const app = await start(t);
  const owner = await signedIn(app);
  const device = createAuthenticator(origin);
  const added = await add(owner, device);
  t.equal([...added.text.matchAll(/<li><code>/g)].length, 10, 'recovery codes are told with the first one');
  t.match((await owner.get('/account')).text, 'phone');
  const { person, answer } = await enter(app, device, '/images');
  t.same([answer.status, answer.headers.location], [303, '/images']);
  t.equal((await person.get('/api/users')).status, 200);
  t.equal(
    (await createPerson(app).signIn('admin', password)).headers.location,
    '/login/second',
    'a password is not enough now',
  );
});

t.test('a passkey is asked for the password before, and a wrong one is refused in words', async (t) => {
  const app = await start(t);
  const owner = await signedIn(app);
  const refused = await owner.json('POST', '/api/account/passkeys/options', { current: 'wrong password' });
  t.match(JSON.parse(refused.text), { status: 401, detail: 'Wrong name or password.' });
});

t.test('what an authenticator signed is good once, here, and for what was asked', async (t) => {
  const app = await start(t);
  const owner = await signedIn(app);
  const device = createAuthenticator(origin);
  await add(owner, device);

  const person = createPerson(app);
  const { ticket, options } = await begin(person);
  const response = device.get(options);
  t.equal((await person.form('/login/passkey', { ticket, response })).status, 303);
  const again = await createPerson(app).form('/login/passkey', { ticket, response });
  t.equal(again.status, 401, 'replayed');
  t.match(again.text, 'This passkey is not known here, or the sign-in took too long.');

  const other = await begin(person);
  const old = await createPerson(app).form('/login/passkey', { ticket: other.ticket, response: device.get(options) });
  t.equal(old.status, 401, 'an answer to another challenge');
  for (const [what, stranger] of [
    ['an unknown one', createAuthenticator(origin)],
    ['one of another site', createAuthenticator('http://evil.localhost:3000')],
  ] as const) {
    t.equal((await enter(app, stranger)).answer.status, 401, what);
  }
  device.reset();
  t.equal((await enter(app, device)).answer.status, 401, 'a copy that counts from the start again');
});

t.test('one who was not recognised by the device is not taken', async (t) => {
  const app = await start(t);
  const owner = await signedIn(app);
  t.equal((await add(owner, createAuthenticator(origin, { isRecognised: false }))).status, 400);
  t.equal((await add(owner, createAuthenticator('http://evil.localhost:3000'))).status, 400, 'nor one of another site');
  t.notMatch((await owner.get('/account')).text, 'passkey-list');
});

t.test('the challenge of somebody else makes no passkey', async (t) => {
  const app = await start(t);
  const admin = await signedIn(app);
  await admin.json('POST', '/api/users', { username: 'ann', password, role: 'viewer' });
  const ann = await signedIn(app, 'ann');
  const begun = await ann.json('POST', '/api/account/passkeys/options', { current: password });
  const { ticket, options } = JSON.parse(begun.text) as Begun;
  const response = createAuthenticator(origin).create(options);
  t.equal((await admin.form('/account/passkeys', { ticket, response, name: '' })).status, 400);
});

t.test('who is locked, or whose passkey was removed, does not come in', async (t) => {
  const app = await start(t);
  const admin = await signedIn(app);
  const made = await admin.json('POST', '/api/users', { username: 'ann', password, role: 'viewer' });
  const { id } = JSON.parse(made.text) as { id: number };
  const ann = await signedIn(app, 'ann');
  const devices = [createAuthenticator(origin), createAuthenticator(origin)] as const;
  for (const device of devices) await add(ann, device);
  const page = (await ann.get('/account')).text;
  const [, href = ''] = /action="(\/account\/passkeys\/\d+\/remove)"/.exec(page) ?? [];
  t.equal((await ann.form(href, { current: 'wrong password' })).status, 401);
  t.equal((await admin.form(href, { current: password })).status, 404, 'nobody removes that of another');
  t.equal((await ann.form(href, { current: password })).status, 303);
  t.equal((await enter(app, devices[0])).answer.status, 401);
  t.equal((await enter(app, devices[1])).answer.status, 303);
  await admin.json('POST', `/api/users/${id}`, { locked: true });
  t.equal((await enter(app, devices[1])).answer.status, 401);
});

t.test('where browsers allow no passkeys, none are offered', async (t) => {
  const app = await start(t, { PUBLIC_URL: '' });
  const owner = await signedIn(app);
  t.notMatch((await createPerson(app).get('/login')).text, 'passkey');
  t.match((await owner.get('/account')).text, 'but not at this address');
  const answer = await owner.json('POST', '/api/account/passkeys/options', { current: password });
  t.match(JSON.parse(answer.text), { status: 403, code: 'disabled' });
});

t.test('what is no answer of an authenticator is refused', async (t) => {
  const app = await start(t);
  const person = createPerson(app);
  for (const response of ['{', 'null', '[]', '{"id":5}', '{"id":"x"}', JSON.stringify({ id: 'x'.repeat(9_000) })]) {
    const { ticket } = await begin(person);
    const { status } = await person.form('/login/passkey', { ticket, response });
    t.ok(status === 400 || status === 401, `${response.slice(0, 20)}: ${status}`);
  }
});
