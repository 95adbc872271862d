import type { Figures } from './figures.ts';
import type { Rates } from './stats-totals.ts';

/** What has a short history beside the CPU: bytes, and bytes a second in both directions. */
export type Trend = 'memory' | 'network' | 'block';

/** A container's last values of each, oldest first. */
export type Trends = ReturnType<typeof createTrends>;

/** Creates an empty history that keeps so many values of each. */
export function createTrends(size: number) {
  const values: Record<Trend, number[]> = { memory: [], network: [], block: [] };
  return {
    values,
    /** Adds what a sample tells; what it does not know is left out. */
    add(figures: Figures, rates: Rates | undefined): void {
      remember(values.memory, figures.memoryBytes, size);
      remember(values.network, bothWays(rates?.networkRxBytes, rates?.networkTxBytes), size);
      remember(values.block, bothWays(rates?.blockReadBytes, rates?.blockWriteBytes), size);
    },
  };
}

/** Adds a value to a list that keeps the newest ones. */
export function remember(values: number[], value: number | null, size: number): void {
  if (value !== null) values.push(value);
  if (values.length > size) values.shift();
}

/** The sum of both directions; null where one is not known. */
export const bothWays = (a: number | null | undefined, b: number | null | undefined): number | null =>
  typeof a === 'number' && typeof b === 'number' ? a + b : null;
