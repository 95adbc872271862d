import t from 'tap';
import { engineVersionsInTurn } from '../engine/engine.ts';
import { openTab, startWorld, type Tab, until } from './support.ts';

const quick = ['--network=none', '--stop-timeout=0'];
const textsScript = `[...document.querySelectorAll('#log-lines .log-line .msg')].map((line) => line.textContent)`;
const textsOf = ({ page }: Tab) => page.locator('#log-lines .msg').allTextContents();
const textsNow = ({ page }: Tab) => page.evaluate<string[]>(textsScript);

/** The lines of one container, by the letter they begin with. */
const of = (letter: string, texts: readonly string[]) => texts.filter((text) => text.startsWith(letter));
const lines = (letter: string, count: number) => Array.from({ length: count }, (_, n) => `${letter} ${n + 1}`);

for (const version of engineVersionsInTurn(0)) {
  t.test(`Logs of several containers on engine ${version}`, async (t) => {
    const world = await startWorld(t, { version });
    if (!world) return;
    const { engine, browser, at } = world;
    const count = 900;
    const letters = ['a', 'b'] as const;

    /** Prints `a 1`, `a 2` and so on, and goes on to run. */
    const run = (letter: string, last: number) => {
      const command = ['sh', '-c', `seq ${last} | sed 's/^/${letter} /'; exec sleep 100000`];
      return engine.run(letter, { options: quick, command });
    };
    const ids = await Promise.all(letters.map((letter) => run(letter, count)));
    t.teardown(() => engine.docker('rm', '-f', ...ids));
    for (const [n, letter] of letters.entries()) {
      const isWritten = async () => (await engine.docker('logs', '--tail', '1', ids[n] ?? '')) === `${letter} ${count}`;
      await until(`all of ${letter} is written`, isWritten);
    }
    const names = (await engine.docker('ps', '--format', '{{.Names}}')).split('\n').sort();

    await t.test('are chosen, and read back to the first line, without a script', async (t) => {
      const tab = await openTab(browser, at('/logs'), { javaScriptEnabled: false });
      t.teardown(tab.close);
      for (const name of names) await tab.page.check(`.pick input[value="${name}"]`);
      await tab.follow('.log-choices button');
      let read = await textsOf(tab);
      while (await tab.page.locator('#log-earlier:not([hidden])').count()) {
        await tab.follow('#log-earlier');
        read = [...(await textsOf(tab)), ...read];
      }
      for (const letter of letters) t.same(of(letter, read), lines(letter, count), letter);
    });

    await t.test('name one that can not be read, and show the others', async (t) => {
      const command = ['sh', '-c', 'exec sleep 100000'];
      const mute = await engine.run('mute', { options: [...quick, '--log-driver=none'], command });
      t.teardown(() => engine.docker('rm', '-f', mute));
      const name = (await engine.docker('inspect', '--format', '{{.Name}}', mute)).trim().slice(1);
      const tab = await openTab(browser, at(`/logs?container=${name}&container=${names[1]}&container=late`));
      t.teardown(tab.close);
      await tab.untilLive();
      await tab.sees(`#log-notes li:text("${name}: ")`);
      await until('it is said why', async () =>
        /does not support reading|configured logging driver/.test((await tab.text('#log-notes')) ?? ''),
      );
      t.match(await tab.text('#log-notes'), /There is no container late now/);
      t.equal(of('b', await textsNow(tab)).length, 100);
      t.match(await tab.text('#log-state'), 'following');
    });

    await t.test('go on after hundreds of containers have come and gone', async (t) => {
      const tab = await openTab(browser, at(`/logs?container=${names[0]}&container=${names[1]}`));
      t.teardown(tab.close);
      await tab.untilLive();
      const addresses: string[] = [];
      tab.page.on('websocket', (socket) => addresses.push(socket.url()));
      // A line of each that was there once, before those of the others.
      await tab.page.evaluate(`(() => { const list = document.querySelector('#log-lines'); for (let n = 0; n < 300; n++) {
        const line = list.firstElementChild.cloneNode(true);
        line.dataset.cursor = '1700000000' + String(n).padStart(9, '0') + '.0.' + n.toString(16).padStart(12, '0');
        list.append(line); } })()`);
      await tab.page.click('[data-log=pause]');
      await tab.page.click('[data-log=pause]');
      await until('it has connected anew', async () => addresses.length > 0);
      const places = new URL(addresses[0] ?? '').searchParams.getAll('since');
      t.equal(places.length, 150);
      t.ok(
        ids.every((id) => places.some((place) => place.endsWith(id.slice(0, 12)))),
        'with the places of those that are there',
      );
      await tab.sees('#log-state[data-status=live]');
      t.same(tab.faults, []);
    });

    await t.test('are read back by scrolling, every line once, and followed', async (t) => {
      const query = names.map((name) => `container=${name}`).join('&');
      const tab = await openTab(browser, at(`/logs?${query}`), { viewport: { width: 1000, height: 600 } });
      t.teardown(tab.close);
      await tab.untilLive();
      await tab.page.hover('#log-lines');
      await until(
        'the first line',
        async () => {
          await tab.page.mouse.wheel(0, -2_000);
          return (await textsNow(tab)).length >= 2 * count;
        },
        60_000,
      );
      await tab.misses('#log-earlier:not([hidden])');
      const read = await textsNow(tab);
      for (const letter of letters) t.same(of(letter, read), lines(letter, count), letter);
      await engine.docker('rm', '-f', ids[0] ?? '');
      ids[0] = await run('a', 5);
      await until('one that was made anew goes on', async () => of('a', await textsNow(tab)).length === count + 5);
      t.same(of('a', await textsNow(tab)).slice(count), lines('a', 5));
      t.same(tab.faults, []);
    });
  });
}
