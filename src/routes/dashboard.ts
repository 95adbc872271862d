import { setTimeout } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App, Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import {
  containersOf,
  dashboardInput,
  dashboardPath,
  diskInput,
  renderDisk,
  renderNow,
  type Scope,
} from '../feeds/dashboard.ts';
import { measures } from '../services/overview.ts';
import { machineSeries, projectSeries } from '../services/stats-totals.ts';
import { type StatsRange, type StatsSpan, toWindow } from '../services/stats-windows.ts';
import { chartsModel } from '../views/models/charts.ts';
import type { ViewContext } from '../views/models/context.ts';
import { isHtmx, requireEngine, sendFragment, sendPage, viewContext, wayBack } from './pages.ts';
import * as schemas from './schemas.ts';
import { type StatsQuery, toWanted } from './stats-query.ts';

/** So long a page waits for the first look at the disk, ms: most engines have answered by then. */
const patienceMs = 500;

/** Dashboards of the machine and of each project: what their containers are, use and have on the disk. */
export function registerDashboard(app: App, deps: Deps): void {
  const querystring = schemas.StatsQuery;
  const params = schemas.ProjectParams;

  app.get('/dashboard', { schema: { querystring } }, async (request, reply) => {
    const dashboardHtml = await renderDashboard(request, request.query, null);
    const body = deps.render('pages/dashboard', { dashboardHtml });
    return send(request, reply, 'Dashboard', 'dashboard', 'dashboard', body);
  });

  app.get('/projects/:project/stats', { schema: { querystring, params } }, async (request, reply) => {
    const project = await find(request.params.project);
    const dashboardHtml = await renderDashboard(request, request.query, project);
    const { base } = viewContext(request, deps);
    const isThere = containersOf(deps, project).length > 0;
    const projectHref = isThere ? `${base}/projects/${encodeURIComponent(project)}` : '';
    const body = deps.render('pages/project-stats', { base, projectHref, title: project, dashboardHtml });
    return send(request, reply, `Figures of ${project}`, 'containers', `dashboard:${project}`, body);
  });

  app.get('/fragments/dashboard', { schema: { querystring } }, async (request, reply) =>
    sendFragment(reply, await renderDashboard(request, request.query, null)),
  );

  app.get('/fragments/projects/:project/stats', { schema: { querystring, params } }, async (request, reply) =>
    sendFragment(reply, await renderDashboard(request, request.query, await find(request.params.project))),
  );

  const response = { 200: schemas.Dashboard };

  app.get(
    '/api/dashboard',
    { schema: { tags: ['dashboard'], summary: 'What the containers of the machine use', querystring, response } },
    (request) => toJson(request.query, null),
  );

  app.get(
    '/api/projects/:project/stats',
    { schema: { tags: ['projects'], summary: 'What its containers use', querystring, params, response } },
    async (request) => toJson(request.query, await find(request.params.project)),
  );

  const body = schemas.DiskBody;

  app.post('/dashboard/disk', { schema: { body } }, async (request, reply) => {
    const scope = await measure(request.body?.project);
    const context = viewContext(request, deps);
    if (isHtmx(request)) return sendFragment(reply, renderDisk(deps, scope, context));
    return reply.redirect(wayBack(request, deps, dashboardPath(scope)), 303);
  });

  app.post(
    '/api/dashboard/disk',
    {
      schema: {
        tags: ['dashboard'],
        summary: 'Let the engine measure its disk anew; what is known is answered, also while it does',
        body,
        response: { 200: schemas.Disk },
      },
    },
    async (request) => toDiskJson(await measure(request.body?.project)),
  );

  /**
   * A project with containers, or one that had some as long as its sums are kept.
   * @throws Problem `not_found`, or `engine_unreachable` where it may only be not known yet
   */
  async function find(project: string): Promise<string> {
    if (containersOf(deps, project).length > 0) return project;
    requireEngine(deps);
    if (await deps.stats.keeps(projectSeries(project))) return project;
    throw new Problem('not_found', `Project ${project} not found`);
  }

  async function measure(project: string | undefined): Promise<Scope> {
    const scope = project ? await find(project) : null;
    requireEngine(deps);
    await soon(deps.diskUsage.refresh());
    return scope;
  }

  /** Somebody looks: what is not known of the disk is asked for, and waited for a moment. */
  async function lookAtDisk(): Promise<void> {
    if (deps.inventory.engine().status === 'connected') await soon(deps.diskUsage.look());
  }

  async function renderDashboard(request: FastifyRequest, query: StatsQuery, scope: Scope): Promise<string> {
    const context = viewContext(request, deps);
    const wanted = toWanted(query, context.now);
    const [chartsHtml] = await Promise.all([renderSumCharts(deps, scope, wanted, context), lookAtDisk()]);
    const { now, top } = renderNow(deps, scope, context);
    return deps.render('fragments/dashboard/dashboard', {
      nowHtml: now,
      topHtml: top,
      diskHtml: renderDisk(deps, scope, context),
      chartsHtml,
    });
  }

  function send(
    request: FastifyRequest,
    reply: FastifyReply,
    title: string,
    nav: 'dashboard' | 'containers',
    topic: string,
    body: string,
  ) {
    const { range, from, to } = request.query as StatsQuery;
    const parameters = { range: range === '1h' ? '' : range, from, to };
    return sendPage(request, reply, deps, { title, nav, topics: [topic], parameters }, body);
  }

  async function toJson(query: StatsQuery, scope: Scope) {
    requireEngine(deps);
    const now = Date.now();
    const wanted = toWanted(query, now);
    const { from, to } = toWindow(wanted, now, deps.config.statsInterval);
    const [{ range, stepSeconds, samples }] = await Promise.all([
      deps.stats.history(seriesOf(scope), wanted),
      lookAtDisk(),
    ]);
    return {
      ...toNowJson(scope),
      disk: toDiskJson(scope),
      ...{ range, from: new Date(from).toISOString(), to: new Date(to).toISOString(), stepSeconds, samples },
    };
  }

  function toNowJson(scope: Scope) {
    const { machine, overview } = dashboardInput(deps, scope);
    const { rates, ...totals } = overview.totals;
    const lists = measures.map((measure) => [
      measure,
      overview.top[measure].map(({ container: { id, name }, value }) => ({ id, name, value })),
    ]);
    return {
      project: scope,
      machine: { cpus: machine.cpus, memoryBytes: machine.memoryBytes },
      sampling: deps.config.statsInterval > 0,
      containers: { total: overview.total, states: overview.states, health: overview.health },
      totals: {
        ...totals,
        networkRxBytesPerSecond: rates.networkRxBytes,
        networkTxBytesPerSecond: rates.networkTxBytes,
        blockReadBytesPerSecond: rates.blockReadBytes,
        blockWriteBytesPerSecond: rates.blockWriteBytes,
      },
      top: Object.fromEntries(lists),
    };
  }

  function toDiskJson(scope: Scope) {
    const { figures, readAt, ...state } = diskInput(deps, scope);
    const none = { images: null, containers: null, volumes: null, buildCache: null };
    return { ...none, ...figures, ...state, readAt: readAt === null ? null : new Date(readAt).toISOString() };
  }
}

/** The series that a dashboard's charts are of. */
export const seriesOf = (scope: Scope) => (scope === null ? machineSeries : projectSeries(scope));

const soon = (work: Promise<void>) => Promise.race([work, setTimeout(patienceMs, undefined, { ref: false })]);

const namesOf = (deps: Deps, scope: Scope) => containersOf(deps, scope).map(({ name }) => name);

/**
 * The charts of the sums over all containers, or over those of a project with what happened to them; on those of the
 * machine that would be too much to tell anything.
 */
export async function renderSumCharts(
  deps: Deps,
  scope: Scope,
  wanted: StatsRange | StatsSpan,
  context: ViewContext,
): Promise<string> {
  const window = toWindow(wanted, context.now, deps.config.statsInterval);
  const [stats, marks] = await Promise.all([
    deps.stats.history(seriesOf(scope), wanted),
    scope === null ? [] : deps.history.marksOf(namesOf(deps, scope), window.from, window.to),
  ]);
  const { cpus } = deps.inventory.engine();
  const view = { path: dashboardPath(scope), window, ...(scope === null && cpus > 0 && { cpus }) };
  return deps.render('fragments/stats/charts', chartsModel(stats, view, context, marks));
}
