/** Time as a service sees it, so that tests can hold it in their hands. */
export type Clock = {
  /** ms since 1970. */
  now: () => number;
  /** Runs something once, after some ms, unless the returned function is called before. */
  after: (ms: number, run: () => void) => () => void;
};

/** The machine's time; what waits for it does not keep the process alive. */
export const systemClock: Clock = {
  now: Date.now,
  after: (ms, run) => {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
};
