import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { isProblem } from '../errors.ts';
import type { DockerPort } from './docker.ts';
import { bareId } from './images.ts';
import { type Document, documentOf, textsOf, variableName, withDefaults, wordsOf } from './own-settings.ts';
import { text } from './readers.ts';
import type { RebuildRules } from './rebuild-refusal.ts';
import {
  borrowsFrom,
  configOf,
  hostOf,
  idOf,
  imageIdOf,
  isLinkedTo,
  isRunning,
  nameOf,
  type Survey,
  type Surveyed,
} from './rebuild-survey.ts';
import type { Member, RebuildPlan } from './rebuild-types.ts';
import { anonymousVolumes, toRecreation } from './recreation.ts';
import { type Reference, readReference } from './references.ts';
import { stopSecondsOf } from './stop-timeout.ts';

/** One setting that would change; null where there is none before or after. */
export type Change = { field: string; name: string; before: string | null; after: string | null };

/** What is used for the new container: what the create call names, and the image that this is. */
export type NextImage = { text: string; image: Document };

/** So much of a name is kept in the names that both containers have on the way: engines allow 255 characters. */
const maxStem = 200;

/** The reference that a container's image can be pulled by; undefined where it is an id or pinned to a digest. */
export function tagOf(surveyed: Surveyed): Reference | undefined {
  const written = text(configOf(surveyed).Image) ?? '';
  const reference = isIdOf(surveyed, written) ? undefined : readReference(written);
  return reference?.digest === null ? reference : undefined;
}

/** Engines take the beginning of an id as well, of any length; a tag that reads the same comes first. */
function isIdOf(surveyed: Surveyed, written: string): boolean {
  const isTag = textsOf(surveyed.image.RepoTags).includes(`${written}:latest`);
  return !isTag && /^(sha256:)?[0-9a-f]+$/.test(written) && bareId(imageIdOf(surveyed)).startsWith(bareId(written));
}

/** All that the transaction needs: the container on its next image, then those that follow it, on the images they have. */
export async function planRebuild(
  docker: DockerPort,
  survey: Survey,
  next: NextImage,
  rules: Pick<RebuildRules, 'allowsPrivileged'>,
): Promise<RebuildPlan> {
  const token = randomBytes(4).toString('hex');
  const members = [toMember(survey, survey, next, await sameImage(docker, survey), token)];
  for (const dependant of survey.dependants) {
    const same = await sameImage(docker, dependant);
    members.push(toMember(dependant, survey, same, same, token));
  }
  const { allowsPrivileged } = rules;
  return { id: 0, phase: 'creating', failure: null, watchedUntil: 0, members, retags: [], allowsPrivileged };
}

/**
 * A container's own image, by the name it was given, so that it keeps this name, whatever that means by now; by its id
 * where it never had one.
 */
export async function sameImage(docker: DockerPort, surveyed: Surveyed): Promise<NextImage> {
  const written = text(configOf(surveyed).Image) ?? '';
  const { image } = surveyed;
  const id = imageIdOf(surveyed);
  const isNamed = text((await imageIfThere(docker, written))?.Id) === id;
  return { text: isNamed || tagOf(surveyed) ? written : id, image };
}

/** An image as the engine has it; undefined where it has none, or nothing can have that name. */
export async function imageIfThere(docker: DockerPort, ref: string): Promise<Document | undefined> {
  return docker.imageDocument(ref).catch((error: unknown) => {
    if (isProblem(error, 'not_found') || isProblem(error, 'invalid')) return undefined;
    throw error;
  }) as Promise<Document | undefined>;
}

function toMember(surveyed: Surveyed, { engine }: Survey, next: NextImage, same: NextImage, token: string): Member {
  const { container, image, borrowed } = surveyed;
  const stem = nameOf(surveyed).slice(0, maxStem);
  const name = nameOf(surveyed);
  const state = documentOf(container.State);
  const nextId = text(next.image.Id) ?? imageIdOf(surveyed);
  const { Config: config, HostConfig, Mounts } = container;
  const restored = { text: same.text, id: imageIdOf(surveyed) };
  const renewed = { text: next.text, id: nextId };
  return {
    name,
    oldId: idOf(surveyed),
    newId: null,
    newName: `${stem}.new-${token}`,
    parkedName: `${stem}.old-${token}`,
    standInId: null,
    standInName: `${stem}.back-${token}`,
    imageId: nextId,
    oldImageId: imageIdOf(surveyed),
    recreation: toRecreation({ container, image, next: renewed, engine, borrowed }),
    restoration: toRecreation({ container, image, next: restored, engine, borrowed }),
    basis: { Config: { Volumes: documentOf(config).Volumes }, HostConfig, Mounts },
    wasRunning: isRunning(surveyed),
    wasPaused: state.Paused === true,
    vanishes: isRunning(surveyed) && hostOf(surveyed).AutoRemove === true,
    stopMs: stopSecondsOf(container) * 1_000,
    hasNewVolumes: newVolumes(surveyed, next).length > 0,
  };
}

function newVolumes({ container }: Surveyed, { image }: NextImage): string[] {
  const mounts = Array.isArray(container.Mounts) ? container.Mounts.map(documentOf) : [];
  const mounted = new Set(mounts.map((mount) => text(mount.Destination)));
  return Object.keys(documentOf(documentOf(image.Config).Volumes)).filter((path) => !mounted.has(path));
}

// ── what would change ──

/** Each setting that another image would change, worked out as the engine does when it creates a container. */
export function changesBetween(survey: Survey, next: NextImage): Change[] {
  const { container, image, engine } = survey;
  const nextId = text(next.image.Id) ?? '';
  const { body } = toRecreation({ container, image, next: { text: next.text, id: nextId }, engine });
  const before = configOf(survey);
  const after = withDefaults(body, documentOf(next.image.Config));
  return [
    ...changed('image', '', shortId(imageIdOf(survey)), shortId(nextId)),
    ...variableChanges(textsOf(before.Env), textsOf(after.Env)),
    ...changed('entrypoint', '', wordsOf(before.Entrypoint).join(' '), wordsOf(after.Entrypoint).join(' ')),
    ...changed('command', '', wordsOf(before.Cmd).join(' '), wordsOf(after.Cmd).join(' ')),
    ...changed('user', '', text(before.User), text(after.User)),
    ...changed('working directory', '', text(before.WorkingDir), text(after.WorkingDir)),
    ...changed('stop signal', '', text(before.StopSignal), text(after.StopSignal)),
    ...healthChanges(documentOf(before.Healthcheck), documentOf(after.Healthcheck)),
    ...entryChanges('label', documentOf(before.Labels), documentOf(after.Labels)),
    ...keyChanges('exposed port', documentOf(before.ExposedPorts), documentOf(after.ExposedPorts)),
    ...keyChanges('volume', documentOf(before.Volumes), documentOf(after.Volumes)),
  ];
}

const shortId = (id: string) => bareId(id).slice(0, 12);

function changed(field: string, name: string, before: string | undefined, after: string | undefined): Change[] {
  if ((before ?? '') === (after ?? '')) return [];
  return [{ field, name, before: before || null, after: after || null }];
}

function variableChanges(before: readonly string[], after: readonly string[]): Change[] {
  const toRecord = (entries: readonly string[]) =>
    Object.fromEntries(entries.map((entry) => [variableName(entry), entry.slice(variableName(entry).length + 1)]));
  return entryChanges('variable', toRecord(before), toRecord(after));
}

function entryChanges(field: string, before: Document, after: Document): Change[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names
    .filter((name) => before[name] !== after[name])
    .map((name) => ({ field, name, before: text(before[name]) ?? null, after: text(after[name]) ?? null }));
}

function keyChanges(field: string, before: Document, after: Document): Change[] {
  const toNames = (record: Document) => Object.fromEntries(Object.keys(record).map((key) => [key, key]));
  return entryChanges(field, toNames(before), toNames(after)).map((change) => ({ ...change, name: '' }));
}

function healthChanges(before: Document, after: Document): Change[] {
  const fields = ['Test', 'Interval', 'Timeout', 'StartPeriod', 'StartInterval', 'Retries'] as const;
  return fields
    .filter((field) => !isDeepStrictEqual(before[field] || undefined, after[field] || undefined))
    .map((field) => ({ field: 'health check', name: field, ...healthTexts(field, before[field], after[field]) }));
}

function healthTexts(field: string, before: unknown, after: unknown) {
  const toText = (value: unknown) => {
    if (field === 'Test') return textsOf(value).join(' ') || null;
    if (typeof value !== 'number' || value === 0) return null;
    return field === 'Retries' ? String(value) : `${value / 1e9} s`;
  };
  return { before: toText(before), after: toText(after) };
}

// ── what to know before ──

/** What a person should know before a rebuild, a sentence each. */
export function warningsOf(survey: Survey, next: NextImage | undefined, healthySeconds: number): string[] {
  const host = hostOf(survey);
  const volumes = anonymousVolumes(survey.container, survey.borrowed);
  const runs = isRunning(survey);
  const stop = stopSecondsOf(survey.container);
  return [
    runs && `It is down from its stop, which may take ${stop} s, until the new one has started.`,
    'What it wrote outside of its volumes is not taken along.',
    volumes.length > 0 &&
      `Its anonymous volumes move along with their data: ${volumes.map(({ destination }) => destination).join(', ')}.`,
    ...bonds.map(([bond, isBound]) =>
      followText(
        bond,
        survey.dependants.filter((dependant) => isBound(dependant, survey)),
      ),
    ),
    runs && hasHealthcheck(survey, next) && `Its health check is waited for, ${healthySeconds} s at most.`,
    host.AutoRemove === true &&
      'It was started with --rm: the engine removes it as soon as it stops. Should the new one fail, it is made again ' +
        'on its old image with the same settings and volumes.',
    picksPorts(host) && 'Ports that the engine picked are picked anew.',
    Object.keys(survey.image).length === 0 &&
      'Its image was removed by force: what that gave as defaults is kept as its own settings.',
  ].filter((warning) => typeof warning === 'string');
}

/** By what others hang on a container; the first is also said of those that hang on one of these. */
const bonds: [bond: string, isBound: (one: Surveyed, other: Surveyed) => boolean][] = [
  ['share its namespaces', (one, other) => !isLinkedTo(one, other) && !borrowsFrom(one, other)],
  ['have a legacy link to it', isLinkedTo],
  ['take its volumes', (one, other) => borrowsFrom(one, other) && !isLinkedTo(one, other)],
];

function followText(bond: string, dependants: readonly Surveyed[]): string | undefined {
  if (dependants.length === 0) return undefined;
  return `These ${bond} and are made anew after it, on the images they have: ${dependants.map(nameOf).join(', ')}.`;
}

function hasHealthcheck(survey: Survey, next: NextImage | undefined): boolean {
  const { body } = toRecreation({
    container: survey.container,
    image: survey.image,
    next: { text: '', id: '' },
    engine: survey.engine,
  });
  const after = withDefaults(body, documentOf(next?.image.Config ?? survey.image.Config));
  const test = textsOf(documentOf(after.Healthcheck).Test);
  return test.length > 0 && test[0] !== 'NONE';
}

function picksPorts(host: Document): boolean {
  const bindings = Object.values(documentOf(host.PortBindings))
    .flat()
    .filter((binding) => binding !== null)
    .map(documentOf);
  return host.PublishAllPorts === true || bindings.some((binding) => !binding.HostPort || binding.HostPort === '0');
}
