import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { App, Deps } from '../deps.ts';
import { type ErrorCode, isProblem, Problem } from '../errors.ts';
import { failureFrame, isHtmx, sendFragment, sendPage } from './pages.ts';

/** What the framework calls its own refusals, in our words. */
const frameworkProblems: Record<string, readonly [ErrorCode, string]> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too_large', 'The body is too large: at most 64 KiB.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported_media_type', 'The body must be a form or JSON.'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid', 'The body says that it is JSON and is empty.'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['invalid', 'The body is not JSON.'],
  FST_ERR_BAD_URL: ['invalid', 'The address is not encoded correctly.'],
  FST_ERR_MAX_PARAM_LENGTH: ['invalid', 'id: at most 255 characters.'],
};

/** When somebody who was refused for the sheer number may try again. */
const retrySeconds = 10;

/** Whatever was thrown, as something that can be told; what nobody foresaw tells no more than that. */
export function toProblem(error: unknown): Problem {
  if (isProblem(error)) return error;
  const { code = '', validation, validationContext, statusCode = 500, message } = error as Partial<FastifyError>;
  if (validation?.[0]) return new Problem('invalid', describeField(validation[0], validationContext));
  const known = frameworkProblems[code];
  if (known) return new Problem(...known);
  if (statusCode >= 400 && statusCode < 500 && message) return new Problem('invalid', message);
  return new Problem(
    'internal',
    'Something went wrong here. The log of this program tells more under this request id.',
  );
}

type Validation = NonNullable<FastifyError['validation']>[number];

/** Names the field and what is allowed: `sort: must be one of "name", "-name"…`. */
function describeField(fault: Validation, context = 'request'): string {
  const missing = (fault.params as { missingProperty?: string }).missingProperty;
  const field = missing ?? (fault.instancePath.replace(/^\//, '').replaceAll('/', '.') || context);
  const { allowedValues } = fault.params as { allowedValues?: unknown[] };
  if (allowedValues)
    return `${field}: must be one of ${[...new Set(allowedValues.map(String))].filter(Boolean).join(', ')}.`;
  return `${field}: ${fault.message ?? 'is not allowed'}.`;
}

/** Answers what is refused before any route is looked for, such as a wrongly encoded address: no page can be made there. */
export function sendBare(error: Error, request: FastifyRequest, reply: FastifyReply): void {
  const problem = toProblem(error);
  reply.code(problem.status).header('x-request-id', request.id);
  void (/\/api\//.test(request.url)
    ? sendJson(problem, request, reply)
    : reply.type('text/plain').send(`${problem.message}\n`));
}

/** Tells every refusal and failure in the form that was asked for, with the request id that the log has. */
export function registerErrors(app: App, deps: Deps): void {
  const prefix = deps.config.basePath;

  function isBelow(request: FastifyRequest, part: string): boolean {
    return request.url.startsWith(`${prefix}/${part}/`);
  }

  function send(error: unknown, request: FastifyRequest, reply: FastifyReply) {
    const problem = toProblem(error);
    if (problem.status >= 500) request.log.warn({ err: error, code: problem.code }, problem.message);
    if (problem.code === 'unauthenticated' && isPage(request)) return sendToLogin(request, reply);
    reply.code(problem.status);
    if (problem.code === 'rate_limited' && !reply.hasHeader('retry-after')) reply.header('retry-after', retrySeconds);
    // Whoever has a link has not signed in: nothing of a page of ours is told, whatever a browser sends along.
    if (request.routeOptions.config.access === 'embed') return sendBare(problem, request, reply);
    if (isBelow(request, 'api')) return sendJson(problem, request, reply);
    if (isBelow(request, 'fragments') || isHtmx(request)) return sendMessages(problem, request, reply, deps);
    return sendErrorPage(problem, request, reply, deps);
  }

  /** Whether a person asks for a page, and not a script, a fragment or a socket for what it shows. */
  function isPage(request: FastifyRequest): boolean {
    const asks = request.method === 'GET' && !request.ws && request.headers.authorization === undefined;
    return (
      asks && !isBelow(request, 'api') && !isBelow(request, 'fragments') && request.routeOptions.config.isProbe !== true
    );
  }

  /** To where one signs in, and from there back to where one wanted to go. */
  function sendToLogin(request: FastifyRequest, reply: FastifyReply) {
    const to = request.url.slice(prefix.length);
    const href = `${prefix}/login${to === '/' || to === '' ? '' : `?${new URLSearchParams({ to })}`}`;
    if (isHtmx(request)) return reply.header('hx-redirect', href).code(401).send('');
    return reply.redirect(href, 303);
  }

  app.setErrorHandler((error, request, reply) => send(error, request, reply));
  // What is not there costs a page to tell it, so it counts as every other request does.
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, (request, reply) =>
    send(new Problem('not_found', 'There is no such page.'), request, reply),
  );
}

function sendJson(problem: Problem, request: FastifyRequest, reply: FastifyReply) {
  const { code, status, message, engineMessage } = problem;
  const body = {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: message,
    code,
    requestId: request.id,
    ...(engineMessage && { engineMessage }),
  };
  return reply.type('application/problem+json').serializer(JSON.stringify).send(body);
}

function sendMessages(problem: Problem, request: FastifyRequest, reply: FastifyReply, deps: Deps) {
  const message = toMessage(problem);
  if (isHtmx(request)) {
    // The page stays what it is, so the address bar must not name what was refused.
    reply.header('hx-replace-url', 'false');
    return sendFragment(reply, failureFrame(deps, message, request.id));
  }
  const base = deps.config.basePath;
  return sendFragment(reply, deps.render('fragments/messages', { base, messages: [message], requestId: request.id }));
}

const toMessage = (problem: Problem) =>
  ({ kind: 'error', text: problem.message, engineMessage: problem.engineMessage }) as const;

function sendErrorPage(problem: Problem, request: FastifyRequest, reply: FastifyReply, deps: Deps) {
  const title = STATUS_CODES[problem.status] ?? 'Error';
  const { status, message: detail, engineMessage = null } = problem;
  const data = { base: deps.config.basePath, problem: { status, title, detail, engineMessage, requestId: request.id } };
  const head = { title, nav: '', topics: [], isBare: request.principal === undefined } as const;
  return sendPage(request, reply, deps, head, deps.render('pages/error', data));
}
