import type { Death, KeptEvent } from '../../services/event-types.ts';
import { eventTypes, placeOf, placeText, troubles } from '../../services/event-types.ts';
import { withEntries } from '../../services/log-entries.ts';
import { clock, count, dateTime, dayMonth, iso, shortId } from '../format.ts';
import { type Shared, toHref, toShared, type ViewContext } from './context.ts';
import { eventWords, figuresWords } from './event-words.ts';
import { type LinesModel, logLinesModel } from './logs.ts';

/** The parameters of a list of events, as addresses carry them. */
export type EventListQuery = {
  container: string;
  type: string;
  action: string;
  trouble: string;
  since: string;
  until: string;
  before: string;
  limit: number;
};

/** The data of `fragments/events/row`. */
export type EventModel = {
  event: {
    /** The DOM id. */
    domId: string;
    type: string;
    action: string;
    trouble: string;
    symbol: string;
    tone: string;
    title: string;
    code: string;
    notes: string[];
    /** What it happened to, where the list is not of one container. */
    subject: { text: string; href: string | null } | null;
    /** Which of the containers that had the name. */
    generation: string;
    time: { iso: string; text: string; full: string };
    operation: { text: string; href: string } | null;
    death: { figures: string; note: string; summary: string; lines: LinesModel | null } | null;
  };
};

/** The data of `fragments/events/list` and of its foot. */
export type EventListModel = Shared & {
  list: {
    rows: EventModel[];
    isEmpty: boolean;
    isFiltered: boolean;
    clearHref: string;
    label: string;
    foot: { olderHref: string | null; newestHref: string | null; extent: string };
  };
};

type Choice = { value: string; label: string; selected: boolean };

/** The data of `pages/events`. */
export type EventPageModel = EventListModel & {
  filters: {
    action: string;
    container: string;
    since: string;
    until: string;
    event: string;
    types: Choice[];
    troubles: Choice[];
    clearHref: string | null;
  };
};

/** How a page of events came to be: what was found, whether there are older ones, how far back all go. */
export type FoundEvents = {
  events: readonly KeptEvent[];
  deaths: ReadonlyMap<string, Death>;
  hasOlder: boolean;
  extent: { oldestAt: number | null; fullAt: number | null };
  bounds: { days: number; rows: number };
};

/** How many events a page has where nothing else is asked for. */
export const defaultEventLimit = 50;

const typeLabels: Record<string, string> = {
  container: 'Containers',
  image: 'Images',
  network: 'Networks',
  volume: 'Volumes',
  daemon: 'Engine',
  action: 'Done here',
  operation: 'Operations',
  alert: 'Alerts',
  gap: 'Gaps',
};

const troubleLabels: Record<string, string> = {
  any: 'Any trouble',
  died: 'Died by itself',
  oom: 'Out of memory',
  unhealthy: 'Unhealthy',
  failed: 'Failed here',
  gap: 'Events missing',
};

/** The DOM id of an event's row. */
const rowId = ({ type, id }: KeptEvent): string => (type === 'audit' ? `audit-${id}` : `event-${id}`);

/** One event; with what it happened to where the list is not of one container, with its death where it is. */
export function eventModel(
  event: KeptEvent,
  death: Death | undefined,
  isTimeline: boolean,
  { base }: ViewContext,
): EventModel {
  const { at, type, action, trouble, details } = event;
  const ms = at / 1_000;
  const words = eventWords(event);
  const isContainers = isTimeline && (type === 'container' || type === 'action');
  return {
    event: {
      domId: rowId(event),
      type,
      action,
      trouble,
      ...words,
      subject: isTimeline ? null : subjectOf(event, base),
      generation: isContainers ? shortId(event.subject) : '',
      time: { iso: iso(ms), text: `${dayMonth(ms)}, ${clock(ms)}`, full: dateTime(ms) },
      operation:
        details.operation === undefined
          ? null
          : { text: `operation #${details.operation}`, href: `${base}/operations/${details.operation}` },
      death: isTimeline && type === 'container' && action === 'die' ? deathModel(death, ms) : null,
    },
  };
}

function subjectOf({ type, name, timeline, subject, details }: KeptEvent, base: string) {
  if (type === 'gap' || type === 'daemon' || (type === 'alert' && name === '')) return null;
  const { container } = details;
  const text = container ? container.name || shortId(container.id) : name || shortId(subject);
  if (type === 'operation') return { text, href: details.operation ? `${base}/operations/${details.operation}` : null };
  const href = timeline === '' ? null : `${base}/containers/${encodeURIComponent(timeline)}/timeline`;
  return { text, href };
}

function deathModel(death: Death | undefined, diedAt: number): EventModel['event']['death'] {
  if (!death) return { figures: '', note: 'No last lines were kept of this death.', summary: '', lines: null };
  const { lines, note, figures, container } = death;
  return {
    figures: figuresWords(figures, diedAt),
    note: lines.length === 0 ? `Its last lines: ${note}` : note,
    summary: lines.length === 1 ? 'Its last line' : `Its last ${count(lines.length)} lines`,
    lines:
      lines.length === 0
        ? null
        : logLinesModel(withEntries(lines.map((line) => ({ ...line, container }))), { base: null }),
  };
}

/** A list of events, of one container where `timeline` is its name. */
export function eventListModel(
  found: FoundEvents,
  query: EventListQuery,
  context: ViewContext,
  timeline?: string,
): EventListModel {
  const path = timeline === undefined ? `${context.base}/events` : timelineHref(timeline, context.base);
  const last = found.events.at(-1);
  const parameters = toParameters(query);
  const isPicked = Object.entries(parameters).some(([name, value]) => value !== '' && name !== 'limit');
  return {
    ...toShared(context),
    list: {
      rows: found.events.map((event) =>
        eventModel(event, found.deaths.get(`${event.subject}@${event.at}`), timeline !== undefined, context),
      ),
      isEmpty: found.events.length === 0,
      isFiltered: isPicked,
      clearHref: path,
      label: timeline === undefined ? 'Events, the newest first' : `What happened to ${timeline}, the newest first`,
      foot: {
        olderHref: found.hasOlder && last ? toHref(path, { ...parameters, before: placeText(placeOf(last)) }) : null,
        newestHref: query.before === '' ? null : toHref(path, { ...parameters, before: '' }),
        extent: extentWords(found),
      },
    },
  };
}

/** The page of a container's name. */
export const timelineHref = (name: string, base: string): string =>
  `${base}/containers/${encodeURIComponent(name)}/timeline`;

/** The parameters as addresses carry them; empty ones say nothing. */
export const toParameters = ({ limit, ...query }: EventListQuery): Record<string, string> => ({
  ...query,
  limit: limit === defaultEventLimit ? '' : String(limit),
});

function extentWords({ extent, bounds }: FoundEvents): string {
  const { oldestAt, fullAt } = extent;
  const kept = `Kept are ${bounds.days} days, and ${count(bounds.rows)} events at most.`;
  if (oldestAt === null) return kept;
  const reach = `They go back to ${dateTime(oldestAt / 1_000)}.`;
  const full = fullAt === null ? '' : ` On ${dateTime(fullAt)} older ones had to go because there were too many.`;
  return `${kept} ${reach}${full}`;
}

/** The page of all events: its filters and its list. */
export function eventPageModel(found: FoundEvents, query: EventListQuery, context: ViewContext): EventPageModel {
  const model = eventListModel(found, query, context);
  const { container, since, until, action } = query;
  const all = { value: '', label: 'All kinds', selected: query.type === '' };
  const whatever = { value: '', label: 'Trouble or not', selected: query.trouble === '' };
  return {
    ...model,
    filters: {
      action: `${context.base}/events`,
      container,
      since,
      until,
      event: action,
      types: [all, ...eventTypes.map((value) => choice(value, typeLabels, query.type))],
      troubles: [whatever, ...['any', ...troubles].map((value) => choice(value, troubleLabels, query.trouble))],
      clearHref: model.list.isFiltered ? `${context.base}/events` : null,
    },
  };
}

const choice = (value: string, labels: Record<string, string>, chosen: string): Choice => ({
  value,
  label: labels[value] ?? value,
  selected: value === chosen,
});
