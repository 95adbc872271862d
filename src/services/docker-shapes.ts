import type * as engine from './docker-types.ts';
import { anything, either, flag, isRecord, listOf, number, object, type Reader, recordOf, text } from './readers.ts';

/** How each answer of the engine is read; a field of the wrong type is as if it were not there. */
type Field<T, K extends keyof T> = NonNullable<T[K]>;

const words = either(listOf(text), text);
const binding = object<{ HostIp?: string; HostPort?: string }>({ HostIp: text, HostPort: text });
// null says that a port is exposed and not published.
const bindings = recordOf((value) => (value === null ? [] : listOf(binding)(value)));

const network = object<engine.EngineNetwork>({
  IPAddress: text,
  GlobalIPv6Address: text,
  MacAddress: text,
  Gateway: text,
  Aliases: listOf(text),
});

export const container = object<engine.EngineContainer>({
  Id: text,
  Names: listOf(text),
  Image: text,
  ImageID: text,
  Command: text,
  Created: number,
  Ports: listOf(object<engine.EnginePort>({ IP: text, PrivatePort: number, PublicPort: number, Type: text })),
  Labels: recordOf(text),
  State: text,
  Status: text,
  NetworkSettings: object<Field<engine.EngineContainer, 'NetworkSettings'>>({ Networks: recordOf(network) }),
});

type Detail = engine.EngineContainerDetail;

const health = object<Field<Field<Detail, 'State'>, 'Health'>>({
  Status: text,
  FailingStreak: number,
  Log: listOf(object<engine.EngineHealthProbe>({ Start: text, End: text, ExitCode: number, Output: text })),
});

export const containerDetail = object<Detail>({
  Id: text,
  Name: text,
  Created: text,
  Path: text,
  Args: listOf(text),
  Image: text,
  RestartCount: number,
  Platform: text,
  State: object<Field<Detail, 'State'>>({
    Status: text,
    OOMKilled: flag,
    ExitCode: number,
    Error: text,
    StartedAt: text,
    FinishedAt: text,
    Health: health,
  }),
  Mounts: listOf(
    object<Field<Detail, 'Mounts'>[number]>({
      Type: text,
      Name: text,
      Source: text,
      Destination: text,
      Mode: text,
      RW: flag,
      Driver: text,
    }),
  ),
  Config: object<Field<Detail, 'Config'>>({
    Hostname: text,
    User: text,
    Env: listOf(text),
    Cmd: words,
    Entrypoint: words,
    Image: text,
    Labels: recordOf(text),
    WorkingDir: text,
    Tty: flag,
    StopSignal: text,
    StopTimeout: number,
    ExposedPorts: recordOf(anything),
    Healthcheck: object<Field<Field<Detail, 'Config'>, 'Healthcheck'>>({
      Test: listOf(text),
      Interval: number,
      Timeout: number,
      Retries: number,
    }),
  }),
  HostConfig: object<Field<Detail, 'HostConfig'>>({
    NetworkMode: text,
    RestartPolicy: object<Field<Field<Detail, 'HostConfig'>, 'RestartPolicy'>>({
      Name: text,
      MaximumRetryCount: number,
    }),
    AutoRemove: flag,
    Privileged: flag,
    Memory: number,
    MemoryReservation: number,
    MemorySwap: number,
    NanoCpus: number,
    CpuQuota: number,
    CpuPeriod: number,
    CpuShares: number,
    CpusetCpus: text,
    PidsLimit: number,
    PortBindings: bindings,
  }),
  NetworkSettings: object<Field<Detail, 'NetworkSettings'>>({ Networks: recordOf(network), Ports: bindings }),
});

export const created = object<{ Id: string }>({ Id: text });

export const image = object<engine.EngineImage>({
  Id: text,
  ParentId: text,
  RepoTags: listOf(text),
  RepoDigests: listOf(text),
  Created: either(number, text),
  Size: number,
  Labels: recordOf(text),
});

export const imageDetail = object<engine.EngineImageDetail>({
  Id: text,
  Parent: text,
  RepoTags: listOf(text),
  RepoDigests: listOf(text),
  Created: text,
  Size: number,
  Architecture: text,
  Os: text,
  Author: text,
  Config: object<Field<engine.EngineImageDetail, 'Config'>>({
    Env: listOf(text),
    Cmd: words,
    Entrypoint: words,
    Labels: recordOf(text),
    User: text,
    WorkingDir: text,
    ExposedPorts: recordOf(anything),
    Volumes: recordOf(anything),
  }),
  RootFS: object<Field<engine.EngineImageDetail, 'RootFS'>>({ Layers: listOf(text) }),
});

export const historyItem = object<engine.EngineHistoryItem>({
  Id: text,
  Created: number,
  CreatedBy: text,
  Size: number,
  Comment: text,
});

export const version = object<engine.EngineVersion>({
  Version: text,
  ApiVersion: text,
  MinAPIVersion: text,
  Os: text,
  Arch: text,
  KernelVersion: text,
  Components: listOf(object<{ Name?: string; Version?: string }>({ Name: text, Version: text })),
});

export const info = object<engine.EngineInfo>({ Name: text, NCPU: number, MemTotal: number, CgroupVersion: text });

type Usage = engine.EngineDiskUsage;

/** Engines that have none of something send null. */
const items =
  <T>(read: Reader<T>): Reader<T[]> =>
  (value) =>
    value === null ? [] : listOf(read)(value);

const volumeUse = object<Field<Field<Usage, 'Volumes'>[number], 'UsageData'>>({ Size: number, RefCount: number });

export const diskUsage = object<Usage>({
  LayersSize: number,
  Images: items(
    object<Field<Usage, 'Images'>[number]>({
      Id: text,
      Size: number,
      VirtualSize: number,
      SharedSize: number,
      Containers: number,
    }),
  ),
  Containers: items(object<Field<Usage, 'Containers'>[number]>({ Id: text, State: text, SizeRw: number })),
  Volumes: items(object<Field<Usage, 'Volumes'>[number]>({ Name: text, Labels: recordOf(text), UsageData: volumeUse })),
  BuildCache: items(object<Field<Usage, 'BuildCache'>[number]>({ ID: text, Size: number, InUse: flag, Shared: flag })),
});

export const distribution = object<engine.EngineDistribution>({
  Descriptor: object<Field<engine.EngineDistribution, 'Descriptor'>>({ digest: text }),
});

export const pruned = object<engine.EnginePruned>({
  ImagesDeleted: listOf(object<{ Untagged?: string; Deleted?: string }>({ Untagged: text, Deleted: text })),
  SpaceReclaimed: number,
});

export const event = object<engine.EngineEvent>({
  Type: text,
  Action: text,
  Actor: object<Field<engine.EngineEvent, 'Actor'>>({ ID: text, Attributes: recordOf(text) }),
  time: number,
  timeNano: number,
});

const cpu = object<Field<engine.EngineStats, 'cpu_stats'>>({
  cpu_usage: object<Field<Field<engine.EngineStats, 'cpu_stats'>, 'cpu_usage'>>({
    total_usage: number,
    percpu_usage: listOf(number),
  }),
  system_cpu_usage: number,
  online_cpus: number,
});

type Blkio = Field<engine.EngineStats, 'blkio_stats'>;

export const stats = object<engine.EngineStats>({
  read: text,
  preread: text,
  cpu_stats: cpu,
  precpu_stats: cpu,
  memory_stats: object<Field<engine.EngineStats, 'memory_stats'>>({
    usage: number,
    limit: number,
    stats: recordOf(number),
  }),
  networks: recordOf(object<{ rx_bytes?: number; tx_bytes?: number }>({ rx_bytes: number, tx_bytes: number })),
  blkio_stats: object<Blkio>({
    io_service_bytes_recursive: listOf(object<{ op?: string; value?: number }>({ op: text, value: number })),
  }),
  pids_stats: object<Field<engine.EngineStats, 'pids_stats'>>({ current: number, limit: number }),
});

/** One object by its shape; empty where it is none. */
export const readOne = <T>(read: Reader<T>, value: unknown): T => read(isRecord(value) ? value : {}) as T;
