/** Every way a request can fail, with the HTTP status it is told by. */
export const statusOf = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  disabled: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  image_multiple_repositories: 409,
  image_has_children: 409,
  image_in_use: 409,
  too_large: 413,
  unsupported_media_type: 415,
  misdirected: 421,
  rate_limited: 429,
  internal: 500,
  engine_error: 502,
  registry_denied: 502,
  registry_unreachable: 502,
  engine_unreachable: 503,
  engine_timeout: 504,
  no_space: 507,
} as const;

/** The machine-readable name of a failure; stays the same between versions. */
export type ErrorCode = keyof typeof statusOf;

/** A failure that can be told to a person: what went wrong, in a sentence that names the thing. */
export class Problem extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  /** The engine's own words, where it said any. */
  readonly engineMessage: string | undefined;

  constructor(code: ErrorCode, detail: string, engineMessage?: string) {
    super(detail);
    this.name = 'Problem';
    this.code = code;
    this.status = statusOf[code];
    this.engineMessage = engineMessage;
  }
}

/** Whether something thrown is a Problem, or one with the given code. */
export function isProblem(error: unknown, code?: ErrorCode): error is Problem {
  return error instanceof Problem && (code === undefined || error.code === code);
}

/**
 * Takes "there is no such thing" for an answer; to be given to `catch`.
 * @throws every other error
 */
export function unlessNotFound(error: unknown): undefined {
  if (isProblem(error, 'not_found')) return undefined;
  throw error;
}
