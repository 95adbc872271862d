import { nowNanos, toFixedRfc3339, toMillis } from './clock.ts';
import type { EngineStream } from './streams.ts';

/** The two outputs of a process. */
export type OutputStream = 'stdout' | 'stderr';

/** One record of a log: a line with its end, or the part of a line that is longer than 16 KiB. */
interface LogRecord {
  readonly at: bigint;
  readonly stream: OutputStream;
  readonly data: string | Buffer;
  readonly size: number;
}

/** What a reader of `GET /containers/:id/logs` asked for. */
export interface LogQuery {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly tail: number;
  readonly since: bigint | null;
  readonly until: bigint | null;
  /** A TTY has one output and no frames. */
  readonly isRaw: boolean;
}

/** Where and when a line was written. */
export interface LineOptions {
  readonly stream?: OutputStream;
  /** In nanoseconds; default now. */
  readonly at?: bigint;
}

/** What a container wrote, the latest part of it. */
export type ContainerLog = ReturnType<typeof createLog>;

const PARTIAL_BYTES = 16 * 1024;
const BATCH_BYTES = 64 * 1024;
const HEADER_BYTES = 8;
const RECORD_BYTES = 100;

/** Creates a log that forgets its oldest records beyond `maxBytes`, without a sign, as rotation does. */
export function createLog(maxBytes: number) {
  let records: LogRecord[] = [];
  let forgotten = 0;
  let head = 0;
  let bytes = 0;
  const followers = new Map<object, { readonly position: () => number; readonly wake: () => void }>();

  const next = () => forgotten + records.length;
  const first = () => forgotten + head;

  function append(record: LogRecord): void {
    records.push(record);
    bytes += record.size + RECORD_BYTES;
    while (bytes > maxBytes && head < records.length - 1) forgetOldest();
    if (head > 4096 && head * 2 > records.length) compact();
  }

  function forgetOldest(): void {
    bytes -= (records[head]?.size ?? 0) + RECORD_BYTES;
    head++;
  }

  function compact(): void {
    records = records.slice(head);
    forgotten += head;
    head = 0;
  }

  /** Writes text; what has no line end gets one, what is over 16 KiB becomes several records of one time. */
  function write(text: string, { stream = 'stdout', at = nowNanos() }: LineOptions = {}): void {
    for (const line of toLines(text)) appendLine(line, stream, at);
    wake();
  }

  function appendLine(line: string, stream: OutputStream, at: bigint): void {
    const size = Buffer.byteLength(line);
    if (size <= PARTIAL_BYTES) append({ at, stream, data: line, size });
    else for (const part of toParts(Buffer.from(line))) append({ at, stream, data: part, size: part.length });
  }

  /** Puts bytes into the log as they are: half a character, no line end, anything. */
  function writeRaw(data: Buffer, { stream = 'stdout', at = nowNanos() }: LineOptions = {}): void {
    append({ at, stream, data, size: data.length });
    wake();
  }

  function wake(): void {
    for (const follower of followers.values()) follower.wake();
  }

  return {
    write,
    writeRaw,
    next,
    first,
    get: (position: number) => records[position - forgotten],
    /** How many records the slowest follower has still to read. */
    lag: () => Math.max(0, ...[...followers.values()].map((follower) => next() - follower.position())),
    follow(key: object, position: () => number, wakeUp: () => void) {
      followers.set(key, { position, wake: wakeUp });
    },
    unfollow: (key: object) => followers.delete(key),
    /** What a log rotation without compression leaves: nothing old. */
    truncate() {
      forgotten += records.length;
      records = [];
      head = 0;
      bytes = 0;
    },
  };
}

function toLines(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => `${line}\n`);
}

function toParts(line: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let from = 0; from < line.length; from += PARTIAL_BYTES) parts.push(line.subarray(from, from + PARTIAL_BYTES));
  return parts;
}

/** Sends what the query asks for, and goes on with it until the process ends when it follows. */
export function sendLog(log: ContainerLog, query: LogQuery, stream: EngineStream, endings: Set<() => void>): void {
  let position = Math.max(log.first(), log.next() - query.tail);
  let isFollowing = query.follow;
  let isScheduled = false;
  const key = {};

  function pump(): void {
    isScheduled = false;
    while (stream.isReady) {
      position = Math.max(position, log.first());
      const batch = nextBatch();
      if (batch.length > 0) stream.push(batch);
      else break;
    }
    if (!isFollowing && position >= log.next() && !stream.isClosed) finish();
  }

  function nextBatch(): Buffer {
    const chosen: LogRecord[] = [];
    let size = 0;
    while (size < BATCH_BYTES) {
      const record = log.get(position);
      if (!record) break;
      position++;
      if (query.until !== null && record.at > query.until) return stopAtUntil(chosen);
      if (isWanted(record, query)) {
        chosen.push(record);
        size += record.size;
      }
    }
    return encode(chosen, query);
  }

  function stopAtUntil(chosen: LogRecord[]): Buffer {
    isFollowing = false;
    position = log.next();
    return encode(chosen, query);
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(pump);
  }

  function endFollowing(): void {
    isFollowing = false;
    schedule();
  }

  function finish(): void {
    log.unfollow(key);
    endings.delete(endFollowing);
    stream.end();
  }

  stream.onReady(schedule);
  if (isFollowing) {
    log.follow(key, () => position, schedule);
    endings.add(endFollowing);
    const timer = query.until === null ? null : endAt(query.until, endFollowing);
    stream.onClose(() => {
      if (timer) clearTimeout(timer);
      log.unfollow(key);
      endings.delete(endFollowing);
    });
  }
  pump();
}

/** Calls back when a time has come; the timer keeps no process alive. */
export function endAt(time: bigint, end: () => void): NodeJS.Timeout {
  return setTimeout(end, Math.max(0, toMillis(time - nowNanos()))).unref();
}

function isWanted(record: LogRecord, query: LogQuery): boolean {
  if (query.since !== null && record.at < query.since) return false;
  if (query.isRaw) return query.stdout;
  return record.stream === 'stdout' ? query.stdout : query.stderr;
}

function encode(records: readonly LogRecord[], query: LogQuery): Buffer {
  const prefixBytes = (query.isRaw ? 0 : HEADER_BYTES) + (query.timestamps ? 31 : 0);
  const buffer = Buffer.allocUnsafe(records.reduce((sum, { size }) => sum + size + prefixBytes, 0));
  let offset = 0;
  for (const record of records) offset = encodeOne(buffer, offset, record, query);
  return buffer;
}

function encodeOne(buffer: Buffer, start: number, record: LogRecord, query: LogQuery): number {
  let offset = start;
  if (!query.isRaw) {
    buffer.writeUInt32BE(record.stream === 'stdout' ? 0x01000000 : 0x02000000, offset);
    buffer.writeUInt32BE(record.size + (query.timestamps ? 31 : 0), offset + 4);
    offset += HEADER_BYTES;
  }
  if (query.timestamps) offset += buffer.write(`${toFixedRfc3339(record.at)} `, offset, 'latin1');
  if (typeof record.data === 'string') return offset + buffer.write(record.data, offset);
  return offset + record.data.copy(buffer, offset);
}
