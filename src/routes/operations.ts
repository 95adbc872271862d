import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App } from '../deps.ts';
import { Problem } from '../errors.ts';
import { morph } from '../feeds/frames.ts';
import { operationsModel } from '../feeds/operations.ts';
import type { Operation } from '../services/operation-types.ts';
import { capabilityOfKind, operationListParameters, operationModel, statesOf } from '../views/models/operations.ts';
import { checkAccess } from './access.ts';
import { noteOperation } from './audit.ts';
import { operationsNowFrame } from './operation-answers.ts';
import { toOperationJson } from './operation-json.ts';
import { answerFrame, isHtmx, sendFragment, sendPage, viewContext, wayBack } from './pages.ts';
import * as schemas from './schemas.ts';
import type { DepsOf } from './scoped-deps.ts';

/** Long work: what runs and what ran, one of it, its end before its time, and that its failure was read. */
export function registerOperations(app: App, depsOf: DepsOf): void {
  const params = schemas.OperationParams;
  const querystring = schemas.OperationQuery;

  app.get('/operations', { schema: { querystring } }, async (request, reply) => {
    const deps = depsOf(request);
    const model = await operationsModel(deps, request.query, viewContext(request, deps));
    const parameters = operationListParameters(request.query);
    const head = { title: 'Operations', nav: 'operations', topics: ['operations'], parameters } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/operations', model));
  });

  app.get('/fragments/operations', { schema: { querystring } }, async (request, reply) => {
    const deps = depsOf(request);
    const model = await operationsModel(deps, request.query, viewContext(request, deps));
    return sendFragment(reply, deps.render('fragments/operations/list', model));
  });

  app.get(
    '/api/operations',
    {
      schema: {
        tags: ['operations'],
        summary: 'Long work, running and past, the newest first; `before` continues behind an id',
        querystring,
        response: { 200: Type.Array(schemas.Operation) },
      },
    },
    async (request) => {
      const { query } = request;
      const { operations } = depsOf(request);
      const found = await operations.list({ before: query.before, states: statesOf(query.state), limit: query.limit });
      return found.map(toOperationJson);
    },
  );

  app.get('/operations/:n', { schema: { params } }, async (request, reply) => {
    const deps = depsOf(request);
    const operation = await find(request);
    const model = operationModel(operation, viewContext(request, deps));
    const title = model.operation.title;
    const topics = [`operation:${operation.id}`];
    const head = {
      title,
      nav: 'operations',
      topics,
      operation: operation.id,
      reloads: model.operation.isActive,
    } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/operation', model));
  });

  app.get('/fragments/operations/:n', { schema: { params } }, async (request, reply) =>
    sendFragment(reply, renderAlone(request, await find(request))),
  );

  app.get(
    '/api/operations/:n',
    {
      schema: {
        tags: ['operations'],
        summary: 'One piece of long work, with its steps, layers and results',
        params,
        response: { 200: schemas.Operation },
      },
    },
    async (request) => toOperationJson(await find(request)),
  );

  app.post('/operations/:n/cancel', { schema: { params } }, async (request, reply) => {
    const operation = await cancel(request);
    if (isHtmx(request)) return sendFragment(reply, renderNow(request) + renderOwn(request, operation));
    return reply.redirect(`${depsOf(request).config.basePath}/operations/${operation.id}`, 303);
  });

  app.post(
    '/api/operations/:n/cancel',
    {
      schema: {
        tags: ['operations'],
        summary: 'Cancel what runs or waits, as long as that is safe',
        params,
        response: { 200: schemas.Operation },
      },
    },
    async (request) => toOperationJson(await cancel(request)),
  );

  app.post('/operations/:n/abandon', { schema: { params } }, async (request, reply) => {
    const operation = await abandon(request);
    if (isHtmx(request)) return sendFragment(reply, renderNow(request) + renderOwn(request, operation));
    return reply.redirect(`${depsOf(request).config.basePath}/operations/${operation.id}`, 303);
  });

  app.post(
    '/api/operations/:n/abandon',
    {
      schema: {
        tags: ['operations'],
        summary: 'Give up a rebuild that could neither be finished nor undone: its containers stay as they are',
        params,
        response: { 200: schemas.Operation },
      },
    },
    async (request) => toOperationJson(await abandon(request)),
  );

  app.post('/operations/:n/dismiss', { schema: { params } }, async (request, reply) => {
    const deps = depsOf(request);
    await deps.operations.dismiss(Number(request.params.n));
    if (isHtmx(request)) return sendFragment(reply, renderNow(request));
    return reply.redirect(wayBack(request, deps, '/operations'), 303);
  });

  app.post(
    '/api/operations/:n/dismiss',
    {
      schema: {
        tags: ['operations'],
        summary: 'Say that the failure was read: pages no longer show it by themselves',
        params,
        response: { 200: schemas.Operation },
      },
    },
    async (request) => {
      await depsOf(request).operations.dismiss(Number(request.params.n));
      return toOperationJson(await find(request));
    },
  );

  async function find(request: FastifyRequest): Promise<Operation> {
    const { n } = request.params as Static<typeof schemas.OperationParams>;
    const operation = await depsOf(request).operations.find(Number(n));
    if (!operation) throw new Problem('not_found', `Operation ${n} not found`);
    noteOperation(request, operation);
    return operation;
  }

  /** Ends work before its time: who may not begin it may not end it either. */
  async function cancel(request: FastifyRequest): Promise<Operation> {
    const { rights, operations } = depsOf(request);
    const { id, kind } = await find(request);
    checkAccess(capabilityOfKind[kind], request.principal, rights);
    return operations.cancel(id);
  }

  async function abandon(request: FastifyRequest): Promise<Operation> {
    const { id } = await find(request);
    return depsOf(request).rebuilds.abandon(id);
  }

  function renderCard(request: FastifyRequest, operation: Operation): string {
    const deps = depsOf(request);
    return deps.render('fragments/operation/card', operationModel(operation, viewContext(request, deps)));
  }

  /** The card as it stands in another page, where it follows by itself. */
  function renderAlone(request: FastifyRequest, operation: Operation): string {
    const deps = depsOf(request);
    const follow = deps.render('fragments/operation/follow', operationModel(operation, viewContext(request, deps)));
    return renderCard(request, operation) + follow;
  }

  /** The card of the page that the request came from, where that is the operation's own. */
  function renderOwn(request: FastifyRequest, operation: Operation): string {
    if (pageOf(request) !== operation.id) return answerFrame(depsOf(request), cancelled);
    return morph(`operation-${operation.id}`, renderCard(request, operation));
  }

  const renderNow = (request: FastifyRequest) => operationsNowFrame(request, depsOf(request), pageOf(request));
}

/** The operation whose own page a request of htmx came from. */
function pageOf(request: FastifyRequest): number | undefined {
  const url = request.headers['hx-current-url']?.toString() ?? '';
  const id = /\/operations\/(\d+)(?:[?#]|$)/.exec(url)?.[1];
  return id === undefined ? undefined : Number(id);
}

const cancelled = 'It is being cancelled.';
