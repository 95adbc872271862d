import { EngineError } from './errors.ts';
import type { Exchange } from './exchange.ts';
import { type Filters, hasLabel, matchesAll, matchesAny, parseFilters } from './filters.ts';
import { repositoryOf, withTag } from './ids.ts';
import { toHistory, toImageInspection, toImageSummary } from './image-views.ts';
import type { SimulatedImage } from './images.ts';
import { pull } from './pulls.ts';
import type { Route } from './routes.ts';
import type { World } from './world.ts';

/** Everything below `/images`; a name may hold slashes. */
export const imageRoutes: readonly Route[] = [
  ['GET', /^\/images\/json$/, list],
  ['POST', /^\/images\/create$/, pull],
  ['POST', /^\/images\/prune$/, prune],
  [
    'GET',
    /^\/images\/(.+)\/json$/,
    (world, exchange, name) => exchange.json(200, toImageInspection(world.images.get(name), world.flavour)),
  ],
  [
    'GET',
    /^\/images\/(.+)\/history$/,
    (world, exchange, name) => exchange.json(200, toHistory(world.images.get(name))),
  ],
  ['POST', /^\/images\/(.+)\/tag$/, tag],
  [
    'DELETE',
    /^\/images\/(.+)$/,
    (world, exchange, name) => exchange.json(200, world.imageRemovals.remove(name, exchange.isSet('force'))),
  ],
];

function list(world: World, exchange: Exchange): void {
  const filters = parseFilters(exchange.query.get('filters'));
  if (!filters) throw new EngineError(400, 'invalid filter');
  const chosen = [...world.images.all()]
    .filter((image) => exchange.isSet('all') || !isIntermediate(world, image))
    .filter((image) => isListed(world, image, filters))
    .sort((a, b) => (a.created < b.created ? 1 : -1));
  const users = world.imageRemovals.countUsers();
  exchange.json(
    200,
    chosen.map((image) => toImageSummary(image, users.get(image.id) ?? 0, world.flavour)),
  );
}

/** A step of a build that others are built on. */
function isIntermediate(world: World, image: SimulatedImage): boolean {
  return image.tags.length === 0 && world.images.childrenOf(image).length > 0;
}

function isListed(world: World, image: SimulatedImage, filters: Filters): boolean {
  const isDangling = image.tags.length === 0 && !isIntermediate(world, image);
  return (
    matchesAny(filters, 'dangling', (value) => isDangling === (value === 'true' || value === '1')) &&
    matchesAny(filters, 'reference', (value) =>
      image.tags.some((tag) => tag === withTag(value) || repositoryOf(tag) === value),
    ) &&
    matchesAll(filters, 'label', (value) => hasLabel(image.labels, value))
  );
}

/** Unless a client says otherwise, only what has no name. */
function prune(world: World, exchange: Exchange): void {
  const filters = parseFilters(exchange.query.get('filters'));
  if (!filters) throw new EngineError(400, 'invalid filter');
  const isDanglingOnly = matchesAny(filters, 'dangling', (value) => value === 'true' || value === '1');
  const { removals, bytes } = world.imageRemovals.prune(isDanglingOnly);
  world.events.emit({ type: 'image', action: 'prune', id: '', attributes: { reclaimed: String(bytes) } });
  exchange.json(200, { ImagesDeleted: removals.length > 0 ? removals : null, SpaceReclaimed: bytes });
}

function tag(world: World, exchange: Exchange, name: string): void {
  const image = world.images.get(name);
  const repository = exchange.query.get('repo');
  if (!repository) throw new EngineError(400, 'repository name must have at least one component');
  world.images.tag(image, `${repository}:${exchange.query.get('tag') || 'latest'}`);
  exchange.empty(201);
}
