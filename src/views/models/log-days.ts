import type { GapModel, LineModel } from './logs.ts';

const format = new Intl.DateTimeFormat('en-GB', {
  weekday: 'long',
  day: 'numeric',
  month: 'long',
  year: 'numeric',
  timeZone: 'UTC',
});

/**
 * Tells the day above the first of some lines, and above each that is of another day than the one before it, and that times
 * are UTC. The script does the same for those that come later, and where days are those of the browser's zone.
 */
export function withDays<T extends LineModel | GapModel>(entries: T[]): T[] {
  let day = '';
  for (const entry of entries) {
    if (!('line' in entry)) continue;
    const own = entry.line.at.slice(0, 10);
    if (own !== day) entry.line.day = toDay(own);
    day = own;
  }
  return entries;
}

function toDay(text: string): string {
  const date = new Date(`${text}T00:00:00Z`);
  return Number.isNaN(date.getTime()) ? '' : `${format.format(date)}, UTC`;
}
