import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { readConfig, SettingError } from '../src/config.ts';
import { createSimulatedEngine } from './simulated/engine.ts';
import { call, until } from './support/app.ts';

t.test('without any setting, everything has its default', async (t) => {
  t.match(readConfig({}), {
    host: '127.0.0.1',
    port: 3000,
    docker: { kind: 'unix', path: '/var/run/docker.sock', text: 'unix:///var/run/docker.sock' },
    dataDir: './data',
    auth: 'password',
    readOnly: false,
    enable: [],
    maxRequestsPerMinute: 600,
    basePath: '',
    trustProxy: false,
    allowedHosts: [],
    embedOrigins: [],
    statsInterval: 10,
    statsRetentionDays: 30,
    updateCheckHours: 24,
    rebuildHealthySeconds: 300,
    rebuildSteadySeconds: 10,
    dockerConfig: undefined,
    publicUrl: '',
    alertPrivateTargets: false,
    smtp: undefined,
    smtpFrom: '',
    secretKey: '',
    logLevel: 'info',
    demo: false,
    warnings: [],
  });
  t.match(
    readConfig({ PORT: '', HOST: ' ', READ_ONLY: '' }),
    { port: 3000, host: '127.0.0.1', readOnly: false },
    'empty is unset',
  );
});

t.test('every setting is read', async (t) => {
  const config = readConfig({
    HOST: '::1',
    PORT: '0',
    DOCKER_HOST: 'tcp://engine.home:1234',
    DATA_DIR: '/data',
    AUTH: 'none',
    READ_ONLY: 'TRUE',
    ENABLE: 'networks, exec,,swarm',
    MAX_REQUESTS_PER_MINUTE: '60',
    BASE_PATH: '/docker/ui/',
    TRUST_PROXY: '10.0.0.1, 192.168.0.0/16,fd00::/8',
    ALLOWED_HOSTS: 'Docker.Home,[::1]:3000',
    EMBED_ORIGINS: 'https://home.example/, http://10.0.0.2:8080',
    STATS_INTERVAL: '0',
    STATS_RETENTION_DAYS: '7',
    UPDATE_CHECK_HOURS: '0',
    REBUILD_HEALTHY_SECONDS: '86400',
    REBUILD_STEADY_SECONDS: '0',
    DOCKER_CONFIG: '/run/docker',
    LOG_LEVEL: 'debug',
    DEMO: '1',
  });
  t.match(config, {
    host: '::1',
    port: 0,
    docker: { kind: 'tcp', host: 'engine.home', port: 1234, tls: undefined },
    dataDir: '/data',
    auth: 'none',
    readOnly: true,
    enable: ['networks', 'exec', 'swarm'],
    maxRequestsPerMinute: 60,
    basePath: '/docker/ui',
    trustProxy: ['10.0.0.1', '192.168.0.0/16', 'fd00::/8'],
    allowedHosts: ['docker.home', '[::1]:3000'],
    embedOrigins: ['https://home.example', 'http://10.0.0.2:8080'],
    statsInterval: 0,
    statsRetentionDays: 7,
    updateCheckHours: 0,
    rebuildHealthySeconds: 86_400,
    rebuildSteadySeconds: 0,
    dockerConfig: '/run/docker',
    logLevel: 'debug',
    demo: true,
  });
  t.equal(readConfig({ TRUST_PROXY: 'false' }).trustProxy, false);
  t.equal(readConfig({ BASE_PATH: '/' }).basePath, '');
  t.equal(readConfig({ HOME: '/home/me' }).dockerConfig, '/home/me/.docker', "the docker command's own folder");
  t.equal(readConfig({ HOME: '/home/me', DOCKER_CONFIG: '/run/docker' }).dockerConfig, '/run/docker');
  t.strictSame(readConfig({ ENABLE: 'privileged' }).enable, ['privileged']);
});

t.test('DOCKER_HOST is read as the docker command line does', async (t) => {
  const read = (DOCKER_HOST: string, more = {}) => readConfig({ DOCKER_HOST, ...more }).docker;
  t.match(read('unix:///run/user/1000/podman/podman.sock'), {
    kind: 'unix',
    path: '/run/user/1000/podman/podman.sock',
  });
  t.match(read('tcp://10.0.0.1'), { host: '10.0.0.1', port: 2375, tls: undefined });
  t.match(read('tcp://[fd00::1]:2375'), { host: 'fd00::1', port: 2375 });
  t.match(read('tcp://10.0.0.1', { DOCKER_TLS_VERIFY: '1' }), { port: 2376, tls: { certPath: undefined } });
  t.match(read('tcp://10.0.0.1', { DOCKER_TLS_VERIFY: '' }), { port: 2375, tls: undefined });
  t.match(read('tcp://10.0.0.1', { DOCKER_TLS_VERIFY: '0' }), { port: 2376, tls: {} }, 'any text is a yes');
  const certs = fileURLToPath(new URL('fixtures/tls/client', import.meta.url));
  t.match(read('tcp://10.0.0.1', { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: certs }), { tls: { certPath: certs } });
  const HOME = mkdtempSync(join(tmpdir(), 'fairlead-home-'));
  t.teardown(() => rmSync(HOME, { recursive: true }));
  const inHome = () => read('tcp://10.0.0.1', { DOCKER_TLS_VERIFY: '1', HOME });
  t.match(inHome(), { tls: { certPath: undefined } }, 'without certificates, the folder of the command is none');
  cpSync(certs, join(HOME, '.docker'), { recursive: true });
  t.match(inHome(), { tls: { certPath: join(HOME, '.docker') } });
  t.match(read('tcp://10.0.0.1', { DOCKER_TLS_VERIFY: '1', DOCKER_CONFIG: certs, HOME }), { tls: { certPath: certs } });
  rmSync(join(HOME, '.docker/key.pem'));
  t.throws(inHome, { message: /^DOCKER_CERT_PATH=.*key\.pem/ }, 'half a set is told');
});

t.test('each wrong value is told with its variable, itself and what is allowed', async (t) => {
  const wrong: [string, string, RegExp][] = [
    ['PORT', 'http', /whole number from 0 to 65535/],
    ['PORT', '65536', /65535/],
    ['PORT', '-1', /65535/],
    ['PORT', '3000.5', /65535/],
    ['PORT', '0x10', /65535/],
    ['HOST', 'not a host', /IP address or a host name/],
    ['HOST', '127.0.0.1:3000', /IP address or a host name/],
    ['DOCKER_HOST', 'ftp://x', /unix:\/\/|tcp:\/\//],
    ['DOCKER_HOST', '/var/run/docker.sock', /unix:\/\//],
    ['DOCKER_HOST', 'unix://', /unix:\/\//],
    ['DOCKER_HOST', 'unix://relative.sock', /unix:\/\//],
    ['DOCKER_HOST', 'tcp://', /tcp:\/\//],
    ['DOCKER_HOST', 'tcp://user@host', /tcp:\/\//],
    ['DOCKER_HOST', 'tcp://host/path', /tcp:\/\//],
    ['AUTH', 'maybe', /password, proxy, none/],
    ['AUTH', 'proxy', /password or none, unless TRUST_PROXY says whose word is taken/],
    ['OIDC_ISSUER', 'login.example', /an address such as/],
    ['OIDC_ISSUER', 'http://login.example', /on this machine only/],
    ['OIDC_ISSUER', 'https://user@login.example', /an address such as/],
    ['OIDC_CLIENT_ID', 'two words', /the id of this program/],
    ['OIDC_CLIENT_SECRET_FILE', '/nowhere/secret', /a file that this program may read/],
    ['OIDC_SCOPES', 'profile', /openid among them/],
    ['OIDC_USERNAME_CLAIM', 'a claim', /the name of a claim/],
    ['OIDC_GROUPS_CLAIM', '"', /the name of a claim/],
    ['OIDC_NAME', 'x'.repeat(61), /60 characters/],
    ['PROXY_USER_HEADER', 'Remote User', /the name of a header/],
    ['PROXY_GROUPS_HEADER', 'a:b', /the name of a header/],
    ['ADMIN_PASSWORD_FILE', '/nowhere/password', /a file that this program may read/],
    ['READ_ONLY', 'yes please', /true or false/],
    ['ENABLE', 'networks,everything', /volumes/],
    ['MAX_REQUESTS_PER_MINUTE', '0', /from 1/],
    ['BASE_PATH', 'docker', /a path such as/],
    ['BASE_PATH', '/../x', /a path such as/],
    ['BASE_PATH', '/a b', /a path such as/],
    ['BASE_PATH', '//evil.example', /a path such as/],
    ['TRUST_PROXY', 'true', /false, or IP addresses and CIDRs/],
    ['TRUST_PROXY', '10.0.0.0/33', /CIDRs/],
    ['TRUST_PROXY', 'proxy.home', /CIDRs/],
    ['ALLOWED_HOSTS', 'http://docker.home', /host names/],
    ['EMBED_ORIGINS', 'home.example', /origins such as/],
    ['EMBED_ORIGINS', 'https://home.example/page', /origins such as/],
    ['EMBED_ORIGINS', '*', /origins such as/],
    ['STATS_INTERVAL', '1s', /whole number/],
    ['STATS_RETENTION_DAYS', '0', /from 1/],
    ['UPDATE_CHECK_HOURS', '-1', /whole number from 0 to 8760/],
    ['UPDATE_CHECK_HOURS', '8761', /from 0 to 8760/],
    ['UPDATE_CHECK_HOURS', 'daily', /from 0 to 8760/],
    ['REBUILD_HEALTHY_SECONDS', '0', /whole number from 1 to 86400/],
    ['REBUILD_HEALTHY_SECONDS', '5m', /from 1 to 86400/],
    ['REBUILD_STEADY_SECONDS', '3601', /whole number from 0 to 3600/],
    ['LOG_LEVEL', 'loud', /fatal, error, warn/],
    ['DEMO', '2', /true or false/],
  ];
  for (const [name, value, allowed] of wrong) {
    try {
      readConfig({ [name]: value });
      t.fail(`${name}=${value} was accepted`);
    } catch (error) {
      t.ok(error instanceof SettingError, `${name}=${value}`);
      const { message } = error as Error;
      t.ok(message.startsWith(`${name}=`), message);
      t.match(message, allowed);
      const item = value.split(',').at(-1) ?? '';
      t.ok(message.includes(item), 'and the value');
      t.notMatch(message, '\n', 'in one line');
    }
  }
  t.throws(() => readConfig({ DOCKER_HOST: 'tcp://x', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/nowhere' }), {
    message: /^DOCKER_CERT_PATH="\/nowhere"/,
  });
});

t.test('any address may be served where people sign in; where nobody does, one that others reach warns', async (t) => {
  for (const HOST of ['127.0.0.1', '::1', 'localhost', '0.0.0.0', '::', '192.168.1.5'])
    t.strictSame(readConfig({ HOST }).warnings, [], HOST);
  for (const HOST of ['127.0.0.1', '127.1.2.3', '::1', 'localhost'])
    t.strictSame(readConfig({ HOST, AUTH: 'none' }).warnings, [], HOST);
  for (const HOST of ['0.0.0.0', '::', '192.168.1.5']) {
    const warnings = readConfig({ HOST, AUTH: 'none' }).warnings.join();
    t.match(warnings, `Anybody who reaches ${HOST}:3000 controls the engine`, HOST);
  }
});

t.test('the password of the first admin is read, also from a file, and never shown', async (t) => {
  const ADMIN_PASSWORD = 'correct horse battery';
  const folder = t.testdir({ long: `${ADMIN_PASSWORD}\n`, short: 'hunter2\n' });
  const inFile = (name: string) => ({ ADMIN_PASSWORD_FILE: join(folder, name) });
  t.equal(readConfig({}).adminPassword, '');
  t.equal(readConfig({ ADMIN_PASSWORD }).adminPassword, ADMIN_PASSWORD);
  t.equal(readConfig(inFile('long')).adminPassword, ADMIN_PASSWORD);
  const warnings = readConfig({ ADMIN_PASSWORD, AUTH: 'none' }).warnings.join();
  t.match(warnings, 'ADMIN_PASSWORD protects nothing: AUTH is none.');
  t.notMatch(warnings, ADMIN_PASSWORD);
  for (const [env, secret] of [
    [{ ADMIN_PASSWORD: 'hunter2' }, 'hunter2'],
    [inFile('short'), 'hunter2'],
    [{ ADMIN_PASSWORD: 'h2'.repeat(101) }, 'h2h2'],
    [{ ADMIN_PASSWORD: 'h2h2h2h2h2' }, 'h2h2'],
  ] as const) {
    try {
      readConfig(env);
      t.fail('it was accepted');
    } catch (error) {
      t.ok(error instanceof SettingError);
      t.match((error as Error).message, /^ADMIN_PASSWORD="…" can't be used\. Allowed: 8 to 200 characters, [^\n]*$/);
      t.notMatch((error as Error).message, secret);
    }
  }
});

// ── the process ──

type Run = { child: ChildProcess; out: () => string; err: () => string; code: Promise<number | null> };

/** The program as a process, where nobody has to sign in unless `env` says otherwise. */
function start(t: Test, env: Record<string, string>): Run {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-config-'));
  const entry = fileURLToPath(new URL('../src/start.js', import.meta.url));
  const child = spawn(process.execPath, [entry], {
    env: { PATH: process.env.PATH, PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'warn', AUTH: 'none', ...env },
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  t.teardown(() => {
    child.kill('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  });
  const code = new Promise<number | null>((resolve) => child.on('exit', (exit) => resolve(exit)));
  return { child, out: () => out, err: () => err, code };
}

async function ready(run: Run): Promise<string> {
  await until(() => /listening at http\S+/.test(run.out()), `the ready line; ${run.err()}`, 20_000);
  return /http[^\s,]+/.exec(run.out())?.[0] ?? '';
}

t.test('a wrong setting ends the start with one line and code 1', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  const cases: [Record<string, string>, RegExp][] = [
    [{ PORT: 'http' }, /^PORT="http" can't be used\. Allowed: .*\n$/],
    [{ AUTH: 'proxy' }, /^AUTH="proxy" can't be used\. Allowed: password or none, .*\n$/],
    [{ AUTH: 'password', ADMIN_PASSWORD: 'hunter2' }, /^ADMIN_PASSWORD="…" can't be used\. Allowed: .*\n$/],
    [{ PORT: String(port) }, new RegExp(`^PORT=${port} is in use by another program\\.\\n$`)],
    [{ HOST: 'no-such-host.invalid' }, /^HOST[^\n]*no-such-host\.invalid[^\n]*\n$/],
    [{ DATA_DIR: '/proc/nowhere' }, /^DATA_DIR[^\n]*\n$/],
  ];
  for (const [env, line] of cases) {
    const run = start(t, { DOCKER_HOST: 'unix:///nowhere.sock', ...env });
    t.equal(await run.code, 1, JSON.stringify(env));
    t.match(run.err(), line);
    t.notMatch(run.out(), 'listening', 'and is never ready');
  }
});

t.test('without an engine it starts, says so and keeps trying', async (t) => {
  const socketPath = join(tmpdir(), `engine-${process.pid}-late.sock`);
  const run = start(t, { DOCKER_HOST: `unix://${socketPath}` });
  const url = await ready(run);
  t.match(run.out(), /^Fairlead listening at http:\/\/127\.0\.0\.1:\d+$/m, 'one line, with the port that was picked');
  t.match((await call(`${url}/containers`, 'GET')).text, 'Cannot connect to the Docker daemon at unix://');
  t.equal((await call(`${url}/healthz`, 'GET')).status, 200);
  t.equal((await call(`${url}/readyz`, 'GET')).status, 503);
  const engine = await createSimulatedEngine({ socketPath });
  t.teardown(() => engine.close());
  await until(async () => (await call(`${url}/readyz`, 'GET')).status === 200, 'it is found', 8_000);
  run.child.kill('SIGTERM');
  t.equal(await run.code, 0);
});

t.test('a first start tells the one address that makes an admin, and no start after that does', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-first-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const env = { DOCKER_HOST: 'unix:///nowhere.sock', DATA_DIR: dataDir, AUTH: 'password' };
  const first = start(t, { ...env, HOST: '0.0.0.0', BASE_PATH: '/sub', PUBLIC_URL: 'https://docker.example/sub' });
  await ready(first);
  const atName = / and to be set up at https:\/\/docker\.example\/sub\/setup\?code=[\w-]{22}$/m;
  t.match(first.out(), atName, 'under the address that people reach it by, where that is known');
  first.child.kill('SIGTERM');
  await first.code;

  const second = start(t, env);
  const url = await ready(second);
  const line =
    /^Fairlead listening at http:\/\/127\.0\.0\.1:\d+ and to be set up at (http:\/\/127\.0\.0\.1:\d+\/setup\?code=[\w-]{22})$/m;
  const address = line.exec(second.out())?.[1] ?? '';
  t.equal((await call(`${url}/containers`, 'GET')).status, 303, 'nobody gets in before');
  t.equal((await call(address, 'GET')).status, 200);
  const form = { code: new URL(address).searchParams.get('code') ?? '', username: 'ann', password: 'correct horse' };
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  t.equal((await call(`${url}/setup`, 'POST', type, new URLSearchParams(form).toString())).status, 303);
  second.child.kill('SIGTERM');
  await second.code;

  const third = start(t, { ...env, ADMIN_PASSWORD: 'correct horse battery' });
  await ready(third);
  t.match(third.out(), /^Fairlead listening at http:\/\/127\.0\.0\.1:\d+$/m, 'there is an admin, and no address');
});

t.test('with a password for it, the first start makes the admin itself', async (t) => {
  const ADMIN_PASSWORD = 'correct horse battery';
  const run = start(t, { DOCKER_HOST: 'unix:///nowhere.sock', AUTH: 'password', ADMIN_PASSWORD, LOG_LEVEL: 'trace' });
  const url = await ready(run);
  t.notMatch(run.out(), 'setup');
  const form = new URLSearchParams({ username: 'admin', password: ADMIN_PASSWORD }).toString();
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await call(`${url}/login`, 'POST', type, form);
  t.match(answer, { status: 303, headers: { location: '/containers' } });
  run.child.kill('SIGTERM');
  await run.code;
  t.notMatch(run.out() + run.err(), ADMIN_PASSWORD, 'which no log tells');
});

t.test('SIGTERM and SIGINT drain: sockets are told to come back, the database is closed', async (t) => {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  engine.addContainer({ name: 'web' });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const run = start(t, { DOCKER_HOST: engine.host, STATS_INTERVAL: '1' });
    const url = await ready(run);
    const socket = new WebSocket(`${url.replace('http', 'ws')}/live?topic=logs:web&topic=containers`);
    const closed = new Promise<number>((resolve) => socket.on('close', resolve));
    await new Promise((resolve) => socket.on('open', resolve));
    // One that says nothing, and one that never ends its request.
    const silent = connect(Number(new URL(url).port), '127.0.0.1');
    const half = connect(Number(new URL(url).port), '127.0.0.1', () => half.write('GET / HTTP/1.1\r\nHost: x'));
    for (const idle of [silent, half]) idle.on('error', () => {});
    const startedAt = performance.now();
    run.child.kill(signal);
    t.equal(await closed, 1012, signal);
    t.equal(await run.code, 0);
    t.ok(performance.now() - startedAt < 5_000, `${Math.round(performance.now() - startedAt)} ms`);
    t.equal(run.err(), '');
    await until(() => engine.openStreams().length === 0, 'no stream is left');
  }
});

t.test('the database is checkpointed at the end', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-data-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const run = start(t, { DOCKER_HOST: 'unix:///nowhere.sock', DATA_DIR: dataDir });
  await ready(run);
  run.child.kill('SIGTERM');
  t.equal(await run.code, 0);
  t.strictSame(readdirSync(dataDir), ['fairlead.db'], 'one file is all that is kept');
});

t.test('a second signal exits at once', async (t) => {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  const run = start(t, { DOCKER_HOST: engine.host });
  const url = await ready(run);
  const socket = new WebSocket(`${url.replace('http', 'ws')}/live?topic=containers`);
  socket.on('error', () => {});
  await new Promise((resolve) => socket.on('open', resolve));
  // A browser that is frozen: the drain would wait for it.
  socket.pause();
  const other = new WebSocket(`${url.replace('http', 'ws')}/live?topic=images`);
  await new Promise((resolve) => other.on('open', resolve));
  const isDraining = new Promise((resolve) => other.on('close', resolve));
  run.child.kill('SIGTERM');
  await isDraining;
  const startedAt = performance.now();
  run.child.kill('SIGTERM');
  await run.code;
  t.ok(performance.now() - startedAt < 900, `${Math.round(performance.now() - startedAt)} ms`);
});

t.test('the log is one JSON object a line, with the request id that a person reads', async (t) => {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  engine.addContainer({ name: 'web' });
  const run = start(t, { DOCKER_HOST: engine.host, LOG_LEVEL: 'info' });
  const url = await ready(run);
  engine.faults.status(500, '{"message":"broken"}', 'application/json', { path: /web|[0-9a-f]{64}\/json/ });
  await call(`${url}/setup?code=one-time-code`, 'GET');
  const link = 'L'.repeat(43);
  for (const path of [`/embed/${link}/fragment?theme=dark`, `/%65mbed/${link}`, `/embed/${link}`])
    await call(url + path, 'GET');
  const { status, headers } = await call(`${url}/api/containers/web`, 'GET');
  t.equal(status, 502);
  const id = headers['x-request-id'] ?? 'none';
  const tells = () =>
    run
      .out()
      .split('\n')
      .some((line) => line.includes(id) && line.includes('engine_error'));
  await until(tells, 'the log tells of it');
  const lines = run
    .out()
    .split('\n')
    .filter((line) => line && !line.startsWith('Fairlead'));
  for (const line of lines) t.type(JSON.parse(line), 'object');
  t.match(run.out(), '/setup?code=…');
  t.notMatch(run.out(), 'one-time-code', 'what lets somebody in is not written down');
  t.match(run.out(), '/embed/…/fragment?theme=dark');
  t.notMatch(run.out(), link, 'nor is the link of an embed');
});

t.test('a database that can not be opened is told in one line', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-broken-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  writeFileSync(join(dataDir, 'fairlead.db'), 'this is no database at all, but a text that is long enough'.repeat(50));
  const run = start(t, { DOCKER_HOST: 'unix:///nowhere.sock', DATA_DIR: dataDir });
  t.equal(await run.code, 1);
  t.match(run.err(), /^DATA_DIR[^\n]*\n$/);
});

t.test('what signing in elsewhere needs is read', async (t) => {
  const oidc = {
    OIDC_ISSUER: 'https://login.example/realm',
    OIDC_CLIENT_ID: 'fairlead',
    PUBLIC_URL: 'https://docker.example',
  };
  t.match(readConfig({ ...oidc, OIDC_CLIENT_SECRET: 's', OIDC_NAME: 'Harbour', ADMIN_GROUPS: 'root, the wheel' }), {
    oidcIssuer: 'https://login.example/realm',
    oidcClientId: 'fairlead',
    oidcClientSecret: 's',
    oidcScopes: 'openid profile email groups',
    oidcUsernameClaim: 'preferred_username',
    oidcGroupsClaim: 'groups',
    oidcName: 'Harbour',
    adminGroups: ['root', 'the wheel'],
    warnings: [],
  });
  t.match(readConfig(oidc).warnings, [/^Everybody who signs in elsewhere is a viewer/]);
  t.throws(() => readConfig({ ...oidc, OIDC_CLIENT_ID: '' }), { message: /^OIDC_CLIENT_ID=/ });
  t.throws(() => readConfig({ ...oidc, PUBLIC_URL: '' }), { message: /^PUBLIC_URL=/ });
  t.match(readConfig({ ...oidc, AUTH: 'none' }).warnings, [/^OIDC_ISSUER is not used/]);
  t.match(readConfig({ AUTH: 'proxy', TRUST_PROXY: '10.0.0.1', VIEWER_GROUPS: 'staff' }), {
    auth: 'proxy',
    proxyUserHeader: 'Remote-User',
    proxyGroupsHeader: 'Remote-Groups',
    viewerGroups: ['staff'],
    warnings: [],
  });
});

t.test('what alerts need is read', async (t) => {
  const mail = (SMTP_URL: string) => readConfig({ SMTP_URL, SMTP_FROM: 'fairlead@example.org' }).smtp;
  t.same(mail('smtps://mail.example'), { host: 'mail.example', port: 465, tls: 'always' });
  t.same(mail('smtp://us%40er:p%23w@mail.example:25'), {
    host: 'mail.example',
    port: 25,
    tls: 'starttls',
    user: 'us@er',
    password: 'p#w',
  });
  t.match(mail('smtp://[::1]?tls=off'), { host: '::1', port: 587, tls: 'off' });
  t.equal(readConfig({ PUBLIC_URL: 'https://home.example/docker/' }).publicUrl, 'https://home.example/docker');
  t.equal(readConfig({ ALERT_PRIVATE_TARGETS: 'TRUE' }).alertPrivateTargets, true);
  const some = readConfig({ ALERT_PRIVATE_TARGETS: '10.0.0.0/8, fd00::1' }).alertPrivateTargets;
  t.same(some, ['10.0.0.0/8', 'fd00::1']);
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-config-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'key'), `${'k'.repeat(40)}\n`);
  t.equal(readConfig({ SECRET_KEY_FILE: join(folder, 'key') }).secretKey, 'k'.repeat(40), 'a secret also by a file');
  const clear = readConfig({ SMTP_URL: 'smtp://u:p@mail.example?tls=off', SMTP_FROM: 'a@b.example' });
  t.match(clear.warnings, [/password of the mail server goes over the network as it is/]);
});

t.test('what alerts can not use is said, and never a secret', async (t) => {
  const wrong: [Record<string, string>, RegExp][] = [
    [{ SMTP_URL: 'http://u:hunter2@mail.example', SMTP_FROM: 'a@b.example' }, /^SMTP_URL=.* Allowed: smtps:/],
    [{ SMTP_URL: 'smtps://u:hunter2@mail.example?tls=off', SMTP_FROM: 'a@b.example' }, /^SMTP_URL=/],
    [{ SMTP_URL: 'smtp://u:hunter2@mail.example/x', SMTP_FROM: 'a@b.example' }, /^SMTP_URL=/],
    [{ SMTP_URL: 'smtp://u:hunter2@mail.example?tls=maybe', SMTP_FROM: 'a@b.example' }, /^SMTP_URL=/],
    [{ SMTP_URL: 'smtp://u:hunter2@mail.example' }, /^SMTP_FROM=.* since SMTP_URL is set/],
    [{ SMTP_FROM: 'a@b.example\r\nBcc: c@d.example' }, /^SMTP_FROM=/],
    [{ SECRET_KEY: 'hunter2' }, /^SECRET_KEY=.* at least 32 random characters/],
    [{ SECRET_KEY_FILE: '/nowhere/key' }, /^SECRET_KEY_FILE="\/nowhere\/key"/],
    [{ ALERT_PRIVATE_TARGETS: 'lan' }, /^ALERT_PRIVATE_TARGETS="lan"/],
    [{ ALERT_PRIVATE_TARGETS: '10.0.0.0/40' }, /^ALERT_PRIVATE_TARGETS=/],
    [{ PUBLIC_URL: 'docker.example' }, /^PUBLIC_URL=/],
    [{ PUBLIC_URL: 'https://u:p@docker.example' }, /^PUBLIC_URL=/],
  ];
  for (const [env, message] of wrong) {
    try {
      readConfig(env);
      t.fail(`${Object.keys(env)} was taken`);
    } catch (error) {
      t.type(error, SettingError);
      t.match((error as Error).message, message);
      t.notMatch((error as Error).message, /hunter2/);
    }
  }
});
