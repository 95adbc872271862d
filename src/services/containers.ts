import type { EngineContainer, EngineContainerDetail, EnginePort } from './docker-types.ts';
import { parseStatus, type StatusWords } from './status-words.ts';

/** A port of a container; `hostPort` is null where it is exposed but not published. */
export type Port = { hostIp: string; hostPort: number | null; containerPort: number; protocol: string };

export type Health = 'starting' | 'healthy' | 'unhealthy';

/** A container as the inventory knows it: what one list call tells, and what events told since. */
export type Container = {
  id: string;
  name: string;
  image: string;
  imageId: string;
  command: string;
  /** Docker's own word: `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`. */
  state: string;
  /** What the engine said at the list, read into words that can be kept true by the clock. */
  words: StatusWords;
  health: Health | null;
  exitCode: number | null;
  /** Whether the kernel was seen to end it for want of memory since it was last started. */
  oomKilled: boolean;
  /** Whether somebody was seen to stop or kill it since it was last started. */
  isStopAsked: boolean;
  /** ms since 1970. */
  createdAt: number;
  ports: Port[];
  portsText: string;
  /** The Compose project; null for a standalone container. */
  project: string | null;
  projectTitle: string;
  service: string | null;
  /** The services of the same project that have to run before this one. */
  dependsOn: string[];
  networks: string[];
  labels: Record<string, string>;
};

const composeLabel = 'com.docker.compose.';

/** Turns an item of the engine's list into a container; `now` (ms) is when the engine answered. */
export function toContainer(item: EngineContainer, now: number): Container {
  const name = toName(item);
  const labels = item.Labels ?? {};
  const ports = toPorts(item.Ports ?? []);
  const words = parseStatus(item.Status ?? '', now);
  return {
    id: item.Id,
    name,
    image: item.Image ?? '',
    imageId: item.ImageID ?? '',
    command: item.Command ?? '',
    state: item.State || words.state,
    words,
    health: words.health,
    exitCode: words.exitCode,
    oomKilled: false,
    isStopAsked: false,
    createdAt: toMs(item.Created ?? 0),
    ports,
    portsText: toPortsText(ports),
    ...toProject(name, labels),
    dependsOn: toDependencies(labels[`${composeLabel}depends_on`] ?? ''),
    networks: Object.keys(item.NetworkSettings?.Networks ?? {}).sort(),
    labels,
  };
}

/** The latest moment that a Date can hold, ms since 1970. */
const lastMs = 8.64e15;

/** Seconds as ms since 1970; what no date can hold is 0. */
export const toMs = (seconds: number): number => (Math.abs(seconds * 1000) <= lastMs ? seconds * 1000 : 0);

/** How many cores' worth of time a container may use, however that was said; null where it has no such limit. */
export function quotaOf(host: EngineContainerDetail['HostConfig']): number | null {
  if (host?.NanoCpus) return host.NanoCpus / 1e9;
  return host?.CpuQuota && host.CpuQuota > 0 ? host.CpuQuota / (host.CpuPeriod || 100_000) : null;
}

/** How many cores a container can keep busy: by its quota, and by the cores that it is bound to; null for all. */
export function coresOf(host: EngineContainerDetail['HostConfig']): number | null {
  const limits = [quotaOf(host), coresInSet(host?.CpusetCpus ?? '')].filter((limit) => limit !== null);
  return limits.length > 0 ? Math.min(...limits) : null;
}

/** How many cores are in a set as the kernel writes it, `0-2,4`; null for an empty one, or what is none. */
function coresInSet(text: string): number | null {
  const spans = text.split(',').map((piece) => /^\s*(\d{1,6})(?:-(\d{1,6}))?\s*$/.exec(piece));
  let count = 0;
  let last = -1;
  for (const [from, to] of spans.map((span) => toSpan(span)).sort(([a], [b]) => a - b)) {
    if (!(to >= from)) return null;
    count += Math.max(0, to - Math.max(from, last + 1) + 1);
    last = Math.max(last, to);
  }
  return count;
}

const toSpan = (span: RegExpExecArray | null) => [Number(span?.[1]), Number(span?.[2] ?? span?.[1])] as const;

/** The container's own name: of its names the one that is not a legacy link (`/other/alias`). */
function toName(item: EngineContainer): string {
  const names = (item.Names ?? []).map((name) => name.replace(/^\//, ''));
  return names.find((name) => !name.includes('/')) ?? names[0] ?? item.Id.slice(0, 12);
}

function toPorts(ports: EnginePort[]): Port[] {
  return ports
    .map((port) => ({
      hostIp: port.IP ?? '',
      hostPort: port.PublicPort || null,
      containerPort: port.PrivatePort ?? 0,
      protocol: port.Type ?? 'tcp',
    }))
    .sort((a, b) => a.containerPort - b.containerPort || compare(a.protocol, b.protocol) || compareHost(a, b));
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const compareHost = (a: Port, b: Port) =>
  (a.hostPort ?? 0) - (b.hostPort ?? 0) || Number(a.hostIp.includes(':')) - Number(b.hostIp.includes(':'));

const anyAddress = new Set(['', '0.0.0.0', '::']);

/**
 * Ports in one line: `8080->80/tcp, [::]:8443->443/tcp, 9000/tcp`. The address is left out where it is any IPv4
 * address, and where the same port is bound to any IPv6 address as well.
 */
export function toPortsText(ports: readonly Port[]): string {
  const texts = shownPorts(ports).map((port) => `${hostText(port)}${port.containerPort}/${port.protocol}`);
  return [...new Set(texts)].join(', ');
}

/** The ports without those IPv6 twins (`[::]:8080`) that stand beside the same IPv4 port. */
export function shownPorts(ports: readonly Port[]): Port[] {
  return ports.filter((port) => port.hostIp !== '::' || !ports.some((other) => isTwin(port, other)));
}

const isTwin = (port: Port, other: Port) =>
  anyAddress.has(other.hostIp) &&
  other.hostIp !== '::' &&
  other.hostPort === port.hostPort &&
  other.containerPort === port.containerPort &&
  other.protocol === port.protocol;

function hostText(port: Port): string {
  if (port.hostPort === null) return '';
  if (port.hostIp.includes(':')) return `[${port.hostIp}]:${port.hostPort}->`;
  return anyAddress.has(port.hostIp) ? `${port.hostPort}->` : `${port.hostIp}:${port.hostPort}->`;
}

/** The group of those that belong to no project. */
export const standaloneTitle = 'Standalone Containers';

/**
 * Project and service: by Compose's labels, else by the name pattern `project_service_index` of Compose v1. The names of
 * v2, `project-service-index`, are no such pattern: a project may itself hold dashes, and v2 always sets labels.
 */
function toProject(name: string, labels: Record<string, string>) {
  const project = labels[`${composeLabel}project`];
  if (project) {
    return { project, projectTitle: projectTitle(project), service: labels[`${composeLabel}service`] ?? null };
  }
  const match = /^([a-z0-9][a-z0-9-]*)_([a-zA-Z0-9][a-zA-Z0-9._-]*)_(\d+)$/.exec(name);
  if (!match?.[1] || !match[2]) return { project: null, projectTitle: standaloneTitle, service: null };
  return { project: match[1], projectTitle: projectTitle(match[1]), service: match[2] };
}

/** `Docker Compose: My Project` for `my-project`. */
export function projectTitle(project: string): string {
  const words = project.split(/[-_\s]+/).filter(Boolean);
  return `Docker Compose: ${words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join(' ')}`;
}

/** The services named in Compose's `depends_on` label: `db:service_healthy:false,cache:service_started:false`. */
function toDependencies(label: string): string[] {
  return label
    .split(',')
    .map((entry) => entry.split(':')[0]?.trim() ?? '')
    .filter(Boolean);
}
