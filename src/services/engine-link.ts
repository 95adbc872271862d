import type { Attention } from './attention.ts';
import type { DockerPort } from './docker.ts';
import { unlessRefused } from './docker-errors.ts';
import * as shapes from './docker-shapes.ts';
import { readOne } from './docker-shapes.ts';
import type { EngineEvent, EngineInfo, EngineVersion } from './docker-types.ts';
import { microsOf } from './event-reading.ts';
import { readJsonLines } from './lines.ts';

/** Bounds of time in ms: between two tries, two pings and two whole lists; how long a list may be behind the events. */
export type LinkTimings = { firstRetry: number; lastRetry: number; ping: number; reconcile: number; doubt: number };

/** Who keeps the events: each as it comes, and those before it that the engine still has. */
export type EventReader = {
  /** From when on events are wanted, as the engine reads it. */
  since(): string;
  opened(): void;
  event(event: EngineEvent): void;
  lost(): void;
};

/** What is told of the link. */
export type LinkListener = {
  connected(version: EngineVersion, info: EngineInfo): void;
  /** Each event that is not of the past. */
  event(event: EngineEvent): void;
  lost(error: unknown): void;
  /** A connection is over, also one that never was up. */
  ended(): void;
  /** Reads everything anew; where that fails, the connection is over. */
  resync(signal: AbortSignal): Promise<void>;
};

type Log = { warn(details: object, message: string): void };

/** The link to the engine: its event stream and its pings. */
export type EngineLink = ReturnType<typeof createEngineLink>;

/**
 * Creates the link. Events are opened first and everything is listed second, so that nothing falls between the two.
 * While somebody looks, a ping beside the stream notices an engine that hangs with every stream open. Whatever fails, all
 * begins anew with backoff.
 */
export function createEngineLink(
  docker: DockerPort,
  log: Log,
  attention: Attention,
  timings: LinkTimings,
  listener: LinkListener,
) {
  const closing = new AbortController();
  const firstAttempt = Promise.withResolvers<void>();
  let reader: EventReader | undefined;
  let connection: AbortController | undefined;
  let isUp = false;
  let heardAt = 0;
  let word = Promise.withResolvers<void>();

  async function run() {
    for (let delay = timings.firstRetry; !closing.signal.aborted; delay = Math.min(delay * 2, timings.lastRetry)) {
      const wasUp = await connect();
      if (closing.signal.aborted) return;
      if (wasUp) delay = timings.firstRetry;
      await pause(delay, closing.signal);
    }
  }

  /** One connection from its first ping to its end; tells whether it was up. */
  async function connect(): Promise<boolean> {
    const current = new AbortController();
    connection = current;
    const signal = AbortSignal.any([current.signal, closing.signal]);
    let wasUp = false;
    try {
      await docker.ping(signal);
      const { reading } = await openEvents(signal);
      const [version, info] = await Promise.all([docker.version(signal), unlessRefused(docker.info(signal), {})]);
      await listener.resync(signal);
      isUp = true;
      wasUp = true;
      hear();
      listener.connected(version, info);
      firstAttempt.resolve();
      const loops = [keepPinging(signal), keepReconciling(signal)];
      for (const loop of loops) loop.catch(() => {});
      await Promise.race([reading, ...loops]);
      throw new Error('The event stream ended.');
    } catch (error) {
      if (!closing.signal.aborted) listener.lost(error);
    } finally {
      isUp = false;
      current.abort();
      reader?.lost();
      listener.ended();
      firstAttempt.resolve();
      hear();
    }
    return wasUp;
  }

  /** Opens the event stream; its reading ends with it. */
  async function openEvents(signal: AbortSignal): Promise<{ reading: Promise<void> }> {
    const stream = await docker.events(signal, reader?.since());
    reader?.opened();
    const isPast = createPastTest(stream.headers.date);
    const reading = readJsonLines(stream, (line) => onEvent(readOne(shapes.event, line), isPast));
    reading.catch(() => {});
    return { reading };
  }

  /** What came before the stream was opened is in the first list. */
  function onEvent(event: EngineEvent, isPast: (event: EngineEvent) => boolean) {
    keep(event);
    if (!isPast(event)) listener.event(event);
  }

  function keep(event: EngineEvent) {
    try {
      reader?.event(event);
    } catch (err) {
      log.warn({ err }, 'an event could not be kept');
    }
  }

  /** Pings while somebody looks, until the engine does not answer. */
  async function keepPinging(signal: AbortSignal): Promise<never> {
    for (;;) {
      await pause(timings.ping, signal);
      await attention.paid(signal);
      signal.throwIfAborted();
      await docker.ping(signal);
      hear();
    }
  }

  /** Tells those that wait for it that the engine has answered, or not. */
  function hear() {
    heardAt = performance.now();
    word.resolve();
    word = Promise.withResolvers();
  }

  /**
   * Lists again and again while somebody looks, until that fails. The first time soon: a death that was told just before
   * the stream was open may not have been in the first list yet.
   */
  async function keepReconciling(signal: AbortSignal): Promise<never> {
    await pause(Math.min(timings.doubt, timings.reconcile), signal);
    for (;;) {
      signal.throwIfAborted();
      await listener.resync(signal);
      await pause(timings.reconcile, signal);
      await attention.paid(signal);
    }
  }

  return {
    /** Begins to connect; never throws and never ends before `close`. */
    start: () => void run(),

    /** Resolves when the first attempt to reach the engine has succeeded or failed. */
    ready: firstAttempt.promise,

    /**
     * Resolves when the engine has answered a ping, or has not: at once where that was not long ago, or where there is no
     * connection. Somebody has to look.
     */
    async checked(): Promise<void> {
      if (isUp && performance.now() - heardAt > 2 * timings.ping) await word.promise;
    },

    /** Aborts with the connection that there is; undefined before the first. */
    signal: () => connection?.signal,

    /** Names who keeps the events; before the start, once. */
    keepEvents: (keeper: EventReader) => {
      reader = keeper;
    },

    /** Ends the stream and every timer. */
    close: () => {
      closing.abort();
      connection?.abort();
    },
  };
}

/**
 * Creates the test of what came before the second in which the engine says that its stream was opened. It tells those at
 * once: later nothing is taken for the past any more, whatever a clock in between says.
 */
function createPastTest(date: string | undefined): (event: EngineEvent) => boolean {
  const openedAt = Date.parse(date ?? '');
  const until = performance.now() + pastMs;
  return (event) => performance.now() < until && microsOf(event) / 1_000 < openedAt;
}

const pastMs = 2_000;

/** Waits some ms, or until the signal aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
}
