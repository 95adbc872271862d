import { isDeepStrictEqual } from 'node:util';
import { isProblem } from '../errors.ts';
import {
  applyEvent,
  type ContainerEvent,
  type Expectation,
  expectationOf,
  isListed,
  toContainerEvent,
} from './container-events.ts';
import { type Container, toContainer } from './containers.ts';
import type { DockerPort } from './docker.ts';
import * as shapes from './docker-shapes.ts';
import { readOne } from './docker-shapes.ts';
import type { EngineContainer, EngineEvent, EngineVersion } from './docker-types.ts';
import { bareId, type Image, toImage } from './images.ts';
import { readJsonLines } from './lines.ts';
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
export type InventoryTimings = {
  firstRetry: number;
  lastRetry: number;
  ping: number;
  reconcile: number;
  coalesce: number;
  doubt: number;
};

const defaultTimings: InventoryTimings = {
  firstRetry: 250,
  lastRetry: 4_000,
  ping: 2_000,
  reconcile: 60_000,
  coalesce: 50,
  doubt: 2_000,
};

/** Above this many, one whole list is cheaper for the engine than a filter that names each. */
const maxFilterIds = 200;

type Log = { info(details: object, message: string): void; warn(details: object, message: string): void };

/** What the engine has, kept true by its events and a resync at any doubt. */
export type Inventory = ReturnType<typeof createInventory>;

/**
 * Creates the projection of the engine: one list, then its event stream. It is never written to by a request.
 *
 * Connecting: events are opened first and listed second, so that nothing falls between the two. A ping beside the
 * stream notices an engine that hangs with every stream open. Whatever fails, everything is read anew with backoff.
 */
export function createInventory(docker: DockerPort, log: Log, timings: InventoryTimings = defaultTimings) {
  const containers = new Map<string, Container>();
  let images = new Map<string, Image>();
  let engine = unreachable('Not connected yet.', Date.now());
  const listeners = new Set<(change: InventoryChange) => void>();
  const closing = new AbortController();
  let session: AbortController | undefined;

  // The order of things: an answer of the engine never overrides an event that came after it was asked.
  let clock = 0;
  const touched = new Map<string, number>();
  const callsInFlight = new Set<{ askedAt: number }>();
  let calls = 0;
  let newestWhole = 0;
  const doubts = new Map<string, { isNewer: Expectation; until: number }>();

  const containerRefresher = createRefresher<string>(refreshContainers, timings.coalesce);
  const imageRefresher = createRefresher<'images'>(() => refreshImages(), timings.coalesce);
  let firstAttempt: () => void = () => {};
  const ready = new Promise<void>((resolve) => {
    firstAttempt = resolve;
  });

  function publish(change: Partial<{ -readonly [K in keyof InventoryChange]: InventoryChange[K] }>) {
    const none = new Set<string>();
    const nothing = { changed: none, removed: none, started: none, touched: none, images: false, engine: false };
    for (const listener of listeners) tell(listener, { ...nothing, ...change });
  }

  /** A listener's fault is its own: the inventory goes on, and so do the others. */
  function tell(listener: (change: InventoryChange) => void, change: InventoryChange) {
    try {
      listener(change);
    } catch (err) {
      log.warn({ err }, 'a listener of the inventory failed');
    }
  }

  // ── the connection ──

  async function run() {
    for (let delay = timings.firstRetry; !closing.signal.aborted; delay = Math.min(delay * 2, timings.lastRetry)) {
      const connectedAt = await connect();
      if (closing.signal.aborted) return;
      if (connectedAt !== null) delay = timings.firstRetry;
      await pause(delay, closing.signal);
    }
  }

  /** One connection from its first ping to its end; tells when it was up, or null where it never was. */
  async function connect(): Promise<number | null> {
    const current = new AbortController();
    session = current;
    const signal = AbortSignal.any([current.signal, closing.signal]);
    let connectedAt: number | null = null;
    try {
      await docker.ping(signal);
      const stream = await docker.events(signal);
      const reading = readJsonLines(stream, (line) => onEvent(readOne(shapes.event, line)));
      reading.catch(() => {});
      const [version, info] = await Promise.all([docker.version(signal), unlessRefused(docker.info(signal), {})]);
      await resync(signal);
      connectedAt = Date.now();
      setEngine({ ...describe(version), cpus: info.NCPU ?? 0, memoryBytes: info.MemTotal ?? 0 });
      firstAttempt();
      const pinging = keepPinging(signal);
      const reconciling = keepReconciling(signal);
      for (const loop of [pinging, reconciling]) loop.catch(() => {});
      await Promise.race([reading, pinging, reconciling]);
      throw new Error('The event stream ended.');
    } catch (error) {
      if (!closing.signal.aborted) lose(error);
    } finally {
      current.abort();
      containerRefresher.clear();
      imageRefresher.clear();
      firstAttempt();
    }
    return connectedAt;
  }

  /** Pings until the engine does not answer. */
  async function keepPinging(signal: AbortSignal): Promise<never> {
    for (;;) {
      await pause(timings.ping, signal);
      signal.throwIfAborted();
      await docker.ping(signal);
    }
  }

  /**
   * Lists again and again, until that fails. The first time soon: a death that was told just before the stream was open
   * may not have been in the first list yet.
   */
  async function keepReconciling(signal: AbortSignal): Promise<never> {
    for (let wait = Math.min(timings.doubt, timings.reconcile); ; wait = timings.reconcile) {
      await pause(wait, signal);
      signal.throwIfAborted();
      await resync(signal);
    }
  }

  function lose(error: unknown) {
    const detail = describeLoss(error, docker.addressText);
    if (engine.status === 'connected' || engine.detail !== detail) log.warn({ err: error }, detail);
    const since = engine.status === 'connected' ? Date.now() : engine.since;
    const changed = engine.status === 'connected' || engine.detail !== detail;
    engine = { ...engine, status: 'unreachable', since, detail };
    if (changed) publish({ engine: true });
  }

  function setEngine(described: Omit<EngineState, 'status' | 'since' | 'detail'>) {
    engine = { ...described, status: 'connected', since: Date.now(), detail: '' };
    log.info({ version: engine.version, apiVersion: engine.apiVersion }, 'connected to the engine');
    publish({ engine: true });
  }

  // ── events ──

  function onEvent(event: EngineEvent) {
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
    if (containers.delete(id)) publish({ removed: new Set([id]) });
  }

  function apply(event: ContainerEvent) {
    const isNewer = expectationOf(event);
    if (isNewer) doubts.set(event.id, { isNewer, until: Date.now() + timings.doubt });
    else if (event.action === 'start') doubts.delete(event.id);
    const before = containers.get(event.id);
    if (!before) return;
    const after = applyEvent(before, event);
    if (isDeepStrictEqual(before, after)) return;
    containers.set(event.id, after);
    const id = new Set([event.id]);
    publish({ changed: id, ...(event.action === 'start' && { started: id }) });
  }

  // ── lists ──

  async function refreshContainers(ids: readonly string[]) {
    if (ids.length > maxFilterIds) return listContainers(undefined, session?.signal);
    await listContainers(ids, session?.signal);
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
      const after = join(before, toContainer(item, now), now);
      if (before && isDeepStrictEqual(before, after)) continue;
      containers.set(item.Id, after);
      changed.add(item.Id);
      if (after.state === 'running' && before?.state !== 'running') started.add(item.Id);
    }
    const removed = new Set(asked.filter((id) => !seen.has(id) && !isOlder(id) && containers.delete(id)));
    if (changed.size || removed.size) publish({ changed, removed, started });
  }

  /** Joins what was known of a container with a newer list; where the list is in doubt, the event's state stays. */
  function join(before: Container | undefined, listed: Container, now: number): Container {
    const doubt = doubts.get(listed.id);
    if (doubt && before && now < doubt.until && !doubt.isNewer(listed.state)) {
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

  async function refreshImages(signal = session?.signal) {
    const list = (await docker.listImages(signal)).filter((item) => imageId.test(item.Id ?? '')).map(toImage);
    signal?.throwIfAborted();
    const next = new Map(list.map((image) => [image.id, image]));
    if (isDeepStrictEqual(images, next)) return;
    images = next;
    publish({ images: true });
  }

  return {
    /** Begins to follow the engine; never throws and never ends before `close`. */
    start: () => void run(),

    /** Resolves when the first attempt to reach the engine has succeeded or failed. */
    ready,

    /** Every container the engine has, stopped ones too. */
    containers: (): Container[] => [...containers.values()],

    /** The container with this full id. */
    container: (id: string): Container | undefined => containers.get(id),

    /** The container with this full id, name, or unambiguous prefix of at least 12 characters. */
    findContainer: (ref: string): Container | undefined =>
      containers.get(ref) ??
      [...containers.values()].find((container) => container.name === ref) ??
      onlyMatch(ref, [...containers.values()], (container) => container.id),

    images: (): Image[] => [...images.values()],

    /** The image with this id (with or without `sha256:`), tag, or unambiguous id prefix of at least 12 characters. */
    findImage: (ref: string): Image | undefined =>
      images.get(`sha256:${bareId(ref)}`) ??
      images.get(ref) ??
      [...images.values()].find((image) => image.tags.includes(ref) || image.tags.includes(`${ref}:latest`)) ??
      onlyMatch(bareId(ref), [...images.values()], (image) => bareId(image.id)),

    engine: (): EngineState => engine,

    /**
     * Asks the engine anew about some containers, so that an action's own answer already shows its effect. Never
     * throws: where it can't be asked, the events tell.
     */
    refresh: (ids: readonly string[]) => listContainers(ids, session?.signal).catch(() => {}),

    /** Asks the engine anew about its images. Never throws. */
    refreshImages: () => refreshImages().catch(() => {}),

    /** Calls back at each change with what became different; returns how to stop that. */
    onChange: (listener: (change: InventoryChange) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },

    /** Ends the stream and every timer. */
    close: () => {
      closing.abort();
      session?.abort();
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

/** A socket proxy may refuse what is good to have: the rest goes on without it. */
async function unlessRefused<T>(asked: Promise<T>, fallback: T): Promise<T> {
  return asked.catch((error: unknown) => {
    if (isProblem(error, 'engine_error')) return fallback;
    throw error;
  });
}

// What else may stand there goes into ids of the page.
const containerId = /^[0-9a-f]{64}$/;
const imageId = /^(sha256:)?[0-9a-f]{64}$/;
const minPrefix = 12;

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

/** Waits some ms, or until the signal aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
}
