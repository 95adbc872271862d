import type { Container } from './containers.ts';

/** Whose lines a merged log has: all of a Compose project, or containers by their names. */
export type LogSelection = { project: string } | { names: readonly string[] };

/** One container of a merged log, and what its lines are marked with. */
export type LogMember = { id: string; label: string };

/**
 * The containers of a merged log, how many of them are left out because there are too many, and the names of which there
 * is none now.
 */
export type LogMembers = { members: LogMember[]; omitted: number; missing: string[] };

/** Each costs the engine a stream. */
export const maxMembers = 100;
const maxLabel = 64;

/**
 * The containers of a merged log as they are now, by name; of too many those that run, then the newest. A selection goes by
 * names and never by ids, so that one that is recreated goes on in the same view.
 */
export function selectMembers(containers: readonly Container[], selection: LogSelection): LogMembers {
  const found = containers.filter(toTest(selection));
  const label = 'project' in selection ? toServiceLabel(found) : ({ name }: Container) => name;
  const taken = found.length > maxMembers ? found.sort(byInterest).slice(0, maxMembers) : found;
  const members = taken.sort(byName).map((container) => ({ id: container.id, label: cut(label(container)) }));
  return { members, omitted: found.length - members.length, missing: missingOf(found, selection) };
}

const byName = (a: Container, b: Container) => (a.name < b.name ? -1 : 1);

const byInterest = (a: Container, b: Container) =>
  Number(b.state === 'running') - Number(a.state === 'running') || b.createdAt - a.createdAt;

/** Labels are whatever somebody wrote, half characters too, and stand at every line. */
function cut(label: string): string {
  const letters = [...label.slice(0, 2 * maxLabel + 2).toWellFormed()];
  return letters.length > maxLabel ? `${letters.slice(0, maxLabel - 1).join('')}…` : letters.join('');
}

function toTest(selection: LogSelection): (container: Container) => boolean {
  if ('project' in selection) return ({ project }) => project === selection.project;
  const names = new Set(selection.names);
  return ({ name }) => names.has(name);
}

function missingOf(found: readonly Container[], selection: LogSelection): string[] {
  if ('project' in selection) return [];
  const names = new Set(found.map(({ name }) => name));
  return selection.names.filter((name) => !names.has(name));
}

/** The service, where it has one container; else its name without that of the project. */
function toServiceLabel(containers: readonly Container[]): (container: Container) => string {
  const names = new Map<string, Set<string>>();
  for (const { service, name } of containers) {
    if (service) names.set(service, (names.get(service) ?? new Set()).add(lastingName(name)));
  }
  return ({ name, service, project }) => {
    if (service && names.get(service)?.size === 1) return service;
    const rest = project && /^[-_]/.test(name.slice(project.length)) && name.startsWith(project);
    return rest ? name.slice(project.length + 1) : name;
  };
}

/** While a container is made anew there are two of it: Compose puts an id before a name, rebuilds put a word behind it. */
const lastingName = (name: string) => name.replace(/^[0-9a-f]{12}_/, '').replace(/\.(new|old|back)-[\w.-]+$/, '');
