/** Parts of the language that its type library does not know yet: github.com/tc39/proposal-json-parse-with-source. */
type SourceReviver = (key: string, value: unknown, context: { source?: string }) => unknown;
type Parse = (text: string, reviver: SourceReviver) => unknown;
type RawJson = { rawJSON: (text: string) => object };

/**
 * Reads JSON without rounding: an integer beyond 2^53, such as a limit of 9223372036854775807, becomes an object that is
 * written as the very same number again. Engines refuse it rounded up.
 * @throws SyntaxError where it is not JSON
 */
export function parseExact(text: string): unknown {
  return (JSON.parse as Parse)(text, (_key, value, { source }) => {
    const isRounded = typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source ?? '');
    return isRounded ? (JSON as unknown as RawJson).rawJSON(source ?? '') : value;
  });
}
