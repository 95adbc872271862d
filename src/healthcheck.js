// Asks the running program whether it is alive, for the image's HEALTHCHECK: exit code 0 or 1.
// By node:http, since it has to name a host that ALLOWED_HOSTS lets through, which fetch can't.
import { get } from 'node:http';

const { PORT = '3000', ALLOWED_HOSTS = '' } = process.env;
const host = ALLOWED_HOSTS.split(',')[0]?.trim() || 'localhost';

const request = get({ host: '127.0.0.1', port: Number(PORT), path: '/healthz', headers: { host } }, (answer) =>
  process.exit(answer.statusCode === 200 ? 0 : 1),
);
request.setTimeout(4_000, () => request.destroy());
request.on('error', () => process.exit(1));
