import type { Change } from '../../services/rebuild-plan.ts';
import type { ImageBrief, OnFailure, RebuildPreview } from '../../services/rebuilds.ts';
import { maskText, maskValue, type Piece } from '../../services/secrets.ts';
import type { Update } from '../../services/updates.ts';
import { dateTime, duration, moment, plural, shortId } from '../format.ts';
import { imageHref } from './containers.ts';
import { type Shared, toShared, type ViewContext } from './context.ts';

/** One line of the diff: taken away, or added. */
export type DiffLine = { sign: '−' | '+'; kind: 'del' | 'add'; label: string; pieces: Piece[] };

/** The data of `pages/rebuild` and `fragments/container/rebuild`. */
export type RebuildModel = Shared & {
  rebuild: {
    name: string;
    action: string;
    cancelHref: string;
    reference: string;
    refusal: { reason: string; offersSameImage: boolean } | null;
    before: ImageBriefModel;
    after: ImageBriefModel | null;
    /** What is known of the tag in its registry, in a sentence. */
    registry: string;
    isNewerElsewhere: boolean;
    isSame: boolean;
    lines: DiffLine[];
    title: string;
    kept: string;
    warnings: string[];
    pullHref: string;
  };
};

type ImageBriefModel = { id: string; href: string | null; text: string };

/** The data of `pages/rebuild-project`. */
export type RebuildProjectModel = Shared & {
  rebuild: {
    project: string;
    action: string;
    cancelHref: string;
    rows: { name: string; href: string; image: string; update: string; isNewer: boolean }[];
    title: string;
    /** Those that a login can be for, where there are several; none where it is clear. */
    registries: string[];
    choices: { value: OnFailure; label: string; hint: string }[];
  };
};

/** The data of `fragments/container/rebuild`: what a rebuild would change, before anything is done. */
export function rebuildModel(preview: RebuildPreview, update: Update, context: ViewContext): RebuildModel {
  const { base } = context;
  const href = `${base}/containers/${preview.id}`;
  const lines = preview.changes.flatMap(toLines);
  const { kept, refusal } = preview;
  return {
    ...toShared(context),
    rebuild: {
      name: preview.name,
      action: `${href}/rebuild`,
      cancelHref: href,
      reference: preview.reference ?? '',
      refusal: refusal && { reason: refusal.reason, offersSameImage: refusal.offersSameImage },
      before: toBriefModel(preview.before, context),
      after: preview.after && toBriefModel(preview.after, context),
      registry: registryText(preview, update, context.now),
      isNewerElsewhere: isNewerElsewhere(preview, update),
      isSame: preview.after?.id === preview.before.id,
      lines,
      title: plural(preview.changes.length, 'change'),
      kept: [
        plural(kept.variables, 'variable'),
        plural(kept.mounts, 'mount'),
        plural(kept.networks, 'network'),
        plural(kept.ports, 'published port'),
      ].join(', '),
      warnings: preview.warnings,
      pullHref: `${base}/images/pull?reference=${encodeURIComponent(preview.reference ?? '')}`,
    },
  };
}

function toBriefModel({ id, tags, createdAt }: ImageBrief, context: ViewContext): ImageBriefModel {
  const { now } = context;
  const created = moment(createdAt);
  const age = created === null ? '' : `made ${duration(now - created)} ago, ${dateTime(created)}`;
  return { id: shortId(id), href: imageHref(context, id), text: [tags.join(' '), age].filter(Boolean).join(', ') };
}

/** The registry's newest image may be one that is not here yet. */
function isNewerElsewhere({ after, before }: RebuildPreview, { state, checkedAt }: Update): boolean {
  return state === 'newer' && checkedAt !== null && (after === null || after.id === before.id);
}

function registryText(preview: RebuildPreview, update: Update, now: number): string {
  if (preview.reference === null) return '';
  const ago = update.checkedAt === null ? '' : ` ${duration(now - update.checkedAt)} ago`;
  if (isNewerElsewhere(preview, update))
    return `Its registry had a newer image${ago}, which is not here yet: what that would change is known after its pull.`;
  if (update.state === 'newer') return 'A newer image of it is here already.';
  if (update.state === 'current') return `Its registry had nothing newer${ago}.`;
  if (update.state === 'failed') return `Its registry could not be asked${ago}: ${update.error}`;
  return 'Its registry was not asked yet.';
}

function toLines({ field, name, before, after }: Change): DiffLine[] {
  const label = [field, name].filter(Boolean).join(' ');
  const pieces = (value: string) =>
    field === 'variable' || field === 'label' ? maskValue(name, value) : maskText(value);
  return [
    ...(before === null ? [] : [{ sign: '−', kind: 'del', label, pieces: pieces(before) } as const]),
    ...(after === null ? [] : [{ sign: '+', kind: 'add', label, pieces: pieces(after) } as const]),
  ];
}

/** What a project's rebuild is made of: its containers in the order they are rebuilt. */
export type RebuildProjectInput = {
  project: string;
  title: string;
  containers: readonly { id: string; name: string; image: string; update: Update }[];
  registries: readonly string[];
};

/** The data of `pages/rebuild-project`. */
export function rebuildProjectModel(input: RebuildProjectInput, context: ViewContext): RebuildProjectModel {
  const { base } = context;
  const href = `${base}/projects/${encodeURIComponent(input.project)}`;
  return {
    ...toShared(context),
    rebuild: {
      project: input.project,
      action: `${href}/rebuild`,
      cancelHref: href,
      title: input.title,
      registries: input.registries.length > 1 ? [...input.registries] : [],
      rows: input.containers.map(({ id, name, image, update }) => ({
        name,
        href: `${base}/containers/${id}/rebuild`,
        image,
        update: updateText(update, context.now),
        isNewer: update.state === 'newer',
      })),
      choices: [
        { value: 'stop', label: 'Stop at the first that fails', hint: 'Those behind it are left as they are.' },
        { value: 'go_on', label: 'Go on with the others', hint: 'Each that fails is undone by itself.' },
      ],
    },
  };
}

/** What is known of an image in its registry, in a few words. */
export function updateText({ state, checkedAt, error }: Update, now: number): string {
  const ago = checkedAt === null ? '' : `, ${duration(now - checkedAt)} ago`;
  if (state === 'newer') return 'update available';
  if (state === 'current') return `up to date${ago}`;
  if (state === 'failed') return error;
  return state === 'unchecked' ? 'not checked' : 'built here';
}
