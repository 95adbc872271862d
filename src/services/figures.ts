import type { EngineCpuStats, EngineStats } from './docker-types.ts';

/** A container's figures at one moment; network and block bytes are totals since it started. */
export type Figures = {
  /** When the engine read them, ms since 1970. */
  at: number;
  /** 100 is one core; null where no earlier reading tells how much was used since. */
  cpuPercent: number | null;
  memoryBytes: number;
  /** null where there is no limit. */
  memoryLimitBytes: number | null;
  networkRxBytes: number;
  networkTxBytes: number;
  blockReadBytes: number;
  blockWriteBytes: number;
  pids: number;
};

/** What passed over one of a container's interfaces since it has it. */
export type InterfaceBytes = { name: string; rxBytes: number; txBytes: number };

/**
 * What a sample says beside its figures, and is not kept: seconds of CPU since the container started, its limit of pids,
 * and its interfaces, 64 of them at most.
 */
export type Momentary = { cpuSeconds: number | null; pidsLimit: number | null; interfaces: InterfaceBytes[] };

/** A reading of the CPU counters: what the next sample is compared with. Usage and system in ns. */
export type CpuReading = { at: number; usage: number; system: number };

/** What must be known of an engine to read its figures. */
export type EngineTraits = {
  /** Podman counts only busy time as system time. */
  podman?: boolean;
  /** The machine's memory in bytes: a limit that reaches it limits nothing. */
  memoryBytes?: number | undefined;
};

const absurdLimit = 2 ** 62;
const mostInterfaces = 64;

/**
 * A sample as figures, by the docker CLI's arithmetic (cli/command/container/stats_helpers.go), so that they agree
 * with `docker stats`. The CPU is counted since `previous`, else since the sample's own `precpu_stats`, which are empty
 * in a one-shot answer. undefined for the zero answer of a stopped container.
 */
export function toFigures(
  sample: EngineStats,
  previous?: CpuReading | undefined,
  engine: EngineTraits = {},
): Figures | undefined {
  const at = toTime(sample.read);
  if (at === undefined) return undefined;
  return {
    at,
    cpuPercent: toCpuPercent(sample, previous ?? toPrecpuReading(sample), engine),
    memoryBytes: toMemoryBytes(sample.memory_stats),
    memoryLimitBytes: toMemoryLimit(sample.memory_stats?.limit, engine.memoryBytes),
    ...toNetworkBytes(sample.networks),
    ...toBlockBytes(sample.blkio_stats),
    pids: toCount(sample.pids_stats?.current),
  };
}

/** The part of a sample that only its moment shows; null where it tells none, or a limit beyond what pids can be. */
export function toMomentary(sample: EngineStats): Momentary {
  const usage = sample.cpu_stats?.cpu_usage?.total_usage;
  const limit = toCount(sample.pids_stats?.limit);
  return {
    cpuSeconds: typeof usage === 'number' ? toCount(usage) / 1e9 : null,
    pidsLimit: limit > 0 && limit < absurdLimit ? limit : null,
    interfaces: Object.entries(sample.networks ?? {})
      .slice(0, mostInterfaces)
      .map(([name, bytes]) => ({ name, rxBytes: toCount(bytes?.rx_bytes), txBytes: toCount(bytes?.tx_bytes) })),
  };
}

/** The CPU counters of a sample, to compare the next one with; undefined where it has none. */
export function toCpuReading(sample: EngineStats): CpuReading | undefined {
  return toReading(sample.read, sample.cpu_stats);
}

const toPrecpuReading = (sample: EngineStats) => toReading(sample.preread, sample.precpu_stats);

function toReading(read: string | null | undefined, cpu: EngineCpuStats | undefined): CpuReading | undefined {
  const at = toTime(read);
  const usage = cpu?.cpu_usage?.total_usage;
  const system = cpu?.system_cpu_usage;
  if (at === undefined || typeof usage !== 'number' || typeof system !== 'number') return undefined;
  return { at, usage, system };
}

/**
 * The CLI's calculateCPUPercentUnix: container time / system time × CPUs × 100. It says 0 where a counter ran
 * backwards, which is a restart and no idleness: null here.
 */
function toCpuPercent(
  sample: EngineStats,
  previous: CpuReading | undefined,
  { podman = false }: EngineTraits,
): number | null {
  const now = toCpuReading(sample);
  if (!now || !previous) return null;
  const used = now.usage - previous.usage;
  const passed = podman ? (now.at - previous.at) * 1e6 : (now.system - previous.system) / onlineCpus(sample.cpu_stats);
  return used >= 0 && passed > 0 ? (used / passed) * 100 : null;
}

/** The CLI's fallback for engines without `online_cpus`: the length of `percpu_usage`. */
function onlineCpus(cpu: EngineCpuStats | undefined): number {
  return cpu?.online_cpus || cpu?.cpu_usage?.percpu_usage?.length || 1;
}

/**
 * The CLI's calculateMemUsageUnixNoCache: without the inactive part of the page cache, which is `total_inactive_file`
 * on cgroup v1 and `inactive_file` on v2. Podman tells neither, so there it is the usage.
 */
function toMemoryBytes(memory: EngineStats['memory_stats']): number {
  const usage = toCount(memory?.usage);
  const droppable = [memory?.stats?.total_inactive_file, memory?.stats?.inactive_file];
  return usage - (droppable.find((bytes) => typeof bytes === 'number' && bytes < usage) ?? 0);
}

function toMemoryLimit(limit: number | null | undefined, machineBytes = absurdLimit): number | null {
  const bytes = toCount(limit);
  return bytes > 0 && bytes < absurdLimit && bytes < machineBytes ? bytes : null;
}

/** The CLI's calculateNetwork: the sum over all interfaces; none with the network of the host. */
function toNetworkBytes(networks: EngineStats['networks']) {
  const all = Object.values(networks ?? {});
  return {
    networkRxBytes: sum(all.map((network) => network?.rx_bytes)),
    networkTxBytes: sum(all.map((network) => network?.tx_bytes)),
  };
}

/** The CLI's calculateBlockIO: by the first letter of the operation, `Read` on cgroup v1 and `read` on v2. */
function toBlockBytes(block: EngineStats['blkio_stats']) {
  const entries = block?.io_service_bytes_recursive ?? [];
  const ofKind = (letter: string) => entries.filter(({ op }) => op?.[0]?.toLowerCase() === letter);
  return {
    blockReadBytes: sum(ofKind('r').map(({ value }) => value)),
    blockWriteBytes: sum(ofKind('w').map(({ value }) => value)),
  };
}

/** An engine's time as ms since 1970; undefined for Go's zero time, year 1, which stands for "never". */
function toTime(text: string | null | undefined): number | undefined {
  const time = Date.parse(text ?? '');
  return time > 0 ? time : undefined;
}

const toCount = (value: number | null | undefined) => (typeof value === 'number' && value > 0 ? value : 0);

const sum = (values: readonly (number | null | undefined)[]) =>
  values.reduce<number>((total, value) => total + toCount(value), 0);
