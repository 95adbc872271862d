import { setTimeout as sleep } from 'node:timers/promises';
import { Problem, unlessNotFound } from '../errors.ts';
import type { DockerPort } from './docker.ts';
import type { RemoveChoices } from './docker-containers.ts';
import { bareId } from './images.ts';
import { type Document, documentOf } from './own-settings.ts';
import { text } from './readers.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import { imageIfThere } from './rebuild-plan.ts';
import { idOf, imageIdOf, nameOf } from './rebuild-survey.ts';
import type { Member, RebuildPlan, Retag } from './rebuild-types.ts';
import type { Recreation } from './recreation.ts';
import { readReference } from './references.ts';

const pollMs = 100;

/** What is to be made: under which name, from which image by its full id, and how. */
export type Making = { name: string; imageId: string; recreation: Recreation };

/** What finds, makes and removes the containers of a rebuild. */
export type ContainerMaker = ReturnType<typeof createContainerMaker>;

/** Creates what finds, makes and removes the containers of a rebuild; each of it does no harm when it is done again. */
export function createContainerMaker(docker: DockerPort, journal: RebuildJournal) {
  let lastTurn: Promise<unknown> = Promise.resolve();

  /** Engines take the beginning of an id as well, and a name that reads like one: it has to be exactly this. */
  async function findById(id: string | null): Promise<Document | undefined> {
    const container = id === null ? undefined : await docker.containerDocument(id).catch(unlessNotFound);
    return container && idOf({ container }) === id ? container : undefined;
  }

  async function findByName(name: string): Promise<Document | undefined> {
    const container = await docker.containerDocument(name).catch(unlessNotFound);
    return container && nameOf({ container }) === name ? container : undefined;
  }

  async function make(plan: RebuildPlan, member: Member, making: Making): Promise<string> {
    const made = await findMade(making);
    const id = made ? idOf({ container: made }) : await inTurn(() => create(plan, member, making));
    await connect(id, making.recreation, made);
    return id;
  }

  /** What a call without an answer made: of no use where the tag had come to mean another image when it did. */
  async function findMade({ name, imageId }: Making): Promise<Document | undefined> {
    const made = await findByName(name);
    if (!made || isFrom(made, imageId)) return made;
    await remove(idOf({ container: made }), name);
    return undefined;
  }

  /** While a tag means an older image for one that is created, no other may be created by that tag. */
  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = lastTurn.then(task);
    lastTurn = turn.catch(() => {});
    return turn;
  }

  async function create(plan: RebuildPlan, member: Member, { name, imageId, recreation }: Making): Promise<string> {
    const rules = { basis: member.basis, allowsPrivileged: plan.allowsPrivileged };
    const retag = imageId === member.oldImageId ? await toRetag(text(recreation.body.Image) ?? '', imageId) : null;
    if (!retag) return docker.createContainer(name, recreation, rules);
    return withTag(plan, retag, () => docker.createContainer(name, recreation, rules));
  }

  /** Nothing where a name means that image, or can't be moved. */
  async function toRetag(written: string, id: string): Promise<Retag | null> {
    const now = text((await imageIfThere(docker, written))?.Id) ?? null;
    const reference = now === id || bareId(written) === bareId(id) ? undefined : readReference(written);
    return reference?.digest === null ? { reference, id, now } : null;
  }

  async function connect(id: string, { connects, disconnects }: Recreation, made: Document | undefined) {
    const networks = documentOf(documentOf(made?.NetworkSettings).Networks);
    for (const { network, endpoint } of connects) {
      if (!(network in networks)) await docker.connectNetwork(network, id, endpoint);
    }
    for (const network of disconnects) {
      if (!made || network in networks) await docker.disconnectNetwork(network, id);
    }
  }

  /** Lets a tag mean an older image for as long as something takes; the journal knows, should it take for ever. */
  async function withTag<T>(plan: RebuildPlan, retag: Retag, task: () => Promise<T>): Promise<T> {
    plan.retags = [...plan.retags.filter(({ reference }) => reference.text !== retag.reference.text), retag];
    await journal.save(plan);
    await docker.tagImage(retag.id, retag.reference);
    try {
      return await task();
    } finally {
      await restoreTag(retag);
    }
  }

  async function restoreTag({ reference, id, now }: Retag) {
    // One that meant nothing keeps its older meaning: to take it away could take the image along.
    if (now === null) return;
    const image = await docker.imageDocument(reference.text).catch(unlessNotFound);
    // Somebody may have moved it on since.
    if (text(image?.Id) === id) await docker.tagImage(now, reference).catch(unlessNotFound);
  }

  /** The engine removes some containers by itself, and some only after it has answered. */
  async function untilGone(id: string, name: string): Promise<void> {
    const deadline = Date.now() + docker.timeouts.action;
    while (await findById(id)) {
      if (Date.now() > deadline) throw new Problem('engine_timeout', `Container ${name} is still being removed.`);
      await sleep(pollMs);
    }
  }

  async function remove(id: string, name: string, choices: RemoveChoices = {}): Promise<void> {
    await docker.actOnContainer(id, 'remove', name, { ...choices, force: true }).catch(unlessNotFound);
    await untilGone(id, name);
  }

  return {
    findById,
    findByName,

    /**
     * Makes a container with its networks, or what of it is not there yet, and gives its id. Whatever has the name
     * already is taken for it, or removed: it has to be one that nobody else gives.
     */
    make,

    /**
     * Makes sure that a container was made from an image: somebody may have moved its tag in between.
     * @throws Problem `conflict`
     */
    async checkImage(id: string, { name, imageId }: Making): Promise<void> {
      if (!isFrom(await docker.containerDocument(id, name), imageId))
        throw new Problem('conflict', `The tag of ${name} names another image now than when it was looked at.`);
    },

    /** Lets the tags that a rebuild moved for a moment mean again what they did. */
    async restoreTags({ retags }: RebuildPlan): Promise<void> {
      for (const retag of retags) await restoreTag(retag);
    },

    /** Removes a container, running or not; one that is gone is fine. */
    remove,

    untilGone,
  };
}

const isFrom = (container: Document, imageId: string) => bareId(imageIdOf({ container })) === bareId(imageId);
