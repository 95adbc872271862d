import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { readConfig } from '../../src/config.ts';
import { createDocker } from '../../src/services/docker.ts';
import { createSimulatedEngine, type SimulatedEngine } from '../simulated/engine.ts';

const tls = (name: string) => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url));

/** Leads every connection on to the simulated engine's socket. */
const leadTo = (engine: SimulatedEngine) => (client: Socket) => {
  const server = connect(engine.socketPath);
  client.pipe(server).pipe(client);
  for (const socket of [client, server]) socket.on('error', () => client.destroy());
};

async function listen(test: Test, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function setUp(test: Test) {
  const engine = await createSimulatedEngine();
  test.teardown(() => engine.close());
  engine.addImage({ tags: ['nginx:1'] });
  engine.addContainer({ name: 'web', image: 'nginx:1', state: 'running' });
  return engine;
}

function createPort(test: Test, env: Record<string, string>) {
  const docker = createDocker(readConfig(env).docker);
  test.teardown(docker.close);
  return docker;
}

t.test('an engine is reached over TCP', async (t) => {
  const port = await listen(t, createServer(leadTo(await setUp(t))));
  const docker = createPort(t, { DOCKER_HOST: `tcp://127.0.0.1:${port}` });
  t.equal((await docker.listContainers())[0]?.Names?.[0], '/web');
  const closing = new AbortController();
  const events = await docker.events(closing.signal);
  t.equal(events.statusCode, 200, 'streams too');
  closing.abort();
});

t.test('an engine is reached over TLS, each side with its certificate', async (t) => {
  const server = createTlsServer(
    {
      key: readFileSync(tls('server-key.pem')),
      cert: readFileSync(tls('server.pem')),
      ca: readFileSync(tls('ca.pem')),
      requestCert: true,
      rejectUnauthorized: true,
    },
    leadTo(await setUp(t)),
  );
  server.on('tlsClientError', () => {});
  const port = await listen(t, server);
  const env = { DOCKER_HOST: `tcp://127.0.0.1:${port}`, DOCKER_TLS_VERIFY: '1' };

  const docker = createPort(t, { ...env, DOCKER_CERT_PATH: tls('client') });
  t.equal((await docker.listContainers())[0]?.Names?.[0], '/web');

  const stranger = createPort(t, env);
  await t.rejects(
    stranger.listContainers(),
    { code: 'engine_unreachable' },
    'an authority nobody named is not believed',
  );
});

t.test('nothing but the given address decides where it connects', async (t) => {
  const engine = await setUp(t);
  const before = { ...process.env };
  t.teardown(() => {
    process.env = before;
  });
  process.env.DOCKER_HOST = 'tcp://127.0.0.1:9';
  process.env.DOCKER_CLIENT_TIMEOUT = '1';
  process.env.DOCKER_PATH_PREFIX = '/elsewhere';
  const docker = createPort(t, { DOCKER_HOST: engine.host });
  t.equal((await docker.listContainers())[0]?.Names?.[0], '/web');
});
