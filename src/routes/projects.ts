import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { App } from '../deps.ts';
import { Problem } from '../errors.ts';
import { busyWith, toRow } from '../feeds/containers.ts';
import { projectClaim } from '../services/claims.ts';
import { selectContainers } from '../services/container-list.ts';
import type { Operation } from '../services/operation-types.ts';
import { type ProjectAction, projectActions } from '../services/projects.ts';
import { type GroupInput, projectPageModel } from '../views/models/containers.ts';
import { toContainerJson } from './container-json.ts';
import { signalOf } from './logs.ts';
import { projectLogPane } from './merged-logs.ts';
import { actorOf, sendOperation, sendOperationJson } from './operation-answers.ts';
import { requireEngine, sendFragment, sendPage, viewContext } from './pages.ts';
import * as schemas from './schemas.ts';
import type { DepsOf } from './scoped-deps.ts';

const ActionParams = Type.Object({
  project: Type.String({ minLength: 1, maxLength: 255 }),
  action: schemas.oneOf(projectActions),
});

/** Compose projects: one of them, and what can be done to all its containers. */
export function registerProjects(app: App, depsOf: DepsOf): void {
  const params = schemas.ProjectParams;
  const emptyQuery = { q: '', state: '', project: '', sort: '' };

  app.get('/projects/:project', { schema: { params } }, async (request, reply) => {
    const deps = depsOf(request);
    const { project } = request.params;
    const context = viewContext(request, deps);
    const model = projectPageModel(find(request, project), context);
    const logsHtml = deps.render(
      'fragments/logs/viewer',
      await projectLogPane(deps, project, context, signalOf(reply)),
    );
    const body = deps.render('pages/project', { ...model, logsHtml });
    const head = {
      title: project,
      nav: 'containers',
      topics: [`project:${project}`],
      parameters: { actions: 'true' },
    } as const;
    return sendPage(request, reply, deps, head, body);
  });

  app.get('/fragments/projects/:project', { schema: { params } }, (request, reply) => {
    const deps = depsOf(request);
    const model = projectPageModel(find(request, request.params.project), viewContext(request, deps));
    return sendFragment(reply, deps.render('fragments/containers/list', model));
  });

  app.get(
    '/api/projects/:project',
    {
      schema: { tags: ['projects'], summary: 'One Compose project', params, response: { 200: schemas.Project } },
    },
    (request) => {
      requireEngine(depsOf(request));
      const { title, running, total, rows } = find(request, request.params.project);
      const containers = rows.map((row) => toContainerJson(row.container, Date.now()));
      return { name: request.params.project, title, running, total, containers };
    },
  );

  app.post('/projects/:project/:action', { schema: { params: ActionParams } }, async (request, reply) => {
    const { project, action } = request.params;
    return sendOperation(request, reply, depsOf(request), await start(request, project, action));
  });

  app.post(
    '/api/projects/:project/:action',
    {
      schema: {
        tags: ['projects'],
        summary: 'Start, stop or restart all containers of a project in dependency order, as an operation',
        params: ActionParams,
        response: { 202: schemas.Operation },
      },
    },
    async (request, reply) => {
      const { project, action } = request.params;
      return sendOperationJson(reply, depsOf(request), await start(request, project, action));
    },
  );

  function start(request: FastifyRequest, project: string, action: ProjectAction): Promise<Operation> {
    const deps = depsOf(request);
    requireEngine(deps);
    const containers = find(request, project).rows.map((row) => row.container);
    return deps.projects.start(project, containers, action, actorOf(request));
  }

  function find(request: FastifyRequest, project: string): GroupInput {
    const deps = depsOf(request);
    const groups = selectContainers(deps.inventory.containers(), { ...emptyQuery, project }, deps.rowFigures).groups;
    const group = groups.find((group) => group.project === project);
    if (!group) requireEngine(deps);
    if (!group) throw new Problem('not_found', `Project ${project} not found`);
    const { containers, ...rest } = group;
    const { basePath } = deps.config;
    const busy = busyWith(deps, projectClaim(project), basePath);
    return { ...rest, busy, rows: containers.map((container) => toRow(deps, container, basePath)) };
  }
}
