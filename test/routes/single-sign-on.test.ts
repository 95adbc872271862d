import t, { type Test } from 'tap';
import { closeCode, startApp, type TestApp } from '../support/app.ts';
import { type OidcProvider, passProvider, startOidcProvider } from '../support/oidc-provider.ts';
import { createPerson } from '../support/people.ts';

const password = 'correct horse battery';
const publicUrl = 'https://docker.test';
const callback = `${publicUrl}/login/oidc/callback`;
const roles = { ADMIN_GROUPS: 'root, wheel', OPERATOR_GROUPS: 'ops', VIEWER_GROUPS: 'staff' };

type Person = ReturnType<typeof createPerson>;

async function start(t: Test, env: Record<string, string> = {}) {
  const provider = await startOidcProvider(callback);
  t.teardown(provider.close);
  const app = await startApp(t, {
    prepare: (engine) => engine.addContainer({ name: 'web' }),
    env: { AUTH: 'password', ADMIN_PASSWORD: password, PUBLIC_URL: publicUrl, ...roles, ...provider.env, ...env },
  });
  return { app, provider };
}

/** Begins a sign-in; gives the address at the provider. */
async function begin(person: Person, to = ''): Promise<string> {
  const answer = await person.get(`/login/oidc${to && `?to=${encodeURIComponent(to)}`}`);
  if (answer.status !== 303) throw new Error(`${answer.status} ${answer.text}`);
  return answer.headers.location ?? '';
}

/** What the provider sends the browser of somebody back with. */
const queryOf = async (url: string, login: string) => new URL(await passProvider(url, login, callback)).search;

async function signIn(app: TestApp, provider: OidcProvider, login: string, groups: string[], to = '') {
  provider.groups.set(login, groups);
  const person = createPerson(app);
  const query = await queryOf(await begin(person, to), login);
  return { person, query, answer: await person.get(`/login/oidc/callback${query}`) };
}

const wordsOf = (text: string) => /role="alert">.*?<p>(.*?)<\/p>/s.exec(text)?.[1];

t.test('who signs in at the provider has the highest role that their groups give', async (t) => {
  const { app, provider } = await start(t);
  t.match((await createPerson(app).get('/login')).text, 'Sign in with single sign-on');
  const { person, answer } = await signIn(app, provider, 'ann', ['staff', 'ops'], '/images?q=x');
  t.same([answer.status, answer.headers.location], [303, '/images?q=x']);
  t.equal((await person.get('/api/containers')).status, 200);
  t.equal((await person.json('POST', '/api/containers/web/stop')).status, 200);
  t.equal((await person.get('/api/users')).status, 403);
  const boss = await signIn(app, provider, 'bob', ['wheel']);
  const users = JSON.parse((await boss.person.get('/api/users')).text) as Record<string, unknown>[];
  t.match(
    users.map(({ username, role, origin }) => [username, role, origin]),
    [
      ['admin', 'admin', null],
      ['ann', 'operator', provider.issuer],
      ['bob', 'admin', provider.issuer],
    ],
  );
  t.match((await boss.person.get('/audit')).text, 'GET /login/oidc/callback');
});

t.test('who is in no group that is named is told so', async (t) => {
  const { app, provider } = await start(t);
  const { person, answer } = await signIn(app, provider, 'eve', ['others']);
  t.equal(answer.status, 403);
  t.match(wordsOf(answer.text), 'You are in no group that may use this.');
  t.equal((await person.get('/api/containers')).status, 401);
});

t.test('a role that is another one now ends what was open with the old one', async (t) => {
  const { app, provider } = await start(t);
  const first = await signIn(app, provider, 'ann', ['root']);
  const { token } = JSON.parse(
    (await first.person.json('POST', '/api/tokens', { name: 'x', capabilities: ['read'] })).text,
  ) as { token: string };
  const { url } = JSON.parse(
    (await first.person.json('POST', '/api/embeds', { view: 'container:web', origins: [] })).text,
  ) as { url: string };
  t.equal((await app.get(new URL(url).pathname)).status, 200);
  const socket = app.live('/live?topic=containers', { headers: first.person.headers() });
  t.equal(await socket.opened, 101);
  const second = await signIn(app, provider, 'ann', ['staff']);
  t.equal(await closeCode(socket), 1008);
  t.equal((await first.person.get('/api/containers')).status, 401);
  t.equal((await second.person.get('/api/users')).status, 403);
  t.equal((await app.get('/api/containers', { authorization: `Bearer ${token}` })).status, 401, 'their tokens too');
  t.equal((await app.get(new URL(url).pathname)).status, 404, 'and their embed links');
});

t.test('who is in no group any more loses what was open, and what they made', async (t) => {
  const { app, provider } = await start(t);
  const { person } = await signIn(app, provider, 'ann', ['root']);
  const made = await person.json('POST', '/api/tokens', { name: 'x', capabilities: ['read'] });
  const { token } = JSON.parse(made.text) as { token: string };
  t.equal((await signIn(app, provider, 'ann', ['others'])).answer.status, 403);
  t.equal((await person.get('/api/containers')).status, 401);
  t.equal((await app.get('/api/containers', { authorization: `Bearer ${token}` })).status, 401);
});

t.test('a viewer who comes first does not keep the first admin from being made', async (t) => {
  const { app, provider } = await start(t, { ADMIN_PASSWORD: '' });
  t.equal((await signIn(app, provider, 'ann', ['staff'])).answer.status, 303);
  const path = app.app.setupPath();
  t.equal((await createPerson(app).get(path)).status, 200);
  t.equal((await signIn(app, provider, 'bob', ['root'])).answer.status, 303);
  t.equal((await createPerson(app).get(path)).status, 403, 'an admin from there is one');
});

t.test('nobody becomes a user who is kept here by having their name', async (t) => {
  const { app, provider } = await start(t);
  const { person, answer } = await signIn(app, provider, 'admin', ['staff']);
  t.equal(answer.status, 409);
  t.match(wordsOf(answer.text), 'There is a user admin already.');
  t.equal((await person.get('/api/containers')).status, 401);
});

t.test('a sign-in is good once, and only in the browser that began it', async (t) => {
  const { app, provider } = await start(t);
  provider.groups.set('ann', ['root']);
  const victim = createPerson(app);
  const query = await queryOf(await begin(victim), 'ann');
  for (const [what, other] of [
    ['a browser that began nothing', createPerson(app)],
    ['one that began another', await begun(app)],
  ] as const) {
    const answer = await other.get(`/login/oidc/callback${query}`);
    t.equal(answer.status, 401, what);
    t.equal((await other.get('/api/containers')).status, 401, what);
  }
  const cookie = victim.cookies.get('fairlead_oidc') ?? '';
  t.equal((await victim.get(`/login/oidc/callback${query}`)).status, 303);
  const replayer = createPerson(app);
  replayer.cookies.set('fairlead_oidc', cookie);
  t.equal((await replayer.get(`/login/oidc/callback${query}`)).status, 401, 'replayed with its cookie');
  const guesser = createPerson(app);
  const right = await queryOf(await begin(guesser), 'ann');
  const kept = guesser.cookies.get('fairlead_oidc') ?? '';
  t.equal((await guesser.get('/login/oidc/callback?code=x&state=x')).status, 401);
  guesser.cookies.set('fairlead_oidc', kept);
  t.equal(
    (await guesser.get(`/login/oidc/callback${right}`)).status,
    401,
    'not even the right answer after a wrong one',
  );
});

async function begun(app: TestApp): Promise<Person> {
  const person = createPerson(app);
  await begin(person);
  return person;
}

t.test('an answer that was changed on its way lets nobody in', async (t) => {
  const { app, provider } = await start(t);
  provider.groups.set('ann', ['root']);
  for (const [what, change] of [
    ['another state', (query: URLSearchParams) => query.set('state', 'x')],
    ['no state', (query: URLSearchParams) => query.delete('state')],
    ['another code', (query: URLSearchParams) => query.set('code', 'x')],
    ['another issuer', (query: URLSearchParams) => query.set('iss', 'https://evil.test')],
    ['no code', (query: URLSearchParams) => query.delete('code')],
  ] as const) {
    const person = createPerson(app);
    const query = new URLSearchParams(await queryOf(await begin(person), 'ann'));
    change(query);
    const answer = await person.get(`/login/oidc/callback?${query}`);
    t.equal(answer.status, 401, what);
    t.equal(wordsOf(answer.text), 'The sign-in did not succeed, or took too long. Try again.', what);
    t.equal((await person.get('/api/containers')).status, 401, what);
  }
});

t.test('what the provider says of a refusal is told in our words', async (t) => {
  const { app, provider } = await start(t);
  const person = createPerson(app);
  const { searchParams } = new URL(await begin(person));
  const state = searchParams.get('state') ?? '';
  const hostile = '<script>alert(1)</script>';
  const query = new URLSearchParams({
    error: 'access_denied',
    error_description: hostile,
    state,
    iss: provider.issuer,
  });
  const answer = await person.get(`/login/oidc/callback?${query}`);
  t.equal(answer.status, 401);
  t.equal(wordsOf(answer.text), 'You were not let in there.');
  t.notMatch(answer.text, hostile);
});

t.test('the code is asked for with PKCE, a state and a nonce', async (t) => {
  const { app } = await start(t);
  const url = new URL(await begin(createPerson(app)));
  t.match(Object.fromEntries(url.searchParams), {
    response_type: 'code',
    code_challenge_method: 'S256',
    redirect_uri: callback,
    state: /^.{40,}$/,
    nonce: /^.{40,}$/,
    code_challenge: /^.{43}$/,
  });
});

t.test('nobody is led to another place by a sign-in', async (t) => {
  const { app, provider } = await start(t);
  for (const to of ['//evil.test', 'https://evil.test', '/\\evil.test']) {
    const { answer } = await signIn(app, provider, 'ann', ['staff'], to);
    t.equal(answer.headers.location, '/containers', to);
  }
});

t.test('the session has a new id after it', async (t) => {
  const { app, provider } = await start(t);
  provider.groups.set('ann', ['staff']);
  const person = createPerson(app);
  // An id that is good, of somebody who wants to be whoever signs in with it.
  const planter = createPerson(app);
  await planter.signIn('admin', password);
  const planted = planter.cookies.get('fairlead_session') ?? '';
  person.cookies.set('fairlead_session', planted);
  const query = await queryOf(await begin(person), 'ann');
  await person.get(`/login/oidc/callback${query}`);
  t.not(person.cookies.get('fairlead_session'), planted);
  t.notMatch((await planter.get('/account')).text, '>ann</a>', 'the planted one is not theirs');
  t.equal((await person.get('/api/containers')).status, 200);
});

t.test('who signs in there has no password, second factor or role that is changed here', async (t) => {
  const { app, provider } = await start(t);
  const { person } = await signIn(app, provider, 'ann', ['staff']);
  const page = (await person.get('/account')).text;
  t.match(page, 'You sign in elsewhere');
  t.notMatch(page, 'name="current"');
  for (const path of ['/account/password', '/account/second-factor']) {
    const answer = await person.form(path, { current: password, password: 'another password' });
    t.equal(answer.status, 409, path);
  }
  t.equal((await createPerson(app).signIn('ann', '')).status, 400);
  t.equal((await createPerson(app).signIn('ann', password)).status, 401);
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  const users = JSON.parse((await admin.get('/api/users')).text) as { id: number; username: string }[];
  const { id } = users.find(({ username }) => username === 'ann') ?? { id: 0 };
  t.equal((await admin.json('POST', `/api/users/${id}`, { role: 'admin' })).status, 409);
  t.equal((await admin.json('POST', `/api/users/${id}`, { password: 'another password' })).status, 409);
  t.equal((await admin.json('POST', `/api/users/${id}`, { projects: 'shop' })).status, 200);
  t.equal((await admin.json('POST', `/api/users/${id}`, { locked: true })).status, 200);
  const again = await signIn(app, provider, 'ann', ['staff']);
  t.equal(wordsOf(again.answer.text), 'This user is locked.');
});

t.test('a provider that is away does not keep anybody with a password out', async (t) => {
  const { app, provider } = await start(t);
  await provider.close();
  const person = createPerson(app);
  const answer = await person.get('/login/oidc');
  t.equal(answer.status, 401);
  t.match(wordsOf(answer.text), 'The sign-in server does not answer.');
  t.equal((await person.signIn('admin', password)).status, 303);
});

t.test('a provider that goes away in the middle is told as such', async (t) => {
  const { app, provider } = await start(t);
  provider.groups.set('ann', ['staff']);
  const person = createPerson(app);
  const query = await queryOf(await begin(person), 'ann');
  await provider.close();
  const answer = await person.get(`/login/oidc/callback${query}`);
  t.match(wordsOf(answer.text), 'The sign-in server does not answer.');
});

t.test('without a provider there is nothing of it', async (t) => {
  const app = await startApp(t, { env: { AUTH: 'password', ADMIN_PASSWORD: password } });
  const person = createPerson(app);
  t.notMatch((await person.get('/login')).text, 'id="sso"');
  t.equal((await person.get('/login/oidc')).status, 404);
});
