import t, { type Test } from 'tap';
import { createSimulatedEngine, type SimulatedEngine, type SimulatedEngineOptions } from './simulated/engine.ts';
import type { Fault, FaultMatch } from './simulated/faults.ts';
import { startApp, type TestApp, until } from './support/app.ts';
import {
  flow,
  isTriedWhole,
  openRecords,
  type Photograph,
  photograph,
  publishNewer,
  reference,
  type Scenario,
  scenarios,
  surveyCalls,
  untouched,
} from './support/rebuilds.ts';

type Operation = { id: number; state: string; error: string | null; message: string };

/** Wide enough for a machine that is busy with others: only what a fault holds back should come to them. */
const engineMs = 2_000;
const lateMs = 20;
const bounds = {
  engine: { list: engineMs, action: engineMs, registry: engineMs, pull: engineMs },
  rebuild: { healthyMs: 2_000, steadyMs: 0, persistMs: 10_000, lateMs: 150, watchMs: 0, retryMs: 200 },
};

/** What can happen to one call; `hits` are those that it is tried on. */
type Kind = {
  make: (engine: SimulatedEngine, match: FaultMatch) => Fault;
  hits: (call: string) => boolean;
  /** Shared out to so many engines, where it has to be waited for; else one. */
  shares?: number;
};

const every = () => true;
/** What only reads has no effect that could come late, or be told of too late. */
const changing = (call: string) => !call.startsWith('GET ');

/** Those that take the longest come first. */
const kinds: Record<string, Kind> = {
  'a hang': { make: (engine, match) => engine.faults.hang(match), hits: every, shares: 4 },
  'a late effect': { make: (engine, match) => engine.faults.late(lateMs, match), hits: changing },
  'an error': {
    make: (engine, match) => engine.faults.status(500, '{"message":"out of order"}', 'application/json', match),
    hits: every,
  },
  'a dropped connection': { make: (engine, match) => engine.faults.drop(match), hits: every },
  'an effect without a whole answer': { make: (engine, match) => engine.faults.cut(match), hits: changing },
};

/** The kinds take turns, so that each call of every scenario has one of them. */
function kindAt(call: string, turn: number): string | undefined {
  const fitting = Object.keys(kinds).filter((kind) => kinds[kind]?.hits(call));
  return fitting[turn % fitting.length];
}

// They mostly wait for answers that don't come.
t.jobs = 12;
for (const [kind, { make, hits, shares = 1 }] of Object.entries(kinds)) {
  for (const [index, scenario] of scenarios.entries()) {
    const isTried = (call: string, skip: number) =>
      hits(call) && (isTriedWhole(scenario) || kindAt(call, skip + index) === kind);
    for (let share = 0; share < shares; share++) {
      const where = `${isTriedWhole(scenario) ? 'each call' : 'some calls'}, share ${share + 1} of ${shares}`;
      t.test(`Rebuilding ${scenario.name}, with ${kind} at ${where}`, { buffered: true }, async (t) => {
        const world = await begin(t, scenario);
        const { engine } = world;
        const { all, looks } = await callsOf(t, world);
        const calls = [...all.entries()].filter(([skip, call]) => isTried(call, skip));
        for (const [skip, call] of calls.filter((_, n) => n % shares === share)) {
          const what = `${kind} at ${skip} ${call}`;
          const newer = publish(world);
          const fault = make(engine, { path: flow, skip, times: 1 });
          const operation = await rebuild(world);
          fault.remove();
          t.ok(operation || skip < looks, `${what}: it began, unless it could not even look: ${world.refusal}`);
          // What is wrong once would be told at each call from then on.
          if (!check(t, world, newer.id, operation, what)) return;
        }
      });
    }
  }
}

for (const scenario of scenarios) {
  t.test(`Rebuilding ${scenario.name} is made up for as soon as it works again`, { buffered: true }, async (t) => {
    const world = await begin(t, scenario);
    const { engine } = world;
    const failing = [
      ['POST', /rename$/],
      ['POST', /start$/],
      ['POST', /stop$/],
      ['POST', /pause$/],
      ['POST', /containers\/create$/],
      ['POST', /connect$/],
      ['POST', /tag$/],
      ['DELETE', /containers/],
    ] as const;
    for (const [method, path] of failing) {
      const newer = publish(world);
      engine.forgetRequests();
      const fault = engine.faults.status(500, '{"message":"out of order"}', 'application/json', { method, path });
      const started = await start(world);
      const isStuck = () =>
        engine.requestsTo(method, path).length > 3 || (started !== undefined && world.records.isSettled(started.id));
      await until(isStuck, `${method} ${path}: it is tried again and again, or has ended`);
      fault.remove();
      check(t, world, newer.id, started && (await ended(world, started)), `${method} ${path}`);
    }
  });
}

type World = {
  engine: SimulatedEngine;
  app: TestApp;
  scenario: Scenario;
  records: ReturnType<typeof openRecords>;
  /** What was there before the last rebuild. */
  before: Photograph;
  /** What the last rebuild was answered with where it did not begin. */
  refusal: string;
};

async function begin(t: Test, scenario: Scenario, options: SimulatedEngineOptions = {}): Promise<World> {
  const engine = await createSimulatedEngine({ version: scenario.version ?? '28', ...options });
  t.teardown(engine.close);
  const app = await startApp(t, { engine, prepare: scenario.prepare, bounds });
  const records = openRecords(app.dataDir);
  t.teardown(records.close);
  return { engine, app, scenario, records, before: photograph(engine), refusal: '' };
}

/** The calls of a rebuild that nothing disturbs. */
async function callsOf(t: Test, world: World) {
  const { engine, scenario } = world;
  engine.forgetRequests();
  const newer = publish(world);
  const clean = await rebuild(world);
  t.match(clean, { state: scenario.failsToStart ? 'rolled_back' : 'succeeded' }, 'without a fault it comes to its end');
  check(t, world, newer.id, clean, 'without a fault');
  const calls = surveyCalls(engine);
  t.ok(calls.all.length - calls.looks > 15, `${calls.all.length} calls, of which ${calls.looks} only look`);
  return calls;
}

/** Publishes a newer image, and notes what there is. */
function publish(world: World) {
  world.before = photograph(world.engine);
  return publishNewer(world.engine, world.scenario);
}

async function start(world: World): Promise<Operation | undefined> {
  const { app, engine } = world;
  // A name is looked up in what the program knows of the engine.
  const isKnown = async () => (await app.api('/containers/web')).id === engine.container('web').id;
  await until(isKnown, 'it is known');
  const answer = await app.post('/api/containers/web/rebuild');
  world.refusal = answer.text;
  return answer.status === 202 ? (JSON.parse(answer.text) as Operation) : undefined;
}

/** Rebuilds and waits for the end; nothing where the rebuild did not even begin. */
async function rebuild(world: World): Promise<Operation | undefined> {
  const started = await start(world);
  return started && ended(world, started);
}

/** An operation that has ended, also by being taken up again. */
async function ended({ app, records }: World, { id }: Operation): Promise<Operation> {
  await until(() => records.isSettled(id), `operation ${id} has ended`, 30_000);
  return app.api<Operation>(`/operations/${id}`);
}

/** Always the same containers with their data: as they were, or on the newer image where that is what is told. */
function check(t: Test, world: World, newer: string, operation: Operation | undefined, what: string): boolean {
  const { engine, scenario, before } = world;
  const isDone = operation?.state === 'succeeded';
  const images = [engine.container('web').imageId, engine.image(reference).id];
  return [
    untouched(t, engine, before, what),
    t.equal(images[0], isDone ? newer : before.images.web, `${what}: ${operation?.state ?? 'not begun'}, and so it is`),
    t.ok([newer, before.tags[reference]].includes(images[1]), `${what}: its tag means what was pulled, or what it did`),
    t.notOk(isDone && scenario.failsToStart, `${what}: what can't be started never succeeds`),
  ].every((isTrue) => isTrue);
}

t.test('A rebuild is cancelled as long as the old container was not touched', async (t) => {
  const [scenario] = scenarios;
  if (!scenario) throw new Error('there is no scenario');
  const world = await begin(t, scenario, { pullStepMs: 20 });
  const { app, before, engine } = world;
  const cancel = (id: number) => app.post(`/api/operations/${id}/cancel`);

  publish(world);
  const pulling = await start(world);
  t.ok(pulling);
  if (!pulling) return;
  await until(() => engine.openStreams('pull').length > 0, 'it pulls');
  t.equal((await cancel(pulling.id)).status, 200);
  t.match(await ended(world, pulling), { state: 'interrupted', error: null, message: 'Cancelled.' });
  t.strictSame(photograph(engine), before, 'cancelled in its pull: nothing at all is different');

  for (const [index, when] of (['before', 'after'] as const).entries()) {
    const hook = engine.faults.hook({ path: /containers\/create$/, times: 1 }, { when }, async () => {
      await cancel(pulling.id + index + 1);
    });
    t.match(await rebuild(world), { state: 'interrupted', message: 'Cancelled.' });
    hook.remove();
    untouched(t, engine, before, `cancelled ${when} the new one was there`);
    t.strictSame(photograph(engine).ids, before.ids, 'and nothing was made anew');
  }

  let refused = 0;
  const hook = engine.faults.hook({ path: /stop$/ }, { when: 'before' }, async () => {
    refused = (await cancel(pulling.id + 3)).status;
  });
  t.match(await rebuild(world), { state: 'succeeded' });
  hook.remove();
  t.equal(refused, 409, 'from the stop on it can not be cancelled');
});
