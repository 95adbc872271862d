import t from 'tap';
import { stripAnsi } from '../../src/services/ansi.ts';
import { createEntries, levelOfLine } from '../../src/services/log-entries.ts';
import { levelOf } from '../../src/services/log-level-forms.ts';
import { logLevels } from '../../src/services/log-levels.ts';
import type { LogLine } from '../../src/services/log-lines.ts';
import { createSearch } from '../../src/services/log-search.ts';
import { beginTrace, continues, type TraceState } from '../../src/services/log-traces.ts';
import { toFolded } from '../../src/views/models/log-folding.ts';
import { logLineModel } from '../../src/views/models/logs.ts';
import { createHostileLines, createRandom } from '../fixtures/hostile-lines.ts';

const toLine = (text: string, n: number): LogLine => ({
  at: '2025-01-24T14:01:52.610000001Z',
  cursor: `${1_737_727_312_610_000_000n + BigInt(n)}.0`,
  stream: 'stdout',
  text,
  container: 'c',
});

t.test('Whatever a line of JSON holds, it has a level or none, and is shown', async (t) => {
  for (const value of ['{"toString":0}', '{"toString":null,"valueOf":1}', '[[{"toString":0}]]', '"ERROR x"', 'null']) {
    for (const key of ['', 'msg', '__proto__', 'toString', 'level']) {
      const text = `{"${key}":${value}}`;
      t.doesNotThrow(() => levelOf(text), text);
      const lines = [toLine(text, 0), toLine('  under it', 1)];
      lines.forEach(createEntries());
      for (const line of lines) t.doesNotThrow(() => logLineModel(line, { base: '' }), text);
    }
  }
  t.equal(levelOf('{"":"ERROR x"}'), undefined, 'only what is known as a message is one');
});

t.test('100,000 hostile lines are read', async (t) => {
  const random = createRandom(4);
  const nextLine = createHostileLines(random);
  const mark = createSearch({ q: 'e' })?.mark;
  const levels = new Set<string | undefined>([...logLevels, undefined]);
  const read = createEntries();
  let state: TraceState = { head: undefined, kind: 'unknown', level: () => undefined };
  const counts = { levels: 0, folded: 0, entries: 0 };
  const faults: unknown[] = [];

  /** What guards these readings elsewhere would hide here what they throw. */
  function readOne(line: LogLine): void {
    const text = stripAnsi(line.text);
    const level = levelOf(text);
    if (!levels.has(level)) throw new Error(`level ${level}`);
    const folded = toFolded(line.text, mark);
    if (folded && folded.raw.map((part) => part.text).join('') !== text) throw new Error('the raw line is not whole');
    const kind = continues(text, state);
    state = kind ? { ...state, kind } : { head: text, kind: beginTrace(text), level: () => level };
    read(line);
    if (level) counts.levels += 1;
    if (folded) counts.folded += 1;
    if (line.entry) counts.entries += 1;
  }

  for (let n = 0; n < 100_000 && faults.length < 5; n += 1) {
    const line = toLine(nextLine(), n);
    try {
      readOne(line);
    } catch (error) {
      faults.push([line.text, String(error)]);
    }
  }
  t.strictSame(faults, []);
  for (const [name, count] of Object.entries(counts)) t.ok(count > 1_000, `${name}: ${count} of them`);
});

t.test('What cannot be read at all tells no level, and takes no other line with it', async (t) => {
  const broken = { ...toLine('', 1), text: null as unknown as string };
  t.equal(levelOfLine(broken), undefined);
  const lines = [toLine('ERROR x', 0), broken, toLine('\tat a', 2), toLine('ERROR y', 3), toLine('\tat b', 4)];
  lines.forEach(createEntries());
  t.strictSame(lines.map(levelOfLine), ['error', undefined, undefined, 'error', 'error']);
});

/** The CPU time of one reading, in µs, whatever else the machine does: the best of several. */
function costOf(read: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let n = 0; n < 4; n += 1) {
    const began = process.threadCpuUsage();
    let used = 0;
    let times = 0;
    while (used < 1_000) {
      read();
      times += 1;
      const { user, system } = process.threadCpuUsage(began);
      used = user + system;
    }
    best = Math.min(best, used / times);
  }
  return best;
}

/** Whether eight times the text took more than three times as much more, µs. */
const isSteep = (costs: readonly number[]) =>
  costs.some((cost, n) => n > 0 && cost > 24 * (costs[n - 1] as number) + 100);

t.test('Eight times the line takes about eight times as long, and never near the square of it', async (t) => {
  const ofLength = (piece: string, n: number) => piece.repeat(Math.floor(n / piece.length));
  const filled: Record<string, (fill: (piece: string) => string) => string> = {
    'a quote that nothing closes': (fill) => `level= "${fill('\\"')}`,
    'many of them': (fill) => `level= ${fill(' "a\\')}`,
    'quotes in quotes': (fill) => `level= "${fill('{\\"a\\":\\"b\\"},')}" level=info`,
    backslashes: (fill) => `level= "${fill('\\')}`,
    'keys without a level': (fill) => `level= ${fill(' level=x')}`,
    'one long key': (fill) => `level=${fill('x')}`,
    blanks: (fill) => `${fill(' ')}x`,
    braces: (fill) => `level= ${fill('{"')}}`,
    'blanks between braces': (fill) => `x ${fill('{ ')}}`,
    'closing braces': (fill) => `{${fill('} ')}x`,
    'a brace and blanks': (fill) => `{} ${fill(' ')}x`,
    'JSON that is cut off': (fill) => `{${fill('"level" ')}`,
    'JSON that nests': (fill) => `{${fill('"a":{')}`,
    'JSON with a long message': (fill) => `{"msg":"${fill('\\n')}"}`,
    'JSON with a long field': (fill) => `{"a":"${fill('\\"')}"}`,
    'JSON with many fields': (fill) => `{"a":1${fill(',"a":1')}`.replace(/,[^,]*$/, '}'),
    'JSON with a wide field': (fill) => `{"a":[1${fill(', "b"')}`.replace(/,[^,]*$/, ']}'),
    dots: (fill) => fill('a.'),
    'one long word': (fill) => fill('A'),
    brackets: (fill) => fill('('),
    calls: (fill) => `${fill('a(')})`,
    'a goroutine': (fill) => `goroutine 1 gp=${fill('x ')}`,
    digits: (fill) => `goroutine ${fill('1')}`,
    'closing brackets': (fill) => `${fill('}')}x`,
    'a frame': (fill) => `  ... ${fill('1')}`,
    Postgres: (fill) => `2025-01-24 ${fill('x [1] ')} DETAIL:  x`,
    colours: (fill) => fill('\x1b[31m'),
    'a title without an end': (fill) => fill('\x1b]'),
  };
  const mark = createSearch({ q: 'level' })?.mark;
  const heads = ['ERROR x', 'goroutine 1 [running]:', 'Traceback (most recent call last):', '2025-01-24 [1] ERROR:  x'];
  const readings: Record<string, (text: string) => unknown> = {
    level: (text) => levelOf(text),
    folding: (text) => toFolded(text, mark),
    entries: (text) => {
      for (const head of heads) [toLine(head, 0), toLine(text, 1), toLine(text, 2)].forEach(createEntries());
    },
  };
  for (const [name, write] of Object.entries(filled)) {
    const texts = [512, 4_096, 32_768].map((n) => write((piece) => ofLength(piece, n)));
    for (const [what, read] of Object.entries(readings)) {
      const measure = () => texts.map((text) => costOf(() => read(text)));
      let costs = measure();
      // A machine that is busy makes single readings slow; what is steep by itself is so each time.
      for (let again = 0; again < 9 && isSteep(costs); again++) costs = measure();
      t.notOk(isSteep(costs), `${what}, ${name}: ${costs.map(Math.round).join(', ')} µs`);
    }
  }
});
