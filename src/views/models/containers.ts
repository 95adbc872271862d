import { createHash } from 'node:crypto';
import type { Container } from '../../services/containers.ts';
import { bytes, count, dateTime, duration, iso, percent, plural, splitName, splitReference } from '../format.ts';
import { type Shared, toHref, toShared, type ViewContext } from './context.ts';
import { type PortModel, toPortModels } from './ports.ts';
import { type ActionModel, type StateModel, stateAge, toActions, toStateModel } from './states.ts';

/** The newest figures of a container and the paths of its sparkline (64 by 20). */
export type RowFigures = {
  cpuPercent: number | null;
  memoryBytes: number;
  memoryLimitBytes: number | null;
  spark: { line: string; area: string };
};

/** What somebody works on: the verb for it, and where that can be followed. */
export type BusyModel = { word: string; href: string };

/** What is done to a container, and whether a rebuild would bring it a newer image. */
export type RowWork = { busy: BusyModel | null; hasUpdate: boolean; reference: string | null };

/** A container that nobody works on, on the newest image that is known of. */
export const noWork: RowWork = { busy: null, hasUpdate: false, reference: null };

/** A group as the inventory gives it; `rows` are those that match the query, `total` and `running` count all. */
export type GroupInput = {
  project: string | null;
  title: string;
  running: number;
  total: number;
  /** What is done to the group as a whole. */
  busy?: BusyModel | null;
  rows: { container: Container; figures: RowFigures | undefined; work?: RowWork }[];
};

/** The list's parameters, as they stand in the URL. */
export type ListQuery = { q: string; state: string; project: string; sort: string };

/** How many containers there are of each kind, and how many of them are shown. */
export type ListCounts = {
  all: number;
  running: number;
  trouble: number;
  paused: number;
  stopped: number;
  shown: number;
  groups: number;
};

/** What the list is made of. */
export type ListInput = {
  groups: GroupInput[];
  query: ListQuery;
  counts: ListCounts;
  projects: { name: string; title: string }[];
  /** Whether the engine has ever answered. */
  engineKnown: boolean;
};

/** A use of memory against its limit; `low` and `high` are where the meter warns. */
export type MemoryModel = {
  text: string;
  limit: string;
  value: number;
  max: number;
  low: number;
  high: number;
  label: string;
};

/** One row of the list; every cell template takes it. */
export type RowModel = Shared & {
  row: {
    id: string;
    name: string;
    head: string;
    tail: string;
    /** Docker's own word. */
    dockerState: string;
    project: string;
    service: string;
    href: string;
    state: StateModel;
    image: { repository: string; tag: string; title: string; href: string | null };
    ports: PortModel[];
    morePorts: PortModel[];
    cpu: { text: string; line: string; area: string; hot: boolean } | null;
    memory: MemoryModel | null;
    /** Why there are no figures, where there are none. */
    noFigures: string;
    age: { text: string; title: string; created: string; createdIso: string };
    main: ActionModel[];
    more: ActionModel[];
    busy: BusyModel | null;
    /** Where a rebuild on a newer image is looked at; null where there is none. */
    updateHref: string | null;
  };
};

/** One group: `kind` is the part of its title before the name. */
export type GroupModel = Shared & {
  group: {
    slug: string;
    project: string;
    href: string | null;
    action: string | null;
    kind: string;
    title: string;
    count: string;
    pips: { glyph: string; symbol: string }[];
    cpu: string;
    memory: string;
    busy: BusyModel | null;
    /** Whether something works on any of its containers: nothing can be done to all then. */
    isHeld: boolean;
    rows: RowModel[];
  };
};

/** A column that can be sorted by. */
export type SortModel = { href: string; label: string; direction: 'ascending' | 'descending' | null };

/** A filter as a link, with how many it finds. */
export type FilterModel = {
  href: string;
  label: string;
  count: string;
  current: boolean;
  glyph: string;
  symbol: string;
};

/** The list and what stands around it. */
export type ListModel = Shared & {
  list: {
    groups: GroupModel[];
    sorts: Record<'name' | 'state' | 'created' | 'cpu' | 'memory', SortModel>;
    empty: { kind: 'engine' | 'none' | 'filter'; clearHref: string } | null;
  };
  summary: string;
  toolbar: {
    action: string;
    q: string;
    state: string;
    projects: { name: string; title: string; selected: boolean }[];
    sorts: { value: string; label: string; selected: boolean }[];
    filters: FilterModel[];
  };
};

const maxPorts = 2;
const maxPips = 12;
const composeKind = 'Docker Compose: ';

/**
 * The id of a project's group: its name where that is safe as an id, else a readable form of it with a hash, so that no
 * two projects share one. null is the group of those without a project.
 */
export function projectSlug(project: string | null): string {
  if (project === null) return 'standalone';
  const slug = project
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '-')
    .slice(0, 60);
  // `-head` is the id of a group's first row, `standalone` that of the nameless group.
  if (slug === project && slug !== '' && slug !== 'standalone' && !slug.endsWith('-head')) return slug;
  return `${slug || 'project'}-${createHash('sha256').update(project).digest('hex').slice(0, 8)}`;
}

/** Where the pages of a project begin; null for the standalone ones. */
export function projectHref(base: string, project: string | null): string | null {
  return project === null ? null : `${base}/projects/${encodeURIComponent(project)}`;
}

/** The page of an image; null where an engine gave no proper id, and for who sees no images. */
export function imageHref({ base, can }: Pick<ViewContext, 'base' | 'can'>, imageId: string): string | null {
  if (!can.all) return null;
  const hex = /^(?:sha256:)?([0-9a-f]{64})$/.exec(imageId)?.[1];
  return hex ? `${base}/images/${hex}` : null;
}

/** The data of `fragments/containers/row` and of each of its cells. */
export function rowModel(
  container: Container,
  figures: RowFigures | undefined,
  context: ViewContext,
  { busy, hasUpdate, reference }: RowWork = noWork,
): RowModel {
  const { base, now } = context;
  const { id, name } = container;
  const isLive = container.state === 'running' || container.state === 'paused';
  const ports = toPortModels(container.ports, context.host);
  const { head, tail } = splitName(name);
  const image = reference ?? container.image;
  return {
    ...toShared(context),
    row: {
      id,
      name,
      head,
      tail,
      dockerState: container.state,
      project: container.project ?? '',
      service: container.service ?? '',
      href: `${base}/containers/${id}`,
      state: toStateModel(container, now),
      image: {
        ...splitReference(image),
        title: image,
        href: imageHref(context, container.imageId),
      },
      ports: ports.slice(0, maxPorts),
      morePorts: ports.slice(maxPorts),
      cpu: isLive && figures ? toCpu(figures) : null,
      memory: isLive && figures ? toMemory(name, figures.memoryBytes, figures.memoryLimitBytes) : null,
      noFigures: figures ? '' : whyNoFigures(container.state, context),
      age: toAge(container, now),
      ...toActions(container.state, context.can.refused),
      busy,
      updateHref: hasUpdate ? `${base}/containers/${id}/rebuild` : null,
    },
  };
}

/** Only what runs is measured. */
function whyNoFigures(state: string, { figuresOff = false }: ViewContext): string {
  if (figuresOff) return 'figures are switched off';
  if (state === 'paused') return 'paused';
  return state === 'running' ? 'not measured yet' : 'not running';
}

function toCpu({ cpuPercent, spark }: RowFigures) {
  return {
    text: cpuPercent === null ? '–' : percent(cpuPercent),
    line: spark.line,
    area: spark.area,
    hot: (cpuPercent ?? 0) >= 80,
  };
}

/** Memory against its limit, for the meter. */
export function toMemory(name: string, used: number, limit: number | null): MemoryModel {
  const max = limit ?? 0;
  return {
    text: bytes(used),
    limit: limit === null ? 'no limit' : `of ${bytes(limit)}`,
    value: used,
    max,
    low: Math.round(max * 0.75),
    high: Math.round(max * 0.9),
    label: `Memory of ${name}`,
  };
}

function toAge(container: Container, now: number) {
  const { createdAt } = container;
  const created = createdAt > 0 ? duration(now - createdAt) : '';
  return {
    text: stateAge(container, now),
    title: createdAt > 0 ? `created ${dateTime(createdAt)}` : '',
    created,
    createdIso: createdAt > 0 ? iso(createdAt) : '',
  };
}

/** The data of `fragments/containers/group` (all of it) and `fragments/containers/group-head` (its first row). */
export function groupModel(group: GroupInput, context: ViewContext): GroupModel {
  const { project, title, rows } = group;
  const href = projectHref(context.base, project);
  const isCompose = title.startsWith(composeKind);
  const figures = rows.flatMap((row) => (row.figures && row.container.state === 'running' ? [row.figures] : []));
  return {
    ...toShared(context),
    group: {
      slug: projectSlug(project),
      project: project ?? '',
      href,
      action: href,
      kind: isCompose ? composeKind : '',
      title: isCompose ? title.slice(composeKind.length) : title,
      count: `${count(group.running)}/${count(group.total)} running`,
      pips: rows.slice(0, maxPips).map(({ container }) => toStateModel(container, context.now)),
      cpu: figures.length > 0 ? percent(sum(figures.map((figure) => figure.cpuPercent ?? 0))) : '',
      memory: figures.length > 0 ? bytes(sum(figures.map((figure) => figure.memoryBytes))) : '',
      busy: group.busy ?? null,
      isHeld: Boolean(group.busy) || rows.some((row) => row.work?.busy),
      rows: rows.map((row) => rowModel(row.container, row.figures, context, row.work)),
    },
  };
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

/** The data of `fragments/containers/list`, `…/summary`, `…/toolbar`, `…/filters` and `pages/containers`. */
export function listModel(input: ListInput, context: ViewContext): ListModel {
  const { query, counts } = input;
  return {
    ...toShared(context),
    list: {
      groups: input.groups.map((group) => groupModel(group, context)),
      sorts: {
        name: toSort('name', 'Name', query, context.base),
        state: toSort('state', 'State', query, context.base),
        created: toSort('created', 'Status, created', query, context.base),
        cpu: toSort('cpu', 'CPU', query, context.base),
        memory: toSort('memory', 'Memory', query, context.base),
      },
      empty: toEmpty(input, context.base),
    },
    summary: toSummary(input),
    toolbar: {
      action: `${context.base}/containers`,
      q: query.q,
      state: query.state,
      projects: input.projects.map((project) => ({ ...project, selected: project.name === query.project })),
      sorts: sortOptions.map(([value, label]) => ({ value, label, selected: value === (query.sort || 'name') })),
      filters: toFilters(query, counts, context.base),
    },
  };
}

const sortOptions = [
  ['name', 'name'],
  ['-name', 'name, Z first'],
  ['state', 'state'],
  ['-created', 'newest first'],
  ['created', 'oldest first'],
  ['-cpu', 'most CPU'],
  ['-memory', 'most memory'],
] as const;

/** Columns of figures begin with the most, those of words with the first. */
const startsDescending = new Set(['created', 'cpu', 'memory']);

function toSort(key: string, label: string, query: ListQuery, base: string): SortModel {
  const current = query.sort || 'name';
  const direction = current === key ? 'ascending' : current === `-${key}` ? 'descending' : null;
  const isNextDescending = direction === null ? startsDescending.has(key) : direction === 'ascending';
  return { href: listHref(base, query, { sort: isNextDescending ? `-${key}` : key }), label, direction };
}

/** The list's URL with some of its parameters changed. */
export function listHref(base: string, query: ListQuery, changes: Partial<ListQuery>): string {
  return toHref(`${base}/containers`, { ...query, ...changes });
}

function toFilters(query: ListQuery, counts: ListCounts, base: string): FilterModel[] {
  const filter = (state: string, label: string, value: number, glyph: string): FilterModel => ({
    href: listHref(base, query, { state }),
    label,
    count: count(value),
    current: query.state === state,
    glyph,
    symbol: glyph ? `s-${glyph}` : '',
  });
  const common = [
    filter('', 'All', counts.all, ''),
    filter('running', 'Running', counts.running, 'running'),
    filter('trouble', 'Trouble', counts.trouble, 'unhealthy'),
    filter('paused', 'Paused', counts.paused, 'paused'),
    filter('stopped', 'Stopped', counts.stopped, 'exited'),
  ];
  // A state asked for by URL only, such as `created`, is shown as a filter of its own.
  const isCommon = common.some((entry) => entry.current);
  return isCommon ? common : [...common, filter(query.state, query.state, counts.shown, '')];
}

function toSummary({ counts, engineKnown }: ListInput): string {
  if (!engineKnown) return 'not known yet';
  const whole = `${count(counts.all)} in ${plural(counts.groups, 'group')}, ${count(counts.running)} running`;
  return counts.shown === counts.all ? whole : `${count(counts.shown)} of ${count(counts.all)} shown`;
}

function toEmpty({ counts, query, engineKnown }: ListInput, base: string): ListModel['list']['empty'] {
  if (counts.shown > 0) return null;
  const isFiltered = query.q !== '' || query.state !== '' || query.project !== '';
  const kind = !engineKnown ? 'engine' : isFiltered ? 'filter' : 'none';
  return { kind, clearHref: listHref(base, { ...query, q: '', state: '', project: '' }, {}) };
}

/** The data of `pages/project`: one Compose project and its containers. */
export type ProjectPageModel = Shared & {
  title: string;
  listHref: string;
  group: GroupModel['group'];
  list: ListModel['list'];
};

/** The page of one Compose project; the list below is the same fragment as everywhere. */
export function projectPageModel(group: GroupInput, context: ViewContext): ProjectPageModel {
  const model = listModel(
    {
      groups: [group],
      query: { q: '', state: '', project: group.project ?? '', sort: '' },
      counts: {
        all: group.total,
        running: group.running,
        trouble: 0,
        paused: 0,
        stopped: 0,
        shown: group.rows.length,
        groups: 1,
      },
      projects: [],
      engineKnown: true,
    },
    context,
  );
  const head = groupModel(group, context).group;
  return {
    ...toShared(context),
    title: head.title,
    listHref: `${context.base}/containers`,
    group: head,
    list: model.list,
  };
}
