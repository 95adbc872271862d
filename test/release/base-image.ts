import { copyFile, cp, realpath, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../engine/commands.ts';
import type { Engine } from '../engine/engine.ts';
import { cached, installPackages, mirror } from '../engine/packages.ts';
import { projectFolder, typed } from './command-line.ts';

const certificates = '/etc/ssl/certs/ca-certificates.crt';
const unneeded = ['var/cache/apt/archives', 'var/lib/apt/lists', 'usr/share/doc', 'usr/share/locale', 'usr/share/man'];

/** A stand-in for the public image with Node 24 on Debian 12, made on this engine without a registry; gives its name. */
export async function buildNodeImage(engine: Engine, folder: string): Promise<string> {
  await engine.docker('import', join(await cached('debian-12', debian), 'root.tar'), 'fairlead-test/debian:12');
  await fillContext(folder);
  await engine.docker('build', '-q', '-t', 'fairlead-test/node:24', folder);
  return 'fairlead-test/node:24';
}

async function debian(folder: string): Promise<void> {
  await installPackages(['debootstrap']);
  const root = join(folder, 'root');
  await run('debootstrap', ['--variant=minbase', 'bookworm', root, await mirror()]);
  await Promise.all(unneeded.map((path) => rm(join(root, path), { recursive: true, force: true })));
  await run('tar', ['-C', root, '--exclude=./dev/*', '-cf', `${root}.tar`, '.']);
  await rm(root, { recursive: true });
}

/** Node is the one the project installs, npm and the trusted authorities are the machine's own. */
async function fillContext(folder: string): Promise<void> {
  await copyFile(process.execPath, join(folder, 'node'));
  await cp(await npmFolder(), join(folder, 'npm'), { recursive: true, verbatimSymlinks: true });
  await copyFile(certificates, join(folder, 'certificates.crt'));
  await writeFile(join(folder, 'Dockerfile'), dockerfile);
}

/** Asked of the shell and not of npm, which looks beside the Node it runs on. */
async function npmFolder(): Promise<string> {
  const command = await typed('sh', ['-c', 'command -v npm'], projectFolder);
  return dirname(dirname(await realpath(command)));
}

const dockerfile = `FROM fairlead-test/debian:12
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
COPY certificates.crt ${certificates}
ENV NODE_EXTRA_CA_CERTS=${certificates}
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
`;
