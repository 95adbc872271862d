import t, { type Test } from 'tap';
import { closeCode, startApp, until } from '../support/app.ts';
import { createPerson } from '../support/people.ts';

const roles = { ADMIN_GROUPS: 'root', OPERATOR_GROUPS: 'ops', VIEWER_GROUPS: 'staff' };
const env = { AUTH: 'proxy', TRUST_PROXY: '127.0.0.1', ...roles };
const start = (t: Test, more: Record<string, string> = {}) =>
  startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }), env: { ...env, ...more } });

const as = (user: string, groups = 'staff') => ({ 'remote-user': user, 'remote-groups': groups });

t.test('who comes through the proxy is whom it names, with the role of their groups', async (t) => {
  const app = await start(t);
  t.equal((await app.get('/api/containers', as('ann'))).status, 200);
  t.equal((await app.send('POST', '/api/containers/web/stop', as('ann'))).status, 403);
  t.equal((await app.send('POST', '/api/containers/web/stop', as('bob', 'others,ops'))).status, 200);
  t.equal((await app.get('/api/users', as('bob', 'ops'))).status, 403);
  const users = JSON.parse((await app.get('/api/users', as('carl', 'staff | root'))).text) as object[];
  t.match(users, [
    { username: 'ann', role: 'viewer', origin: 'proxy' },
    { username: 'bob', role: 'operator' },
    { username: 'carl', role: 'admin' },
  ]);
  const page = (await app.get('/containers', as('ann'))).text;
  t.match(page, '>ann</a>');
  t.notMatch(page, 'Sign out');
  const socket = app.live('/live?topic=containers', { headers: as('ann') });
  t.equal(await socket.opened, 101);
  const forwarded = await app.get('/api/containers', { ...as('ann'), 'x-forwarded-for': '192.0.2.7' });
  t.equal(forwarded.status, 200, 'for whomever it speaks');
});

t.test('the headers of anybody else are only text', async (t) => {
  const app = await start(t, { TRUST_PROXY: '192.0.2.1' });
  t.equal((await app.get('/api/containers', as('ann', 'root'))).status, 401);
  const forwarded = { ...as('ann', 'root'), 'x-forwarded-for': '192.0.2.1' };
  t.equal((await app.get('/api/containers', forwarded)).status, 401, 'not even with an address that is trusted');
  t.equal(await app.live('/live?topic=containers', { headers: forwarded }).opened, 401);
  const page = await app.get('/login');
  t.match(page.text, 'The proxy in front of this signs people in.');
  t.notMatch(page.text, 'name="password"');
});

t.test('who is not named, or in no group, does not come in', async (t) => {
  const app = await start(t);
  for (const path of ['/api/containers', '/fragments/containers', '/metrics']) {
    t.equal((await app.get(path)).status, 401, path);
  }
  const refused = await app.get('/api/containers', as('eve', 'others'));
  t.match(JSON.parse(refused.text), {
    status: 403,
    detail: 'You are in no group that may use this. Ask whoever runs it.',
  });
  for (const path of ['/healthz', '/readyz', '/login'])
    t.equal((await app.get(path, as('eve', 'others'))).status, 200, path);
});

t.test('a name that nobody can have is refused in words', async (t) => {
  const app = await start(t);
  for (const name of ['ann, root', 'a<b>', 'token for x', 'x'.repeat(65), 'x'.repeat(5_000)]) {
    const answer = await app.get('/api/containers', as(name));
    t.match(JSON.parse(answer.text), { status: 401, detail: /^The proxy sends/ }, name.slice(0, 20));
  }
  const twice = await app.get('/api/containers', { 'remote-user': 'ann, bob', 'remote-groups': 'root' });
  t.equal(twice.status, 401, 'two of them are nobody');
});

t.test('a header that is there twice is refused, whatever is in it', async (t) => {
  const app = await start(t);
  for (const [what, headers] of [
    ['a group that was sent along', { 'remote-user': 'ann', 'remote-groups': ['root', 'staff'] }],
    ['behind the own one', { 'remote-user': 'ann', 'remote-groups': ['staff', 'root'] }],
    ['the same user', { 'remote-user': ['ann', 'ann'], 'remote-groups': 'staff' }],
  ] as const) {
    const sent = headers as unknown as Record<string, string>;
    const answer = await app.get('/api/containers', sent);
    t.match(JSON.parse(answer.text), { status: 401, detail: /^The proxy sends .* more than once/ }, what);
    t.equal(await app.live('/live?topic=containers', { headers: sent }).opened, 401, what);
  }
});

t.test('who is in no group any more loses what is open and what they made', async (t) => {
  const app = await start(t);
  const body = JSON.stringify({ name: 'x', capabilities: ['read'] });
  const json = { ...as('ann', 'root'), 'content-type': 'application/json' };
  const { token } = JSON.parse((await app.send('POST', '/api/tokens', json, body)).text) as { token: string };
  const live = app.live('/live?topic=containers', { headers: as('ann', 'root') });
  t.equal(await live.opened, 101);
  await until(() => live.text().includes('id="containers"'), 'the list');
  t.equal((await app.get('/api/containers', as('ann', 'others'))).status, 403);
  t.equal(await closeCode(live), 1008);
  t.equal((await app.get('/api/containers', { authorization: `Bearer ${token}` })).status, 401);
  t.match(JSON.parse((await app.get('/api/users', as('boss', 'root'))).text), [
    { username: 'ann', role: 'viewer' },
    {},
  ]);
});

t.test('letters of other languages come as they are', async (t) => {
  const app = await start(t);
  const name = Buffer.from('Zoë').toString('latin1');
  t.equal((await app.get('/api/containers', as(name))).status, 200);
  t.match((await app.get('/account', as(name))).text, 'Zoë');
});

t.test('another role, or a lock, ends what is open', async (t) => {
  const app = await start(t);
  const open = async (groups: string) => {
    const live = app.live('/live?topic=containers', { headers: as('ann', groups) });
    t.equal(await live.opened, 101);
    await until(() => live.text().includes('id="containers"'), 'the list');
    return live;
  };
  const first = await open('root');
  t.equal((await app.get('/api/users', as('ann', 'staff'))).status, 403);
  t.equal(await closeCode(first), 1008);
  const second = await open('staff');
  const users = JSON.parse((await app.get('/api/users', as('boss', 'root'))).text) as {
    id: number;
    username: string;
  }[];
  const { id } = users.find(({ username }) => username === 'ann') ?? { id: 0 };
  const locked = await app.send(
    'POST',
    `/api/users/${id}`,
    { ...as('boss', 'root'), 'content-type': 'application/json' },
    '{"locked":true}',
  );
  t.equal(locked.status, 200);
  t.equal(await closeCode(second), 1008);
  t.equal((await app.get('/api/containers', as('ann', 'staff'))).status, 401);
});

t.test('nobody signs in by a password or a session there, but by a token', async (t) => {
  const app = await start(t);
  const person = createPerson(app);
  t.equal((await person.signIn('admin', 'correct horse battery')).status, 403);
  person.cookies.set('fairlead_session', 'a'.repeat(43));
  t.equal((await person.get('/api/containers')).status, 401);
  const body = JSON.stringify({ name: 'script', capabilities: ['read'] });
  const made = await app.send(
    'POST',
    '/api/tokens',
    { ...as('boss', 'root'), 'content-type': 'application/json' },
    body,
  );
  const { token } = JSON.parse(made.text) as { token: string };
  t.equal((await app.get('/api/containers', { authorization: `Bearer ${token}` })).status, 200);
  const both = { authorization: 'Bearer nothing', ...as('boss', 'root') };
  t.equal((await app.get('/api/containers', both)).status, 401, 'a token that is none is nobody');
});

t.test('with no groups named everybody whom the proxy names is a viewer', async (t) => {
  const app = await start(t, { ADMIN_GROUPS: '', OPERATOR_GROUPS: '', VIEWER_GROUPS: '' });
  t.equal((await app.get('/api/containers', { 'remote-user': 'ann' })).status, 200);
  t.equal((await app.get('/api/users', as('ann', 'root'))).status, 403);
});

t.test('what a proxy signed somebody in by does not stand in its way', async (t) => {
  const app = await start(t);
  const basic = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
  t.equal((await app.get('/api/containers', { ...as('ann'), authorization: basic })).status, 200);
  t.equal((await app.get('/api/containers', { authorization: basic })).status, 401);
});
