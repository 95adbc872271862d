import { attempt } from '../../services/attempts.ts';
import { compareCursors, cursorAt, cursorDate, parseLogTime } from '../../services/log-cursor.ts';
import { isJoined, levelOfLine } from '../../services/log-entries.ts';
import type { LogSearch, Mark } from '../../services/log-search.ts';
import type { LogGap, LogLine, LogSlice, LogState } from '../../services/logs.ts';
import { clock, count, dateTime } from '../format.ts';
import { type Shared, toHref, toShared, type ViewContext } from './context.ts';
import { contextOptions, levelOptions, type OptionModel, tailOptions } from './log-choices.ts';
import { withDays } from './log-days.ts';
import { type DisplayChoiceModel, type LogDisplay, logChoiceModels, toLogDisplay } from './log-display.ts';
import { type FoldedModel, toFolded } from './log-folding.ts';
import { type SegmentModel, toParts } from './log-segments.ts';

/** The parameters of a log page, as they stand in the URL. */
export type LogPageQuery = LogFilterQuery & { tail: string; since: string; until: string; at: string };

/** What narrows a log, as it stands in the URL; a switch is `1` or empty. */
export type LogFilterQuery = {
  q: string;
  regex: string;
  case: string;
  invert: string;
  stream: string;
  level: string;
  /** How many lines are shown around each match; empty for none. */
  context: string;
};

/** Whose line it is in a merged log: a name in one of six colours. */
export type Who = { label: string; hue: number };

/** A container that can be chosen, or all of a project, which has a log of its own. */
export type ChooserModel = {
  chooser: {
    action: string;
    /** In words, as there is a bound. */
    most: string;
    groups: { title: string; href: string | null; choices: { name: string; state: string; checked: boolean }[] }[];
  };
};

/** The data of `fragments/logs/line`. */
export type LineModel = {
  line: {
    at: string;
    time: string;
    /** The day that is told above it; empty where the line before it is of the same. */
    day: string;
    cursor: string;
    /** The page on which it stands between its neighbours; null where its log may be gone. */
    href: string | null;
    /** Whether it is the one that this page was opened at. */
    isMarked: boolean;
    /** Whether it is of one entry with the line above it. */
    isContinued: boolean;
    /** Whether it stands here for a match near it alone. */
    isContext: boolean;
    /** Whether lines are left out above it, in a view that shows lines around matches. */
    isApart: boolean;
    stream: string;
    level: string;
    /** Null where all lines are of one container; it leads to the line in its own container's log. */
    who: (Who & { href: string | null }) | null;
    /** The line as it is; empty where it is folded. */
    segments: SegmentModel[];
    /** The message and the fields of a line of JSON; null for all others. */
    folded: FoldedModel | null;
  };
};

/** The data of `fragments/logs/gap`. */
export type GapModel = { gap: { text: string } };

/** The data of `fragments/logs/entries`. */
export type LinesModel = { entries: (LineModel | GapModel)[] };

/** How lines are shown. */
export type LineOptions = {
  /** The prefix of every URL; none for lines that are kept apart from their log. */
  base: string | null;
  /** What marks the finds of a search. */
  mark?: Mark | undefined;
  /** The cursor of the line that is marked. */
  marked?: string | undefined;
  /** The line right above; null where something else stands there, nothing where nobody knows. */
  above?: LogLine | null | undefined;
};

/** Lines and gaps in order, ready to be shown. */
export function logLinesModel(entries: readonly (LogLine | LogGap)[], options: LineOptions): LinesModel {
  return {
    entries: entries.map((entry, n) =>
      'cursor' in entry
        ? logLineModel(entry, { ...options, above: aboveOf(entries, n, options.above) })
        : logGapModel(entry),
    ),
  };
}

/** One line. */
export function logLineModel(line: LogLine, { base, mark, marked, above }: LineOptions): LineModel {
  const marks = line.isContext ? undefined : mark;
  const folded = attempt<FoldedModel | null>(
    () => toFolded(line.text, marks) ?? null,
    () => null,
  );
  return {
    line: {
      at: line.at,
      time: line.at.slice(11, 23),
      day: '',
      cursor: line.cursor,
      href: base === null ? null : `${base}/containers/${line.container.slice(0, 12)}/logs?at=${line.cursor}#log-at`,
      isMarked: line.cursor === marked,
      isContinued: isContinued(line, above),
      isContext: line.isContext ?? false,
      isApart: line.isApart ?? false,
      stream: line.stream,
      level: levelOfLine(line) ?? '',
      who: null,
      segments: folded ? [] : toParts(line.text, marks),
      folded,
    },
  };
}

/** Whether a line is shown as one with the line above it. What nobody knows is taken for what stands there in the log. */
export const isContinued = (line: LogLine, above: LineOptions['above']): boolean =>
  above === undefined ? Boolean(line.entry?.first) : above !== null && isJoined(line, above);

/** What stands above one of some lines and gaps in order; `first` tells what stands above them all. */
export function aboveOf(
  entries: readonly (LogLine | object)[],
  n: number,
  first: LineOptions['above'],
): LineOptions['above'] {
  const above = entries[n - 1];
  if (!above) return first;
  return 'cursor' in above ? (above as LogLine) : null;
}

/** What stands above the first line of a view: in one with a search nothing of its own entry, as far as is known. */
export const aboveFirst = (q: string | undefined): LineOptions['above'] => (q ? null : undefined);

/** What is missing, in a sentence. */
export function logGapModel(gap: LogGap): GapModel {
  if ('lines' in gap) return { gap: { text: `${count(gap.lines)} ${gap.lines === 1 ? 'line' : 'lines'} skipped` } };
  if ('atMost' in gap) return { gap: { text: `Up to ${count(gap.atMost)} earlier lines could not be read` } };
  const since = Date.parse(gap.since);
  if (since === 0) return { gap: { text: 'Earlier lines are missing here' } };
  return { gap: { text: `Lines since ${Number.isNaN(since) ? gap.since : `${clock(since)} UTC`} are missing here` } };
}

/** What a log viewer is made of. */
export type LogViewerInput = {
  /** What the logs are of: a container's or a project's name. */
  title: string;
  /** The page of these logs, which the filters lead to, and its bare fragment. */
  href: string;
  fragmentHref: string;
  /** The page of what the logs are of. */
  backHref: string;
  /** The address of the viewer's own socket; null where nothing can be followed. */
  live: string | null;
  slice: LogSlice;
  query: LogPageQuery;
  search: LogSearch | undefined;
  /** How the page was asked for by a place in the log; empty for the newest lines or a range. */
  place: 'before' | 'after' | 'at' | '';
  /** The place that is marked: its line, or the first behind it. */
  at: string | undefined;
  /** A card within another page, instead of a page of its own. */
  pane: boolean;
  /** Where it is the log of several containers: how its lines are shown, and what else there is to tell. */
  merged?: MergedInput;
};

/** What a log of several containers has besides. */
export type MergedInput = {
  toLines(options: LineOptions): LinesModel;
  marked: string | undefined;
  notes: readonly string[];
  /** Whether lines of some of them are missing. */
  isPartial: boolean;
  /** The names of those that were chosen, which forms carry on. */
  names: readonly string[];
  chooser: ChooserModel | null;
};

/** A link to a neighbouring page; without an address there is none yet. */
type NeighbourModel = { href: string; fragmentHref: string; label: string; hidden: boolean };

type ChoiceModel = { href: string; label: string; current: boolean };

/** The data of `fragments/logs/viewer` and `pages/logs`. */
export type LogViewerModel = Shared & {
  logs: {
    title: string;
    href: string;
    backHref: string;
    live: string | null;
    pane: boolean;
    /** Whether it is the log of several containers. */
    isMerged: boolean;
    q: string;
    regex: string;
    case: string;
    invert: string;
    stream: string;
    level: string;
    context: string;
    /** The filter as hidden fields of other forms; which containers, of all. */
    kept: { name: string; value: string }[];
    chosen: { name: string; value: string }[];
    /** What is said of some of several containers. */
    notes: readonly string[];
    chooser: ChooserModel | null;
    levels: OptionModel[];
    contexts: OptionModel[];
    tails: OptionModel[];
    since: string;
    until: string;
    at: string;
    /** What the fields of dates show: `2025-01-24T14:01:52`, UTC. */
    fields: { since: string; until: string; at: string };
    streams: ChoiceModel[];
    earlier: NeighbourModel;
    later: NeighbourModel;
    newestHref: string;
    display: LogDisplay;
    /** What can be chosen of it. */
    choices: DisplayChoiceModel[];
    /** All of the log that the filter and the range leave, as a file. */
    downloadHref: string;
    /** Where the view begins: at its marked line, its first or its last one. */
    begins: 'at' | 'start' | 'end';
    /** Behind which cursor the view is followed on. */
    end: string;
    /** What is said of a page that has the log's first line. */
    edge: string;
    lines: LinesModel;
    placeholder: string;
  };
};

/** A log viewer: its toolbar and the lines that are known already. */
export function logViewerModel(input: LogViewerInput, context: ViewContext): LogViewerModel {
  const { query, href, slice, merged } = input;
  const display = context.logDisplay ?? toLogDisplay();
  return {
    ...toShared(context),
    logs: {
      title: input.title,
      href,
      backHref: input.backHref,
      live: input.live,
      pane: input.pane,
      isMerged: merged !== undefined,
      ...filterOf(query),
      kept: keptFields(query),
      chosen: (merged?.names ?? []).map((value) => ({ name: 'container', value })),
      notes: merged?.notes ?? [],
      chooser: merged?.chooser ?? null,
      levels: levelOptions(query.level),
      contexts: contextOptions(query.context),
      tails: tailOptions(query.tail || '100'),
      since: query.since,
      until: query.until,
      at: query.at,
      fields: { since: toField(query.since), until: toField(query.until), at: toField(query.at) },
      streams: [
        { label: 'Both', stream: '' },
        { label: 'stdout', stream: 'stdout' },
        { label: 'stderr', stream: 'stderr' },
      ].map(({ label, stream }) => ({
        href: toHref(href, { ...query, stream }),
        label,
        current: query.stream === stream,
      })),
      earlier: toNeighbour(input, 'before', slice.earlier, 'Earlier lines'),
      later: toNeighbour(input, 'after', slice.later, 'Later lines'),
      newestHref: toHref(href, filterOf(query)),
      display,
      choices: logChoiceModels(display),
      downloadHref: toDownloadHref(href, query, context.base),
      begins: input.place === 'at' ? 'at' : input.place === 'after' ? 'start' : 'end',
      end: slice.end ?? '',
      edge: input.place && !slice.earlier && slice.lines.length > 0 && !merged?.isPartial ? 'The log begins here.' : '',
      lines: shownLines(input, context.base),
      placeholder: toPlaceholder(input),
    },
  };
}

function shownLines({ slice, query, search, at, merged }: LogViewerInput, base: string): LinesModel {
  const mark = query.invert ? undefined : search?.mark;
  const marked = merged ? merged.marked : markedOf(slice, at);
  const options = { base, mark, marked, above: aboveFirst(query.q) };
  const { entries } = merged ? merged.toLines(options) : logLinesModel(slice.lines, options);
  return { entries: withDays(entries) };
}

/** The parameters of the filter alone, as every link carries them on. */
const filterOf = ({ q, regex, case: matchCase, invert, stream, level, context }: LogPageQuery): LogFilterQuery => ({
  q,
  regex,
  case: matchCase,
  invert,
  stream,
  level,
  context,
});

const keptFields = (query: LogPageQuery) =>
  Object.entries(filterOf(query))
    .filter(([, value]) => value !== '')
    .map(([name, value]) => ({ name, value }));

function toDownloadHref(href: string, query: LogPageQuery, base: string): string {
  const { since, until } = query;
  return toHref(`${base}/api${href.slice(base.length)}`, { ...filterOf(query), since, until, download: '1' });
}

function toNeighbour(input: LogViewerInput, place: string, cursor: string | undefined, label: string): NeighbourModel {
  const parameters = { ...filterOf(input.query), [place]: cursor };
  // A search that was given up goes on where it ended, which is at no line.
  const isAtLine = !input.slice.isCutShort || input.slice.lines.some((line) => line.cursor === cursor);
  return {
    href: toHref(input.href, parameters),
    fragmentHref: toHref(input.fragmentHref, parameters),
    label: cursor && !isAtLine ? `Searched as far as ${timeOf(cursor)}. Search on` : label,
    hidden: cursor === undefined,
  };
}

const timeOf = (cursor: string) => dateTime(Date.parse(cursorDate(cursor)));

function markedOf(slice: LogSlice, at: string | undefined): string | undefined {
  if (at === undefined) return undefined;
  return (slice.lines.find((line) => compareCursors(line.cursor, at) >= 0) ?? slice.lines.at(-1))?.cursor;
}

function toPlaceholder({ place, slice, query }: LogViewerInput): string {
  if (slice.isCutShort) return 'No line matches in the part that was searched.';
  const isFiltered = query.q || query.stream || query.level;
  if (place) return isFiltered ? 'No line matches here.' : 'There are no lines here.';
  return isFiltered ? 'No line matches so far.' : 'No lines so far.';
}

/** A time of a query as a field of date and time shows it; empty where it is none. */
function toField(text: string): string {
  if (text === '') return '';
  try {
    return cursorDate(cursorAt(parseLogTime('at', text))).slice(0, 19);
  } catch {
    return '';
  }
}

/** The data of `fragments/logs/state`: how the following of a log does, or of the log of several containers. */
export function logStateModel(
  state: LogState,
  isMerged = false,
  reason = '',
): { state: { status: string; text: string } } {
  const texts: Record<LogState, { status: string; text: string }> = {
    following: { status: 'live', text: 'following' },
    ended: { status: 'offline', text: isMerged ? 'none of them runs' : 'ended with the container' },
    retrying: { status: 'reconnecting', text: 'log stream broke, trying again' },
    stopped: { status: 'offline', text: `no longer searched: ${reason.replace(/^q: /, '')}` },
  };
  return { state: texts[state] };
}
