import t, { type Test } from 'tap';
import { isRouteForLimited, isTopicForLimited, tables } from '../../src/routes/access.ts';
import { capabilities } from '../../src/services/capabilities.ts';
import type { ContainerSpec, SimulatedEngine } from '../simulated/engine.ts';
import { type Answer, type AppOptions, startApp, type TestApp, until } from '../support/app.ts';
import { createPerson } from '../support/people.ts';
import { have } from '../support/rebuilds.ts';

const password = 'correct horse battery';

/** A test as one of its people sees it. */
type Asker = ReturnType<typeof createPerson>;

const ofProject = (project: string, service: string) => ({
  'com.docker.compose.project': project,
  'com.docker.compose.service': service,
});

/** Starts the application with an admin who sees everything, signed in. */
async function start(t: Test, options: Pick<AppOptions, 'prepare' | 'bounds'>) {
  const app = await startApp(t, { ...options, env: { AUTH: 'password', ADMIN_PASSWORD: password } });
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  return { app, admin };
}

/** A user who sees some containers only, signed in. */
async function addLimited(app: TestApp, admin: Asker, projects: string[] | undefined, role = 'admin'): Promise<Asker> {
  const username = `limited-${role}`;
  const made = await admin.json('POST', '/api/users', { username, password, role, projects });
  if (made.status !== 200) throw new Error(made.text);
  const person = createPerson(app);
  await person.signIn(username, password);
  return person;
}

/** The headers of a token that sees some containers only. */
async function addToken(admin: Asker, projects: string[]): Promise<Record<string, string>> {
  const made = await admin.json('POST', '/api/tokens', { name: 'limited', capabilities, projects });
  return { authorization: `Bearer ${(JSON.parse(made.text) as { token: string }).token}` };
}

/** Whatever is told of what is hidden holds one of these. */
const secrets = ['vault', 'treasury', 'goldmine', 'bullion', 'ingots'];

const hidden: ContainerSpec = {
  name: 'vault',
  image: 'lab/goldmine:7',
  labels: { ...ofProject('treasury', 'vault'), owner: 'bullion' },
  networks: ['treasury_default'],
  env: ['METAL=bullion'],
};

function prepare(engine: SimulatedEngine) {
  engine.addContainer({ name: 'web', image: 'lab/web:1', labels: ofProject('shop', 'web') });
  engine.addContainer(hidden);
  engine.addContainer({ ...hidden, name: 'vault-old' });
  engine.tagImage('lab/web:1', 'lab/goldmine:web');
  engine.writeLog('web', 'flowers sold');
  engine.writeLog('vault', 'ingots counted');
}

/** Lets things happen to what is hidden: an operation that goes on, one that failed, a death with last words, a removal. */
async function happen(app: TestApp, admin: Asker) {
  app.engine.die('vault', 3);
  app.engine.removeContainer('vault-old');
  app.engine.faults.status(500, '{"message":"bullion"}', 'application/json', { method: 'POST', path: /start$/ });
  await admin.json('POST', '/api/projects/treasury/start');
  const operation = async () => JSON.parse((await admin.get('/api/operations/1')).text) as { state: string };
  await until(async () => (await operation()).state === 'failed', 'the hidden operation failed');
  const timeline = async (name: string) => (await admin.get(`/api/containers/${name}/timeline`)).text;
  await until(async () => (await timeline('vault')).includes('ingots'), 'its last words are kept');
  await until(async () => (await timeline('vault-old')).includes('"destroy"'), 'the removal is kept');
}

/** The values that are tried for each part of an address: what is there, what is hidden, and what never was. */
function valuesOf(app: TestApp): Record<string, string[]> {
  const { id } = app.engine.container('vault');
  const web = app.engine.container('web').id;
  return {
    ':id': ['web', web, web.slice(0, 12), 'vault', id, id.slice(0, 12), 'vault-old', 'nobody'],
    ':project': ['shop', 'treasury', 'nothing'],
    ':n': ['1', '99'],
    ':file': ['app.css'],
    ':link': ['A'.repeat(43)],
  };
}

/** Every address that a path stands for. */
function addresses(path: string, values: Record<string, string[]>): string[] {
  const [part] = /:\w+/.exec(path) ?? [];
  if (part === undefined) return [path];
  return (values[part] ?? []).flatMap((value) => addresses(path.replace(part, value), values));
}

const queries = ['', 'q=goldmine', 'q=ingots', 'project=treasury', 'container=vault&container=web', 'state=exited'];

const queriesOf = (path: string, isOpen: boolean) => {
  if (!isOpen) return [''];
  return path.includes(':') ? ['', 'q=ingots'] : queries;
};

/** What an address may echo, without which an answer must tell nothing. */
function withoutEcho(text: string, address: string, ids: readonly string[]): string {
  const words = address.split(/[/?&=]/).filter((word) => [...secrets, ...ids, 'vault-old'].includes(word));
  return words.sort((a, b) => b.length - a.length).reduce((left, word) => left.replaceAll(word, ''), text);
}

t.test('no page, fragment or answer tells who sees some containers only of another', async (t) => {
  const { app, admin } = await start(t, { prepare });
  const limited = await addLimited(app, admin, ['shop']);
  const token = await addToken(admin, ['shop']);
  await happen(app, admin);
  const { id } = app.engine.container('vault');
  const ids = [id, id.slice(0, 12)];
  const values = valuesOf(app);
  const gets = tables.routes.filter((route) => route.startsWith('GET ') && route !== 'GET /live');
  t.ok(gets.length > 60, `${gets.length} routes are asked`);
  const told = (text: string) => [...secrets, ...ids].filter((word) => text.includes(word));
  const leaks: string[] = [];
  const known = new Set<string>();
  let answers = 0;

  async function ask(address: string, isOpen: boolean, who: string, headers: Record<string, string>) {
    const answer = await app.get(address, headers);
    answers++;
    if (answer.status >= 500) leaks.push(`${who} ${address}: ${answer.status}`);
    // What is asked for in a wrong way is refused for that.
    if (!isOpen && ![400, 403].includes(answer.status))
      leaks.push(`${who} ${address}: ${answer.status} instead of 403`);
    const words = told(withoutEcho(answer.text + JSON.stringify(answer.headers), address, ids));
    if (words.length > 0) leaks.push(`${who} ${address}: ${words}`);
  }

  for (const route of gets) {
    const path = route.slice('GET '.length);
    const isOpen = isRouteForLimited(['GET'], path);
    if (path === '/logout') continue;
    for (const address of addresses(path, values)) {
      for (const query of queriesOf(path, isOpen)) {
        const full = query ? `${address}?${query}` : address;
        await ask(full, isOpen, 'user', limited.headers());
        if (path.startsWith('/api/')) await ask(full, isOpen, 'token', token);
      }
      for (const word of told((await admin.get(address)).text)) known.add(word);
    }
  }
  t.strictSame(leaks, []);
  t.ok(answers > 300, `${answers} answers were read`);
  t.strictSame(
    [...secrets, ...ids].filter((word) => !known.has(word)),
    [],
    'who sees all is told every word',
  );
});

t.test('what is hidden answers as what never was', async (t) => {
  const { app, admin } = await start(t, { prepare });
  const limited = await addLimited(app, admin, ['shop']);
  await happen(app, admin);
  const { id } = app.engine.container('vault');
  const strange = 'e'.repeat(64);
  const pairs: [string, string][] = [
    ['vault', 'nobody'],
    ['vault-old', 'nobody-old'],
    [id, strange],
    [id.slice(0, 12), strange.slice(0, 12)],
  ];
  const alike = (answer: Answer, name: string) => [
    answer.status,
    answer.text.replaceAll(name, 'NAME').replace(/"requestId":"[^"]*"|<code>[^<]*<\/code>|\d+ (s|ms) ago/g, ''),
  ];
  const same = async (method: string, one: string, other: string, names: [string, string], body?: object) => {
    const [a, b] = [await limited.json(method, one, body), await limited.json(method, other, body)];
    t.strictSame(alike(a, names[0]), alike(b, names[1]), `${method} ${one}`);
    return a.status;
  };
  for (const [name, unknown] of pairs) {
    for (const prefix of ['', '/fragments', '/api']) {
      for (const tail of ['', '/logs', '/stats', '/timeline', '/rebuild']) {
        const path = (ref: string) => `${prefix}/containers/${ref}${tail}`;
        t.equal(await same('GET', path(name), path(unknown), [name, unknown]), 404, path(name));
      }
    }
    for (const action of ['start', 'stop', 'kill', 'remove', 'rebuild']) {
      const path = (ref: string) => `/api/containers/${ref}/${action}`;
      t.equal(await same('POST', path(name), path(unknown), [name, unknown], {}), 404, path(name));
    }
    t.equal(await same('POST', `/containers/${name}/reveal`, `/containers/${unknown}/reveal`, [name, unknown]), 404);
    await same('GET', `/api/logs?container=${name}`, `/api/logs?container=${unknown}`, [name, unknown]);
    await same('GET', `/logs?container=${name}`, `/logs?container=${unknown}`, [name, unknown]);
  }
  const names: [string, string] = ['treasury', 'nothing'];
  for (const tail of ['', '/logs', '/rebuild']) {
    t.equal(await same('GET', `/projects/treasury${tail}`, `/projects/nothing${tail}`, names), 404, tail);
  }
  for (const tail of ['', '/logs']) {
    t.equal(await same('GET', `/api/projects/treasury${tail}`, `/api/projects/nothing${tail}`, names), 404, tail);
  }
  for (const action of ['start', 'rebuild']) {
    const path = (project: string) => `/api/projects/${project}/${action}`;
    t.equal(await same('POST', path('treasury'), path('nothing'), names, {}), 404, action);
  }
  for (const work of ['cancel', 'dismiss', 'abandon']) {
    t.equal(await same('POST', `/api/operations/1/${work}`, `/api/operations/9/${work}`, ['1', '9']), 404, work);
  }
  t.equal(app.engine.requestsTo('POST', new RegExp(`${id}/(stop|kill)`)).length, 0, 'the engine was asked for nothing');

  const opened = async (topic: string) => app.live(`/live?topic=${topic}`, { headers: limited.headers() }).opened;
  for (const topic of ['container', 'head', 'stats', 'logs']) {
    t.equal(await opened(`${topic}:vault`), 404, topic);
    t.equal(await opened(`${topic}:${id}`), await opened(`${topic}:${strange}`), topic);
  }
  t.equal(await opened('operation:1'), 404);
});

t.test('no socket tells who sees some containers only of another', async (t) => {
  const { app, admin } = await start(t, { prepare });
  const limited = await addLimited(app, admin, ['shop']);
  const [web, vault] = ['web', 'vault'].map((name) => app.engine.container(name).id);
  const names: Record<string, string[]> = {
    containers: [''],
    operations: [''],
    container: [`:${web}`, `:${vault}`],
    head: [`:${web}`, `:${vault}`],
    stats: [`:${web}`, `:${vault}`],
    project: [':shop', ':treasury'],
    logs: [`:${web}`, `:${vault}`, ':project:shop', ':project:treasury', ':names:web,vault'],
    timeline: [':web', ':vault'],
    operation: [],
  };
  const open = (asker: Asker, topic: string) => app.live(`/live?topic=${topic}`, { headers: asker.headers() });
  const sockets = new Map<string, ReturnType<typeof open>>();
  for (const kind of tables.topics) {
    t.ok(!isTopicForLimited(kind) || names[kind], `${kind} is looked at`);
    if (!isTopicForLimited(kind)) {
      const refused = open(limited, `${kind}${kind === 'image' ? `:${'a'.repeat(64)}` : ''}`);
      t.equal(await refused.opened, 403, kind);
    }
    for (const name of names[kind] ?? []) {
      const socket = open(limited, kind + name);
      t.equal(await socket.opened, 101, kind + name);
      sockets.set(kind + name, socket);
    }
  }
  const all = open(admin, 'containers');
  const allLogs = open(admin, 'logs:names:web,vault');
  app.engine.writeLog('vault', 'ingots moved');
  await until(() => allLogs.text().includes('ingots moved'), 'who sees all is told of its lines');
  await happen(app, admin);
  app.engine.addContainer({ ...hidden, name: 'vault-new' });
  app.engine.writeLog('web', 'tulips sold');
  app.engine.stop('web');
  const shows = (topic: string, text: string | RegExp) =>
    until(() => new RegExp(text).test(sockets.get(topic)?.text() ?? ''), `${topic} shows ${text}`);
  for (const topic of [`logs:${web}`, 'logs:project:shop', 'logs:names:web,vault']) await shows(topic, 'tulips');
  for (const topic of ['containers', 'project:shop', `container:${web}`, `head:${web}`]) {
    await shows(topic, /data-state="exited"/);
  }
  await shows('timeline:web', /data-event="die"/);
  await until(() => all.text().includes('vault-new'), 'and of the new one');
  const ids = [vault ?? '', (vault ?? '').slice(0, 12)];
  for (const [topic, socket] of sockets) {
    const text = withoutEcho(socket.text(), topic.replaceAll(/[:,]/g, '/'), ids);
    t.strictSame(
      [...secrets, ...ids].filter((word) => text.includes(word)),
      [],
      topic,
    );
  }
});

t.test('lists, counts and filters are those of what may be seen', async (t) => {
  const { app, admin } = await start(t, { prepare });
  const limited = await addLimited(app, admin, ['w*b']);
  const list = JSON.parse((await limited.get('/api/containers')).text) as { name: string }[];
  t.strictSame(
    list.map(({ name }) => name),
    ['web'],
  );
  const page = (await limited.get('/containers')).text;
  t.match(page, /1\/1 running/);
  t.notMatch(page, 'value="treasury"');
  t.strictSame(JSON.parse((await limited.get('/api/containers?q=bullion')).text), []);
  for (const path of ['/images', '/dashboard', '/events', '/alerts', '/users', '/projects/shop/stats']) {
    t.notMatch(page + (await limited.get('/projects/shop')).text, `href="${path}"`, `${path} is not offered`);
    const answer = await limited.get(`/api${path}`);
    t.match(
      JSON.parse(answer.text),
      { status: 403, detail: 'You may see some containers only; this page is about all of them.' },
      path,
    );
  }
  t.match((await admin.get('/containers')).text, 'href="/images"');
});

t.test('an action on a project is done to what may be seen of it, and its operation is told', async (t) => {
  const { app, admin } = await start(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web', labels: ofProject('shop', 'web') });
      engine.addContainer({ name: 'vault', labels: ofProject('shop', 'vault') });
    },
  });
  const limited = await addLimited(app, admin, ['web']);
  const project = JSON.parse((await limited.get('/api/projects/shop')).text) as { total: number };
  t.equal(project.total, 1);
  const [mine, theirs] = [
    await limited.json('POST', '/api/projects/shop/restart'),
    async () => admin.json('POST', '/api/projects/shop/stop'),
  ];
  t.equal(mine.status, 202);
  const read = async (asker: Asker, path: string) => JSON.parse((await asker.get(path)).text);
  await until(async () => (await read(limited, '/api/operations/1')).state === 'succeeded', 'it is done');
  t.match(await read(limited, '/api/operations/1'), { results: [{ name: 'web', ok: true }] });
  t.equal(app.engine.requestsTo('POST', /restart$/).length, 1, 'only theirs was restarted');
  t.match((await limited.get('/operations/1')).text, 'shop');
  const live = app.live('/live?topic=operation:1', { headers: limited.headers() });
  await until(() => live.text().includes('id="operation-1"'), 'its page is kept true');

  const hold = app.engine.faults.hang({ method: 'POST', path: /stop$/ });
  t.equal((await theirs()).status, 202);
  t.strictSame(
    ((await read(limited, '/api/operations')) as { id: number }[]).map(({ id }) => id),
    [1],
  );
  t.equal((await limited.get('/api/operations/2')).status, 404);
  for (const path of ['/api/containers/web/restart', '/api/projects/shop/start', '/api/containers/web/rebuild']) {
    const refused = JSON.parse((await limited.json('POST', path, {})).text);
    t.match(refused, { code: 'conflict', detail: /^Somebody else works on it already/ }, path);
  }
  const stranger = createPerson(app);
  for (const page of [
    await limited.get('/containers'),
    await stranger.get('/login'),
    await stranger.form('/nowhere'),
  ]) {
    t.notMatch(page.text, /Stopping all of shop|operation-now-2/, 'no page tells of it');
  }
  t.match((await admin.get('/containers')).text, 'operation-now-2');
  hold.remove();
});

t.test('a container that others hang on is not rebuilt by who does not see them', async (t) => {
  const { app, admin } = await start(t, {
    bounds: { rebuild: { steadyMs: 20 } },
    prepare: (engine) => {
      have(engine, 'registry.test/lab/web:1');
      engine.addContainer({ name: 'web', image: 'registry.test/lab/web:1' });
      engine.tagImage('registry.test/lab/web:1', 'lab/goldmine:7');
      const hostConfig = { NetworkMode: `container:${engine.container('web').id}` };
      engine.addContainer({ ...hidden, networks: [], hostConfig });
      engine.addContainer({ name: 'alone', image: 'registry.test/lab/web:1' });
    },
  });
  const limited = await addLimited(app, admin, ['web', 'alone']);
  const ids = () => app.engine.containers().map(({ id }) => id);
  const before = ids();
  const preview = await limited.get('/api/containers/web/rebuild');
  t.match(JSON.parse(preview.text), { dependants: [], refusal: { code: 'forbidden' } });
  for (const text of [preview.text, (await limited.get('/containers/web/rebuild')).text]) {
    t.strictSame(
      secrets.filter((word) => text.includes(word)),
      [],
      'no word of them',
    );
  }
  const refused = await limited.json('POST', '/api/containers/web/rebuild', { pull: false, force: true });
  t.match(JSON.parse(refused.text), { status: 403, detail: /Containers that you may not see hang on it/ });
  t.strictSame(ids(), before);
  t.match(JSON.parse((await admin.get('/api/containers/web/rebuild')).text), { dependants: [{ name: 'vault' }] });

  const made = await limited.json('POST', '/api/containers/alone/rebuild', { pull: false, force: true });
  t.equal(made.status, 202, 'one that stands alone is');
  const state = async () => (JSON.parse((await limited.get('/api/operations/1')).text) as { state: string }).state;
  await until(async () => (await state()) === 'succeeded', 'it is rebuilt');
});

t.test('a container that gets another name goes out of sight, and its log ends', async (t) => {
  const { app, admin } = await start(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const limited = await addLimited(app, admin, ['web']);
  const { id } = app.engine.container('web');
  const headers = limited.headers();
  const list = app.live('/live?topic=containers', { headers });
  const log = app.live(`/live?topic=logs:${id}`, { headers });
  app.engine.writeLog('web', 'flowers sold');
  await until(() => log.text().includes('flowers sold'), 'the log is followed');
  await until(() => list.text().includes(`container-${id}`), 'the list shows it');
  app.engine.rename('web', 'vault');
  await until(async () => (await limited.get(`/api/containers/${id}`)).status === 404, 'it is gone');
  await until(() => app.engine.openStreams('logs').length === 0, 'nobody reads its log');
  app.engine.writeLog('vault', 'ingots counted');
  app.engine.rename('vault', 'web');
  await until(async () => (await limited.get(`/api/containers/${id}`)).status === 200, 'it is back');
  t.strictSame(
    secrets.filter((word) => (list.text() + log.text()).includes(word)),
    [],
  );
});

t.test('who may do less is shown no buttons of who may do more, on the same list', async (t) => {
  const { app, admin } = await start(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const viewer = await addLimited(app, admin, undefined, 'viewer');
  const [one, other] = [admin, viewer].map((asker) => app.live('/live?topic=containers', { headers: asker.headers() }));
  for (const live of [one, other]) await until(() => live?.text().includes('id="containers"') ?? false, 'the list');
  app.engine.stop('web');
  for (const live of [one, other]) {
    await until(() => /data-name="web" data-state="exited"/.test(live?.text() ?? ''), 'the row follows');
  }
  t.match(one?.text(), /formaction="[^"]*\/start"/);
  t.notMatch(other?.text(), 'formaction=');
});

t.test('what somebody sees is set in their form and ends what is open', async (t) => {
  const { app, admin } = await start(t, { prepare });
  const limited = await addLimited(app, admin, ['shop'], 'operator');
  const id = (JSON.parse((await admin.get('/api/users')).text) as { id: number; username: string }[]).find(
    ({ username }) => username === 'limited-operator',
  )?.id;
  t.match((await admin.get(`/users/${id}`)).text, /name="projects" value="shop"/);
  t.match((await admin.get('/tokens')).text, 'name="projects"');
  const live = app.live('/live?topic=containers', { headers: limited.headers() });
  t.equal(await live.opened, 101);
  const same = await admin.form(`/users/${id}`, { role: 'operator', password: '', projects: 'shop' });
  t.equal(same.status, 303);
  t.equal((await limited.get('/api/containers')).status, 200, 'saved as it was, nothing ends');
  const saved = await admin.form(`/users/${id}`, { role: 'operator', password: '', projects: 'treasury, w*' });
  t.equal(saved.status, 303);
  t.equal((await live.closed).code, 1008);
  await limited.signIn('limited-operator', password);
  const names = (JSON.parse((await limited.get('/api/containers')).text) as { name: string }[]).map(({ name }) => name);
  t.strictSame(names.sort(), ['vault', 'vault-old', 'web']);
  const own = (JSON.parse((await admin.get('/api/users')).text) as { id: number; username: string }[]).find(
    ({ username }) => username === 'admin',
  )?.id;
  const refused = await admin.json('POST', `/api/users/${own}`, { projects: ['shop'] });
  t.match(JSON.parse(refused.text), { status: 409, detail: /what they see/ });
});
