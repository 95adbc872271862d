import { isProblem, Problem } from '../errors.ts';
import { contextOf } from './log-context.ts';
import { createFilter, type LogFilter, type LogLine, maxPageText, newest } from './log-lines.ts';
import { endOfLog, type LogSlice, type LogSlices } from './log-slices.ts';
import { maxSearchedLines, maxSearchMs, type SearchEffort } from './log-spans.ts';
import { compareMerged, type MergedPlace, mergedCursor, type Place, type PlaceOf } from './merged-cursor.ts';

/** Where in a merged log a slice lies, how many lines it has at most, and which. */
export type MergedSliceQuery = LogFilter & { place: MergedPlace; count: number };

/** Lines of a merged log that follow each other there; `earlier` and `later` are cursors of a merged log. */
export type MergedSlice = LogSlice & {
  /** What kept a log from being read: its lines are missing, those of the others are not. */
  failures: ReadonlyMap<string, Problem>;
  /** The cursor of each log's last line, wanted or not, where the slice goes up to the end. */
  ends: ReadonlyMap<string, string>;
};

/** The end of every log. */
export const endOfLogs: MergedPlace = {
  before: () => endOfLog,
  from: () => endOfLog,
  after: () => endOfLog,
  previous: `${endOfLog}.${'0'.repeat(12)}`,
  next: `${endOfLog}.${'f'.repeat(12)}`,
};

const maxReads = 8;
const readMs = 15_000;
/** However many logs there are, each is looked at so far at first, and this far each time that it holds up the others. */
const leastLines = 5_000;
const stepLines = 50_000;
const maxSteps = maxSearchedLines / stepLines;

/** How slices of single logs make up one of all: towards the first lines, or towards the last ones. */
type Direction = {
  isBack: boolean;
  count: number;
  begin(id: string): string;
  read(id: string, cursor: string, effort: SearchEffort, signal: AbortSignal): Promise<LogSlice>;
};

/** How far a log is known, where it goes on there, and whether it was given up. */
type Rest = { place: Place; isCutShort: boolean };

type Gathered = Pick<MergedSlice, 'lines' | 'isCutShort' | 'failures' | 'ends'> & { edge: Place | undefined };

/** Reads slices of several logs as one. */
export type MergedSlices = ReturnType<typeof createMergedSlices>;

/**
 * Creates the reader of slices of several logs as one, out of slices of each. Of every log so much is read that all lines
 * of the slice are known; the log that is known least far holds up the others, and is read on. Holds the lines of the
 * page and of eight single slices, 4 MB of text each, at most. A log that can't be read leaves the others.
 */
export function createMergedSlices(
  slices: Pick<LogSlices, 'before' | 'after'>,
  heldBehind: (id: string, cursor: string) => LogLine[] | undefined,
) {
  /** The newest `count` lines before a place, in each log behind the cursor of `since` where there is one. */
  async function before(
    ids: readonly string[],
    { place, count, since, ...filter }: MergedSliceQuery & { since?: PlaceOf | undefined },
    signal: AbortSignal,
    reads = maxReads,
  ): Promise<MergedSlice> {
    const isEnd = place === endOfLogs;
    const { edge, ...found } = await gather(
      ids,
      {
        isBack: true,
        count,
        begin: place.before,
        read: async (id, cursor, effort, reading) => {
          const query = { ...filter, cursor, count, effort, since: since?.(id) };
          // What is held does not tell what stands around matches before it.
          const from = isEnd && contextOf(filter) === 0 ? query.since : undefined;
          const held = from === undefined ? undefined : heldBehind(id, from);
          return held ? toSlice(held, filter, count) : slices.before(id, query, reading);
        },
      },
      signal,
      reads,
    );
    const last = found.lines.at(-1);
    const later = isEnd ? undefined : last ? mergedCursor(last) : place.previous;
    return { ...found, earlier: edge && mergedCursor(edge), later, end: undefined };
  }

  /** The oldest `count` lines behind a place, or from it on. */
  async function after(
    ids: readonly string[],
    { place, count, isFrom = false, ...filter }: MergedSliceQuery & { isFrom?: boolean },
    signal: AbortSignal,
    reads = maxReads,
  ): Promise<MergedSlice> {
    const { edge, ...found } = await gather(
      ids,
      {
        isBack: false,
        count,
        begin: isFrom ? place.from : place.after,
        read: (id, cursor, effort, reading) => slices.after(id, { ...filter, cursor, count, effort }, reading),
      },
      signal,
      reads,
    );
    const [first] = found.lines;
    const earlier = first ? mergedCursor(first) : place.next;
    return { ...found, earlier, later: edge && mergedCursor(edge), end: undefined };
  }

  /** The lines around a place: half of them lie before it. `at` is the one that stands there, or is next to it. */
  async function around(
    ids: readonly string[],
    query: MergedSliceQuery,
    signal: AbortSignal,
  ): Promise<MergedSlice & { at: string | undefined }> {
    const half = Math.floor(query.count / 2);
    // At the same time, as the bounds of one after the other would add up to more than a page may take.
    const [older, newer] = await Promise.all([
      before(ids, { ...query, count: half }, signal, maxReads / 2),
      after(ids, { ...query, count: query.count - half, isFrom: true }, signal, maxReads / 2),
    ]);
    const at = newer.lines[0] ?? older.lines.at(-1);
    return {
      lines: [...older.lines, ...newer.lines],
      earlier: older.earlier,
      later: newer.later,
      isCutShort: older.isCutShort || newer.isCutShort,
      end: undefined,
      failures: new Map([...older.failures, ...newer.failures]),
      ends: newer.ends,
      at: at && mergedCursor(at),
    };
  }

  return { before, after, around };
}

/** Reads of each log as much as is needed for the slice of all. */
async function gather(
  ids: readonly string[],
  direction: Direction,
  signal: AbortSignal,
  reads: number,
): Promise<Gathered> {
  const { isBack, count } = direction;
  const endsAt = performance.now() + maxSearchMs;
  const reading = AbortSignal.any([signal, AbortSignal.timeout(readMs)]);
  const kept = createKept(isBack, count);
  const rests = new Map<string, Rest>();
  const failures = new Map<string, Problem>();
  const ends = new Map<string, string>();

  async function readOne(id: string, cursor: string, effort: SearchEffort): Promise<void> {
    rests.delete(id);
    try {
      const slice = await direction.read(id, cursor, effort, reading);
      kept.add(slice.lines);
      const rest = isBack ? slice.earlier : slice.later;
      if (rest !== undefined) rests.set(id, { place: { container: id, cursor: rest }, isCutShort: slice.isCutShort });
      if (slice.end !== undefined && !ends.has(id)) ends.set(id, slice.end);
    } catch (error) {
      failures.set(id, toFailure(error));
    }
  }

  function toFailure(error: unknown): Problem {
    if (isProblem(error) && error.code !== 'invalid') return error;
    if (reading.aborted && !signal.aborted) return new Problem('engine_timeout', 'The log could not be read in time.');
    throw error;
  }

  /** How far the log is known that is known least far. */
  function holdUp(): Rest | undefined {
    const [first, ...others] = rests.values();
    return others.reduce((a, b) => (a && compareMerged(a.place, b.place) > 0 === isBack ? a : b), first);
  }

  const lines = Math.max(leastLines, maxSearchedLines / Math.max(1, ids.length));
  await inTurn(ids, reads, (id) => readOne(id, direction.begin(id), { lines, endsAt, isDeep: false }));
  for (let step = 0; step < maxSteps && performance.now() < endsAt; step += 1) {
    const next = holdUp();
    if (!next?.isCutShort || kept.within(next.place).length >= count) break;
    await readOne(next.place.container, next.place.cursor, { lines: stepLines, endsAt, isDeep: true });
  }
  const rest = holdUp();
  const within = kept.within(rest?.place);
  const dropped = kept.edge();
  const isDropped = dropped !== undefined && within.includes(dropped);
  const edge = isDropped ? dropped : rest?.place;
  return { lines: within, edge, isCutShort: !isDropped && rest?.isCutShort === true, failures, ends };
}

/** Keeps the `count` lines, or 4 MB of text, that are nearest to where a slice begins. */
function createKept(isBack: boolean, count: number) {
  let lines: LogLine[] = [];
  let isDropped = false;

  function add(more: readonly LogLine[]): void {
    const joined = [...lines, ...more].sort(compareMerged);
    lines = isBack ? nearest(joined.reverse(), count).reverse() : nearest(joined, count);
    isDropped ||= lines.length < joined.length;
  }

  return {
    add,
    /** The lines up to a place: behind it there may be some that are not known. */
    within: (place: Place | undefined) =>
      place === undefined
        ? lines
        : lines.filter((line) => compareMerged(line, place) >= 0 === isBack || isAt(line, place)),
    /** The last line that was kept, where there are more behind it. */
    edge: () => (isDropped ? lines.at(isBack ? 0 : -1) : undefined),
  };
}

const isAt = (line: Place, place: Place) => compareMerged(line, place) === 0;

function nearest(lines: readonly LogLine[], count: number): LogLine[] {
  let text = 0;
  const end = lines.findIndex((line, index) => {
    text += line.text.length;
    return index >= count || (text > maxPageText && index > 0);
  });
  return end < 0 ? [...lines] : lines.slice(0, end);
}

/** Lines that are held up to the end of their log, as a slice. */
function toSlice(held: readonly LogLine[], filter: LogFilter, count: number): LogSlice {
  const wanted = held.filter(createFilter(filter));
  const lines = newest(wanted, count);
  const earlier = lines.length < wanted.length ? lines[0]?.cursor : undefined;
  return { lines, earlier, later: undefined, isCutShort: false, end: held.at(-1)?.cursor };
}

/** Does something for each, so many at a time. */
async function inTurn(ids: readonly string[], most: number, task: (id: string) => Promise<void>): Promise<void> {
  const waiting = [...ids];
  const worker = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) await task(id);
  };
  await Promise.all(Array.from({ length: most }, worker));
}
