import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import t, { type Test } from 'tap';
import { createAlertTexts } from '../../src/feeds/alert-texts.ts';
import { createAlertSender } from '../../src/services/alert-channels.ts';
import { createMailer, type SmtpServer } from '../../src/services/alert-mail.ts';
import type { DiskUse } from '../../src/services/alert-sources.ts';
import { type AlertOptions, createAlerts } from '../../src/services/alerts.ts';
import type { Clock } from '../../src/services/clock.ts';
import { type Container, toContainer } from '../../src/services/containers.ts';
import { type Database, openDatabase } from '../../src/services/database.ts';
import type { HistoryEvent } from '../../src/services/event-types.ts';
import { createGuardedPost } from '../../src/services/guarded-post.ts';
import type { InventoryChange } from '../../src/services/inventory.ts';
import type { LogBatch, LogState } from '../../src/services/logs.ts';
import { createSecretBox } from '../../src/services/secret-box.ts';
import { createTargetGuard } from '../../src/services/target-guard.ts';
import { until } from '../support/app.ts';
import { startMailServer, startReceiver } from '../support/receivers.ts';

const start = Date.parse('2026-01-31T10:00:00Z');
const idOf = (n: number) => n.toString(16).padStart(64, '0');

type Figures = { cpuPercent: number | null; memoryBytes: number; memoryLimitBytes: number | null };
type Follow = {
  id: string;
  query: { q?: string; since?: string };
  send: (batch: LogBatch) => void;
  stop: () => void;
  isClosed: boolean;
};

/** A clock that stands still until it is moved; what waits runs in the order of its time. */
function createClock() {
  let now = start;
  const waiting = new Set<{ at: number; run: () => void }>();
  const clock: Clock = {
    now: () => now,
    after(ms, run) {
      const one = { at: now + ms, run };
      waiting.add(one);
      return () => void waiting.delete(one);
    },
  };
  /** Moves on in steps of a second, and lets what was begun come to an end at each. */
  async function pass(seconds: number) {
    for (const end = now + seconds * 1_000; now < end; ) {
      now = Math.min(now + 1_000, end);
      for (const one of [...waiting].filter(({ at }) => at <= now).sort((a, b) => a.at - b.at)) {
        if (waiting.delete(one)) one.run();
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
  return { clock, pass };
}

/** What happens around the alerts, in the test's own hands. */
function createWorld() {
  const containers = new Map<string, Container>();
  const figures = new Map<string, Figures>();
  const follows: Follow[] = [];
  const notes: HistoryEvent[] = [];
  const lines = new Map<string, { at: string; text: string }[]>();
  const events = new Set<(event: HistoryEvent) => void>();
  const changes = new Set<(change: InventoryChange) => void>();
  const ticks = new Set<(ids: readonly string[]) => void>();
  const add =
    <T>(set: Set<T>) =>
    (listener: T) => {
      set.add(listener);
      return () => void set.delete(listener);
    };
  const world = {
    disk: { usedPercent: 10, freeBytes: 1e9 } as DiskUse,
    looks: 0,
    limits: new Map<string, number | null>(),
    past: [] as HistoryEvent[],
  };

  function change(ids: readonly string[], started: readonly string[] = []) {
    const none = new Set<string>();
    const all = { removed: none, touched: none, images: false, engine: false };
    for (const listener of changes) listener({ ...all, changed: new Set(ids), started: new Set(started) });
  }

  function put(name: string, fields: Partial<Container> = {}, n = containers.size + 1) {
    const id = idOf(n);
    const item = { Id: id, Names: [`/${name}`], Image: 'lab/web:1', ImageID: 'x', State: 'running', Status: 'Up' };
    containers.set(id, { ...toContainer({ ...item, Created: start / 1_000 } as never, start), ...fields });
    change([id], [id]);
    return id;
  }

  const die = (name: string, at: number, details: HistoryEvent['details'] = {}, n = 1): HistoryEvent => {
    const base = { type: 'container', action: 'die', former: '', trouble: 'died' } as const;
    const event = { ...base, at: at * 1_000, subject: idOf(n), name, timeline: name };
    return { ...event, details: { exitCode: 3, image: 'lab/web:1', ...details } };
  };

  return Object.assign(world, {
    containers,
    figures,
    follows,
    notes,
    lines,
    put,
    change,
    die,
    tell: (event: HistoryEvent) => {
      for (const listener of events) listener(event);
    },
    sample: () => {
      for (const listener of ticks) listener([...containers.keys()]);
    },
    options: {
      history: { onEvent: add(events), list: async () => world.past as never },
      inventory: {
        containers: () => [...containers.values()],
        container: (id: string) => containers.get(id),
        engine: () => ({ status: 'connected', cpus: 4 }) as never,
        onChange: add(changes),
      },
      stats: { onTick: add(ticks), latest: (id: string) => figures.get(id) as never },
      logs: {
        follow(id: string, query: Follow['query'], send: Follow['send'], tell: (state: LogState) => void = () => {}) {
          const follow: Follow = { id, query, send, stop: () => tell('stopped'), isClosed: false };
          follows.push(follow);
          return {
            close: () => {
              follow.isClosed = true;
            },
          };
        },
      },
      cpuLimit: (id: string) => world.limits.get(id),
      disk: async () => {
        world.looks += 1;
        return world.disk;
      },
      lastLines: async (id: string) => lines.get(id) ?? [],
      note: (event: HistoryEvent) => void notes.push(event),
    },
  });
}

type Setting = {
  world?: ReturnType<typeof createWorld>;
  dataDir?: string;
  smtp?: SmtpServer;
  secretKey?: string;
  hasFigures?: boolean;
};

async function open(t: Test, setting: Setting = {}) {
  const { world = createWorld(), dataDir: kept, smtp, secretKey = '', hasFigures = true } = setting;
  const dataDir = kept ?? mkdtempSync(join(tmpdir(), 'fairlead-alerts-'));
  const database: Database = await openDatabase(dataDir);
  const { clock, pass } = createClock();
  const logged: string[] = [];
  const secretBox = createSecretBox({ dataDir, secretKey });
  const opened = { count: 0 };
  const guard = createTargetGuard({ privateTargets: true });
  const mailer = smtp ? createMailer(smtp, 'fairlead@example.org') : null;
  const options: AlertOptions = {
    ...(world.options as unknown as AlertOptions),
    database,
    secretBox: {
      ...secretBox,
      open(...args) {
        opened.count += 1;
        return secretBox.open(...args);
      },
    },
    sender: createAlertSender({ guard, post: createGuardedPost(guard), mailer }),
    words: createAlertTexts('https://docker.example'),
    hasFigures,
    maxGapMs: 60_000,
    clock,
    log: { warn: (details, message) => void logged.push(JSON.stringify(details) + message) },
  };
  const alerts = await createAlerts(options);
  await alerts.start();
  async function close() {
    await alerts.close();
    await database.close();
  }
  let isClosed = false;
  const closeOnce = async () => {
    if (!isClosed) await close();
    isClosed = true;
  };
  t.teardown(async () => {
    await closeOnce();
    if (kept === undefined) rmSync(dataDir, { recursive: true, force: true });
  });
  /** Lets time go by until something is so. */
  const passUntil = (condition: () => boolean | Promise<boolean>, what: string) =>
    until(async () => {
      if (await condition()) return true;
      await pass(1);
      return false;
    }, what);
  const newest = async () => (await alerts.notifications({ limit: 1 }))[0];
  return { alerts, world, dataDir, database, clock, pass, passUntil, logged, opened, newest, close: closeOnce };
}

type Body = {
  event: string;
  title: string;
  text: string;
  url: string;
  more: number;
  alerts: { container: string; exitCode?: number; text: string; lastLines: string[]; count: number; line?: string }[];
};
const bodyOf = (received: { body: unknown } | undefined) => received?.body as Body;

t.test('a death reaches a webhook, in words and as data, and so does its end', async (t) => {
  const receiver = await startReceiver(t);
  const { alerts, world, clock, passUntil, newest } = await open(t);
  const id = world.put('web', { project: 'shop', service: 'web' });
  world.lines.set(id, [
    { at: new Date(start - 2_000).toISOString(), text: 'starting' },
    { at: new Date(start - 1_000).toISOString(), text: '\u001b[31mpanic\u001b[0m: password=hunter2' },
    { at: new Date(start + 60_000).toISOString(), text: 'started again' },
  ]);
  const channel = await alerts.addChannel({
    kind: 'webhook',
    url: `${receiver.url}/hook?key=s3cret`,
    token: 'T0K',
    lines: 2,
  });
  await alerts.addRule({ kind: 'died', name: 'Deaths', channels: [channel.id], tellResolved: true });
  world.tell(world.die('web', clock.now(), { project: 'shop', service: 'web' }));
  await passUntil(() => receiver.got.length > 0, 'it is sent');
  const [sent] = receiver.got;
  t.match(sent, { path: '/hook?key=s3cret', headers: { authorization: 'Bearer T0K' } });
  const body = bodyOf(sent);
  t.match(body, { event: 'firing', title: 'Alert: web ended with code 3.', more: 0 });
  t.equal(body.url, 'https://docker.example/containers/web/timeline');
  t.match(body.text, /Ended by itself, with an error code of its own\.\nproject shop, service web, image lab\/web:1/);
  t.match(body.text, /31 Jan 2026, 10:00:00 UTC/);
  t.match(body.alerts[0], { container: 'web', exitCode: 3, lastLines: ['starting', 'panic: password=••••••••'] });
  t.match(world.notes[0], { type: 'alert', action: 'firing', timeline: 'web', details: { message: 'Deaths' } });
  await passUntil(() => receiver.got.length > 1, 'its end');
  t.match(bodyOf(receiver.got[1]), { event: 'resolved', title: 'Over: web runs again.' });
  await passUntil(async () => (await newest())?.state === 'sent', 'that is written down');
  t.match(await newest(), { attempts: 1, result: 'The target took it (204).' });
  t.same(alerts.firing(), []);
});

t.test('deaths within the pause are told with the end, where that is told', async (t) => {
  const receiver = await startReceiver(t);
  const { alerts, world, clock, passUntil } = await open(t);
  world.put('web');
  const channel = await alerts.addChannel({ kind: 'webhook', url: receiver.url });
  await alerts.addRule({ kind: 'died', channels: [channel.id], tellResolved: true });
  world.tell(world.die('web', clock.now()));
  await passUntil(() => receiver.got.length > 0, 'the first');
  for (let n = 0; n < 2; n++) world.tell(world.die('web', clock.now()));
  await passUntil(() => receiver.got.length > 1, 'the end');
  const body = bodyOf(receiver.got[1]);
  t.match(body, { event: 'resolved', title: 'Over: web runs again.', alerts: [{ count: 2 }] });
  t.match(body.text, /^web runs again\. Before that it happened 2 more times\./);
});

t.test('fifty that die at once are one notification', async (t) => {
  const receiver = await startReceiver(t);
  const { alerts, world, clock, pass, passUntil } = await open(t);
  const channel = await alerts.addChannel({ kind: 'webhook', url: receiver.url });
  await alerts.addRule({ kind: 'died', channels: [channel.id] });
  for (let n = 0; n < 50; n++) world.tell(world.die(`web-${n}`, clock.now(), {}, n + 1));
  await passUntil(() => receiver.got.length > 0, 'it is sent');
  const body = bodyOf(receiver.got[0]);
  t.equal(body.alerts.length, 10);
  t.equal(body.more, 40);
  t.match(body.title, /A container died: 50 containers/);
  t.match(body.text, /… and 40 more\./);
  for (let n = 50; n < 60; n++) world.tell(world.die(`web-${n}`, clock.now(), {}, n + 1));
  await pass(30);
  t.equal(receiver.got.length, 1, 'the next ones wait for a minute');
  await passUntil(() => receiver.got.length > 1, 'and are told together');
  t.equal(bodyOf(receiver.got[1]).alerts.length, 10);
  await pass(90);
  t.equal(receiver.got.length, 2);
  t.equal(alerts.firing().length, 0, 'they are gone');
});

t.test('deaths that somebody asked for, old ones, and those of others are none', async (t) => {
  const { alerts, world, clock, pass } = await open(t);
  await alerts.addRule({ kind: 'died', containers: 'web' });
  await alerts.addRule({ kind: 'restarts', deaths: 2, containers: 'web' });
  for (let n = 0; n < 3; n++) {
    world.tell({ ...world.die('web', clock.now(), { doing: 'stop', actor: 'x' }), trouble: '' });
    world.tell({ ...world.die('web', clock.now(), { killedBy: '9' }), trouble: '' });
    world.tell(world.die('db', clock.now()));
    world.tell(world.die('web', clock.now() - 3_700_000));
  }
  await pass(10);
  t.same(alerts.firing(), []);
});

t.test('a restart loop, also one that began before the start', async (t) => {
  const world = createWorld();
  world.past = [world.die('web', start - 20_000), world.die('web', start - 60_000)];
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-alerts-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const first = await open(t, { world, dataDir });
  await first.alerts.addRule({ kind: 'restarts', deaths: 3, withinMinutes: 5 });
  await first.close();
  const second = await open(t, { world, dataDir });
  world.tell(world.die('web', second.clock.now() + 1_000, { exitCode: 0 }));
  t.match(second.alerts.firing()[0]?.state.facts, { kind: 'restarts', deaths: 3, exitCode: 0 });
});

t.test('health, CPU, memory and disk over their bounds for their times', async (t) => {
  const { alerts, world, pass } = await open(t);
  const id = world.put('web', { health: 'unhealthy' });
  await alerts.addRule({ kind: 'unhealthy', forMinutes: 0.5 });
  await alerts.addRule({ kind: 'cpu', bound: 50, forMinutes: 0.5 });
  await alerts.addRule({ kind: 'cpu', bound: 50, unit: 'machine', forMinutes: 0 });
  await alerts.addRule({ kind: 'memory', bound: 80, forMinutes: 0 });
  await alerts.addRule({ kind: 'memory', bound: 100, unit: 'megabytes', forMinutes: 0 });
  await alerts.addRule({ kind: 'disk', bound: 90, forMinutes: 0.5 });
  await alerts.addRule({ kind: 'cpu', bound: 90, unit: 'limit', forMinutes: 0 });
  const firing = () =>
    alerts
      .firing()
      .map(({ rule }) => rule.id)
      .sort();
  world.figures.set(id, { cpuPercent: 150, memoryBytes: 85e6, memoryLimitBytes: 100e6 });
  world.sample();
  await pass(10);
  world.sample();
  t.same(firing(), [4], 'the others are not yet so for long enough, or not over');
  await pass(25);
  world.sample();
  t.same(firing(), [1, 2, 4], 'for half a minute');
  world.figures.set(id, { cpuPercent: null, memoryBytes: 120e6, memoryLimitBytes: null });
  world.sample();
  t.same(firing(), [1, 2, 5], 'a figure that is missing changes nothing; without a limit nothing is near of it');
  world.figures.set(id, { cpuPercent: 250, memoryBytes: 1, memoryLimitBytes: null });
  world.sample();
  t.same(firing(), [1, 2, 3], '250% of a core is 62.5% of four');
  world.limits.set(id, 2.5);
  world.sample();
  t.same(firing(), [1, 2, 3, 7], 'and all of a limit of two and a half');
  world.limits.set(id, null);
  world.sample();
  t.same(firing(), [1, 2, 3], 'without a limit nothing is near of it');
  world.disk = { usedPercent: 91, freeBytes: 5e9 };
  await pass(40);
  t.notOk(firing().includes(6), 'not yet for long enough');
  await pass(30);
  t.ok(firing().includes(6), 'looked at once a minute');
  t.ok(world.looks <= 4, `${world.looks} looks`);
  world.containers.set(id, { ...(world.containers.get(id) as Container), state: 'exited', health: null });
  world.change([id]);
  await pass(6);
  t.same(firing(), [6], 'one that has stopped is neither unhealthy nor busy');
});

t.test('a line that matches: of the containers that a rule names, over recreations, from their start', async (t) => {
  const { alerts, world, pass } = await open(t);
  world.put('web');
  world.put('db');
  await alerts.addRule({ kind: 'log', pattern: 'panic', containers: 'web' });
  t.same(
    world.follows.map(({ id, query }) => [id, query.q, query.since]),
    [[idOf(1), 'panic', undefined]],
  );
  const line = { at: '', cursor: '', stream: 'stderr', text: 'a \u001b[1mpanic\u001b[0m', container: idOf(1) } as const;
  world.follows[0]?.send({ lines: [line, line], gap: { lines: 40 } });
  t.match(alerts.firing()[0]?.state, { count: 42, facts: { text: 'a panic', stream: 'stderr' } });
  world.put('web', {}, 9);
  t.match(world.follows[1], { id: idOf(9), query: { since: /^17\d{17}\./ } }, 'a new one from its start');
  world.containers.delete(idOf(1));
  world.change([idOf(2)]);
  t.equal(world.follows[0]?.isClosed, true, 'what is gone is not followed');
  await alerts.changeRule(1, { name: 'Renamed', pattern: 'panic', containers: 'web' });
  t.equal(world.follows[1]?.isClosed, false, 'another name is no other search');
  await alerts.changeRule(1, { pattern: 'fatal', containers: 'web' });
  t.equal(world.follows[1]?.isClosed, true);
  t.match(world.follows[2]?.query.q, 'fatal');
  world.follows[2]?.stop();
  t.same(alerts.logStatus(), { followed: 0, left: 0, stopped: [1] }, 'a search that took too long is told');
  await alerts.switchRule(1, false);
  t.ok(
    world.follows.every(({ isClosed }) => isClosed),
    'a rule that is off follows nothing',
  );
  await alerts.switchRule(1, true);
  for (let n = 100; n < 180; n++) world.put(`web`, {}, n);
  t.same(alerts.logStatus(), { followed: 50, left: 31, stopped: [] }, 'so many at most, and that is said');
  await pass(1);
});

t.test('a notification is tried again, ever more slowly, until it is given up', async (t) => {
  const receiver = await startReceiver(t);
  const { alerts, world, clock, pass, passUntil, newest } = await open(t);
  const channel = await alerts.addChannel({ kind: 'webhook', url: receiver.url });
  await alerts.addRule({ kind: 'died', channels: [channel.id] });
  receiver.answer(500, 429, 204);
  world.tell(world.die('web', clock.now()));
  await passUntil(async () => (await newest())?.attempts === 1, 'the first attempt');
  t.match(await newest(), { state: 'waiting', result: 'The target refused it (500).' });
  await pass(8);
  t.equal(receiver.got.length, 1, 'not at once');
  await passUntil(async () => (await newest())?.state === 'sent', 'the third');
  t.equal((await newest())?.attempts, 3);
  t.same(new Set(receiver.got.map(({ body }) => body.id)), new Set([1]), 'each with the same number');

  receiver.answer(404);
  world.tell(world.die('other', clock.now(), {}, 2));
  await passUntil(async () => (await newest())?.state === 'failed', 'a refusal for good');
  t.match(await newest(), { attempts: 1, result: 'The target refused it (404).' });
  receiver.answer(302);
  world.tell(world.die('third', clock.now(), {}, 3));
  await passUntil(async () => /redirect \(302\)/.test((await newest())?.result ?? ''), 'a redirect');
  t.equal((await newest())?.state, 'failed');
});

t.test('what cannot be reached is told in the same words, whatever the reason', async (t) => {
  const { alerts, logged } = await open(t);
  const closedPort = await alerts.addChannel({ kind: 'webhook', url: 'http://127.0.0.1:9/s3cret' });
  const noTls = await startMailServer(t);
  const spoken = await alerts.addChannel({ kind: 'webhook', url: `https://127.0.0.1:${noTls.port}/s3cret` });
  const results = [await alerts.testChannel(closedPort.id), await alerts.testChannel(spoken.id)];
  t.equal(results[0]?.result, 'The target could not be reached, or did not answer in time.');
  t.equal(results[1]?.result, results[0]?.result);
  t.same(
    results.map(({ state }) => state),
    ['failed', 'failed'],
    'a test is tried once',
  );
  t.notMatch(logged.join('\n'), /s3cret|127\.0\.0\.1/, 'and nothing of the address is logged');
});

t.test('the end of the program loses nothing', async (t) => {
  const receiver = await startReceiver(t);
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-alerts-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const first = await open(t, { dataDir });
  const channel = await first.alerts.addChannel({ kind: 'webhook', url: receiver.url });
  await first.alerts.addRule({ kind: 'died', channels: [channel.id] });
  const release = receiver.hold();
  first.world.tell(first.world.die('web', first.clock.now()));
  await first.passUntil(() => receiver.got.length === 1, 'it is on its way');
  first.world.tell(first.world.die('db', first.clock.now(), {}, 2));
  await first.close();
  t.pass('it ends, though no answer came');
  release();
  const second = await open(t, { dataDir });
  await second.passUntil(async () => {
    const all = await second.alerts.notifications({ limit: 10 });
    return all.length === 2 && all.every(({ state }) => state === 'sent');
  }, 'both are sent');
  t.same(
    receiver.got.map(({ body }) => [body.id, bodyOf({ body }).alerts[0]?.container]),
    [
      [1, 'web'],
      [1, 'web'],
      [2, 'db'],
    ],
    'the one whose answer nobody saw came twice, with one number: at least once',
  );
  t.equal(second.alerts.firing().length, 2, 'and what fires fires on');
  await second.pass(5);
  t.equal(receiver.got.length, 3);
});

t.test('a death that was kept, and not told before the program was killed, is told after its start', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-alerts-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const first = await open(t, { dataDir });
  await first.alerts.addRule({ kind: 'died' });
  await first.alerts.addRule({ kind: 'restarts', deaths: 2 });
  await first.pass(2);
  const known = first.world.die('web', first.clock.now());
  first.world.tell(known);
  await first.close();
  const world = createWorld();
  world.past = [world.die('db', start + 2_500, {}, 2), known];
  for (const when of ['after the kill', 'after another start']) {
    const { alerts, close } = await open(t, { dataDir, world });
    t.same(
      alerts
        .firing()
        .map(({ rule, state }) => [rule.watch.kind, state.subject.name, state.count])
        .sort(),
      [
        ['died', 'db', 1],
        ['died', 'web', 1],
      ],
      when,
    );
    await close();
  }
});

t.test('without figures nothing that fired on them fires on', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-alerts-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const first = await open(t, { dataDir });
  const id = first.world.put('web');
  await first.alerts.addRule({ kind: 'cpu', bound: 50, forMinutes: 0 });
  first.world.figures.set(id, { cpuPercent: 150, memoryBytes: 1, memoryLimitBytes: null });
  first.world.sample();
  t.equal(first.alerts.firing().length, 1);
  await first.close();
  const second = await open(t, { dataDir, hasFigures: false });
  t.same(second.alerts.firing(), []);
});

t.test('a log that never rests is written down every ten seconds, and opens no secret', async (t) => {
  const { alerts, world, database, opened, pass } = await open(t);
  await alerts.addChannel({ kind: 'webhook', url: 'http://127.0.0.1:9/' });
  world.put('web');
  await alerts.addRule({ kind: 'log', pattern: 'x' });
  await sql`create table writes (at integer)`.execute(database.db);
  await sql`create trigger written after update on alert_states begin insert into writes values (1); end`.execute(
    database.db,
  );
  const line = { at: '', cursor: '', stream: 'stderr', text: 'x', container: idOf(1) } as const;
  let changes = 0;
  alerts.onChange(() => {
    changes += 1;
  });
  world.follows[0]?.send({ lines: [line] });
  await pass(2);
  t.equal(changes, 1, 'its begin at once');
  opened.count = 0;
  for (let second = 0; second < 60; second++) {
    world.follows[0]?.send({ lines: [line] });
    await pass(1);
    t.equal(alerts.channels()[0]?.isLost, false);
  }
  const { count } = await database.db
    .selectFrom('writes' as 'alert_states')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  t.ok(count >= 4 && count <= 8, `${count} writes`);
  t.ok(changes <= 10, `${changes} changes`);
  t.equal(opened.count, 0);
});

t.test('where a result can not be written down, nothing is sent again meanwhile', async (t) => {
  const receiver = await startReceiver(t);
  const { alerts, database, world, clock, pass, passUntil, newest } = await open(t);
  const channel = await alerts.addChannel({ kind: 'webhook', url: receiver.url });
  await alerts.addRule({ kind: 'died', channels: [channel.id] });
  await sql`create trigger full before update on alert_notifications begin select raise(abort, 'disk full'); end`.execute(
    database.db,
  );
  world.tell(world.die('web', clock.now()));
  await passUntil(() => receiver.got.length > 0, 'it is sent');
  world.tell(world.die('db', clock.now(), {}, 2));
  await pass(90);
  t.equal(receiver.got.length, 1);
  await sql`drop trigger full`.execute(database.db);
  await passUntil(() => receiver.got.length > 1, 'the next one');
  await passUntil(async () => (await newest())?.state === 'sent', 'all is written down');
  t.same(
    receiver.got.map(({ body }) => body.id),
    [1, 2],
  );
});

t.test('what can not be put into the outbox is told when it can', async (t) => {
  const receiver = await startReceiver(t);
  const { alerts, database, world, clock, pass, passUntil } = await open(t);
  const channel = await alerts.addChannel({ kind: 'webhook', url: receiver.url });
  await alerts.addRule({ kind: 'died', channels: [channel.id] });
  await sql`create trigger full before insert on alert_notifications begin select raise(abort, 'disk full'); end`.execute(
    database.db,
  );
  world.tell(world.die('web', clock.now()));
  await pass(10);
  t.same(world.notes, [], 'nothing says that it was told');
  await sql`drop trigger full`.execute(database.db);
  await passUntil(() => receiver.got.length > 0, 'it is told');
  t.equal(world.notes.length, 1);
});

t.test('a disk that hangs holds up no other rule', async (t) => {
  const world = createWorld();
  world.options.disk = () => new Promise<never>(() => {});
  const { alerts, pass } = await open(t, { world });
  await alerts.addRule({ kind: 'disk', bound: 1 });
  await alerts.addRule({ kind: 'unhealthy', forMinutes: 0.5 });
  world.put('web', { health: 'unhealthy' });
  await pass(40);
  t.same(
    alerts.firing().map(({ rule }) => rule.watch.kind),
    ['unhealthy'],
  );
});

t.test('mails go to the server of the settings, whatever containers are called', async (t) => {
  const server = await startMailServer(t, { login: 'user:pass' });
  const smtp = { host: '127.0.0.1', port: server.port, tls: 'off', user: 'user', password: 'pass' } as const;
  const { alerts, world, clock, passUntil } = await open(t, { smtp });
  const channel = await alerts.addChannel({ kind: 'email', recipients: 'ops@example.org, dev@example.org' });
  await alerts.addRule({ kind: 'died', name: 'X\r\nBcc: all@example.org', channels: [channel.id] });
  world.tell(world.die('web\r\nBcc: evil@example.org\r\n\r\n<b>', clock.now(), { image: 'a\r\n.\r\nRCPT TO:<x@y>' }));
  await passUntil(() => server.mails.length > 0, 'it is sent');
  const [mail] = server.mails;
  t.same(mail?.to, ['ops@example.org', 'dev@example.org'], 'to nobody else');
  t.equal(mail?.from, 'fairlead@example.org');
  const [head = '', ...text] = (mail?.data ?? '').split('\r\n\r\n');
  t.notMatch(head, /^Bcc:/m);
  t.match(head, /^Subject: Alert: web Bcc: evil@example\.org <b> ended with code 3/m);
  t.match(head, /^Message-ID: <alert-1@example\.org>/im, 'the same each time that it is sent');
  t.match(head, /^Auto-Submitted: auto-generated/m);
  t.match(head, /^Content-Type: text\/plain/m);
  t.match(text.join('\n'), /ended with code 3/);
  t.equal(server.mails.length, 1);
  t.same(server.logins, ['user:pass']);
});

t.test('a mail server that refuses, is silent or speaks no TLS is told apart', async (t) => {
  const refusing = await startMailServer(t, { refuse: 'nobody@example.org' });
  const at = (port: number, more: Partial<SmtpServer> = {}): SmtpServer => ({
    host: '127.0.0.1',
    port,
    tls: 'off',
    ...more,
  });
  const testOf = async (smtp: SmtpServer) => {
    const { alerts } = await open(t, { smtp });
    const channel = await alerts.addChannel({ kind: 'email', recipients: 'nobody@example.org' });
    return (await alerts.testChannel(channel.id)).result;
  };
  t.equal(await testOf(at(refusing.port)), 'The mail server refused the mail (550).');
  t.equal(await testOf(at(refusing.port, { tls: 'starttls' })), 'The mail server did not begin TLS as it has to.');
  t.equal(await testOf(at(9)), 'The mail server could not be reached.');
  const half = await open(t, { smtp: at(refusing.port) });
  await half.alerts.addChannel({ kind: 'email', recipients: 'nobody@example.org, ops@example.org' });
  t.match((await half.alerts.testChannel(1)).result, /took it, but not for 1 of 2 recipients/);
  const strict = await startMailServer(t, { login: 'a:b' });
  t.match(await testOf(at(strict.port, { user: 'a', password: 'wrong' })), /refused the login/);

  const final = await open(t, { smtp: at(strict.port, { user: 'a', password: 'wrong' }) });
  const busy = await startMailServer(t, { login: 'a:b', busy: 1 });
  const later = await open(t, { smtp: at(busy.port, { user: 'a', password: 'b' }) });
  for (const { alerts, world, clock } of [final, later]) {
    await alerts.addChannel({ kind: 'email', recipients: 'a@example.org' });
    await alerts.addRule({ kind: 'died', channels: [1] });
    world.tell(world.die('web', clock.now()));
  }
  await later.passUntil(async () => (await later.newest())?.attempts === 1, 'it is tried');
  t.match(await later.newest(), { state: 'waiting', result: 'The mail server refused the login (454).' });
  await later.passUntil(() => busy.mails.length === 1, 'a login that fails for a while is tried again');
  await final.passUntil(async () => (await final.newest())?.state === 'failed', 'one that is refused is not');
  t.match(await final.newest(), { attempts: 1, result: 'The mail server refused the login (535).' });

  const silent = await startMailServer(t, { isSilent: true });
  const { alerts, world, clock, passUntil, close } = await open(t, { smtp: at(silent.port) });
  const channel = await alerts.addChannel({ kind: 'email', recipients: 'a@example.org' });
  await alerts.addRule({ kind: 'died', channels: [channel.id] });
  world.tell(world.die('web', clock.now()));
  await passUntil(() => silent.connections() > 0, 'it is connected');
  await close();
  await until(() => silent.connections() === 0, 'the connection ends with the program');
});

t.test('who may be mailed to is checked', async (t) => {
  const { alerts } = await open(t, { smtp: { host: '127.0.0.1', port: 9, tls: 'off' } });
  const wrong = ['', 'nobody', 'a@b\r\nBcc: c@d', '"a b"@c', 'a@b<c@d>', 'a@-b', '@b', Array(11).fill('a@b').join()];
  for (const recipients of wrong) {
    await t.rejects(alerts.addChannel({ kind: 'email', recipients }), { code: 'invalid' }, JSON.stringify(recipients));
  }
  const none = await open(t);
  await t.rejects(none.alerts.addChannel({ kind: 'email', recipients: 'a@b.example' }), /SMTP_URL/);
});

t.test('ntfy gets its topic, priority and token', async (t) => {
  const receiver = await startReceiver(t);
  const { alerts, world, clock, passUntil } = await open(t);
  const ntfy = { kind: 'ntfy', url: receiver.url, topic: 'ops_1', token: 'tk_1', priority: 5 };
  const channel = await alerts.addChannel(ntfy);
  await alerts.addRule({ kind: 'died', channels: [channel.id], tellResolved: true });
  world.tell(world.die('web', clock.now()));
  await passUntil(() => receiver.got.length > 1, 'it is sent, and its end');
  const [firing, resolved] = receiver.got;
  t.match(firing, { path: '/', headers: { authorization: 'Bearer tk_1' }, body: { topic: 'ops_1', priority: 5 } });
  t.match(firing?.body, { title: 'Alert: web ended with code 3.', click: /\/containers\/web\/timeline$/ });
  t.match(resolved?.body, { priority: 3 });
  await t.rejects(alerts.addChannel({ ...ntfy, topic: 'a/b' }), /^topic: /);
  for (const url of [`${receiver.url}/ops_1`, `${receiver.url}/?x=1`]) {
    await t.rejects(alerts.addChannel({ ...ntfy, url }), /^url: must be a server alone.*the topic has its own field/);
  }
  await t.rejects(alerts.addChannel({ ...ntfy, priority: 6 }), /^priority: /);
  await t.rejects(alerts.addChannel({ ...ntfy, token: 'a\r\nX: y' }), /^token: /);
});

t.test('secrets stay until they are changed, and a token never goes to another host', async (t) => {
  const one = await startReceiver(t);
  const two = await startReceiver(t);
  const { alerts, dataDir, database, pass } = await open(t);
  const { id } = await alerts.addChannel({ kind: 'webhook', url: `${one.url}/s3cretpath`, token: 'T0KEN' });
  const test = async () => {
    await pass(6);
    await alerts.testChannel(id);
  };
  await alerts.changeChannel(id, { name: 'Renamed', url: '', token: '' });
  await test();
  t.match(one.got[0], { path: '/s3cretpath', headers: { authorization: 'Bearer T0KEN' } });
  await alerts.changeChannel(id, { url: `${one.url}/other` });
  await test();
  t.match(one.got[1], { path: '/other', headers: { authorization: 'Bearer T0KEN' } }, 'the same host');
  await alerts.changeChannel(id, { url: two.url });
  await test();
  t.equal(two.got[0]?.headers.authorization, undefined);
  await alerts.changeChannel(id, { url: `${one.url}/x`, token: 'again' });
  await alerts.changeChannel(id, { clearToken: true });
  t.equal(alerts.channel(id).hasToken, false);
  t.notMatch(JSON.stringify(alerts.channels()), /s3cretpath|T0KEN|again/);
  await database.close();
  for (const file of ['fairlead.db']) {
    t.notMatch(readFileSync(join(dataDir, file), 'latin1'), /s3cretpath|T0KEN/, 'nor in the database');
  }
});

t.test('with another key a channel asks for its secret anew', async (t) => {
  const receiver = await startReceiver(t);
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-alerts-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const first = await open(t, { dataDir, secretKey: 'a'.repeat(32) });
  const { id } = await first.alerts.addChannel({ kind: 'webhook', url: receiver.url });
  await first.close();
  const { alerts, pass } = await open(t, { dataDir, secretKey: 'b'.repeat(32) });
  t.equal(alerts.channel(id).isLost, true);
  t.match(await alerts.testChannel(id), { state: 'failed', result: /key that it was sealed with is gone/ });
  await t.rejects(alerts.changeChannel(id, { name: 'x' }), /^url: /);
  await alerts.changeChannel(id, { url: receiver.url });
  t.equal(alerts.channel(id).isLost, false);
  await pass(6);
  t.equal((await alerts.testChannel(id)).state, 'sent');
});

t.test('a key that can not be read for now loses nothing', async (t) => {
  const receiver = await startReceiver(t);
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-alerts-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const first = await open(t, { dataDir });
  await first.alerts.addChannel({ kind: 'webhook', url: receiver.url });
  await first.alerts.addRule({ kind: 'died', channels: [1] });
  await first.close();
  const path = join(dataDir, 'secret.key');
  const key = readFileSync(path);
  writeFileSync(path, 'half');
  const { alerts, world, clock, passUntil, newest } = await open(t, { dataDir });
  t.equal(alerts.channel(1).isLost, false, 'nobody is asked to enter anything anew');
  world.tell(world.die('web', clock.now()));
  await passUntil(async () => (await newest())?.attempts === 1, 'it is tried');
  t.match(await newest(), { state: 'waiting', result: /^The key of its address could not be read/ });
  await t.rejects(alerts.changeChannel(1, { name: 'x' }), { code: 'internal' });
  writeFileSync(path, key);
  await passUntil(() => receiver.got.length === 1, 'it is sent when the key is there again');
});

t.test('tests are few at a time, and a sample goes to each channel of a rule', async (t) => {
  const receiver = await startReceiver(t);
  const { alerts, pass } = await open(t);
  const a = await alerts.addChannel({ kind: 'webhook', url: `${receiver.url}/a` });
  const b = await alerts.addChannel({ kind: 'webhook', url: `${receiver.url}/b` });
  const rule = await alerts.addRule({ kind: 'died', name: 'Deaths', channels: [a.id, b.id] });
  t.same(
    (await alerts.testRule(rule.id)).map(({ state }) => state),
    ['sent', 'sent'],
  );
  t.same(receiver.got.map(({ path }) => path).sort(), ['/a', '/b']);
  t.match(bodyOf(receiver.got[0]).title, 'Test of the alert rule Deaths');
  t.match(bodyOf(receiver.got[0]), { text: /^This is a test/, alerts: [{ container: 'example', exitCode: 1 }] });
  await t.rejects(alerts.testChannel(a.id), { code: 'rate_limited' });
  for (let n = 0; n < 9; n++) {
    await pass(6);
    await alerts.testChannel(a.id);
    await alerts.testChannel(b.id);
  }
  await pass(6);
  await t.rejects(alerts.testChannel(a.id), { code: 'rate_limited' }, 'twenty in a minute');
  await t.rejects(alerts.testChannel(77), { code: 'not_found' });
});

t.test('a channel that is removed takes its notifications along, a rule what fires', async (t) => {
  const receiver = await startReceiver(t);
  const { alerts, world, clock, passUntil, newest } = await open(t);
  const channel = await alerts.addChannel({ kind: 'webhook', url: receiver.url });
  const rule = await alerts.addRule({ kind: 'died', channels: [channel.id] });
  receiver.answer(500);
  world.tell(world.die('web', clock.now()));
  await passUntil(async () => (await newest())?.attempts === 1, 'it waits');
  await alerts.removeChannel(channel.id);
  t.match(await newest(), { state: 'failed', result: 'The channel was removed.' });
  t.same(alerts.rule(rule.id).channels, []);
  await t.rejects(alerts.addRule({ kind: 'died', channels: [channel.id] }), /^channels: there is no channel 1/);
  t.equal(alerts.firing().length, 1);
  await alerts.removeRule(rule.id);
  t.same(alerts.firing(), []);
  t.throws(() => alerts.rule(rule.id), { code: 'not_found' });
});

t.test('more than a thousand waiting notifications of a channel are not kept, and that is said', async (t) => {
  const { alerts, database, world, clock, passUntil, newest } = await open(t);
  const channel = await alerts.addChannel({ kind: 'webhook', url: 'http://127.0.0.1:9/' });
  await alerts.addRule({ kind: 'died', channels: [channel.id] });
  const row = {
    rule: 'x',
    channel: channel.id,
    channel_name: 'x',
    content: '{}',
    state: 'waiting',
    attempts: 1,
    due_at: start + 3_000_000,
    created_at: start,
    finished_at: null,
    result: '',
  };
  await database.db.insertInto('alert_notifications').values(Array(1_000).fill(row)).execute();
  world.tell(world.die('web', clock.now()));
  await passUntil(async () => (await newest())?.rule === 'A container died', 'it is there');
  t.match(await newest(), { state: 'failed', result: /1,000 notifications are waiting for this channel already/ });
});
