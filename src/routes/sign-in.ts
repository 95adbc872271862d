import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App, Deps } from '../deps.ts';
import { isProblem, Problem } from '../errors.ts';
import * as schemas from './access-schemas.ts';
import { noteFor } from './audit.ts';
import type { Entrance } from './entrance.ts';
import { signOut } from './identity.ts';
import { sendLogin } from './login-pages.ts';
import { ownPath, toSecond } from './own-path.ts';
import { sendPage } from './pages.ts';

/** Signing in and out, and the first admin. */
export function registerSignIn(app: App, deps: Deps, { check, enter, needsMore, wait }: Entrance): void {
  const { config, users, needsAdmin, setupCode } = deps;
  const base = config.basePath;

  // ── the first admin ──

  app.get('/setup', { schema: { querystring: schemas.SetupQuery } }, (request, reply) => {
    if (!isOpen(request.query.code)) throw badCode();
    return sendSetup(request, reply, request.query.code);
  });

  app.post('/setup', { schema: { body: schemas.SetupBody } }, async (request, reply) => {
    const { code, username, password } = request.body;
    if (!needsAdmin() || !setupCode?.take(code)) throw badCode();
    try {
      const user = await users.add({ name: username, password, role: 'admin', scope: null });
      noteFor(request, user.name);
      await enter(request, reply, user);
    } catch (error) {
      setupCode.giveBack();
      if (!isProblem(error, 'invalid')) throw error;
      reply.code(error.status);
      return sendSetup(request, reply, code, error.message);
    }
    return reply.redirect(`${base}/containers`, 303);
  });

  const isOpen = (code: string) => needsAdmin() && setupCode?.isRight(code) === true;

  function sendSetup(request: FastifyRequest, reply: FastifyReply, code: string, fault = '') {
    // The code must not stay where an address is kept or handed on.
    reply.header('referrer-policy', 'no-referrer');
    const body = deps.render('pages/setup', { base, code, fault });
    return sendPage(request, reply, deps, { title: 'Set up', nav: '', topics: [], isBare: true }, body);
  }

  // ── in and out ──

  app.get('/login', { schema: { querystring: schemas.LoginQuery } }, (request, reply) => {
    const to = ownPath(request.query.to);
    if (request.principal) return reply.redirect(base + to, 303);
    return sendLogin(request, reply, deps, { to });
  });

  app.post('/login', { schema: { body: schemas.LoginBody } }, async (request, reply) => {
    const { username, password } = request.body;
    const to = ownPath(request.body.to);
    try {
      const user = await check(request, username, password);
      if (needsMore(user)) {
        wait(reply, user);
        return reply.redirect(toSecond(base, to), 303);
      }
      await enter(request, reply, user);
    } catch (error) {
      if (!isProblem(error, 'unauthenticated') && !isProblem(error, 'rate_limited')) throw error;
      return sendLogin(request, reply, deps, { to, fault: error });
    }
    return reply.redirect(base + to, 303);
  });

  /** The address stays in a browser after the form: whoever loads it again is not signed out by that. */
  app.get('/logout', (_request, reply) => reply.redirect(`${base}/account`, 303));

  app.post('/logout', async (request, reply) => {
    await signOut(request, reply, config);
    return reply.redirect(`${base}/login`, 303);
  });
}

const badCode = () =>
  new Problem('forbidden', 'This address is not good any more: it serves once, for an hour, before there is a user.');
