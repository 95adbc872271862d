import { isIP } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Config, isLoopback } from '../config.ts';
import { Problem } from '../errors.ts';

/** A name or an address, with a port or without. */
const hostPattern = /^(?:[\w.-]{1,253}|\[[\da-f:.]{2,45}\])(?::\d{1,5})?$/i;
/** Traefik names those of sockets in its own way. */
const protocols = new Set(['http', 'https', 'ws', 'wss']);
const socketPaths = new Set(['/live', '/embed/:link/live']);
const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Refuses what a trusted proxy forwards and no proxy would write: names and addresses stand in pages, limits and the audit.
 * Behind one that is not trusted, these headers are not read at all.
 * @throws Problem `invalid` that names the header
 */
export function checkForwarded(request: FastifyRequest): void {
  if (isIP(request.ip) === 0) throw new Problem('invalid', 'X-Forwarded-For: must be IP addresses, without ports.');
  if (!protocols.has(request.protocol)) throw new Problem('invalid', 'X-Forwarded-Proto: must be http or https.');
  // What HTTP itself has no `Host` for is told by checkHost.
  if (request.host !== request.headers.host && !hostPattern.test(request.host))
    throw new Problem('invalid', 'X-Forwarded-Host: must be a host name, with a port or without.');
}

/**
 * Refuses a `Host` that is not this server's: a name rebound by DNS to this address would else make any web page an
 * insider. Bound to loopback, only loopback names are this server's.
 * @throws Problem `misdirected`
 */
export function checkHost(request: FastifyRequest, config: Config): void {
  const host = request.host.toLowerCase();
  const name = host.replace(/:\d+$/, '');
  if (config.allowedHosts.length > 0) {
    if (config.allowedHosts.includes(host) || config.allowedHosts.includes(name)) return;
  } else if (!isLoopback(config.host) || isLoopback(name)) return;
  throw new Problem(
    'misdirected',
    'This server does not answer to that host name. ALLOWED_HOSTS names those that it does.',
  );
}

/**
 * Refuses a change that another site's page sends. Browsers say where a request comes from; what says nothing is no
 * browser, and has no cookies to be abused.
 * @throws Problem `forbidden`
 */
export function checkSite(request: FastifyRequest): void {
  if (safeMethods.has(request.method)) return;
  const site = request.headers['sec-fetch-site'];
  const isOwn = site === undefined ? isSameOrigin(request) : site === 'same-origin' || site === 'none';
  if (!isOwn) throw new Problem('forbidden', 'Changes are accepted from pages of this server only.');
}

/**
 * Refuses a socket that another site's page opens, and one anywhere but where there are some: the plugin would open it
 * first and close it then.
 * @throws Problem `forbidden`, `invalid`
 */
export function checkUpgrade(request: FastifyRequest): void {
  if (!request.ws) return;
  if (!isSameOrigin(request)) throw new Problem('forbidden', 'Sockets are accepted from pages of this server only.');
  if (socketPaths.has(request.routeOptions.config.path ?? '')) return;
  throw new Problem('invalid', 'There is no WebSocket at this address, only at /live.');
}

/** Whether the `Origin` is this server's, or absent. The scheme is left out: a proxy may have ended TLS. */
function isSameOrigin(request: FastifyRequest): boolean {
  const origin = request.headers.origin;
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === withoutDefaultPort(origin, request.host.toLowerCase());
}

/** `Origin` leaves a default port out, `Host` may hold it. */
function withoutDefaultPort(origin: string, host: string): string {
  return host.replace(origin.startsWith('https:') ? /:443$/ : /:80$/, '');
}

/**
 * Lets the origins in `EMBED_ORIGINS` frame and fetch fragments, and nobody anything else. They are read without
 * credentials: what a fragment shows to them is what it shows to anybody.
 */
export function allowEmbedding(request: FastifyRequest, reply: FastifyReply, config: Config): void {
  if (config.embedOrigins.length === 0 || !request.url.startsWith(`${config.basePath}/fragments/`)) return;
  const policy = String(reply.getHeader('content-security-policy') ?? '');
  const ancestors = `frame-ancestors 'self' ${config.embedOrigins.join(' ')}`;
  reply.header('content-security-policy', policy.replace("frame-ancestors 'self'", ancestors));
  reply.removeHeader('x-frame-options');
  reply.header('cross-origin-resource-policy', 'cross-origin');
  reply.header('vary', 'origin');
  const { origin } = request.headers;
  if (origin && config.embedOrigins.includes(origin)) reply.header('access-control-allow-origin', origin);
}
