import { Problem, unlessNotFound } from '../errors.ts';
import type { DockerPort } from './docker.ts';
import { type Document, documentOf, textsOf } from './own-settings.ts';
import { text } from './readers.ts';
import { type EngineTraits, isIdIn, joinedId, lenderOf, namespaceModes } from './recreation.ts';

/** A container with the image it was made from, as the engine tells them now. */
export type Surveyed = {
  container: Document;
  /** Empty where somebody removed the image by force. */
  image: Document;
  /** The mounts of those whose volumes it takes (`--volumes-from`): it gets them from there again. */
  borrowed: Document[];
};

/** All that a rebuild has to know before anything is done. */
export type Survey = Surveyed & {
  /**
   * Those that share its namespaces, have a legacy link to it or take its volumes by its id, and those that hang on them,
   * in the order of their start.
   */
  dependants: Surveyed[];
  engine: EngineTraits;
};

const maxParallel = 8;

type Inspected = Pick<Surveyed, 'container'>;

/** A container's id, name and image as its inspect answer has them. */
export const idOf = ({ container }: Inspected): string => text(container.Id) ?? '';
export const nameOf = ({ container }: Inspected): string => (text(container.Name) ?? '').replace(/^\//, '');
export const imageIdOf = ({ container }: Inspected): string => text(container.Image) ?? '';
export const stateOf = ({ container }: Inspected): string => text(documentOf(container.State).Status) ?? '';
export const hostOf = ({ container }: Inspected): Document => documentOf(container.HostConfig);
export const configOf = ({ container }: Inspected): Document => documentOf(container.Config);

/** Whether it runs, or would but for the moment between two of its starts. */
export function isRunning({ container }: Inspected): boolean {
  const { Running, Restarting } = documentOf(container.State);
  return Running === true || Restarting === true;
}

/** Whether one container can only be started while another runs: it joins its namespaces, or is linked to it. */
export const needs = (one: Inspected, other: Inspected): boolean => joins(one, other) || isLinkedTo(one, other);

/** Whether one can only be made anew as it is while another is there: it needs it, or takes its volumes by its id. */
const hangsOn = (one: Inspected, other: Inspected) => needs(one, other) || borrowsFrom(one, other);

/** Whether one takes the volumes of another, by its id (`--volumes-from`). */
export function borrowsFrom(one: Inspected, other: Inspected): boolean {
  return textsOf(hostOf(one).VolumesFrom).some((entry) => isIdIn(entry, idOf(other)));
}

/**
 * Asks the engine for a container, for its image, and for those that hang on it. Who joins whose namespace only inspects
 * tell, so every container is looked at once, eight at a time.
 */
export async function surveyRebuild(docker: DockerPort, ref: string): Promise<Survey> {
  const [container, version, info] = await Promise.all([
    docker.containerDocument(ref),
    docker.version(),
    docker.info().catch(() => ({ Name: '' })),
  ]);
  const others = await inspectOthers(docker, text(container.Id) ?? '');
  const dependants = dependantsOf(container, others);
  return {
    ...(await lookAt(docker, container, others)),
    dependants: await Promise.all(dependants.map((other) => lookAt(docker, other, [container, ...others]))),
    engine: {
      apiVersion: version.ApiVersion ?? '',
      architecture: version.Arch ?? '',
      hostName: info.Name ?? '',
    },
  };
}

async function lookAt(docker: DockerPort, container: Document, others: readonly Document[]): Promise<Surveyed> {
  return { container, image: await imageOf(docker, container), borrowed: borrowedMounts(container, others) };
}

async function imageOf(docker: DockerPort, container: Document): Promise<Document> {
  const id = imageIdOf({ container });
  if (!id) throw new Problem('engine_error', 'The engine does not tell which image the container was made from.');
  return (await docker.imageDocument(id).catch(unlessNotFound)) ?? {};
}

/** `name`, `name:ro` or an id, as `--volumes-from` was given. */
function borrowedMounts(container: Document, others: readonly Document[]): Document[] {
  const lenders = textsOf(hostOf({ container }).VolumesFrom).map(lenderOf);
  const isLender = (other: Document) =>
    lenders.some((lender) => nameOf({ container: other }) === lender || idOf({ container: other }).startsWith(lender));
  return others.filter(isLender).flatMap(({ Mounts }) => (Array.isArray(Mounts) ? Mounts.map(documentOf) : []));
}

async function inspectOthers(docker: DockerPort, id: string): Promise<Document[]> {
  const ids = (await docker.listContainers()).map((item) => item.Id).filter((other) => other !== id);
  const others: Document[] = [];
  for (let start = 0; start < ids.length; start += maxParallel) {
    const asked = ids
      .slice(start, start + maxParallel)
      .map((other) => docker.containerDocument(other).catch(unlessNotFound));
    others.push(...(await Promise.all(asked)).filter((other) => other !== undefined));
  }
  return others;
}

/**
 * Those that hang on it, and those that hang on them: each stands behind all that it hangs on. That is the order in
 * which a depth first search has finished with them, the last first.
 */
function dependantsOf(container: Document, others: readonly Document[]): Document[] {
  const seen = new Set([container]);
  const finished: Document[] = [];
  visit(container);
  return finished.reverse().slice(1);

  function visit(needed: Document) {
    for (const other of others) {
      if (seen.has(other) || !hangsOn({ container: other }, { container: needed })) continue;
      seen.add(other);
      visit(other);
    }
    finished.push(needed);
  }
}

function joins(one: Inspected, other: Inspected): boolean {
  return namespaceModes.some((mode) => {
    const joined = joinedId(text(hostOf(one)[mode]));
    return joined !== undefined && [idOf(other), nameOf(other)].includes(joined);
  });
}

/** Whether one has a legacy link to another, which inspect tells as `/db:/web/alias`. */
export function isLinkedTo(one: Inspected, other: Inspected): boolean {
  return textsOf(hostOf(one).Links).some((link) => link.startsWith(`/${nameOf(other)}:`));
}
