import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createSimulatedEngine, type RecordedRequest, type SimulatedEngine } from './simulated/engine.ts';
import { call, startApp, until } from './support/app.ts';
import {
  flow,
  openRecords,
  photograph,
  publishNewer,
  reference,
  type Scenario,
  scenarios,
  untouched,
} from './support/rebuilds.ts';

/** So many lives are lived at the same time; each starts a process of its own. */
const parallel = 3;
/** With each scenario but the first, one of so many deaths is tried: each costs two starts of the program. */
const turns = process.env.FAIRLEAD_TEST_THOROUGH === '1' ? 1 : 4;
const readyMs = 30_000;
const endMs = 30_000;
const bounds = {
  rebuild: { healthyMs: 500, steadyMs: 10, persistMs: 4_000, lateMs: 60, watchMs: 0, retryMs: 200 },
};

type Operation = { id: number; state: string };
/** A call of the rebuild, the nth of its flow, and whether the program dies before or after it has taken effect. */
type Death = { index: number; call: string; moment: 'before' | 'after' };

for (const [index, scenario] of scenarios.entries()) {
  t.test(`The death of the program while it rebuilds ${scenario.name}`, async (t) => {
    const all = await deathsOf(scenario);
    t.ok(all.length > 12, `${all.length} different deaths from the pull on`);
    const deaths = all.filter((_, n) => index === 0 || n % turns === index % turns);
    const live = async () => {
      for (let death = deaths.shift(); death; death = deaths.shift()) await dieAndReturn(t, scenario, death);
    };
    await Promise.all(Array.from({ length: parallel }, live));
  });
}

/**
 * The moments of one undisturbed rebuild at which a death leaves something else behind: all that is left are what the
 * engine has done and what is in the journal, so that between two moments with the same of both no more has to be tried.
 */
async function deathsOf(scenario: Scenario): Promise<Death[]> {
  const life = await begin(scenario);
  const { engine, records } = life;
  try {
    publishNewer(engine, scenario);
    engine.forgetRequests();
    const deaths = new Map<string, Death>();
    const indices = new Map<RecordedRequest, number>();
    let effects = 0;
    let isWritten = false;
    const note = (request: RecordedRequest, moment: Death['moment']) => {
      const index = indices.get(request) ?? indices.size;
      indices.set(request, index);
      if (moment === 'after' && request.method !== 'GET') effects++;
      // What comes before its pull only looks whether there will be an operation.
      isWritten ||= request.path === '/images/create';
      if (!isWritten) return;
      const left = `${effects} ${records.plans()}`;
      if (!deaths.has(left)) deaths.set(left, { index, moment, call: `${request.method} ${request.path}` });
    };
    engine.faults.hook({ path: flow }, { when: 'before' }, (request) => note(request, 'before'));
    engine.faults.hook({ path: flow }, { when: 'after' }, (request) => note(request, 'after'));
    await rebuildOver(life.url);
    await until(() => records.isSettled(1), 'it has ended', endMs);
    return [...deaths.values()];
  } finally {
    await end(life);
  }
}

/** Kills the program at one moment of a rebuild, starts it anew, and looks at what has become of everything. */
async function dieAndReturn(t: Test, scenario: Scenario, { index, moment, call }: Death) {
  const what = `right ${moment} ${call}`;
  const life = await begin(scenario);
  const { engine, dataDir, child, records } = life;
  try {
    const before = photograph(engine);
    const newer = publishNewer(engine, scenario);
    const died = Promise.withResolvers<void>();
    engine.faults.hook({ path: flow, skip: index, times: 1 }, { when: moment }, async (request) => {
      await kill(child);
      // What nobody waits for any more has no effect; what was done is done.
      await until(() => request.closedAt !== null, 'its connection is closed');
      died.resolve();
    });
    await rebuildOver(life.url);
    // How often it looks is not always the same: where that call never comes, it dies after the end.
    const end = until(() => records.isSettled(1), `${what}: its end`, endMs).then(() => kill(child));
    await Promise.race([died.promise, end]);
    engine.faults.clear();

    const app = await startApp(t, { engine, dataDir, bounds });
    await until(() => records.isSettled(1), `${what}: it has ended, and nothing is left to be done`, endMs);
    const { state } = await app.api<Operation>('/operations/1');
    untouched(t, engine, before, what);
    const told = scenario.failsToStart ? ['rolled_back', 'interrupted'] : ['succeeded', 'rolled_back', 'interrupted'];
    t.ok(told.includes(state), `${what}: ${state} is told`);
    const image = state === 'succeeded' ? newer.id : before.images.web;
    t.equal(engine.container('web').imageId, image, `${what}: and true`);
    t.ok([newer.id, before.tags[reference]].includes(engine.image(reference).id), `${what}: its tag means one of them`);
    await app.close();
  } finally {
    await end(life);
  }
}

type Life = {
  engine: SimulatedEngine;
  dataDir: string;
  child: ChildProcess;
  url: string;
  records: ReturnType<typeof openRecords>;
};

/** An engine with the containers of a scenario, and the program on it as a process of its own. */
async function begin(scenario: Scenario): Promise<Life> {
  const engine = await createSimulatedEngine({ version: scenario.version ?? '28' });
  await scenario.prepare(engine);
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-killed-'));
  const env = {
    ...process.env,
    PORT: '0',
    HOST: '127.0.0.1',
    DOCKER_HOST: engine.host,
    DATA_DIR: dataDir,
    LOG_LEVEL: 'silent',
    AUTH: 'none',
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
  return { engine, dataDir, child, url, records: openRecords(dataDir) };
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

async function end({ engine, dataDir, child, records }: Life) {
  await kill(child);
  records.close();
  await engine.close();
  rmSync(dataDir, { recursive: true, force: true });
}
