import { Problem } from '../errors.ts';

/**
 * Reads until when something is good, ms since 1970; null for ever.
 * @throws Problem `invalid`
 */
export function toMoment(text: string | null | undefined): number | null {
  if (text === undefined || text === null || text === '') return null;
  const moment = /^\d{4}-\d\d-\d\d([T ]|$)/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(moment)) throw new Problem('invalid', 'expiresAt: must be a time such as 2027-01-31T12:00:00Z.');
  return moment;
}

/** A moment as the API tells it. */
export const toIso = (moment: number | null) => (moment === null ? null : new Date(moment).toISOString());
