import t from 'tap';
import { startApp, type TestApp, until } from '../support/app.ts';
import { type Element, findAll, parseHtml, textOf } from '../support/page.ts';
import { openViewer } from '../support/viewer.ts';

const hasClass = (name: string) => (element: Element) => (element.attributes.class ?? '').split(' ').includes(name);

const linesIn = (root: Element) => findAll(root, hasClass('log-line'));

const linesOf = async (app: TestApp, path: string) => linesIn(parseHtml((await app.get(path)).text));

const json = '{"level":50,"time":1737727312610,"msg":"payment failed","order":7,"card":{"kind": "visa"}}';

t.test('a line of JSON is folded in every view, and raw for scripts', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      engine.writeLog('web', json);
      engine.writeLog('web', 'level=warn msg=plain');
    },
  });
  const wanted = /error payment failed order=7\s*card=\{"kind":"visa"\}/;
  for (const path of ['/containers/web', '/containers/web/logs', '/fragments/containers/web/logs']) {
    const [folded, plain] = await linesOf(app, path);
    t.match(textOf(folded as Element), wanted, path);
    t.match(folded?.attributes, { 'data-level': 'error', 'data-stream': 'stdout', 'data-cursor': /./ });
    const [raw] = findAll(folded as Element, ({ tag }) => tag === 'details');
    t.ok(textOf(raw as Element).includes(json), 'the raw line is there to be opened');
    t.equal(findAll(plain as Element, ({ tag }) => tag === 'details').length, 0);
    t.equal(plain?.attributes['data-level'], 'warn');
  }
  const { text } = await app.get('/api/containers/web/logs?level=error');
  t.equal(JSON.parse(text).text, json);
  t.strictSame(Object.keys(JSON.parse(text)).sort(), ['at', 'container', 'cursor', 'stream', 'text']);

  const { page, connect } = await openViewer(app, '/fragments/containers/web/logs?q=visa');
  const { live } = await connect();
  app.engine.writeLog('web', json.replace('payment', 'second payment'));
  await until(() => linesIn(page.root).length === 2, 'the new line');
  t.match(textOf(linesIn(page.root)[1] as Element), /error second payment failed order=7/, 'also while following');
  live.socket.close();
});

t.test('a search goes through the raw line, and its finds are marked where they are', async (t) => {
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web' });
      engine.writeLog('web', json);
    },
  });
  const marks = (line: Element | undefined) => findAll(line as Element, ({ tag }) => tag === 'mark').map(textOf);
  const isMarked = (line: Element | undefined) => findAll(line as Element, hasClass('raw')).some(hasClass('found'));
  const [shown] = await linesOf(app, '/containers/web/logs?q=failed');
  t.strictSame(marks(shown), ['failed', 'failed'], 'in the message and in the raw line');
  t.equal(isMarked(shown), false);
  const [hidden] = await linesOf(app, '/containers/web/logs?q=1737727312610');
  t.strictSame(marks(hidden), ['1737727312610'], 'in the raw line alone');
  t.equal(isMarked(hidden), true, 'which says so while it is closed');
  t.match(textOf(hidden as Element), 'Raw line, which has a find');
});

t.test('a stack trace is one with the line above it, in every view', async (t) => {
  const trace = ['ERROR could not save', '\tat a (A.java:1)', 'Caused by: x', '\t... 2 more'];
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web', labels: { 'com.docker.compose.project': 'shop' } });
      for (const text of ['INFO start', ...trace, 'INFO end']) engine.writeLog('web', text);
    },
  });
  const looks = (lines: readonly Element[]) =>
    lines.map((line) => [line.attributes['data-level'], hasClass('continued')(line)]);
  const whole = [
    ['error', false],
    ['error', true],
    ['error', true],
    ['error', true],
  ];
  const all = [['info', false], ...whole, ['info', false]];
  t.strictSame(looks(await linesOf(app, '/containers/web/logs')), all);
  t.strictSame(looks(await linesOf(app, '/projects/shop/logs')), all);
  t.strictSame(looks(await linesOf(app, '/containers/web/logs?level=error')), whole, 'a level takes it as a whole');
  t.strictSame(looks(await linesOf(app, '/containers/web/logs?q=more')), [['error', false]], 'a search takes lines');
  const { text } = await app.get('/api/containers/web/logs?level=error');
  const told = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.strictSame(
    told.map((line) => line.text),
    trace,
  );
  t.strictSame([...new Set(told.flatMap(Object.keys))].sort(), ['at', 'container', 'cursor', 'stream', 'text']);

  for (const path of ['/fragments/containers/web/logs', '/fragments/projects/shop/logs']) {
    const { page, connect } = await openViewer(app, path);
    const before = linesIn(page.root).length;
    const { live } = await connect();
    for (const text of trace) app.engine.writeLog('web', text);
    await until(() => linesIn(page.root).length === before + trace.length, 'the new lines');
    t.strictSame(looks(linesIn(page.root).slice(before)), whole, `${path}, while it is followed`);
    live.socket.close();
  }
});

t.test('a search shows the lines around each match, in each form', async (t) => {
  const texts = ['a', 'b', 'hit 1', 'c', 'd', 'e', 'f', 'hit 2', 'g'];
  const app = await startApp(t, {
    prepare: (engine) => {
      engine.addContainer({ name: 'web', labels: { 'com.docker.compose.project': 'shop' } });
      for (const text of texts) engine.writeLog('web', text);
    },
  });
  const textsOf = (lines: readonly Element[]) => lines.map((line) => textOf(line).replace(/^[\d:.]{12}(?:web)?/, ''));
  const shown = ['Context: b', 'hit 1', 'Context: c', 'Context: f', 'hit 2', 'Context: g'];
  const paths = ['/containers/web/logs', '/fragments/containers/web/logs', '/projects/shop/logs'];
  for (const path of paths) {
    const lines = await linesOf(app, `${path}?q=hit&context=1`);
    t.strictSame(textsOf(lines), shown, `${path}: a word tells what is no match`);
    t.strictSame(lines.map(hasClass('context')), [true, false, true, true, false, true], 'and a class');
    t.strictSame(lines.map(hasClass('apart')), [true, false, false, true, false, false], 'groups stand apart');
  }
  const [page] = await Promise.all([app.get('/containers/web/logs?q=hit&context=3')]);
  const [select] = findAll(parseHtml(page.text), ({ attributes }) => attributes.name === 'context');
  const chosen = findAll(select as Element, ({ attributes }) => 'selected' in attributes);
  t.strictSame(chosen.map(textOf), ['± 3 lines'], 'the form says what is chosen');
  t.match(page.text, /log-earlier" href="[^"]*q=hit&amp;context=3/, 'links take it along');

  const { text } = await app.get('/api/containers/web/logs?q=hit&context=1');
  const told = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.strictSame(
    told.map((line) => [line.text, line.isContext]),
    [
      ['b', true],
      ['hit 1', undefined],
      ['c', true],
      ['f', true],
      ['hit 2', undefined],
      ['g', true],
    ],
  );
  t.strictSame(Object.keys(told[0]).sort(), ['at', 'container', 'cursor', 'isContext', 'stream', 'text']);
  const plain = { accept: 'text/plain' };
  t.equal((await app.get('/api/containers/web/logs?q=hit&context=1', plain)).text, 'b\nhit 1\nc\n--\nf\nhit 2\ng\n');
  t.equal((await app.get('/api/containers/web/logs?q=hit', plain)).text, 'hit 1\nhit 2\n');
  t.equal((await app.get('/api/containers/web/logs?context=5&tail=2', plain)).text, 'hit 2\ng\n', 'nothing to match');
  for (const context of ['11', '-1', 'x', '1.5']) {
    t.equal((await app.get(`/api/containers/web/logs?q=hit&context=${context}`)).status, 400, context);
  }

  const { page: view, connect } = await openViewer(app, '/fragments/containers/web/logs?q=hit&context=1');
  const { live } = await connect();
  for (const more of ['h', 'hit 3', 'i']) app.engine.writeLog('web', more);
  await until(() => linesIn(view.root).length === 9, 'the lines around the new match');
  t.strictSame(textsOf(linesIn(view.root)), [...shown, 'Context: h', 'hit 3', 'Context: i'], 'also while following');
  t.strictSame(linesIn(view.root).slice(6).map(hasClass('apart')), [false, false, false], 'right behind the last one');
  live.socket.close();
});
