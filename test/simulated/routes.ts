import { nowNanos, parseTime } from './clock.ts';
import { containerRoutes } from './container-routes.ts';
import { toDiskUsage } from './disk-usage.ts';
import { inspectDistribution } from './distribution.ts';
import { EngineError } from './errors.ts';
import { type EngineEvent, matchesEvent } from './events.ts';
import type { Exchange } from './exchange.ts';
import { type Filters, parseFilters } from './filters.ts';
import { imageRoutes } from './image-routes.ts';
import { endAt } from './logs.ts';
import { networkRoutes } from './network-routes.ts';
import type { EngineStream } from './streams.ts';
import { toInfo, toVersion } from './system-views.ts';
import { volumeRoutes } from './volume-routes.ts';
import type { World } from './world.ts';

type Handler = (world: World, exchange: Exchange, reference: string) => void | Promise<void>;

/** A method, a path with at most one reference in it, and what answers. */
export type Route = readonly [method: string, path: RegExp, handler: Handler];

const MAX_UNREAD_BYTES = 1_000_000;

const routes: readonly Route[] = [
  ['GET', /^\/_ping$/, ping],
  ['HEAD', /^\/_ping$/, ping],
  [
    'GET',
    /^\/version$/,
    (world, exchange) => exchange.json(200, toVersion(world.flavour, world.options.minApiVersion)),
  ],
  ['GET', /^\/info$/, info],
  ['GET', /^\/events$/, events],
  ['GET', /^\/system\/df$/, (world, exchange) => exchange.json(200, toDiskUsage(world))],
  ...containerRoutes,
  ...imageRoutes,
  ['GET', /^\/distribution\/(.+)\/json$/, inspectDistribution],
  ...networkRoutes,
  ...volumeRoutes,
];

/** Answers a request whose path has no `/v1.NN` any more. */
export async function route(world: World, exchange: Exchange, method: string, path: string): Promise<void> {
  for (const [allowed, pattern, handler] of routes) {
    if (allowed !== method) continue;
    const match = pattern.exec(path);
    if (match) return handler(world, exchange, match[1] ?? '');
  }
  throw new EngineError(404, 'page not found');
}

function ping(_world: World, exchange: Exchange): void {
  exchange.text(200, 'OK', 'text/plain; charset=utf-8');
}

function info(world: World, exchange: Exchange): void {
  const imageCount = [...world.images.all()].length;
  exchange.json(200, toInfo(world.host, world.containers, imageCount, world.options.name));
}

/** The past since `since`, then what comes, until `until`. */
function events(world: World, exchange: Exchange): void {
  const filters = parseFilters(exchange.query.get('filters'));
  if (!filters) throw new EngineError(400, 'invalid filter');
  const since = parseTime(exchange.query.get('since'));
  const until = parseTime(exchange.query.get('until'));
  const stream = exchange.stream('events', 'application/json');
  if (since !== null) sendPast(world.events.history(), since, until, filters, stream);
  if (until !== null && until <= nowNanos()) stream.end();
  else sendComing(world, until, filters, stream);
}

function sendComing(world: World, until: bigint | null, filters: Filters, stream: EngineStream): void {
  const timer = until === null ? null : endAt(until, () => stream.end());
  const unsubscribe = world.events.subscribe((event) => sendEvent(event, filters, stream));
  stream.onClose(() => {
    if (timer) clearTimeout(timer);
    unsubscribe();
  });
}

function sendPast(
  past: readonly EngineEvent[],
  since: bigint,
  until: bigint | null,
  filters: Filters,
  stream: EngineStream,
) {
  for (const event of past) {
    if (event.at >= since && (until === null || event.at <= until)) sendEvent(event, filters, stream);
  }
}

/** A reader that pauses loses events without a sign, as it does on real engines. */
function sendEvent(event: EngineEvent, filters: Filters, stream: EngineStream): void {
  if (stream.pendingBytes > MAX_UNREAD_BYTES) return;
  if (matchesEvent(event, filters)) stream.push(event.line);
}
