import { EngineError } from './errors.ts';
import type { Exchange } from './exchange.ts';
import { parseReference } from './references.ts';
import { type Publication, parseCredentials, refused } from './registry.ts';
import type { World } from './world.ts';

/** Answers what a registry has behind a name, without a pull; Podman knows no such path. */
export function inspectDistribution(world: World, exchange: Exchange, name: string): void {
  if (world.flavour.isPodman) throw new EngineError(404, 'page not found');
  const reference = parseReference(name);
  const found = world.registry.look(reference, parseCredentials(exchange.header('X-Registry-Auth')));
  if (found === 'unknown') throw refused(reference.host);
  if (found === 'missing') throw new EngineError(404, 'manifest unknown: manifest unknown');
  if (found === 'denied') throw new EngineError(401, 'unauthorized: authentication required');
  exchange.json(200, toDocument(found));
}

function toDocument({ digest, layers, spec }: Publication): Record<string, unknown> {
  return {
    Descriptor: {
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      digest,
      size: 427 + 100 * layers.length,
    },
    Platforms: [{ architecture: spec.architecture ?? 'amd64', os: 'linux' }],
  };
}
