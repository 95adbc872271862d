import { toSegments } from '../../services/ansi.ts';
import type { Mark, TextRange } from '../../services/log-search.ts';

/** A part of a line: its colours as classes, and whether the search found it. */
export type SegmentModel = { text: string; classes: string; found: boolean };

/** The parts of a line, cut where colours or finds begin and end. */
export function toParts(text: string, mark: Mark | undefined): SegmentModel[] {
  const segments = toSegments(text);
  const found = mark?.(segments.map((segment) => segment.text).join('')) ?? [];
  let start = 0;
  return segments.flatMap(({ text, classes }) => {
    const parts = cut(text, start, found);
    start += text.length;
    return parts.map((part) => ({ ...part, classes: classes.join(' ') }));
  });
}

/** A text without colours, cut where finds begin and end. */
export const toMarked = (text: string, found: readonly TextRange[]): SegmentModel[] =>
  cut(text, 0, found).map((part) => ({ ...part, classes: '' }));

/** A text that begins at `start`, cut where ranges begin and end. */
function cut(text: string, start: number, ranges: readonly TextRange[]): Omit<SegmentModel, 'classes'>[] {
  const parts: Omit<SegmentModel, 'classes'>[] = [];
  let at = 0;
  const add = (end: number, found: boolean) => {
    if (end > at) parts.push({ text: text.slice(at, end), found });
    at = Math.max(at, end);
  };
  for (const [from, to] of ranges) {
    if (to <= start || from >= start + text.length) continue;
    add(from - start, false);
    add(Math.min(to - start, text.length), true);
  }
  add(text.length, false);
  return parts;
}
