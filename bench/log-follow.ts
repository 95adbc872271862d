/**
 * How fast a log is followed from its first line through the program, as text, beside `curl` on the engine's own socket
 * for the same log, in turns. `node bench/log-follow.ts [engine version] [lines]`
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { until } from '../test/e2e/support.ts';
import type { EngineVersion } from '../test/engine/engine.ts';
import { inMegabytes, print, quantile, withWorld } from './support.ts';

const version = (process.argv[2] ?? '20.10') as EngineVersion;
const lines = Number(process.argv[3] ?? 200_000);
const pairs = 5;
const width = 120;

/** Follows with `curl` until so many lines were read: how long that took, and how much came. */
function follow(...args: string[]): Promise<{ ms: number; bytes: number }> {
  const begun = performance.now();
  const curl: ChildProcess = spawn('curl', ['--silent', '--no-buffer', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let count = 0;
  let bytes = 0;
  return new Promise((resolve, reject) => {
    curl.stdout?.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) count += 1;
      if (count < lines) return;
      resolve({ ms: performance.now() - begun, bytes });
      curl.kill();
    });
    curl.on('exit', (code) => reject(new Error(`curl ended with ${code} after ${count} lines`)));
  });
}

await withWorld({ version }, async ({ engine, at }) => {
  const command = ['sh', '-c', `seq ${lines} | sed 's/$/ ${'x'.repeat(width)}/'; exec sleep 100000`];
  const id = await engine.run('followed', { options: ['--network=none', '--stop-timeout=0'], command });
  const isWritten = async () => (await engine.docker('logs', '--tail', '1', id)).startsWith(`${lines} `);
  await until('all is written', isWritten, 120_000);
  const raw = `http://engine/v1.41/containers/${id}/logs?follow=1&stdout=1&stderr=1&timestamps=1`;
  const floor: number[] = [];
  const ours: Record<'text' | 'json', number[]> = { text: [], json: [] };
  let bytes = 0;
  for (let n = 0; n < pairs; n++) {
    const least = await follow('--unix-socket', engine.socketPath, raw);
    floor.push(least.ms);
    bytes = least.bytes;
    ours.text.push((await follow('-H', 'Accept: text/plain', at(`/api/containers/${id}/logs?follow=1&since=0`))).ms);
    ours.json.push((await follow(at(`/api/containers/${id}/logs?follow=1&since=0`))).ms);
  }
  const speed = (times: readonly number[]) => {
    const seconds = quantile(times, 0.5) / 1_000;
    return `${Math.round(lines / seconds).toLocaleString('en')} lines/s, ${inMegabytes(bytes / seconds)}/s of the engine's`;
  };
  const ratio = (times: readonly number[]) => quantile(floor, 0.5) / quantile(times, 0.5);
  console.log(`${lines.toLocaleString('en')} lines of ${width} bytes, medians of ${pairs}, engine ${version}`);
  print('floor: curl on the socket of the engine', speed(floor));
  print('followed as text', `${speed(ours.text)}, ${ratio(ours.text).toFixed(2)} x floor`, ratio(ours.text) >= 0.5);
  print('followed as JSON', `${speed(ours.json)}, ${ratio(ours.json).toFixed(2)} x floor`);
});
