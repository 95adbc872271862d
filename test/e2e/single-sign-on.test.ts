import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { launchBrowser } from '../engine/browser.ts';
import { unlessMissing } from '../engine/missing.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';
import { startOidcProvider } from '../support/oidc-provider.ts';
import { openTab, startFairlead } from './support.ts';

/** A port that nobody has: the provider has to know it before the program starts. */
async function findPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

async function start(t: Test) {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  engine.addContainer({ name: 'web' });
  const browser = await unlessMissing(t, launchBrowser);
  if (!browser) return undefined;
  t.teardown(() => browser.close());
  const port = await findPort();
  const url = `http://127.0.0.1:${port}`;
  const provider = await startOidcProvider(`${url}/login/oidc/callback`, new Map([['ann', ['ops']]]));
  t.teardown(provider.close);
  const groups = { OPERATOR_GROUPS: 'ops', ADMIN_GROUPS: 'root' };
  const env = { AUTH: 'password', ADMIN_PASSWORD: 'correct horse battery', PORT: String(port), PUBLIC_URL: url };
  const fairlead = await startFairlead(engine.host, { ...env, ...groups, ...provider.env, OIDC_NAME: 'Harbour' });
  t.teardown(fairlead.stop);
  return { url, browser, provider };
}

for (const javaScriptEnabled of [true, false]) {
  t.test(
    `somebody signs in at the provider ${javaScriptEnabled ? 'and out again' : 'without JavaScript'}`,
    async (t) => {
      const world = await start(t);
      if (!world) return;
      const { url, browser, provider } = world;
      const tab = await openTab(browser, `${url}/containers?q=we`, { live: false, javaScriptEnabled });
      t.teardown(tab.close);
      const { page } = tab;
      t.equal((await tab.text('#sso')).trim(), 'Sign in with Harbour');
      await tab.follow('#sso');
      t.equal(new URL(page.url()).origin, provider.issuer, 'at the provider');
      await page.fill('[name=login]', 'ann');
      await page.fill('[name=password]', 'anything');
      await tab.follow('[type=submit]');
      await tab.follow('[type=submit]');
      t.equal(page.url(), `${url}/containers?q=we`, 'where they wanted to go');
      await tab.sees('tr[data-name=web]');
      t.equal(await tab.count('tr[data-name=web] [formaction$="/stop"]'), 1, 'an operator may stop it');
      if (!javaScriptEnabled) return;
      await tab.untilLive();
      await page.goto(`${url}/account`);
      t.match(await tab.text('main'), 'You sign in elsewhere');
      await tab.follow('a[href="/login/oidc/out"]');
      t.equal(new URL(page.url()).origin, provider.issuer, 'and out there');
      await page.goto(`${url}/account`);
      await tab.follow('.sign-out button');
      t.equal(new URL(page.url()).pathname, '/login');
      // The provider's own pages ask for a font elsewhere.
      t.same(
        tab.faults.filter((fault) => !fault.includes('ERR_NAME_NOT_RESOLVED')),
        [],
      );
    },
  );
}
