import { Problem } from '../errors.ts';

/** Creates the count of readers that stay: so many of one client at a time, and so many in all. */
export function createReaderLimit(mostOfClient: number, mostInAll: number) {
  const counts = new Map<string, number>();
  let all = 0;

  function leave(client: string): void {
    const left = (counts.get(client) ?? 1) - 1;
    if (left > 0) counts.set(client, left);
    else counts.delete(client);
    all -= 1;
  }

  return {
    /**
     * Lets a client's reader in and returns how it leaves, which counts once.
     * @throws Problem `rate_limited`
     */
    enter(client: string): () => void {
      const own = counts.get(client) ?? 0;
      if (own >= mostOfClient) {
        throw new Problem(
          'rate_limited',
          `At most ${mostOfClient} logs can be followed from one address. End one first.`,
        );
      }
      if (all >= mostInAll) {
        throw new Problem('rate_limited', `At most ${mostInAll} logs can be followed at a time. Try again later.`);
      }
      counts.set(client, own + 1);
      all += 1;
      let isIn = true;
      return () => {
        if (isIn) leave(client);
        isIn = false;
      };
    },
  };
}
