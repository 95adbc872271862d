import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createAlertDelivery, DeliveryError } from '../../src/services/alert-delivery.ts';
import { createAlertOutbox } from '../../src/services/alert-outbox.ts';
import type { AlertNotice, Notification } from '../../src/services/alert-types.ts';
import { openDatabase } from '../../src/services/database.ts';
import { until } from '../support/app.ts';

const start = Date.parse('2026-01-31T10:00:00Z');
const minute = 60_000;
const notice: AlertNotice = { what: 'firing', rule: { id: 1, name: 'x', kind: 'died' }, at: start, items: [], more: 0 };
const to = (channel: number) => ({ channel, channelName: `channel ${channel}`, notice });

async function open(t: Test) {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-outbox-'));
  const database = await openDatabase(dataDir);
  t.teardown(async () => {
    await database.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  return createAlertOutbox(database.db, { waiting: 3, kept: 10, days: 30 });
}

/** The ids of what is due, where an hour is the longest wait. */
const idsOf = async (outbox: Awaited<ReturnType<typeof open>>, now: number) =>
  (await outbox.due(now, 60 * minute, [], 10)).map(({ id }) => id);

t.test('what was put in or postponed before a clock was set back is due nevertheless', async (t) => {
  const outbox = await open(t);
  const [made = 0, old = 0] = await outbox.add([to(1), to(2)], start);
  t.same(await idsOf(outbox, start - 30 * minute), [made, old], 'also by less than the longest wait');
  const back = start - 600 * minute;
  t.same(await idsOf(outbox, back), [made, old], 'at once');
  await outbox.postpone(made, 10 * minute, 'failed', 1, back);
  t.same(await idsOf(outbox, back), [old], 'one that failed then waits as every other does');
  t.same(await idsOf(outbox, back + 10 * minute), [made, old]);
  await outbox.postpone(made, 60 * minute, 'failed', 2, start);
  await outbox.finish(old, 'sent', '', 1, start);
  t.same(await idsOf(outbox, start + 59 * minute), []);
  t.same(await idsOf(outbox, start - minute), [made], 'later than after the longest wait is never');
});

t.test('a channel that takes nothing leaves the room of the others', async (t) => {
  const outbox = await open(t);
  const ids = await outbox.add([to(1), to(1), to(1), to(1), to(2)], start);
  const states = await Promise.all(ids.map(async (id) => (await outbox.find(id))?.state));
  t.same(states, ['waiting', 'waiting', 'waiting', 'failed', 'waiting']);
  t.match(await outbox.find(ids[3] ?? 0), { result: /waiting for this channel already/ });
});

t.test('a result that can not be written down for long leaves nothing behind', async (t) => {
  const outbox = await open(t);
  const tries: (() => void)[] = [];
  let signal: AbortSignal | undefined;
  let failures = 0;
  const delivery = createAlertDelivery({
    outbox: {
      ...outbox,
      finish: async () => {
        failures += 1;
        throw new Error('disk full');
      },
    },
    send: async (_: Notification, given: AbortSignal) => {
      signal = given;
      throw new DeliveryError('no', true);
    },
    clock: {
      now: () => start,
      after: (ms, run) => {
        if (ms === 5_000) tries.push(run);
        return () => {};
      },
    },
    log: { warn: () => {} },
  });
  await outbox.add([to(1)], start);
  delivery.start();
  for (let n = 1; n <= 20; n++) {
    await until(() => failures === n && tries.length > 0, 'it is tried');
    tries.shift()?.();
  }
  t.ok(signal && getEventListeners(signal, 'abort').length <= 1, 'one wait, one listener');
  await delivery.close();
});
