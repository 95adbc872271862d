import { nowNanos } from './clock.ts';
import { type Filters, hasLabel, matchesAll, matchesAny } from './filters.ts';

/** What happened, to whom; the log adds the times and the legacy fields. */
export interface EventInput {
  readonly type: string;
  readonly action: string;
  readonly id: string;
  readonly attributes?: Record<string, string>;
}

/** An event as it was told: its parts for filters, and its line for the wire. */
export interface EngineEvent extends Required<EventInput> {
  readonly at: bigint;
  readonly line: string;
}

type Listener = (event: EngineEvent) => void;

/** The engine's event log: it keeps the latest events and tells whoever listens. */
export interface EventLog {
  emit(event: EventInput): void;
  /** The next `count` events are neither told nor kept. */
  lose(count: number): void;
  /** Runs `change` and tells nobody what it did. */
  silently<T>(change: () => T): T;
  history(): readonly EngineEvent[];
  subscribe(listener: Listener): () => void;
  /** What a restart forgets. */
  forget(): void;
}

/** Creates an event log that keeps `limit` events; real engines keep 256. */
export function createEventLog(limit: number, isPodman: boolean): EventLog {
  let kept: EngineEvent[] = [];
  let losing = 0;
  let isSilent = false;
  const listeners = new Set<Listener>();

  function emit(input: EventInput): void {
    if (isSilent) return;
    if (losing > 0) {
      losing--;
      return;
    }
    const event = toEvent(input, isPodman);
    kept.push(event);
    if (kept.length > limit * 2) kept = kept.slice(-limit);
    for (const listener of listeners) listener(event);
  }

  function silently<T>(change: () => T): T {
    const before = isSilent;
    isSilent = true;
    try {
      return change();
    } finally {
      isSilent = before;
    }
  }

  return {
    emit,
    silently,
    lose(count) {
      losing += count;
    },
    history: () => kept.slice(-limit),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    forget() {
      kept = [];
    },
  };
}

function toEvent(input: EventInput, isPodman: boolean): EngineEvent {
  const at = nowNanos();
  const attributes = isPodman
    ? { containerExitCode: input.attributes?.exitCode ?? '0', podId: '', ...input.attributes }
    : (input.attributes ?? {});
  const document = {
    ...legacyFields(input, isPodman),
    Type: input.type,
    Action: input.action,
    Actor: { ID: input.id, Attributes: attributes },
    scope: 'local',
    time: Number(at / 1_000_000_000n),
  };
  // A JavaScript number has no room for nanoseconds, the wire has: so timeNano is written by hand.
  const line = `${JSON.stringify(document).slice(0, -1)},"timeNano":${at}}\n`;
  return { type: input.type, action: input.action, id: input.id, attributes, at, line };
}

function legacyFields(input: EventInput, isPodman: boolean): Record<string, string> {
  if (input.type === 'container') {
    return { status: input.action, id: input.id, from: input.attributes?.image ?? '' };
  }
  if (input.type === 'image') return { status: input.action, id: input.id };
  return isPodman ? { status: input.action } : {};
}

/** Does a reader with these filters get this event? */
export function matchesEvent(event: EngineEvent, filters: Filters): boolean {
  return (
    matchesAny(filters, 'type', (value) => event.type === value) &&
    matchesAny(filters, 'event', (value) => event.action === value || event.action.startsWith(`${value}:`)) &&
    matchesActor(event, filters, 'container') &&
    matchesActor(event, filters, 'image') &&
    matchesActor(event, filters, 'volume') &&
    matchesActor(event, filters, 'network') &&
    matchesAll(filters, 'label', (value) => hasLabel(event.attributes, value))
  );
}

function matchesActor(event: EngineEvent, filters: Filters, type: string): boolean {
  return matchesAny(filters, type, (value) => {
    if (type === 'image' && event.attributes.image === value) return true;
    return event.type === type && (event.id.startsWith(value) || event.attributes.name === value);
  });
}
