import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { locked, run } from './commands.ts';
import { MissingEngine } from './missing.ts';

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const quiet = { DEBIAN_FRONTEND: 'noninteractive' };

/** Where what was fetched for tests is kept between runs. */
export const cacheFolder = (): string => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'fairlead-test');

/** Installs those of Debian's packages that are not there yet; throws MissingEngine where that can't be done. */
export async function installPackages(names: readonly string[]): Promise<void> {
  if ((await missingOf(names)).length === 0) return;
  requireDebian();
  await mkdir(cacheFolder(), { recursive: true });
  await locked(join(cacheFolder(), 'apt.lock'), async () => {
    const missing = await missingOf(names);
    if (missing.length > 0) await install(missing);
  });
}

/**
 * Fetches packages of a Debian suite and unpacks them into `folder`, without installing anything. The machine's
 * own package lists are not touched: the suite gets lists of its own beside it. Throws MissingEngine.
 */
export async function unpackPackages(suite: string, names: readonly string[], folder: string): Promise<void> {
  requireDebian();
  const lists = await mkdtemp(join(dirname(folder), 'lists-'));
  try {
    const options = await privateLists(suite, lists);
    await run('apt-get', [...options, 'update']);
    await run('sh', ['-c', 'cd "$0" && exec apt-get "$@"', lists, ...options, 'download', ...names]);
    for (const file of await readdir(lists)) {
      if (file.endsWith('.deb')) await run('dpkg-deb', ['-x', join(lists, file), folder]);
    }
  } catch (error) {
    throw new MissingEngine(`Debian's packages of ${suite} could not be fetched: ${withoutAddresses(error)}`);
  } finally {
    await rm(lists, { recursive: true, force: true });
  }
}

/** Makes a folder of the cache once, by `fill`; whoever asks at the same time waits for it. Gives its path. */
export async function cached(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), name);
  if (existsSync(folder)) return folder;
  await mkdir(cacheFolder(), { recursive: true });
  await locked(`${folder}.lock`, async () => {
    if (existsSync(folder)) return;
    // Filled under another name first: a run that is killed half-way leaves nothing that looks complete.
    const partial = `${folder}.partial`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial);
    await fill(partial);
    await rename(partial, folder);
  });
  return folder;
}

function requireDebian(): void {
  if (!existsSync('/usr/bin/apt-get'))
    throw new MissingEngine('Debian or a system like it is needed: there is no apt-get.');
  if (process.getuid?.() !== 0) throw new MissingEngine('Only root can install the packages that are missing.');
}

async function missingOf(names: readonly string[]): Promise<string[]> {
  const states = await Promise.all(names.map(isInstalled));
  return names.filter((_, i) => !states[i]);
}

const isInstalled = (name: string): Promise<boolean> =>
  run('dpkg-query', ['-s', name]).then(
    (state) => state.includes('\nStatus: install ok installed'),
    () => false,
  );

async function install(names: readonly string[]): Promise<void> {
  try {
    await run('apt-get', ['update'], quiet);
    await run(
      'apt-get',
      ['install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', ...names],
      quiet,
    );
  } catch (error) {
    throw new MissingEngine(`Debian's packages ${names.join(', ')} could not be installed: ${withoutAddresses(error)}`);
  }
}

/** The options that make apt read one suite's lists, kept under `folder`, from the mirror the machine itself uses. */
async function privateLists(suite: string, folder: string): Promise<string[]> {
  const sources = join(folder, 'sources.list');
  await writeFile(sources, `deb [signed-by=${keyring}] ${await mirror()} ${suite} main\n`);
  await writeFile(join(folder, 'status'), '');
  await mkdir(join(folder, 'state/lists/partial'), { recursive: true });
  await mkdir(join(folder, 'cache/archives/partial'), { recursive: true });
  return [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State=${join(folder, 'state')}`,
    `Dir::State::status=${join(folder, 'status')}`,
    `Dir::Cache=${join(folder, 'cache')}`,
    'APT::Sandbox::User=root',
    'Acquire::Languages=none',
  ].flatMap((option) => ['-o', option]);
}

/** The address of the Debian archive in the machine's own sources: the one that has a plain suite, not its updates. */
export async function mirror(): Promise<string> {
  const targets = await run('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI) $(RELEASE) $(COMPONENT)',
    'Created-By: Packages',
  ]);
  const own = targets.split('\n').map((line) => line.split(' '));
  const address = own.find(([, release, component]) => component === 'main' && /^[a-z]+$/.test(release ?? ''))?.[0];
  if (!address) throw new MissingEngine("No mirror of Debian's main archive is set up on this machine.");
  return address;
}

const withoutAddresses = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/\w+:\/\/\S+/g, 'the mirror');
