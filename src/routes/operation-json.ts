import type { Static } from 'typebox';
import type { Operation, Step } from '../services/operation-types.ts';
import { maskText, toText } from '../services/secrets.ts';
import type * as schemas from './schemas.ts';

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** What engines and registries say can hold what should not be seen. */
const shown = (text: string): string => toText(maskText(text));

/** An operation as `/api` tells it. */
export function toOperationJson(operation: Operation): Static<typeof schemas.Operation> {
  const { id, kind, target, state, progress, actor, canCancel, isUnfinished, details } = operation;
  return {
    id,
    kind,
    target,
    state,
    progress,
    message: shown(operation.message),
    actor,
    queuedAt: new Date(operation.queuedAt).toISOString(),
    startedAt: iso(operation.startedAt),
    finishedAt: iso(operation.finishedAt),
    error: operation.error === null ? null : shown(operation.error),
    errorCode: operation.errorCode,
    canCancel,
    isUnfinished,
    steps: operation.steps.map(toStepJson),
    layers: (details.layers ?? []).map(({ current, total, ...layer }) => ({
      ...layer,
      currentBytes: current,
      totalBytes: total,
    })),
    bytes: details.bytes ?? null,
    results: (details.results ?? []).map((result) => ({ ...result, detail: shown(result.detail) })),
    lastLines: details.lastLines ?? [],
    ...(details.engineMessage && { engineMessage: shown(details.engineMessage) }),
  };
}

const toStepJson = ({ name, detail, state, startedAt, finishedAt }: Step) => ({
  name,
  detail: shown(detail),
  state,
  startedAt: iso(startedAt),
  finishedAt: iso(finishedAt),
});
