import type { Embeds } from './embeds.ts';
import type { Sessions } from './sessions.ts';
import type { Tokens } from './tokens.ts';
import type { Arrival, User, Users } from './users.ts';

/** What letting in somebody from elsewhere changes. */
export type ArrivalParts = {
  users: Pick<Users, 'arrive' | 'ofOrigin'>;
  sessions: Pick<Sessions, 'endAll'>;
  tokens: Pick<Tokens, 'removeOf'>;
  embeds: Pick<Embeds, 'removeOf'>;
};

/**
 * Lets in somebody who has signed in elsewhere, with the role that they have there now: with another one than before
 * nothing that was open goes on.
 * @throws Problem `invalid`, `conflict`, as `users.arrive`
 */
export async function letIn({ users, sessions, tokens, embeds }: ArrivalParts, arrival: Arrival): Promise<User> {
  const before = users.ofOrigin(arrival);
  const user = await users.arrive(arrival);
  if (!before || before.role === user.role) return user;
  await sessions.endAll(user.id);
  if (user.role === 'admin') return user;
  await tokens.removeOf(user.name);
  await embeds.removeOf(user.name);
  return user;
}
