import { Problem } from '../errors.ts';
import type { Operation } from './operation-types.ts';
import { BusyProblem, type Operations } from './operations.ts';

/**
 * The operations as somebody may see them who sees some containers only: those that they asked for themselves, since any
 * other may tell of what is hidden from them. It holds nothing that would have to be closed.
 */
export function scopeOperations(operations: Operations, actor: string): Operations {
  const isOwn = (operation: Operation): boolean => operation.actor === actor;

  async function find(id: number): Promise<Operation | undefined> {
    const found = await operations.find(id);
    return found && isOwn(found) ? found : undefined;
  }

  async function requireOwn(id: number): Promise<void> {
    if (!(await find(id))) throw new Problem('not_found', `Operation ${id} not found`);
  }

  return {
    ...operations,
    find,
    list: (query) => operations.list({ ...query, actor }),
    active: () => operations.active().filter(isOwn),
    current: () => operations.current().filter(isOwn),
    holder(claim) {
      const holder = operations.holder(claim);
      return holder && isOwn(holder) ? holder : undefined;
    },
    async cancel(id) {
      await requireOwn(id);
      return operations.cancel(id);
    },
    async dismiss(id) {
      await requireOwn(id);
      return operations.dismiss(id);
    },
    visit: (keys, task) => withoutOthers(actor, () => operations.visit(keys, task)),
    onChange: (listener) => operations.onChange((operation) => isOwn(operation) && listener(operation)),
  };
}

/**
 * Does something, and leaves out of its refusal what others work on.
 * @throws Problem what the task throws
 */
export async function withoutOthers<T>(actor: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw namesOthers(error, actor) ? busy() : error;
  }
}

/** Whether a refusal tells of an operation that somebody else asked for. */
export const namesOthers = (error: unknown, actor: string): boolean =>
  error instanceof BusyProblem && error.actor !== actor;

/** The refusal that tells nothing but itself. */
export const busy = () => new Problem('conflict', 'Somebody else works on it already. Try again when that has ended.');
