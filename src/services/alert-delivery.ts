import type { AlertOutbox, Outgoing } from './alert-outbox.ts';
import type { Notification } from './alert-types.ts';
import type { Clock } from './clock.ts';
import { createListeners } from './listeners.ts';

/** A sending that failed, told in a sentence that anybody may read; `isFinal` where another attempt would fail as well. */
export class DeliveryError extends Error {
  readonly isFinal: boolean;

  constructor(message: string, isFinal: boolean, cause?: unknown) {
    super(message, { cause });
    this.name = 'DeliveryError';
    this.isFinal = isFinal;
  }
}

/** Sends a notification and tells how that went, or throws a DeliveryError. */
export type Send = (notification: Notification, signal: AbortSignal) => Promise<string>;

/** What the delivery works with; `waits` are the ms between attempts. */
export type DeliveryOptions = {
  outbox: AlertOutbox;
  send: Send;
  clock: Clock;
  log: { warn(details: object, message: string): void };
  waits?: readonly number[];
};

const minutes = 60_000;

/** ms between attempts: seven over some two hours. */
export const defaultWaits: readonly number[] = [10_000, 30_000, 2 * minutes, 10 * minutes, 30 * minutes, 60 * minutes];
const parallel = 4;
/** Where the database could not be asked. */
const retryMs = 5_000;
const hourMs = 60 * minutes;
const maxResult = 300;

/** What brings notifications to their channels. */
export type AlertDelivery = ReturnType<typeof createAlertDelivery>;

/**
 * Creates the delivery: four notifications at once, one a channel, seven attempts over some two hours. What waits is on
 * the disk and goes on after a restart; one whose end the program did not live to write down is sent again: at least once.
 */
export function createAlertDelivery({ outbox, send, clock, log, waits = defaultWaits }: DeliveryOptions) {
  const changes = createListeners(log, 'the alerts');
  const closing = new AbortController();
  const busy = new Map<number, Promise<void>>();
  const longest = Math.max(0, ...waits);
  let cancelTimer = () => {};
  let cancelPrune = () => {};
  let pumping: Promise<void> | undefined;
  let isAskedAgain = false;

  /** Looks for what is due; asked meanwhile, it looks once more. */
  function pump(): void {
    isAskedAgain = true;
    pumping ??= look().finally(() => {
      pumping = undefined;
      // Asked between the last look and here.
      if (isAskedAgain && !closing.signal.aborted) pump();
    });
  }

  async function look() {
    while (isAskedAgain && !closing.signal.aborted) {
      isAskedAgain = false;
      await beginDue().catch((err: unknown) => {
        log.warn({ err }, 'notifications could not be read');
        wakeIn(retryMs);
      });
    }
  }

  async function beginDue() {
    while (busy.size < parallel && !closing.signal.aborted) {
      const [next] = await outbox.due(clock.now(), longest, [...busy.keys()], 1);
      if (!next) break;
      begin(next);
    }
    const dueAt = busy.size < parallel ? await outbox.nextDueAt([...busy.keys()]) : undefined;
    if (dueAt !== undefined) wakeIn(dueAt - clock.now());
  }

  function wakeIn(ms: number) {
    cancelTimer();
    // A clock that was set back must not make it wait for long: the outbox knows by then what is due.
    if (!closing.signal.aborted) cancelTimer = clock.after(Math.min(Math.max(ms, 0), hourMs), pump);
  }

  function begin(notification: Notification) {
    const work = attempt(notification)
      // What the end of the program cut off is sent after its next start.
      .then((result) => result && keep(result))
      .finally(() => {
        busy.delete(notification.channel);
        changes.tell();
        pump();
      });
    busy.set(notification.channel, work);
  }

  /** Sends one, and gives what is to be written down of that. */
  async function attempt(notification: Notification): Promise<(() => Promise<void>) | undefined> {
    const { id } = notification;
    const attempts = notification.attempts + 1;
    try {
      const result = await send(notification, closing.signal);
      return () => outbox.finish(id, 'sent', result, attempts, clock.now());
    } catch (error) {
      return closing.signal.aborted ? undefined : failure(notification, error, attempts);
    }
  }

  /** Writes a result down. Until that is done its channel stays busy: what is not known to be sent would be sent again. */
  async function keep(write: () => Promise<void>) {
    for (;;) {
      try {
        return await write();
      } catch (err) {
        log.warn({ err }, 'the result of a notification could not be kept');
      }
      await pause(retryMs);
      if (closing.signal.aborted) return;
    }
  }

  function pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(ms, resolve);
    const stop = () => resolve();
    closing.signal.addEventListener('abort', stop, { once: true });
    return promise.finally(() => {
      cancel();
      closing.signal.removeEventListener('abort', stop);
    });
  }

  function failure({ id, channel, notice }: Notification, error: unknown, attempts: number) {
    log.warn({ channel, attempts, code: codeOf(error) }, 'a notification could not be sent');
    const known = error instanceof DeliveryError ? error : undefined;
    const result = (known?.message ?? 'It failed for a reason that nobody foresaw.').slice(0, maxResult);
    const wait = notice.what === 'test' || known?.isFinal ? undefined : waits[attempts - 1];
    return wait === undefined
      ? () => outbox.finish(id, 'failed', result, attempts, clock.now())
      : () => outbox.postpone(id, wait, result, attempts, clock.now());
  }

  function prune() {
    cancelPrune = clock.after(hourMs, prune);
    void outbox.prune(clock.now()).catch((err: unknown) => log.warn({ err }, 'old notifications could not be deleted'));
  }

  return {
    /** Begins with what waits. */
    start(): void {
      prune();
      pump();
    },

    /** Says that something was put in. */
    wake(): void {
      changes.tell();
      pump();
    },

    /** Sends one now, once, and tells its result when it is over; after `ms` as far as it came. */
    async try(outgoing: Outgoing, ms: number): Promise<Notification | undefined> {
      const [id = 0] = await outbox.add([outgoing], clock.now());
      const over = Promise.withResolvers<void>();
      const look = async () => {
        const found = await outbox.find(id);
        if (found?.state !== 'waiting') over.resolve();
      };
      const stop = changes.add(() => void look().catch(over.reject));
      const timer = setTimeout(over.resolve, ms);
      try {
        changes.tell();
        pump();
        await over.promise;
        return await outbox.find(id);
      } finally {
        clearTimeout(timer);
        stop();
      }
    },

    /** Calls back when something is put in, sent or given up; returns how to stop that. */
    onChange: changes.add,

    /** Ends what is being sent; it stays in the outbox. */
    async close(): Promise<void> {
      closing.abort();
      cancelTimer();
      cancelPrune();
      await Promise.all(busy.values());
      await pumping;
      changes.clear();
    },
  };
}

/** What a failure is called, for the log: never its words, in which there may be an address. */
function codeOf(error: unknown): string {
  const cause = error instanceof DeliveryError ? error.cause : error;
  const { code, name } = (cause ?? {}) as { code?: unknown; name?: unknown };
  return String(code ?? name ?? 'unknown').slice(0, 60);
}
