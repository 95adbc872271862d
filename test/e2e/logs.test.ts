import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { type Engine, engineVersionsInTurn } from '../engine/engine.ts';
import { openTab, startCable, startClicking, startWorld, type Tab, until } from './support.ts';

const quick = ['--network=none', '--stop-timeout=0'];
const megabyte = 1024 * 1024;
const floodLines = 100_000;

/** Prints `line 1`, `line 2` and so on, ten times a second some of them. */
const counting = (perSecond: number) => [
  'sh',
  '-c',
  `n=0; while :; do for i in $(seq ${perSecond / 10}); do n=$((n+1)); echo line $n; done; sleep 0.1; done`,
];

/** Does something each time that `cue` is called for it. */
const onCue = (work: string) => [
  'sh',
  '-c',
  `while :; do if [ -f /tmp/cue ]; then rm /tmp/cue; ${work}; fi; sleep 0.05; done`,
];
const cue = (engine: Engine, id: string) => engine.docker('exec', id, 'touch', '/tmp/cue');

const followed = /^\/containers\/[^/]+\/logs\?.*follow=1/;

type Line = { text: string; stream: string; isGap: boolean };

const linesScript = `[...document.querySelectorAll('#log-lines .log-line, #log-lines .log-gap')].map((line) => ({
  text: (line.querySelector('.msg') ?? line).textContent, stream: line.dataset.stream ?? '',
  isGap: line.classList.contains('log-gap') }))`;

const linesOf = ({ page }: Tab) => page.evaluate<Line[]>(linesScript);
const textsOf = async (tab: Tab) => (await linesOf(tab)).map(({ text }) => text);

/** The numbers of `line 1`, `line 2`, … in the order of the page; a gap has none. */
const numbersOf = async (tab: Tab): Promise<number[]> =>
  (await textsOf(tab)).map((text) => Number(/^line (\d+)/.exec(text)?.[1]));

/** The first number that is not one more than the one before it, with its neighbour; empty where all are in order. */
function breakIn(numbers: readonly number[]): string {
  const at = numbers.findIndex((number, index) => index > 0 && number !== (numbers[index - 1] ?? 0) + 1);
  return at < 0 ? '' : `${numbers[at - 1]} then ${numbers[at]}`;
}

/** The line at the upper edge of the list, by its number. */
const firstInSightScript = `Number(/\\d+/.exec([...document.querySelectorAll('#log-lines .log-line')].find((line) =>
  line.getBoundingClientRect().bottom > document.querySelector('#log-lines').getBoundingClientRect().top)
  .querySelector('.msg').textContent)[0])`;

const isMarkInSightScript = `((mark, list) => mark.top >= list.top && mark.bottom <= list.bottom)(
  document.querySelector('#log-at').getBoundingClientRect(), document.querySelector('#log-lines').getBoundingClientRect())`;

/** Waits until the list has not moved for ten frames. */
const scrolledScript = `new Promise((done) => {
  let top;
  let still = 0;
  const look = () => {
    const { scrollTop } = document.querySelector('#log-lines');
    still = scrollTop === top ? still + 1 : 0;
    top = scrollTop;
    if (still < 10) requestAnimationFrame(look);
    else done();
  };
  look();
})`;

/** The numbers of a page without scripts. */
const shownNumbers = async ({ page }: Tab): Promise<number[]> =>
  (await page.locator('#log-lines .msg').allTextContents()).map((text) => Number(/^line (\d+)/.exec(text)?.[1]));

/** All numbers that links lead to, back to the first line. */
async function readWithoutScript(tab: Tab): Promise<number[]> {
  let read = await shownNumbers(tab);
  while (await tab.page.locator('#log-earlier:not([hidden])').count()) {
    await tab.follow('#log-earlier');
    read = [...(await shownNumbers(tab)), ...read];
  }
  return read;
}

/** Waits until so many lines more have come. */
async function untilMore(tab: Tab, lines: number): Promise<void> {
  const last = (await numbersOf(tab)).at(-1) ?? 0;
  await until(`${lines} lines after ${last}`, async () => ((await numbersOf(tab)).at(-1) ?? 0) >= last + lines);
}

for (const version of engineVersionsInTurn(0)) {
  t.test(`Logs on engine ${version}`, async (t) => {
    const world = await startWorld(t, { version, recorded: true });
    if (!world) return;
    const { engine, recorder, fairlead, browser, at } = world;
    const { docker } = engine;
    const untilUnfollowed = () => until('nothing is followed', () => recorder.open(followed).length === 0);

    await t.test('appear line by line, by stream and in colours', async (t) => {
      const work = 'echo first; printf "\\033[31mred\\033[0m end\\n"; echo oops >&2';
      const id = await engine.run('speaking', { options: quick, command: onCue(work) });
      t.teardown(() => docker('rm', '-f', id));
      const tab = await openTab(browser, at(`/containers/${id}/logs`));
      t.teardown(tab.close);
      t.same(await linesOf(tab), []);
      await cue(engine, id);
      await until('three lines', async () => (await linesOf(tab)).length === 3);
      const lines = await linesOf(tab);
      t.same(
        lines.filter(({ stream }) => stream === 'stdout').map(({ text }) => text),
        ['first', 'red end'],
      );
      t.same(
        lines.filter(({ stream }) => stream === 'stderr').map(({ text }) => text),
        ['oops'],
      );
      t.equal(await tab.text('.log-line .ansi-red'), 'red');
      t.match(
        await tab.page.locator('.log-line').first().getAttribute('data-ts'),
        /^\d{4}-\d\d-\d\dT[\d:]+\.\d{9}(Z|[+-])/,
      );
      await cue(engine, id);
      await until('six lines', async () => (await linesOf(tab)).length === 6);
      t.same(tab.faults, []);
    });

    await t.test('of a terminal come as lines too', async (t) => {
      const id = await engine.run('terminal', { options: [...quick, '-t'], command: onCue('echo one; echo two') });
      t.teardown(() => docker('rm', '-f', id));
      const tab = await openTab(browser, at(`/containers/${id}`));
      t.teardown(tab.close);
      await cue(engine, id);
      await until('two lines', async () => (await linesOf(tab)).length === 2);
      t.same(await textsOf(tab), ['one', 'two']);
      await cue(engine, id);
      await until('four lines', async () => (await linesOf(tab)).length === 4);
      t.same(await textsOf(tab), ['one', 'two', 'one', 'two']);
      t.same(tab.faults, []);
    });

    await t.test('are followed by one engine stream for five viewers, which ends with the last of them', async (t) => {
      const id = await engine.run('silent', { options: quick, command: onCue('echo seen') });
      t.teardown(() => docker('rm', '-f', id));
      await untilUnfollowed();
      const path = at(`/containers/${id}/logs`);
      const tabs = await Promise.all(Array.from({ length: 5 }, () => openTab(browser, path)));
      await cue(engine, id);
      for (const tab of tabs) await tab.sees('.msg:text-is("seen")');
      t.equal(recorder.open(followed).length, 1);
      const sockets = async () =>
        /^fairlead_live_connections (\d+)/m.exec(await (await fetch(at('/metrics'))).text())?.[1];
      const [one, ...others] = tabs;
      const all = Number(await sockets());
      for (const tab of others) await tab.close();
      await until('four have gone', async () => Number(await sockets()) === all / tabs.length);
      t.equal(recorder.open(followed).length, 1);
      const closed = performance.now();
      await one?.close();
      await untilUnfollowed();
      t.ok(performance.now() - closed < 1_000, `ended after ${Math.round(performance.now() - closed)} ms`);
    });

    await t.test('go on in the same view when the container starts again', async (t) => {
      const command = ['sh', '-c', 'echo started; exec sleep 100000'];
      const id = await engine.run('again', { options: quick, command });
      t.teardown(() => docker('rm', '-f', id));
      const tab = await openTab(browser, at(`/containers/${id}/logs`));
      t.teardown(tab.close);
      await docker('restart', '-t', '0', id);
      await until('started twice', async () => (await linesOf(tab)).length === 2);
      await docker('kill', id);
      await until('the end is told', async () => /ended/.test(await tab.text('#log-state')));
      await docker('start', id);
      await until('started three times', async () => (await linesOf(tab)).length === 3);
      t.same(await textsOf(tab), ['started', 'started', 'started']);
      t.match(await tab.text('#log-state'), 'following');
      t.same(tab.faults, []);
    });

    await t.test('lose and double nothing', async (t) => {
      const id = await engine.run('counting', { options: quick, command: counting(200) });
      t.teardown(() => docker('rm', '-f', id));
      const cable = await startCable(fairlead.url);
      t.teardown(cable.stop);
      const tab = await openTab(browser, `${cable.url}/containers/${id}/logs`);
      t.teardown(tab.close);

      await t.test('in twenty joins while lines come', async (t) => {
        for (let n = 0; n < 20; n++) {
          await tab.page.goto(`${cable.url}/containers/${id}${n % 2 ? '' : '/logs'}`);
          await tab.untilLive();
          await untilMore(tab, 20);
          const numbers = await numbersOf(tab);
          t.equal(breakIn(numbers), '', `${numbers.length} lines from ${numbers[0]} on`);
        }
      });

      await t.test('when a person pauses and goes on, and after clearing the view', async (t) => {
        await tab.page.goto(`${cable.url}/containers/${id}/logs`);
        await tab.untilLive();
        await untilMore(tab, 40);
        await tab.page.click('[data-log=pause]');
        await untilUnfollowed();
        const paused = await numbersOf(tab);
        const last = paused.at(-1) ?? 0;
        await until('a hundred more are written', async () => {
          const [, written] = /line (\d+)/.exec(await docker('logs', '--tail', '1', id)) ?? [];
          return Number(written) > last + 100;
        });
        t.same(await numbersOf(tab), paused, 'nothing comes while it is paused');
        await tab.page.click('[data-log=pause]');
        await untilMore(tab, 300);
        t.equal(breakIn(await numbersOf(tab)), '');

        const before = (await numbersOf(tab)).at(-1) ?? 0;
        await tab.page.click('[data-log=clear]');
        await untilMore(tab, 20);
        const after = await numbersOf(tab);
        t.ok((after[0] ?? 0) > before, 'what was cleared stays away');
        t.equal(breakIn(after), '');
        await cable.cut(100);
        await untilMore(tab, 20);
        const again = await numbersOf(tab);
        t.equal(again[0], after[0], 'also after a reconnect');
        t.equal(breakIn(again), '');
      });
    });

    await t.test('of a project are one log, in which no line is lost or doubled', async (t) => {
      const services = ['api', 'db', 'web'];
      const run = (service: string) => {
        const labels = [`com.docker.compose.project=merged`, `com.docker.compose.service=${service}`];
        const options = [...quick, ...labels.flatMap((label) => ['--label', label])];
        return engine.run(`merged-${service}-1`, { options, command: counting(50) });
      };
      const ids = await Promise.all(services.map(run));
      t.teardown(() => docker('rm', '-f', ...ids));
      const cable = await startCable(fairlead.url);
      t.teardown(cable.stop);
      const tab = await openTab(browser, `${cable.url}/projects/merged/logs`);
      t.teardown(tab.close);
      await tab.untilLive();
      const numbersBy = async (service: string) => {
        const lines = await tab.page.evaluate<string[]>(
          `[...document.querySelectorAll('#log-lines .log-line')].filter((line) =>
            line.querySelector('.who').textContent === ${JSON.stringify(service)}).map((line) =>
            line.querySelector('.msg').textContent)`,
        );
        return lines.map((text) => Number(/^line (\d+)/.exec(text)?.[1]));
      };
      const untilMoreOf = async (service: string, lines: number) => {
        const last = (await numbersBy(service)).at(-1) ?? 0;
        await until(`${lines} more lines of ${service}`, async () => {
          return ((await numbersBy(service)).at(-1) ?? 0) >= last + lines;
        });
      };
      for (const ms of [0, 100, 700, 0, 300]) {
        await cable.cut(ms);
        await Promise.all(services.map((service) => untilMoreOf(service, 20)));
        for (const service of services) {
          t.equal(breakIn(await numbersBy(service)), '', `${service}, after ${ms} ms without a connection`);
        }
      }
      await tab.page.goto(`${cable.url}/projects/merged`);
      await tab.sees('#log-lines.merged .log-line .who');
      await tab.page.goto(`${cable.url}/projects/merged/logs`);
      await tab.untilLive();
      await docker('rm', '-f', ids[0] ?? '');
      ids[0] = await run('api');
      await until('one that was made anew goes on in the same view', async () => {
        const numbers = await numbersBy('api');
        return numbers.lastIndexOf(1) > 0 && (numbers.at(-1) ?? 0) > 20;
      });
      const numbers = await numbersBy('api');
      t.equal(breakIn(numbers.slice(numbers.lastIndexOf(1))), '', 'from its first line on');
    });

    await t.test('stay where a person reads, and follow again when asked', async (t) => {
      const id = await engine.run('scrolled', { options: quick, command: counting(50) });
      t.teardown(() => docker('rm', '-f', id));
      const tab = await openTab(browser, at(`/containers/${id}/logs`), { viewport: { width: 1000, height: 500 } });
      t.teardown(tab.close);
      await until('enough to scroll', async () => (await linesOf(tab)).length > 100);
      const fromEnd = () =>
        tab.page.evaluate<number>(
          `(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)(document.querySelector('#log-lines'))`,
        );
      await until('it is at the end', async () => (await fromEnd()) < 30);
      await tab.page.hover('#log-lines');
      for (let n = 0; n < 8; n++) {
        await tab.page.mouse.wheel(0, -120);
        await delay(30);
      }
      await tab.sees('[data-log=follow][aria-pressed=false]');
      await tab.page.evaluate(scrolledScript);
      const top = await tab.page.evaluate<number>(`document.querySelector('#log-lines').scrollTop`);
      await untilMore(tab, 30);
      t.ok(Math.abs((await tab.page.evaluate<number>(`document.querySelector('#log-lines').scrollTop`)) - top) < 5);
      await tab.page.click('[data-log=bottom]');
      await tab.sees('[data-log=follow][aria-pressed=true]');
      await until('it is at the end again', async () => (await fromEnd()) < 30);
    });

    await t.test('are read back to the first line, every line once', async (t) => {
      const total = 1_700;
      const command = ['sh', '-c', `seq ${total} | sed 's/^/line /' ; exec sleep 100000`];
      const id = await engine.run('long', { options: quick, command });
      t.teardown(() => docker('rm', '-f', id));
      const path = at(`/containers/${id}/logs`);
      await until('all is written', async () => (await docker('logs', '--tail', '1', id)).includes(`line ${total}`));

      await t.test('by links, without a script', async (t) => {
        const tab = await openTab(browser, path, { javaScriptEnabled: false });
        t.teardown(tab.close);
        const read = await readWithoutScript(tab);
        t.equal(breakIn(read), '');
        t.same([read[0], read.at(-1), read.length], [1, total, total]);
        await tab.follow('#log-newest');
        t.equal((await shownNumbers(tab)).at(-1), total);
      });

      await t.test('by scrolling, what is read stays where it is', async (t) => {
        const tab = await openTab(browser, path, { viewport: { width: 1000, height: 600 } });
        t.teardown(tab.close);
        await until('the newest lines are there', async () => (await numbersOf(tab)).at(-1) === total);
        await tab.page.hover('#log-lines');
        while (((await numbersOf(tab))[0] ?? 0) > 1) {
          const [before = 0] = await numbersOf(tab);
          const loads = async () => {
            await tab.page.mouse.wheel(0, -400);
            return ((await numbersOf(tab))[0] ?? 0) < before;
          };
          // Two dozen turns of the wheel, each of which reads thousands of lines.
          await until(`lines before ${before}`, loads, 60_000);
          const inSight = await tab.page.evaluate<number>(firstInSightScript);
          t.ok(Math.abs(inSight - before) < 60, `line ${inSight} is in sight where ${before} was`);
        }
        const read = await numbersOf(tab);
        t.equal(breakIn(read), '');
        t.same([read[0], read.at(-1)], [1, total]);
        await tab.misses('#log-earlier:not([hidden])');
        t.same(tab.faults, []);
      });

      await t.test('from a moment and from a line, backwards and forwards', async (t) => {
        const tab = await openTab(browser, path, { viewport: { width: 1000, height: 600 } });
        t.teardown(tab.close);
        const { page } = tab;
        await page.click('.log-when summary');
        await page.fill('.log-when [name=at]', '2001-01-01T00:00:00');
        await page.click('.log-when form:last-of-type button');
        await tab.sees('#log-at[aria-current=location]');
        t.match(await tab.text('#log-at .msg'), 'line 1');
        await page.evaluate(`document.querySelector('#log-lines').lastElementChild.querySelector('.at').click()`);
        await tab.sees('#log-at[aria-current=location] .msg:text("line 250")');
        t.same([(await numbersOf(tab))[0], breakIn(await numbersOf(tab))], [1, '']);
        t.ok(await page.evaluate(isMarkInSightScript), 'the line is in sight');
        await page.hover('#log-lines');
        await until('the newest line is there', async () => {
          await page.mouse.wheel(0, -300);
          await page.mouse.wheel(0, 20_000);
          return (await numbersOf(tab)).at(-1) === total;
        });
        t.equal(breakIn(await numbersOf(tab)), '');
        t.same(tab.faults, []);
      });

      await t.test('a jump and a link to a line need no script either', async (t) => {
        const tab = await openTab(browser, path, { javaScriptEnabled: false });
        t.teardown(tab.close);
        const link = await tab.page.locator('.log-line .at').first().getAttribute('href');
        await tab.page.goto(new URL(link ?? '', path).href);
        t.match(await tab.text('#log-at .msg'), `line ${total - 99}`);
        t.ok(await tab.page.locator('#log-at').isVisible());
        await tab.page.fill('.log-when [name=at]', '2001-01-01T00:00');
        await tab.follow('.log-when form:last-of-type button');
        t.match(tab.page.url(), /#log-at$/, 'it leads to the line itself');
        t.equal((await shownNumbers(tab))[0], 1);
      });
    });

    await t.test('are searched by expression, with a script and without', async (t) => {
      const command = ['sh', '-c', `seq 3000 | sed 's/^/line /' ; exec sleep 100000`];
      const id = await engine.run('searched', { options: quick, command });
      t.teardown(() => docker('rm', '-f', id));
      await until('all is written', async () => (await docker('logs', '--tail', '1', id)).includes('line 3000'));
      for (const javaScriptEnabled of [true, false]) {
        const tab = await openTab(browser, at(`/containers/${id}/logs`), { javaScriptEnabled });
        t.teardown(tab.close);
        await tab.page.check('.logbar [name=regex]');
        await tab.page.fill('#search', '^line [12]7$');
        await tab.page.press('#search', 'Enter');
        await tab.page.waitForSelector('.log-line mark:text-is("line 27")');
        t.same(await shownNumbers(tab), [17, 27], javaScriptEnabled ? 'with a script' : 'without');
        t.ok(await tab.page.isChecked('.logbar [name=regex]'), 'the switch stays');
        t.same(tab.faults, []);
      }
    });

    await t.test('pause where somebody reads older lines and there is no room for new ones', async (t) => {
      const work = `seq 1 6000 | sed 's/^/line /'; touch /tmp/done; while :; do if [ -f /tmp/cue ]; then rm /tmp/cue; seq 6001 6050 | sed 's/^/line /'; fi; sleep 0.05; done`;
      const id = await engine.run('full', { options: quick, command: ['sh', '-c', work] });
      t.teardown(() => docker('rm', '-f', id));
      await until('all is written', async () => (await docker('logs', '--tail', '1', id)).includes('line 6000'));
      const tab = await openTab(browser, at(`/containers/${id}/logs?tail=1000`), {
        viewport: { width: 900, height: 500 },
      });
      t.teardown(tab.close);
      await until('the newest lines are there', async () => (await numbersOf(tab)).at(-1) === 6_000);
      await tab.page.hover('#log-lines');
      await until(
        'the list is full',
        async () => {
          await tab.page.mouse.wheel(0, -60_000);
          return /paused: 5,000 lines/.test(await tab.text('#log-state'));
        },
        30_000,
      );
      // The wheel may have asked for one more page, which takes the place of lines at the other end.
      let full = await numbersOf(tab);
      await until('nothing is on its way', async () => {
        const before = full;
        await tab.page.evaluate(scrolledScript);
        if (await tab.page.locator('#log-earlier[aria-busy]').count()) return false;
        full = await numbersOf(tab);
        return full[0] === before[0];
      });
      t.equal(full.length, 5_000);
      t.equal(breakIn(full), '');
      await cue(engine, id);
      await until('more is written', async () => (await docker('logs', '--tail', '1', id)).includes('line 6050'));
      await untilUnfollowed();
      t.equal((await numbersOf(tab)).at(-1), full.at(-1), 'nothing that is read goes');
      await tab.page.evaluate(`document.querySelector('[data-log=pause]').click()`);
      await until('it goes on to the newest line', async () => (await numbersOf(tab)).at(-1) === 6_050);
      const gone = await numbersOf(tab);
      t.equal(breakIn(gone), '', 'without a hole');
      t.equal(gone.length, 5_000);
      await tab.page.hover('#log-lines');
      await until('what went at the start comes back', async () => {
        await tab.page.mouse.wheel(0, -60_000);
        return ((await numbersOf(tab))[0] ?? 0) < (gone[0] ?? 0);
      });
      t.equal(breakIn(await numbersOf(tab)), '');
      t.same(tab.faults, []);
    });

    await t.test('of 100,000 lines at once leave everything responsive and tell what was skipped', async (t) => {
      const id = await engine.run('flooding', {
        options: quick,
        command: onCue(`seq ${floodLines} | sed 's/^/line /; s/$/ ${'x'.repeat(100)}/'`),
      });
      t.teardown(() => docker('rm', '-f', id));
      const tab = await openTab(browser, at(`/containers/${id}/logs`));
      t.teardown(tab.close);
      const before = fairlead.rss();
      let most = before;
      const watch = setInterval(() => {
        most = Math.max(most, fairlead.rss());
      }, 20);
      t.teardown(() => clearInterval(watch));

      const stopClicking = await startClicking(tab.page);
      const listed: number[] = [];
      let isOver = false;
      const pages = (async () => {
        while (!isOver) {
          const began = performance.now();
          t.equal((await fetch(at('/containers'))).status, 200);
          listed.push(performance.now() - began);
          await delay(100);
        }
      })();

      await cue(engine, id);
      const lastText = `document.querySelector('#log-lines').lastElementChild?.querySelector('.msg')?.textContent ?? ''`;
      const isLast = async () => (await tab.page.evaluate<string>(lastText)).startsWith(`line ${floodLines} `);
      await until('the last line', isLast, 60_000);
      const asked = listed.length;
      await until('the list was asked for twice more', () => listed.length > asked + 1);
      isOver = true;
      await pages;
      const answered = await stopClicking();
      t.ok(Math.max(...answered) < 1_000, `a click was answered after ${Math.round(Math.max(...answered))} ms at most`);
      t.ok(Math.max(...listed) < 1_000, `the list came after ${Math.round(Math.max(...listed))} ms at most`);
      const grown = (most - before) / megabyte;
      t.ok(grown < 50, `the server's memory grew by ${grown.toFixed(1)} MB`);

      const lines = await linesOf(tab);
      t.ok(lines.length <= 5_000, `${lines.length} entries in the page`);
      t.ok(
        lines.some(({ isGap }) => isGap),
        'lines were skipped',
      );
      t.same(wrongGaps(lines), [], 'each gap tells how many');
      t.same(tab.faults, []);
    });

    await untilUnfollowed();
    const warnings = fairlead.output().matchAll(/"level":[456]0,.*"msg":"([^"]*)"/g);
    t.same(
      [...warnings].map(([, message]) => message),
      [],
      'nothing was worth a warning',
    );
  });
}

/** The gaps that don't tell how many lines are missing between their neighbours, and places where lines miss without one. */
function wrongGaps(lines: readonly Line[]): string[] {
  const wrong: string[] = [];
  let last: number | undefined;
  let skipped = 0;
  for (const { text, isGap } of lines) {
    const count = Number(/([\d,]+) lines? skipped/.exec(text)?.[1]?.replaceAll(',', ''));
    if (isGap) skipped += count;
    else {
      const number = Number(/^line (\d+)/.exec(text)?.[1]);
      if (last !== undefined && number !== last + skipped + 1) wrong.push(`${last}, ${skipped} skipped, ${number}`);
      last = number;
      skipped = 0;
    }
  }
  return wrong;
}
