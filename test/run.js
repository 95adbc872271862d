// Runs the tests and prints, as its last line, how many assertions passed and failed: `npm test [-- files or tap options]`.
// Plain JavaScript in old words, so that an old Node gets as far as the sentence that names the one it needs.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { countsOf, failedFiles, printFailures, printFiles } from './report.js';

const neededMajor = 24;
const fileTimeoutSeconds = 600;
/** With more failed files than so many, something is broken and not unsteady. */
const mostUnsteady = 3;
const root = fileURLToPath(new URL('..', import.meta.url));

if (Number(process.versions.node.split('.')[0]) < neededMajor) {
  console.error(
    `The tests need Node.js ${neededMajor} or newer, this is ${process.version}. "npm ci" installs it on x64 Linux.`,
  );
  process.exit(1);
}

const args = process.argv.slice(2);
const options = args.filter((arg) => arg.startsWith('-'));
const files = args.filter((arg) => !arg.startsWith('-'));
// Most of a file's time is waiting for engines: two at a time take a little more than half as long as one.
const counts = await attempt(files.length > 0 ? files : ['test/**/*.test.ts'], 2);
const unsteady = process.env.CI && counts.files.length <= mostUnsteady ? counts.files : [];
if (unsteady.length > 0) counts.failed = await failuresAlone(unsteady);
await clearLeftovers();
console.log(`${counts.passed} passed, ${counts.failed} failed${counts.skipped ? `, ${counts.skipped} skipped` : ''}`);
process.exitCode = counts.failed === 0 ? 0 : 1;

/**
 * Runs failed files once more, one at a time, and gives how many assertions fail then too. What engines and browsers do
 * on a machine that is busy with something else may fail a test; what is told in the open is no secret: both are printed.
 */
async function failuresAlone(unsteady) {
  console.log(`\nOnce more, one at a time: ${unsteady.join(', ')}`);
  const { failed } = await attempt(unsteady, 1);
  if (failed === 0) console.log(`unsteady  failed above and passed alone: ${unsteady.join(', ')}`);
  return failed;
}

/** Runs files, tells what came of each, and counts the assertions; a run that ran nothing has failed. */
async function attempt(files, jobs) {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-tap-'));
  const output = join(folder, 'output.tap');
  const code = await runTap(files, jobs, output);
  const lines = existsSync(output) ? readFileSync(output, 'utf8').split('\n') : [];
  rmSync(folder, { recursive: true });
  printFailures(lines);
  printFiles(lines);
  const { passed, failed, skipped } = countsOf(lines);
  // A file that ends badly without a failed assertion is a failure too.
  return { passed, failed: failed || (code !== 0 || passed === 0 ? 1 : 0), skipped, files: failedFiles(lines) };
}

/** Runs tap and gives its exit code. */
function runTap(files, jobs, output) {
  const settings = [
    `--jobs=${jobs}`,
    '--type-strip-only',
    '--disable-coverage',
    `--timeout=${fileTimeoutSeconds}`,
    `--output-file=${output}`,
    // Reporters draw on a terminal and lose lines when they write to anything else.
    `--reporter=${process.stdout.isTTY ? 'base' : 'silent'}`,
  ];
  const tap = join(createRequire(import.meta.url).resolve('tap/package.json'), '../dist/esm/run.mjs');
  const child = spawn(process.execPath, [tap, ...settings, ...options, ...files], { cwd: root, stdio: 'inherit' });
  const pass = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, pass);
  return new Promise((resolve) => {
    child.on('exit', (exitCode) => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, pass);
      resolve(exitCode ?? 1);
    });
  });
}

/** Ends the engines of test files that were killed, for instance by their timeout. */
async function clearLeftovers() {
  const leftovers = await import('./engine/leftovers.ts');
  leftovers.clearLeftovers();
}
