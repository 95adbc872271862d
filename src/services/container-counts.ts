import type { Inventory } from './inventory.ts';

/** What happened to a container since this program knows it: starts after it had run, runs that ended for want of memory. */
export type ContainerCount = { restarts: number; outOfMemory: number };

type Seen = ContainerCount & { state: string; oomKilled: boolean };

const ended = new Set(['exited', 'restarting', 'dead']);
const none: ContainerCount = { restarts: 0, outOfMemory: 0 };

/** Counts what the inventory sees happen. */
export type ContainerCounts = ReturnType<typeof createContainerCounts>;

/**
 * Creates the counts of restarts. The engine's own RestartCount is only in an inspect, and forgets those by hand: here
 * each change from an ended state to `running` is one, whoever caused it, and costs no call. What happened while nobody
 * followed the engine is not known.
 */
export function createContainerCounts(inventory: Pick<Inventory, 'container' | 'onChange'>) {
  const seen = new Map<string, Seen>();

  inventory.onChange(({ changed, removed }) => {
    for (const id of changed) look(id);
    for (const id of removed) seen.delete(id);
  });

  function look(id: string): void {
    const container = inventory.container(id);
    if (!container) return;
    const { state, oomKilled } = container;
    const before = seen.get(id) ?? { state, oomKilled, ...none };
    const isRestart = ended.has(before.state) && state === 'running';
    const isOutOfMemory = !before.oomKilled && oomKilled;
    seen.set(id, {
      state,
      oomKilled,
      restarts: before.restarts + Number(isRestart),
      outOfMemory: before.outOfMemory + Number(isOutOfMemory),
    });
  }

  return {
    /** The counts of one container; zeros for one that is not known. */
    of: (id: string): ContainerCount => seen.get(id) ?? none,
  };
}
