import { existsSync } from 'node:fs';
import { copyFile, cp, glob, mkdir, readdir, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { run, systemPath } from './commands.ts';
import { MissingEngine } from './missing.ts';
import { cached, cacheFolder, installPackages, unpackPackages } from './packages.ts';

/** The engines that tests run on: the oldest and the newest that Debian has. */
export const engineVersions = ['20.10', '28'] as const;
export type EngineVersion = (typeof engineVersions)[number];

/** Where one engine's programs are; `path` is what dockerd looks up containerd, the shims and runc in. */
export type Programs = { dockerd: string; docker: string; path: string; flags: readonly string[] };

const shared = ['busybox-static', 'iptables', 'iproute2', 'util-linux'];
const unpacked = ['docker.io', 'docker-cli', 'containerd', 'runc', 'tini-static', 'libc6', 'libseccomp2'];

/** The programs of an engine, installed or unpacked first where they are missing; throws MissingEngine. */
export async function programsOf(version: EngineVersion): Promise<Programs> {
  const programs = version === '20.10' ? await installed() : await fetched();
  const found = await run(programs.dockerd, ['--version']);
  if (!found.includes(` version ${version}.`)) {
    throw new MissingEngine(`Engine ${version} is needed, and Debian has another one here: ${found}.`);
  }
  return programs;
}

/** The engine of Debian 12, which is installed on the machine and never started there. */
async function installed(): Promise<Programs> {
  await installPackages(['docker.io', ...shared]);
  return { dockerd: '/usr/sbin/dockerd', docker: '/usr/bin/docker', path: systemPath, flags: [] };
}

/** The engine of the coming Debian, unpacked beside the machine's own programs. */
async function fetched(): Promise<Programs> {
  await installPackages(['patchelf', ...shared]);
  const bin = join(await cached('engine-28', unpack), 'bin');
  return {
    dockerd: join(bin, 'dockerd'),
    docker: join(bin, 'docker'),
    path: `${bin}:${systemPath}`,
    flags: [`--userland-proxy-path=${join(bin, 'docker-proxy')}`, `--init-path=${join(bin, 'docker-init')}`],
  };
}

/** The registry of Debian 12, unpacked only, since its package would start it; throws MissingEngine. */
export async function registryProgram(): Promise<string> {
  const folder = await cached('registry', (empty) => unpackPackages('bookworm', ['docker-registry'], empty));
  return join(folder, 'usr/bin/docker-registry');
}

async function unpack(folder: string): Promise<void> {
  const root = join(folder, 'root');
  const bin = join(folder, 'bin');
  await mkdir(root);
  await mkdir(bin);
  await unpackPackages('forky', unpacked, root);
  for await (const file of glob(
    join(root, 'usr/{bin,sbin,libexec/docker}/{docker,dockerd,docker-proxy,containerd*,ctr}'),
  )) {
    await link(file, join(bin, basename(file)));
  }
  await link(join(root, 'usr/bin/tini-static'), join(bin, 'docker-init'));
  await ownLibraries(root, folder);
}

/**
 * Gives runc the C library of its own suite, the only program that needs a newer one than the machine has. It must
 * stand in the file itself, because runc starts itself again from /proc/self/exe and would lose a loader put before it.
 */
async function ownLibraries(root: string, folder: string): Promise<void> {
  const runc = join(folder, 'bin/runc');
  const library = join(folder, 'lib');
  await mkdir(library);
  for await (const file of glob(
    join(root, '{usr/lib,lib,lib64,usr/lib64}/**/{libc.so.6,ld-linux*.so.*,libseccomp.so.2}'),
  )) {
    await cp(file, join(library, basename(file)), { dereference: true });
  }
  await copyFile(join(root, existsSync(join(root, 'usr/bin/runc')) ? 'usr/bin/runc' : 'usr/sbin/runc'), runc);
  const loader = (await readdir(library)).find((name) => name.startsWith('ld-linux')) ?? '';
  const final = join(cacheFolder(), 'engine-28/lib');
  await run('patchelf', ['--set-interpreter', join(final, loader), '--set-rpath', final, runc]);
}

/** Links relatively, so that the folder can be renamed once it is complete. */
const link = (file: string, name: string): Promise<void> => symlink(relative(dirname(name), file), name);
