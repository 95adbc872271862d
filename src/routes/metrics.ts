import type { App } from '../deps.ts';
import { contentTypes, type ExpositionFormat } from '../services/exposition.ts';
import type { Metrics } from '../services/metrics.ts';

/** What Prometheus scrapes, as OpenMetrics where it asks for that. Not logged; counted by the limit as a page is. */
export function registerMetrics(app: App, { metrics }: { metrics: Metrics }): void {
  app.get('/metrics', { logLevel: 'warn', config: { isProbe: true } }, async (request, reply) => {
    const format = preferredFormat(request.headers.accept ?? '');
    return reply
      .type(contentTypes[format])
      .header('vary', 'accept')
      .send(await metrics.write(format));
  });
}

/** Counts every answered request by its route. */
export function measureRequests(app: App, metrics: Metrics): void {
  app.addHook('onResponse', async ({ method, routeOptions }, { statusCode, elapsedTime }) => {
    const route = routeOptions.config.path ?? '';
    metrics.observeRequest({ method, route, status: statusCode, seconds: elapsedTime / 1_000 });
  });
}

/** The format of an `Accept` header; its own text unless OpenMetrics is named, and no less liked. */
function preferredFormat(accept: string): ExpositionFormat {
  const wanted = accept.split(',').map(readRange);
  const openMetrics = liking(wanted, /^application\/openmetrics-text$/);
  return openMetrics > 0 && openMetrics >= liking(wanted, /^text\/(plain|\*)$/) ? 'openmetrics' : 'text';
}

type Range = { type: string; quality: number };

function readRange(text: string): Range {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
  return { type, quality: quality === undefined ? 1 : Number(quality) || 0 };
}

const liking = (ranges: readonly Range[], type: RegExp) =>
  Math.max(0, ...ranges.filter((range) => type.test(range.type)).map(({ quality }) => quality));
