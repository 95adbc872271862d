import { Problem } from '../errors.ts';
import type { Role } from './capabilities.ts';
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

/** Somebody who has signed in elsewhere, with the role that their groups give: none where they are in none that counts. */
export type Caller = Omit<Arrival, 'role'> & { role: Role | undefined };

/**
 * Lets in somebody who has signed in elsewhere, with the role that they have there now: with another one than before, or
 * none any more, nothing that was open goes on.
 * @throws Problem `forbidden` for who has no role; `invalid`, `conflict`, as `users.arrive`
 */
export async function letIn(parts: ArrivalParts, { role, ...caller }: Caller): Promise<User> {
  const before = parts.users.ofOrigin(caller);
  if (role) {
    const user = await parts.users.arrive({ ...caller, role });
    if (before && before.role !== role) await endOpen(parts, user);
    return user;
  }
  // Whoever may not come in is no admin any more, neither among the users nor by what they made.
  if (before) await endOpen(parts, await parts.users.arrive({ ...caller, role: 'viewer' }));
  throw new Problem('forbidden', 'You are in no group that may use this. Ask whoever runs it.');
}

/** Ends what somebody has open, and what they made where they may make nothing any more. */
async function endOpen({ sessions, tokens, embeds }: ArrivalParts, { id, name, role }: User): Promise<void> {
  await sessions.endAll(id);
  if (role === 'admin') return;
  await tokens.removeOf(name);
  await embeds.removeOf(name);
}
