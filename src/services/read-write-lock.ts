/** Lets many read at once, and one write while nobody reads. */
export type ReadWriteLock = ReturnType<typeof createReadWriteLock>;

/**
 * Creates a lock for work that takes several queries with pauses between them. A writer waits for the readers under way
 * only: those who come later wait for the writer, so that neither can keep the other out. Writers come one at a time.
 */
export function createReadWriteLock() {
  const readers = new Set<Promise<unknown>>();
  let writer: Promise<unknown> | undefined;

  return {
    /** Runs work during which no writer runs. */
    read: async <Result>(work: () => Promise<Result>): Promise<Result> => {
      while (writer) await writer.catch(() => {});
      const reading = work();
      readers.add(reading);
      try {
        return await reading;
      } finally {
        readers.delete(reading);
      }
    },

    /** Runs work during which nobody else runs. */
    write: async <Result>(work: () => Promise<Result>): Promise<Result> => {
      while (writer) await writer.catch(() => {});
      const writing = Promise.allSettled(readers).then(work);
      writer = writing;
      try {
        return await writing;
      } finally {
        writer = undefined;
      }
    },
  };
}
