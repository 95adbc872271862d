import type { AlertLogStatus } from '../../services/alert-logs.ts';
import {
  type AlertState,
  type Channel,
  type ChannelKind,
  channelKinds,
  countFiring,
  isAboutFigures,
  type Notification,
  type Rule,
  type RuleKind,
  type RuleSettings,
  ruleKinds,
  ruleNames,
  toMinutes,
} from '../../services/alert-types.ts';
import { maskText, toText } from '../../services/secrets.ts';
import { clock, count, dateTime, dayMonth, duration, iso, plural } from '../format.ts';
import { factWords, noticeWords, scopeWords, watchWords } from './alert-words.ts';
import { type Shared, toShared, type ViewContext } from './context.ts';
import { timelineHref } from './events.ts';

/** What the page of alerts shows. */
export type AlertsFound = {
  rules: readonly Rule[];
  channels: readonly Channel[];
  firing: readonly { rule: Rule; state: AlertState }[];
  notifications: readonly Notification[];
  logStatus: AlertLogStatus;
  hasMail: boolean;
  hasFigures: boolean;
};

type Moment = { iso: string; text: string; full: string };
type Look = { symbol: string; tone: string; word: string };

/** The data of `fragments/alerts/board`. */
export type AlertBoardModel = Shared & {
  alerts: {
    firingCount: string;
    firing: { title: string; rule: string; href: string | null; subject: string; since: Moment; age: string }[];
    rules: {
      id: number;
      name: string;
      words: string;
      where: string;
      look: Look;
      enabled: boolean;
      hasChannels: boolean;
      note: string;
      href: string;
    }[];
    channels: { id: number; name: string; kind: string; target: string; note: string; href: string }[];
    notifications: {
      id: number;
      title: string;
      channel: string;
      look: Look;
      result: string;
      time: Moment;
    }[];
    ruleKinds: { label: string; href: string | null; hint: string }[];
    channelKinds: { label: string; href: string | null; hint: string }[];
    note: string;
  };
};

const channelLabels: Record<ChannelKind, string> = { webhook: 'Webhook', ntfy: 'ntfy', email: 'E-mail' };

const maxShown = 100;
const noFigures = 'No figures are taken: STATS_INTERVAL is 0.';
const noMail = 'No mail server is set: SMTP_URL.';

const toMoment = (ms: number): Moment => ({
  iso: iso(ms),
  text: `${dayMonth(ms)}, ${clock(ms)}`,
  full: dateTime(ms),
});

/** The page of alerts: what fires, rules, channels, what was told. */
export function alertBoardModel(found: AlertsFound, context: ViewContext): AlertBoardModel {
  const { base, now } = context;
  const { rules, channels, logStatus, hasFigures, hasMail } = found;
  const counts = countFiring(found.firing);
  return {
    ...toShared(context),
    alerts: {
      firingCount: firingCountOf(found.firing.length),
      firing: found.firing.slice(0, maxShown).map(({ rule, state }) => ({
        title: toText(maskText(factWords(state.subject.name, state.facts))),
        rule: rule.name,
        subject: state.subject.name || 'the machine',
        href: state.subject.name === '' ? null : timelineHref(state.subject.name, base),
        since: toMoment(state.since),
        age: duration(now - state.since),
      })),
      rules: rules.map((rule) => ruleRow(rule, counts.get(rule.id) ?? 0, found, base)),
      channels: channels.map((channel) => channelRow(channel, hasMail, base)),
      notifications: found.notifications.map((notification) => notificationRow(notification, now)),
      ruleKinds: ruleKinds.map((kind) => {
        const isOff = isAboutFigures(kind) && !hasFigures;
        const href = isOff ? null : `${base}/alerts/rules/new?kind=${kind}`;
        return { label: ruleNames[kind], href, hint: isOff ? noFigures : '' };
      }),
      channelKinds: channelKinds.map((kind) => {
        const isOff = kind === 'email' && !hasMail;
        const href = isOff ? null : `${base}/alerts/channels/new?kind=${kind}`;
        return { label: channelLabels[kind], href, hint: isOff ? noMail : '' };
      }),
      note: [...leftOut(logStatus), ...stoppedOf(rules, logStatus)].join(' '),
    },
  };
}

const leftOut = ({ followed, left }: AlertLogStatus) =>
  left > 0
    ? [
        `Rules name the logs of ${count(followed + left)} containers: ${count(followed)} are followed, the others are not.`,
      ]
    : [];

const stoppedOf = (rules: readonly Rule[], { stopped }: AlertLogStatus) =>
  rules
    .filter(({ id }) => stopped.includes(id))
    .map(
      ({ name }) => `The expression of ${name} took far too long: its logs are no longer searched until it is changed.`,
    );

const firingCountOf = (all: number) =>
  all > maxShown ? `${count(all)}, of which the newest ${maxShown} are shown` : all > 0 ? count(all) : '';

function ruleRow(rule: Rule, now: number, { channels, hasFigures }: AlertsFound, base: string) {
  const names = channels.filter(({ id }) => rule.channels.includes(id)).map(({ name }) => name);
  const isOff = isAboutFigures(rule.watch.kind) && !hasFigures;
  return {
    id: rule.id,
    name: rule.name,
    words: `${scopeWords(rule)} ${watchWords(rule)}.`,
    where: names.length > 0 ? `To ${names.join(', ')}.` : 'Told nowhere but here.',
    look: ruleLook(rule.enabled, now),
    enabled: rule.enabled,
    hasChannels: names.length > 0,
    note: isOff ? noFigures : '',
    href: `${base}/alerts/rules/${rule.id}`,
  };
}

function ruleLook(enabled: boolean, firing: number): Look {
  if (!enabled) return { symbol: 's-paused', tone: 'tone-hold', word: 'off' };
  if (firing > 0) return { symbol: 's-unhealthy', tone: 'tone-bad', word: firing > 1 ? `fires ${firing}×` : 'fires' };
  return { symbol: 's-running', tone: 'tone-ok', word: 'on' };
}

function channelRow(channel: Channel, hasMail: boolean, base: string) {
  const { id, name, kind, origin, recipients, hasToken, isLost, lines } = channel;
  const notes = [
    isLost && 'Its address can no longer be read, since the key that it was sealed with is gone: enter it anew.',
    kind === 'email' && !hasMail && noMail,
    hasToken && 'With a token.',
    lines > 0 && `With the last ${plural(lines, 'log line')}.`,
  ];
  return {
    id,
    name,
    kind: channelLabels[kind],
    target: kind === 'email' ? recipients.join(', ') : `${origin}/••••••••`,
    note: notes.filter(Boolean).join(' '),
    href: `${base}/alerts/channels/${id}`,
  };
}

const notificationLooks: Record<Notification['state'], Look> = {
  waiting: { symbol: 's-restarting', tone: 'tone-warn', word: 'waiting' },
  sent: { symbol: 's-running', tone: 'tone-ok', word: 'sent' },
  failed: { symbol: 's-failed', tone: 'tone-bad', word: 'failed' },
};

function notificationRow(notification: Notification, now: number) {
  const { id, notice, channelName, state, attempts, dueAt, createdAt, finishedAt, result } = notification;
  const next = state === 'waiting' && attempts > 0 ? ` Tried again in ${duration(Math.max(0, dueAt - now))}.` : '';
  const often = attempts > 1 ? ` ${plural(attempts, 'attempt')}.` : '';
  return {
    id,
    title: noticeWords(notice, id, '').title,
    channel: channelName,
    look: notificationLooks[state],
    result: `${result}${often}${next}`.trim() || 'On its way.',
    time: toMoment(finishedAt ?? createdAt),
  };
}

type Choice = { value: string; label: string; selected: boolean };

/** The data of `pages/alert-rule`. */
export type RuleFormModel = Shared & {
  rule: {
    id: number | null;
    title: string;
    kind: RuleKind;
    hint: string;
    action: string;
    cancelHref: string;
    removeHref: string | null;
    name: string;
    namePlaceholder: string;
    /** The fields of its kind, by name; null where the kind has none. */
    forMinutes: string | null;
    deaths: string | null;
    withinMinutes: string | null;
    bound: { value: string; label: string; units: Choice[] } | null;
    log: { pattern: string; regex: boolean; matchCase: boolean; streams: Choice[] } | null;
    scope: { project: string; projects: string[]; containers: string } | null;
    channels: { id: number; label: string; checked: boolean }[];
    cooldownMinutes: string;
    tellResolved: boolean;
  };
};

const kindHints: Record<RuleKind, string> = {
  died: 'It fires when a container ends by itself with a code other than 0 or 143, or for want of memory; not when somebody stops or kills it. It is over when the container has run again for a minute, or was removed.',
  unhealthy:
    'It fires when a container’s own health check has failed for that long, and is over with the first check that succeeds.',
  restarts:
    'It fires when a container dies by itself so often within that time, whatever its code. It is over when it has not died for as long.',
  cpu: 'It fires when all figures within that time are over the bound, and is over with the first that is not. Containers without a limit are never near of it.',
  memory:
    'It fires when all figures within that time are over the bound. Containers without a limit are never near of it: give a size for those.',
  disk: 'It looks at the disk that holds the data folder, once a minute. In a container with a volume from the engine that is the disk of the engine itself; a bind mount is the disk of that folder.',
  log: 'It fires with the first line that matches from now on, over restarts too. It is over when no line has matched for as long as its pause.',
};

const minutesText = (seconds: number) => String(Math.round(toMinutes(seconds) * 100) / 100);

/** The form of a rule: a new one, or one to be changed. */
export function ruleFormModel(
  { id, ...rule }: RuleSettings & { id: number | null },
  found: { channels: readonly Channel[]; projects: readonly string[] },
  context: ViewContext,
): RuleFormModel {
  const { watch, scope } = rule;
  const path = `${context.base}/alerts/rules`;
  return {
    ...toShared(context),
    rule: {
      id,
      title: id === null ? ruleNames[watch.kind] : `Rule ${rule.name}`,
      kind: watch.kind,
      hint: kindHints[watch.kind],
      action: id === null ? path : `${path}/${id}`,
      cancelHref: `${context.base}/alerts`,
      removeHref: id === null ? null : `${path}/${id}/remove`,
      name: rule.name,
      namePlaceholder: ruleNames[watch.kind],
      forMinutes: 'forSeconds' in watch ? minutesText(watch.forSeconds) : null,
      deaths: watch.kind === 'restarts' ? String(watch.deaths) : null,
      withinMinutes: watch.kind === 'restarts' ? minutesText(watch.withinSeconds) : null,
      bound: boundField(watch),
      log:
        watch.kind === 'log'
          ? { ...watch, streams: choices({ '': 'Both outputs', stdout: 'stdout', stderr: 'stderr' }, watch.stream) }
          : null,
      scope:
        watch.kind === 'disk'
          ? null
          : { project: scope.project, projects: [...found.projects], containers: scope.containers.join(', ') },
      channels: found.channels.map((channel) => ({
        id: channel.id,
        label: `${channel.name} (${channelLabels[channel.kind]})`,
        checked: rule.channels.includes(channel.id),
      })),
      cooldownMinutes: minutesText(rule.cooldownSeconds),
      tellResolved: rule.tellsResolved,
    },
  };
}

function boundField(watch: Rule['watch']): RuleFormModel['rule']['bound'] {
  switch (watch.kind) {
    case 'cpu': {
      const units = { core: '% of one core', limit: '% of its limit', machine: '% of the machine' };
      return { value: String(watch.bound), label: 'CPU above', units: choices(units, watch.unit) };
    }
    case 'memory': {
      const units = { limit: '% of its limit', megabytes: 'MB' };
      return { value: String(watch.bound), label: 'Memory above', units: choices(units, watch.unit) };
    }
    case 'disk':
      return { value: String(watch.bound), label: 'Used, above %', units: [] };
    default:
      return null;
  }
}

const choices = (labels: Record<string, string>, chosen: string): Choice[] =>
  Object.entries(labels).map(([value, label]) => ({ value, label, selected: value === chosen }));

/** The data of `pages/alert-channel`. */
export type ChannelFormModel = Shared & {
  channel: {
    id: number | null;
    kind: ChannelKind;
    title: string;
    action: string;
    cancelHref: string;
    removeHref: string | null;
    name: string;
    namePlaceholder: string;
    /** What is shown of the address that is kept; empty for a new one. */
    kept: string;
    isLost: boolean;
    hasToken: boolean;
    priority: Choice[];
    recipients: string;
    lines: string;
    maxLines: number;
  };
};

const priorities = { 1: '1, lowest', 2: '2, low', 3: '3, as usual', 4: '4, high', 5: '5, highest' };

/** The form of a channel; of its secrets nothing is shown. */
export function channelFormModel(
  kind: ChannelKind,
  channel: Channel | null,
  maxLines: number,
  context: ViewContext,
): ChannelFormModel {
  const path = `${context.base}/alerts/channels`;
  const id = channel?.id ?? null;
  return {
    ...toShared(context),
    channel: {
      id,
      kind,
      title: channel ? `Channel ${channel.name}` : `Notify by ${kind === 'email' ? 'e-mail' : kind}`,
      action: id === null ? path : `${path}/${id}`,
      cancelHref: `${context.base}/alerts`,
      removeHref: id === null ? null : `${path}/${id}/remove`,
      name: channel?.name ?? '',
      namePlaceholder: channelLabels[kind],
      kept: channel && !channel.isLost && channel.origin ? `${channel.origin}/••••••••` : '',
      isLost: channel?.isLost ?? false,
      hasToken: channel?.hasToken ?? false,
      priority: choices(priorities, String(channel?.priority ?? 4)),
      recipients: channel?.recipients.join(', ') ?? '',
      lines: String(channel?.lines ?? 0),
      maxLines,
    },
  };
}
