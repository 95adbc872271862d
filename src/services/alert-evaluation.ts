import {
  type AlertEnd,
  type AlertFacts,
  type AlertState,
  type AlertSubject,
  isAboutContainers,
  isAboutFigures,
  type Rule,
} from './alert-types.ts';

/** Whether a container is there, and runs. */
export type Presence = 'running' | 'stopped' | 'gone';

/** How a rule stands for one subject; null where it is to be forgotten. */
export type StateChange = { rule: number; subject: string; state: AlertState | null };

/** What is known of a subject beside what is kept: since when it is over its bound, seen when last, and when it happened. */
type Entry = { state: AlertState | null; overSince: number | null; seenAt: number; strikes: number[] };

/** A container that runs for so long after it had died is up again. */
const steadyMs = 60_000;
const maxSubjects = 2_000;
const maxStrikes = 100;
/** What the engine tells at once may come out of the order of its times by this much. */
const disorderMs = 5_000;
/** Kinds that tell of moments: they are told also where all is well again by then. */
const momentary = new Set(['died', 'restarts', 'log']);

/** What the rules make of what happens. */
export type AlertEvaluation = ReturnType<typeof createAlertEvaluation>;

/**
 * Creates the evaluation. It knows no clock, no engine and no disk: what happened and when is told to it, and it tells
 * what is due. Each rule stands for up to 2,000 subjects by itself; `onFull` is told where there are more. The time over a
 * bound begins anew where no figure was sampled for more than `maxGapMs`.
 */
export function createAlertEvaluation(
  known: readonly StateChange[] = [],
  onFull: (rule: Rule) => void = () => {},
  maxGapMs = 60_000,
) {
  const rules = new Map<number, Map<string, Entry>>();
  const dirty = new Map<string, StateChange>();
  let isNews = false;
  for (const { rule, subject, state } of known) entriesOf(rule).set(subject, newEntry(state));

  function entriesOf(rule: number): Map<string, Entry> {
    const entries = rules.get(rule) ?? new Map<string, Entry>();
    rules.set(rule, entries);
    return entries;
  }

  function entryOf(rule: Rule, subject: AlertSubject): Entry | undefined {
    const entries = entriesOf(rule.id);
    const entry = entries.get(subject.name);
    if (entry) return entry;
    if (entries.size >= maxSubjects) return void onFull(rule);
    const created = newEntry(null);
    entries.set(subject.name, created);
    return created;
  }

  function mark(rule: number, subject: string, state: AlertState | null) {
    dirty.set(`${rule} ${subject}`, { rule, subject, state });
  }

  function fire(
    rule: Rule,
    entry: Entry,
    begun: Pick<AlertState, 'subject' | 'facts' | 'since' | 'count'>,
    now: number,
  ) {
    const { state } = entry;
    const toldAt = state?.toldAt ?? 0;
    // Who was not told its end takes it for the same alert.
    const isTold = state?.due === 'resolved';
    const untold = isMomentary(rule) ? (state?.count ?? 0) : 0;
    const count = begun.count + untold;
    entry.state = { ...begun, count, isFiring: true, lastAt: now, end: '', isTold, due: 'firing', toldAt };
    mark(rule.id, begun.subject.name, entry.state);
    isNews = true;
  }

  /** It happened again while it fires: that is told after the cool-down, as one. */
  function again(rule: Rule, state: AlertState, subject: AlertSubject, facts: AlertFacts, now: number, times: number) {
    Object.assign(state, { subject, facts, lastAt: now, count: state.count + times, due: 'firing' });
    mark(rule.id, subject.name, state);
  }

  function end(rule: Rule, state: AlertState, how: AlertEnd, now: number) {
    state.isFiring = false;
    state.end = how;
    state.lastAt = now;
    state.due = dueAfterEnd(rule, state);
    mark(rule.id, state.subject.name, state);
    isNews = true;
  }

  /** A moment's rule is over when nothing came for a while, or when what had died is up again. */
  function settle(rule: Rule, state: AlertState, presence: Presence, now: number) {
    // A clock that was set back would let it fire until the old time comes again.
    state.lastAt = Math.min(state.lastAt, now);
    const quiet = now - state.lastAt;
    switch (rule.watch.kind) {
      case 'died':
        if (quiet >= steadyMs && presence !== 'stopped') end(rule, state, presence === 'gone' ? 'gone' : 'over', now);
        return;
      case 'restarts':
        if (quiet >= rule.watch.withinSeconds * 1_000) end(rule, state, 'quiet', now);
        return;
      case 'log':
        if (quiet >= rule.cooldownSeconds * 1_000) end(rule, state, 'quiet', now);
        return;
      case 'disk':
        return;
      default:
        if (presence !== 'running') end(rule, state, presence === 'gone' ? 'gone' : 'over', now);
    }
  }

  /** It was not told after all; what came meanwhile stays, and counts with what was to be told. */
  function takeBack(rule: Rule, state: AlertState, before: AlertState) {
    const current = rules.get(rule.id)?.get(state.subject.name)?.state;
    if (!current) return;
    const { due, isTold, toldAt } = before;
    current.count += before.count;
    current.toldAt = toldAt;
    if (current === state) Object.assign(current, { due, isTold });
    // It fires anew: who was told of the alert before, but not of its end, takes it for the same.
    else current.isTold = isTold && (current.isTold || due === 'resolved');
    if (before.isFiring && !current.isFiring)
      current.due = dueAfterEnd(rule, { due: 'firing', isTold: current.isTold });
    mark(rule.id, current.subject.name, current);
  }

  /** Forgets what says nothing any more. */
  function tidy(rule: Rule, entries: Map<string, Entry>, now: number) {
    for (const [name, entry] of entries) {
      const { state, overSince, strikes } = entry;
      if (state && (state.isFiring || state.due !== '' || !isCool(rule, state, now))) continue;
      if (state) mark(rule.id, name, null);
      entry.state = null;
      if (overSince === null && !strikes.some((at) => isRecent(rule, at, now))) entries.delete(name);
    }
  }

  return {
    /** Something is over its bound, or not: a rule fires where it was for as long as the rule says. */
    level(rule: Rule, subject: AlertSubject, facts: AlertFacts | null, forSeconds: number, now: number): void {
      if (facts === null) {
        const entry = entriesOf(rule.id).get(subject.name);
        if (!entry) return;
        entry.overSince = null;
        if (entry.state?.isFiring) end(rule, entry.state, 'over', now);
        return;
      }
      const entry = entryOf(rule, subject);
      if (!entry) return;
      // Nobody knows what it was meanwhile: the engine may have been away, or the whole machine asleep.
      if (isAboutFigures(rule.watch.kind) && now - entry.seenAt > maxGapMs) entry.overSince = null;
      entry.seenAt = now;
      // A clock that was set back would let it wait for as long.
      entry.overSince = Math.min(entry.overSince ?? now, now);
      if (entry.state?.isFiring) Object.assign(entry.state, { subject, facts, lastAt: now });
      else if (now - entry.overSince >= forSeconds * 1_000)
        fire(rule, entry, { subject, facts, since: entry.overSince, count: 1 }, now);
    },

    /** Something happened, so many times: a rule fires where it did so as often as the rule says. */
    strike(rule: Rule, subject: AlertSubject, facts: AlertFacts, now: number, times = 1): void {
      const entry = entryOf(rule, subject);
      if (!entry) return;
      entry.strikes = [...entry.strikes, now].filter((at) => isRecent(rule, at, now)).slice(-maxStrikes);
      const { strikes, state } = entry;
      const told = facts.kind === 'restarts' ? { ...facts, deaths: strikes.length } : facts;
      if (state?.isFiring) again(rule, state, subject, told, now, times);
      else if (strikes.length >= neededOf(rule))
        fire(rule, entry, { subject, facts: told, since: strikes[0] ?? now, count: times }, now);
    },

    /** Something happened before this was looked at: it counts with what happens from now on. */
    remember(rule: Rule, subject: AlertSubject, at: number): void {
      const entry = entryOf(rule, subject);
      if (entry) entry.strikes = [...entry.strikes, at].slice(-maxStrikes);
    },

    /** Ends what is over by now, and forgets what is told. */
    tick(rule: Rule, presenceOf: (name: string) => Presence, now: number): void {
      const entries = entriesOf(rule.id);
      for (const [name, entry] of entries) {
        const presence = presenceOf(name);
        if (presence !== 'running' && isOfContainersAsTheyAre(rule)) entry.overSince = null;
        if (entry.state?.isFiring) settle(rule, entry.state, presence, now);
      }
      tidy(rule, entries, now);
    },

    /** What is to be told of a rule now: firings whose cool-down is over, and ends. */
    due(rule: Rule, now: number): { firing: AlertState[]; resolved: AlertState[] } {
      const states = [...entriesOf(rule.id).values()].flatMap(({ state }) => state ?? []);
      return {
        firing: states.filter((state) => state.due === 'firing' && isCool(rule, state, now)),
        resolved: states.filter(({ due }) => due === 'resolved'),
      };
    },

    /** Notes that some states were told; returns how to take that back, where they could not be after all. */
    told(rule: Rule, states: readonly AlertState[], now: number): () => void {
      const undos = states.map((state) => {
        const before = { ...state };
        const isBegin = before.due === 'firing';
        const isEndToCome = isBegin && !before.isFiring && rule.tellsResolved;
        const due = isEndToCome ? 'resolved' : '';
        Object.assign(state, { due, count: 0, isTold: isBegin, ...(isBegin && { toldAt: now }) });
        mark(rule.id, state.subject.name, state);
        return () => takeBack(rule, state, before);
      });
      return () => {
        for (const undo of undos) undo();
      };
    },

    /** A rule was removed, switched off or changed: what it stood for begins anew. */
    forget(rule: number): void {
      for (const [name, { state }] of rules.get(rule) ?? []) if (state) mark(rule, name, null);
      rules.delete(rule);
    },

    /** What fires, with the ids of the rules. */
    firing: (): { rule: number; state: AlertState }[] =>
      [...rules].flatMap(([rule, entries]) =>
        [...entries.values()].flatMap(({ state }) => (state?.isFiring ? { rule, state } : [])),
      ),

    /** Whether something began or ended since the changes were taken last; else they are mere counts. */
    hasNews: (): boolean => isNews,

    /** What was taken could not be kept: it is to be taken again, but for what has changed since. */
    putBack(changes: readonly StateChange[]): void {
      isNews = true;
      for (const change of changes) {
        const key = `${change.rule} ${change.subject}`;
        if (!dirty.has(key)) dirty.set(key, change);
      }
    },

    /** What has changed since this was asked last. */
    takeChanges(): StateChange[] {
      const changes = [...dirty.values()].map((change) => ({ ...change, state: change.state && { ...change.state } }));
      dirty.clear();
      isNews = false;
      return changes;
    },
  };
}

function isCool({ cooldownSeconds }: Rule, { toldAt }: AlertState, now: number): boolean {
  // Told in the future is told before the clock was set back.
  return toldAt === 0 || toldAt > now || now - toldAt >= cooldownSeconds * 1_000;
}

/** Whether something counts with what happens now; what lies ahead was before the clock was set back. */
const isRecent = (rule: Rule, at: number, now: number) => at > now - windowOf(rule) && at <= now + disorderMs;

/** Of an alert that ended its end is to be told to who knows of it; a moment also where nobody does, after the pause. */
function dueAfterEnd(rule: Rule, { due, isTold }: Pick<AlertState, 'due' | 'isTold'>): AlertState['due'] {
  if (isTold && rule.tellsResolved) return 'resolved';
  return due === 'firing' && isMomentary(rule) ? 'firing' : '';
}

const newEntry = (state: AlertState | null): Entry => ({ state, overSince: null, seenAt: 0, strikes: [] });

const isMomentary = ({ watch }: Rule) => momentary.has(watch.kind);

/** Whether a rule is about how containers are, which one that does not run is not. */
const isOfContainersAsTheyAre = (rule: Rule) => isAboutContainers(rule.watch.kind) && !isMomentary(rule);

const neededOf = ({ watch }: Rule) => (watch.kind === 'restarts' ? watch.deaths : 1);
const windowOf = ({ watch }: Rule) => (watch.kind === 'restarts' ? watch.withinSeconds * 1_000 : 1);
