import { readdir } from 'node:fs/promises';
import { eventLoopUtilization } from 'node:perf_hooks';
import type { CallCount } from './docker-connection.ts';
import { type Metric, type MetricSample, toLabels } from './exposition.ts';
import type { EngineState } from './inventory.ts';
import type { Live } from './live.ts';
import type { StatsStatus } from './stats.ts';

/** What the program itself tells, as it is at a scrape; bytes. */
export type ProgramState = {
  version: string;
  engine: EngineState;
  calls: readonly CallCount[];
  eventLag: readonly MetricSample[];
  requests: readonly MetricSample[];
  live: ReturnType<Live['figures']>;
  sampler: StatsStatus & { intervalSeconds: number };
  database: { main: number; wal: number; failures: number };
  openFiles: number | null;
};

type Values = number | null | readonly MetricSample[];

const metric = (kind: Metric['kind'], name: string, help: string, values: Values): Metric => {
  const samples = typeof values === 'number' ? [{ labels: '', value: values }] : (values ?? []);
  return { name, kind, help, samples };
};
const gauge = (name: string, help: string, values: Values) => metric('gauge', name, help, values);
const counter = (name: string, help: string, values: Values) => metric('counter', name, help, values);

/** What is known of the program itself and of its engine. */
export const programMetrics = (state: ProgramState): Metric[] => [
  gauge('fairlead_build_info', 'The version of Fairlead and of its Node; always 1.', [
    { labels: toLabels({ version: state.version, node: process.version }), value: 1 },
  ]),
  ...engineMetrics(state),
  metric(
    'histogram',
    'fairlead_http_request_duration_seconds',
    'Answered HTTP requests, by the time until their answer had left.',
    state.requests,
  ),
  ...liveMetrics(state),
  ...samplerMetrics(state),
  ...databaseMetrics(state),
  ...processMetrics(state),
];

function engineMetrics({ engine, calls, eventLag }: ProgramState): Metric[] {
  const isUp = engine.status === 'connected';
  const { version, apiVersion: api_version } = engine;
  const each = (read: (call: CallCount) => number) =>
    calls.map((call) => ({ labels: toLabels({ method: call.method, endpoint: call.endpoint }), value: read(call) }));
  return [
    gauge(
      'fairlead_engine_up',
      'Whether the engine answers: 1 or 0. While it does not, containers are absent.',
      Number(isUp),
    ),
    gauge(
      'fairlead_engine_info',
      'The version of the engine and of its API; always 1.',
      isUp ? [{ labels: toLabels({ version, api_version }), value: 1 }] : null,
    ),
    gauge('fairlead_engine_cpus', 'Processors of the machine that the engine runs on.', isUp ? engine.cpus : null),
    gauge(
      'fairlead_engine_memory_bytes',
      'Memory of the machine that the engine runs on.',
      isUp ? engine.memoryBytes : null,
    ),
    counter(
      'fairlead_engine_requests_total',
      'Calls to the engine, streams among them.',
      each(({ calls }) => calls),
    ),
    counter(
      'fairlead_engine_request_failures_total',
      'Calls to the engine that were refused, failed, or came too late.',
      each(({ failures }) => failures),
    ),
    metric(
      'histogram',
      'fairlead_engine_event_lag_seconds',
      'Events of the engine, by the time between its stamp and their reading; needs both clocks to agree.',
      eventLag,
    ),
  ];
}

const liveMetrics = ({ live }: ProgramState): Metric[] => [
  gauge('fairlead_live_connections', 'Open live sockets.', live.connections),
  gauge('fairlead_live_feeds', 'Views that are kept live, each for all who look at it.', live.feeds),
  counter('fairlead_live_frames_total', 'Frames sent to live sockets.', live.frames),
  counter(
    'fairlead_live_frames_dropped_total',
    'Frames not sent since their reader was too slow; its socket is closed with the first, and heals by coming back.',
    live.slowClosed,
  ),
];

const samplerMetrics = ({ sampler }: ProgramState): Metric[] => [
  gauge(
    'fairlead_sampler_interval_seconds',
    'STATS_INTERVAL; 0 says that nothing is sampled.',
    sampler.intervalSeconds,
  ),
  gauge(
    'fairlead_sampler_lag_seconds',
    'By how much the figures that are overdue most are older than the interval; 0 where none are.',
    sampler.lagMs / 1_000,
  ),
  gauge(
    'fairlead_sampler_call_duration_seconds',
    'How long the engine takes for one sample, a moving average; 0 before the first.',
    sampler.latencyMs / 1_000,
  ),
  counter('fairlead_sampler_samples_total', 'Samples taken.', sampler.samples),
  counter('fairlead_sampler_failures_total', 'Samples that could not be had or read.', sampler.failures),
  counter(
    'fairlead_sampler_write_failures_total',
    'Times that samples could not be written to the database, or old ones not be removed.',
    sampler.writeFailures,
  ),
];

const databaseMetrics = ({ database }: ProgramState): Metric[] => [
  gauge('fairlead_database_size_bytes', 'Size of the SQLite file (main) and of its write-ahead log (wal).', [
    { labels: 'file="main"', value: database.main },
    { labels: 'file="wal"', value: database.wal },
  ]),
  counter(
    'fairlead_database_failures_total',
    'Statements that SQLite could not carry out: a full disk, a damaged file, a lock.',
    database.failures,
  ),
];

/** By the names that every client of Prometheus gives them. */
function processMetrics({ openFiles }: ProgramState): Metric[] {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return [
    counter('process_cpu_seconds_total', 'CPU time that this process has used.', (user + system) / 1e6),
    gauge('process_resident_memory_bytes', 'Memory of this process that is in RAM.', rss),
    gauge(
      'process_start_time_seconds',
      'When this process started, in seconds since 1970.',
      performance.timeOrigin / 1_000,
    ),
    gauge('process_open_fds', 'Open files and sockets of this process; Linux only.', openFiles),
    gauge('nodejs_heap_size_used_bytes', 'Memory of the JavaScript heap that is in use.', heapUsed),
    counter(
      'nodejs_eventloop_active_seconds_total',
      'Time in which the event loop was busy: near 1 s a second, everything waits.',
      eventLoopUtilization().active / 1_000,
    ),
  ];
}

/** How many files and sockets this process has open; null where the system has no /proc. */
export const countOpenFiles = (): Promise<number | null> =>
  readdir('/proc/self/fd').then(
    ({ length }) => length,
    () => null,
  );
