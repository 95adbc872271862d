import type { Exchange } from './exchange.ts';
import type { Route } from './routes.ts';
import { toVolumeDocument } from './volumes.ts';
import type { World } from './world.ts';

/** Everything below `/volumes`. */
export const volumeRoutes: readonly Route[] = [
  ['GET', /^\/volumes$/, list],
  [
    'GET',
    /^\/volumes\/([^/]+)$/,
    (world, exchange, name) => exchange.json(200, toVolumeDocument(world.volumes.get(name))),
  ],
  ['DELETE', /^\/volumes\/([^/]+)$/, remove],
];

function list(world: World, exchange: Exchange): void {
  exchange.json(200, { Volumes: world.volumes.all().map(toVolumeDocument), Warnings: null });
}

function remove(world: World, exchange: Exchange, name: string): void {
  world.volumes.remove(name);
  exchange.empty(204);
}
