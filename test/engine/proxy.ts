import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { environment } from './commands.ts';
import { installPackages } from './packages.ts';
import { endChild, hasEnded } from './processes.ts';

const readyMs = 10_000;
const pollMs = 20;

/** Settings of an HAProxy that lets only GET pass to the engine behind it. */
const settings = (own: string, engine: string) => `
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend front
  bind unix@${own}
  http-request deny unless METH_GET
  default_backend engine
backend engine
  server engine unix@${engine}
`;

/**
 * Starts an HAProxy on a socket of its own in front of that of an engine, where it refuses all that is no GET. It ends with
 * `stop()`, and with this process at the latest. Throws MissingEngine where this machine can't run one.
 */
export async function startReadingProxy(engineSocket: string) {
  await installPackages(['haproxy']);
  const folder = await mkdtemp(join(tmpdir(), 'fairlead-proxy-'));
  const socketPath = join(folder, 'proxy.sock');
  await writeFile(join(folder, 'haproxy.cfg'), settings(socketPath, engineSocket));
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'haproxy', '-db', '-f', join(folder, 'haproxy.cfg')], {
    env: environment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });

  async function stop(): Promise<void> {
    if (!hasEnded(child)) await endChild(child);
    await rm(folder, { recursive: true, force: true });
  }

  for (const deadline = performance.now() + readyMs; !existsSync(socketPath); await delay(pollMs)) {
    if (!hasEnded(child) && performance.now() < deadline) continue;
    await stop();
    throw new Error(`HAProxy does not start: ${output}`);
  }
  return { host: `unix://${socketPath}`, stop };
}
