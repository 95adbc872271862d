import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { busyboxImage, engineVersionsInTurn } from '../engine/engine.ts';
import { callEngine, listedRows, makeContainers, openTab, startWorld, until, watchRows } from './support.ts';

const sleep = ['sleep', '100000'];
const quick = ['--network=none', '--stop-timeout=0'];

for (const version of engineVersionsInTurn(0)) {
  t.test(`The list of containers on engine ${version}`, async (t) => {
    const world = await startWorld(t, { version, flags: ['--live-restore'], recorded: true });
    if (!world) return;
    const { engine, recorder, fairlead, browser, at } = world;
    const { docker } = engine;

    await t.test('shows a container that the docker CLI starts, changes and removes, without a reload', async (t) => {
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      await tab.page.evaluate('window.sameDocument = true');
      t.match(await tab.text('#containers'), /No containers yet/);

      const labels = ['--label=com.docker.compose.project=my-shop', '--label=com.docker.compose.service=web'];
      const id = await engine.run('web', { options: [...quick, ...labels], command: sleep });
      const row = `#container-${id}`;
      await tab.sees(`tbody[data-project=my-shop] > ${row}[data-state=running][data-name=fairlead-test-web]`);
      t.match(await tab.text('tbody[data-project=my-shop] .group-title'), /Docker Compose: My Shop/i);
      t.match(await tab.text('.group-title .running'), '1');

      await docker('pause', id);
      await tab.sees(`${row}[data-state=paused]`);
      await docker('unpause', id);
      await tab.sees(`${row}[data-state=running]`);
      await docker('rename', id, 'fairlead-test-shop');
      await tab.sees(`${row}[data-name=fairlead-test-shop]`);
      await docker('stop', id);
      await tab.sees(`${row}[data-state=exited]`);
      await docker('start', id);
      await tab.sees(`${row}[data-state=running]`);
      await docker('restart', '-t', '0', id);
      await docker('kill', id);
      await tab.sees(`${row}[data-state=exited]`);

      const other = await docker('create', '--name=fairlead-test-other', ...quick, busyboxImage, ...sleep);
      await tab.sees(`tbody[data-project=""] > #container-${other}[data-state=created]`);
      await docker('rm', id, other);
      for (const gone of [row, 'tbody[data-project=my-shop]', `#container-${other}`]) await tab.misses(gone);
      t.match(await tab.text('#containers'), /No containers yet/);
      t.equal(await tab.page.evaluate('window.sameDocument'), true, 'in the same document');
      t.same(tab.faults, []);
    });

    await t.test('shows the health, and what the probe does inside causes nothing', async (t) => {
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      const probe = ['--health-cmd=test -f /tmp/well', '--health-interval=1s', '--health-retries=1'];
      const id = await engine.run('probed', { options: [...quick, ...probe], command: sleep });
      t.teardown(() => docker('rm', '-f', id));
      const word = `#state-${id} .word`;
      await until('unhealthy', async () => (await tab.text(word)) === 'unhealthy');
      await docker('exec', id, 'touch', '/tmp/well');
      await until('healthy', async () => (await tab.text(word)) === 'healthy');

      await delay(200);
      const began = performance.now();
      await docker('exec', id, 'true');
      await docker('top', id);
      await until('two probes more', () => performance.now() - began > 2_200);
      t.same(
        recorder.since(began).map(({ path }) => path),
        [],
        'the engine is asked nothing',
      );
    });

    await t.test('lets the words of a state grow older by themselves', async (t) => {
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      const id = await engine.run('aged', { options: quick, command: sleep });
      t.teardown(() => docker('rm', '-f', id));
      const words = new Set<string>();
      await until('three ages', async () => {
        words.add(/Up \d+ seconds?/.exec(await tab.text(`#age-${id}`).catch(() => ''))?.[0] ?? '');
        return words.size > 3;
      });
      const seconds = [...words].filter(Boolean).map((text) => Number(text.match(/\d+/)?.[0]));
      t.same(
        seconds,
        seconds.toSorted((a, b) => a - b),
        'in order',
      );
    });

    const herd = await makeContainers(engine, { count: 200, running: 30 });

    await t.test('holds 200 containers in one answer, and asks the engine nothing for it', async (t) => {
      await until('200 known', async () => (await fairlead.api<unknown[]>('/containers')).body.length === 200);
      // What the herd's own events started may still run.
      await until('quiet', () => recorder.open(/^\/containers\/json/).length === 0);
      await delay(300);
      const began = performance.now();
      const html = await (await fetch(at('/containers'))).text();
      t.equal(html.match(/<tr role="row" id="container-/g)?.length, 200);
      t.match(html, /<\/html>\s*$/);
      t.same(
        recorder.since(began).map(({ path }) => path),
        [],
      );

      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      t.same(await tab.rows(), await listedRows(engine));
      t.equal(await tab.count('tbody[data-project]'), 8);
      t.same(
        recorder.since(began).map(({ path }) => path),
        [],
        'nor for the live page',
      );
      t.same(tab.faults, []);
    });

    await t.test('is searched, filtered and sorted by its address, as by the tools in the page', async (t) => {
      const listed = await listedRows(engine);
      const tab = await openTab(browser, at('/containers?q=service-1&state=created&sort=-name'));
      t.teardown(tab.close);
      const isWanted = (n: number) => `service-${n}`.includes('service-1') && n >= 30;
      const wanted = Array.from({ length: 200 }, (_, n) => n).filter(isWanted);
      t.same(
        (await tab.names()).toSorted(),
        wanted.map((n) => `fairlead-test-many-${String(n).padStart(3, '0')}`),
      );
      const first = await tab.page.locator('tbody').first().locator('tr[data-name]').evaluateAll(namesOf);
      t.same(first, first.toSorted().reverse(), 'newest names first within a group');

      await tab.page.goto(at('/containers'));
      await tab.untilLive();
      await tab.page.fill('#search', 'many-00');
      await until('ten rows', async () => (await tab.count('tr[data-name]')) === 10);
      await tab.page.waitForURL(/[?&]q=many-00(&|$)/);
      await tab.page.selectOption('select[name=project]', 'many-3');
      await until('one row', async () => (await tab.count('tr[data-name]')) === 1);
      t.match(tab.page.url(), /project=many-3/);
      await tab.page.reload();
      await tab.untilLive();
      t.same(await tab.names(), ['fairlead-test-many-003'], 'a reload shows the same');

      await tab.page.goto(at('/containers'));
      await tab.untilLive();
      await tab.page.locator('#containers-filters a', { hasText: 'Running' }).click();
      await until('those that run', async () => (await tab.count('tr[data-name]')) === 30);
      t.match(tab.page.url(), /state=running/);
      await tab.page.goBack();
      await until('all again', async () => (await tab.count('tr[data-name]')) === 200);
      await tab.page.goForward();
      await until('those that run, again', async () => (await tab.count('tr[data-name]')) === 30);
      await tab.untilLive();
      t.same(
        await tab.rows(),
        listed.filter(({ state }) => state === 'running'),
      );
      t.same(tab.faults, []);
    });

    await t.test('stays live behind a filter: what matches comes and goes, what does not stays away', async (t) => {
      const tab = await openTab(browser, at('/containers?q=many'));
      t.teardown(tab.close);
      await tab.page.fill('#search', 'many-01');
      await until('ten rows', async () => (await tab.count('tr[data-name]')) === 10);
      await tab.page.locator('#containers-filters a', { hasText: 'Running' }).click();
      await tab.page.waitForURL(/state=running/);
      await tab.untilLive();

      const match = await engine.run('many-01x', { options: quick, command: sleep });
      const stranger = await engine.run('stranger', { options: quick, command: sleep });
      t.teardown(() => docker('rm', '-f', match, stranger));
      await tab.sees(`#container-${match}`);
      t.equal(await tab.count(`#container-${stranger}`), 0);
      await docker('pause', match);
      await tab.misses(`#container-${match}`);
      await docker('unpause', match);
      await tab.sees(`#container-${match}`);
      await docker('rename', stranger, 'fairlead-test-many-01y');
      await tab.sees(`#container-${stranger}`);
      t.same(
        (await tab.names()).filter((name) => !/many-01\d/.test(name)),
        ['fairlead-test-many-01x', 'fairlead-test-many-01y'],
        'each in its place',
      );
      await docker('rm', '-f', stranger);
      await tab.misses(`#container-${stranger}`);
      t.same(tab.faults, []);
    });

    await t.test('shows the same rows without JavaScript, and after a reload', async (t) => {
      const path = '/containers?state=running&sort=-created';
      const plain = await openTab(browser, at(path), { javaScriptEnabled: false });
      const live = await openTab(browser, at(path));
      t.teardown(plain.close);
      t.teardown(live.close);
      t.same(await plain.names(), await live.names());
      await plain.page.fill('#search', 'many-00');
      await plain.page.keyboard.press('Enter');
      await plain.page.waitForURL(/q=many-00/);
      t.equal(await plain.count('tr[data-name]'), 10);
      await plain.page.reload();
      t.equal(await plain.count('tr[data-name]'), 10);
    });

    await t.test('changes a row in less than two seconds after the event, among 200', async (t) => {
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      const changes = await watchRows(tab.page);
      for (const id of herd.slice(0, 10)) {
        const began = Date.now();
        await callEngine(engine.socketPath, 'POST', `/containers/${id}/pause`);
        const change = await until('paused', async () =>
          (await changes()).get(id)?.find(([state]) => state === 'paused'),
        );
        t.ok(change[1] - began < 2_000, `${change[1] - began} ms after it was asked for`);
      }
      for (const id of herd.slice(0, 10)) await callEngine(engine.socketPath, 'POST', `/containers/${id}/unpause`);
      await until('all run', async () => (await tab.count('tr[data-state=running]')) === 30);
    });

    await t.test('says within 2 s that the engine was killed, and is true 5 s after its return', async (t) => {
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      const victim = herd[0] ?? '';
      const pid = Number(await docker('inspect', '-f', '{{.State.Pid}}', victim));
      const killed = Date.now();
      const gone = engine.kill();
      await tab.sees('#engine-status[data-status=unreachable]', 2_000);
      t.ok(Date.now() - killed < 2_000, `told after ${Date.now() - killed} ms`);
      await gone;
      t.match(await tab.text('#engine-notice'), /Cannot connect to the Docker daemon/);
      t.equal(await tab.count('tr[data-name]'), 200, 'what was known stays');
      t.equal((await fairlead.api('/containers')).status, 503);
      t.equal((await fetch(at('/containers'))).status, 200);

      process.kill(pid, 'SIGKILL');
      await engine.start();
      const back = performance.now();
      await tab.sees('#engine-status[data-status=connected]', 5_000);
      await until('no row is wrong', async () => same(await tab.rows(), await listedRows(engine)), 5_000);
      t.ok(performance.now() - back < 5_000, `true after ${Math.round(performance.now() - back)} ms`);
      t.equal(await tab.count(`#container-${victim}[data-state=exited]`), 1, 'what happened meanwhile is told');
      t.equal(await tab.count('#engine-notice .notice'), 0);
      await docker('start', victim);
      await tab.sees(`#container-${victim}[data-state=running]`);
      await delay(300);
      t.same(await tab.rows(), await listedRows(engine));
    });
  });

  t.test(`The list of containers on engine ${version} that stops its containers after a crash`, async (t) => {
    const world = await startWorld(t, { version });
    if (!world) return;
    const { engine, browser, at } = world;
    const trapped = ['sh', '-c', 'trap "exit 0" TERM; sleep 100000 & wait'];
    await engine.run('plain', { options: quick, command: trapped });
    await engine.run('always', { options: [...quick, '--restart=always'], command: trapped });
    await engine.run('paused', { options: quick, command: sleep });
    await engine.docker('create', '--name=fairlead-test-created', busyboxImage);
    const tab = await openTab(browser, at('/containers'));
    t.teardown(tab.close);
    await until('four rows', async () => (await tab.count('tr[data-name]')) === 4);

    const killed = Date.now();
    const gone = engine.kill();
    await tab.sees('#engine-status[data-status=unreachable]', 2_000);
    t.ok(Date.now() - killed < 2_000, `told after ${Date.now() - killed} ms`);
    await gone;
    await engine.start();
    const back = performance.now();
    await tab.sees('#engine-status[data-status=connected]', 5_000);
    await until('no row is wrong', async () => same(await tab.rows(), await listedRows(engine)), 5_000);
    t.ok(performance.now() - back < 5_000, `true after ${Math.round(performance.now() - back)} ms`);
    const states = new Map((await listedRows(engine)).map(({ name, state }) => [name, state]));
    t.equal(states.get('fairlead-test-plain'), 'exited', 'the engine did stop it');
    t.equal(states.get('fairlead-test-always'), 'running');
  });
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

type Element = { dataset: Record<string, string> };
function namesOf(rows: unknown[]): string[] {
  return (rows as Element[]).map(({ dataset }) => dataset.name ?? '');
}
