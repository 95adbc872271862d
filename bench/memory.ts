/**
 * How much memory the program takes: fresh and idle for 10 s beside 200 containers, with 50 open sockets, and after
 * they have gone; it must not grow with those who come and go. The floor is a Node that serves nothing but one Fastify route, in the same run. On a simulated engine.
 * `node bench/memory.ts`
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { startFairlead, until } from '../test/e2e/support.ts';
import { createSimulatedEngine } from '../test/simulated/engine.ts';
import { inMegabytes, print } from './support.ts';

const count = 200;
const sockets = 50;
const idleMs = 10_000;
const megabyte = 1024 * 1024;

const engine = await createSimulatedEngine();
for (let n = 0; n < count; n++) {
  engine.addContainer({
    name: `shop-service-${n}`,
    state: n % 4 === 0 ? 'exited' : 'running',
    labels: { 'com.docker.compose.project': `shop-${n % 8}`, 'com.docker.compose.service': `service-${n}` },
  });
}

const floor = await measureFloor();
const fairlead = await startFairlead(`unix://${engine.socketPath}`);
await until('all known', async () => (await fairlead.api<unknown[]>('/containers')).body.length === count);
await delay(idleMs);
const idle = fairlead.rss();
const opened = await Promise.all(Array.from({ length: sockets }, openSocket));
await delay(5_000);
const watched = fairlead.rss();
for (const socket of opened) socket.terminate();
await delay(5_000);
const after = fairlead.rss();
const settled = await comeAndGo(10);
const last = await comeAndGo(10);

console.log(`${count} containers, sampled each 10 s`);
print('floor: a Node with one Fastify route', inMegabytes(floor));
print(`idle after ${idleMs / 1000} s, no viewers`, inMegabytes(idle), idle < 130 * megabyte);
print(`with ${sockets} viewers`, inMegabytes(watched));
print('5 s after they have gone', inMegabytes(after));
print(`after ${sockets} came and went ten times more`, inMegabytes(settled));
print('  and ten times more', inMegabytes(last), last - settled < 15 * megabyte);

await fairlead.stop();
await engine.close();

async function comeAndGo(times: number): Promise<number> {
  for (let round = 0; round < times; round++) {
    const again = await Promise.all(Array.from({ length: sockets }, openSocket));
    for (const socket of again) socket.terminate();
    await delay(300);
  }
  await delay(3_000);
  return fairlead.rss();
}

async function openSocket(): Promise<WebSocket> {
  const socket = new WebSocket(`${fairlead.url.replace('http', 'ws')}/live?topic=containers`);
  socket.on('message', () => {});
  await once(socket, 'open');
  return socket;
}

async function measureFloor(): Promise<number> {
  const script = `import fastify from 'fastify'; const app = fastify(); app.get('/', () => 'ok');
    console.log(await app.listen({ host: '127.0.0.1', port: 0 }));`;
  const child = spawn(process.execPath, ['--max-semi-space-size=2', '--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await delay(1_000);
  const rss = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024;
  child.kill();
  return rss;
}
