import { connect } from 'node:net';
import t from 'tap';
import { startApp } from '../support/app.ts';
import { createPerson } from '../support/people.ts';

const password = 'correct horse battery';

/** All that a server says to some bytes until it ends the connection; nothing is sent after them. */
function say(url: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (data) => {
      answer += data.toString();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
    socket.on('close', () => resolve(answer));
  });
}

const post = (path: string, ...headers: string[]) =>
  [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    'Content-Type: application/x-www-form-urlencoded',
    ...headers,
    '',
    '',
  ].join('\r\n');

t.test('who sends byte by byte loses the connection, in the headers and in the body', async (t) => {
  const app = await startApp(t, { bounds: { requestMs: 200 } });
  const [headers, body] = await Promise.all([
    say(app.url, 'GET /containers HTTP/1.1\r\nHost: localhost\r\nX-Slow:'),
    say(app.url, `${post('/preferences', 'Content-Length: 1000')}theme=`),
  ]);
  t.match(headers, /^HTTP\/1\.1 408 /);
  t.match(body, /^HTTP\/1\.1 408 /);
  t.equal((await app.get('/containers')).status, 200);
});

t.test('connections beyond the most are closed unread, and there is room again when others end', async (t) => {
  const app = await startApp(t, { bounds: { maxConnections: 2 } });
  const held = await Promise.all(
    [1, 2].map(async () => {
      const live = app.live('/live?topic=containers');
      t.equal(await live.opened, 101);
      return live;
    }),
  );
  t.equal(await say(app.url, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'), '');
  held[0]?.socket.terminate();
  const answer = async (): Promise<string> =>
    (await say(app.url, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')) || answer();
  t.match(await answer(), /^HTTP\/1\.1 200 /);
});

t.test(
  'a request whose end can be read in two ways is refused and nothing behind it is taken for another',
  async (t) => {
    const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
    const hidden = post('/containers/web/stop', 'Content-Length: 0');
    for (const headers of [
      ['Content-Length: 4', 'Transfer-Encoding: chunked'],
      ['Transfer-Encoding: chunked', 'Content-Length: 4'],
      ['Content-Length: 0', 'Content-Length: 4'],
      ['Transfer-Encoding: xchunked'],
      ['Transfer-Encoding: chunked, identity'],
      ['Content-Length: +0'],
      ['Content-Length : 0'],
    ]) {
      const answer = await say(app.url, `${post('/preferences', ...headers)}0\r\n\r\n${hidden}`);
      t.match(answer, /^HTTP\/1\.1 400 /, headers.join(' and '));
      t.equal(answer.split('HTTP/1.1 ').length, 2, 'one answer');
    }
    t.equal(app.engine.container('web').state, 'running');
  },
);

t.test('the method is the one of the request, whatever else names another', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  for (const name of ['x-http-method-override', 'x-http-method', 'x-method-override'])
    t.equal((await app.get('/containers/web/stop?_method=POST', { [name]: 'POST' })).status, 404, name);
  for (const method of ['TRACE', 'PROPFIND', 'PUT', 'DELETE'])
    t.ok([404, 405].includes((await app.send(method, '/containers/web')).status), method);
  t.equal(app.engine.container('web').state, 'running');
});

t.test('assets are those that there are, and no path leads out of them', async (t) => {
  const app = await startApp(t);
  for (const path of [
    '../package.json',
    '..%2fpackage.json',
    '%2e%2e/package.json',
    '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    '..%5cpackage.json',
    '..%252fpackage.json',
    'app.js%00.css',
    '%2fetc%2fpasswd',
    '__proto__',
    'constructor',
  ]) {
    const { status, text } = await app.get(`/assets/${path}`);
    t.ok(status === 404 || status === 400, path);
    t.notMatch(text, /root:|"dependencies"/, path);
  }
});

t.test('two who have the code of the first start at once make one admin', async (t) => {
  const app = await startApp(t, { env: { AUTH: 'password' } });
  const code = app.app.setupPath().slice('/setup?code='.length);
  const answers = await Promise.all(
    ['captain', 'thief', 'other'].map((username) => app.form('/setup', { code, username, password })),
  );
  t.strictSame(answers.map(({ status }) => status).sort(), [303, 403, 403]);
});

t.test('a field that is sent twice, or names a prototype, is refused or means nothing', async (t) => {
  const app = await startApp(t, { env: { AUTH: 'password', ADMIN_PASSWORD: password } });
  const send = (body: string) =>
    app.send('POST', '/login', { 'content-type': 'application/x-www-form-urlencoded' }, body);
  t.equal((await send(`username=admin&username=olga&password=${encodeURIComponent(password)}`)).status, 400);
  for (const field of ['__proto__[role]=admin', '__proto__.role=admin', 'constructor[prototype][role]=admin'])
    t.equal((await send(`username=admin&password=wrong+password&${field}`)).status, 401, field);
  t.equal(({} as { role?: string }).role, undefined);
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  for (const body of ['{"__proto__":{"role":"admin"}}', '{"constructor":{"prototype":{"role":"admin"}}}']) {
    const headers = admin.headers({ 'content-type': 'application/json' });
    t.equal((await app.send('POST', '/api/users', headers, body)).status, 400, body);
  }
  t.equal((await admin.get('/api/containers?sort=name&sort=-name')).status, 400);
});

t.test('zero bytes and addresses beyond any use are refused and break nothing', async (t) => {
  const app = await startApp(t, { env: { AUTH: 'password', ADMIN_PASSWORD: password } });
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  for (const path of ['/containers/%00', '/api/containers/web%00', '/api/images/a%00b', '/containers?q=%00'])
    t.ok((await admin.get(path)).status < 500, path);
  const zero = { name: 'o\0lga', username: 'o\0lga', password, role: 'viewer' };
  t.equal((await admin.json('POST', '/api/users', zero)).status, 400);
  t.equal((await app.get(`/containers?q=${'x'.repeat(70_000)}`)).status, 431);
  t.equal((await app.get('/healthz')).status, 200);
});

t.test('no header of a request leads a browser to another site', async (t) => {
  const app = await startApp(t);
  for (const referer of [
    'https://evil.example/images',
    '//evil.example/images',
    `${app.url}//evil.example`,
    `${app.url}/\\evil.example`,
    `${app.url}/..//evil.example`,
    'javascript:alert(1)',
    'nonsense',
  ]) {
    const { location = '' } = (await app.form('/preferences', { theme: 'dark' }, { referer })).headers;
    t.equal(new URL(location, app.url).origin, app.url, `${referer} to ${location}`);
  }
});
