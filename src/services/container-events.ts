import type { Container } from './containers.ts';
import type { EngineEvent } from './docker-types.ts';
import { parseStatus, type StatusWords } from './status-words.ts';

/** What an event of the engine means for one container. */
export type ContainerEvent = {
  id: string;
  action: string;
  /** What stands behind the action's colon: `healthy` of `health_status: healthy`. */
  detail: string;
  attributes: Record<string, string>;
  /** ms since 1970. */
  at: number;
};

/** Podman's words for what Docker calls otherwise. */
const synonyms: Record<string, string> = { remove: 'destroy', died: 'die', stopped: 'stop', health: 'health_status' };

/** The actions that change what is shown. All others (`exec_*`, `top`, `attach`, …) cause nothing. */
const changing = new Set([
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
  'init',
  'cleanup',
]);

/** Reads a container's event; null for those that change nothing. */
export function toContainerEvent(event: EngineEvent): ContainerEvent | null {
  const id = event.Actor?.ID;
  const [word = '', ...rest] = (event.Action ?? '').split(':');
  const action = synonyms[word] ?? word;
  if (!id || !changing.has(action)) return null;
  return {
    id,
    action,
    detail: rest.join(':').trim(),
    attributes: event.Actor?.Attributes ?? {},
    // The engine's clock may be ahead of this one; nothing began in the future.
    at: Math.min(Date.now(), event.timeNano ? event.timeNano / 1e6 : (event.time ?? 0) * 1000),
  };
}

/** The states a list may show after an event; anything else is older than the event. */
export type Expectation = (state: string) => boolean;

/**
 * After these events the engine's list may still show the state before for some ms, since it tells of them before it
 * has saved them.
 */
const expectations: Record<string, Expectation> = {
  die: (state) => state !== 'running' && state !== 'paused',
  pause: (state) => state === 'paused',
  unpause: (state) => state !== 'paused',
};

/** What the next list has to show so that it can be newer than this event; undefined where any will do. */
export const expectationOf = (event: ContainerEvent): Expectation | undefined => expectations[event.action];

/** Whether a list has to show the container from this event on; one that was read a moment before may not. */
export const isBirth = (event: ContainerEvent): boolean => event.action === 'create' || event.action === 'start';

// SIGINT, SIGQUIT, SIGKILL and SIGTERM; others, such as SIGHUP, don't ask it to end.
const endingSignals = new Set(['2', '3', '9', '15']);

/** Whether an event changes nothing that a list tells: a kill does not, the death that follows it does. */
export const isListed = (event: ContainerEvent): boolean => event.action !== 'kill';

/** The container as it is right after an event, before any list confirms it. */
export function applyEvent(container: Container, event: ContainerEvent): Container {
  switch (event.action) {
    case 'start':
      return { ...toState(container, 'running', event.at, 'Up'), exitCode: null, oomKilled: false, isStopAsked: false };
    case 'die':
      return died(container, event);
    case 'oom':
      return { ...container, oomKilled: true };
    case 'kill':
      return endingSignals.has(event.attributes.signal ?? '') ? { ...container, isStopAsked: true } : container;
    case 'stop':
      return { ...container, isStopAsked: true };
    case 'pause':
      return { ...container, state: 'paused', words: { ...container.words, state: 'paused' } };
    case 'unpause':
      return { ...container, state: 'running', words: { ...container.words, state: 'running' } };
    case 'rename':
      return { ...container, name: event.attributes.name?.replace(/^\//, '') || container.name };
    case 'health_status':
      return withHealth(container, event.detail);
    default:
      return container;
  }
}

function died(container: Container, event: ContainerEvent): Container {
  const told = Number(event.attributes.exitCode ?? event.attributes.containerExitCode);
  const exitCode = Number.isInteger(told) ? told : null;
  const dead = toState(container, 'exited', event.at, `Exited (${exitCode ?? 0})`);
  return { ...dead, exitCode, ports: dead.ports.filter((port) => port.hostPort === null) };
}

function toState(container: Container, state: string, since: number, text: string): Container {
  const words: StatusWords = { ...parseStatus(text, since), state, since, slack: 0, exact: true };
  return { ...container, state, words, health: null };
}

function withHealth(container: Container, detail: string): Container {
  const health = detail === 'healthy' || detail === 'unhealthy' || detail === 'starting' ? detail : container.health;
  return { ...container, health, words: { ...container.words, health } };
}
