import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { clientOfAddress } from '../services/client-address.ts';
import { keyOf } from '../services/sessions.ts';
import { createTickets } from '../services/tickets.ts';
import type { Client } from '../services/turns.ts';
import type { User } from '../services/users.ts';
import { noteFor } from './audit.ts';
import { dropCookie, keepCookie, ownCookies } from './cookies.ts';
import { signIn } from './identity.ts';

/** The way in that all share who sign in here. */
export type Entrance = ReturnType<typeof createEntrance>;

const deviceCookie = 'fairlead_device';
const devicePurpose = 'device';
/** Of a browser where the user's second factor was right: who had the password alone before there was one has none. */
const sureDevicePurpose = 'device by a second factor';
const deviceSeconds = 365 * 86_400;
const pendingCookie = 'fairlead_pending';
const pendingSeconds = 300;
/** Each has the right password. */
const mostPending = 10_000;

/**
 * Creates the way in: passwords that are checked and counted, and sessions that begin. Who has a second factor waits
 * between the two for five minutes, by a ticket that is good for nothing else.
 */
export function createEntrance({ config, users, signInLimit, secretBox, secondFactors, passkeys }: Deps) {
  const pending = createTickets<{ user: number; passwordAt: number }>({
    lifeMs: pendingSeconds * 1_000,
    most: mostPending,
  });

  /** The browser, where this user signed in by it before; else the address. */
  function clientOf(request: FastifyRequest, user: User | undefined, purposes: readonly string[]): Client {
    const device = ownCookies(request.cookies, config)[deviceCookie];
    const isKnown =
      device !== undefined && user && purposes.some((each) => secretBox.open(device, each) === String(user.id));
    return isKnown ? { key: keyOf(device), isKnown } : { key: clientOfAddress(request.ip), isKnown: false };
  }

  /** Whether a password alone does not let a user in. */
  const needsMore = ({ id }: User): boolean => secondFactors.hasApp(id) || passkeys.has(id);

  function know(reply: FastifyReply, user: User): void {
    const purpose = needsMore(user) ? sureDevicePurpose : devicePurpose;
    const device = secretBox.seal(String(user.id), purpose);
    keepCookie(reply, config, deviceCookie, device, { sameSite: 'strict', maxAge: deviceSeconds });
  }

  /** @throws Problem `disabled` where sessions are worth nothing */
  function checkOpen(): void {
    if (config.auth === 'proxy') throw new Problem('disabled', 'The proxy in front of this signs people in.');
  }

  return {
    /** Who tries codes: a browser counts as known only where a second factor of the user was right before. */
    codeClientOf: (request: FastifyRequest, user: User): Client => clientOf(request, user, [sureDevicePurpose]),

    /**
     * The user of a name and a password.
     * @throws Problem `unauthenticated` in the same words and after the same time whatever is wrong, `rate_limited`, or
     * `disabled` where a proxy signs people in
     */
    async check(request: FastifyRequest, name: string, password: string): Promise<User> {
      checkOpen();
      const known = users.named(name);
      // What is typed where a name belongs may be a password: only names that there are, are written down.
      noteFor(request, known?.name ?? '');
      const client = clientOf(request, known, [devicePurpose, sureDevicePurpose]);
      const { key } = client;
      // One user can be named in many ways, in wide letters for instance, and has one count for all of them.
      const counted = known?.name ?? name;
      await signInLimit.take(counted, key);
      const user = await users.verify(name, password, client).catch(async (error: unknown) => {
        await signInLimit.giveBack(counted, key);
        throw error;
      });
      if (!user) throw new Problem('unauthenticated', 'Wrong name or password.');
      await signInLimit.succeed(counted, key);
      return user;
    },

    needsMore,

    /** Lets the browser of somebody who is signed in be known from now on. */
    know,

    /** Lets somebody whose password was right wait for their second factor. */
    wait(reply: FastifyReply, { id, passwordAt }: User): void {
      const ticket = pending.give({ user: id, passwordAt });
      keepCookie(reply, config, pendingCookie, ticket, { sameSite: 'strict', maxAge: pendingSeconds });
    },

    /** Whose second factor is waited for; nobody who was locked or got another password meanwhile. */
    waiting(request: FastifyRequest): User | undefined {
      const found = pending.look(ownCookies(request.cookies, config)[pendingCookie] ?? '');
      const user = found && users.find(found.user);
      return user && !user.locked && user.passwordAt === found.passwordAt ? user : undefined;
    },

    /** Begins a session, and lets the browser be known from now on. */
    async enter(request: FastifyRequest, reply: FastifyReply, user: User): Promise<void> {
      checkOpen();
      const ticket = ownCookies(request.cookies, config)[pendingCookie];
      if (ticket !== undefined) {
        pending.take(ticket);
        dropCookie(reply, config, pendingCookie);
      }
      await signIn(request, user);
      know(reply, user);
    },
  };
}
