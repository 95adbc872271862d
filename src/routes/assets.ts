import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { Problem } from '../errors.ts';

type Asset = { name: string; type: string; encoded: Record<Encoding, () => Buffer | Promise<Buffer>> };
type Encoding = 'plain' | 'gzip' | 'br';

/** Where the pages' style sheet and script are served; the addresses change with their content. */
export type AssetUrls = { css: string; js: string; embedCss: string };

const publicFile = (name: string) => readFileSync(new URL(`../../public/${name}`, import.meta.url));

function htmxFile(name: string): Buffer {
  const root = dirname(createRequire(import.meta.url).resolve('htmx.org/package.json'));
  return readFileSync(join(root, 'dist', name));
}

/** Names an asset by its content; it is compressed once, when somebody asks for it, which takes a tenth of a second. */
function toAsset(stem: string, extension: string, type: string, plain: Buffer): Asset {
  const hash = createHash('sha256').update(plain).digest('hex').slice(0, 12);
  return {
    name: `${stem}.${hash}.${extension}`,
    type,
    encoded: {
      plain: () => plain,
      gzip: once(() => promisify(gzip)(plain, { level: 9 })),
      br: once(() => promisify(brotliCompress)(plain)),
    },
  };
}

/** Remembers what was made, and tries again where that failed. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined;
      throw error;
    });
    return made;
  };
}

/**
 * Reads the assets. The scripts are joined to one file: as several deferred ones, htmx at times starts before its
 * socket extension has registered, and the page then never connects.
 */
function readAssets() {
  const newline = Buffer.from('\n;\n');
  const own = ['log-lines.js', 'app.js'].map(publicFile);
  const scripts = [htmxFile('htmx.min.js'), htmxFile('ext/hx-ws.min.js'), ...own];
  const script = Buffer.concat(scripts.flatMap((part) => [withoutSourceMap(part), newline]));
  return {
    css: toAsset('app', 'css', 'text/css; charset=utf-8', publicFile('app.css')),
    embedCss: toAsset('embed', 'css', 'text/css; charset=utf-8', publicFile('embed.css')),
    js: toAsset('app', 'js', 'text/javascript; charset=utf-8', script),
  };
}

const withoutSourceMap = (script: Buffer) =>
  Buffer.from(script.toString().replace(/\n?\/\/# sourceMappingURL=.*\s*$/, ''));

/** Serves the assets under their content's name, for ever cacheable, compressed as the browser accepts it. */
export function registerAssets(app: FastifyInstance, base: string): AssetUrls {
  const assets = readAssets();
  const icon = publicFile('favicon.svg');
  const byName = new Map(Object.values(assets).map((asset) => [asset.name, asset]));

  app.get<{ Params: { file: string } }>('/assets/:file', { config: { rateLimit: false } }, async (request, reply) => {
    const asset = byName.get(request.params.file);
    if (!asset) throw new Problem('not_found', 'No such file.');
    const accepted = request.headers['accept-encoding'] ?? '';
    const encoding = /\bbr\b/.test(accepted) ? 'br' : /\bgzip\b/.test(accepted) ? 'gzip' : 'plain';
    const content = await asset.encoded[encoding]();
    if (encoding !== 'plain') reply.header('content-encoding', encoding);
    return reply
      .header('cache-control', 'public, max-age=31536000, immutable')
      .header('vary', 'accept-encoding')
      .header('cross-origin-resource-policy', 'cross-origin')
      .type(asset.type)
      .send(content);
  });

  for (const path of ['/favicon.svg', '/favicon.ico']) {
    app.get(path, { config: { rateLimit: false } }, (_request, reply) =>
      reply.header('cache-control', 'public, max-age=86400').type('image/svg+xml').send(icon),
    );
  }

  // Pages elsewhere link to it by hand, so its address never changes.
  app.get('/embed.css', { config: { rateLimit: false } }, async (_request, reply) =>
    reply
      .header('cache-control', 'public, max-age=3600')
      .header('cross-origin-resource-policy', 'cross-origin')
      .type(assets.embedCss.type)
      .send(await assets.embedCss.encoded.plain()),
  );

  const urlOf = ({ name }: Asset) => `${base}/assets/${name}`;
  return { css: urlOf(assets.css), js: urlOf(assets.js), embedCss: urlOf(assets.embedCss) };
}
