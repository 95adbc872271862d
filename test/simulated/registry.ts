import { EngineError } from './errors.ts';
import { digestOf, randomDigest } from './ids.ts';
import type { ImageSpec, Layer } from './images.ts';
import { type ImageReference, parseReference, toFamiliar } from './references.ts';

/** Who may pull a repository. */
export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
  /** What a client may send instead of the password; default none is accepted. */
  readonly identityToken?: string;
}

/** An image as a registry has it; without `layers` it has `layerCount` (3) of `layerBytes` (8,000,000) each. */
export interface PublishedSpec extends Omit<ImageSpec, 'tags' | 'digests'> {
  /** The latest publication decides for the whole repository; none opens it. */
  readonly auth?: RegistryLogin;
  readonly layerCount?: number;
  readonly layerBytes?: number;
}

/** What a registry has for a tag: its manifest's digest, and the image behind it. */
export interface Publication {
  /** As engines write it: `lab/web:1`. */
  readonly reference: string;
  readonly id: string;
  readonly digest: string;
  readonly layers: readonly Layer[];
  readonly spec: ImageSpec;
}

/** How a registry's host answers: at all, refusing connections, or never in time. */
export type RegistryState = 'up' | 'refused' | 'timeout';

/** What a client shows; none of them is a stranger. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
  readonly identityToken: string;
}

/** What a registry says: the image, that there is no such tag, that the login is wrong, or that it was never told of it. */
export type Lookup = Publication | 'missing' | 'denied' | 'unknown';

/** The registries that the engine can reach. */
export type Registry = ReturnType<typeof createRegistry>;

interface Repository {
  readonly tags: Map<string, Publication>;
  readonly byDigest: Map<string, Publication>;
  login: RegistryLogin | null;
}

const HUB_URL = 'https://registry-1.docker.io';

/** Creates registries that have nothing. */
export function createRegistry() {
  const repositories = new Map<string, Repository>();
  const states = new Map<string, RegistryState>();

  /** Puts an image behind a tag; whoever has an older one of it sees an update. */
  function publish(reference: string, { auth, ...spec }: PublishedSpec): Publication {
    const parsed = parseReference(reference);
    const repository = repositories.get(parsed.name) ?? { tags: new Map(), byDigest: new Map(), login: null };
    repositories.set(parsed.name, repository);
    repository.login = auth ?? null;
    const publication = toPublication(parsed, spec, findById(spec.id)?.digest);
    repository.tags.set(parsed.tag, publication);
    repository.byDigest.set(publication.digest, publication);
    return publication;
  }

  /** One image has one digest, whatever it is called. */
  function findById(id: string | undefined): Publication | undefined {
    const all = [...repositories.values()].flatMap(({ byDigest }) => [...byDigest.values()]);
    return all.find((publication) => publication.id === id);
  }

  /** Takes a tag away; what it meant can still be had by its digest. */
  function unpublish(reference: string): void {
    const { name, tag } = parseReference(reference);
    repositories.get(name)?.tags.delete(tag);
  }

  /** Looks a reference up as an engine does: reach the host, log in, find the manifest. Throws what needs no answer of it. */
  function look(reference: ImageReference, credentials: Credentials | null): Lookup {
    refuseUnreachable(reference.host);
    const repository = repositories.get(reference.name);
    if (!repository) return 'unknown';
    if (repository.login && !hasLogin(repository.login, credentials)) {
      if (!credentials?.username) throw noCredentials(reference);
      return 'denied';
    }
    const { tag, digest } = reference;
    return (digest ? repository.byDigest.get(digest) : repository.tags.get(tag)) ?? 'missing';
  }

  function get(reference: string): Publication {
    const { name, tag } = parseReference(reference);
    const found = repositories.get(name)?.tags.get(tag);
    if (!found) throw new EngineError(404, `nothing was published as ${reference}`);
    return found;
  }

  function refuseUnreachable(host: string): void {
    const state = states.get(host);
    if (state === 'refused') throw refused(host);
    if (state === 'timeout') {
      throw new EngineError(500, `Get "https://${toHostName(host)}/v2/": context deadline exceeded`);
    }
  }

  return {
    publish,
    unpublish,
    look,
    get,
    /** An image that no registry was told of, as one would have it. */
    makeUp: (reference: ImageReference, id: string) => toPublication(reference, { id }),
    setState: (host: string, state: RegistryState) => void states.set(host, state),
  };
}

function toPublication(reference: ImageReference, spec: Omit<PublishedSpec, 'auth'>, digest?: string): Publication {
  const { layerCount, layerBytes, ...image } = spec;
  const id = spec.id ?? randomDigest();
  const layers = spec.layers ?? toLayers(reference.name, id, layerCount, layerBytes);
  const size = spec.size ?? layers.reduce((sum, layer) => sum + layer.size, 0);
  return {
    reference: toFamiliar(reference),
    id,
    digest: digest ?? randomDigest(),
    layers,
    spec: { ...image, id, size, layers },
  };
}

/** The newest first. The lowest one of several is the repository's own: it stays from one image to the next. */
function toLayers(name: string, id: string, count = 3, size = 8_000_000): Layer[] {
  return Array.from({ length: count }, (_, index) => {
    const owner = index === count - 1 && count > 1 ? name : id;
    return {
      createdBy: `layer ${count - index}`,
      size,
      digest: digestOf(`${owner}/${index === count - 1 ? 'base' : index}`),
    };
  });
}

function hasLogin({ username, password, identityToken }: RegistryLogin, shown: Credentials | null): boolean {
  if (identityToken !== undefined && shown?.identityToken === identityToken) return true;
  return shown?.username === username && shown.password === password;
}

function noCredentials({ host, path, tag, digest }: ImageReference): EngineError {
  const url = host === 'docker.io' ? HUB_URL : `http://${host}`;
  return new EngineError(500, `Head "${url}/v2/${path}/manifests/${digest || tag}": no basic auth credentials`);
}

/** What an engine says when nothing listens at a registry's host. */
export function refused(host: string): EngineError {
  const name = toHostName(host);
  const url = host === 'docker.io' ? HUB_URL : `http://${host}`;
  return new EngineError(500, `Get "${url}/v2/": dial tcp ${name}: connect: connection refused`);
}

function toHostName(host: string): string {
  return host === 'docker.io' ? 'registry-1.docker.io' : host;
}

/** Reads `X-Registry-Auth`; what cannot be read counts as none, as it does for engines. */
export function parseCredentials(header: string): Credentials | null {
  if (!header) return null;
  try {
    const read: unknown = JSON.parse(Buffer.from(header, 'base64url').toString());
    if (typeof read !== 'object' || read === null) return null;
    const field = (name: string) => String(Reflect.get(read, name) ?? '');
    return { username: field('username'), password: field('password'), identityToken: field('identitytoken') };
  } catch {
    return null;
  }
}
