import t from 'tap';
import type { SimulatedEngine } from './simulated/engine.ts';
import { askJson, failure, followEvents, start } from './simulated/testing.ts';

const second = 1_000_000_000;
const check = { Test: ['CMD', 'check'], Interval: 30 * second, Timeout: 5 * second, StartPeriod: second, Retries: 3 };

const image = {
  tags: ['lab/web:1'],
  entrypoint: ['/entry.sh'],
  command: ['serve'],
  env: ['PATH=/bin', 'MODE=image', 'EMPTY'],
  labels: { from: 'image', kept: 'image' },
  user: 'web',
  workingDir: '/srv',
  volumes: ['/data'],
  exposed: ['80/tcp'],
  healthcheck: check,
  stopSignal: 'SIGQUIT',
};

/** Creates a container of the image and gives its `Config`, or the message of a refusal. */
async function configOf(engine: SimulatedEngine, body: object): Promise<Record<string, unknown>> {
  const made = await askJson(engine, '/containers/create', 'POST', { body: { Image: 'lab/web:1', ...body } });
  if (made.status !== 201) return { status: made.status, ...made.json };
  return (await askJson(engine, `/containers/${made.json.Id}/json`)).json.Config;
}

t.test('what a creation leaves open is the image’s', async (t) => {
  const { engine } = await start(t);
  engine.addImage(image);
  t.match(await configOf(engine, {}), {
    Entrypoint: ['/entry.sh'],
    Cmd: ['serve'],
    Env: ['PATH=/bin', 'MODE=image', 'EMPTY'],
    Labels: { from: 'image', kept: 'image' },
    User: 'web',
    WorkingDir: '/srv',
    Volumes: { '/data': {} },
    ExposedPorts: { '80/tcp': {} },
    Healthcheck: check,
    StopSignal: 'SIGQUIT',
  });
});

t.test('what it says goes before, each thing in its own way', async (t) => {
  const { engine } = await start(t);
  engine.addImage(image);
  const config = await configOf(engine, {
    Env: ['MODE=own', 'A=1'],
    Labels: { kept: 'own' },
    User: '0',
    WorkingDir: '/own',
    StopSignal: 'SIGINT',
    ExposedPorts: { '81/tcp': {} },
    Volumes: { '/more': {} },
    Unknown: 1,
  });
  t.match(config, {
    Env: ['MODE=own', 'A=1', 'PATH=/bin', 'EMPTY'],
    Labels: { from: 'image', kept: 'own' },
    User: '0',
    WorkingDir: '/own',
    StopSignal: 'SIGINT',
    ExposedPorts: { '80/tcp': {}, '81/tcp': {} },
    Volumes: { '/data': {}, '/more': {} },
  });
});

t.test('entrypoint and command', async (t) => {
  const { engine } = await start(t);
  engine.addImage(image);
  const words = async (body: object) => {
    const { Entrypoint, Cmd, status, message } = await configOf(engine, body);
    return status ? [status, message] : [Entrypoint, Cmd];
  };
  t.same(await words({ Cmd: ['x'] }), [['/entry.sh'], ['x']]);
  t.same(await words({ Cmd: 'x' }), [['/entry.sh'], ['x']], 'a text is one word');
  t.same(await words({ Entrypoint: null, Cmd: [] }), [['/entry.sh'], ['serve']]);
  t.same(await words({ Entrypoint: ['/own'] }), [['/own'], null], 'the image’s command belongs to its entrypoint');
  t.same(await words({ Entrypoint: ['/own'], Cmd: ['x'] }), [['/own'], ['x']]);
  t.same(await words({ Entrypoint: [], Cmd: ['x'] }), [[], ['x']]);
  t.same(await words({ Entrypoint: [] }), [[], ['serve']]);
  t.same(await words({ Entrypoint: [''], Cmd: ['x'] }), [null, ['x']], 'one empty word resets it');
  t.same(await words({ Entrypoint: [''] }), [400, 'no command specified']);
});

t.test('a health check is taken field by field', async (t) => {
  const { engine } = await start(t);
  engine.addImage(image);
  const checkOf = async (Healthcheck: object | null) => (await configOf(engine, { Healthcheck })).Healthcheck;
  t.same(await checkOf(null), check);
  t.same(await checkOf({ Interval: second, Timeout: 0, Retries: 9 }), { ...check, Interval: second, Retries: 9 });
  t.same(await checkOf({ Test: [], Timeout: second }), { ...check, Timeout: second });
  const off = await checkOf({ Test: ['NONE'] });
  t.match(off, { Test: ['NONE'] });
  const { json } = await askJson(engine, '/containers/create?name=off', 'POST', {
    body: { Image: 'lab/web:1', Healthcheck: { Test: ['NONE'] } },
  });
  engine.start(json.Id);
  t.equal(engine.container('off').health, 'none', 'none at all');
  engine.addContainer({ name: 'described', image: 'lab/web:1', command: [] });
  t.equal(engine.container('described').health, 'starting', 'a container that a test describes has the image’s, too');
  t.same(engine.container('described').body.Cmd, ['serve']);
});

t.test('a host name is its own, or the first digits of its id', async (t) => {
  const { engine, docker } = await start(t);
  engine.addImage(image);
  t.equal((await configOf(engine, { Hostname: 'own', Domainname: 'lab' })).Hostname, 'own');
  const { id } = await docker.createContainer({ Image: 'lab/web:1' });
  t.equal((await docker.getContainer(id).inspect()).Config.Hostname, id.slice(0, 12));
});

t.test('a container is made anew on a newer image, with its name, address and data', async (t) => {
  const { engine, docker } = await start(t);
  engine.publish('lab/web:1', { volumes: ['/data'] });
  engine.pullImage('lab/web:1');
  const endpoints = { lab: { IPAMConfig: { IPv4Address: '172.20.0.9' }, Aliases: ['site'] } };
  const old = engine.addContainer({ name: 'web', image: 'lab/web:1', networks: ['lab'], endpoints });
  const volume = old.mounts[0]?.name ?? '';
  engine.writeVolume(volume, 'precious');
  const newer = engine.publish('lab/web:1', { volumes: ['/data'] });
  engine.pullImage('lab/web:1');
  await docker.getContainer('web').stop();
  await docker.getContainer('web').rename({ name: 'web-old' });
  const next = await docker.createContainer({
    name: 'web',
    Image: 'lab/web:1',
    HostConfig: { NetworkMode: 'lab', Binds: [`${volume}:/data`] },
    NetworkingConfig: { EndpointsConfig: { lab: endpoints.lab } },
  });
  await next.start();
  await docker.getContainer('web-old').remove({ v: true });
  const { Image, Mounts, NetworkSettings } = await next.inspect();
  t.equal(Image, newer.id);
  t.match(Mounts, [{ Name: volume, Destination: '/data' }]);
  t.equal(engine.volume(volume).data, 'precious');
  t.equal(NetworkSettings.Networks.lab?.IPAddress, '172.20.0.9');
  await docker.pruneImages();
  t.same(
    engine.images().map(({ id }) => id),
    [newer.id],
  );
});

for (const version of ['20.10', '28'] as const) {
  const isOld = version === '20.10';

  t.test(`${version}: a host config is kept as given, with the engine's own marks`, async (t) => {
    const { engine, docker } = await start(t, { version });
    engine.addImage(image);
    const given = {
      Privileged: true,
      Memory: 1000,
      CapAdd: ['NET_ADMIN'],
      Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 2 }],
      RestartPolicy: { Name: '' },
      Annotations: { a: 'b' },
      Mounts: [{ Type: 'volume', Target: '/open', VolumeOptions: { NoCopy: true } }],
    };
    const { HostConfig } = await (
      await docker.createContainer({ Image: 'lab/web:1', HostConfig: given as never })
    ).inspect();
    t.match(HostConfig, { ...given, RestartPolicy: {}, MemorySwap: 2000, SecurityOpt: ['label=disable'] });
    t.equal(HostConfig.RestartPolicy?.Name, isOld ? '' : 'no');
  });

  t.test(`${version}: what cannot be created`, async (t) => {
    const { engine } = await start(t, { version });
    engine.addImage(image);
    const holder = engine.addContainer({ name: 'web', image: 'lab/web:1' });
    const create = (body: object) => askJson(engine, '/containers/create?name=web', 'POST', { body });
    const empty = 'onfig cannot be empty in order to create a container';
    t.same(await create({}), { status: 400, json: { message: (isOld ? 'C' : 'c') + empty } });
    const conflict = `Conflict. The container name "/web" is already in use by container "${holder.id}".`;
    const advice = 'You have to remove (or rename) that container to be able to reuse that name.';
    const HostConfig = { Binds: ['data:/data'] };
    t.same(await create({ Image: 'lab/web:1', HostConfig }), {
      status: 409,
      json: { message: `${conflict} ${advice}` },
    });
    t.notOk(
      engine.volumes().some(({ name }) => name === 'data'),
      'a name that is taken makes no volumes',
    );
    t.match(await create({ Image: 'lab/none' }), { status: 404, json: { message: 'No such image: lab/none:latest' } });
    t.same(await create({ Image: 'lab/web:1', HostConfig: { AutoRemove: true, RestartPolicy: { Name: 'always' } } }), {
      status: 400,
      json: { message: "can't create 'AutoRemove' container with restart policy" },
    });
  });

  t.test(`${version}: links are shown with both names, and need their target to run`, async (t) => {
    const { engine, docker } = await start(t, { version });
    engine.addImage(image);
    engine.addContainer({ name: 'db', state: 'exited' });
    const HostConfig = { Links: ['db:sql', '/db:/was/other'] };
    const web = await docker.createContainer({ name: 'web', Image: 'lab/web:1', HostConfig });
    const shown = async () => (await web.inspect()).HostConfig.Links;
    t.same(await shown(), ['/db:/web/sql', '/db:/web/other']);
    const message = 'Cannot link to a non running container: /db AS /web/sql';
    t.match(await failure(web.start()), { statusCode: 500, json: { message } });
    engine.start('db');
    await web.start();
    const listed = await docker.listContainers({ filters: { name: ['db'] } });
    t.same(listed[0]?.Names, ['/db', '/web/sql', '/web/other']);
    engine.rename('db', 'db-old');
    await web.rename({ name: 'site' });
    t.same(await shown(), ['/db-old:/site/sql', '/db-old:/site/other']);
    engine.removeContainer('db-old');
    t.same(await shown(), ['/db-old:/site/sql', '/db-old:/site/other'], 'they outlive their target');
    t.match(await failure(docker.createContainer({ Image: 'lab/web:1', HostConfig: { Links: ['none:x'] } })), {
      statusCode: 400,
      json: { message: 'could not get container for none: No such container: none' },
    });
    engine.addNetwork('lab');
    const elsewhere = { NetworkMode: 'lab', Links: ['site:x'] };
    const other = await docker.createContainer({ Image: 'lab/web:1', HostConfig: elsewhere });
    t.equal((await other.inspect()).HostConfig.Links, null, 'a network of one’s own has none');
  });

  t.test(`${version}: names change hands`, async (t) => {
    const { engine, docker } = await start(t, { version });
    const first = engine.addContainer({ name: 'web' });
    engine.addContainer({ name: 'next', state: 'created' });
    const next = docker.getContainer('next');
    const conflict = `Conflict. The container name "/web" is already in use by container "${first.id}".`;
    t.match(await failure(next.rename({ name: 'web' })), {
      statusCode: 409,
      json: {
        message: `Error when allocating new name: ${conflict} You have to remove (or rename) that container to be able to reuse that name.`,
      },
    });
    t.match(await failure(next.rename({ name: 'next' })), {
      statusCode: 400,
      json: { message: 'Renaming a container with the same name as its current name' },
    });
    t.match(await failure(next.rename({ name: '_' })), {
      statusCode: 400,
      json: { message: /^Error when allocating new name: Invalid container name/ },
    });
    engine.rename('web', 'web-old');
    await next.rename({ name: 'web' });
    t.equal((await docker.getContainer('web-old').inspect()).Id, first.id);
  });

  t.test(`${version}: a paused container can be stopped, and goes on for that`, async (t) => {
    const { engine, docker } = await start(t, { version });
    engine.addContainer({ name: 'web', state: 'paused' });
    const events = await followEvents(engine, `?filters=${encodeURIComponent('{"type":["container"]}')}`);
    await docker.getContainer('web').stop();
    t.equal(engine.container('web').state, 'exited');
    await engine.waitFor(() => events.lines.length === 4);
    t.same(events.told().slice(0, 2), ['container kill', 'container unpause']);
    t.same(events.told().slice(2).sort(), ['container die', 'container stop']);
  });

  t.test(`${version}: --rm removes at the death`, async (t) => {
    const { engine, docker } = await start(t, { version });
    engine.addImage({ tags: ['lab/job'], behaviour: { exitsAfterMs: 1 } });
    const container = await docker.createContainer({ Image: 'lab/job', HostConfig: { AutoRemove: true } });
    await container.start();
    await engine.waitFor(() => engine.containers().length === 0);
    t.match(await failure(container.inspect()), { statusCode: 404 });
  });
}
