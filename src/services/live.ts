/** One view that stays true: what it shows now, and later each change as a frame. */
export type Feed = {
  /** Resolves when `snapshot` can be called; absent where it can at once. */
  ready?: Promise<void>;
  /** The present state as one frame; empty where there is nothing to tell. */
  snapshot(): string;
  close(): void;
};

/** Opens a feed; it may push frames until it is closed. */
export type OpenFeed = (push: (frame: string) => void) => Feed;

/** What somebody joins: how the view is opened, and under which key those who look at the same share it. */
export type Subscription = {
  /** Views with equal keys are one feed; null for one that nobody can share. */
  key: string | null;
  open: OpenFeed;
};

/** The far end of a socket, as far as the hub needs it. */
export type Connection = {
  send(frame: string): void;
  /** Bytes that were sent and have not left yet. */
  buffered(): number;
  close(code: number, reason: string): void;
};

/** Bounds of a connection: bytes that may wait, and for how many ms at most. */
export type LiveBounds = { softBytes: number; hardBytes: number; patienceMs: number };

const defaultBounds: LiveBounds = { softBytes: 1024 * 1024, hardBytes: 16 * 1024 * 1024, patienceMs: 5_000 };

/** Closing codes as RFC 6455 and its registry name them; browsers come back after both. */
export const closeCodes = { restart: 1012, tryAgainLater: 1013 } as const;

type Member = { connection: Connection; stalledSince: number | null; leave: () => void };
type Channel = { feed: Feed; members: Set<Member> };

/** The hub of everything live. */
export type Live = ReturnType<typeof createLive>;

/**
 * Creates the hub: a join gets the present state first, then only what changed. A feed is opened with its first viewer
 * and closed with its last, so that it costs nothing while nobody looks; each of its frames is made once and sent to
 * all. A viewer who reads too slowly is closed with 1013 and never waited for. The hub knows strings only.
 */
export function createLive(bounds: LiveBounds = defaultBounds) {
  const shared = new Map<string, Channel>();
  const connections = new Set<Connection>();
  const figures = { frames: 0, slowClosed: 0 };

  function send(member: Member, frame: string) {
    if (frame === '' || !connections.has(member.connection)) return;
    if (isTooSlow(member)) {
      figures.slowClosed++;
      // Its views end now and not with the connection: what waits in it may take long to leave.
      member.leave();
      return member.connection.close(closeCodes.tryAgainLater, 'too slow');
    }
    figures.frames++;
    member.connection.send(frame);
  }

  function isTooSlow(member: Member): boolean {
    const waiting = member.connection.buffered();
    if (waiting > bounds.hardBytes) return true;
    if (waiting <= bounds.softBytes) member.stalledSince = null;
    else member.stalledSince ??= Date.now();
    return member.stalledSince !== null && Date.now() - member.stalledSince > bounds.patienceMs;
  }

  function openChannel(subscription: Subscription): Channel {
    const existing = subscription.key === null ? undefined : shared.get(subscription.key);
    if (existing) return existing;
    const members = new Set<Member>();
    const feed = subscription.open((frame) => {
      for (const member of members) send(member, frame);
    });
    const channel = { feed, members };
    if (subscription.key !== null) shared.set(subscription.key, channel);
    return channel;
  }

  function leave(subscription: Subscription, channel: Channel, waiting: { count: number }) {
    if (channel.members.size > 0 || waiting.count > 0) return;
    if (subscription.key !== null && shared.get(subscription.key) === channel) shared.delete(subscription.key);
    channel.feed.close();
  }

  const waiters = new WeakMap<Channel, { count: number }>();

  /** Lets a connection take part in a view until it leaves. */
  async function subscribe(member: Member, subscription: Subscription, leaves: (() => void)[]) {
    const channel = openChannel(subscription);
    const waiting = waiters.get(channel) ?? { count: 0 };
    waiters.set(channel, waiting);
    waiting.count++;
    leaves.push(() => {
      channel.members.delete(member);
      leave(subscription, channel, waiting);
    });
    try {
      await channel.feed.ready;
    } finally {
      waiting.count--;
    }
    if (!connections.has(member.connection)) return leave(subscription, channel, waiting);
    // Snapshot and membership in one turn of the loop: nothing can change between them.
    channel.members.add(member);
    send(member, channel.feed.snapshot());
  }

  return {
    /**
     * Joins a connection to views; each gets its present state first. Returns how to leave them all.
     * A view that can't be opened closes the connection with 1013.
     */
    join(connection: Connection, subscriptions: readonly Subscription[]): () => void {
      const leaves: (() => void)[] = [];
      const leave = () => {
        connections.delete(connection);
        for (const end of leaves.splice(0)) end();
      };
      connections.add(connection);
      const member: Member = { connection, stalledSince: null, leave };
      for (const subscription of subscriptions) {
        subscribe(member, subscription, leaves).catch(() => connection.close(closeCodes.tryAgainLater, 'not ready'));
      }
      return leave;
    },

    /** Figures for health checks and benches: who looks, at how many views, frames sent, slow ones closed. */
    figures: () => ({ connections: connections.size, feeds: shared.size, ...figures }),

    /** Closes every connection with 1012, so that browsers come back by themselves. */
    close() {
      for (const connection of connections) connection.close(closeCodes.restart, 'restarting');
    },
  };
}
