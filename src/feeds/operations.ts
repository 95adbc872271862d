import type { Deps } from '../deps.ts';
import type { OpenFeed } from '../services/live.ts';
import { isActive, type Operation } from '../services/operation-types.ts';
import type { ViewContext } from '../views/models/context.ts';
import {
  type OperationListQuery,
  operationListModel,
  operationModel,
  operationsNowModel,
  statesOf,
} from '../views/models/operations.ts';
import { morph } from './frames.ts';
import { createThrottle, guard } from './ticker.ts';

const frameMs = 150;
const listMs = 500;
const clockMs = 1_000;
/** Ages of what has ended are told anew each so many ticks. */
const slowTicks = 10;

/** Opens the feed of what every page shows of operations, in its header and among its messages. */
export function openOperationsNow(deps: Deps, context: () => ViewContext, without?: number): OpenFeed {
  return (push, fail) => {
    let shown = build();
    const throttle = createThrottle(
      guard(fail, () => {
        const next = build();
        push(next.filter((part, index) => part !== shown[index]).join(''));
        shown = next;
      }),
      frameMs,
    );
    const stop = deps.operations.onChange(() => throttle.ask());

    function build() {
      const model = operationsNowModel(deps.operations.current(), context(), without);
      return [
        morph('operations-badge', deps.render('fragments/operations/badge', model)),
        morph('operations-now', deps.render('fragments/operations/now', model)),
      ];
    }

    return {
      snapshot() {
        shown = build();
        return shown.join('');
      },
      close() {
        stop();
        throttle.stop();
      },
    };
  };
}

/** Opens the feed of one operation: its card, with what takes its time ticking as long as it goes on. */
export function openOperation(deps: Deps, id: number, context: () => ViewContext): OpenFeed {
  return (push, fail) => {
    let operation: Operation | undefined;
    let shown = '';
    const draw = guard(fail, () => {
      const next = render();
      if (next !== shown) push(next);
      shown = next;
    });
    const throttle = createThrottle(draw, frameMs);
    const stop = deps.operations.onChange((changed) => {
      if (changed.id !== id) return;
      operation = changed;
      throttle.ask();
    });
    let ticks = 0;
    const clock = setInterval(() => {
      ticks++;
      if ((operation && isActive(operation)) || ticks % slowTicks === 0) draw();
    }, clockMs);
    const ready = deps.operations.find(id).then((found) => {
      operation ??= found;
      shown = render();
    });

    function render(): string {
      if (!operation) return '';
      const model = operationModel(operation, context());
      return morph(`operation-${id}`, deps.render('fragments/operation/card', model));
    }

    return {
      ready,
      snapshot() {
        shown = render();
        return shown;
      },
      close() {
        clearInterval(clock);
        stop();
        throttle.stop();
      },
    };
  };
}

/** The model of the list of operations as it is now. */
export async function operationsModel(deps: Deps, query: OperationListQuery, context: ViewContext) {
  const { before, limit } = query;
  // One more than is shown tells whether there are older ones.
  const found = await deps.operations.list({ before, states: statesOf(query.state), limit: limit + 1 });
  return operationListModel(found.slice(0, limit), query, found.length > limit, context);
}

/** Opens the feed of the list of operations with its own filter. */
export function openOperationList(deps: Deps, query: OperationListQuery, context: () => ViewContext): OpenFeed {
  return (push, fail) => {
    let shown = '';
    let isClosed = false;
    const throttle = createThrottle(() => void draw().catch(fail), listMs);
    const stop = deps.operations.onChange(() => throttle.ask());
    const clock = setInterval(() => throttle.ask(), 10 * clockMs);

    async function build(): Promise<string> {
      const model = await operationsModel(deps, query, context());
      return morph('operations', deps.render('fragments/operations/list', model));
    }

    async function draw() {
      const next = await build();
      if (isClosed || next === shown) return;
      shown = next;
      push(next);
    }

    return {
      ready: build().then((html) => {
        shown = html;
      }),
      snapshot: () => shown,
      close() {
        isClosed = true;
        clearInterval(clock);
        stop();
        throttle.stop();
      },
    };
  };
}
