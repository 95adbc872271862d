import { Problem } from '../errors.ts';
import type { Capability } from './capabilities.ts';
import { type CreateRules, checkConnect, checkCreate, checkDisconnect } from './create-gate.ts';
import { type Document, documentOf } from './own-settings.ts';

/** What is asked of the engine: method, path without its query, and what is sent along. */
export type GateCall = {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  query?: Record<string, string> | undefined;
  /** Sent as JSON. */
  body?: object | undefined;
  /** What the body of a create call is measured by; without it there is none. */
  rules?: CreateRules | undefined;
};

/** A call that may leave this process. */
type GateLine = {
  method: GateCall['method'];
  /** In which `:container`, `:image` and `:network` stand for a reference. */
  path: string;
  /** For what it is made: where all of these are closed, so is the call. */
  needs: readonly Capability[];
  /** The parameters that it may have. */
  query: readonly string[];
  /** Lets its body out, or not; a call without this has none. */
  checkBody?: (body: Document, rules: CreateRules | undefined) => void;
};

const containerPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
const networkPattern = /^[a-zA-Z0-9][a-zA-Z0-9_. -]{0,254}$/;
const imagePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.:@/-]{0,254}$/;

const read = (path: string, ...query: string[]): GateLine => ({ method: 'GET', path, needs: ['read'], query });

const change = (
  method: 'POST' | 'DELETE',
  path: string,
  needs: readonly Capability[],
  query: readonly string[] = [],
  checkBody?: GateLine['checkBody'],
): GateLine => ({ method, path, needs, query, ...(checkBody && { checkBody }) });

/** Every call that may leave this process: method and path, the capabilities that it is for, and what it may carry. */
const gate: readonly GateLine[] = [
  read('/_ping'),
  read('/version'),
  read('/info'),
  read('/events', 'filters', 'since'),
  read('/system/df'),

  read('/containers/json', 'all', 'filters'),
  read('/containers/:container/json'),
  read('/containers/:container/logs', 'stdout', 'stderr', 'timestamps', 'follow', 'tail', 'since', 'until'),
  read('/containers/:container/stats', 'stream', 'one-shot'),
  change('POST', '/containers/:container/start', ['control', 'rebuild']),
  change('POST', '/containers/:container/stop', ['control', 'rebuild']),
  change('POST', '/containers/:container/restart', ['control']),
  change('POST', '/containers/:container/pause', ['control', 'rebuild']),
  change('POST', '/containers/:container/unpause', ['control']),
  change('POST', '/containers/:container/kill', ['control']),
  change('POST', '/containers/create', ['rebuild'], ['name', 'platform'], checkMeasured),
  change('POST', '/containers/:container/rename', ['rebuild'], ['name']),
  change('DELETE', '/containers/:container', ['remove', 'rebuild'], ['force', 'v']),

  read('/images/json'),
  read('/images/:image/json'),
  read('/images/:image/history'),
  read('/distribution/:image/json'),
  change('POST', '/images/create', ['images', 'rebuild'], ['fromImage', 'tag', 'platform']),
  change('POST', '/images/:image/tag', ['rebuild'], ['repo', 'tag']),
  change('POST', '/images/prune', ['images'], ['filters']),
  change('DELETE', '/images/:image', ['images'], ['force']),

  change('POST', '/networks/:network/connect', ['rebuild'], [], checkConnect),
  change('POST', '/networks/:network/disconnect', ['rebuild'], [], checkDisconnect),
];

/** The gate's table, for whoever has to go through all of it. */
export const gateLines: readonly Pick<GateLine, 'method' | 'path' | 'needs' | 'query'>[] = gate;

/**
 * Lets a call out, or not: it has to be in the table, under no other spelling, with parameters and a body that are known,
 * and for something that is not closed.
 * @throws Problem `forbidden` for one that is not in the table or carries more, `disabled` for one that is closed, before a
 * connection is opened
 */
export function checkCall(call: GateCall, closed: ReadonlySet<Capability> = new Set()): void {
  const name = `The call ${call.method} ${call.path}`;
  const line = gate.find(({ method, path }) => method === call.method && isSpelled(path, call.path));
  if (!line) throw new Problem('forbidden', `${name} is not in the table of engine calls.`);
  if (line.needs.every((capability) => closed.has(capability))) {
    throw new Problem('disabled', 'Nothing can be changed: READ_ONLY is on.');
  }
  const more = Object.keys(call.query ?? {}).find((parameter) => !line.query.includes(parameter));
  if (more !== undefined)
    throw new Problem('forbidden', `${name} has no parameter ${more} in the table of engine calls.`);
  if (call.body === undefined) return;
  if (!line.checkBody) throw new Problem('forbidden', `${name} has no body in the table of engine calls.`);
  line.checkBody(documentOf(call.body), call.rules);
}

/** @throws Problem `forbidden` for a create call that nothing measures, or that asks for more than it is measured by */
function checkMeasured(body: Document, rules: CreateRules | undefined): void {
  if (!rules) throw new Problem('forbidden', 'Nothing is created but in the place of another container.');
  checkCreate(body, rules);
}

const referencePatterns: Record<string, (ref: string) => boolean> = {
  ':container': (ref) => containerPattern.test(ref),
  ':image': isImageRef,
  ':network': (ref) => networkPattern.test(ref),
};

/** Whether a path is that of the table, its references encoded in the one way in which this program does it. */
function isSpelled(path: string, asked: string): boolean {
  const [wanted, parts] = [path.split('/'), asked.split('/')];
  return wanted.length === parts.length && wanted.every((segment, index) => isSegment(segment, parts[index] ?? ''));
}

function isSegment(wanted: string, segment: string): boolean {
  const isReference = referencePatterns[wanted];
  if (!isReference) return segment === wanted;
  const ref = decode(segment);
  return ref !== undefined && isReference(ref) && encodeURIComponent(ref) === segment;
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

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
  if (isImageRef(ref)) return ref;
  throw new Problem('invalid', 'id: must be an image id or reference such as "nginx:1.27", at most 255 characters.');
}

function isImageRef(ref: string): boolean {
  return imagePattern.test(ref) && ref.split('/').every((step) => step !== '' && step !== '.' && step !== '..');
}

/**
 * Checks a network's name, as the engine told it, and returns it.
 * @throws Problem `invalid` where no network can have it
 */
export function checkNetworkRef(ref: string): string {
  if (networkPattern.test(ref)) return ref;
  throw new Problem('invalid', 'network: must be the name of a network: letters, digits, "_", "." and "-".');
}
