import { nowNanos, toMillis, toNanos } from './clock.ts';
import {
  type Behaviour,
  type ContainerSpec,
  type ContainerState,
  type CreateBody,
  type HealthStatus,
  type Mount,
  toCreateBody,
  toMounts,
} from './container-spec.ts';
import { EngineError, notModified } from './errors.ts';
import type { EventLog } from './events.ts';
import type { Flavour } from './flavours.ts';
import { randomId } from './ids.ts';
import type { Images } from './images.ts';
import { type ContainerLog, createLog } from './logs.ts';
import type { Networks } from './networks.ts';
import { createPorts, type PublishedPort } from './ports.ts';
import { createStatsModel, type StatsModel } from './stats.ts';

/** One run of a health check. */
export interface HealthProbe {
  readonly start: bigint;
  readonly end: bigint;
  readonly exitCode: number;
  readonly output: string;
}

/** One side of a container in a network. */
export interface Endpoint {
  readonly network: string;
  networkId: string;
  endpointId: string;
  address: string;
  macAddress: string;
  readonly aliases: string[] | null;
}

/** A container of the simulated engine: change it through the engine only, so that events are told. */
export interface SimulatedContainer {
  readonly id: string;
  name: string;
  readonly image: string;
  readonly imageId: string;
  readonly created: bigint;
  readonly body: CreateBody;
  readonly labels: Record<string, string>;
  readonly mounts: readonly Mount[];
  readonly log: ContainerLog;
  readonly stats: StatsModel;
  readonly behaviour: Behaviour;
  state: ContainerState;
  exitCode: number;
  isOomKilled: boolean;
  error: string;
  pid: number;
  startedAt: bigint | null;
  finishedAt: bigint | null;
  health: HealthStatus;
  healthBeforePause: HealthStatus;
  healthLog: HealthProbe[];
  failingStreak: number;
  restartCount: number;
  endpoints: Endpoint[];
  ports: readonly PublishedPort[];
  /** Stopped by a person: the restart policy leaves it alone. */
  isManuallyStopped: boolean;
  /** What the list still shows, and until when. */
  stale: { readonly summary: () => ListState; readonly until: number } | null;
  /** Told when it dies or is removed. */
  readonly endings: Set<() => void>;
}

/** The part of a container that the list may show late. */
export type ListState = Pick<
  SimulatedContainer,
  'state' | 'exitCode' | 'startedAt' | 'finishedAt' | 'health' | 'ports'
>;

interface Dependencies {
  readonly events: EventLog;
  readonly flavour: Flavour;
  readonly images: Images;
  readonly networks: Networks;
  readonly staleListMs: number;
  readonly restartDelayMs: number;
  readonly logBytes: number;
}

/** The containers and what can happen to them. */
export type Containers = ReturnType<typeof createContainers>;

const NAME = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Creates an empty store of containers. */
export function createContainers(dependencies: Dependencies) {
  const { events, flavour, images, networks, staleListMs, restartDelayMs, logBytes } = dependencies;
  const byId = new Map<string, SimulatedContainer>();
  const byName = new Map<string, SimulatedContainer>();
  const ports = createPorts(flavour);
  const timers = new Set<NodeJS.Timeout>();
  let pid = 1000;

  // Finding

  /** By full id, then name, then unambiguous prefix: in Docker's own order. */
  function get(reference: string): SimulatedContainer {
    const found = byId.get(reference) ?? byName.get(reference.replace(/^\//, '')) ?? getByPrefix(reference);
    if (!found) throw noSuchContainer(reference);
    return found;
  }

  function getByPrefix(prefix: string): SimulatedContainer | undefined {
    if (!/^[0-9a-f]+$/.test(prefix)) return undefined;
    const found = [...byId.values()].filter((container) => container.id.startsWith(prefix));
    if (found.length > 1) throw new EngineError(400, `Multiple IDs found with provided prefix: ${prefix}`);
    return found[0];
  }

  function noSuchContainer(reference: string): EngineError {
    if (!flavour.isPodman) return new EngineError(404, `No such container: ${reference}`);
    const cause = 'no such container';
    return new EngineError(404, `no container with name or ID "${reference}" found: ${cause}`, cause);
  }

  // Telling

  function tell(container: SimulatedContainer, action: string, attributes: Record<string, string> = {}): void {
    events.emit({
      type: 'container',
      action,
      id: container.id,
      attributes: { ...container.labels, ...attributes, image: container.image, name: container.name },
    });
  }

  function tellNetworks(container: SimulatedContainer, action: 'connect' | 'disconnect'): void {
    if (!flavour.hasSideEvents) return;
    for (const { network, networkId } of container.endpoints) {
      const attributes = { container: container.id, name: network, type: 'bridge' };
      events.emit({ type: 'network', action, id: networkId, attributes });
    }
  }

  function tellVolumes(container: SimulatedContainer, action: 'mount' | 'unmount'): void {
    if (!flavour.hasSideEvents) return;
    for (const mount of container.mounts.filter(({ type }) => type === 'volume')) {
      const details = { destination: mount.destination, propagation: '', 'read/write': String(mount.isWritable) };
      const attributes = { container: container.id, driver: 'local', ...(action === 'mount' ? details : {}) };
      events.emit({ type: 'volume', action, id: mount.name, attributes });
    }
  }

  /** Real engines write the list's own copy after they told of a death or a pause: for a while it is late. */
  function keepListStale(container: SimulatedContainer): void {
    if (staleListMs <= 0) return;
    const { state, exitCode, startedAt, finishedAt, health, ports: shown } = container;
    const before = { state, exitCode, startedAt, finishedAt, health, ports: shown };
    container.stale = { summary: () => before, until: performance.now() + staleListMs };
  }

  // Living

  function create(name: string | null, body: CreateBody, id = randomId(), behaviour: Behaviour = {}) {
    const free = checkName(name ?? `lab_${id.slice(0, 12)}`);
    const image = images.get(body.Image ?? '');
    const container: SimulatedContainer = {
      id,
      name: free,
      image: toShownImage(body.Image ?? ''),
      imageId: image.id,
      created: nowNanos(),
      body,
      labels: { ...image.labels, ...body.Labels },
      mounts: toMounts(body),
      log: createLog(logBytes),
      stats: createStatsModel(),
      behaviour,
      state: 'created',
      exitCode: 0,
      isOomKilled: false,
      error: '',
      pid: 0,
      startedAt: null,
      finishedAt: null,
      health: 'none',
      healthBeforePause: 'none',
      healthLog: [],
      failingStreak: 0,
      restartCount: 0,
      endpoints: toEndpoints(body),
      ports: [],
      isManuallyStopped: false,
      stale: null,
      endings: new Set(),
    };
    byId.set(id, container);
    byName.set(free, container);
    tell(container, 'create');
    return container;
  }

  function toShownImage(reference: string): string {
    return flavour.isPodman && !reference.startsWith('docker.io/') ? `docker.io/${reference}` : reference;
  }

  function toEndpoints(body: CreateBody): Endpoint[] {
    const mode = body.HostConfig?.NetworkMode ?? 'default';
    const wanted = body.NetworkingConfig?.EndpointsConfig ?? {};
    const names = Object.keys(wanted).length > 0 ? Object.keys(wanted) : [mode];
    if (mode.startsWith('container:')) return [];
    return names.map((name) => {
      const network = networks.ensure(name);
      const aliases = wanted[name]?.Aliases ?? null;
      return { network: network.name, networkId: '', endpointId: '', address: '', macAddress: '', aliases };
    });
  }

  function checkName(wanted: string): string {
    if (!NAME.test(wanted)) {
      const allowed = 'only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed';
      throw new EngineError(400, `Invalid container name (${wanted}), ${allowed}`);
    }
    const name = wanted.replace(/^\//, '');
    const holder = byName.get(name);
    if (holder) throw nameConflict(name, holder);
    return name;
  }

  function nameConflict(name: string, holder: SimulatedContainer): EngineError {
    if (!flavour.isPodman) {
      const advice = 'You have to remove (or rename) that container to be able to reuse that name.';
      const text = `Conflict. The container name "/${name}" is already in use by container "${holder.id}". ${advice}`;
      return new EngineError(409, text);
    }
    const cause = 'that name is already in use';
    const text = `the container name "${name}" is already in use by ${holder.id}. You have to remove that container`;
    const prefix = 'container create: creating container storage: ';
    return new EngineError(500, `${prefix}${text} to be able to reuse that name: ${cause}`, cause);
  }

  /** Starts a container, or fails as the engine does when a port is taken or the command is missing. */
  function start(container: SimulatedContainer): void {
    if (container.state === 'running' || container.state === 'restarting') throw notModified();
    if (container.state === 'paused') {
      throw new EngineError(409, 'cannot start a paused container, try unpause instead');
    }
    container.isManuallyStopped = false;
    run(container);
  }

  function run(container: SimulatedContainer): void {
    if (container.behaviour.failsToStart) failToStart(container, 127, 400, container.behaviour.failsToStart);
    const taken = ports.firstTaken(container);
    if (taken) failToStart(container, 128, 500, ports.conflict(container, taken));
    container.ports = ports.publish(container);
    connect(container);
    const first = flavour.dieBeforeStop
      ? () => tellNetworks(container, 'connect')
      : () => tellVolumes(container, 'mount');
    const second = flavour.dieBeforeStop
      ? () => tellVolumes(container, 'mount')
      : () => tellNetworks(container, 'connect');
    first();
    second();
    if (flavour.isPodman) tell(container, 'init');
    beRunning(container);
    tell(container, 'start');
    scheduleHealth(container);
  }

  function failToStart(container: SimulatedContainer, exitCode: number, status: number, message: string): never {
    container.exitCode = exitCode;
    container.error = message;
    tellNetworks(container, 'disconnect');
    throw new EngineError(status, message);
  }

  function connect(container: SimulatedContainer): void {
    for (const endpoint of container.endpoints) {
      const network = networks.ensure(endpoint.network);
      endpoint.networkId = network.id;
      endpoint.endpointId = randomId();
      endpoint.address = network.driver === 'bridge' ? networks.nextAddress(network) : '';
      endpoint.macAddress = network.driver === 'bridge' ? toMacAddress(endpoint.endpointId) : '';
    }
  }

  function beRunning(container: SimulatedContainer): void {
    container.state = 'running';
    container.exitCode = 0;
    container.error = '';
    container.isOomKilled = false;
    container.pid = ++pid;
    container.startedAt = nowNanos();
    container.stats.restart();
    if (hasHealthcheck(container)) container.health = 'starting';
    container.failingStreak = 0;
  }

  function hasHealthcheck(container: SimulatedContainer): boolean {
    const test = container.body.Healthcheck?.Test ?? [];
    return test.length > 0 && test[0] !== 'NONE';
  }

  function scheduleHealth(container: SimulatedContainer): void {
    const { healthAfterMs, healthBecomes = 'healthy' } = container.behaviour;
    if (healthAfterMs === undefined || container.health !== 'starting') return;
    const { startedAt } = container;
    later(healthAfterMs, () => {
      if (container.startedAt === startedAt && container.state === 'running') setHealth(container, healthBecomes);
    });
  }

  /** The process ends by itself, as a test or the demo wants it. */
  function end(container: SimulatedContainer, exitCode: number): void {
    if (container.state !== 'running' && container.state !== 'paused') throw notRunning(container);
    die(container, exitCode);
  }

  /** A death: events in the engine's order, then the restart policy or `--rm`. */
  function die(container: SimulatedContainer, exitCode: number, afterEnd: () => void = () => {}): void {
    keepListStale(container);
    const executionSeconds = Math.floor(toMillis(nowNanos() - (container.startedAt ?? nowNanos())) / 1000);
    beExited(container, exitCode);
    const tellDeath = () => {
      const duration = flavour.version === '28' ? { execDuration: String(executionSeconds) } : {};
      tell(container, 'die', { ...duration, exitCode: String(exitCode) });
    };
    const tellEnd = () => {
      tellNetworks(container, 'disconnect');
      tellVolumes(container, 'unmount');
      afterEnd();
    };
    if (flavour.dieBeforeStop) tellDeath();
    tellEnd();
    if (!flavour.dieBeforeStop) tellDeath();
    if (flavour.isPodman) tell(container, 'cleanup');
    endStreams(container);
    afterDeath(container);
  }

  function beExited(container: SimulatedContainer, exitCode: number): void {
    container.state = 'exited';
    container.exitCode = exitCode;
    container.finishedAt = nowNanos();
    container.pid = 0;
    ports.release(container);
    container.ports = [];
    if (container.health !== 'none') container.health = 'unhealthy';
    for (const endpoint of container.endpoints)
      Object.assign(endpoint, { endpointId: '', address: '', macAddress: '' });
  }

  function endStreams(container: SimulatedContainer): void {
    for (const end of [...container.endings]) end();
  }

  function afterDeath(container: SimulatedContainer): void {
    if (container.body.HostConfig?.AutoRemove) remove(container);
    else if (shallRestart(container)) beRestarting(container);
  }

  function shallRestart(container: SimulatedContainer): boolean {
    const { Name = 'no', MaximumRetryCount = 0 } = container.body.HostConfig?.RestartPolicy ?? {};
    if (container.isManuallyStopped) return false;
    if (Name === 'always' || Name === 'unless-stopped') return true;
    const mayRetry = MaximumRetryCount === 0 || container.restartCount < MaximumRetryCount;
    return Name === 'on-failure' && container.exitCode !== 0 && mayRetry;
  }

  function beRestarting(container: SimulatedContainer): void {
    container.state = 'restarting';
    container.restartCount++;
    later(restartDelayMs, () => {
      if (container.state === 'restarting' && byId.has(container.id)) tryToRun(container);
    });
  }

  function tryToRun(container: SimulatedContainer): void {
    try {
      run(container);
    } catch {
      container.state = 'exited';
    }
  }

  function later(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      action();
    }, ms);
    timer.unref();
    timers.add(timer);
  }

  // What the API asks for

  /** Stops a container as `docker stop` does; resolves when it is down. */
  async function stop(container: SimulatedContainer, signal = '15'): Promise<void> {
    if (!isUp(container)) throw notModified();
    container.isManuallyStopped = true;
    if (container.state === 'restarting') return beStopped(container);
    const { stopMs = 0, stopExitCode = 0, ignoresTerm = false } = container.behaviour;
    if (flavour.hasSideEvents) tell(container, 'kill', { signal });
    if (stopMs > 0) await sleep(stopMs);
    if (!isUp(container)) return;
    if (ignoresTerm && flavour.hasSideEvents) tell(container, 'kill', { signal: '9' });
    dieOfStop(container, ignoresTerm ? 137 : stopExitCode);
  }

  function dieOfStop(container: SimulatedContainer, exitCode: number): void {
    die(container, exitCode, () => {
      if (flavour.hasSideEvents) tell(container, 'stop');
    });
  }

  /** A container that waits for its next try has no process to kill. */
  function beStopped(container: SimulatedContainer): void {
    container.state = 'exited';
    if (flavour.hasSideEvents) tell(container, 'stop');
  }

  function sleep(ms: number): Promise<void> {
    return new Promise((resolve) => later(ms, resolve));
  }

  async function restart(container: SimulatedContainer): Promise<void> {
    if (flavour.isPodman) tell(container, 'restart');
    if (isUp(container)) await stop(container);
    start(container);
    if (!flavour.isPodman) tell(container, 'restart');
  }

  function kill(container: SimulatedContainer, signal: string): void {
    const isRunning = container.state === 'running' || container.state === 'paused';
    if (!isRunning) throw cannotKill(container);
    const number = toSignalNumber(signal);
    if (flavour.hasSideEvents) tell(container, 'kill', { signal: String(number) });
    if (number !== 9 && number !== 15) return;
    container.isManuallyStopped = true;
    die(container, 128 + number);
  }

  function cannotKill(container: SimulatedContainer): EngineError {
    const { id, state } = container;
    if (flavour.isPodman) {
      const cause = 'container state improper';
      return new EngineError(409, `can only kill running containers. ${id} is in state ${state}: ${cause}`, cause);
    }
    const text = `cannot kill container: ${id}: container ${id} is not running`;
    const oldText = `Cannot kill container: ${id}: Container ${id} is not running`;
    return new EngineError(409, flavour.isOldShape ? oldText : text);
  }

  function pause(container: SimulatedContainer): void {
    if (container.state === 'paused') throw new EngineError(409, `Container ${container.id} is already paused`);
    if (container.state !== 'running') throw notRunning(container);
    keepListStale(container);
    container.state = 'paused';
    container.healthBeforePause = container.health;
    // The checks end, and real engines call that unhealthy without telling.
    if (container.health !== 'none') container.health = 'unhealthy';
    tell(container, 'pause');
  }

  function unpause(container: SimulatedContainer): void {
    if (container.state !== 'paused') throw new EngineError(500, `Container ${container.id} is not paused`);
    keepListStale(container);
    container.state = 'running';
    tell(container, 'unpause');
    if (container.healthBeforePause === 'starting') container.health = 'starting';
    else if (container.health !== 'none') setHealth(container, container.healthBeforePause);
  }

  function rename(container: SimulatedContainer, wanted: string): void {
    if (!wanted) throw new EngineError(400, 'Neither old nor new names may be empty');
    if (wanted.replace(/^\//, '') === container.name) {
      throw new EngineError(400, 'Renaming a container with the same name as its current name');
    }
    const oldName = container.name;
    const name = renamed(wanted);
    byName.delete(oldName);
    byName.set(name, container);
    container.name = name;
    tell(container, 'rename', { oldName: `/${oldName}` });
  }

  function renamed(wanted: string): string {
    try {
      return checkName(wanted);
    } catch (error) {
      if (!(error instanceof EngineError) || error.status !== 409) throw error;
      throw new EngineError(409, `Error when allocating new name: ${error.message}`);
    }
  }

  /** Removes a container; a running one only by force, which kills it first. */
  function removeByRequest(container: SimulatedContainer, force: boolean, withVolumes = false): void {
    if (isUp(container) && !force) throw cannotRemove(container);
    container.isManuallyStopped = true;
    const removesItself = isUp(container) && container.body.HostConfig?.AutoRemove === true;
    if (container.state === 'running' || container.state === 'paused') kill(container, '9');
    if (!removesItself) remove(container);
    if (withVolumes) removeAnonymousVolumes(container);
  }

  function removeAnonymousVolumes(container: SimulatedContainer): void {
    for (const { name } of container.mounts.filter((mount) => /^[0-9a-f]{64}$/.test(mount.name))) {
      events.emit({ type: 'volume', action: 'destroy', id: name, attributes: { driver: 'local' } });
    }
  }

  function cannotRemove(container: SimulatedContainer): EngineError {
    const { id, name, state } = container;
    const advice = 'before attempting removal or force remove';
    if (flavour.isOldShape) {
      const what = state === 'paused' ? 'Unpause and then stop the container' : 'Stop the container';
      return new EngineError(409, `You cannot remove a ${state} container ${id}. ${what} ${advice}`);
    }
    const why =
      state === 'paused'
        ? 'is paused and must be unpaused first'
        : 'is running: stop the container before removing or force remove';
    return new EngineError(409, `cannot remove container "/${name}": container ${why}`);
  }

  function remove(container: SimulatedContainer): void {
    byId.delete(container.id);
    byName.delete(container.name);
    ports.release(container);
    endStreams(container);
    tell(container, flavour.removeAction);
  }

  function setHealth(container: SimulatedContainer, health: HealthStatus, output = ''): void {
    const isFailing = health === 'unhealthy';
    const now = nowNanos();
    const probe = { start: now - 50_000_000n, end: now, exitCode: isFailing ? 1 : 0, output };
    container.healthLog = [...container.healthLog, probe].slice(-5);
    container.failingStreak = isFailing ? Math.max(3, container.failingStreak + 1) : 0;
    if (container.health === health) return;
    container.health = health;
    tell(container, `health_status: ${health}`);
  }

  function oom(container: SimulatedContainer): void {
    if (container.state !== 'running' && container.state !== 'paused') throw notRunning(container);
    tell(container, 'oom');
    container.isOomKilled = true;
    die(container, 137);
  }

  /** A container in the state a test or the demo describes, with the events that lead there. */
  function add(spec: ContainerSpec): SimulatedContainer {
    const body = toCreateBody(spec, flavour.defaultNetwork);
    images.ensure(body.Image ?? '');
    const container = create(spec.name, body, spec.id, spec.behaviour);
    const wanted = spec.state ?? 'running';
    if (wanted !== 'created') run(container);
    lead(container, spec, wanted);
    shiftTimes(container, spec);
    container.restartCount = spec.restartCount ?? container.restartCount;
    return container;
  }

  function lead(container: SimulatedContainer, spec: ContainerSpec, wanted: ContainerState): void {
    if (spec.health && spec.health !== 'starting' && wanted !== 'created') setHealth(container, spec.health);
    if (wanted === 'paused') pause(container);
    if (wanted === 'exited' || wanted === 'dead' || wanted === 'removing') endAsDescribed(container, spec);
    if (wanted === 'restarting') waitToRestart(container, spec.exitCode ?? 1);
    if (wanted === 'dead' || wanted === 'removing') container.state = wanted;
    container.stale = null;
  }

  function waitToRestart(container: SimulatedContainer, exitCode: number): void {
    beExited(container, exitCode);
    if (shallRestart(container)) beRestarting(container);
    else container.state = 'restarting';
  }

  function endAsDescribed(container: SimulatedContainer, spec: ContainerSpec): void {
    container.isManuallyStopped = true;
    if (spec.oomKilled) oom(container);
    else die(container, spec.exitCode ?? 0);
  }

  function shiftTimes(container: SimulatedContainer, spec: ContainerSpec): void {
    if (spec.created !== undefined) Object.assign(container, { created: toNanos(spec.created) });
    if (spec.startedAt !== undefined && container.startedAt) container.startedAt = toNanos(spec.startedAt);
    if (spec.finishedAt !== undefined && container.finishedAt) container.finishedAt = toNanos(spec.finishedAt);
  }

  /** What `kill -9` of a daemon without live-restore leaves: all exited with 137, nobody told. */
  function crash(): void {
    events.silently(() => {
      for (const container of byId.values()) {
        if (isUp(container)) crashOne(container);
      }
    });
  }

  function crashOne(container: SimulatedContainer): void {
    const policy = container.body.HostConfig?.RestartPolicy?.Name;
    beExited(container, 137);
    endStreams(container);
    if (policy === 'always' || policy === 'unless-stopped') tryToRun(container);
  }

  return {
    add,
    create,
    get,
    start,
    stop,
    restart,
    kill,
    die: end,
    oom,
    pause,
    unpause,
    rename,
    remove: removeByRequest,
    setHealth,
    crash,
    tell,
    sleep,
    all: () => byId.values(),
    has: (id: string) => byId.has(id),
    close() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

/** Has it a process, or will it have one by itself? */
export function isUp(container: Pick<SimulatedContainer, 'state'>): boolean {
  return container.state === 'running' || container.state === 'paused' || container.state === 'restarting';
}

/** 409, for what needs a running container. */
export function notRunning(container: SimulatedContainer): EngineError {
  return new EngineError(409, `container ${container.id} is not running`);
}

const SIGNALS: Record<string, number> = { HUP: 1, INT: 2, QUIT: 3, KILL: 9, USR1: 10, USR2: 12, TERM: 15 };

function toSignalNumber(signal: string): number {
  const number = Number(signal) || SIGNALS[signal.toUpperCase().replace(/^SIG/, '')];
  if (!number) throw new EngineError(400, `Invalid signal: ${signal}`);
  return number;
}

function toMacAddress(seed: string): string {
  return ['02', ...(seed.slice(0, 10).match(/../g) ?? [])].join(':');
}
