import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import t, { type Test } from 'tap';
import { launchBrowser } from '../engine/browser.ts';
import { type Engine, engineVersionsInTurn } from '../engine/engine.ts';
import { unlessMissing } from '../engine/missing.ts';
import { createSimulatedEngine, type SimulatedEngine } from '../simulated/engine.ts';
import { createRandom, runSeed } from '../support/random.ts';
import { startRoughCable } from './rough-cable.ts';
import { openTab, startFairlead, startWorld, type Tab, until } from './support.ts';

const cuts = 100;
/** Fewer do over a restart of the engine and for lines of one time: each of them is cut in one of four ways, too. */
const fewerCuts = 40;
/** A project's log takes seconds to be whole again; a hundred cuts of its socket are in merged-log-cuts.test.ts. */
const cutsOfProject = 5;
/** What a page keeps. */
const maxLines = 5_000;
const patienceMs = 120_000;

/** Writes bursts of numbered lines to both outputs from its cue until it is told to end. */
const writing = `until [ -f /tmp/cue ]; do sleep 0.05; done
n=0; out=0; err=0
while [ ! -f /tmp/end ]; do
  n=$((n+1)); i=$((n * 7 % 11)); while [ $i -ge 0 ]; do i=$((i-1)); out=$((out+1)); echo out $out; done
  i=$((n * 5 % 3)); while [ $i -ge 0 ]; do i=$((i-1)); err=$((err+1)); echo err $err >&2; done
  sleep 0.1
done`;

/** Lets a page come back soon: its first attempt is made after 20 to 60 ms and not after some 500. */
const hurry = `document.addEventListener('htmx:ws:before:connection', ({ detail }) => {
  detail.connection.config.reconnectDelay = 20 + Math.random() * 40;
  detail.connection.config.reconnectMaxDelay = 200; })`;

/** Who wrote each line, where that is told, and its text; a gap has none and is told as it stands. */
const linesScript = (from: number) => `[...document.querySelectorAll('#log-lines > *')].slice(${from}).map((line) =>
  [line.querySelector('.who')?.textContent ?? '', (line.querySelector('.msg') ?? line).textContent].join(' ').trim())`;

const numbered = (stem: string, count: number) => Array.from({ length: count }, (_, n) => `${stem} ${n + 1}`);

/** The lines of a page, all or the last ones from a negative index on. */
const linesOf = ({ page }: Tab, from = 0) => page.evaluate<string[]>(linesScript(from));

/** Opens a log whose page comes back soon. */
async function openLog(t: Test, browser: Browser, url: string): Promise<Tab> {
  const tab = await openTab(browser, 'about:blank', { live: false });
  t.teardown(tab.close);
  await tab.page.addInitScript(hurry);
  await tab.page.goto(url);
  await tab.untilLive();
  return tab;
}

/** What the engine has on its disk of a log, in its order. */
async function writtenOf({ place }: Engine, id: string): Promise<string[]> {
  const text = await readFile(join(place.data, 'containers', id, `${id}-json.log`), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { log: string }).log.trimEnd());
}

/** Waits until a page has the last line that was written, and looks whether it has every one once and in order. */
async function compare(t: Test, look: (from?: number) => Promise<string[]>, written: readonly string[], what: string) {
  const last = written.at(-1) ?? '';
  await until(`${what} has ${last}`, async () => (await look(-100)).includes(last), patienceMs);
  const seen = await look();
  const wanted = written.slice(-maxLines);
  const at = seen.findIndex((line, index) => line !== wanted[index]);
  const around = at < 0 ? '' : `${seen.slice(at - 1, at + 2)} where there is ${wanted.slice(at - 1, at + 2)}`;
  t.equal(around, '', `${what} is in order`);
  t.equal(seen.length, wanted.length, `${what} has each of ${wanted.length} lines once`);
}

for (const version of engineVersionsInTurn(1)) {
  t.test(`A running log on engine ${version}, cut off ${cuts} times, seed ${runSeed}`, async (t) => {
    const world = await startWorld(t, { version, flags: ['--live-restore'] });
    if (!world) return;
    const { engine, fairlead, browser } = world;
    const { docker } = engine;

    async function startWriting(t: Test, name: string, cuts: number) {
      const options = ['--network=none', '--stop-timeout=0'];
      const id = await engine.run(name, { options, command: ['sh', '-c', writing] });
      t.teardown(() => docker('rm', '-f', id));
      const cable = await startRoughCable(fairlead.url, cuts, createRandom(runSeed));
      t.teardown(cable.stop);
      const tab = await openLog(t, browser, `${cable.url}/containers/${id}/logs`);
      await docker('exec', id, 'touch', '/tmp/cue');
      const end = async () => {
        await until(`${cuts} cuts`, () => cable.cuts() >= cuts, patienceMs);
        await docker('exec', id, 'touch', '/tmp/end');
        await docker('wait', id);
        t.comment(JSON.stringify(cable.ways()));
        return writtenOf(engine, id);
      };
      return { id, cable, tab, end };
    }

    await t.test('loses and doubles no line', async (t) => {
      const { tab, end } = await startWriting(t, 'cut', cuts);
      const written = await end();
      for (const output of ['out', 'err']) {
        const lines = written.filter((line) => line.startsWith(output));
        t.same(lines, numbered(output, lines.length), `${lines.length} lines of std${output}, as they were printed`);
      }
      await compare(t, (from) => linesOf(tab, from), written, 'the log');
    });

    await t.test('nor where the engine is killed meanwhile and comes back', async (t) => {
      const { id, cable, tab, end } = await startWriting(t, 'killed', fewerCuts);
      const steady = await openLog(t, browser, `${fairlead.url}/containers/${id}/logs`);
      await until('a third of the cuts', () => cable.cuts() > fewerCuts / 3, patienceMs);
      await engine.kill();
      await tab.sees('#engine-status[data-status=unreachable]');
      for (let n = 0; n < 5; n++) {
        const before = cable.opened();
        cable.cut();
        await until('the page is back', () => cable.opened() > before);
      }
      await engine.start();
      const written = await end();
      await compare(t, (from) => linesOf(tab, from), written, 'the log');
      await compare(t, (from) => linesOf(steady, from), written, 'one that was not cut off');
    });
  });
}

/** Lets containers write bursts of lines of one time, the same for all of them, until it is told to end. */
function startSimulatedWriting(t: Test, engine: SimulatedEngine, names: readonly string[], random: () => number) {
  const written = new Map<string, string[]>(names.map((name) => [name, []]));
  let at = BigInt(Date.now()) * 1_000_000n;
  const write = (name: string) => {
    const lines = written.get(name) ?? [];
    for (let left = Math.floor(random() * 5); left >= 0; left--) {
      const line = `line ${lines.length + 1}`;
      lines.push(line);
      engine.writeLog(name, line, { at, stream: random() < 0.3 ? 'stderr' : 'stdout' });
    }
  };
  const timer = setInterval(() => {
    // Now and then the clock stands still between two bursts.
    if (random() < 0.7) at = BigInt(Date.now()) * 1_000_000n;
    names.forEach(write);
  }, 50 * names.length);
  t.teardown(() => clearInterval(timer));
  return () => {
    clearInterval(timer);
    return written;
  };
}

t.test(`Lines of the same time, cut off at random, seed ${runSeed}`, async (t) => {
  const browser = await unlessMissing(t, launchBrowser);
  if (!browser) return;
  t.teardown(() => browser.close());
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  const labels = { 'com.docker.compose.project': 'shop' };
  const services = ['api', 'db', 'web'];
  engine.addContainer({ name: 'alone' });
  for (const service of services)
    engine.addContainer({ name: `shop-${service}-1`, labels: { ...labels, 'com.docker.compose.service': service } });
  const fairlead = await startFairlead(engine.host);
  t.teardown(fairlead.stop);

  async function cutOff(t: Test, most: number, path: string, names: readonly string[]) {
    const random = createRandom(runSeed);
    const cable = await startRoughCable(fairlead.url, most, random);
    t.teardown(cable.stop);
    const tab = await openLog(t, browser as Browser, `${cable.url}${path}`);
    const end = startSimulatedWriting(t, engine, names, random);
    await until(`${most} cuts`, () => cable.cuts() >= most, patienceMs);
    t.comment(JSON.stringify(cable.ways()));
    return { tab, written: end() };
  }

  await t.test('are all there once in the log of a container', async (t) => {
    const { tab, written } = await cutOff(t, fewerCuts, '/containers/alone/logs', ['alone']);
    await compare(t, (from) => linesOf(tab, from), written.get('alone') ?? [], 'the log');
  });

  await t.test('are all there once in the log of a project', async (t) => {
    const names = services.map((service) => `shop-${service}-1`);
    const { tab, written } = await cutOff(t, cutsOfProject, '/projects/shop/logs', names);
    for (const service of services) {
      const own = async (from?: number) => (await linesOf(tab, from)).filter((line) => line.startsWith(`${service} `));
      const lines = (written.get(`shop-${service}-1`) ?? []).map((line) => `${service} ${line}`);
      await compare(t, own, lines, service);
    }
  });
});
