import t from 'tap';
import { ask, askJson, failure, followEvents, start } from './simulated/testing.ts';

const second = 1_000_000_000;

const whole = {
  tags: ['lab/web:1'],
  entrypoint: ['/entry.sh'],
  command: ['serve'],
  env: ['PATH=/bin', 'MODE=image'],
  labels: { from: 'image' },
  user: 'web',
  workingDir: '/srv',
  volumes: ['/data'],
  exposed: ['80/tcp'],
  healthcheck: { Test: ['CMD', 'check'], Interval: 30 * second, Timeout: 5 * second, StartPeriod: second, Retries: 3 },
  stopSignal: 'SIGQUIT',
  architecture: 'arm64',
};

for (const version of ['20.10', '28'] as const) {
  t.test(`${version}: an image shows its whole config`, async (t) => {
    const { engine, docker } = await start(t, { version });
    engine.addImage(whole);
    const inspection = await docker.getImage('lab/web:1').inspect();
    t.match(inspection, {
      Architecture: 'arm64',
      Config: {
        Entrypoint: ['/entry.sh'],
        Cmd: ['serve'],
        Env: ['PATH=/bin', 'MODE=image'],
        Labels: { from: 'image' },
        User: 'web',
        WorkingDir: '/srv',
        Volumes: { '/data': {} },
        ExposedPorts: { '80/tcp': {} },
        Healthcheck: whole.healthcheck,
        StopSignal: 'SIGQUIT',
      },
    });
    const plain = engine.addImage({ tags: ['lab/plain'] });
    const { Config } = await docker.getImage(plain.id).inspect();
    t.match(Config, { Entrypoint: null, Cmd: ['sh'], Volumes: null, Labels: null });
    t.notOk('Healthcheck' in Config || 'StopSignal' in Config || 'ExposedPorts' in Config, 'what is empty is left out');
  });
}

t.test(
  'a container is made of a tag, an id, a short id or a digest, and is called what it was asked for',
  async (t) => {
    const { engine, docker } = await start(t);
    const digest = `127.0.0.1:5000/lab/web@sha256:${'ab'.repeat(32)}`;
    const image = engine.addImage({ tags: ['127.0.0.1:5000/lab/web:1'], digests: [digest] });
    const hex = image.id.slice(7);
    const tagged = '127.0.0.1:5000/lab/web:1';
    const references = [tagged, image.id, hex.slice(0, 12), digest, `${tagged}@sha256:${'ab'.repeat(32)}`];
    for (const Image of references) {
      const made = await (await docker.createContainer({ Image })).inspect();
      t.same([made.Config.Image, made.Image], [Image, image.id]);
    }
    const listed = (await docker.listContainers({ all: true })).map(({ Image }) => Image).reverse();
    t.same(listed, references, 'in the list, too');
    for (const [Image, message] of [
      ['lab/none', 'No such image: lab/none:latest'],
      ['0123456789ab', 'No such image: 0123456789ab:latest'],
      [`sha256:${'0'.repeat(64)}`, `No such image: sha256:${'0'.repeat(64)}`],
      [`lab/other@sha256:${'ab'.repeat(32)}`, `No such image: lab/other@sha256:${'ab'.repeat(32)}`],
    ] as const) {
      t.match(await failure(docker.createContainer({ Image })), { statusCode: 404, json: { message } });
    }
  },
);

t.test('the list shows the id once a tag points to another image, or to none', async (t) => {
  const { engine, docker } = await start(t);
  const old = engine.addImage({ tags: ['lab/web:1', 'lab/db:1'] });
  engine.addContainer({ name: 'web', image: 'lab/web:1' });
  engine.addContainer({ name: 'db', image: 'lab/db:1' });
  const shown = async () => (await docker.listContainers()).map(({ Image, ImageID }) => [Image, ImageID]);
  t.same(await shown(), [
    ['lab/db:1', old.id],
    ['lab/web:1', old.id],
  ]);
  engine.addImage({ tags: ['lab/web:1'] });
  engine.removeImage('lab/db:1', true);
  t.same(await shown(), [
    [old.id, old.id],
    [old.id, old.id],
  ]);
  t.equal((await docker.getContainer('web').inspect()).Config.Image, 'lab/web:1', 'its config says what it was');
});

t.test('containers of an image behave as it says: they write, and end by themselves', async (t) => {
  const { engine, docker } = await start(t);
  engine.addImage({ tags: ['lab/job'], behaviour: { startLog: 'hello', exitsAfterMs: 1, exitCode: 7 } });
  const container = await docker.createContainer({ name: 'job', Image: 'lab/job' });
  await container.start();
  await engine.waitFor(() => engine.container('job').state === 'exited');
  t.equal((await container.inspect()).State.ExitCode, 7);
  t.match((await container.logs({ stdout: true })).toString(), /hello\n$/);
  const steady = engine.addContainer({ name: 'steady', image: 'lab/job' });
  t.equal(steady.behaviour.exitsAfterMs, undefined, 'one that a test describes does what the test says');
});

t.test('an image for another processor is refused where a platform is asked for', async (t) => {
  const messages = {
    '20.10':
      'image with reference lab/web:1 was found but does not match the specified platform: wanted linux/amd64, actual: linux/arm64',
    '28': 'image with reference lab/web:1 was found but its platform (linux/arm64) does not match the specified platform (linux/amd64)',
  };
  for (const version of ['20.10', '28'] as const) {
    const { engine } = await start(t, { version });
    engine.addImage(whole);
    const create = (platform: string) =>
      askJson(engine, `/containers/create?platform=${platform}`, 'POST', { body: { Image: 'lab/web:1' } });
    t.match(await create('linux/amd64'), { status: 404, json: { message: messages[version] } });
    for (const platform of ['linux/arm64', 'linux', '']) t.equal((await create(platform)).status, 201);
  }
});

t.test('pruning removes what has no name, or all that no container uses', async (t) => {
  const { engine } = await start(t);
  const events = await followEvents(engine);
  const prune = (filters: object) =>
    askJson(engine, `/images/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`, 'POST');
  const digest = `lab/old@sha256:${'cd'.repeat(32)}`;
  const old = engine.addImage({ digests: [digest], size: 100 });
  const held = engine.addImage({ tags: ['lab/held:1'] });
  engine.addContainer({ name: 'web', image: 'lab/held:1', state: 'exited' });
  engine.addImage({ tags: ['lab/held:1', 'lab/spare:1'], size: 50 });
  t.same(await prune({ dangling: ['true'] }), {
    status: 200,
    json: { ImagesDeleted: [{ Untagged: digest }, { Deleted: old.id }], SpaceReclaimed: 100 },
  });
  t.same((await prune({})).json, { ImagesDeleted: null, SpaceReclaimed: 0 }, 'without a filter: nothing named');
  t.match((await prune({ dangling: { false: true } })).json, {
    ImagesDeleted: [{ Untagged: 'lab/held:1' }, { Untagged: 'lab/spare:1' }, { Deleted: String }],
    SpaceReclaimed: 50,
  });
  t.same(
    engine.images().map(({ id }) => id),
    [held.id],
    'a stopped container uses its image',
  );
  await engine.waitFor(() => events.told().filter((event) => event === 'image prune').length === 3);
  t.ok(events.told().includes('image delete'));
  t.equal((await ask(engine, '/images/prune?filters=no', 'POST')).status, 400);
});

t.test('a digest can be removed as a name can', async (t) => {
  const { engine, docker } = await start(t);
  const digest = `lab/web@sha256:${'ab'.repeat(32)}`;
  const image = engine.addImage({ tags: ['lab/web:1'], digests: [digest] });
  t.same(await docker.getImage(digest).remove(), [{ Untagged: digest }]);
  t.same(image.digests, []);
  t.same(await docker.getImage('docker.io/lab/web:1').remove(), [{ Untagged: 'lab/web:1' }, { Deleted: image.id }]);
});
