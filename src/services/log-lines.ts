import { stripAnsi } from './ansi.ts';
import { compareCursors } from './log-cursor.ts';
import type { LogStreamName } from './log-stream.ts';

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

/** How many lines are held of one log, at most. */
export const maxLines = 5_000;

/** How many characters of one log are held, at most. */
export const maxHeldText = 1_000_000;

/** Creates a window: the newest lines within two bounds, and how many were dropped for them since lines were taken out. */
export function createWindow(mostLines: number, mostText: number) {
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

/** Whether a filter leaves anything out. */
export const isFiltered = (filter: LogFilter) => filter.stream !== undefined || Boolean(filter.q);

/** Creates the test of a filter. */
export function createFilter(filter: LogFilter): (line: LogLine) => boolean {
  const { stream } = filter;
  const wanted = filter.q?.toLowerCase();
  if (!wanted) return stream ? (line) => line.stream === stream : () => true;
  const holds = (line: LogLine) => stripAnsi(line.text).toLowerCase().includes(wanted);
  return stream ? (line) => line.stream === stream && holds(line) : holds;
}

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
