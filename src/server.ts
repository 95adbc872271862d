import closeWithGrace from 'close-with-grace';
import { buildApp } from './app.ts';
import { readConfig, SettingError } from './config.ts';
import { DatabaseError } from './services/database.ts';

const closeMs = 4_500;
const unservable = new Set(['EACCES', 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL']);

/**
 * The process: reads the settings, serves, and drains at SIGTERM or SIGINT. A setting that can't be used ends it with
 * one line and code 1.
 */
export async function startServer(env: NodeJS.ProcessEnv): Promise<void> {
  try {
    const config = readConfig(env);
    const app = await buildApp(config);
    // A second signal exits at once; a drain that takes too long ends by itself.
    closeWithGrace({ delay: closeMs, logger: false }, async ({ err }) => {
      if (err) app.log.fatal({ err }, 'ended by an error that nothing caught');
      await app.close();
    });
    const url = await app.listen({ host: config.host, port: config.port, listenTextResolver: () => 'serving' });
    for (const warning of config.warnings) console.error(`Warning: ${warning}`);
    const setup = app.setupPath();
    const shown = config.publicUrl || `${url}${config.basePath}`;
    console.log(`Fairlead listening at ${url}${config.basePath}${setup && ` and to be set up at ${shown}${setup}`}`);
  } catch (error) {
    console.error(explain(error, env));
    process.exit(1);
  }
}

function explain(error: unknown, env: NodeJS.ProcessEnv): string {
  if (error instanceof SettingError || error instanceof DatabaseError) return error.message;
  const code = error instanceof Error && 'code' in error ? error.code : '';
  if (code === 'EADDRINUSE') return `PORT=${env.PORT || 3000} is in use by another program.`;
  if (unservable.has(String(code)))
    return `HOST=${env.HOST || '127.0.0.1'} and PORT=${env.PORT || 3000} can't be served: ${(error as Error).message}.`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
