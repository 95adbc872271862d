import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type Engine, engineVersionsInTurn } from '../engine/engine.ts';
import { unlessMissing } from '../engine/missing.ts';
import { startRegistries } from '../engine/registry.ts';
import { noticeOf } from './operations.ts';
import { looksGood, openTab, startFairlead, startWorld, type Tab, until } from './support.ts';

const env = { STATS_INTERVAL: '0', UPDATE_CHECK_HOURS: '0', REBUILD_STEADY_SECONDS: '1' };
const willing = 'trap "exit 0" TERM; sleep 100000 & wait';
const serve = `CMD ["sh", "-c", ${JSON.stringify(willing)}]`;
const failing = 'CMD ["sh", "-c", "echo starting; echo no configuration; exit 3"]';
const secrets = /old-secret|new-secret/;
const rebuildMs = 20_000;

const web = 'fairlead-test-shop-web';
const db = 'fairlead-test-shop-db';

const compose = (service: string, dependsOn = '') => [
  '--label=com.docker.compose.project=shop',
  `--label=com.docker.compose.service=${service}`,
  '--label=com.docker.compose.container-number=1',
  `--label=com.docker.compose.depends_on=${dependsOn}`,
];

/** What of a container a rebuild may change, and whether it runs. */
async function lookAt({ docker }: Engine, name: string) {
  const [id, image, state] = (await docker('inspect', '-f', '{{.Id}} {{.Image}} {{.State.Status}}', name)).split(' ');
  return { id: id ?? '', image: image ?? '', state };
}

const namesOf = async ({ docker }: Engine) =>
  (await docker('ps', '-a', '--format', '{{.Names}}')).split('\n').filter(Boolean).sort();

/** The row of a container by its name, which is another's after a rebuild. */
const rowOf = (name: string) => `tr[id^=container-][data-name="${name}"]`;

/** The lines of a preview's diff, such as `+ variable A: 1`. */
async function diffOf({ page }: Tab): Promise<string[]> {
  const lines = await page.locator('#rebuild .diff li:not(.fold)').all();
  const textsOf = async (line: (typeof lines)[number]) => (await line.locator('> *').allTextContents()).slice(0, 3);
  const texts = await Promise.all(lines.map(textsOf));
  return texts.map(([sign, label, value]) => `${sign} ${label}: ${value?.trim()}`);
}

/** Writes down how the steps of the page's operation go, as the text of their states. */
const watchStepsScript = `window.fairleadSteps = [];
(() => {
  const look = () => {
    const steps = [...document.querySelectorAll('.steps li')].map((step) => step.dataset.step).join(' ');
    if (steps && window.fairleadSteps.at(-1) !== steps) window.fairleadSteps.push(steps);
  };
  look();
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
})()`;

// They mostly wait for containers to stop, and to run for a while.
t.jobs = 2;
for (const version of engineVersionsInTurn(0)) {
  t.test(`Updates on engine ${version}`, { buffered: true }, async (t) => {
    const world = await startWorld(t, { version, env });
    if (!world) return;
    const { engine, browser, at } = world;
    const { docker } = engine;
    const registries = await unlessMissing(t, () => startRegistries(engine));
    if (!registries) return;
    const { publish, open } = registries;
    const webTag = `${open.address}/shop/web:1`;
    const dbTag = `${open.address}/shop/db:1`;
    const webImage = (n: number, secret: string, command = serve) => ({
      config: [`ENV APP_VERSION=${n} DB_PASSWORD=${secret}`, `LABEL release=${n}`, command],
    });

    const oldest = await publish('shop/web:1', webImage(1, 'old-secret'));
    await publish('shop/db:1', { config: [serve] });
    await docker('pull', webTag);
    await docker('pull', dbTag);
    await engine.run('shop-db', { image: dbTag, options: compose('db') });
    await engine.run('shop-web', { image: webTag, options: compose('web', 'db:service_started:false') });
    const newer = await publish('shop/web:1', webImage(2, 'new-secret'));

    await t.test('are found by asking, and told before anything is done', async (t) => {
      const list = await openTab(browser, at('/containers'));
      const tab = await openTab(browser, at('/images'));
      t.teardown(list.close);
      t.teardown(tab.close);
      const cell = `#image-${oldest.id.replace('sha256:', '')} .c-upd`;
      await tab.sees(`${cell}:has-text("not checked")`);
      t.equal(await list.count(`${rowOf(web)} .update`), 0);

      await tab.page.click('button:has-text("Check for updates")');
      await tab.sees(`${noticeOf('images', 'succeeded')}:has-text("1 of 2 images have an update.")`);
      await tab.sees(`${cell}:has-text("update available")`);
      await tab.sees('#images-rows tr:has-text("shop/db") .c-upd:has-text("up to date")');
      await list.sees(`${rowOf(web)} a.update`);
      t.equal(await list.count('a.update'), 1, 'and on no other');

      await list.page.click(`${rowOf(web)} a.update`);
      await list.page.waitForURL(/\/rebuild$/);
      t.match(await list.text('#rebuild'), /Its registry had a newer image .* which is not here yet/);
      t.same(await diffOf(list), [], 'what is not here yet is not guessed');
      await list.page.click('#rebuild a:has-text("Pull it first")');
      await list.page.waitForURL(/\/images\/pull\?/);
      t.equal(await list.page.inputValue('#pull [name=reference]'), webTag, 'the form is filled in');
      await list.page.click('#pull .pull-line button');
      await list.sees(`${noticeOf(webTag, 'succeeded')}:has-text("A newer image was pulled.")`);
      await list.page.goto(at('/containers'));
      await list.page.click(`${rowOf(web)} a.update`);
      await list.page.waitForURL(/\/rebuild$/);
      t.same(await diffOf(list), [
        `− image: ${shortId(oldest.id)}`,
        `+ image: ${shortId(newer.id)}`,
        '− variable APP_VERSION: 1',
        '+ variable APP_VERSION: 2',
        '− variable DB_PASSWORD: •••••••• hidden',
        '+ variable DB_PASSWORD: •••••••• hidden',
        '− label release: 1',
        '+ label release: 2',
      ]);
      t.notMatch(await list.page.content(), secrets);
      t.notMatch(await list.text('#rebuild'), /was not asked yet/, 'its registry was');
      t.same([...tab.faults, ...list.faults], []);
    });

    await t.test('have pages that everybody can use, wide and narrow', async (t) => {
      const tab = await openTab(browser, at('/containers'));
      t.teardown(tab.close);
      for (const path of [`/containers/${web}/rebuild`, '/projects/shop', '/projects/shop/rebuild', '/images/prune']) {
        await tab.page.goto(at(path));
        await tab.untilLive();
        await looksGood(t, tab);
      }
      t.same(tab.faults, []);
    });

    await t.test('are done by a rebuild, whose steps are seen to move', async (t) => {
      const before = await lookAt(engine, web);
      const list = await openTab(browser, at('/containers'));
      const tab = await openTab(browser, at(`/containers/${before.id}/rebuild`));
      t.teardown(list.close);
      t.teardown(tab.close);
      let posts = 0;
      tab.page.on('request', (request) => {
        if (request.method() === 'POST') posts++;
      });
      await tab.page.dblclick('#rebuild button:has-text("Rebuild it")');
      await tab.page.waitForURL(/\/operations\/\d+$/);
      await tab.page.evaluate(watchStepsScript);
      t.equal(posts, 1, 'pressed twice, sent once');

      await list.sees(`${rowOf(web)}[data-busy] .c-state:has-text("rebuilding…")`);
      const row = list.page.locator(`#container-${before.id}`);
      t.equal(await row.locator('button:enabled').count(), 0, 'nothing else can be done to it');
      await list.sees(noticeOf(web, 'running'));
      await tab.sees('.operation[data-state=succeeded]', rebuildMs);
      const seen = await tab.page.evaluate<string[]>('window.fairleadSteps');
      t.ok(seen.length >= 4, `by itself: ${seen.join(' | ')}`);
      t.ok(
        seen.some((steps) => /^done.* running .*waiting/.test(steps)),
        'step by step',
      );
      t.equal(seen.at(-1), Array(7).fill('done').join(' '));
      t.match(await tab.text('.operation [role=status]'), `${web} was rebuilt.`);

      const after = await lookAt(engine, web);
      t.match(after, { image: newer.id, state: 'running' });
      t.not(after.id, before.id);
      await list.sees(`#container-${after.id}[data-state=running]:not([data-busy])`);
      await list.misses(`#container-${before.id}`);
      await list.misses('tr[data-busy]');
      t.equal(await list.text(`#container-${after.id} .c-image .ref`), webTag);
      t.equal(await list.count('.update'), 0, 'no arrow any more');
      t.same(await namesOf(engine), [db, web], 'nothing is left over');
      t.same([...tab.faults, ...list.faults], []);
    });

    await t.test('that fail tell the step, the reason and the last words, and leave all as it was', async (t) => {
      await publish('shop/web:1', webImage(3, 'new-secret', failing));
      const before = await lookAt(engine, web);
      const list = await openTab(browser, at('/containers'));
      const tab = await openTab(browser, at(`/containers/${web}/rebuild`));
      t.teardown(list.close);
      t.teardown(tab.close);
      await tab.page.click('#rebuild button:has-text("Rebuild it")');
      await tab.sees('.operation[data-state=rolled_back]', rebuildMs);
      t.match(await tab.text('.operation [role=alert]'), 'It ended with exit code 3.');
      t.match(await tab.text('.operation [role=status]'), /Wait until it is ready.* failed.*undone/);
      t.match(await tab.text('.steps [data-step=failed]'), 'Wait until it is ready');
      t.equal(await tab.text('.operation pre.output'), 'starting\nno configuration');
      await list.sees(`${noticeOf(web, 'rolled_back')}[role=alert]:has-text("It ended with exit code 3.")`);
      await list.sees(`#container-${before.id}[data-state=running][data-name=${web}]:not([data-busy])`);
      t.ok((await list.count(`#container-${before.id} button:enabled`)) > 0);
      await looksGood(t, tab);
      t.same(await lookAt(engine, web), before, 'the very same container runs');
      t.same(await namesOf(engine), [db, web]);
      t.same([...tab.faults, ...list.faults], []);
    });

    await t.test('of a project are done in its order, and go on after a failure where that is chosen', async (t) => {
      await publish('shop/db:1', { config: [failing] });
      const best = await publish('shop/web:1', webImage(4, 'new-secret'));
      const before = await lookAt(engine, db);
      const tab = await openTab(browser, at('/projects/shop'));
      t.teardown(tab.close);
      await tab.page.click('#project-page a:has-text("Rebuild…")');
      await tab.page.waitForURL(/\/rebuild$/);
      t.same(await tab.page.locator('.rebuild-order a').allTextContents(), [db, web], 'what others need comes first');
      await tab.page.check('[name=onFailure][value=go_on]');
      await tab.page.click('#rebuild button:has-text("Rebuild all")');
      await tab.page.waitForURL(/\/operations\/\d+$/);
      await tab.sees('.operation[data-state=failed]', rebuildMs);
      t.match(await tab.text('.operation .body:has(> ul) li[data-ok=false]'), new RegExp(`${db}.*exit code 3`));
      t.match(await tab.text('.operation .body:has(> ul) li[data-ok=true]'), `${web} was rebuilt.`);
      t.same(await lookAt(engine, db), before);
      t.match(await lookAt(engine, web), { image: best.id, state: 'running' });
      t.same(await namesOf(engine), [db, web]);
      t.same(tab.faults, []);
    });

    await t.test('leave images behind, which are removed where nobody uses them', async (t) => {
      const idsOf = async (...filters: string[]) =>
        (await docker('images', '-q', '--no-trunc', ...filters)).split('\n').filter(Boolean).sort();
      const used = new Set([(await lookAt(engine, db)).image, (await lookAt(engine, web)).image]);
      const dangling = await idsOf('--filter=dangling=true');
      const [kept = '', ...more] = dangling.filter((id) => used.has(id));
      const lost = dangling.filter((id) => !used.has(id));
      t.same([kept !== '', more.length, lost.length >= 2], [true, 0, true], 'there are both kinds');

      const tab = await openTab(browser, at('/images'));
      t.teardown(tab.close);
      for (const id of dangling) await tab.sees(`${imageRow(id)}[data-dangling=true]`);
      await tab.page.click('#images-work a[href$="/prune"]');
      await tab.page.waitForURL(/\/prune$/);
      t.match(await tab.text('form.dialog'), `${lost.length} images without a tag, `);
      t.match(await tab.text('form.dialog'), '2 images that containers use');
      t.same(await idsOf('--filter=dangling=true'), dangling, 'the question alone does nothing');
      await tab.page.click('form.dialog button:has-text("Remove images")');
      await tab.sees('.operation[data-kind=image_prune][data-state=succeeded]');
      t.match(await tab.text('.operation'), /[\d.]+ MB (were )?freed/);
      t.same(await idsOf('--filter=dangling=true'), [kept]);
      await tab.page.goto(at('/images'));
      for (const id of lost) t.equal(await tab.count(imageRow(id)), 0);
      t.equal(await tab.count(imageRow(kept)), 1, 'what a container uses is there');
      t.match(await tab.text(imageRow(kept)), db);
      t.match(await tab.text('#images-rows'), 'fairlead-test/busybox', 'and what has a tag');
      t.same(tab.faults, []);
    });

    await t.test('that the death of this program cut short are finished by the next one', async (t) => {
      const newest = await publish('shop/web:1', webImage(5, 'new-secret'));
      const before = await lookAt(engine, web);
      const folder = mkdtempSync(join(tmpdir(), 'fairlead-updates-'));
      t.teardown(() => rmSync(folder, { recursive: true, force: true }));
      const kept = { ...env, DATA_DIR: folder };
      const first = await startFairlead(engine.host, { ...kept, REBUILD_STEADY_SECONDS: '3600' });
      t.teardown(first.stop);
      const tab = await openTab(browser, `${first.url}/containers/${web}/rebuild`);
      t.teardown(tab.close);
      await tab.page.click('#rebuild button:has-text("Rebuild it")');
      await tab.sees('.steps [data-step=running]:has-text("Wait until it is ready")', rebuildMs);
      await looksGood(t, tab);
      await first.kill();
      await tab.sees('#live-status[data-status=reconnecting]');
      t.equal((await namesOf(engine)).length, 3, 'the old one was only stopped');

      const second = await startFairlead(engine.host, { ...kept, PORT: new URL(first.url).port });
      t.teardown(second.stop);
      await tab.sees('.operation[data-state=succeeded]', rebuildMs);
      t.match(await tab.text('.operation [role=status]'), `${web} was rebuilt.`);
      const after = await lookAt(engine, web);
      t.match(after, { image: newest.id, state: 'running' });
      t.not(after.id, before.id);
      t.same(await namesOf(engine), [db, web], 'the old one is gone');
      await tab.page.goto(`${second.url}/containers`);
      await tab.sees(`#container-${after.id}[data-state=running]:not([data-busy])`);
      t.equal(await tab.count('tr[id^=container-]'), 2);
      await until('no more work', async () => (await tab.count('#operations-badge [data-active]')) === 0);
    });
  });
}

const shortId = (id: string) => id.replace('sha256:', '').slice(0, 12);
const imageRow = (id: string) => `#image-${id.replace('sha256:', '')}`;
