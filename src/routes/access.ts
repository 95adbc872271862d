import { Problem } from '../errors.ts';
import type { Capability, Principal } from '../services/capabilities.ts';
import type { EngineRights } from '../services/engine-rights.ts';
import type { Can } from '../views/models/context.ts';

/**
 * What a route asks for: a capability, a sign-in (`self`: what everybody may do with what is their own), an embed link and
 * nothing else (`embed`), or nothing.
 */
export type Access = Capability | 'self' | 'embed' | 'public';

/**
 * The access table: every route by method and path, and the capability that it asks for. A route that is not here does
 * not let the program start, so that none can be forgotten.
 */
const routes: Record<string, Access> = {
  'GET /healthz': 'public',
  'GET /readyz': 'public',
  'GET /assets/:file': 'public',
  'GET /favicon.ico': 'public',
  'GET /favicon.svg': 'public',

  'GET /setup': 'public',
  'POST /setup': 'public',
  'GET /login': 'public',
  'POST /login': 'public',
  'GET /login/second': 'public',
  'POST /login/second': 'public',
  'GET /api/login/passkey/options': 'public',
  'POST /login/passkey': 'public',
  'GET /login/oidc': 'public',
  'GET /login/oidc/callback': 'public',
  'GET /login/oidc/out': 'public',
  'GET /logout': 'self',
  'POST /logout': 'self',
  'GET /account': 'self',
  'POST /account/password': 'self',
  'POST /account/sign-out-everywhere': 'self',
  'POST /account/second-factor': 'self',
  'POST /account/second-factor/confirm': 'self',
  'POST /account/second-factor/remove': 'self',
  'POST /account/recovery-codes': 'self',
  'POST /api/account/passkeys/options': 'self',
  'POST /account/passkeys': 'self',
  'POST /account/passkeys/:n/remove': 'self',

  'GET /users': 'admin',
  'GET /users/new': 'admin',
  'GET /users/:n': 'admin',
  'GET /api/users': 'admin',
  'POST /users': 'admin',
  'POST /api/users': 'admin',
  'POST /users/:n': 'admin',
  'POST /api/users/:n': 'admin',
  'POST /users/:n/remove': 'admin',
  'DELETE /api/users/:n': 'admin',
  'POST /users/:n/second-factor/remove': 'admin',
  'DELETE /api/users/:n/second-factor': 'admin',

  'GET /tokens': 'admin',
  'GET /api/tokens': 'admin',
  'POST /tokens': 'admin',
  'POST /api/tokens': 'admin',
  'POST /tokens/:n/remove': 'admin',
  'DELETE /api/tokens/:n': 'admin',

  'GET /embeds': 'admin',
  'GET /api/embeds': 'admin',
  'POST /embeds': 'admin',
  'POST /api/embeds': 'admin',
  'POST /embeds/:n/remove': 'admin',
  'DELETE /api/embeds/:n': 'admin',

  'GET /embed/:link': 'embed',
  'GET /embed/:link/fragment': 'embed',
  'OPTIONS /embed/:link/fragment': 'embed',
  'GET /embed/:link/badge.svg': 'embed',
  'GET /embed/:link/colours.css': 'embed',
  'GET /embed/:link/live': 'embed',
  'GET /embed.css': 'public',

  'GET /audit': 'admin',
  'GET /fragments/audit': 'admin',
  'GET /api/audit': 'admin',

  'GET /': 'read',
  'GET /live': 'read',
  'GET /api/openapi.json': 'read',
  'GET /metrics': 'read',
  'POST /preferences': 'read',

  'GET /dashboard': 'read',
  'GET /fragments/dashboard': 'read',
  'GET /api/dashboard': 'read',
  // The engine measures: nothing is changed by it.
  'POST /dashboard/disk': 'read',
  'POST /api/dashboard/disk': 'read',

  'GET /containers': 'read',
  'GET /fragments/containers': 'read',
  'GET /api/containers': 'read',
  'GET /containers/:id': 'read',
  'GET /fragments/containers/:id': 'read',
  'GET /api/containers/:id': 'read',
  'GET /containers/:id/remove': 'remove',
  'POST /containers/:id/remove': 'remove',
  'POST /api/containers/:id/remove': 'remove',
  'GET /containers/:id/reveal': 'read',
  'POST /containers/:id/reveal': 'admin',
  'GET /containers/:id/rebuild': 'rebuild',
  'GET /fragments/containers/:id/rebuild': 'rebuild',
  'GET /api/containers/:id/rebuild': 'rebuild',
  'POST /containers/:id/rebuild': 'rebuild',
  'POST /api/containers/:id/rebuild': 'rebuild',
  'POST /containers/:id/:action': 'control',
  'POST /api/containers/:id/:action': 'control',

  'GET /containers/:id/logs': 'read',
  'GET /fragments/containers/:id/logs': 'read',
  'GET /api/containers/:id/logs': 'read',
  'GET /containers/:id/stats': 'read',
  'GET /fragments/containers/:id/stats': 'read',
  'GET /api/containers/:id/stats': 'read',
  'GET /containers/:id/timeline': 'read',
  'GET /fragments/containers/:id/timeline': 'read',
  'GET /api/containers/:id/timeline': 'read',

  'GET /logs': 'read',
  'GET /fragments/logs': 'read',
  'GET /api/logs': 'read',

  'GET /events': 'read',
  'GET /fragments/events': 'read',
  'GET /api/events': 'read',

  'GET /alerts': 'read',
  'GET /fragments/alerts': 'read',
  'GET /api/alerts': 'read',
  'GET /api/alerts/notifications': 'read',
  'GET /alerts/rules/new': 'alerts',
  'GET /alerts/rules/:n': 'alerts',
  'POST /alerts/rules': 'alerts',
  'POST /api/alerts/rules': 'alerts',
  'POST /alerts/rules/:n': 'alerts',
  'POST /api/alerts/rules/:n': 'alerts',
  'POST /alerts/rules/:n/:action': 'alerts',
  'POST /api/alerts/rules/:n/:action': 'alerts',
  'GET /alerts/channels/new': 'alerts',
  'GET /alerts/channels/:n': 'alerts',
  'POST /alerts/channels': 'alerts',
  'POST /api/alerts/channels': 'alerts',
  'POST /alerts/channels/:n': 'alerts',
  'POST /api/alerts/channels/:n': 'alerts',
  'POST /alerts/channels/:n/:action': 'alerts',
  'POST /api/alerts/channels/:n/:action': 'alerts',

  'GET /projects/:project': 'read',
  'GET /fragments/projects/:project': 'read',
  'GET /api/projects/:project': 'read',
  'GET /projects/:project/logs': 'read',
  'GET /fragments/projects/:project/logs': 'read',
  'GET /api/projects/:project/logs': 'read',
  'GET /projects/:project/stats': 'read',
  'GET /fragments/projects/:project/stats': 'read',
  'GET /api/projects/:project/stats': 'read',
  'GET /projects/:project/rebuild': 'rebuild',
  'POST /projects/:project/rebuild': 'rebuild',
  'POST /api/projects/:project/rebuild': 'rebuild',
  'POST /projects/:project/:action': 'control',
  'POST /api/projects/:project/:action': 'control',

  'GET /images': 'read',
  'GET /fragments/images': 'read',
  'GET /api/images': 'read',
  'GET /images/pull': 'images',
  'POST /images/pull': 'images',
  'POST /api/images/pull': 'images',
  'POST /images/check': 'images',
  'POST /api/images/check': 'images',
  'GET /images/prune': 'images',
  'POST /images/prune': 'images',
  'POST /api/images/prune': 'images',
  'GET /images/:id': 'read',
  'GET /fragments/images/:id': 'read',
  'GET /api/images/:id': 'read',
  'GET /images/:id/remove': 'images',
  'POST /images/:id/remove': 'images',
  'POST /api/images/:id/remove': 'images',

  'GET /operations': 'read',
  'GET /fragments/operations': 'read',
  'GET /api/operations': 'read',
  'GET /operations/:n': 'read',
  'GET /fragments/operations/:n': 'read',
  'GET /api/operations/:n': 'read',
  // Besides, the kind of the work has to be one that its canceller may start.
  'POST /operations/:n/cancel': 'control',
  'POST /api/operations/:n/cancel': 'control',
  'POST /operations/:n/abandon': 'rebuild',
  'POST /api/operations/:n/abandon': 'rebuild',
  'POST /operations/:n/dismiss': 'control',
  'POST /api/operations/:n/dismiss': 'control',
};

/** The same for what a page follows: a topic that is not here can't be joined, and does not let the program start. */
const topics: Record<string, Access> = {
  containers: 'read',
  container: 'read',
  head: 'read',
  project: 'read',
  images: 'read',
  image: 'read',
  logs: 'read',
  stats: 'read',
  dashboard: 'read',
  operations: 'read',
  operation: 'read',
  events: 'read',
  timeline: 'read',
  alerts: 'read',
};

/**
 * The routes that are open to who sees some containers only, besides what asks for a sign-in or for nothing: each shows
 * what they see, and no more. Whatever is not here is about all containers, and refused to them.
 */
const routesForLimited = new Set([
  'GET /',
  'GET /live',
  'GET /api/openapi.json',
  'POST /preferences',

  'GET /containers',
  'GET /fragments/containers',
  'GET /api/containers',
  'GET /containers/:id',
  'GET /fragments/containers/:id',
  'GET /api/containers/:id',
  'GET /containers/:id/remove',
  'POST /containers/:id/remove',
  'POST /api/containers/:id/remove',
  'GET /containers/:id/reveal',
  'POST /containers/:id/reveal',
  'GET /containers/:id/rebuild',
  'GET /fragments/containers/:id/rebuild',
  'GET /api/containers/:id/rebuild',
  'POST /containers/:id/rebuild',
  'POST /api/containers/:id/rebuild',
  'POST /containers/:id/:action',
  'POST /api/containers/:id/:action',

  'GET /containers/:id/logs',
  'GET /fragments/containers/:id/logs',
  'GET /api/containers/:id/logs',
  'GET /containers/:id/stats',
  'GET /fragments/containers/:id/stats',
  'GET /api/containers/:id/stats',
  'GET /containers/:id/timeline',
  'GET /fragments/containers/:id/timeline',
  'GET /api/containers/:id/timeline',

  'GET /logs',
  'GET /fragments/logs',
  'GET /api/logs',

  'GET /projects/:project',
  'GET /fragments/projects/:project',
  'GET /api/projects/:project',
  'GET /projects/:project/logs',
  'GET /fragments/projects/:project/logs',
  'GET /api/projects/:project/logs',
  'GET /projects/:project/rebuild',
  'POST /projects/:project/rebuild',
  'POST /api/projects/:project/rebuild',
  'POST /projects/:project/:action',
  'POST /api/projects/:project/:action',

  // Of these, what they asked for themselves.
  'GET /operations',
  'GET /fragments/operations',
  'GET /api/operations',
  'GET /operations/:n',
  'GET /fragments/operations/:n',
  'GET /api/operations/:n',
  'POST /operations/:n/cancel',
  'POST /api/operations/:n/cancel',
  'POST /operations/:n/abandon',
  'POST /api/operations/:n/abandon',
  'POST /operations/:n/dismiss',
  'POST /api/operations/:n/dismiss',
]);

/** The same for topics. */
const topicsForLimited = new Set([
  'containers',
  'container',
  'head',
  'project',
  'logs',
  'stats',
  'timeline',
  'operations',
  'operation',
]);

/** Whether a route is open to who sees some containers only; HEAD is GET. */
export function isRouteForLimited(methods: readonly string[], path: string): boolean {
  const access = accessOfRoute(methods, path);
  return (
    access === 'public' ||
    access === 'self' ||
    access === 'embed' ||
    methods.every((method) => routesForLimited.has(keyOf(method, path)))
  );
}

/** Whether a topic is open to who sees some containers only. */
export const isTopicForLimited = (kind: string): boolean => topicsForLimited.has(kind);

/** All routes, as `GET /path`, and all topics that there may be. */
export const tables = { routes: Object.keys(routes), topics: Object.keys(topics) } as const;

const keyOf = (method: string, path: string) => `${method === 'HEAD' ? 'GET' : method} ${path}`;

/**
 * What a route asks for, which is the same for all its methods; HEAD is GET.
 * @throws Error for a route that is not in the table
 */
export function accessOfRoute(methods: readonly string[], path: string): Access {
  const [access, ...others] = methods.map((method) => routes[keyOf(method, path)]);
  if (access && others.every((other) => other === access)) return access;
  throw new Error(`The route ${methods.join(', ')} ${path} is not in the access table.`);
}

/**
 * What a topic asks for.
 * @throws Error for a topic that is not in the table
 */
export function accessOfTopic(kind: string): Access {
  const access = Object.hasOwn(topics, kind) ? topics[kind] : undefined;
  if (!access) throw new Error(`The topic ${kind} is not in the access table.`);
  return access;
}

/**
 * Lets somebody pass or not.
 * @throws Problem `unauthenticated`, `forbidden`, or `disabled` where nobody can do it
 */
export function checkAccess(
  access: Access,
  principal: Principal | undefined,
  rights: Pick<EngineRights, 'reasonAgainst'>,
): void {
  if (access === 'public') return;
  if ((access === 'embed') !== (principal?.kind === 'embed')) {
    throw new Problem('not_found', 'There is no such embed link, or it has ended.');
  }
  if (access === 'embed') return;
  if (!principal)
    throw new Problem('unauthenticated', 'Sign in first, or send a token that is known and has not ended.');
  if (access === 'self') return;
  if (!principal.capabilities.has(access)) {
    throw new Problem('forbidden', `This asks for the capability ${access}, which ${principal.name} does not have.`);
  }
  const reason = rights.reasonAgainst(access);
  if (reason !== null) throw new Problem('disabled', reason);
}

/**
 * Lets somebody pass who sees everything, or where what they ask for is open to who does not.
 * @throws Problem `forbidden`
 */
export function checkScope(isForLimited: boolean, principal: Principal | undefined): void {
  if (isForLimited || !principal || principal.scope === null) return;
  throw new Problem('forbidden', 'You may see some containers only; this page is about all of them.');
}

/** What somebody may do, of what can be done at all. */
export function offers(rights: Pick<EngineRights, 'reasonAgainst' | 'limits'>, principal: Principal | undefined): Can {
  const may = (capability: Capability) =>
    principal?.capabilities.has(capability) === true && rights.reasonAgainst(capability) === null;
  const all = principal?.scope === null;
  return {
    all,
    control: may('control'),
    remove: may('remove'),
    images: all && may('images'),
    rebuild: may('rebuild'),
    alerts: all && may('alerts'),
    admin: all && may('admin'),
    reveal: may('admin'),
    refused: rights.limits().refused,
  };
}
