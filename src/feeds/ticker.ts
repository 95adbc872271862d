import type { Fail } from '../services/live.ts';

/**
 * Guards what a timer or a listener runs: what it throws ends this feed, and neither the program nor what else listens.
 */
export function guard<A extends unknown[]>(fail: Fail, task: (...args: A) => void): (...args: A) => void {
  return (...args) => {
    try {
      task(...args);
    } catch (error) {
      fail(error);
    }
  };
}

/**
 * Runs a task when asked: at once after a pause, and at most once each `intervalMs` while asked again and again.
 * Returns how to ask and how to stop.
 */
export function createThrottle(task: () => void, intervalMs: number) {
  let timer: NodeJS.Timeout | undefined;
  let immediate: NodeJS.Immediate | undefined;
  let lastRun = Number.NEGATIVE_INFINITY;

  function run() {
    timer = undefined;
    immediate = undefined;
    lastRun = performance.now();
    task();
  }

  return {
    ask() {
      if (timer || immediate) return;
      const wait = lastRun + intervalMs - performance.now();
      if (wait > 0) timer = setTimeout(run, wait);
      else immediate = setImmediate(run);
    },
    stop() {
      clearTimeout(timer);
      clearImmediate(immediate);
    },
  };
}
