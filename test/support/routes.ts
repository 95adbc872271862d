import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance } from 'fastify';
import type { Test } from 'tap';

/** Writes down every route of applications that are built from here on, as the framework itself is told them. */
export function watchRoutes(t: Test) {
  const routes = new Set<string>();
  const watch = (message: unknown) =>
    (message as { fastify: FastifyInstance }).fastify.addHook('onRoute', ({ method, url }) => {
      for (const each of [method].flat()) if (each !== 'HEAD') routes.add(`${each} ${url}`);
    });
  subscribe('fastify.initialization', watch);
  t.teardown(() => unsubscribe('fastify.initialization', watch));
  return routes;
}

/** Names things that are not there, so that what is allowed does nothing. */
export const addressOf = (path: string) =>
  path
    .replace(':id', 'nobody')
    .replace(':project', 'nothing')
    .replace(':n', '999999')
    .replace(':file', 'nothing.css')
    .replace(':link', 'A'.repeat(43))
    .replace(':action', path.includes('/alerts/') ? 'test' : 'start');
