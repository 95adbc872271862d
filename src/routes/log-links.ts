import type { FastifyReply } from 'fastify';
import { toHref } from '../views/models/context.ts';

/** Where the neighbours of a page of lines begin, as cursors. */
type Neighbours = { earlier: string | undefined; later: string | undefined };

/** Tells in the answer's `Link` header where the neighbours of a page are; `fields` narrow them as they do the page. */
export function linkNeighbours(
  reply: FastifyReply,
  path: string,
  fields: object,
  tail: number | undefined,
  page: Neighbours,
) {
  // Pages without a line would lead to themselves for ever.
  if (tail === 0) return;
  const link = (rel: string, place: object) =>
    `<${toHref(path, { ...fields, tail: String(tail ?? ''), ...place })}>; rel="${rel}"`;
  const links = [
    ...(page.earlier ? [link('prev', { before: page.earlier })] : []),
    ...(page.later ? [link('next', { after: page.later })] : []),
  ];
  if (links.length > 0) reply.header('link', links.join(', '));
}
