import t from 'tap';
import { logGapModel } from '../src/views/models/logs.ts';
import { startApp, until } from './support/app.ts';

t.test('what an engine says of a failure is masked as everything else', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => engine.addContainer({ name: 'web', state: 'exited', exitCode: 127 }),
  });
  const { id } = app.engine.container('web');
  const probe = { Output: 'curl --token s3cr3t-probe http://web', ExitCode: 1 };
  const inspect = {
    Id: id,
    Name: '/web',
    State: {
      Status: 'exited',
      ExitCode: 127,
      Error: 'exec: "serve --password=s3cr3t-start": not found',
      Health: { Status: 'unhealthy', FailingStreak: 2, Log: [probe] },
    },
    Config: { Cmd: ['serve', '--password', 's3cr3t-flag'], Env: ['A=b'] },
  };
  app.engine.faults.status(200, JSON.stringify(inspect), 'application/json', { path: /containers\/[^/]+\/json/ });
  const json = await app.api('/containers/web');
  t.match(json, {
    error: 'exec: "serve --password=••••••••": not found',
    healthcheck: { lastOutput: 'curl --token •••••••• http://web' },
    command: ['serve', '--password', '••••••••'],
  });
  for (const path of ['/containers/web', '/fragments/containers/web']) {
    const { status, text } = await app.get(path);
    t.equal(status, 200);
    t.notMatch(text, 's3cr3t', path);
    t.match(text, 'not found', 'the rest is told');
  }
});

t.test('the list tells when a container started only where an event said so', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'old', startedAt: Date.now() - 3 * 3_600_000 });
      engine.addContainer({ name: 'new', state: 'exited' });
    },
  });
  app.engine.start('new');
  const started = async (name: string) =>
    (await app.api<{ name: string; startedAt?: string }[]>('/containers')).find((item) => item.name === name)
      ?.startedAt;
  await until(async () => (await started('new')) !== undefined, 'the start is known');
  t.ok(Math.abs(Date.parse((await started('new')) ?? '') - Date.now()) < 5_000);
  t.equal(await started('old'), undefined, '"Up 3 hours" is no time');
  t.match(await app.api('/containers/old'), { startedAt: /^\d{4}-/ }, 'the engine itself tells it exactly');
});

t.test('preferences are those that there are, and no other cookie', async (t) => {
  const app = await startApp(t);
  const both = await app.form('/preferences', { theme: 'dark', density: 'roomy' });
  t.equal(both.status, 303);
  t.match(both.headers['set-cookie'], /theme=dark[\s\S]*density=roomy/);
  for (const fields of [{ fairlead_message: 'x' }, { theme: 'dark', session: 'x' }, { theme: 'pink' }]) {
    const answer = await app.form('/preferences', fields as Record<string, string>);
    t.equal(answer.status, 400, JSON.stringify(fields));
    t.equal(answer.headers['set-cookie'], undefined);
  }
});

t.test('no way back leads to an address that only takes forms', async (t) => {
  for (const BASE_PATH of ['/', '/sub/ui']) {
    const app = await startApp(t, {
      env: { BASE_PATH },
      prepare: (engine) => engine.addContainer({ name: 'web', state: 'exited' }),
    });
    const base = BASE_PATH === '/' ? '' : BASE_PATH;
    const back = async (from: string) =>
      (await app.form('/preferences', { theme: 'dark' }, { referer: `${app.url}${base}${from}` })).headers.location;
    t.equal(await back('/containers/web/reveal'), `${base}/containers/web`);
    t.equal(await back('/containers/web/stop'), `${base}/containers/web`);
    t.equal(await back('/projects/my%20shop/restart'), `${base}/projects/my%20shop`);
    t.equal(await back('/preferences'), `${base}/containers`);
    for (const path of ['/containers?q=a', '/containers/web/remove', '/containers/web/logs?tail=5', '/images/x/remove'])
      t.equal(await back(path), base + path, 'pages stay what they are');
    const action = await app.form('/containers/web/start', {}, { referer: `${app.url}${base}/containers/web/pause` });
    t.equal(action.headers.location, `${base}/containers/web`);
    const reveal = await app.get('/containers/web/reveal');
    t.equal(reveal.status, 303);
    t.equal(reveal.headers.location, `${base}/containers/web`);
    t.equal((await app.get('/containers/we%20b/reveal')).status, 400);
    await app.close();
  }
});

t.test('a page goes on with a log whose stream ended while its container runs', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const { id } = app.engine.container('web');
  const logs = app.engine.container('web').log;
  app.engine.silently(() => app.engine.die('web', 0));
  const live = app.live(`/live?topic=logs:${id}`);
  t.equal(await live.opened, 101);
  await until(() => app.engine.requestsTo('GET', /logs/).length >= 2, 'the stream that ended is opened again');
  t.notMatch(live.text(), 'ended with the container', 'which is not known to have ended');
  app.engine.silently(() => app.engine.start('web'));
  logs.write('back again');
  await until(() => live.text().includes('back again'), 'its next line comes');
});

t.test('lines that could not be read are told on the page', async (t) => {
  t.match(logGapModel({ atMost: 150 }), { gap: { text: 'Up to 150 earlier lines could not be read' } });
});
