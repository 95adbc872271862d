import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { type Engine, startEngine } from '../engine/engine.ts';
import { unlessMissing } from '../engine/missing.ts';
import { cached, unpackPackages } from '../engine/packages.ts';
import { buildNodeImage } from './base-image.ts';
import { projectFolder, temporaryFolder, typed } from './command-line.ts';

const healthyMs = 60_000;
const stopMs = 5_000;

t.test('The image and the compose file', async (t) => {
  // Packages are fetched while building, and only the host's network leads to them.
  const builder = await unlessMissing(t, () => startEngine({ network: 'host' }));
  if (!builder) return;
  t.teardown(builder.stop);
  await using folder = await temporaryFolder();
  const archive = join(folder.path, 'fairlead.tar');

  await t.test('the image is built on a base image of one’s own', async (t) => {
    const base = await buildNodeImage(builder, folder.path);
    await builder.docker(
      'build',
      '-t',
      'fairlead',
      '--network=host',
      '--build-arg',
      `NODE_IMAGE=${base}`,
      projectFolder,
    );
    const { Config } = JSON.parse(await builder.docker('inspect', '-f', '{{json .}}', 'fairlead'));
    t.match(Config.User, /^[1-9]\d*:/, 'it does not run as root, and says so by number');
    t.same(Config.Volumes, { '/data': {} }, 'it has one volume');
    t.equal(Config.Cmd[0], 'node', 'the program is the first process and gets the signals itself');
    await builder.docker('save', '-o', archive, 'fairlead');
    await builder.stop();
  });

  await t.test('the compose file runs it with all its restrictions', async (t) => {
    const engine = await startEngine();
    t.teardown(engine.stop);
    await engine.docker('load', '-i', archive);
    await compose(engine, 'up', '-d', '--no-build');
    const id = await compose(engine, 'ps', '-q');
    const inside = (...command: string[]) => engine.docker('exec', id, ...command);

    t.equal(await untilNotStarting(engine, id), 'healthy', 'its own health check finds it well');
    t.equal(await ask(engine, '/healthz'), 200, 'it answers on the published port');
    t.equal(await ask(engine, '/readyz'), 200, 'it reaches the engine through the mounted socket');
    t.equal(await inside('id', '-u'), '1000', 'it is not root');
    await t.rejects(inside('touch', '/app/file'), /Read-only file system/, 'its files can not be changed');
    t.match(await inside('cat', '/proc/1/status'), /CapEff:\t0+\n[\s\S]*NoNewPrivs:\t1/, 'it has no capability');
    t.match(await inside('ls', '/data'), 'fairlead.db', 'what it keeps is in the volume');

    t.equal(await ask(engine, '/api/containers'), 401, 'nobody gets in who has not signed in');
    const address = /to be set up at (http\S+)/.exec(await engine.docker('logs', id))?.[1] ?? '';
    t.match(address, `${origin}/setup?code=`, 'its log tells the address that makes the first admin');
    const cookie = await evaluate(engine, setUp(address));
    t.match(cookie, 'fairlead_session=', 'which signs them in');

    const headers = JSON.stringify({ cookie });
    const path = `/api/containers/${id}/rebuild`;
    const preview = await evaluate(engine, `fetch('${origin}${path}', { headers: ${headers} }).then((r) => r.json())`);
    t.match(preview, { refusal: { code: 'conflict', reason: /is Fairlead itself/ } }, 'it knows its own container');

    const before = performance.now();
    await engine.docker('stop', '-t', '20', id);
    t.ok(performance.now() - before < stopMs, 'it stops when it is told to');
    t.equal(await engine.docker('inspect', '-f', '{{.State.ExitCode}}', id), '0', 'it ends well');
  });
});

/** Runs a compose command on the project's own compose file, with the engine's socket for the machine's. */
async function compose(engine: Engine, ...args: string[]): Promise<string> {
  const programs = await cached('compose', (folder) => unpackPackages('forky', ['docker-compose'], folder));
  const { gid } = await stat(engine.socketPath);
  const env = { ...process.env, DOCKER_HOST: engine.host, DOCKER_SOCKET: engine.socketPath, DOCKER_GID: String(gid) };
  return typed(join(programs, 'usr/libexec/docker/cli-plugins/docker-compose'), args, projectFolder, env);
}

/** The container's health once it is known; throws after a minute. */
async function untilNotStarting(engine: Engine, id: string): Promise<string> {
  const end = performance.now() + healthyMs;
  for (;;) {
    const [status = '', health = ''] = (
      await engine.docker('inspect', '-f', '{{.State.Status}} {{.State.Health.Status}}', id)
    ).split(' ');
    if (status === 'running' && health !== 'starting') return health;
    if (performance.now() > end || status !== 'running')
      throw new Error(`${status}, ${health}: ${await engine.docker('logs', id)}`);
    await delay(200);
  }
}

/** Asks from the engine's own loopback, to which the compose file publishes the port; gives the status. */
const ask = (engine: Engine, path: string) => evaluate(engine, `fetch('${origin}${path}').then((r) => r.status)`);

const origin = 'http://127.0.0.1:3000';

/** Makes the first admin at an address that holds the code; gives the cookies of who is signed in then. */
function setUp(address: string): string {
  const code = new URL(address).searchParams.get('code') ?? '';
  const fields = JSON.stringify({ code, username: 'admin', password: 'correct horse battery' });
  const request = `{ method: 'POST', redirect: 'manual', body: new URLSearchParams(${fields}) }`;
  const cookies = "r.headers.getSetCookie().map((cookie) => cookie.split(';')[0]).join('; ')";
  return `fetch('${origin}/setup', ${request}).then((r) => ${cookies})`;
}

/** What a promise gives that is made on the engine's own loopback. */
async function evaluate(engine: Engine, promise: string): Promise<unknown> {
  const script = `(${promise}).then((value) => console.log(JSON.stringify(value)))`;
  return JSON.parse(
    await engine.docker('run', '--rm', '--network=host', '--entrypoint=node', 'fairlead', '-e', script),
  );
}
