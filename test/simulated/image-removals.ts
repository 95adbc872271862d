import type { ContainerState } from './container-spec.ts';
import { EngineError } from './errors.ts';
import { repositoryOf, shortId } from './ids.ts';
import { type Images, isIdPrefix, type SimulatedImage } from './images.ts';

/** A container, as far as an image's removal asks. */
export interface ImageUser {
  readonly id: string;
  readonly imageId: string;
  readonly state: ContainerState;
}

/** One item of the answer to a removal. */
export type Removal = { Untagged: string } | { Deleted: string };

/** What a removal of many did. */
export interface Pruning {
  readonly removals: Removal[];
  readonly bytes: number;
}

/** How images go. */
export type ImageRemovals = ReturnType<typeof createImageRemovals>;

/** Creates the rules of removal for an image store; `users` are the engine's containers. */
export function createImageRemovals(images: Images, users: () => Iterable<ImageUser>) {
  /** Removes a name, and the image with its last one; or an image by its id. Docker's own order of checks. */
  function remove(reference: string, force: boolean): Removal[] {
    const image = images.get(reference);
    if (isIdPrefix(reference) && !images.isTag(reference)) return removeById(image, force);
    return removeByName(image, reference, force);
  }

  function removeByName(image: SimulatedImage, reference: string, force: boolean): Removal[] {
    const user = userOf(image);
    if (!force && user && image.tags.length === 1) throw usedByName(image, reference, user);
    const removals = [untag(image, reference)];
    if (image.tags.length > 0) return removals;
    return [...removals, ...deleteUnlessUsed(image, force)];
  }

  function untag(image: SimulatedImage, reference: string): Removal {
    return { Untagged: images.untag(image, reference) };
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
    if (images.childrenOf(image).length > 0) {
      return conflict(image, 'cannot be forced', 'image has dependent child images');
    }
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
    images.delete(image);
    return [...untagged, ...digests, { Deleted: image.id }, ...pruneParent(image)];
  }

  /** A parent without a name goes with its last child. */
  function pruneParent(image: SimulatedImage): Removal[] {
    const parent = images.find(image.parent);
    if (!parent || parent.tags.length > 0) return [];
    return deleteUnlessUsed(parent, false);
  }

  function userOf(image: SimulatedImage, matches: (user: ImageUser) => boolean = () => true): ImageUser | undefined {
    for (const user of users()) if (user.imageId === image.id && matches(user)) return user;
    return undefined;
  }

  /** Removes what no container uses: images without a name, or all of them. */
  function prune(isDanglingOnly: boolean): Pruning {
    const heads = [...images.all()].filter((image) => !userOf(image) && images.childrenOf(image).length === 0);
    const chosen = heads.filter(({ tags }) => !isDanglingOnly || tags.length === 0);
    const bytes = chosen.reduce((sum, { size }) => sum + size, 0);
    return { removals: chosen.flatMap(deleteImage), bytes };
  }

  return {
    remove,
    prune,
    /** How many containers each image has, by its id. */
    countUsers(): Map<string, number> {
      const counts = new Map<string, number>();
      for (const { imageId } of users()) counts.set(imageId, (counts.get(imageId) ?? 0) + 1);
      return counts;
    },
  };
}
