import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import type { Token } from '../services/tokens.ts';
import { tokenListModel } from '../views/models/access.ts';
import * as schemas from './access-schemas.ts';
import { noteFor } from './audit.ts';
import { toIso, toMoment } from './end-field.ts';
import { actorOf } from './operation-answers.ts';
import { sendPage, viewContext } from './pages.ts';
import { toScope } from './scope-field.ts';

/** Keys of programs to the API, for admins. */
export function registerTokens(app: App, deps: Deps): void {
  const { tokens, config } = deps;
  const tags = ['access'];
  const params = schemas.AccessParams;
  const body = schemas.NewTokenBody;

  app.get('/tokens', (request, reply) => {
    const body = deps.render('pages/tokens', tokenListModel(tokens.list(), viewContext(request, deps)));
    return sendPage(request, reply, deps, { title: 'Tokens', nav: 'admin', topics: [] }, body);
  });

  app.get(
    '/api/tokens',
    { schema: { tags, summary: 'Keys of programs', response: { 200: Type.Array(schemas.Token) } } },
    () => tokens.list().map(toJson),
  );

  // Its text is told in this answer and nowhere else, so there is no way back to be sent to.
  app.post('/tokens', { schema: { body } }, async (request, reply) => {
    const made = await add(request, request.body);
    const model = tokenListModel(tokens.list(), viewContext(request, deps), made);
    return sendPage(
      request,
      reply,
      deps,
      { title: 'Tokens', nav: 'admin', topics: [] },
      deps.render('pages/tokens', model),
    );
  });

  app.post(
    '/api/tokens',
    { schema: { tags, summary: 'Make a token; it is told once', body, response: { 200: schemas.NewToken } } },
    async (request) => {
      const { token, text } = await add(request, request.body);
      return { ...toJson(token), token: text };
    },
  );

  function add(request: FastifyRequest, { name, capabilities, projects, expiresAt }: Static<typeof body>) {
    noteFor(request, name);
    return tokens.add({
      name,
      capabilities: [capabilities].flat(),
      scope: toScope(projects),
      owner: actorOf(request),
      expiresAt: toMoment(expiresAt),
    });
  }

  app.post('/tokens/:n/remove', { schema: { params } }, async (request, reply) => {
    const { name } = await remove(request);
    deps.messages.leave(reply, [{ kind: 'status', text: `Token ${name} was revoked.` }]);
    return reply.redirect(`${config.basePath}/tokens`, 303);
  });

  app.delete(
    '/api/tokens/:n',
    { schema: { tags, summary: 'Revoke a token', params, response: { 200: schemas.Removed } } },
    async (request) => ({ id: (await remove(request)).id, removed: true as const }),
  );

  async function remove(request: FastifyRequest): Promise<Token> {
    const token = await tokens.remove(Number((request.params as Static<typeof params>).n));
    noteFor(request, token.name);
    return token;
  }
}

const toJson = ({ scope, createdAt, expiresAt, usedAt, capabilities, ...token }: Token) => ({
  ...token,
  capabilities: [...capabilities],
  projects: scope === null ? null : [...scope],
  createdAt: new Date(createdAt).toISOString(),
  expiresAt: toIso(expiresAt),
  usedAt: toIso(usedAt),
});
