import { parseTime } from './clock.ts';
import { hasProcess, isUp, notRunning, type SimulatedContainer } from './container.ts';
import type { CreateBody } from './container-spec.ts';
import { toInspection, toShown, toSummary } from './container-views.ts';
import { toWarnings } from './create-checks.ts';
import { EngineError } from './errors.ts';
import type { Exchange } from './exchange.ts';
import { type Filters, hasLabel, matchesAll, matchesAny, matchesPattern, parseFilters } from './filters.ts';
import { toLinkNames } from './links.ts';
import { sendLog } from './logs.ts';
import type { Route } from './routes.ts';
import type { World } from './world.ts';

type Action = (world: World, container: SimulatedContainer, exchange: Exchange) => void | Promise<void>;

/** Everything below `/containers`. */
export const containerRoutes: readonly Route[] = [
  ['GET', /^\/containers\/json$/, list],
  ['POST', /^\/containers\/create$/, create],
  ['POST', /^\/containers\/prune$/, prune],
  about('GET', 'json', (world, container, exchange) => exchange.json(200, toInspection(container, world))),
  about('POST', 'start', start),
  about('POST', 'stop', async (world, container, exchange) => {
    await world.containers.stop(container, exchange.query.get('signal') ?? '15');
    exchange.empty(204);
  }),
  about('POST', 'restart', async (world, container, exchange) => {
    await world.containers.restart(container);
    exchange.empty(204);
  }),
  about(
    'POST',
    'pause',
    answered((world, container) => world.containers.pause(container)),
  ),
  about(
    'POST',
    'unpause',
    answered((world, container) => world.containers.unpause(container)),
  ),
  about(
    'POST',
    'kill',
    answered((world, container, exchange) => world.containers.kill(container, exchange.query.get('signal') ?? '9')),
  ),
  about(
    'POST',
    'rename',
    answered((world, container, exchange) => world.containers.rename(container, exchange.query.get('name') ?? '')),
  ),
  about('POST', 'update', update),
  about('POST', 'wait', wait),
  about('GET', 'logs', logs),
  about('GET', 'stats', stats),
  about('GET', 'top', top),
  ['DELETE', /^\/containers\/([^/]+)$/, removal],
];

function about(method: string, verb: string, action: Action): Route {
  return [
    method,
    new RegExp(`^/containers/([^/]+)/${verb}$`),
    (world, exchange, reference) => action(world, recall(world, exchange, reference), exchange),
  ];
}

function recall(world: World, exchange: Exchange, reference: string): SimulatedContainer {
  const container = world.containers.get(reference);
  exchange.recorded.containerId = container.id;
  return container;
}

function answered(change: Action): Action {
  return (world, container, exchange) => {
    change(world, container, exchange);
    exchange.empty(204);
  };
}

function list(world: World, exchange: Exchange): void {
  const filters = readFilters(exchange);
  const limit = Number(exchange.query.get('limit') ?? 0);
  const showsAll = exchange.isSet('all') || limit > 0 || filters.has('status');
  const chosen = [...world.containers.all()]
    .filter((container) => showsAll || isUp(toShown(container)))
    .filter((container) => isListed(world, container, filters))
    .sort((a, b) => (a.created < b.created ? 1 : -1));
  const shown = limit > 0 ? chosen.slice(0, limit) : chosen;
  const linkNames = toLinkNames(world.containers.all());
  exchange.json(
    200,
    shown.map((container) => toSummary(container, world, exchange.isSet('size'), linkNames.get(container.id))),
  );
}

const LIST_FILTERS =
  'id name label status health network volume ancestor exited is-task before since publish expose'.split(' ');

function readFilters(exchange: Exchange): Filters {
  const filters = parseFilters(exchange.query.get('filters'));
  if (!filters) throw new EngineError(400, 'invalid filter');
  const unknown = [...filters.keys()].find((key) => !LIST_FILTERS.includes(key));
  if (unknown) throw new EngineError(400, `invalid filter '${unknown}'`);
  return filters;
}

function isListed(world: World, container: SimulatedContainer, filters: Filters): boolean {
  if (filters.size === 0) return true;
  const { state, exitCode, health } = toShown(container);
  return (
    matchesAny(filters, 'id', (value) => container.id.startsWith(value)) &&
    matchesAny(
      filters,
      'name',
      (value) => matchesPattern(`/${container.name}`, value) || matchesPattern(container.name, value),
    ) &&
    matchesAny(filters, 'status', (value) => state === value) &&
    matchesAny(filters, 'health', (value) => health === value) &&
    matchesAny(filters, 'exited', (value) => state === 'exited' && exitCode === Number(value)) &&
    matchesAny(filters, 'network', (value) => isInNetwork(container, value)) &&
    matchesAny(filters, 'volume', (value) =>
      container.mounts.some((mount) => mount.name === value || mount.destination === value),
    ) &&
    matchesAny(filters, 'ancestor', (value) => world.images.find(value)?.id === container.imageId) &&
    matchesAll(filters, 'label', (value) => hasLabel(container.labels, value))
  );
}

function isInNetwork(container: SimulatedContainer, reference: string): boolean {
  return container.endpoints.some(({ network, networkId }) => network === reference || networkId === reference);
}

async function create(world: World, exchange: Exchange): Promise<void> {
  const body: CreateBody = await exchange.body();
  if (!body.Image) {
    const what = world.flavour.isOldShape ? 'Config' : 'config';
    throw new EngineError(400, `${what} cannot be empty in order to create a container`);
  }
  const options = { platform: exchange.query.get('platform') ?? '' };
  const container = world.containers.create(exchange.query.get('name'), body, options);
  exchange.recorded.containerId = container.id;
  exchange.json(201, { Id: container.id, Warnings: toWarnings(body, world.flavour) });
}

function prune(world: World, exchange: Exchange): void {
  const stopped = [...world.containers.all()].filter((container) => !isUp(container));
  for (const container of stopped) world.containers.remove(container, false);
  const deleted = stopped.length > 0 ? stopped.map(({ id }) => id) : null;
  world.events.emit({ type: 'container', action: 'prune', id: '', attributes: { reclaimed: '0' } });
  exchange.json(200, { ContainersDeleted: deleted, SpaceReclaimed: 0 });
}

async function start(world: World, container: SimulatedContainer, exchange: Exchange): Promise<void> {
  if (container.behaviour.startMs) await world.containers.sleep(container.behaviour.startMs);
  world.containers.start(container);
  exchange.empty(204);
}

async function update(world: World, container: SimulatedContainer, exchange: Exchange): Promise<void> {
  container.body.HostConfig = { ...container.body.HostConfig, ...(await exchange.body()) };
  world.containers.tell(container, 'update');
  exchange.json(200, { Warnings: null });
}

function wait(_world: World, container: SimulatedContainer, exchange: Exchange): void {
  const stream = exchange.stream('wait', 'application/json');
  const end = () => {
    container.endings.delete(end);
    stream.push(`${JSON.stringify({ StatusCode: container.exitCode })}\n`);
    stream.end();
  };
  stream.onClose(() => container.endings.delete(end));
  if (isUp(container)) container.endings.add(end);
  else end();
}

function logs(world: World, container: SimulatedContainer, exchange: Exchange): void {
  const { query } = exchange;
  const [stdout, stderr] = [exchange.isSet('stdout'), exchange.isSet('stderr')];
  if (!stdout && !stderr) throw new EngineError(400, 'Bad parameters: you must choose at least one stream');
  const isRaw = container.body.Tty === true;
  const isOldShape = world.flavour.isOldShape || isRaw;
  const type = `application/vnd.docker.${isOldShape ? 'raw' : 'multiplexed'}-stream`;
  const settings = {
    stdout,
    stderr,
    isRaw,
    follow: exchange.isSet('follow') && hasProcess(container),
    timestamps: exchange.isSet('timestamps'),
    tail: toTail(query.get('tail')),
    since: parseTime(query.get('since')),
    until: parseTime(query.get('until')),
  };
  sendLog(container.log, settings, exchange.stream('logs', type), container.endings);
}

function toTail(tail: string | null): number {
  return tail !== null && /^\d+$/.test(tail) ? Number(tail) : Number.POSITIVE_INFINITY;
}

async function stats(world: World, container: SimulatedContainer, exchange: Exchange): Promise<void> {
  const isStream = exchange.query.get('stream') !== '0' && exchange.query.get('stream') !== 'false';
  if (isStream) return world.collector.stream(container, exchange.stream('stats', 'application/json'));
  exchange.json(200, await world.collector.readOnce(container, exchange.isSet('one-shot')));
}

function top(world: World, container: SimulatedContainer, exchange: Exchange): void {
  if (!hasProcess(container)) throw notRunning(container);
  world.containers.tell(container, 'top');
  const command = (container.body.Cmd ?? []).join(' ');
  exchange.json(200, {
    Processes: [['root', String(container.pid), '1', '0', '15:15', '?', '00:00:00', command]],
    Titles: ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'],
  });
}

function removal(world: World, exchange: Exchange, reference: string): void {
  world.containers.remove(recall(world, exchange, reference), exchange.isSet('force'), exchange.isSet('v'));
  exchange.empty(204);
}
