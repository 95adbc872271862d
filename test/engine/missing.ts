/** What a test needs and this machine can't give; its message is one plain sentence. */
export class Missing extends Error {
  override name = 'Missing';
}

/** No real engine can be started here: no root, no packages or no network namespaces. */
export class MissingEngine extends Missing {
  override name = 'MissingEngine';
}

/** No real browser can be started here. */
export class MissingBrowser extends Missing {
  override name = 'MissingBrowser';
}

/** The part of a tap test that is needed to report what is missing. */
export type Reporter = { fail(message: string): boolean; plan(n: number, comment: string): void };

/**
 * Runs `start` and gives its result, or reports what is missing and gives nothing: a failure where `CI` is set, since
 * a green run must have run everything, and else a skipped test. Every other error is thrown on.
 */
export async function unlessMissing<T>(test: Reporter, start: () => Promise<T>): Promise<T | undefined> {
  try {
    return await start();
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    if (process.env.CI === 'true') test.fail(error.message);
    else test.plan(0, error.message);
    return undefined;
  }
}
