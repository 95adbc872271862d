/** What Go prints for a time that was never set. */
export const ZERO_TIME = '0001-01-01T00:00:00Z';

const NANOS_PER_SECOND = 1_000_000_000n;
const UNIT_SECONDS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };

let last = 0n;

/** The wall clock in nanoseconds; strictly increasing, so that no two lines or events share a time by accident. */
export function nowNanos(): bigint {
  // Of the same millisecond as Date.now(), with the digits below it in use, as on a real engine.
  const now = BigInt(Date.now()) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n);
  last = now > last ? now : last + 1n;
  return last;
}

/** Milliseconds (or a Date) as nanoseconds. */
export function toNanos(time: Date | number): bigint {
  return BigInt(Math.round(Number(time) * 1000)) * 1000n;
}

/** Nanoseconds as milliseconds. */
export function toMillis(nanos: bigint): number {
  return Number(nanos / 1000n) / 1000;
}

let cachedSecond = -1n;
let cachedPrefix = '';

/** RFC 3339 with all nine digits, as engines stamp log lines. */
export function toFixedRfc3339(nanos: bigint): string {
  const second = nanos / NANOS_PER_SECOND;
  if (second !== cachedSecond) {
    cachedSecond = second;
    cachedPrefix = new Date(Number(second) * 1000).toISOString().slice(0, 20);
  }
  return `${cachedPrefix}${String(nanos % NANOS_PER_SECOND).padStart(9, '0')}Z`;
}

/** RFC 3339 without trailing zeros, as Go's encoder prints times; `null` is Go's zero time. */
export function toRfc3339(nanos: bigint | null): string {
  if (nanos === null) return ZERO_TIME;
  return toFixedRfc3339(nanos).replace(/\.?0+Z$/, 'Z');
}

/**
 * Reads a time as the engine's API does: Unix seconds with a fraction, RFC 3339, or a Go duration into the past.
 * @example parseTime('1795446934.392348012'); parseTime('2026-11-23T15:15:36Z'); parseTime('10m')
 */
export function parseTime(value: string | null): bigint | null {
  if (!value || value === '0') return null;
  const unix = /^(-?\d+)(?:\.(\d{1,9})\d*)?$/.exec(value);
  if (unix) return BigInt(unix[1] ?? '0') * NANOS_PER_SECOND + BigInt((unix[2] ?? '').padEnd(9, '0'));
  return parseDuration(value) ?? parseRfc3339(value);
}

function parseDuration(value: string): bigint | null {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(value)) return null;
  let seconds = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    seconds += Number(amount) * (UNIT_SECONDS[unit ?? ''] ?? 0);
  }
  return nowNanos() - toNanos(seconds * 1000);
}

function parseRfc3339(value: string): bigint | null {
  const parts = /^(.*?:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(value);
  const millis = Date.parse(parts ? `${parts[1]}${parts[3]}` : value);
  if (Number.isNaN(millis)) return null;
  return toNanos(millis) + BigInt((parts?.[2] ?? '').padEnd(9, '0'));
}

/** How Docker says a duration: `Up 2 seconds`, `Exited (0) About an hour ago`. */
export function humanDuration(millis: number): string {
  const seconds = Math.floor(millis / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds < 60) return seconds === 1 ? '1 second' : `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes === 1 ? 'About a minute' : `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  return hours === 1 ? 'About an hour' : humanHours(hours);
}

function humanHours(hours: number): string {
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}
