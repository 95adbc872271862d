import { type Container, toMs } from './containers.ts';
import type { EngineImage } from './docker-types.ts';

/** An image as the inventory knows it; sizes in bytes, times in ms since 1970. */
export type Image = {
  id: string;
  tags: string[];
  size: number;
  createdAt: number;
  repoDigests: string[];
  parentId: string;
  labels: Record<string, string>;
  dangling: boolean;
};

/** A container that was made from an image, as far as the image's page names it. */
export type ImageUser = { id: string; name: string; state: string };

const none = '<none>';

/** Turns an item of the engine's list into an image. */
export function toImage(item: EngineImage): Image {
  const tags = (item.RepoTags ?? []).filter((tag) => !tag.startsWith(none) && !tag.endsWith(`:${none}`)).sort();
  return {
    id: item.Id,
    tags,
    size: item.Size ?? 0,
    createdAt: toCreatedAt(item.Created ?? 0),
    repoDigests: (item.RepoDigests ?? []).filter((digest) => !digest.startsWith(none)).sort(),
    parentId: item.ParentId ?? '',
    labels: item.Labels ?? {},
    dangling: tags.length === 0,
  };
}

/** The engine's list tells seconds, its inspect a text; an unreadable time is 0. */
function toCreatedAt(created: number | string): number {
  const ms = typeof created === 'number' ? toMs(created) : Date.parse(created);
  return Number.isFinite(ms) ? ms : 0;
}

/** The containers that were made from an image. */
export function imageUsers(image: Image, containers: readonly Container[]): ImageUser[] {
  return containers
    .filter((container) => bareId(container.imageId) === bareId(image.id))
    .map(({ id, name, state }) => ({ id, name, state }));
}

/** An image id without its `sha256:`. */
export const bareId = (id: string): string => id.replace(/^sha256:/, '');
