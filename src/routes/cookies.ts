import type { FastifyReply } from 'fastify';
import type { Config } from '../config.ts';

const hostPrefix = '__Host-';

type Ways = Pick<Config, 'publicUrl' | 'basePath' | 'trustProxy'>;

/** How long a cookie is kept, in seconds, and whether it comes along with a link from another site. */
export type CookieTerms = { maxAge: number; sameSite: 'lax' | 'strict' };

/** Whether people come by TLS, and to a host name that serves nothing but this. */
export const isHostOurs = ({ publicUrl, basePath }: Pick<Config, 'publicUrl' | 'basePath'>): boolean =>
  publicUrl.startsWith('https:') && basePath === '' && new URL(publicUrl).pathname === '/';

/** `__Host-` binds a cookie to this host and to TLS; browsers take it for a whole host only, and by TLS only. */
const isBound = (config: Ways) => isHostOurs(config) && config.trustProxy !== false;

/** What a cookie is called here. */
export const cookieName = (config: Ways, name: string): string => (isBound(config) ? hostPrefix + name : name);

/** What the cookie is called that holds the session. */
export const sessionCookie = (config: Ways): string => (isBound(config) ? `${hostPrefix}fairlead` : 'fairlead_session');

/** What every cookie has; whether it is `Secure` depends on the request. */
export const cookieFlags = (config: Ways) => ({ path: config.basePath || '/', httpOnly: true });

/** The cookies that came along, by the names that they have in this program: others of the same name are not ours. */
export function ownCookies(
  cookies: Record<string, string | undefined> | undefined,
  config: Ways,
): Record<string, string | undefined> {
  if (!isBound(config)) return cookies ?? {};
  return Object.fromEntries(
    Object.entries(cookies ?? {})
      .filter(([name]) => name.startsWith(hostPrefix))
      .map(([name, value]) => [name.slice(hostPrefix.length), value]),
  );
}

/** Gives the browser a cookie: no script can read it, and where the request came by TLS it goes by TLS only. */
export function keepCookie(reply: FastifyReply, config: Ways, name: string, value: string, terms: CookieTerms): void {
  reply.setCookie(cookieName(config, name), value, { ...cookieFlags(config), ...terms, secure: isSecure(reply) });
}

/** Takes a cookie away from the browser. */
export function dropCookie(reply: FastifyReply, config: Ways, name: string): void {
  clear(reply, config, cookieName(config, name));
}

/** Takes the cookie of the session away from the browser. */
export function dropSessionCookie(reply: FastifyReply, config: Ways): void {
  clear(reply, config, sessionCookie(config));
}

function clear(reply: FastifyReply, config: Ways, name: string) {
  reply.clearCookie(name, { ...cookieFlags(config), sameSite: 'lax', secure: isSecure(reply) });
}

const isSecure = (reply: FastifyReply) => reply.request.protocol === 'https';
