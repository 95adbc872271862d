import { connect } from 'node:net';
import fastify from 'fastify';
import t from 'tap';
import { accessOfRoute } from '../../src/routes/access.ts';
import { call, startApp, until } from '../support/app.ts';
import { findAll, parseHtml } from '../support/page.ts';

t.test('a host name that is not this server gets 421', async (t) => {
  const app = await startApp(t);
  for (const host of [
    'evil.example',
    'evil.example:3000',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
  ])
    t.equal((await app.get('/containers', { host })).status, 421, host);
  t.match(JSON.parse((await app.get('/api/containers', { host: 'evil.example' })).text), { code: 'misdirected' });
  for (const host of ['localhost', 'localhost:3000', '127.0.0.1:3000', '[::1]:3000', '127.0.0.2', 'LOCALHOST'])
    t.equal((await app.get('/containers', { host })).status, 200, host);

  const named = await startApp(t, { env: { ALLOWED_HOSTS: 'docker.home, other.home:8443' }, waits: false });
  const ask = async (host: string) => (await named.send('GET', '/containers', { host })).status;
  t.equal(await ask('docker.home'), 200);
  t.equal(await ask('docker.home:3000'), 200);
  t.equal(await ask('Docker.Home'), 200);
  t.equal(await ask('other.home:8443'), 200);
  t.equal(await ask('other.home'), 421);
  t.equal(await ask('evil.example'), 421);
});

t.test('a change that another site sends is refused', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const refused: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'nonsense' },
    { origin: app.url.replace(/:\d+$/, ':1') },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', origin: app.url },
  ];
  for (const headers of refused) {
    for (const path of ['/containers/web/stop', '/api/containers/web/stop', '/preferences', '/nowhere']) {
      const { status, text } = await app.form(path, { theme: 'dark' }, headers);
      t.equal(status, 403, `${path} ${JSON.stringify(headers)}`);
      if (path.startsWith('/api')) t.match(JSON.parse(text), { code: 'forbidden' });
    }
  }
  t.equal(app.engine.container('web').state, 'running');
  for (const headers of [{ origin: app.url }, { 'sec-fetch-site': 'same-origin' }, { 'sec-fetch-site': 'none' }, {}])
    t.equal((await app.form('/preferences', { theme: 'dark' }, headers)).status, 303, JSON.stringify(headers));
  t.equal(
    (await app.get('/containers', { 'sec-fetch-site': 'cross-site' })).status,
    200,
    'a link from elsewhere may lead here',
  );
});

t.test('behind a proxy, only its own forwarded headers are believed', async (t) => {
  const forwarded = { 'x-forwarded-host': 'docker.home', 'x-forwarded-proto': 'https' };
  const distrusting = await startApp(t);
  t.equal((await distrusting.form('/preferences', {}, { ...forwarded, origin: 'https://docker.home' })).status, 403);
  const app = await startApp(t, { env: { TRUST_PROXY: '127.0.0.1', ALLOWED_HOSTS: 'docker.home,127.0.0.1' } });
  t.equal((await app.form('/preferences', {}, { ...forwarded, origin: 'https://docker.home' })).status, 303);
  const limited = await startApp(t, {
    env: { TRUST_PROXY: '127.0.0.0/8', MAX_REQUESTS_PER_MINUTE: '3' },
    waits: false,
  });
  const ask = async (client: string) => (await limited.get('/containers', { 'x-forwarded-for': client })).status;
  for (let n = 0; n < 3; n++) t.equal(await ask('192.0.2.1'), 200);
  t.equal(await ask('192.0.2.1'), 429);
  t.equal(await ask('192.0.2.2'), 200, 'each client behind it has its own count');
});

t.test('too many requests of one client are told when to come back', async (t) => {
  const app = await startApp(t, { env: { MAX_REQUESTS_PER_MINUTE: '5' }, waits: false });
  const style = /href="(\/assets\/[^"]+)"/.exec((await app.get('/containers')).text)?.[1] ?? '';
  for (let n = 0; n < 10; n++) {
    t.equal((await app.get(style)).status, 200, 'static files are not counted');
    t.equal((await app.get('/healthz')).status, 200, 'nor is health');
    t.not((await app.get('/readyz')).status, 429);
  }
  for (let n = 0; n < 4; n++) t.equal((await app.get('/containers')).status, 200);
  const api = await app.get('/api/containers');
  t.equal(api.status, 429);
  t.match(api.headers['content-type'], 'application/problem+json');
  t.match(JSON.parse(api.text), { status: 429, code: 'rate_limited' });
  const seconds = Number(api.headers['retry-after']);
  t.ok(seconds > 0 && seconds <= 60, `Retry-After: ${seconds}`);
  t.equal((await app.get('/nowhere')).status, 429, 'a page that is not there counts too');
  t.equal(
    (await app.get('/containers', { 'x-forwarded-for': '192.0.2.9' })).status,
    429,
    'and nobody talks himself out',
  );
  t.equal((await app.get(style)).status, 200);
  const other = await fromAddress(app.url, '127.0.0.2');
  t.match(other, /^HTTP\/1\.1 200/, 'another client is not locked out');
});

/** The first line of an answer to a client of this machine with another address. */
function fromAddress(url: string, localAddress: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port), localAddress });
    socket.on('error', reject);
    socket.once('data', (data) => {
      resolve(data.toString().split('\r\n')[0] ?? '');
      socket.destroy();
    });
    socket.write('GET /containers HTTP/1.1\r\nHost: localhost\r\n\r\n');
  });
}

t.test('a body is small, and a form or JSON', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const post = (type: string, body: string) =>
    app.send('POST', '/api/containers/web/remove', { 'content-type': type }, body);
  const large = await post('application/json', JSON.stringify({ force: true, x: 'x'.repeat(70_000) }));
  t.equal(large.status, 413);
  t.match(JSON.parse(large.text), { code: 'too_large' });
  t.equal((await post('application/x-www-form-urlencoded', `x=${'x'.repeat(70_000)}`)).status, 413);
  t.equal((await post('text/xml', '<force/>')).status, 415);
  t.match(JSON.parse((await post('application/json', '{"force":')).text), { status: 400, code: 'invalid' });
  t.match(JSON.parse((await post('application/json', '{"force":"maybe"}')).text), { status: 400, code: 'invalid' });
  t.equal((await post('application/json', '{"force":[]}')).status, 400);
  t.equal((await post('application/json', '[]')).status, 400);
  t.equal((await post('application/json', '{"__proto__":{"force":true}}')).status, 400);
  t.equal(app.engine.container('web').state, 'running');
});

t.test('a route without an entry in the access table does not start', async (t) => {
  t.throws(() => accessOfRoute(['GET'], '/api/secrets'), /GET \/api\/secrets is not in the access table/);
  t.equal(accessOfRoute(['HEAD'], '/containers'), 'read');
  t.throws(() => accessOfRoute(['GET', 'PUT'], '/containers'), /is not in the access table/, 'for each of its methods');
  t.throws(() => accessOfRoute(['GET', 'POST'], '/users/:n/remove'), /is not in the access table/);
  const app = fastify();
  app.addHook('onRoute', ({ method, url }) => void accessOfRoute([method].flat(), url));
  t.throws(() => app.get('/forgotten', () => ''), /not in the access table/);
  await app.close();
});

t.test('a sub-path stands before every address', async (t) => {
  const app = await startApp(t, {
    env: { BASE_PATH: '/docker/' },
    prepare: (engine) => {
      engine.addContainer({
        name: 'web',
        image: 'lab/web:1',
        labels: { 'com.docker.compose.project': 'shop' },
        ports: ['8080:80'],
      });
    },
  });
  const image = app.engine.image('lab/web:1').id.replace('sha256:', '');
  const paths = [
    '/containers',
    '/containers/web',
    '/containers/web/logs',
    '/containers/web/stats',
    '/containers/web/remove',
    '/projects/shop',
    '/images',
    `/images/${image}`,
    '/nowhere',
  ];
  for (const path of paths) {
    const { text } = await app.get(path);
    for (const { attributes } of findAll(parseHtml(text), () => true)) {
      for (const name of ['href', 'src', 'action', 'formaction', 'hx-get', 'hx-post', 'hx-ws:connect']) {
        const value = attributes[name];
        if (value?.startsWith('/')) t.match(value, /^\/docker\//, `${path}: ${name}`);
      }
    }
  }
  t.equal((await app.send('GET', '/containers')).status, 404, 'nothing is served outside of it');
  t.equal((await app.send('GET', '/healthz')).status, 200, 'but health');
  const start = await app.get('/');
  t.equal(start.headers.location, '/docker/containers');
  const form = await app.form('/containers/web/stop', {}, { referer: `${app.url}/elsewhere` });
  t.match(form.headers.location, /^\/docker\/containers\//);
  t.match(form.headers['set-cookie'], /Path=\/docker/);
  const live = app.live('/live?topic=containers');
  await until(() => live.text().includes('href="/docker/containers/'), 'frames have it too');
});

t.test('EMBED_ORIGINS may frame and fetch fragments, and nothing else', async (t) => {
  const app = await startApp(t, { env: { EMBED_ORIGINS: 'https://home.example' } });
  const origin = 'https://home.example';
  const { headers } = await app.get('/fragments/containers', { origin });
  t.match(headers['content-security-policy'], "frame-ancestors 'self' https://home.example");
  t.equal(headers['access-control-allow-origin'], origin);
  t.notOk(
    'access-control-allow-origin' in
      (await app.get('/fragments/containers', { origin: 'https://evil.example' })).headers,
  );
  for (const path of ['/containers', '/api/containers']) {
    const other = (await app.get(path, { origin })).headers;
    t.notOk('access-control-allow-origin' in other, path);
    t.match(other['content-security-policy'], /;frame-ancestors 'self';/);
  }
  t.equal((await app.form('/preferences', {}, { origin })).status, 403, 'it may read, not change');
});

t.test('preferences are kept in the browser, and lead nowhere else', async (t) => {
  const app = await startApp(t);
  const answer = await app.form('/preferences', { theme: 'dark' }, { referer: `${app.url}/images?sort=size` });
  t.equal(answer.headers.location, '/images?sort=size');
  t.match(answer.headers['set-cookie'], /^theme=dark;.*HttpOnly/);
  t.match(
    (await app.get('/containers', { cookie: 'theme=dark' })).text,
    '<html lang="en" data-density="dense" data-theme="dark"',
  );
  t.notMatch((await app.get('/containers', { cookie: 'theme=%22%3E%3Cb%3E' })).text, '<b>');
  t.equal((await app.form('/preferences', { theme: 'purple' })).status, 400);
});

t.test('assets are compressed once and kept for ever', async (t) => {
  const app = await startApp(t);
  const { text } = await app.get('/containers');
  let scripts = 0;
  for (const address of [...text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map((match) => match[1] ?? '')) {
    const plain = await app.get(address);
    const gzip = await app.get(address, { 'accept-encoding': 'gzip' });
    t.equal(plain.status, 200);
    t.match(plain.headers['cache-control'], /immutable/);
    t.equal(gzip.headers['content-encoding'], 'gzip');
    t.equal(gzip.headers.vary, 'accept-encoding');
    for (const encoding of ['br', 'gzip']) {
      const answer = await fetch(app.url + address, { headers: { 'accept-encoding': encoding } });
      t.equal(answer.headers.get('content-encoding'), encoding);
      t.equal(await answer.text(), plain.text, `${address} is the same in ${encoding}`);
    }
    if (address.endsWith('.js')) scripts += Number(gzip.headers['content-length']);
  }
  t.ok(scripts > 0 && scripts < 30_000, `${scripts} bytes of JavaScript in all`);
  t.equal((await app.get('/assets/..%2f..%2fpackage.json')).status, 404);
  t.equal((await app.get('/assets/app.000000000000.js')).status, 404);
  t.equal((await app.get('/favicon.ico')).status, 200);
});

t.test('what is no HTTP at all does not end the server', async (t) => {
  const app = await startApp(t);
  const port = Number(new URL(app.url).port);
  for (const bytes of [
    'nonsense\r\n\r\n',
    'GET /containers HTTP/1.1\r\n\r\n',
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`,
  ]) {
    await new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      socket.on('error', () => {});
      socket.on('data', () => socket.destroy());
      socket.on('close', () => resolve());
    });
  }
  t.equal((await call(`${app.url}/healthz`, 'GET')).status, 200);
});
