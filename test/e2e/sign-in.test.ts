import t, { type Test } from 'tap';
import { launchBrowser } from '../engine/browser.ts';
import { unlessMissing } from '../engine/missing.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';
import { openTab, startFairlead, until } from './support.ts';

const password = 'correct horse battery';

/** The program with a simulated engine and one container, and a browser. */
async function start(t: Test, env: Record<string, string>) {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  engine.addContainer({ name: 'web', labels: { 'com.docker.compose.project': 'shop' } });
  engine.addContainer({ name: 'vault' });
  const browser = await unlessMissing(t, launchBrowser);
  if (!browser) return undefined;
  t.teardown(() => browser.close());
  const fairlead = await startFairlead(engine.host, { AUTH: 'password', ...env });
  t.teardown(fairlead.stop);
  return { engine, fairlead, browser };
}

t.test('somebody signs in, sees live pages, and is out everywhere when they sign out', async (t) => {
  const world = await start(t, { ADMIN_PASSWORD: password });
  if (!world) return;
  const { engine, fairlead, browser } = world;
  const tab = await openTab(browser, `${fairlead.url}/containers?q=we`, { live: false });
  t.teardown(tab.close);
  const { page } = tab;
  t.equal(new URL(page.url()).pathname, '/login');
  await page.fill('[name=username]', 'admin');
  await page.fill('[name=password]', 'not the right one');
  await tab.follow('.sign-in button');
  t.match(await tab.text('[role=alert]'), 'Wrong name or password.');
  await page.fill('[name=username]', 'admin');
  await page.fill('[name=password]', password);
  await tab.follow('.sign-in button');
  t.equal(new URL(page.url()).search, '?q=we', 'where they wanted to go');
  await tab.untilLive();
  engine.addContainer({ name: 'website' });
  await tab.sees('tr[data-name=website]');

  const other = await page.context().newPage();
  await other.goto(`${fairlead.url}/account`);
  await Promise.all([other.waitForEvent('domcontentloaded'), other.click('.sign-out button')]);
  t.equal(new URL(other.url()).pathname, '/login');
  await tab.sees('#live-status[data-status=offline], #live-status[data-status=reconnecting]');
  await page.reload();
  t.equal(new URL(page.url()).pathname, '/login', 'the other page is out as well');
  t.same(
    tab.faults.filter((fault) => !/401/.test(fault)),
    [],
  );
});

t.test('the first admin is made by the address of the ready line, and makes a user who sees one project', async (t) => {
  const world = await start(t, {});
  if (!world) return;
  const { fairlead, browser } = world;
  const setup = /to be set up at (http:\S+)/.exec(fairlead.output())?.[1] ?? '';
  const admin = await openTab(browser, setup, { javaScriptEnabled: false });
  t.teardown(admin.close);
  await admin.page.fill('[name=password]', password);
  await admin.follow('.sign-in button');
  await admin.sees('tr[data-name=web]');
  await admin.page.goto(`${fairlead.url}/users/new`);
  await admin.page.fill('[name=username]', 'kim');
  await admin.page.fill('[name=password]', password);
  await admin.page.fill('[name=projects]', 'shop');
  await admin.follow('#user button.primary');
  t.match(await admin.text('#messages'), 'User kim was added.');

  const scripted = await openTab(browser, `${fairlead.url}/login`, { live: false });
  t.teardown(scripted.close);
  const attempt = (code: string) =>
    scripted.page.evaluate<string>(
      `(() => { try { ${code}; return 'done'; } catch (error) { return error.name; } })()`,
    );
  t.equal(await attempt(`document.body.insertAdjacentHTML('beforeend', '<i></i>')`), 'TypeError');
  t.equal(await attempt(`document.createElement('script').src = '/x.js'`), 'TypeError');
  t.equal(await attempt(`trustedTypes.createPolicy('own', { createHTML: (x) => x })`), 'TypeError');
  t.equal(await attempt(`trustedTypes.createPolicy('fairlead', { createHTML: (x) => x })`), 'TypeError', 'nor again');

  const kim = await openTab(browser, `${fairlead.url}/containers`, { live: false });
  t.teardown(kim.close);
  await kim.page.fill('[name=username]', 'kim');
  await kim.page.fill('[name=password]', password);
  await kim.follow('.sign-in button');
  await kim.untilLive();
  t.same(
    (await kim.rows()).map(({ name }) => name),
    ['web'],
  );
  t.equal(await kim.count('button[formaction$="/stop"]'), 0, 'a viewer is offered nothing');
  await until('no fault', () => kim.faults.length === 0);
});
