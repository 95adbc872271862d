import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SQLite from 'better-sqlite3';
import t, { type Test } from 'tap';
import { createSimulatedEngine, type SimulatedEngine } from './simulated/engine.ts';
import { startApp, type TestApp, until } from './support/app.ts';
import { ended, numberOf, operation, untilOperation } from './support/operations.ts';
import {
  addBeside,
  have,
  journal,
  openRecords,
  photograph,
  publishNewer,
  reference,
  untouched,
} from './support/rebuilds.ts';

// Two things that go wrong together, others that act at the same time, and what is left for later.

const bounds = {
  engine: { list: 2_000, action: 2_000, registry: 2_000, pull: 2_000 },
  rebuild: { healthyMs: 500, steadyMs: 0, persistMs: 300, lateMs: 100, watchMs: 0, retryMs: 100 },
};

type Bounds = Partial<typeof bounds.rebuild>;
type World = {
  engine: SimulatedEngine;
  dataDir: string;
  open(changes?: Bounds, env?: Record<string, string>): Promise<TestApp>;
};

/** An engine with a container `web` of which a newer image is published, and a data folder that processes share. */
async function begin(t: Test, prepare: (engine: SimulatedEngine) => unknown = addWeb): Promise<World> {
  const engine = await createSimulatedEngine();
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-hazards-'));
  await prepare(engine);
  publishNewer(engine);
  const open = (changes: Bounds = {}, env: Record<string, string> = {}) =>
    startApp(t, { engine, dataDir, env, bounds: { ...bounds, rebuild: { ...bounds.rebuild, ...changes } } });
  t.teardown(async () => {
    await engine.close();
    rmSync(dataDir, { recursive: true });
  });
  return { engine, dataDir, open };
}

const quick = { command: ['serve'], config: { StopTimeout: 0 } };

function addWeb(engine: SimulatedEngine, changes: object = {}) {
  have(engine, reference, { env: ['V=1'] });
  engine.addContainer({ name: 'web', image: reference, ...quick, mounts: ['/data'], restart: 'always', ...changes });
  for (const { name } of engine.volumes()) engine.writeVolume(name, `precious ${name}`);
}

/** A Compose project of `web`, and of `api` that depends on it, each with a newer image. */
function addShop(engine: SimulatedEngine) {
  const labels = (service: string, dependsOn = '') => ({
    'com.docker.compose.project': 'shop',
    'com.docker.compose.service': service,
    ...(dependsOn && { 'com.docker.compose.depends_on': `${dependsOn}:service_started:false` }),
  });
  addWeb(engine, { labels: labels('web') });
  have(engine, 'registry.test/lab/api:1', { env: ['V=1'] });
  engine.addContainer({ name: 'api', image: 'registry.test/lab/api:1', ...quick, labels: labels('api', 'web') });
  engine.publish('registry.test/lab/api:1', { env: ['V=2'] });
}

const rebuild = (app: TestApp, body: object = {}) => app.post('/api/containers/web/rebuild', body);
const namesIn = (engine: SimulatedEngine) =>
  engine
    .containers()
    .map(({ name }) => name)
    .sort();
const outOfOrder = '{"message":"out of order"}';
const fail = (engine: SimulatedEngine, match: object) =>
  engine.faults.status(500, outOfOrder, 'application/json', match);

const isFailed = ({ state }: { state: string }) => state === 'failed';

/** Lets no write of the journal succeed that meets a condition, until it is called. */
function refuseWrites(dataDir: string, condition: string) {
  const file = new SQLite(join(dataDir, 'fairlead.db'));
  file.exec(`create trigger full before update on rebuilds when ${condition}
    begin select raise(abort, 'disk full'); end`);
  return () => {
    file.exec('drop trigger full');
    file.close();
  };
}

t.test('a commit that could not be written down is written down later, and until then nothing is lost', async (t) => {
  for (const death of [false, true]) {
    const { engine, dataDir, open } = await begin(t);
    const before = photograph(engine);
    const app = await open();
    const allow = refuseWrites(dataDir, "new.phase = 'committed'");
    const answer = await rebuild(app);
    const left = await untilOperation(app, numberOf(answer), isFailed, 'it could not be written down');
    t.match(left.message, /^web is on the new image\. That could not be written down yet/);
    const [, parked] = namesIn(engine);
    t.match(parked, /^web\.old-/, 'the old one is still there');
    t.equal(engine.container(parked ?? '').id, before.ids.web);
    t.equal(engine.container('web').state, 'running');
    const starts = engine.requestsTo('POST', /start$/).length;
    if (death) await app.close();
    else {
      await engine.start(parked ?? '');
      await until(() => engine.container(parked ?? '').state === 'exited', 'what the engine started is stopped again');
    }
    allow();
    const later = death ? await open() : app;
    await untilOperation(later, numberOf(answer), ({ state }) => state === 'succeeded', 'it is finished');
    if (!death) t.equal(engine.requestsTo('POST', /start$/).length, starts, 'only the write was tried again');
    t.strictSame(namesIn(engine), ['web']);
    untouched(t, engine, before, death ? 'by a later process' : 'by the same one');
  }
});

t.test('a commit that reached the disk though it seemed to fail counts for a later process', async (t) => {
  const { engine, dataDir, open } = await begin(t);
  const before = photograph(engine);
  const app = await open();
  const allow = refuseWrites(dataDir, "new.phase = 'committed'");
  const answer = await rebuild(app);
  await untilOperation(app, numberOf(answer), isFailed, 'it could not be written down');
  await app.close();
  allow();
  const file = new SQLite(join(dataDir, 'fairlead.db'));
  file.exec("update rebuilds set phase = 'committed'");
  file.close();
  const later = await open();
  await untilOperation(later, numberOf(answer), ({ state }) => state === 'succeeded', 'it is finished');
  t.strictSame(namesIn(engine), ['web']);
  t.not(engine.container('web').id, before.ids.web);
  untouched(t, engine, before, 'finished');
});

t.test('what a rebuild left stays as it is under READ_ONLY, and is finished once that is off', async (t) => {
  const { engine, open } = await begin(t);
  const app = await open();
  const stuck = fail(engine, { method: 'DELETE' });
  const answer = await rebuild(app);
  await untilOperation(app, numberOf(answer), isFailed, 'the old one could not be removed');
  await app.close();
  stuck.remove();
  const left = namesIn(engine);
  engine.forgetRequests();
  const looking = await open({}, { READ_ONLY: 'true' });
  t.match(await operation(looking, numberOf(answer)), { state: 'failed' }, 'nobody takes it up');
  await looking.close();
  t.strictSame(namesIn(engine), left);
  t.strictSame(
    engine.requests.filter(({ method }) => method !== 'GET'),
    [],
  );
  const later = await open();
  await untilOperation(later, numberOf(answer), ({ state }) => state === 'succeeded', 'it is finished');
  t.strictSame(namesIn(engine), ['web']);
});

t.test('a commit stands, whatever became of the new one before the old one could be removed', async (t) => {
  const { engine, dataDir, open } = await begin(t);
  const app = await open();
  const stuck = fail(engine, { method: 'DELETE' });
  const answer = await rebuild(app);
  await untilOperation(app, numberOf(answer), isFailed, 'the old one could not be removed');
  await app.close();
  stuck.remove();
  engine.removeContainer('web');
  const starts = engine.requestsTo('POST', /start$/).length;
  const later = await open();
  await untilOperation(later, numberOf(answer), ({ state }) => state === 'succeeded', 'there is nothing left to do');
  t.strictSame(namesIn(engine), [], 'what somebody removed does not come back as it was before');
  t.equal(engine.requestsTo('POST', /start$/).length, starts, 'nor runs again');
  t.equal(journal(dataDir), 0);
});

t.test('what an engine that starts anew started is stopped before its successor goes on', async (t) => {
  const { engine, open } = await begin(t);
  const old = engine.container('web').id;
  const app = await open();
  const hang = engine.faults.hang({ path: /start$/ });
  const answer = await rebuild(app);
  await until(() => engine.requestsTo('POST', /start$/).length > 0, 'the new one is being started');
  await app.close();
  hang.remove();
  await engine.start(old);
  const together: string[] = [];
  engine.faults.hook({ path: /start$/ }, { when: 'after' }, () => {
    together.push(engine.container(old).state);
  });
  const later = await open();
  await untilOperation(later, numberOf(answer), ({ state }) => state === 'succeeded', 'it is finished');
  t.strictSame(together, ['exited'], 'they never run at the same time');
  t.strictSame(namesIn(engine), ['web']);
});

t.test('a pull of a tag counts, also while a rebuild lets that tag mean an older image', async (t) => {
  const aged = 'registry.test/lab/aged:1';
  const { engine, open } = await begin(t, (engine) => {
    addWeb(engine);
    have(engine, aged, { env: ['AGE=1'] });
    addBeside(engine, 'side', { network: 'web' }, { image: aged });
    have(engine, aged, { env: ['AGE=2'] });
  });
  const app = await open();
  const made = engine.container('side').imageId;
  const newest = engine.publish(aged, { env: ['AGE=3'] }).id;
  let pulled = '';
  const match = { path: /containers\/create$/, skip: 1, times: 1 };
  engine.faults.hook(match, { when: 'after' }, async () => {
    t.equal(engine.image(aged).id, made, 'it means the older one while that is needed');
    pulled = (await ended(app, await app.post('/api/images/pull', { reference: aged }))).state;
  });
  t.match(await ended(app, await rebuild(app)), { state: 'succeeded' });
  t.equal(pulled, 'succeeded');
  t.equal(engine.image(aged).id, newest, 'what was pulled is what the tag means');
  t.equal(engine.container('side').imageId, made, 'who stays on its image does');
});

t.test('who takes the volumes of a container by its id follows it, and takes those of its successor', async (t) => {
  const { engine, open } = await begin(t, (engine) => {
    addWeb(engine);
    const VolumesFrom = [`${engine.container('web').id}:ro`];
    engine.addContainer({ name: 'app', image: 'lab/app:1', ...quick, mounts: ['/own'], hostConfig: { VolumesFrom } });
    engine.addContainer({ name: 'by-name', image: 'lab/app:1', ...quick, hostConfig: { VolumesFrom: ['web'] } });
  });
  const app = await open();
  const mountsOf = (name: string) =>
    engine.container(name).mounts.map((mount) => `${mount.destination} ${mount.name} ${mount.isWritable}`);
  const before = { app: mountsOf('app'), other: engine.container('by-name').id };
  const preview = await app.api<{ dependants: { name: string }[]; warnings: string[] }>('/containers/web/rebuild');
  t.match(preview.dependants, [{ name: 'app' }]);
  t.match(preview.warnings.join(' '), /take its volumes and are made anew after it.*: app/);

  t.match(await ended(app, await rebuild(app)), { state: 'succeeded', message: 'web, app were rebuilt.' });
  t.strictSame(lendersOf(engine, 'app'), [`${engine.container('web').id}:ro`]);
  t.strictSame(mountsOf('app'), before.app, 'with the same volumes');
  t.equal(engine.container('by-name').id, before.other, 'by its name they are those of whoever has it');

  engine.stop('web');
  await until(async () => (await app.api('/containers/web')).state !== 'running', 'it is known to be stopped');
  publishNewer(engine);
  t.match(await ended(app, await rebuild(app)), { state: 'succeeded' }, 'a lender does not have to run');
  t.equal(engine.container('app').state, 'running');
});

const lendersOf = (engine: SimulatedEngine, name: string) => engine.container(name).body.HostConfig?.VolumesFrom;

t.test('nothing is rebuilt while somebody is removing it', async (t) => {
  const { engine, open } = await begin(t);
  const app = await open();
  const gate = Promise.withResolvers<void>();
  engine.faults.hook({ method: 'DELETE' }, { when: 'before' }, () => gate.promise);
  const removing = app.post('/api/containers/web/remove', { force: true });
  await until(() => engine.requestsTo('DELETE', /containers/).length > 0, 'it is being removed');
  const refused = await rebuild(app);
  gate.resolve();
  t.equal(refused.status, 409);
  t.match(JSON.parse(refused.text), { code: 'conflict', detail: /being done to it at this moment/ });
  t.match(JSON.parse((await removing).text), { removed: true });
  t.strictSame(namesIn(engine), []);
});

t.test('what could not be undone holds its containers, tells it once, and is undone later', async (t) => {
  const { engine, open } = await begin(t);
  const before = photograph(engine);
  const app = await open();
  const stuck = fail(engine, { path: /\/(start|rename)$/ });
  const answer = await rebuild(app);
  const n = numberOf(answer);
  const failed = await untilOperation(app, n, ({ state }) => state === 'failed', 'it could not be undone');
  const dismiss = () => app.post(`/api/operations/${n}/dismiss`);
  await until(async () => (await dismiss()).status < 300, 'it is dismissed, between two tries');
  const steps = failed.steps.length;
  const tries = engine.requestsTo('POST', /start$/).length;
  await until(() => engine.requestsTo('POST', /start$/).length > tries + 6, 'it is tried again and again');
  const again = await untilOperation(app, n, ({ state }) => state === 'failed', 'it failed again');
  t.equal(again.steps.length, steps, 'what is tried again is one step');
  const isQuiet = async () => !(await app.get('/containers')).text.includes(`data-operation="${n}"`);
  await until(isQuiet, 'between two tries, what was read is no news');
  const refused = [await rebuild(app), await app.post('/api/containers/web/start')];
  for (const { status, text } of refused) t.match({ status, text }, { status: 409, text: /Operation 1 / });
  stuck.remove();
  await untilOperation(app, n, ({ state }) => state === 'rolled_back', 'it is undone');
  untouched(t, engine, before, 'undone');
});

t.test('one that was cancelled and could not be undone yet is cancelled in the end', async (t) => {
  const { engine, open } = await begin(t);
  const before = photograph(engine);
  const app = await open();
  const stuck = fail(engine, { method: 'DELETE' });
  engine.faults.hook({ path: /containers\/create$/, times: 1 }, { when: 'after' }, async () => {
    await app.post('/api/operations/1/cancel');
  });
  await rebuild(app);
  const failed = await untilOperation(app, 1, ({ state }) => state === 'failed', 'it could not be undone');
  t.match(failed.message, /^It was cancelled\. It could not be undone yet/);
  stuck.remove();
  const done = await untilOperation(app, 1, ({ state }) => state === 'interrupted', 'it is undone');
  t.match(done, { message: 'Cancelled.', error: null });
  untouched(t, engine, before, 'undone');
  t.strictSame(photograph(engine).ids, before.ids);
});

t.test('what can not be undone can be given up, and only that', async (t) => {
  const { engine, dataDir, open } = await begin(t);
  const app = await open();
  const abandon = (n: number) => app.post(`/api/operations/${n}/abandon`);
  t.equal((await abandon(7)).status, 404);
  const stuck = fail(engine, { path: /\/(start|rename)$/ });
  const n = numberOf(await rebuild(app));
  await untilOperation(app, n, ({ state }) => state === 'failed', 'it could not be undone');
  const file = new SQLite(join(dataDir, 'fairlead.db'));
  t.teardown(() => file.close());
  file.exec("create trigger full before delete on rebuilds begin select raise(abort, 'disk full'); end");
  await until(async () => (await abandon(n)).status === 500, 'it can not be written down that it is given up');
  file.exec('drop trigger full');
  const tries = engine.requestsTo('POST', /start$/).length;
  await until(() => engine.requestsTo('POST', /start$/).length > tries + 2, 'it is tried again');
  await until(async () => (await abandon(n)).status === 200, 'it is given up, between two tries');
  stuck.remove();
  const records = openRecords(dataDir);
  t.teardown(records.close);
  t.equal(records.rebuilds(), 0, 'nothing is left to be done');
  t.match(await abandon(n), { status: 409 });
  t.equal((await app.post(`/api/containers/${engine.containers()[0]?.id}/start`)).status, 200, 'it is free again');
});

t.test('a container that a call without an answer made long after is removed, also by a later process', async (t) => {
  for (const death of [false, true]) {
    const { engine, open } = await begin(t);
    const before = photograph(engine);
    const app = await open({ watchMs: 60_000 });
    const moment = Promise.withResolvers<void>();
    engine.faults.late(moment.promise, { path: /containers\/create$/, times: 1 });
    t.match(await ended(app, await rebuild(app)), { state: 'rolled_back' });
    t.strictSame(namesIn(engine), ['web'], 'it is not there yet');
    if (death) await app.close();
    moment.resolve();
    await until(() => engine.requestsTo('POST', /containers\/create$/)[0]?.status === 201, 'it is made');
    if (death) await open();
    await until(() => namesIn(engine).length === 1, 'it is removed');
    untouched(t, engine, before, 'it is as before');
    t.strictSame(photograph(engine).ids, before.ids);
  }
});

t.test('one that removes itself comes back on its old image, whatever is pruned in the meantime', async (t) => {
  const { engine, open } = await begin(t, (engine) => addWeb(engine, { autoRemove: true, restart: 'no' }));
  publishNewer(engine, { failsToStart: 'no such command' });
  const before = photograph(engine);
  const app = await open();
  engine.faults.hook({ path: /start$/, times: 1 }, { when: 'before' }, async () => {
    t.throws(() => engine.removeImage(before.images.web ?? ''), 'its image is needed');
  });
  t.match(await ended(app, await rebuild(app)), { state: 'rolled_back' });
  untouched(t, engine, before, 'it is back');
  t.equal(engine.container('web').imageId, before.images.web);
});

t.test('what one that hangs on it said last is told, where that one failed', async (t) => {
  const { engine, open } = await begin(t, (engine) => {
    addWeb(engine);
    addBeside(engine, 'side', { network: 'web' }, { behaviour: { startLog: 'all is well' } });
  });
  const app = await open();
  engine.faults.hook({ path: /start$/, skip: 1, times: 1 }, { when: 'before' }, ({ path }) => {
    const [id = ''] = /[0-9a-f]{64}/.exec(path) ?? [];
    engine.writeLog(id, 'side has no network');
  });
  const second = fail(engine, { path: /start$/, skip: 1, times: 1 });
  const done = await ended(app, await rebuild(app));
  second.remove();
  t.match(done, { state: 'rolled_back', lastLines: ['side has no network'] });
});

t.test('a project goes on behind one that could not be undone, where that is chosen', async (t) => {
  const { engine, open } = await begin(t, addShop);
  const app = await open();
  const before = photograph(engine);
  const stuck = fail(engine, { path: new RegExp(`(${engine.container('web').id}|web.new-[0-9a-f]+)/(start|rename)$`) });
  const answer = await app.post('/api/projects/shop/rebuild', { onFailure: 'go_on' });
  const n = numberOf(answer);
  const failed = await untilOperation(app, n, ({ state }) => state === 'failed', 'one could not be undone');
  t.match(failed.results, [
    { name: 'web', ok: false, detail: /could not be undone yet/ },
    { name: 'api', ok: true },
  ]);
  stuck.remove();
  const later = await untilOperation(app, n, ({ state }) => state === 'interrupted', 'it is undone');
  t.match(later.message, /web as before\.$/, 'nothing comes after it');
  t.equal(engine.container('web').id, before.ids.web);
  t.not(engine.container('api').id, before.ids.api);
  t.equal((await operation(app, n)).results.length, 2);
});

t.test('a project of which one was cancelled is not over before what is left of the other is undone', async (t) => {
  const { engine, dataDir, open } = await begin(t, addShop);
  const app = await open();
  const { ids } = photograph(engine);
  const web = fail(engine, { path: new RegExp(`(${ids.web}|web.new-[0-9a-f]+)/(start|rename)$`) });
  const api = fail(engine, { method: 'DELETE' });
  engine.faults.hook({ path: /containers\/create$/, skip: 1, times: 1 }, { when: 'after' }, async () => {
    await app.post('/api/operations/1/cancel');
  });
  await app.post('/api/projects/shop/rebuild', { onFailure: 'go_on' });
  await untilOperation(app, 1, isFailed, 'neither could be undone');
  t.equal(journal(dataDir), 2);
  api.remove();
  await until(() => journal(dataDir) === 1, 'the one that was cancelled is undone');
  await untilOperation(app, 1, ({ isUnfinished }) => isUnfinished, 'the other is not');
  t.match(await app.post('/api/containers/web/start'), { status: 409, text: /Operation 1 / });
  web.remove();
  await until(() => journal(dataDir) === 0, 'both are undone');
  await untilOperation(app, 1, ({ state }) => state === 'interrupted', 'it is over');
  t.strictSame(photograph(engine).ids, ids);
});
