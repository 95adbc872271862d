import type { EngineHistoryItem, EngineImageDetail } from '../../services/docker-types.ts';
import type { Image as InventoryImage } from '../../services/images.ts';
import { maskArguments, maskText, maskValue, type Piece } from '../../services/secrets.ts';
import type { Update } from '../../services/updates.ts';
import { bytes, count, dateTime, duration, iso, moment, plural, shortId, splitReference } from '../format.ts';
import { type BusyModel, imageHref } from './containers.ts';
import { type Shared, toHref, toShared, type ViewContext } from './context.ts';
import { updateText } from './rebuild.ts';
import { toStateModel } from './states.ts';

/** An image with the containers that use it. */
export type Image = InventoryImage & { containers: { id: string; name: string; state: string }[] };

/** How an image stands to its registry: a tone and a few words. */
export type UpdateModel = { state: Update['state']; text: string; title: string };

/** What is known of newer images, and what is done to an image now. */
export type ImageWork = { update: Update; busy: BusyModel | null };

/** An image that nobody works on, and that came from nowhere else. */
const noImageWork: ImageWork = { update: { state: 'local', checkedAt: null, error: '' }, busy: null };

/** The list's parameters; `dangling` is `true`, `false` or empty. */
export type ImageQuery = { q: string; sort: string; dangling: string };

/** How many images there are of each kind. */
export type ImageCounts = { all: number; dangling: number; unused: number; shown: number };

type TagModel = { repository: string; tag: string; title: string };
type UserModel = { name: string; href: string; glyph: string; symbol: string };

/** One row of the images' list. */
export type ImageRowModel = Shared & {
  row: {
    hex: string;
    shortId: string;
    href: string;
    removeHref: string;
    tags: TagModel[];
    moreTags: number;
    dangling: boolean;
    size: string;
    sizeValue: number;
    sizeMax: number;
    age: string;
    created: string;
    createdIso: string;
    users: UserModel[];
    moreUsers: number;
    update: UpdateModel;
    busy: BusyModel | null;
    /** What a button pulls anew; null where there is no tag. */
    pullReference: string | null;
    pullHref: string;
  };
};

/** The data of `pages/images` and of `fragments/images/list`, `…/summary`, `…/toolbar`. */
export type ImageListModel = Shared & {
  list: {
    rows: ImageRowModel[];
    sorts: Record<
      'name' | 'size' | 'created',
      { href: string; label: string; direction: 'ascending' | 'descending' | null }
    >;
    empty: { kind: 'engine' | 'none' | 'filter'; clearHref: string } | null;
  };
  summary: string;
  toolbar: {
    action: string;
    q: string;
    sort: string;
    dangling: string;
    filters: { href: string; label: string; count: string; current: boolean }[];
  };
  pull: { action: string; reference: string; isPage: boolean };
  work: { checkHref: string; pruneHref: string; pruneText: string };
};

const maxTags = 3;
const maxUsers = 3;

/** The data of `fragments/images/row`; `sizeMax` is the size that fills the bar. */
export function imageRowModel(
  image: Image,
  context: ViewContext,
  sizeMax = image.size,
  { update, busy }: ImageWork = noImageWork,
): ImageRowModel {
  const { base, now } = context;
  const hex = image.id.replace(/^sha256:/, '');
  const href = imageHref(context, image.id) ?? `${base}/images/${encodeURIComponent(hex)}`;
  return {
    ...toShared(context),
    row: {
      hex,
      shortId: shortId(image.id),
      href,
      removeHref: `${href}/remove`,
      tags: image.tags.slice(0, maxTags).map(toTag),
      moreTags: Math.max(0, image.tags.length - maxTags),
      dangling: image.dangling,
      size: bytes(image.size),
      sizeValue: image.size,
      sizeMax: Math.max(1, sizeMax),
      age: image.createdAt > 0 ? duration(now - image.createdAt) : '–',
      created: image.createdAt > 0 ? dateTime(image.createdAt) : '',
      createdIso: image.createdAt > 0 ? iso(image.createdAt) : '',
      users: image.containers.slice(0, maxUsers).map((user) => toUser(user, base)),
      moreUsers: Math.max(0, image.containers.length - maxUsers),
      update: updateModel(image, update, now),
      busy,
      pullReference: update.state === 'local' ? null : (image.tags[0] ?? null),
      pullHref: `${base}/images/pull`,
    },
  };
}

/** How an image stands to its registry, in a few words. */
function updateModel({ tags }: Image, update: Update, now: number): UpdateModel {
  const { state, error } = update;
  // Where it comes from is not known once it has no tag.
  const text = tags.length === 0 ? '–' : state === 'failed' ? 'not known' : updateText(update, now);
  return { state, text, title: error };
}

const toTag = (reference: string): TagModel => ({ ...splitReference(reference), title: reference });

function toUser({ id, name, state }: Image['containers'][number], base: string): UserModel {
  const words = { text: '', state, health: null, exitCode: null, since: null, slack: 0, exact: false };
  const { glyph, symbol } = toStateModel({ state, health: null, exitCode: null, oomKilled: false, words }, 0);
  return { name, href: `${base}/containers/${id}`, glyph, symbol };
}

/** The data of `pages/images` and its fragments. */
export function imageListModel(
  input: {
    images: Image[];
    query: ImageQuery;
    counts: ImageCounts;
    totalSize: number;
    engineKnown?: boolean;
    /** What is known beside the engine's own words, by the image's id. */
    works?: ReadonlyMap<string, ImageWork>;
    /** Size of the images that nobody uses and that have no tag, bytes. */
    prunable?: number;
  },
  context: ViewContext,
): ImageListModel {
  const { images, query, counts, works } = input;
  const sizeMax = Math.max(1, ...images.map((image) => image.size));
  return {
    ...toShared(context),
    list: {
      rows: images.map((image) => imageRowModel(image, context, sizeMax, works?.get(image.id))),
      sorts: {
        name: toSort('name', 'Tags', query, context.base),
        size: toSort('size', 'Size', query, context.base),
        created: toSort('created', 'Created', query, context.base),
      },
      empty: toEmpty(images.length, query, input.engineKnown ?? true, context.base),
    },
    summary: toSummary(input),
    toolbar: {
      action: `${context.base}/images`,
      q: query.q,
      sort: query.sort,
      dangling: query.dangling,
      filters: [
        { label: 'All', value: counts.all, dangling: '' },
        { label: 'Tagged', value: counts.all - counts.dangling, dangling: 'false' },
        { label: 'Dangling', value: counts.dangling, dangling: 'true' },
      ].map(({ label, value, dangling }) => ({
        href: imagesHref(context.base, query, { dangling }),
        label,
        count: count(value),
        current: query.dangling === dangling,
      })),
    },
    pull: { action: `${context.base}/images/pull`, reference: '', isPage: false },
    work: {
      checkHref: `${context.base}/images/check`,
      pruneHref: `${context.base}/images/prune`,
      pruneText: input.prunable ? `Prune dangling, ${bytes(input.prunable)}…` : 'Prune…',
    },
  };
}

const imagesHref = (base: string, query: ImageQuery, changes: Partial<ImageQuery>) =>
  toHref(`${base}/images`, { ...query, ...changes });

function toSort(key: string, label: string, query: ImageQuery, base: string) {
  const current = query.sort || '-created';
  const direction: 'ascending' | 'descending' | null =
    current === key ? 'ascending' : current === `-${key}` ? 'descending' : null;
  const isNextDescending = direction === null ? key !== 'name' : direction === 'ascending';
  return { href: imagesHref(base, query, { sort: isNextDescending ? `-${key}` : key }), label, direction };
}

function toSummary(input: { counts: ImageCounts; totalSize: number; engineKnown?: boolean }): string {
  const { counts, totalSize } = input;
  if (input.engineKnown === false) return 'not known yet';
  const whole = `${plural(counts.all, 'image')}, ${bytes(totalSize)}, ${count(counts.unused)} unused, ${count(counts.dangling)} dangling`;
  return counts.shown === counts.all ? whole : `${count(counts.shown)} of ${count(counts.all)} shown`;
}

function toEmpty(shown: number, query: ImageQuery, engineKnown: boolean, base: string) {
  if (shown > 0) return null;
  const kind: 'engine' | 'none' | 'filter' = !engineKnown ? 'engine' : query.q || query.dangling ? 'filter' : 'none';
  return { kind, clearHref: `${base}/images` };
}

/** The data of `fragments/image/detail` and `pages/image`. */
export type ImageDetailModel = Shared & {
  image: {
    title: string;
    sub: string;
    hex: string;
    id: string;
    listHref: string;
    removeHref: string;
    tags: TagModel[];
    dangling: boolean;
    /** Gone from the engine. */
    removed: boolean;
    update: UpdateModel;
    busy: BusyModel | null;
    pullReference: string | null;
    pullHref: string;
    digests: string[];
    parent: { text: string; href: string | null } | null;
    size: string;
    created: { text: string; iso: string; ago: string } | null;
    platform: string;
    author: string;
    users: UserModel[];
    command: Piece[][];
    entrypoint: Piece[][];
    runsAs: string;
    ports: string[];
    volumes: string[];
    environment: { name: string; pieces: Piece[] }[];
    labels: { name: string; pieces: Piece[] }[];
    layers: { id: string; by: Piece[]; size: string; empty: boolean; created: string; createdIso: string }[];
    layersTitle: string;
  };
};

/** The data of `fragments/image/detail`. Secrets of an image are never shown. */
export function imageDetailModel(
  input: { image: Image; inspect: EngineImageDetail; layers: EngineHistoryItem[]; work?: ImageWork },
  context: ViewContext,
): ImageDetailModel {
  const { image, inspect, layers, work = noImageWork } = input;
  const { base, now } = context;
  const config = inspect.Config ?? {};
  const hex = image.id.replace(/^sha256:/, '');
  const href = imageHref(context, image.id) ?? `${base}/images/${encodeURIComponent(hex)}`;
  const createdAt = moment(inspect.Created) ?? (image.createdAt || null);
  const parent = image.parentId || inspect.Parent || '';
  return {
    ...toShared(context),
    image: {
      title: image.tags[0] ?? shortId(image.id),
      sub: [bytes(image.size), createdAt === null ? '' : `created ${duration(now - createdAt)} ago`]
        .filter(Boolean)
        .join(', '),
      hex,
      id: image.id,
      listHref: `${base}/images`,
      removeHref: `${href}/remove`,
      tags: image.tags.map(toTag),
      dangling: image.dangling,
      removed: false,
      update: updateModel(image, work.update, now),
      busy: work.busy,
      pullReference: work.update.state === 'local' ? null : (image.tags[0] ?? null),
      pullHref: `${base}/images/pull`,
      digests: image.repoDigests,
      parent: parent ? { text: shortId(parent), href: imageHref(context, parent) } : null,
      size: bytes(inspect.Size ?? image.size),
      created:
        createdAt === null
          ? null
          : { text: dateTime(createdAt), iso: iso(createdAt), ago: `${duration(now - createdAt)} ago` },
      platform: [inspect.Os, inspect.Architecture].filter(Boolean).join('/'),
      author: inspect.Author ?? '',
      users: image.containers.map((user) => toUser(user, base)),
      command: maskArguments(toList(config.Cmd)),
      entrypoint: maskArguments(toList(config.Entrypoint)),
      runsAs: [`user ${config.User || 'root'}`, config.WorkingDir ? `in ${config.WorkingDir}` : '']
        .filter(Boolean)
        .join(', '),
      ports: Object.keys(config.ExposedPorts ?? {}),
      volumes: Object.keys(config.Volumes ?? {}),
      environment: (config.Env ?? []).map(toVariable),
      labels: Object.entries(config.Labels ?? image.labels).map(([name, value]) => ({
        name,
        pieces: maskValue(name, value),
      })),
      layers: layers.map((layer) => toLayer(layer)),
      layersTitle: `${plural(layers.length, 'step')}, ${plural(layers.filter((layer) => (layer.Size ?? 0) > 0).length, 'layer')} with content`,
    },
  };
}

/** The data of `fragments/image/state` and `…/actions` of an image that is gone. */
export function removedImageModel(
  context: ViewContext,
): Shared & { image: Pick<ImageDetailModel['image'], 'dangling' | 'removed' | 'removeHref' | 'pullReference'> } {
  return { ...toShared(context), image: { dangling: false, removed: true, removeHref: '', pullReference: null } };
}

function toLayer(layer: EngineHistoryItem): ImageDetailModel['image']['layers'][number] {
  const size = layer.Size ?? 0;
  const at = (layer.Created ?? 0) * 1000;
  // `<missing>` is Docker's word for a step built elsewhere.
  const id = layer.Id && layer.Id !== '<missing>' ? shortId(layer.Id) : '';
  return {
    id,
    by: maskText((layer.CreatedBy || layer.Comment || '').replace(/^\/bin\/sh -c (#\(nop\)\s*)?/, '')),
    size: size > 0 ? bytes(size) : '–',
    empty: size === 0,
    created: at > 0 ? dateTime(at) : '',
    createdIso: at > 0 ? iso(at) : '',
  };
}

function toList(value: string[] | string | null | undefined): string[] {
  if (!value) return [];
  return Array.isArray(value) ? value : [value];
}

function toVariable(entry: string): { name: string; pieces: Piece[] } {
  const equals = entry.indexOf('=');
  const name = equals < 0 ? entry : entry.slice(0, equals);
  return { name, pieces: maskValue(name, equals < 0 ? '' : entry.slice(equals + 1)) };
}

/** The data of `pages/remove-image`. */
export type RemoveImageModel = Shared & {
  remove: {
    title: string;
    sub: string;
    action: string;
    cancelHref: string;
    lost: string[];
    kept: string[];
    users: UserModel[];
    needsForce: string;
  };
};

/** The confirmation before an image is removed. */
export function removeImageModel(image: Image, context: ViewContext): RemoveImageModel {
  const hex = image.id.replace(/^sha256:/, '');
  const href = imageHref(context, image.id) ?? `${context.base}/images/${encodeURIComponent(hex)}`;
  const tagsLost = image.tags.map((tag) => `tag ${tag}`);
  return {
    ...toShared(context),
    remove: {
      title: image.tags[0] ?? shortId(image.id),
      sub: `${shortId(image.id)}, ${bytes(image.size)}`,
      action: `${href}/remove`,
      cancelHref: href,
      lost: [...tagsLost, `its layers, up to ${bytes(image.size)}: those that no other image shares`],
      kept: [
        ...(image.containers.length > 0 ? [`${plural(image.containers.length, 'container')} made from it`] : []),
        ...(image.repoDigests.length > 0 ? [`what its registry has: it can be pulled again`] : []),
        'layers that other images share',
      ],
      users: image.containers.map((user) => toUser(user, context.base)),
      needsForce: toForceReason(image),
    },
  };
}

function toForceReason(image: Image): string {
  if (image.containers.length > 0) return 'Containers use it: the engine refuses unless forced.';
  if (image.tags.length > 1) return 'It has several tags: the engine refuses unless forced.';
  return '';
}
