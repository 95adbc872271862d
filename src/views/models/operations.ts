import {
  isActive,
  isFailed,
  type Operation,
  type OperationKind,
  type OperationState,
  operationStates,
  type Step,
} from '../../services/operation-types.ts';
import type { Layer } from '../../services/pull-progress.ts';
import { maskText, toText } from '../../services/secrets.ts';
import { bytes, dateTime, duration, iso, rate } from '../format.ts';
import type { FilterModel } from './containers.ts';
import { type Shared, toHref, toShared, type ViewContext } from './context.ts';

/** How an operation's state is shown: a shape, a tone and a word. */
export type OperationLook = { icon: string; isGlyph: boolean; tone: string; word: string };

/** The data of `fragments/operation/card`, `…/notice` and of a row in the list. */
export type OperationModel = Shared & {
  operation: {
    id: number;
    kind: string;
    state: OperationState;
    isActive: boolean;
    isFailed: boolean;
    title: string;
    look: OperationLook;
    href: string;
    /** Where what it works on is shown; null where nothing is. */
    target: { text: string; href: string | null };
    actor: string;
    /** `#12, 127.0.0.1, 11 s`. */
    meta: string;
    started: { text: string; iso: string; ago: string };
    took: string;
    /** 0 to 100; null where nobody can tell. */
    progress: number | null;
    message: string;
    error: string;
    engineMessage: string;
    figures: string;
    steps: { name: string; detail: string; state: Step['state']; took: string }[];
    layers: { id: string; word: string; value: number; isDone: boolean; figures: string }[];
    results: { name: string; ok: boolean; detail: string; lastLines: string[] }[];
    /** Whether each step has a result that says the same and more. */
    hasResultOfEachStep: boolean;
    lastLines: string[];
    cancelHref: string | null;
    /** Where it is given up, should it stay unfinished. */
    abandonHref: string | null;
    dismissHref: string | null;
    /** The socket that keeps it true where it stands in a page that has none. */
    liveHref: string;
  };
};

/** The data of `pages/operations` and of `fragments/operations/list`. */
export type OperationListModel = Shared & {
  list: { rows: OperationModel[]; isEmpty: boolean; isFiltered: boolean; olderHref: string | null; clearHref: string };
  filters: FilterModel[];
};

/** The data of `fragments/operations/now` and `…/badge`. */
export type OperationsNowModel = Shared & {
  now: { operations: OperationModel[]; more: number; href: string };
  badge: { running: number; failed: number };
};

/** At most so many are told on every page. */
const maxNow = 4;

/** So many a page of the list has where nobody says otherwise. */
export const defaultListLimit = 100;

const titles: Record<OperationKind, readonly [active: string, over: string]> = {
  pull: ['Pulling', 'Pull of'],
  update_check: ['Checking for updates of', 'Check for updates of'],
  image_prune: ['Removing', 'Removal of'],
  rebuild: ['Rebuilding', 'Rebuild of'],
  project_start: ['Starting all of', 'Start of all of'],
  project_stop: ['Stopping all of', 'Stop of all of'],
  project_restart: ['Restarting all of', 'Restart of all of'],
  project_rebuild: ['Rebuilding all of', 'Rebuild of all of'],
};

const looks: Record<OperationState, OperationLook> = {
  queued: { icon: 's-created', isGlyph: true, tone: 'tone-off', word: 'waiting' },
  running: { icon: '', isGlyph: false, tone: '', word: 'running' },
  succeeded: { icon: 'i-check', isGlyph: false, tone: 'tone-ok', word: 'done' },
  failed: { icon: 's-failed', isGlyph: true, tone: 'tone-bad', word: 'failed' },
  rolled_back: { icon: 's-failed', isGlyph: true, tone: 'tone-bad', word: 'failed and undone' },
  interrupted: { icon: 's-paused', isGlyph: true, tone: 'tone-warn', word: 'interrupted' },
};

/** What a person needs to be allowed so that a piece of work of this kind is theirs to end. */
export const capabilityOfKind: Record<OperationKind, 'control' | 'images' | 'rebuild'> = {
  pull: 'images',
  update_check: 'images',
  image_prune: 'images',
  rebuild: 'rebuild',
  project_start: 'control',
  project_stop: 'control',
  project_restart: 'control',
  project_rebuild: 'rebuild',
};

/** The verb that stands on what an operation works on. */
export const busyWords: Record<OperationKind, string> = {
  pull: 'pulling…',
  update_check: 'checking…',
  image_prune: 'removing…',
  rebuild: 'rebuilding…',
  project_start: 'starting…',
  project_stop: 'stopping…',
  project_restart: 'restarting…',
  project_rebuild: 'rebuilding…',
};

/** One operation as pages show it. */
export function operationModel(operation: Operation, context: ViewContext): OperationModel {
  const { base, now, can } = context;
  const { kind, state, target, actor, details } = operation;
  const href = `${base}/operations/${operation.id}`;
  const began = operation.startedAt ?? operation.queuedAt;
  const took = duration((operation.finishedAt ?? now) - began);
  const active = isActive(operation);
  const failed = isFailed(operation) && operation.error !== null;
  const resultNames = new Set(details.results?.map(({ name }) => name));
  return {
    ...toShared(context),
    operation: {
      id: operation.id,
      kind,
      state,
      isActive: active,
      isFailed: failed,
      title: `${titles[kind][active ? 0 : 1]} ${target}`,
      look: looks[state],
      href,
      target: { text: target, href: targetHref(operation, base) },
      actor,
      meta: [`#${operation.id}`, actor, active ? took : `${duration(now - (operation.finishedAt ?? began))} ago`].join(
        ', ',
      ),
      started: { text: dateTime(began), iso: iso(began), ago: `${duration(now - began)} ago` },
      took,
      progress: operation.progress === null ? null : Math.round(operation.progress * 100),
      message: shown(operation.message === operation.error ? '' : operation.message),
      error: shown(operation.error ?? ''),
      engineMessage: shown(details.engineMessage ?? ''),
      figures: figuresOf(operation),
      steps: operation.steps.map((step) => toStep(step, now)),
      layers: (details.layers ?? []).map(toLayer),
      results: (details.results ?? []).map(({ name, ok, detail, lastLines = [] }) => ({
        name,
        ok,
        detail: shown(detail),
        lastLines,
      })),
      hasResultOfEachStep: !active && operation.steps.every(({ name }) => resultNames.has(name)),
      lastLines: details.lastLines ?? [],
      cancelHref: operation.canCancel && can[capabilityOfKind[kind]] ? `${href}/cancel` : null,
      liveHref: `${base}/live?topic=operation:${operation.id}`,
      abandonHref: operation.isUnfinished && !active && can.rebuild ? `${href}/abandon` : null,
      dismissHref: !active && !operation.isSeen && can.control ? `${href}/dismiss` : null,
    },
  };
}

/** What engines and registries say can hold what should not be seen. */
const shown = (text: string) => toText(maskText(text));

function targetHref({ kind, target, state }: Operation, base: string): string | null {
  if (kind === 'rebuild') return `${base}/containers/${encodeURIComponent(target)}`;
  if (kind === 'pull') return state === 'succeeded' ? `${base}/images/${encodeURIComponent(target)}` : `${base}/images`;
  if (kind === 'update_check' || kind === 'image_prune') return `${base}/images`;
  return `${base}/projects/${encodeURIComponent(target)}`;
}

/** `142 of 231 MB, 18 MB/s, 5 s left`. */
function figuresOf({ state, details }: Operation): string {
  const { bytes: loaded, layers = [], freedBytes } = details;
  if (freedBytes) return `${bytes(freedBytes)} freed`;
  if (!loaded || loaded.total === 0) return '';
  if (state !== 'running') return bytes(loaded.current);
  // A rebuild goes on when its pull is over.
  if (layers.every(isLayerDone)) return '';
  const left = loaded.perSecond > 0 ? (loaded.total - loaded.current) / loaded.perSecond : 0;
  return [
    `${bytes(loaded.current)} of ${bytes(loaded.total)}`,
    loaded.current < loaded.total ? rate(loaded.perSecond) : '',
    left >= 1 ? `${duration(left * 1_000)} left` : '',
  ]
    .filter(Boolean)
    .join(', ');
}

function toStep({ name, detail, state, startedAt, finishedAt }: Step, now: number) {
  const took = startedAt === null ? '' : `${(((finishedAt ?? now) - startedAt) / 1_000).toFixed(1)} s`;
  return { name, detail: shown(detail), state, took };
}

const layerWords: Record<Layer['state'], string> = {
  waiting: 'waiting',
  downloading: 'downloading',
  downloaded: 'downloaded',
  extracting: 'extracting',
  done: 'complete',
  present: 'here already',
};

const isLayerDone = ({ state }: Pick<Layer, 'state'>) => state === 'done' || state === 'present';

function toLayer({ id, state, current, total }: Layer) {
  const isDone = isLayerDone({ state });
  const share = total ? Math.min(1, (current ?? 0) / total) : 0;
  const isPartial = (state === 'downloading' || state === 'extracting') && total !== null;
  const figures = isPartial ? `${bytes(current ?? 0)} of ${bytes(total)}` : total ? bytes(total) : '–';
  return { id, word: layerWords[state], value: isDone ? 100 : Math.round(share * 100), isDone, figures };
}

// ── lists ──

/** What every page shows of operations: those that run, failures that nobody has read, what has just succeeded. */
export function operationsNowModel(
  current: readonly Operation[],
  context: ViewContext,
  without?: number,
): OperationsNowModel {
  // Who can't say that a failure was read would be shown it for ever: it is in the list.
  const shown = context.can.control ? current : current.filter((operation) => isActive(operation) || operation.isSeen);
  // What runs can't be passed over by failures that nobody has read.
  const told = shown
    .filter(({ id }) => id !== without)
    .sort((one, other) => Number(isActive(other)) - Number(isActive(one)));
  return {
    ...toShared(context),
    now: {
      operations: told.slice(0, maxNow).map((operation) => operationModel(operation, context)),
      more: Math.max(0, told.length - maxNow),
      href: `${context.base}/operations`,
    },
    badge: {
      running: current.filter(isActive).length,
      failed: shown.filter((operation) => isFailed(operation) && !operation.isSeen).length,
    },
  };
}

/** How the list of operations is narrowed; `before` is the id that the page before ended with. */
export type OperationListQuery = { state: string; before?: number | undefined; limit: number };

/** The parameters of a list of operations, as addresses carry them. */
export function operationListParameters({ state, before, limit }: OperationListQuery): Record<string, string> {
  return {
    state,
    ...(before !== undefined && { before: String(before) }),
    ...(limit !== defaultListLimit && { limit: String(limit) }),
  };
}

/** What a filter stands for: those that run, those that failed in any way, or one state; nothing is all. */
export function statesOf(filter: string): OperationState[] {
  if (filter === 'active') return ['queued', 'running'];
  if (filter === 'unsuccessful') return ['failed', 'rolled_back', 'interrupted'];
  return operationStates.filter((state) => state === filter);
}

/** The list of operations; `hasMore` where there are older ones. */
export function operationListModel(
  operations: readonly Operation[],
  query: OperationListQuery,
  hasMore: boolean,
  context: ViewContext,
): OperationListModel {
  const path = `${context.base}/operations`;
  const last = operations.at(-1);
  const filters = [
    { label: 'All', state: '' },
    { label: 'Running', state: 'active' },
    { label: 'Done', state: 'succeeded' },
    { label: 'Failed', state: 'unsuccessful' },
  ];
  return {
    ...toShared(context),
    list: {
      rows: operations.map((operation) => operationModel(operation, context)),
      isEmpty: operations.length === 0,
      isFiltered: query.state !== '' || query.before !== undefined,
      olderHref: hasMore && last ? toHref(path, operationListParameters({ ...query, before: last.id })) : null,
      clearHref: path,
    },
    filters: filters.map(({ label, state }) => ({
      href: toHref(path, { state }),
      label,
      count: '',
      current: query.state === state,
      glyph: '',
      symbol: '',
    })),
  };
}
