import { randomBytes } from 'node:crypto';
import type { Endpoint, SimulatedContainer } from './container.ts';
import type { CreateBody, EndpointBody } from './container-spec.ts';
import { EngineError } from './errors.ts';
import type { Flavour } from './flavours.ts';
import { randomId } from './ids.ts';
import type { Network, Networks } from './networks.ts';

/** What containers ask of networks, and what they have there while they run. */
export type Endpoints = ReturnType<typeof createEndpoints>;

const NO_ALIAS = 'network-scoped alias is supported only for containers in user defined networks';
const NO_ADDRESS = 'user specified IP address is supported on user defined networks only';

/** Creates the rules of a flavour; addresses are taken at a start and given back at a death. */
export function createEndpoints(networks: Networks, flavour: Flavour) {
  /** The endpoints a create request asks for; nothing is looked up yet, an unknown network fails at the start. */
  function toEndpoints(body: CreateBody): Endpoint[] {
    const mode = toNetworkMode(body);
    if (mode.startsWith('container:')) return [];
    const wanted = Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {});
    const named: [string, EndpointBody | null][] = wanted.length > 0 ? wanted : [[mode, null]];
    return named.map(([name, settings]) => {
      const isMain = toName(name) === toName(mode);
      const macAddress = flavour.isOldShape || !isMain ? '' : (body.MacAddress ?? '');
      return toEndpoint(name, { ...(macAddress ? { MacAddress: macAddress } : {}), ...settings });
    });
  }

  function toName(reference: string): string {
    return networks.find(reference)?.name ?? reference;
  }

  function toEndpoint(name: string, settings: EndpointBody): Endpoint {
    const none = { networkId: '', endpointId: '', address: '', gateway: '', dnsNames: null };
    const aliases = settings.Aliases ?? null;
    return { network: toName(name), settings, macAddress: settings.MacAddress ?? '', aliases, ...none };
  }

  /** Why a container cannot have these endpoints now; nothing is taken yet. */
  function check(container: SimulatedContainer): EngineError | null {
    for (const endpoint of container.endpoints) {
      const refusal = checkOne(endpoint);
      if (refusal) return refusal;
    }
    return null;
  }

  function checkOne(endpoint: Endpoint): EngineError | null {
    const network = networks.find(endpoint.network);
    if (!network) return new EngineError(404, `network ${endpoint.network} not found`);
    const refusal = refuseSettings(network.name, endpoint.settings);
    if (refusal) return refusal;
    const isTaken = network.taken.has(endpoint.settings.IPAMConfig?.IPv4Address ?? '');
    return isTaken ? new EngineError(403, 'Address already in use') : null;
  }

  /** The engine's own networks have neither aliases nor addresses of choice. */
  function refuseSettings(name: string, settings: EndpointBody | null): EngineError | null {
    if (networks.isUserDefined(name)) return null;
    const { IPv4Address = '', IPv6Address = '' } = settings?.IPAMConfig ?? {};
    if (IPv4Address || IPv6Address) return new EngineError(400, NO_ADDRESS);
    return settings?.Aliases?.length ? new EngineError(400, NO_ALIAS) : null;
  }

  /** Takes addresses; `check` must have passed. */
  function open(container: SimulatedContainer): void {
    for (const endpoint of container.endpoints) openOne(container, endpoint);
  }

  function openOne(container: SimulatedContainer, endpoint: Endpoint): void {
    const network = networks.get(endpoint.network);
    const { settings } = endpoint;
    endpoint.networkId = network.id;
    endpoint.endpointId = randomId();
    endpoint.address = networks.take(network, settings.IPAMConfig?.IPv4Address ?? '');
    endpoint.gateway = endpoint.address && `172.${network.subnet}.0.1`;
    endpoint.macAddress = endpoint.address && toMacAddress(container, endpoint);
    giveNames(container, endpoint);
  }

  /** Old engines make it of the address, whatever the endpoint asked for. */
  function toMacAddress({ body }: SimulatedContainer, { address, network, settings }: Endpoint): string {
    if (!flavour.isOldShape) return settings.MacAddress || randomMacAddress();
    const isMain = network === toName(toNetworkMode(body));
    return (isMain && body.MacAddress) || ['02', '42', ...address.split('.').map(toHex)].join(':');
  }

  /** By which names others find it: old engines put them among the aliases, later ones tell them apart. */
  function giveNames({ id, name, body }: SimulatedContainer, endpoint: Endpoint): void {
    if (!networks.isUserDefined(endpoint.network)) return;
    const { Aliases } = endpoint.settings;
    const own = [id.slice(0, 12), ...(body.Hostname ? [body.Hostname] : [])];
    if (flavour.isOldShape) endpoint.aliases = [...new Set([...(Aliases ?? []), ...own])];
    else endpoint.dnsNames = [...new Set([name, ...(Aliases ?? []), ...own])];
  }

  function close(container: SimulatedContainer): void {
    for (const endpoint of container.endpoints) closeOne(endpoint);
  }

  function closeOne(endpoint: Endpoint): void {
    networks.find(endpoint.network)?.taken.delete(endpoint.address);
    Object.assign(endpoint, { endpointId: '', address: '', gateway: '', macAddress: '' });
  }

  /**
   * Puts a container into a network; one that does not run has it written down only, even an unknown network.
   * What fails for a running one stays written down, as engines leave it.
   */
  function connect(container: SimulatedContainer, reference: string, settings: EndpointBody): Network | null {
    refuseCompany(container);
    const network = networks.find(reference);
    const known = container.endpoints.find(({ network: name }) => name === toName(reference));
    if (network) refuseConnection(network.name, settings);
    if (!container.pid) {
      if (!known) note(container, reference, settings);
      return null;
    }
    if (!network) throw new EngineError(404, `network ${reference} not found`);
    if (known?.endpointId) throw alreadyConnected(container, network);
    const endpoint = known ?? note(container, reference, settings);
    const refusal = checkOne(endpoint);
    if (refusal) throw refusal;
    openOne(container, endpoint);
    return network;
  }

  function refuseCompany({ body, endpoints }: SimulatedContainer): void {
    if (toNetworkMode(body) === 'host' && endpoints.length > 0) {
      const why = 'cannot be connected to any other network';
      throw new EngineError(400, `container sharing network namespace with another container or host ${why}`);
    }
    if (!endpoints.some(({ network }) => network === 'none')) return;
    const why = 'cannot be connected to multiple networks with one of the networks in private (none) mode';
    throw new EngineError(400, `container ${why}`);
  }

  function refuseConnection(name: string, settings: EndpointBody): void {
    const refusal = refuseSettings(name, settings);
    if (!refusal) return;
    const prefix = flavour.isOldShape ? '' : 'invalid endpoint settings:\n';
    throw new EngineError(refusal.status, prefix + refusal.message);
  }

  function note(container: SimulatedContainer, reference: string, settings: EndpointBody): Endpoint {
    const endpoint = toEndpoint(reference, settings);
    container.endpoints.push(endpoint);
    if (networks.find(reference)) giveNames(container, endpoint);
    return endpoint;
  }

  function alreadyConnected(container: SimulatedContainer, network: Network): EngineError {
    return new EngineError(403, `endpoint with name ${container.name} already exists in network ${network.name}`);
  }

  /** Takes a container out of a network; null when that network is not there any more. */
  function disconnect(container: SimulatedContainer, reference: string): Network | null {
    const network = networks.find(reference);
    if (!network && container.pid) throw new EngineError(404, `network ${reference} not found`);
    const endpoint = container.endpoints.find(({ network: name }) => name === toName(reference));
    if (endpoint) closeOne(endpoint);
    else if (network) throw notConnected(container, network);
    container.endpoints = container.endpoints.filter((other) => other !== endpoint);
    return network ?? null;
  }

  function notConnected({ id, pid }: SimulatedContainer, network: Network): EngineError {
    const where = `${pid ? 'network' : 'the network'} ${network.name}`;
    return new EngineError(500, `container ${id} is not connected to ${where}`);
  }

  return {
    toEndpoints,
    refuseSettings,
    check,
    open,
    close,
    connect,
    disconnect,
    /** After a rename: only those that have names already. */
    renew(container: SimulatedContainer) {
      for (const endpoint of container.endpoints) if (endpoint.dnsNames) giveNames(container, endpoint);
    },
    /** The MAC address that was asked for the container's main network; only later engines keep it there. */
    configuredMacAddress({ body, endpoints }: SimulatedContainer): string {
      const main = endpoints.find(({ network }) => network === toName(toNetworkMode(body)));
      return main?.settings.MacAddress ?? '';
    },
  };
}

/** `default` where a request names none. */
export function toNetworkMode(body: CreateBody): string {
  return body.HostConfig?.NetworkMode || 'default';
}

function randomMacAddress(): string {
  const [first = 0, ...rest] = randomBytes(6);
  return [(first & 0xfe) | 2, ...rest].map(toHex).join(':');
}

function toHex(part: string | number): string {
  return Number(part).toString(16).padStart(2, '0');
}
