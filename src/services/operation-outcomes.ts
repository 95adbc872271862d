import { isProblem } from '../errors.ts';
import type { Details, Operation } from './operation-types.ts';

/** How an operation ended, where it did not throw. */
export type Outcome = {
  message: string;
  state?: 'succeeded' | 'failed' | 'rolled_back' | 'interrupted';
  error?: unknown;
  details?: Details;
  /** Whether something is left of it that has to be taken up again: until then it holds what it works on. */
  isUnfinished?: boolean;
};

/** Thrown by work that the program's end cut short, and that the next start takes up again. */
export class Unfinished extends Error {
  override name = 'Unfinished';
}

/** Why a run's signal aborted, where somebody cancelled it. */
export class Cancelled extends Error {
  override name = 'Cancelled';
}

/** What is told of a failure: nothing where somebody wanted it. */
export type Failure = Pick<Operation, 'error' | 'errorCode'> & { details: Details };

/** Tells why an operation did not succeed; only problems are for people's eyes. */
export function toFailure(error: unknown, hasBegun = true): Failure {
  if (error instanceof Cancelled) return { error: null, errorCode: null, details: {} };
  if (error instanceof Unfinished) return { error: cutShort(hasBegun), errorCode: null, details: {} };
  if (!isProblem(error)) return { error: unforeseen, errorCode: 'internal', details: {} };
  const { message, code, engineMessage } = error;
  return { error: message, errorCode: code, details: engineMessage ? { engineMessage } : {} };
}

/** What is said of an operation that the program's end cut short. */
export const cutShort = (hasBegun: boolean): string =>
  hasBegun ? 'Fairlead ended while it ran.' : 'Fairlead ended before it began.';

const unforeseen = 'It failed for a reason that nobody foresaw. The log of this program tells more.';
