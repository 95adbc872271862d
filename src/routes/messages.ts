import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config.ts';
import type { Message } from '../views/models/context.ts';
import { dropCookie, keepCookie, ownCookies } from './cookies.ts';

const cookie = 'fairlead_message';
const maxKept = 500;
const maxAgeSeconds = 300;

/** Messages on their way over a redirect. */
export type Messages = ReturnType<typeof createMessages>;

/**
 * Creates the keeper of messages that a form's answer leaves for the page it leads to. They wait here, at most 500 of
 * them, and the browser only carries their number, so that nobody can put words into the page.
 */
export function createMessages(config: Config) {
  const kept = new Map<string, Message[]>();
  return {
    /** Leaves messages for the next page of this browser. */
    leave(reply: FastifyReply, messages: Message[]) {
      const id = randomUUID();
      const oldest = kept.keys().next().value;
      if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest);
      kept.set(id, messages);
      keepCookie(reply, config, cookie, id, { sameSite: 'strict', maxAge: maxAgeSeconds });
    },
    /** Takes what was left for this browser; a second look finds nothing. */
    take(request: FastifyRequest, reply: FastifyReply): Message[] {
      const id = ownCookies(request.cookies, config)[cookie];
      if (id === undefined) return [];
      const messages = kept.get(id) ?? [];
      kept.delete(id);
      dropCookie(reply, config, cookie);
      return messages;
    },
  };
}
