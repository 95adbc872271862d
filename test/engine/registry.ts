import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { run, startBeside } from './commands.ts';
import type { Engine } from './engine.ts';
import type { Place } from './place.ts';
import { endChild, hasEnded } from './processes.ts';
import { registryProgram } from './programs.ts';
import { type ImageOptions, publishImage } from './publish.ts';
import type { ThrottleSettings } from './throttle.ts';

/** The registries of a private engine, see `startRegistries`. */
export type Registries = Awaited<ReturnType<typeof startRegistries>>;

/** One of them. */
export type Registry = Awaited<ReturnType<typeof startServer>>;

/** How much the slow registry lets through at first, in bytes a second: 4 MiB unless told. */
export type RegistriesOptions = { bytesPerSecond?: number };

type Name = keyof typeof ports;
type Login = { user: string; password: string };

const ports = { open: 5000, locked: 5001, slow: 5002 };
/** The open one under a name that no pull uses: publishing then takes no tag away from an image that was pulled. */
const pushAddress = `127.0.0.2:${ports.open}`;
const throttleScript = new URL('throttle.ts', import.meta.url).pathname;

/** The longest a registry may take until it answers, in ms. */
const answerMs = 20_000;
const pollMs = 20;

/**
 * Starts three registries on the loopback of an engine's own network, where it wants no TLS: an open one, a locked one
 * that wants a login, and a slow way to the open one. All have the same images. They end with the engine at the latest.
 * Throws MissingEngine where this machine can't run them.
 *
 * @example
 * const { publish, slow } = await startRegistries(engine);
 * const { digest } = await publish('shop/web:1', { layers: [4, 8], config: ['CMD ["sleep", "1000"]'] });
 * await engine.docker('pull', `${slow.address}/shop/web:1`);
 */
export async function startRegistries(engine: Engine, { bytesPerSecond = 4 * 1024 * 1024 }: RegistriesOptions = {}) {
  if (engine.inside.length === 0) throw new Error('Registries need an engine with a network of its own');
  const { place } = engine;
  const serve = [await registryProgram(), 'serve'];
  const login: Login = { user: 'fairlead-test', password: randomBytes(12).toString('hex') };
  await mkdir(place.registries, { recursive: true });
  await writeSettings(place, 'open', registrySettings(place, 'open'));
  await writeSettings(place, 'locked', {
    ...registrySettings(place, 'locked'),
    auth: await authSettings(place, login),
  });
  await writeSettings(place, 'slow', throttleSettings(bytesPerSecond));

  const open = await startServer(engine, 'open', serve);
  const locked = await startServer(engine, 'locked', serve);
  const slow = await startServer(engine, 'slow', [process.execPath, throttleScript]);

  /** Changes how many bytes a second the slow one lets through, at once and also for pulls that run; 0 holds them. */
  const throttle = (rate: number): Promise<void> => writeSettings(place, 'slow', throttleSettings(rate));

  return {
    open,
    /** Answers to its `user` with its `password` only. */
    locked: Object.assign(locked, login),
    slow,
    throttle,
    /** Makes an image and puts it into the registries, see `publishImage`. */
    publish: (name: string, options?: ImageOptions) => publishImage(engine, pushAddress, name, options),
  };
}

const settingsFile = ({ registries }: Place, name: Name): string => join(registries, `${name}.json`);

/** Whoever reads them meanwhile gets the older ones, or these, and never a part. */
async function writeSettings(place: Place, name: Name, settings: object): Promise<void> {
  const file = settingsFile(place, name);
  await writeFile(`${file}.new`, JSON.stringify(settings));
  await rename(`${file}.new`, file);
}

const registrySettings = ({ registries }: Place, name: Name) => ({
  version: '0.1',
  log: { level: 'warn', accesslog: { disabled: true } },
  storage: { filesystem: { rootdirectory: join(registries, 'data') } },
  // At all addresses: from outside the engine's network it is asked whether it listens.
  http: { addr: `:${ports[name]}` },
});

async function authSettings({ registries }: Place, { user, password }: Login) {
  const path = join(registries, 'passwords');
  await writeFile(path, `${user}:${await bcrypt(password)}\n`);
  return { htpasswd: { realm: 'fairlead-test', path } };
}

/** The only hash that the registry takes, by the C library: Perl leads to it and is on every Debian. */
const bcrypt = (password: string): Promise<string> =>
  run('perl', ['-e', 'print crypt($ARGV[0], $ARGV[1])', password, `$2b$05$${randomBytes(11).toString('hex')}`]);

const throttleSettings = (bytesPerSecond: number): ThrottleSettings => ({
  port: ports.slow,
  targetPort: ports.open,
  bytesPerSecond,
});

async function startServer({ place, inside, address }: Engine, name: Name, program: readonly string[]) {
  const log = join(place.registries, `${name}.log`);
  let child: ChildProcess | undefined;

  /** Starts it after `stop()`, with all that it had, and waits until it answers. */
  const start = async (): Promise<void> => {
    if (child) throw new Error(`The ${name} registry runs already`);
    child = startBeside([...inside, ...program, settingsFile(place, name)], log);
    await untilItListens(child, address, ports[name], log);
  };

  /** Ends it at once: what was open breaks off, and further connections are refused. */
  const stop = async (): Promise<void> => {
    const stopped = child;
    child = undefined;
    if (stopped) await endChild(stopped);
  };

  await start();
  return {
    /** What its references begin with on the engine, such as 127.0.0.1:5000. */
    address: `127.0.0.1:${ports[name]}`,
    /** Its process number, undefined while it is stopped. */
    get pid(): number | undefined {
      return child?.pid;
    },
    start,
    stop,
  };
}

async function untilItListens(child: ChildProcess, address: string, port: number, log: string): Promise<void> {
  const end = performance.now() + answerMs;
  while (!(await listens(address, port))) {
    if (hasEnded(child) || performance.now() > end) {
      throw new Error(`The registry at port ${port} does not answer: ${await readFile(log, 'utf8')}`);
    }
    await delay(pollMs);
  }
}

const listens = (address: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, address);
    socket.on('error', () => resolve(false));
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
