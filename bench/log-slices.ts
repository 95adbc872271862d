/**
 * A log of a million lines: its first screen, a jump to the middle, and searches, each with its time, the longest block
 * of the event loop and how the memory grew. The floor is `curl` on the engine's socket, which asks for the same part of
 * the log in the same run: an engine reads a time from the log's start on.
 * `node bench/log-slices.ts [engine version] [lines]`; `simulated` reads from a simulated engine, whose lines lie 10 ms apart.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createDocker } from '../src/services/docker.ts';
import { toEngineTime } from '../src/services/log-cursor.ts';
import { endOfLog } from '../src/services/log-slices.ts';
import { createLogs, type LogSlice } from '../src/services/logs.ts';
import { until } from '../test/e2e/support.ts';
import { type EngineVersion, startEngine } from '../test/engine/engine.ts';
import { inMegabytes, print } from './support.ts';

const kind = process.argv[2] ?? '20.10';
const lines = Number(process.argv[3] ?? 1_000_000);
const stepNs = 10_000_000n;
const maxGrowth = 100 * 1024 * 1024;
const mostWriteMs = 200_000;

/** An engine with one long log; `middle` is a cursor there. */
type LongLog = { id: string; path: string; middle: string; stop(): unknown };

/** The engine is a process of its own, so that its memory and its work are not counted. */
const simulatedScript = (start: bigint) => `
import { createSimulatedEngine } from ${JSON.stringify(new URL('../test/simulated/engine.ts', import.meta.url).href)};
const engine = await createSimulatedEngine({ maxLogBytes: 1e9 });
const { id } = engine.addContainer({ name: 'long' });
for (let n = 0; n < ${lines}; n += 1) {
  const text = n === 123 ? 'a rare needle' : \`line \${n} GET /products/\${n % 977} 200 \${n % 40} ms\`.padEnd(100, '.');
  engine.writeLog(id, text, { at: ${start}n + BigInt(n) * ${stepNs}n });
}
console.log(JSON.stringify({ id, path: engine.socketPath }));
process.on('SIGTERM', async () => { await engine.close(); process.exit(0); });`;

async function startSimulated(): Promise<LongLog> {
  const start = BigInt(Date.now()) * 1_000_000n - BigInt(lines) * stepNs;
  const engine = spawn(process.execPath, ['--input-type=module', '-e', simulatedScript(start)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(engine.stdout, 'data')) as [Buffer];
  const { id, path } = JSON.parse(said.toString()) as { id: string; path: string };
  return { id, path, middle: `${start + BigInt(lines / 2) * stepNs}.0`, stop: () => engine.kill('SIGTERM') };
}

const realScript = `seq ${lines} | sed 's/^123$/a rare needle/; s/$/ ${'.'.repeat(90)}/; $s/^/last /'; exec sleep 100000`;

async function startReal(version: EngineVersion): Promise<LongLog> {
  const engine = await startEngine({ version });
  const id = await engine.run('long', {
    options: ['--network=none', '--stop-timeout=0'],
    command: ['sh', '-c', realScript],
  });
  const newestLine = () => engine.docker('logs', '--timestamps', '--tail', '1', id);
  await until('all is written', async () => (await newestLine()).includes(' last '), mostWriteMs);
  const begun = await engine.docker('inspect', '--format', '{{.State.StartedAt}}', id);
  const [ended = ''] = (await newestLine()).split(' ');
  const middleMs = Math.round((Date.parse(begun) + Date.parse(ended)) / 2);
  return { id, path: engine.socketPath, middle: `${middleMs}000000.0`, stop: engine.stop };
}

const log = await (kind === 'simulated' ? startSimulated() : startReal(kind as EngineVersion));
const { id, path, middle } = log;
const docker = createDocker({ kind: 'unix', path, text: `unix://${path}` });
const logs = createLogs(docker);
const signal = AbortSignal.timeout(300_000);

/** How long `curl` takes for a part of the log, in ms. */
async function curl(query: string): Promise<number> {
  const url = `http://engine/v1.41/containers/${id}/logs?stdout=1&stderr=1&timestamps=1&${query}`;
  const begun = performance.now();
  await once(spawn('curl', ['--silent', '--output', '/dev/null', '--unix-socket', path, url]), 'exit');
  return performance.now() - begun;
}

/** What `curl` takes for the same, as the floor of what was measured right before. */
const printFloor = async (query: string) => print('  floor: curl', `${(await curl(query)).toFixed(0)} ms`);

/** Reads, and prints time, longest block and growth. */
async function measure(what: string, read: () => Promise<{ slice: LogSlice; note?: string }>): Promise<void> {
  const before = process.memoryUsage.rss();
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 5);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const began = performance.now();
  const { slice, note = '' } = await read();
  const ms = performance.now() - began;
  delay.disable();
  clearInterval(watch);
  const blockMs = delay.max / 1e6;
  print(
    what,
    `${ms.toFixed(0)} ms, ${slice.lines.length} lines, blocked ${blockMs.toFixed(0)} ms, +${inMegabytes(most - before)}${note}`,
    most - before < maxGrowth,
  );
}

const newest = { cursor: endOfLog, count: 100 };

/** Searches back through the whole log, request after request. */
async function searchAll(filter: { q: string; regex?: boolean }) {
  let requests = 0;
  let found = 0;
  let slice: LogSlice | undefined;
  do {
    slice = await logs.slices.before(id, { ...newest, ...filter, cursor: slice?.earlier ?? endOfLog }, signal);
    found += slice.lines.length;
    requests += 1;
  } while (slice.isCutShort);
  return { slice, note: `, ${found} found by ${requests} requests` };
}

console.log(
  `${lines.toLocaleString('en')} lines of 100 bytes, ${kind === 'simulated' ? 'a simulated engine' : `engine ${kind}`}`,
);
try {
  await measure('first screen, cold', async () => ({ slice: await logs.slices.before(id, newest, signal) }));
  await measure('first screen', async () => ({ slice: await logs.slices.before(id, newest, signal) }));
  await printFloor('tail=2000');
  await measure('jump to the middle', async () => ({
    slice: await logs.slices.around(id, { cursor: middle, count: 500 }, signal),
  }));
  await measure('a page before the middle', async () => ({
    slice: await logs.slices.before(id, { cursor: middle, count: 500 }, signal),
  }));
  // The second before it, which is all that has to be read.
  await printFloor(`since=${toEngineTime(middle, 1_000)}&until=${toEngineTime(middle)}`);
  await measure('a rare word', () => searchAll({ q: 'needle' }));
  await measure('a rare expression', () => searchAll({ q: 'n[e]+dle', regex: true }));
  await printFloor('tail=all');
} finally {
  logs.close();
  docker.close();
  await log.stop();
}
