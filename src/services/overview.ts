import type { Container } from './containers.ts';
import type { Figures } from './figures.ts';
import { type Rates, sumFigures, sumRates } from './stats-totals.ts';
import { bothWays } from './stats-trends.ts';

/** What the longest lists are made of: percent of one core, bytes, and bytes a second in both directions. */
export const measures = ['cpu', 'memory', 'network', 'block'] as const;
export type Measure = (typeof measures)[number];

/** One of those who use most of something. */
export type Consumer = { container: Container; value: number };

/** What the containers of a machine or a project are and do at this moment. */
export type Overview = {
  total: number;
  /** How many there are in each state that any is in, in Docker's words. */
  states: Record<string, number>;
  /** How many of those that run say what of their health; `none` has no check. */
  health: Record<string, number>;
  totals: {
    /** How many figures were summed. */
    sampled: number;
    cpuPercent: number | null;
    memoryBytes: number | null;
    pids: number | null;
    rates: Rates;
  };
  top: Record<Measure, Consumer[]>;
};

/** The newest figures and rates of a container; undefined where none are known. */
export type Newest = { latest: (id: string) => Figures | undefined; rates: (id: string) => Rates | undefined };

type Known = { container: Container; figures: Figures; rates: Rates | undefined };

const listLength = 5;

/** Counts and sums over containers, and who uses most. */
export function toOverview(containers: readonly Container[], newest: Newest): Overview {
  const running = containers.filter(({ state }) => state === 'running');
  const known = running.flatMap((container): Known[] => {
    const figures = newest.latest(container.id);
    return figures ? [{ container, figures, rates: newest.rates(container.id) }] : [];
  });
  return {
    total: containers.length,
    states: countBy(containers, ({ state }) => state),
    health: countBy(running, ({ health }) => health ?? 'none'),
    totals: toTotals(known),
    top: {
      cpu: toTop(known, ({ figures }) => figures.cpuPercent),
      memory: toTop(known, ({ figures }) => figures.memoryBytes),
      network: toTop(known, ({ rates }) => bothWays(rates?.networkRxBytes, rates?.networkTxBytes)),
      block: toTop(known, ({ rates }) => bothWays(rates?.blockReadBytes, rates?.blockWriteBytes)),
    },
  };
}

function toTotals(known: readonly Known[]): Overview['totals'] {
  const rates = sumRates(known.flatMap((one) => one.rates ?? []));
  if (known.length === 0) return { sampled: 0, cpuPercent: null, memoryBytes: null, pids: null, rates };
  const { cpuPercent, memoryBytes, pids } = sumFigures(known);
  return { sampled: known.length, cpuPercent, memoryBytes, pids, rates };
}

/** The few that use most, of those that use any. */
function toTop(known: readonly Known[], read: (one: Known) => number | null): Consumer[] {
  const using = known.flatMap((one) => {
    const value = read(one) ?? 0;
    return value > 0 ? [{ container: one.container, value }] : [];
  });
  return using.sort((a, b) => b.value - a.value || (a.container.name < b.container.name ? -1 : 1)).slice(0, listLength);
}

function countBy(containers: readonly Container[], read: (container: Container) => string): Record<string, number> {
  const groups = Map.groupBy(containers, read);
  return Object.fromEntries([...groups].map(([word, members]) => [word, members.length]));
}
