import { Problem } from '../errors.ts';
import { parseEventTime } from '../services/event-times.ts';
import { type StatsRange, type StatsSpan, statsRanges } from '../services/stats-windows.ts';
import { spanBounds } from '../views/models/chart-zoom.ts';

/** Which time of figures is asked for, as it stands in an address. */
export type StatsQuery = { range: StatsRange; from: string; to: string };

/**
 * The range up to now, or the span that is asked for; where one end of it is not named, `from` goes up to now, and `to`
 * ends the range. `now` in ms since 1970.
 * @throws Problem `invalid` that names the field
 */
export function toWanted({ range, from, to }: StatsQuery, now: number): StatsRange | StatsSpan {
  if (from === '' && to === '') return range;
  const end = toMs(parseEventTime('to', to)) ?? now;
  const start = toMs(parseEventTime('from', from)) ?? end - statsRanges[range] * 1_000;
  if (end - start < spanBounds.leastMs) throw new Problem('invalid', 'to: must be at least a minute after from.');
  if (end - start > spanBounds.mostMs) throw new Problem('invalid', 'from: must be at most 366 days before to.');
  return { from: start, to: end };
}

const toMs = (micros: number | undefined) => (micros === undefined ? undefined : Math.floor(micros / 1_000));
