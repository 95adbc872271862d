import type { Deps } from '../deps.ts';
import { imageClaim } from '../services/claims.ts';
import { type ImageQuery, selectImages } from '../services/image-list.ts';
import type { Image } from '../services/images.ts';
import type { OpenFeed } from '../services/live.ts';
import type { ViewContext } from '../views/models/context.ts';
import { type ImageListModel, type ImageWork, imageListModel } from '../views/models/image.ts';
import { busyWith } from './containers.ts';
import { morph } from './frames.ts';
import { createThrottle, guard } from './ticker.ts';

const frameMs = 100;
const clockMs = 10_000;

/** The model of the list of images as it is now. */
export function imagesModel(deps: Deps, query: ImageQuery, context: ViewContext): ImageListModel {
  const { inventory } = deps;
  const selection = selectImages(inventory.images(), inventory.containers(), query);
  const works = new Map(selection.images.map((image) => [image.id, imageWorkOf(deps, image, context.base)]));
  const used = new Set(inventory.containers().map(({ imageId }) => imageId));
  const unused = inventory.images().filter((image) => image.dangling && !used.has(image.id));
  const prunable = unused.reduce((sum, { size }) => sum + size, 0);
  const engineKnown = inventory.engine().version !== '';
  return imageListModel({ ...selection, query, engineKnown, works, prunable }, context);
}

/** What is known of an image's registry, and whether one of its tags is being pulled. */
export function imageWorkOf(deps: Deps, image: Image, base: string): ImageWork {
  const busy = image.tags.map((tag) => busyWith(deps, imageClaim(tag), base)).find((found) => found !== null);
  return { update: deps.updates.ofImage(image), busy: busy ?? null };
}

/** Opens the feed of a list of images. Images change rarely: what changed is sent as a whole. */
export function openImageList(deps: Deps, query: ImageQuery, context: () => ViewContext): OpenFeed {
  return (push, fail) => {
    let shown = build();
    const draw = guard(fail, update);
    const throttle = createThrottle(draw, frameMs);
    const stops = [
      deps.inventory.onChange((change) => {
        if (change.images || change.changed.size || change.removed.size || change.engine) throttle.ask();
      }),
      deps.operations.onClaims(() => throttle.ask()),
      deps.updates.onChange(() => throttle.ask()),
    ];

    // The words of ages get old by themselves.
    const clock = setInterval(draw, clockMs);

    function build() {
      const model = imagesModel(deps, query, context());
      return [
        morph('images', deps.render('fragments/images/list', model)),
        morph('images-summary', deps.render('fragments/images/summary', model)),
        morph('images-filters', deps.render('fragments/images/filters', model)),
        morph('images-work', deps.render('fragments/images/work', model)),
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
        for (const stop of stops) stop();
      },
    };
  };
}
