import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import type { Config } from '../config.ts';
import { isHostOurs } from './cookies.ts';

const yearSeconds = 365 * 24 * 3600;

/** What pages may ask a browser for: to copy, and passkeys. The rest is off, for frames in them as well. */
const permissionsPolicy = [
  ...[
    'accelerometer',
    'autoplay',
    'bluetooth',
    'camera',
    'clipboard-read',
    'display-capture',
    'encrypted-media',
    'fullscreen',
    'geolocation',
    'gyroscope',
    'hid',
    'idle-detection',
    'local-fonts',
    'magnetometer',
    'microphone',
    'midi',
    'payment',
    'picture-in-picture',
    'screen-wake-lock',
    'serial',
    'usb',
    'web-share',
    'xr-spatial-tracking',
  ].map((name) => `${name}=()`),
  ...['clipboard-write', 'publickey-credentials-create', 'publickey-credentials-get'].map((name) => `${name}=(self)`),
].join(', ');

/** The settings of the plugin that sends the headers of security. */
export const helmetOptions = (config: Config) => ({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      'default-src': ["'self'"],
      'script-src': ["'self'"],
      // For sockets too, which Safari before 15.4 takes for another origin's: pages are whole there, and do not follow.
      'connect-src': ["'self'"],
      'base-uri': ["'none'"],
      'form-action': ["'self'"],
      'frame-ancestors': ["'self'"],
      'frame-src': ["'none'"],
      'object-src': ["'none'"],
      // Text becomes HTML by the one policy that public/app.js gives to htmx, and by nothing else.
      'require-trusted-types-for': ["'script'"],
      'trusted-types': ['fairlead'],
    },
  },
  crossOriginEmbedderPolicy: false,
  referrerPolicy: { policy: 'same-origin' as const },
  // It binds a whole host name with all its ports: only where all of it is ours, and by PUBLIC_URL reached by TLS.
  strictTransportSecurity: isHostOurs(config) && { maxAge: yearSeconds, includeSubDomains: false },
});

/** Sends with an answer what the plugin doesn't; what is not said to be cacheable is kept by nobody. */
export function sendOwnHeaders(reply: FastifyReply): void {
  reply.header('x-request-id', reply.request.id).header('permissions-policy', permissionsPolicy);
  if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
}

/** For what is answered before any hook runs: words alone, which need nothing and are framed nowhere. */
export const bareHeaders = {
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
};

/** Answers what can't be read as HTTP, for which there is no request yet, and ends the connection. */
export function refuseUnread(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const status = unreadable[error.code ?? ''] ?? '400 Bad Request';
  const headers = [
    'Content-Type: text/plain; charset=utf-8',
    ...Object.entries(bareHeaders).map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
    `Content-Length: ${status.length - 3}`,
  ];
  if (socket.writable) socket.write(`HTTP/1.1 ${status}\r\n${headers.join('\r\n')}\r\n\r\n${status.slice(4)}\n`);
  socket.destroy();
}

const unreadable: Record<string, string> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};
