import t from 'tap';
import type { Document } from '../../src/services/own-settings.ts';
import { type Change, changesBetween, type NextImage, tagOf, warningsOf } from '../../src/services/rebuild-plan.ts';
import { type RebuildRules, refusalOf } from '../../src/services/rebuild-refusal.ts';
import type { Survey, Surveyed } from '../../src/services/rebuild-survey.ts';
import { engineNames, kinds, recordedInput } from '../fixtures/recordings.ts';

const engineSocket = { kind: 'unix', path: '/run/engine.sock', text: 'unix:///run/engine.sock' } as const;
const rules: RebuildRules = {
  own: { id: 'f'.repeat(64), isCertain: true },
  engine: engineSocket,
  allowsPrivileged: false,
};
const imageId = `sha256:${'4663237a8d11'.padEnd(64, '0')}`;
const nextId = `sha256:${'e'.repeat(64)}`;

type Parts = { id?: string; name?: string; config?: Document; host?: Document; state?: Document; image?: Document };

/** A running container of lab/web:1, as far as a plan looks at it. */
const surveyed = ({ id = 'a'.repeat(64), name = 'web', config, host, state, image = {} }: Parts = {}): Surveyed => ({
  container: {
    Id: id,
    Name: `/${name}`,
    Image: imageId,
    State: { Status: 'running', Running: true, ...state },
    Config: { Image: 'lab/web:1', ...config },
    HostConfig: { NetworkMode: 'bridge', ...host },
    Mounts: [],
    NetworkSettings: { Networks: { bridge: {} } },
  },
  image: { Id: imageId, Architecture: 'amd64', Os: 'linux', Config: image },
  borrowed: [],
});

const survey = (parts: Parts = {}, others: Partial<Survey> = {}): Survey => ({
  ...surveyed(parts),
  dependants: [],
  engine: { apiVersion: '1.51', architecture: 'amd64', hostName: 'machine' },
  ...others,
});

const next = (Config: Document = {}): NextImage => ({ text: 'lab/web:1', image: { Id: nextId, Config } });

const refusedAs = (given: Survey, given2: Partial<RebuildRules> = {}, pulls = false) =>
  refusalOf(given, { ...rules, ...given2 }, pulls);

t.test('a container like any other is rebuilt', async (t) => {
  for (const pulls of [true, false]) {
    t.equal(refusedAs(survey(), {}, pulls), null);
    t.equal(refusedAs(survey(), { own: null }, pulls), null);
    for (const Status of ['running', 'created', 'exited', 'paused', 'restarting']) {
      t.equal(refusedAs(survey({ state: { Status } }), {}, pulls), null, Status);
    }
  }
});

t.test('what can not be replaced is refused in words', async (t) => {
  const task = { Labels: { 'com.docker.swarm.task.id': 'abc' } };
  const cases = [
    [{ id: rules.own?.id ?? '' }, 'conflict', /^web is Fairlead itself/],
    [{ config: task }, 'conflict', /^web is a task of a Swarm service/],
    [{ host: { Privileged: true } }, 'disabled', /^web is privileged: .* ENABLE names "privileged"/],
    [{ state: { Status: 'removing' } }, 'conflict', /^web is being removed/],
    [{ state: { Status: 'dead', Dead: true } }, 'conflict', /^web is dead/],
  ] as const;
  for (const [parts, code, reason] of cases) {
    for (const pulls of [true, false]) {
      t.match(refusedAs(survey(parts), {}, pulls), { code, reason, offersSameImage: false }, `${reason}`);
    }
  }
});

t.test('where it is not certain which container this is, those that share its network count too', async (t) => {
  const vpn = 'e'.repeat(64);
  const sharing = survey({ host: { NetworkMode: `container:${vpn}` } });
  t.match(refusedAs(sharing, { own: { id: vpn, isCertain: false } }), { reason: /is Fairlead itself/ });
  t.equal(refusedAs(sharing, { own: { id: vpn, isCertain: true } }), null, 'by its control group it is another one');
});

t.test('whatever stands between here and the engine is left alone', async (t) => {
  const tcp = (host: string, port = 2375): Partial<RebuildRules> => ({
    engine: { kind: 'tcp', host, port, tls: undefined, text: `tcp://${host}:${port}` },
  });
  const proxy = survey({ name: 'lab-proxy-1', config: { Labels: { 'com.docker.compose.service': 'proxy' } } });
  proxy.container.NetworkSettings = {
    Networks: { back: { Aliases: ['docker-api'], IPAddress: '172.30.0.7', GlobalIPv6Address: 'fd00::7' } },
    Ports: { '2375/tcp': [{ HostIp: '127.0.0.1', HostPort: '2376' }], '80/tcp': null },
  };
  for (const host of ['lab-proxy-1', 'proxy', 'docker-api', '172.30.0.7', 'fd00::7'])
    t.match(refusedAs(proxy, tcp(host)), { code: 'conflict', reason: /reaches the engine through lab-proxy-1/ }, host);
  for (const host of ['localhost', '127.0.0.1', '::1', 'host.docker.internal'])
    t.match(refusedAs(proxy, tcp(host, 2376)), { reason: /through lab-proxy-1/ }, `${host}, by its published port`);
  t.equal(refusedAs(proxy, tcp('localhost', 2375)), null, 'another port');
  t.equal(refusedAs(proxy, tcp('engine.example', 2376)), null, 'another machine');
  t.equal(refusedAs(proxy), null, 'a socket');
});

t.test('what may take for ever to stop is left alone while it runs', async (t) => {
  const endless = { config: { StopTimeout: -1 } };
  t.match(refusedAs(survey(endless)), { code: 'conflict', reason: /^web may take for ever to stop.*: stop it first/ });
  const long = (StopTimeout: number) => refusedAs(survey({ config: { StopTimeout } }));
  t.equal(long(3_600), null);
  for (const seconds of [3_601, 2 ** 31])
    t.match(long(seconds), { code: 'conflict', reason: new RegExp(`^web may take ${seconds} s to stop`) });
  t.match(refusedAs(survey({}, { dependants: [surveyed({ name: 'side', ...endless })] })), {
    reason: /^side needs it/,
  });
  t.equal(refusedAs(survey({ ...endless, state: { Status: 'exited', Running: false } })), null);
});

t.test('what could not be started again is left alone', async (t) => {
  const side = surveyed({ name: 'side', host: { NetworkMode: `container:${'a'.repeat(64)}` } });
  const stopped = { state: { Status: 'exited', Running: false } };
  const reason = /^side runs on what web left behind when it ended.*: start web or stop side first\.$/;
  t.match(refusedAs(survey(stopped, { dependants: [side] })), { code: 'conflict', reason });
  t.equal(refusedAs(survey({}, { dependants: [side] })), null);
  const linked = surveyed({ name: 'side', host: { Links: ['/web:/side/www'] } });
  t.match(refusedAs(survey(stopped, { dependants: [linked] })), { reason }, 'linked to it');
  const still = surveyed({ name: 'side', host: { NetworkMode: `container:${'a'.repeat(64)}` }, ...stopped });
  t.equal(refusedAs(survey(stopped, { dependants: [still] })), null, 'all of them are stopped');
});

t.test('a privileged container is rebuilt where that is allowed', async (t) => {
  const privileged = survey({ host: { Privileged: true } });
  t.equal(refusedAs(privileged, { allowsPrivileged: true }), null);
  t.match(refusedAs(privileged, { allowsPrivileged: false }), { code: 'disabled' });
});

t.test('a container that nothing can be pulled for is offered its own image', async (t) => {
  const digest = `sha256:${'b'.repeat(64)}`;
  const cases = [
    [
      `lab/web@${digest}`,
      /^It is pinned to a digest, which never changes\. It can be made anew on the image it has\.$/,
    ],
    [`lab/web:1@${digest}`, /^It is pinned to a digest/],
    [imageId, /^Its image has no tag to pull\. It can be made anew on the image it has\.$/],
    [imageId.slice(7, 19), /^Its image has no tag to pull/],
    ['', /^Its image has no tag to pull/],
    ['Not A Reference', /^Its image has no tag to pull/],
  ] as const;
  for (const [Image, reason] of cases) {
    const given = survey({ config: { Image } });
    t.match(refusedAs(given, {}, true), { code: 'conflict', reason, offersSameImage: true }, Image);
    t.equal(refusedAs(given, {}, false), null, 'on the image it has it is made anew');
  }
  t.match(refusedAs(survey({ config: { Image: imageId }, host: { Privileged: true } }), {}, true), {
    code: 'disabled',
    offersSameImage: false,
  });
});

t.test('what shares its namespaces has to be able to follow', async (t) => {
  const withDependant = (parts: Parts) => survey({}, { dependants: [surveyed({ name: 'fine' }), surveyed(parts)] });
  const cases = [
    [{ id: rules.own?.id ?? '' }, 'conflict', /itself/],
    [{ host: { Privileged: true } }, 'disabled', /privileged/],
    [{ state: { Status: 'dead' } }, 'conflict', /is dead/],
    [{ state: { Status: 'removing' } }, 'conflict', /is being removed/],
    [{ config: { Labels: { 'com.docker.swarm.task.id': 'x' } } }, 'conflict', /Swarm/],
  ] as const;
  for (const [parts, code, words] of cases) {
    const refusal = refusedAs(withDependant({ ...parts, name: 'side' }));
    t.match(refusal, {
      code,
      reason: /^side needs it and can't follow\. side is /,
      offersSameImage: false,
    });
    t.match(refusal?.reason, words);
  }
  const pinned = { name: 'side', config: { Image: imageId } };
  t.equal(
    refusedAs(withDependant(pinned), {}, true),
    null,
    'it stays on its image, so nothing has to be pulled for it',
  );
  t.match(refusedAs(survey({ state: { Status: 'dead' } }, { dependants: [surveyed({ state: { Status: 'dead' } })] })), {
    reason: /^web is dead/,
  });
});

t.test('a tag is what can be pulled, and neither an id nor a digest', async (t) => {
  const tagOn = (Image: unknown) => tagOf(surveyed({ config: { Image } }));
  t.match(tagOn('lab/web:1'), { text: 'lab/web:1', registry: 'docker.io' });
  t.match(tagOn('nginx'), { text: 'nginx:latest' });
  t.match(tagOn('registry.example:5000/web'), { text: 'registry.example:5000/web:latest' });
  t.match(tagOn('cafecafecafe'), { text: 'cafecafecafe:latest' }, 'a name that only looks like an id');
  for (const image of [imageId, imageId.slice(7), imageId.slice(7, 19), imageId.slice(0, 19)]) {
    t.equal(tagOn(image), undefined, image);
  }
  for (const image of ['', ' ', null, undefined, 7, {}, 'A B', `lab/web@sha256:${'b'.repeat(64)}`, '<none>']) {
    t.equal(tagOn(image), undefined, JSON.stringify(image));
  }
});

t.test('a short id is an id too: it is never looked for in a registry', async (t) => {
  const given = surveyed({ config: { Image: imageId.slice(7, 15) } });
  t.equal(tagOf({ ...given, image: { ...given.image, RepoTags: ['lab/web:1'] } }), undefined);
});

t.test('another image changes what was not overridden, and nothing else', async (t) => {
  const image = {
    Env: ['PATH=/bin', 'VERSION=1', 'OLD=x', 'MODE=image'],
    Entrypoint: ['/entry.sh'],
    Cmd: ['serve'],
    User: 'web',
    WorkingDir: '/srv',
    StopSignal: 'SIGTERM',
    Labels: { version: '1', old: 'x', team: 'image' },
    ExposedPorts: { '80/tcp': {}, '81/tcp': {} },
    Volumes: { '/data': {}, '/old': {} },
    Healthcheck: { Test: ['CMD', 'check'], Interval: 30e9, Retries: 3 },
  };
  const config = {
    ...image,
    Env: ['MODE=own', 'PATH=/bin', 'VERSION=1', 'OLD=x'],
    Labels: { ...image.Labels, team: 'own' },
  };
  const later = {
    Env: ['PATH=/bin', 'VERSION=2', 'NEW=y', 'MODE=later'],
    Entrypoint: ['/entry.sh', '--new'],
    Cmd: ['serve', '--all'],
    User: 'nobody',
    WorkingDir: '/app',
    StopSignal: 'SIGQUIT',
    Labels: { version: '2', new: 'y', team: 'later' },
    ExposedPorts: { '80/tcp': {}, '8080/tcp': {} },
    Volumes: { '/data': {}, '/new': {} },
    Healthcheck: { Test: ['CMD', 'check', '-v'], Interval: 90e9, Timeout: 5e9 },
  };
  const expected: Change[] = [
    { field: 'image', name: '', before: '4663237a8d11', after: 'eeeeeeeeeeee' },
    { field: 'variable', name: 'NEW', before: null, after: 'y' },
    { field: 'variable', name: 'OLD', before: 'x', after: null },
    { field: 'variable', name: 'VERSION', before: '1', after: '2' },
    { field: 'entrypoint', name: '', before: '/entry.sh', after: '/entry.sh --new' },
    { field: 'command', name: '', before: 'serve', after: 'serve --all' },
    { field: 'user', name: '', before: 'web', after: 'nobody' },
    { field: 'working directory', name: '', before: '/srv', after: '/app' },
    { field: 'stop signal', name: '', before: 'SIGTERM', after: 'SIGQUIT' },
    { field: 'health check', name: 'Test', before: 'CMD check', after: 'CMD check -v' },
    { field: 'health check', name: 'Interval', before: '30 s', after: '90 s' },
    { field: 'health check', name: 'Timeout', before: null, after: '5 s' },
    { field: 'health check', name: 'Retries', before: '3', after: null },
    { field: 'label', name: 'new', before: null, after: 'y' },
    { field: 'label', name: 'old', before: 'x', after: null },
    { field: 'label', name: 'version', before: '1', after: '2' },
    { field: 'exposed port', name: '', before: null, after: '8080/tcp' },
    { field: 'exposed port', name: '', before: '81/tcp', after: null },
    { field: 'volume', name: '', before: null, after: '/new' },
    { field: 'volume', name: '', before: '/old', after: null },
  ];
  t.strictSame(changesBetween(survey({ config, image }), next(later)), expected);
});

t.test('what a container set itself is no change', async (t) => {
  const own = {
    Env: ['A=own'],
    Entrypoint: ['/own.sh'],
    Cmd: ['own'],
    User: 'own',
    WorkingDir: '/own',
    StopSignal: 'SIGINT',
    Labels: { a: 'own' },
    ExposedPorts: { '80/tcp': {} },
    Volumes: { '/own': {} },
    Healthcheck: {
      Test: ['CMD', 'own'],
      Interval: 9e9,
      Timeout: 9e9,
      StartPeriod: 9e9,
      StartInterval: 9e9,
      Retries: 9,
    },
  };
  const other = {
    Env: ['A=image'],
    Entrypoint: ['/image.sh'],
    Cmd: ['image'],
    User: 'image',
    WorkingDir: '/image',
    StopSignal: 'SIGTERM',
    Labels: { a: 'image' },
    ExposedPorts: { '80/tcp': {} },
    Volumes: { '/own': {} },
    Healthcheck: { Test: ['CMD', 'image'], Interval: 1e9, Retries: 1 },
  };
  const image = [{ field: 'image', name: '', before: '4663237a8d11', after: 'eeeeeeeeeeee' }];
  t.strictSame(changesBetween(survey({ config: own }), next(other)), image);
  t.strictSame(changesBetween(survey({ config: { ...own, Healthcheck: { Test: ['NONE'] } } }), next({})), image);
});

t.test('an image that says the same changes nothing but itself', async (t) => {
  for (const engine of engineNames) {
    for (const kind of kinds) {
      const { container, image, engine: traits } = recordedInput(engine, kind);
      const given = { container, image, dependants: [], borrowed: [], engine: traits };
      const same = { text: 'fairlead-test/busybox', image };
      t.strictSame(changesBetween(given, same), [], `${engine}: ${kind}, on the very same`);
      const fields = changesBetween(given, { ...same, image: { ...image, Id: nextId } }).map(({ field }) => field);
      t.strictSame(fields.slice(0, 1), ['image'], `${kind}, on another`);
      t.ok(
        fields.slice(1).every((field) => field === 'label'),
        'where Compose notes the image, that changes as well',
      );
    }
  }
});

t.test('health checks that another image brings, turns off or loses are changes', async (t) => {
  const checksOn = (config: Document, image: Document, later: Document) =>
    changesBetween(survey({ config, image }), next(later)).filter(({ field }) => field === 'health check');
  const check = { Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 1.5e9 } };
  t.strictSame(checksOn({}, {}, check), [
    { field: 'health check', name: 'Test', before: null, after: 'CMD-SHELL true' },
    { field: 'health check', name: 'Interval', before: null, after: '1.5 s' },
  ]);
  t.match(checksOn(check, check, {}), [
    { name: 'Test', before: 'CMD-SHELL true', after: null },
    { name: 'Interval', before: '1.5 s', after: null },
  ]);
  t.match(checksOn(check, check, { Healthcheck: { Test: ['NONE'] } })[0], { name: 'Test', after: 'NONE' });
  t.strictSame(checksOn({ Healthcheck: { Interval: 0 } }, {}, {}), [], 'zero is none');
});

t.test('changes of hostile names are told like others', async (t) => {
  const Labels: Document = JSON.parse('{"__proto__":"a","constructor":"b"}');
  const changes = changesBetween(survey(), next({ Labels, Env: ['__proto__=a', 'toString=b', 'NONE', '=x'] }));
  const told = (field: string) => changes.filter((change) => change.field === field);
  t.strictSame(told('label'), [
    { field: 'label', name: '__proto__', before: null, after: 'a' },
    { field: 'label', name: 'constructor', before: null, after: 'b' },
  ]);
  t.match(told('variable'), [{ name: '' }, { name: 'NONE' }, { name: '__proto__' }, { name: 'toString' }]);
  t.doesNotThrow(() => changesBetween(survey({ config: { Labels: 7, Env: {}, Healthcheck: 'x' } }), next({ Env: 7 })));
});

const always = 'What it wrote outside of its volumes is not taken along.';

t.test('a stopped container without anything has one thing to know', async (t) => {
  const stopped = survey({ state: { Status: 'exited', Running: false } });
  t.strictSame(warningsOf(stopped, next(), 60), [always]);
});

t.test('a running one is down for a while', async (t) => {
  const told = (config: Document) => warningsOf(survey({ config }), next(), 60)[0];
  t.equal(told({}), 'It is down from its stop, which may take 10 s, until the new one has started.');
  t.match(told({ StopTimeout: 3 }), /may take 3 s/);
  t.match(told({ StopTimeout: 0 }), /may take 0 s/);
  t.match(told({ StopTimeout: null }), /may take 10 s/);
});

t.test('a health check is waited for, where there will be one', async (t) => {
  const isWaited = (config: Document, later: Document, state: Document = {}) =>
    warningsOf(survey({ config, state }), next(later), 45).includes('Its health check is waited for, 45 s at most.');
  const check = { Healthcheck: { Test: ['CMD', 'check'] } };
  t.ok(isWaited(check, {}));
  t.ok(isWaited({}, check), 'one that the new image brings');
  t.notOk(isWaited({}, {}));
  t.notOk(isWaited({ Healthcheck: { Test: ['NONE'] } }, check), 'turned off');
  t.notOk(isWaited({}, { Healthcheck: { Test: ['NONE'] } }));
  t.notOk(isWaited(check, {}, { Running: false }), 'one that is not started is not waited for');
  const imageCheck = survey({ config: check, image: check });
  t.ok(
    warningsOf(imageCheck, undefined, 45).some((warning) => /health check/.test(warning)),
    'on its own image',
  );
  t.notOk(
    warningsOf(imageCheck, next(), 45).some((warning) => /health check/.test(warning)),
    'which the new one has not',
  );
});

t.test('anonymous volumes, --rm, picked ports, links and dependants are told', async (t) => {
  const told = (given: Survey, words: RegExp) => warningsOf(given, next(), 60).filter((warning) => words.test(warning));
  const { container, ...rest } = survey();
  const Mounts = [
    { Type: 'volume', Name: 'x', Destination: '/data' },
    { Type: 'volume', Name: 'y', Destination: '/more' },
  ];
  t.match(told({ ...rest, container: { ...container, Mounts } }, /anonymous/), [
    /along with their data: \/data, \/more\.$/,
  ]);
  t.equal(told(survey(), /anonymous/).length, 0);
  t.equal(told(survey({ host: { AutoRemove: true } }), /started with --rm/).length, 1);
  const dependants = [surveyed({ name: 'one' }), surveyed({ name: 'two' })];
  t.match(told(survey({}, { dependants }), /made anew after it/), [/on the images they have: one, two\.$/]);
  t.match(told({ ...survey(), image: {} }, /removed by force/), [/kept as its own settings/]);
});

t.test('ports that the engine picked are picked anew', async (t) => {
  const isTold = (host: Document) =>
    warningsOf(survey({ host }), next(), 60).includes('Ports that the engine picked are picked anew.');
  t.ok(isTold({ PublishAllPorts: true }));
  t.ok(isTold({ PortBindings: { '80/tcp': [{ HostPort: '' }] } }));
  t.ok(isTold({ PortBindings: { '80/tcp': [{ HostPort: '0' }] } }));
  t.ok(isTold({ PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1' }] } }));
  t.ok(isTold({ PortBindings: { '80/tcp': [{ HostPort: '80' }], '81/tcp': [{ HostPort: '' }] } }), 'one of several');
  t.notOk(isTold({ PortBindings: { '80/tcp': [{ HostPort: '8080' }] } }), 'a fixed one');
  t.notOk(isTold({}));
  for (const PortBindings of [null, {}, { '80/tcp': [] }, { '80/tcp': null }]) {
    t.notOk(isTold({ PortBindings }), `${JSON.stringify(PortBindings)} publishes none`);
  }
});

t.test('what recorded containers have to know is told of each', async (t) => {
  for (const engine of engineNames) {
    const told = (kind: (typeof kinds)[number]) => {
      const { container, image, engine: traits } = recordedInput(engine, kind);
      return warningsOf({ container, image, dependants: [], borrowed: [], engine: traits }, { text: '', image }, 60);
    };
    t.match(told('plain'), [/may take 10 s/, always], engine);
    t.equal(told('plain').length, 2);
    const rich = told('rich').join('\n');
    for (const words of [/may take 3 s/, /\/anonymous/, /\/mounted/, /health check is waited for/, /picked anew/]) {
      t.match(rich, words, engine);
    }
    t.match(told('auto-removed').join('\n'), /--rm/);
    t.match(told('linked').join('\n'), /picked anew/);
    t.equal(told('host-network').length, 2);
  }
});
