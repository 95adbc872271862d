import type { Deps } from '../deps.ts';
import type { OpenFeed } from '../services/live.ts';
import { engineModel } from '../views/models/engine.ts';
import { morph } from './frames.ts';
import { guard } from './ticker.ts';

/** Opens the feed of the engine's own state, and of what it allows, which every page shows. */
export function openEngine(deps: Deps): OpenFeed {
  return (push, fail) => {
    const render = () => {
      const engine = engineModel(deps.inventory.engine(), deps.docker.addressText);
      return (
        morph('engine-status', deps.render('fragments/engine-status', { engine })) +
        morph('engine-notice', deps.render('fragments/engine-notice', { engine })) +
        morph('limits', deps.render('fragments/limits', { limits: deps.rights.limits().notice }))
      );
    };
    const stop = deps.inventory.onChange(
      guard(fail, (change) => {
        if (change.engine) push(render());
      }),
    );
    const stopRights = deps.rights.onChange(guard(fail, () => push(render())));
    return {
      snapshot: render,
      close() {
        stop();
        stopRights();
      },
    };
  };
}
