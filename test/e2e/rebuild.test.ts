import t, { type Test } from 'tap';
import { type Engine, type EngineVersion, engineVersionsInTurn, engineVersionsToTest } from '../engine/engine.ts';
import { unlessMissing } from '../engine/missing.ts';
import { type Registries, startRegistries } from '../engine/registry.ts';
import { differences, type Inspection, inspect, judge, type Meant } from './inspection.ts';
import { type Fairlead, startWorld, until } from './support.ts';

type Operation = {
  id: number;
  state: string;
  message: string;
  error: string | null;
  steps: { name: string; state: string; detail: string }[];
  results: { name: string; ok: boolean; detail: string; lastLines?: string[] }[];
  lastLines: string[];
};

/** A program that ends at once when it is asked to. */
const willing = 'trap "exit 0" TERM; sleep 100000 & wait';
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
  /** Further networks, each as the options of `docker network connect` and its name. */
  networks?: readonly (readonly string[])[];
  /** Another container that has to be there, by its options. */
  beside?: { name: string; options: readonly string[] };
  /** What its inspect answer shows before and after, as JSON. */
  told?: readonly RegExp[];
  /** Run in it before, and after: both have to print the same. */
  write?: string;
  read?: string;
  /** Done to it before the rebuild. */
  state?: 'stopped' | 'created' | 'paused';
  /** The engine's word for its state then, where it is another one. */
  becomes?: string;
  fails?: RegExp;
  /** The one line that the new one said before it failed. */
  says?: string;
  /** Done while it is rebuilt. */
  during?: (lab: Lab, old: Made) => Promise<void>;
  /** Differences that have to be there, beside those of the newer image. */
  meant?: readonly Meant[];
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
/** How that judgement reads. */
const asMeant = { unmeant: [], missing: [] };
/** Seen at its end, or a moment later. */
const endedAndRemoved = /It ended with exit code 4|It ended right after its start, and was removed/;

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
    networks: [['--ip=10.92.0.9', '--alias=two', '--link-local-ip=169.254.7.7', 'second']],
    told: [/"Aliases":\["two"/, /"LinkLocalIPs":\["169.254.7.7"\]/],
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
    name: 'ipv6',
    options: ['--network=six', '--ip=10.93.0.9', '--ip6=fd00:93::9'],
    networks: [['--ip6=fd00:94::9', '--driver-opt=lab.example.speed=slow', 'seven']],
    told: [
      /"IPv6Address":"fd00:94::9"/,
      /"GlobalIPv6Address":"fd00:93::9"/,
      /"DriverOpts":\{"lab.example.speed":"slow"\}/,
    ],
    read: 'ip -6 addr | grep -o "fd00:.*/64" | sort',
    // Connected by hand or by its creation.
    meant: [{ on: '28', difference: /^NetworkSettings\.Networks\.seven\.Aliases: \[\] → null$/ }],
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
    name: 'borrowing',
    beside: { name: 'lender', options: ['-v', '/lent', '-v', 'lent:/lent-named'] },
    options: ['--volumes-from=fairlead-test-lender', '-v', '/own'],
    write: 'for path in /lent /lent-named /own; do echo "data of $path" > $path/file; done',
    read: 'cat /lent/file /lent-named/file /own/file',
    meant: named,
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
      '--ulimit=fsize=9223372036854775806:9223372036854775807',
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
    told: [/"Name":"fsize","Hard":"9223372036854775807","Soft":"9223372036854775806"/],
    // Not the soft limit of open files, which older runcs get wrong at times: github.com/opencontainers/runc/issues/4195.
    read: 'ulimit -Hn; grep "Max file size" /proc/self/limits; grep -w db /etc/hosts; ls /dev/nothing',
  },
  {
    name: 'healthy',
    images: [
      versioned(1, 'HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD test -e /bin/sh', serve()),
      versioned(2, 'HEALTHCHECK --interval=1s --timeout=2s --retries=3 CMD true', serve()),
    ],
    meant: [/^Config\.Healthcheck\.Retries: 2 → 3$/, /^Config\.Healthcheck\.Test: /],
  },
  {
    name: 'own-healthcheck',
    images: [
      versioned(1, 'HEALTHCHECK --interval=7s --timeout=2s --retries=2 CMD true', serve()),
      versioned(2, 'HEALTHCHECK --interval=9s --timeout=3s --retries=3 CMD false', serve()),
    ],
    options: ['--health-interval=1s', '--health-cmd=test -e /bin/sh'],
    meant: [/^Config\.Healthcheck\.Retries: 2 → 3$/, /^Config\.Healthcheck\.Timeout: 2000000000 → 3000000000$/],
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
    says: 'up',
  },
  {
    name: 'ends-at-once',
    images: [versioned(1, serve()), versioned(2, 'CMD ["sh", "-c", "echo no configuration; exit 3"]')],
    options: ['--network=first', '--ip=10.91.0.10', '--restart=always', '-v', '/own'],
    write: 'echo precious > /own/file',
    read: 'cat /own/file',
    fails: /It ended (with exit code 3|right after its start and was restarted)/,
    says: 'no configuration',
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
    fails: endedAndRemoved,
    says: 'no configuration',
    // Made again: its volume has a name now.
    meant: named,
  },
  {
    name: 'removed-while-pruned',
    images: [
      versioned(1, serve()),
      versioned(
        2,
        // It is waited for until it ends.
        'HEALTHCHECK --interval=60s CMD false',
        'CMD ["sh", "-c", "until test -e /tmp/end; do sleep 0.05; done; echo no configuration; exit 4"]',
      ),
    ],
    // So that the image is used which all others are made on.
    beside: { name: 'keeper', options: [] },
    options: ['--rm', '--network=first', '--ip=10.91.0.12', '-v', '/own'],
    write: 'echo precious > /own/file',
    read: 'cat /own/file',
    during: pruneAndEnd,
    fails: endedAndRemoved,
    says: 'no configuration',
    meant: named,
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
      /^Config\.User: "1000" → "1001"$/,
      /^Config\.WorkingDir: "\/srv" → "\/opt"$/,
      /^Config\.StopSignal: "SIGTERM" → "SIGQUIT"$/,
      /^Config\.Entrypoint: /,
      /^Config\.Cmd: /,
      /^Path: "sh" → "env"$/,
      /^Args: /,
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

/** A container, and those that need it. */
type Family = {
  name: string;
  title: string;
  options?: readonly string[];
  followers: readonly { name: string; options: readonly string[]; command?: string }[];
  /** Newer images of the container with which its rebuild fails. */
  failures: readonly { config: readonly string[]; error: RegExp; says: string }[];
  /** Run in the last one after it was restarted. */
  reach?: readonly string[];
};

const ends = {
  config: ['CMD ["sh", "-c", "echo no configuration; exit 3"]'],
  error: /It ended with exit code 3/,
  says: 'no configuration',
};
/** Ends where the first process it sees is of the newer image. */
const fussy = `if grep -q newer /proc/1/cmdline; then echo no such neighbour; exit 5; fi; ${willing}`;
const joining = (mode: string, name: string) => `--${mode}=container:fairlead-test-${name}`;

const families: Family[] = [
  {
    name: 'gateway',
    title: 'those that join it, and each other in a row,',
    followers: [
      { name: 'side', options: [joining('network', 'gateway'), joining('pid', 'gateway')], command: fussy },
      { name: 'nested', options: [joining('network', 'side'), joining('pid', 'side')] },
    ],
    failures: [
      ends,
      { config: versioned(3, serve(': newer')), error: /It ended with exit code 5/, says: 'no such neighbour' },
    ],
  },
  {
    name: 'top',
    title: 'one that joins it, and one that joins both,',
    followers: [
      { name: 'left', options: [joining('network', 'top')] },
      { name: 'both', options: [joining('network', 'top'), joining('pid', 'left')] },
    ],
    failures: [ends],
  },
  {
    name: 'linked',
    title: 'those that have a legacy link to it',
    followers: [{ name: 'linking', options: ['--link=fairlead-test-linked:db'] }],
    failures: [ends],
    reach: ['ping', '-c', '1', '-w', '5', 'db'],
  },
  {
    name: 'vanishing',
    title: 'those that join one with --rm, or have a link to it,',
    options: ['--rm'],
    followers: [
      { name: 'joined', options: [joining('network', 'vanishing')] },
      { name: 'tied', options: ['--link=fairlead-test-vanishing:db'] },
    ],
    failures: [{ ...ends, error: /It ended with exit code 3|It ended right after its start, and was removed/ }],
    reach: ['ping', '-c', '1', '-w', '5', 'db'],
  },
];

// They mostly wait for containers to stop, and to run for a while.
t.jobs = 2;
/** Whether something is tried on an engine: they take turns. */
const isTurnOf = (version: EngineVersion, index: number) => engineVersionsInTurn(index).includes(version);

for (const version of engineVersionsToTest()) {
  t.test(`Rebuilds on engine ${version}`, { buffered: true }, async (t) => {
    const world = await startWorld(t, { version, env });
    if (!world) return;
    const { engine, fairlead } = world;
    const registries = await unlessMissing(t, () => startRegistries(engine));
    if (!registries) return;
    await engine.docker('network', 'create', 'first', '--subnet=10.91.0.0/24');
    await engine.docker('network', 'create', 'second', '--subnet=10.92.0.0/24');
    await engine.docker('network', 'create', 'six', '--ipv6', '--subnet=10.93.0.0/24', '--subnet=fd00:93::/64');
    await engine.docker('network', 'create', 'seven', '--ipv6', '--subnet=10.94.0.0/24', '--subnet=fd00:94::/64');
    const lab: Lab = { engine, fairlead, registries };
    const inTurn = async (index: number, name: string, test: (t: Test) => Promise<void>) => {
      if (isTurnOf(version, index)) await t.test(name, test);
    };

    for (const shape of shapes.filter((_, index) => isTurnOf(version, index))) {
      await t.test(`a container of the shape ${shape.name} is as before, but for what is meant`, async (t) => {
        const old = await makeShape(lab, shape);
        const before = await inspect(engine, old.name);
        const printed = await print(engine, old.name, shape);
        const newer = await registries.publish(old.path, { config: [...(shape.images ?? plain)[1]] });

        const [operation] = await Promise.all([rebuild(fairlead, old.name), shape.during?.(lab, old)]);

        const after = await inspect(engine, old.name);
        t.match(operation, {
          state: shape.fails ? 'rolled_back' : 'succeeded',
          ...(shape.fails && { error: shape.fails }),
        });
        t.equal(after.Image, shape.fails ? old.image : newer.id, 'on the right image');
        t.equal(after.State.Status, shape.becomes ?? before.State.Status, 'in the state it was in');
        const meant = [...(shape.meant ?? []), ...(shape.fails ? [] : usual)];
        t.strictSame(
          judge(differences(before, after), meant, version),
          asMeant,
          'other in what is meant, and only there',
        );
        for (const told of shape.told ?? []) t.match([before, after].map(toText), [told, told], `it has ${told}`);
        t.strictSame(
          volumesOf(before),
          volumesOf(after).filter(([path]) => path !== '/of-new'),
          'the very same volumes',
        );
        t.equal(await print(engine, old.name, shape), printed, 'its data and surroundings are there');
        if (shape.says) t.strictSame([...new Set(operation.lastLines)], [shape.says], 'its words');
        if (shape.name === 'two-networks') t.match(addressesOf(after), addressesOf(before), 'the same addresses');
        await remove(t, engine, old.name, ...besideOf(shape));
      });
    }

    for (const family of families.filter((_, index) => isTurnOf(version, index))) {
      await t.test(`${family.title} follow it, and come back with it`, async (t) => {
        const { name, path } = await makeShape(lab, { name: family.name, options: family.options ?? [] });
        const names = [name];
        for (const { name: follower, options, command = willing } of family.followers) {
          await engine.run(follower, { options, command: ['sh', '-c', command] });
          names.push(`fairlead-test-${follower}`);
        }
        const before = await inspectAll(engine, names);
        const newer = await registries.publish(path, { config: [...plain[1]] });

        t.match(await rebuild(fairlead, name), { state: 'succeeded', message: `${names.join(', ')} were rebuilt` });

        const after = await inspectAll(engine, names);
        t.equal(after[0]?.Image, newer.id);
        for (const [index, item] of after.entries()) {
          const old = before[index] ?? item;
          t.not(item.Id, old.Id, `${item.Name} is another one`);
          t.equal(item.State.Status, 'running');
          // Also whom it joins: the old ones before, the new ones now.
          const found = differences(old, item, { before, after });
          t.strictSame(judge(found, index === 0 ? usual : [], version), asMeant, 'the same, beside the new ones');
        }
        await restartLast(t, lab, names, family);

        for (const { config, error, says } of family.failures) {
          await registries.publish(path, { config: [...config] });
          t.match(await rebuild(fairlead, name), { state: 'rolled_back', error, lastLines: [says] });
          const back = await inspectAll(engine, names);
          for (const [index, item] of back.entries()) {
            const earlier = after[index] ?? item;
            t.equal(item.State.Status, 'running');
            if (!family.options?.includes('--rm')) t.equal(item.Id, earlier.Id, 'the very same container is back');
            t.strictSame(differences(earlier, item, { before: after, after: back }), []);
          }
          await restartLast(t, lab, names, family);
        }
        await remove(t, engine, ...names.toReversed());
      });
    }

    await inTurn(0, 'a project is rebuilt in the order of its dependencies, each by itself', async (t) => {
      const compose = (service: string, dependsOn: string) => [
        '--label=com.docker.compose.project=shop',
        `--label=com.docker.compose.service=${service}`,
        '--label=com.docker.compose.container-number=1',
        `--label=com.docker.compose.depends_on=${dependsOn}`,
      ];
      const db = await makeShape(lab, { name: 'shop-db', options: compose('db', '') });
      const api = await makeShape(lab, { name: 'shop-api', options: compose('api', 'db:service_started:false') });
      const web = await makeShape(lab, { name: 'shop-web', options: compose('web', 'api:service_started:false') });
      const names = [db.name, api.name, web.name];
      const before = await inspectAll(engine, names);
      await registries.publish(db.path, { config: [...plain[1]] });
      await registries.publish(api.path, { config: ['CMD ["sh", "-c", "echo no database; exit 1"]'] });
      await registries.publish(web.path, { config: [...plain[1]] });

      const stopped = await finish(fairlead, '/projects/shop/rebuild', { onFailure: 'stop' });
      t.match(stopped, {
        state: 'failed',
        results: [
          { name: db.name, ok: true },
          { name: api.name, ok: false, detail: /undone.*It ended with exit code 1/, lastLines: ['no database'] },
          { name: web.name, ok: false, detail: /Not begun/ },
        ],
      });
      t.equal((await inspect(engine, api.name)).Id, before[1]?.Id, 'the one that failed is back');
      t.equal((await inspect(engine, web.name)).Id, before[2]?.Id, 'and the one behind it was not touched');

      const gone = await finish(fairlead, '/projects/shop/rebuild', { onFailure: 'go_on' });
      t.match(gone.results, [
        { name: db.name, ok: true, detail: /already/ },
        { name: api.name, ok: false, lastLines: ['no database'] },
        { name: web.name, ok: true, detail: /was rebuilt/ },
      ]);
      t.notOk(gone.results[2]?.lastLines, 'no words of one that did not fail');
      for (const [index, name] of names.entries()) {
        const found = before[index] ? differences(before[index], await inspect(engine, name)) : ['missing'];
        t.strictSame(judge(found, name === api.name ? [] : usual, version), asMeant, name);
      }
      await remove(t, engine, ...names);
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

    await inTurn(1, 'what can not be rebuilt is refused with its reason', async (t) => {
      const privileged = await makeShape(lab, { name: 'privileged', state: 'created', options: ['--privileged'] });
      const task = await makeShape(lab, { name: 'task', options: ['--label=com.docker.swarm.task.id=abc'] });
      const pinned = await makeShape(lab, { name: 'pinned' });
      const [digest = ''] = JSON.parse(
        await engine.docker('image', 'inspect', '-f', '{{json .RepoDigests}}', pinned.image),
      ) as string[];
      await engine.run('digest', { options: ['--network=none'], image: digest });
      await engine.run('by-id', { options: ['--network=none'], image: pinned.image });
      await engine.run('exited', { command: ['sh', '-c', willing] });
      await engine.run('orphan', {
        options: ['--network=container:fairlead-test-exited'],
        command: ['sh', '-c', willing],
      });
      await engine.docker('stop', 'fairlead-test-exited');
      await engine.run('unstoppable', {
        options: ['--network=none', '--stop-timeout=-1'],
        command: ['sh', '-c', willing],
      });
      const refusals = [
        [privileged.name, 403, 'disabled', /is privileged/],
        [task.name, 409, 'conflict', /Swarm/],
        ['fairlead-test-digest', 409, 'conflict', /pinned to a digest/],
        ['fairlead-test-by-id', 409, 'conflict', /no tag to pull/],
        ['fairlead-test-exited', 409, 'conflict', /orphan runs on what fairlead-test-exited left behind when it ended/],
        ['fairlead-test-unstoppable', 409, 'conflict', /unstoppable may take for ever to stop, by its stop timeout/],
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
      await remove(t, engine, ...refusals.map(([name]) => name), pinned.name, 'fairlead-test-orphan');
    });
  });
}

type Lab = { engine: Engine; fairlead: Fairlead; registries: Registries };
type Made = { name: string; path: string; image: string };
type Asserting = Pick<Test, 'strictSame'>;

/** Publishes the old image and makes a container of the shape from it. */
async function makeShape({ engine, registries }: Lab, shape: Shape): Promise<Made> {
  const path = `shape/${shape.name}:1`;
  const { id: image } = await registries.publish(path, { config: [...(shape.images ?? plain)[0]] });
  const reference = `${registries.open.address}/${path}`;
  await engine.docker('pull', reference);
  const name = `fairlead-test-${shape.name}`;
  const options = shape.options ?? [];
  if (shape.beside) await engine.run(shape.beside.name, { ...shape.beside, command: ['sh', '-c', willing] });
  if (shape.state === 'created') await engine.docker('create', `--name=${name}`, ...options, reference);
  else await engine.run(shape.name, { options, image: reference, command: shape.command ?? [] });
  for (const network of shape.networks ?? []) await engine.docker('network', 'connect', ...network, name);
  if (shape.write) await engine.docker('exec', '-u', '0', name, 'sh', '-c', shape.write);
  if (shape.state === 'stopped') await engine.docker('stop', name);
  if (shape.state === 'paused') await engine.docker('pause', name);
  return { name, path, image };
}

/** Prunes all images while the new container is waited for, then lets that end and prunes them again. */
async function pruneAndEnd({ engine, fairlead }: Lab, { name, image }: Made) {
  const runsNew = `{{if ne .Image "${image}"}}{{.State.Running}}{{end}}`;
  const look = () => engine.docker('inspect', '-f', runsNew, name).catch(() => '');
  await until('the new container', async () => (await look()) === 'true', rebuildMs);
  await engine.docker('commit', 'fairlead-test-keeper', 'unused');
  const { results } = await finish(fairlead, '/images/prune', { unused: true });
  if (!results.some((pruned) => pruned.name === 'unused:latest')) throw new Error('What nobody uses was not pruned');
  // In the background: it takes what it runs in along.
  await engine.docker('exec', '-d', name, 'touch', '/tmp/end');
  await engine.docker('image', 'prune', '-af');
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

const toText = (value: unknown) => JSON.stringify(value);

const inspectAll = (engine: Engine, names: readonly string[]) =>
  Promise.all(names.map((name) => inspect(engine, name)));

const besideOf = ({ beside }: Shape) => (beside ? [`fairlead-test-${beside.name}`] : []);

const print = async (engine: Engine, name: string, { read, state }: Shape) =>
  read && !state ? engine.docker('exec', name, 'sh', '-c', read) : '';

const volumesOf = ({ Mounts }: Inspection) =>
  Mounts.flatMap(({ Type, Name, Destination }) => (Type === 'volume' ? [[Destination, Name] as const] : [])).sort();

const addressesOf = ({ NetworkSettings: { Networks } }: Inspection) =>
  Object.entries(Networks).map(([network, { IPAddress, MacAddress }]) => ({
    network,
    IPAddress,
    // The engine itself picks the address of the second one, anew at each start where it was not asked for one.
    ...(network === 'first' && { MacAddress }),
  }));

/** Shows that the engine can start the last one again where it is, and that it still reaches the first. */
async function restartLast(t: Asserting, { engine }: Lab, names: readonly string[], { reach }: Family) {
  const last = names.at(-1) ?? '';
  await engine.docker('restart', last);
  t.strictSame((await inspect(engine, last)).State.Status, 'running', 'it can be restarted');
  if (reach) await engine.docker('exec', last, ...reach);
}

/** Takes the containers away, and shows that no other is left of them. */
async function remove(t: Asserting, engine: Engine, ...names: string[]) {
  const all = (await engine.docker('ps', '-a', '--format', '{{.Names}}')).split('\n').filter(Boolean).sort();
  t.strictSame(all, [...names].sort(), 'nothing is left over');
  await engine.docker('rm', '-fv', ...names);
}
