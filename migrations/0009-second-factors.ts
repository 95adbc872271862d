import { type Kysely, sql } from 'kysely';

/**
 * What users sign in with besides their password: codes of an app, recovery codes and passkeys.
 *
 * An app's secret has to be used again, so it is sealed with a key that is not in this file; recovery codes are kept as
 * hashes only, and of a passkey there is nothing secret here.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table second_factors (
      user integer primary key references users on delete cascade,
      secret text not null,           -- sealed, see secret-box.ts
      last_step integer not null,     -- the newest step of time (30 s) whose code was used
      created_at integer not null     -- ms since 1970
    ) strict`.execute(db);
  await sql`
    create table recovery_codes (
      user integer not null references users on delete cascade,
      hash text not null,             -- SHA-256, hex
      primary key (user, hash)
    ) strict, without rowid`.execute(db);
  await sql`
    create table passkeys (
      id integer primary key autoincrement,
      user integer not null references users on delete cascade,
      credential text not null unique, -- its id as the authenticator gave it, base64url
      public_key blob not null,       -- COSE
      counter integer not null,       -- signatures so far, where the authenticator counts them
      transports text not null,       -- JSON
      name text not null,
      created_at integer not null,    -- ms since 1970
      used_at integer
    ) strict`.execute(db);
  await sql`create index passkeys_user on passkeys (user)`.execute(db);
  await sql`
    create table passkey_handles (
      user integer primary key references users on delete cascade,
      handle text not null unique     -- random, base64url: what an authenticator knows the user by
    ) strict`.execute(db);
}
