/**
 * A container's status as the engine words it (`Up 3 minutes (healthy)`, `Exited (137) 2 hours ago`), taken apart
 * so that it can be told again later without asking. `since` is when that state began, in ms since 1970: exact where an
 * event told it, else the latest moment that fits the words; `slack` is how many ms earlier it may have been.
 */
export type StatusWords = {
  text: string;
  state: string;
  health: 'starting' | 'healthy' | 'unhealthy' | null;
  exitCode: number | null;
  since: number | null;
  slack: number;
  exact: boolean;
};

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

const unitMs: Record<string, number> = {
  second,
  minute,
  hour,
  day,
  week: 7 * day,
  month: 30 * day,
  year: 365 * day,
};

const states: ReadonlyArray<readonly [RegExp, string]> = [
  [/^Up .*\(Paused\)/, 'paused'],
  [/^Up/, 'running'],
  [/^Restarting/, 'restarting'],
  [/^Exited/, 'exited'],
  [/^Created|^Initialized|^Configured/i, 'created'],
  [/^Removal/, 'removing'],
  [/^Dead/, 'dead'],
];

/** Reads the engine's status text as it was at `now` (ms). */
export function parseStatus(text: string, now: number): StatusWords {
  const age = ageOf(text);
  const code = /\((-?\d+)\)/.exec(text)?.[1];
  return {
    text,
    state: states.find(([pattern]) => pattern.test(text))?.[1] ?? '',
    health: healthOf(text),
    exitCode: code === undefined ? null : Number(code),
    since: age === null ? null : now - age.youngest,
    slack: age?.slack ?? 0,
    exact: false,
  };
}

function healthOf(text: string): StatusWords['health'] {
  if (text.includes('(healthy)')) return 'healthy';
  if (text.includes('(unhealthy)')) return 'unhealthy';
  return text.includes('(health: starting)') || text.includes('(starting)') ? 'starting' : null;
}

/** The youngest age that the words allow and how much older it may be, in ms; null where they name none. */
function ageOf(text: string): { youngest: number; slack: number } | null {
  if (/Less than a second/.test(text)) return { youngest: 0, slack: second };
  if (/About a minute/.test(text)) return { youngest: minute, slack: minute };
  if (/About an hour/.test(text)) return { youngest: hour, slack: hour / 2 };
  const match = /(\d+) (second|minute|hour|day|week|month|year)s?/.exec(text);
  if (!match) return null;
  const unit = unitMs[match[2] ?? ''] ?? 0;
  // Hours and above are rounded to the nearest hour before they are counted.
  return { youngest: Number(match[1]) * unit - (unit >= hour ? hour / 2 : 0), slack: unit };
}

/**
 * An age in the engine's own words, `3 minutes`.
 * Steps as in Docker's go-units, `HumanDuration` (github.com/docker/go-units, duration.go).
 */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / second);
  const minutes = Math.floor(ms / minute);
  const hours = Math.floor(ms / hour + 0.5);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}

/** The status as the engine would word it at `now` (ms). */
export function statusText(words: StatusWords, state: string, now: number): string {
  if (words.since === null) return words.text;
  const age = humanDuration(Math.max(0, now - words.since));
  switch (state) {
    case 'running':
      return `Up ${age}${healthSuffix(words.health)}`;
    case 'paused':
      return `Up ${age} (Paused)`;
    case 'exited':
      return `Exited (${words.exitCode ?? 0}) ${age} ago`;
    case 'restarting':
      return `Restarting (${words.exitCode ?? 0}) ${age} ago`;
    default:
      return words.text;
  }
}

function healthSuffix(health: StatusWords['health']): string {
  if (health === null) return '';
  return health === 'starting' ? ' (health: starting)' : ` (${health})`;
}

const clockSlack = 2 * second;

/**
 * Joins an older knowledge of the same state with a newer one. Words get vaguer with age, so the older moment is
 * kept as long as the newer words allow it; where they don't, the state began anew unseen.
 */
export function keepSince(older: StatusWords, newer: StatusWords): StatusWords {
  if (newer.since === null || older.since === null) return newer;
  if (older.since < newer.since - newer.slack - clockSlack || older.since > newer.since + clockSlack) return newer;
  if (older.exact) return { ...newer, since: older.since, exact: true };
  return { ...newer, since: Math.min(older.since, newer.since) };
}
