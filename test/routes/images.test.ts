import t from 'tap';
import { startApp, untilHolds } from '../support/app.ts';
import { byId, findAll, openPage, parseHtml, textOf } from '../support/page.ts';

const hex = (id: string) => id.replace('sha256:', '');

t.test('the list of images has three forms', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addImage({
        tags: ['lab/web:1', 'lab/web:2'],
        size: 5_000_000,
        created: Date.UTC(2026, 0, 2),
        labels: { maintainer: 'somebody' },
        digests: [`lab/web@sha256:${'a'.repeat(64)}`],
      });
      engine.addImage({ size: 1_000, created: Date.UTC(2025, 0, 2) });
      engine.addImage({ tags: ['registry.example:5000/team/db:17'], size: 9_000_000, created: Date.UTC(2024, 0, 2) });
      engine.addContainer({ name: 'web', image: 'lab/web:1' });
    },
  });
  const list = await app.api<Record<string, unknown>[]>('/images');
  t.equal(list.length, 3);
  t.match(list[0], {
    id: /^sha256:[0-9a-f]{64}$/,
    tags: ['lab/web:1', 'lab/web:2'],
    size: 5_000_000,
    created: '2026-01-02T00:00:00.000Z',
    repoDigests: [`lab/web@sha256:${'a'.repeat(64)}`],
    parentId: '',
    labels: { maintainer: 'somebody' },
    containers: [{ name: 'web', state: 'running' }],
    dangling: false,
  });
  t.match(list[1], { tags: [], dangling: true, containers: [] });
  const page = await app.get('/images');
  await untilHolds(app, '/images', '/fragments/images');
  for (const { id } of list as { id: string }[]) {
    t.match(byId(parseHtml(page.text), `image-${hex(id)}`), { tag: 'tr' });
  }
  const names = async (query: string) => {
    const found = await app.api<{ id: string; tags: string[] }[]>(`/images?${query}`);
    const shown = findAll(parseHtml((await app.get(`/images?${query}`)).text), ({ attributes }) =>
      /^image-[0-9a-f]{64}$/.test(attributes.id ?? ''),
    );
    t.strictSame(
      shown.map(({ attributes }) => attributes.id),
      found.map(({ id }) => `image-${hex(id)}`),
      `page and API agree on ${query}`,
    );
    return found.map(({ tags }) => tags[0] ?? '-').join();
  };
  t.equal(await names(''), 'lab/web:1,-,registry.example:5000/team/db:17', 'newest first');
  t.equal(await names('sort=size'), '-,lab/web:1,registry.example:5000/team/db:17');
  t.equal(await names('sort=-size'), 'registry.example:5000/team/db:17,lab/web:1,-');
  t.equal(await names('sort=created'), 'registry.example:5000/team/db:17,-,lab/web:1');
  t.equal(await names('sort=name'), 'lab/web:1,registry.example:5000/team/db:17,-');
  t.equal(await names('dangling=true'), '-');
  t.equal(await names('dangling=false'), 'lab/web:1,registry.example:5000/team/db:17');
  t.equal(await names('q=TEAM'), 'registry.example:5000/team/db:17');
  t.equal(await names('q=somebody'), 'lab/web:1', 'by label');
  t.match(JSON.parse((await app.get('/api/images?sort=colour')).text), {
    status: 400,
    code: 'invalid',
    detail: /^sort: /,
  });
});

t.test('one image has three forms, by id, prefix or tag', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      const base = engine.addImage({ tags: ['lab/base:1'] });
      engine.addImage({
        tags: ['lab/web:1'],
        parent: base.id,
        layers: [
          { createdBy: 'CMD ["serve"]', size: 0 },
          { createdBy: 'COPY <app> /srv', size: 4_000 },
          { createdBy: 'ENV API_TOKEN=hunter2', size: 0 },
        ],
        env: ['PATH=/bin', 'API_TOKEN=hunter2'],
        labels: { 'deploy.secret': 'hunter2' },
      });
      engine.addContainer({ name: 'user', image: 'lab/web:1', state: 'exited' });
    },
  });
  const { id, parent } = app.engine.image('lab/web:1');
  const refs = [id, hex(id), hex(id).slice(0, 12), 'lab%2Fweb:1', encodeURIComponent(id)];
  for (const ref of refs) {
    t.match(await app.api(`/images/${ref}`), { id, tags: ['lab/web:1'] }, ref.slice(0, 20));
    t.equal((await app.get(`/images/${ref}`)).status, 200);
  }
  t.match(await app.api(`/images/${hex(id)}`), {
    parentId: parent,
    layers: [
      { createdBy: 'CMD ["serve"]', size: 0 },
      { createdBy: 'COPY <app> /srv', size: 4_000 },
      { createdBy: /^ENV API_TOKEN=/, size: 0 },
    ],
    containers: [{ name: 'user', state: 'exited' }],
    architecture: 'amd64',
    os: 'linux',
  });
  const page = await app.get(`/images/${hex(id)}`);
  await untilHolds(app, `/images/${hex(id)}`, `/fragments/images/${hex(id)}`);
  t.match(textOf(parseHtml(page.text)), /COPY <app> \/srv/);
  t.match(textOf(parseHtml(page.text)), /user/);
  for (const path of ['', '/fragments', '/api'])
    t.notMatch((await app.get(`${path}/images/${hex(id)}`)).text, 'hunter2', `masked in ${path || 'the page'}`);
  for (const path of ['/images', '/api/images']) t.notMatch((await app.get(path)).text, 'hunter2', path);
  t.match(await app.api('/images/lab%2Fnobody:1'), {
    status: 404,
    code: 'not_found',
    detail: 'Image lab/nobody:1 not found',
  });
});

t.test('each refusal of a removal says what to do', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addImage({ tags: ['lab/two:1', 'other/two:1'] });
      const parent = engine.addImage({ tags: ['lab/parent:1'] });
      engine.addImage({ tags: ['lab/child:1'], parent: parent.id });
      engine.addContainer({ name: 'up', image: 'lab/up:1' });
      engine.addContainer({ name: 'down', image: 'lab/down:1', state: 'exited' });
    },
  });
  const remove = async (ref: string, body?: object) =>
    JSON.parse((await app.post(`/api/images/${encodeURIComponent(ref)}/remove`, body)).text);
  const idOf = (tag: string) => app.engine.image(tag).id;
  t.match(await remove(idOf('lab/two:1')), { status: 409, code: 'image_multiple_repositories', detail: /tags|force/ });
  t.match(await remove(idOf('lab/parent:1')), { status: 409, code: 'image_has_children', detail: /children first/ });
  t.match(await remove(idOf('lab/up:1')), { status: 409, code: 'image_in_use', detail: /running container.*[Ss]top/ });
  t.match(await remove(idOf('lab/down:1')), {
    status: 409,
    code: 'image_in_use',
    detail: /Remove the container|force/,
  });
  t.match(await remove('lab/down:1'), { status: 409, code: 'image_in_use' }, 'by its tag too');
  t.equal(app.engine.images().length, 5, 'nothing was removed');
  t.match(await remove(idOf('lab/down:1'), { force: true }), { removed: true });
  t.match(await remove(idOf('lab/two:1'), { force: true }), { removed: true });
  t.match(await remove('lab/child:1'), { removed: true });
  t.match(await remove('lab/nobody:1'), { status: 404, code: 'not_found' });
  t.strictSame((await app.api<{ tags: string[] }[]>('/images')).flatMap(({ tags }) => tags).sort(), [
    'lab/parent:1',
    'lab/up:1',
  ]);
});

t.test('a tag is removed alone, and in each of the forms', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addImage({ tags: ['lab/web:1', 'lab/web:2'] });
      engine.addImage({ tags: ['lab/db:1'] });
    },
  });
  const asked = await app.get('/images/lab%2Fweb:2/remove');
  t.equal(asked.status, 200);
  t.ok(findAll(parseHtml(asked.text), ({ attributes }) => attributes.name === 'force').length > 0);
  const form = await app.form('/images/lab%2Fweb:2/remove');
  t.equal(form.status, 303);
  t.equal(form.headers.location, '/images');
  t.strictSame(app.engine.image('lab/web:1').tags, ['lab/web:1'], 'the other tag stays');
  const cookie = form.headers['set-cookie']?.split(';')[0] ?? '';
  const next = parseHtml((await app.get('/images', { cookie })).text);
  t.match(textOf(byId(next, 'messages') ?? next), 'Image lab/web:2 was removed.', 'the next page says so');
  const { id } = app.engine.image('lab/db:1');
  const page = openPage((await app.get('/images')).text);
  const htmx = await app.htmx(`/images/${hex(id)}/remove`);
  t.match(htmx.text, `<hx-partial hx-target="#image-${hex(id)}" hx-swap="delete">`);
  page.apply(htmx.text);
  t.strictSame(page.missed, []);
  t.notOk(page.part(`image-${hex(id)}`), 'its row goes');
  const answer = byId(page.part('messages') ?? page.root, 'answer');
  t.match(answer && textOf(answer), 'Image lab/db:1 was removed.');
  t.ok(answer && findAll(answer, ({ attributes }) => attributes.role === 'status').length === 1);
});

t.test('wrong references are refused before the engine is asked', async (t) => {
  const app = await startApp(t);
  app.engine.forgetRequests();
  for (const ref of [
    '..%2Fversion%3Fx=',
    '%2e%2e',
    'a'.repeat(10_000),
    'lab%2F..%2Fdb',
    'lab%2F%2Fdb',
    '%2Flab',
    'a%20b',
    'lab%2F.',
  ]) {
    for (const path of ['', '/fragments', '/api'])
      t.equal((await app.get(`${path}/images/${ref}`)).status, 400, `${path}/images/${ref.slice(0, 20)}`);
    t.equal((await app.post(`/api/images/${ref}/remove`)).status, 400);
  }
  t.notOk(app.engine.requests.some(({ path }) => /images|version/.test(path)));
});

t.test('images of every engine are shown, whatever they leave out', async (t) => {
  for (const version of ['20.10', 'podman'] as const) {
    const app = await startApp(t, {
      engine: { version },
      prepare: (engine) => {
        engine.addImage({ tags: ['lab/web:1'] });
        engine.addImage({});
      },
    });
    const list = await app.api<{ tags: string[]; dangling: boolean; id: string }[]>('/images');
    t.equal(list.length, 2);
    t.equal(list.filter(({ dangling }) => dangling).length, 1, `${version}: <none> is no tag`);
    for (const { id } of list) t.equal((await app.get(`/images/${hex(id)}`)).status, 200);
    await app.close();
  }
});

t.test('a reference names what it says and nothing that begins alike', async (t) => {
  const id = `sha256:cafe1${'0'.repeat(59)}`;
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addImage({ id, tags: ['cafe', 'lab/web:1'], digests: [`lab/web@sha256:${'a'.repeat(64)}`] });
      const layer = engine.addImage({ id: `sha256:beef${'0'.repeat(60)}` });
      engine.addImage({ tags: ['lab/child:1'], parent: layer.id });
    },
  });
  for (const ref of ['cafe1', 'sha256:cafe1', 'cafe1000000', 'beef', `beef${'0'.repeat(7)}`]) {
    t.match(await app.api(`/images/${ref}`), { status: 404, code: 'not_found', detail: `Image ${ref} not found` }, ref);
    t.equal((await app.post(`/api/images/${ref}/remove`, { force: true })).status, 404, `removal of ${ref}`);
  }
  t.equal(app.engine.requestsTo('DELETE', /images/).length, 0, 'the engine was asked to remove nothing');
  for (const ref of [`beef${'0'.repeat(8)}`, `sha256:beef${'0'.repeat(60)}`, `lab%2Fweb@sha256:${'a'.repeat(64)}`])
    t.equal((await app.get(`/api/images/${ref}`)).status, 200, ref);

  t.equal((await app.post('/api/images/cafe/remove')).status, 200);
  t.strictSame(app.engine.image(id).tags, ['lab/web:1'], 'a tag that its own image begins with is a tag');
  t.match(app.engine.requestsTo('DELETE', /images/), [{ path: /cafe(:|%3A)latest$/ }], 'and is written out');
});
