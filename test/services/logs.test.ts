import type { IncomingMessage } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { Problem } from '../../src/errors.ts';
import { createDocker, type LogRequest } from '../../src/services/docker.ts';
import { compareCursors } from '../../src/services/log-cursor.ts';
import {
  createLogs,
  type FollowQuery,
  type LogBatch,
  type LogLine,
  type LogOptions,
  type LogState,
  type Logs,
} from '../../src/services/logs.ts';
import { createSimulatedEngine, type SimulatedEngineOptions } from '../simulated/engine.ts';

const soon: LogOptions = { minRetryMs: 5, maxRetryMs: 40 };
const signal = new AbortController().signal;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes of the heap that something still holds. */
function heapInUse(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

type Teardown = { teardown(end: () => unknown): void };

/** Resolves as soon as a condition holds; throws with its name after 10 s. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what} did not come true within 10 s`);
    await sleep(2);
  }
}

async function start(t: Teardown, options: SimulatedEngineOptions = {}, logOptions = soon) {
  const engine = await createSimulatedEngine(options);
  const docker = createDocker({ kind: 'unix', path: engine.socketPath, text: engine.host });
  const logs = createLogs(docker, logOptions);
  t.teardown(async () => {
    logs.close();
    docker.close();
    await engine.close();
  });
  /** A container whose log has numbered lines, each with a time of its own. */
  const add = (lines: number, spec: { tty?: boolean; state?: 'running' | 'created' } = {}) => {
    const container = engine.addContainer({ name: `c${Math.random().toString(36).slice(2)}`, ...spec });
    for (let n = 0; n < lines; n += 1) engine.writeLog(container.id, `line ${n}`, { at: base + BigInt(n) });
    return container.id;
  };
  const logCalls = (id: string) => engine.requestsTo('GET', new RegExp(`/containers/${id}/logs`));
  return { engine, logs, add, logCalls, follows: () => engine.openStreams('logs').length };
}

const base = BigInt(Date.now() - 60_000) * 1_000_000n;

/** A viewer that keeps all it was given. */
function watch(
  logs: Logs,
  id: string,
  query: Partial<FollowQuery> = {},
  onBatch: (batch: LogBatch) => void = () => {},
) {
  const seen = { lines: [] as LogLine[], batches: [] as LogBatch[], states: [] as LogState[], skipped: 0 };
  const view = logs.follow(
    id,
    { tail: 100, ...query },
    (batch) => {
      seen.batches.push(batch);
      seen.lines.push(...batch.lines);
      if (batch.gap && 'lines' in batch.gap) seen.skipped += batch.gap.lines;
      onBatch(batch);
    },
    (state) => seen.states.push(state),
  );
  return { ...seen, seen, texts: () => seen.lines.map((line) => line.text), close: view.close };
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `line ${from + n}`);

const isGrowing = (lines: LogLine[]) =>
  lines.every((line, n) => n === 0 || compareCursors(lines[n - 1]?.cursor ?? '', line.cursor) < 0);

t.test('A page of a log', async (t) => {
  const { logs, add, engine, logCalls } = await start(t);

  await t.test('holds the newest lines and says whether there are older ones', async (t) => {
    const id = add(250);
    const page = await logs.read(id, { tail: 100 }, signal);
    t.same(
      page.lines.map(({ text }) => text),
      numbers(150, 250),
    );
    t.equal(page.cut, true);
    t.match(page.lines[0], { stream: 'stdout', container: id, at: /^\d{4}-.*\.\d{9}Z$/, cursor: /^\d{19}\.0$/ });
    t.equal((await logs.read(id, { tail: 250 }, signal)).cut, false);
    t.same((await logs.read(id, { tail: 0 }, signal)).lines, []);
  });

  await t.test('continues right after a cursor, and ends at a time', async (t) => {
    const id = add(250);
    const { lines } = await logs.read(id, {}, signal);
    const after = await logs.read(id, { since: lines[99]?.cursor }, signal);
    t.same(after, { lines: lines.slice(100), cut: false, isTorn: false });
    t.same((await logs.read(id, { since: lines[249]?.cursor }, signal)).lines, []);
    t.same((await logs.read(id, { since: lines[200]?.at }, signal)).lines, lines.slice(200));
    t.same((await logs.read(id, { until: lines[49]?.at, tail: 10 }, signal)).lines, lines.slice(40, 50));
  });

  await t.test('keeps 5,000 lines at most', async (t) => {
    const id = add(5_200);
    const page = await logs.read(id, { tail: 1e9 }, signal);
    t.equal(page.lines.length, 5_000);
    t.equal(page.lines.at(-1)?.text, 'line 5199');
    t.equal(page.cut, true);
    t.equal(logCalls(id).length, 1);
  });

  await t.test('looks for a text or an output among more lines than it shows', async (t) => {
    const id = add(300);
    engine.writeLog(id, '\x1B[31mFATAL\x1B[0m: Disk FULL', { stream: 'stderr' });
    engine.writeLog(id, 'after');
    t.same((await logs.read(id, { q: 'fatal: disk', tail: 5 }, signal)).lines.length, 1);
    t.same((await logs.read(id, { stream: 'stderr', tail: 5 }, signal)).lines.length, 1);
    const page = await logs.read(id, { q: 'LINE 1', tail: 5 }, signal);
    t.same(
      page.lines.map(({ text }) => text),
      numbers(195, 200),
    );
    t.equal(page.cut, true);
  });

  await t.test('numbers lines of one time alike, wherever a tail cuts them', async (t) => {
    const id = add(0);
    engine.writeLog(id, numbers(0, 400).join('\n'), { at: base });
    const { lines } = await logs.read(id, {}, signal);
    t.ok(isGrowing(lines));
    t.same((await logs.read(id, { tail: 100 }, signal)).lines, lines.slice(300));
    engine.writeLog(id, numbers(400, 450).join('\n'), { at: base + 1n });
    t.same((await logs.read(id, { tail: 100 }, signal)).lines.slice(0, 50), lines.slice(350));
    t.same((await logs.read(id, { since: lines[350]?.cursor }, signal)).lines.slice(0, 49), lines.slice(351));
  });

  await t.test('tells what is wrong', async (t) => {
    const id = add(1);
    await t.rejects(logs.read(id, { since: 'yesterday' }, signal), { code: 'invalid', message: /^since: / });
    await t.rejects(logs.read(id, { until: '-' }, signal), { code: 'invalid', message: /^until: / });
    await t.rejects(logs.read('nobody', {}, signal), { code: 'not_found' });
    using _cut = engine.faults.cut({ path: /logs/ });
    await t.rejects(
      logs.read(add(3_000), {}, signal),
      { code: 'engine_error' },
      'never half a log as if it were whole',
    );
  });
});

t.test('A streamed log', async (t) => {
  const { logs, add, follows } = await start(t, { maxLogBytes: 64e6 });

  async function collect(lines: AsyncIterable<LogLine>): Promise<string[]> {
    const texts: string[] = [];
    for await (const line of lines) texts.push(line.text);
    return texts;
  }

  await t.test('has all lines, however many', async (t) => {
    const id = add(12_000);
    t.same(await collect(logs.lines(id, {}, signal)), numbers(0, 12_000));
    t.same(await collect(logs.lines(id, { tail: 3 }, signal)), numbers(11_997, 12_000));
    t.same(await collect(logs.lines(id, { tail: 3, q: '500' }, signal)), ['line 9500', 'line 10500', 'line 11500']);
    const { lines } = await logs.read(id, { tail: 10 }, signal);
    t.same(await collect(logs.lines(id, { since: lines[4]?.cursor }, signal)), numbers(11_995, 12_000));
  });

  await t.test('goes on until its reader or its signal ends it, and the engine stream with it', async (t) => {
    const id = add(3);
    const abort = new AbortController();
    const reading = collect(logs.lines(id, { follow: true, tail: 2 }, abort.signal));
    await until(() => follows() === 1 && logs.openStreams() === 1, 'the stream is open');
    abort.abort();
    await t.rejects(reading, { name: 'AbortError' });
    await until(() => follows() === 0, 'the stream is closed');
    for await (const line of logs.lines(id, { follow: true }, signal)) if (line.text === 'line 1') break;
    await until(() => follows() === 0 && logs.openStreams() === 0, 'the stream is closed');
  });

  await t.test('is read no faster than its reader takes it', async (t) => {
    let made = 0;
    function* chunks() {
      for (; made < 5_000; made += 1) yield Buffer.from(`2025-01-24T14:01:52.610000001Z ${'x'.repeat(1_000)}\n`);
    }
    const stream = Readable.from(chunks(), { highWaterMark: 4 });
    const slow = createLogs({ containerLogs: async () => stream as IncomingMessage });
    let taken = 0;
    let ahead = 0;
    for await (const _line of slow.lines('c', {}, signal)) {
      taken += 1;
      if (taken % 100 === 0) await sleep(1);
      ahead = Math.max(ahead, made - taken);
    }
    t.equal(taken, 5_000);
    t.ok(ahead < 20, `${ahead} chunks ahead`);
  });
});

t.test('A followed log', async (t) => {
  const { logs, add, engine, logCalls, follows } = await start(t);

  await t.test('gives the last lines, then every new one, over one engine stream', async (t) => {
    const id = add(250);
    const view = watch(logs, id);
    await until(() => view.lines.length === 100, 'the tail is there');
    t.same(view.texts(), numbers(150, 250));
    for (let n = 250; n < 300; n += 1) engine.writeLog(id, `line ${n}`);
    await until(() => view.lines.length === 150, 'the new lines are there');
    t.same(view.texts(), numbers(150, 300));
    t.same(
      logCalls(id).map(({ query }) => [query.tail, query.follow]),
      [['100', '1']],
    );
    t.same(view.states, ['following']);
    t.notOk(view.batches.some((batch) => batch.gap));
    view.close();
    await until(() => follows() === 0, 'the stream is closed');
  });

  await t.test('of many viewers is one stream, and each sees the same lines', async (t) => {
    const id = add(250);
    const views = [watch(logs, id)];
    await until(() => views[0]?.lines.length === 100, 'the first has its tail');
    for (let n = 0; n < 20; n += 1) {
      engine.writeLog(id, `line ${250 + n}`);
      views.push(watch(logs, id));
    }
    await until(() => views.every((view) => view.texts().at(-1) === 'line 269'), 'all have the last line');
    for (const view of views) {
      t.same(view.texts(), numbers(270 - view.lines.length, 270), 'without a hole');
      t.ok(view.lines.length >= 100);
    }
    t.equal(logCalls(id).length, 1);
    t.equal(logs.openStreams(), 1);
    for (const view of views.slice(1)) view.close();
    await sleep(0);
    t.equal(follows(), 1);
    views[0]?.close();
    await until(() => follows() === 0 && logs.openStreams() === 0, 'the stream is closed');
  });

  await t.test('gives a longer tail through one more call that ends', async (t) => {
    const id = add(2_500);
    const first = watch(logs, id, { tail: 1_700 });
    await until(() => first.lines.length === 1_700, 'the tail is there');
    t.same(first.texts(), numbers(800, 2_500));
    t.same(first.batches.map((batch) => batch.lines.length).slice(0, 3), [500, 500, 500]);
    const second = watch(logs, id, { tail: 1_200 });
    const short = watch(logs, id, { tail: 7 });
    const none = watch(logs, id, { tail: 0 });
    await until(() => second.lines.length === 1_200 && short.lines.length === 7, 'the tails are there');
    t.same(second.texts(), numbers(1_300, 2_500));
    t.same(short.texts(), numbers(2_493, 2_500));
    engine.writeLog(id, 'line 2500');
    await until(() => none.lines.length === 1, 'the new line is there');
    t.same(none.texts(), ['line 2500']);
    t.same(
      logCalls(id).map(({ query }) => query.follow),
      ['1', '0', '0'],
    );
    for (const view of [first, second, short, none]) view.close();
  });

  await t.test('goes on after a cursor, whatever is held', async (t) => {
    const id = add(2_500);
    const { lines } = await logs.read(id, {}, signal);
    const within = watch(logs, id, { since: lines[2_450]?.cursor });
    await until(() => within.lines.length === 49, 'the lines after the cursor are there');
    t.same(within.texts(), numbers(2_451, 2_500));
    t.equal(logCalls(id).length, 2, 'the tail of the stream was enough');
    const older = watch(logs, id, { since: lines[600]?.cursor });
    await until(() => older.lines.length === 1_899, 'the lines after the cursor are there');
    t.same(older.texts(), numbers(601, 2_500));
    const last = watch(logs, id, { since: lines[2_499]?.cursor });
    engine.writeLog(id, 'line 2500');
    await until(() => last.lines.length === 1, 'the new line is there');
    t.same(last.texts(), ['line 2500']);
    for (const view of [within, older, last]) view.close();
    const again = watch(logs, id, { since: lines[1_000]?.cursor });
    await until(() => again.texts().at(-1) === 'line 2500', 'all is there');
    t.same(again.texts(), numbers(1_001, 2_501), 'also at the first viewer');
    again.close();
  });

  await t.test('says since when lines are missing where a cursor is too old', async (t) => {
    const id = add(7_000);
    const since = `${String(base + 10n).padStart(19, '0')}.0`;
    const view = watch(logs, id, { since });
    await until(() => view.texts().at(-1) === 'line 6999', 'the last line is there');
    t.match(view.batches[0]?.gap, { since: /^\d{4}-.*Z$/ });
    t.same(view.texts(), numbers(2_000, 7_000));
    view.close();
    t.throws(() => logs.follow(id, { tail: 1, since: 'x' }, () => {}), { code: 'invalid' });
  });

  await t.test('joins lines of one time without losing or doubling one', async (t) => {
    const id = add(0);
    for (let n = 0; n < 6; n += 1)
      engine.writeLog(id, numbers(n * 130, n * 130 + 130).join('\n'), { at: base + BigInt(n) });
    const { lines } = await logs.read(id, {}, signal);
    t.equal(lines.length, 780);
    for (const at of [0, 129, 130, 400, 649, 650, 679, 680, 700, 778]) {
      const view = watch(logs, id, { since: lines[at]?.cursor });
      await until(() => view.texts().at(-1) === 'line 779', 'the last line is there');
      t.same(view.lines, lines.slice(at + 1), `after ${at}`);
      view.close();
    }
    for (const tail of [1, 50, 100, 130, 131, 400]) {
      const views = [watch(logs, id, { tail }), watch(logs, id, { tail: tail + 60 })];
      await until(() => views.every((view) => view.texts().at(-1) === 'line 779'), 'the last line is there');
      t.same(views[0]?.lines, lines.slice(-tail), `tail of ${tail}`);
      t.same(views[1]?.lines, lines.slice(-tail - 60), `tail of ${tail + 60} at the second viewer`);
      for (const view of views) view.close();
    }
  });

  await t.test('shows each viewer what it asked for', async (t) => {
    const id = add(300);
    engine.writeLog(id, 'first error', { stream: 'stderr' });
    for (let n = 300; n < 420; n += 1) engine.writeLog(id, `line ${n}`);
    const all = watch(logs, id, { tail: 1 });
    const errors = watch(logs, id, { stream: 'stderr' });
    const found = watch(logs, id, { q: 'LINE 29' });
    await until(() => errors.lines.length === 1 && found.lines.length === 11, 'old lines are found');
    engine.writeLog(id, 'second error', { stream: 'stderr' });
    engine.writeLog(id, 'line 299 again');
    await until(() => all.lines.length === 3, 'the new lines are there');
    await until(() => errors.lines.length === 2 && found.lines.length === 12, 'the new lines are found');
    t.same(errors.texts(), ['first error', 'second error']);
    t.same(found.texts(), ['line 29', ...numbers(290, 300), 'line 299 again']);
    for (const view of [all, errors, found]) view.close();
  });

  await t.test('of a TTY is read without frames', async (t) => {
    const id = add(3, { tty: true });
    const view = watch(logs, id);
    engine.writeLog(id, `a\r\n${'b'.repeat(40_000)}\r\nc`);
    await until(() => view.lines.length === 6, 'the lines are there');
    t.same(view.texts(), [...numbers(0, 3), 'a', 'b'.repeat(40_000), 'c']);
    view.close();
  });
});

t.test('A log is followed over what happens', async (t) => {
  await t.test('when its container stops and starts', async (t) => {
    const { logs, engine, add } = await start(t);
    const id = add(150);
    const view = watch(logs, id);
    await until(() => view.lines.length === 100, 'the tail is there');
    engine.writeLog(id, 'line 150');
    engine.stop(id);
    await until(() => view.states.at(-1) === 'ended', 'the end is told');
    const late = watch(logs, id, { tail: 2 });
    await until(() => late.lines.length === 2, 'a late viewer has lines');
    t.same(late.texts(), ['line 149', 'line 150']);
    t.same(late.states, ['ended']);
    t.equal(logs.openStreams(), 0);
    engine.start(id);
    for (let n = 151; n < 400; n += 1) engine.writeLog(id, `line ${n}`);
    logs.resume(id);
    await until(() => view.texts().at(-1) === 'line 399', 'the new lines are there');
    t.same(view.texts(), numbers(50, 400));
    t.same(late.texts(), numbers(149, 400));
    t.same(view.states, ['following', 'ended', 'following']);
  });

  await t.test('when it was empty before', async (t) => {
    const { logs, engine, add } = await start(t);
    const id = add(0, { state: 'created' });
    const view = watch(logs, id);
    await until(() => view.states.at(-1) === 'ended', 'there is nothing to follow yet');
    engine.start(id);
    for (let n = 0; n < 300; n += 1) engine.writeLog(id, `line ${n}`);
    logs.resume(id);
    await until(() => view.texts().at(-1) === 'line 299', 'the lines are there');
    t.same(view.texts(), numbers(0, 300), 'all of them are new');
  });

  await t.test('when nothing was written since it was followed from its end', async (t) => {
    const { logs, engine, add, follows } = await start(t);
    const stopped = add(150);
    const broken = add(150);
    const empty = add(0);
    const ids = [stopped, broken, empty];
    const views = ids.map((id) => watch(logs, id, { tail: 0 }));
    await until(() => views.every(({ states }) => states.at(-1) === 'following'), 'they are followed');
    engine.stop(stopped);
    await until(() => views[0]?.states.at(-1) === 'ended', 'one has ended');
    engine.faults.dropStreams({ path: /logs/ });
    engine.start(stopped);
    for (const id of ids) for (let n = 0; n < 3; n += 1) engine.writeLog(id, `new ${n}`);
    logs.resume(stopped);
    for (const { texts } of views) await until(() => texts().includes('new 2'), 'what came meanwhile is there');
    await until(() => follows() === 3, 'they are followed on');
    for (const id of ids) engine.writeLog(id, 'new 3');
    for (const { texts } of views) await until(() => texts().includes('new 3'), 'what comes then is there');
    for (const { texts } of views)
      t.same(texts(), ['new 0', 'new 1', 'new 2', 'new 3'], 'once each, and nothing older');
  });

  await t.test('when the start is told before the end of the old stream was read', async (t) => {
    const { logs, engine, add } = await start(t);
    const id = add(10);
    const view = watch(logs, id);
    await until(() => view.lines.length === 10, 'the tail is there');
    logs.resume(id);
    engine.stop(id);
    engine.start(id);
    engine.writeLog(id, 'line 10');
    await until(() => view.lines.length === 11, 'the new line is there');
    t.same(view.texts(), numbers(0, 11));
  });

  await t.test('when the stream breaks, again and again, between any two lines', async (t) => {
    const { logs, engine, add } = await start(t);
    const id = add(120);
    const view = watch(logs, id);
    await until(() => view.lines.length === 100, 'the tail is there');
    for (let n = 120; n < 160; n += 1) {
      engine.writeLog(id, `line ${n}`, { stream: n % 3 === 0 ? 'stderr' : 'stdout' });
      if (n % 4 === 0) engine.faults.dropStreams({ path: /logs/ });
      engine.writeLog(id, `twin of ${n}\nand its twin`);
      if (n % 8 === 1) await until(() => view.texts().includes(`line ${n}`), 'the line is there');
    }
    await until(() => view.texts().filter((text) => text === 'and its twin').length >= 40, 'all lines are there');
    const whole = await logs.read(id, {}, signal);
    t.same(view.lines, whole.lines.slice(20));
    t.ok(view.states.includes('retrying'));
    t.equal(view.states.at(-1), 'following');
  });

  await t.test('when the engine is killed and comes back', async (t) => {
    const { logs, engine, add } = await start(t, {}, {});
    const id = add(10);
    const view = watch(logs, id);
    await until(() => view.lines.length === 10, 'the tail is there');
    await engine.refuse();
    await until(() => view.states.at(-1) === 'retrying', 'the loss is told');
    engine.writeLog(id, 'line 10');
    await engine.listen();
    logs.resumeAll();
    await until(() => view.lines.length === 11, 'the line from in between is there');
    t.equal(view.states.at(-1), 'following');
    t.same(view.texts(), numbers(0, 11));
  });

  await t.test('with all that was missed, also where it is more than a batch', async (t) => {
    const { logs, engine, add } = await start(t, {}, { ...soon, minRetryMs: 5_000 });
    const id = add(10);
    const view = watch(logs, id);
    await until(() => view.lines.length === 10, 'the tail is there');
    engine.faults.dropStreams({ path: /logs/ });
    await until(() => view.states.at(-1) === 'retrying', 'the loss is told');
    for (let n = 10; n < 4_000; n += 1) engine.writeLog(id, `line ${n}`);
    logs.resumeAll();
    await until(() => view.texts().at(-1) === 'line 3999', 'the last line is there');
    t.same(view.texts(), numbers(0, 4_000));
    t.ok(view.batches.every(({ lines, gap }) => lines.length <= 500 && !gap));
  });

  await t.test('until it is removed', async (t) => {
    const { logs, engine, add, logCalls } = await start(t);
    const id = add(3);
    const view = watch(logs, id);
    await until(() => view.lines.length === 3, 'the tail is there');
    engine.removeContainer(id);
    await until(() => view.states.at(-1) === 'ended', 'the end is told');
    logs.resume(id);
    await until(() => logCalls(id).length >= 2, 'it was asked for once more');
    const states: LogState[] = [];
    const reasons: (Problem | undefined)[] = [];
    logs.follow(
      id,
      { tail: 1 },
      () => {},
      (state, reason) => {
        states.push(state);
        reasons.push(reason);
      },
    );
    await until(() => states.at(-1) === 'ended', 'a viewer is told');
    view.close();
  });

  await t.test('when the engine ends the stream of a container that goes on', async (t) => {
    let running = true;
    const requests: LogRequest[] = [];
    const streams: PassThrough[] = [];
    const logs = createLogs(
      {
        containerLogs: async (_id, request) => {
          const stream = new PassThrough();
          requests.push(request);
          streams.push(stream);
          return stream as unknown as IncomingMessage;
        },
      },
      { ...soon, isRunning: () => running },
    );
    const view = watch(logs, 'c');
    for (let n = 0; n < 3; n += 1) {
      await until(() => streams.length === n + 1, 'the stream is open');
      streams[n]?.end(`2025-01-24T14:01:52.61000000${n}Z line ${n}\n`);
      await until(() => view.lines.length === n + 1, 'the line is there');
    }
    await until(() => streams.length === 4, 'it is open once more');
    t.same(view.texts(), numbers(0, 3));
    t.same(view.states, ['following'], 'an end that leaves lines is no fault');
    t.match(requests[3], { follow: true, since: /^1737727312\./ });
    for (let n = 3; n < 6; n += 1) {
      await until(() => streams.length === n + 1, 'the stream is open');
      streams[n]?.end();
    }
    await until(() => view.states.includes('retrying'), 'ends without a line are told');
    t.notOk(view.states.includes('ended'));
    await until(() => streams.length === 7, 'and it is tried again');
    running = false;
    streams[6]?.end();
    await until(() => view.states.at(-1) === 'ended', 'the end with the container is told as such');
    view.close();
  });

  await t.test('and what could not be read before it is told', async (t) => {
    const { logs, engine, add } = await start(t);
    const id = add(300);
    const first = watch(logs, id);
    await until(() => first.lines.length === 100, 'the stream is open');
    using _fault = engine.faults.status(500, '{"message":"busy"}', 'application/json', { path: /logs/ });
    const view = watch(logs, id, { tail: 250 });
    await until(() => view.batches.length > 0, 'the lines that are held are there');
    t.same(view.batches[0]?.gap, { atMost: 150 });
    t.same(view.texts(), numbers(200, 300));
    for (const { close } of [first, view]) close();
  });

  await t.test('with growing pauses between tries, which end with the last viewer', async (t) => {
    const calls: number[] = [];
    const logs = createLogs(
      {
        containerLogs: async () => {
          calls.push(performance.now());
          throw new Problem('engine_unreachable', 'gone');
        },
      },
      { minRetryMs: 4, maxRetryMs: 16 },
    );
    const view = watch(logs, 'c');
    await until(() => calls.length === 7, 'it was tried seven times');
    t.ok((calls[6] ?? 0) - (calls[0] ?? 0) >= 4 + 8 + 16 + 16 + 16 + 16 - 10);
    t.same(view.states, ['retrying']);
    view.close();
    const made = calls.length;
    await sleep(60);
    t.equal(calls.length, made);
  });
});

t.test('A flood', async (t) => {
  await t.test('is counted where it is too much to show, and costs bounded memory', async (t) => {
    const { logs, engine, add } = await start(t, { maxLogBytes: 8e6 });
    const id = add(0);
    const views = [watch(logs, id), watch(logs, id), watch(logs, id, { q: '7' })];
    const counts = { lines: 0, skipped: 0, most: 0, batches: 0, text: '' };
    const before = heapInUse();
    let highest = 0;
    logs.follow(id, { tail: 100 }, (batch) => {
      counts.lines += batch.lines.length;
      counts.most = Math.max(counts.most, batch.lines.length);
      counts.text = batch.lines.at(-1)?.text ?? '';
      counts.batches += 1;
      if (counts.batches % 2 === 0) highest = Math.max(highest, heapInUse() - before);
      if (batch.gap && 'lines' in batch.gap) counts.skipped += batch.gap.lines;
    });
    await until(() => views[0]?.states.at(-1) === 'following', 'it is followed');
    for (const view of views) view.close();
    const make = (n: number) => `${n} ${'.'.repeat(194)}`.slice(0, 200);
    await engine.firehose(id, 100_000, { make });
    await until(() => counts.text.startsWith('99999 '), 'the last line is there');
    t.equal(counts.lines + counts.skipped, 100_000, 'every line was shown or counted');
    t.ok(counts.skipped > 0);
    t.ok(counts.most <= 500);
    t.ok(
      highest > 0 && highest < 50e6,
      `the heap grew by ${Math.round(highest / 1e6)} MB, with the log of the engine itself`,
    );
  });

  await t.test('comes in order, each gap where the lines are missing', async (t) => {
    const { logs, engine, add } = await start(t, { maxLogBytes: 8e6 });
    const id = add(0);
    let next = 0;
    let wrong = 0;
    let gaps = 0;
    logs.follow(id, { tail: 100 }, ({ lines, gap }) => {
      if (gap && 'lines' in gap) {
        next += gap.lines;
        gaps += 1;
      }
      for (const line of lines) {
        if (!line.text.startsWith(`line ${next} `)) wrong += 1;
        next += 1;
      }
    });
    await until(() => logs.openStreams() === 1, 'it is followed');
    await engine.firehose(id, 30_000);
    await until(() => next === 30_000, 'the last line is there');
    t.equal(wrong, 0);
    t.ok(gaps > 0);
  });

  await t.test('waits within a bound while there is no room, and what did not fit is counted', async (t) => {
    const { logs, engine, add } = await start(t, { maxLogBytes: 8e6 });
    const id = add(0);
    let isFull = true;
    let seen = 0;
    let missing = 0;
    const onBatch = ({ lines, gap }: LogBatch) => {
      seen += lines.length;
      if (gap && 'lines' in gap) missing += gap.lines;
    };
    const other = watch(logs, id);
    logs.follow(id, { tail: 100 }, onBatch, undefined, () => !isFull);
    await until(() => logs.openStreams() === 1, 'it is followed');
    await engine.firehose(id, 20_000);
    await until(() => other.lines.at(-1)?.text.startsWith('line 19999 ') === true, 'the other has the last line');
    t.equal(seen, 0, 'nothing is handed on');
    isFull = false;
    await until(() => seen + missing === 20_000, 'all of it is told');
    t.ok(seen <= 500, `${seen} lines waited`);
  });

  await t.test('is not felt by others than the slow listener', async (t) => {
    const { logs, engine, add } = await start(t, { maxLogBytes: 8e6 });
    const id = add(0);
    const totals = [0, 0];
    const count = (index: 0 | 1, batch: LogBatch) => {
      totals[index] =
        (totals[index] ?? 0) + batch.lines.length + (batch.gap && 'lines' in batch.gap ? batch.gap.lines : 0);
    };
    logs.follow(id, { tail: 10 }, (batch) => {
      count(0, batch);
      const end = performance.now() + 20;
      while (performance.now() < end);
    });
    logs.follow(id, { tail: 10 }, (batch) => count(1, batch));
    let faults = 0;
    logs.follow(id, { tail: 10 }, () => {
      faults += 1;
      throw new Error('a listener that fails');
    });
    await until(() => logs.openStreams() === 1, 'it is followed');
    await engine.firehose(id, 10_000);
    await until(() => totals[0] === 10_000 && totals[1] === 10_000, 'both have all');
    t.equal(faults, 1, 'a listener that throws is not asked again');
  });
});

t.test('A search that takes far too long', async (t) => {
  await t.test('ends its own view and says why, and the others go on', async (t) => {
    const { logs, engine, add } = await start(t, { maxLogBytes: 8e6 });
    const id = add(0);
    const reasons: (string | undefined)[] = [];
    const costly = { tail: 10, q: '(a|b)*a(a|b){200}c', regex: true };
    logs.follow(
      id,
      costly,
      () => {},
      (state, reason) => state === 'stopped' && reasons.push(reason?.message),
    );
    const other = watch(logs, id);
    await until(() => logs.openStreams() === 1, 'it is followed');
    const line = () => Array.from({ length: 400 }, () => 'ab'[Math.floor(Math.random() * 2)]).join('');
    for (let n = 0; reasons.length === 0 && n < 400; n += 1) {
      for (let more = 0; more < 50; more += 1) engine.writeLog(id, line());
      const sum = (n + 1) * 50;
      await until(() => other.lines.length + other.seen.skipped === sum, 'the other has all');
    }
    t.match(reasons, [/expression takes far too long/]);
    engine.writeLog(id, 'goes on');
    await until(() => other.texts().at(-1) === 'goes on', 'and what comes then');
    t.notOk(other.seen.states.includes('retrying'));
  });
});

t.test('A log that was rotated away while nobody could read it', async (t) => {
  const open = async (t: Teardown) => {
    const all = await start(t, { maxLogBytes: 20_000 });
    const id = all.add(20);
    const view = watch(all.logs, id);
    await until(() => view.lines.length === 20, 'the first lines');
    return { ...all, id, view };
  };

  await t.test('has a mark where it goes on after a break', async (t) => {
    const { engine, id, view, follows } = await open(t);
    const refused = engine.faults.status(500, '{"message":"busy"}', 'application/json', { path: /logs$/ });
    engine.faults.dropStreams({ path: /logs/ });
    await until(() => follows() === 0, 'the stream broke');
    for (let n = 20; n < 2_000; n += 1) engine.writeLog(id, `line ${n}`);
    refused.remove();
    await until(() => view.texts().at(-1) === 'line 1999', 'it goes on');
    const marked = view.batches.filter(({ gap }) => gap);
    t.match(marked, [{ gap: { since: /Z$/ } }], 'one mark');
    t.not(marked[0]?.lines[0]?.text, 'line 20', 'as lines are missing');
    t.equal(marked[0]?.lines[0]?.text, view.texts()[20], 'behind the last line that was seen');
    t.ok(isGrowing(view.lines));
  });

  await t.test('has a mark for who comes back with its last line', async (t) => {
    const { engine, logs, id, view } = await open(t);
    const since = view.lines.at(-1)?.cursor;
    view.close();
    for (let n = 20; n < 2_000; n += 1) engine.writeLog(id, `line ${n}`);
    const again = watch(logs, id, { since, isSeen: true });
    await until(() => again.texts().at(-1) === 'line 1999', 'it goes on');
    t.match(again.batches[0]?.gap, { since: /Z$/ });
    const between = watch(logs, id, { since });
    await until(() => between.texts().at(-1) === 'line 1999', 'a place that is no line of it');
    t.notOk(
      between.batches.some(({ gap }) => gap),
      'tells nothing of what is missing',
    );
  });

  await t.test('has none where nothing is missing', async (t) => {
    const { engine, logs, id, view, follows } = await open(t);
    engine.faults.dropStreams({ path: /logs/ });
    await until(() => follows() === 1, 'the stream is open again');
    engine.writeLog(id, 'line 20');
    await until(() => view.texts().at(-1) === 'line 20', 'it goes on');
    const again = watch(logs, id, { since: view.lines[19]?.cursor, isSeen: true });
    await until(() => again.lines.length === 1, 'the line behind it');
    t.notOk([...view.batches, ...again.batches].some(({ gap }) => gap));
  });
});

t.test('Long lines', async (t) => {
  await t.test('come in several batches, none of which is too large', async (t) => {
    const { logs, engine, add } = await start(t, { maxLogBytes: 8e6 });
    const id = add(0);
    for (let n = 0; n < 60; n += 1) engine.writeLog(id, `${n} ${'x'.repeat(12_000)}`, { at: base + BigInt(n) });
    const first = watch(logs, id);
    await until(() => first.lines.length === 60, 'all of them are held');
    const { seen } = watch(logs, id);
    await until(() => seen.lines.length === 60, 'all of them');
    const sizes = seen.batches.map(({ lines }) => lines.reduce((sum, { text }) => sum + text.length, 0));
    t.ok(Math.max(...sizes) <= 300_000, `at most ${Math.max(...sizes)} characters`);
  });
});

t.test('The end of a view', async (t) => {
  await t.test('ends the stream of a silent container at once', async (t) => {
    const { logs, add, follows } = await start(t);
    const id = add(0);
    const view = watch(logs, id);
    await until(() => follows() === 1, 'the stream is open');
    const closed = performance.now();
    view.close();
    view.close();
    await until(() => follows() === 0, 'the stream is closed');
    t.ok(performance.now() - closed < 1_000);
    const again = watch(logs, id);
    await until(() => follows() === 1, 'it can be opened again');
    again.close();
  });

  await t.test('during the opening leaves no stream behind', async (t) => {
    const answer = Promise.withResolvers<IncomingMessage>();
    const logs = createLogs({ containerLogs: () => answer.promise });
    const view = watch(logs, 'c');
    view.close();
    const stream = new PassThrough();
    answer.resolve(stream as unknown as IncomingMessage);
    await until(() => stream.destroyed, 'the stream is ended');
    t.equal(logs.openStreams(), 0);
  });

  await t.test('is the last that a listener hears', async (t) => {
    const { logs, add, engine } = await start(t);
    const id = add(2_000);
    const other = watch(logs, id);
    const view = watch(logs, id, { tail: 2_000 }, () => view.close());
    await until(() => view.batches.length === 1, 'the first batch is there');
    engine.writeLog(id, 'line 2000');
    await until(() => other.texts().at(-1) === 'line 2000', 'the other has the new line');
    t.equal(view.batches.length, 1);
    logs.close();
    await until(() => logs.openStreams() === 0, 'the streams are closed');
  });
});

t.test('Lines out of order, as two outputs write them, are neither lost nor doubled by a new stream', async (t) => {
  const requests: LogRequest[] = [];
  const stamps = [1, 2, 4, 3, 5, 5, 4, 6];
  const stampOf = (n: number) => `2025-01-24T14:01:52.61000000${n}Z`;
  const frames = stamps.map((n, index) => {
    const payload = Buffer.from(`${stampOf(n)} line ${index}\n`);
    const header = Buffer.from([1 + (index % 2), 0, 0, 0, 0, 0, 0, payload.length]);
    return Buffer.concat([header, payload]);
  });
  const logs = createLogs(
    {
      containerLogs: async (_id, request) => {
        requests.push(request);
        const stream = new PassThrough();
        for (const frame of frames.slice(0, requests.length)) stream.write(frame);
        if (requests.length < frames.length) setImmediate(() => stream.destroy(new Error('ECONNRESET')));
        return stream as unknown as IncomingMessage;
      },
    },
    { minRetryMs: 1, maxRetryMs: 1 },
  );
  const view = watch(logs, 'c');
  await until(() => view.lines.length >= frames.length, 'all lines are there');
  t.same(view.texts(), numbers(0, frames.length));
  t.ok(isGrowing(view.lines));
  t.equal(requests[1]?.since, '1737727312.510000001', '100 ms of the log are read again');
  view.close();
});

t.test('An error of the engine within a log is told, after the lines before it', async (t) => {
  const reasons: (Problem | undefined)[] = [];
  const lines: string[] = [];
  const logs = createLogs(
    {
      containerLogs: async () => {
        const stream = new PassThrough();
        const good = Buffer.from('2025-01-24T14:01:52.610000001Z good\n');
        const bad = Buffer.from('Error grabbing logs: unexpected EOF\n');
        stream.end(
          Buffer.concat([
            Buffer.from([1, 0, 0, 0, 0, 0, 0, good.length]),
            good,
            Buffer.from([3, 0, 0, 0, 0, 0, 0, bad.length]),
            bad,
          ]),
        );
        return stream as unknown as IncomingMessage;
      },
    },
    { minRetryMs: 1, maxRetryMs: 1 },
  );
  const view = logs.follow(
    'c',
    { tail: 10 },
    (batch) => lines.push(...batch.lines.map(({ text }) => text)),
    (_state, reason) => reasons.push(reason),
  );
  await until(() => lines.length > 0 && reasons.some(Boolean), 'the line and the reason are there');
  await sleep(20);
  t.same(lines, ['good']);
  t.match(reasons.find(Boolean), { code: 'engine_error', message: /unexpected EOF/ });
  view.close();
});
