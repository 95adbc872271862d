import t from 'tap';
import { type Answer, startApp, type TestApp, until, untilHolds } from '../support/app.ts';
import { byId, type Element, findAll, openPage, parseHtml, rowsOf, textOf } from '../support/page.ts';

const messagesOf = (html: string) => messagesIn(parseHtml(html));

const messagesIn = (root: Element) => {
  const node = byId(root, 'messages');
  return node ? textOf(node).replace(/\s+/g, ' ').trim() : 'no #messages';
};

/** The page that a form's answer leads to, with the cookies that came along. */
async function followRedirect(app: TestApp, answer: Answer): Promise<Answer> {
  const cookie = (answer.headers['set-cookie'] ?? '').split('\n').map((line) => line.split(';')[0]);
  return app.get(answer.headers.location ?? '', { cookie: cookie.join('; ') });
}

const shop = (service: string, dependsOn = '') => ({
  'com.docker.compose.project': 'my-shop',
  'com.docker.compose.service': service,
  ...(dependsOn && { 'com.docker.compose.depends_on': dependsOn }),
});

t.test('the list has three forms, and none of them asks the engine', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({
        name: 'web',
        image: 'nginx:1.27',
        labels: shop('web'),
        ports: ['8080:80', '[::1]:8443:443', '9000'],
        health: 'healthy',
        created: Date.UTC(2026, 0, 2, 3, 4, 5),
      });
      engine.addContainer({ name: 'old_db_1', state: 'exited', exitCode: 137 });
      engine.addContainer({ name: 'loner', state: 'created' });
    },
  });
  const { id, ports } = app.engine.container('web');
  const picked = ports.find((port) => port.containerPort === 9000)?.hostPort;
  app.engine.forgetRequests();
  const page = await app.get('/containers');
  const fragment = await app.get('/fragments/containers');
  const list = await app.api<Record<string, unknown>[]>('/containers');
  t.equal(app.engine.requestsTo('GET', /containers|images/).length, 0, 'all from what is known');

  t.equal(page.status, 200);
  t.match(page.headers['content-type'], /^text\/html/);
  t.match(page.text, /<!doctype html>/i);
  t.notMatch(fragment.text, /<html|<body/);
  await untilHolds(app, '/containers', '/fragments/containers');
  t.strictSame(rowsOf(parseHtml(page.text)), ['web running my-shop', 'old_db_1 exited old', 'loner created ']);
  t.ok(byId(parseHtml(page.text), `container-${id}`));
  const group = byId(parseHtml(page.text), 'project-my-shop');
  t.match(group, { tag: 'tbody', attributes: { 'data-project': 'my-shop' } });
  t.match(textOf(group ?? parseHtml('')), /Docker Compose:\s*My Shop\s*1\/1 running/);
  t.match(textOf(parseHtml(page.text)), /Standalone Containers/);

  t.strictSame(
    list.map(({ name }) => name),
    ['web', 'old_db_1', 'loner'],
  );
  t.strictSame(Object.keys(list[0] ?? {}).sort(), [
    'created',
    'health',
    'id',
    'image',
    'imageId',
    'name',
    'networks',
    'ports',
    'portsText',
    'project',
    'projectTitle',
    'service',
    'state',
    'status',
  ]);
  t.match(list[0], {
    id,
    name: 'web',
    image: 'nginx:1.27',
    imageId: /^sha256:[0-9a-f]{64}$/,
    state: 'running',
    status: /^Up .* \(healthy\)$/,
    health: 'healthy',
    created: '2026-01-02T03:04:05.000Z',
    portsText: `8080->80/tcp, [::1]:8443->443/tcp, ${picked}->9000/tcp`,
    project: 'my-shop',
    projectTitle: 'Docker Compose: My Shop',
    service: 'web',
    networks: ['bridge'],
  });
  t.match(list[1], { state: 'exited', status: /^Exited \(137\)/, project: 'old', service: 'db', health: null });
  t.match(list[2], { state: 'created', project: null, projectTitle: 'Standalone Containers', service: null });
  t.notOk('startedAt' in (list[2] ?? {}), 'what never ran has no start');
});

t.test('search, filter and sort are done by the server', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web2', labels: shop('web'), created: 3_000 });
      engine.addContainer({ name: 'web10', labels: shop('web'), created: 2_000, health: 'unhealthy' });
      engine.addContainer({ name: 'db', labels: shop('db'), state: 'exited', exitCode: 1, created: 1_000 });
      engine.addContainer({ name: 'calm', state: 'exited', exitCode: 0, image: 'postgres:17' });
      engine.addContainer({ name: 'term', state: 'exited', exitCode: 143 });
      engine.addContainer({ name: 'idle', state: 'paused', ports: ['7070:70'] });
      engine.addContainer({ name: 'fresh', state: 'created' });
      engine.addContainer({ name: 'loop', state: 'restarting' });
    },
  });
  const names = async (query: string) => {
    const found = (await app.api<{ name: string }[]>(`/containers?${query}`)).map(({ name }) => name).join();
    const shown = rowsOf(parseHtml((await app.get(`/containers?${query}`)).text)).map((row) => row.split(' ')[0]);
    // A page is sorted within its groups, a flat list over all.
    t.strictSame(shown.sort(), found.split(',').filter(Boolean).sort(), `page and API agree on ${query}`);
    return found;
  };
  t.equal(await names(''), 'db,web2,web10,calm,fresh,idle,loop,term', 'by name, numbers as numbers, groups first');
  t.equal(await names('sort=-name'), 'web10,web2,term,loop,idle,fresh,db,calm');
  t.equal(await names('project=my-shop&sort=created'), 'db,web10,web2');
  t.equal(await names('project=my-shop&sort=-created'), 'web2,web10,db');
  t.equal(await names('state=running'), 'web2,web10');
  t.equal(await names('state=trouble'), 'db,web10,loop', 'unhealthy, failed, restarting; a stop by signal is none');
  t.equal(await names('state=stopped'), 'db,calm,fresh,term');
  t.equal(await names('state=paused'), 'idle');
  t.equal(await names('q=POSTGRES'), 'calm', 'by image');
  t.equal(await names('q=7070'), 'idle', 'by port');
  t.equal(await names('q=my-shop+web'), 'web2,web10', 'every word has to be found');
  t.equal(await names('q=nothing-like-it'), '');
  t.match(textOf(parseHtml((await app.get('/containers?q=nothing-like-it')).text)), /No container|match/i);
  t.equal(await names('project=nobody'), '');
  for (const [query, field] of [
    ['state=dancing', 'state'],
    ['sort=size', 'sort'],
    [`q=${'x'.repeat(300)}`, 'q'],
  ] as const) {
    const api = await app.get(`/api/containers?${query}`);
    t.match(JSON.parse(api.text), { status: 400, code: 'invalid', detail: new RegExp(`^${field}: `) }, query);
    t.equal((await app.get(`/containers?${query}`)).status, 400);
    t.equal((await app.get(`/fragments/containers?${query}`)).status, 400);
  }
});

t.test('one container has three forms, with secrets masked in all of them', async (t) => {
  const secrets = ['hunter2', 'tok-123', 's3cr3t', 'pa55', 'flagged'];
  const app = await startApp(t, {
    prepare: (engine) =>
      engine.addContainer({
        name: 'web',
        labels: { ...shop('web'), 'app.api_key': 's3cr3t', plain: 'as it is' },
        env: {
          DB_PASSWORD: 'hunter2',
          ACCESS_TOKEN: 'tok-123',
          DATABASE_URL: 'postgres://app:pa55@db:5432/shop',
          LANG: 'C.UTF-8',
        },
        command: ['serve', '--password', 'flagged', '--port=80'],
        ports: ['8080:80'],
        mounts: ['data:/var/lib/data', '/etc/app:/etc/app:ro'],
        health: 'unhealthy',
        restart: 'on-failure:3',
        restartCount: 2,
        memory: 256 * 1024 ** 2,
        cpus: 1.5,
        pidsLimit: 50,
        user: '1000',
        workingDir: '/srv',
      }),
  });
  const { id } = app.engine.container('web');
  app.engine.health('web', 'unhealthy', 'curl: (7) refused');
  for (const path of ['/containers/web', `/fragments/containers/${id}`, `/api/containers/${id.slice(0, 12)}`]) {
    const answer = await app.get(path);
    t.equal(answer.status, 200, path);
    for (const secret of secrets) t.notMatch(answer.text, secret, `${path} does not tell ${secret}`);
    t.match(answer.text, 'C.UTF-8');
    t.match(answer.text, 'DB_PASSWORD');
    t.match(answer.text, 'curl: (7) refused');
  }
  t.match(await app.api('/containers/web'), {
    id,
    name: 'web',
    restartCount: 2,
    restartPolicy: { name: 'on-failure', maximumRetryCount: 3 },
    healthcheck: { status: 'unhealthy', lastOutput: 'curl: (7) refused' },
    limits: { memoryBytes: 256 * 1024 ** 2, cpus: 1.5, pids: 50 },
    mounts: [
      { type: 'volume', name: 'data', destination: '/var/lib/data', readOnly: false },
      { type: 'bind', source: '/etc/app', destination: '/etc/app', readOnly: true },
    ],
    networkSettings: [{ name: 'bridge', ipAddress: /^172\.|^10\./ }],
    user: '1000',
    workingDir: '/srv',
    privileged: false,
    exitCode: null,
    oomKilled: false,
  });
  const revealed = await app.form('/containers/web/reveal');
  t.equal(revealed.status, 200);
  for (const secret of secrets) t.match(revealed.text, secret, `asked for, ${secret} is shown`);
  t.notMatch(revealed.text, new RegExp(`topic=container%3A${id}`), 'and no push masks it again');
  const fragment = await app.htmx('/containers/web/reveal');
  t.match(fragment.text, /^<hx-partial hx-target="#container-detail"[\s\S]*hunter2/);
  t.equal((await app.get('/containers/web/reveal')).status, 303, 'following a link shows nothing');
});

t.test('how a container ended is told', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'hungry', state: 'exited', oomKilled: true, memory: 64 * 1024 ** 2 });
      engine.addContainer({ name: 'never', state: 'created' });
    },
  });
  t.match(await app.api('/containers/hungry'), { state: 'exited', exitCode: 137, oomKilled: true });
  t.match(textOf(parseHtml((await app.get('/containers/hungry')).text)), /OOM|memory/);
  const never = await app.api('/containers/never');
  t.match(never, { state: 'created', exitCode: null });
  t.notOk('finishedAt' in never || 'startedAt' in never, 'the engine tells never as the year 1');
});

t.test('a plain form leads back with a message that is shown once', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { id } = app.engine.container('web');
  const referer = `${app.url}/containers?state=running`;
  const answer = await app.form(`/containers/${id}/stop`, {}, { referer });
  t.equal(answer.status, 303);
  t.equal(answer.headers.location, '/containers?state=running', 'back to where it was');
  t.match(answer.headers['set-cookie'], /HttpOnly/i);
  t.equal(app.engine.container('web').state, 'exited');
  const next = await followRedirect(app, answer);
  t.match(messagesOf(next.text), /web was stopped/);
  t.ok(findAll(parseHtml(next.text), ({ attributes }) => attributes.role === 'status').length > 0);
  const again = await followRedirect(app, answer);
  t.notMatch(messagesOf(again.text), /web was stopped/, 'a second look finds nothing');

  const elsewhere = await app.form(`/containers/${id}/start`, {}, { referer: 'https://evil.example/containers' });
  t.equal(elsewhere.headers.location, `/containers/${id}`, 'never to another site');
  const tricky = await app.form(`/containers/${id}/pause`, {}, { referer: `${app.url}//evil.example/` });
  t.notMatch(tricky.headers.location, /^\/\//);
});

const doneWords = {
  stop: 'web was stopped.',
  start: 'web was started.',
  pause: 'web was paused.',
  unpause: 'web was resumed.',
  restart: 'web was restarted.',
  kill: 'web was killed.',
};

t.test('every action works in each of the three forms', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { id } = app.engine.container('web');
  const steps = [
    ['stop', 'exited'],
    ['start', 'running'],
    ['pause', 'paused'],
    ['unpause', 'running'],
    ['restart', 'running'],
    ['kill', 'exited'],
  ] as const;
  for (const [action, state] of steps) {
    const answer = await app.post(`/api/containers/${id}/${action}`);
    t.equal(answer.status, 200);
    t.match(JSON.parse(answer.text), { id, name: 'web', state }, `${action} answers with what it changed`);
  }
  app.engine.start('web');
  for (const [action, state] of steps) {
    const { status, text } = await app.htmx(`/containers/web/${action}`);
    t.equal(status, 200);
    t.match(text, new RegExp(`hx-target="#container-${id}"`), 'the row by its id');
    t.match(text, `data-state="${state}"`, `${action} shows ${state}`);
    const page = openPage((await app.get('/containers')).text);
    page.apply(text);
    t.strictSame(page.missed, [], 'the page has what the answer names');
    const answer = byId(page.part('messages') ?? page.root, 'answer');
    t.match(answer && textOf(answer), doneWords[action], 'and says what was done');
    t.ok(answer && findAll(answer, ({ attributes }) => attributes.role === 'status').length === 1);
  }
  const twice = await app.post('/api/containers/web/stop');
  t.equal(twice.status, 200, 'what is already stopped (304) is a success');
  t.match((await app.post('/api/containers/web/dance')).text, /action: must be/);
  t.equal((await app.post('/api/containers/web/dance')).status, 400);
});

t.test('a refusal of the engine is told in the form that was asked for', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'first', ports: ['8080:80'] });
      engine.addContainer({ name: 'second', ports: ['8080:80'], state: 'created' });
    },
  });
  const detail = 'Port 8080 is already in use by another container';
  const api = await app.post('/api/containers/second/start');
  t.equal(api.status, 409);
  t.match(api.headers['content-type'], /^application\/problem\+json/);
  t.match(JSON.parse(api.text), { status: 409, code: 'conflict', detail, requestId: api.headers['x-request-id'] });
  const htmx = await app.htmx('/containers/second/start');
  t.equal(htmx.status, 409);
  t.match(htmx.text, /^<hx-partial hx-target="#failures" hx-swap="afterbegin">/);
  t.match(htmx.text, detail);
  t.match(htmx.text, 'role="alert"');
  t.match(htmx.text, htmx.headers['x-request-id'] ?? 'no id');
  const list = openPage((await app.get('/containers')).text);
  list.apply(htmx.text);
  list.apply((await app.htmx('/containers/first/restart')).text);
  list.apply((await app.htmx('/containers/second/pause')).text);
  const failures = byId(list.part('messages') ?? list.root, 'failures');
  const alerts = failures ? findAll(failures, ({ attributes }) => attributes.role === 'alert').map(textOf) : [];
  t.equal(alerts.length, 2, 'a failure stays, whatever is done after it');
  t.match(alerts[0], 'is not running', 'the last one comes first');
  t.match(alerts[1], detail);
  t.match(messagesIn(list.root), 'first was restarted.');
  t.strictSame(list.missed, []);
  const page = await app.form('/containers/second/start');
  t.equal(page.status, 409);
  t.match(page.text, /<!doctype html>/i);
  t.match(textOf(parseHtml(page.text)), detail);
  t.match(page.text, page.headers['x-request-id'] ?? 'no id');
});

t.test('removal asks first, and takes force and volumes as choices', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      for (const name of ['one', 'two', 'three', 'four']) engine.addContainer({ name });
    },
  });
  const asked = await app.get('/containers/one/remove');
  const fields = findAll(parseHtml(asked.text), ({ tag }) => tag === 'input').map(({ attributes }) => attributes.name);
  t.ok(fields.includes('force') && fields.includes('volumes'));
  t.equal(app.engine.container('one').state, 'running', 'looking changes nothing');

  t.match(JSON.parse((await app.post('/api/containers/one/remove')).text), {
    status: 409,
    code: 'conflict',
    detail: 'Container one is running. Stop it first, or force.',
  });
  const { id } = app.engine.container('one');
  const done = await app.post('/api/containers/one/remove', { force: true, volumes: true });
  t.match(JSON.parse(done.text), { id, removed: true });
  const [, last] = app.engine.requestsTo('DELETE', /containers/);
  t.match(last?.query, { force: 'true', v: 'true' });

  const form = await app.form('/containers/two/remove', { force: 'on' });
  t.equal(form.status, 303);
  t.equal(form.headers.location, '/containers');
  t.match(messagesOf((await followRedirect(app, form)).text), /two was removed/);
  t.match(app.engine.requestsTo('DELETE', /containers/).at(-1)?.query, { force: 'true', v: 'false' });
  const { id: threeId } = app.engine.container('three');
  const htmx = await app.htmx('/containers/three/remove', { force: '1' });
  t.match(htmx.text, `<hx-partial hx-target="#container-${threeId}" hx-swap="delete">`);
  t.equal((await app.form('/containers/four/remove', {})).status, 409);
  t.strictSame(
    app.engine.containers().map(({ name }) => name),
    ['four'],
  );
  t.match(await app.api('/containers/one'), { status: 404, code: 'not_found', detail: 'Container one not found' });
});

t.test('wrong ids are refused before the engine is asked', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  app.engine.forgetRequests();
  const bad = [
    '..%2Fversion%3Fx=',
    '%2e%2e',
    'a'.repeat(10_000),
    '-x',
    'we%20b',
    '%00',
    'web%0a',
    'a%2Fb',
    '%F0%9F%90%B3',
    '%ff',
  ];
  for (const id of bad) {
    for (const prefix of ['', '/fragments', '/api']) {
      for (const tail of ['', '/logs', '/stats']) {
        const { status, text } = await app.get(`${prefix}/containers/${id}${tail}`);
        t.equal(status, 400, `${prefix}/containers/${id.slice(0, 20)}${tail}`);
        if (prefix === '/api') t.match(JSON.parse(text), { code: 'invalid', status: 400 });
      }
    }
    t.equal((await app.post(`/api/containers/${id}/start`)).status, 400);
    t.equal((await app.post(`/api/containers/${id}/remove`)).status, 400);
  }
  t.notOk(
    app.engine.requests.some(({ path }) => /containers|images|version/.test(path)),
    'the engine was never asked',
  );
  t.equal((await app.get('/api/containers/nobody')).status, 404);
});

t.test('a container that the inventory has not heard of yet is found', async (t) => {
  const app = await startApp(t);
  const late = app.engine.silently(() => app.engine.addContainer({ name: 'late' }));
  t.match(await app.api('/containers/late'), { id: late.id, name: 'late' });
});

t.test('hostile names, labels and output are shown as what they are', async (t) => {
  const nasty = '<script>alert(1)</script>"\'><img src=x onerror=alert(1)>\u202egnp.exe\u0000';
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({
        name: 'web',
        image: 'lab/web',
        labels: { 'com.docker.compose.project': nasty, 'com.docker.compose.service': nasty, [nasty]: nasty },
        env: [`${nasty}=${nasty}`, 'NO_VALUE', '=x'],
        command: ['sh', '-c', nasty],
        health: 'unhealthy',
        user: nasty,
        workingDir: nasty,
      });
      engine.health('web', 'unhealthy', nasty);
      engine.writeLog('web', nasty);
      engine.writeRawLog('web', Buffer.from([0xff, 0xfe, 0x3c, 0x62, 0x3e, 0x0a]));
    },
  });
  const paths = [
    '/containers',
    '/containers/web',
    '/containers/web/logs',
    '/containers/web/stats',
    '/containers/web/remove',
  ];
  for (const path of [
    ...paths,
    `/projects/${encodeURIComponent(nasty)}`,
    `/containers?q=${encodeURIComponent(nasty)}`,
  ]) {
    const { status, text } = await app.get(path);
    t.equal(status, 200, path.slice(0, 40));
    const root = parseHtml(text);
    t.notOk(findAll(root, ({ tag }) => tag === 'img').length, 'no element of theirs');
    t.ok(
      findAll(root, ({ tag }) => tag === 'script').every(({ attributes }) => attributes.src?.startsWith('/assets/')),
    );
    t.notOk(findAll(root, ({ attributes }) => Object.keys(attributes).some((name) => name.startsWith('on'))).length);
  }
  const [row] = await app.api<{ project: string }[]>('/containers');
  t.equal(row?.project, nasty, 'scripts get it unchanged');
});

t.test('READ_ONLY neither offers nor accepts a change', async (t) => {
  const app = await startApp(t, {
    env: { READ_ONLY: 'true' },
    prepare: (engine) => {
      engine.addContainer({ name: 'web', labels: shop('web'), image: 'lab/web:1' });
    },
  });
  const image = app.engine.image('lab/web:1').id.replace('sha256:', '');
  for (const path of ['/containers', '/containers/web', '/projects/my-shop', '/images', `/images/${image}`]) {
    const { status, text } = await app.get(path);
    t.equal(status, 200, path);
    const actions = findAll(parseHtml(text), ({ attributes }) => {
      const target = attributes.action ?? attributes.formaction ?? '';
      return /\/(start|stop|restart|pause|unpause|kill|remove)$/.test(target || (attributes.href ?? ''));
    });
    t.equal(actions.length, 0, `${path} offers nothing`);
  }
  app.engine.forgetRequests();
  const changes = [
    '/containers/web/stop',
    '/containers/web/remove',
    '/projects/my-shop/stop',
    '/images/lab%2Fweb:1/remove',
  ];
  for (const path of changes) {
    const api = await app.post(`/api${path}`);
    t.equal(api.status, 403, path);
    t.match(JSON.parse(api.text), { code: 'disabled', status: 403 });
    t.equal((await app.form(path)).status, 403);
    t.equal((await app.htmx(path)).status, 403);
  }
  t.equal((await app.get('/containers/web/remove')).status, 403);
  t.equal(app.engine.requests.filter(({ method }) => method !== 'GET').length, 0);
  t.equal(app.engine.container('web').state, 'running');
});

t.test('without an engine, pages say so and keep what was known', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  await app.engine.refuse();
  await until(async () => (await app.get('/readyz')).status === 503, 'the loss is noticed');
  const page = await app.get('/containers');
  t.equal(page.status, 200);
  t.equal(byId(parseHtml(page.text), 'engine-status')?.attributes['data-status'], 'unreachable');
  t.match(textOf(parseHtml(page.text)), /Cannot connect to the Docker daemon at unix:\/\//);
  t.strictSame(rowsOf(parseHtml(page.text)), ['web running ']);
  t.equal((await app.get('/containers/web')).status, 200, 'its page as well');
  t.equal((await app.get('/healthz')).status, 200);
  for (const path of ['/api/containers', '/api/containers/web', '/api/images', '/api/containers/web/logs'])
    t.match(JSON.parse((await app.get(path)).text), { status: 503, code: 'engine_unreachable' }, path);
  t.match(JSON.parse((await app.post('/api/containers/web/stop')).text), { status: 503, code: 'engine_unreachable' });
  await app.engine.listen();
  await until(async () => (await app.get('/readyz')).status === 200, 'it is back');
  t.equal((await app.post('/api/containers/web/stop')).status, 200);
});

t.test('a short beginning of an id names nothing', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { id } = app.engine.container('web');
  for (const ref of [id.slice(0, 1), id.slice(0, 11)]) {
    t.match(await app.api(`/containers/${ref}`), {
      status: 404,
      code: 'not_found',
      detail: `Container ${ref} not found`,
    });
    t.equal((await app.post(`/api/containers/${ref}/kill`)).status, 404);
    t.equal((await app.post(`/api/containers/${ref}/remove`, { force: true })).status, 404);
  }
  t.equal(app.engine.requests.filter(({ method }) => method !== 'GET').length, 0, 'and nothing was done');
  t.equal((await app.get(`/api/containers/${id.slice(0, 12)}`)).status, 200);
  app.engine.silently(() => app.engine.addContainer({ name: 'late' }));
  t.equal((await app.get('/api/containers/late')).status, 200, 'one that was not told of is asked for by its name');
  const later = app.engine.silently(() => app.engine.addContainer({ name: 'later' }));
  t.match(await app.api(`/containers/${later.id.slice(0, 12)}`), { name: 'later' }, 'and by twelve characters');
});
