import { nowNanos, toNanos } from './clock.ts';
import type { Behaviour } from './container-spec.ts';
import { EngineError } from './errors.ts';
import type { EventLog } from './events.ts';
import type { Flavour } from './flavours.ts';
import { digestOf, randomDigest, withTag } from './ids.ts';
import { type ImageConfig, toImageConfig } from './image-config.ts';
import { parseReference, toFamiliar } from './references.ts';

/** One step of an image's history, the newest first. */
export interface Layer {
  readonly createdBy: string;
  readonly size: number;
  readonly created?: Date | number;
  readonly comment?: string;
  /** Layers of one digest are the same one, and pulled once; default one of its own. */
  readonly digest?: string;
}

/** An image as a test or the demo describes it; of its config, what is left open is a shell's. */
export interface ImageSpec extends Partial<ImageConfig> {
  /** None makes it dangling. */
  readonly tags?: readonly string[];
  readonly id?: string;
  readonly size?: number;
  readonly created?: Date | number;
  /** The id of the image it was built from. */
  readonly parent?: string;
  /** Without the image's own id: `lab/web@sha256:…`; default none. */
  readonly digests?: readonly string[];
  readonly layers?: readonly Layer[];
  /** Default `amd64`. */
  readonly architecture?: string;
  /** Of containers that are made of it over the API. */
  readonly behaviour?: Behaviour;
}

/** An image of the simulated engine. */
export interface SimulatedImage extends ImageConfig {
  readonly id: string;
  tags: string[];
  digests: string[];
  readonly size: number;
  readonly created: bigint;
  readonly parent: string;
  readonly layers: readonly Layer[];
  /** Of the layers that have a size, the lowest first. */
  readonly layerDigests: readonly string[];
  readonly architecture: string;
  readonly behaviour: Behaviour;
  taggedAt: bigint | null;
}

/** The images by id, tag and digest. */
export type Images = ReturnType<typeof createImages>;

/** Creates an empty image store. */
export function createImages(events: EventLog, flavour: Flavour) {
  const byId = new Map<string, SimulatedImage>();
  const byTag = new Map<string, SimulatedImage>();

  function tell(image: SimulatedImage, action: string, name: string): void {
    events.emit({ type: 'image', action, id: image.id, attributes: { ...image.labels, name } });
  }

  function find(reference: string): SimulatedImage | undefined {
    return byId.get(reference) ?? byTag.get(toKey(reference)) ?? findByDigest(reference) ?? findByPrefix(reference);
  }

  /** A digest decides alone: a tag before it is not looked at. */
  function findByDigest(reference: string): SimulatedImage | undefined {
    const [name = '', digest] = reference.split('@');
    if (digest === undefined) return undefined;
    const wanted = `${toRepositoryKey(name)}@${digest}`;
    return [...byId.values()].find((image) => image.digests.includes(wanted));
  }

  function findByPrefix(reference: string): SimulatedImage | undefined {
    if (!isIdPrefix(reference)) return undefined;
    const prefix = reference.replace(/^sha256:/, '');
    const found = [...byId.values()].filter((image) => image.id.startsWith(`sha256:${prefix}`));
    return found.length === 1 ? found[0] : undefined;
  }

  function get(reference: string): SimulatedImage {
    const image = find(reference);
    if (!image) throw noSuchImage(reference);
    return image;
  }

  function noSuchImage(reference: string): EngineError {
    const isId = /^sha256:[0-9a-f]{64}$/.test(reference);
    if (!flavour.isPodman) return new EngineError(404, `No such image: ${isId ? reference : withTag(reference)}`);
    const text = `failed to find image ${reference}: docker.io/${reference}: No such image`;
    return new EngineError(404, text);
  }

  function add(spec: ImageSpec): SimulatedImage {
    const image = toImage(spec);
    byId.set(image.id, image);
    for (const reference of spec.tags ?? []) tag(image, reference);
    return image;
  }

  /** Gives an image a name; whoever had it before loses it, and dangles when it was the last one. */
  function tag(image: SimulatedImage, reference: string): void {
    if (move(image, toKey(reference))) tell(image, 'tag', toKey(reference));
  }

  function move(image: SimulatedImage, key: string): boolean {
    const before = byTag.get(key);
    if (before === image) return false;
    if (before) before.tags = before.tags.filter((name) => name !== key);
    byTag.set(key, image);
    image.tags = [...image.tags, key];
    image.taggedAt = nowNanos();
    return true;
  }

  /** Takes a tag or a digest off an image, and says how engines write it. */
  function untag(image: SimulatedImage, reference: string): string {
    const key = toKey(reference);
    byTag.delete(key);
    image.tags = image.tags.filter((name) => name !== key);
    image.digests = image.digests.filter((digest) => digest !== key);
    tell(image, 'untag', image.id);
    return key;
  }

  /** Takes what a pull brought: only the pull is told, not that a tag moved. Says whether anything is new. */
  function receive(spec: ImageSpec, reference: string, digest: string): boolean {
    const key = toKey(reference);
    const known = byId.get(spec.id ?? '');
    const image = known ?? toImage({ ...spec, digests: [] });
    byId.set(image.id, image);
    const isMoved = key.includes('@') ? !known : move(image, key);
    const pulled = digest ? [`${toRepositoryKey(key)}@${digest}`] : [];
    image.digests = [...new Set([...image.digests, ...pulled])];
    const name = toRepositoryKey(key);
    events.emit({ type: 'image', action: 'pull', id: key, attributes: { ...image.labels, name } });
    return isMoved;
  }

  return {
    add,
    find,
    get,
    tag,
    untag,
    receive,
    tell,
    all: () => byId.values(),
    isTag: (reference: string) => byTag.has(toKey(reference)),
    childrenOf: (image: SimulatedImage) => [...byId.values()].filter((other) => other.parent === image.id),
    ensure: (reference: string) => find(reference) ?? add({ tags: [reference] }),
    /** Is there a layer already, in whichever image? */
    hasLayer: (digest: string) => [...byId.values()].some((image) => image.layerDigests.includes(digest)),
    delete(image: SimulatedImage) {
      byId.delete(image.id);
      tell(image, 'delete', image.id);
    },
  };
}

function toImage(spec: ImageSpec): SimulatedImage {
  const size = spec.size ?? 2_000_000;
  const id = spec.id ?? randomDigest();
  const layers = spec.layers ?? [{ createdBy: '', size, comment: 'Imported from -' }];
  return {
    ...toImageConfig(spec),
    id,
    tags: [],
    digests: [...(spec.digests ?? [])],
    size,
    created: spec.created === undefined ? nowNanos() : toNanos(spec.created),
    parent: spec.parent ?? '',
    layers,
    layerDigests: toLayerDigests(layers, id),
    architecture: spec.architecture ?? 'amd64',
    behaviour: spec.behaviour ?? {},
    taggedAt: null,
  };
}

/** The lowest first, as images list them; steps that only set something have none. */
export function toLayerDigests(layers: readonly Layer[], imageId: string): string[] {
  const sized = layers.filter(({ size }) => size > 0).reverse();
  return sized.map(({ digest }, index) => digest ?? digestOf(`${imageId}/${index}`));
}

function toKey(reference: string): string {
  return toFamiliar(parseReference(reference));
}

function toRepositoryKey(name: string): string {
  return parseReference(name).name;
}

/** May the text be an image id, or the beginning of one? */
export function isIdPrefix(reference: string): boolean {
  return /^(sha256:)?[0-9a-f]{1,64}$/.test(reference);
}
