import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const bufferBytes = 64 * 1024 * 1024;

/** A command of the machine, looked up where its packages put it and never in a folder somebody added. */
export const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin';

/** The environment for a command: this process's own, with the machine's own commands first, and what is added. */
export const environment = (added: Record<string, string> = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: systemPath,
  ...added,
});

/** Runs a command and gives what it printed, without the closing newline; throws with the last line it complained in. */
export async function run(
  command: string,
  args: readonly string[],
  added: Record<string, string> = {},
): Promise<string> {
  try {
    const { stdout } = await execute(command, args, { env: environment(added), maxBuffer: bufferBytes });
    return stdout.trimEnd();
  } catch (error) {
    throw new Error(`${command} ${args[0] ?? ''}: ${lastLine(error)}`, { cause: error });
  }
}

/** Starts a command that goes on beside this process and does not keep it; what it prints is added to the file `log`. */
export function startBeside(
  [command = '', ...args]: readonly string[],
  log: string,
  added: Record<string, string> = {},
): ChildProcess {
  const output = openSync(log, 'a');
  // A session of its own, so that Ctrl-C in a terminal reaches the tests only, which then end it.
  const child = spawn(command, args, { env: environment(added), detached: true, stdio: ['ignore', output, output] });
  closeSync(output);
  child.unref();
  return child;
}

/** Runs a command to its end at once, for cleaning up while the process exits; says whether it succeeded. */
export function tryNow(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { env: environment(), stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Runs `work` while holding the lock file, so that several processes prepare a thing one after another. */
export async function locked<T>(path: string, work: () => Promise<T>): Promise<T> {
  // The lock lives as long as the child, and the child as long as its input: a killed process leaves no lock behind.
  const holder = spawn('flock', [path, 'sh', '-c', 'echo held; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const held = await Promise.race([once(holder.stdout, 'data'), once(holder, 'close').then(() => undefined)]);
    if (!held) throw new Error(`The lock ${path} could not be taken`);
    return await work();
  } finally {
    holder.stdin.end();
  }
}

function lastLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr?.trim() || message).split('\n').at(-1) ?? message;
}
