/** A piece of HTML that takes the place named by `target`, as htmx swaps it. */
export function partial(target: string, swap: string, html: string): string {
  return `<hx-partial hx-target="${target}" hx-swap="${swap}">${html}</hx-partial>`;
}

/** Puts an element in the place of the one with the same id, keeping focus and what has not changed. */
export const morph = (id: string, html: string): string => partial(`#${id}`, 'outerMorph', html);

/** Takes an element away. */
export const remove = (id: string): string => partial(`#${id}`, 'delete', '');

/** Puts elements behind the one with this id. */
export const insertAfter = (id: string, html: string): string => partial(`#${id}`, 'afterend', html);

/** The same text in one piece: one that is kept as a template made it keeps its dozens of pieces, in twice the memory. */
export const toFlat = (html: string): string => Buffer.from(html).toString();
