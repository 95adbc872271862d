import { type Kysely, sql } from 'kysely';

/**
 * Who may do what, and what they did: users, their sessions, tokens of programs, and the audit.
 *
 * Passwords, tokens and the ids of sessions are kept as hashes only, so that a copy of this file opens nothing. What was
 * written down in the audit is never changed; it goes when it is older than its time.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table users (
      id integer primary key autoincrement,
      name text not null collate nocase unique,
      role text not null,
      password text not null,         -- scrypt, see passwords.ts
      scope text,                     -- JSON: projects and names; null for all
      locked integer not null,
      created_at integer not null,    -- ms since 1970
      password_at integer not null    -- ms since 1970: when it was set
    ) strict`.execute(db);
  await sql`
    create table sessions (
      id text primary key,            -- SHA-256 of the id that the cookie holds, hex
      user integer not null references users on delete cascade,
      data text not null,             -- JSON, as the session store keeps it
      client text not null,           -- address and browser, for the user's own list
      started_at integer not null,    -- ms since 1970
      seen_at integer not null,
      ends_at integer not null
    ) strict, without rowid`.execute(db);
  await sql`create index sessions_user on sessions (user)`.execute(db);
  await sql`
    create table tokens (
      id integer primary key autoincrement,
      name text not null,
      hash text not null unique,      -- SHA-256, hex
      capabilities text not null,     -- JSON
      scope text,                     -- JSON: projects and names; null for all
      owner text not null,            -- the name of who made it
      created_at integer not null,    -- ms since 1970
      expires_at integer,
      used_at integer
    ) strict`.execute(db);
  await sql`
    create table audit (
      id integer primary key autoincrement,
      at integer not null,            -- ms since 1970
      actor text not null,
      client text not null,           -- address
      action text not null,           -- method and route
      target text not null,
      result text not null,           -- done, refused, failed
      detail text not null
    ) strict`.execute(db);
  await sql`create index audit_at on audit (at)`.execute(db);
  await sql`
    create trigger audit_is_final before update on audit
    begin select raise(abort, 'the audit is never changed'); end`.execute(db);
}
