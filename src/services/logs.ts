import type { Problem } from '../errors.ts';
import { createFilterPicker, type Picker, pickAll } from './log-context.ts';
import { cursorBefore, cursorBehind, nextCursor, parseCursor, parseLogTime, toEngineTime } from './log-cursor.ts';
import { createFollower, disorderMs, type LogFollower, type ReadOlder } from './log-follower.ts';
import {
  createWindow,
  isAfter,
  isFiltered,
  isTornFrom,
  type LogFilter,
  type LogLine,
  maxLines,
  maxPageText,
} from './log-lines.ts';
import { createLogSlices, endOfLog } from './log-slices.ts';
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
export type { LogSlice, LogSlices } from './log-slices.ts';
export type { LogEngine } from './log-source.ts';
export type { FollowQuery, LogBatch, LogGap, LogState } from './log-viewer.ts';

/** What is asked of a log: the newest `tail` lines, from a cursor or a time on, up to a time. */
export type LogQuery = LogFilter & {
  tail?: number | undefined;
  since?: string | undefined;
  until?: string | undefined;
};

/** Lines of a log in order; `cut` where the log holds older ones that match too, as far as was looked. */
export type LogPage = {
  lines: LogLine[];
  cut: boolean;
  /** Whether the line of the cursor `since` is gone though later ones are there: others may be missing between them. */
  isTorn: boolean;
};

/** Bounds that tests shorten, in ms, and whether a container is known to run, whose log then has no end. */
export type LogOptions = {
  tickMs?: number;
  minRetryMs?: number;
  maxRetryMs?: number;
  isRunning?: (id: string) => boolean;
};

const sharedTail = 100;

/** The shared log followers and bounded reads over one engine. */
export type Logs = ReturnType<typeof createLogs>;

/**
 * Creates the log service. Each followed container costs the engine one stream however many look, and this process
 * 750 lines or 250,000 characters. Close it to end every stream.
 */
export function createLogs(docker: LogEngine, options: LogOptions = {}) {
  const source = createSource(docker);
  const ticker = createTicker(options.tickMs ?? 75);
  const retry = { min: options.minRetryMs ?? 250, max: options.maxRetryMs ?? 5_000 };
  const { isRunning = () => false } = options;
  const followers = new Map<string, LogFollower>();
  const slices = createLogSlices(source);

  /**
   * Reads a page of a log with one engine call that ends: at most 5,000 lines and 4 MB of text, the newest.
   * With a filter the newest `tail` matches among the last 5,000 lines (among all, with `until`).
   * @throws Problem `invalid` for a wrong `since` or `until`, or the engine's
   */
  async function read(id: string, query: LogQuery, signal: AbortSignal): Promise<LogPage> {
    const range = toRange(query);
    const wanted = Math.min(query.tail ?? maxLines, maxLines);
    const asked = isFiltered(query) ? maxLines : wanted;
    const window = createWindow(wanted, maxPageText);
    const picker = createFilterPicker(query);
    // The engine counts its tail before it looks at `until`, so a tail would leave nothing of an older range.
    const request = { ...range.request, follow: false, ...(query.until === undefined && { tail: asked + 1 }) };
    const opened = source.open(id, request, signal);
    let first: LogLine | undefined;
    for await (const lines of opened.lines) {
      first ??= lines[0];
      for (const line of pickFrom(lines, picker, range.after)) window.push(line);
    }
    const reachesBack = first === undefined || (range.after !== undefined && !isAfter(first, range.after));
    const isMore = query.until === undefined && opened.pieces() > asked && !reachesBack;
    const isTorn = isTornFrom(range.after, first);
    return { lines: window.list(), cut: isMore || window.dropped() > 0, isTorn };
  }

  /**
   * Streams a log in batches as they come from the engine, at the pace of who reads it and with constant memory; with `follow` until the container stops.
   * `tail` counts the lines before the filter where the log is followed, after it elsewhere, where it
   * is 5,000 at most then.
   * `onOpen` is called when the engine's stream is open, which a silent container's may be long before its first line.
   * @throws Problem `invalid` for a wrong `since` or `until`, or the engine's
   */
  async function* batches(
    id: string,
    query: LogQuery & { follow?: boolean | undefined },
    signal: AbortSignal,
    onOpen?: () => void,
  ): AsyncGenerator<LogLine[]> {
    const range = toRange(query);
    const isPicked = query.tail !== undefined && (query.until !== undefined || isFiltered(query));
    if (isPicked && !query.follow) {
      const picked = await pick(id, query, signal);
      if (picked.length > 0) yield picked;
      return;
    }
    const picker = createFilterPicker(query);
    const request = { ...range.request, follow: query.follow ?? false, tail: query.tail };
    for await (const batch of source.open(id, request, signal, onOpen).lines) {
      const picked = pickFrom(batch, picker, range.after);
      if (picked.length > 0) yield picked;
    }
  }

  /** The same line by line, for who looks at each; that alone takes a microsecond or two a line. */
  async function* lines(...asked: Parameters<typeof batches>): AsyncGenerator<LogLine> {
    for await (const batch of batches(...asked)) yield* batch;
  }

  /** The newest `tail` lines of a range or with a filter, however far back they lie. */
  async function pick(id: string, query: LogQuery, signal: AbortSignal): Promise<LogLine[]> {
    const count = Math.min(query.tail ?? maxLines, maxLines);
    const place = toPlace(query);
    let slice = await slices.before(id, { ...query, ...place, count }, signal);
    let { lines } = slice;
    while (slice.isCutShort && slice.earlier !== undefined) {
      const rest = { cursor: slice.earlier, count: count - lines.length };
      slice = await slices.before(id, { ...query, ...place, ...rest }, signal);
      lines = [...slice.lines, ...lines];
    }
    return lines;
  }

  /**
   * Follows a log over the container's one shared stream. The first batch comes as soon as there are lines, then one
   * a tick (75 ms) at most; a viewer that is sent more than 500 lines in a tick gets the newest and is told how many
   * are missing. What `tail` and `since` ask for comes whole, in batches, up to 5,000 lines.
   * While the viewer has no room, a batch's worth of the newest waits. A listener that throws is closed.
   * @throws Problem `invalid` for a wrong `since`
   */
  function follow(
    id: string,
    query: FollowQuery,
    onBatch: (batch: LogBatch) => void,
    onState: (state: LogState, reason?: Problem) => void = () => {},
    hasRoom: () => boolean = () => true,
  ): { close(): void } {
    const wanted = { ...query, tail: Math.min(query.tail, maxLines), since: query.since && parseCursor(query.since) };
    const follower = followers.get(id) ?? open(id, wanted);
    const close = () => leave(follower, viewer);
    const viewer = createViewer(wanted, ticker, onBatch, onState, close, hasRoom);
    follower.join(viewer);
    return { close };
  }

  const readOlder: ReadOlder = async (id, { lead, ...query }, signal) => {
    const page = await read(id, query, signal);
    if (lead === undefined || query.since === undefined) return page;
    const upTo = await slices.before(id, { cursor: nextCursor(query.since), count: lead }, signal);
    return { ...page, lines: [...upTo.lines, ...page.lines] };
  };

  function open(id: string, query: FollowQuery): LogFollower {
    const tail = query.since === undefined ? Math.min(query.tail, sharedTail) : sharedTail;
    const follower = createFollower(id, tail, source, readOlder, retry, () => isRunning(id));
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
    batches,
    lines,
    follow,
    /** Pages of the log at any place. */
    slices,
    /** The lines behind a cursor, where the log is followed and so many of them are held: they cost the engine nothing. */
    heldBehind: (id: string, cursor: string) => followers.get(id)?.heldBehind(cursor),
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

/** The cursors between which the lines of a query lie, as slices take them. */
export function toPlace({ since, until }: Pick<LogQuery, 'since' | 'until'>) {
  return {
    cursor: until === undefined ? endOfLog : cursorBehind(parseLogTime('until', until)),
    since: since === undefined ? undefined : cursorBefore(parseLogTime('since', since)),
  };
}

/** What a picker shows of lines behind a cursor; those before it tell what stands around. */
function pickFrom(lines: LogLine[], picker: Picker, after: string | undefined): LogLine[] {
  return pickAll(picker, lines).filter((line) => isAfter(line, after));
}

function toRange(query: LogQuery) {
  const since = query.since === undefined ? undefined : parseLogTime('since', query.since);
  const until = query.until === undefined ? undefined : parseLogTime('until', query.until);
  const from = since?.after ? toEngineTime(since.after, disorderMs) : since?.engine;
  return { after: since?.after, request: { since: from, until: until?.engine } };
}
