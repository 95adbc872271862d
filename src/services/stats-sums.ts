import type { Clock } from './clock.ts';
import type { Figures } from './figures.ts';
import type { NamedFigures } from './stats-store.ts';
import { type Counted, createStatsTotals, type Traffic } from './stats-totals.ts';

type StatsSumsOptions = {
  clock: Clock;
  intervalMs: number;
  /** The machine's memory in bytes; null where it is not known. */
  machineMemoryBytes: () => number | null;
};

/** When sums over containers are made. */
export type StatsSums = ReturnType<typeof createStatsSums>;

/**
 * Creates the making of sums: once an interval, however often samples come in between. Those of the first answers alone
 * would be a dip that never was, so the first sum, also after a pause, waits until each container has a CPU figure, which
 * is its second answer, but two intervals at most.
 */
export function createStatsSums({ clock, intervalMs, machineMemoryBytes }: StatsSumsOptions) {
  const totals = createStatsTotals();
  /** The last sum or, while the first one waits, the first answers. */
  let last: { at: number; isSum: boolean } | undefined;

  // A clock that was set back is no reason to wait.
  const passedSince = ({ at }: { at: number }) => Math.abs(clock.now() - at);

  function isDue(all: readonly Counted[]): boolean {
    // Where the engine was away, answers come one by one as after a start.
    const isFirst = !last?.isSum || passedSince(last) > 3 * intervalMs;
    if (!last || (last.isSum && isFirst)) last = { at: clock.now(), isSum: false };
    if (!isFirst) return passedSince(last) >= intervalMs * 0.9;
    return passedSince(last) >= 2 * intervalMs || all.every(({ figures }) => (figures?.cpuPercent ?? null) !== null);
  }

  return {
    /** Counts what passed between two samples of a container. */
    count: (project: string | null, before: Figures | undefined, now: Figures): void =>
      totals.count(project, before, now),

    /** Goes on where an earlier run has ended. */
    restore: (kept: ReadonlyMap<string, Traffic>): void => totals.restore(kept),

    /** The sums over all that run, where they are due; who is late counts with its last figures. */
    take(all: readonly Counted[]): NamedFigures[] {
      if (!isDue(all)) return [];
      last = { at: clock.now(), isSum: true };
      return totals.sums(all, machineMemoryBytes());
    },
  };
}
