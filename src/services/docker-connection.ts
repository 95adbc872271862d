import { readFileSync } from 'node:fs';
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { join } from 'node:path';
import { inspect } from 'node:util';
import Docker from 'dockerode';
import { isProblem, Problem } from '../errors.ts';
import type { Capability } from './capabilities.ts';
import { connectionProblem, engineProblem } from './docker-errors.ts';
import { checkCall, type GateCall } from './docker-gate.ts';
import { parseExact } from './exact-json.ts';
import { isRecord } from './readers.ts';
import { maskText, toText } from './secrets.ts';

/** Where the engine listens, as read from `DOCKER_HOST` and its TLS settings. */
export type EngineAddress =
  | { kind: 'unix'; path: string; text: string }
  | { kind: 'tcp'; host: string; port: number; tls: { certPath: string | undefined } | undefined; text: string };

/**
 * How long a call may take at most, in ms; the whole answer counts. Of a pull it is the time until its first word and
 * between two of them.
 */
export type EngineTimeouts = {
  ping: number;
  list: number;
  action: number;
  registry: number;
  pull: number;
  prune: number;
  /** Of the disk use, for which some engines measure every volume. */
  usage: number;
};

/** A call's method and path, its subject for error sentences, and its bounds. */
export type Call = GateCall & {
  headers?: Record<string, string> | undefined;
  subject?: string | undefined;
  /** Whether its answer is read without rounding large integers, see exact-json.ts. */
  isExact?: boolean;
  /** ms; for a whole answer it is all, for a stream it ends with the answer's head. */
  timeout: number;
  signal?: AbortSignal | undefined;
};

/** Which of the connections a call takes: what hangs in one can't hold up the others. */
export type Line = keyof typeof lines;

const lines = {
  calls: { keepAlive: true, maxSockets: 16 },
  lists: { keepAlive: true, maxSockets: 4 },
  actions: { keepAlive: true, maxSockets: 16 },
  streams: { keepAlive: false, maxSockets: 512 },
  events: { keepAlive: false, maxSockets: 2 },
  pings: { keepAlive: false, maxSockets: 2 },
};

/** How often an endpoint was asked; in its path `:id` stands for the container, image or network. */
export type CallCount = { method: string; endpoint: string; calls: number; failures: number };

const idSegment = /^\/(containers|images|networks|distribution)\/(?!(?:json|create|prune)$)[^/]+/;
const maxAnswerBytes = 64 * 1024 * 1024;

// The modem calls back only for statuses it knows; knowing them all leaves the reading of errors to this file.
const everyStatus: Record<number, boolean> = Object.fromEntries(
  Array.from({ length: 500 }, (_, index) => [index + 100, true]),
);

/** The connections to one engine. */
export type DockerConnection = ReturnType<typeof createDockerConnection>;

/**
 * Creates the connections to the engine at an address; nothing is connected until the first call. Every call passes the
 * gate, and throws a Problem (`engine_unreachable`, `engine_timeout`, `engine_error`, `not_found`, `conflict`, …) or the
 * abort reason of its own signal. What is only for capabilities that are `closed` does not leave.
 */
export function createDockerConnection(address: EngineAddress, closed: ReadonlySet<Capability> = new Set()) {
  const clients = Object.fromEntries(
    Object.entries(lines).map(([line, bounds]) => [line, createClient(address, bounds)]),
  ) as Record<Line, Client>;

  const asked = new Map<string, CallCount>();
  const refusalListeners = new Set<() => void>();

  function count({ method, path }: Call): CallCount {
    const endpoint = path.replace(idSegment, '/$1/:id');
    const key = `${method} ${endpoint}`;
    const counted = asked.get(key) ?? { method, endpoint, calls: 0, failures: 0 };
    asked.set(key, counted);
    counted.calls += 1;
    return counted;
  }

  /** One bounded call, its whole answer read as JSON; undefined for an empty one. */
  async function request<T>(call: Call, line: Line = 'calls'): Promise<T> {
    checkCall(call, closed);
    const deadline = AbortSignal.timeout(call.timeout);
    const signal = call.signal ? AbortSignal.any([call.signal, deadline]) : deadline;
    const counted = count(call);
    try {
      const answer = await dial(clients[line], call, signal);
      return read<T>(call, answer, await readBody(answer, signal));
    } catch (error) {
      call.signal?.throwIfAborted();
      counted.failures += 1;
      throw deadline.aborted ? timeoutProblem(address, call) : toProblem(address, error);
    }
  }

  /** @throws Problem for what is an error, and tells those who listen where the engine was never asked */
  function read<T>(call: Call, { statusCode = 0 }: IncomingMessage, body: string): T {
    const refusal = refusalBefore(call, statusCode, body);
    if (!refusal) return toJson<T>(call, statusCode, body);
    for (const listener of refusalListeners) listener();
    throw refusal;
  }

  /**
   * The status of a call's answer, whatever it says; undefined where the connection ends without one.
   * @throws Problem `engine_timeout` where there is none in time
   */
  async function statusOf(call: Call): Promise<number | undefined> {
    checkCall(call, closed);
    const deadline = AbortSignal.timeout(call.timeout);
    const signal = call.signal ? AbortSignal.any([call.signal, deadline]) : deadline;
    try {
      const answer = await dial(clients.calls, call, signal);
      await readBody(answer, signal).catch(() => {});
      return answer.statusCode;
    } catch {
      call.signal?.throwIfAborted();
      if (deadline.aborted) throw timeoutProblem(address, call);
      return undefined;
    }
  }

  /** An answer without end; bounded until its headers arrive, then by the caller's signal alone. */
  async function stream(call: Call & { signal: AbortSignal }, line: Line = 'streams'): Promise<IncomingMessage> {
    checkCall(call, closed);
    const opening = new AbortController();
    const timer = setTimeout(() => opening.abort(timeoutProblem(address, call)), call.timeout);
    const signal = AbortSignal.any([call.signal, opening.signal]);
    const counted = count(call);
    try {
      const answer = await dial(clients[line], call, signal);
      if ((answer.statusCode ?? 0) >= 300) read(call, answer, await readBody(answer, signal));
      return answer;
    } catch (error) {
      call.signal.throwIfAborted();
      counted.failures += 1;
      throw toProblem(address, opening.signal.aborted ? opening.signal.reason : error);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    request,
    stream,
    statusOf,

    /** Calls back when a change was refused in front of the engine; returns how to stop that. */
    onRefused: (listener: () => void): (() => void) => {
      refusalListeners.add(listener);
      return () => void refusalListeners.delete(listener);
    },

    /** How often each endpoint was asked, and how often without a good answer. */
    counts: (): CallCount[] => [...asked.values()],

    /** Closes every connection. */
    close: () => {
      for (const client of Object.values(clients)) client.agent.destroy();
    },
  };
}

// Said out loud, though undefined: the client would else read DOCKER_HOST, DOCKER_CLIENT_TIMEOUT and DOCKER_PATH_PREFIX
// from the environment again and let them win.
const fromHere = { timeout: undefined, pathPrefix: '/', ca: undefined, cert: undefined, key: undefined };

type Client = { modem: Docker['modem']; agent: HttpAgent };

function createClient(address: EngineAddress, bounds: { keepAlive: boolean; maxSockets: number }): Client {
  if (address.kind === 'unix') {
    const agent = stayHere(quiet(new HttpAgent(bounds)));
    const options = { ...fromHere, socketPath: address.path, host: undefined, agent };
    return { modem: new Docker(options).modem, agent };
  }
  const agent = stayHere(quiet(address.tls ? new HttpsAgent(bounds) : new HttpAgent(bounds)));
  const protocol = address.tls ? 'https' : 'http';
  const files = address.tls?.certPath ? readCertificates(address.tls.certPath) : {};
  const options = { ...fromHere, host: address.host, port: address.port, protocol, agent, ...files } as const;
  return { modem: new Docker(options).modem, agent };
}

/**
 * Keeps the agent short when it is printed: the client library prints every request's options in full, sockets and all,
 * for a debug log that nobody switched on, which took most of the processor.
 */
function quiet<T extends HttpAgent>(agent: T): T {
  return Object.assign(agent, { [inspect.custom]: () => 'Agent' });
}

/**
 * Takes redirects out of answers before the client library can follow them: an engine sends none, what else may answer
 * at its address could lead anywhere, and where that fails the library lets the whole process end.
 */
function stayHere<T extends HttpAgent>(agent: T): T {
  type AddRequest = (request: ClientRequest, ...rest: unknown[]) => void;
  const { addRequest } = agent as T & { addRequest: AddRequest };
  const add: AddRequest = (request, ...rest) => {
    request.prependListener('response', (answer) => {
      delete answer.headers.location;
    });
    addRequest.call(agent, request, ...rest);
  };
  return Object.assign(agent, { addRequest: add });
}

function readCertificates(folder: string) {
  const read = (name: string) => readFileSync(join(folder, name));
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
}

function dial(client: Client, call: Call, signal: AbortSignal): Promise<IncomingMessage> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    // A call that still waits for a free connection does not notice its abort by itself.
    const release = () => reject(signal.reason);
    signal.addEventListener('abort', release, { once: true });
    client.modem.dial(
      {
        method: call.method,
        path: call.query ? `${call.path}?${new URLSearchParams(call.query)}&` : call.path,
        options: call.body ? { _query: {}, _body: call.body } : {},
        ...(call.headers && { headers: call.headers }),
        isStream: true,
        statusCodes: everyStatus,
        abortSignal: signal,
      },
      (error, answer) => {
        signal.removeEventListener('abort', release);
        if (error) return reject(error);
        resolve(answer as IncomingMessage);
      },
    );
  });
}

/** Reads a whole answer; one that is cut off or too large is an error, never half an answer. */
async function readBody(answer: IncomingMessage, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  const abort = () => answer.destroy(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxAnswerBytes) throw new Problem('engine_error', 'The answer of the engine is larger than 64 MiB.');
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/**
 * The Problem for a change that something in front of the engine refused, such as a socket proxy or a plugin of the engine
 * that allows calls or not. An engine's own refusals are objects with a message, and mean other things.
 */
function refusalBefore(call: Call, status: number, body: string): Problem | undefined {
  if (call.method === 'GET' || ![403, 405, 501].includes(status)) return undefined;
  const json = parse(body, JSON.parse);
  const words = isRecord(json) && typeof json.message === 'string' ? json.message : undefined;
  if (words !== undefined && !/^authorization denied by plugin/.test(words)) return undefined;
  const endpoint = `${call.method} ${call.path.replace(idSegment, '/$1/:id')}`;
  return new Problem(
    'disabled',
    `What is in front of the engine refuses this: ${endpoint} (${status}).`,
    words && toText(maskText(words)),
  );
}

function toJson<T>(call: Call, status: number, body: string): T {
  const json = parse(body, call.isExact ? parseExact : JSON.parse);
  const podmanFault = isRecord(json) && typeof json.response === 'number' && json.response >= 400 ? json.response : 0;
  const isFault = status >= 300 && status !== 304;
  const fault = isFault ? status : podmanFault;
  if (fault) throw engineProblem(fault, messageOf(json, body), call);
  if (json === undefined && body.trim() !== '' && call.path !== '/_ping') {
    throw new Problem('engine_error', 'The engine answered with something that is not JSON.');
  }
  return json as T;
}

function messageOf(json: unknown, body: string): string {
  const message = isRecord(json) ? (json.message ?? json.error) : undefined;
  return (typeof message === 'string' ? message : body).trim().slice(0, 2_000);
}

function parse(body: string, read: (text: string) => unknown): unknown {
  try {
    return read(body);
  } catch {
    return undefined;
  }
}

function timeoutProblem(address: EngineAddress, call: Call): Problem {
  const seconds = call.timeout / 1000;
  return new Problem(
    'engine_timeout',
    `The Docker daemon at ${address.text} did not answer ${call.method} ${call.path.replace(/[0-9a-f]{64}/, (id) => id.slice(0, 12))} within ${seconds} s.`,
  );
}

function toProblem(address: EngineAddress, error: unknown): unknown {
  if (isProblem(error)) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ABORT_ERR' || (error instanceof Error && error.name === 'AbortError')) return error;
  return connectionProblem(address.text, code, error instanceof Error ? error.message : String(error));
}
