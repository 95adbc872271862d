import { Type } from 'typebox';
import { auditResults } from '../services/audit.ts';
import { capabilities, roles } from '../services/capabilities.ts';
import { embedKinds } from '../services/embed-views.ts';
import { passwordLength } from '../services/passwords.ts';
import { oneOf } from './schemas.ts';

/** The shapes of users, tokens and the audit, and of the forms around signing in. */
const time = Type.String({ format: 'date-time', description: 'RFC 3339' });
const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const isTicked = Type.Union([Type.Boolean(), oneOf(['true', 'false', 'on', '1', '0', ''])]);

const username = Type.String({ minLength: 1, maxLength: 64 });
const password = Type.String({ minLength: 1, maxLength: passwordLength.max });
const newPassword = Type.String({ minLength: passwordLength.min, maxLength: passwordLength.max });
const to = Type.String({ maxLength: 2_000, default: '' });
const scope = Type.Union(
  [Type.Array(Type.String({ maxLength: 255 }), { maxItems: 100 }), Type.String({ maxLength: 2_000 })],
  {
    description: 'projects and names that may be seen, `*` for anything; none for all',
  },
);

export const LoginQuery = Type.Object({ to });
export const LoginBody = Type.Object({ username, password, to });
export const SetupQuery = Type.Object({ code: Type.String({ maxLength: 100, default: '' }) });
export const SetupBody = Type.Object({ code: Type.String({ maxLength: 100 }), username, password: newPassword });
export const PasswordBody = Type.Object({ current: password, password: newPassword });

export const CurrentBody = Type.Object({ current: password });
const code = Type.String({ minLength: 1, maxLength: 40, description: 'of the app, or a recovery code' });
const ticket = Type.String({ minLength: 1, maxLength: 100 });
const response = Type.String({ minLength: 2, maxLength: 16_384, description: 'JSON, as the browser gives it' });
export const SecondBody = Type.Object({ code, to });
export const ConfirmBody = Type.Object({ ticket, code });
export const RemoveFactorBody = Type.Object({ current: password, code });
export const NewCodesBody = Type.Object({ current: password, code: Type.String({ maxLength: 40, default: '' }) });
export const NewPasskeyBody = Type.Object({ ticket, response, name: Type.String({ maxLength: 60, default: '' }) });
export const PasskeySignInBody = Type.Object({ ticket, response, to });
export const PasskeyOptions = Type.Object({
  ticket: Type.String({ description: 'to come back with, good once and for five minutes' }),
  options: Type.Unknown({ description: 'for the WebAuthn API' }),
});

export const AccessParams = Type.Object({ n: Type.String({ pattern: '^[0-9]{1,15}$' }) });

export const NewUserBody = Type.Object({
  username,
  password: newPassword,
  role: oneOf(roles),
  projects: Type.Optional(scope),
});
export const UserChangeBody = Type.Object({
  role: Type.Optional(oneOf(roles)),
  projects: Type.Optional(scope),
  locked: Type.Optional(isTicked),
  password: Type.Optional(Type.Union([newPassword, Type.Literal('')])),
});
export const User = Type.Object({
  id: Type.Integer(),
  username: Type.String(),
  role: Type.String({ description: roles.join(', ') }),
  projects: nullable(Type.Array(Type.String())),
  locked: Type.Boolean(),
  origin: nullable(Type.String({ description: 'where they sign in: an OpenID provider, or `proxy`; null for here' })),
  secondFactor: Type.Boolean({ description: 'whether a password alone does not let them in' }),
  createdAt: time,
});

const oneCapability = oneOf(capabilities);
export const NewTokenBody = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 100 }),
  capabilities: Type.Union([Type.Array(oneCapability, { maxItems: 20 }), oneCapability]),
  projects: Type.Optional(scope),
  expiresAt: Type.Optional(nullable(Type.String({ maxLength: 40, description: 'RFC 3339, or a date' }))),
});
const tokenFields = {
  id: Type.Integer(),
  name: Type.String(),
  capabilities: Type.Array(Type.String()),
  projects: nullable(Type.Array(Type.String())),
  owner: Type.String(),
  createdAt: time,
  expiresAt: nullable(time),
  usedAt: nullable(time),
};
export const Token = Type.Object(tokenFields);
export const NewToken = Type.Object({ ...tokenFields, token: Type.String({ description: 'told this once' }) });

const origin = Type.String({ maxLength: 300 });
/** A view as one text, or in two parts as a form sends it. */
export const NewEmbedBody = Type.Object({
  view: Type.Optional(
    Type.String({
      maxLength: 300,
      description:
        '`container:<name or id>`, `stats:…`, `logs:…`, `badge:…`, `project:<name>`, `logs:project:…`, `badge:project:…`',
    }),
  ),
  kind: Type.Optional(oneOf(embedKinds.map(([prefix]) => prefix))),
  name: Type.Optional(Type.String({ maxLength: 255 })),
  origins: Type.Optional(
    Type.Union([Type.Array(origin, { maxItems: 100 }), Type.String({ maxLength: 8_000 })], {
      description: 'which pages may frame and fetch it, such as `https://wiki.example`; none for servers alone',
    }),
  ),
  expiresAt: Type.Optional(nullable(Type.String({ maxLength: 40, description: 'RFC 3339, or a date' }))),
});
export const EmbedsQuery = Type.Object({ view: Type.String({ maxLength: 300, default: '' }) });
const embedFields = {
  id: Type.Integer(),
  view: Type.String(),
  origins: Type.Array(Type.String()),
  owner: Type.String(),
  createdAt: time,
  expiresAt: nullable(time),
  usedAt: nullable(time),
};
export const Embed = Type.Object(embedFields);
export const NewEmbed = Type.Object({ ...embedFields, url: Type.String({ description: 'told this once' }) });

export const Removed = Type.Object({ id: Type.Integer(), removed: Type.Literal(true) });

export const AuditQuery = Type.Object({
  actor: Type.String({ maxLength: 200, default: '' }),
  target: Type.String({ maxLength: 300, default: '' }),
  result: Type.Unsafe<'' | (typeof auditResults)[number]>({ type: 'string', enum: ['', ...auditResults], default: '' }),
  before: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
  limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }),
});
export const AuditEntry = Type.Object({
  id: Type.Integer(),
  at: time,
  actor: Type.String(),
  client: Type.String(),
  action: Type.String({ description: 'method and route' }),
  target: Type.String(),
  result: Type.String({ description: auditResults.join(', ') }),
  detail: Type.String(),
  container: Type.String({
    description: 'its name, or project: and that of a project; empty where it is about neither',
  }),
});
