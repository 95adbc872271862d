import type { FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import type { Scope } from '../services/capabilities.ts';
import { scopeInventory } from '../services/scope.ts';
import { scopeHistory } from '../services/scoped-history.ts';
import { scopeOperations, withoutOthers } from '../services/scoped-operations.ts';
import { scopeLogs, scopeStats } from '../services/scoped-reading.ts';

/**
 * What a request is answered with: all of it, or what its sender may see of it. Routes that are open to who sees some
 * containers only get nothing else to work with, so that none can forget to ask.
 */
export type DepsOf = (asked: Pick<FastifyRequest, 'principal'>) => Deps;

/** So many are kept; they are cheap to make anew. */
const maxKept = 100;

/** Creates the lookup of what a request is answered with. Who has not signed in sees nothing. */
export function createDepsOf(deps: Deps): DepsOf {
  const kept = new Map<string, Deps>();
  return ({ principal }) => {
    const { scope, name } = principal ?? { scope: [], name: '' };
    if (scope === null) return deps;
    const key = JSON.stringify([name, scope]);
    const found = kept.get(key) ?? narrow(deps, scope, name);
    // Who asked last is kept longest.
    kept.delete(key);
    kept.set(key, found);
    const [oldest] = kept.keys();
    if (kept.size > maxKept && oldest !== undefined) kept.delete(oldest);
    return found;
  };
}

function narrow(deps: Deps, scope: Scope, name: string): Deps {
  const { projects, rebuilds } = deps;
  const inventory = scopeInventory(deps.inventory, scope);
  return {
    ...deps,
    inventory,
    stats: scopeStats(deps.stats, inventory),
    logs: scopeLogs(deps.logs, inventory, deps.inventory),
    history: scopeHistory(deps.history, inventory, scope, name),
    operations: scopeOperations(deps.operations, name),
    projects: { start: (...wanted) => withoutOthers(name, () => projects.start(...wanted)) },
    rebuilds: {
      ...rebuilds,
      start: (...wanted) => withoutOthers(name, () => rebuilds.start(...wanted)),
      startProject: (...wanted) => withoutOthers(name, () => rebuilds.startProject(...wanted)),
    },
  };
}
