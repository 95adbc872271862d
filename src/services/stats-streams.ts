import type { Clock } from './clock.ts';
import * as shapes from './docker-shapes.ts';
import type { EngineStats } from './docker-types.ts';

/** What the following of several stats streams needs and tells. */
export type StatsStreamsOptions = {
  docker: { followStats: (id: string, signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>> };
  clock: Clock;
  onFailure: () => void;
};

type Stream = { controller: AbortController; line: string | undefined; heardAt: number };

// An engine sends one line a second; a hung one keeps its streams open and says nothing.
const silenceMs = 5_000;
const maxLineLength = 1_000_000;

/** Creates a keeper of stats streams, one for each container; of each, only the newest line is kept, unread. */
export function createStatsStreams({ docker, clock, onFailure }: StatsStreamsOptions) {
  const streams = new Map<string, Stream>();

  function open(id: string): void {
    const stream: Stream = { controller: new AbortController(), line: undefined, heardAt: clock.now() };
    streams.set(id, stream);
    void read(id, stream);
  }

  async function read(id: string, stream: Stream): Promise<void> {
    const { signal } = stream.controller;
    try {
      const answer = await docker.followStats(id, signal);
      for await (const line of lines(answer)) {
        if (signal.aborted) break;
        stream.line = line;
        stream.heardAt = clock.now();
      }
    } catch {
      if (!signal.aborted) onFailure();
    } finally {
      if (streams.get(id) === stream) streams.delete(id);
    }
  }

  function drop(id: string): void {
    streams.get(id)?.controller.abort();
    streams.delete(id);
  }

  return {
    /** Follows exactly these containers: opens what is missing, ended or silent for 5 s, closes the others. */
    follow: (ids: ReadonlySet<string>) => {
      for (const [id, stream] of streams) {
        if (!ids.has(id) || clock.now() - stream.heardAt > silenceMs) drop(id);
      }
      for (const id of ids) if (!streams.has(id)) open(id);
    },

    /** The newest sample of each stream that has had one since the last time. */
    take: (): [string, EngineStats][] =>
      [...streams].flatMap(([id, stream]) => {
        const sample = parse(stream.line);
        stream.line = undefined;
        return sample ? [[id, sample]] : [];
      }),

    /** Ends one stream. */
    drop,

    /** Ends all. */
    close: () => {
      for (const id of [...streams.keys()]) drop(id);
    },
  };
}

/** The whole lines of a stream; a line, and a character, may be split over chunks. */
async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > maxLineLength) throw new Error('A line of figures is longer than 1 MB.');
    yield* parts.filter((part) => part.trim() !== '');
  }
}

function parse(line: string | undefined): EngineStats | undefined {
  if (line === undefined) return undefined;
  try {
    return shapes.stats(JSON.parse(line));
  } catch {
    return undefined;
  }
}
