/** Whether anybody looks: only then the engine is asked whether it still answers. */
export type Attention = ReturnType<typeof createAttention>;

/** Creates the attention; who has glanced is taken to look for `lingerMs` more. */
export function createAttention(lingerMs = 60_000) {
  const waiting = new Set<() => void>();
  let holders = 0;
  let glancedUntil = 0;

  const isPaid = () => holders > 0 || performance.now() < glancedUntil;

  function wake() {
    for (const resolve of waiting) resolve();
    waiting.clear();
  }

  return {
    /** Somebody looks once. */
    glance(): void {
      glancedUntil = performance.now() + lingerMs;
      wake();
    },

    /** Somebody looks until the function that this returns is called. */
    hold(): () => void {
      let isHeld = true;
      holders++;
      wake();
      return () => {
        if (isHeld) holders--;
        isHeld = false;
      };
    },

    /** Resolves as soon as somebody looks, or when the signal aborts. */
    async paid(signal: AbortSignal): Promise<void> {
      if (isPaid() || signal.aborted) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const end = () => resolve();
      waiting.add(end);
      signal.addEventListener('abort', end, { once: true });
      await promise;
      waiting.delete(end);
      signal.removeEventListener('abort', end);
    },
  };
}
