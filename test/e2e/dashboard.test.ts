import t from 'tap';
import { engineVersionsInTurn } from '../engine/engine.ts';
import { accessibilityFaults, openTab, startWorld, type Tab, until } from './support.ts';

const alone = ['--network=none', '--stop-timeout=0'];
const labels = ['--label=com.docker.compose.project=shop', '--label=com.docker.compose.service=web'];

type Share = { count: number; active: number; bytes: number; reclaimableBytes: number };
type Dashboard = {
  containers: { states: Record<string, number> };
  totals: { sampled: number; cpuPercent: number };
  top: { cpu: { name: string; value: number }[] };
  disk: { isReading: boolean; images: Share; containers: Share; volumes: Share; buildCache: Share };
};

/** A line of `docker system df`. */
type Line = { Type: string; TotalCount: string; Active: string; Size: string; Reclaimable: string };

/** A size as the docker command writes it, `1.5GB`, in bytes. */
function toBytes(text: string): number {
  const [, number = '', unit = ''] = /^([\d.]+)([kMGT]?B)/.exec(text) ?? [];
  return Number(number) * 1_000 ** ['B', 'kB', 'MB', 'GB', 'TB'].indexOf(unit);
}

/** The engine is not asked to measure its disk anew for half a minute. */
const restMs = 45_000;

const shownSpan = async ({ page }: Tab) => {
  const [from = 0, to = 0] = await Promise.all(
    ['data-from', 'data-to'].map(async (name) => Number(await page.getAttribute('#stats', name))),
  );
  return { from, to };
};

for (const version of engineVersionsInTurn(1)) {
  t.test(`Dashboards on engine ${version}`, async (t) => {
    const world = await startWorld(t, { version, env: { STATS_INTERVAL: '2' } });
    if (!world) return;
    const { engine, fairlead, browser, at } = world;
    const { docker } = engine;
    await docker('volume', 'create', '--label=com.docker.compose.project=shop', 'shop_data');
    const busy = await engine.run('busy', {
      options: [...alone, ...labels, '--cpus=0.3', '-v=shop_data:/data'],
      command: ['sh', '-c', 'dd if=/dev/zero of=/data/file bs=1M count=3; while :; do :; done'],
    });
    await engine.run('idle', { options: alone, command: ['sleep', '100000'] });
    const ended = await engine.run('ended', {
      options: alone,
      command: ['sh', '-c', 'dd if=/dev/zero of=/file bs=1M count=2'],
    });
    await docker('volume', 'create', 'left');
    // What is measured is kept for a while: nothing may change any more when the first page asks for it.
    await docker('wait', ended);
    await until('a whole file', async () => (await docker('exec', busy, 'ls', '-s', '/data/file')).includes('3072'));
    const read = async () => (await fairlead.api<Dashboard>('/dashboard')).body;

    await t.test('count the disk as docker system df does', async (t) => {
      await until('a measured disk', async () => {
        const { isReading, volumes } = (await read()).disk;
        return !isReading && volumes.bytes >= 3 * 1024 ** 2;
      });
      const { disk } = await read();
      const lines = (await docker('system', 'df', '--format', '{{json .}}'))
        .split('\n')
        .map((line) => JSON.parse(line));
      const shares = [disk.images, disk.containers, disk.volumes, disk.buildCache];
      for (const [index, { Type, TotalCount, Active, Size, Reclaimable }] of (lines as Line[]).entries()) {
        const share = shares[index];
        t.equal(share?.count, Number(TotalCount), `${Type}: how many`);
        t.equal(share?.active, Number(Active), `${Type}: in use`);
        for (const [bytes = 0, text] of [
          [share?.bytes, Size],
          [share?.reclaimableBytes, Reclaimable],
        ] as const)
          t.ok(Math.abs(bytes - toBytes(text)) <= bytes * 0.01, `${Type}: ${bytes} is ${text}`);
      }
      const project = (await fairlead.api<Dashboard>('/projects/shop/stats')).body.disk;
      t.match(project, { containers: { count: 1 }, volumes: { count: 1, active: 1 } });
    });

    await t.test('follow what runs and who uses most', async (t) => {
      const tab = await openTab(browser, at('/dashboard'));
      t.teardown(tab.close);
      await tab.untilLive();
      await until('the sums', async () => /idle|busy/.test(await tab.text('#top-cpu')), 25_000);
      await until('the busy one first', async () => /busy/.test(await tab.text('#top-cpu li:first-child')));
      t.match((await read()).top.cpu[0], { name: /busy/, value: Number });
      t.match(await tab.text('#dashboard-now'), /2 running/);
      await docker('pause', busy);
      await until('the states', async () => /1 paused/.test(await tab.text('#dashboard-now')));
      await docker('unpause', busy);
      await until('them again', async () => /2 running/.test(await tab.text('#dashboard-now')));
      const press = async () => {
        await tab.page.click('#dashboard-disk button');
        return /just now/.test(await tab.text('#dashboard-disk time'));
      };
      await until('a fresh age', press, restMs);
      t.same(await accessibilityFaults(tab), []);
      t.same(tab.faults, []);

      const withoutScript = await openTab(browser, at('/dashboard'), { javaScriptEnabled: false });
      t.teardown(withoutScript.close);
      await until('its figures', async () => {
        await withoutScript.page.reload();
        return /busy/.test(await withoutScript.text('#top-cpu'));
      });
      await withoutScript.follow('#dashboard-disk button');
      await withoutScript.sees('#dashboard-disk time');
      t.equal(withoutScript.page.url(), at('/dashboard'), 'the form leads back');
      await withoutScript.follow('#stats nav a:has-text("7d")');
      await withoutScript.sees('#stats nav a[aria-current=true]:has-text("7d")');
      await withoutScript.page.goto(at('/projects/shop/stats'));
      t.match(await withoutScript.text('#dashboard-now'), /1 running/);
      t.match(await withoutScript.text('.crumbs'), 'shop');
    });

    await t.test('zoom by dragging, by keys, and by links without JavaScript', async (t) => {
      const address = at(`/containers/${busy}/stats`);
      const tab = await openTab(browser, address);
      t.teardown(tab.close);
      await tab.sees('#chart-memory .tip', 25_000);
      const { page } = tab;
      const whole = await shownSpan(tab);
      const box = await page.locator('#chart-memory .chart').boundingBox();
      if (!box) throw new Error('The chart has no place.');
      const y = box.y + box.height / 2;
      await page.mouse.move(box.x + box.width * 0.5, y);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.75, y, { steps: 5 });
      t.equal(await tab.count('#stats .chart > .zoom'), 5, 'it is shown in all charts');
      await page.mouse.up();
      await page.waitForURL(/\?from=\d+&to=\d+$/);
      await tab.sees('#stats a:has-text("Reset zoom")');
      const zoomed = await shownSpan(tab);
      const length = whole.to - whole.from;
      t.ok(Math.abs(zoomed.from - whole.from - length / 2) < 60, 'from where it was pressed');
      t.ok(Math.abs(zoomed.to - zoomed.from - length / 4) < 60, 'to where it was let go');
      t.equal(await tab.count('#container-head'), 1);
      await page.click('#stats a:has-text("Reset zoom")');
      await page.waitForURL(address);
      await tab.untilLive();
      await page.goBack();
      await tab.sees('#stats a:has-text("Reset zoom")');
      t.same(await shownSpan(tab), zoomed, 'the address brings it back');

      await page.goto(address);
      await tab.sees('#chart-memory .tip');
      await page.focus('#chart-memory .chart');
      await page.keyboard.press('ArrowLeft');
      await page.keyboard.press('Shift+ArrowLeft');
      t.match(await tab.text('body > [role=status]'), /^Selected \d\d:\d\d:\d\d to \d\d:\d\d:\d\d UTC\. Enter zooms/);
      await page.keyboard.press('Escape');
      t.equal(await tab.count('#stats .zoom'), 0, 'dropped');
      await page.keyboard.press('Shift+ArrowLeft');
      t.equal(await tab.count('#stats .chart > .zoom'), 5);
      await page.keyboard.press('Enter');
      await page.waitForURL(/\?from=\d+&to=\d+$/);
      await tab.sees('#stats a:has-text("Reset zoom")');
      const byKeys = await shownSpan(tab);
      t.ok(byKeys.to - byKeys.from >= 60 && byKeys.to - byKeys.from < length / 4, 'the pieces that were selected');

      await page.goto(address);
      await tab.sees('#chart-memory .tip');
      await page.evaluate(`(() => {
        const chart = document.querySelector('#chart-memory .chart');
        const { left, top, width } = chart.getBoundingClientRect();
        const touch = (type, part) => chart.dispatchEvent(new PointerEvent(type, {
          bubbles: true, pointerType: 'touch', button: 0, clientX: left + width * part, clientY: top + 50,
        }));
        touch('pointerdown', 0.2), touch('pointermove', 0.6), touch('pointerup', 0.6);
      })()`);
      t.equal(await tab.count('#stats .zoom'), 0, 'a finger scrolls');
      t.equal(page.url(), address);
      t.same(tab.faults, []);

      const withoutScript = await openTab(browser, address, { javaScriptEnabled: false });
      t.teardown(withoutScript.close);
      await withoutScript.follow('#stats a:has-text("Zoom in")');
      await withoutScript.sees('#stats a:has-text("Reset zoom")');
      const half = await shownSpan(withoutScript);
      t.ok(Math.abs(half.to - half.from - length / 2) < 5);
      await withoutScript.follow('#stats a:has-text("Earlier")');
      await withoutScript.page
        .waitForFunction(`document.querySelector('#stats').dataset.from < ${half.from}`)
        .catch(() => {});
      t.ok((await shownSpan(withoutScript)).to < half.to);
      await withoutScript.follow('#stats a:has-text("Later")');
      await withoutScript.follow('#stats a:has-text("Zoom out")');
      await withoutScript.follow('#stats a:has-text("Reset zoom")');
      t.equal(withoutScript.page.url(), address);
    });

    await t.test('zoom the charts of a dashboard, and leave what is around them live', async (t) => {
      const tab = await openTab(browser, at('/dashboard'));
      t.teardown(tab.close);
      await tab.sees('#chart-cpu .tip', 25_000);
      await tab.page.click('#stats a:has-text("Zoom in")');
      await tab.page.waitForURL(/\/dashboard\?from=/);
      await tab.untilLive();
      const span = await shownSpan(tab);
      await docker('pause', busy);
      await until('the states', async () => /1 paused/.test(await tab.text('#dashboard-now')));
      await docker('unpause', busy);
      t.same(await shownSpan(tab), span);
      t.same(tab.faults, []);
    });

    await t.test('say a chart’s values once, however often it is drawn anew', async (t) => {
      const tab = await openTab(browser, at(`/containers/${busy}/stats`));
      t.teardown(tab.close);
      await tab.sees('#chart-memory .tip', 25_000);
      await tab.page.focus('#chart-memory .chart');
      await tab.page.keyboard.press('ArrowLeft');
      const said = await tab.text('body > [role=status]');
      t.match(said, /UTC: /);
      t.equal(await tab.text('#chart-memory .readout'), said, 'what is shown is what is said');
      await tab.page.evaluate(`(() => {
        window.saidAgain = 0;
        for (const place of document.querySelectorAll('[role=status], [role=alert], [aria-live], output'))
          if (!place.closest('.site'))
            new MutationObserver(() => window.saidAgain++).observe(place, { childList: true, characterData: true, subtree: true });
      })()`);
      for (let times = 0; times < 2; times++) {
        const drawn = await tab.page.getAttribute('#chart-cpu .chart .l', 'd');
        const isNew = async () => (await tab.page.getAttribute('#chart-cpu .chart .l', 'd')) !== drawn;
        await until('the charts drawn anew', isNew, 60_000);
      }
      t.match(await tab.text('#chart-memory .readout'), /UTC: /, 'the values stay');
      t.equal(await tab.page.evaluate('window.saidAgain'), 0);
    });
  });
}
