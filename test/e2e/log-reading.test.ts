import t from 'tap';
import { type Engine, engineVersionsInTurn } from '../engine/engine.ts';
import { accessibilityFaults, looksGood, openTab, startWorld, type Tab, until } from './support.ts';

const quick = ['--network=none', '--stop-timeout=0'];

/** Says its lines at the start, and others each time that `cue` is called for it. */
const saying = (first: readonly string[], then: readonly string[]) => [
  'sh',
  '-c',
  `${say(first)}; while :; do if [ -f /tmp/cue ]; then rm /tmp/cue; ${say(then)}; fi; sleep 0.05; done`,
];
const say = (lines: readonly string[]) => `printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')}`;
const cue = (engine: Engine, id: string) => engine.docker('exec', id, 'touch', '/tmp/cue');

const json = '{"level":50,"time":1737727312610,"msg":"payment failed","order":7,"card":{"kind":"visa"}}';
const trace = ['ERROR could not save', '\tat com.example.Shop.save(Shop.java:12)', 'Caused by: x', '\t... 2 more'];

type Look = { text: string; level: string; classes: string };

const looksScript = `[...document.querySelectorAll('#log-lines .log-line')].map((line) => ({
  text: line.querySelector('.msg').innerText.trim(), level: line.dataset.level ?? '',
  classes: line.className.replace('log-line', '').trim() }))`;
const looksOf = ({ page }: Tab) => page.evaluate<Look[]>(looksScript);
const textsOf = async (tab: Tab) => (await looksOf(tab)).map(({ text }) => text);

/** The places of a line's bar and of that above it, whether one goes on where the other ends. */
const isOneBlockScript = `[...document.querySelectorAll('.continued')].every((line) => {
  const [above, below] = [line.previousElementSibling.getBoundingClientRect(), line.getBoundingClientRect()];
  const bar = getComputedStyle(line, '::before');
  return Math.abs(above.bottom - below.top) < 0.5 && bar.marginTop === '0px' && bar.backgroundColor !== 'rgba(0, 0, 0, 0)';
})`;

for (const version of engineVersionsInTurn(1)) {
  t.test(`Lines of logs as people read them, on engine ${version}`, async (t) => {
    const world = await startWorld(t, { version });
    if (!world) return;
    const { engine, browser, at } = world;

    async function run(name: string, first: readonly string[], then: readonly string[]): Promise<string> {
      const id = await engine.run(name, { options: quick, command: saying(first, then) });
      t.teardown(() => engine.docker('rm', '-f', id));
      const last = first.at(-1) ?? '';
      await until('all is written', async () => (await engine.docker('logs', id)).includes(last));
      return id;
    }

    await t.test('JSON is folded, its raw line opens by keyboard, and without a script', async (t) => {
      const id = await run('json', ['plain', json], [json.replace('payment', 'second payment')]);
      const tab = await openTab(browser, at(`/containers/${id}/logs`));
      t.teardown(tab.close);
      await until('both lines', async () => (await looksOf(tab)).length === 2);
      const folded = 'error payment failed order=7 card={"kind":"visa"}';
      t.match((await looksOf(tab))[1], { text: new RegExp(`^${folded.replace(/[{}]/g, '\\$&')}`), level: 'error' });
      await cue(engine, id);
      await tab.sees('.log-line:has-text("second payment failed") details.raw');

      t.equal(await tab.page.isVisible('.raw code >> nth=0'), false);
      await tab.page.focus('#log-lines');
      for (const key of ['Tab', 'ArrowDown', 'Tab', 'Enter']) await tab.page.keyboard.press(key);
      t.equal(await tab.page.isVisible('.raw code >> nth=0'), true, 'keys lead to it and open it');
      t.equal(await tab.text('.raw code >> nth=0'), json);
      await looksGood(t, tab);
      t.same(tab.faults, []);

      const plain = await openTab(browser, at(`/containers/${id}/logs?q=1737727312610`), { javaScriptEnabled: false });
      t.teardown(plain.close);
      t.equal(await plain.page.isVisible('.raw.found > summary >> nth=0'), true, 'a find in the raw line is told');
      await plain.page.click('.raw > summary >> nth=0');
      t.equal(await plain.text('.raw mark >> nth=0'), '1737727312610');
    });

    await t.test('A stack trace is one block, and a level takes it as a whole while it is followed', async (t) => {
      const id = await run('trace', ['INFO start', ...trace, 'INFO next'], [...trace, 'INFO end']);
      const all = await openTab(browser, at(`/containers/${id}/logs`));
      const errors = await openTab(browser, at(`/containers/${id}/logs?level=error`));
      t.teardown(() => Promise.all([all.close(), errors.close()]));
      await until('all lines', async () => (await looksOf(all)).length === 6);
      const whole = trace.map((text, n) => ({
        text: text.trim(),
        level: 'error',
        classes: n === 0 ? '' : 'continued',
      }));
      t.same((await looksOf(all)).slice(1, 5), whole);
      t.equal(await all.page.evaluate(isOneBlockScript), true, 'its bar goes through');
      t.same(await looksOf(errors), whole);
      await cue(engine, id);
      await until('the second trace', async () => (await looksOf(errors)).length === 8);
      t.same(await looksOf(errors), [...whole, ...whole]);
      t.same([...all.faults, ...errors.faults], []);
      t.same(await accessibilityFaults(all), []);
    });

    await t.test('The lines around matches are chosen in the form, and come while following', async (t) => {
      const first = ['a', 'b', 'hit 1', 'c', 'd', 'e', 'hit 2', 'f'];
      const id = await run('context', first, ['g', 'h', 'hit 3']);
      const tab = await openTab(browser, at(`/containers/${id}/logs?q=hit`));
      t.teardown(tab.close);
      await until('two matches', async () => (await looksOf(tab)).length === 2);
      await tab.page.selectOption('select[name=context]', '1');
      await until('lines around them', async () => (await looksOf(tab)).length === 6);
      t.same(await textsOf(tab), ['b', 'hit 1', 'c', 'e', 'hit 2', 'f']);
      t.match(tab.page.url(), 'context=1');
      t.same(
        (await looksOf(tab)).map(({ classes }) => classes),
        ['context apart', '', 'context', 'context apart', '', 'context'],
      );
      await until('it is followed', async () => (await tab.text('#log-state')) === 'following');
      await cue(engine, id);
      await until('the third match', async () => (await looksOf(tab)).length === 8);
      t.same((await textsOf(tab)).slice(6), ['h', 'hit 3']);
      t.equal((await looksOf(tab))[6]?.classes, 'context apart', 'a line between them is left out');
      await looksGood(t, tab);
      t.same(tab.faults, []);
    });
  });
}
