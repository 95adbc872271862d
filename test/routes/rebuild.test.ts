import t, { type Test } from 'tap';
import type { ContainerSpec, PublishedSpec, SimulatedEngine } from '../simulated/engine.ts';
import { type AppOptions, startApp, type TestApp, until } from '../support/app.ts';
import { dockerConfig } from '../support/docker-config.ts';
import { ended, numberOf, type OperationJson, operation, untilOperation } from '../support/operations.ts';
import { byId, type Element, findAll, openPage, parseHtml, textOf } from '../support/page.ts';
import { openViewer } from '../support/viewer.ts';

const tag = 'lab/web:1';
const bounds = { rebuild: { steadyMs: 20, healthyMs: 2_000 } };

/** An application that does not wait long for a new container. */
const start = (t: Test, options: AppOptions = {}) => startApp(t, { bounds, ...options });

type Preview = {
  reference: string | null;
  before: { id: string; tags: string[] };
  after: { id: string } | null;
  update: string;
  changes: { field: string; name: string; before: string | null; after: string | null }[];
  kept: object;
  warnings: string[];
  dependants: { id: string; name: string }[];
  refusal: { code: string; reason: string; offersSameImage: boolean } | null;
};

/** Publishes an image, and has it here. */
function have(engine: SimulatedEngine, reference: string, spec: PublishedSpec = {}): string {
  engine.publish(reference, spec);
  return engine.pullImage(reference).id;
}

/** A running container on an image that its registry has, and a newer one there. */
function addWeb(engine: SimulatedEngine, spec: Partial<ContainerSpec> = {}, newer: PublishedSpec = {}) {
  have(engine, tag, { env: ['RELEASE=1'] });
  engine.addContainer({ name: 'web', image: tag, config: { StopTimeout: 0 }, ...spec });
  return engine.publish(tag, { env: ['RELEASE=2'], ...newer });
}

const rebuild = (app: TestApp, name = 'web', body?: object) => app.post(`/api/containers/${name}/rebuild`, body);
const rebuilt = async (app: TestApp, name = 'web', body?: object) => ended(app, await rebuild(app, name, body));

const preview = (app: TestApp, name = 'web') => app.api<Preview>(`/containers/${name}/rebuild`);

const text = (root: Element | undefined) => (root ? textOf(root).replace(/\s+/g, ' ').trim() : 'not there');
const mainOf = (html: string) => byId(parseHtml(html), 'main') ?? parseHtml('');
const links = (root: Element) =>
  findAll(root, ({ tag: name }) => name === 'a').map(({ attributes }) => attributes.href ?? '');
const buttonsOf = (root: Element) => findAll(root, ({ tag: name }) => name === 'button').map(text);
const fieldsOf = (root: Element) =>
  findAll(root, ({ tag: name }) => name === 'input').map(
    ({ attributes: { name, type, value, checked } }) =>
      `${type ?? 'text'} ${name}=${value ?? ''}${checked === undefined ? '' : ' checked'}`,
  );

/** The form of a page that asks before a rebuild. */
const formOf = (html: string) => byId(parseHtml(html), 'rebuild') ?? parseHtml('');

/** What an engine was asked to do, beside being asked for what there is. */
const doneTo = (engine: SimulatedEngine) =>
  engine.requests.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`);

const namesIn = (engine: SimulatedEngine) =>
  engine
    .containers()
    .map(({ name }) => name)
    .sort();

// ── before ──

t.test('what a rebuild would change is told in three forms, and nothing is done', async (t) => {
  const app = await start(t, {
    prepare: (engine) => {
      have(engine, tag, {
        env: ['PATH=/bin', 'RELEASE=1', 'DB_PASSWORD=hunter-old', 'GONE=soon'],
        command: ['serve', '--port', '80'],
        labels: { release: '1', 'deploy.token': 'hunter-label-old' },
        exposed: ['80/tcp'],
        user: 'root',
      });
      engine.addContainer({
        name: 'web',
        image: tag,
        command: ['serve', '--port', '80'],
        env: ['COLOUR=blue', 'API_TOKEN=hunter-own'],
        mounts: ['data:/data', '/etc/app:/etc/app:ro'],
        networks: ['front', 'back'],
        ports: ['8080:80'],
      });
      have(engine, tag, {
        env: ['PATH=/bin', 'RELEASE=2', 'DB_PASSWORD=hunter-new', 'FRESH=<b>bold</b>'],
        command: ['serve', '--port', '80', '--password', 'hunter-flag', '--url=https://me:hunter-url@host/'],
        labels: { release: '2', 'deploy.token': 'hunter-label-new' },
        exposed: ['80/tcp', '443/tcp'],
        user: 'www',
      });
    },
  });
  const { engine } = app;
  const before = engine.container('web');
  engine.forgetRequests();
  const found = await preview(app);
  t.strictSame(Object.keys(found).sort(), [
    'after',
    'before',
    'changes',
    'dependants',
    'id',
    'kept',
    'name',
    'reference',
    'refusal',
    'update',
    'warnings',
  ]);
  t.match(found, {
    id: before.id,
    name: 'web',
    reference: tag,
    before: { id: before.imageId, tags: [] },
    after: { id: engine.image(tag).id, tags: [tag] },
    update: 'newer',
    kept: { mounts: 2, networks: 2, ports: 1 },
    dependants: [],
    refusal: null,
  });
  const byName = Object.fromEntries(
    found.changes.map(({ field, name, before: was, after }) => [`${field} ${name}`.trim(), [was, after]]),
  );
  const masked = '••••••••';
  t.match(byName, {
    'variable RELEASE': ['1', '2'],
    'variable DB_PASSWORD': [masked, masked],
    'variable GONE': ['soon', null],
    'variable FRESH': [null, '<b>bold</b>'],
    'label release': ['1', '2'],
    'label deploy.token': [masked, masked],
    user: ['root', 'www'],
    'exposed port': [null, '443/tcp'],
    command: ['serve --port 80', /^serve --port 80 --password •+ --url=https:\/\/me:•+@host\/$/],
  });
  for (const own of ['variable COLOUR', 'variable API_TOKEN', 'variable PATH', 'volume'])
    t.notOk(own in byName, `${own} stays`);
  t.match(found.changes[0], { field: 'image', before: /^[0-9a-f]{12}$/, after: /^[0-9a-f]{12}$/ });

  const page = await app.get('/containers/web/rebuild');
  const fragment = await app.get('/fragments/containers/web/rebuild');
  t.strictSame([page.status, fragment.status], [200, 200]);
  const withoutAges = (html: string) => html.replace(/\d+ s ago/g, '');
  t.ok(withoutAges(page.text).includes(withoutAges(fragment.text).trim()), 'the page holds the fragment as it is');
  t.match(page.text, '<title>Rebuild web · Fairlead</title>');
  const form = formOf(page.text);
  t.match(form.attributes, { method: 'post', action: `/containers/${before.id}/rebuild` });
  const [diff] = findAll(form, ({ attributes }) => attributes.class === 'diff');
  const lines = diff ? findAll(diff, ({ attributes }) => /^(add|del)$/.test(attributes.class ?? '')).map(text) : [];
  for (const line of ['−variable RELEASE1', '+variable RELEASE2', '−variable GONEsoon', '+variable FRESH<b>bold</b>'])
    t.ok(lines.includes(line), `${line} in ${lines.join(' | ')}`);
  t.notOk(findAll(form, ({ tag: name, children }) => name === 'b' && text(children[0]) === 'bold').length, 'escaped');
  t.match(text(form), /all else stays.*2 mounts, 2 networks, 1 published port/);
  t.strictSame(fieldsOf(form), [
    'radio pull=true checked',
    'radio pull=false',
    'checkbox force=true',
    'text username=',
    'password password=',
  ]);
  t.strictSame(buttonsOf(form), ['Rebuild it']);
  for (const answer of [page.text, fragment.text, JSON.stringify(found)]) t.notMatch(answer, 'hunter');

  for (const ref of [before.id, before.id.slice(0, 12), 'web'])
    t.match(await preview(app, ref), { id: before.id }, `by ${ref.slice(0, 12)}`);
  t.strictSame(doneTo(engine), [], 'looking changes nothing');
  t.strictSame(await app.api('/operations'), []);
});

t.test('where nothing would change, and where the image is not here yet, that is said', async (t) => {
  const app = await start(t, {
    prepare: (engine) => {
      have(engine, tag);
      engine.addContainer({ name: 'web', image: tag });
      have(engine, 'lab/gone:1');
      engine.addContainer({ name: 'gone', image: 'lab/gone:1' });
      engine.tagImage('lab/gone:1', 'lab/other:1');
      engine.removeImage('lab/gone:1');
    },
  });
  const same = await preview(app);
  t.match(same, { update: 'unchecked', changes: [] });
  t.equal(same.after?.id, same.before.id);
  const page = text(formOf((await app.get('/containers/web/rebuild')).text));
  t.match(page, /the same, unless its registry has a newer one/);
  t.match(page, /no setting changes/);
  t.match(page, /Its registry was not asked yet/);
  await ended(app, await app.post('/api/images/check'));
  t.match(await preview(app), { update: 'current' });
  t.match(text(formOf((await app.get('/containers/web/rebuild')).text)), /Its registry had nothing newer \d+ s ago/);
  app.engine.publish(tag);
  await ended(app, await app.post('/api/images/check'));
  const elsewhere = await app.get('/containers/web/rebuild');
  t.match(text(formOf(elsewhere.text)), /Its registry had a newer image \d+ s ago, which is not here yet/);
  t.ok(links(formOf(elsewhere.text)).includes(`/images/pull?reference=${encodeURIComponent(tag)}`), 'it can be pulled');

  t.match(await preview(app, 'gone'), { reference: 'lab/gone:1', after: null, changes: [], refusal: null });
  t.match(text(formOf((await app.get('/containers/gone/rebuild')).text)), /not here yet: what its registry has/);
});

t.test('what somebody should know before is told, a sentence each', async (t) => {
  const app = await start(t, {
    prepare: (engine) => {
      have(engine, tag);
      engine.addContainer({
        name: 'web',
        image: tag,
        mounts: ['/var/lib/data', 'named:/named'],
        healthcheck: ['CMD', 'true'],
        health: 'healthy',
        config: { StopTimeout: 7 },
        autoRemove: true,
        ports: ['80'],
      });
      const mode = { NetworkMode: `container:${engine.container('web').id}` };
      engine.addContainer({ name: 'side', image: 'lab/side:1', hostConfig: mode, networks: [] });
      engine.addContainer({ name: 'linked', image: 'lab/side:1', hostConfig: { Links: ['/web:/linked/www'] } });
      engine.addContainer({ name: 'plain', image: tag, state: 'exited' });
    },
  });
  const found = await preview(app);
  const wanted = [
    /its stop, which may take 7 s/,
    /outside of its volumes is not taken along/,
    /anonymous volumes move along with their data: \/var\/lib\/data\./,
    /share its namespaces and are made anew after it.*: side\./,
    /health check is waited for, 2 s at most/,
    /started with --rm/,
    /picked anew/,
    /legacy link to it.*: linked\./,
  ];
  for (const words of wanted)
    t.ok(
      found.warnings.some((warning) => words.test(warning)),
      String(words),
    );
  t.equal(found.warnings.length, wanted.length, found.warnings.join('\n'));
  t.match(found.dependants, [{ id: app.engine.container('side').id, name: 'side' }]);
  const shown = text(formOf((await app.get('/containers/web/rebuild')).text));
  for (const warning of found.warnings) t.ok(shown.includes(warning), warning);
  t.strictSame((await preview(app, 'plain')).warnings, ['What it wrote outside of its volumes is not taken along.']);
});

t.test('containers of nobody, and without an engine', async (t) => {
  const app = await start(t, { prepare: (engine) => addWeb(engine) });
  const bad = ['..%2Fversion', '%2e%2e', '-x', 'we%20b', '%00', 'a%2Fb', '%3Cscript%3E', 'a'.repeat(5_000)];
  app.engine.forgetRequests();
  for (const id of bad) {
    for (const prefix of ['', '/fragments', '/api'])
      t.equal((await app.get(`${prefix}/containers/${id}/rebuild`)).status, 400, `${prefix} ${id.slice(0, 20)}`);
    t.equal((await rebuild(app, id)).status, 400);
    t.equal((await app.form(`/containers/${id}/rebuild`)).status, 400);
  }
  t.strictSame(
    app.engine.requests.filter(({ path }) => /containers/.test(path)),
    [],
    'the engine is not asked',
  );
  const missing = { status: 404, code: 'not_found', detail: 'Container nobody not found' };
  t.match(await preview(app, 'nobody'), missing);
  t.match(JSON.parse((await rebuild(app, 'nobody')).text), missing);
  t.equal((await app.get('/containers/nobody/rebuild')).status, 404);
  t.equal((await app.htmx('/containers/nobody/rebuild')).status, 404);
  await app.engine.refuse();
  await until(async () => (await app.get('/readyz')).status === 503, 'the loss is noticed');
  for (const answer of [await app.get('/api/containers/web/rebuild'), await rebuild(app)])
    t.match(JSON.parse(answer.text), { status: 503, code: 'engine_unreachable' });
  t.equal((await app.get('/containers/web/rebuild')).status, 503);
  t.strictSame(await app.api('/operations'), []);
});

// ── refusals ──

type RefusalCase = {
  what: string;
  spec: Partial<ContainerSpec>;
  status: number;
  code: string;
  reason: RegExp;
  offers?: true;
};

const digest = `sha256:${'d'.repeat(64)}`;
const refusals: RefusalCase[] = [
  {
    what: 'a task of a swarm',
    spec: { labels: { 'com.docker.swarm.task.id': 'abc' } },
    status: 409,
    code: 'conflict',
    reason: /^web is a task of a Swarm service: the swarm would replace it\. Update the service\.$/,
  },
  {
    what: 'a privileged one',
    spec: { privileged: true },
    status: 403,
    code: 'disabled',
    reason: /^web is privileged: it is rebuilt only where ENABLE names "privileged"\.$/,
  },
  {
    what: 'one that is being removed',
    spec: { state: 'removing' },
    status: 409,
    code: 'conflict',
    reason: /^web is being removed\.$/,
  },
  {
    what: 'a dead one',
    spec: { state: 'dead' },
    status: 409,
    code: 'conflict',
    reason: /^web is dead: the engine failed to remove it\.$/,
  },
  {
    what: 'one that is pinned to a digest',
    spec: { image: `lab/web@${digest}` },
    status: 409,
    code: 'conflict',
    reason: /^It is pinned to a digest, which never changes\. It can be made anew on the image it has\.$/,
    offers: true,
  },
  {
    what: 'one whose image has no tag',
    spec: { image: digest },
    status: 409,
    code: 'conflict',
    reason: /^Its image has no tag to pull\. It can be made anew on the image it has\.$/,
    offers: true,
  },
];

for (const { what, spec, status, code, reason, offers } of refusals) {
  t.test(`${what} is refused with the reason, before anything is done`, async (t) => {
    const app = await start(t, {
      prepare: (engine) => {
        engine.addImage({ id: digest, digests: [`lab/web@${digest}`] });
        addWeb(engine, spec);
      },
    });
    const { engine } = app;
    const { id, state } = engine.container('web');
    engine.forgetRequests();
    t.match(await preview(app), { refusal: { code, reason, offersSameImage: offers === true } });
    const page = await app.get('/containers/web/rebuild');
    t.equal(page.status, 200, 'it can be looked at');
    const form = formOf(page.text);
    const [alert] = findAll(form, ({ attributes }) => attributes.role === 'alert');
    t.match(text(alert).replace(/^It can’t be rebuilt( by a pull)?\. /, ''), reason);
    t.strictSame(buttonsOf(form), offers ? ['Make it anew on the image it has'] : [], 'no button offers it');

    const api = await rebuild(app);
    t.equal(api.status, status);
    t.match(JSON.parse(api.text), { status, code, detail: reason });
    t.match(await app.form('/containers/web/rebuild', { pull: 'true' }), { status, text: /<!doctype html>/i });
    const htmx = await app.htmx('/containers/web/rebuild');
    t.match(htmx, { status, text: /^<hx-partial hx-target="#failures"/ });
    if (!offers) t.equal((await rebuild(app, 'web', { pull: false, force: true })).status, status, 'in every way');
    t.strictSame(doneTo(engine), []);
    t.match(engine.container('web'), { id, state });
    t.strictSame(await app.api('/operations'), [], 'and no operation is kept');

    if (!offers) return;
    t.strictSame(fieldsOf(form), ['hidden pull=false', 'hidden force=true']);
    const done = await ended(app, await app.form('/containers/web/rebuild', { pull: 'false', force: 'true' }));
    t.match(done, { state: 'succeeded', message: 'web was rebuilt.' }, 'on the image it has it is done');
    t.equal(engine.container('web').imageId, digest);
    t.not(engine.container('web').id, id);
    t.equal(engine.requestsTo('POST', /images\/create/).length, 0);
  });
}

t.test('one that others hang on, who can not follow, is refused by their names', async (t) => {
  const app = await start(t, {
    prepare: (engine) => {
      addWeb(engine);
      const mode = { NetworkMode: `container:${engine.container('web').id}` };
      engine.addContainer({ name: 'side', image: 'lab/side:1', hostConfig: mode, networks: [], privileged: true });
    },
  });
  const detail = /^side needs it and can't follow\. side is privileged/;
  t.match(JSON.parse((await rebuild(app)).text), { status: 403, code: 'disabled', detail });
  t.match(text(formOf((await app.get('/containers/web/rebuild')).text)), /side needs it/);
  t.strictSame(namesIn(app.engine), ['side', 'web']);
});

t.test('a privileged one is rebuilt where that was switched on', async (t) => {
  const app = await start(t, {
    env: { ENABLE: 'privileged' },
    prepare: (engine) => addWeb(engine, { privileged: true }),
  });
  t.match(await preview(app), { refusal: null });
  t.match(await rebuilt(app), { state: 'succeeded' });
  t.match(app.engine.container('web').body.HostConfig, { Privileged: true });
});

// ── doing it ──

t.test('a container is rebuilt in each of the three forms', async (t) => {
  const app = await start(t);
  const { engine } = app;
  const first = addWeb(engine, { ports: ['8080:80'], mounts: ['data:/data'] });
  const isNew = async (n: number, before: { id: string }, image: string) => {
    const found = await untilOperation(app, n, ({ finishedAt }) => finishedAt !== null, 'it has ended');
    t.match(found, { kind: 'rebuild', target: 'web', state: 'succeeded', message: 'web was rebuilt.', progress: 1 });
    const now = engine.container('web');
    t.not(now.id, before.id, 'it is another one');
    t.match(now, { state: 'running', imageId: image });
    t.strictSame(namesIn(engine), ['web'], 'and the only one');
    t.match(await app.api('/containers/web'), {
      id: now.id,
      imageId: image,
      state: 'running',
      portsText: '8080->80/tcp',
    });
    t.equal((await app.get(`/api/containers/${before.id}`)).status, 404);
    return found;
  };
  let before = engine.container('web');
  const api = await rebuild(app);
  t.equal(api.status, 202);
  t.equal(api.headers.location, '/api/operations/1');
  t.match(JSON.parse(api.text), { id: 1, kind: 'rebuild', target: 'web', state: 'running', canCancel: true });
  const done = await isNew(1, before, first.id);
  t.strictSame(
    done.steps.map(({ name, state }) => `${name}: ${state}`),
    [
      'Pull the image: done',
      'Create the new container: done',
      'Stop the old container: done',
      'Move the name: done',
      'Start the new container: done',
      'Wait until it is ready: done',
      'Remove the old container: done',
    ],
  );
  t.equal((await preview(app)).update, 'current', 'its image was pulled just now');

  before = engine.container('web');
  const second = engine.publish(tag, { env: ['RELEASE=3'] });
  const form = await app.form('/containers/web/rebuild', { pull: 'true' });
  t.equal(form.status, 303);
  t.equal(form.headers.location, '/operations/2');
  await isNew(2, before, second.id);

  before = engine.container('web');
  const third = engine.publish(tag, { env: ['RELEASE=4'] });
  const page = openPage((await app.get('/containers/web/rebuild')).text);
  const htmx = await app.htmx('/containers/web/rebuild');
  t.equal(htmx.status, 200);
  page.apply(htmx.text);
  t.strictSame(page.missed, []);
  t.match(text(page.part('operation-now-3')), 'Rebuilding web');
  await isNew(3, before, third.id);
});

t.test('one that runs on the newest image is left alone, unless forced, as a form and as JSON', async (t) => {
  const app = await start(t, {
    prepare: (engine) => {
      have(engine, tag);
      engine.addContainer({ name: 'web', image: tag, config: { StopTimeout: 0 } });
    },
  });
  const { engine } = app;
  const send = (body: object | Record<string, string>, isForm: boolean) =>
    isForm ? app.form('/containers/web/rebuild', body as Record<string, string>) : rebuild(app, 'web', body);
  const leaves: [object, boolean][] = [
    [{}, false],
    [{ force: false }, false],
    [{ force: '0' }, true],
    [{ force: '' }, true],
    [{ pull: 'true' }, true],
  ];
  const { id } = engine.container('web');
  for (const [body, isForm] of leaves) {
    engine.forgetRequests();
    const what = `${JSON.stringify(body)} as ${isForm ? 'a form' : 'JSON'}`;
    t.match(
      await ended(app, await send(body, isForm)),
      { state: 'succeeded', message: 'web runs on the newest image of its tag already: nothing was done.' },
      what,
    );
    t.strictSame(doneTo(engine), ['POST /images/create'], what);
    t.match(engine.container('web'), { id, state: 'running' }, what);
  }
  const forces: [object, boolean][] = [
    [{ force: true }, false],
    [{ force: 'true' }, true],
    [{ force: 'on' }, true],
    [{ force: '1' }, true],
  ];
  for (const [body, isForm] of forces) {
    const what = `${JSON.stringify(body)} as ${isForm ? 'a form' : 'JSON'}`;
    const before = engine.container('web').id;
    t.match(await ended(app, await send(body, isForm)), { state: 'succeeded', message: 'web was rebuilt.' }, what);
    t.not(engine.container('web').id, before, what);
  }
  for (const body of [{ force: 'perhaps' }, { pull: 'perhaps' }, { force: 2 }, { pull: [] }, 'text'])
    t.equal((await rebuild(app, 'web', body as object)).status, 400, JSON.stringify(body));
});

t.test('without a pull the image is used that the tag means here, and no registry is asked', async (t) => {
  const app = await start(t, { prepare: (engine) => addWeb(engine) });
  const { engine } = app;
  const old = engine.container('web').imageId;
  engine.setRegistry('docker.io', 'refused');
  const send = (pull: boolean | string, isForm: boolean) =>
    isForm ? app.form('/containers/web/rebuild', { pull: String(pull) }) : rebuild(app, 'web', { pull });
  for (const [pull, isForm] of [
    [false, false],
    ['false', true],
    ['0', true],
  ] as const) {
    const done = await ended(app, await send(pull, isForm));
    t.match(done, { state: 'succeeded', message: /nothing was done/, steps: [{ name: 'Look at the image' }] });
    t.equal(engine.container('web').imageId, old);
  }
  for (const [pull, isForm] of [
    [true, false],
    ['true', true],
    ['on', true],
    ['', true],
  ] as const)
    t.match(
      await ended(app, await send(pull, isForm)),
      { state: 'failed', errorCode: 'registry_unreachable' },
      `${pull}`,
    );
  const { id } = engine.pullImage(tag);
  t.match(await ended(app, await send(false, false)), { state: 'succeeded', message: 'web was rebuilt.' });
  t.equal(engine.container('web').imageId, id, 'it runs on what was pulled by somebody else');
  engine.tagImage(tag, 'lab/other:1');
  engine.removeImage(tag);
  const gone = await ended(app, await send(false, false));
  t.match(gone, { state: 'failed', errorCode: 'not_found', error: `Image ${tag} is not here. Pull it.` });
  t.equal(engine.container('web').state, 'running');
});

t.test('a login that is entered is used for the pull of this rebuild', async (t) => {
  const app = await start(t, {
    prepare: (engine) => addWeb(engine, {}, { auth: { username: 'lab', password: 'right-password' } }),
  });
  const { id } = app.engine.container('web');
  t.match(await rebuilt(app), { state: 'failed', errorCode: 'registry_denied', error: /wants a login/ });
  const wrong = { username: 'lab', password: 'wrong-password' };
  t.match(await rebuilt(app, 'web', wrong), { state: 'failed', error: /did not accept the credentials/ });
  t.match(app.engine.container('web'), { id, state: 'running' }, 'a pull that fails touches nothing');
  const form = await app.form('/containers/web/rebuild', { username: 'lab', password: 'right-password' });
  const done = await ended(app, form);
  t.match(done, { state: 'succeeded' });
  t.notMatch(JSON.stringify(done), 'right-password');
});

t.test('where the new one does not come up, the old one is back, and why is told', async (t) => {
  const dying = { behaviour: { exitsAfterMs: 1, exitCode: 3, startLog: 'no <b>config</b> found' } };
  const app = await start(t, {
    bounds: { rebuild: { steadyMs: 400 } },
    prepare: (engine) => addWeb(engine, { ports: ['8080:80'] }, dying),
  });
  const { engine } = app;
  const { id, imageId } = engine.container('web');
  const viewer = await openViewer(app, '/containers');
  await viewer.connect();
  const failed = await rebuilt(app);
  t.match(failed, {
    state: 'rolled_back',
    message: '“Wait until it is ready” failed. Everything was undone: web as before.',
    error: /^It ended with exit code 3/,
    errorCode: 'conflict',
    lastLines: ['no <b>config</b> found'],
    canCancel: false,
  });
  t.match(
    failed.steps.map(({ name, state }) => `${name}: ${state}`).slice(-2),
    ['Wait until it is ready: failed', 'Put the old container back: done'],
    'and at which step',
  );
  t.match(engine.container('web'), { id, imageId, state: 'running' });
  t.strictSame(namesIn(engine), ['web'], 'nothing is left of the new one');
  const page = await app.get(`/operations/${failed.id}`);
  const card = text(byId(parseHtml(page.text), `operation-${failed.id}`));
  for (const words of [
    'failed and undone',
    'It ended with exit code 3',
    '“Wait until it is ready” failed. Everything was undone: web as before.',
    'no <b>config</b> found',
  ])
    t.ok(card.includes(words), words);
  await until(() => viewer.part(`operation-now-${failed.id}`).includes('exit code 3'), 'pages that were open are told');
  await until(() => viewer.page.rows().join() === 'web running ', 'and the list is as it was');
  t.match(JSON.parse((await app.post('/api/containers/web/restart')).text), { state: 'running' }, 'it is free again');
});

t.test('one that shares its network is made anew behind it, in the same operation', async (t) => {
  const app = await start(t, {
    prepare: (engine) => {
      addWeb(engine);
      const mode = { NetworkMode: `container:${engine.container('web').id}` };
      engine.addContainer({
        name: 'side',
        image: 'lab/side:1',
        hostConfig: mode,
        networks: [],
        config: { StopTimeout: 0 },
      });
    },
  });
  const { engine } = app;
  const hold = engine.faults.hang({ method: 'POST', path: /stop$/ });
  const begun = await rebuild(app);
  await engine.waitFor(() => engine.requestsTo('POST', /stop$/).length > 0);
  for (const name of ['web', 'side'])
    t.match(
      JSON.parse((await app.post(`/api/containers/${name}/kill`)).text),
      { status: 409, detail: /^Operation 1 / },
      name,
    );
  hold.remove();
  t.match(await ended(app, begun), { state: 'succeeded', message: 'web, side were rebuilt.' });
  t.strictSame(namesIn(engine), ['side', 'web']);
  t.equal(engine.container('side').body.HostConfig?.NetworkMode, `container:${engine.container('web').id}`);
});

// ── meanwhile ──

const containerActions = ['start', 'stop', 'restart', 'pause', 'unpause', 'kill', 'remove', 'rebuild'];

/** A container's row and its own page while something works on it. */
async function isBusy(t: Test, app: TestApp, root: Element, id: string, n: number, where: string) {
  const row = byId(root, `container-${id}`) ?? parseHtml('');
  t.ok('data-busy' in row.attributes, `${where}: it is marked`);
  t.match(text(byId(row, `state-${id}`)), 'rebuilding…', `${where}: the verb instead of its state`);
  t.ok(links(byId(row, `state-${id}`) ?? row).includes(`/operations/${n}`), `${where}: it leads to how it goes`);
  const buttons = findAll(row, ({ tag: name }) => name === 'button');
  t.ok(
    buttons.length > 0 && buttons.every(({ attributes }) => 'disabled' in attributes),
    `${where}: no button is to be pressed`,
  );
  const own = parseHtml((await app.get(`/containers/${id}`)).text);
  t.match(text(byId(own, 'container-state')), 'rebuilding…', `${where}: its own page says so`);
  const ownButtons = findAll(byId(own, 'container-actions') ?? own, ({ tag: name }) => name === 'button');
  t.ok(ownButtons.length > 0 && ownButtons.every(({ attributes }) => 'disabled' in attributes));
}

async function isRefused(t: Test, app: TestApp, id: string, n: number, where: string) {
  const detail = new RegExp(`^Operation ${n} works on it already: rebuild web`);
  const asked = app.engine.requests.length;
  for (const action of containerActions) {
    const body = action === 'remove' ? { force: true } : undefined;
    const api = await app.post(`/api/containers/${id}/${action}`, body);
    t.match(JSON.parse(api.text), { status: 409, code: 'conflict', detail }, `${where}: ${action}`);
    t.equal((await app.form(`/containers/${id}/${action}`)).status, 409, `${where}: ${action} as a form`);
    t.match(await app.htmx(`/containers/${id}/${action}`), { status: 409, text: /Operation \d+ works on it/ });
  }
  const done = app.engine.requests.slice(asked).filter(({ method }) => method !== 'GET');
  t.strictSame(done, [], `${where}: the engine is asked to do nothing`);
}

t.test('while a container is rebuilt its row says so, and it is left to that; then all is as before', async (t) => {
  const app = await start(t, { prepare: (engine) => addWeb(engine, { ports: ['8080:80'] }) });
  const { engine } = app;
  engine.addContainer({ name: 'other' });
  const old = engine.container('web').id;
  const viewer = await openViewer(app, '/containers');
  await viewer.connect();
  const before = viewer.page.rows();
  const pulling = engine.faults.hang({ path: /images\/create/ });
  const n = numberOf(await rebuild(app));
  await until(() => 'data-busy' in (viewer.page.part(`container-${old}`)?.attributes ?? {}), 'the row is told');
  await isBusy(t, app, viewer.page.root, old, n, 'during the pull');
  await isBusy(t, app, parseHtml((await app.get('/containers')).text), old, n, 'during the pull, loaded now');
  await isRefused(t, app, old, n, 'during the pull');
  t.equal((await app.post('/api/containers/other/restart')).status, 200, 'others are free');

  const stopping = engine.faults.hang({ method: 'POST', path: new RegExp(`${old}/stop$`) });
  pulling.remove();
  await engine.waitFor(
    () => engine.requestsTo('POST', new RegExp(`${old}/stop$`)).length > 0,
    'the old one is stopped',
  );
  const made = engine.containers().find(({ name }) => name.startsWith('web.new-'));
  t.ok(made, 'the new one is there, under a name of its own');
  const fresh = made?.id ?? '';
  await until(() => 'data-busy' in (viewer.page.part(`container-${fresh}`)?.attributes ?? {}), 'it is shown');
  for (const id of [old, fresh]) {
    await isBusy(t, app, viewer.page.root, id, n, 'during the swap');
    await isRefused(t, app, id, n, 'during the swap');
  }
  t.match(JSON.parse((await app.post(`/api/operations/${n}/cancel`)).text), {
    status: 409,
    detail: /can't be cancelled/,
  });
  stopping.remove();

  const done = await untilOperation(app, n, ({ finishedAt }) => finishedAt !== null, 'it has ended');
  t.match(done, { state: 'succeeded' });
  await until(() => !viewer.page.part(`container-${old}`), 'the old row goes');
  await until(() => viewer.page.rows().join() === before.join(), 'the list is as before');
  const row = viewer.page.part(`container-${fresh}`) ?? parseHtml('');
  await until(() => !('data-busy' in row.attributes), 'nothing works on it');
  t.notMatch(text(row), /rebuilding/);
  const buttons = findAll(row, ({ tag: name }) => name === 'button');
  t.ok(
    buttons.length > 0 && buttons.every(({ attributes }) => !('disabled' in attributes)),
    'buttons are to be pressed',
  );
  t.match(JSON.parse((await app.post('/api/containers/web/stop')).text), { id: fresh, state: 'exited' });
  t.equal((await app.post('/api/containers/web/start')).status, 200);
  t.strictSame(viewer.page.missed, []);
});

t.test('one that is cancelled during its pull is as if nothing had been', async (t) => {
  const app = await start(t, {
    engine: { pullStepMs: 30 },
    prepare: (engine) => addWeb(engine, {}, { layerCount: 10, layerBytes: 40_000_000 }),
  });
  const { engine } = app;
  const { id, imageId } = engine.container('web');
  const viewer = await openViewer(app, '/containers');
  await viewer.connect();
  const begun = await rebuild(app);
  const n = numberOf(begun);
  await untilOperation(app, n, ({ layers }) => layers.length > 0, 'layers are told');
  t.equal((await app.post(`/api/operations/${n}/cancel`)).status, 200);
  t.match(await ended(app, begun), { state: 'interrupted', error: null, message: 'Cancelled.' });
  await until(() => engine.openStreams('pull').length === 0, 'the engine pulls no longer');
  t.match(engine.container('web'), { id, imageId, state: 'running' });
  t.strictSame(namesIn(engine), ['web']);
  t.equal(engine.image(tag).id, imageId, 'the tag means what it meant');
  await until(() => !('data-busy' in (viewer.page.part(`container-${id}`)?.attributes ?? {})), 'its row is free');
  t.equal((await app.post('/api/containers/web/restart')).status, 200);
});

t.test('the arrow that leads to a rebuild goes with it', async (t) => {
  const app = await start(t, { prepare: (engine) => addWeb(engine) });
  const viewer = await openViewer(app, '/containers');
  await viewer.connect();
  const arrows = () => findAll(viewer.page.root, ({ attributes }) => attributes.class === 'update').length;
  await ended(app, await app.post('/api/images/check'));
  await until(() => arrows() === 1, 'there is an update');
  t.match(await rebuilt(app), { state: 'succeeded' });
  await until(() => arrows() === 0, 'there is none any more');
  t.equal(
    findAll(parseHtml((await app.get('/containers')).text), ({ attributes }) => attributes.class === 'update').length,
    0,
  );
});

// ── a project ──

const member = (service: string, dependsOn = '') => ({
  name: `shop-${service}-1`,
  image: `lab/${service}:1`,
  config: { StopTimeout: 0 },
  labels: {
    'com.docker.compose.project': 'shop',
    'com.docker.compose.service': service,
    ...(dependsOn && { 'com.docker.compose.depends_on': `${dependsOn}:service_started:false` }),
  },
});

/** Web needs api needs db; each has a newer image, that of api does not come up. */
function addShop(engine: SimulatedEngine, isBroken = true) {
  const services = [['web', 'api'], ['api', 'db'], ['db']] as const;
  for (const [service, dependsOn] of services) {
    have(engine, `lab/${service}:1`);
    engine.addContainer(member(service, dependsOn));
    const broken = isBroken && service === 'api' ? { behaviour: { exitsAfterMs: 1, exitCode: 4 } } : {};
    engine.publish(`lab/${service}:1`, { env: ['RELEASE=2'], ...broken });
  }
  engine.addContainer({ name: 'loner' });
}

const idsOf = (engine: SimulatedEngine) =>
  Object.fromEntries(engine.containers().map(({ name, id }) => [name, id])) as Record<string, string>;

/** Names of those that are another container than before. */
const replaced = (engine: SimulatedEngine, before: Record<string, string>) =>
  Object.entries(idsOf(engine))
    .filter(([name, id]) => before[name] !== id)
    .map(([name]) => name)
    .sort();

const resultsOf = ({ results }: OperationJson) => results.map(({ name, ok, detail }) => `${name} ${ok}: ${detail}`);

t.test('before a project is rebuilt, its order is shown, and what to do where one fails is asked', async (t) => {
  const app = await start(t, { prepare: (engine) => addShop(engine) });
  app.engine.forgetRequests();
  const page = await app.get('/projects/shop/rebuild');
  t.equal(page.status, 200);
  const form = formOf(page.text);
  t.match(form.attributes, { method: 'post', action: '/projects/shop/rebuild' });
  const order = findAll(form, ({ tag: name }) => name === 'li').map(text);
  t.match(
    order,
    [/^shop-db-1\s*lab\/db:1/, /^shop-api-1\s*lab\/api:1/, /^shop-web-1\s*lab\/web:1/],
    'who is needed first',
  );
  t.strictSame(fieldsOf(form).slice(0, 5), [
    'radio onFailure=stop checked',
    'radio onFailure=go_on',
    'radio pull=true checked',
    'radio pull=false',
    'checkbox force=true',
  ]);
  t.ok(links(form).includes(`/containers/${app.engine.container('shop-db-1').id}/rebuild`), 'each can be looked at');
  t.strictSame(doneTo(app.engine), []);
  for (const address of ['/containers', '/projects/shop'])
    t.ok(links(parseHtml((await app.get(address)).text)).includes('/projects/shop/rebuild'), `${address} leads there`);

  t.equal((await app.get('/projects/nobody/rebuild')).status, 404);
  t.equal((await app.post('/api/projects/nobody/rebuild')).status, 404);
  t.equal((await app.form('/projects/nobody/rebuild')).status, 404);
  for (const body of [{ onFailure: 'perhaps' }, { onFailure: true }, { pull: 'perhaps' }, { username: 'lab' }])
    t.equal((await app.post('/api/projects/shop/rebuild', body)).status, 400, JSON.stringify(body));
  t.equal((await app.form('/projects/shop/rebuild', { onFailure: 'perhaps' })).status, 400);
  t.strictSame(await app.api('/operations'), []);
});

t.test('a project is rebuilt in the order of its dependencies', async (t) => {
  const app = await start(t, { prepare: (engine) => addShop(engine, false) });
  const { engine } = app;
  const before = idsOf(engine);
  const answer = await app.post('/api/projects/shop/rebuild');
  t.equal(answer.status, 202);
  t.match(JSON.parse(answer.text), { kind: 'project_rebuild', target: 'shop', state: 'running' });
  const done = await ended(app, answer);
  t.match(done, { state: 'succeeded', message: '3 of 3 containers were rebuilt or up to date.', progress: 1 });
  t.strictSame(resultsOf(done), [
    'shop-db-1 true: was rebuilt.',
    'shop-api-1 true: was rebuilt.',
    'shop-web-1 true: was rebuilt.',
  ]);
  t.strictSame(
    done.steps.map(({ name, state }) => `${name} ${state}`),
    ['shop-db-1 done', 'shop-api-1 done', 'shop-web-1 done'],
  );
  t.strictSame(replaced(engine, before), ['shop-api-1', 'shop-db-1', 'shop-web-1'], 'and nobody else');
  const stops = engine.requestsTo('POST', /stop$/).map(({ containerId }) => containerId);
  t.strictSame(
    stops,
    ['shop-db-1', 'shop-api-1', 'shop-web-1'].map((name) => before[name]),
  );

  const htmx = await app.htmx('/projects/shop/rebuild');
  t.equal(htmx.status, 200);
  t.match(htmx.text, 'Rebuilding all of shop');
  const again = await untilOperation(app, 2, ({ finishedAt }) => finishedAt !== null, 'it has ended');
  t.match(again, { state: 'succeeded', message: '3 of 3 containers were rebuilt or up to date.' });
  t.ok(
    again.results.every(({ detail }) => /nothing was done/.test(detail)),
    'they are up to date',
  );
});

for (const [onFailure, send] of [
  ['stop', 'nothing'],
  ['stop', 'a form'],
  ['go_on', 'JSON'],
  ['go_on', 'a form'],
] as const) {
  t.test(`where one of a project fails: ${onFailure}, said by ${send}`, async (t) => {
    const app = await start(t, {
      bounds: { rebuild: { steadyMs: 300 } },
      prepare: (engine) => addShop(engine),
    });
    const { engine } = app;
    const before = idsOf(engine);
    const answer =
      send === 'a form'
        ? await app.form('/projects/shop/rebuild', { onFailure, pull: 'true' })
        : await app.post('/api/projects/shop/rebuild', send === 'JSON' ? { onFailure } : undefined);
    if (send === 'a form') t.match(answer, { status: 303, headers: { location: '/operations/1' } });
    const failed = await ended(app, answer);
    const goesOn = onFailure === 'go_on';
    const failures = goesOn ? 1 : 2;
    t.match(failed, { state: 'failed', errorCode: 'conflict', error: new RegExp(`^${failures} of 3 containers`) });
    t.match(resultsOf(failed), [
      'shop-db-1 true: was rebuilt.',
      /^shop-api-1 false: “Wait until it is ready” failed\. Everything was undone: shop-api-1 as before\. It ended with exit code 4/,
      goesOn ? 'shop-web-1 true: was rebuilt.' : 'shop-web-1 false: Not begun: one before it failed.',
    ]);
    t.strictSame(replaced(engine, before), goesOn ? ['shop-db-1', 'shop-web-1'] : ['shop-db-1']);
    t.strictSame(
      engine
        .containers()
        .map(({ name, state }) => `${name} ${state}`)
        .sort(),
      [...['loner running', 'shop-api-1 running', 'shop-db-1 running', 'shop-web-1 running']],
    );
    const shown = text(mainOf((await app.get('/operations/1')).text));
    for (const { name, detail } of failed.results)
      t.ok(shown.includes(name) && shown.includes(detail), `${name}: ${detail}`);
    const page = parseHtml((await app.get('/containers')).text);
    t.match(text(byId(page, 'operations-badge')), '1 failed');
    t.equal((await operation(app, 1)).canCancel, false);
  });
}

t.test('a project without pulls asks no registry, and is told where its tags have nothing newer', async (t) => {
  const app = await start(t, { prepare: (engine) => addShop(engine, false) });
  const { engine } = app;
  const before = idsOf(engine);
  engine.forgetRequests();
  const done = await ended(app, await app.form('/projects/shop/rebuild', { pull: 'false' }));
  t.match(done, { state: 'succeeded' });
  t.strictSame(doneTo(engine), []);
  t.strictSame(replaced(engine, before), []);
  const forced = await ended(app, await app.form('/projects/shop/rebuild', { pull: 'false', force: 'true' }));
  t.match(forced, { state: 'succeeded' });
  t.equal(engine.requestsTo('POST', /images\/create/).length, 0);
  t.strictSame(replaced(engine, before), ['shop-api-1', 'shop-db-1', 'shop-web-1']);
});

t.test('a project that is cancelled keeps what was rebuilt, and begins nothing more', async (t) => {
  const app = await start(t, { engine: { pullStepMs: 30 }, prepare: (engine) => addShop(engine, false) });
  const { engine } = app;
  const before = idsOf(engine);
  const viewer = await openViewer(app, '/projects/shop');
  await viewer.connect();
  engine.publish('lab/api:1', { layerCount: 12, layerBytes: 40_000_000 });
  const begun = await app.post('/api/projects/shop/rebuild');
  const n = numberOf(begun);
  await untilOperation(app, n, ({ results }) => results.length === 1, 'the first is done');
  await engine.waitFor(() => engine.requestsTo('POST', /images\/create/).length === 2, 'the second is being pulled');
  await untilOperation(app, n, ({ layers }) => layers.length === 12, 'layers of it are told');
  await until(() => /rebuilding…/.test(viewer.part('project-shop-head')), 'the group says what is done to it');
  for (const name of ['shop-db-1', 'shop-api-1', 'shop-web-1'])
    t.match(
      JSON.parse((await app.post(`/api/containers/${name}/stop`)).text),
      { status: 409, detail: new RegExp(`^Operation ${n} works on it already`) },
      `${name}, on its old or its new container`,
    );
  t.equal((await app.post(`/api/operations/${n}/cancel`)).status, 200);
  t.match(await ended(app, begun), { state: 'interrupted', error: null, results: [{ name: 'shop-db-1', ok: true }] });
  t.strictSame(replaced(engine, before), ['shop-db-1']);
  await until(() => !/rebuilding…/.test(viewer.part('containers')), 'the page shows them as free');
  t.equal((await app.post('/api/containers/shop-web-1/restart')).status, 200);
  t.strictSame(viewer.page.missed, []);
});

t.test('a login for a project goes to the one registry that it is for', async (t) => {
  const auth = { username: 'robot', password: 'hunter-entered' };
  const noted = { username: 'lab', password: 'hunter-noted' };
  const prepare = (engine: SimulatedEngine) => {
    for (const [service, image] of [
      ['api', 'priv.test/lab/api:1'],
      ['db', 'lab/db:1'],
    ] as const) {
      have(engine, image, { env: ['RELEASE=1'] });
      engine.addContainer({ ...member(service, ''), image });
      engine.publish(image, { env: ['RELEASE=2'], auth: image.startsWith('priv') ? auth : noted });
    }
  };
  const logins = { 'https://index.docker.io/v1/': `${noted.username}:${noted.password}` };
  const app = await start(t, { prepare, env: { DOCKER_CONFIG: dockerConfig(t, logins) } });
  const form = formOf((await app.get('/projects/shop/rebuild')).text);
  const options = findAll(form, ({ tag: name }) => name === 'option').map(text);
  t.strictSame(options, ['choose…', 'docker.io', 'priv.test'], 'it is asked for');
  const detail = /^registry: must be the one that the login is for: docker\.io, priv\.test\.$/;
  for (const registry of [undefined, '', 'evil.test', 'priv.test:443'])
    t.match(JSON.parse((await app.post('/api/projects/shop/rebuild', { ...auth, registry })).text), {
      status: 400,
      code: 'invalid',
      detail,
    });
  t.equal((await app.form('/projects/shop/rebuild', auth)).status, 400);
  t.strictSame(await app.api('/operations'), [], 'before anything is begun');

  const answer = await app.form('/projects/shop/rebuild', { ...auth, registry: 'priv.test' });
  // With the login of the other registry, each of them would be refused.
  t.match(await ended(app, answer), { state: 'succeeded', message: '2 of 2 containers were rebuilt or up to date.' });
});

t.test('where a project is of one registry, its login needs no name', async (t) => {
  const auth = { username: 'robot', password: 'hunter-entered' };
  const image = 'priv.test/lab/api:1';
  const app = await start(t, {
    prepare: (engine) => {
      have(engine, image, { env: ['RELEASE=1'] });
      engine.addContainer({ ...member('api', ''), image });
      engine.publish(image, { env: ['RELEASE=2'], auth });
    },
  });
  t.notMatch((await app.get('/projects/shop/rebuild')).text, /name="registry"/);
  t.match(await ended(app, await app.post('/api/projects/shop/rebuild', auth)), { state: 'succeeded' });
});

t.test('what works on one container of a group keeps the group from being worked on', async (t) => {
  const app = await start(t, { prepare: (engine) => addShop(engine, false), bounds: { rebuild: { steadyMs: 400 } } });
  const viewer = await openViewer(app, '/projects/shop');
  await viewer.connect();
  const enabled = () => {
    const form = byId(viewer.page.root, 'project-actions') ?? parseHtml('');
    return findAll(form, ({ tag: name, attributes }) => name === 'button' && attributes.disabled === undefined).map(
      text,
    );
  };
  t.strictSame(enabled(), ['Start', 'Stop', 'Restart']);
  const answer = await rebuild(app, 'shop-db-1');
  await until(() => enabled().length === 0, 'nothing can be pressed');
  await ended(app, answer);
  await until(() => enabled().length === 3, 'it can again');
});

t.test('a container whose tag has moved on is still shown with its tag', async (t) => {
  const app = await start(t, {
    prepare: (engine) => {
      addWeb(engine);
      engine.pullImage(tag);
    },
  });
  const row = async () => text(byId(parseHtml((await app.get('/containers')).text), 'containers'));
  await until(async () => /lab\/web:1/.test(await row()), 'its tag and not its id');
  t.match(await row(), /Update available for web/);
});
