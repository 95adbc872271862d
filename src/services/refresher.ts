const retryMs = 500;
const patienceMs = 1_000;
const maxCalls = 2;

/** Collects keys to be refreshed and refreshes them together. */
export type Refresher<K> = ReturnType<typeof createRefresher<K>>;

/**
 * Creates a collector: the first key of a burst is refreshed at once, one that was refreshed less than `coalesceMs` ago
 * waits until then, and all that are due go into one call. One call runs at a time; what comes meanwhile waits for its
 * end, so that a slow engine is asked less often, not more. A call that takes longer than `slowMs` holds nobody up any
 * more: one other may run beside it. What a failed call asked for is asked again.
 */
export function createRefresher<K>(
  refresh: (keys: readonly K[]) => Promise<void>,
  coalesceMs: number,
  slowMs = patienceMs,
) {
  const dueAt = new Map<K, number>();
  const refreshedAt = new Map<K, number>();
  let timer: NodeJS.Timeout | undefined;
  let immediate: NodeJS.Immediate | undefined;
  const calls = new Set<{ isSlow: boolean }>();
  let generation = 0;

  function add(key: K) {
    if (dueAt.has(key)) return;
    dueAt.set(key, Math.max(performance.now(), (refreshedAt.get(key) ?? 0) + coalesceMs));
    arm();
  }

  function arm() {
    if (!mayCall() || dueAt.size === 0) return;
    disarm();
    const wait = Math.min(...dueAt.values()) - performance.now();
    // Events arrive many to a chunk: the next turn of the loop sees them all.
    if (wait <= 0) immediate = setImmediate(flush);
    else timer = setTimeout(flush, wait);
  }

  const mayCall = () => calls.size < maxCalls && [...calls].every(({ isSlow }) => isSlow);

  function disarm() {
    clearTimeout(timer);
    clearImmediate(immediate);
  }

  async function flush() {
    const now = performance.now();
    const keys = [...dueAt].filter(([, due]) => due <= now).map(([key]) => key);
    // A timer may fire a moment before the time that the clock tells.
    if (keys.length === 0) return arm();
    for (const key of keys) {
      dueAt.delete(key);
      refreshedAt.set(key, now);
    }
    await call(keys);
    arm();
  }

  async function call(keys: readonly K[]) {
    const started = generation;
    const running = { isSlow: false };
    calls.add(running);
    const slow = setTimeout(() => {
      running.isSlow = true;
      arm();
    }, slowMs);
    await refresh(keys).catch(() => {
      if (generation === started) for (const key of keys) dueAt.set(key, performance.now() + retryMs);
    });
    clearTimeout(slow);
    calls.delete(running);
  }

  return {
    add,
    /** Forgets when keys were refreshed, so that those which are gone don't pile up. */
    forget: () => refreshedAt.clear(),
    /** Drops all that waits. */
    clear: () => {
      generation++;
      disarm();
      dueAt.clear();
      refreshedAt.clear();
    },
  };
}
