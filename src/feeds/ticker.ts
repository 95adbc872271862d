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
