/** What a rule can watch. */
export const ruleKinds = ['died', 'unhealthy', 'restarts', 'cpu', 'memory', 'disk', 'log'] as const;
export type RuleKind = (typeof ruleKinds)[number];

/** What a rule is called that nobody gave a name. */
export const ruleNames: Record<RuleKind, string> = {
  died: 'A container died',
  unhealthy: 'A container is unhealthy',
  restarts: 'A container restarts in a loop',
  cpu: 'CPU over a bound',
  memory: 'Memory over a bound',
  disk: 'Disk nearly full',
  log: 'A log line matches',
};

/** Where notifications can go. */
export const channelKinds = ['webhook', 'ntfy', 'email'] as const;
export type ChannelKind = (typeof channelKinds)[number];

/** Whose containers a rule is about: of one project, of some names (`*` stands for anything), of both, or all. */
export type RuleScope = { project: string; containers: string[] };

/** CPU in percent of one core, of the container's limit or of the whole machine; memory in percent of the container's limit or in MB. */
export const cpuUnits = ['core', 'limit', 'machine'] as const;
export const memoryUnits = ['limit', 'megabytes'] as const;

/** What is watched, by kind; times in seconds. */
export type RuleWatch =
  | { kind: 'died' }
  | { kind: 'unhealthy'; forSeconds: number }
  | { kind: 'restarts'; deaths: number; withinSeconds: number }
  | { kind: 'cpu'; bound: number; unit: (typeof cpuUnits)[number]; forSeconds: number }
  | { kind: 'memory'; bound: number; unit: (typeof memoryUnits)[number]; forSeconds: number }
  | { kind: 'disk'; bound: number; forSeconds: number }
  | { kind: 'log'; pattern: string; regex: boolean; matchCase: boolean; stream: '' | 'stdout' | 'stderr' };

/** What somebody decided of a rule. */
export type RuleSettings = {
  name: string;
  watch: RuleWatch;
  scope: RuleScope;
  /** Channels by their ids. */
  channels: number[];
  /** At least so long between two notifications of one subject, seconds. */
  cooldownSeconds: number;
  /** Whether its end is told too. */
  tellsResolved: boolean;
};

export type Rule = RuleSettings & { id: number; enabled: boolean };

/** What of a channel may be shown. */
export type ChannelSettings = {
  name: string;
  kind: ChannelKind;
  /** Scheme, host and port of a webhook or an ntfy server; empty for e-mail. */
  origin: string;
  hasToken: boolean;
  /** ntfy's, from 1 to 5. */
  priority: number;
  recipients: string[];
  /** How many of the last log lines are sent along. */
  lines: number;
};

/** What of a channel is kept sealed: a webhook's address can be a secret in itself, and so can a topic. */
export type ChannelSecrets = { url: string; token: string; topic: string };

/** `isLost`: the key that its secrets were sealed with is gone. */
export type Channel = ChannelSettings & { id: number; isLost: boolean };

/** What a rule fired on; a bound as it was then. */
export type AlertFacts =
  | { kind: 'died'; exitCode: number | null; oom: boolean }
  | { kind: 'unhealthy'; forSeconds: number }
  | { kind: 'restarts'; deaths: number; withinSeconds: number; exitCode: number | null }
  | { kind: 'cpu'; percent: number; bound: number; unit: (typeof cpuUnits)[number]; forSeconds: number }
  | {
      kind: 'memory';
      bytes: number;
      limitBytes: number | null;
      bound: number;
      unit: (typeof memoryUnits)[number];
      forSeconds: number;
    }
  | { kind: 'disk'; usedPercent: number; freeBytes: number; bound: number }
  | { kind: 'log'; text: string; stream: string; pattern: string };

/** What a rule is about: a container by its name, or the machine (an empty name). */
export type AlertSubject = { name: string; id: string; image: string; project: string; service: string };

/** How it ended: it is no longer so, the container is gone, nothing of the kind came for a while. */
export type AlertEnd = 'over' | 'gone' | 'quiet';

/** How one rule stands for one subject; times in ms since 1970. */
export type AlertState = {
  subject: AlertSubject;
  isFiring: boolean;
  /** When it began to fire. */
  since: number;
  /** When it last happened, and how often since it was last told. */
  lastAt: number;
  count: number;
  facts: AlertFacts;
  /** What is still to be told; while it waits for the cool-down `due` is set as well. */
  due: '' | 'firing' | 'resolved';
  end: AlertEnd | '';
  /** When its firing was last told; 0 for never. */
  toldAt: number;
  /** Whether the present firing was told. */
  isTold: boolean;
};

/** One of those that a notification is about; `lines` are its last log lines. */
export type AlertItem = {
  subject: AlertSubject;
  at: number;
  since: number;
  count: number;
  facts: AlertFacts | null;
  end: AlertEnd | '';
  lines: string[];
};

/** What is sent: of one rule, at most ten at a time, and how many more there are. */
export type AlertNotice = {
  what: 'firing' | 'resolved' | 'test';
  rule: { id: number; name: string; kind: RuleKind | null };
  at: number;
  items: AlertItem[];
  more: number;
};

export type NotificationState = 'waiting' | 'sent' | 'failed';

/** A notification on its way or at its end; times in ms since 1970. */
export type Notification = {
  id: number;
  rule: string;
  channel: number;
  channelName: string;
  notice: AlertNotice;
  state: NotificationState;
  attempts: number;
  dueAt: number;
  createdAt: number;
  finishedAt: number | null;
  result: string;
};

/** What is needed of a container to know whose rule it is. */
export type Watched = { name: string; project: string | null };

/** Whether a rule is about containers; else about the machine. */
export const isAboutContainers = (kind: RuleKind): boolean => kind !== 'disk';

/** Whether a rule is about figures, which are there only where they are sampled. */
export const isAboutFigures = (kind: RuleKind): boolean => kind === 'cpu' || kind === 'memory';

/** Minutes, as people give and read the times of a rule. */
export const toMinutes = (seconds: number): number => seconds / 60;

/** How much fires of each rule, by the rules' ids. */
export function countFiring(firing: readonly { rule: Rule }[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const { rule } of firing) counts.set(rule.id, (counts.get(rule.id) ?? 0) + 1);
  return counts;
}
