import { createHash, randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import { Problem } from '../errors.ts';
import type { Database, EmbedsTable } from './database.ts';
import { type EmbedView, embedViewText, parseEmbedView } from './embed-views.ts';

/** A link that shows one view in pages of other sites; times in ms since 1970. */
export type Embed = {
  id: number;
  view: EmbedView;
  /** The pages that may frame and fetch it; none for servers and for a window of its own. */
  origins: readonly string[];
  /** Who made it. */
  owner: string;
  createdAt: number;
  expiresAt: number | null;
  usedAt: number | null;
};

/** What is said of a new embed. */
export type NewEmbed = Pick<Embed, 'view' | 'origins' | 'owner' | 'expiresAt'>;

const linkBytes = 32;
const pattern = /^[A-Za-z0-9_-]{43}$/;
const maxEmbeds = 1_000;
const maxOrigins = 20;
const maxOrigin = 300;
/** Its last use is written down so often at most. */
const usedRestMs = 60_000;
/** Timers can't wait longer than 24 days. */
const maxWaitMs = 86_400_000;

/** The embed links. */
export type Embeds = Awaited<ReturnType<typeof createEmbeds>>;

/** Creates the keeper of embed links, which are known by their hashes alone. All are held: pages ask again and again. */
export async function createEmbeds({ db }: Database, now: () => number = Date.now) {
  const rows = await db.selectFrom('embeds').selectAll().execute();
  const byHash = new Map(rows.map((row) => [row.hash, toEmbed(row)]));
  const listeners = new Set<(id: number) => void>();

  /**
   * Makes an embed; its link is told this once.
   * @throws Problem `invalid`, `conflict`
   */
  async function add(wanted: NewEmbed): Promise<{ embed: Embed; link: string }> {
    const origins = checkOrigins(wanted.origins);
    if (wanted.expiresAt !== null && wanted.expiresAt <= now()) {
      throw new Problem('invalid', 'expiresAt: must be in the future.');
    }
    if (byHash.size >= maxEmbeds) {
      throw new Problem('conflict', `There are ${maxEmbeds} embed links already, which is the most.`);
    }
    const link = randomBytes(linkBytes).toString('base64url');
    const hash = hashOf(link);
    const row = await db
      .insertInto('embeds')
      .values({
        hash,
        view: embedViewText(wanted.view),
        origins: JSON.stringify(origins),
        owner: wanted.owner,
        created_at: now(),
        expires_at: wanted.expiresAt,
        used_at: null,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    const embed = toEmbed(row);
    byHash.set(hash, embed);
    return { embed, link };
  }

  /** @throws Problem `not_found` */
  async function remove(id: number): Promise<Embed> {
    const found = [...byHash].find(([, embed]) => embed.id === id);
    if (!found) throw new Problem('not_found', `Embed link ${id} not found`);
    const [hash, embed] = found;
    await db.deleteFrom('embeds').where('id', '=', id).execute();
    byHash.delete(hash);
    for (const listener of [...listeners]) listener(id);
    return embed;
  }

  /** Revokes all that somebody made, and tells how many: who may not show things any more must not by a link either. */
  async function removeOf(owner: string): Promise<number> {
    const own = [...byHash.values()].filter((embed) => embed.owner === owner);
    for (const { id } of own) await remove(id);
    return own.length;
  }

  /** What a link shows; undefined for one that is not known, was revoked, or has ended: nobody learns which. */
  async function find(link: string): Promise<Embed | undefined> {
    const hash = pattern.test(link) ? hashOf(link) : '';
    const embed = byHash.get(hash);
    if (!embed || hasEnded(embed)) return undefined;
    const usedAt = now();
    if (embed.usedAt === null || usedAt - embed.usedAt > usedRestMs) {
      byHash.set(hash, { ...embed, usedAt });
      await db.updateTable('embeds').set({ used_at: usedAt }).where('id', '=', embed.id).execute();
    }
    return embed;
  }

  const hasEnded = ({ expiresAt }: Embed) => expiresAt !== null && expiresAt <= now();

  const isGood = (id: number): boolean => {
    const embed = [...byHash.values()].find((each) => each.id === id);
    return embed !== undefined && !hasEnded(embed);
  };

  /** Calls back once when an embed is revoked or its time is over. Returns how to stop. */
  function onEnd(id: number, listener: () => void): () => void {
    let timer: NodeJS.Timeout | undefined;
    const onRemove = (removed: number) => {
      if (removed === id) end();
    };
    const stop = () => {
      clearTimeout(timer);
      listeners.delete(onRemove);
    };
    const end = () => {
      stop();
      listener();
    };
    const wait = () => {
      if (!isGood(id)) return end();
      const { expiresAt = null } = [...byHash.values()].find((each) => each.id === id) ?? {};
      if (expiresAt !== null) timer = setTimeout(wait, Math.min(expiresAt - now(), maxWaitMs));
    };
    listeners.add(onRemove);
    wait();
    return stop;
  }

  return {
    list: (): Embed[] => [...byHash.values()].sort((a, b) => b.id - a.id),
    add,
    remove,
    removeOf,
    find,
    isGood,
    onEnd,
  };
}

/**
 * Reads which pages may show an embed, each once.
 * @throws Problem `invalid` for what is no exact origin, or for too many
 */
export function checkOrigins(wanted: readonly string[]): string[] {
  const origins = [...new Set(wanted.map((origin) => origin.trim()).filter((origin) => origin !== ''))];
  if (origins.length > maxOrigins) throw new Problem('invalid', `origins: ${maxOrigins} at most.`);
  const wrong = origins.find((origin) => !isOrigin(origin));
  if (wrong !== undefined) {
    throw new Problem(
      'invalid',
      `origins: takes exact origins such as https://wiki.example or http://home.lan:8080, not ${wrong.slice(0, 80)}`,
    );
  }
  return origins;
}

/** They stand in headers: a URL alone would let `;` through as part of a name. */
function isOrigin(text: string): boolean {
  const isPlain = /^https?:\/\/(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/.test(text);
  return isPlain && text.length <= maxOrigin && URL.canParse(text) && new URL(text).origin === text;
}

/** Its 256 random bits need no salt and no slow hash. */
const hashOf = (link: string) => createHash('sha256').update(link).digest('hex');

function toEmbed(row: Selectable<EmbedsTable>): Embed {
  return {
    id: row.id,
    view: parseEmbedView(row.view),
    origins: JSON.parse(row.origins) as string[],
    owner: row.owner,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    usedAt: row.used_at,
  };
}
