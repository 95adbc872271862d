import { setTimeout as sleep } from 'node:timers/promises';
import { isProblem, Problem } from '../errors.ts';
import { createClaims } from './claims.ts';
import type { Database } from './database.ts';
import { createListeners } from './listeners.ts';
import { Cancelled, cutShort, type Outcome, toFailure, Unfinished } from './operation-outcomes.ts';
import { beginStep, endSteps, noteStep, toStep } from './operation-steps.ts';
import { createOperationStore, type OperationQuery } from './operation-store.ts';
import {
  type Details,
  isActive,
  type Operation,
  type OperationKind,
  type OperationState,
  type Step,
} from './operation-types.ts';
import { createRecentOperations } from './recent-operations.ts';

/** What is to be done: its kind and target as people know them, who wants it, and what nobody else may work on. */
export type Wanted = {
  kind: OperationKind;
  target: string;
  actor: string;
  /** Keys of all that it works on, such as `container:<id>`; two operations never share one. */
  claims: readonly string[];
  canCancel: boolean;
};

/** An operation as its own work sees it. */
export type Run = {
  id: number;
  /** Aborts when somebody cancels it, and when the program ends. */
  signal: AbortSignal;
  /** Aborts when the program ends. */
  closing: AbortSignal;
  /** Says which steps there will be. */
  plan(names: readonly string[]): void;
  /** Begins a step; the one before is done. */
  step(name: string, detail?: string): void;
  /** The name of the running step; empty where none runs. */
  current(): string;
  /** Says more about the running step. */
  note(detail: string): void;
  /** Ends the running step before the next one begins, and says how it went. */
  endStep(state: 'done' | 'failed', detail: string): void;
  report(changes: { progress?: number | null; message?: string; details?: Details }): void;
  /** From here on it can't be cancelled. */
  hold(): void;
  /**
   * Takes more that nobody else may work on.
   * @throws Problem `conflict` that names the operation which works on it
   */
  claim(claims: readonly string[]): void;
};

/** A refusal because an operation works on the same thing; it names that one. */
export class BusyProblem extends Problem {
  /** Who asked for that operation. */
  readonly actor: string;

  constructor(detail: string, actor: string) {
    super('conflict', detail);
    this.actor = actor;
  }
}

/** The work itself. What it throws is a failure; Unfinished leaves it for the next start. */
export type Work = (run: Run) => Promise<Outcome>;

/** Bounds; times in ms. */
export type OperationBounds = { running: number; waiting: number; saveMs: number; shownMs: number; closeMs: number };

const defaultBounds: OperationBounds = { running: 4, waiting: 100, saveMs: 1_000, shownMs: 15_000, closeMs: 1_500 };
const maxUnread = 20;
/** The id of an operation that is not kept yet. */
const unkept = 0;

type Log = { info(details: object, message: string): void; warn(details: object, message: string): void };

/** An operation that goes on, and what is known of it beside what people see. */
type Item = {
  operation: Operation;
  work: Work;
  cancel: AbortController;
  /** The failure of an earlier try that somebody has read: told again, it is no news. */
  readError: string | null;
  saving: Promise<unknown>;
  timer: NodeJS.Timeout | undefined;
  done: Promise<void>;
};

/** All long work, running and past. */
export type Operations = Awaited<ReturnType<typeof createOperations>>;

/**
 * Opens the operations: work that takes longer than a click, as rows that people can watch, leave, and come back to.
 * It goes on whoever looks. At most four run at once, others wait in their order; two that work on the same thing never
 * do. Those that were running when the program ended are `interrupted`, but for those in `unfinishedClaims`, by their
 * ids: they hold what they work on until `resume` takes them up.
 */
export async function createOperations(
  { db }: Pick<Database, 'db'>,
  log: Log,
  unfinishedClaims: ReadonlyMap<number, readonly string[]> = new Map(),
  wantedBounds: Partial<OperationBounds> = {},
) {
  const bounds = { ...defaultBounds, ...wantedBounds };
  const store = createOperationStore(db);
  const claims = createClaims<Item>();
  const active = new Map<number, Item>();
  /** Those of which something is left that has to be taken up again. */
  const unfinished = new Map<number, Item>();
  const waiting: Item[] = [];
  const changes = createListeners<Operation>(log, 'the operations');
  const claimChanges = createListeners(log, 'the claims');
  const closing = new AbortController();
  let running = 0;
  let isClosed = false;
  let closed: Promise<void> | undefined;

  await interruptLost();
  await keepUnfinished();
  const recent = createRecentOperations((await store.unseen(maxUnread)).reverse(), bounds.shownMs, (operation) => {
    if (!isClosed) changes.tell(operation);
  });

  async function interruptLost() {
    const lost = await store.list({ states: ['queued', 'running'], limit: 10_000 });
    for (const operation of lost.filter(({ id }) => !unfinishedClaims.has(id))) {
      const error = cutShort(operation.state === 'running');
      const steps = begunSteps(endSteps(operation.steps, 'failed'));
      await store.update({ ...operation, ...ended('interrupted'), steps, message: error, error, isSeen: false });
    }
  }

  async function keepUnfinished() {
    for (const [id, keys] of unfinishedClaims) {
      const operation = await store.find(id);
      if (!operation) continue;
      const item = toItem({ ...operation, isUnfinished: true }, leftAlone);
      claims.take(item, keys);
      unfinished.set(id, item);
    }
  }

  // ── keeping ──

  /** Keeps an operation; what comes while one write is under way is kept after it. */
  function save(item: Item): Promise<unknown> {
    clearTimeout(item.timer);
    item.timer = undefined;
    item.saving = item.saving
      .then(() => (isClosed ? undefined : store.update(item.operation)))
      .catch((err: unknown) => log.warn({ err, operation: item.operation.id }, 'an operation could not be kept'));
    return item.saving;
  }

  function change(item: Item, different: Partial<Operation>, isStep = false) {
    item.operation = { ...item.operation, ...different };
    if (isStep) void save(item);
    else item.timer ??= setTimeout(() => void save(item), bounds.saveMs).unref();
    changes.tell(item.operation);
  }

  // ── starting ──

  /** @throws Problem `conflict` that names the operation which holds one of these keys */
  function requireFree(keys: readonly string[], asking?: Item) {
    const holder = claims.holder(keys, asking);
    if (holder) throw conflict(holder.operation);
  }

  /** @throws Problem `conflict` also where something short is done to it */
  function requireAlone(keys: readonly string[], asking?: Item) {
    requireFree(keys, asking);
    if (claims.isVisited(keys))
      throw new Problem('conflict', 'Something is being done to it at this moment. Try again when that has ended.');
  }

  async function start(wanted: Wanted, work: Work): Promise<Operation> {
    if (closing.signal.aborted) throw new Problem('conflict', 'Fairlead is ending: nothing new is started.');
    requireAlone(wanted.claims);
    if (waiting.length >= bounds.waiting) {
      throw new Problem('rate_limited', `${bounds.waiting} operations wait already. Try again when some have ended.`);
    }
    const item = toItem(toNew(wanted, running < bounds.running ? 'running' : 'queued'), work);
    claims.take(item, wanted.claims);
    try {
      item.operation = { ...item.operation, id: await store.insert(item.operation) };
    } catch (error) {
      claims.release(item);
      throw error;
    }
    admit(item);
    claimChanges.tell();
    return item.operation;
  }

  function admit(item: Item) {
    active.set(item.operation.id, item);
    waiting.push(item);
    admitNext();
    changes.tell(item.operation);
  }

  function takeMore(item: Item, keys: readonly string[]) {
    requireAlone(keys, item);
    claims.take(item, keys);
    claimChanges.tell();
  }

  function admitNext() {
    while (running < bounds.running && waiting.length > 0) {
      const next = waiting.shift();
      if (next) next.done = execute(next);
    }
  }

  async function execute(item: Item) {
    running++;
    change(item, { state: 'running', startedAt: item.operation.startedAt ?? Date.now() }, true);
    const run = toRun(item);
    try {
      finish(item, await item.work(run));
    } catch (error) {
      // What was aborted may say so in many ways; why it was is known here.
      const reason = run.signal.aborted && !isProblem(error) ? run.signal.reason : error;
      if (reason instanceof Unfinished) leave(item);
      else fail(item, reason);
    } finally {
      running--;
      admitNext();
    }
  }

  function toRun(item: Item): Run {
    const steps = () => item.operation.steps;
    return {
      id: item.operation.id,
      signal: AbortSignal.any([item.cancel.signal, closing.signal]),
      closing: closing.signal,
      plan: (names) => change(item, { steps: names.map(toStep) }, true),
      step: (name, detail = '') => change(item, { steps: beginStep(steps(), name, detail), message: name }, true),
      current: () => steps().find((step) => step.state === 'running')?.name ?? '',
      note: (detail) => change(item, { steps: noteStep(steps(), detail) }),
      endStep: (state, detail) => change(item, { steps: endSteps(steps(), state, detail) }, true),
      report: ({ details, ...different }) =>
        change(item, { ...different, ...(details && { details: { ...item.operation.details, ...details } }) }),
      hold: () => change(item, { canCancel: false }),
      claim: (claims) => takeMore(item, claims),
    };
  }

  // ── ending ──

  function finish(item: Item, { message, state = 'succeeded', error, details, isUnfinished = false }: Outcome) {
    const isDone = state === 'succeeded';
    const { details: told, ...failure } = isDone ? { details: {}, error: null } : toFailure(error);
    const isOldNews = isUnfinished && failure.error !== null && failure.error === item.readError;
    const different = {
      ...ended(state),
      ...failure,
      ...(isDone && { progress: 1 }),
      message,
      steps: endSteps(item.operation.steps, state === 'failed' ? 'failed' : 'done'),
      details: { ...item.operation.details, ...details, ...told },
      isSeen: isDone || failure.error === null || isOldNews,
    };
    end(item, different, isUnfinished);
  }

  function fail(item: Item, error: unknown) {
    const { details, ...failure } = toFailure(error, item.operation.startedAt !== null);
    const isUnforeseen = failure.errorCode === 'internal';
    if (isUnforeseen) log.warn({ err: error, operation: item.operation.id }, 'an operation failed, nobody foresaw why');
    end(item, {
      ...ended(failure.errorCode === null ? 'interrupted' : 'failed'),
      ...failure,
      message: failure.error ?? 'Cancelled.',
      steps: endSteps(item.operation.steps, 'failed'),
      details: { ...item.operation.details, ...details },
      isSeen: failure.error === null,
    });
  }

  function end(item: Item, different: Partial<Operation>, isUnfinished = false) {
    item.operation = { ...item.operation, ...different, canCancel: false, isUnfinished };
    item.operation.steps = begunSteps(item.operation.steps);
    active.delete(item.operation.id);
    if (isUnfinished) unfinished.set(item.operation.id, item);
    else claims.release(item);
    void save(item).then(() => (isClosed ? undefined : store.prune().catch(() => {})));
    if (!item.operation.isSeen || !isUnfinished) recent.show(item.operation);
    log.info({ operation: item.operation.id, state: item.operation.state }, 'an operation ended');
    claimChanges.tell();
    changes.tell(item.operation);
  }

  /** What the program's end cut short stays as it is in the database, where the next start finds it. */
  function leave(item: Item) {
    active.delete(item.operation.id);
    unfinished.set(item.operation.id, item);
    void save(item);
  }

  /** As it is now, which may not be kept yet. */
  const known = (id: number) => (active.get(id) ?? unfinished.get(id))?.operation ?? recent.find(id);

  /** Those that go on: what has to be taken up again does, unless it ended in the meantime. */
  const goingOn = () => [...unfinished.values(), ...active.values()].map(({ operation }) => operation).filter(isActive);

  async function refusalToCancel(id: number): Promise<Problem> {
    if (!(known(id) ?? (await store.find(id)))) return new Problem('not_found', `Operation ${id} not found`);
    const words = unfinished.has(id)
      ? 'waits for the engine, to be finished or undone: it can no longer be cancelled.'
      : 'has ended already.';
    return new Problem('conflict', `Operation ${id} ${words}`);
  }

  async function refusalToAbandon(id: number): Promise<Problem> {
    const operation = known(id) ?? (await store.find(id));
    if (!operation) return new Problem('not_found', `Operation ${id} not found`);
    const words = isActive(operation)
      ? 'goes on: it can be given up when that failed.'
      : 'has nothing left to be done.';
    return new Problem('conflict', `Operation ${id} ${words}`);
  }

  async function closeOnce() {
    closing.abort(new Unfinished());
    for (const item of waiting.splice(0)) {
      if (item.operation.startedAt === null) fail(item, new Unfinished());
      else leave(item);
    }
    const items = [...active.values()];
    const patience = new AbortController();
    const bound = sleep(bounds.closeMs, undefined, { signal: patience.signal }).catch(() => {});
    await Promise.race([Promise.all(items.map(({ done }) => done)), bound]);
    patience.abort();
    await Promise.all(items.map(save));
    isClosed = true;
    changes.clear();
    claimChanges.clear();
  }

  return {
    /**
     * Starts an operation, or lets it wait for its turn; it is there when this resolves.
     * @throws Problem `conflict` that names the operation which works on the same thing, `rate_limited` where too many wait
     */
    start,

    /** Takes up an operation of which something is left; it can't be cancelled. One that goes on is left alone. */
    resume(id: number, work: Work): void {
      const item = unfinished.get(id);
      if (!item || closing.signal.aborted) return;
      unfinished.delete(id);
      recent.forget(id);
      const { isSeen, error } = item.operation;
      Object.assign(item, toItem({ ...item.operation, ...reopened }, work), { readError: isSeen ? error : null });
      admit(item);
      claimChanges.tell();
    },

    /**
     * Cancels an operation that runs or waits.
     * @throws Problem `not_found`, or `conflict` where it has ended or is past the point of no return
     */
    async cancel(id: number): Promise<Operation> {
      const item = active.get(id);
      if (!item) throw await refusalToCancel(id);
      if (!item.operation.canCancel) throw new Problem('conflict', `Operation ${id} can't be cancelled any more.`);
      item.cancel.abort(new Cancelled());
      const place = waiting.indexOf(item);
      if (place >= 0) {
        waiting.splice(place, 1);
        fail(item, new Cancelled());
      } else change(item, { canCancel: false, message: 'Being cancelled.' });
      return item.operation;
    },

    /** Takes note that somebody has read how it ended; pages no longer show it by themselves. */
    async dismiss(id: number): Promise<void> {
      const operation = known(id) ?? (await store.find(id));
      if (!operation) throw new Problem('not_found', `Operation ${id} not found`);
      if (isActive(operation)) throw new Problem('conflict', `Operation ${id} still runs.`);
      const read = { ...operation, isSeen: true };
      const item = unfinished.get(id);
      if (item) item.operation = read;
      await store.update(read);
      recent.hide(id);
    },

    /**
     * Gives up what has to be taken up again, once that is forgotten, and lets go of what it holds.
     * @throws Problem `not_found`, or `conflict` where nothing is left of it, or where it goes on
     */
    async abandon(id: number, forget: () => Promise<unknown>): Promise<Operation> {
      const item = unfinished.get(id);
      if (!item || isActive(item.operation)) throw await refusalToAbandon(id);
      unfinished.delete(id);
      try {
        await forget();
      } catch (error) {
        unfinished.set(id, item);
        throw error;
      }
      claims.release(item);
      item.operation = { ...item.operation, message: givenUp, isUnfinished: false };
      void save(item);
      recent.refresh(item.operation);
      changes.tell(item.operation);
      claimChanges.tell();
      return item.operation;
    },

    /** An operation, running or past. */
    find: async (id: number): Promise<Operation | undefined> => known(id) ?? store.find(id),

    /** Operations, running and past, the newest first. */
    async list(query: OperationQuery): Promise<Operation[]> {
      const stored = await store.list(query);
      return stored.map((operation) => known(operation.id) ?? operation);
    },

    /** Those that run or wait. */
    active: goingOn,

    /** What every page shows: those that run or wait, failures that nobody has read, what has just succeeded. */
    current: (): Operation[] =>
      [...new Map([...recent.all(), ...goingOn()].map((operation) => [operation.id, operation])).values()].sort(
        (a, b) => b.id - a.id,
      ),

    /** The operation that holds a claim; it may have ended, and have to be taken up again. */
    holder(claim: string): Operation | undefined {
      const operation = claims.holder([claim])?.operation;
      return operation?.id === unkept ? undefined : operation;
    },

    /**
     * Does something short to what these claims stand for: no operation on it begins before that has ended.
     * @throws Problem `conflict` that names the operation which works on it
     */
    async visit<T>(keys: readonly string[], task: () => Promise<T>): Promise<T> {
      requireFree(keys);
      const leave = claims.visit(keys);
      try {
        return await task();
      } finally {
        leave();
      }
    },

    /** Calls back with each operation that became different; returns how to stop that. */
    onChange: changes.add,

    /** Calls back when something began or ceased to be worked on; returns how to stop that. */
    onClaims: claimChanges.add,

    /** Ends all work that can be ended, and waits for it, 1.5 s at most. Further calls wait for the first. */
    close(): Promise<void> {
      closed ??= closeOnce();
      return closed;
    },
  };
}

function toItem(operation: Operation, work: Work): Item {
  const done = Promise.resolve();
  return { operation, work, cancel: new AbortController(), readError: null, saving: done, timer: undefined, done };
}

const givenUp = 'It was given up: what it left stays as it is.';

/** The work of what waits to be taken up. */
const leftAlone: Work = () => Promise.reject(new Unfinished());

function conflict({ id, kind, target, state, actor }: Operation): Problem {
  if (id === unkept) return new Problem('conflict', 'Another operation on it is just being started.');
  const what = `${kind.replaceAll('_', ' ')} ${target}`;
  const words = isActive({ state }) ? `works on it already: ${what}` : `still has to be finished or undone: ${what}`;
  return new BusyProblem(`Operation ${id} ${words}.`, actor);
}

function toNew({ kind, target, actor, canCancel }: Wanted, state: OperationState): Operation {
  return {
    id: unkept,
    kind,
    target,
    actor,
    state,
    progress: null,
    message: '',
    error: null,
    errorCode: null,
    steps: [],
    details: {},
    canCancel,
    isUnfinished: false,
    isSeen: true,
    queuedAt: Date.now(),
    startedAt: null,
    finishedAt: null,
  };
}

const reopened = {
  state: 'running',
  finishedAt: null,
  error: null,
  errorCode: null,
  isSeen: true,
  canCancel: false,
  isUnfinished: false,
} as const;

const ended = (state: OperationState) => ({ state, finishedAt: Date.now() }) as const;

/** What was planned and never begun says nothing any more. */
const begunSteps = (steps: readonly Step[]): Step[] => steps.filter((step) => step.state !== 'waiting');
