import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where the key comes from: a text that somebody has set, else a file beside the database. */
export type SecretBoxOptions = { dataDir: string; secretKey: string };

const fileName = 'secret.key';
const keyBytes = 32;
const ivBytes = 12;
const tagBytes = 16;
const version = 'v1.';

/** Secrets that have to be kept and used again, as a text that can be written anywhere. */
export type SecretBox = ReturnType<typeof createSecretBox>;

/**
 * Creates the box (AES-256-GCM). Its key is not in the database: whoever gets hold of a copy of that alone can read no
 * secret. Without a key that was set, `secret.key` in the data folder is made when the first secret is sealed, for its
 * owner only.
 */
export function createSecretBox({ dataDir, secretKey }: SecretBoxOptions) {
  const path = join(dataDir, fileName);
  let known: Buffer | undefined;

  /** undefined where it would be in a file that is not there. */
  function findKey(): Buffer | undefined {
    known ??= secretKey === '' ? readKeyFile(path) : stretch(secretKey);
    return known;
  }

  function key(): Buffer {
    const found = findKey();
    if (found) return found;
    makeKeyFile(path);
    return findKey() ?? missing(path);
  }

  return {
    /**
     * Encrypts a text; `purpose` has to be the same when it is opened.
     * @throws Error where the key's file can't be read or made
     */
    seal(text: string, purpose: string): string {
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv('aes-256-gcm', key(), iv).setAAD(Buffer.from(purpose));
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return version + Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url');
    },

    /**
     * Decrypts what was sealed; undefined where that can't be: no key or another one, another purpose, or it was changed.
     * @throws Error where the key's file can't be read: later it may be
     */
    open(sealed: string, purpose: string): string | undefined {
      if (!sealed.startsWith(version)) return undefined;
      const bytes = Buffer.from(sealed.slice(version.length), 'base64url');
      // One spelling alone: what is counted by its text would else be as many as there are.
      if (bytes.length < ivBytes + tagBytes || version + bytes.toString('base64url') !== sealed) return undefined;
      const found = findKey();
      if (!found) return undefined;
      try {
        const decipher = createDecipheriv('aes-256-gcm', found, bytes.subarray(0, ivBytes), { authTagLength: tagBytes })
          .setAAD(Buffer.from(purpose))
          .setAuthTag(bytes.subarray(ivBytes, ivBytes + tagBytes));
        return Buffer.concat([decipher.update(bytes.subarray(ivBytes + tagBytes)), decipher.final()]).toString('utf8');
      } catch {
        return undefined;
      }
    },
  };
}

/** A text of any length as a key. It has to be long and random by itself: that is checked where it is set. */
const stretch = (text: string) => Buffer.from(hkdfSync('sha256', text, '', 'fairlead secrets', keyBytes));

function readKeyFile(path: string): Buffer | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length !== keyBytes) throw new Error(`${path} holds no key: ${keyBytes} bytes in base64 are expected.`);
  return key;
}

/** Makes the key's file, on the disk before anything is sealed with it. */
function makeKeyFile(path: string): void {
  try {
    // Never over one that is there: what was sealed with it could not be read any more.
    const key = `${randomBytes(keyBytes).toString('base64')}\n`;
    writeFileSync(path, key, { mode: 0o600, flag: 'wx', flush: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function missing(path: string): never {
  throw new Error(`${path} was removed at once.`);
}
