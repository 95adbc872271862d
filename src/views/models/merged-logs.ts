import type { ContainerGroup } from '../../services/container-list.ts';
import type { LogMember, LogMembers } from '../../services/log-selection.ts';
import type { LogLine } from '../../services/logs.ts';
import type { MergedEntry } from '../../services/merge-queue.ts';
import { mergedCursor } from '../../services/merged-cursor.ts';
import type { MergedSlice } from '../../services/merged-slices.ts';
import { count, plural } from '../format.ts';
import { toHref, type ViewContext } from './context.ts';
import {
  aboveOf,
  type ChooserModel,
  type GapModel,
  type LineModel,
  type LineOptions,
  type LogViewerInput,
  type LogViewerModel,
  logGapModel,
  logLineModel,
  logViewerModel,
  type Who,
} from './logs.ts';

/** Tells what the lines of a container are marked with. */
export type WhoOf = (container: string) => Who | undefined;

/** How many colours there are in the style sheet. */
const hues = 6;
/** Far more than there are at a time: those that are gone are kept for their last lines. */
const maxKnown = 1_000;
/** What an address costs that stands at every line. */
const maxLineHref = 400;

/** Creates the marks of a merged log. Each name has one of six colours, which is the same in every view. */
export function createWhoOf() {
  const known = new Map<string, Who>();
  return {
    /** Makes containers known; one that is gone stays so, for its last lines. */
    add(members: readonly LogMember[]): void {
      for (const { id, label } of members) keep(known, id, { label, hue: hueOf(label) });
    },
    of: (container: string): Who | undefined => known.get(container),
  };
}

/** By the name alone: who comes or goes changes no other's colour, nor does a page that is made anew. */
function hueOf(label: string): number {
  let hash = 0x811c9dc5;
  for (let n = 0; n < label.length; n += 1) hash = Math.imul(hash ^ label.charCodeAt(n), 0x01000193);
  return ((hash >>> 16) % hues) + 1;
}

/** Keeps the newest. */
function keep(map: Map<string, Who>, key: string, who: Who): void {
  map.delete(key);
  map.set(key, who);
  const [oldest] = map.keys();
  if (map.size > maxKnown && oldest !== undefined) map.delete(oldest);
}

/** How lines of a merged log are shown: `pageHref` is the page of all, on which each line has a place. */
export type MergedLineOptions = LineOptions & { pageHref: string };

/** One line of a merged log: its time leads to its place in it, its name to that in its own container's log. */
export function mergedLineModel(line: LogLine, who: Who | undefined, options: MergedLineOptions): LineModel {
  const own = logLineModel(line, options).line;
  const cursor = mergedCursor(line);
  const { pageHref, marked } = options;
  const href = pageHref.length > maxLineHref ? own.href : `${toHref(pageHref, { at: cursor })}#log-at`;
  return { line: { ...own, cursor, href, isMarked: cursor === marked, who: who ? { ...who, href: own.href } : null } };
}

/** A line, or what is missing of whom. */
export function mergedEntryModel(entry: MergedEntry, whoOf: WhoOf, options: MergedLineOptions): LineModel | GapModel {
  if ('cursor' in entry) return mergedLineModel(entry, whoOf(entry.container), options);
  const { text } = logGapModel(entry.gap).gap;
  const who = entry.container && whoOf(entry.container);
  return { gap: { text: who ? `${who.label}: ${text}` : text } };
}

/** What is said of containers whose lines are not there: left out, not there at all, or not to be read. */
export function mergedNotes(
  { members, omitted, missing }: LogMembers,
  failures: ReadonlyMap<string, { message: string }>,
): string[] {
  const labels = new Map(members.map(({ id, label }) => [id, label]));
  const unread = [...failures].filter(([id]) => labels.has(id));
  return [
    ...(omitted > 0 ? [`${plural(omitted, 'more container is', 'more containers are')} left out: ${mostText}`] : []),
    ...missing.map((name) => `There is no container ${name} now: its lines come when it does.`),
    ...unread.map(([id, { message }]) => `${labels.get(id)}: ${message}`),
  ];
}

/** What stands in place of the lines of those that could not be read. */
const unreadGaps = (failures: MergedSlice['failures'], whoOf: WhoOf): GapModel[] =>
  [...failures].map(([id, { message }]) => ({
    gap: { text: `${whoOf(id)?.label ?? 'One'}: lines are missing here. ${message}` },
  }));

const most = 100;
const mostText = `${count(most)} are shown at most.`;

/** The data of `fragments/logs/chooser`: all containers by project, those that are chosen ticked. */
export function chooserModel(
  groups: readonly ContainerGroup[],
  chosen: readonly string[],
  missing: readonly string[],
  { base }: ViewContext,
): ChooserModel {
  const wanted = new Set(chosen);
  const absent = missing.map((name) => ({ name, state: 'not there', checked: true }));
  return {
    chooser: {
      action: `${base}/logs`,
      most: `${count(most)} at most.`,
      groups: [
        ...(absent.length > 0 ? [{ title: 'Not there now', href: null, choices: absent }] : []),
        ...groups.map(({ project, title, containers }) => ({
          title,
          href: project === null ? null : `${base}/projects/${encodeURIComponent(project)}/logs`,
          choices: containers.map(({ name, state }) => ({ name, state, checked: wanted.has(name) })),
        })),
      ],
    },
  };
}

/** What the viewer of a merged log is made of. */
export type MergedViewerInput = Omit<LogViewerInput, 'slice' | 'merged' | 'at'> & {
  slice: MergedSlice;
  /** The cursor of the line that is marked. */
  marked: string | undefined;
  members: LogMembers;
  names: readonly string[];
  chooser: ChooserModel | null;
};

/** The viewer of a merged log. */
export function mergedViewerModel(input: MergedViewerInput, context: ViewContext): LogViewerModel {
  const { slice, marked, members, names, chooser, href } = input;
  const who = createWhoOf();
  who.add(members.members);
  const lines = slice.lines.map((line) => ({ ...line, cursor: mergedCursor(line) }));
  // Of a page at a place only the lines are loaded into a view, and the next one goes on beyond them.
  const unread = input.place ? unreadGaps(slice.failures, who.of) : [];
  const toLines = (options: LineOptions) => ({
    entries: [
      ...unread,
      ...slice.lines.map((line, n) => {
        const above = aboveOf(slice.lines, n, options.above);
        return mergedLineModel(line, who.of(line.container), { ...options, above, pageHref: href });
      }),
    ],
  });
  const notes = mergedNotes(members, slice.failures);
  const merged = { toLines, marked, notes, isPartial: slice.failures.size > 0, names, chooser };
  return logViewerModel({ ...input, slice: { ...slice, lines }, at: undefined, merged }, context);
}
