import type { Healthcheck } from './image-config.ts';

/** Docker's words for what a container does. */
export type ContainerState = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

/** Docker's words for a container's health; `none` is a container without a check. */
export type HealthStatus = 'none' | 'starting' | 'healthy' | 'unhealthy';

/** A mount as a test writes it: `data:/data` for a volume, `/etc/app:/etc/app:ro` for a bind, `/data` for an anonymous volume. */
export type MountSpec = string;

/** A container as a test or the demo describes it; all but the name has a default. */
export interface ContainerSpec {
  readonly name: string;
  /** A tag, added to the engine when it is not there; default `lab/busybox`. */
  readonly image?: string;
  readonly id?: string;
  readonly command?: readonly string[];
  readonly env?: readonly string[] | Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Default `running`; `restarting` stays so unless `restart` has a policy that tries again. */
  readonly state?: ContainerState;
  readonly exitCode?: number;
  readonly oomKilled?: boolean;
  readonly health?: HealthStatus;
  readonly created?: Date | number;
  readonly startedAt?: Date | number;
  readonly finishedAt?: Date | number;
  /** As Compose writes them: `8080:80`, `127.0.0.1:5432:5432`, `[::1]:53:53/udp`, or `80` for one the engine picks. */
  readonly ports?: readonly string[];
  /** Exposed, not published: `80/tcp`. */
  readonly expose?: readonly string[];
  readonly tty?: boolean;
  /** Names of networks, made when they are not there; default the engine's bridge. */
  readonly networks?: readonly string[];
  /** What it asks of them, by their names: aliases, addresses. */
  readonly endpoints?: Readonly<Record<string, EndpointBody>>;
  readonly mounts?: readonly MountSpec[];
  readonly healthcheck?: readonly string[];
  /** `no`, `always`, `unless-stopped`, `on-failure:3`. */
  readonly restart?: string;
  readonly restartCount?: number;
  readonly memory?: number;
  readonly cpus?: number;
  readonly pidsLimit?: number;
  readonly autoRemove?: boolean;
  readonly privileged?: boolean;
  readonly user?: string;
  readonly workingDir?: string;
  /** Laid over the `Config` and `HostConfig` that the rest makes. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly hostConfig?: Readonly<Record<string, unknown>>;
  readonly behaviour?: Behaviour;
}

/** How the process inside behaves. */
export interface Behaviour {
  /** How long it takes to go after TERM; default 0. */
  readonly stopMs?: number;
  /** What it leaves with after TERM; default 0. */
  readonly stopExitCode?: number;
  /** It is killed (137) after `stopMs`, as a shell without a trap is. */
  readonly ignoresTerm?: boolean;
  /** How long `start` takes; default 0. */
  readonly startMs?: number;
  /** `start` fails as with a command that is not in the image. */
  readonly failsToStart?: string;
  /** Health `starting` becomes `healthy` (or what this says) that long after each start. */
  readonly healthAfterMs?: number;
  readonly healthBecomes?: HealthStatus;
  /** It ends by itself that long after each start, with `exitCode` (default 0). */
  readonly exitsAfterMs?: number;
  readonly exitCode?: number;
  /** Written to its log at each start. */
  readonly startLog?: string;
}

/** The body of `POST /containers/create`, as far as the engine looks into it. */
export interface CreateBody {
  Image?: string;
  Cmd?: string[] | null;
  Entrypoint?: string[] | null;
  Env?: string[] | null;
  Labels?: Record<string, string> | null;
  Hostname?: string;
  Domainname?: string;
  User?: string;
  WorkingDir?: string;
  StopSignal?: string;
  MacAddress?: string;
  Tty?: boolean;
  Healthcheck?: Healthcheck | null;
  ExposedPorts?: Record<string, object> | null;
  Volumes?: Record<string, object> | null;
  HostConfig?: HostConfigBody;
  NetworkingConfig?: { EndpointsConfig?: Record<string, EndpointBody | null> | null } | null;
  [other: string]: unknown;
}

/** `HostConfig`, as far as the engine looks into it. */
export interface HostConfigBody {
  Binds?: string[] | null;
  Mounts?: MountBody[] | null;
  PortBindings?: Record<string, PortBinding[] | null> | null;
  PublishAllPorts?: boolean;
  NetworkMode?: string;
  Links?: string[] | null;
  VolumesFrom?: string[] | null;
  Dns?: string[] | null;
  ExtraHosts?: string[] | null;
  Privileged?: boolean;
  RestartPolicy?: { Name?: string; MaximumRetryCount?: number };
  AutoRemove?: boolean;
  Memory?: number;
  MemorySwap?: number;
  NanoCpus?: number;
  PidsLimit?: number | null;
  [other: string]: unknown;
}

/** One host side of a published port. */
export interface PortBinding {
  HostIp?: string;
  HostPort?: string;
}

/** `HostConfig.Mounts[]`. */
export interface MountBody {
  Type?: string;
  Source?: string;
  Target?: string;
  ReadOnly?: boolean;
  VolumeOptions?: { Labels?: Record<string, string> | null; [other: string]: unknown } | null;
  [other: string]: unknown;
}

/** What a container asks of one network. */
export interface EndpointBody {
  Aliases?: string[] | null;
  Links?: string[] | null;
  IPAMConfig?: { IPv4Address?: string; IPv6Address?: string; LinkLocalIPs?: string[] } | null;
  DriverOpts?: Record<string, string> | null;
  GwPriority?: number;
  MacAddress?: string;
  [other: string]: unknown;
}

/** A volume or bind as the engine remembers it. */
export interface Mount {
  readonly type: 'volume' | 'bind' | 'tmpfs';
  readonly name: string;
  readonly source: string;
  readonly destination: string;
  readonly isWritable: boolean;
  /** As inspect shows it: `z`, `ro`. */
  readonly mode: string;
  /** A volume that nobody named: it may go with its container. */
  readonly isAnonymous: boolean;
}
