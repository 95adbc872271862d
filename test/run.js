// Runs the tests and prints, as its last line, how many assertions passed and failed: `npm test [-- files or tap options]`.
// Plain JavaScript in old words, so that an old Node gets as far as the sentence that names the one it needs.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const neededMajor = 24;
const fileTimeoutSeconds = 300;
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
const counts = readCounts(lines);
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
    // One file after another: the end-to-end tests measure times and share two cores with a browser and an engine.
    '--jobs=1',
    '--type-strip-only',
    '--disable-coverage',
    `--timeout=${fileTimeoutSeconds}`,
    `--output-file=${output}`,
    `--reporter=${process.stdout.isTTY ? 'base' : 'min'}`,
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

/** The counts of tap's own closing comment, `# { total: 3, pass: 1, fail: 1, skip: 1 }`; nothing when it is missing. */
function readCounts(lines) {
  const comment = lines.findLast((line) => /^# \{ .* \}$/.test(line)) ?? '';
  const count = (name) => Number(comment.match(new RegExp(`\\b${name}: (\\d+)`))?.[1] ?? 0);
  return { passed: count('pass'), failed: count('fail'), skipped: count('skip') + count('todo') };
}

/** Prints a line for each test file, and why something was skipped. */
function printFiles(lines) {
  const files = lines.filter((line) => /^(not )?ok /.test(line));
  const skipped = lines.flatMap((line) => line.match(/^ +ok .*# SKIP (.+)$/)?.[1] ?? []);
  if (files.length > 0)
    console.log(files.map((line) => line.replace(/^(not ok|ok) \d+ - /, (_, result) => result.padEnd(8))).join('\n'));
  for (const reason of new Set(skipped)) console.log(`skipped  ${reason}`);
}

/** Ends the engines of test files that were killed, for instance by their timeout. */
async function clearLeftovers() {
  const leftovers = await import('./engine/leftovers.ts');
  leftovers.clearLeftovers();
}
