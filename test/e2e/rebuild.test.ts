import t, { type Test } from 'tap';
import { type Engine, engineVersionsToTest } from '../engine/engine.ts';
import { unlessMissing } from '../engine/missing.ts';
import { type Registries, startRegistries } from '../engine/registry.ts';
import { differences, inspect } from './inspection.ts';
import { type Fairlead, startWorld, until } from './support.ts';

type Operation = {
  id: number;
  state: string;
  message: string;
  error: string | null;
  steps: { name: string; state: string; detail: string }[];
  results: { name: string; ok: boolean; detail: string }[];
  lastLines: string[];
};

/** A program that ends at once when it is asked to. */
const willing = 'trap "exit 0" TERM; while :; do sleep 0.05; done';
const serve = (words = '') => `CMD ["sh", "-c", ${JSON.stringify(`${words}${words ? '; ' : ''}${willing}`)}]`;
const env = {
  REBUILD_STEADY_SECONDS: '1',
  REBUILD_HEALTHY_SECONDS: '20',
  STATS_INTERVAL: '0',
  UPDATE_CHECK_HOURS: '0',
};
const rebuildMs = 60_000;

/** What a shape of container is compared by. */
type Shape = {
  name: string;
  /** Dockerfile lines of the image it runs on, and of the newer one. */
  images?: readonly [old: readonly string[], newer: readonly string[]];
  options?: readonly string[];
  command?: readonly string[];
  /** Run in it before, and after: both have to print the same. */
  write?: string;
  read?: string;
  /** Done to it before the rebuild. */
  state?: 'stopped' | 'created' | 'paused';
  /** The engine's word for its state then, where it is another one. */
  becomes?: string;
  fails?: RegExp;
  /** Differences that are meant. */
  meant?: (string | RegExp)[];
};

const versioned = (version: number, ...lines: string[]) => [
  `ENV APP_VERSION=${version} INHERITED=${version}`,
  `LABEL version=${version}`,
  ...lines,
];

const usual = [/^Config\.Env\.(APP_VERSION|INHERITED): "1" → "2"$/, /^Config\.Labels\.version: "1" → "2"$/];
const plain = [versioned(1, serve()), versioned(2, serve())] as const;
/** An anonymous volume is mounted by the name it has. */
const named = [/^HostConfig\.Mounts: /, /^Mounts\..*\.Mode: "" → "z"$/];

const shapes: Shape[] = [
  { name: 'plain' },
  {
    name: 'picked-ports',
    images: [versioned(1, 'EXPOSE 9000', serve()), versioned(2, 'EXPOSE 9000 9001', serve())],
    options: ['-p', '80', '-p', '127.0.0.1:8099:81', '-p', '8098:82/udp', '-P'],
    meant: [/^Config\.ExposedPorts\.9001\/tcp: none → \{\}$/],
  },
  {
    name: 'two-networks',
    options: [
      '--network=first',
      '--ip=10.91.0.9',
      '--network-alias=one',
      '--network-alias=uno',
      '--mac-address=02:aa:bb:cc:dd:09',
      '--hostname=own-name',
      '--domainname=lab.example',
    ],
  },
  {
    name: 'volumes',
    images: [versioned(1, 'VOLUME /of-image', serve()), versioned(2, 'VOLUME /of-image /of-new', serve())],
    options: ['-v', '/own', '--mount', 'type=volume,target=/unnamed', '-v', 'kept:/named', '-v', '/tmp:/host:ro'],
    write: 'for path in /own /unnamed /named /of-image; do echo "data of $path" > $path/file; done',
    read: 'cat /own/file /unnamed/file /named/file /of-image/file',
    meant: [...named, /^Config\.Volumes\.\/of-new: none → \{\}$/, /^Mounts\.\/of-new\.\w+: none → /],
  },
  {
    name: 'limits',
    options: [
      '--memory=64m',
      '--memory-swap=96m',
      '--cpus=0.5',
      '--cpu-shares=512',
      '--pids-limit=64',
      '--cap-add=NET_ADMIN',
      '--cap-drop=MKNOD',
      '--ulimit=nofile=1024:2048',
      '--tmpfs=/scratch:size=1m',
      '--sysctl=net.ipv4.ip_unprivileged_port_start=0',
      '--shm-size=8m',
      '--dns=10.9.9.9',
      '--dns-search=lab.example',
      '--add-host=db:10.9.9.8',
      '--security-opt=no-new-privileges',
      '--read-only',
      '--init',
      '--log-opt=max-size=1m',
      '--device=/dev/null:/dev/nothing',
      '--group-add=7',
      '--restart=on-failure:3',
      '--oom-score-adj=100',
      '--ipc=shareable',
    ],
    read: 'ulimit -n; cat /etc/hosts | grep db; ls /dev/nothing',
  },
  {
    name: 'healthy',
    images: [
      versioned(1, 'HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD test -e /bin/sh', serve()),
      versioned(2, 'HEALTHCHECK --interval=1s --timeout=2s --retries=3 CMD true', serve()),
    ],
    meant: [/^Config\.Healthcheck\.(Retries|Test): /],
  },
  {
    name: 'own-healthcheck',
    images: [
      versioned(1, 'HEALTHCHECK --interval=7s --timeout=2s --retries=2 CMD true', serve()),
      versioned(2, 'HEALTHCHECK --interval=9s --timeout=3s --retries=3 CMD false', serve()),
    ],
    options: ['--health-interval=1s', '--health-cmd=test -e /bin/sh'],
    meant: [/^Config\.Healthcheck\.(Retries: 2 → 3|Timeout: 2000000000 → 3000000000)$/],
  },
  {
    name: 'unhealthy',
    images: [
      versioned(1, serve()),
      versioned(
        2,
        'HEALTHCHECK --interval=1s --timeout=2s --retries=1 CMD sh -c "echo no answer; exit 1"',
        serve('echo up'),
      ),
    ],
    options: ['-v', '/own'],
    write: 'echo precious > /own/file',
    read: 'cat /own/file',
    fails: /Its health check failed: no answer/,
  },
  {
    name: 'ends-at-once',
    images: [versioned(1, serve()), versioned(2, 'CMD ["sh", "-c", "echo no configuration; exit 3"]')],
    options: ['--network=first', '--ip=10.91.0.10', '--restart=always', '-v', '/own'],
    write: 'echo precious > /own/file',
    read: 'cat /own/file',
    fails: /It ended (with exit code 3|right after its start and was restarted)/,
  },
  {
    name: 'no-such-command',
    images: [versioned(1, serve()), versioned(2, 'CMD ["/no/such/program"]')],
    fails: /no such file or directory|not found/,
  },
  { name: 'stopped', state: 'stopped', becomes: 'created', options: ['-v', '/own'], meant: named },
  { name: 'created', state: 'created' },
  { name: 'paused', state: 'paused' },
  {
    name: 'removed-at-its-end',
    options: ['--rm', '-v', '/own'],
    write: 'echo precious > /own/file',
    read: 'cat /own/file',
    meant: named,
  },
  {
    name: 'removed-and-failing',
    images: [versioned(1, serve()), versioned(2, 'CMD ["sh", "-c", "echo no configuration; sleep 0.5; exit 4"]')],
    options: ['--rm', '--network=first', '--ip=10.91.0.11', '-v', '/own'],
    write: 'echo precious > /own/file',
    read: 'cat /own/file',
    fails: /It ended with exit code 4|It ended right after its start, and was removed/,
    // Made again: its volume has a name now, and its image is found by its id.
    meant: [...named, /^Config\.Image: /],
  },
  {
    name: 'overridden',
    images: [
      versioned(
        1,
        'ENV MODE=image KEEP=1',
        'LABEL tier=image',
        'USER 1000',
        'WORKDIR /srv',
        'STOPSIGNAL SIGINT',
        'ENTRYPOINT ["sh", "-c"]',
        `CMD [${JSON.stringify(willing)}]`,
      ),
      versioned(
        2,
        'ENV MODE=newer KEEP=2',
        'LABEL tier=newer',
        'USER 1001',
        'WORKDIR /opt',
        'STOPSIGNAL SIGUSR1',
        'ENTRYPOINT ["sh", "-e"]',
        'CMD ["-c", "exit 9"]',
      ),
    ],
    options: [
      '-e',
      'MODE=own',
      '-e',
      'EMPTY=',
      '--label=tier=own',
      '--label=mine=1',
      '--user=2000',
      '--workdir=/tmp',
      '--stop-signal=SIGTERM',
      '--stop-timeout=3',
      '--entrypoint=env',
      '-t',
      '-i',
    ],
    command: ['sh', '-c', willing],
    read: 'id -u; pwd; echo $MODE $EMPTY',
    meant: [/^Config\.Env\.KEEP: "1" → "2"$/],
  },
  {
    name: 'inherited',
    images: [
      versioned(
        1,
        'USER 1000',
        'WORKDIR /srv',
        'STOPSIGNAL SIGTERM',
        'ENTRYPOINT ["sh", "-c"]',
        `CMD [${JSON.stringify(willing)}]`,
      ),
      versioned(
        2,
        'USER 1001',
        'WORKDIR /opt',
        'STOPSIGNAL SIGQUIT',
        'ENTRYPOINT ["env", "sh", "-c"]',
        `CMD [${JSON.stringify(`:; ${willing}`)}]`,
      ),
    ],
    meant: [
      /^Config\.(User: "1000" → "1001"|WorkingDir: "\/srv" → "\/opt"|StopSignal: "SIGTERM" → "SIGQUIT")$/,
      /^Config\.(Entrypoint|Cmd): /,
      /^(Path|Args): /,
    ],
  },
  {
    name: 'no-entrypoint',
    images: [versioned(1, 'ENTRYPOINT ["false"]'), versioned(2, 'ENTRYPOINT ["false", "2"]')],
    options: ['--entrypoint='],
    command: ['sh', '-c', willing],
  },
  { name: 'host-network', options: ['--network=host', '--pid=host', '--uts=host'] },
];

// They mostly wait for containers to stop, and to run for a while.
t.jobs = 2;
for (const version of engineVersionsToTest()) {
  t.test(`Rebuilds on engine ${version}`, { buffered: true }, async (t) => {
    const world = await startWorld(t, { version, env });
    if (!world) return;
    const { engine, fairlead } = world;
    const registries = await unlessMissing(t, () => startRegistries(engine));
    if (!registries) return;
    await engine.docker('network', 'create', 'first', '--subnet=10.91.0.0/24');
    await engine.docker('network', 'create', 'second', '--subnet=10.92.0.0/24');
    const lab: Lab = { engine, fairlead, registries };

    for (const shape of shapes) {
      await t.test(`a container of the shape ${shape.name} is as before, but for what is meant`, async (t) => {
        const old = await makeShape(lab, shape);
        const before = await inspect(engine, old.name);
        if (shape.name === 'two-networks') t.match(before.NetworkSettings.Networks.second, { Aliases: /two/ });
        const printed = await print(engine, old.name, shape);
        const newer = await registries.publish(old.path, { config: [...(shape.images ?? plain)[1]] });

        const operation = await rebuild(fairlead, old.name);

        const after = await inspect(engine, old.name);
        t.match(operation, {
          state: shape.fails ? 'rolled_back' : 'succeeded',
          ...(shape.fails && { error: shape.fails }),
        });
        t.equal(after.Image, shape.fails ? old.image : newer.id, 'on the right image');
        t.equal(after.State.Status, shape.becomes ?? before.State.Status, 'in the state it was in');
        const meant = [...(shape.meant ?? []), ...(shape.fails ? [] : usual)];
        const found = differences(before, after);
        const isMeant = (item: string) =>
          meant.some((allowed) => (typeof allowed === 'string' ? allowed === item : allowed.test(item)));
        t.strictSame(
          found.filter((item) => !isMeant(item)),
          [],
          'no other difference',
        );
        if (!shape.fails) t.ok(found.length > 0, 'and those that are meant');
        t.strictSame(
          volumesOf(before),
          volumesOf(after).filter(([path]) => path !== '/of-new'),
          'the very same volumes',
        );
        t.equal(await print(engine, old.name, shape), printed, 'its data and surroundings are there');
        if (/ends-at-once|and-failing/.test(shape.name))
          t.strictSame([...new Set(operation.lastLines)], ['no configuration'], 'its words');
        if (shape.name === 'two-networks') t.match(addressesOf(after), addressesOf(before), 'the same addresses');
        await remove(t, engine, old.name);
      });
    }

    await t.test('those that share its network follow it, and come back with it', async (t) => {
      const { name } = await makeShape(lab, { name: 'gateway' });
      const side = await engine.run('side', {
        options: [`--network=container:${name}`],
        command: ['sh', '-c', willing],
      });
      const nested = ['--network=container:fairlead-test-side', '--pid=container:fairlead-test-side'];
      await engine.run('nested', { options: nested, command: ['sh', '-c', willing] });
      const before = await Promise.all(['side', 'nested'].map((item) => inspect(engine, `fairlead-test-${item}`)));
      const newer = await registries.publish('shape/gateway:1', { config: [...plain[1]] });

      t.match(await rebuild(fairlead, name), {
        state: 'succeeded',
        message: /side, fairlead-test-nested were rebuilt/,
      });

      const main = await inspect(engine, name);
      const after = await Promise.all(['side', 'nested'].map((item) => inspect(engine, `fairlead-test-${item}`)));
      t.equal(main.Image, newer.id);
      t.not(after[0]?.Id, side);
      t.equal(after[0]?.HostConfig.NetworkMode, `container:${main.Id}`);
      t.match(after[1]?.HostConfig, { NetworkMode: `container:${after[0]?.Id}`, PidMode: `container:${after[0]?.Id}` });
      for (const [index, item] of after.entries()) {
        t.equal(item.State.Status, 'running');
        const found = before[index] ? differences(before[index], item) : ['missing'];
        t.strictSame(
          found.filter((line) => !/^(HostConfig\.(NetworkMode|PidMode)|Config\.Hostname): /.test(line)),
          [],
        );
      }

      await registries.publish('shape/gateway:1', { config: ['CMD ["false"]'] });
      t.match(await rebuild(fairlead, name), { state: 'rolled_back' });
      t.equal((await inspect(engine, name)).Id, main.Id, 'the very same container is back');
      for (const [index, item] of ['side', 'nested'].entries()) {
        const back = await inspect(engine, `fairlead-test-${item}`);
        t.match(back, { Id: after[index]?.Id, State: { Status: 'running' } });
      }
      await remove(t, engine, 'fairlead-test-nested', 'fairlead-test-side', name);
    });

    await t.test('a project is rebuilt in the order of its dependencies, each by itself', async (t) => {
      const compose = (service: string, dependsOn: string) => [
        '--label=com.docker.compose.project=shop',
        `--label=com.docker.compose.service=${service}`,
        '--label=com.docker.compose.container-number=1',
        `--label=com.docker.compose.depends_on=${dependsOn}`,
      ];
      const db = await makeShape(lab, { name: 'shop-db', options: compose('db', '') });
      const api = await makeShape(lab, { name: 'shop-api', options: compose('api', 'db:service_started:false') });
      const web = await makeShape(lab, { name: 'shop-web', options: compose('web', 'api:service_started:false') });
      const before = await Promise.all([db, api, web].map(({ name }) => inspect(engine, name)));
      await registries.publish(db.path, { config: [...plain[1]] });
      await registries.publish(api.path, { config: ['CMD ["false"]'] });
      await registries.publish(web.path, { config: [...plain[1]] });

      const stopped = await finish(fairlead, '/projects/shop/rebuild', { onFailure: 'stop' });
      t.match(stopped, {
        state: 'failed',
        results: [
          { name: db.name, ok: true },
          { name: api.name, ok: false, detail: /undone.*It ended with exit code 1/ },
          { name: web.name, ok: false, detail: /Not begun/ },
        ],
      });
      t.equal((await inspect(engine, api.name)).Id, before[1]?.Id, 'the one that failed is back');
      t.equal((await inspect(engine, web.name)).Id, before[2]?.Id, 'and the one behind it was not touched');

      const gone = await finish(fairlead, '/projects/shop/rebuild', { onFailure: 'go_on' });
      t.match(gone.results, [
        { name: db.name, ok: true, detail: /already/ },
        { name: api.name, ok: false },
        { name: web.name, ok: true, detail: /was rebuilt/ },
      ]);
      for (const [index, { name }] of [db, api, web].entries()) {
        const found = before[index] ? differences(before[index], await inspect(engine, name)) : ['missing'];
        t.strictSame(
          found.filter((line) => !usual.some((allowed) => allowed.test(line))),
          [],
          name,
        );
      }
      await remove(t, engine, db.name, api.name, web.name);
    });

    await t.test('what is the newest already is left alone, unless it is forced', async (t) => {
      const { name, image } = await makeShape(lab, { name: 'newest' });
      const before = await inspect(engine, name);
      t.match(await rebuild(fairlead, name), { state: 'succeeded', message: /already: nothing was done/ });
      t.equal((await inspect(engine, name)).Id, before.Id);
      t.match(await rebuild(fairlead, name, { force: true }), { state: 'succeeded' });
      const after = await inspect(engine, name);
      t.not(after.Id, before.Id);
      t.equal(after.Image, image);
      t.strictSame(differences(before, after), []);
      await remove(t, engine, name);
    });

    await t.test('a pull that fails touches nothing else', async (t) => {
      const { name } = await makeShape(lab, { name: 'unreachable' });
      const before = await inspect(engine, name);
      await registries.open.stop();
      const operation = await rebuild(fairlead, name);
      await registries.open.start();
      t.match(operation, {
        state: 'failed',
        error: /The registry 127.0.0.1:5000 can't be reached: connection refused/,
      });
      t.equal((await inspect(engine, name)).Id, before.Id);
      t.equal((await inspect(engine, name)).State.Status, 'running');
      await remove(t, engine, name);
    });

    await t.test('what can not be rebuilt is refused with its reason', async (t) => {
      const privileged = await makeShape(lab, { name: 'privileged', state: 'created', options: ['--privileged'] });
      const task = await makeShape(lab, { name: 'task', options: ['--label=com.docker.swarm.task.id=abc'] });
      const pinned = await makeShape(lab, { name: 'pinned' });
      const [digest = ''] = JSON.parse(
        await engine.docker('image', 'inspect', '-f', '{{json .RepoDigests}}', pinned.image),
      ) as string[];
      await engine.run('digest', { options: ['--network=none'], image: digest });
      await engine.run('by-id', { options: ['--network=none'], image: pinned.image });
      const refusals = [
        [privileged.name, 403, 'disabled', /is privileged/],
        [task.name, 409, 'conflict', /Swarm/],
        ['fairlead-test-digest', 409, 'conflict', /pinned to a digest/],
        ['fairlead-test-by-id', 409, 'conflict', /no tag to pull/],
      ] as const;
      for (const [name, status, code, detail] of refusals) {
        const { status: got, body } = await fairlead.api<object>(`/containers/${name}/rebuild`, { method: 'POST' });
        t.match({ got, ...body }, { got: status, code, detail }, name);
        t.match(
          (await fairlead.api(`/containers/${name}/rebuild`)).body,
          { refusal: { code, reason: detail } },
          'told before',
        );
      }
      const same = { pull: false, force: true };
      t.match(
        await rebuild(fairlead, 'fairlead-test-by-id', same),
        { state: 'succeeded' },
        'on the image it has it can',
      );
      t.equal((await inspect(engine, 'fairlead-test-by-id')).Image, pinned.image);
      const all = [privileged.name, task.name, pinned.name, 'fairlead-test-digest', 'fairlead-test-by-id'];
      await remove(t, engine, ...all);
    });
  });
}

type Lab = { engine: Engine; fairlead: Fairlead; registries: Registries };
type Asserting = Pick<Test, 'strictSame'>;

/** Publishes the old image and makes a container of the shape from it. */
async function makeShape({ engine, registries }: Lab, shape: Shape) {
  const path = `shape/${shape.name}:1`;
  const { id: image } = await registries.publish(path, { config: [...(shape.images ?? plain)[0]] });
  const reference = `${registries.open.address}/${path}`;
  await engine.docker('pull', reference);
  const name = `fairlead-test-${shape.name}`;
  const options = shape.options ?? [];
  if (shape.state === 'created') await engine.docker('create', `--name=${name}`, ...options, reference);
  else await engine.run(shape.name, { options, image: reference, command: shape.command ?? [] });
  if (shape.name === 'two-networks') {
    const more = ['--ip=10.92.0.9', '--alias=two', '--link-local-ip=169.254.7.7'];
    await engine.docker('network', 'connect', ...more, 'second', name);
  }
  if (shape.write) await engine.docker('exec', '-u', '0', name, 'sh', '-c', shape.write);
  if (shape.state === 'stopped') await engine.docker('stop', name);
  if (shape.state === 'paused') await engine.docker('pause', name);
  return { name, path, image };
}

const rebuild = (fairlead: Fairlead, name: string, choices: object = {}) =>
  finish(fairlead, `/containers/${name}/rebuild`, choices);

/** Starts an operation and waits for its end. */
async function finish(fairlead: Fairlead, path: string, body: object): Promise<Operation> {
  const headers = { 'content-type': 'application/json' };
  const { status, body: started } = await fairlead.api<Operation>(path, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  if (status !== 202) throw new Error(`${path}: ${status} ${JSON.stringify(started)}`);
  return until(
    `the end of operation ${started.id}`,
    async () => {
      const { body: now } = await fairlead.api<Operation>(`/operations/${started.id}`);
      return ['queued', 'running'].includes(now.state) ? undefined : now;
    },
    rebuildMs,
  );
}

const print = async (engine: Engine, name: string, { read, state }: Shape) =>
  read && !state ? engine.docker('exec', name, 'sh', '-c', read) : '';

const volumesOf = ({ Mounts }: Awaited<ReturnType<typeof inspect>>) =>
  Mounts.flatMap(({ Type, Name, Destination }) => (Type === 'volume' ? [[Destination, Name] as const] : [])).sort();

const addressesOf = ({ NetworkSettings: { Networks } }: Awaited<ReturnType<typeof inspect>>) =>
  Object.entries(Networks).map(([network, { IPAddress, MacAddress }]) => ({
    network,
    IPAddress,
    // The engine itself picks the address of the second one, anew at each start where it was not asked for one.
    ...(network === 'first' && { MacAddress }),
  }));

/** Takes the containers away, and shows that no other is left of them. */
async function remove(t: Asserting, engine: Engine, ...names: string[]) {
  const all = (await engine.docker('ps', '-a', '--format', '{{.Names}}')).split('\n').filter(Boolean).sort();
  t.strictSame(all, [...names].sort(), 'nothing is left over');
  await engine.docker('rm', '-fv', ...names);
}
