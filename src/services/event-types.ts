/**
 * What an event is about; `action` is what somebody did here, `alert` that a rule fired or its reason was over, `gap` says
 * that some events may be missing.
 */
export const eventTypes = [
  'container',
  'image',
  'network',
  'volume',
  'daemon',
  'action',
  'operation',
  'alert',
  'gap',
] as const;
export type EventType = (typeof eventTypes)[number] | 'audit';

/** Among the events of a timeline stands, for admins, what the audit has of it: `action` is a route, `subject` its target. */

/** Kinds of trouble: a death that nobody asked for, too little memory, a failing probe, a failed action, missing events. */
export const troubles = ['died', 'oom', 'unhealthy', 'failed', 'gap'] as const;
export type Trouble = (typeof troubles)[number];

/** What is known of an event beside what it can be found by. Nothing of it comes from labels or the environment but names. */
export type EventDetails = {
  /** The reference that a container was made of. */
  image?: string;
  imageId?: string;
  /** What the container of that name before was made of, where that was something else. */
  imageBefore?: { image: string; imageId?: string };
  project?: string;
  service?: string;
  exitCode?: number;
  /** Whether the kernel ended it for want of memory. */
  oom?: boolean;
  /** A signal's number or name. */
  signal?: string;
  /** A signal from outside of this program that came before a death. */
  killedBy?: string;
  health?: string;
  /** The container that a network or volume was connected to. */
  container?: { id: string; name: string };
  /** Who did it here. */
  actor?: string;
  /** The address that they came from, and how it ended: of what the audit has. */
  client?: string;
  result?: string;
  /** The operation that did it. */
  operation?: number;
  /** What was being done here when it happened: `stop`, `rebuild`, `project_stop`. */
  doing?: string;
  /** How an action or an operation went. */
  state?: 'running' | 'done' | 'failed';
  message?: string;
  /** ms. */
  took?: number;
  /** The begin of a gap, µs since 1970. */
  from?: number;
  /** How many events came too fast to be kept. */
  lost?: number;
};

/** One thing that happened; `at` in µs since 1970. */
export type HistoryEvent = {
  at: number;
  type: EventType;
  action: string;
  /** The engine's id or name of what it happened to. */
  subject: string;
  name: string;
  /** The name whose timeline it belongs to; empty where it is no container's. */
  timeline: string;
  /** The name before a rename. */
  former: string;
  trouble: Trouble | '';
  details: EventDetails;
};

/** One thing that happened, as it is kept. */
export type KeptEvent = HistoryEvent & { id: number };

/** A line of a log, as it was read before a death. */
export type LastLine = { at: string; cursor: string; stream: 'stdout' | 'stderr'; text: string };

/** The last figures before a death; `at` in ms since 1970. */
export type LastFigures = {
  at: number;
  cpuPercent: number | null;
  memoryBytes: number;
  memoryLimitBytes: number | null;
};

/** What is kept of a death; `note` says why there are no lines, or not all. */
export type Death = {
  at: number;
  container: string;
  timeline: string;
  lines: LastLine[];
  note: string;
  figures: LastFigures | null;
};

/** Something that happened to a container, to be marked on a chart's axis; `at` in ms since 1970. */
export type Mark = { at: number; kind: 'start' | 'die' | 'oom' | 'health' | 'rebuild'; title: string };

/** A place in the history, where a page ended: µs and id. */
export type EventPlace = {
  at: number;
  id: number;
  /** Where the page ended with an entry of the audit, its id; that of the event is 0 then. */
  audit?: number;
};

/** The place behind an event. */
export const placeOf = ({ at, id, type }: Pick<KeptEvent, 'at' | 'id' | 'type'>): EventPlace =>
  type === 'audit' ? { at, id: 0, audit: id } : { at, id };

/** Which events are wanted, the newest first: times in µs, `until` is not included. */
export type EventQuery = {
  /** A container by its name or full id. */
  container?: string | undefined;
  type?: string | undefined;
  action?: string | undefined;
  /** One kind of trouble, or `any`. */
  trouble?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
  before?: EventPlace | undefined;
  limit: number;
};

const rebuildName = /^(.+)\.(?:new|old|back)-[0-9a-f]{8}$/;

/** The name whose timeline a container's events belong to: a rebuild gives its containers names of their own for a while. */
export const timelineOf = (name: string): string => rebuildName.exec(name)?.[1] ?? name;

/** A place as addresses carry it, `1732650000000000.12`, or `1732650000000000.0.7` behind an entry of the audit. */
export const placeText = ({ at, id, audit }: EventPlace): string =>
  audit === undefined ? `${at}.${id}` : `${at}.${id}.${audit}`;

/** Reads a place; undefined where it is none. */
export function readPlace(text: string): EventPlace | undefined {
  const match = /^(\d{1,16})\.(\d{1,15})(?:\.(\d{1,15}))?$/.exec(text);
  if (!match) return undefined;
  const [at = 0, id = 0, audit] = match.slice(1).map((part) => (part === undefined ? part : Number(part)));
  return { at, id, ...(audit !== undefined && { audit }) };
}
