import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { SimulatedEngine } from '../simulated/engine.ts';
import { type AppOptions, startApp, type TestApp, until } from '../support/app.ts';
import { ended, numberOf, type OperationJson, operation, untilOperation } from '../support/operations.ts';
import { byId, type Element, findAll, openPage, parseHtml, textOf } from '../support/page.ts';
import { openViewer } from '../support/viewer.ts';

/** A pull of this goes on for as long as a test takes. */
const big = 'lab/big:1';
const publishBig = (engine: SimulatedEngine) => engine.publish(big, { layerCount: 12, layerBytes: 40_000_000 });

/** An application whose engine pulls slowly. */
const startSlow = (t: Test, { prepare, ...options }: AppOptions = {}) =>
  startApp(t, {
    engine: { pullStepMs: 40 },
    prepare: (engine) => {
      publishBig(engine);
      return prepare?.(engine);
    },
    ...options,
  });

const pull = (app: TestApp, reference: string) => app.post('/api/images/pull', { reference });
const pulled = async (app: TestApp, reference: string) => ended(app, await pull(app, reference));

/** Begins the pull that goes on, and waits until the engine says something of it. */
async function beginBig(app: TestApp): Promise<number> {
  const n = numberOf(await pull(app, big));
  await untilOperation(app, n, ({ layers }) => layers.length > 0, 'layers are told');
  return n;
}

/** The operations that a list shows, in its order: `3 failed`. */
const rowsIn = (root: Element) =>
  findAll(root, ({ attributes }) => /^operation-row-\d+$/.test(attributes.id ?? '')).map(
    ({ attributes }) => `${attributes.id?.slice('operation-row-'.length)} ${attributes['data-state']}`,
  );

/** What a page tells of operations beside its own matter. */
const noticesIn = (root: Element) =>
  findAll(root, ({ attributes }) => 'data-operation' in attributes).map(
    ({ attributes }) => `${attributes['data-operation']} ${attributes['data-state']}`,
  );

const badgeIn = (root: Element) => {
  const badge = byId(root, 'operations-badge');
  return badge ? textOf(badge).trim() : 'no badge';
};

/** A text that is the same a second later. */
const withoutAges = (text = '') => text.replace(/\d+ s ago/g, '');

const mainOf = (html: string) => byId(parseHtml(html), 'main') ?? parseHtml('');

/** Addresses that a page's forms and buttons send to. */
const targetsIn = (root: Element) =>
  findAll(root, ({ tag, attributes }) => (tag === 'form' && attributes.method === 'post') || tag === 'button').flatMap(
    ({ attributes }) => attributes.formaction ?? attributes.action ?? [],
  );

// ── lists ──

t.test('the list has three forms that agree, the newest first, narrowed by state', async (t) => {
  const app = await startSlow(t);
  t.strictSame(await app.api('/operations'), []);
  t.match(textOf(mainOf((await app.get('/operations')).text)), /Nothing yet/);
  for (const reference of ['lab/a:1', 'lab/b:1']) t.equal((await pulled(app, reference)).state, 'succeeded');
  t.equal((await pulled(app, 'lab/missing:1')).state, 'failed');
  await app.post(`/api/operations/${await beginBig(app)}/cancel`);
  await untilOperation(app, 4, ({ state }) => state === 'interrupted', 'it is cancelled');
  t.equal(await beginBig(app), 5);
  const wanted: [string, string[]][] = [
    ['', ['5 running', '4 interrupted', '3 failed', '2 succeeded', '1 succeeded']],
    ['state=active', ['5 running']],
    ['state=running', ['5 running']],
    ['state=queued', []],
    ['state=succeeded', ['2 succeeded', '1 succeeded']],
    ['state=failed', ['3 failed']],
    ['state=unsuccessful', ['4 interrupted', '3 failed']],
    ['state=interrupted', ['4 interrupted']],
    ['state=rolled_back', []],
    ['state=', ['5 running', '4 interrupted', '3 failed', '2 succeeded', '1 succeeded']],
    ['before=4', ['3 failed', '2 succeeded', '1 succeeded']],
    ['before=4&state=succeeded', ['2 succeeded', '1 succeeded']],
    ['before=1', []],
  ];
  for (const [query, rows] of wanted) {
    const found = await app.api<OperationJson[]>(`/operations?${query}`);
    t.strictSame(
      found.map(({ id, state }) => `${id} ${state}`),
      rows,
      `scripts: ${query}`,
    );
    const page = await app.get(`/operations?${query}`);
    t.equal(page.status, 200);
    t.strictSame(rowsIn(parseHtml(page.text)), rows, `people: ${query}`);
    const fragment = await app.get(`/fragments/operations?${query}`);
    t.strictSame(rowsIn(parseHtml(fragment.text)), rowsIn(parseHtml(page.text)), `the fragment too: ${query}`);
  }
  const past = await app.get('/operations?before=5');
  const fragment = await app.get('/fragments/operations?before=5');
  t.ok(withoutAges(past.text).includes(withoutAges(fragment.text).trim()), 'the page holds the fragment as it is');
  const [current] = findAll(
    mainOf((await app.get('/operations?state=unsuccessful')).text),
    ({ attributes }) => attributes['aria-current'] === 'true',
  );
  t.equal(current && textOf(current), 'Failed');
  t.match(textOf(mainOf((await app.get('/operations?state=rolled_back')).text)), /Nothing matches/);
});

t.test('what a list can not be narrowed by is refused, with what is allowed', async (t) => {
  const app = await startApp(t);
  const wrong: [string, RegExp][] = [
    ['state=finished', /^state: must be one of active, unsuccessful, queued/],
    ['state=constructor', /^state: /],
    ['before=0', /^before: /],
    ['before=-1', /^before: /],
    ['before=x', /^before: /],
    ['before=1.5', /^before: /],
    ['before=9007199254740993000', /^before: /],
    ['limit=0', /^limit: /],
    ['limit=201', /^limit: /],
    ['limit=all', /^limit: /],
  ];
  for (const [query, detail] of wrong) {
    t.match(await app.api(`/operations?${query}`), { status: 400, code: 'invalid', detail }, query);
    for (const prefix of ['', '/fragments'])
      t.equal((await app.get(`${prefix}/operations?${query}`)).status, 400, `${prefix} ${query}`);
    t.equal(await app.live(`/live?topic=operations&${query}`).opened, 400, `the socket: ${query}`);
  }
  t.strictSame(await app.api('/operations?colour=red'), [], 'what means nothing is passed over');
});

t.test('a long list is read page by page, and nothing is there twice', async (t) => {
  const app = await startApp(t);
  const total = 104;
  for (let n = 1; n <= total; n++) await pulled(app, `lab/image-${n}:1`);
  const first = await app.get('/operations');
  t.equal(rowsIn(parseHtml(first.text)).length, 100);
  const [older] = findAll(
    mainOf(first.text),
    ({ tag, attributes }) => tag === 'a' && /before=/.test(attributes.href ?? ''),
  );
  t.equal(older?.attributes.href, '/operations?before=5');
  const second = await app.get(older?.attributes.href ?? '');
  t.strictSame(rowsIn(parseHtml(second.text)), ['4 succeeded', '3 succeeded', '2 succeeded', '1 succeeded']);
  t.notMatch(second.text, 'before=4', 'there is nothing older');
  const filtered = await app.get('/operations?state=succeeded');
  t.match(filtered.text, 'href="/operations?state=succeeded&amp;before=5"', 'the filter goes along');
  const short = await app.get('/operations?limit=3');
  t.match(short.text, 'href="/operations?before=102&amp;limit=3"', 'and how many are wanted');
  const viewer = await openViewer(app, '/operations?limit=3');
  await viewer.connect();
  t.equal(rowsIn(viewer.page.root).length, 3, 'also once it is followed');

  const read: number[] = [];
  for (let before = ''; ; ) {
    const page = await app.api<OperationJson[]>(`/operations?limit=30${before}`);
    if (page.length === 0) break;
    read.push(...page.map(({ id }) => id));
    before = `&before=${page.at(-1)?.id}`;
  }
  t.strictSame(
    read,
    Array.from({ length: total }, (_, index) => total - index),
  );
  t.equal((await app.api<unknown[]>('/operations')).length, 100, 'as long as nobody asks for more');
  t.equal((await app.api<unknown[]>('/operations?limit=200')).length, total);
});

// ── one ──

t.test('one operation has three forms', async (t) => {
  const app = await startSlow(t);
  const n = await beginBig(app);
  const found = await operation(app, n);
  t.strictSame(
    Object.keys(found).sort(),
    [
      ...[
        'actor',
        'bytes',
        'canCancel',
        'error',
        'errorCode',
        'finishedAt',
        'id',
        'isUnfinished',
        'kind',
        'lastLines',
        'layers',
      ],
      ...['message', 'progress', 'queuedAt', 'results', 'startedAt', 'state', 'steps', 'target'],
    ].sort(),
  );
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
  t.match(found, {
    id: n,
    kind: 'pull',
    target: big,
    state: 'running',
    actor: '127.0.0.1',
    queuedAt: time,
    startedAt: time,
    finishedAt: null,
    error: null,
    errorCode: null,
    canCancel: true,
    steps: [{ name: 'Pull the image', state: 'running', startedAt: time, finishedAt: null }],
  });
  t.ok(found.progress !== null && found.progress >= 0 && found.progress < 1, `progress ${found.progress}`);
  const page = await app.get(`/operations/${n}`);
  t.equal(page.status, 200);
  const card = byId(parseHtml(page.text), `operation-${n}`);
  t.match(card?.attributes, { 'data-kind': 'pull', 'data-state': 'running' });
  t.match(textOf(card ?? parseHtml('')), /Pulling lab\/big:1.*running/);
  t.match(page.text, '<title>Pulling lab/big:1 · Fairlead</title>');
  const fragment = parseHtml((await app.get(`/fragments/operations/${n}`)).text);
  t.equal(byId(fragment, `operation-${n}`)?.attributes['data-state'], 'running');
  t.notMatch((await app.get(`/fragments/operations/${n}`)).text, '<html');

  t.equal((await pulled(app, 'lab/missing:1')).state, 'failed');
  const past = await app.get(`/operations/${n + 1}`);
  const pastFragment = await app.get(`/fragments/operations/${n + 1}`);
  t.ok(withoutAges(past.text).includes(withoutAges(pastFragment.text).trim()), 'the page holds the fragment as it is');
  t.match(textOf(mainOf(past.text)), /Pull of lab\/missing:1.*failed/);
});

t.test('the page of one that runs loads itself again where scripts are off, that of a past one does not', async (t) => {
  const app = await startSlow(t);
  const n = await beginBig(app);
  const refresh = async (path: string) =>
    findAll(
      parseHtml((await app.get(path)).text),
      ({ tag, attributes, parent }) =>
        tag === 'meta' && attributes['http-equiv'] === 'refresh' && parent?.tag === 'noscript',
    ).map(({ attributes }) => attributes.content);
  t.strictSame(await refresh(`/operations/${n}`), ['2'], 'the same address, without a script');
  t.notMatch((await app.get('/operations')).text, 'http-equiv="refresh"');
  t.notMatch((await app.get('/containers')).text, 'http-equiv="refresh"');
  await app.post(`/api/operations/${n}/cancel`);
  await untilOperation(app, n, ({ state }) => state === 'interrupted', 'it is cancelled');
  t.notMatch((await app.get(`/operations/${n}`)).text, 'http-equiv="refresh"');
});

t.test('in another page, the fragment of one that runs follows it by itself', async (t) => {
  const app = await startApp(t, { engine: { pullStepMs: 50 } });
  const n = numberOf(await app.form('/images/pull', { reference: 'lab/web:1' }));
  const running = (await app.get(`/fragments/operations/${n}`)).text;
  t.match(running, `hx-ws:connect="/live?topic=operation:${n}"`);
  t.notMatch(
    (await app.get(`/operations/${n}`)).text,
    `hx-ws:connect="/live?topic=operation:${n}"`,
    'a page has its own',
  );
  await untilOperation(app, n, ({ state }) => state === 'succeeded', 'it is done');
  t.notMatch((await app.get(`/fragments/operations/${n}`)).text, 'hx-ws:connect', 'what is over follows nothing');
});

t.test('numbers of nobody are not found, and what is no number is refused', async (t) => {
  const app = await startApp(t);
  await pulled(app, 'lab/a:1');
  const bad = [
    ...['0', '-1', '1.5', 'abc', 'NaN', '9007199254740992', '99999999999999999999', '1%2F..', '..%2F1', '%00', '1%00'],
    ...['%3Cscript%3E', '1;drop', "1'--", '1,1', 'true', 'null', '__proto__', '%D9%A1'],
    'a'.repeat(5_000),
  ];
  for (const n of bad) {
    const shown = n.slice(0, 30);
    for (const prefix of ['', '/fragments'])
      t.equal((await app.get(`${prefix}/operations/${n}`)).status, 400, `${prefix}/operations/${shown}`);
    t.match(await app.api(`/operations/${n}`), { status: 400, code: 'invalid', detail: /^n: / }, shown);
    for (const action of ['cancel', 'dismiss']) {
      t.equal((await app.post(`/api/operations/${n}/${action}`)).status, 400, `${action} ${shown}`);
      t.equal((await app.form(`/operations/${n}/${action}`)).status, 400, `${action} ${shown} as a form`);
    }
  }
  const missing = { status: 404, code: 'not_found', detail: 'Operation 2 not found' };
  t.match(await app.api('/operations/2'), missing);
  for (const action of ['cancel', 'dismiss']) {
    t.match(JSON.parse((await app.post(`/api/operations/2/${action}`)).text), missing, action);
    t.equal((await app.form(`/operations/2/${action}`)).status, 404, `${action} as a form`);
    t.equal((await app.htmx(`/operations/2/${action}`)).status, 404, `${action} as htmx`);
    t.equal((await app.get(`/operations/1/${action}`)).status, 404, `following a link does not ${action}`);
  }
  t.match(textOf(parseHtml((await app.get('/operations/2')).text)), missing.detail);
  t.equal((await app.get('/fragments/operations/2')).status, 404);
  t.equal((await app.get('/api/operations/999999999999999')).status, 404, 'the largest number is one');
});

t.test('an operation has one number, in one spelling', async (t) => {
  const app = await startApp(t);
  await pulled(app, 'lab/a:1');
  for (const n of ['0x1', '1e0', '1.0', '%201', '+1', '01'])
    t.equal((await app.get(`/api/operations/${n}`)).status, 400, n);
});

// ── cancel and dismiss ──

/** The pull has ended at the engine too, and has left nothing. */
async function isGone(t: Test, app: TestApp, n: number) {
  const found = await untilOperation(app, n, ({ finishedAt }) => finishedAt !== null, 'it has ended');
  t.match(found, { state: 'interrupted', message: 'Cancelled.', error: null, errorCode: null, canCancel: false });
  t.ok(
    found.steps.every(({ state }) => state !== 'running' && state !== 'waiting'),
    'no step is shown as going on',
  );
  await until(() => app.engine.openStreams('pull').length === 0, 'the engine pulls no longer');
  t.notOk(
    app.engine.images().some(({ tags }) => tags.includes(big)),
    'the image is not there',
  );
  t.match(await app.api(`/images/${encodeURIComponent(big)}`), { status: 404 });
}

t.test('a pull under way is cancelled in each of the three forms, and ends at the engine', async (t) => {
  const app = await startSlow(t);
  const first = await beginBig(app);
  t.equal(app.engine.openStreams('pull').length, 1);
  const api = await app.post(`/api/operations/${first}/cancel`);
  t.equal(api.status, 200);
  t.match(JSON.parse(api.text), { id: first, canCancel: false });
  await isGone(t, app, first);

  const second = await beginBig(app);
  const page = parseHtml((await app.get(`/operations/${second}`)).text);
  t.ok(targetsIn(page).includes(`/operations/${second}/cancel`), 'its page offers it');
  const form = await app.form(`/operations/${second}/cancel`);
  t.equal(form.status, 303);
  t.equal(form.headers.location, `/operations/${second}`);
  await isGone(t, app, second);
  t.notOk(targetsIn(parseHtml((await app.get(`/operations/${second}`)).text)).includes(`/operations/${second}/cancel`));
  t.match(textOf(mainOf((await app.get(`/operations/${second}`)).text)), /interrupted.*Cancelled\./s);

  const third = await beginBig(app);
  const viewer = await openViewer(app, '/images');
  await viewer.connect();
  t.ok(targetsIn(viewer.page.root).includes(`/operations/${third}/cancel`), 'every page offers it');
  const htmx = await app.htmx(`/operations/${third}/cancel`);
  t.equal(htmx.status, 200);
  viewer.page.apply(htmx.text);
  t.match(viewer.part('answer'), /being cancelled/, 'it is said at once');
  t.notOk(targetsIn(viewer.page.root).includes(`/operations/${third}/cancel`), 'and not offered twice');
  await isGone(t, app, third);
  await until(() => !noticesIn(viewer.page.root).includes(`${third} running`), 'the page is told');
  t.equal(badgeIn(viewer.page.root), '', 'what somebody wanted is no failure');
  t.strictSame(viewer.page.missed, []);
});

t.test('cancelled on its own page, the card says so; on the page of another one, the message does', async (t) => {
  const app = await startSlow(t);
  const cancelOn = async (path: string, n: number) => {
    const page = openPage((await app.get(path)).text);
    const current = { 'hx-request': 'true', 'hx-current-url': `${app.url}${path}` };
    page.apply((await app.form(`/operations/${n}/cancel`, {}, current)).text);
    t.strictSame(page.missed, [], `${path} has what the answer names`);
    return page;
  };
  const first = await beginBig(app);
  for (let other = 2; other <= 10; other++) await pulled(app, `lab/missing:${other}`);
  const other = await cancelOn('/operations/10', first);
  t.match(textOf(other.part('answer') ?? other.root), /being cancelled/, 'number 10 is not number 1');
  await isGone(t, app, first);
  const second = await beginBig(app);
  const own = await cancelOn(`/operations/${second}`, second);
  const card = own.part(`operation-${second}`);
  t.match(card && textOf(card), /Being cancelled|Cancelled/);
  t.notOk(
    noticesIn(own.root).some((notice) => notice.startsWith(`${second} `)),
    'and it is not told a second time above',
  );
  await isGone(t, app, second);
});

t.test('a pull whose registry has not answered yet is cancelled, and that is no failure', async (t) => {
  const app = await startApp(t, { prepare: publishBig });
  app.engine.faults.hang({ path: /images\/create/ });
  const n = numberOf(await pull(app, big));
  await app.engine.waitFor(() => app.engine.requestsTo('POST', /images\/create/).length === 1);
  t.equal((await app.post(`/api/operations/${n}/cancel`)).status, 200);
  await isGone(t, app, n);
  t.equal(badgeIn(parseHtml((await app.get('/containers')).text)), '');
});

t.test('what waits for its turn is cancelled at once', async (t) => {
  const app = await startApp(t);
  const hold = app.engine.faults.hang({ path: /images\/create/ });
  const started = [];
  for (let n = 1; n <= 6; n++) started.push(JSON.parse((await pull(app, `lab/image-${n}:1`)).text));
  t.strictSame(
    started.map(({ state }) => state),
    ['running', 'running', 'running', 'running', 'queued', 'queued'],
    'four at once',
  );
  t.match(await app.api('/operations?state=queued'), [{ id: 6, startedAt: null }, { id: 5 }]);
  const page = parseHtml((await app.get('/operations/5')).text);
  t.match(textOf(byId(page, 'operation-5') ?? page), /waiting/);
  t.match(JSON.parse((await app.post('/api/operations/5/cancel')).text), { id: 5, state: 'interrupted', error: null });
  t.equal(app.engine.requestsTo('POST', /images\/create/).length, 4, 'the engine never heard of it');
  t.equal((await pull(app, 'lab/image-5:1')).status, 202, 'its target is free');
  hold.remove();
  await untilOperation(app, 7, ({ state }) => state === 'succeeded', 'those behind it have their turn');
  t.match(await operation(app, 5), { state: 'interrupted' });
});

t.test('what has ended, and what may not be torn apart, can not be cancelled', async (t) => {
  const app = await startSlow(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'one', labels: { 'com.docker.compose.project': 'shop' } });
      engine.addImage({});
    },
  });
  await pulled(app, 'lab/a:1');
  const past = { status: 409, code: 'conflict', detail: 'Operation 1 has ended already.' };
  t.match(JSON.parse((await app.post('/api/operations/1/cancel')).text), past);
  t.match(await app.form('/operations/1/cancel'), { status: 409, text: /has ended already/ });
  t.match(await app.htmx('/operations/1/cancel'), { status: 409, text: /^<hx-partial hx-target="#failures"/ });
  t.equal((await operation(app, 1)).state, 'succeeded', 'and stays what it is');

  const hold = app.engine.faults.hang({ method: 'POST', path: /(stop|prune)$/ });
  for (const path of ['/api/projects/shop/stop', '/api/images/prune']) {
    const answer = await app.post(path);
    const n = numberOf(answer);
    t.match(JSON.parse(answer.text), { canCancel: false }, path);
    const refusal = { status: 409, code: 'conflict', detail: `Operation ${n} can't be cancelled any more.` };
    t.match(JSON.parse((await app.post(`/api/operations/${n}/cancel`)).text), refusal);
    for (const page of [`/operations/${n}`, '/containers', '/operations'])
      t.notOk(
        targetsIn(parseHtml((await app.get(page)).text)).includes(`/operations/${n}/cancel`),
        `${path} on ${page}`,
      );
  }
  hold.remove();
  for (const n of [2, 3]) await untilOperation(app, n, ({ state }) => state === 'succeeded', 'it goes on');

  const n = await beginBig(app);
  const [one, two] = await Promise.all([1, 2].map(() => app.post(`/api/operations/${n}/cancel`)));
  t.strictSame([one?.status, two?.status].sort(), [200, 409], 'one of two is the first');
  await isGone(t, app, n);
});

t.test('a failure is told on every page until somebody has read it', async (t) => {
  const app = await startSlow(t);
  const viewer = await openViewer(app, '/containers');
  const other = await openViewer(app, '/images');
  await Promise.all([viewer.connect(), other.connect()]);
  const { id } = await pulled(app, 'lab/missing:1');
  for (const { page } of [viewer, other]) {
    await until(() => noticesIn(page.root).includes(`${id} failed`), 'it is told');
    t.equal(badgeIn(page.root), '1 failed');
    t.equal(page.part(`operation-now-${id}`)?.attributes.role, 'alert');
  }
  t.strictSame(noticesIn(parseHtml((await app.get('/operations')).text)), [`${id} failed`], 'to who comes later, too');
  t.ok(targetsIn(viewer.page.root).includes(`/operations/${id}/dismiss`));
  const htmx = await app.htmx(`/operations/${id}/dismiss`);
  t.equal(htmx.status, 200);
  viewer.page.apply(htmx.text);
  t.strictSame([noticesIn(viewer.page.root), badgeIn(viewer.page.root)], [[], ''], 'read here');
  await until(() => noticesIn(other.page.root).length === 0 && badgeIn(other.page.root) === '', 'and everywhere');
  t.strictSame(noticesIn(parseHtml((await app.get('/containers')).text)), []);
  t.match(await operation(app, id), { state: 'failed', error: /there is no such tag/ }, 'it is kept as it was');

  const second = await pulled(app, 'lab/missing:2');
  const form = await app.form(`/operations/${second.id}/dismiss`, {}, { referer: `${app.url}/images?sort=size` });
  t.equal(form.status, 303);
  t.equal(form.headers.location, '/images?sort=size', 'back to where it was');
  const third = await pulled(app, 'lab/missing:3');
  const away = await app.form(`/operations/${third.id}/dismiss`, {}, { referer: 'https://evil.example/' });
  t.equal(away.headers.location, '/operations', 'never to another site');
  const fourth = await pulled(app, 'lab/missing:4');
  const api = await app.post(`/api/operations/${fourth.id}/dismiss`);
  t.match([api.status, JSON.parse(api.text)], [200, { id: fourth.id, state: 'failed' }]);
  t.equal((await app.post(`/api/operations/${fourth.id}/dismiss`)).status, 200, 'twice does no harm');
  t.equal(badgeIn(parseHtml((await app.get('/containers')).text)), '');

  const running = await beginBig(app);
  t.match(JSON.parse((await app.post(`/api/operations/${running}/dismiss`)).text), {
    status: 409,
    code: 'conflict',
    detail: `Operation ${running} still runs.`,
  });
  t.notOk(targetsIn(parseHtml((await app.get('/containers')).text)).includes(`/operations/${running}/dismiss`));
  t.strictSame([...viewer.page.missed, ...other.page.missed], []);
});

t.test('a page that has its own failure above dismisses the others', async (t) => {
  const app = await startApp(t);
  for (const n of [1, 2]) await pulled(app, `lab/missing:${n}`);
  const page = openPage((await app.get('/operations/1')).text);
  t.strictSame(noticesIn(page.root), ['2 failed'], 'its own stands in the card');
  const current = { 'hx-request': 'true', 'hx-current-url': `${app.url}/operations/1` };
  page.apply((await app.form('/operations/2/dismiss', {}, current)).text);
  t.strictSame(noticesIn(page.root), []);
  t.strictSame(page.missed, []);
});

// ── every page ──

const shop = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web' };
const everyPage = [
  ...['/containers', '/containers/web', '/containers/web/logs', '/containers/web/stats', '/containers/web/remove'],
  ...['/containers/web/rebuild', '/projects/shop', '/projects/shop/rebuild', '/images', '/images/lab%2Fweb:1'],
  ...['/images/lab%2Fweb:1/remove', '/images/pull', '/images/prune', '/operations', '/operations?state=failed'],
  ...['/operations/1', '/nowhere', '/containers/nobody', '/images?sort=colour', '/operations/999'],
];

t.test('what runs is told on every page, those of errors too, and on those that were open before', async (t) => {
  const app = await startSlow(t, {
    prepare: (engine) => engine.addContainer({ name: 'web', image: 'lab/web:1', labels: shop }),
  });
  await pulled(app, 'lab/a:1');
  await app.post('/api/operations/1/dismiss');
  const viewers = [];
  for (const path of everyPage) {
    const viewer = await openViewer(app, path);
    t.equal(badgeIn(viewer.page.root), '', `${path}: nothing runs`);
    const { status } = await viewer.connect();
    t.equal(status, 101, `${path} follows`);
    viewers.push({ path, ...viewer });
  }
  const n = await beginBig(app);
  for (const { path, page, part } of viewers) {
    await until(() => badgeIn(page.root) === '1 running', `${path} is told`);
    t.match(noticesIn(page.root), [`${n} running`], path);
    t.equal(page.part(`operation-now-${n}`)?.attributes.role, 'status', path);
    t.match(part(`operation-now-${n}`), 'Pulling lab/big:1', path);
    t.ok(byId(page.part('messages') ?? parseHtml(''), 'operations-now'), `${path}: among its messages`);
    const fresh = parseHtml((await app.get(path)).text);
    t.equal(badgeIn(fresh), '1 running', `${path}, loaded now`);
    t.match(noticesIn(fresh), [`${n} running`], `${path}, loaded now`);
  }
  t.equal(badgeIn(parseHtml((await app.get(`/operations/${n}`)).text)), '1 running');
  t.strictSame(
    noticesIn(parseHtml((await app.get(`/operations/${n}`)).text)).filter((notice) => notice.startsWith(`${n} `)),
    [],
    'its own page tells it once',
  );
  await app.post(`/api/operations/${n}/cancel`);
  for (const { path, page } of viewers) {
    await until(() => badgeIn(page.root) === '' && !noticesIn(page.root).includes(`${n} running`), `${path}: its end`);
    t.strictSame(page.missed, [], `${path} was never told of an element it does not have`);
  }
});

t.test('of many, the newest four are told, and how many more there are', async (t) => {
  const app = await startApp(t);
  const viewer = await openViewer(app, '/containers');
  await viewer.connect();
  app.engine.faults.hang({ path: /images\/create/ });
  for (let n = 1; n <= 7; n++) await pull(app, `lab/image-${n}:1`);
  const isTold = (root: Element) =>
    noticesIn(root).join() === '7 queued,6 queued,5 queued,4 running' && badgeIn(root) === '7 running';
  t.ok(isTold(parseHtml((await app.get('/images')).text)), 'on a page that is loaded now');
  await until(() => isTold(viewer.page.root), 'on one that was open');
  t.match(viewer.part('operations-now'), /and 3 more/);
});

t.test('a queue has an end, and says so', async (t) => {
  const app = await startApp(t);
  app.engine.faults.hang({ path: /images\/create/ });
  for (let n = 1; n <= 104; n++) t.equal((await pull(app, `lab/image-${n}:1`)).status, 202, `number ${n}`);
  const refused = await pull(app, 'lab/image-105:1');
  t.match(JSON.parse(refused.text), { status: 429, code: 'rate_limited', detail: /^100 operations wait already/ });
  t.match(refused.headers['retry-after'], /^\d+$/, 'and when to come again');
  t.equal((await app.api<unknown[]>('/operations?limit=200')).length, 104);
});

// ── the live socket ──

t.test('the list is kept true: what begins comes, what ends changes or goes', async (t) => {
  const app = await startSlow(t);
  await pulled(app, 'lab/a:1');
  await pulled(app, 'lab/missing:1');
  const paths = ['/operations', '/operations?state=active', '/operations?state=unsuccessful', '/operations?before=3'];
  const viewers = await Promise.all(paths.map(async (path) => ({ path, ...(await openViewer(app, path)) })));
  const n = await beginBig(app);
  // Between the page and the join something began: the join tells it.
  for (const viewer of viewers) await viewer.connect();
  const shown = (rows: string[][]) => () =>
    viewers.every(({ page }, index) => rowsIn(page.root).join() === rows[index]?.join());
  const past = ['2 failed', '1 succeeded'];
  await until(shown([[`${n} running`, ...past], [`${n} running`], ['2 failed'], past]), 'what began is there');
  await app.post(`/api/operations/${n}/cancel`);
  await until(
    shown([[`${n} interrupted`, ...past], [], [`${n} interrupted`, '2 failed'], past]),
    'and what ended is where it belongs',
  );
  for (const { path, page } of viewers) {
    t.strictSame(rowsIn(page.root), rowsIn(parseHtml((await app.get(path)).text)), `${path} is as a fresh page`);
    t.strictSame(page.missed, [], path);
  }
});

t.test('one operation is followed from where it is to its end, and is the same to who comes back', async (t) => {
  const app = await startApp(t, {
    engine: { pullStepMs: 20 },
    prepare: (engine) => engine.publish('lab/web:1', { layerCount: 4, layerBytes: 20_000_000 }),
  });
  const n = numberOf(await pull(app, 'lab/web:1'));
  const viewer = await openViewer(app, `/operations/${n}`);
  t.match(viewer.address, `topic=operation%3A${n}`);
  const { live } = await viewer.connect();
  await until(() => live.text().includes(`hx-target="#operation-${n}"`), 'the present state comes first');
  const percents = new Set<number>();
  live.socket.on('message', () => {
    const card = viewer.page.part(`operation-${n}`);
    const [whole] = card ? findAll(card, ({ tag }) => tag === 'progress') : [];
    if (whole?.attributes.value && card?.attributes['data-state'] === 'running')
      percents.add(Number(whole.attributes.value));
  });
  await until(() => viewer.page.part(`operation-${n}`)?.attributes['data-state'] === 'succeeded', 'its end');
  t.ok(percents.size >= 3, `it was seen to move: ${[...percents].join()}`);
  t.strictSame(
    [...percents],
    [...percents].sort((a, b) => a - b),
    'forwards only',
  );
  t.match(viewer.part(`operation-${n}`), /A newer image was pulled\./);
  t.strictSame(viewer.page.missed, []);
  const fresh = byId(parseHtml((await app.get(`/operations/${n}`)).text), `operation-${n}`);
  t.equal(withoutAges(viewer.part(`operation-${n}`)), withoutAges(fresh && textOf(fresh)), 'as a fresh page shows it');

  const late = app.live(viewer.address);
  t.equal(await late.opened, 101, 'what has ended can be followed');
  await until(() => late.text().includes(`hx-target="#operation-${n}"`), 'and is told as it is');
  const states = findAll(parseHtml(late.text()), ({ attributes }) => attributes.id === `operation-${n}`);
  t.strictSame(
    states.map(({ attributes }) => attributes['data-state']),
    ['succeeded'],
  );
});

t.test('topics of nobody are refused before the socket opens', async (t) => {
  const app = await startApp(t);
  await pulled(app, 'lab/a:1');
  for (const name of ['2', '0', 'abc', '1.5', '-1', '1e0', '9'.repeat(15), '9'.repeat(200), '<b>', '1/2'])
    t.equal(await app.live(`/live?topic=${encodeURIComponent(`operation:${name}`)}`).opened, 404, name.slice(0, 20));
  for (const topic of ['operation', 'operation:', 'operations:1'])
    t.equal(await app.live(`/live?topic=${topic}`).opened, 400, topic);
  t.equal(await app.live('/live?topic=operation:1').opened, 101);
  t.equal(await app.live('/live?topic=operation:1&topic=operations&topic=containers').opened, 101, 'several at once');
});

// ── one at a time ──

t.test('a second one on the same target is refused, and names the first', async (t) => {
  const app = await startSlow(t, { prepare: (engine) => engine.publish('lab/latest', { layerCount: 12 }) });
  const n = await beginBig(app);
  const detail = new RegExp(`^Operation ${n} works on it already: pull lab/big:1`);
  const api = await pull(app, big);
  t.match(JSON.parse(api.text), { status: 409, code: 'conflict', detail });
  t.notOk('location' in api.headers);
  const form = await app.form('/images/pull', { reference: ` ${big} ` });
  t.equal(form.status, 409);
  t.match(textOf(parseHtml(form.text)), `Operation ${n} works on it already`);
  const htmx = await app.htmx('/images/pull', { reference: big });
  t.equal(htmx.status, 409);
  const page = openPage((await app.get('/images')).text);
  page.apply(htmx.text);
  t.match(textOf(page.part('failures') ?? page.root), `Operation ${n} works on it already`);
  t.equal((await pull(app, 'lab/latest')).status, 202, 'another one is not');
  t.equal((await pull(app, 'lab/latest:latest')).status, 409, 'no tag is a tag, too');
  const both = await Promise.all([1, 2, 3].map(() => pull(app, 'lab/third:1')));
  t.strictSame(both.map(({ status }) => status).sort(), [202, 409, 409], 'of several at once, one begins');
  t.equal(
    app.engine.requestsTo('POST', /images\/create/).filter(({ query }) => query.fromImage === 'lab/big').length,
    1,
  );
  await app.post(`/api/operations/${n}/cancel`);
  await isGone(t, app, n);
  t.equal((await pull(app, big)).status, 202, 'afterwards it is free');
});

t.test('an image is the same target however its registry is written', async (t) => {
  const app = await startSlow(t);
  await beginBig(app);
  for (const reference of ['docker.io/lab/big:1', 'index.docker.io/lab/big:1'])
    t.equal((await pull(app, reference)).status, 409, reference);
});

// ── across the end of the program ──

t.test('what the end of the program cuts short ends at the engine, and is told at the next start', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-operations-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const before = await startSlow(t, { dataDir });
  const { engine } = before;
  await pulled(before, 'lab/a:1');
  const n = await beginBig(before);
  engine.faults.hang({ path: /images\/create/ });
  const silent = numberOf(await pull(before, 'lab/silent:1'));
  await engine.waitFor(() => engine.requestsTo('POST', /images\/create/).length === 3);
  await before.close();
  await until(() => engine.openStreams('pull').length === 0, 'the engine pulls no longer');
  const app = await startApp(t, { dataDir, engine: { socketPath: `${engine.socketPath}.2` } });
  t.match(await operation(app, silent), { state: 'interrupted', error: 'Fairlead ended while it ran.' });
  t.match(await operation(app, n), {
    state: 'interrupted',
    error: 'Fairlead ended while it ran.',
    canCancel: false,
    finishedAt: /^\d{4}-/,
  });
  t.match(await operation(app, 1), { state: 'succeeded', target: 'lab/a:1' }, 'what had ended is as it was');
  const page = parseHtml((await app.get('/containers')).text);
  t.ok(noticesIn(page).includes(`${n} interrupted`), 'every page says so');
  t.equal(badgeIn(page), '2 failed');
  t.match(textOf(byId(page, `operation-now-${n}`) ?? page), 'Fairlead ended while it ran.');
  t.equal(numberOf(await pull(app, big)), silent + 1, 'no number is given twice, and the target is free');
});

// ── hostile and secret ──

const nasty = '<script>alert(1)</script>"\'><img src=x onerror=alert(1)>';

function isHarmless(t: Test, html: string, where: string) {
  const root = parseHtml(html);
  t.notOk(findAll(root, ({ tag }) => tag === 'img').length, `${where}: no element of theirs`);
  t.ok(
    findAll(root, ({ tag }) => tag === 'script').every(({ attributes }) => attributes.src?.startsWith('/assets/')),
    `${where}: no script of theirs`,
  );
  t.notOk(
    findAll(root, ({ attributes }) => Object.keys(attributes).some((name) => name.startsWith('on'))).length,
    `${where}: no handler of theirs`,
  );
  return textOf(root);
}

t.test('hostile targets, messages and results are shown as what they are', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) =>
      engine.addContainer({ name: 'web', labels: { 'com.docker.compose.project': nasty }, state: 'exited' }),
  });
  const viewers = await Promise.all(['/containers', '/operations'].map((path) => openViewer(app, path)));
  const lives = await Promise.all(viewers.map((viewer) => viewer.connect()));
  const broken = JSON.stringify({ message: `${nasty} broke` });
  app.engine.faults.status(500, broken, 'application/json', { path: /start$|images\/create/ });
  const failed = await ended(app, await app.post(`/api/projects/${encodeURIComponent(nasty)}/start`));
  t.match(failed, { target: nasty, state: 'failed', results: [{ name: 'web', ok: false, detail: `${nasty} broke` }] });
  const refused = await pulled(app, 'lab/web:1');
  t.match(refused, { state: 'failed', errorCode: 'engine_error', error: `${nasty} broke` });
  for (const path of ['/operations', '/operations/1', '/operations/2', '/containers', '/nowhere'])
    t.match(isHarmless(t, (await app.get(path)).text, path), nasty, `${path} tells it`);
  for (const path of ['/fragments/operations', '/fragments/operations/1', '/fragments/operations/2'])
    t.match(isHarmless(t, (await app.get(path)).text, path), nasty, `${path} tells it`);
  for (const viewer of viewers)
    await until(() => viewer.part('operation-now-2').includes('broke'), `${viewer.address} is told`);
  for (const { live } of lives) t.match(isHarmless(t, live.text(), 'the socket'), nasty);
  t.match(isHarmless(t, (await app.htmx('/operations/1/dismiss')).text, 'the answer'), nasty);
});

t.test('secrets in what the engine says are masked wherever an operation is told', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) =>
      engine.addContainer({ name: 'web', labels: { 'com.docker.compose.project': 'shop' }, state: 'exited' }),
  });
  const viewer = await openViewer(app, '/operations');
  const { live } = await viewer.connect();
  const says = 'login at https://robot:hunter2@registry.example/v2 failed, password=hunter2, --token hunter2';
  app.engine.faults.status(500, JSON.stringify({ message: says }), 'application/json', {
    path: /start$|images\/create/,
  });
  const started = await app.post('/api/projects/shop/start');
  const failed = await ended(app, started);
  t.match(failed.results, [{ name: 'web', ok: false, detail: /^login at https:\/\/robot:•+@registry\.example/ }]);
  const refused = await pulled(app, 'lab/web:1');
  t.match(refused, { error: /^login at .*•/, engineMessage: /^login at .*•/ });
  const page = app.live('/live?topic=operation:1&topic=operation:2');
  await page.opened;
  await until(() => page.text().includes('operation-2'), 'they are told');
  await until(() => viewer.part('operation-now-2').includes('login at'), 'the list is told');
  for (const path of [
    '/operations',
    '/operations/1',
    '/operations/2',
    '/containers',
    '/nowhere',
    '/operations?state=failed',
  ]) {
    t.notMatch((await app.get(path)).text, 'hunter2', path);
    t.notMatch((await app.get(`/api${path}`)).text, 'hunter2', `/api${path}`);
    t.notMatch((await app.get(`/fragments${path}`)).text, 'hunter2', `/fragments${path}`);
  }
  for (const text of [live.text(), page.text(), (await app.htmx('/operations/1/dismiss')).text])
    t.notMatch(text, 'hunter2', 'over the socket and in answers');
});

// ── settings ──

t.test('READ_ONLY shows what runs, and neither offers nor accepts a change', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-operations-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const before = await startApp(t, {
    dataDir,
    prepare: (engine) => engine.addContainer({ name: 'web', image: 'lab/web:1', labels: shop }),
  });
  const { engine } = before;
  await pulled(before, 'lab/missing:1');
  await before.app.close();
  const app = await startApp(t, { dataDir, engine, env: { READ_ONLY: 'true' } });
  const gone = 'lab/web:1'.replace('/', '%2F');
  for (const path of [
    '/operations',
    '/operations/1',
    '/containers',
    '/containers/web',
    '/projects/shop',
    '/images',
    `/images/${gone}`,
    '/nowhere',
  ]) {
    const root = parseHtml((await app.get(path)).text);
    if (path !== '/operations/1') t.strictSame(noticesIn(root), [], `${path}: nobody could take it away`);
    t.strictSame(
      targetsIn(root).filter(
        (target) => !/^\/preferences$|\/reveal$/.test(target) && !/^\/(containers|projects)\/[^/]+$/.test(target),
      ),
      [],
      `${path} offers nothing`,
    );
    const links = findAll(root, ({ tag }) => tag === 'a').map(({ attributes }) => attributes.href ?? '');
    t.notOk(
      links.some((href) => /\/(rebuild|remove|pull|prune|check|cancel|dismiss)\b/.test(href)),
      `${path} leads to nothing`,
    );
  }
  engine.forgetRequests();
  const posts = [
    ...['/operations/1/cancel', '/operations/1/dismiss', '/images/pull', '/images/check', '/images/prune'],
    ...['/containers/web/rebuild', '/projects/shop/rebuild', '/projects/shop/stop'],
  ];
  for (const path of posts) {
    const fields = path === '/images/pull' ? { reference: 'lab/web:1' } : {};
    t.match(JSON.parse((await app.post(`/api${path}`, fields)).text), { status: 403, code: 'disabled' }, path);
    t.match(await app.form(path, fields), { status: 403, text: /READ_ONLY/ }, `${path} as a form`);
    t.match(
      await app.htmx(path, fields),
      { status: 403, text: /^<hx-partial hx-target="#failures"/ },
      `${path} as htmx`,
    );
  }
  for (const path of ['/images/pull', '/images/prune', '/containers/web/rebuild', '/projects/shop/rebuild'])
    t.equal((await app.get(path)).status, 403, `${path} asks for what is off`);
  t.equal(engine.requests.filter(({ method }) => method !== 'GET').length, 0, 'the engine was asked for nothing');
  t.equal((await app.api<unknown[]>('/operations')).length, 1);
  t.match(await operation(app, 1), { state: 'failed' });
});

t.test('below a base path, everything that leads to an operation has it', async (t) => {
  const app = await startSlow(t, { env: { BASE_PATH: '/docker' } });
  const api = await pull(app, 'lab/a:1');
  t.equal(api.headers.location, '/docker/api/operations/1');
  await ended(app, api);
  const form = await app.form('/images/pull', { reference: 'lab/missing:1' });
  t.equal(form.headers.location, '/docker/operations/2');
  await ended(app, form);
  const page = parseHtml((await app.get('/containers')).text);
  t.ok(targetsIn(page).includes('/docker/operations/2/dismiss'));
  const n = await beginBig(app);
  const fragment = await app.get(`/fragments/operations/${n}`);
  t.match(fragment.text, `action="/docker/operations/${n}/cancel"`);
  t.equal((await app.form(`/operations/${n}/cancel`)).headers.location, `/docker/operations/${n}`);
});

t.test('EMBED_ORIGINS may frame and fetch how an operation goes, and nothing else', async (t) => {
  const origin = 'https://home.example';
  const app = await startApp(t, { env: { EMBED_ORIGINS: origin } });
  await pulled(app, 'lab/a:1');
  for (const path of ['/fragments/operations/1', '/fragments/operations']) {
    const { headers, status } = await app.get(path, { origin });
    t.equal(status, 200);
    t.match(headers['content-security-policy'], `frame-ancestors 'self' ${origin}`, path);
    t.equal(headers['access-control-allow-origin'], origin, path);
    t.notOk('x-frame-options' in headers, path);
    const other = await app.get(path, { origin: 'https://evil.example' });
    t.notOk('access-control-allow-origin' in other.headers, path);
  }
  for (const path of ['/operations/1', '/operations', '/api/operations/1']) {
    const { headers } = await app.get(path, { origin });
    t.notOk('access-control-allow-origin' in headers, path);
    t.notMatch(headers['content-security-policy'], origin, path);
  }
  t.equal((await app.form('/operations/1/dismiss', {}, { origin })).status, 403, 'it may read, not change');
});
