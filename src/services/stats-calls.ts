import type { Clock } from './clock.ts';
import type { EngineStats } from './docker-types.ts';

/** What a bounded queue of one-shot calls needs and tells. */
export type StatsCallsOptions = {
  docker: { containerStats: (id: string, signal: AbortSignal) => Promise<EngineStats> };
  clock: Clock;
  onSample: (id: string, sample: EngineStats) => void;
  onFailure: () => void;
  /** No call waits or runs any more. */
  onIdle: () => void;
};

// Half of the port's connections: the pages' own calls never wait behind samples.
const parallel = 8;

/** Creates a queue of one-shot calls: 8 at a time, one at most for each container. */
export function createStatsCalls({ docker, clock, onSample, onFailure, onIdle }: StatsCallsOptions) {
  const waiting = new Set<string>();
  const running = new Map<string, AbortController>();
  let latency = 0;

  function fill(): void {
    for (const id of waiting) {
      if (running.size >= parallel) return;
      waiting.delete(id);
      void call(id);
    }
  }

  async function call(id: string): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    const begun = clock.now();
    try {
      const sample = await docker.containerStats(id, controller.signal);
      if (controller.signal.aborted) return;
      measure(clock.now() - begun);
      onSample(id, sample);
    } catch {
      if (!controller.signal.aborted) onFailure();
    } finally {
      finish(id, controller);
    }
  }

  function measure(ms: number): void {
    latency = latency === 0 ? ms : latency + (ms - latency) / 8;
  }

  function finish(id: string, controller: AbortController): void {
    if (running.get(id) === controller) running.delete(id);
    fill();
    if (running.size === 0) onIdle();
  }

  function drop(id: string): void {
    waiting.delete(id);
    running.get(id)?.abort();
    running.delete(id);
  }

  return {
    /** Asks for one sample; false where that container's last call has not ended yet. */
    ask: (id: string): boolean => {
      if (waiting.has(id) || running.has(id)) return false;
      waiting.add(id);
      fill();
      return true;
    },

    /** How long a call takes, in ms: a moving average over some 8 answers, 0 before the first. */
    latency: () => latency,

    /** How long a round over so many containers would take, in ms. */
    roundMs: (containers: number) => (containers * latency) / parallel,

    /** Ends or forgets the call of one container. */
    drop,

    /** Ends all. */
    close: () => {
      for (const id of [...waiting, ...running.keys()]) drop(id);
    },
  };
}
