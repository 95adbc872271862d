import { isProblem } from '../errors.ts';
import type { Container } from './containers.ts';
import type { DockerPort } from './docker.ts';

/** What can be done to all containers of a project. */
export const projectActions = ['start', 'stop', 'restart'] as const;
export type ProjectAction = (typeof projectActions)[number];

/** How one container fared in an action on its group. */
export type ActionResult = { id: string; name: string; ok: boolean; detail: string };

/** Actions that run at the same time at most. */
const maxParallel = 8;

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
): Promise<ActionResult[]> {
  const levels = dependencyLevels(containers);
  const results: ActionResult[] = [];
  for (const level of action === 'stop' ? levels.reverse() : levels) {
    results.push(...(await inParallel(level, (container) => act(docker, container, action))));
  }
  return results;
}

async function act(docker: DockerPort, container: Container, action: ProjectAction): Promise<ActionResult> {
  const { id, name } = container;
  try {
    await docker.actOnContainer(id, action, name);
    return { id, name, ok: true, detail: '' };
  } catch (error) {
    return { id, name, ok: false, detail: isProblem(error) ? error.message : 'It failed for an unknown reason.' };
  }
}

async function inParallel<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += maxParallel) {
    results.push(...(await Promise.all(items.slice(start, start + maxParallel).map(run))));
  }
  return results;
}
