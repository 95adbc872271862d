import { Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { logChoiceNames, logChoices } from '../views/models/log-display.ts';
import { keepCookie } from './cookies.ts';
import { wayBack } from './pages.ts';
import { oneOf } from './schemas.ts';

const yearSeconds = 365 * 24 * 3600;

const names = ['theme', 'density', ...logChoiceNames] as const;

// Said by the names: fields that are only left out of the schema are dropped in silence.
const Preferences = Type.Object(
  {
    theme: Type.Optional(oneOf(['system', 'light', 'dark'])),
    density: Type.Optional(oneOf(['dense', 'roomy'])),
    logTime: Type.Optional(oneOf(logChoices.logTime)),
    logWrap: Type.Optional(oneOf(logChoices.logWrap)),
    logSize: Type.Optional(oneOf(logChoices.logSize)),
    logColours: Type.Optional(oneOf(logChoices.logColours)),
  },
  { propertyNames: { enum: names } },
);

/** How somebody wants pages to look, kept in their browser. */
export function registerPreferences(app: App, deps: Deps): void {
  app.post('/preferences', { schema: { body: Preferences } }, (request, reply) => {
    for (const name of names) {
      const value = request.body[name];
      if (value !== undefined) keepCookie(reply, deps.config, name, value, { sameSite: 'lax', maxAge: yearSeconds });
    }
    return reply.redirect(wayBack(request, deps, '/containers'), 303);
  });
}
