import type { IncomingMessage, ServerResponse } from 'node:http';
import { EngineError } from './errors.ts';
import type { Flavour } from './flavours.ts';
import type { RecordedRequest } from './requests.ts';
import type { World } from './world.ts';

/** What a request asks for. */
export interface Target {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly apiVersion: string | null;
}

/** Takes the `/v1.NN` and the query off a request's URL. */
export function readTarget(request: IncomingMessage): Target {
  const [rawPath = '/', search = ''] = (request.url ?? '/').split('?', 2);
  const versioned = /^\/v(\d+\.\d+)(\/.*)$/.exec(rawPath);
  const query = new URLSearchParams(search);
  return { path: decode(versioned?.[2] ?? rawPath), query, apiVersion: versioned?.[1] ?? null };
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The record of a request that has no answer yet. */
export function toRecord(method: string, { path, query, apiVersion }: Target): RecordedRequest {
  const at = performance.now();
  const rest = { closedAt: null, status: null, kind: null, containerId: null, stream: null };
  return { method, path, query: Object.fromEntries(query), apiVersion, at, ...rest };
}

/** The headers that engines send with every answer. */
export function setHeaders(response: ServerResponse, flavour: Flavour): void {
  response.setHeader('Api-Version', flavour.apiVersion);
  response.setHeader('Docker-Experimental', 'false');
  response.setHeader('Ostype', 'linux');
  response.setHeader('Server', flavour.server);
}

/** 400 for a client that is too old or too new; Podman takes any. */
export function refuseVersion(asked: string | null, { flavour, options }: World): EngineError | null {
  if (asked === null || flavour.isPodman) return null;
  const minor = (version: string) => Number(version.split('.')[1]);
  if (minor(asked) < minor(options.minApiVersion)) {
    const advice = 'please upgrade your client to a newer version';
    const text = `client version ${asked} is too old. Minimum supported API version is ${options.minApiVersion}, ${advice}`;
    return new EngineError(400, text);
  }
  if (minor(asked) <= minor(flavour.apiVersion)) return null;
  const text = `client version ${asked} is too new. Maximum supported API version is ${flavour.apiVersion}`;
  return new EngineError(400, text);
}
