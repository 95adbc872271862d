import t, { type Test } from 'tap';
import { checkCreate } from '../../src/services/create-gate.ts';
import { type Document, documentOf } from '../../src/services/own-settings.ts';
import { joining, toRecreation } from '../../src/services/recreation.ts';
import { type EngineName, engineNames, type Kind, kinds, recordedInput } from '../fixtures/recordings.ts';

/** What a rebuild keeps of a container to measure create calls by. */
const basisOf = ({ Config, HostConfig, Mounts }: Document): Document => ({
  Config: { Volumes: documentOf(Config).Volumes },
  HostConfig,
  Mounts,
});

type Asked = { body: Document; host: Document; basis: Document };

/** The create call for a recorded container, as it is sent: what was undefined is not there. */
function asked(engine: EngineName, kind: Kind, hostChanges: Document = {}): Asked {
  const input = recordedInput(engine, kind);
  const container = { ...input.container, HostConfig: { ...documentOf(input.container.HostConfig), ...hostChanges } };
  const body: Document = JSON.parse(JSON.stringify(toRecreation({ ...input, container }).body));
  return { body, host: documentOf(body.HostConfig), basis: basisOf(container) };
}

const check = ({ body, basis }: Asked, allowsPrivileged = false) => checkCreate(body, { basis, allowsPrivileged });

/** A call that asks for other things in its host config. */
const tampered = ({ body, host, ...rest }: Asked, changes: Document): Asked => ({
  ...rest,
  host,
  body: { ...body, HostConfig: { ...host, ...changes } },
});

function isRefused(t: Test, call: Asked, field: string, name = field) {
  const message = new RegExp(`^${field.replaceAll('.', '\\.')}: asks for more than the container has`);
  t.throws(() => check(call), { code: 'forbidden', message }, name);
}

const mountsOf = ({ host }: Asked): Document[] => (Array.isArray(host.Mounts) ? host.Mounts.map(documentOf) : []);
const bindsOf = ({ host }: Asked): unknown[] => (Array.isArray(host.Binds) ? host.Binds : []);

for (const engine of engineNames) {
  t.test(`${engine}: what a rebuild asks for passes`, async (t) => {
    for (const kind of kinds) {
      const call = asked(engine, kind);
      t.doesNotThrow(() => check(call), kind);
      const recreation = toRecreation(recordedInput(engine, kind));
      const { NetworkMode } = documentOf(recreation.body.HostConfig);
      const oldId = String(NetworkMode).replace('container:', '');
      const { body } = joining(recreation, { oldId, name: 'other' }, 'f'.repeat(64));
      t.doesNotThrow(() => check({ ...call, body }), `${kind}, joining a successor`);
    }
  });

  t.test(`${engine}: no field of a host config may have another value`, async (t) => {
    const call = asked(engine, 'rich');
    for (const field of Object.keys(call.host)) {
      const others = [null, '', 0, true, 'other', 7, [], ['other'], {}, { other: 1 }];
      const isNoMore = (value: unknown) =>
        JSON.stringify(value) === JSON.stringify(call.host[field]) ||
        (['Binds', 'Mounts'].includes(field) && (value === null || (Array.isArray(value) && value.length === 0)));
      for (const value of others.filter((other) => !isNoMore(other))) {
        const name = `${field}: ${JSON.stringify(value)}`;
        t.throws(() => check(tampered(call, { [field]: value })), { message: new RegExp(`${field}:|rivileged`) }, name);
      }
    }
  });

  t.test(`${engine}: no field of a host config may be left out`, async (t) => {
    const call = asked(engine, 'rich');
    const left = Object.keys(call.host).filter(
      (field) => !['Binds', 'Mounts', 'Links'].includes(field) && call.host[field] !== null,
    );
    const through = left.filter((field) => {
      const { [field]: _left, ...rest } = call.host;
      try {
        check({ ...call, body: { ...call.body, HostConfig: rest } });
        return true;
      } catch {
        return false;
      }
    });
    t.strictSame(through, [], 'what limits a container, such as ReadonlyRootfs, would be gone');
  });
}

t.test('nothing privileged is created, unless that is allowed and was so before', async (t) => {
  const plain = asked('docker-28', 'plain');
  const disabled = { code: 'disabled', message: /ENABLE names "privileged"/ };
  t.throws(() => check(tampered(plain, { Privileged: true })), disabled);
  t.throws(() => check(tampered(plain, { Privileged: 'true' })), { code: 'disabled' }, 'or what an engine may read so');
  t.throws(() => check(tampered(plain, { Privileged: true }), true), {
    code: 'forbidden',
    message: /^HostConfig\.Privileged: /,
  });
  const privileged = asked('docker-28', 'plain', { Privileged: true });
  t.throws(() => check(privileged), disabled);
  t.doesNotThrow(() => check(privileged, true));
});

t.test('each right that is asked for beside is refused by its name', async (t) => {
  const rights: Document = {
    NetworkMode: 'host',
    IpcMode: 'host',
    PidMode: 'host',
    UTSMode: 'host',
    UsernsMode: 'host',
    CgroupnsMode: 'private',
    Cgroup: 'container:other',
    CgroupParent: '/',
    CapAdd: ['SYS_ADMIN'],
    CapDrop: [],
    SecurityOpt: ['seccomp=unconfined'],
    Devices: [{ PathOnHost: '/dev/sda', PathInContainer: '/dev/sda', CgroupPermissions: 'rwm' }],
    DeviceRequests: [{ Count: -1, Capabilities: [['gpu']] }],
    DeviceCgroupRules: ['a *:* rwm'],
    Runtime: 'other',
    Sysctls: { 'kernel.shmmax': '1' },
    Ulimits: [],
    GroupAdd: ['0'],
    MaskedPaths: [],
    ReadonlyPaths: [],
    ReadonlyRootfs: false,
    Memory: 0,
    PidsLimit: -1,
    OomScoreAdj: -1000,
    PortBindings: { '22/tcp': [{ HostPort: '22' }] },
    PublishAllPorts: true,
    RestartPolicy: { Name: 'always' },
    Tmpfs: { '/etc': '' },
    VolumesFrom: ['other'],
    VolumeDriver: 'other',
    Links: ['other:db'],
    ExtraHosts: ['lab.example:6.6.6.6'],
    Dns: ['6.6.6.6'],
    LogConfig: { Type: 'syslog', Config: { 'syslog-address': 'tcp://6.6.6.6' } },
    ContainerIDFile: '/etc/x',
  };
  for (const engine of engineNames) {
    const call = asked(engine, 'rich');
    for (const [field, value] of Object.entries(rights)) {
      isRefused(t, tampered(call, { [field]: value }), `HostConfig.${field}`, `${engine}: ${field}`);
    }
  }
});

t.test('one more of something is refused as well', async (t) => {
  const call = asked('docker-28', 'rich');
  const more = (field: string, item: unknown) => {
    const had = call.host[field];
    return { [field]: Array.isArray(had) ? [...had, item] : { ...documentOf(had), ...documentOf(item) } };
  };
  for (const field of ['CapAdd', 'SecurityOpt', 'GroupAdd', 'Dns', 'ExtraHosts', 'Devices', 'Ulimits']) {
    isRefused(t, tampered(call, more(field, 'other')), `HostConfig.${field}`);
  }
  for (const field of ['PortBindings', 'Sysctls', 'Tmpfs', 'LogConfig', 'RestartPolicy']) {
    isRefused(t, tampered(call, more(field, { other: [] })), `HostConfig.${field}`);
  }
  isRefused(t, tampered(call, { CapDrop: ['MKNOD'] }), 'HostConfig.CapDrop', 'the same in other words');
});

t.test('namespaces may be those of another container only where they were those of one', async (t) => {
  for (const field of ['NetworkMode', 'PidMode', 'IpcMode']) {
    isRefused(t, tampered(asked('docker-28', 'plain'), { [field]: 'container:other' }), `HostConfig.${field}`);
  }
  const joined = asked('docker-28', 'container-network');
  t.doesNotThrow(() => check(tampered(joined, { NetworkMode: 'container:other' })));
  isRefused(t, tampered(joined, { IpcMode: 'container:other' }), 'HostConfig.IpcMode', 'each for itself');
  for (const mode of ['host', 'bridge', 'none', '', 'shop', 'ns:/proc/1/ns/net', null, {}, ['container:x']]) {
    isRefused(t, tampered(joined, { NetworkMode: mode }), 'HostConfig.NetworkMode', JSON.stringify(mode));
  }
});

t.test('no other bind than those it had', async (t) => {
  for (const engine of engineNames) {
    const call = asked(engine, 'rich');
    const cases = {
      'the whole machine': '/:/host',
      'the socket of the engine': '/var/run/docker.sock:/var/run/docker.sock',
      'one that was read-only, writable': '/etc:/host/etc',
      'one with other options': '/etc:/host/etc:ro,rshared',
      'one at another place': '/etc:/etc:ro',
      'another one at the same place': '/root:/host/etc:ro',
      'a volume at another place': 'lab-data:/etc',
      'another volume at the same place': 'other:/data',
      'a new volume': 'other:/other',
      'a volume that nobody named': '/new',
      'a path that looks like a volume of it': '/lab-data:/data',
      nothing: '',
      'no text': 7,
      'no text but a list': ['/:/host'],
      'an object': { toString: '/:/host' },
      'a null': null,
    };
    for (const [name, bind] of Object.entries(cases)) {
      isRefused(t, tampered(call, { Binds: [...bindsOf(call), bind] }), 'HostConfig.Binds', `${engine}: ${name}`);
      isRefused(t, tampered(call, { Binds: [bind] }), 'HostConfig.Binds', `${engine}: ${name} alone`);
    }
    for (const binds of ['/:/host', { 0: '/:/host' }, 7, true]) {
      isRefused(t, tampered(call, { Binds: binds }), 'HostConfig.Binds', JSON.stringify(binds));
    }
    t.doesNotThrow(() => check(tampered(call, { Binds: null })), 'fewer is not more');
  }
});

t.test('no other mount than those it had', async (t) => {
  for (const engine of engineNames) {
    const call = asked(engine, 'rich');
    const anonymous = documentOf(mountsOf(call).find(({ Target: target }) => target === '/anonymous'));
    const [bind, cache] = ['/host/usr', '/cache/'].map((place) =>
      documentOf(mountsOf(call).find(({ Target: target }) => target === place)),
    );
    const driver = { Name: 'local', Options: { type: 'none', o: 'bind', device: '/' } };
    const cases: Record<string, unknown> = {
      'the whole machine': { Type: 'bind', Source: '/', Target: '/host' },
      'one that was read-only, writable': { ...bind, ReadOnly: false },
      'one that was read-only, with nothing said': { Type: 'bind', Source: '/usr', Target: '/host/usr' },
      'one with another propagation': { ...bind, BindOptions: { Propagation: 'rshared' } },
      'one at another place': { ...bind, Target: '/usr' },
      'another one at the same place': { ...bind, Source: '/etc' },
      'a volume at another place': { ...anonymous, Target: '/etc' },
      'another volume at the same place': { ...anonymous, Source: 'other' },
      'a new volume': { Type: 'volume', Source: 'other', Target: '/other' },
      'a new volume without a name': { Type: 'volume', Target: '/other' },
      'a volume of another driver': { ...anonymous, VolumeOptions: { NoCopy: true, DriverConfig: driver } },
      'its own volume with a driver': { ...cache, VolumeOptions: { NoCopy: true, DriverConfig: driver } },
      'a folder in the place of a volume': { ...anonymous, Type: 'bind' },
      'an image': { Type: 'image', Source: 'other', Target: '/other' },
      'more memory': { Type: 'tmpfs', Target: '/tmp', TmpfsOptions: { SizeBytes: 1e12 } },
      'a pipe': { Type: 'npipe', Source: '/anonymous', Target: '/anonymous' },
      'no object': '/:/host',
      'a list': ['/:/host'],
      'a null': null,
      'an empty one': {},
    };
    for (const [name, mount] of Object.entries(cases)) {
      const Mounts = [...mountsOf(call), mount];
      isRefused(t, tampered(call, { Mounts }), 'HostConfig.Mounts', `${engine}: ${name}`);
    }
    for (const Mounts of ['x', 7, {}, { 0: { Type: 'bind', Source: '/', Target: '/host' } }]) {
      isRefused(t, tampered(call, { Mounts }), 'HostConfig.Mounts', JSON.stringify(Mounts));
    }
    t.doesNotThrow(() => check(tampered(call, { Mounts: [] })), 'fewer is not more');
  }
});

t.test('a volume that was read-only is not made writable', async (t) => {
  for (const engine of engineNames) {
    const call = asked(engine, 'volumes-from');
    const [mount] = mountsOf(call);
    const { ReadOnly: _left, ...writable } = documentOf(mount);
    isRefused(t, tampered(call, { Mounts: [writable] }), 'HostConfig.Mounts', `${engine}: as a mount`);
    const bind = `${mount?.Source}:/store`;
    isRefused(t, tampered(call, { Binds: [bind] }), 'HostConfig.Binds', `${engine}: as a bind`);
    t.doesNotThrow(() => check(tampered(call, { Binds: [`${bind}:ro`] })));
  }
});

t.test('no other volume than those it had', async (t) => {
  const call = asked('docker-28', 'rich');
  const volumes = (Volumes: unknown): Asked => ({ ...call, body: { ...call.body, Volumes } });
  isRefused(t, volumes({ '/anonymous': {}, '/etc': {} }), 'Volumes');
  isRefused(t, volumes({ '/anonymous/': {} }), 'Volumes');
  isRefused(t, volumes(JSON.parse('{"__proto__":{}}')), 'Volumes');
  isRefused(t, volumes({ constructor: {} }), 'Volumes');
  t.doesNotThrow(() => check(volumes({ '/anonymous': {} })));
  t.doesNotThrow(() => check(volumes({})));
});

t.test('of networks a call says what a rebuild says', async (t) => {
  const call = asked('docker-28', 'rich');
  const networking = (NetworkingConfig: unknown): Asked => ({ ...call, body: { ...call.body, NetworkingConfig } });
  const endpoints = (endpoint: unknown) => networking({ EndpointsConfig: { shop: endpoint } });
  t.doesNotThrow(() => check(endpoints({ Aliases: ['db'], IPAMConfig: {}, MacAddress: '02:42:0a:00:00:07' })));
  t.doesNotThrow(() => check(networking(null)));
  for (const [asked, field] of [
    [networking('x'), 'NetworkingConfig'],
    [networking({ EndpointsConfig: {}, Other: {} }), 'NetworkingConfig.Other'],
    [networking({ endpointsconfig: {} }), 'NetworkingConfig.endpointsconfig'],
    [networking({ EndpointsConfig: [{}] }), 'NetworkingConfig.EndpointsConfig'],
    [endpoints('x'), 'NetworkingConfig.EndpointsConfig.shop'],
    [endpoints({ aliases: ['db'] }), 'NetworkingConfig.EndpointsConfig.shop.aliases'],
    [endpoints({ NetworkID: 'other' }), 'NetworkingConfig.EndpointsConfig.shop.NetworkID'],
  ] as const) {
    const message = new RegExp(`^${field.replaceAll('.', '\\.')}: (is nothing|asks for more)`);
    t.throws(() => check(asked), { code: 'forbidden', message }, field);
  }
});

t.test('keys that nobody knows here are refused, and so are names that objects have a meaning for', async (t) => {
  for (const engine of engineNames) {
    const call = asked(engine, 'rich');
    for (const field of ['Future', 'StorageOpt', 'Annotations', 'constructor', 'toString', 'hasOwnProperty', '']) {
      for (const value of [true, {}, [], 'x']) {
        isRefused(t, tampered(call, { [field]: value }), `HostConfig.${field}`, `${field}: ${JSON.stringify(value)}`);
      }
    }
    for (const value of ['{"Privileged":true}', '{}', 'true', 'null']) {
      const host: Document = JSON.parse(`{"__proto__":${value}}`);
      isRefused(t, tampered(call, host), 'HostConfig.__proto__', value);
    }
  }
});

t.test('a key in other letters is one too: engines read both as the same', async (t) => {
  const call = asked('docker-28', 'rich');
  for (const field of ['privileged', 'PRIVILEGED', 'capadd', 'binds', 'networkmode']) {
    isRefused(t, tampered(call, { [field]: true }), `HostConfig.${field}`);
  }
  const host = { ...call.host, Privileged: true, Binds: ['/:/host'] };
  for (const field of ['hostconfig', 'HOSTCONFIG', 'hostConfig', 'Hostconfig']) {
    t.throws(() => check({ ...call, body: { ...call.body, [field]: host } }), { message: /^hostconfig/i }, field);
  }
  isRefused(t, { ...call, body: { ...call.body, volumes: { '/etc': {} } } }, 'volumes');
  const mounts = mountsOf(call);
  const twice = { ...mounts.find(({ Target: target }) => target === '/anonymous'), type: 'bind', source: '/' };
  isRefused(t, tampered(call, { Mounts: [twice] }), 'HostConfig.Mounts');
});

t.test('a call without a host config is none', async (t) => {
  const call = asked('docker-20.10', 'rich');
  for (const HostConfig of [undefined, null, [], 'x', {}]) {
    const message = /HostConfig/;
    t.throws(() => check({ ...call, body: { ...call.body, HostConfig } }), { message }, JSON.stringify(HostConfig));
    const flat = { ...call.body, HostConfig, Privileged: true };
    t.throws(
      () => check({ ...call, body: flat }),
      { message: /HostConfig|rivileged/ },
      'older engines read it flat then',
    );
  }
});

t.test('a container that nothing is known of is measured as one without rights', async (t) => {
  const { body } = asked('docker-28', 'rich');
  for (const basis of [
    {},
    { HostConfig: null, Config: null, Mounts: null },
    { HostConfig: 'x', Config: 7, Mounts: {} },
  ]) {
    t.throws(() => checkCreate(body, { basis, allowsPrivileged: true }), { code: 'forbidden' });
  }
});

t.test('a link may lead to another container by its id, under the alias that it had', async (t) => {
  const call = asked('docker-28', 'linked');
  t.strictSame(call.host.Links, ['lab-store:store']);
  const linkedTo = (...links: unknown[]) => tampered(call, { Links: links });
  t.doesNotThrow(() => check(linkedTo(`${'f'.repeat(64)}:store`)));
  const others = [
    'other:store',
    `${'f'.repeat(64)}:other`,
    `${'f'.repeat(63)}:store`,
    `${'f'.repeat(64)}:x:store`,
    7,
    null,
  ];
  for (const other of others) isRefused(t, linkedTo(other), 'HostConfig.Links', String(other));
  isRefused(t, linkedTo(), 'HostConfig.Links', 'none');
  isRefused(t, linkedTo('lab-store:store', 'lab-store:store'), 'HostConfig.Links', 'one more');
});

t.test('volumes may be taken from another container by its id, where they were by an id', async (t) => {
  const id = (letter: string) => letter.repeat(64);
  const had = [`${id('a')}:ro`, 'store'];
  const call = asked('docker-28', 'plain');
  const basis = { ...call.basis, HostConfig: { ...documentOf(call.basis.HostConfig), VolumesFrom: had } };
  const taking = (VolumesFrom: unknown) => ({ ...tampered(call, { VolumesFrom }), basis });
  t.doesNotThrow(() => check(taking(had)));
  t.doesNotThrow(() => check(taking([`${id('b')}:ro`, 'store'])));
  const others = [
    [`${id('b')}`, 'store'],
    [`${id('b')}:rw`, 'store'],
    [`${id('a')}:ro`, id('b')],
    ['other:ro', 'store'],
    [`${id('a')}:ro`],
    [...had, 'store'],
    null,
    'store',
  ];
  for (const other of others) isRefused(t, taking(other), 'HostConfig.VolumesFrom', JSON.stringify(other));
});

t.test('no field is taken for another one by letters that only look alike', async (t) => {
  const call = asked('docker-28', 'plain');
  for (const field of ['Ho\u017ftConfig', 'hostconfig', 'Networ\u212AingConfig', 'Host Config', '']) {
    t.throws(() => check({ ...call, body: { ...call.body, [field]: {} } }), { code: 'forbidden' }, field);
  }
});
