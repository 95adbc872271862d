import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { toEventJson } from '../../src/routes/event-json.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';
import { startApp, type TestApp, until } from '../support/app.ts';
import { byId, findAll, openPage, parseHtml, textOf } from '../support/page.ts';
import { have } from '../support/rebuilds.ts';

type Line = { text: string };
type Event = {
  id: number;
  cursor: string;
  at: string;
  type: string;
  action: string;
  name: string;
  trouble: string | null;
  text: string;
  exitCode?: number;
  doing?: string;
  actor?: string;
  operation?: number;
  lost?: number;
  from?: string;
  lastWords?: { lines: Line[]; note: string; cpuPercent: number | null; memoryBytes: number | null };
};

const eventsOf = (app: TestApp, query = '') => app.api<Event[]>(`/events${query}`);
const timelineOf = (app: TestApp, name: string, query = '') => app.api<Event[]>(`/containers/${name}/timeline${query}`);
const told = (events: Event[]) => events.map(({ type, action }) => `${type} ${action}`);

/** Waits until the events of a query are as they should be, and gives them. */
async function untilEvents(find: () => Promise<Event[]>, isSo: (events: Event[]) => boolean, what: string) {
  let found: Event[] = [];
  await until(async () => {
    found = await find();
    // A name that is not kept yet is not found.
    return Array.isArray(found) && isSo(found);
  }, what);
  return found;
}

/** The death of that code, with its last words. */
const death = (app: TestApp, name: string, code: number) =>
  untilEvents(
    () => timelineOf(app, name),
    (events) => events.some(({ exitCode, lastWords }) => exitCode === code && lastWords),
    `${name} died with ${code}`,
  ).then((events) => events.find(({ exitCode }) => exitCode === code));

function folder(t: Test) {
  const path = mkdtempSync(join(tmpdir(), 'fairlead-history-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

t.test('A timeline tells all of a name, with last words, also when the container is gone', async (t) => {
  const app = await startApp(t, { env: { STATS_INTERVAL: '1' } });
  const { engine } = app;
  const old = engine.addContainer({ name: 'web', image: 'lab/web:1' });
  for (let n = 1; n <= 60; n++) engine.writeLog('web', `line ${n}\n`);
  await until(async () => (await app.get('/api/containers/web/stats')).text.includes('memoryBytes"'), 'sampled');
  engine.die('web', 1);
  const first = await death(app, 'web', 1);
  t.match(first?.text, /Ended with code 1\. Ended by itself, with a general error.*it died by itself/);
  t.equal(first?.trouble, 'died');
  t.same(
    first?.lastWords?.lines.map(({ text }) => text),
    Array.from({ length: 50 }, (_, n) => `line ${n + 11}`),
    'the last 50 lines',
  );
  t.type(first?.lastWords?.memoryBytes, 'number', 'and the last figures');
  engine.removeContainer('web');
  engine.addContainer({ name: 'web', image: 'lab/web:2' });
  engine.health('web', 'unhealthy');
  engine.rename('web', 'front');
  const events = await untilEvents(
    () => timelineOf(app, 'web'),
    (found) => found.some(({ action }) => action === 'rename'),
    'the new one',
  );
  t.match(events.find(({ text }) => text.startsWith('Created from lab/web:2'))?.text, /made of lab\/web:1/);
  for (const action of ['create', 'start', 'die', 'destroy', 'health_status', 'rename']) {
    t.ok(
      events.some((event) => event.action === action),
      action,
    );
  }
  engine.removeContainer('front');
  await untilEvents(
    () => timelineOf(app, 'front'),
    (found) => found[0]?.action === 'destroy',
    'it is gone',
  );
  const page = await app.get('/containers/web/timeline');
  t.equal(page.status, 200);
  t.match(page.text, /no container has this name now/);
  const root = parseHtml(page.text);
  const row = findAll(root, ({ attributes }) => attributes['data-event'] === 'die').find((node) =>
    /general error/.test(textOf(node)),
  );
  t.match(row && textOf(row), /Its last 50 lines/);
  t.equal(
    row && findAll(row, ({ attributes }) => attributes.class === 'log-line').length,
    50,
    "in the log's own markup",
  );
  t.equal((await app.get(`/fragments/containers/${old.id.slice(0, 12)}/timeline`)).status, 200, 'by its short id');
  t.equal((await app.get('/containers/nobody/timeline')).status, 404);
  t.equal((await app.get('/api/containers/-x/timeline')).status, 400);
});

t.test('Who stopped it here is told apart from what died by itself and what came from outside', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      for (const name of ['asked', 'alone', 'outside']) engine.addContainer({ name });
    },
  });
  await app.post('/api/containers/asked/stop');
  app.engine.die('alone', 137);
  app.engine.kill('outside', '9');
  const of = async (name: string) =>
    (
      await untilEvents(
        () => timelineOf(app, name),
        (events) => events.some(({ action }) => action === 'die'),
        `${name} died`,
      )
    ).find(({ action }) => action === 'die');
  const asked = await of('asked');
  t.match(asked?.text, /^Ended with code \d+\..*Stopped by 127\.0\.0\.1 here\./);
  t.notMatch(asked?.text, /by itself/, 'it was asked');
  t.equal(asked?.trouble, null);
  t.match((await of('alone'))?.text, /137 = 128 \+ 9: ended by SIGKILL.*died by itself/);
  t.match((await of('outside'))?.text, /sent SIGKILL from outside of Fairlead/);
  const deed = (await timelineOf(app, 'asked', '?type=action'))[0];
  t.match(deed, { action: 'stop', actor: '127.0.0.1', state: 'done', text: 'Stopped here by 127.0.0.1.' });

  t.equal((await app.post('/api/containers/asked/pause')).status, 409);
  const failed = await untilEvents(
    () => eventsOf(app, '?trouble=failed'),
    ({ length }) => length > 0,
    'the failure',
  );
  t.match(failed[0], { type: 'action', action: 'pause', actor: '127.0.0.1', state: 'failed' });
});

t.test('An operation is in the history with its result, and deaths by it name it', async (t) => {
  const labels = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web' };
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'shop-web-1', labels }) });
  const answer = JSON.parse((await app.post('/api/projects/shop/stop')).text) as { id: number };
  const events = await untilEvents(
    () => eventsOf(app, '?type=operation'),
    (found) => (found[0] as { state?: string } | undefined)?.state === 'done',
    'the operation',
  );
  t.equal(events.length, 1);
  t.match(events[0], { action: 'project_stop', name: 'shop', operation: answer.id, actor: '127.0.0.1' });
  const timeline = await timelineOf(app, 'shop-web-1');
  t.match(
    timeline.find(({ action }) => action === 'die')?.text,
    /Stopped with all of its project by 127\.0\.0\.1 here/,
  );
  t.match((await app.get('/containers/shop-web-1/timeline')).text, new RegExp(`href="/operations/${answer.id}"`));
});

t.test('A rebuild is in the timeline of its container, with what it did and changed', async (t) => {
  const image = 'registry.test/lab/web:1';
  const app = await startApp(t, {
    bounds: { rebuild: { healthyMs: 500, steadyMs: 50, lateMs: 200 } },
    prepare: (engine) => {
      have(engine, image, { env: ['V=1'] });
      engine.addContainer({ name: 'web', image, config: { StopTimeout: 0 } });
      engine.publish(image, { env: ['V=2'] });
    },
  });
  const { id } = JSON.parse((await app.post('/api/containers/web/rebuild')).text) as { id: number };
  const events = await untilEvents(
    () => timelineOf(app, 'web', '?limit=200'),
    (found) => found.some(({ type, text }) => type === 'operation' && text.includes(': done')),
    'the rebuild',
  );
  const text = (type: string, action: string) =>
    events.filter((event) => event.type === type && event.action === action).map((event) => event.text);
  t.match(text('operation', 'rebuild'), [/^Rebuild of web: done, asked for by 127\.0\.0\.1\..* It took /]);
  t.match(text('container', 'die')[0], /Rebuilt by 127\.0\.0\.1 here\./);
  t.match(text('container', 'create')[0], /The image under that name changed: [0-9a-f]{12} before, [0-9a-f]{12} now\./);
  t.ok(text('container', 'rename').includes('Renamed to web. Rebuilt by 127.0.0.1 here.'), 'its name at the end');
  t.match((await app.get('/containers/web/timeline')).text, new RegExp(`href="/operations/${id}"`));
  const { id: container } = await app.api<{ id: string }>('/containers/web');
  const marks = await app.api<Event[]>(`/events?container=${container}`);
  t.notOk(told(marks).includes('container destroy'), 'by its id it is this one alone');
});

t.test('Probes of health checks are not kept, nor labels', async (t) => {
  const app = await startApp(t);
  const labels = { secret: 'hunter2' };
  const { id } = app.engine.addContainer({ name: 'web', labels });
  for (let n = 0; n < 20; n++) {
    app.engine.emit({ type: 'container', action: 'exec_create: /probe', id, attributes: { name: 'web', ...labels } });
  }
  app.engine.pause('web');
  const events = await untilEvents(
    () => eventsOf(app),
    (found) => found[0]?.action === 'pause',
    'the pause',
  );
  t.notMatch(told(events).join(), /exec/);
  t.match((await timelineOf(app, 'web', '?type=network'))[0]?.text, 'Connected to network bridge.');
  t.notMatch(JSON.stringify(events), /hunter2/);
});

t.test('Events are narrowed by everything, and paged to the first', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  await app.engine.storm({ count: 120 });
  await untilEvents(
    () => eventsOf(app, '?type=volume&limit=200'),
    ({ length }) => length === 120,
    'all',
  );
  const ids: number[] = [];
  for (let before = ''; ; ) {
    const page = await eventsOf(app, `?type=volume&limit=50&before=${before}`);
    ids.push(...page.map(({ id }) => id));
    before = page.at(-1)?.cursor ?? '';
    if (page.length < 50) break;
  }
  t.equal(new Set(ids).size, 120, 'each once');
  const all = await eventsOf(app, '?limit=200');
  const middle = all[60];
  t.ok(
    (await eventsOf(app, `?limit=200&since=${middle?.at}`)).every(({ at }) => at >= (middle?.at ?? '').slice(0, 23)),
  );
  t.same(await eventsOf(app, '?until=2001-01-01'), []);
  t.ok((await eventsOf(app, '?action=create&type=volume')).length > 0);
  t.same(
    new Set(told(await eventsOf(app, '?container=web')).map((text) => text.split(' ')[0])),
    new Set(['container', 'network']),
    'those of other things are not of it',
  );
  for (const wrong of ['since=yesterday', 'before=x', 'type=x', 'trouble=x', 'limit=0']) {
    const answer = await app.get(`/api/events?${wrong}`);
    t.equal(answer.status, 400, wrong);
    t.match(JSON.parse(answer.text).detail, wrong.split('=')[0]);
  }
  const page = await app.get('/events?type=volume');
  t.match(page.text, /<a [^>]*href="\/events\?[^"]*before=[^"]+"[^>]*>Older/, 'a link leads further without scripts');
  t.match(page.text, /Kept are 90 days, and 100,000 events at most\. They go back to/);
});

t.test('A page of events stays true: first what there is, then only what is new', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  await untilEvents(
    () => eventsOf(app),
    ({ length }) => length > 0,
    'something',
  );
  const page = openPage((await app.get('/events')).text);
  const live = app.live('/live?topic=events');
  const done = () => {
    for (const frame of live.frames.splice(0)) page.apply(frame);
    return page.part('events') ? textOf(page.part('events') as never) : '';
  };
  await until(() => live.text().includes('id="events"'), 'the present state');
  done();
  app.engine.pause('web');
  await until(() => live.text().includes('data-event="pause"'), 'the pause');
  t.notMatch(live.text(), /data-event="create"/, 'alone');
  done();
  await untilEvents(
    () => eventsOf(app),
    (events) => events[0]?.action === 'pause',
    'kept',
  );
  const fresh = byId(parseHtml((await app.get('/events')).text), 'events');
  t.equal(done(), fresh && textOf(fresh), 'as a fresh page shows it');
  const timeline = app.live('/live?topic=timeline:web');
  await until(() => timeline.text().includes('data-event="pause"'), 'a timeline too');
  app.engine.unpause('web');
  await until(() => timeline.text().includes('data-event="unpause"'), 'goes on');
  t.same(page.missed, []);
});

t.test('A timeline without an event says the same to who looks and to who follows it', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'old', state: 'exited' }) });
  t.match((await app.get('/containers/old/timeline')).text, 'Nothing yet');
  const live = app.live('/live?topic=timeline:old');
  await until(() => live.text().includes('id="events"'), 'the present state');
  t.match(live.text(), 'Nothing yet');
  t.notMatch(live.text(), 'Nothing matches');
});

t.test('Nothing is lost or doubled over reconnects and restarts of the program', async (t) => {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  const dataDir = folder(t);
  engine.addContainer({ name: 'web' });
  const first = await startApp(t, { engine, dataDir });
  engine.pause('web');
  await untilEvents(
    () => eventsOf(first),
    (events) => events[0]?.action === 'pause',
    'seen',
  );
  await first.close();
  engine.unpause('web');
  engine.die('web', 3);
  const second = await startApp(t, { engine, dataDir });
  await untilEvents(
    () => eventsOf(second),
    (events) => events.some(({ exitCode }) => exitCode === 3),
    'what happened meanwhile',
  );
  engine.start('web');
  for (let n = 0; n < 3; n++) {
    await engine.refuse();
    await engine.listen();
    await until(() => second.app.server.listening && engine.openStreams('events').length > 0, 'connected again');
    engine.emit({ type: 'volume', action: 'create', id: `v${n}`, attributes: { driver: 'local' } });
    await untilEvents(
      () => eventsOf(second),
      (events) => events.some(({ name }) => name === `v${n}`),
      `volume ${n}`,
    );
  }
  const events = told(await eventsOf(second, '?limit=200'));
  for (const action of ['pause', 'unpause', 'die', 'create']) {
    t.equal(events.filter((text) => text === `container ${action}`).length, 1, action);
  }
  t.notOk(events.includes('gap missing'), 'and nothing is said to be missing');
});

t.test('Where events may be missing, that is said', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  await untilEvents(
    () => eventsOf(app),
    ({ length }) => length > 0,
    'something',
  );
  await app.engine.restart();
  const gaps = await untilEvents(
    () => eventsOf(app, '?trouble=gap'),
    ({ length }) => length > 0,
    'the marker of a restart',
  );
  t.match(gaps[0]?.text, /^Events between .* and .* may be missing/);
  await app.engine.refuse();
  await app.engine.storm({ count: 400 });
  await app.engine.listen();
  await untilEvents(
    () => eventsOf(app, '?trouble=gap'),
    ({ length }) => length === 2,
    'the marker of a ring that was passed',
  );
  t.match((await app.get('/events?trouble=gap')).text, /may be missing/);
});

t.test('What an action failed of is told without its secrets', (t) => {
  const message = 'cannot reach https://me:hunter2@lab/';
  for (const type of ['action', 'operation'] as const) {
    const details = { actor: 'me', state: 'failed', message } as const;
    const what = {
      action: 'start',
      subject: 'x',
      name: 'web',
      timeline: 'web',
      former: '',
      trouble: 'failed',
    } as const;
    const json = JSON.stringify(toEventJson({ id: 1, at: 1e15, type, ...what, details }, new Map()));
    t.match(json, /cannot reach/, type);
    t.notMatch(json, /hunter2/, type);
  }
  t.end();
});

t.test('A container that a rebuild renamed has the timeline of its own name', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web.old-0123abcd' }) });
  await untilEvents(
    () => eventsOf(app, '?container=web'),
    ({ length }) => length > 0,
    'its begin',
  );
  const events = await eventsOf(app, '?container=web');
  t.same(await timelineOf(app, 'web.old-0123abcd'), events, 'while it is');
  t.same(await timelineOf(app, 'web.back-89abcdef'), events, 'and was');
});

t.test('READ_ONLY still shows the history', async (t) => {
  const app = await startApp(t, {
    env: { READ_ONLY: 'true' },
    prepare: (engine) => engine.addContainer({ name: 'web' }),
  });
  await untilEvents(
    () => timelineOf(app, 'web'),
    ({ length }) => length > 0,
    'its start',
  );
  t.equal((await app.get('/events')).status, 200);
  t.match((await app.get('/containers/web')).text, /href="\/containers\/[0-9a-f]{64}\/timeline"/);
});

t.test('A container that removes itself has its death told, with what there was to get', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => engine.addContainer({ name: 'job', autoRemove: true } as never),
  });
  app.engine.writeLog('job', 'bye\n');
  app.engine.die('job', 1);
  const found = await death(app, 'job', 1);
  const { lines = [], note = '' } = found?.lastWords ?? {};
  t.ok(lines.some(({ text }) => text === 'bye') || /removed at once/.test(note), note || 'its last line');
});

t.test('The log of a container that ends well every second is read once a minute', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'cron', restart: 'no' }) });
  const reads = () => app.engine.requestsTo('GET', /\/logs$/).length;
  for (let n = 0; n < 10; n++) {
    app.engine.die('cron', 0);
    app.engine.start('cron');
  }
  app.engine.pause('cron');
  await untilEvents(
    () => timelineOf(app, 'cron'),
    (events) => events[0]?.action === 'pause' && events.some(({ lastWords }) => lastWords),
    'all',
  );
  t.equal(reads(), 1);
});

t.test('A flood neither fills the memory nor holds up the event loop', async (t) => {
  const app = await startApp(t);
  let beats = 0;
  const beat = setInterval(() => {
    beats += 1;
  }, 10);
  const before = process.memoryUsage().heapUsed;
  await app.engine.storm({ count: 10_000, perSecond: 10_000 });
  await untilEvents(
    async () => [...(await eventsOf(app, '?limit=1&type=volume')), ...(await eventsOf(app, '?limit=1&type=gap'))],
    (events) => events.some(({ name, lost }) => name === 'storm-4999' || (lost ?? 0) > 0),
    'the last one, or that some were not kept',
  );
  clearInterval(beat);
  t.ok(beats > 20, `${beats} turns for others meanwhile`);
  t.ok(process.memoryUsage().heapUsed - before < 100e6, 'memory');
  t.equal((await app.get('/readyz')).status, 200);
});
