import type { SimulatedContainer } from './container.ts';
import { EngineError } from './errors.ts';
import type { Flavour } from './flavours.ts';

/** The containers by id and name: how they are found, and which names are free. */
export type ContainerIndex = ReturnType<typeof createContainerIndex>;

const NAME = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Creates an empty index. */
export function createContainerIndex(flavour: Flavour) {
  const byId = new Map<string, SimulatedContainer>();
  const byName = new Map<string, SimulatedContainer>();

  function get(reference: string): SimulatedContainer {
    const found = find(reference);
    if (!found) throw noSuchContainer(reference);
    return found;
  }

  /** By full id, then name, then unambiguous prefix: in Docker's own order. */
  function find(reference: string): SimulatedContainer | undefined {
    return byId.get(reference) ?? byName.get(reference.replace(/^\//, '')) ?? getByPrefix(reference);
  }

  function getByPrefix(prefix: string): SimulatedContainer | undefined {
    if (!/^[0-9a-f]+$/.test(prefix)) return undefined;
    const found = [...byId.values()].filter((container) => container.id.startsWith(prefix));
    if (found.length > 1) throw new EngineError(400, `Multiple IDs found with provided prefix: ${prefix}`);
    return found[0];
  }

  function noSuchContainer(reference: string): EngineError {
    if (!flavour.isPodman) return new EngineError(404, `No such container: ${reference}`);
    const cause = 'no such container';
    return new EngineError(404, `no container with name or ID "${reference}" found: ${cause}`, cause);
  }

  /** The name without its slash; throws when it is malformed or taken. */
  function checkName(wanted: string): string {
    if (!NAME.test(wanted)) {
      const allowed = 'only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed';
      throw new EngineError(400, `Invalid container name (${wanted}), ${allowed}`);
    }
    const name = wanted.replace(/^\//, '');
    const holder = byName.get(name);
    if (holder) throw nameConflict(name, holder);
    return name;
  }

  function nameConflict(name: string, holder: SimulatedContainer): EngineError {
    if (!flavour.isPodman) {
      const advice = 'You have to remove (or rename) that container to be able to reuse that name.';
      const text = `Conflict. The container name "/${name}" is already in use by container "${holder.id}". ${advice}`;
      return new EngineError(409, text);
    }
    const cause = 'that name is already in use';
    const text = `the container name "${name}" is already in use by ${holder.id}. You have to remove that container`;
    const prefix = 'container create: creating container storage: ';
    return new EngineError(500, `${prefix}${text} to be able to reuse that name: ${cause}`, cause);
  }

  return {
    get,
    find,
    checkName,
    all: () => byId.values(),
    has: (id: string) => byId.has(id),
    add(container: SimulatedContainer) {
      byId.set(container.id, container);
      byName.set(container.name, container);
    },
    rename(container: SimulatedContainer, name: string) {
      byName.delete(container.name);
      byName.set(name, container);
      container.name = name;
    },
    delete(container: SimulatedContainer) {
      byId.delete(container.id);
      byName.delete(container.name);
    },
  };
}
