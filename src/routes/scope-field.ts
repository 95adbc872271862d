import { Problem } from '../errors.ts';
import type { Scope } from '../services/capabilities.ts';

const pattern = /^[\w.*-]{1,255}$/u;

/**
 * Reads which projects and names somebody may see: a list, or one as a form sends it, with commas; what is left out, or
 * empty in a form, is everything. An empty list is refused: who means nothing by it must not be given everything.
 * @throws Problem `invalid`
 */
export function toScope(value: string | readonly string[] | undefined): Scope {
  if (Array.isArray(value) && value.length === 0) {
    throw new Problem('invalid', 'projects: name at least one, or leave it out for everything.');
  }
  // What a form sends as one text may come as a list of that one.
  const items = [value ?? []]
    .flat()
    .flatMap((item) => item.split(','))
    .map((item) => item.trim())
    .filter(Boolean);
  const wrong = items.find((item) => !pattern.test(item));
  if (wrong !== undefined) {
    throw new Problem(
      'invalid',
      'projects: takes names of projects and containers: letters, digits, "_", ".", "-", and "*".',
    );
  }
  return items.length === 0 ? null : [...new Set(items)];
}
