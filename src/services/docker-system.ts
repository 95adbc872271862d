import type { DockerConnection, EngineTimeouts } from './docker-connection.ts';
import * as shapes from './docker-shapes.ts';
import { readOne } from './docker-shapes.ts';

/** What the port asks of the engine as a whole. */
export function systemCalls({ request, stream }: DockerConnection, timeouts: EngineTimeouts) {
  const list = { method: 'GET', timeout: timeouts.list } as const;
  return {
    /** Asks whether the engine answers at all; own connection, 2 s. */
    ping: (signal?: AbortSignal) =>
      request<unknown>({ method: 'GET', path: '/_ping', timeout: timeouts.ping, signal }, 'pings'),

    /** The engine's name and versions. */
    version: async (signal?: AbortSignal) =>
      readOne(shapes.version, await request<unknown>({ ...list, path: '/version', signal }, 'lists')),

    /** The machine that the engine runs on: its name, processors and memory. */
    info: async (signal?: AbortSignal) =>
      readOne(shapes.info, await request<unknown>({ ...list, path: '/info', signal }, 'lists')),

    /** The engine's events of containers, images and networks, each a JSON object on a line of its own. */
    events: (signal: AbortSignal) =>
      stream(
        {
          ...list,
          path: '/events',
          query: { filters: JSON.stringify({ type: ['container', 'image', 'network'] }) },
          signal,
        },
        'events',
      ),
  };
}
