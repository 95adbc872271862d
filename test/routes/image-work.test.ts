import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { createSimulatedEngine, type SimulatedEngine } from '../simulated/engine.ts';
import { call, startApp, type TestApp, until } from '../support/app.ts';
import { dockerConfig } from '../support/docker-config.ts';
import { ended, numberOf, type OperationJson, operation, untilOperation } from '../support/operations.ts';
import { byId, type Element, findAll, openPage, parseHtml, textOf } from '../support/page.ts';
import { openViewer } from '../support/viewer.ts';

const host = 'registry.test:5000';
const hex = (id: string) => id.replace('sha256:', '');
const path = (reference: string) => encodeURIComponent(reference);

const pull = (app: TestApp, reference: string, login: object = {}) =>
  app.post('/api/images/pull', { reference, ...login });
const pulled = async (app: TestApp, reference: string, login: object = {}) =>
  ended(app, await pull(app, reference, login));
const checked = async (app: TestApp) => ended(app, await app.post('/api/images/check'));

const text = (root: Element | undefined) => (root ? textOf(root).replace(/\s+/g, ' ').trim() : 'not there');
const mainOf = (html: string) => byId(parseHtml(html), 'main') ?? parseHtml('');
const links = (root: Element) => findAll(root, ({ tag }) => tag === 'a').map(({ attributes }) => attributes.href ?? '');

/** The cell of an image's row that says how it stands to its registry. */
function updateOf(engine: SimulatedEngine, root: Element, reference: string): string {
  const row = byId(root, `image-${hex(engine.image(reference).id)}`);
  return text(row && findAll(row, ({ attributes }) => attributes.class === 'c-upd')[0]);
}

/** Where the arrow on a container's row leads to; empty where there is none. */
function arrowOf(engine: SimulatedEngine, root: Element, name: string): string {
  const row = byId(root, `container-${engine.container(name).id}`);
  const [arrow] = row ? findAll(row, ({ attributes }) => attributes.class === 'update') : [];
  return arrow ? (arrow.attributes.href ?? 'leads nowhere') : '';
}

/** All that an engine has that could have been changed. */
const stateOf = (engine: SimulatedEngine) => ({
  images: engine.images().map(({ id, tags, digests }) => ({ id, tags: [...tags], digests: [...digests] })),
  containers: engine.containers().map(({ id, name, state }) => ({ id, name, state })),
});

/** What an engine was asked to do, beside being asked for what there is. */
const doneTo = (engine: SimulatedEngine) =>
  engine.requests.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`);

function folder(t: Test): string {
  const name = mkdtempSync(join(tmpdir(), 'fairlead-image-work-'));
  t.teardown(() => rmSync(name, { recursive: true, force: true }));
  return name;
}

// ── pulls ──

t.test('a pull is begun in each of the three forms', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.publish('lab/web:1') });
  const api = await pull(app, 'lab/web:1');
  t.equal(api.status, 202);
  t.equal(api.headers.location, '/api/operations/1');
  t.match(api.headers['content-type'], 'application/json');
  t.match(JSON.parse(api.text), { id: 1, kind: 'pull', target: 'lab/web:1', state: 'running', canCancel: true });
  const done = await ended(app, api);
  t.match(done, { state: 'succeeded', progress: 1, message: 'A newer image was pulled.', canCancel: false });
  t.match(done.steps, [{ name: 'Pull the image', state: 'done', detail: /^sha256:[0-9a-f]{64}$/ }]);
  t.match(await app.api(`/images/${path('lab/web:1')}`), { tags: ['lab/web:1'] }, 'it is there when that is said');

  const form = await app.form('/images/pull', { reference: 'lab/web:1' });
  t.equal(form.status, 303);
  t.equal(form.headers.location, '/operations/2');
  t.match(await ended(app, form), { state: 'succeeded', message: 'The newest image was here already.', progress: 1 });

  const viewer = await openViewer(app, '/images');
  await viewer.connect();
  app.engine.publish('lab/other:1');
  const htmx = await app.htmx('/images/pull', { reference: 'lab/other:1' });
  t.equal(htmx.status, 200);
  viewer.page.apply(htmx.text);
  t.match(viewer.part('operation-now-3'), 'lab/other:1', 'the page that asked shows it at once');
  await until(() => viewer.page.part('operation-now-3')?.attributes['data-state'] === 'succeeded', 'its end');
  await until(() => viewer.part('images').includes('lab/other'), 'the image is in the list');
  t.strictSame(viewer.page.missed, []);
  t.equal((await app.get('/images/pull/')).status, 200, 'a form has an address of its own');
});

t.test('the form to pull stands on the list and on a page of its own', async (t) => {
  const app = await startApp(t);
  const nasty = '"><script>alert(1)</script>';
  for (const address of ['/images', '/images/pull', `/images/pull?reference=${path(nasty)}`]) {
    const { status, text: html } = await app.get(address);
    t.equal(status, 200);
    const root = parseHtml(html);
    const form = byId(root, 'pull');
    t.match(form?.attributes, { method: 'post', action: '/images/pull' }, address);
    const fields = form ? findAll(form, ({ tag }) => tag === 'input') : [];
    t.strictSame(
      fields.map(({ attributes }) => attributes.name),
      ['reference', 'username', 'password'],
    );
    t.equal(fields[2]?.attributes.type, 'password');
    t.ok(fields.slice(1).every(({ attributes }) => attributes.autocomplete === 'off' && !attributes.value));
    t.equal(fields[0]?.attributes.value ?? '', address.includes('?') ? nasty : '');
    t.ok(
      findAll(root, ({ tag }) => tag === 'script').every(({ attributes }) => attributes.src?.startsWith('/assets/')),
    );
  }
  t.equal((await app.get(`/images/pull?reference=${'a'.repeat(401)}`)).status, 400);
});

t.test('its progress is told as it goes on: layer by layer, bytes of bytes, and never backwards', async (t) => {
  const app = await startApp(t, {
    engine: { pullStepMs: 8 },
    prepare: (engine) => {
      engine.publish('lab/web:1', { layerCount: 4, layerBytes: 20_000_000 });
      engine.pullImage('lab/web:1');
      engine.publish('lab/web:1', { layerCount: 4, layerBytes: 20_000_000 });
    },
  });
  const n = numberOf(await pull(app, 'lab/web:1'));
  const seen: OperationJson[] = [];
  await until(async () => {
    seen.push(await operation(app, n));
    return seen.at(-1)?.finishedAt !== null;
  }, 'it has ended');
  const moving = seen.filter(({ layers }) => layers.length > 0);
  const last = moving.at(-1);
  t.ok(moving.length > 5, `${moving.length} answers told of layers`);
  t.strictSame(
    last?.layers.map(({ state }) => state).sort(),
    ['done', 'done', 'done', 'present'],
    'the layer that was here already is told, too',
  );
  t.equal(last?.progress, 1);
  t.match(last?.bytes, { current: 60_000_000, total: 60_000_000 }, 'without the one that was here');
  const layer = { id: /^[0-9a-f]{12}$/, totalBytes: 20_000_000 };
  t.match(
    last?.layers.filter(({ state }) => state === 'done'),
    [layer, layer, layer],
  );
  const progress = moving.flatMap((found) => found.progress ?? []);
  t.strictSame(
    progress,
    progress.toSorted((a, b) => a - b),
    'forwards only',
  );
  t.ok(new Set(progress).size > 3, `it moved: ${[...new Set(progress)].join(' ')}`);
  const loaded = moving.map(({ bytes }) => bytes?.current ?? 0);
  t.strictSame(
    loaded,
    loaded.toSorted((a, b) => a - b),
    'bytes do not go back either',
  );
  for (const { state, progress: share, bytes } of moving) {
    t.ok(share === null || (share >= 0 && share <= 1), `${share}`);
    t.ok((bytes?.current ?? 0) <= (bytes?.total ?? 0), 'never more than there is');
    if (state === 'running')
      t.ok(share !== 1 || bytes?.current === bytes?.total, 'not done before the last byte is here');
  }
  const states = new Set(moving.flatMap(({ layers }) => layers.map(({ state }) => state)));
  for (const state of ['downloading', 'done', 'present']) t.ok(states.has(state), state);
  t.ok(
    moving.some(({ message }) => /^\d of 4 layers$/.test(message)),
    'and in words',
  );
});

t.test('a page shows the layers with their bars, and the whole with bytes, rate and time left', async (t) => {
  const app = await startApp(t, {
    engine: { pullStepMs: 40 },
    prepare: (engine) => engine.publish('lab/web:1', { layerCount: 4, layerBytes: 40_000_000 }),
  });
  const n = numberOf(await pull(app, 'lab/web:1'));
  await untilOperation(app, n, ({ bytes }) => (bytes?.current ?? 0) > 4_000_000, 'something has come');
  for (const address of [`/operations/${n}`, '/images']) {
    const root = parseHtml((await app.get(address)).text);
    const bars = findAll(root, ({ tag }) => tag === 'progress');
    const [whole, ...layers] = bars;
    t.match(whole?.attributes, { max: '100', value: /^\d+$/, 'aria-label': 'Progress of Pulling lab/web:1' }, address);
    t.equal(layers.length, 4, `${address}: a bar a layer`);
    t.match(text(root), /\d+(\.\d)? MB of \d+ MB, [\d.]+ [kM]B\/s/, address);
  }
  const busy = parseHtml((await app.get('/images')).text);
  t.match(text(byId(busy, `operation-now-${n}`)), /Layer by layer/);
  await app.post(`/api/operations/${n}/cancel`);
});

t.test('what a registry refuses is told in words, and changes nothing else', async (t) => {
  for (const version of ['28', '20.10'] as const) {
    const app = await startApp(t, {
      engine: { version },
      prepare: (engine) => {
        const auth = { username: 'lab', password: 'right-password' };
        engine.publish(`${host}/lab/web:1`);
        engine.pullImage(`${host}/lab/web:1`);
        engine.publish(`${host}/lab/web:1`);
        engine.publish(`${host}/lab/priv:1`, { auth });
        engine.publish('lab/hub:1');
        engine.addContainer({ name: 'web', image: `${host}/lab/web:1` });
      },
    });
    const { engine } = app;
    const before = stateOf(engine);
    const wrong = { username: 'lab', password: 'wrong-password' };
    const cases: [string, object, string, string, (() => void)?][] = [
      [
        `${host}/lab/web:none`,
        {},
        'not_found',
        `The registry ${host} has no ${host}/lab/web:none: there is no such tag, or no such image.`,
      ],
      [
        'lab/hub:none',
        {},
        'not_found',
        'The registry docker.io has no lab/hub:none: there is no such tag, or no such image.',
      ],
      [`${host}/lab/priv:1`, {}, 'registry_denied', `The registry ${host} wants a login for ${host}/lab/priv:1.`],
      [
        `${host}/lab/priv:1`,
        wrong,
        'registry_denied',
        `The registry ${host} did not accept the credentials for ${host}/lab/priv:1.`,
      ],
      [
        `${host}/lab/web:1`,
        {},
        'registry_unreachable',
        `The registry ${host} can't be reached: connection refused.`,
        () => engine.setRegistry(host, 'refused'),
      ],
      [
        `${host}/lab/web:1`,
        {},
        'registry_unreachable',
        `The registry ${host} can't be reached: it did not answer in time.`,
        () => engine.setRegistry(host, 'timeout'),
      ],
      [
        `${host}/lab/web:1`,
        {},
        'no_space',
        "There is no space left on the engine's disk.",
        () => {
          engine.setRegistry(host, 'up');
          engine.setDiskFull(true);
        },
      ],
    ];
    for (const [reference, login, errorCode, error, prepare] of cases) {
      prepare?.();
      engine.forgetRequests();
      const what = `${version}: ${error}`;
      const answer = await pull(app, reference, login);
      t.equal(answer.status, 202, 'it is begun');
      const failed = await ended(app, answer);
      t.match(failed, { state: 'failed', error, errorCode, canCancel: false }, what);
      t.match(failed.engineMessage, /\w/, "and the engine's own words beside it");
      t.match(failed.steps, [{ name: 'Pull the image', state: 'failed' }]);
      t.strictSame(doneTo(engine), ['POST /images/create'], what);
      t.strictSame(stateOf(engine), before, what);
      const page = await app.get(`/operations/${failed.id}`);
      t.match(text(mainOf(page.text)), error, 'its page says so');
      const [alert] = findAll(mainOf(page.text), ({ attributes }) => attributes.role === 'alert');
      t.match(text(alert), error);
    }
    engine.setDiskFull(false);
    const right = { username: 'lab', password: 'right-password' };
    t.match(await pulled(app, `${host}/lab/priv:1`, right), { state: 'succeeded' }, `${version}: the right login`);
    t.match(await pulled(app, `${host}/lab/web:1`), { state: 'succeeded' }, `${version}: all is well again`);
    t.match(await app.api(`/images/${path(`${host}/lab/priv:1`)}`), { tags: [`${host}/lab/priv:1`] });
    await app.close();
  }
});

t.test('an engine that goes away during a pull, or says nothing any more, fails it', async (t) => {
  const app = await startApp(t, {
    bounds: { engine: { pull: 400 } },
    prepare: (engine) => engine.publish('lab/web:1'),
  });
  const cut = app.engine.faults.cut({ path: /images\/create/ });
  t.match(await pulled(app, 'lab/web:1'), {
    state: 'failed',
    errorCode: 'engine_unreachable',
    error: /^The Docker daemon at unix:\/\/\S+ went away during the pull\.$/,
  });
  cut.remove();
  const hang = app.engine.faults.hang({ path: /images\/create/ });
  t.match(await pulled(app, 'lab/web:1'), { state: 'failed', errorCode: 'engine_timeout' });
  hang.remove();
  const broken = app.engine.faults.status(500, '{"message":"something broke"}', 'application/json', { path: /create/ });
  t.match(await pulled(app, 'lab/web:1'), { state: 'failed', errorCode: 'engine_error', error: 'something broke' });
  broken.remove();
  t.match(await pulled(app, 'lab/web:1'), { state: 'succeeded' }, 'then all is well');

  await app.engine.refuse();
  await until(async () => (await app.get('/readyz')).status === 503, 'the loss is noticed');
  for (const address of ['/api/images/pull', '/api/images/check', '/api/images/prune']) {
    const answer = await app.post(address, { reference: 'lab/web:1' });
    t.match(JSON.parse(answer.text), { status: 503, code: 'engine_unreachable' }, address);
  }
  t.equal((await app.api<unknown[]>('/operations')).length, 4, 'what can not be begun is no operation');
});

t.test('what is no reference is refused, and nothing is asked of the engine', async (t) => {
  const app = await startApp(t);
  app.engine.forgetRequests();
  const bad = [
    ...['', ' ', '/', ':', '@', 'lab/UPPER', 'lab/web:', 'lab/web:-x', 'lab//web', 'lab/web/', '-x', '../etc', 'a..b'],
    ...[
      'http://registry.test/web',
      'lab/web@sha256:abc',
      `lab/web@sha256:${'A'.repeat(64)}`,
      'lab/web:1:2',
      'la b/web',
    ],
    ...[
      'lab/web --platform=x',
      'lab/web?tag=1',
      'lab/web#1',
      'lab/web\u0000',
      'lab\nweb',
      'läb/web',
      '<script>',
      "lab'",
    ],
    ...['user:secret@registry.test/web', 'a'.repeat(300), `lab/web:${'1'.repeat(129)}`, 'f'.repeat(64)],
  ];
  for (const reference of bad) {
    const shown = JSON.stringify(reference).slice(0, 40);
    const api = await pull(app, reference);
    t.equal(api.status, 400, shown);
    t.match(JSON.parse(api.text), { code: 'invalid', detail: /^reference: / }, shown);
    t.equal((await app.form('/images/pull', { reference })).status, 400, `${shown} as a form`);
    t.match(await app.htmx('/images/pull', { reference }), { status: 400, text: /hx-target="#failures"/ }, shown);
  }
  t.match(JSON.parse((await app.post('/api/images/pull', {})).text), { status: 400, detail: /^reference: / });
  t.equal((await app.post('/api/images/pull')).status, 400);
  t.equal((await app.form('/images/pull')).status, 400);
  t.equal((await app.post('/api/images/pull', { reference: ['lab/web', 'lab/db'] })).status, 400);
  t.equal((await app.post('/api/images/pull', { reference: { name: 'lab/web' } })).status, 400);
  t.strictSame(doneTo(app.engine), []);
  t.notOk(app.engine.requests.some(({ path: asked }) => /images|distribution/.test(asked)));
  t.strictSame(await app.api('/operations'), [], 'and no operation is kept');

  t.match(await pulled(app, '  lab/web:1 '), { target: 'lab/web:1', state: 'succeeded' }, 'spaces around it are none');
  t.match(await pulled(app, 'lab/web'), { target: 'lab/web:latest' }, 'no tag is the latest');
});

t.test('an id is no reference, with its algorithm neither', async (t) => {
  const app = await startApp(t);
  const { id } = app.engine.addImage({ id: `sha256:${'ab'.repeat(32)}`, tags: ['lab/web:1'] });
  for (const reference of [id, hex(id), `${id}:latest`]) t.equal((await pull(app, reference)).status, 400, reference);
  t.equal(app.engine.requestsTo('POST', /images\/create/).length, 0);
});

t.test('half a login is refused', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web', image: 'lab/web:1' }) });
  app.engine.forgetRequests();
  const halves: [object, RegExp][] = [
    [{ username: 'lab' }, /^password: must be there/],
    [{ username: 'lab', password: '' }, /^password: must be there/],
    [{ password: 'x' }, /^username: must be there/],
    [{ username: '', password: 'x' }, /^username: must be there/],
    [{ username: 'a'.repeat(201), password: 'x' }, /^username: /],
    [{ username: 'lab', password: 'x'.repeat(4_001) }, /^password: /],
  ];
  for (const [login, detail] of halves) {
    for (const address of ['/images/pull', '/containers/web/rebuild']) {
      const fields = { reference: 'lab/web:1', ...login };
      const api = await app.post(`/api${address}`, fields);
      t.match(
        JSON.parse(api.text),
        { status: 400, code: 'invalid', detail },
        `${address} ${JSON.stringify(login).slice(0, 50)}`,
      );
      t.equal((await app.form(address, fields as Record<string, string>)).status, 400);
    }
  }
  t.strictSame(doneTo(app.engine), []);
  t.strictSame(await app.api('/operations'), []);
  t.equal((await pulled(app, 'lab/web:1', { username: '', password: '' })).state, 'succeeded', 'empty fields are none');
});

// ── credentials ──

t.test('the logins of the docker command are used, an entered one before them', async (t) => {
  const DOCKER_CONFIG = dockerConfig(t, { [host]: 'lab:right-password', 'other.test': 'lab:right-password' });
  const app = await startApp(t, {
    env: { DOCKER_CONFIG },
    prepare: (engine) => {
      const auth = { username: 'lab', password: 'right-password' };
      engine.publish(`${host}/lab/priv:1`, { auth });
      engine.publish('third.test/lab/priv:1', { auth });
    },
  });
  t.match(await pulled(app, `${host}/lab/priv:1`), { state: 'succeeded' });
  t.match(
    await pulled(app, 'third.test/lab/priv:1'),
    { state: 'failed', error: /wants a login/ },
    'each for its registry',
  );
  const wrong = { username: 'lab', password: 'wrong-password' };
  t.match(await pulled(app, `${host}/lab/priv:1`, wrong), { state: 'failed', error: /did not accept the credentials/ });
  t.match(await checked(app), { results: [{ name: `${host}/lab/priv:1`, ok: true, detail: 'up to date' }] });

  writeFileSync(join(DOCKER_CONFIG, 'config.json'), '{ this is no JSON');
  const without = await pulled(app, `${host}/lab/priv:1`);
  t.match(without, { state: 'failed', error: /wants a login/ }, 'it is read anew each time');
  t.match(
    without.steps,
    [{ detail: /config\.json is not JSON: no credentials were taken from it/ }],
    'and why is told',
  );
  t.match(await pulled(app, `${host}/lab/priv:1`, { username: 'lab', password: 'right-password' }), {
    state: 'succeeded',
  });
  rmSync(join(DOCKER_CONFIG, 'config.json'));
  const none = await pulled(app, `${host}/lab/priv:1`);
  t.match(none, { state: 'failed', error: /wants a login/ });
  t.notMatch(JSON.stringify(none), 'config.json', 'that there is none is nothing to tell');
});

t.test('credentials are in no answer, not in the database and not in the log', async (t) => {
  const dataDir = folder(t);
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  const [entered, wrong, kept] = ['entered-Secret+1/?', 'wrong-Secret+2/?', 'kept-Secret+3/?'] as const;
  engine.publish(`${host}/lab/priv:1`, { auth: { username: 'robot', password: entered } });
  engine.publish('other.test/lab/priv:1', { auth: { username: 'robot', password: kept } });
  engine.addContainer({ name: 'web', image: `${host}/lab/priv:1` });
  const entry = fileURLToPath(new URL('../../src/start.js', import.meta.url));
  const child = spawn(process.execPath, [entry], {
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      DATA_DIR: dataDir,
      LOG_LEVEL: 'trace',
      AUTH: 'none',
      DOCKER_HOST: engine.host,
      DOCKER_CONFIG: dockerConfig(t, { 'other.test': `robot:${kept}` }),
    },
  });
  t.teardown(() => child.kill('SIGKILL'));
  const exit = new Promise<number | null>((resolve) => child.on('exit', resolve));
  let told = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (told += chunk));
  await until(() => /listening at http\S+/.test(told), 'the ready line', 20_000);
  const url = /http:\S+/.exec(told)?.[0] ?? '';
  await until(async () => (await call(`${url}/readyz`, 'GET')).status === 200, 'the engine is known');

  const answers: string[] = [];
  const remember = async (method: string, address: string, body?: Record<string, string>, type = 'json') => {
    const headers = body
      ? { 'content-type': type === 'json' ? 'application/json' : 'application/x-www-form-urlencoded' }
      : {};
    const sent = type === 'json' ? JSON.stringify(body) : new URLSearchParams(body).toString();
    const answer = await call(
      url + address,
      method,
      type === 'htmx' ? { ...headers, 'hx-request': 'true' } : headers,
      body && sent,
    );
    answers.push(JSON.stringify(answer.headers) + answer.text);
    return answer;
  };
  const socket = new WebSocket(`${url.replace('http', 'ws')}/live?topic=operations&topic=images`);
  socket.on('message', (data) => answers.push(data.toString()));
  await new Promise((resolve) => socket.on('open', resolve));
  const finish = async (expected: string) => {
    const states = async () => JSON.parse((await remember('GET', '/api/operations')).text) as OperationJson[];
    await until(async () => (await states()).every(({ finishedAt }) => finishedAt !== null), 'all have ended');
    const [latest] = await states();
    t.equal(latest?.state, expected, `${latest?.kind} ${latest?.target}: ${latest?.error}`);
  };
  const reference = `${host}/lab/priv:1`;
  await remember('POST', '/api/images/pull', { reference, username: 'robot', password: wrong });
  await finish('failed');
  await remember('POST', '/images/pull', { reference, username: 'robot', password: entered }, 'form');
  await finish('succeeded');
  await remember('POST', '/images/pull', { reference, username: 'robot', password: entered }, 'htmx');
  await finish('succeeded');
  await remember('POST', '/api/images/pull', { reference: 'other.test/lab/priv:1' });
  await finish('succeeded');
  await remember('POST', '/api/containers/web/rebuild', { username: 'robot', password: wrong });
  await finish('failed');
  await remember('POST', '/api/images/pull', { reference: 'BAD', username: 'robot', password: entered });
  await remember(
    'POST',
    '/images/pull',
    { reference, username: 'robot', password: 'x'.repeat(4_001) + entered },
    'form',
  );
  await remember('POST', '/api/images/pull', { reference, username: entered.repeat(20), password: '' });
  await remember('POST', '/api/images/check');
  await finish('succeeded');
  for (const address of [
    '/operations',
    '/operations/1',
    '/images',
    '/images/pull',
    '/containers',
    '/containers/web/rebuild',
  ])
    for (const prefix of ['', '/api', '/fragments']) await remember('GET', prefix + address);

  const forms = (secret: string) => [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    ...[0, 1, 2].map((shift) =>
      Buffer.from('-'.repeat(shift) + secret)
        .toString('base64')
        .slice(4, -4),
    ),
    ...[0, 1, 2].map((shift) =>
      Buffer.from('-'.repeat(shift) + secret)
        .toString('base64url')
        .slice(4, -4),
    ),
  ];
  const isClean = (content: string, where: string) => {
    for (const secret of [entered, wrong, kept])
      t.strictSame(
        forms(secret).filter((form) => content.includes(form)),
        [],
        `${secret} is not in ${where}`,
      );
  };
  const database = () =>
    ['fairlead.db', 'fairlead.db-wal', 'fairlead.db-shm']
      .map((name) => join(dataDir, name))
      .filter((name) => existsSync(name))
      .map((name) => readFileSync(name, 'latin1'))
      .join('\n');
  t.ok(answers.length > 30);
  isClean(answers.join('\n'), 'any answer');
  t.match(database(), `${host}/lab/priv:1`, 'the database does keep what was pulled');
  isClean(database(), 'the database while it is written');
  child.kill('SIGTERM');
  t.equal(await exit, 0);
  isClean(database(), 'the database afterwards');
  t.ok(told.split('\n').length > 20 && told.includes('"level":30'), 'the log does tell of requests');
  isClean(told, 'the log');
});

// ── updates ──

/** A tag with a newer image, one without, one that can't be asked, one that was built here, and what runs on them. */
function addTags(engine: SimulatedEngine) {
  for (const tag of ['lab/web:1', 'lab/db:1', 'lab/gone:1', `${host}/lab/priv:1`]) {
    engine.publish(tag);
    engine.pullImage(tag);
  }
  engine.publish('lab/web:1', { labels: { release: '2' } });
  engine.unpublish('lab/gone:1');
  engine.publish(`${host}/lab/priv:1`, {
    id: engine.image(`${host}/lab/priv:1`).id,
    auth: { username: 'lab', password: 'secret' },
  });
  engine.addImage({ tags: ['lab/local:1'] });
  engine.addImage({ digests: [`lab/untagged@sha256:${'a'.repeat(64)}`] });
  engine.addContainer({ name: 'web', image: 'lab/web:1', labels: { 'com.docker.compose.project': 'shop' } });
  engine.addContainer({ name: 'db', image: 'lab/db:1', labels: { 'com.docker.compose.project': 'shop' } });
  engine.addContainer({ name: 'local', image: 'lab/local:1' });
}

t.test('registries are asked for newer images by hand, and what they say is told of each', async (t) => {
  const app = await startApp(t, { prepare: addTags });
  const { engine } = app;
  const before = stateOf(engine);
  const fresh = parseHtml((await app.get('/images')).text);
  for (const tag of ['lab/web:1', 'lab/db:1', 'lab/gone:1', `${host}/lab/priv:1`])
    t.equal(updateOf(engine, fresh, tag), 'not checked', tag);
  t.equal(updateOf(engine, fresh, 'lab/local:1'), 'built here');
  t.ok(findAll(fresh, ({ attributes }) => attributes.action === '/images/check').length > 0, 'a button asks');
  const viewer = await openViewer(app, '/images');
  await viewer.connect();
  engine.forgetRequests();
  const answer = await app.post('/api/images/check');
  t.equal(answer.status, 202);
  t.match(JSON.parse(answer.text), { kind: 'update_check', target: 'images', canCancel: true });
  const done = await ended(app, answer);
  t.match(done, { state: 'succeeded', progress: 1, message: '1 of 4 images have an update, 2 could not be asked.' });
  const byName = Object.fromEntries(done.results.map(({ name, ok, detail }) => [name, [ok, detail]]));
  t.match(byName, {
    'lab/web:1': [true, 'update available'],
    'lab/db:1': [true, 'up to date'],
    'lab/gone:1': [false, 'The registry docker.io has no lab/gone:1: there is no such tag, or no such image.'],
    [`${host}/lab/priv:1`]: [false, `The registry ${host} wants a login for ${host}/lab/priv:1.`],
  });
  t.equal(done.results.length, 4, 'what was built here, or has no tag, has nobody to be asked');
  const asked = engine.requests.filter(({ path: to }) => /^\/distribution\//.test(to));
  t.equal(asked.length, 4, 'each once');
  t.strictSame(doneTo(engine), [], 'nothing is pulled');
  t.strictSame(stateOf(engine), before);

  const shown = {
    'lab/web:1': /^update available$/,
    'lab/db:1': /^up to date, \d+ s ago$/,
    'lab/gone:1': /^not known: .*there is no such tag/,
    [`${host}/lab/priv:1`]: /^not known: .*wants a login/,
    'lab/local:1': /^built here$/,
  };
  const page = parseHtml((await app.get('/images')).text);
  for (const [tag, words] of Object.entries(shown)) {
    t.match(updateOf(engine, page, tag), words, tag);
    await until(() => words.test(updateOf(engine, viewer.page.root, tag)), `a page that was open: ${tag}`);
    t.match(
      text(byId(mainOf((await app.get(`/images/${path(tag)}`)).text), 'image-detail')),
      words.source.includes('not known') ? 'not known' : words.source.replace(/[\^$]|, .*/g, ''),
      `the page of ${tag}`,
    );
  }
  t.strictSame(viewer.page.missed, []);
});

t.test('a container that runs an older image shows an arrow that leads to its rebuild', async (t) => {
  const app = await startApp(t, { prepare: addTags });
  const { engine } = app;
  const paths = ['/containers', '/projects/shop'];
  const viewers = await Promise.all(paths.map((address) => openViewer(app, address)));
  const own = await openViewer(app, '/containers/web');
  await Promise.all([...viewers, own].map((viewer) => viewer.connect()));
  for (const { page } of viewers) t.equal(arrowOf(engine, page.root, 'web'), '', 'as long as nobody asked');
  await checked(app);
  const { id } = engine.container('web');
  for (const [index, viewer] of viewers.entries()) {
    const { page } = viewer;
    await until(() => arrowOf(engine, page.root, 'web') === `/containers/${id}/rebuild`, 'a page that was open');
    const fresh = parseHtml((await app.get(paths[index] ?? '')).text);
    t.equal(arrowOf(engine, fresh, 'web'), `/containers/${id}/rebuild`, 'a page that is loaded now');
    for (const name of index === 0 ? ['db', 'local'] : ['db']) t.equal(arrowOf(engine, fresh, name), '', name);
    t.strictSame(page.missed, []);
  }
  await until(() => own.part('container-state').includes('update available'), 'its own page, that was open');
  const head = byId(parseHtml((await app.get('/containers/web')).text), 'container-state');
  t.ok(head && links(head).includes(`/containers/${id}/rebuild`), 'its own page');
  t.match(await app.api('/containers/web/rebuild'), { update: 'newer' }, 'and to scripts');
  t.equal((await app.get(`/containers/${id}/rebuild`)).status, 200, 'the arrow leads somewhere');
  const project = text(mainOf((await app.get('/projects/shop/rebuild')).text));
  t.match(project, /web\s*lab\/web:1\s*update available/);
  t.match(project, /db\s*lab\/db:1\s*up to date/);
});

t.test('after its pull an image is up to date, and who runs the older one is still told', async (t) => {
  const app = await startApp(t, { prepare: addTags });
  const { engine } = app;
  const old = engine.image('lab/web:1').id;
  await checked(app);
  const viewer = await openViewer(app, '/images');
  await viewer.connect();
  await pulled(app, 'lab/web:1');
  t.not(engine.image('lab/web:1').id, old);
  t.match(updateOf(engine, parseHtml((await app.get('/images')).text), 'lab/web:1'), /^up to date/);
  await until(() => /^up to date/.test(updateOf(engine, viewer.page.root, 'lab/web:1')), 'a page that was open');
  const { id } = engine.container('web');
  const page = parseHtml((await app.get('/containers')).text);
  t.equal(arrowOf(engine, page, 'web'), `/containers/${id}/rebuild`, 'it runs on the image it had');
  t.match(await checked(app), {
    results: { length: 4 },
    message: '0 of 4 images have an update, 2 could not be asked.',
  });

  const other = await startApp(t, { prepare: addTags });
  await pulled(other, 'lab/db:1');
  t.match(
    updateOf(other.engine, parseHtml((await other.get('/images')).text), 'lab/db:1'),
    /^up to date/,
    'a pull is a check, too',
  );
  await pulled(other, 'docker.io/lab/web:1');
  t.match(
    updateOf(other.engine, parseHtml((await other.get('/images')).text), 'lab/web:1'),
    /^up to date/,
    'however its registry is written',
  );
});

t.test('what registries said outlives the program', async (t) => {
  const dataDir = folder(t);
  const before = await startApp(t, { dataDir, prepare: addTags });
  const { engine } = before;
  await checked(before);
  await before.app.close();
  const app = await startApp(t, { dataDir, engine, env: { READ_ONLY: 'true' } });
  const images = parseHtml((await app.get('/images')).text);
  t.equal(updateOf(engine, images, 'lab/web:1'), 'update available');
  t.match(updateOf(engine, images, 'lab/db:1'), /^up to date/);
  const arrow = arrowOf(engine, parseHtml((await app.get('/containers')).text), 'web');
  t.equal(arrow, 'leads nowhere', 'who may not rebuild is told, and led nowhere');
});

t.test('a check is one at a time, shows how far it is, and can be cancelled', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      for (let n = 1; n <= 9; n++) {
        engine.publish(`lab/image-${n}:1`);
        engine.pullImage(`lab/image-${n}:1`);
      }
    },
  });
  const { engine } = app;
  const hold = engine.faults.hang({ path: /^\/distribution\//, skip: 3 });
  const n = numberOf(await app.form('/images/check'));
  t.match(await untilOperation(app, n, ({ results }) => results.length > 0, 'some have answered'), {
    state: 'running',
    progress: 3 / 9,
    message: '3 of 9 images',
    results: { length: 3 },
  });
  t.match(JSON.parse((await app.post('/api/images/check')).text), {
    status: 409,
    detail: new RegExp(`^Operation ${n} `),
  });
  t.ok(engine.requests.filter(({ path: to }) => /^\/distribution\//.test(to)).length <= 6, 'a few at a time');
  t.equal((await pulled(app, 'lab/image-9:1')).state, 'succeeded', 'pulls go on meanwhile');
  t.equal((await app.post(`/api/operations/${n}/cancel`)).status, 200);
  t.match(await untilOperation(app, n, ({ finishedAt }) => finishedAt !== null, 'it has ended'), {
    state: 'interrupted',
    error: null,
    results: { length: 3 },
  });
  hold.remove();
  t.match(await checked(app), { message: '0 of 9 images have an update.' }, 'and begun anew');
  const htmx = await app.htmx('/images/check');
  t.match(htmx.text, /hx-target="#operations-now"/);
});

t.test('an engine that can not ask registries says that, and no untruth', async (t) => {
  const app = await startApp(t, {
    engine: { version: 'podman' },
    prepare: (engine) => {
      const { digest } = engine.publish('docker.io/lab/web:1');
      engine.addImage({ tags: ['docker.io/lab/web:1'], digests: [`docker.io/lab/web@${digest}`] });
    },
  });
  const { results } = await checked(app);
  t.match(results, [{ ok: false }]);
  t.notMatch(results[0]?.detail, /no such tag|no such image/, 'the tag is there: it is Podman that can not ask');
});

t.test('while an image is pulled, its row and its page say so, and offer no second pull', async (t) => {
  const app = await startApp(t, { engine: { pullStepMs: 40 }, prepare: addTags });
  const { engine } = app;
  const viewer = await openViewer(app, '/images');
  await viewer.connect();
  const row = (root: Element) => byId(root, `image-${hex(engine.image('lab/web:1').id)}`) ?? parseHtml('');
  const button = (root: Element) =>
    findAll(root, ({ tag }) => tag === 'button').filter(({ attributes }) => 'data-busy' in attributes);
  t.ok(button(row(viewer.page.root)).every(({ attributes }) => !('disabled' in attributes)));
  const n = numberOf(await pull(app, 'lab/web:1'));
  await until(() => /pulling…/.test(text(row(viewer.page.root))), 'a page that was open');
  for (const root of [
    row(viewer.page.root),
    row(parseHtml((await app.get('/images')).text)),
    mainOf((await app.get(`/images/${path('lab/web:1')}`)).text),
  ]) {
    t.match(text(root), 'pulling…');
    t.ok(links(root).includes(`/operations/${n}`), 'and leads to how it goes');
    t.ok(
      button(root).length > 0 && button(root).every(({ attributes }) => 'disabled' in attributes),
      'no button is to be pressed',
    );
  }
  await app.post(`/api/operations/${n}/cancel`);
  await until(() => !/pulling…/.test(text(row(viewer.page.root))), 'and then no longer');
  t.strictSame(viewer.page.missed, []);
});

// ── prune ──

/** Used and unused images, with and without a tag. */
function addLitter(engine: SimulatedEngine) {
  engine.addImage({ tags: ['lab/used:1'], size: 7_000_000 });
  engine.addImage({ tags: ['lab/unused:1', 'lab/unused:2'], size: 4_000_000 });
  engine.addImage({ size: 3_000_000 });
  engine.addImage({ size: 2_000_000 });
  engine.publish('lab/stopped:1', { size: 5_000_000 });
  engine.pullImage('lab/stopped:1');
  engine.addContainer({ name: 'up', image: 'lab/used:1' });
  engine.addContainer({ name: 'down', image: 'lab/stopped:1', state: 'exited' });
  engine.publish('lab/stopped:1', { size: 1_000_000 });
  engine.pullImage('lab/stopped:1');
}

t.test('before images are removed, what goes and what stays is told', async (t) => {
  for (const version of ['28', '20.10', 'podman'] as const) {
    const app = await startApp(t, { engine: { version }, prepare: addLitter });
    app.engine.forgetRequests();
    const { status, text: html } = await app.get('/images/prune');
    t.equal(status, 200);
    const main = mainOf(html);
    t.match(
      text(main),
      /2 images without a tag, 5(\.0)? MB at most/,
      `${version}: without the one that a container uses`,
    );
    t.match(text(main), /2 images that containers use, stopped ones too/, version);
    t.match(text(main), /lab\/unused:1, (docker\.io\/)?lab\/unused:2/, `${version}: those with a tag by their names`);
    t.notMatch(text(main), /lab\/used:1/, `${version}: what is used is none of them`);
    const [form] = findAll(main, ({ tag, attributes }) => tag === 'form' && attributes.action === '/images/prune');
    const fields = form ? findAll(form, ({ tag }) => tag === 'input') : [];
    t.match(fields, [{ attributes: { name: 'unused', type: 'checkbox' } }], version);
    t.notOk('checked' in (fields[0]?.attributes ?? {}), 'nobody removes more than was asked for');
    t.strictSame(doneTo(app.engine), [], 'looking changes nothing');
    t.match(
      text(byId(parseHtml((await app.get('/images')).text), 'images-work')),
      /Prune dangling, 5(\.0)? MB…/,
      `${version}: the button counts the same`,
    );
    await app.close();
  }
});

t.test('images that nobody uses are removed as an operation, in each of the three forms', async (t) => {
  const app = await startApp(t, { prepare: addLitter });
  const { engine } = app;
  const tags = () =>
    engine
      .images()
      .flatMap((image) => image.tags)
      .sort();
  const viewer = await openViewer(app, '/images');
  await viewer.connect();
  const answer = await app.post('/api/images/prune');
  t.equal(answer.status, 202);
  t.match(JSON.parse(answer.text), { kind: 'image_prune', target: 'dangling images', canCancel: false });
  t.match(await ended(app, answer), { state: 'succeeded', message: '2 images and layers were removed.', progress: 1 });
  t.match(engine.requestsTo('POST', /prune$/)[0]?.query, { filters: '{"dangling":["true"]}' });
  t.strictSame(tags(), ['lab/stopped:1', 'lab/unused:1', 'lab/unused:2', 'lab/used:1'], 'tags stay');
  t.equal(engine.images().length, 4, 'and the dangling one that a stopped container needs');
  await until(
    () => findAll(viewer.page.root, ({ attributes }) => attributes['data-dangling'] === 'true').length === 1,
    'the list follows',
  );
  t.match(await ended(app, await app.post('/api/images/prune', { unused: false })), {
    message: 'There was nothing to remove.',
  });

  const form = await app.form('/images/prune', { unused: 'true' });
  t.equal(form.status, 303);
  t.equal(form.headers.location, '/operations/3');
  const done = await ended(app, form);
  t.match(done, { state: 'succeeded', target: 'unused images', message: '2 images and layers were removed.' });
  t.match((await app.get('/operations/3')).text, /\b5 MB freed/);
  t.match(engine.requestsTo('POST', /prune$/).at(-1)?.query, { filters: '{"dangling":["false"]}' });
  const removed = done.results.map(({ name, ok, detail }) => `${name} ${ok} ${detail}`);
  for (const tag of ['lab/unused:1', 'lab/unused:2', 'lab/stopped:1'])
    t.ok(removed.includes(`${tag} true removed`), tag);
  t.strictSame(tags(), ['lab/used:1']);
  t.strictSame(
    engine.containers().map(({ name, state }) => `${name} ${state}`),
    ['up running', 'down exited'],
  );
  t.match(text(mainOf((await app.get('/operations/3')).text)), /lab\/unused:1 removed/, 'its page has the results');

  const htmx = await app.htmx('/images/prune', { unused: 'on' });
  t.equal(htmx.status, 200);
  viewer.page.apply(htmx.text);
  t.ok(viewer.page.part('operation-now-4'));
  t.strictSame(viewer.page.missed, []);
  t.equal((await app.post('/api/images/prune', { unused: 'perhaps' })).status, 400);
});

t.test('one removal at a time; one that the engine refuses is told', async (t) => {
  const app = await startApp(t, { prepare: addLitter });
  const hold = app.engine.faults.hang({ path: /prune$/ });
  const first = await app.post('/api/images/prune');
  const second = await app.post('/api/images/prune', { unused: true });
  t.match(JSON.parse(second.text), { status: 409, code: 'conflict', detail: /^Operation 1 works on it already/ });
  hold.remove();
  t.equal((await ended(app, first)).state, 'succeeded');
  app.engine.faults.status(409, '{"message":"a prune operation is already running"}', 'application/json', {
    path: /prune$/,
  });
  const refused = await ended(app, await app.post('/api/images/prune'));
  t.match(refused, { state: 'failed', errorCode: 'conflict', error: 'a prune operation is already running' });
});

t.test('what was pulled is shown where people look for it', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.publish('lab/web:1') });
  const { id } = await pulled(app, 'lab/web:1');
  const page = openPage((await app.get(`/operations/${id}`)).text);
  const target = links(page.part('main') ?? page.root).find((href) => /^\/images\/./.test(href));
  t.equal((await app.get(target ?? '/nowhere')).status, 200, 'the page of the operation leads to the image');
});
