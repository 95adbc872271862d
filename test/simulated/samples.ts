import { composeLabels } from './compose.ts';
import type { ContainerSpec } from './container-spec.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MIB = 1024 ** 2;

function ago(millis: number): number {
  return Date.now() - millis;
}

/** The demo's containers, in every state there is to see. */
export function sampleContainers(): ContainerSpec[] {
  return [...webshop(), ...monitoring(), ...media(), ...legacy(), ...standalone()];
}

function webshop(): ContainerSpec[] {
  const networks = ['webshop_default'];
  const since = { created: ago(2 * DAY), startedAt: ago(2 * DAY - MINUTE) };
  const labels = (service: string, dependsOn = '', number = 1) =>
    composeLabels({ project: 'webshop', service, number, dependsOn });
  const environment = {
    NODE_ENV: 'production',
    DATABASE_URL: 'postgres://shop:not-a-real-password@db:5432/shop',
    SESSION_SECRET: 'not-a-real-secret',
    PAYMENT_API_KEY: 'not-a-real-key',
    LOG_LEVEL: 'info',
  };
  const api = (number: number, more: Partial<ContainerSpec> = {}): ContainerSpec => ({
    name: `webshop-api-${number}`,
    image: 'acme/shop-api:2.4.1',
    labels: labels(
      'api',
      'db:service_healthy:false,cache:service_started:false,migrate:service_completed_successfully:false',
      number,
    ),
    command: ['node', 'server.js'],
    env: environment,
    ports: ['3000'],
    networks,
    health: 'healthy',
    healthcheck: ['wget', '-q', '-O-', 'http://127.0.0.1:3000/healthz'],
    memory: 512 * MIB,
    cpus: 1,
    restart: 'unless-stopped',
    behaviour: { stopMs: 400 },
    ...since,
    ...more,
  });
  return [
    {
      name: 'webshop-db-1',
      image: 'postgres:17',
      labels: labels('db'),
      command: ['postgres', '-c', 'shared_buffers=256MB'],
      env: { POSTGRES_USER: 'shop', POSTGRES_PASSWORD: 'not-a-real-password', POSTGRES_DB: 'shop' },
      ports: ['127.0.0.1:5432:5432'],
      mounts: [
        'webshop_db-data:/var/lib/postgresql/data',
        '/srv/webshop/init.sql:/docker-entrypoint-initdb.d/init.sql:ro',
      ],
      networks,
      health: 'healthy',
      healthcheck: ['pg_isready', '-U', 'shop'],
      memory: 1024 * MIB,
      restart: 'unless-stopped',
      behaviour: { stopMs: 900 },
      ...since,
    },
    {
      name: 'webshop-cache-1',
      image: 'redis:8-alpine',
      labels: labels('cache'),
      command: ['redis-server', '--requirepass', 'not-a-real-password'],
      env: { REDIS_PASSWORD: 'not-a-real-password' },
      expose: ['6379/tcp'],
      networks,
      memory: 128 * MIB,
      restart: 'unless-stopped',
      ...since,
    },
    {
      name: 'webshop-migrate-1',
      image: 'acme/shop-api:2.4.1',
      labels: labels('migrate', 'db:service_healthy:false'),
      command: ['node', 'migrate.js'],
      env: environment,
      networks,
      state: 'exited',
      exitCode: 0,
      created: ago(2 * DAY),
      startedAt: ago(2 * DAY - MINUTE),
      finishedAt: ago(2 * DAY - MINUTE - 8000),
    },
    api(1),
    api(2, { health: 'unhealthy' }),
    {
      name: 'webshop-worker-1',
      image: 'acme/shop-worker:2.4.1',
      labels: labels('worker', 'cache:service_started:false'),
      command: ['node', 'worker.js', '--queue', 'mail,invoices'],
      env: environment,
      networks,
      memory: 256 * MIB,
      restart: 'unless-stopped',
      restartCount: 7,
      created: ago(2 * DAY),
      startedAt: ago(3 * MINUTE),
      behaviour: { ignoresTerm: true, stopMs: 2000 },
    },
    {
      name: 'webshop-web-1',
      image: 'nginx:1.27-alpine',
      labels: labels('web', 'api:service_healthy:true'),
      command: ['nginx', '-g', 'daemon off;'],
      ports: ['8080:80', '[::]:8443:443'],
      mounts: ['/srv/webshop/nginx.conf:/etc/nginx/nginx.conf:ro'],
      networks: ['webshop_default', 'edge'],
      restart: 'unless-stopped',
      ...since,
    },
  ];
}

function monitoring(): ContainerSpec[] {
  const networks = ['monitoring_default'];
  const since = { created: ago(16 * DAY), startedAt: ago(5 * HOUR) };
  return [
    {
      name: 'monitoring-prometheus-1',
      image: 'prom/prometheus:v3.5.0',
      labels: composeLabels({ project: 'monitoring', service: 'prometheus' }),
      command: ['/bin/prometheus', '--storage.tsdb.retention.time=30d'],
      ports: ['127.0.0.1:9090:9090'],
      mounts: ['monitoring_metrics:/prometheus'],
      networks,
      restart: 'always',
      ...since,
    },
    {
      name: 'monitoring-grafana-1',
      image: 'grafana/grafana:12.1',
      labels: composeLabels({
        project: 'monitoring',
        service: 'grafana',
        dependsOn: 'prometheus:service_started:false',
      }),
      command: [],
      env: { GF_SECURITY_ADMIN_PASSWORD: 'not-a-real-password', GF_USERS_ALLOW_SIGN_UP: 'false' },
      ports: ['3001:3000', '[::1]:3002:3000'],
      mounts: ['monitoring_dashboards:/var/lib/grafana'],
      networks: [...networks, 'edge'],
      health: 'healthy',
      healthcheck: ['curl', '-f', 'http://127.0.0.1:3000/api/health'],
      restart: 'always',
      ...since,
    },
  ];
}

function media(): ContainerSpec[] {
  const networks = ['home-media_default'];
  return [
    {
      name: 'home-media-library-1',
      image: 'nginx:1.27-alpine',
      labels: composeLabels({ project: 'home-media', service: 'library' }),
      command: ['nginx', '-g', 'daemon off;'],
      ports: ['8096:80', '1900:1900/udp'],
      mounts: ['/srv/media:/usr/share/nginx/html:ro'],
      networks,
      state: 'paused',
      created: ago(4 * DAY),
      startedAt: ago(7 * HOUR),
    },
    {
      name: 'home-media-transcoder-1',
      image: 'acme/transcoder:0.9',
      labels: composeLabels({
        project: 'home-media',
        service: 'transcoder',
        dependsOn: 'library:service_started:false',
      }),
      command: ['node', 'transcode.js', '--preset', 'slow'],
      networks,
      memory: 256 * MIB,
      state: 'exited',
      oomKilled: true,
      created: ago(4 * DAY),
      startedAt: ago(50 * MINUTE),
      finishedAt: ago(41 * MINUTE),
    },
  ];
}

/** Without Compose's labels: their names alone tell the project. */
function legacy(): ContainerSpec[] {
  const since = { created: ago(18 * DAY), startedAt: ago(15 * DAY) };
  return [
    { name: 'blog_web_1', image: 'nginx:alpine', command: ['nginx'], ports: ['8081:80'], ...since },
    { name: 'blog_cache_1', image: 'redis:8-alpine', command: ['redis-server'], ...since },
  ];
}

function standalone(): ContainerSpec[] {
  return [
    {
      name: 'scratchpad',
      image: 'busybox:1.37',
      command: ['sh'],
      tty: true,
      env: ['TERM=xterm-256color'],
      created: ago(90 * MINUTE),
      startedAt: ago(90 * MINUTE),
    },
    {
      name: 'nightly-backup',
      image: 'debian:bookworm-slim',
      command: ['sh', '-c', '/backup.sh --to /backup'],
      env: { BACKUP_PASSPHRASE: 'not-a-real-passphrase' },
      mounts: ['/srv:/srv:ro', 'backups:/backup'],
      state: 'exited',
      exitCode: 1,
      created: ago(12 * DAY),
      startedAt: ago(9 * HOUR),
      finishedAt: ago(9 * HOUR - 4 * MINUTE),
    },
    {
      name: 'import-2019',
      image: 'debian:bookworm-slim',
      command: ['sh', '-c', '/import.sh'],
      state: 'created',
      created: ago(6 * HOUR),
    },
    {
      name: 'flaky-webhook',
      image: 'acme/shop-api:2.4.0',
      command: ['node', 'webhook.js'],
      env: { WEBHOOK_TOKEN: 'not-a-real-token' },
      ports: ['9000'],
      restart: 'on-failure',
      restartCount: 41,
      exitCode: 1,
      state: 'restarting',
      created: ago(3 * HOUR),
      startedAt: ago(9000),
    },
  ];
}
