import type { ContainerIndex } from './container-index.ts';
import type { CreateBody, Mount, MountBody } from './container-spec.ts';
import { EngineError } from './errors.ts';
import { randomId } from './ids.ts';

type Place = Pick<Mount, 'destination' | 'isWritable' | 'mode'>;

/**
 * Everything that `VolumesFrom`, `Binds`, `Mounts` and `Volumes` ask for. What is taken from others gives way to what is
 * asked for itself; a path of `Volumes` that something is mounted at gets none. Throws where two things want one path, and
 * where a lender is not there.
 */
export function toMounts(body: CreateBody, index: ContainerIndex): Mount[] {
  const lent = (body.HostConfig?.VolumesFrom ?? []).flatMap((entry) => lend(entry, index));
  const binds = (body.HostConfig?.Binds ?? []).map(parseBind);
  const mounts = (body.HostConfig?.Mounts ?? []).map(parseMount);
  const taken = new Set<string>();
  for (const { destination } of [...binds, ...mounts]) {
    if (taken.has(destination)) throw new EngineError(400, `Duplicate mount point: ${destination}`);
    taken.add(destination);
  }
  const borrowed = lent.filter(({ destination }) => !taken.has(destination));
  for (const { destination } of borrowed) taken.add(destination);
  const open = Object.keys(body.Volumes ?? {}).filter((destination) => !taken.has(destination));
  const own = open.map((destination) => volume('', { destination, isWritable: true, mode: '' }));
  return [...borrowed, ...binds, ...mounts, ...own];
}

/** The mounts of another container, by `<id or name>` or `<id or name>:ro`. */
function lend(entry: string, index: ContainerIndex): Mount[] {
  const [lender = '', mode = ''] = entry.split(':');
  const { mounts } = index.get(lender);
  return mounts.map((mount) => ({ ...mount, isWritable: mount.isWritable && mode !== 'ro', isAnonymous: false }));
}

function parseBind(bind: string): Mount {
  const [source = '', destination = '', mode = ''] = bind.split(':');
  const isWritable = !mode.split(',').includes('ro');
  if (!source.startsWith('/')) return volume(source, { destination, isWritable, mode: mode || 'z' });
  return { type: 'bind', name: '', source, destination, isWritable, mode, isAnonymous: false };
}

function parseMount(mount: MountBody): Mount {
  const isWritable = mount.ReadOnly !== true;
  const destination = mount.Target ?? '';
  if (mount.Type === 'volume') return volume(mount.Source ?? '', { destination, isWritable, mode: 'z' });
  const type = mount.Type === 'tmpfs' ? 'tmpfs' : 'bind';
  return { type, name: '', source: mount.Source ?? '', destination, isWritable, mode: '', isAnonymous: false };
}

/** Without a name the engine gives one, and knows that nobody chose it. */
function volume(named: string, place: Place): Mount {
  const name = named || randomId();
  return { type: 'volume', name, source: toVolumeFolder(name), ...place, isAnonymous: named === '' };
}

/** Where a volume's files are on the host. */
export function toVolumeFolder(name: string): string {
  return `/var/lib/docker/volumes/${name}/_data`;
}
