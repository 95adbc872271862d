import type { Figures } from './figures.ts';

/** What has passed over network and block devices, in bytes. */
export type Traffic = Pick<Figures, 'networkRxBytes' | 'networkTxBytes' | 'blockReadBytes' | 'blockWriteBytes'>;

/** The same in bytes a second; null where a counter shrank, which is a restart or a network that was left. */
export type Rates = { [K in keyof Traffic]: number | null };

/**
 * A container as far as sums ask; `project` is null for a standalone one, `figures` are absent where there are none of
 * now.
 */
export type Counted = { project: string | null; figures: Figures | undefined };
type Member = { project: string | null; figures: Figures };

/** The series in which the sum over all containers is kept; no container has such an id. */
export const machineSeries = 'machine';

/** The series in which the sum over a project's containers is kept. */
export const projectSeries = (project: string) => `project:${project}`;

const counters = ['networkRxBytes', 'networkTxBytes', 'blockReadBytes', 'blockWriteBytes'] as const;

/** Sums over containers: of the machine and of each project. */
export type StatsTotals = ReturnType<typeof createStatsTotals>;

/**
 * Creates the sums over containers. They are made when samples are taken and kept like a container's figures: a sum over
 * the kept ones would have to read every series for each chart, and would know neither the highest sum nor which traffic
 * is new. Traffic is counted from sample to sample, so that a container that comes or goes is neither a leap nor a reset.
 */
export function createStatsTotals() {
  const passed = new Map<string, Traffic>();

  function add(series: string, more: Traffic): void {
    passed.set(series, sumTraffic(passed.get(series) ?? nothing, more));
  }

  const toSum = (series: string, name: string, members: readonly Member[], limit: number | null, at: number) => ({
    id: series,
    name,
    figures: { ...sumFigures(members), at, memoryLimitBytes: limit, ...(passed.get(series) ?? nothing) },
  });

  /** What is counted of a project goes with its last container, not with one that is late. */
  function forgetOthers(all: readonly Counted[]): void {
    const known = new Set([machineSeries, ...all.map(({ project }) => projectSeries(project ?? ''))]);
    for (const series of passed.keys()) if (!known.has(series)) passed.delete(series);
  }

  return {
    /** Counts what passed between two samples of a container. */
    count(project: string | null, before: Figures | undefined, now: Figures): void {
      if (!before) return;
      const more = growth(before, now);
      add(machineSeries, more);
      if (project !== null) add(projectSeries(project), more);
    },

    /** Goes on where an earlier run has ended. */
    restore(kept: ReadonlyMap<string, Traffic>): void {
      for (const [series, traffic] of kept) add(series, traffic);
    },

    /**
     * The sums as they are now, each to be kept in its series, all with the time of the newest figures: by it they are
     * found together again. The machine's limit is its memory in bytes.
     */
    sums(all: readonly Counted[], machineMemoryBytes: number | null) {
      forgetOthers(all);
      const members = all.flatMap(({ project, figures }) => (figures ? { project, figures } : []));
      if (members.length === 0) return [];
      const { at } = sumFigures(members);
      const projects = Map.groupBy(members, ({ project }) => project);
      projects.delete(null);
      return [
        toSum(machineSeries, 'machine', members, machineMemoryBytes, at),
        ...[...projects].map(([project, own]) => toSum(projectSeries(project ?? ''), project ?? '', own, null, at)),
      ];
    },
  };
}

/** Bytes a second between two samples of one container. */
export function toRates(before: Figures, now: Figures): Rates {
  const seconds = (now.at - before.at) / 1_000;
  return mapTraffic((counter) => {
    const more = now[counter] - before[counter];
    return seconds > 0 && more >= 0 ? more / seconds : null;
  });
}

/** CPU, memory and processes of several containers, and when the newest of them were read. */
export function sumFigures(members: readonly { figures: Figures }[]) {
  const all = members.map(({ figures }) => figures);
  const known = all.flatMap(({ cpuPercent }) => cpuPercent ?? []);
  return {
    at: Math.max(...all.map(({ at }) => at)),
    cpuPercent: known.length > 0 ? sum(known) : null,
    memoryBytes: sum(all.map(({ memoryBytes }) => memoryBytes)),
    pids: sum(all.map(({ pids }) => pids)),
  };
}

/** The sum of several rates; null where none is known. */
export function sumRates(all: readonly Rates[]): Rates {
  return mapTraffic((counter) => {
    const known = all.flatMap((rates) => rates[counter] ?? []);
    return known.length > 0 ? sum(known) : null;
  });
}

const nothing: Traffic = { networkRxBytes: 0, networkTxBytes: 0, blockReadBytes: 0, blockWriteBytes: 0 };

/** A counter that shrank began anew, or lost a part: how much is new is not known. */
const growth = (before: Traffic, now: Traffic): Traffic =>
  mapTraffic((counter) => Math.max(0, now[counter] - before[counter]));

const sumTraffic = (a: Traffic, b: Traffic): Traffic => mapTraffic((counter) => a[counter] + b[counter]);

const mapTraffic = <T>(read: (counter: keyof Traffic) => T) =>
  Object.fromEntries(counters.map((counter) => [counter, read(counter)])) as Record<keyof Traffic, T>;

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
