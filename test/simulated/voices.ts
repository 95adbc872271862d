import type { OutputStream } from './logs.ts';

/** What a process says at once: one or more lines. */
export interface Utterance {
  readonly text: string;
  readonly stream?: OutputStream;
}

/** Says the next thing; `at` is when, for lines that carry their own time. */
export type Voice = (at: Date) => Utterance;

const ESC = '\u001b[';
const PATHS = ['/', '/products/42', '/cart', '/api/orders', '/search?q=teapot', '/static/app.css', '/checkout'];

function pick<T>(choices: readonly [T, ...T[]]): T;
function pick<T>(choices: readonly T[]): T | undefined;
function pick<T>(choices: readonly T[]): T | undefined {
  return choices[Math.floor(Math.random() * choices.length)];
}

function chance(of: number): boolean {
  return Math.random() < of;
}

function upTo(limit: number): number {
  return Math.floor(Math.random() * limit);
}

function colour(code: number, text: string): string {
  return `${ESC}${code}m${text}${ESC}0m`;
}

/** A web server's access log, with an error now and then. */
export const webServer: Voice = (at) => {
  const address = `203.0.113.${upTo(254) + 1}`;
  if (chance(0.04)) {
    const time = at.toISOString().slice(0, 19).replace('T', ' ').replaceAll('-', '/');
    return { text: `${time} [error] 29#29: *${upTo(9999)} upstream timed out, client: ${address}`, stream: 'stderr' };
  }
  const status = chance(0.9) ? 200 : pick([301, 304, 404, 502]);
  return {
    text: `${address} - - [${at.toUTCString()}] "GET ${pick(PATHS)} HTTP/1.1" ${status} ${upTo(40_000)} "-" "Mozilla/5.0"`,
  };
};

/** JSON lines, and a stack trace of several lines. */
export const jsonService: Voice = (at) => {
  if (chance(0.03)) return { text: stackTrace(), stream: 'stderr' };
  const level = chance(0.92) ? 30 : pick([40, 50]);
  const line = {
    level,
    time: at.getTime(),
    pid: 1,
    reqId: `req-${upTo(99_999).toString(36)}`,
    msg: 'request completed',
  };
  return {
    text: JSON.stringify({
      ...line,
      method: 'GET',
      url: pick(PATHS),
      statusCode: level === 30 ? 200 : 500,
      responseTime: upTo(900) / 10,
    }),
  };
};

function stackTrace(): string {
  return [
    'Error: connect ECONNREFUSED cache:6379',
    '    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1637:16)',
    '    at async Cart.load (/app/cart.js:88:11) {',
    "  code: 'ECONNREFUSED'",
    '}',
  ].join('\n');
}

/** Coloured progress, and now and then a burst. */
export const worker: Voice = () => {
  if (chance(0.015)) return { text: burst() };
  const job = `job ${upTo(9999)}`;
  if (chance(0.08)) return { text: `${colour(33, 'WARN')}  ${job} retried after ${upTo(30)} s`, stream: 'stderr' };
  return {
    text: `${colour(32, 'INFO')}  ${colour(1, job)} ${pick(['mail sent', 'invoice written', 'stock updated'])} in ${colour(36, `${upTo(400)}ms`)}`,
  };
};

function burst(): string {
  return Array.from({ length: 300 }, (_, n) => `${colour(34, 'BATCH')} row ${n + 1}/300 imported`).join('\n');
}

/** A database, which says everything on its error output. */
export const database: Voice = (at) => {
  const time = at.toISOString().replace('T', ' ').replace('Z', ' UTC');
  const said = chance(0.1)
    ? 'ERROR:  duplicate key value violates unique constraint "orders_pkey"'
    : pick([
        'LOG:  checkpoint starting: time',
        'LOG:  checkpoint complete: wrote 42 buffers (0.3%)',
        'LOG:  connection received: host=api',
      ]);
  return { text: `${time} [${upTo(400) + 20}] ${said}`, stream: 'stderr' };
};

/** A cache that saves. */
export const cache: Voice = (at) => {
  const time = at.toUTCString().slice(5, 25);
  return {
    text: `1:M ${time}.${upTo(999)} * ${pick(['100 changes in 300 seconds. Saving...', 'Background saving terminated with success', 'DB saved on disk'])}`,
  };
};

/** key=value lines. */
export const metrics: Voice = (at) => {
  const level = chance(0.9) ? 'info' : 'warn';
  return {
    text: `time=${at.toISOString()} level=${level} component=tsdb msg="${pick(['WAL segment loaded', 'Compaction done', 'Scrape finished'])}" duration=${upTo(900)}ms`,
  };
};

/** A terminal: carriage returns, colours, wide characters. */
export const terminal: Voice = () => ({ text: `${colour(35, '~')} $ echo "${pick(['grüße', '日本語', '✔ done'])}"\r` });

/** A job's steps. */
export const job: Voice = () => {
  if (chance(0.1)) return { text: 'tar: /srv/cache: file changed as we read it', stream: 'stderr' };
  return { text: `copied /srv/data/part-${upTo(999)} (${upTo(90) + 10} MiB)` };
};

/** Encoding, with a percentage that rewrites its line. */
export const transcoder: Voice = () => ({
  text: `\rframe=${upTo(99_999)} fps=${upTo(60)} ${colour(36, `speed=${(upTo(30) / 10).toFixed(1)}x`)}`,
});
