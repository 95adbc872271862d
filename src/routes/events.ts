import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App } from '../deps.ts';
import { Problem } from '../errors.ts';
import { workOf } from '../feeds/containers.ts';
import { findEvents } from '../feeds/events.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import { timelineOf } from '../services/event-types.ts';
import { headModel } from '../views/models/container.ts';
import { eventListModel, eventPageModel, toParameters } from '../views/models/events.ts';
import { toEventJson } from './event-json.ts';
import { sendFragment, sendPage, viewContext } from './pages.ts';
import * as schemas from './schemas.ts';
import type { DepsOf } from './scoped-deps.ts';

/** What happened: on the whole machine, and to a container by its name. */
export function registerEvents(app: App, depsOf: DepsOf): void {
  // ── the machine ──

  const querystring = schemas.EventQuery;

  app.get('/events', { schema: { querystring } }, async (request, reply) => {
    const deps = depsOf(request);
    const found = await findEvents(deps, request.query);
    const body = deps.render('pages/events', eventPageModel(found, request.query, viewContext(request, deps)));
    const parameters = toParameters(request.query);
    return sendPage(request, reply, deps, { title: 'Events', nav: 'events', topics: ['events'], parameters }, body);
  });

  app.get('/fragments/events', { schema: { querystring } }, async (request, reply) => {
    const deps = depsOf(request);
    const model = eventListModel(await findEvents(deps, request.query), request.query, viewContext(request, deps));
    return sendFragment(reply, deps.render('fragments/events/list', model));
  });

  app.get(
    '/api/events',
    {
      schema: {
        tags: ['events'],
        summary: 'What happened, the newest first; `before` continues behind a cursor',
        querystring,
        response: { 200: Type.Array(schemas.Event) },
      },
    },
    async (request) => {
      const { events, deaths } = await findEvents(depsOf(request), request.query);
      return events.map((event) => toEventJson(event, deaths));
    },
  );

  // ── one container ──

  const timelineSchema = { params: schemas.IdParams, querystring: schemas.TimelineQuery };

  app.get('/containers/:id/timeline', { schema: timelineSchema }, async (request, reply) => {
    const deps = depsOf(request);
    const name = await find(request);
    const context = viewContext(request, deps);
    const container = deps.inventory.findContainer(name);
    const head = container && headModel(container, context, workOf(deps, container, context.base));
    const body = deps.render('pages/timeline', {
      headHtml: head ? deps.render('fragments/container/head', head) : '',
      listHtml: await renderTimeline(request, name),
      listHref: `${context.base}/containers`,
      name,
    });
    const topics = [`timeline:${name}`, ...(container ? [`head:${container.id}`] : [])];
    const parameters = toParameters({ container: '', ...request.query });
    return sendPage(
      request,
      reply,
      deps,
      { title: `Timeline of ${name}`, nav: 'containers', topics, parameters },
      body,
    );
  });

  app.get('/fragments/containers/:id/timeline', { schema: timelineSchema }, async (request, reply) =>
    sendFragment(reply, await renderTimeline(request, await find(request))),
  );

  app.get(
    '/api/containers/:id/timeline',
    {
      schema: {
        tags: ['containers'],
        summary:
          'What happened to a container, by its name, also when it was removed; with the last words of each death, and for admins with what was done to it here or refused',
        ...timelineSchema,
        response: { 200: Type.Array(schemas.Event) },
      },
    },
    async (request) => {
      const name = await find(request);
      const deps = depsOf(request);
      const query = { container: '', ...request.query };
      const { events, deaths } = await findEvents(deps, query, name, viewContext(request, deps).can.admin);
      return events.map((event) => toEventJson(event, deaths));
    },
  );

  async function renderTimeline(request: FastifyRequest, name: string): Promise<string> {
    const deps = depsOf(request);
    const query = { container: '', ...(request.query as Static<typeof schemas.TimelineQuery>) };
    const context = viewContext(request, deps);
    const found = await findEvents(deps, query, name, context.can.admin);
    return deps.render('fragments/events/list', eventListModel(found, query, context, name));
  }

  /** The name that an address names: of a container that is, or of one that was. */
  async function find(request: FastifyRequest): Promise<string> {
    const deps = depsOf(request);
    const ref = checkContainerRef((request.params as { id: string }).id);
    const container = deps.inventory.findContainer(ref);
    const name = container ? timelineOf(container.name) : await deps.history.nameOf(ref);
    if (name === undefined) throw new Problem('not_found', `Container ${ref} not found`);
    return name;
  }
}
