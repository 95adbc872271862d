import { join } from 'node:path';
import SQLite from 'better-sqlite3';
import t from 'tap';
import { type AppOptions, closeCode, startApp, until } from '../support/app.ts';
import { createPerson } from '../support/people.ts';

const password = 'correct horse battery';

const start = (test: Parameters<typeof startApp>[0], { env, ...options }: AppOptions = {}) =>
  startApp(test, {
    prepare: (engine) => engine.addContainer({ name: 'web' }),
    env: { AUTH: 'password', ADMIN_PASSWORD: password, ...env },
    ...options,
  });

t.test('who has not signed in sees nothing, and comes back to where they wanted to go', async (t) => {
  const app = await start(t);
  const person = createPerson(app);
  const page = await person.get('/containers/web?x=1');
  t.equal(page.status, 303);
  t.equal(page.headers.location, '/login?to=%2Fcontainers%2Fweb%3Fx%3D1');
  for (const path of ['/fragments/containers', '/api/containers', '/metrics']) {
    const answer = await person.get(path);
    t.equal(answer.status, 401, path);
    t.notMatch(answer.text, 'web', path);
  }
  t.equal(await app.live('/live?topic=containers').opened, 401);
  t.match(JSON.parse((await person.get('/api/containers')).text), { status: 401, code: 'unauthenticated' });

  const form = await person.get(page.headers.location ?? '');
  t.match(form.text, 'name="to" value="/containers/web?x=1"');
  t.notMatch(form.text, 'engine', 'nothing is told of the engine');
  const entered = await person.form('/login', { username: 'admin', password, to: '/containers/web?x=1' });
  t.equal(entered.status, 303);
  t.equal(entered.headers.location, '/containers/web?x=1');
  t.equal((await person.get('/containers/web')).status, 200);
  t.match((await person.get('/account')).text, 'admin');
});

t.test('a session is a cookie that scripts and other sites do not get', async (t) => {
  const app = await start(t);
  const person = createPerson(app);
  const answer = await person.signIn('admin', password);
  const cookie = (answer.headers['set-cookie'] ?? '').split('\n').find((line) => line.startsWith('fairlead_session='));
  t.match(cookie, /HttpOnly/i);
  t.match(cookie, /SameSite=Lax/i);
  t.match(cookie, /Path=\//i);
  const [id = ''] = /(?<=fairlead_session=)[^;]+/.exec(cookie ?? '') ?? [];
  t.ok(decodeURIComponent(id).length >= 32, 'it can not be guessed');
});

t.test('wrong names and wrong passwords are told in the same words', async (t) => {
  const app = await start(t);
  const answers = [
    await createPerson(app).signIn('admin', 'wrong password'),
    await createPerson(app).signIn('nobody', 'wrong password'),
  ];
  const [first, second] = answers.map(({ status, text }) => [status, /role="alert">.*?<p>(.*?)<\/p>/s.exec(text)?.[1]]);
  t.same(first, [401, 'Wrong name or password.']);
  t.same(second, first);
  t.notOk(answers.some(({ headers }) => headers['set-cookie']?.includes('fairlead_session')));
});

t.test('an id of a session that was planted before signing in is worth nothing after it', async (t) => {
  const app = await start(t);
  const planted = 'a'.repeat(43);
  const person = createPerson(app);
  person.cookies.set('fairlead_session', planted);
  await person.signIn('admin', password);
  t.not(person.cookies.get('fairlead_session'), planted);
  const thief = createPerson(app);
  thief.cookies.set('fairlead_session', planted);
  t.equal((await thief.get('/api/containers')).status, 401);
});

t.test('signing out ends the session and closes its sockets at once', async (t) => {
  const app = await start(t);
  const person = createPerson(app);
  await person.signIn('admin', password);
  const kept = person.headers();
  const live = app.live('/live?topic=containers', { headers: kept });
  t.equal(await live.opened, 101);
  await until(() => live.text().includes('id="containers"'), 'the list');
  const other = createPerson(app);
  await other.signIn('admin', password);
  const stays = app.live('/live?topic=containers', { headers: other.headers() });
  t.equal(await stays.opened, 101);

  t.equal((await person.form('/logout')).headers.location, '/login');
  t.equal(await closeCode(live), 1008);
  t.equal((await app.get('/api/containers', kept)).status, 401, 'the old cookie is worth nothing');
  t.equal((await other.get('/api/containers')).status, 200, 'another session goes on');
  t.equal(stays.socket.readyState, stays.socket.OPEN);

  await other.form('/account/sign-out-everywhere');
  t.equal(await closeCode(stays), 1008);
});

t.test('five wrong passwords make that client wait for that name, and nobody else', async (t) => {
  const app = await start(t, { env: { TRUST_PROXY: '127.0.0.1' } });
  const from = (address: string) => ({ 'x-forwarded-for': address });
  const attacker = createPerson(app);
  for (let n = 0; n < 5; n++) {
    const answer = await attacker.form('/login', { username: 'admin', password: `wrong ${n}` }, from('192.0.2.1'));
    t.equal(answer.status, 401);
  }
  const refused = await attacker.form('/login', { username: 'admin', password }, from('192.0.2.1'));
  t.equal(refused.status, 429, 'the right one as well');
  t.match(refused.text, 'Too many wrong passwords');
  const owner = await createPerson(app).form('/login', { username: 'admin', password }, from('192.0.2.2'));
  t.equal(owner.status, 303, 'the owner elsewhere gets in');
});

t.test('a name that is written in another way has no tries of its own', async (t) => {
  const app = await start(t);
  for (const name of ['admin', 'ADMIN', ' admin ', 'ａdmin', 'aｄmin']) {
    t.equal((await createPerson(app).signIn(name, 'wrong password')).status, 401, name);
  }
  t.equal((await createPerson(app).signIn('adｍin', password)).status, 429);
});

t.test('who signed in by this browser before is not held up by others behind the same address', async (t) => {
  const app = await start(t);
  const owner = createPerson(app);
  await owner.signIn('admin', password);
  await owner.form('/logout');
  for (let n = 0; n < 6; n++) await createPerson(app).signIn('admin', `wrong ${n}`);
  t.equal((await createPerson(app).signIn('admin', password)).status, 429);
  t.equal((await owner.signIn('admin', password)).status, 303);
});

t.test('the way back after signing in leads nowhere else', async (t) => {
  const app = await start(t);
  for (const to of [
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    '/\t/evil.example',
    '/..//evil.example',
    '/.//evil.example/x',
    '/containers/../..//evil.example',
    '/%2e%2e//evil.example',
    '/..\\\\evil.example',
    '/containers\r\nset-cookie: a=b',
    '/containers\u2028',
    'javascript:alert(1)',
    '/logout',
  ]) {
    const answer = await createPerson(app).form('/login', { username: 'admin', password, to });
    t.equal(answer.headers.location, '/containers', to);
  }
});

t.test('another site can neither sign somebody in nor out', async (t) => {
  const app = await start(t);
  const person = createPerson(app);
  await person.signIn('admin', password);
  const foreign = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
  t.equal((await person.form('/logout', {}, foreign)).status, 403);
  t.equal((await createPerson(app).form('/login', { username: 'admin', password }, foreign)).status, 403);
  t.equal((await person.get('/api/containers')).status, 200);
  const headers = { ...person.headers(), origin: 'https://evil.example' };
  t.equal(await app.live('/live?topic=containers', { headers }).opened, 403);
});

t.test('a new password ends every other session', async (t) => {
  const app = await start(t);
  const [here, there] = [createPerson(app), createPerson(app)];
  await here.signIn('admin', password);
  await there.signIn('admin', password);
  const next = 'another good password';
  t.equal((await here.form('/account/password', { current: 'wrong one', password: next })).status, 401);
  t.equal((await there.get('/api/containers')).status, 200);
  t.equal((await here.form('/account/password', { current: password, password: next })).status, 303);
  t.equal((await here.get('/api/containers')).status, 200, 'this one goes on');
  t.equal((await there.get('/api/containers')).status, 401);
  t.equal((await createPerson(app).signIn('admin', password)).status, 401);
  t.equal((await createPerson(app).signIn('admin', next)).status, 303);
});

t.test('the first admin is made by the address that the start prints, once', async (t) => {
  const app = await start(t, { env: { ADMIN_PASSWORD: '' } });
  const path = app.app.setupPath();
  t.match(path, /^\/setup\?code=[\w-]{22}$/, '128 random bits');
  const person = createPerson(app);
  t.match((await person.get('/login')).text, 'Nobody can sign in yet');
  t.equal((await person.get('/setup?code=AAAAAAAAAAAAAAAAAAAAAA')).status, 403);
  t.equal((await person.get(path)).status, 200);
  const code = path.slice('/setup?code='.length);
  const short = await person.form('/setup', { code, username: 'captain', password: 'aaaaaaaa' });
  t.equal(short.status, 400, 'a bad password does not use the code up');
  const made = await person.form('/setup', { code, username: 'captain', password });
  t.equal(made.status, 303);
  t.equal((await person.get('/users')).status, 200, 'signed in as an admin');
  t.equal((await createPerson(app).form('/setup', { code, username: 'thief', password })).status, 403, 'used up');
  t.equal((await createPerson(app).get(path)).status, 403);
});

t.test('there is no setup where there is a user', async (t) => {
  const app = await start(t);
  t.equal(app.app.setupPath(), '');
  t.equal((await app.get('/setup?code=AAAAAAAAAAAAAAAAAAAAAA')).status, 403);
});

t.test('line ends in what is typed do not get into the headers', async (t) => {
  const app = await start(t);
  const injected = 'admin\r\nset-cookie: injected=1\r\n\r\n<b>';
  const answers = [
    await createPerson(app).form('/login', { username: injected, password, to: injected }),
    await createPerson(app).form('/login', { username: 'admin', password, to: `/${injected}` }),
    await createPerson(app).get(`/login?to=${encodeURIComponent(`/${injected}`)}`),
    await createPerson(app).get(`/containers/${encodeURIComponent(injected)}`),
  ];
  t.strictSame(
    answers.map(({ status }) => status),
    [401, 303, 200, 303],
  );
  for (const { headers, text } of answers) {
    t.notMatch(headers['set-cookie'] ?? '', 'injected');
    t.notMatch(text, '<b>');
  }
});

t.test('a body that is too large is refused before any password is looked at', async (t) => {
  const app = await start(t);
  const person = createPerson(app);
  t.equal((await person.form('/login', { username: 'admin', password: 'x'.repeat(70_000) })).status, 413);
  t.equal((await person.form('/login', { username: 'admin', password: 'x'.repeat(201) })).status, 400);
  t.equal((await person.form('/login', { username: 'x'.repeat(65), password })).status, 400);
  t.equal((await person.json('POST', '/login', { username: ['admin'], password: { $ne: '' } })).status, 400);
  t.equal((await person.signIn('admin', password)).status, 303);
});

t.test('nobody signs in by a name of another host', async (t) => {
  const app = await start(t);
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:3000']) {
    const person = createPerson(app);
    const answer = await person.form('/login', { username: 'admin', password }, { host });
    t.equal(answer.status, 421, host);
    t.notOk(answer.headers['set-cookie'], host);
    t.equal((await person.get('/login', { host })).status, 421, host);
  }
  const forwarded = { 'x-forwarded-host': 'evil.example', forwarded: 'host=evil.example' };
  const answer = await createPerson(app).form('/login', { username: 'admin', password }, forwarded);
  t.equal(answer.headers.location, '/containers', 'what a proxy is not trusted to say changes nothing');
});

t.test('many tries at once are counted as one after the other', async (t) => {
  const app = await start(t);
  const tries = Array.from({ length: 12 }, (_, n) => createPerson(app).signIn('admin', `wrong ${n}`));
  const statuses = (await Promise.all(tries)).map(({ status }) => status).sort();
  t.strictSame(statuses, [...Array(5).fill(401), ...Array(7).fill(429)]);
});

t.test('right passwords use nothing up', async (t) => {
  const app = await start(t);
  for (let n = 0; n < 7; n++) t.equal((await createPerson(app).signIn('admin', password)).status, 303);
});

t.test('an answer under way when somebody signs out does not bring the session back', async (t) => {
  const app = await start(t);
  const person = createPerson(app);
  await person.signIn('admin', password);
  // Long unseen: the answer writes it down again.
  const file = new SQLite(join(app.dataDir, 'fairlead.db'));
  file.exec("update sessions set data = json_set(data, '$.seenAt', 1)");
  file.close();
  const cookie = person.headers();
  const slow = app.engine.faults.hang({ method: 'POST', path: /\/stop$/ });
  const stopping = app.send('POST', '/api/containers/web/stop', cookie);
  await until(() => app.engine.requestsTo('POST', /\/stop$/).length === 1, 'the stop is under way');
  await person.form('/logout');
  slow.remove();
  await stopping;
  t.equal((await app.get('/api/containers', cookie)).status, 401);
});
