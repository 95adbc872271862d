import t from 'tap';
import type { Container } from '../../src/services/containers.ts';
import { selectMembers } from '../../src/services/log-selection.ts';
import type { LogLine } from '../../src/services/logs.ts';
import { createMergeQueue } from '../../src/services/merge-queue.ts';
import { compareMerged, mergedCursor, parseMergedPlace, parsePlaces } from '../../src/services/merged-cursor.ts';
import { createMergedFollower } from '../../src/services/merged-follower.ts';
import type { MergedEntry, MergedState } from '../../src/services/merged-logs.ts';
import { type ReadingOn, readOn } from '../../src/services/merged-reading.ts';
import { createMergedShares } from '../../src/services/merged-shares.ts';
import { base, isLine, numbers, readNewest, signal, startMerged, until, watch } from '../support/merged-logs.ts';

t.test('A merged log', async (t) => {
  await t.test('is read in the order of time, the newest lines of all', async (t) => {
    const { merged, write, add } = await startMerged(t);
    const ids = ['web', 'api', 'cache'].map(add);
    for (let n = 0; n < 300; n += 1) write(ids[n % 3] as string);
    const page = await readNewest(merged, ids, { tail: 100 });
    t.same(
      page.lines.map(({ text }) => text),
      numbers(200, 300),
    );
    t.equal(page.earlier, mergedCursor(page.lines[0] as LogLine));
    const all: string[] = [];
    for await (const { text } of merged.lines(ids, {}, signal, (id) => t.fail(id))) all.push(text);
    t.same(all, numbers(0, 300), 'as a stream too');
    const after = await readNewest(merged, ids, { since: [mergedCursor(page.lines[49] as LogLine)] });
    t.same(
      after.lines.map(({ text }) => text),
      numbers(250, 300),
      'goes on behind any line, by its cursor alone',
    );
  });

  await t.test('goes by the container where times are equal, also from one of them on', async (t) => {
    const { engine, merged, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add).sort();
    for (const id of [...ids, ...ids]) engine.writeLog(id, id.slice(0, 12), { at: base });
    const { lines } = await readNewest(merged, ids);
    const short = ids.map((id) => id.slice(0, 12));
    t.same(
      lines.map(({ text }) => text),
      [short[0], short[0], short[1], short[1]],
    );
    for (let n = 0; n < 4; n += 1) {
      const rest = await readNewest(merged, ids, { since: [mergedCursor(lines[n] as LogLine)] });
      t.same(rest.lines, lines.slice(n + 1));
    }
  });

  await t.test('tells which container could not be read, and shows the others', async (t) => {
    const { engine, merged, write, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add);
    for (const id of ids) write(id);
    const said = JSON.stringify({ message: 'configured logging driver does not support reading' });
    engine.faults.status(500, said, undefined, { path: new RegExp(`${ids[0]}/logs`) });
    const page = await readNewest(merged, ids);
    t.same(
      page.lines.map(({ text }) => text),
      ['line 1'],
    );
    t.same([...page.failures.keys()], [ids[0]]);
  });

  await t.test('leaves the others when one can not be read, also while one is silent', async (t) => {
    const { engine, merged, write, add } = await startMerged(t);
    const [a, b, c] = ['web', 'api', 'cache'].map(add) as [string, string, string];
    for (const id of [a, b, c]) write(id);
    engine.faults.status(500, JSON.stringify({ message: 'not readable' }), undefined, {
      path: new RegExp(`${a}/logs`),
    });
    const failed: string[] = [];
    const texts: string[] = [];
    for await (const { text } of merged.lines([a, b, c], {}, signal, (id) => failed.push(id))) texts.push(text);
    t.same([texts, failed], [['line 1', 'line 2'], [a]]);
    const hang = engine.faults.hang({ path: new RegExp(`${b}/logs`) });
    const lines = merged.lines([b, c], { q: '(', regex: true }, signal, () => {});
    await t.rejects(lines.next(), { code: 'invalid' }, 'what is wrong for all is told at once');
    const silent = merged.lines([b, c], {}, signal, () => {});
    const first = silent.next();
    await until(() => engine.requestsTo('GET', new RegExp(`${b}/logs`)).length > 1, 'it is asked');
    hang.remove();
    t.equal((await first).value?.text, 'line 1');
    await silent.return(undefined);
    await until(() => engine.openStreams('logs').length === 0, 'every stream is closed');
  });

  await t.test(
    'goes on with one that has just come and was not read yet, though others have come further',
    async (t) => {
      const { engine, merged, add } = await startMerged(t);
      const [a, b, late] = ['web', 'api', 'late'].map(add) as [string, string, string];
      for (const [n, id] of [a, b, late, a, b].entries()) engine.writeLog(id, `line ${n}`, { at: base + BigInt(n) });
      const { lines } = await readNewest(merged, [a, b]);
      const places = lines.slice(-2).map(mergedCursor);
      const seen = watch(merged, [a, b, late], { since: places });
      await until(() => seen.lines().length > 0, 'its line');
      t.same(seen.texts(), ['line 2']);
      seen.close();
    },
  );

  await t.test('goes on from a time where a container has no place of its own', (t) => {
    const places = parsePlaces(['2025-01-24T14:01:52Z', '1737727399000000000.0.aaaaaaaaaaaa']);
    t.equal(places?.of('a'.repeat(64)), '1737727399000000000.0');
    t.match(places?.of('b'.repeat(64)), /^1737727311999999999\./);
    t.throws(() => parsePlaces(['2025-01-24', '2025-01-25']), { code: 'invalid', message: /^since: / });
    t.end();
  });

  await t.test('refuses places that nobody gave', (t) => {
    for (const since of [['x'], ['1737727312610000000.0', '1737727312610000000.0'], ['1.2.3', 'y']]) {
      t.throws(() => parsePlaces(since), { code: 'invalid', message: /^since: / });
    }
    t.end();
  });
});

t.test('A followed merged log', async (t) => {
  await t.test('begins with the newest lines of all, and goes on in order', async (t) => {
    const { merged, write, add } = await startMerged(t);
    const ids = ['web', 'api', 'cache'].map(add);
    for (let n = 0; n < 150; n += 1) write(ids[n % 3] as string);
    const seen = watch(merged, ids, { tail: 50 });
    await until(() => seen.lines().length === 50, 'the newest lines');
    for (let n = 0; n < 60; n += 1) write(ids[n % 3] as string);
    await until(() => seen.lines().length === 110, 'the new lines');
    t.same(seen.texts(), numbers(100, 210));
    t.same(seen.states(), ['following']);
    seen.close();
  });

  await t.test('loses and doubles no line when it is cut at any moment', async (t) => {
    const { merged, write, add } = await startMerged(t);
    const ids = ['web', 'api', 'cache', 'db'].map(add);
    const texts: string[] = [];
    let places: string[] = [];
    let written = 0;
    for (let round = 0; round < 40; round += 1) {
      const view = watch(merged, ids, places.length > 0 ? { since: places } : { tail: 100 });
      const count = 1 + ((round * 7) % 23);
      for (let n = 0; n < count; n += 1) write(ids[(round + n * n) % 4] as string);
      written += count;
      const enough = Math.floor((count * (round % 5)) / 4);
      await until(() => view.lines().length >= enough, `${enough} lines of round ${round}`);
      view.close();
      texts.push(...view.texts());
      places = [...new Map([...places, ...view.places()].map((place) => [place.slice(-12), place])).values()];
    }
    const last = watch(merged, ids, { since: places });
    await until(() => texts.length + last.lines().length >= written, 'the rest');
    last.close();
    t.same([...texts, ...last.texts()], numbers(0, written));
  });

  await t.test('goes on with all that came since, however few lines were wanted to begin with', async (t) => {
    const { merged, write, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add);
    for (let n = 0; n < 10; n += 1) write(ids[n % 2] as string);
    const first = watch(merged, ids, { tail: 5 });
    await until(() => first.lines().length === 5, 'the newest lines');
    first.close();
    for (let n = 0; n < 40; n += 1) write(ids[n % 2] as string);
    const seen = watch(merged, ids, { tail: 5, since: first.places() });
    await until(() => seen.lines().length >= 40, 'all that came since');
    t.same(seen.texts(), numbers(10, 50));
    seen.close();
  });

  await t.test('has who comes from its first line on, and who goes to its last', async (t) => {
    const { engine, merged, write, add } = await startMerged(t);
    const a = add('web');
    write(a, 'old');
    const seen = watch(merged, [a]);
    await until(() => seen.lines().length === 1, 'the first container');
    const b = add('api');
    write(b, 'early');
    seen.update([a, b]);
    await until(() => seen.texts().includes('early'), 'the first line of the second');
    write(a, 'last words');
    engine.removeContainer(a);
    seen.update([b]);
    const again = add('web');
    write(again, 'recreated');
    seen.update([again, b]);
    await until(() => seen.texts().includes('recreated'), 'its successor');
    t.same(seen.texts(), ['old', 'early', 'last words', 'recreated']);
    seen.close();
    await until(() => engine.openStreams('logs').length === 0, 'every stream is closed');
  });

  await t.test('shows only what is wanted, also where there was nothing of it before', async (t) => {
    const { merged, write, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add);
    for (const id of ids) write(id, 'noise');
    const seen = watch(merged, ids, { q: 'needle' });
    await until(() => seen.told.length > 0, 'it follows');
    write(ids[0] as string, 'noise again');
    write(ids[1] as string, 'a needle');
    await until(() => seen.lines().length > 0, 'the needle');
    t.same(seen.texts(), ['a needle']);
    t.same(seen.entries.length, 1, 'and no gap is told');
    seen.close();
    const grave = watch(merged, ids, { q: 'NEE.LE', regex: true, invert: true, level: 'error' });
    await until(() => grave.told.length > 0, 'it follows by level and expression');
    for (const text of ['level=info quiet', 'level=error a needle', 'level=error loud']) write(ids[0] as string, text);
    await until(() => grave.lines().length > 0, 'the grave line');
    t.same(grave.texts(), ['level=error loud']);
    grave.close();
  });

  await t.test('with no lines before begins with the next one', async (t) => {
    const { merged, write, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add);
    for (const id of ids) write(id, 'before');
    const seen = watch(merged, ids, { tail: 0 });
    await until(() => seen.told.length > 0, 'it follows');
    write(ids[0] as string, 'next');
    await until(() => seen.lines().length > 0, 'the next line');
    t.same(seen.texts(), ['next']);
    seen.close();
  });

  await t.test('has no line twice of one that loses its name and gets it back', async (t) => {
    const { engine, merged, write, add } = await startMerged(t);
    const [a, b] = ['web', 'api'].map(add) as [string, string];
    const seen = watch(merged, [a, b]);
    await until(() => seen.told.length > 0, 'it follows');
    for (const id of [a, b, a, b]) write(id);
    await until(() => seen.lines().length === 4, 'the first lines');
    seen.update([b], () => true);
    await until(() => engine.openStreams('logs').length === 1, 'it has left, though it is still there');
    write(a);
    seen.update([a, b], () => true);
    await until(() => seen.lines().length === 5, 'what it wrote meanwhile');
    write(b);
    await until(() => seen.lines().length === 6, 'the next line');
    t.same(seen.texts(), numbers(0, 6));
    seen.close();
  });

  await t.test('names who can not be read, and goes on with the others', async (t) => {
    const { engine, merged, write, add } = await startMerged(t);
    const [a, b] = ['web', 'api'].map(add) as [string, string];
    const said = JSON.stringify({ message: 'configured logging driver does not support reading' });
    const fault = engine.faults.status(500, said, undefined, { path: new RegExp(`${a}/logs`) });
    const seen = watch(merged, [a, b]);
    await until(() => seen.told.length > 0, 'it follows');
    write(b);
    await until(() => seen.lines().length === 1, 'a line of the other');
    t.equal(seen.told.at(-1)?.state, 'following');
    t.same([...(seen.told.at(-1)?.failures.keys() ?? [])], [a]);
    t.match(seen.told.at(-1)?.failures.get(a)?.message, /does not support reading/);
    fault.remove();
    await until(() => seen.told.at(-1)?.failures.size === 0, 'it can be read');
    write(a);
    await until(() => seen.lines().length === 2, 'its line');
    seen.close();
  });

  await t.test('waits for who comes where there is nobody yet', async (t) => {
    const { merged, write, add } = await startMerged(t);
    const seen = watch(merged, []);
    await until(() => seen.told.length > 0, 'its state');
    t.same(seen.states(), ['following']);
    const id = add('web');
    write(id);
    seen.update([id]);
    await until(() => seen.lines().length === 1, 'the first line');
    seen.close();
  });

  await t.test('begins with no more than was asked for when the engine comes back', async (t) => {
    const { engine, merged, write, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add);
    for (let n = 0; n < 400; n += 1) write(ids[n % 2] as string);
    const fault = engine.faults.drop({ path: /logs/ });
    const seen = watch(merged, ids, { tail: 20 });
    await until(() => seen.states().includes('retrying'), 'it is tried again');
    fault.remove();
    await until(() => seen.lines().length >= 20, 'the newest lines');
    write(ids[0] as string);
    await until(() => seen.texts().includes('line 400'), 'the next line');
    t.same(seen.texts(), numbers(380, 401));
    seen.close();
  });

  await t.test('tells why none can be read, and begins when one can', async (t) => {
    const { engine, merged, write, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add);
    for (let n = 0; n < 100; n += 1) write(ids[n % 2] as string);
    const fault = engine.faults.status(500, '{"message":"the disk is gone"}', undefined, { path: /logs/ });
    const seen = watch(merged, ids, { tail: 20 });
    await until(() => seen.told.length > 0, 'it is told');
    t.equal(seen.told[0]?.state, 'retrying');
    t.match(
      [...(seen.told[0]?.failures.values() ?? [])],
      [{ message: /the disk is gone/ }, { message: /the disk is gone/ }],
    );
    fault.remove();
    await until(() => seen.lines().length === 20, 'the newest lines');
    t.same(seen.told.at(-1), { state: 'following', failures: new Map() });
    t.same(seen.texts(), numbers(80, 100));
    seen.close();
  });

  await t.test('misses nothing of what a search wants, however much else came meanwhile', async (t) => {
    const { merged, write, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add) as [string, string];
    write(ids[0], 'needle 0');
    const first = watch(merged, ids, { q: 'needle' });
    await until(() => first.lines().length === 1, 'the first find');
    first.close();
    write(ids[0], 'needle 1');
    for (let n = 0; n < 6_000; n += 1) write(ids[0], 'hay');
    write(ids[1], 'needle 2');
    const seen = watch(merged, ids, { q: 'needle', since: first.places() });
    await until(() => seen.texts().includes('needle 2'), 'the last find');
    t.same(seen.texts(), ['needle 1', 'needle 2']);
    t.same(seen.entries.length, 2, 'and no gap is told');
    seen.close();
  });

  await t.test('says since when lines are missing: since the last that was seen', async (t) => {
    const { merged, write, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add) as [string, string];
    for (let n = 0; n < 10; n += 1) write(ids[n % 2] as string);
    const first = watch(merged, ids);
    await until(() => first.lines().length === 10, 'the first lines');
    first.close();
    for (let n = 0; n < 6_000; n += 1) write(ids[n % 2] as string);
    const seen = watch(merged, ids, { since: first.places() });
    await until(() => seen.texts().includes('line 6009'), 'the newest line');
    t.same(seen.entries[0], { gap: { since: first.lines().at(-1)?.at }, container: undefined });
    t.same(seen.texts(), numbers(1_010, 6_010));
    seen.close();
  });

  await t.test(
    'says so of a search that was given up before it came to what was seen, also where it has no line',
    async (t) => {
      const { merged, write, add } = await startMerged(t);
      const ids = ['web', 'api'].map(add) as [string, string];
      write(ids[0], 'needle');
      const first = watch(merged, ids, { q: 'needle' });
      await until(() => first.lines().length === 1, 'the first find');
      first.close();
      const logs = { follow: () => ({ close() {} }) };
      const parts = { logs, shares: createMergedShares(logs, 5), holdMs: 5, retryMs: 5, steadyMs: 5 };
      const page = { lines: [], earlier: 'x', later: undefined, isCutShort: true, end: undefined };
      const slices = { before: async () => ({ ...page, failures: new Map(), ends: new Map() }) };
      const entries: MergedEntry[] = [];
      const begin = { ids, filter: { q: 'needle' }, tail: 100, places: parsePlaces(first.places()) };
      const view = createMergedFollower(
        { ...parts, slices },
        begin,
        (batch) => void entries.push(...batch),
        () => {},
        t.error,
      );
      await until(() => entries.length > 0, 'what is missing');
      t.same(entries, [{ gap: { since: first.lines()[0]?.at }, container: undefined }]);
      view.close();
    },
  );

  await t.test('shows all that was read since it was seen last, however long the lines are', async (t) => {
    const { merged, write, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add) as [string, string];
    for (const id of ids) write(id);
    const first = watch(merged, ids);
    await until(() => first.lines().length === 2, 'the first lines');
    first.close();
    for (let n = 0; n < 5_000; n += 1) write(ids[n % 2] as string, `${n} ${'x'.repeat(300)}`);
    const seen = watch(merged, ids, { since: first.places() });
    await until(() => seen.lines().at(-1)?.text.startsWith('4999 ') === true, 'the newest line');
    t.equal(seen.lines().length, 5_000);
    t.equal(seen.entries.length, 5_000, 'and nothing is said to be missing');
    seen.close();
  });

  await t.test('goes on out of what is held for others: that costs the engine nothing', async (t) => {
    const { engine, merged, write, add } = await startMerged(t);
    const ids = ['web', 'api', 'cache'].map(add);
    for (let n = 0; n < 30; n += 1) write(ids[n % 3] as string);
    const first = watch(merged, ids);
    await until(() => first.lines().length === 30, 'the first lines');
    const places = first.places();
    for (let n = 0; n < 30; n += 1) write(ids[n % 3] as string);
    await until(() => first.lines().length === 60, 'the next lines');
    const before = engine.requestsTo('GET', /logs/).length;
    const second = watch(merged, ids, { since: places });
    await until(() => second.lines().length === 30, 'the same lines');
    t.same(second.texts(), numbers(30, 60));
    t.equal(engine.requestsTo('GET', /logs/).length, before);
    first.close();
    second.close();
  });

  await t.test('ends with the last of its containers', async (t) => {
    const { engine, merged, write, add } = await startMerged(t);
    const ids = ['web', 'api'].map(add);
    for (const id of ids) write(id);
    const seen = watch(merged, ids);
    await until(() => seen.states().includes('following'), 'it follows');
    for (const id of ids) await engine.stop(id);
    await until(() => seen.states().at(-1) === 'ended', 'it has ended');
    seen.close();
  });
});

t.test('A merged log that is read on', async (t) => {
  type Started = Awaited<ReturnType<typeof startMerged>>;

  /** One who reads on, at first as fast as lines come; who comes and goes is told by `come`. */
  function open({ engine, merged }: Started, ids: string[], query: Partial<ReadingOn> = {}) {
    const reading = new AbortController();
    const listeners = new Set<() => void>();
    const source = {
      ids: () => ids,
      isThere: (id: string) => engine.containers().some((each) => each.id === id),
      onChange: (listener: () => void) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    };
    const opened = Promise.withResolvers<MergedState>();
    const lines = readOn(merged, source, { tail: 100, ...query }, reading.signal, opened.resolve);
    const come = (id: string) => {
      ids.push(id);
      for (const listener of listeners) listener();
    };
    return { lines, come, opened: opened.promise, end: () => reading.abort() };
  }

  async function take(lines: AsyncGenerator<LogLine>, count: number): Promise<LogLine[]> {
    const taken: LogLine[] = [];
    while (taken.length < count) {
      const { value, done } = await lines.next();
      if (done) break;
      taken.push(value);
    }
    return taken;
  }

  await t.test('has every line once, however slowly it is read, and holds few', async (t) => {
    const started = await startMerged(t);
    const { engine, write, add } = started;
    const ids = ['web', 'api'].map(add);
    for (let n = 0; n < 200; n += 1) write(ids[n % 2] as string);
    const { lines, opened, end } = open(started, [...ids], { tail: 10 });
    const first = take(lines, 10);
    await opened;
    t.same(
      (await first).map(({ text }) => text),
      numbers(190, 200),
    );
    // Nobody takes them: more come than are held.
    for (let n = 200; n < 20_200; n += 1) write(ids[n % 2] as string);
    await until(() => engine.openStreams('logs').length === 0, 'it has stopped to follow');
    const rest = await take(lines, 20_000);
    for (const [n, id] of ids.entries()) {
      const own = rest.filter(({ container }) => container === id).map(({ text }) => text);
      t.same(
        own,
        numbers(200, 20_200).filter((_, at) => at % 2 === n),
        'in the order of its log',
      );
    }
    const next = take(lines, 1);
    write(ids[0] as string, 'the next');
    t.equal((await next)[0]?.text, 'the next', 'and goes on as they come');
    end();
    t.equal((await lines.next()).done, true);
    await until(() => engine.openStreams('logs').length === 0, 'every stream is closed');
  });

  await t.test('has no line of before, where the first that it hears of is that some are missing', async (t) => {
    const started = await startMerged(t);
    const { merged, write, add } = started;
    const a = add('web');
    for (let n = 0; n < 500; n += 1) write(a);
    for (const tail of [0, 10]) {
      const gapFirst: typeof merged = {
        ...merged,
        follow(ids, query, onBatch, ...others) {
          let wasTold = false;
          const tellGap: typeof onBatch = (entries) => {
            if (!wasTold && query.places === undefined) onBatch([{ gap: { lines: 3 }, container: undefined }]);
            wasTold = true;
            onBatch(entries);
          };
          return merged.follow(ids, query, tellGap, ...others);
        },
      };
      const { lines, opened, end } = open({ ...started, merged: gapFirst }, [a], { tail });
      const first = take(lines, tail + 1);
      await opened;
      write(a, 'the next');
      const texts = (await first).map(({ text }) => text);
      t.equal(texts.at(-1), 'the next');
      t.equal(texts.length, tail + 1);
      end();
    }
  });

  await t.test('begins with the newest lines and no others, however long they are', async (t) => {
    const started = await startMerged(t);
    const { write, add } = started;
    const ids = ['web', 'api'].map(add);
    for (let n = 0; n < 9_000; n += 1) write(ids[n % 2] as string, `${n} ${'x'.repeat(300)}`);
    const { lines, end } = open(started, [...ids], { tail: 5_000 });
    const taken = await take(lines, 5_000);
    const first = Math.min(...taken.map(({ text }) => Number.parseInt(text, 10)));
    t.equal(first, 4_000);
    t.equal(new Set(taken.map(({ text }) => text)).size, 5_000);
    end();
  });

  await t.test('goes on behind any place, with all that came since', async (t) => {
    const started = await startMerged(t);
    const { merged, write, add } = started;
    const ids = ['web', 'api'].map(add);
    for (let n = 0; n < 12_000; n += 1) write(ids[n % 2] as string);
    const whole = await readNewest(merged, ids, { tail: 5_000 });
    const page = await merged.slices.before(
      ids,
      { place: parseMergedPlace('before', whole.earlier ?? ''), count: 5_000 },
      signal,
    );
    const places = parsePlaces([mergedCursor(page.lines[0] as LogLine)]);
    const { lines, end } = open(started, [...ids], { places });
    t.same(
      (await take(lines, 9_999)).map(({ text }) => text),
      numbers(2_001, 12_000),
    );
    end();
  });

  await t.test('has who comes, and goes on when the engine breaks off', async (t) => {
    const started = await startMerged(t);
    const { engine, write, add } = started;
    const a = add('web');
    const { lines, come, opened, end } = open(started, [a]);
    const first = take(lines, 2);
    await opened;
    write(a, 'one');
    const b = add('api');
    write(b, 'of who came');
    come(b);
    t.same((await first).map(({ text }) => text).sort(), ['of who came', 'one']);
    engine.faults.dropStreams({ path: /logs/ });
    write(a, 'after that');
    t.equal((await take(lines, 1))[0]?.text, 'after that');
    end();
  });
});

t.test('The queue of a merged log', async (t) => {
  const line = (n: number, container: string, text = 'x'): LogLine => ({
    at: '',
    cursor: `${String(n).padStart(19, '0')}.0`,
    stream: 'stdout',
    text,
    container,
  });

  await t.test('keeps the newest of a flood, and says how many are missing', async (t) => {
    const entries: MergedEntry[] = [];
    const queue = createMergeQueue(10, (batch) => {
      t.ok(batch.filter(isLine).length <= 500, 'in batches of 500');
      entries.push(...batch);
    });
    for (let n = 0; n < 60; n += 1) {
      queue.push('a', { lines: Array.from({ length: 100 }, (_, i) => line(n * 200 + 2 * i, 'a')) });
      queue.push('b', { lines: Array.from({ length: 100 }, (_, i) => line(n * 200 + 2 * i + 1, 'b')) });
    }
    await until(
      () => entries.some((entry) => isLine(entry) && entry.cursor === line(11_999, 'b').cursor),
      'the newest',
    );
    queue.clear();
    const lines = entries.filter(isLine);
    const [gap] = entries;
    const skipped = gap && 'gap' in gap && 'lines' in gap.gap ? gap.gap.lines : 0;
    t.equal(lines.length + skipped, 12_000);
    t.ok(lines.length <= 5_500);
    t.same(lines, [...lines].sort(compareMerged));
  });

  await t.test('holds a megabyte of text at most', async (t) => {
    const entries: MergedEntry[] = [];
    const queue = createMergeQueue(10, (batch) => void entries.push(...batch));
    for (let n = 0; n < 40; n += 1) queue.push('a', { lines: [line(n, 'a', 'x'.repeat(64_000))] });
    await until(() => entries.some((entry) => isLine(entry) && entry.cursor === line(39, 'a').cursor), 'the newest');
    queue.clear();
    t.match(entries[0], { gap: { lines: 25 }, container: undefined });
    t.equal(entries.filter(isLine).length, 15);
  });

  await t.test('tells what is missing of one container right before its next line', async (t) => {
    const entries: MergedEntry[] = [];
    const queue = createMergeQueue(5, (batch) => void entries.push(...batch));
    queue.push('a', { lines: [], gap: { lines: 3 } });
    queue.push('b', { lines: [line(1, 'b')] });
    queue.push('a', { lines: [line(2, 'a')] });
    await until(() => entries.length === 3, 'all');
    queue.clear();
    t.match(entries, [{ container: 'b' }, { gap: { lines: 3 }, container: 'a' }, { container: 'a' }]);
  });
});

t.test('What is missing', async (t) => {
  const line = (n: number, container: string, text = 'x'): LogLine => ({
    at: '',
    cursor: `${String(n).padStart(19, '0')}.0`,
    stream: 'stdout',
    text,
    container,
  });

  await t.test('of one that says nothing more is told all the same', async (t) => {
    const entries: MergedEntry[] = [];
    const queue = createMergeQueue(5, (batch) => void entries.push(...batch));
    queue.push('a', { lines: [], gap: { lines: 3 } });
    queue.push('a', { lines: [], gap: { lines: 4 } });
    await until(() => entries.length > 0, 'the gap');
    queue.clear();
    t.same(entries, [{ container: 'a', gap: { lines: 7 } }]);
  });

  await t.test('before a line that is left out itself is counted with it', async (t) => {
    const entries: MergedEntry[] = [];
    const queue = createMergeQueue(5, (batch) => void entries.push(...batch));
    queue.push('a', { lines: [line(0, 'a', 'x'.repeat(900_000))], gap: { lines: 10 } });
    queue.push('b', { lines: [line(1, 'b', 'x'.repeat(900_000))] });
    await until(() => entries.length > 0, 'the rest');
    queue.clear();
    t.match(entries, [{ container: undefined, gap: { lines: 11 } }, { container: 'b' }]);
  });

  await t.test('since a time is told so, also where the line behind it is left out', async (t) => {
    const entries: MergedEntry[] = [];
    const queue = createMergeQueue(5, (batch) => void entries.push(...batch));
    const gap = { since: '2025-01-24T14:01:52.000000000Z' };
    queue.push('a', { lines: [line(0, 'a', 'x'.repeat(900_000))], gap });
    queue.push('b', { lines: [line(1, 'b', 'x'.repeat(900_000))] });
    queue.push('a', { lines: [line(2, 'a')] });
    await until(() => entries.some((entry) => 'cursor' in entry && entry.container === 'a'), 'the rest');
    queue.clear();
    t.match(entries, [
      { container: undefined, gap: { lines: 1 } },
      { container: 'b' },
      { container: 'a', gap },
      { container: 'a', text: 'x' },
    ]);
  });

  await t.test('is behind what was read to begin with, of which nothing is left out', async (t) => {
    const entries: MergedEntry[] = [];
    const queue = createMergeQueue(5, (batch) => void entries.push(...batch));
    queue.begin([line(0, 'a', 'x'.repeat(900_000)), line(1, 'a', 'x'.repeat(900_000))], { since: 'then' });
    for (let n = 2; n < 5; n += 1) queue.push('a', { lines: [line(n, 'a', 'x'.repeat(900_000))] });
    await until(() => entries.length > 4, 'the rest');
    queue.clear();
    t.match(entries, [
      { container: undefined, gap: { since: 'then' } },
      { cursor: line(0, 'a').cursor },
      { cursor: line(1, 'a').cursor },
      { container: undefined, gap: { lines: 2 } },
      { cursor: line(4, 'a').cursor },
    ]);
  });

  await t.test('is nothing, where many containers write as much together as comes in three batches', async (t) => {
    const entries: MergedEntry[] = [];
    const queue = createMergeQueue(5, (batch) => void entries.push(...batch));
    for (let n = 0; n < 4_500; n += 1) queue.push(`c${n % 50}`, { lines: [line(n, `c${n % 50}`)] });
    const begin = performance.now();
    await until(() => entries.length === 4_500, 'all lines');
    t.ok(performance.now() - begin < 500, 'they come faster than 500 a tick');
    queue.clear();
    t.ok(entries.every(isLine));
  });
});

t.test('Whose lines a merged log has', async (t) => {
  const container = (name: string, project?: string, service?: string, state = 'running') =>
    ({ id: `id of ${name}`, name, project, service, state, createdAt: 0 }) as Container;
  const all = [
    container('shop-web-2', 'shop', 'web'),
    container('shop-web-1', 'shop', 'web'),
    container('shop-db-1', 'shop', 'db'),
    container('other'),
  ];

  await t.test('is that of a project, by service where it has one container', async (t) => {
    const { members } = selectMembers(all, { project: 'shop' });
    t.same(
      members.map(({ label }) => label),
      ['db', 'web-1', 'web-2'],
    );
  });

  await t.test('is that of names, also where one is not there', async (t) => {
    const { members, missing } = selectMembers(all, { names: ['other', 'shop-db-1', 'missing'] });
    t.same(missing, ['missing']);
    t.same(members, [
      { id: 'id of other', label: 'other' },
      { id: 'id of shop-db-1', label: 'shop-db-1' },
    ]);
  });

  await t.test('is that of 100 at most, those that run first, and tells how many are left out', async (t) => {
    const many = Array.from({ length: 103 }, (_, n) =>
      container(`c${n}`, 'big', undefined, n === 99 ? 'running' : 'exited'),
    );
    const { members, omitted } = selectMembers(many, { project: 'big' });
    t.same([members.length, omitted], [100, 3]);
    t.ok(members.some(({ label }) => label === 'c99'));
  });

  await t.test('keeps its name while a container is made anew, when there are two of it', async (t) => {
    const twice = [
      container('shop-web-1', 'shop', 'web'),
      container('0123456789ab_shop-web-1', 'shop', 'web'),
      container('shop-db-1.old-k3j', 'shop', 'db'),
      container('shop-db-1', 'shop', 'db'),
    ];
    const { members } = selectMembers(twice, { project: 'shop' });
    t.same(new Set(members.map(({ label }) => label)), new Set(['web', 'db']));
  });

  await t.test('cuts a label that would make every line long', async (t) => {
    const { members } = selectMembers([container('c', 'shop', 'x'.repeat(100_000))], { project: 'shop' });
    t.equal(members[0]?.label.length, 64);
    for (const name of [`${'x'.repeat(62)}\u{1f433}${'y'.repeat(9)}`, 'half \ud83d', `${'\u{1f433}'.repeat(99)}`]) {
      const [cut] = selectMembers([container('c', 'shop', name)], { project: 'shop' }).members;
      t.ok(cut?.label.isWellFormed(), 'and no character in two');
      t.ok([...(cut?.label ?? '')].length <= 64);
    }
  });
});
