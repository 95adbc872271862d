import t from 'tap';
import { parseReference, readReference } from '../../src/services/references.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

t.test('a reference is told in its parts', async (t) => {
  const cases = [
    ['nginx', 'nginx', 'docker.io', 'latest', null],
    ['nginx:1.27', 'nginx', 'docker.io', '1.27', null],
    ['library/nginx:1.27', 'library/nginx', 'docker.io', '1.27', null],
    ['docker.io/library/nginx:1', 'docker.io/library/nginx', 'docker.io', '1', null],
    ['team/app/web:1', 'team/app/web', 'docker.io', '1', null],
    ['registry.example/app', 'registry.example/app', 'registry.example', 'latest', null],
    ['registry.example:5000/team/app:2', 'registry.example:5000/team/app', 'registry.example:5000', '2', null],
    ['127.0.0.1:5000/app:2', '127.0.0.1:5000/app', '127.0.0.1:5000', '2', null],
    ['localhost/app:1', 'localhost/app', 'localhost', '1', null],
    ['localhost:5000/app', 'localhost:5000/app', 'localhost:5000', 'latest', null],
    ['machine:80/app', 'machine:80/app', 'machine:80', 'latest', null],
    ['Machine/app:1', 'Machine/app', 'Machine', '1', null],
    ['REGISTRY.example/app:1', 'REGISTRY.example/app', 'REGISTRY.example', '1', null],
    [`nginx@${digest}`, 'nginx', 'docker.io', null, digest],
    [`nginx:1.27@${digest}`, 'nginx', 'docker.io', '1.27', digest],
    [
      `registry.example:5000/team/app:2@${digest}`,
      'registry.example:5000/team/app',
      'registry.example:5000',
      '2',
      digest,
    ],
  ] as const;
  for (const [text, name, registry, tag, digest] of cases) {
    t.match(parseReference(text), { name, registry, tag, digest }, text);
  }
});

t.test('its text says all that is pulled, and reads as the same reference again', async (t) => {
  const texts = {
    nginx: 'nginx:latest',
    'nginx:1': 'nginx:1',
    [`nginx@${digest}`]: `nginx@${digest}`,
    [`r.example:5000/a/b:1@${digest}`]: `r.example:5000/a/b:1@${digest}`,
    ' nginx:1\n': 'nginx:1',
  };
  for (const [written, text] of Object.entries(texts)) {
    t.equal(parseReference(written).text, text, JSON.stringify(written));
    t.strictSame(parseReference(text), parseReference(written));
  }
});

t.test('a first step is a host only where nothing else can be meant', async (t) => {
  const registryOf = (text: string) => parseReference(text).registry;
  t.equal(registryOf('team/app'), 'docker.io', 'no dot, no port: a path');
  t.equal(registryOf('localhost'), 'docker.io', 'an image of that name');
  t.equal(registryOf('registry.example'), 'docker.io', 'a host alone is no host');
  t.match(parseReference('registry.example:5000'), { name: 'registry.example', tag: '5000', registry: 'docker.io' });
  t.equal(registryOf('a.b/localhost/c'), 'a.b');
});

t.test('the older host of docker.io means docker.io', async (t) => {
  t.equal(parseReference('index.docker.io/library/nginx:1').registry, 'docker.io');
});

t.test('names may be parted as engines allow it, and only so', async (t) => {
  for (const name of ['a', '0', 'a.b', 'a_b', 'a__b', 'a-b', 'a--b', 'a---b', 'a1/b2/c3', 'a/b.c_d__e-f']) {
    t.equal(parseReference(`${name}:1`).name, name);
  }
  for (const name of ['a..b', 'a___b', 'a._b', 'a-', '-a', '_a', 'a_', '.a', 'a.', 'a/-b', 'a/b-', 'a/.', 'a/..']) {
    t.equal(readReference(`${name}:1`), undefined, name);
  }
});

t.test('tags have up to 128 letters, digits, dots, dashes and underscores', async (t) => {
  for (const tag of ['1', 'A', '_', 'v1.2.3-rc_1', 'LATEST', 'x'.repeat(128)]) {
    t.equal(parseReference(`nginx:${tag}`).tag, tag);
  }
  for (const tag of ['', '.', '-1', '1 2', '1+2', '1@', 'ä', '1\n2', '1:2', 'x'.repeat(129)]) {
    t.equal(readReference(`nginx:${tag}`), undefined, JSON.stringify(tag));
  }
});

t.test('a digest has all of its 64 digits', async (t) => {
  const hex = 'a'.repeat(64);
  t.equal(parseReference(`nginx@sha256:${hex}`).digest, `sha256:${hex}`);
  for (const wrong of ['', 'sha256:', hex, `sha256:${hex}a`, `sha256:${hex.slice(1)}`, `sha256:${hex.toUpperCase()}`]) {
    t.equal(readReference(`nginx@${wrong}`), undefined, wrong);
  }
  t.equal(readReference(`nginx@${digest}@${digest}`), undefined, 'only one');
  t.equal(readReference(`@${digest}`), undefined, 'of something');
  t.equal(readReference(`nginx@${digest}:1`), undefined, 'the tag stands before it');
});

t.test('a reference has 255 characters at most, its tag and digest included', async (t) => {
  const host = 'registry.example:5000/';
  t.equal(parseReference(`${host}${'a'.repeat(253 - host.length)}:1`).text.length, 255);
  t.equal(readReference(`${host}${'a'.repeat(254 - host.length)}:1`), undefined);
  t.equal(readReference('a'.repeat(249)), undefined, 'with the tag that it means');
  t.ok(readReference(`${'a'.repeat(183)}@${digest}`));
  t.equal(readReference(`${'a'.repeat(184)}@${digest}`), undefined);
});

t.test('an id is no name: engines refuse to pull one', async (t) => {
  t.equal(readReference('ab'.repeat(32)), undefined);
  t.ok(readReference('ab'.repeat(31)), 'shorter, it may be one');
});

t.test('what is no reference is refused, and what was written is not said again', async (t) => {
  const hostile = [
    '',
    ' ',
    '/',
    ':',
    '@',
    ':1',
    '../x',
    './x',
    'a/../b',
    '..',
    'a//b',
    '/a',
    'a/',
    'a:b:c',
    'a b',
    'a /b',
    'http://x/y',
    'https://registry.example/a:1',
    'docker://nginx',
    'user:password@registry.example/a',
    '-x',
    '--privileged',
    'Nginx',
    'team/App',
    'registry.example/App',
    'registry.example:port/a',
    'registry.example:/a',
    'registry.example:123456/a',
    '-registry.example/a',
    'registry-.example/a',
    'registry..example/a',
    'a\nb',
    'nginx\n:1',
    'nginx:1\r\nX-Header: 1',
    'nginx\0',
    'nginx%2f..',
    'nginx?x=1',
    'nginx#x',
    'nginx\\x',
    'ñginx',
    '<b>nginx</b>',
    'a'.repeat(10_000),
    'a-'.repeat(5_000),
    `${'a/'.repeat(5_000)}a`,
    `nginx:${'1'.repeat(10_000)}`,
    `nginx@sha256:${'a'.repeat(10_000)}`,
    '@'.repeat(10_000),
  ];
  for (const text of hostile) {
    t.equal(readReference(text), undefined, JSON.stringify(text.slice(0, 40)));
    t.throws(() => parseReference(text, 'image'), { code: 'invalid', message: /^image: must be a reference such as / });
  }
  t.throws(() => parseReference('<b>'), { message: /^reference: [^<]*$/ }, 'the field has a name where none is given');
});
