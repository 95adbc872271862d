import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';
import type { Principal } from '../services/capabilities.ts';
import { embedScope } from '../services/embed-views.ts';
import type { Embed, Embeds } from '../services/embeds.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the link of the address shows; undefined for all other addresses. */
    embed: Embed | undefined;
  }
}

/** How an embed may look; what it shows is said by its link alone. */
const parameters = new Set(['theme', 'surface', 'text', 'muted', 'line', 'accent']);
/** What htmx and plain scripts send along. */
const allowedHeaders =
  'accept, content-type, hx-boosted, hx-current-url, hx-request, hx-request-type, hx-source, hx-target';
const preflightSeconds = 600;

/** Takes away what says who somebody is, before anything reads it: an embed is the same for everybody who has its link. */
export function dropCredentials(request: FastifyRequest): void {
  if (request.routeOptions.config.access !== 'embed') return;
  delete request.raw.headers.cookie;
  delete request.raw.headers.authorization;
}

/**
 * Who asks by an embed link: somebody who may read one object. Undefined for a link that is none.
 * @throws Problem `forbidden` for a page of an origin that the link was not made for, `invalid` for any other parameter
 */
export async function admitByLink(request: FastifyRequest, embeds: Embeds): Promise<Principal | undefined> {
  const embed = await embeds.find((request.params as { link?: string }).link ?? '');
  if (!embed) return undefined;
  const { origin } = request.headers;
  const isPreflight = request.method === 'OPTIONS';
  if (origin !== undefined && !request.ws && !isPreflight && !embed.origins.includes(origin)) {
    throw new Problem('forbidden', 'This embed link was not made for pages of that origin.');
  }
  const unknown = Object.keys(request.query as object).find((name) => !parameters.has(name));
  if (unknown !== undefined) {
    throw new Problem('invalid', `${unknown.slice(0, 40)}: is no parameter of an embed, which shows one view alone.`);
  }
  request.embed = embed;
  return {
    name: `embed ${embed.id}`,
    kind: 'embed',
    userId: null,
    capabilities: new Set(['read']),
    scope: embedScope(embed.view),
  };
}

/** Lets the origins of an embed link frame and fetch what it shows, without credentials, and nobody else. */
export function sendEmbedHeaders(request: FastifyRequest, reply: FastifyReply): void {
  if (request.routeOptions.config.access !== 'embed') return;
  reply.header('referrer-policy', 'no-referrer');
  reply.header('vary', 'origin');
  const { embed } = request;
  if (!embed) return;
  const policy = String(reply.getHeader('content-security-policy') ?? '');
  const ancestors = embed.origins.length > 0 ? `'self' ${embed.origins.join(' ')}` : "'none'";
  reply.header('content-security-policy', policy.replace("frame-ancestors 'self'", `frame-ancestors ${ancestors}`));
  if (embed.origins.length === 0) return;
  // It knows no list of origins: the policy is what counts.
  reply.removeHeader('x-frame-options');
  reply.header('cross-origin-resource-policy', 'cross-origin');
  const { origin } = request.headers;
  if (origin === undefined || !embed.origins.includes(origin)) return;
  reply.header('access-control-allow-origin', origin);
  if (request.method !== 'OPTIONS') return;
  reply.header('access-control-allow-methods', 'GET');
  reply.header('access-control-allow-headers', allowedHeaders);
  reply.header('access-control-max-age', preflightSeconds);
}
