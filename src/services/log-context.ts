import { compareCursors } from './log-cursor.ts';
import { createFilter, isFiltered, type LogFilter, type LogLine } from './log-lines.ts';

/** Takes the lines of a log one after another, and hands on those that are shown. */
export type Picker = {
  push: (line: LogLine, show: (line: LogLine) => void) => void;
  /** The last lines that were not shown, and still would be if the next one matched. */
  held: () => LogLine[];
};

/** How many lines are shown before and after each match; none where there is nothing to match. */
export const contextOf = (filter: LogFilter): number => (isFiltered(filter) ? (filter.context ?? 0) : 0);

/**
 * Creates the picker of a filter.
 * @throws Problem `invalid` that names `q` where it is no regular expression
 */
export const createFilterPicker = (filter: LogFilter): Picker => createPicker(createFilter(filter), contextOf(filter));

/** Creates the picker of the lines that are wanted, with so many before and after each; no line is handed on twice. */
export function createPicker(isWanted: (line: LogLine) => boolean, around: number): Picker {
  if (around === 0) return { push: (line, show) => void (isWanted(line) && show(line)), held: () => [] };
  /** The lines before the next one, with one more, which tells what the first of them stands behind. */
  const recent: LogLine[] = [];
  let hidden = 0;
  let left = 0;
  let shown: string | undefined;

  const held = () => (hidden === 0 ? [] : recent.slice(-Math.min(hidden, around)));

  function showOne(line: LogLine, previous: LogLine | undefined, isContext: boolean, show: (line: LogLine) => void) {
    const after = previous?.cursor;
    show({
      ...line,
      ...(after !== undefined && { after, isApart: after !== shown }),
      ...(isContext && { isContext }),
    });
    shown = line.cursor;
  }

  function push(line: LogLine, show: (line: LogLine) => void): void {
    const isMatch = isWanted(line);
    if (isMatch) {
      for (let n = recent.length - held().length; n < recent.length; n += 1) {
        showOne(recent[n] as LogLine, recent[n - 1], true, show);
      }
    }
    const isShown = isMatch || left > 0;
    if (isShown) showOne(line, recent.at(-1), !isMatch, show);
    left = isMatch ? around : Math.max(0, left - 1);
    hidden = isShown ? 0 : hidden + 1;
    recent.push(line);
    if (recent.length > around + 1) recent.shift();
  }

  return { push, held };
}

/** What of some lines in order a picker shows. */
export function pickAll(picker: Picker, lines: Iterable<LogLine>): LogLine[] {
  const shown: LogLine[] = [];
  for (const line of lines) picker.push(line, (one) => shown.push(one));
  return shown;
}

/**
 * Joins what two readings show of the same lines, each line once, in order. Where one of them began with a line, only
 * the other knows what that stands behind.
 */
export function joinShown(some: readonly LogLine[], others: readonly LogLine[]): LogLine[] {
  const byCursor = new Map(some.map((line) => [line.cursor, line]));
  for (const line of others) {
    if (byCursor.get(line.cursor)?.after === undefined) byCursor.set(line.cursor, line);
  }
  return [...byCursor.values()].sort((a, b) => compareCursors(a.cursor, b.cursor));
}

/** Says of each line whether lines are left out before it; `above` is the cursor of the line that is shown before all. */
export function withGroups(lines: readonly LogLine[], above: string | undefined): LogLine[] {
  return lines.map((line, n) => {
    const previous = n === 0 ? above : lines[n - 1]?.cursor;
    return line.after === undefined ? line : { ...line, isApart: line.after !== previous };
  });
}

/** The first and the last lines of a part of a log, whatever they are. */
export type Ends = ReturnType<typeof createEnds>;

/** Creates the keeping of as many lines at both ends of a part as its neighbours need to show lines around matches. */
export function createEnds(around: number) {
  const first: LogLine[] = [];
  const last: LogLine[] = [];
  return {
    /** Takes the next line; only those from the cursor `begin` on are of the part itself. */
    push(line: LogLine, begin: string): void {
      if (around === 0) return;
      if (first.length < around && compareCursors(line.cursor, begin) >= 0) first.push(line);
      last.push(line);
      if (last.length > around + 1) last.shift();
    },
    first: () => first,
    /** With one more, which the first of them stands behind. */
    last: () => last,
  };
}
