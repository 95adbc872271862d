import { Secret, TOTP } from 'otpauth';
import t, { type Test } from 'tap';
import { launchBrowser } from '../engine/browser.ts';
import { unlessMissing } from '../engine/missing.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';
import { openTab, startFairlead } from './support.ts';

const password = 'correct horse battery';

/** The program at `localhost`, where browsers allow passkeys, and a browser. */
async function start(t: Test) {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  engine.addContainer({ name: 'web' });
  const browser = await unlessMissing(t, launchBrowser);
  if (!browser) return undefined;
  t.teardown(() => browser.close());
  const fairlead = await startFairlead(engine.host, { AUTH: 'password', ADMIN_PASSWORD: password });
  t.teardown(fairlead.stop);
  return { url: fairlead.url.replace('127.0.0.1', 'localhost'), browser };
}

type World = NonNullable<Awaited<ReturnType<typeof start>>>;

async function signIn(t: Test, { url, browser }: World, options: Parameters<typeof openTab>[2] = {}) {
  const tab = await openTab(browser, `${url}/account`, { live: false, ...options });
  t.teardown(tab.close);
  await tab.page.fill('[name=username]', 'admin');
  await tab.page.fill('.sign-in [name=password]', password);
  await tab.follow('.sign-in button.primary');
  return tab;
}

t.test('without JavaScript somebody sets up an app, and signs in by its code', async (t) => {
  const world = await start(t);
  if (!world) return;
  const tab = await signIn(t, world, { javaScriptEnabled: false });
  t.equal(await tab.count('form[data-passkey]:visible'), 0, 'a passkey is not offered');
  await tab.page.fill('#factors form:not(details form) [name=current]', password);
  await tab.follow('#factors form:not(details form) button');
  const secret = (await tab.text('#factor-secret')).replaceAll(' ', '');
  const app = new TOTP({ secret: Secret.fromBase32(secret) });
  t.equal(await tab.count('svg.qr path'), 1);
  await tab.page.fill('[name=code]', '000000');
  await tab.follow('#second-factor button.primary');
  t.match(await tab.text('[role=alert]'), 'is not what the app shows now');
  await tab.page.fill('[name=code]', app.generate({ timestamp: Date.now() - 30_000 }));
  await tab.follow('#second-factor button.primary');
  t.equal(await tab.count('#recovery-codes li'), 10);
  await tab.follow('.sign-out button');

  await tab.page.goto(`${world.url}/images`);
  await tab.page.fill('[name=username]', 'admin');
  await tab.page.fill('[name=password]', password);
  await tab.follow('.sign-in button.primary');
  t.equal(new URL(tab.page.url()).pathname, '/login/second');
  await tab.page.fill('[name=code]', app.generate());
  await tab.follow('.sign-in button.primary');
  t.equal(new URL(tab.page.url()).pathname, '/images', 'where they wanted to go');
});

t.test('somebody makes a passkey, signs in by it, and is told when it fails', async (t) => {
  const world = await start(t);
  if (!world) return;
  const tab = await signIn(t, world);
  const { page } = tab;
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
    },
  });
  const form = '#passkeys form[data-passkey]';
  await page.fill(`${form} [name=name]`, 'laptop');
  await page.fill(`${form} [name=current]`, 'wrong password');
  await page.click(`${form} button`);
  await tab.sees(`${form} [role=alert]:has-text("Wrong name or password.")`);
  await page.fill(`${form} [name=current]`, password);
  await tab.follow(`${form} button`);
  t.equal(await tab.count('#recovery-codes li'), 10);
  await page.goto(`${world.url}/account`);
  t.match(await tab.text('.passkey-list'), 'laptop');

  await tab.follow('.sign-out button');
  await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await page.click('form[data-passkey] button');
  await tab.sees('form[data-passkey] [role=alert]:has-text("Nothing was confirmed")');
  await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
  await tab.follow('form[data-passkey] button');
  t.equal(new URL(page.url()).pathname, '/containers');
  await tab.untilLive();
  t.same(
    tab.faults.filter((fault) => !/401/.test(fault)),
    [],
  );
});
