import type { Deps } from '../deps.ts';
import type { OpenFeed } from '../services/live.ts';
import { engineModel } from '../views/models/engine.ts';
import { morph } from './frames.ts';
import { guard } from './ticker.ts';

/** Opens the feed of the engine's own state, which every page shows in its header. */
export function openEngine(deps: Deps): OpenFeed {
  return (push, fail) => {
    const render = () => {
      const engine = engineModel(deps.inventory.engine(), deps.docker.addressText);
      return (
        morph('engine-status', deps.render('fragments/engine-status', { engine })) +
        morph('engine-notice', deps.render('fragments/engine-notice', { engine }))
      );
    };
    const stop = deps.inventory.onChange(
      guard(fail, (change) => {
        if (change.engine) push(render());
      }),
    );
    return { snapshot: render, close: stop };
  };
}
