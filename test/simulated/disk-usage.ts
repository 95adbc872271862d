import { toSummary } from './container-views.ts';
import { toImageSummary } from './image-views.ts';
import type { SimulatedImage } from './images.ts';
import { toVolumeDocument } from './volumes.ts';
import type { World } from './world.ts';

/** The answer of `GET /system/df`: sizes that nothing here measures are made of names, so that they stay the same. */
export function toDiskUsage(world: World): Record<string, unknown> {
  const images = [...world.images.all()];
  const containers = [...world.containers.all()];
  const layers = images.flatMap(toLayers);
  const isShared = (digest: string) => layers.filter((layer) => layer.digest === digest).length > 1;
  return {
    LayersSize: sum([...new Map(layers.map(({ digest, size }) => [digest, size])).values()]),
    Images: images.map((image) => ({
      ...toImageSummary(image, containers.filter(({ imageId }) => imageId === image.id).length, world.flavour),
      Containers: containers.filter(({ imageId }) => imageId === image.id).length,
      SharedSize: sum(toLayers(image).flatMap(({ digest, size }) => (isShared(digest) ? size : 0))),
    })),
    Containers: containers.map((container) => ({
      ...toSummary(container, world, true),
      SizeRw: toSize(container.id.slice(0, 4), 300_000),
    })),
    Volumes: world.volumes.all().map((volume) => ({
      ...toVolumeDocument(volume),
      UsageData: {
        Size: volume.data.length + toSize(volume.name, 2_000_000),
        RefCount: containers.filter(({ mounts }) => mounts.some(({ name }) => name === volume.name)).length,
      },
    })),
    BuildCache: [
      { ID: 'cache1', Type: 'regular', InUse: true, Shared: false, Size: 12_000_000 },
      { ID: 'cache2', Type: 'regular', InUse: false, Shared: false, Size: 340_000_000 },
      { ID: 'cache3', Type: 'source.local', InUse: false, Shared: true, Size: 5_000_000 },
    ],
  };
}

/** An image without a history is one layer. */
function toLayers({ id, size, layers, layerDigests }: SimulatedImage): { digest: string; size: number }[] {
  const sizes = layers.map((layer) => layer.size).filter((bytes) => bytes > 0);
  if (sizes.length !== layerDigests.length || sizes.length === 0) return [{ digest: id, size }];
  return sizes.reverse().map((bytes, index) => ({ digest: layerDigests[index] ?? id, size: bytes }));
}

const toSize = (text: string, step: number) =>
  ([...text].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 997, 7) % 400) * step;

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
