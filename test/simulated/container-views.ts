import { humanDuration, nowNanos, toMillis, toRfc3339 } from './clock.ts';
import { type Endpoint, type HealthProbe, isUp, type ListState, type SimulatedContainer } from './container.ts';
import type { Mount } from './container-spec.ts';
import type { Flavour } from './flavours.ts';
import type { Images } from './images.ts';
import { toLinkTexts } from './links.ts';
import type { PublishedPort } from './ports.ts';
import type { World } from './world.ts';

type Context = Pick<World, 'flavour' | 'images' | 'containers'>;

/** One row of `GET /containers/json`; `linkNames` are what others call it. */
export function toSummary(
  container: SimulatedContainer,
  { flavour, images }: Context,
  withSize: boolean,
  linkNames: readonly string[] = [],
) {
  const shown = toShown(container);
  return {
    Id: container.id,
    Names: [`/${container.name}`, ...linkNames],
    Image: toShownImage(container, images),
    ImageID: container.imageId,
    Command: toCommandText(container, flavour),
    Created: Math.floor(toMillis(container.created) / 1000),
    Ports: toSummaryPorts(container, shown),
    ...(withSize ? { SizeRootFs: 1_984_178 } : {}),
    Labels: container.labels,
    State: shown.state,
    Status: toStatusText(shown, flavour),
    ...toHostPart(container, flavour),
    NetworkSettings: { Networks: toListNetworks(container.endpoints, flavour) },
    Mounts: container.mounts.map((mount) => ({ ...toMountDocument(mount, flavour), ...toListSource(mount, flavour) })),
  };
}

/** Docker's list does not know where the volumes are that only `Volumes` asked for. */
function toListSource({ type, mode }: Mount, flavour: Flavour): { Source?: string } {
  return type === 'volume' && mode === '' && !flavour.isPodman ? { Source: '' } : {};
}

/** In Docker's list, a container has no names in its networks. */
function toListNetworks(endpoints: readonly Endpoint[], flavour: Flavour): Record<string, unknown> {
  if (flavour.isPodman) return toNetworks(endpoints, flavour);
  const bare = endpoints.map((endpoint) => {
    const { IPAMConfig = null, GwPriority = 0 } = endpoint.settings;
    return { ...endpoint, aliases: null, dnsNames: null, settings: { IPAMConfig, GwPriority } };
  });
  return toNetworks(bare, flavour);
}

/** What a container was made of by name is its name as long as that means the same image, and then the image's id. */
function toShownImage({ image, imageId }: SimulatedContainer, images: Images): string {
  return images.find(image)?.id === imageId ? image : imageId;
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
  const sorted = [...endpoints].sort((a, b) => (a.network < b.network ? -1 : 1));
  return Object.fromEntries(sorted.map((endpoint) => [endpoint.network, toEndpointDocument(endpoint, flavour)]));
}

function toEndpointDocument(endpoint: Endpoint, flavour: Flavour): Record<string, unknown> {
  const { settings } = endpoint;
  const ipv6 = endpoint.address ? (settings.IPAMConfig?.IPv6Address ?? '') : '';
  return {
    IPAMConfig: settings.IPAMConfig ?? null,
    Links: settings.Links ?? null,
    Aliases: endpoint.aliases,
    MacAddress: endpoint.macAddress,
    DriverOpts: settings.DriverOpts ?? null,
    ...(flavour.isOldShape ? {} : { GwPriority: settings.GwPriority ?? 0 }),
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.endpointId,
    Gateway: endpoint.gateway,
    IPAddress: endpoint.address,
    IPPrefixLen: endpoint.address ? 16 : 0,
    IPv6Gateway: '',
    GlobalIPv6Address: ipv6,
    GlobalIPv6PrefixLen: ipv6 ? 64 : 0,
    ...(flavour.isOldShape ? {} : { DNSNames: endpoint.dnsNames }),
  };
}

function toMountDocument(mount: Mount, flavour: Flavour): Record<string, unknown> {
  const isVolume = mount.type === 'volume';
  const hasPropagation = flavour.isPodman || mount.type === 'bind';
  return {
    Type: mount.type,
    ...(isVolume ? { Name: mount.name } : {}),
    Source: mount.source,
    Destination: mount.destination,
    ...(isVolume ? { Driver: 'local' } : {}),
    Mode: flavour.isPodman ? '' : mount.mode,
    RW: mount.isWritable,
    Propagation: hasPropagation ? 'rprivate' : '',
  };
}

/** The document of `GET /containers/:id/json`. */
export function toInspection(container: SimulatedContainer, context: Context): Record<string, unknown> {
  const { flavour } = context;
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
    Config: toConfig(container, context),
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

function toConfig(container: SimulatedContainer, { flavour, containers }: Context): Record<string, unknown> {
  const { HostConfig, NetworkingConfig, MacAddress, Volumes, ...config } = container.body;
  const macAddress = flavour.isOldShape ? MacAddress : containers.endpoints.configuredMacAddress(container);
  return {
    Hostname: '',
    Domainname: '',
    User: '',
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: [],
    Cmd: null,
    WorkingDir: '',
    Entrypoint: null,
    OnBuild: null,
    ...withoutEmpty(config, ['ExposedPorts', 'Healthcheck', 'StopSignal', 'StopTimeout', 'Shell']),
    ...(macAddress ? { MacAddress: macAddress } : {}),
    Volumes: isEmpty(Volumes) ? null : Volumes,
    Labels: container.labels,
  };
}

/** Go leaves some fields out when there is nothing in them. */
function withoutEmpty(config: Record<string, unknown>, optional: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config).filter(([key, value]) => !optional.includes(key) || !isEmpty(value)),
  );
}

function isEmpty(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === undefined || value === null || value === '';
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
  const old = { KernelMemory: 0, KernelMemoryTCP: 0, RestartPolicy: { Name: '', MaximumRetryCount: 0 } };
  const { HostConfig } = container.body;
  return {
    ...HOST_CONFIG_DEFAULTS,
    ...(flavour.isOldShape ? old : {}),
    ...HostConfig,
    ...(HostConfig?.Privileged ? PRIVILEGED : {}),
    Links: toLinkTexts(container),
  };
}

const PRIVILEGED = { SecurityOpt: ['label=disable'], MaskedPaths: null, ReadonlyPaths: null };

const HOST_CONFIG_DEFAULTS: Record<string, unknown> = {
  Binds: null,
  ContainerIDFile: '',
  LogConfig: { Type: 'json-file', Config: {} },
  NetworkMode: 'default',
  PortBindings: null,
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
