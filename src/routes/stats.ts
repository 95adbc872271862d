import type { FastifyRequest } from 'fastify';
import type { App, Deps } from '../deps.ts';
import { workOf } from '../feeds/containers.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import { type StatsRange, type StatsSpan, toWindow } from '../services/stats-windows.ts';
import { chartsModel } from '../views/models/charts.ts';
import { headModel } from '../views/models/container.ts';
import type { ViewContext } from '../views/models/context.ts';
import { resolveContainer, sendFragment, sendPage, viewContext } from './pages.ts';
import * as schemas from './schemas.ts';
import type { DepsOf } from './scoped-deps.ts';
import { toWanted } from './stats-query.ts';

/** Figures of one container over time: charts and series. */
export function registerStats(app: App, depsOf: DepsOf): void {
  const schema = { params: schemas.IdParams, querystring: schemas.StatsQuery };
  const find = (request: FastifyRequest) =>
    resolveContainer(depsOf(request), (request.params as { id: string }).id, checkContainerRef);

  app.get('/containers/:id/stats', { schema }, async (request, reply) => {
    const deps = depsOf(request);
    const container = await find(request);
    const context = viewContext(request, deps);
    const wanted = toWanted(request.query, context.now);
    const body = deps.render('pages/stats', {
      headHtml: deps.render(
        'fragments/container/head',
        headModel(container, context, workOf(deps, container, context.base)),
      ),
      chartsHtml: await renderCharts(deps, container.id, wanted, context),
    });
    const topics = [`head:${container.id}`];
    // A span of one's own choice stays as it is.
    if (typeof wanted === 'string') topics.push(`stats:${container.id}`);
    const parameters = wanted === request.query.range && wanted !== '1h' ? { range: wanted } : {};
    const head = { title: `Figures of ${container.name}`, nav: 'containers', topics, parameters } as const;
    return sendPage(request, reply, deps, head, body);
  });

  app.get('/fragments/containers/:id/stats', { schema }, async (request, reply) => {
    const deps = depsOf(request);
    const container = await find(request);
    const context = viewContext(request, deps);
    const wanted = toWanted(request.query, context.now);
    return sendFragment(reply, await renderCharts(deps, container.id, wanted, context));
  });

  app.get(
    '/api/containers/:id/stats',
    {
      schema: {
        tags: ['containers'],
        summary: 'Figures over time; CPU in percent of one core, traffic as totals since the start',
        ...schema,
        response: { 200: schemas.Stats },
      },
    },
    async (request) => {
      const deps = depsOf(request);
      const now = Date.now();
      const wanted = toWanted(request.query, now);
      const { from, to } = toWindow(wanted, now, deps.config.statsInterval);
      const history = await deps.stats.history((await find(request)).id, wanted);
      return { ...history, from: new Date(from).toISOString(), to: new Date(to).toISOString() };
    },
  );
}

/** The charts of one container, with what happened to it and to those that had its name before. */
export async function renderCharts(
  deps: Deps,
  id: string,
  wanted: StatsRange | StatsSpan,
  context: ViewContext,
): Promise<string> {
  const window = toWindow(wanted, context.now, deps.config.statsInterval);
  const [stats, marks] = await Promise.all([
    deps.stats.history(id, wanted),
    deps.history.marks(id, window.from, window.to),
  ]);
  const path = `/containers/${id}/stats`;
  return deps.render('fragments/stats/charts', chartsModel(stats, { path, window }, context, marks));
}
