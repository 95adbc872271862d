import { toRecord } from './docker-answers.ts';
import type { DockerConnection, EngineTimeouts } from './docker-connection.ts';
import * as shapes from './docker-shapes.ts';
import { readOne } from './docker-shapes.ts';

const eventTypes = ['container', 'image', 'network', 'volume', 'daemon'];

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

    /** What is on the disk; takes seconds to minutes on large engines, 2 min at most. It waits among the actions. */
    diskUsage: async (signal?: AbortSignal) =>
      toRecord(
        shapes.diskUsage,
        await request<unknown>({ method: 'GET', path: '/system/df', timeout: timeouts.usage, signal }, 'actions'),
      ),

    /**
     * The engine's events, each a JSON object on a line of its own: those since a moment (`seconds.nanoseconds`) that it
     * still has, then all that come.
     */
    events: (signal: AbortSignal, since?: string) =>
      stream(
        {
          ...list,
          path: '/events',
          query: { filters: JSON.stringify({ type: eventTypes }), ...(since !== undefined && { since }) },
          signal,
        },
        'events',
      ),
  };
}
