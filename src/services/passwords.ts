import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { Problem } from '../errors.ts';
import { type Client, createTurns } from './turns.ts';

/** What one hash costs (RFC 7914): N and r in memory and time, p in time. */
export type PasswordCost = { N: number; r: number; p: number };

const derive = promisify<string, Buffer, number, PasswordCost & { maxmem: number }, Buffer>(scrypt);
/** As strong as 2^17, 8, 1, with an eighth of the memory: OWASP's Password Storage Cheat Sheet names both. */
const strongCost: PasswordCost = { N: 2 ** 14, r: 8, p: 5 };
const keyBytes = 32;
const saltBytes = 16;
/** Characters: a passphrase fits, and no request can make the work long. */
export const passwordLength = { min: 8, max: 200 } as const;

/** Of the known clients and of the others. One is worked on at a time: it takes a core for some 200 ms. */
const mostWaiting = 40;
/** Who may set a password has been let in already. */
const trusted: Client = { key: 'trusted', isKnown: true };

/** Passwords as they are kept. */
export type Passwords = ReturnType<typeof createPasswords>;

/**
 * Creates the hashing of passwords (scrypt), one at a time: a flood of tries leaves the rest of the program its time, and
 * fair turns leave each client its own. Tests hash more cheaply.
 */
export function createPasswords(cost: PasswordCost = strongCost) {
  const turns = createTurns(mostWaiting);
  /** Compared with where there is no user of a name, so that both take the same time. No password is known to give it. */
  const nobody = toText(cost, randomBytes(saltBytes), randomBytes(keyBytes));

  async function hash(password: string): Promise<string> {
    const salt = randomBytes(saltBytes);
    const key = await turns.take(trusted, () => deriveWith(password, salt, cost));
    return toText(cost, salt, key);
  }

  return {
    /**
     * Gives what is kept of a password.
     * @throws Problem `rate_limited` where too many wait
     */
    hash,

    /**
     * Whether a password is the one of a hash; none is where there is no hash, which takes as long.
     * @throws Problem `rate_limited` where too many wait
     */
    async verify(password: string, kept: string | undefined, client: Client = trusted): Promise<boolean> {
      const [, N, r, p, salt = '', key = ''] = (kept ?? nobody).split('$');
      const expected = Buffer.from(key, 'base64');
      const found = await turns.take(client, () =>
        deriveWith(password, Buffer.from(salt, 'base64'), { N: Number(N), r: Number(r), p: Number(p) }),
      );
      return timingSafeEqual(found, expected) && kept !== undefined;
    },
  };
}

const toText = ({ N, r, p }: PasswordCost, salt: Buffer, key: Buffer) =>
  `scrypt$${N}$${r}$${p}$${salt.toString('base64')}$${key.toString('base64')}`;

/** Equal characters can be typed in several ways, hence the normal form (NIST SP 800-63B, 5.1.1.2). */
const deriveWith = (password: string, salt: Buffer, { N, r, p }: PasswordCost) =>
  derive(password.normalize('NFKC'), salt, keyBytes, { N, r, p, maxmem: 2 * 128 * N * r });

/**
 * Checks a password that somebody wants to have.
 * @throws Problem `invalid`
 */
export function checkNewPassword(password: string, name: string): void {
  const { min, max } = passwordLength;
  if (password.length < min || password.length > max) {
    throw new Problem('invalid', `password: takes ${min} to ${max} characters.`);
  }
  if (password.toLowerCase() === name.toLowerCase() || new Set(password).size < 4) {
    throw new Problem('invalid', 'password: must not be the name, nor a few characters again and again.');
  }
}
