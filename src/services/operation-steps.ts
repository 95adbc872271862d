import type { Step } from './operation-types.ts';

/** A step that has not begun. */
export const toStep = (name: string): Step => ({
  name,
  detail: '',
  state: 'waiting',
  startedAt: null,
  finishedAt: null,
});

/**
 * Begins the step of that name, the planned one that waits or a new one before those; the one before is done. The last
 * one that was begun is begun again where it has that name: what is tried again and again is one step.
 */
export function beginStep(steps: readonly Step[], name: string, detail: string): Step[] {
  const begun: Step = { name, detail, state: 'running', startedAt: Date.now(), finishedAt: null };
  const before = endSteps(steps, 'done');
  const last = before.findLastIndex((step) => step.state !== 'waiting');
  const again = before[last];
  if (again?.name === name) return before.with(last, { ...begun, startedAt: again.startedAt });
  const place = before.findIndex((step) => step.name === name && step.state === 'waiting');
  if (place >= 0) return before.with(place, begun);
  const next = before.findIndex((step) => step.state === 'waiting');
  return next < 0 ? [...before, begun] : before.toSpliced(next, 0, begun);
}

/** Ends the step that runs. */
export function endSteps(steps: readonly Step[], state: 'done' | 'failed', detail?: string): Step[] {
  const ended = { state, finishedAt: Date.now(), ...(detail !== undefined && { detail }) };
  return steps.map((step) => (step.state === 'running' ? { ...step, ...ended } : step));
}

/** Says more about the step that runs. */
export const noteStep = (steps: readonly Step[], detail: string): Step[] =>
  steps.map((step) => (step.state === 'running' ? { ...step, detail } : step));
