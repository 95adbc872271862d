import { type Answer, type TestApp, until } from './app.ts';

type Step = { name: string; detail: string; state: string; startedAt: string | null; finishedAt: string | null };
type Layer = { id: string; state: string; currentBytes: number | null; totalBytes: number | null };

/** An operation as `/api` tells it. */
export type OperationJson = {
  id: number;
  kind: string;
  target: string;
  state: string;
  progress: number | null;
  message: string;
  actor: string;
  queuedAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  error: string | null;
  errorCode: string | null;
  canCancel: boolean;
  isUnfinished: boolean;
  steps: Step[];
  layers: Layer[];
  bytes: { current: number; total: number; perSecond: number } | null;
  results: { id: string; name: string; ok: boolean; detail: string }[];
  lastLines: string[];
  engineMessage?: string;
};

/** The number of the operation that an answer leads to, be it to a form or to a script. */
export function numberOf({ headers: { location = '' }, status, text }: Answer): number {
  const [, n] = /\/operations\/(\d+)$/.exec(location) ?? [];
  if (n === undefined) throw new Error(`${status} leads to no operation but to "${location}": ${text.slice(0, 300)}`);
  return Number(n);
}

/** An operation as it is now. */
export const operation = (app: TestApp, n: number) => app.api<OperationJson>(`/operations/${n}`);

/** Waits until something is true of an operation, and gives it as it was then. */
export async function untilOperation(
  app: TestApp,
  n: number,
  condition: (found: OperationJson) => boolean,
  what: string,
): Promise<OperationJson> {
  let found = await operation(app, n);
  await until(async () => {
    found = await operation(app, n);
    return condition(found);
  }, `operation ${n}: ${what}`).catch((error: Error) => {
    throw new Error(`${error.message}; it is ${JSON.stringify(found)}`);
  });
  return found;
}

/** The operation that an answer leads to, as it has ended. */
export const ended = (app: TestApp, answer: Answer) =>
  untilOperation(app, numberOf(answer), ({ finishedAt }) => finishedAt !== null, 'it has ended');
