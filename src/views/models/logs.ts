import { toSegments } from '../../services/ansi.ts';
import type { LogGap, LogLine, LogState } from '../../services/logs.ts';
import { clock, count } from '../format.ts';
import { type Shared, toHref, toShared, type ViewContext } from './context.ts';

/** The parameters of a log page, as they stand in the URL. */
export type LogPageQuery = { q: string; stream: string; tail: string; since: string; until: string };

/** A part of a line: its colours as classes, and whether the search found it. */
export type SegmentModel = { text: string; classes: string; found: boolean };

/** The data of `fragments/logs/line`. */
export type LineModel = {
  line: {
    at: string;
    time: string;
    cursor: string;
    stream: string;
    level: string;
    segments: SegmentModel[];
  };
};

/** The data of `fragments/logs/gap`. */
export type GapModel = { gap: { text: string } };

/** The data of `fragments/logs/entries`. */
export type LinesModel = { entries: (LineModel | GapModel)[] };

/** How lines are shown: what was searched for. */
export type LineOptions = { q?: string | undefined };

/** Lines and gaps in order, ready to be shown. */
export function logLinesModel(entries: readonly (LogLine | LogGap)[], options: LineOptions = {}): LinesModel {
  return { entries: entries.map((entry) => ('cursor' in entry ? logLineModel(entry, options) : logGapModel(entry))) };
}

/** One line. */
export function logLineModel(line: LogLine, { q }: LineOptions = {}): LineModel {
  return {
    line: {
      at: line.at,
      time: line.at.slice(11, 23),
      cursor: line.cursor,
      stream: line.stream,
      level: levelOf(line.text),
      segments: toSegments(line.text).flatMap(({ text, classes }) => mark(text, classes.join(' '), q ?? '')),
    },
  };
}

/** What is missing, in a sentence. */
export function logGapModel(gap: LogGap): GapModel {
  if ('lines' in gap) return { gap: { text: `${count(gap.lines)} ${gap.lines === 1 ? 'line' : 'lines'} skipped` } };
  if ('atMost' in gap) return { gap: { text: `Up to ${count(gap.atMost)} earlier lines could not be read` } };
  const since = Date.parse(gap.since);
  return { gap: { text: `Lines since ${Number.isNaN(since) ? gap.since : `${clock(since)} UTC`} are missing here` } };
}

const levels: readonly (readonly [RegExp, string])[] = [
  [/^(fatal|panic|critical|crit|emerg|alert|error|err)$/i, 'error'],
  [/^(warn|warning)$/i, 'warn'],
  [/^(info|notice)$/i, 'info'],
  [/^(debug|trace)$/i, 'debug'],
];
const levelWord =
  /\b(FATAL|PANIC|CRITICAL|ERROR|ERR|WARN|WARNING|INFO|NOTICE|DEBUG|TRACE)\b|\blevel["']?[=:]\s*["']?([a-z]+)|\[([a-z]+)\]/;

/** The level that a line names near its start, in the common ways; empty where it names none. */
function levelOf(text: string): string {
  const match = levelWord.exec(text.slice(0, 160));
  const word = match?.[1] ?? match?.[2] ?? match?.[3] ?? '';
  return levels.find(([pattern]) => pattern.test(word))?.[1] ?? '';
}

function mark(text: string, classes: string, q: string): SegmentModel[] {
  const at = q ? text.toLowerCase().indexOf(q.toLowerCase()) : -1;
  // Lower-casing can change a text's length; then positions mean nothing and it stays unmarked.
  if (at < 0 || text.toLowerCase().length !== text.length) return [{ text, classes, found: false }];
  const end = at + q.length;
  const before = at > 0 ? [{ text: text.slice(0, at), classes, found: false }] : [];
  const rest = end < text.length ? mark(text.slice(end), classes, q) : [];
  return [...before, { text: text.slice(at, end), classes, found: true }, ...rest];
}

/** What a log viewer is made of. */
export type LogViewerInput = {
  /** What the logs are of: a container's or a project's name. */
  title: string;
  /** The page of these logs, which the filters lead to. */
  href: string;
  /** The page of what the logs are of. */
  backHref: string;
  /** The address of the viewer's own socket; null where nothing can be followed. */
  live: string | null;
  entries: readonly (LogLine | LogGap)[];
  query: LogPageQuery;
  /** Whether the log holds older lines that match. */
  cut: boolean;
  /** A card within another page, instead of a page of its own. */
  pane: boolean;
};

type ChoiceModel = { href: string; label: string; current: boolean };

/** The data of `fragments/logs/viewer` and `pages/logs`. */
export type LogViewerModel = Shared & {
  logs: {
    title: string;
    href: string;
    backHref: string;
    live: string | null;
    pane: boolean;
    q: string;
    stream: string;
    tails: { value: string; label: string; selected: boolean }[];
    since: string;
    until: string;
    streams: ChoiceModel[];
    older: ChoiceModel | null;
    lines: LinesModel;
    placeholder: string;
  };
};

const tails = ['100', '500', '1000', '5000'];

/** A log viewer: its toolbar and the lines that are known already. */
export function logViewerModel(input: LogViewerInput, context: ViewContext): LogViewerModel {
  const { query, href } = input;
  const tail = query.tail || '100';
  return {
    ...toShared(context),
    logs: {
      title: input.title,
      href,
      backHref: input.backHref,
      live: input.live,
      pane: input.pane,
      q: query.q,
      stream: query.stream,
      tails: (tails.includes(tail) ? tails : [tail, ...tails]).map((value) => ({
        value,
        label: `Last ${/^\d+$/.test(value) ? count(Number(value)) : value}`,
        selected: value === tail,
      })),
      since: query.since,
      until: query.until,
      streams: [
        { label: 'Both', stream: '' },
        { label: 'stdout', stream: 'stdout' },
        { label: 'stderr', stream: 'stderr' },
      ].map(({ label, stream }) => ({
        href: toHref(href, { ...query, stream }),
        label,
        current: query.stream === stream,
      })),
      older: input.cut ? toOlder(href, query, tail) : null,
      lines: logLinesModel(input.entries, { q: query.q }),
      placeholder: query.q || query.stream ? 'No line matches so far.' : 'No lines so far.',
    },
  };
}

function toOlder(href: string, query: LogPageQuery, tail: string): ChoiceModel {
  const next = tails.find((value) => Number(value) > Number(tail)) ?? '5000';
  return {
    href: toHref(href, { ...query, tail: next }),
    label: `Load the last ${count(Number(next))}`,
    current: false,
  };
}

/** The data of `fragments/logs/state`: how the following of a log does. */
export function logStateModel(state: LogState): { state: { status: string; text: string } } {
  const texts: Record<LogState, { status: string; text: string }> = {
    following: { status: 'live', text: 'following' },
    ended: { status: 'offline', text: 'ended with the container' },
    retrying: { status: 'reconnecting', text: 'log stream broke, trying again' },
  };
  return { state: texts[state] };
}
