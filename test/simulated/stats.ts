import { nowNanos, toMillis, toRfc3339, ZERO_TIME } from './clock.ts';
import type { SimulatedContainer } from './container.ts';
import type { Flavour } from './flavours.ts';

/** What a container uses; network and block figures are totals since it started. */
export interface Usage {
  /** 100 is one core. */
  readonly cpuPercent?: number;
  readonly memoryBytes?: number;
  /** The part of it that the kernel could drop: engines count it in, clients take it out. */
  readonly memoryCacheBytes?: number;
  readonly networkRxBytes?: number;
  readonly networkTxBytes?: number;
  readonly blockReadBytes?: number;
  readonly blockWriteBytes?: number;
  readonly pids?: number;
  /** Laid over the finished document, to break it on purpose: `{ memory_stats: {} }`. */
  readonly raw?: Readonly<Record<string, unknown>>;
}

/** Usage as a constant, or over the milliseconds since the start. */
export type UsageSource = Usage | ((elapsedMs: number) => Usage);

/** What a container has used so far. */
export type StatsModel = ReturnType<typeof createStatsModel>;

/** One reading of the counters. */
export interface Sample {
  readonly at: bigint;
  readonly cpuNanos: number;
  readonly systemNanos: number;
  readonly usage: Usage;
}

export interface StatsHost {
  readonly flavour: Flavour;
  readonly cgroup: 1 | 2;
  readonly cpus: number;
  readonly memoryBytes: number;
}

const BOOT_NANOS = nowNanos() - 3_000_000_000_000n;

/** Creates counters at zero. */
export function createStatsModel() {
  let source: UsageSource = { cpuPercent: 0, memoryBytes: 1_048_576, pids: 1 };
  let startedAt = nowNanos();
  let lastAt = startedAt;
  let cpuNanos = 0;

  function usageAt(at: bigint): Usage {
    return typeof source === 'function' ? source(toMillis(at - startedAt)) : source;
  }

  return {
    set(wanted: UsageSource) {
      count();
      source = wanted;
    },
    restart() {
      startedAt = nowNanos();
      lastAt = startedAt;
      cpuNanos = 0;
    },
    sample,
  };

  /** Adds the processor time since the last reading. */
  function count(): { at: bigint; usage: Usage } {
    const at = nowNanos();
    const usage = usageAt(at);
    cpuNanos += Math.round((Number(at - lastAt) * (usage.cpuPercent ?? 0)) / 100);
    lastAt = at;
    return { at, usage };
  }

  function sample(cpus: number): Sample {
    const { at, usage } = count();
    return { at, cpuNanos, systemNanos: Number(at - BOOT_NANOS) * cpus, usage };
  }
}

/** The document that `GET /containers/:id/stats` answers with; `previous` is missing in one-shot. */
export function toStatsDocument(
  container: SimulatedContainer,
  host: StatsHost,
  sample: Sample,
  previous: Sample | null,
  isOneShot: boolean,
): Record<string, unknown> {
  const { flavour } = host;
  const isAnonymous = isOneShot && flavour.version === '28';
  return {
    ...(isAnonymous ? {} : toIdentity(container, flavour)),
    read: toRfc3339(sample.at),
    preread: previous ? toRfc3339(previous.at) : ZERO_TIME,
    pids_stats: toPids(container, flavour, sample.usage),
    blkio_stats: toBlockStats(sample.usage, host),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: toCpuStats(sample, host),
    precpu_stats: previous ? toCpuStats(previous, host) : emptyCpu(),
    memory_stats: toMemoryStats(container, host, sample.usage),
    networks: toNetworkStats(container, sample.usage),
    ...sample.usage.raw,
  };
}

function toIdentity({ id, name }: SimulatedContainer, flavour: Flavour): Record<string, string> {
  return { name: flavour.isPodman ? name : `/${name}`, id };
}

/** What engines say for none: the largest number of 64 bits. */
const NO_PIDS_LIMIT = 2 ** 64;

function toPids(container: SimulatedContainer, flavour: Flavour, usage: Usage): Record<string, number> {
  const limit = container.body.HostConfig?.PidsLimit;
  const current = usage.pids ?? 1;
  return flavour.isPodman ? { current } : { current, limit: limit && limit > 0 ? limit : NO_PIDS_LIMIT };
}

function toCpuStats({ cpuNanos, systemNanos }: Sample, host: StatsHost): Record<string, unknown> {
  const share = Math.floor(cpuNanos / host.cpus);
  const perCpu = { percpu_usage: Array.from({ length: host.cpus }, () => share) };
  return {
    cpu_usage: {
      total_usage: cpuNanos,
      ...(host.cgroup === 1 ? perCpu : {}),
      usage_in_kernelmode: Math.floor(cpuNanos / 3),
      usage_in_usermode: Math.ceil((cpuNanos * 2) / 3),
    },
    // Podman counts the busy time only: a client that takes it for all of it shows too much.
    system_cpu_usage: host.flavour.isPodman ? Math.floor(systemNanos / 5) + cpuNanos : systemNanos,
    online_cpus: host.cpus,
    throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
  };
}

function emptyCpu(): Record<string, unknown> {
  return {
    cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
    throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
  };
}

function toMemoryStats(container: SimulatedContainer, host: StatsHost, usage: Usage): Record<string, unknown> {
  const limit = container.body.HostConfig?.Memory || host.memoryBytes;
  const memory = usage.memoryBytes ?? 0;
  const cache = usage.memoryCacheBytes ?? 0;
  if (host.flavour.isPodman) return { usage: memory, limit };
  if (host.cgroup === 2) return { usage: memory, stats: memoryStatsV2(memory, cache), limit };
  return { usage: memory, max_usage: Math.round(memory * 1.2), stats: memoryStatsV1(memory, cache, limit), limit };
}

const MEMORY_V1 =
  'active_anon active_file cache dirty inactive_anon inactive_file mapped_file pgfault pgmajfault pgpgin pgpgout rss rss_huge unevictable writeback';

const MEMORY_V2 =
  'active_anon active_file anon anon_thp file file_dirty file_mapped file_writeback inactive_anon inactive_file kernel_stack pgactivate pgdeactivate pgfault pglazyfree pglazyfreed pgmajfault pgrefill pgscan pgsteal shmem slab slab_reclaimable slab_unreclaimable sock thp_collapse_alloc thp_fault_alloc unevictable workingset_activate workingset_nodereclaim workingset_refault';

function memoryStatsV1(memory: number, cache: number, limit: number): Record<string, number> {
  const known: Record<string, number> = {
    cache,
    inactive_file: cache,
    rss: memory - cache,
    active_anon: memory - cache,
  };
  const own = MEMORY_V1.split(' ').map((key) => [key, known[key] ?? 0] as const);
  const total = own.map(([key, value]) => [`total_${key}`, value] as const);
  const limits = { hierarchical_memory_limit: limit, hierarchical_memsw_limit: limit * 2 };
  return { ...Object.fromEntries([...own, ...total]), ...limits };
}

function memoryStatsV2(memory: number, cache: number): Record<string, number> {
  const known: Record<string, number> = {
    anon: memory - cache,
    file: cache,
    inactive_file: cache,
    active_anon: memory - cache,
  };
  return Object.fromEntries(MEMORY_V2.split(' ').map((key) => [key, known[key] ?? 0]));
}

function toNetworkStats(container: SimulatedContainer, usage: Usage): Record<string, unknown> {
  if (container.endpoints.every(({ address }) => address === '')) return {};
  const rx = usage.networkRxBytes ?? 0;
  const tx = usage.networkTxBytes ?? 0;
  const eth0 = {
    rx_bytes: Math.round(rx),
    rx_packets: Math.round(rx / 86),
    rx_errors: 0,
    rx_dropped: 0,
    tx_bytes: Math.round(tx),
    tx_packets: Math.round(tx / 86),
    tx_errors: 0,
    tx_dropped: 0,
  };
  return { eth0 };
}

const BLOCK_KEYS =
  'io_service_bytes_recursive io_serviced_recursive io_queue_recursive io_service_time_recursive io_wait_time_recursive io_merged_recursive io_time_recursive sectors_recursive';

function toBlockStats(usage: Usage, host: StatsHost): Record<string, unknown> {
  const none = host.cgroup === 2 ? null : [];
  const stats = Object.fromEntries(BLOCK_KEYS.split(' ').map((key): [string, unknown] => [key, none]));
  if (usage.blockReadBytes === undefined && usage.blockWriteBytes === undefined) return stats;
  return { ...stats, io_service_bytes_recursive: toBlockEntries(usage, host.cgroup) };
}

/** cgroup v1 says `Read`, v2 says `read`: clients have to know both. */
function toBlockEntries(usage: Usage, cgroup: 1 | 2): unknown[] {
  const read = {
    major: 254,
    minor: 0,
    op: cgroup === 1 ? 'Read' : 'read',
    value: Math.round(usage.blockReadBytes ?? 0),
  };
  const write = {
    major: 254,
    minor: 0,
    op: cgroup === 1 ? 'Write' : 'write',
    value: Math.round(usage.blockWriteBytes ?? 0),
  };
  return [read, write];
}

/** What Docker answers for a container that does not run: 200 and zeros. */
export function toStoppedStats(container: SimulatedContainer, host: StatsHost): Record<string, unknown> {
  if (host.flavour.isPodman) return { cause: 'container is stopped', message: 'container is stopped', response: 500 };
  return {
    ...toIdentity(container, host.flavour),
    read: ZERO_TIME,
    preread: ZERO_TIME,
    pids_stats: {},
    blkio_stats: Object.fromEntries(BLOCK_KEYS.split(' ').map((key) => [key, null])),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: emptyCpu(),
    precpu_stats: emptyCpu(),
    memory_stats: {},
  };
}
