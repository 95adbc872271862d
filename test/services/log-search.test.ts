import t from 'tap';
import { createFilter, type LogFilter, type LogLine } from '../../src/services/log-lines.ts';
import { createSearch } from '../../src/services/log-search.ts';

const line = (text: string, stream: 'stdout' | 'stderr' = 'stdout'): LogLine => ({
  at: '2025-01-24T14:01:52.610000001Z',
  cursor: '1737727312610000001.0',
  stream,
  text,
  container: 'c',
});

const texts = ['GET /a 200 12 ms', 'get /b 404 3 ms', '\x1b[31mERROR\x1b[0m: GET failed', 'WARN slow', ''];
const found = (filter: LogFilter) => texts.filter((text) => createFilter(filter)(line(text)));

t.test('A filter wants the lines that hold a text or match an expression, colours aside', async (t) => {
  t.strictSame(found({}), texts);
  t.strictSame(found({ q: 'Get' }), texts.slice(0, 3), 'whatever the case');
  t.strictSame(found({ q: 'GET', matchCase: true }), [texts[0], texts[2]]);
  t.strictSame(found({ q: 'get', invert: true }), texts.slice(3));
  t.strictSame(found({ q: '^(get|error:) ', regex: true }), texts.slice(0, 3));
  t.strictSame(found({ q: '^ERROR: G', regex: true, matchCase: true }), [texts[2]]);
  t.strictSame(found({ q: ' [45]\\d\\d ', regex: true }), [texts[1]]);
  t.strictSame(found({ q: '\\d', regex: true, invert: true }), texts.slice(2));
  t.strictSame(found({ q: '.*', regex: false }), [], 'a text is no expression');
  t.strictSame(found({ level: 'error' }), [texts[2]]);
  t.strictSame(found({ level: 'warn' }), texts.slice(2, 4), 'and what is worse');
  t.strictSame(found({ level: 'debug', q: 'slow' }), [texts[3]]);
  t.strictSame(found({ stream: 'stderr' }), []);
});

t.test('An expression that is none is refused, and says why', async (t) => {
  for (const [q, reason] of [
    ['(a', /missing closing \): `\(a`$/],
    ['[a', /missing closing \]/],
    ['a**', /invalid nested repetition/],
    ['(?=a)', /unsupported/],
    ['((a{1,100}){1,100}){1,100}', /invalid repeat count/],
  ] as const) {
    t.throws(() => createSearch({ q, regex: true }), { code: 'invalid', message: /^q: / }, q);
    t.throws(() => createSearch({ q, regex: true }), { message: reason }, q);
    t.equal(createSearch({ q })?.isIn(`x${q}`), true, `as a text it is one: ${q}`);
  }
});

t.test('No expression takes long, however hostile', async (t) => {
  const hostile = ['(a+)+$', '(a|aa)+$', '(.*)(.*)(.*)(.*)(.*)x9', '(a?){100}a{100}b', '(x+x+)+y', '.{500}.{500}b$'];
  for (const q of hostile) {
    const search = createSearch({ q, regex: true });
    const began = performance.now();
    t.type(search?.isIn(`${'a'.repeat(65_536)}!`), 'boolean');
    for (let n = 0; n < 500; n += 1) search?.mark('a'.repeat(2_000));
    // A backtracking engine takes longer than the universe is old.
    t.ok(performance.now() - began < 20_000, `${q}: ${Math.round(performance.now() - began)} ms`);
  }
});

t.test('An expression whose repetitions multiply is refused', async (t) => {
  for (const q of ['.{0,999}'.repeat(6), '.{1000}.{1000}.{1000}']) {
    t.throws(() => createSearch({ q, regex: true }), { code: 'invalid', message: /^q: .*too large.* 2000 at most/ });
  }
  t.ok(createSearch({ q: '[\\w.]{1,64}@[\\w.]{1,64}\\.[a-z]{2,10}', regex: true }), 'common ones are not');
});

t.test('A search whose every line takes far too long ends with a word of that, a common one never', async (t) => {
  let seed = 1;
  const letter = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed > 1_073_741_824 ? 'a' : 'b';
  };
  const line = () => Array.from({ length: 400 }, letter).join('');
  const costly = createSearch({ q: '(a|b)*a(a|b){200}c', regex: true });
  const all = () => {
    for (let n = 0; n < 20_000; n += 1) costly?.isIn(line());
  };
  t.throws(all, { code: 'invalid', message: /^q: this expression takes far too long/ });
  const common = createSearch({ q: '\\b(error|warn|fatal)\\b.*\\d{1,3}ms', regex: true });
  for (let n = 0; n < 20_000; n += 1) common?.isIn(line());
  t.pass('20,000 lines with a common one');
});

t.test('Marks stand where something is found, within bounds', async (t) => {
  const ranges = (q: string, text: string, regex = false) => createSearch({ q, regex })?.mark(text);
  t.strictSame(ranges('ab', 'xABxab'), [
    [1, 3],
    [4, 6],
  ]);
  t.strictSame(ranges('\\d+', 'a 12 b 345', true), [
    [2, 4],
    [7, 10],
  ]);
  t.strictSame(ranges('x*', 'aaa', true), [], 'nothing is marked where nothing is matched');
  t.strictSame(ranges('i', 'İi'), [], 'nor where lower case has another length');
  t.equal(ranges('a', 'a'.repeat(10_000))?.length, 500);
  t.equal(createSearch({ q: '' }), undefined);
  const costly = createSearch({ q: '(?:\\w?){900}', regex: true });
  const counts = Array.from({ length: 500 }, () => costly?.mark('c'.repeat(2_000)).length);
  t.ok((counts[0] ?? 0) > 0, 'what is costly is marked');
  t.equal(counts.at(-1), 0, 'up to a bound');
});
