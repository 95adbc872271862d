import type { EndpointSettings } from 'dockerode';
import t from 'tap';
import type { SimulatedEngine } from './simulated/engine.ts';
import { askJson, failure, followEvents, start } from './simulated/testing.ts';

const Image = 'lab/busybox';

/** Networks of a container, as inspect shows them. */
async function networksOf(engine: SimulatedEngine, name: string): Promise<Record<string, EndpointSettings>> {
  return (await askJson(engine, `/containers/${name}/json`)).json.NetworkSettings.Networks;
}

const connect = (engine: SimulatedEngine, network: string, Container: string, EndpointConfig?: object) =>
  askJson(engine, `/networks/${network}/connect`, 'POST', { body: { Container, EndpointConfig } });

const disconnect = (engine: SimulatedEngine, network: string, Container: string) =>
  askJson(engine, `/networks/${network}/disconnect`, 'POST', { body: { Container, Force: false } });

const settings = {
  IPAMConfig: { IPv4Address: '172.20.0.9', IPv6Address: 'fd00::9', LinkLocalIPs: ['169.254.1.1'] },
  Aliases: ['site'],
  Links: ['db:sql'],
  DriverOpts: { a: 'b' },
  GwPriority: 5,
  MacAddress: '02:42:0a:00:00:77',
};

for (const version of ['20.10', '28'] as const) {
  const isOld = version === '20.10';

  t.test(`${version}: an endpoint keeps what it was configured with, and has the rest while it runs`, async (t) => {
    const { engine, docker } = await start(t, { version });
    engine.addImage({ tags: [Image] });
    engine.addNetwork('lab');
    const container = await docker.createContainer({
      name: 'web',
      Image,
      HostConfig: { NetworkMode: 'lab' },
      NetworkingConfig: { EndpointsConfig: { lab: settings } },
    });
    const short = container.id.slice(0, 12);
    const kept = { IPAMConfig: settings.IPAMConfig, Links: ['db:sql'], DriverOpts: { a: 'b' } };
    const none = { NetworkID: '', EndpointID: '', IPAddress: '', IPPrefixLen: 0, Gateway: '' };
    const created = (await networksOf(engine, 'web')).lab;
    t.match(created, { ...kept, ...none, Aliases: ['site'], MacAddress: settings.MacAddress });
    await container.start();
    const running = (await networksOf(engine, 'web')).lab;
    t.match(running, { ...kept, IPAddress: '172.20.0.9', GlobalIPv6Address: 'fd00::9', IPPrefixLen: 16 });
    t.same(running?.Aliases, isOld ? ['site', short] : ['site']);
    t.equal(running?.MacAddress, isOld ? '02:42:ac:14:00:09' : settings.MacAddress, 'old engines make their own');
    if (!isOld) t.match(running, { GwPriority: 5, DNSNames: ['web', 'site', short] });
    await container.rename({ name: 'site-1' });
    if (!isOld) t.match((await networksOf(engine, 'site-1')).lab, { DNSNames: ['site-1', 'site', short] });
    await container.stop();
    const stopped = (await networksOf(engine, 'site-1')).lab;
    t.match(stopped, { ...kept, ...none, NetworkID: running?.NetworkID ?? '', MacAddress: '' });
    t.same(stopped?.Aliases, running?.Aliases);
  });

  t.test(`${version}: the default bridge has neither aliases nor addresses of choice`, async (t) => {
    const { engine, docker } = await start(t, { version });
    engine.addImage({ tags: [Image] });
    await (await docker.createContainer({ name: 'web', Image })).start();
    const bridge = (await networksOf(engine, 'web')).bridge;
    t.match(bridge, { Aliases: null, IPAMConfig: null, IPAddress: '172.17.0.2' });
    t.match(bridge?.MacAddress, isOld ? /^02:42:ac:11:00:02$/ : /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
    const make = async (name: string, endpoint: object) => {
      const EndpointsConfig = { bridge: endpoint };
      const body = { Image, NetworkingConfig: { EndpointsConfig } };
      const made = await askJson(engine, `/containers/create?name=${name}`, 'POST', { body });
      return made.status === 201 ? askJson(engine, `/containers/${name}/start`, 'POST') : made;
    };
    const prefix = isOld ? '' : 'invalid config for network bridge: invalid endpoint settings:\n';
    const aliases = 'network-scoped alias is supported only for containers in user defined networks';
    const addresses = 'user specified IP address is supported on user defined networks only';
    t.same(await make('named', { Aliases: ['x'] }), { status: 400, json: { message: prefix + aliases } });
    t.same(await make('placed', { IPAMConfig: { IPv4Address: '172.17.0.9' } }), {
      status: 400,
      json: { message: prefix + addresses },
    });
  });

  t.test(`${version}: connecting and disconnecting what does not run is only written down`, async (t) => {
    const { engine } = await start(t, { version });
    engine.addNetwork('lab');
    engine.addContainer({ name: 'web', networks: ['front'], state: 'created' });
    const events = await followEvents(engine, `?filters=${encodeURIComponent('{"type":["network"]}')}`);
    t.equal((await connect(engine, 'lab', 'web', { Aliases: ['site'] })).status, 200);
    t.equal((await connect(engine, 'lab', 'web', { Aliases: ['other'] })).status, 200, 'a second time as well');
    const { lab, front } = await networksOf(engine, 'web');
    t.match([lab?.NetworkID, lab?.IPAddress, lab?.Aliases?.[0]], ['', '', 'site'], 'the first one stays');
    t.ok(front);
    engine.start('web');
    t.match((await networksOf(engine, 'web')).lab?.IPAddress, /^172\./);
    t.match(await connect(engine, 'lab', 'web'), {
      status: 403,
      json: { message: 'endpoint with name web already exists in network lab' },
    });
    t.equal((await disconnect(engine, 'front', 'web')).status, 200);
    const running = engine.container('web').id;
    t.match(await disconnect(engine, 'front', 'web'), {
      status: 500,
      json: { message: `container ${running} is not connected to network front` },
    });
    await engine.stop('web');
    t.equal((await disconnect(engine, 'lab', 'web')).status, 200);
    t.match(await disconnect(engine, 'lab', 'web'), {
      status: 500,
      json: { message: `container ${running} is not connected to the network lab` },
    });
    t.same(await networksOf(engine, 'web'), {});
    engine.start('web');
    await engine.waitFor(() => events.lines.length === (isOld ? 5 : 4));
    const stopped = isOld ? ['disconnect'] : [];
    t.same(
      events.documents().map(({ Action }) => Action),
      ['connect', 'connect', 'disconnect', 'disconnect', ...stopped],
    );
  });

  t.test(`${version}: addresses are taken at the start, and given back`, async (t) => {
    const { engine, docker } = await start(t, { version });
    const endpoints = { lab: { IPAMConfig: { IPv4Address: '172.20.0.9' } } };
    engine.addContainer({ name: 'old', networks: ['lab'], endpoints });
    engine.addContainer({ name: 'new', networks: ['lab'], endpoints, state: 'created' });
    const prefix = isOld ? '' : 'failed to set up container networking: ';
    const message = `${prefix}Address already in use`;
    t.match(await failure(docker.getContainer('new').start()), { statusCode: 403, json: { message } });
    t.match((await docker.getContainer('new').inspect()).State, { Status: 'created', ExitCode: 128, Error: message });
    engine.addContainer({ name: 'third' });
    t.match(await connect(engine, 'lab', 'third', endpoints.lab), {
      status: 403,
      json: { message: 'Address already in use' },
    });
    t.ok((await networksOf(engine, 'third')).lab, 'what failed stays written down');
    engine.die('old', 1);
    await docker.getContainer('new').start();
    t.match(await failure(docker.getContainer('old').start()), { statusCode: 403 });
    engine.addContainer({ name: 'any', networks: ['lab'] });
    t.equal((await networksOf(engine, 'any')).lab?.IPAddress, '172.20.0.2', 'the first that is free');
    const { json } = await askJson(engine, '/networks/lab');
    t.same(
      Object.values<{ Name: string }>(json.Containers)
        .map(({ Name }) => Name)
        .sort(),
      ['any', 'new'],
      'a network knows who runs in it',
    );
  });

  t.test(`${version}: an unknown network is found out at the start`, async (t) => {
    const { engine, docker } = await start(t, { version });
    engine.addImage({ tags: [Image] });
    const container = await docker.createContainer({ name: 'web', Image, HostConfig: { NetworkMode: 'gone' } });
    const message = `${isOld ? '' : 'failed to set up container networking: '}network gone not found`;
    t.match(await failure(container.start()), { statusCode: 404, json: { message } });
    t.match((await container.inspect()).State, { Status: 'created', ExitCode: 128, Error: message });
    engine.addNetwork('gone');
    await container.start();
    t.match(await connect(engine, 'none-such', 'web'), {
      status: 404,
      json: { message: 'network none-such not found' },
    });
    await container.stop();
    t.equal((await connect(engine, 'none-such', 'web')).status, 200, 'a stopped one has it written down');
    t.match(await failure(container.start()), { statusCode: 404 });
    t.equal((await disconnect(engine, 'none-such', 'web')).status, 200);
    await container.start();
    t.equal((await connect(engine, 'lab', 'nobody')).status, 404);
  });

  t.test(`${version}: networks at a creation, one or several`, async (t) => {
    const { engine, docker } = await start(t, { version });
    engine.addImage({ tags: [Image] });
    for (const name of ['a', 'b']) engine.addNetwork(name);
    const several = docker.createContainer({
      name: 'web',
      Image,
      HostConfig: { NetworkMode: 'b' },
      NetworkingConfig: { EndpointsConfig: { b: {}, a: {} } },
    });
    if (isOld) {
      const message = 'Container cannot be connected to network endpoints: a, b';
      t.match(await failure(several), { statusCode: 400, json: { message } });
    } else {
      await several;
      t.same(Object.keys(await networksOf(engine, 'web')), ['a', 'b']);
    }
    const modeOf = async (NetworkMode?: string) => {
      const made = await docker.createContainer({ Image, HostConfig: NetworkMode ? { NetworkMode } : {} });
      return (await made.inspect()).HostConfig.NetworkMode;
    };
    const standard = isOld ? 'default' : 'bridge';
    t.same([await modeOf(), await modeOf('default'), await modeOf('bridge')], [standard, standard, 'bridge']);
    engine.addContainer({ name: 'both', networks: ['a', 'b'] });
    t.same(Object.keys(await networksOf(engine, 'both')), ['a', 'b'], 'a test may ask any engine for several');
  });

  t.test(`${version}: a container in another one's network has its name, and needs it to run`, async (t) => {
    const { engine, docker } = await start(t, { version });
    engine.addImage({ tags: [Image] });
    const target = engine.addContainer({ name: 'vpn', config: { Hostname: 'gate' }, state: 'exited' });
    const create = (body: object) =>
      askJson(engine, '/containers/create?name=guest', 'POST', { body: { Image, ...body } });
    const HostConfig = { NetworkMode: 'container:vpn' };
    const conflicts: [object, string][] = [
      [{ Hostname: 'x', HostConfig }, 'hostname and the network mode'],
      [{ ExposedPorts: { '80/tcp': {} }, HostConfig }, 'port exposing and the container type network mode'],
      [
        { HostConfig: { ...HostConfig, PortBindings: { '80/tcp': [{ HostPort: '' }] } } },
        'port publishing and the container type network mode',
      ],
      [{ HostConfig: { ...HostConfig, Dns: ['1.1.1.1'] } }, 'dns and the network mode'],
    ];
    for (const [body, why] of conflicts) {
      t.same(await create(body), { status: 400, json: { message: `conflicting options: ${why}` } });
    }
    const { json } = await create({ HostConfig });
    const guest = docker.getContainer('guest');
    const before = await guest.inspect();
    t.match(before, {
      HostConfig: { NetworkMode: `container:${target.id}` },
      Config: { Hostname: json.Id.slice(0, 12) },
    });
    t.same(before.NetworkSettings.Networks, {});
    const message = isOld
      ? `cannot join network of a non running container: ${target.id}`
      : 'cannot join network namespace of a non running container: container vpn is exited';
    t.match(await failure(guest.start()), { statusCode: 409, json: { message } });
    engine.start('vpn');
    await guest.start();
    t.equal((await guest.inspect()).Config.Hostname, 'gate');
    const orphan = await docker.createContainer({ Image, HostConfig: { NetworkMode: 'container:nope' } });
    t.match(await failure(orphan.start()), isOld ? { statusCode: 404 } : { statusCode: 500 }, 'found out at the start');
  });

  t.test(`${version}: a MAC address of the container's own`, async (t) => {
    const { engine } = await start(t, { version });
    engine.addImage({ tags: [Image] });
    engine.addNetwork('lab');
    const MacAddress = '02:42:0a:00:00:77';
    const body = { Image, MacAddress, HostConfig: { NetworkMode: 'lab' } };
    await askJson(engine, '/containers/create?name=web', 'POST', { body });
    const shown = async () => {
      const { Config, NetworkSettings } = (await askJson(engine, '/containers/web/json')).json;
      return [Config.MacAddress, NetworkSettings.Networks.lab.MacAddress];
    };
    t.same(await shown(), [MacAddress, isOld ? '' : MacAddress]);
    engine.start('web');
    t.same(await shown(), [MacAddress, MacAddress]);
    await engine.stop('web');
    t.same(await shown(), [MacAddress, '']);
    const EndpointsConfig = { lab: { MacAddress: '02:42:0a:00:00:78' } };
    const other = { body: { ...body, NetworkingConfig: { EndpointsConfig } } };
    const { status } = await askJson(engine, '/containers/create?name=other', 'POST', other);
    t.equal(status, isOld ? 201 : 400, 'two that differ are one too many');
  });
}

t.test('the host network and none have no company', async (t) => {
  const { engine } = await start(t, { name: 'vm' });
  engine.addNetwork('lab');
  engine.addContainer({ name: 'bare', networks: ['host'], state: 'created' });
  engine.addContainer({ name: 'alone', networks: ['none'] });
  t.equal((await askJson(engine, '/containers/bare/json')).json.Config.Hostname, 'vm', 'the name in /info');
  t.match(await connect(engine, 'lab', 'bare'), {
    status: 400,
    json: { message: /^container sharing network namespace with another container or host/ },
  });
  t.match(await connect(engine, 'lab', 'alone'), { status: 400, json: { message: /private \(none\) mode$/ } });
});
