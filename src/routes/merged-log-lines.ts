import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App, Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { selectMs } from '../feeds/merged-logs.ts';
import { createThrottle } from '../feeds/ticker.ts';
import { toPlainLine } from '../services/log-lines.ts';
import { type LogMembers, selectMembers } from '../services/log-selection.ts';
import type { LogLine } from '../services/logs.ts';
import { mergedCursor, parsePlaces } from '../services/merged-cursor.ts';
import type { MergedState } from '../services/merged-logs.ts';
import { type MergedSource, readOn } from '../services/merged-reading.ts';
import { attachment, gather, isDownload, toPlainText } from './log-downloads.ts';
import { linkNeighbours } from './log-links.ts';
import { chosenLogs, findMembers, type LogSubject, projectLogs } from './log-subjects.ts';
import { filterFields, isFollowing, sendHead, signalOf, texts, toLogFilter } from './logs.ts';
import {
  defaultTail,
  type MergedLogParameters,
  mergedPlaceOf,
  mergedTailOf,
  readMergedSlice,
  sinceOf,
} from './merged-log-query.ts';
import { requireEngine } from './pages.ts';
import { createReaderLimit } from './reader-limit.ts';
import * as schemas from './schemas.ts';
import type { DepsOf } from './scoped-deps.ts';

/** Each log of a reader costs the engine a stream, of which there are 512 for everything. */
const maxLogs = 400;
const maxLogsOfClient = 200;
const maxLabels = 1_000;
const summary =
  'in the order of time, one JSON object a line, or plain text for `Accept: text/plain`; `follow=1` goes on, also with ' +
  'who comes, `download=1` gives all of it as a file';

/** The lines of merged logs, for scripts. */
export function registerMergedLines(app: App, depsOf: DepsOf): void {
  const readers = createReaderLimit(maxLogsOfClient, maxLogs);
  const response = { 200: schemas.MergedLogAnswer };

  app.get(
    '/api/projects/:project/logs',
    {
      schema: {
        tags: ['projects'],
        summary: `The logs of all its containers ${summary}`,
        params: schemas.ProjectParams,
        querystring: schemas.MergedLogQuery,
        response,
      },
    },
    (request, reply) => sendLines(request, reply, projectLogs(request.params.project), request.query),
  );

  app.get(
    '/api/logs',
    {
      schema: {
        tags: ['containers'],
        summary: `The logs of several containers ${summary}`,
        querystring: schemas.ChosenLogQuery,
        response,
      },
    },
    (request, reply) => {
      const subject = chosenLogs('container', [request.query.container].flat());
      if (subject.names.length === 0) throw new Problem('invalid', 'container: name at least one.');
      return sendLines(request, reply, subject, request.query);
    },
  );

  /** Streams lines at the reader's pace; the engine's streams end with the reader. */
  async function sendLines(
    request: FastifyRequest,
    reply: FastifyReply,
    subject: LogSubject,
    query: MergedLogParameters,
  ) {
    const deps = depsOf(request);
    const signal = signalOf(reply);
    requireEngine(deps);
    const download = isDownload(query);
    const follow = checkFollow(query);
    const found = findMembers(deps, subject, !follow);
    const labels = new Map(found.members.map(({ id, label }) => [id, label]));
    const isSlice = !follow && mergedTailOf(query, undefined) !== undefined;
    if (!isSlice) readers.enterUntil(signal, request.ip, Math.max(1, found.members.length));
    const failures = new Map<string, unknown>();
    const opened = Promise.withResolvers<MergedState>();
    const lines = follow
      ? followedLines(deps, subject, query, labels, signal, opened.resolve)
      : isSlice
        ? sliceLines(deps, reply, subject, found, query, failures, signal)
        : rangeLines(deps, found, query, failures, signal);
    const first = lines.next();
    // What the engine refuses is told as every other error; who follows silent containers gets the headers alone.
    const state = await (follow
      ? Promise.race([opened.promise, first.then(() => undefined)])
      : first.then(() => undefined));
    first.catch(() => {});
    if (!follow) throwIfAll(found, failures);
    tellLeftOut(reply, found, state?.failures ?? failures);
    const isText = download || /text\/plain/.test(request.headers.accept ?? '');
    const write = isText ? toPlainText(query) : toJson;
    const toText = (line: LogLine) => write(line, labels.get(line.container) ?? '');
    if (download) reply.header('content-disposition', attachment(subject.title, new Date()));
    reply.type(isText ? 'text/plain; charset=utf-8' : 'application/x-ndjson');
    if (request.method === 'HEAD') return sendHead(reply, lines);
    const written = texts(first, lines, toText, follow ? () => reply.raw.flushHeaders() : () => {});
    return reply.send(Readable.from(download ? gather(written) : written, { objectMode: false }));
  }

  /** The lines as they come; `labels` learns those of who comes. */
  function followedLines(
    deps: Deps,
    subject: LogSubject,
    query: MergedLogParameters,
    labels: Map<string, string>,
    signal: AbortSignal,
    onOpen: (state: MergedState) => void,
  ) {
    const source = createSource(deps.inventory, subject, labels);
    const wanted = {
      ...toLogFilter(query),
      tail: query.tail ?? defaultTail,
      places: parsePlaces(sinceOf(query)),
    };
    return readOn(deps.mergedLogs, source, wanted, signal, onOpen);
  }

  /** The lines of a slice; the answer's `Link` tells where its neighbours are. */
  async function* sliceLines(
    deps: Deps,
    reply: FastifyReply,
    subject: LogSubject,
    { members }: LogMembers,
    query: MergedLogParameters,
    failures: Map<string, unknown>,
    signal: AbortSignal,
  ) {
    const ids = members.map(({ id }) => id);
    const slice = await readMergedSlice(deps, ids, query, signal);
    for (const [id, problem] of slice.failures) failures.set(id, problem);
    const path = `${deps.config.basePath}/api${subject.path}`;
    linkNeighbours(reply, path, filterFields(query), query.tail, slice);
    yield* slice.lines;
  }

  function rangeLines(
    deps: Deps,
    { members }: LogMembers,
    query: MergedLogParameters,
    failures: Map<string, unknown>,
    signal: AbortSignal,
  ) {
    const range = { ...toLogFilter(query), places: parsePlaces(sinceOf(query)), until: query.until || undefined };
    const ids = members.map(({ id }) => id);
    return deps.mergedLogs.lines(ids, range, signal, (id, error) => {
      // Half a file must not be taken for a whole.
      if (isDownload(query)) throw error;
      failures.set(id, error);
    });
  }
}

/**
 * Whose logs are read on: the containers as they are now, whose `labels` are kept. Of many changes at once one is told, as
 * all containers are looked through for it.
 */
export function createSource(
  inventory: Pick<Deps['inventory'], 'containers' | 'container' | 'onChange'>,
  { selection }: Pick<LogSubject, 'selection'>,
  labels: Map<string, string>,
): MergedSource {
  return {
    ids() {
      const { members } = selectMembers(inventory.containers(), selection);
      for (const { id, label } of members) keepNewest(labels, id, label);
      return members.map(({ id }) => id);
    },
    isThere: (id) => inventory.container(id) !== undefined,
    onChange(listener) {
      const changes = createThrottle(listener, selectMs);
      const stop = inventory.onChange(changes.ask);
      return () => {
        stop();
        changes.stop();
      };
    },
  };
}

/**
 * Whether the lines that come are wanted, too.
 * @throws Problem `invalid` for what can't be given beside it
 */
function checkFollow(query: MergedLogParameters): boolean {
  mergedPlaceOf(query);
  const follow = isFollowing(query);
  if (follow && isDownload(query)) {
    throw new Problem('invalid', 'download: takes what there is, and does not follow.');
  }
  if (follow && query.until !== '') throw new Problem('invalid', "until: can't be given beside follow.");
  return follow;
}

/** Keeps what is told of the containers that came last, far more than there are at a time. */
function keepNewest(labels: Map<string, string>, id: string, label: string): void {
  labels.delete(id);
  labels.set(id, label);
  const [oldest] = labels.keys();
  if (labels.size > maxLabels && oldest !== undefined) labels.delete(oldest);
}

const toJson = (line: LogLine, service: string) =>
  `${JSON.stringify({ ...toPlainLine(line), cursor: mergedCursor(line), service })}\n`;

/** @throws what kept all of them from being read */
function throwIfAll({ members }: LogMembers, failures: ReadonlyMap<string, unknown>): void {
  const [problem] = failures.values();
  if (problem !== undefined && failures.size === members.length) throw problem;
}

/** Names in a header the containers whose lines are missing, since a stream of lines has no room for that. */
function tellLeftOut(reply: FastifyReply, { members, missing }: LogMembers, failures: ReadonlyMap<string, unknown>) {
  const unread = members.filter(({ id }) => failures.has(id)).map(({ label }) => encodeURIComponent(label));
  const leftOut = [...missing, ...unread];
  if (leftOut.length > 0) reply.header('x-left-out', leftOut.join(', '));
}
