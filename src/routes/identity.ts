import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config.ts';
import { isProblem, Problem } from '../errors.ts';
import { letIn } from '../services/arrivals.ts';
import { anybody, capabilitiesOf, type Principal } from '../services/capabilities.ts';
import type { Embeds } from '../services/embeds.ts';
import { roleOfGroups } from '../services/group-roles.ts';
import { idleMs, type Sessions } from '../services/sessions.ts';
import type { Tokens } from '../services/tokens.ts';
import type { User, Users } from '../services/users.ts';
import { cookieFlags, dropSessionCookie, sessionCookie } from './cookies.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; undefined for who has not signed in. */
    principal: Principal | undefined;
  }
  interface Session {
    userId?: number;
    /** What is told of the browser that signed in. */
    client?: string;
    /** When it was last written down, ms since 1970: that keeps it from ending. */
    seenAt?: number;
    /** Whether it was there before this request: one that has ended meanwhile must not come back by it. */
    isKept?: boolean;
  }
}

/** Where identities come from. */
export type Identities = {
  config: Config;
  users: Users;
  sessions: Sessions;
  tokens: Tokens;
  embeds: Embeds;
  /** Whether an address is of a proxy whose word is taken. */
  isProxy: (address: string | undefined) => boolean;
};

const bearerPattern = /^Bearer +(\S+) *$/i;
/** A session is written down so often at most. */
const seenRestMs = 300_000;
const maxClient = 200;
const maxHeader = 4_096;
const maxGroups = 1_000;

/** What a user may do. */
export const principalOf = ({ id, name, role, scope }: User): Principal => ({
  name,
  kind: 'user',
  userId: id,
  capabilities: capabilitiesOf(role),
  scope,
});

/**
 * Finds out who asks: by a token in `Authorization: Bearer` and nowhere else, or by a session. Who sends a token that is
 * none is nobody: it must not do what its browser's session may. With `AUTH=proxy` the word of a trusted proxy counts.
 * @throws Problem `unauthenticated`, `forbidden` or `conflict` for whom a proxy signs in in vain
 */
export async function identify(request: FastifyRequest, identities: Identities): Promise<Principal | undefined> {
  const { config, users, tokens } = identities;
  if (config.auth === 'none') return anybody(request.ip);
  const { authorization } = request.headers;
  // A proxy may pass on what it signed somebody in by.
  const isOfProxy = config.auth === 'proxy' && !/^bearer\b/i.test(authorization ?? '');
  if (authorization !== undefined && !isOfProxy) {
    return tokens.identify(bearerPattern.exec(authorization)?.[1] ?? '');
  }
  if (config.auth === 'proxy') return identifyByProxy(request, identities);
  const { session } = request;
  const user = session?.userId === undefined ? undefined : users.find(session.userId);
  if (!user || user.locked) return undefined;
  const now = Date.now();
  if (now - (session.seenAt ?? 0) > seenRestMs) {
    session.seenAt = now;
    session.touch();
  }
  return principalOf(user);
}

/** Who comes through a trusted proxy is who it says they are; from anybody else its headers are only text. */
async function identifyByProxy(request: FastifyRequest, identities: Identities): Promise<Principal | undefined> {
  const { config, isProxy } = identities;
  // The connection's own address: the forwarded ones may be anybody's words.
  if (!isProxy(request.socket.remoteAddress)) return undefined;
  const name = readHeader(request, config.proxyUserHeader);
  if (name === '') return undefined;
  const own = readHeader(request, config.proxyGroupsHeader).split(/[,|]/, maxGroups);
  const role = roleOfGroups(
    own.map((group) => group.trim()),
    { admin: config.adminGroups, operator: config.operatorGroups, viewer: config.viewerGroups },
  );
  const user = await letIn(identities, { origin: 'proxy', subject: name, name, role }).catch((error: unknown) => {
    if (!isProblem(error, 'invalid')) throw error;
    throw new Problem('unauthenticated', `The proxy sends a name that nobody can have. ${error.message}`);
  });
  return user.locked ? undefined : principalOf(user);
}

/**
 * A header's text.
 * @throws Problem `unauthenticated` for one that is far too long, or there twice: a proxy that adds its own behind what a
 * browser sent would let anybody choose their groups
 */
function readHeader(request: FastifyRequest, name: string): string {
  const [value = '', ...more] = request.raw.headersDistinct[name.toLowerCase()] ?? [];
  if (more.length > 0) throw new Problem('unauthenticated', `The proxy sends ${name} more than once.`);
  if (value.length > maxHeader) throw new Problem('unauthenticated', `The proxy sends too much in ${name}.`);
  // Bytes come as they are, and are UTF-8 where they are anything.
  return Buffer.from(value, 'latin1').toString('utf8').trim();
}

/** Signs somebody in: the session gets a new id, so that one that was planted before is worth nothing. */
export async function signIn(request: FastifyRequest, user: User): Promise<void> {
  const client = `${request.ip} ${request.headers['user-agent'] ?? ''}`.slice(0, maxClient);
  await request.session.regenerate();
  Object.assign(request.session, { userId: user.id, client, seenAt: Date.now() });
  request.principal = principalOf(user);
}

/** Signs out: the session ends here and in the browser, with the sockets that were opened by it. */
export async function signOut(request: FastifyRequest, reply: FastifyReply, config: Config): Promise<void> {
  if (request.session?.userId !== undefined) await request.session.destroy();
  dropSessionCookie(reply, config);
  request.principal = undefined;
}

/** The settings of the session plugin. The id's 256 random bits are looked up by their hash: they need no signature. */
export function sessionOptions({ config, sessions }: Pick<Identities, 'config' | 'sessions'>) {
  return {
    secret: { sign: (id: string) => id, unsign: (id: string) => ({ valid: true, renew: false, value: id }) },
    cookieName: sessionCookie(config),
    cookie: {
      ...cookieFlags(config),
      sameSite: 'lax' as const,
      secure: 'auto' as const,
      maxAge: idleMs,
    },
    rolling: false,
    saveUninitialized: false,
    store: toStore(sessions),
  };
}

/** Calls back when what somebody asks with ends: their session, or their token. Returns how to stop. */
export function onEnd(
  request: FastifyRequest,
  { config, sessions, tokens }: Omit<Identities, 'isProxy'>,
  listener: () => void,
): () => void {
  const { principal, session } = request;
  if (principal?.kind === 'user' && config.auth === 'proxy') return sessions.onEndAll(principal.userId ?? 0, listener);
  if (principal?.kind === 'user') return sessions.onEnd(session.sessionId, listener);
  const id = principal?.tokenId;
  return id === undefined ? () => {} : tokens.onRemove((removed) => removed === id && listener());
}

/** Whether what somebody asked with is still good. */
export async function isStillIn(
  { principal, session }: FastifyRequest,
  { config, users, sessions, tokens }: Omit<Identities, 'isProxy'>,
): Promise<boolean> {
  if (principal?.kind === 'user' && config.auth === 'proxy') return users.find(principal.userId ?? 0)?.locked === false;
  if (principal?.kind === 'user') return (await sessions.find(session.sessionId)) !== undefined;
  return principal?.tokenId === undefined || tokens.isGood(principal.tokenId);
}

type StoredSession = { userId?: number; client?: string; isKept?: boolean };
type Done = (error?: unknown, session?: never) => void;

/** The keeper of sessions as the plugin wants it. */
function toStore(sessions: Sessions) {
  return {
    get(id: string, done: Done) {
      sessions.find(id).then((found) => done(null, (found ? { ...found.data, isKept: true } : null) as never), done);
    },
    set(id: string, session: StoredSession, done: Done) {
      // One that nobody has signed in by is not kept.
      if (session.userId === undefined) return done();
      const { userId, client = '', isKept } = session;
      const saved = isKept ? sessions.renew(id, session) : sessions.open(id, { user: userId, data: session, client });
      saved.then(() => done(), done);
    },
    destroy(id: string, done: Done) {
      sessions.end(id).then(() => done(), done);
    },
  };
}
