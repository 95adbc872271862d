import { readFileSync } from 'node:fs';
import t from 'tap';
import { launchBrowser } from '../engine/browser.ts';
import { engineVersionsInTurn } from '../engine/engine.ts';
import { unlessMissing } from '../engine/missing.ts';
import { startApp } from '../support/app.ts';
import { accessibilityFaults, openTab, startWorld, type Tab, until } from './support.ts';

const quick = ['--network=none', '--stop-timeout=0'];

const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `line ${from + n}`);

/** What a link gives to keep, by its name and lines. */
async function download({ page }: Tab, link: string) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.click(link)]);
  const text = readFileSync((await file.path()) ?? '', 'utf8');
  return { name: file.suggestedFilename(), lines: text.split('\n').slice(0, -1) };
}

/** Waits until the page was drawn so often that what is still to move has moved. */
const framesScript = `new Promise((done) => {
  let frames = 0;
  const draw = () => (frames++ < 30 ? requestAnimationFrame(draw) : done());
  draw();
})`;

const listScript = `document.querySelector('#log-lines')`;

/** The time that a line shows, what is told of it to who can't see it, and when it was. */
const timeOf = ({ page }: Tab, text: string) =>
  page.evaluate<{ shown: string; told: string | null; at: string }>(`((link) => ({ shown: link.textContent,
    told: link.getAttribute('aria-label'), at: link.firstElementChild.dateTime }))([...document.querySelectorAll('.log-line')]
    .find((line) => line.querySelector('.msg').textContent === '${text}').querySelector('.at'))`);

/** Chooses in the menu of a viewer, which stays open. */
async function choose({ page }: Tab, name: string, value: string) {
  await page.evaluate(`document.querySelector('.log-display').open = true`);
  const kept = page.waitForResponse(({ url }) => url().endsWith('/preferences')).catch(() => {});
  await page.check(`.log-display [name=${name}][value=${value}]`);
  await kept;
}

const focusedLine = ({ page }: Tab) =>
  page.evaluate<string>(`document.activeElement.closest('.log-line')?.querySelector('.msg').textContent ?? ''`);

for (const version of engineVersionsInTurn(0)) {
  t.test(`The log viewer on engine ${version}`, async (t) => {
    const world = await startWorld(t, { version });
    if (!world) return;
    const { engine, browser, at } = world;

    /** A container that wrote `line 1`, `line 2` and so on, and goes on to run. */
    async function runWriter(name: string, count: number): Promise<string> {
      const command = ['sh', '-c', `seq ${count} | sed 's/^/line /'; exec sleep 100000`];
      const id = await engine.run(name, { options: quick, command });
      t.teardown(() => engine.docker('rm', '-f', id));
      const isWritten = async () => (await engine.docker('logs', '--tail', '1', id)).includes(`line ${count}`);
      await until('all is written', isWritten);
      return id;
    }

    await t.test('gives what it shows as a file, with a script and without', async (t) => {
      const id = await runWriter('kept', 7_000);
      for (const javaScriptEnabled of [true, false]) {
        const tab = await openTab(browser, at(`/containers/${id}/logs`), { javaScriptEnabled });
        t.teardown(tab.close);
        const whole = await download(tab, '.logbar a:text("Download")');
        t.match(whole.name, /^fairlead-test-kept-[-\dTZ]+\.log$|^kept-[-\dTZ]+\.log$/);
        t.same(whole.lines, lines(1, 7_001), 'from the first line on');
        await tab.page.fill('#search', 'line 123');
        await tab.page.press('#search', 'Enter');
        await tab.page.waitForSelector('.log-line mark');
        const found = await download(tab, '.logbar a:text("Download")');
        t.same(found.lines, ['line 123', ...lines(1_230, 1_240)], 'what the filter leaves');
        t.same(tab.faults, []);
      }
    });

    await t.test('looks as somebody chose, at once and on every page from then on', async (t) => {
      const colours = 'printf "\\033[31mred\\033[0m\\n"; exec sleep 100000';
      const id = await engine.run('chosen', { options: quick, command: ['sh', '-c', colours] });
      t.teardown(() => engine.docker('rm', '-f', id));
      const tab = await openTab(browser, at(`/containers/${id}/logs`));
      t.teardown(tab.close);
      await tab.page.waitForSelector('.ansi-red');
      const look = () =>
        tab.page.evaluate<string>(`(({ time, wrap, size, colours }, line, red) => [time, wrap, size, colours,
          Number.parseFloat(getComputedStyle(line).fontSize) > 14, getComputedStyle(red).color === getComputedStyle(red.parentElement).color,
          getComputedStyle(red).whiteSpace].join(' '))(${listScript}.dataset, document.querySelector('.log-line'),
          document.querySelector('.ansi-red'))`);
      t.equal(await look(), 'utc on medium on false false pre-wrap');
      await tab.page.evaluate('window.isSamePage = true');
      await choose(tab, 'logSize', 'huge');
      await choose(tab, 'logColours', 'off');
      await choose(tab, 'logWrap', 'off');
      t.equal(await look(), 'utc off huge off true true pre');
      t.ok(await tab.page.evaluate('window.isSamePage'), 'without another page');
      await tab.page.reload();
      await tab.untilLive();
      t.equal(await look(), 'utc off huge off true true pre', 'after a reload');
      await tab.page.goto(at(`/containers/${id}`));
      await tab.untilLive();
      t.equal(await look(), 'utc off huge off true true pre', 'and on other pages');
      for (const width of [1280, 390]) {
        await tab.page.setViewportSize({ width, height: 844 });
        await tab.page.evaluate(
          `document.querySelector('.fold').open = document.querySelector('.log-display').open = true`,
        );
        const { x = -1, width: wide = 0 } = (await tab.page.locator('.log-display .menu-panel').boundingBox()) ?? {};
        t.ok(x >= 0 && x + wide <= width, `the menu is in the window at ${width} px`);
      }
      t.same(await accessibilityFaults(tab), []);
      t.same(tab.faults, []);

      const plain = await openTab(browser, at(`/containers/${id}/logs`), { javaScriptEnabled: false });
      t.teardown(plain.close);
      await plain.page.click('.log-display summary');
      await plain.page.check('[name=logSize][value=small]');
      await plain.follow('.log-display button:text("Apply")');
      t.equal(await plain.page.locator('#log-lines').getAttribute('data-size'), 'small', 'without a script too');
      t.equal(new URL(plain.page.url()).pathname, `/containers/${id}/logs`);
    });

    await t.test('tells times in UTC, in the zone of the browser, or how long ago', async (t) => {
      const work = `echo first; while :; do if [ -f /tmp/cue ]; then rm /tmp/cue; echo more >&2; fi; sleep 0.05; done`;
      const id = await engine.run('timed', { options: quick, command: ['sh', '-c', work] });
      t.teardown(() => engine.docker('rm', '-f', id));
      const tab = await openTab(browser, at(`/containers/${id}/logs`), { timezoneId: 'Asia/Kolkata' });
      t.teardown(tab.close);
      await tab.page.waitForSelector('.log-line');
      const first = await timeOf(tab, 'first');
      t.equal(first.shown, first.at.slice(11, 23));
      const local = (text: string) => new Date(Date.parse(text) + 5.5 * 3_600_000).toISOString().slice(11, 23);
      await choose(tab, 'logTime', 'local');
      t.equal((await timeOf(tab, 'first')).shown, local(first.at));
      await engine.docker('exec', id, 'touch', '/tmp/cue');
      await tab.page.waitForSelector('.msg:text-is("more")');
      const more = await timeOf(tab, 'more');
      t.equal(more.shown, local(more.at), 'what comes later, too');
      await tab.page.reload();
      await tab.untilLive();
      t.equal((await timeOf(tab, 'first')).shown, local(first.at), 'after a reload');

      await tab.page.evaluate(`window.beats = new Set();
        ((set, clear) => {
          window.setInterval = (...call) => { const id = set(...call); window.beats.add(id); return id; };
          window.clearInterval = (id) => { window.beats.delete(id); clear(id); };
        })(setInterval, clearInterval)`);
      const beats = () => tab.page.evaluate<number>('window.beats.size');
      await choose(tab, 'logTime', 'relative');
      const before = await timeOf(tab, 'first');
      t.match(before, { shown: /^\d+ (s|min) ago$/, told: first.at }, 'the moment itself is told to who can not see');
      await until('the age goes on', async () => (await timeOf(tab, 'first')).shown !== before.shown, 70_000);
      t.equal(await beats(), 1, 'by one beat for all lines');
      const hide = (hidden: boolean) =>
        tab.page.evaluate(`Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true });
          document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))`);
      await hide(true);
      t.equal(await beats(), 0, 'which stops while nobody looks');
      await hide(false);
      t.equal(await beats(), 1);
      await choose(tab, 'logTime', 'utc');
      t.same(await timeOf(tab, 'first'), first, 'and back');
      t.equal(await beats(), 0);

      await choose(tab, 'logTime', 'off');
      const marks = await tab.page.evaluate<string[]>(`[...document.querySelectorAll('.log-line')]
        .map((line) => getComputedStyle(line.querySelector('.msg'), '::before').content)`);
      t.same(marks, ['none', '"! "'], 'and without one stderr is not told by a colour alone');
      t.same(tab.faults, []);
    });

    await t.test('is one stop on the way through the page, and arrows lead from line to line', async (t) => {
      const id = await runWriter('stops', 300);
      const tab = await openTab(browser, at(`/containers/${id}/logs`), { viewport: { width: 1000, height: 600 } });
      t.teardown(tab.close);
      await tab.page.waitForSelector('.msg:text-is("line 300")');
      const stops = () => tab.page.locator('#log-lines .log-line [tabindex="0"]').count();
      t.equal(await tab.page.locator('#log-lines a.at:not([tabindex="-1"])').count(), 0, 'no line is on the way');
      await tab.page.focus('#log-lines');
      await tab.page.keyboard.press('Tab');
      const begin = Number((await focusedLine(tab)).slice('line '.length));
      t.ok(begin > 200 && begin < 300, `it leads to what is in sight, line ${begin}`);
      const isFollowed = () => tab.page.getAttribute('[data-log=follow]', 'aria-pressed');
      t.equal(await isFollowed(), 'false', 'which stays in sight');
      for (const [key, line] of [
        ['ArrowDown', begin + 1],
        ['ArrowUp', begin],
        ['ArrowUp', begin - 1],
        ['End', 300],
        ['ArrowDown', 300],
      ] as const) {
        await tab.page.keyboard.press(key);
        t.equal(await focusedLine(tab), `line ${line}`, key);
        t.equal(await stops(), 1);
      }
      await tab.page.keyboard.press('Tab');
      t.equal(await focusedLine(tab), '', 'the next stop is behind the lines');
      await tab.page.keyboard.press('Shift+Tab');
      t.equal(await focusedLine(tab), 'line 300', 'and back');
      await tab.page.keyboard.press('Enter');
      await tab.page.waitForSelector('#log-at');
      t.match(await tab.text('#log-at .msg'), 'line 300', 'a line is a link to itself');
      t.same(tab.faults, []);
    });

    await t.test('keeps the focus where older lines are loaded, down to the first', async (t) => {
      const id = await runWriter('focused', 1_000);
      const tab = await openTab(browser, at(`/containers/${id}/logs`));
      t.teardown(tab.close);
      const focused = () => tab.page.evaluate<string>('document.activeElement.id');
      await tab.page.focus('#log-earlier');
      await tab.page.keyboard.press('Enter');
      await until('more lines', async () => (await tab.count('.log-line')) === 600);
      await until('the link has the focus', async () => (await focused()) === 'log-earlier');
      await tab.page.keyboard.press('Enter');
      await until('all lines', async () => (await tab.count('.log-line')) === 1_000);
      t.notOk(await tab.page.isVisible('#log-earlier'));
      await until('the lines have the focus', async () => (await focused()) === 'log-lines');
      t.equal(await tab.count('.log-line[data-day]'), 1, 'the day is told once');
      t.same(tab.faults, []);
    });

    await t.test('stays what it is where a filter is refused, and so does its address', async (t) => {
      const id = await runWriter('refused', 10);
      const tab = await openTab(browser, at(`/containers/${id}/logs`));
      t.teardown(tab.close);
      await tab.page.check('.logbar [name=regex]');
      await until('that is in the address', () => /regex=1/.test(tab.page.url()));
      const address = tab.page.url();
      await tab.page.fill('#search', '(');
      await tab.page.press('#search', 'Enter');
      await tab.sees('#failures [role=alert]:has-text("regular expression")');
      t.equal(tab.page.url(), address);
      t.equal(await tab.count('.log-line'), 10);
      await tab.page.fill('#search', 'line 1$');
      await tab.page.press('#search', 'Enter');
      await tab.sees('.log-line mark');
      t.match(tab.page.url(), 'q=line', 'what is accepted stands in it');
    });
  });
}

t.test(
  'A viewer far down a page shows the newest line once its lines are drawn, which are higher than was guessed',
  async (t) => {
    const browser = await unlessMissing(t, launchBrowser);
    if (!browser) return;
    t.teardown(() => browser.close());
    const app = await startApp(t, {
      prepare: (engine) => {
        engine.addContainer({ name: 'web' });
        for (let n = 0; n < 100; n++) engine.writeLog('web', `line ${n} ${'x'.repeat(n % 10 ? 10 : 3_000)}`);
      },
    });
    const tab = await openTab(browser, `${app.url}/containers/web`, { viewport: { width: 800, height: 500 } });
    t.teardown(tab.close);
    await until('it is followed', () => app.engine.openStreams('logs').length === 1);
    await tab.page.evaluate(framesScript);
    await tab.page.evaluate(`${listScript}.scrollIntoView()`);
    await tab.page.evaluate(framesScript);
    const fromEnd = `(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)(${listScript})`;
    t.ok((await tab.page.evaluate<number>(fromEnd)) < 2);
    t.equal(await tab.page.getAttribute('[data-log=follow]', 'aria-pressed'), 'true');
    t.same(tab.faults, []);
  },
);
