import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { Problem } from '../errors.ts';
import { remove } from '../feeds/frames.ts';
import { imagesModel, imageWorkOf } from '../feeds/images.ts';
import { toMs } from '../services/containers.ts';
import { checkImageRef } from '../services/docker-gate.ts';
import type { EngineHistoryItem } from '../services/docker-types.ts';
import { selectImages, type UsedImage } from '../services/image-list.ts';
import { type ImageName, nameOf } from '../services/image-refs.ts';
import { bareId, type Image, imageUsers, toImage } from '../services/images.ts';
import { maskText, maskValueText, toText } from '../services/secrets.ts';
import { imageDetailModel, removeImageModel } from '../views/models/image.ts';
import { answerFrame, isHtmx, requireEngine, sendFragment, sendPage, viewContext } from './pages.ts';
import * as schemas from './schemas.ts';

/** Images: the list, one of them, and its removal. */
export function registerImages(app: App, deps: Deps): void {
  const { docker, inventory } = deps;
  const params = schemas.IdParams;

  app.get('/images', { schema: { querystring: schemas.ImageQuery } }, (request, reply) => {
    const body = deps.render('pages/images', imagesModel(deps, request.query, viewContext(request, deps)));
    const head = { title: 'Images', nav: 'images', topics: ['images'], parameters: request.query } as const;
    return sendPage(request, reply, deps, head, body);
  });

  app.get('/fragments/images', { schema: { querystring: schemas.ImageQuery } }, (request, reply) =>
    sendFragment(
      reply,
      deps.render('fragments/images/list', imagesModel(deps, request.query, viewContext(request, deps))),
    ),
  );

  app.get(
    '/api/images',
    {
      schema: {
        tags: ['images'],
        summary: 'Every image but intermediate layers',
        querystring: schemas.ImageQuery,
        response: { 200: Type.Array(schemas.Image) },
      },
    },
    (request) => {
      requireEngine(deps);
      return selectImages(inventory.images(), inventory.containers(), request.query).images.map(toImageJson);
    },
  );

  app.get('/images/:id', { schema: { params } }, async (request, reply) => {
    const model = await detail(request);
    const title = model.image.title;
    const body = deps.render('pages/image', model);
    const topics = [`image:${model.image.hex}`];
    return sendPage(request, reply, deps, { title, nav: 'images', topics }, body);
  });

  app.get('/fragments/images/:id', { schema: { params } }, async (request, reply) =>
    sendFragment(reply, deps.render('fragments/image/detail', await detail(request))),
  );

  app.get(
    '/api/images/:id',
    {
      schema: {
        tags: ['images'],
        summary: 'One image with its layers',
        params,
        response: { 200: schemas.ImageDetail },
      },
    },
    async (request) => {
      const { image, inspect, layers } = await find(request);
      return {
        ...toImageJson(image),
        architecture: inspect.Architecture ?? '',
        os: inspect.Os ?? '',
        layers: layers.map(toLayerJson),
      };
    },
  );

  app.get('/images/:id/remove', { schema: { params } }, async (request, reply) => {
    const { image } = await find(request);
    const body = deps.render('pages/remove-image', removeImageModel(image, viewContext(request, deps)));
    return sendPage(request, reply, deps, { title: 'Remove image', nav: 'images', topics: [] }, body);
  });

  const removal = { params, body: schemas.RemoveImageBody };

  app.post('/images/:id/remove', { schema: removal }, async (request, reply) => {
    const text = `Image ${await removeImage(request)} was removed.`;
    if (!isHtmx(request)) {
      deps.messages.leave(reply, [{ kind: 'status', text }]);
      return reply.redirect(`${deps.config.basePath}/images`, 303);
    }
    const hex = bareId(request.params.id);
    return sendFragment(reply, (/^[0-9a-f]{64}$/.test(hex) ? remove(`image-${hex}`) : '') + answerFrame(deps, text));
  });

  app.post(
    '/api/images/:id/remove',
    {
      schema: {
        tags: ['images'],
        summary: 'Remove a tag, or an image with its last tag; `force` removes all its tags',
        ...removal,
        response: { 200: schemas.Removed },
      },
    },
    async (request) => {
      await removeImage(request);
      return { id: request.params.id, removed: true as const };
    },
  );

  /** Removes what the address names, a tag or an image, and tells what it was. */
  async function removeImage(request: FastifyRequest): Promise<string> {
    const { image, name } = await resolve(request);
    const shown = name.kind === 'id' ? (image.tags[0] ?? bareId(image.id).slice(0, 12)) : name.text;
    const { force } = (request.body as Static<typeof schemas.RemoveImageBody>) ?? {};
    await docker.removeImage(name.text, schemas.isTicked(force), shown);
    await inventory.refreshImages();
    return shown;
  }

  /** The image that an address names, and by what; one that is not in the list, such as a layer, is asked for. */
  async function resolve(request: FastifyRequest): Promise<{ ref: string; image: Image; name: ImageName }> {
    const ref = checkImageRef((request.params as { id: string }).id);
    requireEngine(deps);
    const image = inventory.findImage(ref) ?? (await inspectUnlisted(ref));
    // Engines resolve any beginning of an id: what was typed too short may be another image's.
    const name = nameOf(image, ref);
    if (!name) throw new Problem('not_found', `Image ${ref} not found`);
    return { ref, image, name };
  }

  async function inspectUnlisted(ref: string): Promise<Image> {
    const inspect = await docker.inspectImage(ref);
    if (typeof inspect.Id !== 'string') throw new Problem('not_found', `Image ${ref} not found`);
    return toImage({ ...inspect, ParentId: inspect.Parent, Labels: inspect.Config?.Labels });
  }

  async function find(request: FastifyRequest) {
    const { ref, image } = await resolve(request);
    const [inspect, layers] = await Promise.all([
      docker.inspectImage(image.id, ref),
      docker.imageHistory(image.id, ref),
    ]);
    const used: UsedImage = { ...image, containers: imageUsers(image, inventory.containers()) };
    return { image: used, inspect, layers, work: imageWorkOf(deps, image, deps.config.basePath) };
  }

  const detail = async (request: FastifyRequest) => imageDetailModel(await find(request), viewContext(request, deps));
}

function toImageJson(image: UsedImage): Static<typeof schemas.Image> {
  const { createdAt, labels, ...rest } = image;
  return { ...rest, labels: maskLabels(labels), created: new Date(createdAt).toISOString() };
}

const maskLabels = (labels: Record<string, string>) =>
  Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, maskValueText(name, value)]));

const toLayerJson = (layer: EngineHistoryItem) => ({
  id: layer.Id ?? '',
  created: new Date(toMs(layer.Created ?? 0)).toISOString(),
  createdBy: toText(maskText(layer.CreatedBy ?? '')),
  size: layer.Size ?? 0,
  comment: layer.Comment ?? '',
});
