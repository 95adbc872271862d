import { spawn } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isRecord, text } from './readers.ts';
import { defaultRegistry } from './references.ts';

/** What somebody proves to a registry who they are with. They are held for one call and kept nowhere. */
export type Credentials = { username: string; password: string } | { identityToken: string };

/** Credentials for one registry, by its host as references name it. */
export type RegistryLogin = { registry: string; credentials: Credentials };

/** What was found for a registry; `note` says in a sentence why something that was to be used could not be. */
export type Found = { credentials: Credentials | undefined; note: string };

/** The registry credentials of the docker command's configuration. */
export type CredentialStore = ReturnType<typeof createCredentialStore>;

/** The name that docker.io has in the docker command's configuration. */
const hubKey = 'https://index.docker.io/v1/';
const maxFileBytes = 1024 * 1024;
const maxAnswerLength = 64 * 1024;
const helperMs = 10_000;
const lastWordsMs = 200;
const helperPattern = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/;

const nothing: Found = { credentials: undefined, note: '' };

/**
 * Creates the reader of `config.json` in a folder, as the docker command keeps it: a helper of its own for a registry
 * (`credHelpers`), one helper for all (`credsStore`), or the file itself (`auths`). It is read anew each time, so that a
 * `docker login` counts at once. Nothing here throws: what can't be read is told, and the pull goes on without.
 */
export function createCredentialStore(folder: string | undefined) {
  return {
    /** The credentials for a registry, by its host as references name it. */
    async find(registry: string): Promise<Found> {
      if (folder === undefined) return nothing;
      const config = await readConfigFile(join(folder, 'config.json'));
      if (typeof config === 'string') return { credentials: undefined, note: config };
      const helper = helperOf(config, registry);
      return helper === undefined ? { ...nothing, credentials: inFile(config, registry) } : ask(helper, registry);
    },
  };
}

/** The header that carries credentials to the engine (`X-Registry-Auth`), as its API wants it. */
export function toAuthHeader(registry: string, credentials: Credentials | undefined): Record<string, string> {
  if (!credentials) return {};
  const { identityToken, username, password } = {
    identityToken: undefined,
    username: '',
    password: '',
    ...credentials,
  };
  const auth = {
    ...(identityToken === undefined ? { username, password } : { identitytoken: identityToken }),
    serveraddress: keyOf(registry),
  };
  // For URLs, and padded: engines take a header without its padding for no login at all, and don't say so.
  const header = Buffer.from(JSON.stringify(auth)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
  return { 'X-Registry-Auth': header };
}

type Config = Record<string, unknown>;

/** The file's content, nothing where there is none, or why it can't be read. */
async function readConfigFile(path: string): Promise<Config | string> {
  try {
    if ((await stat(path)).size > maxFileBytes) return tell('is larger than 1 MiB');
    const config: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isRecord(config) ? config : tell('is not a JSON object');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    return tell(error instanceof SyntaxError ? 'is not JSON' : 'may not be read by this program');
  }
}

const tell = (reason: string) => `The docker command's config.json ${reason}: no credentials were taken from it.`;

function helperOf(config: Config, registry: string): string | undefined {
  const helpers = isRecord(config.credHelpers) ? config.credHelpers : {};
  return text(entryOf(helpers, registry)) || text(config.credsStore) || undefined;
}

function inFile(config: Config, registry: string): Credentials | undefined {
  const auths = isRecord(config.auths) ? config.auths : {};
  const entry = entryOf(auths, registry);
  if (!isRecord(entry)) return undefined;
  const identityToken = text(entry.identitytoken);
  if (identityToken) return { identityToken };
  const [username = '', ...rest] = Buffer.from(text(entry.auth) ?? '', 'base64')
    .toString()
    .split(':');
  const password = rest.join(':').replace(/\0+$/, '');
  return toCredentials(username || text(entry.username), password || text(entry.password));
}

function toCredentials(username: string | undefined, password: string | undefined): Credentials | undefined {
  return username && password ? { username, password } : undefined;
}

/** An entry under the registry's key, or under any address of the same host. */
function entryOf(entries: Config, registry: string): unknown {
  const key = keyOf(registry);
  const exact = Object.hasOwn(entries, key) ? entries[key] : undefined;
  return exact ?? Object.entries(entries).find(([name]) => isSameHost(name, registry))?.[1];
}

const keyOf = (registry: string) => (registry === defaultRegistry ? hubKey : registry);

const hubHosts = new Set([defaultRegistry, 'index.docker.io', 'registry-1.docker.io']);

function isSameHost(address: string, registry: string): boolean {
  const host = address.replace(/^https?:\/\//, '').split('/')[0] ?? '';
  return host === registry || (registry === defaultRegistry && hubHosts.has(host));
}

/** Asks a credential helper, by the protocol of github.com/docker/docker-credential-helpers. */
async function ask(helper: string, registry: string): Promise<Found> {
  const failed = (reason: string): Found => ({
    credentials: undefined,
    note: `The credential helper ${helper.slice(0, 100)} ${reason}: no credentials were taken from it.`,
  });
  if (!helperPattern.test(helper)) return failed('has a name that no program can have');
  try {
    const answer = await runHelper(`docker-credential-${helper}`, keyOf(registry));
    return { ...nothing, credentials: readAnswer(answer) };
  } catch (error) {
    return failed(error instanceof HelperError ? error.message : 'gave an answer that is not JSON');
  }
}

function readAnswer(answer: string): Credentials | undefined {
  if (/credentials not found/i.test(answer)) return undefined;
  const entry: unknown = JSON.parse(answer);
  if (!isRecord(entry)) throw new HelperError('gave an answer that is no object');
  const secret = text(entry.Secret);
  // A helper says by this name that its secret is a token.
  if (entry.Username === '<token>' && secret) return { identityToken: secret };
  return toCredentials(text(entry.Username), secret);
}

class HelperError extends Error {}

/** What a helper prints for a registry; it has 10 s. What it leaves running behind it is not waited for. */
function runHelper(command: string, key: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, ['get'], { stdio: ['pipe', 'pipe', 'ignore'] });
    let output = '';
    let reason = 'did not answer in time';
    const end = () => child.kill('SIGKILL');
    const timer = setTimeout(end, helperMs);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      if (output.length <= maxAnswerLength) return;
      reason = 'gave an answer that is larger than 64 KiB';
      end();
    });
    child.once('error', () => settle('could not be started'));
    child.once('exit', (code, signal) => {
      const finish = () => settle(failureOf(code, signal, output, reason));
      // What it wrote last may come a moment after its end.
      child.once('close', finish);
      setTimeout(finish, lastWordsMs).unref();
    });
    // A helper that ends without reading must not end this program.
    child.stdin.on('error', () => {});
    child.stdin.end(key);

    function settle(failure: string) {
      clearTimeout(timer);
      child.stdout.destroy();
      if (failure === '') resolve(output);
      else reject(new HelperError(failure));
    }
  });
}

function failureOf(code: number | null, signal: string | null, output: string, reason: string): string {
  if (signal !== null) return reason;
  return code === 0 || /credentials not found/i.test(output) ? '' : 'failed';
}
