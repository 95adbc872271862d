import t from 'tap';
import { startApp, until } from '../support/app.ts';

t.test('with no viewer and no sampling the engine is asked for nothing; with one, whether it is there', async (t) => {
  const app = await startApp(t, {
    bounds: { lingerMs: 0 },
    prepare: (engine) => {
      for (let n = 0; n < 20; n++) engine.addContainer({ name: `web-${n}` });
    },
  });
  const { engine } = app;
  // Soon after the first list of all comes a second one; what was just made is asked for by itself.
  const isListOfAll = ({ path, query }: (typeof engine.requests)[number]) =>
    path === '/containers/json' && !query.filters?.includes('"id"');
  const lists = () => engine.requests.filter(isListOfAll).length;
  await until(() => lists() >= 2, 'the second list of all');
  engine.forgetRequests();
  for (let n = 0; n < 5; n++)
    t.equal((await app.get('/healthz')).status, 200, 'whether Fairlead lives is its own matter');
  t.strictSame(
    engine.requests.map(({ path }) => path),
    [],
  );
  t.strictSame(
    engine.openStreams().map(({ kind }) => kind),
    ['events'],
    'beside the one stream of events',
  );
  for (const path of ['/metrics', '/readyz']) {
    engine.forgetRequests();
    t.equal((await app.get(path)).status, 200);
    t.ok(engine.requestsTo('GET', /_ping$/).length <= 1, `${path} asks once at most`);
  }
  engine.forgetRequests();
  await app.live('/live?topic=containers');
  await until(() => engine.requestsTo('GET', /_ping$/).length >= 3, 'three pings', 15_000);
  const [first, second] = engine.requestsTo('GET', /_ping$/).map(({ at }) => at);
  t.ok((second ?? 0) - (first ?? 0) > 1_500, 'one each two seconds');
  t.equal(lists(), 0, 'and not a list');
});

t.test('sampling asks each running container once an interval at most, eight at a time', async (t) => {
  const intervalMs = 1_000;
  const app = await startApp(t, {
    env: { STATS_INTERVAL: String(intervalMs / 1_000) },
    prepare: (engine) => {
      engine.faults.delay(60, { path: /stats$/ });
      for (let n = 0; n < 30; n++) engine.addContainer({ name: `web-${n}`, state: n < 10 ? 'exited' : 'running' });
    },
  });
  const { engine } = app;
  const callsOf = (id: string) => engine.requestsTo('GET', /stats$/).filter(({ containerId }) => containerId === id);
  const running = engine.containers().filter(({ name }) => Number(name.slice(4)) >= 10);
  t.equal(running.length, 20);
  await until(() => running.every(({ id }) => callsOf(id).length >= 5), 'five calls each', 20_000);

  for (const { id, name } of running) {
    const times = callsOf(id).map(({ at }) => at);
    const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
    t.ok(times.length - 1 <= (span + 1_000) / intervalMs, `${name}: ${times.length} calls in ${span.toFixed(0)} ms`);
  }
  const calls = engine.requestsTo('GET', /stats$/);
  t.equal(new Set(calls.map(({ containerId }) => containerId)).size, 20, 'those that do not run are not asked');
  const parallel = Math.max(...calls.map(({ at }) => calls.filter((other) => isUnderWay(other, at)).length));
  t.ok(parallel > 1 && parallel <= 8, `${parallel} at a time`);
  for (const { id } of running)
    t.ok(
      callsOf(id).every(({ at }) => callsOf(id).filter((other) => isUnderWay(other, at)).length === 1),
      'none is asked again before it has answered',
    );
});

const isUnderWay = (call: { at: number; closedAt: number | null }, at: number) =>
  call.at <= at && (call.closedAt ?? Number.POSITIVE_INFINITY) > at;
