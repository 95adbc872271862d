/** The samples of one series within one step of time; a sample alone is a step with a count of 1. */
export type Step = {
  /** When it began, ms since 1970. */
  at: number;
  count: number;
  /** How many of its samples have a CPU figure. */
  cpuCount: number;
  /** Average, hundredths of a percent of one core. */
  cpu: number | null;
  cpuMax: number | null;
  /** Average, bytes. */
  memory: number;
  memoryMax: number;
  /** As at the end of the step, as all below. */
  limit: number | null;
  rx: number;
  tx: number;
  read: number;
  write: number;
  pids: number;
};

/** The figures of one step of time: averages and maxima, totals and limits as they were at its end. */
export type StatsSample = {
  /** When the step began, RFC 3339. */
  at: string;
  cpuPercent: number | null;
  cpuPercentMax: number | null;
  memoryBytes: number;
  memoryBytesMax: number;
  memoryLimitBytes: number | null;
  networkRxBytes: number;
  networkTxBytes: number;
  blockReadBytes: number;
  blockWriteBytes: number;
  pids: number;
};

/** When the step that holds a moment began; all in ms. */
export const stepStart = (at: number, stepMs: number): number => Math.floor(at / stepMs) * stepMs;

/** One step of two parts; the later one knows how it ended. */
export function mergeSteps(earlier: Step | undefined, later: Step): Step {
  if (!earlier) return later;
  return {
    ...later,
    at: earlier.at,
    count: earlier.count + later.count,
    cpuCount: earlier.cpuCount + later.cpuCount,
    cpu: mean(earlier.cpu, earlier.cpuCount, later.cpu, later.cpuCount),
    cpuMax: most(earlier.cpuMax, later.cpuMax),
    memory: mean(earlier.memory, earlier.count, later.memory, later.count) ?? 0,
    memoryMax: Math.max(earlier.memoryMax, later.memoryMax),
  };
}

/** Joins steps, oldest first, into longer ones of so many ms; averages stay fractions, so that nothing is rounded twice. */
export function joinSteps(steps: Iterable<Step>, stepMs: number): Step[] {
  const joined = new Map<number, Step>();
  for (const step of steps) {
    const at = stepStart(step.at, stepMs);
    joined.set(at, mergeSteps(joined.get(at), { ...step, at }));
  }
  return [...joined.values()].sort((a, b) => a.at - b.at);
}

/** A step as the contract tells it. */
export function toSample(step: Step): StatsSample {
  return {
    at: new Date(step.at).toISOString(),
    cpuPercent: step.cpu === null ? null : Math.round(step.cpu) / 100,
    cpuPercentMax: step.cpuMax === null ? null : step.cpuMax / 100,
    memoryBytes: Math.round(step.memory),
    memoryBytesMax: step.memoryMax,
    memoryLimitBytes: step.limit,
    networkRxBytes: step.rx,
    networkTxBytes: step.tx,
    blockReadBytes: step.read,
    blockWriteBytes: step.write,
    pids: step.pids,
  };
}

/** The average of two averages; null where neither is known. */
function mean(a: number | null, countOfA: number, b: number | null, countOfB: number): number | null {
  if (a === null || b === null) return a ?? b;
  return (a * countOfA + b * countOfB) / (countOfA + countOfB);
}

const most = (a: number | null, b: number | null) => (a === null || b === null ? (a ?? b) : Math.max(a, b));
