import { toList, toRecord } from './docker-answers.ts';
import type { DockerConnection, EngineTimeouts } from './docker-connection.ts';
import { checkImageRef } from './docker-gate.ts';
import * as shapes from './docker-shapes.ts';

/** What the port asks of the engine about images, and does to them. */
export function imageCalls({ request }: DockerConnection, timeouts: EngineTimeouts) {
  const list = { method: 'GET', timeout: timeouts.list } as const;
  return {
    /** All images but intermediate layers. */
    listImages: async (signal?: AbortSignal) =>
      toList(shapes.image, await request<unknown>({ ...list, path: '/images/json', signal }, 'lists')),

    /** Everything the engine knows of one image. */
    inspectImage: async (ref: string, name = ref, signal?: AbortSignal) =>
      toRecord(
        shapes.imageDetail,
        await request<unknown>({
          ...list,
          path: `/images/${imageSegment(ref)}/json`,
          subject: `Image ${name}`,
          signal,
        }),
      ),

    /** The layers of an image, newest first. */
    imageHistory: async (ref: string, name = ref, signal?: AbortSignal) =>
      toList(
        shapes.historyItem,
        await request<unknown>({
          ...list,
          path: `/images/${imageSegment(ref)}/history`,
          subject: `Image ${name}`,
          signal,
        }),
      ),

    /** Removes an image's tag, or the image with its last tag; `force` also where it has several or is in use. */
    removeImage: (ref: string, force: boolean, name = ref) =>
      request<void>(
        {
          method: 'DELETE',
          path: `/images/${imageSegment(ref)}`,
          query: { force: String(force) },
          subject: `Image ${name}`,
          timeout: timeouts.action,
        },
        'actions',
      ),
  };
}

const imageSegment = (ref: string) => encodeURIComponent(checkImageRef(ref));
