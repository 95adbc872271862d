import type { Clock } from './clock.ts';
import type { NamedFigures, StatsStore } from './stats-store.ts';

type StatsKeeperOptions = {
  store: Pick<StatsStore, 'write' | 'tidy'>;
  clock: Clock;
  retentionDays: number;
  log: { warn: (details: object, message: string) => void } | undefined;
};

const firstTidyMs = 60_000;
// As long as the second tier's steps: what is moved then fills whole pages.
const tidyMs = 900_000;
const hourMs = 3_600_000;
const dayMs = 86_400_000;

/** The sampler's work on the disk. */
export type StatsKeeper = ReturnType<typeof createStatsKeeper>;

/** Creates the sampler's work on the disk: writes one after the other, and tidies up in the background once started. */
export function createStatsKeeper({ store, clock, retentionDays, log }: StatsKeeperOptions) {
  const closing = new AbortController();
  let written = Promise.resolve();
  let tidied = Promise.resolve();
  let cancelTidy = () => {};
  let failures = 0;
  let warnedAt = Number.NEGATIVE_INFINITY;

  /** A full disk fails each tick: told once an hour. */
  function onFailure(error: unknown): void {
    failures += 1;
    if (clock.now() - warnedAt < hourMs) return;
    warnedAt = clock.now();
    log?.warn({ err: error }, 'figures could not be written');
  }

  function tidyAfter(ms: number): void {
    if (!closing.signal.aborted) cancelTidy = clock.after(ms, tidy);
  }

  /** The next time begins a while after this one has ended, however long it took. */
  function tidy(): void {
    tidied = store
      .tidy(clock.now() - retentionDays * dayMs, closing.signal)
      .catch(onFailure)
      .finally(() => tidyAfter(tidyMs));
  }

  return {
    /** Begins to tidy up. */
    start: (): void => tidyAfter(firstTidyMs),

    /** Writes figures when those before are written; what fails is counted, and told once an hour. */
    write: (samples: readonly NamedFigures[]): void => {
      written = written.then(() => store.write(samples)).catch(onFailure);
    },

    /** How often the disk refused. */
    failures: () => failures,

    /** Ends the tidying, and waits until what was to be written is. */
    close: async (): Promise<void> => {
      closing.abort();
      cancelTidy();
      await Promise.all([written, tidied]);
    },
  };
}
