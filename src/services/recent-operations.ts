import type { Operation } from './operation-types.ts';

const maxOfEach = 20;

/** What pages show beside what runs. */
export type RecentOperations = ReturnType<typeof createRecentOperations>;

/**
 * Creates what pages show beside what runs: failures that nobody has read, and for `shownMs` what has just succeeded;
 * the newest 20 of each. `onHidden` is told of what is no longer shown.
 */
export function createRecentOperations(
  unread: readonly Operation[],
  shownMs: number,
  onHidden: (operation: Operation) => void,
) {
  const shown = new Map(unread.map((operation) => [operation.id, operation]));

  function hide(id: number) {
    const operation = shown.get(id);
    if (shown.delete(id) && operation) onHidden(operation);
  }

  return {
    show(operation: Operation): void {
      shown.set(operation.id, operation);
      if (operation.isSeen) setTimeout(() => hide(operation.id), shownMs).unref();
      // Many may end within the time that a success is shown.
      const alike = [...shown.values()].filter(({ isSeen }) => isSeen === operation.isSeen);
      for (const { id } of alike.slice(0, -maxOfEach)) shown.delete(id);
    },

    hide,

    /** Shows one that is shown as it is now. */
    refresh(operation: Operation): void {
      if (shown.has(operation.id)) shown.set(operation.id, operation);
    },

    /** Takes one away without telling of it, where it is shown as something else. */
    forget: (id: number): void => void shown.delete(id),

    find: (id: number): Operation | undefined => shown.get(id),
    all: (): Operation[] => [...shown.values()],
  };
}
