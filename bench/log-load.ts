/**
 * Whether 50 containers that write 100 lines a second each, followed at once by 20 viewers, lose a line, and what it
 * costs the server: its CPU and its memory. Viewers follow single logs and merged ones of ten containers, then each of them
 * all of the logs. The floor is a
 * plain reader of the same engine streams in the same run.
 * `node bench/log-load.ts` reads from a simulated engine in a process of its own, `node bench/log-load.ts 28` from a
 * real one.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startFairlead, until } from '../test/e2e/support.ts';
import { type EngineVersion, startEngine } from '../test/engine/engine.ts';
import { type LogReader, openLogReader } from '../test/support/log-reader.ts';
import { inMegabytes, print } from './support.ts';

const containers = 50;
const viewers = 20;
const projects = 5;
const perSecond = 100;
const seconds = 10;
const lines = perSecond * seconds;
const version = process.argv[2] as EngineVersion | undefined;

/** What writes: all logs at once, with `write`. */
type Herd = { socketPath: string; write(): Promise<void>; stop(): Promise<void> };

const nameOf = (n: number) => `fairlead-test-service-${n}`;
const labelsOf = (n: number) => ({
  'com.docker.compose.project': `shop-${n % projects}`,
  'com.docker.compose.service': `service-${n}`,
});

const simulatedScript = `
import { createSimulatedEngine } from ${JSON.stringify(new URL('../test/simulated/engine.ts', import.meta.url).href)};
import { numberedLine } from ${JSON.stringify(new URL('../test/support/log-reader.ts', import.meta.url).href)};
const engine = await createSimulatedEngine();
const names = ${JSON.stringify(Array.from({ length: containers }, (_, n) => nameOf(n)))};
const labels = ${JSON.stringify(Array.from({ length: containers }, (_, n) => labelsOf(n)))};
names.forEach((name, n) => engine.addContainer({ name, labels: labels[n] }));
console.log(engine.socketPath);
process.on('SIGUSR2', () => {
  const begun = performance.now();
  let written = 0;
  const timer = setInterval(() => {
    const due = Math.min(${lines}, Math.floor((performance.now() - begun) / 1000 * ${perSecond}));
    for (; written < due; written += 1) for (const name of names) engine.writeLog(name, numberedLine(written));
    if (written === ${lines}) clearInterval(timer);
  }, 10);
});
process.on('SIGTERM', async () => { await engine.close(); process.exit(0); });`;

async function startSimulatedHerd(): Promise<Herd> {
  const engine = spawn(process.execPath, ['--input-type=module', '-e', simulatedScript], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(engine.stdout, 'data')) as [Buffer];
  return {
    socketPath: said.toString().trim(),
    write: async () => void engine.kill('SIGUSR2'),
    stop: async () => void engine.kill('SIGTERM'),
  };
}

/** Each container waits for a number of its own in a file that all of them see. */
const realScript = `r=1; while :; do until [ -e /cue/$r ]; do sleep 0.2; done; n=0
while [ $n -lt ${lines} ]; do i=0; while [ $i -lt ${perSecond / 5} ]; do
echo "GET /products/$n 200 in 12 ms, line §$n§ of many"; n=$((n+1)); i=$((i+1)); done; sleep 0.2; done; r=$((r+1)); done`;

async function startRealHerd(version: EngineVersion): Promise<Herd> {
  const engine = await startEngine({ version });
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-cue-'));
  for (let n = 0; n < containers; n++) {
    const labels = Object.entries(labelsOf(n)).map(([name, value]) => `--label=${name}=${value}`);
    const options = ['--network=none', '--stop-timeout=0', `--volume=${folder}:/cue:ro`, ...labels];
    await engine.run(nameOf(n).replace('fairlead-test-', ''), { options, command: ['sh', '-c', realScript] });
  }
  let round = 0;
  return {
    socketPath: engine.socketPath,
    write: async () => {
      round += 1;
      writeFileSync(join(folder, String(round)), '');
    },
    stop: async () => {
      await engine.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Reads the engine's streams of all containers, with nothing behind them. */
function startFloor(socketPath: string) {
  const agent = new Agent({ maxSockets: containers });
  let count = 0;
  for (let n = 0; n < containers; n++) {
    const path = `/v1.41/containers/${nameOf(n)}/logs?stdout=1&stderr=1&follow=1&tail=0&timestamps=1`;
    get({ socketPath, agent, path }, (answer) => {
      answer.on('data', (chunk: Buffer) => {
        for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) count += 1;
      });
      answer.on('error', () => {});
    }).on('error', () => {});
  }
  return { lines: () => count, stop: () => agent.destroy() };
}

/** The CPU time that a process has had, in seconds. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function measure(herd: Herd, what: string, topics: readonly string[], linesOf: (n: number) => number) {
  const fairlead = await startFairlead(`unix://${herd.socketPath}`, { STATS_INTERVAL: '0' });
  const floor = startFloor(herd.socketPath);
  const open = (topic: string) => openLogReader(`${fairlead.url}/live?topic=${topic}&tail=0`);
  await until('all are known', async () => (await fairlead.api<unknown[]>('/containers')).body.length === containers);
  const readers = topics.map(open);
  await Promise.all(readers.map(({ followed }) => followed));
  await delay(2_000);
  const before = { cpu: cpuSeconds(fairlead.pid), rss: fairlead.rss() };
  let most = before.rss;
  const watch = setInterval(() => {
    most = Math.max(most, fairlead.rss());
  }, 20);
  await herd.write();
  const wanted = topics.reduce((sum, _, n) => sum + linesOf(n), 0);
  const got = () => readers.reduce((sum, reader) => sum + reader.lines(), 0);
  await until('all are there', () => got() >= wanted || hasFaults(readers), seconds * 10_000).catch(() => {});
  clearInterval(watch);
  tell(what, readers, { got: got(), wanted, floor: floor.lines() });
  const cpu = cpuSeconds(fairlead.pid) - before.cpu;
  print(
    '  the server worked',
    `${cpu.toFixed(1)} s of ${seconds} s, ${((cpu / wanted) * 1e6).toFixed(0)} µs a line sent`,
  );
  print('  its memory', `${inMegabytes(before.rss)}, then ${inMegabytes(most)} at most`);
  floor.stop();
  for (const { socket } of readers) socket.terminate();
  await fairlead.stop();
  return most;
}

const hasFaults = (readers: readonly LogReader[]) => readers.some(({ faults }) => faults.length > 0);

function tell(
  what: string,
  readers: readonly LogReader[],
  { got, wanted, floor }: Record<'got' | 'wanted' | 'floor', number>,
) {
  const faults = readers.flatMap((reader) => reader.faults);
  console.log(what);
  print('  floor: lines of the same streams', `${floor} of ${containers * lines}`);
  print(
    '  lines at the viewers',
    `${got} of ${wanted}, ${faults.length} faults ${faults.slice(0, 2).join('; ')}`,
    got === wanted && faults.length === 0,
  );
}

const herd = version ? await startRealHerd(version) : await startSimulatedHerd();
try {
  console.log(
    `${containers} containers, ${perSecond} lines a second each for ${seconds} s, ${version ? `engine ${version}` : 'a simulated engine'}`,
  );
  const mixed = Array.from({ length: viewers }, (_, n) =>
    n < projects ? `logs:project:shop-${n}` : `logs:${nameOf(n)}`,
  );
  const share = (n: number) => (n < projects ? containers / projects : 1) * lines;
  await measure(herd, `${viewers} viewers: ${projects} of ten logs as one, the others of one log`, mixed, share);
  const everything = `logs:names:${Array.from({ length: containers }, (_, n) => nameOf(n)).join()}`;
  const all = Array.from({ length: viewers }, () => everything);
  await measure(herd, `${viewers} viewers: each of all ${containers} logs as one`, all, () => containers * lines);
} finally {
  await herd.stop();
}
