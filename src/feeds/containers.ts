import type { Deps } from '../deps.ts';
import { containerClaim, projectClaim } from '../services/claims.ts';
import { type ListQuery, selectContainers } from '../services/container-list.ts';
import type { Container } from '../services/containers.ts';
import type { OpenFeed } from '../services/live.ts';
import { isActive } from '../services/operation-types.ts';
import { duration } from '../views/format.ts';
import {
  type BusyModel,
  type GroupModel,
  type ListModel,
  listModel,
  type RowModel,
  type RowWork,
} from '../views/models/containers.ts';
import type { ViewContext } from '../views/models/context.ts';
import { busyWords } from '../views/models/operations.ts';
import { stateAge } from '../views/models/states.ts';
import { morph } from './frames.ts';
import { diffLists, type GroupView, type ListView, type RowView } from './list-diff.ts';
import { createThrottle, guard } from './ticker.ts';

/**
 * What a list shows, how the addresses in it are made, and what the page has of it around it: a summary and filters, the
 * actions on a project, or nothing. A frame must not name what is not there.
 */
export type ListAudience = { query: ListQuery; host: string; around: 'list' | 'project' | 'nothing' };

const frameMs = 50;
const clockMs = 1_000;
/** Rows a second that are sent for their figures or age alone: each costs a browser a millisecond. */
const rowsPerSecond = 25;
const mostTurns = 15;
const cells = ['state', 'cpu', 'memory', 'age'] as const;

/** The model of a list of containers as it is now: for the page, the fragment, and each frame. */
export function containerListModel(deps: Deps, query: ListQuery, context: ViewContext): ListModel {
  const { inventory, rowFigures } = deps;
  const selection = selectContainers(inventory.containers(), query, rowFigures);
  const groups = selection.groups.map(({ containers, ...group }) => ({
    ...group,
    busy: group.project === null ? null : busyWith(deps, projectClaim(group.project), context.base),
    rows: containers.map((container) => toRow(deps, container, context.base)),
  }));
  const counts = { ...selection.counts, shown: selection.shown, groups: groups.length };
  const engineKnown = inventory.engine().version !== '';
  return listModel({ groups, query, counts, projects: selection.projects, engineKnown }, context);
}

/** A container as a row of a list shows it. */
export function toRow(deps: Deps, container: Container, base: string) {
  return { container, figures: deps.rowFigures(container.id), work: workOf(deps, container, base) };
}

/** What is being done to a container, and whether there is a newer image for it. */
export function workOf({ operations, updates }: Deps, container: Container, base: string): RowWork {
  return {
    busy: busyWith({ operations }, containerClaim(container.id), base),
    hasUpdate: updates.ofContainer(container).state === 'newer',
    reference: updates.referenceOf(container) || null,
  };
}

/** The operation that works on something, as a row shows it. */
export function busyWith({ operations }: Pick<Deps, 'operations'>, claim: string, base: string): BusyModel | null {
  const holder = operations.holder(claim);
  if (!holder) return null;
  return { word: isActive(holder) ? busyWords[holder.kind] : 'unfinished', href: `${base}/operations/${holder.id}` };
}

/**
 * Opens the feed of a list with its own query: it keeps that view true, row by row. Rows are rendered once for all
 * lists with the same host name whose viewers may do the same, and only where something in them changed.
 */
export function openContainerList(
  deps: Deps,
  rowCaches: RowCaches,
  audience: ListAudience,
  context: () => ViewContext,
): OpenFeed {
  return (push, fail) => {
    const { rows, release } = rowCaches.take(JSON.stringify([audience.host, context().can]));
    let shown = build();
    const draw = guard(fail, update);
    const throttle = createThrottle(draw, frameMs);
    const stops = [
      deps.inventory.onChange((change) => {
        if (change.changed.size || change.removed.size || change.engine) throttle.ask();
      }),
      deps.stats.onTick(() => throttle.ask()),
      deps.operations.onClaims(() => throttle.ask()),
      deps.updates.onChange(() => throttle.ask()),
    ];
    // The words of ages get old by themselves.
    const clock = setInterval(draw, clockMs);

    function build() {
      const model = containerListModel(deps, audience.query, context());
      return { list: toListView(deps, rows, model), around: arounds[audience.around](deps, model), model };
    }

    function update() {
      const next = build();
      const around = next.around.filter((part, index) => part !== shown.around[index]);
      const frame = diffLists(shown.list, next.list) + around.join('');
      shown = next;
      push(frame);
    }

    return {
      snapshot() {
        update();
        return morph('containers', deps.render('fragments/containers/list', shown.model)) + shown.around.join('');
      },
      close() {
        clearInterval(clock);
        throttle.stop();
        for (const stop of stops) stop();
        release();
      },
    };
  };
}

/** What stands around a list, as frames. */
const arounds: Record<ListAudience['around'], (deps: Deps, model: ListModel) => string[]> = {
  list: ({ render }, model) => [
    morph('containers-summary', render('fragments/containers/summary', model)),
    morph('containers-filters', render('fragments/containers/filters', model)),
    morph('containers-projects', render('fragments/containers/projects', model)),
  ],
  project: ({ render }, { list: { groups } }) =>
    groups.map((group) => morph('project-actions', render('fragments/containers/project-actions', group))),
  nothing: () => [],
};

function toListView(deps: Deps, rows: RowViews, model: ListModel): ListView {
  return {
    id: 'containers',
    groups: model.list.groups.map((group) => toGroupView(deps, rows, group)),
    html: () => deps.render('fragments/containers/list', model),
  };
}

function toGroupView(deps: Deps, rows: RowViews, model: GroupModel): GroupView {
  const id = `project-${model.group.slug}`;
  return {
    id,
    headId: `${id}-head`,
    headHtml: deps.render('fragments/containers/group-head', model),
    rows: model.group.rows.flatMap((row) => rows(row) ?? []),
    html: () => deps.render('fragments/containers/group', model),
  };
}

/** The rows as they are on pages; the same object as long as nothing in a row changed. */
export type RowViews = (model: RowModel) => RowView | undefined;

/** The rows of each audience: a host name that somebody comes under, and what they may do. */
export type RowCaches = ReturnType<typeof createRowCaches>;

/** Creates the caches of rows: one an audience, kept from the first of its feeds to the last. */
export function createRowCaches(deps: Deps) {
  const caches = new Map<string, RowCache & { users: number }>();
  return {
    /** The rows of an audience, and how to let go of them: to be called once. */
    take(audience: string): { rows: RowViews; release: () => void } {
      const cache = caches.get(audience) ?? { ...createRowViews(deps), users: 0 };
      caches.set(audience, cache);
      cache.users++;
      return {
        rows: cache.rows,
        release() {
          if (--cache.users > 0) return;
          caches.delete(audience);
          cache.close();
        },
      };
    },

    /** How many audiences have rows now. */
    size: () => caches.size,
  };
}

type Known = { container: unknown; figures: unknown; words: string; work: string; view: RowView };

type RowCache = { rows: RowViews; close: () => void };

/** Creates the rows for everybody who reaches this server under the same host name and may do the same. */
function createRowViews(deps: Deps): RowCache {
  const known = new Map<string, Known>();
  const close = deps.inventory.onChange((change) => {
    for (const id of change.removed) known.delete(id);
  });

  const rows: RowViews = (model) => {
    const { id } = model.row;
    const container = deps.inventory.container(id);
    if (!container) return undefined;
    const figures = deps.rowFigures(id);
    const now = Date.now();
    const words = `${stateAge(container, now)} ${duration(now - container.createdAt)}`;
    const work = `${model.row.busy?.word} ${model.row.busy?.href} ${model.row.updateHref} ${model.row.image.title}`;
    const before = known.get(id);
    if (before && before.container === container && before.work === work) {
      const isSame = before.figures === figures && before.words === words;
      const isFirst = !before.figures !== !figures;
      if (isSame || !(isFirst || isTurn(id, known.size, now))) return before.view;
    }
    // Equal only as long as nothing but figures and ages is different.
    const core = before?.container === container && before.work === work ? before.view.core : {};
    const view = toRowView(deps, model, core);
    known.set(id, { container, figures, words, work, view });
    return view;
  };

  return { rows, close };
}

/** Whether a row may take new figures or grow older now. Of 200 new rows all would each second, so they take turns. */
function isTurn(id: string, rows: number, now: number): boolean {
  const turns = Math.min(Math.ceil(rows / rowsPerSecond), mostTurns);
  return Number.parseInt(id.slice(-4), 16) % turns === Math.floor(now / clockMs) % turns;
}

function toRowView(deps: Deps, model: RowModel, core: unknown): RowView {
  const { id } = model.row;
  return {
    id: `container-${id}`,
    html: deps.render('fragments/containers/row', model),
    core,
    cells: cells.map((cell) => ({ id: `${cell}-${id}`, html: deps.render(`fragments/containers/${cell}`, model) })),
  };
}
