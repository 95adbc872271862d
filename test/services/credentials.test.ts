import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createCredentialStore, toAuthHeader } from '../../src/services/credentials.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const hubKey = 'https://index.docker.io/v1/';
const ann = { username: 'ann', password: 'secret' };
const annsEntry = { auth: base64('ann:secret') };
const none = { credentials: undefined, note: '' };

function newFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-credentials-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** The store of a folder with this config.json: as it is where it is text. */
function storeOf(t: Test, config: object | string, folder = newFolder(t)) {
  writeFileSync(join(folder, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
  return createCredentialStore(folder);
}

/** Puts credential helpers first in PATH, shell scripts by their names; gives their folder. */
function addHelpers(t: Test, scripts: Record<string, string>): string {
  const folder = newFolder(t);
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(folder, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const { PATH: path = '' } = process.env;
  process.env.PATH = `${folder}:${path}`;
  t.teardown(() => {
    process.env.PATH = path;
  });
  return folder;
}

const answer = (username: string, secret: string) =>
  `echo '${JSON.stringify({ ServerURL: 'x', Username: username, Secret: secret })}'`;

t.test('a login is read from the file as the docker command writes it', async (t) => {
  const { find } = storeOf(t, {
    auths: {
      'registry.example:5000': annsEntry,
      'colons.example': { auth: base64('ann:a:b:') },
      'umlauts.example': { auth: base64('änn:pässwörd') },
      'padded.example': { auth: base64('ann:secret\0\0\0') },
      'parts.example': { username: 'ann', password: 'secret' },
      'token.example': { auth: base64('<token>:'), identitytoken: 'abc.def' },
    },
  });
  t.strictSame(await find('registry.example:5000'), { credentials: ann, note: '' });
  t.match(await find('colons.example'), { credentials: { username: 'ann', password: 'a:b:' } });
  t.match(await find('umlauts.example'), { credentials: { username: 'änn', password: 'pässwörd' } });
  t.strictSame(await find('padded.example'), { credentials: ann, note: '' });
  t.strictSame(await find('parts.example'), { credentials: ann, note: '' });
  t.strictSame(await find('token.example'), { credentials: { identityToken: 'abc.def' }, note: '' });
  t.strictSame(await find('other.example'), none);
});

t.test('an address of the same host is the same registry, and only of the same', async (t) => {
  for (const key of [
    'https://r.example:5000',
    'http://r.example:5000/',
    'https://r.example:5000/v2/',
    'r.example:5000/v1',
  ]) {
    const { find } = storeOf(t, { auths: { [key]: annsEntry } });
    t.match(await find('r.example:5000'), { credentials: ann }, key);
  }
  const others = [
    'r.example',
    'r.example:500',
    'r.example:50000',
    'xr.example:5000',
    'https://evil.example/r.example:5000',
  ];
  const { find } = storeOf(t, { auths: Object.fromEntries(others.map((key) => [key, annsEntry])) });
  t.strictSame(await find('r.example:5000'), none);
  const both = storeOf(t, {
    auths: { 'https://r.example/v1/': { auth: base64('old:old') }, 'r.example': annsEntry },
  });
  t.match(await both.find('r.example'), { credentials: ann }, 'the very name comes first');
});

t.test('docker.io is found under each of its names', async (t) => {
  for (const key of [hubKey, 'docker.io', 'https://docker.io', 'index.docker.io', 'https://registry-1.docker.io/v2/']) {
    t.match(await storeOf(t, { auths: { [key]: annsEntry } }).find('docker.io'), { credentials: ann }, key);
  }
  const { find } = storeOf(t, { auths: { 'docker.io': { auth: base64('old:old') }, [hubKey]: annsEntry } });
  t.match(await find('docker.io'), { credentials: ann }, 'what docker login writes comes first');
  t.strictSame(await find('ghcr.example'), none);
});

t.test('an entry that says nothing is no login', async (t) => {
  const entries = [{}, null, 'text', 7, [], { auth: '' }, { auth: 7 }, { auth: '%%%' }, { auth: base64('ann') }];
  const empty = [{ auth: base64('ann:') }, { auth: base64(':secret') }, { identitytoken: '' }, { identitytoken: {} }];
  for (const entry of [...entries, ...empty]) {
    const { find } = storeOf(t, { auths: { 'r.example': entry } });
    t.strictSame(await find('r.example'), none, JSON.stringify(entry));
  }
  for (const config of [{}, { auths: null }, { auths: [] }, { auths: 'x' }, { credHelpers: 7, credsStore: {} }]) {
    t.strictSame(await storeOf(t, config).find('r.example'), none, JSON.stringify(config));
  }
  t.strictSame(await storeOf(t, '{"auths":{"__proto__":{"auth":"YTpi"}}}').find('constructor'), none);
});

t.test('without a folder or a file there are no credentials, and nothing to tell', async (t) => {
  t.strictSame(await createCredentialStore(undefined).find('r.example'), none);
  t.strictSame(await createCredentialStore(newFolder(t)).find('r.example'), none);
  t.strictSame(await createCredentialStore(join(newFolder(t), 'nowhere')).find('r.example'), none);
});

t.test('a file that can not be read is told, and its content is not', async (t) => {
  const told = (reason: string) => ({
    credentials: undefined,
    note: `The docker command's config.json ${reason}: no credentials were taken from it.`,
  });
  t.strictSame(await storeOf(t, '{"auths":{"secret').find('r.example'), told('is not JSON'));
  t.strictSame(await storeOf(t, '').find('r.example'), told('is not JSON'));
  for (const text of ['[]', 'null', '"text"', '7']) {
    t.strictSame(await storeOf(t, text).find('r.example'), told('is not a JSON object'), text);
  }
  const spaces = ' '.repeat(1024 * 1024);
  t.strictSame(await storeOf(t, `{}${spaces}`).find('r.example'), told('is larger than 1 MiB'));
  t.strictSame(await storeOf(t, `{}${spaces.slice(2)}`).find('r.example'), none, 'just small enough');
  const folder = newFolder(t);
  mkdirSync(join(folder, 'config.json'));
  t.strictSame(await createCredentialStore(folder).find('r.example'), told('may not be read by this program'));
});

t.test('a login counts at once', async (t) => {
  const folder = newFolder(t);
  const { find } = createCredentialStore(folder);
  t.strictSame(await find('r.example'), none);
  storeOf(t, { auths: { 'r.example': annsEntry } }, folder);
  t.match(await find('r.example'), { credentials: ann });
  storeOf(t, { auths: {} }, folder);
  t.strictSame(await find('r.example'), none, 'and so does a logout');
});

t.test("a registry's own helper comes first, then the one for all, then the file", async (t) => {
  addHelpers(t, { own: answer('own', 'secret'), all: answer('all', 'secret') });
  const auths = { 'r.example': annsEntry, [hubKey]: annsEntry };
  const config = { auths, credsStore: 'all', credHelpers: { 'r.example': 'own', 'docker.io': 'own' } };
  const usernameOf = async (registry: string, file: object) => {
    const { credentials, note } = await storeOf(t, file).find(registry);
    t.equal(note, '');
    return credentials && 'username' in credentials ? credentials.username : undefined;
  };
  t.equal(await usernameOf('r.example', config), 'own');
  t.equal(await usernameOf('docker.io', config), 'own', 'also by another name of docker.io');
  t.equal(await usernameOf('other.example', config), 'all');
  t.equal(await usernameOf('r.example', { ...config, credHelpers: {} }), 'all');
  t.equal(await usernameOf('r.example', { auths }), 'ann');
});

t.test('a helper is asked by the name that the docker command uses', async (t) => {
  const folder = addHelpers(t, { lab: `cat > "$0.asked"; echo "$@" > "$0.words"; ${answer('ann', 'secret')}` });
  const { find } = storeOf(t, { credsStore: 'lab' });
  const asked = () => readFileSync(join(folder, 'docker-credential-lab.asked'), 'utf8');
  t.strictSame(await find('registry.example:5000'), { credentials: ann, note: '' });
  t.equal(asked(), 'registry.example:5000');
  t.equal(readFileSync(join(folder, 'docker-credential-lab.words'), 'utf8'), 'get\n');
  await find('docker.io');
  t.equal(asked(), hubKey);
});

t.test('what a helper answers is a login, a token, or that it has none', async (t) => {
  addHelpers(t, {
    token: answer('<token>', 'abc.def'),
    umlauts: answer('änn', 'pässwörd'),
    unread: `exec <&-; ${answer('ann', 'secret')}`,
    missing: 'echo "credentials not found in native keychain"; exit 1',
    nothing: answer('', ''),
    empty: "echo '{}'",
  });
  const found = async (helper: string) => storeOf(t, { credsStore: helper }).find('r.example');
  t.strictSame(await found('token'), { credentials: { identityToken: 'abc.def' }, note: '' });
  t.strictSame(await found('umlauts'), { credentials: { username: 'änn', password: 'pässwörd' }, note: '' });
  t.strictSame(await found('unread'), { credentials: ann, note: '' }, 'one that does not read what it is asked');
  for (const helper of ['missing', 'nothing', 'empty']) t.strictSame(await found(helper), none, helper);
});

t.test('a helper that fails is told by its name, never by what it said', async (t) => {
  addHelpers(t, {
    garbage: 'echo "secret garbage"',
    text: `echo '"secret"'`,
    list: `echo '["secret"]'`,
    mute: 'true',
    failing: 'echo secret; echo secret >&2; exit 1',
    lying: `${answer('ann', 'secret')}; exit 3`,
    killed: 'kill -9 $$',
  });
  const reasons = {
    garbage: 'gave an answer that is not JSON',
    text: 'gave an answer that is no object',
    list: 'gave an answer that is no object',
    mute: 'gave an answer that is not JSON',
    failing: 'failed',
    lying: 'failed',
    killed: 'did not answer in time',
    absent: 'could not be started',
  };
  for (const [helper, reason] of Object.entries(reasons)) {
    const note = `The credential helper ${helper} ${reason}: no credentials were taken from it.`;
    t.strictSame(await storeOf(t, { credsStore: helper }).find('r.example'), { credentials: undefined, note });
  }
});

t.test('no other program is started than a credential helper in PATH', async (t) => {
  const folder = addHelpers(t, { lab: answer('ann', 'secret'), '-x': answer('ann', 'secret') });
  writeFileSync(join(folder, 'evil'), `#!/bin/sh\ntouch "$0.started"\n`, { mode: 0o755 });
  mkdirSync(join(folder, 'docker-credential-'));
  const names = [
    '/evil',
    '../evil',
    './evil',
    `x/../../${folder}/evil`,
    'lab/../evil',
    '..',
    '.',
    '-x',
    'lab;evil',
    'a b',
  ];
  for (const name of [...names, 'lab\0', 'lab\n', '$(evil)', 'a'.repeat(101)]) {
    const { credentials, note } = await storeOf(t, { credsStore: name }).find('r.example');
    t.equal(credentials, undefined, JSON.stringify(name));
    t.match(note, /has a name that no program can have/);
    t.ok(note.length < 250);
  }
  t.throws(() => readFileSync(join(folder, 'evil.started')));
});

t.test('an answer that is too long ends a helper, and is told as what it is', async (t) => {
  addHelpers(t, { long: 'head -c 200000 /dev/zero | tr "\\0" x' });
  const { credentials, note } = await storeOf(t, { credsStore: 'long' }).find('r.example');
  t.equal(credentials, undefined);
  t.match(note, /^The credential helper long /);
  t.notMatch(note, /in time/, 'it did answer in time');
});

t.test('what a helper leaves running is not waited for', async (t) => {
  const folder = addHelpers(t, { lab: '(sleep 5; touch "$0.ended") & head -c 200000 /dev/zero | tr "\\0" x' });
  await storeOf(t, { credsStore: 'lab' }).find('r.example');
  t.notOk(
    existsSync(join(folder, 'docker-credential-lab.ended')),
    'it was ended, though its child has its output open',
  );
});

t.test('a helper that could not be started leaves no timer behind', async (t) => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const { find } = storeOf(t, { credsStore: 'absent' });
  const before = timers();
  await find('r.example');
  t.equal(timers(), before);
});

t.test('the header is base64 for URLs with its padding, whatever the length', async (t) => {
  const read = (header: string) => JSON.parse(Buffer.from(header, 'base64url').toString());
  for (let length = 1; length <= 12; length++) {
    const password = 'ÿ>?~'.repeat(3).slice(0, length);
    const { 'X-Registry-Auth': header = '' } = toAuthHeader('r.example:5000', { username: 'ann', password });
    t.equal(header.length % 4, 0, `${length} characters: whole groups of four`);
    t.match(header, /^[A-Za-z0-9_-]+={0,2}$/, 'no "+" and no "/"');
    t.strictSame(read(header), { username: 'ann', password, serveraddress: 'r.example:5000' });
  }
  const all = Array.from({ length: 12 }, (_, n) => toAuthHeader('r', { identityToken: 'x'.repeat(n + 1) }));
  const paddings = all.map((header) => /=*$/.exec(header['X-Registry-Auth'] ?? '')?.[0].length);
  t.strictSame(new Set(paddings), new Set([0, 1, 2]), 'each padding occurs');
});

t.test('the header names the registry as the docker command does', async (t) => {
  const read = ({ 'X-Registry-Auth': header = '' }: Record<string, string>) =>
    JSON.parse(Buffer.from(header, 'base64url').toString());
  t.equal(read(toAuthHeader('docker.io', ann)).serveraddress, hubKey);
  t.strictSame(read(toAuthHeader('r.example', { identityToken: 'abc' })), {
    identitytoken: 'abc',
    serveraddress: 'r.example',
  });
  t.strictSame(toAuthHeader('r.example', undefined), {}, 'without credentials there is no header');
});
