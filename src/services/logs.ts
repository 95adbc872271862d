import type { IncomingMessage } from 'node:http';
import { addAbortSignal } from 'node:stream';
import { isProblem, Problem } from '../errors.ts';
import { stripAnsi } from './ansi.ts';
import type { DockerPort, LogRequest } from './docker.ts';
import {
  compareCursors,
  createNumbering,
  cursorDate,
  cursorTime,
  parseCursor,
  parseLogTime,
  toEngineTime,
} from './log-cursor.ts';
import { createLogReader, type LogStreamName } from './log-stream.ts';

/** One line of a container's log; `since=<cursor>` continues right after it. */
export type LogLine = {
  /** RFC 3339, UTC, nine decimals. */
  at: string;
  cursor: string;
  stream: LogStreamName;
  text: string;
  container: string;
};

/** Which lines are wanted: of one output, holding a text (whatever its case, colours aside). */
export type LogFilter = { stream?: LogStreamName | undefined; q?: string | undefined };

/** What is asked of a log: the newest `tail` lines, from a cursor or a time on, up to a time. */
export type LogQuery = LogFilter & {
  tail?: number | undefined;
  since?: string | undefined;
  until?: string | undefined;
};

/** Lines of a log in order; `cut` where the log holds older ones that match too, as far as was looked. */
export type LogPage = { lines: LogLine[]; cut: boolean };

/** What is missing before a batch: so many lines, or all since a time when nobody counted. */
export type LogGap = { lines: number } | { since: string };

/** New lines for a viewer, at most 500, the same objects for all viewers. */
export type LogBatch = { lines: readonly LogLine[]; gap?: LogGap };

/** How a followed log does: its stream is open, has ended with its container, or broke and is tried again. */
export type LogState = 'following' | 'ended' | 'retrying';

/** What a viewer wants: the newest `tail` lines, or all after the cursor `since`, then every new one. */
export type FollowQuery = LogFilter & { tail: number; since?: string | undefined };

/** Bounds that tests shorten, in ms. */
export type LogOptions = { tickMs?: number; minRetryMs?: number; maxRetryMs?: number };

/** The part of the engine that logs need. */
export type LogEngine = Pick<DockerPort, 'containerLogs'>;

type Viewer = ReturnType<typeof createViewer>;
type Follower = ReturnType<typeof createFollower>;

const maxLines = 5_000;
const maxRingText = 1_000_000;
const maxPageText = 4_000_000;
const maxBatchLines = 500;
const sharedTail = 100;
const nearTail = 1_000;
/** Both outputs are stamped before they are written, so the log is out of order by some milliseconds. */
const disorderMs = 100;
/** The engine sends what was missed in this time, 15,000 lines a second. */
const catchUpMs = 1_000;
/** A stream that was open so long was whole: the next failure is a new one. */
const steadyMs = 5_000;

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
  const followers = new Map<string, Follower>();

  /**
   * Reads a page of a log with one engine call that ends: at most 5,000 lines and 4 MB of text, the newest.
   * With `stream`, `q` the newest `tail` matches among the last 5,000 lines (all, with `since` or `until`).
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
   * @throws Problem `invalid` for a wrong `since` or `until`, or the engine's
   */
  async function* lines(
    id: string,
    query: LogQuery & { follow?: boolean | undefined },
    signal: AbortSignal,
  ): AsyncGenerator<LogLine> {
    const range = toRange(query);
    const isPicked = query.tail !== undefined && (query.until !== undefined || isFiltered(query));
    if (isPicked && !query.follow) {
      yield* (await read(id, query, signal)).lines;
      return;
    }
    const isWanted = createFilter(query);
    const request = { ...range.request, follow: query.follow ?? false, tail: query.tail };
    for await (const batch of source.open(id, request, signal).lines) {
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

  function open(id: string, query: FollowQuery): Follower {
    const tail = query.since === undefined ? Math.min(query.tail, sharedTail) : sharedTail;
    const follower = createFollower(id, tail, source, read, retry);
    followers.set(id, follower);
    return follower;
  }

  function leave(follower: Follower, viewer: Viewer): void {
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

/** The engine's log streams as batches of numbered lines, counted while they are open. */
function createSource(docker: LogEngine) {
  let count = 0;

  /** The chunks of one engine stream, which ends with the signal, with its reader, or by itself. */
  async function* chunks(id: string, request: LogRequest, signal: AbortSignal, onOpen: () => void) {
    const answer = await docker.containerLogs(id, request, signal);
    count += 1;
    try {
      addAbortSignal(signal, answer);
      onOpen();
      yield* answer as AsyncIterable<Buffer>;
    } catch (error) {
      throw signal.aborted ? signal.reason : toProblem(error);
    } finally {
      count -= 1;
      discard(answer);
    }
  }

  function open(id: string, request: LogRequest, signal: AbortSignal, onOpen: () => void = () => {}) {
    let batch: LogLine[] = [];
    let number: ((at: string) => string) | undefined;
    let uncertainTime: string | undefined;
    const reader = createLogReader((at, stream, text) => {
      batch.push({ at, cursor: '', stream, text, container: id });
    });

    async function* run(): AsyncGenerator<LogLine[]> {
      for await (const chunk of chunks(id, request, signal, onOpen)) yield* take(() => reader.push(chunk), false);
      yield* take(reader.end, true);
    }

    /** What was read up to an error comes before the error. */
    async function* take(step: () => void, isLast: boolean): AsyncGenerator<LogLine[]> {
      let fault: { error: unknown } | undefined;
      try {
        step();
      } catch (error) {
        fault = { error };
      }
      if (batch.length > 0) number ??= await begin(isLast || fault !== undefined);
      if (number && batch.length > 0) yield numbered(number);
      if (fault) throw fault.error;
    }

    function numbered(next: (at: string) => string): LogLine[] {
      const lines = batch;
      batch = [];
      for (const line of lines) line.cursor = next(line.at);
      return lines;
    }

    /**
     * The numbering of this stream. Where several lines of one time stand first, a tail may have cut their group, and
     * the log is asked for the whole of it; nothing yet where it is not clear whether the rest is still to come.
     */
    async function begin(isLast: boolean): Promise<typeof number> {
      const at = batch[0]?.at ?? '';
      const isGroup = batch[1]?.at === at || request.tail === 1;
      if (!request.tail) return createNumbering();
      if (!isGroup) uncertainTime = cursorTime(createNumbering()(at));
      const isCut = reader.pieces() >= request.tail;
      if (!isGroup || (isLast && !isCut)) return createNumbering();
      const end = batch.findIndex((line) => line.at !== at);
      const before = await countBefore(id, at, end < 0 ? batch.length : end, signal);
      return end < 0 && !isCut && before > 0 ? undefined : createNumbering(before);
    }

    return {
      lines: run(),
      /** How many messages of the engine were read, as its `tail` counts them. */
      pieces: reader.pieces,
      /** The time of the first line where nobody knows how many lines of the same time lie before it. */
      uncertainTime: () => uncertainTime,
    };
  }

  /** How many lines of a time lie before the last `known` ones; the end of the log is asked first, as that is quick. */
  async function countBefore(id: string, at: string, known: number, signal: AbortSignal): Promise<number> {
    const cursor = createNumbering()(at);
    const since = toEngineTime(cursor);
    const near = await countAt(id, at, { follow: false, tail: nearTail, since }, signal);
    if (near.lines >= known && near.pieces < nearTail) return near.lines - known;
    const all = await countAt(id, at, { follow: false, since, until: toEngineTime(cursor, -1) }, signal);
    return Math.max(0, all.lines - known);
  }

  async function countAt(id: string, at: string, request: LogRequest, signal: AbortSignal) {
    let lines = 0;
    const reader = createLogReader((lineAt) => {
      if (lineAt === at) lines += 1;
    });
    for await (const chunk of chunks(id, request, signal, () => {})) reader.push(chunk);
    reader.end();
    return { lines, pieces: reader.pieces() };
  }

  return { open, count: () => count };
}

/** Ends a stream that nobody reads any more; whatever it still has to say about that is of no use. */
function discard(answer: IncomingMessage): void {
  answer.on('error', () => {});
  answer.destroy();
}

function toProblem(error: unknown): Problem {
  if (isProblem(error)) return error;
  const words = error instanceof Error ? error.message : String(error);
  return new Problem('engine_error', 'The log stream of the engine broke off.', words);
}

/** One container's log: its one engine stream, its newest lines, and who looks. */
function createFollower(
  id: string,
  openedTail: number,
  source: ReturnType<typeof createSource>,
  read: (id: string, query: LogQuery, signal: AbortSignal) => Promise<LogPage>,
  retry: { min: number; max: number },
) {
  const ring = createWindow(maxLines, maxRingText);
  const viewers = new Set<Viewer>();
  const ended = new AbortController();
  let last: string | undefined;
  let uncertainTime: string | undefined;
  let wasOpen = false;
  let state: { name: LogState; reason: Problem | undefined } | undefined;
  let wake: (() => void) | undefined;
  let resumed = false;

  async function run(): Promise<void> {
    for (let failures = 0; !ended.signal.aborted; ) {
      const before = last;
      const started = performance.now();
      try {
        await followOnce();
        failures = 0;
        tell('ended');
        await pause();
      } catch (error) {
        if (ended.signal.aborted) return;
        const problem = toProblem(error);
        if (problem.code === 'not_found') {
          tell('ended', problem);
          await pause();
          continue;
        }
        tell('retrying', problem);
        if (last !== before || performance.now() - started > steadyMs) failures = 0;
        await pause(Math.min(retry.min * 2 ** failures, retry.max));
        failures = Math.min(failures + 1, 16);
      }
    }
  }

  async function followOnce(): Promise<void> {
    const after = last;
    const stream = new AbortController();
    const stop = () => stream.abort();
    ended.signal.addEventListener('abort', stop, { once: true });
    try {
      const opened = source.open(id, nextRequest(), stream.signal, () => {
        wasOpen = true;
        tell('following');
        if (after !== undefined) for (const viewer of viewers) viewer.catchUp();
      });
      for await (const lines of opened.lines) {
        if (last === undefined) uncertainTime = opened.uncertainTime();
        receive(after === undefined ? lines : afterCursor(lines, after));
      }
    } finally {
      ended.signal.removeEventListener('abort', stop);
    }
  }

  /** Where to go on: after the last line seen, or at the start of a log that was empty when it was first followed. */
  function nextRequest(): LogRequest {
    if (last !== undefined) return { follow: true, since: toEngineTime(last, disorderMs) };
    return wasOpen && openedTail > 0 ? { follow: true } : { follow: true, tail: openedTail };
  }

  function receive(lines: LogLine[]): void {
    const newest = lines.at(-1);
    if (!newest || ended.signal.aborted) return;
    last = newest.cursor;
    for (const viewer of viewers) {
      if (viewer.isWaiting()) decide(viewer, [], lines[0]);
      viewer.take(lines);
    }
    for (const line of lines) ring.push(line);
  }

  function join(viewer: Viewer): void {
    viewers.add(viewer);
    if (state) viewer.tell(state.name, state.reason);
    const held = ring.list();
    if (held.length > 0 || openedTail === 0) decide(viewer, held, held[0]);
  }

  /** Whether the lines held, or the stream's first line, answer what a viewer wants; else reads the rest. */
  function decide(viewer: Viewer, held: LogLine[], head: LogLine | undefined): void {
    const { since, tail } = viewer.query;
    const wanted = held.filter(viewer.wants);
    viewer.start(since === undefined ? newest(wanted, tail) : wanted);
    const isCovered = since === undefined ? hasTail(viewer.query, wanted.length) : reachesBackTo(since, head);
    if (isCovered) viewer.goLive();
    else void fill(viewer, head);
  }

  function hasTail(query: FollowQuery, found: number): boolean {
    const isWhole = query.tail <= openedTail && ring.dropped() === 0 && !isFiltered(query);
    return query.tail <= found || isWhole;
  }

  function reachesBackTo(cursor: string, head: LogLine | undefined): boolean {
    if (cursorTime(cursor) === uncertainTime) return false;
    const oldest = ring.lastDropped()?.cursor ?? head?.cursor;
    return oldest !== undefined && compareCursors(oldest, cursor) <= 0;
  }

  /** Reads what lies before the first line a viewer has from here, and puts it in front. */
  async function fill(viewer: Viewer, head: LogLine | undefined): Promise<void> {
    const { since, tail, stream, q } = viewer.query;
    viewer.expect(head);
    try {
      const page = await read(id, since === undefined ? { tail, stream, q } : { since, stream, q }, ended.signal);
      const isGap = since !== undefined && page.cut;
      viewer.fill(page.lines, uncertainTime, isGap ? { since: cursorDate(since) } : undefined);
    } catch {
      viewer.fill([], uncertainTime, since === undefined ? undefined : { since: cursorDate(since) });
    }
  }

  function tell(name: LogState, reason?: Problem): void {
    if (ended.signal.aborted || (state?.name === name && state.reason?.message === reason?.message)) return;
    state = { name, reason };
    for (const viewer of viewers) viewer.tell(name, reason);
  }

  /** Waits for `resume`, or so many ms; not at all where it was called while the stream was still open. */
  async function pause(ms?: number): Promise<void> {
    if (!resumed && !ended.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms).unref();
      wake = resolve;
      await promise;
      clearTimeout(timer);
      wake = undefined;
    }
    resumed = false;
  }

  function resume(): void {
    // A container can be up again before the end of its old stream was read: the end then finds this mark.
    resumed = true;
    wake?.();
  }

  void run();
  return {
    id,
    join,
    resume,
    /** Takes a viewer out and says how many are left. */
    leave: (viewer: Viewer) => {
      viewers.delete(viewer);
      return viewers.size;
    },
    close: () => {
      ended.abort();
      wake?.();
      for (const viewer of viewers) viewer.close();
    },
  };
}

/** One who looks: what it wants, what waits for it, and how far the join with older lines has come. */
function createViewer(
  query: FollowQuery,
  ticker: ReturnType<typeof createTicker>,
  onBatch: (batch: LogBatch) => void,
  onState: (state: LogState, reason?: Problem) => void,
  leave: () => void,
) {
  const wants = createFilter(query);
  const pending = createWindow(maxBatchLines, maxRingText);
  let phase: 'waiting' | 'filling' | 'live' | 'closed' = 'waiting';
  let after = query.since;
  let backlog: LogLine[] = [];
  let backlogGap: LogGap | undefined;
  let head: LogLine | undefined;
  let caughtUpAt = 0;

  function start(lines: LogLine[]): void {
    backlog = after === undefined ? lines : afterCursor(lines, after);
  }

  /**
   * Keeps more than a batch for a while from the next line on: lines that were missed are wanted, and come at once.
   * Where even that is too much, it is a flood as any other.
   */
  function catchUp(): void {
    pending.limit(maxLines);
    caughtUpAt = Number.POSITIVE_INFINITY;
  }

  function expect(first: LogLine | undefined): void {
    phase = 'filling';
    catchUp();
    head = first;
  }

  function take(lines: readonly LogLine[]): void {
    if (phase === 'closed') return;
    if (phase === 'filling') head ??= lines[0];
    for (const line of lines) {
      if (after !== undefined && compareCursors(line.cursor, after) <= 0) continue;
      after = undefined;
      if (wants(line)) pending.push(line);
    }
    if (caughtUpAt === Number.POSITIVE_INFINITY) caughtUpAt = performance.now() + catchUpMs;
    if (pending.dropped() > 0) pending.limit(maxBatchLines);
    schedule();
  }

  function fill(older: LogLine[], uncertainTime: string | undefined, gap: LogGap | undefined): void {
    const before = head ? olderThan(head, older, uncertainTime) : older;
    if (!head) after = older.at(-1)?.cursor ?? after;
    const joined = [...before, ...backlog];
    backlog = query.since === undefined ? newest(joined, query.tail) : joined;
    backlogGap = gap;
    goLive();
  }

  /**
   * The lines that lie before the head. Where nobody knows how many lines of the head's time there are, it is the last
   * of them; a viewer whose cursor has that time gets them all from here, as its cursor already leaves out the head.
   */
  function olderThan(first: LogLine, lines: LogLine[], uncertainTime: string | undefined): LogLine[] {
    const time = cursorTime(first.cursor);
    if (time !== uncertainTime) return lines.filter((line) => !isAtOrAfter(line, first));
    const group = lines.filter((line) => cursorTime(line.cursor) === time);
    const isSeen = query.since !== undefined && cursorTime(query.since) === time;
    return [...lines.filter((line) => cursorTime(line.cursor) < time), ...(isSeen ? group : group.slice(0, -1))];
  }

  function goLive(): void {
    if (phase === 'closed') return;
    phase = 'live';
    schedule();
  }

  function schedule(): void {
    if (phase === 'live' && hasMore()) ticker.add(flush);
  }

  const hasMore = () => backlog.length > 0 || backlogGap !== undefined || pending.size() > 0;

  /** Hands on one batch; older lines come first and apart, so that a gap stands where lines are missing. */
  function flush(): void {
    if (phase !== 'live' || !hasMore()) return;
    const batch = backlog.length > 0 || backlogGap ? nextOfBacklog() : nextOfPending();
    call(() => onBatch(batch));
    schedule();
  }

  function nextOfBacklog(): LogBatch {
    const gap = backlogGap;
    backlogGap = undefined;
    const lines = backlog.splice(0, maxBatchLines);
    return gap ? { lines, gap } : { lines };
  }

  function nextOfPending(): LogBatch {
    const skipped = pending.dropped();
    const lines = pending.take(maxBatchLines);
    if (pending.size() === 0 && performance.now() > caughtUpAt) pending.limit(maxBatchLines);
    return skipped > 0 ? { lines, gap: { lines: skipped } } : { lines };
  }

  /** A listener's fault ends its own view; it must not reach the follower that the others share. */
  function call(listener: () => void): void {
    try {
      listener();
    } catch {
      leave();
    }
  }

  function close(): void {
    phase = 'closed';
    backlog = [];
    backlogGap = undefined;
    pending.clear();
    ticker.remove(flush);
  }

  return {
    query,
    wants,
    start,
    catchUp,
    expect,
    take,
    fill,
    goLive,
    close,
    isWaiting: () => phase === 'waiting',
    tell: (state: LogState, reason?: Problem) =>
      queueMicrotask(() => {
        if (phase !== 'closed') call(() => onState(state, reason));
      }),
  };
}

/**
 * Runs what was added, each once: at once where it was never run before, else with the next tick. One timer for all,
 * only while something waits.
 */
function createTicker(tickMs: number) {
  const due = new Set<() => void>();
  const known = new WeakSet<() => void>();
  let timer: NodeJS.Timeout | undefined;
  let lastTick = Number.NEGATIVE_INFINITY;

  function add(task: () => void): void {
    if (!known.has(task)) {
      known.add(task);
      setImmediate(runFirst, task).unref();
      return;
    }
    due.add(task);
    wind();
  }

  function runFirst(task: () => void): void {
    lastTick = performance.now();
    task();
  }

  function wind(): void {
    timer ??= setTimeout(tick, Math.max(0, lastTick + tickMs - performance.now())).unref();
  }

  function tick(): void {
    timer = undefined;
    lastTick = performance.now();
    const tasks = [...due];
    due.clear();
    for (const task of tasks) task();
  }

  return {
    add,
    remove: (task: () => void) => due.delete(task),
    close: () => {
      due.clear();
      clearTimeout(timer);
      timer = undefined;
    },
  };
}

/** The newest lines within two bounds, and how many were dropped for them since lines were taken out. */
function createWindow(mostLines: number, mostText: number) {
  let most = mostLines;
  let lines: LogLine[] = [];
  let first = 0;
  let text = 0;
  let unusedText = 0;
  let dropped = 0;
  let lastDropped: LogLine | undefined;

  const size = () => lines.length - first;

  function push(line: LogLine): void {
    lines.push(line);
    text += line.text.length;
    trim();
  }

  function trim(): void {
    while (size() > most || text > mostText) {
      lastDropped = shift();
      dropped += 1;
    }
    if (first > 1024 || unusedText > mostText) compact();
  }

  function shift(): LogLine | undefined {
    const line = lines[first];
    const length = line?.text.length ?? 0;
    text -= length;
    unusedText += length;
    first += 1;
    return line;
  }

  function compact(): void {
    lines = lines.slice(first);
    first = 0;
    unusedText = 0;
  }

  function take(count: number): LogLine[] {
    const taken = lines.slice(first, first + count);
    for (let n = 0; n < taken.length; n += 1) shift();
    compact();
    dropped = 0;
    return taken;
  }

  return {
    push,
    /** Takes out the oldest, at most so many; counts the dropped ones from here. */
    take,
    size,
    list: () => lines.slice(first),
    clear: () => take(size()),
    /** Holds at most so many from now on. */
    limit: (wanted: number) => {
      most = wanted;
      trim();
    },
    dropped: () => dropped,
    lastDropped: () => lastDropped,
  };
}

function toRange(query: LogQuery) {
  const since = query.since === undefined ? undefined : parseLogTime('since', query.since);
  const until = query.until === undefined ? undefined : parseLogTime('until', query.until);
  const from = since?.after ? toEngineTime(since.after, disorderMs) : since?.engine;
  return { after: since?.after, request: { since: from, until: until?.engine } };
}

const isFiltered = (filter: LogFilter) => filter.stream !== undefined || Boolean(filter.q);

function createFilter(filter: LogFilter): (line: LogLine) => boolean {
  const { stream } = filter;
  const wanted = filter.q?.toLowerCase();
  if (!wanted) return stream ? (line) => line.stream === stream : () => true;
  const holds = (line: LogLine) => stripAnsi(line.text).toLowerCase().includes(wanted);
  return stream ? (line) => line.stream === stream && holds(line) : holds;
}

const isAfter = (line: LogLine, cursor: string | undefined) =>
  cursor === undefined || compareCursors(line.cursor, cursor) > 0;

const isAtOrAfter = (line: LogLine, other: LogLine) => compareCursors(line.cursor, other.cursor) >= 0;

/** The lines after a cursor, out of lines in order. */
function afterCursor(lines: LogLine[], cursor: string): LogLine[] {
  const first = lines.findIndex((line) => isAfter(line, cursor));
  return first === 0 ? lines : first < 0 ? [] : lines.slice(first);
}

const newest = (lines: LogLine[], count: number) => (count > 0 ? lines.slice(-count) : []);
