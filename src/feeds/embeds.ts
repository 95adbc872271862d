import type { Deps } from '../deps.ts';
import { isProblem, Problem } from '../errors.ts';
import { containerOfView, projectOfView } from '../services/embed-views.ts';
import type { OpenFeed } from '../services/live.ts';
import { type LogSelection, selectMembers } from '../services/log-selection.ts';
import type { MergedEntry, MergedState } from '../services/merged-logs.ts';
import { endOfLogs } from '../services/merged-slices.ts';
import { toWindow } from '../services/stats-windows.ts';
import type { ViewContext } from '../views/models/context.ts';
import {
  badgeModel,
  type EmbedFrame,
  type EmbedModel,
  embedChartsModel,
  goneModel,
  logModel,
  projectBadgeModel,
  tableModel,
  tileModel,
} from '../views/models/embeds.ts';
import { createWhoOf, mergedNotes } from '../views/models/merged-logs.ts';
import { morph } from './frames.ts';
import { createThrottle, guard } from './ticker.ts';

/** How many of the newest lines an embedded log has. */
export const embedLines = 100;
const frameMs = 250;
/** Charts are read from the disk. */
const chartsMs = 2_000;
const clockMs = 1_000;
const chartsClockMs = 60_000;
/** What a log's lines are read in at most, ms; the page says that they could not be. */
const readMs = 10_000;

type Lines = { entries: readonly MergedEntry[]; failures: MergedState['failures'] };

/** Renders an embed as it is now, with the newest lines of its log where it is one. */
export async function renderEmbed(
  deps: Deps,
  frame: EmbedFrame,
  context: ViewContext,
  signal: AbortSignal,
): Promise<string> {
  const lines = frame.view.look === 'log' ? await readLines(deps, frame, signal) : undefined;
  return draw(deps, frame, context, lines);
}

async function draw(deps: Deps, frame: EmbedFrame, context: ViewContext, lines: Lines | undefined): Promise<string> {
  return deps.render('fragments/embed/embed', await toModel(deps, frame, context, lines));
}

/** The model of an embed: of its one object, and of nothing else that the inventory may hold. */
export async function toModel(
  deps: Deps,
  frame: EmbedFrame,
  context: ViewContext,
  lines: Lines | undefined,
): Promise<EmbedModel> {
  const { inventory } = deps;
  const { view } = frame;
  const { now } = context;
  const containers = inventory.containers();
  const isThere = inventory.engine().status === 'connected';
  const member = (container: (typeof containers)[number]) => ({ container, figures: deps.rowFigures(container.id) });
  if (view.of === 'project') {
    const members = projectOfView(containers, view).map(member);
    if (members.length === 0) return goneModel(frame, isThere);
    if (view.look === 'table') return tableModel(frame, members, now);
    if (view.look === 'badge') return projectBadgeModel(frame, members, now);
    return toLogModel(deps, frame, lines);
  }
  const container = containerOfView(containers, view);
  if (!container) return goneModel(frame, isThere);
  if (view.look === 'tile') return tileModel(frame, member(container), now);
  if (view.look === 'badge') return badgeModel(frame, member(container), now);
  if (view.look === 'log') return toLogModel(deps, frame, lines);
  const stats = await deps.stats.history(container.id, '1h');
  return embedChartsModel(frame, stats, toWindow('1h', now, deps.config.statsInterval), context);
}

function toLogModel(deps: Deps, frame: EmbedFrame, lines: Lines | undefined): EmbedModel {
  const found = selectMembers(deps.inventory.containers(), selectionOf(frame));
  const who = createWhoOf();
  who.add(found.members);
  return logModel(frame, lines?.entries ?? [], who.of, mergedNotes(found, lines?.failures ?? new Map()));
}

const selectionOf = ({ view }: EmbedFrame): LogSelection =>
  view.of === 'project' ? { project: view.name } : { names: [view.name] };

const idsOf = (deps: Deps, frame: EmbedFrame) =>
  selectMembers(deps.inventory.containers(), selectionOf(frame)).members.map(({ id }) => id);

async function readLines(deps: Deps, frame: EmbedFrame, signal: AbortSignal): Promise<Lines> {
  const ids = idsOf(deps, frame);
  if (ids.length === 0) return { entries: [], failures: new Map() };
  const reading = AbortSignal.any([signal, AbortSignal.timeout(readMs)]);
  try {
    const wanted = { count: embedLines, place: endOfLogs };
    const { lines, failures } = await deps.mergedLogs.slices.before(ids, wanted, reading);
    return { entries: lines, failures };
  } catch (error) {
    const problem = isProblem(error) ? error : new Problem('engine_timeout', 'The log could not be read in time.');
    return { entries: [], failures: new Map(ids.map((id) => [id, problem])) };
  }
}

/**
 * Opens the feed of an embed: all of it is drawn anew when something in it became different, at most four times a second.
 * Those who look at the same share it.
 */
export function openEmbed(deps: Deps, frame: EmbedFrame, context: () => ViewContext): OpenFeed {
  return (push, fail, hasRoom) => {
    let shown = '';
    let isClosed = false;
    let isDrawing = false;
    let isOld = false;
    let lines: Lines | undefined;
    const isLog = frame.view.look === 'log';
    const isChart = frame.view.look === 'charts';

    async function refresh(): Promise<void> {
      const next = morph(`embed-${frame.id}`, await draw(deps, frame, context(), lines));
      if (isClosed || next === shown) return;
      shown = next;
      push(next);
    }

    /** One at a time: a slow disk is not asked again before it has answered. */
    function redraw(): void {
      if (isClosed) return;
      isOld = isDrawing;
      // The lines of a log come when they have been read: until then a page keeps those that it came with.
      if (isDrawing || (isLog && !lines && idsOf(deps, frame).length > 0)) return;
      isDrawing = true;
      refresh()
        .catch(fail)
        .finally(() => {
          isDrawing = false;
          if (isOld) throttle.ask();
        });
    }

    const throttle = createThrottle(redraw, isChart ? chartsMs : frameMs);
    const log = isLog ? followLines() : undefined;
    // The words of ages get old by themselves.
    const clock = setInterval(redraw, isChart ? chartsClockMs : clockMs);
    const stops = [
      deps.inventory.onChange(() => {
        log?.update();
        throttle.ask();
      }),
      deps.stats.onTick(() => throttle.ask()),
    ];

    function followLines() {
      let ids = idsOf(deps, frame);
      const follower = deps.mergedLogs.follow(
        ids,
        { tail: embedLines },
        guard(fail, (entries) => {
          const { entries: before = [], failures = new Map() } = lines ?? {};
          lines = { entries: [...before, ...entries].slice(-embedLines), failures };
          throttle.ask();
        }),
        guard(fail, ({ failures }) => {
          lines = { entries: lines?.entries ?? [], failures };
          throttle.ask();
        }),
        fail,
        hasRoom,
      );
      return {
        update() {
          const next = idsOf(deps, frame);
          if (next.join() !== ids.join()) follower.update(next, (id) => deps.inventory.container(id) !== undefined);
          ids = next;
        },
        close: () => follower.close(),
      };
    }

    return {
      ready: isLog ? Promise.resolve() : refresh(),
      snapshot: () => shown,
      close() {
        isClosed = true;
        clearInterval(clock);
        throttle.stop();
        for (const stop of stops) stop();
        log?.close();
      },
    };
  };
}
