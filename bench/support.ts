import { startWorld, type World, type WorldOptions } from '../test/e2e/support.ts';
import { Missing } from '../test/engine/missing.ts';

/**
 * Runs a bench on a private engine with the program and a browser, and ends all of them. What this machine can't give
 * is said in one line, with exit code 1.
 */
export async function withWorld(options: WorldOptions, work: (world: World) => Promise<void>): Promise<void> {
  const ends: (() => unknown)[] = [];
  const missing: string[] = [];
  const test = {
    fail: (message: string) => missing.push(message) > 0,
    plan: (_: number, comment: string) => void missing.push(comment),
    teardown: (end: () => unknown) => void ends.unshift(end),
  };
  try {
    const world = await startWorld(test, options);
    if (world) await work(world);
    for (const message of missing) tell(message);
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    tell(error.message);
  } finally {
    for (const end of ends) await end();
  }
}

function tell(message: string): void {
  console.error(`Not measured: ${message}`);
  process.exitCode = 1;
}

/** The value below which `part` of the values lie. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** `median 12 ms, p95 40 ms, most 55 ms`. */
export const inQuantiles = (ms: readonly number[], digits = 0): string =>
  `median ${quantile(ms, 0.5).toFixed(digits)} ms, p95 ${quantile(ms, 0.95).toFixed(digits)} ms, most ${Math.max(...ms).toFixed(digits)} ms`;

/** Prints one figure, and whether it is as it should be; a figure that is not ends the bench with code 1. */
export function print(what: string, figure: string, isGood?: boolean): void {
  const verdict = isGood === undefined ? '' : isGood ? '  ok' : '  NOT GOOD ENOUGH';
  console.log(`${what.padEnd(44)} ${figure}${verdict}`);
  if (isGood === false) process.exitCode = 1;
}

/** Bytes in MB, with one decimal. */
export const inMegabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MB`;
