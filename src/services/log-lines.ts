import { stripAnsi } from './ansi.ts';
import { compareCursors, isLineCursor } from './log-cursor.ts';
import { type LogEntry, levelOfLine } from './log-entries.ts';
import { isAtLeast, type LogLevel } from './log-levels.ts';
import { createSearch, type LogSearchQuery } from './log-search.ts';
import type { LogStreamName } from './log-stream.ts';

/** One line of a container's log; `since=<cursor>` continues right after it. */
export type LogLine = {
  /** RFC 3339, UTC, nine decimals. */
  at: string;
  cursor: string;
  stream: LogStreamName;
  text: string;
  container: string;
  /** What it continues; none for a line that stands for itself or begins an entry. */
  entry?: LogEntry;
  /** Whether it is shown for a match near it alone. */
  isContext?: boolean;
  /** The cursor of the line before it in its log, and whether that one is left out; where lines around matches are shown. */
  after?: string;
  isApart?: boolean;
};

/** A line as it is told to scripts. */
export const toPlainLine = ({ at, cursor, stream, text, container, isContext }: LogLine) => ({
  at,
  cursor,
  stream,
  text,
  container,
  ...(isContext && { isContext }),
});

/** Which lines are wanted: of one output, as grave as a level, and holding what is searched for (colours aside) or not. */
export type LogFilter = LogSearchQuery & {
  stream?: LogStreamName | undefined;
  /** Whether those lines are wanted that do not hold what is searched for. */
  invert?: boolean | undefined;
  level?: LogLevel | undefined;
  /** How many lines are shown before and after each that is wanted, 10 at most. */
  context?: number | undefined;
};

/** How many lines are held of one log, at most. */
export const maxLines = 5_000;

/** How many characters of one log are held, at most. */
export const maxHeldText = 1_000_000;

/** How many characters a page of lines has, at most. */
export const maxPageText = 4_000_000;

/** Creates a window: the newest lines within two bounds, and how many were dropped for them since lines were taken out. */
export function createWindow(mostLines: number, mostText: number) {
  let most = { lines: mostLines, text: mostText };
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
    while (size() > most.lines || text > most.text) {
      lastDropped = shift();
      dropped += 1;
    }
    // What was taken out stays in memory until then.
    if (first > Math.min(1024, most.lines / 4) || unusedText > most.text / 4) compact();
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
    /** Holds at most so many lines or characters from now on. */
    limit: (wanted: Partial<typeof most>) => {
      most = { ...most, ...wanted };
      trim();
    },
    dropped: () => dropped,
    lastDropped: () => lastDropped,
  };
}

/** Whether a filter leaves anything out. */
export const isFiltered = ({ stream, q, level }: LogFilter) =>
  stream !== undefined || level !== undefined || Boolean(q);

/**
 * Creates the test of a filter.
 * @throws Problem `invalid` that names `q` where it is no regular expression
 */
export function createFilter(filter: LogFilter): (line: LogLine) => boolean {
  const { stream, level, invert = false } = filter;
  const search = createSearch(filter);
  return (line) => {
    if (stream && line.stream !== stream) return false;
    if (level && !isAtLeast(levelOfLine(line), level)) return false;
    return !search || search.isIn(stripAnsi(line.text)) !== invert;
  };
}

/**
 * Whether the line of a cursor is gone: the engine was asked from before it on, and the first line that it has lies behind
 * it. What was between the two was rotated away, if there was anything.
 */
export const isTornFrom = (cursor: string | undefined, first: LogLine | undefined): boolean =>
  cursor !== undefined && isLineCursor(cursor) && first !== undefined && isAfter(first, cursor);

/** Whether a line lies after a cursor; all do where there is none. */
export const isAfter = (line: LogLine, cursor: string | undefined) =>
  cursor === undefined || compareCursors(line.cursor, cursor) > 0;

/** Whether a line is another one or lies after it. */
export const isAtOrAfter = (line: LogLine, other: LogLine) => compareCursors(line.cursor, other.cursor) >= 0;

/** The lines after a cursor, out of lines in order. */
export function afterCursor(lines: LogLine[], cursor: string): LogLine[] {
  const first = lines.findIndex((line) => isAfter(line, cursor));
  return first === 0 ? lines : first < 0 ? [] : lines.slice(first);
}

/** The last so many of some lines in order. */
export const newest = (lines: LogLine[], count: number) => (count > 0 ? lines.slice(-count) : []);
