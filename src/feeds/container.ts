import type { Deps } from '../deps.ts';
import type { Container } from '../services/containers.ts';
import type { OpenFeed } from '../services/live.ts';
import { headModel } from '../views/models/container.ts';
import type { ViewContext } from '../views/models/context.ts';
import { morph } from './frames.ts';
import { createThrottle } from './ticker.ts';

const frameMs = 100;
const clockMs = 1_000;

/** Makes the markup of a container's detail, which takes a call to the engine. */
export type RenderDetail = (container: Container) => Promise<string>;

/**
 * Opens the feed of one container's page: its head at once, its detail as soon as the engine has told it. A container
 * that was removed keeps its last detail, under a head that says so.
 */
export function openContainer(
  deps: Deps,
  id: string,
  context: () => ViewContext,
  renderDetail: RenderDetail,
): OpenFeed {
  return (push) => {
    let last = deps.inventory.container(id);
    let head = renderHead();
    let detail = '';
    let isClosed = false;
    let isStale = false;
    let running: Promise<void> | undefined;

    const throttle = createThrottle(() => void refresh(), frameMs);
    const stop = deps.inventory.onChange((change) => {
      if (change.removed.has(id)) return update();
      if (!change.changed.has(id)) return;
      update();
      throttle.ask();
    });
    const clock = setInterval(update, clockMs);

    function renderHead(): string {
      const container = deps.inventory.container(id) ?? (last && { ...last, state: 'removed' });
      return container
        ? morph('container-head', deps.render('fragments/container/head', headModel(container, context())))
        : '';
    }

    function update() {
      last = deps.inventory.container(id) ?? last;
      const next = renderHead();
      if (next !== head) push(next);
      head = next;
    }

    /** Asks for the detail; a change that comes meanwhile is asked for after it, never beside it. */
    function refresh(): Promise<void> {
      isStale = true;
      running ??= (async () => {
        while (isStale && !isClosed) {
          isStale = false;
          await renderNewest();
        }
        running = undefined;
      })();
      return running;
    }

    async function renderNewest() {
      const container = deps.inventory.container(id);
      // An engine that can't tell now is asked again with the next change.
      const html = container && (await renderDetail(container).catch(() => undefined));
      if (html === undefined || isClosed) return;
      const next = morph('container-detail', html);
      if (next !== detail) push(next);
      detail = next;
    }

    return {
      ready: refresh(),
      snapshot: () => head + detail,
      close() {
        isClosed = true;
        clearInterval(clock);
        throttle.stop();
        stop();
      },
    };
  };
}
