import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { type Audit, type AuditEntry, type AuditResult, ofProject } from '../services/audit.ts';
import { timelineOf } from '../services/event-types.ts';
import type { Inventory } from '../services/inventory.ts';
import type { Operation } from '../services/operation-types.ts';
import { auditListModel } from '../views/models/access.ts';
import * as schemas from './access-schemas.ts';
import { sendFragment, sendPage, viewContext } from './pages.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What a change is made to, where its address does not say it. */
    auditTarget: string;
    /** The container or project that it is done to, where it is there; see `AuditEntry`. */
    auditContainer: string;
  }
}

type Query = Static<typeof schemas.AuditQuery>;

const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Not signed in, not allowed, not this host. */
const refusals = new Set([401, 403, 421]);
const pageSize = 100;
const exportSlice = 1_000;

/** Says what a change is made to, where its address does not. */
export function noteFor(request: FastifyRequest, target: string): void {
  request.auditTarget = target;
}

/** Writes down every change and every refusal, whatever route it was for: none can forget it. */
export function auditRequests(app: App, audit: Audit, inventory: Known): void {
  app.decorateRequest('auditTarget', '');
  app.decorateRequest('auditContainer', '');
  // Before it is done: who is removed is not there any more.
  app.addHook('onRequest', async (request) => {
    if (!safeMethods.has(request.method)) request.auditContainer = containerOf(request, inventory);
  });
  app.addHook('onResponse', async (request, reply) => {
    const { path, access } = request.routeOptions.config;
    const isSent = !safeMethods.has(request.method) && access !== 'read' && path !== '/preferences';
    // A sign-in elsewhere ends with a link back.
    const isChange = isSent || path === '/login/oidc/callback';
    const isRefused = refusals.has(reply.statusCode) || (isChange && reply.statusCode === 429);
    if (!isRefused && !isChange) return;
    const result: AuditResult = isRefused ? 'refused' : reply.statusCode < 400 ? 'done' : 'failed';
    // An embed link lets in whoever reads it.
    const params = access === 'embed' ? [] : Object.values((request.params as Record<string, string>) ?? {});
    const entry = {
      actor: request.principal?.name ?? '',
      client: request.ip,
      action: `${request.method} ${path ?? 'unknown'}`,
      // So does one at an address that is none.
      target: request.auditTarget || params.join(' ').replace(/(embed\/)[^/]+/g, '$1…'),
      result,
      detail: String(reply.statusCode),
      container: request.auditContainer || containerOf(request, inventory),
    };
    await audit.note(entry, request.auditTarget || entry.container);
  });
}

type Known = Pick<Inventory, 'containers' | 'findContainer'>;

/** Only what is there, so that nobody can make up names without end. */
function containerOf({ routeOptions, params }: FastifyRequest, inventory: Known): string {
  const { id = '', project = '' } = (params ?? {}) as { id?: string; project?: string };
  const isContainer = /\/containers\/:id(\/|$)/.test(routeOptions.config.path ?? '');
  const container = isContainer ? inventory.findContainer(id) : undefined;
  if (container) return timelineOf(container.name);
  return project !== '' && inventory.containers().some((each) => each.project === project) ? ofProject(project) : '';
}

/** Says which container or project an operation that something is done to is about. */
export function noteOperation(request: FastifyRequest, { kind, target }: Pick<Operation, 'kind' | 'target'>): void {
  if (kind === 'rebuild') request.auditContainer = timelineOf(target);
  if (kind.startsWith('project_')) request.auditContainer = ofProject(target);
}

/** What everybody did here, for admins. */
export function registerAudit(app: App, deps: Deps): void {
  const schema = { querystring: schemas.AuditQuery };

  app.get('/audit', { schema }, async (request, reply) => {
    const body = deps.render('pages/audit', await model(request, request.query));
    return sendPage(request, reply, deps, { title: 'Audit', nav: 'admin', topics: [] }, body);
  });

  app.get('/fragments/audit', { schema }, async (request, reply) =>
    sendFragment(reply, deps.render('fragments/audit/list', await model(request, request.query))),
  );

  app.get(
    '/api/audit',
    {
      schema: {
        tags: ['access'],
        summary:
          'What was done here and what was refused, the newest first; all of it as JSON lines for `Accept: application/x-ndjson`',
        ...schema,
        response: { 200: Type.Union([Type.Array(schemas.AuditEntry), Type.String()]) },
      },
    },
    async (request, reply) => {
      const query = toQuery(request.query);
      if (/application\/x-ndjson/.test(request.headers.accept ?? '')) return sendLines(reply, query);
      return (await deps.audit.find(query)).map(toJson);
    },
  );

  async function model(request: FastifyRequest, query: Query) {
    const limit = Math.min(query.limit, pageSize);
    const found = await deps.audit.find({ ...toQuery(query), limit: limit + 1 });
    return auditListModel(found, { ...query, limit }, viewContext(request, deps));
  }

  function sendLines(reply: FastifyReply, query: ReturnType<typeof toQuery>) {
    return reply.type('application/x-ndjson').send(Readable.from(lines(query), { objectMode: false }));
  }

  async function* lines(query: ReturnType<typeof toQuery>): AsyncGenerator<string> {
    for (let { before } = query; ; ) {
      const slice = await deps.audit.find({ ...query, before, limit: exportSlice });
      yield slice.map((entry) => `${JSON.stringify(toJson(entry))}\n`).join('');
      if (slice.length < exportSlice) return;
      before = slice.at(-1)?.id;
    }
  }
}

const toQuery = ({ actor, target, result, before, limit }: Query) => ({
  actor: actor || undefined,
  target: target || undefined,
  result: result === '' ? undefined : result,
  before,
  limit,
});

const toJson = ({ at, ...entry }: AuditEntry) => ({ ...entry, at: new Date(at).toISOString() });
