import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import { type EmbedView, embedViewText, parseEmbedView, projectOfView } from '../services/embed-views.ts';
import type { Embed } from '../services/embeds.ts';
import { embedListModel, type MadeEmbed } from '../views/models/embed-list.ts';
import * as schemas from './access-schemas.ts';
import { noteFor } from './audit.ts';
import { toIso, toMoment } from './end-field.ts';
import { actorOf } from './operation-answers.ts';
import { requireEngine, resolveContainer, sendPage, viewContext } from './pages.ts';

/** Links that show one view in pages of other sites, for admins. */
export function registerEmbeds(app: App, deps: Deps): void {
  const { embeds, config } = deps;
  const tags = ['access'];
  const params = schemas.AccessParams;
  const body = schemas.NewEmbedBody;

  app.get('/embeds', { schema: { querystring: schemas.EmbedsQuery } }, (request, reply) =>
    sendList(request, reply, request.query.view),
  );

  app.get(
    '/api/embeds',
    { schema: { tags, summary: 'Links that show one view elsewhere', response: { 200: Type.Array(schemas.Embed) } } },
    () => embeds.list().map(toJson),
  );

  // Its address is told in this answer and nowhere else, so there is no way back to be sent to.
  app.post('/embeds', { schema: { body } }, async (request, reply) => {
    const { embed, link } = await add(request, request.body);
    const view = embedViewText(embed.view);
    // The one page of ours that shows another in a frame: the preview.
    const policy = String(reply.getHeader('content-security-policy') ?? '');
    reply.header('content-security-policy', policy.replace("frame-src 'none'", "frame-src 'self'"));
    return sendList(request, reply, view, { embed, view, url: urlOf(request, link), link });
  });

  app.post(
    '/api/embeds',
    { schema: { tags, summary: 'Make an embed link; it is told once', body, response: { 200: schemas.NewEmbed } } },
    async (request) => {
      const { embed, link } = await add(request, request.body);
      return { ...toJson(embed), url: urlOf(request, link) };
    },
  );

  async function add(request: FastifyRequest, { view, kind, name, origins, expiresAt }: Static<typeof body>) {
    const text = view ?? `${kind ?? ''}${(name ?? '').trim()}`;
    noteFor(request, text.slice(0, 300));
    return embeds.add({
      view: await find(parseEmbedView(text)),
      origins: [origins ?? []].flat().flatMap((item) => item.split(/[\s,]+/)),
      owner: makerOf(request),
      expiresAt: toMoment(expiresAt),
    });
  }

  /**
   * The view of something that is there, by its name: an id would end with its container.
   * @throws Problem `not_found`, `engine_unreachable`
   */
  async function find(view: EmbedView): Promise<EmbedView> {
    if (view.of === 'container') {
      const { name } = await resolveContainer(deps, view.name, checkContainerRef);
      return { ...view, name };
    }
    if (projectOfView(deps.inventory.containers(), view).length === 0) {
      requireEngine(deps);
      throw new Problem('not_found', `Project ${view.name} not found`);
    }
    return view;
  }

  /** Who answers for what is made: for a token, who made that one, as the link ends with them. */
  function makerOf(request: FastifyRequest): string {
    const token = deps.tokens.list().find(({ id }) => id === request.principal?.tokenId);
    return token?.owner ?? actorOf(request);
  }

  app.post('/embeds/:n/remove', { schema: { params } }, async (request, reply) => {
    const { view } = await remove(request);
    deps.messages.leave(reply, [{ kind: 'status', text: `The embed link for ${embedViewText(view)} was revoked.` }]);
    return reply.redirect(`${config.basePath}/embeds`, 303);
  });

  app.delete(
    '/api/embeds/:n',
    { schema: { tags, summary: 'Revoke an embed link', params, response: { 200: schemas.Removed } } },
    async (request) => ({ id: (await remove(request)).id, removed: true as const }),
  );

  async function remove(request: FastifyRequest): Promise<Embed> {
    const embed = await embeds.remove(Number((request.params as Static<typeof params>).n));
    noteFor(request, embedViewText(embed.view));
    return embed;
  }

  const urlOf = ({ protocol, host }: FastifyRequest, link: string) =>
    `${config.publicUrl || `${protocol}://${host}${config.basePath}`}/embed/${link}`;

  function sendList(request: FastifyRequest, reply: FastifyReply, view: string, made?: MadeEmbed) {
    const containers = deps.inventory.containers();
    const names = [...new Set(containers.flatMap(({ name, project }) => [name, ...(project ? [project] : [])]))].sort();
    const rows = embeds.list().map((embed) => ({ embed, view: embedViewText(embed.view) }));
    const model = embedListModel({ rows, names, view, made }, viewContext(request, deps));
    const head = { title: 'Embed links', nav: 'admin', topics: [] } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/embeds', model));
  }
}

const toJson = ({ id, view, origins, owner, createdAt, expiresAt, usedAt }: Embed) => ({
  id,
  view: embedViewText(view),
  origins: [...origins],
  owner,
  createdAt: new Date(createdAt).toISOString(),
  expiresAt: toIso(expiresAt),
  usedAt: toIso(usedAt),
});
