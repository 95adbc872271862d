import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { SimulatedContainer } from './container.ts';
import type { ContainerSpec, HealthStatus } from './container-spec.ts';
import {
  type FirehoseOptions,
  type RestartOptions,
  type SimulatedEngineOptions,
  type StormOptions,
  toHost,
  toWorldOptions,
} from './engine-options.ts';
import type { EventInput } from './events.ts';
import { createExchange } from './exchange.ts';
import { createFaults, type Faults, type Lateness, type Verdict } from './faults.ts';
import { flavours } from './flavours.ts';
import type { Removal } from './image-removals.ts';
import type { ImageSpec, SimulatedImage } from './images.ts';
import type { LineOptions } from './logs.ts';
import type { Network } from './networks.ts';
import type { Publication, PublishedSpec, RegistryState } from './registry.ts';
import { createRequestLog, type RecordedRequest, type StreamKind } from './requests.ts';
import { route } from './routes.ts';
import { createSocketServer } from './socket-server.ts';
import type { UsageSource } from './stats.ts';
import { readTarget, refuseVersion, setHeaders, toRecord } from './targets.ts';
import type { SimulatedVolume } from './volumes.ts';
import { createWorld } from './world.ts';

export type { SimulatedContainer } from './container.ts';
export type { Behaviour, ContainerSpec, ContainerState, HealthStatus } from './container-spec.ts';
export type { FirehoseOptions, RestartOptions, SimulatedEngineOptions, StormOptions } from './engine-options.ts';
export type { EventInput } from './events.ts';
export type { Fault, FaultHook, FaultMatch, Faults, HookTime } from './faults.ts';
export type { EngineVersion } from './flavours.ts';
export type { ImageSpec, Layer, SimulatedImage } from './images.ts';
export type { LineOptions } from './logs.ts';
export type { Network } from './networks.ts';
export type { Publication, PublishedSpec, RegistryLogin, RegistryState } from './registry.ts';
export type { RecordedRequest, StreamKind } from './requests.ts';
export type { Usage, UsageSource } from './stats.ts';
export type { SimulatedVolume } from './volumes.ts';

/** The running engine and everything a test can do to it. */
export type SimulatedEngine = Awaited<ReturnType<typeof createSimulatedEngine>>;

/**
 * Starts a simulated engine that speaks the Docker Engine API on a unix socket.
 *
 * Whatever is changed through the handle is told as events, as if another client had done it.
 *
 * @example
 * const engine = await createSimulatedEngine({ version: '20.10' });
 * const web = engine.addContainer({ name: 'web', ports: ['8080:80'], health: 'healthy' });
 * engine.writeLog(web.id, 'ready');
 * engine.die(web.id, 1);
 * await engine.close();
 */
export async function createSimulatedEngine(options: SimulatedEngineOptions = {}) {
  const flavour = flavours[options.version ?? '28'];
  const socketPath = options.socketPath ?? join(tmpdir(), `engine-${randomBytes(6).toString('hex')}.sock`);
  const world = createWorld(toHost(options, flavour), toWorldOptions(options, flavour));
  const requests = createRequestLog(options.maxRequests ?? 10_000);
  const faults = createFaults(requests);
  const probes: RecordedRequest[] = [];
  const server = createSocketServer(socketPath, options.isUnreferenced ?? false, accept);
  let isClosed = false;

  function accept(request: IncomingMessage, response: ServerResponse): void {
    const asked = readTarget(request);
    const recorded = toRecord(request.method ?? 'GET', asked);
    // What finds out what is allowed is apart: it is nothing that a test asked for.
    const isProbe = request.headers['x-fairlead-probe'] !== undefined;
    if (isProbe) probes.push(recorded);
    else requests.add(recorded);
    response.on('close', () => requests.close(recorded));
    response.on('error', () => {});
    setHeaders(response, flavour);
    const verdict = faults.judge(recorded.method, recorded.path, isProbe);
    const exchange = createExchange(request, response, recorded, asked.query, verdict, flavour);
    answer(recorded, verdict).catch((error: unknown) => exchange.fail(error));

    async function answer({ method, path, apiVersion }: RecordedRequest, faulty: Verdict): Promise<void> {
      if (faulty.isDropped) {
        request.socket.destroy();
        return;
      }
      if (faulty.delayMs > 0) await sleep(faulty.delayMs, undefined, { ref: false });
      if (faulty.hang) await faulty.hang;
      for (const hook of faulty.before) await hook(recorded);
      if (faulty.late !== null) await outlive(faulty.late);
      else if (response.destroyed) return;
      if (faulty.answer) return exchange.text(faulty.answer.status, faulty.answer.body, faulty.answer.contentType);
      const refusal = refuseVersion(apiVersion, world);
      if (refusal) throw refusal;
      await route(world, exchange, method, path);
    }

    async function outlive(late: Lateness): Promise<void> {
      await exchange.body().catch(() => {});
      if (recorded.closedAt === null) await once(response, 'close');
      await (typeof late === 'number' ? sleep(late, undefined, { ref: false }) : late);
    }
  }

  const find = (reference: string) => world.containers.get(reference);

  /** A container that is gone is still known by its full id. */
  const idOf = (reference: string) =>
    [...world.containers.all()].find(({ id, name }) => id.startsWith(reference) || name === reference)?.id ?? reference;

  function pullImage(reference: string): SimulatedImage {
    const { spec, digest } = world.registry.get(reference);
    world.images.receive(spec, reference, digest);
    return world.images.get(reference);
  }

  /** Stops listening until `listen()`; the path stays and refuses, unless `keepsPath` is false. */
  async function refuse({ keepsPath = true, dropsConnections = true } = {}): Promise<void> {
    await server.stop(keepsPath, dropsConnections);
  }

  /** `kill -9` and a new start: connections end, history is forgotten, containers live on or not. */
  async function restart({ downMs = 0, silentMs = 0, containers = 'running' }: RestartOptions = {}): Promise<void> {
    await refuse();
    if (containers === 'exited') world.containers.crash();
    world.events.forget();
    if (downMs > 0) await sleep(downMs, undefined, { ref: !options.isUnreferenced });
    if (isClosed) return;
    const silence = silentMs > 0 ? faults.hang() : null;
    await server.listen();
    if (silentMs > 0) await sleep(silentMs, undefined, { ref: !options.isUnreferenced });
    silence?.remove();
  }

  /** Writes many lines, as fast as the slowest follower reads them: none is lost to it while lines stay below 1 KB. */
  async function firehose(
    reference: string,
    lines: number,
    { make = toFloodLine, stream = 'stdout' }: FirehoseOptions = {},
  ) {
    const { log } = find(reference);
    for (let written = 0; written < lines && !isClosed; ) {
      const batch = Math.min(FLOOD_BATCH, lines - written);
      const text = Array.from({ length: batch }, (_, index) => make(written + index)).join('\n');
      log.write(`${text}\n`, { stream });
      written += batch;
      await nextTurn();
      while (log.lag() > FLOOD_LAG && !isClosed) await sleep(1);
    }
  }

  /** Tells many events; with `perSecond` at that pace. */
  async function storm({
    count,
    perSecond = Number.POSITIVE_INFINITY,
    make = toStormEvent,
  }: StormOptions): Promise<void> {
    const startedAt = performance.now();
    for (let sent = 0; sent < count && !isClosed; ) {
      const due = Math.min(
        count,
        sent + STORM_BATCH,
        Math.ceil(((performance.now() - startedAt) / 1000) * perSecond) || count,
      );
      for (; sent < due; sent++) world.events.emit(make(sent));
      await (perSecond === Number.POSITIVE_INFINITY ? nextTurn() : sleep(5));
    }
  }

  /** Resolves as soon as a condition holds; rejects with its description when it does not within `timeoutMs`. */
  async function waitFor(condition: () => boolean, what = 'the condition', timeoutMs = 5000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`${what} did not come true within ${timeoutMs} ms`);
      await sleep(2);
    }
  }

  /** Ends everything; the path is gone afterwards. */
  async function close(): Promise<void> {
    isClosed = true;
    faults.clear();
    world.containers.close();
    world.collector.close();
    await server.stop(false, true);
    rmSync(socketPath, { force: true });
  }

  await server.listen();

  return {
    socketPath,
    /** For `DOCKER_HOST`. */
    host: `unix://${socketPath}`,
    version: flavour.version,
    /** Faults of requests and streams; those of the whole engine are `refuse`, `listen` and `restart`. */
    faults: faults as Faults,
    /** What was asked only to find out what is allowed; it is not among the requests. */
    probes: probes as readonly RecordedRequest[],
    refuse,
    /** Listens again after `refuse()`. */
    listen: server.listen,
    restart,
    /** Every request so far, the oldest first. */
    requests: requests.all as readonly RecordedRequest[],
    /** Answers that go on right now, of one kind, about one container when it is named. */
    openStreams(kind?: StreamKind, reference?: string): RecordedRequest[] {
      const id = reference === undefined ? null : idOf(reference);
      return requests
        .open()
        .filter((request) => request.kind !== null && (kind === undefined || request.kind === kind))
        .filter((request) => id === null || request.containerId === id);
    },
    /** Requests so far by method and path. */
    requestsTo: (method: string, path: RegExp) =>
      requests.all.filter((request) => request.method === method && path.test(request.path)),
    forgetRequests: () => requests.all.splice(0).length,
    waitFor,

    addContainer: (spec: ContainerSpec): SimulatedContainer => world.containers.add(spec),
    container: find,
    containers: () => [...world.containers.all()],
    /** Removes a container, by force. */
    removeContainer: (reference: string) => world.containers.remove(find(reference), true),
    start: (reference: string) => world.containers.start(find(reference)),
    stop: (reference: string) => world.containers.stop(find(reference)),
    restartContainer: (reference: string) => world.containers.restart(find(reference)),
    kill: (reference: string, signal = '9') => world.containers.kill(find(reference), signal),
    /** The process ends by itself; the restart policy and `--rm` follow. */
    die: (reference: string, exitCode = 0) => world.containers.die(find(reference), exitCode),
    oom: (reference: string) => world.containers.oom(find(reference)),
    pause: (reference: string) => world.containers.pause(find(reference)),
    unpause: (reference: string) => world.containers.unpause(find(reference)),
    rename: (reference: string, name: string) => world.containers.rename(find(reference), name),
    health: (reference: string, health: HealthStatus, output = '') =>
      world.containers.setHealth(find(reference), health, output),

    addImage: (spec: ImageSpec): SimulatedImage => world.images.add(spec),
    image: (reference: string) => world.images.get(reference),
    images: () => [...world.images.all()],
    tagImage: (reference: string, tag: string) => world.images.tag(world.images.get(reference), tag),
    removeImage: (reference: string, force = false): Removal[] => world.imageRemovals.remove(reference, force),

    /** What a registry has for a tag from now on; a second time it is a newer image. Names without a host are `docker.io`. */
    publish: (reference: string, spec: PublishedSpec = {}): Publication => world.registry.publish(reference, spec),
    /** Takes a tag from its registry: it is not found any more. */
    unpublish: (reference: string) => world.registry.unpublish(reference),
    /** Lets a registry's host answer, refuse connections, or never answer in time. */
    setRegistry: (host: string, state: RegistryState) => world.registry.setState(host, state),
    /** Pulls at once what is published, as if another client had done it; logins and hosts are not looked at. */
    pullImage,
    /** While the disk is full, a pull that brings anything fails in its stream. */
    setDiskFull: (isFull: boolean) => {
      world.disk.isFull = isFull;
    },

    /** A network by its name, made when it is not there. */
    addNetwork: (name: string): Network => world.networks.ensure(name),
    networks: (): Network[] => world.networks.all(),
    /** Takes a network away, whoever is in it. */
    removeNetwork: (reference: string) => world.networks.remove(reference),

    /** A volume and what was written into it; throws when there is none. */
    volume: (name: string): SimulatedVolume => world.volumes.get(name),
    volumes: (): SimulatedVolume[] => world.volumes.all(),
    /** Writes what a container would have left in a volume. */
    writeVolume: (name: string, data: string) => world.volumes.write(name, data),

    /** Appends lines to a container's log; followers get them. */
    writeLog: (reference: string, text: string, line: LineOptions = {}) => find(reference).log.write(text, line),
    /** Appends one record of any bytes. */
    writeRawLog: (reference: string, data: Buffer, line: LineOptions = {}) => find(reference).log.writeRaw(data, line),
    /** Forgets what was logged, as a rotation does. */
    truncateLog: (reference: string) => find(reference).log.truncate(),
    firehose,
    /** Sets what a container uses, for good or as a function of the milliseconds since its start. */
    setStats: (reference: string, usage: UsageSource) => find(reference).stats.set(usage),

    /** Tells an event of any kind. */
    emit: (event: EventInput) => world.events.emit(event),
    storm,
    /** The next events happen but are not told. */
    loseEvents: (count: number) => world.events.lose(count),
    /** Whatever `change` does is not told. */
    silently: <T>(change: () => T): T => world.events.silently(change),
    close,
    [Symbol.asyncDispose]: close,
  };
}

const FLOOD_BATCH = 500;
const FLOOD_LAG = 2000;
const STORM_BATCH = 200;

function toFloodLine(n: number): string {
  return `line ${n} ${'.'.repeat(88)}`;
}

function toStormEvent(n: number): EventInput {
  const id = `storm-${Math.floor(n / 2)}`;
  return { type: 'volume', action: n % 2 === 0 ? 'create' : 'destroy', id, attributes: { driver: 'local' } };
}
