import type { EngineEvent } from './docker-types.ts';
import { type EventDetails, type EventType, type HistoryEvent, timelineOf } from './event-types.ts';

/** Podman's words for what Docker calls otherwise. */
const synonyms: Record<string, string> = { remove: 'destroy', died: 'die', stopped: 'stop', health: 'health_status' };

/**
 * The actions that tell something. Left out is what comes with others (mounts with each start) or every few seconds
 * (`exec_*` of health checks, `top`, `attach`, `resize`).
 */
const kept: Partial<Record<EventType, ReadonlySet<string>>> = {
  container: new Set([
    'create',
    'start',
    'restart',
    'stop',
    'die',
    'oom',
    'kill',
    'pause',
    'unpause',
    'rename',
    'update',
    'destroy',
    'health_status',
    'commit',
    'prune',
  ]),
  image: new Set(['pull', 'push', 'tag', 'untag', 'delete', 'import', 'load', 'save', 'build', 'prune']),
  network: new Set(['create', 'connect', 'disconnect', 'destroy', 'update', 'prune']),
  volume: new Set(['create', 'destroy', 'prune']),
  daemon: new Set(['reload']),
};

const maxText = 255;
const fullId = /^[0-9a-f]{64}$/;

/** When the engine says that something happened, µs since 1970; 0 where it says nothing, or what no number can hold. */
export function microsOf({ timeNano, time }: EngineEvent): number {
  const micros = Math.round((timeNano ?? (time ?? 0) * 1e9) / 1_000);
  return Number.isSafeInteger(micros) ? micros : 0;
}

/**
 * Reads an event of the engine as the history keeps it; null for those that tell nothing. Of its attributes, which hold
 * every label, only names, the image, exit code and signal are taken. `nameOf` knows the names of containers by their ids.
 */
export function toHistoryEvent(event: EngineEvent, nameOf: (id: string) => string): HistoryEvent | null {
  const type = event.Type as EventType;
  const [word = '', ...rest] = (event.Action ?? '').split(':');
  const action = type === 'container' || word === 'remove' ? (synonyms[word] ?? word) : word;
  const subject = short(event.Actor?.ID);
  const at = microsOf(event);
  if (!Object.hasOwn(kept, type) || !kept[type]?.has(action) || at <= 0) return null;
  const attributes = event.Actor?.Attributes ?? {};
  if (type === 'container') return toContainerEvent(at, action, subject, rest.join(':').trim(), attributes);
  const name = short(attributes.name) || subject;
  const base = { at, type, action, subject, former: '', trouble: '' } as const;
  const id = attributes.container;
  if (type !== 'network' || !id || !fullId.test(id)) return { ...base, name, timeline: '', details: {} };
  const container = { id, name: nameOf(id) };
  return { ...base, name, timeline: timelineOf(container.name), details: { container } };
}

type Attributes = Record<string, string>;

function toContainerEvent(
  at: number,
  action: string,
  subject: string,
  detail: string,
  attributes: Attributes,
): HistoryEvent | null {
  // The engine tells of a prune without naming any.
  if (!fullId.test(subject) && action !== 'prune') return null;
  const name = short(attributes.name).replace(/^\//, '');
  const former = action === 'rename' ? short(attributes.oldName).replace(/^\//, '') : '';
  return {
    at,
    type: 'container',
    action,
    subject,
    name,
    timeline: timelineOf(name),
    former: timelineOf(former) === timelineOf(name) ? '' : former,
    trouble: action === 'oom' ? 'oom' : action === 'health_status' && detail === 'unhealthy' ? 'unhealthy' : '',
    details: toDetails(action, detail, attributes),
  };
}

function toDetails(action: string, detail: string, attributes: Attributes): EventDetails {
  const exitCode = Number(attributes.exitCode ?? attributes.containerExitCode);
  const fields = {
    image: short(attributes.image),
    project: short(attributes['com.docker.compose.project']),
    service: short(attributes['com.docker.compose.service']),
    signal: action === 'kill' ? short(attributes.signal) : '',
    health: action === 'health_status' ? short(detail || attributes.health_status) : '',
  };
  const told = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''));
  return { ...told, ...(action === 'die' && Number.isInteger(exitCode) && { exitCode }) };
}

const short = (value: string | null | undefined): string => (value ?? '').slice(0, maxText);
