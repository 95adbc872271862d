import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './commands.ts';

const folders = ['bin', 'dev', 'etc', 'proc', 'root', 'sys', 'tmp', 'usr', 'var/www'];

/** A tar archive of a tiny system, Debian's static busybox and a link for each of its commands; made in `folder`. */
export async function busyboxArchive(folder: string): Promise<string> {
  const root = join(folder, 'busybox');
  for (const name of folders) await mkdir(join(root, name), { recursive: true });
  await chmod(join(root, 'tmp'), 0o1777);
  await copyFile('/bin/busybox', join(root, 'bin/busybox'));
  await symlink('../bin', join(root, 'usr/bin'));
  await linkCommands(join(root, 'bin'));
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\n');
  await run('tar', ['-C', root, '-cf', `${root}.tar`, '.']);
  return `${root}.tar`;
}

async function linkCommands(bin: string): Promise<void> {
  const commands = (await run('/bin/busybox', ['--list'])).split('\n').filter((name) => name !== 'busybox');
  await Promise.all(commands.map((name) => symlink('busybox', join(bin, name))));
}
