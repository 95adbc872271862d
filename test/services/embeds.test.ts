import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openDatabase } from '../../src/services/database.ts';
import { containerOfView, embedKinds, embedViewText, parseEmbedView } from '../../src/services/embed-views.ts';
import { checkOrigins, createEmbeds } from '../../src/services/embeds.ts';
import { until } from '../support/app.ts';

const minute = 60_000;
const wanted = { view: parseEmbedView('container:web'), origins: [], owner: 'admin', expiresAt: null };

/** The embeds of a database, with time that only the test moves; `again` is what the next start finds. */
async function start(t: Test) {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-test-'));
  const database = await openDatabase(dataDir);
  const clock = { now: Date.UTC(2026, 0, 1) };
  const again = () => createEmbeds(database, () => clock.now);
  t.teardown(async () => {
    await database.close();
    rmSync(dataDir, { recursive: true });
  });
  return { embeds: await again(), again, clock, dataDir };
}

t.test('a link is found by itself alone, before and after a start, and no file has it', async (t) => {
  const { embeds, again, dataDir } = await start(t);
  const { link, embed } = await embeds.add({ ...wanted, origins: ['https://wiki.example', 'https://wiki.example'] });
  t.match(link, /^[\w-]{43}$/);
  t.strictSame(embed.origins, ['https://wiki.example'], 'each once');
  for (const keeper of [embeds, await again()]) {
    t.match(await keeper.find(link), { id: embed.id, view: { look: 'tile', of: 'container', name: 'web' } });
    for (const wrong of ['', link.slice(1), `${link}A`, link.toLowerCase(), `${link.slice(0, -1)}.`, 'A'.repeat(43)]) {
      t.equal(await keeper.find(wrong), undefined, wrong);
    }
  }
  for (const name of readdirSync(dataDir)) t.notOk(readFileSync(join(dataDir, name), 'latin1').includes(link), name);
});

t.test('a link ends at its moment, and tells it to who looks', async (t) => {
  const { embeds, clock } = await start(t);
  const { link, embed } = await embeds.add({ ...wanted, expiresAt: clock.now + minute });
  clock.now += minute - 1;
  t.ok(await embeds.find(link));
  const ended: string[] = [];
  embeds.onEnd(embed.id, () => ended.push('by its time'));
  embeds.onEnd(embed.id, () => ended.push('not'))();
  t.strictSame(ended, []);
  clock.now += 1;
  t.equal(await embeds.find(link), undefined);
  t.equal(embeds.isGood(embed.id), false);
  await until(() => ended.length > 0, 'who looks is told');
  t.strictSame(ended, ['by its time'], 'and who stopped looking is not');
  await t.rejects(embeds.add({ ...wanted, expiresAt: clock.now }), { code: 'invalid' });
  embeds.onEnd(embed.id, () => ended.push('at once'));
  t.strictSame(ended, ['by its time', 'at once']);
});

t.test('what somebody made is revoked together, and each tells it once', async (t) => {
  const { embeds, again } = await start(t);
  const [first, second, others] = [
    await embeds.add(wanted),
    await embeds.add(wanted),
    await embeds.add({ ...wanted, owner: 'eve' }),
  ];
  const ended: number[] = [];
  for (const { embed } of [first, second, others]) embeds.onEnd(embed.id, () => ended.push(embed.id));
  t.equal(await embeds.removeOf('admin'), 2);
  t.strictSame(ended, [first.embed.id, second.embed.id]);
  t.strictSame(
    (await again()).list().map(({ id }) => id),
    [others.embed.id],
  );
  await t.rejects(embeds.remove(first.embed.id), { code: 'not_found' });
});

t.test('its last use is written down once a minute at most', async (t) => {
  const { embeds, again, clock } = await start(t);
  const { link } = await embeds.add(wanted);
  const usedAt = async () => (await again()).list()[0]?.usedAt;
  t.equal(await usedAt(), null);
  const first = clock.now;
  await embeds.find(link);
  clock.now += minute;
  await embeds.find(link);
  t.equal(await usedAt(), first);
  clock.now += 1;
  await embeds.find(link);
  t.equal(await usedAt(), clock.now);
});

t.test('a view is read and written alike, and anything else is refused', async (t) => {
  for (const [prefix, look, of] of embedKinds) {
    t.strictSame(parseEmbedView(`${prefix}shop`), { look, of, name: 'shop' });
    t.equal(embedViewText(parseEmbedView(`${prefix}shop`)), `${prefix}shop`);
  }
  for (const text of [
    '',
    'web',
    'container:',
    'engine',
    'containers',
    'image:x',
    'container:a\nb',
    `badge:${'a'.repeat(256)}`,
  ]) {
    t.throws(() => parseEmbedView(text), { code: 'invalid' }, JSON.stringify(text));
  }
});

t.test('a container is found by its whole name; while it is made anew, the one that had it', async (t) => {
  const names = (list: string[]) => list.map((name) => ({ name })) as unknown as Parameters<typeof containerOfView>[0];
  const view = parseEmbedView('container:web');
  t.equal(containerOfView(names(['web-1', 'aweb', 'web']), view)?.name, 'web');
  t.equal(containerOfView(names(['web-1', 'aweb']), view), undefined);
});

t.test('an origin is exact: nothing in it can be more than a name in a header', async (t) => {
  const good = ['https://wiki.example', 'http://home.lan:8080', 'http://[::1]:3000', 'http://192.168.0.9'];
  t.strictSame(checkOrigins([...good, '', ' https://wiki.example ']), good);
  for (const origin of ['https://wiki.example:443', 'http://a;b', "http://a'b", 'http://a b', 'ftp://a', 'http://a/']) {
    t.throws(() => checkOrigins([origin]), { code: 'invalid' }, origin);
  }
});
