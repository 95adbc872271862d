import { createHash, randomBytes } from 'node:crypto';
import { Secret, TOTP } from 'otpauth';
import { Problem } from '../errors.ts';
import type { Database } from './database.ts';
import type { SecretBox } from './secret-box.ts';

/** A user as far as their authenticator app shows them. */
type Named = { id: number; name: string };

/** Whether a user's app is set up, since when (ms since 1970), and how many recovery codes are left. */
export type SecondFactorInfo = { since: number | null; codesLeft: number };

const issuer = 'Fairlead';
const stepMs = 30_000;
/** Steps before and after the present one whose codes are taken: clocks differ. */
const window = 1;
const codeCount = 10;
const codeBytes = 10;
const secretBytes = 20;

const purposeOf = (user: number) => `second factor of user ${user}`;

/** SHA-1, six digits and 30 s are what every authenticator app knows; RFC 6238 holds them for safe. */
const toTotp = ({ name }: Named, secret: string) =>
  new TOTP({
    issuer,
    label: name,
    algorithm: 'SHA1',
    digits: 6,
    period: stepMs / 1_000,
    secret: Secret.fromBase32(secret),
  });

/** The second factors of users: the codes of an app, and recovery codes. */
export type SecondFactors = Awaited<ReturnType<typeof createSecondFactors>>;

/**
 * Creates the keeper of second factors (RFC 6238). An app's secret is sealed, and each of its codes is taken once;
 * recovery codes are kept as hashes, which need not be slow, as the codes have 80 random bits.
 */
export async function createSecondFactors({ db }: Database, secretBox: SecretBox, now: () => number = Date.now) {
  const rows = await db.selectFrom('second_factors').select('user').execute();
  const withApp = new Set(rows.map(({ user }) => user));

  /**
   * Which step of time a code belongs to, of those that are taken now.
   * @throws Problem `invalid` where the secret can't be opened
   */
  function stepOf(user: Named, secret: string, code: string): number | undefined {
    const delta = toTotp(user, secret).validate({ token: code, window, timestamp: now() });
    return delta === null ? undefined : Math.floor(now() / stepMs) + delta;
  }

  async function secretOf(user: Named): Promise<string | undefined> {
    const row = await db.selectFrom('second_factors').select('secret').where('user', '=', user.id).executeTakeFirst();
    if (!row) return undefined;
    const secret = secretBox.open(row.secret, purposeOf(user.id));
    if (secret !== undefined) return secret;
    const words =
      'The secret of the app can not be opened: the key of this program is another one now. Use a recovery code.';
    throw new Problem('conflict', words);
  }

  async function takeAppCode(user: Named, code: string): Promise<boolean> {
    const secret = await secretOf(user);
    const step = secret === undefined ? undefined : stepOf(user, secret, code);
    if (step === undefined) return false;
    const { numUpdatedRows } = await db
      .updateTable('second_factors')
      .set({ last_step: step })
      .where('user', '=', user.id)
      .where('last_step', '<', step)
      .executeTakeFirst();
    return numUpdatedRows === 1n;
  }

  async function takeRecoveryCode(user: Named, code: string): Promise<boolean> {
    const { numDeletedRows } = await db
      .deleteFrom('recovery_codes')
      .where('user', '=', user.id)
      .where('hash', '=', hashOf(code))
      .executeTakeFirst();
    return numDeletedRows === 1n;
  }

  async function countCodes(user: number): Promise<number> {
    const { count } = await db
      .selectFrom('recovery_codes')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('user', '=', user)
      .executeTakeFirstOrThrow();
    return count;
  }

  async function renewCodes(user: number): Promise<string[]> {
    const codes = Array.from({ length: codeCount }, newCode);
    await db.transaction().execute(async (trx) => {
      await trx.deleteFrom('recovery_codes').where('user', '=', user).execute();
      await trx
        .insertInto('recovery_codes')
        .values(codes.map((code) => ({ user, hash: hashOf(plain(code)) })))
        .execute();
    });
    return codes;
  }

  return {
    /** Whether a user has set up an app. */
    hasApp: (user: number): boolean => withApp.has(user),

    /** What a user is shown of their own. */
    async infoOf(user: number): Promise<SecondFactorInfo> {
      const row = await db
        .selectFrom('second_factors')
        .select('created_at')
        .where('user', '=', user)
        .executeTakeFirst();
      return { since: row?.created_at ?? null, codesLeft: await countCodes(user) };
    },

    /** A new secret (base32) that counts for nothing yet, and the address of it that apps read. */
    propose(user: Named): { secret: string; uri: string } {
      const secret = new Secret({ size: secretBytes }).base32;
      return { secret, uri: toTotp(user, secret).toString() };
    },

    /**
     * Sets up an app whose code shows that it has the secret; that code is used by it.
     * @throws Problem `invalid` where it does not, `conflict` where there is an app already
     */
    async setUp(user: Named, secret: string, code: string): Promise<void> {
      const step = stepOf(user, secret, plain(code));
      if (step === undefined) {
        throw new Problem('invalid', 'code: is not what the app shows now. Look whether the clocks are right.');
      }
      const row = { secret: secretBox.seal(secret, purposeOf(user.id)), last_step: step, created_at: now() };
      // Another app in its place would take the first one away without a code of it.
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('second_factors')
        .values({ user: user.id, ...row })
        .onConflict((conflict) => conflict.column('user').doNothing())
        .executeTakeFirstOrThrow();
      if (!numInsertedOrUpdatedRows) throw new Problem('conflict', 'There is an app already: remove it first.');
      withApp.add(user.id);
    },

    /**
     * Whether a code is one of the app or a recovery code, or undefined where it is neither; it is used by that.
     * @throws Problem `conflict` where the app's secret can't be opened any more
     */
    async take(user: Named, code: string): Promise<'app' | 'recovery' | undefined> {
      const text = plain(code);
      if (/^\d{6}$/.test(text)) return (await takeAppCode(user, text)) ? 'app' : undefined;
      return (await takeRecoveryCode(user, text)) ? 'recovery' : undefined;
    },

    /** Makes new recovery codes, in place of those that there are; they are told this once. */
    renewCodes,

    /** Makes recovery codes where there are none. */
    firstCodes: async (user: number): Promise<string[]> => ((await countCodes(user)) === 0 ? renewCodes(user) : []),

    /** Removes a user's app. */
    async removeApp(user: number): Promise<void> {
      await db.deleteFrom('second_factors').where('user', '=', user).execute();
      withApp.delete(user);
    },

    /** Removes the recovery codes of who has nothing to recover. */
    removeCodes: async (user: number): Promise<void> =>
      void (await db.deleteFrom('recovery_codes').where('user', '=', user).execute()),
  };
}

const hashOf = (code: string) => createHash('sha256').update(code).digest('hex');

/** Without what people put between the parts. */
const plain = (code: string) => code.replace(/[\s-]/g, '').toLowerCase();

/** 80 random bits as `xxxxx-xxxxx-xxxxx-xxxxx`, in hexadecimal digits: none is taken for another. */
function newCode(): string {
  const digits = randomBytes(codeBytes).toString('hex');
  return digits.match(/.{5}/g)?.join('-') ?? digits;
}
