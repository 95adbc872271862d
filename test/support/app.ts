import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingMessage, request as sendRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { type ClientOptions, WebSocket } from 'ws';
import { type Bounds, buildApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createSimulatedEngine, type SimulatedEngine, type SimulatedEngineOptions } from '../simulated/engine.ts';

/** Waits until a page holds a fragment as it is: between two requests an age may have grown by a second. */
export const untilHolds = (app: TestApp, page: string, fragment: string) =>
  until(
    async () => (await app.get(page)).text.includes((await app.get(fragment)).text.trim()),
    `${page} holds ${fragment}`,
  );

/** What a test says about its application; everything has a default. */
export type AppOptions = {
  /** How the simulated engine shall be, or one that runs already. */
  engine?: SimulatedEngineOptions | SimulatedEngine;
  /** Done before the application looks at the engine. */
  prepare?: (engine: SimulatedEngine) => unknown;
  /** Settings over those of the tests: a free port, no sampling, no log, no limit of requests, nobody signs in. */
  env?: Record<string, string>;
  /** Bounds of time that are shorter than those of the program. */
  bounds?: Bounds;
  /** A data folder of an earlier application; default a new one, which goes with the test. */
  dataDir?: string;
  /** Whether to wait until the engine is known; default true. */
  waits?: boolean;
};

export type TestApp = Awaited<ReturnType<typeof startApp>>;

/** Hundreds of sign-ins would else take minutes. */
const cheap = { N: 16, r: 1, p: 1 };

/** An answer, read whole. */
export type Answer = { status: number; headers: Record<string, string | undefined>; text: string };

type Headers = Record<string, string>;

/** Builds and serves the application on a simulated engine and a folder of its own; all is closed with the test. */
export async function startApp(
  t: Test,
  { engine: wanted = {}, prepare, env = {}, bounds, dataDir: kept, waits = true }: AppOptions = {},
) {
  const isRunning = 'socketPath' in wanted && 'openStreams' in wanted;
  const engine = isRunning ? wanted : await createSimulatedEngine(wanted as SimulatedEngineOptions);
  await prepare?.(engine);
  const dataDir = kept ?? mkdtempSync(join(tmpdir(), 'fairlead-test-'));
  const settings = {
    PORT: '0',
    DOCKER_HOST: engine.host,
    DATA_DIR: dataDir,
    LOG_LEVEL: 'silent',
    STATS_INTERVAL: '0',
    MAX_REQUESTS_PER_MINUTE: '1000000',
    AUTH: 'none',
  };
  const config = readConfig({ ...settings, ...env });
  const app = await buildApp(config, { passwordCost: cheap, ...bounds });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const sockets = new Set<WebSocket>();
  let isClosed = false;

  async function close() {
    if (isClosed) return;
    isClosed = true;
    for (const socket of sockets) socket.terminate();
    await app.close();
    if (kept === undefined) rmSync(dataDir, { recursive: true, force: true });
  }

  t.teardown(async () => {
    await close();
    if (!isRunning) await engine.close();
  });

  const send = (method: string, path: string, headers: Headers = {}, body?: string) =>
    call(`${url}${path}`, method, headers, body);

  const base = config.basePath;
  if (waits) await until(async () => (await send('GET', '/readyz')).status === 200, 'the engine is known');

  return {
    engine,
    app,
    url,
    dataDir,
    close,
    send,
    get: (path: string, headers?: Headers) => send('GET', base + path, headers),
    /** What `/api` tells, parsed. */
    api: async <T = Record<string, unknown>>(path: string): Promise<T> =>
      JSON.parse((await send('GET', `${base}/api${path}`)).text) as T,
    /** Sends a form, as a browser without scripts does. */
    form: (path: string, fields: Record<string, string> = {}, headers?: Headers) =>
      send('POST', base + path, { ...formType, ...headers }, new URLSearchParams(fields).toString()),
    /** Sends a form, as htmx does. */
    htmx: (path: string, fields: Record<string, string> = {}) =>
      send('POST', base + path, { ...formType, 'hx-request': 'true' }, new URLSearchParams(fields).toString()),
    post: (path: string, body?: object) =>
      send(
        'POST',
        base + path,
        body ? { 'content-type': 'application/json' } : {},
        body ? JSON.stringify(body) : undefined,
      ),
    /** Opens a live socket; `path` with its parameters. */
    live: (path: string, options: ClientOptions = {}) => openSocket(`${url}${base}${path}`, sockets, options),
  };
}

const formType = { 'content-type': 'application/x-www-form-urlencoded' };

/** One request over a connection of its own, its answer read whole. */
export function call(url: string, method: string, headers: Headers = {}, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    // The path as it is written: a URL object would resolve its dots.
    const path = url.slice(url.indexOf('/', 'http://'.length));
    const length: Headers = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const options = { hostname, port, path, method, headers: { ...headers, ...length }, agent: false as const };
    const sent = sendRequest(options, (answer) => readAnswer(answer).then(resolve, reject));
    sent.on('error', reject);
    sent.end(body);
  });
}

async function readAnswer(answer: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const headers = Object.fromEntries(
    Object.entries(answer.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join('\n') : value]),
  );
  return { status: answer.statusCode ?? 0, headers, text: Buffer.concat(chunks).toString() };
}

/** A live socket and all frames so far; `refused` is the status where there was no upgrade. */
export type LiveSocket = {
  socket: WebSocket;
  frames: string[];
  opened: Promise<number>;
  closed: Promise<{ code: number; reason: string }>;
  /** All frames as one text. */
  text: () => string;
};

function openSocket(url: string, sockets: Set<WebSocket>, options: ClientOptions): LiveSocket {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), options);
  sockets.add(socket);
  const frames: string[] = [];
  const opened = Promise.withResolvers<number>();
  const closed = Promise.withResolvers<{ code: number; reason: string }>();
  socket.on('message', (data) => frames.push(data.toString()));
  socket.on('open', () => opened.resolve(101));
  socket.on('unexpected-response', (_request, answer) => {
    opened.resolve(answer.statusCode ?? 0);
    answer.resume();
    socket.terminate();
  });
  socket.on('error', () => opened.resolve(0));
  socket.on('close', (code, reason) => closed.resolve({ code, reason: reason.toString() }));
  return { socket, frames, opened: opened.promise, closed: closed.promise, text: () => frames.join('\n') };
}

/** Waits until something is true, asking again and again; fails with what it was after `timeoutMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(10);
  }
}

/** The code that a socket is closed with, within 5 s: long before a heartbeat would find that it has to be. */
export async function closeCode({ socket, closed }: LiveSocket): Promise<number> {
  await until(() => socket.readyState === WebSocket.CLOSED, 'the socket closes', 5_000);
  return (await closed).code;
}
