/** The `filters` query parameter: each key with the values that may match. */
export type Filters = Map<string, string[]>;

/** Reads `{"label":["a=b"]}` and the older `{"label":{"a=b":true}}`; `null` when it is neither. */
export function parseFilters(text: string | null): Filters | null {
  if (!text) return new Map();
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null) return null;
    return new Map(Object.entries(parsed).map(([key, values]) => [key, toValues(values)]));
  } catch {
    return null;
  }
}

function toValues(values: unknown): string[] {
  if (Array.isArray(values)) return values.map(String);
  if (typeof values !== 'object' || values === null) return [];
  return Object.keys(values).filter((key) => Reflect.get(values, key));
}

/** Does one of the values asked for match? Nothing asked for matches all. */
export function matchesAny(filters: Filters, key: string, matches: (value: string) => boolean): boolean {
  const values = filters.get(key);
  return values === undefined || values.length === 0 || values.some(matches);
}

/** Do all of the values asked for match? So it is for labels. */
export function matchesAll(filters: Filters, key: string, matches: (value: string) => boolean): boolean {
  return (filters.get(key) ?? []).every(matches);
}

/** `key` or `key=value` against labels. */
export function hasLabel(labels: Record<string, string>, wanted: string): boolean {
  const equals = wanted.indexOf('=');
  if (equals < 0) return wanted in labels;
  return labels[wanted.slice(0, equals)] === wanted.slice(equals + 1);
}

/** A regular expression as `docker ps --filter name=` takes it; a broken one is taken literally. */
export function matchesPattern(text: string, pattern: string): boolean {
  try {
    return new RegExp(pattern).test(text);
  } catch {
    return text.includes(pattern);
  }
}
