import { type LogLevel, levelOfNumber, levelOfPriority, levelOfSeverityNumber, toLevel } from './log-levels.ts';

/** The fields of a line that is one JSON object. */
export type LogFields = Record<string, unknown>;

/** Under which names programs write a level, the most telling first; in lower case. */
const levelKeys = [
  'level',
  'lvl',
  'severity',
  'loglevel',
  'log.level',
  'log_level',
  'levelname',
  'level_name',
  '@l',
  'severitytext',
  'severity_text',
  'severitynumber',
  'severity_number',
  'priority',
];
const levelRanks: ReadonlyMap<string, number> = new Map(levelKeys.map((key, rank) => [key, rank]));

/** Under which names programs write what they have to say, the most telling first. */
const messageKeys = [
  'msg',
  'message',
  '@m',
  'event',
  'short_message',
  '@mt',
  'MESSAGE',
  'Message',
  'textPayload',
  'log',
  'body',
  'text',
];

/** Whether a text may be one JSON object, which only its parsing can tell. */
const looksWhole = (text: string) => /^\s*\{/.test(text) && /\}\s*$/.test(text);

/** The fields of a line that is one JSON object and nothing else. */
export const readFields = (text: string): LogFields | undefined => (looksWhole(text) ? parseObject(text) : undefined);

/** The fields of a JSON object that ends a line, whatever stands before it. */
export function readLastFields(text: string): LogFields | undefined {
  const start = text.endsWith('}') ? text.search(/\{\s*"/) : -1;
  return start < 0 ? undefined : parseObject(text.slice(start));
}

function parseObject(text: string): LogFields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as LogFields) : undefined;
  } catch {
    return undefined;
  }
}

/** The name of the field that tells a line's level, and the level; those within other fields don't count. */
export function findLevel(fields: LogFields): { key: string; level: LogLevel } | undefined {
  let best: { key: string; level: LogLevel; rank: number } | undefined;
  for (const key of Object.keys(fields)) {
    const name = key.toLowerCase();
    const rank = levelRanks.get(name);
    if (rank === undefined || (best && best.rank <= rank)) continue;
    const level = levelOfValue(name, fields[key], fields);
    if (level) best = { key, level, rank };
  }
  return best ?? findImplied(fields);
}

function levelOfValue(name: string, value: unknown, fields: LogFields): LogLevel | undefined {
  if (typeof value === 'string' && !/^\d{1,3}$/.test(value)) return toLevel(value.trim());
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const number = Number(value);
  // The Graylog format has syslog's numbers, as journald's own field has; elsewhere small numbers mean anything.
  const isSyslog = name === 'priority' || 'short_message' in fields;
  if (isSyslog) return number >= 0 && number <= 7 ? levelOfPriority(number) : undefined;
  return name.startsWith('severity') && name.endsWith('number') ? levelOfSeverityNumber(number) : levelOfNumber(number);
}

/** MongoDB has one letter for it, and Serilog leaves out the level of most lines. */
function findImplied(fields: LogFields): { key: string; level: LogLevel } | undefined {
  const { s } = fields;
  const level = typeof s === 'string' && 'c' in fields && 'ctx' in fields ? toLevel(s) : undefined;
  if (level) return { key: 's', level };
  return '@t' in fields && ('@m' in fields || '@mt' in fields) ? { key: '@l', level: 'info' } : undefined;
}

/** The name of the field that has what a line says. */
export const findMessage = (fields: LogFields): string | undefined =>
  messageKeys.find((key) => typeof fields[key] === 'string' && fields[key] !== '');

/** What a line says; empty where no field has it. */
export function messageOf(fields: LogFields): string {
  const key = findMessage(fields);
  const message = key === undefined ? undefined : fields[key];
  return typeof message === 'string' ? message : '';
}
