import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { engineVersionsToTest, startEngine } from './engine.ts';
import { unlessMissing } from './missing.ts';
import { placeOf } from './place.ts';
import { familyOf } from './processes.ts';

const page = { options: ['-p', '8080:80'], command: ['httpd', '-f', '-h', '/etc'] };

for (const version of engineVersionsToTest()) {
  t.test(`A private engine ${version}`, async (t) => {
    const engine = await unlessMissing(t, () => startEngine({ version, flags: ['--live-restore'] }));
    if (!engine) return;
    t.teardown(engine.stop);

    await t.test('starts and is of the version that was asked for', async (t) => {
      t.match(await engine.docker('version', '-f', '{{.Server.Version}}'), new RegExp(`^${version}\\.`));
      t.match(await engine.docker('version', '-f', '{{.Client.Version}}'), new RegExp(`^${version}\\.`));
    });

    await t.test('knows nothing of what another engine has', async (t) => {
      t.equal(await engine.docker('ps', '-aq'), '');
      t.equal(await engine.docker('images', '--format', '{{.Repository}}:{{.Tag}}'), 'fairlead-test/busybox:latest');
    });

    await t.test('runs a container whose published port answers', async (t) => {
      await engine.run('web', page);
      t.match(await textFrom(`http://${engine.address}:8080/passwd`), /^root:/);
      t.match(
        await engine.docker('ps', '--format', '{{.Names}} {{.Labels}}'),
        /^fairlead-test-web fairlead\.test=\w+$/,
      );
    });

    await t.test('says what the docker CLI complains of', async (t) => {
      await t.rejects(engine.docker('inspect', 'nothing'), { message: /No such object: nothing/i });
    });

    await t.test('survives a kill, and its containers live on', async (t) => {
      const before = await engine.docker('inspect', '-f', '{{.State.StartedAt}}', 'fairlead-test-web');
      await engine.kill();
      await t.rejects(engine.docker('ps'), 'nobody answers while it is dead');
      await engine.start();
      t.equal(await engine.docker('inspect', '-f', '{{.State.StartedAt}}', 'fairlead-test-web'), before);
      t.match(await textFrom(`http://${engine.address}:8080/passwd`), /^root:/);
    });

    await t.test('runs beside a second one with the same port published', async (t) => {
      const second = await startEngine({ version });
      t.teardown(second.stop);
      await second.run('web', page);
      t.not(second.address, engine.address);
      t.match(await textFrom(`http://${second.address}:8080/passwd`), /^root:/);
      t.match(await textFrom(`http://${engine.address}:8080/passwd`), /^root:/);
    });

    await t.test('leaves nothing behind when it stops, also without a dockerd to ask', async (t) => {
      const place = placeOf(Number(basename(dirname(engine.socketPath))));
      t.ok(existsSync(place.folder));
      await engine.kill();
      await engine.stop();
      t.notOk(existsSync(place.folder));
      t.notOk(existsSync(`/run/netns/${place.namespace}`));
      t.notOk(existsSync(`/sys/class/net/${place.link}`));
      t.same(familyOf(place.exec), []);
      t.notMatch(readFileSync('/proc/mounts', 'utf8'), `${place.folder}/`);
    });
  });
}

/** The body at an address, asked for again until the server in a new container listens; throws after 10 s. */
async function textFrom(url: string): Promise<string> {
  const end = performance.now() + 10_000;
  for (;;) {
    try {
      return await (await fetch(url, { signal: AbortSignal.timeout(2000) })).text();
    } catch (error) {
      if (performance.now() > end) throw error;
      await delay(20);
    }
  }
}
