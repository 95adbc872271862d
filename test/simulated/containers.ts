import { toNanos } from './clock.ts';
import { hasProcess, isUp, notRunning, type SimulatedContainer } from './container.ts';
import { createContainerCreation } from './container-creation.ts';
import { createContainerEvents } from './container-events.ts';
import { createContainerIndex } from './container-index.ts';
import type { ContainerSpec, ContainerState } from './container-spec.ts';
import { toCreateBody, toNetworkNames } from './create-body.ts';
import { createEndpoints } from './endpoints.ts';
import { EngineError, notModified } from './errors.ts';
import type { EventLog } from './events.ts';
import type { Flavour } from './flavours.ts';
import type { Images } from './images.ts';
import type { Networks } from './networks.ts';
import { createProcesses } from './processes.ts';
import type { Volumes } from './volumes.ts';

interface Dependencies {
  readonly events: EventLog;
  readonly flavour: Flavour;
  readonly images: Images;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly hostName: string;
  readonly staleListMs: number;
  readonly restartDelayMs: number;
  readonly logBytes: number;
}

/** The containers and what can be asked of them. */
export type Containers = ReturnType<typeof createContainers>;

/** Creates an engine's containers: none yet. */
export function createContainers(dependencies: Dependencies) {
  const { events, flavour, images, networks } = dependencies;
  const index = createContainerIndex(flavour);
  const told = createContainerEvents(events, flavour);
  const endpoints = createEndpoints(networks, flavour);
  const create = createContainerCreation({ ...dependencies, index, endpoints, events: told });
  const processes = createProcesses({ ...dependencies, index, endpoints, events: told });

  /** Starts a container, or fails as the engine does when a port is taken or the command is missing. */
  function start(container: SimulatedContainer): void {
    if (container.state === 'running' || container.state === 'restarting') throw notModified();
    if (container.state === 'paused') {
      throw new EngineError(409, 'cannot start a paused container, try unpause instead');
    }
    container.isManuallyStopped = false;
    processes.run(container);
  }

  /** Stops a container as `docker stop` does; resolves when it is down. */
  async function stop(container: SimulatedContainer, signal = '15'): Promise<void> {
    if (!isUp(container)) throw notModified();
    container.isManuallyStopped = true;
    if (container.state === 'restarting') return beStopped(container);
    const { stopMs = 0, stopExitCode = 0, ignoresTerm = false } = container.behaviour;
    told.tellSignal(container, signal);
    if (container.state === 'paused') beResumed(container);
    if (stopMs > 0) await processes.sleep(stopMs);
    if (!isUp(container)) return;
    if (ignoresTerm) told.tellSignal(container, '9');
    processes.die(container, ignoresTerm ? 137 : stopExitCode, true);
  }

  /** A signal reaches a frozen process only when it goes on. */
  function beResumed(container: SimulatedContainer): void {
    container.state = 'running';
    if (flavour.hasSideEvents) told.tell(container, 'unpause');
  }

  /** A container that waits for its next try has no process to kill. */
  function beStopped(container: SimulatedContainer): void {
    container.state = 'exited';
    told.tellStop(container);
  }

  async function restart(container: SimulatedContainer): Promise<void> {
    told.tellRestart(container, false);
    container.isRestartedByHand = true;
    if (isUp(container)) await stop(container);
    container.isRestartedByHand = false;
    start(container);
    told.tellRestart(container, true);
  }

  function kill(container: SimulatedContainer, signal: string): void {
    if (!hasProcess(container)) throw cannotKill(container);
    const number = toSignalNumber(signal);
    told.tellSignal(container, String(number));
    if (number !== 9 && number !== 15) return;
    container.isManuallyStopped = true;
    processes.die(container, 128 + number);
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
    processes.keepListStale(container);
    container.state = 'paused';
    container.healthBeforePause = container.health;
    // The checks end, and real engines call that unhealthy without telling.
    if (container.health !== 'none') container.health = 'unhealthy';
    told.tell(container, 'pause');
  }

  function unpause(container: SimulatedContainer): void {
    if (container.state !== 'paused') throw new EngineError(500, `Container ${container.id} is not paused`);
    processes.keepListStale(container);
    container.state = 'running';
    told.tell(container, 'unpause');
    if (container.healthBeforePause === 'starting') container.health = 'starting';
    else if (container.health !== 'none') processes.setHealth(container, container.healthBeforePause);
  }

  function rename(container: SimulatedContainer, wanted: string): void {
    if (!wanted) throw new EngineError(400, 'Neither old nor new names may be empty');
    if (wanted.replace(/^\//, '') === container.name) {
      throw new EngineError(400, 'Renaming a container with the same name as its current name');
    }
    const oldName = container.name;
    const name = renamed(wanted);
    index.rename(container, name);
    endpoints.renew(container);
    told.tell(container, 'rename', { oldName: `/${oldName}` });
  }

  function renamed(wanted: string): string {
    try {
      return index.checkName(`/${wanted.replace(/^\//, '')}`);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw new EngineError(error.status, `Error when allocating new name: ${error.message}`);
    }
  }

  /** Removes a container; a running one only by force, which kills it first. */
  function remove(container: SimulatedContainer, force: boolean, withVolumes = false): void {
    if (isUp(container) && !force) throw cannotRemove(container);
    container.isManuallyStopped = true;
    const removesItself = isUp(container) && container.body.HostConfig?.AutoRemove === true;
    if (hasProcess(container)) kill(container, '9');
    if (!removesItself) processes.remove(container, withVolumes);
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

  /** The process ends by itself, as a test or the demo wants it. */
  function die(container: SimulatedContainer, exitCode: number): void {
    if (!hasProcess(container)) throw notRunning(container);
    processes.die(container, exitCode);
  }

  function oom(container: SimulatedContainer): void {
    if (!hasProcess(container)) throw notRunning(container);
    told.tell(container, 'oom');
    container.isOomKilled = true;
    processes.die(container, 137);
  }

  /** A container in the state a test or the demo describes, with the events that lead there. */
  function add(spec: ContainerSpec): SimulatedContainer {
    const body = toCreateBody(spec, flavour.defaultNetwork);
    images.ensure(body.Image ?? '');
    for (const name of toNetworkNames(spec)) networks.ensure(name);
    const container = create(spec.name, body, { id: spec.id, behaviour: spec.behaviour ?? {} });
    for (const name of toNetworkNames(spec).slice(1)) endpoints.connect(container, name, spec.endpoints?.[name] ?? {});
    const wanted = spec.state ?? 'running';
    if (wanted !== 'created') processes.run(container);
    lead(container, spec, wanted);
    shiftTimes(container, spec);
    container.restartCount = spec.restartCount ?? container.restartCount;
    return container;
  }

  function lead(container: SimulatedContainer, spec: ContainerSpec, wanted: ContainerState): void {
    if (spec.health && spec.health !== 'starting' && wanted !== 'created') processes.setHealth(container, spec.health);
    if (wanted === 'paused') pause(container);
    if (wanted === 'exited' || wanted === 'dead' || wanted === 'removing') endAsDescribed(container, spec);
    if (wanted === 'restarting') processes.failAndRestart(container, spec.exitCode ?? 1);
    if (wanted === 'dead' || wanted === 'removing') container.state = wanted;
    container.stale = null;
  }

  function endAsDescribed(container: SimulatedContainer, spec: ContainerSpec): void {
    container.isManuallyStopped = true;
    if (spec.oomKilled) oom(container);
    else processes.die(container, spec.exitCode ?? 0);
  }

  function shiftTimes(container: SimulatedContainer, spec: ContainerSpec): void {
    if (spec.created !== undefined) Object.assign(container, { created: toNanos(spec.created) });
    if (spec.startedAt !== undefined && container.startedAt) container.startedAt = toNanos(spec.startedAt);
    if (spec.finishedAt !== undefined && container.finishedAt) container.finishedAt = toNanos(spec.finishedAt);
  }

  /** What `kill -9` of a daemon without live-restore leaves: all exited with 137, nobody told. */
  function crash(): void {
    events.silently(() => {
      for (const container of [...index.all()].filter(isUp)) processes.crash(container);
    });
  }

  return {
    add,
    create,
    endpoints,
    get: index.get,
    all: index.all,
    has: index.has,
    start,
    stop,
    restart,
    kill,
    die,
    oom,
    pause,
    unpause,
    rename,
    remove,
    setHealth: processes.setHealth,
    crash,
    tell: told.tell,
    sleep: processes.sleep,
    close: processes.close,
  };
}

const SIGNALS: Record<string, number> = { HUP: 1, INT: 2, QUIT: 3, KILL: 9, USR1: 10, USR2: 12, TERM: 15 };

function toSignalNumber(signal: string): number {
  const number = Number(signal) || SIGNALS[signal.toUpperCase().replace(/^SIG/, '')];
  if (!number) throw new EngineError(400, `Invalid signal: ${signal}`);
  return number;
}
