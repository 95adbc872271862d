import type { App } from '../deps.ts';
import type { Attention } from '../services/attention.ts';
import type { Database } from '../services/database.ts';
import type { Inventory } from '../services/inventory.ts';

type Alive = {
  inventory: Pick<Inventory, 'engine' | 'checked'>;
  attention: Pick<Attention, 'hold'>;
  database: Pick<Database, 'check'>;
};

/** Alive, and ready: the engine and the database answer. Neither is limited nor logged. */
export function registerHealth(app: App, { inventory, attention, database }: Alive): void {
  const quiet = { config: { rateLimit: false as const }, logLevel: 'warn' as const };

  app.get('/healthz', quiet, async () => ({ status: 'ok' }));

  app.get('/readyz', quiet, async (_request, reply) => {
    const lookAway = attention.hold();
    await inventory.checked();
    lookAway();
    const engine = inventory.engine();
    const isDatabaseThere = await database.check().then(
      () => true,
      () => false,
    );
    const isReady = engine.status === 'connected' && isDatabaseThere;
    return reply.code(isReady ? 200 : 503).send({
      status: isReady ? 'ready' : 'not ready',
      engine: engine.status,
      database: isDatabaseThere ? 'connected' : 'unreachable',
    });
  });
}
