import { type Container, quotaOf } from '../../services/containers.ts';
import type { EngineContainerDetail } from '../../services/docker-types.ts';
import { hasMasked, maskArguments, maskText, maskValue, type Piece, toText } from '../../services/secrets.ts';
import { bytes, count, dateTime, duration, iso, moment, percent, plural, shortId, splitReference } from '../format.ts';
import {
  type BusyModel,
  imageHref,
  noWork,
  projectHref,
  type RowFigures,
  type RowWork,
  toMemory,
} from './containers.ts';
import { type Can, type Shared, toShared, type ViewContext } from './context.ts';
import { type PortModel, toPortModels } from './ports.ts';
import { type ActionModel, exitWords, type StateModel, stateAge, toActions, toStateModel } from './states.ts';

/** What a container's page is made of. */
export type DetailInput = {
  container: Container;
  /** What the engine tells of it; missing while it is away. */
  inspect: EngineContainerDetail | undefined;
  imageTags: readonly string[];
  figures: RowFigures | undefined;
  /** Whether secrets are shown. */
  reveal: boolean;
  /** Where the form that shows them posts to. */
  revealHref?: string | null;
};

/** A moment as shown: in full, and how long ago. */
export type MomentModel = { text: string; iso: string; ago: string };

/** A named value in parts. */
export type PairModel = { name: string; pieces: Piece[] };

/** The data of `fragments/container/head`. */
export type HeadModel = Shared & {
  head: {
    id: string;
    name: string;
    dockerState: string;
    state: StateModel;
    sub: string;
    listHref: string;
    project: { title: string; href: string } | null;
    href: string;
    main: ActionModel[];
    more: ActionModel[];
    /** Gone from the engine: nothing leads further. */
    removed: boolean;
    busy: BusyModel | null;
    /** Where a container of the same name is that took its place; null where there is none. */
    successorHref: string | null;
    /** Where a rebuild on a newer image is looked at; null where there is none. */
    updateHref: string | null;
  };
};

/** The data of `fragments/container/state` and `…/actions` of a container that is gone, and of which only the id is known. */
export type RemovedModel = Shared & {
  head: Pick<
    HeadModel['head'],
    'state' | 'href' | 'main' | 'more' | 'removed' | 'busy' | 'successorHref' | 'updateHref'
  >;
};

/** The data of `fragments/container/detail`. */
export type DetailModel = Shared & {
  detail: {
    id: string;
    shortId: string;
    /** Whether the engine has told more than its list does. */
    known: boolean;
    notice: Notice | null;
    image: { repository: string; tag: string; href: string | null; otherTags: string[]; id: string };
    created: MomentModel | null;
    started: MomentModel | null;
    finished: MomentModel | null;
    exit: { code: number; words: string; error: string } | null;
    restart: { policy: string; text: string; count: string };
    health: HealthModel | null;
    networks: { name: string; text: string }[];
    networkMode: string;
    ports: PortModel[];
    mounts: { target: string; text: string }[];
    memory: ReturnType<typeof toMemory> | null;
    cpu: string;
    limits: string;
    command: Piece[][];
    entrypoint: Piece[][];
    runsAs: string;
    flags: string[];
    environment: PairModel[];
    labels: PairModel[];
    hasSecrets: boolean;
    revealed: boolean;
    revealHref: string | null;
    hideHref: string;
  };
};

type Notice = { kind: 'bad' | 'warn' | 'info'; symbol: string; title: string; text: string };

type HealthModel = {
  state: StateModel;
  text: string;
  output: Piece[] | null;
  outputTitle: string;
  test: Piece[] | null;
};

/** The data of `fragments/container/head`, the title of a container's page with its buttons. */
export function headModel(
  container: Container,
  context: ViewContext,
  work: RowWork = noWork,
  successor?: Pick<Container, 'id'>,
): HeadModel {
  const { base, now } = context;
  const href = projectHref(base, container.project);
  const { service } = container;
  const removed = container.state === 'removed';
  const age = removed ? '' : stateAge(container, now).replace(/^Up/, 'up');
  return {
    ...toShared(context),
    head: {
      id: container.id,
      name: container.name,
      dockerState: container.state,
      state: removed ? removedState : toStateModel(container, now),
      sub: [service, age].filter(Boolean).join(', '),
      listHref: `${base}/containers`,
      project: href === null ? null : { title: container.projectTitle, href },
      href: `${base}/containers/${container.id}`,
      ...toActions(container.state, context.can.refused),
      removed,
      busy: removed ? null : work.busy,
      successorHref: removed && successor ? `${base}/containers/${successor.id}` : null,
      updateHref: work.hasUpdate && !removed ? `${base}/containers/${container.id}/rebuild` : null,
    },
  };
}

const removedState: StateModel = { glyph: 'exited', symbol: 's-exited', word: 'removed', code: '', title: 'removed' };

/** What is said of a container that was removed before anything was known of it. */
export function removedModel(id: string, context: ViewContext): RemovedModel {
  const href = `${context.base}/containers/${id}`;
  return {
    ...toShared(context),
    head: {
      state: removedState,
      href,
      ...toActions('removed'),
      removed: true,
      busy: null,
      successorHref: null,
      updateHref: null,
    },
  };
}

/** The data of `fragments/container/detail`. Secrets are left out of it unless `reveal` is set. */
export function detailModel(input: DetailInput, context: ViewContext): DetailModel {
  const { container, reveal } = input;
  const inspect = input.inspect ?? { Id: container.id };
  const config = inspect.Config ?? {};
  const host = inspect.HostConfig ?? {};
  const environment = toEnvironment(config.Env ?? [], reveal);
  const labels = toPairs(config.Labels ?? container.labels, reveal);
  const command = maskArguments(toArguments(config.Cmd), reveal);
  const entrypoint = maskArguments(toArguments(config.Entrypoint), reveal);
  const health = toHealth(inspect, reveal);
  const everything = [...environment.map((pair) => pair.pieces), ...labels.map((pair) => pair.pieces)];
  const hasSecrets = [...everything, ...command, ...entrypoint].some(hasMasked);
  const href = `${context.base}/containers/${container.id}`;
  return {
    ...toShared(context),
    detail: {
      id: container.id,
      shortId: shortId(container.id),
      known: input.inspect !== undefined,
      notice: input.inspect ? toNotice(container, inspect) : unknownNotice,
      image: toImage(input, inspect, context),
      created: toMoment(moment(inspect.Created) ?? (container.createdAt || null), context.now),
      started: toMoment(moment(inspect.State?.StartedAt), context.now),
      finished: isOver(container) ? toMoment(moment(inspect.State?.FinishedAt), context.now) : null,
      exit: input.inspect ? toExit(container, inspect) : null,
      restart: toRestart(inspect),
      health,
      networks: toNetworks(inspect),
      networkMode: host.NetworkMode ?? '',
      ports: toPortModels(container.ports, context.host),
      mounts: toMounts(inspect),
      memory: toLiveMemory(input),
      cpu: input.figures?.cpuPercent == null ? '' : `${percent(input.figures.cpuPercent)} of one core now`,
      limits: toLimits(host).join(', '),
      command,
      entrypoint,
      runsAs: toRunsAs(config),
      flags: toFlags(inspect),
      environment,
      labels,
      hasSecrets,
      revealed: reveal,
      revealHref: canReveal(context.can, reveal, hasSecrets) ? (input.revealHref ?? `${href}/reveal`) : null,
      hideHref: href,
    },
  };
}

const canReveal = (can: Can, isRevealed: boolean, hasSecrets: boolean) => can.reveal && !isRevealed && hasSecrets;
const isOver = ({ state }: Container) => state === 'exited' || state === 'dead';

function toMoment(ms: number | null, now: number): MomentModel | null {
  return ms === null ? null : { text: dateTime(ms), iso: iso(ms), ago: `${duration(now - ms)} ago` };
}

function toImage({ container, imageTags }: DetailInput, inspect: EngineContainerDetail, context: ViewContext) {
  const reference = inspect.Config?.Image || container.image;
  return {
    ...splitReference(reference),
    href: imageHref(context, inspect.Image ?? container.imageId),
    otherTags: imageTags.filter((tag) => tag !== reference),
    id: shortId(inspect.Image ?? container.imageId),
  };
}

function memoryLimit(inspect: EngineContainerDetail): string {
  const limit = inspect.HostConfig?.Memory ?? 0;
  return limit > 0 ? bytes(limit) : '';
}

function toExit(container: Container, inspect: EngineContainerDetail) {
  if (!isOver(container) && container.state !== 'restarting') return null;
  const code = inspect.State?.ExitCode ?? container.exitCode;
  if (code === null || code === undefined) return null;
  const isOom = wasOutOfMemory(container, inspect);
  return {
    code,
    words: exitWords(code, isOom, memoryLimit(inspect)),
    error: toText(maskText(inspect.State?.Error ?? '')),
  };
}

const wasOutOfMemory = (container: Container, inspect: EngineContainerDetail) =>
  container.oomKilled || (inspect.State?.OOMKilled ?? false);

const unknownNotice: Notice = {
  kind: 'info',
  symbol: 's-created',
  title: 'Not known while the engine is away:',
  text: 'restart policy, health, networks, mounts, limits, command and environment.',
};

/** The one thing worth knowing before the rest: out of memory, failed, unhealthy. */
function toNotice(container: Container, inspect: EngineContainerDetail): Notice | null {
  const exit = toExit(container, inspect);
  if (wasOutOfMemory(container, inspect)) {
    const limit = memoryLimit(inspect);
    const title = limit ? `Killed for using more than its ${limit}.` : 'Killed because memory ran out.';
    const text = exit ? exit.words : 'The kernel ended a process of this container; since then it was started again.';
    return { kind: exit ? 'bad' : 'warn', symbol: 's-oom', title, text };
  }
  if (exit && exit.code !== 0 && exit.code !== 143) {
    const title = `Exited with code ${exit.code}.`;
    return { kind: 'bad', symbol: 's-failed', title, text: [exit.words, exit.error].filter(Boolean).join(' ') };
  }
  if (container.health === 'unhealthy') {
    const streak = inspect.State?.Health?.FailingStreak ?? 0;
    const text = streak > 0 ? `${plural(streak, 'probe')} failed in a row.` : 'Its last probes failed.';
    return { kind: 'bad', symbol: 's-unhealthy', title: 'Unhealthy.', text };
  }
  return null;
}

const policyWords: Record<string, string> = {
  no: 'is not started again',
  always: 'is always started again',
  'unless-stopped': 'is started again unless a person stopped it',
  'on-failure': 'is started again when it fails',
};

function toRestart({ HostConfig, RestartCount }: EngineContainerDetail) {
  const policy = HostConfig?.RestartPolicy?.Name || 'no';
  const most = HostConfig?.RestartPolicy?.MaximumRetryCount ?? 0;
  return {
    policy,
    text: `${policyWords[policy] ?? ''}${policy === 'on-failure' && most > 0 ? `, at most ${most} times` : ''}`,
    count: RestartCount ? `restarted ${plural(RestartCount, 'time')}` : '',
  };
}

function toHealth({ State, Config }: EngineContainerDetail, reveal: boolean): HealthModel | null {
  const health = State?.Health;
  const status = health?.Status;
  if (!health || !status || status === 'none') return null;
  const last = health.Log?.at(-1);
  const interval = Config?.Healthcheck?.Interval ?? 0;
  const test = Config?.Healthcheck?.Test ?? [];
  const texts = [
    health.FailingStreak ? `${plural(health.FailingStreak, 'failed probe')} in a row` : '',
    interval > 0 ? `probed every ${duration(interval / 1e6)}` : '',
  ];
  const glyph = status === 'unhealthy' ? 'unhealthy' : 'running';
  return {
    state: { glyph, symbol: `s-${glyph}`, word: status, code: '', title: `health: ${status}` },
    text: texts.filter(Boolean).join(', '),
    output: last?.Output ? maskText(last.Output.trimEnd(), reveal) : null,
    outputTitle: toProbeTitle(last),
    test: test.length > 1 ? maskText(test.slice(1).join(' '), reveal) : null,
  };
}

function toProbeTitle(probe: { End?: string | null | undefined; ExitCode?: number | null | undefined } | undefined) {
  const end = moment(probe?.End);
  const when = end === null ? '' : ` at ${dateTime(end)}`;
  return `Last probe${when}, exit code ${probe?.ExitCode ?? 'unknown'}`;
}

function toNetworks({ NetworkSettings }: EngineContainerDetail) {
  return Object.entries(NetworkSettings?.Networks ?? {}).map(([name, network]) => ({
    name,
    text: [
      network.IPAddress,
      network.GlobalIPv6Address,
      network.MacAddress,
      network.Aliases?.length ? `alias ${network.Aliases.join(' ')}` : '',
    ]
      .filter(Boolean)
      .join(', '),
  }));
}

function toMounts({ Mounts }: EngineContainerDetail) {
  return (Mounts ?? []).map((mount) => {
    const source = mount.Type === 'volume' ? (mount.Name ?? mount.Source ?? '') : (mount.Source ?? '');
    const kind = [mount.Type || 'mount', source].filter(Boolean).join(' ');
    return { target: mount.Destination ?? '', text: `${kind}, ${mount.RW === false ? 'read-only' : 'read-write'}` };
  });
}

function toLiveMemory({ container, figures }: DetailInput) {
  return figures ? toMemory(container.name, figures.memoryBytes, figures.memoryLimitBytes) : null;
}

/** The limits in words; one that is not set is not told, except that there is none at all. */
function toLimits(host: NonNullable<EngineContainerDetail['HostConfig']>): string[] {
  const cores = quotaOf(host) ?? 0;
  const memory = host.Memory ?? 0;
  const swap = host.MemorySwap ?? 0;
  const texts = [
    memory > 0 ? `memory ${bytes(memory)}` : '',
    memory > 0 && swap > memory ? `swap ${bytes(swap - memory)}` : '',
    memory > 0 && swap === memory ? 'no swap' : '',
    host.MemoryReservation ? `memory reserved ${bytes(host.MemoryReservation)}` : '',
    cores > 0
      ? `CPU ${plural(Number(cores.toFixed(2)), 'core').replace(/^[\d,]+/, String(Number(cores.toFixed(2))))}`
      : '',
    host.CpusetCpus ? `on cores ${host.CpusetCpus}` : '',
    host.CpuShares && host.CpuShares !== 1024 ? `CPU weight ${count(host.CpuShares)}` : '',
    host.PidsLimit && host.PidsLimit > 0 ? `pids ${count(host.PidsLimit)}` : '',
  ].filter(Boolean);
  return texts.length > 0 ? texts : ['none: it may use all of the machine'];
}

function toRunsAs({ User, WorkingDir, Hostname }: NonNullable<EngineContainerDetail['Config']>): string {
  return [`user ${User || 'root'}`, WorkingDir ? `in ${WorkingDir}` : '', Hostname ? `host name ${Hostname}` : '']
    .filter(Boolean)
    .join(', ');
}

function toFlags({ HostConfig, Config }: EngineContainerDetail): string[] {
  return [
    HostConfig?.Privileged ? 'privileged: it may do whatever the machine’s root may' : '',
    HostConfig?.AutoRemove ? 'removed by the engine when it stops' : '',
    Config?.Tty ? 'has a terminal' : '',
  ].filter(Boolean);
}

function toArguments(value: string[] | string | null | undefined): string[] {
  if (!value) return [];
  return Array.isArray(value) ? value : [value];
}

function toEnvironment(entries: string[], reveal: boolean): PairModel[] {
  return entries
    .map((entry) => {
      const equals = entry.indexOf('=');
      return equals < 0 ? { name: entry, value: '' } : { name: entry.slice(0, equals), value: entry.slice(equals + 1) };
    })
    .map(({ name, value }) => ({ name, pieces: maskValue(name, value, reveal) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function toPairs(values: Record<string, string>, reveal: boolean): PairModel[] {
  return Object.entries(values)
    .map(([name, value]) => ({ name, pieces: maskValue(name, value, reveal) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The data of `pages/remove-container`: what is lost, what is kept, and the choices. */
export type RemoveContainerModel = Shared & {
  remove: {
    name: string;
    sub: string;
    action: string;
    cancelHref: string;
    running: boolean;
    lost: string[];
    kept: string[];
    volumes: string[];
  };
};

/** The confirmation before a container is removed; `inspect` may be missing, then only the certain is told. */
export function removeContainerModel(
  { container, inspect }: { container: Container; inspect?: EngineContainerDetail | undefined },
  context: ViewContext,
): RemoveContainerModel {
  const href = `${context.base}/containers/${container.id}`;
  const mounts = inspect?.Mounts ?? [];
  const anonymous = mounts.filter((mount) => mount.Type === 'volume' && isAnonymous(mount.Name ?? ''));
  const named = mounts.filter((mount) => mount.Type === 'volume' && !isAnonymous(mount.Name ?? ''));
  const binds = mounts.filter((mount) => mount.Type === 'bind');
  const isRunning = ['running', 'paused', 'restarting'].includes(container.state);
  return {
    ...toShared(context),
    remove: {
      name: container.name,
      sub: [toStateModel(container, context.now).word, stateAge(container, context.now)].filter(Boolean).join(', '),
      action: `${href}/remove`,
      cancelHref: href,
      running: isRunning,
      lost: [
        ...(isRunning ? ['what it is doing: it is running now and would be killed'] : []),
        'its writable layer: every file changed since it was created',
        'its logs, and the figures kept of it',
      ],
      kept: [
        `image ${container.image}`,
        ...named.map((mount) => `volume ${mount.Name}`),
        ...binds.map((mount) => `folder ${mount.Source} of the machine`),
      ],
      volumes: anonymous.map((mount) => `${(mount.Name ?? '').slice(0, 12)}… at ${mount.Destination ?? ''}`),
    },
  };
}

/** Docker names a volume without a name by 64 hex digits; only those go with a container. */
const isAnonymous = (name: string) => /^[0-9a-f]{64}$/.test(name);
