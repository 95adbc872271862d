import { Problem } from '../errors.ts';

/** Who waits for a turn: a browser that somebody signed in by before, or an address; `isKnown` says which. */
export type Client = { key: string; isKnown: boolean };

type Waiting = { key: string; start: () => void; refuse: (problem: Problem) => void };
/** Those who wait, in the order they came, and each client's last turns by number. */
type Lane = { waiting: Waiting[]; lastTurns: Map<string, number> };

/** Clients of a lane whose last turn is remembered; beyond, the one whose turn is longest ago is new again. */
const mostRemembered = 10_000;

/** Turns at work that takes long. */
export type Turns = ReturnType<typeof createTurns>;

/**
 * Creates turns at work of which one goes on at a time. Next is who had no turn yet or had it longest ago, whatever the
 * others have waiting. Known clients take every second turn, so that strangers from however many addresses can't keep them
 * from it. So many wait at most of the known and of the others; beyond, who has most waiting is refused.
 */
export function createTurns(mostWaiting: number) {
  const known: Lane = { waiting: [], lastTurns: new Map() };
  const others: Lane = { waiting: [], lastTurns: new Map() };
  let isRunning = false;
  let wasKnown = false;
  let turn = 0;

  /**
   * Does a client's work in its turn.
   * @throws Problem `rate_limited` where too many wait, and what the work throws
   */
  async function take<T>({ key, isKnown }: Client, work: () => Promise<T>): Promise<T> {
    await new Promise<void>((start, refuse) => {
      const lane = isKnown ? known : others;
      lane.waiting.push({ key, start, refuse });
      if (!isRunning) next();
      else if (lane.waiting.length > mostWaiting) refuseOne(lane);
    });
    try {
      return await work();
    } finally {
      next();
    }
  }

  function next() {
    const isKnown = known.waiting.length > 0 && (!wasKnown || others.waiting.length === 0);
    const lane = isKnown ? known : others;
    const [first, ...more] = lane.waiting;
    isRunning = first !== undefined;
    if (!first) return;
    wasKnown = isKnown;
    start(
      lane,
      more.reduce((best, one) => (lastTurn(lane, one) < lastTurn(lane, best) ? one : best), first),
    );
  }

  function start(lane: Lane, chosen: Waiting) {
    lane.waiting.splice(lane.waiting.indexOf(chosen), 1);
    turn += 1;
    // Anew, so that the map is in the order of turns.
    lane.lastTurns.delete(chosen.key);
    lane.lastTurns.set(chosen.key, turn);
    const [oldest] = lane.lastTurns.keys();
    if (lane.lastTurns.size > mostRemembered && oldest !== undefined) lane.lastTurns.delete(oldest);
    chosen.start();
  }

  return { take };
}

const lastTurn = ({ lastTurns }: Lane, { key }: Waiting) => lastTurns.get(key) ?? 0;

/** Refuses the newest of the client that has most waiting, of several such the one that had a turn last. */
function refuseOne(lane: Lane) {
  const counts = new Map<string, number>();
  for (const { key } of lane.waiting) counts.set(key, (counts.get(key) ?? 0) + 1);
  const weight = (one: Waiting) => [counts.get(one.key) ?? 0, lastTurn(lane, one)] as const;
  const chosen = lane.waiting.reduce((worst, one) => {
    const [count, last] = weight(one);
    const [mostCount, latest] = weight(worst);
    return count > mostCount || (count === mostCount && last >= latest) ? one : worst;
  });
  lane.waiting.splice(lane.waiting.indexOf(chosen), 1);
  chosen.refuse(new Problem('rate_limited', 'Too many sign-ins at once. Wait a little and try again.'));
}
