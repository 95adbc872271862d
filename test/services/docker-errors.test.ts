import { readFileSync } from 'node:fs';
import t from 'tap';
import { connectionProblem, engineProblem } from '../../src/services/docker-errors.ts';

type Recorded = { errors: Record<string, { status: number; body: { message: string } | null }> };
const engines: Record<string, Recorded> = JSON.parse(
  readFileSync(new URL('../fixtures/engines.json', import.meta.url), 'utf8'),
);

const subject = 'Container web';
const expected: Record<string, { path: string; subject: string; code: string; detail: RegExp }> = {
  'kill.stopped': { path: '/containers/web/kill', subject, code: 'conflict', detail: /^Container web is not running$/ },
  'inspect.404': { path: '/containers/web/json', subject, code: 'not_found', detail: /^Container web not found$/ },
  'create.409': { path: '/containers/create', subject: '', code: 'conflict', detail: /^That name is already in use/ },
  'start.portconflict': {
    path: '/containers/web/start',
    subject,
    code: 'conflict',
    detail: /^Port 18081 is already in use by another container$/,
  },
  'image.404': {
    path: '/images/nope/json',
    subject: 'Image nope',
    code: 'not_found',
    detail: /^Image nope not found$/,
  },
  'exec.stopped': { path: '/containers/web/exec', subject, code: 'conflict', detail: /^Container web is not running$/ },
  'start.badcmd': { path: '/containers/web/start', subject, code: 'engine_error', detail: /no such file or directory/ },
  'pull.refused': {
    path: '/images/create',
    subject: 'Image 127.0.0.1:5009/lab/web:1',
    code: 'registry_unreachable',
    detail: /^The registry 127.0.0.1:5009 can't be reached: connection refused\.$/,
  },
};

for (const [name, { errors }] of Object.entries(engines)) {
  t.test(`${name}: each recorded refusal has its code and its sentence`, async (t) => {
    for (const [key, { path, subject, code, detail }] of Object.entries(expected)) {
      const recorded = errors[key];
      if (!recorded?.body) continue;
      const problem = engineProblem(recorded.status, recorded.body.message, { method: 'POST', path, subject });
      t.match(problem, { code, message: detail, engineMessage: recorded.body.message }, `${key} (${recorded.status})`);
    }
  });
}

t.test('every sentence that an engine has for one thing means that thing', async (t) => {
  const id = 'a'.repeat(64);
  const container = (action: string) => ({ method: 'POST', path: `/containers/${id}${action}`, subject });
  const image = { method: 'DELETE', path: '/images/lab', subject: 'Image lab' };
  const cases = [
    [
      409,
      `You cannot remove a running container ${id}. Stop the container before attempting removal or force remove`,
      container(''),
      'conflict',
      /is running\. Stop it first, or force/,
    ],
    [
      409,
      'cannot remove container "/web": container is running: stop the container before removing or force remove',
      container(''),
      'conflict',
      /is running\. Stop it first, or force/,
    ],
    [
      409,
      'cannot remove container "/web": container is paused and must be unpaused first',
      container(''),
      'conflict',
      /is paused\. Unpause and stop it first, or force/,
    ],
    [
      409,
      `You cannot remove a paused container ${id}. Unpause and then stop the container before attempting removal or force remove`,
      container(''),
      'conflict',
      /is paused\. Unpause and stop it first, or force/,
    ],
    [409, `removal of container ${id} is already in progress`, container(''), 'conflict', /being removed/],
    [409, `Container ${id} is already paused`, container('/pause'), 'conflict', /already paused/],
    [500, `Container ${id} is not paused`, container('/unpause'), 'conflict', /is not paused/],
    [
      409,
      `Container ${id} is paused. Unpause the container before stopping or killing`,
      container('/restart'),
      'conflict',
      /is paused/,
    ],
    [409, 'cannot start a paused container, try unpause instead', container('/start'), 'conflict', /paus/],
    [
      500,
      'driver failed: Bind for [::]:8443 failed: port is already allocated',
      container('/start'),
      'conflict',
      /^Port 8443 is already/,
    ],
    [
      500,
      'listen tcp 127.0.0.1:5432: bind: address already in use',
      container('/start'),
      'conflict',
      /^Port 5432 is already/,
    ],
    [
      500,
      'cannot listen on the UDP port: listen udp4 :53: bind: address already in use',
      container('/start'),
      'conflict',
      /^Port 53 is already/,
    ],
    [
      500,
      'rootlessport listen tcp 0.0.0.0:8080: bind: address already in use',
      container('/start'),
      'conflict',
      /^Port 8080 is already/,
    ],
    [
      409,
      'conflict: unable to delete 2d64d67f0d9b (must be forced) - image is referenced in multiple repositories',
      image,
      'image_multiple_repositories',
      /tags|force/,
    ],
    [
      409,
      'conflict: unable to delete 2d64d67f0d9b (cannot be forced) - image has dependent child images',
      image,
      'image_has_children',
      /children/,
    ],
    [
      409,
      'conflict: unable to delete 2d64d67f0d9b (cannot be forced) - image is being used by running container 05',
      image,
      'image_in_use',
      /running container\. Stop/,
    ],
    [
      409,
      'conflict: unable to delete 2d64d67f0d9b (must be forced) - image is being used by stopped container 05',
      image,
      'image_in_use',
      /Remove the container/,
    ],
    [
      409,
      'conflict: unable to remove repository reference "lab" (must force) - container 05 is using its referenced image 2d',
      image,
      'image_in_use',
      /./,
    ],
    [
      409,
      'image used by 0569: image is in use by a container: consider listing external containers and force-removing image',
      image,
      'image_in_use',
      /./,
    ],
    [
      409,
      'unable to delete image "2d64" by ID with more than one tag ([a b]): please force removal',
      image,
      'image_multiple_repositories',
      /./,
    ],
    [409, 'something new', image, 'conflict', /^something new$/],
    [500, 'something new', image, 'engine_error', /^something new$/],
    [418, '', image, 'engine_error', /status 418/],
    [404, 'No such network: x', container('/start'), 'not_found', /^No such network: x$/],
    [404, 'network shop_default not found', container('/start'), 'not_found', /^network shop_default not found$/],
    [404, '', container('/start'), 'not_found', /^Container web not found$/],
    [404, `No such container: ${id}`, container('/start'), 'not_found', /^Container web not found$/],
    [404, 'lab: image not known', image, 'not_found', /^Image lab not found$/],
  ] as const;
  for (const [status, message, call, code, detail] of cases) {
    const problem = engineProblem(status, message, call);
    t.equal(problem.code, code, message);
    t.match(problem.message, detail, message);
  }
});

t.test('a full id in a sentence is shortened', async (t) => {
  const problem = engineProblem(404, 'No such image: x', {
    method: 'GET',
    path: '/x',
    subject: `Image sha256:${'ab'.repeat(32)}`,
  });
  t.equal(problem.message, 'Image abababababab not found');
});

t.test('why there is no connection is told where it helps', async (t) => {
  const told = (code: string) => connectionProblem('unix:///run/x.sock', code, 'x').message;
  for (const code of ['EACCES', 'ENOENT', 'ECONNREFUSED', 'ENOTFOUND', 'ECONNRESET', '']) {
    t.match(told(code), /^Cannot connect to the Docker daemon at unix:\/\/\/run\/x\.sock\./);
  }
  t.match(told('EACCES'), /group/);
  t.match(told('ENOENT'), /no such socket/);
  t.match(connectionProblem('x', 'CERT_HAS_EXPIRED', 'certificate has expired').message, /certificate has expired\.$/);
  const problem = connectionProblem('x', 'ENOENT', 'connect ENOENT /run/x.sock');
  t.equal(problem.code, 'engine_unreachable');
  t.equal(problem.engineMessage, undefined, "the runtime's words are no answer of the engine");
  t.match(problem.cause, { message: 'connect ENOENT /run/x.sock' }, 'but the log has them');
});
