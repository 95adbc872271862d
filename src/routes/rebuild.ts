import type { FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import type { App } from '../deps.ts';
import { Problem } from '../errors.ts';
import type { Scope } from '../services/capabilities.ts';
import type { Container } from '../services/containers.ts';
import { checkContainerRef } from '../services/docker-gate.ts';
import { dependencyLevels } from '../services/projects.ts';
import type { Change } from '../services/rebuild-plan.ts';
import type { RebuildChoices } from '../services/rebuilds.ts';
import { readReference } from '../services/references.ts';
import { maskText, maskValueText, toText } from '../services/secrets.ts';
import { rebuildModel, rebuildProjectModel } from '../views/models/rebuild.ts';
import { actorOf, sendOperation, sendOperationJson } from './operation-answers.ts';
import { requireEngine, resolveContainer, sendFragment, sendPage, viewContext } from './pages.ts';
import { loginOf, registryLoginOf } from './registry-login.ts';
import * as schemas from './schemas.ts';
import type { DepsOf } from './scoped-deps.ts';

/** Rebuilding containers on the newest image of their tag: what would change, and doing it. */
export function registerRebuild(app: App, depsOf: DepsOf): void {
  const params = schemas.IdParams;

  // ── one container ──

  app.get('/containers/:id/rebuild', { schema: { params } }, async (request, reply) => {
    const deps = depsOf(request);
    const model = await preview(request);
    const body = deps.render('pages/rebuild', model);
    return sendPage(
      request,
      reply,
      deps,
      { title: `Rebuild ${model.rebuild.name}`, nav: 'containers', topics: [] },
      body,
    );
  });

  app.get('/fragments/containers/:id/rebuild', { schema: { params } }, async (request, reply) =>
    sendFragment(reply, depsOf(request).render('fragments/container/rebuild', await preview(request))),
  );

  app.get(
    '/api/containers/:id/rebuild',
    {
      schema: {
        tags: ['containers'],
        summary: 'What a rebuild would change, secrets masked; nothing is done',
        params,
        response: { 200: schemas.RebuildPreview },
      },
    },
    async (request) => {
      const deps = depsOf(request);
      const container = await find(request);
      const { changes, ...found } = await deps.rebuilds.preview(container.id, scopeOf(request));
      return { ...found, update: deps.updates.ofContainer(container).state, changes: changes.map(maskChange) };
    },
  );

  const rebuilding = { params, body: schemas.RebuildBody };

  app.post('/containers/:id/rebuild', { schema: rebuilding }, async (request, reply) =>
    sendOperation(request, reply, depsOf(request), await start(request)),
  );

  app.post(
    '/api/containers/:id/rebuild',
    {
      schema: {
        tags: ['containers'],
        summary:
          'Rebuild a container on the newest image of its tag, as an operation; with `pull` false on the image that the ' +
          'tag means here, with `force` also where it runs on that already',
        ...rebuilding,
        response: { 202: schemas.Operation },
      },
    },
    async (request, reply) => sendOperationJson(reply, depsOf(request), await start(request)),
  );

  async function find(request: FastifyRequest): Promise<Container> {
    const deps = depsOf(request);
    const container = await resolveContainer(deps, (request.params as { id: string }).id, checkContainerRef);
    requireEngine(deps);
    return container;
  }

  async function preview(request: FastifyRequest) {
    const deps = depsOf(request);
    const container = await find(request);
    const found = await deps.rebuilds.preview(container.id, scopeOf(request));
    return rebuildModel(found, deps.updates.ofContainer(container), viewContext(request, deps));
  }

  async function start(request: FastifyRequest) {
    const { id } = await find(request);
    const body = request.body as Body;
    const credentials = loginOf(body?.username, body?.password);
    const choices = { ...choicesOf(body), scope: scopeOf(request), credentials };
    return depsOf(request).rebuilds.start(id, choices, actorOf(request));
  }

  // ── a project ──

  const projectParams = schemas.ProjectParams;

  app.get('/projects/:project/rebuild', { schema: { params: projectParams } }, (request, reply) => {
    const deps = depsOf(request);
    const { project } = request.params;
    const containers = dependencyLevels(membersOf(request, project)).flat();
    const title = containers[0]?.projectTitle ?? project;
    const rows = containers.map((container) => ({ ...container, update: deps.updates.ofContainer(container) }));
    const input = { project, title, containers: rows, registries: registriesOf(request, containers) };
    const model = rebuildProjectModel(input, viewContext(request, deps));
    const head = { title: `Rebuild ${project}`, nav: 'containers', topics: [] } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/rebuild-project', model));
  });

  const projectRebuilding = { params: projectParams, body: schemas.RebuildProjectBody };

  app.post('/projects/:project/rebuild', { schema: projectRebuilding }, async (request, reply) =>
    sendOperation(request, reply, depsOf(request), await startProject(request)),
  );

  app.post(
    '/api/projects/:project/rebuild',
    {
      schema: {
        tags: ['projects'],
        summary:
          'Rebuild all containers of a project in dependency order, each by itself, as an operation; `onFailure` is ' +
          '`stop` or `go_on`',
        ...projectRebuilding,
        response: { 202: schemas.Operation },
      },
    },
    async (request, reply) => sendOperationJson(reply, depsOf(request), await startProject(request)),
  );

  async function startProject(request: FastifyRequest) {
    const deps = depsOf(request);
    const { project } = request.params as { project: string };
    requireEngine(deps);
    const body = request.body as ProjectBody;
    const members = membersOf(request, project);
    const credentials = loginOf(body?.username, body?.password);
    const login = registryLoginOf(credentials, body?.registry, registriesOf(request, members));
    const scope = scopeOf(request);
    const choices = { ...choicesOf(body), scope, login, onFailure: body?.onFailure ?? ('stop' as const) };
    return deps.rebuilds.startProject(project, members, choices, actorOf(request));
  }

  /** The registries that containers' images come from. */
  function registriesOf(request: FastifyRequest, containers: readonly Container[]): string[] {
    const { updates } = depsOf(request);
    const references = containers.map((container) => readReference(updates.referenceOf(container) ?? ''));
    return [...new Set(references.flatMap((reference) => reference?.registry ?? []))].sort();
  }

  function membersOf(request: FastifyRequest, project: string): Container[] {
    const deps = depsOf(request);
    const members = deps.inventory.containers().filter((container) => container.project === project);
    if (members.length === 0) requireEngine(deps);
    if (members.length === 0) throw new Problem('not_found', `Project ${project} not found`);
    return members;
  }
}

type Body = Static<typeof schemas.RebuildBody>;
type ProjectBody = Static<typeof schemas.RebuildProjectBody>;

/** What a rebuild may touch: who has not signed in gets here by no way, and would touch nothing. */
const scopeOf = ({ principal }: FastifyRequest): Scope => (principal ? principal.scope : []);

/** Nobody who says nothing of a pull wants none. */
function choicesOf(body: Body | ProjectBody): Pick<RebuildChoices, 'pulls' | 'isForced'> {
  const { pull, force } = body ?? {};
  const pulls = pull === undefined || pull === '' || schemas.isTicked(pull);
  return { pulls, isForced: schemas.isTicked(force) };
}

function maskChange({ field, name, before, after }: Change): Change {
  const isNamed = field === 'variable' || field === 'label';
  const mask = (value: string | null) =>
    value === null ? null : isNamed ? maskValueText(name, value) : toText(maskText(value));
  return { field, name, before: mask(before), after: mask(after) };
}
