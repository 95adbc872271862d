import { Problem } from '../errors.ts';

/** Creates the count of logs that are read by who stays: so many by one client at a time, and so many in all. */
export function createReaderLimit(mostOfClient: number, mostInAll: number) {
  const counts = new Map<string, number>();
  let all = 0;

  function leave(client: string, logs: number): void {
    const left = (counts.get(client) ?? logs) - logs;
    if (left > 0) counts.set(client, left);
    else counts.delete(client);
    all -= logs;
  }

  function enter(client: string, logs = 1): () => void {
    const own = counts.get(client) ?? 0;
    if (own + logs > mostOfClient) {
      throw new Problem(
        'rate_limited',
        `At most ${mostOfClient} logs can be followed or downloaded from one address. End one first.`,
      );
    }
    if (all + logs > mostInAll) {
      throw new Problem(
        'rate_limited',
        `At most ${mostInAll} logs can be followed or downloaded at a time. Try again later.`,
      );
    }
    counts.set(client, own + logs);
    all += logs;
    let isIn = true;
    return () => {
      if (isIn) leave(client, logs);
      isIn = false;
    };
  }

  return {
    /**
     * Lets a client's reader of one log, or of several, in and returns how it leaves, which counts once.
     * @throws Problem `rate_limited`
     */
    enter,

    /**
     * The same for as long as a connection lasts, which ends with the signal.
     * @throws Problem `rate_limited`
     */
    enterUntil(signal: AbortSignal, client: string, logs = 1): void {
      const leave = enter(client, logs);
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
    },
  };
}
