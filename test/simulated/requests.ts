import type { EngineStream } from './streams.ts';

/** The answers that go on. */
export type StreamKind = 'logs' | 'events' | 'stats' | 'pull' | 'wait';

/** One request as the engine saw it. */
export interface RecordedRequest {
  readonly method: string;
  /** Without the `/v1.NN` prefix and the query, decoded. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly apiVersion: string | null;
  /** When it came and when its answer was over or cut, in milliseconds of `performance.now()`. */
  readonly at: number;
  closedAt: number | null;
  status: number | null;
  /** Set as soon as the answer goes on: a follow, a stream of events or stats, a pull. */
  kind: StreamKind | null;
  /** The full id of the container it is about. */
  containerId: string | null;
  stream: EngineStream | null;
}

/** What was asked of the engine. */
export type RequestLog = ReturnType<typeof createRequestLog>;

/** Creates a list of requests that keeps the latest `limit`. */
export function createRequestLog(limit: number) {
  const all: RecordedRequest[] = [];
  const open = new Set<RecordedRequest>();

  return {
    all,
    add(request: RecordedRequest) {
      all.push(request);
      open.add(request);
      if (all.length > limit * 2) all.splice(0, all.length - limit);
    },
    close(request: RecordedRequest) {
      request.closedAt = performance.now();
      request.stream = null;
      open.delete(request);
    },
    open: () => [...open],
  };
}
