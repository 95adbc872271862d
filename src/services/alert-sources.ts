import { statfs } from 'node:fs/promises';
import type { AlertEvaluation, Presence } from './alert-evaluation.ts';
import { type AlertLogs, createAlertLogs, type LogMatch } from './alert-logs.ts';
import { isInScope } from './alert-rules.ts';
import type { AlertFacts, AlertSubject, Rule } from './alert-types.ts';
import type { Clock } from './clock.ts';
import type { Container } from './containers.ts';
import { type HistoryEvent, timelineOf } from './event-types.ts';
import type { Figures } from './figures.ts';
import type { History } from './history.ts';
import type { Inventory, InventoryChange } from './inventory.ts';
import type { Logs } from './logs.ts';
import type { Stats } from './stats.ts';

/** How full a file system is: percent as `df` counts it, bytes. */
export type DiskUse = { usedPercent: number; freeBytes: number };

/** Where alerts come from. */
export type AlertSourceOptions = {
  history: Pick<History, 'onEvent' | 'list'>;
  inventory: Pick<Inventory, 'containers' | 'container' | 'engine' | 'onChange'>;
  stats: Pick<Stats, 'onTick' | 'latest'>;
  logs: Pick<Logs, 'follow'>;
  /** How many cores a container may use; null for any, undefined where that is not known yet. */
  cpuLimit: (id: string) => number | null | undefined;
  /** How full the file system is that holds what is kept. */
  disk: () => Promise<DiskUse>;
  evaluation: AlertEvaluation;
  /** The rules that are switched on. */
  rules: () => readonly Rule[];
  /** An event was taken into account; µs since 1970. */
  onTaken: (at: number) => void;
  /** Something may be due. */
  onEvaluated: () => void;
  clock: Clock;
  log: { warn(details: object, message: string): void };
};

const beatMs = 5_000;
const diskMs = 60_000;
/** What happened longer ago while nobody looked is history and no alarm. */
const oldMs = 3_600_000;
const maxDeaths = 1_000;

/** What feeds the rules. */
export type AlertSources = ReturnType<typeof createAlertSources>;

/**
 * Creates the feeding of the rules: the engine's events, the inventory, the sampled figures, the disk and the logs that
 * rules name. Without a rule it does nothing, and asks nobody.
 */
export function createAlertSources(options: AlertSourceOptions) {
  const { inventory, stats, evaluation, rules, onEvaluated, clock, log } = options;
  const logs: AlertLogs = createAlertLogs({
    logs: options.logs,
    containers: inventory.containers,
    onMatch: onLogMatch,
    now: clock.now,
  });
  const stops: (() => void)[] = [];
  let isClosed = false;
  let cancelBeat = () => {};
  let diskAt = Number.NEGATIVE_INFINITY;
  let isAsking = false;
  let disk: DiskUse | undefined;

  const of = <K extends Rule['watch']['kind']>(...kinds: K[]) =>
    rules().filter((rule): rule is Rule & { watch: { kind: K } } => (kinds as string[]).includes(rule.watch.kind));

  // ── what happens ──

  function onEvent(event: HistoryEvent) {
    if (event.type !== 'container' || event.action !== 'die') return;
    options.onTaken(event.at);
    // The engine's clock may be ahead of this one.
    const at = Math.min(event.at / 1_000, clock.now());
    if (clock.now() - at > oldMs) return;
    const { exitCode = null, oom = false, project = null } = event.details;
    const subject = subjectOfEvent(event);
    const named = { name: subject.name, project };
    if (event.trouble === 'died') {
      for (const rule of of('died')) {
        if (isInScope(rule, named)) evaluation.strike(rule, subject, { kind: 'died', exitCode, oom }, at);
      }
    }
    // A stop that somebody asked for is no fault, whatever starts it again.
    if (isUnasked(event)) {
      for (const rule of of('restarts')) {
        const { deaths, withinSeconds } = rule.watch as Extract<Rule['watch'], { kind: 'restarts' }>;
        const facts = { kind: 'restarts', deaths, withinSeconds, exitCode } as const;
        if (isInScope(rule, named)) evaluation.strike(rule, subject, facts, at);
      }
    }
    onEvaluated();
  }

  function onLogMatch({ rule, container, text, stream, count }: LogMatch) {
    const pattern = rule.watch.kind === 'log' ? rule.watch.pattern : '';
    const facts = { kind: 'log', text, stream, pattern } as const;
    evaluation.strike(rule, subjectOf(container), facts, clock.now(), count);
    onEvaluated();
  }

  // ── how things are ──

  function onInventory(change: InventoryChange) {
    const isList = change.changed.size > 0 || change.removed.size > 0 || change.started.size > 0;
    if (!isList) return;
    logs.watch(of('log'), change.started);
    for (const id of change.changed) lookAtHealth(inventory.container(id));
    onEvaluated();
  }

  function lookAtHealth(container: Container | undefined) {
    if (!container) return;
    for (const rule of of('unhealthy')) {
      if (!isOf(rule, container)) continue;
      const { forSeconds } = rule.watch as Extract<Rule['watch'], { kind: 'unhealthy' }>;
      const isBad = container.health === 'unhealthy' && container.state === 'running';
      const facts = isBad ? ({ kind: 'unhealthy', forSeconds } as const) : null;
      evaluation.level(rule, subjectOf(container), facts, forSeconds, clock.now());
    }
  }

  function onFigures(ids: readonly string[]) {
    const wanted = of('cpu', 'memory');
    if (wanted.length === 0) return;
    for (const id of ids) {
      const container = inventory.container(id);
      const figures = stats.latest(id);
      if (container && figures) lookAtFigures(wanted, container, figures);
    }
    onEvaluated();
  }

  function lookAtFigures(wanted: readonly Rule[], container: Container, figures: Figures) {
    for (const rule of wanted) {
      if (!isOf(rule, container)) continue;
      const found =
        rule.watch.kind === 'cpu' ? overCpu(rule.watch, container.id, figures) : overMemory(rule.watch, figures);
      const forSeconds = 'forSeconds' in rule.watch ? rule.watch.forSeconds : 0;
      // Where a figure is missing nothing is known, so nothing changes.
      if (found !== undefined) evaluation.level(rule, subjectOf(container), found, forSeconds, clock.now());
    }
  }

  function overCpu(watch: Rule['watch'], id: string, { cpuPercent }: Figures): AlertFacts | null | undefined {
    if (watch.kind !== 'cpu' || cpuPercent === null) return undefined;
    const cores = coresFor(watch.unit, id);
    // One without a limit has none to be near of.
    if (cores === null || cores === undefined) return cores;
    const percent = cpuPercent / cores;
    return percent > watch.bound ? { ...watch, percent } : null;
  }

  /** How many cores 100 percent are; null for a limit that there is not, undefined where it is not known. */
  function coresFor(unit: 'core' | 'limit' | 'machine', id: string): number | null | undefined {
    if (unit === 'core') return 1;
    return unit === 'limit' ? options.cpuLimit(id) : inventory.engine().cpus || undefined;
  }

  // ── time ──

  function beat() {
    const all = rules();
    if (inventory.engine().status === 'connected') lookAtAll(all);
    if (of('disk').length > 0) lookAtDisk();
    onEvaluated();
  }

  function lookAtAll(all: readonly Rule[]) {
    const presences = new Map<string, Presence>();
    for (const container of all.length > 0 ? inventory.containers() : []) {
      const name = timelineOf(container.name);
      // While it is made anew there are two of a name.
      if (presences.get(name) !== 'running') presences.set(name, container.state === 'running' ? 'running' : 'stopped');
      lookAtHealth(container);
    }
    for (const rule of all) evaluation.tick(rule, (name) => presences.get(name) ?? 'gone', clock.now());
  }

  /** Asks once a minute, never for a second time before there was an answer: a file system can hang. */
  function askDisk() {
    if (isAsking || (clock.now() - diskAt < diskMs && diskAt <= clock.now())) return;
    isAsking = true;
    diskAt = clock.now();
    options
      .disk()
      .then((found) => {
        disk = found;
      })
      .catch((err: unknown) => log.warn({ err }, 'how full the disk is could not be found'))
      .finally(() => {
        isAsking = false;
      });
  }

  function lookAtDisk() {
    askDisk();
    if (disk === undefined) return;
    for (const rule of of('disk')) {
      const { bound, forSeconds } = rule.watch as Extract<Rule['watch'], { kind: 'disk' }>;
      const facts = disk.usedPercent > bound ? ({ kind: 'disk', ...disk, bound } as const) : null;
      evaluation.level(rule, machine, facts, forSeconds, clock.now());
    }
  }

  function keepBeating() {
    cancelBeat = clock.after(beatMs, () => {
      beat();
      if (!isClosed) keepBeating();
    });
  }

  /** The deaths of the last hour, the oldest first. */
  async function earlierDeaths(): Promise<HistoryEvent[]> {
    const since = Math.round((clock.now() - oldMs) * 1_000);
    const deaths = await options.history.list({ type: 'container', action: 'die', since, limit: maxDeaths });
    return deaths.reverse();
  }

  /** Deaths before this start count as well: a loop goes on while nobody looks. */
  function remember(deaths: readonly HistoryEvent[]) {
    const loops = of('restarts');
    for (const event of deaths) {
      const subject = subjectOfEvent(event);
      const { project = null } = event.details;
      const named = loops.filter((rule) => isUnasked(event) && isInScope(rule, { name: subject.name, project }));
      for (const rule of named) evaluation.remember(rule, subject, event.at / 1_000);
    }
  }

  return {
    /**
     * Begins to look. Up to `place` (µs) the rules know what happened; what the history has after it they were not told,
     * since the program was killed in between.
     */
    async start(place = Number.POSITIVE_INFINITY): Promise<void> {
      const deaths = await earlierDeaths().catch((err: unknown) => {
        log.warn({ err }, 'earlier deaths could not be read');
        return [];
      });
      remember(deaths.filter(({ at }) => at <= place));
      stops.push(options.history.onEvent(onEvent), inventory.onChange(onInventory), stats.onTick(onFigures));
      for (const death of deaths.filter(({ at }) => at > place)) onEvent(death);
      logs.watch(of('log'), new Set());
      keepBeating();
    },

    /** The rules have changed. */
    refresh(): void {
      logs.watch(of('log'), new Set());
    },

    /** How many containers' logs are followed, and how many are not because there are too many. */
    logStatus: logs.status,

    close(): void {
      isClosed = true;
      cancelBeat();
      for (const stop of stops.splice(0)) stop();
      logs.close();
    },
  };
}

const isUnasked = ({ details }: HistoryEvent) => details.doing === undefined && details.killedBy === undefined;

const machine: AlertSubject = { name: '', id: '', image: '', project: '', service: '' };

/** Whether a rule is about a container; one that only takes part in a rebuild says nothing of those that have its name. */
const isOf = (rule: Rule, { name, project }: Container) =>
  timelineOf(name) === name && isInScope(rule, { name, project });

const subjectOf = ({ id, name, image, project, service }: Container): AlertSubject => ({
  name: timelineOf(name),
  id,
  image,
  project: project ?? '',
  service: service ?? '',
});

const subjectOfEvent = ({ subject, name, timeline, details }: HistoryEvent): AlertSubject => ({
  name: timeline || name,
  id: subject,
  image: details.image ?? '',
  project: details.project ?? '',
  service: details.service ?? '',
});

function overMemory(watch: Rule['watch'], { memoryBytes, memoryLimitBytes }: Figures): AlertFacts | null | undefined {
  if (watch.kind !== 'memory') return undefined;
  const facts = { ...watch, bytes: memoryBytes, limitBytes: memoryLimitBytes };
  if (watch.unit === 'megabytes') return memoryBytes > watch.bound * 1e6 ? facts : null;
  // One without a limit has none to be near of.
  if (memoryLimitBytes === null) return null;
  return (memoryBytes / memoryLimitBytes) * 100 > watch.bound ? facts : null;
}

/** How full the file system of a folder is, as `df` counts it: what only root may use is neither used nor free. */
export async function diskUseOf(folder: string): Promise<DiskUse> {
  const { blocks, bfree, bavail, bsize } = await statfs(folder);
  const used = blocks - bfree;
  const all = used + bavail;
  return { usedPercent: all > 0 ? (used / all) * 100 : 0, freeBytes: bavail * bsize };
}
