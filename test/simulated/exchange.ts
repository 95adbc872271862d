import type { IncomingMessage, ServerResponse } from 'node:http';
import { EngineError } from './errors.ts';
import type { Verdict } from './faults.ts';
import type { Flavour } from './flavours.ts';
import type { RecordedRequest, StreamKind } from './requests.ts';
import { createStream, type EngineStream } from './streams.ts';

/** One request and its answer. */
export type Exchange = ReturnType<typeof createExchange>;

/** Wraps a request; what it sends obeys the faults in force. */
export function createExchange(
  request: IncomingMessage,
  response: ServerResponse,
  recorded: RecordedRequest,
  query: URLSearchParams,
  verdict: Verdict,
  flavour: Flavour,
) {
  const isHeld = verdict.after.length > 0 || verdict.mute !== null;
  let settled: Promise<void> | null = null;
  let read: Promise<Record<string, unknown>> | null = null;

  function head(status: number, contentType: string | null): void {
    recorded.status = status;
    response.statusCode = status;
    // Engines stamp each answer anew; Node's own stamp is kept for a second, and longer where a timer is late.
    response.setHeader('Date', new Date().toUTCString());
    if (contentType) response.setHeader('Content-Type', contentType);
  }

  /** After the effect and before the answer: what faults do there, once. */
  function settle(): Promise<void> {
    settled ??= callAfter();
    return settled;
  }

  async function callAfter(): Promise<void> {
    for (const hook of verdict.after) await hook(recorded);
    await verdict.mute;
  }

  function deliver(send: () => void): void {
    if (!isHeld) send();
    else settle().then(send, () => response.socket?.destroy());
  }

  function text(status: number, body: string, contentType: string): void {
    deliver(() => {
      head(status, contentType);
      response.setHeader('Content-Length', Buffer.byteLength(body));
      if (verdict.cut) cutAfter(body.slice(0, Math.floor(body.length / 2)));
      else response.end(request.method === 'HEAD' ? undefined : body);
    });
  }

  function cutAfter(part: string): void {
    response.write(part, () => response.socket?.destroy());
  }

  function json(status: number, value: unknown): void {
    text(status, `${JSON.stringify(value)}\n`, 'application/json');
  }

  function empty(status: number): void {
    deliver(() => {
      if (verdict.cut) return response.socket?.destroy();
      head(status, null);
      response.end();
    });
  }

  /** A pull is its answer: what is held there are its last messages. */
  function stream(kind: StreamKind, contentType: string): EngineStream {
    head(200, contentType);
    recorded.kind = kind;
    const opened = createStream(response, kind === 'pull' ? verdict.mute : isHeld ? settle() : null);
    recorded.stream = opened;
    return verdict.cut ? cutting(opened) : opened;
  }

  /** Goes as far as half of the first chunk. */
  function cutting(opened: EngineStream): EngineStream {
    return Object.create(opened, {
      push: { value: (chunk: string | Buffer) => response.write(half(chunk), () => opened.destroy()) },
    });
  }

  /** It comes once, and may be wanted before it is looked at: it goes with its client. */
  function body(): Promise<Record<string, unknown>> {
    read ??= readBody(request);
    return read;
  }

  function fail(error: unknown): void {
    const known = error instanceof EngineError ? error : new EngineError(500, `simulated engine: ${error}`);
    if (response.headersSent) response.socket?.destroy();
    else if (known.status === 304) empty(304);
    else json(known.status, toErrorBody(known));
  }

  function toErrorBody({ message, reason, status }: EngineError): Record<string, unknown> {
    return flavour.isPodman ? { cause: reason, message, response: status } : { message };
  }

  return {
    query,
    recorded,
    json,
    text,
    empty,
    stream,
    settle,
    fail,
    /** `?force=1`, `?force=true`. */
    isSet: (name: string) => ['1', 'true', 'True'].includes(query.get(name) ?? ''),
    header: (name: string) => String(request.headers[name.toLowerCase()] ?? ''),
    body,
  };
}

function half(chunk: string | Buffer): string | Buffer {
  return chunk.slice(0, Math.ceil(chunk.length / 2));
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  const text = Buffer.concat(chunks).toString();
  if (text === '') return {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (isRecord(parsed)) return parsed;
  } catch {}
  throw new EngineError(400, 'invalid JSON: got EOF while reading request body');
}

/** Is it a JSON object? */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
