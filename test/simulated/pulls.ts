import { setTimeout as sleep } from 'node:timers/promises';
import type { Exchange } from './exchange.ts';
import { randomId } from './ids.ts';
import type { EngineStream } from './streams.ts';
import type { World } from './world.ts';

const LAYERS = 3;
const STEPS = 4;
const LAYER_BYTES = 8_000_000;

/** Pulls any name there is, layer by layer; a repository `missing` or a tag `missing` is not there. */
export async function pull(world: World, exchange: Exchange): Promise<void> {
  const name = exchange.query.get('fromImage') ?? '';
  const reference = name.includes('@') ? name : withRequestedTag(name, exchange.query.get('tag'));
  if (/(^|[/:])missing(:|$)/.test(reference)) {
    return exchange.json(404, { message: `manifest for ${reference} not found: manifest unknown: manifest unknown` });
  }
  const stream = exchange.stream('pull', 'application/json');
  await sendLayers(stream, reference, world.options.pullStepMs);
  finish(world, stream, reference);
}

function withRequestedTag(name: string, tag: string | null): string {
  if (tag) return `${name}:${tag}`;
  return name.slice(name.lastIndexOf('/') + 1).includes(':') ? name : `${name}:latest`;
}

async function sendLayers(stream: EngineStream, reference: string, stepMs: number): Promise<void> {
  const ids = Array.from({ length: LAYERS }, () => randomId().slice(0, 12));
  send(stream, { status: `Pulling from ${reference.replace(/[:@].*$/, '')}`, id: reference.split(/[:@]/)[1] });
  for (const id of ids) send(stream, { status: 'Pulling fs layer', progressDetail: {}, id });
  for (const id of ids) await sendLayer(stream, id, stepMs);
}

async function sendLayer(stream: EngineStream, id: string, stepMs: number): Promise<void> {
  for (const status of ['Downloading', 'Extracting']) {
    for (let step = 1; step <= STEPS; step++) {
      const progressDetail = { current: (LAYER_BYTES * step) / STEPS, total: LAYER_BYTES };
      send(stream, { status, progressDetail, progress: `[${'='.repeat(step)}>]`, id });
      if (stepMs > 0) await sleep(stepMs, undefined, { ref: false });
    }
    if (status === 'Downloading') send(stream, { status: 'Download complete', progressDetail: {}, id });
  }
  send(stream, { status: 'Pull complete', progressDetail: {}, id });
}

function finish(world: World, stream: EngineStream, reference: string): void {
  if (stream.isClosed) return;
  const known = world.images.find(reference);
  const image = known ?? world.images.add({ tags: [reference], size: LAYERS * LAYER_BYTES });
  world.images.tell(image, 'pull', reference);
  send(stream, { status: `Digest: ${image.id}` });
  const what = known ? 'Image is up to date for' : 'Downloaded newer image for';
  send(stream, { status: `Status: ${what} ${reference}` });
  stream.end();
}

function send(stream: EngineStream, message: Record<string, unknown>): void {
  stream.push(`${JSON.stringify(message)}\r\n`);
}
