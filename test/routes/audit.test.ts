import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import SQLite from 'better-sqlite3';
import t, { type Test } from 'tap';
import { type AppOptions, startApp, type TestApp, until } from '../support/app.ts';
import { createPerson, type Person } from '../support/people.ts';

const password = 'correct horse battery';

type Entry = {
  id: number;
  at: string;
  actor: string;
  client: string;
  action: string;
  target: string;
  result: string;
  detail: string;
};

async function start(t: Test, env: AppOptions['env'] = {}) {
  const app = await startApp(t, {
    env: { AUTH: 'password', ADMIN_PASSWORD: password, ...env },
    prepare: (engine) => engine.addContainer({ name: 'web' }),
  });
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  return { app, admin };
}

async function entries(admin: Person, query = ''): Promise<Entry[]> {
  return JSON.parse((await admin.get(`/api/audit${query}`)).text) as Entry[];
}

/** The newest entry that an action made; it is written behind the answer. */
async function entryOf(admin: Person, action: string, result: string): Promise<Entry> {
  const find = async () => (await entries(admin)).find((entry) => entry.action === action && entry.result === result);
  await until(async () => (await find()) !== undefined, `${action}: ${result}`);
  return (await find()) as Entry;
}

/** Everything that is on the disk. */
const filesOf = (app: TestApp) =>
  readdirSync(app.dataDir)
    .map((name) => readFileSync(join(app.dataDir, name), 'latin1'))
    .join('');

t.test('every change is written down with who, from where, what and how it ended', async (t) => {
  const { app, admin } = await start(t, { TRUST_PROXY: '127.0.0.1' });
  const from = { 'x-forwarded-for': '192.0.2.7' };
  const startedAt = Date.now();
  await admin.form('/containers/web/stop', {}, from);
  const stop = await entryOf(admin, 'POST /containers/:id/:action', 'done');
  t.match(stop, { actor: 'admin', client: '192.0.2.7', target: 'web stop' });
  t.ok(Date.parse(stop.at) >= startedAt);
  await admin.json('POST', '/api/containers/nobody/start', undefined, from);
  t.match(await entryOf(admin, 'POST /api/containers/:id/:action', 'failed'), {
    target: 'nobody start',
    detail: '404',
  });

  const user = { username: 'olga', password, role: 'viewer' };
  const { id } = JSON.parse((await admin.json('POST', '/api/users', user)).text) as { id: number };
  t.match(await entryOf(admin, 'POST /api/users', 'done'), { actor: 'admin', target: 'olga' });
  await admin.json('POST', `/api/users/${id}`, { role: 'operator' });
  t.match(await entryOf(admin, 'POST /api/users/:n', 'done'), { target: 'olga' });
  await admin.json('DELETE', `/api/users/${id}`);
  t.match(await entryOf(admin, 'DELETE /api/users/:n', 'done'), { target: 'olga' });

  const wanted = { name: 'ci', capabilities: ['control'] };
  const { token } = JSON.parse((await admin.json('POST', '/api/tokens', wanted)).text) as { token: string };
  t.match(await entryOf(admin, 'POST /api/tokens', 'done'), { target: 'ci' });
  await app.send('POST', '/api/containers/web/start', { authorization: `Bearer ${token}` });
  t.match(await entryOf(admin, 'POST /api/containers/:id/:action', 'done'), { actor: 'token ci', target: 'web start' });

  await admin.form('/account/password', { current: password, password: 'another good password' });
  t.match(await entryOf(admin, 'POST /account/password', 'done'), { actor: 'admin' });
  t.match(await entryOf(admin, 'POST /login', 'done'), { actor: 'admin', target: 'admin' });
  const before = (await entries(admin)).length;
  await admin.get('/containers');
  await admin.form('/preferences', { theme: 'dark' });
  t.equal((await entries(admin)).length, before, 'looking changes nothing');
  t.notMatch(filesOf(app), /another good password|correct horse/, 'and no secret is written down');
});

t.test('every refusal is written down', async (t) => {
  const { app, admin } = await start(t);
  const made = await admin.json('POST', '/api/tokens', { name: 'reads', capabilities: ['read'] });
  const reads = { authorization: `Bearer ${JSON.parse(made.text).token}` };
  await app.send('POST', '/api/containers/web/kill', reads);
  t.match(await entryOf(admin, 'POST /api/containers/:id/:action', 'refused'), {
    actor: 'token reads',
    client: '127.0.0.1',
    target: 'web kill',
    detail: '403',
  });
  await app.get('/users', reads);
  t.match(await entryOf(admin, 'GET /users', 'refused'), { actor: 'token reads' });
  await app.get('/api/containers');
  t.match(await entryOf(admin, 'GET /api/containers', 'refused'), { actor: '', detail: '401' });
  await app.live('/live?topic=containers').opened;
  t.match(await entryOf(admin, 'GET /live', 'refused'), { actor: '', detail: '401' });
  await app.get('/images', { host: 'evil.example' });
  t.match(await entryOf(admin, 'GET /images', 'refused'), { detail: '421' });
  await admin.form('/containers/web/stop', {}, { origin: 'https://evil.example' });
  t.match(await entryOf(admin, 'POST /containers/:id/:action', 'refused'), { target: 'web stop', detail: '403' });
  t.equal(app.engine.container('web').state, 'running');
});

t.test('a password that was typed where a name belongs is written nowhere', async (t) => {
  const { app, admin } = await start(t);
  const stranger = createPerson(app);
  const typed = 'hunter2-hunter2';
  await stranger.form('/login', { username: typed, password: 'admin' });
  await stranger.form('/setup', { code: 'AAAAAAAAAAAAAAAAAAAAAA', username: typed, password: typed });
  t.match(await entryOf(admin, 'POST /login', 'refused'), { actor: '', target: '' });
  t.match(await entryOf(admin, 'POST /setup', 'refused'), { actor: '', target: '' });
  await stranger.form('/login', { username: 'ADMIN', password: typed });
  await until(
    async () => (await entries(admin, '?target=admin&result=refused')).length === 1,
    'a name that is known is told',
  );
  t.notMatch(filesOf(app), /hunter2/);
});

t.test('it is narrowed by who, to what and how it ended, and read on page by page', async (t) => {
  const { admin } = await start(t);
  for (let n = 0; n < 7; n++) await admin.form(`/containers/gone-${n}/start`);
  await admin.form('/containers/web/restart');
  await entryOf(admin, 'POST /containers/:id/:action', 'done');
  t.strictSame(
    (await entries(admin, '?target=gone-3%20start')).map(({ target, result }) => [target, result]),
    [['gone-3 start', 'failed']],
  );
  t.equal((await entries(admin, '?actor=nobody')).length, 0);
  t.equal((await entries(admin, '?actor=admin&result=failed')).length, 7);
  t.equal((await admin.get('/api/audit?result=perhaps')).status, 400);

  const all = await entries(admin);
  const first = await entries(admin, '?limit=3');
  const second = await entries(admin, `?limit=3&before=${first.at(-1)?.id}`);
  t.strictSame([...first, ...second], all.slice(0, 6), 'none twice, none left out');
  const page = await admin.get('/audit?result=failed&limit=3');
  t.equal(page.text.match(/<tr [^>]*data-id=/g)?.length, 3);
  const older = /href="([^"]*before=\d+[^"]*)"/.exec(page.text)?.[1]?.replaceAll('&amp;', '&') ?? '';
  t.match(older, 'result=failed', 'the filter goes along');
  t.match((await admin.get(older)).text, 'gone-3 start');
  t.match((await admin.get('/fragments/audit?result=failed')).text, 'gone-6 start');
});

t.test('all of it comes as JSON lines', async (t) => {
  const { admin } = await start(t);
  for (let n = 0; n < 4; n++) await admin.form(`/containers/gone-${n}/start`);
  await until(async () => (await entries(admin)).length === 5, 'all five');
  const answer = await admin.get('/api/audit?limit=1', { accept: 'application/x-ndjson' });
  t.match(answer.headers['content-type'], 'application/x-ndjson');
  const lines = answer.text.trimEnd().split('\n');
  t.strictSame(
    lines.map((line) => JSON.parse(line) as Entry),
    await entries(admin, '?limit=1000'),
  );
  t.equal((await admin.get('/api/audit?actor=nobody', { accept: 'application/x-ndjson' })).text, '');
});

t.test('what was written down can not be changed', async (t) => {
  const { app, admin } = await start(t);
  await entryOf(admin, 'POST /login', 'done');
  const file = new SQLite(join(app.dataDir, 'fairlead.db'));
  t.throws(() => file.exec("update audit set actor = 'somebody else'"), /the audit is never changed/);
  file.close();
  t.match(await entryOf(admin, 'POST /login', 'done'), { actor: 'admin' });
  for (const method of ['POST', 'DELETE', 'PUT', 'PATCH']) {
    t.equal((await admin.json(method, '/api/audit')).status, 404, method);
  }
});

t.test('one client that is refused again and again does not push everything else out', async (t) => {
  const { app, admin } = await start(t);
  for (let n = 0; n < 60; n++) {
    await app.send('POST', `/api/containers/web-${n}/stop`);
    await app.send('POST', `/no/such/page/${n}`);
  }
  await entryOf(admin, 'POST unknown', 'failed');
  const found = await entries(admin);
  const actions = found.map(({ action, result }) => `${action} ${result}`).sort();
  t.strictSame(actions, ['POST /api/containers/:id/:action refused', 'POST /login done', 'POST unknown failed']);
});

t.test('the audit is told to admins alone', async (t) => {
  const { app, admin } = await start(t);
  const wanted = { name: 'all but one', capabilities: ['read', 'control', 'images', 'rebuild', 'remove', 'alerts'] };
  const { token } = JSON.parse((await admin.json('POST', '/api/tokens', wanted)).text) as { token: string };
  for (const path of ['/audit', '/fragments/audit', '/api/audit']) {
    t.equal((await app.get(path, { authorization: `Bearer ${token}` })).status, 403, path);
    t.notMatch((await app.get(path)).text, 'POST /login', path);
  }
});

// ── the timelines of containers ──

type Told = Pick<Entry, 'id' | 'at' | 'action'> & {
  cursor: string;
  type: string;
  subject: string;
  text: string;
  actor?: string;
  state?: string;
};

/** An admin, a viewer and somebody who has not signed in, who all wanted something of `web` and its project. */
async function startTimeline(t: Test) {
  const app = await startApp(t, {
    env: { AUTH: 'password', ADMIN_PASSWORD: password },
    prepare(engine) {
      engine.addContainer({ name: 'web', labels: { 'com.docker.compose.project': 'shop' } });
      engine.addContainer({ name: 'db' });
    },
  });
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  await admin.json('POST', '/api/users', { username: 'vera', password, role: 'viewer' });
  const vera = createPerson(app);
  await vera.signIn('vera', password);
  /** Nothing yet of who is not there any more, and of whom no event is kept. */
  async function told(who: Person, query = '', name = 'web'): Promise<Told[]> {
    const { status, text } = await who.get(`/api/containers/${name}/timeline?limit=200${query}`);
    return status === 404 ? [] : (JSON.parse(text) as Told[]);
  }
  const tried = async (who: Person, query = '', name = 'web') =>
    (await told(who, query, name)).filter(({ type }) => type === 'audit');
  return { app, admin, vera, told, tried };
}

/** Something of each kind, all of it about `web`. */
async function tryAll({ app, admin, vera, told, tried }: Awaited<ReturnType<typeof startTimeline>>) {
  const id = app.engine.container('web').id;
  await app.form('/containers/web/kill');
  await vera.form(`/containers/${id.slice(0, 12)}/stop`);
  await admin.form('/containers/web/stop');
  await admin.json('POST', '/api/projects/shop/start');
  const broken = app.engine.faults.status(500, '{"message":"out of order"}', 'application/json', { path: /\/pause$/ });
  await admin.form('/containers/web/pause');
  broken.remove();
  await vera.form('/containers/db/stop');
  await until(async () => (await tried(admin)).length === 5, 'all is written down');
  await until(async () => (await tried(admin, '', 'db')).length === 1, 'and what is about another one');
  const isLast = ({ type, state }: Told) => type === 'action' && state === 'failed';
  await until(async () => (await told(admin)).some(isLast), 'and so are the events');
}

t.test('the timeline of a container tells admins who wanted what, from where, and how it ended', async (t) => {
  const world = await startTimeline(t);
  const { app, admin, vera, told, tried } = world;
  await tryAll(world);
  t.match(await tried(admin), [
    {
      actor: 'admin',
      action: 'POST /containers/:id/:action',
      subject: 'web pause',
      result: 'failed',
      client: '127.0.0.1',
    },
    { actor: 'admin', action: 'POST /api/projects/:project/:action', subject: 'shop start', result: 'done' },
    {
      actor: 'admin',
      subject: 'web stop',
      result: 'done',
      text: 'Asked for stop. By admin, from 127.0.0.1. It was done (303).',
    },
    { actor: 'vera', result: 'refused', text: 'Asked for stop. By vera, from 127.0.0.1. It was refused (403).' },
    { actor: '', result: 'refused', text: /^Asked for kill\. By somebody who has not signed in, from 127\.0\.0\.1\./ },
  ]);
  t.match(await tried(admin, '', 'db'), [{ actor: 'vera', subject: 'db stop' }], 'to each its own');
  const all = await told(admin);
  t.ok(all.some(({ type }) => type === 'container'));
  const times = all.map(({ at }) => at);
  t.strictSame(times, times.toSorted().reverse(), 'in the order of time');

  for (const path of ['/containers/web/timeline', '/fragments/containers/web/timeline']) {
    const { text } = await admin.get(path);
    t.equal(text.match(/data-type="audit"/g)?.length, 5, path);
    t.match(text, 'By vera, from 127.0.0.1. It was refused (403).');
    const { text: seen, status } = await vera.get(path);
    t.equal(status, 200);
    t.notMatch(seen, /data-type="audit"|127\.0\.0\.1/, `${path} for who is no admin`);
  }
  t.strictSame(await tried(vera), []);
  const limited = { username: 'lea', password, role: 'admin', projects: ['shop'] };
  t.equal((await admin.json('POST', '/api/users', limited)).status, 200);
  const lea = createPerson(app);
  await lea.signIn('lea', password);
  t.strictSame(await tried(lea), [], 'nor for an admin who sees some only: others have been there');
  const token = await admin.json('POST', '/api/tokens', { name: 'reads', capabilities: ['read', 'control'] });
  const { text } = await app.get('/api/containers/web/timeline', {
    authorization: `Bearer ${JSON.parse(token.text).token}`,
  });
  t.notMatch(text, '"audit"', 'nor for a token without the capability');
});

t.test('a timeline is read page by page through events and tries', async (t) => {
  const world = await startTimeline(t);
  const { admin, told } = world;
  await tryAll(world);
  const key = ({ type, id }: Told) => `${type === 'audit'} ${id}`;
  const whole = (await told(admin)).map(key);
  for (const limit of [1, 2, 3]) {
    const found: string[] = [];
    for (let before = ''; found.length <= whole.length; ) {
      const page = JSON.parse(
        (await admin.get(`/api/containers/web/timeline?limit=${limit}&before=${before}`)).text,
      ) as Told[];
      found.push(...page.map(key));
      if (page.length < limit) break;
      before = page.at(-1)?.cursor ?? '';
    }
    t.strictSame(found, whole, `${limit} at a time`);
  }
  const page = (await admin.get('/containers/web/timeline?limit=2')).text;
  const older = /href="([^"]*before=[^"]*)" rel="next"/.exec(page)?.[1]?.replaceAll('&amp;', '&') ?? '';
  t.equal((await admin.get(older)).text.match(/<li id="(event|audit)-/g)?.length, 2, 'and so does its page');

  const stop = (await told(admin)).find(({ subject }) => subject === 'web stop');
  const since = await told(admin, `&since=${encodeURIComponent(stop?.at ?? '')}`);
  t.ok(
    since.some(({ subject }) => subject === 'web stop') && !since.some(({ actor }) => actor === 'vera'),
    'since then',
  );
  const until = await told(admin, `&until=${encodeURIComponent(stop?.at ?? '')}`);
  t.ok(
    !until.some(({ subject }) => subject === 'web stop') && until.some(({ actor }) => actor === 'vera'),
    'until then',
  );
  for (const filter of ['&type=container', '&action=stop', '&trouble=any']) {
    t.notOk(
      (await told(admin, filter)).some(({ type }) => type === 'audit'),
      `${filter} is of events`,
    );
  }
});

t.test('a timeline that is open shows tries as they come, to admins alone', async (t) => {
  const { app, admin, vera } = await startTimeline(t);
  const forAdmin = app.live('/live?topic=timeline:web', { headers: admin.headers() });
  const forVera = app.live('/live?topic=timeline:web', { headers: vera.headers() });
  t.equal(await forAdmin.opened, 101);
  t.equal(await forVera.opened, 101);
  await vera.form('/containers/web/stop');
  await until(() => /id="audit-\d+"[\s\S]*By vera, from 127\.0\.0\.1/.test(forAdmin.text()), 'the admin sees it');
  await vera.form('/containers/web/remove');
  await until(() => forAdmin.text().includes('<code>remove</code>'), 'and what comes after it');
  await admin.form('/containers/web/pause');
  await until(() => forVera.text().includes('Paused'), 'the other one sees what happened');
  await until(() => /id="audit-\d+"[\s\S]*By admin/.test(forAdmin.text()), 'and the admin who asked');
  t.notMatch(forVera.text(), /audit-|127\.0\.0\.1/);
});

t.test('what is done to a rebuild, and to who is removed, stands on the timeline', async (t) => {
  const { app, admin, tried } = await startTimeline(t);
  await admin.form('/containers/db/remove', { force: 'on' });
  await until(() => !app.engine.containers().some(({ name }) => name === 'db'), 'it is removed');
  await until(async () => (await tried(admin, '', 'db')).length > 0, 'its removal is told');
  t.match(await tried(admin, '', 'db'), [{ subject: 'db', text: /^Asked for remove\./ }]);
  const hold = app.engine.faults.hang({ path: /\/stop$/ });
  const { id } = JSON.parse((await admin.json('POST', '/api/projects/shop/stop')).text) as { id: number };
  await admin.json('POST', `/api/operations/${id}/cancel`);
  hold.remove();
  await until(
    async () => (await tried(admin)).some(({ text }) => text.startsWith('Asked for cancel.')),
    'its end as well',
  );
});
