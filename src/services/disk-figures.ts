import type { EngineDiskUsage } from './docker-types.ts';

/** One kind of what is on the disk: how many there are, how many of them are in use, their bytes, and those to be won. */
export type DiskShare = { count: number; active: number; bytes: number; reclaimableBytes: number };

/** What is on the disk; null where the engine tells nothing of a kind, or where a project can't be told apart. */
export type DiskFigures = {
  images: DiskShare | null;
  containers: DiskShare | null;
  volumes: DiskShare | null;
  buildCache: DiskShare | null;
};

/** Whether a container's writable layer can't go, as the docker command counts it. */
const activeStates = new Set(['running', 'paused', 'restarting']);

/** What is on the machine's disk, counted as `docker system df` does (cli/command/formatter/disk_usage.go). */
export function toDiskFigures(usage: EngineDiskUsage): DiskFigures {
  const { Images, Containers, Volumes, BuildCache } = usage;
  return {
    images: Images ? toImages(Images, usage.LayersSize) : null,
    containers: Containers ? toShare(Containers.map(toLayer)) : null,
    volumes: Volumes ? toShare(Volumes.map(toVolume)) : null,
    buildCache: BuildCache ? toBuildCache(BuildCache) : null,
  };
}

/**
 * What of it belongs to a project: the writable layers of its containers (`ids`), and the volumes with its label. Images and
 * build cache are shared by all.
 */
export function toProjectDiskFigures(
  { Containers, Volumes }: EngineDiskUsage,
  project: string,
  ids: ReadonlySet<string>,
): DiskFigures {
  const containers = Containers?.filter(({ Id }) => ids.has(Id ?? ''));
  const volumes = Volumes?.filter(({ Labels }) => Labels?.['com.docker.compose.project'] === project);
  return {
    images: null,
    containers: containers ? toShare(containers.map(toLayer)) : null,
    volumes: volumes ? toShare(volumes.map(toVolume)) : null,
    buildCache: null,
  };
}

/** Engines say -1 where they did not measure. */
const size = (bytes: number | null | undefined) => (typeof bytes === 'number' && bytes > 0 ? bytes : 0);

type Items<K extends keyof EngineDiskUsage> = NonNullable<EngineDiskUsage[K]>;

/** Layers are shared: what images in use have alone is kept, and all else could go, also what they share. */
function toImages(images: Items<'Images'>, layers: number | null | undefined): DiskShare {
  const used = images.filter(({ Containers }) => Containers !== 0);
  const kept = used.map(({ Size, VirtualSize, SharedSize }) => {
    const whole = VirtualSize ?? Size ?? -1;
    return whole < 0 || (SharedSize ?? -1) < 0 ? 0 : whole - (SharedSize ?? 0);
  });
  const bytes = size(layers);
  const active = images.filter(({ Containers }) => (Containers ?? 0) > 0).length;
  return { count: images.length, active, bytes, reclaimableBytes: Math.max(0, bytes - sum(kept)) };
}

type Item = { bytes: number; isActive: boolean };

const toLayer = ({ SizeRw, State }: Items<'Containers'>[number]): Item => ({
  bytes: size(SizeRw),
  isActive: activeStates.has(State ?? ''),
});

const toVolume = ({ UsageData }: Items<'Volumes'>[number]): Item => ({
  bytes: size(UsageData?.Size),
  isActive: UsageData?.RefCount !== 0,
});

const toShare = (items: readonly Item[]): DiskShare => ({
  count: items.length,
  active: items.filter(({ isActive }) => isActive).length,
  bytes: sum(items.map(({ bytes }) => bytes)),
  reclaimableBytes: sum(items.filter(({ isActive }) => !isActive).map(({ bytes }) => bytes)),
});

/** What is shared is counted with the images. */
function toBuildCache(cache: Items<'BuildCache'>): DiskShare {
  const own = cache.filter(({ Shared }) => !Shared);
  const share = toShare(own.map(({ Size, InUse }) => ({ bytes: size(Size), isActive: InUse === true })));
  return { ...share, count: cache.length, active: cache.filter(({ InUse }) => InUse).length };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
