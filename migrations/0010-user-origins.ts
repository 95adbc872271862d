import { type Kysely, sql } from 'kysely';

/**
 * Users that are kept elsewhere: by an OpenID provider, or by whom a proxy signs in. They have no password here, which is
 * an empty one, and are known by what they are called there, never by their name.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table users add column origin text`.execute(db);
  await sql`alter table users add column subject text`.execute(db);
  await sql`create unique index users_subject on users (origin, subject) where origin is not null`.execute(db);
}
