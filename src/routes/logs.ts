import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { isProblem } from '../errors.ts';
import type { Container } from '../services/containers.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import type { LogLine, LogPage, LogQuery } from '../services/logs.ts';
import type { ViewContext } from '../views/models/context.ts';
import { type LogViewerModel, logViewerModel } from '../views/models/logs.ts';
import { liveUrl, requireEngine, resolveContainer, sendFragment, sendPage, viewContext } from './pages.ts';
import { createReaderLimit } from './reader-limit.ts';
import * as schemas from './schemas.ts';

type Query = Static<typeof schemas.LogReadQuery>;

const paneTail = 100;
const pageTail = 5_000;
/** Each costs the engine a stream of its own, of which there are 512 for everything. */
const maxReaders = 200;
const maxReadersOfClient = 20;
const retrySeconds = '10';

/** The log of one container: a viewer, and one JSON object or plain text a line for scripts. */
export function registerLogs(app: App, deps: Deps): void {
  const schema = { params: schemas.IdParams, querystring: schemas.LogReadQuery };
  const readers = createReaderLimit(maxReadersOfClient, maxReaders);
  const find = (request: FastifyRequest) =>
    resolveContainer(deps, (request.params as { id: string }).id, checkContainerRef);

  app.get('/containers/:id/logs', { schema }, async (request, reply) => {
    const container = await find(request);
    const model = await viewer(deps, container, request.query, viewContext(request, deps), false);
    const head = { title: `Logs of ${container.name}`, nav: 'containers', topics: [] } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/logs', model));
  });

  app.get('/fragments/containers/:id/logs', { schema }, async (request, reply) => {
    const model = await viewer(deps, await find(request), request.query, viewContext(request, deps), false);
    return sendFragment(reply, deps.render('fragments/logs/viewer', model));
  });

  app.get(
    '/api/containers/:id/logs',
    {
      schema: {
        tags: ['containers'],
        summary: 'The log, one JSON object a line, or plain text for `Accept: text/plain`; `follow=1` goes on',
        ...schema,
        response: { 200: schemas.LogAnswer },
      },
    },
    async (request, reply) => {
      const signal = signalOf(reply);
      const container = await find(request);
      requireEngine(deps);
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
    const follow = query.follow === '1' || query.follow === 'true';
    if (follow) enter(request, reply, signal);
    const opened = Promise.withResolvers<void>();
    const wanted = { ...toQuery(query, undefined), follow };
    const lines = deps.logs.lines(container.id, wanted, signal, opened.resolve);
    const isText = /text\/plain/.test(request.headers.accept ?? '');
    const toText = isText ? (line: LogLine) => `${line.text}\n` : (line: LogLine) => `${JSON.stringify(line)}\n`;
    const first = lines.next();
    // What the engine refuses is told as every other error; who follows a silent container gets the headers alone.
    await (follow ? Promise.race([first, opened.promise]) : first);
    first.catch(() => {});
    const onStart = follow && request.method === 'GET' ? () => reply.raw.flushHeaders() : () => {};
    const body = Readable.from(texts(first, lines, toText, onStart), { objectMode: false });
    return reply.type(isText ? 'text/plain; charset=utf-8' : 'application/x-ndjson').send(body);
  }

  /** Counts a reader who stays, until the connection ends; refuses one too many. */
  function enter(request: FastifyRequest, reply: FastifyReply, signal: AbortSignal): void {
    try {
      const leave = readers.enter(request.ip);
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
    } catch (error) {
      reply.header('retry-after', retrySeconds);
      throw error;
    }
  }
}

/** Aborts when the answer is sent or its reader has gone. */
function signalOf(reply: FastifyReply): AbortSignal {
  const reading = new AbortController();
  reply.raw.once('close', () => reading.abort());
  if (reply.raw.destroyed) reading.abort();
  return reading.signal;
}

/** `onStart` is called when the answer is ready to be sent, before there is any line. */
async function* texts(
  first: Promise<IteratorResult<LogLine>>,
  rest: AsyncGenerator<LogLine>,
  toText: (line: LogLine) => string,
  onStart: () => void,
): AsyncGenerator<string> {
  try {
    onStart();
    const { done, value } = await first;
    if (done) return;
    yield toText(value);
    for await (const line of rest) yield toText(line);
  } finally {
    await rest.return(undefined);
  }
}

/** How many lines are wanted: who asks for a time wants what there is from then, up to `most`. */
function tailOf(query: Query, most: number | undefined): number | undefined {
  return query.tail ?? (query.since || query.until ? most : paneTail);
}

/** The service's words for the parameters; an empty field is none. Without a number of lines it is at most `most`. */
function toQuery(query: Query, most: number | undefined): LogQuery {
  return {
    tail: tailOf(query, most),
    since: query.since || undefined,
    until: query.until || undefined,
    q: query.q || undefined,
    stream: query.stream === 'stdout' || query.stream === 'stderr' ? query.stream : undefined,
  };
}

/** The log within a container's page: the newest lines. */
export function logPane(deps: Deps, container: Container, context: ViewContext): Promise<LogViewerModel> {
  const query = { tail: paneTail, since: '', until: '', q: '', stream: '', follow: '' };
  return viewer(deps, container, query, context, true);
}

/** A viewer with the lines there are, and the address of the socket that goes on right behind the last of them. */
async function viewer(deps: Deps, container: Container, query: Query, context: ViewContext, pane: boolean) {
  const { lines, cut, problem } = await readPage(deps, container, query);
  const { q, stream } = query;
  const tail = String(tailOf(query, pageTail));
  const since = lines.at(-1)?.cursor ?? query.since;
  const live = query.until ? null : liveUrl(context.base, [`logs:${container.id}`], { tail, q, stream, since });
  const href = `${context.base}/containers/${container.id}/logs`;
  const model = logViewerModel(
    {
      title: container.name,
      href,
      backHref: `${context.base}/containers/${container.id}`,
      live,
      entries: lines,
      query: { q, stream, tail, since: query.since, until: query.until },
      cut,
      pane,
    },
    context,
  );
  if (problem) model.logs.placeholder = problem;
  return model;
}

/** The lines there are; a log that can't be read is told in the viewer and leaves the page whole. */
async function readPage(deps: Deps, container: Container, query: Query): Promise<LogPage & { problem: string }> {
  const reading = AbortSignal.timeout(10_000);
  try {
    requireEngine(deps);
    return { ...(await deps.logs.read(container.id, toQuery(query, pageTail), reading)), problem: '' };
  } catch (error) {
    if (isProblem(error, 'invalid')) throw error;
    return { lines: [], cut: false, problem: isProblem(error) ? error.message : 'The log could not be read in time.' };
  }
}
