import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Problem } from '../../src/errors.ts';
import { systemClock } from '../../src/services/clock.ts';
import { type Database, openDatabase } from '../../src/services/database.ts';
import { toHistoryEvent } from '../../src/services/event-reading.ts';
import { createEventStream, type Gap, type StreamPlace } from '../../src/services/event-stream.ts';
import { parseEventPlace, parseEventTime } from '../../src/services/event-times.ts';
import { type LastLine, timelineOf } from '../../src/services/event-types.ts';
import { createHistory, type HistoryOptions } from '../../src/services/history.ts';
import type { Operation } from '../../src/services/operation-types.ts';
import { until } from '../support/app.ts';

const idOf = (digit: string) => digit.repeat(64);
const a = idOf('a');
const b = idOf('b');
const start = Date.parse('2026-01-31T10:00:00Z');

/** A line of the engine's stream; `second` since the start of the tests' time. */
const engineEvent = (second: number, action: string, id = a, attributes: Record<string, string> = {}) => ({
  Type: 'container',
  Action: action,
  Actor: { ID: id, Attributes: { name: 'web', image: 'lab/web:1', ...attributes } },
  timeNano: (start + second * 1_000) * 1e6,
});

const lines = (count: number, text = (n: number) => `line ${n}`): LastLine[] =>
  Array.from({ length: count }, (_, n) => {
    const at = new Date(start - 1_000 * (count - n)).toISOString();
    return { at, cursor: `${n}`, stream: 'stdout', text: text(n) };
  });

type Setting = Partial<HistoryOptions> & { database?: Database };

/** A history over a database of its own, with nothing beside it. */
async function open(t: Test, { database: given, ...options }: Setting = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-history-'));
  const database = given ?? (await openDatabase(folder));
  const listeners = new Set<(operation: Operation) => void>();
  const history = await createHistory({
    database,
    operations: {
      onChange: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      holder: () => undefined,
      find: async () => undefined,
    },
    container: () => undefined,
    latestFigures: () => undefined,
    readLines: async () => [],
    figuresBefore: async () => null,
    log: { warn() {} },
    clock: { ...systemClock, now: () => start + 3_600_000 },
    ...options,
  });
  t.teardown(async () => {
    await history.close();
    if (!given) await database.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const record = (...events: ReturnType<typeof engineEvent>[]) => {
    for (const event of events) history.reader.event(event);
    return history.settled();
  };
  const tellOperation = (operation: Operation) => {
    for (const listener of listeners) listener(operation);
  };
  const actions = async (container?: string) =>
    (await history.list({ container, limit: 200 })).map(({ action }) => action);
  return { history, database, record, actions, tellOperation };
}

t.test('The marks of a chart are by name or id, in their order, within their time', async (t) => {
  const { history, record, tellOperation } = await open(t);
  await record(
    engineEvent(0, 'create'),
    engineEvent(1, 'start'),
    engineEvent(2, 'health_status: healthy'),
    engineEvent(3, 'oom'),
    engineEvent(4, 'die', a, { exitCode: '137' }),
    engineEvent(9, 'start', b, { name: 'other' }),
  );
  const at = start + 6_000;
  const times = { queuedAt: at, startedAt: at, finishedAt: at + 10 };
  tellOperation({
    id: 3,
    kind: 'rebuild',
    target: 'web',
    actor: 'me',
    state: 'succeeded',
    message: '',
    error: null,
    ...times,
  } as Operation);
  await history.settled();
  const marks = await history.marks('web', start, start + 60_000);
  t.same(
    marks.map(({ at, kind }) => [at - start, kind]),
    [
      [1_000, 'start'],
      [2_000, 'health'],
      [3_000, 'oom'],
      [4_000, 'die'],
      [6_000, 'rebuild'],
    ],
  );
  t.same(
    marks.map(({ title }) => title),
    ['Started', 'Health: healthy', 'Out of memory', 'Ended with code 137', 'Rebuilt by me'],
  );
  t.same(await history.marks(a, start, start + 60_000), marks, 'by its id as well');
  t.same(await history.marks('web', start + 3_000, start + 4_000), marks.slice(2, 4), 'both ends included');
  t.same(await history.marks('nobody', start, start + 60_000), []);
});

t.test('The marks of several containers name whose they are, and the newest are kept', async (t) => {
  const { history, record } = await open(t);
  await record(
    engineEvent(1, 'start'),
    engineEvent(2, 'start', b, { name: 'db' }),
    engineEvent(3, 'die', idOf('c'), { name: 'other' }),
    engineEvent(4, 'die', b, { name: 'db', exitCode: '1' }),
    engineEvent(90, 'start', b, { name: 'db' }),
  );
  const read = async (names: string[], to = 60_000) =>
    (await history.marksOf(names, start, start + to)).map(({ at, title }) => `${(at - start) / 1_000} ${title}`);
  t.same(await read(['web', 'db', 'nobody', '']), ['1 web: Started', '2 db: Started', '4 db: Ended with code 1']);
  t.same(await read(['db'], 2_000), ['2 db: Started'], 'both ends included');
  t.same(await read([]), []);
  await record(...Array.from({ length: 1_010 }, (_, n) => engineEvent(100 + n, 'oom')));
  const many = await read(['web', 'db'], 3_600_000);
  t.equal(many.length, 1_000);
  t.equal(many.at(-1), '1109 web: Out of memory');
});

t.test('What is told again is kept once, also by the next process', async (t) => {
  const first = await open(t);
  const events = [engineEvent(0, 'create'), engineEvent(1, 'start'), engineEvent(2, 'pause')];
  await first.record(...events, ...events);
  t.same(await first.actions(), ['pause', 'start', 'create']);
  await first.history.close();
  const { record, actions } = await open(t, { database: first.database });
  await record(...events, engineEvent(3, 'unpause'));
  t.same(await actions(), ['unpause', 'pause', 'start', 'create']);
});

t.test('A time that no number can hold takes nothing else along', async (t) => {
  const first = await open(t);
  const at = (timeNano: number) => ({ ...engineEvent(0, 'pause'), timeNano });
  await first.record(engineEvent(0, 'create'), at(2 ** 63), at(1e25), at(Number.MAX_VALUE), engineEvent(1, 'start'));
  t.same(await first.actions(), ['start', 'create']);
  await first.history.close();
  const { actions } = await open(t, { database: first.database });
  t.same(await actions(), ['start', 'create'], 'nor the next process');
});

t.test('The id of a network is no container', async (t) => {
  const { history, record } = await open(t, { container: () => ({ name: 'web', imageId: '' }) });
  const network = { ID: b, Attributes: { container: a, name: 'lan' } };
  await record(engineEvent(0, 'start'), { ...engineEvent(1, 'connect'), Type: 'network', Actor: network } as never);
  t.equal(await history.nameOf(a.slice(0, 12)), 'web');
  t.equal(await history.nameOf(b.slice(0, 12)), undefined);
});

t.test('An id that begins like another is meant only by more of it', async (t) => {
  const { history, record } = await open(t);
  const twin = `${a.slice(0, 20)}${'0'.repeat(44)}`;
  const ofTwin = { ...engineEvent(1, 'start'), Actor: { ID: twin, Attributes: { name: 'twin' } } };
  await record(engineEvent(0, 'start'), ofTwin as never);
  t.equal(await history.nameOf(a.slice(0, 12)), undefined);
  t.equal(await history.nameOf(a.slice(0, 24)), 'web');
  t.equal(await history.nameOf(twin.slice(0, 24)), 'twin');
});

t.test('A health that is as it was is no event', async (t) => {
  const { record, actions } = await open(t);
  const probes = ['healthy', 'healthy', 'unhealthy', 'unhealthy', 'healthy'];
  await record(...probes.map((health, second) => engineEvent(second, `health_status: ${health}`)));
  t.equal((await actions()).length, 3);
});

t.test('Beyond the bound the oldest go, and that is said', async (t) => {
  const { history, record, actions } = await open(t, { bounds: { rows: 100 } });
  t.same(await history.extent(), { oldestAt: null, fullAt: null });
  await record(...Array.from({ length: 1_200 }, (_, n) => engineEvent(n, n % 2 ? 'pause' : 'unpause')));
  t.equal((await actions()).length, 100);
  const { oldestAt, fullAt } = await history.extent();
  t.equal(oldestAt, (start + 1_100_000) * 1_000);
  t.type(fullAt, 'number');
});

t.test('What is older than 90 days goes', async (t) => {
  const now = start + 91 * 86_400_000;
  const { record, actions } = await open(t, { clock: { now: () => now, after: () => () => {} } });
  await record(engineEvent(0, 'create'));
  await record(...Array.from({ length: 1_000 }, (_, n) => engineEvent(86_400 * 2 + n, n % 2 ? 'pause' : 'unpause')));
  t.notOk((await actions()).includes('create'));
  t.equal((await actions()).length, 200);
});

t.test('Events that come faster than they can wait are counted and said', async (t) => {
  const { history, record } = await open(t, { bounds: { waiting: 10 } });
  await record(...Array.from({ length: 25 }, (_, n) => engineEvent(n, n % 2 ? 'pause' : 'unpause')));
  const [gap] = await history.list({ trouble: 'gap', limit: 10 });
  t.match(gap, { type: 'gap', details: { lost: 15, from: (start + 10_000) * 1_000 }, at: (start + 24_000) * 1_000 });
});

t.test('A newer image under the same name is a change between two containers', async (t) => {
  const images: Record<string, string> = { [a]: 'sha256:1111', [b]: 'sha256:2222' };
  const { history, record } = await open(t, { container: (id) => ({ name: 'web', imageId: images[id] ?? '' }) });
  await record(
    engineEvent(0, 'create'),
    engineEvent(1, 'destroy'),
    engineEvent(2, 'create', b, { name: 'web.new-0123abcd' }),
  );
  const [made, , first] = await history.list({ container: 'web', limit: 10 });
  t.match(made, { name: 'web.new-0123abcd', details: { imageBefore: { image: 'lab/web:1', imageId: 'sha256:1111' } } });
  t.equal(first?.details.imageBefore, undefined);
});

t.test('What was done here is kept with its result, and names who when the death comes', async (t) => {
  const { history, record } = await open(t);
  const container = { id: a, name: 'web', image: 'lab/web:1', project: null, service: null };
  await history.act({ action: 'stop', actor: 'me', container }, async () => {
    await record(engineEvent(0, 'die', a, { exitCode: '137' }));
  });
  const refused = history.act({ action: 'start', actor: 'me', container }, () => {
    throw new Problem('conflict', 'Port 80 is taken');
  });
  await t.rejects(refused, { message: 'Port 80 is taken' });
  await history.settled();
  const events = await history.list({ container: 'web', limit: 10 });
  const deed = (action: string) => events.find((event) => event.type === 'action' && event.action === action);
  t.match(deed('stop'), { details: { actor: 'me', state: 'done' }, trouble: '' });
  t.match(deed('start'), { details: { actor: 'me', state: 'failed', message: 'Port 80 is taken' }, trouble: 'failed' });
  t.match(
    events.find(({ action }) => action === 'die'),
    { trouble: '', details: { doing: 'stop', actor: 'me' } },
  );
});

t.test('A start that was asked for here does not explain a death', async (t) => {
  let now = start;
  const clock = { ...systemClock, now: () => ++now };
  const { history, record } = await open(t, { clock });
  const container = { id: a, name: 'web', image: 'lab/web:1', project: null, service: null };
  const deaths = async () =>
    (await history.list({ action: 'die', limit: 10 })).map(({ trouble, details }) => [trouble, details.doing]);
  await history.act({ action: 'start', actor: 'me', container }, () =>
    record(engineEvent(0, 'start'), engineEvent(1, 'die', a, { exitCode: '127' })),
  );
  t.same(await deaths(), [['died', undefined]], 'it died by itself');
  await history.act({ action: 'restart', actor: 'me', container }, () =>
    record(
      engineEvent(2, 'die', a, { exitCode: '143' }),
      engineEvent(3, 'start'),
      engineEvent(4, 'die', a, { exitCode: '1' }),
    ),
  );
  t.same((await deaths()).slice(0, 2), [
    ['died', undefined],
    ['', 'restart'],
  ]);
  await history.act({ action: 'stop', actor: 'me', container }, async () => record(engineEvent(5, 'start')));
  const [newest] = await history.list({ action: 'start', limit: 1 });
  t.equal(newest?.details.doing, undefined, 'nor a stop a start');
});

t.test('What a container outlived does not explain its death', async (t) => {
  const { history, record } = await open(t);
  const died = async (second: number) => {
    await record(engineEvent(second, 'die', a, { exitCode: '1' }));
    const [newest] = await history.list({ action: 'die', limit: 1 });
    return { trouble: newest?.trouble, killedBy: newest?.details.killedBy, oom: newest?.details.oom };
  };
  await record(engineEvent(0, 'start'), engineEvent(1, 'oom'), engineEvent(2, 'kill', a, { signal: '15' }));
  t.same(await died(30), { trouble: 'died', killedBy: '15', oom: true }, 'soon after');
  await record(engineEvent(40, 'start'), engineEvent(41, 'kill', a, { signal: '15' }));
  t.same(await died(50), { trouble: '', killedBy: '15', oom: undefined }, 'it was wanted');
  await record(engineEvent(60, 'start'), engineEvent(61, 'oom'), engineEvent(62, 'kill', a, { signal: '15' }));
  t.same(await died(3_000), { trouble: 'died', killedBy: undefined, oom: undefined }, 'long after');
});

t.test('An operation that the end of the program cut short does not run for ever', async (t) => {
  const running = { id: 5, kind: 'pull', target: 'x', actor: 'me', state: 'running', queuedAt: start } as Operation;
  const first = await open(t);
  first.tellOperation(running);
  await first.history.settled();
  await first.history.close();
  const over = {
    ...running,
    state: 'interrupted',
    error: 'It ended.',
    message: '',
    finishedAt: start + 5,
  } as Operation;
  const { history } = await open(t, {
    database: first.database,
    operations: { onChange: () => () => {}, holder: () => undefined, find: async () => over },
  });
  await history.settled();
  t.match(await history.list({ limit: 10 }), [
    { trouble: 'failed', details: { state: 'failed', message: 'It ended.' } },
  ]);
});

t.test('Last words', async (t) => {
  const die = (second: number, code: number, id = a, name = 'web') =>
    engineEvent(second, 'die', id, { exitCode: String(code), name });

  await t.test('are those of that life, within their bytes, and a long line is cut', async (t) => {
    const after = {
      at: new Date(start + 5_000).toISOString(),
      cursor: 'x',
      stream: 'stdout',
      text: 'next life',
    } as const;
    const { history, record } = await open(t, {
      readLines: async () => [...lines(10, (n) => 'x'.repeat(n === 9 ? 6_000 : 3_000)), after],
    });
    await record(die(0, 1));
    const death = async () => [...(await history.timeline('web', { limit: 10 })).deaths.values()][0];
    await until(async () => (await death()) !== undefined, 'kept');
    t.same(
      (await death())?.lines.map(({ text }) => text.length),
      [3_000, 3_000, 3_000, 3_000, 4_097],
    );
    t.match((await death())?.note, /Only the last 16 KiB/);
  });

  await t.test('say plainly when there were none to get', async (t) => {
    const { history, record } = await open(t, {
      readLines: () => Promise.reject(new Problem('not_found', 'Container web not found')),
    });
    await record(die(0, 1));
    await until(async () => (await history.timeline('web', { limit: 1 })).deaths.size > 0, 'kept');
    const [death] = (await history.timeline('web', { limit: 1 })).deaths.values();
    t.match(death, { lines: [], note: 'There were none to get: the container was removed at once.' });
  });

  await t.test('are not told to be unreadable where the end of the program cut the reading off', async (t) => {
    let isAsked = false;
    const { history, record, database } = await open(t, {
      readLines: (_id, _count, signal) =>
        new Promise((_resolve, reject) => {
          isAsked = true;
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    });
    await record(die(0, 1));
    await until(() => isAsked, 'the reading');
    await history.close();
    t.same(await database.db.selectFrom('deaths').selectAll().execute(), []);
  });

  await t.test(
    'are read by four calls at once, of a hundred that wait, and not again at once for a name',
    async (t) => {
      let running = 0;
      let most = 0;
      let calls = 0;
      const { history, record } = await open(t, {
        readLines: async () => {
          calls += 1;
          running += 1;
          most = Math.max(most, running);
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
          return lines(1);
        },
      });
      await record(
        die(0, 1),
        die(1, 1, b),
        die(6, 1),
        die(7, 0, a, 'cron'),
        die(60, 0, a, 'cron'),
        die(68, 0, a, 'cron'),
      );
      await until(() => calls === 4, 'four are read');
      await record(...Array.from({ length: 300 }, (_, n) => die(100 + n, 1, b, `c${n}`)));
      await until(async () => calls === 108, 'those that may wait');
      t.equal(most, 4);
      await history.settled();
      t.equal(calls, 108, 'and no more');
    },
  );

  await t.test('are the newest of a name, and of all', async (t) => {
    const { history, record } = await open(t, {
      readLines: async () => lines(1),
      bounds: { deaths: { ofName: 3, inAll: 5 } },
    });
    const kept = async (name: string) => (await history.timeline(name, { limit: 100 })).deaths;
    for (let n = 0; n < 6; n++) {
      await record(die(n * 10, 1));
      await until(async () => (await kept('web')).has(`${a}@${(start + n * 10_000) * 1_000}`), 'kept');
    }
    t.equal((await kept('web')).size, 3);
    for (let n = 0; n < 4; n++) {
      await record(die(100 + n, 1, b, `c${n}`));
      await until(async () => (await kept(`c${n}`)).size === 1, 'kept');
    }
    await until(async () => (await kept('web')).size === 1, 'the oldest go first');
  });
});

t.test('The continuity of the stream', async (t) => {
  let now = start;
  const timers = new Set<() => void>();
  const clock = {
    now: () => now,
    after: (_ms: number, run: () => void) => {
      timers.add(run);
      return () => void timers.delete(run);
    },
  };
  const pass = () => {
    for (const run of timers) run();
    timers.clear();
  };
  const begin = (place: StreamPlace) => {
    const gaps: Gap[] = [];
    return { gaps, stream: createEventStream(place, clock, (gap) => gaps.push(gap)) };
  };
  const micros = (second: number) => (start + second * 1_000) * 1_000;

  const known = begin({ lastAt: micros(-60), aliveAt: 0 });
  t.equal(known.stream.since(), `${start / 1_000 - 61}.000000000`, 'a second before what is known');
  known.stream.opened();
  known.stream.saw(micros(-60));
  known.stream.saw(micros(-1));
  pass();
  t.same(known.gaps, [], 'the newest known one is told again: nothing is missing');

  now = start + 10_000;
  known.stream.lost();
  now = start + 20_000;
  known.stream.opened();
  pass();
  t.same(known.gaps, [{ from: micros(10), to: micros(20) }], 'from when the stream broke until it was back');

  const passed = begin({ lastAt: micros(-60), aliveAt: micros(-50) });
  passed.stream.opened();
  passed.stream.saw(micros(-5));
  pass();
  t.same(passed.gaps, [{ from: micros(-50), to: micros(-5) - 1 }], 'up to the first one that the engine still has');

  const fresh = begin(null);
  fresh.stream.opened();
  fresh.stream.saw(micros(-5));
  pass();
  t.same(fresh.gaps, [], 'the first time nothing was known');

  const flapping = begin({ lastAt: micros(-60), aliveAt: 0 });
  flapping.stream.opened();
  flapping.stream.saw(micros(-5));
  flapping.stream.lost();
  t.equal(flapping.stream.place()?.lastAt, micros(-60), 'undecided, it goes back');
  flapping.stream.opened();
  flapping.stream.saw(micros(-5));
  pass();
  t.equal(flapping.gaps.length, 1, 'and is said once');

  const putBack = begin({ lastAt: micros(3_600), aliveAt: 0 });
  putBack.stream.opened();
  putBack.stream.saw(micros(5));
  pass();
  t.equal(putBack.gaps.length, 1, 'what is new by a clock that was put back was not known');
  t.equal(putBack.stream.since(), `${start / 1_000 + 4}.000000000`, 'and the next time goes on from there');
});

t.test('Of an event only what views need is kept', async (t) => {
  const read = (event: object) => toHistoryEvent(event as never, () => 'web');
  const secret = { PASSWORD: 'hunter2', 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web' };
  const event = read(engineEvent(0, 'die', a, { exitCode: '3', ...secret }));
  t.same(event?.details, { image: 'lab/web:1', project: 'shop', service: 'web', exitCode: 3 });
  t.same(read({ ...engineEvent(0, 'died'), Action: 'died' })?.action, 'die', "in Docker's words");
  for (const action of ['exec_create: /probe', 'exec_die', 'top', 'attach', 'resize', 'init', '']) {
    t.equal(read(engineEvent(0, action)), null, action);
  }
  t.equal(read({}), null);
  t.equal(read({ Type: 'constructor', Action: 'create', timeNano: 1e18 }), null);
  t.equal(read({ ...engineEvent(0, 'start', '../x') }), null, 'an id that is none');
  const network = {
    Type: 'network',
    Action: 'connect',
    timeNano: 1e18,
    Actor: { ID: 'n', Attributes: { container: a, name: 'lan' } },
  };
  t.match(read(network), { name: 'lan', timeline: 'web', details: { container: { id: a, name: 'web' } } });
  t.equal(timelineOf('web.new-0123abcd'), 'web');
  t.equal(timelineOf('web.new-style'), 'web.new-style');
});

t.test('Times and places are read, or the field is named', async (t) => {
  t.equal(parseEventTime('since', ''), undefined);
  t.equal(parseEventTime('since', '2026-01-31'), Date.parse('2026-01-31T00:00:00Z') * 1_000);
  t.equal(parseEventTime('since', '2026-01-31T10:00'), start * 1_000);
  t.equal(parseEventTime('since', '2026-01-31T11:00:00+01:00'), start * 1_000);
  t.equal(parseEventTime('until', String(start / 1_000)), start * 1_000);
  t.same(parseEventPlace('12.3'), { at: 12, id: 3 });
  t.throws(() => parseEventTime('until', '2026-13-31'), { code: 'invalid', message: /^until: / });
  t.throws(() => parseEventPlace('1;drop'), { code: 'invalid', message: /^before: / });
});
