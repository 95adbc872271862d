import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startDemoEngine } from './simulated/demo-engine.ts';
import type { SimulatedEngine } from './simulated/engine.ts';
import { ask, askJson, follow, followEvents, type Question, start } from './simulated/testing.ts';

interface Message {
  status: string;
  id?: string;
  progressDetail?: { current?: number; total?: number };
  error?: string;
  errorDetail?: { message: string };
}

const HOST = '127.0.0.1:5000';

function toAuth(credentials: object, encoding: 'base64' | 'base64url' = 'base64url'): Question {
  return { headers: { 'X-Registry-Auth': Buffer.from(JSON.stringify(credentials)).toString(encoding) } };
}

/** Pulls, and reads the whole answer. */
async function pull(engine: SimulatedEngine, image: string, tag: string, question: Question = {}) {
  const path = `/images/create?fromImage=${image}&tag=${tag}`;
  const { status, body } = await ask(engine, path, 'POST', question);
  const messages: Message[] = body
    .toString()
    .split(/\r?\n/)
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return { status, messages, statuses: messages.map((message) => message.status) };
}

const inspect = (engine: SimulatedEngine, name: string, question: Question = {}) =>
  askJson(engine, `/distribution/${name}/json`, 'GET', question);

t.test('a pull tells its layers as engines do, then moves the tag', async (t) => {
  const { engine, docker } = await start(t);
  const events = await followEvents(engine);
  const published = engine.publish(`${HOST}/lab/web:1`, { layerCount: 5, layerBytes: 4_000_000, env: ['A=1'] });
  const { status, messages, statuses } = await pull(engine, `${HOST}/lab/web`, '1');
  t.equal(status, 200);
  t.same(messages[0], { status: 'Pulling from lab/web', id: '1' }, 'without the host');
  t.same(statuses.slice(1, 8), [...Array(5).fill('Pulling fs layer'), 'Waiting', 'Waiting'], 'from the fourth on');
  t.same(statuses.slice(-2), [`Digest: ${published.digest}`, `Status: Downloaded newer image for ${HOST}/lab/web:1`]);
  const lowest = messages[1]?.id;
  const ofLowest = messages.filter(({ id }) => id === lowest).map((message) => message.status);
  t.same(
    [...new Set(ofLowest)],
    ['Pulling fs layer', 'Downloading', 'Verifying Checksum', 'Download complete', 'Extracting', 'Pull complete'],
  );
  const progress = messages.filter((message) => message.status === 'Downloading' && message.id === lowest);
  t.same(progress.at(-1)?.progressDetail, { current: 4_000_000, total: 4_000_000 });
  t.match(progress[0], { progress: '[=========================>                        ]  2MB/4MB' });
  const image = await docker.getImage(`${HOST}/lab/web:1`).inspect();
  t.match(image, { Id: published.id, Size: 20_000_000, Config: { Env: ['A=1'] } });
  t.same(image.RepoDigests, [`${HOST}/lab/web@${published.digest}`]);
  t.equal(image.RootFS.Layers?.length, 5);
  t.equal(lowest, image.RootFS.Layers?.[0]?.slice(7, 19), 'the lowest layer first');
  await engine.waitFor(() => events.lines.length > 0);
  t.match(events.documents(), [
    { Type: 'image', Action: 'pull', Actor: { ID: `${HOST}/lab/web:1`, Attributes: { name: `${HOST}/lab/web` } } },
  ]);
  t.equal(events.lines.length, 1, 'that a tag moved is not told');
});

t.test('a second publication is an update: the old image loses the tag and keeps its digest', async (t) => {
  const { engine, docker } = await start(t);
  const first = engine.publish('lab/web:1', {});
  await pull(engine, 'lab/web', '1');
  const again = await pull(engine, 'lab/web', '1');
  t.same(again.statuses, [
    'Pulling from lab/web',
    `Digest: ${first.digest}`,
    'Status: Image is up to date for lab/web:1',
  ]);
  t.equal((await inspect(engine, 'lab/web:1')).json.Descriptor.digest, first.digest);
  const second = engine.publish('lab/web:1', {});
  t.not(second.id, first.id);
  t.not(second.digest, first.digest);
  t.equal((await inspect(engine, 'lab/web:1')).json.Descriptor.digest, second.digest, 'an update can be seen');
  const update = await pull(engine, 'lab/web', '1');
  t.same(update.statuses.slice(1, 4), ['Already exists', 'Pulling fs layer', 'Pulling fs layer']);
  t.match(update.statuses.at(-1), /^Status: Downloaded newer image/);
  const listed = await docker.listImages();
  t.match(
    listed.find(({ Id }) => Id === first.id),
    { RepoTags: [], RepoDigests: [`lab/web@${first.digest}`] },
    'dangling',
  );
  t.match(
    listed.find(({ Id }) => Id === second.id),
    { RepoTags: ['lab/web:1'], RepoDigests: [`lab/web@${second.digest}`] },
  );
  const old = await pull(engine, 'lab/web', first.digest);
  t.equal(old.statuses.at(-1), `Status: Image is up to date for lab/web@${first.digest}`, 'by its digest');
});

t.test('one image under two names is pulled once', async (t) => {
  const { engine } = await start(t);
  const { id, digest } = engine.publish('nginx:1', {});
  t.equal(engine.publish('nginx:latest', { id }).digest, digest);
  await pull(engine, 'nginx', '1');
  t.same((await pull(engine, 'docker.io/library/nginx', 'latest')).statuses, [
    'Pulling from library/nginx',
    `Digest: ${digest}`,
    'Status: Downloaded newer image for nginx:latest',
  ]);
  t.same(engine.image(id).tags, ['nginx:1', 'nginx:latest']);
});

t.test('a pull that its client leaves changes nothing', async (t) => {
  const { engine } = await start(t, { pullStepMs: 5 });
  engine.publish('lab/web:1', {});
  const follower = await follow(engine, '/images/create?fromImage=lab/web&tag=1', 'POST');
  await engine.waitFor(() => follower.lines.some((line) => line.includes('Extracting')));
  follower.leave();
  await engine.waitFor(() => engine.openStreams('pull').length === 0);
  engine.publish('lab/other:1', {});
  await pull(engine, 'lab/other', '1');
  t.same(
    engine.images().flatMap(({ tags }) => tags),
    ['lab/other:1'],
    'even when another one had the time to end',
  );
});

t.test('a full disk fails a pull in its stream', async (t) => {
  const { engine } = await start(t);
  engine.publish('lab/web:1', {});
  engine.setDiskFull(true);
  const { status, messages } = await pull(engine, 'lab/web', '1');
  const message = 'failed to register layer: write /x: no space left on device';
  t.same([status, messages.at(-1)], [200, { errorDetail: { message }, error: message }]);
  t.same(engine.images(), []);
  engine.setDiskFull(false);
  t.match((await pull(engine, 'lab/web', '1')).statuses.at(-1), /^Status: Downloaded/);
});

t.test('a tag that is not there', async (t) => {
  const { engine } = await start(t);
  engine.publish(`${HOST}/lab/web:1`, {});
  const missing = { message: `manifest for ${HOST}/lab/web:none not found: manifest unknown: manifest unknown` };
  t.match(await pull(engine, `${HOST}/lab/web`, 'none'), { status: 404, messages: [missing] });
  const unknown = { status: 404, json: { message: 'manifest unknown: manifest unknown' } };
  t.match(await inspect(engine, `${HOST}/lab/web:none`), unknown);
  t.match(await inspect(engine, `${HOST}/lab/web`), unknown, 'no tag means latest');
  const { digest } = engine.publish(`${HOST}/lab/web:1`, {});
  engine.unpublish(`${HOST}/lab/web:1`);
  t.match(await inspect(engine, `${HOST}/lab/web:1`), unknown);
  t.equal((await inspect(engine, `${HOST}/lab/web@${digest}`)).status, 200, 'its digest is');
});

t.test('a registry that asks for a login', async (t) => {
  for (const version of ['20.10', '28'] as const) {
    const { engine } = await start(t, { version });
    const auth = { username: 'lab', password: 'secret', identityToken: 'token' };
    engine.publish(`${HOST}/lab/priv:1`, { auth });
    const head = { message: `Head "http://${HOST}/v2/lab/priv/manifests/1": no basic auth credentials` };
    for (const stranger of [{}, { headers: { 'X-Registry-Auth': '%' } }, toAuth({ identitytoken: 'other' })]) {
      t.match(await pull(engine, `${HOST}/lab/priv`, '1', stranger), { status: 500, messages: [head] });
      t.match(await inspect(engine, `${HOST}/lab/priv:1`, stranger), { status: 500, json: head });
    }
    const wrong = toAuth({ username: 'lab', password: 'wrong', serveraddress: HOST });
    const denied = { message: 'unauthorized: authentication required' };
    const status = version === '20.10' ? 500 : 401;
    t.match(await pull(engine, `${HOST}/lab/priv`, '1', wrong), { status, messages: [denied] });
    t.match(await inspect(engine, `${HOST}/lab/priv:1`, wrong), { status: 401, json: denied });
    t.same(engine.images(), []);
    const right = { username: 'lab', password: 'secret', serveraddress: HOST };
    for (const question of [toAuth(right), toAuth(right, 'base64'), toAuth({ identitytoken: 'token' })]) {
      t.equal((await inspect(engine, `${HOST}/lab/priv:1`, question)).status, 200);
    }
    t.equal((await pull(engine, `${HOST}/lab/priv`, '1', toAuth(right))).status, 200);
    t.match(await pull(engine, `${HOST}/lab/priv`, 'none', toAuth(right)), { status: 404 });
  }
});

t.test('a host can refuse, or never answer', async (t) => {
  const { engine } = await start(t);
  engine.publish(`${HOST}/lab/web:1`, {});
  for (const [state, message] of [
    ['refused', `Get "http://${HOST}/v2/": dial tcp ${HOST}: connect: connection refused`],
    ['timeout', `Get "https://${HOST}/v2/": context deadline exceeded`],
  ] as const) {
    engine.setRegistry(HOST, state);
    t.match(await pull(engine, `${HOST}/lab/web`, '1'), { status: 500, messages: [{ message }] });
    t.match(await inspect(engine, `${HOST}/lab/web:1`), { status: 500, json: { message } });
  }
  t.equal((await pull(engine, 'lab/web', '1')).status, 200, 'the others answer');
  engine.setRegistry('docker.io', 'refused');
  t.equal((await pull(engine, 'nginx', '1')).status, 500);
  engine.setRegistry(HOST, 'up');
  t.equal((await pull(engine, `${HOST}/lab/web`, '1')).status, 200);
});

t.test('what a registry has behind a name, without a pull', async (t) => {
  const { engine } = await start(t);
  const { digest } = engine.publish(`${HOST}/lab/web:1`, { architecture: 'arm64' });
  const expected = {
    Descriptor: {
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      digest,
      size: Number,
    },
    Platforms: [{ architecture: 'arm64', os: 'linux' }],
  };
  for (const name of [`${HOST}/lab/web:1`, encodeURIComponent(`${HOST}/lab/web:1`)]) {
    t.match(await inspect(engine, name), { status: 200, json: expected });
  }
  t.match(
    await inspect(engine, 'lab/never:1'),
    { status: 500, json: { message: /dial tcp .* connection refused/ } },
    'no registry was told of it',
  );
  const podman = await start(t, { version: 'podman' });
  podman.engine.publish('lab/web:1', {});
  t.match(await inspect(podman.engine, 'lab/web:1'), { status: 404, json: { message: 'page not found' } });
});

t.test('names that no registry was told of can be pulled, all but `missing`', async (t) => {
  const { engine } = await start(t);
  t.match((await pull(engine, 'lab/new', '2')).statuses.at(-1), 'Status: Downloaded newer image for lab/new:2');
  t.match((await pull(engine, 'lab/new', '2')).statuses.at(-1), 'Status: Image is up to date for lab/new:2');
  t.equal((await pull(engine, 'lab/missing', '1')).status, 404);
  t.equal((await pull(engine, 'lab/new', 'missing')).status, 404);
});

t.test('an image for another processor is pulled with a warning', async (t) => {
  const { engine } = await start(t);
  engine.publish('lab/web:1', { architecture: 'arm64' });
  const path = '/images/create?fromImage=lab/web&tag=1&platform=linux/amd64';
  t.match(
    (await ask(engine, path, 'POST')).body.toString(),
    /WARNING: image with reference lab\/web:1 was found but its/,
  );
});

t.test('a test can pull at once, as another client', async (t) => {
  const { engine } = await start(t);
  const events = await followEvents(engine);
  const { id, digest } = engine.publish('lab/web:1', { auth: { username: 'lab', password: 'secret' } });
  t.match(engine.pullImage('lab/web:1'), { id, tags: ['lab/web:1'], digests: [`lab/web@${digest}`] });
  await engine.waitFor(() => events.told().includes('image pull'));
  t.throws(() => engine.pullImage('lab/web:2'), { message: 'nothing was published as lab/web:2' });
});

t.test('the demo has images with and without an update, and one behind a login; pulls take their time', async (t) => {
  const engine = await startDemoEngine(join(tmpdir(), `demo-${randomBytes(6).toString('hex')}.sock`));
  t.teardown(() => engine.close());
  const stateOf = async (tag: string) => {
    const { status, json } = await inspect(engine, tag);
    if (status !== 200) return json.message.replace(/^.*: /, '');
    return engine.image(tag).digests.some((digest) => digest.endsWith(json.Descriptor.digest)) ? 'same' : 'newer';
  };
  t.equal(await stateOf('redis:8-alpine'), 'same');
  t.equal(await stateOf('acme/shop-api:2.4.1'), 'same');
  for (const tag of ['nginx:1.27-alpine', 'postgres:17', 'grafana/grafana:12.1']) t.equal(await stateOf(tag), 'newer');
  t.equal(await stateOf('acme/shop-worker:2.4.1'), 'no basic auth credentials');
  t.equal(await stateOf('acme/shop-api:2.4.0'), 'manifest unknown');
  const follower = await follow(engine, '/images/create?fromImage=nginx&tag=1.27-alpine', 'POST');
  await engine.waitFor(() => follower.lines.some((line) => line.includes('Downloading')));
  t.ok(follower.lines.some((line) => line.includes('Already exists')));
  t.ok(follower.lines.filter((line) => line.includes('Pulling fs layer')).length > 3);
  t.notOk(follower.isOver());
  follower.leave();
});
