import type { CreateRules } from './create-gate.ts';
import { toDocument, toList, toRecord } from './docker-answers.ts';
import type { DockerConnection, EngineTimeouts } from './docker-connection.ts';
import { checkContainerRef, checkNetworkRef } from './docker-gate.ts';
import * as shapes from './docker-shapes.ts';
import type { Document } from './own-settings.ts';
import type { Recreation } from './recreation.ts';

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
     * Does one thing to one container and waits until it is done, 60 s at most and `graceMs` more; errors call it by
     * `name`. Already started or already stopped (304) counts as done.
     */
    actOnContainer: async (
      ref: string,
      action: ContainerAction,
      name = ref,
      { graceMs = 0, ...choices }: RemoveChoices & { graceMs?: number } = {},
    ) => {
      const path = `/containers/${containerSegment(ref)}`;
      const common = { timeout: timeouts.action + graceMs, subject: `Container ${name}` };
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

    /** Everything the engine knows of one container, with all that is not known here; errors call it by `name`. */
    containerDocument: async (ref: string, name = ref, signal?: AbortSignal) =>
      toDocument(
        await request<unknown>({
          ...list,
          path: `/containers/${containerSegment(ref)}/json`,
          subject: `Container ${name}`,
          isExact: true,
          signal,
        }),
      ),

    /**
     * Creates a container in the place of another one, and gives its full id.
     * @throws Problem `forbidden` where it asks for more than `rules.basis` has, before anything is sent
     */
    createContainer: async (name: string, { body, platform }: Recreation, rules: CreateRules) => {
      const created = toRecord(
        shapes.created,
        await request<unknown>(
          {
            method: 'POST',
            path: '/containers/create',
            query: { name: checkContainerRef(name), ...(platform && { platform }) },
            body,
            rules,
            subject: `Container ${name}`,
            timeout: timeouts.action,
          },
          'actions',
        ),
      );
      return checkContainerRef(created.Id);
    },

    /** Gives a container another name; errors call it by its present one. */
    renameContainer: (ref: string, to: string, name = ref) =>
      request<void>(
        {
          method: 'POST',
          path: `/containers/${containerSegment(ref)}/rename`,
          query: { name: checkContainerRef(to) },
          subject: `Container ${name}`,
          timeout: timeouts.action,
        },
        'actions',
      ),

    /** Connects a container to a network, with addresses and aliases of its own. */
    connectNetwork: (network: string, container: string, endpoint: Document) =>
      request<void>(
        {
          method: 'POST',
          path: `/networks/${encodeURIComponent(checkNetworkRef(network))}/connect`,
          body: { Container: checkContainerRef(container), EndpointConfig: endpoint },
          subject: `Network ${network}`,
          timeout: timeouts.action,
        },
        'actions',
      ),

    /** Takes a container out of a network. */
    disconnectNetwork: (network: string, container: string) =>
      request<void>(
        {
          method: 'POST',
          path: `/networks/${encodeURIComponent(checkNetworkRef(network))}/disconnect`,
          body: { Container: checkContainerRef(container) },
          subject: `Network ${network}`,
          timeout: timeouts.action,
        },
        'actions',
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
