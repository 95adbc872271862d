import type { Mark } from '../../services/event-types.ts';
import { momentIn } from './chart-strips.ts';

/** A mark as it is drawn: where, with which glyph and colour, and what is told when it is pointed at. */
export type MarkModel = { x: string; glyph: string; tone: string; title: string };

/** From the least to the gravest: where several fall on one place, the gravest gives its glyph. */
const looks = {
  start: { glyph: 's-running', tone: 'tone-ok' },
  die: { glyph: 's-exited', tone: 'tone-off' },
  health: { glyph: 's-unhealthy', tone: 'tone-warn' },
  rebuild: { glyph: 's-restarting', tone: 'tone-new' },
  oom: { glyph: 's-oom', tone: 'tone-bad' },
} as const;
const gravity = Object.keys(looks);

const places = 60;
const titlesAtOnce = 3;

type Span = { from: number; to: number };

/** The marks within a span, oldest first. */
export const marksWithin = (marks: readonly Mark[], { from, to }: Span) =>
  marks.filter(({ at }) => at >= from && at <= to).sort((a, b) => a.at - b.at);

/** A mark with its time. */
export const markInWords = (mark: Mark, span: Span) => `${momentIn(span, mark.at)} UTC ${mark.title}`;

/** What is marked in each of so many equal pieces of a span: when the first of it was, and the titles as they are told. */
export function marksAt(
  marks: readonly Mark[],
  span: Span,
  count: number,
): Map<number, { at: number; titles: string[] }> {
  const { from, to } = span;
  const pieces = Map.groupBy(marksWithin(marks, span), ({ at }) =>
    Math.min(count - 1, Math.floor(((at - from) * count) / (to - from))),
  );
  return new Map(
    [...pieces].map(([index, group]) => [index, { at: group[0]?.at ?? from, titles: titlesOf(group, span) }]),
  );
}

/** The first few of them, and how many more there are. */
function titlesOf(group: readonly Mark[], span: Span): string[] {
  const titles = group.slice(0, titlesAtOnce).map((mark) => markInWords(mark, span));
  const rest = group.length - titles.length;
  return [...titles, ...(rest > 0 ? [`and ${rest} more`] : [])];
}

/** Marks with their places on the axis; those that would cover each other become one. */
export function toMarks(marks: readonly Mark[], span: Span): MarkModel[] {
  const { from, to } = span;
  return groupNear(marksWithin(marks, span), (to - from) / places).map((group) => {
    const gravest = group.reduce((a, b) => (gravity.indexOf(b.kind) > gravity.indexOf(a.kind) ? b : a));
    return {
      x: `${Number((((gravest.at - from) / (to - from)) * 100).toFixed(1))}%`,
      ...looks[gravest.kind],
      title: titlesOf(group, span).join('\n'),
    };
  });
}

/** Marks in the order of time, together with those that follow the first of them within so many ms. */
function groupNear(marks: readonly Mark[], ms: number): Mark[][] {
  const groups: Mark[][] = [];
  for (const mark of marks) {
    const group = groups.at(-1);
    if (group?.[0] && mark.at - group[0].at < ms) group.push(mark);
    else groups.push([mark]);
  }
  return groups;
}
