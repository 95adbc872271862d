import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '../../src/server.ts';
import { startDemoEngine } from './demo-engine.ts';

/**
 * The whole program against an engine that is only simulated; what it keeps goes with the process. Nobody has to sign in,
 * unless the environment says otherwise.
 */
export async function runDemo(env: NodeJS.ProcessEnv): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-demo-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const engine = await startDemoEngine(join(folder, 'engine.sock'));
  await startServer({
    ...env,
    AUTH: env.AUTH || 'none',
    DOCKER_HOST: engine.host,
    DATA_DIR: env.DATA_DIR || makeDataFolder(folder),
    DEMO: 'true',
  });
}

function makeDataFolder(folder: string): string {
  const data = join(folder, 'data');
  mkdirSync(data);
  return data;
}
