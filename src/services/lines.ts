import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/**
 * Calls back for each JSON line of a stream as it arrives and resolves when the stream ends or breaks. The stream is
 * read without ever waiting: an engine drops events for a reader that pauses. Lines that are not JSON are passed over.
 * @param maxLineLength in characters; a longer line ends the reading
 * @throws the stream's error
 */
export function readJsonLines<T>(
  stream: Readable,
  onLine: (line: T) => void,
  maxLineLength = 1_000_000,
): Promise<void> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      const lines = (rest + decoder.write(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) parseLine(line, onLine);
      if (rest.length > maxLineLength) stream.destroy(new Error('The engine sent a line without end.'));
    });
    stream.once('end', resolve);
    stream.once('close', resolve);
    stream.once('error', reject);
  });
}

function parseLine<T>(line: string, onLine: (line: T) => void) {
  if (line.trim() === '') return;
  let value: T;
  try {
    value = JSON.parse(line);
  } catch {
    return;
  }
  onLine(value);
}
