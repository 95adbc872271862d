import type { DockerConnection, EngineTimeouts } from './docker-connection.ts';
import type { GateCall } from './docker-gate.ts';

/** A container, network or image that no engine has. */
const nobody = '0'.repeat(64);

const post = (path: string, query?: Record<string, string>): GateCall => ({ method: 'POST', path, query });

/**
 * Calls that change nothing wherever they arrive, since they are about what is not there or lack what they need: an
 * engine answers with 400, 404 or 500, whatever its version. Pruning is not among them: no such call of it is harmless.
 */
const probes = {
  start: post(`/containers/${nobody}/start`),
  stop: post(`/containers/${nobody}/stop`),
  restart: post(`/containers/${nobody}/restart`),
  pause: post(`/containers/${nobody}/pause`),
  unpause: post(`/containers/${nobody}/unpause`),
  kill: post(`/containers/${nobody}/kill`),
  rename: post(`/containers/${nobody}/rename`, { name: 'probe' }),
  remove: { method: 'DELETE', path: `/containers/${nobody}`, query: { force: 'false', v: 'false' } },
  create: post('/containers/create'),
  connect: post(`/networks/${nobody}/connect`),
  disconnect: post(`/networks/${nobody}/disconnect`),
  pull: post('/images/create', { fromImage: '-' }),
  tag: post(`/images/sha256%3A${nobody}/tag`, { repo: 'probe', tag: 'probe' }),
  removeImage: { method: 'DELETE', path: `/images/sha256%3A${nobody}`, query: { force: 'false' } },
} as const satisfies Record<string, GateCall>;

/** A kind of call that may be refused by what is in front of the engine. */
export type Probe = keyof typeof probes;

/** So that whoever reads the log of a proxy sees why somebody asks for what is not there. */
const headers = { 'x-fairlead-probe': '1' };

/** Statuses of what is in front of an engine, such as a proxy or a plugin of its own that allows calls or not. */
const refusals: ReadonlySet<number> = new Set([403, 405, 501]);

/** What the port asks of whatever is in front of the engine. */
export function probeCalls({ statusOf, request }: DockerConnection, timeouts: EngineTimeouts) {
  /** Some refuse by hanging up; once more, since a connection may have been old. */
  async function isRefused(call: GateCall, signal: AbortSignal): Promise<boolean> {
    const asked = { ...call, headers, timeout: timeouts.list, signal };
    const status = (await statusOf(asked)) ?? (await statusOf(asked));
    return status === undefined || refusals.has(status);
  }

  return {
    /**
     * Which calls are refused before they reach the engine. Nothing is changed by it.
     * @throws Problem where the engine itself is not there or does not answer in time
     */
    async findRefused(signal: AbortSignal): Promise<ReadonlySet<Probe>> {
      const names = Object.keys(probes) as Probe[];
      const found = await Promise.all(names.map((name) => isRefused(probes[name], signal)));
      // An engine that goes away hangs up as well.
      await request<unknown>({ method: 'GET', path: '/_ping', timeout: timeouts.ping, signal }, 'pings');
      return new Set(names.filter((_, index) => found[index]));
    },
  };
}
