import { toDocument, toList, toRecord } from './docker-answers.ts';
import type { DockerConnection, EngineTimeouts } from './docker-connection.ts';
import { checkImageRef } from './docker-gate.ts';
import * as shapes from './docker-shapes.ts';
import { readOne } from './docker-shapes.ts';
import type { Reference } from './references.ts';

/** What the port asks of the engine about images, and does to them. */
export function imageCalls({ request, stream }: DockerConnection, timeouts: EngineTimeouts) {
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

    /** Everything the engine knows of one image, with all that is not known here. */
    imageDocument: async (ref: string, name = ref, signal?: AbortSignal) =>
      toDocument(
        await request<unknown>({
          ...list,
          path: `/images/${imageSegment(ref)}/json`,
          subject: `Image ${name}`,
          signal,
        }),
      ),

    /**
     * Lets the engine pull a reference; gives its messages, each a JSON object on a line of its own. The engine stops
     * when the signal aborts. Registries are told who asks by `auth`, see credentials.ts.
     */
    pullImage: (reference: Reference, auth: Record<string, string>, platform: string | null, signal: AbortSignal) =>
      stream({
        method: 'POST',
        path: '/images/create',
        query: {
          fromImage: checkImageRef(reference.name),
          tag: reference.digest ?? reference.tag ?? 'latest',
          ...(platform && { platform }),
        },
        headers: auth,
        subject: `Image ${reference.text}`,
        timeout: timeouts.pull,
        signal,
      }),

    /** Lets a tag mean an image. */
    tagImage: (id: string, reference: Reference) =>
      request<void>(
        {
          method: 'POST',
          path: `/images/${imageSegment(id)}/tag`,
          query: { repo: checkImageRef(reference.name), tag: reference.tag ?? 'latest' },
          subject: `Image ${id}`,
          timeout: timeouts.action,
        },
        'actions',
      ),

    /** Lets the engine ask the registry of a reference which digest it has there. Podman can't. */
    registryDigest: async (reference: Reference, auth: Record<string, string>, signal?: AbortSignal) => {
      const answer = toRecord(
        shapes.distribution,
        await request<unknown>({
          method: 'GET',
          path: `/distribution/${imageSegment(reference.text)}/json`,
          headers: auth,
          subject: `Image ${reference.text}`,
          timeout: timeouts.registry,
          signal,
        }),
      );
      return answer.Descriptor?.digest ?? '';
    },

    /** Removes all images without a tag that no container uses; with `unused` all that no container uses. */
    pruneImages: async (unused: boolean, signal?: AbortSignal) =>
      readOne(
        shapes.pruned,
        await request<unknown>(
          {
            method: 'POST',
            path: '/images/prune',
            query: { filters: JSON.stringify({ dangling: [String(!unused)] }) },
            timeout: timeouts.prune,
            signal,
          },
          'actions',
        ),
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
