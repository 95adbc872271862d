import { isDeepStrictEqual } from 'node:util';
import type { ContainerMaker } from './container-maker.ts';
import type { DockerPort } from './docker.ts';
import { type Document, documentOf, textsOf } from './own-settings.ts';
import { text } from './readers.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import { hostOf, idOf, nameOf } from './rebuild-survey.ts';
import type { Member, RebuildPlan } from './rebuild-types.ts';
import { joinedId, joining, namespaceModes, type Recreation } from './recreation.ts';

type Parts = { docker: DockerPort; journal: RebuildJournal; maker: ContainerMaker; isPodman: () => boolean };

/** How a rebuild is undone. */
export type RebuildUndo = ReturnType<typeof createRebuildUndo>;

/**
 * Creates the way back. What has to be undone is read from the engine and never from what was meant to be done: a call
 * that seemed to fail may have had its effect.
 */
export function createRebuildUndo({ docker, journal, maker, isPodman }: Parts) {
  async function undo(plan: RebuildPlan) {
    await maker.restoreTags(plan);
    // Until then nothing was done to the old ones: what became of them in the meantime is somebody else's will.
    if (plan.phase === 'creating') return removeUnused(plan);
    for (const member of plan.members.toReversed()) await removeNew(member);
    const ids = new Map<string, string>();
    for (const member of plan.members) {
      const id = await bringBack(plan, member, ids);
      ids.set(member.oldId, id);
      await restart(member, id);
    }
  }

  async function removeUnused({ members }: RebuildPlan) {
    for (const member of members.toReversed()) {
      const [made, standIn] = [await maker.findByName(member.newName), await maker.findByName(member.standInName)];
      if (made) await removeOne(member, made);
      if (standIn) await maker.remove(idOf({ container: standIn }), member.standInName);
    }
  }

  /** Of a call without an answer only the name is known that it was to give. */
  async function removeNew(member: Member) {
    const made = (await maker.findById(member.newId)) ?? (await maker.findByName(member.newName));
    if (made) await removeOne(member, made);
  }

  /** Only what the new image brought is without a name, and goes: Podman would take volumes with names along as well. */
  const removeOne = ({ newName, hasNewVolumes }: Member, container: Document) =>
    maker.remove(idOf({ container }), newName, { volumes: hasNewVolumes && !isPodman() });

  const findStandIn = async ({ standInId, standInName }: Member) =>
    (await maker.findById(standInId)) ?? (await maker.findByName(standInName));

  async function removeStandIn(member: Member) {
    const made = await findStandIn(member);
    if (made) await maker.remove(idOf({ container: made }), member.standInName);
  }

  /**
   * The old one under its own name, or where that is gone (`--rm`, or somebody removed what was stopped) what stands in
   * for it; the same where it joins one that has a stand-in.
   */
  async function bringBack(plan: RebuildPlan, member: Member, ids: ReadonlyMap<string, string>): Promise<string> {
    const old = await maker.findById(member.oldId);
    const wanted = joinMembers(member.restoration, plan, ({ oldId }) => ids.get(oldId) ?? null);
    if (old && wanted === member.restoration) {
      await removeStandIn(member);
      await nameIt(old, member.name);
      return member.oldId;
    }
    const standIn = await makeStandIn(plan, member, wanted);
    if (old) await maker.remove(member.oldId, nameOf({ container: old }));
    await nameIt(standIn, member.name);
    return idOf({ container: standIn });
  }

  async function makeStandIn(plan: RebuildPlan, member: Member, wanted: Recreation): Promise<Document> {
    const made = await findStandIn(member);
    if (made && !joinsTheSame(made, wanted)) await removeStandIn(member);
    else if (made && nameOf({ container: made }) !== member.standInName) return made;
    const making = { name: member.standInName, imageId: member.oldImageId, recreation: wanted };
    member.standInId = await maker.make(plan, member, making);
    await journal.save(plan);
    await maker.checkImage(member.standInId, making);
    return docker.containerDocument(member.standInId, member.name);
  }

  async function nameIt(container: Document, name: string) {
    const now = nameOf({ container });
    if (now !== name) await docker.renameContainer(idOf({ container }), name, now);
  }

  async function restart({ name, wasRunning, wasPaused }: Member, id: string) {
    if (!wasRunning) return;
    const state = documentOf((await docker.containerDocument(id, name)).State);
    if (!state.Running) await docker.actOnContainer(id, 'start', name);
    if (wasPaused && !state.Paused) await docker.actOnContainer(id, 'pause', name);
  }

  return {
    /** Brings everything back to how it was, from wherever it is; done again, it does no harm. */
    undo,

    /** Removes what was made under a name that only a rebuild gives, and that nothing came of. */
    removeUnused,
  };
}

/** Lets a recreation join those members that were made anew before it, by their new ids; itself where it joins none. */
export function joinMembers(
  recreation: Recreation,
  { members }: RebuildPlan,
  newIdOf: (member: Member) => string | null,
): Recreation {
  return members.reduce((joined, member) => {
    const id = newIdOf(member);
    return id === null || id === member.oldId ? joined : joining(joined, member, id);
  }, recreation);
}

function joinsTheSame(container: Document, { body }: Recreation): boolean {
  const [host, wanted] = [hostOf({ container }), documentOf(body.HostConfig)];
  const joined = (config: Document, mode: string) => joinedId(text(config[mode]));
  return (
    namespaceModes.every((mode) => joined(host, mode) === joined(wanted, mode)) &&
    isDeepStrictEqual(textsOf(host.VolumesFrom), textsOf(wanted.VolumesFrom)) &&
    // A link is gone with whom it led to.
    textsOf(host.Links).length === textsOf(wanted.Links).length
  );
}
