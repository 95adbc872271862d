import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createSimulatedEngine, type SimulatedEngine } from './simulated/engine.ts';
import { call, startApp, until } from './support/app.ts';
import { flow, journal, photograph, type Scenario, scenarios, surveyCalls, untouched } from './support/rebuilds.ts';

/** So many lives are lived at the same time; each starts a process of its own. */
const parallel = 3;
const readyMs = 30_000;
const bounds = {
  rebuild: { healthyMs: 500, steadyMs: 10, persistMs: 4_000, lateMs: 60, watchMs: 0, retryMs: 200 },
};

type Operation = { id: number; state: string };
type When = 'before' | 'after';

for (const scenario of scenarios) {
  t.test(`The death of the program while it rebuilds ${scenario.name}`, async (t) => {
    const { looks, all } = await callsOf(scenario);
    t.ok(all.length - looks > 12, `${all.length - looks} calls from the pull on`);
    const deaths = [...all.entries()]
      .slice(looks)
      .flatMap(([index, call]) => momentsOf(call).map((when) => ({ call, index, when })));
    const live = async () => {
      for (let death = deaths.shift(); death; death = deaths.shift()) {
        await dieAndReturn(t, scenario, death.index, death.when, `${when(death.when)} ${death.call}`);
      }
    };
    await Promise.all(Array.from({ length: parallel }, live));
  });
}

/** What only reads changes nothing: right before it is right after the call before. */
const momentsOf = (call: string): When[] => (call.startsWith('GET ') ? ['after'] : ['before', 'after']);

const when = (moment: When) => (moment === 'before' ? 'right before' : 'right after');

/** The calls of one undisturbed rebuild. */
async function callsOf(scenario: Scenario) {
  const life = await begin(scenario);
  try {
    life.engine.publish(scenario.reference, { env: ['V=2'] });
    await rebuildOver(life.url);
    await until(() => journal(life.dataDir) === 0 && isNewer(life.engine), 'it is done');
    return surveyCalls(life.engine);
  } finally {
    await end(life);
  }
}

/** Kills the program at one moment of a rebuild, starts it anew, and looks at what has become of everything. */
async function dieAndReturn(t: Test, scenario: Scenario, index: number, moment: When, what: string) {
  const life = await begin(scenario);
  const { engine, dataDir, child } = life;
  try {
    const before = photograph(engine);
    engine.publish(scenario.reference, { env: ['V=2'] });
    const died = Promise.withResolvers<void>();
    engine.faults.hook({ path: flow, skip: index, times: 1 }, { when: moment }, async (request) => {
      await kill(child);
      // What nobody waits for any more has no effect; what was done is done.
      await until(() => request.closedAt !== null, 'its connection is closed');
      died.resolve();
    });
    await rebuildOver(life.url);
    // How often it looks is not always the same: where that call never comes, it dies after the end.
    const isDone = () => journal(dataDir) === 0 && isNewer(engine);
    await Promise.race([died.promise, until(isDone, `${what}: its end`, 20_000).then(() => kill(child))]);
    engine.faults.clear();

    const app = await startApp(t, { engine, dataDir, bounds });
    await until(() => journal(dataDir) === 0, `${what}: nothing is left to be done`, 20_000);
    const isOver = async () => !['queued', 'running'].includes((await app.api<Operation>('/operations/1')).state);
    await until(isOver, `${what}: the operation has ended`);
    const { state } = await app.api<Operation>('/operations/1');
    untouched(t, engine, scenario, before, what);
    t.ok(['succeeded', 'rolled_back', 'interrupted'].includes(state), `${what}: ${state} is told`);
    t.equal(state === 'succeeded', isNewer(engine), `${what}: and true`);
    await app.close();
  } finally {
    await end(life);
  }
}

/** Whether the container runs on the image that its tag means in the registry. */
const isNewer = (engine: SimulatedEngine) => engine.image(engine.container('web').imageId).env.includes('V=2');

type Life = { engine: SimulatedEngine; dataDir: string; child: ChildProcess; url: string };

/** An engine with the containers of a scenario, and the program on it as a process of its own. */
async function begin(scenario: Scenario): Promise<Life> {
  const engine = await createSimulatedEngine({ version: scenario.version ?? '28' });
  scenario.prepare(engine);
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-killed-'));
  const env = {
    ...process.env,
    PORT: '0',
    HOST: '127.0.0.1',
    DOCKER_HOST: engine.host,
    DATA_DIR: dataDir,
    LOG_LEVEL: 'silent',
    STATS_INTERVAL: '0',
    UPDATE_CHECK_HOURS: '0',
    REBUILD_STEADY_SECONDS: '0',
  };
  const script = new URL('../src/start.js', import.meta.url).pathname;
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, script], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await readyLine(child);
  return { engine, dataDir, child, url };
}

async function readyLine(child: ChildProcess): Promise<string> {
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await until(() => /listening at http:\S+/.test(output), 'the program is ready', readyMs);
  return /listening at (http:\S+)/.exec(output)?.[1] ?? '';
}

async function rebuildOver(url: string) {
  await until(async () => (await call(`${url}/readyz`, 'GET')).status === 200, 'the engine is known');
  // Where it dies right away, not even this is answered.
  await call(`${url}/api/containers/web/rebuild`, 'POST').catch(() => undefined);
}

/** Ends a process at once; one that has ended is fine. */
async function kill(child: ChildProcess) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function end({ engine, dataDir, child }: Life) {
  await kill(child);
  await engine.close();
  rmSync(dataDir, { recursive: true, force: true });
}
