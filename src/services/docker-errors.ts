import { type ErrorCode, isProblem, Problem } from '../errors.ts';
import { readReference } from './references.ts';
import { maskText, toText } from './secrets.ts';

type Call = { method: string; path: string; subject?: string | undefined };
type Rule = {
  status?: readonly number[];
  path?: RegExp;
  words?: RegExp;
  code: ErrorCode;
  detail: (message: string, subject: string) => string;
};

/** Calls in which the engine asks a registry. */
/** Calls that fill the disk. */
const fillingPath = /^\/(images|containers)\/create$/;

const registryPath = /^\/(images\/create|distribution\/.*)$/;

const nameIn = (subject: string) => subject.replace(/^Image /, '');

function registry(subject: string): string {
  return `The registry ${readReference(nameIn(subject))?.registry ?? 'of this image'}`;
}

/** The last part of a chain of reasons: `connection refused` of `Get "…": dial tcp …: connect: connection refused`. */
function lastReason(message: string): string {
  if (/deadline exceeded|timeout/i.test(message)) return 'it did not answer in time';
  return message.split(': ').at(-1)?.replace(/\.$/, '') || 'it did not answer';
}

/**
 * What the engines say, and what it means. The status is asked first, the sentence second: Podman answers 500 where
 * Docker answers 409, and Docker 28 words its conflicts differently from 20.10.
 */
const rules: readonly Rule[] = [
  {
    path: fillingPath,
    words: /no space left on device/i,
    code: 'no_space',
    detail: () => "There is no space left on the engine's disk.",
  },
  {
    path: registryPath,
    words: /no matching manifest|does not match the (specified|expected) platform|no match for platform/i,
    code: 'not_found',
    detail: (_, subject) => `${subject} is not there for this engine's kind of processor`,
  },
  {
    path: registryPath,
    words: /pull access denied/i,
    code: 'registry_denied',
    detail: (_, subject) => `${registry(subject)} has no ${nameIn(subject)}, or wants a login for it.`,
  },
  {
    path: registryPath,
    words: /^page not found/i,
    code: 'engine_error',
    detail: () => "This engine can't ask registries.",
  },
  {
    path: registryPath,
    words: /manifest unknown|name unknown|not found/i,
    code: 'not_found',
    detail: (_, subject) => `${registry(subject)} has no ${nameIn(subject)}: there is no such tag, or no such image.`,
  },
  {
    path: registryPath,
    words: /no basic auth credentials/i,
    code: 'registry_denied',
    detail: (_, subject) => `${registry(subject)} wants a login for ${nameIn(subject)}.`,
  },
  {
    path: registryPath,
    words: /unauthorized|denied|incorrect username or password|forbidden/i,
    code: 'registry_denied',
    detail: (_, subject) => `${registry(subject)} did not accept the credentials for ${nameIn(subject)}.`,
  },
  {
    path: registryPath,
    words: /too\s?many\s?requests|rate limit/i,
    code: 'registry_denied',
    detail: (_, subject) => `${registry(subject)} has had too many requests from here. Log in, or try again later.`,
  },
  {
    path: registryPath,
    words:
      /(Get|Head|Post) "https?:|dial tcp|handshake timeout|no such host|connection refused|i\/o timeout|deadline exceeded|x509|tls: /i,
    code: 'registry_unreachable',
    detail: (message, subject) => `${registry(subject)} can't be reached: ${lastReason(message)}.`,
  },
  {
    path: /^\/images\//,
    words: /invalid reference format|must be lowercase/i,
    code: 'invalid',
    detail: (message) => `id: must be an image id or reference such as "nginx:1.27": ${message}`,
  },
  {
    status: [409, 500],
    path: /^\/images\//,
    words: /multiple repositories|image used by multiple names|more than one tag/i,
    code: 'image_multiple_repositories',
    detail: (_, subject) => `${subject} is tagged in several repositories. Remove its tags one by one, or force.`,
  },
  {
    status: [409, 500],
    path: /^\/images\//,
    words: /dependent child images|has children/i,
    code: 'image_has_children',
    detail: (_, subject) => `${subject} has child images. Remove the children first.`,
  },
  {
    status: [409, 500],
    path: /^\/images\//,
    words: /is using|in use|being used|used by/i,
    code: 'image_in_use',
    detail: (message, subject) =>
      /running container/i.test(message)
        ? `${subject} is in use by a running container. Stop the container first.`
        : `${subject} is in use by a container. Remove the container first, or force.`,
  },
  {
    status: [404],
    code: 'not_found',
    // What is missing can also be something that the subject needs, such as a network.
    detail: (message, subject) => (subject && isSubjectMissing(message) ? `${subject} not found` : message),
  },
  {
    words: /port is already allocated|address already in use|bind for .* failed/i,
    code: 'conflict',
    detail: (message) => `Port ${takenPort(message)} is already in use by another container`,
  },
  {
    words: /name .* is already in use/i,
    code: 'conflict',
    detail: () => 'That name is already in use by another container',
  },
  {
    words: /cannot remove .*(a paused container|is paused)/i,
    path: /^\/containers\/[^/]+$/,
    code: 'conflict',
    detail: (_, subject) => `${subject} is paused. Unpause and stop it first, or force.`,
  },
  {
    words: /cannot remove (a running )?container|container .* is running|stop the container before/i,
    path: /^\/containers\/[^/]+$/,
    code: 'conflict',
    detail: (_, subject) => `${subject} is running. Stop it first, or force.`,
  },
  { words: /already paused/i, code: 'conflict', detail: (_, subject) => `${subject} is already paused` },
  { words: /is not paused/i, code: 'conflict', detail: (_, subject) => `${subject} is not paused` },
  {
    words: /is paused|unpause the container/i,
    code: 'conflict',
    detail: (_, subject) => `${subject} is paused. Unpause it first.`,
  },
  {
    words: /is not running|only kill running|can only .* running/i,
    code: 'conflict',
    detail: (_, subject) => `${subject} is not running`,
  },
  {
    words: /removal .* in progress|marked for removal/i,
    code: 'conflict',
    detail: (_, subject) => `${subject} is being removed`,
  },
  { status: [409], code: 'conflict', detail: (message) => message },
];

/**
 * The Problem for an answer of the engine with status 400 or above; the engine's own words are kept beside it, without
 * secrets: it repeats commands and addresses that hold some.
 */
export function engineProblem(status: number, told: string, call: Call): Problem {
  const message = toText(maskText(told));
  const subject = shorten(call.subject ?? '');
  const rule = rules.find(
    (rule) =>
      (!rule.status || rule.status.includes(status)) &&
      (!rule.path || rule.path.test(call.path)) &&
      (!rule.words || rule.words.test(message)),
  );
  if (rule) return new Problem(rule.code, rule.detail(message, subject) || message, message);
  return new Problem('engine_error', message || `The engine answered with status ${status}.`, message);
}

/** The engines' sentences for a container or image that they don't have; some say nothing at all. */
const isSubjectMissing = (message: string) =>
  message === '' ||
  /no such (container|image|object)|no container with|image not known|unable to find (a )?(container|image)/i.test(
    message,
  );

/**
 * The Problem for an engine that could not be reached, or went away during the answer. `message` are the words of this
 * program's own runtime, so they are its cause, for the log, and no answer of the engine.
 */
export function connectionProblem(address: string, code: string, message: string): Problem {
  const problem = new Problem(
    'engine_unreachable',
    `Cannot connect to the Docker daemon at ${address}.${reason(code, message)}`,
  );
  problem.cause = new Error(message);
  return problem;
}

const certificateCodes = /CERT|ERR_TLS|SELF_SIGNED|UNABLE_TO/;

function reason(code: string, message: string): string {
  if (code === 'EACCES') return ' This program may not open the socket: add its user to the group that owns it.';
  if (code === 'ENOENT') return ' There is no such socket. Is the daemon running?';
  if (code === 'ECONNREFUSED') return ' Is the daemon running?';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return ' The name of the host could not be resolved.';
  if (certificateCodes.test(code)) return ` Its certificate is not accepted: ${message}.`;
  return '';
}

function takenPort(message: string): string {
  return (
    /(?::|port )(\d{1,5})(?:\/\w+)?(?: failed|: | is already|,|\b.*address already in use)/i.exec(message)?.[1] ??
    '(unknown)'
  );
}

/** Ids become short ones; the digest of a reference is a part of its name. */
const shorten = (subject: string) =>
  subject.replace(/(?<!@(?:sha256:)?)\b(sha256:)?([0-9a-f]{12})[0-9a-f]{52}\b/, '$2');

/** What was asked for, or the fallback where the engine refuses it: a socket proxy may refuse what is good to have. */
export async function unlessRefused<T>(asked: Promise<T>, fallback: T): Promise<T> {
  return asked.catch((error: unknown) => {
    if (isProblem(error, 'engine_error')) return fallback;
    throw error;
  });
}
