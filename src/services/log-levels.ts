/** How grave a line is, the gravest first; a filter by one of them takes those before it too. */
export const logLevels = ['error', 'warn', 'info', 'debug'] as const;

/** How grave a line is. */
export type LogLevel = (typeof logLevels)[number];

/** What programs call the levels, whole or in three or four letters. */
const names: Record<LogLevel, string> = {
  error:
    'error err erro eror critical crit fatal ftl fata panic pani emergency emerg alert severe fail failed failure e f c',
  warn: 'warning warn wrn w',
  info: 'info inf information informational notice note log system i n',
  debug: 'debug dbg debu dbug trace trc trac trce verbose vrb fine finer finest d t v',
};
const levels = new Map(logLevels.flatMap((level) => names[level].split(' ').map((name) => [name, level] as const)));

/** The level that a word names, whatever its case; `DEBUG1` is one too. */
export const toLevel = (word: string): LogLevel | undefined => levels.get(word.toLowerCase().replace(/\d$/, ''));

/** Numbers from which on a level counts, the gravest first. */
type Scale = readonly (readonly [least: number, level: LogLevel])[];

const pino: Scale = [
  [50, 'error'],
  [40, 'warn'],
  [30, 'info'],
  [10, 'debug'],
];
const monolog: Scale = [
  [400, 'error'],
  [300, 'warn'],
  [200, 'info'],
  [100, 'debug'],
];
const openTelemetry: Scale = [
  [17, 'error'],
  [13, 'warn'],
  [9, 'info'],
  [1, 'debug'],
];

const onScale = (scale: Scale, value: number) => scale.find(([least]) => value >= least)?.[1];

/** The level of a number as pino and bunyan (10 to 60) or Monolog (100 to 600) write it. */
export const levelOfNumber = (value: number): LogLevel | undefined => onScale(value < 100 ? pino : monolog, value);

/** The level of OpenTelemetry's `SeverityNumber`, 1 to 24. */
export const levelOfSeverityNumber = (value: number): LogLevel | undefined => onScale(openTelemetry, value);

/** The level of syslog's severity, 0 (emergency) to 7 (debug), also within a priority that has a facility. */
export function levelOfPriority(priority: number): LogLevel {
  const severity = priority & 7;
  return severity <= 3 ? 'error' : severity === 4 ? 'warn' : severity === 7 ? 'debug' : 'info';
}

/** Whether a level is as grave as another one, or graver. */
export const isAtLeast = (level: LogLevel | undefined, least: LogLevel): boolean =>
  level !== undefined && logLevels.indexOf(level) <= logLevels.indexOf(least);
