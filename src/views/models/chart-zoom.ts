import { dayMonth } from '../format.ts';
import { momentIn } from './chart-strips.ts';
import { toHref } from './context.ts';

/** What the charts of a page show: a range up to now or a span of one's own choice (`custom`), in ms since 1970. */
export type ChartsWindow = { range: string; from: number; to: number };

/** How to look at another time: links for everybody, and what a script needs to make such links. */
export type ZoomModel = {
  links: { href: string; label: string; title: string }[];
  /** Back to the range that is followed; null where that is shown. */
  resetHref: string | null;
  /** What is shown, in seconds since 1970. */
  from: number;
  to: number;
  /** The span in words, where it is one's own; else empty. */
  words: string;
};

/** How short and how long a span may be, in ms: longer than a year is kept by nobody. */
export const spanBounds = { leastMs: 60_000, mostMs: 366 * 86_400_000 };

/** The links around a window of charts at an address; a span is told in whole seconds. */
export function toZoom(path: string, { range, from, to }: ChartsWindow, now: number): ZoomModel {
  const length = to - from;
  const isOwn = range === 'custom';
  const link = (label: string, title: string, start: number, end: number) => {
    const seconds = (ms: number) => String(Math.round(Math.max(0, ms) / 1_000));
    return { href: toHref(path, { from: seconds(start), to: seconds(end) }), label, title };
  };
  const links = [link('Earlier', 'The time before', from - length / 2, to - length / 2)];
  if (isOwn && to < now) links.push(link('Later', 'The time after', from + length / 2, to + length / 2));
  if (length / 2 >= spanBounds.leastMs)
    links.push(link('Zoom in', 'Half of this time', from + length / 4, to - length / 4));
  if (isOwn && length * 2 <= spanBounds.mostMs) {
    const end = Math.max(to, Math.min(to + length / 2, now));
    links.push(link('Zoom out', 'Twice this time', end - length * 2, end));
  }
  return {
    links,
    resetHref: isOwn ? path : null,
    from: Math.floor(from / 1_000),
    to: Math.ceil(to / 1_000),
    words: isOwn ? spanInWords({ from, to }) : '',
  };
}

/** `24 Nov 14:02 to 14:20`, with the second day where that is another. */
function spanInWords(span: { from: number; to: number }): string {
  const [first, last] = [dayMonth(span.from), dayMonth(span.to)];
  if (span.to - span.from > 2 * 86_400_000) return `${momentIn(span, span.from)} to ${momentIn(span, span.to)}`;
  return `${first} ${momentIn(span, span.from)} to ${first === last ? '' : `${last} `}${momentIn(span, span.to)}`;
}
