import { existsSync, readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { join } from 'node:path';
import type { SmtpServer } from './services/alert-mail.ts';
import type { EngineAddress } from './services/docker.ts';
import { checkNewPassword, passwordLength } from './services/passwords.ts';
import { isAddressRange } from './services/target-guard.ts';

/** The capabilities that are off until they are named in `ENABLE`. */
export const optionalCapabilities = [
  'networks',
  'volumes',
  'compose',
  'build',
  'push',
  'limits',
  'exec',
  'swarm',
  'privileged',
] as const;

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const authModes = ['password', 'proxy', 'none'] as const;
/** The name that `ADMIN_PASSWORD` is for. */
export const firstAdmin = 'admin';

/** A setting that can't be used; its message names the variable, its value and what is allowed. */
export class SettingError extends Error {}

type Env = Readonly<Record<string, string | undefined>>;
type Read<T> = (value: string, env: Env) => T;

function fail(name: string, value: string, allowed: string): never {
  throw new SettingError(`${name}=${JSON.stringify(value.slice(0, 200))} can't be used. Allowed: ${allowed}.`);
}

const integer =
  (name: string, min: number, max: number): Read<number> =>
  (value) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    return number >= min && number <= max ? number : fail(name, value, `a whole number from ${min} to ${max}`);
  };

const flag =
  (name: string): Read<boolean> =>
  (value) => {
    if (['true', '1'].includes(value.toLowerCase())) return true;
    return ['false', '0'].includes(value.toLowerCase()) ? false : fail(name, value, 'true or false');
  };

const oneOf =
  <T extends string>(name: string, allowed: readonly T[]): Read<T> =>
  (value) =>
    allowed.find((item) => item === value) ?? fail(name, value, allowed.join(', '));

const list =
  <T>(read: (item: string) => T): Read<T[]> =>
  (value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean)
      .map(read);

function readOrigin(item: string): string {
  const allowed = 'origins such as https://home.example, separated by commas';
  if (!URL.canParse(item)) return fail('EMBED_ORIGINS', item, allowed);
  const url = new URL(item);
  const isOrigin = /^https?:$/.test(url.protocol) && url.origin === item.replace(/\/$/, '');
  return isOrigin ? url.origin : fail('EMBED_ORIGINS', item, allowed);
}

const hostNamePattern = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i;
const hostPattern = /^(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:\d{1,5})?$/i;

function readHostName(item: string): string {
  return hostPattern.test(item) ? item.toLowerCase() : fail('ALLOWED_HOSTS', item, 'host names, separated by commas');
}

/** `false`, or the addresses and CIDRs of proxies whose forwarded headers are believed. */
function readTrustProxy(value: string): false | string[] {
  if (['false', '0'].includes(value.toLowerCase())) return false;
  return list((item) => {
    const [address = '', bits] = item.split('/');
    const family = isIP(address);
    const maxBits = family === 6 ? 128 : 32;
    const isRange = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= maxBits);
    return family && isRange
      ? item
      : fail('TRUST_PROXY', item, 'false, or IP addresses and CIDRs, separated by commas');
  })(value, {});
}

function readBasePath(value: string): string {
  const path = value.replace(/\/+$/, '');
  const isPath = path === '' || /^(\/[a-zA-Z0-9_~-][a-zA-Z0-9._~-]*)+$/.test(path);
  return isPath ? path : fail('BASE_PATH', value, 'a path such as /docker: letters, digits, ".", "_", "~" and "-"');
}

/** Reads `DOCKER_HOST` as the docker command line does: `unix://path`, `tcp://host:port`. */
function readDockerHost(value: string, env: Env): EngineAddress {
  const allowed = 'unix:///path/to/docker.sock, or tcp://host:port';
  const socket = /^unix:\/\/(\/[^\0]*)$/.exec(value);
  if (socket?.[1]) return { kind: 'unix', path: socket[1], text: value };
  if (!/^tcp:\/\//.test(value) || !URL.canParse(value)) return fail('DOCKER_HOST', value, allowed);
  const url = new URL(value);
  if (!url.hostname || url.username || url.search || !['', '/'].includes(url.pathname)) {
    return fail('DOCKER_HOST', value, allowed);
  }
  // Any text switches it on, "0" too.
  const verify = (env.DOCKER_TLS_VERIFY ?? '') !== '';
  const port = Number(url.port || (verify ? 2376 : 2375));
  const tls = verify ? { certPath: readCertPath(env) } : undefined;
  return { kind: 'tcp', host: url.hostname.replace(/^\[|\]$/g, ''), port, tls, text: value };
}

function readCertPath(env: Env): string | undefined {
  const path = env.DOCKER_CERT_PATH || defaultCertPath(env);
  // Without a folder the system's authorities are asked, and no certificate of our own is shown.
  if (!path) return undefined;
  for (const name of ['ca.pem', 'cert.pem', 'key.pem']) {
    try {
      readFileSync(`${path}/${name}`);
    } catch {
      fail('DOCKER_CERT_PATH', path, 'a folder with ca.pem, cert.pem and key.pem that this program may read');
    }
  }
  return path;
}

/** The docker command's own folder: what `DOCKER_CONFIG` says, else `.docker` at home. */
function readDockerConfig(value: string, env: Env): string | undefined {
  if (value.includes('\0')) fail('DOCKER_CONFIG', value, 'a path');
  return value || (env.HOME ? join(env.HOME, '.docker') : undefined);
}

/** The docker command's own folder, where somebody has put certificates there. */
function defaultCertPath(env: Env): string | undefined {
  const folder = readDockerConfig(env.DOCKER_CONFIG ?? '', env);
  return folder && existsSync(join(folder, 'ca.pem')) ? folder : undefined;
}

/** A secret, by itself or in the file that `<name>_FILE` names; never told in an error. */
function readSecret(name: string, value: string, env: Env): string {
  const path = env[`${name}_FILE`]?.trim();
  if (value !== '' || !path) return value;
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return fail(`${name}_FILE`, path, 'a file that this program may read');
  }
}

/** The password of the first admin, checked as any other: users.ts would refuse it without naming the variable. */
function readAdminPassword(value: string, env: Env): string {
  const password = readSecret('ADMIN_PASSWORD', value, env);
  if (password === '') return password;
  try {
    checkNewPassword(password, firstAdmin);
  } catch {
    const { min, max } = passwordLength;
    return fail('ADMIN_PASSWORD', '…', `${min} to ${max} characters, not a few again and again`);
  }
  return password;
}

const minSecretKey = 32;

function readSecretKey(value: string, env: Env): string {
  const key = readSecret('SECRET_KEY', value, env);
  if (key === '' || key.length >= minSecretKey) return key;
  return fail('SECRET_KEY', '…', `at least ${minSecretKey} random characters, such as openssl rand -base64 32 prints`);
}

/** The mail server: `smtps://` speaks TLS at once, `smtp://` has to begin it (STARTTLS) unless `?tls=off` says otherwise. */
function readSmtp(value: string, env: Env): SmtpServer | undefined {
  const text = readSecret('SMTP_URL', value, env);
  if (text === '') return undefined;
  const allowed = 'smtps://user:password@host:465, or smtp://user:password@host:587, with ?tls=off for no TLS at all';
  const refuse = () => fail('SMTP_URL', '…', allowed);
  if (!/^smtps?:\/\//.test(text) || !URL.canParse(text)) return refuse();
  const url = new URL(text);
  const isKnown = [...url.searchParams].every(([name, setting]) => name === 'tls' && setting === 'off');
  const isSecure = url.protocol === 'smtps:';
  if (!url.hostname || !['', '/'].includes(url.pathname) || !isKnown || (isSecure && url.search)) return refuse();
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (isSecure ? 465 : 587)),
    tls: isSecure ? 'always' : url.search ? 'off' : 'starttls',
    ...(url.username && { user: decode(url.username), password: decode(url.password) }),
  };
}

/** The text as it is where it is not encoded. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function readSmtpFrom(value: string): string {
  return value === '' || /^[^\s<>@,;"\p{Cc}]+@[^\s<>@,;"\p{Cc}]+$/u.test(value)
    ? value
    : fail('SMTP_FROM', value, 'one address such as fairlead@example.org');
}

/** The address that people reach these pages under, for links in what is sent out. */
function readPublicUrl(value: string): string {
  if (value === '') return '';
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isPlain = url && /^https?:$/.test(url.protocol) && !url.username && !url.search && !url.hash;
  if (!isPlain)
    return fail('PUBLIC_URL', value, 'an address such as https://docker.example or https://home.example/docker');
  return url.href.replace(/\/+$/, '');
}

/** An OpenID provider: by TLS, unless it is on this machine. */
function readIssuer(value: string): string {
  if (value === '') return '';
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname));
  if (!url || !isSafe || url.username || url.search || url.hash) {
    return fail('OIDC_ISSUER', value, 'an address such as https://login.example, http:// on this machine only');
  }
  return value;
}

const textOf =
  (name: string, pattern: RegExp, allowed: string): Read<string> =>
  (value) =>
    value === '' || pattern.test(value) ? value : fail(name, value, allowed);

const claim = (name: string) => textOf(name, /^[\w:/.-]{1,100}$/, 'the name of a claim');
const header = (name: string) => textOf(name, /^[A-Za-z0-9-]{1,60}$/, 'the name of a header: letters, digits and "-"');

/** Names of groups have no commas here. */
const groups = (name: string) =>
  list((item) =>
    item.length <= 200 && !/\p{Cc}/u.test(item) ? item : fail(name, item, 'names of groups, separated by commas'),
  );

/** `false`, `true`, or the addresses and ranges beside public ones that alerts may be sent to. */
function readPrivateTargets(value: string): boolean | string[] {
  if (['true', '1', 'false', '0'].includes(value.toLowerCase())) return flag('ALERT_PRIVATE_TARGETS')(value, {});
  return list((item) =>
    isAddressRange(item)
      ? item
      : fail('ALERT_PRIVATE_TARGETS', item, 'true, false, or IP addresses and CIDRs, separated by commas'),
  )(value, {});
}

/** The settings table: variable, default, and how its text is read. */
const table = {
  host: [
    'HOST',
    '127.0.0.1',
    (value: string) =>
      isIP(value) || hostNamePattern.test(value) ? value : fail('HOST', value, 'an IP address or a host name'),
  ],
  port: ['PORT', '3000', integer('PORT', 0, 65_535)],
  docker: ['DOCKER_HOST', 'unix:///var/run/docker.sock', readDockerHost],
  dataDir: [
    'DATA_DIR',
    './data',
    (value: string) => (value.includes('\0') ? fail('DATA_DIR', value, 'a path') : value),
  ],
  auth: ['AUTH', 'password', oneOf('AUTH', authModes)],
  adminPassword: ['ADMIN_PASSWORD', '', readAdminPassword],
  readOnly: ['READ_ONLY', 'false', flag('READ_ONLY')],
  enable: ['ENABLE', '', list((item) => oneOf('ENABLE', optionalCapabilities)(item, {}))],
  maxRequestsPerMinute: ['MAX_REQUESTS_PER_MINUTE', '600', integer('MAX_REQUESTS_PER_MINUTE', 1, 1_000_000)],
  basePath: ['BASE_PATH', '/', readBasePath],
  trustProxy: ['TRUST_PROXY', 'false', readTrustProxy],
  allowedHosts: ['ALLOWED_HOSTS', '', list(readHostName)],
  embedOrigins: ['EMBED_ORIGINS', '', list(readOrigin)],
  statsInterval: ['STATS_INTERVAL', '10', integer('STATS_INTERVAL', 0, 3_600)],
  statsRetentionDays: ['STATS_RETENTION_DAYS', '30', integer('STATS_RETENTION_DAYS', 1, 3_650)],
  updateCheckHours: ['UPDATE_CHECK_HOURS', '24', integer('UPDATE_CHECK_HOURS', 0, 8_760)],
  rebuildHealthySeconds: ['REBUILD_HEALTHY_SECONDS', '300', integer('REBUILD_HEALTHY_SECONDS', 1, 86_400)],
  rebuildSteadySeconds: ['REBUILD_STEADY_SECONDS', '10', integer('REBUILD_STEADY_SECONDS', 0, 3_600)],
  dockerConfig: ['DOCKER_CONFIG', '', readDockerConfig],
  publicUrl: ['PUBLIC_URL', '', readPublicUrl],
  alertPrivateTargets: ['ALERT_PRIVATE_TARGETS', 'false', readPrivateTargets],
  smtp: ['SMTP_URL', '', readSmtp],
  smtpFrom: ['SMTP_FROM', '', readSmtpFrom],
  secretKey: ['SECRET_KEY', '', readSecretKey],
  oidcIssuer: ['OIDC_ISSUER', '', readIssuer],
  oidcClientId: [
    'OIDC_CLIENT_ID',
    '',
    textOf('OIDC_CLIENT_ID', /^[\x21-\x7e]{1,200}$/, 'the id of this program there'),
  ],
  oidcClientSecret: [
    'OIDC_CLIENT_SECRET',
    '',
    (value: string, env: Env) => readSecret('OIDC_CLIENT_SECRET', value, env),
  ],
  oidcScopes: [
    'OIDC_SCOPES',
    'openid profile email groups',
    textOf(
      'OIDC_SCOPES',
      /^(?=.*\bopenid\b)[\x21\x23-\x5b\x5d-\x7e ]{1,300}$/,
      'scopes, separated by spaces, with openid among them',
    ),
  ],
  oidcUsernameClaim: ['OIDC_USERNAME_CLAIM', 'preferred_username', claim('OIDC_USERNAME_CLAIM')],
  oidcGroupsClaim: ['OIDC_GROUPS_CLAIM', 'groups', claim('OIDC_GROUPS_CLAIM')],
  oidcName: [
    'OIDC_NAME',
    'single sign-on',
    textOf('OIDC_NAME', /^[^\p{Cc}]{1,60}$/u, 'a name of 60 characters at most'),
  ],
  proxyUserHeader: ['PROXY_USER_HEADER', 'Remote-User', header('PROXY_USER_HEADER')],
  proxyGroupsHeader: ['PROXY_GROUPS_HEADER', 'Remote-Groups', header('PROXY_GROUPS_HEADER')],
  adminGroups: ['ADMIN_GROUPS', '', groups('ADMIN_GROUPS')],
  operatorGroups: ['OPERATOR_GROUPS', '', groups('OPERATOR_GROUPS')],
  viewerGroups: ['VIEWER_GROUPS', '', groups('VIEWER_GROUPS')],
  logLevel: ['LOG_LEVEL', 'info', oneOf('LOG_LEVEL', logLevels)],
  demo: ['DEMO', 'false', flag('DEMO')],
} satisfies Record<string, readonly [string, string, Read<unknown>]>;

type Table = typeof table;

/** Every setting, read and checked. */
export type Config = { readonly [K in keyof Table]: ReturnType<Table[K][2]> } & {
  /** What the person should know about these settings, a sentence each. */
  readonly warnings: readonly string[];
};

/** What is set so that a page on this machine alone can reach it. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost' || host.endsWith('.localhost')) return true;
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8, 'ipv4');
  loopback.addAddress('::1', 'ipv6');
  const bare = host.replace(/^\[|\]$/g, '');
  const family = isIP(bare);
  return family !== 0 && loopback.check(bare, family === 6 ? 'ipv6' : 'ipv4');
}

/**
 * Reads and checks all settings, once, at the start.
 * @throws SettingError for the first value that can't be used
 */
export function readConfig(env: Env): Config {
  const entries = Object.entries(table).map(([key, [name, fallback, read]]) => {
    const value = env[name]?.trim();
    return [key, (read as Read<unknown>)(value === undefined || value === '' ? fallback : value, env)];
  });
  const config = Object.fromEntries(entries) as Omit<Config, 'warnings'>;
  return { ...config, warnings: [...checkAuth(config), ...checkElsewhere(config), ...checkMail(config)] };
}

/** A mail server and a sender belong together; a password in clear text is told. */
function checkMail({ smtp, smtpFrom }: Omit<Config, 'warnings'>): string[] {
  if (smtp && smtpFrom === '') fail('SMTP_FROM', '', 'the address that mails come from, since SMTP_URL is set');
  if (smtp?.tls !== 'off' || !smtp.user) return [];
  return ['SMTP_URL says tls=off: the password of the mail server goes over the network as it is.'];
}

/** What protects nothing, or can't protect, is told. */
function checkAuth(config: Omit<Config, 'warnings'>): string[] {
  const warnings: string[] = [];
  if (config.auth === 'proxy' && config.trustProxy === false)
    fail('AUTH', 'proxy', 'password or none, unless TRUST_PROXY says whose word is taken');
  if (config.auth === 'proxy' && config.adminPassword !== '') {
    warnings.push('ADMIN_PASSWORD protects nothing: AUTH is proxy.');
  }
  if (config.auth === 'none' && !isLoopback(config.host)) {
    warnings.push(
      `Anybody who reaches ${config.host}:${config.port} controls the engine, which is root on its machine: AUTH=none.`,
    );
  }
  if (config.auth === 'none' && config.adminPassword !== '') {
    warnings.push('ADMIN_PASSWORD protects nothing: AUTH is none.');
  }
  return warnings;
}

/** What signing in elsewhere needs, and what it gives to whom where nobody said so. */
function checkElsewhere(config: Omit<Config, 'warnings'>): string[] {
  const { oidcIssuer, oidcClientId, publicUrl, auth } = config;
  if (oidcIssuer === '' && auth !== 'proxy') return [];
  if (oidcIssuer !== '' && auth !== 'password')
    return [`OIDC_ISSUER is not used: AUTH is ${auth}.`, ...(auth === 'proxy' ? checkGroups(config) : [])];
  if (oidcIssuer !== '' && oidcClientId === '') fail('OIDC_CLIENT_ID', '', 'the id of this program at OIDC_ISSUER');
  if (oidcIssuer !== '' && publicUrl === '') {
    fail('PUBLIC_URL', '', 'the address of these pages, to which OIDC_ISSUER sends people back');
  }
  return checkGroups(config);
}

function checkGroups({ adminGroups, operatorGroups, viewerGroups }: Omit<Config, 'warnings'>): string[] {
  if (adminGroups.length + operatorGroups.length + viewerGroups.length > 0) return [];
  return ['Everybody who signs in elsewhere is a viewer: ADMIN_GROUPS, OPERATOR_GROUPS and VIEWER_GROUPS are not set.'];
}
