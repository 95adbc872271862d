import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { ContainerSpec, HealthStatus } from './container-spec.ts';
import type { SimulatedContainer } from './containers.ts';
import { EngineError } from './errors.ts';
import type { EventInput } from './events.ts';
import { createExchange } from './exchange.ts';
import { createFaults, type Faults, type Verdict } from './faults.ts';
import { type EngineVersion, type Flavour, flavours } from './flavours.ts';
import type { ImageSpec, Removal, SimulatedImage } from './images.ts';
import type { LineOptions } from './logs.ts';
import { createRequestLog, type RecordedRequest, type StreamKind } from './requests.ts';
import { route } from './routes.ts';
import { createSocketServer } from './socket-server.ts';
import type { UsageSource } from './stats.ts';
import { createWorld, type World } from './world.ts';

export type { Behaviour, ContainerSpec, ContainerState, HealthStatus } from './container-spec.ts';
export type { SimulatedContainer } from './containers.ts';
export type { EventInput } from './events.ts';
export type { Fault, FaultMatch, Faults } from './faults.ts';
export type { EngineVersion } from './flavours.ts';
export type { ImageSpec, Layer, SimulatedImage } from './images.ts';
export type { LineOptions } from './logs.ts';
export type { RecordedRequest, StreamKind } from './requests.ts';
export type { Usage, UsageSource } from './stats.ts';

/** How the simulated engine shall be; every setting has a default. */
export interface SimulatedEngineOptions {
  /** Default a fresh path in the system's temporary folder. */
  readonly socketPath?: string;
  /** Default `28`. */
  readonly version?: EngineVersion;
  /** Default 1. */
  readonly cgroup?: 1 | 2;
  /** Processors and memory of the host; default 2 and 24 GiB. */
  readonly cpus?: number;
  readonly memoryBytes?: number;
  /** How long the list shows the old state after a death, a pause or an unpause; default 0. */
  readonly staleListMs?: number;
  /** How long a restart policy waits; default 100. */
  readonly restartDelayMs?: number;
  /** Memory for each container's log; default 4 MiB. Older records go without a sign. */
  readonly maxLogBytes?: number;
  /** How many events `since` can still reach; default 256, as in real engines. */
  readonly eventHistory?: number;
  /** The beat of streamed stats; default 1000, Podman 5000. */
  readonly statsIntervalMs?: number;
  /** Between two messages of a pull; default 0. */
  readonly pullStepMs?: number;
  /** Requests with an older `/v1.NN` get 400; default the version's own. */
  readonly minApiVersion?: string;
  /** How many requests are remembered; default 10,000. */
  readonly maxRequests?: number;
  /** Do not keep the process alive; default false. */
  readonly isUnreferenced?: boolean;
  /** The host's name in `/info`. */
  readonly name?: string;
}

/** What to do when the daemon is restarted. */
export interface RestartOptions {
  /** How long connections are refused; default 0. */
  readonly downMs?: number;
  /** How long it then accepts without a word, as real daemons do while they stop old containers; default 0. */
  readonly silentMs?: number;
  /** `running` is live-restore; `exited` leaves 137, and restart policies run what they may. Default `running`. */
  readonly containers?: 'running' | 'exited';
}

/** A storm of events. */
export interface StormOptions {
  readonly count: number;
  /** Default as fast as it goes. */
  readonly perSecond?: number;
  /** The nth event; default volumes that come and go. */
  readonly make?: (n: number) => EventInput;
}

/** A flood of log lines. */
export interface FirehoseOptions extends Pick<LineOptions, 'stream'> {
  /** The nth line; default a numbered one of about 100 bytes. */
  readonly make?: (n: number) => string;
}

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
  const server = createSocketServer(socketPath, options.isUnreferenced ?? false, accept);
  let isClosed = false;

  function accept(request: IncomingMessage, response: ServerResponse): void {
    const asked = readTarget(request);
    const recorded = toRecord(request.method ?? 'GET', asked);
    requests.add(recorded);
    response.on('close', () => requests.close(recorded));
    response.on('error', () => {});
    setHeaders(response, flavour);
    const verdict = faults.judge(recorded.method, recorded.path);
    const exchange = createExchange(request, response, recorded, asked.query, verdict, flavour);
    answer(recorded, verdict).catch((error: unknown) => exchange.fail(error));

    async function answer({ method, path, apiVersion }: RecordedRequest, faulty: Verdict): Promise<void> {
      if (faulty.delayMs > 0) await sleep(faulty.delayMs, undefined, { ref: false });
      if (faulty.hang) await faulty.hang;
      if (response.destroyed) return;
      if (faulty.answer) return exchange.text(faulty.answer.status, faulty.answer.body, faulty.answer.contentType);
      const refusal = refuseVersion(apiVersion, world);
      if (refusal) throw refusal;
      await route(world, exchange, method, path);
    }
  }

  const find = (reference: string) => world.containers.get(reference);

  /** A container that is gone is still known by its full id. */
  const findId = (reference: string) => engineHas(reference)?.id;
  const engineHas = (reference: string) =>
    [...world.containers.all()].find(({ id, name }) => id.startsWith(reference) || name === reference);

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

  /** Writes many lines, as fast as the slowest follower reads them: none is lost to it. */
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
    refuse,
    /** Listens again after `refuse()`. */
    listen: server.listen,
    restart,
    /** Every request so far, the oldest first. */
    requests: requests.all as readonly RecordedRequest[],
    /** Answers that go on right now, of one kind, about one container when it is named. */
    openStreams(kind?: StreamKind, reference?: string): RecordedRequest[] {
      const id = reference === undefined ? null : (findId(reference) ?? reference);
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
    removeImage: (reference: string, force = false): Removal[] => world.images.remove(reference, force),

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

function toHost(options: SimulatedEngineOptions, flavour: Flavour): World['host'] {
  const { cgroup = 1, cpus = 2, memoryBytes = 25_276_514_304 } = options;
  return { flavour, cgroup, cpus, memoryBytes };
}

function toWorldOptions(options: SimulatedEngineOptions, flavour: Flavour): World['options'] {
  return {
    staleListMs: options.staleListMs ?? 0,
    restartDelayMs: options.restartDelayMs ?? 100,
    maxLogBytes: options.maxLogBytes ?? 4 * 1024 * 1024,
    eventHistory: options.eventHistory ?? 256,
    statsIntervalMs: options.statsIntervalMs ?? flavour.statsIntervalMs,
    pullStepMs: options.pullStepMs ?? 0,
    minApiVersion: options.minApiVersion ?? flavour.minApiVersion,
    name: options.name ?? 'simulated',
  };
}

interface Target {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly apiVersion: string | null;
}

function readTarget(request: IncomingMessage): Target {
  const [rawPath = '/', search = ''] = (request.url ?? '/').split('?', 2);
  const versioned = /^\/v(\d+\.\d+)(\/.*)$/.exec(rawPath);
  const query = new URLSearchParams(search);
  return { path: decode(versioned?.[2] ?? rawPath), query, apiVersion: versioned?.[1] ?? null };
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function toRecord(method: string, { path, query, apiVersion }: Target): RecordedRequest {
  const at = performance.now();
  const rest = { closedAt: null, status: null, kind: null, containerId: null, stream: null };
  return { method, path, query: Object.fromEntries(query), apiVersion, at, ...rest };
}

function setHeaders(response: ServerResponse, flavour: Flavour): void {
  response.setHeader('Api-Version', flavour.apiVersion);
  response.setHeader('Docker-Experimental', 'false');
  response.setHeader('Ostype', 'linux');
  response.setHeader('Server', flavour.server);
}

/** Podman takes any version. */
function refuseVersion(asked: string | null, { flavour, options }: World): EngineError | null {
  if (asked === null || flavour.isPodman) return null;
  const minor = (version: string) => Number(version.split('.')[1]);
  if (minor(asked) < minor(options.minApiVersion)) {
    const advice = 'please upgrade your client to a newer version';
    const text = `client version ${asked} is too old. Minimum supported API version is ${options.minApiVersion}, ${advice}`;
    return new EngineError(400, text);
  }
  if (minor(asked) <= minor(flavour.apiVersion)) return null;
  const text = `client version ${asked} is too new. Maximum supported API version is ${flavour.apiVersion}`;
  return new EngineError(400, text);
}

function toFloodLine(n: number): string {
  return `line ${n} ${'.'.repeat(88)}`;
}

function toStormEvent(n: number): EventInput {
  const id = `storm-${Math.floor(n / 2)}`;
  return { type: 'volume', action: n % 2 === 0 ? 'create' : 'destroy', id, attributes: { driver: 'local' } };
}
