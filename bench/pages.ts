/**
 * What a page of 200 containers costs: time and bytes, against a plain Fastify that answers with the same bytes, asked
 * in turn. On a simulated engine, which a page does not ask anyway. `node bench/pages.ts`
 */
import { setTimeout as delay } from 'node:timers/promises';
import { brotliCompressSync } from 'node:zlib';
import fastify from 'fastify';
import WebSocket from 'ws';
import { startFairlead, until } from '../test/e2e/support.ts';
import { createSimulatedEngine } from '../test/simulated/engine.ts';
import { inQuantiles, print, quantile } from './support.ts';

const count = 200;
const rounds = 150;

const engine = await createSimulatedEngine();
for (let n = 0; n < count; n++) {
  engine.addContainer({
    name: `shop-service-${n}`,
    state: n % 3 === 0 ? 'exited' : 'running',
    ports: n % 3 === 1 ? [`${20_000 + n}:80`] : [],
    labels: { 'com.docker.compose.project': `shop-${n % 8}`, 'com.docker.compose.service': `service-${n}` },
  });
}
const fairlead = await startFairlead(`unix://${engine.socketPath}`, { STATS_INTERVAL: '1' });
await until('all known', async () => (await fairlead.api<unknown[]>('/containers')).body.length === count);
await delay(3_000);

for (const path of ['/containers', '/fragments/containers', '/api/containers', '/containers?q=service-17&sort=-cpu']) {
  const body = await (await fetch(fairlead.url + path)).text();
  const floor = await startFloor(body);
  const ours: number[] = [];
  const least: number[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await measure(fairlead.url + path));
    least.push(await measure(floor.url));
  }
  await floor.stop();
  const bytes = Buffer.byteLength(body);
  console.log(
    `${path}: ${(bytes / 1000).toFixed(0)} kB, ${(brotliCompressSync(body).length / 1000).toFixed(0)} kB with brotli`,
  );
  print('  floor: the same bytes from a plain Fastify', inQuantiles(least, 1));
  print('  ours', `${inQuantiles(ours, 1)}, ${(quantile(ours, 0.5) / quantile(least, 0.5)).toFixed(1)} x floor`);
}
const joins: number[] = [];
for (let round = 0; round < 30; round++) joins.push(await join());
print('socket opened, whole list received', inQuantiles(joins, 1));

await fairlead.stop();
await engine.close();

async function measure(url: string): Promise<number> {
  const began = performance.now();
  await (await fetch(url)).arrayBuffer();
  return performance.now() - began;
}

async function startFloor(body: string) {
  const app = fastify();
  app.get('/', (_request, reply) => reply.type('text/html; charset=utf-8').send(body));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { url, stop: () => app.close() };
}

/** How long it takes from opening a socket until the list's own frame is there. */
function join(): Promise<number> {
  const began = performance.now();
  const socket = new WebSocket(`${fairlead.url.replace('http', 'ws')}/live?topic=containers`);
  return new Promise((resolve, reject) => {
    socket.on('message', (frame: Buffer) => {
      if (!frame.includes('id="containers"')) return;
      resolve(performance.now() - began);
      socket.terminate();
    });
    socket.on('error', reject);
  });
}
