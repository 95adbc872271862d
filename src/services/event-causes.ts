import type { HistoryEvent } from './event-types.ts';

/** Something that is being done here to a container: what, by whom, by which operation, and since when (µs). */
export type Doing = { action: string; actor: string; operation?: number; at: number };

const rebuilds = ['rebuild', 'project_rebuild'];
const restarts = ['restart', 'project_restart', ...rebuilds];
const ends = new Set(['stop', 'kill', 'remove', 'project_stop', ...restarts]);

/** What is done here that can lead to an event: a start that was asked for does not explain a death. */
const leadsTo: Record<string, ReadonlySet<string>> = {
  create: new Set(rebuilds),
  rename: new Set(rebuilds),
  start: new Set(['start', 'project_start', ...restarts]),
  restart: new Set(restarts),
  kill: ends,
  stop: ends,
  die: ends,
  pause: new Set(['pause']),
  unpause: new Set(['unpause', ...restarts]),
  destroy: new Set(['remove', ...rebuilds]),
};

/** Signals that ask for the end: SIGINT, SIGQUIT, SIGKILL and SIGTERM. */
const endingSignals = new Set(['2', '3', '9', '15']);
const maxContainers = 10_000;
/** As long as people give a container to end: what came longer before a death does not explain it. */
const explainsMicros = 600_000_000;

/** What led to the events of containers. */
export type EventCauses = ReturnType<typeof createEventCauses>;

/**
 * Creates the finding of causes: who did it here, which signal came before a death, whether memory had run out, how long
 * after a death a start came. It remembers 10,000 containers.
 */
export function createEventCauses(doingTo: (id: string) => Doing | undefined) {
  const signals = new Map<string, { signal: string; at: number }>();
  const outOfMemory = new Map<string, { at: number }>();
  const endedAt = new Map<string, number>();
  const startedBy = new Map<string, number>();
  const health = new Map<string, string>();
  const names = new Map<string, string>();

  function remember<T>(map: Map<string, T>, id: string, value: T) {
    map.delete(id);
    map.set(id, value);
    const [oldest] = map.keys();
    if (map.size > maxContainers && oldest !== undefined) map.delete(oldest);
  }

  function forget(id: string, ...maps: Map<string, unknown>[]) {
    for (const map of maps) map.delete(id);
  }

  /** What was noted of a container a short while before an event. */
  function recent<T extends { at: number }>(map: Map<string, T>, { subject, at }: HistoryEvent): T | undefined {
    const noted = map.get(subject);
    return noted && at - noted.at <= explainsMicros ? noted : undefined;
  }

  /** What is being done here, where that can have led to the event. */
  function causeOf(event: HistoryEvent): Doing | undefined {
    const { subject, action } = event;
    const doing = doingTo(subject);
    if (!doing || !leadsTo[action]?.has(doing.action)) return undefined;
    // What was started by the same doing and got no signal since ended by itself.
    const isItsOwnEnd = action === 'die' && startedBy.get(subject) === doing.at && !recent(signals, event);
    return isItsOwnEnd ? undefined : doing;
  }

  /** The event with its cause. */
  function explain(event: HistoryEvent): HistoryEvent {
    const doing = causeOf(event);
    const here = doing && {
      actor: doing.actor,
      doing: doing.action,
      ...(doing.operation !== undefined && { operation: doing.operation }),
    };
    const explained = { ...event, details: { ...event.details, ...here } };
    if (event.action === 'die') return explainDeath(explained, doing !== undefined);
    if (event.action !== 'start') return explained;
    if (doing) remember(startedBy, event.subject, doing.at);
    const ended = endedAt.get(event.subject);
    if (ended !== undefined) explained.details.took = Math.max(0, Math.round((event.at - ended) / 1_000));
    return explained;
  }

  function explainDeath(event: HistoryEvent, isHere: boolean): HistoryEvent {
    const killedBy = isHere ? undefined : recent(signals, event)?.signal;
    const oom = recent(outOfMemory, event) !== undefined;
    const { exitCode = 0 } = event.details;
    // 143 is how a container ends that was asked to stop.
    const isWanted = isHere || killedBy !== undefined || exitCode === 0 || exitCode === 143;
    return {
      ...event,
      trouble: isWanted && !oom ? '' : 'died',
      details: { ...event.details, ...(killedBy !== undefined && { killedBy }), ...(oom && { oom }) },
    };
  }

  function note({ action, subject, at, name, details }: HistoryEvent) {
    remember(names, subject, name);
    const { signal = '' } = details;
    if (action === 'kill' && endingSignals.has(signal)) remember(signals, subject, { signal, at });
    else if (action === 'oom') remember(outOfMemory, subject, { at });
    else if (action === 'die') {
      forget(subject, signals, outOfMemory);
      remember(endedAt, subject, at);
    } else if (action === 'start') forget(subject, signals, outOfMemory, endedAt, health);
    else if (action === 'destroy') forget(subject, signals, outOfMemory, endedAt, startedBy, health);
  }

  return {
    /** The name of a container, as its last event told it: a list may not have it yet, or no more. */
    nameOf: (id: string): string => names.get(id) ?? '',

    /** Tells why a container's event came; null for a health that is as it was. */
    explain(event: HistoryEvent): HistoryEvent | null {
      if (event.type !== 'container') return event;
      const { subject, details } = event;
      if (event.action === 'health_status') {
        if (details.health === undefined || health.get(subject) === details.health) return null;
        remember(health, subject, details.health);
      }
      const explained = explain(event);
      note(event);
      return explained;
    },
  };
}
