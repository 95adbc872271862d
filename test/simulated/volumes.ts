import { nowNanos, toRfc3339 } from './clock.ts';
import type { Mount, MountBody } from './container-spec.ts';
import { EngineError } from './errors.ts';
import type { EventLog } from './events.ts';
import type { Flavour } from './flavours.ts';
import { toVolumeFolder } from './mounts.ts';

/** A volume of the engine: while `createdAt` is the same, so is the volume. */
export interface SimulatedVolume {
  readonly name: string;
  /** In nanoseconds; no two volumes share one. */
  readonly createdAt: bigint;
  readonly labels: Readonly<Record<string, string>> | null;
  /** What a test wrote into it; empty at first. */
  data: string;
}

/** A container, as far as a volume's removal asks. */
export interface VolumeUser {
  readonly id: string;
  readonly mounts: readonly Mount[];
}

/** The volumes by name. */
export type Volumes = ReturnType<typeof createVolumes>;

/** How later engines mark a volume that nobody named. */
export const anonymousLabels = { 'com.docker.volume.anonymous': '' };

type Labels = Readonly<Record<string, string>>;

/** Compose makes the volumes of its project itself, before the containers, and labels them. */
function toComposeLabels(name: string, by: Labels | null): Record<string, string> | null {
  const project = by?.['com.docker.compose.project'];
  if (!project || !name.startsWith(`${project}_`)) return null;
  return { 'com.docker.compose.project': project, 'com.docker.compose.volume': name.slice(project.length + 1) };
}

/** Creates an engine without volumes; `users` are its containers. */
export function createVolumes(events: EventLog, flavour: Flavour, users: () => Iterable<VolumeUser>) {
  const byName = new Map<string, SimulatedVolume>();

  /** Creates what a container mounts and nobody made before; `wanted` are the mounts with options, `by` its labels. */
  function ensure(mounts: readonly Mount[], wanted: readonly MountBody[], by: Labels | null = null): void {
    for (const mount of mounts) {
      if (mount.type !== 'volume' || byName.has(mount.name)) continue;
      const own = wanted.find(({ Target }) => Target === mount.destination)?.VolumeOptions?.Labels;
      add(mount.name, toLabels(mount, own ?? toComposeLabels(mount.name, by)));
    }
  }

  /** Since 23, what nobody named is labelled. */
  function toLabels({ isAnonymous }: Mount, own: Record<string, string> | null): SimulatedVolume['labels'] {
    return isAnonymous && !flavour.isOldShape ? { ...own, ...anonymousLabels } : own;
  }

  function add(name: string, labels: SimulatedVolume['labels']): void {
    byName.set(name, { name, createdAt: nowNanos(), labels, data: '' });
    tell(name, 'create');
  }

  function tell(name: string, action: 'create' | 'destroy'): void {
    if (flavour.hasSideEvents) events.emit({ type: 'volume', action, id: name, attributes: { driver: 'local' } });
  }

  function get(name: string): SimulatedVolume {
    const found = byName.get(name);
    if (!found) throw new EngineError(404, `get ${name}: no such volume`);
    return found;
  }

  function remove(name: string): void {
    get(name);
    const holders = usersOf(name).map(({ id }) => id);
    if (holders.length > 0) throw new EngineError(409, `remove ${name}: volume is in use - [${holders.join(', ')}]`);
    destroy(name);
  }

  function usersOf(name: string): VolumeUser[] {
    return [...users()].filter(({ mounts }) => mounts.some((mount) => mount.name === name));
  }

  function destroy(name: string): void {
    byName.delete(name);
    tell(name, 'destroy');
  }

  /** With a container that is gone go the volumes it got without a name, unless another one mounts them by theirs. */
  function removeAnonymousOf({ mounts }: VolumeUser): void {
    for (const { name, isAnonymous } of mounts) {
      if (isAnonymous && byName.has(name) && usersOf(name).length === 0) destroy(name);
    }
  }

  return {
    ensure,
    get,
    remove,
    removeAnonymousOf,
    all: () => [...byName.values()],
    write(name: string, data: string) {
      get(name).data = data;
    },
  };
}

/** A volume as the API shows it. */
export function toVolumeDocument({ name, createdAt, labels }: SimulatedVolume): Record<string, unknown> {
  return {
    CreatedAt: toRfc3339(createdAt).replace(/\.\d+Z$/, 'Z'),
    Driver: 'local',
    Labels: labels,
    Mountpoint: toVolumeFolder(name),
    Name: name,
    Options: null,
    Scope: 'local',
  };
}
