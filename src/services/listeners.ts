type Log = { warn(details: object, message: string): void };

/** Whoever wants to be told of something. */
export type Listeners<T> = ReturnType<typeof createListeners<T>>;

/** Creates a set of listeners; one that throws is logged under the given name, and keeps nothing from the others. */
export function createListeners<T = void>(log: Log, name: string) {
  const listeners = new Set<(value: T) => void>();
  return {
    /** Adds a listener; returns how to take it away. */
    add(listener: (value: T) => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },

    tell(value: T): void {
      for (const listener of listeners) {
        try {
          listener(value);
        } catch (err) {
          log.warn({ err }, `a listener of ${name} failed`);
        }
      }
    },

    clear: (): void => listeners.clear(),
  };
}
