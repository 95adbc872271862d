import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { environment } from './commands.ts';
import { installPackages } from './packages.ts';
import { endChild, hasEnded } from './processes.ts';

const readyMs = 10_000;
const pollMs = 20;

/** A port of loopback that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Settings around a server's own lines: all files are in one folder, and one process is all, so that none is left over. */
const settings = (folder: string, port: number, lines: string) => `
pid ${folder}/nginx.pid;
error_log stderr;
daemon off;
master_process off;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/tmp;
  proxy_temp_path ${folder}/tmp;
  fastcgi_temp_path ${folder}/tmp;
  uwsgi_temp_path ${folder}/tmp;
  scgi_temp_path ${folder}/tmp;
  types { text/html html; }
  server {
    listen 127.0.0.1:${port};
    root ${folder}/www;
${lines}
  }
}
`;

/**
 * Starts an nginx on a free port of loopback that serves one page, with lines of settings of its own. It ends with `stop()`,
 * and with this process at the latest. Throws MissingEngine where this machine can't run one.
 */
export async function startNginx(page: string, lines: string) {
  await installPackages(['nginx-light']);
  const folder = await mkdtemp(join(tmpdir(), 'fairlead-nginx-'));
  const port = await freePort();
  await mkdir(join(folder, 'www'));
  await writeFile(join(folder, 'www/index.html'), page);
  await writeFile(join(folder, 'nginx.conf'), `user root;\n${settings(folder, port, lines)}`);
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'nginx', '-p', folder, '-c', join(folder, 'nginx.conf')], {
    env: environment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const url = `http://127.0.0.1:${port}`;

  async function stop(): Promise<void> {
    if (!hasEnded(child)) await endChild(child);
    await rm(folder, { recursive: true, force: true });
  }

  const answers = () =>
    fetch(url).then(
      () => true,
      () => false,
    );
  for (const deadline = performance.now() + readyMs; !(await answers()); await delay(pollMs)) {
    if (!hasEnded(child) && performance.now() < deadline) continue;
    await stop();
    throw new Error(`nginx does not start: ${output}`);
  }
  return { url, stop };
}
