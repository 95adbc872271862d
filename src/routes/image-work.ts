import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Static, Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { pruneImages } from '../services/image-prune.ts';
import type { Operation } from '../services/operation-types.ts';
import { parseReference } from '../services/references.ts';
import { pruneModel, pullModel } from '../views/models/image-work.ts';
import { actorOf, sendOperation, sendOperationJson } from './operation-answers.ts';
import { requireEngine, sendPage, viewContext } from './pages.ts';
import { loginOf } from './registry-login.ts';
import * as schemas from './schemas.ts';

/** What takes its time with images: pulls, the asking of registries, the removal of what nobody uses. */
export function registerImageWork(app: App, deps: Deps): void {
  app.get('/images/pull', { schema: { querystring: schemas.PullQuery } }, (request, reply) => {
    const body = deps.render('pages/pull', pullModel(request.query.reference, viewContext(request, deps)));
    return sendPage(request, reply, deps, { title: 'Pull an image', nav: 'images', topics: [] }, body);
  });

  app.get('/images/prune', (request, reply) => {
    const { inventory } = deps;
    const model = pruneModel(inventory.images(), inventory.containers(), viewContext(request, deps));
    const head = { title: 'Remove unused images', nav: 'images', topics: [] } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/prune', model));
  });

  offer('/images/pull', 'Pull an image by its reference, as an operation', { body: schemas.PullBody }, (request) => {
    const { reference, username, password } = request.body as Static<typeof schemas.PullBody>;
    const login = loginOf(username, password);
    return deps.pulls.start(parseReference(reference), actorOf(request), { login });
  });

  offer('/images/check', 'Ask the registries of all images for newer ones, as an operation', {}, (request) =>
    deps.updates.check(actorOf(request)),
  );

  const pruning = { body: schemas.PruneBody };
  offer('/images/prune', 'Remove images that nobody uses: dangling, or all `unused`', pruning, (request) => {
    const { unused } = (request.body as Static<typeof schemas.PruneBody>) ?? {};
    return pruneImages(deps, schemas.isTicked(unused), actorOf(request));
  });

  /** Offers the start of an operation as a form and to scripts. */
  function offer(
    path: string,
    summary: string,
    schema: { body?: Type.TSchema },
    start: (request: FastifyRequest) => Promise<Operation>,
  ) {
    const begin = (request: FastifyRequest) => {
      requireEngine(deps);
      return start(request);
    };
    app.post(path, { schema }, async (request, reply) => sendOperation(request, reply, deps, await begin(request)));
    app.post(
      `/api${path}`,
      { schema: { tags: ['images'], summary, ...schema, response: { 202: schemas.Operation } } },
      async (request: FastifyRequest, reply: FastifyReply) => sendOperationJson(reply, deps, await begin(request)),
    );
  }
}
