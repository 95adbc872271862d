import type { SimulatedContainer } from './container.ts';
import type { EndpointBody } from './container-spec.ts';
import type { Exchange } from './exchange.ts';
import { isRecord } from './exchange.ts';
import { type Network, toNetworkDocument } from './networks.ts';
import type { Route } from './routes.ts';
import type { World } from './world.ts';

/** Everything below `/networks`. */
export const networkRoutes: readonly Route[] = [
  [
    'GET',
    /^\/networks$/,
    (world, exchange) =>
      exchange.json(
        200,
        world.networks.all().map((network) => toNetworkDocument(network)),
      ),
  ],
  ['GET', /^\/networks\/([^/]+)$/, inspect],
  ['POST', /^\/networks\/([^/]+)\/connect$/, connect],
  ['POST', /^\/networks\/([^/]+)\/disconnect$/, disconnect],
];

function inspect(world: World, exchange: Exchange, name: string): void {
  const network = world.networks.get(name);
  const members = [...world.containers.all()].flatMap((container) => toMembers(container, network));
  exchange.json(200, toNetworkDocument(network, Object.fromEntries(members)));
}

/** Only who runs is in a network. */
function toMembers(container: SimulatedContainer, network: Network): [string, Record<string, string>][] {
  const running = container.endpoints.filter((endpoint) => endpoint.network === network.name && endpoint.endpointId);
  return running.map(({ endpointId, macAddress, address }) => [
    container.id,
    {
      Name: container.name,
      EndpointID: endpointId,
      MacAddress: macAddress,
      IPv4Address: address && `${address}/16`,
      IPv6Address: '',
    },
  ]);
}

async function connect(world: World, exchange: Exchange, name: string): Promise<void> {
  const { Container, EndpointConfig } = await exchange.body();
  const container = world.containers.get(String(Container));
  const settings: EndpointBody = isRecord(EndpointConfig) ? EndpointConfig : {};
  const network = world.containers.endpoints.connect(container, name, settings);
  if (network) tell(world, network, container, 'connect');
  exchange.empty(200);
}

/** Old engines tell it of stopped containers too. */
async function disconnect(world: World, exchange: Exchange, name: string): Promise<void> {
  const container = world.containers.get(String((await exchange.body()).Container));
  const network = world.containers.endpoints.disconnect(container, name);
  if (network && (container.pid > 0 || world.flavour.isOldShape)) tell(world, network, container, 'disconnect');
  exchange.empty(200);
}

function tell(world: World, network: Network, container: SimulatedContainer, action: 'connect' | 'disconnect'): void {
  const attributes = { container: container.id, name: network.name, type: network.driver };
  world.events.emit({ type: 'network', action, id: network.id, attributes });
}
