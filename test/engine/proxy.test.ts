import t from 'tap';
import { startApp, until } from '../support/app.ts';
import { engineVersionsInTurn, startEngine } from './engine.ts';
import { unlessMissing } from './missing.ts';
import { startReadingProxy } from './proxy.ts';

const notice = 'Nothing can be changed: what is in front of the engine refuses it.';

for (const version of engineVersionsInTurn(1)) {
  t.test(`${version}: behind a proxy that lets only reading pass, changes are not offered`, async (t) => {
    const engine = await unlessMissing(t, () => startEngine({ version }));
    if (!engine) return;
    t.teardown(() => engine.stop());
    const proxy = await unlessMissing(t, () => startReadingProxy(engine.socketPath));
    if (!proxy) return;
    t.teardown(() => proxy.stop());
    const id = await engine.run('web', { command: ['sleep', '1000'] });
    const known = () => engine.docker('ps', '-aq', '--no-trunc');
    const before = await known();

    const open = await startApp(t, { env: { DOCKER_HOST: engine.host } });
    const offering = (await open.get('/containers')).text;
    t.notMatch(offering, 'Nothing can be changed');
    t.notMatch(offering, 'Not everything can be done', 'an engine by itself refuses no probe');
    t.match(offering, /formaction="\/containers\/[^"]*\/stop"/);
    t.equal(await known(), before, 'and none of them changed anything');

    const closed = await startApp(t, { env: { DOCKER_HOST: proxy.host } });
    for (const path of ['/containers', `/containers/${id}`, '/images']) {
      const { status, text } = await closed.get(path);
      t.equal(status, 200, path);
      t.match(text, notice);
      t.notMatch(text, /(?:action|href)="[^"]*\/(start|stop|restart|kill|remove|rebuild|pull|prune)"/);
    }
    for (const path of [`/api/containers/${id}/stop`, `/api/containers/${id}/rebuild`, '/api/images/prune'])
      t.match(JSON.parse((await closed.post(path)).text), { status: 403, code: 'disabled', detail: notice }, path);
    t.match(await closed.get(`/containers/${id}/logs`), { status: 200 });

    await open.post(`/api/containers/${id}/kill`);
    const isExited = async () => (await closed.api<{ state: string }>(`/containers/${id}`)).state === 'exited';
    await until(isExited, 'the events of the engine come through the proxy', 30_000);
  });
}
