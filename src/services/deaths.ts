import type { Kysely } from 'kysely';
import { isProblem } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Database, DeathsTable, Schema } from './database.ts';
import type { Death, HistoryEvent, LastFigures, LastLine } from './event-types.ts';

/** What is known of a container when it dies. */
export type DeathSources = {
  /** The newest lines of its log, so many at most. */
  readLines: (id: string, count: number, signal: AbortSignal) => Promise<readonly LastLine[]>;
  /** Its last figures before a moment, ms since 1970. */
  figuresBefore: (id: string, at: number) => Promise<LastFigures | null>;
};

/** How much is kept, and how much is read at once; times in ms. */
export type DeathBounds = {
  lines: number;
  bytes: number;
  ofName: number;
  inAll: number;
  days: number;
  parallel: number;
  waiting: number;
  readMs: number;
  /** Between two deaths of one name whose lines are read. */
  pauseMs: number;
  /** The same where it ended with 0: some end every second. */
  quietPauseMs: number;
};

const defaultBounds: DeathBounds = {
  lines: 50,
  bytes: 16_384,
  ofName: 20,
  inAll: 1_000,
  days: 90,
  parallel: 4,
  waiting: 100,
  readMs: 5_000,
  pauseMs: 5_000,
  quietPauseMs: 60_000,
};

const maxLine = 4_096;
const maxNames = 5_000;

type Log = { warn(details: object, message: string): void };
type Waiting = { event: HistoryEvent; figures: LastFigures | null };

/** What containers said last, and how they did. */
export type Deaths = ReturnType<typeof createDeaths>;

/**
 * Creates the keeping of what containers said before they died: one call to the engine at a death, four at once, 100 that
 * wait. Deaths of one name that follow one another within 5 s (60 s where it ended with 0) are not read. Of each name the
 * newest 20 are kept, 1,000 in all, 16 KiB each.
 */
export function createDeaths(
  { db }: Pick<Database, 'db'>,
  sources: DeathSources,
  clock: Clock,
  log: Log,
  onKept: () => void,
  wanted: Partial<DeathBounds> = {},
) {
  const bounds = { ...defaultBounds, ...wanted };
  const waiting: Waiting[] = [];
  const lastRead = new Map<string, number>();
  const closing = new AbortController();
  const running = new Set<Promise<void>>();

  function isTooSoon({ at, timeline, details }: HistoryEvent): boolean {
    const pause = details.exitCode === 0 ? bounds.quietPauseMs : bounds.pauseMs;
    const before = lastRead.get(timeline);
    if (before !== undefined && at - before < pause * 1_000) return true;
    lastRead.delete(timeline);
    lastRead.set(timeline, at);
    for (const name of lastRead.keys()) if (lastRead.size > maxNames) lastRead.delete(name);
    return false;
  }

  function next() {
    while (running.size < bounds.parallel && waiting.length > 0 && !closing.signal.aborted) {
      const death = waiting.shift();
      if (death) begin(keep(death.event, death.figures));
    }
  }

  function begin(task: Promise<void>) {
    const done = task
      .catch((err: unknown) => log.warn({ err }, 'the last words of a container could not be kept'))
      .finally(() => {
        running.delete(done);
        next();
      });
    running.add(done);
  }

  async function keep(event: HistoryEvent, latest: LastFigures | null) {
    const { at, subject: container, timeline } = event;
    const { lines, note } = await read(event);
    // What the end of the program cut off says nothing of the container.
    if (closing.signal.aborted) return;
    const figures = latest ?? (await sources.figuresBefore(container, at / 1_000).catch(() => null));
    await store(db, { at, container, timeline, lines, note, figures }, bounds);
    onKept();
  }

  async function read({ subject, at }: HistoryEvent): Promise<Pick<Death, 'lines' | 'note'>> {
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(bounds.readMs)]);
    try {
      const found = await sources.readLines(subject, bounds.lines, signal);
      // What it wrote when it had been started again is not of this life.
      const lines = found.filter((line) => Date.parse(line.at) <= Math.ceil(at / 1_000));
      if (found.length > 0 && lines.length === 0) return { lines, note: notes.overtaken };
      return cut(lines, bounds.bytes);
    } catch (error) {
      return { lines: [], note: noteOf(error) };
    }
  }

  return {
    /** Notes a death; its lines are read soon, and nothing waits for that. */
    died(event: HistoryEvent, figures: LastFigures | null): void {
      if (closing.signal.aborted || isTooSoon(event)) return;
      if (waiting.length >= bounds.waiting) {
        log.warn({ container: event.name }, 'too many containers die at once: its last words are not read');
        return;
      }
      waiting.push({ event, figures });
      next();
    },

    /** What is kept of some deaths, by container and time. */
    async of(events: readonly Pick<HistoryEvent, 'subject' | 'at'>[]): Promise<Map<string, Death>> {
      const keys = events.map(({ subject, at }) => [subject, at] as const);
      const rows =
        keys.length === 0
          ? []
          : await db
              .selectFrom('deaths')
              .selectAll()
              .where('container', 'in', [...new Set(keys.map(([subject]) => subject))])
              .where('at', 'in', [...new Set(keys.map(([, at]) => at))])
              .execute();
      return new Map(rows.map((row) => [deathKey(row.container, row.at), toDeath(row)]));
    },

    /** Deletes what is too old. */
    async prune(): Promise<void> {
      await db
        .deleteFrom('deaths')
        .where('at', '<', (clock.now() - bounds.days * 86_400_000) * 1_000)
        .execute();
    },

    /** Ends every read, and waits for what is being written. */
    async close(): Promise<void> {
      closing.abort();
      waiting.length = 0;
      await Promise.all(running);
    },
  };
}

/** Names a death. */
export const deathKey = (container: string, at: number): string => `${container}@${at}`;

const notes = {
  gone: 'There were none to get: the container was removed at once.',
  overtaken: 'They could not be told from what it has written since.',
  late: 'They could not be read in time.',
  none: 'It wrote nothing that the engine keeps.',
};

function noteOf(error: unknown): string {
  if (isProblem(error, 'not_found') || isProblem(error, 'conflict')) return notes.gone;
  return isProblem(error) ? `They could not be read: ${error.message}` : notes.late;
}

/** The newest lines within so many bytes; a very long one is cut. */
function cut(lines: readonly LastLine[], most: number): Pick<Death, 'lines' | 'note'> {
  const kept: LastLine[] = [];
  let bytes = 0;
  for (const { at, cursor, stream, text } of lines.toReversed()) {
    const short = text.length > maxLine ? `${text.slice(0, maxLine)}…` : text;
    bytes += Buffer.byteLength(short);
    if (bytes > most) break;
    kept.unshift({ at, cursor, stream, text: short });
  }
  if (lines.length === 0) return { lines: [], note: notes.none };
  const note = kept.length < lines.length ? `Only the last ${Math.round(most / 1_024)} KiB of them are kept.` : '';
  return { lines: kept, note };
}

async function store(db: Kysely<Schema>, death: Death, { ofName, inAll }: DeathBounds): Promise<void> {
  const { lines, figures } = death;
  const row = { ...death, lines: JSON.stringify(lines), figures: figures && JSON.stringify(toLastFigures(figures)) };
  await db
    .insertInto('deaths')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await prune(db, ofName, death.timeline);
  await prune(db, inAll);
}

/** Of figures what is shown of a death. */
function toLastFigures({ at, cpuPercent, memoryBytes, memoryLimitBytes }: LastFigures): LastFigures {
  return { at, cpuPercent, memoryBytes, memoryLimitBytes };
}

/** Deletes the oldest above a number, of one name or of all. */
async function prune(db: Kysely<Schema>, most: number, timeline?: string): Promise<void> {
  let query = db.selectFrom('deaths').select(['at']).orderBy('at', 'desc').offset(most).limit(1);
  if (timeline !== undefined) query = query.where('timeline', '=', timeline);
  const beyond = await query.executeTakeFirst();
  if (!beyond) return;
  const old = db.deleteFrom('deaths').where('at', '<=', beyond.at);
  await (timeline === undefined ? old : old.where('timeline', '=', timeline)).execute();
}

function toDeath({ lines, figures, ...row }: DeathsTable): Death {
  return {
    ...row,
    lines: JSON.parse(lines) as LastLine[],
    figures: figures === null ? null : (JSON.parse(figures) as LastFigures),
  };
}
