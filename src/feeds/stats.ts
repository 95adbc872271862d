import type { Deps } from '../deps.ts';
import type { OpenFeed } from '../services/live.ts';
import { morph } from './frames.ts';
import { createThrottle } from './ticker.ts';

const everyTickMs = 250;

/** The time axis moves on by itself, and an hour's chart is 300 dots wide. */
const clockMs = 60_000;

/**
 * Opens the feed of one container's charts. Those of the last hour are drawn anew with each sample, those of longer
 * ranges, of which a sample is no dot, once a minute.
 */
export function openStats(deps: Deps, id: string, isLong: boolean, renderCharts: () => Promise<string>): OpenFeed {
  return (push, fail) => {
    let charts = '';
    let isClosed = false;
    let isDrawing = false;

    async function refresh(): Promise<void> {
      const next = morph('stats', await renderCharts());
      if (isClosed || next === charts) return;
      charts = next;
      push(next);
    }

    /** One at a time: a slow disk is not asked again before it has answered. */
    async function draw(): Promise<void> {
      if (isDrawing) return;
      isDrawing = true;
      await refresh()
        .catch(fail)
        .finally(() => {
          isDrawing = false;
        });
    }

    const throttle = createThrottle(() => void draw(), everyTickMs);
    const clock = setInterval(() => void draw(), clockMs);
    const stop = deps.stats.onTick((ids) => {
      if (!isLong && ids.includes(id)) throttle.ask();
    });

    return {
      ready: refresh(),
      snapshot: () => charts,
      close() {
        isClosed = true;
        clearInterval(clock);
        throttle.stop();
        stop();
      },
    };
  };
}
