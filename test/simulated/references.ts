/** The parts of an image reference. */
export interface ImageReference {
  /** `docker.io` where the text names none. */
  readonly host: string;
  /** As the registry knows it: `library/nginx`, `lab/web`. */
  readonly path: string;
  /** As engines show it: `nginx`, `registry.example:5000/lab/web`. */
  readonly name: string;
  /** `latest` where the text names neither a tag nor a digest. */
  readonly tag: string;
  /** `sha256:…`; empty without one. */
  readonly digest: string;
}

const HUB = 'docker.io';

/**
 * Takes a reference apart as Docker does.
 * @example parseReference('nginx'); parseReference('127.0.0.1:5000/lab/web:1'); parseReference('lab/web@sha256:…')
 */
export function parseReference(text: string): ImageReference {
  const [named = '', digest = ''] = text.split('@');
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const repository = colon < 0 ? named : named.slice(0, colon);
  const tag = colon < 0 ? (digest ? '' : 'latest') : named.slice(colon + 1);
  return { ...splitHost(repository), tag, digest };
}

/** What stands before the first slash is a host when it looks like one. */
function splitHost(repository: string): Pick<ImageReference, 'host' | 'path' | 'name'> {
  const slash = repository.indexOf('/');
  const first = repository.slice(0, Math.max(0, slash));
  const isHost = /[.:]/.test(first) || first === 'localhost';
  const host = isHost ? first : HUB;
  const rest = isHost ? repository.slice(slash + 1) : repository;
  if (host !== HUB) return { host, path: rest, name: repository };
  const name = rest.replace(/^library\//, '');
  return { host, path: name.includes('/') ? name : `library/${name}`, name };
}

/** A reference in the one way engines write it: `docker.io/library/nginx` is `nginx:latest`. */
export function toFamiliar({ name, tag, digest }: ImageReference): string {
  return `${name}${tag ? `:${tag}` : ''}${digest ? `@${digest}` : ''}`;
}
