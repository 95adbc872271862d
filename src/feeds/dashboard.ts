import type { Deps } from '../deps.ts';
import type { Container } from '../services/containers.ts';
import { toDiskFigures, toProjectDiskFigures } from '../services/disk-figures.ts';
import type { OpenFeed } from '../services/live.ts';
import { type Measure, toOverview } from '../services/overview.ts';
import type { ViewContext } from '../views/models/context.ts';
import { type DashboardInput, dashboardModel } from '../views/models/dashboard.ts';
import { type DiskInput, diskModel } from '../views/models/disk.ts';
import { morph } from './frames.ts';
import { createThrottle, guard } from './ticker.ts';

/** The machine (null), or a project's name. */
export type Scope = string | null;

const everyMs = 1_000;
/** Its age gets older by itself, and who keeps looking wants to see it anew some time. */
const diskMs = 30_000;

/** Whose figures a dashboard shows. */
export const containersOf = ({ inventory }: Pick<Deps, 'inventory'>, scope: Scope): readonly Container[] =>
  scope === null ? inventory.containers() : inventory.containers().filter(({ project }) => project === scope);

/** The address of a dashboard, without the base path. */
export const dashboardPath = (scope: Scope) =>
  scope === null ? '/dashboard' : `/projects/${encodeURIComponent(scope)}/stats`;

/** What a dashboard shows but for its disk and its charts, as it is now. */
export function dashboardInput(deps: Deps, scope: Scope): DashboardInput {
  const { inventory, stats } = deps;
  const { status, cpus, memoryBytes } = inventory.engine();
  return {
    project: scope,
    machine: { isThere: status === 'connected', cpus, memoryBytes },
    overview: toOverview(containersOf(deps, scope), stats),
    trend: (id: string, measure: Measure) => (measure === 'cpu' ? stats.recent(id) : stats.trend(id, measure)),
  };
}

/** What is known of the disk of a machine or a project. */
export function diskInput(deps: Deps, scope: Scope): DiskInput {
  const { usage, ...state } = deps.diskUsage.state();
  if (!usage) return { ...state, figures: null };
  if (scope === null) return { ...state, figures: toDiskFigures(usage) };
  const ids = new Set(containersOf(deps, scope).map(({ id }) => id));
  return { ...state, figures: toProjectDiskFigures(usage, scope, ids) };
}

/** The parts of a dashboard that are pushed alone: those that its containers fill, of one look at them. */
export function renderNow(deps: Deps, scope: Scope, context: ViewContext): { now: string; top: string } {
  const model = dashboardModel(dashboardInput(deps, scope), context);
  return {
    now: deps.render('fragments/dashboard/now', model),
    top: deps.render('fragments/dashboard/top', model),
  };
}

/** The part that is pushed when the disk was measured. */
export const renderDisk = (deps: Deps, scope: Scope, context: ViewContext): string =>
  deps.render('fragments/dashboard/disk', diskModel(diskInput(deps, scope), scope, context));

type Parts = { now?: string; top?: string; disk?: string };

/**
 * Opens the feed of a dashboard: its sums, who uses most, and its disk, each pushed where it is different; `charts` is
 * the feed of its charts, absent where those stay as they are. The engine measures its disk only while somebody looks.
 */
export function openDashboard(
  deps: Deps,
  scope: Scope,
  context: () => ViewContext,
  charts: OpenFeed | undefined,
): OpenFeed {
  return (push, fail) => {
    const shown: Parts = {};
    const inner = charts?.(push, fail);

    /** The frames of those parts that are different from what is shown. */
    function changed(parts: Parts): string {
      const fresh = Object.entries(parts).filter(([name, html]) => shown[name as keyof Parts] !== html);
      Object.assign(shown, parts);
      return fresh.map(([name, html]) => morph(`dashboard-${name}`, html)).join('');
    }

    const drawNow = () => renderNow(deps, scope, context());
    const drawDisk = () => ({ disk: renderDisk(deps, scope, context()) });
    const show = guard(fail, (draw: () => Parts) => {
      const frame = changed(draw());
      if (frame) push(frame);
    });
    const look = () => {
      if (deps.inventory.engine().status === 'connected') void deps.diskUsage.look();
    };
    const throttle = createThrottle(() => show(drawNow), everyMs);
    const clock = setInterval(() => {
      look();
      show(() => ({ ...drawNow(), ...drawDisk() }));
    }, diskMs);
    const stops = [
      deps.stats.onTick(() => throttle.ask()),
      deps.inventory.onChange((change) => {
        if (change.engine) look();
        if (change.changed.size || change.removed.size || change.engine) throttle.ask();
      }),
      deps.diskUsage.onChange(() => show(drawDisk)),
    ];
    look();

    return {
      ...(inner?.ready && { ready: inner.ready }),
      snapshot() {
        Object.assign(shown, drawNow(), drawDisk());
        const parts = Object.entries(shown).map(([name, html]) => morph(`dashboard-${name}`, html));
        return parts.join('') + (inner?.snapshot() ?? '');
      },
      close() {
        clearInterval(clock);
        throttle.stop();
        for (const stop of stops) stop();
        inner?.close();
      },
    };
  };
}
