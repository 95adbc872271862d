/**
 * What a reading of hostile text gives, or what stands in for it where it throws. One line that cannot be read must not
 * take the others with it: neither the page that it stands on nor the stream that it came by.
 */
export function attempt<T>(read: () => T, otherwise: () => T): T {
  try {
    return read();
  } catch {
    return otherwise();
  }
}
