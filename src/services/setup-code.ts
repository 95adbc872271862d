import { randomBytes, timingSafeEqual } from 'node:crypto';

const codeBytes = 16;
const validMs = 3_600_000;

/** The code that lets somebody make the first admin. */
export type SetupCode = ReturnType<typeof createSetupCode>;

/**
 * Creates the one code of this start: 128 random bits, good for an hour and for one use. It is kept in memory alone: the
 * next start has another one.
 */
export function createSetupCode(now: () => number = () => performance.now()) {
  const code = randomBytes(codeBytes);
  const endsAt = now() + validMs;
  let isUsed = false;

  /** Compared in constant time. */
  function isRight(text: string): boolean {
    const given = Buffer.from(text, 'base64url');
    return given.length === code.length && timingSafeEqual(given, code) && !isUsed && now() < endsAt;
  }

  return {
    text: code.toString('base64url'),
    isRight,
    /** Takes the code, which can be done once; says whether it was the right one. */
    take(text: string): boolean {
      if (!isRight(text)) return false;
      isUsed = true;
      return true;
    },
    /** Gives it back where nothing came of it. */
    giveBack() {
      isUsed = false;
    },
  };
}
