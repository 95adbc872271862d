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

const digest = `sha256:${'ab'.repeat(32)}`;
const pull = (reference: string) => ({ method: 'POST', path: '/images/create', subject: `Image ${reference}` });
const ask = (reference: string) => ({
  method: 'GET',
  path: `/distribution/${encodeURIComponent(reference)}/json`,
  subject: `Image ${reference}`,
});

/** The engine asks a registry in two calls: to pull, and to tell a digest. */
const registryCalls = (reference: string) => [pull(reference), ask(reference)];

t.test('what a registry does not have is not found', async (t) => {
  const messages = [
    'manifest for lab/web:none not found: manifest unknown: manifest unknown',
    'manifest unknown: manifest unknown',
    'manifest unknown',
    'name unknown: repository name not known to registry',
    'failed to resolve reference "docker.io/lab/web:none": docker.io/lab/web:none: not found',
  ];
  for (const message of messages) {
    for (const call of registryCalls('lab/web:none')) {
      for (const status of [404, 500]) {
        const problem = engineProblem(status, message, call);
        t.equal(problem.code, 'not_found', message);
        t.equal(problem.message, 'The registry docker.io has no lab/web:none: there is no such tag, or no such image.');
        t.equal(problem.engineMessage, message, "with the engine's words beside it");
      }
    }
  }
  const foreign = engineProblem(404, 'manifest unknown', pull('registry.example:5000/web:1'));
  t.match(foreign.message, /^The registry registry\.example:5000 has no registry\.example:5000\/web:1: /);
});

t.test('a registry that wants a login, or another one, is told from one that has not the image', async (t) => {
  const reference = 'registry.example:5000/lab/priv:1';
  const registry = 'The registry registry.example:5000';
  const cases = [
    [
      500,
      'Head "http://registry.example:5000/v2/lab/priv/manifests/1": no basic auth credentials',
      `${registry} wants a login for ${reference}.`,
    ],
    [
      500,
      'Get "http://registry.example:5000/v2/lab/priv/manifests/1": no basic auth credentials',
      `${registry} wants a login for ${reference}.`,
    ],
    [500, 'unauthorized: authentication required', `${registry} did not accept the credentials for ${reference}.`],
    [401, 'unauthorized: authentication required', `${registry} did not accept the credentials for ${reference}.`],
    [
      500,
      'Head "https://registry.example:5000/v2/lab/priv/manifests/1": unauthorized: authentication required',
      `${registry} did not accept the credentials for ${reference}.`,
    ],
    [
      500,
      'Get "https://registry.example:5000/v2/": unauthorized: incorrect username or password',
      `${registry} did not accept the credentials for ${reference}.`,
    ],
    [
      404,
      "pull access denied for lab/priv, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
      `${registry} has no ${reference}, or wants a login for it.`,
    ],
    [
      404,
      'pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed',
      `${registry} has no ${reference}, or wants a login for it.`,
    ],
    [
      500,
      'denied: requested access to the resource is denied',
      `${registry} did not accept the credentials for ${reference}.`,
    ],
  ] as const;
  for (const [status, message, told] of cases) {
    for (const call of registryCalls(reference)) {
      t.match(engineProblem(status, message, call), { code: 'registry_denied', message: told }, message);
    }
  }
});

t.test('a registry that can not be reached is told with the last reason', async (t) => {
  const cases = [
    ['Get "http://127.0.0.1:5009/v2/": dial tcp 127.0.0.1:5009: connect: connection refused', 'connection refused'],
    ['Get "https://10.0.0.9/v2/": dial tcp 10.0.0.9:443: connect: no route to host', 'no route to host'],
    [
      'Get "https://registry.example/v2/": dial tcp: lookup registry.example on 10.0.0.1:53: no such host',
      'no such host',
    ],
    [
      'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 10.0.0.1:53: read udp 10.0.0.2:40000->10.0.0.1:53: i/o timeout',
      'it did not answer in time',
    ],
    ['Get "https://10.255.255.1:5000/v2/": context deadline exceeded', 'it did not answer in time'],
    [
      'Get "https://10.255.255.1:5000/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)',
      'it did not answer in time',
    ],
    [
      'Get "https://registry-1.docker.io/v2/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
      'it did not answer in time',
    ],
    ['Get "https://registry-1.docker.io/v2/": net/http: TLS handshake timeout', 'it did not answer in time'],
    [
      'error pulling image configuration: Get "https://registry-1.docker.io/v2/lab/web/blobs/sha256:9b": net/http: TLS handshake timeout',
      'it did not answer in time',
    ],
    [
      'error pulling image configuration: download failed after attempts=6: dial tcp 10.0.0.9:443: connect: connection refused',
      'connection refused',
    ],
    [
      'Get "https://x/v2/": http: server gave HTTP response to HTTPS client',
      'server gave HTTP response to HTTPS client',
    ],
    [
      'Get "https://x/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority',
      'certificate signed by unknown authority',
    ],
    ['Get "https://x/v2/": x509: certificate signed by unknown authority', 'certificate signed by unknown authority'],
    ['x509: certificate signed by unknown authority', 'certificate signed by unknown authority'],
    [
      'failed to resolve reference "x/web:1": failed to do request: Head "https://x/v2/web/manifests/1": dial tcp 10.0.0.9:443: connect: connection refused',
      'connection refused',
    ],
    ['Get "https://x/v2/": EOF', 'EOF'],
  ] as const;
  for (const [message, reason] of cases) {
    for (const call of registryCalls('x.example/web:1')) {
      const problem = engineProblem(500, message, call);
      t.equal(problem.code, 'registry_unreachable', message);
      t.equal(problem.message, `The registry x.example can't be reached: ${reason}.`, message);
    }
  }
});

t.test('a registry that has had enough says so', async (t) => {
  const messages = [
    'toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit',
    'toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit',
    'toomanyrequests: Too Many Requests',
    'Head "https://registry-1.docker.io/v2/lab/web/manifests/1": toomanyrequests: retry-after: 985.86µs, allowed: 44000/minute',
    'failed to resolve reference "docker.io/lab/web:1": unexpected status from HEAD request to https://registry-1.docker.io/v2/lab/web/manifests/1: 429 Too Many Requests',
  ];
  for (const message of messages) {
    for (const call of registryCalls('lab/web:1')) {
      t.match(
        engineProblem(500, message, call),
        {
          code: 'registry_denied',
          message: 'The registry docker.io has had too many requests from here. Log in, or try again later.',
        },
        message,
      );
    }
  }
});

t.test('what fails after the registry has answered is told as it is', async (t) => {
  const full = engineProblem(500, 'failed to register layer: write /x: no space left on device', pull('lab/web:1'));
  t.match(full, { code: 'no_space', message: "There is no space left on the engine's disk." });
  for (const message of [
    'no matching manifest for linux/arm64 in the manifest list entries',
    'no matching manifest for linux/arm64/v8 in the manifest list entries: no match for platform in manifest: not found',
    'image with reference lab/web:1 was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64',
    'image with reference lab/web:1 was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)',
  ]) {
    for (const status of [404, 500]) {
      const problem = engineProblem(status, message, pull('lab/web:1'));
      t.equal(problem.code, 'not_found', message);
      t.equal(problem.message, "Image lab/web:1 is not there for this engine's kind of processor");
    }
  }
  t.match(engineProblem(500, 'something new', pull('lab/web:1')), { code: 'engine_error', message: 'something new' });
});

t.test('a registry is named for a digest as well', async (t) => {
  const message = 'manifest unknown: manifest unknown';
  for (const reference of [`registry.example/web@${digest}`, `registry.example/web:1@${digest}`]) {
    const problem = engineProblem(404, message, pull(reference));
    t.equal(problem.code, 'not_found');
    t.match(problem.message, /^The registry registry\.example has no /, reference);
  }
});

t.test('what a registry says stays with registries', async (t) => {
  const remove = { method: 'DELETE', path: '/images/lab', subject: 'Image lab' };
  const start = { method: 'POST', path: '/containers/web/start', subject };
  for (const call of [remove, start]) {
    t.notMatch(engineProblem(500, 'unauthorized: authentication required', call).code, /registry/);
    t.notMatch(engineProblem(500, 'dial tcp 10.0.0.9:443: connect: connection refused', call).code, /registry/);
  }
  const nameless = engineProblem(404, 'manifest unknown', { method: 'POST', path: '/images/create' });
  t.match(nameless, { code: 'not_found', message: /^The registry of this image has no / });
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
