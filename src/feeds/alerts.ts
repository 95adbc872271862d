import type { Deps } from '../deps.ts';
import type { OpenFeed } from '../services/live.ts';
import { type AlertBoardModel, alertBoardModel } from '../views/models/alerts.ts';
import type { ViewContext } from '../views/models/context.ts';
import { morph } from './frames.ts';
import { createThrottle } from './ticker.ts';

const frameMs = 500;
/** Ages are told anew so often. */
const clockMs = 10_000;
const shownNotifications = 30;

/** The page of alerts as it is now. */
export async function alertsModel({ alerts }: Deps, context: ViewContext): Promise<AlertBoardModel> {
  const found = {
    rules: alerts.rules(),
    channels: alerts.channels(),
    firing: alerts.firing(),
    notifications: await alerts.notifications({ limit: shownNotifications }),
    logStatus: alerts.logStatus(),
    hasMail: alerts.hasMail,
    hasFigures: alerts.hasFigures,
  };
  return alertBoardModel(found, context);
}

/** The page of alerts as a frame. */
export async function alertsFrame(deps: Deps, context: ViewContext): Promise<string> {
  return morph('alerts', deps.render('fragments/alerts/board', await alertsModel(deps, context)));
}

/** Opens the feed of the page of alerts. */
export function openAlerts(deps: Deps, context: () => ViewContext): OpenFeed {
  return (push, fail) => {
    let shown = '';
    let isClosed = false;
    const throttle = createThrottle(() => void draw().catch(fail), frameMs);
    const stop = deps.alerts.onChange(() => throttle.ask());
    const clock = setInterval(() => throttle.ask(), clockMs);

    async function draw() {
      const next = await alertsFrame(deps, context());
      if (isClosed || next === shown) return;
      shown = next;
      push(next);
    }

    return {
      ready: alertsFrame(deps, context()).then((html) => {
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
