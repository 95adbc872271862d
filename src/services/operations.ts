import { setTimeout as sleep } from 'node:timers/promises';
import { isProblem, Problem } from '../errors.ts';
import type { Database } from './database.ts';
import { beginStep, endSteps, noteStep, toStep } from './operation-steps.ts';
import { createOperationStore, type OperationQuery } from './operation-store.ts';
import { type Details, isActive, type Operation, type OperationKind } from './operation-types.ts';

/** What is to be done: its kind and target as people know them, who wants it, and what nobody else may work on. */
export type Wanted = {
  kind: OperationKind;
  target: string;
  actor: string;
  /** Keys of all that it works on, such as `container:<id>`; two operations never share one. */
  claims: readonly string[];
  canCancel: boolean;
};

/** How an operation ended, where it did not throw. */
export type Outcome = {
  message: string;
  state?: 'succeeded' | 'failed' | 'rolled_back' | 'interrupted';
  error?: unknown;
  details?: Details;
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
  /** Ends the running step as the one that failed, where the work goes on to undo what was done. */
  failStep(detail: string): void;
  report(changes: { progress?: number | null; message?: string; details?: Details }): void;
  /** From here on it can't be cancelled. */
  hold(): void;
  /**
   * Takes more that nobody else may work on.
   * @throws Problem `conflict` that names the operation which works on it
   */
  claim(claims: readonly string[]): void;
};

/** The work itself. What it throws is a failure; Unfinished leaves it for the next start. */
export type Work = (run: Run) => Promise<Outcome>;

/** Thrown by work that the program's end cut short, and that the next start takes up again. */
export class Unfinished extends Error {
  override name = 'Unfinished';
}

/** Why a run's signal aborted, where somebody cancelled it. */
export class Cancelled extends Error {
  override name = 'Cancelled';
}

/** Bounds; times in ms. */
export type OperationBounds = { running: number; waiting: number; saveMs: number; shownMs: number; closeMs: number };

const defaultBounds: OperationBounds = { running: 4, waiting: 100, saveMs: 1_000, shownMs: 15_000, closeMs: 1_500 };
const maxRecent = 20;

type Log = { info(details: object, message: string): void; warn(details: object, message: string): void };

/** What is known of an operation that goes on, beside what people see. */
type Active = {
  operation: Operation;
  claims: readonly string[];
  work: Work;
  cancel: AbortController;
  saving: Promise<unknown>;
  timer: NodeJS.Timeout | undefined;
  done: Promise<void>;
};

/** All long work, running and past. */
export type Operations = Awaited<ReturnType<typeof createOperations>>;

/**
 * Opens the operations: work that takes longer than a click, as rows that people can watch, leave, and come back to.
 * It goes on whoever looks. At most four run at once, others wait in their order; two that work on the same thing never
 * do. Those that were running when the program ended are `interrupted`, but for the ids in `resumed`: they stay running
 * and have to be taken up by `resume`.
 */
export async function createOperations(
  { db }: Pick<Database, 'db'>,
  log: Log,
  resumed: readonly number[] = [],
  wantedBounds: Partial<OperationBounds> = {},
) {
  const bounds = { ...defaultBounds, ...wantedBounds };
  const store = createOperationStore(db);
  const active = new Map<number, Active>();
  const claimed = new Map<string, Operation | 'being started'>();
  const waiting: Active[] = [];
  const listeners = new Set<(operation: Operation) => void>();
  const claimListeners = new Set<() => void>();
  const closing = new AbortController();
  let running = 0;
  let isClosed = false;
  let closed: Promise<void> | undefined;

  await interruptLost();
  /** What a page shows besides those that run: failures that nobody read, and what has just succeeded. */
  const recent = new Map<number, Operation>((await store.unseen(maxRecent)).reverse().map((item) => [item.id, item]));

  async function interruptLost() {
    const lost = await store.list({ states: ['queued', 'running'], limit: 10_000 });
    for (const operation of lost.filter(({ id }) => !resumed.includes(id))) {
      const error = operation.state === 'queued' ? 'Fairlead ended before it began.' : 'Fairlead ended while it ran.';
      const steps = endSteps(operation.steps, 'failed');
      await store.update({ ...operation, ...ended('interrupted'), steps, message: error, error, isSeen: false });
    }
  }

  function tell(operation: Operation) {
    for (const listener of listeners) {
      try {
        listener(operation);
      } catch (err) {
        log.warn({ err }, 'a listener of the operations failed');
      }
    }
  }

  /** Says that something began or ceased to be worked on. */
  function tellClaims() {
    for (const listener of claimListeners) {
      try {
        listener();
      } catch (err) {
        log.warn({ err }, 'a listener of the operations failed');
      }
    }
  }

  // ── keeping ──

  /** Keeps an operation; what comes while one write is under way is kept after it. */
  function save(item: Active): Promise<unknown> {
    clearTimeout(item.timer);
    item.timer = undefined;
    item.saving = item.saving
      .then(() => (isClosed ? undefined : store.update(item.operation)))
      .catch((err: unknown) => log.warn({ err, operation: item.operation.id }, 'an operation could not be kept'));
    return item.saving;
  }

  function change(item: Active, changes: Partial<Operation>, isStep = false) {
    item.operation = { ...item.operation, ...changes };
    for (const claim of item.claims) claimed.set(claim, item.operation);
    if (isStep) void save(item);
    else item.timer ??= setTimeout(() => void save(item), bounds.saveMs).unref();
    tell(item.operation);
  }

  // ── starting ──

  function holderOf(claims: readonly string[]): Operation | undefined {
    for (const claim of claims) {
      const holder = claimed.get(claim);
      if (holder === 'being started') throw new Problem('conflict', 'Another operation on it is just being started.');
      if (holder) return holder;
    }
    return undefined;
  }

  function refuseConflict({ claims }: Wanted) {
    if (closing.signal.aborted) throw new Problem('conflict', 'Fairlead is ending: nothing new is started.');
    const holder = holderOf(claims);
    if (holder) throw conflict(holder);
    if (waiting.length >= bounds.waiting) {
      throw new Problem('rate_limited', `${bounds.waiting} operations wait already. Try again when some have ended.`);
    }
  }

  async function start(wanted: Wanted, work: Work): Promise<Operation> {
    refuseConflict(wanted);
    for (const claim of wanted.claims) claimed.set(claim, 'being started');
    const fresh = { ...toNew(wanted), state: running < bounds.running ? 'running' : 'queued' } as const;
    try {
      const id = await store.insert(fresh);
      return admit({ ...fresh, id }, wanted, work);
    } catch (error) {
      for (const claim of wanted.claims) claimed.delete(claim);
      throw error;
    }
  }

  function admit(operation: Operation, { claims }: Pick<Wanted, 'claims'>, work: Work): Operation {
    const cancel = new AbortController();
    const done = Promise.resolve();
    const item: Active = { operation, claims, work, cancel, saving: done, timer: undefined, done };
    active.set(operation.id, item);
    for (const claim of claims) claimed.set(claim, operation);
    waiting.push(item);
    admitNext();
    tell(item.operation);
    tellClaims();
    return item.operation;
  }

  function takeMore(item: Active, claims: readonly string[]) {
    const fresh = claims.filter((claim) => !item.claims.includes(claim));
    const holder = holderOf(fresh);
    if (holder) throw conflict(holder);
    item.claims = [...item.claims, ...fresh];
    for (const claim of fresh) claimed.set(claim, item.operation);
    tellClaims();
  }

  function admitNext() {
    while (running < bounds.running && waiting.length > 0) {
      const next = waiting.shift();
      if (next) next.done = execute(next);
    }
  }

  async function execute(item: Active) {
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

  function toRun(item: Active): Run {
    const steps = () => item.operation.steps;
    return {
      id: item.operation.id,
      signal: AbortSignal.any([item.cancel.signal, closing.signal]),
      closing: closing.signal,
      plan: (names) => change(item, { steps: names.map(toStep) }, true),
      step: (name, detail = '') => change(item, { steps: beginStep(steps(), name, detail) }, true),
      current: () => steps().find((step) => step.state === 'running')?.name ?? '',
      note: (detail) => change(item, { steps: noteStep(steps(), detail) }),
      failStep: (detail) => change(item, { steps: endSteps(steps(), 'failed', detail) }, true),
      report: ({ details, ...changes }) =>
        change(item, { ...changes, ...(details && { details: { ...item.operation.details, ...details } }) }),
      hold: () => change(item, { canCancel: false }),
      claim: (claims) => takeMore(item, claims),
    };
  }

  // ── ending ──

  function finish(item: Active, { message, state = 'succeeded', error, details }: Outcome) {
    const isDone = state === 'succeeded';
    const { details: told, ...failure } = isDone ? { details: {} } : toFailure(error);
    end(item, {
      ...ended(state),
      ...failure,
      ...(isDone && { progress: 1 }),
      message,
      steps: endSteps(item.operation.steps, state === 'failed' ? 'failed' : 'done'),
      details: { ...item.operation.details, ...details, ...told },
      isSeen: isDone,
    });
  }

  function fail(item: Active, error: unknown) {
    const { details, ...failure } = toFailure(error);
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

  function end(item: Active, changes: Partial<Operation>) {
    item.operation = { ...item.operation, ...changes, canCancel: false };
    // What was planned and never begun says nothing any more.
    item.operation.steps = item.operation.steps.filter((step) => step.state !== 'waiting');
    release(item);
    void save(item).then(() => (isClosed ? undefined : store.prune().catch(() => {})));
    show(item.operation);
    log.info({ operation: item.operation.id, state: item.operation.state }, 'an operation ended');
    tell(item.operation);
  }

  /** What the program's end cut short stays as it is in the database, where the next start finds it. */
  function leave(item: Active) {
    release(item);
    void save(item);
  }

  function release(item: Active) {
    active.delete(item.operation.id);
    for (const claim of item.claims) claimed.delete(claim);
    tellClaims();
  }

  function show(operation: Operation) {
    recent.set(operation.id, operation);
    const isShort = operation.isSeen;
    if (isShort) setTimeout(() => hide(operation.id), bounds.shownMs).unref();
    // Many may end within the time that a success is shown.
    for (const isSeen of [true, false]) {
      const kept = [...recent.values()].filter((item) => item.isSeen === isSeen);
      for (const { id } of kept.slice(0, Math.max(0, kept.length - maxRecent))) recent.delete(id);
    }
  }

  function hide(id: number) {
    const operation = recent.get(id);
    if (!recent.delete(id) || !operation || isClosed) return;
    tell(operation);
  }

  /** As it is now, which may not be kept yet. */
  const known = (id: number) => active.get(id)?.operation ?? recent.get(id);

  async function closeOnce() {
    closing.abort(new Unfinished());
    for (const item of waiting.splice(0)) fail(item, new Unfinished());
    const items = [...active.values()];
    const patience = new AbortController();
    const bound = sleep(bounds.closeMs, undefined, { signal: patience.signal }).catch(() => {});
    await Promise.race([Promise.all(items.map(({ done }) => done)), bound]);
    patience.abort();
    await Promise.all(items.map(save));
    isClosed = true;
    listeners.clear();
    claimListeners.clear();
  }

  return {
    /**
     * Starts an operation, or lets it wait for its turn; it is there when this resolves.
     * @throws Problem `conflict` that names the operation which works on the same thing, `rate_limited` where too many wait
     */
    start,

    /** Takes up an operation that an earlier process left unfinished; it can't be cancelled. */
    async resume(id: number, claims: readonly string[], work: Work): Promise<void> {
      const operation = await store.find(id);
      if (!operation || active.has(id) || closing.signal.aborted) return;
      recent.delete(id);
      admit({ ...operation, ...reopened }, { claims }, work);
    },

    /**
     * Cancels an operation that runs or waits.
     * @throws Problem `not_found`, or `conflict` where it has ended or is past the point of no return
     */
    async cancel(id: number): Promise<Operation> {
      const item = active.get(id);
      if (!item) {
        if (!(await store.find(id))) throw new Problem('not_found', `Operation ${id} not found`);
        throw new Problem('conflict', `Operation ${id} has ended already.`);
      }
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
      const operation = recent.get(id) ?? (await store.find(id));
      if (!operation) throw new Problem('not_found', `Operation ${id} not found`);
      if (isActive(operation)) throw new Problem('conflict', `Operation ${id} still runs.`);
      await store.update({ ...operation, isSeen: true });
      hide(id);
    },

    /** An operation, running or past. */
    find: async (id: number): Promise<Operation | undefined> => known(id) ?? store.find(id),

    /** Operations, running and past, the newest first. */
    async list(query: OperationQuery): Promise<Operation[]> {
      const stored = await store.list(query);
      return stored.map((operation) => known(operation.id) ?? operation);
    },

    /** Those that run or wait. */
    active: (): Operation[] => [...active.values()].map(({ operation }) => operation),

    /** What every page shows: those that run or wait, failures that nobody has read, what has just succeeded. */
    current: (): Operation[] =>
      [...new Map([...recent, ...[...active].map(([id, item]) => [id, item.operation] as const)]).values()].sort(
        (a, b) => b.id - a.id,
      ),

    /** The operation that works on something now, by one of its claims. */
    holder(claim: string): Operation | undefined {
      const holder = claimed.get(claim);
      return holder === 'being started' ? undefined : holder;
    },

    /**
     * Lets something else be done to what these claims stand for.
     * @throws Problem `conflict` that names the operation which works on it
     */
    requireFree(claims: readonly string[]): void {
      const holder = holderOf(claims);
      if (holder) throw conflict(holder);
    },

    /** Calls back with each operation that became different; returns how to stop that. */
    onChange(listener: (operation: Operation) => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },

    /** Calls back when something began or ceased to be worked on; returns how to stop that. */
    onClaims(listener: () => void): () => void {
      claimListeners.add(listener);
      return () => void claimListeners.delete(listener);
    },

    /** Ends all work that can be ended, and waits for it, 1.5 s at most. Further calls wait for the first. */
    close(): Promise<void> {
      closed ??= closeOnce();
      return closed;
    },
  };
}

const conflict = (holder: Operation) =>
  new Problem(
    'conflict',
    `Operation ${holder.id} works on it already: ${holder.kind.replace('_', ' ')} ${holder.target}.`,
  );

function toNew({ kind, target, actor, canCancel }: Wanted): Omit<Operation, 'id' | 'state'> {
  const now = Date.now();
  return {
    kind,
    target,
    actor,
    progress: null,
    message: '',
    error: null,
    errorCode: null,
    steps: [],
    details: {},
    canCancel,
    isSeen: true,
    queuedAt: now,
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
} as const;

const ended = (state: Operation['state']) => ({ state, finishedAt: Date.now() }) as const;

type Failure = Pick<Operation, 'error' | 'errorCode'> & { details: Details };

/** What is told of a failure: nothing where somebody wanted it. */
function toFailure(error: unknown): Failure {
  if (error instanceof Cancelled) return { error: null, errorCode: null, details: {} };
  if (error instanceof Unfinished) return { error: 'Fairlead ended while it ran.', errorCode: null, details: {} };
  if (!isProblem(error)) return { error: unforeseen, errorCode: 'internal', details: {} };
  const { message, code, engineMessage } = error;
  return { error: message, errorCode: code, details: engineMessage ? { engineMessage } : {} };
}

const unforeseen = 'It failed for a reason that nobody foresaw. The log of this program tells more.';
