import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { environment, run } from './commands.ts';
import { installPackages } from './packages.ts';
import { endChild, hasEnded } from './processes.ts';

const readyMs = 10_000;
const pollMs = 20;

/** A proxy with TLS in front of a program, see `startFrontProxy`. */
export type FrontProxy = Awaited<ReturnType<typeof startFrontProxy>>;

/** The example of a language in the page about proxies, word for word. */
function documented(language: string): string {
  const page = readFileSync(new URL('../../docs/proxies.md', import.meta.url), 'utf8');
  const found = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(page)?.[1];
  if (found === undefined) throw new Error(`docs/proxies.md has no example for ${language}`);
  return found;
}

/** Puts another address or file into an example; throws where the example does not have it. */
function replaced(text: string, changes: Record<string, string>): string {
  return Object.entries(changes).reduce((before, [from, to]) => {
    if (!before.includes(from)) throw new Error(`The example has no "${from}"`);
    return before.replaceAll(from, to);
  }, text);
}

/** A port of loopback that nobody uses now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Makes a certificate for localhost that lasts a day; gives its text. */
async function makeCertificate(folder: string): Promise<string> {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  await run('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', cert, ...names]);
  const text = readFileSync(cert, 'utf8');
  writeFileSync(join(folder, 'both.pem'), text + readFileSync(key, 'utf8'));
  return text;
}

/** What each is called, which package has it, and how its example is run. */
const kinds = {
  nginx: {
    packages: ['nginx-light', 'openssl'],
    file: (folder: string, port: number, target: string) => {
      const example = replaced(documented('nginx'), {
        'listen 443': `listen 127.0.0.1:${port}`,
        'http://127.0.0.1:3000': target,
        '/etc/ssl/fairlead/': `${folder}/`,
      });
      const user = process.getuid?.() === 0 ? 'user root;' : '';
      const files = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder};`);
      return `daemon off; master_process off; ${user} pid ${folder}/pid; error_log stderr;
        events {} http { access_log off; ${files.join(' ')}\n${example}}`;
    },
    command: (file: string) => ['nginx', '-e', 'stderr', '-c', file],
  },
  haproxy: {
    packages: ['haproxy', 'openssl'],
    file: (folder: string, port: number, target: string) =>
      replaced(documented('haproxy'), {
        'bind :443': `bind 127.0.0.1:${port}`,
        '127.0.0.1:3000': target.replace('http://', ''),
        '/etc/ssl/fairlead/': `${folder}/`,
      }),
    command: (file: string) => ['haproxy', '-db', '-f', file],
  },
};

/**
 * Starts a proxy as docs/proxies.md has it, but for ports and files, on a port of loopback in front of a program at
 * `target`. It ends with `stop()`, and with this process at the latest. Throws MissingEngine where this machine can't run one.
 */
export async function startFrontProxy(kind: keyof typeof kinds, port: number, target: string) {
  const { packages, file, command } = kinds[kind];
  await installPackages(packages);
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-front-'));
  const certificate = await makeCertificate(folder);
  const settings = join(folder, 'settings');
  writeFileSync(settings, file(folder, port, target));
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command(settings)], {
    env: environment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });

  async function stop(): Promise<void> {
    if (!hasEnded(child)) await endChild(child);
    rmSync(folder, { recursive: true, force: true });
  }

  for (const deadline = performance.now() + readyMs; !(await answers(port)); await delay(pollMs)) {
    if (!hasEnded(child) && performance.now() < deadline) continue;
    await stop();
    throw new Error(`${kind} does not start: ${output}`);
  }
  return { certificate, stop };
}

/** Whether TLS is spoken at a port of loopback. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => end(true));
    const end = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.on('error', () => end(false));
  });
}
