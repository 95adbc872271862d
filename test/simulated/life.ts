import { toMillis, toNanos } from './clock.ts';
import type { SimulatedContainer, SimulatedEngine, Usage } from './engine.ts';
import { repositoryOf } from './ids.ts';
import {
  cache,
  database,
  job,
  jsonService,
  metrics,
  terminal,
  transcoder,
  type Voice,
  webServer,
  worker,
} from './voices.ts';

/** How the containers of one image pass their time. */
interface Habit {
  readonly voice: Voice;
  /** The mean time between two utterances. */
  readonly everyMs: number;
  readonly usage: (elapsedMs: number) => Usage;
  /** What may happen to it, looked at each beat. */
  readonly fate?: (engine: SimulatedEngine, container: SimulatedContainer, uptimeMs: number) => void;
}

const BEAT_MS = 250;
const MIB = 1024 ** 2;
const HEALTHY_AFTER_MS = 3000;
const HEALTH_INTERVAL_MS = 10_000;
const PAST_LINES = 150;

const habits: Record<string, Habit> = {
  nginx: { voice: webServer, everyMs: 700, usage: waves({ cpu: 2, memory: 12 * MIB, traffic: 60_000 }) },
  postgres: {
    voice: database,
    everyMs: 4000,
    usage: waves({ cpu: 14, memory: 420 * MIB, cache: 240 * MIB, traffic: 20_000, disk: 90_000 }),
  },
  redis: { voice: cache, everyMs: 6000, usage: waves({ cpu: 3, memory: 38 * MIB, traffic: 30_000, disk: 5000 }) },
  'acme/shop-api': {
    voice: jsonService,
    everyMs: 900,
    usage: waves({ cpu: 35, memory: 210 * MIB, traffic: 90_000 }),
    fate: serviceFate,
  },
  'acme/shop-worker': {
    voice: worker,
    everyMs: 500,
    usage: waves({ cpu: 60, memory: 150 * MIB, traffic: 9000 }),
    fate: workerFate,
  },
  'prom/prometheus': {
    voice: metrics,
    everyMs: 3000,
    usage: waves({ cpu: 8, memory: 310 * MIB, cache: 120 * MIB, traffic: 15_000, disk: 60_000 }),
  },
  'grafana/grafana': {
    voice: metrics,
    everyMs: 5000,
    usage: waves({ cpu: 1.5, memory: 160 * MIB, traffic: 4000 }),
    fate: wavering,
  },
  'acme/transcoder': { voice: transcoder, everyMs: 400, usage: leak, fate: runOutOfMemory },
  busybox: { voice: terminal, everyMs: 9000, usage: waves({ cpu: 0.1, memory: 2 * MIB }) },
  debian: { voice: job, everyMs: 600, usage: waves({ cpu: 90, memory: 60 * MIB, disk: 4_000_000 }), fate: finishJob },
};

interface Levels {
  readonly cpu: number;
  readonly memory: number;
  readonly cache?: number;
  /** Bytes a second. */
  readonly traffic?: number;
  readonly disk?: number;
}

/** A level with two slow waves and some noise; what is counted in total only grows. */
function waves({ cpu, memory, cache: cached = 0, traffic = 0, disk = 0 }: Levels): (elapsedMs: number) => Usage {
  const phase = cpu * 1000;
  return (elapsedMs) => {
    const swing = Math.sin((elapsedMs + phase) / 40_000) * 0.5 + Math.sin((elapsedMs + phase) / 7000) * 0.2;
    const seconds = elapsedMs / 1000 + 3600;
    return {
      cpuPercent: Math.max(0, cpu * (1 + swing + (Math.random() - 0.5) * 0.3)),
      memoryBytes: Math.round(memory * (1 + swing * 0.1) + cached),
      memoryCacheBytes: cached,
      networkRxBytes: traffic * seconds,
      networkTxBytes: traffic * seconds * 1.7,
      blockReadBytes: disk * seconds * 0.3,
      blockWriteBytes: disk * seconds,
      pids: 3 + Math.round(cpu / 10),
    };
  };
}

function leak(elapsedMs: number): Usage {
  return { cpuPercent: 180 + Math.random() * 40, memoryBytes: Math.min(255, 40 + elapsedMs / 150) * MIB, pids: 9 };
}

/** One image, three programs: one never gets far, one has an end, one serves. */
function serviceFate(engine: SimulatedEngine, container: SimulatedContainer, uptimeMs: number): void {
  const script = container.body.Cmd?.at(-1);
  if (script === 'webhook.js') endAfter(3000, 1);
  else if (script === 'migrate.js') endAfter(6000, 0);
  else wavering(engine, container);

  function endAfter(lifetimeMs: number, exitCode: number): void {
    if (uptimeMs > lifetimeMs) engine.die(container.id, exitCode);
  }
}

function workerFate(engine: SimulatedEngine, { id }: SimulatedContainer, uptimeMs: number): void {
  if (uptimeMs > 20_000 && happens(120_000)) engine.die(id, 1);
}

/** Its health comes and goes. */
function wavering(engine: SimulatedEngine, { id, health }: SimulatedContainer): void {
  if (health === 'healthy' && happens(90_000)) engine.health(id, 'unhealthy', 'connection refused');
  if (health === 'unhealthy' && happens(25_000)) engine.health(id, 'healthy', 'ok');
}

function runOutOfMemory(engine: SimulatedEngine, { id }: SimulatedContainer, uptimeMs: number): void {
  if (uptimeMs > 34_000) engine.oom(id);
}

function finishJob(engine: SimulatedEngine, { id }: SimulatedContainer, uptimeMs: number): void {
  if (uptimeMs > 20_000) engine.die(id, 0);
}

/** Once in that time, on average. */
function happens(everyMs: number): boolean {
  return Math.random() < BEAT_MS / everyMs;
}

function habitOf(container: SimulatedContainer): Habit | undefined {
  return habits[repositoryOf(container.image)];
}

/** Fills the logs with what was said before the demo began. */
export function rememberPast(engine: SimulatedEngine): void {
  for (const container of engine.containers()) {
    const { startedAt, finishedAt } = container;
    const habit = habitOf(container);
    if (startedAt && habit)
      fillLog(engine, container, habit, toMillis(startedAt), toMillis(finishedAt ?? toNanos(Date.now())));
  }
}

function fillLog(
  engine: SimulatedEngine,
  { id }: SimulatedContainer,
  { voice, everyMs }: Habit,
  from: number,
  to: number,
): void {
  const count = Math.min(PAST_LINES, Math.floor((to - from) / everyMs));
  for (let n = count; n > 0; n--) {
    const at = new Date(to - n * everyMs * (0.9 + Math.random() * 0.1));
    const { text, stream = 'stdout' } = voice(at);
    engine.writeLog(id, text, { stream, at: toNanos(at) + BigInt(Math.floor(Math.random() * 1e6)) });
  }
}

/** Lets time pass until the process ends; also for containers that come later. */
export function liveOn(engine: SimulatedEngine): void {
  const known = new WeakSet<SimulatedContainer>();
  setInterval(() => {
    for (const container of engine.containers()) {
      if (!known.has(container))
        engine.setStats(container.id, habitOf(container)?.usage ?? waves({ cpu: 1, memory: 8 * MIB }));
      known.add(container);
      if (container.state === 'running') live(engine, container);
    }
  }, BEAT_MS).unref();
}

function live(engine: SimulatedEngine, container: SimulatedContainer): void {
  const uptimeMs = Date.now() - toMillis(container.startedAt ?? 0n);
  const habit = habitOf(container);
  if (habit && happens(habit.everyMs)) {
    const { text, stream = 'stdout' } = habit.voice(new Date());
    engine.writeLog(container.id, text, { stream });
  }
  checkHealth(engine, container, uptimeMs);
  habit?.fate?.(engine, container, uptimeMs);
}

/** Real checks are told as three events each time: a client has to look past them. */
function checkHealth(engine: SimulatedEngine, container: SimulatedContainer, uptimeMs: number): void {
  if (container.health === 'none') return;
  if (container.health === 'starting' && uptimeMs > HEALTHY_AFTER_MS) engine.health(container.id, 'healthy', 'ok');
  if (!happens(HEALTH_INTERVAL_MS)) return;
  const attributes = { ...container.labels, image: container.image, name: container.name };
  const command = (container.body.Healthcheck?.Test ?? []).slice(1).join(' ');
  for (const action of [`exec_create: ${command}`, `exec_start: ${command}`, 'exec_die']) {
    engine.emit({ type: 'container', action, id: container.id, attributes });
  }
}
