import { randomBytes } from 'node:crypto';

/** How long a ticket is good, in ms, and how many there are at most: the oldest go first. */
export type TicketBounds = { lifeMs: number; most: number };

/** What waits for somebody who comes back. */
export type Tickets<T> = ReturnType<typeof createTickets<T>>;

/**
 * Creates the keeper of what somebody has begun and will come back for: each under a random id (256 bits) that only they
 * have. It is in memory: who comes back after a restart begins again.
 */
export function createTickets<T>({ lifeMs, most }: TicketBounds, now: () => number = Date.now) {
  /** The oldest first, which are the first to end, too. */
  const tickets = new Map<string, { value: T; endsAt: number }>();

  function prune(): void {
    for (const [id, { endsAt }] of tickets) {
      if (endsAt > now() && tickets.size < most) return;
      tickets.delete(id);
    }
  }

  /** The value of a ticket that is good. */
  function look(id: string): T | undefined {
    const found = tickets.get(id);
    return found && found.endsAt > now() ? found.value : undefined;
  }

  return {
    /** Keeps a value, and gives the id under which it is found. */
    give(value: T): string {
      prune();
      const id = randomBytes(32).toString('base64url');
      tickets.set(id, { value, endsAt: now() + lifeMs });
      return id;
    },

    look,

    /** Gives the value of a ticket and ends it: it is good once. */
    take(id: string): T | undefined {
      const value = look(id);
      tickets.delete(id);
      return value;
    },
  };
}
