import { readFileSync } from 'node:fs';
import t from 'tap';
import type { EngineStats } from '../../src/services/docker-types.ts';
import { toCpuReading, toFigures, toMomentary } from '../../src/services/figures.ts';

type Recorded = { oneShot: EngineStats; noStream: EngineStats; stopped: EngineStats | null };

const recorded = (name: string): Recorded =>
  JSON.parse(readFileSync(new URL(`../fixtures/stats/${name}.json`, import.meta.url), 'utf8'));

/** A sample of an engine with two CPUs, one second after `at` = 0; counters in ns. */
const sample = (second: number, usage: number, system: number): EngineStats => ({
  read: new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString(),
  cpu_stats: { cpu_usage: { total_usage: usage }, system_cpu_usage: system, online_cpus: 2 },
});

/** The docker CLI's own sum, written out, over a `--no-stream` answer with its two readings. */
function asTheCliCounts({ cpu_stats: now, precpu_stats: before }: EngineStats): number {
  const used = (now?.cpu_usage?.total_usage ?? 0) - (before?.cpu_usage?.total_usage ?? 0);
  const passed = (now?.system_cpu_usage ?? 0) - (before?.system_cpu_usage ?? 0);
  return (used / passed) * (now?.online_cpus ?? 0) * 100;
}

t.test('CPU agrees with docker stats on every recorded engine', async (t) => {
  const expected = { 'docker-20.10-v1': 3.12, 'docker-26-v1': 3.24, 'docker-28-v1': 3.88, 'docker-28-v2': 39.9 };
  for (const [engine, percent] of Object.entries(expected)) {
    const { noStream } = recorded(engine);
    const cpu = toFigures(noStream)?.cpuPercent ?? -1;
    t.equal(cpu, asTheCliCounts(noStream), `${engine}: to the last digit`);
    t.ok(Math.abs(cpu - percent) < 0.05, `${engine}: ${cpu} is about ${percent}`);
  }
});

t.test('a one-shot sample has no CPU until there is an earlier one to count from', async (t) => {
  for (const engine of ['docker-20.10-v1', 'docker-26-v1', 'docker-28-v1', 'docker-28-v2', 'podman-5.8']) {
    t.equal(toFigures(recorded(engine).oneShot)?.cpuPercent, null, `${engine}: null, not 0 and not since the boot`);
  }
  const { oneShot, noStream } = recorded('docker-28-v1');
  const counted = toFigures({ ...noStream, precpu_stats: null }, toCpuReading(oneShot))?.cpuPercent ?? 0;
  t.ok(Math.abs(counted - asTheCliCounts(noStream)) < 0.1, 'two one-shots tell what one --no-stream does');
});

t.test('an earlier sample beats the precpu of the later one', async (t) => {
  const later = {
    ...sample(10, 5e9, 120e9),
    precpu_stats: sample(9, 5e9, 118e9).cpu_stats,
    preread: sample(9, 0, 0).read,
  };
  t.equal(toFigures(later)?.cpuPercent, 0, 'idle over the last second');
  t.equal(toFigures(later, toCpuReading(sample(0, 0, 100e9)))?.cpuPercent, 50, 'half a core over the last ten');
});

t.test('Podman counts only busy time as system time, so wall time is taken there', async (t) => {
  const [first, second] = [sample(0, 1e9, 2000e9), sample(10, 3e9, 2000.5e9)];
  t.equal(toFigures(second, toCpuReading(first), { podman: true })?.cpuPercent, 20);
  t.equal(toFigures(second, toCpuReading(first))?.cpuPercent, 800, 'by the formula for Docker: far too much');
});

t.test('Podman without a second reading in its --no-stream answer has no CPU either', async (t) => {
  for (const engine of ['podman-4.3', 'podman-5.4', 'podman-5.8']) {
    const { oneShot, noStream } = recorded(engine);
    t.equal(toFigures(noStream, undefined, { podman: true })?.cpuPercent, null, engine);
    t.equal(toFigures(noStream, toCpuReading(oneShot), { podman: true })?.cpuPercent, 0, `${engine}: idle in between`);
  }
});

t.test('a counter that ran backwards is a restart: null, never a negative', async (t) => {
  const before = toCpuReading(sample(0, 9e9, 100e9));
  t.equal(toFigures(sample(10, 1e9, 120e9), before)?.cpuPercent, null, 'the container was restarted');
  t.equal(toFigures(sample(10, 10e9, 20e9), before)?.cpuPercent, null, 'the machine was');
  t.equal(toFigures(sample(0, 9e9, 100e9), before)?.cpuPercent, null, 'no time has passed');
});

t.test('without online_cpus the length of percpu_usage counts the CPUs', async (t) => {
  const old = sample(1, 1e9, 104e9);
  const later = {
    ...old,
    cpu_stats: { cpu_usage: { total_usage: 1e9, percpu_usage: [1, 2, 3, 4] }, system_cpu_usage: 104e9 },
  };
  t.equal(toFigures(later, toCpuReading(sample(0, 0, 100e9)))?.cpuPercent, 100);
});

t.test('memory leaves out the inactive page cache, as docker stats does', async (t) => {
  const memoryOf = (name: string) => toFigures(recorded(name).noStream)?.memoryBytes;
  t.equal(memoryOf('docker-20.10-v1'), 1_654_784 - 20_480, 'cgroup v1: total_inactive_file');
  t.equal(memoryOf('docker-28-v2'), 901_120 - 4_096, 'cgroup v2: inactive_file');
  t.equal(memoryOf('podman-5.8'), 647_168, 'Podman: all of it');
  const odd = {
    read: '2026-01-01T00:00:00Z',
    memory_stats: { usage: 100, stats: { total_inactive_file: 200, inactive_file: 30 } },
  };
  t.equal(toFigures(odd)?.memoryBytes, 70, 'a part larger than the whole is left aside');
});

t.test('a limit that limits nothing is none', async (t) => {
  const limitOf = (limit: number | undefined, memoryBytes?: number) =>
    toFigures(
      { read: '2026-01-01T00:00:00Z', memory_stats: { usage: 1, ...(limit !== undefined && { limit }) } },
      undefined,
      {
        memoryBytes,
      },
    )?.memoryLimitBytes;
  t.equal(limitOf(67_108_864), 67_108_864);
  t.equal(limitOf(undefined), null, 'missing');
  t.equal(limitOf(0), null, 'zero');
  t.equal(limitOf(2 ** 63 - 4096), null, 'what cgroup v1 says for "unlimited"');
  t.equal(limitOf(2 ** 34, 2 ** 33), null, 'above the memory of the machine');
  t.equal(limitOf(16e9, 16e9), null, 'Docker gives all of the machine where there is no limit');
});

t.test('network and block bytes are sums over interfaces and devices', async (t) => {
  const figures = toFigures({
    read: '2026-01-01T00:00:00Z',
    networks: { eth0: { rx_bytes: 1, tx_bytes: 10 }, eth1: { rx_bytes: 2, tx_bytes: null }, broken: null },
    blkio_stats: {
      io_service_bytes_recursive: [
        { op: 'Read', value: 100 },
        { op: 'read', value: 1 },
        { op: 'Write', value: 1000 },
        { op: 'Total', value: 1101 },
        { op: '', value: 5 },
        { op: null, value: 5 },
      ],
    },
    pids_stats: { current: 7 },
  });
  t.match(figures, { networkRxBytes: 3, networkTxBytes: 10, blockReadBytes: 101, blockWriteBytes: 1000, pids: 7 });
});

t.test('an engine without controllers answers zeros, and they stay zeros', async (t) => {
  const { oneShot, noStream } = recorded('docker-28-v2-zeros');
  const figures = toFigures(noStream, toCpuReading(oneShot));
  t.match(figures, {
    cpuPercent: 0,
    memoryBytes: 0,
    memoryLimitBytes: null,
    networkRxBytes: 516,
    blockReadBytes: 0,
    pids: 0,
  });
});

t.test('the answer for a stopped container is no sample', async (t) => {
  const engines = ['docker-20.10-v1', 'docker-26-v1', 'docker-28-v1', 'docker-28-v2-zeros', 'docker-28-v2'];
  for (const engine of [...engines, 'podman-5.4']) {
    t.equal(toFigures(recorded(engine).stopped ?? {}), undefined, engine);
  }
  t.equal(toFigures({}), undefined, 'Podman 4.3: an empty body');
  t.equal(toFigures({ read: 'yesterday' }), undefined, 'a time that is none');
});

t.test('an answer where everything is null gives zeros, not an error', async (t) => {
  const empty: EngineStats = {
    read: '2026-01-01T00:00:00Z',
    preread: null,
    cpu_stats: null,
    precpu_stats: null,
    memory_stats: null,
    networks: null,
    blkio_stats: null,
    pids_stats: null,
  };
  t.match(toFigures(empty), { cpuPercent: null, memoryBytes: 0, memoryLimitBytes: null, networkRxBytes: 0, pids: 0 });
});

t.test('seconds of CPU and the limit of pids, as every recorded engine tells them', async (t) => {
  for (const engine of ['docker-20.10-v1', 'docker-26-v1', 'docker-28-v1', 'docker-28-v2', 'podman-5.8']) {
    const { oneShot } = recorded(engine);
    const { cpuSeconds, pidsLimit } = toMomentary(oneShot);
    t.equal(cpuSeconds, (oneShot.cpu_stats?.cpu_usage?.total_usage ?? Number.NaN) / 1e9, engine);
    t.ok(pidsLimit === null || (pidsLimit > 0 && pidsLimit < 2 ** 32), `${engine}: ${pidsLimit} pids`);
  }
  t.equal(toMomentary({ pids_stats: { current: 1, limit: 100 } }).pidsLimit, 100);
  t.equal(toMomentary({ pids_stats: { current: 1, limit: 2 ** 64 } }).pidsLimit, null, 'what cgroups say for none');
  t.strictSame(toMomentary({}), { cpuSeconds: null, pidsLimit: null, interfaces: [] });
});
