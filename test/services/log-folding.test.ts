import t from 'tap';
import { createSearch } from '../../src/services/log-search.ts';
import { type FoldedModel, toFolded } from '../../src/views/models/log-folding.ts';
import type { SegmentModel } from '../../src/views/models/log-segments.ts';

const textOf = (segments: readonly SegmentModel[]) => segments.map(({ text }) => text).join('');
const foundIn = (segments: readonly SegmentModel[]) => segments.filter(({ found }) => found).map(({ text }) => text);

/** What of a line is shown before it is opened. */
const shown = ({ level, message, fields, more }: FoldedModel) =>
  [textOf(level), textOf(message), ...fields.map(({ name, value }) => `${textOf(name)}=${textOf(value)}`), more]
    .filter((text) => text !== '')
    .join(' ');

const fold = (line: unknown, q = '', regex = false) => {
  const text = typeof line === 'string' ? line : JSON.stringify(line);
  return toFolded(text, createSearch({ q, regex })?.mark);
};
const shownOf = (line: unknown) => {
  const folded = fold(line);
  return folded && shown(folded);
};
const finds = (line: unknown, q: string, regex = false) => {
  const folded = fold(line, q, regex);
  if (!folded) return undefined;
  const { level, message, fields, raw, isFoundInRaw } = folded;
  const parts = [level, message, ...fields.flatMap(({ name, value }) => [name, value])];
  return { shown: parts.flatMap(foundIn), raw: foundIn(raw), isFoundInRaw };
};

t.test('A line of JSON is shown as its message and its other fields', async (t) => {
  t.equal(shownOf({ msg: 'started', port: 80 }), 'started port=80');
  t.equal(
    shownOf('{"level":30,"time":1737727312610,"pid":7,"msg":"request completed","res":{"statusCode": 200}}'),
    'info request completed pid=7 res={"statusCode":200}',
    'its time and level stand in columns, and what is nested is compact',
  );
  t.equal(shownOf({ '@t': '2025-01-24T14:01:52Z', '@mt': 'User {Id}', Id: 1 }), 'info User {Id} Id=1');
  t.equal(shownOf({ level: 'WARN', time: 'soon', message: 'x' }), 'WARN x time=soon', 'a time that is none is told');
  t.equal(
    shownOf({ a: 1, b: 'two words', c: '', d: null, e: 'a=b', f: [1, 2] }),
    'a=1 b="two words" c="" d=null e="a=b" f=[1,2]',
  );
  t.equal(shownOf({ msg: { nested: true }, 'a b': 1 }), 'msg={"nested":true} "a b"=1');
  t.equal(shownOf('  {"msg":"x","big":12345678901234567890}  '), 'x big=12345678901234567890', 'numbers stay whole');
  t.equal(shownOf({ msg: 'a\nb\tc "q" \u00e9', x: 'a\nb' }), 'a\nb\tc "q" é x="a\\nb"', 'a message keeps its lines');
  t.equal(shownOf('{"msg":"\\u0041","\\u0042":1}'), 'A "\\u0042"=1');
});

t.test('What is no JSON object stays as it is', async (t) => {
  for (const text of ['', '{}', '[1]', '"x"', '{"a":1} and more', 'x {"a":1}', '{"a":', 'level=info msg=x', '{x}']) {
    t.equal(fold(text), undefined, text);
  }
});

t.test('What is shown of it is bounded, and says so', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 23 }, (_, n) => [`k${n}`, n]));
  t.match(shownOf({ msg: 'x', ...many }), /^x k0=0 .* k19=19 and 3 more fields$/);
  t.match(shownOf({ msg: 'x', long: 'y'.repeat(500) }), /^x long=y{200}…$/);
  t.match(shownOf({ ['n'.repeat(500)]: 1 }), /^n{200}…=1$/);
  t.equal(textOf(fold({ msg: 'm'.repeat(9_000) })?.message ?? []).length, 8_001);
  const long = { msg: 'm'.repeat(9_000), end: 'z' };
  t.equal(textOf(fold(long)?.raw ?? []), JSON.stringify(long), 'the raw line is whole');
});

t.test('Hostile text can neither colour nor turn it around', async (t) => {
  t.equal(shownOf({ msg: '\x1b[31mred\x1b[0m\x07', a: 'x' }), 'red a=x');
  t.equal(shownOf(`{"msg":"a\u202eb","c":"\u202ed"}`), 'a⟨U+202E⟩b c=⟨U+202E⟩d');
  t.equal(shownOf('{"__proto__":1,"msg":"x","constructor":2}'), 'x __proto__=1 constructor=2');
  const deep = `{"msg":"x","deep":${'['.repeat(3_000)}${']'.repeat(3_000)}}`;
  t.match(shownOf(deep), /^x deep=\[{200}…$/);
});

t.test('Finds are marked where they are shown', async (t) => {
  const line = { level: 'error', time: '2025-01-24T14:01:52Z', msg: 'no "room"\nleft é', user: 'room', n: { room: 1 } };
  t.strictSame(finds(line, 'room'), {
    shown: ['room', 'room', 'room'],
    raw: ['room', 'room', 'room'],
    isFoundInRaw: false,
  });
  t.strictSame(finds(line, 'left')?.shown, ['left'], 'also behind escapes');
  t.strictSame(finds(line, 'é')?.shown, ['é']);
  t.strictSame(finds(line, 'error')?.shown, ['error']);
  t.strictSame(finds(line, '\\\\"room\\\\"', true)?.shown, ['"room"'], 'the raw line is what is searched');
  t.strictSame(finds({ msg: 'x', user: 'bob' }, '"user":"bob"'), {
    shown: ['user', 'bob'],
    raw: ['"user":"bob"'],
    isFoundInRaw: false,
  });
  t.strictSame(finds({ msg: 'x' }, 'nothing'), { shown: [], raw: [], isFoundInRaw: false });
});

t.test('A find that only the raw line shows is told by it', async (t) => {
  t.strictSame(finds({ time: '2025-01-24T14:01:52Z', msg: 'x' }, '2025'), {
    shown: [],
    raw: ['2025'],
    isFoundInRaw: true,
  });
  t.strictSame(finds({ msg: 'x', a: `${'y'.repeat(300)}z` }, 'z'), { shown: [], raw: ['z'], isFoundInRaw: true });
  t.strictSame(finds({ msg: 'x', time: '2025-01-24T14:01:52Z x' }, 'x'), {
    shown: ['x'],
    raw: ['x', 'x'],
    isFoundInRaw: true,
  });
  t.equal(finds({ msg: '\x1b[31mred', a: 1 }, 'red')?.isFoundInRaw, true, 'where places mean nothing');
  const many = Object.fromEntries(Array.from({ length: 23 }, (_, n) => [`k${n}`, n]));
  t.equal(finds(many, 'k22')?.isFoundInRaw, true);
  t.equal(finds(many, 'k1')?.isFoundInRaw, false);
});

t.test('No line takes long, however hostile', async (t) => {
  const n = 65_000;
  const hostile = [
    `{"a":"${'\\"'.repeat(n / 2)}"}`,
    `{"msg":"${'\\u0041'.repeat(n / 6)}"}`,
    `{${'"a":1,'.repeat(n / 6)}"a":1}`,
    `{"a":${'[ '.repeat(n / 4)}${'] '.repeat(n / 4)}}`,
    `{${' '.repeat(n)}"a":1}`,
    `{"msg":"${'\\n'.repeat(n / 2)}"}`,
  ];
  for (const text of hostile) {
    const began = performance.now();
    t.ok(fold(text, 'a'));
    const ms = performance.now() - began;
    t.ok(ms < 200, `${text.slice(0, 20)}: ${Math.round(ms)} ms`);
  }
});
