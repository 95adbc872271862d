import { type RawData, WebSocket } from 'ws';

/** See `openLogReader`. */
export type LogReader = ReturnType<typeof openLogReader>;

/** A line of a log as a frame has it: the container in a merged one, and the number in its text. */
const linePattern = /data-cursor="\d+\.\d+(?:\.([0-9a-f]{12}))?"[^§]*?§(\d+)§/g;

/** The text of a numbered line, which a reader finds in the frames. */
export const numberedLine = (n: number) => `GET /products/${n % 977} 200 in ${n % 40} ms, line §${n}§ of many`;

/**
 * Opens a live socket on logs whose lines are numbered from 0 on by `numberedLine`, and looks whether each container's
 * come one after the other.
 */
export function openLogReader(url: string) {
  const socket = new WebSocket(url.replace(/^http/, 'ws'));
  const next = new Map<string, number>();
  const faults: string[] = [];
  let bytes = 0;
  socket.on('message', (data: RawData) => {
    const frame = data.toString();
    bytes += frame.length;
    if (frame.includes('id="log-state"') && frame.includes('following')) followed.resolve();
    if (frame.includes('log-gap')) faults.push('a gap');
    for (const [, container = '', digits] of frame.matchAll(linePattern)) {
      const wanted = next.get(container) ?? 0;
      if (Number(digits) !== wanted) faults.push(`${container}: ${digits} where ${wanted} was due`);
      next.set(container, Number(digits) + 1);
    }
  });
  const followed = Promise.withResolvers<void>();
  socket.on('error', followed.reject);
  socket.on('close', (code) => faults.push(`closed with ${code}`));
  return {
    socket,
    /** Resolves when the log is followed: no line that is written from now on may be missing. */
    followed: followed.promise,
    /** Gaps, lines that were lost, doubled or out of order, and the end of the socket. */
    faults,
    /** How many lines of each container came. */
    counts: () => [...next.values()],
    lines: () => [...next.values()].reduce((sum, count) => sum + count, 0),
    bytes: () => bytes,
  };
}
