import { Problem } from '../errors.ts';
import { type EventPlace, readPlace } from './event-types.ts';

const date = /^\d{4}-\d\d-\d\d$/;
const local = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?$/;
const zoned = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)$/;
const unixSeconds = /^\d{1,10}(\.\d{1,9})?$/;

/**
 * Reads an end of a span as µs since 1970: RFC 3339, a date, a date with a time (both UTC), or seconds since 1970;
 * undefined where it is empty.
 * @throws Problem `invalid` that names the field
 */
export function parseEventTime(field: 'since' | 'until' | 'from' | 'to', text: string): number | undefined {
  if (text === '') return undefined;
  if (unixSeconds.test(text)) return Math.round(Number(text) * 1e6);
  const whole = date.test(text) ? `${text}T00:00:00Z` : local.test(text) ? `${text}Z` : zoned.test(text) ? text : '';
  const ms = Date.parse(whole.toUpperCase().replace(' ', 'T'));
  if (!Number.isNaN(ms) && ms >= 0) return ms * 1_000;
  throw new Problem(
    'invalid',
    `${field}: must be a date such as "2025-01-24", a time such as "2025-01-24T14:01:52Z", or seconds since 1970.`,
  );
}

/**
 * Reads `before`: where a page ended; undefined where it is empty.
 * @throws Problem `invalid`
 */
export function parseEventPlace(text: string): EventPlace | undefined {
  if (text === '') return undefined;
  const place = readPlace(text);
  if (place) return place;
  throw new Problem('invalid', 'before: must be the cursor of an event.');
}
