import type { LogLevel } from './log-levels.ts';

/**
 * How far an entry has come: what was read before it is not known, its first line, lines under it that are no trace, a
 * trace; Python's before its error is told, and where another one follows; the functions of a goroutine.
 */
export type TraceKind = 'unknown' | 'head' | 'block' | 'trace' | 'python' | 'chain' | 'go';

/** What tells whether a line belongs to those before it. */
export type TraceState = {
  /** The first line of the entry, without colours; none where it was not read. */
  head: string | undefined;
  kind: TraceKind;
  /** The level of the first line. */
  level: () => LogLevel | undefined;
};

/** Lines that no program writes but under another one. */
const frame =
  /^\s+(?:at |\.\.\. \d+ (?:more|common)|File "|from |Caused by: |Suppressed: |--- End of |---> |\d{1,4}: |\(from |thrown in )/;
/** The same without an indent. */
const follower =
  /^(?:Caused by: |Suppressed: |\.\.\. \d+ (?:more|common)|--- End of |Stack trace:$|#\d{1,4} |stack backtrace:$|note: (?:run with|Some details|[`'"]?RUST_BACKTRACE)|goroutine \d+ (?:gp=\S+ .*)?\[|\[signal SIG|exit status \d)/;
const goroutine = /^goroutine \d+ (?:gp=\S+ .*)?\[/;
const goFunction = /^[^\s(]*[\w.]\(/;
const unknownFollower = /^(?:Caused by: |\.\.\. \d+ (?:more|common))/;
const pythonTrace = /^Traceback \(most recent call last\):/;
const pythonBetween = /^(?:During handling of the above exception|The above exception was the direct cause)/;
const pythonError = /^[A-Za-z_][\w.]*(?::\s|$)/;
const exception = /^(?:(?:[\w$]+\.)+[\w$]*(?:Exception|Error|Throwable)\b|[A-Z][\w$]*(?:Exception|Error):\s)/;
const rustPanic = /^thread '[^']*'(?: \(\d+\))? panicked at .*:$/;
const goPanic = /^(?:panic: |fatal error: |SIGQUIT: )/;
const closing = /^[}\])]+[,;]?$/;
const postgresMore =
  /^(?:\d{4}-\d\d-\d\d \S+ \S+ \[\d+\] (?:\S+ )?)?(?:DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION): {2}\S/;
const postgresHead = /\b(?:ERROR|FATAL|PANIC|WARNING|NOTICE|LOG): {2}/;
const headLength = 160;
/** Some programs indent their lines by a blank or two, so that levels stand under each other. */
const ownLine =
  /^\s{1,3}(?:\[?\d{4}-\d\d-\d\d|\[?\d\d:\d\d:\d\d|[[<]?(?:FATAL|PANIC|CRIT|ERR|WARN|INFO|NOTICE|DEBUG|TRACE))/;
/** How lines begin that may be a part of an entry without being indented; all others are dismissed at once. */
const candidates = new Set('.#-[}])CDHLQSTcegns0123456789'.split(''));

/** What an entry is that a line begins: Python and goroutines have traces without a message before them. */
export function beginTrace(text: string): TraceKind {
  if (pythonTrace.test(text)) return 'python';
  return goroutine.test(text) ? 'go' : 'head';
}

/** How an entry goes on with a line; nothing where the line is of another one. */
export function continues(text: string, state: TraceState): TraceKind | undefined {
  const [first] = text;
  if (first === undefined) return continuesBlank(state);
  if (first === ' ' || first === '\t') return continuesIndented(text, state);
  if (state.kind === 'python') return continuesPython(text);
  if (state.kind === 'go' && isGoFunction(text)) return 'go';
  if (state.kind === 'head' && isUnderHead(text, state)) return 'trace';
  return candidates.has(first) ? continuesFlush(text, state) : undefined;
}

/** Blank lines stand within the traces of Go and between those of Python. */
function continuesBlank({ kind, head = '' }: TraceState): TraceKind | undefined {
  if (kind === 'trace' || kind === 'chain' || kind === 'go') return kind;
  return kind === 'head' && goPanic.test(head) ? 'trace' : undefined;
}

/** Indented lines belong to a line that has a level; frames of a trace to whatever stands before them. */
function continuesIndented(text: string, state: TraceState): TraceKind | undefined {
  const { kind, level } = state;
  if (text.trim() === '') return continuesBlank(state);
  if (frame.test(text)) return kind === 'python' || kind === 'go' ? kind : 'trace';
  if (kind === 'unknown' || ownLine.test(text)) return undefined;
  if (kind !== 'head') return kind;
  return level() === undefined ? undefined : 'block';
}

/** What was raised ends a trace of Python, before its chain may go on. */
const continuesPython = (text: string): TraceKind | undefined => (pythonError.test(text) ? 'trace' : undefined);

const isGoFunction = (text: string) => text.startsWith('created by ') || (text.endsWith(')') && goFunction.test(text));

/** What stands right under a message: the exception that it is about, or the message of a panic. */
function isUnderHead(text: string, { head = '', level }: TraceState): boolean {
  if (head.startsWith('thread ') && rustPanic.test(head)) return true;
  return exception.test(text) && isGrave(level());
}

function continuesFlush(text: string, state: TraceState): TraceKind | undefined {
  const { kind } = state;
  if (kind === 'unknown') return unknownFollower.test(text) ? 'trace' : undefined;
  if (follower.test(text)) return isBroken(state) ? (goroutine.test(text) ? 'go' : 'trace') : undefined;
  if (pythonTrace.test(text)) return kind === 'chain' || (kind === 'head' && isBroken(state)) ? 'python' : undefined;
  if (pythonBetween.test(text)) return kind === 'trace' ? 'chain' : undefined;
  if (closing.test(text)) return kind === 'trace' || kind === 'block' ? kind : undefined;
  return text.includes(':  ') && isPostgres(text, state) ? 'block' : undefined;
}

/** Whether something has gone wrong in an entry. */
const isBroken = ({ kind, level }: TraceState) => (kind !== 'head' && kind !== 'block') || isGrave(level());

const isGrave = (level: LogLevel | undefined) => level === 'error' || level === 'warn';

/** What Postgres says of a message has lines of its own, of the same process. */
function isPostgres(text: string, { head }: TraceState): boolean {
  if (head === undefined || !postgresMore.test(text) || !postgresHead.test(head.slice(0, headLength))) return false;
  return processOf(text) === processOf(head);
}

const processOf = (text: string) => /\[(\d+)\]/.exec(text.slice(0, headLength))?.[1];
