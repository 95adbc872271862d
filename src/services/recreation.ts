import { posix } from 'node:path';
import { type Document, documentOf, ownSettings, textsOf } from './own-settings.ts';
import { isRecord, listOf, number, text } from './readers.ts';

/** A network to be connected once a container is there, with what was set for it. */
export type Connection = { network: string; endpoint: Document };

/** What makes a container again: the create call's body, and what has to follow it before the first start. */
export type Recreation = {
  body: Document;
  /** `os/architecture` where the image is for another processor than the engine's; null where the engine chooses. */
  platform: string | null;
  connects: Connection[];
  /** Networks that its creation connects it to, and that the container was taken out of. */
  disconnects: string[];
};

/** The engine, as far as the form of a create call depends on it. */
export type EngineTraits = { apiVersion: string; architecture: string; hostName: string };

/** What a container is made again from: its whole inspect answer, its image's, and the image to be used now. */
export type RecreationInput = {
  container: Document;
  image: Document;
  /** What the create call names, a reference or an id, and the full id that this is now. */
  next: { text: string; id: string };
  /** Mounts that it gets from other containers again. */
  borrowed?: readonly Document[];
  engine: EngineTraits;
};

/** A volume that nobody named: its engine-given name is what keeps its data. */
export type AnonymousVolume = { name: string; destination: string };

/** Compose notes there which image a container was made from, and makes it anew when that is no longer true. */
const imageLabel = 'com.docker.compose.image';

/** Since this version of the API, a MAC address belongs to a network and no longer to the container. */
const macPerNetwork = [1, 44] as const;
/** Since this version, a container is created in many networks at once; a later connect passes over MAC addresses. */
const manyNetworks = [1, 44] as const;
/** The last versions of the API whose inspect tells a MAC address that was asked for apart from one that was picked. */
const macTold = [1, 51] as const;

/**
 * What has to be asked for so that the engine makes a container like this one, on another image. Its host config is taken
 * over whole. What the engine derived for the old one alone, such as its id as host name and alias, is left out, so that
 * it is derived anew.
 */
export function toRecreation({ container, image, next, engine, borrowed = [] }: RecreationInput): Recreation {
  const config = documentOf(container.Config);
  const host = documentOf(container.HostConfig);
  const own = ownSettings(config, documentOf(image.Config));
  const volumes = anonymousVolumes(container, borrowed);
  const endpoints = ownEndpoints(container, engine);
  const primary = primaryNetwork(container);
  const first = endpoints.find(({ network }) => network === primary);
  const atOnce = first ? endpoints.filter((item) => item === first || isAtLeast(engine, manyNetworks)) : [];
  const endpointsConfig = Object.fromEntries(atOnce.map(({ network, endpoint }) => [network, endpoint]));
  return {
    body: {
      ...own,
      ...ownNames(container, own, engine),
      // The engine publishes only what is exposed as well.
      ExposedPorts: { ...documentOf(own.ExposedPorts), ...emptyFor(documentOf(host.PortBindings)) },
      Labels: withImage(documentOf(own.Labels), text(container.Image) ?? '', next.id),
      Image: next.text,
      HostConfig: {
        ...host,
        Links: ownLinks(host),
        Binds: namedBinds(container, volumes),
        Mounts: namedMounts(container, volumes),
      },
      ...(atOnce.length > 0 && { NetworkingConfig: { EndpointsConfig: endpointsConfig } }),
    },
    platform: foreignPlatform(image, engine),
    connects: endpoints.filter((endpoint) => !atOnce.includes(endpoint)),
    disconnects: primary !== null && !first ? [primary] : [],
  };
}

/**
 * Lets a recreation join the namespaces of a container's successor, be linked to it and take its volumes; the very same
 * where it needs nothing of it.
 */
export function joining(recreation: Recreation, old: { oldId: string; name: string }, newId: string): Recreation {
  const host = documentOf(recreation.body.HostConfig);
  const modes = namespaceModes.filter((mode) => {
    const id = joinedId(text(host[mode]));
    return id !== undefined && [old.oldId, old.name].includes(id);
  });
  const links = textsOf(host.Links);
  const linked = links.map((link) => (link.startsWith(`${old.name}:`) ? newId + link.slice(old.name.length) : link));
  const isLinked = linked.some((link, index) => link !== links[index]);
  const lenders = textsOf(host.VolumesFrom);
  const isLender = (entry: string) => isIdIn(entry, old.oldId);
  const borrows = lenders.some(isLender);
  if (modes.length === 0 && !isLinked && !borrows) return recreation;
  const joined = Object.fromEntries(modes.map((mode) => [mode, `container:${newId}`]));
  const VolumesFrom = lenders.map((entry) => (isLender(entry) ? newId + entry.slice(lenderOf(entry).length) : entry));
  const HostConfig = { ...host, ...joined, ...(isLinked && { Links: linked }), ...(borrows && { VolumesFrom }) };
  return { ...recreation, body: { ...recreation.body, HostConfig } };
}

/** The fields of a host config that may name another container, whose namespace is joined. */
export const namespaceModes = ['NetworkMode', 'IpcMode', 'PidMode'] as const;

const shortIdLength = 12;

/** The container whose volumes are taken by `<id or name>`, `<id or name>:ro`. */
export const lenderOf = (entry: string): string => entry.split(':')[0] ?? '';

/** Whether volumes are taken from a container by its id, as Compose asks for them: by a name they are those of whoever has it. */
export function isIdIn(entry: string, id: string): boolean {
  const lender = lenderOf(entry);
  return lender.length >= shortIdLength && id.startsWith(lender);
}

/** The container named by `container:<id or name>`; nothing where another mode is set. */
export function joinedId(mode: string | undefined): string | undefined {
  return mode?.startsWith('container:') ? mode.slice('container:'.length) : undefined;
}

/**
 * The volumes of a container that nobody named, but for those that it borrows; they are attached to its successor by the
 * names they have.
 */
export function anonymousVolumes(container: Document, borrowed: readonly Document[] = []): AnonymousVolume[] {
  const named = namedDestinations(container);
  const isBorrowed = (mount: Document) =>
    borrowed.some((other) => other.Name === mount.Name && other.Destination === mount.Destination);
  return mountsOf(container)
    .filter((mount) => mount.Type === 'volume' && !isBorrowed(mount))
    .map((mount) => ({ name: volumeName(mount), destination: pathOf(mount.Destination) }))
    .filter(({ name, destination }) => name !== '' && destination !== '' && !named.has(destination));
}

/** The name of a mounted volume; Docker 28 tells that of a bind such as `/data` only within its path. */
export function volumeName(mount: Document): string {
  return text(mount.Name) || (/\/volumes\/([^/]+)\/_data$/.exec(text(mount.Source) ?? '')?.[1] ?? '');
}

const documents = listOf((value) => (isRecord(value) ? value : undefined));
const mountsOf = (container: Document) => documents(container.Mounts) ?? [];
const bindsOf = (container: Document) => textsOf(documentOf(container.HostConfig).Binds);
const askedMountsOf = (container: Document) => documents(documentOf(container.HostConfig).Mounts) ?? [];

/** Where a mount goes; what was asked for may end in a slash, what the engine tells does not. */
export function pathOf(value: unknown): string {
  const path = text(value) ?? '';
  return path === '' ? '' : posix.normalize(path).replace(/(?<=.)\/$/, '');
}

const isUnnamed = (mount: Document) => mount.Type === 'volume' && !mount.Source;

/** Where something is mounted that was asked for by its name or path. */
function namedDestinations(container: Document): Set<string> {
  const binds = bindsOf(container).flatMap((bind) => bind.split(':')[1] ?? []);
  const mounts = askedMountsOf(container).filter((mount) => !isUnnamed(mount));
  return new Set([...binds, ...mounts.map((mount) => mount.Target)].map(pathOf));
}

/** Binds as they were asked for; one that only says where (`/data`) names its volume now. */
function namedBinds(container: Document, volumes: readonly AnonymousVolume[]): unknown {
  const name = (bind: string) => {
    const volume = bind.includes(':') ? undefined : volumes.find(({ destination }) => destination === pathOf(bind));
    return volume ? `${volume.name}:${bind}:${isReadOnly(container, volume.destination) ? 'ro,' : ''}nocopy` : bind;
  };
  const { Binds: asked } = documentOf(container.HostConfig);
  return Array.isArray(asked) ? bindsOf(container).map(name) : asked;
}

/**
 * Mounts as they were asked for, with the names of volumes that had none, and with those that came from `Volumes`. Nothing
 * is copied into them from the image: they have their content.
 */
function namedMounts(container: Document, volumes: readonly AnonymousVolume[]): unknown {
  const taken = new Set([...askedMountsOf(container).map((mount) => mount.Target), ...bindsOf(container)].map(pathOf));
  const asked = askedMountsOf(container).map((mount) => {
    const volume = isUnnamed(mount)
      ? volumes.find(({ destination }) => destination === pathOf(mount.Target))
      : undefined;
    const VolumeOptions = { ...documentOf(mount.VolumeOptions), NoCopy: true };
    return volume ? { ...mount, Source: volume.name, VolumeOptions } : mount;
  });
  const added = volumes
    .filter(({ destination }) => !taken.has(destination))
    .map(({ name, destination }) => ({
      Type: 'volume',
      Source: name,
      Target: destination,
      ...(isReadOnly(container, destination) && { ReadOnly: true }),
      VolumeOptions: { NoCopy: true },
    }));
  const mounts = [...asked, ...added];
  return mounts.length > 0 ? mounts : documentOf(container.HostConfig).Mounts;
}

const isReadOnly = (container: Document, destination: string) =>
  mountsOf(container).some((mount) => pathOf(mount.Destination) === destination && mount.RW === false);

/** Inspect tells a link as `/db:/web/alias`, create reads `db:alias`. */
export function ownLinks({ Links: links }: Document): unknown {
  if (!Array.isArray(links)) return links;
  return textsOf(links).map((link) => {
    const [source = '', alias = ''] = link.split(':');
    return `${source.replace(/^\//, '')}:${alias.slice(alias.lastIndexOf('/') + 1)}`;
  });
}

/** Host name, domain name and MAC address, where they are its own; undefined takes a field out of the body. */
function ownNames(container: Document, own: Document, engine: EngineTraits): Document {
  const host = documentOf(container.HostConfig);
  const hostName = text(own.Hostname) ?? '';
  const isDerived =
    hostName === shortId(container) ||
    joinedId(text(host.NetworkMode)) !== undefined ||
    host.UTSMode === 'host' ||
    (host.NetworkMode === 'host' && hostName === engine.hostName);
  return {
    Hostname: isDerived ? undefined : own.Hostname,
    Domainname: host.UTSMode === 'host' ? undefined : own.Domainname,
    MacAddress: isAtLeast(engine, macPerNetwork) ? undefined : own.MacAddress,
  };
}

const shortId = (container: Document) => (text(container.Id) ?? '').slice(0, shortIdLength);

const emptyFor = (record: Document) => Object.fromEntries(Object.keys(record).map((key) => [key, {}]));

function withImage(labels: Document, before: string, after: string): Document {
  return labels[imageLabel] === before ? { ...labels, [imageLabel]: after } : labels;
}

/** The network that a container is created in; null where its mode is no network. */
function primaryNetwork(container: Document): string | null {
  const networks = networksOf(container);
  const mode = text(documentOf(container.HostConfig).NetworkMode) ?? '';
  if (mode === 'host' || mode === 'none' || mode.includes(':')) return null;
  if (mode === '' || mode === 'default' || mode === 'bridge') return 'podman' in networks ? 'podman' : 'bridge';
  const byId = Object.entries(networks).find(([, endpoint]) => documentOf(endpoint).NetworkID === mode);
  return byId?.[0] ?? mode;
}

const networksOf = (container: Document) => documentOf(documentOf(container.NetworkSettings).Networks);

/** What was set for each network; what the engine gave while it ran is left out. */
function ownEndpoints(container: Document, engine: EngineTraits): Connection[] {
  return Object.entries(networksOf(container))
    .filter(([network]) => network !== 'host' && network !== 'none')
    .map(([network, told]) => ({ network, endpoint: ownEndpoint(container, network, documentOf(told), engine) }));
}

function ownEndpoint(container: Document, network: string, told: Document, engine: EngineTraits): Document {
  const aliases = textsOf(told.Aliases).filter((alias) => alias !== shortId(container));
  const macAddress = ownMacAddress(container, network, told, engine);
  return {
    ...(isRecord(told.IPAMConfig) && { IPAMConfig: told.IPAMConfig }),
    ...(textsOf(told.Links).length > 0 && { Links: told.Links }),
    ...(aliases.length > 0 && { Aliases: aliases }),
    ...(isRecord(told.DriverOpts) && { DriverOpts: told.DriverOpts }),
    ...(number(told.GwPriority) ? { GwPriority: told.GwPriority } : {}),
    ...(macAddress && { MacAddress: macAddress }),
  };
}

/**
 * The MAC address that was asked for in a network. The engine tells it apart only for the first network (as the
 * container's own); elsewhere one that it picked is kept as well, unless it was made of the IP address (`02:42:` and its
 * four numbers, as engines before 28 do): kept, that would collide with whoever gets the address next.
 */
function ownMacAddress(container: Document, network: string, told: Document, engine: EngineTraits): string | undefined {
  if (!isAtLeast(engine, macPerNetwork)) return undefined;
  const asked = text(documentOf(container.Config).MacAddress);
  if (network === primaryNetwork(container) && (asked || !isAfter(engine, macTold))) return asked;
  const address = text(told.MacAddress) ?? '';
  return address === '' || address === ofAddress(text(told.IPAddress) ?? '') ? undefined : address;
}

function ofAddress(ip: string): string {
  const numbers = ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return ['02', '42', ...numbers].join(':');
}

type Version = readonly [major: number, minor: number];

function compareVersion({ apiVersion }: EngineTraits, [major, minor]: Version): number {
  const [ownMajor = 0, ownMinor = 0] = apiVersion.split('.').map(Number);
  return ownMajor - major || ownMinor - minor;
}

const isAtLeast = (engine: EngineTraits, version: Version) => compareVersion(engine, version) >= 0;
const isAfter = (engine: EngineTraits, version: Version) => compareVersion(engine, version) > 0;

/** `os/architecture` of an image that is made for another processor than the engine's; else null. */
export function foreignPlatform(image: Document, engine: EngineTraits): string | null {
  const architecture = text(image.Architecture);
  if (!architecture || !engine.architecture || architecture === engine.architecture) return null;
  return [text(image.Os) || 'linux', architecture, text(image.Variant)].filter(Boolean).join('/');
}
