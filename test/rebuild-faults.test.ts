import t, { type Test } from 'tap';
import { createSimulatedEngine, type SimulatedEngine } from './simulated/engine.ts';
import type { Fault, FaultMatch } from './simulated/faults.ts';
import { startApp, type TestApp, until } from './support/app.ts';
import {
  flow,
  journal,
  type Photograph,
  photograph,
  type Scenario,
  scenarios,
  surveyCalls,
  untouched,
} from './support/rebuilds.ts';

type Operation = { id: number; state: string; error: string | null; message: string };

const bounds = {
  engine: { list: 150, action: 150, registry: 300, pull: 400 },
  rebuild: { healthyMs: 500, steadyMs: 10, persistMs: 4_000, lateMs: 60, watchMs: 0, retryMs: 200 },
};

const kinds: Record<string, (engine: SimulatedEngine, match: FaultMatch) => Fault> = {
  'an error': (engine, match) => engine.faults.status(500, '{"message":"out of order"}', 'application/json', match),
  'a cut answer': (engine, match) => engine.faults.cut(match),
  'a dropped connection': (engine, match) => engine.faults.drop(match),
  'a hang': (engine, match) => engine.faults.hang(match),
  'an effect without an answer': (engine, match) => engine.faults.mute(match),
};

// They mostly wait for answers that don't come.
t.jobs = scenarios.length;
for (const scenario of scenarios) {
  t.test(`Rebuilding ${scenario.name}`, { buffered: true }, async (t) => {
    const engine = await createSimulatedEngine({ version: scenario.version ?? '28' });
    t.teardown(engine.close);
    const app = await startApp(t, { engine, prepare: scenario.prepare, bounds });
    const world: World = { engine, app, scenario, before: photograph(engine) };

    engine.forgetRequests();
    publishNewer(engine);
    const clean = await rebuild(app);
    t.match(clean, { state: 'succeeded' }, 'without a fault it is done');
    const { all: calls, looks } = surveyCalls(engine);
    t.ok(calls.length - looks > 15, `${calls.length} calls, of which ${looks} only look`);
    await check(t, world, clean);

    for (const [kind, make] of Object.entries(kinds)) {
      await t.test(`${kind} at every call leaves one container, with its data`, async (t) => {
        for (const [skip, call] of calls.entries()) {
          world.before = photograph(engine);
          publishNewer(engine);
          await untilKnown(app);
          const fault = make(engine, { path: flow, skip, times: 1 });
          const operation = await rebuild(app);
          fault.remove();
          t.ok(operation || skip < looks, `${skip} ${call}: it began, unless it could not even look`);
          await check(t, world, operation, `${skip} ${call}`);
        }
      });
    }

    await t.test('a call that fails for long is made up for as soon as it works again', async (t) => {
      const failing = [
        ['POST', /rename$/],
        ['POST', /start$/],
        ['POST', /stop$/],
        ['POST', /containers\/create$/],
        ['POST', /connect$/],
        ['DELETE', /containers/],
      ] as const;
      for (const [method, path] of failing) {
        world.before = photograph(engine);
        publishNewer(engine);
        await untilKnown(app);
        engine.forgetRequests();
        const fault = engine.faults.status(500, '{"message":"out of order"}', 'application/json', { method, path });
        const started = await begin(app);
        const tries = () => engine.requests.filter((item) => item.method === method && path.test(item.path));
        const isStuck = async () => tries().length > 3 || (started !== undefined && (await isOver(app, started)));
        await until(isStuck, `${method} ${path}: it is tried again and again, or undone`);
        fault.remove();
        await check(t, world, started && (await ended(app, started)), `${method} ${path}`);
      }
    });
  });
}

type World = { engine: SimulatedEngine; app: TestApp; scenario: Scenario; before: Photograph };

let version = 1;
function publishNewer(engine: SimulatedEngine) {
  version++;
  engine.publish('registry.test/lab/web:1', { env: [`V=${version}`] });
}

/** Waits until the program knows of the container that has the name now. */
const untilKnown = (app: TestApp) =>
  until(async () => (await app.api('/containers/web')).id === app.engine.container('web').id, 'it is known');

async function begin(app: TestApp): Promise<Operation | undefined> {
  const answer = await app.post('/api/containers/web/rebuild');
  return answer.status === 202 ? (JSON.parse(answer.text) as Operation) : undefined;
}

/** Rebuilds and waits for the end; nothing where the rebuild did not even begin. */
async function rebuild(app: TestApp): Promise<Operation | undefined> {
  const started = await begin(app);
  return started && ended(app, started);
}

async function isOver(app: TestApp, { id }: Operation): Promise<boolean> {
  const { state } = await app.api<Operation>(`/operations/${id}`);
  return state !== 'queued' && state !== 'running';
}

/** An operation that has ended, also by being taken up again. */
async function ended(app: TestApp, operation: Operation): Promise<Operation> {
  const isDone = async () => (await isOver(app, operation)) && journal(app.dataDir) === 0;
  await until(isDone, `operation ${operation.id} has ended`, 20_000);
  return app.api<Operation>(`/operations/${operation.id}`);
}

/** Always the same containers with their data: as they were, or on the newer image. */
async function check(t: Test, { engine, app, scenario, before }: World, operation?: Operation, what = '') {
  untouched(t, engine, scenario, before, what);
  const isDone = operation?.state === 'succeeded';
  const old = before.containers.find(({ name }) => name === 'web')?.imageId;
  const wanted = isDone ? engine.image(scenario.reference).id : old;
  t.equal(engine.container('web').imageId, wanted, `${what}: ${operation?.state ?? 'not begun'}, on that image`);
  t.equal(journal(app.dataDir), 0, `${what}: nothing is left to be done`);
}

t.test('A rebuild is cancelled as long as the old container was not touched', async (t) => {
  const [scenario] = scenarios;
  const engine = await createSimulatedEngine({ pullStepMs: 20 });
  t.teardown(engine.close);
  const app = await startApp(t, { engine, prepare: scenario?.prepare ?? (() => {}), bounds });
  const before = photograph(engine);
  const cancel = ({ id }: Operation) => app.post(`/api/operations/${id}/cancel`);

  publishNewer(engine);
  const pulling = await begin(app);
  t.ok(pulling);
  if (!pulling || !scenario) return;
  await until(() => engine.openStreams('pull').length > 0, 'it pulls');
  t.equal((await cancel(pulling)).status, 200);
  t.match(await ended(app, pulling), { state: 'interrupted', error: null, message: 'Cancelled.' });
  untouched(t, engine, scenario, before, 'cancelled in its pull');
  t.strictSame(photograph(engine), before, 'nothing at all is different');

  for (const when of ['before', 'after'] as const) {
    const hook = engine.faults.hook({ path: /containers\/create$/, times: 1 }, { when }, async () => {
      await cancel({ ...pulling, id: pulling.id + (when === 'before' ? 1 : 2) });
    });
    const creating = await begin(app);
    t.match(creating && (await ended(app, creating)), { state: 'interrupted', message: 'Cancelled.' });
    hook.remove();
    t.strictSame(photograph(engine), before, `cancelled ${when} the new one was there`);
    t.equal(journal(app.dataDir), 0);
  }

  let refused = 0;
  const hook = engine.faults.hook({ path: /stop$/ }, { when: 'before' }, async () => {
    refused = (await cancel({ ...pulling, id: pulling.id + 3 })).status;
  });
  t.match(await rebuild(app), { state: 'succeeded' });
  hook.remove();
  t.equal(refused, 409, 'from the stop on it can not be cancelled');
});
