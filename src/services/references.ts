import { Problem } from '../errors.ts';

/** A reference to an image in a registry, in its parts. */
export type Reference = {
  /** As it was written, with `:latest` where neither tag nor digest was. */
  text: string;
  /** Registry and path as they were written: what stands before tag and digest. */
  name: string;
  /** The registry's host with its port; `docker.io` where none was written. */
  registry: string;
  tag: string | null;
  /** `sha256:…`; what is pulled by it never changes. */
  digest: string | null;
  /** The same for every way to write the same: with its registry, and the folder of docker.io's own images. */
  canonical: string;
};

/** The registry of references that name none. */
export const defaultRegistry = 'docker.io';

const maxLength = 255;
const allowed = 'a reference such as "nginx:1.27" or "registry.example:5000/team/app:2", at most 255 characters';

const hostPattern = /^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*(:\d{1,5})?$/;
const stepPattern = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$/;
/** Engines take such a name for an id. */
const idPattern = /^[0-9a-f]{64}$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

/**
 * Reads a reference by the grammar that registries and engines share (github.com/distribution/reference).
 * @throws Problem `invalid` that names the field
 */
export function parseReference(text: string, field = 'reference'): Reference {
  const [named = '', digest = null, ...more] = text.trim().split('@');
  const tagAt = named.indexOf(':', named.lastIndexOf('/') + 1);
  const name = tagAt < 0 ? named : named.slice(0, tagAt);
  const tag = tagAt < 0 ? null : named.slice(tagAt + 1);
  const isRight =
    more.length === 0 &&
    isName(name) &&
    !idPattern.test(name) &&
    name !== 'sha256' &&
    (tag === null || tagPattern.test(tag)) &&
    (digest === null || digestPattern.test(digest));
  if (!isRight) throw new Problem('invalid', `${field}: must be ${allowed}.`);
  const shown = tag === null && digest === null ? 'latest' : tag;
  const version = `${shown === null ? '' : `:${shown}`}${digest === null ? '' : `@${digest}`}`;
  const whole = name + version;
  // Engines would take a longer one; what names an image here is of this length at most.
  if (whole.length > maxLength) throw new Problem('invalid', `${field}: must be ${allowed}.`);
  return {
    text: whole,
    name,
    registry: registryOf(name),
    tag: shown,
    digest,
    canonical: `${canonicalName(name)}${version}`,
  };
}

/** A reference's parts, or nothing where the text is none: what engines tell of images is not always one. */
export function readReference(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}

function isName(name: string): boolean {
  const steps = name.split('/');
  const path = hasHost(steps) ? steps.slice(1) : steps;
  return path.length > 0 && path.every((step) => stepPattern.test(step));
}

function registryOf(name: string): string {
  const steps = name.split('/');
  const host = hasHost(steps) ? (steps[0] ?? '') : defaultRegistry;
  return host === 'index.docker.io' ? defaultRegistry : host;
}

function canonicalName(name: string): string {
  const steps = name.split('/');
  const path = hasHost(steps) ? steps.slice(1) : steps;
  const registry = registryOf(name);
  const isOfficial = registry === defaultRegistry && path.length === 1;
  return [registry, ...(isOfficial ? ['library'] : []), ...path].join('/');
}

/** A first step is a host only where it can be told from a path: by a dot, a port, capitals, or as `localhost`. */
function hasHost([first = '', ...rest]: readonly string[]): boolean {
  const looksLikeHost = /[.:A-Z]/.test(first) || first === 'localhost';
  return rest.length > 0 && looksLikeHost && hostPattern.test(first);
}
