import { Problem } from '../errors.ts';
import type { Credentials } from '../services/credentials.ts';

/**
 * What somebody entered for one pull; nothing where both fields are empty.
 * @throws Problem `invalid` where only one of them is
 */
export function loginOf(username: string | undefined, password: string | undefined): Credentials | undefined {
  if (!username && !password) return undefined;
  if (!username) throw new Problem('invalid', 'username: must be there where a password is.');
  if (!password) throw new Problem('invalid', 'password: must be there where a username is.');
  return { username, password };
}
