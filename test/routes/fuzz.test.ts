import t from 'tap';
import { capabilities } from '../../src/services/capabilities.ts';
import { type Answer, startApp } from '../support/app.ts';
import { heldBytes } from '../support/heap.ts';
import { createPerson } from '../support/people.ts';
import { createRandom, runSeed } from '../support/random.ts';

const password = 'correct horse battery';
const rounds = 10_000;
/** So many come before it is looked what is held: by then all that is kept is in its place. */
const warmUp = 1_000;
const mostGrown = 40e6;
/** Asked at a time. */
const atOnce = 8;
/** The statuses of this program's own failures; those of the engine are 502, 503, 504 and 507. */
const ownFailures = [500, 501];

type Schema = {
  type?: string;
  enum?: unknown[];
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  items?: Schema;
  default?: unknown;
};
type Operation = {
  parameters?: { name: string; in: string; schema: Schema }[];
  requestBody?: { content?: Record<string, { schema: Schema }> };
};
type Document = { paths: Record<string, Record<string, Operation>> };

const hostile = [
  '',
  '\0',
  '../../etc/passwd',
  '%2e%2e%2f',
  "' OR 1=1 --",
  '<script>alert(1)</script>',
  '\r\nx: y',
  '__proto__',
  '-1',
  '1e999',
  'NaN',
  '99999999999999999999',
  'x'.repeat(3_000),
  '\u202e\ud83d\ude00',
  '(a+)+$',
  '[',
  '2026-13-45T99:99:99Z',
  'null',
  '//evil.example',
];
const plain = [
  'web',
  'db',
  'nobody',
  '1',
  '0',
  '50',
  'true',
  'name',
  'error',
  'running',
  '2026-01-01T00:00:00Z',
  '1h',
  'shop',
];

t.test('requests that nobody meant are each answered, and never by a failure of this program', async (t) => {
  t.comment(`FAIRLEAD_TEST_SEED=${runSeed}`);
  const random = createRandom(runSeed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      engine.addContainer({ name: 'db', state: 'exited' });
    },
    env: { AUTH: 'password', ADMIN_PASSWORD: password },
  });
  const admin = createPerson(app);
  await admin.signIn('admin', password);
  const people: Record<string, string>[] = [{}];
  for (const [role, wanted] of [
    ['viewer', ['read']],
    ['operator', ['read', 'control', 'images']],
    ['admin', capabilities],
  ] as const) {
    const made = await admin.json('POST', '/api/tokens', { name: role, capabilities: wanted });
    t.equal(made.status, 200, made.text);
    people.push({ authorization: `Bearer ${(JSON.parse(made.text) as { token: string }).token}` });
  }
  const { paths } = JSON.parse((await admin.get('/api/openapi.json')).text) as Document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );

  function valueFor(schema: Schema): unknown {
    const chance = random();
    if (chance < 0.3) return pick(hostile);
    if (chance < 0.35) return pick([null, [], {}, -1, 1e300, true, [[[]]], ['web', 'web']]);
    if (schema.enum) return pick(schema.enum);
    if (schema.anyOf) return valueFor(pick(schema.anyOf));
    if (schema.type === 'object') return objectOf(schema);
    if (schema.type === 'array')
      return Array.from({ length: Math.floor(random() * 4) }, () => valueFor(schema.items ?? {}));
    if (schema.type === 'boolean') return random() < 0.5;
    if (schema.type === 'integer' || schema.type === 'number') return Math.floor(random() * 1_000);
    return pick(plain);
  }

  function objectOf({ properties = {} }: Schema): Record<string, unknown> {
    const wanted = Object.entries(properties).filter(() => random() < 0.8);
    return Object.fromEntries([
      ...wanted.map(([name, schema]) => [name, valueFor(schema)]),
      ...(random() < 0.1 ? [[pick(hostile), 1]] : []),
    ]);
  }

  const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

  function requestOf({ path, method, operation }: (typeof operations)[number]) {
    const { parameters = [], requestBody } = operation;
    const named = (name: string) => parameters.find((one) => one.name === name && one.in === 'path')?.schema ?? {};
    const address = path.replace(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(textOf(valueFor(named(name))) || 'web'),
    );
    const query = new URLSearchParams();
    for (const { name, in: place, schema } of parameters) {
      if (place !== 'query' || name === 'follow' || random() < 0.5) continue;
      query.append(name, textOf(valueFor(schema)));
      if (random() < 0.05) query.append(name, textOf(valueFor(schema)));
    }
    const schema = Object.values(requestBody?.content ?? {})[0]?.schema;
    const body = schema && JSON.stringify(random() < 0.1 ? valueFor({}) : objectOf(schema));
    const headers = { ...pick(people), ...(body !== undefined && { 'content-type': 'application/json' }) };
    return { method, path: `${address}?${query}`, headers, body };
  }

  const faults: string[] = [];
  function look(asked: ReturnType<typeof requestOf>, { status, headers, text }: Answer) {
    const told = `${asked.method} ${asked.path.slice(0, 200)} ${asked.body?.slice(0, 200) ?? ''}: ${status} ${text.slice(0, 200)}`;
    if (ownFailures.includes(status)) faults.push(told);
    if (/\n\s+at \w|node_modules|\/src\/\w+\//.test(text)) faults.push(`shows the inside: ${told}`);
    if (status < 400 || status === 431) return;
    const problem =
      headers['content-type']?.startsWith('application/problem+json') &&
      (JSON.parse(text) as { status?: number; code?: string; detail?: string });
    if (!problem || problem.status !== status || !problem.code || !problem.detail)
      faults.push(`is no problem: ${told}`);
  }

  async function ask(count: number): Promise<void> {
    let left = count;
    const askOn = async () => {
      while (left > 0) {
        left -= 1;
        const asked = requestOf(pick(operations));
        look(asked, await app.send(asked.method, asked.path, asked.headers, asked.body));
      }
    };
    await Promise.all(Array.from({ length: atOnce }, askOn));
  }

  await ask(warmUp);
  const before = heldBytes();
  await ask(rounds - warmUp);
  const grown = heldBytes() - before;
  t.ok(grown < mostGrown, `${Math.round(grown / 1e6)} MB more are held`);
  t.strictSame(faults.slice(0, 20), []);
  t.equal((await app.get('/healthz')).status, 200);
});
