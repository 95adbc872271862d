import { type Containers, createContainers } from './containers.ts';
import { createEventLog, type EventLog } from './events.ts';
import type { Flavour } from './flavours.ts';
import { createImageRemovals, type ImageRemovals } from './image-removals.ts';
import { createImages, type Images } from './images.ts';
import { createNetworks, type Networks } from './networks.ts';
import { createRegistry, type Registry } from './registry.ts';
import type { StatsHost } from './stats.ts';
import { createStatsCollector, type StatsCollector } from './stats-collector.ts';
import { createVolumes, type Volumes } from './volumes.ts';

/** What is tuned per engine; every one has a default. */
export interface WorldOptions {
  readonly staleListMs: number;
  readonly restartDelayMs: number;
  readonly maxLogBytes: number;
  readonly eventHistory: number;
  readonly statsIntervalMs: number;
  readonly pullStepMs: number;
  readonly minApiVersion: string;
  readonly name: string;
}

/** All that the engine has, without HTTP. */
export interface World {
  readonly flavour: Flavour;
  readonly host: StatsHost;
  readonly options: WorldOptions;
  readonly events: EventLog;
  readonly images: Images;
  readonly imageRemovals: ImageRemovals;
  readonly registry: Registry;
  /** A pull needs room. */
  readonly disk: { isFull: boolean };
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly containers: Containers;
  readonly collector: StatsCollector;
}

/** Creates an engine's world with nothing in it. */
export function createWorld(host: StatsHost, options: WorldOptions): World {
  const { flavour } = host;
  const events = createEventLog(options.eventHistory, flavour.isPodman);
  const images = createImages(events, flavour);
  const imageRemovals: ImageRemovals = createImageRemovals(images, () => containers.all());
  const volumes: Volumes = createVolumes(events, flavour, () => containers.all());
  const networks = createNetworks(events, flavour.defaultNetwork);
  const containers = createContainers({
    events,
    flavour,
    images,
    networks,
    volumes,
    hostName: options.name,
    staleListMs: options.staleListMs,
    restartDelayMs: options.restartDelayMs,
    logBytes: options.maxLogBytes,
  });
  const collector = createStatsCollector(host, options.statsIntervalMs);
  return {
    flavour,
    host,
    options,
    events,
    images,
    imageRemovals,
    registry: createRegistry(),
    disk: { isFull: false },
    networks,
    volumes,
    containers,
    collector,
  };
}
