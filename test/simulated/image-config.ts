/** A health check as the API has it; times in nanoseconds, 0 or absent is left to the image. */
export interface Healthcheck {
  Test?: string[];
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
}

/** What an image lays down for the containers that are made of it. */
export interface ImageConfig {
  readonly entrypoint: readonly string[] | null;
  readonly command: readonly string[] | null;
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly user: string;
  readonly workingDir: string;
  /** Paths that get an anonymous volume. */
  readonly volumes: readonly string[];
  /** `80/tcp`. */
  readonly exposed: readonly string[];
  readonly healthcheck: Healthcheck | null;
  readonly stopSignal: string;
}

/** An image's whole config, with the defaults of what is left open. */
export function toImageConfig(spec: Partial<ImageConfig>): ImageConfig {
  return {
    entrypoint: spec.entrypoint ?? null,
    command: spec.command === undefined ? ['sh'] : spec.command,
    env: spec.env ?? ['PATH=/bin:/usr/bin'],
    labels: { ...spec.labels },
    user: spec.user ?? '',
    workingDir: spec.workingDir ?? '',
    volumes: spec.volumes ?? [],
    exposed: spec.exposed ?? [],
    healthcheck: spec.healthcheck ?? null,
    stopSignal: spec.stopSignal ?? '',
  };
}

/** The `Config` of an image's inspect; `labels` apart, as old engines show them in one of two places only. */
export function toConfigDocument(config: ImageConfig, labels: ImageConfig['labels']): Record<string, unknown> {
  return {
    Cmd: config.command,
    Entrypoint: config.entrypoint,
    Env: config.env,
    ...(config.exposed.length > 0 ? { ExposedPorts: toSet(config.exposed) } : {}),
    ...(config.healthcheck ? { Healthcheck: config.healthcheck } : {}),
    Labels: Object.keys(labels).length > 0 ? labels : null,
    OnBuild: null,
    ...(config.stopSignal ? { StopSignal: config.stopSignal } : {}),
    User: config.user,
    Volumes: config.volumes.length > 0 ? toSet(config.volumes) : null,
    WorkingDir: config.workingDir,
  };
}

/** How Go writes a set: `{"80/tcp":{}}`. */
export function toSet(keys: readonly string[]): Record<string, object> {
  return Object.fromEntries(keys.map((key) => [key, {}]));
}
