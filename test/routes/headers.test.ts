import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { viewsFolder } from '../../src/render.ts';
import { type Answer, startApp } from '../support/app.ts';
import { findAll, parseHtml } from '../support/page.ts';
import { createPerson } from '../support/people.ts';
import { addressOf, watchRoutes } from '../support/routes.ts';

const password = 'correct horse battery';
const env = { AUTH: 'password', ADMIN_PASSWORD: password };

const policy = [
  "default-src 'self'",
  "script-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'self'",
  "frame-src 'none'",
  "object-src 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types fairlead',
].join(';');

/** What every answer has, whatever it is; undefined is what none may have. */
const everywhere: Record<string, string | undefined> = {
  'content-security-policy': policy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-embedder-policy': undefined,
  'origin-agent-cluster': '?1',
  'referrer-policy': 'same-origin',
  'strict-transport-security': undefined,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'SAMEORIGIN',
  'x-permitted-cross-domain-policies': 'none',
  'x-powered-by': undefined,
  server: undefined,
  'access-control-allow-origin': undefined,
  'cache-control': 'no-store',
};

/** Where an answer has another value than all others. */
const elsewhere: Record<string, Record<string, string>> = {
  '/favicon.svg': { 'cache-control': 'public, max-age=86400' },
  '/favicon.ico': { 'cache-control': 'public, max-age=86400' },
  '/embed.css': { 'cache-control': 'public, max-age=3600', 'cross-origin-resource-policy': 'cross-origin' },
  // What good links have is told beside their origins.
  ...Object.fromEntries(
    ['', '/fragment', '/badge.svg', '/colours.css', '/live'].map((tail) => [
      `/embed/:link${tail}`,
      { 'referrer-policy': 'no-referrer' },
    ]),
  ),
};
const assetHeaders = {
  'cache-control': 'public, max-age=31536000, immutable',
  'cross-origin-resource-policy': 'cross-origin',
};

/** How the headers of an answer differ from the table. */
function faultsOf({ headers }: Answer, expected: Record<string, string | undefined> = {}): string[] {
  const wrong = Object.entries({ ...everywhere, ...expected })
    .filter(([name, value]) => headers[name] !== value)
    .map(([name, value]) => `${name}: ${headers[name]}, not ${value}`);
  const permissions = headers['permissions-policy'] ?? '';
  if (!/\bcamera=\(\).*\bgeolocation=\(\).*\bmicrophone=\(\).*\bpayment=\(\).*\busb=\(\)/.test(permissions))
    wrong.push(`permissions-policy: ${permissions}`);
  if (!/\bclipboard-write=\(self\).*\bpublickey-credentials-get=\(self\)/.test(permissions)) wrong.push(permissions);
  if (!/^[\w-]{8,}$/.test(headers['x-request-id'] ?? '')) wrong.push('no request id');
  return wrong;
}

/** What the policy forbids in a page: scripts and styles in it, handlers, addresses that are scripts. */
const isInline = ({ tag, attributes }: { tag: string; attributes: Record<string, string | undefined> }) =>
  (tag === 'script' && !attributes.src) ||
  tag === 'style' ||
  tag === 'base' ||
  Object.entries(attributes).some(
    ([name, value]) => /^(style|on.*|hx-on.*|srcdoc)$/.test(name) || /^\s*javascript:/i.test(value ?? ''),
  );

/** What a cookie lacks. */
function cookieFaults(answer: Answer, isSecure: boolean, path = '/'): string[] {
  return (answer.headers['set-cookie'] ?? '')
    .split('\n')
    .filter(Boolean)
    .filter((cookie) => {
      const parts = cookie.toLowerCase().split(/; */);
      const hasFlags = parts.includes('httponly') && parts.some((part) => /^samesite=(lax|strict)$/.test(part));
      return (
        !hasFlags ||
        !parts.includes(`path=${path}`) ||
        parts.some((part) => part.startsWith('domain=')) ||
        (isSecure && !(parts.includes('secure') && cookie.startsWith('__Host-')))
      );
    });
}

t.test('every route has the headers of the table, whoever asks, and nothing in it that they forbid', async (t) => {
  const routes = watchRoutes(t);
  const app = await startApp(t, { env, prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  const signedIn = admin.headers();
  const wrong: string[] = [];
  const statuses = new Set<number>();
  let pages = 0;
  const look = (what: string, answer: Answer, expected?: Record<string, string>) => {
    statuses.add(answer.status);
    wrong.push(...faultsOf(answer, expected).map((fault) => `${what}: ${fault}`));
    wrong.push(...cookieFaults(answer, false).map((cookie) => `${what}: ${cookie}`));
    if (!answer.headers['content-type']?.startsWith('text/html')) return;
    pages++;
    for (const { tag } of findAll(parseHtml(answer.text), isInline)) wrong.push(`${what}: inline <${tag}>`);
  };
  for (const route of routes) {
    const [method = '', path = ''] = route.split(' ');
    if (/^\/(logout|account\/sign-out-everywhere)$/.test(path)) continue;
    for (const headers of [{}, signedIn]) {
      look(route, await app.send(method, addressOf(path).replaceAll('/nobody', '/web'), headers), elsewhere[path]);
    }
  }
  t.ok(routes.size > 100 && pages > 60, `${routes.size} routes, ${pages} pages and fragments`);

  const { text } = await app.get('/login');
  for (const [, asset = ''] of text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g))
    look(asset, await app.get(asset), assetHeaders);
  look('a wrong host', await app.get('/containers', { host: 'evil.example' }));
  look('another site', await app.form('/login', {}, { origin: 'https://evil.example' }));
  look('a body that is no JSON', await admin.json('POST', '/api/users', undefined, { 'content-type': 'text/xml' }));
  look('what is not there', await app.get('/nowhere', signedIn));
  look('what is not there for programs', await app.get('/api/nowhere', signedIn));
  look('a sign-in that is wrong', await app.form('/login', { username: 'x', password: 'y' }));
  look('preferences', await admin.form('/preferences', { theme: 'dark', logWrap: 'off' }));
  look('the end', await admin.form('/logout'));
  t.strictSame(wrong, []);
  for (const status of [200, 303, 400, 401, 403, 404, 421]) t.ok(statuses.has(status), `${status} was among them`);
});

t.test('who has to wait is told so with the same headers', async (t) => {
  const app = await startApp(t, { env: { MAX_REQUESTS_PER_MINUTE: '1' }, waits: false });
  await app.get('/containers');
  for (const path of ['/containers', '/api/containers', '/fragments/containers', '/nowhere']) {
    const answer = await app.get(path);
    t.equal(answer.status, 429, path);
    t.strictSame(faultsOf(answer), [], path);
  }
});

t.test('what is no HTTP, or no address, is refused with headers too', async (t) => {
  const app = await startApp(t);
  for (const path of ['/%zz', '/api/%zz']) {
    const { status, headers } = await app.get(path);
    t.equal(status, 400);
    t.match(headers['content-type'], /^(text\/plain|application\/problem\+json)/);
    t.equal(headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'");
    t.equal(headers['x-content-type-options'], 'nosniff');
    t.equal(headers['cache-control'], 'no-store');
  }
  const ask = (bytes: string) =>
    new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = connect(Number(new URL(app.url).port), '127.0.0.1', () => socket.write(bytes));
      socket.on('error', reject);
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('close', () => resolve(text));
    });
  for (const [bytes, status] of [
    ['nonsense\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`, 431],
  ] as const) {
    const answer = await ask(bytes);
    t.match(answer, `HTTP/1.1 ${status} `);
    t.match(answer, /\r\nX-Content-Type-Options: nosniff\r\n/);
    t.match(answer, /\r\nContent-Security-Policy: default-src 'none'/);
    t.match(answer, /\r\nCache-Control: no-store\r\n/);
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    t.match(head, `Content-Length: ${body.length}\r\n`.trim());
  }
});

t.test('browsers are bound to TLS where the whole host name is ours', async (t) => {
  const hsts = async (more: Record<string, string>) => {
    const app = await startApp(t, { env: more, waits: false });
    return (await app.send('GET', `${more.BASE_PATH ?? ''}/containers`)).headers['strict-transport-security'];
  };
  t.equal(await hsts({ PUBLIC_URL: 'https://docker.example' }), 'max-age=31536000');
  t.equal(await hsts({ PUBLIC_URL: 'http://docker.example' }), undefined);
  t.equal(await hsts({ PUBLIC_URL: 'https://home.example/docker', BASE_PATH: '/docker' }), undefined);
  t.equal(await hsts({ PUBLIC_URL: 'https://home.example/docker' }), undefined);
});

t.test('every cookie is bound to this host and to TLS where it can be', async (t) => {
  const forwarded = { 'x-forwarded-proto': 'https' };
  const app = await startApp(t, {
    env: { ...env, PUBLIC_URL: 'https://docker.example', TRUST_PROXY: '127.0.0.1' },
    prepare: (engine) => engine.addContainer({ name: 'web', state: 'running' }),
  });
  const person = createPerson(app);
  const answers = [
    await person.form('/login', { username: 'admin', password }, forwarded),
    await person.form('/preferences', { theme: 'dark', density: 'roomy', logSize: 'large' }, forwarded),
    await person.form('/containers/web/stop', {}, forwarded),
    await person.get('/containers', forwarded),
  ];
  t.strictSame([...person.cookies.keys()].sort(), [
    '__Host-density',
    '__Host-fairlead',
    '__Host-fairlead_device',
    '__Host-logSize',
    '__Host-theme',
  ]);
  t.match(answers[2]?.headers['set-cookie'], '__Host-fairlead_message=', 'a message is on its way');
  t.match(answers[3]?.headers['set-cookie'], '__Host-fairlead_message=;', 'and was taken');
  t.match(answers[3]?.text, 'data-density="roomy" data-theme="dark"');
  answers.push(await person.form('/logout', {}, forwarded));
  t.strictSame(
    answers.flatMap((answer) => cookieFaults(answer, true)),
    [],
  );
  const planted = await app.get('/login', { ...forwarded, cookie: 'theme=dark' });
  t.notMatch(planted.text, 'data-theme', 'what another service under this name sets, is not ours');

  const below = await startApp(t, { env: { ...env, BASE_PATH: '/docker', TRUST_PROXY: '127.0.0.1' } });
  const signIn = await below.form('/login', { username: 'admin', password }, forwarded);
  t.match(signIn.headers['set-cookie'], /fairlead_session=.*Secure/);
  t.strictSame(cookieFaults(signIn, false, '/docker'), []);
});

t.test('what a trusted proxy forwards is an address, a scheme and a host, or is refused', async (t) => {
  const app = await startApp(t, { env: { TRUST_PROXY: '127.0.0.1', ALLOWED_HOSTS: '127.0.0.1,docker.example' } });
  const hostile: [header: string, value: string][] = [
    ['x-forwarded-for', '<b>x</b>'],
    ['x-forwarded-for', '192.0.2.1:80'],
    ['x-forwarded-for', '192.0.2.1, unknown'],
    ['x-forwarded-proto', 'javascript'],
    ['x-forwarded-proto', 'https://evil.example/'],
    ['x-forwarded-host', 'docker.example/evil'],
    ['x-forwarded-host', 'docker.example"onload="x'],
    ['x-forwarded-host', 'user@docker.example'],
    ['x-forwarded-host', 'docker.example:80:80'],
  ];
  for (const [header, value] of hostile) {
    const { status, text } = await app.get('/api/containers', { [header]: value });
    t.equal(status, 400, `${header}: ${value}`);
    t.match(JSON.parse(text), { code: 'invalid', detail: new RegExp(`^${header}:`, 'i') });
  }
  for (const [header, value] of [
    ['x-forwarded-for', '198.51.100.7, 2001:db8::1'],
    ['x-forwarded-proto', 'https'],
    ['x-forwarded-host', 'docker.example:8443'],
  ] as const)
    t.equal((await app.get('/api/containers', { [header]: value })).status, 200, `${header}: ${value}`);
  const distrusting = await startApp(t);
  for (const [header, value] of hostile)
    t.equal((await distrusting.get('/api/containers', { [header]: value })).status, 200, 'others are not read');
});

t.test('cookies are set in one place, and no template has anything inline', async (t) => {
  const routes = new URL('../../src/routes/', import.meta.url).pathname;
  const setters = readdirSync(routes).filter((name) =>
    /\b(setCookie|clearCookie)\(|['"]set-cookie['"]/i.test(readFileSync(join(routes, name), 'utf8')),
  );
  t.strictSame(setters, ['cookies.ts']);
  const views = readdirSync(viewsFolder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.eta'));
  t.ok(views.length > 50, `${views.length} templates`);
  const inline = views.filter((name) =>
    /<script(?![^>]*\bsrc=)|<style|\s(style|on\w+|hx-on[\w:-]*|srcdoc)\s*=\s*["']|javascript:/i.test(
      readFileSync(join(viewsFolder, name), 'utf8'),
    ),
  );
  t.strictSame(inline, []);
});
