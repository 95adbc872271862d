/** One view that stays true: what it shows now, and later each change as a frame. */
export type Feed = {
  /** Resolves when `snapshot` can be called; absent where it can at once. */
  ready?: Promise<void>;
  /** The present state as one frame; empty where there is nothing to tell. */
  snapshot(): string;
  close(): void;
};

/** Ends a feed that can't go on: the error is told to the log, and who looks comes back to a new one. */
export type Fail = (error: unknown) => void;

/** Whether everybody who looks has taken nearly all that was sent; a feed that can hold its frames back waits for it. */
export type HasRoom = () => boolean;

/** Opens a feed; it may push frames until it is closed, or end itself. */
export type OpenFeed = (push: (frame: string) => void, fail: Fail, hasRoom?: HasRoom) => Feed;

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

/**
 * Bounds of a connection, in bytes that wait: up to `roomBytes` feeds that can hold back go on, more than `softBytes` may
 * wait for `patienceMs`, more than `hardBytes` not at all. Who has no room and takes nothing has as long.
 */
export type LiveBounds = { roomBytes: number; softBytes: number; hardBytes: number; patienceMs: number };

const defaultBounds: LiveBounds = {
  roomBytes: 256 * 1024,
  softBytes: 1024 * 1024,
  hardBytes: 4 * 1024 * 1024,
  patienceMs: 5_000,
};

/** Closing codes as RFC 6455 and its registry name them; browsers come back after both. */
export const closeCodes = { restart: 1012, tryAgainLater: 1013 } as const;

type Log = { warn(details: object, message: string): void };
type Member = {
  connection: Connection;
  stalledSince: number | null;
  /** Since when it has had no room and taken nothing, and how many bytes waited then. */
  stuck: { since: number; bytes: number } | null;
  leave: () => void;
};
/** An open view: who looks, how many wait until it is ready, and whether it has ended. */
type Channel = { key: string | null; feed: Feed; members: Set<Member>; waiting: number; isOver: boolean };

const silent: Log = { warn: () => {} };
const notOpen: Feed = { snapshot: () => '', close() {} };

/** The hub of everything live. */
export type Live = ReturnType<typeof createLive>;

/**
 * Creates the hub: a join gets the present state first, then only what changed. A feed is opened with its first viewer
 * and closed with its last, so that it costs nothing while nobody looks; each of its frames is made once and sent to
 * all. A viewer who reads too slowly is closed with 1013 and never waited for. A feed that fails ends alone: its viewers
 * are closed with 1013, and the next join opens a new one. The hub knows strings only.
 */
export function createLive(bounds: LiveBounds = defaultBounds, log: Log = silent) {
  const shared = new Map<string, Channel>();
  const connections = new Set<Connection>();
  const figures = { frames: 0, slowClosed: 0 };

  function send(member: Member, frame: string) {
    if (frame === '' || !connections.has(member.connection)) return;
    if (isTooSlow(member)) return closeSlow(member);
    figures.frames++;
    member.connection.send(frame);
  }

  function closeSlow(member: Member) {
    figures.slowClosed++;
    // Its views end now and not with the connection: what waits in it may take long to leave.
    member.leave();
    member.connection.close(closeCodes.tryAgainLater, 'too slow');
  }

  /** Whether a member can be sent more by a feed that holds back; one that takes nothing for long is closed. */
  function hasRoom(member: Member): boolean {
    const waiting = member.connection.buffered();
    if (waiting <= bounds.roomBytes) {
      member.stuck = null;
      return true;
    }
    const now = performance.now();
    if (!member.stuck || waiting < member.stuck.bytes) member.stuck = { since: now, bytes: waiting };
    else if (now - member.stuck.since > bounds.patienceMs && connections.has(member.connection)) closeSlow(member);
    return false;
  }

  function isTooSlow(member: Member): boolean {
    const waiting = member.connection.buffered();
    if (waiting > bounds.hardBytes) return true;
    if (waiting <= bounds.softBytes) member.stalledSince = null;
    else member.stalledSince ??= performance.now();
    return member.stalledSince !== null && performance.now() - member.stalledSince > bounds.patienceMs;
  }

  function openChannel({ key, open }: Subscription): Channel {
    const existing = key === null ? undefined : shared.get(key);
    if (existing) return existing;
    const channel: Channel = { key, feed: notOpen, members: new Set(), waiting: 0, isOver: false };
    const push = (frame: string) => {
      for (const member of channel.members) send(member, frame);
    };
    const isRoom = () => [...channel.members].filter((member) => !hasRoom(member)).length === 0;
    channel.feed = open(push, (error) => fail(channel, error), isRoom);
    // It may have failed while it was opened, when there was nothing to close yet.
    if (channel.isOver) channel.feed.close();
    else if (key !== null) shared.set(key, channel);
    return channel;
  }

  /** Closes a view once, and forgets it so that the next join opens it anew. */
  function end(channel: Channel) {
    if (channel.isOver) return;
    channel.isOver = true;
    if (channel.key !== null && shared.get(channel.key) === channel) shared.delete(channel.key);
    channel.feed.close();
  }

  const endUnused = (channel: Channel) => channel.members.size === 0 && channel.waiting === 0 && end(channel);

  function fail(channel: Channel, error: unknown) {
    if (channel.isOver) return;
    log.warn({ err: error, view: channel.key }, 'a view failed: who looks at it comes back');
    end(channel);
    for (const member of [...channel.members]) giveUp(member);
  }

  function giveUp(member: Member) {
    member.leave();
    member.connection.close(closeCodes.tryAgainLater, 'not ready');
  }

  /** Lets a connection take part in a view until it leaves. */
  async function subscribe(member: Member, subscription: Subscription, leaves: (() => void)[]) {
    const channel = openChannel(subscription);
    channel.waiting++;
    leaves.push(() => {
      channel.members.delete(member);
      endUnused(channel);
    });
    try {
      await channel.feed.ready;
    } catch (error) {
      // Whoever else waits is told by the same error; whoever comes later gets a new one.
      end(channel);
      throw error;
    } finally {
      channel.waiting--;
    }
    if (!connections.has(member.connection)) return endUnused(channel);
    if (channel.isOver) return giveUp(member);
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
      const member: Member = { connection, stalledSince: null, stuck: null, leave };
      for (const subscription of subscriptions) {
        subscribe(member, subscription, leaves).catch((error: unknown) => {
          log.warn({ err: error, view: subscription.key }, 'a view could not be opened');
          giveUp(member);
        });
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
