import { isDeepStrictEqual } from 'node:util';
import type { Engine, EngineVersion } from '../engine/engine.ts';

/** What `docker inspect` tells of a container. */
export type Inspection = {
  Id: string;
  Image: string;
  Name: string;
  State: { Status: string; Health?: { Status: string } };
  Config: Record<string, unknown> & { Env: string[]; Labels: Record<string, string> };
  HostConfig: Record<string, unknown>;
  Mounts: { Type: string; Name?: string; Destination: string; RW: boolean }[];
  NetworkSettings: { Networks: Record<string, Record<string, unknown>> };
};

/** A difference that has to be there; every engine tells it, unless it says which one does. */
export type Meant = RegExp | { on: EngineVersion; difference: RegExp };

/** What a container stood among before and after: the ids of these stand as `<name>`. */
export type Neighbours = { before: readonly Inspection[]; after: readonly Inspection[] };

type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;
type Parse = (text: string, reviver: Reviver) => unknown;

/** What two containers can't have in common, however alike they are: paths of the answer, `*` for any name. */
const passing = [
  'Id',
  'Created',
  'Image',
  'ImageManifestDescriptor',
  'State',
  'RestartCount',
  'ResolvConfPath',
  'HostnamePath',
  'HostsPath',
  'LogPath',
  'GraphDriver',
  'SizeRootFs',
  'NetworkSettings.SandboxID',
  'NetworkSettings.SandboxKey',
  'NetworkSettings.EndpointID',
  'NetworkSettings.Gateway',
  'NetworkSettings.IPAddress',
  'NetworkSettings.IPPrefixLen',
  'NetworkSettings.MacAddress',
  'NetworkSettings.Ports',
  'NetworkSettings.Networks.*.EndpointID',
  'NetworkSettings.Networks.*.NetworkID',
  'NetworkSettings.Networks.*.Gateway',
  'NetworkSettings.Networks.*.IPAddress',
  'NetworkSettings.Networks.*.IPPrefixLen',
  'NetworkSettings.Networks.*.MacAddress',
  'NetworkSettings.Networks.*.DNSNames',
].map((path) => new RegExp(`^${path.replaceAll('.', '\\.').replaceAll('*', '[^.]+')}(\\.|$)`));

/** Inspects a container; an integer that would be rounded stands as its digits. */
export async function inspect(engine: Engine, name: string): Promise<Inspection> {
  const text = await engine.docker('inspect', '--type=container', name);
  const [found] = (JSON.parse as Parse)(text, keepDigits) as Inspection[];
  if (!found) throw new Error(`${name} is not there`);
  return found;
}

const keepDigits: Reviver = (_key, value, { source }) =>
  typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) ? source : value;

/**
 * Every field in which two containers differ, as `path: before → after`, but for those that no two have in common. A
 * container's own id stands as `<id>`; lists whose order means nothing are sorted.
 */
export function differences(
  before: Inspection,
  after: Inspection,
  neighbours: Neighbours = { before: [], after: [] },
): string[] {
  const [a, b] = [flatten(normal(before, neighbours.before)), flatten(normal(after, neighbours.after))];
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((path) => !passing.some((pattern) => pattern.test(path)))
    .filter((path) => !isDeepStrictEqual(a.get(path), b.get(path)))
    .sort()
    .map((path) => `${path}: ${show(a.get(path))} → ${show(b.get(path))}`);
}

const show = (value: unknown) => (value === undefined ? 'none' : JSON.stringify(value));

/** What of the found differences nobody meant, and what was meant and is not there. */
export function judge(found: readonly string[], meant: readonly Meant[], version: EngineVersion) {
  const patterns = meant.flatMap((item) => {
    if (item instanceof RegExp) return [item];
    return item.on === version ? [item.difference] : [];
  });
  return {
    unmeant: found.filter((difference) => !patterns.some((pattern) => pattern.test(difference))),
    missing: patterns.filter((pattern) => !found.some((difference) => pattern.test(difference))).map(String),
  };
}

function normal(container: Inspection, neighbours: readonly Inspection[]): unknown {
  const signs = [[container.Id, '<id>'] as const, ...neighbours.map(({ Id, Name }) => [Id, `<${Name}>`] as const)];
  const text = signs.reduce(
    (shown, [id, sign]) => shown.replaceAll(id, sign).replaceAll(id.slice(0, 12), sign),
    JSON.stringify(container),
  );
  const copy = JSON.parse(text) as Inspection;
  const byDestination = (x: { Destination: string }, y: { Destination: string }) =>
    x.Destination < y.Destination ? -1 : 1;
  return {
    ...copy,
    Mounts: Object.fromEntries(copy.Mounts.sort(byDestination).map((mount) => [mount.Destination, mount])),
    NetworkSettings: { ...copy.NetworkSettings, Networks: sortAliases(copy.NetworkSettings.Networks) },
    Config: { ...copy.Config, Env: Object.fromEntries((copy.Config.Env ?? []).map((entry) => entry.split(/=(.*)/s))) },
  };
}

const sortAliases = (networks: Inspection['NetworkSettings']['Networks']) =>
  Object.fromEntries(
    Object.entries(networks).map(([name, endpoint]) => {
      const { Aliases: aliases } = endpoint;
      return [name, { ...endpoint, Aliases: Array.isArray(aliases) ? aliases.sort() : aliases }];
    }),
  );

/** The leaves of a value by their paths; lists are leaves. */
function flatten(value: unknown, path = ''): Map<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return new Map([[path, value]]);
  const entries = Object.entries(value);
  if (entries.length === 0) return new Map([[path, {}]]);
  return new Map(entries.flatMap(([key, item]) => [...flatten(item, path === '' ? key : `${path}.${key}`)]));
}
