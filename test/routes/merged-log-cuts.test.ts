import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startApp, until } from '../support/app.ts';
import { byId, type Element, findAll, parseHtml, textOf } from '../support/page.ts';
import { createRandom, runSeed } from '../support/random.ts';

const cuts = 100;
const longestMs = 60;
const names = ['web', 'api', 'db', 'cache'];
const base = BigInt(Date.now() - 60_000) * 1_000_000n;

const hasClass = (name: string) => (element: Element) => (element.attributes.class ?? '').split(' ').includes(name);

/** What a page keeps of its lines: all of them, and behind which cursor each container goes on. */
function createReader(address: string) {
  const url = new URL(address, 'http://page');
  const places = new Map(url.searchParams.getAll('since').map((cursor) => [cursor.slice(-12), cursor]));
  const lines: { cursor: string; text: string }[] = [];
  let gaps = 0;
  return {
    lines,
    gaps: () => gaps,
    read(html: string): void {
      const part = parseHtml(html);
      gaps += findAll(part, hasClass('log-gap')).length;
      for (const line of findAll(part, hasClass('log-line'))) {
        const cursor = line.attributes['data-cursor'] ?? '';
        lines.push({ cursor, text: findAll(line, hasClass('msg')).map(textOf).join('') });
        places.set(cursor.slice(-12), cursor);
      }
    },
    /** Where the next connection goes on. */
    address(): string {
      url.searchParams.delete('since');
      for (const cursor of places.values()) url.searchParams.append('since', cursor);
      return url.pathname + url.search;
    },
  };
}

t.test(`A view of merged logs has every line once, however often it is cut off (seed ${runSeed})`, async (t) => {
  const random = createRandom(runSeed);
  const app = await startApp(t);
  for (const name of names) app.engine.addContainer({ name });
  await until(async () => (await app.api<unknown[]>('/containers')).length === names.length, 'all containers');
  const written = new Map(names.map((name) => [name, [] as string[]]));
  let count = 0;
  const write = () => {
    const name = names[Math.floor(random() ** 2 * names.length)] as string;
    const text = `line ${count}`;
    app.engine.writeLog(name, text, { at: base + BigInt(count) });
    written.get(name)?.push(text);
    count += 1;
  };
  for (let n = 0; n < 50; n += 1) write();

  const page = (await app.get(`/logs?${names.map((name) => `container=${name}`).join('&')}`)).text;
  const reader = createReader(byId(parseHtml(page), 'log-live')?.attributes['hx-ws:connect'] ?? '');
  reader.read(page);
  const writer = setInterval(() => {
    for (let n = Math.floor(random() * 6); n > 0; n -= 1) write();
  }, 3);
  t.teardown(() => clearInterval(writer));

  for (let cut = 0; cut < cuts; cut += 1) {
    const live = app.live(reader.address());
    let isCut = false;
    live.socket.on('message', (data) => isCut || reader.read(data.toString()));
    if (cut % 10 > 0) t.equal(await live.opened, 101);
    await sleep(random() * longestMs);
    isCut = true;
    live.socket.terminate();
    // The engine's streams break too, and every view of them.
    if (random() < 0.1) app.engine.faults.dropStreams({ path: /logs/ });
  }
  clearInterval(writer);
  const last = app.live(reader.address());
  last.socket.on('message', (data) => reader.read(data.toString()));
  await until(() => reader.lines.length >= count, 'the last line');
  for (const name of names) {
    const id = app.engine.container(name).id.slice(0, 12);
    const own = reader.lines.filter(({ cursor }) => cursor.endsWith(id)).map(({ text }) => text);
    t.strictSame(own, written.get(name), `${name}: in the order of its log`);
  }
  t.equal(reader.gaps(), 0, 'and nothing is said to be missing');
  last.socket.terminate();
  await until(() => app.engine.openStreams('logs').length === 0, 'nothing is followed when nobody looks');
});
