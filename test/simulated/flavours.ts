/** The engines that can be simulated: Docker 20.10, Docker 28, Podman 5. */
export type EngineVersion = '20.10' | '28' | 'podman';

/** What differs between engines, recorded from real ones. */
export interface Flavour {
  readonly version: EngineVersion;
  readonly isPodman: boolean;
  readonly serverVersion: string;
  readonly apiVersion: string;
  readonly minApiVersion: string;
  readonly server: string;
  /** 20.10 says `die` before `stop`, 26 and 28 the other way round. */
  readonly dieBeforeStop: boolean;
  /** Docker only: `network connect`, `volume mount`, `kill`, `stop`. */
  readonly hasSideEvents: boolean;
  readonly removeAction: 'destroy' | 'remove';
  readonly defaultNetwork: 'bridge' | 'podman';
  /** 20.10 keeps a one-shot caller waiting for its collector's next tick. */
  readonly oneShotWaits: boolean;
  readonly statsIntervalMs: number;
  /** Shapes of before API 1.44: `VirtualSize`, `ContainerConfig`, `<none>` tags. */
  readonly isOldShape: boolean;
}

/** Every flavour by its name. */
export const flavours: Record<EngineVersion, Flavour> = {
  '20.10': {
    version: '20.10',
    isPodman: false,
    serverVersion: '20.10.24+dfsg1',
    apiVersion: '1.41',
    minApiVersion: '1.12',
    server: 'Docker/20.10.24+dfsg1 (linux)',
    dieBeforeStop: true,
    hasSideEvents: true,
    removeAction: 'destroy',
    defaultNetwork: 'bridge',
    oneShotWaits: true,
    statsIntervalMs: 1000,
    isOldShape: true,
  },
  '28': {
    version: '28',
    isPodman: false,
    serverVersion: '28.5.2+dfsg4',
    apiVersion: '1.51',
    minApiVersion: '1.24',
    server: 'Docker/28.5.2+dfsg4 (linux)',
    dieBeforeStop: false,
    hasSideEvents: true,
    removeAction: 'destroy',
    defaultNetwork: 'bridge',
    oneShotWaits: false,
    statsIntervalMs: 1000,
    isOldShape: false,
  },
  podman: {
    version: 'podman',
    isPodman: true,
    serverVersion: '5.8.6',
    apiVersion: '1.44',
    minApiVersion: '1.24',
    server: 'Libpod/5.8.6 (linux)',
    dieBeforeStop: true,
    hasSideEvents: false,
    removeAction: 'remove',
    defaultNetwork: 'podman',
    oneShotWaits: false,
    statsIntervalMs: 5000,
    isOldShape: false,
  },
};
