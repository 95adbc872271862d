import { isProblem, Problem } from '../errors.ts';
import type { DockerPort } from './docker.ts';
import { type Document, documentOf } from './own-settings.ts';
import { text } from './readers.ts';
import { type EngineTraits, joinedId, namespaceModes } from './recreation.ts';

/** A container with the image it was made from, as the engine tells them now. */
export type Surveyed = {
  container: Document;
  /** Empty where somebody removed the image by force. */
  image: Document;
};

/** All that a rebuild has to know before anything is done. */
export type Survey = Surveyed & {
  /** Those that share its namespaces, and those that share theirs, in the order of their start. */
  dependants: Surveyed[];
  /** Names of containers with a legacy link to it. */
  linkedBy: string[];
  engine: EngineTraits;
};

const maxParallel = 8;

/** A container's id, name and image as its inspect answer has them. */
export const idOf = ({ container }: Surveyed): string => text(container.Id) ?? '';
export const nameOf = ({ container }: Surveyed): string => (text(container.Name) ?? '').replace(/^\//, '');
export const imageIdOf = ({ container }: Surveyed): string => text(container.Image) ?? '';
export const stateOf = ({ container }: Surveyed): string => text(documentOf(container.State).Status) ?? '';
export const hostOf = ({ container }: Surveyed): Document => documentOf(container.HostConfig);
export const configOf = ({ container }: Surveyed): Document => documentOf(container.Config);

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
  const image = await imageOf(docker, container);
  const others = await inspectOthers(docker, text(container.Id) ?? '');
  const dependants = dependantsOf(container, others);
  return {
    container,
    image,
    dependants: await Promise.all(dependants.map(async (other) => withImage(docker, other))),
    linkedBy: others
      .filter((other) => isLinkedTo(other, container))
      .map((other) => nameOf({ container: other, image })),
    engine: {
      apiVersion: version.ApiVersion ?? '',
      architecture: version.Arch ?? '',
      hostName: info.Name ?? '',
    },
  };
}

const withImage = async (docker: DockerPort, container: Document): Promise<Surveyed> => ({
  container,
  image: await imageOf(docker, container),
});

async function imageOf(docker: DockerPort, container: Document): Promise<Document> {
  const id = text(container.Image);
  if (!id) throw new Problem('engine_error', 'The engine does not tell which image the container was made from.');
  return docker.imageDocument(id).catch((error: unknown) => unlessGone(error, {}));
}

async function inspectOthers(docker: DockerPort, id: string): Promise<Document[]> {
  const ids = (await docker.listContainers()).map((item) => item.Id).filter((other) => other !== id);
  const others: Document[] = [];
  for (let start = 0; start < ids.length; start += maxParallel) {
    const asked = ids.slice(start, start + maxParallel).map((other) => inspectIfThere(docker, other));
    others.push(...(await Promise.all(asked)).filter((other) => other !== undefined));
  }
  return others;
}

async function inspectIfThere(docker: DockerPort, id: string): Promise<Document | undefined> {
  return docker.containerDocument(id).catch((error: unknown) => unlessGone(error, undefined));
}

function unlessGone<T>(error: unknown, fallback: T): T {
  if (isProblem(error, 'not_found')) return fallback;
  throw error;
}

/** Those that join its namespaces, then those that join theirs: each stands behind the one it needs. */
function dependantsOf(container: Document, others: readonly Document[]): Document[] {
  const found: Document[] = [];
  collect(container);
  return found;

  function collect(needed: Document) {
    for (const other of others) {
      if (found.includes(other) || !joins(other, needed)) continue;
      found.push(other);
      collect(other);
    }
  }
}

function joins(other: Document, needed: Document): boolean {
  const names = [text(needed.Id), (text(needed.Name) ?? '').replace(/^\//, '')];
  return namespaceModes.some((mode) => {
    const joined = joinedId(text(documentOf(other.HostConfig)[mode]));
    return joined !== undefined && names.includes(joined);
  });
}

/** A legacy link as inspect tells it: `/db:/web/alias`. */
function isLinkedTo(other: Document, container: Document): boolean {
  const { Links: links } = documentOf(other.HostConfig);
  return Array.isArray(links) && links.some((link) => text(link)?.startsWith(`${text(container.Name)}:`));
}
