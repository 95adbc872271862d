import { sparkPath } from '../../charts.ts';
import type { Consumer, Measure, Overview } from '../../services/overview.ts';
import { bytes, count, percent, plural, rate } from '../format.ts';
import { type Shared, toHref, toShared, type ViewContext } from './context.ts';

/** What the machine has, as far as its engine told. */
export type Machine = { isThere: boolean; cpus: number; memoryBytes: number };

/** What a dashboard is made of; `project` is null for that of the machine. */
export type DashboardInput = {
  project: string | null;
  machine: Machine;
  overview: Overview;
  /** A container's last values of a measure, oldest first. */
  trend: (id: string, measure: Measure) => readonly number[];
};

type Tile = {
  label: string;
  value: string;
  of: string;
  meter: { value: number; max: number; low: number; high: number; label: string } | null;
};

type StateCount = { href: string; glyph: string; symbol: string; text: string };

type TopRow = { href: string; name: string; value: string; spark: { line: string; area: string } };

/** The data of `fragments/dashboard/now` and `fragments/dashboard/top`. */
export type DashboardModel = Shared & {
  now: { tiles: Tile[]; why: string; states: StateCount[]; health: StateCount[] };
  top: { lists: { id: string; title: string; rows: TopRow[]; none: string }[] };
};

/** The dashboard of a machine or a project, but for its disk and its charts. */
export function dashboardModel(input: DashboardInput, context: ViewContext): DashboardModel {
  const { overview, machine } = input;
  const isKnown = machine.isThere && overview.totals.sampled > 0;
  return {
    ...toShared(context),
    now: {
      tiles: isKnown ? toTiles(input) : [],
      why: isKnown ? '' : whyNone(input, context),
      states: toStates(input, context),
      health: toHealth(input, context),
    },
    top: { lists: isKnown ? toLists(input, context) : [] },
  };
}

function whyNone({ project, machine, overview }: DashboardInput, { figuresOff }: ViewContext): string {
  if (machine.isThere && project !== null && overview.total === 0) {
    return 'This project has no containers now. Its charts show what they used.';
  }
  if (figuresOff) return 'Figures are switched off (STATS_INTERVAL=0).';
  if (!machine.isThere)
    return 'The engine does not answer: what is used now is not known. Containers are as last seen.';
  if (overview.total === 0) return 'No containers.';
  if (!overview.states.running) return 'Nothing runs, so nothing is used.';
  return 'No figures yet: the first ones come within two intervals.';
}

function toTiles({ project, machine, overview }: DashboardInput): Tile[] {
  const { cpuPercent, memoryBytes, rates, pids, sampled } = overview.totals;
  const all = machine.cpus * 100;
  const share = all > 0 && cpuPercent !== null ? ` = ${percent((cpuPercent / all) * 100)} of all` : '';
  const cores = machine.cpus > 0 ? `of ${plural(machine.cpus, 'core')}` : '100% is one core';
  const two = (a: number | null, b: number | null) => `${a === null ? '–' : rate(a)} / ${b === null ? '–' : rate(b)}`;
  return [
    {
      label: 'CPU',
      value: cpuPercent === null ? '–' : percent(cpuPercent),
      of: `${cores}${share}`,
      meter: toMeter(cpuPercent, all, 'CPU of all cores'),
    },
    {
      label: 'Memory',
      value: memoryBytes === null ? '–' : bytes(memoryBytes),
      of: machine.memoryBytes > 0 ? `of ${bytes(machine.memoryBytes)}` : '',
      meter: toMeter(memoryBytes, machine.memoryBytes, 'memory of the machine'),
    },
    { label: 'Network', value: two(rates.networkRxBytes, rates.networkTxBytes), of: 'in / out', meter: null },
    { label: 'Block I/O', value: two(rates.blockReadBytes, rates.blockWriteBytes), of: 'read / written', meter: null },
    {
      label: 'Processes',
      value: pids === null ? '–' : count(pids),
      of: `in ${plural(sampled, 'running container')}${project === null ? '' : ' of it'}`,
      meter: null,
    },
  ];
}

function toMeter(value: number | null, max: number, label: string): Tile['meter'] {
  if (value === null || max <= 0) return null;
  return { value: Math.min(value, max), max, low: max * 0.75, high: max * 0.9, label };
}

const stateGlyphs: Record<string, string> = { dead: 's-failed', removing: 's-exited' };
const knownStates = ['running', 'paused', 'restarting', 'created', 'exited', 'dead', 'removing'];

/** In the order of the table above, then whatever else an engine may say. */
function toStates({ project, overview }: DashboardInput, context: ViewContext): StateCount[] {
  const words = [...knownStates, ...Object.keys(overview.states).filter((word) => !knownStates.includes(word))];
  return words.flatMap((word) => {
    const number = overview.states[word];
    if (!number) return [];
    const isKnown = knownStates.includes(word);
    return [
      {
        href: toHref(`${context.base}/containers`, { project, state: isKnown ? word : null }),
        glyph: isKnown ? word : 'exited',
        symbol: stateGlyphs[word] ?? `s-${isKnown ? word : 'exited'}`,
        text: `${count(number)} ${word}`,
      },
    ];
  });
}

const healthLooks = {
  unhealthy: { glyph: 'unhealthy', symbol: 's-unhealthy', state: 'trouble', text: 'unhealthy' },
  starting: { glyph: 'restarting', symbol: 's-running', state: 'running', text: 'being probed' },
  healthy: { glyph: 'running', symbol: 's-running', state: 'running', text: 'healthy' },
  none: { glyph: 'exited', symbol: 's-exited', state: 'running', text: 'without a check' },
} as const;

function toHealth({ project, overview }: DashboardInput, context: ViewContext): StateCount[] {
  return Object.entries(healthLooks).flatMap(([word, { glyph, symbol, state, text }]) => {
    const number = overview.health[word];
    if (!number) return [];
    const href = toHref(`${context.base}/containers`, { project, state });
    return [{ href, glyph, symbol, text: `${count(number)} ${text}` }];
  });
}

const lists: { measure: Measure; title: string; format: (value: number) => string; none: string }[] = [
  { measure: 'cpu', title: 'Most CPU', format: percent, none: 'Nothing uses any.' },
  { measure: 'memory', title: 'Most memory', format: bytes, none: 'Nothing uses any.' },
  { measure: 'network', title: 'Most network', format: rate, none: 'Nothing is sent or received.' },
  { measure: 'block', title: 'Most block I/O', format: rate, none: 'Nothing is read or written.' },
];

function toLists({ overview, trend }: DashboardInput, context: ViewContext): DashboardModel['top']['lists'] {
  return lists.map(({ measure, title, format, none }) => ({
    id: `top-${measure}`,
    title,
    none,
    rows: overview.top[measure].map((consumer) =>
      toTopRow(consumer, trend(consumer.container.id, measure), format, context),
    ),
  }));
}

function toTopRow(
  { container, value }: Consumer,
  values: readonly number[],
  format: (value: number) => string,
  context: ViewContext,
): TopRow {
  return {
    href: `${context.base}/containers/${container.id}/stats`,
    name: container.name,
    value: format(value),
    spark: sparkPath(values, { width: 64, height: 20, max: Math.max(...values, Number.MIN_VALUE) }),
  };
}
