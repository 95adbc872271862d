import type { Deps } from '../deps.ts';
import type { EngineHistoryItem, EngineImageDetail } from '../services/docker-types.ts';
import { imageUsers, toImage } from '../services/images.ts';
import type { OpenFeed } from '../services/live.ts';
import type { ViewContext } from '../views/models/context.ts';
import { imageDetailModel, removedImageModel } from '../views/models/image.ts';
import { morph } from './frames.ts';
import { imageWorkOf } from './images.ts';
import { createInquiry } from './inquiry.ts';
import { guard } from './ticker.ts';

const timings = { inspect: 500, firstRetry: 1_000, lastRetry: 30_000 };
const clockMs = 10_000;

type Seen = { inspect: EngineImageDetail; layers: EngineHistoryItem[] };

/**
 * Opens the feed of one image's page, by its full id. The engine is asked when its images changed and when it comes
 * back; who uses the image is known without asking. One that was removed stays on the page, which says so.
 */
export function openImage(deps: Deps, id: string, context: () => ViewContext): OpenFeed {
  return (push, fail) => {
    let seen: Seen | undefined;
    let isGone = false;
    let shown = '';
    const draw = guard(fail, () => {
      const next = render();
      if (next !== shown) push(next);
      shown = next;
    });
    const inquiry = createInquiry(
      {
        canAsk: () => deps.inventory.engine().status === 'connected',
        ask: async () => {
          const [inspect, layers] = await Promise.all([deps.docker.inspectImage(id), deps.docker.imageHistory(id)]);
          return { inspect, layers };
        },
        onAnswer(answer) {
          seen = answer;
          isGone = false;
          draw();
        },
        onGone() {
          isGone = true;
          draw();
        },
      },
      timings,
    );
    const stop = deps.inventory.onChange((change) => {
      if (change.images || change.engine) inquiry.ask();
      if (change.changed.size || change.removed.size) draw();
    });
    const stops = [deps.operations.onClaims(draw), deps.updates.onChange(draw)];
    const clock = setInterval(draw, clockMs);

    function render(): string {
      if (isGone) return renderRemoved(deps, context());
      if (!seen) return '';
      const { inspect, layers } = seen;
      const known = deps.inventory.findImage(id);
      const image = known ?? toImage({ ...inspect, ParentId: inspect.Parent, Labels: inspect.Config?.Labels });
      const used = { ...image, containers: imageUsers(image, deps.inventory.containers()) };
      const work = imageWorkOf(deps, image, context().base);
      const model = imageDetailModel({ image: used, inspect, layers, work }, context());
      return morph('image-detail', deps.render('fragments/image/detail', model));
    }

    return {
      ready: inquiry.now(),
      snapshot: () => shown,
      close() {
        clearInterval(clock);
        stop();
        for (const end of stops) end();
        inquiry.close();
      },
    };
  };
}

/** The parts that say that the image is gone; the rest stays as it was. */
function renderRemoved(deps: Deps, context: ViewContext): string {
  const model = removedImageModel(context);
  return (
    morph('image-state', deps.render('fragments/image/state', model)) +
    morph('image-actions', deps.render('fragments/image/actions', model))
  );
}
