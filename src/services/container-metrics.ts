import type { ContainerCount } from './container-counts.ts';
import type { Container } from './containers.ts';
import { type Metric, type MetricSample, toLabels } from './exposition.ts';
import type { InterfaceBytes } from './figures.ts';
import type { Stats } from './stats.ts';

/** One container with all that is known of it; figures only while they are fresh. */
export type Measured = { container: Container; figures: ReturnType<Stats['latest']>; counts: ContainerCount };

type Subject = Measured & { labels: string };
type Read = (subject: Subject) => number | null | undefined;
type ReadInterface = (bytes: InterfaceBytes) => number;

const states = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'];
const healths = ['starting', 'healthy', 'unhealthy'];
const sampled = 'absent without STATS_INTERVAL, and while it does not run';

/** What is known of every container: `name`, `project`, `service` and `image` are its labels. */
export function containerMetrics(measured: readonly Measured[]): Metric[] {
  // Prometheus refuses two values of one series; the engine has no name twice, what answers in its place may.
  const byLabels = new Map(measured.map((one) => [labelsOf(one.container), one]));
  const subjects = [...byLabels].map(([labels, one]) => ({ ...one, labels }));

  const metric = (kind: Metric['kind'], name: string, help: string, read: Read): Metric => {
    return { name: `fairlead_container_${name}`, kind, help, samples: subjects.flatMap((one) => toSample(one, read)) };
  };
  const gauge = (name: string, help: string, read: Read) => metric('gauge', name, help, read);
  const counter = (name: string, help: string, read: Read) => metric('counter', name, help, read);
  // A sum over interfaces would shrink where a network is left, which reads as if all began anew.
  const perInterface = (name: string, help: string, read: ReadInterface): Metric => {
    const samples = subjects.flatMap(({ labels, figures }) =>
      (figures?.interfaces ?? []).map((bytes) => ({
        labels: `${labels},${toLabels({ interface: bytes.name })}`,
        value: read(bytes),
      })),
    );
    return { name: `fairlead_container_${name}`, kind: 'counter', help, samples };
  };

  return [
    {
      name: 'fairlead_container_state',
      kind: 'gauge',
      help: 'Whether the container is in this state, as the engine calls it: 1 for one of its states, 0 for the others.',
      samples: subjects.flatMap((one) => toSet(one, 'state', states, one.container.state)),
    },
    {
      name: 'fairlead_container_health',
      kind: 'gauge',
      help: 'Whether its health check says this: 1 for one of its words, 0 for the others; absent without a check.',
      samples: subjects.flatMap((one) => toSet(one, 'health', healths, one.container.health)),
    },
    gauge(
      'last_exit_code',
      'The code with which its last run ended; absent while it runs.',
      ({ container }) => container.exitCode,
    ),
    counter(
      'restarts_total',
      'Starts after it had run before, by its restart policy or by hand, that were seen since this program knows it.',
      ({ counts }) => counts.restarts,
    ),
    counter(
      'out_of_memory_total',
      'Runs in which the kernel was seen to end a process of it for want of memory, since this program knows it.',
      ({ counts }) => counts.outOfMemory,
    ),
    counter(
      'cpu_seconds_total',
      `CPU time that it has used since it started; ${sampled}.`,
      ({ figures }) => figures?.cpuSeconds,
    ),
    gauge(
      'cpu_usage_ratio',
      `CPU between the last two samples as docker stats counts it, 1 is one core; ${sampled}.`,
      ({ figures }) => toRatio(figures?.cpuPercent),
    ),
    gauge(
      'memory_usage_bytes',
      `Memory as docker stats counts it, without the page cache that can be dropped; ${sampled}.`,
      ({ figures }) => figures?.memoryBytes,
    ),
    gauge(
      'memory_limit_bytes',
      `Its limit of memory; absent where there is none below the memory of the machine; ${sampled}.`,
      ({ figures }) => figures?.memoryLimitBytes,
    ),
    perInterface(
      'network_receive_bytes_total',
      `Bytes received on one of its interfaces since it has it; ${sampled}.`,
      ({ rxBytes }) => rxBytes,
    ),
    perInterface(
      'network_transmit_bytes_total',
      `Bytes sent on one of its interfaces since it has it; ${sampled}.`,
      ({ txBytes }) => txBytes,
    ),
    counter(
      'block_read_bytes_total',
      `Bytes read from block devices since it started; ${sampled}.`,
      ({ figures }) => figures?.blockReadBytes,
    ),
    counter(
      'block_written_bytes_total',
      `Bytes written to block devices since it started; ${sampled}.`,
      ({ figures }) => figures?.blockWriteBytes,
    ),
    gauge('pids', `Processes and threads in it; ${sampled}.`, ({ figures }) => figures?.pids),
    gauge(
      'pids_limit',
      `Its limit of processes and threads; absent where there is none; ${sampled}.`,
      ({ figures }) => figures?.pidsLimit,
    ),
    gauge(
      'sample_timestamp_seconds',
      `When its figures were read, in seconds since 1970; ${sampled}.`,
      ({ figures }) => figures && figures.at / 1_000,
    ),
  ];
}

const labelsOf = ({ name, project, service, image }: Container) =>
  toLabels({ name, project: project ?? '', service: service ?? '', image });

function toSample(subject: Subject, read: Read): MetricSample[] {
  const value = read(subject);
  return value === null || value === undefined ? [] : [{ labels: subject.labels, value }];
}

/** One value for each word, of which at most one is true; none where nothing is. */
function toSet({ labels }: Subject, label: string, words: readonly string[], now: string | null): MetricSample[] {
  if (now === null) return [];
  return words.map((word) => ({ labels: `${labels},${label}="${word}"`, value: Number(word === now) }));
}

const toRatio = (percent: number | null | undefined) => (typeof percent === 'number' ? percent / 100 : percent);
