import type { Container } from './containers.ts';
import { bareId, type Image, type ImageUser, imageUsers } from './images.ts';

/** How a list of images is narrowed and ordered; `dangling` is `true`, `false` or empty. */
export type ImageQuery = { q: string; sort: string; dangling: string };

/** An image with the containers that were made from it. */
export type UsedImage = Image & { containers: ImageUser[] };

export const imageSorts = ['name', 'size', 'created'] as const;

const firstTag = (image: Image): string => image.tags[0] ?? '￿';

const comparisons: Record<string, (a: Image, b: Image) => number> = {
  name: (a, b) => (firstTag(a) < firstTag(b) ? -1 : firstTag(a) > firstTag(b) ? 1 : 0),
  size: (a, b) => a.size - b.size,
  created: (a, b) => a.createdAt - b.createdAt,
};

/** The whole answer to a query, newest first unless asked otherwise. */
export function selectImages(all: readonly Image[], containers: readonly Container[], query: ImageQuery) {
  const used = all.map((image) => ({ ...image, containers: imageUsers(image, containers) }));
  const images = used
    .filter((image) => isFound(image, query.q) && isWanted(image, query.dangling))
    .sort(sorter(query.sort));
  const counts = {
    all: used.length,
    dangling: used.filter((image) => image.dangling).length,
    unused: used.filter((image) => image.containers.length === 0).length,
    shown: images.length,
  };
  return { images, counts, totalSize: used.reduce((sum, image) => sum + image.size, 0) };
}

function isFound(image: UsedImage, q: string): boolean {
  const labels = Object.entries(image.labels).map(([key, value]) => `${key}=${value}`);
  const users = image.containers.map((container) => container.name);
  const text = [bareId(image.id), ...image.tags, ...image.repoDigests, ...users, ...labels].join('\n').toLowerCase();
  return q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function isWanted(image: UsedImage, dangling: string): boolean {
  if (dangling === '') return true;
  return image.dangling === (dangling === 'true' || dangling === '1');
}

function sorter(sort: string): (a: Image, b: Image) => number {
  const key = sort.replace(/^-/, '') || 'created';
  const isReversed = sort === '' || sort.startsWith('-');
  const compare = comparisons[key] ?? (() => 0);
  return (a, b) => (isReversed ? -compare(a, b) : compare(a, b)) || (a.id < b.id ? -1 : 1);
}
