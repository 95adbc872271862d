import { toList, toRecord } from './docker-answers.ts';
import type { DockerConnection, EngineTimeouts } from './docker-connection.ts';
import { checkContainerRef } from './docker-gate.ts';
import * as shapes from './docker-shapes.ts';

/** What can be done to a container by a button. */
export const containerActions = ['start', 'stop', 'restart', 'pause', 'unpause', 'kill', 'remove'] as const;
export type ContainerAction = (typeof containerActions)[number];

/** A removal's choices: also a running one; its anonymous volumes as well. */
export type RemoveChoices = { force?: boolean; volumes?: boolean };

/** What a log request asks the engine for; times in seconds since 1970 with nine decimals, as the engine reads them. */
export type LogRequest = {
  follow: boolean;
  tail?: number | undefined;
  since?: string | undefined;
  until?: string | undefined;
};

/** What the port asks of the engine about containers, and does to them. */
export function containerCalls({ request, stream }: DockerConnection, timeouts: EngineTimeouts) {
  const list = { method: 'GET', timeout: timeouts.list } as const;
  return {
    /** All containers, or only those with the given full ids, as the list call gives them. */
    listContainers: async (ids?: readonly string[], signal?: AbortSignal) =>
      toList(
        shapes.container,
        await request<unknown>(
          {
            ...list,
            path: '/containers/json',
            query: { all: '1', ...(ids && { filters: JSON.stringify({ id: ids }) }) },
            signal,
          },
          'lists',
        ),
      ),

    /** Everything the engine knows of one container. */
    inspectContainer: async (ref: string, signal?: AbortSignal) =>
      toRecord(
        shapes.containerDetail,
        await request<unknown>({
          ...list,
          path: `/containers/${containerSegment(ref)}/json`,
          subject: `Container ${ref}`,
          signal,
        }),
      ),

    /**
     * Does one thing to one container and waits until it is done, 60 s at most; errors call it by `name`.
     * Already started or already stopped (304) counts as done.
     */
    actOnContainer: async (ref: string, action: ContainerAction, name = ref, choices: RemoveChoices = {}) => {
      const path = `/containers/${containerSegment(ref)}`;
      const common = { timeout: timeouts.action, subject: `Container ${name}` };
      if (action !== 'remove')
        return request<void>({ ...common, method: 'POST', path: `${path}/${action}` }, 'actions');
      const query = { force: String(choices.force ?? false), v: String(choices.volumes ?? false) };
      return request<void>({ ...common, method: 'DELETE', path, query }, 'actions');
    },

    /**
     * One sample of a container's figures. `oneShot` is answered in 4-10 ms on 26 and later and leaves `precpu_stats`
     * empty; 20.10 takes up to 1 s either way.
     */
    containerStats: async (id: string, signal?: AbortSignal) =>
      toRecord(
        shapes.stats,
        await request<unknown>({
          ...list,
          path: `/containers/${containerSegment(id)}/stats`,
          query: { stream: '0', 'one-shot': '1' },
          subject: `Container ${id}`,
          signal,
        }),
      ),

    /** A stream of samples, one a second on Docker, each a JSON object on a line of its own. */
    followStats: (id: string, signal: AbortSignal) =>
      stream({
        ...list,
        path: `/containers/${containerSegment(id)}/stats`,
        query: { stream: '1' },
        subject: `Container ${id}`,
        signal,
      }),

    /** A container's log with timestamps: 8-byte framed, raw where it has a TTY. Ends by itself unless followed. */
    containerLogs: (ref: string, wanted: LogRequest, signal: AbortSignal) =>
      stream({
        ...list,
        path: `/containers/${containerSegment(ref)}/logs`,
        query: {
          stdout: '1',
          stderr: '1',
          timestamps: '1',
          follow: wanted.follow ? '1' : '0',
          ...(wanted.tail !== undefined && { tail: String(wanted.tail) }),
          ...(wanted.since !== undefined && { since: wanted.since }),
          ...(wanted.until !== undefined && { until: wanted.until }),
        },
        subject: `Container ${ref}`,
        signal,
      }),
  };
}

const containerSegment = (ref: string) => encodeURIComponent(checkContainerRef(ref));
