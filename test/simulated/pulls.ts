import { setTimeout as sleep } from 'node:timers/promises';
import { toPlatformMismatch } from './create-checks.ts';
import { EngineError } from './errors.ts';
import type { Exchange } from './exchange.ts';
import { randomDigest } from './ids.ts';
import { type ImageSpec, type Layer, toLayerDigests } from './images.ts';
import { type PulledLayer, type PullMessage, toLayerMessages } from './pull-messages.ts';
import { type ImageReference, parseReference, toFamiliar } from './references.ts';
import { parseCredentials } from './registry.ts';
import type { EngineStream } from './streams.ts';
import type { World } from './world.ts';

/** What a pull brings; the engine has nothing of it before the end. */
interface Delivery {
  readonly id: string;
  /** Empty where no registry was told of it. */
  readonly digest: string;
  readonly layers: readonly Layer[];
  readonly spec: ImageSpec;
}

const NO_SPACE = 'failed to register layer: write /x: no space left on device';

/** Pulls what a registry has; of repositories that none was told of, any tag but `missing`. */
export async function pull(world: World, exchange: Exchange): Promise<void> {
  const reference = readReference(exchange.query);
  const text = toFamiliar(reference);
  const delivery = find(world, exchange, reference);
  const layers = toLayers(world, delivery);
  const stream = exchange.stream('pull', 'application/json');
  send(stream, { status: `Pulling from ${reference.path}`, id: reference.digest ? text : reference.tag });
  await sendAll(stream, toLayerMessages(layers), world.options.pullStepMs);
  if (stream.isClosed) return;
  if (world.disk.isFull && layers.some(({ isKnown }) => !isKnown)) return fail(stream, NO_SPACE);
  const isNew = world.images.receive(delivery.spec, text, delivery.digest);
  await exchange.settle();
  send(stream, { status: `Digest: ${delivery.digest || delivery.id}` });
  send(stream, { status: `Status: ${isNew ? 'Downloaded newer image for' : 'Image is up to date for'} ${text}` });
  sendWarning(world, stream, text, exchange.query.get('platform') ?? '');
  stream.end();
}

function readReference(query: URLSearchParams): ImageReference {
  const name = query.get('fromImage') ?? '';
  if (!/^[a-zA-Z0-9]/.test(name)) throw new EngineError(400, 'invalid reference format');
  const tag = query.get('tag');
  if (!tag || name.includes('@')) return parseReference(name);
  return parseReference(tag.includes(':') ? `${name}@${tag}` : `${name}:${tag}`);
}

function find(world: World, exchange: Exchange, reference: ImageReference): Delivery {
  const found = world.registry.look(reference, parseCredentials(exchange.header('X-Registry-Auth')));
  if (found === 'denied') throw denied(world);
  const isMissing = found === 'unknown' && [reference.name, reference.tag].some((part) => /(^|\/)missing$/.test(part));
  if (found === 'missing' || isMissing) {
    const why = 'manifest unknown: manifest unknown';
    throw new EngineError(404, `manifest for ${toFamiliar(reference)} not found: ${why}`);
  }
  return found === 'unknown' ? makeUp(world, reference) : found;
}

function denied({ flavour }: World): EngineError {
  return new EngineError(flavour.isOldShape ? 500 : 401, 'unauthorized: authentication required');
}

/** An image of its own for whatever name; the one that is there already is as new as it gets. */
function makeUp(world: World, reference: ImageReference): Delivery {
  const id = world.images.find(toFamiliar(reference))?.id ?? randomDigest();
  const { layers, spec } = world.registry.makeUp(reference, id);
  return { id, digest: '', layers, spec };
}

/** An image that is there already, under whatever name, brings no layers. */
function toLayers(world: World, { id, layers }: Delivery): PulledLayer[] {
  if (world.images.find(id)) return [];
  const sizes = layers
    .map(({ size }) => size)
    .filter((size) => size > 0)
    .reverse();
  return toLayerDigests(layers, id).map((digest, index) => {
    return { digest, size: sizes[index] ?? 0, isKnown: world.images.hasLayer(digest) };
  });
}

/** What moves, moves at a pace; a client that went away stops it. */
async function sendAll(stream: EngineStream, messages: Iterable<PullMessage>, stepMs: number): Promise<void> {
  for (const message of messages) {
    if (stream.isClosed) return;
    send(stream, message);
    if (stepMs > 0 && message.progress) await sleep(stepMs, undefined, { ref: false });
  }
}

/** The answer has begun: so the failure is in it. */
function fail(stream: EngineStream, message: string): void {
  send(stream, { errorDetail: { message }, error: message });
  stream.end();
}

/** Later engines say that it is for another processor, and keep it all the same. */
function sendWarning({ images, flavour }: World, stream: EngineStream, reference: string, platform: string): void {
  const mismatch = toPlatformMismatch(images.get(reference), reference, platform, flavour);
  if (mismatch && !flavour.isOldShape) send(stream, { status: `WARNING: ${mismatch}` });
}

function send(stream: EngineStream, message: object): void {
  stream.push(`${JSON.stringify(message)}\r\n`);
}
