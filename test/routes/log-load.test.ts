import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import type { SimulatedEngine } from '../simulated/engine.ts';
import { startApp, until } from '../support/app.ts';
import { heldBytes } from '../support/heap.ts';
import { numberedLine, openLogReader } from '../support/log-reader.ts';

const projects = 5;
const containers = 50;
const viewers = 20;
const perSecond = 100;
const seconds = 10;
const lines = perSecond * seconds;

/** Lets each container write its lines at their pace; what is late is made up for. */
async function writeAll(engine: SimulatedEngine, names: readonly string[]): Promise<void> {
  const begun = performance.now();
  for (let written = 0; written < lines; await delay(10)) {
    const due = Math.min(lines, Math.floor(((performance.now() - begun) / 1_000) * perSecond));
    for (; written < due; written += 1) for (const name of names) engine.writeLog(name, numberedLine(written));
  }
}

t.test('50 containers at 100 lines a second, followed by 20 viewers, lose nothing', async (t) => {
  const names = Array.from({ length: containers }, (_, n) => `service-${n}`);
  const app = await startApp(t, {
    prepare: (engine) => {
      for (const [n, name] of names.entries()) {
        const labels = { 'com.docker.compose.project': `shop-${n % projects}`, 'com.docker.compose.service': name };
        engine.addContainer({ name, labels });
      }
    },
  });
  const merged = Array.from({ length: projects }, (_, n) => `logs:project:shop-${n}`);
  const single = names.slice(0, viewers - projects).map((name) => `logs:${name}`);
  const readers = [...merged, ...single].map((topic) => openLogReader(`${app.url}/live?topic=${topic}`));
  t.teardown(() => {
    for (const { socket } of readers) socket.terminate();
  });
  await Promise.all(readers.map(({ followed }) => followed));
  await until(() => app.engine.openStreams('logs').length === containers, 'each log is followed once');

  await writeAll(app.engine, names);
  const wanted = (n: number) => (n < projects ? containers / projects : 1) * lines;
  const isRead = () => readers.every((reader, n) => reader.lines() >= wanted(n) || reader.faults.length > 0);
  await until(isRead, 'everybody has read all', 30_000);
  for (const [n, { faults, counts }] of readers.entries()) {
    t.same(faults.slice(0, 3), [], `${[...merged, ...single][n]}: every line once, in order, no gap`);
    t.ok(
      counts().every((count) => count === lines),
      `${lines} lines of each`,
    );
  }
  t.equal(app.engine.openStreams('logs').length, containers, 'still by one stream each');
});

t.test('a viewer of a log of its own costs the server less than 1 MB', async (t) => {
  const names = Array.from({ length: viewers }, (_, n) => `service-${n}`);
  // What an engine keeps of a log does not grow, so that what grows is the program's.
  const app = await startApp(t, { engine: { maxLogBytes: 500_000 } });
  for (const name of names) app.engine.addContainer({ name });
  const fill = (name: string, from: number, count: number) => {
    for (let n = from; n < from + count; n++) app.engine.writeLog(name, numberedLine(n));
  };
  for (const name of names) fill(name, 0, 5_000);
  await until(async () => (await app.api<unknown[]>('/containers')).length === viewers, 'all containers');
  const before = heldBytes();
  const readers = names.map((name) => openLogReader(`${app.url}/live?topic=logs:${name}&tail=0`));
  await Promise.all(readers.map(({ followed }) => followed));
  // Hours of a log, as far as what is kept of it goes.
  for (let n = 0; n < 5_000; n += 250) {
    for (const name of names) fill(name, n, 250);
    await until(() => readers.every((reader) => reader.lines() === n + 250), `${n + 250} lines at each viewer`);
  }
  const perViewer = () => (heldBytes() - before) / viewers;
  // What is on its way through the sockets, of both sides as they are in this process, is not held for long.
  await until(() => perViewer() < 1e6, 'less than 1 MB').catch(() => {});
  t.ok(perViewer() < 1e6, `${Math.round(perViewer() / 1_000)} kB a viewer`);
  for (const { socket } of readers) socket.terminate();
});

t.test('a viewer that takes nothing costs the server less than 1 MB under a firehose', async (t) => {
  const app = await startApp(t, { engine: { maxLogBytes: 500_000 } });
  app.engine.addContainer({ name: 'loud' });
  await until(async () => (await app.api<unknown[]>('/containers')).length === 1, 'the container');
  const url = `${app.url}/live?topic=logs:loud&tail=0`;
  const reader = openLogReader(url);
  const stalled = Array.from({ length: viewers }, () => openLogReader(url));
  await Promise.all([reader, ...stalled].map(({ followed }) => followed));
  for (const { socket } of stalled) socket.pause();
  const before = heldBytes();
  let most = 0;
  for (let n = 0; n < 20; n++) {
    const from = reader.bytes();
    for (let line = 0; line < 500; line++) app.engine.writeLog('loud', `${line} ${'x'.repeat(500)}`);
    await until(() => reader.bytes() > from, 'who reads is sent a batch');
    if (n % 5 === 4) most = Math.max(most, heldBytes() - before);
  }
  t.ok(most / viewers < 1e6, `${Math.round(most / viewers / 1_000)} kB a viewer`);
  for (const { socket } of [reader, ...stalled]) socket.terminate();
});
