import t from 'tap';
import { startApp } from '../support/app.ts';
import { byId, type Element, findAll, parseHtml, textOf } from '../support/page.ts';

const isLine = ({ attributes }: Element) => (attributes.class ?? '').split(' ').includes('log-line');
const start = Date.UTC(2026, 0, 2, 23, 59, 58);
const pages = [
  '/containers/web/logs',
  '/fragments/containers/web/logs',
  '/containers/web',
  '/projects/shop/logs',
  '/logs?container=web',
];

/** A program with a container of a project that writes once a second around midnight. */
function startWeb(t: Parameters<typeof startApp>[0]) {
  return startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web', labels: { 'com.docker.compose.project': 'shop' } });
      for (let n = 0; n < 4; n++) {
        engine.writeLog('web', `line ${n}`, { at: BigInt(start + n * 1_000) * 1_000_000n });
      }
    },
  });
}

const displayOf = (html: string) => {
  const { attributes = {} } = byId(parseHtml(html), 'log-lines') ?? {};
  return ['time', 'wrap', 'size', 'colours'].map((name) => attributes[`data-${name}`]).join(' ');
};

const chosenIn = (html: string) =>
  findAll(parseHtml(html), ({ tag, attributes }) => tag === 'input' && attributes.type === 'radio')
    .filter(({ attributes }) => 'checked' in attributes)
    .map(({ attributes }) => `${attributes.name}=${attributes.value} of ${attributes.form}`);

t.test('how logs are shown is chosen once and remembered by the browser, without a script', async (t) => {
  const app = await startWeb(t);
  const choices = { logTime: 'off', logWrap: 'off', logSize: 'huge', logColours: 'off' };
  const referer = `${app.url}/containers/web/logs?q=line`;
  const answer = await app.form('/preferences', choices, { referer });
  t.match(answer, { status: 303, headers: { location: '/containers/web/logs?q=line' } }, 'back to the same lines');
  const cookies = (answer.headers['set-cookie'] ?? '').split('\n');
  t.equal(cookies.length, 4);
  for (const cookie of cookies) t.match(cookie, /^\w+=\w+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax$/);
  const cookie = cookies.map((text) => text.split(';')[0]).join('; ');
  for (const page of pages) {
    t.equal(displayOf((await app.get(page)).text), 'utc on medium on', `${page} as usual`);
    const { text } = await app.get(page, { cookie });
    t.equal(displayOf(text), 'off off huge off', `${page} as chosen`);
    t.same(chosenIn(text).toSorted(), [
      'logColours=off of log-display',
      'logSize=huge of log-display',
      'logTime=off of log-display',
      'logWrap=off of log-display',
    ]);
  }
  const page = parseHtml((await app.get('/containers/web/logs', { cookie })).text);
  t.match(byId(page, 'log-display')?.attributes, { method: 'post', action: '/preferences' });
  const nested = findAll(page, ({ tag }) => tag === 'form').filter(
    (form) => findAll(form, ({ tag }) => tag === 'form').length > 1,
  );
  t.equal(nested.length, 0, 'no form within a form');
});

t.test('what is no choice is neither kept nor shown', async (t) => {
  const app = await startWeb(t);
  for (const fields of [{ logSize: 'gigantic' }, { logTime: 'Europe/Berlin' }, { logWrap: '' }, { logs: 'x' }]) {
    const answer = await app.form('/preferences', fields as Record<string, string>);
    t.match(answer, { status: 400, headers: { 'set-cookie': undefined } }, JSON.stringify(fields));
  }
  const cookie = 'logSize="><script>; logTime=__proto__; logWrap=ON; logColours=on off';
  const { text } = await app.get('/containers/web/logs', { cookie });
  t.equal(displayOf(text), 'utc on medium on');
});

t.test('what needs a script is offered to none without one, and the lines tell UTC until then', async (t) => {
  const app = await startWeb(t);
  const page = parseHtml((await app.get('/containers/web/logs', { cookie: 'logTime=local' })).text);
  const labels = findAll(page, ({ tag, attributes }) => tag === 'label' && /js-only/.test(attributes.class ?? ''));
  t.same(
    labels.map((label) => findAll(label, ({ tag }) => tag === 'input')[0]?.attributes.value),
    ['local', 'relative'],
  );
  t.equal(byId(page, 'log-lines')?.attributes['data-time'], 'local');
  const [time] = findAll(page, ({ tag, attributes }) => tag === 'time' && /^2026/.test(attributes.datetime ?? ''));
  t.equal(time && textOf(time), '23:59:58.000', 'one line is the same bytes for everybody');
});

t.test('the day is told above the first line and where it changes', async (t) => {
  const app = await startWeb(t);
  for (const page of pages) {
    const lines = findAll(parseHtml((await app.get(page)).text), isLine);
    t.same(
      lines.map(({ attributes }) => attributes['data-day']),
      ['Friday, 2 January 2026, UTC', undefined, 'Saturday, 3 January 2026, UTC', undefined],
      page,
    );
  }
});

t.test('a filter that is refused does not get into the address of the page', async (t) => {
  const app = await startWeb(t);
  const refused = await app.send('GET', '/containers/web/logs?q=(&regex=1', { 'hx-request': 'true' });
  t.match(refused, { status: 400, headers: { 'hx-replace-url': 'false' }, text: /not a regular expression/ });
  const plain = await app.get('/containers/web/logs?q=(&regex=1');
  t.match(plain, { status: 400, headers: { 'hx-replace-url': undefined } });
});

t.test('a page of no lines leads to no neighbours, and not to itself for ever', async (t) => {
  const app = await startWeb(t);
  for (const log of ['/containers/web/logs?', '/projects/shop/logs?', '/logs?container=web&']) {
    for (const place of ['before', 'after', 'at']) {
      const target = `${log}${place}=2026-01-02T23:59:59Z`;
      t.match((await app.get(`/api${target}&tail=1`)).headers.link, /rel="(prev|next)"/);
      const none = await app.get(`/api${target}&tail=0`);
      t.match(none, { status: 200, text: '', headers: { link: undefined } }, target);
      const page = parseHtml((await app.get(`${target}&tail=0`)).text);
      for (const id of ['log-earlier', 'log-later']) {
        t.notMatch(byId(page, id)?.attributes.href ?? '', 'tail=0', `${target}: ${id}`);
      }
    }
  }
});
