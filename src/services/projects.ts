import { isProblem, Problem } from '../errors.ts';
import { containerClaim, projectClaim } from './claims.ts';
import type { Container } from './containers.ts';
import type { DockerPort } from './docker.ts';
import type { Inventory } from './inventory.ts';
import type { Outcome } from './operation-outcomes.ts';
import type { Operation, Result } from './operation-types.ts';
import type { Operations, Run } from './operations.ts';
import { maxStopSeconds, stopSecondsOf } from './stop-timeout.ts';

/** What can be done to all containers of a project. */
export const projectActions = ['start', 'stop', 'restart'] as const;
export type ProjectAction = (typeof projectActions)[number];

/** What was done to all, as a message says it. */
export const projectDone: Record<ProjectAction, string> = { start: 'started', stop: 'stopped', restart: 'restarted' };

/** Actions that run at the same time at most. */
const maxParallel = 8;

/** Group actions on Compose projects. */
export type Projects = ReturnType<typeof createProjects>;

/** Creates the group actions: each is an operation, with the result of each container. */
export function createProjects(docker: DockerPort, inventory: Inventory, operations: Operations) {
  return {
    /**
     * Starts doing one thing to all containers of a project.
     * @throws Problem `conflict` where something works on one of them
     */
    start: (
      project: string,
      containers: readonly Container[],
      action: ProjectAction,
      actor: string,
    ): Promise<Operation> =>
      operations.start(
        {
          kind: `project_${action}`,
          target: project,
          actor,
          claims: [projectClaim(project), ...containers.map(({ id }) => containerClaim(id))],
          canCancel: false,
        },
        async (run) => {
          const results = await actOnProject(docker, containers, action, toReport(run, containers.length));
          await inventory.refresh(containers.map(({ id }) => id));
          return summary(project, action, results);
        },
      ),
  };
}

function toReport(run: Run, total: number) {
  const results: Result[] = [];
  return (result: Result) => {
    results.push(result);
    const details = { results: [...results] };
    run.report({ progress: results.length / total, message: `${results.length} of ${total} containers`, details });
  };
}

function summary(project: string, action: ProjectAction, results: Result[]): Outcome {
  const done = results.filter(({ ok }) => ok).length;
  const message = `${done} of ${results.length} containers of ${project} were ${projectDone[action]}.`;
  if (done === results.length) return { message, details: { results } };
  return { state: 'failed', message, error: new Problem('conflict', message), details: { results } };
}

/**
 * Sorts containers into levels: each depends only on levels before its own. Those in a circle of dependencies, which
 * labels may claim, come last together.
 */
export function dependencyLevels(containers: readonly Container[]): Container[][] {
  const levels: Container[][] = [];
  let left = [...containers];
  while (left.length > 0) {
    const waiting = new Set(left.map((container) => container.service));
    const isFree = (container: Container) =>
      container.dependsOn.every((service) => service === container.service || !waiting.has(service));
    const free = left.filter(isFree);
    levels.push(free.length > 0 ? free : left);
    left = free.length > 0 ? left.filter((container) => !isFree(container)) : [];
  }
  return levels;
}

/**
 * Does one thing to all containers of a project: starts and restarts dependencies first, stops dependents first.
 * Never throws for a container: each has its own result, and a failure of one leaves the others to be tried.
 */
export async function actOnProject(
  docker: DockerPort,
  containers: readonly Container[],
  action: ProjectAction,
  onResult: (result: Result) => void = () => {},
): Promise<Result[]> {
  const levels = dependencyLevels(containers);
  const results: Result[] = [];
  for (const level of action === 'stop' ? levels.reverse() : levels) {
    const tell = async (container: Container) => {
      const result = await act(docker, container, action);
      onResult(result);
      return result;
    };
    results.push(...(await inParallel(level, tell)));
  }
  return results;
}

async function act(docker: DockerPort, container: Container, action: ProjectAction): Promise<Result> {
  const { id, name } = container;
  try {
    const graceMs = action === 'start' ? 0 : await stopGraceMs(docker, id);
    await docker.actOnContainer(id, action, name, { graceMs });
    return { id, name, ok: true, detail: '' };
  } catch (error) {
    return { id, name, ok: false, detail: isProblem(error) ? error.message : 'It failed for an unknown reason.' };
  }
}

/** How long its stop may take beyond the usual bound, ms; none where it may take for ever. */
async function stopGraceMs(docker: DockerPort, id: string): Promise<number> {
  const seconds = stopSecondsOf(await docker.containerDocument(id));
  return Math.min(Math.max(seconds, 0), maxStopSeconds) * 1_000;
}

async function inParallel<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += maxParallel) {
    results.push(...(await Promise.all(items.slice(start, start + maxParallel).map(run))));
  }
  return results;
}
