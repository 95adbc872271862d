import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import t from 'tap';

type Derivation = { password: string; cost: crypto.ScryptOptions; bytes: number };
type Done = (error: Error | null, key: Buffer) => void;

const { scrypt } = crypto;
const derived: Derivation[] = [];
/** Those that wait to be let go, while `holds`. */
const held: (() => void)[] = [];
let holds = false;

crypto.scrypt = ((password: string, salt: Buffer, bytes: number, cost: crypto.ScryptOptions, done: Done) => {
  derived.push({ password, cost, bytes });
  const run = () => scrypt(password, salt, bytes, cost, done);
  if (holds) held.push(run);
  else run();
}) as typeof crypto.scrypt;
syncBuiltinESMExports();
t.teardown(() => {
  crypto.scrypt = scrypt;
  syncBuiltinESMExports();
});

// Behind the line above: whoever imports it first takes what there is.
const { createPasswords } = await import('../../src/services/passwords.ts');
const { until } = await import('../support/app.ts');

function keptCheaply(password: string) {
  const key = crypto.scryptSync(password, 'salt', 32, { N: 1024, r: 8, p: 1 });
  return `scrypt$1024$8$1$${Buffer.from('salt').toString('base64')}$${key.toString('base64')}`;
}

t.beforeEach(() => {
  derived.length = 0;
  held.length = 0;
  holds = false;
});

t.test('what is kept tells how it was made, as strong as OWASP asks for, with a salt of its own', async (t) => {
  const passwords = createPasswords();
  const [one, two] = [await passwords.hash('correct horse'), await passwords.hash('correct horse')];
  const [name, N, r, p, salt = '', key = ''] = one.split('$');
  t.strictSame([name, N, r, p], ['scrypt', '16384', '8', '5']);
  t.equal(Buffer.from(salt, 'base64').length, 16);
  t.equal(Buffer.from(key, 'base64').length, 32);
  t.not(one, two, 'equal passwords are not kept alike');
  t.match(derived[0], { cost: { N: 2 ** 14, r: 8, p: 5 }, bytes: 32 });
  t.equal(await passwords.verify('correct horse', one), true);
  t.equal(await passwords.verify('correct house', one), false);
  t.equal(await passwords.verify('', one), false);
});

t.test('one that was kept with another cost is still good', async (t) => {
  t.equal(await createPasswords().verify('correct horse', keptCheaply('correct horse')), true);
});

t.test('a name that nobody has takes the same work as a wrong password, the first time as well', async (t) => {
  const kept = await createPasswords().hash('correct horse');
  const costsOf = async (hash: string | undefined) => {
    const passwords = createPasswords();
    derived.length = 0;
    for (let n = 0; n < 2; n++) t.equal(await passwords.verify('wrong horse', hash), false);
    return derived.map(({ cost: { N, r, p }, bytes }) => ({ N, r, p, bytes }));
  };
  const known = await costsOf(kept);
  t.equal(known.length, 2, 'one derivation a try');
  t.strictSame(await costsOf(undefined), known);
});

t.test('equal characters are one password however they are typed', async (t) => {
  const passwords = createPasswords();
  t.equal(await passwords.verify('Zoe\u0308 rides', await passwords.hash('Zoë rides')), true);
});

t.test('one is worked on at a time, in the order they came, and what is too many is refused', async (t) => {
  const kept = keptCheaply('correct horse');
  holds = true;
  const passwords = createPasswords();
  const waiting = Array.from({ length: 41 }, (_, n) => passwords.verify(`try ${n}`, kept));
  await t.rejects(passwords.verify('one too many', kept), { code: 'rate_limited' });
  await t.rejects(passwords.hash('one too many'), { code: 'rate_limited' });
  t.equal(derived.length, 1, 'the others wait');
  for (let n = 0; n < 3; n++) {
    held.shift()?.();
    await waiting[n];
    await until(() => held.length === 1, 'the next one');
  }
  t.strictSame(
    derived.map(({ password }) => password),
    ['try 0', 'try 1', 'try 2', 'try 3'],
  );
  holds = false;
  held.shift()?.();
  await Promise.all(waiting);
  t.equal(derived.length, 41);
  t.match(await passwords.hash('correct horse'), /^scrypt/, 'and then there is room again');
});

t.test('work that fails hands its turn over', async (t) => {
  const passwords = createPasswords();
  await t.rejects(passwords.verify('correct horse', 'scrypt$3$8$1$AAAA$AAAA'), 'a cost that there is not');
  t.equal(await passwords.verify('correct horse', undefined), false);
});
