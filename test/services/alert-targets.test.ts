import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createGuardedPost } from '../../src/services/guarded-post.ts';
import { createSecretBox } from '../../src/services/secret-box.ts';
import {
  createTargetGuard,
  type LookupAll,
  type PrivateTargets,
  parseTarget,
} from '../../src/services/target-guard.ts';

const publicAddress = '93.184.216.34';
const answer =
  (...addresses: string[]): LookupAll =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

/** Whether a guard lets an address pass. */
async function passes(url: string, privateTargets: PrivateTargets = false, lookup: LookupAll = answer(publicAddress)) {
  const guard = createTargetGuard({ privateTargets, lookup });
  return guard.resolve(parseTarget('url', url)).then(
    () => true,
    () => false,
  );
}

/** A server that keeps what it was sent. */
async function listen(t: Test, respond: (request: IncomingMessage, response: ServerResponse) => void) {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.headers.host} ${request.url}`);
    request.resume().on('end', () => respond(request, response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, port: (server.address() as AddressInfo).port };
}

t.test('an address that is not of the public internet is refused, however it is written', async (t) => {
  const refused = [
    ...['127.0.0.1', '127.1', '127.255.255.254', '0x7f.1', '0x7f000001', '2130706433', '017700000001', '0'],
    ...['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '169.254.169.254', '100.64.0.1', '100.127.255.255'],
    ...['0.0.0.0', '255.255.255.255', '224.0.0.1', '239.1.2.3', '240.0.0.1', '192.0.2.1', '198.51.100.1'],
    ...['203.0.113.1', '198.18.0.1', '192.0.0.1', '192.88.99.1'],
    ...['[::]', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::ffff:10.0.0.1]', '[::127.0.0.1]', '[fe80::1]'],
    ...['[fc00::1]', '[fd12:3456::1]', '[fec0::1]', '[ff02::1]', '[64:ff9b::7f00:1]', '[64:ff9b:1::a00:1]'],
    ...['[2002:7f00:1::]', '[2001:0:7f00:1::]', '[2001:db8::1]', '[100::1]', '[3fff::1]', '[5f00::1]', '[4000::1]'],
  ];
  for (const host of refused) t.equal(await passes(`http://${host}/x`), false, host);
  for (const host of ['93.184.216.34', '1.1.1.1', '[2606:4700:4700::1111]', 'hooks.example']) {
    t.equal(await passes(`https://${host}/x`), true, host);
  }
});

t.test('a name passes only if all that it leads to may be reached', async (t) => {
  const to = (...addresses: string[]) => passes('https://hooks.example/', false, answer(...addresses));
  t.equal(await to(publicAddress, '2606:4700::1'), true);
  t.equal(await to(publicAddress, '10.0.0.1'), false, 'one of two is enough to refuse');
  t.equal(await to('::ffff:192.168.0.1'), false);
  t.equal(await to('fe80::1%eth0'), false);
  t.equal(await to('nonsense'), false);
  t.equal(await to(), false);
});

t.test('a refusal says the same whether a name is known or not', async (t) => {
  const why = (lookup: LookupAll) =>
    createTargetGuard({ privateTargets: false, lookup })
      .resolve(new URL('http://inner.example/'))
      .then(
        () => 'passed',
        (error: Error) => error.message,
      );
  const inner = await why(answer('10.1.2.3'));
  const unknown = await why(async () => {
    throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
  });
  t.equal(inner, unknown);
  t.notMatch(inner, /10\.1|private|inner/);
});

t.test('a setting lets private targets pass: all, or some', async (t) => {
  for (const host of ['127.0.0.1', '10.0.0.1', '[::1]', '[fd00::1]', '169.254.1.1', '100.64.0.1']) {
    t.equal(await passes(`http://${host}/`, true), true, host);
  }
  for (const host of ['0.0.0.0', '[::]', '255.255.255.255', '224.0.0.1', '[ff02::1]']) {
    t.equal(await passes(`http://${host}/`, true), false, `${host} is nobody's`);
  }
  const some = ['10.1.0.0/16', '192.168.1.7', 'fd00:1::/32'];
  t.equal(await passes('http://10.1.2.3/', some), true);
  t.equal(await passes('http://10.2.2.3/', some), false);
  t.equal(await passes('http://192.168.1.7/', some), true);
  t.equal(await passes('http://192.168.1.8/', some), false);
  t.equal(await passes('http://[fd00:1::9]/', some), true);
  t.equal(await passes('http://[::ffff:10.1.2.3]/', some), true, 'whatever it is written as');
});

t.test('what is no address of a target is refused before anybody is asked', async (t) => {
  const wrong: [string, RegExp][] = [
    ['ftp://hooks.example/', /^url: must begin with https/],
    ['file:///etc/passwd', /^url: must begin/],
    ['javascript:alert(1)', /^url: must begin/],
    ['gopher://127.0.0.1:25/', /^url: must begin/],
    ['https://user:secret@hooks.example/', /^url: no user or password/],
    ['https://user@hooks.example/', /^url: no user/],
    ['hooks.example', /^url: must be an address/],
    ['http://', /^url: must be an address/],
    [`https://hooks.example/${'x'.repeat(2_000)}`, /^url: at most 2000/],
  ];
  for (const [url, message] of wrong) t.throws(() => parseTarget('url', url), { code: 'invalid', message }, url);
  try {
    parseTarget('url', 'https://u:hunter2@hooks.example/');
    t.fail('it was let through');
  } catch (error) {
    t.notMatch((error as Error).message, /hunter2/, 'a refusal never repeats it');
  }
  t.equal(parseTarget('url', 'https://hooks.example/a#b').href, 'https://hooks.example/a');
  t.equal(parseTarget('url', 'http://0x7f.1/').hostname, '127.0.0.1', 'odd ways to write an address are read first');
});

t.test('the connection is made to the address that was checked', async (t) => {
  const server = await listen(t, (_request, response) => response.writeHead(204).end());
  let asked = 0;
  // The first answer is let through; whoever asked again would be led elsewhere.
  const lookup: LookupAll = async () => {
    asked += 1;
    return [{ address: asked === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }];
  };
  const guard = createTargetGuard({ privateTargets: ['127.0.0.1'], lookup });
  const post = createGuardedPost(guard);
  const url = new URL(`http://rebind.example:${server.port}/hook`);
  t.equal(await post({ url, body: {} }, new AbortController().signal), 204);
  t.equal(asked, 1);
  t.same(server.seen, [`POST rebind.example:${server.port} /hook`], 'with the name as its host');
  await t.rejects(
    post({ url, body: {} }, new AbortController().signal),
    { code: 'forbidden' },
    'asked again each time',
  );
  t.equal(server.seen.length, 1);
});

t.test('redirects are not followed', async (t) => {
  const inner = await listen(t, (_request, response) => response.end('secret'));
  const outer = await listen(t, (_request, response) =>
    response.writeHead(307, { location: `http://127.0.0.1:${inner.port}/latest/meta-data` }).end(),
  );
  const post = createGuardedPost(createTargetGuard({ privateTargets: true }));
  const url = new URL(`http://127.0.0.1:${outer.port}/`);
  t.equal(await post({ url, body: {} }, new AbortController().signal), 307);
  t.same(inner.seen, []);
});

t.test('an answer without end, or none at all, holds nothing up', async (t) => {
  let isCut = false;
  const endless = await listen(t, (_request, response) => {
    response.writeHead(200);
    const more = setInterval(() => response.write('x'.repeat(4_096)), 5);
    response.on('close', () => {
      isCut = true;
      clearInterval(more);
    });
  });
  const silent = await listen(t, () => {});
  const guard = createTargetGuard({ privateTargets: true });
  const to = (port: number) => ({ url: new URL(`http://127.0.0.1:${port}/`), body: {} });
  t.equal(await createGuardedPost(guard)(to(endless.port), new AbortController().signal), 200);
  const deadline = performance.now() + 5_000;
  while (!isCut && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
  t.ok(isCut, 'it is cut off');
  await t.rejects(createGuardedPost(guard, 100)(to(silent.port), new AbortController().signal));
  const leaving = new AbortController();
  const sent = createGuardedPost(guard)(to(silent.port), leaving.signal);
  setTimeout(() => leaving.abort(), 50);
  await t.rejects(sent, { name: 'AbortError' });
});

function folder(t: Test) {
  const path = mkdtempSync(join(tmpdir(), 'fairlead-secrets-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

t.test('secrets are sealed with a key that is kept beside the database', async (t) => {
  const dataDir = folder(t);
  const box = createSecretBox({ dataDir, secretKey: '' });
  const sealed = box.seal('https://hooks.example/T0KEN', 'a');
  t.notMatch(sealed, /hooks|T0KEN/);
  t.not(box.seal('https://hooks.example/T0KEN', 'a'), sealed, 'never twice the same');
  t.equal(statSync(join(dataDir, 'secret.key')).mode & 0o777, 0o600);
  t.equal(createSecretBox({ dataDir, secretKey: '' }).open(sealed, 'a'), 'https://hooks.example/T0KEN', 'later too');
  t.equal(box.open(sealed, 'b'), undefined, 'not for another purpose');
  const changed = `${sealed.slice(0, -3)}${sealed.at(-3) === 'A' ? 'B' : 'A'}${sealed.slice(-2)}`;
  t.equal(box.open(changed, 'a'), undefined, 'not when it was changed');
  t.equal(box.open('v1.', 'a'), undefined);
  t.equal(box.open('plain', 'a'), undefined);
  rmSync(join(dataDir, 'secret.key'));
  t.equal(createSecretBox({ dataDir, secretKey: '' }).open(sealed, 'a'), undefined, 'not without the key');
  t.throws(() => statSync(join(dataDir, 'secret.key')), { code: 'ENOENT' }, 'who only reads makes none');
  const other = createSecretBox({ dataDir, secretKey: '' });
  other.seal('x', 'a');
  t.equal(other.open(sealed, 'a'), undefined, 'not with a new key');
});

t.test('a key can be set, and a damaged one is never overwritten', async (t) => {
  const dataDir = folder(t);
  const secretKey = 'k'.repeat(40);
  const sealed = createSecretBox({ dataDir, secretKey }).seal('x', 'a');
  t.equal(createSecretBox({ dataDir: folder(t), secretKey }).open(sealed, 'a'), 'x', 'in any folder');
  t.throws(() => statSync(join(dataDir, 'secret.key')), { code: 'ENOENT' });
  const path = join(dataDir, 'secret.key');
  writeFileSync(path, 'half');
  chmodSync(path, 0o600);
  t.throws(() => createSecretBox({ dataDir, secretKey: '' }).seal('x', 'a'), /holds no key/);
  t.throws(() => createSecretBox({ dataDir, secretKey: '' }).open(sealed, 'a'), /holds no key/, 'that is not lost yet');
  t.equal(readFileSync(path, 'utf8'), 'half');
});
