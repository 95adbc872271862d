import t, { type Test } from 'tap';
import { closeCode, startApp, type TestApp, until } from '../support/app.ts';
import { createPerson, type Person } from '../support/people.ts';

const password = 'correct horse battery';

type User = { id: number; username: string; role: string; locked: boolean };

/** An application with its admin signed in. */
async function start(t: Test) {
  const app = await startApp(t, { env: { AUTH: 'password', ADMIN_PASSWORD: password } });
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  return { app, admin };
}

async function add(admin: Person, username: string, role = 'viewer'): Promise<User> {
  const answer = await admin.json('POST', '/api/users', { username, password, role });
  if (answer.status !== 200) throw new Error(answer.text);
  return JSON.parse(answer.text) as User;
}

const listed = async (admin: Person) => JSON.parse((await admin.get('/api/users')).text) as User[];

/** Somebody of a name, signed in, with a page open. */
async function enter(app: TestApp, name: string) {
  const person = createPerson(app);
  const { status } = await person.signIn(name, password);
  if (status !== 303) throw new Error(`${name} can not sign in: ${status}`);
  const live = app.live('/live?topic=containers', { headers: person.headers() });
  if ((await live.opened) !== 101) throw new Error(`${name} can not follow`);
  await until(() => live.frames.length > 0, 'the list');
  return { person, live };
}

t.test('an admin adds, changes, locks and removes users by forms', async (t) => {
  const { app, admin } = await start(t);
  t.match((await admin.get('/users/new')).text, 'name="username"');
  const added = await admin.form('/users', { username: ' Olga ', password, role: 'operator', projects: '' });
  t.equal(added.status, 303);
  t.equal(added.headers.location, '/users');
  const page = await admin.get('/users');
  t.match(page.text, 'User Olga was added.');
  const olga = (await listed(admin)).find(({ username }) => username === 'Olga');
  t.match(olga, { role: 'operator', locked: false });
  t.match(page.text, `/users/${olga?.id}`);

  t.match((await admin.get(`/users/${olga?.id}`)).text, 'Olga');
  t.equal((await admin.form(`/users/${olga?.id}`, { role: 'viewer', locked: 'on' })).status, 303);
  t.match(
    (await listed(admin)).find(({ id }) => id === olga?.id),
    { role: 'viewer', locked: true },
  );
  t.equal((await createPerson(app).signIn('Olga', password)).status, 401, 'the right password of a locked user');
  t.equal((await admin.form(`/users/${olga?.id}`, { role: 'viewer' })).status, 303, 'a box that is not ticked');
  t.equal((await createPerson(app).signIn('olga', password)).status, 303, 'a name is one however it is written');
  t.equal((await admin.form(`/users/${olga?.id}/remove`)).status, 303);
  t.match((await admin.get('/users')).text, 'User Olga was removed.');
  t.equal((await createPerson(app).signIn('olga', password)).status, 401);
  t.equal((await admin.get(`/users/${olga?.id}`)).status, 404);
});

t.test('the API adds, changes and removes users and tells nothing of their passwords', async (t) => {
  const { app, admin } = await start(t);
  const olga = await add(admin, 'olga', 'operator');
  t.strictSame(Object.keys(olga).sort(), [
    'createdAt',
    'id',
    'locked',
    'origin',
    'projects',
    'role',
    'secondFactor',
    'username',
  ]);
  const { person, live } = await enter(app, 'olga');
  const same = await admin.json('POST', `/api/users/${olga.id}`, { role: 'operator', locked: false });
  t.match(JSON.parse(same.text), { role: 'operator', locked: false });
  t.equal((await person.get('/api/containers')).status, 200, 'what stays as it is ends no session');
  t.equal(live.socket.readyState, live.socket.OPEN);

  const texts = [same.text, (await admin.get('/api/users')).text, (await admin.get('/users')).text];
  const gone = await admin.json('DELETE', `/api/users/${olga.id}`);
  t.same(JSON.parse(gone.text), { id: olga.id, removed: true });
  t.equal((await admin.json('DELETE', `/api/users/${olga.id}`)).status, 404);
  t.strictSame(
    (await listed(admin)).map(({ username }) => username),
    ['admin'],
  );
  for (const text of [...texts, gone.text]) t.notMatch(text, /scrypt|hash|battery/);
});

t.test('who is changed, locked or removed is out at once, with all pages that are open', async (t) => {
  const { app, admin } = await start(t);
  const next = 'another good password';
  const changes: [name: string, body: object | undefined][] = [
    ['role', { role: 'operator' }],
    ['lock', { locked: true }],
    ['password', { password: next }],
    ['removal', undefined],
  ];
  for (const [name, body] of changes) {
    const { id } = await add(admin, name);
    const { person, live } = await enter(app, name);
    const answer = body
      ? await admin.json('POST', `/api/users/${id}`, body)
      : await admin.json('DELETE', `/api/users/${id}`);
    t.equal(answer.status, 200, name);
    t.equal(await closeCode(live), 1008, `${name}: the socket`);
    t.equal((await person.get('/api/containers')).status, 401, `${name}: the session`);
  }
  t.equal((await createPerson(app).signIn('password', password)).status, 401, 'the old password');
  t.equal((await createPerson(app).signIn('password', next)).status, 303);
  t.equal((await admin.get('/api/users')).status, 200, 'the admin goes on');
});

t.test('there is always an admin who can sign in, and nobody changes their own role', async (t) => {
  const { app, admin } = await start(t);
  const [{ id: own = 0 } = {}] = await listed(admin);
  for (const body of [{ role: 'viewer' }, { locked: true }]) {
    t.equal((await admin.json('POST', `/api/users/${own}`, body)).status, 409, JSON.stringify(body));
  }
  t.equal((await admin.form(`/users/${own}`, { role: 'operator' })).status, 409);
  t.equal((await admin.json('DELETE', `/api/users/${own}`)).status, 409);
  t.equal((await admin.form(`/users/${own}/remove`)).status, 409);
  const made = JSON.parse((await admin.json('POST', '/api/tokens', { name: 'ci', capabilities: ['admin'] })).text);
  const token = { authorization: `Bearer ${made.token}`, 'content-type': 'application/json' };
  const next = 'another good password';
  const demotion = await app.send(
    'POST',
    `/api/users/${own}`,
    token,
    JSON.stringify({ role: 'viewer', password: next }),
  );
  t.equal(demotion.status, 409, 'a token may not take the last admin either');
  t.match(JSON.parse(demotion.text).detail, /only admin/);
  t.equal((await createPerson(app).signIn('admin', next)).status, 401, 'nothing of it was done');
  t.equal((await admin.get('/api/users')).status, 200, 'the refused removal ended no session');

  const second = await add(admin, 'second', 'admin');
  const other = await enter(app, 'second');
  const both = await Promise.all([
    admin.json('DELETE', `/api/users/${second.id}`),
    other.person.json('DELETE', `/api/users/${own}`),
  ]);
  t.equal(both.filter(({ status }) => status === 200).length, 1, 'two who remove each other leave one');
});

t.test('a name is taken once, whatever its case or form', async (t) => {
  const { admin } = await start(t);
  await add(admin, 'Zoë');
  for (const username of ['Zoë', 'zoë', ' ZOË ', 'Zoe\u0308']) {
    const answer = await admin.json('POST', '/api/users', { username, password, role: 'viewer' });
    t.equal(answer.status, 409, username);
    t.match(JSON.parse(answer.text), { code: 'conflict', detail: /There is a user/ });
  }
  const [first, second] = await Promise.all(
    ['Olga', 'olga'].map((username) => admin.json('POST', '/api/users', { username, password, role: 'viewer' })),
  );
  t.strictSame([first?.status, second?.status].sort(), [200, 409], 'also at the same time');
});

t.test('a bad name, password or role is told by its field', async (t) => {
  const { admin } = await start(t);
  const good = { username: 'olga', password, role: 'viewer' };
  const bad: [field: string, body: object][] = [
    ['username', { ...good, username: '' }],
    ['username', { ...good, username: 'x'.repeat(65) }],
    ['username', { ...good, username: 'olga\r\nset-cookie: a=b' }],
    ['username', { ...good, username: '<b>olga</b>' }],
    ['username', { ...good, username: '../olga' }],
    ['password', { ...good, password: 'short' }],
    ['password', { ...good, password: 'x'.repeat(201) }],
    ['password', { ...good, password: 'abababababab' }],
    ['password', { ...good, username: 'olga.petrova', password: 'Olga.Petrova' }],
    ['role', { ...good, role: 'root' }],
    ['role', { username: 'olga', password }],
  ];
  for (const [field, body] of bad) {
    const answer = await admin.json('POST', '/api/users', body);
    t.equal(answer.status, 400, JSON.stringify(body).slice(0, 80));
    t.match(JSON.parse(answer.text), { code: 'invalid', detail: new RegExp(`^${field}: `) });
    t.notOk(answer.headers['set-cookie']);
  }
  const { id } = await add(admin, 'olga', 'operator');
  const change = await admin.json('POST', `/api/users/${id}`, { role: 'viewer', password: 'aaaaaaaaaa' });
  t.equal(change.status, 400);
  t.match(
    (await listed(admin)).find((user) => user.id === id),
    { role: 'operator' },
    'of a change that is refused nothing is done',
  );
});

t.test('an empty list of projects is no way to see everything', async (t) => {
  const { admin } = await start(t);
  const answer = await admin.json('POST', '/api/users', { username: 'kim', password, role: 'viewer', projects: [] });
  t.equal(answer.status, 400);
  t.match(answer.text, 'projects: name at least one');
  t.equal((await listed(admin)).length, 1);
});
