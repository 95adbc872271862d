import { readFileSync } from 'node:fs';
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { join } from 'node:path';
import { inspect } from 'node:util';
import Docker from 'dockerode';
import { isProblem, Problem } from '../errors.ts';
import { connectionProblem, engineProblem } from './docker-errors.ts';
import * as shapes from './docker-shapes.ts';
import { readOne } from './docker-shapes.ts';
import { isRecord, listOf, type Reader } from './readers.ts';

/** Where the engine listens, as read from `DOCKER_HOST` and its TLS settings. */
export type EngineAddress =
  | { kind: 'unix'; path: string; text: string }
  | { kind: 'tcp'; host: string; port: number; tls: { certPath: string | undefined } | undefined; text: string };

/** How long a call may take at most, in ms; the whole answer counts. */
export type EngineTimeouts = { ping: number; list: number; action: number };

/** What can be done to a container by a button. */
export const containerActions = ['start', 'stop', 'restart', 'pause', 'unpause', 'kill', 'remove'] as const;
export type ContainerAction = (typeof containerActions)[number];

/** A removal's choices: also a running one; its anonymous volumes as well. */
export type RemoveChoices = { force?: boolean; volumes?: boolean };

/** What a log request asks the engine for; times in seconds since 1970 with nine decimals, as the engine reads them. */
export type LogRequest = {
  follow: boolean;
  tail?: number | undefined;
  since?: string | undefined;
  until?: string | undefined;
};

/** A call's method and path, its subject for error sentences, and its bounds. */
type Call = {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  query?: Record<string, string>;
  subject?: string;
  timeout: number;
  signal?: AbortSignal | undefined;
};

const defaultTimeouts: EngineTimeouts = { ping: 2_000, list: 10_000, action: 60_000 };
const maxAnswerBytes = 64 * 1024 * 1024;
const maxCalls = 16;
const maxLists = 4;
const maxActions = 16;
const maxStreams = 512;

const containerPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
const imagePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.:@/-]{0,254}$/;

/**
 * The gate: every call that may leave this process, by method and path. What is not here is refused before
 * a connection is opened. Paths are matched after ids were checked and encoded.
 */
const gate: ReadonlyArray<readonly [Call['method'], RegExp]> = [
  ['GET', /^\/(_ping|version|info|events)$/],
  ['GET', /^\/containers\/json$/],
  ['GET', /^\/containers\/[^/]+\/(json|logs|stats)$/],
  ['POST', /^\/containers\/[^/]+\/(start|stop|restart|pause|unpause|kill)$/],
  ['DELETE', /^\/containers\/[^/]+$/],
  ['GET', /^\/images\/json$/],
  ['GET', /^\/images\/[^/]+\/(json|history)$/],
  ['DELETE', /^\/images\/[^/]+$/],
];

// The modem calls back only for statuses it knows; knowing them all leaves the reading of errors to this file.
const everyStatus: Record<number, boolean> = Object.fromEntries(
  Array.from({ length: 500 }, (_, index) => [index + 100, true]),
);

/**
 * Checks a container's id or name against the engine's own pattern and returns it.
 * @throws Problem `invalid` where it does not match
 */
export function checkContainerRef(ref: string): string {
  if (containerPattern.test(ref)) return ref;
  throw new Problem('invalid', 'id: must be a container id or name: letters, digits, "_", "." and "-", at most 255.');
}

/**
 * Checks an image's id or reference and returns it.
 * @throws Problem `invalid` where it does not match, or holds a path step such as `..`
 */
export function checkImageRef(ref: string): string {
  const steps = ref.split('/');
  if (imagePattern.test(ref) && steps.every((step) => step !== '' && step !== '.' && step !== '..')) return ref;
  throw new Problem('invalid', 'id: must be an image id or reference such as "nginx:1.27", at most 255 characters.');
}

/** The narrow port to the engine: the only way any call leaves this process. */
export type DockerPort = ReturnType<typeof createDocker>;

/**
 * Creates the port to the engine at an address. Nothing is connected until the first call.
 * Inspects and figures share 16 connections, actions 16, lists 4, streams up to 512, events and pings have their own: what
 * hangs in one can't hold up the others, and the inventory sees on while every action waits. Every call throws a Problem (`engine_unreachable`, `engine_timeout`, `engine_error`, `not_found`,
 * `conflict`, …) or the abort reason of its own signal.
 */
export function createDocker(address: EngineAddress, timeouts: EngineTimeouts = defaultTimeouts) {
  const calls = createClient(address, { keepAlive: true, maxSockets: maxCalls });
  const lists = createClient(address, { keepAlive: true, maxSockets: maxLists });
  const actions = createClient(address, { keepAlive: true, maxSockets: maxActions });
  const streams = createClient(address, { keepAlive: false, maxSockets: maxStreams });
  const events = createClient(address, { keepAlive: false, maxSockets: 2 });
  const pings = createClient(address, { keepAlive: false, maxSockets: 2 });

  /** One bounded call, its whole answer read as JSON; undefined for an empty one. */
  async function request<T>(call: Call, client = calls): Promise<T> {
    const deadline = AbortSignal.timeout(call.timeout);
    const signal = call.signal ? AbortSignal.any([call.signal, deadline]) : deadline;
    try {
      const answer = await dial(client, call, signal);
      const body = await readBody(answer, signal);
      return toJson<T>(call, answer.statusCode ?? 0, body);
    } catch (error) {
      if (deadline.aborted && !call.signal?.aborted) throw timeoutProblem(address, call);
      throw toProblem(address, error);
    }
  }

  /** An answer without end; bounded until its headers arrive, then by the caller's signal alone. */
  async function stream(call: Call & { signal: AbortSignal }, client = streams): Promise<IncomingMessage> {
    const opening = new AbortController();
    const timer = setTimeout(() => opening.abort(timeoutProblem(address, call)), call.timeout);
    const signal = AbortSignal.any([call.signal, opening.signal]);
    try {
      const answer = await dial(client, call, signal);
      if ((answer.statusCode ?? 0) >= 300) toJson(call, answer.statusCode ?? 0, await readBody(answer, signal));
      return answer;
    } catch (error) {
      throw toProblem(address, opening.signal.aborted ? opening.signal.reason : error);
    } finally {
      clearTimeout(timer);
    }
  }

  const list = { method: 'GET', timeout: timeouts.list } as const;

  return {
    /** The engine's address as a person knows it, for messages. */
    addressText: address.text,

    /** Asks whether the engine answers at all; own connection, 2 s. */
    ping: (signal?: AbortSignal) =>
      request<unknown>({ method: 'GET', path: '/_ping', timeout: timeouts.ping, signal }, pings),

    /** The engine's name and versions. */
    version: async (signal?: AbortSignal) =>
      readOne(shapes.version, await request<unknown>({ ...list, path: '/version', signal }, lists)),

    /** The machine that the engine runs on: its processors and memory. */
    info: async (signal?: AbortSignal) =>
      readOne(shapes.info, await request<unknown>({ ...list, path: '/info', signal }, lists)),

    /** All containers, or only those with the given full ids, as the list call gives them. */
    listContainers: async (ids?: readonly string[], signal?: AbortSignal) =>
      toList(
        shapes.container,
        await request<unknown>(
          {
            ...list,
            path: '/containers/json',
            query: { all: '1', ...(ids && { filters: JSON.stringify({ id: ids }) }) },
            signal,
          },
          lists,
        ),
      ),

    /** Everything the engine knows of one container. */
    inspectContainer: async (ref: string, signal?: AbortSignal) =>
      toRecord(
        shapes.containerDetail,
        await request<unknown>({
          ...list,
          path: `/containers/${containerSegment(ref)}/json`,
          subject: `Container ${ref}`,
          signal,
        }),
      ),

    /**
     * Does one thing to one container and waits until it is done, 60 s at most; errors call it by `name`.
     * Already started or already stopped (304) counts as done.
     */
    actOnContainer: async (ref: string, action: ContainerAction, name = ref, choices: RemoveChoices = {}) => {
      const path = `/containers/${containerSegment(ref)}`;
      const common = { timeout: timeouts.action, subject: `Container ${name}` };
      if (action !== 'remove') return request<void>({ ...common, method: 'POST', path: `${path}/${action}` }, actions);
      const query = { force: String(choices.force ?? false), v: String(choices.volumes ?? false) };
      return request<void>({ ...common, method: 'DELETE', path, query }, actions);
    },

    /** All images but intermediate layers. */
    listImages: async (signal?: AbortSignal) =>
      toList(shapes.image, await request<unknown>({ ...list, path: '/images/json', signal }, lists)),

    /** Everything the engine knows of one image. */
    inspectImage: async (ref: string, name = ref, signal?: AbortSignal) =>
      toRecord(
        shapes.imageDetail,
        await request<unknown>({
          ...list,
          path: `/images/${imageSegment(ref)}/json`,
          subject: `Image ${name}`,
          signal,
        }),
      ),

    /** The layers of an image, newest first. */
    imageHistory: async (ref: string, name = ref, signal?: AbortSignal) =>
      toList(
        shapes.historyItem,
        await request<unknown>({
          ...list,
          path: `/images/${imageSegment(ref)}/history`,
          subject: `Image ${name}`,
          signal,
        }),
      ),

    /** Removes an image's tag, or the image with its last tag; `force` also where it has several or is in use. */
    removeImage: (ref: string, force: boolean, name = ref) =>
      request<void>(
        {
          method: 'DELETE',
          path: `/images/${imageSegment(ref)}`,
          query: { force: String(force) },
          subject: `Image ${name}`,
          timeout: timeouts.action,
        },
        actions,
      ),

    /**
     * One sample of a container's figures. `oneShot` is answered in 4-10 ms on 26 and later and leaves `precpu_stats`
     * empty; 20.10 takes up to 1 s either way.
     */
    containerStats: async (id: string, signal?: AbortSignal) =>
      toRecord(
        shapes.stats,
        await request<unknown>({
          ...list,
          path: `/containers/${containerSegment(id)}/stats`,
          query: { stream: '0', 'one-shot': '1' },
          subject: `Container ${id}`,
          signal,
        }),
      ),

    /** A stream of samples, one a second on Docker, each a JSON object on a line of its own. */
    followStats: (id: string, signal: AbortSignal) =>
      stream({
        ...list,
        path: `/containers/${containerSegment(id)}/stats`,
        query: { stream: '1' },
        subject: `Container ${id}`,
        signal,
      }),

    /** A container's log with timestamps: 8-byte framed, raw where it has a TTY. Ends by itself unless followed. */
    containerLogs: (ref: string, wanted: LogRequest, signal: AbortSignal) =>
      stream({
        ...list,
        path: `/containers/${containerSegment(ref)}/logs`,
        query: {
          stdout: '1',
          stderr: '1',
          timestamps: '1',
          follow: wanted.follow ? '1' : '0',
          ...(wanted.tail !== undefined && { tail: String(wanted.tail) }),
          ...(wanted.since !== undefined && { since: wanted.since }),
          ...(wanted.until !== undefined && { until: wanted.until }),
        },
        subject: `Container ${ref}`,
        signal,
      }),

    /** The engine's events of containers, images and networks, each a JSON object on a line of its own. */
    events: (signal: AbortSignal) =>
      stream(
        {
          ...list,
          path: '/events',
          query: { filters: JSON.stringify({ type: ['container', 'image', 'network'] }) },
          signal,
        },
        events,
      ),

    /** Closes every connection. */
    close: () => {
      for (const client of [calls, lists, actions, streams, events, pings]) client.agent.destroy();
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
  if (!gate.some(([method, path]) => method === call.method && path.test(call.path))) {
    throw new Problem('forbidden', `The call ${call.method} ${call.path} is not in the table of engine calls.`);
  }
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    // A call that still waits for a free connection does not notice its abort by itself.
    const release = () => reject(signal.reason);
    signal.addEventListener('abort', release, { once: true });
    client.modem.dial(
      {
        method: call.method,
        path: call.query ? `${call.path}?${new URLSearchParams(call.query)}&` : call.path,
        options: {},
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

function toJson<T>(call: Call, status: number, body: string): T {
  const json = parse(body);
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

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** A list's items as far as they can be read; null is an empty one. */
function toList<T>(read: Reader<T>, value: unknown): T[] {
  const list = value === null ? [] : listOf(read)(value);
  if (!list) throw new Problem('engine_error', 'The engine answered with something that is not a list.');
  return list;
}

function toRecord<T>(read: Reader<T>, value: unknown): T {
  const record = read(value);
  if (!record) throw new Problem('engine_error', 'The engine answered with something that is not an object.');
  return record;
}

const containerSegment = (ref: string) => encodeURIComponent(checkContainerRef(ref));
const imageSegment = (ref: string) => encodeURIComponent(checkImageRef(ref));

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
