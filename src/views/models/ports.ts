import { type Port, shownPorts } from '../../services/containers.ts';

/** A port as shown: `8080→80`; `href` only where a browser can open it. */
export type PortModel = { host: string; inner: string; href: string | null; title: string };

const anyAddress = new Set(['', '0.0.0.0', '::']);
const secure = new Set([443, 8443]);

/** The ports of a container, published ones linked to the host that the page was asked from. */
export function toPortModels(ports: readonly Port[], host: string): PortModel[] {
  return shownPorts(ports).map((port) => toPortModel(port, host));
}

function toPortModel(port: Port, host: string): PortModel {
  const protocol = port.protocol === 'tcp' ? '' : `/${port.protocol}`;
  if (port.hostPort === null) {
    return { host: '', inner: `${port.containerPort}${protocol}`, href: null, title: 'not published' };
  }
  const address = anyAddress.has(port.hostIp) ? '' : `${bracketed(port.hostIp)}:`;
  return {
    host: `${address}${port.hostPort}`,
    inner: `→${port.containerPort}${protocol}`,
    href: port.protocol === 'tcp' ? toHref(port, port.hostPort, host) : null,
    title: `${port.hostIp || 'any address'} port ${port.hostPort} leads to ${port.containerPort}/${port.protocol}`,
  };
}

function toHref(port: Port, hostPort: number, host: string): string | null {
  const name = hostName(anyAddress.has(port.hostIp) ? host : port.hostIp);
  if (name === null) return null;
  const scheme = secure.has(hostPort) || secure.has(port.containerPort) ? 'https' : 'http';
  return `${scheme}://${name}:${hostPort}`;
}

/** A host name that is safe in an address, without a port; null for anything else that a client may have sent. */
export function hostName(host: string): string | null {
  if (/^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(host)) return `[${host}]`;
  const match = /^([a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d+)?$/i.exec(host);
  return match?.[1] ?? null;
}

const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address);
