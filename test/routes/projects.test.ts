import t from 'tap';
import type { SimulatedEngine } from '../simulated/engine.ts';
import { startApp, until, untilHolds } from '../support/app.ts';
import { ended, numberOf } from '../support/operations.ts';
import { findAll, openPage, parseHtml, rowsOf, textOf } from '../support/page.ts';
import { openViewer } from '../support/viewer.ts';

const labels = (service: string, dependsOn = '') => ({
  'com.docker.compose.project': 'my-shop',
  'com.docker.compose.service': service,
  ...(dependsOn && { 'com.docker.compose.depends_on': dependsOn }),
});

/** Web and worker need api, api needs db and cache. */
function addShop(engine: SimulatedEngine, state: 'running' | 'exited' = 'running') {
  engine.addContainer({ name: 'shop-web-1', labels: labels('web', 'api:service_healthy:false'), state });
  engine.addContainer({ name: 'shop-worker-1', labels: labels('worker', 'api:service_started:true'), state });
  engine.addContainer({
    name: 'shop-api-1',
    labels: labels('api', 'db:service_healthy:false,cache:service_started:false'),
    state,
  });
  engine.addContainer({ name: 'shop-db-1', labels: labels('db'), state });
  engine.addContainer({ name: 'shop-cache-1', labels: labels('cache'), state });
  engine.addContainer({ name: 'loner', state });
}

/** The order in which the engine was asked, as names. */
const order = (engine: SimulatedEngine, action: string) =>
  engine
    .requestsTo('POST', new RegExp(`/${action}$`))
    .map(({ containerId }) => engine.container(containerId ?? '').name);

const level = (names: string[], name: string) => names.indexOf(`shop-${name}-1`);

t.test('a project has three forms', async (t) => {
  const app = await startApp(t, { prepare: (engine) => addShop(engine) });
  t.match(await app.api('/projects/my-shop'), {
    name: 'my-shop',
    title: 'Docker Compose: My Shop',
    running: 5,
    total: 5,
    containers: [{ name: 'shop-api-1' }, { name: 'shop-cache-1' }],
  });
  const page = await app.get('/projects/my-shop');
  t.equal(rowsOf(parseHtml(page.text)).length, 5);
  await untilHolds(app, '/projects/my-shop', '/fragments/projects/my-shop');
  for (const path of ['/api/projects/nobody', '/projects/nobody', '/fragments/projects/nobody'])
    t.equal((await app.get(path)).status, 404, path);
  t.match(await app.api('/projects/nobody'), { code: 'not_found', detail: 'Project nobody not found' });
});

t.test('dependencies start first and stop last', async (t) => {
  const app = await startApp(t, { prepare: (engine) => addShop(engine, 'exited') });
  app.engine.forgetRequests();
  const answer = await app.post('/api/projects/my-shop/start');
  t.equal(answer.status, 202, 'it is begun and not yet done');
  t.equal(answer.headers.location, '/api/operations/1');
  t.match(JSON.parse(answer.text), { id: 1, kind: 'project_start', target: 'my-shop', state: 'running' });
  const started = await ended(app, answer);
  t.match(started, { state: 'succeeded', progress: 1, message: '5 of 5 containers of my-shop were started.' });
  t.equal(started.results.length, 5);
  t.ok(started.results.every(({ ok }) => ok));
  const up = order(app.engine, 'start');
  t.ok(Math.max(level(up, 'db'), level(up, 'cache')) < level(up, 'api'), up.join());
  t.ok(level(up, 'api') < Math.min(level(up, 'web'), level(up, 'worker')), up.join());
  t.equal(app.engine.container('loner').state, 'exited', 'others are left alone');
  t.match(await ended(app, await app.post('/api/projects/my-shop/stop')), { kind: 'project_stop', state: 'succeeded' });
  const down = order(app.engine, 'stop');
  t.ok(Math.max(level(down, 'web'), level(down, 'worker')) < level(down, 'api'), down.join());
  t.ok(level(down, 'api') < Math.min(level(down, 'db'), level(down, 'cache')), down.join());
  t.match(await ended(app, await app.post('/api/projects/my-shop/restart')), { kind: 'project_restart' });
  const again = order(app.engine, 'restart');
  t.ok(level(again, 'db') < level(again, 'api') && level(again, 'api') < level(again, 'web'), again.join());
  t.match(await app.api('/projects/my-shop'), { running: 5 }, 'who waits for the end sees what it changed');
});

t.test('a level begins when the one before is done', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web', labels: labels('web', 'db'), state: 'exited' });
      engine.addContainer({ name: 'db', labels: labels('db'), state: 'exited', behaviour: { startMs: 80 } });
    },
  });
  await ended(app, await app.post('/api/projects/my-shop/start'));
  const [first, second] = app.engine.requestsTo('POST', /start$/);
  t.match([first?.containerId, second?.containerId], [app.engine.container('db').id, app.engine.container('web').id]);
  t.ok((second?.at ?? 0) >= (first?.closedAt ?? Number.POSITIVE_INFINITY) - 5, 'the database is up first');
});

t.test('one that fails does not hide the others', async (t) => {
  const taken = 'Port 8080 is already in use by another container';
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'taker', ports: ['8080:80'] });
      engine.addContainer({ name: 'shop-db-1', labels: labels('db'), state: 'created', ports: ['8080:80'] });
      engine.addContainer({ name: 'shop-api-1', labels: labels('api', 'db'), state: 'exited' });
      engine.addContainer({ name: 'shop-web-1', labels: labels('web', 'api'), state: 'exited' });
    },
  });
  const answer = await app.post('/api/projects/my-shop/start');
  t.equal(answer.status, 202);
  const failed = await ended(app, answer);
  t.match(failed, { state: 'failed', errorCode: 'conflict', error: '2 of 3 containers of my-shop were started.' });
  t.match(failed.results, [
    { name: 'shop-db-1', ok: false, detail: taken },
    { name: 'shop-api-1', ok: true, detail: '' },
    { name: 'shop-web-1', ok: true },
  ]);
  t.equal(app.engine.container('shop-web-1').state, 'running');

  const viewer = await openViewer(app, '/projects/my-shop');
  await viewer.connect();
  app.engine.die('shop-web-1', 0);
  await until(() => viewer.page.rows().join().includes('shop-web-1 exited'), 'its end is shown');
  const htmx = await app.htmx('/projects/my-shop/start');
  t.equal(htmx.status, 200);
  const targets = findAll(parseHtml(htmx.text), ({ tag }) => tag === 'hx-partial').map(
    ({ attributes }) => attributes['hx-target'],
  );
  t.strictSame(targets, ['#operations-now', '#operations-badge'], 'what every page shows of operations');
  viewer.page.apply(htmx.text);
  const notice = () => viewer.page.part('operation-now-2');
  t.match(notice(), { attributes: { 'data-state': 'running', role: 'status' } });
  t.match(viewer.part('operation-now-2'), 'Starting all of my-shop');
  await until(() => notice()?.attributes['data-state'] === 'failed', 'the page that asked is told how it ended');
  t.equal(notice()?.attributes.role, 'alert');
  t.match(viewer.part('operation-now-2'), /2 of 3 containers/);
  t.match(viewer.part('operation-now-2'), taken);
  for (const name of ['shop-db-1', 'shop-api-1', 'shop-web-1'])
    t.match(viewer.part('operation-now-2'), name, `${name} has its result`);
  await until(() => viewer.page.rows().join().includes('shop-web-1 running'), 'the rows follow');
  await until(() => viewer.part('project-my-shop-head').includes('2/3 running'), 'and so does the head of the group');
  t.strictSame(viewer.page.missed, []);

  const form = await app.form('/projects/my-shop/restart');
  t.equal(form.status, 303);
  t.equal(form.headers.location, '/operations/3', 'a form is led to the page that tells how it goes');
  await ended(app, form);
  const told = textOf(openPage((await app.get('/operations/3')).text).part('main') ?? parseHtml(''));
  t.match(told, /2 of 3 containers/);
  for (const name of ['shop-db-1', 'shop-api-1', 'shop-web-1']) t.match(told, name, `${name} has its result`);
  t.match(told, taken);
});

t.test('while something works on a project, its containers are left to that', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      addShop(engine);
      engine.addContainer({ name: 'alone-1', labels: { 'com.docker.compose.project': 'alone' } });
    },
  });
  const hold = app.engine.faults.hang({ method: 'POST', path: /stop$/ });
  const viewer = await openViewer(app, '/projects/my-shop');
  await viewer.connect();
  const first = await app.post('/api/projects/my-shop/stop');
  const n = numberOf(first);
  await app.engine.waitFor(() => app.engine.requestsTo('POST', /stop$/).length === 2, 'two are being stopped');
  const named = new RegExp(`^Operation ${n} works on it already: .*my-shop`);
  const refusal = { status: 409, code: 'conflict', detail: named };
  for (const path of ['projects/my-shop/start', 'projects/my-shop/rebuild', 'containers/shop-db-1/restart'])
    t.match(JSON.parse((await app.post(`/api/${path}`)).text), refusal, path);
  t.match(JSON.parse((await app.post('/api/containers/shop-db-1/remove', { force: true })).text), refusal);
  t.equal(app.engine.requestsTo('POST', /stop$/).length, 2, 'the engine is asked for nothing else');
  const htmx = await app.htmx('/projects/my-shop/stop');
  t.equal(htmx.status, 409);
  viewer.page.apply(htmx.text);
  t.match(viewer.part('failures').trim(), named, 'the page says why');
  await until(() => /stopping…/.test(viewer.part('project-my-shop-head')), 'the group says what is done to it');
  const buttons = findAll(viewer.page.part('containers') ?? parseHtml(''), ({ tag }) => tag === 'button');
  t.ok(buttons.length > 10);
  t.ok(
    buttons.every(({ attributes }) => 'disabled' in attributes),
    'and no button is to be pressed meanwhile',
  );
  t.equal((await app.post('/api/projects/alone/restart')).status, 202, 'another project is nobody else’s');
  t.equal((await app.post('/api/containers/loner/restart')).status, 200);
  hold.remove();
  t.match(await ended(app, first), { state: 'succeeded', results: { length: 5 } });
  t.match(
    JSON.parse((await app.post('/api/containers/shop-db-1/start')).text),
    { state: 'running' },
    'all is free again',
  );
  await until(() => !/stopping…/.test(viewer.part('project-my-shop-head')), 'and shown as that');
  t.strictSame(viewer.page.missed, []);
});

t.test('who can not start it is told before there is an operation', async (t) => {
  const app = await startApp(t, { prepare: (engine) => addShop(engine) });
  for (const path of ['/api/projects/my-shop/dance', '/projects/my-shop/dance'])
    t.match(await app.post(path), { status: 400, text: /action: must be one of start, stop, restart/ }, path);
  t.equal((await app.post('/api/projects/nobody/stop')).status, 404);
  t.equal((await app.htmx('/projects/nobody/stop')).status, 404);
  await app.engine.refuse();
  await until(async () => (await app.get('/readyz')).status === 503, 'the loss is noticed');
  t.match(JSON.parse((await app.post('/api/projects/my-shop/stop')).text), { status: 503, code: 'engine_unreachable' });
  t.strictSame(await app.api('/operations'), []);
});

t.test('labels that claim a circle, themselves or nobody still end', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'one', labels: labels('one', 'two'), state: 'exited' });
      engine.addContainer({ name: 'two', labels: labels('two', 'one'), state: 'exited' });
      engine.addContainer({ name: 'self', labels: labels('self', 'self,,nobody: :x'), state: 'exited' });
    },
  });
  const { results } = await ended(app, await app.post('/api/projects/my-shop/start'));
  t.equal(results.length, 3);
  t.ok(results.every(({ ok }) => ok));
  t.equal(results[0]?.name, 'self');
});

t.test('the standalone group is no project, and a strange name is only a name', async (t) => {
  const strange = 'a/b ?#%';
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'loner' });
      engine.addContainer({ name: 'odd', labels: { 'com.docker.compose.project': strange } });
    },
  });
  t.equal((await app.post('/api/projects/null/stop')).status, 404);
  t.equal((await app.post('/api/projects//stop')).status, 400);
  t.equal(app.engine.container('loner').state, 'running');
  const path = `/projects/${encodeURIComponent(strange)}`;
  t.equal((await app.get(path)).status, 200);
  t.match(await app.api(path), { name: strange, total: 1 });
  const stopped = await ended(app, await app.post(`/api${path}/stop`));
  t.match(stopped, { target: strange, results: [{ name: 'odd', ok: true }] });
  t.equal(app.engine.container('odd').state, 'exited');
  const form = await app.form(`${path}/start`);
  t.equal(form.headers.location, '/operations/2');
  const links = findAll(parseHtml((await app.get('/operations/2')).text), ({ tag }) => tag === 'a');
  t.ok(
    links.some(({ attributes }) => attributes.href === path),
    'which leads back to the project',
  );
});

t.test('a group waits for what takes its time to stop, as long as that was given', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) =>
      engine.addContainer({
        name: 'shop-db-1',
        labels: labels('db'),
        config: { StopTimeout: 30 },
        behaviour: { stopMs: 400 },
      }),
    bounds: { engine: { action: 100 } },
  });
  const { state, results } = await ended(app, await app.post('/api/projects/my-shop/stop'));
  t.match({ state, results }, { state: 'succeeded', results: [{ name: 'shop-db-1', ok: true }] });
});
