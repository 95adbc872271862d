import { isDeepStrictEqual } from 'node:util';
import { Problem } from '../errors.ts';
import { type Document, documentOf, textsOf } from './own-settings.ts';
import { isRecord, listOf, text } from './readers.ts';
import { joinedId, namespaceModes, ownLinks, pathOf, volumeName } from './recreation.ts';

/** What a create call may ask for is measured by the container that it replaces, as the engine told of that. */
export type CreateRules = { basis: Document; allowsPrivileged: boolean };

/**
 * Lets the body of a create call out, or not. It may ask for no right that the container it replaces does not have: its
 * host config has to be that one's, field by field; its mounts have to be that one's, where a volume nobody named may be
 * called by the name it has; only whose namespaces it joins may be another container. Nothing privileged, unless allowed.
 * @throws Problem `forbidden` or `disabled` that names the field
 */
export function checkCreate(body: Document, { basis, allowsPrivileged }: CreateRules): void {
  for (const field of Object.keys(body)) if (isDisguised(field)) refuse(field);
  const had = documentOf(basis.HostConfig);
  const wanted = documentOf(body.HostConfig);
  if (wanted.Privileged && !allowsPrivileged) {
    throw new Problem('disabled', 'A privileged container is not created, unless ENABLE names "privileged".');
  }
  // Also what is left out: where a limit or a restriction is not asked for, there is none.
  for (const field of new Set([...Object.keys(wanted), ...Object.keys(had)])) {
    if (!isAllowed(field, wanted, had, basis)) refuse(`HostConfig.${field}`);
  }
  checkNetworking(body.NetworkingConfig);
  const volumes = Object.keys(documentOf(documentOf(basis.Config).Volumes));
  if (Object.keys(documentOf(body.Volumes)).some((path) => !volumes.includes(path))) refuse('Volumes');
}

/**
 * Lets the body of a call that connects a container to a network out, or not.
 * @throws Problem `forbidden` that names the field
 */
export function checkConnect(body: Document): void {
  checkFields('', body, ['Container', 'EndpointConfig']);
  checkFields('EndpointConfig.', body.EndpointConfig, endpointFields);
}

/**
 * Lets the body of a call that takes a container out of a network out, or not.
 * @throws Problem `forbidden` that names the field
 */
export function checkDisconnect(body: Document): void {
  checkFields('', body, ['Container']);
}

/** What a rebuild may say of a container in a network. */
const endpointFields = ['IPAMConfig', 'Links', 'Aliases', 'DriverOpts', 'GwPriority', 'MacAddress'];

function checkNetworking(config: unknown): void {
  if (isNothing(config)) return;
  checkFields('NetworkingConfig.', config, ['EndpointsConfig']);
  const { EndpointsConfig: endpoints } = documentOf(config);
  if (!isNothing(endpoints) && !isRecord(endpoints)) refuse('NetworkingConfig.EndpointsConfig');
  for (const [network, endpoint] of Object.entries(documentOf(endpoints))) {
    checkFields(`NetworkingConfig.EndpointsConfig.${network}.`, endpoint, endpointFields);
  }
}

/** No other fields, in no other letters. */
function checkFields(before: string, value: unknown, fields: readonly string[]): void {
  if (!isRecord(value)) unknown(before.slice(0, -1) || 'body');
  for (const field of Object.keys(value)) if (!fields.includes(field)) unknown(before + field);
}

function unknown(field: string): never {
  throw new Problem('forbidden', `${field}: is nothing that this program sends.`);
}

/**
 * Engines read names whatever their letters' case, and the last of several counts. They also take some letters of other
 * alphabets for our own: no field has any.
 */
function isDisguised(field: string): boolean {
  return !/^\w+$/.test(field) || measured.some((name) => field !== name && field.toLowerCase() === name.toLowerCase());
}

const measured = ['HostConfig', 'Volumes', 'NetworkingConfig'];

function isAllowed(field: string, wanted: Document, had: Document, basis: Document): boolean {
  const fieldOf = (host: Document) => (Object.hasOwn(host, field) ? host[field] : undefined);
  const rule = Object.hasOwn(rules, field) ? rules[field] : undefined;
  if (rule) return rule(fieldOf(wanted), basis);
  return isDeepStrictEqual(fieldOf(wanted) ?? null, fieldOf(had) ?? null) && Object.hasOwn(had, field);
}

function refuse(field: string): never {
  throw new Problem('forbidden', `${field}: asks for more than the container has that would be replaced.`);
}

type Rule = (value: unknown, basis: Document) => boolean;

const namespaceRule =
  (mode: string): Rule =>
  (value, basis) => {
    const had = documentOf(basis.HostConfig)[mode];
    const areJoined = [value, had].every((item) => joinedId(text(item)) !== undefined);
    return areJoined || (value ?? null) === (had ?? null);
  };

const rules: Record<string, Rule> = {
  ...Object.fromEntries(namespaceModes.map((mode) => [mode, namespaceRule(mode)])),

  Links(value, { HostConfig }) {
    const had = ownLinks(documentOf(HostConfig)) ?? null;
    if (!Array.isArray(had) || !Array.isArray(value)) return (value ?? null) === had;
    return value.length === had.length && value.every((link, index) => isOwnLink(link, had[index]));
  },

  VolumesFrom(value, { HostConfig }) {
    const { VolumesFrom: had } = documentOf(HostConfig);
    if (!Array.isArray(had) || !Array.isArray(value)) return (value ?? null) === (had ?? null);
    return value.length === had.length && value.every((entry, index) => isOwnLender(entry, had[index]));
  },

  Binds(value, basis) {
    const had = textsOf(documentOf(basis.HostConfig).Binds);
    const isOwn = (bind: unknown) => typeof bind === 'string' && (had.includes(bind) || isOwnBind(bind, basis));
    return isNothing(value) || (Array.isArray(value) && value.every(isOwn));
  },

  Mounts(value, basis) {
    const had = documents(documentOf(basis.HostConfig).Mounts) ?? [];
    const isOwn = (mount: unknown) =>
      isRecord(mount) && (isAskedMount(mount, had, basis) || isVolumeMount(mount, basis));
    return isNothing(value) || (Array.isArray(value) && value.every(isOwn));
  },
};

const documents = listOf((value) => (isRecord(value) ? value : undefined));
const isNothing = (value: unknown) => value === null || value === undefined;

/** A link as it was, or under the same alias to a container that is named by its id. */
function isOwnLink(link: unknown, had = ''): boolean {
  const [, source, alias] = /^([^:]+):([^:]+)$/.exec(text(link) ?? '') ?? [];
  return link === had || (/^[0-9a-f]{64}$/.test(source ?? '') && had.endsWith(`:${alias}`));
}

/** Volumes as they were taken, or as such from a container by its id where it was an id before. */
function isOwnLender(entry: unknown, had: unknown): boolean {
  const ofId = /^[0-9a-f]{12,64}(?=:|$)/;
  const [wanted, before] = [text(entry) ?? '', text(had) ?? ''];
  const areIds = ofId.test(wanted) && ofId.test(before);
  return entry === had || (areIds && wanted.replace(ofId, '') === before.replace(ofId, ''));
}

/** `name:/path:nocopy` in the place of `/path`, of a volume that the container has there. */
function isOwnBind(bind: string, basis: Document): boolean {
  const [name = '', destination = '', mode = '', ...more] = bind.split(':');
  const options = mode.split(',');
  const areKnown = options.every((option) => option === 'nocopy' || option === 'ro');
  return more.length === 0 && areKnown && isVolume(basis, name, destination, options.includes('ro'));
}

/** A mount as it was asked for, or that of a volume without a name with the name that it has. */
function isAskedMount(mount: Document, had: readonly Document[], basis: Document): boolean {
  if (had.some((other) => isDeepStrictEqual(mount, other))) return true;
  const { Source, ...rest } = mount;
  const unnamed = had.filter((other) => other.Type === 'volume' && !other.Source);
  const isNamed = unnamed.some((other) => {
    const { Source: _none, ...asked } = other;
    return isDeepStrictEqual(rest, { ...asked, VolumeOptions: { ...documentOf(asked.VolumeOptions), NoCopy: true } });
  });
  return isNamed && isVolume(basis, text(Source) ?? '', text(mount.Target) ?? '', mount.ReadOnly === true);
}

/** A mount of a volume that the container has at that place, and no word more. */
function isVolumeMount({ Type, Source, Target, ReadOnly, VolumeOptions, ...rest }: Document, basis: Document): boolean {
  const isPlain =
    Type === 'volume' && Object.keys(rest).length === 0 && isDeepStrictEqual(VolumeOptions, { NoCopy: true });
  return isPlain && isVolume(basis, text(Source) ?? '', text(Target) ?? '', ReadOnly === true);
}

/** Whether the container has this very volume, by its name, at this very place, and may write to it unless it is `ro`. */
function isVolume(basis: Document, name: string, destination: string, isReadOnly: boolean): boolean {
  const path = pathOf(destination);
  return (documents(basis.Mounts) ?? []).some(
    (mount) =>
      mount.Type === 'volume' &&
      name !== '' &&
      volumeName(mount) === name &&
      mount.Destination === path &&
      (isReadOnly || mount.RW !== false),
  );
}
