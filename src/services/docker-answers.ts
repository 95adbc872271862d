import { Problem } from '../errors.ts';
import type { Document } from './own-settings.ts';
import { isRecord, listOf, type Reader } from './readers.ts';

/**
 * A list's items as far as they can be read; null is an empty one.
 * @throws Problem `engine_error` where the answer is no list
 */
export function toList<T>(read: Reader<T>, value: unknown): T[] {
  const list = value === null ? [] : listOf(read)(value);
  if (!list) throw new Problem('engine_error', 'The engine answered with something that is not a list.');
  return list;
}

/**
 * An object by its shape.
 * @throws Problem `engine_error` where the answer is none
 */
export function toRecord<T>(read: Reader<T>, value: unknown): T {
  const record = read(value);
  if (!record) throw new Problem('engine_error', 'The engine answered with something that is not an object.');
  return record;
}

/**
 * An object as it came, with all that is not known here.
 * @throws Problem `engine_error` where the answer is none
 */
export const toDocument = (value: unknown): Document => toRecord((item) => (isRecord(item) ? item : undefined), value);
