import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { isProblem, Problem } from '../errors.ts';
import type { Container } from '../services/containers.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import { cursorAt, cursorBefore, parseLogTime } from '../services/log-cursor.ts';
import { logLevels } from '../services/log-levels.ts';
import { isFiltered, toPlainLine } from '../services/log-lines.ts';
import { createSearch } from '../services/log-search.ts';
import { startOfLog } from '../services/log-slices.ts';
import { type LogFilter, type LogLine, type LogQuery, type LogSlice, toPlace } from '../services/logs.ts';
import type { ViewContext } from '../views/models/context.ts';
import { type LogViewerModel, logViewerModel } from '../views/models/logs.ts';
import { attachment, gather, isDownload, toPlainText } from './log-downloads.ts';
import { linkNeighbours } from './log-links.ts';
import { liveUrl, requireEngine, resolveContainer, sendFragment, sendPage, viewContext } from './pages.ts';
import { createReaderLimit } from './reader-limit.ts';
import * as schemas from './schemas.ts';
import type { DepsOf } from './scoped-deps.ts';

type Query = Static<typeof schemas.LogReadQuery>;
type PlaceQuery = Pick<Query, (typeof places)[number] | 'since' | 'until' | 'follow'>;
type FilterQuery = Pick<Query, 'q' | 'regex' | 'case' | 'invert' | 'stream' | 'level' | 'context'>;

const { isTicked } = schemas;

const paneTail = 100;
const pageTail = 5_000;
const sliceTail = 500;
const places = ['before', 'after', 'at'] as const;
/** Each costs the engine a stream of its own, of which there are 512 for everything. */
const maxReaders = 200;
const maxReadersOfClient = 20;
/** The engine reads a place in a very long log from the log's start, 100,000 lines a second. */
const pageMs = 20_000;

/** The log of one container: a viewer, and one JSON object or plain text a line for scripts. */
export function registerLogs(app: App, depsOf: DepsOf): void {
  const schema = { params: schemas.IdParams, querystring: schemas.LogReadQuery };
  const readers = createReaderLimit(maxReadersOfClient, maxReaders);
  const find = (request: FastifyRequest) =>
    resolveContainer(depsOf(request), (request.params as { id: string }).id, checkContainerRef);

  app.get('/containers/:id/logs', { schema }, async (request, reply) => {
    const deps = depsOf(request);
    const signal = signalOf(reply);
    const container = await find(request);
    const { model } = await viewer(deps, container, request.query, viewContext(request, deps), false, signal);
    const head = { title: `Logs of ${container.name}`, nav: 'containers', topics: [] } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/logs', model));
  });

  app.get('/fragments/containers/:id/logs', { schema }, async (request, reply) => {
    const deps = depsOf(request);
    const signal = signalOf(reply);
    const container = await find(request);
    const { model, problem } = await viewer(deps, container, request.query, viewContext(request, deps), false, signal);
    // Lines that are loaded into a view and can't be read must not look like the end of their log.
    if (problem && placeOf(request.query)) throw problem;
    return sendFragment(reply, deps.render('fragments/logs/viewer', model));
  });

  app.get(
    '/api/containers/:id/logs',
    {
      schema: {
        tags: ['containers'],
        summary:
          'The log, one JSON object a line, or plain text for `Accept: text/plain`; `follow=1` goes on, `download=1` ' +
          'gives all of it as a file',
        ...schema,
        response: { 200: schemas.LogAnswer },
      },
    },
    async (request, reply) => {
      const signal = signalOf(reply);
      const container = await find(request);
      requireEngine(depsOf(request));
      return sendLines(request, reply, container, request.query, signal);
    },
  );

  /** Streams lines at the reader's pace; the engine's stream ends with the reader. */
  async function sendLines(
    request: FastifyRequest,
    reply: FastifyReply,
    container: Container,
    query: Query,
    signal: AbortSignal,
  ) {
    const deps = depsOf(request);
    const follow = isFollowing(query);
    const download = isDownload(query);
    if (follow && download) throw new Problem('invalid', 'download: takes what there is, and does not follow.');
    const place = placeOf(query);
    const wanted = { ...toQuery(query, undefined), follow };
    // Both may take their reader's time.
    const stays = follow || download;
    if (stays || (!place && isLong(wanted))) readers.enterUntil(signal, request.ip);
    const opened = Promise.withResolvers<void>();
    const batches = place
      ? sliceLines(deps, reply, container, query, signal)
      : deps.logs.batches(container.id, wanted, signal, opened.resolve);
    const isText = download || /text\/plain/.test(request.headers.accept ?? '');
    const toText = isText ? toPlainText(query) : (line: LogLine) => `${JSON.stringify(toPlainLine(line))}\n`;
    const first = batches.next();
    // What the engine refuses is told as every other error; who follows a silent container gets the headers alone.
    await (stays ? Promise.race([first, opened.promise]) : first);
    first.catch(() => {});
    if (download) reply.header('content-disposition', attachment(container.name, new Date()));
    reply.type(isText ? 'text/plain; charset=utf-8' : 'application/x-ndjson');
    if (request.method === 'HEAD') return sendHead(reply, batches);
    const written = texts(
      first,
      batches,
      (lines) => lines.map((line) => toText(line)).join(''),
      stays ? () => reply.raw.flushHeaders() : () => {},
    );
    return reply.send(Readable.from(download ? gather(written) : written, { objectMode: false }));
  }

  /** The lines of a slice; the answer's `Link` tells where its neighbours are. */
  async function* sliceLines(deps: Deps, reply: FastifyReply, container: Container, query: Query, signal: AbortSignal) {
    const slice = await readSlice(deps, container.id, query, signal);
    const path = `${deps.config.basePath}/api/containers/${container.id}/logs`;
    linkNeighbours(reply, path, filterFields(query), query.tail, slice);
    if (slice.lines.length > 0) yield slice.lines;
  }
}

/** Whether a reading may go over the whole log: a range, or the newest lines that a filter leaves. */
const isLong = (query: LogQuery) => query.tail === undefined || isFiltered(query);

/** Aborts when the answer is sent or its reader has gone. */
export function signalOf(reply: FastifyReply): AbortSignal {
  const reading = new AbortController();
  reply.raw.once('close', () => reading.abort());
  if (reply.raw.destroyed) reading.abort();
  return reading.signal;
}

/** Ends a reading whose reader asked for nothing but the head of the answer. */
export function sendHead(reply: FastifyReply, lines: AsyncGenerator<unknown>) {
  lines.return(undefined).catch(() => {});
  return reply.send(Readable.from([]));
}

/** Lines, or batches of them, as texts; `onStart` is called when the answer is ready to be sent, before there is any line. */
export async function* texts<T>(
  first: Promise<IteratorResult<T>>,
  rest: AsyncGenerator<T>,
  toText: (lines: T) => string,
  onStart: () => void,
): AsyncGenerator<string> {
  try {
    onStart();
    const { done, value } = await first;
    if (done) return;
    yield toText(value);
    for await (const lines of rest) yield toText(lines);
  } finally {
    await rest.return(undefined);
  }
}

/** How many lines are wanted: who asks for a time, or for a file, wants what there is, up to `most`. */
function tailOf<T>(query: Query, most: T): number | T {
  return query.tail ?? (query.since || query.until || isDownload(query) ? most : paneTail);
}

/** Whether somebody wants to be told what comes, too. */
export const isFollowing = ({ follow }: Pick<Query, 'follow'>) => follow === '1' || follow === 'true';

/**
 * The place that a page of an old log lies at; none where the newest lines or a range are wanted.
 * @throws Problem `invalid` that names a field beside it that means another place
 */
export function placeOf(query: PlaceQuery): (typeof places)[number] | undefined {
  const [place, other] = places.filter((name) => query[name] !== '');
  if (!place) return undefined;
  const wrong = other ?? (['since', 'until'] as const).find((name) => query[name] !== '');
  const beside = wrong ?? (isFollowing(query) ? 'follow' : undefined);
  if (beside) throw new Problem('invalid', `${beside}: can't be given beside ${place}, which is a place of its own.`);
  return place;
}

/**
 * The slice of a log that a page shows: at its place, of its range, or the newest lines.
 * @throws Problem `invalid` for what names no place, or the engine's
 */
async function readSlice({ logs }: Deps, id: string, query: Query, signal: AbortSignal): Promise<LogSlice> {
  const filter = toLogFilter(query);
  const place = placeOf(query);
  if (!place) {
    const range = { ...toPlace(toQuery(query, undefined)), count: tailOf(query, pageTail) };
    return logs.slices.before(id, { ...filter, ...range }, signal);
  }
  const time = parseLogTime(place, query[place]);
  const wanted = { ...filter, count: query.tail ?? sliceTail };
  if (place === 'before') return logs.slices.before(id, { ...wanted, cursor: cursorAt(time) }, signal);
  if (place === 'after') return logs.slices.after(id, { ...wanted, cursor: cursorBefore(time) }, signal);
  return logs.slices.around(id, { ...wanted, cursor: cursorAt(time) }, signal);
}

/** The service's words for the parameters; an empty field is none. Without a number of lines it is at most `most`. */
function toQuery(query: Query, most: number | undefined): LogQuery {
  return {
    ...toLogFilter(query),
    tail: tailOf(query, most),
    since: query.since || undefined,
    until: query.until || undefined,
  };
}

/** The service's words for what narrows a log; an empty field is none. */
export function toLogFilter({ q, regex, case: matchCase, invert, stream, level, context }: FilterQuery): LogFilter {
  return {
    q: q || undefined,
    regex: isTicked(regex),
    matchCase: isTicked(matchCase),
    invert: isTicked(invert),
    stream: stream === 'stdout' || stream === 'stderr' ? stream : undefined,
    level: logLevels.find((known) => known === level),
    context,
  };
}

/** The parameters of a filter as they go on in links: those alone that say something. */
export function filterFields({ q, regex, case: matchCase, invert, stream, level, context }: FilterQuery) {
  const tick = (value: string) => (isTicked(value) ? '1' : '');
  const around = context > 0 ? String(context) : '';
  return { q, regex: tick(regex), case: tick(matchCase), invert: tick(invert), stream, level, context: around };
}

/** The log within a container's page: the newest lines. */
export async function logPane(
  deps: Deps,
  container: Container,
  context: ViewContext,
  signal: AbortSignal,
): Promise<LogViewerModel> {
  const noFilter = { q: '', regex: '', case: '', invert: '', stream: '', level: '', context: 0 } as const;
  const noPlace = { since: '', until: '', before: '', after: '', at: '' };
  const query = { tail: paneTail, follow: '', download: '', timestamps: '', ...noFilter, ...noPlace } as const;
  return (await viewer(deps, container, query, context, true, signal)).model;
}

/** A viewer with the lines there are, and, at the log's end, the address of the socket that goes on right behind them. */
async function viewer(
  deps: Deps,
  container: Container,
  query: Query,
  context: ViewContext,
  pane: boolean,
  signal: AbortSignal,
) {
  const place = placeOf(query);
  const { slice, problem } = await readPage(deps, container, query, signal);
  const fields = filterFields(query);
  const tail = String(place ? (query.tail ?? '') : tailOf(query, pageTail));
  // Behind a log that is empty goes on what it begins with, however much of it comes before somebody looks.
  const since = slice.end ?? (query.since || (problem ? '' : startOfLog));
  const isLive = !place && !query.until;
  const path = `/containers/${container.id}/logs`;
  const model = logViewerModel(
    {
      title: container.name,
      href: context.base + path,
      fragmentHref: `${context.base}/fragments${path}`,
      backHref: `${context.base}/containers/${container.id}`,
      live: isLive ? liveUrl(context.base, [`logs:${container.id}`], { tail, ...fields, since }) : null,
      slice,
      query: { ...fields, tail, since: query.since, until: query.until, at: query.at },
      search: createSearch(toLogFilter(query)),
      place: place ?? '',
      at: place === 'at' ? cursorAt(parseLogTime('at', query.at)) : undefined,
      pane,
    },
    context,
  );
  if (problem) model.logs.placeholder = problem.message;
  return { model, problem };
}

/** The lines there are; a log that can't be read is told in the viewer and leaves the page whole. */
async function readPage(deps: Deps, container: Container, query: Query, signal: AbortSignal) {
  const reading = AbortSignal.any([signal, AbortSignal.timeout(pageMs)]);
  try {
    requireEngine(deps);
    return { slice: await readSlice(deps, container.id, query, reading) };
  } catch (error) {
    if (isProblem(error, 'invalid')) throw error;
    const slice: LogSlice = { lines: [], earlier: undefined, later: undefined, isCutShort: false, end: undefined };
    const problem = isProblem(error) ? error : new Problem('engine_timeout', 'The log could not be read in time.');
    return { slice, problem };
  }
}
