import { request as plainRequest } from 'node:http';
import { request } from 'node:https';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { launchBrowser } from '../engine/browser.ts';
import { run } from '../engine/commands.ts';
import { freePort, startFrontProxy } from '../engine/front-proxies.ts';
import { unlessMissing } from '../engine/missing.ts';
import { installPackages } from '../engine/packages.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { createPerson } from '../support/people.ts';
import { openTab } from './support.ts';

const password = 'correct horse battery';
const spoofed = '203.0.113.9';
const proxies = [
  { kind: 'nginx', base: '/docker' },
  { kind: 'haproxy', base: '' },
] as const;

/** The program behind a proxy with TLS; undefined where this machine has none. */
async function start(t: Test, { kind, base }: (typeof proxies)[number]) {
  const port = await freePort();
  const app = await startApp(t, {
    env: {
      AUTH: 'password',
      ADMIN_PASSWORD: password,
      TRUST_PROXY: '127.0.0.1',
      // Direct requests of this test are of another address.
      ALLOWED_HOSTS: `localhost:${port},127.0.0.1`,
      PUBLIC_URL: `https://localhost:${port}${base}`,
      ...(base && { BASE_PATH: base }),
    },
    prepare: (engine) => engine.addContainer({ name: 'web', state: 'running' }),
  });
  const proxy = await unlessMissing(t, () => startFrontProxy(kind, port, app.url));
  if (!proxy) return undefined;
  t.teardown(proxy.stop);
  return { app, proxy, port, url: `https://localhost:${port}${base}` };
}

type Attempt = { url: string; from: string; ca?: string; headers?: Record<string, string> };

/** Signs in with a wrong password from an address of this machine; gives the status. */
function tryPassword({ url, from, ca, headers = {} }: Attempt): Promise<number> {
  const { hostname, port, pathname, protocol } = new URL(`${url}/login`);
  const body = 'username=admin&password=wrong';
  const type = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) };
  const send = protocol === 'https:' ? request : plainRequest;
  const options = {
    port,
    path: pathname,
    method: 'POST',
    localAddress: from,
    ...(ca && { ca }),
    agent: false as const,
  };
  return new Promise((resolve, reject) => {
    const host = hostname === 'localhost' ? { host: '127.0.0.1', servername: 'localhost' } : { host: hostname };
    const sent = send(
      { ...options, ...host, headers: { host: `${hostname}:${port}`, ...type, ...headers } },
      (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** The addresses that the audit has for sign-ins that went wrong. */
async function clientsOf(app: TestApp): Promise<string[]> {
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  const entries = JSON.parse((await admin.get('/api/audit')).text) as { client: string; result: string }[];
  return entries.filter(({ result }) => result !== 'done').map(({ client }) => client);
}

/** The status of a handshake that the page of an origin asks for. */
function openSocket(url: string, ca: string, origin: string): Promise<number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace('https:', 'wss:')}/live?topic=containers`, { ca, origin });
    socket.on('unexpected-response', (_request, answer) => {
      resolve(answer.statusCode ?? 0);
      socket.terminate();
    });
    socket.on('open', () => {
      resolve(101);
      socket.terminate();
    });
    socket.on('error', () => {});
  });
}

for (const wanted of proxies) {
  t.test(`somebody works behind ${wanted.kind}, as the documentation sets it up`, async (t) => {
    const world = await start(t, wanted);
    if (!world) return;
    const { app, proxy, url } = world;
    const browser = await unlessMissing(t, launchBrowser);
    if (!browser) return;
    t.teardown(() => browser.close());
    const tab = await openTab(browser, `${url}/containers`, { live: false, ignoreHTTPSErrors: true });
    t.teardown(tab.close);
    const { page } = tab;
    t.equal(page.url().split('?')[0], `${url}/login`, 'to the sign-in, under the same path');
    await page.fill('[name=username]', 'admin');
    await page.fill('[name=password]', password);
    await tab.follow('.sign-in button');
    t.equal(page.url(), `${url}/containers`);
    await tab.untilLive();
    app.engine.addContainer({ name: 'website' });
    await tab.sees('tr[data-name=website]');
    const cookies = await page.context().cookies();
    t.ok(cookies.length >= 2 && cookies.every(({ secure, httpOnly }) => secure && httpOnly), 'cookies go by TLS only');
    t.ok(cookies.every(({ path }) => path === (wanted.base || '/')));
    t.equal(
      cookies.some(({ name }) => name.startsWith('__Host-')),
      wanted.base === '',
    );

    await page.goto(`${url}/containers/web/logs`);
    await tab.untilLive();
    app.engine.writeLog('web', 'a line that came later');
    await tab.sees('#log-lines >> text=a line that came later');
    await tab.follow('.sign-out button');
    t.equal(page.url().split('?')[0], `${url}/login`);
    await page.goto(`${url}/containers`);
    t.equal(page.url().split('?')[0], `${url}/login`, 'signed out');
    t.strictSame(tab.faults, []);

    t.equal(await openSocket(url, proxy.certificate, 'https://evil.example'), 403);
    t.equal(
      await openSocket(url, proxy.certificate, new URL(url).origin.replace(/:\d+$/, '')),
      403,
      'nor another port',
    );
    t.equal(await openSocket(url, proxy.certificate, new URL(url).origin), 401, 'its own page, which is not signed in');

    const headers = { 'x-forwarded-for': spoofed, 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' };
    t.equal(await tryPassword({ url, from: '127.0.0.5', ca: proxy.certificate, headers }), 401, 'not 421');
    t.strictSame(await clientsOf(app).then((clients) => clients.filter((client) => client === '127.0.0.5').length), 1);
    t.equal(await tryPassword({ url: app.url + wanted.base, from: '127.0.0.9', headers }), 401);
    const clients = await clientsOf(app);
    t.ok(clients.includes('127.0.0.9'), 'around the proxy, somebody is who they are');
    t.notOk(clients.includes(spoofed), 'and nobody is who they say');
  });
}

for (const wanted of proxies) {
  t.test(`${wanted.kind} speaks modern TLS only, as the documentation sets it up`, async (t) => {
    const world = await start(t, wanted);
    if (!world) return;
    await unlessMissing(t, () => installPackages(['sslscan']));
    const flags = ['--no-colour', '--no-heartbleed', '--no-check-certificate', '--no-groups'];
    const stdout = await run('sslscan', [...flags, `127.0.0.1:${world.port}`]);
    for (const old of ['SSLv2', 'SSLv3', 'TLSv1.0', 'TLSv1.1']) t.match(stdout, new RegExp(`^${old} +disabled`, 'm'));
    for (const now of ['TLSv1.2', 'TLSv1.3']) t.match(stdout, new RegExp(`^${now} +enabled`, 'm'));
    const ciphers = [...stdout.matchAll(/^(?:Preferred|Accepted) +TLSv1\.\d +(\d+) bits +(\S+)/gm)];
    t.ok(ciphers.length >= 4, `${ciphers.length} ciphers`);
    const weak = ciphers.filter(
      ([, bits, name = '']) => Number(bits) < 128 || !/^(TLS_(AES|CHACHA20)|ECDHE-.*(GCM|POLY1305))/.test(name),
    );
    t.strictSame(weak, []);
    t.match(stdout, /Session renegotiation not supported|Secure session renegotiation supported/);
  });
}
