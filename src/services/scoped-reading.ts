import type { Inventory } from './inventory.ts';
import type { Logs } from './logs.ts';
import type { Stats } from './stats.ts';

/** The figures of the containers in an inventory; of any other, and of sums, there are none. */
export function scopeStats(stats: Stats, inventory: Pick<Inventory, 'container'>): Stats {
  return {
    ...stats,
    history: async (id, wanted) =>
      inventory.container(id) ? stats.history(id, wanted) : { ...(await stats.history('', wanted)), id },
  };
}

/**
 * The logs as somebody reads them who sees some containers only: one that is followed ends where its container gets a
 * name that they don't see. `seen` is the inventory as they see it, `whole` all of it.
 */
export function scopeLogs(logs: Logs, seen: Pick<Inventory, 'onChange'>, whole: Pick<Inventory, 'container'>): Logs {
  const onHidden = (id: string, listener: () => void) =>
    seen.onChange(({ removed }) => {
      if (removed.has(id) && whole.container(id)) listener();
    });

  return {
    ...logs,
    follow(id, query, onBatch, onState = () => {}, hasRoom) {
      const follower = logs.follow(id, query, onBatch, onState, hasRoom);
      const stop = onHidden(id, () => {
        follower.close();
        onState('ended');
      });
      return {
        close() {
          stop();
          follower.close();
        },
      };
    },
    async *batches(id, query, signal, onOpen) {
      const hidden = new AbortController();
      const stop = onHidden(id, () => hidden.abort());
      try {
        yield* logs.batches(id, query, AbortSignal.any([signal, hidden.signal]), onOpen);
      } finally {
        stop();
      }
    },
  };
}
