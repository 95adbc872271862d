import { join } from 'node:path';
import SQLite from 'better-sqlite3';
import type { Test } from 'tap';
import type { ContainerSpec, PublishedSpec, SimulatedContainer, SimulatedEngine } from '../simulated/engine.ts';

/** Containers of some shape of which `web` is rebuilt, with all that must survive. */
export type Scenario = {
  name: string;
  version?: '20.10';
  prepare(engine: SimulatedEngine): void | Promise<void>;
  /** Why the newer image can't be started: then the way back is always gone as well. */
  failsToStart?: string;
  /** Whether all is tried with it in every run; with the others, a part that is another one with each. */
  isBasic?: boolean;
};

/** Whether all is tried with a scenario; with every one where `FAIRLEAD_TEST_THOROUGH=1`, which takes minutes more. */
export const isTriedWhole = ({ isBasic = false }: Scenario): boolean =>
  isBasic || process.env.FAIRLEAD_TEST_THOROUGH === '1';

/** What `web` is made of. */
export const reference = 'registry.test/lab/web:1';

const command = ['sh', '-c', 'serve'];
const config = { StopTimeout: 0 };
const web = {
  name: 'web',
  image: reference,
  command,
  config,
  mounts: ['/data', 'named:/named'],
  networks: ['front', 'back'],
  endpoints: { front: { IPAMConfig: { IPv4Address: '172.30.0.9' }, Aliases: ['www'] } },
  ports: ['8080:80'],
  labels: { 'lab.owner': 'ops' },
  restart: 'always',
} satisfies ContainerSpec;
const removesItself = { autoRemove: true, restart: 'no' };

/** Publishes an image, and has it here. */
export function have(engine: SimulatedEngine, tag: string, spec: PublishedSpec = {}) {
  engine.publish(tag, spec);
  return engine.pullImage(tag);
}

function addWeb(engine: SimulatedEngine, changes: Partial<ContainerSpec> = {}) {
  for (const network of ['front', 'back']) engine.addNetwork(network);
  have(engine, reference, { env: ['V=1'] });
  engine.addContainer({ ...web, ...changes });
}

/** Adds one that joins namespaces, by the names of whom it joins. */
export function addBeside(
  engine: SimulatedEngine,
  name: string,
  { network, pid }: { network: string; pid?: string },
  changes: Partial<ContainerSpec> = {},
) {
  const joined = (other: string) => `container:${engine.container(other).id}`;
  const hostConfig = { NetworkMode: joined(network), ...(pid && { PidMode: joined(pid) }) };
  const own = { name, image: 'lab/side:1', command, config, mounts: [`/${name}`], networks: [], hostConfig };
  engine.addContainer({ ...own, ...changes });
}

/** One whose tag was moved on after it was made. */
function addAged(engine: SimulatedEngine, changes: Partial<ContainerSpec> = {}) {
  const image = 'registry.test/lab/aged:1';
  have(engine, image, { env: ['AGE=1'] });
  addBeside(engine, 'aged', { network: 'web' }, { image, ...changes });
  have(engine, image, { env: ['AGE=2'] });
}

function fillVolumes(engine: SimulatedEngine) {
  for (const { name } of engine.volumes()) engine.writeVolume(name, `precious ${name}`);
}

const failsToStart = 'exec: "serve": executable file not found in $PATH';

/** What is rebuilt, each with all that it can lose. */
export const scenarios: Scenario[] = [
  {
    name: 'a running container',
    isBasic: true,
    // It creates a container in one network and connects it to the others then.
    version: '20.10',
    prepare(engine) {
      addWeb(engine);
      fillVolumes(engine);
    },
  },
  {
    name: 'one that removes itself',
    prepare(engine) {
      addWeb(engine, removesItself);
      fillVolumes(engine);
    },
  },
  {
    name: 'one with a paused one in its network, in vain',
    isBasic: true,
    failsToStart,
    prepare(engine) {
      addWeb(engine, { networks: ['front'] });
      addBeside(engine, 'side', { network: 'web' }, { state: 'paused' });
      fillVolumes(engine);
    },
  },
  {
    name: 'one that removes itself with another that does, and with one that stays, in vain',
    failsToStart,
    prepare(engine) {
      addWeb(engine, { ...removesItself, networks: ['front'] });
      addBeside(engine, 'side', { network: 'web' }, removesItself);
      addAged(engine);
      fillVolumes(engine);
    },
  },
  {
    name: 'a stopped one with others in its network, the tag of one of which has moved on',
    async prepare(engine) {
      addWeb(engine, { networks: ['front'] });
      addBeside(engine, 'side', { network: 'web' });
      addAged(engine);
      fillVolumes(engine);
      for (const name of ['side', 'aged', 'web']) await engine.stop(name);
    },
  },
  {
    name: 'one that others join in a diamond, and another one has a link to and takes the volumes of',
    prepare(engine) {
      // Only containers of the default network can be linked.
      addWeb(engine, { networks: ['bridge'], endpoints: {} });
      addBeside(engine, 'helper', { network: 'web' });
      addBeside(engine, 'side', { network: 'web', pid: 'helper' });
      engine.addContainer({
        name: 'app',
        image: 'lab/app:1',
        command,
        config,
        mounts: ['/app'],
        hostConfig: { Links: ['web:db'], VolumesFrom: [engine.container('web').id] },
        state: 'paused',
      });
      fillVolumes(engine);
    },
  },
];

let versions = 1;

/** Publishes a newer image for `web`. */
export function publishNewer(engine: SimulatedEngine, { failsToStart }: Pick<Scenario, 'failsToStart'> = {}) {
  versions++;
  return engine.publish(reference, { env: [`V=${versions}`], ...(failsToStart && { behaviour: { failsToStart } }) });
}

/** The calls that a rebuild makes; what only follows the engine is not a part of it. */
export const flow =
  /^\/(containers\/(create|[0-9a-zA-Z][\w.-]*\/(json|start|stop|pause|rename))|containers\/[0-9a-zA-Z][\w.-]{9,}|images\/create|images\/[^/]+(\/[^/]+)*\/(json|tag)|networks\/[^/]+\/\w+)$/;

/** The calls of a rebuild so far, and how many of them came before its pull. */
export function surveyCalls(engine: SimulatedEngine) {
  const all = engine.requests.filter(({ path }) => flow.test(path)).map(({ method, path }) => `${method} ${path}`);
  const pull = all.findIndex((call) => call.endsWith('/images/create'));
  return { all, looks: Math.max(0, pull) };
}

// ── what must survive ──

/** All that has to be the same afterwards. */
export type Photograph = ReturnType<typeof photograph>;

/** Notes what there is; containers by their names. */
export function photograph(engine: SimulatedEngine) {
  const containers = engine.containers();
  const byName = <T>(read: (container: SimulatedContainer) => T) =>
    Object.fromEntries(containers.map((container) => [container.name, read(container)]));
  return {
    names: containers.map(({ name }) => name).sort(),
    ids: byName(({ id }) => id),
    images: byName(({ imageId }) => imageId),
    containers: byName((container) => toPortrait(container, containers)),
    volumes: engine.volumes().map(({ name, createdAt, data }) => ({ name, createdAt, data })),
    tags: Object.fromEntries(engine.images().flatMap(({ id, tags }) => tags.map((tag) => [tag, id]))),
  };
}

function toPortrait(container: SimulatedContainer, others: readonly SimulatedContainer[]) {
  const { state, body, mounts, endpoints, ports, links, labels } = container;
  const host = body.HostConfig ?? {};
  const nameOf = (id: string) => others.find((other) => other.id === id)?.name ?? 'nobody';
  const joined = (mode: unknown) => String(mode ?? '').replace(/(?<=^container:).*/, nameOf);
  return {
    state: state === 'created' || state === 'exited' ? 'stopped' : state,
    mounts: mounts.map((mount) => `${mount.destination} ${mount.name || mount.source} ${mount.isWritable}`).sort(),
    endpoints: endpoints
      .map(({ network, settings }) => ({ network, settings: asked(settings) }))
      .sort((a, b) => (a.network < b.network ? -1 : 1)),
    ports: ports.map(({ hostIp, hostPort, containerPort }) => `${hostIp}:${hostPort}->${containerPort}`),
    bindings: host.PortBindings,
    // A mode that nobody asked for is told as the default one, and asked for from then on.
    namespaces: [host.NetworkMode, host.IpcMode || 'private', host.PidMode].map(joined),
    lenders: host.VolumesFrom?.map(nameOf),
    links: links.map(({ target, alias }) => `${others.includes(target) ? target.name : 'nobody'}:${alias}`),
    labels,
    policy: { removesItself: host.AutoRemove, restart: host.RestartPolicy },
  };
}

/** An engine tells a MAC address that it picked as if it had been asked for: it is kept, and asked for from then on. */
const asked = ({ MacAddress: _, ...settings }: { MacAddress?: unknown }) => settings;

/**
 * Asserts that the same containers are there in the same states, with their data and all that belongs to them, whatever
 * image `web` runs on and its tag means.
 */
export function untouched(t: Test, engine: SimulatedEngine, before: Photograph, what: string): boolean {
  return t.strictSame(lasting(photograph(engine)), lasting(before), `${what}: all is there, as it was`);
}

function lasting({
  ids: _,
  images: { web: _image, ...images },
  tags: { [reference]: _tag, ...tags },
  ...rest
}: Photograph) {
  return { ...rest, images, tags };
}

// ── what is written down ──

/** How many rebuilds are neither finished nor undone. */
export function journal(dataDir: string): number {
  const records = openRecords(dataDir);
  try {
    return records.rebuilds();
  } finally {
    records.close();
  }
}

/** Opens what the program has written down, as another process sees it: cheaper than to ask the program itself. */
export function openRecords(dataDir: string) {
  const db = new SQLite(join(dataDir, 'fairlead.db'), { readonly: true });
  const count = db.prepare<[], { n: number }>('select count(*) as n from rebuilds');
  const plans = db.prepare<[], { phase: string; plan: string }>('select phase, plan from rebuilds order by id');
  const state = db.prepare<[number], { state: string }>('select state from operations where id = ?');
  return {
    /** How many rebuilds are neither finished nor undone. */
    rebuilds: () => count.get()?.n ?? 0,
    /** All that is written down of them, as one text. */
    plans: () => JSON.stringify(plans.all()),
    /** Whether an operation has ended, and has left nothing to be done. */
    isSettled: (id: number) =>
      !['queued', 'running'].includes(state.get(id)?.state ?? 'queued') && count.get()?.n === 0,
    close: () => db.close(),
  };
}
