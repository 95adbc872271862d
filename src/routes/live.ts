import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { isProblem, Problem } from '../errors.ts';
import { openAlerts } from '../feeds/alerts.ts';
import { openContainer, openContainerHead } from '../feeds/container.ts';
import { createRowCaches, type ListAudience, openContainerList, type RowCaches } from '../feeds/containers.ts';
import { openDashboard } from '../feeds/dashboard.ts';
import { openEngine } from '../feeds/engine.ts';
import { openEvents } from '../feeds/events.ts';
import { openImage } from '../feeds/image.ts';
import { openImageList } from '../feeds/images.ts';
import { createBatchRenderer, openEndedLog, openLog } from '../feeds/logs.ts';
import { createMergedRenderer, openMergedLog } from '../feeds/merged-logs.ts';
import { openOperation, openOperationList, openOperationsNow } from '../feeds/operations.ts';
import { openStats } from '../feeds/stats.ts';
import type { Principal } from '../services/capabilities.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import type { Subscription } from '../services/live.ts';
import { cursorBefore, parseLogTime } from '../services/log-cursor.ts';
import { createSearch } from '../services/log-search.ts';
import { parsePlaces } from '../services/merged-cursor.ts';
import type { ViewContext } from '../views/models/context.ts';
import { accessOfTopic, checkAccess, checkScope, isTopicForLimited } from './access.ts';
import { renderSumCharts, seriesOf } from './dashboard.ts';
import { isStillIn, onEnd } from './identity.ts';
import type { Sockets } from './live-sockets.ts';
import { chosenLogs, type LogSubject, projectLogs } from './log-subjects.ts';
import { toLogFilter } from './logs.ts';
import { sinceOf } from './merged-log-query.ts';
import { resolveContainer, viewContext } from './pages.ts';
import * as schemas from './schemas.ts';
import type { DepsOf } from './scoped-deps.ts';
import { renderCharts } from './stats.ts';
import { toWanted } from './stats-query.ts';

const maxTopics = 8;
/** The names of a hundred containers; longer addresses are refused by the server itself. */
const maxTopicLength = 16_000;
const defaultLogTail = 100;

const LiveQuery = Type.Object({
  topic: Type.Union(
    [
      Type.String({ maxLength: maxTopicLength }),
      Type.Array(Type.String({ maxLength: maxTopicLength }), { maxItems: maxTopics }),
    ],
    {
      default: [],
    },
  ),
});

/** What the socket itself needs; what it shows comes from what its asker may see. */
type SocketDeps = Pick<Deps, 'config' | 'rights' | 'render' | 'users' | 'sessions' | 'tokens' | 'embeds'>;

/** Who asks, and with what: everything that a topic is opened with. */
type Asked = { request: FastifyRequest; deps: Deps; context: () => ViewContext; name: string };
type Topic = (asked: Asked) => Subscription | Promise<Subscription>;

/** The live socket: topics in its address, HTML in its frames. */
export function registerLive(app: App, deps: SocketDeps, depsOf: DepsOf, sockets: Sockets): void {
  const { config, rights, render, ...keepers } = deps;
  const identities = { config, ...keepers };
  const renderBatch = createBatchRenderer(render, config.basePath);
  const renderMerged = createMergedRenderer(render, config.basePath);
  const rowCaches = new WeakMap<Deps, RowCaches>();

  function rowCachesOf(deps: Deps): RowCaches {
    const caches = rowCaches.get(deps) ?? createRowCaches(deps);
    rowCaches.set(deps, caches);
    return caches;
  }

  /**
   * The id that a topic names. One that is complete and not known is of a container that was removed while nobody
   * looked: its page is told so, since a refusal would let it ask for ever.
   */
  async function find(deps: Deps, name: string): Promise<{ id: string; isGone: boolean }> {
    try {
      return { id: (await resolveContainer(deps, name, checkContainerRef)).id, isGone: false };
    } catch (error) {
      if (isProblem(error, 'not_found') && isFullId(name)) return { id: name, isGone: true };
      throw error;
    }
  }

  function listTopic(
    { deps, context }: Asked,
    query: Static<typeof schemas.ListQuery>,
    around: ListAudience['around'],
  ): Subscription {
    const { host } = context();
    return {
      key: JSON.stringify(['containers', around, query, host]),
      open: openContainerList(deps, rowCachesOf(deps), { query, host, around }, context),
    };
  }

  /** The log of several containers, also where none of them is there: it is followed who comes. */
  function mergedLogTopic(subject: LogSubject, { deps, request }: Asked): Subscription {
    const query = parse(schemas.MergedLogQuery, request);
    const filter = toLogFilter(query);
    const wanted = { ...filter, tail: query.tail ?? defaultLogTail, places: parsePlaces(sinceOf(query)) };
    const search = createSearch(filter);
    const look = { selection: subject.selection, pageHref: config.basePath + subject.path };
    return { key: null, open: openMergedLog(deps, renderMerged, look, wanted, filter.invert ? undefined : search) };
  }

  function projectLogTopic(project: string, asked: Asked): Subscription {
    if (project === '' || project.length > 255)
      throw new Problem('invalid', 'topic: logs:project:<name> takes a name.');
    return mergedLogTopic(projectLogs(project), asked);
  }

  function chosenLogTopic(names: string, asked: Asked): Subscription {
    if (names === '') throw new Problem('invalid', 'topic: logs:names:<name>,<name> takes names.');
    return mergedLogTopic(chosenLogs('topic', names.split(',')), asked);
  }

  const topics: Record<string, Topic> = checkTopics({
    containers: (asked) => listTopic(asked, parse(schemas.ListQuery, asked.request), 'list'),

    project(asked) {
      const { actions } = parse(schemas.ProjectTopicQuery, asked.request);
      return listTopic(asked, { q: '', state: '', project: asked.name, sort: '' }, actions ? 'project' : 'nothing');
    },

    images: ({ deps, request, context }) => {
      const query = parse(schemas.ImageQuery, request);
      return { key: JSON.stringify(['images', query]), open: openImageList(deps, query, context) };
    },

    operations: ({ deps, request, context }) => {
      const { state, before, limit } = parse(schemas.OperationQuery, request);
      return {
        key: JSON.stringify(['operations', state, before, limit]),
        open: openOperationList(deps, { state, before, limit }, context),
      };
    },

    events: ({ deps, request, context }) => {
      const query = parse(schemas.EventQuery, request);
      return { key: JSON.stringify(['events', query]), open: openEvents(deps, query, context) };
    },

    alerts: ({ deps, context }) => ({ key: 'alerts', open: openAlerts(deps, context) }),

    timeline: ({ deps, name, request, context }) => {
      checkContainerRef(name);
      const query = { container: '', ...parse(schemas.TimelineQuery, request) };
      return { key: JSON.stringify(['timeline', name, query]), open: openEvents(deps, query, context, name) };
    },

    operation: async ({ deps, name, context }) => {
      const id = /^\d{1,15}$/.test(name) ? Number(name) : 0;
      if (!(await deps.operations.find(id))) throw new Problem('not_found', `Operation ${name.slice(0, 20)} not found`);
      return { key: `operation:${id}`, open: openOperation(deps, id, context) };
    },

    image: ({ deps, name, context }) => {
      if (!isFullId(name)) throw new Problem('invalid', 'topic: image:<id> takes the 64 hex digits of its id.');
      const { host } = context();
      return { key: JSON.stringify(['image', name, host]), open: openImage(deps, `sha256:${name}`, context) };
    },

    container: async ({ deps, name, context }) => {
      const { id } = await find(deps, name);
      const { host } = context();
      return { key: JSON.stringify(['container', id, host]), open: openContainer(deps, id, context) };
    },

    head: async ({ deps, name, context }) => {
      const { id } = await find(deps, name);
      const { host } = context();
      return { key: JSON.stringify(['head', id, host]), open: openContainerHead(deps, id, context) };
    },

    stats: async ({ deps, name, request, context }) => {
      const { id } = await find(deps, name);
      const { range } = parse(schemas.RangeQuery, request);
      const render = () => renderCharts(deps, id, range, context());
      return {
        key: `stats:${id}:${range}`,
        open: openStats(deps, id, { isLong: range !== '1h', isMarked: true }, render),
      };
    },

    dashboard: ({ deps, name, request, context }) => {
      if (name.length > 255) throw new Problem('invalid', 'topic: dashboard:<project> takes a name.');
      const scope = name || null;
      const query = parse(schemas.StatsQuery, request);
      const wanted = toWanted(query, Date.now());
      const look = { isLong: wanted !== '1h', isMarked: scope !== null };
      const render = () => renderSumCharts(deps, scope, wanted, context());
      // A span of one's own choice stays as it is.
      const charts = typeof wanted === 'string' ? openStats(deps, seriesOf(scope), look, render) : undefined;
      const key = JSON.stringify(['dashboard', scope, query.range, query.from, query.to]);
      return { key, open: openDashboard(deps, scope, context, charts) };
    },

    logs: async (asked) => {
      const { deps, name, request } = asked;
      if (name.startsWith('project:')) return projectLogTopic(name.slice('project:'.length), asked);
      if (name.startsWith('names:')) return chosenLogTopic(name.slice('names:'.length), asked);
      const { id, isGone } = await find(deps, name);
      const query = parse(schemas.LogQuery, request);
      const filter = toLogFilter(query);
      const search = createSearch(filter);
      if (isGone) return { key: null, open: openEndedLog(deps) };
      const since = query.since ? cursorBefore(parseLogTime('since', query.since)) : undefined;
      const wanted = { ...filter, tail: query.tail, since, isSeen: true };
      return { key: null, open: openLog(deps, renderBatch, id, wanted, filter.invert ? undefined : search) };
    },
  });

  /** What a feed needs of who asks, and nothing more of the request: it outlives that one. */
  function contextOf({ hostname, principal }: FastifyRequest) {
    return () => viewContext({ hostname, principal }, { config, rights });
  }

  async function subscribe(text: string, request: FastifyRequest): Promise<Subscription> {
    const [kind = '', ...rest] = text.split(':');
    const name = rest.join(':');
    const topic = Object.hasOwn(topics, kind) ? topics[kind] : undefined;
    const takesName = !['containers', 'images', 'operations', 'events', 'alerts'].includes(kind);
    if (!topic || (kind !== 'dashboard' && takesName === (name === ''))) {
      throw new Problem(
        'invalid',
        'topic: must be one of containers, images, image:<id>, container:<id>, head:<id>, project:<name>, stats:<id>, ' +
          'logs:<id>, logs:project:<name>, logs:names:<name>,<name>, dashboard, dashboard:<project>, operations, ' +
          'operation:<n>, events, timeline:<name>, alerts.',
      );
    }
    checkAccess(accessOfTopic(kind), request.principal, rights);
    checkScope(isTopicForLimited(kind), request.principal);
    const subscription = await topic({ request, deps: depsOf(request), name, context: contextOf(request) });
    return shareAmong(request.principal, subscription);
  }

  /** What every page follows; the page of an operation tells that one itself. */
  function operationsNow(request: FastifyRequest, wanted: readonly string[]): Subscription {
    const own = wanted.map((topic) => /^operation:(\d{1,15})$/.exec(topic)?.[1]).find(Boolean);
    const open = openOperationsNow(depsOf(request), contextOf(request), own === undefined ? undefined : Number(own));
    return shareAmong(request.principal, { key: `operations-now:${own ?? ''}`, open });
  }

  const subscriptions = new WeakMap<FastifyRequest, Subscription[]>();

  app.get(
    '/live',
    {
      websocket: true,
      schema: { querystring: LiveQuery },
      preHandler: async (request) => {
        if (!request.ws) throw new Problem('invalid', 'This address is a WebSocket.');
        sockets.takePlace(request);
        const wanted = [(request.query as Static<typeof LiveQuery>).topic].flat();
        const opened = await Promise.all(wanted.map((topic) => subscribe(topic, request)));
        subscriptions.set(request, [
          { key: 'engine', open: openEngine(depsOf(request)) },
          operationsNow(request, wanted),
          ...opened,
        ]);
      },
    },
    (socket, request) =>
      sockets.serve(socket, subscriptions.get(request) ?? [], {
        isIn: () => isStillIn(request, identities),
        onEnd: (listener) => onEnd(request, identities, listener),
      }),
  );
}

/** @throws Error for a topic that is not in the access table */
function checkTopics<T>(topics: Record<string, T>): Record<string, T> {
  for (const kind of Object.keys(topics)) accessOfTopic(kind);
  return topics;
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

/**
 * What is rendered for one is shown to all who may see and do the same: a feed is shared among them alone. Who sees some
 * containers only is shown their own operations, so that nobody shares theirs.
 */
function shareAmong(principal: Principal | undefined, { key, open }: Subscription): Subscription {
  const { capabilities = [], scope = [], name = '' } = principal ?? {};
  const audience = [[...capabilities].sort(), scope, scope === null ? null : name];
  return { key: key === null ? null : `${JSON.stringify(audience)} ${key}`, open };
}
