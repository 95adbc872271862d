import { isProblem, type Problem } from '../errors.ts';
import { cursorDate } from './log-cursor.ts';
import { isFiltered, type LogFilter, maxLines } from './log-lines.ts';
import { startOfLog } from './log-slices.ts';
import type { LogState, Logs } from './logs.ts';
import { createMergeQueue, type MergedEntry } from './merge-queue.ts';
import { compareMerged, type PlaceOf, type Places, placeBeside, placeOfLine } from './merged-cursor.ts';
import type { MergedShares, Seat } from './merged-shares.ts';
import { endOfLogs, type MergedSlice, type MergedSlices } from './merged-slices.ts';

/** How a followed merged log does: as the best of its logs does, and which of them can't be read, by their containers. */
export type MergedState = { state: LogState; failures: ReadonlyMap<string, Problem> };

/** One merged log that is followed. */
export type MergedFollower = {
  /**
   * Says which containers it is of from now on: who came is followed; who has gone is left behind its last line, or, where
   * it is still there, soon.
   */
  update(ids: readonly string[], isThere?: (id: string) => boolean): void;
  /** Where each log goes on right before the first line that was handed on, or would have been; known before it comes. */
  begun(): Places | undefined;
  close(): void;
};

/** What a merged follower works with. */
export type MergedParts = {
  logs: Pick<Logs, 'follow'>;
  slices: Pick<MergedSlices, 'before'>;
  shares: MergedShares;
  holdMs: number;
  retryMs: number;
  /** How long all has to go well until the log is followed together with others. */
  steadyMs: number;
};

/** Where it begins: with the newest `tail` lines, or in the places that were reached before. */
export type MergedBegin = { ids: readonly string[]; filter: LogFilter; tail: number; places: Places | undefined };

/** One container's own follower within it. */
type View = {
  /** The cursor of its last line that was handed on. */
  last: string;
  state: LogState | undefined;
  reason: Problem | undefined;
  isLeaving: boolean;
  grace: NodeJS.Timeout | undefined;
  close(): void;
};

const maxRetryMs = 5_000;
/** One that is not wanted any more but still there, such as one with another name, has so long for its last lines. */
const graceMs = 1_000;
const maxReached = 1_000;

/** Creates the follower of several logs: first what there is, read to its end, then every new line. */
export function createMergedFollower(
  { logs, slices, shares, holdMs, retryMs, steadyMs }: MergedParts,
  { ids, filter, tail, places }: MergedBegin,
  onBatch: (entries: readonly MergedEntry[]) => void,
  onState: (state: MergedState) => void,
  fail: (error: unknown) => void,
  hasRoom: () => boolean = () => true,
): MergedFollower {
  const ended = new AbortController();
  const queue = createMergeQueue(holdMs, handOn, hasRoom);
  const views = new Map<string, View>();
  const wanted = new Set(ids);
  const unread = new Map<string, Problem>();
  /** The last line of who has left: a container that gets its name back goes on there. */
  const reached = new Map<string, string>();
  /** The last line of each that was handed on. */
  const handed = new Map<string, string>();
  const isShareable = !isFiltered(filter) && !filter.context;
  let leaveFollowers = isShareable ? shares.enter(ids) : () => {};
  /** Its part in what is followed by several; it has no views of its own then. */
  let seat: Seat | undefined;
  let steadySince = performance.now();
  let goesOn: PlaceOf | undefined;
  let begun: Places | undefined;
  let told = '';
  let retry: NodeJS.Timeout | undefined;
  let tries = 0;

  async function begin(): Promise<void> {
    // Who goes on wants all that came since, however few lines there were to begin with.
    const query = { ...filter, place: endOfLogs, count: places ? maxLines : tail, since: places?.of };
    const asked = [...wanted];
    const page = await slices.before(asked, query, ended.signal);
    if (ended.signal.aborted) return;
    const unreadable = [...page.failures].filter(([, problem]) => !isAway(problem));
    if (asked.length > 0 && page.failures.size === asked.length) {
      // Nobody knows yet where any of them ends.
      tell({ state: 'retrying', failures: new Map(unreadable) });
      retry = setTimeout(run, Math.min(retryMs * 2 ** tries, maxRetryMs)).unref();
      tries += 1;
      return;
    }
    show(page);
    for (const [id, problem] of unreadable) unread.set(id, problem);
    goesOn = behind(page, new Set(asked), places?.of);
    begun = places ?? before(page, goesOn);
    for (const id of wanted) join(id);
    tellState();
  }

  /** A page that was read is told whole; what lies between it and the places is missing of any of them. */
  function show({ lines, earlier }: MergedSlice): void {
    queue.begin(lines, places && earlier ? { since: places.latest } : undefined);
  }

  function join(id: string): void {
    if (!goesOn || views.has(id)) return;
    const last = reached.get(id) ?? goesOn(id);
    handed.set(id, last);
    const view: View = { last, state: undefined, reason: undefined, isLeaving: false, grace: undefined, close() {} };
    views.set(id, view);
    const { close } = logs.follow(
      id,
      { ...filter, tail: 0, since: last },
      (batch) => {
        view.last = batch.lines.at(-1)?.cursor ?? view.last;
        queue.push(id, batch);
      },
      (state, reason) => {
        Object.assign(view, { state, reason });
        steadySince = performance.now();
        if (state === 'following') unread.delete(id);
        leaveEnded(id, view);
        tellState();
      },
    );
    view.close = () => {
      clearTimeout(view.grace);
      close();
    };
  }

  function handOn(entries: readonly MergedEntry[]): void {
    for (const entry of entries) if ('cursor' in entry) handed.set(entry.container, entry.cursor);
    onBatch(entries);
    if (!seat && isSteady()) takeSeat();
  }

  /** Whether all that is left to do is to go on, as others do who follow the same. */
  function isSteady(): boolean {
    if (!isShareable || !goesOn || unread.size > 0 || views.size !== wanted.size) return false;
    if (performance.now() - steadySince < steadyMs) return false;
    const isWell = ({ state, isLeaving }: View) => !isLeaving && (state === 'following' || state === 'ended');
    // What somebody who has left wrote at last is in nobody else's.
    return [...views.values()].every(isWell) && queue.isEven(wanted);
  }

  /** Lets others' work do, if there are others; the own streams are left after that, so that they stay open. */
  function takeSeat(): void {
    const states = new Map([...views].map(([id, { state }]) => [id, state]));
    const places = new Map(handed);
    seat = shares.take({
      ids: [...wanted],
      placeOf: (id) => places.get(id) ?? startOfLog,
      stateOf: (id) => states.get(id),
      onBatch: (entries) => void (goesOn && onBatch(entries)),
      hasRoom,
      onEnd: goOnAlone,
    });
    if (!seat) return;
    queue.clear();
    for (const view of views.values()) view.close();
    views.clear();
  }

  function goOnAlone(placeOf: PlaceOf): void {
    seat = undefined;
    steadySince = performance.now();
    for (const id of wanted) {
      reached.set(id, placeOf(id));
      join(id);
    }
  }

  /** One that is gone is left when its last line was read. */
  function leaveEnded(id: string, view: View): void {
    if (view.isLeaving && view.state === 'ended') leave(id, view);
  }

  function leave(id: string, view: View): void {
    view.close();
    views.delete(id);
    handed.delete(id);
    reached.set(id, view.last);
    const [oldest] = reached.keys();
    if (reached.size > maxReached && oldest !== undefined) reached.delete(oldest);
  }

  function update(now: readonly string[], isThere: (id: string) => boolean = () => false): void {
    const next = new Set(now);
    const isSame = next.size === wanted.size && now.every((id) => wanted.has(id));
    if (!isSame) leaveOthers(now);
    if (seat) return;
    for (const id of wanted) if (!next.has(id)) dismiss(id, isThere(id));
    for (const id of next) {
      wanted.add(id);
      join(id);
      const view = views.get(id);
      if (!view) continue;
      view.isLeaving = false;
      clearTimeout(view.grace);
    }
    tellState();
  }

  /** Who follows something else from now on does that alone at first. */
  function leaveOthers(now: readonly string[]): void {
    leaveFollowers();
    if (isShareable) leaveFollowers = shares.enter(now);
    steadySince = performance.now();
    if (seat) goOnAlone(seat.leave());
  }

  function dismiss(id: string, isThere: boolean): void {
    wanted.delete(id);
    unread.delete(id);
    const view = views.get(id);
    if (!view) return;
    view.isLeaving = true;
    if (isThere) view.grace = setTimeout(leave, graceMs, id, view).unref();
    leaveEnded(id, view);
  }

  function tellState(): void {
    if (!goesOn) return;
    const failures = new Map(unread);
    for (const [id, { state, reason, isLeaving }] of views) {
      const isAmiss = state === 'stopped' || state === 'retrying';
      if (isAmiss && reason && !isAway(reason) && !isLeaving) failures.set(id, reason);
    }
    const states = [...views.values()].map(({ state }) => state);
    tell({ state: stateOf(states), failures });
  }

  function tell(state: MergedState): void {
    const text = JSON.stringify([state.state, [...state.failures].map(([id, { message }]) => [id, message])]);
    if (text === told) return;
    told = text;
    onState(state);
  }

  function run(): void {
    begin().catch((error: unknown) => {
      if (!ended.signal.aborted) fail(error);
    });
  }

  run();
  return {
    update,
    begun: () => begun,
    close: () => {
      ended.abort();
      clearTimeout(retry);
      goesOn = undefined;
      leaveFollowers();
      seat?.leave();
      queue.clear();
      for (const view of views.values()) view.close();
      views.clear();
    },
  };
}

/** Whether the engine is what can't be reached, and not one log what can't be read. */
const isAway = (problem: Problem | undefined) =>
  isProblem(problem) && (problem.code === 'engine_unreachable' || problem.code === 'engine_timeout');

/** Where nobody is followed, somebody may still come. */
function stateOf(states: readonly (LogState | undefined)[]): LogState {
  if (states.length === 0 || states.includes('following')) return 'following';
  if (states.includes('retrying')) return 'retrying';
  return states.every((state) => state === 'ended') ? 'ended' : 'following';
}

/**
 * Where each log goes on behind what was read of it up to its end. One that could not be read, or comes later, goes on
 * where the page of the others begins.
 */
function behind(page: MergedSlice, asked: ReadonlySet<string>, placeOf?: PlaceOf): PlaceOf {
  const { lines, ends, failures } = page;
  const known = [...ends].map(([container, cursor]) => ({ container, cursor }));
  const first = lines[0] ?? known.sort(compareMerged)[0];
  return (id) => {
    const isEmpty = asked.has(id) && !failures.has(id);
    return ends.get(id) ?? placeOf?.(id) ?? (first && !isEmpty ? placeBeside(first, id) : startOfLog);
  };
}

/** Where each log goes on before the lines that were read of it, or where it ends, if there are none. */
function before({ lines: [first], ends }: MergedSlice, goesOn: PlaceOf): Places {
  if (!first) return { of: goesOn, latest: cursorDate(startOfLog) };
  const { from } = placeOfLine(first);
  return { of: (id) => (ends.has(id) ? from(id) : goesOn(id)), latest: cursorDate(first.cursor) };
}
