import { createHash, randomBytes } from 'node:crypto';

/** A container, network or layer id: 64 hex digits. */
export function randomId(): string {
  return randomBytes(32).toString('hex');
}

/** An image id or a digest. */
export function randomDigest(): string {
  return `sha256:${randomId()}`;
}

/** The digest of a text: the same one each time. */
export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** The twelve digits Docker shows in its messages. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}

/** `busybox` means `busybox:latest`; a reference with a tag or digest stays as it is. */
export function withTag(reference: string): string {
  const afterSlash = reference.slice(reference.lastIndexOf('/') + 1);
  return afterSlash.includes(':') || afterSlash.includes('@') ? reference : `${reference}:latest`;
}

/** The repository of a reference: `lab/web:1` gives `lab/web`. */
export function repositoryOf(reference: string): string {
  const name = reference.replace(/@.*$/, '');
  const colon = name.indexOf(':', name.lastIndexOf('/') + 1);
  return colon < 0 ? name : name.slice(0, colon);
}
