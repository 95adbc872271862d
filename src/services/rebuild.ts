import { setTimeout as sleep } from 'node:timers/promises';
import { isProblem, Problem, unlessNotFound } from '../errors.ts';
import { containerClaim } from './claims.ts';
import { createContainerMaker } from './container-maker.ts';
import type { DockerPort } from './docker.ts';
import { createLastWords, type LastLines } from './last-words.ts';
import { Cancelled, cutShort, type Outcome, toFailure, Unfinished } from './operation-outcomes.ts';
import type { Run } from './operations.ts';
import { documentOf } from './own-settings.ts';
import { type ReadinessBounds, untilReady } from './readiness.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import { nameOf } from './rebuild-survey.ts';
import type { Member, Phase, RebuildFailure, RebuildPlan } from './rebuild-types.ts';
import { createRebuildUndo, joinMembers } from './rebuild-undo.ts';

/**
 * Bounds, ms: how long what has to be done is tried again; for how long a call that nobody waits for any more may still
 * have its effect, and for how long one that creates may; after how long what could neither be finished nor undone is
 * taken up again.
 */
export type RebuildBounds = ReadinessBounds & { persistMs: number; lateMs: number; watchMs: number; retryMs: number };

/** What the transaction works with. */
export type RebuildParts = {
  docker: DockerPort;
  journal: RebuildJournal;
  isPodman: () => boolean;
  lastLines: LastLines;
  bounds: RebuildBounds;
  log: { warn(details: object, message: string): void };
};

/** The parts of a rebuild as people are told them, in their order. */
export const rebuildSteps = {
  create: 'Create the new container',
  stop: 'Stop the old container',
  move: 'Move the name',
  start: 'Start the new container',
  wait: 'Wait until it is ready',
  remove: 'Remove the old container',
  undo: 'Put the old container back',
} as const;

const firstRetryMs = 250;
const lastRetryMs = 8_000;
const lookMs = 1_000;

/**
 * Creates the transaction that replaces a container, with those that need it. Until its last step the old ones are only
 * stopped and renamed, so that every failure can be undone; the journal is written before each part, so that the death of
 * this process is a failure like any other.
 */
export function createRebuildTransaction({ docker, journal, bounds, isPodman, lastLines, log }: RebuildParts) {
  const maker = createContainerMaker(docker, journal);
  const { undo, removeUnused } = createRebuildUndo({ docker, journal, maker, isPodman });
  const words = createLastWords(lastLines);
  /** Those whose commit could not be written down, as far as this process knows. */
  const doubtful = new Set<number>();

  async function execute(run: Run, plan: RebuildPlan): Promise<Outcome> {
    await journal.begin(run.id, plan);
    try {
      await create(run, plan);
      run.signal.throwIfAborted();
      run.hold();
      await enter(plan, 'swapping');
      await stop(run, plan);
      await move(run, plan);
      await enter(plan, 'starting');
      await finish(run, plan);
    } catch (error) {
      return rollBack(run, plan, error);
    }
    return commit(run, plan);
  }

  /** Takes up what was left: goes on where the successors have the names already, else undoes it. */
  async function recover(run: Run, plan: RebuildPlan): Promise<Outcome> {
    if (plan.failure) return rollBack(run, plan, wasCutShort(), true);
    if (doubtful.has(plan.id)) return commit(run, plan);
    if (plan.phase === 'committed') return complete(run, plan);
    if (plan.phase !== 'starting') return rollBack(run, plan, wasCutShort(), true);
    try {
      await keepDown(run, plan);
      await finish(run, plan);
    } catch (error) {
      return rollBack(run, plan, error, true);
    }
    return commit(run, plan);
  }

  /** It has come that far as soon as that is written down, and not before. */
  async function enter(plan: RebuildPlan, phase: Phase) {
    await journal.save({ ...plan, phase });
    plan.phase = phase;
  }

  /** An engine that starts anew also starts what was stopped, where its restart policy is `always`. */
  async function keepDown(run: Run, { members }: RebuildPlan) {
    begin(run, 'stop');
    for (const { oldId, name, stopMs } of members.toReversed()) {
      stayOpen(run);
      await docker.actOnContainer(oldId, 'stop', name, { graceMs: stopMs }).catch(unlessNotFound);
    }
  }

  // ── forward ──

  async function create(run: Run, plan: RebuildPlan) {
    begin(run, 'create');
    for (const member of plan.members) {
      run.signal.throwIfAborted();
      const recreation = joinMembers(member.recreation, plan, (other) => other.newId);
      const making = { name: member.newName, imageId: member.imageId, recreation };
      member.newId = await maker.make(plan, member, making);
      await keep(run, plan, member.newId);
      await maker.checkImage(member.newId, making);
      if (member.vanishes) await createStandIn(run, plan, member);
    }
  }

  /** What is gone when it stops is made again before: so it is certain that it can be, and it keeps its image. */
  async function createStandIn(run: Run, plan: RebuildPlan, member: Member) {
    const recreation = joinMembers(member.restoration, plan, (other) => other.standInId);
    const making = { name: member.standInName, imageId: member.oldImageId, recreation };
    member.standInId = await maker.make(plan, member, making);
    await keep(run, plan, member.standInId);
    await maker.checkImage(member.standInId, making);
  }

  async function keep(run: Run, plan: RebuildPlan, id: string) {
    await journal.save(plan);
    run.claim([containerClaim(id)]);
  }

  async function stop(run: Run, { members }: RebuildPlan) {
    begin(run, 'stop');
    for (const member of members.toReversed()) if (member.wasRunning) await stopOld(run, member);
  }

  async function stopOld(run: Run, { oldId, name, vanishes, stopMs }: Member) {
    stayOpen(run);
    const stopping = docker.actOnContainer(oldId, 'stop', name, { graceMs: stopMs });
    await (vanishes ? stopping.catch(unlessNotFound) : stopping);
    if (vanishes) await maker.untilGone(oldId, name);
  }

  async function move(run: Run, { members }: RebuildPlan) {
    begin(run, 'move');
    for (const { oldId, name, parkedName, vanishes, newId, newName } of members) {
      stayOpen(run);
      if (!vanishes) await docker.renameContainer(oldId, parkedName, name);
      await docker.renameContainer(newId ?? '', name, newName);
    }
  }

  /** From where the successors have the names to where the old ones can go. */
  async function finish(run: Run, plan: RebuildPlan) {
    for (const member of plan.members.filter(({ wasRunning }) => wasRunning)) {
      stayOpen(run);
      begin(run, 'start', nameIfMany(member, plan));
      const { State: state } = await docker.containerDocument(member.newId ?? '', member.name);
      // Only one that was paused by an earlier process is paused here, and that one was ready before.
      if (!documentOf(state).Paused) await startNew(run, member);
    }
    for (const member of plan.members) await checkSuccessor(member);
  }

  async function startNew(run: Run, { newId, name, vanishes, wasPaused }: Member) {
    const id = newId ?? '';
    try {
      await docker.actOnContainer(id, 'start', name);
      begin(run, 'wait');
      // What removes itself at its end takes its log along: it has to be read while it is said.
      if (vanishes) words.listen(id, run.closing);
      await untilReady(docker, { id, bounds, isPodman: isPodman(), signal: run.closing });
    } catch (error) {
      stayOpen(run);
      run.report({ details: { lastLines: await words.of(id) } });
      throw error;
    } finally {
      words.end(id);
    }
    if (wasPaused) await docker.actOnContainer(id, 'pause', name);
  }

  /** The last moment at which the old one can come back. */
  async function checkSuccessor({ newId, name }: Member) {
    const container = await maker.findById(newId);
    if (!container || nameOf({ container }) !== name)
      throw new Problem('conflict', `The new container ${name} is gone, or has another name.`);
  }

  /**
   * A write that seems to fail can be on the disk all the same, and a later process goes by what is there: so nothing
   * is undone or removed before it is certain, and only the write is tried again.
   */
  async function commit(run: Run, plan: RebuildPlan): Promise<Outcome> {
    const isTriedAgain = doubtful.has(plan.id);
    doubtful.add(plan.id);
    try {
      if (isTriedAgain) await keepDown(run, plan);
      await persist(run, () => enter(plan, 'committed'));
    } catch (error) {
      stayOpen(run);
      const done = `${namesOf(plan)} ${are(plan)} on the new image.`;
      const message = `${done} That could not be written down yet, which is tried again.`;
      return { state: 'failed', message, error, isUnfinished: true };
    }
    doubtful.delete(plan.id);
    return complete(run, plan);
  }

  /** From the commit on the old ones have to go, and the new ones stay, whatever becomes of them. */
  async function complete(run: Run, plan: RebuildPlan): Promise<Outcome> {
    begin(run, 'remove');
    try {
      await persist(run, () => removeOld(plan));
      await journal.end(plan);
    } catch (error) {
      stayOpen(run);
      const old = plan.members[0]?.parkedName;
      const message = `The new container runs. The old one, ${old}, could not be removed yet; that is tried again.`;
      return { state: 'failed', message, error, isUnfinished: true };
    }
    return { message: `${namesOf(plan)} ${plan.members.length > 1 ? 'were' : 'was'} rebuilt.` };
  }

  async function removeOld({ members }: RebuildPlan) {
    for (const { oldId, parkedName, standInId, standInName } of members.toReversed()) {
      await maker.remove(oldId, parkedName);
      if (standInId !== null) await maker.remove(standInId, standInName);
    }
  }

  // ── backward ──

  async function rollBack(run: Run, plan: RebuildPlan, error: unknown, isTakenUp = false): Promise<Outcome> {
    stayOpen(run);
    plan.failure ??= toRebuildFailure(run.current(), error);
    if (plan.failure.code === 'internal')
      log.warn({ err: error, operation: run.id }, 'nobody foresaw why a rebuild failed');
    const failure = plan.failure.isWanted ? new Cancelled() : toProblem(plan.failure);
    const what = plan.failure.isWanted ? 'It was cancelled.' : `“${plan.failure.step}” failed.`;
    run.endStep('failed', plan.failure.message);
    run.hold();
    run.step(rebuildSteps.undo);
    try {
      await undoAll(run, plan, isTakenUp);
    } catch (hindrance) {
      stayOpen(run);
      const reason = toFailure(hindrance).error ?? '';
      const message = `${what} It could not be undone yet, which is tried again. ${reason}`;
      return { state: 'failed', message, error: isProblem(failure) ? failure : hindrance, isUnfinished: true };
    }
    if (failure instanceof Cancelled) throw failure;
    const message = `${what} Everything was undone: ${namesOf(plan)} as before.`;
    return { state: 'rolled_back', message, error: failure };
  }

  async function undoAll(run: Run, plan: RebuildPlan, isTakenUp: boolean) {
    // Written down, so that no later process tries to go on; where it can't be, it still finds what is missing.
    await journal.save(plan).catch(() => {});
    await persist(run, () => undo(plan));
    const isUncertain = isTakenUp || isUnanswered(plan.failure);
    if (!isUncertain) return void (await journal.end(plan));
    await persist(run, () => outlast(run, plan));
    plan.watchedUntil = Date.now() + bounds.watchMs;
    await enter(plan, 'watched');
  }

  /** What was asked by a call without an answer may happen yet: everything is looked at again for a while. */
  async function outlast(run: Run, plan: RebuildPlan) {
    const stopMs = plan.phase === 'swapping' ? Math.max(...plan.members.map((member) => member.stopMs)) : 0;
    for (const end = Date.now() + bounds.lateMs + stopMs; Date.now() < end; ) {
      await sleep(Math.min(lookMs, bounds.lateMs), undefined, { signal: run.closing });
      await undo(plan);
    }
  }

  /** A create call takes its time where a volume is filled: what such a one made long after its rebuild is removed. */
  async function watch(): Promise<void> {
    for (const plan of await journal.watched()) {
      await removeUnused(plan);
      if (Date.now() >= plan.watchedUntil) await journal.end(plan);
    }
  }

  // ── both ways ──

  /** Tries again what has to succeed, ever more slowly, until the bound. */
  async function persist(run: Run, task: () => Promise<void>): Promise<void> {
    const deadline = Date.now() + bounds.persistMs;
    for (let wait = firstRetryMs; ; wait = Math.min(wait * 2, lastRetryMs)) {
      stayOpen(run);
      try {
        return await task();
      } catch (error) {
        if (Date.now() + wait > deadline) throw error;
        if (isProblem(error)) run.note(error.message);
      }
      await sleep(wait, undefined, { signal: run.closing });
    }
  }

  return { execute, recover, watch };
}

/** How much of the whole is behind a step's begin. */
const shares = { create: 0.4, stop: 0.45, move: 0.55, start: 0.6, wait: 0.65, remove: 0.95 } as const;

function begin(run: Run, step: keyof typeof shares, detail = '') {
  run.step(rebuildSteps[step], detail);
  run.report({ progress: shares[step] });
}

/**
 * Ends the work where the program ends: the journal knows the rest.
 * @throws Unfinished
 */
function stayOpen({ closing }: Run) {
  if (closing.aborted) throw new Unfinished();
}

/** Why a rebuild is undone that an earlier process left. */
const wasCutShort = () => new Problem('conflict', cutShort(true));

function toRebuildFailure(step: string, error: unknown): RebuildFailure {
  const { error: message, errorCode, details } = toFailure(error);
  return {
    step: step || rebuildSteps.create,
    code: errorCode ?? 'conflict',
    message: message ?? '',
    engineMessage: details.engineMessage ?? '',
    isWanted: error instanceof Cancelled,
  };
}

const toProblem = ({ code, message, engineMessage }: RebuildFailure) =>
  new Problem(code, message, engineMessage || undefined);

const isUnanswered = (failure: RebuildFailure | null) =>
  failure?.code === 'engine_timeout' || failure?.code === 'engine_unreachable';

const namesOf = ({ members }: RebuildPlan) => members.map(({ name }) => name).join(', ');

const are = ({ members }: RebuildPlan) => (members.length > 1 ? 'are' : 'is');

const nameIfMany = ({ name }: Member, { members }: RebuildPlan) => (members.length > 1 ? name : '');
