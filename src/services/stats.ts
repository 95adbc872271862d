import { type Clock, systemClock } from './clock.ts';
import type { Database } from './database.ts';
import type { EngineStats } from './docker-types.ts';
import { type CpuReading, type Figures, toCpuReading, toFigures } from './figures.ts';
import { createStatsCalls, type StatsCallsOptions } from './stats-calls.ts';
import { createStatsStore, type NamedFigures, type StatsRange } from './stats-store.ts';
import { createStatsStreams, type StatsStreamsOptions } from './stats-streams.ts';

export type { StatsHistory, StatsRange, StatsSample } from './stats-store.ts';

/** What the sampler works with. */
export type StatsOptions = {
  docker: StatsCallsOptions['docker'] & StatsStreamsOptions['docker'];
  database: Pick<Database, 'db'>;
  /** Seconds between samples; 0 switches sampling off. */
  intervalSeconds: number;
  retentionDays: number;
  /** The containers that run now. */
  running: () => readonly { id: string; name: string }[];
  /** Whether the engine is Podman, which counts CPU time in its own way. */
  isPodman?: () => boolean;
  /** The machine's memory in bytes, where it is known: a limit above it is none. */
  machineMemoryBytes?: () => number;
  clock?: Clock;
  log?: { warn: (details: object, message: string) => void };
};

/** The sampler's own figures. */
export type StatsStatus = {
  mode: 'off' | 'one-shot' | 'stream';
  /** How long a one-shot call takes, ms. */
  latencyMs: number;
  samples: number;
  /** Calls and streams that failed: containers that just went, an engine that is away. */
  failures: number;
  writeFailures: number;
};

/** One running container: what its next sample needs, and what is shown of it. */
type Tracked = {
  name: string;
  asked: number;
  reading: CpuReading | undefined;
  latest: Figures | undefined;
  recent: number[];
};

type TickListener = (ids: readonly string[]) => void;

const ringSize = 60;
const beatMs = 1_000;
const firstPruneMs = 60_000;
const hourMs = 3_600_000;
const dayMs = 86_400_000;
const slowCallMs = 250;
const maxStreams = 256;

/** The sampler of running containers and the reader of what it kept. */
export type Stats = ReturnType<typeof createStats>;

/**
 * Creates the sampler of running containers. It is idle until started; what fails on the way (a container just gone,
 * an engine away, a full disk) is counted, and the next round tries again.
 */
export function createStats(options: StatsOptions) {
  const { clock = systemClock, docker, running } = options;
  const intervalMs = options.intervalSeconds * 1_000;
  const store = createStatsStore(options.database.db, clock);
  const tracked = new Map<string, Tracked>();
  const listeners = new Set<TickListener>();
  const closing = new AbortController();
  const timers = new Map<string, () => void>();
  const counts = { samples: 0, failures: 0, writeFailures: 0 };
  let restored = new Map<string, number[]>();
  let batch: NamedFigures[] = [];
  let written = Promise.resolve();
  let pruned = Promise.resolve();
  let dueAt = 0;
  let isStreaming = false;
  let warnedAt = Number.NEGATIVE_INFINITY;

  const onFailure = () => {
    counts.failures += 1;
  };
  const calls = createStatsCalls({ docker, clock, onSample: accept, onFailure, onIdle: flush });
  const streams = createStatsStreams({ docker, clock, onFailure });

  /** One timer for each purpose; setting it again replaces it. */
  function later(purpose: string, ms: number, run: () => void): void {
    timers.get(purpose)?.();
    if (!closing.signal.aborted) timers.set(purpose, clock.after(ms, run));
  }

  /** Each second: a round when it is due; in between only those that have just started. */
  function beat(): void {
    later('beat', Math.min(beatMs, intervalMs), beat);
    track();
    if (tracked.size === 0) return;
    if (clock.now() >= dueAt - beatMs / 2) round();
    else for (const [id, container] of tracked) if (isNew(container)) ask(id, container);
  }

  function track(): void {
    const now = new Map(running().map(({ id, name }) => [id, name]));
    for (const id of tracked.keys()) if (!now.has(id)) forget(id);
    for (const [id, name] of now) {
      const known = tracked.get(id);
      if (known) known.name = name;
      else tracked.set(id, begin(id, name));
    }
  }

  function begin(id: string, name: string): Tracked {
    const recent = restored.get(id) ?? [];
    restored.delete(id);
    return { name, asked: 0, reading: undefined, latest: undefined, recent };
  }

  function round(): void {
    const now = clock.now();
    dueAt = dueAt + intervalMs > now ? dueAt + intervalMs : now + intervalMs;
    isStreaming = shouldStream();
    streams.follow(new Set(isStreaming ? tracked.keys() : []));
    if (!isStreaming) for (const [id, container] of tracked) ask(id, container);
    for (const [id, sample] of streams.take()) accept(id, sample);
    if (isStreaming) flush();
  }

  /**
   * A one-shot call costs the engine one reading an interval, a stream one a second: so one-shot, as long as all fit
   * into the interval. They always do where a call takes 8 ms (26, 28, Podman). On 20.10 it waits for the engine's own
   * tick, up to 1 s, and 8 at a time are at most 80 containers in 10 s; beyond, and at intervals of 2 s, streams come
   * in time. Beyond 256 they would take the connections of the logs, and Podman's come every 5 s only.
   */
  function shouldStream(): boolean {
    if (calls.latency() < slowCallMs || tracked.size > maxStreams || options.isPodman?.()) return false;
    return intervalMs <= 2_000 || calls.roundMs(tracked.size) > (isStreaming ? intervalMs / 2 : intervalMs);
  }

  /** The first sample has nothing to count the CPU from: a second one follows on the next beat, but no third. */
  const isNew = ({ asked, latest }: Tracked) => asked < 2 && (latest?.cpuPercent ?? null) === null;

  function ask(id: string, container: Tracked): void {
    if (calls.ask(id)) container.asked += 1;
  }

  function accept(id: string, sample: EngineStats): void {
    const container = tracked.get(id);
    if (!container) return;
    const figures = read(sample, previousReading(container));
    container.reading = figures && toCpuReading(sample);
    container.latest = figures && { ...figures, at: clock.now() };
    if (container.latest) keep(id, container, container.latest);
  }

  /** An answer of a shape that no engine is known for counts as a failed call. */
  function read(sample: EngineStats, previous: CpuReading | undefined): Figures | undefined {
    const podman = options.isPodman?.() ?? false;
    try {
      return toFigures(sample, previous, { podman, memoryBytes: options.machineMemoryBytes?.() || undefined });
    } catch {
      onFailure();
      return undefined;
    }
  }

  /** After a long pause the average since the last sample says nothing about now. */
  function previousReading({ reading, latest }: Tracked): CpuReading | undefined {
    return latest && clock.now() - latest.at <= Math.max(3 * intervalMs, 60_000) ? reading : undefined;
  }

  function keep(id: string, { name, recent }: Tracked, figures: Figures): void {
    counts.samples += 1;
    if (figures.cpuPercent !== null) recent.push(figures.cpuPercent);
    if (recent.length > ringSize) recent.shift();
    batch.push({ id, name, figures });
    // Whoever is slow is waited for a second, then the others are told and written without it.
    if (batch.length === 1) later('flush', beatMs, flush);
  }

  function flush(): void {
    if (batch.length === 0) return;
    const samples = batch;
    batch = [];
    timers.get('flush')?.();
    written = written.then(() => store.write(samples)).catch(onWriteFailure);
    if (!closing.signal.aborted) tell([...new Set(samples.map(({ id }) => id))]);
  }

  function tell(ids: readonly string[]): void {
    for (const listener of listeners) {
      try {
        listener(ids);
      } catch (error) {
        options.log?.warn({ err: error }, 'a listener for new figures failed');
      }
    }
  }

  /** A full disk fails each tick: told once an hour. */
  function onWriteFailure(error: unknown): void {
    counts.writeFailures += 1;
    if (clock.now() - warnedAt < hourMs) return;
    warnedAt = clock.now();
    options.log?.warn({ err: error }, 'figures could not be written');
  }

  function prune(): void {
    later('prune', hourMs, prune);
    pruned = store.prune(clock.now() - options.retentionDays * dayMs, closing.signal).catch(onWriteFailure);
  }

  async function begun(): Promise<void> {
    const window = Math.max(ringSize * intervalMs, 60_000);
    restored = await store.recent(clock.now() - window, ringSize).catch(() => new Map());
    later('restored', window, () => restored.clear());
    if (!closing.signal.aborted) beat();
  }

  function forget(id: string): void {
    tracked.delete(id);
    restored.delete(id);
    calls.drop(id);
    streams.drop(id);
  }

  return {
    /** Starts sampling, once the sparklines are read back from the database; with an interval of 0 only pruning. */
    start: async (): Promise<void> => {
      later('prune', firstPruneMs, prune);
      if (intervalMs > 0) await begun();
    },

    /** The newest figures of a running container. */
    latest: (id: string): Figures | undefined => tracked.get(id)?.latest,

    /** Its last 60 CPU percents at most, oldest first. */
    recent: (id: string): readonly number[] => tracked.get(id)?.recent ?? [],

    /** Calls a listener with the ids of the containers that have new figures; returns the way to stop that. */
    onTick: (listener: TickListener): (() => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    /** A container has stopped or gone: its newest figures go at once, its history stays. */
    forget,

    /** A container's figures over a range, also of one that is gone. */
    history: (id: string, range: StatsRange) => store.history(id, range, options.intervalSeconds),

    /** How the sampler itself is doing. */
    status: (): StatsStatus => ({
      mode: intervalMs === 0 ? 'off' : isStreaming ? 'stream' : 'one-shot',
      latencyMs: calls.latency(),
      ...counts,
    }),

    /** Ends every call, stream and timer, and waits until what was sampled is written. */
    close: async (): Promise<void> => {
      closing.abort();
      for (const cancel of timers.values()) cancel();
      calls.close();
      streams.close();
      flush();
      await Promise.all([written, pruned]);
    },
  };
}
