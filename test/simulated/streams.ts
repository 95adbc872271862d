import type { ServerResponse } from 'node:http';

/** An answer that goes on: what it sends can be frozen, cut and watched. */
export interface EngineStream {
  /** Sends a chunk; while frozen it is kept for later. */
  push(chunk: string | Buffer): void;
  end(): void;
  destroy(): void;
  freeze(): void;
  thaw(): void;
  /** May more be sent without filling memory? */
  readonly isReady: boolean;
  readonly isClosed: boolean;
  /** How much waits for the reader. */
  readonly pendingBytes: number;
  onReady(listener: () => void): void;
  onClose(listener: () => void): void;
}

/** Wraps an answer whose headers are flushed at once, as engines do; with `held` as soon as that resolves. */
export function createStream(response: ServerResponse, held: Promise<void> | null = null): EngineStream {
  let pending: (string | Buffer)[] = [];
  let isFrozen = held !== null;
  let isEnding = false;
  // One that takes effect late has no client any more.
  let isClosed = response.destroyed;
  const readyListeners = new Set<() => void>();

  const ready = () => {
    for (const listener of readyListeners) listener();
  };
  response.on('drain', ready);
  response.on('close', () => {
    isClosed = true;
    pending = [];
  });

  function thaw(): void {
    isFrozen = false;
    for (const chunk of pending.splice(0)) response.write(chunk);
    if (isEnding) response.end();
    else ready();
  }

  function open(): void {
    if (isClosed) return;
    response.flushHeaders();
    thaw();
  }

  if (held) held.then(open, () => response.socket?.destroy());
  else response.flushHeaders();

  return {
    push(chunk) {
      if (isClosed || isEnding) return;
      if (isFrozen) pending.push(chunk);
      else response.write(chunk);
    },
    end() {
      isEnding = true;
      if (!isFrozen && !isClosed) response.end();
    },
    destroy() {
      response.socket?.destroy();
    },
    freeze() {
      isFrozen = true;
    },
    thaw,
    get isReady() {
      return !isFrozen && !isClosed && !isEnding && !response.writableNeedDrain;
    },
    get isClosed() {
      return isClosed || isEnding;
    },
    get pendingBytes() {
      return response.writableLength + pending.reduce((sum, chunk) => sum + chunk.length, 0);
    },
    onReady(listener) {
      readyListeners.add(listener);
    },
    onClose(listener) {
      if (isClosed) queueMicrotask(listener);
      else response.on('close', listener);
    },
  };
}
