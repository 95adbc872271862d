import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { Deps } from '../deps.ts';
import { wayBack } from './pages.ts';
import { oneOf } from './schemas.ts';

const yearSeconds = 365 * 24 * 3600;

const Preferences = Type.Object({
  theme: Type.Optional(oneOf(['system', 'light', 'dark'])),
  density: Type.Optional(oneOf(['dense', 'roomy'])),
});

/** How somebody wants pages to look, kept in their browser. */
export function registerPreferences(app: App, deps: Deps): void {
  app.post('/preferences', { schema: { body: Preferences } }, (request, reply) => {
    const path = deps.config.basePath || '/';
    for (const [name, value] of Object.entries(request.body)) {
      reply.setCookie(name, value, { path, sameSite: 'lax', httpOnly: true, maxAge: yearSeconds });
    }
    return reply.redirect(wayBack(request, deps, '/containers'), 303);
  });
}
