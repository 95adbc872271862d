import type { Deps } from '../deps.ts';
import type { Container } from '../services/containers.ts';
import type { EngineContainerDetail } from '../services/docker-types.ts';
import type { OpenFeed } from '../services/live.ts';
import { detailModel, headModel, removedModel } from '../views/models/container.ts';
import type { ViewContext } from '../views/models/context.ts';
import { workOf } from './containers.ts';
import { morph } from './frames.ts';
import { createInquiry } from './inquiry.ts';
import { guard } from './ticker.ts';

/** How often what is asked and drawn at most, in ms; tests make them shorter. */
export type ContainerTimings = {
  /** Between two inspects. */
  inspect: number;
  /** The age in the head. */
  head: number;
  /** The ages in the detail. */
  detail: number;
  /** Between two looks at a health check, whose probes are told by no event. */
  health: number;
  firstRetry: number;
  lastRetry: number;
};

const defaultTimings: ContainerTimings = {
  inspect: 250,
  head: 1_000,
  detail: 10_000,
  health: 60_000,
  firstRetry: 1_000,
  lastRetry: 30_000,
};

/** What a detail is made of; both of the same moment, so that it never tells of two. */
type Seen = { container: Container; inspect: EngineContainerDetail | undefined };

/** The markup of a container's detail; without `inspect`, of what the inventory knows and not a word more. */
export function renderContainerDetail(
  deps: Deps,
  { container, inspect, reveal }: Seen & { reveal: boolean },
  context: ViewContext,
): string {
  const imageTags = deps.inventory.findImage(container.imageId)?.tags ?? [];
  const revealHref = context.can.reveal ? `${context.base}/containers/${container.id}/reveal` : null;
  const figures = deps.rowFigures(container.id);
  const model = detailModel({ container, inspect, imageTags, figures, reveal, revealHref }, context);
  return deps.render('fragments/container/detail', model);
}

/** Opens the feed of a container's head alone, for the pages beside its own. It asks the engine for nothing. */
export function openContainerHead(
  deps: Deps,
  id: string,
  context: () => ViewContext,
  timings: ContainerTimings = defaultTimings,
): OpenFeed {
  return (push, fail) => {
    const head = createHead(deps, id, context, push);
    const draw = guard(fail, head.draw);
    // One that took its place may come after it has gone.
    const isGone = () => deps.inventory.container(id) === undefined;
    const stop = deps.inventory.onChange((change) => {
      if (change.changed.has(id) || change.removed.has(id) || isGone()) draw();
    });
    const stopClaims = deps.operations.onClaims(draw);
    const clock = setInterval(draw, timings.head);
    return {
      snapshot: head.html,
      close() {
        clearInterval(clock);
        stop();
        stopClaims();
      },
    };
  };
}

/**
 * Opens the feed of one container's page. What only an inspect shows is asked for when something happened to the
 * container and when the engine comes back; the words that get old are made anew from the last answer. While the engine
 * is away the last detail stays. A container that was removed keeps it too, under a head that says so.
 */
export function openContainer(
  deps: Deps,
  id: string,
  context: () => ViewContext,
  timings: ContainerTimings = defaultTimings,
): OpenFeed {
  return (push, fail) => {
    const head = openContainerHead(deps, id, context, timings)(push, fail);
    let seen: Seen | undefined;
    let detail = '';
    const draw = guard(fail, drawDetail);
    const inspection = createInquiry(
      {
        // While the engine is away nothing is called: its return asks anew.
        canAsk: () => deps.inventory.engine().status === 'connected' && deps.inventory.container(id) !== undefined,
        ask: () => deps.docker.inspectContainer(id),
        onAnswer(inspect) {
          const container = deps.inventory.container(id);
          if (!container) return;
          seen = { container, inspect };
          draw();
        },
      },
      timings,
    );
    const stops = [
      deps.inventory.onChange((change) => {
        if (change.changed.has(id) || change.touched.has(id) || change.engine) inspection.ask();
      }),
      deps.stats.onTick((ids) => {
        if (ids.includes(id)) draw();
      }),
    ];
    const clocks = [
      setInterval(draw, timings.detail),
      setInterval(() => {
        if (hasProbes(seen)) inspection.ask();
      }, timings.health),
    ];

    function drawDetail() {
      // Nothing is drawn over what a page shows already, as long as less is known here.
      if (!seen) return;
      const html = renderContainerDetail(deps, { ...seen, reveal: false }, context());
      const next = morph('container-detail', html);
      if (next !== detail) push(next);
      detail = next;
    }

    return {
      ready: inspection.now(),
      snapshot: () => head.snapshot() + detail,
      close() {
        head.close();
        for (const clock of clocks) clearInterval(clock);
        for (const stop of stops) stop();
        inspection.close();
      },
    };
  };
}

/** The head as it was last sent, and how to send it anew where it changed. */
function createHead(deps: Deps, id: string, context: () => ViewContext, push: (frame: string) => void) {
  let last = deps.inventory.container(id);
  let shown = render();

  function render(): string {
    last = deps.inventory.container(id) ?? last;
    // Of one that was gone before anybody looked not even the name is known: the page keeps what it shows of it.
    if (!last) return renderRemoved(deps, id, context());
    const container = deps.inventory.container(id) ?? { ...last, state: 'removed' };
    const successor = deps.inventory.findContainer(container.name);
    const model = headModel(container, context(), workOf(deps, container, context().base), successor);
    return morph('container-head', deps.render('fragments/container/head', model));
  }

  function draw() {
    const next = render();
    if (next !== shown) push(next);
    shown = next;
  }

  return { draw, html: () => shown };
}

/** The parts of a head that say that the container is gone. */
function renderRemoved(deps: Deps, id: string, context: ViewContext): string {
  const model = removedModel(id, context);
  return (
    morph('container-state', deps.render('fragments/container/state', model)) +
    morph('container-actions', deps.render('fragments/container/actions', model))
  );
}

/** Whether a health check runs: what its probes answer is told by no event. */
function hasProbes(seen: Seen | undefined): boolean {
  return seen?.container.state === 'running' && (seen.inspect?.State?.Health?.Status ?? 'none') !== 'none';
}
