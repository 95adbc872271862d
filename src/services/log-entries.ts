import { stripAnsi } from './ansi.ts';
import { attempt } from './attempts.ts';
import { levelOf } from './log-level-forms.ts';
import type { LogLevel } from './log-levels.ts';
import type { LogLine } from './log-lines.ts';
import type { LogStreamName } from './log-stream.ts';
import { beginTrace, continues, type TraceState } from './log-traces.ts';

/** What several lines are together: a message and the stack trace under it, say. */
export type LogEntry = {
  /** The cursor of its first line; empty where that was not read. */
  first: string;
  /** The level of its first line; none where that has none or was not read. */
  level: LogLevel | undefined;
};

/** What is known of the entry that the next line may belong to. */
type Open = TraceState & { line: LogLine | undefined; entry: LogEntry | undefined; lines: number; lastMs: number };

/** More lines than this are no entry: what follows has no known level. */
const maxEntryLines = 1_000;
/** Lines of one entry are written at once; what comes later stands for itself. */
const maxPauseMs = 5_000;

/**
 * Creates the reading of entries from the lines of one log in order: a line that continues the one before it, in the same
 * output, gets its entry. A log may be read from the middle of an entry on, of which the level is not known then.
 */
export function createEntries(): (line: LogLine) => void {
  const opens: Record<LogStreamName, Open> = { stdout: nothingRead(), stderr: nothingRead() };

  function read(line: LogLine): void {
    const { stream } = line;
    const text = line.text.startsWith('\x1B') ? stripAnsi(line.text) : line.text;
    const ms = Number(line.cursor.slice(0, 13));
    let open = opens[stream];
    if (ms - open.lastMs > maxPauseMs || open.lines >= maxEntryLines) open = nothingRead();
    opens[stream] = open;
    const kind = continues(text, open);
    if (!kind) {
      opens[stream] = begin(line, text, ms);
      return;
    }
    open.entry ??= { first: open.line?.cursor ?? '', level: open.level() };
    line.entry = open.entry;
    open.kind = kind;
    open.lines += 1;
    open.lastMs = ms;
  }

  return (line) =>
    attempt(
      () => read(line),
      () => {
        opens[line.stream] = nothingRead();
      },
    );
}

function nothingRead(): Open {
  const none = { line: undefined, entry: undefined, lines: 0, lastMs: Number.POSITIVE_INFINITY };
  return { ...none, head: undefined, kind: 'unknown', level: () => undefined };
}

function begin(line: LogLine, text: string, ms: number): Open {
  let level: { known: LogLevel | undefined } | undefined;
  return {
    line,
    entry: undefined,
    lines: 1,
    lastMs: ms,
    head: text,
    kind: beginTrace(text),
    // Most lines are continued by none, and their level is asked for when they are shown.
    level: () => {
      level ??= { known: levelOfText(line.text) };
      return level.known;
    },
  };
}

/** Reads the entries of lines that were kept apart from their log. */
export function withEntries(lines: readonly LogLine[]): LogLine[] {
  const read = lines.map((line) => ({ ...line }));
  read.forEach(createEntries());
  return read;
}

/** The level of a line: that of its entry's first line, where it continues one. */
export const levelOfLine = (line: Pick<LogLine, 'text' | 'entry'>): LogLevel | undefined =>
  line.entry ? line.entry.level : levelOfText(line.text);

/** What cannot be read tells no level. */
const levelOfText = (text: string) =>
  attempt(
    () => levelOf(stripAnsi(text)),
    () => undefined,
  );

/** Whether a line continues the one that is shown right before it, which has to be of the same entry. */
export function isJoined(line: LogLine, previous: LogLine): boolean {
  if (!line.entry || line.stream !== previous.stream || line.container !== previous.container) return false;
  return line.entry.first === (previous.entry ? previous.entry.first : previous.cursor);
}
