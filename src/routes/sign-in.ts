import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App, Deps } from '../deps.ts';
import { isProblem, Problem } from '../errors.ts';
import { keyOf } from '../services/sessions.ts';
import type { User } from '../services/users.ts';
import { accountModel } from '../views/models/access.ts';
import * as schemas from './access-schemas.ts';
import { noteFor } from './audit.ts';
import { signIn, signOut } from './identity.ts';
import { sendPage, viewContext } from './pages.ts';

const deviceCookie = 'fairlead_device';
const devicePurpose = 'device';
const deviceSeconds = 365 * 86_400;

/** Signing in and out, the first admin, and one's own account. */
export function registerSignIn(app: App, deps: Deps): void {
  const { config, users, sessions, signInLimit, setupCode, secretBox } = deps;
  const base = config.basePath;

  // ── the first admin ──

  app.get('/setup', { schema: { querystring: schemas.SetupQuery } }, (request, reply) => {
    if (!isOpen(request.query.code)) throw badCode();
    return sendSetup(request, reply, request.query.code);
  });

  app.post('/setup', { schema: { body: schemas.SetupBody } }, async (request, reply) => {
    const { code, username, password } = request.body;
    if (users.count() > 0 || !setupCode?.take(code)) throw badCode();
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

  const isOpen = (code: string) => users.count() === 0 && setupCode?.isRight(code) === true;

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
    return sendLogin(request, reply, to);
  });

  app.post('/login', { schema: { body: schemas.LoginBody } }, async (request, reply) => {
    const { username, password } = request.body;
    const to = ownPath(request.body.to);
    try {
      await enter(request, reply, await check(request, username, password));
    } catch (error) {
      if (!isProblem(error, 'unauthenticated') && !isProblem(error, 'rate_limited')) throw error;
      reply.code(error.status);
      if (error.code === 'rate_limited') reply.header('retry-after', 60);
      return sendLogin(request, reply, to, error.message);
    }
    return reply.redirect(base + to, 303);
  });

  /**
   * The user of a name and a password.
   * @throws Problem `unauthenticated` in the same words and after the same time whatever is wrong, or `rate_limited`
   */
  async function check(request: FastifyRequest, name: string, password: string): Promise<User> {
    const known = users.named(name);
    // What is typed where a name belongs may be a password: only names that there are, are written down.
    noteFor(request, known?.name ?? '');
    const client = clientOf(request, known);
    // One user can be named in many ways, in wide letters for instance, and has one count for all of them.
    const counted = known?.name ?? name;
    await signInLimit.take(counted, client);
    const user = await users.verify(name, password).catch(async (error: unknown) => {
      await signInLimit.giveBack(counted, client);
      throw error;
    });
    if (!user) throw new Problem('unauthenticated', 'Wrong name or password.');
    await signInLimit.succeed(counted, client);
    return user;
  }

  /** The browser, where this user signed in by it before; else the address. */
  function clientOf(request: FastifyRequest, user: User | undefined): string {
    const device = request.cookies[deviceCookie];
    const isOwn = device !== undefined && user && secretBox.open(device, devicePurpose) === String(user.id);
    return isOwn ? keyOf(device) : request.ip;
  }

  async function enter(request: FastifyRequest, reply: FastifyReply, user: User): Promise<void> {
    await signIn(request, user);
    reply.setCookie(deviceCookie, secretBox.seal(String(user.id), devicePurpose), {
      path: base || '/',
      httpOnly: true,
      sameSite: 'strict',
      secure: request.protocol === 'https',
      maxAge: deviceSeconds,
    });
  }

  function sendLogin(request: FastifyRequest, reply: FastifyReply, to: string, fault = '') {
    const needsSetup = users.count() === 0;
    const body = deps.render('pages/login', { base, to: to === '/containers' ? '' : to, fault, needsSetup });
    return sendPage(request, reply, deps, { title: 'Sign in', nav: '', topics: [], isBare: true }, body);
  }

  /** The address stays in a browser after the form: whoever loads it again is not signed out by that. */
  app.get('/logout', (_request, reply) => reply.redirect(`${base}/account`, 303));

  app.post('/logout', async (request, reply) => {
    await signOut(request, reply, config);
    return reply.redirect(`${base}/login`, 303);
  });

  // ── one's own account ──

  /** @throws Problem `not_found` for who is no user, such as a token */
  function own(request: FastifyRequest): User {
    const id = request.principal?.userId ?? null;
    if (id === null) throw new Problem('not_found', 'There is no account here: this is not a user.');
    return users.get(id);
  }

  app.get('/account', async (request, reply) => {
    const user = own(request);
    const open = await sessions.ofUser(user.id);
    const model = accountModel(user, open, keyOf(request.session.sessionId), viewContext(request, deps));
    return sendPage(
      request,
      reply,
      deps,
      { title: user.name, nav: '', topics: [] },
      deps.render('pages/account', model),
    );
  });

  app.post('/account/password', { schema: { body: schemas.PasswordBody } }, async (request, reply) => {
    const user = own(request);
    await check(request, user.name, request.body.current);
    await users.setPassword(user.id, request.body.password);
    await sessions.endAll(user.id);
    await enter(request, reply, user);
    deps.messages.leave(reply, [{ kind: 'status', text: 'The password was changed; all other sessions have ended.' }]);
    return reply.redirect(`${base}/account`, 303);
  });

  app.post('/account/sign-out-everywhere', async (request, reply) => {
    await sessions.endAll(own(request).id);
    await signOut(request, reply, config);
    return reply.redirect(`${base}/login`, 303);
  });
}

const badCode = () =>
  new Problem('forbidden', 'This address is not good any more: it serves once, for an hour, before there is a user.');

/** A path of this server, without the base path; anything else is the list of containers. */
export function ownPath(to: string): string {
  const isPath = /^\/[\x21-\x7e]*$/.test(to) && URL.canParse(to, 'http://own.invalid');
  if (!isPath) return '/containers';
  const { host, pathname, search } = new URL(to, 'http://own.invalid');
  // Dots are resolved by now: what begins with two slashes would be another host.
  const isOwn = host === 'own.invalid' && !/^\/(\/|(login|logout|setup)\b)/.test(pathname);
  return isOwn ? pathname + search : '/containers';
}
