import { RateLimiterMemory } from 'rate-limiter-flexible';
import { Problem } from '../errors.ts';

/** Wrong passwords for one name from one client, and how long that client then waits for this name, s. */
const perName = { points: 5, duration: 900, blockDuration: 900 };
/** Wrong passwords from one client, for whatever names: a whole proxy may be one client. */
const perClient = { points: 30, duration: 60 };

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
     * Lets a try pass.
     * @throws Problem `rate_limited`
     */
    async check(name: string, client: string): Promise<void> {
      const [ofName, ofClient] = await Promise.all([names.get(nameKey(name, client)), clients.get(client)]);
      const isOver =
        (ofName?.consumedPoints ?? 0) >= perName.points || (ofClient?.consumedPoints ?? 0) >= perClient.points;
      if (!isOver) return;
      const waitMs = Math.max(ofName?.msBeforeNext ?? 0, ofClient?.msBeforeNext ?? 0);
      throw new Problem(
        'rate_limited',
        `Too many wrong passwords. Try again in ${Math.max(1, Math.ceil(waitMs / 60_000))} min.`,
      );
    },

    /** Counts a wrong one. */
    async fail(name: string, client: string): Promise<void> {
      // What is over the limit is refused by a rejection.
      await Promise.allSettled([names.consume(nameKey(name, client)), clients.consume(client)]);
    },

    /** Forgets the wrong ones before a right one. */
    async succeed(name: string, client: string): Promise<void> {
      await names.delete(nameKey(name, client));
    },
  };
}
