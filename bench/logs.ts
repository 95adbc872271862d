/**
 * How fast log lines are read, against counting newlines in the same bytes, which nothing that reads lines can beat.
 * `node bench/logs.ts [lines]` prints one row a case: lines a second and the ratio to that floor.
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { toSegments } from '../src/services/ansi.ts';
import { createLogReader } from '../src/services/log-stream.ts';
import { createLogs } from '../src/services/logs.ts';

const lines = Number(process.argv[2] ?? 200_000);
const chunkBytes = 64 * 1024;
const rounds = 5;
const wantedPerSecond = 200_000;

function record(n: number, isFramed: boolean): Buffer {
  const at = new Date(Date.UTC(2025, 0, 24) + n).toISOString().replace('Z', '000001Z');
  const payload = Buffer.from(`${at} ${`line ${n} `.padEnd(199, '.')}\n`);
  if (!isFramed) return payload;
  const header = Buffer.from([n % 2 ? 1 : 2, 0, 0, 0, 0, 0, 0, payload.length]);
  return Buffer.concat([header, payload]);
}

/** The bytes of a log as they come from a socket: cut anywhere. */
function makeChunks(isFramed: boolean): Buffer[] {
  const bytes = Buffer.concat(Array.from({ length: lines }, (_, n) => record(n, isFramed)));
  const count = Math.ceil(bytes.length / chunkBytes);
  return Array.from({ length: count }, (_, n) => bytes.subarray(n * chunkBytes, (n + 1) * chunkBytes));
}

function countNewlines(chunks: readonly Buffer[]): number {
  let found = 0;
  for (const chunk of chunks) for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) found += 1;
  return found;
}

function readAll(chunks: readonly Buffer[]): number {
  let found = 0;
  const reader = createLogReader(() => {
    found += 1;
  });
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  return found;
}

async function streamAll(chunks: readonly Buffer[], q?: string): Promise<number> {
  const logs = createLogs({ containerLogs: async () => Readable.from(chunks) as IncomingMessage });
  let found = 0;
  for await (const _line of logs.lines('bench', { q }, new AbortController().signal)) found += 1;
  return found;
}

function followAll(chunks: readonly Buffer[], viewers: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const logs = createLogs({ containerLogs: async () => Readable.from(chunks) as IncomingMessage });
  let count = 0;
  for (let n = 0; n < viewers; n += 1) {
    logs.follow('bench', { tail: 100 }, (batch) => {
      if (n > 0) return;
      count += batch.lines.length + (batch.gap && 'lines' in batch.gap ? batch.gap.lines : 0);
      if (count < lines) return;
      logs.close();
      resolve(count);
    });
  }
  return promise;
}

function colourAll(text: string): number {
  for (let n = 0; n < lines; n += 1) toSegments(text);
  return lines;
}

/** Lines a second of the fastest of some rounds, which the rest of the machine disturbed least. */
async function measure(work: () => number | Promise<number>): Promise<number> {
  let best = 0;
  for (let round = 0; round < rounds; round += 1) {
    const started = performance.now();
    const done = await work();
    if (done !== lines) throw new Error(`${done} lines instead of ${lines}`);
    best = Math.max(best, (done / (performance.now() - started)) * 1000);
  }
  return best;
}

// The service's own timers keep no process alive.
const alive = setInterval(() => {}, 1_000);
const framed = makeChunks(true);
const raw = makeChunks(false);
const floor = await measure(() => countNewlines(framed));
const rows: [string, number][] = [
  ['floor: newlines counted', floor],
  ['reader, framed', await measure(() => readAll(framed))],
  ['reader, TTY', await measure(() => readAll(raw))],
  ['service, streamed', await measure(() => streamAll(framed))],
  ['service, streamed and searched', await measure(() => streamAll(framed, 'LINE'))],
  ['service, followed by 1', await measure(() => followAll(framed, 1))],
  ['service, followed by 20', await measure(() => followAll(framed, 20))],
  ['segments, plain', await measure(() => colourAll('x'.repeat(200)))],
  [
    'segments, coloured',
    await measure(() => colourAll(`\x1B[32mINFO\x1B[0m ${'x'.repeat(180)} \x1B[38;5;244mend\x1B[0m`)),
  ],
];

clearInterval(alive);
console.log(`${lines} lines of 200 bytes, best of ${rounds}`);
for (const [name, perSecond] of rows) {
  console.log(
    `${name.padEnd(32)} ${Math.round(perSecond).toLocaleString('en').padStart(12)} lines/s  ${(floor / perSecond).toFixed(1).padStart(6)} x floor`,
  );
}
const reader = rows[1]?.[1] ?? 0;
console.log(
  `${reader >= wantedPerSecond ? 'ok' : 'TOO SLOW'}: the reader should do ${wantedPerSecond.toLocaleString('en')} lines/s`,
);
if (reader < wantedPerSecond) process.exitCode = 1;
