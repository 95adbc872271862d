import { hasProcess, type SimulatedContainer } from './container.ts';
import { type Sample, type StatsHost, toStatsDocument, toStoppedStats } from './stats.ts';
import type { EngineStream } from './streams.ts';

/** Reads the counters on a common beat, as an engine's collector does. */
export type StatsCollector = ReturnType<typeof createStatsCollector>;

/** Creates a collector that beats only while somebody waits for it. */
export function createStatsCollector(host: StatsHost, intervalMs: number) {
  const listeners = new Set<() => void>();
  let timer: NodeJS.Timeout | null = null;

  function onTick(listener: () => void): () => void {
    listeners.add(listener);
    timer ??= setInterval(tick, intervalMs).unref();
    return () => removeListener(listener);
  }

  function removeListener(listener: () => void): void {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    close();
  }

  function tick(): void {
    for (const listener of [...listeners]) listener();
  }

  function close(): void {
    if (timer) clearInterval(timer);
    timer = null;
  }

  function nextTick(): Promise<void> {
    return new Promise((resolve) => {
      const remove = onTick(() => {
        remove();
        resolve();
      });
    });
  }

  /** One document: at once, at the next beat, or over two of them so that it has a `precpu_stats`. */
  async function readOnce(container: SimulatedContainer, isOneShot: boolean): Promise<Record<string, unknown>> {
    if (!hasProcess(container)) return toStoppedStats(container, host);
    const isImmediate = host.flavour.isPodman || (isOneShot && !host.flavour.oneShotWaits);
    if (!isImmediate) await nextTick();
    const sample = container.stats.sample(host.cpus);
    if (isOneShot || host.flavour.isPodman) return toStatsDocument(container, host, sample, null, isOneShot);
    await nextTick();
    return toStatsDocument(container, host, container.stats.sample(host.cpus), sample, false);
  }

  /** A document each beat, until the process ends. */
  function stream(container: SimulatedContainer, output: EngineStream): void {
    let previous: Sample | null = null;
    const send = () => {
      const sample = container.stats.sample(host.cpus);
      const document = hasProcess(container)
        ? toStatsDocument(container, host, sample, previous, false)
        : toStoppedStats(container, host);
      previous = sample;
      if (output.pendingBytes < 1_000_000) output.push(`${JSON.stringify(document)}\n`);
    };
    const remove = onTick(send);
    const end = () => output.end();
    container.endings.add(end);
    output.onClose(() => {
      remove();
      container.endings.delete(end);
    });
    if (host.flavour.isPodman) send();
  }

  return { readOnce, stream, close };
}
