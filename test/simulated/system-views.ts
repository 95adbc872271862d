import { nowNanos, toRfc3339 } from './clock.ts';
import { isUp } from './container.ts';
import type { Containers } from './containers.ts';
import type { Flavour } from './flavours.ts';
import type { StatsHost } from './stats.ts';

/** The answer of `GET /version`. */
export function toVersion(flavour: Flavour, minApiVersion: string): Record<string, unknown> {
  const common = {
    ApiVersion: flavour.apiVersion,
    MinAPIVersion: minApiVersion,
    GitCommit: '',
    GoVersion: 'go1.27.1',
    Os: 'linux',
    Arch: 'amd64',
    KernelVersion: '6.12.0',
    BuildTime: '2026-09-15T11:02:57.000000000+00:00',
  };
  const engine = flavour.isPodman ? 'Podman Engine' : 'Engine';
  const components = [
    { Name: engine, Version: flavour.serverVersion, Details: { ...common, Experimental: 'false' } },
    { Name: flavour.isPodman ? 'Conmon' : 'containerd', Version: '2.1.9', Details: { GitCommit: '' } },
    { Name: 'runc', Version: '1.3.6', Details: { GitCommit: '' } },
  ];
  return { Platform: { Name: '' }, Components: components, Version: flavour.serverVersion, ...common };
}

/** The answer of `GET /info`. */
export function toInfo(
  host: StatsHost,
  containers: Containers,
  imageCount: number,
  name: string,
): Record<string, unknown> {
  const { flavour } = host;
  return {
    ID: '85c61585-a05f-4e0f-b413-b260946a1014',
    ...toCounts(containers),
    Images: imageCount,
    Driver: flavour.isPodman ? 'overlay' : 'overlay2',
    DriverStatus: [['Backing Filesystem', 'extfs']],
    Plugins: {
      Volume: ['local'],
      Network: ['bridge', 'host', 'null'],
      Authorization: null,
      Log: ['json-file', 'local'],
    },
    MemoryLimit: true,
    SwapLimit: true,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: true,
    Debug: false,
    OomKillDisable: host.cgroup === 1,
    NFd: 41,
    NGoroutines: 60,
    SystemTime: toRfc3339(nowNanos()),
    LoggingDriver: 'json-file',
    CgroupDriver: host.cgroup === 1 ? 'cgroupfs' : 'systemd',
    CgroupVersion: String(host.cgroup),
    NEventsListener: 0,
    KernelVersion: '6.12.0',
    OperatingSystem: 'Debian GNU/Linux 12 (bookworm)',
    OSVersion: '12',
    OSType: 'linux',
    Architecture: 'x86_64',
    RegistryConfig: { IndexConfigs: {}, InsecureRegistryCIDRs: ['127.0.0.0/8'], Mirrors: null },
    NCPU: host.cpus,
    MemTotal: host.memoryBytes,
    GenericResources: null,
    DockerRootDir: '/var/lib/docker',
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Name: name,
    Labels: [],
    ExperimentalBuild: false,
    ServerVersion: flavour.serverVersion,
    Runtimes: { runc: { path: 'runc' } },
    DefaultRuntime: 'runc',
    Swarm: {
      NodeID: '',
      NodeAddr: '',
      LocalNodeState: 'inactive',
      ControlAvailable: false,
      Error: '',
      RemoteManagers: null,
    },
    LiveRestoreEnabled: false,
    Isolation: '',
    InitBinary: 'docker-init',
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: '' },
    InitCommit: { ID: '' },
    SecurityOptions: ['name=seccomp,profile=builtin'],
    Warnings: null,
  };
}

function toCounts(containers: Containers): Record<string, number> {
  const states = [...containers.all()];
  const paused = states.filter(({ state }) => state === 'paused').length;
  const up = states.filter(isUp).length;
  return {
    Containers: states.length,
    ContainersRunning: up - paused,
    ContainersPaused: paused,
    ContainersStopped: states.length - up,
  };
}
