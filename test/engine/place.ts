import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identify } from './processes.ts';

/** The folder that holds one folder for each private engine; only root can write there, and no tmpfs limits it. */
export const placesFolder = '/var/lib/fairlead-test';

const lastNumber = 250;

/**
 * Where one private engine lives: everything it has on the machine carries its number, so that whoever finds it later
 * knows what belongs to it.
 */
export type Place = ReturnType<typeof placeOf>;

/** The names of all that engine number `number` has or may have on this machine. */
export function placeOf(number: number) {
  const folder = join(placesFolder, String(number));
  return {
    number,
    folder,
    socket: join(folder, 'docker.sock'),
    data: join(folder, 'data'),
    exec: join(folder, 'exec'),
    // Inside the exec root, by which all processes of an engine are known.
    registries: join(folder, 'exec/registries'),
    pidfile: join(folder, 'docker.pid'),
    config: join(folder, 'daemon.json'),
    log: join(folder, 'docker.log'),
    namespace: `fairlead-test-${number}`,
    link: `fairlead-${number}`,
    bridge: `fairlead-br${number}`,
    cgroup: `fairlead-test-${number}`,
    hostAddress: `10.213.${number}.1`,
    engineAddress: `10.213.${number}.2`,
    bridgeAddress: `10.214.${number}.1`,
  };
}

/** Takes the first free place for this process; throws when all are taken. */
export async function claimPlace(): Promise<Place> {
  await mkdir(placesFolder, { recursive: true });
  // A folder with its owner's name in it is renamed into place, so that no place is ever seen without an owner.
  const claim = await mkdtemp(join(placesFolder, 'claim-'));
  await writeFile(join(claim, 'owner.json'), JSON.stringify(identify(process.pid)));
  for (let number = 1; number <= lastNumber; number += 1) {
    if (await takes(claim, placeOf(number).folder)) return placeOf(number);
  }
  await rm(claim, { recursive: true });
  throw new Error(`All ${lastNumber} places for private engines are taken, see ${placesFolder}`);
}

async function takes(claim: string, folder: string): Promise<boolean> {
  try {
    await rename(claim, folder);
    return true;
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
