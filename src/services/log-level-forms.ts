import { findLevel, messageOf, readFields, readLastFields } from './log-fields.ts';
import { type LogLevel, levelOfPriority, toLevel } from './log-levels.ts';

/** How far into a line a word that names its level is looked for. */
const headLength = 160;

/** `level=` and the like, and the beginning of a quoted value. */
const logfmtKey = /(?:^|[\s,|])@?(?:level|lvl|severity|log[._]?level)=["']?([a-z]+)|"/gi;
const hasLogfmtKey = /(?:level|lvl|severity)=/i;
/** A level's key in JSON that was cut off, before any other object begins. */
const cutKey = /^\s*\{[^{[]*?"(?:level|lvl|severity|log[._]?level|@l)"\s*:\s*"?(\w+)/i;

/** `Jan 24 14:01:52 host name[12]: `, or a date and a time alone. */
const origin =
  /^(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [^\s:[]{1,60}(?:\[\d+\])?: |\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d\S{0,16}\s+|\[?\d\d:\d\d:\d\d\S{0,8}\s+)/;

type Form = readonly [pattern: RegExp, toLevel: (found: string) => LogLevel | undefined];

const always = (level: LogLevel) => () => level;
const redisMarks: Record<string, LogLevel> = { '#': 'warn', '*': 'info', '-': 'debug', '.': 'debug' };

/** What tells a level by its place at the start of a line. */
const forms: readonly Form[] = [
  [/^<(\d{1,3})>/, (priority) => (Number(priority) < 192 ? levelOfPriority(Number(priority)) : undefined)],
  // klog and glog: a letter, month and day.
  [/^([IWEF])\d{4} \d\d:\d\d:\d\d/, toLevel],
  // Redis and Valkey: process, role, date, mark.
  [/^\d+:[A-Z] \d{1,2} [A-Z][a-z]{2} (?:\d{4} )?\d\d:\d\d:\d\d\.\d{3} ([#*.-]) /, (mark) => redisMarks[mark]],
  // Jupyter and Tornado, then MongoDB before its JSON.
  [/^\[([EWIDCF]) \d[\d-]+ \d\d:\d\d:\d\d/, toLevel],
  [/^\d{4}-\d\d-\d\dT\S+ ([EWIDF]) [A-Z]{4,}\s/, toLevel],
  // Postgres: what belongs to a message has words of its own.
  [
    /^(?:\d{4}-\d\d-\d\d \S+ \S+ \[\d+\] (?:\S+ )?)?(?:LOG|DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION): {2}\S/,
    always('info'),
  ],
  [/^=([A-Z]+) REPORT====/, toLevel],
  [/^npm (ERR!|error\b)/, always('error')],
  [/^npm (WARN|warn)\b/, always('warn')],
];

/** What tells a level at the start of what a program wrote itself, with the date before it taken away. */
const openings: readonly Form[] = [
  [
    /^(?:[\w./-]{1,60}: |\[[\w .:-]{1,40}\] )?(error|err|fatal|warning|warn|info|notice|debug|trace|verbose|critical|crit|alert|emerg|panic|fail|dbug|trce)(?::(?!\s*(?:null|none|nil|undefined|true|false|on|off|yes|no|\d+|""|''|\[\]|\{\})?[\s,]*$)|\s*\||\t)/i,
    toLevel,
  ],
  [/^(?:fatal error: |runtime error: |goroutine \d+ \[)/, always('error')],
  [/^(?:[A-Z]\w*: )?(?:PHP )?(Fatal error|Parse error|Warning|Notice|Deprecated): {1,2}/, (words) => phpLevels[words]],
  [/^Traceback \(most recent call last\):/, always('error')],
  [/^thread '[^']*'(?: \(\d+\))? panicked at /, always('error')],
  [/^(?:Uncaught |Unhandled exception\b|Exception in thread ")/i, always('error')],
  // The name of an exception, and what it says: `TypeError: x`, `java.lang.IllegalStateException`.
  [/^(?:[A-Za-z_$][\w$]*\.)*[A-Z][\w$]*(?:Error|Exception)(?::\s|$)/, always('error')],
];
const phpLevels: Record<string, LogLevel> = {
  'Fatal error': 'error',
  'Parse error': 'error',
  Warning: 'warn',
  Notice: 'info',
  Deprecated: 'warn',
};

/**
 * A level as a word in capitals, or in brackets in any case. What stands in brackets is as often the name of a thread
 * or a program, and a word in capitals a part of a path or the name of a variable.
 */
const levelWords = new RegExp(
  [
    /(?<![\w/=-])(FATAL|PANIC|CRITICAL|CRIT|EMERG|ALERT|SEVERE|ERROR|ERR|ERRO|EROR|FATA|FTL|WARNING|WARN|WRN|INFO|INF|NOTICE|DEBUG\d?|DEBU|DBUG|DBG|TRACE|TRAC|TRC|VERBOSE|VRB)(?![\w/=-]|\.\w)/,
    /\[\s*(?:[\w.]+:)?(fatal|panic|critical|crit|emerg|alert|error|err|warning|warn|info|notice|note|debug|trace\d?|verbose|Fatal|Critical|Alert|Error|Warning|Warn|Info|Information|Notice|Note|Debug|Trace|Verbose|[EWIDF])\s*\]/,
    /\[(System)\] \[MY-/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
);

/**
 * The level of a line without colours, in the common ways of writing it; none where it names none. A field that tells
 * it (JSON, also after other text, or logfmt; not within other fields) beats what stands in the message.
 */
export function levelOf(text: string): LogLevel | undefined {
  const first = text.trimStart()[0];
  if (first === '{') {
    const fields = readFields(text);
    if (fields) return findLevel(fields)?.level ?? levelOfWords(messageOf(fields));
    const cut = cutKey.exec(text.slice(0, headLength * 10))?.[1];
    return cut === undefined ? undefined : toLevel(cut);
  }
  return levelOfKey(text) ?? levelOfWords(text);
}

function levelOfKey(text: string): LogLevel | undefined {
  const level = hasLogfmtKey.test(text) ? levelOfLogfmt(text) : undefined;
  if (level) return level;
  const fields = readLastFields(text);
  return fields && findLevel(fields)?.level;
}

/** Keys within quoted values don't count. */
function levelOfLogfmt(text: string): LogLevel | undefined {
  let areClosed = true;
  logfmtKey.lastIndex = 0;
  for (let found = logfmtKey.exec(text); found; found = logfmtKey.exec(text)) {
    const [token, word] = found;
    const level = word && toLevel(word);
    if (level) return level;
    if (token !== '"' || !areClosed) continue;
    // A quote that nothing closes is a sign like others, and so are all behind it: looking on at each would take long.
    const end = endOfQuoted(text, logfmtKey.lastIndex);
    areClosed = end !== undefined;
    logfmtKey.lastIndex = end ?? logfmtKey.lastIndex;
  }
  return undefined;
}

function endOfQuoted(text: string, from: number): number | undefined {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '"') return at + 1;
    if (text[at] === '\\') at += 1;
  }
  return undefined;
}

function levelOfWords(text: string): LogLevel | undefined {
  const head = text.slice(0, headLength);
  const own = head.replace(origin, '');
  return (
    fromForms(forms, head) ??
    fromForms(openings, own) ??
    (own === head ? undefined : fromForms(forms, own)) ??
    fromWords(head)
  );
}

function fromForms(all: readonly Form[], text: string): LogLevel | undefined {
  for (const [pattern, read] of all) {
    const found = pattern.exec(text);
    const level = found && read(found[1] ?? '');
    if (level) return level;
  }
  return undefined;
}

function fromWords(head: string): LogLevel | undefined {
  for (const [, capitals, bracketed, system] of head.matchAll(levelWords)) {
    const level = toLevel(capitals ?? bracketed ?? system ?? '');
    if (level) return level;
  }
  return undefined;
}
