import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { isProblem } from '../errors.ts';
import { renderContainerDetail } from '../feeds/container.ts';
import { containerListModel, workOf } from '../feeds/containers.ts';
import { morph, remove } from '../feeds/frames.ts';
import { containerClaim } from '../services/claims.ts';
import { selectContainers } from '../services/container-list.ts';
import type { Container } from '../services/containers.ts';
import type { ContainerAction, RemoveChoices } from '../services/docker.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import type { EngineContainerDetail } from '../services/docker-types.ts';
import type { Inventory } from '../services/inventory.ts';
import { headModel, removeContainerModel } from '../views/models/container.ts';
import { rowModel } from '../views/models/containers.ts';
import type { ViewContext } from '../views/models/context.ts';
import { toContainerDetailJson, toContainerJson } from './container-json.ts';
import { logPane, signalOf } from './logs.ts';
import { actorOf } from './operation-answers.ts';
import {
  answerFrame,
  isHtmx,
  requireEngine,
  resolveContainer,
  sendFragment,
  sendPage,
  viewContext,
  wayBack,
} from './pages.ts';
import * as schemas from './schemas.ts';
import type { DepsOf } from './scoped-deps.ts';
import { renderCharts } from './stats.ts';

const actions = ['start', 'stop', 'restart', 'pause', 'unpause', 'kill'] as const satisfies readonly ContainerAction[];
const ActionParams = Type.Object({
  id: Type.String(),
  action: schemas.oneOf(actions),
});

const killedMs = 1_000;

/** What was done, as a message says it. */
const done: Record<ContainerAction, string> = {
  start: 'started',
  stop: 'stopped',
  restart: 'restarted',
  pause: 'paused',
  unpause: 'resumed',
  kill: 'killed',
  remove: 'removed',
};

/** Containers: the list, one of them, and what can be done to it. */
export function registerContainers(app: App, depsOf: DepsOf): void {
  const find = (request: FastifyRequest) =>
    resolveContainer(depsOf(request), (request.params as { id: string }).id, checkContainerRef);

  // ── the list ──

  const listSchema = { schema: { querystring: schemas.ListQuery } };

  app.get('/containers', listSchema, (request, reply) => {
    const deps = depsOf(request);
    const model = containerListModel(deps, request.query, viewContext(request, deps));
    const body = deps.render('pages/containers', model);
    const head = { title: 'Containers', nav: 'containers', topics: ['containers'], parameters: request.query } as const;
    return sendPage(request, reply, deps, head, body);
  });

  app.get('/fragments/containers', listSchema, (request, reply) => {
    const deps = depsOf(request);
    const model = containerListModel(deps, request.query, viewContext(request, deps));
    return sendFragment(reply, deps.render('fragments/containers/list', model));
  });

  app.get(
    '/api/containers',
    {
      schema: {
        tags: ['containers'],
        summary: 'Every container, stopped ones too',
        querystring: schemas.ListQuery,
        response: { 200: Type.Array(schemas.Container) },
      },
    },
    (request) => {
      const deps = depsOf(request);
      requireEngine(deps);
      return listed(deps, request.query).map((container) => toContainerJson(container, Date.now()));
    },
  );

  // ── one container ──

  app.get('/containers/:id', { schema: { params: schemas.IdParams } }, async (request, reply) => {
    const container = await find(request);
    return sendContainerPage(request, reply, depsOf(request), container, false);
  });

  // The address stays in the browser after the form: whoever loads it again comes back to the container.
  app.get('/containers/:id/reveal', { schema: { params: schemas.IdParams } }, (request, reply) =>
    reply.redirect(`${depsOf(request).config.basePath}/containers/${checkContainerRef(request.params.id)}`, 303),
  );

  app.post('/containers/:id/reveal', { schema: { params: schemas.IdParams } }, async (request, reply) => {
    const deps = depsOf(request);
    const container = await find(request);
    if (!isHtmx(request)) return sendContainerPage(request, reply, deps, container, true);
    const html = await renderDetail(deps, container, viewContext(request, deps), true);
    return sendFragment(reply, morph('container-detail', html));
  });

  app.get('/fragments/containers/:id', { schema: { params: schemas.IdParams } }, async (request, reply) => {
    const deps = depsOf(request);
    const container = await find(request);
    const context = viewContext(request, deps);
    const head = deps.render(
      'fragments/container/head',
      headModel(container, context, workOf(deps, container, context.base)),
    );
    return sendFragment(reply, head + (await renderDetail(deps, container, context, false)));
  });

  app.get(
    '/api/containers/:id',
    {
      schema: {
        tags: ['containers'],
        summary: 'One container, secrets masked',
        params: schemas.IdParams,
        response: { 200: schemas.ContainerDetail },
      },
    },
    async (request) => {
      const deps = depsOf(request);
      const container = await find(request);
      requireEngine(deps);
      return toContainerDetailJson(container, await deps.docker.inspectContainer(container.id), Date.now());
    },
  );

  // ── what can be done ──

  app.post('/containers/:id/:action', { schema: { params: ActionParams } }, async (request, reply) => {
    const container = await act(request, await find(request), request.params.action);
    return answer(request, reply, container, `${container.name} was ${done[request.params.action]}.`);
  });

  app.post(
    '/api/containers/:id/:action',
    {
      schema: {
        tags: ['containers'],
        summary: 'Start, stop, restart, pause, unpause or kill a container',
        params: ActionParams,
        response: { 200: schemas.Container },
      },
    },
    async (request) => toContainerJson(await act(request, await find(request), request.params.action), Date.now()),
  );

  app.get('/containers/:id/remove', { schema: { params: schemas.IdParams } }, async (request, reply) => {
    const deps = depsOf(request);
    const container = await find(request);
    requireEngine(deps);
    const inspect = await deps.docker.inspectContainer(container.id);
    const body = deps.render(
      'pages/remove-container',
      removeContainerModel({ container, inspect }, viewContext(request, deps)),
    );
    return sendPage(request, reply, deps, { title: `Remove ${container.name}`, nav: 'containers', topics: [] }, body);
  });

  const removeSchema = { params: schemas.IdParams, body: schemas.RemoveBody };

  app.post('/containers/:id/remove', { schema: removeSchema }, async (request, reply) => {
    const deps = depsOf(request);
    const container = await find(request);
    await act(request, container, 'remove', toChoices(request.body));
    const message = `${container.name} was removed.`;
    if (isHtmx(request)) return sendFragment(reply, remove(`container-${container.id}`) + answerFrame(deps, message));
    deps.messages.leave(reply, [{ kind: 'status', text: message }]);
    return reply.redirect(`${deps.config.basePath}/containers`, 303);
  });

  app.post(
    '/api/containers/:id/remove',
    {
      schema: {
        tags: ['containers'],
        summary: 'Remove a container; `force` kills a running one, `volumes` takes its anonymous volumes along',
        ...removeSchema,
        response: { 200: schemas.Removed },
      },
    },
    async (request) => {
      const container = await find(request);
      await act(request, container, 'remove', toChoices(request.body));
      return { id: container.id, removed: true as const };
    },
  );

  /** Does it, and waits until the inventory shows it, so that the answer already does. */
  async function act(
    request: FastifyRequest,
    container: Container,
    action: ContainerAction,
    choices?: RemoveChoices,
  ): Promise<Container> {
    const deps = depsOf(request);
    requireEngine(deps);
    await deps.history.act({ action, actor: actorOf(request), container }, () =>
      deps.operations.visit([containerClaim(container.id)], () =>
        deps.docker.actOnContainer(container.id, action, container.name, choices),
      ),
    );
    await deps.inventory.refresh([container.id]);
    if (action === 'kill') await untilEnded(deps.inventory, container.id);
    return deps.inventory.container(container.id) ?? container;
  }

  function answer(request: FastifyRequest, reply: FastifyReply, container: Container, text: string) {
    const deps = depsOf(request);
    if (isHtmx(request)) return sendFragment(reply, renderRow(request, container) + answerFrame(deps, text));
    deps.messages.leave(reply, [{ kind: 'status', text }]);
    return reply.redirect(wayBack(request, deps, `/containers/${container.id}`), 303);
  }

  function renderRow(request: FastifyRequest, container: Container): string {
    const deps = depsOf(request);
    const context = viewContext(request, deps);
    const model = rowModel(container, deps.rowFigures(container.id), context, workOf(deps, container, context.base));
    return morph(`container-${container.id}`, deps.render('fragments/containers/row', model));
  }
}

/** Waits for the end of a container that was killed: the engine answers as soon as the signal is sent. */
function untilEnded(inventory: Inventory, id: string): Promise<void> {
  const isUp = () => inventory.container(id)?.state === 'running';
  return new Promise((resolve) => {
    if (!isUp()) return resolve();
    const timer = setTimeout(end, killedMs);
    const stop = inventory.onChange(() => {
      if (!isUp()) end();
    });
    function end() {
      clearTimeout(timer);
      stop();
      resolve();
    }
  });
}

function listed(deps: Deps, query: Parameters<typeof containerListModel>[1]): Container[] {
  return selectContainers(deps.inventory.containers(), query, deps.rowFigures).containers;
}

const toChoices = (body: { force?: boolean | string; volumes?: boolean | string } | null): RemoveChoices => ({
  force: schemas.isTicked(body?.force),
  volumes: schemas.isTicked(body?.volumes),
});

/** The markup of a container's detail; where the engine is gone, of what the inventory knows. */
async function renderDetail(deps: Deps, container: Container, context: ViewContext, reveal: boolean): Promise<string> {
  const inspect = await inspectIfThere(deps, container.id);
  return renderContainerDetail(deps, { container, inspect, reveal }, context);
}

/** What only the engine can tell; nothing where it is away, even if that was not noticed yet. */
async function inspectIfThere(deps: Deps, id: string): Promise<EngineContainerDetail | undefined> {
  if (deps.inventory.engine().status === 'unreachable') return undefined;
  return deps.docker.inspectContainer(id).catch((error: unknown) => {
    if (isProblem(error, 'engine_unreachable') || isProblem(error, 'engine_timeout')) return undefined;
    throw error;
  });
}

async function sendContainerPage(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: Deps,
  container: Container,
  reveal: boolean,
) {
  const signal = signalOf(reply);
  const context = viewContext(request, deps);
  const body = deps.render('pages/container', {
    headHtml: deps.render(
      'fragments/container/head',
      headModel(container, context, workOf(deps, container, context.base)),
    ),
    detailHtml: await renderDetail(deps, container, context, reveal),
    chartsHtml: await renderCharts(deps, container.id, '1h', context),
    logsHtml: deps.render('fragments/logs/viewer', await logPane(deps, container, context, signal)),
  });
  // With secrets shown, the page stays as it is: a push would mask them again.
  const topics = reveal ? [] : [`container:${container.id}`, `stats:${container.id}`];
  return sendPage(request, reply, deps, { title: container.name, nav: 'containers', topics }, body);
}
