import { Problem } from '../errors.ts';
import type { AlertSender, AlertWords } from './alert-channels.ts';
import { createAlertDelivery, DeliveryError, defaultWaits } from './alert-delivery.ts';
import { createAlertEvaluation } from './alert-evaluation.ts';
import { createAlertOutbox } from './alert-outbox.ts';
import { sampleOf } from './alert-samples.ts';
import { createAlertSettings } from './alert-settings.ts';
import { type AlertSourceOptions, createAlertSources } from './alert-sources.ts';
import { createAlertStore } from './alert-store.ts';
import { type AlertTellingOptions, createAlertTelling } from './alert-telling.ts';
import {
  type AlertItem,
  type AlertNotice,
  type AlertState,
  type Channel,
  isAboutFigures,
  type Notification,
  type Rule,
} from './alert-types.ts';
import { systemClock } from './clock.ts';
import type { Database } from './database.ts';
import { createListeners } from './listeners.ts';
import type { SecretBox } from './secret-box.ts';

/** Bounds of time that tests make shorter, ms. */
export type AlertBounds = {
  /** What fires together is told together: a wait before a rule's first notification, and between two of them. */
  groupMs: number;
  againMs: number;
  /** Between two tests of one channel. */
  testPauseMs: number;
  /** Between attempts to send one notification. */
  waits: readonly number[];
};

const defaultBounds: AlertBounds = { groupMs: 3_000, againMs: 60_000, testPauseMs: 5_000, waits: defaultWaits };

/** What the alerts work with. */
export type AlertOptions = Pick<
  AlertSourceOptions,
  'history' | 'inventory' | 'stats' | 'logs' | 'disk' | 'cpuLimit' | 'log'
> &
  Pick<AlertTellingOptions, 'lastLines' | 'note'> & {
    database: Database;
    secretBox: SecretBox;
    sender: AlertSender;
    /** Puts a notification into words. */
    words: (notice: AlertNotice, id: number) => AlertWords;
    /** Whether figures are sampled at all. */
    hasFigures: boolean;
    /** Between two samples of one container, so that what is over a bound at both counts as over it in between. */
    maxGapMs: number;
    bounds?: Partial<AlertBounds>;
    clock?: AlertSourceOptions['clock'];
  };

const testMs = 15_000;
/** A rule may have as many channels as there can be. */
const maxTestsPerMinute = 20;
const lostWords = 'Its address can no longer be read: the key that it was sealed with is gone. Enter it anew.';

/** Rules, channels, what fires, and what was told. */
export type Alerts = Awaited<ReturnType<typeof createAlerts>>;

/** Opens the alerts: rules and channels, what fires and what is still to be told are as they were. */
export async function createAlerts(options: AlertOptions) {
  const { database, secretBox, sender, log, hasFigures, clock = systemClock } = options;
  const bounds = { ...defaultBounds, ...options.bounds };
  const store = createAlertStore(database.db);
  const outbox = createAlertOutbox(database.db);
  const changes = createListeners(log, 'the alerts');
  const full = new Set<number>();
  const evaluation = createAlertEvaluation(await store.states(), sayFull, options.maxGapMs);
  const settings = await createAlertSettings({ store, secretBox, sender, hasFigures, now: clock.now, onChange });
  const delivery = createAlertDelivery({ outbox, send, clock, log, waits: bounds.waits });
  const telling = createAlertTelling({
    ...bounds,
    database,
    store,
    outbox,
    evaluation,
    settings,
    lastLines: options.lastLines,
    note: options.note,
    clock,
    log,
    onChange: changes.tell,
    onOutgoing: delivery.wake,
  });
  const sources = createAlertSources({
    ...options,
    clock,
    evaluation,
    rules: () => settings.rules().filter(({ enabled }) => enabled),
    onTaken: telling.took,
    onEvaluated: telling.look,
  });
  const tests: { channel: number; at: number }[] = [];
  let closed: Promise<void> | undefined;
  delivery.onChange(changes.tell);

  /** Once for each rule: it would be said with everything that happens. */
  function sayFull({ id }: Rule) {
    if (full.has(id)) return;
    full.add(id);
    log.warn({ rule: id }, 'an alert rule stands for too many containers: further ones are passed over');
  }

  /** A rule that was changed is another one: what it stood for begins anew. */
  async function onChange(rule?: number) {
    if (rule !== undefined) evaluation.forget(rule);
    await telling.flush();
    sources.refresh();
    changes.tell();
  }

  /** Without figures nothing would end what fired on them. */
  function forgetFigures() {
    for (const { id, watch } of settings.rules()) if (isAboutFigures(watch.kind)) evaluation.forget(id);
  }

  /** A key that can't be read now may be readable in a minute: full tables of files pass, and rights are mended. */
  function openForNow(kept: Parameters<typeof settings.open>[0]) {
    try {
      return settings.open(kept);
    } catch (error) {
      if (error instanceof Problem) throw new DeliveryError(error.message, false, error.cause);
      throw error;
    }
  }

  async function send(notification: Notification, signal: AbortSignal): Promise<string> {
    const kept = settings.keptChannels().find(({ id }) => id === notification.channel);
    if (!kept) throw new DeliveryError('The channel was removed.', true);
    const open = openForNow(kept);
    if (!open) throw new DeliveryError(lostWords, true);
    return sender.send(open, options.words(notification.notice, notification.id), notification, signal);
  }

  /** @throws Problem `rate_limited` */
  function countTest(channel: number) {
    const now = clock.now();
    while (tests[0] && (now - tests[0].at > 60_000 || tests[0].at > now)) tests.shift();
    const isTooSoon = tests.some((test) => test.channel === channel && now - test.at < bounds.testPauseMs);
    if (isTooSoon || tests.length >= maxTestsPerMinute) {
      throw new Problem('rate_limited', 'Too many tests. Wait a few seconds and try again.');
    }
    tests.push({ channel, at: now });
  }

  async function test(id: number, rule: AlertNotice['rule'], items: AlertItem[] = []): Promise<Notification> {
    const { name: channelName } = settings.channel(id);
    const notice = { what: 'test', rule, at: clock.now(), items, more: 0 } as const;
    const result = await delivery.try({ channel: id, channelName, notice }, testMs);
    if (!result) throw new Problem('internal', 'The test was lost.');
    return result;
  }

  async function closeOnce() {
    sources.close();
    await telling.close();
    await delivery.close();
    changes.clear();
  }

  const { rules, channels, rule, channel, addRule, changeRule, switchRule, removeRule } = settings;
  const { addChannel, changeChannel } = settings;

  return {
    rules,
    channels,
    rule,
    channel,
    addRule,
    changeRule,
    switchRule,
    removeRule,
    addChannel,
    changeChannel,

    /** Removes a channel; what waits for it is given up. @throws Problem `not_found` */
    async removeChannel(id: number): Promise<Channel> {
      const removed = await settings.removeChannel(id);
      await outbox.giveUp(id, 'The channel was removed.', clock.now());
      return removed;
    },

    /** What fires now, the newest first. */
    firing: (): { rule: Rule; state: AlertState }[] =>
      evaluation
        .firing()
        .flatMap(({ rule: id, state }) => {
          const known = settings.rules().find((candidate) => candidate.id === id);
          return known ? { rule: known, state } : [];
        })
        .sort((one, other) => other.state.since - one.state.since),

    notifications: outbox.list,
    hasMail: sender.hasMail,
    hasFigures,
    logStatus: sources.logStatus,

    /** Sends a test and tells how that went. @throws Problem `not_found`, `rate_limited` */
    async testChannel(id: number): Promise<Notification> {
      settings.channel(id);
      countTest(id);
      return test(id, { id: 0, name: 'Test', kind: null });
    },

    /** Sends a sample of a rule to each of its channels. @throws Problem `not_found`, `conflict`, `rate_limited` */
    async testRule(id: number): Promise<Notification[]> {
      const tested = settings.rule(id);
      const { name, watch, channels: wanted } = tested;
      const sample = sampleOf(tested, clock.now());
      if (wanted.length === 0) throw new Problem('conflict', 'The rule has no channel: nothing would be told.');
      for (const known of wanted) countTest(known);
      return Promise.all(wanted.map((known) => test(known, { id, name, kind: watch.kind }, [sample])));
    },

    /** Calls back when anything of this is different; returns how to stop that. */
    onChange: changes.add,

    /** Begins to look and to tell. */
    async start(): Promise<void> {
      const place = await store.place();
      telling.took(place ?? clock.now() * 1_000);
      if (!hasFigures) forgetFigures();
      await sources.start(place);
      delivery.start();
      telling.look();
    },

    /** Ends what is being looked at and sent, and keeps how all stands; further calls wait for the first. */
    close(): Promise<void> {
      closed ??= closeOnce();
      return closed;
    },
  };
}
