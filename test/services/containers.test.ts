import { readFileSync } from 'node:fs';
import t from 'tap';
import { applyEvent, expectationOf, toContainerEvent } from '../../src/services/container-events.ts';
import { isInTrouble, type ListQuery, selectContainers } from '../../src/services/container-list.ts';
import { type Container, projectTitle, shownPorts, toContainer, toPortsText } from '../../src/services/containers.ts';
import type { EngineContainer, EngineEvent, EngineImage } from '../../src/services/docker-types.ts';
import { selectImages } from '../../src/services/image-list.ts';
import { imageUsers, toImage } from '../../src/services/images.ts';
import { dependencyLevels } from '../../src/services/projects.ts';
import { humanDuration, keepSince, parseStatus, statusText } from '../../src/services/status-words.ts';

type Recorded = { list: EngineContainer[]; images: EngineImage[]; image: EngineImage; events: EngineEvent[] };
const engines: Record<string, Recorded> = JSON.parse(
  readFileSync(new URL('../fixtures/engines.json', import.meta.url), 'utf8'),
);

const now = Date.UTC(2026, 10, 23, 12);
const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

const named = (name: string, more: Partial<EngineContainer> = {}): Container =>
  toContainer(
    { Id: name.padEnd(64, '0'), Names: [`/${name}`], State: 'running', Status: 'Up 2 minutes', ...more },
    now,
  );

for (const [name, recorded] of Object.entries(engines)) {
  t.test(`${name}: its recorded answers are read whole`, async (t) => {
    const [item] = recorded.list;
    if (!item) return t.fail('nothing was recorded');
    const container = toContainer(item, now);
    t.match(container, {
      id: /^[0-9a-f]{64}$/,
      name: 'lab-probe-1',
      image: /lab\/busybox/,
      imageId: /^(sha256:)?[0-9a-f]{64}$/,
      state: 'running',
      health: name.startsWith('docker') ? 'healthy' : null,
      exitCode: null,
      portsText: '18080->80/tcp',
      project: null,
      projectTitle: 'Standalone Containers',
      service: null,
    });
    t.ok(container.createdAt > Date.UTC(2020, 0), 'made after 2020');
    t.ok(container.networks.length === 1 && container.networks[0]);
    t.match(statusText(container.words, container.state, now), /^Up \d+ seconds/);
    for (const image of recorded.images.map(toImage)) {
      t.ok(image.size > 0 && image.createdAt > 0, image.tags.join());
      t.ok(Array.isArray(image.tags) && Array.isArray(image.repoDigests) && typeof image.labels === 'object');
    }
    t.ok(toImage(recorded.image).createdAt > Date.UTC(2020, 0), 'a time as text is read as well');
  });

  t.test(`${name}: of its recorded events, those that matter do`, async (t) => {
    const read = recorded.events.map((event) => [event.Action ?? '', toContainerEvent(event)?.action ?? null] as const);
    for (const [action, meaning] of read) {
      const word = action.split(':')[0] ?? '';
      if (/^(exec|top|archive|prune|attach|commit|copy)/.test(word)) t.equal(meaning, null, `${action} is nothing`);
      else if (word === 'remove') t.equal(meaning, 'destroy', "Podman's word");
      else t.equal(meaning, word, action);
    }
    const die = recorded.events.find(({ Action }) => Action === 'die');
    const event = die && toContainerEvent(die);
    t.ok(event && event.at > Date.UTC(2020, 0) && event.at < Date.UTC(2100, 0), 'in ms');
    if (event) t.match(applyEvent(named('x'), event), { state: 'exited', exitCode: Number });
  });
}

t.test('an item of which everything is missing is a container all the same', async (t) => {
  const bare = toContainer({ Id: 'f'.repeat(64) }, now);
  t.match(bare, {
    name: 'f'.repeat(12),
    image: '',
    state: '',
    ports: [],
    portsText: '',
    project: null,
    networks: [],
    labels: {},
  });
  const nulls = {
    Names: null,
    Image: null,
    Ports: null,
    Labels: null,
    State: null,
    Status: null,
    NetworkSettings: null,
  };
  t.match(toContainer({ Id: 'f'.repeat(64), ...nulls, Created: null }, now), { name: 'f'.repeat(12), createdAt: 0 });
  t.match(toContainer({ Id: 'x', Ports: [{}, { PrivatePort: null, Type: null }] }, now).ports, [{ protocol: 'tcp' }]);
  t.equal(
    toContainer({ Id: 'x', State: '', Status: 'Exited (3) 5 minutes ago' }, now).state,
    'exited',
    'from the words',
  );
  t.match(toImage({ Id: 'sha256:1', RepoTags: null, RepoDigests: null, Labels: null, Created: null, Size: null }), {
    tags: [],
    dangling: true,
    size: 0,
    createdAt: 0,
    labels: {},
  });
});

t.test('its own name is the one that is no link', async (t) => {
  t.equal(named('x', { Names: ['/app/db', '/db'] }).name, 'db');
  t.equal(named('x', { Names: ['/app/db'] }).name, 'app/db');
});

t.test('a project is told by labels, else by the pattern of the name', async (t) => {
  const of = (name: string, Labels: Record<string, string> = {}) => {
    const { project, service, projectTitle } = named(name, { Labels });
    return [project, service, projectTitle];
  };
  t.strictSame(of('my-shop_web_1'), ['my-shop', 'web', 'Docker Compose: My Shop']);
  t.strictSame(of('shop_web-api_12'), ['shop', 'web-api', 'Docker Compose: Shop']);
  t.strictSame(of('shop_web_api_2'), ['shop', 'web_api', 'Docker Compose: Shop']);
  for (const name of ['web', 'web_1', 'web-1', 'Shop_web_1', '_web_1', 'shop_web_x', 'my_web_app'])
    t.strictSame(of(name), [null, null, 'Standalone Containers'], name);
  const labels = { 'com.docker.compose.project': 'real', 'com.docker.compose.service': 'api' };
  t.strictSame(of('other_web_1', labels), ['real', 'api', 'Docker Compose: Real'], 'the label wins');
  t.strictSame(of('x', { 'com.docker.compose.project': 'real' }), ['real', null, 'Docker Compose: Real']);
  t.equal(projectTitle('my-project'), 'Docker Compose: My Project');
  t.equal(projectTitle('a_b--c d'), 'Docker Compose: A B C D');
  t.strictSame(
    named('x', { Labels: { 'com.docker.compose.depends_on': 'db:service_healthy:false,cache' } }).dependsOn,
    ['db', 'cache'],
  );
});

t.test('ports read as they are bound', async (t) => {
  const text = (Ports: EngineContainer['Ports']) => named('x', { Ports: Ports ?? null }).portsText;
  const port = (PrivatePort: number, PublicPort?: number, IP?: string, Type = 'tcp') => ({
    PrivatePort,
    Type,
    ...(PublicPort && { PublicPort }),
    ...(IP && { IP }),
  });
  t.equal(text([port(80, 8080, '0.0.0.0'), port(443, 8443, '::')]), '8080->80/tcp, [::]:8443->443/tcp');
  t.equal(text([port(80, 8080, '::'), port(80, 8080, '0.0.0.0')]), '8080->80/tcp', 'the IPv6 twin is not said twice');
  t.equal(
    text([port(80, 49153, '0.0.0.0'), port(80, 49154, '::')]),
    '49153->80/tcp, [::]:49154->80/tcp',
    'two that were picked',
  );
  t.equal(
    text([port(5432, 5432, '127.0.0.1'), port(53, 53, '::1', 'udp')]),
    '[::1]:53->53/udp, 127.0.0.1:5432->5432/tcp',
  );
  t.equal(text([port(9000)]), '9000/tcp', 'exposed, not published');
  t.equal(text([port(80, 8080)]), '8080->80/tcp', 'Podman leaves the address out');
  t.equal(text([port(80, 8080, '0.0.0.0'), port(80, 8081, '0.0.0.0')]), '8080->80/tcp, 8081->80/tcp');
  t.equal(text([]), '');
  t.equal(toPortsText(shownPorts([])), '');
});

t.test('the words of a status are read, and said again later', async (t) => {
  const cases = [
    ['Up 3 minutes', 'running', null, null],
    ['Up 3 minutes (healthy)', 'running', 'healthy', null],
    ['Up 3 minutes (unhealthy)', 'running', 'unhealthy', null],
    ['Up Less than a second (health: starting)', 'running', 'starting', null],
    ['Up 2 hours (Paused)', 'paused', null, null],
    ['Exited (137) 2 hours ago', 'exited', null, 137],
    ['Exited (0) About a minute ago', 'exited', null, 0],
    ['Restarting (1) 5 seconds ago', 'restarting', null, 1],
    ['Created', 'created', null, null],
    ['Initialized', 'created', null, null],
    ['Dead', 'dead', null, null],
    ['Removal In Progress', 'removing', null, null],
    ['', '', null, null],
    ['Something new', '', null, null],
  ] as const;
  for (const [text, state, health, exitCode] of cases) {
    const words = parseStatus(text, now);
    t.match(words, { state, health, exitCode }, text);
    t.equal(
      statusText(words, state || 'running', now).replace('(starting)', '(health: starting)'),
      text,
      'and said as it was',
    );
  }
  const words = parseStatus('Up 3 minutes (healthy)', now);
  t.equal(statusText(words, 'running', now + 40 * second), 'Up 3 minutes (healthy)');
  t.equal(statusText(words, 'running', now + 2 * minute), 'Up 5 minutes (healthy)');
  t.equal(statusText(words, 'running', now + 2 * hour), 'Up 2 hours (healthy)');
  t.equal(
    statusText(words, 'running', now - hour),
    'Up Less than a second (healthy)',
    'a clock that goes back does no harm',
  );
});

t.test('durations step as the engine says them', async (t) => {
  const steps: [number, string][] = [
    [0, 'Less than a second'],
    [999, 'Less than a second'],
    [second, '1 second'],
    [59 * second, '59 seconds'],
    [minute, 'About a minute'],
    [119 * second, 'About a minute'],
    [2 * minute, '2 minutes'],
    [59 * minute, '59 minutes'],
    [hour, 'About an hour'],
    [89 * minute, 'About an hour'],
    [90 * minute, '2 hours'],
    [47 * hour, '47 hours'],
    [48 * hour, '2 days'],
    [13 * day, '13 days'],
    [14 * day, '2 weeks'],
    [59 * day, '8 weeks'],
    [60 * day, '2 months'],
    [729 * day, '24 months'],
    [730 * day, '2 years'],
  ];
  for (const [ms, text] of steps) t.equal(humanDuration(ms), text);
});

t.test('of two knowledges of one state the older stays, as far as the newer words allow', async (t) => {
  const older = parseStatus('Up 3 minutes', now);
  const later = now + 30 * minute;
  t.equal(keepSince(older, parseStatus('Up 33 minutes', later)).since, older.since);
  const anew = parseStatus('Up 5 seconds', later);
  t.equal(keepSince(older, anew).since, anew.since, 'one that began anew unseen');
  const exact = { ...older, exact: true };
  t.match(keepSince(exact, parseStatus('Up 33 minutes', later)), { since: older.since, exact: true });
  t.equal(keepSince(older, parseStatus('Created', later)).since, null);
});

t.test('an event changes what it says, and nothing else', async (t) => {
  const web = named('web', {
    Status: 'Up 2 minutes (healthy)',
    Ports: [
      { PrivatePort: 80, PublicPort: 8080, Type: 'tcp' },
      { PrivatePort: 90, Type: 'tcp' },
    ],
  });
  const event = (action: string, attributes: Record<string, string> = {}) => {
    const read = toContainerEvent({
      Type: 'container',
      Action: action,
      Actor: { ID: web.id, Attributes: attributes },
      timeNano: now * 1e6,
    });
    if (!read) throw new Error(`${action} was passed over`);
    return read;
  };
  t.match(applyEvent(web, event('die', { exitCode: '137' })), {
    state: 'exited',
    exitCode: 137,
    health: null,
    ports: [{ containerPort: 90 }],
  });
  t.equal(applyEvent(web, event('die', { exitCode: '137' })).ports.length, 1, 'what was published is free again');
  t.match(applyEvent(web, event('died', { containerExitCode: '2' })), { exitCode: 2 });
  t.match(applyEvent(web, event('die')), { exitCode: null });
  t.match(applyEvent({ ...web, oomKilled: true }, event('start')), {
    state: 'running',
    oomKilled: false,
    exitCode: null,
  });
  t.match(applyEvent(web, event('pause')), { state: 'paused' });
  t.match(applyEvent(web, event('health_status: unhealthy')), { health: 'unhealthy', state: 'running' });
  t.match(applyEvent(web, event('health_status: dancing')), { health: 'healthy' }, 'an unknown word changes nothing');
  t.match(applyEvent(web, event('rename', { name: '/front' })), { name: 'front' });
  t.match(applyEvent(web, event('rename')), { name: 'web' });
  t.equal(applyEvent(web, event('update')), web);
  t.equal(toContainerEvent({ Action: 'die' }), null, 'of nobody');
  t.equal(toContainerEvent({}), null);
  t.equal(expectationOf(event('die'))?.('running'), false);
  t.equal(expectationOf(event('die'))?.('restarting'), true);
  t.equal(expectationOf(event('start')), undefined);
});

t.test('trouble is what somebody should look at', async (t) => {
  const is = (Status: string, State = 'running') => isInTrouble(named('x', { Status, State }));
  t.notOk(is('Up 2 minutes (healthy)'));
  t.notOk(is('Up 2 minutes (health: starting)'));
  t.notOk(is('Exited (0) 2 minutes ago', 'exited'));
  t.notOk(is('Exited (143) 2 minutes ago', 'exited'), 'it was asked to stop');
  t.notOk(is('Created', 'created'));
  t.ok(is('Up 2 minutes (unhealthy)'));
  t.ok(is('Exited (1) 2 minutes ago', 'exited'));
  t.ok(is('Exited (137) 2 minutes ago', 'exited'));
  t.ok(is('Restarting (1) 2 seconds ago', 'restarting'));
  t.ok(is('Dead', 'dead'));
  t.ok(isInTrouble({ ...named('x', { Status: 'Exited (0) 1 minute ago', State: 'exited' }), oomKilled: true }));
});

t.test('a list is found, filtered, grouped, counted and sorted', async (t) => {
  const label = (project: string) => ({ Labels: { 'com.docker.compose.project': project } });
  const all = [
    named('web10', { ...label('shop'), Created: 3 }),
    named('web2', { ...label('shop'), Created: 1, State: 'exited', Status: 'Exited (1) 1 minute ago' }),
    named('alone', { Created: 2, Image: 'Postgres:17' }),
    named('Zed', { ...label('data-lake'), Created: 4, State: 'paused', Status: 'Up 1 minute (Paused)' }),
  ];
  const cpu: Record<string, number> = { web10: 5, web2: 50 };
  const figures = (id: string) => {
    const name = id.replace(/0+$/, '');
    const percent = cpu[name] ?? cpu[`${name}0`];
    return percent === undefined ? undefined : { cpuPercent: percent, memoryBytes: -percent };
  };
  const select = (query: Partial<ListQuery>) =>
    selectContainers(all, { q: '', state: '', project: '', sort: '', ...query }, figures);
  const names = (query: Partial<ListQuery>) =>
    select(query)
      .groups.map((group) => `${group.project}:${group.containers.map(({ name }) => name)}`)
      .join(' ');
  t.equal(names({}), 'data-lake:Zed shop:web2,web10 null:alone');
  t.equal(names({ sort: '-name' }), 'null:alone shop:web10,web2 data-lake:Zed', 'groups are reversed, too');
  t.equal(names({ sort: 'created' }), 'shop:web2,web10 null:alone data-lake:Zed', 'groups by their first');
  t.equal(names({ sort: '-cpu' }), 'shop:web2,web10 null:alone data-lake:Zed');
  t.equal(names({ sort: 'cpu' }), 'null:alone data-lake:Zed shop:web10,web2');
  const flat = select({ sort: '-created' }).containers.map(({ name }) => name);
  t.strictSame(flat, ['Zed', 'web10', 'alone', 'web2'], 'a flat list has no groups');
  t.equal(names({ q: 'postgres' }), 'null:alone');
  t.equal(names({ q: '  shop   10 ' }), 'shop:web10', 'blanks around words do not count');
  t.equal(names({ state: 'trouble' }), 'shop:web2');
  t.equal(names({ project: 'shop', state: 'running' }), 'shop:web10');
  t.match(select({ project: 'shop', state: 'running' }), {
    counts: { all: 2, running: 1, trouble: 1, paused: 0, stopped: 1 },
    shown: 1,
    groups: [{ running: 1, total: 2 }],
    projects: [{ name: 'data-lake' }, { name: 'shop' }],
  });
});

t.test('dependencies come before those that need them', async (t) => {
  const member = (service: string, dependsOn: string) =>
    named(service, {
      Labels: {
        'com.docker.compose.project': 'shop',
        'com.docker.compose.service': service,
        'com.docker.compose.depends_on': dependsOn,
      },
    });
  const levels = (...members: Container[]) =>
    dependencyLevels(members).map((level) => level.map(({ name }) => name).join());
  t.strictSame(levels(member('web', 'api'), member('api', 'db,cache'), member('db', ''), member('cache', '')), [
    'db,cache',
    'api',
    'web',
  ]);
  t.strictSame(levels(member('aa', 'bb'), member('bb', 'aa'), member('cc', '')), ['cc', 'aa,bb'], 'a circle ends');
  t.strictSame(levels(member('aa', 'aa,missing')), ['aa']);
  t.strictSame(levels(), []);
  t.strictSame(levels(named('one'), named('two')), ['one,two']);
});

t.test('images are read, found and sorted whatever they leave out', async (t) => {
  const image = (hex: string, more: Partial<EngineImage> = {}) =>
    toImage({ Id: `sha256:${hex.repeat(64)}`, Size: 1, Created: 1, ...more });
  t.strictSame(image('a', { RepoTags: ['<none>:<none>'], RepoDigests: ['<none>@<none>'] }).tags, []);
  t.ok(image('a', { RepoTags: ['<none>:<none>'] }).dangling);
  t.equal(
    image('a', { Created: '2026-01-02T03:04:05Z' }).createdAt,
    Date.UTC(2026, 0, 2, 3, 4, 5),
    'a Z without a fraction',
  );
  t.equal(image('a', { Created: '2026-01-02T03:04:05.123456789Z' }).createdAt, Date.UTC(2026, 0, 2, 3, 4, 5, 123));
  t.equal(image('a', { Created: 'never' }).createdAt, 0);
  const used = image('a', { RepoTags: ['web:1'] });
  const user = named('user', { ImageID: 'a'.repeat(64) });
  t.match(
    imageUsers(used, [user, named('other', { ImageID: 'sha256:b' })]),
    [{ name: 'user', state: 'running' }],
    'Podman has no sha256:',
  );
  const select = (q: string) => selectImages([used, image('b')], [user], { q, sort: 'name', dangling: '' });
  t.match(select('USER'), { counts: { all: 2, dangling: 1, unused: 1, shown: 1 }, totalSize: 2 });
  t.equal(select(' web:1 ').images.length, 1);
});

t.test('an event of an engine whose clock is ahead is not believed for long', async (t) => {
  const now = Date.now();
  const listed = parseStatus('Up 5 minutes', now);
  const told = { ...listed, since: now + 600_000, exact: true };
  t.equal(keepSince(told, listed).since, listed.since, 'nothing began in the future');
});
