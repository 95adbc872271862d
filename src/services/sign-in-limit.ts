import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';
import { Problem } from '../errors.ts';

/** Wrong passwords for one name from one client, and how long that client then waits for this name, s. */
const perName = { points: 5, duration: 900, blockDuration: 900 };
/** Wrong passwords from one client, for whatever names: a whole proxy may be one client. */
const perClient = { points: 30, duration: 60 };

/** Wrong codes for one user from all browsers together that are not known: of a million, these are few. */
const perUser = { points: 20, duration: 21_600 };

/** The slowing down of who tries passwords. */
export type SignInLimit = ReturnType<typeof createSignInLimit>;

/**
 * Creates the limits of wrong passwords. They count by name and client together, so that nobody can lock a name's owner
 * out from elsewhere. Who has signed in before from the same browser counts by that, whatever others behind the same
 * address do.
 */
export function createSignInLimit() {
  const names = new RateLimiterMemory({ keyPrefix: 'name', ...perName });
  const clients = new RateLimiterMemory({ keyPrefix: 'client', ...perClient });
  const nameKey = (name: string, client: string) => `${name.trim().toLowerCase()} ${client}`;

  return {
    /**
     * Counts a try as a wrong one before it is made: many at once would all pass else.
     * @throws Problem `rate_limited`
     */
    async take(name: string, client: string): Promise<void> {
      // Who waits for a name does not use up what others have behind the same address, nor the other way round.
      await consume(names, nameKey(name, client), 'passwords');
      try {
        await consume(clients, client, 'passwords');
      } catch (error) {
        await names.reward(nameKey(name, client));
        throw error;
      }
    },

    /** Takes a try back that was not made. */
    async giveBack(name: string, client: string): Promise<void> {
      await Promise.all([names.reward(nameKey(name, client)), clients.reward(client)]);
    },

    /** Takes a right one back, and forgets the wrong ones before it. */
    async succeed(name: string, client: string): Promise<void> {
      await Promise.all([names.delete(nameKey(name, client)), clients.reward(client)]);
    },
  };
}

/** The slowing down of who tries codes of a second factor. */
export type CodeLimit = ReturnType<typeof createCodeLimit>;

/**
 * Creates the limits of wrong codes, which only who has the password can try. They count by user and client, and by user
 * alone for clients that are not known: from many addresses nobody gets through, and the user's own browser is not
 * locked out by that.
 */
export function createCodeLimit() {
  const own = new RateLimiterMemory({ keyPrefix: 'code', ...perName });
  const all = new RateLimiterMemory({ keyPrefix: 'user', ...perUser });
  const ownKey = (user: number, client: { key: string }) => `${user} ${client.key}`;

  return {
    /**
     * Counts a try as a wrong one before it is made.
     * @throws Problem `rate_limited`
     */
    async take(user: number, client: { key: string; isKnown: boolean }): Promise<void> {
      await consume(own, ownKey(user, client), 'codes');
      if (!client.isKnown) await consume(all, String(user), 'codes');
    },

    /** Takes a right one back, and forgets the wrong ones before it. */
    async succeed(user: number, client: { key: string; isKnown: boolean }): Promise<void> {
      await own.delete(ownKey(user, client));
      if (!client.isKnown) await all.reward(String(user));
    },
  };
}

/** @throws Problem `rate_limited` */
async function consume(limiter: RateLimiterMemory, key: string, what: 'passwords' | 'codes'): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (refusal) {
    const { msBeforeNext } = refusal as RateLimiterRes;
    const minutes = Math.max(1, Math.ceil(msBeforeNext / 60_000));
    throw new Problem('rate_limited', `Too many wrong ${what}. Try again in ${minutes} min.`);
  }
}
