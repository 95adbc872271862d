import { Problem } from '../errors.ts';
import type { Credentials, RegistryLogin } from '../services/credentials.ts';

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

/**
 * Of which registry an entered login is; the only one needs no name.
 * @throws Problem `invalid` where it is not clear: a password goes to the one registry that it is for
 */
export function registryLoginOf(
  credentials: Credentials | undefined,
  registry: string | undefined,
  registries: readonly string[],
): RegistryLogin | undefined {
  if (!credentials) return undefined;
  const [only = '', ...more] = registries;
  if (!registry && more.length === 0) return { registry: only, credentials };
  if (registry && registries.includes(registry)) return { registry, credentials };
  throw new Problem('invalid', `registry: must be the one that the login is for: ${registries.join(', ')}.`);
}
