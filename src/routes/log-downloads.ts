import type { LogLine } from '../services/logs.ts';
import { isTicked } from './schemas.ts';

type Query = { download: string; timestamps: string };

/** How much text is handed on at once, in characters: one write for each line takes several times as long. */
const writeLength = 16_384;
const maxNameLength = 100;

/** Whether somebody wants a file to keep instead of an answer to read. */
export const isDownload = ({ download }: Pick<Query, 'download'>) => isTicked(download);

/**
 * The plain text of the lines of one answer, with the time in front where that is asked for; `name` tells whose a line
 * is. Where lines around matches are asked for, `--` stands between the groups of them.
 */
export function toPlainText({ timestamps }: Pick<Query, 'timestamps'>): (line: LogLine, name?: string) => string {
  const time = isTicked(timestamps) ? ({ at }: LogLine) => `${at} ` : () => '';
  // A label may hold the end of a line, and would make two of one.
  const whose = (name: string) => `${name.replace(/\p{Cc}/gu, ' ')} | `;
  let isFirst = true;
  return (line, name) => {
    const parting = line.isApart && !isFirst ? '--\n' : '';
    isFirst = false;
    return `${parting}${name === undefined ? '' : whose(name)}${time(line)}${line.text}\n`;
  };
}

/** Texts joined to longer ones. Of what came before a failure nothing is held back. */
export async function* gather(texts: AsyncIterable<string>): AsyncGenerator<string> {
  let gathered = '';
  try {
    for await (const text of texts) {
      gathered += text;
      if (gathered.length < writeLength) continue;
      yield gathered;
      gathered = '';
    }
  } catch (error) {
    if (gathered !== '') yield gathered;
    throw error;
  }
  if (gathered !== '') yield gathered;
}

/**
 * The `Content-Disposition` of a log that is kept as a file, named after whose it is and when. A name comes from the engine
 * and may hold anything: whatever ends a header, leads into another folder or reorders what is read is taken out.
 */
export function attachment(name: string, now: Date): string {
  const time = now.toISOString().slice(0, 19).replaceAll(':', '-');
  const file = `${toFileName(name)}-${time}Z.log`;
  const plain = file.replace(/[^\x20-\x7E]/g, '_');
  const full = plain === file ? '' : `; filename*=UTF-8''${toExtended(file)}`;
  return `attachment; filename="${plain}"${full}`;
}

function toFileName(name: string): string {
  const safe = name.toWellFormed().replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}"%*/:<>?\\|]/gu, '_');
  return [...safe.replace(/^[.\s]+/, '')].slice(0, maxNameLength).join('') || 'log';
}

/** RFC 5987: what `encodeURIComponent` leaves and a header's parameter may not hold is escaped too. */
const toExtended = (text: string) =>
  encodeURIComponent(text).replace(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
