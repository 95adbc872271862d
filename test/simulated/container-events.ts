import type { SimulatedContainer } from './container.ts';
import type { EventLog } from './events.ts';
import type { Flavour } from './flavours.ts';

/** Tells what happens to containers, in the engine's order and words. */
export type ContainerEvents = ReturnType<typeof createContainerEvents>;

const BUILT_IN: Record<string, string> = { host: 'host', none: 'null' };

/** Creates a teller on the engine's event log. */
export function createContainerEvents(events: EventLog, flavour: Flavour) {
  function tell(container: SimulatedContainer, action: string, attributes: Record<string, string> = {}): void {
    events.emit({
      type: 'container',
      action,
      id: container.id,
      attributes: { ...container.labels, ...attributes, image: container.image, name: container.name },
    });
  }

  function tellNetworks(container: SimulatedContainer, action: 'connect' | 'disconnect'): void {
    if (!flavour.hasSideEvents) return;
    for (const { network, networkId } of container.endpoints) {
      const attributes = { container: container.id, name: network, type: BUILT_IN[network] ?? 'bridge' };
      events.emit({ type: 'network', action, id: networkId, attributes });
    }
  }

  function tellVolumes(container: SimulatedContainer, action: 'mount' | 'unmount'): void {
    if (!flavour.hasSideEvents) return;
    for (const mount of container.mounts.filter(({ type }) => type === 'volume')) {
      const details = { destination: mount.destination, propagation: '', 'read/write': String(mount.isWritable) };
      const attributes = { container: container.id, driver: 'local', ...(action === 'mount' ? details : {}) };
      events.emit({ type: 'volume', action, id: mount.name, attributes });
    }
  }

  /** What goes with a start: 20.10 connects first, later ones mount first. */
  function tellStart(container: SimulatedContainer): void {
    if (flavour.dieBeforeStop) tellNetworks(container, 'connect');
    tellVolumes(container, 'mount');
    if (!flavour.dieBeforeStop) tellNetworks(container, 'connect');
    if (flavour.isPodman) tell(container, 'init');
    tell(container, 'start');
  }

  /** What goes with a death: 20.10 tells it first, later ones at the end; a `stop` stands between. */
  function tellDeath(container: SimulatedContainer, lifetimeSeconds: number, isStop: boolean): void {
    const duration = flavour.version === '28' ? { execDuration: String(lifetimeSeconds) } : {};
    const attributes = { ...duration, exitCode: String(container.exitCode) };
    if (flavour.dieBeforeStop) tell(container, 'die', attributes);
    tellNetworks(container, 'disconnect');
    tellVolumes(container, 'unmount');
    if (isStop) tellStop(container);
    if (!flavour.dieBeforeStop) tell(container, 'die', attributes);
    if (flavour.isPodman) tell(container, 'cleanup');
  }

  function tellStop(container: SimulatedContainer): void {
    if (flavour.hasSideEvents) tell(container, 'stop');
  }

  function tellSignal(container: SimulatedContainer, signal: string): void {
    if (flavour.hasSideEvents) tell(container, 'kill', { signal });
  }

  /** Podman tells a restart before it, Docker after it. */
  function tellRestart(container: SimulatedContainer, isOver: boolean): void {
    if (isOver !== flavour.isPodman) tell(container, 'restart');
  }

  return { tell, tellNetworks, tellStart, tellDeath, tellStop, tellSignal, tellRestart };
}
