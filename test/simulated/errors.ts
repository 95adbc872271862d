/** An answer that is not a success; thrown by the stores, sent by the server in the words of the engine's flavour. */
export class EngineError extends Error {
  readonly status: number;
  /** Podman's `cause`; other engines have none. */
  readonly reason: string;

  constructor(status: number, message: string, reason = message) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

/** 304, which engines answer without a body. */
export function notModified(): EngineError {
  return new EngineError(304, '');
}
