import { createHash, randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import { Problem } from '../errors.ts';
import { type Capability, capabilities, type Principal, type Scope } from './capabilities.ts';
import type { Database, TokensTable } from './database.ts';

/** A program's key to the API; times in ms since 1970. */
export type Token = {
  id: number;
  name: string;
  capabilities: readonly Capability[];
  scope: Scope;
  /** Who made it. */
  owner: string;
  createdAt: number;
  expiresAt: number | null;
  usedAt: number | null;
};

/** What is said of a new token. */
export type NewToken = Pick<Token, 'name' | 'capabilities' | 'scope' | 'owner' | 'expiresAt'>;

const prefix = 'fairlead_';
const secretBytes = 32;
const pattern = /^fairlead_[A-Za-z0-9_-]{43}$/;
const maxTokens = 1_000;
const maxName = 100;
/** Its last use is written down so often at most. */
const usedRestMs = 60_000;

/** The tokens of programs. */
export type Tokens = Awaited<ReturnType<typeof createTokens>>;

/** Creates the keeper of tokens, which are known by their hashes alone. All are held, as each request may bring one. */
export async function createTokens({ db }: Database, now: () => number = Date.now) {
  const rows = await db.selectFrom('tokens').selectAll().execute();
  const byHash = new Map(rows.map((row) => [row.hash, toToken(row)]));
  const listeners = new Set<(id: number) => void>();

  /**
   * Makes a token; its text is told this once.
   * @throws Problem `invalid`, `conflict`
   */
  async function add(wanted: NewToken): Promise<{ token: Token; text: string }> {
    const name = wanted.name.trim();
    if (name === '' || name.length > maxName || /\p{C}/u.test(name)) {
      throw new Problem('invalid', `name: takes 1 to ${maxName} characters that can be seen.`);
    }
    if (wanted.capabilities.length === 0) throw new Problem('invalid', 'capabilities: name at least one.');
    if (wanted.expiresAt !== null && wanted.expiresAt <= now()) {
      throw new Problem('invalid', 'expiresAt: must be in the future.');
    }
    if (byHash.size >= maxTokens)
      throw new Problem('conflict', `There are ${maxTokens} tokens already, which is the most.`);
    const text = prefix + randomBytes(secretBytes).toString('base64url');
    const hash = hashOf(text);
    const row = await db
      .insertInto('tokens')
      .values({
        name,
        hash,
        capabilities: JSON.stringify([...new Set(wanted.capabilities)]),
        scope: wanted.scope === null ? null : JSON.stringify(wanted.scope),
        owner: wanted.owner,
        created_at: now(),
        expires_at: wanted.expiresAt,
        used_at: null,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    const token = toToken(row);
    byHash.set(hash, token);
    return { token, text };
  }

  /** @throws Problem `not_found` */
  async function remove(id: number): Promise<Token> {
    const found = [...byHash].find(([, token]) => token.id === id);
    if (!found) throw new Problem('not_found', `Token ${id} not found`);
    const [hash, token] = found;
    await db.deleteFrom('tokens').where('id', '=', id).execute();
    byHash.delete(hash);
    for (const listener of listeners) listener(id);
    return token;
  }

  /** Revokes all that somebody made, and tells how many: what they may not do any more, their tokens must not either. */
  async function removeOf(owner: string): Promise<number> {
    const own = [...byHash.values()].filter((token) => token.owner === owner);
    for (const { id } of own) await remove(id);
    return own.length;
  }

  /** Who asks with a token; undefined for one that is not known, or has ended. */
  async function identify(text: string): Promise<Principal | undefined> {
    const hash = pattern.test(text) ? hashOf(text) : '';
    const token = byHash.get(hash);
    if (!token || hasEnded(token)) return undefined;
    const usedAt = now();
    if (token.usedAt === null || usedAt - token.usedAt > usedRestMs) {
      byHash.set(hash, { ...token, usedAt });
      await db.updateTable('tokens').set({ used_at: usedAt }).where('id', '=', token.id).execute();
    }
    return {
      name: `token ${token.name}`,
      kind: 'token',
      userId: null,
      tokenId: token.id,
      capabilities: new Set(token.capabilities),
      scope: token.scope,
    };
  }

  const hasEnded = ({ expiresAt }: Token) => expiresAt !== null && expiresAt <= now();

  return {
    list: (): Token[] => [...byHash.values()].sort((a, b) => b.id - a.id),
    add,
    remove,
    removeOf,
    identify,
    /** Whether a token is there and has not ended. */
    isGood: (id: number): boolean => {
      const token = [...byHash.values()].find((each) => each.id === id);
      return token !== undefined && !hasEnded(token);
    },
    /** Tells which was revoked: what it has open ends. */
    onRemove: (listener: (id: number) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Its 256 random bits need no salt and no slow hash. */
const hashOf = (text: string) => createHash('sha256').update(text).digest('hex');

function toToken(row: Selectable<TokensTable>): Token {
  const named = JSON.parse(row.capabilities) as string[];
  return {
    id: row.id,
    name: row.name,
    capabilities: capabilities.filter((capability) => named.includes(capability)),
    scope: row.scope === null ? null : (JSON.parse(row.scope) as string[]),
    owner: row.owner,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    usedAt: row.used_at,
  };
}
