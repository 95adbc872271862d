/**
 * From the engine's event to the changed row in the browser, among 200 real containers: containers are paused and
 * resumed at random, some ten a second. The floor is a reader of the same event stream that does nothing else, in the same
 * run. Times count from the time that the engine stamps on the event. `node bench/events.ts [engine version] [running]`
 */
import { get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { callEngine, makeContainers, openTab, type RowChange, until, watchRows } from '../test/e2e/support.ts';
import type { EngineVersion } from '../test/engine/engine.ts';
import { inQuantiles, print, quantile, withWorld } from './support.ts';

const version = (process.argv[2] ?? '20.10') as EngineVersion;
const running = Number(process.argv[3] ?? 60);
const count = 200;
const changes = 150;
const states: Record<string, string> = { pause: 'paused', unpause: 'running' };

type Event = { id: string; state: string; at: number; readAt: number };

await withWorld({ version }, async ({ engine, fairlead, browser, at }) => {
  const ids = (await makeContainers(engine, { count, running })).slice(0, running);
  await until('all known', async () => (await fairlead.api<unknown[]>('/containers')).body.length === count);
  const tab = await openTab(browser, at('/containers'));
  // As somebody who has just opened the page and looks at it.
  await delay(2_000);
  const readChanges = await watchRows(tab.page);
  const events = followEvents(engine.socketPath);
  await delay(200);

  const paused = new Set<string>();
  const began = performance.now();
  for (let n = 0; n < changes; n++) {
    const id = pick(ids);
    await callEngine(engine.socketPath, 'POST', `/containers/${id}/${paused.has(id) ? 'unpause' : 'pause'}`);
    if (!paused.delete(id)) paused.add(id);
    await delay(20 + Math.random() * 130);
  }
  const seconds = (performance.now() - began) / 1000;
  await delay(1_000);

  const rows = await readChanges();
  const shown = events.map((event) => ({ event, at: shownAt(event, rows.get(event.id) ?? []) }));
  const missed = shown.filter(({ at }) => at === undefined).length;
  const toRow = shown.flatMap(({ event, at }) => (at === undefined ? [] : [at - event.at]));
  const toReader = events.map(({ at, readAt }) => readAt - at);
  console.log(
    `${events.length} events in ${seconds.toFixed(1)} s, ${count} containers of which ${running} run, engine ${version}`,
  );
  print('floor: event read from the stream', inQuantiles(toReader, 1));
  print('row changed in the browser', inQuantiles(toRow, 1), quantile(toRow, 0.5) < 50 && quantile(toRow, 0.95) < 150);
  print('changes that never came', String(missed), missed === 0 && events.length >= 100);
});

function pick(ids: readonly string[]): string {
  return ids[Math.floor(Math.random() * ids.length)] ?? '';
}

/** When the row took the event's state, which it may only after the event. */
function shownAt({ state, at }: Event, changes: readonly RowChange[]): number | undefined {
  return changes.find(([shown, shownAt]) => shown === state && shownAt >= Math.floor(at))?.[1];
}

/** Reads the engine's events with nothing behind it. */
function followEvents(socketPath: string): Event[] {
  const events: Event[] = [];
  let rest = '';
  get({ socketPath, path: '/v1.41/events' }, (answer) => {
    answer.setEncoding('utf8').on('data', (text: string) => {
      const readAt = performance.timeOrigin + performance.now();
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const { Type, Action, Actor, timeNano } = JSON.parse(line);
        const state = states[Action];
        if (Type === 'container' && state) events.push({ id: Actor.ID, state, at: timeNano / 1e6, readAt });
      }
    });
    answer.on('error', () => {});
  }).on('error', () => {});
  return events;
}
