import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { morph } from '../feeds/frames.ts';
import type { Operation } from '../services/operation-types.ts';
import { operationsNowModel } from '../views/models/operations.ts';
import { toOperationJson } from './operation-json.ts';
import { isHtmx, operationsFor, sendFragment, viewContext } from './pages.ts';

/** Answers with an operation that was just started: its page for a form, for htmx what every page shows of it. */
export function sendOperation(request: FastifyRequest, reply: FastifyReply, deps: Deps, operation: Operation) {
  const path = `${deps.config.basePath}/operations/${operation.id}`;
  if (!isHtmx(request)) return reply.redirect(path, 303);
  return sendFragment(reply, operationsNowFrame(request, deps));
}

/** What every page shows of operations, as it is now; without the one that the page itself is about. */
export function operationsNowFrame(request: FastifyRequest, deps: Deps, without?: number): string {
  const model = operationsNowModel(operationsFor(request, deps), viewContext(request, deps), without);
  return (
    morph('operations-now', deps.render('fragments/operations/now', model)) +
    morph('operations-badge', deps.render('fragments/operations/badge', model))
  );
}

/** Answers a script with an operation that was just started. */
export function sendOperationJson(reply: FastifyReply, deps: Deps, operation: Operation) {
  reply.code(202).header('location', `${deps.config.basePath}/api/operations/${operation.id}`);
  return toOperationJson(operation);
}

/** Who asks, as it is written down: a user, a token, or an address where nobody signs in. */
export const actorOf = (request: FastifyRequest): string => request.principal?.name ?? request.ip;
