import type { Problem } from '../errors.ts';
import { parseCursor, parseLogTime, toEngineTime } from './log-cursor.ts';
import { createFollower, disorderMs, type LogFollower } from './log-follower.ts';
import {
  createFilter,
  createWindow,
  isAfter,
  isFiltered,
  type LogFilter,
  type LogLine,
  maxLines,
} from './log-lines.ts';
import { createSource, type LogEngine } from './log-source.ts';
import {
  createTicker,
  createViewer,
  type FollowQuery,
  type LogBatch,
  type LogState,
  type LogViewer,
} from './log-viewer.ts';

export type { LogFilter, LogLine } from './log-lines.ts';
export type { LogEngine } from './log-source.ts';
export type { FollowQuery, LogBatch, LogGap, LogState } from './log-viewer.ts';

/** What is asked of a log: the newest `tail` lines, from a cursor or a time on, up to a time. */
export type LogQuery = LogFilter & {
  tail?: number | undefined;
  since?: string | undefined;
  until?: string | undefined;
};

/** Lines of a log in order; `cut` where the log holds older ones that match too, as far as was looked. */
export type LogPage = { lines: LogLine[]; cut: boolean };

/** Bounds that tests shorten, in ms, and whether a container is known to run, whose log then has no end. */
export type LogOptions = {
  tickMs?: number;
  minRetryMs?: number;
  maxRetryMs?: number;
  isRunning?: (id: string) => boolean;
};

const maxPageText = 4_000_000;
const sharedTail = 100;

/** The shared log followers and bounded reads over one engine. */
export type Logs = ReturnType<typeof createLogs>;

/**
 * Creates the log service. Each followed container costs the engine one stream however many look, and this process
 * 5,000 lines or 1 MB of text. Close it to end every stream.
 */
export function createLogs(docker: LogEngine, options: LogOptions = {}) {
  const source = createSource(docker);
  const ticker = createTicker(options.tickMs ?? 75);
  const retry = { min: options.minRetryMs ?? 250, max: options.maxRetryMs ?? 5_000 };
  const { isRunning = () => false } = options;
  const followers = new Map<string, LogFollower>();

  /**
   * Reads a page of a log with one engine call that ends: at most 5,000 lines and 4 MB of text, the newest.
   * With `stream`, `q` the newest `tail` matches among the last 5,000 lines (among all, with `until`).
   * @throws Problem `invalid` for a wrong `since` or `until`, or the engine's
   */
  async function read(id: string, query: LogQuery, signal: AbortSignal): Promise<LogPage> {
    const range = toRange(query);
    const wanted = Math.min(query.tail ?? maxLines, maxLines);
    const asked = isFiltered(query) ? maxLines : wanted;
    const window = createWindow(wanted, maxPageText);
    const isWanted = createFilter(query);
    // The engine counts its tail before it looks at `until`, so a tail would leave nothing of an older range.
    const request = { ...range.request, follow: false, ...(query.until === undefined && { tail: asked + 1 }) };
    const opened = source.open(id, request, signal);
    let first: LogLine | undefined;
    for await (const lines of opened.lines) {
      first ??= lines[0];
      for (const line of lines) if (isAfter(line, range.after) && isWanted(line)) window.push(line);
    }
    const reachesBack = first === undefined || (range.after !== undefined && !isAfter(first, range.after));
    const isMore = query.until === undefined && opened.pieces() > asked && !reachesBack;
    return { lines: window.list(), cut: isMore || window.dropped() > 0 };
  }

  /**
   * Streams a log, at the pace of who reads it and with constant memory; with `follow` until the container stops.
   * `tail` counts the lines before `stream` and `q` are looked at where the log is followed, after it elsewhere.
   * `onOpen` is called when the engine's stream is open, which a silent container's may be long before its first line.
   * @throws Problem `invalid` for a wrong `since` or `until`, or the engine's
   */
  async function* lines(
    id: string,
    query: LogQuery & { follow?: boolean | undefined },
    signal: AbortSignal,
    onOpen?: () => void,
  ): AsyncGenerator<LogLine> {
    const range = toRange(query);
    const isPicked = query.tail !== undefined && (query.until !== undefined || isFiltered(query));
    if (isPicked && !query.follow) {
      yield* (await read(id, query, signal)).lines;
      return;
    }
    const isWanted = createFilter(query);
    const request = { ...range.request, follow: query.follow ?? false, tail: query.tail };
    for await (const batch of source.open(id, request, signal, onOpen).lines) {
      for (const line of batch) if (isAfter(line, range.after) && isWanted(line)) yield line;
    }
  }

  /**
   * Follows a log over the container's one shared stream. The first batch comes as soon as there are lines, then one
   * a tick (75 ms) at most; a viewer that is sent more than 500 lines in a tick gets the newest and is told how many
   * are missing. What `tail` and `since` ask for comes whole, in batches, up to 5,000 lines.
   * A listener that throws is closed.
   * @throws Problem `invalid` for a wrong `since`
   */
  function follow(
    id: string,
    query: FollowQuery,
    onBatch: (batch: LogBatch) => void,
    onState: (state: LogState, reason?: Problem) => void = () => {},
  ): { close(): void } {
    const wanted = { ...query, tail: Math.min(query.tail, maxLines), since: query.since && parseCursor(query.since) };
    const follower = followers.get(id) ?? open(id, wanted);
    const close = () => leave(follower, viewer);
    const viewer = createViewer(wanted, ticker, onBatch, onState, close);
    follower.join(viewer);
    return { close };
  }

  function open(id: string, query: FollowQuery): LogFollower {
    const tail = query.since === undefined ? Math.min(query.tail, sharedTail) : sharedTail;
    const follower = createFollower(id, tail, source, read, retry, () => isRunning(id));
    followers.set(id, follower);
    return follower;
  }

  function leave(follower: LogFollower, viewer: LogViewer): void {
    viewer.close();
    if (follower.leave(viewer) > 0) return;
    follower.close();
    if (followers.get(follower.id) === follower) followers.delete(follower.id);
  }

  return {
    read,
    lines,
    follow,
    /** Says that a container has started: its log is followed on from where it ended. */
    resume: (id: string) => followers.get(id)?.resume(),
    /** Says that the engine is back: every log whose stream is gone is followed on. */
    resumeAll: () => {
      for (const follower of followers.values()) follower.resume();
    },
    /** How many log streams of the engine are open now, those of single reads too. */
    openStreams: () => source.count(),
    /** Ends every followed log and its timers; reads end with their own signals. */
    close: () => {
      for (const follower of followers.values()) follower.close();
      followers.clear();
      ticker.close();
    },
  };
}

function toRange(query: LogQuery) {
  const since = query.since === undefined ? undefined : parseLogTime('since', query.since);
  const until = query.until === undefined ? undefined : parseLogTime('until', query.until);
  const from = since?.after ? toEngineTime(since.after, disorderMs) : since?.engine;
  return { after: since?.after, request: { since: from, until: until?.engine } };
}
