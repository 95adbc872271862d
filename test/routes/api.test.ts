import t from 'tap';
import { startApp, until } from '../support/app.ts';

type Operation = {
  summary?: string;
  responses?: Record<string, { content?: Record<string, { schema?: unknown }> }>;
  parameters?: { name: string; in: string }[];
};
type Document = {
  openapi: string;
  info: object;
  paths: Record<string, Record<string, Operation>>;
  components?: unknown;
};

t.test('the OpenAPI document lists every route under /api with its shapes', async (t) => {
  const app = await startApp(t);
  const { status, headers, text } = await app.get('/api/openapi.json');
  t.equal(status, 200);
  t.match(headers['content-type'], 'application/json');
  const document = JSON.parse(text) as Document;
  t.match(document.openapi, /^3\./);
  t.match(document.info, { title: 'Fairlead', version: /\d/ });
  const routes = [...app.app.printRoutes({ commonPrefix: false }).matchAll(/(\/api\/\S+) \(([A-Z, ]+)\)/g)].flatMap(
    ([, path = '', methods = '']) =>
      methods
        .split(', ')
        .filter((method) => method !== 'HEAD')
        .map((method) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`),
  );
  const described = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  /** What starts an operation. */
  const begun = [
    'POST /api/containers/{id}/rebuild',
    'POST /api/projects/{project}/{action}',
    'POST /api/projects/{project}/rebuild',
    'POST /api/images/pull',
    'POST /api/images/check',
    'POST /api/images/prune',
  ];
  const wanted = [
    'GET /api/containers',
    'GET /api/containers/{id}',
    'POST /api/containers/{id}/{action}',
    'POST /api/containers/{id}/remove',
    'GET /api/containers/{id}/logs',
    'GET /api/containers/{id}/stats',
    'GET /api/projects/{project}',
    'GET /api/images',
    'GET /api/images/{id}',
    'POST /api/images/{id}/remove',
    'GET /api/operations',
    'GET /api/operations/{n}',
    'POST /api/operations/{n}/cancel',
    'POST /api/operations/{n}/dismiss',
    ...begun,
  ];
  for (const route of wanted) t.ok(described.includes(route), route);
  t.strictSame(
    routes.filter((route) => !described.includes(route) && !route.endsWith('/openapi.json')),
    [],
    'none is forgotten',
  );
  t.ok(
    described.every((route) => route.includes(' /api/')),
    'and nothing else is in it',
  );
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const operation of Object.values(operations)) {
      t.ok(operation.summary, `${path} says what it does`);
      const { '200': done, '202': begun } = operation.responses ?? {};
      t.ok((done ?? begun)?.content, `${path} says what it answers`);
      t.notOk(done && begun, `${path} answers in one way`);
      for (const [, name] of path.matchAll(/\{(\w+)\}/g))
        t.ok(
          operation.parameters?.some((parameter) => parameter.name === name && parameter.in === 'path'),
          `${path} ${name}`,
        );
    }
  }
  const answersBegun = Object.entries(document.paths)
    .filter(([, { post }]) => post?.responses?.['202'])
    .map(([path]) => `POST ${path}`);
  t.strictSame(answersBegun.sort(), begun.sort(), 'what takes longer is begun, all else is done when it is answered');
  const references = [...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map((match) => match[1] ?? '');
  for (const reference of references) {
    const target = reference
      .split('/')
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], document);
    t.ok(target, `${reference} is there`);
  }
});

t.test('health is told without the engine, readiness with it', async (t) => {
  const app = await startApp(t, { waits: false, prepare: (engine) => engine.refuse() });
  t.match(JSON.parse((await app.get('/healthz')).text), { status: 'ok' });
  const away = await app.get('/readyz');
  t.equal(away.status, 503);
  t.match(JSON.parse(away.text), { engine: 'unreachable', database: 'connected' });
  const page = await app.get('/containers');
  t.equal(page.status, 200, 'pages are there');
  t.match(page.text, 'Cannot connect to the Docker daemon');
  await app.engine.listen();
  await until(async () => (await app.get('/readyz')).status === 200, 'it keeps trying');
  t.match(JSON.parse((await app.get('/readyz')).text), { engine: 'connected' });
});

t.test('DEMO marks every page', async (t) => {
  const app = await startApp(t, { env: { DEMO: 'true' }, prepare: (engine) => engine.addContainer({ name: 'web' }) });
  for (const path of ['/containers', '/containers/web', '/images', '/containers/web/logs', '/nowhere'])
    t.match((await app.get(path)).text, />DEMO</, path);
});
