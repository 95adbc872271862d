import { coresOf } from './containers.ts';
import type { EngineContainerDetail } from './docker-types.ts';

/** What the limits are found with. */
export type CpuLimitOptions = {
  inspect: (id: string, signal: AbortSignal) => Promise<EngineContainerDetail>;
  /** ms since 1970. */
  now: () => number;
};

const parallel = 4;
/** A limit can be changed while a container runs. */
const staleMs = 600_000;
const maxKnown = 2_000;

/** How many cores containers may use. */
export type CpuLimits = ReturnType<typeof createCpuLimits>;

/**
 * Creates the finding of CPU limits, which only an inspect tells: one call for a container whose limit is asked for, four
 * at once, and again after ten minutes. Of 2,000 containers they are remembered, and as many wait.
 */
export function createCpuLimits({ inspect, now }: CpuLimitOptions) {
  const known = new Map<string, { cores: number | null; at: number }>();
  const waiting = new Set<string>();
  const asking = new Map<string, { isOutdated: boolean }>();
  const closing = new AbortController();

  function want(id: string): void {
    if (closing.signal.aborted || asking.has(id) || waiting.size >= maxKnown) return;
    waiting.add(id);
    fill();
  }

  function fill(): void {
    for (const id of waiting) {
      if (closing.signal.aborted || asking.size >= parallel) return;
      waiting.delete(id);
      void ask(id);
    }
  }

  async function ask(id: string): Promise<void> {
    const call = { isOutdated: false };
    asking.set(id, call);
    try {
      const { HostConfig } = await inspect(id, closing.signal);
      if (!call.isOutdated) keep(id, coresOf(HostConfig));
    } catch {
      // One that has just gone, or an engine that is away: who asks again is told.
    } finally {
      asking.delete(id);
      fill();
    }
  }

  function keep(id: string, cores: number | null): void {
    known.delete(id);
    known.set(id, { cores, at: now() });
    const [oldest] = known.keys();
    if (known.size > maxKnown && oldest !== undefined) known.delete(oldest);
  }

  return {
    /** The cores of a container; null where it has no limit, undefined where that is not known yet. */
    of(id: string): number | null | undefined {
      const found = known.get(id);
      if (!found || now() - found.at >= staleMs || found.at > now()) want(id);
      return found?.cores;
    },

    /** Something happened to a container: what is known of it, or is just being told, may hold no longer. */
    drop(id: string): void {
      known.delete(id);
      waiting.delete(id);
      const call = asking.get(id);
      if (call) call.isOutdated = true;
    },

    /** Ends every call. */
    close(): void {
      closing.abort();
      waiting.clear();
    },
  };
}
