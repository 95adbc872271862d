import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { WebSocket } from 'ws';
import type { App, Deps } from '../deps.ts';
import { isProblem, Problem } from '../errors.ts';
import { openContainer, openContainerHead } from '../feeds/container.ts';
import { createRowCaches, type ListAudience, openContainerList } from '../feeds/containers.ts';
import { openEngine } from '../feeds/engine.ts';
import { openImage } from '../feeds/image.ts';
import { openImageList } from '../feeds/images.ts';
import { createBatchRenderer, openEndedLog, openLog } from '../feeds/logs.ts';
import { openOperation, openOperationList, openOperationsNow } from '../feeds/operations.ts';
import { openStats } from '../feeds/stats.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import type { Connection, Live, Subscription } from '../services/live.ts';
import { cursorBefore, parseLogTime } from '../services/log-cursor.ts';
import type { ViewContext } from '../views/models/context.ts';
import { checkSocketOrigin } from './guards.ts';
import { resolveContainer, viewContext } from './pages.ts';
import * as schemas from './schemas.ts';
import { renderCharts } from './stats.ts';

const maxTopics = 8;
const maxSockets = 2_000;
const maxSocketsPerClient = 50;
const heartbeatMs = 30_000;
const closeGraceMs = 1_000;

const LiveQuery = Type.Object({
  topic: Type.Union(
    [Type.String({ maxLength: 300 }), Type.Array(Type.String({ maxLength: 300 }), { maxItems: maxTopics })],
    {
      default: [],
    },
  ),
});

/** Who asks, and with what: everything that a topic is opened with. */
type Asked = { request: FastifyRequest; context: () => ViewContext; name: string };
type Topic = (asked: Asked) => Subscription | Promise<Subscription>;

/** The live socket: topics in its address, HTML in its frames. */
export function registerLive(app: App, deps: Deps): void {
  const rowCaches = createRowCaches(deps);
  const renderBatch = createBatchRenderer(deps.render);

  /**
   * The id that a topic names. One that is complete and not known is of a container that was removed while nobody
   * looked: its page is told so, since a refusal would let it ask for ever.
   */
  async function find(name: string): Promise<{ id: string; isGone: boolean }> {
    try {
      return { id: (await resolveContainer(deps, name, checkContainerRef)).id, isGone: false };
    } catch (error) {
      if (isProblem(error, 'not_found') && isFullId(name)) return { id: name, isGone: true };
      throw error;
    }
  }

  function listTopic(
    { context }: Asked,
    query: Static<typeof schemas.ListQuery>,
    around: ListAudience['around'],
  ): Subscription {
    const { host } = context();
    return {
      key: JSON.stringify(['containers', around, query, host]),
      open: openContainerList(deps, rowCaches, { query, host, around }, context),
    };
  }

  const topics: Record<string, Topic> = {
    containers: (asked) => listTopic(asked, parse(schemas.ListQuery, asked.request), 'list'),

    project(asked) {
      const { actions } = parse(schemas.ProjectTopicQuery, asked.request);
      return listTopic(asked, { q: '', state: '', project: asked.name, sort: '' }, actions ? 'project' : 'nothing');
    },

    images: ({ request, context }) => {
      const query = parse(schemas.ImageQuery, request);
      return { key: JSON.stringify(['images', query]), open: openImageList(deps, query, context) };
    },

    operations: ({ request, context }) => {
      const { state, before, limit } = parse(schemas.OperationQuery, request);
      return {
        key: JSON.stringify(['operations', state, before, limit]),
        open: openOperationList(deps, { state, before, limit }, context),
      };
    },

    operation: async ({ name, context }) => {
      const id = /^\d{1,15}$/.test(name) ? Number(name) : 0;
      if (!(await deps.operations.find(id))) throw new Problem('not_found', `Operation ${name.slice(0, 20)} not found`);
      return { key: `operation:${id}`, open: openOperation(deps, id, context) };
    },

    image: ({ name, context }) => {
      if (!isFullId(name)) throw new Problem('invalid', 'topic: image:<id> takes the 64 hex digits of its id.');
      const { host } = context();
      return { key: JSON.stringify(['image', name, host]), open: openImage(deps, `sha256:${name}`, context) };
    },

    container: async ({ name, context }) => {
      const { id } = await find(name);
      const { host } = context();
      return { key: JSON.stringify(['container', id, host]), open: openContainer(deps, id, context) };
    },

    head: async ({ name, context }) => {
      const { id } = await find(name);
      const { host } = context();
      return { key: JSON.stringify(['head', id, host]), open: openContainerHead(deps, id, context) };
    },

    stats: async ({ name, request, context }) => {
      const { id } = await find(name);
      const { range } = parse(schemas.StatsQuery, request);
      const render = () => renderCharts(deps, id, range, context());
      return { key: `stats:${id}:${range}`, open: openStats(deps, id, range !== '1h', render) };
    },

    logs: async ({ name, request }) => {
      const { id, isGone } = await find(name);
      const { tail, since, q, stream } = parse(schemas.LogQuery, request);
      if (isGone) return { key: null, open: openEndedLog(deps) };
      const wanted = {
        tail,
        since: since ? cursorBefore(parseLogTime('since', since)) : undefined,
        q: q || undefined,
        stream: stream === 'stdout' || stream === 'stderr' ? stream : undefined,
      } as const;
      return { key: null, open: openLog(deps, renderBatch, id, wanted) };
    },
  };

  async function subscribe(text: string, request: FastifyRequest): Promise<Subscription> {
    const [kind = '', ...rest] = text.split(':');
    const name = rest.join(':');
    const topic = Object.hasOwn(topics, kind) ? topics[kind] : undefined;
    const takesName = !['containers', 'images', 'operations'].includes(kind);
    if (!topic || takesName === (name === '')) {
      throw new Problem(
        'invalid',
        'topic: must be one of containers, images, image:<id>, container:<id>, head:<id>, project:<name>, stats:<id>, ' +
          'logs:<id>, operations, operation:<n>.',
      );
    }
    const host = request.hostname;
    const asked = { request, name, context: () => viewContext({ hostname: host }, deps) };
    return topic(asked);
  }

  /** What every page follows; the page of an operation tells that one itself. */
  function operationsNow(request: FastifyRequest, wanted: readonly string[]): Subscription {
    const own = wanted.map((topic) => /^operation:(\d{1,15})$/.exec(topic)?.[1]).find(Boolean);
    const context = () => viewContext({ hostname: request.hostname }, deps);
    const open = openOperationsNow(deps, context, own === undefined ? undefined : Number(own));
    return { key: `operations-now:${own ?? ''}`, open };
  }

  const placesTaken = new Map<string, number>();

  /**
   * Counts a socket to its client, until its connection has ended, however far the upgrade got.
   * @throws Problem `rate_limited`
   */
  function takePlace({ ip, raw }: FastifyRequest) {
    const taken = placesTaken.get(ip) ?? 0;
    if (deps.live.figures().connections >= maxSockets) throw new Problem('rate_limited', 'Too many open sockets.');
    if (taken >= maxSocketsPerClient) {
      throw new Problem(
        'rate_limited',
        `Too many open sockets from this address: ${maxSocketsPerClient} at most. Close some pages.`,
      );
    }
    placesTaken.set(ip, taken + 1);
    raw.socket.once('close', () => {
      const left = (placesTaken.get(ip) ?? 1) - 1;
      if (left > 0) placesTaken.set(ip, left);
      else placesTaken.delete(ip);
    });
  }

  const subscriptions = new WeakMap<FastifyRequest, Subscription[]>();

  app.get(
    '/live',
    {
      websocket: true,
      schema: { querystring: LiveQuery },
      preHandler: async (request) => {
        checkSocketOrigin(request);
        if (!request.ws) throw new Problem('invalid', 'This address is a WebSocket.');
        takePlace(request);
        const wanted = [(request.query as Static<typeof LiveQuery>).topic].flat();
        const opened = await Promise.all(wanted.map((topic) => subscribe(topic, request)));
        subscriptions.set(request, [
          { key: 'engine', open: openEngine(deps) },
          operationsNow(request, wanted),
          ...opened,
        ]);
      },
    },
    (socket, request) => {
      const leave = deps.live.join(toConnection(socket), subscriptions.get(request) ?? []);
      const stop = keepAlive(socket);
      socket.on('close', () => {
        stop();
        leave();
      });
    },
  );
}

const isFullId = (text: string) => /^[0-9a-f]{64}$/.test(text);

/**
 * Reads parameters by a schema, with the same validator as every route.
 * @throws FastifyError that names the first wrong one
 */
function parse<T extends Type.TSchema>(schema: T, request: FastifyRequest): Static<T> {
  const query = { ...(request.query as object) };
  const validate = request.getValidationFunction(schema) ?? request.compileValidationSchema(schema, 'querystring');
  if (validate(query)) return query as Static<T>;
  throw Object.assign(new Error('invalid parameters'), {
    validation: validate.errors,
    validationContext: 'querystring',
  });
}

function toConnection(socket: WebSocket): Connection {
  return {
    send: (frame) => socket.send(frame),
    buffered: () => socket.bufferedAmount,
    close(code, reason) {
      // A frozen browser never answers the closing handshake: the socket ends itself after 30 s, which leaves a slow one
      // the time to read why it was closed.
      socket.close(code, reason);
    },
  };
}

/** Ends a socket whose far end has gone without a word. Returns how to stop looking. */
function keepAlive(socket: WebSocket): () => void {
  let isAlive = true;
  socket.on('pong', () => {
    isAlive = true;
  });
  const timer = setInterval(() => {
    if (!isAlive) return socket.terminate();
    isAlive = false;
    socket.ping();
  }, heartbeatMs);
  return () => clearInterval(timer);
}

/** Closes every socket with 1012, so that browsers come back by themselves, and waits for them 1 s at most. */
export async function drainSockets(app: App, live: Live): Promise<void> {
  live.close();
  const { clients } = app.websocketServer;
  const closed = [...clients].map((client) => new Promise((resolve) => client.once('close', resolve)));
  await Promise.race([Promise.all(closed), new Promise((resolve) => setTimeout(resolve, closeGraceMs).unref())]);
  for (const client of clients) client.terminate();
}
