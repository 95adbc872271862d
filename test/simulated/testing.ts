import { type IncomingMessage, request } from 'node:http';
import Docker from 'dockerode';
import { createSimulatedEngine, type SimulatedEngine, type SimulatedEngineOptions } from './engine.ts';

interface Teardown {
  teardown(end: () => unknown): void;
}

/** Starts an engine that ends with its test, and a client of it. */
export async function start(t: Teardown, options?: SimulatedEngineOptions) {
  const engine = await createSimulatedEngine(options);
  t.teardown(() => engine.close());
  return { engine, docker: new Docker({ socketPath: engine.socketPath }) };
}

/** What a call throws; null when it succeeds. */
export async function failure(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
    return null;
  } catch (error) {
    return error;
  }
}

/** An answer, read whole. */
export interface Answer {
  status: number;
  type: string;
  /** When it says that it was given. */
  date: string;
  body: Buffer;
  /** Why it ended before its end. */
  error: string | null;
}

/** What goes with a plain request. */
export interface Question {
  readonly headers?: Record<string, string>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** A plain request, for what client libraries hide. */
export function ask(
  engine: SimulatedEngine,
  path: string,
  method = 'GET',
  { headers = {}, body, signal }: Question = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = {
      socketPath: engine.socketPath,
      path,
      method,
      headers,
      agent: false,
      ...(signal ? { signal } : {}),
    };
    const asked = request(options, (response) => readAnswer(response, resolve));
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function readAnswer(response: IncomingMessage, resolve: (answer: Answer) => void): void {
  const chunks: Buffer[] = [];
  const settle = (error: string | null) =>
    resolve({
      status: response.statusCode ?? 0,
      type: response.headers['content-type'] ?? '',
      date: response.headers.date ?? '',
      body: Buffer.concat(chunks),
      error,
    });
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.on('end', () => settle(null));
  response.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
}

/** The status and the parsed JSON of an answer. */
export async function askJson(engine: SimulatedEngine, path: string, method = 'GET', question: Question = {}) {
  const { status, body } = await ask(engine, path, method, question);
  return { status, json: body.length > 0 ? JSON.parse(body.toString()) : null };
}

/** An answer that goes on, as far as it came. */
export interface Follower {
  lines: string[];
  isOver: () => boolean;
  error: () => string | null;
  /** Goes away, as a client that is killed. */
  leave: () => void;
}

/** Reads an answer that goes on, line by line. */
export function follow(engine: SimulatedEngine, path: string, method = 'GET'): Promise<Follower> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: engine.socketPath, path, method, agent: false }, (response) => {
      let rest = '';
      let isOver = false;
      let failed: string | null = null;
      const lines: string[] = [];
      response.on('data', (chunk: Buffer) => {
        const parts = (rest + chunk.toString('latin1')).split(/(?<=\n)/);
        rest = parts.at(-1)?.endsWith('\n') ? '' : (parts.pop() ?? '');
        lines.push(...parts);
      });
      response.on('close', () => {
        isOver = true;
      });
      response.on('error', (error: NodeJS.ErrnoException) => {
        failed = error.code ?? error.message;
      });
      resolve({ lines, isOver: () => isOver, error: () => failed, leave: () => asked.destroy() });
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** Follows the engine's events. */
export async function followEvents(engine: SimulatedEngine, query = '') {
  const follower = await follow(engine, `/events${query}`);
  const documents = () => follower.lines.map((line) => JSON.parse(line));
  return { ...follower, documents, told: () => documents().map((event) => `${event.Type} ${event.Action}`) };
}
