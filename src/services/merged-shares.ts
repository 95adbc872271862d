import { compareCursors, previousCursor } from './log-cursor.ts';
import { type LogLine, maxHeldText, maxLines } from './log-lines.ts';
import type { LogState, Logs } from './logs.ts';
import { createMergeQueue, type MergedEntry } from './merge-queue.ts';
import type { PlaceOf } from './merged-cursor.ts';

/** Who wants to take part: where each log goes on for them, and how their logs do, which has to stay so. */
export type SeatRequest = {
  ids: readonly string[];
  placeOf: PlaceOf;
  stateOf: (id: string) => LogState | undefined;
  onBatch: (entries: readonly MergedEntry[]) => void;
  hasRoom: () => boolean;
  /** Called once when one of the logs does otherwise: who took part goes on alone from that place. */
  onEnd: (placeOf: PlaceOf) => void;
};

/** A part in a shared merged log. */
export type Seat = {
  /** Gives it up, and tells where each log goes on. */
  leave(): PlaceOf;
};

/** The merged logs that are followed by several. */
export type MergedShares = ReturnType<typeof createMergedShares>;

/**
 * Creates the sharing of merged logs: of those who follow the same ones, whoever has caught up takes part in one that is
 * put in order once for all of them, and hands the same batches to all. It is a way for steady times: with anything
 * out of the ordinary, such as a container that ends, each goes on alone, at their place.
 */
export function createMergedShares(logs: Pick<Logs, 'follow'>, holdMs: number) {
  const shares = new Map<string, Share>();
  const followers = new Map<string, number>();

  function count(key: string, change: 1 | -1): void {
    const now = (followers.get(key) ?? 0) + change;
    if (now > 0) followers.set(key, now);
    else followers.delete(key);
  }

  function open(key: string, request: SeatRequest): Share {
    const share = createShare(logs, holdMs, request, () => {
      if (shares.get(key) === share) shares.delete(key);
    });
    shares.set(key, share);
    return share;
  }

  return {
    /** Says that somebody follows these logs; returns how to say that they don't any more. */
    enter(ids: readonly string[]): () => void {
      const key = keyOf(ids);
      count(key, 1);
      return () => count(key, -1);
    },

    /** Takes part, unless nobody else follows the same, or the shared one does not reach back to the place. */
    take(request: SeatRequest): Seat | undefined {
      const key = keyOf(request.ids);
      if ((followers.get(key) ?? 0) < 2) return undefined;
      return (shares.get(key) ?? open(key, request)).take(request);
    },
  };
}

const keyOf = (ids: readonly string[]) => [...ids].sort().join();

type Share = ReturnType<typeof createShare>;
/** A batch that was handed on, and how many lines were before it. */
type Batch = { entries: readonly MergedEntry[]; linesBefore: number };
type Member = { serve(): void; end(): void };

/** How often those who had no room are looked after, ms. */
const tickMs = 75;

/**
 * Creates one shared merged log, from the place of who is the first to take part. It holds its newest 5,000 lines or 1 MB
 * of text for who comes and for who has no room: of what is older they are told how many lines they miss.
 */
function createShare(logs: Pick<Logs, 'follow'>, holdMs: number, first: SeatRequest, onClose: () => void) {
  const { ids } = first;
  const members = new Set<Member>();
  /** The last line of each log that was handed on, and the last one that is no longer held. */
  const handed = new Map(ids.map((id) => [id, first.placeOf(id)]));
  const begins = new Map(handed);
  let held: Batch[] = [];
  /** How many batches are no longer held; how many lines have come, and how many and how long those are that are held. */
  let gone = 0;
  let lines = 0;
  const size = { lines: 0, text: 0 };
  let timer: NodeJS.Timeout | undefined;

  const queue = createMergeQueue(holdMs, receive);
  const views = ids.map((id) =>
    logs.follow(
      id,
      { tail: 0, since: first.placeOf(id) },
      (batch) => queue.push(id, batch),
      (state) => state !== first.stateOf(id) && endAll(),
    ),
  );

  function receive(entries: readonly MergedEntry[]): void {
    held.push({ entries, linesBefore: lines });
    for (const line of entries.filter(isLine)) {
      handed.set(line.container, line.cursor);
      lines += 1;
      size.lines += 1;
      size.text += line.text.length;
    }
    while (held.length > 1 && (size.lines > maxLines || size.text > maxHeldText)) drop();
    for (const member of members) member.serve();
  }

  function drop(): void {
    const [batch] = held.splice(0, 1);
    gone += 1;
    for (const line of batch?.entries.filter(isLine) ?? []) {
      begins.set(line.container, line.cursor);
      size.lines -= 1;
      size.text -= line.text.length;
    }
  }

  /** Who had no room is not told when there is some again. */
  function wind(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      for (const member of members) member.serve();
    }, tickMs).unref();
  }

  function take(request: SeatRequest): Seat | undefined {
    const { placeOf } = request;
    if (ids.some((id) => compareCursors(begins.get(id) ?? '', placeOf(id)) > 0)) return undefined;
    const isNew = (entry: MergedEntry) => isLine(entry) && compareCursors(entry.cursor, placeOf(entry.container)) > 0;
    const ahead = held.findIndex(({ entries }) => entries.some(isNew));
    const next = ahead < 0 ? held.length : ahead;
    // Whether what is missing there is missing for the one who comes is not known.
    if (held.slice(next).some(({ entries }) => !entries.every(isLine))) return undefined;
    return createSeat(request, gone + next);
  }

  /** The part of one who begins with a batch; of that and what follows they have had all up to their places. */
  function createSeat({ placeOf, onBatch, hasRoom, onEnd }: SeatRequest, begin: number): Seat {
    const had = new Map(ids.map((id) => [id, placeOf(id)]));
    let next = begin;
    let linesSeen = held[next - gone]?.linesBefore ?? lines;
    const member = { serve, end: () => onEnd(leave()) };

    function serve(): void {
      while (members.has(member) && next < gone + held.length) {
        if (!hasRoom()) {
          wind();
          return;
        }
        const batch = held[Math.max(0, next - gone)] as Batch;
        const missing = missed();
        next = Math.max(next, gone) + 1;
        linesSeen = batch.linesBefore + batch.entries.filter(isLine).length;
        const entries = withoutHad(batch.entries);
        if (missing + entries.length > 0) onBatch(missing > 0 ? [gapOf(missing), ...entries] : entries);
      }
    }

    /** How many lines are gone that there was no room for. */
    const missed = () => (next < gone ? (held[0]?.linesBefore ?? lines) - linesSeen : 0);

    /** The same batch, where it is new as a whole: who is given it too need not make it anew. */
    function withoutHad(entries: readonly MergedEntry[]): readonly MergedEntry[] {
      if (had.size === 0) return entries;
      const fresh = entries.filter((entry) => !isLine(entry) || isFresh(entry));
      return fresh.length === entries.length ? entries : fresh;
    }

    function isFresh({ container, cursor }: LogLine): boolean {
      const last = had.get(container);
      if (last !== undefined && compareCursors(cursor, last) <= 0) return false;
      if (last !== undefined) had.delete(container);
      return true;
    }

    function leave(): PlaceOf {
      members.delete(member);
      const missing = missed();
      if (missing > 0) onBatch([gapOf(missing)]);
      const places = placesAt(Math.max(next, gone));
      if (members.size === 0) close();
      return (id) => laterOf(places.get(id) ?? placeOf(id), had.get(id));
    }

    members.add(member);
    // Not before its owner has it.
    if (next < gone + held.length) wind();
    return { leave };
  }

  /** Where each log goes on before a batch. */
  function placesAt(next: number): Map<string, string> {
    const places = new Map(handed);
    const waiting = held.slice(next - gone).flatMap(({ entries }) => entries.filter(isLine));
    for (const { container, cursor } of waiting.reverse()) places.set(container, previousCursor(cursor));
    return places;
  }

  function endAll(): void {
    for (const member of [...members]) member.end();
  }

  function close(): void {
    onClose();
    clearTimeout(timer);
    queue.clear();
    for (const view of views) view.close();
    held = [];
  }

  return { take };
}

const isLine = (entry: MergedEntry): entry is LogLine => 'cursor' in entry;

const gapOf = (lines: number): MergedEntry => ({ gap: { lines }, container: undefined });

const laterOf = (a: string, b: string | undefined) => (b !== undefined && compareCursors(b, a) > 0 ? b : a);
