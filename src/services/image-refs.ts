import { bareId, type Image } from './images.ts';

/** What a reference is to an image: one of its tags or digests as the engine has them, or its id. */
export type ImageName = { kind: 'tag' | 'digest'; text: string } | { kind: 'id'; text: string };

const idPattern = /^(sha256:)?[0-9a-f]{12,64}$/;

/** Whether a reference may be the start of an id: engines also resolve shorter ones, which name by accident. */
export const isIdLike = (ref: string): boolean => idPattern.test(ref);

/**
 * What a reference names an image by; undefined where it does not. A tag wins over an id that begins alike, and comes
 * back with its version: engines take a bare `cafe` for the id of the image cafe1… and remove all of its tags.
 */
export function nameOf(image: Pick<Image, 'id' | 'tags' | 'repoDigests'>, ref: string): ImageName | undefined {
  const tag = image.tags.find((tag) => tag === ref) ?? image.tags.find((tag) => withTag(tag) === withTag(ref));
  if (tag !== undefined) return { kind: 'tag', text: tag };
  const digest = image.repoDigests.find((digest) => withoutTag(digest) === withoutTag(ref));
  if (digest !== undefined) return { kind: 'digest', text: digest };
  return isIdLike(ref) && bareId(image.id).startsWith(bareId(ref)) ? { kind: 'id', text: image.id } : undefined;
}

/** Podman writes registries out that Docker leaves away. */
const short = (ref: string) => ref.replace(/^(localhost\/|docker\.io\/(library\/)?)/, '');

function withTag(ref: string): string {
  const name = short(ref);
  return /:[^/]*$/.test(name) ? name : `${name}:latest`;
}

/** `name@sha256:…` of `name:tag@sha256:…`, of which the digest alone counts. */
const withoutTag = (ref: string) => short(ref).replace(/:[^/@]+(?=@)/, '');
