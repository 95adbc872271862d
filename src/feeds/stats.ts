import type { Deps } from '../deps.ts';
import type { OpenFeed } from '../services/live.ts';
import { morph } from './frames.ts';
import { createThrottle } from './ticker.ts';

const everyTickMs = 250;
/** Of all that happens on the machine little concerns one container. */
const everyEventMs = 2_000;

/** The time axis moves on by itself, and an hour's chart is 300 dots wide. */
const clockMs = 60_000;

/**
 * Opens the feed of the charts of one container, or of a sum (`isMarked` tells whether events are drawn on them). Those of the last hour are drawn anew with each sample and whenever something
 * happened, those of longer ranges, of which a sample is no dot, once a minute.
 */
export function openStats(
  deps: Deps,
  series: string,
  { isLong, isMarked }: { isLong: boolean; isMarked: boolean },
  renderCharts: () => Promise<string>,
): OpenFeed {
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
    const stopTicks = deps.stats.onTick((ids) => {
      if (!isLong && ids.includes(series)) throttle.ask();
    });
    // What happened is marked on the axis, also of a container that is not sampled any more.
    const events = createThrottle(() => void draw(), everyEventMs);
    const stopHistory = deps.history.onChange(() => {
      if (!isLong && isMarked) events.ask();
    });

    return {
      ready: refresh(),
      snapshot: () => charts,
      close() {
        isClosed = true;
        clearInterval(clock);
        throttle.stop();
        events.stop();
        stopTicks();
        stopHistory();
      },
    };
  };
}
