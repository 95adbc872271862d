import t from 'tap';
import type { LogFilter, LogLine } from '../../src/services/logs.ts';
import { compareMerged, mergedCursor, parseMergedEnd, parseMergedPlace } from '../../src/services/merged-cursor.ts';
import { endOfLogs, type MergedSlice, type MergedSlices } from '../../src/services/merged-slices.ts';
import { base, numbers, signal, startMerged, until } from '../support/merged-logs.ts';

const second = 1_000_000_000n;
const dateOf = (ns: bigint) => new Date(Number(ns / 1_000_000n)).toISOString();
const textsOf = (lines: readonly LogLine[]) => lines.map(({ text }) => text);

/** All lines, read in pages from the newest back to the first. */
async function readBack(slices: MergedSlices, ids: string[], count: number, filter: LogFilter = {}) {
  const pages: MergedSlice[] = [];
  let place = endOfLogs;
  for (;;) {
    const page = await slices.before(ids, { ...filter, place, count }, signal);
    pages.unshift(page);
    if (page.earlier === undefined) return { lines: pages.flatMap(({ lines }) => lines), pages };
    place = parseMergedPlace('before', page.earlier);
  }
}

/** All lines, read in pages from a time on. */
async function readOn(slices: MergedSlices, ids: string[], count: number, from: string, filter: LogFilter = {}) {
  const lines: LogLine[] = [];
  for (let place = parseMergedPlace('after', from); ; ) {
    const page = await slices.after(ids, { ...filter, place, count }, signal);
    lines.push(...page.lines);
    if (page.later === undefined) return lines;
    place = parseMergedPlace('after', page.later);
  }
}

t.test('Pages of a merged log have every line once, in order, backwards and forwards', async (t) => {
  const { engine, merged, add } = await startMerged(t);
  const now = BigInt(Date.now()) * 1_000_000n;
  const shapes: Record<string, (n: number) => { log: number; at: bigint }> = {
    'in turn': (n) => ({ log: n % 3, at: now - BigInt(3_000 - n) * second }),
    'one of them busy': (n) => ({ log: n % 97 === 0 ? n % 2 : 2, at: now - BigInt(3_000 - n) * 3_000_000n }),
    'one long silent': (n) => ({ log: n < 200 ? 0 : 1 + (n % 2), at: now - BigInt(3_000 - n) * 60n * second }),
    'many of one time': (n) => ({ log: (n * 7) % 3, at: now - BigInt(3_000 - (n - (n % 300))) * second }),
  };
  for (const [name, shape] of Object.entries(shapes)) {
    const ids = ['a', 'b', 'c', 'empty'].map((log) => add(`${log}${Math.random().toString(36).slice(2)}`));
    for (let n = 0; n < 3_000; n += 1) {
      const { log, at } = shape(n);
      engine.writeLog(ids[log] as string, `line ${n}`, { at });
    }
    const whole: LogLine[] = [];
    for await (const line of merged.lines(ids, {}, signal, (id) => t.fail(id))) whole.push(line);
    t.equal(whole.length, 3_000);
    t.same(whole, [...whole].sort(compareMerged));
    const { lines, pages } = await readBack(merged.slices, ids, 130);
    t.same(textsOf(lines), textsOf(whole), `${name}, backwards`);
    t.same(lines, whole, `${name}, with the same cursors`);
    t.ok(pages.slice(1).every((page) => page.lines.length === 130 && !page.isCutShort));
    t.same(await readOn(merged.slices, ids, 130, '1970-01-01T00:00:00Z'), whole, `${name}, forwards`);
    for (const n of [0, 1, 299, 1_500, 2_999]) {
      const text = mergedCursor(whole[n] as LogLine);
      const around = await merged.slices.around(ids, { place: parseMergedPlace('at', text), count: 20 }, signal);
      t.same(around.lines, whole.slice(Math.max(0, n - 10), n + 10), `${name}, around ${n}`);
      t.equal(around.at, text);
    }
  }
});

t.test('A page of a merged log', async (t) => {
  const { engine, merged, write, add } = await startMerged(t);
  const ids = ['web', 'api'].map(add) as [string, string];
  for (let n = 0; n < 600; n += 1)
    engine.writeLog(ids[n % 2] as string, `line ${n}`, { at: base + BigInt(n) * second });

  await t.test('lies at a time, or up to one', async (t) => {
    const time = dateOf(base + 300n * second);
    const at = await merged.slices.around(ids, { place: parseMergedPlace('at', time), count: 4 }, signal);
    t.same([textsOf(at.lines), at.at], [numbers(298, 302), mergedCursor(at.lines[2] as LogLine)]);
    const before = await merged.slices.before(ids, { place: parseMergedPlace('before', time), count: 3 }, signal);
    t.same(textsOf(before.lines), numbers(297, 300));
    const after = await merged.slices.after(ids, { place: parseMergedPlace('after', time), count: 3 }, signal);
    t.same(textsOf(after.lines), numbers(300, 303), 'what lies at a time lies behind it');
    const until = await merged.slices.before(ids, { place: parseMergedEnd(time), count: 3 }, signal);
    t.same(textsOf(until.lines), numbers(298, 301));
    t.throws(() => parseMergedPlace('at', 'x'), { code: 'invalid', message: /^at: / });
  });

  await t.test('leads to its neighbours also where there is no line', async (t) => {
    const first = parseMergedPlace('before', '1970-01-01T00:00:01Z');
    const none = await merged.slices.before(ids, { place: first, count: 5 }, signal);
    t.same([none.lines, none.earlier], [[], undefined]);
    const next = await merged.slices.after(
      ids,
      { place: parseMergedPlace('after', none.later ?? ''), count: 2 },
      signal,
    );
    t.same(textsOf(next.lines), numbers(0, 2));
    const end = parseMergedPlace('after', '2200-01-01T00:00:00Z');
    const last = await merged.slices.after(ids, { place: end, count: 5 }, signal);
    t.same([last.lines, last.later], [[], undefined]);
    const back = await merged.slices.before(
      ids,
      { place: parseMergedPlace('before', last.earlier ?? ''), count: 2 },
      signal,
    );
    t.same(textsOf(back.lines), numbers(598, 600));
  });

  await t.test('tells who can not be read, and has the others', async (t) => {
    const fault = engine.faults.status(500, '{"message":"no"}', undefined, { path: new RegExp(`${ids[0]}/logs`) });
    const page = await merged.slices.before(ids, { place: endOfLogs, count: 3 }, signal);
    t.same([textsOf(page.lines), [...page.failures.keys()]], [['line 595', 'line 597', 'line 599'], [ids[0]]]);
    fault.remove();
  });

  await t.test('holds 4 MB of text at most, whatever each of its logs has', async (t) => {
    const big = ['big1', 'big2', 'big3'].map(add);
    for (let n = 0; n < 150; n += 1) write(big[n % 3] as string, 'x'.repeat(60_000));
    const page = await merged.slices.before(big, { place: endOfLogs, count: 5_000 }, signal);
    t.equal(page.lines.length, 66);
    t.equal(page.earlier, mergedCursor(page.lines[0] as LogLine), 'and says that there is more');
    t.equal((await readBack(merged.slices, big, 5_000)).lines.length, 150);
  });
});

t.test('Both halves of a page around a place are read in the time of one', async (t) => {
  const { engine, merged, write, add } = await startMerged(t);
  const ids = ['web', 'api'].map(add) as [string, string];
  for (let n = 0; n < 20; n += 1) write(ids[n % 2] as string);
  const hang = engine.faults.hang({ path: new RegExp(`${ids[0]}/logs`) });
  const reading = merged.slices.around(
    ids,
    { place: parseMergedPlace('at', String(base / 1_000_000_000n)), count: 10 },
    signal,
  );
  await until(() => engine.requestsTo('GET', new RegExp(`${ids[0]}/logs`)).length === 2, 'both ask');
  hang.remove();
  t.equal((await reading).failures.size, 0);
});

t.test('A search in a merged log', async (t) => {
  const { engine, merged, add } = await startMerged(t);
  const ids = ['web', 'api', 'db'].map(add) as [string, string, string];
  const now = BigInt(Date.now()) * 1_000_000n;
  const total = 240_000;
  for (let n = 0; n < total; n += 1) {
    const text = n === 1_000 || n === 120_000 ? `needle ${n}` : 'hay';
    engine.writeLog(ids[n % 3] as string, text, { at: now - BigInt(total - n) * 10_000_000n });
  }

  await t.test('goes through the whole, over as many requests as it takes, and misses nothing', async (t) => {
    const { lines, pages } = await readBack(merged.slices, ids, 100, { q: 'needle' });
    t.same(textsOf(lines), ['needle 1000', 'needle 120000']);
    t.ok(pages.length < 12, `${pages.length} requests`);
    t.ok(pages.slice(1).every(({ isCutShort }) => isCutShort));
    const cursors = pages.flatMap(({ earlier }) => earlier ?? []);
    t.same(cursors, [...cursors].sort(), 'each comes further');
    const begin = dateOf(now - BigInt(total) * 10_000_000n - second);
    t.same(textsOf(await readOn(merged.slices, ids, 100, begin, { q: 'needle' })), ['needle 1000', 'needle 120000']);
  });
});
