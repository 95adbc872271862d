import { nowNanos, toNanos } from './clock.ts';
import type { ContainerState } from './container-spec.ts';
import { EngineError } from './errors.ts';
import type { EventLog } from './events.ts';
import type { Flavour } from './flavours.ts';
import { randomDigest, repositoryOf, shortId, withTag } from './ids.ts';

/** One step of an image's history, the newest first. */
export interface Layer {
  readonly createdBy: string;
  readonly size: number;
  readonly created?: Date | number;
  readonly comment?: string;
}

/** An image as a test or the demo describes it. */
export interface ImageSpec {
  /** None makes it dangling. */
  readonly tags?: readonly string[];
  readonly id?: string;
  readonly size?: number;
  readonly created?: Date | number;
  readonly labels?: Readonly<Record<string, string>>;
  /** The id of the image it was built from. */
  readonly parent?: string;
  /** Without the image's own id: `lab/web@sha256:…`; default none. */
  readonly digests?: readonly string[];
  readonly layers?: readonly Layer[];
  readonly env?: readonly string[];
  readonly command?: readonly string[];
  readonly exposed?: readonly string[];
}

/** An image of the simulated engine. */
export interface SimulatedImage {
  readonly id: string;
  tags: string[];
  digests: string[];
  readonly size: number;
  readonly created: bigint;
  readonly labels: Record<string, string>;
  readonly parent: string;
  readonly layers: readonly Layer[];
  readonly env: readonly string[];
  readonly command: readonly string[];
  readonly exposed: readonly string[];
  taggedAt: bigint | null;
}

/** A container, as far as an image's removal asks. */
export interface ImageUser {
  readonly id: string;
  readonly imageId: string;
  readonly state: ContainerState;
}

/** One item of the answer to a removal. */
export type Removal = { Untagged: string } | { Deleted: string };

/** The images and what can happen to them. */
export type Images = ReturnType<typeof createImages>;

/** Creates an empty image store; `users` are the engine's containers. */
export function createImages(events: EventLog, flavour: Flavour, users: () => Iterable<ImageUser>) {
  const byId = new Map<string, SimulatedImage>();
  const byTag = new Map<string, SimulatedImage>();

  function tell(image: SimulatedImage, action: string, name: string): void {
    events.emit({ type: 'image', action, id: image.id, attributes: { ...image.labels, name } });
  }

  function find(reference: string): SimulatedImage | undefined {
    return byId.get(reference) ?? byTag.get(toKey(reference)) ?? findByDigest(reference) ?? findByPrefix(reference);
  }

  function findByDigest(reference: string): SimulatedImage | undefined {
    if (!reference.includes('@')) return undefined;
    return [...byId.values()].find((image) => image.digests.includes(reference));
  }

  function findByPrefix(reference: string): SimulatedImage | undefined {
    if (!isIdPrefix(reference)) return undefined;
    const prefix = reference.replace(/^sha256:/, '');
    const found = [...byId.values()].filter((image) => image.id.startsWith(`sha256:${prefix}`));
    return found.length === 1 ? found[0] : undefined;
  }

  function get(reference: string): SimulatedImage {
    const image = find(reference);
    if (!image) throw noSuchImage(reference);
    return image;
  }

  function noSuchImage(reference: string): EngineError {
    if (!flavour.isPodman) return new EngineError(404, `No such image: ${withTag(reference)}`);
    const text = `failed to find image ${reference}: docker.io/${reference}: No such image`;
    return new EngineError(404, text);
  }

  function toKey(reference: string): string {
    return withTag(reference.replace(/^docker\.io\/(library\/)?/, ''));
  }

  function add(spec: ImageSpec): SimulatedImage {
    const size = spec.size ?? 2_000_000;
    const image: SimulatedImage = {
      id: spec.id ?? randomDigest(),
      tags: [],
      digests: [...(spec.digests ?? [])],
      size,
      created: spec.created === undefined ? nowNanos() : toNanos(spec.created),
      labels: { ...spec.labels },
      parent: spec.parent ?? '',
      layers: spec.layers ?? [{ createdBy: '', size, comment: 'Imported from -' }],
      env: spec.env ?? ['PATH=/bin:/usr/bin'],
      command: spec.command ?? ['sh'],
      exposed: spec.exposed ?? [],
      taggedAt: null,
    };
    byId.set(image.id, image);
    for (const reference of spec.tags ?? []) tag(image, reference);
    return image;
  }

  /** Gives an image a name; whoever had it before loses it, and dangles when it was the last one. */
  function tag(image: SimulatedImage, reference: string): void {
    const key = toKey(reference);
    const before = byTag.get(key);
    if (before === image) return;
    if (before) before.tags = before.tags.filter((name) => name !== key);
    byTag.set(key, image);
    image.tags = [...image.tags, key];
    image.taggedAt = nowNanos();
    tell(image, 'tag', key);
  }

  function untag(image: SimulatedImage, reference: string): Removal {
    const key = toKey(reference);
    byTag.delete(key);
    image.tags = image.tags.filter((name) => name !== key);
    tell(image, 'untag', image.id);
    return { Untagged: key };
  }

  /** Removes a name, and the image with its last one; or an image by its id. Docker's own order of checks. */
  function remove(reference: string, force: boolean): Removal[] {
    const image = get(reference);
    if (isIdPrefix(reference) && !byTag.has(toKey(reference))) return removeById(image, force);
    return removeByName(image, reference, force);
  }

  function removeByName(image: SimulatedImage, reference: string, force: boolean): Removal[] {
    const user = userOf(image);
    if (!force && user && image.tags.length === 1) throw usedByName(image, reference, user);
    const removals = [untag(image, reference)];
    if (image.tags.length > 0) return removals;
    return [...removals, ...deleteUnlessUsed(image, force)];
  }

  function usedByName(image: SimulatedImage, reference: string, user: ImageUser): EngineError {
    const what = `conflict: unable to remove repository reference "${reference}" (must force)`;
    const why = `container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`;
    return new EngineError(409, `${what} - ${why}`);
  }

  /** After the last name is gone: an image in use or with children stays, dangling. */
  function deleteUnlessUsed(image: SimulatedImage, force: boolean): Removal[] {
    const conflict = conflictOf(image, force);
    if (conflict) return [];
    return deleteImage(image);
  }

  function removeById(image: SimulatedImage, force: boolean): Removal[] {
    const conflict = conflictOf(image, force);
    if (conflict) throw conflict;
    return deleteImage(image);
  }

  function conflictOf(image: SimulatedImage, force: boolean): EngineError | null {
    if (childrenOf(image).length > 0) return conflict(image, 'cannot be forced', 'image has dependent child images');
    const running = userOf(
      image,
      (user) => user.state === 'running' || user.state === 'paused' || user.state === 'restarting',
    );
    if (running)
      return conflict(image, 'cannot be forced', `image is being used by running container ${shortId(running.id)}`);
    if (force) return null;
    const stopped = userOf(image);
    if (stopped)
      return conflict(image, 'must be forced', `image is being used by stopped container ${shortId(stopped.id)}`);
    const isInSeveral = new Set(image.tags.map(repositoryOf)).size > 1 || image.tags.length > 1;
    return isInSeveral ? conflict(image, 'must be forced', 'image is referenced in multiple repositories') : null;
  }

  function conflict(image: SimulatedImage, how: string, why: string): EngineError {
    return new EngineError(409, `conflict: unable to delete ${shortId(image.id)} (${how}) - ${why}`);
  }

  function deleteImage(image: SimulatedImage): Removal[] {
    const untagged = [...image.tags].map((reference) => untag(image, reference));
    const digests = image.digests.map((digest) => ({ Untagged: digest }));
    byId.delete(image.id);
    tell(image, 'delete', image.id);
    return [...untagged, ...digests, { Deleted: image.id }, ...pruneParent(image)];
  }

  /** A parent without a name goes with its last child. */
  function pruneParent(image: SimulatedImage): Removal[] {
    const parent = byId.get(image.parent);
    if (!parent || parent.tags.length > 0) return [];
    return deleteUnlessUsed(parent, false);
  }

  function userOf(image: SimulatedImage, matches: (user: ImageUser) => boolean = () => true): ImageUser | undefined {
    for (const user of users()) if (user.imageId === image.id && matches(user)) return user;
    return undefined;
  }

  function childrenOf(image: SimulatedImage): SimulatedImage[] {
    return [...byId.values()].filter((other) => other.parent === image.id);
  }

  return {
    add,
    find,
    get,
    tag,
    tell,
    remove,
    childrenOf,
    all: () => byId.values(),
    ensure: (reference: string) => find(reference) ?? add({ tags: [reference] }),
    /** How many containers each image has, by its id. */
    countUsers(): Map<string, number> {
      const counts = new Map<string, number>();
      for (const { imageId } of users()) counts.set(imageId, (counts.get(imageId) ?? 0) + 1);
      return counts;
    },
  };
}

function isIdPrefix(reference: string): boolean {
  return /^(sha256:)?[0-9a-f]{1,64}$/.test(reference);
}
