import type { FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import type { App, Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { clientOfAddress } from '../services/client-address.ts';
import type { Connection, Live, Subscription } from '../services/live.ts';

const maxSockets = 2_000;
const maxSocketsPerClient = 50;
const heartbeatMs = 30_000;
const closeGraceMs = 1_000;
/** Policy violation (RFC 6455, 7.4.1): pages don't come back after it by themselves. */
const endedCode = 1008;

/** Whether who opened a socket may still look, and how to be told when they may not any more. */
export type Admission = { isIn: () => Promise<boolean>; onEnd: (listener: () => void) => () => void };

/** The live sockets of pages and of embeds, which are counted together. */
export type Sockets = ReturnType<typeof createSockets>;

/** Creates the serving of sockets: so many at most, each for as long as who opened it may look. */
export function createSockets({ live, attention }: Pick<Deps, 'live' | 'attention'>) {
  const placesTaken = new Map<string, number>();

  /**
   * Counts a socket to its client, until its connection has ended, however far the upgrade got.
   * @throws Problem `rate_limited`
   */
  function takePlace({ ip: address, raw }: FastifyRequest) {
    const ip = clientOfAddress(address);
    const taken = placesTaken.get(ip) ?? 0;
    if (live.figures().connections >= maxSockets) throw new Problem('rate_limited', 'Too many open sockets.');
    if (taken >= maxSocketsPerClient) {
      throw new Problem(
        'rate_limited',
        `Too many open sockets from this address: ${maxSocketsPerClient} at most. Close some pages.`,
      );
    }
    placesTaken.set(ip, taken + 1);
    raw.socket.once('close', () => {
      const left = (placesTaken.get(ip) ?? 1) - 1;
      if (left > 0) placesTaken.set(ip, left);
      else placesTaken.delete(ip);
    });
  }

  /** Shows views over a socket until it closes, or its admission ends. */
  function serve(socket: WebSocket, subscriptions: readonly Subscription[], { isIn, onEnd }: Admission): void {
    const leave = live.join(toConnection(socket), subscriptions);
    const stop = keepAlive(socket, isIn);
    const end = () => socket.close(endedCode, 'signed out');
    const stopWatching = onEnd(end);
    // It may have ended before anybody watched it.
    isIn().then(
      (isStillIn) => isStillIn || end(),
      () => {},
    );
    const lookAway = attention.hold();
    socket.on('close', () => {
      stop();
      stopWatching();
      lookAway();
      leave();
    });
  }

  return { takePlace, serve };
}

function toConnection(socket: WebSocket): Connection {
  return {
    send: (frame) => socket.send(frame),
    buffered: () => socket.bufferedAmount,
    close(code, reason) {
      // A frozen browser never answers the closing handshake: the socket ends itself after 30 s, which leaves a slow one
      // the time to read why it was closed.
      socket.close(code, reason);
    },
  };
}

/** Ends a socket whose far end has gone without a word, or may not look any more. Returns how to stop looking. */
function keepAlive(socket: WebSocket, mayLook: () => Promise<boolean>): () => void {
  let isAlive = true;
  socket.on('pong', () => {
    isAlive = true;
  });
  const timer = setInterval(() => {
    if (!isAlive) return socket.terminate();
    isAlive = false;
    socket.ping();
    mayLook().then(
      (may) => may || socket.close(endedCode, 'signed out'),
      // A database that can't answer says nothing about who looks.
      () => {},
    );
  }, heartbeatMs);
  return () => clearInterval(timer);
}

/** Closes every socket with 1012, so that browsers come back by themselves, and waits for them 1 s at most. */
export async function drainSockets(app: App, live: Live): Promise<void> {
  live.close();
  const { clients } = app.websocketServer;
  const closed = [...clients].map((client) => new Promise((resolve) => client.once('close', resolve)));
  await Promise.race([Promise.all(closed), new Promise((resolve) => setTimeout(resolve, closeGraceMs).unref())]);
  for (const client of clients) client.terminate();
}
