import { join } from 'node:path';
import SQLite from 'better-sqlite3';
import t, { type Test } from 'tap';
import { createSimulatedEngine, type SimulatedEngine } from './simulated/engine.ts';
import type { Fault, FaultMatch } from './simulated/faults.ts';
import { startApp, type TestApp, until } from './support/app.ts';

type Operation = { id: number; state: string; error: string | null; message: string };

/** A container of some shape, with all that must survive. */
type Scenario = {
  name: string;
  version?: '20.10';
  prepare(engine: SimulatedEngine): void;
  /** Names of all containers there are. */
  names: readonly string[];
};

const reference = 'registry.test/lab/web:1';
const bounds = {
  engine: { list: 150, action: 150, registry: 300, pull: 400 },
  rebuild: { healthyMs: 500, steadyMs: 10, persistMs: 4_000, lateMs: 60, retryMs: 200 },
};

/** The calls that a rebuild makes; what follows the engine's events and looks whether it is there is not a part of it. */
const flow =
  /^\/(containers\/(create|[0-9a-zA-Z][\w.-]*\/(json|start|stop|pause|rename))|containers\/[0-9a-zA-Z][\w.-]{9,}|images\/create|images\/[^/]+(\/[^/]+)*\/(json|tag)|networks\/[^/]+\/\w+)$/;

const command = ['sh', '-c', 'serve'];
const web = {
  name: 'web',
  image: reference,
  command,
  config: { StopTimeout: 0 },
  mounts: ['/data', 'named:/named'],
  networks: ['front', 'back'],
  endpoints: { front: { IPAMConfig: { IPv4Address: '172.30.0.9' }, Aliases: ['www'] } },
  ports: ['8080:80'],
  restart: 'always',
};

function prepareWeb(engine: SimulatedEngine, changes: object = {}) {
  for (const network of ['front', 'back']) engine.addNetwork(network);
  engine.publish(reference, { env: ['V=1'] });
  engine.pullImage(reference);
  engine.addContainer({ ...web, ...changes });
  for (const { name } of engine.volumes()) engine.writeVolume(name, `precious ${name}`);
}

const scenarios: Scenario[] = [
  // 20.10 creates a container in one network and connects it to the others then.
  { name: 'a running container', version: '20.10', prepare: (engine) => prepareWeb(engine), names: ['web'] },
  {
    name: 'one that removes itself',
    prepare: (engine) => prepareWeb(engine, { autoRemove: true, restart: 'no' }),
    names: ['web'],
  },
  {
    name: 'one with another in its network',
    prepare(engine) {
      prepareWeb(engine, { networks: ['front'] });
      engine.addContainer({
        name: 'side',
        image: 'lab/side:1',
        command,
        config: { StopTimeout: 0 },
        hostConfig: { NetworkMode: `container:${engine.container('web').id}` },
        networks: [],
      });
    },
    names: ['side', 'web'],
  },
];

const kinds: Record<string, (engine: SimulatedEngine, match: FaultMatch) => Fault> = {
  'an error': (engine, match) => engine.faults.status(500, '{"message":"out of order"}', 'application/json', match),
  'a cut answer': (engine, match) => engine.faults.cut(match),
  'a dropped connection': (engine, match) => engine.faults.drop(match),
  'a hang': (engine, match) => engine.faults.hang(match),
  'an effect without an answer': (engine, match) => engine.faults.mute(match),
};

for (const scenario of scenarios) {
  t.test(`Rebuilding ${scenario.name}`, async (t) => {
    const engine = await createSimulatedEngine({ version: scenario.version ?? '28' });
    t.teardown(engine.close);
    const app = await startApp(t, { engine, prepare: scenario.prepare, bounds });
    const world: World = { engine, app, scenario, before: photograph(engine) };

    engine.forgetRequests();
    publishNewer(engine);
    const clean = await rebuild(app);
    t.match(clean, { state: 'succeeded' }, 'without a fault it is done');
    const calls = engine.requests.filter(({ path }) => flow.test(path)).map(({ method, path }) => `${method} ${path}`);
    const asked = calls.findIndex((call) => call.endsWith('/images/create'));
    t.ok(calls.length - asked > 15, `${calls.length} calls, of which ${asked} only look`);
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
          t.ok(operation || skip < asked, `${skip} ${call}: it began, unless it could not even look`);
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

/** All that has to be the same afterwards. */
type Photograph = ReturnType<typeof photograph>;

function photograph(engine: SimulatedEngine) {
  return {
    containers: engine.containers().map(({ id, name, imageId, state }) => ({ id, name, imageId, state })),
    volumes: engine.volumes().map(({ name, createdAt, data }) => ({ name, createdAt, data })),
    mounts: engine
      .container('web')
      .mounts.map(({ name, destination }) => `${destination} ${name}`)
      .sort(),
    endpoints: engine
      .container('web')
      .endpoints.map(({ network, settings }) => ({ network, settings: asked(settings) }))
      .sort((a, b) => (a.network < b.network ? -1 : 1)),
    ports: engine.container('web').ports.map(({ hostPort, containerPort }) => `${hostPort}->${containerPort}`),
  };
}

/** An engine tells a MAC address that it picked as if it had been asked for: it is kept, and asked for from then on. */
const asked = ({ MacAddress: _, ...settings }: { MacAddress?: unknown }) => settings;

let version = 1;
function publishNewer(engine: SimulatedEngine) {
  version++;
  engine.publish(reference, { env: [`V=${version}`] });
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

/** How many rebuilds are neither finished nor undone. */
function journal(dataDir: string): number {
  const db = new SQLite(join(dataDir, 'fairlead.db'), { readonly: true });
  try {
    return (db.prepare('select count(*) as n from rebuilds').get() as { n: number }).n;
  } finally {
    db.close();
  }
}

/** Always the same containers with their data: as they were, or on the newer image. */
async function check(t: Test, { engine, app, scenario, before }: World, operation?: Operation, what = '') {
  const after = photograph(engine);
  const isDone = operation?.state === 'succeeded';
  t.strictSame(
    after.containers.map(({ name }) => name).sort(),
    scenario.names,
    `${what}: no container lost, doubled or left`,
  );
  t.ok(
    after.containers.every(({ state }) => state === 'running'),
    `${what}: all run`,
  );
  t.strictSame(after.volumes, before.volumes, `${what}: the very same volumes with their data`);
  t.strictSame(after.mounts, before.mounts, `${what}: mounted where they were`);
  t.strictSame(after.endpoints, before.endpoints, `${what}: in the same networks, with the same settings`);
  t.strictSame(after.ports, before.ports, `${what}: on the same ports`);
  const image = engine.container('web').imageId;
  const wanted = isDone ? engine.image(reference).id : before.containers.find(({ name }) => name === 'web')?.imageId;
  t.equal(image, wanted, `${what}: ${operation?.state ?? 'not begun'}, on that image`);
  t.equal(journal(app.dataDir), 0, `${what}: nothing is left to be done`);
}
