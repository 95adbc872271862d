import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { engineVersionsInTurn } from '../engine/engine.ts';
import { unlessMissing } from '../engine/missing.ts';
import { startRegistries } from '../engine/registry.ts';
import {
  bytesSeen,
  noticeOf,
  operationsOn,
  type Progress,
  progressOf,
  pullBy,
  untilOperation,
  wholeOf,
} from './operations.ts';
import { hold, looksGood, openTab, startCable, startFairlead, startWorld, type Tab, tabTo, until } from './support.ts';

const env = { STATS_INTERVAL: '0', UPDATE_CHECK_HOURS: '0' };
const alone = '--network=none';
const willing = ['sh', '-c', 'trap "exit 0" TERM; sleep 100000 & wait'];

/** What the slow registry lets through, bytes a second: slow enough to be watched, and as fast as it can. */
const watchable = 1024 * 1024;
const unbound = 1024 * 1024 * 1024;

const rising = (values: readonly number[]) => values.toSorted((a, b) => a - b);

const temporaryFolder = (t: Pick<Test, 'teardown'>): string => {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-operations-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

// Each has an engine and a browser of its own, and mostly waits for registries.
t.jobs = 2;
for (const version of engineVersionsInTurn(1)) {
  t.test(`Pulls on engine ${version}`, { buffered: true }, async (t) => {
    const world = await startWorld(t, { version, env, recorded: true });
    if (!world) return;
    const { engine, recorder, fairlead, browser, at } = world;
    const { docker } = engine;
    const registries = await unlessMissing(t, () => startRegistries(engine));
    if (!registries) return;
    const { publish, throttle, open, locked, slow } = registries;
    const isLocal = async (path: string) => (await docker('images', '--format', '{{.Repository}}')).includes(path);

    const known = await publish('known/tool:1');

    await t.test('are seen to move, layer by layer, on every page that is open', async (t) => {
      const { id } = await publish('seen/tool:1', { layers: [4, 2, 2] });
      const reference = `${slow.address}/seen/tool:1`;
      await throttle(watchable);
      const list = await openTab(browser, at('/containers'));
      const tab = await openTab(browser, at('/images'));
      t.teardown(list.close);
      t.teardown(tab.close);
      await tab.page.evaluate('window.sameDocument = true');

      await pullBy(tab, reference);
      await tab.sees(`${noticeOf(reference, 'running')} li[data-layer]`);
      await list.sees(noticeOf(reference, 'running'));
      t.equal(await list.text('#operations-badge'), '1 running', 'the header of another page counts it');
      await tab.page.click('#operations-now summary:text("Layer by layer")');
      const seen: Progress[] = [];
      await until('five values of the whole, and of a layer', async () => {
        seen.push(...[await progressOf(tab)].flatMap((found) => found ?? []));
        return new Set(seen.map(({ whole }) => whole)).size >= 5 && bytesSeen(seen).some((bytes) => bytes.length >= 5);
      });
      for (const values of [seen.map(({ whole }) => whole), ...bytesSeen(seen)]) t.same(values, rising(values));
      t.ok(
        seen.every(({ isOpen }) => isOpen),
        'what was opened stays open',
      );
      t.match(seen.at(-1)?.layers, [{ word: 'here already' }, {}, {}, {}], 'the layer below was here');

      await throttle(unbound);
      await tab.sees(`#image-${id.replace('sha256:', '')}:has-text("seen/tool")`);
      await tab.sees(`${noticeOf(reference, 'succeeded')}:has-text("A newer image was pulled.")`);
      await list.misses('#operations-badge [data-active]');
      t.equal(await tab.page.evaluate('window.sameDocument'), true);
      t.equal(tab.page.url(), at('/images'));
      t.same([...tab.faults, ...list.faults], []);
    });

    await t.test('go on whatever happens to the page, until they are cancelled', async (t) => {
      await publish('left/tool:1', { layers: [6] });
      await publish('left/other:1', { layers: [8] });
      const reference = `${slow.address}/left/tool:1`;
      await throttle(watchable / 2);
      const cable = await startCable(fairlead.url);
      t.teardown(cable.stop);
      const first = await openTab(browser, `${cable.url}/images`);
      t.teardown(first.close);
      await pullBy(first, reference);
      const moves = async (tab: Tab, from: number) => {
        await until(`more than ${from}`, async () => (await wholeOf(tab)) > from);
        return wholeOf(tab);
      };
      let share = await moves(first, 0);
      await first.page.reload();
      await first.untilLive();
      t.ok((await wholeOf(first)) >= share, 'a new page begins where it is');
      share = await moves(first, share);
      const cut = cable.cut(300);
      await first.sees('#live-status[data-status=reconnecting]');
      await cut;
      await first.untilLive();
      share = await moves(first, share);
      await first.close();
      const second = await openTab(browser, at('/containers'));
      t.teardown(second.close);
      await second.sees(noticeOf(reference, 'running'));
      share = await moves(second, share);
      t.equal((await operationsOn(fairlead, reference)).length, 1, 'all that is one operation');

      await throttle(0);
      await second.page.click(`${noticeOf(reference, 'running')} button:text("Cancel")`);
      await second.sees(`${noticeOf(reference, 'interrupted')}:has-text("Cancelled.")`);
      t.equal(await second.count('#operations-badge [data-failed]'), 0, 'which is no failure');
      t.same(recorder.open(/^\/images\/create/), [], 'the engine is no longer waited for');
      await throttle(unbound);
      await docker('pull', `${slow.address}/left/other:1`);
      t.equal(await isLocal('left/other'), true);
      t.equal(await isLocal('left/tool'), false, 'and has given up, too');
      t.same(second.faults, []);
    });

    await t.test('and groups need no JavaScript: their page is loaded again until they are over', async (t) => {
      await publish('plain/tool:1', { layers: [6] });
      const reference = `${slow.address}/plain/tool:1`;
      const withoutScript = { javaScriptEnabled: false };
      const tab = await openTab(browser, at('/images'), withoutScript);
      const other = await openTab(browser, at('/images'), withoutScript);
      t.teardown(tab.close);
      t.teardown(other.close);
      let loads = 0;
      tab.page.on('load', () => loads++);

      await throttle(watchable / 4);
      await pullBy(tab, reference);
      await tab.page.waitForURL(/\/operations\/\d+$/);
      const loadsBefore = loads;
      const bar = tab.page.locator('.operation > progress[value]');
      const shares = new Set<string | null>();
      const isSeenAgain = async () => {
        if (await tab.count('.operation[data-state=failed]')) throw new Error(await tab.text('.operation'));
        if ((await bar.count()) > 0) shares.add(await bar.getAttribute('value', { timeout: 1_000 }).catch(() => null));
        shares.delete(null);
        return shares.size >= 2;
      };
      await until('two shares', isSeenAgain, 20_000);
      t.ok(loads > loadsBefore, 'by itself');
      await throttle(unbound);
      await tab.sees('.operation[data-state=succeeded]');
      t.match(await tab.text('.operation [role=status]'), 'A newer image was pulled.');
      t.equal(await tab.count('meta[http-equiv=refresh]'), 0, 'what is over needs no other look');
      const loadsAfter = loads;
      const overAt = performance.now();

      await throttle(0);
      await pullBy(other, `${slow.address}/plain/held:1`);
      await other.sees('.operation[data-state=running]');
      await other.page.click('.operation button:text("Cancel")');
      await other.sees('.operation[data-state=interrupted]');
      t.match(await other.text('.operation-message'), 'Cancelled.');
      await throttle(unbound);

      await other.page.goto(at('/images'));
      await pullBy(other, `${open.address}/plain/tool:none`);
      await other.sees('.operation [role=alert]:has-text("there is no such tag")');
      await other.page.goto(at('/containers'));
      await other.page.click(`${noticeOf('plain/tool:none', 'failed')} button:has-text("Dismiss")`);
      await other.misses('#messages [role=alert]');
      t.equal(other.page.url(), at('/containers'), 'which leads back');

      const label = '--label=com.docker.compose.project=plain';
      const ids = await Promise.all(
        ['a', 'b'].map((name) => engine.run(`plain-${name}`, { options: [alone, label], command: willing })),
      );
      t.teardown(() => docker('rm', '-f', ...ids));
      await until('both', async () => {
        await other.page.goto(at('/containers'));
        return (await other.count('tbody[data-project=plain] tr[data-name]')) === 2;
      });
      await other.page.click('#project-plain-head button[formaction$="/stop"]');
      await other.page.waitForURL(/\/operations\/\d+$/);
      await other.sees('.operation[data-state=succeeded]');
      t.match(await other.text('.operation [role=status]'), '2 of 2 containers of plain were stopped.');
      const results = await other.page.locator('.operation li[data-ok=true]').allTextContents();
      t.match(results.sort(), [/fairlead-test-plain-a\s+done/, /fairlead-test-plain-b\s+done/]);
      await until('a reload that could have been', () => performance.now() > overAt + 2_500);
      t.equal(loads, loadsAfter, 'and the page of what is over was left alone');
    });

    await t.test('that fail say why, and are told until somebody has read it', async (t) => {
      const running = await engine.run('bystander', { options: [alone], command: willing });
      t.teardown(() => docker('rm', '-f', running));
      const tab = await openTab(browser, at('/images'));
      t.teardown(tab.close);
      const mistaken = { user: locked.user, password: 'mistaken-password' };
      const cases = [
        [`${open.address}/known/tool:none`, undefined, 'there is no such tag, or no such image.'],
        [
          `${slow.address}/known/tool:1`,
          undefined,
          `The registry ${slow.address} can't be reached: connection refused.`,
        ],
        [`${locked.address}/known/tool:1`, undefined, `The registry ${locked.address} wants a login for`],
        [`${locked.address}/known/tool:2`, mistaken, 'did not accept the credentials for'],
      ] as const;
      await slow.stop();
      for (const [reference, login, words] of cases) {
        await pullBy(tab, reference, login);
        await tab.sees(`${noticeOf(reference, 'failed')}[role=alert]:has-text("${words}")`);
      }
      await slow.start();
      const told = async (where: Tab, when: string) => {
        for (const [reference, , words] of cases)
          t.equal(await where.count(`${noticeOf(reference, 'failed')}[role=alert]:has-text("${words}")`), 1, when);
        t.equal(await where.text('#operations-badge'), `${cases.length} failed`);
      };
      await told(tab, 'told at once');
      await tab.page.fill('#search', 'nothing like it');
      await until('the search', async () => /Nothing matches/.test(await tab.text('#images')));
      await told(tab, 'told after a search');
      await tab.page.click('.site-nav a[href$="/containers"]');
      await tab.sees(`#container-${running}`);
      await told(tab, 'told on another page');
      await tab.page.click(`#container-${running} button[formaction$="/stop"]`);
      await tab.sees('#answer [role=status]:has-text("was stopped.")');
      await told(tab, 'told after something else was done');
      const plain = await openTab(browser, at('/containers'), { javaScriptEnabled: false });
      t.teardown(plain.close);
      await told(plain, 'told without JavaScript');

      await tab.page.evaluate('window.sameDocument = true');
      for (const [index, [reference]] of cases.entries()) {
        const { page } = index % 2 ? plain : tab;
        await page.click(`${noticeOf(reference, 'failed')} button:has-text("Dismiss")`);
        await tab.misses(noticeOf(reference, 'failed'));
        await plain.page.goto(at('/containers'));
        t.equal(await plain.count('#operations-now [role=alert]'), cases.length - 1 - index);
      }
      t.equal(await tab.count('#operations-badge [data-failed]'), 0);
      t.equal(await tab.page.evaluate('window.sameDocument'), true);
      t.same(tab.faults, []);
    });

    await t.test('use the login that was entered, and keep it nowhere', async (t) => {
      const reference = `${locked.address}/known/tool:1`;
      const tab = await openTab(browser, at('/images'));
      t.teardown(tab.close);
      await pullBy(tab, reference, locked);
      await tab.sees(noticeOf(reference, 'succeeded'));
      await tab.sees(`#image-${known.id.replace('sha256:', '')}`);
      const [operation] = await operationsOn(fairlead, reference);
      for (const path of [`/operations/${operation?.id}`, '/images', `/api/operations/${operation?.id}`])
        t.notMatch(await (await fetch(at(path))).text(), locked.password, path);
      t.notMatch(fairlead.output(), locked.password);
      t.same(tab.faults, []);
    });

    await t.test('use what the docker command has noted', async (t) => {
      const reference = `${locked.address}/known/tool:1`;
      const folder = temporaryFolder(t);
      const auth = Buffer.from(`${locked.user}:${locked.password}`).toString('base64');
      writeFileSync(join(folder, 'config.json'), JSON.stringify({ auths: { [locked.address]: { auth } } }));
      const knowing = await startFairlead(engine.host, { ...env, DOCKER_CONFIG: folder });
      t.teardown(knowing.stop);
      const tab = await openTab(browser, `${knowing.url}/images`);
      t.teardown(tab.close);
      await pullBy(tab, reference);
      await tab.sees(noticeOf(reference, 'succeeded'));
      t.same(tab.faults, []);
    });

    await t.test('are begun once, and every button says that it is at work', async (t) => {
      const reference = `${slow.address}/once/tool:1`;
      await throttle(0);
      const tab = await openTab(browser, at('/images'));
      t.teardown(tab.close);
      const held = await hold(tab, '**/images/pull');
      await tab.page.fill('#pull [name=reference]', reference);
      await tab.page.dblclick('#pull .pull-line button');
      await tab.sees('#pull button[aria-busy=true]');
      t.equal(await tab.page.evaluate(spinsScript), 'spin', 'it shows a spinner');
      await tab.page.click('#pull .pull-line button', { force: true });
      await tab.page.press('#pull [name=reference]', 'Enter');
      held.release();
      await tab.sees(noticeOf(reference, 'running'));
      await tab.misses('#pull button[aria-busy]');
      t.equal(held.count(), 1, 'one request');
      const [operation, ...more] = await operationsOn(fairlead, reference);
      t.same(more, [], 'one operation');

      const other = await openTab(browser, at('/images'));
      t.teardown(other.close);
      await pullBy(other, reference);
      await other.sees(`#failures [role=alert]:has-text("Operation ${operation?.id} works on it already")`);
      await other.misses('#pull button[aria-busy]');
      t.equal((await operationsOn(fairlead, reference)).length, 1);

      const id = await engine.run('pressed', { options: [alone], command: willing });
      t.teardown(() => docker('rm', '-f', id));
      await other.page.goto(at('/containers'));
      await other.untilLive();
      const row = `#container-${id}`;
      await other.sees(row);
      const stopping = await hold(other, '**/stop');
      await other.page.dblclick(`${row} button[formaction$="/stop"]`);
      await other.sees(`${row}[aria-busy=true] button[formaction$="/stop"][aria-busy=true]`);
      t.equal(await other.text(`${row} .word`), 'stopping…');
      t.equal(await other.count(`${row} button:enabled:not([aria-busy])`), 0, 'nothing else of it can be pressed');
      await docker('rename', id, 'renamed-while-pressed');
      await other.sees(`${row}[data-name=renamed-while-pressed]`);
      await other.sees(`${row}[aria-busy=true] button[formaction$="/stop"][aria-busy=true][aria-disabled]`);
      t.equal(await other.text(`${row} .word`), 'stopping…', 'also when the row has come anew');
      t.equal(await other.count(`${row} button:enabled:not([aria-busy])`), 0);
      stopping.release();
      await other.sees(`${row}[data-state=exited]:not([aria-busy])`);
      await other.misses(`${row} :is([aria-busy], [aria-disabled])`);
      t.equal(stopping.count(), 1);
      t.same(
        [...tab.faults, ...other.faults].filter((fault) => !fault.includes('409')),
        [],
      );
      await fairlead.api(`/operations/${operation?.id}/cancel`, { method: 'POST' });
      await throttle(unbound);
    });

    await t.test('are begun and cancelled by keys alone', async (t) => {
      const reference = `${slow.address}/keys/tool:1`;
      await throttle(0);
      const tab = await openTab(browser, at('/images'));
      t.teardown(tab.close);
      const { keyboard } = tab.page;
      await tabTo(tab, '#pull [name=reference]');
      await keyboard.type(reference);
      await tabTo(tab, '#pull .pull-line button');
      await keyboard.press('Enter');
      await tab.sees(noticeOf(reference, 'running'));
      t.equal(
        await tab.page.evaluate(`document.activeElement.matches('#pull .pull-line button')`),
        true,
        'keeps focus',
      );
      await tabTo(tab, '#operations-now [data-state=running] button');
      await keyboard.press('Enter');
      await tab.sees(noticeOf(reference, 'interrupted'));
      await throttle(unbound);
      t.same(tab.faults, []);
    });

    await t.test('have pages that everybody can use, wide and narrow', async (t) => {
      await publish('looked-at/tool:1', { layers: [1, 1] });
      const reference = `${slow.address}/looked-at/tool:1`;
      const missing = `${open.address}/looked-at/a-name-that-is-rather-long-and-has-no-end/tool:none`;
      const begin = (reference: string) =>
        fairlead.api('/images/pull', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ reference }),
        });
      await throttle(watchable / 4);
      await begin(reference);
      await begin(missing);
      const moving = await untilOperation(fairlead, reference, ({ bytes }) => (bytes?.current ?? 0) > 0);
      await throttle(0);
      const failed = await untilOperation(fairlead, missing, ({ state }) => state === 'failed');
      const paths = [
        '/images',
        `/images/pull?reference=${encodeURIComponent(missing)}`,
        '/images/prune',
        '/operations',
        '/operations?state=unsuccessful',
        `/operations/${moving.id}`,
        `/operations/${failed.id}`,
      ];
      const tab = await openTab(browser, at('/images'));
      t.teardown(tab.close);
      for (const path of paths) {
        await tab.page.goto(at(path));
        await tab.untilLive();
        await looksGood(t, tab);
        if (path === '/images') t.same(await tab.page.evaluate(brokenScript), [], 'no word of it is broken');
      }
      t.same(tab.faults, []);
      await fairlead.api(`/operations/${moving.id}/cancel`, { method: 'POST' });
      await throttle(unbound);
    });

    await t.test('that the death of this program cut short are told as interrupted', async (t) => {
      await publish('died/tool:1', { layers: [2] });
      const reference = `${slow.address}/died/tool:1`;
      await throttle(watchable / 4);
      const kept = { ...env, DATA_DIR: temporaryFolder(t) };
      const first = await startFairlead(engine.host, kept);
      t.teardown(first.stop);
      const tab = await openTab(browser, `${first.url}/images`);
      t.teardown(tab.close);
      await pullBy(tab, reference);
      await until('some of it', async () => (await wholeOf(tab)) > 0);
      await tab.page.evaluate('window.sameDocument = true');
      await first.kill();
      await tab.sees('#live-status[data-status=reconnecting]');
      const second = await startFairlead(engine.host, { ...kept, PORT: new URL(first.url).port });
      t.teardown(second.stop);
      await tab.untilLive();
      const notice = `${noticeOf(reference, 'interrupted')}[role=alert]`;
      await tab.sees(`${notice}:has-text("Fairlead ended while it ran.")`);
      t.equal(await tab.page.evaluate('window.sameDocument'), true);
      await tab.page.click(`${notice} a`);
      await tab.sees('.operation[data-state=interrupted] [role=alert]:has-text("Fairlead ended while it ran.")');

      await throttle(unbound);
      await tab.page.goto(`${second.url}/images`);
      await pullBy(tab, reference);
      await tab.sees(noticeOf(reference, 'succeeded'));
    });
  });
}

const spinsScript = `getComputedStyle(document.querySelector('#pull button[aria-busy=true]'), '::before').animationName`;

/** The words of layers that are told in more than one line. */
const brokenScript = `[...document.querySelectorAll('.pull-layers li > span:not(.n)')]
  .filter((word) => word.offsetHeight > 1.5 * Number.parseFloat(getComputedStyle(word).lineHeight))
  .map((word) => word.textContent)`;
