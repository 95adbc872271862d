import type { Clock } from './clock.ts';

/** How far the engine's events are known, µs since 1970; null before the first. */
export type StreamPlace = { lastAt: number; aliveAt: number } | null;

/** What may be missing, µs since 1970. */
export type Gap = { from: number; to: number };

const settleMs = 2_000;
/** Events told at once by several of the engine's threads may come out of the order of their times. */
const disorderMicros = 1_000_000;
const firstReachMs = 7 * 86_400_000;

/**
 * Creates the continuity of the event stream over reconnects and restarts: from where on the engine is asked for what it
 * still has, and whether that reaches back to what was known. An engine keeps its last 256 events and forgets them with
 * its own end: where the newest known one is not told again, `onGap` is told from when to when events may be missing.
 */
export function createEventStream(known: StreamPlace, clock: Clock, onGap: (gap: Gap) => void) {
  let place = known;
  let settling: { before: NonNullable<StreamPlace>; openedAt: number; cancel: () => void } | undefined;
  let isOpen = false;

  const now = () => Math.round(clock.now() * 1_000);

  function settle() {
    if (!settling) return;
    const { before, openedAt } = settling;
    settling = undefined;
    const from = Math.max(before.lastAt, before.aliveAt);
    onGap({ from, to: Math.max(openedAt, from + 1) });
  }

  function stopSettling() {
    settling?.cancel();
    settling = undefined;
  }

  return {
    /** From when on events are wanted, as the engine reads it. */
    since(): string {
      const from = place ? place.lastAt - disorderMicros : (clock.now() - firstReachMs) * 1_000;
      const micros = String(Math.max(1, Math.round(from))).padStart(7, '0');
      return `${micros.slice(0, -6)}.${micros.slice(-6)}000`;
    },

    opened(): void {
      isOpen = true;
      stopSettling();
      if (!place) return;
      settling = { before: place, openedAt: now(), cancel: clock.after(settleMs, settle) };
    },

    /** An event was told, whether it is kept or not; µs. */
    saw(at: number): void {
      // What is told again is not older than what was asked for: that is new, by a clock that was put back.
      const isPutBack = place !== null && at < place.lastAt - disorderMicros;
      if (settling && at <= settling.before.lastAt && !isPutBack) stopSettling();
      else if (settling) settling.openedAt = Math.min(settling.openedAt, at - 1);
      place = { lastAt: isPutBack ? at : Math.max(place?.lastAt ?? 0, at), aliveAt: place?.aliveAt ?? 0 };
    },

    /** The stream broke: until now nothing was missed. */
    lost(): void {
      if (isOpen && place && !settling) place = { ...place, aliveAt: now() };
      isOpen = false;
      // Whether something is missing was not decided yet: the next stream decides it for both.
      if (settling && place) place = settling.before;
      stopSettling();
    },

    /** How far events are known, to go on from there after a restart. */
    place: (): StreamPlace => (settling ? settling.before : place),
  };
}
