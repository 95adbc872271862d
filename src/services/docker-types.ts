/**
 * The engine's JSON, as far as it is used. Everything is optional or nullable because some engine, version or cgroup
 * setting leaves it out: Podman has no HostConfig in lists, 28 no VirtualSize, cgroup v2 no percpu_usage.
 */
type Maybe<T> = T | null | undefined;
type Text = Maybe<string>;
type Texts = Maybe<Record<string, string>>;

export type EnginePort = { IP?: Text; PrivatePort?: Maybe<number>; PublicPort?: Maybe<number>; Type?: Text };

export type EngineNetwork = {
  IPAddress?: Text;
  GlobalIPv6Address?: Text;
  MacAddress?: Text;
  Gateway?: Text;
  Aliases?: Maybe<string[]>;
};

export type EngineContainer = {
  Id: string;
  Names?: Maybe<string[]>;
  Image?: Text;
  ImageID?: Text;
  Command?: Text;
  Created?: Maybe<number>;
  Ports?: Maybe<EnginePort[]>;
  Labels?: Texts;
  State?: Text;
  Status?: Text;
  NetworkSettings?: Maybe<{ Networks?: Maybe<Record<string, EngineNetwork>> }>;
};

export type EngineHealthProbe = { Start?: Text; End?: Text; ExitCode?: Maybe<number>; Output?: Text };

export type EngineContainerDetail = {
  Id: string;
  Name?: Text;
  Created?: Text;
  Path?: Text;
  Args?: Maybe<string[]>;
  Image?: Text;
  RestartCount?: Maybe<number>;
  Platform?: Text;
  State?: Maybe<{
    Status?: Text;
    OOMKilled?: Maybe<boolean>;
    ExitCode?: Maybe<number>;
    Error?: Text;
    StartedAt?: Text;
    FinishedAt?: Text;
    Health?: Maybe<{ Status?: Text; FailingStreak?: Maybe<number>; Log?: Maybe<EngineHealthProbe[]> }>;
  }>;
  Mounts?: Maybe<
    { Type?: Text; Name?: Text; Source?: Text; Destination?: Text; Mode?: Text; RW?: Maybe<boolean>; Driver?: Text }[]
  >;
  Config?: Maybe<{
    Hostname?: Text;
    User?: Text;
    Env?: Maybe<string[]>;
    Cmd?: Maybe<string[] | string>;
    Entrypoint?: Maybe<string[] | string>;
    Image?: Text;
    Labels?: Texts;
    WorkingDir?: Text;
    Tty?: Maybe<boolean>;
    StopSignal?: Text;
    StopTimeout?: Maybe<number>;
    ExposedPorts?: Maybe<Record<string, unknown>>;
    Healthcheck?: Maybe<{
      Test?: Maybe<string[]>;
      Interval?: Maybe<number>;
      Timeout?: Maybe<number>;
      Retries?: Maybe<number>;
    }>;
  }>;
  HostConfig?: Maybe<{
    NetworkMode?: Text;
    RestartPolicy?: Maybe<{ Name?: Text; MaximumRetryCount?: Maybe<number> }>;
    AutoRemove?: Maybe<boolean>;
    Privileged?: Maybe<boolean>;
    Memory?: Maybe<number>;
    MemoryReservation?: Maybe<number>;
    MemorySwap?: Maybe<number>;
    NanoCpus?: Maybe<number>;
    CpuQuota?: Maybe<number>;
    CpuPeriod?: Maybe<number>;
    CpuShares?: Maybe<number>;
    CpusetCpus?: Text;
    PidsLimit?: Maybe<number>;
    PortBindings?: Maybe<Record<string, Maybe<{ HostIp?: Text; HostPort?: Text }[]>>>;
  }>;
  NetworkSettings?: Maybe<{
    Networks?: Maybe<Record<string, EngineNetwork>>;
    Ports?: Maybe<Record<string, Maybe<{ HostIp?: Text; HostPort?: Text }[]>>>;
  }>;
};

export type EngineImage = {
  Id: string;
  ParentId?: Text;
  RepoTags?: Maybe<string[]>;
  RepoDigests?: Maybe<string[]>;
  Created?: Maybe<number | string>;
  Size?: Maybe<number>;
  Labels?: Texts;
};

export type EngineImageDetail = {
  Id: string;
  Parent?: Text;
  RepoTags?: Maybe<string[]>;
  RepoDigests?: Maybe<string[]>;
  Created?: Text;
  Size?: Maybe<number>;
  Architecture?: Text;
  Os?: Text;
  Author?: Text;
  Config?: Maybe<{
    Env?: Maybe<string[]>;
    Cmd?: Maybe<string[] | string>;
    Entrypoint?: Maybe<string[] | string>;
    Labels?: Texts;
    User?: Text;
    WorkingDir?: Text;
    ExposedPorts?: Maybe<Record<string, unknown>>;
    Volumes?: Maybe<Record<string, unknown>>;
  }>;
  RootFS?: Maybe<{ Layers?: Maybe<string[]> }>;
};

export type EngineHistoryItem = {
  Id?: Text;
  Created?: Maybe<number>;
  CreatedBy?: Text;
  Size?: Maybe<number>;
  Comment?: Text;
};

export type EngineVersion = {
  Version?: Text;
  ApiVersion?: Text;
  MinAPIVersion?: Text;
  Os?: Text;
  Arch?: Text;
  KernelVersion?: Text;
  Components?: Maybe<{ Name?: Text; Version?: Text }[]>;
};

export type EngineInfo = { Name?: Text; NCPU?: Maybe<number>; MemTotal?: Maybe<number>; CgroupVersion?: Text };

/** What is on the disk, bytes; -1 stands for what was not measured. Old engines call the size of an image virtual. */
export type EngineDiskUsage = {
  LayersSize?: Maybe<number>;
  Images?: Maybe<
    {
      Id?: Text;
      Size?: Maybe<number>;
      VirtualSize?: Maybe<number>;
      SharedSize?: Maybe<number>;
      Containers?: Maybe<number>;
    }[]
  >;
  Containers?: Maybe<{ Id?: Text; State?: Text; SizeRw?: Maybe<number> }[]>;
  Volumes?: Maybe<
    { Name?: Text; Labels?: Texts; UsageData?: Maybe<{ Size?: Maybe<number>; RefCount?: Maybe<number> }> }[]
  >;
  BuildCache?: Maybe<{ ID?: Text; Size?: Maybe<number>; InUse?: Maybe<boolean>; Shared?: Maybe<boolean> }[]>;
};

/** What a registry has under a reference. */
export type EngineDistribution = { Descriptor?: Maybe<{ digest?: Text }> };

/** What was removed by a prune, and how many bytes that was. */
export type EnginePruned = {
  ImagesDeleted?: Maybe<{ Untagged?: Text; Deleted?: Text }[]>;
  SpaceReclaimed?: Maybe<number>;
};

/** One line of the event stream. */
export type EngineEvent = {
  Type?: Text;
  Action?: Text;
  Actor?: Maybe<{ ID?: Text; Attributes?: Texts }>;
  time?: Maybe<number>;
  timeNano?: Maybe<number>;
};

export type EngineCpuStats = Maybe<{
  cpu_usage?: Maybe<{ total_usage?: Maybe<number>; percpu_usage?: Maybe<number[]> }>;
  system_cpu_usage?: Maybe<number>;
  online_cpus?: Maybe<number>;
}>;

export type EngineStats = {
  read?: Text;
  preread?: Text;
  cpu_stats?: EngineCpuStats;
  precpu_stats?: EngineCpuStats;
  memory_stats?: Maybe<{ usage?: Maybe<number>; limit?: Maybe<number>; stats?: Maybe<Record<string, number>> }>;
  networks?: Maybe<Record<string, Maybe<{ rx_bytes?: Maybe<number>; tx_bytes?: Maybe<number> }>>>;
  blkio_stats?: Maybe<{ io_service_bytes_recursive?: Maybe<{ op?: Text; value?: Maybe<number> }[]> }>;
  pids_stats?: Maybe<{ current?: Maybe<number>; limit?: Maybe<number> }>;
};
