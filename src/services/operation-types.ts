import type { ErrorCode } from '../errors.ts';
import type { Layer } from './pull-progress.ts';

/** Kinds of work that take longer than a click. */
export const operationKinds = [
  'pull',
  'update_check',
  'image_prune',
  'rebuild',
  'project_start',
  'project_stop',
  'project_restart',
  'project_rebuild',
] as const;
export type OperationKind = (typeof operationKinds)[number];

/** How an operation is; the last four are final. */
export const operationStates = ['queued', 'running', 'succeeded', 'failed', 'rolled_back', 'interrupted'] as const;
export type OperationState = (typeof operationStates)[number];

/** A part of an operation, as people are told it; times in ms since 1970. */
export type Step = {
  name: string;
  detail: string;
  state: 'waiting' | 'running' | 'done' | 'failed';
  startedAt: number | null;
  finishedAt: number | null;
};

/** How one of several things fared; with the last log lines of a container that did not come up. */
export type Result = { id: string; name: string; ok: boolean; detail: string; lastLines?: string[] };

/** What an operation of its kind has to show beside its steps. */
export type Details = {
  layers?: Layer[];
  /** Bytes loaded, and of how many. */
  bytes?: { current: number; total: number; perSecond: number };
  results?: Result[];
  /** What the engine freed of its disk, bytes. */
  freedBytes?: number;
  /** The last log lines of a container that did not come up. */
  lastLines?: string[];
  /** The engine's own words, where it failed by its refusal. */
  engineMessage?: string;
};

/** One piece of long work, running or past; times in ms since 1970. */
export type Operation = {
  id: number;
  kind: OperationKind;
  target: string;
  actor: string;
  state: OperationState;
  /** 0 to 1; null where nobody can tell. */
  progress: number | null;
  message: string;
  error: string | null;
  errorCode: ErrorCode | null;
  steps: Step[];
  details: Details;
  /** Whether it can be cancelled now. */
  canCancel: boolean;
  /** Whether something is left of it that has to be taken up again; until then it holds what it works on. */
  isUnfinished: boolean;
  /** Whether its failure was read; true where there is none. */
  isSeen: boolean;
  queuedAt: number;
  startedAt: number | null;
  finishedAt: number | null;
};

/** Whether an operation goes on. */
export const isActive = ({ state }: Pick<Operation, 'state'>): boolean => state === 'queued' || state === 'running';

/** Whether an operation ended otherwise than it should. */
export const isFailed = ({ state }: Pick<Operation, 'state'>): boolean =>
  state === 'failed' || state === 'rolled_back' || state === 'interrupted';
