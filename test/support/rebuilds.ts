import { join } from 'node:path';
import SQLite from 'better-sqlite3';
import type { Test } from 'tap';
import type { SimulatedEngine } from '../simulated/engine.ts';

/** A container of some shape that is rebuilt, with all that must survive; its name is `web`. */
export type Scenario = {
  name: string;
  version?: '20.10';
  reference: string;
  prepare(engine: SimulatedEngine): void;
  /** Names of all containers there are. */
  names: readonly string[];
};

const reference = 'registry.test/lab/web:1';
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

/** What is rebuilt: a container with all that it can lose, one that is gone when it stops, and one that others need. */
export const scenarios: Scenario[] = [
  // 20.10 creates a container in one network and connects it to the others then.
  { name: 'a running container', version: '20.10', reference, prepare: (engine) => prepareWeb(engine), names: ['web'] },
  {
    name: 'one that removes itself',
    reference,
    prepare: (engine) => prepareWeb(engine, { autoRemove: true, restart: 'no' }),
    names: ['web'],
  },
  {
    name: 'one with another in its network',
    reference,
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

/** The calls that a rebuild makes; what only follows the engine is not a part of it. */
export const flow =
  /^\/(containers\/(create|[0-9a-zA-Z][\w.-]*\/(json|start|stop|pause|rename))|containers\/[0-9a-zA-Z][\w.-]{9,}|images\/create|images\/[^/]+(\/[^/]+)*\/(json|tag)|networks\/[^/]+\/\w+)$/;

/** The calls of a rebuild so far, and how many of them came before its pull. */
export function surveyCalls(engine: SimulatedEngine) {
  const all = engine.requests.filter(({ path }) => flow.test(path)).map(({ method, path }) => `${method} ${path}`);
  const pull = all.findIndex((call) => call.endsWith('/images/create'));
  return { all, looks: Math.max(0, pull) };
}

/** All that has to be the same afterwards. */
export type Photograph = ReturnType<typeof photograph>;

/** Notes what there is. */
export function photograph(engine: SimulatedEngine) {
  const { mounts, endpoints, ports } = engine.container('web');
  return {
    containers: engine.containers().map(({ id, name, imageId, state }) => ({ id, name, imageId, state })),
    volumes: engine.volumes().map(({ name, createdAt, data }) => ({ name, createdAt, data })),
    mounts: mounts.map(({ name, destination }) => `${destination} ${name}`).sort(),
    endpoints: endpoints
      .map(({ network, settings }) => ({ network, settings: asked(settings) }))
      .sort((a, b) => (a.network < b.network ? -1 : 1)),
    ports: ports.map(({ hostPort, containerPort }) => `${hostPort}->${containerPort}`),
  };
}

/** An engine tells a MAC address that it picked as if it had been asked for: it is kept, and asked for from then on. */
const asked = ({ MacAddress: _, ...settings }: { MacAddress?: unknown }) => settings;

/** Asserts that the same containers are there with their data, whatever image they run on. */
export function untouched(t: Test, engine: SimulatedEngine, scenario: Scenario, before: Photograph, what: string) {
  const after = photograph(engine);
  const names = after.containers.map(({ name }) => name).sort();
  t.strictSame(names, scenario.names, `${what}: no container lost, doubled or left`);
  t.ok(
    after.containers.every(({ state }) => state === 'running'),
    `${what}: all run`,
  );
  t.strictSame(after.volumes, before.volumes, `${what}: the very same volumes with their data`);
  t.strictSame(after.mounts, before.mounts, `${what}: mounted where they were`);
  t.strictSame(after.endpoints, before.endpoints, `${what}: in the same networks, with the same settings`);
  t.strictSame(after.ports, before.ports, `${what}: on the same ports`);
}

/** How many rebuilds are neither finished nor undone. */
export function journal(dataDir: string): number {
  const db = new SQLite(join(dataDir, 'fairlead.db'), { readonly: true });
  try {
    return (db.prepare('select count(*) as n from rebuilds').get() as { n: number }).n;
  } finally {
    db.close();
  }
}
