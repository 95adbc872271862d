import type { Static } from 'typebox';
import { type Death, type KeptEvent, placeOf, placeText } from '../services/event-types.ts';
import { maskText, toText } from '../services/secrets.ts';
import { eventWords } from '../views/models/event-words.ts';
import type * as schemas from './schemas.ts';

/** An event as JSON; with its last words where it is a death of which they were asked for. */
export function toEventJson(event: KeptEvent, deaths: ReadonlyMap<string, Death>): Static<typeof schemas.Event> {
  const { id, at, type, action, subject, name, timeline, former, trouble, details } = event;
  const { imageBefore: _, container: __, oom, took, from, message, ...told } = details;
  const { title, code, notes } = eventWords(event);
  const death = deaths.get(`${subject}@${at}`);
  return {
    id,
    cursor: placeText(placeOf(event)),
    at: microsText(at),
    type,
    action,
    subject,
    name,
    trouble: trouble || null,
    text: [`${title}${code && ` ${code}`}.`, ...notes].join(' '),
    container: timeline || null,
    ...told,
    ...(message !== undefined && { message: toText(maskText(message)) }),
    ...(former !== '' && { formerName: former }),
    ...(oom && { oomKilled: true }),
    ...(took !== undefined && { tookMs: took }),
    ...(from !== undefined && { from: microsText(from) }),
    ...(death && { lastWords: toLastWords(death) }),
  };
}

function toLastWords({ lines, note, figures }: Death): Static<typeof schemas.LastWords> {
  return {
    lines,
    note,
    cpuPercent: figures?.cpuPercent ?? null,
    memoryBytes: figures?.memoryBytes ?? null,
    memoryLimitBytes: figures?.memoryLimitBytes ?? null,
    figuresAt: figures ? new Date(figures.at).toISOString() : null,
  };
}

/** µs since 1970 as RFC 3339 with six decimals. */
function microsText(at: number): string {
  const whole = new Date(Math.floor(at / 1_000)).toISOString();
  return `${whole.slice(0, -1)}${String(Math.floor(at) % 1_000).padStart(3, '0')}Z`;
}
