// Runs the tests and prints, as its last line, how many assertions passed and failed: `npm test [-- files or tap options]`.
// Plain JavaScript in old words, so that an old Node gets as far as the sentence that names the one it needs.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { countsOf, printFailures, printFiles } from './report.js';

const neededMajor = 24;
const fileTimeoutSeconds = 600;
const root = fileURLToPath(new URL('..', import.meta.url));

if (Number(process.versions.node.split('.')[0]) < neededMajor) {
  console.error(
    `The tests need Node.js ${neededMajor} or newer, this is ${process.version}. "npm ci" installs it on x64 Linux.`,
  );
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'fairlead-tap-'));
const output = join(folder, 'output.tap');
const code = await runTap(process.argv.slice(2));
const lines = readOutput();
const counts = countsOf(lines);
printFailures(lines);
printFiles(lines);
rmSync(folder, { recursive: true });
await clearLeftovers();
// A file that ends badly without a failed assertion is a failure too, and so is a run that ran nothing.
const failed = counts.failed || (code !== 0 || counts.passed === 0 ? 1 : 0);
console.log(`${counts.passed} passed, ${failed} failed${counts.skipped ? `, ${counts.skipped} skipped` : ''}`);
process.exitCode = failed === 0 ? 0 : 1;

/** Runs tap on the files among the arguments, or on all test files, and gives its exit code. */
function runTap(args) {
  const files = args.some((arg) => !arg.startsWith('-')) ? [] : ['test/**/*.test.ts'];
  const options = [
    // Most of a file's time is waiting for engines: two at a time take a little more than half as long as one.
    '--jobs=2',
    '--type-strip-only',
    '--disable-coverage',
    `--timeout=${fileTimeoutSeconds}`,
    `--output-file=${output}`,
    // Reporters draw on a terminal and lose lines when they write to anything else.
    `--reporter=${process.stdout.isTTY ? 'base' : 'silent'}`,
  ];
  const tap = join(createRequire(import.meta.url).resolve('tap/package.json'), '../dist/esm/run.mjs');
  const child = spawn(process.execPath, [tap, ...options, ...args, ...files], { cwd: root, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.on('exit', (exitCode) => resolve(exitCode ?? 1));
  });
}

/** What tap wrote down, in lines; none when it didn't even start. */
function readOutput() {
  return existsSync(output) ? readFileSync(output, 'utf8').split('\n') : [];
}

/** Ends the engines of test files that were killed, for instance by their timeout. */
async function clearLeftovers() {
  const leftovers = await import('./engine/leftovers.ts');
  leftovers.clearLeftovers();
}
