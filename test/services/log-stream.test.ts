import t from 'tap';
import { stripAnsi, toSegments } from '../../src/services/ansi.ts';
import {
  compareCursors,
  createNumbering,
  cursorDate,
  isCursor,
  parseCursor,
  parseLogTime,
  toEngineTime,
} from '../../src/services/log-cursor.ts';
import { createLogReader } from '../../src/services/log-stream.ts';

const first = '2025-01-24T14:01:52.610000001Z';
const second = '2025-01-24T14:01:52.610000002Z';
const third = '2025-01-24T14:01:53.000000000Z';
const piece = 16 * 1024;
const filler = Buffer.alloc(piece, 'a');

function frame(type: number, payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(8);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

const out = (text: string, at = first) => frame(1, `${at} ${text}`);
const err = (text: string, at = first) => frame(2, `${at} ${text}`);

type Line = [at: string, stream: string, text: string];

function read(...chunks: (Buffer | string)[]): Line[] {
  const lines: Line[] = [];
  const reader = createLogReader((...line) => lines.push(line));
  for (const chunk of chunks) reader.push(Buffer.from(chunk));
  reader.end();
  return lines;
}

const texts = (lines: Line[]) => lines.map(([, , text]) => text);

t.test('Frames', async (t) => {
  await t.test('give lines with their time and their output', async (t) => {
    t.same(read(out('hello\n'), err('oh no\n', second), out('\n', third)), [
      [first, 'stdout', 'hello'],
      [second, 'stderr', 'oh no'],
      [third, 'stdout', ''],
    ]);
    t.same(read(), []);
  });

  await t.test('may be split over chunks anywhere, in headers, timestamps and characters', async (t) => {
    const bytes = Buffer.concat([out('naïve 🚢 ⚓\n'), err('ça\r\n', second), out('', third), out('終わり\n', third)]);
    const whole = read(bytes);
    t.same(texts(whole), ['naïve 🚢 ⚓', 'ça', '終わり']);
    for (let at = 0; at <= bytes.length; at += 1) {
      for (let next = at; next <= Math.min(bytes.length, at + 12); next += 3) {
        const lines = read(bytes.subarray(0, at), bytes.subarray(at, next), bytes.subarray(next));
        if (JSON.stringify(lines) !== JSON.stringify(whole)) t.same(lines, whole, `split at ${at} and ${next}`);
      }
    }
    t.same(read(...Array.from(bytes, (byte) => Buffer.of(byte))), whole, 'byte by byte');
  });

  await t.test('of one long line are joined, under the first time', async (t) => {
    const long = 'x'.repeat(piece);
    const lines = read(out(long), out(long), out('end\n', second), out('next\n', third));
    t.same(lines, [
      [first, 'stdout', `${long}${long}end`],
      [third, 'stdout', 'next'],
    ]);
  });

  await t.test('join characters that were split at a 16 KiB border', async (t) => {
    const text = `a${'é'.repeat(piece)}`;
    const bytes = Buffer.from(`${text}\n`);
    const parts = [0, 1, 2].map((n) =>
      Buffer.concat([Buffer.from(`${first} `), bytes.subarray(n * piece, (n + 1) * piece)]),
    );
    t.same(texts(read(...parts.map((part) => frame(1, part)))), [text]);
  });

  await t.test('of long lines on both outputs do not mix', async (t) => {
    const lines = read(out('o'.repeat(piece)), err('e'.repeat(piece), second), out('1\n'), err('2\n', second));
    t.same(lines, [
      [first, 'stdout', `${'o'.repeat(piece)}1`],
      [second, 'stderr', `${'e'.repeat(piece)}2`],
    ]);
  });

  await t.test('without a newline are a line where the process ended there', async (t) => {
    t.same(texts(read(out('bye'), out('hello again\n', third))), ['bye', 'hello again']);
    t.same(read(out('bye out', second), err('bye err')), [
      [first, 'stderr', 'bye err'],
      [second, 'stdout', 'bye out'],
    ]);
  });

  await t.test('cut a line at 64 KiB and say how much', async (t) => {
    const long = Array.from({ length: 6 }, () => out('y'.repeat(piece)));
    const [text = ''] = texts(read(...long, out('z\n')));
    t.equal(text, `${'y'.repeat(64 * 1024)} [… ${2 * piece + 1} bytes cut]`);
    const [single = ''] = texts(read(out(`${'é'.repeat(50_000)}\n`)));
    t.equal(single, `${'é'.repeat(32 * 1024)} [… ${100_000 - 64 * 1024} bytes cut]`);
    const [odd = ''] = texts(read(out(`a${'é'.repeat(50_000)}\n`)));
    t.notMatch(odd, /\uFFFD/, 'not in the middle of a character');
    t.match(odd, / bytes cut\]$/);
  });

  await t.test('with a hostile length cost no memory', async (t) => {
    const header = Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    const before = process.memoryUsage();
    const lines: Line[] = [];
    const reader = createLogReader((...line) => lines.push(line));
    reader.push(header);
    reader.push(Buffer.from(`${first} `));
    for (let n = 0; n < 2_000; n += 1) reader.push(filler);
    const after = process.memoryUsage();
    t.ok(after.arrayBuffers - before.arrayBuffers < 8e6, 'less than 8 MB for 32 MB');
    t.throws(() => reader.end(), { code: 'engine_error', message: /middle of a frame/ });
    t.same(lines, []);
  });

  await t.test('that are malformed or cut off are an error, after the lines before them', async (t) => {
    const lines: Line[] = [];
    const reader = createLogReader((...line) => lines.push(line));
    const bytes = Buffer.concat([out('good\n'), Buffer.from([7, 0, 0, 0, 0, 0, 0, 1, 65])]);
    t.throws(() => reader.push(bytes), { code: 'engine_error', message: /malformed frame/ });
    t.same(texts(lines), ['good']);
    t.throws(() => read(Buffer.from([1, 0, 9, 0, 0, 0, 0, 1])), { code: 'engine_error' });
    t.throws(() => read(Buffer.from([1, 0, 0])), { message: /middle of a frame/ });
    t.throws(() => read(out('cut off\n').subarray(0, 20)), { message: /middle of a frame/ });
  });

  await t.test('of an error tell the words of the engine', async (t) => {
    const words = "Error grabbing logs: invalid character '\\x00' looking for beginning of value\n";
    t.throws(() => read(out('x\n'), frame(3, words)), {
      code: 'engine_error',
      message: /cannot read this log: Error grabbing logs: invalid character/,
      engineMessage: words.trim(),
    });
    t.throws(() => read(`${words}`), { code: 'engine_error' }, 'without frames too');
    t.throws(() => read('<html>no engine</html>'), { code: 'engine_error' });
  });
});

t.test('A log of a TTY', async (t) => {
  const bytes = Buffer.from(`${first} \x1B[32mgrün\x1B[0m\r\n${second} zwei\r\n${third} $ `);

  await t.test('gives lines on stdout, split anywhere', async (t) => {
    const whole: Line[] = [
      [first, 'stdout', '\x1B[32mgrün\x1B[0m'],
      [second, 'stdout', 'zwei'],
      [third, 'stdout', '$ '],
    ];
    for (let at = 0; at <= bytes.length; at += 1) {
      const lines = read(bytes.subarray(0, at), bytes.subarray(at));
      if (JSON.stringify(lines) !== JSON.stringify(whole)) t.same(lines, whole, `split at ${at}`);
    }
    t.same(read(...Array.from(bytes, (byte) => Buffer.of(byte))), whole, 'byte by byte');
  });

  await t.test("loses the engine's timestamps at 16 KiB borders, and no others", async (t) => {
    const own = 'time=2025-01-24T14:01:52.600000000Z ';
    const body = own + 'x'.repeat(piece - own.length);
    const line = `${first} ${body}${first} ${body}${second} end\r\n${third} next\r\n`;
    for (const size of [7_000, 16_384, 16_415, 16_420, 40_000, 100_000]) {
      const chunks = Array.from({ length: Math.ceil(line.length / size) }, (_, n) =>
        line.slice(n * size, (n + 1) * size),
      );
      t.same(
        read(...chunks),
        [
          [first, 'stdout', `${body}${body}end`],
          [third, 'stdout', 'next'],
        ],
        `chunks of ${size}`,
      );
    }
  });

  await t.test('finds the border where broken bytes have grown', async (t) => {
    const grown = '\uFFFD'.repeat(piece);
    const [text = ''] = texts(read(`${first} ${grown}${second} end\n`));
    t.ok(text === `${grown}end`);
  });

  await t.test('splits where a process ended, or the engine forgot the newline of a long line', async (t) => {
    const long = 'x'.repeat(piece);
    t.same(texts(read(`${first} bye${second} hello\r\n`)), ['bye', 'hello']);
    t.same(texts(read(`${first} ${long}${first} end\r${second} next\r\n`)), [`${long}end`, 'next']);
    t.same(texts(read(frame(1, `${first} ${long}`), out('end'), out('next\n', second))), [`${long}end`, 'next']);
  });

  await t.test('keeps a line without an end within bounds', async (t) => {
    const reader = createLogReader(() => {});
    reader.push(Buffer.from(`${first} `));
    const before = process.memoryUsage().arrayBuffers;
    for (let n = 0; n < 2_000; n += 1) reader.push(filler);
    t.ok(process.memoryUsage().arrayBuffers - before < 8e6);
  });
});

t.test('The text of a line', async (t) => {
  await t.test('loses its carriage return, and a progress bar keeps its last state', async (t) => {
    t.same(texts(read(out('a\r\n'), out('b\r\r\n'), out('10%\r50%\r100%\r\n'), out('\r\n'))), ['a', 'b', '100%', '']);
    const bar = `${Array.from({ length: 30_000 }, (_, n) => `\r${n} of 30000`).join('')} done`;
    const pieces = [];
    for (let at = 0; at < bar.length; at += piece) pieces.push(bar.slice(at, at + piece));
    const last = pieces.pop();
    t.same(
      texts(read(...pieces.map((part) => out(part)), out(`${last}\n`))),
      ['29999 of 30000 done'],
      'over 64 KiB too',
    );
    const raw = [...pieces, last].map((part) => `${first} ${part}`).join('');
    t.same(texts(read(`${raw}\r\n`)), ['29999 of 30000 done'], 'in a TTY too');
  });

  await t.test('keeps control characters and shows broken UTF-8 as U+FFFD', async (t) => {
    t.same(texts(read(out('a\0b\x07\n'))), ['a\0b\x07']);
    t.same(
      texts(read(frame(1, Buffer.concat([Buffer.from(`${first} `), Buffer.from([0xff, 0x61, 0xe2, 0x82, 10])])))),
      ['\uFFFDa\uFFFD'],
    );
  });
});

t.test('Times come as UTC with nine decimals, however the engine writes them', async (t) => {
  const at = (stamp: string) => read(`${stamp} x\n`)[0]?.[0];
  t.equal(at('2025-01-24T14:01:52.610000001Z'), '2025-01-24T14:01:52.610000001Z');
  t.equal(at('2025-01-24T14:01:52.61Z'), '2025-01-24T14:01:52.610000000Z');
  t.equal(at('2025-01-24T14:01:52Z'), '2025-01-24T14:01:52.000000000Z');
  t.equal(at('2025-01-24T14:01:52.5+02:00'), '2025-01-24T12:01:52.500000000Z');
  t.equal(at('0001-01-01T00:00:00Z'), '0001-01-01T00:00:00.000000000Z');
  t.equal(at('2025-99-99T99:99:99Z'), '1970-01-01T00:00:00.000000000Z');
  t.same(read(out('a\n'), frame(1, 'no time\n')), [
    [first, 'stdout', 'a'],
    [first, 'stdout', 'no time'],
  ]);
});

t.test('Podman cuts lines anywhere, and each is joined', async (t) => {
  const stamp = '2025-01-24T14:01:52+00:00';
  const next = '2025-01-24T14:01:53+00:00';
  t.same(texts(read(frame(1, `${stamp} half `), frame(1, `${next} and half\n`))), ['half and half']);
});

t.test('The engine counts pieces, and so does the reader', async (t) => {
  const reader = createLogReader(() => {});
  reader.push(Buffer.concat([out('x'.repeat(piece)), out('end\n'), err('one\n')]));
  t.equal(reader.pieces(), 3);
});

t.test('Cursors', async (t) => {
  await t.test('are made of the time and the ordinal among lines of one time', async (t) => {
    const number = createNumbering();
    const cursors = [first, first, second, third, third].map(number);
    t.same(cursors, [
      '1737727312610000001.0',
      '1737727312610000001.1',
      '1737727312610000002.0',
      '1737727313000000000.0',
      '1737727313000000000.1',
    ]);
    for (const cursor of cursors) t.match(cursor, /^[0-9a-z.]{1,40}$/);
    t.equal(createNumbering(7)(first), '1737727312610000001.7');
  });

  await t.test('only grow, also where the log is out of order', async (t) => {
    const number = createNumbering();
    const cursors = [second, first, second, third].map(number);
    t.same(cursors, [...cursors].sort(compareCursors));
    t.equal(new Set(cursors).size, 4);
    const old = createNumbering();
    t.same(['0001-01-01T00:00:00.000000000Z', '1970-01-01T00:00:00.000000000Z'].map(old), [
      '0000000000000000000.0',
      '0000000000000000000.1',
    ]);
  });

  await t.test('compare by time, then by ordinal as a number', async (t) => {
    t.ok(compareCursors('1737727312610000001.9', '1737727312610000001.10') < 0);
    t.ok(compareCursors('1737727312610000002.0', '1737727312610000001.10') > 0);
    t.equal(compareCursors('1737727312610000001.0', '1737727312610000001.0'), 0);
  });

  await t.test('turn into what the engine reads', async (t) => {
    t.equal(toEngineTime('1737727312610000001.3'), '1737727312.610000001');
    t.equal(toEngineTime('1737727312010000001.3', 100), '1737727311.910000001');
    t.equal(toEngineTime('0000000000000000000.0', 100), '0.000000000');
    t.equal(cursorDate('1737727312610000001.3'), first);
  });

  await t.test('from outside are checked', async (t) => {
    t.equal(parseCursor('1737727312610000001.3'), '1737727312610000001.3');
    for (const hostile of [
      '',
      '1',
      '../x',
      '1737727312610000001',
      `${'9'.repeat(500)}.1`,
      '1737727312610000001.-1',
      '\n',
    ]) {
      t.notOk(isCursor(hostile));
      t.throws(() => parseCursor(hostile), { code: 'invalid', message: /^since: / });
    }
  });

  await t.test('stand beside RFC 3339 and seconds as a time', async (t) => {
    const time = (text: string) => parseLogTime('until', text);
    t.same(time('1737727312610000001.3'), { engine: '1737727312.610000001', after: '1737727312610000001.3' });
    t.same(time('1737727312'), { engine: '1737727312.000000000', after: undefined });
    t.same(time('1737727312.5'), { engine: '1737727312.500000000', after: undefined });
    t.same(time(first), { engine: '1737727312.610000001', after: undefined });
    t.same(time('2025-01-24T16:01:52+02:00'), { engine: '1737727312.000000000', after: undefined });
    for (const wrong of ['', 'yesterday', '2025-01-24', '-5', '2025-13-24T14:01:52Z', '1e9', 'x'.repeat(100_000)]) {
      t.throws(() => time(wrong), { code: 'invalid', message: /^until: must be/ });
    }
  });
});

t.test('Colours', async (t) => {
  const plain = (text: string) => [{ text, classes: [] }];

  await t.test('become segments with classes', async (t) => {
    t.same(toSegments('plain'), plain('plain'));
    t.same(toSegments('a \x1B[31;1mred\x1B[0m b'), [
      { text: 'a ', classes: [] },
      { text: 'red', classes: ['ansi-red', 'ansi-bold'] },
      { text: ' b', classes: [] },
    ]);
    t.same(toSegments('\x1B[97;44mx'), [{ text: 'x', classes: ['ansi-bright-white', 'ansi-bg-blue'] }]);
    t.same(toSegments('\x1B[7mx'), [{ text: 'x', classes: ['ansi-black', 'ansi-bg-white'] }]);
    t.same(toSegments('\x1B[2;3;4;9mx'), [
      { text: 'x', classes: ['ansi-dim', 'ansi-italic', 'ansi-underline', 'ansi-strikethrough'] },
    ]);
  });

  await t.test('beyond the sixteen take the nearest of them', async (t) => {
    const classOf = (codes: string) => toSegments(`\x1B[${codes}mx`)[0]?.classes.join(' ');
    t.equal(classOf('38;5;9'), 'ansi-bright-red');
    t.equal(classOf('38;5;196'), 'ansi-bright-red');
    t.equal(classOf('48;5;232'), 'ansi-bg-black');
    t.equal(classOf('38;5;244'), 'ansi-bright-black');
    t.equal(classOf('38;2;0;200;10'), 'ansi-green');
    t.equal(classOf('38:2::0:200:10'), 'ansi-green');
    t.equal(classOf('38:5:196'), 'ansi-bright-red');
    t.equal(classOf('4:3'), 'ansi-underline');
  });

  await t.test('are all that is left of escape sequences and controls', async (t) => {
    t.same(
      toSegments('\x1B]0;title\x07a\x1B[2K\x1B[1;1Hb\x1B[?25lc\x1B(Bd\x1B7e\x08\0f\x7F\x85g\th'),
      plain('abcdefg\th'),
    );
    t.same(toSegments('\x1B]8;;https://example.com\x1B\\link\x1B]8;;\x1B\\!'), plain('link!'));
    t.same(toSegments('\x1BPdevice\x1B\\a\x9B31mb'), [
      { text: 'a', classes: [] },
      { text: 'b', classes: ['ansi-red'] },
    ]);
    t.same(toSegments('\x1B'), plain(''));
    t.same(
      toSegments('a\x1B[').map(({ text }) => text),
      ['a'],
    );
    t.notMatch(JSON.stringify(toSegments('\x1B\x1B[0K[5mx\x1B\x1B[2J[2Jy')), /\\u001b/);
    t.same(stripAnsi('\x1B[31mERR\x1B[0mOR \x1B]0;t\x07x'), 'ERROR x');
    t.equal(stripAnsi('plain'), 'plain');
  });

  await t.test('leave text that looks like HTML as it is, for the template to escape', async (t) => {
    t.same(toSegments('<script>"&\'</script>'), plain('<script>"&\'</script>'));
    t.same(toSegments('\x1B[1m<b>'), [{ text: '<b>', classes: ['ansi-bold'] }]);
  });

  await t.test('do not hide marks that reorder a line', async (t) => {
    t.same(toSegments('admin\u202Etxt.exe'), plain('admin⟨U+202E⟩txt.exe'));
    t.same(stripAnsi('\u2066\u200F\u061C'), '⟨U+2066⟩⟨U+200F⟩⟨U+061C⟩');
    t.same(toSegments('مرحبا שלום'), plain('مرحبا שלום'), 'and leave right-to-left text alone');
  });

  await t.test('cannot be used to stall the server or the browser', async (t) => {
    const started = performance.now();
    for (const part of [
      '\x1B[1m',
      '\x1B[31mx\x1B[0m',
      '\x1B]',
      '\x1B[',
      '\x9D',
      '\x1B',
      '1;',
      '\x1B[1;2;3',
      '\u202E',
    ]) {
      const segments = toSegments(part.repeat(Math.floor(65_536 / part.length)));
      t.ok(segments.length <= 501, JSON.stringify(part));
    }
    t.ok(performance.now() - started < 2_000);
  });
});
