import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import {
  type Connection,
  createLive,
  type Feed,
  type HasRoom,
  type OpenFeed,
  type Subscription,
} from '../../src/services/live.ts';
import { until } from '../support/app.ts';

/** A view whose frames are in the test's hands. */
function createView(key: string | null, ready?: Promise<void>) {
  const pushes: ((frame: string) => void)[] = [];
  const view = { state: 'one', opened: 0, closed: 0, snapshots: 0 };
  const subscription: Subscription = {
    key,
    open: (push) => {
      view.opened++;
      pushes.push(push);
      const feed: Feed = {
        snapshot: () => {
          view.snapshots++;
          return `snapshot ${view.state}`;
        },
        close: () => {
          view.closed++;
        },
      };
      return ready ? { ...feed, ready } : feed;
    },
  };
  return Object.assign(view, { subscription, push: (frame: string) => pushes.at(-1)?.(frame) });
}

function createEnd(waiting = 0) {
  const end = { frames: [] as string[], closes: [] as number[], waiting };
  const connection: Connection = {
    send: (frame) => void end.frames.push(frame),
    buffered: () => end.waiting,
    close: (code) => void end.closes.push(code),
  };
  return Object.assign(end, { connection });
}

t.test('a join gets the present state first, then every frame, once', async (t) => {
  const hub = createLive();
  const view = createView('list');
  const end = createEnd();
  hub.join(end.connection, [view.subscription]);
  await setImmediate();
  view.push('a');
  view.push('');
  view.push('b');
  t.strictSame(end.frames, ['snapshot one', 'a', 'b'], 'an empty frame is not sent');
});

t.test('those who look at the same share one feed, from the first to the last of them', async (t) => {
  const hub = createLive();
  const view = createView('list');
  const ends = [createEnd(), createEnd(), createEnd()];
  const leaves = ends.map((end) => hub.join(end.connection, [view.subscription]));
  await setImmediate();
  t.equal(view.opened, 1, 'opened with the first');
  t.match(hub.figures(), { connections: 3, feeds: 1 });
  view.push('a');
  for (const end of ends) t.strictSame(end.frames, ['snapshot one', 'a']);
  leaves[0]?.();
  leaves[1]?.();
  view.push('b');
  t.equal(ends[0]?.frames.length, 2, 'who left gets nothing more');
  t.equal(ends[2]?.frames.at(-1), 'b');
  t.equal(view.closed, 0);
  leaves[2]?.();
  t.equal(view.closed, 1, 'closed with the last');
  leaves[2]?.();
  t.equal(view.closed, 1, 'once, however often somebody leaves');
  t.match(hub.figures(), { connections: 0, feeds: 0 });
  hub.join(createEnd().connection, [view.subscription]);
  t.equal(view.opened, 2, 'and opened anew for the next');
});

t.test('a view without a key is shared by nobody', async (t) => {
  const hub = createLive();
  const view = createView(null);
  const leave = hub.join(createEnd().connection, [view.subscription]);
  hub.join(createEnd().connection, [view.subscription]);
  await setImmediate();
  t.equal(view.opened, 2);
  leave();
  t.equal(view.closed, 1);
});

t.test('a late join sees the state of its moment, without the frames before it', async (t) => {
  const hub = createLive();
  const ready = Promise.withResolvers<void>();
  const view = createView('slow', ready.promise);
  const end = createEnd();
  hub.join(end.connection, [view.subscription]);
  await setImmediate();
  view.push('too early');
  t.strictSame(end.frames, [], 'nothing before the snapshot');
  view.state = 'two';
  ready.resolve();
  await setImmediate();
  view.push('c');
  t.strictSame(end.frames, ['snapshot two', 'c']);
});

t.test('who leaves before a view is ready leaves nothing behind', async (t) => {
  const hub = createLive();
  const ready = Promise.withResolvers<void>();
  const view = createView('slow', ready.promise);
  const end = createEnd();
  hub.join(end.connection, [view.subscription])();
  ready.resolve();
  await until(() => view.closed === 1, 'the feed is closed');
  await setImmediate();
  t.strictSame(end.frames, []);
  t.match(hub.figures(), { connections: 0, feeds: 0 });
  t.equal(view.closed, 1, 'once');
});

t.test('one who waits keeps a feed open that another leaves', async (t) => {
  const hub = createLive();
  const ready = Promise.withResolvers<void>();
  const view = createView('slow', ready.promise);
  const leave = hub.join(createEnd().connection, [view.subscription]);
  const end = createEnd();
  hub.join(end.connection, [view.subscription]);
  leave();
  t.equal(view.closed, 0);
  ready.resolve();
  await setImmediate();
  t.strictSame(end.frames, ['snapshot one']);
  t.equal(view.opened, 1);
});

t.test('a view that can not be opened closes the connection so that it comes back', async (t) => {
  const hub = createLive();
  const view = createView('broken', Promise.reject(new Error('no engine')));
  const end = createEnd();
  const leave = hub.join(end.connection, [view.subscription]);
  await until(() => end.closes.length > 0, 'it is closed');
  t.strictSame(end.closes, [1013]);
  leave();
  t.equal(view.closed, 1);
  t.match(hub.figures(), { connections: 0, feeds: 0 });
});

t.test('a slow reader is closed with 1013, once, and costs the others nothing', async (t) => {
  const hub = createLive({ roomBytes: 100, softBytes: 100, hardBytes: 1_000, patienceMs: 30 });
  const view = createView('list');
  const slow = createEnd();
  const fast = createEnd();
  hub.join(slow.connection, [view.subscription]);
  hub.join(fast.connection, [view.subscription]);
  await setImmediate();
  slow.waiting = 500;
  view.push('a');
  t.strictSame(slow.closes, [], 'a moment of slowness is nothing');
  slow.waiting = 50;
  view.push('b');
  await new Promise((resolve) => setTimeout(resolve, 40));
  slow.waiting = 500;
  view.push('c');
  t.strictSame(slow.closes, [], 'it had caught up in between');
  await new Promise((resolve) => setTimeout(resolve, 40));
  view.push('d');
  t.strictSame(slow.closes, [1013]);
  view.push('e');
  view.push('f');
  t.strictSame(slow.closes, [1013], 'it is told once');
  t.strictSame(slow.frames, ['snapshot one', 'a', 'b', 'c'], 'and is sent no more');
  t.strictSame(fast.frames, ['snapshot one', 'a', 'b', 'c', 'd', 'e', 'f']);
  t.equal(hub.figures().slowClosed, 1);
  const full = createEnd(5_000);
  hub.join(full.connection, [view.subscription]);
  await setImmediate();
  t.strictSame(full.closes, [1013], 'far too much is waited for by nobody');
});

t.test('a far end that breaks while it is sent to does not keep a frame from the others', async (t) => {
  const hub = createLive();
  const view = createView('list');
  const good = createEnd();
  const leaves: (() => void)[] = [];
  const breaking = createEnd();
  breaking.connection.send = () => leaves[0]?.();
  leaves.push(hub.join(breaking.connection, [view.subscription]));
  hub.join(good.connection, [view.subscription]);
  await setImmediate();
  view.push('a');
  t.strictSame(good.frames, ['snapshot one', 'a']);
});

t.test('at the end everybody is closed with 1012', async (t) => {
  const hub = createLive();
  const ends = [createEnd(), createEnd()];
  for (const end of ends) hub.join(end.connection, [createView('list').subscription]);
  hub.close();
  for (const end of ends) t.strictSame(end.closes, [1012]);
});

t.test('a view that could not be opened is forgotten, even when nobody waits for it any more', async (t) => {
  const hub = createLive();
  const broken = Promise.withResolvers<void>();
  const view = createView('list', broken.promise);
  hub.join(createEnd().connection, [view.subscription])();
  broken.reject(new Error('not now'));
  await until(() => view.closed === 1, 'its feed is closed');
  t.match(hub.figures(), { connections: 0, feeds: 0 });
  const healthy = createView('list');
  const end = createEnd();
  hub.join(end.connection, [healthy.subscription]);
  await until(() => end.frames.length === 1, 'the next join opens a new one');
  t.strictSame(end.closes, []);
});

t.test(
  'a view that holds back learns whether all who look have room, and one that takes nothing is closed',
  async (t) => {
    const hub = createLive({ roomBytes: 100, softBytes: 10_000, hardBytes: 100_000, patienceMs: 30 });
    let hasRoom: HasRoom = () => false;
    const open: OpenFeed = (_push, _fail, room = hasRoom) => {
      hasRoom = room;
      return { snapshot: () => '', close() {} };
    };
    const [slow, fast] = [createEnd(), createEnd()];
    hub.join(slow.connection, [{ key: 'log', open }]);
    hub.join(fast.connection, [{ key: 'log', open }]);
    await setImmediate();
    t.ok(hasRoom());
    for (slow.waiting = 1_000; slow.waiting > 200; slow.waiting -= 100) {
      t.notOk(hasRoom());
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    t.strictSame(slow.closes, [], 'one that goes on taking is waited for');
    await until(() => !hasRoom() && slow.closes.length > 0, 'one that takes nothing is closed');
    t.strictSame([slow.closes, fast.closes], [[1013], []]);
    t.ok(hasRoom(), 'and the others go on');
  },
);

t.test('a view that fails closes its viewers with 1013 and is opened anew', async (t) => {
  const logged: unknown[] = [];
  const hub = createLive(undefined, { warn: (details) => logged.push(details) });
  const view = createView('list');
  const fails: ((error: unknown) => void)[] = [];
  const subscription: Subscription = {
    key: 'list',
    open: (push, fail) => {
      fails.push(fail);
      return view.subscription.open(push, fail);
    },
  };
  const ends = [createEnd(), createEnd(), createEnd()];
  for (const end of ends.slice(0, 2)) hub.join(end.connection, [subscription]);
  const other = createView('other');
  hub.join(ends[2]?.connection ?? createEnd().connection, [other.subscription]);
  await setImmediate();
  const fault = new Error('a template failed');
  fails[0]?.(fault);
  fails[0]?.(fault);
  t.strictSame(
    ends.map((end) => end.closes),
    [[1013], [1013], []],
  );
  t.match(logged, [{ err: fault, view: 'list' }], 'told once');
  t.equal(view.closed, 1, 'closed once');
  t.match(hub.figures(), { connections: 1, feeds: 1 });
  hub.join(createEnd().connection, [subscription]);
  await setImmediate();
  t.equal(view.opened, 2);
});
