import { Problem } from '../errors.ts';
import {
  compareCursors,
  cursorAt,
  cursorBefore,
  cursorBehind,
  cursorDate,
  cursorTime,
  type LogTimeField,
  moveCursor,
  nextCursor,
  parseLogTime,
  previousCursor,
} from './log-cursor.ts';
import type { LogLine } from './log-lines.ts';
import { startOfLog } from './log-slices.ts';

/** A place in the log of one container: its id, whole or short, and a cursor. */
export type Place = { container: string; cursor: string };

const pattern = /^(\d{19}\.\d{1,9})\.([0-9a-f]{12})$/;
const lastOrdinal = 999_999_999;
const newcomerNs = 10_000_000_000n;
const firstId = '0'.repeat(12);
const lastId = 'f'.repeat(12);

const shortId = (id: string) => id.slice(0, 12);

/** The place of a line in a merged log: its own cursor, a dot, and the first 12 digits of its container's id. */
export const mergedCursor = ({ cursor, container }: Pick<LogLine, 'cursor' | 'container'>) =>
  `${cursor}.${shortId(container)}`;

/** The order of a merged log: by time, then by container, then as each container wrote them. */
export function compareMerged(a: Place, b: Place): number {
  const [timeA, timeB] = [cursorTime(a.cursor), cursorTime(b.cursor)];
  if (timeA !== timeB) return timeA < timeB ? -1 : 1;
  if (a.container !== b.container) return a.container < b.container ? -1 : 1;
  return compareCursors(a.cursor, b.cursor);
}

/** Tells after which cursor the log of a container goes on. */
export type PlaceOf = (container: string) => string;

/** Where a merged log goes on, and the time of the last line that was read of it. */
export type Places = { of: PlaceOf; latest: string };

/**
 * Reads where a merged log goes on: a time, one place in it, or one place for each container that was read already; none
 * where nobody said so. Of a container without a place of its own goes on what lies behind the earliest of them: had it
 * been there before, it would have been read, and have one. Beside several, what it wrote shortly before counts too: one
 * that has just come is read some moments later than the others. A time beside them is the place of all that have none.
 * @throws Problem `invalid` that names `since`
 */
export function parsePlaces(texts: readonly string[]): Places | undefined {
  if (texts.length === 0) return undefined;
  const places = texts.filter(isPlace).map(parsePlace);
  const [time, ...others] = texts.filter((text) => !isPlace(text));
  if (time === undefined) return toPlaces(places);
  if (others.length > 0) throw wrongPlace();
  const cursor = cursorBefore(parseLogTime('since', time));
  if (places.length === 0) return { of: () => cursor, latest: cursorDate(cursor) };
  const own = ownOf(places);
  return { of: (id) => own.get(shortId(id)) ?? cursor, latest: toPlaces(places).latest };
}

/** Whether a text is the place of one container, and not a time. */
export const isPlace = (text: string): boolean => pattern.test(text);

/** Some places, one at least, as where a merged log goes on. */
export function toPlaces(some: readonly Place[]): Places {
  const places = [...some].sort(compareMerged);
  const own = ownOf(places);
  const earliest = (places.find(isSomewhere) ?? places[0]) as Place;
  const shortlyBefore = moveCursor(earliest.cursor, -newcomerNs);
  return {
    of: (id) => own.get(shortId(id)) ?? (places.length > 1 ? shortlyBefore : placeBeside(earliest, id)),
    latest: cursorDate((places.at(-1) as Place).cursor),
  };
}

function parsePlace(text: string): Place {
  const [, cursor, container] = pattern.exec(text) ?? [];
  if (cursor && container) return { cursor, container };
  throw wrongPlace();
}

const wrongPlace = () =>
  new Problem('invalid', 'since: must be a time, or cursors as they stand at the lines of a merged log.');

const ownOf = (places: readonly Place[]) =>
  new Map(places.map(({ container, cursor }) => [shortId(container), cursor]));

/** Whether a log had lines when its place was noted. */
const isSomewhere = ({ cursor }: Place) => cursor !== startOfLog;

/** The cursor in one container's log that stands where a place of another one does. */
export function placeBeside({ cursor, container }: Place, other: string): string {
  const time = BigInt(cursorTime(cursor)) - (shortId(other) > shortId(container) ? 1n : 0n);
  return `${String(time > 0n ? time : 0n).padStart(19, '0')}.${lastOrdinal}`;
}

/** A place in a merged log, as a cursor in each of its logs. */
export type MergedPlace = {
  /** The cursor before which the lines before the place lie. */
  before(container: string): string;
  /** The cursor behind which its own line lies, and all later ones. */
  from(container: string): string;
  /** The cursor behind which the lines behind the place lie. */
  after(container: string): string;
  /** The place right before it, and the one right behind it, for who looks for its neighbours where there is no line. */
  previous: string;
  next: string;
};

/**
 * Reads a place in a merged log: the cursor of one of its lines, or a time.
 * @throws Problem `invalid` that names the field
 */
export function parseMergedPlace(field: LogTimeField, text: string): MergedPlace {
  const [, cursor, container] = pattern.exec(text) ?? [];
  return cursor && container ? placeOfLine({ cursor, container }) : placeOfTime(field, text);
}

/** The place of a line in a merged log. */
export function placeOfLine({ cursor, container: id }: Place): MergedPlace {
  const container = shortId(id);
  const place = { cursor, container };
  const isOwn = (id: string) => shortId(id) === container;
  return {
    before: (id) => (isOwn(id) ? cursor : nextCursor(placeBeside(place, id))),
    from: (id) => (isOwn(id) ? previousCursor(cursor) : placeBeside(place, id)),
    after: (id) => (isOwn(id) ? cursor : placeBeside(place, id)),
    previous: mergedCursor({ cursor: previousCursor(cursor), container }),
    next: mergedCursor({ cursor: nextCursor(cursor), container }),
  };
}

function placeOfTime(field: LogTimeField, text: string): MergedPlace {
  const time = parseLogTime(field, text);
  return placeOfCursor(cursorAt(time), cursorBefore(time));
}

function placeOfCursor(at: string, before: string): MergedPlace {
  return {
    before: () => at,
    from: () => previousCursor(at),
    after: () => before,
    previous: mergedCursor({ cursor: previousCursor(at), container: lastId }),
    next: mergedCursor({ cursor: at, container: firstId }),
  };
}

/**
 * Reads the time up to which a range goes, as the place behind it.
 * @throws Problem `invalid` that names `until`
 */
export function parseMergedEnd(text: string): MergedPlace {
  const cursor = cursorBehind(parseLogTime('until', text));
  return placeOfCursor(cursor, previousCursor(cursor));
}
