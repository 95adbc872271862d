import { setTimeout as sleep } from 'node:timers/promises';

/** The last lines of a container's log: those there are, or with a signal those until its end. */
export type LastLines = (id: string, untilEnd?: AbortSignal) => Promise<string[]>;

/** What containers said before they failed. */
export type LastWords = ReturnType<typeof createLastWords>;

/** A busy engine takes a second and more to give them. */
const wordsMs = 3_000;

type Listening = { lines: Promise<string[]>; end: () => void };

/** Creates the reading of what containers said last, also of those that take their log along when they end. */
export function createLastWords(lastLines: LastLines) {
  const listening = new Map<string, Listening>();
  return {
    /** Reads a log as it is written, until `end` or the container's end. */
    listen(id: string, closing: AbortSignal): void {
      const reading = new AbortController();
      const lines = lastLines(id, AbortSignal.any([closing, reading.signal]));
      lines.catch(() => {});
      listening.set(id, { lines, end: () => reading.abort() });
    },

    /** What a container said, as far as that is known within 3 s; none where nothing tells. */
    async of(id: string): Promise<string[]> {
      const bound = new AbortController();
      const lines = listening.get(id)?.lines ?? lastLines(id);
      try {
        return await Promise.race([lines, sleep(wordsMs, [], { signal: bound.signal })]).catch(() => []);
      } finally {
        bound.abort();
      }
    },

    end(id: string): void {
      listening.get(id)?.end();
      listening.delete(id);
    },
  };
}
