import type { Container } from '../../services/containers.ts';
import type { EmbedView } from '../../services/embed-views.ts';
import type { Mark } from '../../services/event-types.ts';
import type { MergedEntry } from '../../services/merge-queue.ts';
import { bytes, count, duration, percent } from '../format.ts';
import { type ChartModel, type ChartsView, chartsModel, type Stats } from './charts.ts';
import type { RowFigures } from './containers.ts';
import type { ViewContext } from './context.ts';
import { aboveOf, type GapModel, type LineModel, logGapModel, logLineModel } from './logs.ts';
import type { WhoOf } from './merged-logs.ts';
import { type StateModel, stateAge, toStateModel } from './states.ts';

/** Which colours an embed has: those that the system prefers, or one of both. */
export const embedThemes = ['auto', 'light', 'dark'] as const;
export type EmbedTheme = (typeof embedThemes)[number];

/** What is around every embed: its number, what it shows, its colours. */
export type EmbedFrame = { id: number; view: EmbedView; theme: EmbedTheme };

/** The data of `fragments/embed/embed`. Nothing in it leads anywhere: who sees it has not signed in. */
export type EmbedModel = {
  embed: {
    id: string;
    look: EmbedView['look'];
    theme: EmbedTheme;
    name: string;
    /** What it is, for those who do not see it. */
    label: string;
    /** Why there is nothing to show; empty where there is. */
    gone: string;
    state: StateModel | null;
    figures: EmbedFigures | null;
    rows: { id: string; name: string; state: StateModel; figures: EmbedFigures }[];
    summary: string;
    lines: { entries: (LineModel | GapModel)[] };
    isMerged: boolean;
    notes: readonly string[];
    charts: ChartModel[];
    noCharts: string;
    badge: BadgeModel['badge'] | null;
  };
};

/** The figures of one container in words; a dash for what is not known. */
export type EmbedFigures = {
  cpu: string;
  memory: string;
  age: string;
  spark: RowFigures['spark'] | null;
  hot: boolean;
};

/** A container as an embed shows it. */
export type EmbedMember = { container: Container; figures: RowFigures | undefined };

const looks: Record<EmbedView['look'], string> = {
  tile: 'Container',
  charts: 'Figures of',
  log: 'Log of',
  table: 'Project',
  badge: 'State of',
};
const maxRows = 100;

function baseOf({ id, view, theme }: EmbedFrame): EmbedModel['embed'] {
  return {
    id: `embed-${id}`,
    look: view.look,
    theme,
    name: view.name,
    label: `${looks[view.look]} ${view.name}`,
    gone: '',
    state: null,
    figures: null,
    rows: [],
    summary: '',
    lines: { entries: [] },
    isMerged: false,
    notes: [],
    charts: [],
    noCharts: '',
    badge: null,
  };
}

/** What is said where the container or project is not there now; whoever gets the name is shown again. */
export function goneModel(frame: EmbedFrame, isEngineThere: boolean): EmbedModel {
  const { of, name } = frame.view;
  const what = of === 'project' ? 'Project' : 'Container';
  const gone = isEngineThere ? `${what} ${name} is not there now.` : 'The engine does not answer.';
  const badge = frame.view.look === 'badge' ? toBadge(name, 'not there', 'exited', frame.theme) : null;
  return { embed: { ...baseOf(frame), gone, badge } };
}

/** One container: its state and its figures. */
export function tileModel(frame: EmbedFrame, { container, figures }: EmbedMember, now: number): EmbedModel {
  return {
    embed: { ...baseOf(frame), state: toStateModel(container, now), figures: toFigures(container, figures, now) },
  };
}

/** All containers of a project, a hundred at most. */
export function tableModel(frame: EmbedFrame, members: readonly EmbedMember[], now: number): EmbedModel {
  const rows = members.slice(0, maxRows).map(({ container, figures }) => ({
    id: `embed-${frame.id}-${container.id.slice(0, 12)}`,
    name: container.name,
    state: toStateModel(container, now),
    figures: toFigures(container, figures, now),
  }));
  const more = members.length - rows.length;
  return {
    embed: {
      ...baseOf(frame),
      rows,
      summary: runningText(members),
      notes: more > 0 ? [`${count(more)} more are not shown.`] : [],
    },
  };
}

const runningText = (members: readonly EmbedMember[]) =>
  `${count(members.filter(({ container }) => container.state === 'running').length)}/${count(members.length)} running`;

function toFigures(container: Container, figures: RowFigures | undefined, now: number): EmbedFigures {
  const known = container.state === 'running' || container.state === 'paused' ? figures : undefined;
  return {
    cpu: known?.cpuPercent == null ? '–' : percent(known.cpuPercent),
    memory: known ? bytes(known.memoryBytes) : '–',
    age: stateAge(container, now),
    spark: known?.spark ?? null,
    hot: (known?.cpuPercent ?? 0) >= 80,
  };
}

/** The newest lines of a log, without a link to any. */
export function logModel(
  frame: EmbedFrame,
  entries: readonly MergedEntry[],
  whoOf: WhoOf,
  notes: readonly string[],
): EmbedModel {
  const isMerged = frame.view.of === 'project';
  const toEntry = (entry: MergedEntry, n: number): LineModel | GapModel => {
    if (!('cursor' in entry)) return logGapModel(entry.gap);
    const { line } = logLineModel(entry, { base: null, above: aboveOf(entries, n, null) });
    const who = isMerged ? whoOf(entry.container) : undefined;
    return { line: { ...line, who: who ? { ...who, href: null } : null } };
  };
  return { embed: { ...baseOf(frame), lines: { entries: entries.map(toEntry) }, isMerged, notes } };
}

/** The charts of a container's last hour. */
export function embedChartsModel(
  frame: EmbedFrame,
  stats: Stats,
  window: ChartsView['window'],
  context: ViewContext,
): EmbedModel {
  const none: readonly Mark[] = [];
  const { charts, empty } = chartsModel(stats, { path: '', window }, context, none).stats;
  const base = baseOf(frame);
  const own = charts.map(({ chart }) => ({ chart: { ...chart, id: `${base.id}-${chart.id}` } }));
  return { embed: { ...base, charts: own, noCharts: empty } };
}

/** The data of `fragments/embed/badge`: an image of its own, that takes no colours from where it stands. */
export type BadgeModel = {
  badge: {
    label: string;
    word: string;
    glyph: string;
    width: number;
    labelWidth: number;
    wordWidth: number;
    /** Where the parts begin, px. */
    line: number;
    glyphX: number;
    wordX: number;
    colours: { ground: string; edge: string; text: string; accent: string; state: string };
  };
};

/** A container's state as a badge. */
export function badgeModel(frame: EmbedFrame, { container }: EmbedMember, now: number): EmbedModel {
  const { glyph, word, code } = toStateModel(container, now);
  const { since } = container.words;
  const isUp = container.state === 'running' && word !== 'unhealthy' && since !== null;
  const text = [word, isUp ? duration(Math.max(0, now - since)) : code].filter(Boolean).join(' ');
  return { embed: { ...baseOf(frame), badge: toBadge(frame.view.name, text, glyph, frame.theme) } };
}

/** How many containers of a project run, as a badge; what is wrong with one comes first. */
export function projectBadgeModel(frame: EmbedFrame, members: readonly EmbedMember[], now: number): EmbedModel {
  const glyphs = members.map(({ container }) => toStateModel(container, now).glyph);
  const bad = glyphs.find((glyph) => tones[glyph] === 'bad');
  const glyph = bad ?? (glyphs.every((each) => each === 'running') ? 'running' : 'exited');
  return { embed: { ...baseOf(frame), badge: toBadge(frame.view.name, runningText(members), glyph, frame.theme) } };
}

const tones: Record<string, 'ok' | 'bad' | 'warn' | 'hold' | 'new'> = {
  running: 'ok',
  unhealthy: 'bad',
  failed: 'bad',
  dead: 'bad',
  oom: 'bad',
  restarting: 'warn',
  paused: 'hold',
  created: 'new',
};

const palettes = {
  light: {
    ground: '#ffffff',
    edge: '#c3cdd1',
    text: '#17262c',
    accent: '#0d5f6c',
    still: '#5a6a71',
    ok: '#0b6d3c',
    bad: '#c22a2a',
    warn: '#835200',
    hold: '#6246b4',
    new: '#1b60a8',
  },
  dark: {
    ground: '#18262b',
    edge: '#3a4a50',
    text: '#e6eef0',
    accent: '#5cc9cf',
    still: '#9fadb3',
    ok: '#6edb95',
    bad: '#ff9a92',
    warn: '#eebd5b',
    hold: '#bcaaf5',
    new: '#8dbff2',
  },
} as const;
const maxLabel = 48;

function toBadge(name: string, word: string, glyph: string, theme: EmbedTheme): BadgeModel['badge'] {
  const palette = palettes[theme === 'dark' ? 'dark' : 'light'];
  const letters = [...name.toWellFormed()];
  const label = letters.length > maxLabel ? `${letters.slice(0, maxLabel - 1).join('')}…` : letters.join('');
  const labelWidth = widthOf(label);
  const wordWidth = widthOf(word);
  const line = 24 + labelWidth + 8;
  return {
    label,
    word,
    glyph,
    width: line + 22 + wordWidth + 8,
    labelWidth,
    wordWidth,
    line,
    glyphX: line + 7,
    wordX: line + 22,
    colours: {
      ground: palette.ground,
      edge: palette.edge,
      text: palette.text,
      accent: palette.accent,
      state: palette[tones[glyph] ?? 'still'],
    },
  };
}

/** About the width of a text in Verdana of 11 px; the image fits the letters to it. */
const widthOf = (text: string) =>
  Math.ceil([...text].reduce((sum, letter) => sum + ((letter.codePointAt(0) ?? 0) > 0x1100 ? 12 : 6.4), 0));
