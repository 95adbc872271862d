import type { EngineState as Engine } from '../../services/inventory.ts';
import type { EngineState } from './context.ts';

/** The engine as the header and the banner show it; `address` as a person knows it. */
export function engineModel(engine: Engine, address: string): EngineState {
  const api = engine.apiVersion ? `, API ${engine.apiVersion}` : '';
  const isConnected = engine.status === 'connected';
  return {
    status: engine.status,
    text: isConnected ? `${engine.name} ${engine.version}${api}` : 'engine unreachable',
    detail: engine.detail,
    address,
    since: isConnected || engine.version === '' ? null : engine.since,
  };
}
