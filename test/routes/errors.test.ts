import t from 'tap';
import { startApp } from '../support/app.ts';
import { findAll, parseHtml, textOf } from '../support/page.ts';

t.test('what is not there is told in the form that was asked for', async (t) => {
  const app = await startApp(t);
  const page = await app.get('/nowhere');
  t.equal(page.status, 404);
  t.match(page.headers['content-type'], 'text/html');
  t.match(page.text, /<!doctype html>/i);
  t.match(page.text, page.headers['x-request-id'] ?? 'no id');
  const fragment = await app.get('/fragments/nowhere');
  t.equal(fragment.status, 404);
  t.notMatch(fragment.text, '<html');
  t.ok(findAll(parseHtml(fragment.text), ({ attributes }) => attributes.role === 'alert').length > 0);
  const api = await app.get('/api/nowhere');
  t.equal(api.status, 404);
  t.equal(api.headers['content-type']?.split(';')[0], 'application/problem+json');
  t.strictSame(Object.keys(JSON.parse(api.text)).sort(), ['code', 'detail', 'requestId', 'status', 'title', 'type']);
  t.match(JSON.parse(api.text), { type: 'about:blank', title: 'Not Found', status: 404, code: 'not_found' });
  t.equal(JSON.parse(api.text).requestId, api.headers['x-request-id']);
  t.equal((await app.get('/api')).status, 404);
  t.equal((await app.send('DELETE', '/containers')).status, 404);
  const nasty = await app.get('/%3Cscript%3Ealert(1)%3C%2Fscript%3E');
  t.notMatch(nasty.text, '<script>alert');
});

t.test('every fault of the engine has its status, its code and its words', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const faults = [
    [500, '{"message":"something broke"}', { status: 502, code: 'engine_error', detail: 'something broke' }],
    [500, 'plain words', { status: 502, code: 'engine_error', detail: 'plain words' }],
    [503, '<html>proxy</html>', { status: 502, code: 'engine_error' }],
    [200, '{"Id":', { status: 502, code: 'engine_error', detail: /not JSON/ }],
    [200, '[1]', { status: 502, code: 'engine_error' }],
    [404, '{"message":"No such container: x"}', { status: 404, code: 'not_found', detail: /^Container .* not found$/ }],
  ] as const;
  for (const [status, body, expected] of faults) {
    const fault = app.engine.faults.status(status, body, 'application/json', { path: /containers\/[^/]+\/json/ });
    const api = await app.get('/api/containers/web');
    t.match(JSON.parse(api.text), expected, `${status} ${body}`);
    t.equal(api.status, expected.status);
    const page = await app.get('/containers/web');
    t.equal(page.status, expected.status, 'the page too');
    t.notMatch(page.text, '<html>proxy', 'and what the engine says is a text');
    fault.remove();
  }
  const cut = app.engine.faults.cut({ path: /containers\/[^/]+\/json/ });
  t.match(JSON.parse((await app.get('/api/containers/web')).text), { status: 503, code: 'engine_unreachable' });
  cut.remove();
  t.equal((await app.get('/api/containers/web')).status, 200, 'and then all is well');
});

t.test('no answer shows a stack, a path of the server or what the query was', async (t) => {
  const app = await startApp(t, { prepare: (engine) => engine.addContainer({ name: 'web' }) });
  const paths = [
    '/containers/%',
    '/api/containers/%',
    '/fragments/%E0%A4%A',
    '/containers?sort=x',
    '/live',
    '/api/live',
    '/containers/web/dance',
  ];
  for (const path of paths) {
    const { status, text, headers } = await app.get(path);
    t.ok(status >= 400 && status < 500, `${path}: ${status}`);
    t.notMatch(text, /at .*\.ts|node_modules|\/src\/|Error:/, path);
    t.ok(headers['x-request-id'], path);
  }
});

t.test('an unknown id of nobody reads as a sentence', async (t) => {
  const app = await startApp(t);
  const page = await app.get('/containers/nobody');
  t.equal(page.status, 404);
  t.match(textOf(parseHtml(page.text)), 'Container nobody not found');
  t.match(await app.api('/containers/nobody/stats'), { status: 404, detail: 'Container nobody not found' });
});
