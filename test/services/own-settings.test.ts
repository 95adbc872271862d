import t from 'tap';
import { type Document, documentOf, ownSettings, withDefaults } from '../../src/services/own-settings.ts';
import { engineNames, kinds, recordedInput } from '../fixtures/recordings.ts';

const image: Document = {
  User: 'web',
  WorkingDir: '/srv',
  StopSignal: 'SIGQUIT',
  Shell: ['/bin/sh', '-c'],
  Env: ['PATH=/bin', 'LANG=C', 'VERSION=1'],
  Entrypoint: ['/entry.sh'],
  Cmd: ['serve', '--all'],
  Labels: { version: '1', vendor: 'lab' },
  ExposedPorts: { '80/tcp': {} },
  Volumes: { '/data': {} },
  Healthcheck: { Test: ['CMD', 'check'], Interval: 30e9, Timeout: 5e9, Retries: 3 },
  OnBuild: ['RUN true'],
};

/** The image after its next release: every default is another one. */
const later: Document = {
  User: 'web2',
  WorkingDir: '/srv2',
  StopSignal: 'SIGHUP',
  Shell: ['/bin/bash', '-c'],
  Env: ['PATH=/bin:/sbin', 'VERSION=2', 'NEW=1'],
  Entrypoint: ['/entry2.sh'],
  Cmd: ['serve2'],
  Labels: { version: '2', licence: 'MIT' },
  ExposedPorts: { '8080/tcp': {} },
  Volumes: { '/data2': {} },
  Healthcheck: { Test: ['CMD', 'check2'], Interval: 60e9, StartPeriod: 1e9 },
};

/** The config that an engine makes of what somebody set; the image's fields are spelt out by the caller. */
const configOf = (changes: Document = {}): Document => {
  const { OnBuild: _ofTheImage, ...defaults } = image;
  return { Hostname: 'web', Tty: false, OpenStdin: true, StopTimeout: 3, ...defaults, OnBuild: null, ...changes };
};

const isNothing = (value: unknown) =>
  value === undefined ||
  value === null ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);

/** Without what is set to nothing, and without the triggers of a build: what the engine tells of a container. */
function settled(config: Document): Document {
  const { OnBuild: _never, ...rest } = config;
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => !isNothing(value)));
}

const again = (config: Document, from: Document, to = from) => settled(withDefaults(ownSettings(config, from), to));

/** All combinations of one choice each. */
const product = (choices: readonly (readonly Document[])[]): Document[] =>
  choices.reduce<Document[]>((made, next) => made.flatMap((one) => next.map((more) => ({ ...one, ...more }))), [{}]);

/** A config in an order of its own, for what has none. */
const sorted = (config: Document): unknown =>
  Object.entries(config)
    .map(([name, value]) => [name, name === 'Env' && Array.isArray(value) ? value.toSorted() : sortedKeys(value)])
    .toSorted(([a], [b]) => String(a).localeCompare(String(b)));

const sortedKeys = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.entries(value).toSorted(([a], [b]) => a.localeCompare(b))
    : value;

t.test('on its own image a container stays as it is', async (t) => {
  const health = documentOf(image.Healthcheck);
  const configs = product([
    [{}, { Env: ['MODE=lab', 'PATH=/opt', 'LANG=C', 'VERSION=1'] }, { Env: ['LANG', 'PATH=/bin', 'VERSION=1'] }],
    [
      {},
      { Cmd: ['other'] },
      { Entrypoint: ['/own.sh'], Cmd: ['own'] },
      { Entrypoint: ['/own.sh'], Cmd: null },
      { Entrypoint: null, Cmd: ['sleep', '9'] },
      { Entrypoint: [], Cmd: ['sleep', '9'] },
      { Entrypoint: ['/own.sh'], Cmd: ['serve', '--all'] },
    ],
    [{}, { Labels: { version: '1', vendor: 'own', team: 'a' } }],
    [{}, { User: 'root' }, { User: '0:0', WorkingDir: '/' }],
    [
      {},
      { Healthcheck: { ...health, Test: ['NONE'] } },
      { Healthcheck: { ...health, Interval: 9e9, StartInterval: 1e9 } },
    ],
    [{}, { ExposedPorts: { '80/tcp': {}, '443/tcp': {} }, Volumes: { '/data': {}, '/more': {} } }],
    [{}, { StopSignal: 'SIGINT', Shell: ['/bin/ash'] }],
    [{}, { Hostname: 'own', StopTimeout: null, Tty: true, Unknown: { kept: [1] } }],
  ]).map(configOf);
  const changed = configs.filter(
    (config) => JSON.stringify(sorted(again(config, image))) !== JSON.stringify(sorted(settled(config))),
  );
  t.ok(configs.length > 1_000);
  t.strictSame(changed.slice(0, 3), []);
});

for (const engine of engineNames) {
  t.test(`${engine}: the config of each recorded container stays as it is`, async (t) => {
    for (const kind of kinds) {
      const { container, image } = recordedInput(engine, kind);
      const config = documentOf(container.Config);
      t.strictSame(sorted(again(config, documentOf(image.Config))), sorted(settled(config)), kind);
    }
  });
}

t.test('what came from the image alone follows the image', async (t) => {
  const { Hostname, Tty, OpenStdin, StopTimeout, ...defaults } = again(configOf(), image, later);
  t.strictSame(defaults, later);
  t.strictSame(
    { Hostname, Tty, OpenStdin, StopTimeout },
    { Hostname: 'web', Tty: false, OpenStdin: true, StopTimeout: 3 },
  );
});

t.test('what somebody set stays, whatever the image says', async (t) => {
  const own = {
    User: 'root',
    WorkingDir: '/own',
    StopSignal: 'SIGINT',
    Shell: ['/bin/ash'],
    Entrypoint: ['/own.sh'],
    Cmd: ['own'],
  };
  t.match(again(configOf(own), image, later), own);
  t.match(again(configOf(own), image, {}), own, 'also where the image says nothing');
});

t.test('variables are inherited one by one', async (t) => {
  const envOn = (Env: string[], to = later) => again(configOf({ Env }), image, to).Env;
  t.strictSame(envOn(['PATH=/bin', 'LANG=C', 'VERSION=1']), ['PATH=/bin:/sbin', 'VERSION=2', 'NEW=1'], 'all follow');
  t.strictSame(
    envOn(['MODE=lab', 'VERSION=own', 'PATH=/bin', 'LANG=C']),
    ['MODE=lab', 'VERSION=own', 'PATH=/bin:/sbin', 'NEW=1'],
    'one of its own, one overridden; the one that the image has no more is gone',
  );
  t.strictSame(envOn(['NEW=own', 'PATH=/bin', 'LANG=C', 'VERSION=1']), ['NEW=own', 'PATH=/bin:/sbin', 'VERSION=2']);
  t.strictSame(envOn(['VERSION', 'PATH=/bin', 'LANG=C']), ['VERSION', 'PATH=/bin:/sbin', 'NEW=1'], 'taken away');
  t.strictSame(envOn(['VERSION=', 'PATH=/bin', 'LANG=C']), ['VERSION=', 'PATH=/bin:/sbin', 'NEW=1'], 'emptied');
  t.strictSame(envOn(['A=b=c', 'PATH=/bin'], {}), ['A=b=c']);
});

t.test('a command follows the image until somebody sets one', async (t) => {
  const commandOn = (changes: Document, to = later) => {
    const { Entrypoint = [], Cmd = [] } = again(configOf(changes), image, to);
    return { Entrypoint, Cmd };
  };
  t.strictSame(commandOn({}), { Entrypoint: ['/entry2.sh'], Cmd: ['serve2'] });
  t.strictSame(commandOn({ Cmd: ['own'] }), { Entrypoint: ['/entry2.sh'], Cmd: ['own'] });
  t.strictSame(commandOn({ Entrypoint: ['/own.sh'], Cmd: null }), { Entrypoint: ['/own.sh'], Cmd: [] });
  t.strictSame(
    commandOn({ Entrypoint: ['/own.sh'], Cmd: ['serve', '--all'] }),
    { Entrypoint: ['/own.sh'], Cmd: ['serve', '--all'] },
    'beside an entrypoint of its own the command is its own, also where the image had the same',
  );
  t.strictSame(commandOn({}, { Cmd: ['sh'] }), { Entrypoint: [], Cmd: ['sh'] }, 'the image has no entrypoint any more');
});

t.test('an entrypoint that was taken away stays away', async (t) => {
  for (const Entrypoint of [null, [], undefined]) {
    const own = ownSettings(configOf({ Entrypoint, Cmd: ['sleep', '9'] }), image);
    t.match(own, { Entrypoint: [''], Cmd: ['sleep', '9'] }, 'asked for as engines understand it');
    const { Entrypoint: after = [], Cmd } = settled(withDefaults(own, later));
    t.strictSame({ after, Cmd }, { after: [], Cmd: ['sleep', '9'] });
  }
});

t.test("an entrypoint that is the image's, set without a command, gets no command of the image", async (t) => {
  const config = configOf({ Entrypoint: ['/entry.sh'], Cmd: null });
  const { Entrypoint, Cmd = [] } = again(config, image);
  t.strictSame({ Entrypoint, Cmd }, { Entrypoint: ['/entry.sh'], Cmd: [] }, 'as docker run --entrypoint makes it');
});

t.test('commands of old engines are texts', async (t) => {
  const { Entrypoint, Cmd } = again(
    { Cmd: 'serve', Entrypoint: '/entry.sh' },
    { Cmd: 'other', Entrypoint: '/entry.sh' },
    later,
  );
  t.strictSame({ Entrypoint, Cmd }, { Entrypoint: ['/entry2.sh'], Cmd: ['serve'] });
});

t.test('labels are inherited one by one', async (t) => {
  const labelsOn = (Labels: Document) => again(configOf({ Labels }), image, later).Labels;
  t.strictSame(labelsOn({ version: '1', vendor: 'lab' }), { version: '2', licence: 'MIT' });
  t.strictSame(labelsOn({ version: 'own', vendor: 'lab', team: 'a' }), { version: 'own', licence: 'MIT', team: 'a' });
  t.strictSame(labelsOn({ version: '', vendor: 'lab' }), { version: '', licence: 'MIT' }, 'emptied');
  const hostile: Document = JSON.parse('{"__proto__":"a","constructor":"b","toString":"c"}');
  const kept = documentOf(withDefaults(ownSettings({ Labels: hostile }, {}), {}).Labels);
  t.strictSame(Object.entries(kept), Object.entries(hostile), 'names that objects have a meaning for are names');
});

t.test('user, working directory, stop signal and shell are inherited one by one', async (t) => {
  const fields = { User: 'own', WorkingDir: '/own', StopSignal: 'SIGINT', Shell: ['/bin/ash'] };
  for (const [field, value] of Object.entries(fields)) {
    const after = again(configOf({ [field]: value }), image, later);
    const { [field]: kept, ...others } = after;
    const { [field]: _replaced, ...defaults } = later;
    t.strictSame(kept, value, `${field} is its own`);
    t.match(others, defaults, 'and nothing else');
  }
});

t.test('a health check is inherited field by field', async (t) => {
  const check = documentOf(image.Healthcheck);
  const checkOn = (changes: Document | null, to = later) =>
    again(configOf({ Healthcheck: changes === null ? null : { ...check, ...changes } }), image, to).Healthcheck;
  t.strictSame(checkOn({}), { Test: ['CMD', 'check2'], Interval: 60e9, StartPeriod: 1e9 });
  t.strictSame(checkOn({ Interval: 9e9 }), { Test: ['CMD', 'check2'], Interval: 9e9, StartPeriod: 1e9 });
  t.strictSame(checkOn({ Test: ['CMD', 'own'] }), { Test: ['CMD', 'own'], Interval: 60e9, StartPeriod: 1e9 });
  t.match(checkOn({ Test: ['NONE'] }), { Test: ['NONE'] }, 'turned off');
  for (const field of ['Timeout', 'StartPeriod', 'StartInterval', 'Retries']) {
    t.match(checkOn({ [field]: 7 }), { [field]: 7, Test: ['CMD', 'check2'] }, field);
  }
  t.strictSame(checkOn({}, {}), undefined, 'the image has none any more');
  t.strictSame(checkOn({ Interval: 9e9 }, {}), { Interval: 9e9 });
});

t.test('a health check of its own needs none of an image', async (t) => {
  const Healthcheck = { Test: ['CMD', 'own'], Interval: 9e9, Timeout: 0, Retries: 0 };
  t.strictSame(again({ Healthcheck }, {}, {}).Healthcheck, { Test: ['CMD', 'own'], Interval: 9e9 });
  t.notOk('Healthcheck' in ownSettings({ Healthcheck: {} }, {}), 'and an empty one is none');
});

t.test('exposed ports and volumes are inherited one by one', async (t) => {
  const own = { ExposedPorts: { '80/tcp': {}, '443/tcp': {} }, Volumes: { '/data': {}, '/own': {} } };
  t.match(ownSettings(configOf(own), image), { ExposedPorts: { '443/tcp': {} }, Volumes: { '/own': {} } });
  const { ExposedPorts, Volumes } = again(configOf(own), image, later);
  t.strictSame(ExposedPorts, { '443/tcp': {}, '8080/tcp': {} });
  t.strictSame(Volumes, { '/own': {}, '/data2': {} });
});

t.test('what nobody knows here is kept whole, and the triggers of a build are not', async (t) => {
  const config = { NetworkDisabled: true, Future: { deep: [{ a: null }] }, Nothing: null, OnBuild: ['RUN x'] };
  const own = ownSettings(config, { NetworkDisabled: true, Future: 1, OnBuild: ['RUN x'] });
  t.match(own, { NetworkDisabled: true, Future: { deep: [{ a: null }] }, Nothing: null });
  t.notOk('OnBuild' in own);
});

t.test('without its image everything is its own', async (t) => {
  const config = configOf();
  t.match(again(config, {}, later), {
    User: 'web',
    Entrypoint: ['/entry.sh'],
    Cmd: ['serve', '--all'],
    Labels: { version: '1' },
    Healthcheck: { Test: ['CMD', 'check'] },
  });
  t.strictSame(sorted(again(config, {})), sorted(settled(config)));
});

t.test('the given documents are left as they are', async (t) => {
  const config = configOf({ Env: ['A=b'], Entrypoint: ['/own.sh'] });
  const before = JSON.stringify([config, image, later]);
  withDefaults(ownSettings(config, image), later);
  t.equal(JSON.stringify([config, image, later]), before);
});

t.test('absent, null and wrong fields are read as nothing', async (t) => {
  const fields = [...Object.keys(image), 'ArgsEscaped'];
  for (const value of [undefined, null, 7, 'text', true, [], [null, 7], {}, { a: null }]) {
    const odd = Object.fromEntries(fields.map((field) => [field, value]));
    t.doesNotThrow(() => withDefaults(ownSettings(odd, image), later), `a config of ${JSON.stringify(value)}`);
    t.doesNotThrow(() => withDefaults(ownSettings(configOf(), odd), odd), `an image of ${JSON.stringify(value)}`);
  }
  const missing = Object.fromEntries(fields.map((field) => [field, null]));
  const { Env, Labels, ExposedPorts, Volumes, Healthcheck, User } = withDefaults(ownSettings(missing, {}), later);
  t.match(
    { Env, Labels, ExposedPorts, Volumes, Healthcheck, User },
    {
      Env: later.Env,
      Labels: later.Labels,
      ExposedPorts: later.ExposedPorts,
      Volumes: later.Volumes,
      Healthcheck: later.Healthcheck,
      User: later.User,
    },
  );
  t.strictSame(again({}, {}), {});
  t.strictSame(again({ Env: ['A=b', 7, null] }, { Env: 'x' }).Env, ['A=b']);
});
