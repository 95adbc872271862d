import type { Static } from 'typebox';
import { type Container, quotaOf } from '../services/containers.ts';
import type { EngineContainerDetail } from '../services/docker-types.ts';
import { maskArgumentsText, maskText, maskValueText, toText } from '../services/secrets.ts';
import { statusText } from '../services/status-words.ts';
import type * as schemas from './schemas.ts';

const iso = (ms: number): string => new Date(ms).toISOString();

/** A container as `/api` tells it; `now` in ms. */
export function toContainerJson(container: Container, now: number): Static<typeof schemas.Container> {
  const { id, name, image, imageId, state, health, ports, portsText, project, projectTitle, service, networks } =
    container;
  const { since, exact } = container.words;
  // The engine's words are vague: what is guessed from them is no time that a script can rely on.
  const isKnown = exact && since !== null && (state === 'running' || state === 'paused');
  return {
    id,
    name,
    image,
    imageId,
    state,
    status: statusText(container.words, state, now) || state,
    health,
    created: iso(container.createdAt),
    ...(isKnown && { startedAt: iso(since) }),
    ports,
    portsText,
    project,
    projectTitle,
    service,
    networks,
  };
}

const toArguments = (value: string[] | string | null | undefined): string[] =>
  maskArgumentsText(typeof value === 'string' ? [value] : (value ?? []));

/** Everything about a container as `/api` tells it, secrets masked. */
export function toContainerDetailJson(
  container: Container,
  inspect: EngineContainerDetail,
  now: number,
): Static<typeof schemas.ContainerDetail> {
  const { State: state, Config: config, HostConfig: host } = inspect;
  return {
    ...toContainerJson(container, now),
    ...(isTime(state?.StartedAt) && { startedAt: state.StartedAt }),
    ...(isTime(state?.FinishedAt) && { finishedAt: state.FinishedAt }),
    exitCode: state?.Status === 'exited' || state?.Status === 'dead' ? (state.ExitCode ?? null) : null,
    oomKilled: state?.OOMKilled ?? false,
    error: toText(maskText(state?.Error ?? '')),
    restartCount: inspect.RestartCount ?? 0,
    restartPolicy: {
      name: host?.RestartPolicy?.Name || 'no',
      maximumRetryCount: host?.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    healthcheck: toHealthcheck(inspect),
    command: toArguments(config?.Cmd),
    entrypoint: toArguments(config?.Entrypoint),
    workingDir: config?.WorkingDir ?? '',
    user: config?.User ?? '',
    tty: config?.Tty ?? false,
    privileged: host?.Privileged ?? false,
    environment: (config?.Env ?? []).map(toVariable),
    labels: Object.fromEntries(
      Object.entries(config?.Labels ?? {}).map(([name, value]) => [name, maskValueText(name, value)]),
    ),
    mounts: toMounts(inspect),
    networkSettings: toNetworks(inspect),
    limits: toLimits(inspect),
  };
}

/** The engine tells "never" as the year 1. */
const isTime = (value: string | null | undefined): value is string => !!value && !value.startsWith('0001-');

function toVariable(entry: string) {
  const [name = '', ...rest] = entry.split('=');
  return { name, value: maskValueText(name, rest.join('=')) };
}

function toHealthcheck({ State: state }: EngineContainerDetail) {
  const health = state?.Health;
  if (!health?.Status || health.Status === 'none') return null;
  const lastOutput = toText(maskText(health.Log?.at(-1)?.Output ?? ''));
  return { status: health.Status, failingStreak: health.FailingStreak ?? 0, lastOutput };
}

const toMounts = ({ Mounts: mounts }: EngineContainerDetail) =>
  (mounts ?? []).map((mount) => ({
    type: mount.Type ?? '',
    name: mount.Name ?? '',
    source: mount.Source ?? '',
    destination: mount.Destination ?? '',
    readOnly: mount.RW === false,
  }));

const toNetworks = ({ NetworkSettings: settings }: EngineContainerDetail) =>
  Object.entries(settings?.Networks ?? {}).map(([name, network]) => ({
    name,
    ipAddress: network.IPAddress ?? '',
    ipv6Address: network.GlobalIPv6Address ?? '',
    macAddress: network.MacAddress ?? '',
    gateway: network.Gateway ?? '',
    aliases: network.Aliases ?? [],
  }));

function toLimits({ HostConfig: host }: EngineContainerDetail) {
  return {
    memoryBytes: host?.Memory || null,
    memoryReservationBytes: host?.MemoryReservation || null,
    cpus: quotaOf(host),
    cpuset: host?.CpusetCpus ?? '',
    pids: host?.PidsLimit && host.PidsLimit > 0 ? host.PidsLimit : null,
  };
}
