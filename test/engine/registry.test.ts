import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { busyboxImage, type Engine, type EngineVersion, engineVersionsToTest, startEngine } from './engine.ts';
import { clearLeftovers } from './leftovers.ts';
import { unlessMissing } from './missing.ts';
import { type Place, placeOf } from './place.ts';
import { familyOf } from './processes.ts';
import { startRegistries } from './registry.ts';

type Login = { username: string; password: string };
type Message = { status?: string; id?: string; message?: string };

/** How a pull went: refused at once with a status and one message, or all that was told on the way. */
type Pull = { status: number; messages: Message[] };

const rate = 4 * 1024 * 1024;
const heldMs = 300;
const startMs = 60_000;

for (const version of engineVersionsToTest()) {
  t.test(`The registries of an engine ${version}`, async (t) => {
    const started = await unlessMissing(t, () => startBoth(version));
    if (!started) return;
    const { engine, open, locked, slow, throttle, publish } = started;
    const { docker, place } = engine;
    t.teardown(engine.stop);

    const imageIds = async () => (await docker('images', '-aq', '--no-trunc')).split('\n');
    const idOf = (reference: string) => docker('inspect', '--type=image', '-f', '{{.Id}}', reference);
    const configOf = async (reference: string) =>
      JSON.parse(await docker('inspect', '--type=image', '-f', '{{json .Config}}', reference));

    await t.test('give what was published, layer by layer', async (t) => {
      const { id, digest } = await publish('shop/web:1', { layers: [1, 2] });
      t.same(await imageIds(), [await idOf(busyboxImage)], 'the engine keeps nothing of it');
      t.equal(await docker('ps', '-aq'), '', 'nor a container of the build');

      const { messages } = await pull(engine, `${open.address}/shop/web`, '1');
      t.ok(messages.some(({ status }) => status === `Digest: ${digest}`));
      t.equal(messages.filter(({ status }) => status === 'Pulling fs layer').length, 2, 'both layers are fetched');
      t.equal(messages.filter(({ status }) => status === 'Pull complete').length, 2);
      t.equal(await idOf(`${open.address}/shop/web:1`), id);
    });

    await t.test('have a newer image once a name was published again', async (t) => {
      const old = await publish('shop/api');
      await docker('pull', `${open.address}/shop/api`);
      const newer = await publish('shop/api');
      t.not(newer.digest, old.digest);
      t.equal(await idOf(`${open.address}/shop/api`), old.id, 'what was pulled before keeps its name until then');
      await docker('pull', `${open.address}/shop/api`);
      t.equal(await idOf(`${open.address}/shop/api`), newer.id);
    });

    await t.test('keep what an image says of itself', async (t) => {
      const config = [
        'ENV COLOUR=red',
        'LABEL maker="somebody else"',
        'USER 1000',
        'EXPOSE 80/tcp',
        'VOLUME /data',
        'STOPSIGNAL SIGINT',
        'HEALTHCHECK --interval=7s CMD true',
        'ENTRYPOINT ["sleep"]',
        'CMD ["1000"]',
      ];
      const base = await publish('shop/base', { layers: [] });
      await docker('pull', `${open.address}/shop/base`);
      await publish('shop/job', { from: `${open.address}/shop/base`, layers: [], config });
      await docker('pull', `${open.address}/shop/job`);
      t.match(await configOf(`${open.address}/shop/job`), {
        Env: ['PATH=/bin', 'COLOUR=red'],
        Labels: { maker: 'somebody else' },
        User: '1000',
        ExposedPorts: { '80/tcp': {} },
        Volumes: { '/data': {} },
        StopSignal: 'SIGINT',
        Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 7_000_000_000 },
        Entrypoint: ['sleep'],
        Cmd: ['1000'],
      });
      t.equal(await idOf(`${open.address}/shop/base`), base.id, 'its base is as it was');
    });

    await t.test('let in who has the login where one is wanted', async (t) => {
      const { id } = await publish('shop/secret');
      const pullWith = (login?: Login) => pull(engine, `${locked.address}/shop/secret`, 'latest', login);
      t.match(await pullWith(), { status: 500, messages: [{ message: /no basic auth credentials/ }] });
      t.match(await pullWith({ username: locked.user, password: 'wrong' }), {
        status: version === '28' ? 401 : 500,
        messages: [{ message: /unauthorized/ }],
      });
      t.match(await pullWith({ username: locked.user, password: locked.password }), { status: 200 });
      t.equal(await idOf(`${locked.address}/shop/secret`), id);
    });

    await t.test('have a slow one, whose pulls tell much and can be held', async (t) => {
      const { id } = await publish('shop/large', { layers: [6, 6] });
      await throttle(0);
      const going = pull(engine, `${slow.address}/shop/large`, 'latest');
      t.equal(await Promise.race([going, delay(heldMs, 'held')]), 'held');
      const began = performance.now();
      await throttle(rate);
      const { messages } = await going;
      t.ok(performance.now() - began > 2500, 'twelve of four a second take three seconds');
      const downloading = messages.filter(({ status }) => status === 'Downloading');
      t.ok(downloading.length > 20, `it tells ${downloading.length} times how far it is`);
      t.equal(new Set(downloading.map(({ id }) => id)).size, 2, 'for both layers');
      t.equal(await idOf(`${slow.address}/shop/large`), id);
    });

    await t.test('refuse while they are stopped, and have all they had afterwards', async (t) => {
      await open.stop();
      t.match(await pull(engine, `${open.address}/shop/web`, '1'), {
        status: 500,
        messages: [{ message: /connection refused/ }],
      });
      await open.start();
      t.match(await pull(engine, `${open.address}/shop/web`, '1'), { status: 200 });
      t.match(await pull(engine, `${open.address}/shop/nothing`, '1'), {
        status: 404,
        messages: [{ message: /manifest unknown/ }],
      });
    });

    await t.test('are ended by whoever comes next when their owner was killed', async (t) => {
      const owner = spawn(process.execPath, ['--input-type=module', '-e', ownerScript(version)]);
      t.teardown(() => owner.kill('SIGKILL'));
      const [line] = await once(owner.stdout, 'data', { signal: AbortSignal.timeout(startMs) });
      const orphaned = placeOf(Number(line));
      t.equal(familyOf(orphaned.registries).length, 3);
      owner.kill('SIGKILL');
      await once(owner, 'exit');
      clearLeftovers();
      t.same(leftOf(orphaned), []);
    });

    await t.test('outlive a kill of the engine, and end when it is stopped', async (t) => {
      await engine.kill();
      await engine.start();
      t.match(await pull(engine, `${slow.address}/shop/web`, '1'), { status: 200 });
      t.equal(familyOf(place.registries).length, 3);
      await engine.stop();
      t.same(leftOf(place), []);
    });
  });
}

async function startBoth(version: EngineVersion) {
  const engine = await startEngine({ version });
  try {
    return { engine, ...(await startRegistries(engine)) };
  } catch (error) {
    await engine.stop();
    throw error;
  }
}

/** Pulls an image as any client of the engine does, to the end of what the engine tells of it. */
async function pull({ socketPath }: Engine, image: string, tag: string, login?: Login): Promise<Pull> {
  const path = `/v1.41/images/create?${new URLSearchParams({ fromImage: image, tag })}`;
  const call = request({ socketPath, method: 'POST', path, headers: login && { 'x-registry-auth': encoded(login) } });
  call.end();
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  const lines = (await text(answer)).split(/\r?\n/).filter(Boolean);
  return { status: answer.statusCode ?? 0, messages: lines.map((line) => JSON.parse(line) as Message) };
}

/** With its padding: the engine takes a login without it for none. */
const encoded = (login: Login): string =>
  Buffer.from(JSON.stringify(login)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');

/** A program that starts an engine with registries, says its place's number and lives on. */
const ownerScript = (version: EngineVersion): string => `
  import { startEngine } from '${new URL('./engine.ts', import.meta.url)}';
  import { startRegistries } from '${new URL('./registry.ts', import.meta.url)}';
  const engine = await startEngine({ version: '${version}' });
  await startRegistries(engine);
  console.log(engine.place.number);
  setInterval(() => {}, 1000);`;

/** What is still there of a place: its folder, its network, its processes. */
const leftOf = ({ folder, namespace, link, exec }: Place): unknown[] => [
  ...[folder, `/run/netns/${namespace}`, `/sys/class/net/${link}`].filter(existsSync),
  ...familyOf(exec),
];
