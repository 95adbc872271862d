import t from 'tap';
import { engineVersionsInTurn } from '../engine/engine.ts';
import {
  accessibilityFaults,
  listedRows,
  openTab,
  startFairlead,
  startWorld,
  type TabOptions,
  until,
  watchTransfers,
} from './support.ts';

const alone = ['--network=none', '--stop-timeout=0'];
const maxScriptBytes = 30_000;

const attack = `<script>document.title = 'owned'; alert(1)</script><img src=x onerror="alert(2)">`;
const quotes = `"' onmouseover="alert(3)" x='`;
const backwards = '\u202Egnp.exe\u2066 \u200Fend';
const secret = 'hunter2-and-more';

/** The contrast of the page's text against its ground, as WCAG counts it. */
const contrastScript = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const light = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const { color } = getComputedStyle(document.body);
  const ground = [document.body, document.documentElement].map((element) => getComputedStyle(element).backgroundColor)
    .find((value) => !/, 0\\)$|transparent/.test(value)) ?? 'white';
  const [a, b] = [light(color), light(ground)];
  return { contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), isDark: b < 0.2 };
})()`;

// How pages look is the same with every engine; what they tell of each is tested beside this.
for (const version of engineVersionsInTurn(1).slice(-1)) {
  t.test(`Pages on engine ${version}`, async (t) => {
    const world = await startWorld(t, { version });
    if (!world) return;
    const { engine, fairlead, browser, at } = world;
    const { docker } = engine;

    // Everything that a container can bring along: what it is called, labelled, given and prints.
    const speech = `printf '%s\\n' '${attack.replaceAll("'", '"')}'; printf 'nul \\000 in it, broken \\377\\376 bytes\\n'; printf '\\033]0;title\\007\\033[2J\\033[31mred\\033[0m ${backwards}\\n'; printf '\\r\\n'`;
    const id = await engine.run('hostile', {
      options: [
        ...alone,
        `--label=com.docker.compose.project=${attack}`,
        `--label=com.docker.compose.service=${quotes}`,
        `--label=note=${attack}${quotes}${backwards}`,
        `--label=${backwards.replaceAll(' ', '')}=${quotes}`,
        `-e=HTML=${attack}`,
        `-e=QUOTES=${quotes}`,
        `-e=DB_PASSWORD=${secret}`,
        `-e=API_TOKEN=${secret}`,
        `-e=DATABASE_URL=postgres://user:${secret}@db/app`,
        `--health-cmd=echo '${attack.replaceAll("'", '"')}'; exit 1`,
        '--health-interval=1s',
        '--health-retries=1',
      ],
      command: ['sh', '-c', `${speech}; while :; do sleep 1; done`, attack],
    });
    const plain = await engine.run('plain', { options: alone, command: ['sleep', '100000'] });
    const image = (await docker('inspect', '-f', '{{.Image}}', id)).replace('sha256:', '');
    const paths = [
      '/containers',
      `/containers?q=${encodeURIComponent(attack)}`,
      `/containers?project=${encodeURIComponent(attack)}`,
      `/containers/${id}`,
      `/containers/${id}/logs`,
      `/containers/${id}/logs?q=${encodeURIComponent(quotes)}`,
      `/containers/${id}/stats`,
      `/containers/${id}/remove`,
      `/containers/${plain}`,
      `/projects/${encodeURIComponent(attack)}`,
      '/images',
      `/images/${image}`,
      `/images/${image}/remove`,
      '/containers/nobody',
      '/nowhere',
    ];
    const isMissing = (path: string) => /nobody|nowhere/.test(path);

    await t.test('run nothing that a container brings along, and break no rule of the content policy', async (t) => {
      for (const path of paths) {
        const tab = await openTab(browser, at(path));
        t.equal(tab.status, isMissing(path) ? 404 : 200, path);
        await until('it is drawn', () => tab.page.evaluate('document.readyState === "complete"'));
        t.not(await tab.page.title(), 'owned');
        t.equal(
          await tab.count('main script, main img, [onerror], [onmouseover], [onclick]'),
          0,
          `${path} as text only`,
        );
        t.same(
          tab.faults.filter((fault) => !(isMissing(path) && fault.includes('404'))),
          [],
          `${path} without a fault`,
        );
        await tab.close();
      }
    });

    await t.test('show hostile text as it is, also when it comes by the socket', async (t) => {
      const list = await openTab(browser, at('/containers'));
      const detail = await openTab(browser, at(`/containers/${id}`));
      const logs = await openTab(browser, at(`/containers/${id}/logs`));
      t.teardown(() => Promise.all([list, detail, logs].map((tab) => tab.close())));
      t.equal(await list.page.locator(`#container-${id}`).getAttribute('data-project'), attack);
      t.match(await list.text(`#container-${id} .c-name`), quotes);
      await until('the health output', async () => (await detail.text('#container-detail')).includes('<script>'));

      const lines = await logs.page.locator('.log-line .msg').allTextContents();
      t.equal(lines[0], attack.replaceAll("'", '"'));
      t.match(lines[1], /^nul .* in it, broken .* bytes$/);
      t.notMatch(lines[1], /\0/);
      t.match(lines[2], /red .*gnp\.exe/);
      t.notMatch(lines.join(''), /\x1B|\x07/);

      const other = await engine.run('latecomer', {
        options: [...alone, `--label=com.docker.compose.project=${attack}`],
      });
      await list.sees(`tbody[data-project*="<script>"] #container-${other}`);
      await docker('rm', '-f', other);
      await list.misses(`#container-${other}`);
      await docker('restart', '-t', '0', id);
      await until('its lines again', async () => (await logs.count('.log-line')) >= 2 * lines.length);
      for (const tab of [list, detail, logs]) {
        t.same(tab.faults, []);
        t.equal(await tab.count('main script, main img'), 0);
      }
    });

    await t.test('keep secrets back until somebody asks', async (t) => {
      const tab = await openTab(browser, at(`/containers/${id}`));
      t.teardown(tab.close);
      for (const path of [...paths.map(at), at(`/api/containers/${id}`), at(`/fragments/containers/${id}`)])
        t.notMatch(await (await fetch(path)).text(), secret, 'no secret in the answer');
      t.match(await tab.text('#container-detail'), 'DB_PASSWORD');
      await tab.page.click('form.reveal button');
      await until('the secret', async () => (await tab.text('#container-detail')).includes(secret));
      await tab.page.goto(at(`/containers/${id}`));
      t.notMatch(await tab.text('#container-detail'), secret, 'hidden again');

      const withoutScript = await openTab(browser, at(`/containers/${id}`), { javaScriptEnabled: false });
      t.teardown(withoutScript.close);
      await withoutScript.follow('form.reveal button');
      await until('the secret', async () => (await withoutScript.text('#container-detail')).includes(secret));
    });

    await t.test('can be used by everybody, wide and narrow, light and dark', async (t) => {
      const looks: TabOptions[] = [
        { viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
        { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
      ];
      for (const look of looks) {
        const tab = await openTab(browser, at('/containers'), look);
        for (const path of paths) {
          await tab.page.goto(at(path));
          await tab.untilLive();
          t.same(await accessibilityFaults(tab), [], `${path} at ${look.viewport?.width} px`);
        }
        const { contrast, isDark } = await tab.page.evaluate<{ contrast: number; isDark: boolean }>(contrastScript);
        t.ok(contrast >= 7, `a contrast of ${contrast.toFixed(1)}`);
        t.equal(isDark, look.colorScheme === 'dark');
        await tab.close();
      }
      const tab = await openTab(browser, at('/containers'), { colorScheme: 'light', javaScriptEnabled: false });
      t.teardown(tab.close);
      await tab.page.click('#preferences button[value=dark]');
      await tab.sees('html[data-theme=dark]');
      await tab.page.goto(at('/images'));
      t.equal(await tab.count('html[data-theme=dark]'), 1, 'a choice stays');
    });

    await t.test('are worked by keys alone', async (t) => {
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      const { keyboard } = tab.page;
      await keyboard.press('Tab');
      t.equal(
        await tab.page.evaluate('document.activeElement.className'),
        'skip',
        'the first stop leads to the content',
      );
      await keyboard.press('/');
      await keyboard.type('hostile');
      await until('one row', async () => (await tab.count('tr[data-name]')) === 1);
      t.equal(await tab.page.evaluate('document.activeElement.id'), 'search', 'the swap leaves the focus');
      await tab.page.locator(`#container-${id} .c-act summary`).focus();
      await keyboard.press('Enter');
      await tab.sees(`#container-${id} .c-act details[open]`);
      await docker('pause', id);
      await tab.sees(`#container-${id}[data-state=paused]`);
      t.equal(await tab.count(`#container-${id} .c-act details[open]`), 1, 'a change leaves the menu open');
      await keyboard.press('Escape');
      await tab.misses(`#container-${id} .c-act details[open]`);
      t.equal(await tab.page.evaluate('document.activeElement.tagName'), 'SUMMARY');
      await docker('unpause', id);
      t.same(tab.faults, []);
    });

    await t.test('tell the values of charts to pointers, keys, and without JavaScript', async (t) => {
      const address = at(`/containers/${plain}/stats`);
      const tab = await openTab(browser, address);
      t.teardown(tab.close);
      await tab.sees('#chart-memory .tip', 25_000);
      const { keyboard } = tab.page;
      const readout = '#chart-memory .readout';
      await tab.page.hover('#chart-memory .chart');
      await until('the values', async () => /^\d\d:\d\d UTC: \d.* [kM]?B/.test(await tab.text(readout)));
      await tab.page.hover('h1');
      await until('none', async () => (await tab.text(readout)) === '');

      await tab.page.click('.chart-values summary');
      await tab.page.focus('#chart-memory .chart');
      await keyboard.press('ArrowLeft');
      t.match(await tab.text(readout), /^\d\d:\d\d UTC: /);
      const drawn = await tab.page.getAttribute('#chart-memory .chart .l', 'd');
      await until(
        'the charts drawn anew',
        async () => (await tab.page.getAttribute('#chart-memory .chart .l', 'd')) !== drawn,
        60_000,
      );
      t.match(await tab.text(readout), /^\d\d:\d\d UTC: /, 'the values stay');
      t.equal(await tab.page.evaluate('document.activeElement.parentElement.id'), 'chart-memory', 'so does the focus');
      t.ok(await tab.count('.chart-values[open]'), 'and the table is open');
      await keyboard.press('Escape');
      t.equal(await tab.text(readout), '');
      t.same(tab.faults, []);

      const withoutScript = await openTab(browser, address, { javaScriptEnabled: false });
      t.teardown(withoutScript.close);
      t.ok(await withoutScript.count('#chart-cpu svg path.l[d]'), 'they are drawn');
      t.match(await withoutScript.text('#chart-memory .tip title'), /UTC: /);
      await withoutScript.page.click('.chart-values summary');
      t.ok(await withoutScript.page.isVisible('.chart-values tbody tr:last-child td'));
      await withoutScript.follow('#stats nav a:has-text("24h")');
      await withoutScript.sees('#stats nav a[aria-current=true]:has-text("24h")');
    });

    await t.test('send less than 30 kB of JavaScript, all from this server', async (t) => {
      const context = await browser.newContext();
      t.teardown(() => context.close());
      const page = await context.newPage();
      const transfers = await watchTransfers(await context.newCDPSession(page));
      for (const path of paths.filter((path) => !isMissing(path)))
        await page.goto(at(path), { waitUntil: 'networkidle' });
      const scripts = transfers.filter(({ type, bytes }) => type === 'Script' && bytes > 0);
      const bytes = scripts.reduce((sum, script) => sum + script.bytes, 0);
      t.ok(bytes > 0 && bytes < maxScriptBytes, `${bytes} bytes in ${scripts.length} file`);
      t.same(
        transfers.filter(({ url }) => !url.startsWith(fairlead.url)),
        [],
      );
    });

    await t.test('lead back and forth, and stay live', async (t) => {
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      await tab.page.click(`#container-${plain} .c-name a`);
      await tab.page.waitForURL(/\/containers\/./);
      await tab.untilLive();
      await tab.page.click('#container-head a[href$="/logs"]');
      await tab.page.waitForURL(/\/logs$/);
      await tab.page.goBack();
      await tab.untilLive();
      t.equal(tab.page.url(), at(`/containers/${plain}`));
      await tab.page.goBack();
      t.equal(tab.page.url(), at('/containers'));
      await tab.untilLive();
      await docker('pause', plain);
      await tab.sees(`#container-${plain}[data-state=paused]`);
      await docker('unpause', plain);
      await tab.sees(`#container-${plain}[data-state=running]`);
      await tab.page.goForward();
      await tab.untilLive();
      await tab.sees('#container-head');
      t.same(tab.faults, []);
    });

    await t.test('say when the server is away, and are true again when it is back', async (t) => {
      const first = await startFairlead(engine.host);
      t.teardown(first.stop);
      const tab = await openTab(browser, `${first.url}/containers`);
      t.teardown(tab.close);
      await first.stop();
      t.equal(first.exitCode(), 0, 'it ended as it should');
      await tab.sees('#live-status[data-status=reconnecting]', 2_000);
      await docker('rename', plain, 'fairlead-test-renamed');
      const second = await startFairlead(engine.host, { PORT: new URL(first.url).port });
      t.teardown(second.stop);
      await tab.untilLive();
      await tab.sees(`#container-${plain}[data-name=fairlead-test-renamed]`);
      t.same(await tab.rows(), await listedRows(engine));
    });
  });
}
