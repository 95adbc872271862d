import { setImmediate } from 'node:timers/promises';
import { isProblem } from '../errors.ts';
import { containerClaim } from './claims.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Container } from './containers.ts';
import type { Database } from './database.ts';
import { createDeaths, type DeathBounds, type DeathSources } from './deaths.ts';
import type { EngineEvent } from './docker-types.ts';
import { createEventCauses, type Doing } from './event-causes.ts';
import { microsOf, toHistoryEvent } from './event-reading.ts';
import { createEventStore } from './event-store.ts';
import { createEventStream, type Gap } from './event-stream.ts';
import {
  type Death,
  type EventDetails,
  type EventQuery,
  type HistoryEvent,
  type KeptEvent,
  type LastFigures,
  type Mark,
  timelineOf,
} from './event-types.ts';
import { createListeners } from './listeners.ts';
import { isActive, isFailed, type Operation } from './operation-types.ts';
import type { Operations } from './operations.ts';

/** What the history works with. */
export type HistoryOptions = DeathSources & {
  database: Pick<Database, 'db'>;
  operations: Pick<Operations, 'onChange' | 'holder' | 'find'>;
  container: (id: string) => Pick<Container, 'name' | 'imageId'> | undefined;
  /** The figures of a container that still runs. */
  latestFigures: (id: string) => LastFigures | undefined;
  log: { warn(details: object, message: string): void };
  clock?: Clock;
  bounds?: Partial<HistoryBounds>;
};

/** How much is kept: days, rows; how many events wait for the disk, how many are written at once, and after how many ms. */
export type HistoryBounds = {
  days: number;
  rows: number;
  waiting: number;
  batch: number;
  flushMs: number;
  deaths: Partial<DeathBounds>;
};

const defaultBounds: HistoryBounds = {
  days: 90,
  rows: 100_000,
  waiting: 10_000,
  batch: 250,
  flushMs: 250,
  deaths: {},
};

/** What is done to a container here: it is known from its begin, and kept with its result. */
export type Deed = {
  action: string;
  actor: string;
  container: Pick<Container, 'id' | 'name' | 'image' | 'project' | 'service'>;
};

/** A timeline: events of one name, the newest first, with what is kept of the deaths among them. */
export type TimelinePage = { events: KeptEvent[]; deaths: ReadonlyMap<string, Death> };

const maxSeen = 2_048;
/** So many moments are drawn on a chart at most. */
export const maxMarks = 1_000;
const hourMs = 3_600_000;
const placeMs = 30_000;
/** The engine may tell of a death after it has answered the call that caused it. */
const afterMs = 2_000;

/** What happened: the engine's events, what was done here, and last words. */
export type History = Awaited<ReturnType<typeof createHistory>>;

/**
 * Opens the history. Events are noted at once and written in batches, so that the reader of the engine's stream never
 * waits; 10,000 may wait, and what comes beyond is counted and said. 90 days and 100,000 events are kept.
 */
export async function createHistory(options: HistoryOptions) {
  const { clock = systemClock, operations, log } = options;
  const bounds = { ...defaultBounds, ...options.bounds };
  const store = createEventStore(options.database.db, bounds);
  const changes = createListeners(log, 'the history');
  const events = createListeners<HistoryEvent>(log, 'events');
  const deaths = createDeaths(options.database, options, clock, log, changes.tell, bounds.deaths);
  const deeds = new Map<string, Doing>();
  const causes = createEventCauses(doingTo);
  const stream = createEventStream(await store.place(), clock, addGap);
  const seen = new Set<string>((await store.list({ limit: maxSeen / 2 })).reverse().map(keyOf));
  const told = new Map<number, string>();
  const timers = new Map<string, () => void>();
  let waiting: HistoryEvent[] = [];
  let lost: { count: number; from: number; to: number } | undefined;
  let written = Promise.resolve();
  let untilPrune = 1_000;
  let isClosed = false;
  let closed: Promise<void> | undefined;
  const stopOperations = operations.onChange(addOperation);

  // ── what comes ──

  const nowMicros = () => Math.round(clock.now() * 1_000);

  function later(purpose: string, ms: number, run: () => void) {
    if (isClosed || timers.has(purpose)) return;
    const cancel = clock.after(ms, () => {
      timers.delete(purpose);
      run();
    });
    timers.set(purpose, cancel);
  }

  function add(event: HistoryEvent) {
    if (isClosed) return;
    if (waiting.length >= bounds.waiting) lose([event]);
    else waiting.push(event);
    later('flush', bounds.flushMs, flush);
  }

  /** Counts events that could not be kept; that is said as soon as something can be. */
  function lose(events: readonly HistoryEvent[]) {
    for (const { at } of events) lost = { count: (lost?.count ?? 0) + 1, from: lost?.from ?? at, to: at };
  }

  /** Whether an event was noted before: the engine tells the last ones again after a reconnect. */
  function isKnown(event: HistoryEvent): boolean {
    const key = keyOf(event);
    if (seen.has(key)) return true;
    seen.add(key);
    const [oldest] = seen;
    if (seen.size > maxSeen && oldest !== undefined) seen.delete(oldest);
    return false;
  }

  function record(engineEvent: EngineEvent) {
    const at = microsOf(engineEvent);
    if (at > 0) stream.saw(at);
    later('place', placeMs, keepPlace);
    const read = toHistoryEvent(engineEvent, (id) => options.container(id)?.name ?? causes.nameOf(id));
    if (!read || isKnown(read)) return;
    const event = causes.explain(read);
    if (!event) return;
    add(event);
    events.tell(event);
    if (event.type !== 'container' || event.action !== 'die') return;
    const isNow = Math.abs(clock.now() - at / 1_000) < placeMs;
    deaths.died(event, (isNow && options.latestFigures(event.subject)) || null);
  }

  function addGap({ from, to }: Gap) {
    add({ ...gapAt(to), details: { from } });
  }

  // ── what is done here ──

  function doingTo(id: string): Doing | undefined {
    const deed = deeds.get(id);
    if (deed) return deed;
    const operation = operations.holder(containerClaim(id));
    return operation && isActive(operation)
      ? { action: operation.kind, actor: operation.actor, operation: operation.id, at: operation.queuedAt * 1_000 }
      : undefined;
  }

  async function act<T>({ action, actor, container }: Deed, task: () => Promise<T>): Promise<T> {
    const { id, name, image, project, service } = container;
    const at = nowMicros();
    const doing = { action, actor, at };
    const details = { image, ...(project && { project }), ...(service && { service }), actor };
    const base = { at, type: 'action', action, subject: id, name, timeline: timelineOf(name), former: '' } as const;
    const took = () => Math.round((nowMicros() - at) / 1_000);
    deeds.set(id, doing);
    try {
      const result = await task();
      add({ ...base, trouble: '', details: { ...details, state: 'done', took: took() } });
      return result;
    } catch (error) {
      const message = isProblem(error) ? error.message : 'It failed for a reason that nobody foresaw.';
      add({ ...base, trouble: 'failed', details: { ...details, state: 'failed', message, took: took() } });
      throw error;
    } finally {
      clock.after(afterMs, () => {
        if (deeds.get(id) === doing) deeds.delete(id);
      });
    }
  }

  function addOperation(operation: Operation) {
    if (told.get(operation.id) === operation.state) return;
    if (isActive(operation)) told.set(operation.id, operation.state);
    else told.delete(operation.id);
    add(ofOperation(operation));
  }

  // ── the disk ──

  function flush() {
    written = written.then(write).catch((err: unknown) => log.warn({ err }, 'events could not be kept'));
  }

  /** Writes what waits, a slice at a time. */
  async function write() {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, bounds.batch).map(withImage);
      waiting = waiting.slice(bounds.batch);
      await store.insert(batch).catch((error: unknown) => {
        lose(batch);
        throw error;
      });
      untilPrune -= batch.length;
      if (!isClosed) await setImmediate();
    }
    if (lost) {
      const told = lost;
      // What is lost while this is written is told the next time.
      lost = undefined;
      await store.insert([{ ...gapAt(told.to), details: { from: told.from, lost: told.count } }]).catch((error) => {
        lost = { ...told, count: told.count + (lost?.count ?? 0), to: lost?.to ?? told.to };
        throw error;
      });
    }
    await writePlace();
    if (untilPrune <= 0) await prune();
    changes.tell();
  }

  /** The image's id is known a moment after the event. */
  function withImage(event: HistoryEvent): HistoryEvent {
    const isMade = event.type === 'container' && (event.action === 'create' || event.action === 'start');
    const imageId = isMade ? options.container(event.subject)?.imageId : undefined;
    return imageId ? { ...event, details: { ...event.details, imageId } } : event;
  }

  const keepPlace = () => {
    written = written.then(writePlace).catch((err: unknown) => log.warn({ err }, 'events could not be kept'));
  };

  async function writePlace() {
    const place = stream.place();
    if (place) await store.keepPlace(place);
  }

  async function prune() {
    untilPrune = 1_000;
    await store.prune(clock.now());
    await deaths.prune();
  }

  function pruneHourly() {
    later('prune', hourMs, pruneHourly);
    written = written.then(prune).catch((err: unknown) => log.warn({ err }, 'old events could not be deleted'));
  }

  /** What the end of the program cut short is no longer running. */
  async function settleOperations() {
    for (const id of await store.runningOperations()) {
      const operation = await operations.find(id);
      if (operation && !isActive(operation)) add(ofOperation(operation));
    }
  }

  async function closeOnce() {
    stopOperations();
    stream.lost();
    for (const cancel of timers.values()) cancel();
    isClosed = true;
    flush();
    await deaths.close();
    await written;
    changes.clear();
    events.clear();
  }

  await settleOperations();
  later('prune', hourMs, pruneHourly);

  return {
    /** What the reader of the engine's events tells; none of it waits. */
    reader: { since: stream.since, opened: stream.opened, lost: stream.lost, event: record },

    /** Calls back with each event of the engine, when it is noted; returns how to stop that. */
    onEvent: events.add,

    /** Keeps what this program itself has to say of a container or of the machine. */
    note: add,

    /** Does something to a container, and keeps who did it, when, and how it went. */
    act,

    /** Events, the newest first; a container also by its id's first 12 digits and more. */
    async list(query: EventQuery): Promise<KeptEvent[]> {
      const { container } = query;
      const id =
        container && isShortId(container) && !(await store.knows(container)) && (await store.find(container))?.id;
      return store.list(id ? { ...query, container: id } : query);
    },

    /** How far back the events go. */
    extent: store.extent,

    /** How much is kept at most. */
    bounds: { days: bounds.days, rows: bounds.rows },

    /** The events of a container's name, over all containers that had it, with what is kept of their deaths. */
    async timeline(name: string, query: Omit<EventQuery, 'container'>): Promise<TimelinePage> {
      const events = await store.list({ ...query, container: name });
      return { events, deaths: await deaths.of(events.filter(({ action }) => action === 'die')) };
    },

    /** The name of a container that is or was: its own, or that of an id, or of its first 12 digits and more. */
    async nameOf(ref: string): Promise<string | undefined> {
      const name = timelineOf(ref);
      if (await store.knows(name)) return name;
      return isShortId(ref) ? (await store.find(ref))?.name : undefined;
    },

    /**
     * The moments of a container that charts draw, by its name or full id, the oldest first; times in ms, both included. Of
     * more than 1,000 the newest.
     */
    async marks(ref: string, from: number, to: number): Promise<Mark[]> {
      const name = (await this.nameOf(ref)) ?? ref;
      const since = Math.floor(from * 1_000);
      const until = Math.floor(to * 1_000) + 1_000;
      const events = await store.list({ container: name, since, until, limit: maxMarks });
      return events.reverse().flatMap(toMarks);
    },

    /**
     * The same of several containers by their names, each mark with the name: of more than 1,000 events of them all the
     * newest.
     */
    async marksOf(names: readonly string[], from: number, to: number): Promise<Mark[]> {
      const until = Math.floor(to * 1_000) + 1_000;
      const events = await store.listOf(names.map(timelineOf), Math.floor(from * 1_000), until, maxMarks);
      return events
        .reverse()
        .flatMap((event) => toMarks(event).map((mark) => ({ ...mark, title: `${event.timeline}: ${mark.title}` })));
    },

    /** Calls back when more is kept; returns how to stop that. */
    onChange: changes.add,

    /** Resolves when all that was noted so far is kept. */
    async settled(): Promise<void> {
      flush();
      await written;
    },

    /** Writes what waits, ends every timer and read. Further calls wait for the first. */
    close(): Promise<void> {
      closed ??= closeOnce();
      return closed;
    },
  };
}

const isShortId = (text: string) => /^[0-9a-f]{12,64}$/.test(text);
const keyOf = ({ at, type, action, subject, name }: HistoryEvent) => `${at} ${type} ${action} ${subject} ${name}`;

const gapAt = (at: number): Omit<HistoryEvent, 'details'> => ({
  at,
  type: 'gap',
  action: 'missing',
  subject: '',
  name: '',
  timeline: '',
  former: '',
  trouble: 'gap',
});

function ofOperation(operation: Operation): HistoryEvent {
  const { id, kind, target, actor, queuedAt, finishedAt, message, error } = operation;
  const active = isActive(operation);
  const failed = !active && isFailed(operation) && error !== null;
  const details: EventDetails = {
    actor,
    operation: id,
    state: active ? 'running' : failed ? 'failed' : 'done',
    ...(!active && { message: error ?? message }),
    ...(finishedAt !== null && { took: finishedAt - queuedAt }),
  };
  return {
    at: queuedAt * 1_000,
    type: 'operation',
    action: kind,
    subject: `operation:${id}`,
    name: target,
    timeline: kind === 'rebuild' ? target : '',
    former: '',
    trouble: failed ? 'failed' : '',
    details,
  };
}

/** The moment of an event as a chart draws it; none where it draws nothing. */
export function toMarks({ at, type, action, details }: KeptEvent): Mark[] {
  const mark = (kind: Mark['kind'], title: string): Mark[] => [{ at: Math.round(at / 1_000), kind, title }];
  if (type === 'operation' && action === 'rebuild') return mark('rebuild', `Rebuilt by ${details.actor}`);
  if (type !== 'container') return [];
  if (action === 'start') return mark('start', 'Started');
  if (action === 'oom') return mark('oom', 'Out of memory');
  if (action === 'health_status') return mark('health', `Health: ${details.health}`);
  return action === 'die' ? mark('die', `Ended with code ${details.exitCode ?? 'unknown'}`) : [];
}
