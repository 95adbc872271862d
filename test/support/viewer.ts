import type { TestApp } from './app.ts';
import { findAll, openPage, parseHtml, textOf } from './page.ts';

/** A page with its socket, as a browser has it; `part` is the text of an element. */
export async function openViewer(app: TestApp, path: string) {
  const { text } = await app.get(path);
  const page = openPage(text);
  const [node] = findAll(page.root, ({ attributes }) => 'hx-ws:connect' in attributes);
  const address = node?.attributes['hx-ws:connect'] ?? '';
  const part = (id: string) => textOf(page.part(id) ?? parseHtml(''));
  async function connect() {
    const live = app.live(address);
    live.socket.on('message', (data) => page.apply(data.toString()));
    return { live, status: await live.opened };
  }
  return { page, part, address, connect };
}
