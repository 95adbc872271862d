import type { Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import { type LogMembers, type LogSelection, maxMembers, selectMembers } from '../services/log-selection.ts';
import { requireEngine } from './pages.ts';

/** What merged logs are of: whose lines, and where they are found. */
export type LogSubject = {
  selection: LogSelection;
  title: string;
  /** The page without the base path, with the names of chosen containers in its address. */
  path: string;
  /** The page of what the logs are of. */
  backPath: string;
  topic: string;
  /** The names that were chosen; none for a project. */
  names: readonly string[];
};

const maxTitleNames = 3;
/** They stand in every address, of which a request has three. */
const maxNamesLength = 12_000;

/** The logs of a Compose project. */
export function projectLogs(project: string): LogSubject {
  const backPath = `/projects/${encodeURIComponent(project)}`;
  const topic = `logs:project:${project}`;
  return { selection: { project }, title: project, path: `${backPath}/logs`, backPath, topic, names: [] };
}

/**
 * The logs of containers by their names, each once.
 * @throws Problem `invalid` that names the field, for a name that no container can have, or for too many
 */
export function chosenLogs(field: 'container' | 'topic', wanted: readonly string[]): LogSubject {
  const names = [...new Set(wanted.filter((name) => name !== ''))].map((name) => checkName(field, name));
  if (names.length > maxMembers) {
    throw new Problem(
      'invalid',
      `${field}: the logs of ${maxMembers} containers at most can be read as one; ${names.length} were chosen.`,
    );
  }
  if (names.join().length > maxNamesLength) {
    throw new Problem(
      'invalid',
      `${field}: the names of all chosen containers may have 12,000 characters together; choose fewer.`,
    );
  }
  const title = names.length > maxTitleNames ? `${names.length} containers` : names.join(', ');
  const query = names.map((name) => `container=${encodeURIComponent(name)}`).join('&');
  const path = `/logs${query && `?${query}`}`;
  return { selection: { names }, title, path, backPath: '/logs', topic: `logs:names:${names.join(',')}`, names };
}

function checkName(field: string, name: string): string {
  try {
    return checkContainerRef(name);
  } catch {
    throw new Problem('invalid', `${field}: must be names of containers: letters, digits, "_", "." and "-".`);
  }
}

/**
 * The containers that the logs are of. Of those that were chosen none has to be there yet, unless `isThere` is asked for.
 * @throws Problem `not_found`, or `engine_unreachable` where it may only not be known
 */
export function findMembers(deps: Deps, { selection, names }: LogSubject, isThere: boolean): LogMembers {
  const found = selectMembers(deps.inventory.containers(), selection);
  if (found.members.length > 0 || ('names' in selection && !isThere)) return found;
  requireEngine(deps);
  const what = 'project' in selection ? `Project ${selection.project}` : `Container ${names.join(', ')}`;
  throw new Problem('not_found', `${what} not found`);
}
