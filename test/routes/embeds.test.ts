import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyRequest } from 'fastify';
import t, { type Test } from 'tap';
import { dropCredentials } from '../../src/routes/embed-headers.ts';
import { closeCode, startApp, type TestApp, until } from '../support/app.ts';
import { createPerson, type Person } from '../support/people.ts';

const password = 'correct horse battery';
const wiki = 'https://wiki.example';
const other = 'https://evil.example';

type Made = {
  id: number;
  view: string;
  origins: string[];
  url: string;
  usedAt: string | null;
  expiresAt: string | null;
};

const ofShop = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web' };

async function start(t: Test, env: Record<string, string> = {}) {
  const app = await startApp(t, {
    env: { AUTH: 'password', ADMIN_PASSWORD: password, ...env },
    prepare(engine) {
      engine.addContainer({ name: 'web', labels: ofShop });
      engine.addContainer({ name: 'vault' });
      engine.writeLog('web', 'flowers sold');
      engine.writeLog('vault', 'ingots counted');
    },
  });
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  return { app, admin };
}

async function make(admin: Person, body: object = {}): Promise<Made & { path: string }> {
  const answer = await admin.json('POST', '/api/embeds', { view: 'container:web', origins: [wiki], ...body });
  if (answer.status !== 200) throw new Error(answer.text);
  const made = JSON.parse(answer.text) as Made;
  return { ...made, path: new URL(made.url).pathname };
}

const told = (text: string) => (JSON.parse(text) as { detail: string }).detail;
const listed = async (admin: Person) => JSON.parse((await admin.get('/api/embeds')).text) as Made[];

t.test('an embed link is told once, kept nowhere, and shows its view to whoever has it', async (t) => {
  const { app, admin } = await start(t);
  const { path, url, ...made } = await make(admin);
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+\/embed\/[\w-]{43}$/, '256 random bits');
  t.match(made, { view: 'container:web', origins: [wiki], expiresAt: null, usedAt: null, owner: 'admin' });
  const page = await app.get(path);
  t.equal(page.status, 200);
  t.match(page.text, /class="fairlead-embed" id="embed-1".*running.*web/s);
  t.match(page.text, '<noscript><meta http-equiv="refresh" content="10"></noscript>');
  const fragment = await app.get(`${path}/fragment`);
  t.match(fragment.text.trim(), /^<section class="fairlead-embed" id="embed-1"/);
  t.notMatch(fragment.text, /<(a|form|button|script|style)\b|\son\w+=|style=/i, 'nothing that leads anywhere, or acts');
  t.notMatch(page.text, /<(a|form|button)\b/, 'nor on the page');
  t.notMatch(page.text, 'vault');
  t.equal(page.headers['set-cookie'], undefined);
  t.ok((await listed(admin))[0]?.usedAt, 'its last use is told');

  const link = path.slice('/embed/'.length);
  await app.get(`${path}/fragment`, { origin: other });
  await app.live(`${path}/live`, { headers: { origin: other } }).opened;
  // An address that is none has nothing but its text.
  for (const tail of ['', '/fragment', '/nothing']) await app.send('POST', `${path}${tail}`);
  await app.get(`${path}/nothing`, { host: 'evil.example' });
  const later = [await admin.get('/embeds'), await admin.get('/api/embeds'), await admin.get('/api/audit')];
  t.match(later[2]?.text, 'GET /embed/:link/live', 'the refusal is written down');
  const kept = readdirSync(app.dataDir).map((name) => readFileSync(join(app.dataDir, name), 'latin1'));
  t.ok(
    kept.some((content) => content.includes('container:web')),
    'the files are those that hold the links',
  );
  for (const content of [...later.map(({ text }) => text), ...kept]) t.notOk(content.includes(link));
});

t.test('every kind of view is shown as what it is', async (t) => {
  const { app, admin } = await start(t, { STATS_INTERVAL: '1' });
  const texts: Record<string, RegExp> = {
    'container:web': /data-look="tile".*<dt>CPU<\/dt>/s,
    'project:shop': /data-look="table".*<th scope="row">web<\/th>.*1\/1 running|1\/1 running.*<th scope="row">web/s,
    'logs:web': /data-look="log".*flowers sold/s,
    'logs:project:shop': /data-look="log".*class="who".*flowers sold/s,
    'stats:web': /data-look="charts"/,
    'badge:web': /<svg [^>]*aria-label="web: running/,
    'badge:project:shop': /<svg [^>]*aria-label="shop: 1\/1 running"/,
  };
  for (const [view, text] of Object.entries(texts)) {
    const { path } = await make(admin, { view });
    const fragment = await app.get(`${path}/fragment?theme=dark`);
    t.match(fragment.text, text, view);
    t.notMatch(fragment.text, /href=|vault|ingots/, `${view} leads nowhere and tells of nothing else`);
    t.match((await app.get(path)).text, text, `${view} on its page`);
    const badge = await app.get(`${path}/badge.svg`);
    t.equal(badge.status, view.startsWith('badge:') ? 200 : 404, `${view} as an image`);
    if (badge.status === 200) t.match(badge.headers['content-type'], 'image/svg+xml');
    if (badge.status === 200) t.match(badge.text, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg".*<\/svg>$/s);
  }
});

t.test(
  'a container is bound by its name: one that is made anew stays, one that has gone is told in words',
  async (t) => {
    const { app, admin } = await start(t);
    const { id } = app.engine.container('web');
    const byId = await make(admin, { view: `container:${id.slice(0, 12)}` });
    t.equal(byId.view, 'container:web');
    const log = await make(admin, { view: 'logs:web' });
    app.engine.removeContainer('web');
    const fragment = async () => (await app.get(`${byId.path}/fragment`)).text;
    await until(async () => (await fragment()).includes('Container web is not there now.'), 'it has gone');
    t.match((await app.get(log.path)).text, 'Container web is not there now.');
    app.engine.addContainer({ name: 'web', labels: ofShop });
    app.engine.writeLog('web', 'roses sold');
    await until(async () => /running/.test(await fragment()), 'it came back');
    t.match((await app.get(log.path)).text, 'roses sold');
  },
);

t.test('a page of an embed follows its own view over its socket, and nothing else', async (t) => {
  const { app, admin } = await start(t);
  const tile = app.live(`${(await make(admin)).path}/live`);
  const log = app.live(`${(await make(admin, { view: 'logs:web' })).path}/live?theme=dark`);
  t.equal(await tile.opened, 101);
  t.equal(await log.opened, 101);
  await until(() => /hx-target="#embed-1" hx-swap="outerMorph".*running/s.test(tile.text()), 'the state as it is');
  await until(() => log.text().includes('flowers sold'), 'the newest lines');
  t.match(log.text(), 'data-theme="dark"');
  app.engine.writeLog('web', 'roses sold');
  app.engine.writeLog('vault', 'ingots stolen');
  app.engine.die('vault', 3);
  app.engine.die('web', 3);
  await until(() => log.text().includes('roses sold'), 'a new line');
  await until(() => /data-state="failed"/.test(tile.text()), 'the new state');
  t.notMatch(tile.text() + log.text(), /vault|ingots|engine-status|operations-/);
  app.engine.removeContainer('web');
  await until(() => tile.text().includes('is not there now'), 'its end');
  app.engine.addContainer({ name: 'web' });
  app.engine.writeLog('web', 'tulips sold');
  await until(() => log.text().includes('tulips sold'), 'the log of the one that took its place');
});

t.test('a link opens nothing but its view', async (t) => {
  const { app, admin } = await start(t);
  const { path } = await make(admin);
  const link = path.slice('/embed/'.length);
  const bearer = { authorization: `Bearer ${link}` };
  const cookie = { cookie: `fairlead_session=${link}` };
  for (const headers of [bearer, cookie]) t.equal((await app.get('/api/containers', headers)).status, 401);
  t.equal((await app.get(`/api/containers?link=${link}`)).status, 401);
  t.equal(await app.live(`/live?topic=container:web&link=${link}`).opened, 401);
  t.equal(await app.live('/live?topic=container:web', { headers: bearer }).opened, 401);
  for (const query of [
    'view=container:vault',
    'id=vault',
    'topic=containers',
    'container=vault',
    'theme=dark&range=7d',
  ]) {
    t.equal((await app.get(`${path}/fragment?${query}`)).status, 400, query);
    t.equal((await app.get(`${path}?${query}`)).status, 400, query);
    t.equal(await app.live(`${path}/live?${query}`).opened, 400, query);
  }
  for (const tail of ['/logs', '/vault', '/fragment/vault', '/../containers', '/containers/vault']) {
    t.not((await app.get(path + tail)).status, 200, tail);
  }
  for (const method of ['POST', 'PUT', 'DELETE']) t.equal((await app.send(method, path)).status, 404, method);
  t.equal(await app.live(path).opened, 400, 'a socket at the page');
  t.equal((await app.get(`${path}/live`)).status, 400, 'a page at the socket');
  // Whoever looks may be signed in here: that must not be seen in somebody else's page.
  const signedIn = await app.get(path, admin.headers());
  t.equal(signedIn.status, 200);
  t.notMatch(signedIn.text, /<(a|form|button)\b|admin/);
  const audit = JSON.parse((await admin.get('/api/audit')).text) as { actor: string; action: string }[];
  t.ok(
    audit.every(({ action, actor }) => !action.includes('/embed/') || actor !== 'admin'),
    'nor in the audit',
  );
});

t.test('what says who somebody is never reaches an embed', async (t) => {
  const left = (access: string) => {
    const headers: Record<string, string> = { cookie: 'fairlead_session=x', authorization: 'Bearer x', accept: '*/*' };
    dropCredentials({ routeOptions: { config: { access } }, raw: { headers } } as unknown as FastifyRequest);
    return Object.keys(headers);
  };
  t.strictSame(left('embed'), ['accept']);
  t.strictSame(left('read'), ['cookie', 'authorization', 'accept']);
});

t.test('only the origins of a link may frame and fetch it', async (t) => {
  const { app, admin } = await start(t);
  const { path } = await make(admin, { origins: [wiki, 'http://home.lan:8080'] });
  const csp = async (address: string) =>
    /frame-ancestors ([^;]*)/.exec((await app.get(address)).headers['content-security-policy'] ?? '')?.[1];
  t.equal(await csp(path), `'self' ${wiki} http://home.lan:8080`);
  t.equal(await csp(`${path}/fragment`), `'self' ${wiki} http://home.lan:8080`);
  t.equal((await app.get(path)).headers['x-frame-options'], undefined);
  t.equal((await app.get(path)).headers['referrer-policy'], 'no-referrer');

  const allowed = await app.get(`${path}/fragment`, { origin: wiki });
  t.equal(allowed.headers['access-control-allow-origin'], wiki);
  t.equal(allowed.headers['access-control-allow-credentials'], undefined);
  t.equal(allowed.headers['cross-origin-resource-policy'], 'cross-origin');
  t.match(allowed.headers.vary, /origin/i);
  for (const origin of [other, 'null', 'http://wiki.example', `${wiki}:8443`, `${wiki}.evil.example`]) {
    const refused = await app.get(`${path}/fragment`, { origin });
    t.equal(refused.status, 403, origin);
    t.equal(refused.headers['access-control-allow-origin'], undefined, origin);
    t.notMatch(refused.text, 'running');
  }
  const asks = {
    'access-control-request-method': 'GET',
    'access-control-request-headers': 'hx-request,hx-current-url',
  };
  const preflight = await app.send('OPTIONS', `${path}/fragment`, { ...asks, origin: wiki });
  t.equal(preflight.status, 204);
  t.equal(preflight.headers['access-control-allow-origin'], wiki);
  t.match(preflight.headers['access-control-allow-headers'], /hx-current-url, hx-request/);
  t.equal(preflight.headers['access-control-allow-methods'], 'GET');
  const refused = await app.send('OPTIONS', `${path}/fragment`, { ...asks, origin: other });
  t.equal(refused.headers['access-control-allow-origin'], undefined);
  t.equal(
    await app.live(`${path}/live`, { headers: { origin: wiki } }).opened,
    403,
    'sockets are of pages of this server',
  );

  const closed = (await make(admin, { origins: [] })).path;
  t.equal(await csp(closed), "'none'");
  t.match((await app.get(closed)).headers['x-frame-options'], 'SAMEORIGIN');
  t.equal((await app.get(closed)).headers['cross-origin-resource-policy'], 'same-origin');
  t.equal((await app.get(`${closed}/fragment`)).status, 200, 'for servers');
  t.equal((await app.get(`${closed}/fragment`, { origin: wiki })).status, 403);
});

t.test('links that are unknown, revoked or over are told in the same words', async (t) => {
  const { app, admin } = await start(t);
  const revoked = await make(admin);
  const over = await make(admin, { expiresAt: new Date(Date.now() + 1_200).toISOString() });
  const stays = await make(admin);
  const [first, second, third] = [revoked, over, stays].map(({ path }) => app.live(`${path}/live`));
  if (!first || !second || !third) throw new Error('no sockets');
  for (const live of [first, second, third]) t.equal(await live.opened, 101);
  t.same(JSON.parse((await admin.json('DELETE', `/api/embeds/${revoked.id}`)).text), { id: revoked.id, removed: true });
  t.equal(await closeCode(first), 1008);
  t.equal(await closeCode(second), 1008, 'its time is over while a socket is open');
  t.ok(Date.now() >= Date.parse(over.expiresAt ?? ''), 'not before');
  const answers = [];
  for (const path of [revoked.path, over.path, `/embed/${'a'.repeat(43)}`, '/embed/x', '/embed/..%2f..']) {
    for (const tail of ['', '/fragment', '/badge.svg', '/colours.css', '/live'])
      answers.push(await app.get(path + tail));
    answers.push(await app.get(`${path}/fragment`, { 'hx-request': 'true', origin: other }));
    t.equal(await app.live(`${path}/live`).opened, 404);
    t.equal((await app.send('OPTIONS', `${path}/fragment`, { origin: wiki })).status, 404);
  }
  const forms = new Set(
    answers.map(({ status, text, headers }) => `${status} ${text} ${headers['content-security-policy']}`),
  );
  t.equal(forms.size, 1, [...forms].join('\n'));
  t.match([...forms][0], /^404 There is no such embed link, or it has ended\./);
  t.equal(third.socket.readyState, third.socket.OPEN);
  t.equal((await app.get(stays.path)).status, 200);
  t.equal((await admin.json('DELETE', `/api/embeds/${revoked.id}`)).status, 404);
  t.equal((await admin.form(`/embeds/${stays.id}/remove`)).status, 303);
  t.equal(await closeCode(third), 1008);
});

t.test('a link ends when who made it is locked, removed, or no admin any more', async (t) => {
  const { app, admin } = await start(t);
  const ends: Record<string, (id: number) => Promise<{ status: number }>> = {
    locked: (id) => admin.json('POST', `/api/users/${id}`, { locked: true }),
    removed: (id) => admin.json('DELETE', `/api/users/${id}`),
    demoted: (id) => admin.json('POST', `/api/users/${id}`, { role: 'viewer' }),
    limited: (id) => admin.json('POST', `/api/users/${id}`, { projects: ['shop'] }),
  };
  const own = await make(admin);
  for (const [username, end] of Object.entries(ends)) {
    const user = JSON.parse((await admin.json('POST', '/api/users', { username, password, role: 'admin' })).text);
    const maker = createPerson(app);
    await maker.signIn(username, password);
    const made = await make(maker);
    const token = JSON.parse(
      (await maker.json('POST', '/api/tokens', { name: 'ci', capabilities: ['admin', 'read'] })).text,
    ) as { token: string };
    const byToken = await app.send(
      'POST',
      '/api/embeds',
      { authorization: `Bearer ${token.token}`, 'content-type': 'application/json' },
      '{"view":"container:web","origins":[]}',
    );
    const second = new URL((JSON.parse(byToken.text) as Made).url).pathname;
    const live = app.live(`${made.path}/live`);
    t.equal(await live.opened, 101);
    t.equal((await end((user as { id: number }).id)).status, 200);
    t.equal(await closeCode(live), 1008, username);
    t.equal((await app.get(made.path)).status, 404, username);
    t.equal((await app.get(second)).status, 404, `${username}: what their token made`);
  }
  t.equal((await app.get(own.path)).status, 200, 'of others not');
});

t.test('what is asked for wrongly is told by its field', async (t) => {
  const { app, admin } = await start(t);
  const wrong: [object, number, RegExp][] = [
    [{ view: 'engine' }, 400, /^view: must be one of container:<name>/],
    [{ view: 'container:' }, 400, /^view: /],
    [{ view: 'container:../version' }, 400, /./],
    [{ view: 'container:nobody' }, 404, /Container nobody not found/],
    [{ view: 'project:nothing' }, 404, /Project nothing not found/],
    ...[
      '*',
      'wiki.example',
      'https://wiki.example/',
      'https://wiki.example/x',
      'javascript:alert(1)',
      'null',
      'https://a;script-src',
      "https://a' *",
      'HTTPS://wiki.example',
      'https://u:p@wiki.example',
      'https://*.example',
    ].map((origin): [object, number, RegExp] => [{ origins: [origin] }, 400, /^origins: takes exact origins/]),
    [{ origins: Array.from({ length: 21 }, (_, n) => `https://a${n}.example`) }, 400, /^origins: 20 at most/],
    [{ expiresAt: '2020-01-01' }, 400, /^expiresAt: must be in the future/],
    [{ expiresAt: 'soon' }, 400, /^expiresAt: /],
  ];
  for (const [body, status, detail] of wrong) {
    const answer = await admin.json('POST', '/api/embeds', { view: 'container:web', origins: [], ...body });
    t.equal(answer.status, status, JSON.stringify(body));
    t.match(told(answer.text), detail);
  }
  t.same(await listed(admin), []);
  const { path } = await make(admin);
  for (const query of ['accent=red', 'accent=%23ff', 'accent=fff;}body{x', 'text=url(x)', 'theme=blue']) {
    t.equal((await app.get(`${path}/colours.css?${query}`)).status, 400, query);
    t.equal((await app.get(`${path}?${query}`)).status, 400, query);
  }
  const page = await app.get(`${path}?theme=light&accent=%23ff0000&surface=eee`);
  t.match(page.text, `href="${path}/colours.css?accent=%23ff0000&amp;surface=eee"`);
  const sheet = await app.get(`${path}/colours.css?accent=%23ff0000&surface=eee`);
  t.match(sheet.text, /^:root \{\n[^}]*--fairlead-accent: #ff0000;\n[^}]*\}\n$/);
});

t.test('an admin makes links by a form, and is shown how to use them', async (t) => {
  const { admin } = await start(t);
  const form = await admin.get('/embeds?view=logs:project:shop');
  t.match(form.text, /<option value="logs:project:" selected>/);
  t.match(form.text, /name="name"[^>]*value="shop"/);
  const page = await admin.form('/embeds', { kind: 'badge:', name: 'web', origins: `${wiki}, http://home.lan:8080` });
  const url = /http:\/\/[^"<]*\/embed\/[\w-]{43}/.exec(page.text)?.[0] ?? '';
  for (const snippet of [`&lt;iframe src=&quot;${url}&quot;`, `hx-get=&quot;${url}/fragment`, `${url}/badge.svg`]) {
    t.match(page.text, snippet);
  }
  t.match(page.text, `<iframe class="embed-preview" src="${new URL(url).pathname}"`);
  t.match(page.headers['content-security-policy'], "frame-src 'self'", 'which it may');
  const later = await admin.get('/embeds');
  t.notMatch(later.text, url.slice(-43));
  t.match(later.headers['content-security-policy'], "frame-src 'none'");
  t.match((await admin.get('/containers/web')).text, '/embeds?view=container:web');
  t.match((await admin.get('/containers/web/logs')).text, '/embeds?view=logs:web');
  t.match((await admin.get('/projects/shop')).text, '/embeds?view=project:shop');
});

t.test('the colours of embeds are those of pages', async (t) => {
  const sheet = (name: string) => readFileSync(new URL(`../../public/${name}`, import.meta.url), 'utf8');
  const own = sheet('embed.css').match(/light-dark\(oklch\([^)]*\), oklch\([^)]*\)\)/g) ?? [];
  t.ok(own.length > 8);
  t.strictSame(
    own.filter((colours) => !sheet('app.css').includes(colours)),
    [],
  );
  const { app } = await start(t);
  const served = await app.get('/embed.css');
  t.equal(served.headers['cross-origin-resource-policy'], 'cross-origin', 'pages elsewhere may link to it');
  t.match(served.text, '.fairlead-embed');
});

t.test('requests by a link count to the limit as all do', async (t) => {
  const { app, admin } = await start(t, { MAX_REQUESTS_PER_MINUTE: '12' });
  const { path } = await make(admin);
  const statuses: number[] = [];
  for (let n = 0; n < 14; n++) statuses.push((await app.get(`${path}/fragment`)).status);
  t.equal(statuses[0], 200);
  t.equal(statuses.at(-1), 429);
});

t.test('with AUTH=none a link is still no more than its view', async (t) => {
  const app: TestApp = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  t.match((await app.get('/containers')).text, 'href="/embeds"', 'the way there');
  const { url } = JSON.parse((await app.post('/api/embeds', { view: 'container:web', origins: [] })).text) as Made;
  const { pathname } = new URL(url);
  t.notMatch((await app.get(pathname)).text, /<(a|form|button)\b/);
  t.equal((await app.get('/embed/x')).status, 404);
});
