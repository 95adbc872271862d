import { Problem } from '../errors.ts';

/** The two outputs of a process that the engine tells apart; a TTY has the first alone. */
export type LogStreamName = 'stdout' | 'stderr';

/** Takes one line: its time (RFC 3339, nine decimals, `Z`), its output and its text without a newline. */
export type TakeLine = (at: string, stream: LogStreamName, text: string) => void;

/** The pieces of a long line that have come so far. */
type Unfinished = {
  at: string;
  chunks: Buffer[];
  bytes: number;
  cut: number;
  lastStamp: string;
  lastBytes: number;
  exact: boolean;
};

/** Bytes kept of something that is split over chunks; what does not fit is only counted. */
type Tank = { bytes: Buffer; length: number; cut: number; lastByte: number };

const newline = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const zone = 0x5a;
const headerBytes = 8;
/** The engine's copier hands on a line in pieces of this size. */
const pieceBytes = 16 * 1024;
const maxLineBytes = 64 * 1024;
/** `2025-01-24T14:01:52.610000000Z ` as Docker writes it; Podman's form varies. */
const stampBytes = 31;
const template = Buffer.from('0000-00-00T00:00:00.000000000Z ', 'latin1');
const otherStamp = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) /;
const epoch = '1970-01-01T00:00:00.000000000Z';

/**
 * Creates a reader of one log stream with timestamps. Give it the bytes as they come with `push`, and `end` when the
 * stream ended by itself. Keeps at most 64 KiB of a line for each output, whatever the headers say; a longer line is
 * cut and says by how many bytes.
 * Both throw a Problem `engine_error` for a malformed stream or an error told by the engine; read no further then.
 */
export function createLogReader(take: TakeLine) {
  let mode: 'framed' | 'raw' | undefined;
  const header = Buffer.alloc(headerBytes);
  let headerLength = 0;
  let inFrame = false;
  let frameType = 0;
  let frameLeft = 0;
  let pieces = 0;
  let lastAt = epoch;
  let stampLength = 0;
  const partials: Record<LogStreamName, Unfinished | undefined> = { stdout: undefined, stderr: undefined };
  let tank: Tank | undefined;

  function push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    mode ??= modeOf(chunk);
    if (mode === 'framed') readFrames(chunk);
    else readRaw(chunk);
  }

  function end(): void {
    if (headerLength > 0 || (inFrame && frameLeft > 0)) {
      throw new Problem('engine_error', 'The log stream of the engine ended in the middle of a frame.');
    }
    if (mode === 'raw' && tank && tank.length > 0) rawLine(tank.bytes, 0, tank.length, tank.cut);
    const left = (['stdout', 'stderr'] as const).filter((stream) => partials[stream]);
    for (const stream of left.sort((a, b) => compareText(partials[a]?.at ?? '', partials[b]?.at ?? ''))) finish(stream);
  }

  function readFrames(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (!inFrame) {
        at = readHeader(chunk, at);
        if (!inFrame) return;
      }
      at = readPayload(chunk, at);
    }
  }

  function readHeader(chunk: Buffer, at: number): number {
    if (headerLength === 0 && chunk.length - at >= headerBytes) {
      openFrame(chunk, at);
      return at + headerBytes;
    }
    const taken = Math.min(headerBytes - headerLength, chunk.length - at);
    chunk.copy(header, headerLength, at, at + taken);
    headerLength += taken;
    if (headerLength === headerBytes) {
      headerLength = 0;
      openFrame(header, 0);
    }
    return at + taken;
  }

  function openFrame(bytes: Buffer, at: number): void {
    frameType = bytes.readUInt8(at);
    if (frameType > 3 || bytes[at + 1] !== 0 || bytes[at + 2] !== 0 || bytes[at + 3] !== 0) {
      throw new Problem('engine_error', 'The log stream of the engine has a malformed frame.');
    }
    frameLeft = bytes.readUInt32BE(at + 4);
    inFrame = true;
  }

  function readPayload(chunk: Buffer, at: number): number {
    const available = chunk.length - at;
    if (available >= frameLeft && !(tank && tank.length > 0)) {
      const last = at + frameLeft;
      closeFrame(chunk, at, last, 0, false);
      return last;
    }
    const taken = Math.min(available, frameLeft);
    const kept = keep(chunk, at, at + taken);
    frameLeft -= taken;
    if (frameLeft === 0) {
      const ended = kept.cut > 0 && kept.lastByte === newline;
      closeFrame(kept.bytes, 0, kept.length, ended ? kept.cut - 1 : kept.cut, ended);
      empty(kept);
    }
    return at + taken;
  }

  function closeFrame(bytes: Buffer, start: number, end: number, cut: number, cutEnded: boolean): void {
    inFrame = false;
    frameLeft = 0;
    if (frameType === 3) throw toldByEngine(bytes.toString('utf8', start, end));
    const stream = frameType === 2 ? 'stderr' : 'stdout';
    let from = start;
    while (from < end) {
      const stop = bytes.indexOf(newline, from);
      if (stop < 0 || stop >= end) break;
      readPiece(stream, bytes, from, stop, true, 0);
      from = stop + 1;
    }
    if (from < end) readPiece(stream, bytes, from, end, cutEnded, cut);
  }

  function readRaw(chunk: Buffer): void {
    let from = 0;
    while (from < chunk.length) {
      const stop = chunk.indexOf(newline, from);
      if (stop >= 0 && !(tank && tank.length > 0)) rawLine(chunk, from, stop, 0);
      else keepRaw(chunk, from, stop < 0 ? chunk.length : stop, stop >= 0);
      if (stop < 0) return;
      from = stop + 1;
    }
  }

  /** Keeps the bytes of an unfinished line, handing on its whole pieces, so that a long line does not fill the tank. */
  function keepRaw(chunk: Buffer, start: number, end: number, isEnd: boolean): void {
    let kept = keep(chunk, start, Math.min(end, start + pieceBytes));
    for (let at = start + pieceBytes; at < end; at += pieceBytes) {
      splitRaw(kept);
      kept = keep(chunk, at, Math.min(end, at + pieceBytes));
    }
    if (isEnd) {
      rawLine(kept.bytes, 0, kept.length, kept.cut);
      empty(kept);
    } else splitRaw(kept);
  }

  function rawLine(bytes: Buffer, start: number, end: number, cut: number): void {
    if (end - start >= 20 && bytes.toString('latin1', start, start + 20) === 'Error grabbing logs:') {
      throw toldByEngine(bytes.toString('utf8', start, end));
    }
    let from = start;
    for (let border = findBorder(bytes, from, end); border > 0; border = findBorder(bytes, from, end)) {
      readPiece('stdout', bytes, from, border, false, 0);
      from = border;
    }
    readPiece('stdout', bytes, from, end, true, cut);
  }

  function splitRaw(kept: Tank): void {
    for (;;) {
      const border = findBorder(kept.bytes, 0, kept.length);
      if (border < 0) return;
      readPiece('stdout', kept.bytes, 0, border, false, 0);
      kept.bytes.copyWithin(0, border, kept.length);
      kept.length -= border;
    }
  }

  function readPiece(
    stream: LogStreamName,
    bytes: Buffer,
    start: number,
    end: number,
    ended: boolean,
    cut: number,
  ): void {
    pieces += 1;
    const at = readStamp(bytes, start, end);
    const textStart = start + stampLength;
    let partial = partials[stream];
    if (partial && !isContinued(partial, at, stampLength)) {
      finish(stream);
      partial = undefined;
    }
    if (!partial && ended && cut === 0 && end - textStart <= maxLineBytes) {
      take(at, stream, toText(bytes, textStart, end));
      return;
    }
    partial ??= openPartial(stream, at);
    const isLast = isLastPiece(partial, end - textStart + cut, stampLength);
    append(partial, bytes, textStart, end, cut);
    partial.lastStamp = at;
    partial.exact = stampLength === stampBytes;
    if (ended || isLast) finish(stream);
  }

  function openPartial(stream: LogStreamName, at: string): Unfinished {
    const partial = { at, chunks: [], bytes: 0, cut: 0, lastStamp: at, lastBytes: 0, exact: true };
    partials[stream] = partial;
    return partial;
  }

  function finish(stream: LogStreamName): void {
    const partial = partials[stream];
    if (!partial) return;
    partials[stream] = undefined;
    const bytes = Buffer.concat(partial.chunks);
    const text = toText(bytes, 0, bytes.length);
    take(partial.at, stream, partial.cut > 0 ? withCut(text, partial.cut) : text);
  }

  /** The time a piece begins with, its length in `stampLength`; the last known one where it has none. */
  function readStamp(bytes: Buffer, start: number, end: number): string {
    if (isExactStamp(bytes, start, end)) {
      stampLength = stampBytes;
      lastAt = bytes.toString('latin1', start, start + stampBytes - 1);
      return lastAt;
    }
    const match = otherStamp.exec(bytes.toString('latin1', start, Math.min(end, start + 40)));
    stampLength = match?.[0].length ?? 0;
    if (match) lastAt = toUtc(match[1] ?? '', match[2] ?? '', match[3] ?? 'Z');
    return lastAt;
  }

  function keep(chunk: Buffer, start: number, end: number): Tank {
    tank ??= { bytes: Buffer.allocUnsafeSlow(maxLineBytes + 1024), length: 0, cut: 0, lastByte: 0 };
    const copied = chunk.copy(tank.bytes, tank.length, start, end);
    tank.length += copied;
    tank.cut += end - start - copied;
    tank.lastByte = chunk[end - 1] ?? 0;
    return tank;
  }

  return {
    push,
    end,
    /** How many messages of the engine were read, which is what its `tail` counts; a long line is several. */
    pieces: () => pieces,
  };
}

function modeOf(chunk: Buffer): 'framed' | 'raw' {
  const first = chunk.readUInt8(0);
  if (first <= 3) return 'framed';
  if (first >= 0x30 && first <= 0x39) return 'raw';
  throw toldByEngine(chunk.toString('utf8', 0, Math.min(chunk.length, 1_000)));
}

function toldByEngine(text: string): Problem {
  const words = text.slice(0, 1_000).trim();
  return new Problem('engine_error', `The engine cannot read this log: ${words || 'no reason given'}`, words);
}

/**
 * Whether the next piece belongs to the same line. Docker cuts at 16 KiB alone: a shorter piece without a newline is
 * what a process left behind when it ended, and the next one begins a line. Podman cuts anywhere.
 */
function isContinued(partial: Unfinished, at: string, stampLength: number): boolean {
  return partial.lastBytes >= pieceBytes || partial.lastStamp === at || !partial.exact || stampLength === 0;
}

/** Docker's `local` driver forgets the newline of a line over 16 KiB; its last piece is told by its size. */
function isLastPiece(partial: Unfinished, bytes: number, stampLength: number): boolean {
  return partial.lastBytes >= pieceBytes && bytes < pieceBytes && stampLength === stampBytes;
}

function append(partial: Unfinished, bytes: Buffer, start: number, end: number, cut: number): void {
  let from = start;
  // A progress bar redraws itself without a newline for hours: only what follows its last return is shown.
  const redrawn = bytes.subarray(start, Math.max(start, end - 1)).lastIndexOf(carriageReturn);
  if (redrawn >= 0) {
    from = start + redrawn + 1;
    partial.chunks = [];
    partial.bytes = 0;
    partial.cut = 0;
  }
  const taken = Math.min(end - from, maxLineBytes - partial.bytes);
  if (taken > 0) partial.chunks.push(Buffer.from(bytes.subarray(from, from + taken)));
  partial.bytes += taken;
  partial.cut += end - from - taken + cut;
  partial.lastBytes = end - start + cut;
}

function empty(tank: Tank): void {
  tank.length = 0;
  tank.cut = 0;
}

/**
 * Where the next piece of a raw line begins, or -1. A TTY's log has no frames, so the engine's own timestamps stand in
 * the middle of a line: at each 16 KiB, and where a process ended or the engine itself forgot the newline. A time that
 * the process printed is earlier than the engine's for that line, the engine's next is the same or later.
 */
function findBorder(bytes: Buffer, start: number, end: number): number {
  if (!isExactStamp(bytes, start, end)) return -1;
  const line = bytes.subarray(start, end);
  for (let at = line.indexOf(zone, 2 * stampBytes - 2); at >= 0; at = line.indexOf(zone, at + 1)) {
    const border = start + at - (stampBytes - 2);
    if (isExactStamp(bytes, border, end) && isSameOrLater(bytes, border, start)) return border;
  }
  return -1;
}

const isSameOrLater = (bytes: Buffer, stamp: number, other: number) =>
  bytes.compare(bytes, other, other + stampBytes, stamp, stamp + stampBytes) >= 0;

function isExactStamp(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < stampBytes || bytes[start + stampBytes - 1] !== space) return false;
  for (let index = 0; index < stampBytes; index += 1) {
    const byte = bytes[start + index] ?? 0;
    const wanted = template[index];
    if (wanted === 0x30 ? byte < 0x30 || byte > 0x39 : byte !== wanted) return false;
  }
  return true;
}

function toUtc(seconds: string, fraction: string, zone: string): string {
  const time = Date.parse(`${seconds}${zone}`);
  if (Number.isNaN(time)) return epoch;
  return `${new Date(time).toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`;
}

function toText(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end);
  return text.includes('\r') ? lastState(text) : text;
}

function lastState(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === '\r') end -= 1;
  return text.slice(text.lastIndexOf('\r', end - 1) + 1, end);
}

/** A text that was cut, perhaps in the middle of a character, with the mark that says so. */
const withCut = (text: string, bytes: number) => `${text.replace(/\uFFFD{1,3}$/, '')} [… ${bytes} bytes cut]`;

const compareText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
