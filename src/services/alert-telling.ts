import type { AlertEvaluation, StateChange } from './alert-evaluation.ts';
import type { AlertOutbox, Outgoing } from './alert-outbox.ts';
import type { AlertSettings } from './alert-settings.ts';
import type { AlertStore } from './alert-store.ts';
import type { AlertItem, AlertNotice, AlertState, Rule } from './alert-types.ts';
import { stripAnsi } from './ansi.ts';
import type { Clock } from './clock.ts';
import type { Database } from './database.ts';
import type { HistoryEvent } from './event-types.ts';

/** What the telling works with; times in ms. */
export type AlertTellingOptions = {
  database: Pick<Database, 'db'>;
  store: AlertStore;
  outbox: AlertOutbox;
  evaluation: AlertEvaluation;
  settings: Pick<AlertSettings, 'rules' | 'keptChannels'>;
  /** The newest lines of a container's log, so many at most. */
  lastLines: (id: string, count: number, signal: AbortSignal) => Promise<readonly { at: string; text: string }[]>;
  /** Keeps an event of this program's own. */
  note: (event: HistoryEvent) => void;
  /** How rules stand is different. */
  onChange: () => void;
  /** Something is in the outbox. */
  onOutgoing: () => void;
  /** What fires together is told together: a wait before a rule's first notification, and between two of them. */
  groupMs: number;
  againMs: number;
  clock: Clock;
  log: { warn(details: object, message: string): void };
};

const maxItems = 10;
const linesMs = 3_000;
/** Of which those after the alert are left out: the container may have been started again. */
const maxReadLines = 50;
const lookMs = 250;
/** Counts alone are kept so often: a log can go on for hours. */
const countsMs = 10_000;

type LastLines = ReadonlyMap<string, string[]>;
const noLines: LastLines = new Map();

/** What brings alerts from the evaluation to the outbox. */
export type AlertTelling = ReturnType<typeof createAlertTelling>;

/**
 * Creates the telling. Of one rule, one notification a channel names up to ten that fire and counts the others: fifty
 * that die at once are one mail. What was told is noted in the step that puts it into the outbox, so that the end of the
 * program loses nothing.
 */
export function createAlertTelling(options: AlertTellingOptions) {
  const { store, outbox, evaluation, settings, clock, log, groupMs, againMs } = options;
  const closing = new AbortController();
  const timers = new Map<string, () => void>();
  const toldAt = new Map<number, number>();
  let written = Promise.resolve();
  let place: number | undefined;
  let keptPlace: number | undefined;

  const enabledRules = () => settings.rules().filter(({ enabled }) => enabled);
  const findEnabled = (id: number) => enabledRules().find((rule) => rule.id === id);
  const channelsOf = (rule: Rule) => settings.keptChannels().filter(({ id }) => rule.channels.includes(id));

  /** One timer for each purpose; one that is set already stays. */
  function later(what: string, ms: number, run: () => void) {
    if (closing.signal.aborted || timers.has(what)) return;
    const cancel = clock.after(ms, () => {
      timers.delete(what);
      run();
    });
    timers.set(what, cancel);
  }

  /** One write after the other. */
  function write(task: () => Promise<void>): Promise<void> {
    written = written.then(task).catch((err: unknown) => log.warn({ err }, 'alerts could not be kept'));
    return written;
  }

  async function flush() {
    const changed = evaluation.takeChanges();
    if (changed.length === 0 && place === keptPlace) return;
    await keep(changed);
    if (changed.length > 0) options.onChange();
  }

  /** Keeps how rules stand, up to which event, and what is told of that: all of it or nothing. */
  async function keep(changed: readonly StateChange[], outgoing: readonly Outgoing[] = []) {
    const taken = place;
    try {
      await options.database.db.transaction().execute(async (trx) => {
        await store.keepStates(changed, trx);
        if (taken !== undefined && taken !== keptPlace) await store.keepPlace(taken, trx);
        await outbox.add(outgoing, clock.now(), trx);
      });
    } catch (error) {
      evaluation.putBack(changed);
      throw error;
    }
    keptPlace = taken;
  }

  function schedule(rule: Rule) {
    const { firing, resolved } = evaluation.due(rule, clock.now());
    if (firing.length + resolved.length === 0) return;
    const again = (toldAt.get(rule.id) ?? Number.NEGATIVE_INFINITY) + againMs - clock.now();
    const wait = Math.min(Math.max(groupMs, again), againMs + groupMs);
    later(`tell ${rule.id}`, wait, () => void tell(rule.id));
  }

  async function tell(id: number) {
    const rule = findEnabled(id);
    if (!rule) return;
    const { firing } = evaluation.due(rule, clock.now());
    const most = Math.max(0, ...channelsOf(rule).map((channel) => channel.settings.lines));
    const lines = most > 0 ? await readLines(firing.slice(0, maxItems), most) : noLines;
    await write(() => putIntoOutbox(id, lines));
  }

  /** Puts what is due of a rule into the outbox, in one step with the note that it was told. */
  async function putIntoOutbox(id: number, lines: LastLines) {
    const rule = findEnabled(id);
    if (!rule || closing.signal.aborted) return;
    const now = clock.now();
    toldAt.set(id, now);
    const { firing, resolved } = evaluation.due(rule, now);
    const notices = [...noticeOf(rule, 'firing', firing, now), ...noticeOf(rule, 'resolved', resolved, now)];
    const events = [...firing, ...resolved].map((state) => toEvent(rule, state, now));
    const undo = evaluation.told(rule, [...firing, ...resolved], now);
    const changed = evaluation.takeChanges();
    const outgoing = notices.flatMap((notice) => toOutgoing(rule, notice, lines));
    await keep(changed, outgoing).catch((error: unknown) => {
      undo();
      throw error;
    });
    for (const event of events) options.note(event);
    options.onChange();
    options.onOutgoing();
  }

  /** What containers wrote last before their alert, by their ids; one that is gone has no log any more. */
  async function readLines(states: readonly AlertState[], count: number): Promise<LastLines> {
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(linesMs)]);
    const known = states.filter(({ subject }) => subject.id !== '');
    const read = known.map(async ({ subject: { id }, lastAt }) => {
      const found = await options.lastLines(id, maxReadLines, signal).catch(() => []);
      const before = found.filter(({ at }) => Date.parse(at) <= Math.ceil(lastAt));
      return [id, newest(before, count).map(({ text }) => stripAnsi(text))] as const;
    });
    return new Map(await Promise.all(read));
  }

  /** The same for each channel of the rule, with as many last lines as it wants. */
  function toOutgoing(rule: Rule, notice: AlertNotice, lines: LastLines): Outgoing[] {
    return channelsOf(rule).map((channel) => {
      const items = notice.items.map((item) => ({
        ...item,
        lines: notice.what === 'firing' ? newest(lines.get(item.subject.id) ?? [], channel.settings.lines) : [],
      }));
      return { channel: channel.id, channelName: channel.settings.name, notice: { ...notice, items } };
    });
  }

  return {
    /** Looks for what is due, and keeps how rules stand, soon: much may happen at once. */
    look(): void {
      later('look', lookMs, () => {
        if (evaluation.hasNews()) void write(flush);
        else later('counts', countsMs, () => void write(flush));
        for (const rule of enabledRules()) schedule(rule);
      });
    },

    /** An event was taken: it is in how rules stand, and kept with them; µs since 1970. */
    took(at: number): void {
      // A place that lies ahead was taken before the clock was set back; and few events come out of order.
      const isAhead = place === undefined || place > clock.now() * 1_000;
      place = isAhead ? at : Math.max(place ?? at, at);
    },

    /** Keeps how rules stand now. */
    flush: (): Promise<void> => write(flush),

    /** Ends every wait; what is due stays so. */
    async close(): Promise<void> {
      closing.abort();
      for (const cancel of timers.values()) cancel();
      await write(flush);
    },
  };
}

const newest = <T>(lines: readonly T[], count: number) => (count > 0 ? lines.slice(-count) : []);

const toItem = ({ subject, lastAt, since, count, facts, end }: AlertState): AlertItem => ({
  subject,
  at: lastAt,
  since,
  count,
  facts,
  end,
  lines: [],
});

/** At most ten are named, and the others counted. */
function noticeOf(
  { id, name, watch }: Rule,
  what: 'firing' | 'resolved',
  states: readonly AlertState[],
  at: number,
): AlertNotice[] {
  if (states.length === 0) return [];
  const items = states.slice(0, maxItems).map(toItem);
  return [{ what, rule: { id, name, kind: watch.kind }, at, items, more: states.length - items.length }];
}

/** What the history keeps of an alert, in the container's timeline too; two rules never have the same moment. */
function toEvent({ name, id }: Rule, { subject, due }: AlertState, now: number): HistoryEvent {
  return {
    at: now * 1_000 + (id % 1_000),
    type: 'alert',
    action: due,
    subject: subject.id || `alert:${id}`,
    name: subject.name,
    timeline: subject.name,
    former: '',
    trouble: '',
    details: { message: name, ...(subject.project && { project: subject.project }) },
  };
}
