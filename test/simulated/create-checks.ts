import type { CreateBody, HostConfigBody } from './container-spec.ts';
import { toNetworkMode } from './endpoints.ts';
import { EngineError } from './errors.ts';
import type { Flavour } from './flavours.ts';
import type { SimulatedImage } from './images.ts';
import type { Networks } from './networks.ts';

/** Refuses settings that contradict each other, in Docker's words. */
export function refuseConflicts(body: CreateBody, flavour: Flavour): void {
  const host = body.HostConfig ?? {};
  refuseShared(body, host, flavour);
  const policy = host.RestartPolicy?.Name ?? '';
  if (host.AutoRemove && policy !== '' && policy !== 'no') {
    throw new EngineError(400, "can't create 'AutoRemove' container with restart policy");
  }
}

/** Who lives in another container's network has nothing of its own there. */
function refuseShared(body: CreateBody, host: HostConfigBody, flavour: Flavour): void {
  if (!toNetworkMode(body).startsWith('container:')) return;
  const conflicts: [unknown, string][] = [
    [body.Hostname, 'hostname and the network mode'],
    [host.Links?.length, "container type network can't be used with links. This would result in undefined behavior"],
    [host.Dns?.length, 'dns and the network mode'],
    [host.ExtraHosts?.length, 'custom host-to-IP mapping and the network mode'],
    [flavour.isOldShape && body.MacAddress, 'mac-address and the network mode'],
    [host.PublishAllPorts || hasKeys(host.PortBindings), 'port publishing and the container type network mode'],
    [hasKeys(body.ExposedPorts), 'port exposing and the container type network mode'],
  ];
  const conflict = conflicts.find(([isSet]) => isSet);
  if (conflict) throw new EngineError(400, `conflicting options: ${conflict[1]}`);
}

function hasKeys(record: object | null | undefined): boolean {
  return Object.keys(record ?? {}).length > 0;
}

/** Refuses what an engine cannot do with networks at a creation: old ones take one, later ones look at its settings. */
export function refuseNetworks(body: CreateBody, networks: Networks, flavour: Flavour): void {
  const names = Object.keys(body.NetworkingConfig?.EndpointsConfig ?? {});
  if (flavour.isOldShape && names.length > 1) {
    throw new EngineError(400, `Container cannot be connected to network endpoints: ${names.sort().join(', ')}`);
  }
  if (!flavour.isOldShape) refuseMacAddress(body, networks);
}

function refuseMacAddress(body: CreateBody, networks: Networks): void {
  const endpoints = body.NetworkingConfig?.EndpointsConfig ?? {};
  const wanted = Object.keys(endpoints);
  if (!body.MacAddress || wanted.length === 0) return;
  const toId = (reference: string) => networks.find(reference)?.id ?? reference;
  const main = wanted.find((name) => toId(name) === toId(toNetworkMode(body)));
  if (main === undefined) {
    const why = 'HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks';
    throw new EngineError(400, `unable to migrate container-wide MAC address to a specific network: ${why}`);
  }
  const own = endpoints[main]?.MacAddress;
  if (!own || own === body.MacAddress) return;
  const rule = 'must match the endpoint-specific MAC address for the main network, or be left empty';
  throw new EngineError(400, `the container-wide MAC address ${rule}`);
}

/** Refuses an image that is there, but for another kind of processor than `linux/arm64` or the like asks for. */
export function refusePlatform(image: SimulatedImage, reference: string, platform: string, flavour: Flavour): void {
  const mismatch = toPlatformMismatch(image, reference, platform, flavour);
  if (mismatch) throw new EngineError(404, mismatch);
}

/** What an engine says about an image that is not for a platform; null when it is. */
export function toPlatformMismatch(
  { architecture }: SimulatedImage,
  reference: string,
  platform: string,
  flavour: Flavour,
): string | null {
  const [, wanted = architecture] = platform.split('/');
  if (wanted === architecture) return null;
  const found = `image with reference ${reference} was found but`;
  const actual = `linux/${architecture}`;
  if (flavour.isOldShape) {
    return `${found} does not match the specified platform: wanted ${platform}, actual: ${actual}`;
  }
  return `${found} its platform (${actual}) does not match the specified platform (${platform})`;
}

/** What an engine does, but with a word about it. */
export function toWarnings({ HostConfig, MacAddress }: CreateBody, flavour: Flavour): string[] {
  const mac =
    'The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.';
  const isDiscarding = HostConfig?.NetworkMode === 'host' && hasKeys(HostConfig.PortBindings);
  return [
    ...(isDiscarding ? ['Published ports are discarded when using host network mode'] : []),
    ...(MacAddress && !flavour.isOldShape ? [mac] : []),
  ];
}

/** Refuses a container that would have nothing to run. */
export function refuseNoCommand(body: CreateBody, flavour: Flavour): void {
  if (body.Entrypoint?.length || body.Cmd?.length) return;
  throw new EngineError(400, flavour.isOldShape ? 'No command specified' : 'no command specified');
}
