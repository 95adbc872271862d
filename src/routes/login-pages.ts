import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import type { Problem } from '../errors.ts';
import { sendPage } from './pages.ts';
import { relyingPartyOf } from './relying-party.ts';

/** Where somebody wanted to go, a path of this server, and what has gone wrong on the way. */
export type LoginState = { to: string; fault?: Problem };

const retrySeconds = 60;

/** Answers with the page where people sign in. */
export function sendLogin(request: FastifyRequest, reply: FastifyReply, deps: Deps, state: LoginState) {
  const needsSetup = deps.users.count() === 0 && deps.config.auth === 'password';
  return sendStep(request, reply, deps, 'Sign in', 'pages/login', { ...state, needsSetup });
}

/** Answers with the page of the second step. */
export const sendSecond = (request: FastifyRequest, reply: FastifyReply, deps: Deps, state: LoginState) =>
  sendStep(request, reply, deps, 'Second factor', 'pages/second', state);

function sendStep(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: Deps,
  title: string,
  template: string,
  { to, fault, ...rest }: LoginState & { needsSetup?: boolean },
) {
  if (fault) reply.code(fault.status);
  if (fault?.code === 'rate_limited') reply.header('retry-after', retrySeconds);
  const body = deps.render(template, {
    base: deps.config.basePath,
    to: to === '/containers' ? '' : to,
    fault: fault?.message ?? '',
    hasPasskeys: deps.config.auth === 'password' && relyingPartyOf(request, deps.config) !== undefined,
    sso: deps.singleSignOn ? deps.config.oidcName : null,
    byProxy: deps.config.auth === 'proxy',
    ...rest,
  });
  return sendPage(request, reply, deps, { title, nav: '', topics: [], isBare: true }, body);
}
