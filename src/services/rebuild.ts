import { setTimeout as sleep } from 'node:timers/promises';
import { isProblem, Problem } from '../errors.ts';
import { containerClaim } from './claims.ts';
import type { DockerPort } from './docker.ts';
import { bareId } from './images.ts';
import { Cancelled, type Outcome, type Run, Unfinished } from './operations.ts';
import { type Document, documentOf } from './own-settings.ts';
import { text } from './readers.ts';
import { type ReadinessBounds, untilReady } from './readiness.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import type { Member, Phase, RebuildPlan } from './rebuild-types.ts';
import { joining, type Recreation, type Retag } from './recreation.ts';

/**
 * Bounds, ms: how long what has to be done is tried again, for how long a call that nobody waits for any more may still
 * have its effect, and after how long what could neither be finished nor undone is taken up again.
 */
export type RebuildBounds = ReadinessBounds & { persistMs: number; lateMs: number; retryMs: number };

/** The last lines of a container's log: those there are, or with a signal those until its end. */
export type LastLines = (id: string, untilEnd?: AbortSignal) => Promise<string[]>;

/** What the transaction works with. */
export type RebuildParts = {
  docker: DockerPort;
  journal: RebuildJournal;
  isPodman: () => boolean;
  lastLines: LastLines;
  bounds: RebuildBounds;
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
const pollMs = 100;
const wordsMs = 1_000;
const lookMs = 1_000;

/** The log of a container that removes itself, as it is written, and how to read no further. */
type LastWords = { lines: Promise<string[]>; end: () => void };

/** The transaction that replaces a container. */
export type RebuildTransaction = ReturnType<typeof createRebuildTransaction>;

/**
 * Creates the transaction that replaces a container, with those that share its namespaces. Until its last step the old
 * one is only stopped and renamed, so that every failure can be undone; the journal is written before each part, so that
 * the death of this process is a failure like any other. What has to be undone is read from the engine and never from
 * what was meant to be done: a call that seemed to fail may have had its effect.
 */
export function createRebuildTransaction(parts: RebuildParts) {
  const { docker, journal, bounds } = parts;
  const lastWords = new Map<string, LastWords>();

  async function execute(run: Run, plan: RebuildPlan): Promise<Outcome> {
    try {
      await journal.begin(run.id, plan);
      await create(run, plan);
      run.signal.throwIfAborted();
      run.hold();
      await enter(run, plan, 'swapping');
      await stop(run, plan);
      await move(run, plan);
      await enter(run, plan, 'starting');
      await start(run, plan);
      await enter(run, plan, 'committed');
    } catch (error) {
      return rollBack(run, plan, error);
    }
    return complete(run, plan);
  }

  /** Takes up what an earlier process left: goes on where the successors have the names already, else undoes it. */
  async function recover(run: Run, plan: RebuildPlan): Promise<Outcome> {
    if (plan.phase === 'committed') return complete(run, plan);
    if (plan.phase !== 'starting') return rollBack(run, plan, new Interrupted());
    try {
      await start(run, plan);
      await enter(run, plan, 'committed');
    } catch (error) {
      return rollBack(run, plan, error);
    }
    return complete(run, plan);
  }

  async function enter(run: Run, plan: RebuildPlan, phase: Phase) {
    plan.phase = phase;
    await journal.save(run.id, plan);
  }

  // ── forward ──

  async function create(run: Run, plan: RebuildPlan) {
    begin(run, 'create');
    for (const member of plan.members) {
      run.signal.throwIfAborted();
      const recreation = join(member.recreation, plan, (other) => other.newId);
      member.newId = await make(member, member.newName, recreation, plan);
      await journal.save(run.id, plan);
      run.claim([containerClaim(member.newId)]);
      await checkImage(member);
    }
  }

  /** Makes a container with its networks, or what of it is not there yet; gives its id. */
  async function make(member: Member, name: string, recreation: Recreation, plan: RebuildPlan): Promise<string> {
    const rules = { basis: member.basis, allowsPrivileged: plan.allowsPrivileged };
    const made = await find(name);
    const create = () => docker.createContainer(name, recreation, rules);
    const id = made ? idOf(made) : await withTag(recreation.retag, create);
    const networks = documentOf(documentOf(made?.NetworkSettings).Networks);
    for (const { network, endpoint } of recreation.connects) {
      if (!(network in networks)) await docker.connectNetwork(network, id, endpoint);
    }
    for (const network of recreation.disconnects) {
      if (!made || network in networks) await docker.disconnectNetwork(network, id);
    }
    return id;
  }

  /** Lets a tag mean an older image for as long as something takes. */
  async function withTag<T>(retag: Retag | null, task: () => Promise<T>): Promise<T> {
    if (!retag) return task();
    await docker.tagImage(retag.id, retag.reference);
    try {
      return await task();
    } finally {
      if (retag.now !== null) await docker.tagImage(retag.now, retag.reference);
    }
  }

  /** Somebody may have moved the tag between its pull and now. */
  async function checkImage({ newId, imageId, name }: Member) {
    const { Image: image } = await docker.containerDocument(newId ?? '', name);
    if (bareId(text(image) ?? '') !== bareId(imageId))
      throw new Problem('conflict', 'The tag names another image now than when it was pulled.');
  }

  async function stop(run: Run, { members }: RebuildPlan) {
    begin(run, 'stop');
    for (const member of members.toReversed()) if (member.wasRunning) await stopOld(run, member);
  }

  async function stopOld(run: Run, { oldId, name, isAutoRemoved, stopMs }: Member) {
    stayOpen(run);
    const stopping = docker.actOnContainer(oldId, 'stop', name, { graceMs: stopMs });
    await (isAutoRemoved ? stopping.catch(unlessGone) : stopping);
    if (isAutoRemoved) await untilGone(oldId, name);
  }

  async function move(run: Run, { members }: RebuildPlan) {
    begin(run, 'move');
    for (const { oldId, name, parkedName, isAutoRemoved, newId, newName } of members) {
      stayOpen(run);
      const parking = docker.renameContainer(oldId, parkedName, name);
      await (isAutoRemoved ? parking.catch(unlessGone) : parking);
      await docker.renameContainer(newId ?? '', name, newName);
    }
  }

  async function start(run: Run, plan: RebuildPlan) {
    for (const member of plan.members.filter(({ wasRunning }) => wasRunning)) {
      stayOpen(run);
      begin(run, 'start', nameIfMany(member, plan));
      const { State: state } = await docker.containerDocument(member.newId ?? '', member.name);
      // Only one that was paused by an earlier process is paused here, and that one was ready before.
      if (documentOf(state).Paused) continue;
      await startNew(run, member);
      if (member.wasPaused) await docker.actOnContainer(member.newId ?? '', 'pause', member.name);
    }
  }

  async function startNew(run: Run, member: Member) {
    const id = member.newId ?? '';
    await docker.actOnContainer(id, 'start', member.name);
    begin(run, 'wait');
    // What removes itself at its end takes its log along: it has to be read while it is said.
    if (member.isAutoRemoved) listen(id, run.closing);
    await untilReady(docker, { id, bounds, isPodman: parts.isPodman(), signal: run.closing });
    lastWords.get(id)?.end();
  }

  function listen(id: string, closing: AbortSignal) {
    const reading = new AbortController();
    const lines = parts.lastLines(id, AbortSignal.any([closing, reading.signal]));
    lines.catch(() => {});
    const end = () => {
      reading.abort();
      lastWords.delete(id);
    };
    lastWords.set(id, { lines, end });
  }

  /** From the commit on: whatever happens, the old ones have to go, and the new ones stay. */
  async function complete(run: Run, plan: RebuildPlan): Promise<Outcome> {
    begin(run, 'remove');
    try {
      await persist(run, () => removeOld(plan));
      await journal.end(run.id);
    } catch (error) {
      stayOpen(run);
      const old = plan.members[0]?.parkedName;
      const message = `The new container runs. The old one, ${old}, could not be removed yet; that is tried again.`;
      return { state: 'failed', message, error };
    }
    return { message: `${namesOf(plan)} ${plan.members.length > 1 ? 'were' : 'was'} rebuilt.` };
  }

  async function removeOld({ members }: RebuildPlan) {
    for (const { oldId, parkedName } of members.toReversed()) {
      await docker.actOnContainer(oldId, 'remove', parkedName, { force: true }).catch(unlessGone);
      await untilGone(oldId, parkedName);
    }
  }

  // ── backward ──

  async function rollBack(run: Run, plan: RebuildPlan, error: unknown): Promise<Outcome> {
    stayOpen(run);
    const details = { lastLines: await wordsOfNew(plan) };
    const failed = run.current();
    run.failStep(isProblem(error) ? error.message : '');
    run.hold();
    run.step(rebuildSteps.undo);
    try {
      await persist(run, () => undo(plan));
      await persist(run, () => outlast(run, plan, error));
      await journal.end(run.id);
    } catch (failure) {
      stayOpen(run);
      const reason = isProblem(failure) ? failure.message : '';
      const message = `“${failed}” failed. It could not be undone yet, which is tried again. ${reason}`;
      return { state: 'failed', message, error, details };
    }
    if (error instanceof Cancelled) throw error;
    const message = `“${failed}” failed. Everything was undone: ${namesOf(plan)} as before.`;
    return { state: 'rolled_back', message, error, details };
  }

  async function wordsOfNew({ members, phase }: RebuildPlan): Promise<string[]> {
    const last = members.findLast(({ newId }) => newId !== null);
    if (!last?.newId || phase !== 'starting') return [];
    const heard = lastWords.get(last.newId);
    const lines = heard?.lines ?? parts.lastLines(last.newId);
    const bound = new AbortController();
    try {
      return await Promise.race([lines, sleep(wordsMs, [], { signal: bound.signal })]).catch(() => []);
    } finally {
      bound.abort();
      heard?.end();
    }
  }

  /** What was asked by a call without an answer may happen yet: everything is looked at until that can't be any more. */
  async function outlast(run: Run, plan: RebuildPlan, error: unknown) {
    const isUncertain = isProblem(error, 'engine_timeout') || isProblem(error, 'engine_unreachable');
    if (!isUncertain && !(error instanceof Interrupted)) return;
    const stopMs = plan.phase === 'swapping' ? Math.max(...plan.members.map((member) => member.stopMs)) : 0;
    for (const end = Date.now() + bounds.lateMs + stopMs; Date.now() < end; ) {
      await sleep(Math.min(lookMs, bounds.lateMs), undefined, { signal: run.closing });
      await undo(plan);
    }
  }

  /** Brings everything back to how it was, from wherever it is; done again, it does no harm. */
  async function undo(plan: RebuildPlan) {
    for (const member of plan.members.toReversed()) await removeNew(member);
    const ids = new Map<string, string>();
    for (const member of plan.members) {
      const id = await bringBack(member, plan, ids);
      ids.set(member.oldId, id);
      await restart(member, id);
    }
  }

  /** Of a call without an answer only the name is known that it was to give. */
  async function removeNew({ newId, newName, hasNewVolumes }: Member) {
    const made = await find(newId ?? newName);
    if (!made) return;
    const id = idOf(made);
    // Only what the new image brought is without a name: volumes of the old one are attached by theirs. Podman would
    // take those along as well.
    const volumes = hasNewVolumes && !parts.isPodman();
    await docker.actOnContainer(id, 'remove', newName, { force: true, volumes }).catch(unlessGone);
    await untilGone(id, newName);
  }

  /**
   * The old one under its own name. It is made again where it is gone (`--rm`, or somebody removed what was stopped), and
   * where it joins one that was made again.
   */
  async function bringBack(member: Member, plan: RebuildPlan, ids: ReadonlyMap<string, string>): Promise<string> {
    const old = await find(member.oldId);
    const restoration = join(member.restoration, plan, ({ oldId }) => ids.get(oldId) ?? null);
    if (old && restoration === member.restoration) {
      if (nameOf(old) !== member.name) await docker.renameContainer(member.oldId, member.name, nameOf(old));
      return member.oldId;
    }
    if (old) {
      await docker.actOnContainer(member.oldId, 'remove', nameOf(old), { force: true }).catch(unlessGone);
      await untilGone(member.oldId, member.name);
    }
    return make(member, member.name, restoration, plan);
  }

  async function restart({ name, wasRunning, wasPaused }: Member, id: string) {
    if (!wasRunning) return;
    const state = documentOf((await docker.containerDocument(id, name)).State);
    if (!state.Running) await docker.actOnContainer(id, 'start', name);
    if (wasPaused && !state.Paused) await docker.actOnContainer(id, 'pause', name);
  }

  // ── both ways ──

  /** Lets a recreation join the namespaces of those members that were made anew before it; itself where it joins none. */
  function join(recreation: Recreation, { members }: RebuildPlan, idOf: (member: Member) => string | null): Recreation {
    return members.reduce((joined, member) => {
      const id = idOf(member);
      return id === null || id === member.oldId ? joined : joining(joined, member, id);
    }, recreation);
  }

  async function find(ref: string): Promise<Document | undefined> {
    return docker.containerDocument(ref).catch(unlessGone);
  }

  /** The engine removes some containers by itself, and some only after it has answered. */
  async function untilGone(id: string, name: string) {
    const deadline = Date.now() + docker.timeouts.action;
    while (await find(id)) {
      if (Date.now() > deadline) throw new Problem('engine_timeout', `Container ${name} is still being removed.`);
      await sleep(pollMs);
    }
  }

  /** Tries again what has to succeed, ever more slowly, until the bound. */
  async function persist(run: Run, task: () => Promise<void>) {
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

  return { execute, recover };
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
class Interrupted extends Problem {
  constructor() {
    super('conflict', 'Fairlead ended while it ran.');
  }
}

function unlessGone(error: unknown): undefined {
  if (isProblem(error, 'not_found')) return undefined;
  throw error;
}

const idOf = (container: Document) => text(container.Id) ?? '';

const nameOf = (container: Document) => (text(container.Name) ?? '').replace(/^\//, '');

const namesOf = ({ members }: RebuildPlan) => members.map(({ name }) => name).join(', ');

const nameIfMany = ({ name }: Member, { members }: RebuildPlan) => (members.length > 1 ? name : '');
