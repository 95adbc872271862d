/**
 * What 100,000 log lines at once cost, on a private engine and in a real browser: how fast they go through, how the
 * server's memory grows, how long the page and other pages keep one waiting. The floor is a reader that only counts the
 * bytes of the same engine stream in the same run. `node bench/firehose.ts [engine version]`
 */
import { get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { openTab, startClicking, until } from '../test/e2e/support.ts';
import type { EngineVersion } from '../test/engine/engine.ts';
import { inMegabytes, inQuantiles, print, withWorld } from './support.ts';

const lines = 100_000;
const version = (process.argv[2] ?? '20.10') as EngineVersion;
const flood = `seq ${lines} | sed 's/$/ ${'x'.repeat(120)}/'`;
const onCue = ['sh', '-c', `while :; do if [ -f /tmp/cue ]; then rm /tmp/cue; ${flood}; fi; sleep 0.05; done`];

// Blocks of the page's own thread: how late a timer of 10 ms comes.
const watchLag = `window.lag = 0; (() => { let last = performance.now();
  setInterval(() => { const now = performance.now(); window.lag = Math.max(window.lag, now - last - 10); last = now; }, 10); })()`;
const lastNumber = `Number((document.querySelector('#log-lines').lastElementChild?.querySelector('.msg')?.textContent ?? '').split(' ')[0])`;

await withWorld({ version }, async ({ engine, fairlead, browser, at }) => {
  const id = await engine.run('flooding', { options: ['--network=none', '--stop-timeout=0'], command: onCue });
  const cue = () => engine.docker('exec', id, 'touch', '/tmp/cue');
  const countFloor = followRaw(engine.socketPath, id);
  await delay(200);
  let began = performance.now();
  await cue();
  await until('the floor has read all', () => countFloor() >= lines, 120_000);
  const floor = performance.now() - began;

  const tab = await openTab(browser, at(`/containers/${id}/logs?tail=0`));
  await tab.page.evaluate(watchLag);
  await delay(1_000);
  const before = fairlead.rss();
  let most = before;
  const memory = setInterval(() => {
    most = Math.max(most, fairlead.rss());
  }, 10);
  let isOver = false;
  const listed: number[] = [];
  const others = repeat(async () => void (await (await fetch(at('/containers'))).text()), listed);
  const stopClicking = await startClicking(tab.page);

  async function repeat(work: () => Promise<void>, times: number[]): Promise<void> {
    while (!isOver) {
      const start = performance.now();
      await work();
      times.push(performance.now() - start);
      await delay(100);
    }
  }

  began = performance.now();
  await cue();
  await until(
    'the page shows the last line',
    async () => (await tab.page.evaluate(`${lastNumber} === ${lines}`)) || (await delay(80)),
    120_000,
  );
  const took = performance.now() - began;
  isOver = true;
  await others;
  const clicked = await stopClicking();
  clearInterval(memory);
  await delay(3_000);

  const perSecond = (ms: number) => `${Math.round(lines / (ms / 1000)).toLocaleString('en')} lines/s`;
  console.log(`${lines.toLocaleString('en')} lines of 127 bytes at once, engine ${version}`);
  print('floor: bytes of the stream counted', perSecond(floor));
  print('until the last line is in the page', `${perSecond(took)}, ${(took / floor).toFixed(1)} x floor`);
  print('server memory before', inMegabytes(before));
  print('  growth while they come', inMegabytes(most - before), most - before < 50 * 1024 * 1024);
  print('  growth 3 s later', inMegabytes(fairlead.rss() - before));
  print('longest block of the page', `${Math.round(await tab.page.evaluate<number>('window.lag'))} ms`);
  print('a click in it', inQuantiles(clicked), Math.max(...clicked) < 1_000);
  print('another page', inQuantiles(listed), Math.max(...listed) < 1_000);
  const entries = await tab.count('#log-lines > *');
  print('entries in the page', String(entries), entries <= 5_000);
});

/** Follows a log with nothing behind it, and tells how many lines came. */
function followRaw(socketPath: string, id: string): () => number {
  let count = 0;
  get({ socketPath, path: `/v1.41/containers/${id}/logs?stdout=1&follow=1&tail=0&timestamps=1` }, (answer) => {
    answer.on('data', (chunk: Buffer) => {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) count += 1;
    });
    answer.on('error', () => {});
  }).on('error', () => {});
  return () => count;
}
