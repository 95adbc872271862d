import { setTimeout as sleep } from 'node:timers/promises';
import { Problem, unlessNotFound } from '../errors.ts';
import type { DockerPort } from './docker.ts';
import type { RemoveChoices } from './docker-containers.ts';
import { type Document, documentOf } from './own-settings.ts';
import { text } from './readers.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import { idOf, nameOf } from './rebuild-survey.ts';
import type { Member, RebuildPlan } from './rebuild-types.ts';
import type { Recreation, Retag } from './recreation.ts';

const pollMs = 100;

/** What finds, makes and removes the containers of a rebuild. */
export type ContainerMaker = ReturnType<typeof createContainerMaker>;

/** Creates what finds, makes and removes the containers of a rebuild; each of it does no harm when it is done again. */
export function createContainerMaker(docker: DockerPort, journal: RebuildJournal) {
  /** Engines take the beginning of an id as well, and a name that reads like one: it has to be exactly this. */
  async function findById(id: string | null): Promise<Document | undefined> {
    const container = id === null ? undefined : await docker.containerDocument(id).catch(unlessNotFound);
    return container && idOf({ container }) === id ? container : undefined;
  }

  async function findByName(name: string): Promise<Document | undefined> {
    const container = await docker.containerDocument(name).catch(unlessNotFound);
    return container && nameOf({ container }) === name ? container : undefined;
  }

  async function make(plan: RebuildPlan, { basis }: Member, name: string, recreation: Recreation): Promise<string> {
    const rules = { basis, allowsPrivileged: plan.allowsPrivileged };
    const made = await findByName(name);
    const create = () => docker.createContainer(name, recreation, rules);
    const id = made ? idOf({ container: made }) : await withTag(plan, recreation.retag, create);
    await connect(id, recreation, made);
    return id;
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
  async function withTag<T>(plan: RebuildPlan, retag: Retag | null, task: () => Promise<T>): Promise<T> {
    if (!retag) return task();
    plan.retags.push(retag);
    await journal.save(plan);
    await docker.tagImage(retag.id, retag.reference);
    try {
      return await task();
    } finally {
      // One that meant nothing keeps its older meaning: to take it away could take the image along.
      if (retag.now !== null) await docker.tagImage(retag.now, retag.reference);
    }
  }

  async function restoreTag({ reference, id, now }: Retag) {
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

  return {
    findById,
    findByName,

    /**
     * Makes a container with its networks, or what of it is not there yet, and gives its id. Whatever has the name
     * already is taken for it: it has to be one that nobody else gives.
     */
    make,

    /** Lets the tags that a rebuild moved for a moment mean again what they did. */
    async restoreTags({ retags }: RebuildPlan): Promise<void> {
      for (const retag of retags) await restoreTag(retag);
    },

    /** Removes a container, running or not; one that is gone is fine. */
    async remove(id: string, name: string, choices: RemoveChoices = {}): Promise<void> {
      await docker.actOnContainer(id, 'remove', name, { ...choices, force: true }).catch(unlessNotFound);
      await untilGone(id, name);
    },

    untilGone,
  };
}
