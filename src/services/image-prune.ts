import type { DockerPort } from './docker.ts';
import type { Inventory } from './inventory.ts';
import type { Operation } from './operation-types.ts';
import type { Operations } from './operations.ts';

/** Starts the removal of images that nobody uses: those without a tag, or with `unused` all that no container uses. */
export function pruneImages(
  parts: { docker: DockerPort; inventory: Inventory; operations: Operations },
  unused: boolean,
  actor: string,
): Promise<Operation> {
  const { docker, inventory, operations } = parts;
  const target = unused ? 'unused images' : 'dangling images';
  return operations.start(
    { kind: 'image_prune', target, actor, claims: ['images:prune'], canCancel: false },
    async (run) => {
      run.step('Remove the images');
      const { ImagesDeleted: items, SpaceReclaimed: bytes } = await docker.pruneImages(unused, run.closing);
      await inventory.refreshImages();
      const removed = (items ?? []).flatMap(({ Deleted: id }) => id ?? []);
      const untagged = (items ?? []).flatMap(({ Untagged: tag }) => tag ?? []);
      const results = untagged.map((tag) => ({ id: '', name: tag, ok: true, detail: 'removed' }));
      const message = removed.length > 0 ? `${removed.length} images and layers were removed.` : nothingRemoved;
      return { message, details: { results, freedBytes: bytes ?? 0 } };
    },
  );
}

const nothingRemoved = 'There was nothing to remove.';
