import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { launchBrowser } from '../engine/browser.ts';
import { unlessMissing } from '../engine/missing.ts';
import { startNginx } from '../engine/nginx.ts';
import { createSimulatedEngine } from '../simulated/engine.ts';
import { looksGood, openTab, startFairlead, until } from './support.ts';

const htmx = readFileSync(
  join(dirname(createRequire(import.meta.url).resolve('htmx.org/package.json')), 'dist/htmx.min.js'),
);

/** A site of its own: another origin, whose page may be anything. */
async function startSite(t: Test, pageOf: () => string) {
  const server = createServer((request, answer) => {
    const isScript = request.url === '/htmx.js';
    answer.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
    answer.end(isScript ? htmx : pageOf());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const script = (address: string) => `fetch('${address}', { headers: { 'HX-Request': 'true' } })
  .then((answer) => answer.text(), (error) => 'closed: ' + error.name)
  .then((text) => { document.querySelector('#fetched').innerHTML = text; })`;

const host = (body: string) =>
  `<!doctype html><html lang="en"><meta name="htmx-config" content='{"mode":"cors"}'><title>Wiki</title>
<script src="/htmx.js"></script><body>${body}</body></html>`;

t.test('embeds are live in pages of their origins, in every way, and closed to all others', async (t) => {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  engine.addContainer({ name: 'web', labels: { 'com.docker.compose.project': 'shop' } });
  engine.addContainer({ name: 'vault' });
  engine.writeLog('web', 'flowers sold');
  const browser = await unlessMissing(t, launchBrowser);
  if (!browser) return;
  t.teardown(() => browser.close());
  const fairlead = await startFairlead(engine.host, { STATS_INTERVAL: '1' });
  t.teardown(fairlead.stop);
  let body = '';
  const wiki = await startSite(t, () => host(body));
  const stranger = await startSite(t, () => host(body));

  async function make(view: string, origins: string[] = [wiki]): Promise<string> {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' } };
    const { body } = await fairlead.api<{ url: string }>('/embeds', {
      ...init,
      body: JSON.stringify({ view, origins }),
    });
    return body.url;
  }
  const [tile, log, badge, table] = await Promise.all(
    ['container:web', 'logs:web', 'badge:web', 'project:shop'].map((view) => make(view)),
  );
  body = `<link rel="stylesheet" href="${fairlead.url}/embed.css">
<iframe id="tile" src="${tile}?theme=dark&accent=ff0000" width="400" height="160"></iframe>
<iframe id="log" src="${log}" width="600" height="320"></iframe>
<img id="badge" src="${badge}/badge.svg" alt="State of web">
<div id="swapped" hx-get="${table}/fragment" hx-trigger="load, every 1s">nothing yet</div>
<div id="fetched"></div><script>${script(`${tile}/fragment`)}</script>`;

  const tab = await openTab(browser, wiki, { live: false });
  t.teardown(tab.close);
  const { page } = tab;
  const inTile = page.frameLocator('#tile');
  const inLog = page.frameLocator('#log');
  await inTile.locator('.state[data-state=running]').waitFor();
  await inTile.locator('#live-status[data-status=live]').waitFor();
  await inLog.locator('#live-status[data-status=live]').waitFor();
  await inLog.getByText('flowers sold').waitFor();
  t.equal(
    await inTile
      .locator('.fairlead-embed')
      .evaluate('getComputedStyle(document.querySelector(".fairlead-embed")).getPropertyValue("--accent")'),
    '#ff0000',
    'the colours of the page around it',
  );
  await tab.sees('#swapped .fairlead-embed table');
  await tab.sees('#fetched .fairlead-embed[data-look=tile]');
  t.ok(await page.evaluate(`document.querySelector('#badge').naturalWidth > 50`), 'the image came');
  engine.writeLog('web', 'roses sold');
  engine.die('web', 3);
  await inTile.locator('.state[data-state=failed]').waitFor();
  await inLog.getByText('roses sold').waitFor();
  await tab.sees('#swapped .state[data-state=failed]');
  t.same(tab.faults, [], 'nothing was refused, and no policy violated');

  // The same page at another origin.
  const closed = await openTab(browser, stranger, { live: false });
  t.teardown(closed.close);
  await until('the script was refused', async () => (await closed.text('#fetched')).startsWith('closed: '));
  const texts = await Promise.all(
    closed.page.frames().map((frame) =>
      frame
        .locator('body')
        .innerText({ timeout: 2_000 })
        .catch(() => ''),
    ),
  );
  t.notMatch(texts.join(), /flowers|failed|CPU/, 'no frame shows anything');
  t.match(await closed.text('#swapped'), 'nothing yet');
  t.ok(
    closed.faults.some((fault) => /frame-ancestors/.test(fault)),
    'by the policy of the link',
  );

  // A link for one view is worth nothing for another.
  for (const address of [`${badge}?view=container:vault`, `${tile}/logs`, `${tile}/fragment?id=vault`]) {
    t.not((await fetch(address)).status, 200, address);
  }

  // That it loads itself again is told by its tag, which a browser reads only where scripts are off for good.
  const still = await openTab(browser, wiki, { javaScriptEnabled: false });
  t.teardown(still.close);
  await still.page.frameLocator('#tile').locator('.state[data-state=failed]').waitFor();
  // A bare page by itself.
  const own = await openTab(browser, log ?? '');
  t.teardown(own.close);
  await looksGood(t, own);
  t.same(own.faults, []);

  await t.test('a server includes an embed that no browser may read', async (t) => {
    const address = await make('project:shop', []);
    const page = '<title>Wiki</title><main><!--# include virtual="/fairlead/web" --></main>';
    const nginx = await unlessMissing(t, () =>
      startNginx(
        page,
        `ssi on;
    location = /fairlead/web {
      internal;
      proxy_pass ${address}/fragment;
      proxy_set_header Host $proxy_host;
      proxy_set_header Origin "";
      proxy_set_header Accept-Encoding "";
      proxy_pass_request_headers off;
    }`,
      ),
    );
    if (!nginx) return;
    t.teardown(nginx.stop);
    const included = await openTab(browser, nginx.url, { javaScriptEnabled: false });
    t.teardown(included.close);
    t.match(await included.text('main .fairlead-embed tbody'), 'web');
    t.notMatch(await included.page.content(), '/embed/', 'the link stays with the server');
    t.equal((await fetch(`${nginx.url}/fairlead/web`)).status, 404);
  });
});

t.test('an admin makes a link with the form, looks at its preview, and revokes it', async (t) => {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  engine.addContainer({ name: 'web' });
  const browser = await unlessMissing(t, launchBrowser);
  if (!browser) return;
  t.teardown(() => browser.close());
  const fairlead = await startFairlead(engine.host);
  t.teardown(fairlead.stop);
  const tab = await openTab(browser, `${fairlead.url}/containers/web`);
  t.teardown(tab.close);
  const { page } = tab;
  await tab.follow('text=Embed…');
  await page.fill('[name=origins]', 'https://wiki.example');
  await tab.follow('#new-embed button.primary');
  await page.frameLocator('.embed-preview').locator('.state[data-state=running]').waitFor();
  await looksGood(t, tab);
  const url = await tab.text('#made .cmd code');
  t.equal((await fetch(url)).status, 200);
  await tab.follow('.token-list .danger');
  await tab.sees('text=was revoked');
  t.equal((await fetch(url)).status, 404);
  t.same(tab.faults, []);
});

t.test('where no page may run scripts, an embed loads itself again', async (t) => {
  const engine = await createSimulatedEngine();
  t.teardown(() => engine.close());
  engine.addContainer({ name: 'web' });
  // Other ways to switch scripts off leave the parser of pages as it is with them.
  const browser = await unlessMissing(t, () => launchBrowser(['--blink-settings=scriptEnabled=false']));
  if (!browser) return;
  t.teardown(() => browser.close());
  const fairlead = await startFairlead(engine.host);
  t.teardown(fairlead.stop);
  let body = '';
  const wiki = await startSite(t, () => host(body));
  const init = { method: 'POST', headers: { 'content-type': 'application/json' } };
  const wanted = { ...init, body: JSON.stringify({ view: 'container:web', origins: [wiki] }) };
  const { url } = (await fairlead.api<{ url: string }>('/embeds', wanted)).body;
  body = `<iframe src="${url}"></iframe>`;
  const page = await browser.newPage();
  const shown: string[] = [];
  page.on('response', (answer) => {
    if (answer.url() === url) void answer.text().then((text) => shown.push(text));
  });
  await page.goto(wiki);
  await until('the embed', () => shown.length > 0);
  t.match(shown[0], 'running');
  await engine.stop('web');
  await until('it is loaded again', () => shown.length > 1, 20_000);
  t.match(shown[1], 'exited');
});
