import { randomBytes } from 'node:crypto';
import {
  type AuthenticationResponseJSON,
  type AuthenticatorTransport,
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import type { Selectable } from 'kysely';
import { Problem } from '../errors.ts';
import type { Database, PasskeysTable } from './database.ts';
import { createTickets } from './tickets.ts';

/** A passkey as its user is shown it; times in ms since 1970. */
export type Passkey = { id: number; name: string; createdAt: number; usedAt: number | null };

/** For whom passkeys are good: the host name, and where their pages come from. */
export type RelyingParty = { id: string; origin: string };

type Named = { id: number; name: string };

const rpName = 'Fairlead';
const lifeMs = 300_000;
const maxPerUser = 20;
const maxName = 60;

/** The passkeys of users. */
export type Passkeys = Awaited<ReturnType<typeof createPasskeys>>;

/**
 * Creates the keeper of passkeys (WebAuthn level 3). Each shows that somebody has a device and has unlocked it, which is
 * two factors: who has one needs no password. Challenges are good once, and for five minutes.
 */
export async function createPasskeys({ db }: Database, now: () => number = Date.now) {
  const owners = await db.selectFrom('passkeys').select('user').distinct().execute();
  const withPasskey = new Set(owners.map(({ user }) => user));
  const registrations = createTickets<{ user: number; challenge: string }>({ lifeMs, most: 1_000 }, now);
  const signIns = createTickets<{ challenge: string }>({ lifeMs, most: 20_000 }, now);

  const rowsOf = (user: number) =>
    db.selectFrom('passkeys').selectAll().where('user', '=', user).orderBy('id').execute();

  /** An authenticator keeps this: it is random, so that it says nothing of the user. */
  async function handleOf(user: number): Promise<Uint8Array<ArrayBuffer>> {
    const handle = randomBytes(32).toString('base64url');
    await db
      .insertInto('passkey_handles')
      .values({ user, handle })
      .onConflict((conflict) => conflict.column('user').doNothing())
      .execute();
    const row = await db
      .selectFrom('passkey_handles')
      .select('handle')
      .where('user', '=', user)
      .executeTakeFirstOrThrow();
    return new Uint8Array(Buffer.from(row.handle, 'base64url'));
  }

  /** @throws Problem `conflict` */
  function checkRoom({ length }: readonly unknown[]): void {
    if (length < maxPerUser) return;
    throw new Problem('conflict', `There are ${maxPerUser} passkeys already, which is the most.`);
  }

  async function forget(user: number): Promise<void> {
    if ((await rowsOf(user)).length === 0) withPasskey.delete(user);
  }

  return {
    /** Whether a user has a passkey. */
    has: (user: number): boolean => withPasskey.has(user),

    /** A user's passkeys, the oldest first. */
    ofUser: async (user: number): Promise<Passkey[]> => (await rowsOf(user)).map(toPasskey),

    /**
     * Begins with a new passkey: what the browser asks an authenticator for, and the ticket to come back with.
     * @throws Problem `conflict` where the user has too many
     */
    async beginToAdd(user: Named, { id: rpID }: RelyingParty) {
      const rows = await rowsOf(user.id);
      checkRoom(rows);
      const options = await generateRegistrationOptions({
        rpName,
        rpID,
        userName: user.name,
        userDisplayName: user.name,
        userID: await handleOf(user.id),
        attestationType: 'none',
        excludeCredentials: rows.map(({ credential, transports }) => ({
          id: credential,
          transports: toTransports(transports),
        })),
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      });
      return { ticket: registrations.give({ user: user.id, challenge: options.challenge }), options };
    },

    /**
     * Keeps a new passkey.
     * @throws Problem `invalid` where what came is not the answer to what was asked for, `conflict` where the user has
     * too many, or somebody has this one
     */
    async add(
      user: Named,
      rp: RelyingParty,
      { ticket, response, name }: { ticket: string; response: unknown; name: string },
    ) {
      const begun = registrations.take(ticket);
      if (begun?.user !== user.id) throw notAnswered();
      const { registrationInfo } = await checked(() =>
        verifyRegistrationResponse({
          response: response as RegistrationResponseJSON,
          expectedChallenge: begun.challenge,
          expectedOrigin: rp.origin,
          expectedRPID: rp.id,
          requireUserVerification: true,
        }),
      );
      if (!registrationInfo) throw notAnswered();
      checkRoom(await rowsOf(user.id));
      const { id, publicKey, counter, transports = [] } = registrationInfo.credential;
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('passkeys')
        .values({
          user: user.id,
          credential: id,
          public_key: Buffer.from(publicKey),
          counter,
          transports: JSON.stringify(transports),
          name: name.trim().slice(0, maxName) || 'Passkey',
          created_at: now(),
          used_at: null,
        })
        .onConflict((conflict) => conflict.column('credential').doNothing())
        .executeTakeFirstOrThrow();
      if (!numInsertedOrUpdatedRows) throw new Problem('conflict', 'This passkey is here already.');
      withPasskey.add(user.id);
    },

    /** Begins a sign-in: by whichever passkey somebody has here. */
    async beginToSignIn({ id: rpID }: RelyingParty) {
      const options = await generateAuthenticationOptions({ rpID, userVerification: 'required' });
      return { ticket: signIns.give({ challenge: options.challenge }), options };
    },

    /**
     * The user (their id) who has signed in by a passkey.
     * @throws Problem `unauthenticated` in the same words whatever is wrong
     */
    async signIn(rp: RelyingParty, { ticket, response }: { ticket: string; response: unknown }): Promise<number> {
      const begun = signIns.take(ticket);
      const wanted = (response as AuthenticationResponseJSON | null)?.id;
      if (!begun || typeof wanted !== 'string') throw notKnown();
      const row = await db.selectFrom('passkeys').selectAll().where('credential', '=', wanted).executeTakeFirst();
      if (!row) throw notKnown();
      const { verified, authenticationInfo } = await checked(() =>
        verifyAuthenticationResponse({
          response: response as AuthenticationResponseJSON,
          expectedChallenge: begun.challenge,
          expectedOrigin: rp.origin,
          expectedRPID: rp.id,
          credential: {
            id: row.credential,
            publicKey: new Uint8Array(row.public_key),
            counter: row.counter,
            transports: toTransports(row.transports),
          },
          requireUserVerification: true,
        }),
      ).catch(() => ({ verified: false as const, authenticationInfo: undefined }));
      if (!verified || !authenticationInfo) throw notKnown();
      const { newCounter } = authenticationInfo;
      // It may have been removed meanwhile, or used by a copy that counts alike.
      const { numUpdatedRows } = await db
        .updateTable('passkeys')
        .set({ counter: newCounter, used_at: now() })
        .where('id', '=', row.id)
        .where('counter', '=', row.counter)
        .executeTakeFirst();
      if (numUpdatedRows !== 1n) throw notKnown();
      return row.user;
    },

    /**
     * Removes one of a user's passkeys.
     * @throws Problem `not_found`
     */
    async remove(user: number, id: number): Promise<void> {
      const { numDeletedRows } = await db
        .deleteFrom('passkeys')
        .where('user', '=', user)
        .where('id', '=', id)
        .executeTakeFirst();
      if (numDeletedRows === 0n) throw new Problem('not_found', `Passkey ${id} not found`);
      await forget(user);
    },

    /** Removes all of a user's passkeys. */
    async removeAll(user: number): Promise<void> {
      await db.deleteFrom('passkeys').where('user', '=', user).execute();
      withPasskey.delete(user);
    },
  };
}

const toPasskey = ({ id, name, created_at, used_at }: Selectable<PasskeysTable>): Passkey => ({
  id,
  name,
  createdAt: created_at,
  usedAt: used_at,
});

const toTransports = (text: string) => JSON.parse(text) as AuthenticatorTransport[];

const notAnswered = () =>
  new Problem('invalid', 'response: is not the answer to what this page asked for. Open it again, and try once more.');
const notKnown = () => new Problem('unauthenticated', 'This passkey is not known here, or the sign-in took too long.');

/** What the library finds wrong with an answer is told in our words. */
async function checked<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify();
  } catch (error) {
    const problem = notAnswered();
    problem.cause = error;
    throw problem;
  }
}
