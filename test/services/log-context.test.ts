import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { createDocker } from '../../src/services/docker.ts';
import { createFilterPicker, pickAll } from '../../src/services/log-context.ts';
import { endOfLog } from '../../src/services/log-slices.ts';
import { createLogs, type LogLine, type LogSlice } from '../../src/services/logs.ts';
import { createMergedLogs } from '../../src/services/merged-logs.ts';
import { endOfLogs } from '../../src/services/merged-slices.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';

const signal = new AbortController().signal;
const second = 1_000_000_000n;
const now = BigInt(Date.now()) * 1_000_000n;

type Teardown = { teardown(end: () => unknown): void };

async function start(t: Teardown) {
  const engine = await createSimulatedEngine({ maxLogBytes: 64e6 });
  const docker = createDocker({ kind: 'unix', path: engine.socketPath, text: engine.host });
  const logs = createLogs(docker, { minRetryMs: 5, maxRetryMs: 40 });
  t.teardown(async () => {
    logs.close();
    docker.close();
    await engine.close();
  });
  const add = () => engine.addContainer({ name: `c${Math.random().toString(36).slice(2)}` }).id;
  return { engine, logs, add };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what} did not come true within 20 s`);
    await sleep(5);
  }
}

/** A line as a test compares it: `>` for a match, `-` for what stands around one, behind `|` where lines are left out. */
const lookOf = ({ text, isContext, isApart }: LogLine) => `${isApart ? '|' : ''}${isContext ? '-' : '>'}${text}`;
const looks = (lines: readonly LogLine[]) => lines.map(lookOf);

/** What is shown of texts in order, counted out by hand. */
function wanted(texts: readonly string[], isMatch: (text: string) => boolean, around: number): string[] {
  const matches = texts.map(isMatch);
  const isShown = texts.map((_, n) => matches.slice(Math.max(0, n - around), n + around + 1).includes(true));
  return texts.flatMap((text, n) =>
    isShown[n] ? [`${n > 0 && !isShown[n - 1] ? '|' : ''}${matches[n] ? '>' : '-'}${text}`] : [],
  );
}

const isHit = (text: string) => text.includes('hit');

t.test('Each match has its lines before and after it, none twice, groups apart', async (t) => {
  const toLine = (text: string, n: number): LogLine => ({
    at: '',
    cursor: `${1_737_727_312_610_000_000n + BigInt(n)}.0`,
    stream: 'stdout',
    text,
    container: 'c',
  });
  const pick = (texts: string[], context: number) =>
    looks(pickAll(createFilterPicker({ q: 'hit', context }), texts.map(toLine)));
  t.strictSame(pick(['a', 'b', 'hit', 'c', 'd', 'e', 'f', 'hit', 'g'], 1), ['|-b', '>hit', '-c', '|-f', '>hit', '-g']);
  t.strictSame(pick(['hit', 'a', 'b', 'hit', 'hit', 'c'], 1), ['>hit', '-a', '-b', '>hit', '>hit', '-c']);
  t.strictSame(pick(['a', 'b', 'hit', 'c'], 0), ['>hit']);
  t.strictSame(pick(['a', 'b'], 3), []);
  const plain = pickAll(createFilterPicker({ context: 3 }), ['a', 'b'].map(toLine));
  t.strictSame(looks(plain), ['>a', '>b'], 'without a filter every line is wanted');
});

t.test('Pages at any place hold what belongs there, also over what the engine is read in', async (t) => {
  const { engine, logs, add } = await start(t);
  const times: Record<string, (n: number) => bigint> = {
    'a burst': (n) => now - 3_600n * second + BigInt(n) * 1_000n,
    'a line a second': (n) => now - 10_000n * second + BigInt(n) * second,
    'far apart': (n) => now - 100_000_000n * second + BigInt(n) * 10_000n * second,
    'groups of one time': (n) => now - 90_000n * second + BigInt(n >> 3) * 7n * second,
  };
  let seed = 7;
  const random = () => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  for (const [name, timeOf] of Object.entries(times)) {
    const id = add();
    const texts = Array.from({ length: 4_200 }, (_, n) => `line ${n}${random() < 0.004 || n === 2_199 ? ' hit' : ''}`);
    for (const [n, text] of texts.entries()) engine.writeLog(id, text, { at: timeOf(n) });
    const whole: LogLine[] = [];
    for await (const line of logs.lines(id, {}, signal)) whole.push(line);
    for (const context of [1, 10]) {
      const all = wanted(texts, isHit, context);
      const filter = { q: 'hit', context };
      const streamed: LogLine[] = [];
      for await (const line of logs.lines(id, filter, signal)) streamed.push(line);
      t.strictSame(looks(streamed), all, `${name}, ${context}: as it is streamed`);
      for (const count of [context === 1 ? 7 : 40]) {
        const back: LogLine[] = [];
        for (let cursor: string | undefined = endOfLog; cursor !== undefined; ) {
          const page: LogSlice = await logs.slices.before(id, { ...filter, cursor, count }, signal);
          back.unshift(...page.lines);
          cursor = page.earlier;
        }
        t.strictSame(looks(back), all, `${name}, ${context}: read back in pages of ${count}`);
        const on: LogLine[] = [];
        for (let cursor: string | undefined = '0000000000000000000.0'; cursor !== undefined; ) {
          const page: LogSlice = await logs.slices.after(id, { ...filter, cursor, count }, signal);
          on.push(...page.lines);
          cursor = page.later;
        }
        t.strictSame(looks(on), all, `${name}, ${context}: read on in pages of ${count}`);
      }
      const hit = whole.findIndex(({ text }, n) => n > 0 && isHit(text));
      for (const n of [hit - 1, hit, hit + 1, 2_198, 2_199, 2_200]) {
        const { cursor } = whole[n] as LogLine;
        const query = { ...filter, cursor, count: 6 };
        const [before, after, around] = await Promise.all([
          logs.slices.before(id, query, signal),
          logs.slices.after(id, query, signal),
          logs.slices.around(id, query, signal),
        ]);
        const textOf = (look: string) => look.replace(/^\|?[>-]/, '');
        const place = (look: string) => Number(/\d+/.exec(textOf(look))?.[0]);
        const left = all.filter((look) => place(look) < n).slice(-6);
        t.strictSame(looks(before.lines).map(textOf), left.map(textOf), `${name}, ${context}: before line ${n}`);
        const right = all.filter((look) => place(look) > n).slice(0, 6);
        t.strictSame(looks(after.lines).map(textOf), right.map(textOf), `${name}, ${context}: behind line ${n}`);
        const both = [
          ...all.filter((look) => place(look) < n).slice(-3),
          ...all.filter((look) => place(look) >= n).slice(0, 3),
        ];
        t.strictSame(looks(around.lines).map(textOf), both.map(textOf), `${name}, ${context}: around line ${n}`);
      }
    }
  }
});

t.test('A search that is given up again and again shows them over each border', async (t) => {
  const { engine, logs, add } = await start(t);
  const id = add();
  const texts = Array.from({ length: 1_500 }, (_, n) => `line ${n}${n % 23 === 0 ? ' hit' : ''}`);
  for (const [n, text] of texts.entries()) engine.writeLog(id, text, { at: now - BigInt(2_000 - n) * second });
  for (const context of [1, 4, 10]) {
    const back: string[] = [];
    let borders = 0;
    for (let cursor: string | undefined = `${now}.0`; cursor !== undefined; ) {
      const effort = { lines: 20, endsAt: Number.POSITIVE_INFINITY, isDeep: true };
      const query = { q: 'hit', context, cursor, count: 500, effort };
      const page: LogSlice = await logs.slices.before(id, query, signal);
      back.unshift(...page.lines.map(({ text }) => text));
      cursor = page.earlier;
      borders += Number(page.isCutShort);
    }
    t.ok(borders > 2, `${borders} borders`);
    const all = wanted(texts, isHit, context).map((look) => look.replace(/^\|?[>-]/, ''));
    t.strictSame(back, all, `${context} lines around each match`);
  }
});

t.test('A followed log shows them too, and goes on in the middle of a group', async (t) => {
  const { engine, logs, add } = await start(t);
  const id = add();
  const texts: string[] = [];
  const say = (...more: string[]) => {
    for (const text of more) {
      texts.push(text);
      engine.writeLog(id, text);
    }
  };
  const follow = (since?: string, tail = 100) => {
    const lines: LogLine[] = [];
    const view = logs.follow(id, { q: 'hit', context: 2, tail, since }, (batch) => void lines.push(...batch.lines));
    t.teardown(view.close);
    return { lines, close: view.close };
  };
  say('a', 'b', 'c', 'hit 1', 'd', 'e', 'f', 'g');
  const first = follow();
  await until(() => first.lines.length === 5, 'what there is');
  t.strictSame(looks(first.lines), wanted(texts, isHit, 2));
  say('h', 'i', 'hit 2', 'j');
  await until(() => first.lines.length === 9, 'the second match');
  t.strictSame(looks(first.lines), wanted(texts, isHit, 2), 'with lines that came before it');

  const second = follow(first.lines.at(-1)?.cursor);
  say('k', 'l', 'm', 'hit 3');
  await until(() => first.lines.length === 13, 'the third match');
  await until(() => second.lines.length === 4, 'what the other has yet to see');
  t.strictSame(looks(first.lines), wanted(texts, isHit, 2));
  t.strictSame(looks([...first.lines.slice(0, 9), ...second.lines]), looks(first.lines), 'neither lost nor doubled');
  first.close();
  second.close();
  await until(() => logs.openStreams() === 0, 'nobody follows any more');

  const last = first.lines.at(-1) as LogLine;
  say('n', 'o', 'p', 'q');
  const third = follow(last.cursor);
  await until(() => third.lines.length === 2, 'what comes behind the last match');
  t.strictSame(looks([...first.lines, ...third.lines]), wanted(texts, isHit, 2), 'also with a new stream');
  say('r', 'hit 4');
  await until(() => third.lines.length === 5, 'the fourth match');
  t.strictSame(looks([...first.lines, ...third.lines]), wanted(texts, isHit, 2));

  engine.faults.dropStreams({ path: /logs/ });
  say('s', 't', 'u', 'v', 'hit 5');
  await until(() => third.lines.length === 10, 'the fifth match, over a stream that broke');
  t.strictSame(looks([...first.lines, ...third.lines]), wanted(texts, isHit, 2));
});

t.test('The page of a log and what is followed behind it are one', async (t) => {
  const { engine, logs, add } = await start(t);
  const id = add();
  const texts = ['a', 'hit 1', 'b', 'c', 'd', 'e', 'f'];
  for (const text of texts) engine.writeLog(id, text);
  const filter = { q: 'hit', context: 2 };
  const page = await logs.slices.before(id, { ...filter, cursor: endOfLog, count: 100 }, signal);
  const lines: LogLine[] = [];
  const view = logs.follow(id, { ...filter, tail: 100, since: page.end }, (batch) => void lines.push(...batch.lines));
  t.teardown(view.close);
  await until(() => logs.openStreams() === 1, 'it is followed');
  for (const text of ['hit 2', 'g', 'h', 'i']) {
    texts.push(text);
    engine.writeLog(id, text);
  }
  await until(() => lines.length === 5, 'the second match');
  t.strictSame(looks([...page.lines, ...lines]), wanted(texts, isHit, 2));
});

t.test('In a merged log each container has its own lines around its matches', async (t) => {
  const { engine, logs, add } = await start(t);
  const [a, b] = [add(), add()];
  for (const [n, text] of ['a1', 'a2', 'a3 hit', 'a4', 'a5'].entries()) {
    engine.writeLog(a, text, { at: now - second + BigInt(n) * 1_000n });
    engine.writeLog(b, text.replace('a', 'b').replace(' hit', ''), { at: now - second + BigInt(n) * 1_000n + 1n });
  }
  const merged = createMergedLogs(logs);
  const page = await merged.slices.before([a, b], { q: 'hit', context: 1, place: endOfLogs, count: 100 }, signal);
  t.strictSame(looks(page.lines), ['|-a2', '>a3 hit', '-a4']);
});
