import type { LookupAddress } from 'node:dns';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { TargetGuard } from './target-guard.ts';

/** What is sent: JSON, with headers of one's own. */
export type GuardedRequest = { url: URL; body: object; headers?: Record<string, string> };

const timeoutMs = 10_000;
/** As much as is read of an answer; nothing of it is used, and reading lets the far end finish. */
const maxAnswerBytes = 4_096;

/** Sends JSON to a target that the guard lets pass. */
export type GuardedPost = ReturnType<typeof createGuardedPost>;

/**
 * Creates the sender of JSON to addresses that people entered. The host is checked at each sending and the connection is
 * made to the addresses that were checked. Redirects are not followed, of the answer only the status is told, and all of it
 * takes 10 s at most.
 */
export function createGuardedPost(guard: TargetGuard, wait = timeoutMs) {
  /**
   * The status of the answer.
   * @throws Problem `forbidden` where the host may not be reached; an Error of any kind where it could not be
   */
  return async function post(request: GuardedRequest, signal: AbortSignal): Promise<number> {
    const addresses = await guard.resolve(request.url);
    return send(request, pinTo(addresses), AbortSignal.any([signal, AbortSignal.timeout(wait)]));
  };
}

/** A lookup that knows nothing but the addresses that were checked. */
function pinTo(addresses: readonly LookupAddress[]): LookupFunction {
  return (_name, options, callback) => {
    const fitting = addresses.filter(({ family }) => !options.family || options.family === family);
    const [first] = fitting;
    // In another turn, as every lookup answers.
    setImmediate(() => {
      if (options.all) callback(null, fitting);
      else if (first) callback(null, first.address, first.family);
      else callback(Object.assign(new Error('no address of that family'), { code: 'ENOTFOUND' }), '', 0);
    });
  };
}

function send({ url, body, headers }: GuardedRequest, lookup: LookupFunction, signal: AbortSignal): Promise<number> {
  const payload = JSON.stringify(body);
  const options: RequestOptions = {
    method: 'POST',
    lookup,
    signal,
    // A connection of its own: one that is kept open could be to where the name led before.
    agent: false,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(payload),
      'user-agent': 'Fairlead',
      ...headers,
    },
  };
  return new Promise((resolve, reject) => {
    const begin = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = begin(url, options, (answer) => {
      drain(answer);
      resolve(answer.statusCode ?? 0);
    });
    request.on('error', reject);
    request.end(payload);
  });
}

/** Reads the beginning of an answer and drops the rest with its connection. */
function drain(answer: IncomingMessage): void {
  let bytes = 0;
  answer.on('error', () => {});
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxAnswerBytes) answer.destroy();
  });
}
