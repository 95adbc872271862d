import { Problem } from '../errors.ts';

/** What is asked of the engine: method, and path without its query. */
export type GateCall = { method: 'GET' | 'POST' | 'DELETE'; path: string };

const containerPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
const networkPattern = /^[a-zA-Z0-9][a-zA-Z0-9_. -]{0,254}$/;
const imagePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.:@/-]{0,254}$/;

/**
 * Every call that may leave this process, by method and path; paths are matched after ids were checked and encoded. What
 * a create call may ask for is looked at as well, see create-gate.ts.
 */
const gate: ReadonlyArray<readonly [GateCall['method'], RegExp]> = [
  ['GET', /^\/(_ping|version|info|events)$/],
  ['GET', /^\/system\/df$/],
  ['GET', /^\/containers\/json$/],
  ['GET', /^\/containers\/[^/]+\/(json|logs|stats)$/],
  ['POST', /^\/containers\/create$/],
  ['POST', /^\/containers\/[^/]+\/(start|stop|restart|pause|unpause|kill|rename)$/],
  ['DELETE', /^\/containers\/[^/]+$/],
  ['GET', /^\/images\/json$/],
  ['GET', /^\/images\/[^/]+\/(json|history)$/],
  ['POST', /^\/images\/(create|prune)$/],
  ['POST', /^\/images\/[^/]+\/tag$/],
  ['DELETE', /^\/images\/[^/]+$/],
  ['GET', /^\/distribution\/[^/]+\/json$/],
  ['POST', /^\/networks\/[^/]+\/(connect|disconnect)$/],
];

/**
 * Lets a call out, or not.
 * @throws Problem `forbidden` for one that is not in the table, before a connection is opened
 */
export function checkCall(call: GateCall): void {
  if (gate.some(([method, path]) => method === call.method && path.test(call.path))) return;
  throw new Problem('forbidden', `The call ${call.method} ${call.path} is not in the table of engine calls.`);
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
  const steps = ref.split('/');
  if (imagePattern.test(ref) && steps.every((step) => step !== '' && step !== '.' && step !== '..')) return ref;
  throw new Problem('invalid', 'id: must be an image id or reference such as "nginx:1.27", at most 255 characters.');
}

/**
 * Checks a network's name, as the engine told it, and returns it.
 * @throws Problem `invalid` where no network can have it
 */
export function checkNetworkRef(ref: string): string {
  if (networkPattern.test(ref)) return ref;
  throw new Problem('invalid', 'network: must be the name of a network: letters, digits, "_", "." and "-".');
}
