import type { EventInput } from './events.ts';
import type { EngineVersion, Flavour } from './flavours.ts';
import type { LineOptions } from './logs.ts';
import type { World } from './world.ts';

/** How the simulated engine shall be; every setting has a default. */
export interface SimulatedEngineOptions {
  /** Default a fresh path in the system's temporary folder. */
  readonly socketPath?: string;
  /** Default `28`. */
  readonly version?: EngineVersion;
  /** Default 1. */
  readonly cgroup?: 1 | 2;
  /** Processors and memory of the host; default 2 and 24 GiB. */
  readonly cpus?: number;
  readonly memoryBytes?: number;
  /** How long the list shows the old state after a death, a pause or an unpause; default 0. */
  readonly staleListMs?: number;
  /** How long a restart policy waits; default 100. */
  readonly restartDelayMs?: number;
  /** Memory for each container's log; default 4 MiB. Older records go without a sign. */
  readonly maxLogBytes?: number;
  /** How many events `since` can still reach; default 256, as in real engines. */
  readonly eventHistory?: number;
  /** The beat of streamed stats; default 1000, Podman 5000. */
  readonly statsIntervalMs?: number;
  /** Between two messages of a pull; default 0. */
  readonly pullStepMs?: number;
  /** Requests with an older `/v1.NN` get 400; default the version's own. */
  readonly minApiVersion?: string;
  /** How many requests are remembered; default 10,000. */
  readonly maxRequests?: number;
  /** Do not keep the process alive; default false. */
  readonly isUnreferenced?: boolean;
  /** The host's name in `/info`. */
  readonly name?: string;
}

/** What to do when the daemon is restarted. */
export interface RestartOptions {
  /** How long connections are refused; default 0. */
  readonly downMs?: number;
  /** How long it then accepts without a word, as real daemons do while they stop old containers; default 0. */
  readonly silentMs?: number;
  /** `running` is live-restore; `exited` leaves 137, and restart policies run what they may. Default `running`. */
  readonly containers?: 'running' | 'exited';
}

/** A storm of events. */
export interface StormOptions {
  readonly count: number;
  /** Default as fast as it goes. */
  readonly perSecond?: number;
  /** The nth event; default volumes that come and go. */
  readonly make?: (n: number) => EventInput;
}

/** A flood of log lines. */
export interface FirehoseOptions extends Pick<LineOptions, 'stream'> {
  /** The nth line; default a numbered one of about 100 bytes. */
  readonly make?: (n: number) => string;
}

/** The host that the options describe. */
export function toHost(options: SimulatedEngineOptions, flavour: Flavour): World['host'] {
  const { cgroup = 1, cpus = 2, memoryBytes = 25_276_514_304 } = options;
  return { flavour, cgroup, cpus, memoryBytes };
}

/** The rest of them, with their defaults. */
export function toWorldOptions(options: SimulatedEngineOptions, flavour: Flavour): World['options'] {
  return {
    staleListMs: options.staleListMs ?? 0,
    restartDelayMs: options.restartDelayMs ?? 100,
    maxLogBytes: options.maxLogBytes ?? 4 * 1024 * 1024,
    eventHistory: options.eventHistory ?? 256,
    statsIntervalMs: options.statsIntervalMs ?? flavour.statsIntervalMs,
    pullStepMs: options.pullStepMs ?? 0,
    minApiVersion: options.minApiVersion ?? flavour.minApiVersion,
    name: options.name ?? 'simulated',
  };
}
