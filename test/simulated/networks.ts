import { nowNanos, toRfc3339 } from './clock.ts';
import { EngineError } from './errors.ts';
import type { EventLog } from './events.ts';
import { randomId } from './ids.ts';

/** A network of the engine. */
export interface Network {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly created: bigint;
  readonly labels: Record<string, string>;
  /** The second number of its addresses. */
  readonly subnet: number;
  /** Those of running containers. */
  readonly taken: Set<string>;
}

/** The networks by name and id. */
export type Networks = ReturnType<typeof createNetworks>;

/** Creates the networks that every engine has. */
export function createNetworks(events: EventLog, defaultNetwork: string) {
  const byName = new Map<string, Network>();
  let subnets = 17;

  function add(name: string, driver = 'bridge', labels: Record<string, string> = {}): Network {
    const network = {
      id: randomId(),
      name,
      driver,
      created: nowNanos(),
      labels,
      subnet: subnets++,
      taken: new Set<string>(),
    };
    byName.set(name, network);
    events.emit({ type: 'network', action: 'create', id: network.id, attributes: { name, type: driver } });
    return network;
  }

  /** By name, or by an id of at least twelve digits: what is shorter is a name that looks like one. */
  function find(reference: string): Network | undefined {
    const named = byName.get(reference === 'default' ? defaultNetwork : reference);
    if (named || !/^[0-9a-f]{12,64}$/.test(reference)) return named;
    return [...byName.values()].find((network) => network.id.startsWith(reference));
  }

  function get(reference: string): Network {
    const network = find(reference);
    if (!network) throw new EngineError(404, `network ${reference} not found`);
    return network;
  }

  /** Takes the address that is asked for, or the first free one, as engines do; a network that has none gives `''`. */
  function take({ driver, subnet, taken }: Network, wanted: string): string {
    if (driver !== 'bridge') return '';
    const address = wanted || firstFree(subnet, taken);
    taken.add(address);
    return address;
  }

  function firstFree(subnet: number, taken: ReadonlySet<string>): string {
    let host = 1;
    let address: string;
    do {
      host++;
      address = `172.${subnet}.${host >> 8}.${host & 255}`;
    } while (taken.has(address));
    return address;
  }

  /** One of the networks that containers find each other in by name. */
  function isUserDefined(name: string): boolean {
    return ![defaultNetwork, 'default', 'host', 'none'].includes(name);
  }

  events.silently(() => {
    add(defaultNetwork);
    add('host', 'host');
    add('none', 'null');
  });

  return {
    add,
    find,
    get,
    take,
    isUserDefined,
    defaultNetwork,
    ensure: (name: string) => find(name) ?? add(name),
    all: () => [...byName.values()],
    remove(reference: string) {
      const { id, name, driver } = get(reference);
      byName.delete(name);
      events.emit({ type: 'network', action: 'destroy', id, attributes: { name, type: driver } });
    },
  };
}

/** A network as the API shows it; only inspect tells who is in it. */
export function toNetworkDocument(network: Network, containers: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    Name: network.name,
    Id: network.id,
    Created: toRfc3339(network.created),
    Scope: 'local',
    Driver: network.driver,
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: {
      Driver: 'default',
      Options: null,
      Config: [{ Subnet: `172.${network.subnet}.0.0/16`, Gateway: `172.${network.subnet}.0.1` }],
    },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: containers,
    Options: {},
    Labels: network.labels,
  };
}
