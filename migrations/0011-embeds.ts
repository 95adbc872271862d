import { type Kysely, sql } from 'kysely';

/** Embed links: one view each, for pages of other sites. A link is kept as its hash only, so that a copy opens nothing. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table embeds (
      id integer primary key autoincrement,
      hash text not null unique,      -- SHA-256 of the link, hex
      view text not null,             -- what it shows, such as container:web
      origins text not null,          -- JSON: which pages may show it
      owner text not null,            -- the name of who made it
      created_at integer not null,    -- ms since 1970
      expires_at integer,
      used_at integer
    ) strict`.execute(db);
}
