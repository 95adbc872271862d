import { createContainerCounts } from './container-counts.ts';
import { containerMetrics, type Measured } from './container-metrics.ts';
import type { Container } from './containers.ts';
import type { Database } from './database.ts';
import type { DockerPort } from './docker.ts';
import { type ExpositionFormat, toLabels, writeMetrics } from './exposition.ts';
import { createHistogram } from './histogram.ts';
import type { Inventory } from './inventory.ts';
import type { Live } from './live.ts';
import { countOpenFiles, programMetrics } from './program-metrics.ts';
import type { Stats } from './stats.ts';

/** What metrics are read from. */
export type MetricsOptions = {
  docker: Pick<DockerPort, 'callCounts'>;
  inventory: Inventory;
  stats: Stats;
  live: Live;
  database: Pick<Database, 'sizes' | 'failures'>;
  /** The program's own. */
  version: string;
  /** Seconds between samples; 0 switches sampling off. */
  intervalSeconds: number;
};

/** One answered request: `route` as the access table has it, empty for an address that is none. */
export type AnsweredRequest = { method: string; route: string; status: number; seconds: number };

/** Bounds in s. */
const durationBounds = [0.005, 0.025, 0.1, 0.5, 2.5, 10];
const freshMs = 60_000;

/** The metrics that Prometheus asks for. */
export type Metrics = ReturnType<typeof createMetrics>;

/**
 * Creates the metrics. A scrape asks the engine for nothing: it reads what the inventory and the sampler hold. There are
 * as many series as containers, routes and endpoints are.
 */
export function createMetrics(options: MetricsOptions) {
  const { docker, inventory, stats, live, database, version, intervalSeconds } = options;
  const counts = createContainerCounts(inventory);
  const requests = createHistogram(durationBounds);

  function measure(container: Container): Measured {
    const latest = stats.latest(container.id);
    // The counters of one that is not answered for would else look like those of an idle one.
    const age = latest ? Math.abs(Date.now() - latest.at) : 0;
    const isFresh = latest && age <= Math.max(3_000 * intervalSeconds, freshMs);
    return { container, figures: isFresh ? latest : undefined, counts: counts.of(container.id) };
  }

  async function programState() {
    const [sizes, openFiles] = await Promise.all([database.sizes(), countOpenFiles()]);
    return {
      version,
      engine: inventory.engine(),
      calls: docker.callCounts(),
      eventLag: inventory.eventLag(),
      requests: requests.samples(),
      live: live.figures(),
      sampler: { ...stats.status(), intervalSeconds },
      database: { ...sizes, failures: database.failures() },
      openFiles,
    };
  }

  return {
    /** Counts a request that was answered. */
    observeRequest: ({ method, route, status, seconds }: AnsweredRequest): void =>
      requests.observe(seconds, toLabels({ method, route, status: String(status) })),

    /** Everything as it is now. Of an engine that does not answer no container is told: what it does is not known. */
    write: async (format: ExpositionFormat): Promise<string> => {
      const state = await programState();
      const containers = state.engine.status === 'connected' ? inventory.containers() : [];
      return writeMetrics([...containerMetrics(containers.map(measure)), ...programMetrics(state)], format);
    },
  };
}
