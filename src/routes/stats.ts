import type { FastifyRequest } from 'fastify';
import type { App, Deps } from '../deps.ts';
import { workOf } from '../feeds/containers.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import type { StatsRange } from '../services/stats-store.ts';
import { chartsModel } from '../views/models/charts.ts';
import { headModel } from '../views/models/container.ts';
import type { ViewContext } from '../views/models/context.ts';
import { resolveContainer, sendFragment, sendPage, viewContext } from './pages.ts';
import * as schemas from './schemas.ts';

/** Figures of one container over time: charts and series. */
export function registerStats(app: App, deps: Deps): void {
  const schema = { params: schemas.IdParams, querystring: schemas.StatsQuery };
  const find = (request: FastifyRequest) =>
    resolveContainer(deps, (request.params as { id: string }).id, checkContainerRef);

  app.get('/containers/:id/stats', { schema }, async (request, reply) => {
    const container = await find(request);
    const range = request.query.range;
    const context = viewContext(request, deps);
    const body = deps.render('pages/stats', {
      headHtml: deps.render(
        'fragments/container/head',
        headModel(container, context, workOf(deps, container, context.base)),
      ),
      chartsHtml: await renderCharts(deps, container.id, range, context),
    });
    const topics = [`head:${container.id}`, `stats:${container.id}`];
    const parameters = range === '1h' ? {} : { range };
    const head = { title: `Figures of ${container.name}`, nav: 'containers', topics, parameters } as const;
    return sendPage(request, reply, deps, head, body);
  });

  app.get('/fragments/containers/:id/stats', { schema }, async (request, reply) => {
    const container = await find(request);
    return sendFragment(reply, await renderCharts(deps, container.id, request.query.range, viewContext(request, deps)));
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
    async (request) => deps.stats.history((await find(request)).id, request.query.range),
  );
}

/** The charts of one container. */
export async function renderCharts(deps: Deps, id: string, range: StatsRange, context: ViewContext): Promise<string> {
  const stats = await deps.stats.history(id, range);
  return deps.render('fragments/stats/charts', chartsModel(stats, range, context.now, context));
}
