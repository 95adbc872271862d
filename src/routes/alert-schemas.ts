import { Type } from 'typebox';
import { channelKinds, ruleKinds } from '../services/alert-types.ts';

/** The shapes of alerts under `/api/alerts`, and of the forms that change them. */
const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const time = Type.String({ format: 'date-time', description: 'RFC 3339' });
const optionalNumber = (description: string) => Type.Optional(Type.Number({ description }));
const optionalText = (maxLength: number, description: string) => Type.Optional(Type.String({ maxLength, description }));

export const AlertRule = Type.Object({
  id: Type.Integer(),
  name: Type.String(),
  kind: Type.String({ description: ruleKinds.join(', ') }),
  enabled: Type.Boolean(),
  project: Type.String({ description: 'empty for all' }),
  containers: Type.Array(Type.String(), { description: 'names, `*` for anything; empty for all' }),
  channels: Type.Array(Type.Integer()),
  cooldownMinutes: Type.Number(),
  tellResolved: Type.Boolean(),
  firing: Type.Integer({ description: 'for how many containers it fires now' }),
  forMinutes: optionalNumber('how long it has to be so'),
  deaths: optionalNumber('of a loop'),
  withinMinutes: optionalNumber('of a loop'),
  bound: optionalNumber('of CPU, memory, disk'),
  unit: Type.Optional(Type.String({ description: 'of CPU: core, limit, machine; of memory: limit, megabytes' })),
  pattern: Type.Optional(Type.String()),
  regex: Type.Optional(Type.Boolean()),
  matchCase: Type.Optional(Type.Boolean()),
  stream: Type.Optional(Type.String({ description: 'stdout, stderr, or empty for both' })),
});

export const AlertChannel = Type.Object({
  id: Type.Integer(),
  name: Type.String(),
  kind: Type.String({ description: channelKinds.join(', ') }),
  origin: Type.String({ description: 'scheme and host of its address: the rest is never shown' }),
  hasToken: Type.Boolean(),
  priority: Type.Integer({ description: "ntfy's, 1 to 5" }),
  recipients: Type.Array(Type.String()),
  lines: Type.Integer({ description: 'last log lines that are sent along' }),
  secretLost: Type.Boolean({ description: 'the key that its address was sealed with is gone' }),
});

export const FiringAlert = Type.Object({
  rule: Type.Integer(),
  ruleName: Type.String(),
  container: nullable(Type.String()),
  containerId: nullable(Type.String()),
  project: nullable(Type.String()),
  since: time,
  text: Type.String(),
});

export const AlertNotification = Type.Object({
  id: Type.Integer(),
  rule: Type.String(),
  channel: Type.String(),
  channelId: Type.Integer(),
  event: Type.String({ description: 'firing, resolved, test' }),
  title: Type.String(),
  state: Type.String({ description: 'waiting, sent, failed' }),
  attempts: Type.Integer(),
  result: Type.String(),
  createdAt: time,
  finishedAt: nullable(time),
  nextAttemptAt: nullable(time),
});

export const Alerts = Type.Object({
  rules: Type.Array(AlertRule),
  channels: Type.Array(AlertChannel),
  firing: Type.Array(FiringAlert),
  available: Type.Object({ email: Type.Boolean(), figures: Type.Boolean() }),
});

const flag = (description: string) =>
  Type.Optional(
    Type.Unsafe<boolean | string>({ enum: [true, false, 'true', 'false', 'on', '1', '0', ''], description }),
  );
const list = (description: string) =>
  Type.Optional(
    Type.Union([Type.String({ maxLength: 4_000 }), Type.Array(Type.String({ maxLength: 400 }), { maxItems: 100 })], {
      description,
    }),
  );

const ruleFields = {
  name: optionalText(400, 'its kind where it is left out'),
  enabled: flag('true unless said otherwise'),
  project: optionalText(255, 'a Compose project'),
  containers: list('names, `*` for anything'),
  channels: Type.Optional(Type.Array(Type.Integer(), { maxItems: 50 })),
  cooldownMinutes: optionalNumber('between two notifications of one container; 15'),
  tellResolved: flag('whether its end is told'),
  forMinutes: optionalNumber('unhealthy, cpu, memory, disk'),
  deaths: optionalNumber('restarts; 3'),
  withinMinutes: optionalNumber('restarts; 10'),
  bound: optionalNumber('cpu, memory, disk; 90'),
  unit: optionalText(20, 'cpu: core, limit, machine; memory: limit, megabytes'),
  pattern: optionalText(400, 'log'),
  regex: flag('log'),
  matchCase: flag('log'),
  stream: optionalText(10, 'log: stdout, stderr'),
};

const kind = (kinds: readonly string[]) => Type.String({ maxLength: 20, description: kinds.join(', ') });

export const RuleBody = Type.Object({ kind: kind(ruleKinds), ...ruleFields });
export const RuleChange = Type.Object({ kind: Type.Optional(kind(ruleKinds)), ...ruleFields });

const channelFields = {
  name: optionalText(400, 'its kind where it is left out'),
  url: optionalText(4_000, "a webhook's address, or an ntfy server; left out or empty it stays"),
  token: optionalText(2_000, 'sent as a bearer token; left out or empty it stays while the host stays'),
  clearToken: flag('whether the token that is kept shall go'),
  topic: optionalText(200, 'ntfy; left out or empty it stays'),
  priority: optionalNumber('ntfy, 1 to 5'),
  recipients: list('e-mail'),
  lines: optionalNumber('last log lines that are sent along, 0 to 20'),
};

export const ChannelBody = Type.Object({ kind: kind(channelKinds), ...channelFields });
export const ChannelChange = Type.Object({ kind: Type.Optional(kind(channelKinds)), ...channelFields });

const number = Type.String({ pattern: '^[1-9][0-9]{0,14}$' });
const oneOf = <T extends string>(values: readonly T[]) => Type.Unsafe<T>({ type: 'string', enum: values });

export const AlertParams = Type.Object({ n: number });
export const RuleActionParams = Type.Object({ n: number, action: oneOf(['on', 'off', 'test', 'remove']) });
export const ChannelActionParams = Type.Object({ n: number, action: oneOf(['test', 'remove']) });
export const NewRuleQuery = Type.Object({ kind: oneOf(ruleKinds) });
export const NewChannelQuery = Type.Object({ kind: oneOf(channelKinds) });

export const NotificationQuery = Type.Object({
  before: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
});

export const RemovedAlert = Type.Object({ id: Type.Integer(), removed: Type.Literal(true) });
