import type { Container } from './containers.ts';

/** How a list of containers is narrowed and ordered; every field as it stands in the URL. */
export type ListQuery = { q: string; state: string; project: string; sort: string };

/** The figures that a list can be sorted by. */
export type SortFigures = (id: string) => { cpuPercent: number | null; memoryBytes: number } | undefined;

/** A Compose project, or the standalone ones (null), with those of its containers that are shown. */
export type ContainerGroup = {
  project: string | null;
  title: string;
  running: number;
  total: number;
  containers: Container[];
};

/** How many there are of each kind, over all that the search and the project filter leave. */
export type StateCounts = { all: number; running: number; trouble: number; paused: number; stopped: number };

export const dockerStates = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const;
export const stateFilters = [...dockerStates, 'trouble', 'stopped'] as const;
export const containerSorts = ['name', 'state', 'created', 'cpu', 'memory'] as const;

const stoppedStates = new Set(['created', 'exited', 'dead']);

/**
 * Whether something is wrong with it: unhealthy, restarting, dead, out of memory, or ended by itself with a code other
 * than 0. One that somebody stopped is no trouble, nor is 143: ended by SIGTERM, as a stop asks for.
 */
export function isInTrouble(container: Container): boolean {
  const { state, health, exitCode, oomKilled } = container;
  if (health === 'unhealthy' || state === 'restarting' || state === 'dead') return true;
  if (oomKilled && state !== 'running') return true;
  return state === 'exited' && exitCode !== null && exitCode !== 0 && exitCode !== 143 && !container.isStopAsked;
}

function hasState(container: Container, filter: string): boolean {
  if (filter === '') return true;
  if (filter === 'trouble') return isInTrouble(container);
  if (filter === 'stopped') return stoppedStates.has(container.state);
  return container.state === filter;
}

/** Whether every word of the search is found in name, id, image, service, ports or labels. */
function isFound(container: Container, q: string): boolean {
  if (q === '') return true;
  const labels = Object.entries(container.labels).map(([key, value]) => `${key}=${value}`);
  const { id, name, image, service, portsText, project } = container;
  const text = [name, id, image, service ?? '', portsText, project ?? '', ...labels].join('\n').toLowerCase();
  return q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** The whole answer to a query: groups in order, each with its containers in order, and the counts beside the filters. */
export function selectContainers(all: readonly Container[], query: ListQuery, figures: SortFigures) {
  const inProject = query.project === '' ? all : all.filter((container) => container.project === query.project);
  const found = inProject.filter((container) => isFound(container, query.q));
  const shown = found.filter((container) => hasState(container, query.state));
  const compare = sorter(query.sort, figures);
  const groups = toGroups(shown, all, compare, toGroupOrder(query.sort, compare));
  // Without an order of its own, a flat list is that of the groups.
  const containers = query.sort === '' ? groups.flatMap((group) => group.containers) : [...shown].sort(compare);
  return {
    groups,
    containers,
    counts: countStates(found),
    shown: shown.length,
    projects: projectsOf(all),
  };
}

function countStates(containers: readonly Container[]): StateCounts {
  const count = (is: (container: Container) => boolean) => containers.filter(is).length;
  return {
    all: containers.length,
    running: count((container) => container.state === 'running'),
    trouble: count(isInTrouble),
    paused: count((container) => container.state === 'paused'),
    stopped: count((container) => stoppedStates.has(container.state)),
  };
}

function projectsOf(containers: readonly Container[]): { name: string; title: string }[] {
  const titles = new Map(containers.map((container) => [container.project, container.projectTitle]));
  return [...titles]
    .flatMap(([name, title]) => (name === null ? [] : [{ name, title }]))
    .sort((a, b) => byText(a.title, b.title) || byText(a.name, b.name));
}

type Compare = (a: Container, b: Container) => number;

type GroupOrder = (a: ContainerGroup, b: ContainerGroup) => number;

/** Groups by project; `total` and `running` count the whole project. */
function toGroups(
  shown: readonly Container[],
  all: readonly Container[],
  compare: Compare,
  order: GroupOrder,
): ContainerGroup[] {
  const groups = Map.groupBy(shown, (container) => container.project);
  return [...groups]
    .map(([project, containers]) => {
      const members = all.filter((container) => container.project === project);
      const running = members.filter((container) => container.state === 'running').length;
      const title = containers[0]?.projectTitle ?? '';
      return { project, title, running, total: members.length, containers: containers.sort(compare) };
    })
    .sort(order);
}

const byTitle: GroupOrder = (a, b) =>
  Number(a.project === null) - Number(b.project === null) ||
  byText(a.title, b.title) ||
  byText(a.project ?? '', b.project ?? '');

/** By name, groups stand in the order of their titles, the standalone ones last; else by the first of their containers. */
function toGroupOrder(sort: string, compare: Compare): GroupOrder {
  if (sort === '' || sort === 'name') return byTitle;
  if (sort === '-name') return (a, b) => -byTitle(a, b);
  return (a, b) => {
    const [first, second] = [a.containers[0], b.containers[0]];
    return (first && second && compare(first, second)) || byTitle(a, b);
  };
}

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
const byText = (a: string, b: string) => collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);

/** Docker's states from the most to the least alive. */
const stateOrder = ['running', 'restarting', 'paused', 'removing', 'created', 'exited', 'dead'];

function sorter(sort: string, figures: SortFigures): Compare {
  const isReversed = sort.startsWith('-');
  const key = isReversed ? sort.slice(1) : sort;
  const byName: Compare = (a, b) => byText(a.name, b.name) || byText(a.id, b.id);
  const compare = comparisons(figures)[key] ?? byName;
  return (a, b) => (isReversed ? -compare(a, b) : compare(a, b)) || byName(a, b);
}

const comparisons = (figures: SortFigures): Record<string, Compare> => ({
  name: (a, b) => byText(a.name, b.name),
  state: (a, b) => stateOrder.indexOf(a.state) - stateOrder.indexOf(b.state),
  created: (a, b) => a.createdAt - b.createdAt,
  cpu: (a, b) => (figures(a.id)?.cpuPercent ?? -1) - (figures(b.id)?.cpuPercent ?? -1),
  memory: (a, b) => (figures(a.id)?.memoryBytes ?? -1) - (figures(b.id)?.memoryBytes ?? -1),
});
