import { isDeepStrictEqual } from 'node:util';
import { isProblem } from '../errors.ts';
import type { Attention } from './attention.ts';
import {
  applyEvent,
  type ContainerEvent,
  type Expectation,
  expectationOf,
  isBirth,
  isListed,
  toContainerEvent,
} from './container-events.ts';
import { type Container, toContainer } from './containers.ts';
import type { DockerPort } from './docker.ts';
import { unlessRefused } from './docker-errors.ts';
import type { EngineContainer, EngineEvent, EngineInfo, EngineVersion } from './docker-types.ts';
import { createEngineLink, type LinkTimings } from './engine-link.ts';
import { createHistogram } from './histogram.ts';
import { bareId, type Image, toImage } from './images.ts';
import { createListeners } from './listeners.ts';
import { createRefresher } from './refresher.ts';
import { keepSince } from './status-words.ts';

/** The engine as a page tells it: whether it answers, since when (ms since 1970), and who it is. */
export type EngineState = {
  status: 'connected' | 'unreachable';
  since: number;
  /** Why it is unreachable, in a sentence; empty while it is connected. */
  detail: string;
  name: string;
  version: string;
  apiVersion: string;
  isPodman: boolean;
  cpus: number;
  memoryBytes: number;
};

/** What became different: ids of containers, whether any image did, whether the engine's state did. */
export type InventoryChange = {
  changed: ReadonlySet<string>;
  removed: ReadonlySet<string>;
  started: ReadonlySet<string>;
  /** Those of which an event came: what only an inspect shows may be different. */
  touched: ReadonlySet<string>;
  images: boolean;
  engine: boolean;
};

/** Bounds of time in ms; the defaults are what a person expects, tests make them shorter. */
export type InventoryTimings = LinkTimings & { coalesce: number };

const defaultTimings: InventoryTimings = {
  firstRetry: 250,
  lastRetry: 4_000,
  ping: 2_000,
  reconcile: 60_000,
  coalesce: 50,
  doubt: 2_000,
};

/** Bounds in s. */
const lagBounds = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10];

/** Above this many, one whole list is cheaper for the engine than a filter that names each. */
const maxFilterIds = 200;

type Log = { info(details: object, message: string): void; warn(details: object, message: string): void };

/** What the engine has, kept true by its events and a resync at any doubt. */
export type Inventory = ReturnType<typeof createInventory>;

/**
 * Creates the projection of the engine: one list, then its events, over the link that engine-link.ts keeps up. It is
 * never written to by a request.
 */
export function createInventory(
  docker: DockerPort,
  log: Log,
  attention: Attention,
  timings: InventoryTimings = defaultTimings,
) {
  const containers = new Map<string, Container>();
  let images = new Map<string, Image>();
  let engine = unreachable('Not connected yet.', Date.now());
  const listeners = createListeners<InventoryChange>(log, 'the inventory');
  const eventLag = createHistogram(lagBounds);
  const link = createEngineLink(docker, log, attention, timings, {
    connected: onConnected,
    lost: onLost,
    ended: onEnded,
    event: onEvent,
    resync,
  });

  // The order of things: an answer of the engine never overrides an event that came after it was asked.
  let clock = 0;
  const touched = new Map<string, number>();
  const callsInFlight = new Set<{ askedAt: number }>();
  let calls = 0;
  let newestWhole = 0;
  const doubts = new Map<string, { isNewer: Expectation; until: number }>();
  // Those that an event told of and no list has shown yet, and until when they are asked for.
  const awaited = new Map<string, number>();

  const containerRefresher = createRefresher<string>(refreshContainers, timings.coalesce);
  const imageRefresher = createRefresher<'images'>(() => refreshImages(), timings.coalesce);

  function publish(change: Partial<{ -readonly [K in keyof InventoryChange]: InventoryChange[K] }>) {
    const none = new Set<string>();
    const nothing = { changed: none, removed: none, started: none, touched: none, images: false, engine: false };
    listeners.tell({ ...nothing, ...change });
  }

  // ── the connection ──

  function onConnected(version: EngineVersion, info: EngineInfo) {
    engine = {
      ...describe(version),
      cpus: info.NCPU ?? 0,
      memoryBytes: info.MemTotal ?? 0,
      status: 'connected',
      since: Date.now(),
      detail: '',
    };
    log.info({ version: engine.version, apiVersion: engine.apiVersion }, 'connected to the engine');
    publish({ engine: true });
  }

  function onLost(error: unknown) {
    const detail = describeLoss(error, docker.addressText);
    const isNews = engine.status === 'connected' || engine.detail !== detail;
    if (!isNews) return;
    log.warn({ err: error }, detail);
    const since = engine.status === 'connected' ? Date.now() : engine.since;
    engine = { ...engine, status: 'unreachable', since, detail };
    publish({ engine: true });
  }

  function onEnded() {
    containerRefresher.clear();
    imageRefresher.clear();
  }

  // ── events ──

  function onEvent(event: EngineEvent) {
    // The engine's clock may be ahead of this one.
    if (event.timeNano) eventLag.observe(Math.max(0, Date.now() - event.timeNano / 1e6) / 1_000);
    if (event.Type === 'container') return onContainerEvent(event);
    if (event.Type === 'image') return imageRefresher.add('images');
    // Connecting a network changes the addresses of the container that the event names.
    const id = event.Type === 'network' ? event.Actor?.Attributes?.container : undefined;
    if (id && containers.has(id)) touch(id);
  }

  function onContainerEvent(event: EngineEvent) {
    const read = toContainerEvent(event);
    if (!read) return;
    if (read.action === 'destroy') return remove(read.id);
    apply(read);
    if (isListed(read)) touch(read.id);
  }

  function touch(id: string) {
    touched.set(id, ++clock);
    containerRefresher.add(id);
    publish({ touched: new Set([id]) });
  }

  function remove(id: string) {
    touched.set(id, ++clock);
    doubts.delete(id);
    awaited.delete(id);
    if (containers.delete(id)) publish({ removed: new Set([id]) });
  }

  function apply(event: ContainerEvent) {
    const isNewer = expectationOf(event);
    if (isNewer) doubts.set(event.id, { isNewer, until: performance.now() + timings.doubt });
    else if (event.action === 'start') doubts.delete(event.id);
    const before = containers.get(event.id);
    if (!before && isBirth(event)) awaited.set(event.id, performance.now() + timings.doubt);
    if (!before) return;
    const after = applyEvent(before, event);
    if (isDeepStrictEqual(before, after)) return;
    containers.set(event.id, after);
    const id = new Set([event.id]);
    publish({ changed: id, ...(event.action === 'start' && { started: id }) });
  }

  // ── lists ──

  async function refreshContainers(ids: readonly string[]) {
    if (ids.length > maxFilterIds) return listContainers(undefined, link.signal());
    await listContainers(ids, link.signal());
  }

  async function resync(signal: AbortSignal) {
    await Promise.all([listContainers(undefined, signal), unlessRefused(refreshImages(signal), undefined)]);
  }

  async function listContainers(ids: readonly string[] | undefined, signal: AbortSignal | undefined) {
    const call = { askedAt: clock, number: ++calls };
    callsInFlight.add(call);
    try {
      const items = await docker.listContainers(ids, signal);
      signal?.throwIfAborted();
      // An answer about some that was asked for before a whole list is older than that.
      if (ids && call.number < newestWhole) return;
      if (!ids) newestWhole = call.number;
      merge(items, ids ?? [...containers.keys()], call.askedAt);
    } finally {
      callsInFlight.delete(call);
    }
    if (!ids) forgetTouched(Math.min(call.askedAt, ...[...callsInFlight].map(({ askedAt }) => askedAt)));
  }

  /** Takes over a list that was asked for at `askedAt`; of `asked`, those that it does not name are gone. */
  function merge(items: readonly EngineContainer[], asked: readonly string[], askedAt: number) {
    const isOlder = (id: string) => (touched.get(id) ?? 0) > askedAt;
    const now = Date.now();
    const changed = new Set<string>();
    const started = new Set<string>();
    const seen = new Set<string>();
    for (const item of items) {
      if (!containerId.test(item.Id ?? '')) continue;
      seen.add(item.Id);
      if (isOlder(item.Id)) continue;
      const before = containers.get(item.Id);
      const after = join(before, toContainer(item, now));
      if (before && isDeepStrictEqual(before, after)) continue;
      containers.set(item.Id, after);
      changed.add(item.Id);
      if (after.state === 'running' && before?.state !== 'running') started.add(item.Id);
    }
    awaitMore(seen);
    const removed = new Set(asked.filter((id) => !seen.has(id) && !isOlder(id) && containers.delete(id)));
    if (changed.size || removed.size) publish({ changed, removed, started });
  }

  /** Asks anew for those that a list should have shown; an engine may tell of them before it lists them. */
  function awaitMore(seen: ReadonlySet<string>) {
    for (const [id, until] of awaited) {
      if (seen.has(id) || performance.now() >= until) awaited.delete(id);
      else containerRefresher.add(id);
    }
  }

  /** Joins what was known of a container with a newer list; where the list is in doubt, the event's state stays. */
  function join(before: Container | undefined, listed: Container): Container {
    const doubt = doubts.get(listed.id);
    if (doubt && before && performance.now() < doubt.until && !doubt.isNewer(listed.state)) {
      containerRefresher.add(listed.id);
      const { state, words, health, exitCode, oomKilled, isStopAsked, ports, portsText } = before;
      return { ...listed, state, words, health, exitCode, oomKilled, isStopAsked, ports, portsText };
    }
    doubts.delete(listed.id);
    const isSameRun = before?.state === listed.state && before.exitCode === listed.exitCode;
    const words = before && isSameRun ? keepSince(before.words, listed.words) : listed.words;
    // The text itself gets old; what it says is in the other fields, so that equal knowledge compares equal.
    const text = words.since === null ? listed.words.text : '';
    // A list that was read between the kill and the death still says running; only a new run clears it.
    const isNewRun = listed.state === 'running' && before?.state !== 'running';
    const oomKilled = before?.oomKilled === true && !isNewRun;
    const isStopAsked = before?.isStopAsked === true && !isNewRun;
    return { ...listed, words: { ...words, text, slack: words.exact ? 0 : words.slack }, oomKilled, isStopAsked };
  }

  function forgetTouched(upTo: number) {
    for (const [id, at] of touched) if (at <= upTo) touched.delete(id);
    containerRefresher.forget();
  }

  async function refreshImages(signal = link.signal()) {
    const list = (await docker.listImages(signal)).filter((item) => imageId.test(item.Id ?? '')).map(toImage);
    signal?.throwIfAborted();
    const next = new Map(list.map((image) => [image.id, image]));
    if (isDeepStrictEqual(images, next)) return;
    images = next;
    publish({ images: true });
  }

  return {
    /** Begins to follow the engine; never throws and never ends before `close`. */
    start: link.start,

    /** Resolves when the first attempt to reach the engine has succeeded or failed. */
    ready: link.ready,

    /** Every container the engine has, stopped ones too. */
    containers: (): Container[] => [...containers.values()],

    /** The container with this full id. */
    container: (id: string): Container | undefined => containers.get(id),

    /** The container with this full id, name, or unambiguous prefix of at least 12 characters. */
    findContainer: (ref: string): Container | undefined =>
      containers.get(ref) ?? containerAmong([...containers.values()], ref),

    images: (): Image[] => [...images.values()],

    /** The image with this id (with or without `sha256:`), tag, or unambiguous id prefix of at least 12 characters. */
    findImage: (ref: string): Image | undefined =>
      images.get(`sha256:${bareId(ref)}`) ??
      images.get(ref) ??
      [...images.values()].find((image) => image.tags.includes(ref) || image.tags.includes(`${ref}:latest`)) ??
      onlyMatch(bareId(ref), [...images.values()], (image) => bareId(image.id)),

    engine: (): EngineState => engine,

    /** Resolves when `engine` tells whether it still answers, also after nobody has looked for long. */
    checked: link.checked,

    /** The events that came, by the seconds between the engine's stamp and their reading here. */
    eventLag: eventLag.samples,

    /**
     * Asks the engine anew about some containers, so that an action's own answer already shows its effect. Never
     * throws: where it can't be asked, the events tell.
     */
    refresh: (ids: readonly string[]) => listContainers(ids, link.signal()).catch(() => {}),

    /** Asks the engine anew about its images. Never throws. */
    refreshImages: () => refreshImages().catch(() => {}),

    /** Calls back at each change with what became different; returns how to stop that. */
    onChange: listeners.add,

    /** Names who keeps the events; before the start, once. */
    keepEvents: link.keepEvents,

    /** Ends the stream and every timer. */
    close: () => {
      link.close();
      containerRefresher.clear();
      imageRefresher.clear();
      listeners.clear();
    },
  };
}

function describeLoss(error: unknown, address: string): string {
  if (isProblem(error)) return error.message;
  if (error instanceof TypeError) return `What the Docker daemon at ${address} answered could not be understood.`;
  return `Cannot connect to the Docker daemon at ${address}.`;
}

// What else may stand there goes into ids of the page.
const containerId = /^[0-9a-f]{64}$/;
const imageId = /^(sha256:)?[0-9a-f]{64}$/;
const minPrefix = 12;

/** The container with this name, or unambiguous prefix of its id of at least 12 characters, of those that are given. */
export function containerAmong(containers: readonly Container[], ref: string): Container | undefined {
  return containers.find(({ name }) => name === ref) ?? onlyMatch(ref, containers, ({ id }) => id);
}

function onlyMatch<T>(prefix: string, items: readonly T[], idOf: (item: T) => string): T | undefined {
  if (prefix.length < minPrefix) return undefined;
  const matches = items.filter((item) => idOf(item).startsWith(prefix));
  return matches.length === 1 ? matches[0] : undefined;
}

const unreachable = (detail: string, since: number): EngineState => ({
  status: 'unreachable',
  since,
  detail,
  name: 'engine',
  version: '',
  apiVersion: '',
  isPodman: false,
  cpus: 0,
  memoryBytes: 0,
});

function describe(version: EngineVersion) {
  const isPodman = (version.Components ?? []).some((component) => /podman/i.test(component.Name ?? ''));
  return {
    name: isPodman ? 'Podman' : 'engine',
    version: version.Version ?? '',
    apiVersion: version.ApiVersion ?? '',
    isPodman,
  };
}
