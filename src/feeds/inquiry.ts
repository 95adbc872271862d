import { isProblem } from '../errors.ts';
import { createThrottle } from './ticker.ts';

/** What is asked of the engine for a feed, and whom its answer is for. */
export type Inquiry<T> = {
  ask: () => Promise<T>;
  /** Whether there is anybody to ask; whatever changes that asks anew. */
  canAsk: () => boolean;
  onAnswer: (answer: T) => void;
  /** The engine has not got it. */
  onGone?: () => void;
};

/** Bounds in ms: between two calls, and between a call that failed and the next. */
export type InquiryTimings = { inspect: number; firstRetry: number; lastRetry: number };

/**
 * Asks the engine one call at a time, as often as wanted within the bounds. A call that failed is tried again, ever
 * more slowly, until it is closed.
 */
export function createInquiry<T>({ ask, canAsk, onAnswer, onGone }: Inquiry<T>, timings: InquiryTimings) {
  let isClosed = false;
  let isStale = false;
  let running: Promise<void> | undefined;
  let retry: NodeJS.Timeout | undefined;
  let delay = timings.firstRetry;
  const throttle = createThrottle(() => void now(), timings.inspect);

  function now(): Promise<void> {
    isStale = true;
    running ??= askUntilFresh().finally(() => {
      running = undefined;
    });
    return running;
  }

  async function askUntilFresh() {
    while (isStale && !isClosed) {
      isStale = false;
      await askOnce();
    }
  }

  async function askOnce() {
    clearTimeout(retry);
    if (!canAsk()) return;
    const answer = await ask().catch(onFailure);
    if (answer === undefined || isClosed) return;
    delay = timings.firstRetry;
    onAnswer(answer);
  }

  function onFailure(error: unknown): undefined {
    if (isClosed) return;
    if (isProblem(error, 'not_found')) return onGone?.() as undefined;
    clearTimeout(retry);
    retry = setTimeout(throttle.ask, delay);
    delay = Math.min(delay * 2, timings.lastRetry);
  }

  return {
    /** Asks soon, and again after the call that is on its way. */
    ask: throttle.ask,
    /** Asks at once; resolves when there is an answer or none can be had. */
    now,
    close() {
      isClosed = true;
      clearTimeout(retry);
      throttle.stop();
    },
  };
}
