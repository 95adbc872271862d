import type { SimulatedContainer } from './container.ts';
import type { PortBinding } from './container-spec.ts';
import type { Flavour } from './flavours.ts';

/** A port as it is bound on the host. */
export interface PublishedPort {
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
}

/** The host's ports: who holds which. */
export type Ports = ReturnType<typeof createPorts>;

/** Creates a host without a port in use. */
export function createPorts(flavour: Flavour) {
  const holders = new Map<string, string>();
  let picked = 32768;

  function firstTaken(container: SimulatedContainer): PublishedPort | undefined {
    return wanted(container).find((port) => port.hostPort !== 0 && isTaken(port, container.id));
  }

  function isTaken(port: PublishedPort, id: string): boolean {
    return overlapping(port).some((key) => (holders.get(key) ?? id) !== id);
  }

  /** Binds what the container wants and picks the ports that are left to the engine. */
  function publish(container: SimulatedContainer): PublishedPort[] {
    const picks = new Map<number, number>();
    const bound = wanted(container).map((port) => {
      if (port.hostPort !== 0) return port;
      const hostPort = picks.get(port.containerPort) ?? pick();
      picks.set(port.containerPort, hostPort);
      return { ...port, hostPort };
    });
    for (const port of bound) holders.set(toKey(port), container.id);
    return bound;
  }

  function pick(): number {
    do picked++;
    while (holders.has(`0.0.0.0:${picked}/tcp`));
    return picked;
  }

  function release(container: SimulatedContainer): void {
    for (const port of container.ports) holders.delete(toKey(port));
  }

  function conflict(container: SimulatedContainer, port: PublishedPort): string {
    if (flavour.isPodman) {
      return `cannot listen on the TCP port: listen tcp4 :${port.hostPort}: bind: address already in use`;
    }
    const setup = flavour.isOldShape ? '' : 'failed to set up container networking: ';
    const endpoint = `driver failed programming external connectivity on endpoint ${container.name} (${container.id})`;
    return `${setup}${endpoint}: Bind for ${port.hostIp}:${port.hostPort} failed: port is already allocated`;
  }

  return { firstTaken, publish, release, conflict };
}

/** Only a network of its own has ports to publish. */
function wanted(container: SimulatedContainer): PublishedPort[] {
  const host = container.body.HostConfig ?? {};
  if (host.NetworkMode === 'host' || host.NetworkMode === 'none') return [];
  const bindings = { ...(host.PublishAllPorts ? allExposed(container) : {}), ...host.PortBindings };
  return Object.entries(bindings).flatMap(([key, hosts]) => {
    const [port = '0', protocol = 'tcp'] = key.split('/');
    return (hosts ?? []).flatMap((binding) => toPublished(binding, Number(port), protocol));
  });
}

function allExposed(container: SimulatedContainer): Record<string, PortBinding[]> {
  return Object.fromEntries(Object.keys(container.body.ExposedPorts ?? {}).map((port) => [port, [{}]]));
}

/** No address means both families, as Docker binds them. */
function toPublished(binding: PortBinding, containerPort: number, protocol: string): PublishedPort[] {
  const hostPort = Number(binding.HostPort || 0);
  const addresses = binding.HostIp ? [binding.HostIp] : ['0.0.0.0', '::'];
  return addresses.map((hostIp) => ({ hostIp, hostPort, containerPort, protocol }));
}

function overlapping(port: PublishedPort): string[] {
  const any = port.hostIp.includes(':') ? '::' : '0.0.0.0';
  return [toKey(port), toKey({ ...port, hostIp: any })];
}

function toKey(port: PublishedPort): string {
  return `${port.hostIp}:${port.hostPort}/${port.protocol}`;
}
