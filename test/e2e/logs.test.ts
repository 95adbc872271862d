import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { type Engine, engineVersionsToTest } from '../engine/engine.ts';
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

/** Waits until so many lines more have come. */
async function untilMore(tab: Tab, lines: number): Promise<void> {
  const last = (await numbersOf(tab)).at(-1) ?? 0;
  await until(`${lines} lines after ${last}`, async () => ((await numbersOf(tab)).at(-1) ?? 0) >= last + lines);
}

for (const version of engineVersionsToTest()) {
  t.test(`Logs on engine ${version}`, async (t) => {
    const world = await startWorld(t, { version, flags: ['--live-restore'], recorded: true });
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
      const id = await engine.run('silent', { options: quick, command: ['sleep', '100000'] });
      t.teardown(() => docker('rm', '-f', id));
      await untilUnfollowed();
      const path = at(`/containers/${id}/logs`);
      const tabs = await Promise.all(Array.from({ length: 5 }, () => openTab(browser, path)));
      await delay(300);
      t.equal(recorder.open(followed).length, 1);
      for (const tab of tabs.slice(1)) await tab.close();
      await delay(300);
      t.equal(recorder.open(followed).length, 1);
      const closed = performance.now();
      await tabs[0]?.close();
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

      await t.test('when the page is cut off and comes back', async (t) => {
        await tab.page.goto(`${cable.url}/containers/${id}/logs`);
        await tab.untilLive();
        for (const ms of [0, 100, 700, 1_500]) {
          await cable.cut(ms);
          await untilMore(tab, 40);
          t.equal(breakIn(await numbersOf(tab)), '', `after ${ms} ms without a connection`);
        }
      });

      await t.test('when a person pauses and goes on, and after clearing the view', async (t) => {
        await tab.page.click('[data-log=pause]');
        await delay(200);
        const paused = await numbersOf(tab);
        await delay(800);
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

      await t.test('when the engine is killed and comes back', async (t) => {
        await engine.kill();
        await tab.sees('#engine-status[data-status=unreachable]');
        await engine.start();
        await untilMore(tab, 100);
        t.equal(breakIn(await numbersOf(tab)), '');
      });
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
      await delay(300);
      const top = await tab.page.evaluate<number>(`document.querySelector('#log-lines').scrollTop`);
      await untilMore(tab, 30);
      t.ok(Math.abs((await tab.page.evaluate<number>(`document.querySelector('#log-lines').scrollTop`)) - top) < 5);
      await tab.page.click('[data-log=bottom]');
      await tab.sees('[data-log=follow][aria-pressed=true]');
      await until('it is at the end again', async () => (await fromEnd()) < 30);
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
      await delay(300);
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
      [`Cannot connect to the Docker daemon at ${recorder.host}.`],
      'nothing but the kill was worth a warning',
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
