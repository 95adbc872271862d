import type { Deps } from '../deps.ts';
import type { OpenFeed } from '../services/live.ts';
import { morph } from './frames.ts';

/** Opens the feed of one container's charts: drawn anew with each sample. */
export function openStats(deps: Deps, id: string, renderCharts: () => Promise<string>): OpenFeed {
  return (push) => {
    let charts = '';
    let isClosed = false;

    async function refresh(): Promise<void> {
      const next = morph('stats', await renderCharts());
      if (isClosed || next === charts) return;
      charts = next;
      push(next);
    }

    const stop = deps.stats.onTick((ids) => {
      if (ids.includes(id)) refresh().catch(() => {});
    });

    return {
      ready: refresh(),
      snapshot: () => charts,
      close() {
        isClosed = true;
        stop();
      },
    };
  };
}
