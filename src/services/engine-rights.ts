import { type Capability, changing } from './capabilities.ts';
import type { DockerPort } from './docker.ts';
import type { Probe } from './docker-probes.ts';
import type { Inventory } from './inventory.ts';
import { createListeners } from './listeners.ts';

/** Why something can't be done by anybody: a setting, or what is in front of the engine. */
export type Limits = {
  /** In a sentence for a page; null where everything can be done. */
  notice: string | null;
  /** Calls that are refused, of those that are offered one by one. */
  refused: readonly Probe[];
};

type Parts = {
  docker: Pick<DockerPort, 'findRefused' | 'onRefused'>;
  inventory: Pick<Inventory, 'engine' | 'onChange'>;
  isReadOnly: boolean;
  log: { info(details: object, message: string): void; warn(details: object, message: string): void };
  /** Between two looks while something is refused, ms. */
  recheckMs?: number;
};

/** What the engine lets anybody do. */
export type EngineRights = ReturnType<typeof createEngineRights>;

const actions: readonly Probe[] = ['start', 'stop', 'restart', 'pause', 'unpause', 'kill'];
/** A rebuild that can't do one of these would stop in its middle. */
const rebuilding: readonly Probe[] = [
  ...(['pull', 'tag', 'create', 'connect', 'disconnect', 'stop', 'rename', 'start', 'remove'] as const),
];

const whole = 'Nothing can be changed: ';
const byProxy = 'what is in front of the engine refuses it.';

/**
 * Creates the knowledge of what can be done: nothing under `isReadOnly`; else what is in front of the engine, such as a
 * socket proxy, does not refuse. It is asked at each connection, when it has refused something, and every few minutes
 * while it refuses anything. Until it was asked, everything is taken to be allowed.
 */
export function createEngineRights({ docker, inventory, isReadOnly, log, recheckMs = 300_000 }: Parts) {
  const closing = new AbortController();
  const listeners = createListeners(log, 'the rights');
  let refused: ReadonlySet<Probe> = new Set();
  let connectedAt: number | null = null;
  let asking: Promise<void> | undefined;
  let recheck: NodeJS.Timeout | undefined;

  /** Asks, unless that is being done. Never throws: where it can't be asked, what was known stays. */
  function ask(): Promise<void> {
    asking ??= learn().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  async function learn() {
    clearTimeout(recheck);
    try {
      take(await docker.findRefused(closing.signal));
    } catch (err) {
      if (closing.signal.aborted) return;
      log.info({ err }, 'what the engine allows could not be asked');
    }
    if (refused.size > 0) recheck = setTimeout(() => void ask(), recheckMs).unref();
  }

  function take(found: ReadonlySet<Probe>) {
    if (found.size === refused.size && [...found].every((probe) => refused.has(probe))) return;
    refused = found;
    log.info(
      { refused: [...found] },
      found.size > 0 ? 'calls are refused in front of the engine' : 'nothing is refused',
    );
    listeners.tell();
  }

  const are = (probes: readonly Probe[]) => probes.every((probe) => refused.has(probe));

  function isClosed(capability: Capability): boolean {
    switch (capability) {
      case 'control':
        return are(actions);
      case 'images':
        return are(['pull', 'removeImage']);
      case 'remove':
        return are(['remove']);
      case 'rebuild':
        return rebuilding.some((probe) => refused.has(probe));
      default:
        return false;
    }
  }

  function reasonAgainst(capability: Capability): string | null {
    if (isReadOnly) return changing.has(capability) ? `${whole}READ_ONLY is on.` : null;
    if (!isClosed(capability)) return null;
    return isAllClosed()
      ? whole + byProxy
      : `${capitalized(words[capability] ?? capability)} is not possible: ${byProxy}`;
  }

  const isAllClosed = () => onEngine.every(isClosed);

  function notice(): string | null {
    if (isReadOnly) return `${whole}READ_ONLY is on.`;
    if (refused.size === 0) return null;
    if (isAllClosed()) return whole + byProxy;
    const closed = onEngine.filter(isClosed).map((capability) => words[capability]);
    const single = [
      ...(isClosed('control') ? [] : actions.filter((action) => refused.has(action))),
      ...(isClosed('images') ? [] : (['pull', 'removeImage'] as const).filter((probe) => refused.has(probe))),
    ].map((probe) => singly[probe]);
    return `Not everything can be done: what is in front of the engine refuses ${list([...closed, ...single])}.`;
  }

  const stopFollowing = isReadOnly
    ? () => {}
    : inventory.onChange(({ engine }) => {
        const { status, since } = inventory.engine();
        if (!engine || status !== 'connected' || since === connectedAt) return;
        connectedAt = since;
        void ask();
      });
  const stopWatching = isReadOnly ? () => {} : docker.onRefused(() => void ask());

  return {
    /** Why nobody can do what a capability is for, in a sentence; null where that can be done. */
    reasonAgainst,

    /** What pages tell and leave out. */
    limits: (): Limits => ({ notice: notice(), refused: isReadOnly ? [] : [...refused] }),

    /** Resolves when what is being asked was answered, or can't be. */
    settled: async (): Promise<void> => asking,

    /** Calls back when something is refused that was not, or the other way round; returns how to stop that. */
    onChange: listeners.add,

    /** Ends asking, and every timer. */
    close: () => {
      closing.abort();
      clearTimeout(recheck);
      stopFollowing();
      stopWatching();
      listeners.clear();
    },
  };
}

const capitalized = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** The capabilities that the engine has to allow. */
const onEngine = ['control', 'images', 'remove', 'rebuild'] as const satisfies readonly Capability[];

const words: Partial<Record<Capability, string>> = {
  control: 'starting and stopping containers',
  images: 'pulling and removing images',
  remove: 'removing containers',
  rebuild: 'rebuilding containers',
};

const singly: Partial<Record<Probe, string>> = {
  start: 'starting',
  stop: 'stopping',
  restart: 'restarting',
  pause: 'pausing',
  unpause: 'resuming',
  kill: 'killing containers',
  pull: 'pulling images',
  removeImage: 'removing images',
};

const list = (items: readonly (string | undefined)[]): string =>
  new Intl.ListFormat('en-GB').format(items.filter((item) => item !== undefined));
