import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { tables } from '../../src/routes/access.ts';
import { startFairlead } from '../e2e/support.ts';
import { createSimulatedEngine, type SimulatedEngine } from '../simulated/engine.ts';
import { type Answer, call, until } from '../support/app.ts';
import { dockerConfig } from '../support/docker-config.ts';
import { createPerson, type Person } from '../support/people.ts';
import { startReceiver } from '../support/receivers.ts';

// Whatever this program knows that is secret, it tells nobody who did not ask to see it, its own log included.

const words: string[] = [];

/** A secret that can be recognised wherever it turns up. */
function secret(name: string): string {
  const word = `Leak${name}Zq7`;
  words.push(word);
  return word;
}

const inEnvironment = {
  DB_PASSWORD: secret('EnvPassword'),
  API_TOKEN: secret('EnvToken'),
  DATABASE_URL: `postgres://robot:${secret('EnvUrl')}@db:5432/shop`,
  JAVA_OPTS: `-Ddb.password=${secret('EnvOption')} -Xmx1g`,
};
const inLabels = {
  'lab.secret': secret('LabelName'),
  'lab.proxy': `https://robot:${secret('LabelUrl')}@proxy.example/`,
  'lab.note': `token=${secret('LabelValue')}`,
};
const inCommand = [
  ...['serve', '--password', secret('CommandFlag'), `--api-key=${secret('CommandOption')}`],
  `Authorization: Bearer ${secret('CommandBearer')}`,
];
const inEntrypoint = ['/init', `--token=${secret('Entrypoint')}`];
const inHealthcheck = [
  'CMD-SHELL',
  `curl -H "Authorization: Bearer ${secret('HealthBearer')}" localhost; mysqladmin --password=${secret('HealthFlag')} ping`,
];
const inImage = {
  env: [`IMAGE_SECRET=${secret('ImageEnv')}`],
  labels: { 'lab.key': secret('ImageLabel') },
  command: ['serve', `--token=${secret('ImageCommand')}`],
  entrypoint: ['/init', '--passphrase', secret('ImageEntrypoint')],
};
const inHistory = [
  { createdBy: `ENV SECRET_KEY=${secret('HistoryEnv')}`, size: 0 },
  { createdBy: `RUN /bin/sh -c curl https://robot:${secret('HistoryUrl')}@example.org/x`, size: 1_000 },
  { createdBy: `ARG NPM_TOKEN=${secret('HistoryArg')}`, size: 0 },
];
const inHost = { LogConfig: { Type: 'splunk', Config: { 'splunk-token': secret('LogDriver') } } };
const inEngine = `login at https://robot:${secret('EngineUrl')}@registry.example failed, password=${secret('EngineWord')}`;

const own = {
  admin: secret('AdminPassword'),
  others: secret('OtherPassword'),
  wrong: secret('WrongPassword'),
  registry: secret('RegistryPassword'),
  entered: secret('EnteredPassword'),
  channel: secret('ChannelUrl'),
  token: secret('ChannelToken'),
  mail: secret('MailPassword'),
  key: `${secret('SecretKey')}-which-is-long-enough-for-a-key`,
};

const reference = 'registry.test/lab/web:1';
const labels = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web', ...inLabels };

function fill(engine: SimulatedEngine) {
  engine.publish(reference, { ...inImage, layers: inHistory });
  engine.pullImage(reference);
  engine.addContainer({
    name: 'web',
    image: reference,
    env: inEnvironment,
    labels,
    command: inCommand,
    config: { Entrypoint: inEntrypoint, StopTimeout: 0 },
    hostConfig: inHost,
    healthcheck: inHealthcheck,
    health: 'healthy',
  });
  engine.addContainer({ name: 'db', env: inEnvironment, labels: inLabels, command: inCommand, state: 'exited' });
  const newer = { ...inImage, env: [`IMAGE_SECRET=${secret('NewerEnv')}`, `OTHER_TOKEN=${secret('AddedEnv')}`] };
  engine.publish(reference, { ...newer, command: ['serve', '--token', secret('NewerCommand')], layers: inHistory });
}

/** The program as a process of its own, so that all that it prints is seen. */
async function start(t: Test) {
  const engine = await createSimulatedEngine();
  fill(engine);
  const receiver = await startReceiver(t);
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-secrets-'));
  const program = await startFairlead(engine.host, {
    AUTH: 'password',
    ADMIN_PASSWORD: own.admin,
    SECRET_KEY: own.key,
    SMTP_URL: `smtp://robot:${own.mail}@127.0.0.1:1`,
    SMTP_FROM: 'fairlead@example.org',
    ALERT_PRIVATE_TARGETS: '127.0.0.1',
    DOCKER_CONFIG: dockerConfig(t, { 'registry.test': `robot:${own.registry}` }),
    DATA_DIR: dataDir,
    LOG_LEVEL: 'trace',
    STATS_INTERVAL: '1',
  });
  t.teardown(async () => {
    await program.stop();
    await engine.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const send = (method: string, path: string, headers?: Record<string, string>, body?: string) =>
    call(program.url + path, method, headers, body);
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const app = {
    send,
    get: (path: string, headers?: Record<string, string>) => send('GET', path, headers),
    form: (path: string, fields: Record<string, string> = {}, headers: Record<string, string> = {}) =>
      send('POST', path, { ...form, ...headers }, new URLSearchParams(fields).toString()),
  };
  await until(async () => (await send('GET', '/readyz')).status === 200, 'the engine is known', 20_000);
  return { engine, program, app, dataDir, receiver };
}

type App = Awaited<ReturnType<typeof start>>['app'];

async function signIn(app: App, name: string, password: string): Promise<Person> {
  const person = createPerson(app);
  if ((await person.signIn(name, password)).status !== 303) throw new Error(`${name} could not sign in`);
  return person;
}

/** Which secrets are in a text, as they are or as addresses and pages write them. */
const found = (text: string, among: readonly string[] = words) => among.filter((word) => text.includes(word));

const head = ({ headers }: Answer) => `${headers.location ?? ''} ${headers['content-disposition'] ?? ''}`;

/** Addresses in a page that lead into this program; of each path only some, since filters make very many. */
function linksIn(text: string): string[] {
  const targets = [...text.matchAll(/\b(?:href|action|formaction|src|hx-get|hx-post|hx-ws:connect)="(\/[^"]*)"/g)];
  return targets.map(([, target = '']) => target.replaceAll('&amp;', '&').replace(/#.*/, ''));
}

/** Reads all that somebody can get at, by every route and by every link; tells what they were shown that is secret. */
async function readAll(person: Pick<Person, 'get'>, imageHex: string, id: string) {
  const named: Record<string, string> = { ':project': 'shop', ':n': '1', ':file': 'none' };
  const ofRoutes = tables.routes
    .filter((route) => route.startsWith('GET ') && route !== 'GET /live' && route !== 'GET /logout')
    .flatMap((route) => {
      const path = route.slice(4).replace(/:(project|n|file)/g, (part) => named[part] ?? part);
      const ids = path.includes('/images/') ? [imageHex, encodeURIComponent(reference)] : ['web', 'db', id];
      return path.includes(':id') ? ids.map((each) => path.replace(':id', each)) : [path];
    });
  const leaks: string[] = [];
  const urls: string[] = [];
  const seen = new Set<string>();
  const perPath = new Map<string, number>();
  const waiting = [...ofRoutes];
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    const [bare = '', query = ''] = path.split('?');
    const read = perPath.get(bare) ?? 0;
    if (seen.has(path) || read >= (query ? 3 : 1) || /^\/(logout|live)\b|follow=1/.test(path) || seen.size > 500)
      continue;
    seen.add(path);
    perPath.set(bare, read + 1);
    const answer = await person.get(path);
    leaks.push(...found(answer.text + head(answer)).map((word) => `${path} (${answer.status}): ${word}`));
    const links = [...linksIn(answer.text), ...(answer.headers.location ? [answer.headers.location] : [])];
    urls.push(path, ...links);
    waiting.push(...links.filter((link) => link.startsWith('/') && !seen.has(link)));
  }
  return { leaks, urls, count: seen.size };
}

/** Follows every topic; gives all that came. */
async function follow(url: string, headers: Record<string, string>, imageHex: string, id: string) {
  const topics = [
    ...['containers', `container:${id}`, `head:${id}`, 'project:shop', 'images', `image:${imageHex}`, `stats:${id}`],
    ...['dashboard', 'operations', 'operation:1', 'events', 'timeline:web', 'alerts'],
  ];
  const kinds = topics.map((topic) => topic.split(':')[0]);
  const sockets = topics.map((topic) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/live?topic=${encodeURIComponent(topic)}`, { headers });
    const frames: string[] = [];
    socket.on('message', (data) => frames.push(data.toString()));
    socket.on('error', () => {});
    return { topic, socket, frames };
  });
  await until(() => sockets.every(({ frames }) => frames.length > 0), 'every topic tells something');
  return {
    kinds,
    leaks: () => sockets.flatMap(({ topic, frames }) => found(frames.join('\n')).map((word) => `${topic}: ${word}`)),
    text: (wanted: string) => sockets.find(({ topic }) => topic === wanted)?.frames.join('\n') ?? '',
    close: () => {
      for (const { socket } of sockets) socket.terminate();
    },
  };
}

/** Answers to what was sent with something wrong in it, or what the engine fails at. */
async function provoke(app: App, admin: Person, engine: SimulatedEngine): Promise<string[]> {
  const leaks: string[] = [];
  const look = (name: string, answer: Answer) =>
    leaks.push(...found(answer.text + head(answer)).map((word) => `${name} (${answer.status}): ${word}`));
  const json = (body: string) =>
    app.send('POST', '/api/users', admin.headers({ 'content-type': 'application/json' }), body);
  look('a wrong sign-in', await app.form('/login', { username: 'admin', password: own.wrong }));
  look('a password for a name', await app.form('/login', { username: own.wrong, password: 'x' }));
  look('a wrong code', await app.form('/setup', { code: own.wrong, username: 'x', password: own.wrong }));
  look('broken JSON', await json(`{"password": ${own.wrong}`));
  look('a wrong user', await json(JSON.stringify({ username: '', password: own.wrong, role: own.wrong.length })));
  look('a wrong token', await app.get('/api/containers', { authorization: `Bearer ${own.wrong}` }));
  look('a wrong session', await app.get('/containers', { cookie: `fairlead_session=${own.wrong}` }));
  const login = { username: 'robot', password: own.entered };
  look('a wrong reference', await admin.form('/images/pull', { reference: 'NO SUCH', ...login }));
  look(
    'a wrong channel',
    await admin.json('POST', '/api/alerts/channels', { kind: 'webhook', name: 'x', url: `ftp://${own.channel}/` }),
  );
  const broken = engine.faults.status(500, JSON.stringify({ message: inEngine }), 'application/json', {
    path: /(kill|pause|\/create|prune|history)$/,
  });
  for (const path of ['/containers/web/kill', '/containers/web/pause', '/images/prune']) {
    look(path, await admin.form(path));
    look(`${path} as htmx`, await admin.form(path, {}, { 'hx-request': 'true' }));
    look(`${path} as JSON`, await admin.json('POST', `/api${path}`));
  }
  look('a pull', await admin.json('POST', '/api/images/pull', { reference, ...login }));
  look('a rebuild', await admin.json('POST', '/api/containers/web/rebuild', login));
  await untilIdle(admin);
  broken.remove();
  return leaks;
}

/** Nothing works any more. */
const untilIdle = (admin: Person) =>
  until(
    async () => {
      const all = JSON.parse((await admin.get('/api/operations')).text) as { finishedAt: string | null }[];
      return all.every(({ finishedAt }) => finishedAt !== null);
    },
    'all work has ended',
    30_000,
  );

const filesOf = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.startsWith('fairlead.db'))
    .map((name) => readFileSync(join(folder, name), 'latin1'))
    .join('');

t.test('no secret is shown to anybody who did not ask for it, logged, or put into an address', async (t) => {
  const { engine, program, app, dataDir, receiver } = await start(t);
  const admin = await signIn(app, 'admin', own.admin);
  for (const role of ['viewer', 'operator']) {
    t.equal((await admin.json('POST', '/api/users', { username: role, password: own.others, role })).status, 200);
  }
  const [viewer, operator] = [await signIn(app, 'viewer', own.others), await signIn(app, 'operator', own.others)];
  const made = await admin.json('POST', '/api/tokens', { name: 'reads', capabilities: ['read'] });
  const { token } = JSON.parse(made.text) as { token: string };
  const channel = { kind: 'webhook', name: 'Hook', url: `${receiver.url}/${own.channel}`, token: own.token };
  t.equal((await admin.json('POST', '/api/alerts/channels', channel)).status, 200);
  const rule = { kind: 'died', name: 'Deaths', channels: [1] };
  t.equal((await admin.json('POST', '/api/alerts/rules', rule)).status, 200);
  const { id } = engine.container('web');
  const imageHex = engine.image(reference).id.replace('sha256:', '');

  await admin.json('POST', '/api/images/check');
  await untilIdle(admin);
  const people: Record<string, Pick<Person, 'get' | 'headers'>> = {
    nobody: createPerson(app),
    viewer,
    operator,
    admin,
    token: {
      get: (path) => app.get(path, { authorization: `Bearer ${token}` }),
      headers: () => ({ authorization: `Bearer ${token}` }),
    },
  };
  const followers = await Promise.all(
    ['viewer', 'admin'].map((name) => follow(program.url, people[name]?.headers() ?? {}, imageHex, id)),
  );
  const kinds = new Set(followers.flatMap((each) => each.kinds));
  t.strictSame(
    tables.topics.filter((kind) => !kinds.has(kind)),
    ['logs'],
    'every topic is followed but that of logs, which are shown as they are',
  );

  // What engines tell of health checks has their whole command in it.
  const action = `exec_create: ${inHealthcheck.slice(1).join(' ')}`;
  engine.emit({ type: 'container', action, id, attributes: { name: 'web', image: reference, ...inLabels } });
  // It is told some seconds later, and looked at in the end.
  engine.start('db');
  engine.die('db', 3);
  t.strictSame(await provoke(app, admin, engine), [], 'answers to what went wrong');

  const urls: string[] = [];
  for (const [name, person] of Object.entries(people)) {
    const { leaks, urls: theirs, count } = await readAll(person, imageHex, id);
    t.strictSame(leaks, [], `${name} reads ${count} addresses`);
    urls.push(...theirs);
  }

  for (const [name, person] of Object.entries({ viewer, operator })) {
    const refused = await person.form('/containers/web/reveal');
    t.equal(refused.status, 403, name);
    t.strictSame(found(refused.text), [], `${name} can't have them shown`);
  }
  const revealed = found((await admin.form('/containers/web/reveal')).text);
  for (const word of [...Object.values(inEnvironment), ...Object.values(inLabels), ...inCommand]) {
    for (const each of found(word)) t.ok(revealed.includes(each), `an admin who asks is shown ${each}`);
  }

  const rebuilt = await admin.json('POST', '/api/containers/web/rebuild', { username: 'robot', password: own.entered });
  t.equal(rebuilt.status, 202);
  const isNew = (each: { name: string; id: string; state: string }) =>
    each.name === 'web' && each.id !== id && each.state === 'running';
  await until(() => engine.containers().some(isNew), 'the new one runs');
  engine.health('web', 'healthy');
  await untilIdle(admin);
  t.match(JSON.parse((await admin.get('/api/operations')).text)[0], { state: 'succeeded' });
  t.strictSame((await readAll(admin, imageHex, id)).leaks, [], 'nor after a rebuild');
  await until(() => followers.every((each) => each.text('timeline:web').includes('Rebuil')), 'those who look are told');
  for (const each of followers) {
    t.strictSame(each.leaks(), [], 'over the socket');
    each.close();
  }

  await until(() => receiver.got.length > 0, 'the death is told', 20_000);
  t.strictSame(found(JSON.stringify(receiver.got.map(({ body }) => body))), [], 'what is sent to a channel');

  const sessions = [admin, viewer, operator]
    .flatMap(({ cookies }) => [...cookies.values()])
    .filter((value) => value.length > 20);
  t.ok(sessions.length >= 3);
  const keys = [token, ...sessions];
  t.ok(urls.length > 500, `${urls.length} addresses`);
  t.strictSame(
    urls.flatMap((url) => found(decodeURIComponent(url.replaceAll('+', ' ')), [...words, ...keys])),
    [],
    'in addresses',
  );

  await program.stop();
  const log = program.output();
  t.match(log, /"level":10|"level":20|incoming request/, 'it logs all that it can');
  t.strictSame(found(log, [...words, ...keys]), [], 'in the log');
  const kept = filesOf(dataDir);
  t.ok(kept.includes('SQLite format 3'));
  t.strictSame(found(kept, [...Object.values(own), ...keys]), [], 'in the database: sealed, hashed, or not kept');
});
