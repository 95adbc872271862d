import { toMillis, toNanos, toRfc3339 } from './clock.ts';
import type { Flavour } from './flavours.ts';
import { toConfigDocument } from './image-config.ts';
import type { SimulatedImage } from './images.ts';

/** One row of `GET /images/json`. */
export function toImageSummary(image: SimulatedImage, userCount: number, flavour: Flavour): Record<string, unknown> {
  const tags = toShownTags(image, flavour);
  const podman = { Digest: image.digests[0]?.split('@')[1] ?? image.id, History: tags, Names: tags };
  return {
    Containers: flavour.isOldShape ? -1 : userCount,
    Created: Math.floor(toMillis(image.created) / 1000),
    Id: image.id,
    Labels: Object.keys(image.labels).length > 0 ? image.labels : null,
    ParentId: image.parent,
    RepoDigests: toShownDigests(image, flavour),
    RepoTags: tags,
    SharedSize: -1,
    Size: image.size,
    ...(flavour.isOldShape ? { VirtualSize: image.size } : {}),
    ...(flavour.isPodman ? podman : {}),
  };
}

function toShownTags(image: SimulatedImage, flavour: Flavour): string[] {
  if (image.tags.length === 0) return flavour.isOldShape ? ['<none>:<none>'] : [];
  return flavour.isPodman ? image.tags.map((tag) => `docker.io/${tag}`) : image.tags;
}

function toShownDigests(image: SimulatedImage, flavour: Flavour): string[] | null {
  if (!flavour.isOldShape || image.digests.length > 0) return image.digests;
  return image.tags.length === 0 ? ['<none>@<none>'] : null;
}

/** The document of `GET /images/:name/json`. */
export function toImageInspection(image: SimulatedImage, flavour: Flavour): Record<string, unknown> {
  const old = {
    Container: '',
    ContainerConfig: { ...OLD_CONFIG, ...toConfigDocument(image, {}) },
    VirtualSize: image.size,
  };
  return {
    Id: image.id,
    RepoTags: flavour.isPodman ? toShownTags(image, flavour) : image.tags,
    RepoDigests: image.digests,
    Parent: image.parent,
    Comment: image.layers[0]?.comment ?? '',
    Created: toRfc3339(image.created),
    DockerVersion: flavour.isPodman ? '' : flavour.serverVersion,
    Author: '',
    Architecture: image.architecture,
    Os: 'linux',
    Size: image.size,
    GraphDriver: toGraphDriver(image, flavour),
    RootFS: {
      Type: 'layers',
      Layers: image.layerDigests,
    },
    Metadata: { LastTagTime: toRfc3339(image.taggedAt) },
    Config: { ...(flavour.isOldShape ? OLD_CONFIG : {}), ...toConfigDocument(image, image.labels) },
    ...(flavour.isOldShape ? old : {}),
  };
}

function toGraphDriver(image: SimulatedImage, flavour: Flavour): Record<string, unknown> {
  const folder = `/var/lib/docker/overlay2/${image.id.slice(7)}`;
  return {
    Data: { MergedDir: `${folder}/merged`, UpperDir: `${folder}/diff`, WorkDir: `${folder}/work` },
    Name: flavour.isPodman ? 'overlay' : 'overlay2',
  };
}

const OLD_CONFIG = {
  Hostname: '',
  Domainname: '',
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Image: '',
};

/** The answer of `GET /images/:name/history`: the newest layer first, only that one has an id. */
export function toHistory(image: SimulatedImage): Record<string, unknown>[] {
  return image.layers.map((layer, index) => ({
    Comment: layer.comment ?? '',
    Created: Math.floor(toMillis(layer.created === undefined ? image.created : toNanos(layer.created)) / 1000),
    CreatedBy: layer.createdBy,
    Id: index === 0 ? image.id : '<missing>',
    Size: layer.size,
    Tags: index === 0 && image.tags.length > 0 ? image.tags : null,
  }));
}
