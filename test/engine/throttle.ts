// A proxy that lets only so many bytes a second come back, as a process of its own: `node throttle.ts settings.json`.
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Where it listens and where it leads, and a rate for all connections together, which is read anew for every chunk, so
 * that nothing passes by an older one; 0 holds all.
 */
export type ThrottleSettings = { port: number; targetPort: number; bytesPerSecond: number };

const pollMs = 10;
/** What may come at once after a silence, in ms of the rate. */
const burstMs = 50;

const readSettings = () => JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as ThrottleSettings;

const { port, targetPort } = readSettings();

/** The bytes that may come now, below zero after a chunk that was larger than that. */
let credit = 0;
let refilledAt = performance.now();

createServer((near) => {
  const far = connect(targetPort, '127.0.0.1');
  // Not a pipeline: the registry closes after its last answer, which may still be on its slow way back.
  near.pipe(far);
  near.on('close', () => far.destroy());
  // Either end may break off; the other one learns it by being closed.
  for (const socket of [near, far]) socket.on('error', () => {});
  pipeline(far, slowly, near).catch(() => near.destroy());
}).listen(port);

async function* slowly(chunks: AsyncIterable<Buffer>) {
  for await (const chunk of chunks) {
    for (refill(); credit <= 0; refill()) await delay(pollMs);
    credit -= chunk.length;
    yield chunk;
  }
}

function refill(): void {
  const now = performance.now();
  const bytesPerMs = readSettings().bytesPerSecond / 1000;
  credit = Math.min(credit + bytesPerMs * (now - refilledAt), bytesPerMs * burstMs);
  refilledAt = now;
}
