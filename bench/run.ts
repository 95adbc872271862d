/**
 * Runs the benches one after another and prints their figures, each beside a floor measured in the same run:
 * `npm run bench`, or `npm run bench -- events pages`. A figure that is not good enough ends it with code 1.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const names = [
  'pages',
  'memory',
  'stats',
  'cost',
  'logs',
  'log-follow',
  'log-load',
  'log-slices',
  'events',
  'firehose',
  'sign-in',
] as const;
const longestMs = 600_000;
/** The program's own flag, see `npm start`: garbage is collected in smaller pieces, more often. */
const asStarted = '--max-semi-space-size=2';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !names.some((known) => known === name));
if (unknown.length > 0) {
  console.error(`There is no bench ${unknown.join(', ')}: known are ${names.join(', ')}.`);
  process.exit(1);
}

for (const name of wanted.length > 0 ? wanted : names) {
  console.log(`\n== ${name}`);
  const child = spawn(process.execPath, [asStarted, join(import.meta.dirname, `${name}.ts`)], { stdio: 'inherit' });
  // By a signal that leaves it time to end its engine.
  const timer = setTimeout(() => child.kill('SIGTERM'), longestMs);
  const [code] = (await once(child, 'exit')) as [number | null];
  clearTimeout(timer);
  if (code === null) console.log(`${name} did not end within ${longestMs / 1000} s.`);
  if (code !== 0) process.exitCode = 1;
}
