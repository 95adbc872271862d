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
}

/** The networks by name and id. */
export type Networks = ReturnType<typeof createNetworks>;

/** Creates the networks that every engine has. */
export function createNetworks(events: EventLog, defaultNetwork: string) {
  const byName = new Map<string, Network>();
  let hosts = 1;

  function add(name: string, driver = 'bridge', labels: Record<string, string> = {}): Network {
    const subnet = 17 + byName.size;
    const network = { id: randomId(), name, driver, created: nowNanos(), labels, subnet };
    byName.set(name, network);
    events.emit({ type: 'network', action: 'create', id: network.id, attributes: { name, type: driver } });
    return network;
  }

  function find(reference: string): Network | undefined {
    const named = byName.get(reference === 'default' ? defaultNetwork : reference);
    return named ?? [...byName.values()].find((network) => network.id.startsWith(reference));
  }

  function get(reference: string): Network {
    const network = find(reference);
    if (!network) throw new EngineError(404, `network ${reference} not found`);
    return network;
  }

  /** A fresh address: no two containers share one. */
  function nextAddress(network: Network): string {
    hosts++;
    return `172.${network.subnet}.${Math.floor(hosts / 250) % 250}.${(hosts % 250) + 2}`;
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
    nextAddress,
    ensure: (name: string) => find(name) ?? add(name),
    all: () => [...byName.values()],
    remove(reference: string) {
      const { id, name, driver } = get(reference);
      byName.delete(name);
      events.emit({ type: 'network', action: 'destroy', id, attributes: { name, type: driver } });
    },
  };
}

/** A network as the API shows it. */
export function toNetworkDocument(network: Network): Record<string, unknown> {
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
    Containers: {},
    Options: {},
    Labels: network.labels,
  };
}
