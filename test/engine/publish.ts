import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { busyboxImage, type Engine } from './engine.ts';

/**
 * What an image is made of: the image of the engine it stands on (its busybox), the size of each layer above that in MiB
 * (one of 1), and further lines of a Dockerfile, such as `USER 1000` or `HEALTHCHECK CMD true`.
 */
export type ImageOptions = { from?: string; layers?: readonly number[]; config?: readonly string[] };

/** What the registry calls an image, and what the engine will; both begin with `sha256:`. */
export type PublishedImage = { digest: string; id: string };

/**
 * Makes an image, pushes it as `<registry>/<name>` and takes it off the engine again, so that a pull has to fetch all
 * its layers. Each call makes another image, also for the same name; one the engine has pulled stays as it is, as long
 * as the registry is called otherwise here than there.
 */
export async function publishImage(
  engine: Engine,
  registry: string,
  name: string,
  { from = busyboxImage, layers = [1], config = [] }: ImageOptions = {},
): Promise<PublishedImage> {
  const reference = `${registry}/${name}`;
  const folder = await mkdtemp(join(engine.place.folder, 'image-'));
  try {
    const copies = await Promise.all(layers.map((mebibytes, i) => writeLayer(folder, i, mebibytes)));
    await writeFile(join(folder, 'Dockerfile'), [`FROM ${from}`, ...copies, ...config, ''].join('\n'));
    await engine.docker('build', '--quiet', '--no-cache', '--force-rm', `--tag=${reference}`, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
  return pushImage(engine, reference).finally(() => engine.docker('rmi', reference));
}

/** Random bytes, which nothing makes smaller and no other image has; gives the line that makes a layer of them. */
async function writeLayer(folder: string, i: number, mebibytes: number): Promise<string> {
  await writeFile(join(folder, `layer-${i}`), randomBytes(Math.round(mebibytes * 1024 * 1024)));
  return `COPY layer-${i} /layer-${i}`;
}

async function pushImage({ docker }: Engine, reference: string): Promise<PublishedImage> {
  await docker('push', '--quiet', reference);
  const [id = '', known = ''] = (
    await docker('image', 'inspect', '-f', '{{.Id}} {{index .RepoDigests 0}}', reference)
  ).split(' ');
  return { digest: known.slice(known.indexOf('@') + 1), id };
}
