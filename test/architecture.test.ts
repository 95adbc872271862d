import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const source = fileURLToPath(new URL('../src', import.meta.url));

type Import = { from: string; to: string; isType: boolean };

/** Every file of the program, with what it imports: files by their path below `src`, packages by their name. */
function readSources() {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(ts|js)$/.test(name));
  return files.map((name) => {
    const text = readFileSync(join(source, name), 'utf8');
    const imports = [...text.matchAll(/(?:^|\n)\s*(?:import|export)\s+(type\s+)?([^;'"]*?)\s*from\s+'([^']+)'/g)].map(
      ([, type, names = '', specifier = '']): Import => ({
        from: name,
        to: specifier.startsWith('.') ? relative(source, join(source, dirname(name), specifier)) : specifier,
        isType: type !== undefined || isAllTypes(names),
      }),
    );
    const dynamic = [...text.matchAll(/import\('([^']+)'\)/g)].map(
      ([, specifier = '']): Import => ({
        from: name,
        to: specifier.startsWith('.') ? relative(source, join(source, dirname(name), specifier)) : specifier,
        isType: false,
      }),
    );
    return { name, text, imports: [...imports, ...dynamic] };
  });
}

/** `{ type A, type B }` brings nothing at run time. */
const isAllTypes = (names: string) =>
  names.startsWith('{') &&
  names
    .replace(/[{}]/g, '')
    .split(',')
    .filter((name) => name.trim() !== '')
    .every((name) => /^\s*type\s/.test(name));

/** Packages by the names under which they are installed, of which one looks like a file's. */
const packages = new Set(
  Object.keys(
    (JSON.parse(readFileSync(join(source, '../package.json'), 'utf8')) as { dependencies: object }).dependencies,
  ),
);

const sources = readSources();
const all = sources.flatMap(({ imports }) => imports);
const tell = (imports: Import[]) => imports.map(({ from, to }) => `${from} → ${to}`);
const folder = (name: string) => (name.includes('/') ? (name.split('/')[0] ?? '') : name.replace(/\.\w+$/, ''));

/** Who may import whom at run time; a type may come from anywhere but what is told below. */
const allowed: Record<string, readonly string[]> = {
  start: ['server', 'stripped'],
  stripped: [],
  healthcheck: [],
  server: ['app', 'config', 'services'],
  app: ['config', 'errors', 'feeds', 'render', 'routes', 'services'],
  config: ['services'],
  deps: [],
  errors: [],
  charts: [],
  render: [],
  routes: ['config', 'errors', 'feeds', 'routes', 'services', 'views', 'charts'],
  feeds: ['feeds', 'errors', 'services', 'views', 'charts'],
  services: ['services', 'errors'],
  views: ['views', 'charts'],
};

/** What views may call of the services: words, and nothing that has a state. */
const pureHelpers = new Set([
  'services/status-words.ts',
  'services/containers.ts',
  'services/ansi.ts',
  'services/attempts.ts',
  'services/log-cursor.ts',
  'services/json-members.ts',
  'services/log-entries.ts',
  'services/log-fields.ts',
  'services/log-level-forms.ts',
  'services/log-levels.ts',
  'services/merged-cursor.ts',
  'services/operation-types.ts',
  'services/event-types.ts',
  'services/alert-types.ts',
  'services/qr-code.ts',
  'services/secrets.ts',
]);

t.test('each part imports only what stands below it', async (t) => {
  t.ok(all.length > 150, `${all.length} imports were read`);
  for (const part of new Set(sources.map(({ name }) => folder(name)))) t.ok(allowed[part], `${part} has its rule`);
  const wrong = all.filter(({ from, to, isType }) => {
    if (isType || packages.has(to) || !/\.(ts|js)$/.test(to) || to.startsWith('..')) return false;
    const pure = folder(from) === 'views' && pureHelpers.has(to);
    return !pure && !allowed[folder(from)]?.includes(folder(to));
  });
  t.strictSame(tell(wrong), []);
});

t.test('services know neither the web nor what it shows', async (t) => {
  const wrong = all.filter(
    ({ from, to }) =>
      folder(from) === 'services' &&
      (/^(@fastify\/|fastify|eta|htmx|ws$)/.test(to) || /^(routes|feeds|views|app|deps)\b/.test(to)),
  );
  t.strictSame(tell(wrong), [], 'not even by a type');
});

t.test('views know the services by types and pure helpers alone', async (t) => {
  const wrong = all.filter(
    ({ from, to, isType }) =>
      folder(from) === 'views' && !isType && !pureHelpers.has(to) && !/^(views\/|charts|node:)/.test(to),
  );
  t.strictSame(tell(wrong), []);
});

t.test('packages that have one door have no other', async (t) => {
  const doors: Record<string, string[]> = {
    dockerode: ['services/docker-connection.ts'],
    'better-sqlite3': ['services/database.ts'],
    eta: ['render.ts'],
    'close-with-grace': ['server.ts'],
    re2js: ['services/log-search.ts'],
    nodemailer: ['services/alert-mail.ts'],
    'openid-client': ['services/single-sign-on.ts'],
    otpauth: ['services/second-factors.ts'],
    'qrcode-generator': ['services/qr-code.ts'],
    '@simplewebauthn/server': ['services/passkeys.ts'],
    'ipaddr.js': ['services/target-guard.ts'],
  };
  for (const [name, files] of Object.entries(doors)) {
    const users = all.filter(({ to, isType }) => to === name && !isType).map(({ from }) => from);
    t.strictSame([...new Set(users)], files, name);
  }
  const wrong = all.filter(
    ({ from, to }) => /^(dockerode|kysely|better-sqlite3)$/.test(to) && !from.startsWith('services/'),
  );
  t.strictSame(tell(wrong), [], 'routes know neither engine nor database');
});

t.test('a route imports no other for its own work', async (t) => {
  const shared =
    /^routes\/(pages|cookies|schemas|guards|access|access-schemas|audit|identity|own-path|entrance|account|login-pages|relying-party|scope-field|container-json|messages|assets|errors|reader-limit|log-downloads|log-links|log-subjects|merged-log-query|operation-answers|operation-json|event-json|alert-json|alert-schemas|registry-login|stats-query|end-field|embed-headers|live-sockets)\.ts$/;
  const others = all.filter(
    ({ from, to, isType }) => from.startsWith('routes/') && to.startsWith('routes/') && !isType && !shared.test(to),
  );
  // The page of a container is made of its logs and charts, that of a project has their logs; the socket shows what they show.
  const known = new Set([
    'routes/containers.ts',
    'routes/logs.ts',
    'routes/merged-logs.ts',
    'routes/merged-log-lines.ts',
    'routes/stats.ts',
    'routes/dashboard.ts',
  ]);
  t.strictSame(
    others.filter(({ to }) => !known.has(to)),
    [],
  );
});

t.test('only the start reads the environment', async (t) => {
  const readers = sources.filter(({ text }) => text.includes('process.env')).map(({ name }) => name);
  t.strictSame(
    readers.filter((name) => !['start.js', 'server.ts', 'config.ts', 'healthcheck.js'].includes(name)),
    [],
  );
});

t.test('nothing is printed but by the start and the log', async (t) => {
  const printers = sources.filter(({ text }) => /console\.\w+\(/.test(text)).map(({ name }) => name);
  t.strictSame(
    printers.filter((name) => !['start.js', 'server.ts', 'healthcheck.js'].includes(name)),
    [],
  );
});

t.test('no two files import each other', async (t) => {
  const graph = Map.groupBy(
    all.filter(({ to, isType }) => !isType && /\.ts$/.test(to)),
    ({ from }) => from,
  );
  const done = new Set<string>();
  const circles: string[] = [];
  function visit(name: string, path: readonly string[]) {
    if (path.includes(name)) return void circles.push([...path.slice(path.indexOf(name)), name].join(' → '));
    if (done.has(name)) return;
    for (const { to } of graph.get(name) ?? []) visit(to, [...path, name]);
    done.add(name);
  }
  for (const name of graph.keys()) visit(name, []);
  t.strictSame(circles, []);
});

t.test('templates never put text into a page unescaped', async (t) => {
  const folderOfViews = join(source, 'views');
  const templates = readdirSync(folderOfViews, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.eta'),
  );
  t.ok(templates.length > 30);
  const raw = templates.flatMap((name) =>
    [...readFileSync(join(folderOfViews, name), 'utf8').matchAll(/<%~\s*(.*?)\s*%>/g)]
      .map(([, code = '']) => code)
      .filter((code) => !/^include\(/.test(code) && !/^it\.(\w+\.)*(body|\w*Html)$/.test(code))
      .map((code) => `${name}: ${code}`),
  );
  t.strictSame(raw, [], 'only other templates, and what they made, come as they are');
});
