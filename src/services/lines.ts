import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { isRecord } from './readers.ts';

/**
 * Calls back for each JSON object that a stream has on a line of its own, as it arrives, and resolves when the stream ends.
 * The stream is read without ever waiting: an engine drops events for a reader that pauses. Other lines are passed over.
 * @param maxLineLength in characters; a longer line ends the reading
 * @throws the stream's error, or the callback's
 */
export function readJsonLines(
  stream: Readable,
  onLine: (line: Record<string, unknown>) => void,
  maxLineLength = 1_000_000,
): Promise<void> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      const lines = (rest + decoder.write(chunk)).split('\n');
      rest = lines.pop() ?? '';
      try {
        for (const line of lines) parseLine(line, onLine);
      } catch (error) {
        stream.destroy(error instanceof Error ? error : new Error(String(error)));
      }
      if (rest.length > maxLineLength) stream.destroy(new Error('The engine sent a line without end.'));
    });
    stream.once('end', resolve);
    stream.once('close', resolve);
    stream.once('error', reject);
  });
}

function parseLine(line: string, onLine: (line: Record<string, unknown>) => void) {
  if (line.trim() === '') return;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return;
  }
  if (isRecord(value)) onLine(value);
}
