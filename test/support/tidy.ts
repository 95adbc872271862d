/** A process that rolls figures up, to be killed: `node tidy.ts <data folder> <now, ms>`. */
import { systemClock } from '../../src/services/clock.ts';
import { openDatabase } from '../../src/services/database.ts';
import { createStatsStore } from '../../src/services/stats-store.ts';

const [folder = '', now = ''] = process.argv.slice(2);
const keepAlive = setInterval(() => {}, 1_000);
const { db, close } = await openDatabase(folder);
await createStatsStore(db, { ...systemClock, now: () => Number(now) }).tidy(0, new AbortController().signal);
await close();
clearInterval(keepAlive);
