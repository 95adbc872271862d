/** Numbers, sizes, times and names as people read them. Nothing here knows HTML; everything is pure. */

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** A size in decimal units: `412 MB`, `1.36 GB`, `4.1 kB`. */
export function bytes(value: number): string {
  let size = Math.max(0, value);
  let unit = 0;
  while (unit < units.length - 1 && size >= 999.5) {
    size /= 1000;
    unit += 1;
  }
  // Megabytes in a list are compared at a glance, gigabytes are few: those keep three digits.
  const digits = unit === 0 ? 0 : unit >= 3 ? (size < 9.995 ? 2 : size < 99.95 ? 1 : 0) : size < 9.95 ? 1 : 0;
  return `${trimZeros(size.toFixed(digits))} ${units[unit]}`;
}

/** A rate in decimal units: `1.8 MB/s`. */
export function rate(bytesPerSecond: number): string {
  return `${bytes(bytesPerSecond)}/s`;
}

/** A share with one decimal, as `docker stats` counts CPU: `3.4%`. */
export function percent(value: number): string {
  return `${value.toFixed(1)}%`;
}

/** A count with thin groups: `1,204`. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 image`, `2 images`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A duration in one short unit: `12 s`, `41 min`, `2 h`, `3 d`, `14 mo`, `3 y`. */
export function duration(ms: number): string {
  const age = Math.max(0, ms);
  if (age < minute) return `${Math.floor(age / second)} s`;
  if (age < hour) return `${Math.floor(age / minute)} min`;
  if (age < 2 * day) return `${Math.floor(age / hour)} h`;
  if (age < 100 * day) return `${Math.floor(age / day)} d`;
  if (age < 2 * 365 * day) return `${Math.floor(age / (30 * day))} mo`;
  return `${Math.floor(age / (365 * day))} y`;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (value: number) => String(value).padStart(2, '0');

/** A moment in full: `21 Jan 2025, 09:14:02 UTC`. */
export function dateTime(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return 'unknown';
  return `${date.getUTCDate()} ${months[date.getUTCMonth()]} ${date.getUTCFullYear()}, ${clock(ms)} UTC`;
}

/** A day: `21 Jan`. */
export function dayMonth(ms: number): string {
  const date = new Date(ms);
  return `${date.getUTCDate()} ${months[date.getUTCMonth()]}`;
}

/** The time of day: `09:14:02`. */
export function clock(ms: number): string {
  const date = new Date(ms);
  return `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
}

/** A moment for `<time datetime>`; empty where it is none. */
export function iso(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

/** An engine's timestamp in ms; null for none and for Docker's year 1, which means never. */
export function moment(text: string | null | undefined): number | null {
  const ms = text ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) || ms <= 0 ? null : ms;
}

/** The first twelve digits of an id, as Docker shows it. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}

/**
 * A name cut in two, so that the sheet can shorten the first part and keep the second: the end of a name tells
 * replicas apart. Short names stay whole.
 */
export function splitName(name: string): { head: string; tail: string } {
  const letters = [...name];
  if (letters.length <= 20) return { head: name, tail: '' };
  return { head: letters.slice(0, -10).join(''), tail: letters.slice(-10).join('') };
}

/** An image reference as repository and tag (with its colon or at sign); a digest is shortened. */
export function splitReference(reference: string): { repository: string; tag: string } {
  const bare = /^(?:sha256:)?([0-9a-f]{64})$/.exec(reference);
  if (bare?.[1]) return { repository: '', tag: bare[1].slice(0, 12) };
  const [name = '', digest] = reference.split('@');
  const colon = name.indexOf(':', name.lastIndexOf('/') + 1);
  const repository = colon < 0 ? name : name.slice(0, colon);
  const tag = colon < 0 ? '' : name.slice(colon);
  return { repository, tag: digest ? `${tag}@${digest.slice(0, 19)}` : tag };
}

const trimZeros = (text: string) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);
