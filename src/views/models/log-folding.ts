import { stripAnsi } from '../../services/ansi.ts';
import { type Member, membersOf, placesIn, type Span } from '../../services/json-members.ts';
import { findLevel, findMessage, type LogFields, readFields } from '../../services/log-fields.ts';
import type { Mark, TextRange } from '../../services/log-search.ts';
import { type SegmentModel, toMarked } from './log-segments.ts';

/** A line of JSON as people read it: the data of `fragments/logs/folded`. */
export type FoldedModel = {
  /** Its level as the line says it; empty where it tells none. */
  level: SegmentModel[];
  message: SegmentModel[];
  fields: { name: SegmentModel[]; value: SegmentModel[] }[];
  /** How many fields there was no room for; empty for none. */
  more: string;
  raw: SegmentModel[];
  /** Whether the search found something that only the raw line shows. */
  isFoundInRaw: boolean;
};

const maxFields = 20;
const maxValue = 200;
const maxMessage = 8_000;

const timeKeys = new Set(['time', 'ts', 't', 'timestamp', '@timestamp', '@t', 'datetime', 'asctime']);
const timeValue = /^(?:"?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|"?\d{9,19}(?:\.\d+)?"?$|\{\s*"\$date")/;
const plainName = /^[\w.@$/:-]+$/;
const plainValue = /^[^\s"'=\\{}[\]]+$/;
const space = /("[^"\\]*(?:\\.[^"\\]*)*")|\s+/g;

/** A part of the raw line as it is shown; `placeOf` tells where a place of it is shown, without it no find can be. */
type Part = { text: string; span: Span; placeOf: ((place: number) => number) | undefined };

/** A line that is one JSON object as its message and its other fields; none where it is no such line. */
export function toFolded(line: string, mark: Mark | undefined): FoldedModel | undefined {
  const text = stripAnsi(line);
  const fields = readFields(text);
  const members = fields ? membersOf(text) : [];
  if (!fields || members.length === 0) return undefined;
  const found = mark?.(text) ?? [];
  const level = findLevel(fields);
  const messageKey = findMessage(fields);
  const rest = members.filter(
    (member) => member.key !== messageKey && member.key !== level?.key && !isTime(member, text),
  );
  const shown = {
    level: level && toLevelPart(level, members, fields, text),
    message: messageKey === undefined ? undefined : toMessage(members, messageKey, text),
    fields: rest.slice(0, maxFields).map((member) => ({ name: toName(member, text), value: toValue(member, text) })),
  };
  const parts = [shown.level, shown.message, ...shown.fields.flatMap(({ name, value }) => [name, value])];
  const more = rest.length - shown.fields.length;
  const toModel = (part: Part | undefined) => (part ? toMarked(part.text, found.flatMap(within(part))) : []);
  return {
    level: toModel(shown.level),
    message: toModel(shown.message),
    fields: shown.fields.map(({ name, value }) => ({ name: toModel(name), value: toModel(value) })),
    more: more > 0 ? `and ${more} more ${more === 1 ? 'field' : 'fields'}` : '',
    raw: toMarked(text, found),
    isFoundInRaw: found.some((range) => !parts.some((part) => part && within(part)(range).length > 0)),
  };
}

/** The time of a line stands before it anyway. */
const isTime = ({ key, value }: Member, text: string) =>
  timeKeys.has(key.toLowerCase()) && timeValue.test(text.slice(value.from, Math.min(value.to, value.from + 30)));

function toLevelPart(
  { key, level }: { key: string; level: string },
  members: readonly Member[],
  fields: LogFields,
  text: string,
): Part {
  const value = members.findLast((member) => member.key === key)?.value;
  const word = fields[key];
  const isWord = typeof word === 'string' && /^[A-Za-z]{2,12}$/.test(word);
  if (value && isWord) return toPart(text, inside(value));
  return { text: level, span: value ?? { from: 0, to: 0 }, placeOf: undefined };
}

function toMessage(members: readonly Member[], key: string, text: string): Part {
  const span = inside((members.findLast((member) => member.key === key) as Member).value);
  const escaped = text.slice(span.from, span.to);
  const message = String(JSON.parse(`"${escaped}"`));
  const shown = withoutControls(message);
  const places = placesIn(escaped);
  return {
    ...withEnd(shown, maxMessage),
    span,
    placeOf: shown === message ? (place) => places[place - span.from] ?? 0 : undefined,
  };
}

const toName = ({ key, name }: Member, text: string): Part =>
  plainName.test(key) && key.length === name.to - name.from - 2
    ? toPart(text, inside(name), maxValue)
    : toPart(text, name, maxValue);

function toValue({ value }: Member, text: string): Part {
  const raw = text.slice(value.from, value.to);
  if (plainValue.test(raw.slice(1, -1)) && raw.startsWith('"')) return toPart(text, inside(value), maxValue);
  const compact = /^[{[]/.test(raw) ? raw.replace(space, '$1') : raw;
  if (compact === raw) return toPart(text, value, maxValue);
  return { ...withEnd(withoutControls(compact), maxValue), span: value, placeOf: undefined };
}

/** A part that is shown as it stands in the line. */
function toPart(text: string, span: Span, most = maxValue): Part {
  const raw = text.slice(span.from, span.to);
  const shown = withoutControls(raw);
  const placeOf = shown === raw ? (place: number) => place - span.from : undefined;
  return { ...withEnd(shown, most), span, placeOf };
}

const inside = ({ from, to }: Span): Span => ({ from: from + 1, to: to - 1 });

const withEnd = (text: string, most: number) => ({ text: text.length > most ? `${text.slice(0, most)}…` : text });

/** What could harm the view is left out or shown by its name; a message keeps its lines. */
const withoutControls = (text: string) => text.split('\n').map(stripAnsi).join('\n');

/** Where a find of the raw line lies within a part that is shown. */
const within =
  ({ text, span, placeOf }: Part) =>
  ([from, to]: TextRange): TextRange[] => {
    if (!placeOf || to <= span.from || from >= span.to) return [];
    const start = placeOf(Math.max(from, span.from));
    const end = placeOf(Math.min(to, span.to) - 1) + 1;
    return start < text.length ? [[start, Math.min(end, text.length)]] : [];
  };
