import t from 'tap';
import { type Answer, startApp, type TestApp, until } from '../support/app.ts';
import { createPerson } from '../support/people.ts';
import { addressOf, watchRoutes } from '../support/routes.ts';

/**
 * What the contract allows to whom (section 5), written down a second time: a wrong entry in the program's own table is
 * told by the difference. Addresses are below `/`, `/fragments` and `/api` alike.
 */
const needs: Record<string, readonly string[]> = {
  anybody: [
    'GET /healthz',
    'GET /readyz',
    'GET /assets/:file',
    'GET /favicon.ico',
    'GET /favicon.svg',
    'GET /setup',
    'POST /setup',
    'GET /login',
    'POST /login',
    'GET /login/second',
    'POST /login/second',
    'GET /login/passkey/options',
    'POST /login/passkey',
    'GET /login/oidc',
    'GET /login/oidc/callback',
    'GET /login/oidc/out',
    'GET /embed.css',
    // Whoever has a link; these are walked with one that is none.
    'GET /embed/:link',
    'GET /embed/:link/fragment',
    'OPTIONS /embed/:link/fragment',
    'GET /embed/:link/badge.svg',
    'GET /embed/:link/colours.css',
    'GET /embed/:link/live',
  ],
  // Nobody needs a role for what is their own.
  oneself: [
    'GET /logout',
    'GET /account',
    'POST /account/password',
    'POST /account/sign-out-everywhere',
    'POST /account/second-factor',
    'POST /account/second-factor/confirm',
    'POST /account/second-factor/remove',
    'POST /account/recovery-codes',
    'POST /account/passkeys/options',
    'POST /account/passkeys',
    'POST /account/passkeys/:n/remove',
    'POST /logout',
  ],
  read: [
    'GET /',
    'GET /live',
    'GET /metrics',
    'GET /openapi.json',
    'POST /preferences',
    'GET /dashboard',
    'POST /dashboard/disk',
    'GET /containers',
    'GET /containers/:id',
    'GET /containers/:id/reveal',
    'GET /containers/:id/logs',
    'GET /containers/:id/stats',
    'GET /containers/:id/timeline',
    'GET /projects/:project',
    'GET /projects/:project/logs',
    'GET /projects/:project/stats',
    'GET /logs',
    'GET /events',
    'GET /alerts',
    'GET /alerts/notifications',
    'GET /images',
    'GET /images/:id',
    'GET /operations',
    'GET /operations/:n',
  ],
  control: [
    'POST /containers/:id/:action',
    'POST /projects/:project/:action',
    'POST /operations/:n/cancel',
    'POST /operations/:n/dismiss',
  ],
  images: [
    'GET /images/pull',
    'POST /images/pull',
    'POST /images/check',
    'GET /images/prune',
    'POST /images/prune',
    'GET /images/:id/remove',
    'POST /images/:id/remove',
  ],
  rebuild: [
    'GET /containers/:id/rebuild',
    'POST /containers/:id/rebuild',
    'GET /projects/:project/rebuild',
    'POST /projects/:project/rebuild',
    'POST /operations/:n/abandon',
  ],
  remove: ['GET /containers/:id/remove', 'POST /containers/:id/remove'],
  alerts: [
    'GET /alerts/rules/new',
    'GET /alerts/rules/:n',
    'POST /alerts/rules',
    'POST /alerts/rules/:n',
    'POST /alerts/rules/:n/:action',
    'GET /alerts/channels/new',
    'GET /alerts/channels/:n',
    'POST /alerts/channels',
    'POST /alerts/channels/:n',
    'POST /alerts/channels/:n/:action',
  ],
  admin: [
    'POST /containers/:id/reveal',
    'GET /users',
    'GET /users/new',
    'GET /users/:n',
    'POST /users',
    'POST /users/:n',
    'POST /users/:n/remove',
    'DELETE /users/:n',
    'POST /users/:n/second-factor/remove',
    'DELETE /users/:n/second-factor',
    'GET /tokens',
    'POST /tokens',
    'POST /tokens/:n/remove',
    'DELETE /tokens/:n',
    'GET /embeds',
    'POST /embeds',
    'POST /embeds/:n/remove',
    'DELETE /embeds/:n',
    'GET /audit',
  ],
};

/** Each topic, with a name that nothing has where it takes one, and whether it can be joined all the same. */
const topics: [topic: string, opens: boolean][] = [
  ['containers', true],
  ['container:nobody', false],
  ['head:nobody', false],
  ['project:nothing', true],
  ['images', true],
  [`image:${'0'.repeat(64)}`, true],
  ['stats:nobody', false],
  ['logs:nobody', false],
  ['logs:project:nothing', true],
  ['logs:names:nobody,nothing', true],
  ['dashboard', true],
  ['dashboard:nothing', true],
  ['operations', true],
  ['operation:999999', false],
  ['events', true],
  ['timeline:nobody', true],
  ['alerts', true],
];

const capabilities = ['read', 'control', 'images', 'rebuild', 'remove', 'alerts', 'admin'];
const changing = ['control', 'images', 'rebuild', 'remove', 'alerts'];
const password = 'correct horse battery';
const env = { AUTH: 'password', ADMIN_PASSWORD: password };

type Outcome = 'allowed' | 'disabled' | 401 | 403;

/** Somebody who asks: what they send along, and what they may do; undefined for who is nobody. */
type Asker = { name: string; headers: Record<string, string>; may: readonly string[] | undefined };

const tailOf = (route: string) => route.replace(/ \/(api|fragments)\//, ' /');
const needOf = (route: string) => Object.keys(needs).find((need) => needs[need]?.includes(tailOf(route)));

/** Whether it ends the session that it is asked for with. */
const isEnd = (route: string) => /^POST \/(logout|account\/sign-out-everywhere)$/.test(route);

function outcomeOf(method: string, { status, headers, text }: Answer): Outcome {
  if (status === 401 || (method === 'GET' && status === 303 && headers.location?.startsWith('/login'))) return 401;
  // Every page says it: what counts is the reason of the refusal.
  const reason = text.replace(/<div id="limits">.*?<\/div>/s, '');
  if (status === 403 && reason.includes('READ_ONLY is on')) return 'disabled';
  // A setup code that is wrong is refused as well, in other words.
  return status === 403 && text.includes('This asks for the capability') ? 403 : 'allowed';
}

function expected(need: string | undefined, may: readonly string[] | undefined, isReadOnly = false): Outcome {
  if (need === 'anybody') return 'allowed';
  if (may === undefined) return 401;
  if (need === 'oneself') return 'allowed';
  if (!may.includes(need ?? '')) return 403;
  return isReadOnly && changing.includes(need ?? '') ? 'disabled' : 'allowed';
}

async function makeUser(app: TestApp, admin: ReturnType<typeof createPerson>, role: string): Promise<Asker> {
  const made = await admin.json('POST', '/api/users', { username: `the ${role}`, password, role });
  if (made.status !== 200) throw new Error(made.text);
  const person = createPerson(app);
  await person.signIn(`the ${role}`, password);
  const may = role === 'viewer' ? ['read'] : ['read', 'control', 'images'];
  return { name: role, headers: person.headers(), may };
}

/** Makes a token; gives its number and what is sent along with it. */
async function makeToken(admin: ReturnType<typeof createPerson>, granted: string[], expiresAt?: string) {
  const body = { name: granted.join(), capabilities: granted, ...(expiresAt && { expiresAt }) };
  const { id, token } = JSON.parse((await admin.json('POST', '/api/tokens', body)).text) as {
    id: number;
    token: string;
  };
  return { id, headers: { authorization: `Bearer ${token}` } };
}

async function makeAskers(app: TestApp): Promise<Asker[]> {
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  const tokens: Asker[] = [];
  for (const capability of capabilities) {
    const { headers } = await makeToken(admin, [capability]);
    tokens.push({ name: `token for ${capability}`, headers, may: [capability] });
  }
  const revoked = await makeToken(admin, capabilities);
  const ended = await makeToken(admin, capabilities, new Date(Date.now() + 1_000).toISOString());
  await admin.json('DELETE', `/api/tokens/${revoked.id}`);
  await until(async () => (await app.get('/api/containers', ended.headers)).status === 401, 'the end of the token');
  return [
    { name: 'nobody', headers: {}, may: undefined },
    { name: 'an unknown session', headers: { cookie: `fairlead_session=${'a'.repeat(43)}` }, may: undefined },
    { name: 'a revoked token', headers: revoked.headers, may: undefined },
    // Whoever sends a token asks by that alone.
    { name: 'an expired token beside a session', headers: admin.headers(ended.headers), may: undefined },
    ...tokens,
    await makeUser(app, admin, 'viewer'),
    await makeUser(app, admin, 'operator'),
    { name: 'admin', headers: admin.headers(), may: capabilities },
  ];
}

/** Asks for every route; gives those that were answered otherwise than they should be. */
async function walk(app: TestApp, routes: Iterable<string>, { headers, may }: Asker, isReadOnly = false) {
  async function check(route: string) {
    const [method = '', path = ''] = route.split(' ');
    const answer = await app.send(method, addressOf(path), headers);
    // Who is not waited for is sent to the sign-in.
    const outcome = /^\/login\/(second|oidc)/.test(path) ? 'allowed' : outcomeOf(method, answer);
    const wanted = expected(needOf(route), may, isReadOnly);
    const isRight = outcome === wanted && answer.status < 500;
    return isRight ? [] : [`${route}: ${outcome} (${answer.status}), not ${wanted}`];
  }
  const wrong = await Promise.all([...routes].filter((route) => !isEnd(route)).map(check));
  for (const route of [...routes].filter(isEnd)) {
    wrong.push(await check(route));
    // What comes behind the end of a session has none.
    if (may && headers.cookie) break;
  }
  return wrong.flat();
}

async function join(app: TestApp, { headers, may }: Asker) {
  const wrong: string[] = [];
  for (const [topic, opens] of topics) {
    const live = app.live(`/live?topic=${topic}`, { headers });
    const status = await live.opened;
    const outcome = expected('read', may);
    const isRight = outcome === 'allowed' ? status === (opens ? 101 : 404) : status === outcome;
    if (!isRight) wrong.push(`${topic}: ${status}, not ${outcome}`);
    live.socket.terminate();
    await live.closed;
  }
  return wrong;
}

t.test('every route and every topic lets in whom the contract names, and nobody else', async (t) => {
  const routes = watchRoutes(t);
  const app = await startApp(t, { env });
  const listed = new Set(Object.values(needs).flat());
  const unlisted = [...routes].filter((route) => !listed.has(tailOf(route)));
  t.strictSame(unlisted, [], 'every route is in the table of this test');
  const tails = new Set([...routes].map(tailOf));
  t.strictSame(
    [...listed].filter((route) => !tails.has(route)),
    [],
    'and the other way round',
  );

  const told = JSON.parse((await app.get('/api/containers')).text) as { code: string };
  t.equal(told.code, 'unauthenticated');
  for (const asker of await makeAskers(app)) {
    // A walk may end the session that a socket would need.
    t.strictSame(await join(app, asker), [], `topics for ${asker.name}`);
    t.strictSame(await walk(app, routes, asker), [], `routes for ${asker.name}`);
  }
});

t.test('every topic that the program names is in the table of this test', async (t) => {
  const app = await startApp(t);
  const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
  const answer = await app.get('/live?topic=nonsense', { ...upgrade, 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' });
  const named = /must be one of (.*?)\./.exec(answer.text)?.[1]?.split(', ') ?? [];
  t.ok(named.length > 10, `${named.length} topics`);
  const kindsOf = (all: string[]) => [...new Set(all.map((topic) => /^\w+/.exec(topic)?.[0]))].sort();
  t.strictSame(kindsOf(named), kindsOf(topics.map(([topic]) => topic)));
});

t.test('READ_ONLY refuses to everybody what changes something, and nothing else', async (t) => {
  const routes = watchRoutes(t);
  const app = await startApp(t, { env: { ...env, READ_ONLY: 'true' } });
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  const asker = { name: 'admin', headers: admin.headers(), may: capabilities };
  t.strictSame(await walk(app, routes, asker, true), []);
});

t.test('who may not send something is not told what is wrong with it', async (t) => {
  const app = await startApp(t, { env });
  const json = { 'content-type': 'application/json' };
  for (const [method, path, body] of [
    ['POST', '/api/users', '{"username":1}'],
    ['POST', '/api/tokens', '{'],
    ['POST', '/api/images/pull', 'x'.repeat(70_000)],
    ['GET', '/api/containers?sort=colour', undefined],
    ['DELETE', '/api/users/x', undefined],
  ] as const) {
    t.equal((await app.send(method, path, body ? json : {}, body)).status, 401, `${method} ${path}`);
  }
});

t.test('pages for nobody tell nothing of the engine', async (t) => {
  const app = await startApp(t, { env, prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const pages = [
    await app.get('/nothing'),
    await app.get('/setup?code=AAAAAAAAAAAAAAAAAAAAAA'),
    await app.get('/containers', { host: 'evil.example' }),
    await app.form('/logout', {}, { origin: 'https://evil.example' }),
    await app.form('/logout'),
  ];
  t.strictSame(
    pages.map(({ status }) => status),
    [404, 403, 421, 403, 401],
  );
  for (const { text } of pages) t.notMatch(text, /engine-status|\.sock|hx-ws:connect|site-nav/);
});

t.test('wrong tokens count to the limit of requests as everything else does', async (t) => {
  const app = await startApp(t, { env: { ...env, MAX_REQUESTS_PER_MINUTE: '5' } });
  const statuses: number[] = [];
  for (let n = 0; n < 7; n++) {
    statuses.push((await app.get('/api/containers', { authorization: `Bearer fairlead_${'a'.repeat(43)}` })).status);
  }
  t.strictSame(statuses, [401, 401, 401, 401, 401, 429, 429]);
});

t.test('what another site or host is refused counts as well', async (t) => {
  const app = await startApp(t, { env: { ...env, MAX_REQUESTS_PER_MINUTE: '4' } });
  const statuses: number[] = [];
  for (let n = 0; n < 3; n++) statuses.push((await app.get('/login', { host: 'evil.example' })).status);
  for (let n = 0; n < 3; n++) statuses.push((await app.form('/login', {}, { origin: 'https://evil.example' })).status);
  t.strictSame(statuses, [421, 421, 421, 403, 429, 429]);
});

t.test('outside a base path, nobody is told figures either', async (t) => {
  const app = await startApp(t, { env: { ...env, BASE_PATH: '/docker' } });
  t.equal((await app.send('GET', '/healthz')).status, 200);
  t.equal((await app.send('GET', '/metrics')).status, 401);
  t.equal((await app.send('GET', '/docker/metrics')).status, 401);
});
