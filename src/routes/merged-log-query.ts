import type { Static } from 'typebox';
import type { Deps } from '../deps.ts';
import { maxLines } from '../services/log-lines.ts';
import { parseMergedEnd, parseMergedPlace, parsePlaces } from '../services/merged-cursor.ts';
import { endOfLogs, type MergedSlice } from '../services/merged-slices.ts';
import { isDownload } from './log-downloads.ts';
import { placeOf, toLogFilter } from './logs.ts';
import type * as schemas from './schemas.ts';

/** The parameters of merged logs. */
export type MergedLogParameters = Static<typeof schemas.MergedLogQuery>;

/** How many of the newest lines are shown where nothing else is asked for. */
export const defaultTail = 100;
const sliceTail = 500;

/** The cursors and times after which lines are wanted; an empty field is none. */
export const sinceOf = ({ since }: Pick<MergedLogParameters, 'since'>): string[] =>
  [since].flat().filter((text) => text !== '');

/** The place that a page of merged logs lies at; none where the newest lines or a range are wanted. */
export const mergedPlaceOf = (query: MergedLogParameters) => placeOf({ ...query, since: sinceOf(query)[0] ?? '' });

/** How many lines are wanted: who asks for a time wants what there is from then, up to `most`. */
export function mergedTailOf<T>(query: MergedLogParameters, most: T): number | T {
  if (query.tail !== undefined) return query.tail;
  if (mergedPlaceOf(query)) return sliceTail;
  return sinceOf(query).length > 0 || query.until !== '' || isDownload(query) ? most : defaultTail;
}

/**
 * The slice of merged logs that is shown: at its place, of its range, or the newest lines; with the line that is marked.
 * @throws Problem `invalid` for what names no place
 */
export async function readMergedSlice(
  { mergedLogs: { slices } }: Deps,
  ids: readonly string[],
  query: MergedLogParameters,
  signal: AbortSignal,
): Promise<MergedSlice & { at?: string | undefined }> {
  const filter = toLogFilter(query);
  const count = mergedTailOf(query, maxLines);
  const kind = mergedPlaceOf(query);
  if (!kind) {
    const place = query.until === '' ? endOfLogs : parseMergedEnd(query.until);
    return slices.before(ids, { ...filter, count, place, since: parsePlaces(sinceOf(query))?.of }, signal);
  }
  const place = parseMergedPlace(kind, query[kind]);
  if (kind === 'before') return slices.before(ids, { ...filter, count, place }, signal);
  if (kind === 'after') return slices.after(ids, { ...filter, count, place }, signal);
  return slices.around(ids, { ...filter, count, place }, signal);
}
