import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { busyboxImage, type Engine, engineVersionsInTurn, engineVersionsToTest } from '../engine/engine.ts';
import { readScrape } from '../support/metrics.ts';
import { callEngine, openTab, startWorld, type Tab, until } from './support.ts';

const alone = '--network=none';
const sleep = ['sleep', '100000'];
/** A container that ends at once when it is asked to. */
const willing = ['sh', '-c', 'trap "exit 0" TERM; sleep 100000 & wait'];
const statsSeconds = 2;

type Problem = { status: number; code: string; detail: string };
type Image = { id: string; tags: string[] };

const stateOf = (engine: Engine, name: string) => engine.docker('inspect', '-f', '{{.State.Status}}', name);

/** Presses an action's button in a row, in the row's menu where it is there. */
async function press(tab: Tab, id: string, action: string): Promise<void> {
  const row = tab.page.locator(`#container-${id}`);
  const button = row.locator(`button[formaction$="/${action}"]`);
  if (!(await button.isVisible())) await row.locator('.c-act details > summary').click();
  await button.click();
}

/** A service of a Compose project, made by hand as Compose labels it. */
const serviceOptions = (project: string, service: string, dependsOn = '') => [
  '--stop-timeout=5',
  `--label=com.docker.compose.project=${project}`,
  `--label=com.docker.compose.service=${service}`,
  '--label=com.docker.compose.container-number=1',
  `--label=com.docker.compose.depends_on=${dependsOn}`,
];

// Each has an engine and a browser of its own, and waits for them much of the time.
t.jobs = 2;
for (const version of engineVersionsToTest()) {
  t.test(`Actions on engine ${version}`, { buffered: true }, async (t) => {
    const world = await startWorld(t, { version, env: { STATS_INTERVAL: String(statsSeconds) } });
    if (!world) return;
    const { engine, fairlead, browser, at } = world;
    const { docker } = engine;
    /** What has no reason to differ between engines; figures have. */
    const inTurn = async (name: string, test: (t: Test) => Promise<void>) => {
      if (engineVersionsInTurn(2).includes(version)) await t.test(name, test);
    };

    await inTurn('are done by a row with JavaScript, and the page stays', async (t) => {
      const id = await engine.run('acting', { options: [alone, '--stop-timeout=5'], command: willing });
      t.teardown(() => docker('rm', '-f', id));
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      await tab.page.evaluate('window.sameDocument = true');
      const steps = [
        ['pause', 'paused', 'paused'],
        ['unpause', 'resumed', 'running'],
        ['restart', 'restarted', 'running'],
        ['stop', 'stopped', 'exited'],
        ['start', 'started', 'running'],
        ['kill', 'killed', 'exited'],
      ] as const;
      for (const [action, done, state] of steps) {
        await press(tab, id, action);
        await until(`${action} told`, async () => (await tab.text('#messages')).includes(`acting was ${done}.`));
        await tab.sees(`#container-${id}[data-state=${state}]`);
        t.equal(await stateOf(engine, id), state, `${action} leaves it ${state}`);
        t.equal(await tab.count('#messages [role=status]'), 1, 'in the place of what was done before');
      }
      t.equal(await tab.page.evaluate('window.sameDocument'), true);
      t.equal(tab.page.url(), at('/containers'));
      t.same(tab.faults, []);
    });

    await inTurn('are done by plain forms without JavaScript', async (t) => {
      const id = await engine.run('plainly', { options: [alone, '--stop-timeout=5'], command: willing });
      t.teardown(() => docker('rm', '-f', id));
      const tab = await openTab(browser, at('/containers?q=plainly&sort=-name'), { javaScriptEnabled: false });
      t.teardown(tab.close);
      const steps = [
        ['stop', 'stopped', 'exited'],
        ['start', 'started', 'running'],
        ['pause', 'paused', 'paused'],
        ['unpause', 'resumed', 'running'],
        ['restart', 'restarted', 'running'],
        ['kill', 'killed', 'exited'],
      ] as const;
      for (const [action, done, state] of steps) {
        await press(tab, id, action);
        await tab.sees(`#container-${id}[data-state=${state}]`);
        t.match(await tab.text('#messages [role=status]'), `plainly was ${done}.`);
        t.equal(await stateOf(engine, id), state);
        t.equal(tab.page.url(), at('/containers?q=plainly&sort=-name'), 'and lead back');
      }
      await tab.page.reload();
      t.equal(await tab.count('#messages .message'), 0, 'a message is shown once');
      await tab.page.goto(at(`/containers/${id}`));
      await tab.page.click('#container-head button[formaction$="/start"]');
      await tab.sees('#container-head[data-state=running]');
      t.match(await tab.text('#messages [role=status]'), 'plainly was started.');
    });

    await inTurn('are seen by every open page', async (t) => {
      const id = await engine.run('watched', { options: [alone, '--stop-timeout=5'], command: willing });
      t.teardown(() => docker('rm', '-f', id));
      const detail = await openTab(browser, at(`/containers/${id}`));
      const list = await openTab(browser, at('/containers'));
      t.teardown(detail.close);
      t.teardown(list.close);
      await detail.page.click('#container-head button[formaction$="/stop"]');
      await list.sees(`#container-${id}[data-state=exited]`);
      await detail.sees('#container-head[data-state=exited]');
      await until('the exit code', async () => /Exit code/.test(await detail.text('#container-detail')));
      await list.page.click(`#container-${id} button[formaction$="/start"]`);
      await detail.sees('#container-head[data-state=running]');
      await docker('rename', id, 'fairlead-test-renamed');
      await until('the new name', async () => (await detail.text('h1')) === 'fairlead-test-renamed');
      t.same([...detail.faults, ...list.faults], []);
    });

    await inTurn('are told in the timeline of a name, with each death and what was said before it', async (t) => {
      const name = 'fairlead-test-storied';
      const talking = (code: number) => [
        ...[
          'sh',
          '-c',
          `i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; done; sleep ${statsSeconds * 2}; exit ${code}`,
        ],
      ];
      t.teardown(() => docker('rm', '-f', name).catch(() => ''));
      const first = await engine.run('storied', { options: [alone], command: talking(1) });
      const list = await openTab(browser, at('/events?trouble=died'));
      const tab = await openTab(browser, at(`/containers/${first}`));
      t.teardown(list.close);
      t.teardown(tab.close);
      await tab.page.click('#container-actions a[href$="/timeline"]');
      await tab.page.waitForURL(/\/timeline$/);
      await tab.sees('#events [data-event=die] details');
      t.match(await tab.text('#events [data-event=die]'), 'Ended with code 1');
      t.match(await tab.text('#events [data-event=die]'), /Its last figures: (CPU .*)?memory /);
      t.notOk(await tab.page.isVisible('#events .death .log'), 'folded');
      await tab.page.click('#events .death summary');
      t.match(await tab.text('#events .death .log-line:last-child'), 'line 60');
      t.equal(await tab.count('#events .death .log-line'), 50);
      await list.sees('#events [data-event=die]');

      await docker('rm', first);
      await tab.sees('#events [data-event=destroy]');
      const second = await engine.run('storied', { options: [alone], command: sleep });
      await docker('kill', second);
      await tab.sees('#events [data-event=kill]');
      await tab.page.goto(at('/containers/fairlead-test-storied'));
      await tab.page.click('#container-head button[formaction$="/start"]');
      await tab.sees('#container-head[data-state=running]');
      await docker('rm', '-f', second);

      const plain = await openTab(browser, at(`/containers/${name}/timeline`), { javaScriptEnabled: false });
      t.teardown(plain.close);
      const told = await plain.text('#events');
      t.match(told, /137 = 128 \+ 9: ended by SIGKILL/);
      t.match(told, 'from outside of Fairlead');
      t.match(told, 'Started here by 127.0.0.1');
      t.equal(await plain.count('#events [data-event=create]'), 2, 'over both containers');
      t.equal(await plain.count('#events .death .log-line'), 50, 'what it said is kept though it is gone');
      t.notMatch(told, 'may be missing');
      await plain.follow('.site-nav a[href$="/events"]');
      t.match(await plain.text('h1'), 'Events');
      t.match(await plain.text('#events'), name);
      t.same([...tab.faults, ...list.faults], []);
    });

    for (const javaScriptEnabled of [true, false]) {
      await t.test(
        `remove a container after a question, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`,
        async (t) => {
          const volume = 'fairlead-test-anonymous';
          const id = await engine.run('removed', { options: [alone, '-v', '/data'], command: sleep });
          t.teardown(() => docker('rm', '-fv', id).catch(() => volume));
          const tab = await openTab(browser, at('/containers'), { javaScriptEnabled });
          t.teardown(tab.close);
          await tab.page.click(`#container-${id} .c-act details > summary`);
          await tab.page.click(`#container-${id} a[href$="/remove"]`);
          await tab.page.waitForURL(/\/remove$/);
          t.match(await tab.text('h1'), 'Remove container fairlead-test-removed?');
          t.equal(await stateOf(engine, id), 'running', 'the question alone does nothing');

          await tab.page.click('form.dialog button');
          await until('the refusal', async () => /is running/.test(await tab.text('main')));
          t.match(await tab.text('main'), 'Container fairlead-test-removed is running. Stop it first, or force.');
          t.equal(await stateOf(engine, id), 'running');

          await tab.page.goto(at(`/containers/${id}/remove`));
          await tab.page.check('input[name=force]');
          await tab.page.check('input[name=volumes]');
          await tab.page.click('form.dialog button');
          await until('the list', async () => new URL(tab.page.url()).pathname === '/containers');
          t.match(await tab.text('#messages [role=status]'), 'fairlead-test-removed was removed.');
          t.equal(await tab.count(`#container-${id}`), 0);
          t.equal(await docker('ps', '-aq', '--filter', `id=${id}`), '');
          t.equal(await docker('volume', 'ls', '-q'), '', 'its anonymous volume too');
        },
      );
    }

    await inTurn('on a group go in the order of its dependencies, and tell how each fared', async (t) => {
      await engine.run('shop-db', { options: [alone, ...serviceOptions('shop', 'db')], command: willing });
      const cache = 'db:service_started:false';
      await engine.run('shop-cache', { options: [alone, ...serviceOptions('shop', 'cache', cache)], command: willing });
      const web = 'cache:service_started:false,db:service_started:false';
      await engine.run('shop-a-web', { options: [alone, ...serviceOptions('shop', 'web', web)], command: willing });
      const names = ['fairlead-test-shop-db', 'fairlead-test-shop-cache', 'fairlead-test-shop-a-web'];
      t.teardown(() => docker('rm', '-f', ...names));
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      await until('the whole group', async () => (await tab.count('tbody[data-project=shop] tr[data-name]')) === 3);
      const told = (words: string) =>
        tab.sees(`#operations-now [data-state=succeeded]:has-text("3 of 3 containers of shop were ${words}.")`);

      await tab.page.click('#project-shop-head button[formaction$="/stop"]');
      await until('all stopped', async () => (await tab.count('tr[data-project=shop][data-state=exited]')) === 3);
      await told('stopped');
      t.equal(await tab.count('#operations-now li[data-ok=true]'), 3, 'each by itself');
      const endedAt = await Promise.all(names.map((name) => docker('inspect', '-f', '{{.State.FinishedAt}}', name)));
      t.same(endedAt, endedAt.toSorted().reverse(), 'those that need others end first');

      await tab.page.click('#project-shop-head button[formaction$="/start"]');
      await until('all run', async () => (await tab.count('tr[data-project=shop][data-state=running]')) === 3);
      await told('started');
      const startedAt = await Promise.all(names.map((name) => docker('inspect', '-f', '{{.State.StartedAt}}', name)));
      t.same(startedAt, startedAt.toSorted(), 'what others need starts first');
      t.same(tab.faults, []);
    });

    await inTurn('that fail say why, and hide no other', async (t) => {
      const port = ['-p', '8080:80'];
      await engine.run('holder', { options: port, command: sleep });
      const create = (name: string, options: string[]) =>
        docker('create', `--name=fairlead-test-${name}`, ...options, busyboxImage, ...sleep);
      const id = await create('latecomer', [...port, ...serviceOptions('pair', 'late')]);
      const other = await create('other', [alone, ...serviceOptions('pair', 'other')]);
      t.teardown(() => docker('rm', '-f', 'fairlead-test-holder', id, other));
      const words = 'Port 8080 is already in use by another container';

      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      await tab.sees(`#container-${id}`);
      await press(tab, id, 'start');
      await tab.sees('#failures [role=alert]');
      t.match(await tab.text('#failures [role=alert]'), words);
      t.equal(await tab.count(`#container-${id}[data-state=created]:not([aria-busy])`), 1);

      await tab.page.click('#project-pair-head button[formaction$="/start"]');
      await tab.sees(`#container-${other}[data-state=running]`);
      await tab.sees('#operations-now :text("1 of 2 containers of pair were started.")');
      const group = '#operations-now [data-state=failed][role=alert]';
      t.match(await tab.text(`${group} li[data-ok=false]`), words);
      t.match(await tab.text(`${group} li[data-ok=true]`), /fairlead-test-other\s+done/);
      t.match(await tab.text('#failures'), words, 'what failed before is still told');
      await tab.page.fill('#search', 'latecomer');
      await until('the search', async () => (await tab.names()).length === 1);
      t.match(await tab.text('#failures'), words, 'after a search too');
      await tab.page.click('#failures a[data-dismiss]');
      await tab.misses('#failures [role=alert]');
      await tab.page.click(`${group} button:has-text("Dismiss")`);
      await tab.misses('#messages [role=alert]');

      const plain = await openTab(browser, at('/containers'), { javaScriptEnabled: false });
      t.teardown(plain.close);
      await press(plain, id, 'start');
      await until('the error', async () => (await plain.text('main')).includes(words));

      const { body } = await fairlead.api<Problem>(`/containers/${id}/start`, { method: 'POST' });
      t.match(body, { status: 409, code: 'conflict', detail: words });
      const gone = await fairlead.api<Problem>('/containers/fairlead-test-nobody/start', { method: 'POST' });
      t.match(gone.body, { status: 404, code: 'not_found', detail: 'Container fairlead-test-nobody not found' });
    });

    await inTurn('remove images, and tell each refusal of the engine', async (t) => {
      const images = async () => (await fairlead.api<Image[]>('/images')).body;
      const find = (tag: string) => until(tag, async () => (await images()).find(({ tags }) => tags.includes(tag)));
      const remove = async (id: string, body?: object) => {
        const headers = { 'content-type': 'application/json' };
        const answer = await fairlead.api<Problem>(
          `/images/${encodeURIComponent(id)}/remove`,
          body ? { method: 'POST', headers, body: JSON.stringify(body) } : { method: 'POST' },
        );
        return { status: answer.status, code: answer.body.code, detail: answer.body.detail };
      };
      const make = async (tag: string) => {
        await docker('commit', '-m', tag, 'fairlead-test-source', tag);
        return find(tag);
      };
      await docker('create', '--name=fairlead-test-source', alone, busyboxImage);
      t.teardown(() => docker('rm', '-f', 'fairlead-test-source'));

      const twice = await make('fairlead-test/one:1');
      await docker('tag', 'fairlead-test/one:1', 'fairlead-test/two:1');
      await find('fairlead-test/two:1');
      t.match(await remove(twice.id), {
        status: 409,
        code: 'image_multiple_repositories',
        detail: /Remove its tags one by one, or force/,
      });

      await docker('create', '--name=fairlead-test-child', alone, 'fairlead-test/one:1');
      await docker('commit', 'fairlead-test-child', 'fairlead-test/child:1');
      const child = await find('fairlead-test/child:1');
      await docker('rm', 'fairlead-test-child');
      await docker('rmi', 'fairlead-test/two:1');
      await until('one tag', async () => (await images()).find(({ id }) => id === twice.id)?.tags.length === 1);
      t.match(await remove(twice.id), { status: 409, code: 'image_has_children', detail: /Remove the children first/ });
      t.match(await remove(child.id), { status: 200 });

      const user = await engine.run('user', { options: [alone], image: 'fairlead-test/one:1', command: sleep });
      const running = { status: 409, code: 'image_in_use', detail: /running container. Stop the container first/ };
      t.match(await remove(twice.id), running);
      t.match(await remove(twice.id, { force: true }), running, 'not even by force');

      const tab = await openTab(browser, at('/images'));
      t.teardown(tab.close);
      const row = `#image-${twice.id.replace('sha256:', '')}`;
      t.match(await tab.text(row), 'fairlead-test-user');
      await tab.page.click(`${row} a[href$="/remove"]`);
      await tab.page.waitForURL(/\/remove$/);
      await tab.page.click('form.dialog button');
      await until('the refusal', async () => /Stop the container first/.test(await tab.text('main')));

      await docker('rm', '-f', user);
      await tab.page.goto(at('/images'));
      await tab.untilLive();
      await docker('tag', busyboxImage, 'fairlead-test/new:1');
      await until('the new tag', async () => (await tab.text('#images')).includes('fairlead-test/new'));
      await docker('rmi', 'fairlead-test/new:1');
      await until('the tag gone', async () => !(await tab.text('#images')).includes('fairlead-test/new'));

      const plain = await openTab(browser, at('/images'), { javaScriptEnabled: false });
      t.teardown(plain.close);
      await plain.follow(`${row} a[href$="/remove"]`);
      await plain.follow('form.dialog button');
      await plain.page.waitForURL(at('/images'));
      t.match(await plain.text('#messages [role=status]'), 'Image fairlead-test/one:1 was removed.');
      t.equal(await plain.count(row), 0);
      await tab.misses(row);
      t.same(await remove('fairlead-test/nothing:1'), {
        status: 404,
        code: 'not_found',
        detail: 'Image fairlead-test/nothing:1 not found',
      });
      t.same(
        tab.faults.filter((fault) => !fault.includes('409')),
        [],
      );
    });

    await inTurn('are refused where the id is none', async (t) => {
      for (const id of ['../version?x=', '..%2Fversion%3Fx%3D', '%2e%2e', 'a'.repeat(10_000), '-x', 'a%00b']) {
        t.equal(await postRaw(fairlead.url, `/api/containers/${id}/start`), 400, id.slice(0, 20));
      }
    });

    await t.test('Figures of ten containers agree with those of docker stats', async (t) => {
      const busy = await Promise.all(
        [0.02, 0.04, 0.06, 0.08, 0.1].map((cpus) =>
          engine.run(`busy-${cpus}`, {
            options: [alone, `--cpus=${cpus}`],
            command: ['sh', '-c', 'while :; do :; done'],
          }),
        ),
      );
      const filled = await Promise.all(
        [10, 20, 30, 40, 50].map((megabytes) =>
          engine.run(`full-${megabytes}`, {
            options: [alone, '--memory=200m'],
            command: ['sh', '-c', `dd if=/dev/zero of=/dev/shm/full bs=1M count=${megabytes}; sleep 100000; :`],
          }),
        ),
      );
      const full = filled.at(-1) ?? '';
      t.teardown(() => docker('rm', '-f', ...busy, ...filled));
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      const readCpus = () => Promise.all(busy.map(async (id) => toNumber(await tab.text(`#cpu-${id}`))));
      const readMemory = async (id: string) =>
        Number(await tab.page.locator(`#memory-${id} meter`).getAttribute('value'));
      const readMemories = () => Promise.all(filled.map(readMemory));
      for (const id of filled) await tab.sees(`#memory-${id} meter`, 20_000);
      const isLoaded = async () =>
        (await readMemory(full)) > 40 * 2 ** 20 && (await readCpus()).every((percent) => percent > 0);
      await until('figures of all', isLoaded, 20_000);
      await delay(2 * statsSeconds * 1_000);

      // What else the machine does moves both, and not at the same moment: a wrong sum is wrong in every window.
      let compared = await compare();
      for (let n = 0; n < 2 && compared.cpuPoints >= 2; n++) compared = await compare();
      const { samples, cpuPoints, memoryPercent } = compared;
      t.ok(samples >= 3, `${samples} samples`);
      t.ok(cpuPoints < 2, `CPU at most ${cpuPoints.toFixed(2)} points apart`);
      t.ok(memoryPercent < 1, `memory at most ${memoryPercent.toFixed(2)} % apart`);

      /** How far the means of some seconds are apart, of the container where they are furthest. */
      async function compare() {
        let isOver = false;
        const ours = { cpu: busy.map(() => new Set<number>()), memory: filled.map(() => new Set<number>()) };
        const reading = (async () => {
          for (; !isOver; await delay(200)) {
            for (const [index, percent] of (await readCpus()).entries()) ours.cpu[index]?.add(percent);
            for (const [index, bytes] of (await readMemories()).entries()) ours.memory[index]?.add(bytes);
          }
        })();
        const theirs = { cpu: busy.map(() => [] as number[]), memory: filled.map(() => [] as number[]) };
        for (let n = 0; n < 5; n++) {
          const format = '{{.CPUPerc}} {{.MemUsage}}';
          const lines = (await docker('stats', '--no-stream', '--format', format, ...busy, ...filled)).split('\n');
          for (const index of busy.keys()) theirs.cpu[index]?.push(toNumber(lines[index] ?? ''));
          for (const index of filled.keys())
            theirs.memory[index]?.push(toNumber(lines[busy.length + index]?.split(' ')[1] ?? ''));
        }
        isOver = true;
        await reading;
        const means = (values: readonly Iterable<number>[]) => values.map((each) => mean([...each]));
        const [ourCpu, theirCpu] = [means(ours.cpu), means(theirs.cpu)];
        const [ourMemory, theirMemory] = [means(ours.memory), means(theirs.memory)];
        return {
          samples: Math.max(...ours.cpu.map(({ size }) => size)),
          cpuPoints: Math.max(...ourCpu.map((value, index) => Math.abs(value - (theirCpu[index] ?? Number.NaN)))),
          memoryPercent: Math.max(
            ...ourMemory.map((value, index) => Math.abs(value / (theirMemory[index] ?? Number.NaN) - 1) * 100),
          ),
        };
      }
      t.equal(await tab.page.locator(`#memory-${full} meter`).getAttribute('max'), String(200 * 2 ** 20), 'its limit');
      await docker('kill', full);
      await tab.sees(`#container-${full}[data-state=exited]`);
      await until('no figures of what has ended', async () => /not running/.test(await tab.text(`#memory-${full}`)));
    });

    await t.test('Metrics tell what the engine knows by an inspect', async (t) => {
      const limits = ['--memory=64m', '--pids-limit=50'];
      const limited = await engine.run('limited', {
        options: [alone, '--log-driver=none', ...limits],
        command: ['yes'],
      });
      const failing = await engine.run('failing', {
        options: [alone, '--restart=on-failure:3'],
        command: ['sh', '-c', 'sleep 0.3; exit 7'],
      });
      const greedy = await engine.run('greedy', {
        options: [alone, '--memory=16m', '--memory-swap=16m'],
        command: ['sh', '-c', 'tail /dev/zero'],
      });
      t.teardown(() => docker('rm', '-f', limited, failing, greedy));
      const scrape = async () => readScrape(await (await fetch(at('/metrics'))).text());
      const read = async (name: string, metric: string) =>
        (await scrape()).value(`fairlead_container_${metric}`, { name: `fairlead-test-${name}` });

      await until('its restarts', async () => (await read('failing', 'restarts_total')) === 3, 20_000);
      await until('its end', async () => (await read('failing', 'last_exit_code')) === 7, 20_000);
      t.equal(await docker('inspect', '-f', '{{.RestartCount}}', failing), '3');
      await until('want of memory', async () => (await read('greedy', 'out_of_memory_total')) === 1, 20_000);
      t.equal(await read('greedy', 'restarts_total'), 0);

      await until('figures', async () => (await read('limited', 'cpu_usage_ratio')) !== undefined, 20_000);
      t.equal(await read('limited', 'memory_limit_bytes'), 64 * 2 ** 20);
      t.equal(await read('limited', 'pids_limit'), 50);
      type Counted = { cpu_stats: { cpu_usage: { total_usage: number } } };
      const used = async () => {
        const stats = await callEngine<Counted>(engine.socketPath, 'GET', `/containers/${limited}/stats?stream=false`);
        return stats.cpu_stats.cpu_usage.total_usage / 1e9;
      };
      const before = await used();
      await until('a later sample', async () => ((await read('limited', 'cpu_seconds_total')) ?? 0) >= before, 20_000);
      const seconds = (await read('limited', 'cpu_seconds_total')) ?? 0;
      const after = await used();
      t.ok(before <= seconds && seconds <= after, `${before} ≤ ${seconds} ≤ ${after} s`);
    });
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** `47.8MiB` in bytes, `49.5%` as it is. */
function toNumber(text: string): number {
  const units: Record<string, number> = { '%': 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
  const [, number = '', unit = ''] = /([\d.]+)\s?(%|\w+)/.exec(text) ?? [];
  return Number(number) * (units[unit] ?? Number.NaN);
}

/** Posts to a path as it is written, which `fetch` would tidy up first, and gives the status. */
function postRaw(url: string, path: string): Promise<number> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path, method: 'POST' }, (answer) => resolve(answer.resume().statusCode ?? 0))
      .on('error', reject)
      .end();
  });
}
