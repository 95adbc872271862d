import type { Capability } from './capabilities.ts';
import { createDockerConnection, type EngineAddress, type EngineTimeouts } from './docker-connection.ts';
import { containerCalls } from './docker-containers.ts';
import { imageCalls } from './docker-images.ts';
import { probeCalls } from './docker-probes.ts';
import { systemCalls } from './docker-system.ts';

export type { EngineAddress, EngineTimeouts } from './docker-connection.ts';
export {
  type ContainerAction,
  containerActions,
  type LogRequest,
  type RemoveChoices,
} from './docker-containers.ts';

const defaultTimeouts: EngineTimeouts = {
  ping: 2_000,
  list: 10_000,
  action: 60_000,
  registry: 60_000,
  pull: 300_000,
  prune: 600_000,
  usage: 120_000,
};

/** The narrow port to the engine: the only way any call leaves this process. */
export type DockerPort = ReturnType<typeof createDocker>;

/**
 * Creates the port to the engine at an address. Nothing is connected until the first call.
 * Inspects and figures share 16 connections, actions 16, lists 4, streams up to 512, events and pings have their own:
 * what hangs in one can't hold up the others, and the inventory sees on while every action waits. Every call throws a
 * Problem (`engine_unreachable`, `engine_timeout`, `engine_error`, `not_found`, `conflict`, …) or the abort reason of
 * its own signal. A call that is only for capabilities that are `closed` throws `disabled` and does not leave.
 */
export function createDocker(
  address: EngineAddress,
  wanted: Partial<EngineTimeouts> = {},
  closed: ReadonlySet<Capability> = new Set(),
) {
  const timeouts = { ...defaultTimeouts, ...wanted };
  const connection = createDockerConnection(address, closed);
  return {
    /** The engine's address as a person knows it, for messages. */
    addressText: address.text,
    timeouts,
    callCounts: connection.counts,
    ...systemCalls(connection, timeouts),
    ...containerCalls(connection, timeouts),
    ...imageCalls(connection, timeouts),
    ...probeCalls(connection, timeouts),

    /** Calls back when a change was refused in front of the engine; returns how to stop that. */
    onRefused: connection.onRefused,

    /** Closes every connection. */
    close: connection.close,
  };
}
