import type { Static } from 'typebox';
import { type AlertState, type Channel, type Notification, type Rule, toMinutes } from '../services/alert-types.ts';
import { maskText, toText } from '../services/secrets.ts';
import { factWords, noticeWords } from '../views/models/alert-words.ts';
import type * as schemas from './alert-schemas.ts';

type Firing = { rule: Rule; state: AlertState };

/** A rule as JSON, with the names that its form has, and how much fires of it. */
export function toRuleJson(rule: Rule, firing = 0): Static<typeof schemas.AlertRule> {
  const { id, name, enabled, watch, scope, channels, cooldownSeconds, tellsResolved } = rule;
  const { kind, ...watched } = watch;
  const { forSeconds, withinSeconds, ...rest } = { forSeconds: undefined, withinSeconds: undefined, ...watched };
  return {
    id,
    name,
    kind,
    enabled,
    ...scope,
    channels,
    cooldownMinutes: toMinutes(cooldownSeconds),
    tellResolved: tellsResolved,
    firing,
    ...(forSeconds !== undefined && { forMinutes: toMinutes(forSeconds) }),
    ...(withinSeconds !== undefined && { withinMinutes: toMinutes(withinSeconds) }),
    ...rest,
  };
}

/** A channel as JSON, without its secrets. */
export function toChannelJson({ isLost, ...channel }: Channel): Static<typeof schemas.AlertChannel> {
  return { ...channel, secretLost: isLost };
}

/** What fires as JSON. */
export function toFiringJson({ rule, state }: Firing): Static<typeof schemas.FiringAlert> {
  const { subject, facts, since } = state;
  return {
    rule: rule.id,
    ruleName: rule.name,
    container: subject.name || null,
    containerId: subject.id || null,
    project: subject.project || null,
    since: new Date(since).toISOString(),
    text: toText(maskText(factWords(subject.name, facts))),
  };
}

/** A notification as JSON. */
export function toNotificationJson(notification: Notification): Static<typeof schemas.AlertNotification> {
  const { id, rule, channel, channelName, notice, state, attempts, result, createdAt, finishedAt, dueAt } =
    notification;
  return {
    id,
    rule,
    channel: channelName,
    channelId: channel,
    event: notice.what,
    title: noticeWords(notice, id, '').title,
    state,
    attempts,
    result,
    createdAt: new Date(createdAt).toISOString(),
    finishedAt: finishedAt === null ? null : new Date(finishedAt).toISOString(),
    nextAttemptAt: state === 'waiting' ? new Date(dueAt).toISOString() : null,
  };
}
