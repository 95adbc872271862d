/**
 * Reads a value of unknown JSON as one type; undefined where it is of another. What an engine, or what answers in its
 * place, sends is never believed to have the shape that its documentation tells.
 */
export type Reader<T> = (value: unknown) => T | undefined;

type Known = Record<string, unknown>;

/** Whether a value is a JSON object. */
export const isRecord = (value: unknown): value is Known =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const text: Reader<string> = (value) => (typeof value === 'string' ? value : undefined);

export const number: Reader<number> = (value) =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;

export const flag: Reader<boolean> = (value) => (typeof value === 'boolean' ? value : undefined);

/** The first of two readers that can read it. */
export const either =
  <A, B>(a: Reader<A>, b: Reader<B>): Reader<A | B> =>
  (value) =>
    a(value) ?? b(value);

/** The items that can be read; others are left out. */
export const listOf =
  <T>(read: Reader<T>): Reader<T[]> =>
  (value) =>
    Array.isArray(value) ? value.map(read).filter((item) => item !== undefined) : undefined;

/** The entries that can be read. Names that JavaScript objects already have a meaning for are left out. */
export const recordOf =
  <T>(read: Reader<T>): Reader<Record<string, T>> =>
  (value) =>
    isRecord(value) ? Object.fromEntries(entriesOf(value, read)) : undefined;

function* entriesOf<T>(value: Known, read: Reader<T>): Generator<[string, T]> {
  for (const [name, item] of Object.entries(value)) {
    const known = name === '__proto__' ? undefined : read(item);
    if (known !== undefined) yield [name, known];
  }
}

/** An object's known fields, each by its own reader; null and what can't be read are left out. */
export const object =
  <T extends object>(fields: { [K in keyof T]-?: Reader<NonNullable<T[K]>> }): Reader<T> =>
  (value) => {
    if (!isRecord(value)) return undefined;
    const read = Object.entries<Reader<unknown>>(fields).map(([name, reader]) => [name, reader(value[name])]);
    return Object.fromEntries(read.filter(([, field]) => field !== undefined)) as T;
  };

/** Anything at all, for what is only counted or named. */
export const anything: Reader<unknown> = (value) => value ?? undefined;
