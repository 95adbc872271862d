import type { Deps } from '../deps.ts';
import { type ImageQuery, selectImages } from '../services/image-list.ts';
import type { OpenFeed } from '../services/live.ts';
import type { ViewContext } from '../views/models/context.ts';
import { type ImageListModel, imageListModel } from '../views/models/image.ts';
import { morph } from './frames.ts';
import { createThrottle, guard } from './ticker.ts';

const frameMs = 100;
const clockMs = 10_000;

/** The model of the list of images as it is now. */
export function imagesModel(deps: Deps, query: ImageQuery, context: ViewContext): ImageListModel {
  const { inventory } = deps;
  const selection = selectImages(inventory.images(), inventory.containers(), query);
  return imageListModel({ ...selection, query, engineKnown: inventory.engine().version !== '' }, context);
}

/** Opens the feed of a list of images. Images change rarely: what changed is sent as a whole. */
export function openImageList(deps: Deps, query: ImageQuery, context: () => ViewContext): OpenFeed {
  return (push, fail) => {
    let shown = build();
    const draw = guard(fail, update);
    const throttle = createThrottle(draw, frameMs);
    const stop = deps.inventory.onChange((change) => {
      if (change.images || change.changed.size || change.removed.size || change.engine) throttle.ask();
    });

    // The words of ages get old by themselves.
    const clock = setInterval(draw, clockMs);

    function build() {
      const model = imagesModel(deps, query, context());
      return [
        morph('images', deps.render('fragments/images/list', model)),
        morph('images-summary', deps.render('fragments/images/summary', model)),
        morph('images-filters', deps.render('fragments/images/filters', model)),
      ];
    }

    function update() {
      const next = build();
      const changed = next.filter((part, index) => part !== shown[index]);
      shown = next;
      push(changed.join(''));
    }

    return {
      snapshot() {
        shown = build();
        return shown.join('');
      },
      close() {
        clearInterval(clock);
        throttle.stop();
        stop();
      },
    };
  };
}
