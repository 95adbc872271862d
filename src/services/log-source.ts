import type { IncomingMessage } from 'node:http';
import { addAbortSignal } from 'node:stream';
import { isProblem, Problem } from '../errors.ts';
import type { DockerPort, LogRequest } from './docker.ts';
import { createNumbering, cursorTime, toEngineTime } from './log-cursor.ts';
import { createEntries } from './log-entries.ts';
import type { LogLine } from './log-lines.ts';
import { createLogReader } from './log-stream.ts';

/** The part of the engine that logs need. */
export type LogEngine = Pick<DockerPort, 'containerLogs'>;

/** The engine's log streams. */
export type LogSource = ReturnType<typeof createSource>;

/** A tail of this length costs the engine some milliseconds. */
const nearTail = 1_000;

/** Creates the source of log lines: the engine's streams as batches of numbered lines, counted while they are open. */
export function createSource(docker: LogEngine) {
  let count = 0;

  /** The chunks of one engine stream, which ends with the signal, with its reader, or by itself. */
  async function* chunks(id: string, request: LogRequest, signal: AbortSignal, onOpen: () => void) {
    const answer = await docker.containerLogs(id, request, signal);
    count += 1;
    try {
      addAbortSignal(signal, answer);
      onOpen();
      yield* answer as AsyncIterable<Buffer>;
    } catch (error) {
      throw signal.aborted ? signal.reason : toProblem(error);
    } finally {
      count -= 1;
      discard(answer);
    }
  }

  function open(id: string, request: LogRequest, signal: AbortSignal, onOpen: () => void = () => {}) {
    let batch: LogLine[] = [];
    let number: ((at: string) => string) | undefined;
    let uncertainTime: string | undefined;
    const join = createEntries();
    const reader = createLogReader((at, stream, text) => {
      batch.push({ at, cursor: '', stream, text, container: id });
    });

    async function* run(): AsyncGenerator<LogLine[]> {
      for await (const chunk of chunks(id, request, signal, onOpen)) yield* take(() => reader.push(chunk), false);
      yield* take(reader.end, true);
    }

    /** What was read up to an error comes before the error. */
    async function* take(step: () => void, isLast: boolean): AsyncGenerator<LogLine[]> {
      let fault: { error: unknown } | undefined;
      try {
        step();
      } catch (error) {
        fault = { error };
      }
      if (batch.length > 0) number ??= await begin(isLast || fault !== undefined);
      if (number && batch.length > 0) yield numbered(number);
      if (fault) throw fault.error;
    }

    function numbered(next: (at: string) => string): LogLine[] {
      const lines = batch;
      batch = [];
      for (const line of lines) {
        line.cursor = next(line.at);
        join(line);
      }
      return lines;
    }

    /**
     * The numbering of this stream. Where several lines of one time stand first, a tail may have cut their group, and
     * the log is asked for the whole of it; nothing yet where it is not clear whether the rest is still to come.
     */
    async function begin(isLast: boolean): Promise<typeof number> {
      const at = batch[0]?.at ?? '';
      const isGroup = batch[1]?.at === at || request.tail === 1;
      if (!request.tail) return createNumbering();
      if (!isGroup) uncertainTime = cursorTime(createNumbering()(at));
      const isCut = reader.pieces() >= request.tail;
      if (!isGroup || (isLast && !isCut)) return createNumbering();
      const end = batch.findIndex((line) => line.at !== at);
      const before = await countBefore(id, at, end < 0 ? batch.length : end, signal);
      return end < 0 && !isCut && before > 0 ? undefined : createNumbering(before);
    }

    return {
      lines: run(),
      /** How many messages of the engine were read, as its `tail` counts them. */
      pieces: reader.pieces,
      /** The time of the first line where nobody knows how many lines of the same time lie before it. */
      uncertainTime: () => uncertainTime,
    };
  }

  /** How many lines of a time lie before the last `known` ones; the end of the log is asked first, as that is quick. */
  async function countBefore(id: string, at: string, known: number, signal: AbortSignal): Promise<number> {
    const cursor = createNumbering()(at);
    const since = toEngineTime(cursor);
    const near = await countAt(id, at, { follow: false, tail: nearTail, since }, signal);
    if (near.lines >= known && near.pieces < nearTail) return near.lines - known;
    const all = await countAt(id, at, { follow: false, since, until: toEngineTime(cursor, -1) }, signal);
    return Math.max(0, all.lines - known);
  }

  async function countAt(id: string, at: string, request: LogRequest, signal: AbortSignal) {
    let lines = 0;
    const reader = createLogReader((lineAt) => {
      if (lineAt === at) lines += 1;
    });
    for await (const chunk of chunks(id, request, signal, () => {})) reader.push(chunk);
    reader.end();
    return { lines, pieces: reader.pieces() };
  }

  return { open, count: () => count };
}

/** Ends a stream that nobody reads any more; whatever it still has to say about that is of no use. */
function discard(answer: IncomingMessage): void {
  answer.on('error', () => {});
  answer.destroy();
}

/** Whatever broke a log stream as a Problem. */
export function toProblem(error: unknown): Problem {
  if (isProblem(error)) return error;
  const problem = new Problem('engine_error', 'The log stream of the engine broke off.');
  problem.cause = error;
  return problem;
}
