import type { Container } from '../../services/containers.ts';
import type { Image } from '../../services/images.ts';
import { bytes, plural, shortId } from '../format.ts';
import { type Shared, toShared, type ViewContext } from './context.ts';

/** The data of `fragments/images/pull-form`. */
export type PullModel = Shared & { pull: { action: string; reference: string; isPage: boolean } };

/** The data of `pages/prune`. */
export type PruneModel = Shared & {
  prune: { action: string; cancelHref: string; sub: string; lost: string[]; kept: string[]; unusedText: string };
};

const maxNamed = 8;
const none = 'All images without a tag are used by containers, or there are none.';
const idOf = ({ id }: Image) => shortId(id);

/** The form that pulls an image; `reference` is what stands in it. */
export function pullModel(reference: string, context: ViewContext): PullModel {
  return { ...toShared(context), pull: { action: `${context.base}/images/pull`, reference, isPage: true } };
}

/** What goes and what stays where images are removed that nobody uses. */
export function pruneModel(
  images: readonly Image[],
  containers: readonly Container[],
  context: ViewContext,
): PruneModel {
  const used = new Set(containers.map(({ imageId }) => imageId));
  const unused = images.filter(({ id }) => !used.has(id));
  const dangling = unused.filter((image) => image.dangling);
  const tagged = unused.filter((image) => !image.dangling);
  const { base } = context;
  return {
    ...toShared(context),
    prune: {
      action: `${base}/images/prune`,
      cancelHref: `${base}/images`,
      sub:
        dangling.length > 0 ? `${plural(dangling.length, 'image')} without a tag, ${sizeOf(dangling)} at most` : none,
      lost:
        dangling.length > 0
          ? [`images without a tag that no container uses, and layers of theirs alone: ${listed(dangling.map(idOf))}`]
          : [],
      kept: [
        `${plural(images.length - unused.length, 'image')} that containers use, stopped ones too`,
        'what registries have: it can be pulled again',
      ],
      unusedText: unusedText(tagged),
    },
  };
}

const sizeOf = (images: readonly Image[]) => bytes(images.reduce((sum, { size }) => sum + size, 0));

function unusedText(tagged: readonly Image[]): string {
  if (tagged.length === 0) return 'There are none now.';
  return `${sizeOf(tagged)} at most: ${listed(tagged.flatMap(({ tags }) => tags))}.`;
}

function listed(names: readonly string[]): string {
  const more = names.length > maxNamed ? ` and ${names.length - maxNamed} more` : '';
  return `${names.slice(0, maxNamed).join(', ')}${more}`;
}
