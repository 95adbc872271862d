import type { LogRequest } from './docker.ts';
import {
  contextOf,
  createEnds,
  createFilterPicker,
  createPicker,
  type Ends,
  joinShown,
  type Picker,
  pickAll,
  withGroups,
} from './log-context.ts';
import { compareCursors, nextCursor, previousCursor, toEngineTime } from './log-cursor.ts';
import { disorderMs } from './log-follower.ts';
import {
  createFilter,
  createWindow,
  isAfter,
  isFiltered,
  type LogFilter,
  type LogLine,
  maxPageText,
  newest,
} from './log-lines.ts';
import type { LogSource } from './log-source.ts';
import {
  type Budget,
  beginOfSpan,
  createBudget,
  firstSpanMs,
  firstSure,
  floorOf,
  nextSpan,
  type SearchEffort,
  shortestSpanMs,
  spanBound,
} from './log-spans.ts';

/** Where in a log a slice lies, how many lines it has at most, and which. */
export type SliceQuery = LogFilter & { cursor: string; count: number; effort?: SearchEffort | undefined };

/** Lines of a log that follow each other there, filters aside. */
export type LogSlice = {
  lines: LogLine[];
  /** The cursor before which the log goes on; none where it begins with these lines. */
  earlier: string | undefined;
  /** The cursor behind which the log goes on; none where it ends with these lines. */
  later: string | undefined;
  /** Whether `earlier` or `later` is where the search was given up, as too few of very many lines matched. */
  isCutShort: boolean;
  /** The cursor of the log's last line, wanted or not, where the slice goes up to the end of the log. */
  end: string | undefined;
};

/** Reads slices of logs. */
export type LogSlices = ReturnType<typeof createLogSlices>;

/** A cursor before every line: what continues after it has the whole log. */
export const startOfLog = `${'0'.repeat(19)}.0`;

/** A cursor behind every line. */
export const endOfLog = `${'9'.repeat(19)}.0`;

/** The engine reads the end of a log at once, all else from its start. */
const tails = [2_000, 20_000];
const quickTail = 100;
/** What was written all at once is out of order for longer than those reach: 20,000 lines take a fast program 100 ms. */
const denseTail = 100_000;

type Wanted = (line: LogLine) => boolean;

/** What one reading of the engine gave. */
type Reading = {
  lines: LogLine[];
  /** Whether there are more lines than were kept. */
  isMore: boolean;
  first: LogLine | undefined;
  /** The last line read that lies within the part that was asked for. */
  last: LogLine | undefined;
  /** How many lines were looked at, in the engine's count and in ours. */
  pieces: number;
  searched: number;
  wasGivenUp: boolean;
};

/**
 * Creates the reader of slices: pages of a log at any place, with a bounded number of lines held (those of the page, 4 MB
 * of text) however long the log is. The engine can only give its newest lines or those of a time, so both are tried until
 * the part that was read reaches far enough.
 * A line's cursor depends on where a reading began, until lines come that can't have been overtaken by ones before it:
 * only those are taken, so that one line has one cursor in every slice.
 */
export function createLogSlices(source: LogSource) {
  /**
   * The newest `count` lines before a cursor, behind the cursor `since` where one is given.
   * @throws Problem of the engine
   */
  async function before(
    id: string,
    query: SliceQuery & { since?: string | undefined },
    signal: AbortSignal,
  ): Promise<LogSlice> {
    const { cursor, count, since } = query;
    const floor = since === undefined ? undefined : floorOf(since);
    const matches = createFilter(query);
    const isWanted: Wanted = (line) => isAfter(line, since) && matches(line);
    const context = contextOf(query);
    /** The oldest lines behind what is still to be read, as many as matches before them make known. */
    let next = context > 0 && cursor !== endOfLog ? await linesFrom(id, cursor, context, signal) : [];
    const budget = createBudget(query.effort);
    let found: LogLine[] = [];
    let end = cursor;
    let isWhole = false;
    let isFull = false;
    let last: string | undefined;

    /** Takes the lines from the cursor `begin` on, from the first where there is none. */
    function take(reading: Reading & { ends: Ends }, begin: string | undefined): void {
      const { lines, isMore } = reading;
      const isSure = ({ cursor }: LogLine) => begin === undefined || compareCursors(cursor, begin) >= 0;
      const sure = lines.filter(isSure);
      found = [...sure, ...found];
      if (context > 0) {
        // What matches on one side of a border is shown with lines on the other.
        const seam = pickAll(createPicker(isWanted, context), [...reading.ends.last(), ...next]);
        const isHere = (line: LogLine) =>
          isSure(line) && isAfter(line, since) && compareCursors(line.cursor, cursor) < 0;
        found = joinShown(found, seam.filter(isHere));
        next = [...reading.ends.first(), ...next].slice(0, context);
      }
      isFull = found.length > count || (isMore && sure.length === lines.length);
      if (reading.last && (begin === undefined || compareCursors(reading.last.cursor, begin) >= 0)) {
        last ??= reading.last.cursor;
      }
      isWhole = begin === undefined || (since !== undefined && compareCursors(begin, since) <= 0);
      if (begin !== undefined && compareCursors(begin, end) < 0) end = begin;
    }

    const readOlder = async (request: LogRequest, most: number, from?: string): Promise<Reading & { ends: Ends }> => {
      const reading = await readBefore(
        id,
        request,
        { end, from, since, isWanted, context, most, ...roomBeside(found, count) },
        signal,
      );
      budget.spend(reading.searched);
      return reading;
    };

    for (const tail of tailsOf(query)) {
      if (end !== cursor && budget.left() < tail) break;
      // Where one line is sure, those that are missing are few and lie in a short span.
      if (tail === denseTail && last !== undefined) break;
      const request = { follow: false, tail, ...(floor && { since: toEngineTime(floor) }) };
      const reading = await readOlder(request, Number.POSITIVE_INFINITY);
      const begin = reading.first && reading.pieces >= tail ? reading.first.cursor : floor;
      take(reading, begin && firstSure(begin));
      if (isFull || isWhole) break;
      // A share of a search is better spent where it goes on than on a longer way there.
      if (query.effort && end === cursor) break;
    }
    for (let spanMs = firstSpanMs; !isFull && !isWhole; ) {
      if (budget.isSpent() && end !== cursor) break;
      const from = beginOfSpan(end, spanMs, since);
      const until = toEngineTime(end, -disorderMs);
      const request = { follow: false, until, ...(from && { since: toEngineTime(from) }) };
      const most = spanMs > shortestSpanMs ? spanBound(budget) : Number.POSITIVE_INFINITY;
      const reading = await readOlder(request, most, from);
      if (!reading.wasGivenUp) take(reading, from && firstSure(from));
      spanMs = nextSpan(spanMs, reading);
    }
    if (context > 0 && !isFull && !isWhole) {
      // Who reads on gets the lines before this border only: those that a match there is shown with belong here.
      const lead = (await before(id, { cursor: end, count: context, since }, signal)).lines;
      const seam = pickAll(createPicker(isWanted, context), [...lead, ...next]);
      const isHere = (line: LogLine) =>
        compareCursors(line.cursor, end) >= 0 && compareCursors(line.cursor, cursor) < 0;
      found = joinShown(found, seam.filter(isHere));
      isFull = found.length > count;
    }
    const above = found.length > count ? found.at(-count - 1)?.cursor : undefined;
    const lines = withGroups(newest(found, count), above);
    const earlier = isFull ? (lines[0]?.cursor ?? cursor) : isWhole ? undefined : end;
    const isEnd = cursor === endOfLog;
    const later = isEnd ? undefined : (lines.at(-1)?.cursor ?? previousCursor(cursor));
    return { lines, earlier, later, isCutShort: !isFull && !isWhole, end: isEnd ? last : undefined };
  }

  /**
   * The oldest `count` lines behind a cursor.
   * @throws Problem of the engine
   */
  async function after(id: string, slice: SliceQuery, signal: AbortSignal): Promise<LogSlice> {
    const { cursor, effort } = slice;
    const budget = createBudget(effort);
    const query = { ...slice, budget, lead: await linesUpTo(id, cursor, contextOf(slice), signal) };
    for (const tail of effort?.isDeep ? [] : tails) {
      if (budget.left() < tail) break;
      const reading = await readAfter(id, { follow: false, tail }, query, signal);
      const isWhole = reading.pieces < tail;
      const isCovered = reading.first && compareCursors(firstSure(reading.first.cursor), cursor) <= 0;
      if (isWhole || isCovered) return toLater(reading, query);
    }
    const since = toEngineTime(cursor, disorderMs);
    return toLater(await readAfter(id, { follow: false, since }, query, signal), query);
  }

  /**
   * The lines around a cursor: half of them lie before it.
   * @throws Problem of the engine
   */
  async function around(id: string, query: SliceQuery, signal: AbortSignal): Promise<LogSlice> {
    const half = Math.floor(query.count / 2);
    const behind = { ...query, cursor: previousCursor(query.cursor), count: query.count - half };
    const [older, newer] = await Promise.all([
      before(id, { ...query, count: half }, signal),
      after(id, behind, signal),
    ]);
    return {
      lines: [...older.lines, ...newer.lines],
      earlier: older.earlier,
      later: newer.later,
      isCutShort: older.isCutShort || newer.isCutShort,
      end: undefined,
    };
  }

  /** The first lines at a cursor or behind it, whatever they are. */
  async function linesFrom(id: string, cursor: string, count: number, signal: AbortSignal): Promise<LogLine[]> {
    return (await after(id, { cursor: previousCursor(cursor), count }, signal)).lines;
  }

  /** The last lines up to a cursor, whatever they are: `context` of them, and one that they stand behind. */
  async function linesUpTo(id: string, cursor: string, context: number, signal: AbortSignal): Promise<LogLine[]> {
    if (context === 0) return [];
    return (await before(id, { cursor: nextCursor(cursor), count: context + 1 }, signal)).lines;
  }

  type AfterQuery = SliceQuery & { lead: readonly LogLine[]; budget: Budget };

  type Before = {
    end: string;
    from: string | undefined;
    since: string | undefined;
    isWanted: Wanted;
    context: number;
    most: number;
    room: number;
    text: number;
  };

  /** Reads a part of a log up to a cursor and keeps the newest lines; gives up behind `most` lines. */
  async function readBefore(
    id: string,
    request: LogRequest,
    query: Before,
    signal: AbortSignal,
  ): Promise<Reading & { ends: Ends }> {
    const { end, from, since, isWanted, context } = query;
    const window = createWindow(query.room, query.text);
    const picker = createPicker(isWanted, context);
    const ends = createEnds(context);
    const show = (line: LogLine) => isAfter(line, since) && window.push(line);
    const opened = source.open(id, request, signal);
    let first: LogLine | undefined;
    let last: LogLine | undefined;
    let searched = 0;
    for await (const lines of opened.lines) {
      first ??= lines[0];
      const begin = firstSure(from ?? first?.cursor ?? end);
      searched += lines.length;
      if (searched > query.most) break;
      for (const line of lines) {
        // What lies at the cursor or behind it is not of this slice, nor is its end.
        if (compareCursors(line.cursor, end) >= 0) continue;
        last = line;
        picker.push(line, show);
        ends.push(line, begin);
      }
    }
    const wasGivenUp = searched > query.most;
    const isMore = window.dropped() > 0;
    return { lines: window.list(), isMore, first, last, pieces: opened.pieces(), searched, wasGivenUp, ends };
  }

  /** Reads a part of a log and keeps the oldest lines behind a cursor; ends where there are enough. */
  async function readAfter(id: string, request: LogRequest, query: AfterQuery, signal: AbortSignal): Promise<Reading> {
    const { cursor, count, lead, budget } = query;
    const picker = createFilterPicker(query);
    pickAll(picker, lead);
    const opened = source.open(id, request, signal);
    const found: LogLine[] = [];
    let text = 0;
    let first: LogLine | undefined;
    let last: LogLine | undefined;
    let searched = 0;
    let isMore = false;
    let wasGivenUp = false;
    const show = (line: LogLine) => {
      if (isMore || !isAfter(line, cursor)) return;
      text += line.text.length;
      isMore = found.length >= count || text > maxPageText;
      if (!isMore) found.push(line);
    };
    for await (const lines of opened.lines) {
      first ??= lines[0];
      last = lines.at(-1) ?? last;
      searched += lines.length;
      budget.spend(lines.length);
      for (const line of lines) if (!isMore && isAfter(line, cursor)) picker.push(line, show);
      // Whether a tail reaches far enough is known at its end.
      if (request.tail !== undefined) continue;
      // Not before it comes further: who searches on begins there.
      const reached = budget.isSpent() ? endOf(picker, last) : undefined;
      wasGivenUp = !isMore && reached !== undefined && isAfter(reached, cursor);
      if (isMore || wasGivenUp) break;
    }
    return {
      lines: found,
      isMore,
      first,
      last: wasGivenUp ? endOf(picker, last) : last,
      pieces: opened.pieces(),
      searched,
      wasGivenUp,
    };
  }

  return { before, after, around };
}

/** The tails to try first; for the newest lines of all one that is hardly longer than what is wanted. */
function tailsOf({ cursor, count, effort, ...filter }: SliceQuery): number[] {
  if (effort?.isDeep) return [];
  const isNewest = cursor === endOfLog;
  const quick = 2 * count + quickTail;
  const isQuick = isNewest && !isFiltered(filter) && quick < (tails[0] ?? 0);
  return [...(isQuick ? [quick] : []), ...tails, ...(isNewest ? [denseTail] : [])].filter((tail) => tail > count);
}

/** How many lines and how much text still fit before those that were found; one line more than wanted tells of the rest. */
function roomBeside(found: readonly LogLine[], count: number): { room: number; text: number } {
  const text = found.reduce((sum, line) => sum + line.text.length, 0);
  return { room: count + 1 - found.length, text: maxPageText - text };
}

/** Where a reading ends: what may yet be shown with a match behind it is left to who reads on. */
function endOf(picker: Picker, last: LogLine | undefined): LogLine | undefined {
  const [held] = picker.held();
  return held ? { ...held, cursor: previousCursor(held.cursor) } : last;
}

function toLater(reading: Reading, { cursor }: SliceQuery): LogSlice {
  const { lines, isMore, last, wasGivenUp } = reading;
  const later = isMore ? (lines.at(-1)?.cursor ?? cursor) : wasGivenUp ? last?.cursor : undefined;
  return {
    lines: withGroups(lines, cursor),
    earlier: lines[0]?.cursor ?? nextCursor(cursor),
    later,
    isCutShort: wasGivenUp,
    end: undefined,
  };
}
