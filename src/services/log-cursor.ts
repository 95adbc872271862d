import { Problem } from '../errors.ts';

/** What a request may say of a time: the engine's form of it, and the cursor to continue after where it was one. */
export type LogTime = { engine: string; after: string | undefined };

const cursorPattern = /^\d{19}\.\d{1,9}$/;
const date = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d\d:\d\d)?$/;
const maxOrdinal = 999_999_999;
/** The last time that a cursor has room for, in 2286; all later ones are this one. */
const maxTime = '9'.repeat(19);
const unixSeconds = /^(\d{1,10})(?:\.(\d{1,9}))?$/;

/** Whether a text has the form of a cursor: nanoseconds since 1970 in 19 digits, a dot, and an ordinal. */
export const isCursor = (text: string) => cursorPattern.test(text);

/**
 * Checks a cursor that came from outside and returns it.
 * @throws Problem `invalid` that names `since`
 */
export function parseCursor(text: string): string {
  if (isCursor(text)) return text;
  throw new Problem('invalid', 'since: must be a cursor as it stands at a log line.');
}

/** Orders two cursors: negative where the first stands earlier in the log. */
export function compareCursors(a: string, b: string): number {
  const timeA = a.slice(0, 19);
  const timeB = b.slice(0, 19);
  if (timeA !== timeB) return timeA < timeB ? -1 : 1;
  return Number(a.slice(20)) - Number(b.slice(20));
}

/** The nanoseconds since 1970 of a cursor, without its ordinal. */
export const cursorTime = (cursor: string) => cursor.slice(0, 19);

/** The time of a cursor as RFC 3339 with nine decimals. */
export function cursorDate(cursor: string): string {
  const seconds = Number(cursor.slice(0, 10));
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${cursor.slice(10, 19)}Z`;
}

/** A cursor's time as the engine reads it (`seconds.nanoseconds`), earlier by some milliseconds where asked, never before 1970. */
export function toEngineTime(cursor: string, earlierMs = 0): string {
  const time = BigInt(cursorTime(cursor)) - BigInt(earlierMs) * 1_000_000n;
  const digits = String(time > 0n ? time : 0n).padStart(10, '0');
  return `${Number(digits.slice(0, -9))}.${digits.slice(-9)}`;
}

/** The parameters that name a place in a log. */
export type LogTimeField = 'since' | 'until' | 'before' | 'after' | 'at';

/**
 * Reads a place in a log: a cursor, RFC 3339, or seconds since 1970 with up to nine decimals. A date without a zone is
 * in UTC, one without seconds begins its minute.
 * @throws Problem `invalid` that names the field
 */
export function parseLogTime(field: LogTimeField, text: string): LogTime {
  if (isCursor(text)) return { engine: toEngineTime(text), after: text };
  const unix = unixSeconds.exec(text);
  if (unix) return { engine: `${Number(unix[1])}.${(unix[2] ?? '').padEnd(9, '0')}`, after: undefined };
  const [, day, minute, second = '00', decimals = '', zone = 'Z'] = date.exec(text) ?? [];
  const time = isDay(day) ? Date.parse(`${day}T${minute}:${second}${zone.toUpperCase()}`) : Number.NaN;
  if (time >= 0) return { engine: `${time / 1000}.${decimals.padEnd(9, '0')}`, after: undefined };
  throw new Problem(
    'invalid',
    `${field}: must be a cursor, a time such as "2025-01-24T14:01:52Z", or seconds since 1970.`,
  );
}

/** Whether a date is one of the calendar: a 30 February would be read as 2 March. */
function isDay(day: string | undefined): boolean {
  const time = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().slice(0, 10) === day;
}

/** The last cursor that can stand before a time, so that what continues after it begins with that time. */
export function cursorBefore({ engine, after }: LogTime): string {
  return after ?? previousCursor(`${toNanoseconds(engine)}.0`);
}

/** The first cursor that can stand at a time; that of a line is itself. */
export const cursorAt = ({ engine, after }: LogTime): string => after ?? `${toNanoseconds(engine)}.0`;

/** The first cursor that can stand behind all lines of a time, also where it is that of a line. */
export const cursorBehind = (time: LogTime): string => moveCursor(cursorAt(time), 1n);

/** The last cursor that can stand before another one. */
export function previousCursor(cursor: string): string {
  const ordinal = Number(cursor.slice(20));
  if (ordinal > 0) return `${cursorTime(cursor)}.${ordinal - 1}`;
  return `${cursorTime(moveCursor(cursor, -1n))}.${maxOrdinal}`;
}

/** Whether a cursor can be that of a line; some only stand between two. */
export const isLineCursor = (cursor: string): boolean =>
  Number(cursor.slice(20)) < maxOrdinal && Number(cursorTime(cursor)) > 0;

/** The first cursor that can stand behind another one. */
export function nextCursor(cursor: string): string {
  const ordinal = Number(cursor.slice(20));
  return ordinal < maxOrdinal ? `${cursorTime(cursor)}.${ordinal + 1}` : moveCursor(cursor, 1n);
}

/** The first cursor of a time that lies so many nanoseconds from a cursor's, never before 1970 or behind the last one. */
export function moveCursor(cursor: string, nanoseconds: bigint): string {
  const time = BigInt(cursorTime(cursor)) + nanoseconds;
  if (time > BigInt(maxTime)) return `${maxTime}.0`;
  return `${String(time > 0n ? time : 0n).padStart(19, '0')}.0`;
}

function toNanoseconds(engine: string): string {
  const [seconds = '0', decimals = ''] = engine.split('.');
  return seconds.length > 10 ? maxTime : seconds.padStart(10, '0') + decimals.padEnd(9, '0');
}

/**
 * Creates the numbering of one stream: gives each line's cursor from its time, in the order the lines come.
 * A line whose time lies before that of an earlier line (both outputs are stamped before they are written, and clocks
 * are set back) takes the earlier line's time and the next ordinal, so that cursors only ever grow.
 * `firstOrdinal` is how many lines of the first line's time lie before it.
 */
export function createNumbering(firstOrdinal = 0): (at: string) => string {
  let latest = '';
  let time = '';
  let ordinal = firstOrdinal;
  let second = '';
  let secondDigits = '';

  function toTime(at: string): string {
    const own = at.slice(0, 19);
    if (own !== second) {
      second = own;
      const ms = Date.parse(`${own}Z`);
      // Before 1970 and after 2286 there is no such number of digits: an engine without a clock says the year 1.
      secondDigits = ms >= 0 && ms < 1e13 ? String(ms / 1000).padStart(10, '0') : '0000000000';
    }
    return secondDigits + at.slice(20, 29);
  }

  return (at) => {
    if (at > latest) {
      const next = toTime(at);
      if (latest !== '') ordinal = next === time ? ordinal + 1 : 0;
      latest = at;
      time = next;
    } else ordinal += 1;
    return `${time}.${ordinal}`;
  };
}
