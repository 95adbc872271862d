import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../errors.ts';
import type { DockerPort } from './docker.ts';
import type { EngineContainerDetail, EngineHealthProbe } from './docker-types.ts';

/** Bounds of the wait, ms: until a health check has to say `healthy`, and how long one without has to run. */
export type ReadinessBounds = { healthyMs: number; steadyMs: number };

const pollMs = 250;
const never = '0001-01-01T00:00:00Z';

type Wait = { id: string; bounds: ReadinessBounds; isPodman: boolean; signal: AbortSignal };

/**
 * Waits until a container that was just started is ready: healthy where it has a health check, else running without a
 * break for a while.
 * @throws Problem `conflict` that says why it is not
 */
export async function untilReady(docker: DockerPort, { id, bounds, isPodman, signal }: Wait): Promise<void> {
  const began = Date.now();
  for (;;) {
    const seen = await inspectStarted(docker, id);
    const waited = Date.now() - began;
    const health = seen.State?.Health;
    if (isReady(seen, waited, bounds, isPodman)) return;
    if (health && waited > patience(seen, bounds)) {
      throw new Problem(
        'conflict',
        `It was not healthy within ${Math.round(waited / 1000)} s${lastProbe(health.Log)}.`,
      );
    }
    await sleep(pollMs, undefined, { signal });
  }
}

function isReady(seen: EngineContainerDetail, waited: number, bounds: ReadinessBounds, isPodman: boolean): boolean {
  const health = seen.State?.Health;
  if (!health?.Status || health.Status === 'none') return waited >= bounds.steadyMs;
  // Without systemd Podman never runs a health check: then it counts that it runs.
  const neverProbed = isPodman && !health.Log?.length;
  return health.Status === 'healthy' || (neverProbed && waited >= bounds.steadyMs);
}

/** A container that is running, and not for the second time. */
async function inspectStarted(docker: DockerPort, id: string): Promise<EngineContainerDetail> {
  const seen = await docker.inspectContainer(id).catch((error: unknown) => {
    if (error instanceof Problem && error.code === 'not_found') {
      throw new Problem('conflict', 'It ended right after its start, and was removed (--rm).');
    }
    throw error;
  });
  const state = seen.State ?? {};
  if (state.Status !== 'running' || seen.RestartCount) throw new Problem('conflict', ending(seen));
  if (state.Health?.Status === 'unhealthy') {
    throw new Problem('conflict', `Its health check failed${lastProbe(state.Health.Log)}.`);
  }
  return seen;
}

function ending({ State: state, RestartCount: restarts }: EngineContainerDetail): string {
  const reason = state?.Error ? `: ${state.Error.slice(0, 500)}` : '';
  const isKilled = state?.OOMKilled ? ', out of memory' : '';
  const again = restarts ? ` and was restarted ${restarts === 1 ? 'once' : `${restarts} times`}` : '';
  const hasEnded = state?.FinishedAt && state.FinishedAt !== never;
  // While it runs again, the exit code is no longer that of its end.
  if (state?.Status === 'running') return `It ended right after its start${again}.`;
  if (!hasEnded && !restarts) return `It does not run but is ${state?.Status ?? 'in no known state'}${reason}.`;
  return `It ended with exit code ${state?.ExitCode ?? 'unknown'}${isKilled}${again}${reason}.`;
}

function lastProbe(log: readonly EngineHealthProbe[] | null | undefined): string {
  const last = log?.at(-1);
  if (!last) return '';
  const words = last.Output?.trim().slice(0, 300);
  return words ? `: ${words}` : `: exit code ${last.ExitCode ?? 'unknown'}`;
}

/** A check that runs seldom gets the time for its first probe, an hour at most. */
function patience({ Config: config }: EngineContainerDetail, { healthyMs }: ReadinessBounds): number {
  const { Interval = 0, Timeout = 0 } = config?.Healthcheck ?? {};
  const firstProbeMs = ((Interval || 30e9) + (Timeout || 30e9)) / 1e6;
  return Math.max(healthyMs, Math.min(firstProbeMs, 3_600_000));
}
