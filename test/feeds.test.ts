import t, { type Test } from 'tap';
import type { SimulatedEngine } from './simulated/engine.ts';
import { startApp, type TestApp, until } from './support/app.ts';
import { byId, decode, findAll, openPage, type Page, parseHtml, rowsOf, textOf, toHtml } from './support/page.ts';
import { createRandom } from './support/random.ts';

/** The address of the socket that a page asks for. */
function liveAddress(html: string): string {
  const node = findAll(parseHtml(html), ({ attributes }) => 'hx-ws:connect' in attributes)[0];
  if (!node) throw new Error('the page has no live socket');
  return node.attributes['hx-ws:connect'] ?? '';
}

/** A page with its socket, as a browser has it; it comes back after each loss. */
type Viewer = { path: string; page: Page; connect: () => Promise<void>; drop: () => void };

async function openViewer(app: TestApp, path: string): Promise<Viewer> {
  const { text } = await app.get(path);
  const page = openPage(text);
  let current: ReturnType<TestApp['live']> | undefined;
  async function connect() {
    const live = app.live(liveAddress(text));
    current = live;
    live.socket.on('message', (data) => {
      if (current === live) page.apply(data.toString());
    });
    await live.opened;
  }
  return {
    path,
    page,
    connect,
    drop() {
      current?.socket.terminate();
      current = undefined;
    },
  };
}

const projects = ['shop', 'data-lake', ''];

/** Something that may happen to some container; what can't happen now is passed over. */
function stir(engine: SimulatedEngine, random: () => number, step: number) {
  const all = engine.containers();
  const one = all[Math.floor(random() * all.length)];
  if (!one) return;
  const project = projects[Math.floor(random() * projects.length)] ?? '';
  const labels = project ? { 'com.docker.compose.project': project, 'com.docker.compose.service': 'web' } : {};
  const doings = [
    () => engine.start(one.id),
    () => engine.die(one.id, Math.floor(random() * 3)),
    () => engine.pause(one.id),
    () => engine.unpause(one.id),
    () => engine.rename(one.id, `${random() < 0.5 ? 'aa' : 'zz'}${step}`),
    () => all.length > 4 && engine.removeContainer(one.id),
    () => engine.addContainer({ name: `mm${step}`, labels, ...(random() < 0.5 && { ports: [`${9000 + step}:80`] }) }),
    () => engine.oom(one.id),
    () => engine.health(one.id, random() < 0.5 ? 'healthy' : 'unhealthy'),
  ];
  try {
    doings[Math.floor(random() * doings.length)]?.();
  } catch {}
}

function addSome(engine: SimulatedEngine) {
  for (let n = 0; n < 12; n++) {
    const project = projects[n % projects.length] ?? '';
    const labels = project ? { 'com.docker.compose.project': project, 'com.docker.compose.service': `s${n}` } : {};
    engine.addContainer({ name: `kk${n}`, labels, ...(n % 4 === 0 && { health: 'healthy' as const }) });
  }
}

const views = [
  '/containers',
  '/containers?state=running',
  '/containers?state=trouble',
  '/containers?state=stopped&sort=-name',
  '/containers?q=zz',
  '/containers?sort=-created',
  '/containers?sort=state',
  '/containers?project=shop',
  '/containers?project=data-lake&state=exited&sort=created',
  '/projects/shop',
];

/** What of a page its socket keeps true: the list, and on the list's page the summary and the filters. */
const keptParts = ['containers', 'containers-summary', 'containers-filters'];

async function isSameAsFresh(app: TestApp, viewer: Viewer): Promise<string> {
  const fresh = parseHtml((await app.get(viewer.path)).text);
  const rows = rowsOf(fresh).join('\n');
  if (rows !== viewer.page.rows().join('\n'))
    return `${viewer.path}\n${rows}\n--- is shown as\n${viewer.page.rows().join('\n')}`;
  for (const id of keptParts) {
    const wanted = byId(fresh, id);
    const shown = viewer.page.part(id);
    if (wanted && (!shown || toHtml(wanted) !== toHtml(shown)))
      return `${viewer.path} #${id}\n${toHtml(wanted)}\n--- is shown as\n${shown && toHtml(shown)}`;
  }
  return '';
}

async function expectFresh(t: Test, app: TestApp, viewers: readonly Viewer[], timeoutMs = 8_000) {
  for (const viewer of viewers) {
    let difference = '';
    await until(
      async () => {
        difference = await isSameAsFresh(app, viewer);
        return difference === '';
      },
      viewer.path,
      timeoutMs,
    ).catch(() => {});
    t.equal(difference, '', `${viewer.path} shows what a fresh page shows`);
    t.strictSame(viewer.page.missed, [], `${viewer.path} was never told of an element it does not have`);
  }
}

t.test('after a storm, every view of the list is byte for byte a fresh page', async (t) => {
  for (const seed of [3, 11]) {
    await t.test(`storm ${seed}`, async (t) => {
      const app = await startApp(t, { engine: { staleListMs: 15, restartDelayMs: 10 }, prepare: addSome });
      const random = createRandom(seed);
      const viewers = await Promise.all(views.map((path) => openViewer(app, path)));
      // Between the page and the join, the world goes on.
      for (let step = 0; step < 10; step++) stir(app.engine, random, step);
      await Promise.all(viewers.map((viewer) => viewer.connect()));
      for (let step = 10; step < 400; step++) {
        stir(app.engine, random, step);
        if (step % 10 === 0) await new Promise((resolve) => setTimeout(resolve, Math.floor(random() * 30)));
        if (step % 97 === 0) {
          const viewer = viewers[Math.floor(random() * viewers.length)];
          viewer?.drop();
          stir(app.engine, random, step + 1_000);
          await viewer?.connect();
        }
        if (step === 200) app.engine.faults.dropStreams({ path: /events/ });
      }
      await expectFresh(t, app, viewers);
    });
  }
});

t.test('a view is true again after the engine was killed and came back', async (t) => {
  const app = await startApp(t, { prepare: addSome });
  const viewers = await Promise.all(views.slice(0, 4).map((path) => openViewer(app, path)));
  await Promise.all(viewers.map((viewer) => viewer.connect()));
  const [first] = viewers;
  const status = () => first?.page.part('engine-status')?.attributes['data-status'];
  t.equal(status(), 'connected');
  const restarted = app.engine.restart({ downMs: 400, containers: 'exited' });
  await until(() => status() === 'unreachable', 'the page says that the engine is gone', 2_000);
  t.match(textOf(first?.page.part('engine-notice') ?? parseHtml('')), /Cannot connect to the Docker daemon at/);
  t.equal(first?.page.rows().length, 12, 'what was known stays on the page');
  await restarted;
  await until(() => status() === 'connected', 'the page says that the engine is back', 5_000);
  await expectFresh(t, app, viewers);
  t.ok(
    first?.page.rows().every((row) => row.includes(' exited ')),
    'not one row is wrong',
  );
});

t.test('a row that stops matching goes, one that starts matching comes in its place', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      for (const name of ['alpha', 'bravo', 'charlie', 'delta']) engine.addContainer({ name });
    },
  });
  const viewer = await openViewer(app, '/containers?state=running');
  await viewer.connect();
  const names = () =>
    viewer.page
      .rows()
      .map((row) => row.split(' ')[0])
      .join();
  t.equal(names(), 'alpha,bravo,charlie,delta');
  app.engine.die('bravo');
  await until(() => names() === 'alpha,charlie,delta', 'it goes', 2_000);
  app.engine.start('bravo');
  await until(() => names() === 'alpha,bravo,charlie,delta', 'it comes back to its place', 2_000);
  app.engine.rename('alpha', 'zulu');
  await until(() => names() === 'bravo,charlie,delta,zulu', 'it moves with its name', 2_000);
  app.engine.addContainer({ name: 'aaron' });
  await until(() => names() === 'aaron,bravo,charlie,delta,zulu', 'a new one comes first', 2_000);
  for (const name of ['aaron', 'bravo', 'charlie', 'delta', 'zulu']) app.engine.die(name);
  await until(() => names() === '', 'an empty list says so', 2_000);
  t.match(textOf(viewer.page.part('containers') ?? parseHtml('')), /No container|match/i);
  app.engine.start('delta');
  await until(() => names() === 'delta', 'and fills again', 2_000);
  await expectFresh(t, app, [viewer]);
});

t.test('joining sends the present state first, then only what changed', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      for (let n = 0; n < 50; n++) engine.addContainer({ name: `c${n}`, state: 'exited' });
    },
  });
  const live = app.live('/live?topic=containers');
  await until(() => live.text().includes('id="containers"'), 'the list');
  t.match(live.frames[0], /id="engine-status"/, 'the engine first');
  t.equal(rowsOf(parseHtml(live.text())).length, 50);
  live.frames.length = 0;
  app.engine.start('c7');
  await until(() => live.text().includes('data-state="running"'), 'the change');
  const rows = rowsOf(parseHtml(live.text()));
  t.ok(rows.length > 0 && rows.every((row) => row.startsWith('c7 ')), 'only its row is sent');
  t.notMatch(live.text(), /<table/);
});

t.test('a row is the same bytes on the page, in the fragment, in an answer and in a frame', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      // In a state without an age, so that nothing in it changes meanwhile.
      engine.addContainer({
        name: 'web',
        state: 'created',
        labels: { 'com.docker.compose.project': 'shop' },
        created: Date.now() - 3 * 24 * 3_600_000,
      });
    },
  });
  const rowIn = (html: string) => /<tr role="row" id="container-[\s\S]*?<\/tr>/.exec(html)?.[0] ?? 'no row';
  const live = app.live('/live?topic=containers');
  await until(() => live.text().includes('id="containers"'), 'the list');
  const fromPage = rowIn((await app.get('/containers')).text);
  t.match(fromPage, /data-name="web" data-state="created" data-project="shop"/);
  t.equal(rowIn(live.text()), fromPage, 'frame');
  t.equal(rowIn((await app.get('/fragments/containers')).text), fromPage, 'fragment');
  t.equal(rowIn((await app.get('/projects/shop')).text), fromPage, 'project');
  live.frames.length = 0;
  app.engine.rename('web', 'web2');
  await until(() => live.text().includes('web2'), 'the new name');
  t.equal(rowIn(live.text()), rowIn((await app.get('/containers')).text), 'frame of a change');
  const page = (await app.get('/containers')).text;
  const fragment = (await app.get('/fragments/containers')).text;
  t.ok(page.includes(fragment.trim()), 'the page is the fragment inside a layout');
});

t.test('ages stay true without any event', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => engine.addContainer({ name: 'web', startedAt: Date.now() - 3_000 }),
  });
  const viewer = await openViewer(app, '/containers');
  await viewer.connect();
  const { id } = app.engine.container('web');
  const age = () => textOf(viewer.page.part(`age-${id}`) ?? parseHtml(''));
  const before = age();
  t.match(before, /Up \d+ seconds?/);
  app.engine.forgetRequests();
  await until(() => age() !== before, 'it is older', 3_000);
  t.equal(app.engine.requestsTo('GET', /json/).length, 0, 'nobody was asked');
});

t.test('the page of a container follows it, and its end', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => engine.addContainer({ name: 'web', health: 'healthy', env: { DB_PASSWORD: 'hunter2' } }),
  });
  const viewer = await openViewer(app, '/containers/web');
  await viewer.connect();
  const head = () => textOf(viewer.page.part('container-head') ?? parseHtml(''));
  const detail = () => textOf(viewer.page.part('container-detail') ?? parseHtml(''));
  t.match(head(), /healthy/);
  app.engine.health('web', 'unhealthy', 'connection refused by upstream');
  await until(() => head().includes('unhealthy') && detail().includes('connection refused by upstream'), 'its health');
  app.engine.die('web', 3);
  await until(() => /exited/.test(head()) && /\b3\b/.test(detail()), 'its exit code');
  app.engine.rename('web', 'front');
  await until(() => head().includes('front'), 'its new name');
  app.engine.removeContainer('front');
  await until(() => /removed/i.test(head()), 'its removal');
  t.notMatch(toHtml(viewer.page.root), 'hunter2');
  t.strictSame(viewer.page.missed, []);
});

t.test('the list of images follows the engine', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addImage({ tags: ['lab/web:1'], size: 5_000_000 }) });
  const viewer = await openViewer(app, '/images');
  const sorted = await openViewer(app, '/images?dangling=true');
  await viewer.connect();
  await sorted.connect();
  const list = () => textOf(viewer.page.part('images') ?? parseHtml(''));
  app.engine.addImage({ tags: ['lab/db:1'] });
  await until(() => list().includes('lab/db'), 'a new one');
  app.engine.addContainer({ name: 'user', image: 'lab/db:1' });
  await until(() => list().includes('user') || /1 container/.test(list()), 'who uses it');
  const dangling = app.engine.addImage({ tags: ['lab/old:1'] });
  app.engine.tagImage('lab/web:1', 'lab/old:1');
  await until(() => sorted.page.part(`image-${dangling.id.replace('sha256:', '')}`) !== undefined, 'one that dangles');
  app.engine.removeImage(dangling.id, true);
  await until(() => sorted.page.part(`image-${dangling.id.replace('sha256:', '')}`) === undefined, 'it goes');
  for (const { page, path } of [viewer, sorted]) {
    const fresh = parseHtml((await app.get(path)).text);
    const shown = page.part('images');
    const wanted = byId(fresh, 'images');
    t.equal(shown && toHtml(shown), wanted && toHtml(wanted));
    t.strictSame(page.missed, []);
  }
});

t.test('a hostile name or label does no harm in a frame', async (t) => {
  const app = await startApp(t);
  const viewer = await openViewer(app, '/containers');
  await viewer.connect();
  const nasty = '"><script>alert(1)</script><hx-partial hx-target="#main">\u202e\u0000';
  app.engine.addContainer({
    name: 'web',
    labels: { 'com.docker.compose.project': nasty, 'com.docker.compose.service': nasty },
  });
  await until(() => viewer.page.rows().length === 1, 'its row');
  const [row] = findAll(viewer.page.root, ({ attributes }) => attributes['data-name'] === 'web');
  t.equal(row?.attributes['data-project'], nasty, 'as a text');
  t.notOk(findAll(viewer.page.root, ({ tag, attributes }) => tag === 'script' && !attributes.src).length);
  t.equal(decode('&lt;&quot;'), '<"');
  await expectFresh(t, app, [viewer]);
});
