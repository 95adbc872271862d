import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fastify } from 'fastify';
import t, { type Test } from 'tap';
import type { App, Deps } from '../../src/deps.ts';
import { registerAlerts } from '../../src/routes/alerts.ts';
import { startApp, type TestApp, until } from '../support/app.ts';
import { byId, findAll, openPage, parseHtml, textOf } from '../support/page.ts';
import { startMailServer, startReceiver } from '../support/receivers.ts';

type Rule = { id: number; name: string; kind: string; enabled: boolean; firing: number; channels: number[] };
type Alerts = {
  rules: Rule[];
  channels: { id: number; name: string; origin: string; hasToken: boolean; lines: number }[];
  firing: { ruleName: string; container: string; text: string }[];
  available: { email: boolean; figures: boolean };
};
type Notification = { id: number; state: string; event: string; title: string; channel: string; result: string };

const here = { ALERT_PRIVATE_TARGETS: '127.0.0.1' };
const soon = { alerts: { groupMs: 20, againMs: 50, testPauseMs: 0 } };

const post = async <T>(app: TestApp, path: string, body: object): Promise<T> =>
  JSON.parse((await app.post(`/api/alerts${path}`, body)).text) as T;

function folder(t: Test) {
  const path = mkdtempSync(join(tmpdir(), 'fairlead-alerts-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Fields of a form as a browser sends those that it was given. */
function fieldsOf(html: string, id: string): Record<string, string> {
  const form = byId(parseHtml(html), id);
  const inputs = form ? findAll(form, ({ tag }) => tag === 'input') : [];
  const sent = inputs.filter(({ attributes }) => attributes.type !== 'checkbox' || 'checked' in attributes);
  return Object.fromEntries(sent.map(({ attributes }) => [attributes.name ?? '', attributes.value ?? '']));
}

t.test('A channel and a rule by forms alone; a death is told and shown', async (t) => {
  const receiver = await startReceiver(t);
  const app = await startApp(t, {
    env: { ...here, PUBLIC_URL: 'https://docker.example' },
    bounds: soon,
    prepare: (engine) => engine.addContainer({ name: 'web' }),
  });
  const empty = await app.get('/alerts');
  t.match(empty.text, /No rule yet: nothing is watched/);
  t.match(empty.text, /No mail server is set: SMTP_URL/, 'what is not offered says why');
  t.match(empty.text, /No figures are taken: STATS_INTERVAL is 0/);
  t.match(empty.text, /href="\/alerts\/rules\/new\?kind=died"/);
  t.notMatch(empty.text, /kind=cpu/);

  const channelForm = await app.get('/alerts/channels/new?kind=webhook');
  const secret = { url: `${receiver.url}/T0PSECRET`, token: 'T0KEN' };
  const added = await app.form('/alerts/channels', { ...fieldsOf(channelForm.text, 'alert-channel'), ...secret });
  t.match(added, { status: 303, headers: { location: '/alerts' } });
  const ruleForm = fieldsOf((await app.get('/alerts/rules/new?kind=died')).text, 'alert-rule');
  t.match(ruleForm, { kind: 'died', channels: '1', cooldownMinutes: '15' });
  t.equal((await app.form('/alerts/rules', { ...ruleForm, name: 'Deaths' })).status, 303);

  app.engine.die('web', 3);
  await until(() => receiver.got.length > 0, 'it is told');
  t.match(receiver.got[0], { path: '/T0PSECRET', headers: { authorization: 'Bearer T0KEN' } });
  t.match(receiver.got[0]?.body, { title: 'Alert: web ended with code 3.' });
  await until(async () => /The target took it \(204\)/.test((await app.get('/alerts')).text), 'its result is shown');
  const page = await app.get('/alerts');
  t.match(textOf(byId(parseHtml(page.text), 'alerts-firing') as never), /web ended with code 3/);
  for (const path of [
    '/alerts',
    '/alerts/channels/1',
    '/fragments/alerts',
    '/api/alerts',
    '/api/alerts/notifications',
  ]) {
    t.notMatch((await app.get(path)).text, /T0PSECRET|T0KEN/, `${path} shows no secret`);
  }
  t.notMatch(readFileSync(join(app.dataDir, 'fairlead.db-wal'), 'latin1'), /T0PSECRET|T0KEN/, 'nor does the database');
  const timeline = async () => (await app.get('/containers/web/timeline')).text;
  await until(async () => /Alert: <code>Deaths/.test(await timeline()), 'it is in the timeline');
  t.match(await app.api<object[]>('/events?type=alert'), [{ action: 'firing', container: 'web' }]);
});

t.test('Forms show what a rule or channel is, and change it', async (t) => {
  const receiver = await startReceiver(t);
  const app = await startApp(t, { env: { ...here, STATS_INTERVAL: '5' }, bounds: soon });
  const channel = { kind: 'ntfy', url: receiver.url, topic: 'ops', token: 'T0KEN', lines: 3 };
  await post(app, '/channels', channel);
  const kinds = ['died', 'unhealthy', 'restarts', 'cpu', 'memory', 'disk', 'log'];
  for (const kind of kinds) {
    const fields = fieldsOf((await app.get(`/alerts/rules/new?kind=${kind}`)).text, 'alert-rule');
    const answer = await app.form('/alerts/rules', { ...fields, ...(kind === 'log' && { pattern: 'a <b> "c"' }) });
    t.equal(answer.status, 303, `${kind} can be added as its form is`);
  }
  const { rules } = await app.api<Alerts>('/alerts');
  t.same(
    rules.map(({ kind }) => kind),
    kinds,
  );
  for (const { id } of rules) {
    const before = await app.api<Alerts>('/alerts');
    const form = await app.get(`/alerts/rules/${id}`);
    t.equal((await app.form(`/alerts/rules/${id}`, fieldsOf(form.text, 'alert-rule'))).status, 303);
    t.same(await app.api<Alerts>('/alerts'), before, 'a form that is saved as it is changes nothing');
  }
  t.match(fieldsOf((await app.get('/alerts/rules/7')).text, 'alert-rule'), { pattern: 'a <b> "c"' });
  const form = await app.get('/alerts/channels/1');
  t.match(form.text, /<option value="4" selected>/);
  t.match(form.text, new RegExp(`placeholder="${receiver.url}/••••••••"`));
  await app.form('/alerts/channels/1', { ...fieldsOf(form.text, 'alert-channel'), name: 'Phone', lines: '0' });
  t.match((await app.api<Alerts>('/alerts')).channels, [{ name: 'Phone', hasToken: true, lines: 0 }]);

  t.equal((await app.form('/alerts/rules/1/off')).status, 303);
  t.match((await app.get('/alerts')).text, /Switch on/);
  t.equal((await app.form('/alerts/rules/1/remove')).status, 303);
  t.equal((await app.form('/alerts/channels/1/remove')).status, 303);
  const after = await app.api<Alerts>('/alerts');
  t.same([after.rules.length, after.channels.length], [6, 0]);
  t.equal((await app.get('/alerts/rules/1')).status, 404);
  t.equal((await app.get('/alerts/rules/0')).status, 400);
  t.equal((await app.get('/alerts/rules/new?kind=weather')).status, 400);
  t.equal((await app.form('/alerts/rules/2/explode')).status, 400);
});

t.test('What is wrong is said where it was entered, and the form stays', async (t) => {
  const app = await startApp(t);
  const answer = await app.htmx('/alerts/rules', { kind: 'log', pattern: '((', regex: 'true' });
  t.equal(answer.status, 400);
  t.match(answer.text, /hx-target="#failures".*pattern: is not a regular expression/s);
  const fine = await app.htmx('/alerts/rules', { kind: 'died' });
  t.match(fine, { status: 200, headers: { 'hx-redirect': '/alerts' } });
  const page = await app.form('/alerts/rules', { kind: 'restarts', deaths: '1' });
  t.equal(page.status, 400);
  t.match(page.text, /deaths: must be a number from 2 to 100/, 'a page tells it without scripts');
});

t.test('Where alerts may not go they do not go: when it is saved, and when it is sent', async (t) => {
  const receiver = await startReceiver(t);
  const dataDir = folder(t);
  const app = await startApp(t, { dataDir });
  const refused = [receiver.url, 'http://0x7f.1/', 'http://[::ffff:127.0.0.1]/', 'http://169.254.169.254/latest'];
  for (const url of [...refused, 'http://localhost/', 'https://user:pw@hooks.example/', 'file:///etc/passwd']) {
    const answer = await app.post('/api/alerts/channels', { kind: 'webhook', url });
    t.equal(answer.status, 400, url);
    t.match(JSON.parse(answer.text), { code: 'invalid', detail: /^url: / });
    t.notMatch(answer.text, /user:pw|etc/, 'the address is not repeated');
  }
  await app.close();

  const allowing = await startApp(t, { env: here, dataDir });
  await post(allowing, '/channels', { kind: 'webhook', url: receiver.url });
  await allowing.close();
  const strict = await startApp(t, { dataDir });
  const test = await post<Notification>(strict, '/channels/1/test', {});
  t.match(test, { state: 'failed', result: /does not lead to public addresses only/ });
  t.equal(receiver.got.length, 0, 'a setting that was taken back counts for what was saved before');
});

t.test('The test button tells how it went', async (t) => {
  const receiver = await startReceiver(t);
  const app = await startApp(t, { env: here, bounds: { alerts: { testPauseMs: 60_000 } } });
  await post(app, '/channels', { kind: 'webhook', name: 'Chat', url: receiver.url });
  await post(app, '/rules', { kind: 'died', channels: [1] });
  const answer = await app.htmx('/alerts/channels/1/test');
  t.match(answer.text, /Test of Chat: The target took it \(204\)\./);
  t.match(answer.text, /hx-target="#alerts"/, 'with the page as it is now');
  t.equal(receiver.got.length, 1);
  const again = await app.form('/alerts/channels/1/test');
  t.equal(again.status, 429);
  t.equal(again.headers['retry-after'], '10');
  t.equal((await app.post('/api/alerts/rules/1/test')).status, 429, 'a sample of a rule counts too');
  t.equal((await app.post('/api/alerts/rules/9/test')).status, 404);
  await post(app, '/rules', { kind: 'died' });
  t.equal((await app.post('/api/alerts/rules/2/test')).status, 409);
});

t.test('Who looks at the page sees what fires, and its end', async (t) => {
  const app = await startApp(t, { bounds: soon, prepare: (engine) => engine.addContainer({ name: 'web' }) });
  await post(app, '/rules', { kind: 'unhealthy', name: 'Sick', forMinutes: 0, cooldownMinutes: 1 });
  const page = openPage((await app.get('/alerts')).text);
  const live = byId(page.root, 'live')?.attributes['hx-ws:connect'] ?? '';
  t.match(live, /topic=alerts/);
  const socket = app.live(live);
  await socket.opened;
  let seen = 0;
  const board = () => {
    for (; seen < socket.frames.length; seen++) page.apply(socket.frames[seen] ?? '');
    return textOf(page.part('alerts') as never);
  };
  app.engine.health('web', 'unhealthy');
  await until(() => /web is unhealthy/.test(board()), 'it fires');
  app.engine.health('web', 'healthy');
  await until(() => /Nothing fires/.test(board()), 'it is over');
  await post(app, '/rules', { kind: 'disk', bound: 99 });
  await until(() => /more than 99% full/.test(board()), 'a rule that somebody else added');
  t.same(page.missed, []);
});

t.test('A line that matches, in the logs of an engine', async (t) => {
  const app = await startApp(t, { bounds: soon, prepare: (engine) => engine.addContainer({ name: 'web' }) });
  app.engine.writeLog('web', 'panic before anybody asked\n');
  await post(app, '/rules', { kind: 'log', pattern: 'pan.c', regex: true, containers: 'web' });
  app.engine.writeLog('web', 'all is well\n');
  await until(async () => {
    app.engine.writeLog('web', 'PANIC: secret=hunter2\n');
    return (await app.api<Alerts>('/alerts')).firing.length > 0;
  }, 'it fires');
  const { firing } = await app.api<Alerts>('/alerts');
  t.match(firing[0], { container: 'web', text: /web wrote: PANIC: secret=•+/ });
  t.notMatch(firing[0]?.text, /before anybody/);
});

t.test('What containers write is kept and sent without its secrets, wherever a line is cut', async (t) => {
  const receiver = await startReceiver(t);
  const app = await startApp(t, { env: here, bounds: soon, prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const line = `panic ${'x'.repeat(470)} postgres://app:hunter2hunter2@db/shop`;
  const before = 'dsn postgres://app:hunter3@db \u001b[1mpassword\u001b[0m=hunter4';
  await post(app, '/channels', { kind: 'webhook', url: receiver.url, lines: 5 });
  await post(app, '/rules', { kind: 'log', pattern: 'panic', containers: 'web', channels: [1] });
  await until(() => {
    app.engine.writeLog('web', `${before}\n`);
    app.engine.writeLog('web', `${line}\n`);
    return receiver.got.length > 0;
  }, 'it is told');
  t.match(JSON.stringify(receiver.got[0]?.body), /dsn postgres:\/\/app:•+@db password=•+/);
  t.notMatch(JSON.stringify(receiver.got), /hunter/);
  t.notMatch((await app.get('/api/alerts')).text + (await app.get('/alerts')).text, /hunter/);
  for (const file of ['fairlead.db', 'fairlead.db-wal']) {
    t.notMatch(readFileSync(join(app.dataDir, file), 'latin1'), /hunter/, `nor does ${file} hold them`);
  }
});

t.test('Figures over a bound', async (t) => {
  const app = await startApp(t, {
    env: { STATS_INTERVAL: '1' },
    bounds: soon,
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      engine.addContainer({ name: 'tight', cpus: 0.5 });
      for (const name of ['web', 'tight']) engine.setStats(name, { cpuPercent: 40, memoryBytes: 5e6 });
    },
  });
  await post(app, '/rules', { kind: 'memory', bound: 1, unit: 'megabytes', forMinutes: 0 });
  await until(async () => (await app.api<Alerts>('/alerts')).firing.length > 0, 'it fires');
  t.match((await app.api<Alerts>('/alerts')).firing[0]?.text, /^(web|tight) uses .* of memory: more than 1 MB/);
  await post(app, '/rules', { kind: 'cpu', bound: 50, unit: 'limit', forMinutes: 0 });
  await until(async () => /of its CPU limit/.test((await app.get('/api/alerts')).text), 'CPU against its limit');
  const { firing } = await app.api<Alerts>('/alerts');
  const ofCpu = firing.filter(({ text }) => text.includes('CPU limit')).map(({ container }) => container);
  t.same(ofCpu, ['tight'], 'one without a limit has none to be near of');
  const asked = () => app.engine.requestsTo('GET', /^\/containers\/[0-9a-f]{64}\/json$/).length;
  t.equal(asked(), 2, 'each is asked for it once');
  app.engine.rename('web', 'shop');
  await until(() => asked() > 2, 'it is asked anew once something happened to it');
  const off = await startApp(t);
  const answer = await off.post('/api/alerts/rules', { kind: 'cpu' });
  t.match(JSON.parse(answer.text), {
    code: 'invalid',
    detail: /^kind: no figures are taken, since STATS_INTERVAL is 0/,
  });
});

t.test('Mails are offered where a server is set', async (t) => {
  const server = await startMailServer(t);
  const env = { SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=off`, SMTP_FROM: 'fairlead@example.org' };
  const app = await startApp(t, { env, prepare: (engine) => engine.addContainer({ name: 'web' }) });
  t.match((await app.get('/alerts')).text, /channels\/new\?kind=email/);
  const fields = fieldsOf((await app.get('/alerts/channels/new?kind=email')).text, 'alert-channel');
  t.equal((await app.form('/alerts/channels', { ...fields, recipients: 'ops@example.org' })).status, 303);
  t.match(await post<Notification>(app, '/channels/1/test', {}), { state: 'sent', result: 'The mail server took it.' });
  t.match(server.mails[0], { to: ['ops@example.org'], data: /Subject: Test from Fairlead/ });
});

t.test('With READ_ONLY alerts are shown, and nothing of them can be changed', async (t) => {
  const receiver = await startReceiver(t);
  const dataDir = folder(t);
  const first = await startApp(t, { env: here, dataDir });
  await post(first, '/channels', { kind: 'webhook', url: receiver.url });
  await post(first, '/rules', { kind: 'died', channels: [1] });
  await first.close();
  const app = await startApp(t, { env: { ...here, READ_ONLY: 'true' }, dataDir });
  const page = await app.get('/alerts');
  t.match(page.text, /A container died/);
  t.notMatch(page.text, /<button class="btn"|Add a rule|\/alerts\/rules\/1/, 'nothing is offered');
  t.equal((await app.get('/api/alerts')).status, 200);
  const refused = [
    app.get('/alerts/rules/new?kind=died'),
    app.get('/alerts/channels/1'),
    app.form('/alerts/rules', { kind: 'died' }),
    app.form('/alerts/channels/1/test'),
    app.post('/api/alerts/rules', { kind: 'died' }),
    app.post('/api/alerts/channels', { kind: 'webhook', url: receiver.url }),
    app.post('/api/alerts/rules/1/off'),
    app.post('/api/alerts/channels/1/remove'),
  ];
  for (const answer of await Promise.all(refused)) t.equal(answer.status, 403);
  t.equal(receiver.got.length, 0);
  t.equal((await app.api<Alerts>('/alerts')).rules[0]?.enabled, true);
});

t.test('What fires is asked for once, however many rules there are', async (t) => {
  const rules = Array.from({ length: 3 }, (_, n) => ({ id: n + 1, watch: { kind: 'died' }, scope: {}, channels: [] }));
  const subject = { id: '', name: 'web', project: '' };
  const state = { subject, facts: { kind: 'died', exitCode: 1, oom: false }, since: 0 };
  let asked = 0;
  const alerts = {
    rules: () => rules,
    channels: () => [],
    firing: () => {
      asked += 1;
      return [1, 3, 3].map((n) => ({ rule: rules[n - 1], state }));
    },
  };
  const app = fastify();
  app.setSerializerCompiler(() => JSON.stringify);
  registerAlerts(app as unknown as App, { alerts, config: { basePath: '' } } as unknown as Deps);
  t.teardown(() => app.close());
  const { rules: found } = (await app.inject('/api/alerts')).json() as Alerts;
  t.same(
    found.map(({ firing }) => firing),
    [1, 0, 2],
  );
  t.equal(asked, 1);
});

t.test('Notifications are listed in pages', async (t) => {
  const receiver = await startReceiver(t);
  const app = await startApp(t, { env: here, bounds: soon });
  await post(app, '/channels', { kind: 'webhook', url: receiver.url });
  for (let n = 0; n < 5; n++) await post(app, '/channels/1/test', {});
  const newest = await app.api<Notification[]>('/alerts/notifications?limit=2');
  t.same(
    newest.map(({ id }) => id),
    [5, 4],
  );
  const older = await app.api<Notification[]>('/alerts/notifications?before=4');
  t.same(
    older.map(({ id }) => id),
    [3, 2, 1],
  );
  t.match(older[0], { event: 'test', state: 'sent', channel: 'Webhook', title: 'Test from Fairlead' });
  t.equal((await app.get('/api/alerts/notifications?limit=0')).status, 400);
});

t.test('A sub-path is kept in every address', async (t) => {
  const app = await startApp(t, { env: { BASE_PATH: '/sub' } });
  const added = await app.form('/alerts/rules', { kind: 'died' });
  t.equal(added.headers.location, '/sub/alerts');
  const addresses = [...(await app.get('/alerts')).text.matchAll(/(?:href|action)="([^"#]+)"/g)].map(
    ([, path]) => path,
  );
  t.same(
    addresses.filter((path) => path && !path.startsWith('/sub/')),
    [],
  );
});

t.test('A rule looks at the engine while nobody does, and is all that does', async (t) => {
  const app = await startApp(t, { bounds: { lingerMs: 0 }, prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const pings = () => app.engine.requestsTo('GET', /_ping$/).length;
  await post(app, '/rules', { kind: 'unhealthy' });
  app.engine.forgetRequests();
  await until(() => pings() >= 2, 'it is asked whether it is there', 15_000);
  t.same(
    app.engine.openStreams().map(({ kind }) => kind),
    ['events'],
    'and no log is followed but for a rule on logs',
  );
  await app.post('/api/alerts/rules/1/off');
  await until(
    async () => {
      const before = pings();
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      return pings() === before;
    },
    'a rule that is off asks for nothing',
    15_000,
  );
});
