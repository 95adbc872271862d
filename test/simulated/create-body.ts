import type { ContainerSpec, CreateBody, HostConfigBody, Mount, MountBody, PortBinding } from './container-spec.ts';
import { randomId } from './ids.ts';

/** The create request that a spec stands for. */
export function toCreateBody(spec: ContainerSpec, defaultNetwork: string): CreateBody {
  const networks = spec.networks ?? [defaultNetwork];
  return {
    Image: spec.image ?? 'lab/busybox',
    Cmd: [...(spec.command ?? ['sh', '-c', 'while :; do sleep 1; done'])],
    Env: toEnv(spec.env),
    Labels: { ...spec.labels },
    Tty: spec.tty ?? false,
    User: spec.user ?? '',
    WorkingDir: spec.workingDir ?? '',
    ExposedPorts: toExposedPorts(spec),
    ...toHealthcheck(spec),
    ...spec.config,
    HostConfig: toHostConfig(spec, networks[0] ?? 'none'),
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(networks.map((name) => [name, {}])) },
  };
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
    Binds: spec.mounts ? [...spec.mounts] : null,
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

/** Everything that `Binds`, `Mounts` and `Volumes` ask for. */
export function toMounts(body: CreateBody): Mount[] {
  const binds = (body.HostConfig?.Binds ?? []).map(parseBind);
  const mounts = (body.HostConfig?.Mounts ?? []).map(parseMount);
  const taken = new Set([...binds, ...mounts].map((mount) => mount.destination));
  const anonymous = Object.keys(body.Volumes ?? {}).filter((destination) => !taken.has(destination));
  return [...binds, ...mounts, ...anonymous.map((destination) => volume(randomId(), destination, true))];
}

function parseBind(bind: string): Mount {
  const [source = '', destination = '', mode = ''] = bind.split(':');
  const isWritable = !mode.split(',').includes('ro');
  if (!source.startsWith('/')) return volume(source, destination, isWritable);
  return { type: 'bind', name: '', source, destination, isWritable };
}

function parseMount(mount: MountBody): Mount {
  const isWritable = mount.ReadOnly !== true;
  const destination = mount.Target ?? '';
  if (mount.Type === 'volume') return volume(mount.Source || randomId(), destination, isWritable);
  const type = mount.Type === 'tmpfs' ? 'tmpfs' : 'bind';
  return { type, name: '', source: mount.Source ?? '', destination, isWritable };
}

function volume(name: string, destination: string, isWritable: boolean): Mount {
  return { type: 'volume', name, source: `/var/lib/docker/volumes/${name}/_data`, destination, isWritable };
}
