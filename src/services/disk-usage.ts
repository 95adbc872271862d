import { isProblem } from '../errors.ts';
import { type Clock, systemClock } from './clock.ts';
import type { EngineDiskUsage } from './docker-types.ts';

/** What is known of the disk: the newest answer and when it came (ms since 1970), and why the last try failed. */
export type DiskState = {
  isReading: boolean;
  readAt: number | null;
  usage: EngineDiskUsage | null;
  /** In a sentence; empty where the last try has succeeded, or there was none. */
  failure: string;
};

type DiskUsageOptions = {
  docker: { diskUsage: (signal: AbortSignal) => Promise<EngineDiskUsage> };
  clock?: Pick<Clock, 'now'>;
  /** ms since some moment, never set back: how old an answer is does not depend on what time it is. */
  elapsed?: () => number;
  /** Rests at least so long after each reading, ms. */
  restMs?: number;
};

/** For so long an answer is not asked for again by who only looks. */
const freshMs = 15 * 60_000;
/** An engine that refuses may be allowed by and by; one that is away comes back. */
const retryMs = 60_000;
/** Everybody who may look may press the button: who does it again and again gets the answer of a moment ago. */
const leastRestMs = 30_000;

/** The reader of the disk use. */
export type DiskUsage = ReturnType<typeof createDiskUsage>;

/**
 * Creates the reader of the disk use, which engines measure anew each time: it is asked only when somebody looks, never
 * twice at a time, half of the time at most, and its answer is kept with its age.
 */
export function createDiskUsage(options: DiskUsageOptions) {
  const { docker, clock = systemClock, elapsed = () => performance.now(), restMs = leastRestMs } = options;
  const listeners = new Set<() => void>();
  const closing = new AbortController();
  let state: DiskState = { isReading: false, readAt: null, usage: null, failure: '' };
  let endedAt = Number.NEGATIVE_INFINITY;
  let tookMs = 0;
  let reading: Promise<void> = Promise.resolve();

  function set(change: Partial<DiskState>): void {
    state = { ...state, ...change };
    for (const listener of listeners) listener();
  }

  async function read(): Promise<void> {
    const begunAt = elapsed();
    set({ isReading: true });
    try {
      const usage = await docker.diskUsage(closing.signal);
      set({ usage, readAt: clock.now(), failure: '' });
    } catch (error) {
      if (!closing.signal.aborted) set({ failure: inWords(error) });
    } finally {
      endedAt = elapsed();
      tookMs = endedAt - begunAt;
      if (!closing.signal.aborted) set({ isReading: false });
    }
  }

  /** Reads unless that is done now, or was a while ago at most: so many ms, or as long as it took. */
  function readUnless(ms: number): Promise<void> {
    if (state.isReading || closing.signal.aborted || elapsed() - endedAt < Math.max(ms, tookMs)) return reading;
    reading = read();
    return reading;
  }

  return {
    /** What is known now. */
    state: () => state,

    /** Somebody looks: reads where nothing is known or it is too old. Resolves when it is known, or was refused. */
    look: () => readUnless(state.failure ? retryMs : freshMs),

    /**
     * Somebody wants it anew: reads unless that was half a minute ago at most, or as long ago as it took. Resolves when
     * it is over.
     */
    refresh: () => readUnless(restMs),

    /** Calls a listener when something of it is different; returns the way to stop that. */
    onChange: (listener: () => void): (() => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    /** Ends the reading. */
    close: (): void => closing.abort(),
  };
}

/** A proxy in front of the engine's socket refuses with 403, or as if the address were not there. */
function inWords(error: unknown): string {
  if (!isProblem(error)) return 'It could not be read.';
  const isRefused = ['engine_error', 'not_found'].includes(error.code);
  if (!isRefused) return error.message;
  const words = error.message.startsWith('<') ? '' : ` (${error.message})`;
  return `The engine refuses to tell it${words}. A socket proxy has to allow GET /system/df.`;
}
