import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App, Deps } from '../deps.ts';
import { isProblem, Problem } from '../errors.ts';
import { selectContainers } from '../services/container-list.ts';
import { maxLines } from '../services/log-lines.ts';
import { createSearch } from '../services/log-search.ts';
import type { LogMembers } from '../services/log-selection.ts';
import { startOfLog } from '../services/log-slices.ts';
import { isPlace, mergedCursor, parsePlaces } from '../services/merged-cursor.ts';
import type { MergedSlice } from '../services/merged-logs.ts';
import type { ViewContext } from '../views/models/context.ts';
import type { LogViewerModel } from '../views/models/logs.ts';
import { chooserModel, mergedViewerModel } from '../views/models/merged-logs.ts';
import { chosenLogs, findMembers, type LogSubject, projectLogs } from './log-subjects.ts';
import { filterFields, signalOf, toLogFilter } from './logs.ts';
import { registerMergedLines } from './merged-log-lines.ts';
import {
  defaultTail,
  type MergedLogParameters,
  mergedPlaceOf,
  mergedTailOf,
  readMergedSlice,
  sinceOf,
} from './merged-log-query.ts';
import { liveUrl, requireEngine, sendFragment, sendPage, viewContext } from './pages.ts';
import * as schemas from './schemas.ts';
import type { DepsOf } from './scoped-deps.ts';

const pageMs = 20_000;
const noFilter = { q: '', regex: '', case: '', invert: '', stream: '', level: '', context: 0 } as const;
const noPlace = { since: '', until: '', before: '', after: '', at: '' };

/** The logs of several containers as one: those of a Compose project, or any that are chosen by their names. */
export function registerMergedLogs(app: App, depsOf: DepsOf): void {
  const projectSchema = { params: schemas.ProjectParams, querystring: schemas.MergedLogQuery };
  const chosenSchema = { querystring: schemas.ChosenLogQuery };

  app.get('/projects/:project/logs', { schema: projectSchema }, (request, reply) =>
    page(request, reply, projectLogs(request.params.project), request.query),
  );

  app.get('/fragments/projects/:project/logs', { schema: projectSchema }, (request, reply) =>
    fragment(request, reply, projectLogs(request.params.project), request.query),
  );

  app.get('/logs', { schema: chosenSchema }, async (request, reply) => {
    const subject = chosenLogs('container', [request.query.container].flat());
    if (subject.names.length > 0) return page(request, reply, subject, request.query);
    const deps = depsOf(request);
    const head = { title: 'Logs', nav: 'logs', topics: [] } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/choose-logs', chooser(request, deps)));
  });

  app.get('/fragments/logs', { schema: chosenSchema }, async (request, reply) => {
    const subject = chosenLogs('container', [request.query.container].flat());
    if (subject.names.length > 0) return fragment(request, reply, subject, request.query);
    const deps = depsOf(request);
    return sendFragment(reply, deps.render('fragments/logs/chooser', chooser(request, deps)));
  });

  registerMergedLines(app, depsOf);

  const chooser = (request: FastifyRequest, deps: Deps) => toChooser(deps, [], [], viewContext(request, deps));

  async function page(request: FastifyRequest, reply: FastifyReply, subject: LogSubject, query: MergedLogParameters) {
    const deps = depsOf(request);
    const { model } = await viewer(deps, subject, query, viewContext(request, deps), false, signalOf(reply));
    const nav = subject.names.length > 0 ? 'logs' : 'containers';
    const head = { title: `Logs of ${subject.title}`, nav, topics: [] } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/logs', model));
  }

  async function fragment(
    request: FastifyRequest,
    reply: FastifyReply,
    subject: LogSubject,
    query: MergedLogParameters,
  ) {
    const deps = depsOf(request);
    const found = await viewer(deps, subject, query, viewContext(request, deps), false, signalOf(reply));
    // Lines that are loaded into a view and can't be read must not look like the end of their log.
    if (found.problem && found.place) throw found.problem;
    return sendFragment(reply, deps.render('fragments/logs/viewer', found.model));
  }
}

function toChooser(deps: Deps, names: readonly string[], missing: readonly string[], context: ViewContext) {
  const everything = { q: '', state: '', project: '', sort: '' };
  const { groups } = selectContainers(deps.inventory.containers(), everything, deps.rowFigures);
  return chooserModel(groups, names, missing, context);
}

/** The log within a project's page: the newest lines. */
export async function projectLogPane(
  deps: Deps,
  project: string,
  context: ViewContext,
  signal: AbortSignal,
): Promise<LogViewerModel> {
  const query = { tail: defaultTail, follow: '', download: '', timestamps: '', ...noFilter, ...noPlace } as const;
  return (await viewer(deps, projectLogs(project), query, context, true, signal)).model;
}

/** A viewer with the lines there are, and, at the end, the address of the socket that goes on right behind them. */
async function viewer(
  deps: Deps,
  subject: LogSubject,
  query: MergedLogParameters,
  context: ViewContext,
  pane: boolean,
  signal: AbortSignal,
) {
  const { base } = context;
  const place = mergedPlaceOf(query);
  const members = findMembers(deps, subject, false);
  const search = createSearch(toLogFilter(query));
  const { slice, problem } = await readPage(deps, members, query, signal);
  const fields = filterFields(query);
  const tail = String(place ? (query.tail ?? '') : mergedTailOf(query, maxLines));
  const isLive = !place && query.until === '';
  const since = problem ? sinceOf(query) : placesBehind(slice, members, sinceOf(query));
  const model = mergedViewerModel(
    {
      title: subject.title,
      href: base + subject.path,
      fragmentHref: `${base}/fragments${subject.path}`,
      backHref: base + subject.backPath,
      live: isLive ? liveUrl(base, [subject.topic], { tail, ...fields }, since) : null,
      slice,
      query: { ...fields, tail, since: sinceOf(query)[0] ?? '', until: query.until, at: query.at },
      search,
      place: place ?? '',
      marked: slice.at,
      pane,
      members,
      names: subject.names,
      chooser: subject.names.length > 0 ? toChooser(deps, subject.names, members.missing, context) : null,
    },
    context,
  );
  if (problem) model.logs.placeholder = problem.message;
  return { model, problem, place };
}

/** Where each container's log goes on behind what was read of it; one that could not be read has no place of its own. */
function placesBehind({ ends, failures }: MergedSlice, { members }: LogMembers, since: readonly string[]): string[] {
  const before = parsePlaces(since);
  const read = members.filter(({ id }) => !failures.has(id));
  const places = read.map(({ id }) => {
    const cursor = ends.get(id) ?? before?.of(id) ?? startOfLog;
    return mergedCursor({ cursor, container: id });
  });
  // Of one that could not be read, or comes later, all since the time is wanted that was asked for.
  return [...places, ...since.filter((text) => !isPlace(text))];
}

/** The lines there are; logs that can't be read at all are told in the viewer and leave the page whole. */
async function readPage(deps: Deps, { members }: LogMembers, query: MergedLogParameters, signal: AbortSignal) {
  const reading = AbortSignal.any([signal, AbortSignal.timeout(pageMs)]);
  const ids = members.map(({ id }) => id);
  try {
    requireEngine(deps);
    const slice = await readMergedSlice(deps, ids, query, reading);
    // Where none could be read, one reason stands for all.
    const [problem] = slice.failures.size === ids.length ? slice.failures.values() : [];
    return problem ? { slice: { ...slice, failures: new Map() }, problem } : { slice };
  } catch (error) {
    if (isProblem(error, 'invalid')) throw error;
    const problem = isProblem(error) ? error : new Problem('engine_timeout', 'The logs could not be read in time.');
    const nothing = { lines: [], earlier: undefined, later: undefined, isCutShort: false, end: undefined };
    const slice: Awaited<ReturnType<typeof readMergedSlice>> = { ...nothing, failures: new Map(), ends: new Map() };
    return { slice, problem };
  }
}
