import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { morph } from '../feeds/frames.ts';
import { selectContainers } from '../services/container-list.ts';
import { actOnProject, type ProjectAction, projectActions } from '../services/projects.ts';
import { type GroupInput, groupModel, projectPageModel } from '../views/models/containers.ts';
import { toContainerJson } from './container-json.ts';
import { isHtmx, requireEngine, sendFragment, sendPage, viewContext, wayBack } from './pages.ts';
import * as schemas from './schemas.ts';

const ActionParams = Type.Object({
  project: Type.String({ minLength: 1, maxLength: 255 }),
  action: schemas.oneOf(projectActions),
});

const done: Record<ProjectAction, string> = { start: 'started', stop: 'stopped', restart: 'restarted' };

/** Compose projects: one of them, and what can be done to all its containers. */
export function registerProjects(app: App, deps: Deps): void {
  const params = schemas.ProjectParams;
  const emptyQuery = { q: '', state: '', project: '', sort: '' };

  app.get('/projects/:project', { schema: { params } }, (request, reply) => {
    const { project } = request.params;
    const body = deps.render('pages/project', projectPageModel(find(project), viewContext(request, deps)));
    const head = { title: project, nav: 'containers', topics: [`project:${project}`] } as const;
    return sendPage(request, reply, deps, head, body);
  });

  app.get('/fragments/projects/:project', { schema: { params } }, (request, reply) => {
    const model = projectPageModel(find(request.params.project), viewContext(request, deps));
    return sendFragment(reply, deps.render('fragments/containers/list', model));
  });

  app.get(
    '/api/projects/:project',
    {
      schema: { tags: ['projects'], summary: 'One Compose project', params, response: { 200: schemas.Project } },
    },
    (request) => {
      requireEngine(deps);
      const { title, running, total, rows } = find(request.params.project);
      const containers = rows.map((row) => toContainerJson(row.container, Date.now()));
      return { name: request.params.project, title, running, total, containers };
    },
  );

  app.post('/projects/:project/:action', { schema: { params: ActionParams } }, async (request, reply) => {
    const { project, action } = request.params;
    const results = await act(project, action);
    const failed = results.filter((result) => !result.ok).length;
    const text = `${results.length - failed} of ${results.length} containers of ${project} were ${done[action]}.`;
    const told = results.map(({ name, ok, detail }) => ({ name, ok, text: detail || done[action] }));
    const messages = [{ kind: failed ? ('error' as const) : ('status' as const), text, results: told }];
    if (isHtmx(request)) return sendFragment(reply, renderGroup(request, project) + renderMessages(messages));
    deps.messages.leave(reply, messages);
    return reply.redirect(wayBack(request, deps, `/projects/${encodeURIComponent(project)}`), 303);
  });

  app.post(
    '/api/projects/:project/:action',
    {
      schema: {
        tags: ['projects'],
        summary: 'Start, stop or restart all containers of a project in dependency order',
        params: ActionParams,
        response: { 200: schemas.ProjectResult },
      },
    },
    async (request) => {
      const { project, action } = request.params;
      return { project, action, results: await act(project, action) };
    },
  );

  async function act(project: string, action: ProjectAction) {
    requireEngine(deps);
    const containers = find(project).rows.map((row) => row.container);
    const results = await actOnProject(deps.docker, containers, action);
    await deps.inventory.refresh(containers.map((container) => container.id));
    return results;
  }

  function find(project: string): GroupInput {
    const groups = selectContainers(deps.inventory.containers(), { ...emptyQuery, project }, deps.rowFigures).groups;
    const group = groups.find((group) => group.project === project);
    if (!group) requireEngine(deps);
    if (!group) throw new Problem('not_found', `Project ${project} not found`);
    const { containers, ...rest } = group;
    return { ...rest, rows: containers.map((container) => ({ container, figures: deps.rowFigures(container.id) })) };
  }

  function renderGroup(request: FastifyRequest, project: string): string {
    const model = groupModel(find(project), viewContext(request, deps));
    return morph(`project-${model.group.slug}-head`, deps.render('fragments/containers/group-head', model));
  }

  function renderMessages(messages: object[]): string {
    return morph('messages', deps.render('fragments/messages', { base: deps.config.basePath, messages }));
  }
}
