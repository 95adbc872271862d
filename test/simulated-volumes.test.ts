import t from 'tap';
import { askJson, failure, followEvents, start } from './simulated/testing.ts';

const Image = 'lab/busybox';

t.test('volumes are made with the container that mounts them, before it is', async (t) => {
  const { engine, docker } = await start(t);
  engine.addImage({ tags: [Image], volumes: ['/data', '/covered', '/bound'] });
  const events = await followEvents(engine);
  const container = await docker.createContainer({
    name: 'web',
    Image,
    Volumes: { '/own': {} },
    HostConfig: {
      Binds: ['named:/covered:ro', '/srv:/bound'],
      Mounts: [
        { Type: 'volume', Source: 'second', Target: '/second', VolumeOptions: { Labels: { a: 'b' } } },
        { Type: 'volume', Target: '/open', VolumeOptions: { NoCopy: true } },
        { Type: 'tmpfs', Target: '/tmp' },
      ] as never,
    },
  });
  const { Mounts, HostConfig, Config } = await container.inspect();
  const at = (destination: string) => Mounts.find(({ Destination }) => Destination === destination);
  t.match(at('/covered'), { Type: 'volume', Name: 'named', Mode: 'ro', RW: false });
  t.match(at('/second'), { Type: 'volume', Name: 'second', Mode: 'z', RW: true });
  for (const destination of ['/data', '/own', '/open']) t.match(at(destination)?.Name, /^[0-9a-f]{64}$/);
  t.match(at('/bound'), { Type: 'bind', Source: '/srv', Propagation: 'rprivate' });
  t.match(at('/tmp'), { Type: 'tmpfs', Source: '' });
  t.equal(Mounts.length, 7, 'a path that is mounted gets no anonymous one');
  t.same(Config.Volumes, { '/data': {}, '/covered': {}, '/bound': {}, '/own': {} });
  t.match(HostConfig.Mounts, [
    { Type: 'volume', Source: 'second', Target: '/second', VolumeOptions: { Labels: { a: 'b' } } },
    { Type: 'volume', Target: '/open', VolumeOptions: { NoCopy: true } },
    { Type: 'tmpfs', Target: '/tmp' },
  ]);
  t.same(engine.volume('second').labels, { a: 'b' });
  t.same(engine.volume(at('/data')?.Name ?? '').labels, { 'com.docker.volume.anonymous': '' });
  await engine.waitFor(() => events.told().includes('container create'));
  t.same(events.told(), [...Array(5).fill('volume create'), 'container create']);
});

t.test('a volume is itself: what was written stays, and a later one of its name is another', async (t) => {
  const { engine, docker } = await start(t);
  engine.addContainer({ name: 'web', mounts: ['data:/data'], state: 'exited' });
  engine.writeVolume('data', 'precious');
  const { createdAt } = engine.volume('data');
  engine.removeContainer('web');
  engine.addContainer({ name: 'web', mounts: ['data:/data'] });
  t.match(engine.volume('data'), { name: 'data', createdAt, data: 'precious' });
  engine.removeContainer('web');
  await docker.getVolume('data').remove();
  t.throws(() => engine.volume('data'), { message: 'get data: no such volume' });
  engine.addContainer({ name: 'web', mounts: ['data:/data'] });
  t.equal(engine.volume('data').data, '');
  t.not(engine.volume('data').createdAt, createdAt);
});

t.test('with a container go the volumes that nobody named and nobody else mounts', async (t) => {
  const { engine, docker } = await start(t);
  const events = await followEvents(engine, `?filters=${encodeURIComponent('{"type":["volume","container"]}')}`);
  const first = engine.addContainer({ name: 'first', mounts: ['named:/n', '/shared', '/own'], state: 'exited' });
  const nameAt = (path: string) => first.mounts.find(({ destination }) => destination === path)?.name ?? '';
  engine.addContainer({ name: 'second', mounts: [`${nameAt('/shared')}:/x`], state: 'created' });
  await docker.getContainer('first').remove({ v: true });
  const left = () => engine.volumes().map(({ name }) => name);
  t.same(left().sort(), ['named', nameAt('/shared')].sort(), 'one that was only created mounts it, too');
  await docker.getContainer('second').remove({ v: true, force: true });
  t.same(left().sort(), ['named', nameAt('/shared')].sort(), 'that one called it by its name');
  await engine.waitFor(() => events.told().filter((event) => event === 'container destroy').length === 2);
  const told = events.documents().filter(({ Type, Action }) => Type === 'volume' && Action === 'destroy');
  t.same(
    told.map(({ Actor }) => Actor.ID),
    [nameAt('/own')],
  );
});

t.test('without `v` they stay; `--rm` takes them along', async (t) => {
  const { engine, docker } = await start(t);
  engine.addContainer({ name: 'kept', mounts: ['/data'], state: 'exited' });
  await docker.getContainer('kept').remove();
  t.equal(engine.volumes().length, 1);
  engine.addContainer({ name: 'passing', mounts: ['/data', 'named:/n'], autoRemove: true });
  engine.addContainer({ name: 'failing', mounts: ['/data'], autoRemove: true, state: 'created', ports: ['80:80'] });
  engine.addContainer({ name: 'holder', ports: ['80:80'] });
  t.equal(engine.volumes().length, 4);
  engine.die('passing');
  t.equal(engine.volumes().length, 3);
  t.match(await failure(docker.getContainer('failing').start()), { statusCode: 500 });
  t.equal(engine.volumes().length, 2, 'a start that fails is its death, too');
  t.match(await failure(docker.getContainer('failing').inspect()), { statusCode: 404 });
});

t.test('the list of volumes, one of them, and removal of what is in use', async (t) => {
  const { engine, docker } = await start(t, { version: '20.10' });
  const { id } = engine.addContainer({ name: 'web', mounts: ['data:/data', '/open'], state: 'created' });
  t.match(await askJson(engine, '/volumes'), {
    json: {
      Volumes: [{ Name: 'data', Driver: 'local', Labels: null, Scope: 'local' }, { Labels: null }],
      Warnings: null,
    },
  });
  t.match(await docker.getVolume('data').inspect(), { CreatedAt: /^\d{4}-.*:\d\dZ$/ });
  t.match(await failure(docker.getVolume('data').remove()), {
    statusCode: 409,
    json: { message: `remove data: volume is in use - [${id}]` },
  });
  t.match(await failure(docker.getVolume('none').remove()), {
    statusCode: 404,
    json: { message: 'get none: no such volume' },
  });
});

t.test('two things cannot be mounted at one path', async (t) => {
  const { engine, docker } = await start(t);
  engine.addImage({ tags: [Image] });
  const HostConfig = { Binds: ['a:/x', 'b:/x'] };
  t.match(await failure(docker.createContainer({ Image, HostConfig })), {
    statusCode: 400,
    json: { message: 'Duplicate mount point: /x' },
  });
});

t.test('volumes are taken from another container, where it is there and nothing else is asked for', async (t) => {
  const { engine, docker } = await start(t);
  engine.addImage({ tags: [Image], volumes: ['/data'] });
  engine.addContainer({ name: 'store', mounts: ['/data', 'kept:/kept', '/srv:/bound:ro', 'own:/own'] });
  const from = (...VolumesFrom: string[]) =>
    docker.createContainer({ Image, HostConfig: { VolumesFrom, Binds: ['mine:/own'] } });
  const { Mounts, HostConfig } = await (await from('store:ro')).inspect();
  const names = Mounts.map((mount) => `${mount.Destination} ${mount.Name ?? mount.Source} ${mount.RW}`).sort();
  const lent = engine.container('store').mounts.find(({ destination }) => destination === '/data')?.name;
  t.same(names, ['/bound /srv false', `/data ${lent} false`, '/kept kept false', '/own mine true']);
  t.same(HostConfig.VolumesFrom, ['store:ro']);
  t.match(await failure(from('nobody')), { statusCode: 404, reason: /no such container/ });
});
