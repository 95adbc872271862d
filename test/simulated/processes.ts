import { nowNanos, toMillis } from './clock.ts';
import { hasHealthcheck, type SimulatedContainer } from './container.ts';
import type { ContainerEvents } from './container-events.ts';
import type { ContainerIndex } from './container-index.ts';
import type { HealthStatus } from './container-spec.ts';
import { EngineError } from './errors.ts';
import type { Flavour } from './flavours.ts';
import { randomId } from './ids.ts';
import type { Networks } from './networks.ts';
import { createPorts } from './ports.ts';

interface Dependencies {
  readonly flavour: Flavour;
  readonly index: ContainerIndex;
  readonly events: ContainerEvents;
  readonly networks: Networks;
  readonly staleListMs: number;
  readonly restartDelayMs: number;
}

/** What happens inside containers: processes that start, die, are checked and come back. */
export type Processes = ReturnType<typeof createProcesses>;

/** Creates a host on which nothing runs. */
export function createProcesses({ flavour, index, events, networks, staleListMs, restartDelayMs }: Dependencies) {
  const ports = createPorts(flavour);
  const timers = new Set<NodeJS.Timeout>();
  let pid = 1000;

  /** Starts the process, or fails as the engine does when a port is taken or the command is missing. */
  function run(container: SimulatedContainer): void {
    if (container.behaviour.failsToStart) failToStart(container, 127, 400, container.behaviour.failsToStart);
    const taken = ports.firstTaken(container);
    if (taken) failToStart(container, 128, 500, ports.conflict(container, taken));
    container.ports = ports.publish(container);
    connect(container);
    beRunning(container);
    events.tellStart(container);
    scheduleHealth(container);
  }

  function failToStart(container: SimulatedContainer, exitCode: number, status: number, message: string): never {
    container.exitCode = exitCode;
    container.error = message;
    events.tellNetworks(container, 'disconnect');
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

  function scheduleHealth(container: SimulatedContainer): void {
    const { healthAfterMs, healthBecomes = 'healthy' } = container.behaviour;
    if (healthAfterMs === undefined || container.health !== 'starting') return;
    const { startedAt } = container;
    later(healthAfterMs, () => {
      if (container.startedAt === startedAt && container.state === 'running') setHealth(container, healthBecomes);
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
    for (const endpoint of container.endpoints)
      Object.assign(endpoint, { endpointId: '', address: '', macAddress: '' });
  }

  function endStreams(container: SimulatedContainer): void {
    for (const end of [...container.endings]) end();
  }

  function afterDeath(container: SimulatedContainer): void {
    if (container.isRestartedByHand) return;
    if (container.body.HostConfig?.AutoRemove) remove(container);
    else if (shallRestart(container)) beRestarting(container);
  }

  /** Forgets the container; its process must be gone. */
  function remove(container: SimulatedContainer): void {
    index.delete(container);
    ports.release(container);
    endStreams(container);
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

function toMacAddress(seed: string): string {
  return ['02', ...(seed.slice(0, 10).match(/../g) ?? [])].join(':');
}
