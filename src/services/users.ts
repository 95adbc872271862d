import type { Selectable } from 'kysely';
import { Problem } from '../errors.ts';
import { type Role, roles, type Scope } from './capabilities.ts';
import type { Database, UsersTable } from './database.ts';
import { checkNewPassword, type Passwords } from './passwords.ts';
import { createReadWriteLock } from './read-write-lock.ts';
import type { Client } from './turns.ts';

/** Somebody who may sign in; times in ms since 1970. */
export type User = {
  id: number;
  name: string;
  role: Role;
  scope: Scope;
  locked: boolean;
  createdAt: number;
  passwordAt: number;
  /** Where somebody is kept who is not kept here: the issuer of an OpenID provider, or `proxy`. */
  origin: string | null;
  /** How they are known there. */
  subject: string | null;
};

/** Somebody who has signed in elsewhere, and the role that they have by that. */
export type Arrival = { origin: string; subject: string; name: string; role: Role };

/** What is said of a new user, and what can be changed of one. */
export type NewUser = { name: string; password: string; role: Role; scope: Scope };
export type UserChange = { role?: Role; scope?: Scope; locked?: boolean };

const maxUsers = 1_000;
const namePattern = /^[\p{L}\p{N}][\p{L}\p{N} _.@+-]{0,63}$/u;
/** What is written down of who did something begins so for a token: nobody may be taken for one. */
const tokenPattern = /^token\b/i;

/** The users of this program. */
export type Users = Awaited<ReturnType<typeof createUsers>>;

/**
 * Creates the keeper of users. All are held, as each request asks for one. There is always an admin who can sign in, once
 * there was one: `comesIn` says whether those of another place can, as it is set now.
 */
export async function createUsers(
  { db }: Database,
  passwords: Passwords,
  comesIn: (origin: string) => boolean = () => false,
) {
  const rows = await db.selectFrom('users').selectAll().execute();
  const byId = new Map(rows.map((row) => [row.id, toUser(row)]));
  /** Changes come one at a time: two admins who remove each other at once would leave none. */
  const { write: inTurn } = createReadWriteLock();

  const isRuling = ({ role, locked, scope, origin }: User) =>
    role === 'admin' && !locked && scope === null && (origin === null || comesIn(origin));

  const named = (name: string) => [...byId.values()].find((user) => isSameName(user.name, name));

  const ofOrigin = (origin: string, subject: string) =>
    [...byId.values()].find((user) => user.origin === origin && user.subject === subject);

  /** @throws Problem `not_found` */
  function get(id: number): User {
    const user = byId.get(id);
    if (!user) throw new Problem('not_found', `User ${id} not found`);
    return user;
  }

  /** @throws Problem `invalid`, `conflict` */
  async function add({ name: wanted, password, role, scope }: NewUser): Promise<User> {
    const name = checkName(wanted);
    checkNewPassword(password, name);
    const hash = await passwords.hash(password);
    return inTurn(() => insert(name, hash, role, scope));
  }

  /** @throws Problem `conflict` */
  async function insert(
    name: string,
    hash: string,
    role: Role,
    scope: Scope,
    place: Pick<User, 'origin' | 'subject'> = { origin: null, subject: null },
  ): Promise<User> {
    if (named(name)) throw new Problem('conflict', `There is a user ${name} already.`);
    if (byId.size >= maxUsers) throw new Problem('conflict', `There are ${maxUsers} users already, which is the most.`);
    const now = Date.now();
    const values = {
      name,
      role,
      password: hash,
      ...toColumns({ scope }),
      locked: 0,
      created_at: now,
      password_at: now,
      ...place,
    };
    const user = toUser(await db.insertInto('users').values(values).returningAll().executeTakeFirstOrThrow());
    byId.set(user.id, user);
    return user;
  }

  /**
   * The user who has signed in elsewhere, made where there is none yet, with the role that they have there now. They are
   * known by their origin and subject: a name that is somebody else's makes nobody that one.
   * @throws Problem `invalid` for a name that nobody can have, `conflict` for one that somebody else has
   */
  async function arrive(arrival: Arrival): Promise<User> {
    const known = ofOrigin(arrival.origin, arrival.subject);
    if (known?.role === arrival.role) return known;
    return inTurn(() => welcome(arrival));
  }

  async function welcome({ origin, subject, name, role }: Arrival): Promise<User> {
    const known = ofOrigin(origin, subject);
    if (!known) return insert(checkName(name), '', role, null, { origin, subject });
    // Even the last admin may lose that there: what counts is what they may now.
    const next = { ...known, role };
    await db.updateTable('users').set({ role }).where('id', '=', known.id).execute();
    byId.set(known.id, next);
    return next;
  }

  /** @throws Problem `not_found`, or `conflict` for the last admin */
  const change = (id: number, wanted: UserChange): Promise<User> => inTurn(() => update(id, wanted));

  async function update(id: number, wanted: UserChange): Promise<User> {
    const before = get(id);
    const next = { ...before, ...wanted };
    if (!isRuling(next)) keepAdmin(before);
    const columns = toColumns(wanted);
    if (Object.keys(columns).length > 0) await db.updateTable('users').set(columns).where('id', '=', id).execute();
    byId.set(id, next);
    return next;
  }

  /** @throws Problem `not_found`, or `conflict` for the last admin */
  const remove = (id: number): Promise<User> => inTurn(() => erase(id));

  async function erase(id: number): Promise<User> {
    const user = get(id);
    keepAdmin(user);
    await db.deleteFrom('users').where('id', '=', id).execute();
    byId.delete(id);
    return user;
  }

  /** @throws Problem `not_found`, `invalid` */
  async function setPassword(id: number, password: string): Promise<void> {
    checkKeptHere(get(id));
    checkNewPassword(password, get(id).name);
    const hash = await passwords.hash(password);
    await inTurn(() => replacePassword(id, hash));
  }

  async function replacePassword(id: number, hash: string): Promise<void> {
    const user = { ...get(id), passwordAt: Date.now() };
    const columns = { password: hash, password_at: user.passwordAt };
    await db.updateTable('users').set(columns).where('id', '=', id).execute();
    byId.set(id, user);
  }

  /** The user whose name and password these are, if they may sign in. It takes as long where there is none. */
  async function verify(name: string, password: string, client: Client): Promise<User | undefined> {
    const user = named(name);
    const kept = await passwordOf(user?.id);
    const isRight = await passwords.verify(password, kept, client);
    // That took a while, in which the user may have been locked or given another password.
    const found = user && byId.get(user.id);
    return isRight && found && !found.locked && (await passwordOf(found.id)) === kept ? found : undefined;
  }

  async function passwordOf(id = 0): Promise<string | undefined> {
    return (
      (await db.selectFrom('users').select('password').where('id', '=', id).executeTakeFirst())?.password || undefined
    );
  }

  /** @throws Problem `conflict` where nobody else could change anything here */
  function keepAdmin(user: User): void {
    if (!isRuling(user) || [...byId.values()].some((other) => other.id !== user.id && isRuling(other))) return;
    throw new Problem('conflict', `${user.name} is the only admin who can sign in: make another one first.`);
  }

  return {
    list: (): User[] => [...byId.values()].sort((a, b) => a.name.localeCompare(b.name)),
    count: () => byId.size,
    find: (id: number) => byId.get(id),
    named,
    /** Whether there is an admin who can sign in. */
    hasAdmin: (): boolean => [...byId.values()].some(isRuling),
    get,
    add,
    arrive,
    /** The user whom another place knows by a subject, if they have been here. */
    ofOrigin: ({ origin, subject }: Pick<Arrival, 'origin' | 'subject'>) => ofOrigin(origin, subject),
    change,
    remove,
    setPassword,
    verify,
  };
}

/** @throws Problem `invalid` */
function checkName(wanted: string): string {
  // Some keyboards send letters and their accents apart.
  const name = wanted.trim().normalize('NFC');
  if (namePattern.test(name) && !tokenPattern.test(name)) return name;
  const words = 'username: takes 1 to 64 letters, digits, spaces and "_.@+-", and not "token" first.';
  throw new Problem('invalid', words);
}

/**
 * Refuses what only makes sense for who signs in here.
 * @throws Problem `conflict`
 */
export function checkKeptHere({ name, origin }: User): void {
  if (origin === null) return;
  throw new Problem('conflict', `${name} signs in elsewhere: password, second factor and role are kept there.`);
}

const isSameName = (a: string, b: string) =>
  a.normalize('NFKC').toLowerCase() === b.trim().normalize('NFKC').toLowerCase();

function toColumns({ role, scope, locked }: UserChange) {
  return {
    ...(role !== undefined && { role }),
    ...(scope !== undefined && { scope: scope === null ? null : JSON.stringify(scope) }),
    ...(locked !== undefined && { locked: Number(locked) }),
  };
}

function toUser(row: Selectable<UsersTable>): User {
  return {
    id: row.id,
    name: row.name,
    role: roles.find((role) => role === row.role) ?? 'viewer',
    scope: row.scope === null ? null : (JSON.parse(row.scope) as string[]),
    locked: row.locked === 1,
    createdAt: row.created_at,
    passwordAt: row.password_at,
    origin: row.origin,
    subject: row.subject,
  };
}
