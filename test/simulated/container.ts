import type { Behaviour, ContainerState, CreateBody, EndpointBody, HealthStatus, Mount } from './container-spec.ts';
import { EngineError } from './errors.ts';
import type { Link } from './links.ts';
import type { ContainerLog } from './logs.ts';
import type { PublishedPort } from './ports.ts';
import type { StatsModel } from './stats.ts';

/** One run of a health check. */
export interface HealthProbe {
  readonly start: bigint;
  readonly end: bigint;
  readonly exitCode: number;
  readonly output: string;
}

/** One side of a container in a network: what it asked for, and what it has there while it runs. */
export interface Endpoint {
  readonly network: string;
  readonly settings: EndpointBody;
  /** Empty until the first start, then kept. */
  networkId: string;
  endpointId: string;
  address: string;
  gateway: string;
  macAddress: string;
  /** As inspect shows them: old engines add names of their own. */
  aliases: string[] | null;
  dnsNames: string[] | null;
}

/** A container of the simulated engine: change it through the engine only, so that events are told. */
export interface SimulatedContainer {
  readonly id: string;
  name: string;
  readonly image: string;
  readonly imageId: string;
  readonly created: bigint;
  readonly body: CreateBody;
  readonly labels: Record<string, string>;
  readonly mounts: readonly Mount[];
  readonly links: readonly Link[];
  readonly log: ContainerLog;
  readonly stats: StatsModel;
  readonly behaviour: Behaviour;
  state: ContainerState;
  exitCode: number;
  isOomKilled: boolean;
  error: string;
  pid: number;
  startedAt: bigint | null;
  finishedAt: bigint | null;
  health: HealthStatus;
  healthBeforePause: HealthStatus;
  healthLog: HealthProbe[];
  failingStreak: number;
  restartCount: number;
  endpoints: Endpoint[];
  ports: readonly PublishedPort[];
  /** Stopped by a person: the restart policy leaves it alone. */
  isManuallyStopped: boolean;
  /** What the list still shows, and until when. */
  stale: { readonly summary: () => ListState; readonly until: number } | null;
  /** It comes back right after it died: `--rm` has to wait. */
  isRestartedByHand: boolean;
  /** Told when it dies or is removed. */
  readonly endings: Set<() => void>;
}

/** The part of a container that the list may show late. */
export type ListState = Pick<
  SimulatedContainer,
  'state' | 'exitCode' | 'startedAt' | 'finishedAt' | 'health' | 'ports'
>;

/** Has it a process, or will it have one by itself? */
export function isUp(container: Pick<SimulatedContainer, 'state'>): boolean {
  return hasProcess(container) || container.state === 'restarting';
}

/** Has it a process right now? */
export function hasProcess(container: Pick<SimulatedContainer, 'state'>): boolean {
  return container.state === 'running' || container.state === 'paused';
}

/** Is its health looked at? */
export function hasHealthcheck(container: SimulatedContainer): boolean {
  const test = container.body.Healthcheck?.Test ?? [];
  return test.length > 0 && test[0] !== 'NONE';
}

/** 409, for what needs a running container. */
export function notRunning(container: SimulatedContainer): EngineError {
  return new EngineError(409, `container ${container.id} is not running`);
}
