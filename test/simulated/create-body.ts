import type { ContainerSpec, CreateBody, HostConfigBody, PortBinding } from './container-spec.ts';
import { toSet } from './image-config.ts';

/** The create request that a spec stands for. */
export function toCreateBody(spec: ContainerSpec, defaultNetwork: string): CreateBody {
  const network = spec.networks ? (spec.networks[0] ?? 'none') : defaultNetwork;
  const anonymous = (spec.mounts ?? []).filter((mount) => !mount.includes(':'));
  return {
    Image: spec.image ?? 'lab/busybox',
    Cmd: [...(spec.command ?? ['sh', '-c', 'while :; do sleep 1; done'])],
    Env: toEnv(spec.env),
    Labels: { ...spec.labels },
    Tty: spec.tty ?? false,
    User: spec.user ?? '',
    WorkingDir: spec.workingDir ?? '',
    ExposedPorts: toExposedPorts(spec),
    Volumes: toSet(anonymous),
    ...toHealthcheck(spec),
    ...spec.config,
    HostConfig: toHostConfig(spec, network),
    NetworkingConfig: { EndpointsConfig: { [network]: { ...spec.endpoints?.[network] } } },
  };
}

/** The networks of a spec that have to be there; the first is the one it is created in. */
export function toNetworkNames(spec: ContainerSpec): string[] {
  return (spec.networks ?? []).filter((name) => !name.startsWith('container:'));
}

function toEnv(env: ContainerSpec['env']): string[] {
  if (env === undefined) return ['PATH=/bin:/usr/bin'];
  return Array.isArray(env) ? [...env] : Object.entries(env).map(([name, value]) => `${name}=${value}`);
}

function toHealthcheck(spec: ContainerSpec): Pick<CreateBody, 'Healthcheck'> {
  const hasCheck = spec.healthcheck !== undefined || (spec.health !== undefined && spec.health !== 'none');
  if (!hasCheck) return {};
  const Test = ['CMD', ...(spec.healthcheck ?? ['true'])];
  return { Healthcheck: { Test, Interval: 30_000_000_000, Timeout: 5_000_000_000, Retries: 3 } };
}

function toHostConfig(spec: ContainerSpec, network: string): HostConfigBody {
  const [policy = 'no', retries = '0'] = (spec.restart ?? 'no').split(':');
  return {
    Binds: spec.mounts?.filter((mount) => mount.includes(':')) ?? null,
    NetworkMode: network,
    PortBindings: toPortBindings(spec.ports ?? []),
    RestartPolicy: { Name: policy, MaximumRetryCount: Number(retries) },
    AutoRemove: spec.autoRemove ?? false,
    Privileged: spec.privileged ?? false,
    Memory: spec.memory ?? 0,
    MemorySwap: (spec.memory ?? 0) * 2,
    NanoCpus: Math.round((spec.cpus ?? 0) * 1e9),
    PidsLimit: spec.pidsLimit ?? null,
    ...spec.hostConfig,
  };
}

function toPortBindings(ports: readonly string[]): Record<string, PortBinding[]> {
  const bindings: Record<string, PortBinding[]> = {};
  for (const port of ports) {
    const { key, binding } = parsePort(port);
    bindings[key] = [...(bindings[key] ?? []), binding];
  }
  return bindings;
}

function parsePort(text: string): { key: string; binding: PortBinding } {
  const parts = /^(?:(?:\[([^\]]+)\]|(\d+\.[\d.]+)):)?(?:(\d*):)?(\d+)(?:\/(\w+))?$/.exec(text);
  if (!parts) throw new Error(`not a port: ${text}`);
  const [, ipv6, ipv4, hostPort, containerPort, protocol] = parts;
  return {
    key: `${containerPort}/${protocol ?? 'tcp'}`,
    binding: { HostIp: ipv6 ?? ipv4 ?? '', HostPort: hostPort ?? '' },
  };
}

function toExposedPorts(spec: ContainerSpec): Record<string, object> {
  const published = Object.keys(toPortBindings(spec.ports ?? []));
  return Object.fromEntries([...published, ...(spec.expose ?? [])].map((port) => [port, {}]));
}
