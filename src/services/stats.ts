import { type Clock, systemClock } from './clock.ts';
import type { Database } from './database.ts';
import type { EngineStats } from './docker-types.ts';
import { type CpuReading, type Figures, type Momentary, toCpuReading, toFigures, toMomentary } from './figures.ts';
import { createStatsCalls, type StatsCallsOptions } from './stats-calls.ts';
import { createStatsKeeper } from './stats-keeper.ts';
import { createStatsStore, type NamedFigures } from './stats-store.ts';
import { createStatsStreams, type StatsStreamsOptions } from './stats-streams.ts';
import { createStatsSums } from './stats-sums.ts';
import { type Rates, toRates } from './stats-totals.ts';
import { createTrends, remember, type Trend, type Trends } from './stats-trends.ts';
import type { StatsRange, StatsSpan } from './stats-windows.ts';

export type { StatsSample } from './stats-steps.ts';
export type { StatsHistory } from './stats-store.ts';

/** What the sampler works with. */
export type StatsOptions = {
  docker: StatsCallsOptions['docker'] & StatsStreamsOptions['docker'];
  database: Pick<Database, 'db'>;
  /** Seconds between samples; 0 switches sampling off. */
  intervalSeconds: number;
  retentionDays: number;
  /** The containers that run now; `project` is absent or null for standalone ones. */
  running: () => readonly { id: string; name: string; project?: string | null }[];
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
  /** By how much the figures that are overdue most are older than the interval, ms; 0 where none are. */
  lagMs: number;
  samples: number;
  /** Calls and streams that failed: containers that just went, an engine that is away. */
  failures: number;
  writeFailures: number;
};

/** One running container: what its next sample needs, and what is shown of it. */
type Tracked = {
  name: string;
  project: string | null;
  /** When it was first seen to run, ms since 1970. */
  since: number;
  asked: number;
  reading: CpuReading | undefined;
  latest: (Figures & Momentary) | undefined;
  rates: Rates | undefined;
  recent: number[];
  trends: Trends;
};

type TickListener = (ids: readonly string[]) => void;

const ringSize = 60;
const beatMs = 1_000;
const hourMs = 3_600_000;
const slowCallMs = 250;
const maxStreams = 256;

/** A longer time without a sample is no part of what was sampled; three intervals, a minute at least. */
export const maxGapMs = (intervalSeconds: number): number => Math.max(3_000 * intervalSeconds, 60_000);

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
  const keeper = createStatsKeeper({ store, clock, retentionDays: options.retentionDays, log: options.log });
  const machineMemoryBytes = () => options.machineMemoryBytes?.() || null;
  const sums = createStatsSums({ clock, intervalMs, machineMemoryBytes });
  const tracked = new Map<string, Tracked>();
  const listeners = new Set<TickListener>();
  const closing = new AbortController();
  const timers = new Map<string, () => void>();
  const counts = { samples: 0, failures: 0 };
  let restored = new Map<string, number[]>();
  let batch: NamedFigures[] = [];
  let dueAt = 0;
  let isStreaming = false;

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
    // A clock that was set back would let the next round wait for as long.
    if (dueAt - clock.now() > intervalMs) dueAt = clock.now();
    if (clock.now() >= dueAt - beatMs / 2) round();
    else for (const [id, container] of tracked) if (isNew(container)) ask(id, container);
  }

  function track(): void {
    const now = new Map(running().map((container) => [container.id, container]));
    for (const id of tracked.keys()) if (!now.has(id)) forget(id);
    for (const [id, { name, project = null }] of now) {
      const known = tracked.get(id);
      if (known) known.name = name;
      else tracked.set(id, begin(id, name, project));
    }
  }

  function begin(id: string, name: string, project: string | null): Tracked {
    const recent = restored.get(id) ?? [];
    restored.delete(id);
    const nothing = { asked: 0, reading: undefined, latest: undefined, rates: undefined };
    return { name, project, since: clock.now(), ...nothing, recent, trends: createTrends(ringSize) };
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
    if (figures) count(container, figures);
    container.latest = figures && { ...figures, ...toMomentary(sample), at: clock.now() };
    if (container.latest) keep(id, container, container.latest);
  }

  /** What passed since the sample before; its rates only where that is not long ago. */
  function count(container: Tracked, figures: Figures): void {
    const { latest, project } = container;
    sums.count(project, latest, figures);
    container.rates = latest && isFresh(latest.at) ? toRates(latest, { ...figures, at: clock.now() }) : undefined;
  }

  /** An answer of a shape that no engine is known for counts as a failed call. */
  function read(sample: EngineStats, previous: CpuReading | undefined): Figures | undefined {
    const podman = options.isPodman?.() ?? false;
    try {
      return toFigures(sample, previous, { podman, memoryBytes: machineMemoryBytes() ?? undefined });
    } catch {
      onFailure();
      return undefined;
    }
  }

  /** After a long pause the average since the last sample says nothing about now. */
  function previousReading({ reading, latest }: Tracked): CpuReading | undefined {
    return latest && isFresh(latest.at) ? reading : undefined;
  }

  const isFresh = (at: number) => clock.now() - at <= maxGapMs(options.intervalSeconds);

  function keep(id: string, { name, rates, recent, trends }: Tracked, figures: Figures): void {
    counts.samples += 1;
    remember(recent, figures.cpuPercent, ringSize);
    trends.add(figures, rates);
    batch.push({ id, name, figures });
    // Whoever is slow is waited for a second, then the others are told and written without it.
    if (batch.length === 1) later('flush', beatMs, flush);
  }

  function flush(): void {
    if (batch.length === 0) return;
    const samples = [...batch, ...sums.take([...tracked.values()].map(toCounted))];
    batch = [];
    timers.get('flush')?.();
    keeper.write(samples);
    if (!closing.signal.aborted) tell([...new Set(samples.map(({ id }) => id))]);
  }

  const toCounted = ({ project, latest }: Tracked) => ({
    project,
    figures: latest && isFresh(latest.at) ? latest : undefined,
  });

  function tell(ids: readonly string[]): void {
    for (const listener of listeners) {
      try {
        listener(ids);
      } catch (error) {
        options.log?.warn({ err: error }, 'a listener for new figures failed');
      }
    }
  }

  async function begun(): Promise<void> {
    const window = Math.max(ringSize * intervalMs, 60_000);
    restored = await store.recent(clock.now() - window, ringSize).catch(() => new Map());
    sums.restore(await store.lastSums(clock.now() - hourMs).catch(() => new Map()));
    later('restored', window, () => restored.clear());
    if (!closing.signal.aborted) beat();
  }

  /** Of all that run the one that has waited longest for its next figures. */
  function lag(): number {
    const now = clock.now();
    const ages = [...tracked.values()].map(({ latest, since }) => now - (latest?.at ?? since));
    return Math.max(0, ...ages.map((age) => age - intervalMs));
  }

  function forget(id: string): void {
    tracked.delete(id);
    restored.delete(id);
    calls.drop(id);
    streams.drop(id);
  }

  return {
    /** Starts sampling, once the sparklines are read back from the database; with an interval of 0 it only tidies up. */
    start: async (): Promise<void> => {
      keeper.start();
      if (intervalMs > 0) await begun();
    },

    /** The newest figures of a running container. */
    latest: (id: string): (Figures & Momentary) | undefined => tracked.get(id)?.latest,

    /** Its last 60 CPU percents at most, oldest first. */
    recent: (id: string): readonly number[] => tracked.get(id)?.recent ?? [],

    /** What passes over its network and block devices, bytes a second; undefined before its second sample. */
    rates: (id: string): Rates | undefined => tracked.get(id)?.rates,

    /** Its last 60 values at most of something else than the CPU, oldest first. */
    trend: (id: string, trend: Trend): readonly number[] => tracked.get(id)?.trends.values[trend] ?? [],

    /** Calls a listener with the ids of the containers, and the series of the sums, that have new figures; returns the way to stop that. */
    onTick: (listener: TickListener): (() => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    /** A container has stopped or gone: its newest figures go at once, its history stays. */
    forget,

    /** The figures of a container, also of one that is gone, or of a sum, over a range up to now or a span. */
    history: (id: string, wanted: StatsRange | StatsSpan) => store.history(id, wanted, options.intervalSeconds),

    /** Whether figures of a container or a sum are kept. */
    keeps: store.keeps,

    /** How the sampler itself is doing. */
    status: (): StatsStatus => ({
      mode: intervalMs === 0 ? 'off' : isStreaming ? 'stream' : 'one-shot',
      latencyMs: calls.latency(),
      lagMs: lag(),
      ...counts,
      writeFailures: keeper.failures(),
    }),

    /** Ends every call, stream and timer, and waits until what was sampled is written. */
    close: async (): Promise<void> => {
      closing.abort();
      for (const cancel of timers.values()) cancel();
      calls.close();
      streams.close();
      flush();
      await keeper.close();
    },
  };
}
