import { nowNanos, toMillis } from './clock.ts';
import { hasHealthcheck, hasProcess, type SimulatedContainer } from './container.ts';
import type { ContainerEvents } from './container-events.ts';
import type { ContainerIndex } from './container-index.ts';
import type { HealthStatus } from './container-spec.ts';
import { type Endpoints, toNetworkMode } from './endpoints.ts';
import { EngineError } from './errors.ts';
import type { Flavour } from './flavours.ts';
import { refuseLinks } from './links.ts';
import { createPorts } from './ports.ts';
import type { Volumes } from './volumes.ts';

interface Dependencies {
  readonly flavour: Flavour;
  readonly index: ContainerIndex;
  readonly events: ContainerEvents;
  readonly endpoints: Endpoints;
  readonly volumes: Volumes;
  readonly staleListMs: number;
  readonly restartDelayMs: number;
}

/** What happens inside containers: processes that start, die, are checked and come back. */
export type Processes = ReturnType<typeof createProcesses>;

/** Creates a host on which nothing runs. */
export function createProcesses(dependencies: Dependencies) {
  const { flavour, index, events, endpoints, volumes, staleListMs, restartDelayMs } = dependencies;
  const ports = createPorts(flavour);
  const timers = new Set<NodeJS.Timeout>();
  const setupPrefix = flavour.isOldShape ? '' : 'failed to set up container networking: ';
  let pid = 1000;

  /** Starts the process, or fails as the engine does when a network, an address, a port or the command is missing. */
  function run(container: SimulatedContainer): void {
    const { failsToStart, startLog } = container.behaviour;
    refuseNetworks(container);
    const down = refuseLinks(container);
    if (down) failToStart(container, 128, down);
    const taken = ports.firstTaken(container);
    if (taken) failToStart(container, 128, new EngineError(500, ports.conflict(container, taken)));
    if (failsToStart) failToStart(container, 127, new EngineError(400, failsToStart));
    container.ports = ports.publish(container);
    endpoints.open(container);
    beRunning(container);
    events.tellStart(container);
    if (startLog) container.log.write(startLog);
    scheduleHealth(container);
    scheduleEnd(container);
  }

  /** Before anything is connected: so nothing is told of it. */
  function refuseNetworks(container: SimulatedContainer): void {
    const refusal = endpoints.check(container);
    if (refusal) failAndLeave(container, 128, new EngineError(refusal.status, setupPrefix + refusal.message));
    const mode = toNetworkMode(container.body);
    if (mode.startsWith('container:')) join(container, mode.slice('container:'.length));
  }

  /** Lives in another container's network: under its name, and only while that one runs. */
  function join(container: SimulatedContainer, reference: string): void {
    const target = index.find(reference);
    if (!target) failAndLeave(container, 128, noTarget(reference));
    if (!hasProcess(target)) failAndLeave(container, 128, targetNotRunning(target));
    const { Hostname = '', Domainname = '' } = target.body;
    Object.assign(container.body, { Hostname, Domainname });
  }

  function noTarget(reference: string): EngineError {
    const text = `No such container: ${reference}`;
    if (flavour.isOldShape) return new EngineError(404, text);
    return new EngineError(500, `joining network namespace of container: ${text}`);
  }

  function targetNotRunning({ id, name, state }: SimulatedContainer): EngineError {
    const text = `cannot join network namespace of a non running container: container ${name} is ${state}`;
    return new EngineError(409, flavour.isOldShape ? `cannot join network of a non running container: ${id}` : text);
  }

  /** Old engines tell that they connected it, too. */
  function failToStart(container: SimulatedContainer, exitCode: number, error: EngineError): never {
    if (flavour.isOldShape) events.tellNetworks(container, 'connect');
    events.tellNetworks(container, 'disconnect');
    failAndLeave(container, exitCode, error);
  }

  function failAndLeave(container: SimulatedContainer, exitCode: number, error: EngineError): never {
    container.exitCode = exitCode;
    container.error = error.message;
    if (container.body.HostConfig?.AutoRemove) remove(container, true);
    throw error;
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

  function scheduleHealth(container: SimulatedContainer): void {
    const { healthAfterMs, healthBecomes = 'healthy' } = container.behaviour;
    if (healthAfterMs === undefined || container.health !== 'starting') return;
    const { startedAt } = container;
    later(healthAfterMs, () => {
      if (container.startedAt === startedAt && container.state === 'running') setHealth(container, healthBecomes);
    });
  }

  function scheduleEnd(container: SimulatedContainer): void {
    const { exitsAfterMs, exitCode = 0 } = container.behaviour;
    if (exitsAfterMs === undefined) return;
    const { startedAt } = container;
    later(exitsAfterMs, () => {
      if (container.startedAt === startedAt && container.state === 'running') die(container, exitCode);
    });
  }

  /** A death: events in the engine's order, then the restart policy or `--rm`. */
  function die(container: SimulatedContainer, exitCode: number, isStop = false): void {
    keepListStale(container);
    const lifetimeMs = toMillis(nowNanos() - (container.startedAt ?? nowNanos()));
    beExited(container, exitCode);
    events.tellDeath(container, Math.floor(lifetimeMs / 1000), isStop);
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
    endpoints.close(container);
  }

  function endStreams(container: SimulatedContainer): void {
    for (const end of [...container.endings]) end();
  }

  function afterDeath(container: SimulatedContainer): void {
    if (container.isRestartedByHand) return;
    if (container.body.HostConfig?.AutoRemove) remove(container, true);
    else if (shallRestart(container)) beRestarting(container);
  }

  /** Forgets the container; its process must be gone. */
  function remove(container: SimulatedContainer, withVolumes: boolean): void {
    index.delete(container);
    ports.release(container);
    endStreams(container);
    if (withVolumes) volumes.removeAnonymousOf(container);
    events.tell(container, flavour.removeAction);
  }

  function shallRestart(container: SimulatedContainer): boolean {
    const { Name = 'no', MaximumRetryCount = 0 } = container.body.HostConfig?.RestartPolicy ?? {};
    if (container.isManuallyStopped) return false;
    if (Name === 'always' || Name === 'unless-stopped') return true;
    const mayRetry = MaximumRetryCount === 0 || container.restartCount < MaximumRetryCount;
    return Name === 'on-failure' && container.exitCode !== 0 && mayRetry;
  }

  /** Waits for its next try. */
  function beRestarting(container: SimulatedContainer): void {
    container.state = 'restarting';
    container.restartCount++;
    later(restartDelayMs, () => {
      if (container.state === 'restarting' && index.has(container.id)) tryToRun(container);
    });
  }

  function tryToRun(container: SimulatedContainer): void {
    try {
      run(container);
    } catch {
      container.state = 'exited';
    }
  }

  /** Dies of its first try; the restart policy goes on with it, or else it stays in that state. */
  function failAndRestart(container: SimulatedContainer, exitCode: number): void {
    beExited(container, exitCode);
    if (shallRestart(container)) beRestarting(container);
    else container.state = 'restarting';
  }

  /** Gone with the daemon: nobody is told, and some come back with it. */
  function crash(container: SimulatedContainer): void {
    const policy = container.body.HostConfig?.RestartPolicy?.Name;
    beExited(container, 137);
    endStreams(container);
    if (policy === 'always' || policy === 'unless-stopped') tryToRun(container);
  }

  function later(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      action();
    }, ms);
    timer.unref();
    timers.add(timer);
  }

  /** Real engines write the list's own copy after they told of a death or a pause: for a while it is late. */
  function keepListStale(container: SimulatedContainer): void {
    if (staleListMs <= 0) return;
    const { state, exitCode, startedAt, finishedAt, health, ports: shown } = container;
    const before = { state, exitCode, startedAt, finishedAt, health, ports: shown };
    container.stale = { summary: () => before, until: performance.now() + staleListMs };
  }

  function setHealth(container: SimulatedContainer, health: HealthStatus, output = ''): void {
    const isFailing = health === 'unhealthy';
    const now = nowNanos();
    const probe = { start: now - 50_000_000n, end: now, exitCode: isFailing ? 1 : 0, output };
    container.healthLog = [...container.healthLog, probe].slice(-5);
    container.failingStreak = isFailing ? Math.max(3, container.failingStreak + 1) : 0;
    if (container.health === health) return;
    container.health = health;
    events.tell(container, `health_status: ${health}`);
  }

  return {
    run,
    die,
    remove,
    setHealth,
    failAndRestart,
    crash,
    keepListStale,
    sleep: (ms: number) => new Promise<void>((resolve) => later(ms, resolve)),
    close() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}
