import { digestOf } from './ids.ts';
import type { ImageSpec, Layer } from './images.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MIB = 1024 ** 2;

const BASE_IMAGE = `sha256:${'ba5e'.repeat(16)}`;

/** A program as its publisher ships it, whatever its version. */
interface Program {
  readonly name: string;
  /** In MiB, the lowest first. */
  readonly layers: readonly number[];
  readonly config: ImageSpec;
}

const BASE: readonly Layer[] = [
  { createdBy: '/bin/sh -c #(nop)  CMD ["bash"]', size: 0, created: ago(60 * DAY) },
  {
    createdBy: '/bin/sh -c #(nop) ADD file:9c3b… in /',
    size: 74 * MIB,
    created: ago(60 * DAY),
    digest: digestOf('debian/base'),
  },
];

const nginx: Program = {
  name: 'nginx',
  layers: [8, 24, 9, 5, 2],
  config: {
    entrypoint: ['/docker-entrypoint.sh'],
    command: ['nginx', '-g', 'daemon off;'],
    env: ['PATH=/usr/local/sbin:/usr/sbin:/usr/bin', 'PKG_RELEASE=1'],
    exposed: ['80/tcp'],
    stopSignal: 'SIGQUIT',
    behaviour: { startLog: 'Configuration complete; ready for start up' },
  },
};

const postgres: Program = {
  name: 'postgres',
  layers: [75, 12, 46, 190, 88, 24, 3],
  config: {
    entrypoint: ['docker-entrypoint.sh'],
    command: ['postgres'],
    env: ['PATH=/usr/local/bin:/usr/bin:/bin', 'PGDATA=/var/lib/postgresql/data'],
    exposed: ['5432/tcp'],
    volumes: ['/var/lib/postgresql/data'],
    stopSignal: 'SIGINT',
    behaviour: { stopMs: 900, startLog: 'database system is ready to accept connections' },
  },
};

const grafana: Program = {
  name: 'grafana/grafana',
  layers: [9, 30, 62, 118, 410, 87, 4],
  config: {
    entrypoint: ['/run.sh'],
    command: null,
    exposed: ['3000/tcp'],
    workingDir: '/usr/share/grafana',
    user: '472',
  },
};

function ago(millis: number): number {
  return Date.now() - millis;
}

/** One version of a program: its upper layers are its own, the lower ones stay from version to version. */
function release({ name, layers, config }: Program, version: string, age: number, kept: number): ImageSpec {
  const steps = layers.map((mebibytes, index): Layer => {
    const owner = index < kept ? name : `${name}/${version}`;
    return { createdBy: `RUN step ${index + 1}`, size: mebibytes * MIB, digest: digestOf(`${owner}/${index}`) };
  });
  const size = steps.reduce((sum, step) => sum + step.size, 0);
  const labels = { 'org.opencontainers.image.version': version };
  return { ...config, labels, size, created: ago(age), layers: steps.reverse() };
}

function built(mebibytes: number, what: string): Layer[] {
  const size = mebibytes * MIB;
  return [
    { createdBy: '/bin/sh -c #(nop)  CMD ["node" "server.js"]', size: 0 },
    { createdBy: `/bin/sh -c #(nop) COPY dir:${what} in /app `, size },
    { createdBy: '/bin/sh -c npm ci --omit=dev', size: size * 8 },
    ...BASE,
  ];
}

function shopApi(version: string, age: number, tags: string[]): ImageSpec {
  return {
    tags,
    size: 190 * MIB,
    created: ago(age),
    parent: BASE_IMAGE,
    layers: built(12, version),
    labels: { 'org.opencontainers.image.title': 'shop-api', 'org.opencontainers.image.version': version },
    env: ['PATH=/usr/local/bin:/usr/bin:/bin', 'NODE_ENV=production'],
    command: ['node', 'server.js'],
    exposed: ['3000/tcp'],
    behaviour: { stopMs: 400 },
  };
}

/** The demo's images: with several names, dangling ones, and a parent that others are built on. */
export function sampleImages(): ImageSpec[] {
  return [
    {
      id: BASE_IMAGE,
      tags: ['debian:bookworm-slim', 'debian:12-slim'],
      size: 74 * MIB,
      created: ago(60 * DAY),
      layers: BASE,
    },
    shopApi('2.4.1', 2 * DAY, ['acme/shop-api:2.4.1', 'acme/shop-api:2.4', 'acme/shop-api:latest']),
    shopApi('2.4.0', 9 * DAY, ['acme/shop-api:2.4.0']),
    shopApi('2.4.1-rc', 3 * DAY, []),
    shopApi('2.3.9', 30 * DAY, []),
    {
      tags: ['acme/shop-worker:2.4.1'],
      size: 210 * MIB,
      created: ago(2 * DAY),
      parent: BASE_IMAGE,
      layers: built(14, 'worker'),
      behaviour: { ignoresTerm: true, stopMs: 2000 },
    },
    { tags: ['nginx:1.27-alpine', 'nginx:alpine'], ...release(nginx, '1.27.4', 20 * DAY, 1) },
    { tags: ['postgres:17'], ...release(postgres, '17.5', 25 * DAY, 2) },
    { tags: ['redis:8-alpine'], size: 60 * MIB, created: ago(40 * DAY), exposed: ['6379/tcp'] },
    { tags: ['prom/prometheus:v3.5.0'], size: 310 * MIB, created: ago(35 * DAY) },
    { tags: ['grafana/grafana:12.1'], ...release(grafana, '12.1.0', 33 * DAY, 3) },
    {
      tags: ['acme/transcoder:0.9'],
      size: 512 * MIB,
      created: ago(12 * DAY),
      parent: BASE_IMAGE,
      layers: built(40, 'transcoder'),
    },
    { tags: ['busybox:1.37'], size: 4 * MIB, created: ago(90 * DAY) },
  ];
}

/** What was published since under the same tags. */
export function newerImages(): ReadonlyMap<string, ImageSpec> {
  const web = release(nginx, '1.27.5', 2 * DAY, 1);
  return new Map([
    ['nginx:1.27-alpine', { ...web, id: digestOf('nginx/1.27.5') }],
    ['nginx:alpine', { ...web, id: digestOf('nginx/1.27.5') }],
    ['postgres:17', release(postgres, '17.6', 3 * DAY, 2)],
    ['grafana/grafana:12.1', release(grafana, '12.1.2', 5 * HOUR, 3)],
  ]);
}
