import t from 'tap';
import type { SimulatedEngine } from '../simulated/engine.ts';
import { startApp } from '../support/app.ts';
import { byId, parseHtml, rowsOf, textOf } from '../support/page.ts';

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
  t.ok(page.text.includes((await app.get('/fragments/projects/my-shop')).text.trim()));
  for (const path of ['/api/projects/nobody', '/projects/nobody', '/fragments/projects/nobody'])
    t.equal((await app.get(path)).status, 404, path);
  t.match(await app.api('/projects/nobody'), { code: 'not_found', detail: 'Project nobody not found' });
});

t.test('dependencies start first and stop last', async (t) => {
  const app = await startApp(t, { prepare: (engine) => addShop(engine, 'exited') });
  app.engine.forgetRequests();
  const started = JSON.parse((await app.post('/api/projects/my-shop/start')).text);
  t.match(started, { project: 'my-shop', action: 'start' });
  t.equal(started.results.length, 5);
  t.ok(started.results.every(({ ok }: { ok: boolean }) => ok));
  const up = order(app.engine, 'start');
  t.ok(Math.max(level(up, 'db'), level(up, 'cache')) < level(up, 'api'), up.join());
  t.ok(level(up, 'api') < Math.min(level(up, 'web'), level(up, 'worker')), up.join());
  t.equal(app.engine.container('loner').state, 'exited', 'others are left alone');
  await app.post('/api/projects/my-shop/stop');
  const down = order(app.engine, 'stop');
  t.ok(Math.max(level(down, 'web'), level(down, 'worker')) < level(down, 'api'), down.join());
  t.ok(level(down, 'api') < Math.min(level(down, 'db'), level(down, 'cache')), down.join());
  await app.post('/api/projects/my-shop/restart');
  const again = order(app.engine, 'restart');
  t.ok(level(again, 'db') < level(again, 'api') && level(again, 'api') < level(again, 'web'), again.join());
});

t.test('a level begins when the one before is done', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web', labels: labels('web', 'db'), state: 'exited' });
      engine.addContainer({ name: 'db', labels: labels('db'), state: 'exited', behaviour: { startMs: 80 } });
    },
  });
  await app.post('/api/projects/my-shop/start');
  const [first, second] = app.engine.requestsTo('POST', /start$/);
  t.ok((second?.at ?? 0) >= (first?.closedAt ?? Number.POSITIVE_INFINITY) - 5, 'the database is up first');
});

t.test('one that fails does not hide the others', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'taker', ports: ['8080:80'] });
      engine.addContainer({ name: 'shop-db-1', labels: labels('db'), state: 'created', ports: ['8080:80'] });
      engine.addContainer({ name: 'shop-api-1', labels: labels('api', 'db'), state: 'exited' });
      engine.addContainer({ name: 'shop-web-1', labels: labels('web', 'api'), state: 'exited' });
    },
  });
  const answer = await app.post('/api/projects/my-shop/start');
  t.equal(answer.status, 200);
  const { results } = JSON.parse(answer.text);
  t.match(results, [
    { name: 'shop-db-1', ok: false, detail: 'Port 8080 is already in use by another container' },
    { name: 'shop-api-1', ok: true, detail: '' },
    { name: 'shop-web-1', ok: true },
  ]);
  t.equal(app.engine.container('shop-web-1').state, 'running');

  app.engine.die('shop-web-1', 0);
  const htmx = await app.htmx('/projects/my-shop/start');
  t.match(htmx.text, /hx-target="#messages"/);
  t.match(htmx.text, /2 of 3 containers/);
  t.match(htmx.text, 'Port 8080 is already in use by another container');
  t.match(htmx.text, /role="alert"/);
  t.match(htmx.text, /hx-target="#project-my-shop-head"/);

  const form = await app.form('/projects/my-shop/restart');
  t.equal(form.status, 303);
  t.equal(form.headers.location, '/projects/my-shop');
  const cookie = form.headers['set-cookie']?.split(';')[0] ?? '';
  const page = parseHtml((await app.get('/projects/my-shop', { cookie })).text);
  const told = textOf(byId(page, 'messages') ?? page);
  t.match(told, /2 of 3 containers/);
  for (const name of ['shop-db-1', 'shop-api-1', 'shop-web-1']) t.match(told, name, `${name} has its result`);
});

t.test('labels that claim a circle, themselves or nobody still end', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'one', labels: labels('one', 'two'), state: 'exited' });
      engine.addContainer({ name: 'two', labels: labels('two', 'one'), state: 'exited' });
      engine.addContainer({ name: 'self', labels: labels('self', 'self,,nobody: :x'), state: 'exited' });
    },
  });
  const { results } = JSON.parse((await app.post('/api/projects/my-shop/start')).text);
  t.equal(results.length, 3);
  t.ok(results.every(({ ok }: { ok: boolean }) => ok));
  t.equal(results[0].name, 'self');
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
  t.match(JSON.parse((await app.post(`/api${path}/stop`)).text), { results: [{ name: 'odd', ok: true }] });
  const form = await app.form(`${path}/start`);
  t.equal(form.headers.location, path);
});
