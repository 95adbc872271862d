import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App, Deps } from '../deps.ts';
import { isProblem, Problem } from '../errors.ts';
import { letIn } from '../services/arrivals.ts';
import type { BegunSignIn, SingleSignOn } from '../services/single-sign-on.ts';
import { createTickets } from '../services/tickets.ts';
import type { User } from '../services/users.ts';
import * as schemas from './access-schemas.ts';
import { noteFor } from './audit.ts';
import { dropCookie, keepCookie, ownCookies } from './cookies.ts';
import type { Entrance } from './entrance.ts';
import { sendLogin } from './login-pages.ts';
import { ownPath } from './own-path.ts';

const cookie = 'fairlead_oidc';
const lifeSeconds = 600;
const mostBegun = 10_000;
const maxQuery = 8_192;

/** Signing in at an OpenID provider, where one is set. */
export function registerSingleSignOn(app: App, deps: Deps, entrance: Entrance): void {
  const { config } = deps;
  const base = config.basePath;
  const tickets = createTickets<{ begun: BegunSignIn; to: string }>({ lifeMs: lifeSeconds * 1_000, most: mostBegun });

  /** @throws Problem `not_found` */
  function provider(): SingleSignOn {
    if (deps.singleSignOn) return deps.singleSignOn;
    throw new Problem('not_found', 'No sign-in server is set: OIDC_ISSUER.');
  }

  /** What goes wrong stands on the page where people sign in. */
  async function orTell(request: FastifyRequest, reply: FastifyReply, to: string, work: () => Promise<unknown>) {
    try {
      return await work();
    } catch (error) {
      if (!isProblem(error) || error.code === 'not_found') throw error;
      if (error.cause) request.log.warn({ err: error.cause }, 'a sign-in elsewhere did not succeed');
      return sendLogin(request, reply, deps, { to, fault: error });
    }
  }

  app.get('/login/oidc', { schema: { querystring: schemas.LoginQuery } }, (request, reply) => {
    const to = ownPath(request.query.to);
    return orTell(request, reply, to, async () => {
      const { url, begun } = await provider().begin();
      // The provider's page leads back here: a stricter one would not be sent then.
      keepCookie(reply, config, cookie, tickets.give({ begun, to }), { sameSite: 'lax', maxAge: lifeSeconds });
      return reply.redirect(url, 303);
    });
  });

  app.get('/login/oidc/callback', (request, reply) => {
    const ticket = tickets.take(ownCookies(request.cookies, config)[cookie] ?? '');
    dropCookie(reply, config, cookie);
    const to = ticket?.to ?? '/containers';
    return orTell(request, reply, to, async () => {
      const query = request.raw.url?.split('?')[1] ?? '';
      if (!ticket || query.length > maxQuery) {
        throw new Problem('unauthenticated', 'This sign-in was not begun here, or took too long. Try again.');
      }
      await entrance.enter(request, reply, await arrive(request, query, ticket.begun));
      return reply.redirect(base + to, 303);
    });
  });

  async function arrive(request: FastifyRequest, query: string, begun: BegunSignIn): Promise<User> {
    const user = await letIn(deps, await provider().finish(query, begun));
    noteFor(request, user.name);
    if (!user.locked) return user;
    throw new Problem('unauthenticated', 'This user is locked.');
  }

  app.get('/login/oidc/out', (request, reply) =>
    orTell(request, reply, '/containers', async () => {
      const url = await provider().endUrl(`${config.publicUrl}/login`);
      return reply.redirect(url ?? `${base}/login`, 303);
    }),
  );
}
