import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { run, startBeside } from './commands.ts';
import { busyboxArchive } from './image.ts';
import { clear, clearLeftovers } from './leftovers.ts';
import { MissingEngine } from './missing.ts';
import { hostNetwork, type Network, privateNetwork } from './network.ts';
import { claimPlace, type Place } from './place.ts';
import { endChild, ended, hasEnded } from './processes.ts';
import { type EngineVersion, engineVersions, type Programs, programsOf } from './programs.ts';

export { MissingEngine } from './missing.ts';
export type { EngineVersion } from './programs.ts';

/** What a private engine is started with; `flags` are further ones of dockerd, such as `--live-restore`. */
export type EngineOptions = {
  version?: EngineVersion;
  flags?: readonly string[];
  network?: 'private' | 'host';
};

/** What a container is started with: options of `docker run`, the image's own command unless one is given. */
export type ContainerOptions = { options?: readonly string[]; image?: string; command?: readonly string[] };

/** A private engine, see `startEngine`. */
export type Engine = Awaited<ReturnType<typeof startEngine>>;

/** The image every private engine has: Debian's static busybox, whose command is `sh`. */
export const busyboxImage = 'fairlead-test/busybox:latest';

/** The label of all that a run of the tests makes, and its value for this run. */
export const runLabel = `fairlead.test=${randomBytes(6).toString('hex')}`;

/** The longest an engine may take until it answers, in ms: one that was killed first stops what it had started. */
const answerMs = 90_000;
const pollMs = 50;

/** The longest a killed process may take to be gone, in ms. */
const endMs = 10_000;

const running = new Set<Place>();

/**
 * The versions that the tests are to run on, from `FAIRLEAD_TEST_ENGINE` (a comma list, 20.10 unless set); throws for
 * one that is not known.
 */
export function engineVersionsToTest(): EngineVersion[] {
  return (process.env.FAIRLEAD_TEST_ENGINE || '20.10').split(',').map((text) => {
    const version = engineVersions.find((known) => known === text.trim());
    if (!version) throw new Error(`FAIRLEAD_TEST_ENGINE is ${text}, known are ${engineVersions.join(' and ')}`);
    return version;
  });
}

/**
 * The version whose turn it is, for what has no reason to differ between engines: each of them is used by some of the files.
 * All of them where `FAIRLEAD_TEST_THOROUGH=1`.
 */
export function engineVersionsInTurn(turn: number): EngineVersion[] {
  const versions = engineVersionsToTest();
  return process.env.FAIRLEAD_TEST_THOROUGH === '1' ? versions : [versions[turn % versions.length] as EngineVersion];
}

/**
 * Starts a Docker engine that shares nothing with the machine's own one: its socket, its files, its network and its
 * control groups are its own. It ends with `stop()`, and with this process at the latest.
 * Throws MissingEngine where this machine can't run one.
 *
 * @example
 * const engine = await startEngine({ version: '28', flags: ['--live-restore'] });
 * await engine.run('web', { options: ['-p', '8080:80'], command: ['httpd', '-f', '-h', '/etc'] });
 * await engine.stop();
 */
export async function startEngine({ version = '20.10', flags = [], network = 'private' }: EngineOptions = {}) {
  requireRoot();
  clearLeftovers();
  const programs = await programsOf(version);
  const place = await claimPlace();
  clearAtExit(place);
  try {
    const net = await (network === 'host' ? hostNetwork(place) : privateNetwork(place));
    const engine = createEngine({ version, place, programs, net, flags });
    await engine.start();
    await engine.docker(
      'import',
      '-c',
      'CMD ["sh"]',
      '-c',
      'ENV PATH=/bin',
      await busyboxArchive(place.folder),
      busyboxImage,
    );
    return engine;
  } catch (error) {
    release(place);
    throw error;
  }
}

type Parts = { version: EngineVersion; place: Place; programs: Programs; net: Network; flags: readonly string[] };

function createEngine(parts: Parts) {
  const { place, programs, net } = parts;
  const host = `unix://${place.socket}`;
  let daemon: ChildProcess | undefined;

  /** Runs the docker CLI of the same version on this engine and gives what it printed; throws with its complaint. */
  const docker = (...args: string[]): Promise<string> =>
    run(programs.docker, args, {
      DOCKER_HOST: host,
      DOCKER_CONFIG: place.folder,
      // The engine's own builder: the other one is a plugin that may be missing.
      DOCKER_BUILDKIT: '0',
      PATH: programs.path,
    });

  /** Starts a container named `fairlead-test-<name>` in the background and gives its id. */
  const runContainer = (name: string, { options = [], image = busyboxImage, command = [] }: ContainerOptions = {}) =>
    docker(
      'run',
      '-d',
      '--pull=never',
      `--name=fairlead-test-${name}`,
      `--label=${runLabel}`,
      ...options,
      image,
      ...command,
    );

  /** Starts the engine after `kill()`, and waits until it answers. */
  const start = async (): Promise<void> => {
    if (daemon) throw new Error('This engine runs already');
    await Promise.all([place.pidfile, place.socket].map((path) => rm(path, { force: true })));
    daemon = await spawnDaemon(parts);
    await untilItAnswers(place, daemon);
  };

  /** Kills dockerd as a crash would: its containers live on, and nothing is tidied up. */
  const kill = async (): Promise<void> => {
    const killed = daemon;
    daemon = undefined;
    if (!killed || hasEnded(killed)) return;
    await endChild(killed);
    await endContainerd(place);
  };

  /** Ends the engine with its containers and removes all traces of both. */
  const stop = async (): Promise<void> => {
    await kill();
    release(place);
  };

  return {
    host,
    socketPath: place.socket,
    version: parts.version,
    /** Where it lives on this machine. */
    place,
    /** What a command is put behind to run in the engine's network namespace; nothing where it has none of its own. */
    inside: net.prefix,
    /** The IP address where published ports answer. */
    address: net.address,
    /** The process number of dockerd, undefined while it is killed. */
    get pid(): number | undefined {
      return daemon?.pid;
    },
    docker,
    run: runContainer,
    start,
    kill,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function requireRoot(): void {
  if (process.platform !== 'linux') throw new MissingEngine('A private engine for tests needs Linux.');
  if (process.getuid?.() !== 0) throw new MissingEngine('A private engine for tests needs root.');
}

async function spawnDaemon({ place, programs, net, flags }: Parts): Promise<ChildProcess> {
  // Its own empty settings: what the machine's own engine is told in /etc is not meant for this one.
  await writeFile(place.config, '{}');
  const command = [...net.prefix, programs.dockerd, ...ownFlags(place), ...net.flags, ...programs.flags, ...flags];
  return startBeside(command, place.log, { PATH: programs.path });
}

/**
 * The kernel ends containerd together with dockerd, but a moment later: an engine that is started in between takes the
 * dying one for its own and waits for it in vain.
 */
async function endContainerd({ exec }: Place): Promise<void> {
  const pidfile = join(exec, 'containerd/containerd.pid');
  const pid = Number(await readFile(pidfile, 'utf8').catch(() => ''));
  if (pid > 0) await ended(pid, endMs);
  await rm(pidfile, { force: true });
}

const ownFlags = (place: Place): string[] => [
  `--host=unix://${place.socket}`,
  `--data-root=${place.data}`,
  `--exec-root=${place.exec}`,
  `--pidfile=${place.pidfile}`,
  `--cgroup-parent=/${place.cgroup}`,
  '--exec-opt=native.cgroupdriver=cgroupfs',
  `--config-file=${place.config}`,
];

async function untilItAnswers(place: Place, daemon: ChildProcess): Promise<void> {
  const end = performance.now() + answerMs;
  while (!(await answers(place.socket))) {
    if (hasEnded(daemon) || performance.now() > end) throw await startFailure(place);
    await delay(pollMs);
  }
}

const answers = (socketPath: string): Promise<boolean> =>
  new Promise((resolve) => {
    const request = get({ socketPath, path: '/_ping', timeout: 1000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });

async function startFailure(place: Place): Promise<Error> {
  const lines = (await readFile(place.log, 'utf8')).trimEnd().split('\n');
  return new Error(`The private engine does not answer. Its last words:\n${lines.slice(-8).join('\n')}`);
}

/** Once only: afterwards the place may be another one's. */
function release(place: Place): void {
  if (running.delete(place)) clear(place);
}

/** Registers a place to be cleared when this process ends, be it by itself or by a signal. */
function clearAtExit(place: Place): void {
  if (!listening) listen();
  running.add(place);
}

let listening = false;
function listen(): void {
  listening = true;
  process.on('exit', () => running.forEach(release));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      running.forEach(release);
      process.kill(process.pid, signal);
    });
  }
}
