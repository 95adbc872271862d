import type { SimulatedEngine } from './engine.ts';
import type { ImageSpec } from './images.ts';
import { newerImages, sampleImages } from './sample-images.ts';

const GONE_TAG = 'acme/shop-api:2.4.0';
const PRIVATE_TAG = 'acme/shop-worker:2.4.1';

/** Gives the demo its images, as they were pulled once, and its registries what has changed there since. */
export function fillRegistry(engine: SimulatedEngine): void {
  for (const image of sampleImages()) pullOnce(engine, image);
  for (const [tag, image] of newerImages()) engine.publish(tag, image);
  engine.unpublish(GONE_TAG);
  closeOff(engine);
}

function pullOnce(engine: SimulatedEngine, { tags = [], ...spec }: ImageSpec): void {
  if (tags.length === 0) engine.addImage(spec);
  let shared: ImageSpec = {};
  for (const tag of tags) {
    const { id } = engine.publish(tag, { ...spec, ...shared });
    engine.pullImage(tag);
    shared = { id };
  }
}

/** Unchanged, but from now on behind a login. */
function closeOff(engine: SimulatedEngine): void {
  const { id } = engine.image(PRIVATE_TAG);
  engine.publish(PRIVATE_TAG, { id, auth: { username: 'acme', password: 'not-a-real-password' } });
}
