import { isDeepStrictEqual } from 'node:util';
import { Problem } from '../errors.ts';
import { type Document, documentOf, textsOf } from './own-settings.ts';
import { isRecord, listOf, text } from './readers.ts';
import { joinedId, namespaceModes, ownLinks } from './recreation.ts';

/** What a create call may ask for is measured by the container that it replaces, as the engine told of that. */
export type CreateRules = { basis: Document; allowsPrivileged: boolean };

/**
 * Lets the body of a create call out, or not. It may ask for no right that the container it replaces does not have: its
 * host config has to be that one's, field by field; its mounts have to be that one's, where a volume nobody named may be
 * called by the name it has; only whose namespaces it joins may be another container. Nothing privileged, unless allowed.
 * @throws Problem `forbidden` or `disabled` that names the field
 */
export function checkCreate(body: Document, { basis, allowsPrivileged }: CreateRules): void {
  const wanted = documentOf(body.HostConfig);
  const had = documentOf(basis.HostConfig);
  if (wanted.Privileged && !allowsPrivileged) {
    throw new Problem('disabled', 'A privileged container is not created, unless ENABLE names "privileged".');
  }
  for (const [field, value] of Object.entries(wanted)) {
    const rule = Object.hasOwn(rules, field) ? rules[field] : undefined;
    const isAllowed = value === undefined || (rule ? rule(value, basis) : isDeepStrictEqual(value, had[field]));
    if (!isAllowed) refuse(`HostConfig.${field}`);
  }
  const volumes = Object.keys(documentOf(documentOf(basis.Config).Volumes));
  if (Object.keys(documentOf(body.Volumes)).some((path) => !volumes.includes(path))) refuse('Volumes');
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
    return areJoined || value === had;
  };

const rules: Record<string, Rule> = {
  ...Object.fromEntries(namespaceModes.map((mode) => [mode, namespaceRule(mode)])),

  Links: (value, { HostConfig }) => isDeepStrictEqual(value, ownLinks(documentOf(HostConfig))),

  Binds(value, basis) {
    const had = textsOf(documentOf(basis.HostConfig).Binds);
    const isOwn = (bind: string) => had.includes(bind) || isVolume(basis, ...toPair(bind));
    return isNothing(value) || (Array.isArray(value) && value.every((bind) => typeof bind === 'string' && isOwn(bind)));
  },

  Mounts(value, basis) {
    const had = documents(documentOf(basis.HostConfig).Mounts) ?? [];
    const isOwn = (mount: Document) =>
      had.some((other) => isDeepStrictEqual(mount, other)) ||
      (mount.Type === 'volume' && isVolume(basis, text(mount.Source) ?? '', text(mount.Target) ?? ''));
    return isNothing(value) || (Array.isArray(value) && value.every((mount) => isRecord(mount) && isOwn(mount)));
  },
};

const documents = listOf((value) => (isRecord(value) ? value : undefined));
const isNothing = (value: unknown) => value === null || value === undefined;

function toPair(bind: string): [source: string, destination: string] {
  const [source = '', destination = ''] = bind.split(':');
  return [source, destination];
}

/** Whether the container has this very volume, by its name, at this very place. */
function isVolume(basis: Document, name: string, destination: string): boolean {
  return (documents(basis.Mounts) ?? []).some(
    (mount) =>
      mount.Type === 'volume' &&
      name !== '' &&
      mount.Name === name &&
      (mount.Destination === destination || `${mount.Destination}/` === destination),
  );
}
