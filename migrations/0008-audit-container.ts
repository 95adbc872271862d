import { type Kysely, sql } from 'kysely';

/** Which container or project something was done to, so that a timeline can tell it; what is older has none. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // A container's name, or `project:` and a project's.
  await sql`alter table audit add column container text not null default ''`.execute(db);
  await sql`create index audit_container on audit (container, at) where container <> ''`.execute(db);
}
