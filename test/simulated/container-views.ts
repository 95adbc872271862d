import { humanDuration, nowNanos, toMillis, toRfc3339 } from './clock.ts';
import { type Endpoint, type HealthProbe, isUp, type ListState, type SimulatedContainer } from './container.ts';
import type { Mount } from './container-spec.ts';
import type { Flavour } from './flavours.ts';
import type { PublishedPort } from './ports.ts';

/** One row of `GET /containers/json`. */
export function toSummary(container: SimulatedContainer, flavour: Flavour, withSize: boolean) {
  const shown = toShown(container);
  return {
    Id: container.id,
    Names: [`/${container.name}`],
    Image: container.image,
    ImageID: container.imageId,
    Command: toCommandText(container, flavour),
    Created: Math.floor(toMillis(container.created) / 1000),
    Ports: toSummaryPorts(container, shown),
    ...(withSize ? { SizeRootFs: 1_984_178 } : {}),
    Labels: container.labels,
    State: shown.state,
    Status: toStatusText(shown, flavour),
    ...toHostPart(container, flavour),
    NetworkSettings: { Networks: toNetworks(container.endpoints, flavour) },
    Mounts: container.mounts.map((mount) => toMountDocument(mount, flavour)),
  };
}

/** The state as the list has it: for a while after a death or a pause that is the one before. */
export function toShown(container: SimulatedContainer): ListState {
  if (!container.stale) return container;
  if (performance.now() < container.stale.until) return container.stale.summary();
  container.stale = null;
  return container;
}

/** Podman has no `HostConfig` in its list, but fields of its create request. */
function toHostPart(container: SimulatedContainer, flavour: Flavour): Record<string, unknown> {
  if (flavour.isPodman) {
    return { Name: '', Config: null, NetworkingConfig: null, Platform: null, DefaultReadOnlyNonRecursive: false };
  }
  return { HostConfig: { NetworkMode: container.body.HostConfig?.NetworkMode ?? 'default' } };
}

function toCommandText(container: SimulatedContainer, flavour: Flavour): string {
  const words = toCommand(container);
  if (flavour.isPodman) return words.join(' ');
  return words.map((word) => (/[\s;$&|<>]/.test(word) ? `'${word}'` : word)).join(' ');
}

function toCommand(container: SimulatedContainer): string[] {
  return [...(container.body.Entrypoint ?? []), ...(container.body.Cmd ?? [])];
}

/** `Up 2 seconds (healthy)`, `Exited (137) 3 minutes ago`. */
export function toStatusText(shown: ListState, flavour: Flavour): string {
  const since = (time: bigint | null) => humanDuration(toMillis(nowNanos() - (time ?? nowNanos())));
  const up = `Up ${since(shown.startedAt)}`;
  switch (shown.state) {
    case 'running':
      return flavour.isPodman ? up : up + toHealthText(shown);
    case 'paused':
      return `${up} (Paused)`;
    case 'restarting':
      return `Restarting (${shown.exitCode}) ${since(shown.finishedAt)} ago`;
    case 'exited':
      return `Exited (${shown.exitCode}) ${since(shown.finishedAt)} ago`;
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
    default:
      return 'Created';
  }
}

function toHealthText({ health }: ListState): string {
  if (health === 'none') return '';
  return health === 'starting' ? ' (health: starting)' : ` (${health})`;
}

function toSummaryPorts(container: SimulatedContainer, shown: ListState): Record<string, unknown>[] {
  if (!isUp(shown) || shown.state === 'restarting') return [];
  const published = shown.ports.map(toSummaryPort);
  const names = new Set(shown.ports.map((port) => `${port.containerPort}/${port.protocol}`));
  const exposed = Object.keys(container.body.ExposedPorts ?? {}).filter((name) => !names.has(name));
  return [...exposed.map(toExposedPort), ...published];
}

function toSummaryPort(port: PublishedPort): Record<string, unknown> {
  return { IP: port.hostIp, PrivatePort: port.containerPort, PublicPort: port.hostPort, Type: port.protocol };
}

function toExposedPort(name: string): Record<string, unknown> {
  const [port, protocol = 'tcp'] = name.split('/');
  return { PrivatePort: Number(port), Type: protocol };
}

function toNetworks(endpoints: readonly Endpoint[], flavour: Flavour): Record<string, unknown> {
  return Object.fromEntries(endpoints.map((endpoint) => [endpoint.network, toEndpointDocument(endpoint, flavour)]));
}

function toEndpointDocument(endpoint: Endpoint, flavour: Flavour): Record<string, unknown> {
  const subnet = endpoint.address.split('.').slice(0, 2).join('.');
  return {
    IPAMConfig: null,
    Links: null,
    Aliases: endpoint.aliases,
    MacAddress: endpoint.macAddress,
    DriverOpts: null,
    ...(flavour.isOldShape ? {} : { GwPriority: 0 }),
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.endpointId,
    Gateway: endpoint.address ? `${subnet}.0.1` : '',
    IPAddress: endpoint.address,
    IPPrefixLen: endpoint.address ? 16 : 0,
    IPv6Gateway: '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    ...(flavour.isOldShape ? {} : { DNSNames: null }),
  };
}

function toMountDocument(mount: Mount, flavour: Flavour): Record<string, unknown> {
  const isVolume = mount.type === 'volume';
  return {
    Type: mount.type,
    ...(isVolume ? { Name: mount.name } : {}),
    Source: mount.source,
    Destination: mount.destination,
    ...(isVolume ? { Driver: 'local' } : {}),
    Mode: isVolume && !flavour.isPodman ? 'z' : '',
    RW: mount.isWritable,
    Propagation: isVolume && !flavour.isPodman ? '' : 'rprivate',
  };
}

/** The document of `GET /containers/:id/json`. */
export function toInspection(container: SimulatedContainer, flavour: Flavour): Record<string, unknown> {
  const [path = '', ...args] = toCommand(container);
  const folder = `/var/lib/docker/containers/${container.id}`;
  return {
    Id: container.id,
    Created: toRfc3339(container.created),
    Path: path,
    Args: args,
    State: toStateDocument(container),
    Image: container.imageId,
    ResolvConfPath: `${folder}/resolv.conf`,
    HostnamePath: `${folder}/hostname`,
    HostsPath: `${folder}/hosts`,
    LogPath: `${folder}/${container.id}-json.log`,
    Name: `/${container.name}`,
    RestartCount: container.restartCount,
    Driver: flavour.isPodman ? 'overlay' : 'overlay2',
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: null,
    HostConfig: toHostConfig(container, flavour),
    GraphDriver: toGraphDriver(container.id, flavour),
    Mounts: container.mounts.map((mount) => toMountDocument(mount, flavour)),
    Config: toConfig(container),
    NetworkSettings: toNetworkSettings(container, flavour),
  };
}

function toStateDocument(container: SimulatedContainer): Record<string, unknown> {
  const { state } = container;
  return {
    Status: state,
    Running: isUp(container),
    Paused: state === 'paused',
    Restarting: state === 'restarting',
    OOMKilled: container.isOomKilled,
    Dead: state === 'dead',
    Pid: container.pid,
    ExitCode: container.exitCode,
    Error: container.error,
    StartedAt: toRfc3339(container.startedAt),
    FinishedAt: toRfc3339(container.finishedAt),
    ...(container.health === 'none' ? {} : { Health: toHealthDocument(container) }),
  };
}

function toHealthDocument({ health, failingStreak, healthLog }: SimulatedContainer): Record<string, unknown> {
  return { Status: health, FailingStreak: failingStreak, Log: healthLog.map(toProbeDocument) };
}

function toProbeDocument(probe: HealthProbe): Record<string, unknown> {
  const { start, end, exitCode, output } = probe;
  return { Start: toRfc3339(start), End: toRfc3339(end), ExitCode: exitCode, Output: output };
}

function toGraphDriver(id: string, flavour: Flavour): Record<string, unknown> {
  const folder = `/var/lib/docker/overlay2/${id}`;
  return {
    Data: {
      ...(flavour.version === '28' ? { ID: id } : {}),
      LowerDir: `${folder}-init/diff`,
      MergedDir: `${folder}/merged`,
      UpperDir: `${folder}/diff`,
      WorkDir: `${folder}/work`,
    },
    Name: flavour.isPodman ? 'overlay' : 'overlay2',
  };
}

function toConfig(container: SimulatedContainer): Record<string, unknown> {
  const { HostConfig, NetworkingConfig, ...config } = container.body;
  return {
    Hostname: container.id.slice(0, 12),
    Domainname: '',
    User: '',
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    ExposedPorts: {},
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: [],
    Cmd: null,
    Volumes: null,
    WorkingDir: '',
    Entrypoint: null,
    OnBuild: null,
    ...config,
    Labels: container.labels,
  };
}

function toNetworkSettings(container: SimulatedContainer, flavour: Flavour): Record<string, unknown> {
  const bridge = container.endpoints.find(({ network }) => network === flavour.defaultNetwork);
  const { Gateway, IPAddress, IPPrefixLen, MacAddress, EndpointID } = bridge
    ? toEndpointDocument(bridge, flavour)
    : { Gateway: '', IPAddress: '', IPPrefixLen: 0, MacAddress: '', EndpointID: '' };
  return {
    Bridge: '',
    SandboxID: container.pid ? container.id : '',
    SandboxKey: container.pid ? `/var/run/docker/netns/${container.id.slice(0, 12)}` : '',
    Ports: toInspectedPorts(container),
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID,
    Gateway,
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    IPAddress,
    IPPrefixLen,
    IPv6Gateway: '',
    MacAddress,
    Networks: toNetworks(container.endpoints, flavour),
  };
}

function toInspectedPorts(container: SimulatedContainer): Record<string, unknown> {
  if (!container.pid) return {};
  const ports: Record<string, { HostIp: string; HostPort: string }[] | null> = {};
  for (const name of Object.keys(container.body.ExposedPorts ?? {})) ports[name] = null;
  for (const { hostIp, hostPort, containerPort, protocol } of container.ports) {
    const name = `${containerPort}/${protocol}`;
    ports[name] = [...(ports[name] ?? []), { HostIp: hostIp, HostPort: String(hostPort) }];
  }
  return ports;
}

/** Every key that an engine shows, with its default, under what the container asked for. */
function toHostConfig(container: SimulatedContainer, flavour: Flavour): Record<string, unknown> {
  const old = flavour.isOldShape ? { KernelMemory: 0, KernelMemoryTCP: 0 } : {};
  return { ...HOST_CONFIG_DEFAULTS, ...old, ...container.body.HostConfig };
}

const HOST_CONFIG_DEFAULTS: Record<string, unknown> = {
  Binds: null,
  ContainerIDFile: '',
  LogConfig: { Type: 'json-file', Config: {} },
  NetworkMode: 'default',
  PortBindings: {},
  RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
  AutoRemove: false,
  VolumeDriver: '',
  VolumesFrom: null,
  ConsoleSize: [0, 0],
  CapAdd: null,
  CapDrop: null,
  CgroupnsMode: 'private',
  Dns: null,
  DnsOptions: null,
  DnsSearch: null,
  ExtraHosts: null,
  GroupAdd: null,
  IpcMode: 'private',
  Cgroup: '',
  Links: null,
  OomScoreAdj: 0,
  PidMode: '',
  Privileged: false,
  PublishAllPorts: false,
  ReadonlyRootfs: false,
  SecurityOpt: null,
  UTSMode: '',
  UsernsMode: '',
  ShmSize: 67_108_864,
  Runtime: 'runc',
  Isolation: '',
  CpuShares: 0,
  Memory: 0,
  NanoCpus: 0,
  CgroupParent: '',
  BlkioWeight: 0,
  BlkioWeightDevice: null,
  BlkioDeviceReadBps: null,
  BlkioDeviceWriteBps: null,
  BlkioDeviceReadIOps: null,
  BlkioDeviceWriteIOps: null,
  CpuPeriod: 0,
  CpuQuota: 0,
  CpuRealtimePeriod: 0,
  CpuRealtimeRuntime: 0,
  CpusetCpus: '',
  CpusetMems: '',
  Devices: null,
  DeviceCgroupRules: null,
  DeviceRequests: null,
  MemoryReservation: 0,
  MemorySwap: 0,
  MemorySwappiness: null,
  OomKillDisable: false,
  PidsLimit: null,
  Ulimits: null,
  CpuCount: 0,
  CpuPercent: 0,
  IOMaximumIOps: 0,
  IOMaximumBandwidth: 0,
  MaskedPaths: ['/proc/asound', '/proc/acpi', '/proc/kcore', '/proc/keys', '/sys/firmware'],
  ReadonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
};
