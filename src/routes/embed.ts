import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { openEmbed, renderEmbed } from '../feeds/embeds.ts';
import type { Embed } from '../services/embeds.ts';
import { toHref } from '../views/models/context.ts';
import { type EmbedFrame, embedThemes } from '../views/models/embeds.ts';
import type { Sockets } from './live-sockets.ts';
import { signalOf } from './logs.ts';
import { sendFragment, viewContext } from './pages.ts';
import type { DepsOf } from './scoped-deps.ts';

/** How often a page without scripts is loaded again, in seconds: as often as figures are taken by default. */
const refreshSeconds = 10;

const theme = Type.Unsafe<(typeof embedThemes)[number]>({ type: 'string', enum: embedThemes, default: 'auto' });
/** It becomes part of a style sheet. */
const colour = Type.Optional(Type.String({ pattern: '^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$' }));
const colours = { surface: colour, text: colour, muted: colour, line: colour, accent: colour };
const EmbedQuery = Type.Object({ theme, ...colours });
type Query = Static<typeof EmbedQuery>;

/** What an embed link shows, to whoever has it: a bare page, the same without one, a badge as an image. */
export function registerEmbed(app: App, deps: Deps, depsOf: DepsOf, sockets: Sockets): void {
  const { config, assets, embeds } = deps;
  const schema = { querystring: EmbedQuery };
  const base = config.basePath;

  app.get('/embed/:link', { schema }, async (request, reply) => {
    const { view } = embedOf(request);
    const { theme, ...colours } = request.query;
    const address = `${base}/embed/${(request.params as { link: string }).link}`;
    const hasColours = Object.keys(colours).length > 0;
    return reply.type('text/html; charset=utf-8').view('layouts/embed', {
      base,
      assets,
      theme,
      refreshSeconds,
      title: view.name,
      live: toHref(`${address}/live`, { theme: theme === 'auto' ? '' : theme }),
      coloursHref: hasColours ? toHref(`${address}/colours.css`, colours) : null,
      fragmentHtml: await render(request, reply, request.query),
    });
  });

  app.get('/embed/:link/fragment', { schema }, async (request, reply) =>
    sendFragment(reply, await render(request, reply, request.query)),
  );

  // A script asks before it sends headers of its own, as htmx does.
  app.options('/embed/:link/fragment', (_request, reply) => reply.code(204).send());

  app.get('/embed/:link/badge.svg', { schema }, async (request, reply) => {
    const { look } = embedOf(request).view;
    if (look !== 'badge') throw new Problem('not_found', 'This embed link shows no badge.');
    const html = await render(request, reply, request.query);
    // The image without what is around it in a page.
    return reply.type('image/svg+xml').send(html.slice(html.indexOf('<svg'), html.lastIndexOf('</svg>') + 6));
  });

  app.get('/embed/:link/colours.css', { schema }, (request, reply) => {
    const { theme: _theme, ...colours } = request.query;
    const lines = Object.entries(colours).map(([name, value]) => `  --fairlead-${name}: #${value.replace('#', '')};\n`);
    return reply.type('text/css; charset=utf-8').send(`:root {\n${lines.join('')}}\n`);
  });

  app.get(
    '/embed/:link/live',
    {
      websocket: true,
      schema,
      preHandler: async (request) => {
        if (!request.ws) throw new Problem('invalid', 'This address is a WebSocket.');
        sockets.takePlace(request);
      },
    },
    (socket, request) => {
      const embed = embedOf(request);
      const frame = frameOf(embed, request.query as Query);
      const { hostname, principal } = request;
      const open = openEmbed(depsOf(request), frame, () => viewContext({ hostname, principal }, deps));
      const key = JSON.stringify(['embed', embed.id, frame.theme]);
      sockets.serve(socket, [{ key, open }], {
        isIn: async () => embeds.isGood(embed.id),
        onEnd: (listener) => embeds.onEnd(embed.id, listener),
      });
    },
  );

  const render = (request: FastifyRequest, reply: FastifyReply, query: Query) =>
    renderEmbed(depsOf(request), frameOf(embedOf(request), query), viewContext(request, deps), signalOf(reply));
}

/** The embed that a request was let in for. */
function embedOf({ embed }: FastifyRequest): Embed {
  if (!embed) throw new Problem('not_found', 'There is no such embed link, or it has ended.');
  return embed;
}

const frameOf = ({ id, view }: Embed, { theme }: Query): EmbedFrame => ({ id, view, theme });
