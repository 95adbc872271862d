import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { createDocker } from '../../src/services/docker.ts';
import {
  compareCursors,
  cursorAt,
  cursorBehind,
  nextCursor,
  parseLogTime,
  previousCursor,
} from '../../src/services/log-cursor.ts';
import { endOfLog } from '../../src/services/log-slices.ts';
import { createLogs, type LogLine, type LogSlice, type Logs } from '../../src/services/logs.ts';
import { createSimulatedEngine, type SimulatedEngine, type SimulatedEngineOptions } from '../simulated/engine.ts';

const signal = new AbortController().signal;
const second = 1_000_000_000n;
const now = BigInt(Date.now()) * 1_000_000n;

type Teardown = { teardown(end: () => unknown): void };

async function start(t: Teardown, options: SimulatedEngineOptions = {}) {
  const engine = await createSimulatedEngine({ maxLogBytes: 64e6, ...options });
  const docker = createDocker({ kind: 'unix', path: engine.socketPath, text: engine.host });
  const logs = createLogs(docker);
  t.teardown(async () => {
    logs.close();
    docker.close();
    await engine.close();
  });
  const add = () => engine.addContainer({ name: `c${Math.random().toString(36).slice(2)}` }).id;
  return { engine, logs, add };
}

/** Writes numbered lines, each at its time in ns, every third to stderr. */
function write(engine: SimulatedEngine, id: string, times: readonly bigint[]): void {
  for (const [n, at] of times.entries()) {
    engine.writeLog(id, `line ${n}`, { at, stream: n % 3 === 2 ? 'stderr' : 'stdout' });
  }
}

const series = (count: number, from: bigint, step: bigint) =>
  Array.from({ length: count }, (_, n) => from + BigInt(n) * step);

/** All lines, read in pages from the newest back to the first. */
async function readBack(logs: Logs, id: string, count: number, filter: { q?: string; stream?: 'stderr' } = {}) {
  let cursor: string | undefined = endOfLog;
  let lines: LogLine[] = [];
  const pages: LogSlice[] = [];
  while (cursor !== undefined) {
    const page: LogSlice = await logs.slices.before(id, { ...filter, cursor, count }, signal);
    lines = [...page.lines, ...lines];
    pages.push(page);
    cursor = page.earlier;
  }
  return { lines, pages };
}

/** All lines, read in pages from the first on. */
async function readOn(logs: Logs, id: string, count: number) {
  let cursor: string | undefined = '0000000000000000000.0';
  const lines: LogLine[] = [];
  while (cursor !== undefined) {
    const page: LogSlice = await logs.slices.after(id, { cursor, count }, signal);
    lines.push(...page.lines);
    cursor = page.later;
  }
  return lines;
}

const textsOf = (lines: readonly LogLine[]) => lines.map(({ text }) => text);
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `line ${from + n}`);

t.test('Pages read back from the newest line to the first have every line once, with one cursor', async (t) => {
  const { engine, logs, add } = await start(t);
  const logsOf: Record<string, readonly bigint[]> = {
    'an empty log': [],
    'one line': [now],
    'just a page': series(500, now - 500n * second, second),
    'a line a second': series(3_000, now - 3_000n * second, second),
    'a burst, then a line a day': [
      ...series(21_000, now - 1_000_000n * second, 1_000n),
      ...series(9, now - 800_000n * second, 86_400n * second),
    ],
    'lines of years, far apart': series(2_100, now - 2_100n * 100_000n * second, 100_000n * second),
    'many lines of one time': series(6_000, now - second, 0n),
    'groups of one time': Array.from({ length: 5_000 }, (_, n) => now - 3_600n * second + BigInt(n >> 8) * second),
    'lines out of order': series(5_000, now - 3_600n * second, 3_000_000n).map(
      (at, n) => at - BigInt((n * 7_919) % 30) * 3_000_000n,
    ),
  };
  for (const [name, times] of Object.entries(logsOf)) {
    const id = add();
    write(engine, id, times);
    const { lines } = await readBack(logs, id, 500);
    t.strictSame(textsOf(lines), numbers(0, times.length), name);
    const whole: LogLine[] = [];
    for await (const line of logs.lines(id, {}, signal)) whole.push(line);
    t.strictSame(lines, whole, `${name}, as they are streamed`);
    t.strictSame(await readOn(logs, id, 500), whole, `${name}, read from the first on`);
  }
});

t.test('A page', async (t) => {
  const { engine, logs, add } = await start(t);
  const id = add();
  const times = series(30_000, now - 30_000n * second, second);
  write(engine, id, times);
  const cursorOf = (n: number) => `${times[n]}.0`;

  await t.test('before, behind or around a line holds what is next to it, wherever it lies', async (t) => {
    for (const n of [3, 600, 9_000, 25_000, 28_500, 29_990]) {
      const before = await logs.slices.before(id, { cursor: cursorOf(n), count: 100 }, signal);
      t.strictSame(textsOf(before.lines), numbers(Math.max(0, n - 100), n), `before ${n}`);
      t.equal(before.earlier === undefined, n <= 100, 'says whether there are earlier ones');
      t.equal(before.later, cursorOf(n - 1));
      const after = await logs.slices.after(id, { cursor: cursorOf(n), count: 100 }, signal);
      t.strictSame(textsOf(after.lines), numbers(n + 1, Math.min(n + 101, 30_000)), `behind ${n}`);
      t.equal(after.later === undefined, n + 101 >= 30_000, 'says whether there are later ones');
      const around = await logs.slices.around(id, { cursor: cursorOf(n), count: 100 }, signal);
      t.strictSame(textsOf(around.lines), numbers(Math.max(0, n - 50), Math.min(n + 50, 30_000)), `around ${n}`);
    }
  });

  await t.test('goes from its neighbours to exactly their neighbours', async (t) => {
    const middle = await logs.slices.around(id, { cursor: cursorOf(12_000), count: 10 }, signal);
    const earlier = await logs.slices.before(id, { cursor: middle.earlier ?? '', count: 10 }, signal);
    const later = await logs.slices.after(id, { cursor: middle.later ?? '', count: 10 }, signal);
    t.strictSame(
      textsOf([...earlier.lines, ...middle.lines, ...later.lines]),
      numbers(11_985, 12_015),
      'without a hole',
    );
    t.equal(earlier.later && nextCursor(earlier.later), nextCursor(earlier.lines.at(-1)?.cursor ?? ''));
  });

  await t.test('may lie where there is no line', async (t) => {
    const early = await logs.slices.before(id, { cursor: '0000000000000000000.0', count: 10 }, signal);
    t.match(early, { lines: [], earlier: undefined });
    const late = await logs.slices.after(id, { cursor: endOfLog, count: 10 }, signal);
    t.match(late, { lines: [], later: undefined });
    t.strictSame(
      textsOf((await logs.slices.before(id, { cursor: late.earlier ?? '', count: 2 }, signal)).lines),
      numbers(29_998, 30_000),
    );
    const between = `${(times[20_000] ?? 0n) + 5n}.0`;
    const around = await logs.slices.around(id, { cursor: between, count: 4 }, signal);
    t.strictSame(textsOf(around.lines), numbers(19_999, 20_003));
  });

  await t.test('ends at a time that it may not go beyond', async (t) => {
    const query = { cursor: cursorOf(20_000), since: previousCursor(cursorOf(19_990)), count: 500 };
    const page = await logs.slices.before(id, query, signal);
    t.strictSame(textsOf(page.lines), numbers(19_990, 20_000));
    t.equal(page.earlier, undefined);
    const full = await logs.slices.before(id, { ...query, count: 3 }, signal);
    t.strictSame(textsOf(full.lines), numbers(19_997, 20_000));
    t.equal(full.earlier, cursorOf(19_997));
  });

  await t.test('of one output or with a text has those lines alone, over the whole log', async (t) => {
    const found = await readBack(logs, id, 100, { q: 'LINE 1234', stream: 'stderr' });
    t.strictSame(
      textsOf(found.lines),
      numbers(0, 30_000).filter((text, n) => text.startsWith('line 1234') && n % 3 === 2),
    );
    t.equal(found.pages.at(-1)?.earlier, undefined);
    const after = await logs.slices.after(id, { cursor: cursorOf(15), count: 2, q: '999' }, signal);
    t.strictSame(textsOf(after.lines), ['line 999', 'line 1999']);
    const api: LogLine[] = [];
    for await (const line of logs.lines(id, { q: 'line 77', tail: 3 }, signal)) api.push(line);
    t.strictSame(textsOf(api), ['line 7797', 'line 7798', 'line 7799'], 'also where it is streamed');
  });
});

t.test('Long lines are whole, wherever a reading cuts them', async (t) => {
  const { engine, logs, add } = await start(t);
  const id = add();
  for (let n = 0; n < 1_500; n += 1) {
    engine.writeLog(id, `${n} ${'x'.repeat(n % 5 === 0 ? 40_000 : 10)}`, { at: now - BigInt(1_500 - n) * second });
  }
  const { lines } = await readBack(logs, id, 90);
  t.strictSame(
    lines.map(({ text }) => `${Number.parseInt(text, 10)} of ${text.length}`),
    Array.from({ length: 1_500 }, (_, n) => `${n} of ${String(n).length + 1 + (n % 5 === 0 ? 40_000 : 10)}`),
  );
});

t.test('The newest lines of what was written all at once are read from the end of the log', async (t) => {
  const { engine, logs, add } = await start(t);
  const id = add();
  write(engine, id, series(70_000, now, 2_000n));
  const page = await logs.slices.before(id, { cursor: endOfLog, count: 100 }, signal);
  t.strictSame(textsOf(page.lines), numbers(69_900, 70_000));
  const asked = engine.requestsTo('GET', /logs$/).map(({ query }) => query);
  t.notOk(
    asked.some(({ since }) => since !== undefined),
    'for a time the engine reads the log from its start, however long that is',
  );
});

t.test('A page holds 4 MB of text at most, and the rest is on the next', async (t) => {
  const { engine, logs, add } = await start(t);
  const id = add();
  for (let n = 0; n < 400; n += 1) {
    engine.writeLog(id, `${n} ${'x'.repeat(50_000)}`, { at: now - BigInt(400 - n) * second });
  }
  const { lines, pages } = await readBack(logs, id, 500);
  t.equal(lines.length, 400);
  t.equal(pages.length, 6);
  t.ok(pages.every((page) => page.lines.reduce((sum, { text }) => sum + text.length, 0) <= 4_000_000));
  const on = await logs.slices.after(id, { cursor: '0000000000000000000.0', count: 500 }, signal);
  t.equal(on.lines.length, 79);
  t.equal(on.later, lines[78]?.cursor);
});

t.test('What was rotated away is not waited for', async (t) => {
  const { engine, logs, add } = await start(t, { maxLogBytes: 300_000 });
  const id = add();
  write(engine, id, series(10_000, now - 10_000n * second, second));
  const { lines } = await readBack(logs, id, 500);
  t.ok(lines.length > 1_000 && lines.length < 9_000);
  t.strictSame(textsOf(lines), numbers(10_000 - lines.length, 10_000));
  const gone = await logs.slices.before(id, { cursor: `${now - 9_999n * second}.0`, count: 10 }, signal);
  t.match(gone, { lines: [], earlier: undefined });
  const around = await logs.slices.around(id, { cursor: `${now - 9_999n * second}.0`, count: 10 }, signal);
  t.strictSame(textsOf(around.lines), textsOf(lines.slice(0, 5)), 'a jump there shows what comes next');
});

t.test('A search in a very long log says how far it came, and goes on from there', async (t) => {
  // The engine is a function of the request: 450,000 lines, one a second, of which the first alone holds the word.
  const total = 450_000;
  const first = Number(now / second) - total;
  let sent = 0;
  const logs = createLogs({
    containerLogs: async (_id, { tail = total, since = '0', until = '9999999999' }) => {
      const from = Math.max(total - tail, Math.ceil(Number(since)) - first, 0);
      const to = Math.min(total - 1, Math.floor(Number(until)) - first);
      const stream = new PassThrough();
      void (async () => {
        for (let n = from; n <= to && !stream.destroyed; n += 1_000) {
          let text = '';
          for (let line = n; line <= Math.min(to, n + 999); line += 1) {
            text += `${new Date((first + line) * 1_000).toISOString().slice(0, 19)}.000000000Z ${line === 3 ? 'needle' : 'hay'}\n`;
            sent += 1;
          }
          if (!stream.write(text)) await new Promise((resolve) => stream.once('drain', resolve).once('close', resolve));
        }
        stream.end();
      })();
      return stream as unknown as IncomingMessage;
    },
  });
  let cursor: string | undefined = endOfLog;
  const pages: LogSlice[] = [];
  while (cursor !== undefined) {
    sent = 0;
    const page: LogSlice = await logs.slices.before('c', { q: 'needle', cursor, count: 10 }, signal);
    t.ok(sent < 800_000, `${sent} lines were read for one page`);
    t.ok(page.earlier === undefined || compareCursors(page.earlier, cursor) < 0, 'each page comes further');
    pages.push(page);
    cursor = page.earlier;
  }
  t.ok(pages.length > 1, `${pages.length} pages`);
  t.ok(pages.slice(0, -1).every(({ lines, isCutShort }) => lines.length === 0 && isCutShort));
  t.match(pages.at(-1), { isCutShort: false, lines: [{ text: 'needle' }] });
  const on = await logs.slices.after('c', { q: 'nothing', cursor: `${first}000000000.0`, count: 10 }, signal);
  t.match(on, { lines: [], isCutShort: true, later: /^\d{19}\.0$/ });
});

t.test('A place is a cursor or a time', async (t) => {
  const time = (text: string) => parseLogTime('at', text).engine;
  t.equal(time('2026-01-02T03:04'), time('2026-01-02T03:04:00Z'), 'without seconds and zone it is UTC');
  t.equal(time('2026-01-02T03:04:05'), time('2026-01-02T04:04:05+01:00'));
  t.equal(time('2026-01-02T03:04:05.25'), `${Date.UTC(2026, 0, 2, 3, 4, 5) / 1000}.250000000`);
  t.throws(() => time('2026-01-02'), { code: 'invalid', message: /^at: / });
  t.throws(() => time('2026-02-30T00:00'), { code: 'invalid', message: /^at: / }, 'not 2 March');
  t.equal(cursorAt(parseLogTime('at', '2300-01-01T00:00')), endOfLog, 'what no cursor has room for is behind all');
  t.equal(cursorBehind(parseLogTime('until', endOfLog)), endOfLog);
  t.equal(previousCursor('1000000000000000000.0'), '0999999999999999999.999999999');
  t.equal(previousCursor('1000000000000000000.7'), '1000000000000000000.6');
  t.equal(nextCursor('0999999999999999999.999999999'), '1000000000000000000.0');
  t.equal(previousCursor('0000000000000000000.0'), '0000000000000000000.999999999');
});

t.test('What comes while a page is read is left to who follows from its end', async (t) => {
  const engine = await createSimulatedEngine({ maxLogBytes: 64e6 });
  const docker = createDocker({ kind: 'unix', path: engine.socketPath, text: engine.host });
  const { id } = engine.addContainer({ name: 'burst' });
  let readings = 0;
  const logs = createLogs({
    containerLogs(...args) {
      readings += 1;
      if (readings === 2) write(engine, id, series(50, now + second / 5n, 1_000_000n));
      return docker.containerLogs(...args);
    },
  });
  t.teardown(async () => {
    logs.close();
    docker.close();
    await engine.close();
  });
  // As many lines as a short tail has within the time in which no cursor is sure: a second reading is needed.
  write(engine, id, series(3_000, now, 20_000n));
  const page = await logs.slices.before(id, { cursor: endOfLog, count: 100 }, signal);
  t.ok(readings > 1, 'lines came between two readings');
  t.equal(page.end, page.lines.at(-1)?.cursor, 'the page ends with its last line');
  const rest = await logs.slices.after(id, { cursor: page.end ?? '', count: 100 }, signal);
  t.strictSame(textsOf(rest.lines), numbers(0, 50), 'and all others lie behind it');
});
