import { nowNanos } from './clock.ts';
import type { SimulatedContainer } from './container.ts';
import type { ContainerEvents } from './container-events.ts';
import type { ContainerIndex } from './container-index.ts';
import type { Behaviour, CreateBody, HostConfigBody, MountBody } from './container-spec.ts';
import { refuseConflicts, refuseNetworks, refuseNoCommand, refusePlatform } from './create-checks.ts';
import { type Endpoints, toNetworkMode } from './endpoints.ts';
import { EngineError } from './errors.ts';
import type { Flavour } from './flavours.ts';
import { randomId } from './ids.ts';
import { withImageDefaults } from './image-defaults.ts';
import type { Images } from './images.ts';
import { toLinks } from './links.ts';
import { createLog } from './logs.ts';
import { toMounts } from './mounts.ts';
import type { Networks } from './networks.ts';
import { createStatsModel } from './stats.ts';
import { anonymousLabels, type Volumes } from './volumes.ts';

interface Dependencies {
  readonly flavour: Flavour;
  readonly index: ContainerIndex;
  readonly events: ContainerEvents;
  readonly images: Images;
  readonly networks: Networks;
  readonly endpoints: Endpoints;
  readonly volumes: Volumes;
  readonly logBytes: number;
  readonly hostName: string;
}

/** What a creation may ask for beside the request's body. */
export interface CreationOptions {
  readonly id?: string | undefined;
  /** Default the image's. */
  readonly behaviour?: Behaviour;
  /** `linux/arm64`; default any. */
  readonly platform?: string;
}

const INVALID = 'invalid endpoint settings:';

/** Creates the function that makes containers as `POST /containers/create` does; all that it asks for must be there. */
export function createContainerCreation(dependencies: Dependencies) {
  const { flavour, index, events, images, networks, endpoints, volumes, logBytes, hostName } = dependencies;

  function create(wantedName: string | null, asked: CreateBody, options: CreationOptions = {}): SimulatedContainer {
    const id = options.id ?? randomId();
    const reference = asked.Image ?? '';
    refuseConflicts(asked, flavour);
    refuseNetworks(asked, networks, flavour);
    refuseEndpoints(asked);
    const image = images.get(reference);
    refusePlatform(image, reference, options.platform ?? '', flavour);
    const merged = withImageDefaults(asked, image);
    refuseNoCommand(merged, flavour);
    const name = index.checkName(wantedName ?? `lab_${id.slice(0, 12)}`);
    const body = { ...merged, Hostname: toHostname(merged, id), HostConfig: toHostConfig(merged) };
    const links = networks.isUserDefined(toNetworkMode(body)) ? [] : toLinks(body, index);
    const mounts = toMounts(body, index);
    volumes.ensure(mounts, body.HostConfig.Mounts ?? [], body.Labels);
    const container: SimulatedContainer = {
      id,
      name,
      image: toShownImage(reference),
      imageId: image.id,
      created: nowNanos(),
      body,
      labels: { ...body.Labels },
      mounts,
      links,
      log: createLog(logBytes),
      stats: createStatsModel(),
      behaviour: options.behaviour ?? image.behaviour,
      endpoints: endpoints.toEndpoints(body),
      ...toNewState(),
    };
    index.add(container);
    events.tell(container, 'create');
    return container;
  }

  /** Old engines look at an endpoint's settings at the start only. */
  function refuseEndpoints(body: CreateBody): void {
    if (flavour.isOldShape) return;
    for (const [name, settings] of Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {})) {
      const refusal = endpoints.refuseSettings(name, settings);
      if (refusal) throw new EngineError(400, `invalid config for network ${name}: ${INVALID}\n${refusal.message}`);
    }
  }

  /** In another container's network it gets that one's name, but not before it starts. */
  function toHostname(body: CreateBody, id: string): string {
    return body.Hostname || (toNetworkMode(body) === 'host' ? hostName : id.slice(0, 12));
  }

  function toHostConfig(body: CreateBody): HostConfigBody {
    const host = body.HostConfig ?? {};
    return {
      ...host,
      NetworkMode: toKnownMode(toNetworkMode(body)),
      ...(host.Memory && !host.MemorySwap ? { MemorySwap: host.Memory * 2 } : {}),
      ...(flavour.isOldShape
        ? {}
        : { RestartPolicy: { MaximumRetryCount: 0, ...host.RestartPolicy, Name: host.RestartPolicy?.Name || 'no' } }),
      ...(host.Mounts ? { Mounts: host.Mounts.map(toKnownMount) } : {}),
    };
  }

  /** Names of containers become ids, as names change; an unknown one fails at the start. */
  function toKnownMode(mode: string): string {
    if (mode === 'default') return flavour.isOldShape ? mode : networks.defaultNetwork;
    const other = mode.startsWith('container:') ? index.find(mode.slice('container:'.length)) : undefined;
    return other ? `container:${other.id}` : mode;
  }

  /** Later engines mark what nobody named, where it has labels already. */
  function toKnownMount(mount: MountBody): MountBody {
    const { VolumeOptions } = mount;
    if (flavour.isOldShape || !VolumeOptions?.Labels || mount.Type !== 'volume' || mount.Source) return mount;
    return { ...mount, VolumeOptions: { ...VolumeOptions, Labels: { ...VolumeOptions.Labels, ...anonymousLabels } } };
  }

  function toShownImage(reference: string): string {
    return flavour.isPodman && !reference.startsWith('docker.io/') ? `docker.io/${reference}` : reference;
  }

  return create;
}

/** What a container is before its first start. */
function toNewState() {
  return {
    state: 'created',
    exitCode: 0,
    isOomKilled: false,
    error: '',
    pid: 0,
    startedAt: null,
    finishedAt: null,
    health: 'none',
    healthBeforePause: 'none',
    healthLog: [],
    failingStreak: 0,
    restartCount: 0,
    ports: [],
    isManuallyStopped: false,
    isRestartedByHand: false,
    stale: null,
    endings: new Set<() => void>(),
  } satisfies Partial<SimulatedContainer>;
}
