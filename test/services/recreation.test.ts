import t from 'tap';
import { type Document, documentOf } from '../../src/services/own-settings.ts';
import {
  anonymousVolumes,
  type EngineTraits,
  foreignPlatform,
  joining,
  type Recreation,
  type RecreationInput,
  toRecreation,
} from '../../src/services/recreation.ts';
import { type EngineName, engineNames, type Kind, kinds, recordedInput } from '../fixtures/recordings.ts';

const recreate = (engine: EngineName, kind: Kind) => toRecreation(recordedInput(engine, kind));
const hostOf = ({ body }: Recreation) => documentOf(body.HostConfig);
const endpointsOf = ({ body }: Recreation) => documentOf(documentOf(body.NetworkingConfig).EndpointsConfig);
const listOf = (value: unknown): Document[] => (Array.isArray(value) ? value.map(documentOf) : []);
const shortIdOf = ({ Id: id }: Document) => String(id).slice(0, 12);

/** The name of the volume that a recorded container has at a place, as the engine names its folder. */
function volumeAt({ Mounts: mounts }: Document, place: string): string {
  const mount = listOf(mounts).find(({ Destination: destination }) => destination === place);
  return /\/volumes\/([^/]+)\/_data$/.exec(String(mount?.Source))?.[1] ?? `nothing at ${place}`;
}

/** A recorded container with other parts; what is an object is joined with what it had. */
function changedInput(
  kind: Kind,
  changes: Record<string, Document>,
  engine: EngineName = 'docker-28',
): RecreationInput {
  const input = recordedInput(engine, kind);
  const container = { ...input.container };
  for (const [part, change] of Object.entries(changes)) container[part] = { ...documentOf(container[part]), ...change };
  return { ...input, container };
}

for (const engine of engineNames) {
  t.test(`${engine}: the host config is taken over whole, but for links and volumes`, async (t) => {
    for (const kind of kinds) {
      const { Links, Binds, Mounts, ...rest } = hostOf(recreate(engine, kind));
      const { Links: _l, Binds: _b, Mounts: _m, ...had } = documentOf(recordedInput(engine, kind).container.HostConfig);
      t.strictSame(rest, had, kind);
    }
  });

  t.test(`${engine}: nothing that the engine derived for the old one is asked for`, async (t) => {
    for (const kind of kinds) {
      const { container } = recordedInput(engine, kind);
      const asked = JSON.stringify(recreate(engine, kind));
      t.notMatch(asked, shortIdOf(container), `${kind}: its id as host name and alias`);
      for (const field of ['EndpointID', 'NetworkID', 'Gateway', 'IPAddress', 'IPPrefixLen', 'DNSNames', 'OnBuild']) {
        t.notOk(asked.includes(`"${field}"`), `${kind}: ${field}`);
      }
    }
  });

  t.test(`${engine}: it names its next image, and leaves the platform to the engine`, async (t) => {
    for (const kind of kinds) {
      const { body, platform } = recreate(engine, kind);
      t.equal(body.Image, 'fairlead-test/busybox', kind);
      t.equal(platform, null);
      t.strictSame(body.Cmd, kind === 'auto-removed' ? ['1000'] : ['sleep', '1000'], 'its own command');
    }
  });

  t.test(`${engine}: what was set for a container with everything is set again`, async (t) => {
    const { body } = recreate(engine, 'rich');
    t.match(body, {
      Hostname: 'www',
      Domainname: 'lab.example',
      User: '0:0',
      Tty: true,
      OpenStdin: true,
      WorkingDir: '/data',
      StopSignal: 'SIGINT',
      StopTimeout: 3,
      Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 90e9, Retries: 5 },
    });
    t.strictSame(
      [...(Array.isArray(body.Env) ? body.Env : [])].sort(),
      ['EMPTY=', 'MODE=lab'],
      'without those of its image',
    );
    t.match(hostOf(recreate(engine, 'rich')), {
      Memory: 67_108_864,
      NanoCpus: 500_000_000,
      PidsLimit: 50,
      Ulimits: [{ Name: 'nofile', Hard: 200, Soft: 100 }],
      Sysctls: { 'net.ipv4.ip_default_ttl': '60' },
      Dns: ['10.201.1.53'],
      ExtraHosts: ['lab.example:10.0.0.1'],
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
      Tmpfs: { '/scratch': 'size=1m' },
      ReadonlyRootfs: true,
      Init: true,
    });
  });

  t.test(`${engine}: published ports are exposed, fixed ones stay, picked ones are picked anew`, async (t) => {
    const rich = recreate(engine, 'rich');
    const ports = ['53/udp', '7000/tcp', '7001/tcp', '80/tcp', '8080/tcp'];
    t.strictSame(Object.keys(documentOf(rich.body.ExposedPorts)).sort(), ports);
    t.match(hostOf(rich).PortBindings, {
      '80/tcp': [{ HostIp: '', HostPort: '' }],
      '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '18080' }],
    });
    const linked = recreate(engine, 'linked');
    t.strictSame(Object.keys(documentOf(linked.body.ExposedPorts)).sort(), ['81/tcp', '82/tcp'], 'published or not');
    const exposing = { Config: { ExposedPorts: { '80/tcp': {}, '81/tcp': {} } } };
    const { body } = toRecreation({ ...recordedInput(engine, 'rich'), image: exposing });
    t.ok('80/tcp' in documentOf(body.ExposedPorts), 'also what the image exposes already');
    const inheriting = changedInput('plain', { Config: { ExposedPorts: { '81/tcp': {} } } }, engine);
    t.strictSame(toRecreation({ ...inheriting, image: exposing }).body.ExposedPorts, {}, 'which alone is left to it');
  });

  t.test(`${engine}: the first network comes with its creation, the others are connected after it`, async (t) => {
    const rich = recreate(engine, 'rich');
    t.match(endpointsOf(rich)['lab-front'], {
      IPAMConfig: { IPv4Address: '10.201.1.10', LinkLocalIPs: ['169.254.10.10'] },
      Links: ['lab-db:db'],
      Aliases: ['www', 'web'],
    });
    const endpoints = {
      ...endpointsOf(rich),
      ...Object.fromEntries(rich.connects.map((c) => [c.network, c.endpoint])),
    };
    t.strictSame(Object.keys(endpoints).sort(), ['lab-back', 'lab-front']);
    t.match(endpoints['lab-back'], { IPAMConfig: { IPv4Address: '10.201.2.10' }, Links: ['lab-db:db2'] });
    t.ok(JSON.stringify(endpoints['lab-back']).includes('"inner"'), 'with its alias');
    t.strictSame(rich.disconnects, []);
    t.match(
      endpointsOf(recreate(engine, 'stopped')),
      { 'lab-front': { Aliases: ['idle'] } },
      'also of one that never ran',
    );
  });

  t.test(`${engine}: a container that was taken out of its first network is so again`, async (t) => {
    const { body, connects, disconnects } = recreate(engine, 'moved');
    t.strictSame(
      connects.map(({ network }) => network),
      ['lab-front'],
    );
    t.strictSame(disconnects, ['bridge']);
    t.notOk(body.NetworkingConfig);
  });

  t.test(`${engine}: a container without networks of its own is connected to none`, async (t) => {
    for (const kind of ['host-network', 'container-network', 'networkless'] as const) {
      const { body, connects, disconnects } = recreate(engine, kind);
      t.strictSame({ connects, disconnects }, { connects: [], disconnects: [] }, kind);
      t.notOk(body.NetworkingConfig);
    }
    for (const kind of ['plain', 'linked'] as const) {
      const { connects, disconnects } = recreate(engine, kind);
      t.strictSame(
        { connects, disconnects },
        { connects: [], disconnects: [] },
        `${kind}: the engine's own comes by itself`,
      );
    }
  });

  t.test(`${engine}: a host name that is not its own is not asked for`, async (t) => {
    for (const kind of ['plain', 'moved', 'host-network', 'container-network', 'networkless', 'stopped'] as const) {
      t.equal(recreate(engine, kind).body.Hostname, undefined, kind);
    }
    t.equal(toRecreation(changedInput('plain', { Config: { Hostname: 'own' } }, engine)).body.Hostname, 'own');
    t.equal(toRecreation(changedInput('host-network', { Config: { Hostname: 'own' } }, engine)).body.Hostname, 'own');
    const ofTheHost = { Config: { Hostname: 'own', Domainname: 'lab' }, HostConfig: { UTSMode: 'host' } };
    const { Hostname, Domainname } = toRecreation(changedInput('plain', ofTheHost, engine)).body;
    t.strictSame(
      { Hostname, Domainname },
      { Hostname: undefined, Domainname: undefined },
      'UTS namespace of the machine',
    );
  });

  t.test(`${engine}: legacy links are asked for in the words that a create call reads`, async (t) => {
    t.strictSame(hostOf(recreate(engine, 'linked')).Links, ['lab-store:store']);
    t.equal(hostOf(recreate(engine, 'rich')).Links, null, 'those of a network are told there');
    const Links = ['/a:/b/c', '/a-1.x:/b/alias_2', 7];
    const changed = toRecreation(changedInput('plain', { HostConfig: { Links } }, engine));
    t.strictSame(hostOf(changed).Links, ['a:c', 'a-1.x:alias_2']);
  });

  t.test(`${engine}: volumes that nobody named are known by the names they have`, async (t) => {
    const { container } = recordedInput(engine, 'rich');
    t.strictSame(
      anonymousVolumes(container).toSorted((a, b) => a.destination.localeCompare(b.destination)),
      ['/anonymous', '/mounted'].map((destination) => ({ name: volumeAt(container, destination), destination })),
    );
    for (const kind of ['plain', 'linked', 'networkless'] as const) {
      t.strictSame(anonymousVolumes(recordedInput(engine, kind).container), [], kind);
    }
  });

  t.test(`${engine}: what was mounted is mounted again, each volume by its name`, async (t) => {
    const { container } = recordedInput(engine, 'rich');
    const { Binds, Mounts } = hostOf(recreate(engine, 'rich'));
    t.strictSame(Binds, documentOf(container.HostConfig).Binds, 'binds as they were asked for');
    const byTarget = Object.fromEntries(listOf(Mounts).map((mount) => [mount.Target, mount]));
    t.strictSame(Object.keys(byTarget).sort(), ['/anonymous', '/cache/', '/host/usr', '/mounted', '/tmp']);
    const asked = listOf(documentOf(container.HostConfig).Mounts);
    for (const target of ['/cache/', '/host/usr', '/tmp']) {
      t.strictSame(
        byTarget[target],
        asked.find((mount) => mount.Target === target),
        target,
      );
    }
    t.match(byTarget['/anonymous'], { Type: 'volume', Source: volumeAt(container, '/anonymous') });
    t.match(byTarget['/mounted'], { Type: 'volume', Source: volumeAt(container, '/mounted') });
    const { Mounts: scrap } = hostOf(recreate(engine, 'auto-removed'));
    t.match(scrap, [{ Source: volumeAt(recordedInput(engine, 'auto-removed').container, '/scrap'), Target: '/scrap' }]);
  });

  t.test(`${engine}: nothing is copied from the new image into a volume that has its content`, async (t) => {
    const { container } = recordedInput(engine, 'rich');
    const names = anonymousVolumes(container).map(({ name }) => name);
    const mounts = listOf(hostOf(recreate(engine, 'rich')).Mounts).filter(({ Source }) =>
      names.includes(String(Source)),
    );
    t.equal(mounts.length, 2);
    for (const mount of mounts) t.match(mount, { VolumeOptions: { NoCopy: true } }, String(mount.Target));
  });

  t.test(`${engine}: a bind that only says where gets the name of its volume`, async (t) => {
    const { container } = recordedInput(engine, 'bare-bind');
    const { Binds, Mounts } = hostOf(recreate(engine, 'bare-bind'));
    t.strictSame(Binds, [
      `${volumeAt(container, '/bare')}:/bare:nocopy`,
      `${volumeAt(container, '/bare/ro')}:/bare/ro:nocopy`,
    ]);
    t.notOk(Mounts, 'and is not mounted twice');
  });

  t.test(`${engine}: a volume that was read-only stays so`, async (t) => {
    const { container } = recordedInput(engine, 'volumes-from');
    const { VolumesFrom, Mounts } = hostOf(recreate(engine, 'volumes-from'));
    t.strictSame(VolumesFrom, ['lab-store:ro']);
    t.match(Mounts, [{ Source: volumeAt(container, '/store'), Target: '/store', ReadOnly: true }]);
  });

  t.test(`${engine}: what Compose notes of the image stays true`, async (t) => {
    const { container, next } = recordedInput(engine, 'rich');
    const label = 'com.docker.compose.image';
    const labelOf = (value: string) => {
      const input = changedInput('rich', { Config: { Labels: { [label]: value } } }, engine);
      return documentOf(toRecreation(input).body.Labels)[label];
    };
    t.strictSame(recreate(engine, 'rich').body.Labels, { [label]: next.id, 'com.docker.compose.project': 'shop' });
    t.equal(labelOf(String(container.Image)), next.id);
    t.equal(labelOf('sha256:else'), 'sha256:else', 'a note that was not true is left alone');
    t.notOk(label in documentOf(recreate(engine, 'plain').body.Labels), 'and none is made');
  });

  t.test(`${engine}: what it is made from is left as it was`, async (t) => {
    for (const kind of kinds) {
      const input = recordedInput(engine, kind);
      const before = JSON.stringify(input);
      joining(toRecreation(input), { oldId: 'a', name: 'b' }, 'c');
      t.equal(JSON.stringify(input), before, kind);
    }
  });
}

t.test('a MAC address goes with the container on engines that know no other', async (t) => {
  for (const kind of ['rich', 'asked-mac'] as const) {
    const recreation = recreate('docker-20.10', kind);
    t.match(recreation.body.MacAddress, /^02:00:00:00:00:/, kind);
    t.notOk(JSON.stringify([endpointsOf(recreation), recreation.connects]).includes('MacAddress'));
  }
  t.notOk(recreate('docker-20.10', 'plain').body.MacAddress, 'one that was picked is not asked for');
});

t.test('a MAC address goes with its network on engines that know networks', async (t) => {
  const rich = recreate('docker-28', 'rich');
  t.equal(rich.body.MacAddress, undefined);
  t.match(endpointsOf(rich)['lab-front'], { MacAddress: '02:00:00:00:00:07' });
  t.match(endpointsOf(recreate('docker-28', 'asked-mac'))['lab-front'], {
    MacAddress: '02:00:00:00:00:11',
    DriverOpts: { 'com.docker.network.endpoint.ifname': 'lab0' },
    GwPriority: 5,
  });
  t.notOk(JSON.stringify(endpointsOf(recreate('docker-28', 'stopped'))).includes('MacAddress'));
  const plain = recreate('docker-28', 'plain');
  t.notOk(JSON.stringify([plain.body, plain.connects]).includes('MacAddress'), 'one that was picked is not asked for');
});

t.test('a MAC address of a second network is asked for where the engine listens', async (t) => {
  // https://github.com/moby/moby/issues/48192: connecting to a network passes over the address, creation does not.
  t.match(endpointsOf(recreate('docker-28', 'asked-mac'))['lab-back'], { MacAddress: '02:00:00:00:00:12' });
});

t.test('which MAC address is asked for depends on what the version of the API tells', async (t) => {
  const [picked, asked] = ['8e:c6:ae:bb:82:a8', '02:00:00:00:00:11'];
  const macsOf = (apiVersion: string, config: string | undefined, told: string) => {
    const input = changedInput('stopped', { Config: { MacAddress: config } });
    const Networks = { 'lab-front': { MacAddress: told, IPAddress: '10.201.1.2' } };
    const container = { ...input.container, NetworkSettings: { Networks } };
    const recreation = toRecreation({ ...input, container, engine: { ...input.engine, apiVersion } });
    return [recreation.body.MacAddress, documentOf(endpointsOf(recreation)['lab-front']).MacAddress];
  };
  for (const version of ['1.12', '1.24', '1.41', '1.43']) {
    t.strictSame(macsOf(version, asked, asked), [asked, undefined], `${version}: the container's`);
    t.strictSame(macsOf(version, undefined, picked), [undefined, undefined]);
  }
  for (const version of ['1.44', '1.47', '1.51']) {
    t.strictSame(
      macsOf(version, asked, asked),
      [undefined, asked],
      `${version}: the network's, told as the container's`,
    );
    t.strictSame(macsOf(version, undefined, picked), [undefined, undefined], 'nothing where none was asked for');
  }
  for (const version of ['1.52', '1.100', '2.0']) {
    t.strictSame(macsOf(version, undefined, asked), [undefined, asked], `${version}: what the network tells`);
    t.strictSame(
      macsOf(version, undefined, '02:42:0a:c9:01:02'),
      [undefined, undefined],
      'not if made of the IP address',
    );
    t.strictSame(macsOf(version, undefined, ''), [undefined, undefined]);
  }
});

t.test('a MAC address in a further network is kept, unless it was made of the IP address', async (t) => {
  const macOf = (MacAddress: string) => {
    const Networks = { 'lab-front': {}, 'lab-back': { MacAddress, IPAddress: '10.201.2.10' } };
    const { container, ...input } = recordedInput('docker-28', 'stopped');
    const recreation = toRecreation({ ...input, container: { ...container, NetworkSettings: { Networks } } });
    const connected = recreation.connects.find(({ network }) => network === 'lab-back')?.endpoint;
    return (connected ?? documentOf(endpointsOf(recreation)['lab-back'])).MacAddress;
  };
  t.equal(macOf('8e:c6:ae:bb:82:a8'), '8e:c6:ae:bb:82:a8');
  t.equal(macOf('02:42:0a:c9:02:0a'), undefined);
  t.equal(macOf('02:42:0a:c9:02:0b'), '02:42:0a:c9:02:0b', 'of another address');
});

t.test('the first network is known by its name, by its id, and as the default', async (t) => {
  const firstOf = (NetworkMode: string, Networks: Record<string, Document>) => {
    const input = changedInput('plain', { HostConfig: { NetworkMode }, NetworkSettings: { Networks } });
    const recreation = toRecreation(input);
    const { disconnects, connects } = recreation;
    return {
      first: Object.keys(endpointsOf(recreation)),
      connects: connects.map(({ network }) => network),
      disconnects,
    };
  };
  const named = { Aliases: ['x'] };
  const only = (first: string) => ({ first: [first], connects: [], disconnects: [] });
  t.strictSame(firstOf('shop', { shop: named }), only('shop'));
  t.strictSame(firstOf('f00d', { shop: { ...named, NetworkID: 'f00d' } }), only('shop'));
  for (const mode of ['', 'default', 'bridge']) {
    t.strictSame(firstOf(mode, { bridge: named }), only('bridge'), `"${mode}"`);
    t.strictSame(firstOf(mode, { podman: named }), only('podman'), `"${mode}" on Podman`);
  }
  t.strictSame(firstOf('shop', { other: named }), { first: [], connects: ['other'], disconnects: ['shop'] });
  t.strictSame(firstOf('none', { none: {} }), { first: [], connects: [], disconnects: [] });
  t.strictSame(firstOf('container:x', {}), { first: [], connects: [], disconnects: [] });
});

t.test('one that joined the namespaces of a container joins those of its successor', async (t) => {
  for (const engine of engineNames) {
    const { container } = recordedInput(engine, 'container-network');
    const { NetworkMode } = documentOf(container.HostConfig);
    const oldId = String(NetworkMode).replace('container:', '');
    const recreation = recreate(engine, 'container-network');
    const joined = joining(recreation, { oldId, name: 'lab-db' }, 'new');
    t.match(hostOf(joined), { NetworkMode: 'container:new', PidMode: 'container:new', IpcMode: 'shareable' }, engine);
    t.strictSame(
      { ...hostOf(joined), NetworkMode, PidMode: NetworkMode },
      hostOf(recreation),
      'nothing else is changed',
    );
    t.equal(hostOf(recreation).NetworkMode, NetworkMode, 'not in the one that was given either');
    t.equal(joining(recreation, { oldId: 'other', name: 'other' }, 'new'), recreation, 'another one is the very same');
  }
  const byName = toRecreation(changedInput('plain', { HostConfig: { IpcMode: 'container:db' } }));
  t.match(hostOf(joining(byName, { oldId: 'x', name: 'db' }, 'new')), { IpcMode: 'container:new' }, 'also by its name');
  const unnamed = toRecreation(changedInput('plain', { HostConfig: { PidMode: 'container:' } }));
  t.equal(joining(unnamed, { oldId: 'x', name: 'y' }, 'new'), unnamed);
  const plain = recreate('docker-28', 'plain');
  t.equal(joining(plain, { oldId: 'x', name: '' }, 'new'), plain, 'one that joins nothing joins nobody, named or not');
});

t.test('a volume is unnamed only where nobody named what is mounted there', async (t) => {
  const at = (Destination: string, Type = 'volume') => ({ Type, Name: `name of ${Destination}`, Destination });
  const volumesOf = (host: Document, ...Mounts: Document[]) =>
    anonymousVolumes({ HostConfig: host, Mounts }).map(({ destination }) => destination);
  t.strictSame(volumesOf({}, at('/a'), at('/b', 'bind'), at('/c', 'tmpfs')), ['/a']);
  t.strictSame(volumesOf({ Binds: ['data:/a', '/srv:/b:ro'] }, at('/a'), at('/b'), at('/c')), ['/c']);
  t.strictSame(volumesOf({ Binds: ['data:/a/'] }, at('/a')), [], 'a slash at the end says nothing');
  t.strictSame(volumesOf({ Binds: ['data:/x/../a'] }, at('/a')), [], 'nor does a way about');
  const Mounts = [
    { Type: 'volume', Source: 'data', Target: '/a/' },
    { Type: 'volume', Target: '/b/' },
    { Type: 'volume', Source: '', Target: '/c' },
  ];
  t.strictSame(volumesOf({ Mounts }, at('/a'), at('/b'), at('/c')), ['/b', '/c']);
  t.strictSame(volumesOf({}, { Type: 'volume', Destination: '/a' }, { Type: 'volume', Name: 'x' }), [], 'half told');
  t.strictSame(anonymousVolumes({}), []);
  t.strictSame(anonymousVolumes({ Mounts: null, HostConfig: null }), []);
});

t.test('an image for another processor is asked for by its platform', async (t) => {
  const engine: EngineTraits = { apiVersion: '1.51', architecture: 'amd64', hostName: '' };
  t.equal(foreignPlatform({ Os: 'linux', Architecture: 'arm64', Variant: 'v8' }, engine), 'linux/arm64/v8');
  t.equal(foreignPlatform({ Os: 'linux', Architecture: 'arm64' }, engine), 'linux/arm64');
  t.equal(foreignPlatform({ Architecture: 'arm', Os: '', Variant: '' }, engine), 'linux/arm');
  t.equal(foreignPlatform({ Os: 'windows', Architecture: 'arm64' }, engine), 'windows/arm64');
  t.equal(foreignPlatform({ Os: 'linux', Architecture: 'amd64', Variant: 'v3' }, engine), null);
  t.equal(foreignPlatform({ Os: 'linux', Architecture: '' }, engine), null, 'nobody told');
  t.equal(foreignPlatform({}, engine), null);
  t.equal(foreignPlatform({ Architecture: 'arm64' }, { ...engine, architecture: '' }), null);
  const { image, ...input } = recordedInput('docker-28', 'plain');
  t.equal(toRecreation({ ...input, image: { ...image, Architecture: 'arm64' } }).platform, 'linux/arm64');
});

t.test('without its image a container keeps everything as its own', async (t) => {
  const { body, platform } = toRecreation({ ...recordedInput('docker-28', 'rich'), image: {} });
  t.match(body, { Env: ['MODE=lab', 'EMPTY=', 'PATH=/bin'], Cmd: ['sleep', '1000'] });
  t.equal(platform, null);
});

t.test('an answer with nothing in it, or with anything, gives a recreation', async (t) => {
  const input = recordedInput('docker-28', 'rich');
  const fields = Object.keys(input.container);
  for (const value of [undefined, null, 7, 'text', [], [null, 7], {}, { a: null, Networks: 7 }]) {
    const container = Object.fromEntries(fields.map((field) => [field, value]));
    t.doesNotThrow(() => toRecreation({ ...input, container }), JSON.stringify(value));
    t.doesNotThrow(() => anonymousVolumes(container));
    for (const part of ['Config', 'HostConfig', 'NetworkSettings'] as const) {
      const odd = Object.fromEntries(Object.keys(documentOf(input.container[part])).map((field) => [field, value]));
      t.doesNotThrow(() => toRecreation({ ...input, container: { ...input.container, [part]: odd } }), part);
    }
  }
  t.doesNotThrow(() => toRecreation({ ...input, container: {}, image: {} }));
});

t.test('a legacy link follows whom it leads to', async (t) => {
  const recreation = recreate('docker-28', 'linked');
  t.strictSame(hostOf(recreation).Links, ['lab-store:store']);
  const joined = joining(recreation, { oldId: 'x', name: 'lab-store' }, 'f'.repeat(64));
  t.strictSame(hostOf(joined).Links, [`${'f'.repeat(64)}:store`], 'under the same alias');
  t.strictSame(hostOf(recreation).Links, ['lab-store:store'], 'the first is left as it was');
  t.equal(joining(recreation, { oldId: 'x', name: 'lab' }, 'new'), recreation, 'a name that only begins alike');
});

t.test('what a container takes from others it gets from them again, and not as its own', async (t) => {
  const Mounts = [
    { Type: 'volume', Name: 'own', Source: '/volumes/own/_data', Destination: '/own', RW: true },
    { Type: 'volume', Name: 'lent', Source: '/volumes/lent/_data', Destination: '/lent', RW: true },
    { Type: 'volume', Name: 'kept', Source: '/volumes/kept/_data', Destination: '/kept', RW: true },
  ];
  const input = changedInput('plain', { HostConfig: { VolumesFrom: ['store'], Mounts: null, Binds: null } });
  const container = { ...input.container, Mounts };
  const borrowed = [
    { Type: 'volume', Name: 'lent', Destination: '/lent' },
    { Type: 'volume', Name: 'newer', Destination: '/kept' },
  ];
  t.strictSame(
    anonymousVolumes(container, borrowed).map(({ name }) => name),
    ['own', 'kept'],
    'what they no longer have is kept by its name',
  );
  const host = hostOf(toRecreation({ ...input, container, borrowed }));
  t.strictSame(host.VolumesFrom, ['store']);
  t.strictSame(
    listOf(host.Mounts).map(({ Source }) => Source),
    ['own', 'kept'],
  );
});

t.test('who takes volumes by an id takes those of the successor, by a name those of whoever has it', async (t) => {
  const [oldId, newId] = ['a'.repeat(64), 'b'.repeat(64)];
  const VolumesFrom = [`${oldId}:ro`, oldId.slice(0, 12), oldId.slice(0, 11), 'store:rw', 'aaaa-store'];
  const recreation = toRecreation(changedInput('plain', { HostConfig: { VolumesFrom } }));
  const joined = joining(recreation, { oldId, name: 'store' }, newId);
  t.strictSame(hostOf(joined).VolumesFrom, [`${newId}:ro`, newId, oldId.slice(0, 11), 'store:rw', 'aaaa-store']);
  t.strictSame(hostOf(recreation).VolumesFrom, VolumesFrom, 'the first is left as it was');
});
