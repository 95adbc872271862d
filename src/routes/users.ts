import { isDeepStrictEqual } from 'node:util';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { checkNewPassword } from '../services/passwords.ts';
import { checkKeptHere, type User, type UserChange } from '../services/users.ts';
import { userFormModel, userListModel } from '../views/models/access.ts';
import * as schemas from './access-schemas.ts';
import { noteFor } from './audit.ts';
import { sendPage, viewContext } from './pages.ts';
import { isTicked } from './schemas.ts';
import { toScope } from './scope-field.ts';

/** Who may sign in, for admins. */
export function registerUsers(app: App, deps: Deps): void {
  const { users, sessions, tokens, embeds, secondFactors, passkeys, config } = deps;
  const tags = ['access'];
  const params = schemas.AccessParams;
  const numberOf = (request: FastifyRequest) => Number((request.params as Static<typeof params>).n);

  app.get('/users', (request, reply) => {
    const body = deps.render('pages/users', userListModel(users.list(), hasFactor, viewContext(request, deps)));
    return sendPage(request, reply, deps, { title: 'Users', nav: 'admin', topics: [] }, body);
  });

  app.get('/users/new', (request, reply) => sendForm(request, reply, undefined));
  app.get('/users/:n', { schema: { params } }, (request, reply) =>
    sendForm(request, reply, users.get(numberOf(request))),
  );

  function sendForm(request: FastifyRequest, reply: FastifyReply, user: User | undefined) {
    const model = userFormModel(user, user !== undefined && hasFactor(user), viewContext(request, deps));
    return sendPage(
      request,
      reply,
      deps,
      { title: model.form.title, nav: 'admin', topics: [] },
      deps.render('pages/user', model),
    );
  }

  app.get(
    '/api/users',
    { schema: { tags, summary: 'Who may sign in', response: { 200: Type.Array(schemas.User) } } },
    () => users.list().map(toJson),
  );

  const body = schemas.NewUserBody;

  app.post('/users', { schema: { body } }, async (request, reply) =>
    goBack(reply, `User ${(await add(request, request.body)).name} was added.`),
  );

  app.post(
    '/api/users',
    { schema: { tags, summary: 'Add a user', body, response: { 200: schemas.User } } },
    async (request) => toJson(await add(request, request.body)),
  );

  async function add(
    request: FastifyRequest,
    { username, password, role, projects }: Static<typeof body>,
  ): Promise<User> {
    noteFor(request, username);
    return users.add({ name: username, password, role, scope: toScope(projects) });
  }

  const change = { params, body: schemas.UserChangeBody };

  app.post('/users/:n', { schema: change }, async (request, reply) => {
    // A box that is not ticked is not sent along.
    const user = await update(request, { locked: false, ...request.body });
    return goBack(reply, `User ${user.name} was saved.`);
  });

  app.post(
    '/api/users/:n',
    { schema: { tags, summary: 'Change a user; what is left out stays', ...change, response: { 200: schemas.User } } },
    async (request) => toJson(await update(request, request.body)),
  );

  async function update(request: FastifyRequest, wanted: Static<typeof schemas.UserChangeBody>): Promise<User> {
    const id = numberOf(request);
    const before = users.get(id);
    noteFor(request, before.name);
    const next = toChange(wanted);
    const isSelf = request.principal?.userId === id;
    const isOther = next.locked === true || isOtherRight(before, next);
    if (isSelf && isOther) {
      const words = 'Nobody can lock themselves or change their own role and what they see: another admin can.';
      throw new Problem('conflict', words);
    }
    if (wanted.password || (next.role !== undefined && next.role !== before.role)) checkKeptHere(before);
    if (wanted.password) checkNewPassword(wanted.password, before.name);
    const user = await users.change(id, next);
    if (wanted.password) await users.setPassword(id, wanted.password);
    if (isOther || wanted.password) await sessions.endAll(id, isSelf ? request.session.sessionId : undefined);
    if (!mayMakeTokens(user)) await endMade(user);
    return user;
  }

  app.post('/users/:n/remove', { schema: { params } }, async (request, reply) =>
    goBack(reply, `User ${(await remove(request)).name} was removed.`),
  );

  app.delete(
    '/api/users/:n',
    { schema: { tags, summary: 'Remove a user', params, response: { 200: schemas.Removed } } },
    async (request) => ({ id: (await remove(request)).id, removed: true as const }),
  );

  async function remove(request: FastifyRequest): Promise<User> {
    const user = users.get(numberOf(request));
    noteFor(request, user.name);
    // So that no new session begins behind those that end.
    await users.change(user.id, { locked: true });
    await sessions.endAll(user.id);
    await endMade(user);
    return users.remove(user.id);
  }

  app.post('/users/:n/second-factor/remove', { schema: { params } }, async (request, reply) =>
    goBack(reply, `${(await removeFactors(request)).name} signs in with the password alone now.`),
  );

  app.delete(
    '/api/users/:n/second-factor',
    {
      schema: {
        tags,
        summary: 'Remove the app, the passkeys and the recovery codes of a user who has lost them',
        params,
        response: { 200: schemas.User },
      },
    },
    async (request) => toJson(await removeFactors(request)),
  );

  /** Their sessions end: whoever asked for this may be somebody else. */
  async function removeFactors(request: FastifyRequest): Promise<User> {
    const user = users.get(numberOf(request));
    noteFor(request, user.name);
    if (request.principal?.userId === user.id) {
      throw new Problem('conflict', 'Your own second factor is removed in your account, by a code of it.');
    }
    await secondFactors.removeApp(user.id);
    await passkeys.removeAll(user.id);
    await secondFactors.removeCodes(user.id);
    await sessions.endAll(user.id);
    return user;
  }

  const hasFactor = ({ id }: User) => secondFactors.hasApp(id) || passkeys.has(id);

  const toJson = (user: User) => ({ ...toPlain(user), secondFactor: hasFactor(user) });

  /** Ends what somebody made that lets others in. */
  async function endMade({ name }: User): Promise<void> {
    await tokens.removeOf(name);
    await embeds.removeOf(name);
  }

  function goBack(reply: FastifyReply, text: string) {
    deps.messages.leave(reply, [{ kind: 'status', text }]);
    return reply.redirect(`${config.basePath}/users`, 303);
  }
}

/** Whether a change gives or takes something: what a form sends along unchanged does not. */
const isOtherRight = (before: User, { role = before.role, scope = before.scope }: UserChange) =>
  role !== before.role || !isDeepStrictEqual(scope, before.scope);

const mayMakeTokens = ({ role, scope, locked }: User) => role === 'admin' && scope === null && !locked;

const toChange = ({ role, projects, locked }: Static<typeof schemas.UserChangeBody>): UserChange => ({
  ...(role !== undefined && { role }),
  ...(projects !== undefined && { scope: toScope(projects) }),
  ...(locked !== undefined && { locked: isTicked(locked) }),
});

const toPlain = ({ id, name, role, scope, locked, origin, createdAt }: User) => ({
  id,
  username: name,
  role,
  projects: scope === null ? null : [...scope],
  locked,
  origin,
  createdAt: new Date(createdAt).toISOString(),
});
