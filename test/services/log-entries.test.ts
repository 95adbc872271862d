import t from 'tap';
import { createDocker } from '../../src/services/docker.ts';
import { createEntries, isJoined, levelOfLine } from '../../src/services/log-entries.ts';
import type { LogLine } from '../../src/services/log-lines.ts';
import { endOfLog } from '../../src/services/log-slices.ts';
import { createLogs } from '../../src/services/logs.ts';
import { createMergedLogs } from '../../src/services/merged-logs.ts';
import { endOfLogs } from '../../src/services/merged-slices.ts';
import { entries, single } from '../fixtures/log-traces.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';

const signal = new AbortController().signal;
const begin = 1_737_727_312_610_000_000n;

const toLine = (text: string, n: number, stream: LogLine['stream'] = 'stdout', msApart = 0): LogLine => ({
  at: '2025-01-24T14:01:52.610000001Z',
  cursor: `${begin + BigInt(n) * (BigInt(msApart) * 1_000_000n + 1n)}.0`,
  stream,
  text,
  container: 'c',
});

/** Lines as they are read from a log. */
function read(texts: readonly string[], msApart = 0): LogLine[] {
  const lines = texts.map((text, n) => toLine(text, n, 'stdout', msApart));
  lines.forEach(createEntries());
  return lines;
}

t.test('What a program writes as one is one entry, with the level of its first line', async (t) => {
  for (const [name, level, text] of entries) {
    const lines = read(['GET / 200', ...text.split('\n'), 'GET /next 200']);
    const [before, first, ...rest] = lines;
    const after = rest.pop();
    t.equal(before?.entry, undefined);
    t.equal(first?.entry, undefined, `${name}: its first line`);
    t.strictSame(
      rest.filter((line) => line.entry?.first !== first?.cursor).map((line) => line.text),
      [],
      `${name}: all its other lines`,
    );
    t.strictSame([...new Set([first, ...rest].map((line) => line && levelOfLine(line)))], [level], name);
    t.equal(after?.entry, undefined, `${name}: not what comes after it`);
    for (const [n, line] of rest.entries()) t.ok(isJoined(line, lines[n + 1] as LogLine));
  }
});

t.test('Other lines stand for themselves', async (t) => {
  for (const line of read(single)) t.equal(line.entry, undefined, line.text);
});

t.test('Each output has its own entries', async (t) => {
  const lines = [
    toLine('ERROR x', 0, 'stderr'),
    toLine('INFO y', 1, 'stdout'),
    toLine('\tat z', 2, 'stderr'),
    toLine('\tat w', 3, 'stdout'),
  ];
  lines.forEach(createEntries());
  t.strictSame(lines.map(levelOfLine), ['error', 'info', 'error', 'info']);
  t.equal(isJoined(lines[2] as LogLine, lines[1] as LogLine), false, 'what stands above is something else');
});

t.test('Of an entry that was not read from its first line on no level is told', async (t) => {
  const lines = read(['\tat a (A.java:1)', 'Caused by: ERROR x', '\t... 2 more', 'INFO y', '\tat b']);
  t.strictSame(lines.map(levelOfLine), [undefined, undefined, undefined, 'info', 'info']);
  t.strictSame(
    lines.map(({ entry }) => entry?.first),
    ['', '', '', undefined, lines[3]?.cursor],
  );
});

t.test('An entry is bounded in lines and in time', async (t) => {
  const many = read(['ERROR x', ...Array.from({ length: 1_500 }, (_, n) => `\tat frame ${n}`)]);
  t.equal(levelOfLine(many[999] as LogLine), 'error');
  t.equal(levelOfLine(many[1_000] as LogLine), undefined, 'nobody knows how long it goes on');
  t.equal(levelOfLine(many[1_500] as LogLine), undefined);
  t.equal(levelOfLine(read(['ERROR x', '  and more'], 4_000)[1] as LogLine), 'error');
  t.equal(levelOfLine(read(['ERROR x', '  and more'], 6_000)[1] as LogLine), undefined, 'what comes later is new');
});

t.test('No text takes long, however hostile', async (t) => {
  const n = 60_000;
  for (const text of [
    '('.repeat(n),
    'a.'.repeat(n / 2),
    `${'a('.repeat(n / 2)})`,
    `${' '.repeat(n)}x`,
    'A'.repeat(n),
    '1'.repeat(n),
  ]) {
    for (const head of [
      'ERROR x',
      'goroutine 1 [running]:',
      'Traceback (most recent call last):',
      '2025-01-24 ERROR:  x',
    ]) {
      const began = performance.now();
      read([head, text, text, `:  ${text}`]);
      const ms = performance.now() - began;
      t.ok(ms < 100, `${head} then ${text.slice(0, 5)}: ${Math.round(ms)} ms`);
    }
  }
});

t.test('The level filter takes or leaves an entry as a whole', async (t) => {
  const engine = await createSimulatedEngine();
  const docker = createDocker({ kind: 'unix', path: engine.socketPath, text: engine.host });
  const logs = createLogs(docker);
  t.teardown(async () => {
    logs.close();
    docker.close();
    await engine.close();
  });
  const trace = ['ERROR x', '\tat a', 'Caused by: INFO b', '\t... 2 more'];
  const texts = ['INFO start', ...trace, 'INFO y', '\tat under info', 'plain'];
  const { id } = engine.addContainer({ name: 'web' });
  const other = engine.addContainer({ name: 'other' }).id;
  const now = BigInt(Date.now() - 60_000) * 1_000_000n;
  for (const [n, text] of texts.entries()) engine.writeLog(id, text, { at: now + BigInt(n) * 1_000n });
  engine.writeLog(other, 'INFO between them', { at: now + 2_500n });
  const textsOf = (lines: readonly LogLine[]) => lines.map(({ text }) => text);

  for (const count of [1, 2, 3, 100]) {
    const found: LogLine[] = [];
    for (let cursor: string | undefined = endOfLog; cursor !== undefined; ) {
      const page = await logs.slices.before(id, { level: 'error', cursor, count }, signal);
      found.unshift(...page.lines);
      cursor = page.earlier;
    }
    t.strictSame(textsOf(found), trace, `in pages of ${count}`);
  }
  t.strictSame(textsOf((await logs.read(id, { level: 'error' }, signal)).lines), trace, 'as it is read at once');

  const merged = createMergedLogs(logs);
  const page = await merged.slices.before([id, other], { level: 'error', place: endOfLogs, count: 100 }, signal);
  t.strictSame(textsOf(page.lines), trace, 'in a merged log');
  t.strictSame(page.lines.map(levelOfLine), ['error', 'error', 'error', 'error']);

  const seen: LogLine[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const view = logs.follow(id, { level: 'error', tail: 100 }, ({ lines }) => {
    seen.push(...lines);
    if (seen.length === trace.length * 2) resolve();
  });
  t.teardown(view.close);
  for (const text of ['INFO again', ...trace, 'INFO end']) engine.writeLog(id, text);
  await promise;
  t.strictSame(textsOf(seen), [...trace, ...trace], 'while it is followed');
});
