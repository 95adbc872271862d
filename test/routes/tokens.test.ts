import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { closeCode, startApp, until } from '../support/app.ts';
import { createPerson, type Person } from '../support/people.ts';

const password = 'correct horse battery';

type Made = { id: number; name: string; token: string; usedAt: string | null; expiresAt: string | null };

async function start(t: Test) {
  const app = await startApp(t, {
    env: { AUTH: 'password', ADMIN_PASSWORD: password },
    prepare: (engine) => engine.addContainer({ name: 'web' }),
  });
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  return { app, admin };
}

async function make(admin: Person, body: object = {}): Promise<Made> {
  const answer = await admin.json('POST', '/api/tokens', { name: 'ci', capabilities: ['read'], ...body });
  if (answer.status !== 200) throw new Error(answer.text);
  return JSON.parse(answer.text) as Made;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const listed = async (admin: Person) => JSON.parse((await admin.get('/api/tokens')).text) as Made[];

t.test('the text of a token is told once and kept nowhere', async (t) => {
  const { app, admin } = await start(t);
  const page = await admin.form('/tokens', { name: 'backup script', capabilities: 'read', expiresAt: '' });
  t.equal(page.status, 200);
  const text = /fairlead_[\w-]{43}/.exec(page.text)?.[0] ?? '';
  t.match(text, /^fairlead_/);
  t.equal(page.headers['cache-control'], 'no-store');
  const made = await make(admin);
  t.match(made.token, /^fairlead_[\w-]{43}$/, '256 random bits');
  t.equal((await app.get('/api/containers', bearer(text))).status, 200);

  const later = [await admin.get('/tokens'), await admin.get('/api/tokens'), await admin.get('/api/audit')];
  const kept = readdirSync(app.dataDir).map((name) => readFileSync(join(app.dataDir, name), 'latin1'));
  t.ok(
    kept.some((content) => content.includes('backup script')),
    'the files are those that hold the tokens',
  );
  for (const content of [...later.map((answer) => answer.text), ...kept]) {
    t.notOk(content.includes(text.slice('fairlead_'.length)));
    t.notOk(content.includes(made.token.slice('fairlead_'.length)));
  }
});

t.test('a token counts in Authorization: Bearer and nowhere else', async (t) => {
  const { app, admin } = await start(t);
  const { token } = await make(admin);
  t.equal((await app.get('/api/containers', bearer(token))).status, 200);
  t.equal((await app.get('/api/containers', { authorization: `bearer  ${token}` })).status, 200, 'as RFC 9110 has it');
  for (const name of ['token', 'access_token', 'authorization', 'bearer', 'api_key']) {
    t.equal((await app.get(`/api/containers?${name}=${token}`)).status, 401, name);
    t.equal(await app.live(`/live?topic=containers&${name}=${token}`).opened, 401, `${name} of a socket`);
  }
  const basic = `Basic ${Buffer.from(`admin:${token}`).toString('base64')}`;
  for (const headers of [
    { cookie: `fairlead_session=${token}` },
    { cookie: `authorization=${token}; token=${token}` },
    { 'x-api-key': token },
    { authorization: token },
    { authorization: basic },
    { authorization: `Bearer ${token}x` },
    { authorization: 'Bearer' },
    { authorization: '' },
  ] as Record<string, string>[]) {
    t.equal((await app.get('/api/containers', headers)).status, 401, JSON.stringify(headers));
  }
  const wrong = admin.headers(bearer(`fairlead_${'a'.repeat(43)}`));
  t.equal((await app.get('/api/containers', wrong)).status, 401, 'a wrong one beside a good session');
});

t.test('a token may do what it was made for and nothing more', async (t) => {
  const { app, admin } = await start(t);
  const reads = bearer((await make(admin)).token);
  const stops = bearer((await make(admin, { capabilities: ['control'] })).token);
  t.equal((await app.send('POST', '/api/containers/web/stop', reads)).status, 403);
  t.equal(app.engine.container('web').state, 'running');
  t.equal((await app.get('/api/containers', stops)).status, 403);
  t.equal((await app.send('POST', '/api/containers/web/stop', stops)).status, 200);
  t.equal(app.engine.container('web').state, 'exited');
  t.equal((await app.send('POST', '/api/tokens', reads)).status, 403, 'nor make another one');
  t.equal((await app.get('/account', reads)).status, 404, 'it is no user');
  const refused = JSON.parse((await app.get('/api/users', reads)).text) as { detail: string };
  t.match(refused.detail, 'token ci');
});

t.test('a token that is revoked is nothing at once, and its sockets close', async (t) => {
  const { app, admin } = await start(t);
  const [gone, stays] = [await make(admin), await make(admin)];
  const live = app.live('/live?topic=containers', { headers: bearer(gone.token) });
  const other = app.live('/live?topic=containers', { headers: bearer(stays.token) });
  t.equal(await live.opened, 101);
  t.equal(await other.opened, 101);
  await until(() => live.frames.length > 0 && other.frames.length > 0, 'both follow');
  t.same(JSON.parse((await admin.json('DELETE', `/api/tokens/${gone.id}`)).text), { id: gone.id, removed: true });
  t.equal(await closeCode(live), 1008);
  t.equal((await app.get('/api/containers', bearer(gone.token))).status, 401);
  t.equal((await app.get('/api/containers', bearer(stays.token))).status, 200);
  t.equal(other.socket.readyState, other.socket.OPEN);
  t.equal((await admin.json('DELETE', `/api/tokens/${gone.id}`)).status, 404);
  t.equal((await admin.form(`/tokens/${stays.id}/remove`)).status, 303);
  t.equal(await closeCode(other), 1008);
  t.match((await admin.get('/tokens')).text, 'Token ci was revoked.');
});

t.test('a token ends when it was said to', async (t) => {
  const { app, admin } = await start(t);
  const expiresAt = new Date(Date.now() + 1_500).toISOString();
  const { token } = await make(admin, { expiresAt });
  t.equal((await app.get('/api/containers', bearer(token))).status, 200);
  await until(async () => (await app.get('/api/containers', bearer(token))).status === 401, 'its end');
  t.ok(Date.now() >= Date.parse(expiresAt), 'not before');
  t.equal(await app.live('/live?topic=containers', { headers: bearer(token) }).opened, 401);
  t.match(await listed(admin), [{ expiresAt }]);
  t.match((await admin.get('/tokens')).text, 'over');
});

t.test('its last use is shown, and what made it', async (t) => {
  const { app, admin } = await start(t);
  const { token } = await make(admin);
  t.match(await listed(admin), [{ usedAt: null, owner: 'admin', capabilities: ['read'] }]);
  const before = Date.now();
  await app.get('/api/containers', bearer(token));
  const [used] = await listed(admin);
  t.ok(Date.parse(used?.usedAt ?? '') >= before);
});

t.test('a token that makes no sense is not made', async (t) => {
  const { admin } = await start(t);
  const bad: [field: string, body: object][] = [
    ['name', { name: '' }],
    ['name', { name: '   ' }],
    ['name', { name: 'x'.repeat(101) }],
    ['name', { name: 'ci\r\nset-cookie: a=b' }],
    ['capabilities', { capabilities: [] }],
    ['capabilities', { capabilities: ['root'] }],
    ['expiresAt', { expiresAt: '2020-01-01T00:00:00Z' }],
    ['expiresAt', { expiresAt: 'tomorrow' }],
  ];
  for (const [field, body] of bad) {
    const answer = await admin.json('POST', '/api/tokens', { name: 'ci', capabilities: ['read'], ...body });
    t.equal(answer.status, 400, JSON.stringify(body).slice(0, 80));
    t.match(JSON.parse(answer.text), { code: 'invalid', detail: new RegExp(`^${field}`) });
  }
  t.strictSame(await listed(admin), []);
});

t.test('tokens end with what their maker may: locked, removed, or no admin any more', async (t) => {
  const { app, admin } = await start(t);
  const ends: [what: string, end: (id: number) => Promise<unknown>][] = [
    ['locked', (id) => admin.json('POST', `/api/users/${id}`, { locked: true })],
    ['an operator', (id) => admin.json('POST', `/api/users/${id}`, { role: 'operator' })],
    ['one who sees a project', (id) => admin.json('POST', `/api/users/${id}`, { projects: ['shop'] })],
    ['removed', (id) => admin.json('DELETE', `/api/users/${id}`)],
  ];
  const kept = await make(admin);
  for (const [index, [what, end]] of ends.entries()) {
    const name = `maker ${index}`;
    const made = await admin.json('POST', '/api/users', { username: name, password, role: 'admin' });
    const maker = createPerson(app);
    await maker.signIn(name, password);
    const { token } = await make(maker);
    t.equal((await app.get('/api/containers', bearer(token))).status, 200);
    await end(JSON.parse(made.text).id);
    t.equal((await app.get('/api/containers', bearer(token))).status, 401, what);
  }
  t.equal((await app.get('/api/containers', bearer(kept.token))).status, 200, 'those of others stay');
});
