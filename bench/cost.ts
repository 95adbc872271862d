/**
 * What the engine is asked for, in calls a minute and by endpoint: with sampling off and on, with and without somebody who
 * looks; and how long a scrape of /metrics takes. The floor is one stats call a running container an
 * interval. On a simulated engine, which counts the calls. `node bench/cost.ts [containers] [seconds]`
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { startFairlead, until } from '../test/e2e/support.ts';
import { createSimulatedEngine } from '../test/simulated/engine.ts';
import { inQuantiles, print, quantile } from './support.ts';

const count = Number(process.argv[2] ?? 100);
const seconds = Number(process.argv[3] ?? 30);
const stopped = Math.floor(count / 4);
const running = count - stopped;
const intervalSeconds = 10;
/** Who has asked for something is taken to look for a minute more. */
const lingerMs = 61_000;
const ticksPerSecond = 100;
/** How long the engine takes for one sample: without it, no two would ever be under way at a time. */
const statsMs = 50;

type Fairlead = Awaited<ReturnType<typeof startFairlead>>;
type Spent = { calls: Map<string, number>; stats: number; all: number; parallel: number; cpu: number };

const engine = await createSimulatedEngine({ cgroup: 2, maxRequests: 100_000 });
engine.faults.delay(statsMs, { path: /stats$/ });
for (let n = 0; n < count; n++) engine.addContainer({ name: `web-${n}`, state: n < stopped ? 'exited' : 'running' });
console.log(`${count} containers of which ${running} run, ${seconds} s each`);

await withFairlead(0, async (fairlead) => {
  await delay(lingerMs);
  const idle = await spend(fairlead);
  tell('sampling off, nobody looks', idle);
  print('  calls beside the stream of events', String(idle.all), idle.all === 0);
  await withViewer(fairlead, '/live?topic=containers', async () =>
    tell('sampling off, one at the list', await spend(fairlead)),
  );
});

await withFairlead(intervalSeconds, async (fairlead) => {
  const most = running * (Math.floor(seconds / intervalSeconds) + 1);
  for (const [what, topic] of [
    ['nobody looks'],
    ['one at the list', 'containers'],
    ['one at a container', `container:web-${count - 1}`],
  ]) {
    await withViewer(fairlead, topic && `/live?topic=${topic}`, async () => {
      const spent = await spend(fairlead);
      tell(`sampled each ${intervalSeconds} s, ${what}`, spent);
      print(`  stats calls, ${most} at most`, String(spent.stats), spent.stats <= most && spent.stats > 0);
      print('  of them at a time, 8 at most', String(spent.parallel), spent.parallel <= 8);
    });
  }
  const times: number[] = [];
  for (let n = 0; n < 50; n++) {
    const began = performance.now();
    await (await fetch(`${fairlead.url}/metrics`)).text();
    times.push(performance.now() - began);
  }
  print(`a scrape of ${count} containers`, inQuantiles(times, 1), quantile(times, 0.5) < 50);
});

await engine.close();

async function withFairlead(interval: number, work: (fairlead: Fairlead) => Promise<void>): Promise<void> {
  const fairlead = await startFairlead(engine.host, { STATS_INTERVAL: String(interval) });
  try {
    await until('all known', async () => (await fairlead.api<unknown[]>('/containers')).body.length === count);
    // Past the second list, which comes soon, and the second sample, which follows the first one at once.
    await delay(4_000);
    if (interval > 0)
      await until('two samples of each', async () => (await countFigures(fairlead)) === running, 60_000);
    await work(fairlead);
  } finally {
    await fairlead.stop();
  }
}

async function withViewer(fairlead: Fairlead, path: string | undefined, work: () => Promise<void>): Promise<void> {
  if (path === undefined) return work();
  const socket = new WebSocket(`${fairlead.url.replace('http', 'ws')}${path}`);
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  await delay(500);
  await work();
  socket.terminate();
}

/** What a time of doing nothing costs: calls by endpoint, and the process's own CPU in percent of a core. */
async function spend(fairlead: Fairlead): Promise<Spent> {
  engine.forgetRequests();
  const before = cpuSeconds(fairlead);
  await delay(seconds * 1_000);
  const cpu = (cpuSeconds(fairlead) - before) / seconds;
  const requests = [...engine.requests];
  const calls = new Map<string, number>();
  for (const { method, path } of requests) {
    const endpoint = `${method} ${path.replace(/[0-9a-f]{64}/, ':id')}`;
    calls.set(endpoint, (calls.get(endpoint) ?? 0) + 1);
  }
  const stats = requests.filter(({ path }) => path.endsWith('/stats'));
  return {
    calls,
    stats: stats.length,
    all: requests.length,
    parallel: Math.max(
      0,
      ...stats.map(
        ({ at }) => stats.filter((other) => other.at <= at && (other.closedAt ?? Number.POSITIVE_INFINITY) > at).length,
      ),
    ),
    cpu: cpu * 100,
  };
}

async function countFigures({ url }: Fairlead): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return text.match(/^fairlead_container_cpu_usage_ratio\{/gm)?.length ?? 0;
}

/** User and system time of the process, proc(5): asking the program itself would be looking. */
function cpuSeconds({ pid }: Fairlead): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function tell(what: string, { calls, cpu }: Spent): void {
  const all = [...calls.values()].reduce((sum, number) => sum + number, 0);
  print(what, `${perMinute(all)} calls a minute, ${cpu.toFixed(1)} % of a core`);
  for (const [endpoint, number] of [...calls].sort(([, a], [, b]) => b - a))
    print(`  ${endpoint}`, `${perMinute(number)} a minute`);
}

function perMinute(number: number): string {
  return ((number / seconds) * 60).toFixed(0);
}
