import { createSimulatedEngine, type SimulatedEngine } from './engine.ts';
import { liveOn, rememberPast } from './life.ts';
import { fillRegistry } from './sample-registry.ts';
import { sampleContainers } from './samples.ts';

/** Starts an engine with the sample containers, all of them alive; it does not keep the process from ending. */
export async function startDemoEngine(socketPath: string): Promise<SimulatedEngine> {
  const engine = await createSimulatedEngine({
    socketPath,
    isUnreferenced: true,
    name: 'demo',
    cgroup: 2,
    cpus: 8,
    memoryBytes: 16 * 1024 ** 3,
    restartDelayMs: 4000,
    pullStepMs: 100,
    maxLogBytes: 1024 ** 2,
  });
  engine.silently(() => {
    fillRegistry(engine);
    for (const container of sampleContainers()) engine.addContainer(container);
  });
  rememberPast(engine);
  liveOn(engine);
  return engine;
}
