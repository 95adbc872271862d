import type { FastifyRequest } from 'fastify';
import type { App, Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { keyOf } from '../services/sessions.ts';
import { checkKeptHere, type User } from '../services/users.ts';
import { accountModel } from '../views/models/access.ts';
import * as schemas from './access-schemas.ts';
import type { Entrance } from './entrance.ts';
import { signOut } from './identity.ts';
import { sendPage, viewContext } from './pages.ts';
import { relyingPartyOf } from './relying-party.ts';

/**
 * The user who asks.
 * @throws Problem `not_found` for who is no user, such as a token
 */
export function ownUser(request: FastifyRequest, { users }: Pick<Deps, 'users'>): User {
  const id = request.principal?.userId ?? null;
  if (id === null) throw new Problem('not_found', 'There is no account here: this is not a user.');
  return users.get(id);
}

/** One's own account: where one is signed in, and one's password. */
export function registerAccount(app: App, deps: Deps, entrance: Entrance): void {
  const { config, users, sessions, secondFactors, passkeys } = deps;
  const base = config.basePath;

  app.get('/account', async (request, reply) => {
    const user = ownUser(request, deps);
    const open = await sessions.ofUser(user.id);
    const second = {
      app: await secondFactors.infoOf(user.id),
      passkeys: await passkeys.ofUser(user.id),
      allowsPasskeys: relyingPartyOf(request, config) !== undefined,
    };
    const model = accountModel(user, second, open, keyOf(request.session.sessionId), viewContext(request, deps));
    const body = deps.render('pages/account', model);
    return sendPage(request, reply, deps, { title: user.name, nav: '', topics: [] }, body);
  });

  app.post('/account/password', { schema: { body: schemas.PasswordBody } }, async (request, reply) => {
    const user = ownUser(request, deps);
    checkKeptHere(user);
    await entrance.check(request, user.name, request.body.current);
    await users.setPassword(user.id, request.body.password);
    await sessions.endAll(user.id);
    await entrance.enter(request, reply, user);
    deps.messages.leave(reply, [{ kind: 'status', text: 'The password was changed; all other sessions have ended.' }]);
    return reply.redirect(`${base}/account`, 303);
  });

  app.post('/account/sign-out-everywhere', async (request, reply) => {
    await sessions.endAll(ownUser(request, deps).id);
    await signOut(request, reply, config);
    return reply.redirect(`${base}/login`, 303);
  });
}
