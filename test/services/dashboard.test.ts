import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { Problem } from '../../src/errors.ts';
import { type Container, toContainer } from '../../src/services/containers.ts';
import { toDiskFigures, toProjectDiskFigures } from '../../src/services/disk-figures.ts';
import { createDiskUsage } from '../../src/services/disk-usage.ts';
import { diskUsage } from '../../src/services/docker-shapes.ts';
import type { EngineDiskUsage } from '../../src/services/docker-types.ts';
import type { Figures } from '../../src/services/figures.ts';
import { toOverview } from '../../src/services/overview.ts';
import { createStatsTotals, type Rates, toRates } from '../../src/services/stats-totals.ts';
import { firstStep, toWindow } from '../../src/services/stats-windows.ts';

const now = Date.UTC(2026, 10, 26, 12);
const hour = 3_600_000;
const day = 24 * hour;

const figures = (more: Partial<Figures> = {}): Figures => ({
  at: now,
  cpuPercent: 10,
  memoryBytes: 100,
  memoryLimitBytes: null,
  networkRxBytes: 0,
  networkTxBytes: 0,
  blockReadBytes: 0,
  blockWriteBytes: 0,
  pids: 2,
  ...more,
});

// ── sums over containers ──

t.test('sums are of the machine and of each project, and of what is known of the CPU', async (t) => {
  const totals = createStatsTotals();
  const members = [
    { project: 'shop', figures: figures() },
    { project: 'shop', figures: figures({ cpuPercent: null, memoryBytes: 50 }) },
    { project: null, figures: figures({ cpuPercent: 150, at: now + 5 }) },
  ];
  t.match(totals.sums(members, 1_000), [
    {
      id: 'machine',
      figures: { at: now + 5, cpuPercent: 160, memoryBytes: 250, memoryLimitBytes: 1_000, pids: 6 },
    },
    {
      id: 'project:shop',
      name: 'shop',
      figures: { at: now + 5, cpuPercent: 10, memoryBytes: 150, memoryLimitBytes: null },
    },
  ]);
  t.match(totals.sums([{ project: null, figures: figures({ cpuPercent: null }) }], null), [
    { id: 'machine', figures: { cpuPercent: null } },
  ]);
  t.same(totals.sums([], 1_000), [], 'where nothing runs, nothing is summed: that is a gap, not a zero');
});

t.test('traffic is summed from sample to sample, so that who comes, goes or restarts is no leap', async (t) => {
  const totals = createStatsTotals();
  const received = (bytes: number) => figures({ networkRxBytes: bytes });
  const sum = () =>
    totals.sums([{ project: 'shop', figures: figures() }], null).map((one) => one.figures.networkRxBytes);
  totals.count('shop', undefined, received(5_000_000));
  t.same(sum(), [0, 0], 'what was before the first sample is not new');
  totals.count('shop', received(5_000_000), received(5_000_300));
  totals.count(null, received(10), received(30));
  t.same(sum(), [320, 300]);
  totals.count('shop', received(5_000_300), received(40));
  t.same(sum(), [320, 300], 'a restart, or a network that was left');
  t.same(totals.sums([{ project: 'shop', figures: undefined }], null), []);
  t.same(sum(), [320, 300], 'who is late loses nothing');
  totals.restore(new Map([['machine', figures({ networkRxBytes: 1_000 })]]));
  t.same(sum(), [1_320, 300], 'what an earlier run has counted goes on');
});

t.test('rates are bytes a second; a counter that shrank has none', async (t) => {
  const before = figures({ networkRxBytes: 100, blockReadBytes: 70 });
  const after = figures({ at: now + 10_000, networkRxBytes: 600, blockReadBytes: 60 });
  t.match(toRates(before, after), { networkRxBytes: 50, networkTxBytes: 0, blockReadBytes: null });
  t.match(toRates(before, { ...after, at: now }), { networkRxBytes: null }, 'nor has one without time');
});

const container = (name: string, more: Partial<Container> = {}): Container => ({
  ...toContainer({ Id: name, Names: [`/${name}`], State: 'running', Status: 'Up 3 minutes' }, now),
  ...more,
});

t.test('an overview counts all, sums what runs, and lists who uses most', async (t) => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'idle'];
  const all = [
    ...names.map((name) => container(name)),
    container('ill', { health: 'unhealthy' }),
    container('off', { state: 'exited' }),
  ];
  const rates: Rates = { networkRxBytes: 5, networkTxBytes: 7, blockReadBytes: null, blockWriteBytes: 1 };
  const overview = toOverview(all, {
    latest: (id) => (id === 'ill' ? undefined : figures({ cpuPercent: id === 'idle' ? 0 : names.indexOf(id) + 1 })),
    rates: (id) => (id === 'c' ? rates : undefined),
  });
  t.equal(overview.total, 9);
  t.same(overview.states, { running: 8, exited: 1 });
  t.same(overview.health, { none: 7, unhealthy: 1 }, 'of what runs');
  t.match(overview.totals, { sampled: 7, cpuPercent: 21, memoryBytes: 700, pids: 14, rates });
  t.same(
    overview.top.cpu.map((one) => [one.container.name, one.value]),
    [
      ['f', 6],
      ['e', 5],
      ['d', 4],
      ['c', 3],
      ['b', 2],
    ],
  );
  t.same(
    overview.top.network.map((one) => [one.container.name, one.value]),
    [['c', 12]],
    'nobody who uses nothing is listed',
  );
  t.same(overview.top.block, [], 'nor one of whom only a half is known');
  const nothing = toOverview([], { latest: () => undefined, rates: () => undefined });
  t.match(nothing.totals, { sampled: 0, cpuPercent: null, memoryBytes: null });
});

// ── windows ──

t.test('a span is read in the steps that its age leaves, 360 at most', async (t) => {
  const span = (from: number, to: number, interval = 10) => toWindow({ from: now - from, to: now - to }, now, interval);
  t.equal(span(hour / 2, 0).stepSeconds, 10);
  t.equal(span(hour / 2, 0, 2).stepSeconds, 5, 'finer than a whole hour, where samples are taken more often');
  t.equal(span(10 * 60_000, 0, 30).stepSeconds, 30, 'no shorter than the interval');
  t.equal(span(3 * hour, 2.9 * hour).stepSeconds, 60, 'what is older than an hour is kept by the minute');
  t.equal(span(24 * hour, 0).stepSeconds, 240);
  t.equal(span(3 * day, 3 * day - hour).stepSeconds, 900);
  t.equal(span(20 * day, 19 * day).stepSeconds, 7_200);
  t.equal(span(366 * day, 0).stepSeconds, Math.ceil((366 * 86_400) / 360));
  for (const [from, to] of [
    [hour, 0],
    [25 * hour, 60_000],
    [8 * day, day],
    [100 * day, 3 * day],
  ] as const) {
    const window = span(from, to);
    const steps = (window.to - firstStep(window)) / 1_000 / window.stepSeconds;
    t.ok(steps <= 360 && firstStep(window) >= window.from, `${steps} steps, all within`);
  }
  t.match(toWindow('7d', now, 10), { range: '7d', from: now - 7 * day, to: now, stepSeconds: 1_800 });
});

// ── the disk ──

const usage: EngineDiskUsage = {
  LayersSize: 1_000,
  Images: [
    { Id: 'used', Size: 600, SharedSize: 200, Containers: 2 },
    { Id: 'old', Size: 1, VirtualSize: 500, SharedSize: 200, Containers: 0 },
    { Id: 'unmeasured', Size: -1, SharedSize: -1, Containers: 1 },
  ],
  Containers: [
    { Id: 'a', State: 'running', SizeRw: 10 },
    { Id: 'b', State: 'exited', SizeRw: 5 },
    { Id: 'c', State: 'paused' },
  ],
  Volumes: [
    { Name: 'data', UsageData: { Size: 70, RefCount: 1 }, Labels: { 'com.docker.compose.project': 'shop' } },
    { Name: 'left', UsageData: { Size: 30, RefCount: 0 } },
    { Name: 'remote', UsageData: { Size: -1, RefCount: -1 } },
  ],
  BuildCache: [
    { ID: '1', Size: 40, InUse: true, Shared: false },
    { ID: '2', Size: 8, InUse: false, Shared: false },
    { ID: '3', Size: 900, InUse: true, Shared: true },
  ],
};

t.test('the disk is counted as docker system df counts it', async (t) => {
  t.same(toDiskFigures(usage), {
    images: { count: 3, active: 2, bytes: 1_000, reclaimableBytes: 600 },
    containers: { count: 3, active: 2, bytes: 15, reclaimableBytes: 5 },
    volumes: { count: 3, active: 2, bytes: 100, reclaimableBytes: 30 },
    buildCache: { count: 3, active: 2, bytes: 48, reclaimableBytes: 8 },
  });
  t.same(toDiskFigures({ Volumes: [] }), {
    images: null,
    containers: null,
    volumes: { count: 0, active: 0, bytes: 0, reclaimableBytes: 0 },
    buildCache: null,
  });
  t.match(toDiskFigures({ LayersSize: 10, Images: [{ Size: 50, SharedSize: 0, Containers: 1 }] }).images, {
    reclaimableBytes: 0,
  });
});

t.test('of a project are what its containers wrote, and its volumes', async (t) => {
  const project = toProjectDiskFigures(usage, 'shop', new Set(['a']));
  t.same(project, {
    images: null,
    containers: { count: 1, active: 1, bytes: 10, reclaimableBytes: 0 },
    volumes: { count: 1, active: 1, bytes: 70, reclaimableBytes: 0 },
    buildCache: null,
  });
});

t.test('what an engine tells of the disk is read field by field', async (t) => {
  t.same(diskUsage({ LayersSize: '5', Images: [7, { Size: 3, Containers: {} }], Volumes: null, Other: 1 }), {
    Images: [{ Size: 3 }],
    Volumes: [],
  });
});

function createReader() {
  const time = { now, setBack: 0 };
  const asked: PromiseWithResolvers<EngineDiskUsage>[] = [];
  const reader = createDiskUsage({
    clock: { now: () => time.now + time.setBack },
    elapsed: () => time.now,
    docker: {
      diskUsage: (signal) => {
        const answer = Promise.withResolvers<EngineDiskUsage>();
        signal.addEventListener('abort', () => answer.reject(signal.reason));
        asked.push(answer);
        return answer.promise;
      },
    },
  });
  return { reader, asked, time };
}

t.test('the disk is read when somebody looks, never twice at a time, and kept with its age', async (t) => {
  const { reader, asked, time } = createReader();
  let changes = 0;
  const stop = reader.onChange(() => changes++);
  t.equal(asked.length, 0, 'nobody has looked');
  const looks = [reader.look(), reader.look(), reader.refresh()];
  t.equal(asked.length, 1);
  t.match(reader.state(), { isReading: true, usage: null });
  time.now += 40_000;
  asked[0]?.resolve(usage);
  await Promise.all(looks);
  t.match(reader.state(), { isReading: false, readAt: now + 40_000, usage, failure: '' });
  t.ok(changes >= 2);
  await reader.look();
  t.equal(asked.length, 1, 'who only looks gets what is known');
  time.now += 1_000;
  await reader.refresh();
  t.equal(asked.length, 1, 'and who presses the button again and again, too');
  time.now += 38_000;
  await reader.refresh();
  t.equal(asked.length, 1, 'the engine rests as long as it took');
  time.now += 1_000;
  const refreshed = reader.refresh();
  t.equal(asked.length, 2);
  asked[1]?.resolve({});
  await refreshed;
  time.now += 16 * 60_000;
  void reader.look();
  t.equal(asked.length, 3, 'what is old is read anew');
  stop();
  const before = changes;
  reader.close();
  await setImmediate();
  t.equal(changes, before);
  await reader.refresh();
  t.equal(asked.length, 3, 'nobody is asked after the end');
});

t.test('the engine rests half a minute at least, and a clock that was set back is no reason to wait', async (t) => {
  const { reader, asked, time } = createReader();
  const first = reader.look();
  asked[0]?.resolve(usage);
  await first;
  time.setBack = -86_400_000;
  time.now += 29_000;
  await reader.refresh();
  t.equal(asked.length, 1);
  time.now += 1_000;
  const second = reader.refresh();
  t.equal(asked.length, 2);
  asked[1]?.resolve(usage);
  await second;
  t.equal(reader.state().readAt, time.now + time.setBack, 'its time is that of the clock');
  time.now += 15 * 60_000;
  void reader.look();
  t.equal(asked.length, 3);
});

t.test('a refusal is told, the figures before it stay, and who looks tries again after a minute', async (t) => {
  const { reader, asked, time } = createReader();
  const first = reader.look();
  asked[0]?.resolve(usage);
  await first;
  time.now += 20 * 60_000;
  const second = reader.look();
  asked[1]?.reject(new Problem('engine_error', 'Forbidden'));
  await second;
  t.match(reader.state(), { usage, readAt: now, failure: /refuses.*Forbidden.*GET \/system\/df/ });
  await reader.look();
  t.equal(asked.length, 2);
  time.now += 61_000;
  const third = reader.look();
  t.equal(asked.length, 3);
  asked[2]?.reject(new Problem('engine_timeout', 'The engine did not answer within 120 s.'));
  await third;
  t.equal(reader.state().failure, 'The engine did not answer within 120 s.');
});
