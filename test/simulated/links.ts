import type { SimulatedContainer } from './container.ts';
import type { ContainerIndex } from './container-index.ts';
import type { CreateBody } from './container-spec.ts';
import { EngineError } from './errors.ts';

/** A container that another one reaches by an alias: how containers found each other before there were networks. */
export interface Link {
  /** It may be gone: the link stays, and keeps its last name. */
  readonly target: SimulatedContainer;
  readonly alias: string;
}

/**
 * Reads `HostConfig.Links`, as clients write them and as inspect shows them.
 * @example toLinks({ HostConfig: { Links: ['db', 'db:sql', '/db:/web/sql'] } }, index)
 */
export function toLinks(body: CreateBody, index: ContainerIndex): Link[] {
  return (body.HostConfig?.Links ?? []).map((text) => {
    const [name = '', alias = name] = text.split(':');
    return { target: findTarget(name.replace(/^\//, ''), index), alias: alias.slice(alias.lastIndexOf('/') + 1) };
  });
}

function findTarget(name: string, index: ContainerIndex): SimulatedContainer {
  try {
    return index.get(name);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(400, `could not get container for ${name}: ${error.message}`);
  }
}

/** `HostConfig.Links` as inspect shows them. */
export function toLinkTexts({ name, links }: SimulatedContainer): string[] | null {
  if (links.length === 0) return null;
  return links.map(({ target, alias }) => `/${target.name}:/${name}/${alias}`);
}

/** Why a start fails; null when all that it links to runs. */
export function refuseLinks({ name, links }: SimulatedContainer): EngineError | null {
  const down = links.find(({ target }) => target.pid === 0);
  if (!down) return null;
  const text = `Cannot link to a non running container: /${down.target.name} AS /${name}/${down.alias}`;
  return new EngineError(500, text);
}

/** The names that the list shows beside a container's own, by its id: `/web/db`. */
export function toLinkNames(containers: Iterable<SimulatedContainer>): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { name, links } of containers) {
    for (const { target, alias } of links) names.set(target.id, [...(names.get(target.id) ?? []), `/${name}/${alias}`]);
  }
  return names;
}
