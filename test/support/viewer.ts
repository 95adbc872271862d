import type { TestApp } from './app.ts';
import { openPage, parseHtml, textOf, walk } from './page.ts';

/** A page with its socket, the first or that of a topic, as a browser has it; `part` is the text of an element. */
export async function openViewer(app: TestApp, path: string, topic = '') {
  const { text } = await app.get(path);
  const page = openPage(text);
  const addresses = [...walk(page.root)].flatMap(({ attributes }) => attributes['hx-ws:connect'] ?? []);
  const address = addresses.find((url) => url.includes(encodeURIComponent(topic))) ?? '';
  const part = (id: string) => textOf(page.part(id) ?? parseHtml(''));
  async function connect() {
    const live = app.live(address);
    live.socket.on('message', (data) => page.apply(data.toString()));
    return { live, status: await live.opened };
  }
  return { page, part, address, connect };
}
